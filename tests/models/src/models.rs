//! What the gate promises, as assertions that hold in every order.

use std::{sync::Arc, time::Instant};

use loom::{model::Builder, thread};

use crate::{
    gate::{Admission, Gate, Passing, Refusal},
    stream::{Server, Socket},
};

/// Runs a model in every order there is.
pub(crate) fn always(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = None;
    builder.check(model);
}

/// Runs a model that has too many orders in all of those in which no more than LOOM_MAX_PREEMPTIONS
/// times a thread is interrupted that could have gone on.
pub(crate) fn mostly(model: impl Fn() + Send + Sync + 'static) {
    let builder = Builder::new();
    assert!(builder.preemption_bound.is_some(), "`make models` says how far to go");
    builder.check(model);
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    NotSent,
    Unknown,
    /// The reply counts.
    Answered(usize),
}

/// A connection, as far as it has to do with the gate.
struct Client {
    gate: Arc<Gate>,
    socket: Arc<Socket>,
    place: Admission,
}

impl Client {
    fn connect(gate: &Arc<Gate>, server: &Arc<Server>) -> Result<Client, Refusal> {
        let socket = Socket::new(server);
        let place = gate.admit(&socket)?;
        Ok(Client { gate: Arc::clone(gate), socket, place })
    }

    /// The way of a command, step by step as in `Connection::attempt`.
    fn request(&self, deadline: Option<Instant>) -> Outcome {
        if self.place.enter(0, deadline).is_err() {
            return Outcome::NotSent;
        }
        self.place.begins(1);
        let Ok(command) = self.socket.send() else {
            self.place.gives_up();
            self.is_told_why();
            return Outcome::NotSent;
        };
        let overlapped = !self.gate.is_still_open();
        if self.socket.receive(command).is_err() {
            self.place.gives_up();
            self.is_told_why();
            return Outcome::Unknown;
        }
        if overlapped && self.gate.outcome(deadline) != Passing::Lifted {
            return Outcome::Unknown;
        }
        self.place.ends();
        Outcome::Answered(command)
    }

    /// Whoever is woken by the shutdown of a socket tells a replacement from a broken connection.
    fn is_told_why(&self) {
        assert!(self.gate.is_retired(), "shut down before the gate was retired");
    }
}

fn gate() -> Arc<Gate> {
    Arc::new(Gate::new())
}

/// A deadline that passes while one waits for it; see [`crate::sync::Condvar::wait_until`].
fn passing() -> Option<Instant> {
    Some(Instant::now())
}

/// Commands are sent while their server is replaced, which the fence announces.
fn replacement(writers: usize, deadline: fn() -> Option<Instant>) {
    let (gate, server) = (gate(), Server::new());
    let writers: Vec<_> = (0..writers)
        .map(|_| {
            let client = Client::connect(&gate, &server).expect("an open gate");
            thread::spawn(move || client.request(deadline()))
        })
        .collect();
    gate.raise("its successor was chosen");
    // What was sent before the fence has this time to be taken; the gate gives no other.
    server.catch_up();
    server.replace();
    gate.retire();
    let reached = server.reached();
    for writer in writers {
        if let Outcome::Answered(command) = writer.join().unwrap() {
            assert!(!server.has_lost(command), "an acknowledged write is lost");
        }
    }
    assert_eq!(server.reached(), reached, "sent to a server that was replaced");
    assert_eq!(gate.sockets(), 0);
}

#[test]
fn no_reply_counts_that_a_replaced_server_gave() {
    always(|| replacement(1, || None));
    mostly(|| replacement(2, || None));
}

#[test]
fn nor_does_one_at_whose_deadline_the_fence_still_stands() {
    always(|| replacement(1, passing));
    mostly(|| replacement(2, passing));
}

