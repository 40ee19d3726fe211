//! All of redis's synchronous face on a handle, and what is left of it after it was broken off.

mod common;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use redis::{
    Commands, ConnectionLike, ErrorKind, ExpireOption, RedisError, RedisResult, ServerErrorKind,
    SetExpiry, SetOptions, Value,
    geo::{Coord, RadiusOptions, RadiusOrder, Unit},
    streams::{
        StreamInfoGroupsReply, StreamPendingReply, StreamRangeReply, StreamReadOptions,
        StreamReadReply,
    },
};
use switchmaster::{Builder, Factory, Handle, Outcome, Protocol};
use switchmaster_sandbox::Cluster;

/// The smallest cluster there is.
fn cluster() -> Cluster {
    Cluster::builder().replicas(0).sentinels(1).start().expect("a cluster starts")
}

fn stage() -> (Cluster, Factory, Handle) {
    stage_with(|builder| builder)
}

fn stage_with(options: impl FnOnce(Builder) -> Builder) -> (Cluster, Factory, Handle) {
    let cluster = cluster();
    let factory = options(Builder::from_url(&cluster.url()).unwrap()).build().unwrap();
    let handle = factory.get().unwrap();
    (cluster, factory, handle)
}

/// Asserts that the next replies on this handle are those to the next commands.
fn assert_clean(handle: &mut Handle) {
    for round in 0..3 {
        let text = format!("echo {round}");
        let echoed: String = redis::cmd("ECHO").arg(&text).query(handle).unwrap();
        assert_eq!(echoed, text);
    }
}

/// Asserts that whoever takes a handle next finds no transaction and no watched key on it.
fn assert_next_is_clean(factory: &Factory) {
    let mut next = factory.get().unwrap();
    assert_clean(&mut next);
    let info: String = redis::cmd("CLIENT").arg("INFO").query(&mut next).unwrap();
    assert!(info.contains(" multi=-1 "), "{info}");
    // A watch that was left would break this transaction.
    redis::cmd("SET").arg("watched").arg("changed").exec(&mut next).unwrap();
    let done: Option<(String,)> = redis::pipe().atomic().get("watched").query(&mut next).unwrap();
    assert_eq!(done, Some(("changed".to_owned(),)));
}

fn is_server_error(error: &RedisError, kind: ServerErrorKind) -> bool {
    error.kind() == ErrorKind::Server(kind)
}

#[test]
fn commands_of_every_kind_of_value() {
    let (_cluster, _factory, mut redis) = stage();
    redis.set::<_, _, ()>("text", "hello").unwrap();
    assert_eq!(redis.get::<_, String>("text").unwrap(), "hello");
    assert_eq!(redis.get::<_, Option<String>>("nothing").unwrap(), None);
    assert_eq!(redis.append::<_, _, i64>("text", " you").unwrap(), 9);
    assert_eq!(redis.getrange::<_, String>("text", 0, 4).unwrap(), "hello");
    let options = SetOptions::default().with_expiration(SetExpiry::EX(100)).get(true);
    assert_eq!(redis.set_options::<_, _, String>("text", "new", options).unwrap(), "hello you");
    assert!((1..=100).contains(&redis.ttl::<_, i64>("text").unwrap()));
    assert!(redis.expire_at::<_, bool>("text", 4_000_000_000).unwrap());
    assert_eq!(redis.incr::<_, _, i64>("count", 41).unwrap(), 41);
    assert!((redis.incr::<_, _, f64>("real", 1.5).unwrap() - 1.5).abs() < f64::EPSILON);
    redis.mset::<_, _, ()>(&[("a", 1), ("b", 2)]).unwrap();
    assert_eq!(
        redis.mget::<_, Vec<Option<i64>>>(&["a", "x", "b"]).unwrap(),
        [Some(1), None, Some(2)]
    );
    assert!(redis.exists::<_, bool>("a").unwrap());
    assert_eq!(redis.del::<_, i64>(&["a", "b", "x"]).unwrap(), 2);

    redis.hset_multiple::<_, _, _, ()>("hash", &[("one", 1), ("two", 2)]).unwrap();
    let all: HashMap<String, i64> = redis.hgetall("hash").unwrap();
    assert_eq!(all, HashMap::from([("one".to_owned(), 1), ("two".to_owned(), 2)]));
    assert_eq!(redis.rpush::<_, _, i64>("list", &[1, 2, 3]).unwrap(), 3);
    assert_eq!(redis.lrange::<_, Vec<i64>>("list", 0, -1).unwrap(), [1, 2, 3]);
    assert_eq!(redis.blpop::<_, (String, i64)>("list", 1.0).unwrap(), ("list".to_owned(), 1));
    assert_eq!(redis.sadd::<_, _, i64>("set", &["x", "y", "x"]).unwrap(), 2);
    let members: HashSet<String> = redis.smembers("set").unwrap();
    assert_eq!(members.len(), 2);
    redis.zadd_multiple::<_, _, _, ()>("sorted", &[(1.0, "low"), (2.5, "high")]).unwrap();
    let ranked: Vec<(String, f64)> = redis.zrange_withscores("sorted", 0, -1).unwrap();
    assert_eq!(ranked, [("low".to_owned(), 1.0), ("high".to_owned(), 2.5)]);
    let _: () = redis::cmd("EXPIRE")
        .arg("sorted")
        .arg(100)
        .arg(ExpireOption::NX)
        .query(&mut redis)
        .unwrap();

    assert!(redis.check_connection());
    assert!(redis.is_open());
    assert_eq!(redis.get_db(), 0);
    assert!(redis.supports_pipelining());
}

