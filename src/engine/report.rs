//! What the worker says, at a rate a person can use: text as often as it is asked for, progress at most 20 times a second, all of it in order.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::outbox::append;
use crate::protocol::{Event, JobId, Stage, TokenBatch};

/// Progress of a stage is at least this far apart.
const PROGRESS_EVERY: Duration = Duration::from_millis(50);

/// Passes events on, merging what comes too fast. What was held back follows by itself as soon as it may.
pub struct Reporter {
    shared: Arc<Shared>,
}

struct Shared {
    out: Box<dyn Fn(Event) + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    job: Option<JobId>,
    text_every: Duration,
    text: Option<TokenBatch>,
    text_sent: Option<Instant>,
    progress: Option<(Stage, u64, u64)>,
    progress_sent: Option<(Stage, Instant)>,
    closed: bool,
}

impl Reporter {
    /// A reporter that hands everything to `out`, from the worker's thread or its own.
    pub fn new(out: impl Fn(Event) + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared { out: Box::new(out), state: Mutex::default(), changed: Condvar::new() });
        let late = Arc::clone(&shared);
        // Without this thread, held text would wait for the next event instead of for the clock: worse, but nothing is lost.
        drop(std::thread::Builder::new().name("engine-flush".into()).spawn(move || late.run()));
        Self { shared }
    }

    /// Says something that is about no running job (`Hello`, log lines, the answer for a job that never ran).
    pub fn say(&self, event: Event) {
        let _order = self.shared.lock();
        (self.shared.out)(event);
    }

    /// From now on, events are about this job, whose pieces of text are at least `text_every` apart.
    pub fn begin(&self, job: JobId, text_every: Duration) {
        let mut state = self.shared.lock();
        *state = State { job: Some(job), text_every, closed: state.closed, ..State::default() };
    }

    /// The running job is over; `answer` is the last that is said about it.
    pub fn end(&self, answer: Event) {
        let mut state = self.shared.lock();
        self.shared.flush(&mut state, None);
        state.job = None;
        (self.shared.out)(answer);
    }

    /// Says what is held back, and that nothing more comes about the running job.
    pub fn abandon(&self) {
        let mut state = self.shared.lock();
        self.shared.flush(&mut state, None);
        state.job = None;
    }

    /// What a job's emit function calls: only for the running job, never a terminal event (that is the worker's to say).
    pub fn relay(&self) -> impl Fn(Event) + Send + use<> {
        let shared = Arc::clone(&self.shared);
        move |event| shared.relay(event)
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay(&self, event: Event) {
        let mut state = self.lock();
        if event.ends().is_some() || event.job().is_some_and(|job| state.job != Some(job)) {
            return;
        }
        let now = Instant::now();
        let held = (state.text.is_some(), state.progress.is_some());
        match event {
            Event::Tokens { batch, .. } => {
                match &mut state.text {
                    Some(held) => append(held, batch),
                    None => state.text = Some(batch),
                }
                self.flush(&mut state, Some(now));
            }
            Event::Progress { stage, done, total, .. } => {
                if state.progress.is_some_and(|(held, ..)| held != stage) {
                    self.flush(&mut state, None);
                }
                state.progress = Some((stage, done, total));
                self.flush(&mut state, Some(now));
            }
            Event::Log { .. } => (self.out)(event),
            _ => {
                self.flush(&mut state, None);
                (self.out)(event);
            }
        }
        // the thread knows when what it waits for is due: waking it for every token would take a core from computing the next
        if (state.text.is_some() && !held.0) || (state.progress.is_some() && !held.1) {
            self.changed.notify_one();
        }
    }

    /// Says what may be said at `now`; everything without a `now`.
    fn flush(&self, state: &mut State, now: Option<Instant>) {
        let Some(job) = state.job else { return };
        if let Some((stage, done, total)) = state.progress {
            let due = done >= total || progress_due(state, stage).is_none_or(|due| now.is_none_or(|now| now >= due));
            if due {
                state.progress = None;
                state.progress_sent = Some((stage, now.unwrap_or_else(Instant::now)));
                (self.out)(Event::Progress { job, stage, done, total });
            }
        }
        if now.is_none_or(|now| text_due(state).is_none_or(|due| now >= due))
            && let Some(batch) = state.text.take()
        {
            state.text_sent = Some(now.unwrap_or_else(Instant::now));
            (self.out)(Event::Tokens { job, batch });
        }
    }

    /// Says late what was held back and not followed by anything.
    fn run(&self) {
        let mut state = self.lock();
        while !state.closed {
            let due = [state.text.as_ref().map(|_| text_due(&state)), state.progress.map(|(stage, ..)| progress_due(&state, stage))];
            let now = Instant::now();
            match due.into_iter().flatten().map(|due| due.unwrap_or(now)).min() {
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due <= now => self.flush(&mut state, Some(now)),
                Some(due) => state = self.changed.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0,
            }
        }
    }
}

