//! A terminal that the command runs on, and what it shows: [`Terminal`].

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZeroU16,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use switchmaster_sandbox::wait_until;
use vt100::{Color, Parser};

use crate::program::PATIENCE;

/// More lines than any test scrolls away.
const HISTORY: usize = 1000;

/// A pseudo terminal, and the command that runs on it; the command ends with it.
pub(crate) struct Terminal {
    keyboard: File,
    parser: Arc<Mutex<Parser>>,
    reader: Option<JoinHandle<()>>,
    pub(crate) child: Child,
}

impl Terminal {
    /// Runs the command on a terminal of this size, in a session of its own. Its input and
    /// its errors are the terminal, and its output too if that is said.
    pub(crate) fn start(columns: u16, rows: u16, command: &Command, output: Stdout) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("a pseudo terminal");
        grantpt(&keyboard).and_then(|()| unlockpt(&keyboard)).expect("it can be opened");
        let user = ioctl_tiocgptpeer(&keyboard, flags).expect("its other side");
        tcsetwinsize(&user, size(columns, rows)).expect("it has a size");
        let stream = || Stdio::from(user.try_clone().expect("a descriptor"));
        // Takes its input for its terminal, and becomes the command.
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args());
        session.env_remove("NO_COLOR").env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.stdin(stream()).stderr(stream());
        session.stdout(match output {
            Stdout::Terminal => stream(),
            Stdout::Pipe => Stdio::piped(),
        });
        let child = session.spawn().expect("the command runs");
        let parser = Arc::new(Mutex::new(Parser::new(least(rows), least(columns), HISTORY)));
        let keyboard = File::from(keyboard);
        let reader = read(keyboard.try_clone().expect("a descriptor"), parser.clone());
        Terminal { keyboard, parser, reader: Some(reader), child }
    }

    /// Runs the command until it ends, and gives the terminal then.
    pub(crate) fn done(columns: u16, rows: u16, command: &Command) -> Terminal {
        let mut terminal = Terminal::start(columns, rows, command, Stdout::Terminal);
        terminal.end();
        terminal
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().set_size(least(rows), least(columns));
        tcsetwinsize(&self.keyboard, size(columns, rows)).expect("it takes a size");
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("somebody reads");
    }

    /// What is shown, without the empty rows at the end.
    pub(crate) fn text(&self) -> String {
        self.parser.lock().screen().contents()
    }

    pub(crate) fn wait_for(&self, sign: &str) {
        let shown = wait_until(PATIENCE, || self.text().contains(sign));
        assert!(shown, "{sign:?} is not shown:\n{}", self.text());
    }

    /// Whether a line went on in the next row, or rows left the window at its top.
    pub(crate) fn overflows(&self) -> bool {
        let parser = self.parser.lock();
        let screen = parser.screen();
        let wrapped = (0..screen.size().0.get()).any(|row| screen.row_wrapped(row));
        wrapped || screen.scrollback_len() > 0
    }

    /// Whether anything is in colour, bold, dim or underlined.
    pub(crate) fn is_styled(&self) -> bool {
        let parser = self.parser.lock();
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |it| (row, it)));
        cells.filter_map(|(row, column)| screen.cell(row, column)).any(|cell| {
            cell.fgcolor() != Color::Default || cell.bold() || cell.dim() || cell.underline()
        })
    }

    /// Waits for the end of the command, and of what it shows.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let ended = wait_until(PATIENCE, || self.child.try_wait().expect("a status").is_some());
        assert!(ended, "it runs on:\n{}", self.text());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the terminal was read");
        }
        self.child.wait().expect("a status")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the output of the command goes.
pub(crate) enum Stdout {
    Terminal,
    Pipe,
}

/// Reads what the command writes until nobody can write any more.
fn read(mut from: File, parser: Arc<Mutex<Parser>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            parser.lock().process(&buffer[..length]);
        }
    })
}

fn least(length: u16) -> NonZeroU16 {
    NonZeroU16::new(length).expect("a window has a size")
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}
