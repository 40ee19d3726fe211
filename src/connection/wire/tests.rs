use num_bigint::BigInt;
use proptest::prelude::*;
use redis::{PushKind, VerbatimFormat};

use super::*;

/// What redis-rs and this decoder make alike of.
const TABLE: &[&str] = &[
    "+OK\r\n",
    "+PONG\r\n",
    "+\r\n",
    "+with\rcr\r\n",
    "-ERR unknown command\r\n",
    "-READONLY You can't write against a read only replica.\r\n",
    "-WRONGPASS nope\r\n",
    "-NOAUTH\r\n",
    ":0\r\n",
    ":-9223372036854775808\r\n",
    ":9223372036854775807\r\n",
    ":+7\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$5\r\nhello\r\n",
    "$4\r\n\r\n\r\n\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*3\r\n:1\r\n$-1\r\n*1\r\n+OK\r\n",
    "_\r\n",
    "#t\r\n",
    "#f\r\n",
    ",1.5\r\n",
    ",10\r\n",
    ",inf\r\n",
    ",-inf\r\n",
    ",2.67923e+8\r\n",
    "(3492890328409238509324850943850943825024385\r\n",
    "(-1\r\n",
    "!21\r\nSYNTAX invalid syntax\r\n",
    "=15\r\ntxt:Some string\r\n",
    "=8\r\nmkd:text\r\n",
    "=8\r\nabc:text\r\n",
    "%2\r\n+first\r\n:1\r\n+second\r\n*1\r\n:2\r\n",
    "%0\r\n",
    "~2\r\n+a\r\n#t\r\n",
    "~0\r\n",
    "~-1\r\n",
    "|1\r\n+ttl\r\n:3600\r\n$5\r\nhello\r\n",
    "*2\r\n|1\r\n+k\r\n+v\r\n:1\r\n:2\r\n",
    "|0\r\n*0\r\n",
    ">0\r\n",
    ">3\r\n+message\r\n+channel\r\n+text\r\n",
    ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
    ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    ">2\r\n$5\r\nother\r\n:1\r\n",
];

fn all(decoder: &mut Decoder) -> Vec<Value> {
    let mut values = Vec::new();
    while let Some(value) = decoder.next().expect("valid RESP") {
        values.push(value);
    }
    values
}

/// Feeds pieces of `cut` bytes; by `feed`, or through the room as a socket does.
fn decode(bytes: &[u8], cut: usize, through_room: bool) -> Vec<Value> {
    let mut decoder = Decoder::new(Limits::default());
    let mut values = Vec::new();
    for mut piece in bytes.chunks(cut.max(1)) {
        while through_room && !piece.is_empty() {
            let room = decoder.room();
            let fits = (room.capacity() - room.len()).min(piece.len());
            assert!(fits > 0, "the room has room");
            room.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            values.extend(all(&mut decoder));
        }
        decoder.feed(piece);
        values.extend(all(&mut decoder));
    }
    assert!(decoder.is_empty());
    values
}

/// Receives pieces of `cut` bytes until there are so many replies.
fn feed_raw(
    raw: &mut RawReplies,
    bytes: &[u8],
    cut: usize,
    replies: usize,
) -> Result<(), ProtocolError> {
    for mut piece in bytes.chunks(cut) {
        while !piece.is_empty() {
            let room = raw.room();
            let fits = (room.capacity() - room.len()).min(piece.len());
            assert!(fits > 0, "the room has room");
            room.extend_from_slice(&piece[..fits]);
            piece = &piece[fits..];
            while raw.len() < replies && raw.find()?.is_some() {}
        }
    }
    Ok(())
}

/// What an error reply says, if nothing is said about it.
fn said(reply: &Value) -> Option<String> {
    match reply {
        Value::ServerError(error) => {
            let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
            Some(said.trim_end().to_owned())
        }
        _ => None,
    }
}

fn fault_of(bytes: &[u8], limits: Limits) -> String {
    let mut decoder = Decoder::new(limits);
    decoder.feed(bytes);
    loop {
        match decoder.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("{} is no fault", bytes.escape_ascii()),
            Err(error) => {
                assert_eq!(decoder.next(), Err(error.clone()), "a fault is final");
                assert!(!decoder.is_empty());
                return error.to_string();
            }
        }
    }
}

#[test]
fn replies_are_mapped_as_redis_rs_maps_them() {
    for resp in TABLE {
        let expected = redis::parse_redis_value(resp.as_bytes()).expect(resp);
        assert_eq!(decode(resp.as_bytes(), usize::MAX, false), [expected], "{resp:?}");
    }
    let [Value::Double(nan)] = decode(b",nan\r\n", 9, false)[..] else { panic!("no double") };
    assert!(nan.is_nan());
}

