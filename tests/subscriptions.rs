//! Subscriptions through real failovers and other losses of their connection.

mod common;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use common::{audience::*, *};
use redis::Commands;
use switchmaster::{
    Delivery, Error, ErrorKind, Event, Factory, GapReason, Outcome, Protocol, Refusal, Subscription,
};
use switchmaster_sandbox::{Cluster, wait_until};

const PROTOCOLS: [Protocol; 2] = [Protocol::Resp2, Protocol::Resp3];

/// Numbers are published while this happens to the master. What a listener of each protocol heard,
/// and a third who listens by pattern.
fn through(
    cluster: &Cluster,
    fault: impl FnOnce(&Cluster),
) -> (Vec<Published>, Vec<Vec<Delivery>>) {
    let two = named_factory(cluster).client_name("other").protocol(Protocol::Resp2);
    let two = two.build().unwrap();
    let three = named_factory(cluster).protocol(Protocol::Resp3).build().unwrap();
    wait_until_calm(&three, cluster);
    let listeners = [
        two.subscribe(NUMBERS).unwrap(),
        three.subscribe(&[NUMBERS]).unwrap(),
        three.psubscribe("num*").unwrap(),
    ];
    let listeners = listeners.map(Listener::begin);
    let publisher = Publisher::begin(&three);
    publisher.wait_for(100);
    fault(cluster);
    wait_for_switch(&two, 1);
    wait_for_switch(&three, 1);
    listeners.iter().for_each(Listener::wait_for_gap);
    publisher.wait_for(100);
    let published = publisher.end();
    let last = published.last().unwrap().number;
    listeners.iter().for_each(|listener| listener.wait_for_number(last));
    (published, listeners.into_iter().map(Listener::end).collect())
}

/// One gap, between the first master and the second, and nothing else is missing.
fn assert_one_gap(published: &[Published], heard: &[Delivery], reasons: &[GapReason]) {
    let stretches = assert_complete(published, heard);
    assert_eq!(stretches.len(), 2, "one gap");
    assert_eq!(stretches[0].first(), Some(&published[0].number));
    assert!(!stretches[1].is_empty());
    let gap = heard.iter().cloned().find_map(Delivery::gap).unwrap();
    assert_eq!((gap.from_generation, gap.to_generation), (1, 2));
    assert!(reasons.contains(&gap.reason), "{gap}");
    assert!(gap.lost_at <= gap.at);
    for message in heard.iter().cloned().filter_map(Delivery::message) {
        let number: u64 = message.payload().unwrap();
        let first = stretches[0].binary_search(&number).is_ok();
        assert_eq!(message.generation(), if first { 1 } else { 2 }, "{message:?}");
    }
}

#[test]
fn after_a_kill_a_gap_and_then_messages_of_the_new_master() {
    let cluster = cluster();
    let (published, all) = through(&cluster, |cluster| drop(cluster.kill_master().unwrap()));
    for heard in &all {
        assert_one_gap(&published, heard, &[GapReason::Disconnected]);
    }
}

#[test]
fn after_a_freeze_a_gap_and_then_messages_of_the_new_master() {
    let cluster = cluster();
    let mut old = None;
    let (published, all) = through(&cluster, |cluster| old = cluster.freeze_master().ok());
    for heard in &all {
        // Whichever is noticed first.
        assert_one_gap(&published, heard, &[GapReason::Switched, GapReason::Silent]);
    }
    old.unwrap().resume().unwrap();
}

#[test]
fn a_planned_failover_leaves_out_only_what_comes_before_the_subscription() {
    let cluster = cluster();
    let (published, all) = through(&cluster, |cluster| cluster.failover().unwrap());
    for heard in &all {
        assert_one_gap(&published, heard, &[GapReason::Switched, GapReason::Disconnected]);
        // It stayed with the old master for as long as that one took numbers.
        let stretches = assert_complete(&published, heard);
        let before = published.iter().filter(|own| own.generation == 1);
        let missed: Vec<_> =
            before.filter(|own| stretches[0].binary_search(&own.number).is_err()).collect();
        assert!(missed.is_empty(), "{missed:?}");
        // Who publishes is told.
        let before = stretches[1][0];
        let after = published.iter().filter(|own| own.generation == 2 && own.number < before);
        let missed: Vec<_> = after.collect();
        assert!(missed.iter().all(|own| own.reached < 3), "{missed:?}");
    }
    let by_pattern = all[2].iter().cloned().filter_map(Delivery::message);
    for message in by_pattern {
        assert_eq!((&*message.channel(), message.pattern().as_deref()), (NUMBERS, Some("num*")));
    }
    let mut by_name = all[1].iter().cloned().filter_map(Delivery::message);
    assert!(by_name.all(|message| message.pattern().is_none()));
}

