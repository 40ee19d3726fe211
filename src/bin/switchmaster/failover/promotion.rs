//! The signs of a promotion, from all servers at the same time: [`Signs`].

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, unbounded};
use switchmaster::{Address, direct::Dialer};

use super::{
    replica::{Node, Role},
    voice::{Voice, address},
};

/// Between two looks at a replica.
const STEP: Duration = Duration::from_millis(2);
/// Between two looks at a sentinel.
const GLANCE: Duration = Duration::from_millis(20);

/// A sign from one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// This replica is a master.
    Promoted(Address),
    /// A sentinel names this one as the master.
    Named(Address),
    /// A sentinel has chosen this replica, and is about to promote it.
    Chosen(Address),
    /// The leader did nothing and named the old master when it was asked, which was then.
    Idle(Instant),
}

/// Threads that ask one server each. They end soon after this is dropped: a server that does not answer is
/// waited for no longer than the dialer's patience.
pub(super) struct Signs {
    dialer: Dialer,
    sender: Sender<Sign>,
    receiver: Receiver<Sign>,
    over: Arc<AtomicBool>,
    watched: HashSet<Address>,
}

impl Signs {
    /// Watches these replicas, and all sentinels; the leader is the one at that index.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn watch(
        dialer: &Dialer,
        replicas: &[Address],
        voices: &[Voice],
        leader: usize,
        old: &Address,
    ) -> io::Result<Signs> {
        let (sender, receiver) = unbounded();
        let over = Arc::new(AtomicBool::new(false));
        let mut signs =
            Signs { dialer: dialer.clone(), sender, receiver, over, watched: HashSet::new() };
        for replica in replicas {
            signs.replica(replica)?;
        }
        for (index, voice) in voices.iter().enumerate() {
            signs.sentinel(voice, index == leader, old)?;
        }
        Ok(signs)
    }

    /// Waits until then for the next sign, and returns it.
    pub(super) fn next(&self, deadline: Instant) -> Option<Sign> {
        self.receiver.recv_deadline(deadline).ok()
    }

    pub(super) fn is_watched(&self, replica: &Address) -> bool {
        self.watched.contains(replica)
    }

    /// Watches one more replica.
    pub(super) fn replica(&mut self, address: &Address) -> io::Result<()> {
        self.watched.insert(address.clone());
        let mut node = Node::new(&self.dialer, address);
        let address = address.clone();
        self.each(STEP, move |sender| {
            if let Ok(Role::Master { .. }) = node.role() {
                // The receiver lives as long as the signs are needed.
                let _ = sender.send(Sign::Promoted(address.clone()));
                return true;
            }
            false
        })
    }

    fn sentinel(&self, voice: &Voice, leads: bool, old: &Address) -> io::Result<()> {
        let mut voice = voice.again(&self.dialer);
        let (service, old) = (self.dialer.service().to_owned(), old.clone());
        self.each(GLANCE, move |sender| {
            let asked = Instant::now();
            let Ok(view) = voice.view(&service) else { return false };
            let chosen = view.replicas.iter().find(|row| {
                row.get("flags")
                    .is_some_and(|flags| flags.split(',').any(|flag| flag == "promoted"))
            });
            let sign = match (view.names, chosen.and_then(address)) {
                (Some(names), _) if names != old => Sign::Named(names),
                (_, Some(chosen)) => Sign::Chosen(chosen),
                (Some(_), None) if leads && !super::scene::is_failing_over(&view.master) => {
                    Sign::Idle(asked)
                }
                _ => return false,
            };
            let _ = sender.send(sign);
            false
        })
    }

    /// Repeats this on a thread of its own until it reports that it is done.
    fn each(
        &self,
        step: Duration,
        mut look: impl FnMut(&Sender<Sign>) -> bool + Send + 'static,
    ) -> io::Result<()> {
        let (sender, over) = (self.sender.clone(), self.over.clone());
        let watch = move || {
            while !over.load(Ordering::Relaxed) && !look(&sender) {
                thread::sleep(step);
            }
        };
        thread::Builder::new().name("promotion".to_owned()).spawn(watch).map(|_| ())
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
