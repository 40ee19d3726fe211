//! Writes down what the machine of one service is told, and what it does about it.
//!
//! `tests/recordings/README.md` describes the lines.

use std::{
    collections::HashMap,
    time::{Instant, SystemTime},
};

use crossbeam_channel::{Sender, TrySendError};

use crate::{
    address::Address,
    config::Config,
    options,
    topology::{Action, Input, answered, beside, millis, shown, written},
};

/// The settings that the machine goes by.
const RULES: [&str; 7] = [
    "service",
    "switch_on",
    "confirm_within",
    "fence",
    "fence_timeout",
    "on_lost_majority",
    "max_lag",
];

/// Writes the lines of one recording.
pub(crate) struct Recorder {
    /// `None` when nobody reads any longer.
    lines: Option<Sender<String>>,
    /// The settings, as lines.
    rules: Vec<String>,
    /// When the first input came, from which times are counted.
    began: Option<Instant>,
    /// The last answer of each sentinel: most are like the one before.
    answers: HashMap<Address, String>,
    /// How many lines did not fit.
    lost: u64,
}

impl Recorder {
    pub(crate) fn new(lines: Sender<String>, config: &Config) -> Recorder {
        let rule = |name: &&str| Some(format!("# {name}={}", options::printed(config, name)?));
        let rules = RULES.iter().filter_map(rule).collect();
        Recorder { lines: Some(lines), rules, began: None, answers: HashMap::new(), lost: 0 }
    }

    /// What the machine is about to be told.
    pub(super) fn input(&mut self, now: Instant, input: &Input) {
        if self.lines.is_none() {
            return;
        }
        let began = match self.began {
            Some(began) => began,
            None => self.begin(now),
        };
        let text = match input {
            // Older sentinels publish passwords that are set. The machine ignores it all.
            Input::Message { sentinel, channel, .. } if channel == "+set" => {
                format!("message {sentinel} +set ***")
            }
            Input::Answer { sentinel, answer } => {
                let text = answered(answer);
                let before = self.answers.insert(sentinel.clone(), text.clone());
                let text = before.map_or(text.clone(), |before| beside(&before, &text));
                format!("answer {sentinel}: {text}")
            }
            input => written(input),
        };
        self.write(format!("{} {text}", millis(now.saturating_duration_since(began))));
    }

    /// What it does about it.
    pub(super) fn actions(&mut self, actions: &[Action]) {
        if self.lines.is_some() {
            for line in shown(actions) {
                self.write(format!("> {line}"));
            }
        }
    }

    fn begin(&mut self, now: Instant) -> Instant {
        self.write("# switchmaster recording 1".to_owned());
        self.write(format!("# began={}", utc(SystemTime::now())));
        for rule in std::mem::take(&mut self.rules) {
            self.write(rule);
        }
        *self.began.insert(now)
    }

    /// Never blocks. What does not fit is counted, and told as soon as anything fits again.
    fn write(&mut self, line: String) {
        if self.lost > 0 && self.send(format!("# lost {} lines", self.lost)) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.send(line) {
            self.lost += 1;
            // It may have been what another answer is to be compared with.
            self.answers.clear();
        }
    }

    /// Whether there was room for it.
    fn send(&mut self, line: String) -> bool {
        let Some(lines) = &self.lines else { return true };
        match lines.try_send(line) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.lines = None;
                true
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if self.lost > 0 {
            self.send(format!("# lost {} lines", self.lost));
        }
    }
}

