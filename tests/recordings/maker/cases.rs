//! The cases.

use std::{fs, time::Duration};

use switchmaster::{Address, Event, Evidence};
use switchmaster_sandbox::{Probe, valkey_server};

use crate::stage::{Case, Failure, PATIENCE, Stage};

type Played = Result<(), Failure>;

/// The user for whom SUBSCRIBE is denied, and the rights that Redis documents for clients.
const USER: &str = "follower";
const PASSWORD: &str = "followerpass";
const RIGHTS: &str = "-@all +auth +client|getname +client|id +client|setname +command +hello \
                      +ping +role +sentinel|get-master-addr-by-name +sentinel|master \
                      +sentinel|myid +sentinel|replicas +sentinel|sentinels";

/// A failover that was given up is begun anew after twice this.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(2);

const USUAL: Case = Case {
    name: "",
    about: "",
    expect: "",
    cluster: |cluster| cluster,
    factory: |factory| factory,
    play: |_| Ok(()),
};

pub const CASES: &[Case] = &[
    Case {
        name: "kill",
        about: "The master is killed.",
        expect: "switches promotion, fences replacing, ends open trusted",
        play: |stage| {
            stage.cluster.kill_master()?;
            stage.wait_for_generation(2)?;
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "freeze",
        about: "The master is frozen.",
        expect: "switches promotion, fences replacing, ends open trusted",
        play: |stage| {
            stage.cluster.freeze_master()?;
            stage.wait_for_generation(2)?;
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "planned",
        about: "A failover is ordered while the master is well.",
        expect: "switches ordered, fences replacing, ends open trusted",
        play: planned,
        ..USUAL
    },
    Case {
        name: "planned-without-subscribe",
        about: "A failover is ordered while the master is well, and no sentinel allows SUBSCRIBE.",
        expect: "switches ordered, ends open trusted",
        cluster: |cluster| cluster.sentinel_line(format!("user {USER} on >{PASSWORD} {RIGHTS}")),
        factory: |factory| factory.sentinel_username(USER).sentinel_password(PASSWORD),
        play: planned,
    },
    Case {
        name: "two-at-once",
        about: "Two sentinels are ordered at once to fail over, and choose the same replica.",
        expect: "generation 2, serves another, ends open trusted",
        play: |stage| {
            stage.cluster.two_failovers_at_once()?;
            stage.wait_for_generation(2)
        },
        ..USUAL
    },
    Case {
        name: "two-apart",
        about: "Two sentinels are ordered at once to fail over, and promote different replicas.",
        expect: "generation 2, serves another, ends open trusted",
        play: |stage| {
            stage.cluster.two_failovers_apart()?;
            stage.wait_for_generation(2)
        },
        ..USUAL
    },
    Case {
        name: "during-a-failover",
        about: "When the successor of a killed master is chosen, another sentinel is ordered to \
                fail over, too.",
        // Each may have made the other's choice a replica. Then commands wait for some 20 s.
        expect: "serves another, ends trusted",
        play: |stage| {
            stage.cluster.kill_master()?;
            let chosen = stage.wait_for(|event| matches!(event, Event::Chosen { .. }))?;
            let switchmaster::Source::Sentinel(leader) = chosen.source() else {
                return Err("it was not a sentinel that told the choice".into());
            };
            let leader = stage.sentinel(leader)?;
            let mut others = stage.cluster.sentinels().iter();
            let other = others.find(|other| other.port() != leader.port()).ok_or("no other")?;
            other.failover(stage.cluster.service())?;
            stage.wait_for_generation(2)
        },
        ..USUAL
    },
    Case {
        name: "just-after-a-failover",
        about: "The new master is killed as soon as a sentinel has confirmed it.",
        expect: "generation 3, ends open trusted",
        play: |stage| {
            planned(stage)?;
            let master = stage.factory.master().ok_or("there is no master")?;
            stage.node(&master)?.kill()?;
            stage.wait_for_generation(3)
        },
        ..USUAL
    },
    Case {
        name: "promoted-dies",
        about: "The promoted replica is killed before any sentinel has confirmed it; the master \
                before was killed, too.",
        expect: "switches promotion promotion, ends open trusted",
        cluster: |cluster| cluster.failover_timeout(FAILOVER_TIMEOUT),
        play: |stage| {
            stage.cluster.kill_master()?;
            kill_promoted(stage)?;
            stage.wait_for_generation(3)?;
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "promoted-dies-and-the-old-master-lives",
        about: "The promoted replica is killed before any sentinel has confirmed it; the master \
                before is well and stays.",
        expect: "generation 3, serves the first, ends open trusted",
        cluster: |cluster| cluster.failover_timeout(FAILOVER_TIMEOUT),
        play: |stage| {
            stage.cluster.failover()?;
            kill_promoted(stage)?;
            stage.wait_for_generation(3)
        },
        ..USUAL
    },
    Case {
        name: "leader-dies-at-the-promotion",
        about: "The sentinel that leads the failover is killed at the promotion, before it can be \
                asked about it.",
        expect: "serves another, ends open trusted",
        cluster: |cluster| cluster.failover_timeout(FAILOVER_TIMEOUT),
        play: |stage| {
            let probe = Probe::start(&stage.cluster)?;
            stage.cluster.kill_master()?;
            stage.cluster.kill_leader_at_promotion(&probe, PATIENCE)?;
            stage.wait_for_generation(2)?;
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "leader-dies-after-the-switch",
        about: "The sentinel that leads the failover is killed right after the switch, and has told \
                nobody.",
        expect: "fences replacing unconfirmed, ends open trusted",
        cluster: |cluster| cluster.failover_timeout(FAILOVER_TIMEOUT),
        play: |stage| {
            stage.cluster.kill_master()?;
            stage.sentinel(&wait_for_promotion(stage)?)?.kill()?;
            stage.wait_for(|event| matches!(event, Event::FenceLifted { .. }))?;
            Ok(())
        },
        ..USUAL
    },
    Case {
        name: "leader-cut-off",
        about: "The sentinel that leads the failover is cut off from the client alone, right after \
                the promotion.",
        expect: "switches promotion, fences replacing unconfirmed, ends open trusted",
        cluster: |cluster| cluster.proxied(true),
        play: |stage| {
            stage.cluster.kill_master()?;
            let leader = wait_for_promotion(stage)?;
            stage.sentinel(&leader)?.proxy().ok_or("it has no proxy")?.refuse();
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "chosen-out-of-reach",
        about: "The chosen replica cannot be reached by the client before the sentinels name it.",
        expect: "switches confirmation, ends open trusted",
        cluster: |cluster| cluster.proxied(true),
        play: |stage| {
            let old = stage.master()?.port();
            stage.cluster.partition_client_from(&stage.replicas()?)?;
            stage.cluster.failover()?;
            stage.cluster.wait_for_master_other_than(old, PATIENCE)?;
            stage.wait_for_the_end()?;
            stage.cluster.heal();
            stage.wait_for_generation(2)
        },
        ..USUAL
    },
    Case {
        name: "chosen-restarts",
        about: "The chosen replica is restarted at the choice, which ends its connections, too.",
        expect: "generation 2, serves another, ends open trusted",
        cluster: |cluster| cluster.failover_timeout(FAILOVER_TIMEOUT),
        play: |stage| {
            stage.cluster.kill_master()?;
            match stage.wait_for(|event| matches!(event, Event::Chosen { .. }))? {
                Event::Chosen { node, .. } => stage.node(&node)?.restart()?,
                _ => return Err("nothing was chosen".into()),
            }
            stage.wait_for_generation(2)
        },
        ..USUAL
    },
    Case {
        name: "operator-promotes",
        about: "An operator makes a replica a master by REPLICAOF NO ONE: nobody chose it.",
        expect: "generation 1, switches none, reports promoted, fences none, ends open trusted",
        play: |stage| {
            let replica = stage.replicas()?.swap_remove(0);
            replica.ask(&["REPLICAOF", "NO", "ONE"])?;
            stage.wait_for(|event| matches!(event, Event::Promoted { .. }))?;
            stage.go_on(Duration::from_secs(3));
            Ok(())
        },
        ..USUAL
    },
    Case {
        name: "partition-fence",
        about: "The client is shut in with a master that is replaced, and commands wait when no \
                majority is heard (on_lost_majority=fence:1s).",
        expect: "generation 2, fences lost-majority, ends open trusted",
        cluster: |cluster| cluster.proxied(true),
        factory: |factory| {
            let after = Duration::from_secs(1);
            factory.on_lost_majority(switchmaster::OnLostMajority::Fence { after })
        },
        play: |stage| partition(stage, |event| matches!(event, Event::FenceRaised { .. })),
    },
    Case {
        name: "partition-serve",
        about: "The client is shut in with a master that is replaced, and goes on with it.",
        expect: "switches confirmation, fences none, reports majority-lost majority-regained, ends open \
                 trusted",
        cluster: |cluster| cluster.proxied(true),
        play: |stage| partition(stage, |event| matches!(event, Event::MajorityLost { .. })),
        ..USUAL
    },
    Case {
        name: "coordinated",
        about: "Valkey hands the master over (SENTINEL FAILOVER … COORDINATED): no connection is cut.",
        expect: "switches promotion, fences replacing cut, ends open trusted",
        cluster: |cluster| match valkey_server() {
            Ok(server) => cluster.server(server),
            Err(error) => panic!("{error}"),
        },
        play: |stage| {
            stage.cluster.sentinels()[1].failover_coordinated(stage.cluster.service())?;
            stage.wait_for_generation(2)?;
            wait_for_trust(stage)
        },
        ..USUAL
    },
    Case {
        name: "stale-sentinel",
        about: "A sentinel comes back with the configuration from before a failover, and names the \
                old master, which still says that it is one.",
        expect: "switches ordered, serves another, ends open trusted",
        play: |stage| {
            let stale = &stage.cluster.sentinels()[2];
            let configuration = fs::read(stale.config_file())?;
            planned(stage)?;
            stage.settle();
            stale.kill()?;
            fs::write(stale.config_file(), configuration)?;
            stale.restart()?;
            stage.wait_for(|event| matches!(event, Event::SentinelUp { .. }))?;
            Ok(())
        },
        ..USUAL
    },
];

fn planned(stage: &Stage) -> Played {
    stage.cluster.failover()?;
    stage.wait_for_generation(2)?;
    wait_for_trust(stage)
}

/// Waits until the master that was switched to at its promotion is named by a sentinel.
fn wait_for_trust(stage: &Stage) -> Played {
    stage.wait_for(|event| matches!(event, Event::Confirmed { .. }))?;
    Ok(())
}

/// Waits for a switch at a promotion, and says which sentinel led to it.
fn wait_for_promotion(stage: &Stage) -> Result<Address, Failure> {
    match stage.wait_for(|event| matches!(event, Event::Switched { .. }))? {
        Event::Switched { evidence: Evidence::Promotion { leader, .. }, .. } => Ok(leader),
        _ => Err("it was not switched at the promotion of an elected leader's choice".into()),
    }
}

fn kill_promoted(stage: &Stage) -> Played {
    match stage.wait_for(|event| matches!(event, Event::Switched { .. }))? {
        Event::Switched { to, .. } => stage.node(&to)?.kill()?,
        _ => return Err("there was no switch".into()),
    }
    Ok(())
}

fn partition(stage: &Stage, noticed: fn(&Event) -> bool) -> Played {
    let old = stage.master()?.port();
    let others = stage.cluster.members().filter(|member| member.port() != old);
    stage.cluster.partition_client_from(others)?;
    stage.wait_for(noticed)?;
    stage.cluster.failover()?;
    stage.cluster.wait_for_master_other_than(old, PATIENCE)?;
    stage.wait_for_the_end()?;
    stage.cluster.heal();
    stage.wait_for_generation(2)
}
