//! The verdict on a promotion: a pure function of one snapshot of the sentinels and of the lineage.
//!
//! A replica that says that it is a master is a fact; that it is *the* master follows from what the
//! sentinels answer at that moment. Exactly one of them leads a failover, it has chosen this replica
//! (flag `promoted` in `SENTINEL REPLICAS`), and a majority of all known sentinels voted for it in one
//! epoch (`voted-leader` in its `SENTINEL SENTINELS`); or the failover was ordered, which nobody votes
//! about, and then every known sentinel has to have been asked. The replica's `master_replid2` shows
//! that it continues the data of the master that it replaces. No published message is part of it.

use crate::address::Address;

use super::answer::{MasterFields, View};

/// The states of a failover in which its sentinel leads it: it was elected, or ordered. Before
/// that, in `wait_start`, several may hope to be.
const LEADING: [&str; 5] =
    ["select_slave", "send_slaveof_noone", "wait_promotion", "reconf_slaves", "update_config"];

/// Those of them in which the replica has been promoted, and the sentinel names it.
const PROMOTED: [&str; 2] = ["reconf_slaves", "update_config"];

/// What the known sentinels answered to questions that were asked after the fact.
pub(super) struct Snapshot<'a> {
    /// Every known sentinel.
    pub(super) witnesses: Vec<Witness<'a>>,
    /// The configuration epoch of the master that is served.
    pub(super) epoch: Option<u64>,
    /// The replica descends from that master, or from the last one that was confirmed; `None` when
    /// it may not be asked (`INFO replication`).
    pub(super) descends: Option<bool>,
    /// Answers that are still missing are not waited for any longer.
    pub(super) patience_over: bool,
}

/// One known sentinel.
pub(super) struct Witness<'a> {
    pub(super) sentinel: &'a Address,
    pub(super) run_id: Option<&'a str>,
    /// The link to it stands.
    pub(super) linked: bool,
    pub(super) view: Option<&'a View>,
    /// It has promoted the master that is served, and is about to end the failover that it leads.
    pub(super) finished: bool,
}

/// What follows from a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The leader was elected, and chose it.
    Elected { leader: Address, epoch: u64, votes: usize, of: usize },
    /// The leader was ordered to, and chose it. Its epoch is not told before it is confirmed.
    Ordered { leader: Address, of: usize },
    /// Not proven, and why.
    Open(Lack),
}

/// What a proof lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// An answer that may come at any moment.
    Answer,
    /// No sentinel leads a failover.
    Leader,
    /// More than one does.
    OneLeader,
    /// The leader did not choose this replica.
    Choice,
    /// The leader's own run id is not known, so no vote can be told to be for it.
    RunId,
    /// Fewer than a majority of the known sentinels voted for the leader, in one epoch that is newer.
    Votes,
    /// The failover was ordered, and some known sentinel was not asked: it may lead another.
    Everybody,
    /// Some sentinel knows of a newer master than the one that leads.
    Newest,
    /// The replica's data do not descend from the master's, or it may not be asked.
    Descent,
}

impl Lack {
    /// For the user.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Lack::Answer => "a sentinel has not answered",
            Lack::Leader => "no sentinel leads a failover",
            Lack::OneLeader => "more than one sentinel leads a failover",
            Lack::Choice => "the sentinel that leads the failover did not choose it",
            Lack::RunId => "the run id of the sentinel that leads the failover is not known",
            Lack::Votes => "no majority of the known sentinels voted for the one that leads",
            Lack::Everybody => {
                "the failover was ordered, and not every known sentinel could be asked about another"
            }
            Lack::Newest => "another sentinel names a master at a newer epoch",
            Lack::Descent => {
                "its replication history is not that of the master, or INFO may not be asked"
            }
        }
    }
}

impl View {
    /// The failover that this sentinel leads, if it leads one.
    pub(super) fn leads(&self) -> Option<&MasterFields> {
        self.master.as_ref().filter(|master| {
            master.flags.has("failover_in_progress")
                && master.failover_state.as_deref().is_some_and(|state| LEADING.contains(&state))
        })
    }

    /// Whether it has promoted the one that it names, in the failover that it leads.
    pub(super) fn has_promoted(&self) -> bool {
        let state = self.leads().and_then(|master| master.failover_state.as_deref());
        state.is_some_and(|state| PROMOTED.contains(&state))
    }

    /// Whether it may tell which replica it has chosen, if any.
    pub(super) fn tells_choice(&self) -> bool {
        self.master.is_some() && (self.leads().is_none() || self.replicas.is_some())
    }

