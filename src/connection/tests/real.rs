//! What programs do, on a real server.

use redis::{Commands, ConnectionLike, ServerErrorKind};

use super::*;

fn both() -> [Settings; 2] {
    [Protocol::Resp2, Protocol::Resp3].map(|protocol| Settings { protocol, ..settings() })
}

fn strings(words: &[&str]) -> Vec<Value> {
    words.iter().map(|word| Value::BulkString(word.as_bytes().to_vec())).collect()
}

#[test]
fn the_server_is_greeted() {
    let redis = Redis::start(&[]);
    let settings = Settings { client_name: Some("me".to_owned()), db: 3, ..settings() };
    let mut connection = redis.open_with(&settings);
    let greeting = connection.greeting().clone();
    assert_eq!(greeting.protocol, Protocol::Resp3);
    assert!(matches!(greeting.role, Some(Role::Master { .. })));
    assert_eq!(greeting.server.as_deref(), Some("redis"));
    assert_eq!(greeting.mode.as_deref(), Some("standalone"));
    let info: String = redis::cmd("CLIENT").arg("INFO").query(&mut connection).unwrap();
    assert!(info.contains(" name=me ") && info.contains(" db=3 "), "{info}");
    assert_eq!(connection.get_db(), 3);
    assert!(connection.check_connection() && connection.is_fresh());
}

#[test]
fn a_host_name_is_dialled_at_every_address_it_has() {
    // localhost is often ::1 first, where this server does not listen.
    let redis = Redis::start(&[]);
    let address = Address::new("localhost", redis.address.port()).unwrap();
    let connection = Connection::open(&address, &settings(), &gate(), in_time()).unwrap();
    assert_eq!(connection.address(), &address);
    let missing = Address::new("no-such-host.invalid", 6379).unwrap();
    let error = Connection::open(&missing, &settings(), &gate(), in_time()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("no-such-host.invalid:6379"), "{error}");
}

