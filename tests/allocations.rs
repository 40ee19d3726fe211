//! What a command allocates: the value that it answers with, and nothing else.

use allocation_counter::{AllocationInfo, measure};
use redis::{Cmd, ConnectionLike, Value};
use switchmaster::{Factory, Handle};
use switchmaster_sandbox::Cluster;

const MANY: usize = 1000;
const LONG: usize = 1 << 20;

/// A cluster whose server holds what is asked for, and a handle to it.
fn stage() -> (Cluster, Factory, Handle) {
    let cluster = Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts");
    let factory = Factory::open(&cluster.url()).expect("a factory opens");
    let mut handle = factory.get().expect("a handle");
    redis::cmd("SET").arg("short").arg([b'v'; 64].as_slice()).exec(&mut handle).unwrap();
    redis::cmd("SET").arg("long").arg(vec![b'v'; LONG]).exec(&mut handle).unwrap();
    (cluster, factory, handle)
}

/// Runs it a few times, until every buffer has its size, and then counts.
fn counted<T>(mut work: impl FnMut() -> T) -> (T, AllocationInfo) {
    for _ in 0..8 {
        work();
    }
    let mut result = None;
    let info = measure(|| result = Some(work()));
    (result.expect("it was measured"), info)
}

#[test]
fn a_get_allocates_its_value_and_a_set_nothing() {
    let (_cluster, _factory, mut handle) = stage();
    let get = Cmd::get("short");
    let set = Cmd::set("short", [b'v'; 64].as_slice());
    for (command, allocations) in [(&get, 1), (&set, 0)] {
        let packed = command.get_packed_command();
        let (reply, info) = counted(|| handle.req_packed_command(&packed).unwrap());
        assert_ne!(reply, Value::Nil);
        assert_eq!(info.count_total, allocations, "{reply:?}: {info:?}");
        // It is encoded into memory that the connection keeps.
        let (_, info) = counted(|| handle.req_command(command).unwrap());
        assert_eq!(info.count_total, allocations, "{reply:?}: {info:?}");
    }
}

#[test]
fn a_pipeline_and_an_mget_allocate_their_values_and_one_vector() {
    let (_cluster, _factory, mut handle) = stage();
    let mut pipeline = redis::pipe();
    (0..MANY).for_each(|_| {
        pipeline.get("short");
    });
    let packed = pipeline.get_packed_pipeline();
    let (replies, info) = counted(|| handle.req_packed_commands(&packed, 0, MANY).unwrap());
    assert_eq!(replies.len(), MANY);
    assert_eq!(info.count_total, MANY as u64 + 1, "{info:?}");

    let packed = Cmd::mget(vec!["short"; MANY]).get_packed_command();
    let (reply, info) = counted(|| handle.req_packed_command(&packed).unwrap());
    assert!(matches!(reply, Value::Array(values) if values.len() == MANY));
    // The levels of a reply stand on a stack, and its first frame is one more. Where the reply comes
    // in pieces, the vector grows with them.
    assert!(info.count_total <= MANY as u64 + 8, "{info:?}");
}

#[test]
fn a_long_value_is_received_where_it_stays() {
    let (_cluster, _factory, mut handle) = stage();
    let packed = Cmd::get("long").get_packed_command();
    let (reply, info) = counted(|| handle.req_packed_command(&packed).unwrap());
    assert!(matches!(reply, Value::BulkString(value) if value.len() == LONG));
    assert_eq!(info.count_total, 1, "{info:?}");
    assert!(info.bytes_max < LONG as u64 + 1024, "{info:?}");
}

#[test]
fn receivers_of_events_that_were_dropped_hold_little() {
    let (_cluster, factory, _handle) = stage();
    let info = measure(|| (0..MANY).for_each(|_| drop(factory.events())));
    // The channel forgets them at its next event, and there may be none for a long time.
    let each = info.bytes_current / MANY as i64;
    assert!(each < 1024, "{each} bytes each: {info:?}");
}
