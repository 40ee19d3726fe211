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
