//! What a server says on a connection that subscribes, in the shapes of both protocols.
//!
//! RESP3 marks it as pushes, and answers PING like any connection. In RESP2 all of it is arrays, told
//! apart by their first word, and the answer to PING as well, while anything is subscribed to.

use redis::{PushKind, ServerError, Value};

use super::{Kind, Message};

/// What a value means there.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    Message(Message),
    /// One channel or pattern is subscribed to, or no longer.
    Confirmed {
        kind: Kind,
        begins: bool,
    },
    Pong,
    /// An error in the place of an answer.
    Refused(ServerError),
    /// Something that concerns no subscription.
    Other,
    /// What no server says there.
    Strange,
}

/// What the first word announces.
enum Word {
    Message,
    PatternMessage,
    Confirmation(Kind, bool),
    Pong,
    Unknown,
}

impl Heard {
    /// Understands a value that came from the master of this generation.
    pub(super) fn of(value: Value, generation: u64) -> Heard {
        match value {
            Value::Push { kind, data } => match Word::of_push(&kind) {
                Word::Unknown => Heard::Other,
                word => Heard::announced(word, data, generation),
            },
            Value::Array(mut items) => {
                let word = match items.first() {
                    Some(Value::BulkString(word)) => Word::of_array(word),
                    _ => return Heard::Strange,
                };
                items.remove(0);
                Heard::announced(word, items, generation)
            }
            Value::SimpleString(word) if word == "PONG" => Heard::Pong,
            Value::ServerError(error) => Heard::Refused(error),
            _ => Heard::Strange,
        }
    }

    fn announced(word: Word, data: Vec<Value>, generation: u64) -> Heard {
        let mut data = data.into_iter();
        let mut name = || match data.next() {
            Some(Value::BulkString(name)) => Some(name),
            _ => None,
        };
        let message = match word {
            // An ending of everything, where there was nothing, has no name.
            Word::Confirmation(kind, begins) => return Heard::Confirmed { kind, begins },
            Word::Pong => return Heard::Pong,
            Word::Unknown => return Heard::Strange,
            Word::Message => (None, name(), name()),
            Word::PatternMessage => match name() {
                Some(pattern) => (Some(pattern), name(), name()),
                None => return Heard::Strange,
            },
        };
        let (pattern, Some(channel), Some(payload)) = message else { return Heard::Strange };
        Heard::Message(Message {
            channel,
            pattern,
            payload: Value::BulkString(payload),
            generation,
        })
    }
}

impl Word {
    fn of_push(kind: &PushKind) -> Word {
        match kind {
            PushKind::Message => Word::Message,
            PushKind::PMessage => Word::PatternMessage,
            PushKind::Subscribe => Word::Confirmation(Kind::Channel, true),
            PushKind::Unsubscribe => Word::Confirmation(Kind::Channel, false),
            PushKind::PSubscribe => Word::Confirmation(Kind::Pattern, true),
            PushKind::PUnsubscribe => Word::Confirmation(Kind::Pattern, false),
            _ => Word::Unknown,
        }
    }

    fn of_array(word: &[u8]) -> Word {
        match word {
            b"message" => Word::Message,
            b"pmessage" => Word::PatternMessage,
            b"subscribe" => Word::Confirmation(Kind::Channel, true),
            b"unsubscribe" => Word::Confirmation(Kind::Channel, false),
            b"psubscribe" => Word::Confirmation(Kind::Pattern, true),
            b"punsubscribe" => Word::Confirmation(Kind::Pattern, false),
            b"pong" => Word::Pong,
            _ => Word::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{Decoder, Limits};

    /// What these bytes of a server mean.
    fn heard(bytes: &str) -> Vec<Heard> {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(bytes.as_bytes());
        let values = std::iter::from_fn(|| decoder.next().expect("it is RESP"));
        values.map(|value| Heard::of(value, 7)).collect()
    }

    fn message(pattern: Option<&str>, channel: &str, payload: &str) -> Heard {
        Heard::Message(Message {
            channel: channel.into(),
            pattern: pattern.map(Into::into),
            payload: Value::BulkString(payload.into()),
            generation: 7,
        })
    }

    #[test]
    fn messages_and_confirmations_are_pushes_or_arrays() {
        for mark in ['*', '>'] {
            let bytes = format!(
                "{mark}3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n\
                 {mark}3\r\n$10\r\npsubscribe\r\n$2\r\nb*\r\n:2\r\n\
                 {mark}3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n\
                 {mark}4\r\n$8\r\npmessage\r\n$2\r\nb*\r\n$2\r\nbc\r\n$0\r\n\r\n\
                 {mark}3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n\
                 {mark}3\r\n$12\r\npunsubscribe\r\n$2\r\nb*\r\n:0\r\n"
            );
            let expected = vec![
                Heard::Confirmed { kind: Kind::Channel, begins: true },
                Heard::Confirmed { kind: Kind::Pattern, begins: true },
                message(None, "a", "hello"),
                message(Some("b*"), "bc", ""),
                Heard::Confirmed { kind: Kind::Channel, begins: false },
                Heard::Confirmed { kind: Kind::Pattern, begins: false },
            ];
            assert_eq!(heard(&bytes), expected, "{mark}");
        }
    }

    #[test]
    fn an_ending_of_nothing_has_no_name() {
        for nothing in
            ["*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n"]
        {
            assert_eq!(heard(nothing), [Heard::Confirmed { kind: Kind::Channel, begins: false }]);
        }
    }

    #[test]
    fn ping_is_answered_in_three_ways() {
        // RESP3 and a RESP2 connection that subscribes to nothing; one that does; refused, but alive.
        assert_eq!(heard("+PONG\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"), [Heard::Pong, Heard::Pong]);
        let refused = heard("-NOPERM this user has no permissions to run the 'ping' command\r\n");
        assert!(matches!(&refused[..], [Heard::Refused(error)] if error.code() == "NOPERM"));
    }

    #[test]
    fn payloads_are_bytes_whatever_they_are() {
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(b">3\r\n$7\r\nmessage\r\n$2\r\n\xff\x00\r\n$3\r\n\r\n\xfe\r\n");
        let value = decoder.next().unwrap().unwrap();
        let Heard::Message(message) = Heard::of(value, 1) else { panic!("it is a message") };
        assert_eq!(message.channel_bytes(), b"\xff\x00");
        assert_eq!(message.payload_bytes(), b"\r\n\xfe");
        assert_eq!(message.payload::<Vec<u8>>().unwrap(), b"\r\n\xfe");
        assert!(message.payload::<String>().is_err());
    }

    #[test]
    fn what_is_no_message_is_not_taken_for_one() {
        let other = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
        assert_eq!(heard(other), [Heard::Other]);
        let strange = [
            "+OK\r\n",
            ":1\r\n",
            "*0\r\n",
            "*2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n",
            "*2\r\n:1\r\n:2\r\n",
            "*2\r\n$7\r\nmessage\r\n$1\r\na\r\n",
            ">2\r\n$7\r\nmessage\r\n$1\r\na\r\n",
            ">3\r\n$7\r\nmessage\r\n:1\r\n$1\r\na\r\n",
            ">3\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
        ];
        for bytes in strange {
            assert_eq!(heard(bytes), [Heard::Strange], "{bytes:?}");
        }
    }
}
