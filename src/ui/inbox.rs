//! Where everything that happens off the UI thread arrives, however long no frame is painted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::app::{Action, Answer};
use crate::protocol::{Event, LogLevel};

/// Log lines kept while nobody looks.
const LOG_LINES: usize = 500;
/// Samples kept while nobody looks: the plots have no gap after a hidden or quiet stretch of half an hour.
const SAMPLES: usize = 1000;

/// One thing that happened.
#[derive(Debug)]
pub enum Inbound {
    /// The engine spoke
    Event(Event),
    /// The engine that makes rungs spoke
    Maker(Event),
    /// The store or the background worker answered
    Answer(Answer),
    /// A dialog ended in something to do
    Action(Action),
    /// A dialog named where the picture of the plots goes
    PlotsPng(PathBuf),
}

/// A queue that stays small by merging: text of one reply becomes one piece, samples and log lines are bounded.
///
/// A bounded channel would either block the threads that fill it or drop control events when the window is hidden and paints nothing.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<VecDeque<Inbound>>,
}

impl Inbox {
    /// Adds something that happened.
    pub fn push(&self, inbound: Inbound) {
        let mut queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match inbound {
            Inbound::Event(Event::Tokens { job, batch }) => {
                if let Some(Inbound::Event(Event::Tokens { job: last, batch: merged })) = queue.back_mut()
                    && *last == job
                {
                    merged.text.push_str(&batch.text);
                    merged.n += batch.n;
                    merged.total = batch.total;
                    merged.last = batch.last;
                    merged.kv_used = batch.kv_used;
                } else {
                    queue.push_back(Inbound::Event(Event::Tokens { job, batch }));
                }
            }
            Inbound::Event(event @ Event::Sample { .. }) => {
                let is_sample = |known: &Inbound| matches!(known, Inbound::Event(Event::Sample { .. }));
                if queue.iter().filter(|known| is_sample(known)).count() >= SAMPLES
                    && let Some(oldest) = queue.iter().position(is_sample)
                {
                    queue.remove(oldest);
                }
                queue.push_back(Inbound::Event(event));
            }
            Inbound::Event(Event::Progress { job, stage, done, total }) => {
                if let Some(Inbound::Event(Event::Progress { job: last, stage: same, done: latest, total: of })) = queue.back_mut()
                    && *last == job
                    && *same == stage
                {
                    (*latest, *of) = (done, total);
                } else {
                    queue.push_back(Inbound::Event(Event::Progress { job, stage, done, total }));
                }
            }
            Inbound::Event(event @ Event::Log { level, .. }) => {
                let logs = queue.iter().filter(|known| matches!(known, Inbound::Event(Event::Log { .. }))).count();
                if level > LogLevel::Debug && logs < LOG_LINES {
                    queue.push_back(Inbound::Event(event));
                }
            }
            other => queue.push_back(other),
        }
    }

    /// Takes the oldest.
    pub fn pop(&self) -> Option<Inbound> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{JobId, Sample, TokenBatch};

    fn tokens(job: u64, text: &str, total: u32) -> Inbound {
        let batch = TokenBatch { text: text.into(), n: 1, total, last: f64::from(total), ..TokenBatch::default() };
        Inbound::Event(Event::Tokens { job: JobId(job), batch })
    }

    #[test]
    fn text_of_one_reply_becomes_one_piece() {
        let inbox = Inbox::default();
        for total in 1..=10_000 {
            inbox.push(tokens(1, "é", total));
        }
        inbox.push(tokens(2, "x", 1));
        assert_eq!(inbox.len(), 2);
        let Some(Inbound::Event(Event::Tokens { batch, .. })) = inbox.pop() else { panic!("tokens come first") };
        assert_eq!((batch.text.chars().count(), batch.n, batch.total, batch.last), (10_000, 10_000, 10_000, 10_000.0));
    }

    #[test]
    fn samples_wait_for_a_frame_up_to_a_bound() {
        let inbox = Inbox::default();
        for at in 0..1500 {
            inbox.push(Inbound::Event(Event::Sample { sample: Sample { at: f64::from(at), ..Sample::default() } }));
        }
        assert_eq!(inbox.len(), SAMPLES);
        let Some(Inbound::Event(Event::Sample { sample })) = inbox.pop() else { panic!("only samples wait") };
        assert_eq!(sample.at, 500.0);
    }

    #[test]
    fn control_events_are_never_dropped() {
        let inbox = Inbox::default();
        for job in 0..5_000 {
            inbox.push(Inbound::Event(Event::Done { job: JobId(job) }));
            inbox.push(Inbound::Event(Event::Log { level: LogLevel::Info, line: "x".into() }));
        }
        let done = std::iter::from_fn(|| inbox.pop()).filter(|inbound| matches!(inbound, Inbound::Event(Event::Done { .. }))).count();
        assert_eq!(done, 5_000);
    }
}
