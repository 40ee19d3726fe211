//! Numbers that C holds as pointers.
//!
//! A pointer that was released and one that was never given out cannot be told apart by following
//! them. A number can be looked up, and nothing is followed. Its generation counts how often the place
//! that it names was taken, so it stays wrong when the place is taken again.

use super::guard::Failure;

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "the C interface needs pointers of 64 bits: what it hands out are numbers of that size"
);

/// What a number is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Options = 1,
    Factory = 2,
    Handle = 3,
    Subscription = 4,
}

impl Kind {
    fn of(bits: u64) -> Option<Kind> {
        [Kind::Options, Kind::Factory, Kind::Handle, Kind::Subscription]
            .into_iter()
            .find(|kind| *kind as u64 == bits)
    }

    /// As the header calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Options => "swm_options",
            Kind::Factory => "swm_factory",
            Kind::Handle => "swm_handle",
            Kind::Subscription => "swm_subscription",
        }
    }

    /// How one ends.
    fn end(self) -> &'static str {
        match self {
            Kind::Options => "freed",
            Kind::Factory | Kind::Subscription => "closed",
            Kind::Handle => "released",
        }
    }
}

/// In the highest bits of every number. No system maps memory at such an address, so whoever follows
/// one by mistake is stopped by the processor.
const MARK: u64 = 0b1010;
const MARK_AT: u32 = 60;
const KIND_AT: u32 = 56;
const GENERATION_AT: u32 = 24;
const INDEX: u64 = (1 << GENERATION_AT) - 1;
const GENERATION: u64 = (1 << (KIND_AT - GENERATION_AT)) - 1;

/// A number for a place that has been taken so many times.
pub(super) fn number<T>(kind: Kind, index: usize, generation: u32) -> *mut T {
    let bits = MARK << MARK_AT
        | (kind as u64) << KIND_AT
        | u64::from(generation) << GENERATION_AT
        | index as u64 & INDEX;
    bits as usize as *mut T
}

/// So many places can be told apart.
pub(super) const PLACES: usize = INDEX as usize;

/// The place that a number is for, and how often it had been taken; a failure that says what else
/// the pointer is.
#[inline]
pub(super) fn place<T>(kind: Kind, pointer: *const T) -> Result<(usize, u32), Failure> {
    let bits = pointer as usize as u64;
    if bits >> KIND_AT == MARK << (MARK_AT - KIND_AT) | kind as u64 {
        return Ok(((bits & INDEX) as usize, (bits >> GENERATION_AT & GENERATION) as u32));
    }
    Err(foreign(kind, bits))
}

#[cold]
fn foreign(kind: Kind, bits: u64) -> Failure {
    let name = kind.name();
    if bits == 0 {
        return Failure::null(name);
    }
    let other = (bits >> MARK_AT == MARK).then(|| Kind::of(bits >> KIND_AT & 0xf)).flatten();
    Failure::dead(match other {
        Some(other) => format!("a {} was passed where a {name} is expected", other.name()),
        None => format!("{bits:#x} is no {name}: it was not given out by this library"),
    })
}

/// The failure of a number that was given out and is over.
#[cold]
pub(super) fn over(kind: Kind) -> Failure {
    Failure::dead(format!("this {} was {} before, or was never given out", kind.name(), kind.end()))
}

/// The failure of a number that another thread is using.
#[cold]
pub(super) fn busy(kind: Kind) -> Failure {
    Failure::busy(format!(
        "this {} is in use by another thread; one thread at a time may use it",
        kind.name()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::status::swm_status::{SWM_E_DEAD, SWM_E_NULL};

    const KINDS: [Kind; 4] = [Kind::Options, Kind::Factory, Kind::Handle, Kind::Subscription];

    #[test]
    fn a_number_leads_to_its_place() {
        for kind in KINDS {
            for index in [0, 1, 63, 64, PLACES - 1, PLACES] {
                for generation in [0, 1, u32::MAX] {
                    let pointer = number::<u8>(kind, index, generation);
                    assert_eq!(place(kind, pointer).expect("a place"), (index, generation));
                }
            }
        }
    }

    #[test]
    fn numbers_of_other_types_are_told_by_name() {
        for kind in KINDS {
            for other in KINDS.into_iter().filter(|other| *other != kind) {
                let failure = place(kind, number::<u8>(other, 5, 7)).expect_err("another type");
                assert_eq!(failure.status, SWM_E_DEAD);
                let expected =
                    format!("a {} was passed where a {} is expected", other.name(), kind.name());
                assert_eq!(failure.message, expected);
            }
        }
    }

    #[test]
    fn what_is_no_number_is_quoted_and_null_is_null() {
        let local = 5u64;
        let mark_alone = MARK << MARK_AT;
        let numbers = [1, 0xdead_beef, u64::MAX, mark_alone, mark_alone | 9 << KIND_AT];
        let addresses = numbers.map(|bits| bits as usize as *const u64).into_iter();
        for kind in KINDS {
            for pointer in addresses.clone().chain([&raw const local]) {
                let failure = place(kind, pointer).expect_err("no number");
                assert_eq!(failure.status, SWM_E_DEAD);
                assert!(failure.message.contains(kind.name()), "{}", failure.message);
                assert!(failure.message.starts_with(&format!("{:#x} ", pointer as usize)));
            }
            let failure = place(kind, std::ptr::null::<u8>()).expect_err("NULL");
            assert_eq!(failure.status, SWM_E_NULL);
        }
    }

    #[test]
    fn no_number_is_an_address() {
        // What x86-64 and AArch64 map has its highest bits all alike.
        for kind in KINDS {
            let bits = number::<u8>(kind, PLACES, u32::MAX) as usize as u64;
            assert_ne!(bits >> 57, 0);
            assert_ne!(bits >> 57, u64::MAX >> 57);
        }
    }
}
