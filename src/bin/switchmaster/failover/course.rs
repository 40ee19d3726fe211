//! The way from one master to the next, step by step: [`Course`].

use std::{
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use redis::{RedisError, RedisResult};
use switchmaster::{Address, Outcome as Fate};

use super::{
    Manner, UNSETTLED,
    account::Account,
    claim::Claim,
    demotion::{Rewritten, demote, disconnect, release, rewrite},
    outcome::Outcome,
    pause::{Pause, undo},
    phases::Phases,
    progress::{Growth, Progress},
    promotion::{Sign, Signs},
    replica::{Node, Role, field},
    scene::{PATIENCE, Scene, not_rewritten},
    window::Window,
};
use crate::failure::{Failure, complaint};

/// Between two looks at a node or a sentinel.
const STEP: Duration = Duration::from_millis(2);
/// Between two looks at whether the leader has given up, or all is settled.
const GLANCE: Duration = Duration::from_millis(50);
/// From the order to when a leader surely has begun.
const BEGUN: Duration = Duration::from_millis(300);
/// How long is waited for the last sentinels once a majority names the new master.
const STRAGGLERS: Duration = Duration::from_millis(300);
/// What is left of the pause when the old master is demoted at the latest.
const RESERVE: Duration = Duration::from_millis(100);
/// How long a node is waited for, however short the pause.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);

pub(super) struct Course {
    pub(super) scene: Scene,
    pub(super) manner: Manner,
    pub(super) max_pause: Duration,
    /// From the order to the end.
    pub(super) timeout: Duration,
    pub(super) stop: Receiver<()>,
}

/// What ended the wait for the promotion.
enum Promotion {
    Of(Address),
    /// The leader gave up, and why that is believed.
    GivenUp(String),
    Late,
}

/// The state of an order.
struct Ordered {
    leader: usize,
    at: Instant,
    /// Otherwise it may still be on its way.
    answered: bool,
    /// The replica that a sentinel has chosen.
    chosen: Option<Address>,
    signs: Signs,
}

/// The pause of the writes, and the progress of the data in it.
struct Still {
    pause: Pause,
    progress: Progress,
}

impl Course {
    pub(super) fn run(mut self, phases: &mut Phases, now: bool) -> Result<Outcome, Failure> {
        let nothing = |why| Failure::new(format!("nothing was done, for {why}"));
        let mut claim = Claim::stake(&self.scene.dialer, &self.scene.master).map_err(nothing)?;
        if self.manner == Manner::Paused {
            // One that does not answer is not waited for as long as writes are paused.
            let hasty = self.scene.dialer.clone().patience(self.patience());
            self.scene.voices.iter_mut().for_each(|voice| voice.redial(&hasty));
        }
        let leader = self.leader(phases, now)?;
        self.scene.is_still_so(self.manner).map_err(nothing)?;
        claim.hold().map_err(nothing)?;
        let mut master = self.node(&self.scene.master);
        let mut candidates = self.scene.selection.candidates.clone();
        let signs = self.signs(&candidates, leader).map_err(nothing)?;
        let still = match self.manner {
            Manner::Paused => Some(self.prepare(phases, &mut master, leader)?),
            Manner::Plain | Manner::Coordinated => None,
        };
        let pause = still.as_ref().map(|still| still.pause);

        if self.stop.try_recv().is_ok() {
            let undone = undo(pause.as_ref(), &mut master);
            return Err(Failure::new(format!(
                "it was interrupted, so no failover was ordered; {undone}"
            )));
        }
        phases.enter("promotion", &format!("ordered from {}", self.scene.voices[leader].address));
        let at = Instant::now();
        let mut ordered = Ordered { leader, at, answered: true, chosen: None, signs };
        let words: &[&str] =
            if self.manner == Manner::Coordinated { &["COORDINATED"] } else { &[] };
        let service = self.scene.service.clone();
        if let Err(error) = self.scene.voices[leader].failover(&service, words) {
            match Fate::of(&error) {
                // Another order came first, and this master is paused for it as well.
                _ if error.code() == Some("INPROG") => phases.note(&format!(
                    "{} is failing over already, by another order, which is followed",
                    self.scene.voices[leader].address
                )),
                Fate::Unknown => {
                    ordered.answered = false;
                    phases.note(&format!(
                        "{} does not answer the order, and may carry it out, so that is waited for",
                        self.scene.voices[leader].address
                    ));
                }
                _ => return Err(self.refused(leader, &error, pause.as_ref(), &mut master)),
            }
        }
        let mut wrong = Vec::new();
        let mut paused = None;
        let deadline = pause.map_or(at + self.timeout, |pause| pause.until() - RESERVE);
        let (mut to, still) = match self.promotion(phases, &mut ordered, deadline) {
            Promotion::Of(to) => (to, still),
            Promotion::GivenUp(why) => {
                let undone = undo(pause.as_ref(), &mut master);
                return Err(Failure::new(format!("the failover was given up: {why}; {undone}")));
            }
            Promotion::Late => {
                paused = pause.as_ref().map(Pause::lasted);
                let undone = undo(pause.as_ref(), &mut master);
                phases.note(&format!("no replica was promoted in time; {undone}"));
                self.late(phases, &mut ordered, &mut master, &undone)?
            }
        };
        let pause = still.as_ref().map(|still| still.pause);
        drop(ordered.signs);
        if self.stop.try_recv().is_ok() {
            phases.note("there is a new master already, so this is brought to its end");
        }

        // Where writes go on at the old master, every moment costs some.
        if self.manner != Manner::Paused || pause.is_some() {
            phases.enter("announcement", &format!("{to} is a master"));
            let named = self.announcement(&to, pause.as_ref(), at);
            if named != to {
                phases.note(&format!("the sentinels name {named}, so that is the new master"));
                to = named;
            }
        }
        let (mut notes, mut slipped) = (Vec::new(), None);
        if self.manner == Manner::Paused {
            phases.enter("demotion", &format!("{} becomes a replica", master.address));
            match demote(&mut master, &to, pause.as_ref().map(Pause::until)) {
                Err(why) => {
                    wrong.push(why);
                    paused = pause.as_ref().map(Pause::lasted).or(paused);
                    // A client that has come back to it meanwhile stays there until it is sent away.
                    self.announcement(&to, None, at);
                    let _ = disconnect(&mut master);
                }
                Ok(end) => {
                    phases.enter("release", "its clients are let go, to find the new master");
                    if let Err(why) = release(&mut master, pause.as_ref()) {
                        wrong.push(why);
                    }
                    paused = pause.as_ref().map(Pause::lasted).or(paused);
                    let cut = self.cut(&to);
                    let progress = still.as_ref().map(|still| &still.progress);
                    let account = Account { old: &master.address, to: &to, cut };
                    slipped = account.settle(progress, end.as_ref(), &mut wrong, &mut notes);
                    match rewrite(&mut master) {
                        Rewritten::Yes => {}
                        Rewritten::NoFile => notes.push(not_rewritten("it has none")),
                        Rewritten::No(why) => wrong.push(not_rewritten(&why)),
                    }
                }
            }
        }

        if !candidates.contains(&to) {
            candidates.push(to.clone());
        }
        phases.enter("settling", "the others follow");
        let mut nodes: Vec<Node> = candidates.iter().map(|address| self.node(address)).collect();
        wrong.extend(self.settle(&mut master, &mut nodes, &to, at + self.timeout));
        Ok(Outcome {
            service,
            manner: self.manner,
            from: master.address,
            to,
            leader: self.scene.voices[leader].address.clone(),
            paused,
            slipped,
            notes,
            wrong,
        })
    }

    /// Begins to watch for the promotion.
    fn signs(&self, candidates: &[Address], leader: usize) -> Result<Signs, String> {
        let dialer = self.scene.dialer.clone().patience(self.patience());
        Signs::watch(&dialer, candidates, &self.scene.voices, leader, &self.scene.master)
            .map_err(|error| format!("no thread can be had: {error}"))
    }

    /// The offset up to which the new master has the data of the old one; `None` where it does not report it.
    fn cut(&self, to: &Address) -> Option<u64> {
        let info: String = self.node(to).ask(&["INFO", "replication"]).ok()?;
        let same = field(&info, "master_replid2") == Some(self.scene.selection.history.as_deref()?);
        let offset: u64 = field(&info, "second_repl_offset")?.parse().ok()?;
        same.then_some(offset.saturating_sub(1))
    }

    /// How long a server is waited for; while it is, writes may wait.
    fn patience(&self) -> Duration {
        match self.manner {
            Manner::Paused => (self.max_pause / 8).max(LEAST_PATIENCE),
            Manner::Plain | Manner::Coordinated => PATIENCE,
        }
    }

    fn node(&self, address: &Address) -> Node {
        Node::new(&self.scene.dialer.clone().patience(self.patience()), address)
    }

    /// The sentinel that is going to lead, in the best moment for that.
    fn leader(&mut self, phases: &mut Phases, now: bool) -> Result<usize, Failure> {
        let deadline = Window::deadline();
        let wait = self.manner == Manner::Paused && !now;
        if wait {
            phases.enter("waiting", "for the moment in which the sentinels notice soonest");
        }
        loop {
            let window = Window::next(&mut self.scene.voices, &self.scene.service);
            // The moment is not known where no sentinel lists one that it would promote, which may be one
            // that it does not list.
            let Some(window) = window else { return Ok(0) };
            if !wait || window.is_now() || Instant::now() >= deadline {
                return Ok(window.voice);
            }
            if self.stop.recv_timeout(window.pause()).is_ok() {
                return Err(Failure::new("it was interrupted before anything was done"));
            }
        }
    }

    /// Pauses the master, and waits until the replicas have all that it has.
    fn prepare(
        &mut self,
        phases: &mut Phases,
        master: &mut Node,
        leader: usize,
    ) -> Result<Still, Failure> {
        phases.enter("catching up", &format!("writes are paused on {}", master.address));
        let pause = Pause::begin(master, self.max_pause).map_err(Failure::new)?;
        let prepared = self.catch_up(master).and_then(|progress| {
            let Scene { selection, voices, service, .. } = &mut self.scene;
            selection.still_holds(voices, leader, service, master)?;
            pause_held(master, &progress)?;
            Ok(progress)
        });
        match prepared {
            Ok(progress) => Ok(Still { pause, progress }),
            Err(why) => {
                let undone = undo(Some(&pause), master);
                Err(Failure::new(format!("{why}; no failover was ordered; {undone}")))
            }
        }
    }

    fn catch_up(&self, master: &mut Node) -> Result<Progress, String> {
        let progress = Progress::of(master)?;
        let goal = progress.offset;
        // What is left of the pause is for the failover.
        let deadline = Instant::now() + self.max_pause / 2;
        for address in &self.scene.selection.candidates {
            let mut replica = self.node(address);
            loop {
                let behind = match replica.role() {
                    Ok(Role::Replica { offset: Some(offset), .. }) if offset >= goal => break,
                    Ok(Role::Replica { offset, .. }) => {
                        format!("{} bytes behind", goal - offset.unwrap_or(0))
                    }
                    Ok(Role::Master { .. }) => "a master itself".to_owned(),
                    Err(error) => error.to_string(),
                };
                if self.stop.recv_timeout(STEP / 2).is_ok() {
                    return Err("it was interrupted".to_owned());
                }
                if Instant::now() >= deadline {
                    return Err(format!(
                        "{} did not catch up within {:?} ({behind})",
                        replica.address,
                        self.max_pause / 2
                    ));
                }
            }
        }
        Ok(progress)
    }

    fn refused(
        &self,
        leader: usize,
        error: &RedisError,
        pause: Option<&Pause>,
        master: &mut Node,
    ) -> Failure {
        let undone = undo(pause, master);
        let sentinel = &self.scene.voices[leader].address;
        let text = error.to_string();
        if self.manner == Manner::Coordinated && text.contains("number of arguments") {
            return Failure::new(format!(
                "{sentinel} knows no SENTINEL FAILOVER … COORDINATED, which is Valkey's from 9.0 on; \
                 nothing was done; leave --coordinated away"
            ));
        }
        let what = match Fate::of(error) {
            Fate::Replied => "refused to fail over",
            _ => "could not be given the order to fail over",
        };
        Failure::new(format!("{sentinel} {what}: {text}; {undone}"))
    }

    /// Waits until a replica is a master: a candidate, or another replica that a sentinel has chosen.
    fn promotion(&self, phases: &Phases, ordered: &mut Ordered, deadline: Instant) -> Promotion {
        loop {
            match ordered.signs.next(deadline) {
                None => return Promotion::Late,
                Some(sign) => {
                    if let Some(promotion) = self.judge(phases, ordered, sign) {
                        return promotion;
                    }
                }
            }
        }
    }

    fn judge(&self, phases: &Phases, ordered: &mut Ordered, sign: Sign) -> Option<Promotion> {
        match sign {
            Sign::Promoted(to) => return Some(Promotion::Of(to)),
            Sign::Named(to) => {
                if !ordered.signs.is_watched(&to) {
                    phases
                        .note(&format!("the sentinels have promoted {to}, which was not expected"));
                }
                return Some(Promotion::Of(to));
            }
            Sign::Chosen(address) => {
                if !ordered.signs.is_watched(&address) {
                    phases
                        .note(&format!("a sentinel has chosen {address}, which was not expected"));
                    // Without a thread for it, the sentinels report its promotion.
                    let _ = ordered.signs.replica(&address);
                }
                ordered.chosen = Some(address);
            }
            Sign::Idle(asked) => {
                // An order that was not answered may still be on its way.
                if ordered.answered && asked >= ordered.at + BEGUN {
                    let sentinel = &self.scene.voices[ordered.leader].address;
                    let old = &self.scene.master;
                    return Some(Promotion::GivenUp(format!(
                        "{sentinel} names {old} and does nothing"
                    )));
                }
            }
        }
        None
    }

    /// The pause is over, and the failover may go on all the same. When a sentinel chooses a replica only
    /// now, writes are paused again.
    fn late(
        &self,
        phases: &mut Phases,
        ordered: &mut Ordered,
        master: &mut Node,
        undone: &str,
    ) -> Result<(Address, Option<Still>), Failure> {
        let deadline = ordered.at + self.timeout;
        let mut still: Option<Still> = None;
        let mut may_pause = self.manner == Manner::Paused && ordered.chosen.is_none();
        loop {
            let Some(sign) = ordered.signs.next(deadline) else {
                let undone = match &still {
                    Some(still) => undo(Some(&still.pause), master),
                    None => undone.to_owned(),
                };
                return Err(Failure::new(format!(
                    "no replica was promoted within {:?}; {undone}; the sentinels may still do it, and \
                     then what {} acknowledges is lost, so look at the topology",
                    self.timeout, self.scene.master
                ))
                .with_code(UNSETTLED));
            };
            match self.judge(phases, ordered, sign) {
                Some(Promotion::Of(to)) => return Ok((to, still)),
                Some(Promotion::GivenUp(why)) => {
                    let undone = match &still {
                        Some(still) => undo(Some(&still.pause), master),
                        None => undone.to_owned(),
                    };
                    return Err(Failure::new(format!(
                        "no replica was promoted within {:?}, and the failover was given up: {why}; \
                         {undone}",
                        self.max_pause
                    )));
                }
                Some(Promotion::Late) | None => {}
            }
            if may_pause && ordered.chosen.is_some() {
                may_pause = false;
                still = Pause::begin(master, self.max_pause)
                    .ok()
                    .and_then(|pause| Some(Still { pause, progress: Progress::of(master).ok()? }));
                phases.note("a sentinel promotes a replica after all, so writes are paused again");
            }
        }
    }

    /// Waits until every sentinel names the new master, or most do and the others do not follow; clients
    /// that are let go before would come back to the old one. Returns the master that most name, which is
    /// another one when two sentinels have led a failover each.
    fn announcement(&mut self, to: &Address, pause: Option<&Pause>, ordered: Instant) -> Address {
        let deadline = pause.map_or(ordered + self.timeout, |pause| pause.until() - RESERVE);
        let service = self.scene.service.clone();
        let majority = (self.scene.voices.len() + self.scene.silent.len()) / 2 + 1;
        let mut to = to.clone();
        let mut since = None;
        self.scene.voices.iter_mut().for_each(|voice| voice.until(Some(deadline)));
        loop {
            let voices = self.scene.voices.iter_mut();
            let names: Vec<RedisResult<Option<Address>>> =
                voices.map(|voice| voice.names(&service)).collect();
            let named: Vec<&Address> =
                names.iter().filter_map(|name| name.as_ref().ok()?.as_ref()).collect();
            let count = |one: &Address| named.iter().filter(|name| **name == one).count();
            let other = named.iter().find(|name| {
                **name != &self.scene.master && **name != &to && count(name) >= majority
            });
            if let Some(other) = other {
                to = (*other).clone();
                since = None;
            }
            let agree = count(&to);
            let silent = names.iter().filter(|name| name.is_err()).count();
            let now = Instant::now();
            if agree >= majority {
                since.get_or_insert(now);
            }
            let long = since.is_some_and(|since| now >= since + STRAGGLERS);
            if (agree + silent == names.len() && agree >= majority) || long || now >= deadline {
                break;
            }
            thread::sleep(STEP);
        }
        self.scene.voices.iter_mut().for_each(|voice| voice.until(None));
        to
    }

    /// Waits until everybody is in place; what is not, at the deadline.
    fn settle(
        &mut self,
        master: &mut Node,
        nodes: &mut [Node],
        to: &Address,
        deadline: Instant,
    ) -> Vec<String> {
        loop {
            let mut wrong: Vec<String> = Vec::new();
            for node in nodes.iter_mut().chain([&mut *master]) {
                wrong.extend(misplaced(node, to, &self.scene.master));
            }
            let service = self.scene.service.clone();
            for voice in &mut self.scene.voices {
                let sentinel = voice.address.clone();
                let busy = |row: super::voice::Row| {
                    row.get("flags").is_some_and(|flags| flags.contains("failover_in_progress"))
                };
                match voice.names(&service).and_then(|n| Ok((n, voice.master(&service)?))) {
                    Ok((Some(names), row)) if names == *to => {
                        if busy(row) {
                            wrong.push(format!("{sentinel} has not ended the failover"));
                        }
                    }
                    Ok(_) => wrong.push(format!("{sentinel} does not name {to}")),
                    Err(error) => wrong.push(complaint(&sentinel, &error)),
                }
            }
            let over = wrong.is_empty() || Instant::now() >= deadline;
            // Nothing depends any longer on whether it is waited for.
            if over || self.stop.recv_timeout(GLANCE).is_ok() {
                return wrong;
            }
        }
    }
}

/// Fails when a write has run on a paused master since then.
fn pause_held(master: &mut Node, since: &Progress) -> Result<(), String> {
    let what = match Progress::of(master)?.since(since) {
        Growth::Nothing => return Ok(()),
        Growth::Messages { bytes } | Growth::Writes { bytes, changes: None } => {
            format!("{bytes} bytes went to the replicas")
        }
        Growth::Writes { changes: Some(changes), .. } => format!("{changes} changes were made"),
        Growth::Replaced => "it has other data, so it has started again".to_owned(),
    };
    Err(format!(
        "the pause of {} did not hold ({what}): another client has ended it, or its clock was set",
        master.address
    ))
}

/// What is wrong with a node, if the first address is to be the master in the place of the second.
fn misplaced(node: &mut Node, to: &Address, from: &Address) -> Option<String> {
    let address = node.address.clone();
    match node.role() {
        Ok(Role::Master { .. }) if address == *to => None,
        Ok(Role::Replica { .. }) if address == *to => Some(format!("{to} is a replica again")),
        Ok(Role::Replica { of, connected: true, .. }) if of != *from => None,
        Ok(Role::Replica { of, .. }) => Some(format!("{address} does not follow {to}, but {of}")),
        Ok(Role::Master { .. }) => Some(format!("{address} is still a master")),
        Err(error) => Some(format!("{address} does not answer: {error}")),
    }
}
