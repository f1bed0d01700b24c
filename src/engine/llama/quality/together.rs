//! All models in memory, several reading at the same time: the threads, what they share, and what they report.
//!
//! [`Board`] decides who reads what. The workers do it, compare what they have read and send the scores to the thread of the job, which
//! puts them back into the order of the text and of the candidates: to everybody else it looks as if one model had read after another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::board::{Board, Task};
use super::open::{Spread, cores_of, crashed, first_error, listen, locked, open};
use super::plan::{FEWEST, Passage, Step};
use super::score::{self, Judge};
use super::{Loader, Model, Reader, Run, rows_at_once};
use crate::engine::llama::logs::Capture;
use crate::protocol::{Design, EngineError, Stage, TokenScore};

/// How often a worker that waits looks whether the job was cancelled.
const LOOK: Duration = Duration::from_millis(50);
/// Messages on their way to the job's thread.
const NOTES: usize = 64;

/// What a worker tells the thread of the job.
enum Note {
    /// Tokens were read
    Read(usize),
    /// A candidate was compared with the reference in a step
    Scores { step: usize, candidate: usize, scores: Vec<TokenScore> },
}

/// One step of the text in the order of reading.
struct Stretch<'a> {
    step: Step<'a>,
    /// Whether it is read from an empty context on
    begins: bool,
    /// Whether it is the last of its passage
    ends: bool,
    targets: Vec<u32>,
}

/// What the workers share.
struct Shared<'a> {
    state: Mutex<State>,
    changed: Condvar,
    /// Each until it has read everything: its memory is not needed any longer then
    readers: Vec<Mutex<Option<Reader>>>,
    stretches: Vec<Stretch<'a>>,
    grain: usize,
    n_vocab: usize,
    halt: Arc<AtomicBool>,
}

struct State {
    board: Board,
    /// The reference's rows, by step
    judges: BTreeMap<usize, Arc<Judge>>,
    /// Memory of rows that nobody needs any more
    buffers: Vec<Vec<f32>>,
}

/// Reads the whole text with everything in memory.
///
/// # Errors
/// As [`super::quality`].
pub(super) fn run(run: &mut Run<'_>, loader: &Loader<'_>, model: &Arc<Model>) -> Result<(), EngineError> {
    let spread = Spread::of(run, model);
    let halt = Arc::new(AtomicBool::new(false));
    let readers = open(run, loader, model, spread, &halt)?;
    let passages: Vec<Passage<'_>> = run.text.passages().collect();
    let stretches = stretches(run, &passages, rows_at_once(model));
    let size = |design: &Design| design.model.metadata().map_or(0.0, |meta| meta.len() as f64);
    let places: Vec<(f64, usize)> = run.designs().map(|design| (size(design), cores_of(design, model))).collect();
    let board = Board::new(&places, stretches.len(), spread.cores, spread.workers);
    let shared = Shared {
        state: Mutex::new(State { board, judges: BTreeMap::new(), buffers: Vec::new() }),
        changed: Condvar::new(),
        readers: readers.into_iter().map(|reader| Mutex::new(Some(reader))).collect(),
        stretches,
        grain: spread.grain,
        n_vocab: model.n_vocab(),
        halt,
    };
    let (sender, notes) = bounded(NOTES);
    let mut tight = false;
    let ended: Vec<Result<(), EngineError>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..spread.workers)
            .map(|_| {
                let sender = sender.clone();
                let (shared, sink) = (&shared, loader.sink);
                scope.spawn(move || {
                    let _capture = Capture::start(sink);
                    shared.work(&sender)
                })
            })
            .collect();
        drop(sender);
        tight = attend(run, model, &notes, &shared);
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(crashed()))).collect()
    });
    if tight || ended.iter().all(Result::is_ok) {
        return Ok(());
    }
    run.job.check()?;
    first_error(ended)
}

fn stretches<'a>(run: &Run<'_>, passages: &'a [Passage<'_>], rows: usize) -> Vec<Stretch<'a>> {
    let mut stretches = Vec::new();
    for passage in passages {
        let steps = passage.steps(rows);
        let last = steps.len().saturating_sub(1);
        stretches.extend(steps.into_iter().enumerate().map(|(index, step)| Stretch {
            begins: index == 0,
            ends: index == last,
            targets: step.targets(run.text),
            step,
        }));
    }
    stretches
}

/// Passes on what the workers tell, until they have ended. True when they were sent home because everything is known closely enough.
fn attend(run: &mut Run<'_>, model: &Model, notes: &Receiver<Note>, shared: &Shared<'_>) -> bool {
    let columns = run.plan.candidates.len().max(1);
    let mut early = BTreeMap::new();
    let (mut next, mut tight) = (0, false);
    listen(run.job, notes, &shared.halt, |note| match note {
        Note::Read(tokens) => {
            run.done += tokens as u64;
            run.job.progress(Stage::Quality, run.done, run.total);
        }
        Note::Scores { step, candidate, scores } => {
            early.insert(step * columns + candidate, scores);
            while !tight && let Some(scores) = early.remove(&next) {
                let Some(stretch) = shared.stretches.get(next / columns) else { break };
                run.report(model, next % columns, &stretch.step, scores);
                next += 1;
                tight = stretch.ends && next % columns == 0 && run.is_tight();
            }
            if tight {
                shared.stop();
            }
        }
    });
    // a worker that waits for another has to hear of it too
    shared.stop();
    tight
}

