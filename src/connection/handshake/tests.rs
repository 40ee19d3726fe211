use super::*;

const HELLO: &str = "%4\r\n$2\r\nid\r\n:42\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n\
                     $4\r\nmode\r\n$10\r\nstandalone\r\n";
const MASTER: &str = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
const OK: &str = "+OK\r\n";
const NO_HELLO: &str = "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, \
                        `default`, `secret`, \r\n";

const NO_ROLE: &str = "-ERR unknown command 'ROLE', with args beginning with: \r\n";
const REPLICA: &str = "*5\r\n$5\r\nslave\r\n$1\r\na\r\n:1\r\n$7\r\nconnect\r\n:-1\r\n";

fn settings() -> Settings {
    Settings::default()
}

fn with_password() -> Settings {
    Settings { password: Some(Secret::new("secret")), ..settings() }
}

/// Answers a handshake; gives its end, and what it said in each round.
fn shake(settings: &Settings, replies: &[&str]) -> (Result<Greeting, Error>, Vec<String>) {
    answer(Handshake::new(&"10.0.0.1:6379".parse().unwrap(), settings), replies)
}

fn answer(mut shake: Handshake, replies: &[&str]) -> (Result<Greeting, Error>, Vec<String>) {
    let mut out = Vec::new();
    shake.start(&mut out);
    let mut rounds = Vec::new();
    let words = |out: &mut Vec<u8>| {
        let mut decoder = super::super::wire::Decoder::new(Default::default());
        decoder.feed(out);
        out.clear();
        let mut commands = Vec::new();
        while let Some(Value::Array(words)) = decoder.next().expect("valid RESP") {
            let words: Vec<_> = words.iter().filter_map(text).collect();
            commands.push(words.join(" "));
        }
        commands.join("; ")
    };
    rounds.push(words(&mut out));
    for reply in replies {
        let reply = redis::parse_redis_value(reply.as_bytes()).expect("valid RESP");
        let end = shake.reply(reply, &mut out);
        if !out.is_empty() {
            rounds.push(words(&mut out));
        }
        match end {
            Ok(None) => {}
            Ok(Some(greeting)) => return (Ok(greeting), rounds),
            Err(error) => {
                assert!(!error.to_string().contains("secret"), "{error}");
                assert!(error.to_string().contains("10.0.0.1:6379"), "{error}");
                return (Err(error), rounds);
            }
        }
    }
    panic!("the handshake did not end");
}

fn refusal(settings: &Settings, replies: &[&str]) -> (ErrorKind, String) {
    let error = shake(settings, replies).0.expect_err("a refusal");
    (error.kind(), error.to_string())
}

const INFO: &str = "CLIENT SETINFO LIB-NAME switchmaster; CLIENT SETINFO LIB-VER 0.1.0";

#[test]
fn one_round_is_enough() {
    let settings = Settings {
        username: Some("app".to_owned()),
        client_name: Some("me".to_owned()),
        db: 4,
        ..with_password()
    };
    let (end, said) = shake(&settings, &[HELLO, OK, OK, OK, OK, MASTER]);
    let greeting = end.unwrap();
    assert_eq!(greeting.protocol, Protocol::Resp3);
    assert_eq!(greeting.server.as_deref(), Some("redis"));
    assert_eq!(greeting.version.as_deref(), Some("7.0.15"));
    assert_eq!(greeting.mode.as_deref(), Some("standalone"));
    assert_eq!(greeting.client_id, Some(42));
    assert_eq!(greeting.role, Some(Role::Master { offset: 0, replicas: Vec::new() }));
    assert_eq!(
        said,
        [format!("HELLO 3 AUTH app secret; CLIENT SETNAME me; {INFO}; SELECT 4; ROLE")]
    );
}

#[test]
fn resp2_says_no_hello() {
    let settings = Settings { protocol: Protocol::Resp2, ..with_password() };
    let (end, said) = shake(&settings, &[OK, ":7\r\n", OK, OK, MASTER]);
    let greeting = end.unwrap();
    assert_eq!((greeting.protocol, greeting.client_id), (Protocol::Resp2, Some(7)));
    assert_eq!(said, [format!("AUTH secret; CLIENT ID; {INFO}; ROLE")]);
}

#[test]
fn an_old_server_is_spoken_to_in_resp2() {
    let err = "-ERR unknown subcommand\r\n";
    let (end, said) = shake(&settings(), &[NO_HELLO, err, err, MASTER, ":9\r\n"]);
    let greeting = end.unwrap();
    assert_eq!((greeting.protocol, greeting.client_id), (Protocol::Resp2, Some(9)));
    assert_eq!(said[1..], ["CLIENT ID"]);

    let noauth = "-NOAUTH Authentication required.\r\n";
    for hello in [NO_HELLO, noauth, "-NOPROTO sorry\r\n", "-NOPERM no permissions for hello\r\n"] {
        let first = [hello, noauth, noauth, noauth];
        let second = [OK, err, err, err, MASTER];
        let (end, said) = shake(&with_password(), &[&first[..], &second].concat());
        assert_eq!(end.unwrap().protocol, Protocol::Resp2);
        assert_eq!(said.len(), 2);
        assert_eq!(said[1], format!("AUTH secret; CLIENT ID; {INFO}; ROLE"));
    }
}

