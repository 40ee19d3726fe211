//! What a subscription is for: channels and patterns.

use std::collections::BTreeSet;

/// The two ways to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Pattern,
}

impl Kind {
    pub(super) const ALL: [Kind; 2] = [Kind::Channel, Kind::Pattern];

    pub(super) fn command(self, begins: bool) -> &'static str {
        match (self, begins) {
            (Kind::Channel, true) => "SUBSCRIBE",
            (Kind::Channel, false) => "UNSUBSCRIBE",
            (Kind::Pattern, true) => "PSUBSCRIBE",
            (Kind::Pattern, false) => "PUNSUBSCRIBE",
        }
    }
}

/// What is subscribed to, or will be as soon as that is possible.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
}

impl Wanted {
    pub(super) fn of(&self, kind: Kind) -> &BTreeSet<Vec<u8>> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    /// Adds these or takes them away; gives those for which that was a change.
    pub(super) fn change(
        &mut self,
        kind: Kind,
        begins: bool,
        names: Vec<Vec<u8>>,
    ) -> BTreeSet<Vec<u8>> {
        let held = match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        };
        let changes = |name: &Vec<u8>| {
            if begins { held.insert(name.clone()) } else { held.remove(name) }
        };
        names.into_iter().filter(changes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_asked_for() {
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut wanted = Wanted::default();
        let changed = wanted.change(Kind::Channel, true, names(&["a", "b", "a"]));
        assert_eq!(changed.len(), 2);
        assert!(wanted.change(Kind::Channel, true, names(&["b"])).is_empty());
        assert!(wanted.change(Kind::Pattern, false, names(&["b"])).is_empty());
        assert_eq!(wanted.change(Kind::Channel, false, names(&["a", "c"])).len(), 1);
        assert_eq!(wanted.of(Kind::Channel).len(), 1);
        assert!(!wanted.is_empty());
        wanted.change(Kind::Channel, false, names(&["b"]));
        assert!(wanted.is_empty());
    }
}
