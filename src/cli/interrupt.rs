//! Ctrl-C: the first one asks the running job to stop, which keeps what it has; the second, or one while nothing runs, ends the program.
//!
//! It is never death by signal: the exit status is that of an answer that was not given.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::error::NO;

static CHANNEL: OnceLock<(Sender<()>, Receiver<()>)> = OnceLock::new();
/// A job runs that has not been asked to stop yet.
static ARMED: AtomicBool = AtomicBool::new(false);

/// Takes Ctrl-C over, once per process, and gives the channel on which the first press of each job arrives.
pub fn presses() -> &'static Receiver<()> {
    let mut first = false;
    let (presses, arrivals) = CHANNEL.get_or_init(|| {
        first = true;
        bounded(1)
    });
    if first {
        // Where the system refuses, Ctrl-C does what it always does.
        drop(ctrlc::set_handler(move || {
            if ARMED.swap(false, Ordering::SeqCst) {
                let _full = presses.try_send(());
            } else {
                std::process::exit(NO.into());
            }
        }));
    }
    arrivals
}

/// While this lives, the next Ctrl-C goes to [`presses`].
pub struct Armed(());

impl Armed {
    /// From now on.
    pub fn new() -> Self {
        // one that was not looked at belonged to an earlier job
        let _earlier = presses().try_recv();
        ARMED.store(true, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        ARMED.store(false, Ordering::SeqCst);
    }
}
