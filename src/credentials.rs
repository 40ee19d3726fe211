//! Credentials that a program supplies at each dial: [`CredentialsProvider`], and [`Source`], which
//! calls it and waits no longer than a dial may take.

use std::{
    error, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use parking_lot::Mutex;

use crate::{
    config::Secret,
    connection::Settings,
    error::{Error, ErrorKind, Outcome},
};

/// The longest user name or password: a server ends connections that send it more before they have
/// logged in.
const LONGEST: usize = 16 << 10;

/// The age of a call from which no dial waits for it: each gets an error at once.
const OVERDUE: Duration = Duration::from_secs(5);

/// The pause between two checks whether a wait still has a purpose.
const LOOK: Duration = Duration::from_millis(5);

/// A user name and password for a server, supplied by a [`CredentialsProvider`].
///
/// `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    username: Option<String>,
    password: Secret,
}

impl Credentials {
    /// An ACL user (Redis 6 and later) and its password.
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Credentials {
        Credentials { username: Some(username.into()), password: Secret::new(password) }
    }

    /// The password of the server's `default` user, or that of `requirepass`.
    pub fn password(password: impl Into<String>) -> Credentials {
        Credentials { username: None, password: Secret::new(password) }
    }

    /// The reason why no server takes them.
    fn fault(&self) -> Option<String> {
        let password = self.password.expose();
        match &self.username {
            Some(name) if name.is_empty() => Some("an empty user name".to_owned()),
            Some(name) if name.len() > LONGEST => {
                Some(format!("a user name of {} bytes; at most {LONGEST} are accepted", name.len()))
            }
            None if password.is_empty() => Some("an empty password and no user".to_owned()),
            _ if password.len() > LONGEST => Some(format!(
                "a password of {} bytes; at most {LONGEST} are accepted",
                password.len()
            )),
            _ => None,
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password)
            .finish()
    }
}

/// Supplies the credentials for new connections: for [`Builder::credentials`](crate::Builder::credentials)
/// and [`Builder::sentinel_credentials`](crate::Builder::sentinel_credentials). A closure is one.
///
/// # When it is called
/// Once for each connection that is made, and after [`Factory::refresh`](crate::Factory::refresh).
/// Connections that are made at the same time share one call. Calls never overlap, and each runs on a
/// thread of its own, so it may block and may use other factories.
///
/// Its time counts towards [`Builder::dial_timeout`](crate::Builder::dial_timeout); a slower
/// call fails only the connections that wait for it. A switch to a new master waits for
/// it, too, so one that asks a remote vault does best to answer from memory and to renew in time.
///
/// # Errors
/// The error is quoted in the error of the connection
/// ([`Authentication`](crate::ErrorKind::Authentication)), so it must not contain the password. A panic is
/// reported as an error.
pub trait CredentialsProvider: Send + Sync + 'static {
    /// Returns the credentials that are valid now.
    ///
    /// # Errors
    /// The reason why there are none.
    fn credentials(&self) -> Result<Credentials, Box<dyn error::Error + Send + Sync>>;
}

impl<F> CredentialsProvider for F
where
    F: Fn() -> Result<Credentials, Box<dyn error::Error + Send + Sync>> + Send + Sync + 'static,
{
    fn credentials(&self) -> Result<Credentials, Box<dyn error::Error + Send + Sync>> {
        self()
    }
}

/// Credentials and their version: each change raises it.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    credentials: Arc<Credentials>,
    pub(crate) version: u64,
}

impl Login {
    /// The settings of a connection that logs in with these.
    pub(crate) fn settings(&self, settings: &Settings) -> Settings {
        let Credentials { username, password } = &*self.credentials;
        Settings {
            username: username.clone(),
            password: Some(password.clone()),
            credentials: None,
            ..settings.clone()
        }
    }

    /// Packs the command that logs an open connection in.
    pub(crate) fn command(&self) -> Vec<u8> {
        let mut command = redis::cmd("AUTH");
        if let Some(name) = &self.credentials.username {
            command.arg(name);
        }
        command.arg(self.credentials.password.expose()).get_packed_command()
    }
}

/// Is notified when the credentials have changed.
pub(crate) trait Listener: Send + Sync {
    fn credentials_changed(self: Arc<Self>);
}

type Answer = Result<Login, Error>;
type Waiter = Box<dyn FnOnce(Answer) + Send>;

/// A provider, shared by everything that logs in with its credentials. Two are equal when they are the
/// same.
#[derive(Clone)]
pub(crate) struct Source(Arc<Inner>);

