//! How a comparison is spread over the cores, and its models and contexts, made at the same time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::plan::{FEWEST, Text, check_tokens};
use super::{Loader, Model, Reader, Run};
use crate::engine::backend::Job;
use crate::engine::llama::load;
use crate::engine::llama::logs::Capture;
use crate::protocol::{Design, EngineError, ErrorKind, Event, Stage};

/// Tokens in one decode while others read: between two decodes a reader hands cores over, and on a CPU 256 tokens at once are computed as
/// fast as more.
const GRAIN: usize = 256;
/// How often the job's thread looks whether the job was cancelled.
const LOOK: Duration = Duration::from_millis(50);
/// Messages on their way to it.
const NOTES: usize = 64;

/// How a run is spread.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub(super) cores: usize,
    pub(super) workers: usize,
    /// Tokens in one decode
    pub(super) grain: usize,
}

impl Spread {
    /// The cores are those of the design that may use most. On a GPU the models would only take turns, and large batches are faster.
    pub(super) fn of(run: &Run<'_>, model: &Model) -> Self {
        let cores = run.designs().map(|design| cores_of(design, model)).max().unwrap_or(1);
        if load::has_gpu() || cores == 1 || run.plan.candidates.is_empty() {
            return Self { cores, workers: 1, grain: run.text.longest() };
        }
        // a batch size that was asked for is not cut before the end
        let grain = run.designs().map(|design| design.n_ubatch as usize).max().unwrap_or(0).max(GRAIN);
        Self { cores, workers: cores.min(run.designs().count()), grain }
    }

    /// Most tokens in one decode.
    fn most(self, text: &Text) -> usize {
        text.longest().min(self.grain.saturating_add(FEWEST))
    }
}

/// Cores that a design may read with.
pub(super) fn cores_of(design: &Design, model: &Model) -> usize {
    load::ctx_params(design, &model.info).threads_batch as usize
}

/// A file that is loaded once, by whoever needs it first.
struct Slot<'a> {
    design: &'a Design,
    model: Mutex<Option<Arc<Model>>>,
}

impl Slot<'_> {
    /// Its model; a load that runs is waited for.
    fn model(&self, reference: &Model, capture: &Capture, job: &Job) -> Result<Arc<Model>, EngineError> {
        let mut place = locked(&self.model);
        if let Some(model) = &*place {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(load::load_model(self.design, false, capture, job)?);
        check_tokens(reference, &model, self.design)?;
        Ok(Arc::clone(place.insert(model)))
    }
}

/// Loads the models that are not there yet and makes all contexts, several at the same time; the reference's reader comes first.
///
/// # Errors
/// That of the first design that has one; `Cancelled`.
pub(super) fn open(
    run: &Run<'_>,
    loader: &Loader<'_>,
    reference: &Arc<Model>,
    spread: Spread,
    halt: &Arc<AtomicBool>,
) -> Result<Vec<Reader>, EngineError> {
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut tasks = Vec::new();
    for design in run.designs() {
        let known = slots.iter().position(|slot| Loader::is_loaded_alike(slot.design, design));
        tasks.push((design, known.unwrap_or(slots.len())));
        if known.is_none() {
            slots.push(Slot { design, model: Mutex::new(loader.known(design)) });
        }
    }
    let (next, id, sink) = (AtomicUsize::new(0), run.job.id(), loader.sink);
    let (slots, tasks, next) = (&slots, &tasks, &next);
    let work = |sender: Sender<(usize, u64)>| {
        let capture = Capture::start(sink);
        let mut opened = Vec::new();
        while !halt.load(Ordering::Relaxed)
            && let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some((design, slot)) = tasks.get(index)
            && let Some(slot) = slots.get(*slot)
        {
            let sender = sender.clone();
            let job = Job::new(id, Arc::clone(halt), move |event| {
                if let Event::Progress { done, .. } = event {
                    // nobody listens only when the run is over
                    let _ = sender.send((index, done));
                }
            });
            let model = slot.model(reference, &capture, &job);
            let most = spread.most(run.text);
            let reader = model.and_then(|model| Reader::open(&model, design, run.text, most, &capture, Arc::clone(halt)));
            if reader.is_err() {
                halt.store(true, Ordering::Relaxed);
            }
            opened.push((index, reader));
        }
        opened
    };
    let work = &work;
    let (sender, notes) = bounded(NOTES);
    let mut opened = thread::scope(|scope| {
        let start = |_| {
            let sender = sender.clone();
            scope.spawn(move || work(sender))
        };
        let workers: Vec<_> = (0..spread.workers).map(start).collect();
        drop(sender);
        let mut thousandths = BTreeMap::new();
        listen(run.job, &notes, halt, |(index, done)| {
            thousandths.insert(index, done);
            run.job.progress(Stage::Load, thousandths.values().sum(), 1000 * slots.len() as u64);
        });
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|_| vec![(0, Err(crashed()))])).collect::<Vec<_>>()
    });
    run.job.check()?;
    opened.sort_by_key(|(index, _)| *index);
    let (readers, errors): (Vec<_>, Vec<_>) = opened.into_iter().map(|(_, reader)| reader).partition(Result::is_ok);
    first_error(errors.into_iter().map(|error| error.map(drop)).collect())?;
    Ok(readers.into_iter().flatten().collect())
}

/// Hears notes until all workers have ended; a cancelled job stops them.
pub(super) fn listen<N>(job: &Job, notes: &Receiver<N>, halt: &AtomicBool, mut hear: impl FnMut(N)) {
    loop {
        match notes.recv_timeout(LOOK) {
            Ok(note) => hear(note),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if job.is_cancelled() {
            halt.store(true, Ordering::Relaxed);
        }
    }
}

/// The error of a run: what came of stopping the others is none.
pub(super) fn first_error(ended: Vec<Result<(), EngineError>>) -> Result<(), EngineError> {
    let (stopped, failed): (Vec<_>, Vec<_>) =
        ended.into_iter().filter_map(Result::err).partition(|error| error.kind == ErrorKind::Cancelled);
    failed.into_iter().chain(stopped).next().map_or(Ok(()), Err)
}

pub(super) fn crashed() -> EngineError {
    EngineError::new(ErrorKind::Engine, "A part of the comparison stopped unexpectedly")
        .hint("Run it again; if it happens again, report it")
}

/// What a worker that panicked leaves is whole: it is only changed in single steps.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
