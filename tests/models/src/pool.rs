//! What the shelf and its queue promise, as assertions that hold in every order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use loom::thread;

use crate::{
    models::{always, mostly},
    shelf::{Dated, Shelf},
    sync::{AtomicBool, Mutex},
};

/// In the place of r2d2: makes things, and has those that nobody wants.
struct Maker {
    /// The era, and how many idle things of it there are. What is of another is thrown away.
    idle: Mutex<(u64, usize)>,
    things: AtomicUsize,
}

impl Maker {
    fn make(self: &Arc<Self>, era: u64) -> Box<Thing> {
        self.things.fetch_add(1, Ordering::Relaxed);
        Box::new(Thing { era, maker: Arc::clone(self) })
    }
}

/// A connection of an era. Dropped, it goes back to where it was made.
struct Thing {
    era: u64,
    maker: Arc<Maker>,
}

impl Dated for Thing {
    fn era(&self) -> u64 {
        self.era
    }
}

impl Drop for Thing {
    fn drop(&mut self) {
        self.maker.things.fetch_sub(1, Ordering::Relaxed);
        let mut idle = self.maker.idle.lock();
        if self.era == idle.0 {
            idle.1 += 1;
        }
    }
}

/// The ways of `src/pool/mod.rs`, step by step, around things that nobody needs to dial.
struct Pool {
    shelf: Shelf<Thing>,
    maker: Arc<Maker>,
    closed: AtomicBool,
}

impl Pool {
    /// With so many things of era 1 on the shelf.
    fn with(things: usize, places: usize) -> Arc<Pool> {
        let pool = Arc::new(Pool {
            shelf: Shelf::new(places),
            maker: Arc::new(Maker { idle: Mutex::new((1, 0)), things: AtomicUsize::new(0) }),
            closed: AtomicBool::new(false),
        });
        pool.shelf.begin(1);
        for place in 0..things {
            pool.give_back(place, pool.maker.make(1));
        }
        pool
    }

    fn checkout(&self, place: usize, deadline: Instant) -> Option<Box<Thing>> {
        if self.shelf.room().is_empty()
            && let Some(thing) = self.find(place)
        {
            return Some(thing);
        }
        self.wait(place, deadline, || {})
    }

    /// Takes a place in the queue, then does something, then waits.
    fn wait(&self, place: usize, deadline: Instant, then: impl FnOnce()) -> Option<Box<Thing>> {
        let ticket = self.shelf.room().enter();
        then();
        while ticket.wait_until(deadline) {
            if let Some(thing) = self.find(place) {
                return Some(thing);
            }
            if self.closed.load(Ordering::SeqCst) {
                return None;
            }
        }
        None
    }

    fn find(&self, mut place: usize) -> Option<Box<Thing>> {
        self.shelf.take(&mut place).or_else(|| {
            let mut idle = self.maker.idle.lock();
            idle.1 = idle.1.checked_sub(1)?;
            Some(self.maker.make(idle.0))
        })
    }

    fn give_back(&self, place: usize, thing: Box<Thing>) {
        if let Some(refused) = self.shelf.lay(place, thing) {
            drop(refused);
            self.shelf.room().call();
        }
    }

    /// A switch to era 2, of which one thing is there beforehand.
    fn switch(&self) {
        *self.maker.idle.lock() = (2, 1);
        self.shelf.begin(2);
        self.shelf.sweep();
    }

    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.shelf.begin(0);
        *self.maker.idle.lock() = (0, 0);
        self.shelf.sweep();
    }

    /// How many things there are, wherever they are.
    fn things(&self) -> usize {
        self.maker.things.load(Ordering::Relaxed) + self.maker.idle.lock().1
    }
}

/// A deadline that never passes; see [`crate::sync::Condvar::wait_until`].
fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn passing() -> Instant {
    Instant::now()
}

/// Threads that each take something and give it back. One that waited in vain would wait for ever,
/// which loom reports.
fn takers(threads: usize, pool: &Arc<Pool>) {
    let others: Vec<_> = (1..threads)
        .map(|place| {
            let pool = Arc::clone(pool);
            thread::spawn(move || {
                let thing = pool.checkout(place, far()).expect("it is not closed");
                pool.give_back(place, thing);
            })
        })
        .collect();
    let thing = pool.checkout(0, far()).expect("it is not closed");
    pool.give_back(0, thing);
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(pool.shelf.room().is_empty());
}

#[test]
fn nobody_waits_while_something_lies_there() {
    always(|| {
        let pool = Pool::with(1, 1);
        takers(2, &pool);
        assert_eq!(pool.things(), 1);
    });
    mostly(|| {
        let pool = Pool::with(1, 2);
        takers(3, &pool);
        assert_eq!(pool.things(), 1);
    });
    mostly(|| {
        let pool = Pool::with(2, 2);
        takers(3, &pool);
        assert_eq!(pool.things(), 2);
    });
}

