//! Values that are no replies: messages that a server sends without being asked for each, and the
//! confirmations of subscriptions.
//!
//! In RESP3 messages and confirmations are pushes. In RESP2 they are arrays like any reply, and only
//! their first word tells, so they are looked for on connections that subscribe and on no others.
//!
//! Messages that come between whole commands are counted and dropped: a handle reads them as a stream
//! ([`Handle::receive`](crate::Handle::receive)), or a subscription delivers them. Nothing that a server
//! sends is kept here, so it cannot fill the memory.

use redis::{PushKind, Value};

use super::{
    command::{Channels, Subscription},
    wire::push_kind,
};

/// Counts the messages that came, and the subscriptions that there are.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Messages that were dropped, and not yet reported.
    dropped: u64,
    plain: usize,
    patterns: usize,
    shards: usize,
}

/// The kind of a value that came in.
pub(super) enum Mail {
    /// The reply to a command.
    Reply(Value),
    /// The confirmation that a subscription began or ended.
    Confirmation(Value),
    /// A message, which was dropped.
    Message,
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
            PushKind::Subscribe => (Channels::Plain, true),
            PushKind::PSubscribe => (Channels::Pattern, true),
            PushKind::SSubscribe => (Channels::Shard, true),
            PushKind::Unsubscribe => (Channels::Plain, false),
            PushKind::PUnsubscribe => (Channels::Pattern, false),
            PushKind::SUnsubscribe => (Channels::Shard, false),
            PushKind::Message | PushKind::PMessage | PushKind::SMessage => {
                self.drop_message();
                return Mail::Message;
            }
            _ if matches!(value, Value::Push { .. }) => {
                self.drop_message();
                return Mail::Message;
            }
            _ => return Mail::Reply(value),
        };
        if let Some(Value::Int(left)) = data.get(1) {
            self.confirmed(channels, begins, usize::try_from(*left).unwrap_or(0));
        }
        Mail::Confirmation(value)
    }

    /// Takes over the number of subscriptions in a confirmation. Channels and patterns are counted
    /// together there.
    fn confirmed(&mut self, channels: Channels, begins: bool, now: usize) {
        let before = match channels {
            Channels::Plain | Channels::Pattern => self.plain.saturating_add(self.patterns),
            Channels::Shard => self.shards,
        };
        let count = self.count(channels);
        if begins {
            *count = count.saturating_add(now.saturating_sub(before));
        } else {
            *count = count.saturating_sub(before.saturating_sub(now));
        }
    }

    fn count(&mut self, channels: Channels) -> &mut usize {
        match channels {
            Channels::Plain => &mut self.plain,
            Channels::Pattern => &mut self.patterns,
            Channels::Shard => &mut self.shards,
        }
    }

    /// Counts a dropped message.
    pub(super) fn drop_message(&mut self) {
        self.dropped += 1;
    }

    /// True when messages were dropped and not yet reported.
    #[inline]
    pub(super) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    /// The number of messages that were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    pub(super) fn has_subscriptions(&self) -> bool {
        self.plain > 0 || self.patterns > 0 || self.shards > 0
    }

    /// RESET ended every subscription.
    pub(super) fn forget_subscriptions(&mut self) {
        (self.plain, self.patterns, self.shards) = (0, 0, 0);
    }

    /// The number of confirmations that answer a subscription command: one a channel, and at least one.
    pub(super) fn confirmations(&self, subscription: Subscription) -> usize {
        let held = match subscription.kind {
            Channels::Plain => self.plain,
            Channels::Pattern => self.patterns,
            Channels::Shard => self.shards,
        };
        let all = if subscription.begins { 1 } else { held };
        if subscription.named > 0 { subscription.named } else { all.max(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirmation(word: &str, channel: &str, count: i64) -> Value {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        Value::Array(vec![bulk(word), bulk(channel), Value::Int(count)])
    }

    #[test]
    fn subscriptions_are_counted_by_their_confirmations() {
        let mut inbox = Inbox::default();
        let ends = |kind| Subscription { kind, begins: false, named: 0 };
        for (word, count, plain, patterns, shards) in [
            ("subscribe", 1, 1, 0, 0),
            ("subscribe", 2, 2, 0, 0),
            ("subscribe", 2, 2, 0, 0),
            ("psubscribe", 3, 2, 1, 0),
            ("ssubscribe", 1, 2, 1, 1),
            ("unsubscribe", 2, 1, 1, 1),
            ("punsubscribe", 1, 1, 0, 1),
            ("punsubscribe", 1, 1, 0, 1),
            ("sunsubscribe", 0, 1, 0, 0),
            ("unsubscribe", 0, 0, 0, 0),
            ("unsubscribe", -7, 0, 0, 0),
            ("subscribe", i64::MAX, i64::MAX as usize, 0, 0),
            ("psubscribe", i64::MIN, i64::MAX as usize, 0, 0),
        ] {
            assert!(matches!(
                inbox.sort(confirmation(word, "c", count), true),
                Mail::Confirmation(_)
            ));
            let held = (inbox.plain, inbox.patterns, inbox.shards);
            assert_eq!(held, (plain, patterns, shards), "{word} {count}");
            assert_eq!(inbox.has_subscriptions(), plain + patterns + shards > 0);
            assert_eq!(inbox.confirmations(ends(Channels::Plain)), plain.max(1));
        }
        inbox.forget_subscriptions();
        assert!(!inbox.has_subscriptions());
    }

    #[test]
    fn messages_are_counted_and_not_kept() {
        let mut inbox = Inbox::default();
        for _ in 0..3 {
            let message = Value::Push { kind: PushKind::Message, data: Vec::new() };
            assert!(matches!(inbox.sort(message, false), Mail::Message));
        }
        assert!(inbox.has_dropped());
        assert_eq!((inbox.take_dropped(), inbox.take_dropped()), (3, 0));
        assert_eq!(size_of_val(&inbox), 4 * size_of::<u64>(), "there is room for numbers alone");
    }
}
