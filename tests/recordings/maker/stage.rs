//! Where a case is played: a cluster, and a factory that follows it and records.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use redis::Commands;
use switchmaster::{Address, Event, Factory};
use switchmaster_sandbox::{Cluster, Node, Sentinel, wait_until};

pub type Failure = Box<dyn Error>;

/// Long enough for anything that is going to happen at all.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// All has been well for this long when a recording ends, or it ends after that long.
const CALM: Duration = Duration::from_millis(400);
const LONG_ENOUGH: Duration = Duration::from_secs(8);
/// The pause between two writes.
const PAUSE: Duration = Duration::from_millis(20);
/// Run ids and replication ids have so many digits, of which so many are kept.
const ID: usize = 40;
const KEPT: usize = 8;

/// What is recorded.
pub struct Case {
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// What must come out, whatever becomes of the machine.
    pub expect: &'static str,
    pub cluster: fn(switchmaster_sandbox::Builder) -> switchmaster_sandbox::Builder,
    pub factory: fn(switchmaster::Builder) -> switchmaster::Builder,
    pub play: fn(&Stage) -> Result<(), Failure>,
}

pub struct Stage {
    pub cluster: Cluster,
    pub factory: Factory,
    events: Receiver<Event>,
}

impl Case {
    /// Plays it, and gives what was recorded.
    pub fn record(&self) -> Result<String, Failure> {
        let cluster = (self.cluster)(Cluster::builder()).start()?;
        let (recorder, lines) = crossbeam_channel::unbounded();
        let mut builder = switchmaster::Builder::from_url(&cluster.url())?.record(recorder);
        for (direct, proxied) in cluster.address_map() {
            builder = builder.address_map(direct, proxied);
        }
        let factory = (self.factory)(builder).build()?;
        let server = server(&cluster)?;
        let stage = Stage { cluster, events: factory.events(), factory };
        stage.settle();
        let writer = Writer::start(&stage.factory);
        let played = (self.play)(&stage);
        if played.is_ok() {
            stage.settle();
        }
        stage.factory.close();
        drop(writer);
        played?;
        let lines: Vec<String> = lines.iter().collect();
        let head = [
            format!("# about={}", self.about),
            format!("# expect={}", self.expect),
            format!("# server={server}"),
        ];
        let (first, others) = lines.split_first().ok_or("nothing was recorded")?;
        let text: Vec<&str> =
            std::iter::once(first).chain(&head).chain(others).map(String::as_str).collect();
        Ok(shortened(text.join("\n") + "\n"))
    }
}

fn server(cluster: &Cluster) -> Result<String, Failure> {
    let master = cluster.master()?;
    let valkey = master.info("server", "valkey_version")?;
    Ok(match valkey.as_str() {
        "" => format!("Redis {}", master.info("server", "redis_version")?),
        version => format!("Valkey {version}"),
    })
}

/// Keeps the first digits of each id that is nothing but itself.
fn shortened(text: String) -> String {
    let mut ids = BTreeSet::new();
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    for word in text.split(|c| !is_digit(c)) {
        if word.len() == ID {
            ids.insert(word);
        }
    }
    let starts: BTreeSet<&str> = ids.iter().map(|id| &id[..KEPT]).collect();
    if starts.len() < ids.len() {
        return text;
    }
    ids.iter().fold(text.clone(), |text, id| text.replace(id, &id[..KEPT]))
}

impl Stage {
    /// Waits for an event.
    pub fn wait_for(&self, is_it: impl Fn(&Event) -> bool) -> Result<Event, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.events.recv_deadline(until) {
                Ok(event) if is_it(&event) => return Ok(event),
                Ok(_) => {}
                Err(_) => return Err("what was waited for did not happen".into()),
            }
        }
    }

    /// Waits until there are so many generations.
    pub fn wait_for_generation(&self, number: u64) -> Result<(), Failure> {
        let reached = self.factory.wait_for_generation(number - 1, PATIENCE);
        reached.map(|_| ()).ok_or_else(|| format!("there was no generation {number}").into())
    }

    /// Waits until nothing has been wrong for a moment, or for as long as a recording may go on.
    pub fn settle(&self) {
        let mut since = Instant::now();
        wait_until(LONG_ENOUGH, || {
            let topology = self.factory.topology();
            if !topology.is_ok_and(|topology| topology.troubles.is_empty()) {
                since = Instant::now();
            }
            since.elapsed() > CALM
        });
    }

    /// Waits until no sentinel that runs leads a failover.
    pub fn wait_for_the_end(&self) -> Result<(), Failure> {
        let leads = |sentinel: &Sentinel| {
            let about = sentinel.describe(self.cluster.service());
            about.is_ok_and(|about| !matches!(&*about.field_text("failover-state"), "" | "none"))
        };
        match wait_until(PATIENCE, || !self.cluster.sentinels().iter().any(leads)) {
            true => Ok(()),
            false => Err("the failover does not end".into()),
        }
    }

    /// Lets it go on.
    pub fn go_on(&self, time: Duration) {
        thread::sleep(time);
    }

    pub fn master(&self) -> Result<Node, Failure> {
        Ok(self.cluster.master()?)
    }

    /// The replicas of the master that the sentinels name.
    pub fn replicas(&self) -> Result<Vec<Node>, Failure> {
        let master = self.master()?.port();
        Ok(self.cluster.nodes().iter().filter(|node| node.port() != master).cloned().collect())
    }

    pub fn node(&self, address: &Address) -> Result<Node, Failure> {
        let found = self.cluster.node_at(address.port());
        found.ok_or_else(|| format!("{address} is no node of the cluster").into())
    }

    pub fn sentinel(&self, address: &Address) -> Result<Sentinel, Failure> {
        let found = self.cluster.sentinel_at(address.port());
        found.ok_or_else(|| format!("{address} is no sentinel of the cluster").into())
    }
}

/// Writes now and then, so that handles notice what becomes of their master.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    fn start(factory: &Factory) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let (factory, stopped) = (factory.clone(), stop.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // Most cases let some of these fail; the recording shows what that leads to.
                let _ = factory.run(|redis| redis.incr::<_, _, u64>("written", 1));
                thread::sleep(PAUSE);
            }
        });
        Writer { stop, thread: Some(thread) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(_)) = self.thread.take().map(thread::JoinHandle::join) {
            eprintln!("the thread that writes panicked");
        }
    }
}
