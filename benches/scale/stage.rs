//! The second process, which plays the sentinels and the nodes: [`Stage`] orders, [`play`] obeys.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use switchmaster_sandbox::{FakeReplica, FakeSentinel};

use crate::{
    Fault,
    many::{Many, name},
};

/// The process, which ends with this value: its input ends then.
pub struct Stage {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub sentinels: Vec<String>,
}

impl Stage {
    pub fn begin(services: usize) -> Result<Stage, Fault> {
        let mut process = Command::new(env::current_exe()?)
            .args(["stage", &services.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take();
        let answers = process.stdout.take().ok_or("the stage has no output")?;
        let mut stage =
            Stage { process, orders, answers: BufReader::new(answers), sentinels: Vec::new() };
        stage.sentinels = stage.answer()?.split(' ').map(str::to_owned).collect();
        Ok(stage)
    }

    /// Has it do something, and waits until it is done.
    pub fn order(&mut self, what: &str) -> Result<String, Fault> {
        let orders = self.orders.as_mut().ok_or("the stage is over")?;
        writeln!(orders, "{what}")?;
        self.answer()
    }

    /// An address where nobody accepts, and nobody refuses.
    pub fn hole(&mut self) -> Result<String, Fault> {
        self.order("hole")
    }

    /// Lists so many replicas of the first service that have long been gone, before the one that lives.
    pub fn list_stale(&mut self, count: usize) -> Result<(), Fault> {
        self.order(&format!("stale {count}")).map(drop)
    }

    /// How many connections the sentinels have in all.
    pub fn links(&mut self) -> Result<String, Fault> {
        self.order("links")
    }

    fn answer(&mut self) -> Result<String, Fault> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err("the stage ended".into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.process.wait();
    }
}

/// Plays so many services until the input ends.
pub fn play(services: usize) -> Result<(), Fault> {
    let many = Many::serving(services)?;
    let mut holes = Vec::new();
    let addresses: Vec<String> =
        many.sentinels.iter().map(|own| own.address().to_string()).collect();
    say(&addresses.join(" "))?;
    for order in io::stdin().lock().lines() {
        let order = order?;
        if let Some(count) = order.strip_prefix("stale ") {
            list_stale(&many, count.parse()?);
            say("done")?;
            continue;
        }
        match order.as_str() {
            "choose" => many.choose(),
            "promote" => many.promote(),
            "vanish" => many.vanish(),
            "links" => {
                let links: usize = many.sentinels.iter().map(FakeSentinel::connections).sum();
                say(&links.to_string())?;
                continue;
            }
            "hole" => {
                let hole = FakeSentinel::start()?;
                hole.hang_connects();
                let address = hole.address();
                holes.push(hole);
                say(&address.to_string())?;
                continue;
            }
            other => return Err(format!("no such order: {other}").into()),
        }
        say("done")?;
    }
    Ok(())
}

/// Lists replicas at addresses where no server listens, as every sentinel knows.
fn list_stale(many: &Many, count: usize) {
    let gone = |number: usize| {
        let place = SocketAddr::from(([127, 1, (number / 250) as u8, (number % 250) as u8 + 1], 1));
        FakeReplica {
            flags: "s_down,slave,disconnected".to_owned(),
            link_ok: false,
            ..FakeReplica::new(place)
        }
    };
    let stale: Vec<FakeReplica> = (0..count).map(gone).collect();
    for sentinel in &many.sentinels {
        sentinel.model(|model| {
            model.service(&name(0)).replicas.splice(0..0, stale.iter().cloned());
        });
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush()
}
