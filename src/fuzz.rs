//! What the fuzzers in `fuzz/` drive: the parts that read what others wrote, each held to what it
//! promises. Compiled for them alone.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;
use redis::Value;

use crate::{
    Builder,
    address::Address,
    config::Config,
    connection::{
        Connection, Decoder, Gate, Limits, RawReplies, Settings, commands_pass, raw_replies,
        skimmed,
    },
    topology::{self, Answer, Audience, Input, Machine, Reply, read_inputs, written},
};

/// Small enough that no input fills the memory.
const LIMITS: Limits =
    Limits { max_bulk: 1 << 16, max_elements: 1 << 12, max_depth: 16, max_line: 1 << 10 };

/// Reads replies until something is wrong, from pieces that end after each of these lengths.
fn decoded(bytes: &[u8], mut pieces: impl Iterator<Item = usize>) -> (Vec<Value>, bool) {
    let mut decoder = Decoder::new(LIMITS);
    let (mut values, mut rest) = (Vec::new(), bytes);
    loop {
        loop {
            match decoder.next() {
                Ok(Some(value)) => values.push(value),
                Ok(None) => break,
                Err(_) => return (values, false),
            }
        }
        if rest.is_empty() {
            return (values, true);
        }
        let piece = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
        decoder.feed(&rest[..piece]);
        rest = &rest[piece..];
    }
}

/// Replies are the same in whatever pieces they arrive, and what redis-rs reads is what we read.
pub fn replies(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let (whole, sound) = decoded(bytes, std::iter::empty());
    let pieces = decoded(bytes, std::iter::repeat(usize::from(*first) % 17 + 1));
    assert_eq!((&whole, sound), (&pieces.0, pieces.1));
    if let (Some(ours), Ok(theirs)) = (whole.first(), redis::parse_redis_value(bytes)) {
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
    // Who only looks for their ends finds as many, and who watches them pass by does.
    let piece = usize::from(*first) % 23 + 1;
    let found = raw_replies(bytes, piece, LIMITS);
    let passed = skimmed(bytes, piece, LIMITS);
    if sound {
        assert_eq!((found, passed), (Some(whole.len()), Some(whole.len())));
    }
    commands_pass(bytes, piece);
}

/// What a sentinel publishes and answers is read, and a machine takes it, whatever it is.
pub fn sentinels(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (channel, rest) = (String::from_utf8_lossy(&data[..end]).into_owned(), &data[end + 1..]);
    let _ = Audience::of(&channel, rest);
    let replies = decoded(rest, std::iter::empty()).0.into_iter().map(Reply::Value);
    let answer = Answer::parse(&replies.collect::<Vec<Reply>>());
    let sentinel = "s1:26379".parse().expect("it is an address");
    let up = read_inputs("up s1:26379").expect("it is an input");
    let start = read_inputs("start s1:26379").expect("it is an input");
    let payload = rest.to_vec();
    let message = Input::Message { sentinel, channel, payload };
    let answer = Input::Answer { sentinel: "s1:26379".parse().expect("it is an address"), answer };
    for input in [&message, &answer] {
        let line = written(input);
        assert_eq!(read_inputs(&line).as_deref(), Ok(&[input.clone()][..]), "{line}");
    }
    drive(start.into_iter().chain(up).chain([message.clone(), answer, message]));
}

/// Whatever happens, in whatever order: one input a line, as in `tests/recordings`.
pub fn happenings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drive(text.lines().filter_map(|line| read_inputs(line).ok()).flatten());
}

fn drive(inputs: impl Iterator<Item = Input>) {
    let config = Builder::new().sentinel("s1").service("mymaster").into_config();
    let mut machine = Machine::new(config.expect("it is sound").rules());
    let mut now = Instant::now();
    for (count, input) in inputs.enumerate() {
        now += Duration::from_millis(count as u64 * 7 % 400);
        let actions = machine.handle(now, input);
        let _ = topology::shown(&actions);
        assert!(machine.next_wake().is_none_or(|wake| wake > now - Duration::from_secs(3600)));
        let _ = machine.topology();
    }
}

