//! llama.cpp behind the engine contract: the only part of the program that names it, and the only one with `unsafe`.
//!
//! llama-cpp-2 gives the backend, the samplers and the grammars; its context takes no callbacks, so contexts are our own over
//! llama-cpp-sys-2 (both pinned exactly, one compiled library). Everything llama.cpp would end the process over is checked before the call.

mod arithmetic;
mod batched;
mod bench;
mod context;
mod effective;
mod estimate;
mod facts;
mod generate;
mod load;
mod logs;
mod memory;
mod model;
mod portions;
mod probe;
mod probs;
mod prompt;
mod quality;
mod quantize;
mod sampling;
mod template;
mod text;
mod tokens;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use self::context::Ctx;
use self::generate::Pace;
use self::logs::{Capture, Sink};
use self::model::{Model, Stamp};
use self::portions::Portions;
use self::prompt::Maker;
use crate::engine::backend::{Backend, Job, Made, Probe};
use crate::library::MachineMemory;
use crate::protocol::build;
use crate::protocol::{
    BenchPlan, Design, Effective, EngineError, EngineFacts, ErrorKind, Event, GenerateRequest, GenerateStats, LoadReport, LoadRequest,
    LogLevel, MemoryUse, Prompt, QualityPlan, QuantizeRequest, Rendered, Resident,
};

/// llama.cpp's build number.
pub const BUILD: &str = build::LLAMA_BUILD;
/// What is bundled. The crate's packaging drops llama.cpp's own revision, so this names the crate.
pub const COMMIT: &str = concat!("llama-cpp-sys-2-", env!("INFERSCOPE_LLAMA_CPP_SYS_2"));

/// The process-wide initialisation, done once and never undone: other backends of the process may still compute.
static PROCESS: OnceLock<Result<llama_cpp_2::llama_backend::LlamaBackend, String>> = OnceLock::new();

/// A model in memory with its context.
struct Loaded {
    design: Design,
    ctx: Ctx,
    pace: Pace,
    effective: Effective,
    memory: MemoryUse,
}

/// llama.cpp as a [`Backend`].
pub struct LlamaBackend {
    sink: Sink,
    /// Least recently used first
    loaded: Vec<Loaded>,
    /// Whether the last of `loaded` answers
    active: bool,
    /// What benchmarks left for later ones
    warm: bench::Warm,
}

impl LlamaBackend {
    /// Starts llama.cpp; every line it logs goes to `log_sink`, on the thread that called it.
    ///
    /// # Errors
    /// `Engine` when llama.cpp cannot be initialised.
    pub fn new(log_sink: impl Fn(LogLevel, String) + Send + Sync + 'static) -> Result<Self, EngineError> {
        let sink: Sink = Arc::new(log_sink);
        logs::install(&sink);
        let process = PROCESS.get_or_init(|| llama_cpp_2::llama_backend::LlamaBackend::init().map_err(|error| error.to_string()));
        if let Err(why) = process {
            return Err(EngineError::new(ErrorKind::Engine, format!("llama.cpp could not be started: {why}")));
        }
        Ok(Self { sink, loaded: Vec::new(), active: false, warm: bench::Warm::default() })
    }

    fn current(&mut self) -> Result<&mut Loaded, EngineError> {
        self.loaded
            .last_mut()
            .filter(|_| self.active)
            .ok_or_else(|| EngineError::new(ErrorKind::InvalidRequest, "No model is loaded").hint("Load a model first"))
    }

    fn residents(&self) -> Vec<Resident> {
        let last = self.loaded.len();
        let resident =
            |(i, l): (usize, &Loaded)| Resident { design: l.design.clone(), memory: l.memory, active: self.active && i + 1 == last };
        self.loaded.iter().enumerate().map(resident).collect()
    }

    /// Unloads the least recently used until those beside the last `keep` ones take no more than `budget` bytes.
    fn evict(&mut self, keep: usize, budget: u64) {
        loop {
            let others = self.loaded.len().saturating_sub(keep);
            let taken: u64 = self.loaded.iter().take(others).map(|l| l.memory.total()).sum();
            if others == 0 || taken <= budget {
                break;
            }
            self.loaded.remove(0);
        }
        self.active &= !self.loaded.is_empty();
    }

