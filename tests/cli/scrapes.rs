//! `switchmaster metrics`.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use switchmaster_sandbox::{Cluster, wait_until};

use crate::program::{PATIENCE, command};

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(url: &str) -> Server {
        let mut child = command(&["metrics", "--url", url, "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        let address = line.trim_start_matches("serving http://").trim_end_matches("/metrics\n");
        Server { child, address: address.to_owned() }
    }

    fn ask(&self, request: &str) -> String {
        let mut client = TcpStream::connect(&self.address).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // It may have answered, and closed, before it has read all.
        let _ = client.write_all(request.as_bytes());
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply);
        String::from_utf8(reply).expect("UTF-8")
    }

    /// The page, read back: each sample by its name and labels.
    fn samples(&self) -> BTreeMap<String, f64> {
        let reply = self.ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        let (mut samples, mut helped, mut typed) = (BTreeMap::new(), Vec::new(), Vec::new());
        for line in body.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match &words[..] {
                ["#", "HELP", name, _, ..] => helped.push(name.to_string()),
                ["#", "TYPE", name, "counter" | "gauge" | "histogram"] => {
                    assert_eq!(helped.last(), Some(&name.to_string()));
                    typed.push(name.to_string());
                }
                [name, value] => {
                    let family = name.split('{').next().unwrap();
                    let own = typed.last().expect("a type before it");
                    let parts = ["", "_bucket", "_sum", "_count"];
                    assert!(parts.iter().any(|part| family == format!("{own}{part}")), "{line}");
                    let value = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                    assert!(samples.insert(name.to_string(), value).is_none(), "twice: {line}");
                }
                _ => panic!("{line:?} is no line of this format"),
            }
        }
        samples
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_reads_the_state_of_a_service() {
    let cluster = Cluster::builder().start().expect("a cluster starts");
    let server = Server::start(&cluster.url());
    let master = cluster.master().unwrap().address();
    let info = format!("switchmaster_master_info{{service=\"mymaster\",node=\"{master}\"}}");
    let mut samples = BTreeMap::new();
    let settled = wait_until(PATIENCE, || {
        samples = server.samples();
        samples.get("switchmaster_sentinels_agreeing{service=\"mymaster\"}") == Some(&3.0)
            && samples.contains_key(&info)
    });
    assert!(settled, "{samples:#?}");
    assert_eq!(samples["switchmaster_switches_total{service=\"mymaster\"}"], 1.0);
    assert_eq!(samples["switchmaster_generation{service=\"mymaster\"}"], 1.0);
    let count = |part: &str| samples.keys().filter(|name| name.starts_with(part)).count();
    assert_eq!(count("switchmaster_node_up{"), 3);
    assert_eq!(count("switchmaster_sentinel_up{"), 3);
    let all = "switchmaster_wait_seconds_bucket{service=\"mymaster\",le=\"+Inf\"}";
    assert_eq!(samples[all], samples["switchmaster_wait_seconds_count{service=\"mymaster\"}"]);
}

#[test]
fn a_url_without_a_service_is_about_all_of_them() {
    let cluster =
        Cluster::builder().replicas(0).service("orders").service_also("cache").start().unwrap();
    let url = cluster.url();
    let server = Server::start(url.rsplit_once('/').expect("a service").0);
    let known = |service: &str| format!("switchmaster_master_known{{service=\"{service}\"}}");
    let all = ["orders", "cache"].map(known);
    let settled = wait_until(PATIENCE, || {
        let samples = server.samples();
        all.iter().all(|name| samples.get(name) == Some(&1.0))
    });
    assert!(settled, "{:#?}", server.samples());
}

#[test]
fn other_requests_are_refused_and_slow_clients_keep_nobody_out() {
    let server = Server::start("redis+sentinel://127.0.0.1:1/mymaster");
    let head = server.ask("HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(server.ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(server.ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(server.ask("hello\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
    assert!(server.ask(&long).starts_with("HTTP/1.1 431 "));
    // As many as there are places for say nothing; when their time is up, others are served.
    let silent: Vec<TcpStream> =
        (0..16).map(|_| TcpStream::connect(&server.address).expect("it listens")).collect();
    let mut replies = Vec::new();
    let served = wait_until(PATIENCE, || {
        replies.push(server.ask("GET /metrics HTTP/1.1\r\n\r\n"));
        replies.last().is_some_and(|reply| reply.starts_with("HTTP/1.1 200 "))
    });
    assert!(served, "{:?}", replies.last());
    assert!(server.samples()["switchmaster_master_known{service=\"mymaster\"}"] == 0.0);
    drop(silent);
}