#[test]
fn bits_places_and_sketches() {
    let (_cluster, _factory, mut redis) = stage();
    redis.setbit::<_, ()>("bits", 7, true).unwrap();
    redis.setbit::<_, ()>("other", 6, true).unwrap();
    assert!(redis.getbit::<_, bool>("bits", 7).unwrap());
    assert_eq!(redis.bitcount::<_, i64>("bits").unwrap(), 1);
    assert_eq!(redis.bit_or::<_, _, i64>("either", &["bits", "other"]).unwrap(), 1);
    assert_eq!(redis.bitcount::<_, i64>("either").unwrap(), 2);
    assert_eq!(redis.bit_and::<_, _, i64>("both", &["bits", "other"]).unwrap(), 1);
    assert_eq!(redis.bitcount::<_, i64>("both").unwrap(), 0);

    let cities = [
        (Coord::lon_lat("13.361389", "38.115556"), "Palermo"),
        (Coord::lon_lat("15.087269", "37.502669"), "Catania"),
    ];
    assert_eq!(redis.geo_add::<_, _, i64>("cities", &cities).unwrap(), 2);
    let apart: f64 = redis.geo_dist("cities", "Palermo", "Catania", Unit::Kilometers).unwrap();
    assert!((apart - 166.27).abs() < 0.1, "{apart}");
    let at: Vec<Option<Coord<f64>>> = redis.geo_pos("cities", &["Palermo", "Rome"]).unwrap();
    assert!(at[0].as_ref().is_some_and(|at| (at.latitude - 38.1155).abs() < 0.001));
    assert!(at[1].is_none());
    let near: Vec<String> = redis
        .geo_radius(
            "cities",
            15.0,
            37.0,
            200.0,
            Unit::Kilometers,
            RadiusOptions::default().order(RadiusOrder::Asc),
        )
        .unwrap();
    assert_eq!(near, ["Catania", "Palermo"]);

    assert!(redis.pfadd::<_, _, bool>("seen", &["a", "b", "c"]).unwrap());
    assert_eq!(redis.pfcount::<_, i64>("seen").unwrap(), 3);
}