    /// The replica that it has chosen in the failover that it leads.
    pub(super) fn chosen(&self) -> Option<&Address> {
        self.leads()?;
        let replicas = self.replicas.as_ref()?;
        replicas.iter().find(|own| own.flags.has("promoted")).map(|own| &own.address)
    }
}

/// Whether the replica was promoted by right. `is_it` knows it under all of its addresses.
pub(super) fn verdict(snapshot: &Snapshot<'_>, is_it: impl Fn(&Address) -> bool) -> Verdict {
    match prove(snapshot, is_it) {
        Ok(verdict) => verdict,
        Err(lack) => Verdict::Open(lack),
    }
}

fn prove(snapshot: &Snapshot<'_>, is_it: impl Fn(&Address) -> bool) -> Result<Verdict, Lack> {
    let of = snapshot.witnesses.len();
    let missing = snapshot.witnesses.iter().any(|own| own.linked && own.view.is_none());
    if missing && !snapshot.patience_over {
        return Err(Lack::Answer);
    }
    let leading = snapshot.witnesses.iter().filter(|own| !own.finished);
    let mut leaders = leading.filter_map(|own| Some((own, own.view?, own.view?.leads()?)));
    let (leader, view, failover) = leaders.next().ok_or(Lack::Leader)?;
    if leaders.next().is_some() {
        return Err(Lack::OneLeader);
    }
    if !view.chosen().is_some_and(&is_it) {
        return Err(Lack::Choice);
    }
    if snapshot.descends != Some(true) {
        return Err(Lack::Descent);
    }
    let address = leader.sentinel.clone();
    if failover.flags.has("force_failover") {
        if snapshot.witnesses.iter().any(|own| own.view.is_none()) {
            return Err(Lack::Everybody);
        }
        let newest = snapshot.witnesses.iter().filter_map(|own| own.view?.epoch).max();
        if view.epoch < newest.max(snapshot.epoch) {
            return Err(Lack::Newest);
        }
        return Ok(Verdict::Ordered { leader: address, of });
    }
    let run_id = leader.run_id.ok_or(Lack::RunId)?;
    let (epoch, votes) = votes(snapshot, view, run_id).ok_or(Lack::Votes)?;
    if votes <= of / 2 || snapshot.epoch.is_some_and(|held| epoch <= held) {
        return Err(Lack::Votes);
    }
    let elsewhere = |own: &Witness<'_>| {
        own.view.is_some_and(|view| view.epoch >= Some(epoch) && !is_it(&view.address))
    };
    if snapshot.witnesses.iter().any(elsewhere) {
        return Err(Lack::Newest);
    }
    Ok(Verdict::Elected { leader: address, epoch, votes, of })
}

