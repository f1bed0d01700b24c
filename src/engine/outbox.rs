//! The way of events to whoever listens: a bounded channel that never blocks the sender, never loses what matters, and stays small
//! when nobody drains it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::place::Waker;
use crate::protocol::{EngineError, ErrorKind, Event, LogLevel, TokenBatch};

/// Events that fit in the channel; what comes after waits in the backlog, merged.
pub const CAPACITY: usize = 1024;

/// Log lines that may wait in the backlog; older ones are counted and left out.
const MAX_LOGS: usize = 200;

/// How soon a listener that caught up gets what had to wait.
const RETRY: Duration = Duration::from_millis(10);

/// The sending side. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

struct Shared {
    sender: Sender<Event>,
    state: Mutex<State>,
    changed: Condvar,
    waker: Waker,
}

#[derive(Default)]
struct State {
    backlog: VecDeque<Event>,
    logs: usize,
    logs_left_out: u64,
    closed: bool,
}

impl Outbox {
    /// An outbox and the channel it fills. `waker` is called after events were queued, from whichever thread queued them.
    ///
    /// # Errors
    /// `Engine` when the system gives no thread.
    pub fn new(waker: Waker) -> Result<(Self, Receiver<Event>), EngineError> {
        let (sender, receiver) = bounded(CAPACITY);
        let shared = Arc::new(Shared { sender, state: Mutex::default(), changed: Condvar::new(), waker });
        let pump = Arc::clone(&shared);
        std::thread::Builder::new().name("engine-events".into()).spawn(move || pump.run()).map_err(|error| {
            EngineError::new(ErrorKind::Engine, format!("The system gave no thread for the engine's events: {error}"))
                .hint("Close other programs and try again")
        })?;
        Ok((Self { shared }, receiver))
    }

