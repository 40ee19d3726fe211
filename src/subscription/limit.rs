//! The deadline of one call: [`Limit`].

use std::time::Instant;

/// Reads of the socket that a call may make after its deadline, so that a call that does not wait finds
/// what has arrived. One read brings at most what the system holds for the socket.
const LATE_READS: u32 = 16;

/// The limit of one call's duration, which also holds while the server sends bytes without end.
pub(super) struct Limit {
    deadline: Option<Instant>,
    late_reads: u32,
}

impl Limit {
    /// Ends at `deadline`, or never.
    pub(super) fn until(deadline: Option<Instant>) -> Limit {
        Limit { deadline, late_reads: LATE_READS }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Returns true when the call may read from the socket once more.
    pub(super) fn permits_read(&mut self) -> bool {
        if !self.is_over() {
            return true;
        }
        let permits = self.late_reads > 0;
        self.late_reads = self.late_reads.saturating_sub(1);
        permits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn reads_after_the_deadline_are_counted_and_those_before_are_not() {
        let mut endless = Limit::until(None);
        let mut early = Limit::until(Some(Instant::now() + Duration::from_secs(3600)));
        for _ in 0..10 * LATE_READS {
            assert!(endless.permits_read() && early.permits_read());
        }
        assert!(!endless.is_over() && !early.is_over());
        let mut late = Limit::until(Some(Instant::now()));
        assert!(late.is_over());
        assert!((0..LATE_READS).all(|_| late.permits_read()));
        assert!(!late.permits_read());
        assert!(!late.permits_read());
    }
}