/// A URL is refused with an error that shows no password, or says what it said when it is printed.
pub fn urls(data: &[u8]) {
    let Ok(url) = std::str::from_utf8(data) else { return };
    let read = |url: &str| -> Option<Config> { Builder::from_url(url).ok()?.into_config().ok() };
    let Some(config) = read(url) else { return };
    let printed = config.to_string();
    if !printed.contains("***") {
        assert_eq!(read(&printed).as_ref(), Some(&config), "{printed}");
    }
}

/// A sentinel that sends this: endless, trickling or nested, before its greeting and after it.
pub fn links(data: &[u8]) {
    crate::watch::fuzz::sentinel(data);
}

/// A node that sends this on the link that watches it.
pub fn nodes(data: &[u8]) {
    crate::watch::fuzz::node(data);
}

/// A scripted master: its address, and the bytes that it sends on every connection.
struct Master {
    address: Address,
    script: Sender<Vec<u8>>,
}

/// A thread that accepts one connection for each script, sends that, ends the stream, and reads until
/// the other end closes.
fn master() -> &'static Master {
    static MASTER: OnceLock<Master> = OnceLock::new();
    MASTER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = Address::from(listener.local_addr().expect("an address"));
        let (script, scripts) = crossbeam_channel::bounded::<Vec<u8>>(1);
        std::thread::spawn(move || {
            for said in scripts {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let mut said = &said[..];
                let _ = stream.set_nonblocking(true);
                let mut heard = [0; 4096];
                let mut open = true;
                // Reads as well, so that neither end waits for the other to read.
                while open {
                    if !said.is_empty() {
                        match stream.write(said) {
                            Ok(sent) => said = &said[sent..],
                            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                            Err(_) => open = false,
                        }
                        if said.is_empty() {
                            let _ = stream.shutdown(Shutdown::Write);
                            let _ = stream.set_nonblocking(false);
                        }
                    }
                    match stream.read(&mut heard) {
                        Ok(0) => open = false,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Err(_) => open = false,
                        Ok(_) => {}
                    }
                }
            }
        });
        Master { address, script }
    })
}

/// An honest answer to the handshake of a connection for commands.
const GREETING: &[u8] =
    b"%1\r\n$2\r\nid\r\n:1\r\n+OK\r\n+OK\r\n*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n+PONG\r\n";

/// Runs a handle against a master that sends these bytes and hangs up. No call waits for longer than it
/// takes to read, and a failed connection is not used again.
pub fn handles(data: &[u8]) {
    let Some((flags, rest)) = data.split_first() else { return };
    let mut said = Vec::new();
    if flags & 1 != 0 {
        said.extend_from_slice(GREETING);
    }
    for _ in 0..if flags & 2 != 0 { 1 + (64 << 10) / (rest.len() + 1) } else { 1 } {
        said.extend_from_slice(rest);
    }
    // An empty one would never be ended.
    said.extend_from_slice(b"\r\n");
    let master = master();
    master.script.send(said).expect("the thread lives");
    let config = Builder::new().sentinel("s1").service("mymaster").into_config();
    let settings = config.expect("it is sound").node_settings(None);
    let settings = Settings { limits: LIMITS, ..settings };
    let begun = Instant::now();
    let deadline = begun + settings.dial_timeout;
    let gate = Arc::new(Gate::new());
    let Ok(mut connection) = Connection::open(&master.address, &settings, &gate, deadline) else {
        return;
    };
    let packed = |words: &[&str]| redis::Cmd::new().arg(words).get_packed_command();
    for round in 0..4 {
        let done = match (flags >> 2).wrapping_add(round) % 4 {
            0 => connection.request(&packed(&["GET", "key"]), None).map(drop),
            1 => {
                let pipeline = [packed(&["MULTI"]), packed(&["GET", "a"]), packed(&["EXEC"])];
                connection.request_many(&pipeline.concat(), 2, 1, None).map(drop)
            }
            2 => connection.request_raw(&packed(&["MGET", "a", "b"]), &mut RawReplies::new()),
            _ => connection.request(&packed(&["SUBSCRIBE", "a", "b"]), None).map(drop),
        };
        if done.is_err() {
            assert!(!connection.is_open(), "it has failed, and would be used again");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "a hang-up was waited out");
}
