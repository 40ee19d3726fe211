//! A counter that survives failovers: `cargo run --example counter -- redis+sentinel://HOST/SERVICE`.
//!
//! It counts as fast as the master answers and prints once a second where it stands, and what the
//! factory tells meanwhile. Stop or freeze the master and look.

use std::{
    env, thread,
    time::{Duration, Instant},
};

use redis::Commands;
use switchmaster::{Factory, Outcome};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = env::args().nth(1).ok_or("usage: counter redis+sentinel://HOST[,HOST…]/SERVICE")?;
    let factory = Factory::open(&url)?;
    let events = factory.events();
    thread::spawn(move || events.iter().for_each(|event| println!("{event}")));
    let mut told = Instant::now();
    loop {
        // INCR is not idempotent, so it is repeated only when it was certainly not sent.
        match factory.run(|redis| redis.incr::<_, _, u64>("counter", 1)) {
            Ok(count) if told.elapsed() >= Duration::from_secs(1) => {
                println!("{count} on generation {}", factory.generation());
                told = Instant::now();
            }
            Ok(_) => {}
            Err(error) if Outcome::of(&error) == Outcome::Unknown => {
                println!("may or may not have counted: {error}");
            }
            Err(error) => println!("not counted: {error}"),
        }
    }
}
