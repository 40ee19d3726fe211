//! A machine in place of one that failed: it keeps what is served, and nothing that was concluded.

use std::time::Instant;

use crate::address::Address;

use super::{
    doubt::Doubt,
    machine::{Machine, Master},
};

impl Machine {
    /// Returns a machine that serves the same master under the same generation and knows nothing else
    /// of the service: it starts from the sentinels again. Reads plain fields only, because the
    /// fault may have left the others half changed.
    ///
    /// A hold stays up for at most its timeout, an unconfirmed master stays unconfirmed, and a
    /// quarantine stays. `served` is the generation that users have and its address: the fault may
    /// have come between two masters.
    pub(crate) fn rebuilt(&self, now: Instant, served: Option<(u64, &Address)>) -> Machine {
        let unconfirmed = self.doubt.unconfirmed.clone();
        let newer = |master: &&Master| served.is_none_or(|(number, _)| master.generation >= number);
        let master = self.master.as_ref().filter(newer).cloned();
        let master = master.or_else(|| {
            let (generation, address) = served?;
            Some(Master { address: address.clone(), epoch: None, generation, run_id: None })
        });
        Machine {
            last: self.last,
            master,
            left: self.left.clone(),
            roster: self.roster.kept(),
            nodes: self.nodes.kept(),
            holding: self.holding.kept(now + self.rules.fence_timeout),
            doubt: Doubt { unconfirmed, told: self.doubt.told, ..Doubt::default() },
            ..Machine::new(self.rules.clone())
        }
    }
}