/// The newest epoch in which known sentinels voted for the leader, and how many did, the leader
/// itself included. Votes of the past stand beside those of now until they are replaced.
fn votes(snapshot: &Snapshot<'_>, view: &View, leader: &str) -> Option<(u64, usize)> {
    let known = |address: &Address, run_id: Option<&str>| {
        snapshot.witnesses.iter().any(|own| match (own.run_id, run_id) {
            (Some(own), Some(id)) => own == id,
            _ => own.sentinel == address,
        })
    };
    let others = view.sentinels.as_deref().unwrap_or_default();
    let epochs: Vec<u64> = others
        .iter()
        .filter(|own| own.voted_leader.as_deref() == Some(leader))
        .filter(|own| own.run_id.as_deref() != Some(leader))
        .filter(|own| known(&own.address, own.run_id.as_deref()))
        .filter_map(|own| own.voted_leader_epoch)
        .collect();
    // A leader without peers has its own vote alone, and tells its epoch to nobody.
    let newest = match (epochs.iter().max(), snapshot.witnesses.len()) {
        (Some(newest), _) => *newest,
        (None, 1) => view.epoch.max(snapshot.epoch).unwrap_or(0) + 1,
        (None, _) => return None,
    };
    Some((newest, 1 + epochs.iter().filter(|epoch| **epoch == newest).count()))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Answer,
            shorthand::{address, inputs},
        },
        *,
    };
    use crate::topology::Input;

    /// What a sentinel answers, in the words of the scenarios.
    fn view(line: &str) -> View {
        match inputs(&format!("answer s1: {line}")).pop() {
            Some(Input::Answer { answer: Answer::Names(view), .. }) => *view,
            other => panic!("{line:?} names nothing: {other:?}"),
        }
    }

    /// A snapshot of s1, s2 …, with one answer each: `-` for none yet, `down` for no link.
    struct Case {
        says: &'static str,
        answers: Vec<&'static str>,
        epoch: Option<u64>,
        descends: Option<bool>,
        patience_over: bool,
        run_ids: bool,
        finished: Option<usize>,
        expected: Verdict,
    }

    impl Case {
        fn new(says: &'static str, answers: &[&'static str], expected: Verdict) -> Case {
            Case {
                says,
                answers: answers.to_vec(),
                epoch: Some(1),
                descends: Some(true),
                patience_over: true,
                run_ids: true,
                finished: None,
                expected,
            }
        }

        fn verdict(&self) -> Verdict {
            let names: Vec<_> = (1..=self.answers.len())
                .map(|number| (address(&format!("s{number}")), format!("id{number}")))
                .collect();
            let views: Vec<_> = self
                .answers
                .iter()
                .map(|line| (!matches!(*line, "-" | "down")).then(|| view(line)))
                .collect();
            let witnesses = (0..self.answers.len()).map(|index| Witness {
                sentinel: &names[index].0,
                run_id: self.run_ids.then_some(names[index].1.as_str()),
                linked: self.answers[index] != "down",
                view: views[index].as_ref(),
                finished: self.finished == Some(index),
            });
            let snapshot = Snapshot {
                witnesses: witnesses.collect(),
                epoch: self.epoch,
                descends: self.descends,
                patience_over: self.patience_over,
            };
            let node = address("n2");
            verdict(&snapshot, |other| *other == node)
        }
    }

    const LEADS: &str = "n1@1 flags=s_down;o_down;failover_in_progress state=wait_promotion \
        replicas=n2(promoted),n3 sentinels=s2(id=id2;vote=id1@2),s3(id=id3;vote=id1@2)";
    const ONE_VOTE: &str = "n1@1 flags=failover_in_progress state=wait_promotion \
        replicas=n2(promoted),n3 sentinels=s2(id=id2;vote=id1@2),s3(id=id3;vote=id3@2)";
    const NO_VOTE: &str = "n1@1 flags=failover_in_progress state=wait_promotion \
        replicas=n2(promoted),n3 sentinels=s2(id=id2),s3(id=id3)";
    const ORDERED: &str = "n1@1 flags=failover_in_progress;force_failover state=wait_promotion \
        replicas=n2(promoted),n3 sentinels=s2(id=id2),s3(id=id3)";
    const HOPES: &str = "n1@1 flags=s_down;o_down;failover_in_progress state=wait_start";
    const FOLLOWS: &str = "n1@1 flags=s_down";

    fn elected(epoch: u64, votes: usize, of: usize) -> Verdict {
        Verdict::Elected { leader: address("s1"), epoch, votes, of }
    }

    fn ordered(of: usize) -> Verdict {
        Verdict::Ordered { leader: address("s1"), of }
    }

    #[test]
    fn every_verdict_has_its_reason() {
        let case = Case::new;
        let open = Verdict::Open;
        let table = [
            case("elected by all", &[LEADS, FOLLOWS, FOLLOWS], elected(2, 3, 3)),
            case("elected by a majority", &[ONE_VOTE, FOLLOWS, FOLLOWS], elected(2, 2, 3)),
            case("a rival hopes to lead", &[LEADS, HOPES, FOLLOWS], elected(2, 3, 3)),
            case("others are down", &[LEADS, "down", "down"], elected(2, 3, 3)),
            case("a late one is not waited for", &[LEADS, FOLLOWS, "-"], elected(2, 3, 3)),
            Case {
                patience_over: false,
                ..case(
                    "one that is down is not waited for",
                    &[LEADS, FOLLOWS, "down"],
                    elected(2, 3, 3),
                )
            },
            Case {
                epoch: None,
                ..case("any epoch is newer than none", &[LEADS, FOLLOWS, FOLLOWS], elected(2, 3, 3))
            },
            Case {
                finished: Some(1),
                ..case(
                    "another ends the last failover",
                    &[LEADS, ORDERED, FOLLOWS],
                    elected(2, 3, 3),
                )
            },
            case("a sentinel alone", &[NO_VOTE], elected(2, 1, 1)),
            Case {
                epoch: None,
                ..case("a sentinel alone, without an epoch", &[NO_VOTE], elected(2, 1, 1))
            },
            case("ordered", &[ORDERED, FOLLOWS, FOLLOWS], ordered(3)),
            case("ordered, alone", &[ORDERED], ordered(1)),
            Case { run_ids: false, ..case("no vote, no run id", &[ORDERED, FOLLOWS], ordered(2)) },
            Case {
                patience_over: false,
                ..case("one has not answered", &[LEADS, FOLLOWS, "-"], open(Lack::Answer))
            },
            case("nobody leads", &[FOLLOWS, FOLLOWS, FOLLOWS], open(Lack::Leader)),
            case("one only hopes to", &[HOPES, FOLLOWS, FOLLOWS], open(Lack::Leader)),
            case("the leader is not heard", &["down", FOLLOWS, FOLLOWS], open(Lack::Leader)),
            case("nobody is known", &[], open(Lack::Leader)),
            case("none may tell its state", &["n1", "n1", "n1"], open(Lack::Leader)),
            Case {
                finished: Some(0),
                ..case("the last failover alone", &[LEADS, FOLLOWS, FOLLOWS], open(Lack::Leader))
            },
            case("two lead", &[LEADS, ORDERED, FOLLOWS], open(Lack::OneLeader)),
            case(
                "it chose another",
                &["n1@1 flags=failover_in_progress state=wait_promotion replicas=n2,n3(promoted)"],
                open(Lack::Choice),
            ),
            case(
                "it has not chosen",
                &["n1@1 flags=failover_in_progress state=select_slave replicas=n2,n3"],
                open(Lack::Choice),
            ),
            case(
                "it may not list replicas",
                &["n1@1 flags=failover_in_progress state=wait_promotion replicas=denied"],
                open(Lack::Choice),
            ),
            Case {
                run_ids: false,
                ..case("whose votes are these", &[LEADS, FOLLOWS, FOLLOWS], open(Lack::RunId))
            },
            case("nobody voted", &[NO_VOTE, FOLLOWS, FOLLOWS], open(Lack::Votes)),
            case("too few voted", &[ONE_VOTE, FOLLOWS, FOLLOWS, FOLLOWS], open(Lack::Votes)),
            Case {
                epoch: Some(2),
                ..case("the votes are of the past", &[LEADS, FOLLOWS, FOLLOWS], open(Lack::Votes))
            },
            case(
                "one vote is of now, one of the past",
                &[
                    "n1@1 flags=failover_in_progress state=wait_promotion replicas=n2(promoted) \
                     sentinels=s2(id=id2;vote=id1@3),s3(id=id3;vote=id1@2),s4(id=id4;vote=id1@2)",
                    FOLLOWS,
                    FOLLOWS,
                    FOLLOWS,
                ],
                open(Lack::Votes),
            ),
            case(
                "a sentinel that nobody knows voted, and the leader for itself, twice",
                &[
                    "n1@1 flags=failover_in_progress state=wait_promotion replicas=n2(promoted) \
                     sentinels=s9(id=id9;vote=id1@2),s8(id=id1;vote=id1@2),s2(id=id2),s3(id=id3)",
                    FOLLOWS,
                    FOLLOWS,
                ],
                open(Lack::Votes),
            ),
            case("ordered, and one is down", &[ORDERED, FOLLOWS, "down"], open(Lack::Everybody)),
            case("ordered, and behind", &[ORDERED, "n1@2", FOLLOWS], open(Lack::Newest)),
            case("elected, and overtaken", &[LEADS, "n3@2", FOLLOWS], open(Lack::Newest)),
            case("ordered, and one is late", &[ORDERED, FOLLOWS, "-"], open(Lack::Everybody)),
            Case {
                descends: Some(false),
                ..case("of another family", &[LEADS, FOLLOWS, FOLLOWS], open(Lack::Descent))
            },
            Case {
                descends: None,
                ..case("of unknown descent", &[ORDERED, FOLLOWS, FOLLOWS], open(Lack::Descent))
            },
        ];
        for case in table {
            assert_eq!(case.verdict(), case.expected, "{}", case.says);
        }
    }

    #[test]
    fn a_choice_is_told_only_by_who_may_list_it() {
        for (line, tells, chosen, promoted) in [
            (LEADS, true, Some("n2"), false),
            (ORDERED, true, Some("n2"), false),
            (HOPES, true, None, false),
            (FOLLOWS, true, None, false),
            ("n1@1 replicas=denied", true, None, false),
            ("n1", false, None, false),
            (
                "n1@1 flags=failover_in_progress state=wait_promotion replicas=denied",
                false,
                None,
                false,
            ),
            (
                "n2@2 flags=failover_in_progress state=reconf_slaves replicas=n2(promoted)",
                true,
                Some("n2"),
                true,
            ),
            ("n2@2 flags=failover_in_progress state=update_config", true, None, true),
        ] {
            let view = view(line);
            assert_eq!(view.tells_choice(), tells, "{line}");
            assert_eq!(view.chosen(), chosen.map(address).as_ref(), "{line}");
            assert_eq!(view.has_promoted(), promoted, "{line}");
        }
    }
}
