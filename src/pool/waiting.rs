//! The waiting room: threads that wait for a handle, in the order in which they came.
//!
//! r2d2 has a queue of its own, but it strands its waiters when the pool is replaced, when a broken
//! connection comes back, and when the server is away. So nobody waits inside r2d2: whoever finds
//! nothing waits here, across generations, until called to look again.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering};

pub(crate) struct WaitingRoom {
    queue: Mutex<VecDeque<Arc<Seat>>>,
    /// The length of the queue, readable without the lock: the fast path asks only this.
    waiting: AtomicUsize,
}

struct Seat {
    called: Mutex<bool>,
    bell: Condvar,
}

/// A place in the queue. Leaving it, by success or by giving up, calls the next one.
pub(crate) struct Ticket<'a> {
    room: &'a WaitingRoom,
    seat: Arc<Seat>,
}

impl WaitingRoom {
    pub(crate) fn new() -> WaitingRoom {
        WaitingRoom { queue: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    /// Whether anybody waits. A newcomer that finds somebody queues up behind.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Takes the last place. Only the first in the queue looks for a connection, so nobody is
    /// overtaken; it has to look once after this, before it waits, or it could miss what came
    /// between its first look and its taking a place.
    pub(crate) fn enter(&self) -> Ticket<'_> {
        let seat = Arc::new(Seat { called: Mutex::new(false), bell: Condvar::new() });
        let mut queue = self.queue.lock();
        queue.push_back(seat.clone());
        if queue.len() == 1 {
            *seat.called.lock() = true;
        }
        self.waiting.store(queue.len(), Ordering::SeqCst);
        Ticket { room: self, seat }
    }

    /// Asks the first in the queue to look: something came back, was born, or was switched.
    #[inline]
    pub(crate) fn call(&self) {
        if !self.is_empty() {
            self.call_one();
        }
    }

    #[cold]
    fn call_one(&self) {
        Self::call_first(&self.queue.lock());
    }

    fn call_first(queue: &VecDeque<Arc<Seat>>) {
        if let Some(first) = queue.front() {
            *first.called.lock() = true;
            first.bell.notify_one();
        }
    }
}

impl Ticket<'_> {
    /// Waits to be called. `false`: the deadline came first.
    pub(crate) fn wait_until(&self, deadline: Instant) -> bool {
        let mut called = self.seat.called.lock();
        while !*called {
            if self.seat.bell.wait_until(&mut called, deadline).timed_out() && !*called {
                return false;
            }
        }
        *called = false;
        true
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut queue = self.room.queue.lock();
        queue.retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        self.room.waiting.store(queue.len(), Ordering::SeqCst);
        WaitingRoom::call_first(&queue);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    #[test]
    fn they_are_called_in_the_order_in_which_they_came() {
        let room = Arc::new(WaitingRoom::new());
        let (served, order) = crossbeam_channel::unbounded();
        let (grant, grants) = crossbeam_channel::unbounded::<()>();
        let threads: Vec<_> = (0..5)
            .map(|number| {
                let (room2, served, grants) = (room.clone(), served.clone(), grants.clone());
                let thread = thread::spawn(move || {
                    let ticket = room2.enter();
                    let deadline = Instant::now() + Duration::from_secs(10);
                    while ticket.wait_until(deadline) {
                        if grants.try_recv().is_ok() {
                            served.send(number).unwrap();
                            return;
                        }
                    }
                });
                while room.len() < number + 1 {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        for expected in 0..5 {
            grant.send(()).unwrap();
            room.call();
            assert_eq!(order.recv_timeout(Duration::from_secs(10)), Ok(expected));
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(room.is_empty());
    }

    #[test]
    fn who_gives_up_leaves_the_place_to_the_next() {
        let room = WaitingRoom::new();
        let first = room.enter();
        assert!(first.wait_until(Instant::now()), "the first looks at once");
        assert!(!first.wait_until(Instant::now() + Duration::from_millis(1)));
        let second = room.enter();
        assert!(!second.wait_until(Instant::now()), "it is not the second's turn");
        drop(first);
        assert!(second.wait_until(Instant::now() + Duration::from_secs(10)));
    }
}
