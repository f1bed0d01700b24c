//! Engines: whatever turns a design into tokens, behind one contract.
//!
//! [`Engine`] is all that the window, the command line and the server see: commands go in, events come out, and neither ever blocks the
//! caller. Behind it a supervisor thread owns the engine's process (or thread), tells its death from its silence, and brings it back.
//!
//! ```text
//! Engine ─ commands, cancels ─▶ supervisor ─ link ─▶ host (child process) or thread ─▶ worker ─▶ backend
//!    ▲                              │
//!    └── events ◀─ outbox ◀─────────┴── telemetry sampler
//! ```
//!
//! **Invariant:** every job that was accepted ends with exactly one terminal event, or is named in one `Died`.

pub mod backend;
pub mod examine;
pub mod factory;
pub mod fake;
pub mod host;
#[cfg(feature = "llama")]
pub mod llama;
pub mod logs;
pub mod telemetry;

mod death;
mod inbox;
mod jobs;
mod link;
mod outbox;
mod place;
mod report;
mod supervisor;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId};
use outbox::Outbox;
pub use place::{ChildOptions, Limits, Place, Waker};
use supervisor::Supervisor;
use telemetry::{Pace, Sampler};

/// Commands that may wait for the supervisor.
const COMMANDS: usize = 64;

/// A running engine. Dropping it ends the engine, its process and its threads within two seconds.
pub struct Engine {
    commands: Option<Sender<Command>>,
    bell: Sender<()>,
    controls: Arc<Controls>,
    events: Receiver<Event>,
    pace: Arc<Pace>,
    outbox: Outbox,
    sampler: Option<Sampler>,
    supervisor: Option<JoinHandle<()>>,
}

/// What must not wait in a queue: shared with the supervisor, who looks when the bell rings.
#[derive(Debug, Default)]
struct Controls {
    wishes: Mutex<Wishes>,
    /// Of the engine's process; 0 = none
    pid: AtomicU32,
}

#[derive(Debug, Default)]
struct Wishes {
    cancels: Vec<JobId>,
    restart: bool,
    kill: bool,
}

impl Controls {
    fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take(&self) -> Wishes {
        std::mem::take(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Starts an engine. It says `Hello` when it is ready; commands sent earlier wait for it.
    ///
    /// # Errors
    /// `Engine` when the system gives no thread. A program that does not start is reported as `Died`, like any later death.
    pub fn spawn(place: Place, waker: Waker) -> Result<Self, EngineError> {
        Self::spawn_with(place, waker, Limits::default())
    }

    /// As [`Engine::spawn`], with other patience.
    ///
    /// # Errors
    /// As [`Engine::spawn`].
    pub fn spawn_with(place: Place, waker: Waker, limits: Limits) -> Result<Self, EngineError> {
        let (outbox, events) = Outbox::new(waker)?;
        let (commands, command_queue) = bounded(COMMANDS);
        let (bell, rung) = bounded(1);
        let controls = Arc::new(Controls::default());
        let pace = Arc::new(Pace::default());
        let (own_controls, own_outbox, own_pace) = (Arc::clone(&controls), outbox.clone(), Arc::clone(&pace));
        let thread = std::thread::Builder::new()
            .name("engine-supervisor".into())
            .spawn(move || supervise(&place, limits, &own_controls, &own_outbox, &own_pace, &command_queue, &rung))
            .map_err(|error| {
                outbox.close();
                EngineError::new(ErrorKind::Engine, format!("The system gave no thread for the engine: {error}"))
                    .hint("Close other programs and try again")
            })?;
        let sampled = Arc::clone(&controls);
        let sampler = Sampler::spawn(outbox.clone(), Arc::clone(&pace), move || match sampled.pid.load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        });
        Ok(Self { commands: Some(commands), bell, controls, events, pace, outbox, sampler, supervisor: Some(thread) })
    }

    /// Hands a command over; never waits. `Cancel` always gets through and overtakes what waits.
    ///
    /// # Errors
    /// `InvalidRequest` when too many commands wait or a sampler's value is not a number; `Engine` when the supervisor has ended.
    pub fn send(&self, command: Command) -> Result<(), EngineError> {
        let gone = || EngineError::new(ErrorKind::Engine, "The engine's supervisor has ended").hint("Start the application again");
        if let Command::Cancel { job } = command {
            self.controls.wish(|wishes| {
                if !wishes.cancels.contains(&job) {
                    wishes.cancels.push(job);
                }
            });
            self.ring();
            return Ok(());
        }
        check(&command)?;
        match self.commands.as_ref().ok_or_else(gone)?.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err(EngineError::new(ErrorKind::InvalidRequest, format!("{COMMANDS} requests are already waiting for the engine"))
                    .hint("Wait for some to finish, or cancel them"))
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    /// Where its events arrive.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Ends the engine at once and starts a fresh one, which has no model loaded. Jobs under way are named in a `Died` of kind `Killed`.
    pub fn restart(&self) {
        self.controls.wish(|wishes| wishes.restart = true);
        self.ring();
    }

    /// Ends the engine at once; it starts again with the next command. Jobs under way are named in a `Died` of kind `Killed`.
    pub fn kill(&self) {
        self.controls.wish(|wishes| wishes.kill = true);
        self.ring();
    }

    /// Process id of the engine; `None` while it is not running or runs in this process.
    pub fn pid(&self) -> Option<u32> {
        match self.controls.pid.load(Ordering::Relaxed) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// How often the machine is sampled; can be changed at any time.
    pub fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// The supervisor looks after the bell rang; a bell that has not been answered yet is rung already.
    fn ring(&self) {
        match self.bell.try_send(()) {
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Refuses what no engine can do and what would be lost on the way to one.
fn check(command: &Command) -> Result<(), EngineError> {
    match command {
        Command::Load { request, .. } => request.design.sampler.check(),
        Command::Generate { request, .. } | Command::Prefill { request, .. } => request.sampler.check(),
        _ => Ok(()),
    }
}

/// Runs supervisors until one ends in peace. A bug in one must not leave the window without an engine and without a word.
fn supervise(
    place: &Place,
    limits: Limits,
    controls: &Arc<Controls>,
    outbox: &Outbox,
    pace: &Arc<Pace>,
    commands: &Receiver<Command>,
    bell: &Receiver<()>,
) {
    loop {
        let supervisor = Supervisor::new(place.clone(), limits, Arc::clone(controls), outbox.clone(), Arc::clone(pace));
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| supervisor.run(commands, bell))) else { return };
        controls.pid.store(0, Ordering::Relaxed);
        let what = format!("The engine's supervisor stopped on an internal error: {}", worker::panic_text(&*panic));
        let error = EngineError::new(ErrorKind::Crashed, what).hint("Load the model again to go on");
        outbox.push(Event::Died { jobs: Vec::new(), error });
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.sampler.take());
        drop(self.commands.take());
        if let Some(thread) = self.supervisor.take() {
            // A supervisor that panicked has dropped its link, which ended the engine.
            drop(thread.join());
        }
        self.outbox.close();
    }
}
