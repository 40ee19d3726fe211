//! The writer in Rust.

use std::{
    io::{self, Read, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use redis::Commands;
use rustix::time::{ClockId, clock_gettime};
use switchmaster::{Factory, Outcome};

/// The first argument of its process.
pub const ROLE: &str = "writer";

/// What is shorter is no pause.
const PAUSE_NS: u64 = 20_000_000;

/// Nanoseconds of CLOCK_MONOTONIC, which all processes share.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub fn run(url: &str, key: &str) -> ExitCode {
    let ended = Arc::new(AtomicBool::new(false));
    let waiting = ended.clone();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        waiting.store(true, Ordering::Relaxed);
    });
    let factory = Factory::open(url).expect("a factory opens");
    let (mut last, mut acknowledged, mut unknown) = (0, 0u64, 0u64);
    let say = |line: String| {
        let _ = writeln!(io::stdout(), "{line}");
    };
    while !ended.load(Ordering::Relaxed) {
        let Ok(mut redis) = factory.get() else { continue };
        match redis.incr::<_, _, i64>(key, 1) {
            Ok(_) => {
                let now = now();
                acknowledged += 1;
                if acknowledged == 1 {
                    say("ready".to_owned());
                } else if now - last >= PAUSE_NS {
                    say(format!("pause {last} {now}"));
                }
                last = now;
            }
            Err(error) => unknown += u64::from(Outcome::of(&error) != Outcome::NotSent),
        }
    }
    say(format!("end {acknowledged} {unknown}"));
    ExitCode::SUCCESS
}
