//! Where everything that happens off the UI thread arrives, however long no frame is painted.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use crate::app::{Action, Answer, PlotRange};
use crate::protocol::{Event, JobId, LogLevel, Stage};

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
    /// The engine that measures spoke
    Measurer(Event),
    /// The engine that measures quality spoke
    Quality(Event),
    /// An engine of the Compare page spoke
    Lane(usize, Event),
    /// The store or the background worker answered
    Answer(Answer),
    /// A dialog ended in something to do
    Action(Action),
    /// A dialog named where the picture of the plots goes, and it shows these times
    PlotsPng(PathBuf, PlotRange),
}

/// A queue that stays small by merging: text of one reply becomes one piece, only the latest progress counts, samples and log lines are
/// bounded.
///
/// A bounded channel would either block the threads that fill it or drop control events when the window is hidden and paints nothing.
/// Everything is stamped when it arrives, so that what is measured does not depend on when the window looks.
#[derive(Debug, Default)]
pub struct Inbox {
    queue: Mutex<Queue>,
}

/// What waits, each with when it, or the last of what was merged into it, arrived.
type Queue = VecDeque<(Inbound, Instant)>;

impl Inbox {
    /// Adds something that happened.
    pub fn push(&self, inbound: Inbound) {
        let mut queue = self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        match inbound {
            Inbound::Event(Event::Tokens { job, mut batch }) => {
                // kept on disk and read from there by whoever looks
                batch.probs = Vec::new();
                if let Some((Inbound::Event(Event::Tokens { job: last, batch: merged }), at)) = queue.back_mut()
                    && *last == job
                {
                    merged.text.push_str(&batch.text);
                    merged.n += batch.n;
                    merged.total = batch.total;
                    merged.last = batch.last;
                    merged.kv_used = batch.kv_used;
                    *at = now;
                } else {
                    queue.push_back((Inbound::Event(Event::Tokens { job, batch }), now));
                }
            }
            Inbound::Event(event @ Event::Sample { .. }) => {
                let is_sample = |(known, _): &(Inbound, Instant)| matches!(known, Inbound::Event(Event::Sample { .. }));
                if queue.iter().filter(|known| is_sample(known)).count() >= SAMPLES
                    && let Some(oldest) = queue.iter().position(is_sample)
                {
                    queue.remove(oldest);
                }
                queue.push_back((Inbound::Event(event), now));
            }
            Inbound::Event(event @ Event::Progress { job, stage, .. }) => {
                let event = Inbound::Event(event);
                match waiting_progress(&mut queue, job, stage) {
                    Some(waiting) => *waiting = (event, now),
                    None => queue.push_back((event, now)),
                }
            }
            Inbound::Event(event @ Event::Log { level, .. }) => {
                let logs = queue.iter().filter(|(known, _)| matches!(known, Inbound::Event(Event::Log { .. }))).count();
                if level > LogLevel::Debug && logs < LOG_LINES {
                    queue.push_back((Inbound::Event(event), now));
                }
            }
            other => queue.push_back((other, now)),
        }
    }

    /// Takes the oldest, with when it arrived.
    pub fn pop(&self) -> Option<(Inbound, Instant)> {
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

/// The progress of a job's stage that waits, however much else came in between; none once the job has ended.
fn waiting_progress(queue: &mut Queue, job: JobId, stage: Stage) -> Option<&mut (Inbound, Instant)> {
    for waiting in queue.iter_mut().rev() {
        match &waiting.0 {
            Inbound::Event(Event::Progress { job: known, stage: same, .. }) if *known == job && *same == stage => return Some(waiting),
            Inbound::Event(Event::Died { .. }) => return None,
            Inbound::Event(event) if event.ends() == Some(job) => return None,
            _ => {}
        }
    }
    None
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
        let Some((Inbound::Event(Event::Tokens { batch, .. }), _)) = inbox.pop() else { panic!("tokens come first") };
        assert_eq!((batch.text.chars().count(), batch.n, batch.total, batch.last), (10_000, 10_000, 10_000, 10_000.0));
    }

    #[test]
    fn samples_wait_for_a_frame_up_to_a_bound() {
        let inbox = Inbox::default();
        for at in 0..1500 {
            inbox.push(Inbound::Event(Event::Sample { sample: Sample { at: f64::from(at), ..Sample::default() } }));
        }
        assert_eq!(inbox.len(), SAMPLES);
        let Some((Inbound::Event(Event::Sample { sample }), _)) = inbox.pop() else { panic!("only samples wait") };
        assert_eq!(sample.at, 500.0);
    }

    #[test]
    fn progress_waits_once_for_each_stage_whatever_comes_between() {
        let inbox = Inbox::default();
        let progress = |job, done| Inbound::Event(Event::Progress { job: JobId(job), stage: Stage::Load, done, total: 1000 });
        for done in 1..=100 {
            inbox.push(progress(1, done));
            inbox.push(Inbound::Event(Event::Log { level: LogLevel::Debug, line: "x".into() }));
        }
        assert_eq!(inbox.len(), 1);
        // what comes after the end of its job is not told before it
        inbox.push(Inbound::Event(Event::Done { job: JobId(1) }));
        inbox.push(progress(1, 500));
        assert_eq!(inbox.len(), 3);
        assert!(matches!(inbox.pop(), Some((Inbound::Event(Event::Progress { done: 100, .. }), _))));
    }

    #[test]
    fn everything_is_stamped_when_it_arrives() {
        let inbox = Inbox::default();
        let before = Instant::now();
        inbox.push(tokens(1, "x", 1));
        let between = Instant::now();
        inbox.push(Inbound::Event(Event::Done { job: JobId(1) }));
        std::thread::sleep(std::time::Duration::from_millis(5));
        let [first, second] = [(); 2].map(|()| inbox.pop().map(|(_, at)| at).unwrap());
        assert!(before <= first && first <= between && between <= second && second.elapsed().as_millis() >= 5);
    }

    #[test]
    fn control_events_are_never_dropped() {
        let inbox = Inbox::default();
        for job in 0..5_000 {
            inbox.push(Inbound::Event(Event::Done { job: JobId(job) }));
            inbox.push(Inbound::Event(Event::Log { level: LogLevel::Info, line: "x".into() }));
        }
        let done = std::iter::from_fn(|| inbox.pop()).filter(|(inbound, _)| matches!(inbound, Inbound::Event(Event::Done { .. }))).count();
        assert_eq!(done, 5_000);
    }
}