struct Inner {
    provider: Box<dyn CredentialsProvider>,
    calls: Mutex<Calls>,
    version: AtomicU64,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
}

#[derive(Default)]
struct Calls {
    /// Since when a call has been under way.
    since: Option<Instant>,
    waiters: Vec<Waiter>,
    latest: Option<Login>,
}

impl Source {
    pub(crate) fn new(provider: impl CredentialsProvider) -> Source {
        Source(Arc::new(Inner {
            provider: Box::new(provider),
            calls: Mutex::default(),
            version: AtomicU64::new(0),
            listeners: Mutex::default(),
        }))
    }

    /// The version of the credentials that were supplied last; 0 before the first.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The credentials that were supplied last.
    pub(crate) fn latest(&self) -> Option<Login> {
        self.0.calls.lock().latest.clone()
    }

    /// Notifies it of changes from now on, for as long as it lives.
    pub(crate) fn notify(&self, listener: Weak<dyn Listener>) {
        let mut listeners = self.0.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }

    /// Calls the provider on another thread, which hands the answer to `waiter`. A known answer is handed
    /// over at once. Never blocks.
    pub(crate) fn ask(&self, waiter: impl FnOnce(Answer) + Send + 'static) {
        let mut calls = self.0.calls.lock();
        if let Some(since) = calls.since {
            let taken = since.elapsed();
            if taken < OVERDUE {
                return calls.waiters.push(Box::new(waiter));
            }
            drop(calls);
            return waiter(Err(failure(format!("its call has not returned for {taken:.1?}"))));
        }
        calls.waiters.push(Box::new(waiter));
        calls.since = Some(Instant::now());
        drop(calls);
        let source = self.clone();
        let thread = thread::Builder::new().name("switchmaster-credentials".to_owned());
        if let Err(error) = thread.spawn(move || source.call()) {
            self.answer(Err(failure(format!("the system refused a thread for it: {error}"))));
        }
    }

    /// Asks like [`Source::ask`]; [`Asked::wait`] waits for the answer later.
    pub(crate) fn begin(&self) -> Asked {
        let (answer, answers) = bounded(1);
        self.ask(move |answered| drop(answer.send(answered)));
        Asked { answers, began: Instant::now() }
    }

    fn call(&self) {
        let supply = || match self.0.provider.credentials() {
            Err(error) => {
                let text = error.to_string();
                Err(failure(text.split_whitespace().collect::<Vec<_>>().join(" ")))
            }
            Ok(credentials) => match credentials.fault() {
                Some(fault) => Err(failure(format!("it supplied {fault}"))),
                None => Ok(credentials),
            },
        };
        let supplied = catch_unwind(AssertUnwindSafe(supply));
        self.answer(supplied.unwrap_or_else(|_| Err(failure("it panicked".to_owned()))));
    }

    /// Ends the call.
    fn answer(&self, supplied: Result<Credentials, Error>) {
        let mut calls = self.0.calls.lock();
        let mut changes = false;
        let answer = supplied.map(|credentials| {
            let latest = calls.latest.take().filter(|login| *login.credentials == credentials);
            let login = latest.unwrap_or_else(|| {
                let version = self.0.version.fetch_add(1, Ordering::AcqRel) + 1;
                changes = version > 1;
                Login { credentials: Arc::new(credentials), version }
            });
            calls.latest = Some(login.clone());
            login
        });
        calls.since = None;
        let waiters = std::mem::take(&mut calls.waiters);
        drop(calls);
        for waiter in waiters {
            waiter(answer.clone());
        }
        if changes {
            let listeners = self.0.listeners.lock().clone();
            for listener in listeners.iter().filter_map(Weak::upgrade) {
                listener.credentials_changed();
            }
        }
    }
}

/// An answer that is on its way.
pub(crate) struct Asked {
    answers: Receiver<Answer>,
    began: Instant,
}

impl Asked {
    /// Blocks until the answer is there, `deadline` has passed, or `in_vain` holds.
    pub(crate) fn wait(self, deadline: Instant, in_vain: impl Fn() -> bool) -> Answer {
        loop {
            match self.answers.recv_deadline(deadline.min(Instant::now() + LOOK)) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline && !in_vain() => {}
                Err(_) => {
                    let waited = self.began.elapsed();
                    return Err(failure(format!("no answer within {waited:.0?}")));
                }
            }
        }
    }
}

fn failure(why: String) -> Error {
    Error::with(
        ErrorKind::Authentication,
        Outcome::NotSent,
        format!("the credentials provider failed: {why}"),
        None,
    )
}

impl PartialEq for Source {
    fn eq(&self, other: &Source) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialsProvider")
    }
}
