//! Commands through a handle, against `redis::Connection` and against a bare loop over a socket.

use std::{
    convert::Infallible,
    hint::black_box,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use redis::{Cmd, Commands, ConnectionLike};
use switchmaster::Factory;
use switchmaster_sandbox::Cluster;

use crate::{
    harness::{Case, Part, Side, Work, repeat},
    hiredis::Hiredis,
};

/// The bytes of each value.
const VALUE: [u8; 64] = [b'v'; 64];
/// Keys of a pipeline and of an MGET.
const MANY: usize = 1000;
/// The bytes of the long value.
const LONG: usize = 1 << 20;

/// The cases, and the process of hiredis, which takes part where it can.
pub fn cases(cluster: &Cluster) -> (Vec<Case>, Option<u32>) {
    let mut bench = Bench {
        factory: Factory::open(&cluster.url()).expect("a factory opens"),
        master: cluster.master().expect("the cluster has a master").address(),
        hiredis: None,
    };
    let keys: Vec<String> = (0..MANY).map(|n| format!("key:{n:04}")).collect();
    let pairs: Vec<(&String, &[u8])> = keys.iter().map(|key| (key, &VALUE[..])).collect();
    bench.handle().mset::<_, _, ()>(&pairs).expect("the keys are written");
    let long = vec![b'v'; LONG];
    bench.handle().set::<_, _, ()>("long", &long).expect("the long value is written");

    match Hiredis::start(bench.master) {
        Ok(hiredis) => bench.hiredis = Some(hiredis),
        Err(why) => eprintln!("hiredis is left out: {why}"),
    }

    let short = [b"$64\r\n", &VALUE[..], b"\r\n"].concat();
    let long = [format!("${LONG}\r\n").as_bytes(), &long, b"\r\n"].concat();
    let many = [format!("*{MANY}\r\n").as_bytes(), &short.repeat(MANY)].concat();
    let mut pipeline = redis::pipe();
    keys.iter().for_each(|key| {
        pipeline.get(key);
    });
    let (key, get_of) = (keys[0].clone(), keys[0].clone());
    let get_many = keys.clone();
    let prepared = pipeline.clone();
    let cases = vec![
        bench.case(
            "GET, 64 bytes",
            Some("get"),
            true,
            Cmd::get(&key).get_packed_command(),
            &short,
            Get { key: get_of, len: VALUE.len() },
        ),
        bench.case(
            "SET, 64 bytes",
            Some("set"),
            true,
            Cmd::set("set", &VALUE[..]).get_packed_command(),
            b"+OK\r\n",
            Set,
        ),
        bench.case(
            "pipeline of 1000 GETs",
            Some("pipeline"),
            false,
            pipeline.get_packed_pipeline(),
            &short.repeat(MANY),
            Batch(keys.clone()),
        ),
        bench.case(
            "the same, made once",
            None,
            false,
            pipeline.get_packed_pipeline(),
            &short.repeat(MANY),
            Prepared(prepared),
        ),
        bench.case(
            "MGET of 1000",
            Some("mget"),
            false,
            Cmd::mget(&keys).get_packed_command(),
            &many,
            Mget(get_many),
        ),
        bench.case(
            "GET, 1 MiB",
            Some("long"),
            false,
            Cmd::get("long").get_packed_command(),
            &long,
            Get { key: "long".to_owned(), len: LONG },
        ),
    ];
    (cases, bench.hiredis.map(|hiredis| hiredis.process_id()))
}

/// One operation, through whatever connection.
trait Operation: Clone + 'static {
    fn run(&self, redis: &mut impl ConnectionLike);
}

#[derive(Clone)]
struct Get {
    key: String,
    len: usize,
}

impl Operation for Get {
    fn run(&self, redis: &mut impl ConnectionLike) {
        let value: Vec<u8> = redis.get(&self.key).expect("a reply to GET");
        assert_eq!(black_box(value).len(), self.len);
    }
}

