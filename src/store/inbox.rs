//! The way into the writer: a queue that never makes the sender wait, and the recorder that feeds it a streaming reply.
//!
//! A bounded channel of one carries the wake-up; the queue itself is a list under a lock held for a few instructions. It stays small
//! because what can be merged is: pieces of one reply, states of one draft, searches that a later one replaces.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::probs::encode_tokens;
use super::requests::Request;
use super::types::Op;
use crate::protocol::{EngineError, Event, GenerateStats, JobId};

/// One thing for the writer to do.
#[derive(Debug)]
pub(super) enum Item {
    /// Changes, and the numbers under which they are acknowledged
    Apply { seqs: Vec<u64>, ops: Vec<Op> },
    /// Any other request
    Request(Request),
    /// A piece of a reply, and when its first character arrived
    Text { job: JobId, text: String, probs: Vec<u8>, since: Instant },
    /// A reply ended
    End { job: JobId, how: Ending },
    /// Write everything and stop
    Close,
}

/// How a reply ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    Generated(Box<GenerateStats>),
    Failed(EngineError),
}

/// The queue as its senders see it.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    items: Arc<Mutex<VecDeque<Item>>>,
    wake: Sender<()>,
}

impl Inbox {
    /// A queue, and the receiver that is told when something is in it.
    pub fn new() -> (Self, Receiver<()>) {
        let (wake, woken) = bounded(1);
        (Self { items: Arc::default(), wake }, woken)
    }

    /// Adds something, merged into what waits where that changes nothing about the result.
    pub fn push(&self, item: Item) {
        {
            let mut items = self.lock();
            let unmerged = match items.back_mut() {
                Some(last) => merge(last, item),
                None => Some(item),
            };
            items.extend(unmerged);
        }
        // Full means that the writer is about to look anyway
        let _ = self.wake.try_send(());
    }

    /// Takes everything.
    pub fn take(&self) -> VecDeque<Item> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Item>> {
        // A sender that panicked while holding the lock left a whole list behind
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges `item` into `last`, or gives it back.
fn merge(last: &mut Item, item: Item) -> Option<Item> {
    match (last, item) {
        (Item::Text { job, text, probs, .. }, Item::Text { job: same, text: more, probs: more_probs, since }) => {
            if *job != same {
                return Some(Item::Text { job: same, text: more, probs: more_probs, since });
            }
            text.push_str(&more);
            probs.extend(more_probs);
            None
        }
        (Item::Apply { seqs, ops }, Item::Apply { seqs: new_seqs, ops: new_ops }) => match (ops.as_mut_slice(), new_ops.as_slice()) {
            ([Op::SetDraft(chat, draft)], [Op::SetDraft(same, new)]) if chat == same => {
                draft.clone_from(new);
                seqs.extend(new_seqs);
                None
            }
            _ => Some(Item::Apply { seqs: new_seqs, ops: new_ops }),
        },
        (Item::Request(Request::Search { text }), Item::Request(Request::Search { text: new })) => {
            *text = new;
            None
        }
        (Item::Request(Request::SaveSettings(settings)), Item::Request(Request::SaveSettings(new))) => {
            *settings = new;
            None
        }
        (_, item) => Some(item),
    }
}

/// Writes replies down while they stream in, whatever the window does. Cheap to clone; belongs where engine events arrive first.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(super) inbox: Inbox,
}

impl Recorder {
    /// Takes note of an engine event; never waits. Text of jobs not announced with [`Request::BeginReply`] is dropped.
    pub fn event(&self, event: &Event) {
        match event {
            Event::Tokens { job, batch } if !batch.text.is_empty() || !batch.probs.is_empty() => {
                let mut probs = Vec::new();
                encode_tokens(&batch.probs, &mut probs);
                self.inbox.push(Item::Text { job: *job, text: batch.text.clone(), probs, since: Instant::now() });
            }
            Event::Generated { job, stats } => self.end(*job, &Ending::Generated(stats.clone())),
            Event::Failed { job, error } => self.end(*job, &Ending::Failed(error.clone())),
            Event::Died { jobs, error } => {
                for job in jobs {
                    self.end(*job, &Ending::Failed(error.clone()));
                }
            }
            _ => {}
        }
    }

    /// Keeps a run, as [`Request::KeepRun`] does.
    pub fn keep_run(&self, seq: u64, run: Box<crate::protocol::Run>) {
        self.inbox.push(Item::Request(Request::KeepRun { seq, run }));
    }

    fn end(&self, job: JobId, how: &Ending) {
        self.inbox.push(Item::End { job, how: how.clone() });
    }
}

/// Waits until something is in the queue or the time is over. `None` waits as long as it takes.
pub(super) fn wait(woken: &Receiver<()>, at_most: Option<Duration>) {
    // Both outcomes mean the same to the caller: look again
    let _ = match at_most {
        Some(time) => woken.recv_timeout(time).is_ok(),
        None => woken.recv().is_ok(),
    };
}