#[test]
fn replies_may_be_cut_anywhere() {
    let bytes = TABLE.concat().into_bytes();
    let expected = decode(&bytes, usize::MAX, false);
    assert_eq!(expected.len(), TABLE.len());
    for cut in 1..40 {
        assert_eq!(decode(&bytes, cut, false), expected);
        assert_eq!(decode(&bytes, cut, true), expected);
    }
}

#[test]
fn bytes_that_are_not_utf8_do_no_harm() {
    assert_eq!(decode(b"+\xff\r\n", 9, false), [Value::SimpleString("\u{fffd}".to_owned())]);
    let [Value::ServerError(error)] = &decode(b"-ERR \xff\r\n", 9, false)[..] else {
        panic!("no error")
    };
    assert_eq!(error.details(), Some("\u{fffd}"));
}

#[test]
fn long_strings_are_received_in_place() {
    for len in [SHORT - 3, SHORT - 2, SHORT - 1, ROOM_MAX, AHEAD - 2, AHEAD, 3 * AHEAD + 1] {
        let text: Vec<u8> = (0..len).map(|byte| byte as u8).collect();
        let mut bytes = b":1\r\n".to_vec();
        for _ in 0..2 {
            bytes.extend_from_slice(format!("${len}\r\n").as_bytes());
            bytes.extend_from_slice(&text);
            bytes.extend_from_slice(b"\r\n:2\r\n");
        }
        let text = Value::BulkString(text);
        let expected = [Value::Int(1), text.clone(), Value::Int(2), text.clone(), Value::Int(2)];
        for cut in [1000, 16 << 10, 1 << 20, usize::MAX] {
            assert!(decode(&bytes, cut, true) == expected, "{len} in pieces of {cut}");
            assert!(decode(&bytes, cut, false) == expected, "{len} fed in pieces of {cut}");
        }
    }
}

#[test]
fn what_the_allocator_gives_on_top_may_be_filled_too() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.feed(b"$20000\r\nx");
    assert_eq!(decoder.next(), Ok(None));
    decoder.room().extend_from_slice(&[b'x'; 19_999]);
    decoder.room().extend_from_slice(b"\r\n:1\r\n:2");
    let values = all(&mut decoder);
    assert_eq!(values, [Value::BulkString(vec![b'x'; 20_000]), Value::Int(1)]);
    decoder.feed(b"\r\n");
    assert_eq!(all(&mut decoder), [Value::Int(2)]);
}

#[test]
fn a_large_array_in_single_bytes_takes_linear_time() {
    // Quadratic work on these two million bytes would take hours.
    let bytes = format!("*200000\r\n{}", "$4\r\nabcd\r\n".repeat(200_000));
    for through_room in [false, true] {
        let values = decode(bytes.as_bytes(), 1, through_room);
        let [Value::Array(items)] = &values[..] else { panic!("no array") };
        assert_eq!(items.len(), 200_000);
    }
}

#[test]
fn faults_are_named_and_quoted() {
    let tight = Limits { max_bulk: 100, max_elements: 10, max_depth: 3, max_line: 50 };
    let long = [b"+".as_slice(), &[b'x'; 60]].concat();
    let ended = [&long[..], b"\r\n"].concat();
    for (bytes, part) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], "\"HTTP/1.1 400 Bad\"…"),
        (b"\x15\x03\x01\x00\x02", "TLS"),
        (b"\r\n", "\"\\r\\n\""),
        (b":\r\n", "number"),
        (b":-\r\n", "number"),
        (b":12a\r\n", "\"12a\""),
        (b":9223372036854775808\r\n", "number"),
        (b":-9223372036854775809\r\n", "number"),
        (b"$?\r\n", "streamed"),
        (b"*?\r\n", "streamed"),
        (b"$x\r\n", "number"),
        (b"$101\r\n", "101 bytes"),
        (b"$3\r\nabcde\r\n", "\"de\""),
        (b"*11\r\n", "more than 10 elements"),
        (b"%6\r\n", "more than 10 elements"),
        (b"*9223372036854775807\r\n", "elements"),
        (b"*2\r\n*9\r\n", "more than 10 elements"),
        (b"*1\r\n*1\r\n*1\r\n*1\r\n", "3 levels"),
        (b"|0\r\n|0\r\n|0\r\n|0\r\n", "3 levels"),
        (b"%-1\r\n", "length"),
        (b"|-1\r\n", "length"),
        (b"!-1\r\n", "length"),
        (b"=3\r\ntxt\r\n", "verbatim"),
        (b"#x\r\n", "boolean"),
        (b",x\r\n", "double"),
        (b"(1_0\r\n", "big number"),
        (b"(\r\n", "big number"),
        (b">1\r\n:1\r\n", "push"),
        (&long, "longer than 50"),
        (&ended, "longer than 50"),
    ] {
        let fault = fault_of(bytes, tight);
        assert!(fault.contains(part), "{}: {fault}", bytes.escape_ascii());
    }
}