#[derive(Clone)]
struct Set;

impl Operation for Set {
    fn run(&self, redis: &mut impl ConnectionLike) {
        redis.set::<_, _, ()>("set", &VALUE[..]).expect("a reply to SET");
    }
}

/// A pipeline of GETs, made for each time it runs.
#[derive(Clone)]
struct Batch(Vec<String>);

impl Operation for Batch {
    fn run(&self, redis: &mut impl ConnectionLike) {
        let mut pipeline = redis::pipe();
        for key in &self.0 {
            pipeline.get(key);
        }
        Prepared(pipeline).run(redis);
    }
}

/// A pipeline that runs again and again.
#[derive(Clone)]
struct Prepared(redis::Pipeline);

impl Operation for Prepared {
    fn run(&self, redis: &mut impl ConnectionLike) {
        let values: Vec<Vec<u8>> = self.0.query(redis).expect("a reply to each GET");
        assert_eq!(black_box(values).len(), MANY);
    }
}

#[derive(Clone)]
struct Mget(Vec<String>);

impl Operation for Mget {
    fn run(&self, redis: &mut impl ConnectionLike) {
        let values: Vec<Vec<u8>> = redis.mget(&self.0).expect("a reply to MGET");
        assert_eq!(black_box(values).len(), MANY);
    }
}

/// Where the sides' connections come from. Each side has its own.
struct Bench {
    factory: Factory,
    master: SocketAddr,
    hiredis: Option<Hiredis>,
}

impl Bench {
    fn handle(&self) -> switchmaster::Handle {
        self.factory.get().expect("a handle")
    }

    fn connection(&self) -> redis::Connection {
        connect(self.master)
    }

    /// A case of all sides; hiredis has its own names for them. `request` and `reply` are what the bare loop sends and expects, and
    /// `checkouts` adds the sides that take a connection from a pool each time.
    fn case(
        &self,
        name: &'static str,
        hiredis: Option<&'static str>,
        checkouts: bool,
        request: Vec<u8>,
        reply: &[u8],
        operation: impl Operation,
    ) -> Case {
        fn held(mut redis: impl ConnectionLike + 'static, operation: impl Operation) -> Work {
            repeat(1, move || operation.run(&mut redis))
        }
        let mut sides =
            vec![Side::new("Handle, held", Part::Subject, held(self.handle(), operation.clone()))];
        if checkouts {
            let (factory, each) = (self.factory.clone(), operation.clone());
            let work = repeat(1, move || each.run(&mut factory.get().expect("a handle")));
            sides.push(Side::new("Handle, a checkout each", Part::Subject, work));
        }
        let library = held(self.connection(), operation.clone());
        sides.push(Side::new("redis::Connection", Part::Library, library));
        if checkouts {
            let pool = r2d2::Pool::builder()
                .max_size(1)
                .test_on_check_out(false)
                .build(Connections(self.master))
                .expect("the master is there");
            let work = repeat(1, move || operation.run(&mut *pool.get().expect("a connection")));
            sides.push(Side::new("the same under r2d2", Part::Other, work));
        }
        sides.extend(self.hiredis.as_ref().zip(hiredis).map(|(process, case)| process.side(case)));
        let mut bare = Bare::new(self.master, request, reply);
        sides.push(Side::new("bare loop", Part::Bare, repeat(1, move || bare.exchange())));
        Case { name, sides }
    }
}

fn connect(server: SocketAddr) -> redis::Connection {
    let client = redis::Client::open(format!("redis://{server}")).expect("a good URL");
    client.get_connection().expect("the master is there")
}

/// redis's connections for r2d2, without the round trip at every checkout that is its default.
struct Connections(SocketAddr);

impl r2d2::ManageConnection for Connections {
    type Connection = redis::Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<redis::Connection, Infallible> {
        Ok(connect(self.0))
    }

    fn is_valid(&self, _: &mut redis::Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut redis::Connection) -> bool {
        !connection.is_open()
    }
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