#[test]
fn credentials_are_given_and_refusals_explained() {
    let redis = Redis::start(&["--requirepass", "secret", "--user", "blind", "on", ">pw", "+ping"]);
    for base in both() {
        let with = |user: Option<&str>, password: Option<&str>| {
            let settings = Settings {
                username: user.map(str::to_owned),
                password: password.map(crate::config::Secret::new),
                ..base.clone()
            };
            Connection::open(&redis.address, &settings, &gate(), in_time())
        };
        with(None, Some("secret")).unwrap();
        with(Some("default"), Some("secret")).unwrap();
        for (user, password, kind) in [
            (None, None, ErrorKind::Authentication),
            (None, Some("hunter2"), ErrorKind::Authentication),
            (Some("nobody"), Some("hunter2"), ErrorKind::Authentication),
            (Some("blind"), Some("pw"), ErrorKind::Permission),
        ] {
            let error = with(user, password).unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn commands_pipelines_scripts_and_transactions_work() {
    let redis = Redis::start(&[]);
    for settings in both() {
        let mut connection = redis.open_with(&settings);
        let con = &mut connection;
        con.set::<_, _, ()>("greeting", "hello").unwrap();
        assert_eq!(con.get::<_, String>("greeting").unwrap(), "hello");
        con.hset::<_, _, _, ()>("hash", "field", 1.5).unwrap();
        let hash: std::collections::HashMap<String, f64> = con.hgetall("hash").unwrap();
        assert_eq!(hash["field"], 1.5);
        let keys: Vec<String> = con.scan().unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(keys.len(), 2);
        let (one, two): (i64, i64) = redis::pipe().incr("n", 1).incr("n", 1).query(con).unwrap();
        assert_eq!((one, two), (1, 2));
        let (three,): (i64,) =
            redis::pipe().atomic().set("a", 1).ignore().incr("n", 1).query(con).unwrap();
        assert_eq!(three, 3);
        assert!(!con.state().holds_state());
        let sum: i64 =
            redis::Script::new("return ARGV[1] + ARGV[2]").arg(1).arg(2).invoke(con).unwrap();
        assert_eq!(sum, 3);
        let (four,): (i64,) = redis::transaction(con, &["n"], |con, pipe| {
            assert_eq!(con.state().held(), Some("watched keys"));
            pipe.incr("n", 1).query(con)
        })
        .unwrap();
        assert_eq!(four, 4);
        assert!(!con.state().holds_state());
        assert!(con.get_del::<_, Option<i64>>("none").unwrap().is_none());
        redis::cmd("FLUSHALL").exec(con).unwrap();
    }
}

#[test]
fn errors_of_the_server_come_as_redis_rs_gives_them() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    let con = &mut connection;
    con.set::<_, _, ()>("text", "x").unwrap();

    let error = con.lpush::<_, _, ()>("text", 1).unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
    assert_eq!(Outcome::of(&error), Outcome::Replied);

    let replies = redis::pipe().get("text").lpush("text", 1).get("text").ignore_errors().clone();
    let replies: Vec<redis::RedisResult<String>> = replies.query(con).unwrap();
    assert!(replies[0].is_ok() && replies[1].is_err() && replies[2].is_ok());
    assert!(redis::pipe().get("text").lpush("text", 1).exec(con).is_err());

    let error = redis::pipe().atomic().cmd("NOSUCH").get("text").exec(con).unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::Server(ServerErrorKind::ExecAbort));
    assert!(error.to_string().contains("Index 0"), "{error}");
    assert!(!con.state().holds_state());

    redis::cmd("MULTI").exec(con).unwrap();
    assert_eq!(con.state().held(), Some("an open MULTI"));
    let error = redis::pipe().atomic().get("text").exec(con).unwrap_err();
    assert!(error.to_string().contains("nested"), "{error}");
    assert!(!con.state().holds_state());

    assert!(redis::Cmd::new().exec(con).is_err());
    assert!(con.req_packed_commands(b"", 0, 0).is_err());
    assert!(con.req_packed_commands(&packed(&["PING"]), 0, usize::MAX).is_err());
    assert!(con.req_packed_commands(&packed(&["PING"]), usize::MAX, usize::MAX).is_err());
    assert!(con.check_connection());
}

#[test]
fn a_pipeline_of_a_hundred_megabytes_of_replies_comes_through() {
    const COMMANDS: usize = 100_000;
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    connection.set::<_, _, ()>("key", "x".repeat(1024)).unwrap();
    let mut pipe = redis::Pipeline::with_capacity(COMMANDS);
    for _ in 0..COMMANDS {
        pipe.get("key");
    }
    let replies =
        connection.request_many(&pipe.get_packed_pipeline(), 0, COMMANDS, Some(in_time()));
    let replies = replies.unwrap().values;
    assert_eq!(replies.len(), COMMANDS);
    let expected = Value::BulkString(vec![b'x'; 1024]);
    assert!(replies.iter().all(|reply| *reply == expected));
}

#[test]
fn long_values_come_back_as_they_went() {
    let redis = Redis::start(&[]);
    let mut connection = redis.open();
    for len in [0, 1, 16 << 10, 1 << 20, (3 << 20) + 7] {
        let value: Vec<u8> = (0..len).map(|byte| (byte % 251) as u8).collect();
        connection.set::<_, _, ()>("key", &value).unwrap();
        assert!(connection.get::<_, Vec<u8>>("key").unwrap() == value);
    }
}

#[test]
fn another_database_is_state_and_coming_home_ends_it() {
    let redis = Redis::start(&["--databases", "4"]);
    let mut connection = redis.open();
    let con = &mut connection;
    let select = |con: &mut Connection, db: i64| redis::cmd("SELECT").arg(db).exec(con);
    select(con, 2).unwrap();
    assert!(con.state().holds_state() && con.get_db() == 2);
    assert!(select(con, 9).is_err());
    assert_eq!(con.get_db(), 2);
    select(con, 0).unwrap();
    assert!(!con.state().holds_state());
    let mixed = redis::pipe().cmd("SELECT").arg(9).cmd("PING").clone();
    assert!(mixed.exec(con).is_err());
    assert!(!con.state().holds_state(), "it was refused");
    let mixed = redis::pipe().cmd("SELECT").arg(3).cmd("SELECT").arg(9).clone();
    assert!(mixed.exec(con).is_err());
    assert!(con.state().holds_state() && con.get_db() == 3);
}

#[test]
fn subscriptions_are_confirmed_and_their_messages_kept_apart() {
    let redis = Redis::start(&[]);
    let mut publisher = redis.open();
    for settings in both() {
        let mut con = redis.open_with(&settings);
        con.request(&packed(&["SUBSCRIBE", "a", "b"]), None).unwrap();
        con.request(&packed(&["PSUBSCRIBE", "p*"]), None).unwrap();
        assert_eq!(con.state().held(), Some("subscriptions"));
        let receivers: i64 = publisher.publish("a", "one").unwrap();
        assert_eq!(receivers, 1);
        publisher.publish::<_, _, ()>("pp", "two").unwrap();
        let pong = con.request(&packed(&["PING"]), None).unwrap();
        match settings.protocol {
            Protocol::Resp3 => assert_eq!(pong, Value::SimpleString("PONG".to_owned())),
            Protocol::Resp2 => assert_eq!(pong, Value::Array(strings(&["pong", ""]))),
        }
        assert_eq!((con.take_dropped(), con.take_dropped()), (2, 0), "the messages are counted");
        con.request(&packed(&["UNSUBSCRIBE"]), None).unwrap();
        assert!(con.state().holds_state());
        con.request(&packed(&["PUNSUBSCRIBE"]), None).unwrap();
        assert!(!con.state().holds_state());
        con.request(&packed(&["UNSUBSCRIBE"]), None).unwrap();
        con.set::<_, _, ()>("key", "value").unwrap();
        assert_eq!(con.get::<_, String>("key").unwrap(), "value");
        // An error comes in place of the confirmations.
        let error = con.request(&packed(&["SUBSCRIBE"]), None).unwrap();
        assert!(matches!(error, Value::ServerError(_)));
        assert!(!con.state().holds_state());
        let silent = redis::cmd("SUBSCRIBE").arg("c").set_no_response(true).clone();
        assert_eq!(con.req_command(&silent).unwrap(), Value::Nil);
        assert!(con.check_connection());
    }
}

#[test]
fn pushes_are_never_taken_for_replies() {
    let redis = Redis::start(&[]);
    let mut other = redis.open();
    let mut con = redis.open();
    redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec(&mut con).unwrap();
    for round in 0..100 {
        let _: Option<i64> = con.get("key").unwrap();
        other.set::<_, _, ()>("key", round).unwrap();
        assert_eq!(con.get::<_, i64>("key").unwrap(), round);
    }
    let invalidations = con.take_dropped();
    assert!(invalidations >= 99, "{invalidations}");
}

#[test]
fn what_cannot_be_followed_is_not_sent() {
    let redis = Redis::start(&[]);
    let mut con = redis.open();
    for words in [&["MONITOR"][..], &["CLIENT", "REPLY", "OFF"], &["PSYNC", "?", "-1"]] {
        let error = con.request(&packed(words), None).unwrap_err();
        assert_eq!(error.outcome(), Outcome::NotSent, "{error}");
        assert!(con.is_open());
    }
    let error = con.request(&packed(&["PING"]).repeat(2), None).unwrap_err();
    assert!(error.to_string().contains("2 packed commands"), "{error}");
    assert!(con.check_connection());
    redis::cmd("QUIT").exec(&mut con).unwrap();
    let error = con.request(&packed(&["PING"]), None).unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Disconnected, Outcome::NotSent));
}

#[test]
fn a_blocking_command_has_its_own_time_on_top() {
    let redis = Redis::start(&[]);
    let settings = Settings { command_timeout: Duration::from_millis(500), ..settings() };
    let mut con = redis.open_with(&settings);
    // Redis ends blocked commands by a timer and may be 100 ms late.
    let started = Instant::now();
    let nothing: Value = redis::cmd("BLPOP").arg("none").arg(0.7).query(&mut con).unwrap();
    assert_eq!(nothing, Value::Nil);
    assert!(started.elapsed() >= Duration::from_millis(690));
    assert!(con.check_connection());
}

#[test]
fn a_server_that_became_a_replica_is_noticed() {
    let redis = Redis::start(&[]);
    let mut con = redis.open();
    assert_eq!(con.distress(), None);
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).exec(&mut con).unwrap();
    let mut con = redis.open();
    assert!(matches!(con.greeting().role, Some(Role::Replica { .. })));
    assert!(con.set::<_, _, ()>("key", 1).is_err());
    assert_eq!(con.distress(), Some(Distress::ReadOnly));
    let mut con = redis.open();
    assert!(redis::pipe().atomic().set("key", 1).exec(&mut con).is_err());
    assert_eq!(con.distress(), Some(Distress::ReadOnly));
}
