//! What there is before anything is done: [`Scene`].

use std::{
    fmt::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};
use switchmaster::{Address, direct::Dialer};

use super::{
    Manner,
    replica::{Node, Role},
    rights::Rights,
    selection::Selection,
    voice::{Row, View, Voice, number},
};
use crate::{
    crew,
    failure::{Failure, complaint},
    wrap::{WIDTH, wrapped},
};

/// How long a question to a server may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// A sentinel that tells nothing, and why.
type Silent = (Address, String);

/// The service as its servers describe it.
pub(super) struct Scene {
    pub(super) service: String,
    pub(super) dialer: Dialer,
    pub(super) voices: Vec<Voice>,
    /// Sentinels that do not answer, and why.
    pub(super) silent: Vec<Silent>,
    pub(super) master: Address,
    pub(super) down_after: Duration,
    /// The replicas, and which of them a sentinel may promote.
    pub(super) selection: Selection,
    /// The reason why the demotion cannot be written to the old master's configuration file.
    pub(super) no_rewrite: Option<String>,
    /// Why it cannot be done, or should not.
    obstacles: Vec<String>,
}

impl Scene {
    /// Asks every sentinel that is known, and the nodes that they list.
    pub(super) fn look(dialer: &Dialer) -> Result<Scene, Failure> {
        let dialer = dialer.clone().patience(PATIENCE);
        let service = dialer.service().to_owned();
        let (mut voices, mut silent) = (Vec::new(), Vec::new());
        let mut known: Vec<Address> = dialer.sentinels().to_vec();
        let mut asked = 0;
        while asked < known.len() {
            let (some, none) = connect(&dialer, &known[asked..]);
            asked = known.len();
            silent.extend(none);
            for mut voice in some {
                // One that is named in two ways is one.
                if voices.iter().any(|other: &Voice| other.run_id == voice.run_id) {
                    continue;
                }
                for other in voice.others(&service).unwrap_or_default() {
                    if !known.contains(&other) {
                        known.push(other);
                    }
                }
                voices.push(voice);
            }
        }
        if voices.is_empty() {
            return Err(Failure::new(format!(
                "no sentinel answers, so nothing was done; check the addresses: {}",
                listed(&silent)
            )));
        }
        let (views, refusals) = views(&mut voices, &service)?;
        let master = agreed(&views, &[&silent[..], &refusals].concat(), &service)?;
        // Each sentinel has its own, and the most impatient one begins a failover.
        let patience = views.iter().filter_map(|view| number(&view.row, "down-after-milliseconds"));
        let down_after = patience.min().map_or(Duration::from_secs(30), Duration::from_millis);
        let mut scene = Scene {
            service,
            dialer,
            voices,
            silent,
            master,
            down_after,
            selection: Selection::default(),
            no_rewrite: None,
            obstacles: Vec::new(),
        };
        scene.look_at_sentinels(&views);
        scene.look_at_nodes();
        Ok(scene)
    }

    fn look_at_sentinels(&mut self, views: &[Said]) {
        let service = self.service.clone();
        for view in views {
            let flags = view.row.get("flags").map_or("", String::as_str);
            if is_failing_over(&view.row) {
                self.obstacle(format!("{} is failing over already; wait for it", view.sentinel));
            }
            if flags.contains("s_down") {
                self.obstacle(format!("{} takes the master for down", view.sentinel));
            }
        }
        let mut obstacles = Vec::new();
        for voice in &mut self.voices {
            let sentinel = voice.address.clone();
            // Whoever may not ask that finds out by the order.
            if voice.is_tilted().unwrap_or(false) {
                obstacles.push(format!("{sentinel} is in TILT mode, and does nothing for 30 s"));
            }
            if let Err(error) = voice.has_quorum(&service) {
                // Whoever may not ask that is told by the others.
                if error.code() != Some("NOPERM") {
                    obstacles.push(complaint(&sentinel, &error));
                }
            }
        }
        self.obstacles.extend(obstacles);
    }

