//! The comparison of the new master with the writes that the old one acknowledged: [`Account`].

use switchmaster::Address;

use super::{
    outcome::Slipped,
    progress::{Growth, Progress},
};

/// The two masters, and up to where the new one has the data of the old one.
pub(super) struct Account<'a> {
    pub(super) old: &'a Address,
    pub(super) to: &'a Address,
    /// The last offset of the old master's stream that the new one has; `None` where it does not report it.
    pub(super) cut: Option<u64>,
}

impl Account<'_> {
    /// Compares the progress of the old master at the pause with that at its demotion. Losses go to
    /// `wrong`, other information to `notes`.
    pub(super) fn settle(
        &self,
        still: Option<&Progress>,
        end: Option<&Progress>,
        wrong: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Option<Slipped> {
        let (old, to) = (self.old, self.to);
        let Some(still) = still else {
            wrong.extend(self.unpaused(end));
            return None;
        };
        if let Some(lacking) = self.cut.and_then(|cut| still.offset.checked_sub(cut + 1)) {
            wrong.push(format!(
                "{to} lacks the last {} bytes of what {old} had acknowledged when its writes were paused, \
                 and these are lost",
                lacking + 1
            ));
        }
        let Some(end) = end else {
            notes.push(format!(
                "{old} did not tell how far it was when it became a replica, so whether its pause held is \
                 not known"
            ));
            return None;
        };
        let cause = "another client has ended it, or its clock was set, or it took too long";
        match end.since(still) {
            Growth::Nothing => None,
            Growth::Messages { bytes } => {
                notes.push(format!(
                    "the pause of {old} did not hold ({cause}): {bytes} bytes of messages went through, and \
                     no data were changed"
                ));
                None
            }
            Growth::Writes { bytes, changes } => {
                let slipped = Slipped { changes, bytes };
                let what = match changes {
                    Some(changes) => format!("{changes} changes ({bytes} bytes)"),
                    None => format!("writes of {bytes} bytes"),
                };
                let beyond = self.cut.map(|cut| end.offset.saturating_sub(cut));
                match beyond.is_some_and(|beyond| end.are_pings(beyond, still)) {
                    true => notes.push(format!(
                        "the pause of {old} did not hold ({cause}): {what} went through, and {to} has them"
                    )),
                    false => wrong.push(format!(
                        "the pause of {old} did not hold ({cause}): {what} went through, and up to all of \
                         these are lost"
                    )),
                }
                Some(slipped)
            }
            Growth::Replaced => {
                wrong.push(format!(
                    "{old} has started again during its pause, and what it acknowledged since is lost"
                ));
                None
            }
        }
    }

    /// The promotion came after writes had been released.
    fn unpaused(&self, end: Option<&Progress>) -> Option<String> {
        let lost = self.cut.zip(end).map(|(cut, end)| end.offset.saturating_sub(cut));
        let amount = match lost {
            Some(0) => return None,
            Some(bytes) => format!(", {bytes} bytes,"),
            None => String::new(),
        };
        Some(format!(
            "the promotion came after writes had been let go on {}, so what it acknowledged from then until \
             its demotion{amount} is lost",
            self.old
        ))
    }
}
