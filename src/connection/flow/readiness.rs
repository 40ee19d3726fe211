//! What a call for a stream would wait for, for a caller that must not wait in it.

use std::time::{Duration, Instant};

use super::{Connection, Interest};

/// A connection at rest has as much room for what goes out.
const ROOM: usize = 16 << 10;

/// What [`Handle::send`](crate::Handle::send) or [`Handle::receive`](crate::Handle::receive) would wait
/// for, if it were called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing: it would return at once, with its result or an error.
    Ready,
    /// Bytes: it would wait until the handle's descriptor is readable, and fail after so long; `None`
    /// is without end.
    Descriptor(Option<Duration>),
    /// The fence, another connection, or room for what is to be sent. No descriptor tells when that is
    /// over.
    Elsewhere,
}

impl Connection {
    /// What [`Connection::send`] would wait for. It never gives `Descriptor`.
    pub(crate) fn readiness_to_send(&self, bytes: usize) -> Readiness {
        let rests = self.is_at_rest();
        if !self.gate.is_still_open() || (rests && !(self.clean && self.link.decoder.is_empty())) {
            return Readiness::Elsewhere;
        }
        // What is longer may wait in its midst.
        let fits = bytes <= ROOM && (rests || self.is_now(Interest::Write));
        if fits { Readiness::Ready } else { Readiness::Elsewhere }
    }

    /// What [`Connection::receive`] would wait for.
    pub(crate) fn readiness_to_receive(&self) -> Readiness {
        let Some(flow) = &self.flow else { return Readiness::Ready };
        if self.gate.is_retired() || (flow.is_at_rest() && !self.state.listens()) {
            return Readiness::Ready;
        }
        if flow.overlapped || !self.gate.is_still_open() {
            return Readiness::Elsewhere;
        }
        if !flow.early.is_empty() || self.is_now(Interest::Read) {
            return Readiness::Ready;
        }
        let Some(deadline) = flow.deadline.filter(|_| self.awaits(flow)) else {
            return Readiness::Descriptor(None);
        };
        match deadline.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Readiness::Ready,
            left => Readiness::Descriptor(Some(left)),
        }
    }

    fn is_now(&self, interest: Interest) -> bool {
        self.link.stream.wait(interest, Some(Instant::now())).is_ok()
    }
}