    fn look_at_nodes(&mut self) {
        let mut master = Node::new(&self.dialer, &self.master);
        match master.role() {
            Ok(Role::Master { .. }) => {}
            Ok(Role::Replica { of, .. }) => {
                self.obstacle(format!("{} says that it is a replica of {of}", self.master));
            }
            Err(error) => self.obstacle(format!("the master cannot be asked: {error}")),
        }
        // Servers before Redis 7.4 and Valkey 8 do not tell.
        let clients: String = master.ask(&["INFO", "clients"]).unwrap_or_default();
        let field = |name: &str| {
            clients.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        if let Some(what) = field("paused_actions").filter(|what| *what != "none") {
            let left = field("paused_timeout_milliseconds").unwrap_or("?");
            self.obstacle(format!(
                "somebody has paused clients on {} already ({what}), for {left} ms more; wait for it",
                self.master
            ));
        }
        self.selection =
            Selection::look(&mut self.voices, &self.service, &self.dialer, &mut master);
        self.obstacles.extend(self.selection.no_candidate.clone());
    }

    fn obstacle(&mut self, what: String) {
        self.obstacles.push(what);
    }

    /// Fails with every reason against the failover. Rights that the server does not report are one,
    /// unless they are trusted.
    pub(super) fn check(&mut self, manner: Manner, trust_rights: bool) -> Result<(), Failure> {
        let mut obstacles = self.obstacles.clone();
        if manner == Manner::Paused {
            obstacles.extend(self.selection.unchecked.iter().cloned());
            let rights = Rights::of(&mut Node::new(&self.dialer, &self.master));
            obstacles.extend(rights.refused);
            self.no_rewrite = rights.no_rewrite;
            if let Some(why) = rights.unknown.filter(|_| !trust_rights) {
                obstacles.push(format!(
                    "{} does not report whether its user has all required permissions ({why}); permit ACL                      WHOAMI and ACL DRYRUN, or say --trust-rights",
                    self.master
                ));
            }
        }
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(Failure::new(format!(
            "nothing was done, for {:?} is not ready for a failover; mend this and try again:\n  {}",
            self.service,
            obstacles.join("\n  ")
        )))
    }

    /// Looks again, just before an action. Returns the reason against it when a failover has begun or
    /// ended since, or the servers are in another state.
    pub(super) fn is_still_so(&mut self, manner: Manner) -> Result<(), String> {
        let mut views = Vec::new();
        for voice in &mut self.voices {
            // Who is the majority was looked at before.
            let Ok(View { names, master: row, .. }) = voice.view(&self.service) else { continue };
            if is_failing_over(&row) {
                return Err(format!("{} is failing over meanwhile", voice.address));
            }
            if names.as_ref() != Some(&self.master) {
                let names = names.map_or("nobody".to_owned(), |names| names.to_string());
                return Err(format!("{} names {names} as the master meanwhile", voice.address));
            }
            views.push(Said { sentinel: voice.address.clone(), names, row });
        }
        self.obstacles.clear();
        self.look_at_sentinels(&views);
        self.look_at_nodes();
        let mut obstacles = std::mem::take(&mut self.obstacles);
        if manner == Manner::Paused {
            obstacles.append(&mut self.selection.unchecked);
        }
        match obstacles.is_empty() {
            true => Ok(()),
            false => Err(format!("things have changed meanwhile: {}", obstacles.join("; "))),
        }
    }

    pub(super) fn to_json(&self, manner: Manner) -> Value {
        let texts = |addresses: &[Address]| -> Vec<String> {
            addresses.iter().map(Address::to_string).collect()
        };
        let sentinels: Vec<String> =
            self.voices.iter().map(|voice| voice.address.to_string()).collect();
        json!({
            "service": self.service,
            "manner": manner.as_str(),
            "master": self.master.to_string(),
            "candidates": texts(&self.selection.candidates),
            "unfit": self.selection.unfit,
            "sentinels": sentinels,
            "silent": self.silent.iter().map(|(sentinel, _)| sentinel.to_string()).collect::<Vec<_>>(),
            "notes": self.no_rewrite.iter().map(|why| not_rewritten(why)).collect::<Vec<_>>(),
            "down_after_ms": self.down_after.as_millis() as u64,
        })
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let candidates: Vec<String> =
            self.selection.candidates.iter().map(Address::to_string).collect();
        writeln!(f, "{}: master {}", self.service, self.master)?;
        writeln!(f, "  may be promoted: {}", candidates.join(", "))?;
        for why in &self.selection.unfit {
            for (index, line) in wrapped(why, WIDTH - 8).iter().enumerate() {
                writeln!(f, "  {}{line}", if index == 0 { "not: " } else { "     " })?;
            }
        }
        if let Some(why) = &self.no_rewrite {
            for (index, line) in wrapped(&not_rewritten(why), WIDTH - 9).iter().enumerate() {
                writeln!(f, "  {}{line}", if index == 0 { "note: " } else { "      " })?;
            }
        }
        let (voices, all) = (self.voices.len(), self.voices.len() + self.silent.len());
        writeln!(f, "  {voices} of {all} sentinels answer and agree; nothing is in the way")
    }
}

/// Returns the consequence of a demotion that is not in the configuration file.
pub(super) fn not_rewritten(why: &str) -> String {
    format!(
        "a restart makes the old master a master again, since its configuration file does not say that it \
         is a replica ({why})"
    )
}

pub(super) fn is_failing_over(row: &Row) -> bool {
    row.get("flags").is_some_and(|flags| flags.contains("failover_in_progress"))
        || row.get("failover-state").is_some_and(|state| state != "none")
}

/// What a sentinel says of the master.
struct Said {
    sentinel: Address,
    names: Option<Address>,
    row: Row,
}

/// What each says, and who refuses to say anything.
fn views(voices: &mut [Voice], service: &str) -> Result<(Vec<Said>, Vec<Silent>), Failure> {
    let mut views = Vec::new();
    let mut refusals = Vec::new();
    for voice in voices {
        let view = voice.names(service).and_then(|names| Ok((names, voice.master(service)?)));
        match view {
            Ok((names, row)) => views.push(Said { sentinel: voice.address.clone(), names, row }),
            Err(error) => refusals.push((voice.address.clone(), error.to_string())),
        }
    }
    if views.is_empty() {
        return Err(Failure::new(format!(
            "no sentinel tells of {service:?}, so nothing was done; check the name and the rights: {}",
            listed(&refusals)
        )));
    }
    Ok((views, refusals))
}

/// The master that a majority of all sentinels names in one epoch.
fn agreed(views: &[Said], silent: &[Silent], service: &str) -> Result<Address, Failure> {
    let sentinels = views.len() + silent.len();
    let majority = sentinels / 2 + 1;
    for view in views {
        let Some(master) = &view.names else { continue };
        let epoch = view.row.get("config-epoch");
        let alike = |other: &&Said| {
            other.names.as_ref() == Some(master) && other.row.get("config-epoch") == epoch
        };
        if views.iter().filter(alike).count() >= majority {
            return Ok(master.clone());
        }
    }
    let mut said = String::new();
    for Said { sentinel, names, row } in views {
        let names = names.as_ref().map_or("nobody".to_owned(), Address::to_string);
        let epoch = row.get("config-epoch").map_or("?", String::as_str);
        let _ = write!(said, "\n  {sentinel} names {names}, epoch {epoch}");
    }
    for (sentinel, why) in silent {
        let _ = write!(said, "\n  {}", complaint(sentinel, why));
    }
    Err(Failure::new(format!(
        "nothing was done, for no {majority} of {sentinels} sentinels agree on the master of \
         {service:?}; mend that first:{said}"
    )))
}

/// Connects to all of these at the same time.
fn connect(dialer: &Dialer, sentinels: &[Address]) -> (Vec<Voice>, Vec<Silent>) {
    let dialled = crew::at_once(sentinels, |address| Voice::connect(dialer, address));
    let (mut voices, mut silent) = (Vec::new(), Vec::new());
    for (address, result) in sentinels.iter().zip(dialled) {
        match result {
            Some(Ok(voice)) => voices.push(voice),
            Some(Err(error)) => silent.push((address.clone(), error.to_string())),
            None => silent.push((address.clone(), "a fault in switchmaster".to_owned())),
        }
    }
    (voices, silent)
}

fn listed(silent: &[Silent]) -> String {
    let each = silent.iter().map(|(address, why)| complaint(address, why));
    each.collect::<Vec<_>>().join("; ")
}