#[test]
fn announced_lengths_cost_no_memory() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.feed(b"*60000000\r\n%30000\r\n$536870912\r\n");
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.room().capacity() <= AHEAD);
    decoder.room().push(0);
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.room().capacity() <= AHEAD);
    for frame in &decoder.stack {
        let room = match frame {
            Level::List { items, .. } => items.capacity(),
            Level::Pairs { pairs, .. } => pairs.capacity(),
            Level::Attributed { .. } => 0,
        };
        assert!(room <= AHEAD_ELEMENTS);
    }
}

#[test]
fn a_list_has_place_for_what_can_be_in_the_bytes_that_came() {
    let items = "$4\r\nabcd\r\n".repeat(1000);
    for (announced, nested) in [(1000, false), (60_000_000, false), (60_000_000, true)] {
        let mut decoder = Decoder::new(Limits::default());
        let outer = if nested { "*2\r\n" } else { "" };
        let bytes = format!("{outer}*{announced}\r\n{items}");
        decoder.feed(&bytes.as_bytes()[..bytes.len() - 1]);
        assert_eq!(decoder.next(), Ok(None));
        let Some(Level::List { items, .. }) = decoder.stack.last() else { panic!("no list") };
        assert_eq!(items.len(), 999);
        let most = if nested { 4 * AHEAD_ELEMENTS } else { bytes.len() / ELEMENT };
        assert!(items.capacity() <= most, "{} for {announced}", items.capacity());
    }
}

