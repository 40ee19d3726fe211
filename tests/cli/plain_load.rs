//! Writers that find the master as clients of other makes do, and what they lose.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use switchmaster_sandbox::{Client, Cluster, Node, Role, Sentinel, frame::Frame, wait_until};

use crate::program::PATIENCE;

/// Between two writes, and between two attempts to find the master.
const STEP: Duration = Duration::from_millis(2);

/// Writers with a list each. They ask the sentinels in their order, connect to the first master that one
/// names, and ask again after every error.
pub(crate) struct PlainLoad {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    writers: Vec<(String, JoinHandle<Vec<String>>)>,
}

struct Way {
    sentinels: Vec<Sentinel>,
    nodes: Vec<Node>,
    service: String,
}

impl Way {
    fn master(&self) -> Option<Client> {
        let named = self.sentinels.iter().find_map(|sentinel| {
            if !sentinel.is_running() || sentinel.is_frozen() {
                return None;
            }
            sentinel.master_of(&self.service).ok()?
        })?;
        let node = self.nodes.iter().find(|node| node.address() == named)?;
        let is_master = matches!(node.role(), Ok(Role::Master));
        is_master.then(|| node.client_with(PATIENCE).ok()).flatten()
    }
}

impl PlainLoad {
    /// Writers that have all written once when this returns.
    pub(crate) fn begin(cluster: &Cluster, writers: usize) -> PlainLoad {
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let writers = (0..writers).map(|writer| {
            let way = Way {
                sentinels: cluster.sentinels().to_vec(),
                nodes: cluster.nodes().to_vec(),
                service: cluster.service().to_owned(),
            };
            let (stop, count) = (stop.clone(), count.clone());
            let list = format!("plain:{writer}");
            let own = list.clone();
            let write = move || {
                let (mut acknowledged, mut client) = (Vec::new(), None);
                for number in 0u64.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::sleep(STEP);
                    client = client.or_else(|| way.master());
                    let Some(mut open) = client.take() else { continue };
                    let value = number.to_string();
                    if let Ok(Frame::Integer(_)) = open.call(&["RPUSH", &own, &value]) {
                        acknowledged.push(value);
                        count.fetch_add(1, Ordering::Relaxed);
                        client = Some(open);
                    }
                }
                acknowledged
            };
            (list, thread::spawn(write))
        });
        let writers = writers.collect();
        let load = PlainLoad { stop, count, writers };
        load.wait_for(50);
        load
    }

    /// Waits until so many more writes were acknowledged.
    pub(crate) fn wait_for(&self, more: u64) {
        let enough = self.count.load(Ordering::Relaxed) + more;
        let written = wait_until(PATIENCE, || self.count.load(Ordering::Relaxed) >= enough);
        assert!(written, "no {more} writes more were acknowledged");
    }

    /// Ends the writers. How many writes were acknowledged, and how many of these the node does not have.
    pub(crate) fn end(self, node: &Node) -> (usize, usize) {
        self.end_at(&mut node.client_with(PATIENCE).expect("the node answers"))
    }

    /// As [`PlainLoad::end`], for the node behind this connection.
    pub(crate) fn end_at(self, node: &mut Client) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut all, mut lost) = (0, 0);
        for (list, writer) in self.writers {
            let acknowledged = writer.join().expect("a writer does not panic");
            let there = node.expect(&["LRANGE", &list, "0", "-1"]).expect("the list is readable");
            let there: HashSet<String> = there.items().iter().map(Frame::text).collect();
            all += acknowledged.len();
            lost += acknowledged.iter().filter(|value| !there.contains(*value)).count();
        }
        (all, lost)
    }
}