#[test]
fn streams() {
    let (_cluster, _factory, mut redis) = stage();
    for n in 1..=3 {
        let id: String = redis.xadd("log", format!("{n}-0"), &[("n", n)]).unwrap();
        assert_eq!(id, format!("{n}-0"));
    }
    assert_eq!(redis.xlen::<_, i64>("log").unwrap(), 3);
    let range: StreamRangeReply = redis.xrange("log", "2", "+").unwrap();
    assert_eq!(range.ids.len(), 2);
    assert_eq!(range.ids[0].get::<i64>("n"), Some(2));

    redis.xgroup_create::<_, _, _, ()>("log", "group", "0").unwrap();
    let options = StreamReadOptions::default().group("group", "one").count(2);
    let read: StreamReadReply = redis.xread_options(&["log"], &[">"], &options).unwrap();
    assert_eq!(read.keys[0].ids.len(), 2);
    let pending: StreamPendingReply = redis.xpending("log", "group").unwrap();
    assert_eq!(pending.count(), 2);
    assert_eq!(redis.xack::<_, _, _, i64>("log", "group", &["1-0", "2-0"]).unwrap(), 2);
    let groups: StreamInfoGroupsReply = redis.xinfo_groups("log").unwrap();
    assert_eq!(groups.groups[0].pending, 0);
    // One that blocks, and in vain.
    let options = StreamReadOptions::default().block(20);
    let none: Option<StreamReadReply> = redis.xread_options(&["log"], &["$"], &options).unwrap();
    assert!(none.is_none_or(|reply| reply.keys.is_empty()));
    assert_clean(&mut redis);
}

#[test]
fn scripts_are_loaded_when_they_are_missing() {
    let (_cluster, _factory, mut redis) = stage();
    let script = redis::Script::new("redis.call('SET', KEYS[1], ARGV[1]) return ARGV[1] + 1");
    for _ in 0..2 {
        assert_eq!(script.key("scripted").arg(41).invoke::<i64>(&mut redis).unwrap(), 42);
    }
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut redis).unwrap();
    assert_eq!(script.key("scripted").arg(1).invoke::<i64>(&mut redis).unwrap(), 2);
    assert_eq!(redis.get::<_, i64>("scripted").unwrap(), 1);
    let wrong = redis::Script::new("return redis.call('INCR', KEYS[1], 'too', 'many')");
    assert!(wrong.key("scripted").invoke::<i64>(&mut redis).is_err());
    let mut load = redis::pipe();
    load.load_script(&script).ignore().invoke_script(script.key("piped").arg(6));
    assert_eq!(load.query::<(i64,)>(&mut redis).unwrap(), (7,));
    assert_clean(&mut redis);
}

#[test]
fn iterators_see_everything_and_may_be_left_anywhere() {
    let (_cluster, factory, mut redis) = stage();
    const COUNT: usize = 500;
    let mut fill = redis::pipe();
    for n in 0..COUNT {
        fill.set(format!("key:{n}"), n).ignore();
        fill.hset("hash", format!("field:{n}"), n).ignore();
        fill.sadd("set", format!("member:{n}")).ignore();
        fill.zadd("sorted", format!("member:{n}"), n).ignore();
    }
    fill.exec(&mut redis).unwrap();

    let keys: BTreeSet<String> =
        redis.scan_match("key:*").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(keys.len(), COUNT);
    let all: BTreeSet<String> = redis.scan().unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(all.len(), COUNT + 3);
    let fields: HashMap<String, usize> =
        redis.hscan("hash").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(fields["field:7"], 7);
    assert_eq!(fields.len(), COUNT);
    let members: BTreeSet<String> =
        redis.sscan("set").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(members.len(), COUNT);
    let ranked: HashMap<String, f64> =
        redis.zscan("sorted").unwrap().collect::<RedisResult<_>>().unwrap();
    assert_eq!(ranked.len(), COUNT);

    // Left after the first, in the middle of a batch, and between two batches.
    for taken in [1, 5, 10, 25] {
        let some = redis.scan::<String>().unwrap().take(taken).count();
        assert_eq!(some, taken);
        assert_clean(&mut redis);
        let some = redis.hscan::<_, (String, usize)>("hash").unwrap().take(taken).count();
        assert_eq!(some, taken);
        assert_clean(&mut redis);
        assert_eq!(redis.sscan::<_, String>("set").unwrap().take(taken).count(), taken);
        assert_eq!(redis.zscan::<_, (String, f64)>("sorted").unwrap().take(taken).count(), taken);
        assert_clean(&mut redis);
    }
    // One that cannot begin, and one whose elements are of another type.
    redis.set::<_, _, ()>("text", "x").unwrap();
    assert!(redis.hscan::<_, (String, String)>("text").is_err());
    let wrong = redis.sscan::<_, i64>("set").unwrap().next();
    assert!(wrong.is_some_and(|item| item.is_err()));
    assert_clean(&mut redis);
    drop(redis);
    assert_next_is_clean(&factory);
}

