//! Ending a subscription from another thread: [`Closer`].

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{connection::Ender, pool::Pool};

/// Ends a [`Subscription`](crate::Subscription) from any thread: see
/// [`Subscription::closer`](crate::Subscription::closer).
///
/// Cheap to clone. Dropping it ends nothing.
#[derive(Clone)]
pub struct Closer {
    shared: Arc<Shared>,
}

struct Shared {
    closed: AtomicBool,
    /// The present connection's.
    ender: Mutex<Option<Ender>>,
    pool: Weak<Pool>,
}

impl Closer {
    pub(super) fn new(pool: &Arc<Pool>) -> Closer {
        let shared = Shared {
            closed: AtomicBool::new(false),
            ender: Mutex::default(),
            pool: Arc::downgrade(pool),
        };
        Closer { shared: Arc::new(shared) }
    }

    /// Ends the subscription. A thread that waits for its next message wakes at once and gets `None`,
    /// or within `dial_timeout` if it was about to connect to a server that does not answer.
    ///
    /// Does not block. Calling it again does nothing.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(ender) = &*self.shared.ender.lock() {
            ender.end();
        }
        if let Some(pool) = self.shared.pool.upgrade() {
            pool.stir();
        }
    }

    /// Whether [`Closer::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    /// From now on there is this connection to end. Whoever calls this looks afterwards whether the
    /// subscription is closed.
    pub(super) fn watch_over(&self, ender: Ender) {
        *self.shared.ender.lock() = Some(ender);
    }
}

impl fmt::Debug for Closer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closer").field("closed", &self.is_closed()).finish()
    }
}
