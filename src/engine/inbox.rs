//! The engine's side of a queue: commands wait here for the one worker, and a cancellation reaches the running job at once.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId};

/// Commands that may wait; more are refused, whoever sends them.
const MAX_WAITING: usize = 1024;

/// Commands on their way to the worker.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(JobId, Command)>,
    running: Option<Running>,
    closed: bool,
}

struct Running {
    job: JobId,
    cancel: Arc<AtomicBool>,
    quantize_target: Option<PathBuf>,
}

/// What became of a command.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// It waits, or had its effect
    Taken,
    /// It ends here, with this answer
    Answer(Event),
    /// The engine is asked to end
    Quit,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a command from outside.
    pub fn accept(&self, command: Command) -> Verdict {
        let mut state = self.lock();
        match command {
            Command::Shutdown => Verdict::Quit,
            Command::Cancel { job } => {
                if let Some(running) = state.running.as_ref().filter(|running| running.job == job) {
                    running.cancel.store(true, Ordering::Relaxed);
                } else if let Some(at) = state.waiting.iter().position(|(id, _)| *id == job) {
                    state.waiting.remove(at);
                    return Verdict::Answer(Event::Failed { job, error: EngineError::cancelled() });
                }
                Verdict::Taken
            }
            work => {
                let Some(job) = work.job() else { return Verdict::Taken };
                if state.waiting.len() >= MAX_WAITING {
                    let error = EngineError::new(ErrorKind::InvalidRequest, format!("{MAX_WAITING} requests are already waiting"))
                        .hint("Wait for some to finish, or cancel them");
                    return Verdict::Answer(Event::Failed { job, error });
                }
                state.waiting.push_back((job, work));
                self.ready.notify_one();
                Verdict::Taken
            }
        }
    }

    /// The next command and the flag that cancels it; waits for one. `None` once closed.
    pub fn next(&self) -> Option<(JobId, Command, Arc<AtomicBool>)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((job, command)) = state.waiting.pop_front() {
                let cancel = Arc::new(AtomicBool::new(false));
                let quantize_target = match &command {
                    Command::Quantize { request, .. } => Some(request.target.clone()),
                    _ => None,
                };
                state.running = Some(Running { job, cancel: Arc::clone(&cancel), quantize_target });
                return Some((job, command, cancel));
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The running job is over.
    pub fn finished(&self) {
        self.lock().running = None;
    }

    /// Cancels what runs, forgets what waits and lets the worker end.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        if let Some(running) = &state.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
        self.ready.notify_all();
    }

    /// Whether a job runs.
    pub fn is_busy(&self) -> bool {
        self.lock().running.is_some()
    }

    /// The file that is being made, if one is.
    pub fn quantize_target(&self) -> Option<PathBuf> {
        self.lock().running.as_ref().and_then(|running| running.quantize_target.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(job: u64) -> Command {
        Command::Probe { job: JobId(job), threads: 0 }
    }

    #[test]
    fn cancelling_reaches_the_running_job_and_removes_a_waiting_one() {
        let inbox = Inbox::default();
        for job in 1..=3 {
            assert_eq!(inbox.accept(probe(job)), Verdict::Taken);
        }
        let (job, _, cancel) = inbox.next().unwrap();
        assert_eq!(job, JobId(1));
        assert!(inbox.is_busy());
        assert_eq!(
            inbox.accept(Command::Cancel { job: JobId(2) }),
            Verdict::Answer(Event::Failed { job: JobId(2), error: EngineError::cancelled() })
        );
        assert_eq!(inbox.accept(Command::Cancel { job: JobId(2) }), Verdict::Taken, "one answer, not two");
        assert!(!cancel.load(Ordering::Relaxed));
        inbox.accept(Command::Cancel { job: JobId(1) });
        assert!(cancel.load(Ordering::Relaxed));
        inbox.finished();
        inbox.accept(Command::Cancel { job: JobId(1) });
        let (job, _, cancel) = inbox.next().unwrap();
        assert_eq!(job, JobId(3));
        assert!(!cancel.load(Ordering::Relaxed), "a late cancellation must not hit the next job");
    }

    #[test]
    fn closing_cancels_and_ends() {
        let inbox = Inbox::default();
        inbox.accept(probe(1));
        inbox.accept(probe(2));
        let (_, _, cancel) = inbox.next().unwrap();
        inbox.close();
        assert!(cancel.load(Ordering::Relaxed));
        assert!(inbox.next().is_none());
    }

    #[test]
    fn a_flood_is_refused_with_an_answer() {
        let inbox = Inbox::default();
        for job in 0..MAX_WAITING as u64 {
            assert_eq!(inbox.accept(probe(job)), Verdict::Taken);
        }
        assert!(matches!(inbox.accept(probe(5000)), Verdict::Answer(Event::Failed { job: JobId(5000), .. })));
        assert_eq!(inbox.accept(Command::Shutdown), Verdict::Quit);
    }
}