#[test]
fn no_reply_counts_that_a_replaced_server_gave_behind_the_second_of_two_fences() {
    always(|| {
        let (gate, server) = (gate(), Server::new());
        let client = Client::connect(&gate, &server).expect("an open gate");
        gate.raise("its successor was chosen");
        let writer = thread::spawn(move || client.request(None));
        assert!(gate.lift());
        gate.raise("another successor was chosen");
        server.catch_up();
        server.replace();
        gate.retire();
        if let Outcome::Answered(command) = writer.join().unwrap() {
            assert!(!server.has_lost(command), "an acknowledged write is lost");
        }
    });
}

#[test]
fn nothing_is_sent_once_the_gate_is_retired() {
    mostly(|| {
        let (gate, server) = (gate(), Server::new());
        let client = Client::connect(&gate, &server).expect("an open gate");
        let sender = thread::spawn(move || {
            client.request(None);
            client.request(None)
        });
        let dialler = {
            let (gate, server) = (Arc::clone(&gate), Arc::clone(&server));
            thread::spawn(move || {
                if let Ok(client) = Client::connect(&gate, &server) {
                    client.request(None);
                }
            })
        };
        assert!(gate.retire());
        let reached = server.reached();
        sender.join().unwrap();
        dialler.join().unwrap();
        assert_eq!(server.reached(), reached, "sent to a server that was replaced");
    });
}

#[test]
fn a_socket_is_shut_down_or_refused_or_its_place_is_free() {
    always(|| {
        let (gate, server) = (gate(), Server::new());
        // Leaves, so that a dial below may get its place while the gate is being retired.
        let leaver = Client::connect(&gate, &server).expect("an open gate");
        let leaving = thread::spawn(move || drop(leaver));
        let diallers: Vec<_> = (0..2)
            .map(|_| {
                let (gate, server) = (Arc::clone(&gate), Arc::clone(&server));
                thread::spawn(move || Client::connect(&gate, &server))
            })
            .collect();
        assert!(gate.retire());
        leaving.join().unwrap();
        for dialler in diallers {
            match dialler.join().unwrap() {
                Ok(client) => assert!(client.socket.is_shut(), "admitted and forgotten"),
                Err(refusal) => assert_eq!(refusal, Refusal::Retired),
            }
        }
        assert_eq!(gate.sockets(), 0);
    });
}

/// Threads that wait behind the fence, and whose wait ends with `end`.
fn wake(end: fn(&Gate) -> bool, expected: Passing) {
    let gate = gate();
    gate.raise("its successor was chosen");
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.outcome(None))
        })
        .collect();
    assert!(end(&gate));
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), expected);
    }
}

#[test]
fn whoever_waits_wakes_when_the_fence_is_lifted() {
    always(|| wake(Gate::lift, Passing::Lifted));
}

#[test]
fn whoever_waits_wakes_when_the_gate_is_retired() {
    always(|| wake(Gate::retire, Passing::Retired { since: None }));
}

#[test]
fn a_command_that_waited_goes_on_with_the_same_server() {
    always(|| {
        let (gate, server) = (gate(), Server::new());
        let client = Client::connect(&gate, &server).expect("an open gate");
        gate.raise("its successor was chosen");
        let writer = thread::spawn(move || client.request(None));
        assert!(gate.lift());
        assert!(gate.raise("another successor was chosen"));
        assert!(gate.lift());
        assert_eq!(writer.join().unwrap(), Outcome::Answered(0));
        assert_eq!((server.reached(), gate.commands()), (1, 1));
    });
}

#[test]
fn a_wait_that_is_late_ends_and_never_takes_a_retirement_for_a_lift() {
    always(|| {
        let gate = gate();
        gate.raise("its successor was chosen");
        let waiter = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.outcome(passing()))
        };
        assert!(gate.retire());
        assert_ne!(waiter.join().unwrap(), Passing::Lifted);
        assert_eq!(gate.outcome(passing()), Passing::Retired { since: None });
    });
    always(|| {
        let gate = gate();
        gate.raise("its successor was chosen");
        let waiter = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.outcome(passing()))
        };
        assert!(gate.lift());
        assert_ne!(waiter.join().unwrap(), Passing::Retired { since: None });
        assert_eq!(gate.outcome(passing()), Passing::Lifted);
    });
}

