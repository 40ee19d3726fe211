//! Commands through a handle, against `redis::Connection` and against a bare loop over a socket.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use redis::{Cmd, Commands, ConnectionLike, Pipeline};
use switchmaster::Factory;
use switchmaster_sandbox::Cluster;

use crate::harness::{Case, Part, Side, Work, repeat};

/// The bytes of each value.
const VALUE: [u8; 64] = [b'v'; 64];
/// Keys of a pipeline and of an MGET.
const MANY: usize = 1000;

/// The cases.
pub fn cases(cluster: &Cluster) -> Vec<Case> {
    let bench = Bench {
        factory: Factory::open(&cluster.url()).expect("a factory opens"),
        master: cluster.master().expect("the cluster has a master").address(),
    };
    let keys: Vec<String> = (0..MANY).map(|n| format!("key:{n:04}")).collect();
    let pairs: Vec<(&String, &[u8])> = keys.iter().map(|key| (key, &VALUE[..])).collect();
    bench.handle().mset::<_, _, ()>(&pairs).expect("the keys are written");

    let bulk = [b"$64\r\n", &VALUE[..], b"\r\n"].concat();
    vec![
        bench.get(&keys[0], &bulk),
        bench.set(&keys[0]),
        bench.pipeline(&keys, &bulk),
        bench.mget(&keys, &bulk),
    ]
}

/// Where the sides' connections come from. Each side has its own.
struct Bench {
    factory: Factory,
    master: SocketAddr,
}

impl Bench {
    fn handle(&self) -> switchmaster::Handle {
        self.factory.get().expect("a handle")
    }

    fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(format!("redis://{}", self.master)).expect("a good URL");
        client.get_connection().expect("the master is there")
    }

    /// The side that every comparison has as its least.
    fn bare(&self, request: &[u8], reply: &[u8]) -> Side {
        let mut bare = Bare::new(self.master, request.to_vec(), reply);
        Side::new("bare loop", Part::Bare, repeat(1, move || bare.exchange()))
    }

    fn get(&self, key: &str, reply: &[u8]) -> Case {
        fn held(mut redis: impl Commands + 'static, key: String) -> Work {
            repeat(1, move || get(&mut redis, &key))
        }
        let (factory, of) = (self.factory.clone(), key.to_owned());
        let checkouts = move || get(&mut factory.get().expect("a handle"), &of);
        Case {
            name: "GET, 64 bytes",
            sides: vec![
                Side::new("Handle, held", Part::Subject, held(self.handle(), key.to_owned())),
                Side::new("Handle, a checkout each", Part::Subject, repeat(1, checkouts)),
                Side::new("redis::Connection", Part::Library, held(self.connection(), key.into())),
                self.bare(&Cmd::get(key).get_packed_command(), reply),
            ],
        }
    }

    fn set(&self, key: &str) -> Case {
        fn held(mut redis: impl Commands + 'static, key: String) -> Work {
            repeat(1, move || set(&mut redis, &key))
        }
        let (factory, of) = (self.factory.clone(), key.to_owned());
        let checkouts = move || set(&mut factory.get().expect("a handle"), &of);
        Case {
            name: "SET, 64 bytes",
            sides: vec![
                Side::new("Handle, held", Part::Subject, held(self.handle(), key.to_owned())),
                Side::new("Handle, a checkout each", Part::Subject, repeat(1, checkouts)),
                Side::new("redis::Connection", Part::Library, held(self.connection(), key.into())),
                self.bare(&Cmd::set(key, &VALUE[..]).get_packed_command(), b"+OK\r\n"),
            ],
        }
    }

    fn pipeline(&self, keys: &[String], bulk: &[u8]) -> Case {
        fn side(mut redis: impl ConnectionLike + 'static, pipeline: Pipeline) -> Work {
            repeat(1, move || {
                let values: Vec<Vec<u8>> = pipeline.query(&mut redis).expect("a reply to each GET");
                assert_eq!(black_box(values).len(), MANY);
            })
        }
        let mut pipeline = redis::pipe();
        for key in keys {
            pipeline.get(key);
        }
        Case {
            name: "pipeline of 1000 GETs",
            sides: vec![
                Side::new("Handle, held", Part::Subject, side(self.handle(), pipeline.clone())),
                Side::new(
                    "redis::Connection",
                    Part::Library,
                    side(self.connection(), pipeline.clone()),
                ),
                self.bare(&pipeline.get_packed_pipeline(), &bulk.repeat(MANY)),
            ],
        }
    }

    fn mget(&self, keys: &[String], bulk: &[u8]) -> Case {
        fn side(mut redis: impl Commands + 'static, keys: Vec<String>) -> Work {
            repeat(1, move || {
                let values: Vec<Vec<u8>> = redis.mget(&keys).expect("a reply to MGET");
                assert_eq!(black_box(values).len(), MANY);
            })
        }
        let reply = [format!("*{MANY}\r\n").as_bytes(), &bulk.repeat(MANY)].concat();
        Case {
            name: "MGET of 1000",
            sides: vec![
                Side::new("Handle, held", Part::Subject, side(self.handle(), keys.to_vec())),
                Side::new(
                    "redis::Connection",
                    Part::Library,
                    side(self.connection(), keys.to_vec()),
                ),
                self.bare(&Cmd::mget(keys).get_packed_command(), &reply),
            ],
        }
    }
}

fn get(redis: &mut impl Commands, key: &str) {
    let value: Vec<u8> = redis.get(key).expect("a reply to GET");
    assert_eq!(black_box(value).len(), VALUE.len());
}

fn set(redis: &mut impl Commands, key: &str) {
    redis.set::<_, _, ()>(key, &VALUE[..]).expect("a reply to SET");
}

/// The least that a client does: write bytes that were encoded beforehand, and read until as many
/// came back as the reply has. Nothing is decoded.
struct Bare {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Bare {
    /// Connects, and makes sure once that this request gets this reply.
    fn new(server: SocketAddr, request: Vec<u8>, reply: &[u8]) -> Bare {
        let stream = TcpStream::connect(server).expect("the master is there");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut bare = Bare { stream, request, reply: vec![0; reply.len()] };
        bare.exchange();
        assert!(bare.reply == reply, "the reply is not the one that was expected");
        bare
    }

    fn exchange(&mut self) {
        self.stream.write_all(&self.request).expect("the request is sent");
        self.stream.read_exact(&mut self.reply).expect("the reply is complete");
        black_box(&self.reply);
    }
}
