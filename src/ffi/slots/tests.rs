use std::{
    collections::HashSet,
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::*;
use crate::ffi::status::swm_status::{SWM_E_BUSY, SWM_E_DEAD, SWM_E_NULL};

fn empty<T: Default + Send>() -> Slots<T> {
    Slots::of(Kind::Handle)
}

fn add(all: &Slots<usize>, spare: &Spare, value: usize) -> *mut u8 {
    all.add(spare, |own| *own = value).expect("a number")
}

fn remove(all: &Slots<usize>, spare: &Spare, number: *const u8) -> Result<usize, Failure> {
    all.remove(number, spare, std::mem::take)
}

#[test]
fn what_was_added_is_there_until_it_is_removed() {
    let (all, spare) = (empty(), Spare::none());
    let one = add(&all, &spare, 1);
    let two = add(&all, &spare, 2);
    assert_ne!(one, two);
    assert_eq!(*all.get(one).expect("it is there").get(), 1);
    *all.get(one).expect("it is there").get() = 7;
    assert_eq!(remove(&all, &spare, one).expect("it is there"), 7);
    for failure in [all.get(one).err(), remove(&all, &spare, one).err()] {
        let failure = failure.expect("it is over");
        assert_eq!(failure.status, SWM_E_DEAD);
        assert!(failure.message.contains("released before"), "{}", failure.message);
    }
    assert_eq!(*all.get(two).expect("it is there").get(), 2);
    assert_eq!(all.get::<u8>(ptr::null()).err().expect("NULL").status, SWM_E_NULL);
}

#[test]
fn a_number_stays_over_when_its_slot_is_taken_again() {
    let (all, spare) = (empty(), Spare::none());
    let mut before = Vec::new();
    for round in 0..100 {
        let number = add(&all, &spare, round);
        assert!(!before.contains(&number));
        assert!(before.iter().all(|old| all.get(*old).is_err()));
        assert!(before.iter().all(|old| remove(&all, &spare, *old).is_err()));
        assert_eq!(remove(&all, &spare, number).expect("it is there"), round);
        before.push(number);
    }
    assert_eq!(all.free.lock().made, 1, "one slot is enough for one at a time");
}

#[test]
fn a_number_in_use_is_busy_for_the_others() {
    let (all, spare) = (empty(), Spare::none());
    let number = add(&all, &spare, 1);
    let mut held = all.get(number).expect("it is there");
    let busy = |failure: Option<Failure>| {
        let failure = failure.expect("it is in use");
        assert_eq!(failure.status, SWM_E_BUSY);
        assert!(failure.message.contains("swm_handle"), "{}", failure.message);
    };
    busy(all.get(number).err());
    busy(remove(&all, &spare, number).err());
    assert_eq!(*held.get(), 1);
    drop(held);
    assert_eq!(remove(&all, &spare, number).expect("it is there"), 1);
}

#[test]
fn slots_that_nobody_ever_had_are_told() {
    let (all, spare) = (empty(), Spare::none());
    let number = add(&all, &spare, 1);
    let (index, generation) = id::place(Kind::Handle, number).expect("a place");
    let strangers = [
        (index, generation - 1),
        (index, generation + 1),
        (index + 1, 1),
        (FIRST - 1, 0),
        (FIRST, 1),
        (id::PLACES, u32::MAX),
    ];
    for (index, generation) in strangers {
        let stranger = id::number::<u8>(Kind::Handle, index, generation);
        assert_eq!(all.get(stranger).err().expect("nobody's").status, SWM_E_DEAD);
        assert_eq!(remove(&all, &spare, stranger).expect_err("nobody's").status, SWM_E_DEAD);
    }
    let foreign = id::number::<u8>(Kind::Factory, index, generation);
    assert_eq!(all.get(foreign).err().expect("another type").status, SWM_E_DEAD);
}

#[test]
fn every_index_has_a_slot_of_its_own() {
    let mut next = (0, 0);
    for index in 0..FIRST * 1000 {
        assert_eq!(Slots::<usize>::locate(index), next);
        next.1 += 1;
        if next.1 == FIRST << next.0 {
            next = (next.0 + 1, 0);
        }
    }
    let last = FIRST * ((1 << RUNS) - 1) - 1;
    assert_eq!(Slots::<usize>::locate(last), (RUNS - 1, (FIRST << (RUNS - 1)) - 1));
    assert_eq!(Slots::<usize>::locate(id::PLACES).0, RUNS, "beyond the last run");
}

#[test]
fn many_at_once_have_their_own_values() {
    let (all, spare) = (empty(), Spare::none());
    let numbers: Vec<_> = (0..20 * FIRST).map(|value| add(&all, &spare, value)).collect();
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
    for (value, number) in numbers.iter().enumerate() {
        assert_eq!(*all.get(*number).expect("it is there").get(), value);
    }
    for (value, number) in numbers.iter().enumerate() {
        assert_eq!(remove(&all, &spare, *number).expect("it is there"), value);
    }
    // One is kept for this thread, and the others are for everybody.
    assert_eq!(all.free.lock().indices.len(), numbers.len() - 1);
    all.put_back(&spare);
    assert_eq!(all.free.lock().indices.len(), numbers.len());
    all.put_back(&spare);
    assert_eq!(all.free.lock().indices.iter().collect::<HashSet<_>>().len(), numbers.len());
}

#[test]
fn threads_that_add_and_remove_meet_nobody_elses() {
    let all = empty();
    thread::scope(|scope| {
        for thread in 0..8 {
            let all = &all;
            scope.spawn(move || {
                let spare = Spare::none();
                for round in 0..500 {
                    let values = (0..3).map(|at| thread * 10_000 + round * 3 + at);
                    let own: Vec<_> =
                        values.map(|value| (value, add(all, &spare, value))).collect();
                    for (value, number) in own {
                        assert_eq!(*all.get(number).expect("it is there").get(), value);
                        assert_eq!(remove(all, &spare, number).expect("it is there"), value);
                        assert!(all.get(number).is_err());
                    }
                }
                all.put_back(&spare);
            });
        }
    });
    let free = all.free.lock();
    assert!(free.made <= 8 * 4, "{} slots were made", free.made);
    assert_eq!(free.indices.len(), free.made, "all of them are free");
}

#[test]
fn threads_that_fight_for_a_number_use_it_one_at_a_time() {
    let (all, spare) = (empty(), Spare::none());
    let number = add(&all, &spare, 0) as usize;
    let used = AtomicUsize::new(0);
    thread::scope(|scope| {
        let thread = |_| {
            scope.spawn(|| {
                for _ in 0..2000 {
                    match all.get(number as *const u8) {
                        Ok(mut held) => {
                            let value = held.get();
                            *value = std::hint::black_box(*value) + 1;
                            used.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(failure) => assert_eq!(failure.status, SWM_E_BUSY),
                    }
                }
            })
        };
        let threads: Vec<_> = (0..8).map(thread).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    });
    let used = used.into_inner();
    assert!(used > 0);
    assert_eq!(remove(&all, &spare, number as *const u8).expect("it is there"), used);
}

#[test]
fn of_many_that_remove_a_number_one_does() {
    let all = empty();
    for round in 1..200 {
        let spare = Spare::none();
        let number = add(&all, &spare, round) as usize;
        let removed = AtomicUsize::new(0);
        thread::scope(|scope| {
            let thread = |_| {
                scope.spawn(|| {
                    let spare = Spare::none();
                    loop {
                        match remove(&all, &spare, number as *const u8) {
                            Ok(value) => {
                                assert_eq!(value, round);
                                removed.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(failure) if failure.status == SWM_E_BUSY => continue,
                            Err(failure) => assert_eq!(failure.status, SWM_E_DEAD),
                        }
                        break;
                    }
                    all.put_back(&spare);
                })
            };
            // Joined one by one, which ThreadSanitizer understands.
            let threads: Vec<_> = (0..4).map(thread).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        });
        assert_eq!(removed.into_inner(), 1);
    }
    assert_eq!(all.free.lock().made, 1);
}