    /// Queues an event. Never blocks on the listener.
    pub fn push(&self, event: Event) {
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        let event = if state.backlog.is_empty() {
            match self.shared.sender.try_send(event) {
                Ok(()) => {
                    drop(state);
                    return (self.shared.waker)();
                }
                Err(TrySendError::Full(event)) => {
                    self.shared.changed.notify_one();
                    event
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        } else {
            event
        };
        state.keep(event);
    }

    /// Ends the pump; what still waits is dropped.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.backlog.clear();
        self.shared.changed.notify_one();
    }

    /// Events that wait because the channel is full.
    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.shared.lock().backlog.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the backlog into the channel as fast as the listener makes room; sleeps while there is none.
    fn run(&self) {
        let mut state = self.lock();
        while !state.closed {
            if state.backlog.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let mut moved = false;
            while let Some(event) = state.take() {
                match self.sender.try_send(event) {
                    Ok(()) => moved = true,
                    Err(TrySendError::Full(event)) => {
                        state.put_back(event);
                        break;
                    }
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
            if moved {
                drop(state);
                (self.waker)();
                state = self.lock();
            }
            if !state.backlog.is_empty() {
                state = self.changed.wait_timeout(state, RETRY).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

impl State {
    /// Keeps an event for later: pieces of text and measurements of the same thing become one, everything else queues.
    fn keep(&mut self, event: Event) {
        match event {
            Event::Tokens { job, batch } => match self.last_of(job) {
                Some(Event::Tokens { batch: earlier, .. }) => append(earlier, batch),
                _ => self.backlog.push_back(Event::Tokens { job, batch }),
            },
            Event::Progress { job, stage, done, total } => match self.last_of(job) {
                Some(Event::Progress { stage: s, done: earlier, total: of, .. }) if *s == stage => (*earlier, *of) = (done, total),
                _ => self.backlog.push_back(event),
            },
            Event::Sample { .. } => match self.backlog.iter_mut().find(|e| matches!(e, Event::Sample { .. })) {
                Some(earlier) => *earlier = event,
                None => self.backlog.push_back(event),
            },
            Event::Log { .. } => {
                if self.logs >= MAX_LOGS
                    && let Some(at) = self.backlog.iter().position(|e| matches!(e, Event::Log { .. }))
                {
                    self.backlog.remove(at);
                    self.logs -= 1;
                    self.logs_left_out += 1;
                }
                self.logs += 1;
                self.backlog.push_back(event);
            }
            _ => self.backlog.push_back(event),
        }
    }

    fn last_of(&mut self, job: crate::protocol::JobId) -> Option<&mut Event> {
        self.backlog.iter_mut().rev().find(|event| event.job() == Some(job))
    }

    fn take(&mut self) -> Option<Event> {
        if self.backlog.is_empty() && self.logs_left_out > 0 {
            let line = format!("{} log lines were left out because nobody read them in time", self.logs_left_out);
            self.logs_left_out = 0;
            return Some(Event::Log { level: LogLevel::Warn, line });
        }
        let event = self.backlog.pop_front()?;
        self.logs -= usize::from(matches!(event, Event::Log { .. }));
        Some(event)
    }

    fn put_back(&mut self, event: Event) {
        self.logs += usize::from(matches!(event, Event::Log { .. }));
        self.backlog.push_front(event);
    }
}

/// Makes one piece of text of two that follow each other.
pub fn append(earlier: &mut TokenBatch, later: TokenBatch) {
    earlier.text.push_str(&later.text);
    if earlier.n == 0 {
        earlier.first = later.first;
    }
    earlier.n += later.n;
    earlier.total = later.total;
    earlier.last = later.last;
    earlier.kv_used = later.kv_used;
    earlier.probs.extend(later.probs);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::protocol::{JobId, Sample, Stage};

    fn tokens(job: u64, n: u32) -> Event {
        let at = f64::from(n);
        let batch = TokenBatch { text: format!("{n} "), n: 1, total: n, first: at, last: at, kv_used: n, probs: Vec::new() };
        Event::Tokens { job: JobId(job), batch }
    }

    fn drain(receiver: &Receiver<Event>) -> Vec<Event> {
        let mut events = Vec::new();
        while let Ok(event) = receiver.recv_timeout(Duration::from_millis(100)) {
            events.push(event);
        }
        events
    }

    #[test]
    fn nobody_listening_costs_no_event_that_matters_and_no_character() {
        let wakes = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&wakes);
        let (outbox, receiver) = Outbox::new(Arc::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
        }))
        .unwrap();
        let start = Instant::now();
        for n in 1..=100_000 {
            outbox.push(tokens(1, n));
            if n % 1000 == 0 {
                outbox.push(Event::Sample { sample: Sample { at: n.into(), ..Sample::default() } });
                outbox.push(Event::Log { level: LogLevel::Info, line: format!("line {n}") });
            }
        }
        outbox.push(Event::Done { job: JobId(1) });
        assert!(start.elapsed() < Duration::from_secs(5), "the sender never waits for the listener");
        assert!(outbox.waiting() < 300, "{} events wait", outbox.waiting());
        assert_eq!(wakes.load(Ordering::Relaxed), CAPACITY);

        let events = drain(&receiver);
        let text: String =
            events.iter().filter_map(|e| if let Event::Tokens { batch, .. } = e { Some(&*batch.text) } else { None }).collect();
        assert_eq!(text, (1..=100_000).map(|n| format!("{n} ")).collect::<String>());
        let n: u32 = events.iter().filter_map(|e| if let Event::Tokens { batch, .. } = e { Some(batch.n) } else { None }).sum();
        assert_eq!(n, 100_000);
        let samples: Vec<f64> =
            events.iter().filter_map(|e| if let Event::Sample { sample } = e { Some(sample.at) } else { None }).collect();
        assert_eq!(samples.last(), Some(&100_000.0), "the newest sample is the one that is kept");
        assert_eq!(events.last(), Some(&Event::Done { job: JobId(1) }), "control events come last where they were said last");
    }

    #[test]
    fn only_neighbours_are_merged() {
        let mut state = State::default();
        let progress = |done| Event::Progress { job: JobId(1), stage: Stage::Prefill, done, total: 9 };
        for event in [progress(1), progress(2), tokens(1, 1), tokens(2, 1), tokens(1, 2), progress(3), tokens(1, 3)] {
            state.keep(event);
        }
        let mut merged = TokenBatch { text: "1 ".into(), n: 1, total: 1, first: 1.0, last: 1.0, kv_used: 1, probs: Vec::new() };
        append(&mut merged, TokenBatch { text: "2 ".into(), n: 1, total: 2, first: 2.0, last: 2.0, kv_used: 2, probs: Vec::new() });
        let expected = [progress(2), Event::Tokens { job: JobId(1), batch: merged }, tokens(2, 1), progress(3), tokens(1, 3)];
        assert_eq!(state.backlog, expected);
    }

    #[test]
    fn old_log_lines_are_left_out_and_said_so() {
        let (outbox, receiver) = Outbox::new(Arc::new(|| {})).unwrap();
        for n in 0..CAPACITY + MAX_LOGS + 50 {
            outbox.push(Event::Log { level: LogLevel::Info, line: n.to_string() });
        }
        let events = drain(&receiver);
        let Some(Event::Log { level: LogLevel::Warn, line }) = events.last() else { panic!("{:?}", events.last()) };
        assert!(line.starts_with("50 log lines"), "{line}");
        assert_eq!(events.len(), CAPACITY + MAX_LOGS + 1);
    }
}
