//! The account: how many commands ran on the current master, and which of them may be lost when
//! another one takes its place.
//!
//! What a master ran after its successor was promoted is lost, and nobody tells when that was: the
//! news may have been held up in the network. So it is counted from the last proof that nobody had
//! been promoted yet, by how many commands had run when the question was sent that it answers.

use std::collections::HashMap;

use crate::address::Address;

/// How many commands ran on the current master, by what was known of it then.
#[derive(Default)]
pub(super) struct Account {
    sentinels: HashMap<Address, Proofs>,
    nodes: HashMap<Address, Proofs>,
    /// How many had run when the doubt began that is open now.
    doubt: Option<u64>,
}

/// How many commands had run when somebody was asked what.
#[derive(Default)]
struct Proofs {
    /// The question that is open.
    asked: Option<u64>,
    /// The last one that was answered, …
    latest: Option<u64>,
    /// … and the one before it.
    earlier: Option<u64>,
}

impl Proofs {
    fn ask(&mut self, commands: u64) {
        self.asked.get_or_insert(commands);
    }

    /// With several questions under way, the first answer counts, as one to the first question.
    fn answer(&mut self, proves: bool) {
        if let Some(asked) = self.asked.take().filter(|_| proves) {
            self.earlier = self.latest.replace(asked);
        }
    }
}

impl Account {
    /// A sentinel is being asked something.
    pub(super) fn asks_sentinel(&mut self, sentinel: &Address, commands: u64) {
        self.sentinels.entry(sentinel.clone()).or_default().ask(commands);
    }

    /// A sentinel answered. If all is `well`, as far as is known, it has told of no failover yet.
    pub(super) fn sentinel_answers(&mut self, sentinel: &Address, well: bool) {
        if let Some(proofs) = self.sentinels.get_mut(sentinel) {
            proofs.answer(well);
        }
    }

    /// A sentinel is no longer asked: it proves nothing any more.
    pub(super) fn forget_sentinel(&mut self, sentinel: &Address) {
        self.sentinels.remove(sentinel);
    }

    /// A node is being asked for its ROLE.
    pub(super) fn asks_node(&mut self, node: &Address, commands: u64) {
        self.nodes.entry(node.clone()).or_default().ask(commands);
    }

    /// A node answered, and follows the current master or does not.
    pub(super) fn node_answers(&mut self, node: &Address, follows: bool) {
        if let Some(proofs) = self.nodes.get_mut(node) {
            proofs.answer(follows);
        }
    }

    /// A node is no longer asked.
    pub(super) fn forget_node(&mut self, node: &Address) {
        self.nodes.remove(node);
    }

    /// How many commands had run when so many sentinels last proved that all was well. The last
    /// answer of each does not count: what it had published before may arrive after it, on the
    /// second connection of a sentinel that speaks RESP2.
    fn proved_by_sentinels(&self, majority: usize) -> u64 {
        let mut proofs: Vec<u64> =
            self.sentinels.values().filter_map(|proofs| proofs.earlier).collect();
        proofs.sort_unstable_by(|one, other| other.cmp(one));
        majority.checked_sub(1).and_then(|index| proofs.get(index).copied()).unwrap_or(0)
    }

    /// What runs from now on may be lost, and what ran since a majority was last heard; or, without
    /// one, whatever runs on this master.
    pub(super) fn doubt(&mut self, majority: Option<usize>) {
        self.doubt = Some(majority.map_or(0, |majority| self.proved_by_sentinels(majority)));
    }

    /// The doubt is over: what had run when it began.
    pub(super) fn trust(&mut self) -> Option<u64> {
        self.doubt.take()
    }

    /// This node takes the master's place: how many commands had run when it was certainly not
    /// promoted yet, and whether there was a doubt.
    pub(super) fn close(self, successor: Option<&Address>, majority: usize) -> (u64, bool) {
        if let Some(since) = self.doubt {
            return (since, true);
        }
        let node = successor.and_then(|node| self.nodes.get(node)?.latest).unwrap_or(0);
        (node.max(self.proved_by_sentinels(majority)), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(port: u16) -> Address {
        Address::new("h", port).unwrap()
    }

    fn asked_and_answered(account: &mut Account, sentinel: u16, commands: u64) {
        account.asks_sentinel(&name(sentinel), commands);
        account.sentinel_answers(&name(sentinel), true);
    }

    #[test]
    fn a_majority_proves_what_its_least_recent_member_proved() {
        let mut account = Account::default();
        for (sentinel, commands) in [(1, 10), (2, 20), (3, 30), (1, 40), (2, 50), (3, 60)] {
            asked_and_answered(&mut account, sentinel, commands);
        }
        assert_eq!(account.proved_by_sentinels(1), 30);
        assert_eq!(account.proved_by_sentinels(2), 20);
        assert_eq!(account.proved_by_sentinels(4), 0);
        assert_eq!(account.close(None, 2), (20, false));
    }

    #[test]
    fn an_answer_counts_from_its_question() {
        let mut account = Account::default();
        asked_and_answered(&mut account, 1, 5);
        account.asks_sentinel(&name(1), 10);
        account.asks_sentinel(&name(1), 20);
        account.sentinel_answers(&name(1), true);
        account.sentinel_answers(&name(1), true);
        asked_and_answered(&mut account, 1, 30);
        assert_eq!(account.proved_by_sentinels(1), 10);
    }

    #[test]
    fn nothing_is_proved_while_anything_is_wrong() {
        let mut account = Account::default();
        asked_and_answered(&mut account, 1, 5);
        asked_and_answered(&mut account, 1, 6);
        account.asks_sentinel(&name(1), 10);
        account.sentinel_answers(&name(1), false);
        account.asks_node(&name(7), 8);
        account.node_answers(&name(7), false);
        assert_eq!(account.close(Some(&name(7)), 1), (5, false));
    }

    #[test]
    fn a_replica_proves_that_it_was_not_promoted() {
        let mut account = Account::default();
        account.asks_node(&name(7), 8);
        account.node_answers(&name(7), true);
        account.asks_node(&name(8), 9);
        account.node_answers(&name(8), true);
        account.asks_node(&name(7), 12);
        assert_eq!(account.close(Some(&name(7)), 1), (8, false));
    }

    #[test]
    fn who_is_forgotten_proves_nothing() {
        let mut account = Account::default();
        asked_and_answered(&mut account, 1, 5);
        asked_and_answered(&mut account, 1, 6);
        account.asks_node(&name(7), 8);
        account.node_answers(&name(7), true);
        account.forget_node(&name(7));
        account.forget_sentinel(&name(1));
        assert_eq!(account.close(Some(&name(7)), 1), (0, false));
    }

    #[test]
    fn a_doubt_counts_from_where_it_began() {
        let mut account = Account::default();
        asked_and_answered(&mut account, 1, 5);
        asked_and_answered(&mut account, 1, 6);
        account.doubt(Some(1));
        account.asks_node(&name(7), 8);
        account.node_answers(&name(7), true);
        assert_eq!(account.trust(), Some(5));
        assert_eq!(account.trust(), None);
        account.doubt(None);
        assert_eq!(account.close(Some(&name(7)), 1), (0, true));
    }
}
