//! The fuzzing of the watch's links: a stream that follows a script, instead of a socket, and the
//! conditions that hold for every script.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use mio::Token;

use crate::{
    Builder,
    address_map::Route,
    connection::Settings,
    topology::Pace,
    watch::{
        allowance::Allowance,
        channel::{Channel, MOST_ARRIVALS},
        promotion::{self, PromotionLink},
        subscriber::{self, Link},
    },
};

/// The longest time until a link is up or given up, without a useful byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns after which a link that still has something to read is taken for one without end.
const TURNS: usize = 20_000;

/// A peer's behaviour: pieces of bytes, between which nothing can be read for a moment.
pub(crate) struct Script {
    pieces: VecDeque<Vec<u8>>,
    /// It hangs up at the end, instead of falling silent.
    hangs_up: bool,
    /// It takes nothing that is sent to it.
    deaf: bool,
}

impl Read for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(mut piece) = self.pieces.pop_front() else {
            return if self.hangs_up { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        };
        if piece.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = piece.len().min(into.len());
        into[..read].copy_from_slice(&piece[..read]);
        piece.drain(..read);
        // The pause follows the piece.
        self.pieces.push_front(piece);
        Ok(read)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.deaf { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The manner of sending an input, which its first bytes select.
struct Manner {
    script: Script,
    /// Time between two turns.
    step: Duration,
    pace: Pace,
}

/// An honest answer to the handshake of a link, in RESP3.
const GREETING: &[u8] = b"%1\r\n$2\r\nid\r\n:1\r\n+OK\r\n+OK\r\n";

fn manner(data: &[u8], role: &[u8]) -> Option<Manner> {
    let (&[flags, size, step], rest) = data.split_first_chunk::<3>()?;
    let mut bytes = Vec::new();
    if flags & 1 != 0 {
        bytes.extend_from_slice(GREETING);
        bytes.extend_from_slice(role);
    }
    // Endless: as much as the allowances let through, and more.
    let times = match flags >> 1 & 3 {
        0 => 1,
        1 => 16,
        2 => 1 + (256 << 10) / (rest.len() + 1),
        _ => 1 + (2 << 20) / (rest.len() + 1),
    };
    for _ in 0..times {
        bytes.extend_from_slice(rest);
    }
    // Trickling is for short ones: each piece is a turn.
    let piece = match size {
        0 => bytes.len().max(1),
        small if bytes.len() < 1 << 14 => usize::from(small),
        large => usize::from(large) << 8,
    };
    let pieces = bytes.chunks(piece).map(<[u8]>::to_vec).collect();
    let script = Script { pieces, hangs_up: flags & 8 != 0, deaf: flags & 16 != 0 };
    let pace = if flags & 32 != 0 { Pace::Close } else { Pace::Calm };
    Some(Manner { script, step: Duration::from_millis(u64::from(step)), pace })
}

fn settings() -> Arc<Settings> {
    let config = Builder::new().sentinel("s1").service("mymaster").into_config();
    Arc::new(config.expect("it is sound").sentinel_settings(None))
}

fn route() -> Route {
    Route { announced: "127.0.0.1:1".parse().expect("an address"), map: Default::default() }
}

/// Runs a link against a sentinel that sends this, in pieces, repeatedly, and then hangs up or falls silent.
pub(crate) fn sentinel(data: &[u8]) {
    let Some(Manner { script, step, .. }) =
        manner(data, b"*2\r\n$8\r\nsentinel\r\n*1\r\n$8\r\nmymaster\r\n")
    else {
        return;
    };
    let poll = mio::Poll::new().expect("a descriptor");
    let (route, settings) = (route(), settings());
    let allowance = Allowance::of_sentinel();
    let channel = Channel::scripted(script, &route.announced, &settings, allowance);
    let mut link = Link::scripted(channel, route, settings);
    let begun = Instant::now();
    let mut now = begun;
    for turn in 0..TURNS {
        let mut news = Vec::new();
        link.ready(Token(0), now, poll.registry(), &mut news);
        // Each arrival brings at most its own news, and a question or two.
        assert!(news.len() <= 3 * MOST_ARRIVALS + 8, "{} news in a turn", news.len());
        let questioned = news.iter().any(|own| matches!(own, subscriber::News::Message { .. }));
        if questioned {
            link.ask_about("mymaster", now, &mut news);
        }
        link.flush(now, &mut news);
        link.check_bounds();
        if !link.is_connected() {
            return;
        }
        if !link.is_up() {
            assert!(now < begun + PATIENCE, "it is neither up nor given up");
        }
        now += if link.is_unfinished(Token(0)) { Duration::from_micros(10) } else { step };
        if turn % 4 == 3 {
            // A silent one is found by its deadlines.
            now = now.max(link.next_wake().min(now + Duration::from_secs(2)));
        }
        link.tick(now, poll.registry(), &mut news);
        if !link.is_connected() {
            return;
        }
    }
    assert!(link.is_up(), "it never ends");
}

/// Runs a link against a node that sends this, as [`sentinel`] does.
pub(crate) fn node(data: &[u8]) {
    let Some(Manner { script, step, pace }) =
        manner(data, b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:9\r\n")
    else {
        return;
    };
    let poll = mio::Poll::new().expect("a descriptor");
    let (route, settings) = (route(), settings());
    let allowance = Allowance::of_node();
    let channel = Channel::scripted(script, &route.announced, &settings, allowance);
    let mut link = PromotionLink::scripted(channel, route, settings);
    link.measure();
    let begun = Instant::now();
    let mut now = begun;
    link.look(pace, now);
    for turn in 0..TURNS {
        let mut news: Vec<promotion::News> = Vec::new();
        link.ready(now, poll.registry(), &mut news);
        assert!(news.len() <= 4 * MOST_ARRIVALS + 8, "{} news in a turn", news.len());
        link.call_back(&[1, 2, 3], now, &mut news);
        link.check_bounds();
        if !link.is_connected() {
            return;
        }
        if !link.is_lively(now) {
            assert!(now < begun + PATIENCE, "it is neither up nor given up");
        }
        now += if link.is_unfinished() { Duration::from_micros(10) } else { step };
        if turn % 4 == 3 {
            now = now.max(link.next_wake().min(now + Duration::from_secs(2)));
        }
        link.tick(now, poll.registry(), &mut news);
        if !link.is_connected() {
            return;
        }
    }
    assert!(link.is_lively(now), "it never ends");
}

#[cfg(test)]
mod tests {
    /// Every input that the fuzzers start from.
    fn seeds(target: &str) -> Vec<Vec<u8>> {
        let folder = format!("{}/fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let seeds = std::fs::read_dir(folder).unwrap();
        seeds.map(|seed| std::fs::read(seed.unwrap().path()).unwrap()).collect()
    }

    #[test]
    fn a_link_to_a_hostile_sentinel_stays_within_its_bounds_and_ends() {
        let seeds = seeds("links");
        assert!(seeds.len() >= 10);
        seeds.iter().for_each(|seed| super::sentinel(seed));
    }

    #[test]
    fn a_link_to_a_hostile_node_stays_within_its_bounds_and_ends() {
        let seeds = seeds("nodes");
        assert!(seeds.len() >= 9);
        seeds.iter().for_each(|seed| super::node(seed));
    }
}