/// Sends everybody home when a worker leaves, whether it is done, has failed or panics: those who wait would wait for ever.
struct Leaving<'a>(&'a Shared<'a>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let is_finished = locked(&self.0.state).board.is_finished();
        if is_finished { self.0.changed.notify_all() } else { self.0.stop() }
    }
}

impl Shared<'_> {
    fn stop(&self) {
        self.halt.store(true, Ordering::Relaxed);
        // with the lock, so that nobody is between looking at the flag and waiting
        let _state = locked(&self.state);
        self.changed.notify_all();
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.halt.load(Ordering::Relaxed) { Err(EngineError::cancelled()) } else { Ok(()) }
    }

    /// Works until all is read or the run is stopped.
    fn work(&self, notes: &Sender<Note>) -> Result<(), EngineError> {
        let _leaving = Leaving(self);
        while let Some(task) = self.next()? {
            self.perform(task, notes)?;
        }
        Ok(())
    }

    fn next(&self) -> Result<Option<Task>, EngineError> {
        let mut state = locked(&self.state);
        loop {
            if state.board.is_finished() {
                return Ok(None);
            }
            self.check()?;
            if let Some(task) = state.board.take() {
                return Ok(Some(task));
            }
            // a cancelled job sets the flag without the lock
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn perform(&self, task: Task, notes: &Sender<Note>) -> Result<(), EngineError> {
        let Task { reader: index, step, cores } = task;
        let (Some(stretch), Some(place)) = (self.stretches.get(step), self.readers.get(index)) else { return Ok(()) };
        let mut place = locked(place);
        let Some(reader) = place.as_mut() else { return Ok(()) };
        if stretch.begins {
            reader.ctx.clear();
        }
        let mut work = Work { shared: self, stretch, task, cores, cost: 0.0, notes };
        if index > 0 {
            let judge = locked(&self.state).judges.get(&step).map(Arc::clone).ok_or_else(crashed)?;
            let mut scores = Vec::with_capacity(stretch.targets.len());
            work.read(reader, |first, rows| {
                scores.extend(judge.scores(first, rows)?);
                Ok(())
            })?;
            let _ = notes.send(Note::Scores { step, candidate: index - 1, scores });
        } else if self.readers.len() == 1 {
            let mut scores = Vec::with_capacity(stretch.targets.len());
            work.read(reader, |first, rows| {
                scores.extend(score::alone(rows, stretch.targets.get(first..).unwrap_or_default())?);
                Ok(())
            })?;
            let _ = notes.send(Note::Scores { step, candidate: 0, scores });
        } else {
            let buffer = locked(&self.state).buffers.pop().unwrap_or_default();
            let mut judge = Judge::new(self.n_vocab, stretch.targets.len(), buffer);
            work.read(reader, |first, rows| judge.hear(rows, stretch.targets.get(first..).unwrap_or_default()))?;
            locked(&self.state).judges.insert(step, Arc::new(judge));
        }
        let (cores, cost) = (work.cores, work.cost);
        let mut state = locked(&self.state);
        state.board.done(index, cores, cost);
        let has_finished = state.board.has_finished(index);
        let oldest = state.board.oldest();
        let needed = state.judges.split_off(&oldest);
        let over = std::mem::replace(&mut state.judges, needed);
        state.buffers.extend(over.into_values().filter_map(Arc::into_inner).map(Judge::into_buffer));
        drop(state);
        self.changed.notify_all();
        if has_finished {
            // outside the lock: freeing a model takes a while
            *place = None;
        }
        Ok(())
    }
}

/// A task that is worked on.
struct Work<'a> {
    shared: &'a Shared<'a>,
    stretch: &'a Stretch<'a>,
    task: Task,
    /// Cores it holds
    cores: usize,
    /// Seconds of a core it took until now
    cost: f64,
    notes: &'a Sender<Note>,
}

impl Work<'_> {
    /// Reads the stretch, telling `hear` the rows of each decode with the number of rows before them.
    fn read(&mut self, reader: &mut Reader, mut hear: impl FnMut(usize, &[&[f32]]) -> Result<(), EngineError>) -> Result<(), EngineError> {
        let (mut at, mut heard) = (0, 0);
        while at < self.stretch.step.tokens.len() {
            self.shared.check()?;
            let grain = self.next_grain(at > 0);
            let (tokens, silent) = self.stretch.step.decode(at, grain);
            let began = Instant::now();
            let threads = u32::try_from(self.cores).unwrap_or(1);
            reader.ctx.set_threads(threads, threads);
            reader.ctx.decode_from(tokens, silent)?;
            let rows = reader.ctx.rows();
            hear(heard, &rows)?;
            heard += rows.len();
            at += tokens.len();
            self.cost += began.elapsed().as_secs_f64() * self.cores as f64;
            // nobody listens only when the run is over
            let _ = self.notes.send(Note::Read(tokens.len()));
        }
        Ok(())
    }

    /// Tokens of the next decode, for which it takes the cores that are its now. The last readers hand cores over often: each has to wait
    /// for the others in the end.
    fn next_grain(&mut self, again: bool) -> usize {
        let mut state = locked(&self.shared.state);
        if again {
            self.cores = state.board.share(self.task.reader, self.cores);
            self.shared.changed.notify_all();
        }
        if state.board.is_ending() { self.shared.grain.min(FEWEST) } else { self.shared.grain }
    }
}
