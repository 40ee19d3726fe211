//! The decoder against tables, arbitrary values cut at arbitrary places, and hostile input.

use proptest::prelude::*;
use redis::Value;

use super::*;

/// Everything that a decoder makes of these pieces.
fn decode(pieces: &[&[u8]], limits: Limits) -> Result<Vec<Value>, ProtocolError> {
    let mut decoder = Decoder::new(limits);
    let mut values = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        // Both ways in, in turn.
        if index % 2 == 0 {
            decoder.feed(piece);
        } else {
            for byte in *piece {
                decoder.room().push(*byte);
                while let Some(value) = decoder.next()? {
                    values.push(value);
                }
            }
        }
        while let Some(value) = decoder.next()? {
            values.push(value);
        }
    }
    Ok(values)
}

#[test]
fn every_type_is_read_as_redis_reads_it() {
    for text in [
        "+OK\r\n",
        "+PONG\r\n",
        ":-17\r\n",
        "$5\r\nhello\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n:2\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        ",inf\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "=7\r\ntxt:abc\r\n",
        "%1\r\n+a\r\n*1\r\n:1\r\n",
        "~2\r\n+a\r\n+b\r\n",
        ">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n",
        "*2\r\n-ERR no\r\n:1\r\n",
    ] {
        let expected = redis::parse_redis_value(text.as_bytes()).unwrap();
        let read = decode(&[text.as_bytes()], Limits::default()).unwrap();
        assert_eq!(read, [expected], "{text:?}");
    }
    let error = decode(&[b"-ERR wrong thing\r\n"], Limits::default()).unwrap();
    assert!(matches!(&error[..], [Value::ServerError(e)] if e.details() == Some("wrong thing")));
}

#[test]
fn hostile_input_is_a_fault_and_costs_no_memory() {
    let limits = Limits { max_bulk: 1000, max_elements: 100, max_depth: 4, max_line: 50 };
    for hostile in [
        &b"$1001\r\n"[..],
        b"$99999999999999999999\r\n",
        b"*101\r\n",
        b"*4294967296\r\n",
        b"%51\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        b"+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"$3\r\nabcde",
        b":x\r\n",
        b"$?\r\n",
        b"\0",
    ] {
        let fault = decode(&[hostile], limits).expect_err(&hostile.escape_ascii().to_string());
        assert!(fault.to_string().len() < 200, "{fault}");
    }
    // A length of half a gigabyte that is allowed, and of which nothing comes.
    let mut decoder = Decoder::new(Limits::default());
    decoder.feed(b"$536870912\r\nabc");
    assert_eq!(decoder.next(), Ok(None));
    assert!(decoder.room().capacity() <= 2 * AHEAD);
}

/// Values whose encoding is their own decoding.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| format!(":{n}\r\n").into_bytes()),
        Just(b"+OK\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        "[a-zA-Z ]{0,20}".prop_map(|s| format!("+{s}\r\n").into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|b| bulk(&b)),
        (16_000_usize..20_000).prop_map(|n| bulk(&vec![b'x'; n])),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| {
                [format!("*{}\r\n", items.len()).into_bytes(), items.concat()].concat()
            }),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(|pairs| {
                let items: Vec<u8> =
                    pairs.iter().flat_map(|(k, v)| [k.clone(), v.clone()].concat()).collect();
                [format!("%{}\r\n", pairs.len()).into_bytes(), items].concat()
            }),
        ]
    })
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn values_are_the_same_however_they_are_cut(
        values in prop::collection::vec(value(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = values.concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        at.sort();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        let expected: Vec<Value> =
            values.iter().map(|bytes| redis::parse_redis_value(bytes).unwrap()).collect();
        prop_assert_eq!(decode(&pieces, Limits::default()).unwrap(), expected);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&[&bytes], Limits::default());
    }
}