#[test]
fn refusals_have_their_kind_and_say_what_to_do() {
    let second = [NO_HELLO, OK, OK, OK];
    let db = Settings { db: 99, ..settings() };
    let cases: [(&Settings, Vec<&str>, ErrorKind, &str); 13] = [
        (&settings(), vec!["-NOAUTH need it\r\n"], ErrorKind::Authentication, "set the pass"),
        (
            &with_password(),
            vec!["-WRONGPASS invalid secret\r\n"],
            ErrorKind::Authentication,
            "check user",
        ),
        (
            &with_password(),
            [&second[..], &["-ERR Client sent AUTH, but no password is set\r\n"]].concat(),
            ErrorKind::Authentication,
            "has no password set",
        ),
        (
            &with_password(),
            [&second[..], &["-ERR AUTH <password> called without any password x\r\n"]].concat(),
            ErrorKind::Authentication,
            "has no password set",
        ),
        (
            &with_password(),
            [&second[..], &["-ERR invalid password\r\n"]].concat(),
            ErrorKind::Authentication,
            "check user",
        ),
        (
            &settings(),
            vec![HELLO, OK, OK, "-NOPERM no role\r\n", "-NOPERM no info\r\n"],
            ErrorKind::Permission,
            "+role",
        ),
        (
            &settings(),
            vec![HELLO, OK, OK, NO_ROLE, "-ERR unknown command 'INFO'\r\n"],
            ErrorKind::WrongRole,
            "neither ROLE nor INFO",
        ),
        (
            &settings(),
            vec![HELLO, OK, OK, NO_ROLE, "$3\r\nfoo\r\n"],
            ErrorKind::Protocol,
            "answered INFO replication",
        ),
        (
            &db,
            vec![HELLO, OK, OK, "-ERR DB index is out of range\r\n"],
            ErrorKind::InvalidConfig,
            "database 99",
        ),
        (
            &db,
            vec![HELLO, OK, OK, "-LOADING Redis is loading the dataset\r\n"],
            ErrorKind::Disconnected,
            "loading the dataset",
        ),
        (
            &settings(),
            vec![HELLO, OK, OK, "-MASTERDOWN Link is down\r\n"],
            ErrorKind::Disconnected,
            "Link is down",
        ),
        (
            &settings(),
            vec!["-ERR max number of clients reached\r\n"],
            ErrorKind::Disconnected,
            "max number of clients",
        ),
        (&settings(), vec![HELLO, OK, OK, "+PONG\r\n"], ErrorKind::Protocol, "no role"),
    ];
    for (settings, replies, kind, part) in cases {
        let (found, message) = refusal(settings, &replies);
        assert_eq!(found, kind, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn a_server_that_refuses_role_is_asked_for_info() {
    let info = "$11\r\nrole:master\r\n";
    for refusal in [NO_ROLE, "-NOPERM no role\r\n"] {
        let (end, said) = shake(&settings(), &[HELLO, OK, OK, refusal, info]);
        let greeting = end.unwrap();
        assert!(matches!(greeting.role, Some(Role::Master { .. })), "{greeting:?}");
        assert_eq!(greeting.inquiry, Inquiry::Info);
        assert_eq!(said[1..], ["INFO replication"]);
    }
}

#[test]
fn a_master_that_loads_its_data_takes_no_commands() {
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    let shake = |role: &str, ping: &str| {
        let shake = Handshake::new(&"10.0.0.1:6379".parse().unwrap(), &settings());
        answer(shake.for_commands(), &[HELLO, OK, OK, role, ping])
    };
    let (end, said) = shake(MASTER, "+PONG\r\n");
    end.unwrap();
    assert_eq!(said, [format!("HELLO 3; {INFO}; ROLE; PING")]);
    let error = shake(MASTER, loading).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.to_string().contains("is not ready"), "{error}");
    // What is no master is told by its role, and PING may be denied.
    for (role, ping) in [
        (REPLICA, loading),
        (REPLICA, "-MASTERDOWN Link is down\r\n"),
        (MASTER, "-NOPERM no ping\r\n"),
    ] {
        assert!(shake(role, ping).0.unwrap().role.is_some());
    }
}

#[test]
fn a_role_that_is_not_required_may_be_refused() {
    let settings = Settings { role_required: false, ..settings() };
    let (end, _) = shake(&settings, &[HELLO, OK, OK, "-NOPERM no role\r\n"]);
    assert_eq!(end.unwrap().role, None);
}

#[test]
fn settings_never_print_the_password() {
    assert!(!format!("{:?}", with_password()).contains("secret"));
}