    /// Whether others have to go before `design` can be loaded.
    fn lacks_room(&self, design: &Design, budget: u64) -> bool {
        let file = design.model.metadata().map_or(0, |meta| meta.len());
        let needed = file.saturating_add(file / 8).saturating_add(256 << 20);
        self.loaded.iter().map(|l| l.memory.total()).sum::<u64>() > budget && MachineMemory::read().available < needed
    }

    /// Makes room before a load, but only when there is not enough, and only for a file that llama.cpp was seen to take with this context:
    /// a model that is given up cannot come back if the load fails.
    fn make_room(&mut self, design: &Design, budget: u64, capture: &Capture, job: &Job) -> Result<(), EngineError> {
        if !self.lacks_room(design, budget) {
            return Ok(());
        }
        load::try_out(design, capture, job)?;
        while self.lacks_room(design, budget) {
            self.loaded.remove(0);
        }
        self.active &= !self.loaded.is_empty();
        Ok(())
    }

    /// Loads a design that is not in memory as it is asked for. What was there stays until the new one is.
    fn load_cold(&mut self, request: &LoadRequest, stamp: Option<&Stamp>, capture: &Capture, job: &Job) -> Result<(), EngineError> {
        let design = &request.design;
        let shared = self.loaded.iter().position(|l| l.design.loading() == design.loading() && stamp == Some(&l.ctx.model().stamp));
        // weights that are there already are kept, and get another context
        let model = match shared.and_then(|at| self.loaded.get(at)) {
            Some(old) => {
                let model = Arc::clone(old.ctx.model());
                load::check_memory(&model.header, design)?;
                model
            }
            None => {
                self.make_room(design, request.keep_warm_bytes, capture, job)?;
                let model = load::load_model(design, false, capture, job)?;
                for line in model.header.warnings() {
                    job.emit(Event::Log { level: LogLevel::Warn, line });
                }
                Arc::new(model)
            }
        };
        let fresh = self.attach(&model, design, capture)?;
        job.check()?;
        if let Some(at) = shared {
            self.loaded.remove(at);
        }
        self.loaded.push(fresh);
        Ok(())
    }

    fn report(&self, began: Instant, warm: bool) -> Result<LoadReport, EngineError> {
        let loaded = self.loaded.last().ok_or_else(|| EngineError::new(ErrorKind::Engine, "The model was lost while it was loaded"))?;
        Ok(LoadReport {
            design: loaded.design.clone(),
            info: loaded.ctx.model().info.clone(),
            effective: loaded.effective.clone(),
            memory: loaded.memory,
            seconds: began.elapsed().as_secs_f64(),
            warm,
            resident: self.residents(),
        })
    }

    /// Makes a context of `design` on a model and puts it last.
    fn attach(&mut self, model: &Arc<Model>, design: &Design, capture: &Capture) -> Result<Loaded, EngineError> {
        let mark = capture.mark();
        let ctx = load::make_ctx(model, &load::ctx_params(design, &model.info), capture)?;
        let memory = MemoryUse { weights: model.weights, ..memory::from_lines(&capture.since(mark), false) };
        let effective = effective::effective(design, &ctx, &model.loading, &capture.since(mark));
        // a recurrent model cannot forget the last tokens alone
        let is_cpu = !model.is_recurrent() && (design.gpu_layers == 0 || !load::has_gpu());
        let portions = Portions::of(&model.info, design, &effective, is_cpu);
        Ok(Loaded { design: design.clone(), ctx, pace: Pace { portions, ..Pace::default() }, effective, memory })
    }
}

impl Backend for LlamaBackend {
    fn facts(&self) -> EngineFacts {
        facts::facts()
    }

