//! Models and contexts that stay in memory between benchmarks, so that designs can be measured in turns without loading them in turns.

use std::sync::Arc;

use super::Depth;
use super::runner::Runner;
use crate::engine::backend::Job;
use crate::engine::llama::context::CtxParams;
use crate::engine::llama::logs::Capture;
use crate::engine::llama::model::{Model, Stamp};
use crate::engine::llama::{load, memory};
use crate::library::MachineMemory;
use crate::protocol::{BenchTest, Design, EngineError, LogLevel, MemoryUse, WeightLoading};

/// Bytes that are left to the rest of the machine when something is kept.
const RESERVE: u64 = 256 << 20;

/// A context that is ready to measure.
pub(super) struct Bench {
    pub(super) runner: Runner,
    /// What it was asked to be, its threads aside: these change without making it anew
    shape: CtxParams,
    /// What llama.cpp said when it was made
    pub(super) lines: Vec<(LogLevel, String)>,
    pub(super) memory: MemoryUse,
    pub(super) depths: Vec<Depth>,
    /// Threads and cells that it was warmed up for
    pub(super) warmed: Vec<((u32, u32), BenchTest)>,
}

impl Bench {
    /// Bytes it takes beside the weights.
    fn bytes(&self) -> u64 {
        self.memory.kv + self.memory.compute + self.depths.iter().map(|depth| depth.state.len() as u64).sum::<u64>()
    }

    fn is_of(&self, model: &Arc<Model>) -> bool {
        Arc::ptr_eq(self.runner.model(), model)
    }
}

/// A model and how it was loaded.
struct Kept {
    how: WeightLoading,
    model: Arc<Model>,
}

/// What is kept, least recently used first.
#[derive(Default)]
pub(in crate::engine::llama) struct Warm {
    models: Vec<Kept>,
    contexts: Vec<Bench>,
}

fn shape(want: &CtxParams) -> CtxParams {
    CtxParams { threads: 0, threads_batch: 0, ..*want }
}

impl Warm {
    /// The model of a design: the one that is kept when its file and the way to load it are the same, else loaded now.
    ///
    /// # Errors
    /// Those of loading.
    pub(super) fn model(&mut self, design: &Design, capture: &Capture, job: &Job) -> Result<Arc<Model>, EngineError> {
        let how = design.loading();
        let stamp = Stamp::of(&design.model);
        let known = |kept: &Kept| kept.how == how && stamp.as_ref() == Some(&kept.model.stamp) && kept.model.info.path == design.model;
        let kept = match self.models.iter().position(known) {
            Some(at) => self.models.remove(at),
            None => {
                let file = design.model.metadata().map_or(0, |meta| meta.len());
                self.make_room(file + file / 8);
                Kept { how, model: Arc::new(load::load_model(design, false, capture, job)?) }
            }
        };
        let model = Arc::clone(&kept.model);
        self.models.push(kept);
        Ok(model)
    }

    /// Takes a context out, or makes it.
    ///
    /// # Errors
    /// Those of making a context.
    pub(super) fn take(&mut self, model: &Arc<Model>, want: &CtxParams, capture: &Capture) -> Result<Bench, EngineError> {
        if let Some(at) = self.contexts.iter().position(|bench| bench.is_of(model) && bench.shape == shape(want)) {
            let mut bench = self.contexts.remove(at);
            bench.runner.set_threads(want);
            return Ok(bench);
        }
        let mark = capture.mark();
        let ctx = load::make_ctx(model, want, capture)?;
        let lines = capture.since(mark);
        let memory = MemoryUse { weights: model.weights, ..memory::from_lines(&lines, false) };
        Ok(Bench { runner: Runner::new(ctx, want), shape: shape(want), lines, memory, depths: Vec::new(), warmed: Vec::new() })
    }

    /// Gives a context back.
    pub(super) fn put(&mut self, bench: Bench) {
        self.contexts.push(bench);
    }

    /// Frees what is used least until what is kept, the model used last and its contexts aside, is within `budget` bytes and the machine has
    /// some memory left.
    pub(super) fn trim(&mut self, budget: u64) {
        if budget == 0 {
            self.contexts.clear();
            self.models.clear();
            return;
        }
        while self.taken_by_others() > budget && self.drop_least_used() {}
        self.make_room(0);
    }

    fn make_room(&mut self, needed: u64) {
        while MachineMemory::read().available < needed.saturating_add(RESERVE) && self.drop_least_used() {}
    }

    fn taken_by_others(&self) -> u64 {
        let Some(last) = self.models.last() else { return 0 };
        let models = self.models.iter().filter(|kept| !Arc::ptr_eq(&kept.model, &last.model)).map(|kept| kept.model.weights);
        let contexts = self.contexts.iter().filter(|bench| !bench.is_of(&last.model)).map(Bench::bytes);
        models.chain(contexts).sum()
    }

    /// Frees the model used least, with its contexts; false when only the last one is left, or none.
    fn drop_least_used(&mut self) -> bool {
        if self.models.len() < 2 {
            return false;
        }
        let gone = self.models.remove(0);
        self.contexts.retain(|bench| !bench.is_of(&gone.model));
        true
    }
}