/// `2026-01-31T12:34:56.789Z`
fn utc(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date so many days after 1 January 1970. Years are counted from March here, so that the day
/// that leap years have is their last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) =
        (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{bounded, unbounded};

    use crate::{builder::Builder, event::FenceReason, topology::Answer};

    use super::*;

    fn config() -> Config {
        let builder = Builder::new().sentinel("10.0.0.1").service("orders").password("hunter2");
        builder.sentinel_password("hunter3").into_config().unwrap()
    }

    fn sentinel() -> Address {
        "10.0.0.1:26379".parse().unwrap()
    }

    #[test]
    fn a_recording_begins_with_its_rules_and_goes_on_with_inputs_and_actions() {
        let (sender, lines) = unbounded();
        let mut recorder = Recorder::new(sender, &config());
        let began = Instant::now();
        recorder.input(began, &Input::Start { seeds: vec![sentinel()] });
        recorder.actions(&[Action::Link { sentinel: sentinel() }, Action::Unfence]);
        recorder.input(began + Duration::from_micros(1_303_412), &Input::Tick);
        recorder.actions(&[Action::Fence { reason: FenceReason::LostMajority }]);
        drop(recorder);
        let mut lines: Vec<String> = lines.iter().collect();
        let date = lines.remove(1);
        assert!(date.starts_with("# began=2") && date.ends_with('Z'), "{date}");
        assert_eq!(
            lines,
            [
                "# switchmaster recording 1",
                "# service=orders",
                "# switch_on=promotion",
                "# confirm_within=1500ms",
                "# fence=true",
                "# fence_timeout=3s",
                "# on_lost_majority=serve",
                "# max_lag=10s",
                "0.000000 start 10.0.0.1:26379",
                "> link 10.0.0.1:26379",
                "> unfence",
                "1303.412000 tick",
                "> fence: a majority of the sentinels is not heard",
            ]
        );
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told() {
        let (sender, lines) = bounded(10);
        let mut recorder = Recorder::new(sender, &config());
        let now = Instant::now();
        for _ in 0..4 {
            recorder.input(now, &Input::Tick);
        }
        assert_eq!(lines.len(), 10);
        let last = lines.try_iter().last();
        assert_eq!(last.as_deref(), Some("0.000000 tick"));
        recorder.input(now, &Input::Refresh);
        assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["# lost 3 lines", "0.000000 refresh"]);
        for _ in 0..12 {
            recorder.input(now, &Input::Tick);
        }
        lines.recv().unwrap();
        drop(recorder);
        assert_eq!(lines.iter().last().as_deref(), Some("# lost 2 lines"));
    }

    #[test]
    fn an_answer_like_the_one_before_is_not_repeated_unless_that_was_lost() {
        let (sender, lines) = bounded(10);
        let mut recorder = Recorder::new(sender, &config());
        let mut say = |text: &str| {
            let answer = Answer::Refused(text.to_owned());
            recorder.input(Instant::now(), &Input::Answer { sentinel: sentinel(), answer });
        };
        let heard = || {
            let lines = lines.try_iter().filter(|line| line.contains("answer"));
            let texts = lines.map(|line| line.split_once(": ").unwrap().1.to_owned());
            texts.collect::<Vec<_>>()
        };
        say("ERR a");
        assert_eq!(heard(), ["error ERR a"]);
        ["ERR a", "ERR b", "ERR b"].into_iter().for_each(&mut say);
        assert_eq!(heard(), ["as before", "error ERR b", "as before"]);
        (1..=13).for_each(|number| say(&format!("ERR {number}")));
        assert_eq!(heard().len(), 10);
        say("ERR 13");
        assert_eq!(heard(), ["error ERR 13"]);
    }

    #[test]
    fn a_recording_that_nobody_reads_ends() {
        let (sender, lines) = unbounded();
        let mut recorder = Recorder::new(sender, &config());
        drop(lines);
        recorder.input(Instant::now(), &Input::Tick);
        assert!(recorder.lines.is_none());
    }

    #[test]
    fn passwords_are_not_recorded() {
        let (sender, lines) = unbounded();
        let mut recorder = Recorder::new(sender, &config());
        let channel = "+set".to_owned();
        let payload = b"master orders 10.0.1.1 6379 auth-pass hunter4".to_vec();
        recorder.input(Instant::now(), &Input::Message { sentinel: sentinel(), channel, payload });
        drop(recorder);
        assert!(lines.iter().all(|line| !line.contains("hunter")));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| utc(SystemTime::UNIX_EPOCH + Duration::from_millis(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199_999), "2024-02-29T23:59:59.999Z");
        assert_eq!(at(1_767_225_600_001), "2026-01-01T00:00:00.001Z");
    }
}
