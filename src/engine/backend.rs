//! What a worker needs of whatever computes: one trait, served by llama.cpp and by the scripted fake.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{
    BenchPlan, Design, EngineError, EngineFacts, Event, GenerateRequest, GenerateStats, JobId, LoadReport, LoadRequest, MemoryUse, Prompt,
    QualityPlan, QuantizeRequest, Rendered, Resident, Stage,
};

/// The job a backend is working on: where to report, and whether to go on.
///
/// Emitting never blocks for long and never fails: when nobody listens any more the job is as good as cancelled.
pub struct Job {
    id: JobId,
    cancel: Arc<AtomicBool>,
    emit: Box<dyn Fn(Event) + Send>,
}

impl Job {
    /// A job that reports through `emit` and ends early once `cancel` is set.
    pub fn new(id: JobId, cancel: Arc<AtomicBool>, emit: impl Fn(Event) + Send + 'static) -> Self {
        Self { id, cancel, emit: Box::new(emit) }
    }

    /// Its number.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// The flag itself, for callbacks that outlive a borrow of the job.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancel)
    }

    /// Whether the user has cancelled it.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// # Errors
    /// `Cancelled` once the user has cancelled it: `job.check()?` between steps is all a backend has to do.
    pub fn check(&self) -> Result<(), EngineError> {
        if self.is_cancelled() { Err(EngineError::cancelled()) } else { Ok(()) }
    }

    /// Says something about this job.
    pub fn emit(&self, event: Event) {
        (self.emit)(event);
    }

    /// Says how far it is. The worker lets through at most 20 a second per stage, and always the last.
    pub fn progress(&self, stage: Stage, done: u64, total: u64) {
        self.emit(Event::Progress { job: self.id, stage, done, total });
    }
}

/// A rung that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Where
    pub path: PathBuf,
    /// Bytes
    pub size: u64,
    /// 8 * tensor bytes / weights
    pub bpw: f64,
    /// Tensors that could not take the asked type and got another
    pub fallbacks: u32,
}

/// What a machine allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Read bandwidth, 10^9 bytes per second
    pub bandwidth_gb_s: f64,
    /// Threads it was measured with
    pub threads: u32,
    /// Multiplications and additions of matrix products, 10^9 per second, where that could be measured
    pub ops_gflops: Option<f64>,
}

/// Something that computes. Lives on one thread, does one thing at a time, and is told everything through `job`.
///
/// Every method returns the result of the whole job or the error that ended it; intermediate events (progress, tokens, rows, log lines)
/// go through `job`. A cancelled `generate` is not an error: it returns its stats with [`crate::protocol::StopReason::Cancelled`].
pub trait Backend {
    /// What it is made of.
    fn facts(&self) -> EngineFacts;

    /// Loads a design or makes a warm one active, unloading others down to the request's budget, oldest use first.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`]; the models that were loaded before stay usable where memory allows.
    fn load(&mut self, request: &LoadRequest, job: &Job) -> Result<LoadReport, EngineError>;

    /// Frees one model, or all; returns what is left.
    fn unload(&mut self, model: Option<&Path>) -> Vec<Resident>;

    /// One reply from the active model.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`].
    fn generate(&mut self, request: &GenerateRequest, job: &Job) -> Result<GenerateStats, EngineError>;

    /// Reads a prompt into the cache of the active model, so that a reply to it begins at once. What was read when it is cancelled stays.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`].
    fn prefill(&mut self, request: &GenerateRequest, job: &Job) -> Result<(), EngineError>;

    /// The exact prompt for the active model, without decoding.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`].
    fn render(&mut self, prompt: &Prompt, job: &Job) -> Result<Rendered, EngineError>;

    /// Makes a rung. Needs no loaded model.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`]; no partial file is left under the target's name.
    fn quantize(&mut self, request: &QuantizeRequest, job: &Job) -> Result<Made, EngineError>;

    /// Measures a plan, one `BenchRow` event a cell, on a model and context of its own.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`]; rows already emitted stand.
    fn bench(&mut self, plan: &BenchPlan, job: &Job) -> Result<(), EngineError>;

    /// Compares designs with a reference on models and contexts of their own: one `QualityLayout` event, then `QualityScores`.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`]; scores already emitted stand.
    fn quality(&mut self, plan: &QualityPlan, job: &Job) -> Result<(), EngineError>;

    /// What a design would take, without allocating it.
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`].
    fn estimate(&mut self, design: &Design, job: &Job) -> Result<MemoryUse, EngineError>;

    /// What this machine allows with `threads` threads (0 = as for decode).
    ///
    /// # Errors
    /// See [`crate::protocol::ErrorKind`].
    fn probe(&mut self, threads: u32, job: &Job) -> Result<Probe, EngineError>;
}
