//! What a server sends without being asked for it, and the confirmations of subscriptions.
//!
//! In RESP3 messages and confirmations are pushes. In RESP2 they are arrays like any reply, and only
//! their first word tells, so they are looked for on connections that subscribe and on no others.

use std::collections::{HashSet, VecDeque};

use redis::{PushKind, Value};

use super::{
    command::{Channels, Subscription},
    wire::push_kind,
};

/// Messages that wait to be taken; when there are more, the oldest is lost.
const CAPACITY: usize = 1024;

/// What came unasked, and what is subscribed to.
#[derive(Default)]
pub(crate) struct Inbox {
    pushes: VecDeque<Value>,
    lost: u64,
    plain: HashSet<Vec<u8>>,
    patterns: HashSet<Vec<u8>>,
    shards: HashSet<Vec<u8>>,
}

/// What a value that came in is.
pub(super) enum Mail {
    /// The reply to a command.
    Reply(Value),
    /// The confirmation that a subscription began or ended.
    Confirmation(Value),
    /// Came unasked, and was put away.
    Kept,
}

impl Inbox {
    /// Sorts a value. `subscribing` is whether RESP2 arrays may be messages.
    pub(super) fn sort(&mut self, value: Value, subscribing: bool) -> Mail {
        let (kind, data) = match &value {
            Value::Push { kind, data } => (kind.clone(), &data[..]),
            Value::Array(items) if subscribing => match items.split_first() {
                Some((Value::BulkString(word), data)) if data.len() >= 2 => {
                    (push_kind(&String::from_utf8_lossy(word)), data)
                }
                _ => return Mail::Reply(value),
            },
            _ => return Mail::Reply(value),
        };
        let (channels, begins) = match kind {
            PushKind::Subscribe => (&mut self.plain, true),
            PushKind::PSubscribe => (&mut self.patterns, true),
            PushKind::SSubscribe => (&mut self.shards, true),
            PushKind::Unsubscribe => (&mut self.plain, false),
            PushKind::PUnsubscribe => (&mut self.patterns, false),
            PushKind::SUnsubscribe => (&mut self.shards, false),
            PushKind::Message | PushKind::PMessage | PushKind::SMessage => {
                self.keep(value);
                return Mail::Kept;
            }
            _ if matches!(value, Value::Push { .. }) => {
                self.keep(value);
                return Mail::Kept;
            }
            _ => return Mail::Reply(value),
        };
        if let Some(Value::BulkString(channel)) = data.first() {
            if begins {
                channels.insert(channel.clone());
            } else {
                channels.remove(channel);
            }
        }
        Mail::Confirmation(value)
    }

    /// Puts a value away until it is taken.
    pub(super) fn keep(&mut self, value: Value) {
        if self.pushes.len() == CAPACITY {
            self.pushes.pop_front();
            self.lost += 1;
        }
        self.pushes.push_back(value);
    }

    /// The oldest of what came unasked.
    #[cfg(test)]
    pub(crate) fn take(&mut self) -> Option<Value> {
        self.pushes.pop_front()
    }

    pub(super) fn has_subscriptions(&self) -> bool {
        !(self.plain.is_empty() && self.patterns.is_empty() && self.shards.is_empty())
    }

    /// How many confirmations answer a subscription command: one a channel, and at least one.
    pub(super) fn confirmations(&self, subscription: Subscription) -> usize {
        let held = match subscription.kind {
            Channels::Plain => &self.plain,
            Channels::Pattern => &self.patterns,
            Channels::Shard => &self.shards,
        };
        let all = if subscription.begins { 1 } else { held.len() };
        if subscription.named > 0 { subscription.named } else { all.max(1) }
    }
}