#[test]
fn every_one_of_many_subscriptions_moves() {
    let cluster = cluster();
    let factory = named_factory(&cluster).max_size(2).build().unwrap();
    wait_until_calm(&factory, &cluster);
    let listeners: Vec<_> =
        (0..50).map(|_| Listener::begin(factory.subscribe(NUMBERS).unwrap())).collect();
    let old = cluster.master().unwrap();
    assert_eq!(subscribers(&old).len(), 50);
    cluster.failover().unwrap();
    listeners.iter().for_each(Listener::wait_for_gap);
    assert!(wait_until(PATIENCE, || subscribers(&old).is_empty()), "some stayed behind");
    let reached: u64 = factory.run(|redis| redis.publish(NUMBERS, 7)).unwrap();
    assert_eq!(reached, 50);
    for listener in listeners {
        listener.wait_for_number(7);
        let gaps = listener.gaps();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!((gaps[0].from_generation, gaps[0].to_generation), (1, 2));
        assert_eq!(listener.end().len(), 2);
    }
    assert!(factory.stats().total <= 2, "the pool does not count them");
}

#[test]
fn a_subscription_that_is_asked_for_in_an_outage_waits_for_the_new_master() {
    let cluster = cluster();
    let factory = named_factory(&cluster).get_timeout(PATIENCE).build().unwrap();
    let mut events = factory.events().into_iter();
    cluster.kill_master().unwrap();
    let mut subscription = factory.subscribe("news").unwrap();
    assert!(events.any(|event| matches!(event, Event::Switched { generation: 2, .. })));
    assert_eq!(subscription.generation(), 2);
    assert_eq!(subscription.address(), factory.master().as_ref());
    let reached: u64 = factory.run(|redis| redis.publish("news", "first")).unwrap();
    assert_eq!(reached, 1);
    assert_eq!(next_text(&mut subscription), "first", "there is no gap before the first message");
}

/// A master that no sentinel takes for dead.
fn lone() -> Cluster {
    let lasting = Duration::from_secs(3600);
    Cluster::builder().replicas(1).down_after(lasting).proxied(true).start().unwrap()
}

fn publish(cluster: &Cluster, channel: &str, payload: &str) -> String {
    let master = cluster.master().unwrap();
    master.ask(&["PUBLISH", channel, payload]).unwrap().text()
}

#[test]
fn client_kill_is_a_gap_within_a_generation() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let factory = named_factory(&cluster).protocol(protocol).build().unwrap();
        let mut subscription = factory.subscribe("news").unwrap();
        assert_eq!(publish(&cluster, "news", "one"), "1");
        assert_eq!(next_text(&mut subscription), "one");
        assert_eq!(publish(&cluster, "news", "two"), "1");
        for id in subscribers(&master) {
            master.client().unwrap().expect(&["CLIENT", "KILL", "ID", &id]).unwrap();
        }
        assert_eq!(publish(&cluster, "news", "nobody hears it"), "0");
        assert_eq!(next_text(&mut subscription), "two", "it was sent before");
        let gap = next_gap(&mut subscription);
        assert_eq!(gap.reason, GapReason::Disconnected, "{gap}");
        assert_eq!((gap.from_generation, gap.to_generation), (1, 1));
        assert!(gap.to_string().contains("messages may be missing"), "{gap}");
        assert_eq!(publish(&cluster, "news", "three"), "1", "the gap comes when all is subscribed");
        assert_eq!(next_text(&mut subscription), "three");
    }
}

