//! What a thread keeps at hand, so that a checkout takes no lock here: the factory that it used last,
//! and the slot of the handle that it released last.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering},
};

use super::{
    factory::{self, Opened},
    fork,
    guard::Failure,
    handle,
    slots::Spare,
};

pub(super) struct Corner {
    last: RefCell<Option<(usize, Arc<Opened>)>>,
    pub(super) spare: Spare,
}

thread_local! {
    static CORNER: Corner = const { Corner::new() };
}

impl Corner {
    const fn new() -> Corner {
        Corner { last: RefCell::new(None), spare: Spare::none() }
    }

    /// Runs something on the factory with this number.
    #[inline]
    pub(super) fn with_factory<R>(
        &self,
        number: usize,
        body: impl FnOnce(&Opened) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        match &*self.last.borrow() {
            Some((known, opened)) if *known == number && !opened.closed.load(Ordering::Acquire) => {
                return body(opened);
            }
            _ => {}
        }
        let opened = factory::find(number as *const _)?;
        let done = body(&opened);
        self.last.replace(Some((number, opened)));
        done
    }

    /// Forgets the factory, whichever it is.
    pub(super) fn forget(&self) {
        self.last.take();
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        // In a forked child the lock may be held by a thread that is not there.
        if fork::check().is_ok() {
            handle::put_back(&self.spare);
        }
    }
}

/// Runs something in the corner of this thread. A thread that ends has none any more, and gets one
/// for the moment.
#[inline]
pub(super) fn with<R>(body: impl FnOnce(&Corner) -> R) -> R {
    let mut body = Some(body);
    let mut run = |corner: &Corner| body.take().map(|body| body(corner));
    match CORNER.try_with(&mut run) {
        Ok(Some(done)) => done,
        _ => match run(&Corner::new()) {
            Some(done) => done,
            None => unreachable!("the thread's corner was there, or it was not"),
        },
    }
}