fn text_due(state: &State) -> Option<Instant> {
    state.text_sent.map(|at| at + state.text_every)
}

fn progress_due(state: &State, stage: Stage) -> Option<Instant> {
    state.progress_sent.filter(|(sent, _)| *sent == stage).map(|(_, at)| at + PROGRESS_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(7);
    const TEXT_EVERY: Duration = Duration::from_micros(33_334);

    fn reporter(text_every: Duration) -> (Reporter, Arc<Mutex<Vec<(Instant, Event)>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&said);
        let reporter = Reporter::new(move |event| log.lock().unwrap().push((Instant::now(), event)));
        reporter.begin(JOB, text_every);
        (reporter, said)
    }

    fn token(n: u32) -> Event {
        Event::Tokens { job: JOB, batch: TokenBatch { text: format!("{n} "), n: 1, total: n, ..TokenBatch::default() } }
    }

    #[test]
    fn fast_text_is_merged_and_keeps_its_order() {
        let (often, seldom) = (merged(TEXT_EVERY), merged(TEXT_EVERY * 3));
        assert!((2..=17).contains(&often), "{often} pieces in half a second");
        assert!((2..=7).contains(&seldom), "{seldom} pieces in half a second");
    }

    /// Half a second of fast text: how many pieces come of it.
    fn merged(text_every: Duration) -> usize {
        let (reporter, said) = reporter(text_every);
        let emit = reporter.relay();
        let start = Instant::now();
        let mut n = 0;
        while start.elapsed() < Duration::from_millis(500) {
            n += 1;
            emit(token(n));
            std::thread::sleep(Duration::from_micros(100));
        }
        reporter.end(Event::Done { job: JOB });
        let said = said.lock().unwrap();
        let batches = said.iter().filter(|(_, e)| matches!(e, Event::Tokens { .. })).count();
        assert!(said[0].0 - start < Duration::from_millis(20), "the first token is not held back");
        let text: String =
            said.iter().filter_map(|(_, e)| if let Event::Tokens { batch, .. } = e { Some(&*batch.text) } else { None }).collect();
        assert_eq!(text, (1..=n).map(|n| format!("{n} ")).collect::<String>());
        assert!(matches!(said.last(), Some((_, Event::Done { .. }))), "all text is said before the end");
        batches
    }

    #[test]
    fn held_text_follows_by_itself() {
        let (reporter, said) = reporter(TEXT_EVERY);
        let emit = reporter.relay();
        emit(token(1));
        emit(token(2));
        assert_eq!(said.lock().unwrap().len(), 1);
        std::thread::sleep(TEXT_EVERY * 3);
        assert_eq!(said.lock().unwrap().len(), 2, "a stalled engine must not keep text to itself");
    }

    #[test]
    fn progress_is_limited_but_its_end_is_said() {
        let (reporter, said) = reporter(TEXT_EVERY);
        let emit = reporter.relay();
        let start = Instant::now();
        for done in 0..=1000 {
            emit(Event::Progress { job: JOB, stage: Stage::Load, done, total: 1000 });
        }
        emit(Event::Progress { job: JOB, stage: Stage::Prefill, done: 1, total: 9 });
        let elapsed = start.elapsed();
        let said = said.lock().unwrap();
        let done: Vec<u64> =
            said.iter().filter_map(|(_, e)| if let Event::Progress { done, .. } = e { Some(*done) } else { None }).collect();
        assert!(done.len() as u128 <= 3 + elapsed.as_millis() / 50, "{done:?} in {elapsed:?}");
        assert!(done.ends_with(&[1000, 1]), "{done:?}: the last of a stage and the first of the next are said at once");
        assert_eq!(done[0], 0);
    }

    #[test]
    fn strangers_and_terminal_events_do_not_pass() {
        let (reporter, said) = reporter(TEXT_EVERY);
        let emit = reporter.relay();
        emit(Event::Done { job: JOB });
        emit(Event::Progress { job: JobId(8), stage: Stage::Load, done: 1, total: 2 });
        reporter.end(Event::Done { job: JOB });
        emit(token(1));
        let said = said.lock().unwrap();
        assert_eq!(said.len(), 1, "{said:?}");
    }
}
