use std::{ffi::CStr, slice};

use num_bigint::BigInt;
use proptest::prelude::*;
use redis::{Value, VerbatimFormat};

use super::*;

/// The trees of what a server sent, all of it.
fn trees(bytes: &[u8]) -> Batch {
    let mut block = Block::take();
    let raw = block.raw();
    raw.room().extend_from_slice(bytes);
    while raw.find().expect("RESP").is_some() {}
    assert_eq!(raw.bytes(), bytes, "all of it is replies");
    several(block).expect("a tree")
}

/// Bytes of a node, behind which there is a NUL.
fn text(node: *const swm_reply) -> Vec<u8> {
    let mut len = usize::MAX;
    // SAFETY: the node's tree is alive, and what it gives is as long as it says.
    unsafe {
        let text = swm_reply_str(node, &mut len);
        assert!(!text.is_null(), "it has a text");
        assert_eq!(*text.add(len), 0);
        slice::from_raw_parts(text.cast::<u8>(), len).to_vec()
    }
}

fn elements(node: *const swm_reply) -> Vec<*const swm_reply> {
    // SAFETY: the node's tree is alive.
    unsafe {
        let count = swm_reply_elements(node);
        assert!(swm_reply_element(node, count).is_null());
        (0..count).map(|index| swm_reply_element(node, index)).collect()
    }
}

fn assert_same_row<'v>(nodes: &[*const swm_reply], values: impl IntoIterator<Item = &'v Value>) {
    let values: Vec<_> = values.into_iter().collect();
    assert_eq!(nodes.len(), values.len());
    nodes.iter().zip(values).for_each(|(node, value)| assert_same(*node, value));
}

fn flat(pairs: &[(Value, Value)]) -> impl Iterator<Item = &Value> {
    pairs.iter().flat_map(|(key, value)| [key, value])
}

/// Asserts that a tree says what redis-rs read.
fn assert_same(node: *const swm_reply, value: &Value) {
    // SAFETY: the node's tree is alive, for all of these.
    let kind = unsafe { swm_reply_type(node) };
    let is = |expected: swm_reply_kind| assert_eq!(kind, expected as c_int, "{value:?}");
    match value {
        Value::Nil => is(SWM_REPLY_NIL),
        Value::Int(number) => {
            is(SWM_REPLY_INTEGER);
            // SAFETY: as above.
            assert_eq!(unsafe { swm_reply_integer(node) }, *number);
        }
        Value::Boolean(truth) => {
            is(SWM_REPLY_BOOL);
            // SAFETY: as above.
            assert_eq!(unsafe { swm_reply_boolean(node) }, *truth);
        }
        Value::Double(number) => {
            is(SWM_REPLY_DOUBLE);
            // SAFETY: as above.
            let own = unsafe { swm_reply_double(node) };
            assert!(own == *number || own.is_nan() && number.is_nan(), "{own} {number}");
        }
        Value::BulkString(bytes) => {
            is(SWM_REPLY_STRING);
            assert_eq!(text(node), *bytes);
        }
        Value::Okay => {
            is(SWM_REPLY_STATUS);
            assert_eq!(text(node), b"OK");
        }
        Value::SimpleString(status) => {
            is(SWM_REPLY_STATUS);
            assert_eq!(text(node), status.as_bytes());
        }
        Value::ServerError(error) => {
            is(SWM_REPLY_ERROR);
            let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
            assert_eq!(text(node), said.trim_end().as_bytes());
        }
        Value::BigNumber(number) => {
            is(SWM_REPLY_BIGNUM);
            assert_eq!(BigInt::parse_bytes(&text(node), 10).as_ref(), Some(number));
        }
        Value::VerbatimString { format, text: verbatim } => {
            is(SWM_REPLY_VERB);
            assert_eq!(text(node), verbatim.as_bytes());
            // SAFETY: as above, and it ends with a NUL.
            let own = unsafe { CStr::from_ptr(swm_reply_format(node)) };
            let expected = match format {
                VerbatimFormat::Text => "txt",
                VerbatimFormat::Markdown => "mkd",
                VerbatimFormat::Unknown(other) => other,
                other => panic!("{other:?} is not generated"),
            };
            assert_eq!(own.to_str(), Ok(expected));
        }
        Value::Array(items) => {
            is(SWM_REPLY_ARRAY);
            assert_same_row(&elements(node), items);
        }
        Value::Set(items) => {
            is(SWM_REPLY_SET);
            assert_same_row(&elements(node), items);
        }
        Value::Map(pairs) => {
            is(SWM_REPLY_MAP);
            assert_same_row(&elements(node), flat(pairs));
        }
        Value::Attribute { data, attributes } => {
            // SAFETY: as above.
            let own = unsafe { swm_reply_attributes(node) };
            // SAFETY: it belongs to the same tree.
            assert_eq!(unsafe { swm_reply_type(own) }, SWM_REPLY_ATTR as c_int);
            assert_same_row(&elements(own), flat(attributes));
            assert_same(node, data);
        }
        Value::Push { data, .. } => {
            is(SWM_REPLY_PUSH);
            let own = elements(node);
            assert_same_row(own.get(1..).unwrap_or_default(), data);
        }
        other => panic!("{other:?} is not generated"),
    }
}

