//! When a command that runs on is to end: at the end of its input, or at a signal.

use std::{io, thread};

use crossbeam_channel::{Receiver, bounded};

use crate::failure::Failure;

/// A receiver that gets a message at SIGINT, SIGTERM or SIGHUP and, if asked for, at the end of
/// the input.
pub(crate) fn requested(at_end_of_input: bool) -> Result<Receiver<()>, Failure> {
    let (stop, stopped) = bounded(1);
    let signal = stop.clone();
    ctrlc::set_handler(move || {
        // Full: it is already ending.
        let _ = signal.try_send(());
    })
    .map_err(|error| Failure::new(format!("cannot wait for signals: {error}")))?;
    if at_end_of_input {
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
                let _ = stop.try_send(());
            })
            .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    }
    Ok(stopped)
}
