//! What becomes of the old master and its clients: [`demote`], [`release`].

use std::{
    thread,
    time::{Duration, Instant},
};

use redis::Value;
use switchmaster::{Address, Outcome};

use super::{pause::Pause, replica::Node};

/// Between two attempts to demote.
const STEP: Duration = Duration::from_millis(10);

/// Makes it a replica of `to`: tries again until then where it does not answer, for every write that it
/// acknowledges afterwards is lost.
pub(super) fn demote(
    master: &mut Node,
    to: &Address,
    until: Option<Instant>,
) -> Result<(), String> {
    let port = to.port().to_string();
    loop {
        let Err(error) = master.insist::<()>(&["REPLICAOF", to.host(), &port]) else {
            return Ok(());
        };
        let over = until.is_none_or(|until| Instant::now() >= until);
        if over || Outcome::of(&error) == Outcome::Replied {
            return Err(format!(
                "{} was not made a replica of {to}: {error}; while it lives, what it acknowledges until \
                 the sentinels demote it is lost",
                master.address
            ));
        }
        thread::sleep(STEP);
    }
}

/// First its writes, which are told now that it is a replica; then its clients are sent away.
pub(super) fn release(master: &mut Node, pause: Option<&Pause>) -> Result<(), String> {
    let words: [&[&str]; 3] = [
        &["CLIENT", "UNPAUSE"],
        &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
        &["CLIENT", "KILL", "TYPE", "pubsub"],
    ];
    let skipped = usize::from(pause.is_none());
    for words in &words[skipped..] {
        master.insist::<Value>(words).map_err(|error| {
            format!("{} at {} failed: {error}", words.join(" "), master.address)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use switchmaster::{Builder, direct::Dialer};
    use switchmaster_sandbox::FakeNode;

    use super::*;

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
        let break_off = || (0..5).for_each(|_| fake.answer_with(b"no reply\r\n"));
        break_off();
        assert!(demote(&mut master, &to, None).is_err());
        assert_eq!(demoted(), 0);
        break_off();
        demote(&mut master, &to, Some(Instant::now() + Duration::from_secs(30))).unwrap();
        assert_eq!(demoted(), 1);
    }
}
