//! Writes that wait on a master: [`Pause`], [`undo`].

use std::time::{Duration, Instant};

use switchmaster::Outcome;

use super::{phases::millis, replica::Node};

/// The server ends it by itself at its deadline, whatever becomes of this command: that is the undo of last
/// resort.
#[derive(Clone, Copy)]
pub(super) struct Pause {
    begun: Instant,
    longest: Duration,
}

impl Pause {
    /// Lets no write begin on this master (`CLIENT PAUSE … WRITE`), for so long at most; or says why that
    /// could not be done.
    pub(super) fn begin(master: &mut Node, longest: Duration) -> Result<Pause, String> {
        let pause = Pause { begun: Instant::now(), longest };
        let millis = longest.as_millis().to_string();
        master.ask::<()>(&["CLIENT", "PAUSE", &millis, "WRITE"]).map(|()| pause).map_err(|error| {
            // Where no reply came it may have begun.
            let begun = (Outcome::of(&error) == Outcome::Unknown).then_some(&pause);
            let undone = undo(begun, master);
            format!(
                "writes could not be paused on {} ({error}), so no failover was ordered; {undone}",
                master.address
            )
        })
    }

    /// Before then the server does not let writes go on by itself.
    pub(super) fn until(&self) -> Instant {
        self.begun + self.longest
    }

    /// How long it has lasted.
    pub(super) fn lasted(&self) -> Duration {
        self.begun.elapsed().min(self.longest)
    }
}

/// Lets writes go on, and says what that came to.
pub(super) fn undo(pause: Option<&Pause>, master: &mut Node) -> String {
    let Some(pause) = pause else { return "nothing else was done".to_owned() };
    let address = master.address.clone();
    match master.insist::<()>(&["CLIENT", "UNPAUSE"]) {
        Ok(()) => format!("writes go on at {address} after {:.0} ms", millis(pause.lasted())),
        Err(error) => {
            let left = pause.until().saturating_duration_since(Instant::now());
            format!(
                "{address} could not be told to let writes go on ({error}); if it is alive, it does so \
                 by itself in {:.0} ms",
                millis(left)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use switchmaster::{Builder, direct::Dialer};
    use switchmaster_sandbox::FakeNode;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    fn connected(fake: &FakeNode) -> Node {
        for command in ["CLIENT PAUSE", "CLIENT UNPAUSE", "PING"] {
            fake.answer_to(command, b"+OK\r\n");
        }
        let url = "redis+sentinel://127.0.0.1:1/mymaster";
        let dialer = Dialer::new(Builder::from_url(url).unwrap()).unwrap();
        let mut node = Node::new(&dialer, &fake.address().to_string().parse().unwrap());
        node.ask::<()>(&["PING"]).unwrap();
        node
    }

    fn unpaused(fake: &FakeNode) -> usize {
        fake.received().iter().filter(|command| *command == "CLIENT UNPAUSE").count()
    }

    #[test]
    fn a_pause_that_nobody_confirms_is_ended() {
        let fake = FakeNode::start().unwrap();
        let mut master = connected(&fake);
        fake.disconnect_at(1);
        let why = Pause::begin(&mut master, LONG).err().expect("no reply came");
        assert!(why.contains("could not be paused") && why.contains("writes go on at"), "{why}");
        assert_eq!(unpaused(&fake), 1);
    }

    #[test]
    fn a_pause_is_ended_on_another_connection_when_the_first_is_lost() {
        let fake = FakeNode::start().unwrap();
        let mut master = connected(&fake);
        let pause = Pause::begin(&mut master, LONG).unwrap();
        fake.disconnect_all();
        let undone = undo(Some(&pause), &mut master);
        assert!(undone.starts_with("writes go on at "), "{undone}");
        assert_eq!(unpaused(&fake), 1);
    }

    #[test]
    fn a_pause_that_is_refused_needs_no_end() {
        let fake = FakeNode::start().unwrap();
        let mut master = connected(&fake);
        fake.answer_to("CLIENT PAUSE", b"-NOPERM no\r\n");
        let why = Pause::begin(&mut master, LONG).err().expect("it is refused");
        assert!(why.ends_with("nothing else was done"), "{why}");
        assert_eq!(unpaused(&fake), 0);
    }
}