#[test]
fn pipelines_return_every_reply_or_every_error() {
    let (_cluster, factory, mut redis) = stage();
    let (one, two, three): (i64, Option<String>, Vec<i64>) = redis::pipe()
        .cmd("SET")
        .arg("a")
        .arg(1)
        .ignore()
        .incr("a", 1)
        .get("nothing")
        .rpush("list", &[1, 2])
        .ignore()
        .lrange("list", 0, -1)
        .query(&mut redis)
        .unwrap();
    assert_eq!((one, two, three), (2, None, vec![1, 2]));

    // An error in the midst: the others have run, and every reply was taken.
    let failed =
        redis::pipe()
            .set("b", "text")
            .lpush("b", 1)
            .set("c", "after")
            .query::<(Value, Value, Value)>(&mut redis);
    let failed = failed.unwrap_err();
    assert_eq!(Outcome::of(&failed), Outcome::Replied, "{failed}");
    assert_eq!(redis.get::<_, String>("c").unwrap(), "after");
    let each: Vec<RedisResult<Value>> = redis::pipe()
        .get("c")
        .lpush("b", 1)
        .cmd("NOSUCHCOMMAND")
        .get("b")
        .ignore_errors()
        .query(&mut redis)
        .unwrap();
    let fine: Vec<bool> = each.iter().map(RedisResult::is_ok).collect();
    assert_eq!(fine, [true, false, false, true]);

    // Much larger than the buffers on the way, in both directions.
    let mut large = redis::pipe();
    let value = vec![b'v'; 100_000];
    for n in 0..200 {
        large.set(format!("large:{n}"), &value).ignore().get(format!("large:{n}"));
    }
    let values: Vec<Vec<u8>> = large.query(&mut redis).unwrap();
    assert!(values.len() == 200 && values.iter().all(|got| *got == value));
    assert!(redis::pipe().query::<Vec<Value>>(&mut redis).is_ok_and(|none| none.is_empty()));
    assert_clean(&mut redis);
    drop(redis);
    assert_next_is_clean(&factory);
}

#[test]
fn atomic_pipelines_happen_whole_or_leave_the_handle_clean() {
    let (_cluster, factory, mut redis) = stage();
    let (count, text): (i64, String) = redis::pipe()
        .atomic()
        .incr("count", 5)
        .set("text", "x")
        .ignore()
        .get("text")
        .query(&mut redis)
        .unwrap();
    assert_eq!((count, text.as_str()), (5, "x"));

    // Refused when it was queued: nothing of it has run.
    let refused = redis::pipe()
        .atomic()
        .incr("count", 1)
        .cmd("NOSUCHCOMMAND")
        .query::<(Value, Value)>(&mut redis)
        .unwrap_err();
    assert!(is_server_error(&refused, ServerErrorKind::ExecAbort), "{refused:?}");
    assert_eq!(Outcome::of(&refused), Outcome::Replied);
    assert_eq!(redis.get::<_, i64>("count").unwrap(), 5);
    assert_clean(&mut redis);

    // Failed when it ran: the rest of it has run.
    let failed = redis::pipe()
        .atomic()
        .incr("text", 1)
        .incr("count", 1)
        .query::<(Value, Value)>(&mut redis)
        .unwrap_err();
    assert_eq!(Outcome::of(&failed), Outcome::Replied, "{failed}");
    assert_eq!(redis.get::<_, i64>("count").unwrap(), 6);
    assert_clean(&mut redis);

    // By hand, and given up in the midst.
    redis::cmd("MULTI").exec(&mut redis).unwrap();
    let queued: String = redis::cmd("INCR").arg("count").query(&mut redis).unwrap();
    assert_eq!(queued, "QUEUED");
    drop(redis);
    assert_next_is_clean(&factory);
    let mut redis = factory.get().unwrap();
    assert_eq!(redis.get::<_, i64>("count").unwrap(), 6);
}

