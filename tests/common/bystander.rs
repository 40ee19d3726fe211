//! Somebody who asks the nodes of a cluster all the time and knows nothing of the factory: [`Bystander`].

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use switchmaster::Outcome;
use switchmaster_sandbox::{Cluster, Node};

use super::{PATIENCE, load::Failure};

/// The pause between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(2);

/// A node that answers nobody for so long stands still. One that stands still while the fence goes up
/// answers what was sent before that 40 ms after it or later, when its successor may take writes
/// already: such a reply is not believed, for its write may be lost.
const STILL: Duration = Duration::from_millis(30);

/// What failed for that failed within this time.
const SOON: Duration = Duration::from_secs(1);

/// Asks every node as often as it answers.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Still>>>,
}

/// A time in which a node, or the whole machine, stood still.
#[derive(Clone, Copy, Debug)]
struct Still {
    node: SocketAddr,
    from: Instant,
    until: Instant,
}

impl Bystander {
    pub fn of(cluster: &Cluster) -> Bystander {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = cluster.nodes().iter().map(|node| {
            let (node, stop) = (node.clone(), stop.clone());
            thread::spawn(move || watch(&node, &stop))
        });
        let threads = threads.collect();
        Bystander { stop, threads }
    }

    pub fn end(self) -> Witness {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.threads.into_iter();
        Witness(seen.flat_map(|thread| thread.join().expect("it does not panic")).collect())
    }
}

fn watch(node: &Node, stop: &AtomicBool) -> Vec<Still> {
    let (mut seen, mut client, mut from) = (Vec::new(), None, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        // A promotion ends every connection; the next one is there at once.
        if client.is_none() {
            client = node.client_with(PATIENCE).ok();
        }
        let answered = client.as_mut().is_some_and(|client| client.expect(&["PING"]).is_ok());
        if answered {
            let until = Instant::now();
            if until - from >= STILL {
                seen.push(Still { node: node.address(), from, until });
            }
            from = until;
        } else {
            client = None;
        }
        thread::sleep(PAUSE);
    }
    seen
}

/// When which node stood still.
#[derive(Debug)]
pub struct Witness(Vec<Still>);

impl Witness {
    /// Whether a command failed with an unknown outcome because the node that it was sent to, by the
    /// words of its error, had stood still with it. No client can know what became of it.
    pub fn excuses(&self, failure: &Failure) -> bool {
        failure.outcome == Outcome::Unknown
            && self.0.iter().any(|still| {
                failure.text.starts_with(&format!("{} was replaced", still.node))
                    && still.from <= failure.at
                    && failure.at <= still.until + SOON
            })
    }
}
