//! The channels and patterns that a subscription is for: [`Wanted`].

use std::collections::{BTreeMap, BTreeSet};

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

/// One call that subscribes or unsubscribes. Its names travel in one command, so the server confirms
/// or refuses them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request(u64);

/// The state of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A server has confirmed it.
    Confirmed,
    /// No server has answered this request for it yet.
    Requested(Request),
}

/// Names with their states.
pub(super) type Names = BTreeMap<Vec<u8>, State>;

/// The names that are subscribed to, or will be as soon as that is possible.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    channels: Names,
    patterns: Names,
    requests: u64,
}

impl Wanted {
    fn of(&self, kind: Kind) -> &Names {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Names {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.patterns.is_empty()
    }

    /// All names of this kind, in the order of their bytes.
    pub(super) fn names(&self, kind: Kind) -> impl ExactSizeIterator<Item = &Vec<u8>> {
        self.of(kind).keys()
    }

    /// The names that a server has confirmed.
    pub(super) fn confirmed(&self, kind: Kind) -> impl Iterator<Item = &Vec<u8>> {
        let names = self.of(kind).iter().filter(|(_, state)| **state == State::Confirmed);
        names.map(|(name, _)| name)
    }

    /// The requests that no server has answered, each with its names.
    pub(super) fn requested(&self, kind: Kind) -> BTreeMap<Request, Vec<&Vec<u8>>> {
        let mut requests = BTreeMap::<_, Vec<_>>::new();
        for (name, state) in self.of(kind) {
            if let State::Requested(request) = state {
                requests.entry(*request).or_default().push(name);
            }
        }
        requests
    }

    pub(super) fn new_request(&mut self) -> Request {
        self.requests += 1;
        Request(self.requests)
    }

    /// Adds names, and returns those that are new.
    pub(super) fn add(
        &mut self,
        request: Request,
        kind: Kind,
        names: Vec<Vec<u8>>,
    ) -> BTreeSet<Vec<u8>> {
        let held = self.of_mut(kind);
        let is_new = |name: &Vec<u8>| !held.contains_key(name);
        let new: BTreeSet<_> = names.into_iter().filter(is_new).collect();
        held.extend(new.iter().map(|name| (name.clone(), State::Requested(request))));
        new
    }

    /// Removes names, and returns those that were there.
    pub(super) fn remove(&mut self, kind: Kind, names: &[Vec<u8>]) -> Names {
        let held = self.of_mut(kind);
        names.iter().filter_map(|name| held.remove_entry(name)).collect()
    }

    /// Puts back removed names.
    pub(super) fn restore(&mut self, kind: Kind, names: Names) {
        self.of_mut(kind).extend(names);
    }

    /// The server confirmed this request.
    pub(super) fn confirm(&mut self, request: Request) {
        for state in self.channels.values_mut().chain(self.patterns.values_mut()) {
            if *state == State::Requested(request) {
                *state = State::Confirmed;
            }
        }
    }

    /// The server refused this request: removes its names and returns them.
    pub(super) fn refuse(&mut self, request: Request) -> Vec<(Kind, Vec<u8>)> {
        let mut refused = Vec::new();
        for kind in Kind::ALL {
            self.of_mut(kind).retain(|name, state| {
                let keep = *state != State::Requested(request);
                if !keep {
                    refused.push((kind, name.clone()));
                }
                keep
            });
        }
        refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn only_changes_are_requested() {
        let mut wanted = Wanted::default();
        let request = wanted.new_request();
        assert_eq!(wanted.add(request, Kind::Channel, names(&["a", "b", "a"])).len(), 2);
        assert!(wanted.add(request, Kind::Channel, names(&["b"])).is_empty());
        assert!(wanted.remove(Kind::Pattern, &names(&["b"])).is_empty());
        assert_eq!(wanted.remove(Kind::Channel, &names(&["a", "c"])).len(), 1);
        assert_eq!(wanted.names(Kind::Channel).len(), 1);
        assert!(!wanted.is_empty());
        wanted.remove(Kind::Channel, &names(&["b"]));
        assert!(wanted.is_empty());
    }

    #[test]
    fn a_refused_request_takes_its_own_names_and_no_others() {
        let mut wanted = Wanted::default();
        let [first, second, third] = [(); 3].map(|()| wanted.new_request());
        wanted.add(first, Kind::Channel, names(&["a", "b"]));
        wanted.confirm(first);
        wanted.add(second, Kind::Channel, names(&["b", "c", "d"]));
        wanted.add(third, Kind::Pattern, names(&["c*"]));
        // Removed and added again, it belongs to the later request.
        wanted.remove(Kind::Channel, &names(&["d"]));
        wanted.add(third, Kind::Channel, names(&["d"]));
        assert_eq!(wanted.requested(Kind::Channel)[&third], [b"d"]);
        assert_eq!(wanted.refuse(second), [(Kind::Channel, b"c".to_vec())]);
        assert!(wanted.refuse(second).is_empty());
        wanted.confirm(third);
        assert_eq!(wanted.confirmed(Kind::Channel).collect::<Vec<_>>(), [b"a", b"b", b"d"]);
        assert_eq!(wanted.confirmed(Kind::Pattern).collect::<Vec<_>>(), [b"c*"]);
        assert!(wanted.refuse(first).is_empty(), "it was confirmed");
    }

    #[test]
    fn restored_names_have_the_state_that_they_had() {
        let mut wanted = Wanted::default();
        let [first, second] = [(); 2].map(|()| wanted.new_request());
        wanted.add(first, Kind::Channel, names(&["a"]));
        wanted.confirm(first);
        wanted.add(second, Kind::Channel, names(&["b"]));
        let removed = wanted.remove(Kind::Channel, &names(&["a", "b"]));
        wanted.restore(Kind::Channel, removed);
        assert_eq!(wanted.confirmed(Kind::Channel).collect::<Vec<_>>(), [b"a"]);
        assert_eq!(wanted.requested(Kind::Channel)[&second], [b"b"]);
    }
}
