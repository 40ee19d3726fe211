//! The demotion of the old master and the release of its clients: [`demote`], [`release`], [`rewrite`].

use std::{
    thread,
    time::{Duration, Instant},
};

use redis::{RedisResult, Value};
use switchmaster::{Address, Outcome};

use super::{
    pause::Pause,
    progress::Progress,
    replica::{Node, role_of},
    rights::is_busy,
};

/// Between two attempts to demote.
const STEP: Duration = Duration::from_millis(10);
/// The rest of the pause when its last writes are discarded, which would run at its end.
const LAST: Duration = Duration::from_millis(20);

/// The progress of the old master when it became a replica; `None` where that is unknown.
pub(super) type End = Option<Progress>;

/// Makes it a replica of `to`, and retries until the deadline: every write that it acknowledges
/// afterwards is lost.
///
/// When the server refuses, the writes that wait in it are discarded (`CLIENT KILL`): the writes of a client
/// whose connection ends do not run. The pause stays, and just before its end they are discarded once more.
///
/// # Errors
/// The reason why it is still a master.
pub(super) fn demote(
    master: &mut Node,
    to: &Address,
    until: Option<Instant>,
) -> Result<End, String> {
    let mut refused = false;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match attempt(master, to) {
            Ok(end) => return Ok(end),
            Err(error) => error,
        };
        let is_refusal = Outcome::of(&error) == Outcome::Replied && !is_busy(&error);
        if is_refusal && !refused {
            refused = true;
            // The last error is reported below.
            let _ = disconnect(master);
        }
        let again = match until {
            Some(until) => Instant::now() + LAST < until,
            // Once more on a new connection.
            None => attempts == 1 && !is_refusal,
        };
        if again {
            thread::sleep(STEP);
            continue;
        }
        let disconnected = match disconnect(master) {
            Ok(()) => "its clients were disconnected".to_owned(),
            Err(error) => format!("its clients could not be disconnected ({error})"),
        };
        let pause = match until {
            Some(_) => " and the pause was left to its end",
            None => "",
        };
        return Err(format!(
            "{} was not made a replica of {to}: {error}; {disconnected}{pause}; while it lives, what it \
             acknowledges until the sentinels demote it is lost",
            master.address
        ));
    }
}

/// In one write, so that nothing runs between the look and the demotion.
fn attempt(master: &mut Node, to: &Address) -> RedisResult<End> {
    let port = to.port().to_string();
    let [role, info] = Progress::QUESTIONS;
    let replies = master.ask_all(&[role, info, &["REPLICAOF", to.host(), &port]])?;
    let [role, info, demoted] = <[RedisResult<Value>; 3]>::try_from(replies).map_err(|_| {
        redis::RedisError::from((redis::ErrorKind::Parse, "not as many replies as commands"))
    })?;
    demoted?;
    // It is a replica by now when an earlier attempt was not answered.
    Ok(role.and_then(role_of).ok().and_then(|role| Progress::read(&role, info).ok()))
}

/// First its writes, which are told now that it is a replica; then its clients are sent away.
pub(super) fn release(master: &mut Node, pause: Option<&Pause>) -> Result<(), String> {
    if pause.is_some() {
        insist(master, &["CLIENT", "UNPAUSE"])?;
    }
    disconnect(master)
}

/// Ends the connections of its clients.
pub(super) fn disconnect(master: &mut Node) -> Result<(), String> {
    insist(master, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])?;
    insist(master, &["CLIENT", "KILL", "TYPE", "pubsub"])
}

fn insist(master: &mut Node, words: &[&str]) -> Result<(), String> {
    master
        .insist::<Value>(words)
        .map(|_| ())
        .map_err(|error| format!("{} at {} failed: {error}", words.join(" "), master.address))
}

/// The result of the attempt to keep the demotion for the next start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rewritten {
    Yes,
    /// The server has no configuration file.
    NoFile,
    No(String),
}

/// Writes the demotion to the configuration file of the old master (`CONFIG REWRITE`), so that it does not
/// start as a master again.
pub(super) fn rewrite(master: &mut Node) -> Rewritten {
    match master.insist::<Value>(&["CONFIG", "REWRITE"]) {
        Ok(_) => Rewritten::Yes,
        Err(error) if error.to_string().contains("without a config file") => Rewritten::NoFile,
        Err(error) => Rewritten::No(format!("CONFIG REWRITE: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use switchmaster::{Builder, direct::Dialer};
    use switchmaster_sandbox::{FakeNode, wait_until};

    use super::*;

    #[test]
    fn a_busy_master_is_demoted_later_and_one_that_refuses_loses_its_clients() {
        let fake = FakeNode::start().unwrap();
        let url = "redis+sentinel://127.0.0.1:1/mymaster";
        let dialer = Dialer::new(Builder::from_url(url).unwrap()).unwrap();
        let mut master = Node::new(&dialer, &fake.address().to_string().parse().unwrap());
        let to = Address::new("h", 6379).unwrap();
        let count = |part: &str| fake.received().iter().filter(|it| it.starts_with(part)).count();
        fake.answer_to("CLIENT KILL", b":1\r\n");

        fake.answer_to("REPLICAOF", b"-NOPERM no\r\n");
        let until = Instant::now() + Duration::from_millis(200);
        let why = demote(&mut master, &to, Some(until)).unwrap_err();
        assert!(why.contains("NoPerm") && why.contains("left to its end"), "{why}");
        // At once, and at the end.
        assert_eq!((count("CLIENT KILL TYPE normal"), count("CLIENT UNPAUSE")), (2, 0));
        assert!(count("REPLICAOF") > 2);

        fake.answer_to("REPLICAOF", b"-BUSY a script\r\n");
        let busy = count("REPLICAOF");
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(wait_until(Duration::from_secs(30), || count("REPLICAOF") > busy + 2));
                fake.answer_to("REPLICAOF", b"+OK\r\n");
            });
            demote(&mut master, &to, Some(Instant::now() + Duration::from_secs(60))).unwrap();
        });
        assert_eq!(count("CLIENT KILL TYPE normal"), 2);
    }

    #[test]
    fn a_master_that_does_not_answer_is_demoted_as_soon_as_it_does() {
        let fake = FakeNode::start().unwrap();
        fake.answer_to("REPLICAOF", b"+OK\r\n");
        let url = "redis+sentinel://127.0.0.1:1/mymaster";
        let dialer = Dialer::new(Builder::from_url(url).unwrap()).unwrap();
        let mut master = Node::new(&dialer, &fake.address().to_string().parse().unwrap());
        let to = Address::new("h", 6379).unwrap();
        let demoted = || fake.received().iter().filter(|it| *it == "REPLICAOF h 6379").count();
        // Each is the end of a connection, or of an attempt to make one.
        let break_off = || (0..20).for_each(|_| fake.answer_with(b"no reply\r\n"));
        break_off();
        assert!(demote(&mut master, &to, None).is_err());
        assert_eq!(demoted(), 0);
        break_off();
        demote(&mut master, &to, Some(Instant::now() + Duration::from_secs(30))).unwrap();
        assert_eq!(demoted(), 1);
    }
}