#[test]
fn two_that_come_back_to_one_place_are_both_found() {
    mostly(|| {
        let pool = Pool::with(2, 2);
        let [one, other] = [0, 1].map(|place| pool.find(place).expect("two lie there"));
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let first = pool.checkout(1, far()).expect("it is not closed");
                let second = pool.checkout(0, far()).expect("it is not closed");
                drop((first, second));
            })
        };
        let returner = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(0, one))
        };
        pool.give_back(0, other);
        returner.join().unwrap();
        waiter.join().unwrap();
        assert_eq!(pool.things(), 2);
    });
}

#[test]
fn they_are_served_in_the_order_in_which_they_came() {
    mostly(|| {
        let pool = Pool::with(1, 1);
        let thing = pool.find(0).expect("it lies there");
        let served = Arc::new(Mutex::new(Vec::new()));
        let serve = |number, pool: &Arc<Pool>, served: &Arc<Mutex<Vec<u32>>>, thing| {
            served.lock().push(number);
            pool.give_back(0, thing);
        };
        let first = {
            let (pool, served) = (Arc::clone(&pool), Arc::clone(&served));
            thread::spawn(move || {
                let mut second = None;
                let thing = pool.wait(0, far(), || {
                    // Comes when the first has a place in the queue, so it comes later.
                    let (pool, served) = (Arc::clone(&pool), Arc::clone(&served));
                    second = Some(thread::spawn(move || {
                        let thing = pool.checkout(0, far()).expect("it is not closed");
                        serve(2, &pool, &served, thing);
                    }));
                });
                serve(1, &pool, &served, thing.expect("it is not closed"));
                second.expect("it was started").join().unwrap();
            })
        };
        pool.give_back(0, thing);
        first.join().unwrap();
        assert_eq!(*served.lock(), [1, 2]);
    });
}

#[test]
fn who_gives_up_leaves_the_turn_to_the_next() {
    mostly(|| {
        let pool = Pool::with(1, 1);
        let thing = pool.find(0).expect("it lies there");
        let waiters = [passing(), far()].map(|deadline| {
            let pool = Arc::clone(&pool);
            thread::spawn(move || match pool.checkout(0, deadline) {
                Some(thing) => pool.give_back(0, thing),
                None => assert!(deadline <= Instant::now(), "it gave up before its deadline"),
            })
        });
        pool.give_back(0, thing);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(pool.things(), 1);
    });
}

#[test]
fn nothing_of_an_era_that_is_over_is_taken_or_left_behind() {
    always(|| {
        let pool = Pool::with(2, 2);
        let thing = pool.find(0).expect("it lies there");
        let returner = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(0, thing))
        };
        pool.switch();
        let mut place = 0;
        assert!(pool.shelf.take(&mut place).is_none(), "handed out after the switch");
        returner.join().unwrap();
        assert_eq!(pool.things(), 1, "only what was made for the new era is there");
    });
}

#[test]
fn nor_by_somebody_who_still_sweeps_after_the_switch_before() {
    always(|| {
        let pool = Pool::with(1, 2);
        let sweeper = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.shelf.sweep())
        };
        pool.switch();
        sweeper.join().unwrap();
        assert_eq!(pool.things(), 1, "only what was made for the new era is there");
    });
}

#[test]
fn whoever_waits_at_the_switch_gets_what_is_new() {
    mostly(|| {
        let pool = Pool::with(1, 1);
        let thing = pool.find(0).expect("it lies there");
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let thing = pool.checkout(0, far()).expect("it is not closed");
                let era = thing.era;
                pool.give_back(0, thing);
                era
            })
        };
        let returner = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(0, thing))
        };
        pool.switch();
        returner.join().unwrap();
        let era = waiter.join().unwrap();
        // It may have been served before the switch.
        assert!(era == 1 || era == 2);
        assert_eq!(pool.things(), 1);
    });
    always(|| {
        let pool = Pool::with(1, 1);
        // Nothing of the old era comes back.
        let _held = pool.find(0).expect("it lies there");
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.checkout(0, far()).map(|thing| thing.era))
        };
        pool.switch();
        assert_eq!(waiter.join().unwrap(), Some(2));
    });
}

#[test]
fn closing_wakes_whoever_waits_and_leaves_nothing() {
    mostly(|| {
        let pool = Pool::with(1, 1);
        let thing = pool.find(0).expect("it lies there");
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                if let Some(thing) = pool.checkout(0, far()) {
                    pool.give_back(0, thing);
                }
            })
        };
        let returner = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || pool.give_back(0, thing))
        };
        pool.close();
        waiter.join().unwrap();
        returner.join().unwrap();
        assert_eq!(pool.things(), 0);
        assert!(pool.shelf.room().is_empty());
    });
}