    fn load(&mut self, request: &LoadRequest, job: &Job) -> Result<LoadReport, EngineError> {
        let began = Instant::now();
        job.check()?;
        let design = &request.design;
        let stamp = Stamp::of(&design.model);
        let capture = Capture::start(&self.sink);
        let same_file = |l: &Loaded| stamp.as_ref() == Some(&l.ctx.model().stamp);
        let warm = self.loaded.iter().position(|l| !l.design.needs_reload(design) && same_file(l));
        if let Some(at) = warm {
            let mut found = self.loaded.remove(at);
            found.design = design.clone();
            self.loaded.push(found);
            self.active = true;
            self.evict(1, request.keep_warm_bytes);
            return self.report(began, true);
        }
        if let Err(error) = self.load_cold(request, stamp.as_ref(), &capture, job) {
            job.emit(Event::Residents { job: job.id(), resident: self.residents() });
            return Err(error);
        }
        self.active = true;
        self.evict(1, request.keep_warm_bytes);
        self.report(began, false)
    }

    fn unload(&mut self, model: Option<&Path>) -> Vec<Resident> {
        let _capture = Capture::start(&self.sink);
        self.warm = bench::Warm::default();
        match model {
            None => self.loaded.clear(),
            Some(path) => {
                let was = self.loaded.last().map(|l| l.design.model.clone());
                self.loaded.retain(|l| l.design.model != path);
                self.active &= was.is_some_and(|was| was != path);
            }
        }
        self.active &= !self.loaded.is_empty();
        self.residents()
    }

    fn generate(&mut self, request: &GenerateRequest, job: &Job) -> Result<GenerateStats, EngineError> {
        let capture = Capture::start(&self.sink);
        let loaded = self.current()?;
        request.check_model(&loaded.design.model)?;
        generate::generate(&mut loaded.ctx, &mut loaded.pace, request, job).map_err(|error| with_lines(error, &capture))
    }

    fn prefill(&mut self, request: &GenerateRequest, job: &Job) -> Result<(), EngineError> {
        let capture = Capture::start(&self.sink);
        let loaded = self.current()?;
        generate::prefill(&mut loaded.ctx, &mut loaded.pace, request, job).map_err(|error| with_lines(error, &capture))
    }

    fn render(&mut self, prompt: &Prompt, job: &Job) -> Result<Rendered, EngineError> {
        let _capture = Capture::start(&self.sink);
        let loaded = self.current()?;
        let go_on = || !job.is_cancelled();
        Maker { model: loaded.ctx.model(), go_on: &go_on }.rendered(prompt)
    }

    fn quantize(&mut self, request: &QuantizeRequest, job: &Job) -> Result<Made, EngineError> {
        quantize::quantize(request, &self.sink, job)
    }

    fn bench(&mut self, plan: &BenchPlan, job: &Job) -> Result<(), EngineError> {
        bench::bench(plan, &mut self.warm, &self.sink, job)
    }

    fn quality(&mut self, plan: &QualityPlan, job: &Job) -> Result<(), EngineError> {
        quality::quality(plan, &self.sink, job)
    }

    fn estimate(&mut self, design: &Design, job: &Job) -> Result<MemoryUse, EngineError> {
        estimate::estimate(design, &self.sink, job)
    }

    fn probe(&mut self, threads: u32, job: &Job) -> Result<Probe, EngineError> {
        let (bandwidth_gb_s, threads) = probe::probe(threads, job)?;
        Ok(Probe { bandwidth_gb_s, threads, ops_gflops: arithmetic::probe(threads, job) })
    }
}

impl Drop for LlamaBackend {
    fn drop(&mut self) {
        // Freeing a context logs; the lines still go to this backend's sink.
        let _capture = Capture::start(&self.sink);
        self.loaded.clear();
        self.warm = bench::Warm::default();
    }
}

/// Adds the last lines llama.cpp wrote as evidence, where the error has none.
fn with_lines(mut error: EngineError, capture: &Capture) -> EngineError {
    if error.details.is_empty() && error.kind == ErrorKind::Engine {
        error.details = capture.tail(LogLevel::Warn, 12);
    }
    error
}
