//! `switchmaster watch`: what happens to a service, as it happens.

mod runner;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use crossbeam_channel::{Receiver, after, bounded, never, select, tick, unbounded};
use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};
use serde_json::{Value, json};
use switchmaster::{Builder, Error, Event, Factory};

use crate::{failure::Failure, stop, target::Target, time::duration};
use runner::{Report, Run, Runner};

/// Print what happens to a service as it happens: switches, failovers, sentinels and nodes that come
/// and go.
///
/// It runs until it is interrupted, or for the time that is given, and sends nothing but questions.
/// The exit code is 1 when no master is found to begin with.
///
/// With --exec a program is run at each switch, as sentinels run their client-reconfig-script:
/// PROGRAM SERVICE client end OLD-HOST OLD-PORT NEW-HOST NEW-PORT. At other events (--on) it is
/// PROGRAM SERVICE client EVENT. What an event's JSON has is in its environment, too:
/// SWITCHMASTER_NAME, SWITCHMASTER_TO and so on, all of it in SWITCHMASTER_JSON. Runs follow one
/// another, and what becomes of each is printed; docs/watch.md tells the rest.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1,10.0.0.2/mymaster\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1/mymaster --json --for 10s\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1/cache --record failover.txt\n  \
    switchmaster watch --url redis+sentinel://10.0.0.1/cache --exec ./reconfigure")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Also write what each sentinel and node told, with times, and what was done about it.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Run this program at each switch.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) exec: Option<PathBuf>,
    /// With --exec: at which events, by the names that are printed; several are separated by
    /// commas.
    #[arg(long, value_name = "EVENT", value_delimiter = ',', default_value = "switched",
        value_parser = runner::event, requires = "exec")]
    pub(crate) on: Vec<String>,
    /// With --exec: how long a run may take before it is killed, with what it started.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration,
        requires = "exec")]
    pub(crate) exec_timeout: Duration,
    /// Print one JSON object for each event.
    #[arg(long)]
    pub(crate) json: bool,
    /// End after this time.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) r#for: Option<Duration>,
}

/// How often a recording is written to its file.
const FLUSH: Duration = Duration::from_secs(1);
/// How long the last lines of a recording may take.
const LAST_LINES: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut builder = Builder::from_url(&arguments.target.url)?;
    let start = |program: &PathBuf| Runner::start(program, arguments.exec_timeout);
    let runner = arguments.exec.as_ref().map(start).transpose()?;
    let mut recording = None;
    if let Some(path) = &arguments.record {
        let (lines, file) = Recording::create(path)?;
        builder = builder.record(lines);
        recording = Some(file);
    }
    let stop = stop::requested(false)?;
    let end = arguments.r#for.map_or_else(never, after);
    let mut watch = Watch {
        clock: Clock::start(),
        output: io::stdout(),
        json: arguments.json,
        runner,
        on: arguments.on.clone(),
    };
    let mut followed = watch.follow(builder, recording.as_mut(), &stop, &end);
    if let Some(runner) = watch.runner.take() {
        let told = runner.finish().iter().try_for_each(|report| watch.report(report));
        followed = followed.and(told);
    }
    // Also when no master was found: what was recorded says why.
    followed.and(recording.map_or(Ok(()), Recording::finish))
}

struct Watch {
    clock: Clock,
    output: io::Stdout,
    json: bool,
    runner: Option<Runner>,
    /// At which events the program is run.
    on: Vec<String>,
}

impl Watch {
    fn follow(
        &mut self,
        builder: Builder,
        mut recording: Option<&mut Recording>,
        stop: &Receiver<()>,
        end: &Receiver<Instant>,
    ) -> Result<(), Failure> {
        let mut built = built(builder)?;
        // Ends the recording when it is dropped.
        let mut factory: Option<Factory> = None;
        let mut events = never();
        let mut lines = recording.as_ref().map_or_else(never, |recording| recording.lines.clone());
        let reports = self.runner.as_ref().map_or_else(never, |runner| runner.reports.clone());
        let flush = recording.as_ref().map_or_else(never, |_| tick(FLUSH));
        loop {
            select! {
                recv(built) -> opened => {
                    let panicked = || Failure::new("the factory panicked while it was built");
                    let opened = opened.map_err(|_| panicked())??;
                    built = never();
                    events = opened.events();
                    self.begin(&opened)?;
                    factory = Some(opened);
                }
                recv(events) -> event => match event {
                    Ok(event) => {
                        self.tell(&event)?;
                        if let Some(factory) = &factory {
                            self.execute(&event, factory)?;
                        }
                    }
                    Err(_) => return Ok(()),
                },
                recv(reports) -> report => {
                    if let Ok(report) = report {
                        self.report(&report)?;
                    }
                }
                recv(lines) -> line => match (&mut recording, line) {
                    (Some(recording), Ok(line)) => recording.write(&line)?,
                    // The factory has ended, or could not be built and is about to say why.
                    _ => lines = never(),
                },
                recv(flush) -> _ => {
                    if let Some(recording) = &mut recording {
                        recording.flush()?;
                    }
                }
                recv(stop) -> _ => return Ok(()),
                recv(end) -> _ => return match factory {
                    Some(_) => Ok(()),
                    None => Err(Failure::new("no master was found before the time was up; \
                        `switchmaster topology` shows the deployment")),
                },
            }
        }
    }

