//! Where the numbers of things lead to that several threads use at once.

use parking_lot::Mutex;

use super::{
    guard::Failure,
    id::{self, Kind},
};

/// Values by number. Whoever looks one up gets a copy (of an `Arc`), so it lives on for a call that
/// overlaps its removal.
pub(super) struct Shares<T> {
    kind: Kind,
    places: Mutex<Places<T>>,
}

struct Places<T> {
    all: Vec<Place<T>>,
    free: Vec<usize>,
}

struct Place<T> {
    generation: u32,
    value: Option<T>,
}

impl<T: Clone> Shares<T> {
    pub(super) const fn of(kind: Kind) -> Shares<T> {
        Shares { kind, places: Mutex::new(Places { all: Vec::new(), free: Vec::new() }) }
    }

    pub(super) fn add<N>(&self, value: T) -> Result<*mut N, Failure> {
        let mut places = self.places.lock();
        let index = match places.free.pop() {
            Some(index) => index,
            None if places.all.len() == id::PLACES => {
                return Err(Failure::internal("no number is left for another object"));
            }
            None => {
                places.all.push(Place { generation: 0, value: None });
                places.all.len() - 1
            }
        };
        let place = &mut places.all[index];
        place.generation = place.generation.wrapping_add(1);
        place.value = Some(value);
        Ok(id::number(self.kind, index, place.generation))
    }

    pub(super) fn get<N>(&self, pointer: *const N) -> Result<T, Failure> {
        let (index, generation) = id::place(self.kind, pointer)?;
        let places = self.places.lock();
        let place = places.all.get(index).filter(|place| place.generation == generation);
        place.and_then(|place| place.value.clone()).ok_or_else(|| id::over(self.kind))
    }

    pub(super) fn remove<N>(&self, pointer: *const N) -> Result<T, Failure> {
        let (index, generation) = id::place(self.kind, pointer)?;
        let mut places = self.places.lock();
        let place = places.all.get_mut(index).filter(|place| place.generation == generation);
        let value = place.and_then(|place| place.value.take());
        let value = value.ok_or_else(|| id::over(self.kind))?;
        places.free.push(index);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ptr,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use super::*;
    use crate::ffi::status::swm_status::{SWM_E_DEAD, SWM_E_NULL};

    fn empty<T: Clone>() -> Shares<T> {
        Shares::of(Kind::Factory)
    }

    #[test]
    fn what_was_added_is_there_until_it_is_removed() {
        let all = empty::<Arc<str>>();
        let one = all.add::<u8>("one".into()).expect("a number");
        let two = all.add::<u8>("two".into()).expect("a number");
        assert_ne!(one, two);
        assert_eq!(&*all.get(one).expect("it is there"), "one");
        let copy = all.get(one).expect("it is there");
        assert_eq!(&*all.remove(one).expect("it is there"), "one");
        assert_eq!(all.get(one).expect_err("it is over").status, SWM_E_DEAD);
        assert_eq!(all.remove(one).expect_err("it is over").status, SWM_E_DEAD);
        // Whoever has it keeps it, and the others are as they were.
        assert_eq!(&*copy, "one");
        assert_eq!(&*all.get(two).expect("it is there"), "two");
        assert_eq!(all.get::<u8>(ptr::null()).expect_err("NULL").status, SWM_E_NULL);
    }

    #[test]
    fn a_number_stays_over_when_its_place_is_taken_again() {
        let all = empty::<u32>();
        let mut before = Vec::new();
        for round in 0..100 {
            let number = all.add::<u8>(round).expect("a number");
            assert!(!before.contains(&number));
            for old in &before {
                let failure = all.get(*old).expect_err("it is over");
                assert!(failure.message.contains("closed before"), "{}", failure.message);
            }
            assert_eq!(all.remove(number).expect("it is there"), round);
            before.push(number);
        }
        assert_eq!(all.places.lock().all.len(), 1, "one place is enough for one at a time");
    }

    #[test]
    fn places_that_nobody_ever_had_are_told() {
        let all = empty::<u32>();
        all.add::<u8>(1).expect("a number");
        for (index, generation) in [(0, 0), (0, 2), (1, 1), (id::PLACES, u32::MAX)] {
            let stranger = id::number::<u8>(Kind::Factory, index, generation);
            assert_eq!(all.get(stranger).expect_err("nobody's").status, SWM_E_DEAD);
            assert_eq!(all.remove(stranger).expect_err("nobody's").status, SWM_E_DEAD);
        }
    }

    #[test]
    fn of_many_that_remove_a_number_one_does() {
        let all = empty::<usize>();
        let removed = AtomicUsize::new(0);
        for round in 0..200 {
            let number = all.add::<u8>(round).expect("a number") as usize;
            thread::scope(|scope| {
                let thread = |_| {
                    scope.spawn(|| {
                        if let Ok(value) = all.get(number as *const u8) {
                            assert_eq!(value, round);
                        }
                        if all.remove(number as *const u8).is_ok() {
                            removed.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                };
                // Joined one by one, which ThreadSanitizer understands.
                let threads: Vec<_> = (0..4).map(thread).collect();
                threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
            });
            assert_eq!(removed.load(Ordering::Relaxed), round + 1);
        }
    }

    #[test]
    fn threads_that_add_and_remove_meet_nobody_elses() {
        let all = empty::<(usize, usize)>();
        thread::scope(|scope| {
            for thread in 0..8 {
                let all = &all;
                scope.spawn(move || {
                    for round in 0..500 {
                        let own: Vec<_> = (0..3)
                            .map(|at| all.add::<u8>((thread, round * 3 + at)).expect("a number"))
                            .collect();
                        for (at, number) in own.into_iter().enumerate() {
                            let expected = (thread, round * 3 + at);
                            assert_eq!(all.get(number).expect("it is there"), expected);
                            assert_eq!(all.remove(number).expect("it is there"), expected);
                            assert!(all.get(number).is_err());
                        }
                    }
                });
            }
        });
        assert!(all.places.lock().all.len() <= 8 * 3, "places are taken again");
    }
}
