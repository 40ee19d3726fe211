//! Much that waits, at the same time: [`at_once`].

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use crossbeam_channel::unbounded;

/// So many threads at most: a deployment may have a thousand servers, and a container few threads.
const CREW: usize = 128;

/// Does this with each of them, and gives what came of each in their order: nothing where it panicked.
pub(crate) fn at_once<I: Sync, O: Send>(
    items: &[I],
    work: impl Fn(&I) -> O + Sync,
) -> Vec<Option<O>> {
    let next = AtomicUsize::new(0);
    let (sender, done) = unbounded();
    let take_turns = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            // It is received below, when all have ended.
            let _ = sender.send((index, work(item)));
        }
    };
    thread::scope(|scope| {
        let mut crew = Vec::new();
        for _ in 0..items.len().min(CREW) {
            match thread::Builder::new().spawn_scoped(scope, take_turns) {
                Ok(one) => crew.push(one),
                // Those that there are do it, or else this one.
                Err(_) if crew.is_empty() => return take_turns(),
                Err(_) => break,
            }
        }
        for one in crew {
            // What it has not done is missing below.
            let _ = one.join();
        }
    });
    let mut results: Vec<Option<O>> = items.iter().map(|_| None).collect();
    for (index, result) in done.try_iter() {
        results[index] = Some(result);
    }
    results
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_is_done_in_order_and_by_no_more_than_there_are_places() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let items: Vec<usize> = (0..3 * CREW).collect();
        let results = at_once(&items, |item| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            now.fetch_sub(1, Ordering::SeqCst);
            item * 2
        });
        let expected: Vec<Option<usize>> = items.iter().map(|item| Some(item * 2)).collect();
        assert_eq!(results, expected);
        assert!((2..=CREW).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    }

    #[test]
    fn what_panics_is_missing() {
        let results = at_once(&[1, 2, 3], |item| {
            assert_ne!(*item, 2, "on purpose");
            *item
        });
        assert_eq!(results, [Some(1), None, Some(3)]);
        assert_eq!(at_once(&[], |_: &u8| ()), []);
    }
}