#[test]
fn transactions_repeat_on_a_conflict_and_leave_no_watch_behind() {
    let (_cluster, factory, mut redis) = stage();
    redis.set::<_, _, ()>("count", 1).unwrap();
    let mut other = factory.get().unwrap();
    let mut tries = 0;
    let (now,): (i64,) = redis::transaction(&mut redis, &["count"], |redis, pipeline| {
        tries += 1;
        let seen: i64 = redis.get("count")?;
        if tries < 3 {
            other.incr::<_, _, ()>("count", 10)?;
        }
        pipeline.set("count", seen * 2).ignore().get("count").query(redis)
    })
    .unwrap();
    assert_eq!((tries, now), (3, 42));
    assert_clean(&mut redis);
    drop(other);

    // Broken off by an error of the program's own: the watch is on the handle, and ends with it.
    let given_up: RedisResult<()> = redis::transaction(&mut redis, &["watched"], |_, _| {
        Err(RedisError::from((ErrorKind::Client, "changed my mind")))
    });
    assert!(given_up.is_err());
    assert_clean(&mut redis);
    drop(redis);
    assert_next_is_clean(&factory);

    // Broken off by a panic.
    let mut redis = factory.get().unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        redis::transaction(&mut redis, &["watched"], |_, _| -> RedisResult<Option<()>> {
            std::panic::resume_unwind(Box::new("the program's own"))
        })
    }));
    assert!(panicked.is_err());
    assert_clean(&mut redis);
    drop(redis);
    assert_next_is_clean(&factory);
}

#[test]
fn a_pipeline_that_came_too_late_is_not_mixed_up_with_what_follows() {
    let (_cluster, factory, mut redis) =
        stage_with(|builder| builder.command_timeout(Duration::from_millis(150)));
    const BUSY: &str = "local function now() local t = redis.call('TIME') \
                        return t[1] * 1000 + t[2] / 1000 end \
                        local e = now() + 400 repeat until now() >= e return 'late'";
    redis.set::<_, _, ()>("a", "first").unwrap();
    let late = redis::pipe()
        .get("a")
        .cmd("EVAL")
        .arg(BUSY)
        .arg(0)
        .get("a")
        .query::<Vec<Value>>(&mut redis)
        .unwrap_err();
    assert_eq!(Outcome::of(&late), Outcome::Unknown, "{late}");
    // The server is still busy, so what follows may fail as well; what is answered is answered right.
    let answered = switchmaster_sandbox::wait_until(common::PATIENCE, || {
        let echoed: RedisResult<String> = redis::cmd("ECHO").arg("mine").query(&mut redis);
        echoed.is_ok_and(|echoed| {
            assert_eq!(echoed, "mine");
            true
        })
    });
    assert!(answered, "the handle never came back");
    assert_clean(&mut redis);

    // The same with the transaction open: the handle holds state that is lost, and says so for good.
    redis::cmd("MULTI").exec(&mut redis).unwrap();
    redis::cmd("EVAL").arg(BUSY).arg(0).exec(&mut redis).unwrap();
    let late = redis::cmd("EXEC").query::<Value>(&mut redis).unwrap_err();
    assert_eq!(Outcome::of(&late), Outcome::Unknown, "{late}");
    let poisoned = redis::cmd("ECHO").arg("mine").query::<String>(&mut redis).unwrap_err();
    let ours = switchmaster::Error::from_redis(&poisoned).expect("an error of this crate");
    assert_eq!(ours.kind(), switchmaster::ErrorKind::Poisoned, "{poisoned}");
    assert!(!redis.is_open());
    drop(redis);
    let clean = switchmaster_sandbox::wait_until(common::PATIENCE, || {
        let echoed: RedisResult<String> =
            factory.run(|redis| redis::cmd("ECHO").arg("mine").query(redis));
        echoed.is_ok_and(|echoed| echoed == "mine")
    });
    assert!(clean, "no handle is good any more");
    assert_next_is_clean(&factory);
}