/// RESP3 of a value, for the way back.
fn encode(value: &Value, out: &mut Vec<u8>) {
    let long = |out: &mut Vec<u8>, kind: char, bytes: &[u8]| {
        out.extend_from_slice(format!("{kind}{}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    };
    let line = |out: &mut Vec<u8>, text: String| {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    let pairs = |out: &mut Vec<u8>, kind: char, pairs: &[(Value, Value)]| {
        line(out, format!("{kind}{}", pairs.len()));
        for (key, value) in pairs {
            encode(key, out);
            encode(value, out);
        }
    };
    match value {
        Value::Nil => line(out, "_".to_owned()),
        Value::Okay => line(out, "+OK".to_owned()),
        Value::Int(number) => line(out, format!(":{number}")),
        Value::SimpleString(text) => line(out, format!("+{text}")),
        Value::BulkString(bytes) => long(out, '$', bytes),
        Value::Double(number) => line(out, format!(",{number}")),
        Value::Boolean(truth) => line(out, format!("#{}", if *truth { 't' } else { 'f' })),
        Value::BigNumber(number) => line(out, format!("({number}")),
        Value::VerbatimString { format, text } => {
            long(out, '=', format!("{format}:{text}").as_bytes());
        }
        Value::ServerError(error) => {
            let text = format!("{} {}", error.code(), error.details().unwrap_or(""));
            long(out, '!', text.as_bytes());
        }
        Value::Array(items) => {
            line(out, format!("*{}", items.len()));
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Set(items) => {
            line(out, format!("~{}", items.len()));
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Map(map) => pairs(out, '%', map),
        Value::Attribute { data, attributes } => {
            pairs(out, '|', attributes);
            encode(data, out);
        }
        Value::Push { kind, data } => {
            let PushKind::Other(kind) = kind else { panic!("not generated") };
            line(out, format!(">{}", data.len() + 1));
            long(out, '$', kind.as_bytes());
            data.iter().for_each(|item| encode(item, out));
        }
        other => panic!("{other:?} is not generated"),
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Okay),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Boolean),
        (-1e9..1e9).prop_map(Value::Double),
        "[a-z ]{1,20}".prop_map(|text| Value::SimpleString(format!("s{text}"))),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(Value::BulkString),
        (SHORT - 5..SHORT + 5).prop_map(|len| Value::BulkString(vec![b'\r'; len])),
        "-?[1-9][0-9]{0,40}".prop_map(|digits| {
            Value::BigNumber(BigInt::parse_bytes(digits.as_bytes(), 10).expect("digits"))
        }),
        ".{0,20}".prop_map(|text| Value::VerbatimString { format: VerbatimFormat::Text, text }),
        "[A-Z]{1,12} [a-z ]{1,20}".prop_map(|text| {
            redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).expect("an error")
        }),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let list = || proptest::collection::vec(inner.clone(), 0..6);
        let pairs = || proptest::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            list().prop_map(Value::Array),
            list().prop_map(Value::Set),
            pairs().prop_map(Value::Map),
            (inner.clone(), pairs()).prop_map(|(data, attributes)| Value::Attribute {
                data: Box::new(data),
                attributes
            }),
            ("x[a-z]{0,8}", list())
                .prop_map(|(kind, data)| Value::Push { kind: PushKind::Other(kind), data }),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(
        values in proptest::collection::vec(any_value(), 1..4),
        cut in 1usize..5000,
        through_room: bool,
    ) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        prop_assert_eq!(decode(&bytes, cut, through_room), values);
    }

    #[test]
    fn raw_replies_are_the_bytes_that_came(
        values in proptest::collection::vec(any_value(), 1..4),
        cut in 1usize..5000,
        then: Vec<u8>,
    ) {
        let replies: Vec<Vec<u8>> = values
            .iter()
            .map(|value| {
                let mut bytes = Vec::new();
                encode(value, &mut bytes);
                bytes
            })
            .collect();
        let mut sent = replies.concat();
        sent.extend_from_slice(&then);
        let mut raw = RawReplies::new();
        let found = feed_raw(&mut raw, &sent, cut, replies.len());
        prop_assert_eq!(found, Ok(()));
        prop_assert!(raw.iter().eq(replies.iter().map(Vec::as_slice)));
        let mut decoder = Decoder::new(Limits::default());
        raw.take_rest(&mut decoder);
        prop_assert_eq!(raw.bytes(), &replies.concat()[..]);
    }

    #[test]
    fn a_chain_of_attributes_is_as_deep_as_it_is_long(length in 1usize..200, pairs in 0usize..2) {
        let head = format!("|{pairs}\r\n{}", ":1\r\n:2\r\n".repeat(pairs));
        let bytes = head.repeat(length) + ":3\r\n";
        let mut decoder = Decoder::new(Limits::default());
        decoder.feed(bytes.as_bytes());
        let sound = decoder.next().map(|value| value.is_some());
        let mut raw = RawReplies::new();
        let found = feed_raw(&mut raw, bytes.as_bytes(), 4096, 1);
        prop_assert_eq!(found.is_ok(), sound.is_ok());
        prop_assert_eq!(raw.len(), usize::from(sound.is_ok()));
        let mut skim = Skim::new(Limits::default());
        prop_assert_eq!(skim.pass(bytes.as_bytes(), |_| {}).is_ok(), sound.is_ok());
    }

    #[test]
    fn replies_that_pass_by_are_counted(
        values in proptest::collection::vec(any_value(), 1..4),
        cut in 1usize..5000,
    ) {
        let mut bytes = Vec::new();
        values.iter().for_each(|value| encode(value, &mut bytes));
        let mut skim = Skim::new(Limits::default());
        let mut errors = Vec::new();
        for piece in bytes.chunks(cut) {
            skim.pass(piece, |passed| {
                errors.push(passed.error.map(|error| String::from_utf8_lossy(error).into_owned()));
            })?;
        }
        prop_assert!(skim.is_at_start());
        prop_assert_eq!(errors, values.iter().map(said).collect::<Vec<_>>());
    }

    #[test]
    fn raw_replies_are_those_that_a_decoder_finds(
        resp in r"([-+:$*_,#!=(%~|>][-0-9a-z?:]{0,4}\r\n){0,20}",
        cut in 1usize..50,
    ) {
        let limits = Limits { max_bulk: 40, max_elements: 12, max_depth: 4, max_line: 6 };
        let mut decoder = Decoder::new(limits);
        decoder.feed(resp.as_bytes());
        let values: Result<Vec<Value>, ProtocolError> =
            std::iter::from_fn(|| decoder.next().transpose()).collect();
        let mut raw = RawReplies::limited(limits);
        match (feed_raw(&mut raw, resp.as_bytes(), cut, usize::MAX), values) {
            (Ok(()), Ok(values)) => prop_assert_eq!(raw.len(), values.len()),
            (Err(ours), Err(theirs)) => prop_assert_eq!(ours, theirs),
            // A push whose kind is no string: `RawReply::value` finds out.
            (Ok(()), Err(_)) => prop_assert!(resp.contains('>')),
            (Err(error), Ok(_)) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        bytes: Vec<u8>,
        resp in r"([-+:$*_,#!=(%~|>][-0-9a-zA-Z?:]{0,6}\r\n){0,20}",
        cut in 1usize..50,
    ) {
        for bytes in [&bytes[..], resp.as_bytes()] {
            let mut decoder = Decoder::new(Limits::default());
            'fed: for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                loop {
                    match decoder.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'fed,
                    }
                }
                prop_assert!(decoder.room().capacity() <= AHEAD);
            }
        }
    }
}