#[test]
fn each_of_several_losses_has_its_gap_and_nothing_else_is_missing() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let factory = named_factory(&cluster).protocol(protocol).build().unwrap();
        // Two commands, and numbers that may come between their confirmations.
        let mut subscription = factory.subscribe(NUMBERS).unwrap();
        subscription.psubscribe("other*").unwrap();
        let listener = Listener::begin(subscription);
        let publisher = Publisher::begin(&factory);
        for losses in 1..=6 {
            publisher.wait_for(20);
            for id in subscribers(&master) {
                master.client().unwrap().call(&["CLIENT", "KILL", "ID", &id]).unwrap();
            }
            let gaps = |heard: &[Delivery]| {
                heard.iter().filter(|own| matches!(own, Delivery::Gap(_))).count()
            };
            listener.wait_for(&format!("{losses} gaps"), |heard| gaps(heard) == losses);
        }
        publisher.wait_for(20);
        let published = publisher.end();
        listener.wait_for_number(published.last().unwrap().number);
        let stretches = assert_complete(&published, &listener.end());
        assert_eq!(stretches.len(), 7);
        assert!(stretches.iter().all(|stretch| !stretch.is_empty()), "{stretches:?}");
    }
}

#[test]
fn a_reader_that_is_too_slow_gets_a_gap_where_the_server_gave_it_up() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1"];
    master.client().unwrap().expect(&limit).unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    let mut subscription = factory.subscribe("news").unwrap();
    let mut client = master.client().unwrap();
    let filler = "x".repeat(100_000);
    let mut sent = 0;
    // The buffers of the system hold some megabytes beyond the server's own.
    while client.expect(&["PUBLISH", "news", &format!("{sent}:{filler}")]).unwrap().text() == "1" {
        sent += 1;
        assert!(sent < 10_000, "the server holds a gigabyte for a slow reader");
    }
    let mut heard = 0;
    let gap = loop {
        match next(&mut subscription) {
            Delivery::Message(message) => {
                let text: String = message.payload().unwrap();
                assert!(text.starts_with(&format!("{heard}:")), "in order, and none is missing");
                heard += 1;
            }
            Delivery::Gap(gap) => break gap,
            Delivery::Refused(refusal) => panic!("{refusal}"),
        }
    };
    assert!((1..sent).contains(&heard), "{heard} of {sent}");
    assert_eq!(gap.reason, GapReason::Disconnected, "{gap}");
    assert_eq!(publish(&cluster, "news", "after"), "1");
    assert_eq!(next_text(&mut subscription), "after");
}

#[test]
fn a_server_that_falls_silent_is_noticed_without_a_sentinel() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let builder = proxied_factory(&cluster).protocol(protocol);
        let factory = builder.command_timeout(Duration::from_millis(500)).build().unwrap();
        let mut subscription = factory.subscribe("news").unwrap();
        let first = subscribers(&master);
        assert_eq!(first.len(), 1);
        let proxy = master.proxy().unwrap();
        proxy.half_open();
        let silent = Instant::now();
        while subscription.is_subscribed() {
            assert!(silent.elapsed() < PATIENCE, "it is not noticed");
            assert!(subscription.next_timeout(Duration::from_millis(50)).unwrap().is_none());
        }
        assert!(subscription.failure().is_some(), "it says why");
        // Nobody hears that, and nobody could.
        publish(&cluster, "news", "into the void");
        proxy.pass();
        let gap = next_gap(&mut subscription);
        assert_eq!(gap.reason, GapReason::Silent, "{gap}");
        assert_eq!(gap.error.kind(), ErrorKind::CommandTimeout, "{gap}");
        assert_eq!((gap.from_generation, gap.to_generation), (1, 1));
        assert!(subscription.failure().is_none());
        assert!(wait_until(PATIENCE, || subscribers(&master).len() == 1));
        assert_ne!(subscribers(&master), first);
        assert_eq!(publish(&cluster, "news", "after"), "1");
        assert_eq!(next_text(&mut subscription), "after");
        assert_eq!(factory.generation(), 1);
    }
}

#[test]
fn a_quiet_subscription_is_asked_whether_it_lives_and_goes_on() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let builder = named_factory(&cluster).protocol(protocol);
        let factory = builder.command_timeout(Duration::from_millis(500)).build().unwrap();
        let listener = Listener::begin(factory.subscribe("news").unwrap());
        let own = subscribers(&master);
        let pinged = || {
            let clients = master.ask(&["CLIENT", "LIST", "ID", &own[0]]).unwrap().text();
            clients.contains(" cmd=ping ")
        };
        assert!(wait_until(PATIENCE, pinged), "nobody asks");
        // Once more, and each time the answer is understood.
        publish(&cluster, "news", "1");
        listener.wait_for_number(1);
        let begun = Instant::now();
        assert!(wait_until(PATIENCE, || begun.elapsed() > Duration::from_secs(4)));
        publish(&cluster, "news", "2");
        listener.wait_for_number(2);
        assert_eq!(subscribers(&master), own, "it is the same connection");
        assert!(listener.gaps().is_empty());
        listener.end();
    }
}

