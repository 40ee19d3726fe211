//! What is measured: an [`Operation`] for each thread of a case.

use std::{hint::black_box, time::Duration};

use redis::{Cmd, Commands, ConnectionLike, Value};
use switchmaster::{Builder, Factory, Handle};
use switchmaster_sandbox::wait_until;

use crate::sentinel::{SERVICE, Sentinel};

/// Commands of a pipeline, and keys of an MGET.
const MANY: usize = 1000;
/// The bytes of most values.
const SHORT: usize = 64;
/// The bytes of one value.
const LONG: usize = 1 << 20;
/// The size of the pool: no thread waits for a handle.
const POOL: u32 = 8;
/// Until all connections are there.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does so many operations.
pub type Operation = Box<dyn FnMut(u64) + Send>;

/// How a handle is come by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Once.
    Held,
    /// For each operation.
    Pooled,
    /// Once, and commands are encoded beforehand and replies are left as they come: what the connection
    /// costs without redis's building of commands and its conversion of values.
    Packed,
}

/// Operations between two looks at the clock, which takes longer than a checkout.
pub fn batch(case: &str) -> u64 {
    if case == "checkout" { 64 } else { 1 }
}

/// The operations of a case, one a thread; none when this row has no such case.
pub fn of(row: Row, case: &str, threads: usize, sentinel: &Sentinel) -> Vec<Operation> {
    let known = match case {
        "get" | "set" | "pipe1000" | "mget1000" | "get1m" => row == Row::Pooled || threads == 1,
        "checkout" => row == Row::Pooled,
        _ => false,
    };
    if !known {
        return Vec::new();
    }
    let connections = if row == Row::Pooled { POOL } else { 1 };
    let factory = Builder::new()
        .sentinel(sentinel.address())
        .service(SERVICE)
        .max_size(connections)
        .min_idle(connections)
        .build()
        .expect("a factory opens");
    // None is dialled while it is measured.
    let dialled = wait_until(PATIENCE, || factory.stats().idle == connections);
    assert!(dialled, "not all connections are idle: {:?}", factory.stats());
    (0..threads).map(|_| operation(row, case, factory.clone())).collect()
}

fn operation(row: Row, case: &str, factory: Factory) -> Operation {
    if case == "checkout" {
        return Box::new(move |times| {
            (0..times).for_each(|_| drop(black_box(factory.get().expect("a handle"))));
        });
    }
    let mut work = if row == Row::Packed { packed(case) } else { work(case) };
    match row {
        Row::Held | Row::Packed => {
            let mut handle = factory.get().expect("a handle");
            // The factory is kept: without it nobody would follow the master.
            Box::new(move |times| {
                (0..times).for_each(|_| work(&mut handle));
                black_box(&factory);
            })
        }
        Row::Pooled => Box::new(move |times| {
            (0..times).for_each(|_| work(&mut factory.get().expect("a handle")));
        }),
    }
}

fn keys() -> Vec<String> {
    (0..MANY).map(|n| format!("steady:k{n:04}")).collect()
}

fn packed(case: &str) -> Box<dyn FnMut(&mut Handle) + Send> {
    let keys = keys();
    let command = match case {
        "get" => Cmd::get(&keys[0]),
        "get1m" => Cmd::get("steady:big"),
        "set" => Cmd::set("steady:set", &[b'v'; SHORT][..]),
        "mget1000" => Cmd::mget(&keys),
        _ => {
            let mut pipeline = redis::pipe();
            keys.iter().for_each(|key| {
                pipeline.get(key);
            });
            let bytes = pipeline.get_packed_pipeline();
            return Box::new(move |redis| {
                let values = redis.req_packed_commands(&bytes, 0, MANY).expect("the replies");
                assert!(values.iter().all(is_short), "the values are not those expected");
            });
        }
    };
    let bytes = command.get_packed_command();
    Box::new(move |redis| {
        let fine = match redis.req_packed_command(&bytes).expect("a reply") {
            Value::Okay => true,
            Value::Array(values) => values.len() == MANY && values.iter().all(is_short),
            value => is_short(&value) || is_long(&value),
        };
        assert!(fine, "the value is not the one expected");
    })
}

fn is_short(value: &Value) -> bool {
    matches!(value, Value::BulkString(bytes) if bytes.len() == SHORT)
}

fn is_long(value: &Value) -> bool {
    matches!(value, Value::BulkString(bytes) if bytes.len() == LONG)
}

fn work(case: &str) -> Box<dyn FnMut(&mut Handle) + Send> {
    let keys = keys();
    match case {
        "get" => Box::new(move |redis| get(redis, &keys[0], SHORT)),
        "get1m" => Box::new(|redis| get(redis, "steady:big", LONG)),
        "set" => Box::new(|redis| {
            redis.set::<_, _, ()>("steady:set", &[b'v'; SHORT][..]).expect("a reply to SET");
        }),
        "pipe1000" => Box::new(move |redis| pipeline(redis, &keys)),
        _ => Box::new(move |redis| {
            let values: Vec<Vec<u8>> = redis.mget(&keys).expect("a reply to MGET");
            check(&values);
        }),
    }
}

fn get(redis: &mut impl Commands, key: &str, len: usize) {
    let value: Vec<u8> = redis.get(key).expect("a reply to GET");
    assert!(value.len() == len && value[len - 1] == b'v', "the value is not the one expected");
}

fn pipeline(redis: &mut impl ConnectionLike, keys: &[String]) {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.get(key);
    }
    let values: Vec<Vec<u8>> = pipeline.query(redis).expect("a reply to each GET");
    check(&values);
}

fn check(values: &[Vec<u8>]) {
    let whole = values.iter().all(|value| value.len() == SHORT);
    assert!(values.len() == MANY && whole, "the values are not those expected");
}
