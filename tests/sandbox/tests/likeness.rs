//! Fakes answer in the form of real servers, value for value.

use std::{net::SocketAddr, time::Duration};

use switchmaster_sandbox::{Client, Cluster, FakeNode, FakeSentinel, FakeService, frame::Frame};

const SECOND: Duration = Duration::from_secs(1);

fn client(address: SocketAddr) -> Client {
    Client::connect(address, SECOND).unwrap()
}

fn names(frame: &Frame) -> Vec<String> {
    match frame {
        Frame::Map(pairs) => pairs.iter().map(|(name, _)| name.text()).collect(),
        _ => frame.items().iter().step_by(2).map(Frame::text).collect(),
    }
}

/// The reply without its values: kinds, and the names of fields.
fn shape(frame: &Frame) -> String {
    match frame {
        Frame::Map(_) => format!("map {:?}", names(frame)),
        Frame::Array(items) => {
            format!("array of {}: {:?}", items.len(), items.iter().map(shape).collect::<Vec<_>>())
        }
        Frame::Push(items) => format!("push of {}", items.len()),
        Frame::Error(text) => format!("error {text}"),
        Frame::Simple(text) => format!("simple {text}"),
        Frame::Integer(_) => "integer".to_owned(),
        Frame::Nil => "nil".to_owned(),
        Frame::Bulk(_) | Frame::Other(..) => "text".to_owned(),
    }
}

#[test]
fn a_fake_sentinel_answers_in_the_form_of_a_real_one() {
    let cluster = Cluster::builder().replicas(1).sentinels(2).start().unwrap();
    let master = cluster.master().unwrap().address();
    let fake = FakeSentinel::start().unwrap();
    let other = &cluster.sentinels()[1];
    let service = FakeService::new(master).with_replica(cluster.nodes()[1].address());
    fake.serve("mymaster", service.with_sentinel(other.address(), other.id()));
    for hello in [&["PING"][..], &["HELLO", "3"][..]] {
        let mut real = cluster.sentinels()[0].client().unwrap();
        let mut fake = client(fake.address());
        for words in [
            hello,
            &["HELLO"],
            &["AUTH", "x"],
            &["AUTH", "a", "b"],
            &["HELLO", "4"],
            &["CLIENT", "ID"],
            &["ROLE"],
            &["SENTINEL", "MYID"],
            &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"],
            &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "other"],
            &["SENTINEL", "MASTER", "mymaster"],
            &["SENTINEL", "MASTER", "other"],
            &["SENTINEL", "MASTERS"],
            &["SENTINEL", "REPLICAS", "mymaster"],
            &["SENTINEL", "SENTINELS", "mymaster"],
            &["SENTINEL", "SENTINELS"],
            &["SENTINEL", "CKQUORUM", "mymaster"],
            &["GET", "a"],
            &["SUBSCRIBE", "+switch-master"],
            &["PING"],
            &["ROLE"],
            &["UNSUBSCRIBE"],
            &["UNSUBSCRIBE"],
        ] {
            let (real, fake) = (real.call(words).unwrap(), fake.call(words).unwrap());
            assert_eq!(shape(&fake), shape(&real), "{words:?}\nfake {fake:?}\nreal {real:?}");
            for (real, fake) in real.items().iter().zip(fake.items()) {
                if words[0] == "SENTINEL" && !fake.items().is_empty() {
                    assert_eq!(names(fake), names(real), "{words:?}");
                }
            }
            if words[0] == "SENTINEL" && words[1] == "MASTER" {
                assert_eq!(names(&fake), names(&real), "{words:?}");
            }
        }
    }
}

#[test]
fn a_fake_node_answers_in_the_form_of_a_real_one() {
    let cluster = Cluster::builder().replicas(0).sentinels(0).start().unwrap();
    let fake = FakeNode::start().unwrap();
    let mut real = cluster.nodes()[0].client().unwrap();
    let mut fake = client(fake.address());
    for words in [
        &["HELLO"][..],
        &["ROLE"],
        &["SELECT", "1"],
        &["GET", "a"],
        &["SET", "a", "x"],
        &["GET", "a"],
        &["GET"],
        &["PING", "x"],
        &["NOSUCH", "x", "y"],
        &["HELLO", "3"],
        &["GET", "b"],
    ] {
        let (real, fake) = (real.call(words).unwrap(), fake.call(words).unwrap());
        assert_eq!(shape(&fake), shape(&real), "{words:?}");
    }
    let info = fake.call(&["INFO", "replication"]).unwrap().text();
    assert!(info.contains("master_replid2:0000"), "{info}");
}
