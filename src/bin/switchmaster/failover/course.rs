//! The way from one master to the next, step by step: [`Course`].

use std::{
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;
use redis::{RedisError, RedisResult};
use switchmaster::{Address, Outcome as Fate};

use super::{
    Manner,
    claim::Claim,
    demotion::{demote, release},
    outcome::Outcome,
    pause::{Pause, undo},
    phases::Phases,
    replica::{Node, Role},
    scene::{PATIENCE, Scene},
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

impl Course {
    pub(super) fn run(mut self, phases: &mut Phases, now: bool) -> Result<Outcome, Failure> {
        let nothing = |why| Failure::new(format!("nothing was done, for {why}"));
        let _claim = Claim::stake(&self.scene.dialer, &self.scene.master).map_err(nothing)?;
        if self.manner == Manner::Paused {
            // One that does not answer is not waited for as long as writes are paused.
            let hasty = self.scene.dialer.clone().patience(self.patience());
            self.scene.voices.iter_mut().for_each(|voice| voice.redial(&hasty));
        }
        let leader = self.leader(phases, now)?;
        self.scene.is_still_so().map_err(nothing)?;
        let mut master = self.node(&self.scene.master);
        let candidates = self.scene.candidates.iter();
        let mut candidates: Vec<Node> = candidates.map(|replica| self.node(replica)).collect();
        let pause = match self.manner {
            Manner::Paused => Some(self.prepare(phases, &mut master, &mut candidates)?),
            Manner::Plain | Manner::Coordinated => None,
        };

        if self.stop.try_recv().is_ok() {
            let undone = undo(pause.as_ref(), &mut master);
            return Err(Failure::new(format!(
                "it was interrupted, so no failover was ordered; {undone}"
            )));
        }
        phases.enter("promotion", &format!("ordered from {}", self.scene.voices[leader].address));
        let ordered = Instant::now();
        let words: &[&str] =
            if self.manner == Manner::Coordinated { &["COORDINATED"] } else { &[] };
        let service = self.scene.service.clone();
        if let Err(error) = self.scene.voices[leader].failover(&service, words) {
            match Fate::of(&error) {
                Fate::Unknown => phases.note(&format!(
                    "{} does not answer the order, and may carry it out, so that is waited for",
                    self.scene.voices[leader].address
                )),
                _ => return Err(self.refused(leader, &error, pause.as_ref(), &mut master)),
            }
        }
        let mut wrong = Vec::new();
        let mut paused = None;
        let (to, pause) = match self.promotion(leader, &mut candidates, pause.as_ref(), ordered) {
            Promotion::Of(to) => (to, pause),
            Promotion::GivenUp(why) => {
                let undone = undo(pause.as_ref(), &mut master);
                return Err(Failure::new(format!("the failover was given up: {why}; {undone}")));
            }
            Promotion::Late => {
                paused = pause.as_ref().map(Pause::lasted);
                let undone = undo(pause.as_ref(), &mut master);
                phases.note(&format!("no replica was promoted in time; {undone}"));
                let to = self.late(leader, &mut candidates, ordered, &undone)?;
                wrong.push(format!(
                    "the promotion came after writes had been let go on {}, so what it acknowledged \
                     until its demotion is lost",
                    master.address
                ));
                (to, None)
            }
        };
        if self.stop.try_recv().is_ok() {
            phases.note("there is a new master already, so this is brought to its end");
        }

        // Where writes go on at the old master, every moment costs some.
        if self.manner != Manner::Paused || pause.is_some() {
            phases.enter("announcement", &format!("{to} is a master"));
            self.announcement(&to, pause.as_ref(), ordered);
        }
        if self.manner == Manner::Paused {
            phases.enter("demotion", &format!("{} becomes a replica", master.address));
            match demote(&mut master, &to, pause.as_ref().map(Pause::until)) {
                Err(why) => wrong.push(why),
                Ok(()) if pause.is_some_and(|pause| Instant::now() > pause.until()) => {
                    wrong.push(format!(
                        "{} became a replica only after the pause had ended, and what it \
                         acknowledged in between is lost",
                        master.address
                    ));
                }
                Ok(()) => {}
            }
            phases.enter("release", "its clients are let go, to find the new master");
            if let Err(why) = release(&mut master, pause.as_ref()) {
                wrong.push(why);
            }
            paused = pause.as_ref().map(Pause::lasted).or(paused);
        }

        phases.enter("settling", "the others follow");
        let settled = self.settle(&mut master, &mut candidates, &to, ordered + self.timeout);
        wrong.extend(settled);
        Ok(Outcome {
            service,
            manner: self.manner,
            from: master.address,
            to,
            leader: self.scene.voices[leader].address.clone(),
            paused,
            wrong,
        })
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
            let Some(window) = window else {
                return Err(Failure::new(
                    "nothing was done, for no sentinel tells of a replica that it would promote",
                ));
            };
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
        &self,
        phases: &mut Phases,
        master: &mut Node,
        candidates: &mut [Node],
    ) -> Result<Pause, Failure> {
        phases.enter("catching up", &format!("writes are paused on {}", master.address));
        let pause = Pause::begin(master, self.max_pause).map_err(Failure::new)?;
        match self.catch_up(master, candidates) {
            Ok(()) => Ok(pause),
            Err(why) => {
                let undone = undo(Some(&pause), master);
                Err(Failure::new(format!("{why}; no failover was ordered; {undone}")))
            }
        }
    }

    fn catch_up(&self, master: &mut Node, candidates: &mut [Node]) -> Result<(), String> {
        let goal = match master.role() {
            Ok(Role::Master { offset }) => offset,
            Ok(Role::Replica { of, .. }) => {
                return Err(format!("{} has become a replica of {of}", master.address));
            }
            Err(error) => return Err(format!("the master was lost while it was paused: {error}")),
        };
        // What is left of the pause is for the failover.
        let deadline = Instant::now() + self.max_pause / 2;
        for replica in candidates {
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
        Ok(())
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

    /// Waits until one of them is a master.
    fn promotion(
        &mut self,
        leader: usize,
        candidates: &mut [Node],
        pause: Option<&Pause>,
        ordered: Instant,
    ) -> Promotion {
        let deadline = pause.map_or(ordered + self.timeout, |pause| pause.until() - RESERVE);
        let mut glance = ordered + BEGUN;
        loop {
            for replica in &mut *candidates {
                if let Ok(Role::Master { .. }) = replica.role() {
                    return Promotion::Of(replica.address.clone());
                }
            }
            let now = Instant::now();
            if now >= deadline {
                return Promotion::Late;
            }
            if now >= glance {
                glance = now + GLANCE;
                if let Some(why) = self.given_up(leader) {
                    return Promotion::GivenUp(why);
                }
            }
            thread::sleep(STEP);
        }
    }

    /// Whether the leader does nothing any longer although it named no other master.
    fn given_up(&mut self, leader: usize) -> Option<String> {
        let (service, old) = (self.scene.service.clone(), self.scene.master.clone());
        let voice = &mut self.scene.voices[leader];
        let row = voice.master(&service).ok()?;
        let idle = row.get("failover-state").is_none_or(|state| state == "none")
            && !row.get("flags").is_some_and(|flags| flags.contains("failover_in_progress"));
        let names = voice.names(&service).ok()??;
        (idle && names == old).then(|| format!("{} names {old} and does nothing", voice.address))
    }

    /// The pause is over, and the failover may go on all the same.
    fn late(
        &mut self,
        leader: usize,
        candidates: &mut [Node],
        ordered: Instant,
        undone: &str,
    ) -> Result<Address, Failure> {
        match self.promotion(leader, candidates, None, ordered) {
            Promotion::Of(to) => Ok(to),
            Promotion::GivenUp(why) => Err(Failure::new(format!(
                "no replica was promoted within {:?}, and the failover was given up: {why}; {undone}",
                self.max_pause
            ))),
            Promotion::Late => Err(Failure::new(format!(
                "no replica was promoted within {:?}; {undone}; the sentinels may still do it, and \
                 then what {} acknowledges is lost, so look at the topology",
                self.timeout, self.scene.master
            ))),
        }
    }

    /// Waits until every sentinel names the new master, or most do and the others do not follow; clients
    /// that are let go before would come back to the old one.
    fn announcement(&mut self, to: &Address, pause: Option<&Pause>, ordered: Instant) {
        let deadline = pause.map_or(ordered + self.timeout, |pause| pause.until() - RESERVE);
        let service = self.scene.service.clone();
        let majority = (self.scene.voices.len() + self.scene.silent.len()) / 2 + 1;
        let mut since = None;
        self.scene.voices.iter_mut().for_each(|voice| voice.until(Some(deadline)));
        loop {
            let voices = self.scene.voices.iter_mut();
            let names: Vec<RedisResult<Option<Address>>> =
                voices.map(|voice| voice.names(&service)).collect();
            let told =
                |name: &&RedisResult<Option<Address>>| matches!(name, Ok(Some(name)) if name == to);
            let agree = names.iter().filter(told).count();
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
    }

    /// Waits until everybody is in place; what is not, at the deadline.
    fn settle(
        &mut self,
        master: &mut Node,
        candidates: &mut [Node],
        to: &Address,
        deadline: Instant,
    ) -> Vec<String> {
        loop {
            let mut wrong: Vec<String> = Vec::new();
            for node in candidates.iter_mut().chain([&mut *master]) {
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
