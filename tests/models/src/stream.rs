//! A server, and sockets to it. Stands in for `src/connection/stream.rs`.

use std::sync::Arc;

use crate::sync::{Mutex, MutexGuard};

/// The server that a gate stands before.
#[derive(Default)]
pub(crate) struct Server {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    /// Another server is the master now.
    replaced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    /// It lies in the server's socket.
    Sent,
    Taken {
        replaced: bool,
    },
}

impl State {
    fn take(&mut self, command: usize) {
        if self.commands[command] == Command::Sent {
            self.commands[command] = Command::Taken { replaced: self.replaced };
        }
    }
}

impl Server {
    pub(crate) fn new() -> Arc<Server> {
        Arc::default()
    }

    /// Takes everything that has been sent. A server may take a command as late as its reply is
    /// read; this is for the time that it has between the fence and its replacement.
    pub(crate) fn catch_up(&self) {
        let mut state = self.state.lock();
        for command in 0..state.commands.len() {
            state.take(command);
        }
    }

    /// From here on nothing that the server acknowledges is kept.
    pub(crate) fn replace(&self) {
        self.state.lock().replaced = true;
    }

    /// How many commands have reached it.
    pub(crate) fn reached(&self) -> usize {
        self.state.lock().commands.len()
    }

    /// Whether what it took with this command is lost.
    pub(crate) fn has_lost(&self, command: usize) -> bool {
        self.state.lock().commands[command] == Command::Taken { replaced: true }
    }
}

/// The end of a connection that commands are sent from.
pub(crate) struct Socket {
    server: Arc<Server>,
    shut: Mutex<bool>,
}

/// The socket was shut down.
#[derive(Debug)]
pub(crate) struct Shut;

impl Socket {
    pub(crate) fn new(server: &Arc<Server>) -> Arc<Socket> {
        Arc::new(Socket { server: Arc::clone(server), shut: Mutex::new(false) })
    }

    pub(crate) fn shutdown(&self) {
        *self.shut.lock() = true;
    }

    pub(crate) fn is_shut(&self) -> bool {
        *self.shut.lock()
    }

    /// Sends a command, and gives the number that the server knows it by.
    pub(crate) fn send(&self) -> Result<usize, Shut> {
        let _usable = self.usable()?;
        let mut state = self.server.state.lock();
        state.commands.push(Command::Sent);
        Ok(state.commands.len() - 1)
    }

    /// Reads the reply to a command.
    pub(crate) fn receive(&self, command: usize) -> Result<(), Shut> {
        let _usable = self.usable()?;
        self.server.state.lock().take(command);
        Ok(())
    }

    /// As the system's own lock of a socket: a shutdown comes before a call or after it.
    fn usable(&self) -> Result<MutexGuard<'_, bool>, Shut> {
        let shut = self.shut.lock();
        if *shut { Err(Shut) } else { Ok(shut) }
    }
}
