//! What a proxy does: [`Fault`].

use std::time::Duration;

/// What the proxy does to its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Pass,
    Delay(Duration),
    BlackHole,
    Refuse,
    CutAfter(usize),
    HalfOpen,
    SwallowPubsub,
    ClockAhead(Duration),
}

impl Fault {
    /// Whether it is about whole frames, so that none may pass before its end is there.
    pub(super) fn is_about_frames(self) -> bool {
        matches!(self, Fault::SwallowPubsub | Fault::ClockAhead(_))
    }
}