#[test]
fn channels_come_and_go_while_it_runs() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let factory = named_factory(&cluster).protocol(protocol).build().unwrap();
        let mut subscription = factory.subscribe(&["a", "b"]).unwrap();
        let all = |own: &Subscription| -> Vec<Vec<u8>> {
            own.channels().chain(own.patterns()).map(<[u8]>::to_vec).collect()
        };
        publish(&cluster, "a", "before");
        subscription.subscribe("c").unwrap();
        subscription.psubscribe(&["d*", "e?"]).unwrap();
        subscription.subscribe("c").unwrap();
        assert_eq!(all(&subscription), [&b"a"[..], b"b", b"c", b"d*", b"e?"]);
        for (channel, payload) in [("c", "by name"), ("dd", "by pattern"), ("e1", "by another")] {
            assert_eq!(publish(&cluster, channel, payload), "1");
        }
        subscription.unsubscribe(&["a", "never"]).unwrap();
        subscription.punsubscribe("d*").unwrap();
        assert_eq!(publish(&cluster, "a", "nobody hears it"), "0");
        assert_eq!(publish(&cluster, "dd", "nobody hears it"), "0");
        publish(&cluster, "b", "after");
        for expected in ["before", "by name", "by pattern", "by another", "after"] {
            assert_eq!(next_text(&mut subscription), expected);
        }
        assert!(subscription.try_next().unwrap().is_none());

        // A connection that breaks at that moment is made anew, and has the new channel as well.
        for id in subscribers(&master) {
            master.client().unwrap().expect(&["CLIENT", "KILL", "ID", &id]).unwrap();
        }
        subscription.subscribe("f").unwrap();
        assert_eq!(publish(&cluster, "f", "heard"), "1");
        assert_eq!(next_gap(&mut subscription).to_generation, 1);
        assert_eq!(next_text(&mut subscription), "heard");
        let names: Vec<Vec<u8>> = subscription.channels().map(<[u8]>::to_vec).collect();
        subscription.unsubscribe(names).unwrap();
        subscription.punsubscribe("e?").unwrap();
        assert!(all(&subscription).is_empty());
        // For nothing at present, and PING is answered in another way then.
        let quiet = subscription.next_timeout(Duration::from_millis(2500)).unwrap();
        assert!(quiet.is_none() && subscription.is_subscribed(), "{quiet:?}");
        subscription.subscribe("g").unwrap();
        assert_eq!(publish(&cluster, "g", "again"), "1");
        assert_eq!(next_text(&mut subscription), "again");
        let nothing = subscription.subscribe(Vec::<String>::new()).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::InvalidConfig);
    }
}

#[test]
fn a_channel_that_the_user_may_not_have_is_refused_and_the_rest_goes_on() {
    let cluster = lone();
    restrict_a_user(&cluster);
    for protocol in PROTOCOLS {
        let builder = named_factory(&cluster).username("reader").password("pass");
        let factory = builder.protocol(protocol).build().unwrap();
        let refused = factory.subscribe("secret").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permission, "{refused}");
        assert_eq!(refused.outcome(), Outcome::Replied);
        let mut subscription = factory.subscribe("ok").unwrap();
        let refused = subscription.subscribe(&["secret", "other"]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permission, "{refused}");
        assert!(refused.to_string().contains("refused SUBSCRIBE"), "{refused}");
        assert_eq!(subscription.channels().collect::<Vec<_>>(), [b"ok"]);
        assert_eq!(publish(&cluster, "ok", "heard"), "1");
        assert_eq!(next_text(&mut subscription), "heard");
    }
}

/// A user who may only have the channel `ok`, at every node.
fn restrict_a_user(cluster: &Cluster) {
    for node in cluster.nodes() {
        let rights =
            ["ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@all", "resetchannels", "&ok"];
        node.client().unwrap().expect(&rights).unwrap();
    }
}