/// Anything that a server can say, as it says it.
fn any_reply() -> impl Strategy<Value = Vec<u8>> {
    let line = |text: String| format!("{text}\r\n").into_bytes();
    let long = |sign: char, bytes: &[u8]| {
        let mut reply = format!("{sign}{}\r\n", bytes.len()).into_bytes();
        reply.extend_from_slice(bytes);
        reply.extend_from_slice(b"\r\n");
        reply
    };
    let leaf = prop_oneof![
        Just(b"_\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"*-1\r\n".to_vec()),
        Just(b"+OK\r\n".to_vec()),
        any::<i64>().prop_map(move |number| line(format!(":{number}"))),
        any::<bool>().prop_map(move |truth| line(format!("#{}", if truth { 't' } else { 'f' }))),
        any::<f64>().prop_map(move |number| line(format!(",{number:?}").to_lowercase())),
        "[a-z ]{0,20}".prop_map(move |text| line(format!("+s{text}"))),
        "[A-Z]{1,12}( [a-z]{1,20})?".prop_map(move |text| line(format!("-{text}"))),
        "[A-Z]{1,12} [a-z\r\n]{0,20}[a-z]".prop_map(move |text| long('!', text.as_bytes())),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(move |bytes| long('$', &bytes)),
        "-?[1-9][0-9]{0,40}".prop_map(move |digits| line(format!("({digits}"))),
        "(txt|mkd|abc):.{0,20}".prop_map(move |text| long('=', text.as_bytes())),
    ];
    leaf.prop_recursive(4, 60, 6, |inner| {
        let row = |sign: char, per: usize, items: Vec<Vec<u8>>| {
            let mut reply = format!("{sign}{}\r\n", items.len() / per).into_bytes();
            items.iter().for_each(|item| reply.extend_from_slice(item));
            reply
        };
        let list = || proptest::collection::vec(inner.clone(), 0..6);
        let pairs = || {
            let pair = (inner.clone(), inner.clone());
            proptest::collection::vec(pair, 0..4)
                .prop_map(|pairs| pairs.into_iter().flat_map(|(a, b)| [a, b]).collect::<Vec<_>>())
        };
        prop_oneof![
            list().prop_map(move |items| row('*', 1, items)),
            list().prop_map(move |items| row('~', 1, items)),
            pairs().prop_map(move |items| row('%', 2, items)),
            (list(), "[a-z]{1,8}").prop_map(move |(mut items, kind)| {
                items.insert(0, format!("+{kind}\r\n").into_bytes());
                row('>', 1, items)
            }),
            (pairs(), inner.clone())
                .prop_filter("told once", |(_, of)| !of.starts_with(b"|"))
                .prop_map(move |(items, of)| [row('|', 2, items), of].concat()),
        ]
    })
}

proptest! {
    #[test]
    fn trees_say_what_redis_rs_reads(
        replies in proptest::collection::vec(any_reply(), 1..5),
        backwards: bool,
    ) {
        let mut batch = trees(&replies.concat());
        let mut trees: Vec<_> = std::iter::from_fn(|| batch.next()).collect();
        prop_assert_eq!(trees.len(), replies.len());
        for (tree, reply) in trees.iter().zip(&replies) {
            assert_same(*tree, &redis::parse_redis_value(reply).expect("RESP"));
        }
        // Freed in either order, each leaves the others as they are.
        if backwards {
            trees.reverse();
        }
        for (at, tree) in trees.iter().enumerate() {
            let reply = if backwards { &replies[replies.len() - 1 - at] } else { &replies[at] };
            assert_same(*tree, &redis::parse_redis_value(reply).expect("RESP"));
            // SAFETY: it is live, and freed once.
            unsafe { swm_reply_free(*tree) };
        }
    }

    #[test]
    fn whatever_is_let_in_becomes_a_tree(bytes in "([-+:$*_%~>,#(=!|][-0-9a-z:]{0,3}\r\n){1,8}") {
        let mut block = Block::take();
        let raw = block.raw();
        raw.room().extend_from_slice(bytes.as_bytes());
        while matches!(raw.find(), Ok(Some(_))) {}
        let count = raw.len();
        if count > 0 {
            let mut batch = several(block).expect("what was let in can be read");
            let trees: Vec<_> = std::iter::from_fn(|| batch.next()).collect();
            prop_assert_eq!(trees.len(), count);
            for tree in trees {
                // SAFETY: it is live, and freed once.
                unsafe { swm_reply_free(tree) };
            }
        }
    }
}

#[test]
fn elements_are_not_freed_by_themselves() {
    let mut batch = trees(b"*2\r\n$1\r\na\r\n*1\r\n:7\r\n");
    let tree = batch.next().expect("a tree");
    for element in elements(tree) {
        // SAFETY: it is an element of a live tree, which this leaves alone.
        unsafe { swm_reply_free(element.cast_mut()) };
    }
    assert_eq!(text(elements(tree)[0]), b"a");
    // SAFETY: it is live, and freed once.
    unsafe { swm_reply_free(tree) };
}

#[test]
fn a_tree_as_deep_as_is_let_in_is_read() {
    let depth = 64;
    let mut batch = trees(&[b"*1\r\n".repeat(depth - 1), b":1\r\n".to_vec()].concat());
    let tree = batch.next().expect("a tree");
    let mut node = tree.cast_const();
    for _ in 1..depth {
        node = elements(node)[0];
    }
    assert_same(node, &Value::Int(1));
    // SAFETY: it is live, and freed once.
    unsafe { swm_reply_free(tree) };
}
