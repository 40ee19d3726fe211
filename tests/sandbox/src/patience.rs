//! Waiting for a condition with a deadline, never for a guess of time: [`Patience`].

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{Error, ErrorKind, Result};

/// How often a condition is looked at.
pub(crate) const STEP: Duration = Duration::from_millis(5);

pub(crate) struct Patience {
    deadline: Instant,
    step: Duration,
}

impl Patience {
    pub(crate) fn until(deadline: Instant) -> Patience {
        Patience { deadline, step: STEP }
    }

    pub(crate) fn step(self, step: Duration) -> Patience {
        Patience { step, ..self }
    }

    /// Polls until the condition is `Ok(Ok(value))`. `Ok(Err(why))` is "not yet", `Err` ends the wait.
    pub(crate) fn try_for<T>(
        &self,
        mut condition: impl FnMut() -> Result<std::result::Result<T, String>>,
        describe: impl FnOnce(&str) -> String,
    ) -> Result<T> {
        loop {
            match condition()? {
                Ok(value) => return Ok(value),
                Err(why) if Instant::now() >= self.deadline => {
                    return Err(Error::new(ErrorKind::Timeout, describe(&why)));
                }
                Err(_) => thread::sleep(self.step),
            }
        }
    }
}

/// Polls a condition every few milliseconds until it is true, at most for `timeout`. What it was at last.
///
/// ```
/// use std::time::Duration;
/// assert!(switchmaster_sandbox::wait_until(Duration::from_secs(1), || 1 + 1 == 2));
/// ```
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(STEP);
    }
}
