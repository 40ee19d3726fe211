//! Sides that take turns, measured in slices: [`Case`].

use std::{
    iter, process,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What a side is to the comparison.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What is measured.
    Subject,
    /// The library that does the same without following a master.
    Library,
    /// The least that any client has to do.
    Bare,
    /// Another client, to look at.
    Other,
}

/// What was done in a slice.
pub struct Done {
    /// How often.
    pub operations: u64,
    /// The processor time it took, where another process did it.
    pub cpu: Option<Duration>,
}

/// Repeats an operation for about this long.
pub type Work = Box<dyn FnMut(Duration) -> Done>;

/// The nanoseconds of one operation, on average over one slice.
#[derive(Clone, Copy)]
pub struct Sample {
    /// On the clock.
    pub wall: f64,
    /// On processors, in all threads of this process; `None` where the system does not tell.
    pub cpu: Option<f64>,
}

/// One of the ways in which a case is done.
pub struct Side {
    /// Its name in the table.
    pub name: &'static str,
    /// What it is to the comparison.
    pub part: Part,
    /// What was measured, by round.
    pub samples: Vec<Sample>,
    work: Work,
}

impl Side {
    /// A side that is not measured yet.
    pub fn new(name: &'static str, part: Part, work: Work) -> Side {
        Side { name, part, samples: Vec::new(), work }
    }

    fn slice(&mut self, length: Duration) -> Sample {
        let (begun, cpu_before) = (Instant::now(), cpu_time());
        let done = (self.work)(length);
        let (wall, cpu_after) = (begun.elapsed(), cpu_time());
        let own = cpu_before.zip(cpu_after).map(|(before, after)| after.saturating_sub(before));
        let (operations, cpu) = (done.operations as f64, done.cpu.or(own));
        Sample {
            wall: wall.as_nanos() as f64 / operations,
            cpu: cpu.map(|cpu| cpu.as_nanos() as f64 / operations),
        }
    }
}

/// One operation, done in several ways.
pub struct Case {
    /// Its name in the table.
    pub name: &'static str,
    /// The ways.
    pub sides: Vec<Side>,
}

impl Case {
    /// Measures every side once and forgets what it measured.
    pub fn warm_up(&mut self, slice: Duration) {
        for side in &mut self.sides {
            side.slice(slice);
        }
    }

    /// Measures every side once. Who begins changes with the round, and so does who follows whom.
    pub fn round(&mut self, round: usize, slice: Duration) {
        let count = self.sides.len();
        for turn in 0..count {
            let forward = (round + turn) % count;
            let backward = (round / count) % 2 == 1;
            let side = if backward { count - 1 - forward } else { forward };
            let sample = self.sides[side].slice(slice);
            self.sides[side].samples.push(sample);
        }
    }
}

/// An operation repeated by the calling thread. The clock is read once in `batch` operations, for
/// reading it takes a good part of a short one.
pub fn repeat(batch: u64, mut operation: impl FnMut() + 'static) -> Work {
    Box::new(move |length| Done {
        operations: repeat_for(length, batch, &mut operation),
        cpu: None,
    })
}

fn repeat_for(length: Duration, batch: u64, operation: &mut impl FnMut()) -> u64 {
    let end = Instant::now() + length;
    let mut operations = 0;
    loop {
        (0..batch).for_each(|_| operation());
        operations += batch;
        if Instant::now() >= end {
            return operations;
        }
    }
}

/// As [`repeat`], by so many threads at once; the operations of all of them count.
pub fn repeat_threaded(
    threads: usize,
    batch: u64,
    operation: impl Fn() + Clone + Send + 'static,
) -> Work {
    let crew = Crew::new(threads, batch, operation);
    Box::new(move |length| Done { operations: crew.work(length), cpu: None })
}

/// Threads that wait between slices, so that starting them is not measured.
struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What a crew and its threads have in common.
struct Shared {
    /// Passed by everybody before a slice and after it.
    barrier: Barrier,
    /// The length of the slice.
    nanos: AtomicU64,
    operations: AtomicU64,
    over: AtomicBool,
}

impl Crew {
    fn new(threads: usize, batch: u64, operation: impl Fn() + Clone + Send + 'static) -> Crew {
        let shared = Arc::new(Shared {
            barrier: Barrier::new(threads + 1),
            nanos: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let threads = iter::repeat_n((shared.clone(), operation), threads)
            .map(|(shared, mut operation)| {
                thread::spawn(move || {
                    let _end = EndOnPanic;
                    loop {
                        shared.barrier.wait();
                        if shared.over.load(Ordering::SeqCst) {
                            return;
                        }
                        let length = Duration::from_nanos(shared.nanos.load(Ordering::SeqCst));
                        let operations = repeat_for(length, batch, &mut operation);
                        shared.operations.fetch_add(operations, Ordering::SeqCst);
                        shared.barrier.wait();
                    }
                })
            })
            .collect();
        Crew { shared, threads }
    }

    fn work(&self, length: Duration) -> u64 {
        self.shared.nanos.store(length.as_nanos() as u64, Ordering::SeqCst);
        self.shared.operations.store(0, Ordering::SeqCst);
        self.shared.barrier.wait();
        self.shared.barrier.wait();
        self.shared.operations.load(Ordering::SeqCst)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Whatever failed, the process ends; the threads need not be waited for.
        if thread::panicking() {
            return;
        }
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.barrier.wait();
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread that only measures ends well");
        }
    }
}

/// Ends the process when its thread panics: the others would wait at the barrier for ever.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::exit(101);
        }
    }
}

/// The processor time of all threads of this process, in the kernel's calls too.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// Unknown on this system.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn cpu_time() -> Option<Duration> {
    None
}
