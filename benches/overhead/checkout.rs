//! Taking a handle and giving it back, against plain r2d2.

use std::{convert::Infallible, hint::black_box, time::Duration};

use switchmaster::{Builder, Factory};
use switchmaster_sandbox::{Cluster, wait_until};

use crate::harness::{Case, Part, Side, repeat, repeat_threaded};

/// Threads of the second case, and connections of both pools: nobody has to wait for one.
const THREADS: usize = 8;
/// Until all connections are there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Operations between two looks at the clock.
const BATCH: u64 = 64;

/// The cases.
pub fn cases(cluster: &Cluster) -> Vec<Case> {
    let factory = Builder::from_url(&cluster.url())
        .map(|builder| builder.max_size(THREADS as u32).min_idle(THREADS as u32))
        .and_then(Builder::build)
        .expect("a factory opens");
    // All connections are there beforehand, so that none is dialled while it is measured.
    let dialled = wait_until(PATIENCE, || factory.stats().idle == THREADS as u32);
    assert!(dialled, "not all connections are idle: {:?}", factory.stats());
    let plain = r2d2::Pool::builder()
        .max_size(THREADS as u32)
        .test_on_check_out(false)
        .build(Integers)
        .expect("integers are made without fail");

    vec![
        Case {
            name: "checkout + return, 1 thread",
            sides: vec![
                Side::new("Factory::get", Part::Subject, repeat(BATCH, through(&factory))),
                Side::new("r2d2", Part::Library, repeat(BATCH, plainly(&plain))),
            ],
        },
        Case {
            name: "checkout + return, 8 threads",
            sides: vec![
                Side::new(
                    "Factory::get",
                    Part::Subject,
                    repeat_threaded(THREADS, BATCH, through(&factory)),
                ),
                Side::new("r2d2", Part::Library, repeat_threaded(THREADS, BATCH, plainly(&plain))),
            ],
        },
    ]
}

fn through(factory: &Factory) -> impl Fn() + Clone + Send + 'static {
    let factory = factory.clone();
    move || drop(black_box(factory.get().expect("a handle")))
}

fn plainly(pool: &r2d2::Pool<Integers>) -> impl Fn() + Clone + Send + 'static {
    let pool = pool.clone();
    move || drop(black_box(pool.get().expect("an integer")))
}

/// Makes "connections" that cost nothing.
struct Integers;

impl r2d2::ManageConnection for Integers {
    type Connection = u64;
    type Error = Infallible;

    fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn is_valid(&self, _: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut u64) -> bool {
        false
    }
}