/// Goes into a blocking command while the fence goes up. Whoever calls the readers back has to find
/// it among them, unless it found the fence: otherwise it would block in a server that is replaced,
/// and nobody would know.
fn block(before: fn(&Gate)) {
    const ID: i64 = 7;
    let (gate, server) = (gate(), Server::new());
    let client = Client::connect(&gate, &server).expect("an open gate");
    before(&gate);
    let reader = thread::spawn(move || {
        let entered = client.place.enter(ID, None);
        (client, entered)
    });
    gate.lift();
    gate.raise("its successor was chosen");
    let blocked = gate.blocked();
    gate.retire();
    let (client, entered) = reader.join().unwrap();
    match entered {
        Ok(_) => {
            assert_eq!(blocked, [ID], "it blocks, and was not called back");
            assert!(client.place.is_called_back());
        }
        Err(refusal) => {
            assert_eq!(refusal, Refusal::Retired);
            assert!(gate.blocked().is_empty(), "it does not block");
        }
    }
    drop(client);
}

#[test]
fn a_blocking_command_is_called_back_or_finds_the_fence() {
    always(|| block(|_| {}));
}

#[test]
fn a_blocking_command_that_waited_is_called_back_or_finds_the_next_fence() {
    always(|| block(|gate| assert!(gate.raise("another successor was chosen"))));
}

#[test]
fn a_command_that_was_called_back_knows_it_although_the_fence_is_lifted() {
    const ID: i64 = 7;
    always(|| {
        let (gate, server) = (gate(), Server::new());
        let client = Client::connect(&gate, &server).expect("an open gate");
        let reader = thread::spawn(move || {
            let entered = client.place.enter(ID, None);
            (client, entered)
        });
        gate.raise("its successor was chosen");
        let blocked = gate.blocked();
        gate.lift();
        let (client, entered) = reader.join().unwrap();
        // One that waited blocks anew, and the call was for what it gave up.
        if entered == Ok(false) {
            assert_eq!(client.place.is_called_back(), blocked == [ID]);
        }
    });
}

#[test]
fn closing_ends_whoever_dials_sends_or_waits() {
    mostly(|| {
        let (gate, server) = (gate(), Server::new());
        let sender = Client::connect(&gate, &server).expect("an open gate");
        let sending = thread::spawn(move || sender.request(None));
        gate.raise("too few sentinels are heard");
        let waiter = Client::connect(&gate, &server).expect("a gate that is not retired");
        let waiting = thread::spawn(move || waiter.request(None));
        let dialling = {
            let (gate, server) = (Arc::clone(&gate), Arc::clone(&server));
            thread::spawn(move || drop(Client::connect(&gate, &server)))
        };
        assert!(gate.retire());
        let reached = server.reached();
        sending.join().unwrap();
        assert_eq!(waiting.join().unwrap(), Outcome::NotSent);
        dialling.join().unwrap();
        assert_eq!((server.reached(), gate.sockets()), (reached, 0));
        assert!(!gate.retire() && !gate.lift() && !gate.raise("it is closed"));
    });
}

#[test]
fn commands_are_counted_once_wherever_their_connections_are() {
    mostly(|| {
        let (gate, server) = (gate(), Server::new());
        let owners: Vec<_> = (0..2)
            .map(|_| {
                let client = Client::connect(&gate, &server).expect("an open gate");
                thread::spawn(move || {
                    let outcomes = [client.request(None), client.request(None)];
                    let counted = outcomes.iter().filter(|o| matches!(o, Outcome::Answered(_)));
                    counted.count() as u64
                })
            })
            .collect();
        let early = gate.commands();
        gate.retire();
        let late = gate.commands();
        let (begun, open) = gate.begun();
        let counted = owners.into_iter().map(|owner| owner.join().unwrap()).sum::<u64>();
        assert!(early <= late && late <= counted);
        assert!(open || begun == counted, "{begun} of {counted}");
        assert_eq!(gate.commands(), counted);
    });
}
