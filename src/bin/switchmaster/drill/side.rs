//! One of the ways to switch that are compared: [`Side`].

use std::{
    thread,
    time::{Duration, Instant},
};

use switchmaster::Factory;

use super::arguments::SwitchOn;

/// Between two looks at whether all is well.
const STEP: Duration = Duration::from_millis(100);

/// A factory that switches in its way. It is used for all runs of a fault.
pub(crate) struct Side {
    pub(crate) switch_on: SwitchOn,
    pub(crate) factory: Factory,
}

impl Side {
    /// Waits until the factory, too, knows that all is well, as it usually does when something
    /// happens. Where it never does, the drill goes on all the same.
    pub(crate) fn settle(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.is_calm() && Instant::now() < deadline {
            self.factory.refresh();
            thread::sleep(STEP);
        }
    }

    fn is_calm(&self) -> bool {
        self.factory.topology().is_ok_and(|topology| {
            let well = topology.nodes.iter().all(|node| !node.down && node.link_up != Some(false));
            well && topology.troubled_since.is_none()
        })
    }
}
