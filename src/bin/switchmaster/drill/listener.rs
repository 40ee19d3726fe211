//! Hears the first `+switch-master` of a deployment: [`Listener`].

use std::{
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use redis::RedisResult;
use switchmaster::Address;

use crate::{deployment::Deployment, failure::Failure};

/// How long a thread reads before it looks whether it is still wanted.
const SLICE: Duration = Duration::from_millis(50);
/// How long the start waits for the subscriptions.
const READY: Duration = Duration::from_secs(2);

/// A subscription at every sentinel, each with a thread that ends soon after this was dropped.
pub(crate) struct Listener {
    heard: Receiver<Instant>,
    _wanted: Sender<()>,
}

impl Listener {
    /// Subscribes, and fails when no sentinel can be listened to.
    pub(crate) fn start(deployment: &Deployment) -> Result<Listener, Failure> {
        let count = deployment.sentinels().len();
        let (tell, heard) = bounded(1);
        let (wanted, unwanted) = bounded(0);
        let (ready, readiness) = bounded(count);
        for sentinel in deployment.sentinels() {
            let ear = Ear { tell: tell.clone(), unwanted: unwanted.clone(), ready: ready.clone() };
            let (deployment, sentinel) = (deployment.clone(), sentinel.clone());
            thread::Builder::new()
                .name(format!("ear {sentinel}"))
                .spawn(move || {
                    if let Err(error) = ear.listen(&deployment, &sentinel) {
                        let _ = ear.ready.send(Err(format!("{sentinel}: {error}")));
                    }
                })
                .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
        }
        let deadline = Instant::now() + READY;
        let answers: Vec<Result<(), String>> =
            (0..count).map_while(|_| readiness.recv_deadline(deadline).ok()).collect();
        if answers.iter().any(Result::is_ok) {
            return Ok(Listener { heard, _wanted: wanted });
        }
        let reasons: Vec<String> = answers.into_iter().filter_map(Result::err).collect();
        Err(Failure::new(format!(
            "no sentinel can be listened to; see that one of them can be reached: {}",
            reasons.join("; ")
        )))
    }

    pub(crate) fn announcement(&self, timeout: Duration) -> Option<Instant> {
        self.heard.recv_timeout(timeout).ok()
    }
}

struct Ear {
    tell: Sender<Instant>,
    unwanted: Receiver<()>,
    ready: Sender<Result<(), String>>,
}

impl Ear {
    fn listen(&self, deployment: &Deployment, sentinel: &Address) -> RedisResult<()> {
        let mut sentinel = deployment.dialer().sentinel(sentinel)?;
        sentinel.subscribe(&["+switch-master"])?;
        let _ = self.ready.send(Ok(()));
        while matches!(self.unwanted.try_recv(), Err(TryRecvError::Empty)) {
            let Some(message) = sentinel.next(Instant::now() + SLICE)? else { continue };
            let at = Instant::now();
            if message.payload.split(' ').next() == Some(deployment.service()) {
                // Full: another sentinel was first.
                let _ = self.tell.try_send(at);
                break;
            }
        }
        Ok(())
    }
}