#[test]
fn a_forbidden_channel_that_was_asked_for_in_an_outage_stops_no_confirmed_one() {
    let cluster = lone();
    restrict_a_user(&cluster);
    let master = cluster.master().unwrap();
    let proxy = master.proxy().unwrap();
    for protocol in PROTOCOLS {
        let builder = proxied_factory(&cluster).username("reader").password("pass").min_idle(0);
        let builder = builder.protocol(protocol).command_timeout(Duration::from_millis(500));
        let factory = builder.build().unwrap();
        let mut subscription = factory.subscribe("ok").unwrap();
        proxy.refuse();
        let error = subscription.subscribe(&["secret", "other"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
        let error = subscription.psubscribe("s*").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
        proxy.pass();
        let refused: Vec<_> = (0..3).map(|_| next_refusal(&mut subscription)).collect();
        let channels: Vec<_> = refused.iter().map(Refusal::channel).collect();
        assert_eq!(channels, [Some("other".into()), Some("secret".into()), None]);
        assert_eq!(refused[2].pattern().as_deref(), Some("s*"));
        for refusal in &refused {
            assert_eq!(refusal.error().kind(), ErrorKind::Permission, "{refusal}");
            assert_eq!(refusal.generation(), 1);
        }
        assert_eq!(next_gap(&mut subscription).to_generation, 1);
        assert_eq!(publish(&cluster, "ok", "heard"), "1");
        assert_eq!(next_text(&mut subscription), "heard");
        let all: Vec<_> = subscription.channels().chain(subscription.patterns()).collect();
        assert_eq!(all, [b"ok"], "what was refused is no longer asked for");
        proxy.refuse();
        assert!(subscription.try_next().unwrap().is_none());
        proxy.pass();
        assert_eq!(next_gap(&mut subscription).to_generation, 1, "nothing is refused again");
    }
}

#[test]
fn a_forbidden_channel_that_is_asked_for_as_the_connection_breaks_is_refused_to_the_caller() {
    let cluster = lone();
    restrict_a_user(&cluster);
    let master = cluster.master().unwrap();
    for protocol in PROTOCOLS {
        let builder = named_factory(&cluster).username("reader").password("pass").min_idle(0);
        let factory = builder.protocol(protocol).build().unwrap();
        let mut subscription = factory.subscribe("ok").unwrap();
        for id in subscribers(&master) {
            master.client().unwrap().expect(&["CLIENT", "KILL", "ID", &id]).unwrap();
        }
        let refused = subscription.subscribe("secret").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Permission, "{refused}");
        assert_eq!(next_gap(&mut subscription).to_generation, 1);
        assert_eq!(publish(&cluster, "ok", "heard"), "1");
        assert_eq!(next_text(&mut subscription), "heard");
        assert_eq!(subscription.channels().collect::<Vec<_>>(), [b"ok"]);
        let broken = factory.stats().connections_broken;
        assert_eq!(broken, 1, "the killed connection broke; the refused one did not");
    }
}

#[test]
fn a_channel_that_was_confirmed_and_is_forbidden_later_is_tried_until_it_is_allowed() {
    let cluster = lone();
    restrict_a_user(&cluster);
    let master = cluster.master().unwrap();
    let builder = named_factory(&cluster).username("reader").password("pass").min_idle(0);
    let factory = builder.build().unwrap();
    let mut subscription = factory.subscribe("ok").unwrap();
    let rights = |rule: &str| {
        master.client().unwrap().expect(&["ACL", "SETUSER", "reader", rule]).unwrap();
    };
    // The server ends the connections that listen to what they no longer may.
    rights("resetchannels");
    let refused = || {
        assert!(subscription.next_timeout(Duration::from_millis(50)).unwrap().is_none());
        subscription.failure().is_some_and(|error| error.kind() == ErrorKind::Permission)
    };
    assert!(wait_until(PATIENCE, refused), "{subscription:?}");
    assert_eq!(factory.stats().connections_broken, 1, "refusals break no connection");
    rights("&ok");
    assert_eq!(next_gap(&mut subscription).to_generation, 1);
    assert_eq!(publish(&cluster, "ok", "heard"), "1");
    assert_eq!(next_text(&mut subscription), "heard");
}

#[test]
fn a_subscription_that_is_dropped_or_closed_leaves_no_connection() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    let factory = named_factory(&cluster).build().unwrap();
    for _ in 0..100 {
        let subscription = factory.subscribe("news").unwrap();
        assert!(subscription.is_subscribed());
    }
    assert!(wait_until(PATIENCE, || subscribers(&master).is_empty()), "dropped ones stayed");
    let mut kept = factory.subscribe("news").unwrap();
    kept.closer().close();
    assert!(kept.closer().is_closed());
    assert!(wait_until(PATIENCE, || subscribers(&master).is_empty()), "a closed one stayed");
    assert!(kept.next().is_none());
    assert!(kept.next().is_none());
    assert_eq!(kept.try_next().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(kept.subscribe("more").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn the_end_of_the_factory_or_of_the_subscription_wakes_its_reader() {
    let cluster = lone();
    let proxy = |cluster: &Cluster| cluster.master().unwrap().proxy().unwrap().refuse();
    // Whether it reads, or waits for its next attempt to connect.
    for connected in [true, false] {
        let factory = proxied_factory(&cluster).build().unwrap();
        let [by_factory, by_closer] =
            [(); 2].map(|()| Listener::begin(factory.subscribe("news").unwrap()));
        if !connected {
            proxy(&cluster);
            let broken = || factory.stats().connections_broken >= 2;
            assert!(wait_until(PATIENCE, broken), "{:?}", factory.stats());
        }
        let begun = Instant::now();
        by_closer.end();
        assert!(!by_factory.is_ended());
        factory.close();
        assert!(wait_until(PATIENCE, || by_factory.is_ended()));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(2), "it took {took:?}");
        assert!(by_factory.end().is_empty());
        cluster.heal();
        assert_eq!(factory.subscribe("news").unwrap_err().kind(), ErrorKind::Closed);
    }
    let factory = named_factory(&cluster).build().unwrap();
    let mut orphan = factory.subscribe("news").unwrap();
    drop(factory);
    assert!(orphan.next().is_none(), "it does not keep the factory open");
}

#[test]
fn without_a_master_it_waits_and_says_why_and_one_gap_ends_the_wait() {
    let cluster = lone();
    let master = cluster.master().unwrap();
    let proxy = master.proxy().unwrap();
    let builder = proxied_factory(&cluster).min_idle(0);
    let factory = builder.get_timeout(Duration::from_millis(700)).build().unwrap();
    let mut subscription = factory.subscribe("news").unwrap();
    proxy.refuse();
    assert!(subscription.next_timeout(Duration::from_millis(500)).unwrap().is_none());
    assert!(!subscription.is_subscribed());
    assert_eq!((subscription.generation(), subscription.address()), (0, None));
    assert_eq!(subscription.failure().unwrap().kind(), ErrorKind::Disconnected);
    let error = factory.subscribe("news").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    assert!(error.to_string().contains(&proxy.address().to_string()), "{error}");
    // Asked for in vain, and remembered.
    let error = subscription.subscribe("more").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoMaster, "{error}");
    assert!(subscription.try_next().unwrap().is_none());
    proxy.pass();
    let gap = next_gap(&mut subscription);
    assert_eq!((gap.from_generation, gap.to_generation), (1, 1));
    assert_eq!(publish(&cluster, "more", "heard"), "1");
    assert_eq!(next_text(&mut subscription), "heard");
}

#[test]
fn a_handle_that_subscribed_by_hand_is_refused_after_the_switch() {
    let cluster = cluster();
    let factories: BTreeMap<&str, Factory> = PROTOCOLS
        .into_iter()
        .map(|protocol| {
            let name = if protocol == Protocol::Resp2 { "RESP2" } else { "RESP3" };
            (name, named_factory(&cluster).protocol(protocol).build().unwrap())
        })
        .collect();
    let mut handles = Vec::new();
    for (name, factory) in &factories {
        let mut handle = factory.get().unwrap();
        redis::cmd("SUBSCRIBE").arg("news").exec(&mut handle).unwrap();
        handles.push((name, handle));
    }
    cluster.failover().unwrap();
    for factory in factories.values() {
        wait_for_switch(factory, 1);
    }
    for (name, mut handle) in handles {
        let error = redis::cmd("PING").exec(&mut handle).unwrap_err();
        assert_eq!(Outcome::of(&error), Outcome::NotSent, "{name}: {error}");
        let kind = Error::from_redis(&error).unwrap().kind();
        assert_eq!(kind, ErrorKind::Switched, "{name}: {error}");
    }
}
