//! Rotated certificates: one thread of the process looks at the files of every factory once a second.
//!
//! Neither a command, a checkout nor a dial touches the file system, and the watch's thread does not
//! either. A file system that hangs holds up this thread alone: the certificates in use stay in use.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{error, info, warn};
use parking_lot::Mutex;

use super::{Connector, Names, TlsConfig};

/// The pause between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// The age at which a file's times are final. Until then a second write may leave the same times,
/// because file systems keep them in steps.
const SETTLED: Duration = Duration::from_secs(2);

/// The connectors whose files are looked at, and the thread that does so.
static WATCHED: Mutex<Watched> = Mutex::new(Watched { entries: Vec::new(), thread: None });

struct Watched {
    entries: Vec<Entry>,
    thread: Option<Thread>,
}

struct Entry {
    connector: Connector,
    factories: usize,
}

struct Thread {
    /// Dropped, it ends the thread.
    _stop: Sender<()>,
    ended: Receiver<()>,
}

/// One factory's interest in the files of a connector.
pub(crate) struct Reloading(Option<Connector>);

impl Connector {
    /// Returns the connector that every factory of the process with this configuration shares. Its files
    /// are watched for as long as the [`Reloading`] lives. Reads the files now.
    ///
    /// # Errors
    /// As [`Connector::new`], and when the system refuses a thread.
    pub(crate) fn reloading(
        config: &TlsConfig,
        names: Names,
    ) -> Result<(Connector, Reloading), String> {
        let fresh = Connector::new(config, names)?;
        if files(config).next().is_none() {
            return Ok((fresh, Reloading(None)));
        }
        let mut watched = WATCHED.lock();
        if watched.thread.is_none() {
            let thread = start().map_err(|error| {
                format!("the system refused a thread that looks at certificate files: {error}")
            })?;
            watched.thread = Some(thread);
        }
        let same = |entry: &&mut Entry| {
            entry.connector == fresh && entry.connector.inner.names == fresh.inner.names
        };
        let connector = match watched.entries.iter_mut().find(same) {
            Some(entry) => {
                entry.factories += 1;
                entry.connector.install(&fresh);
                entry.connector.clone()
            }
            None => {
                watched.entries.push(Entry { connector: fresh.clone(), factories: 1 });
                fresh
            }
        };
        Ok((connector.clone(), Reloading(Some(connector))))
    }
}

impl Reloading {
    /// Ends the interest. The last one ends the thread and waits for that until `deadline`.
    pub(crate) fn leave(mut self, deadline: Instant) {
        let Some(thread) = self.release() else { return };
        let Thread { _stop: stop, ended } = thread;
        drop(stop);
        if ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            error!("the thread that looks at certificate files hangs in the file system");
        }
    }

    /// Returns the thread when no connector needs it any more.
    fn release(&mut self) -> Option<Thread> {
        let connector = self.0.take()?;
        let mut watched = WATCHED.lock();
        if let Some(entry) = watched.entries.iter_mut().find(|own| own.connector.is(&connector)) {
            entry.factories -= 1;
        }
        watched.entries.retain(|entry| entry.factories > 0);
        if watched.entries.is_empty() { watched.thread.take() } else { None }
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        drop(self.release());
    }
}

fn start() -> io::Result<Thread> {
    let (stop, stopped) = bounded::<()>(0);
    let (end, ended) = bounded::<()>(0);
    thread::Builder::new().name("switchmaster-certificates".to_owned()).spawn(move || {
        let _end = end;
        while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            let connectors: Vec<_> =
                WATCHED.lock().entries.iter().map(|entry| entry.connector.clone()).collect();
            for connector in connectors {
                if catch_unwind(AssertUnwindSafe(|| connector.look())).is_err() {
                    error!("a look at certificate files panicked; this is a bug of switchmaster");
                }
            }
        }
    })?;
    Ok(Thread { _stop: stop, ended })
}

/// The state of the files at the last look.
#[derive(Default)]
pub(super) struct Looked {
    /// Used, or reported as broken: nothing is to be done until this changes.
    done: Option<Vec<Stamp>>,
    /// Found broken once. A certificate and its key are two files, so the next look decides.
    doubted: Option<Vec<Stamp>>,
    reported: Option<Vec<Stamp>>,
}

/// The identity of a file's content without reading it; `None` for a file that cannot be looked at.
type Stamp = Option<Identity>;

#[derive(Clone, PartialEq)]
struct Identity {
    file: (u64, u64),
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    fn of(path: &Path) -> Stamp {
        // Follows symbolic links, so a link that is replaced leads to another file.
        let found = fs::metadata(path).ok()?;
        Some(Identity {
            file: (found.dev(), found.ino()),
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    fn is_settled(&self, now: Duration) -> bool {
        let newest = self.written.0.max(self.changed.0);
        u64::try_from(newest).is_ok_and(|newest| Duration::from_secs(newest) + SETTLED < now)
    }
}

fn files(config: &TlsConfig) -> impl Iterator<Item = &Path> {
    [&config.ca, &config.cert, &config.key].into_iter().flatten().filter_map(|pem| pem.file())
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    files(config).map(Identity::of).collect()
}

impl Connector {
    /// Reads the files again if they have changed. Blocks for as long as the file system does.
    fn look(&self) {
        let inner = &self.inner;
        let mut looked = inner.looked.lock();
        let now = stamps(&inner.config);
        if looked.done.as_ref() == Some(&now) {
            return;
        }
        let fresh = Connector::new(&inner.config, inner.names);
        if stamps(&inner.config) != now {
            // They change at this moment: the next look finds them complete.
            return;
        }
        match fresh {
            Ok(fresh) => {
                if self.install(&fresh) {
                    info!("{}: new connections use the changed files", self.named());
                }
            }
            Err(_) if looked.doubted.as_ref() != Some(&now) => {
                looked.doubted = Some(now);
                return;
            }
            Err(why) => {
                if looked.reported.as_ref() != Some(&now) {
                    warn!(
                        "the changed files cannot be used, and the earlier ones stay in use: {why}"
                    );
                    looked.reported = Some(now.clone());
                    *inner.fault.lock() = Some(why);
                }
            }
        }
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = now.iter().flatten().all(|file| file.is_settled(clock));
        looked.done = settled.then_some(now);
    }

    /// Takes over the files of another connector. Returns true when they differ.
    fn install(&self, fresh: &Connector) -> bool {
        *self.inner.fault.lock() = None;
        let made = fresh.made();
        let mut own = self.inner.made.write();
        let changes = own.material != made.material;
        if changes {
            *own = made;
        }
        changes
    }

    /// The settings that name files.
    fn named(&self) -> String {
        let (config, names) = (&self.inner.config, &self.inner.names);
        let settings =
            [(names.ca, &config.ca), (names.cert, &config.cert), (names.key, &config.key)];
        let with_file = |(name, pem): (&str, &Option<super::Pem>)| {
            Some(format!("{name}={:?}", pem.as_ref()?.file()?))
        };
        settings.into_iter().filter_map(with_file).collect::<Vec<_>>().join(", ")
    }
}