#[test]
fn packed_commands_are_answered_one_each() {
    let (_cluster, _factory, mut redis) = stage();
    let ping = redis::cmd("PING").get_packed_command();
    let pong = Value::SimpleString("PONG".to_owned());
    assert_eq!(redis.req_packed_command(&ping).unwrap(), pong);
    assert_eq!(redis.req_packed_commands(&ping.repeat(3), 0, 3).unwrap(), vec![pong.clone(); 3]);
    assert_eq!(redis.req_packed_commands(&ping.repeat(3), 2, 1).unwrap(), vec![pong.clone()]);
    // An error is a reply here, as it is with redis's own connection.
    let wrong = redis::cmd("NOSUCHCOMMAND").get_packed_command();
    assert!(matches!(redis.req_packed_command(&wrong).unwrap(), Value::ServerError(_)));
    let replies = redis.req_packed_commands(&[&wrong[..], &ping].concat(), 0, 2).unwrap();
    assert!(matches!(&replies[..], [Value::ServerError(_), last] if *last == pong));
    // What would leave a reply unread, or wait for one that does not come, is not sent.
    for (bytes, count) in [(&ping[..], 2), (&ping.repeat(2)[..], 1)] {
        let refused = redis.req_packed_commands(bytes, 0, count).unwrap_err();
        assert_eq!(Outcome::of(&refused), Outcome::NotSent, "{refused}");
        assert_clean(&mut redis);
    }
    assert!(redis.req_packed_command(&ping.repeat(2)).is_err());
    assert!(redis.req_packed_command(b"").is_err());
    // A command that says that it wants no answer is answered nevertheless, and not with the next.
    let mut silent = redis::cmd("PING");
    silent.set_no_response(true);
    assert_eq!(redis.req_command(&silent).unwrap(), Value::Nil);
    assert_clean(&mut redis);
}

#[test]
fn types_of_resp3_come_as_such_and_resp2_has_the_same_content() {
    let (cluster, _factory, mut redis) = stage_with(|builder| builder.protocol(Protocol::Resp3));
    let eval = |redis: &mut Handle, code: &str| {
        redis::cmd("EVAL")
            .arg(format!("redis.setresp(3) return {code}"))
            .arg(0)
            .query::<Value>(redis)
            .unwrap()
    };
    assert_eq!(eval(&mut redis, "{double=3.5}"), Value::Double(3.5));
    assert_eq!(eval(&mut redis, "true"), Value::Boolean(true));
    assert_eq!(eval(&mut redis, "nil"), Value::Nil);
    assert!(matches!(eval(&mut redis, "{map={a=1}}"), Value::Map(pairs) if pairs.len() == 1));
    assert!(matches!(eval(&mut redis, "{set={a=true}}"), Value::Set(items) if items.len() == 1));
    let number = eval(&mut redis, "{big_number='12345678901234567890123'}");
    assert!(
        matches!(&number, Value::BigNumber(number) if number.to_string() == "12345678901234567890123"),
        "{number:?}"
    );
    redis.hset::<_, _, _, ()>("hash", "field", 1).unwrap();
    redis.sadd::<_, _, ()>("set", "member").unwrap();
    redis.zadd::<_, _, _, ()>("sorted", "member", 1.5).unwrap();
    let raw = |redis: &mut Handle, name: &str, key: &str| {
        redis::cmd(name).arg(key).query::<Value>(redis).unwrap()
    };
    assert!(matches!(raw(&mut redis, "HGETALL", "hash"), Value::Map(_)));
    assert!(matches!(raw(&mut redis, "SMEMBERS", "set"), Value::Set(_)));
    assert_eq!(redis.zscore::<_, _, f64>("sorted", "member").unwrap(), 1.5);
    assert!(matches!(
        redis::cmd("ZSCORE").arg("sorted").arg("member").query::<Value>(&mut redis),
        Ok(Value::Double(score)) if score == 1.5
    ));

    let older = Builder::from_url(&cluster.url()).unwrap().protocol(Protocol::Resp2);
    let older = older.build().unwrap();
    let mut redis = older.get().unwrap();
    assert!(matches!(raw(&mut redis, "HGETALL", "hash"), Value::Array(_)));
    assert_eq!(redis.hgetall::<_, HashMap<String, i64>>("hash").unwrap()["field"], 1);
    assert!(redis.smembers::<_, HashSet<String>>("set").unwrap().contains("member"));
    assert_eq!(redis.zscore::<_, _, f64>("sorted", "member").unwrap(), 1.5);
}