    /// Says what it begins with: an event tells only what changes.
    fn begin(&mut self, factory: &Factory) -> Result<(), Failure> {
        let topology = factory.topology()?;
        let master = topology.master.as_ref().map(ToString::to_string);
        let text = format!(
            "watching {}: generation {}: {}",
            topology.service,
            topology.generation,
            master.as_deref().unwrap_or("no master")
        );
        let fields = json!({
            "name": "watching",
            "source": "factory",
            "text": text,
            "service": topology.service,
            "generation": topology.generation,
            "master": master,
            "epoch": topology.epoch,
        });
        self.line(Instant::now(), &text, fields)
    }

    fn tell(&mut self, event: &Event) -> Result<(), Failure> {
        self.line(event.at(), &event.to_string(), event.to_json())
    }

    /// Has the program run, if it is to be run at this event.
    fn execute(&mut self, event: &Event, factory: &Factory) -> Result<(), Failure> {
        let Some(runner) = &self.runner else { return Ok(()) };
        if !self.on.iter().any(|name| name == event.name()) {
            return Ok(());
        }
        let service = factory.topology().map_or_else(|_| String::new(), |it| it.service);
        match runner.order(Run::of(&service, factory.generation(), &event.to_json())) {
            None => Ok(()),
            Some(text) => {
                let fields =
                    json!({ "name": "exec-left-out", "event": event.name(), "text": text });
                self.line(Instant::now(), &text, fields)
            }
        }
    }

    /// Says what became of a run.
    fn report(&mut self, report: &Report) -> Result<(), Failure> {
        let Report { event, outcome, code, took } = report;
        let text = format!("exec: {event}: {outcome}, after {} ms", took.as_millis());
        let fields = json!({
            "name": "exec",
            "event": event,
            "outcome": outcome,
            "code": code,
            "took_ms": took.as_secs_f64() * 1000.0,
            "text": text,
        });
        self.line(Instant::now(), &text, fields)
    }

    fn line(&mut self, at: Instant, text: &str, fields: Value) -> Result<(), Failure> {
        let (time, millis) = (self.clock.local(at), self.clock.millis(at));
        if self.json {
            let mut object = json!({ "ms": millis, "time": time.timestamp().to_string() });
            if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
                object.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
            }
            writeln!(self.output, "{object}")?;
        } else {
            writeln!(self.output, "{} {millis:>10.1} ms  {text}", time.strftime("%H:%M:%S%.3f"))?;
        }
        // Whoever reads on waits for the line, not for a buffer to be full.
        Ok(self.output.flush()?)
    }
}

/// Builds the factory while the rest goes on: it may take as long as the URL says.
fn built(builder: Builder) -> Result<Receiver<Result<Factory, Error>>, Failure> {
    let (done, built) = bounded(1);
    // Nobody receives it when the command has ended.
    let build = move || drop(done.send(builder.build()));
    let named = thread::Builder::new().name("build".to_owned());
    named.spawn(build).map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    Ok(built)
}

/// The time of day of an instant.
struct Clock {
    began: Instant,
    timestamp: Timestamp,
    zone: TimeZone,
}

impl Clock {
    fn start() -> Clock {
        Clock { began: Instant::now(), timestamp: Timestamp::now(), zone: TimeZone::system() }
    }

    fn millis(&self, at: Instant) -> f64 {
        let micros = at.saturating_duration_since(self.began).as_micros();
        micros as f64 / 1000.0
    }

    fn local(&self, at: Instant) -> ZonedDateTime {
        let since = at.saturating_duration_since(self.began);
        // Out of range after some thousand years.
        let timestamp = self.timestamp.checked_add(since).unwrap_or(self.timestamp);
        timestamp.to_zoned_datetime(self.zone.clone())
    }
}

/// A recording on its way to its file.
struct Recording {
    lines: Receiver<String>,
    file: BufWriter<File>,
    path: String,
}

impl Recording {
    fn create(path: &Path) -> Result<(crossbeam_channel::Sender<String>, Recording), Failure> {
        let shown = path.display().to_string();
        let file = File::create(path)
            .map_err(|error| Failure::usage(format!("--record {shown}: {error}")))?;
        let (sender, lines) = unbounded();
        Ok((sender, Recording { lines, file: BufWriter::new(file), path: shown }))
    }

    fn write(&mut self, line: &str) -> Result<(), Failure> {
        let written = writeln!(self.file, "{line}");
        written.map_err(|error| self.failure(&error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.file.flush();
        flushed.map_err(|error| self.failure(&error))
    }

    /// Writes what is left, after the factory has ended.
    fn finish(mut self) -> Result<(), Failure> {
        let until = Instant::now() + LAST_LINES;
        while let Ok(line) = self.lines.recv_deadline(until) {
            self.write(&line)?;
        }
        self.flush()
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::new(format!("the recording {} cannot be written: {error}", self.path))
    }
}
