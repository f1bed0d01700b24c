//! Quality of designs against a reference, side by side: every model reads the same chunks, several at the same time (`board.rs` says who,
//! `together.rs` does it), and a candidate's logits are compared where they lie. Of the reference's rows, copies of two steps are kept; no
//! logits are written.
//!
//! Chunks, scored positions and the start of each chunk are llama-perplexity's (`tools/perplexity/perplexity.cpp`): the text is cut into
//! chunks of `n_ctx` tokens, what is left over is not read; the first token of a chunk is replaced by BOS where the model wants one; of
//! each chunk the tokens from `n_ctx / 2 + 1` on are scored.

mod board;
mod open;
mod plan;
mod score;
mod together;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::plan::Text;
use self::score::Names;
use super::batched::Batched;
use super::context::Ctx;
use super::load;
use super::logs::{Capture, Sink};
use super::model::Model;
use crate::engine::backend::Job;
use crate::library::MachineMemory;
use crate::measure::quality::tally::Tally;
use crate::protocol::{Design, EngineError, Event, QualityBatch, QualityLayout, QualityPlan, Stage, TokenScore};

/// Logits that lie in the output buffers of one context at a time, bytes: longer stretches are read in several steps.
const ROWS_BYTES: usize = 64 << 20;

/// A model that reads along.
struct Reader {
    ctx: Ctx,
}

impl Reader {
    /// Makes the context of a design for decodes of at most `most` tokens; `cancel` ends one that runs.
    fn open(
        model: &Arc<Model>,
        design: &Design,
        text: &Text,
        most: usize,
        capture: &Capture,
        cancel: Arc<AtomicBool>,
    ) -> Result<Self, EngineError> {
        let open = load::ctx_params(design, &model.info);
        let tokens = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let want = super::context::CtxParams { n_ctx: tokens(text.longest()), n_batch: tokens(most), swa_full: false, ..open };
        let mut ctx = load::make_ctx(model, &want, capture)?;
        ctx.cancel_with(Some(cancel));
        Ok(Self { ctx })
    }
}

/// Compares a plan's candidates with its reference.
///
/// # Errors
/// Those of loading and decoding; `InvalidRequest` for a text that is too short, or vocabularies that differ; `Cancelled`. What was
/// scored until then has been reported.
pub(super) fn quality(plan: &QualityPlan, sink: &Sink, job: &Job) -> Result<(), EngineError> {
    plan::check_vocabularies(plan)?;
    let capture = Capture::start(sink);
    let _batched = Batched::start();
    let mut loader = Loader { sink, capture: &capture, job, models: Vec::new() };
    let reference = loader.model(&plan.reference)?;
    let text = Text::of(plan, &reference, job)?;
    let fits = !plan.one_at_a_time && loader.has_room_for(&plan.candidates);
    job.emit(Event::QualityLayout { job: job.id(), layout: Box::new(QualityLayout { side_by_side: fits, ..text.layout(&reference) }) });
    let mut run = Run {
        plan,
        text: &text,
        names: Names::default(),
        tallies: vec![Tally::default(); plan.candidates.len()],
        job,
        done: 0,
        total: text.tokens_read() * (1 + plan.candidates.len() as u64),
    };
    if fits { together::run(&mut run, &loader, &reference) } else { run.in_turn(&mut loader, reference) }
}

/// Loads models, each file once.
struct Loader<'a> {
    sink: &'a Sink,
    capture: &'a Capture,
    job: &'a Job,
    models: Vec<(Design, Arc<Model>)>,
}

impl Loader<'_> {
    fn is_loaded_alike(a: &Design, b: &Design) -> bool {
        a.model == b.model && a.loading() == b.loading()
    }

    fn known(&self, design: &Design) -> Option<Arc<Model>> {
        self.models.iter().find(|(known, _)| Self::is_loaded_alike(known, design)).map(|(_, model)| Arc::clone(model))
    }

    fn model(&mut self, design: &Design) -> Result<Arc<Model>, EngineError> {
        if let Some(model) = self.known(design) {
            return Ok(model);
        }
        let model = Arc::new(load::load_model(design, false, self.capture, self.job)?);
        self.models.push((design.clone(), Arc::clone(&model)));
        Ok(model)
    }

    /// Whether the candidates' weights fit together beside what is loaded, with a quarter of the available memory to spare.
    fn has_room_for(&self, candidates: &[Design]) -> bool {
        let mut files: Vec<&Path> = candidates.iter().map(|design| design.model.as_path()).collect();
        files.sort_unstable();
        files.dedup();
        files.retain(|file| self.models.iter().all(|(known, _)| known.model != *file));
        let bytes: u64 = files.into_iter().map(|file| file.metadata().map_or(0, |meta| meta.len())).sum();
        bytes < MachineMemory::read().available / 4 * 3
    }

    fn reader(&mut self, design: &Design, text: &Text, reference: &Arc<Model>) -> Result<Reader, EngineError> {
        let model = self.model(design)?;
        if !Arc::ptr_eq(&model, reference) {
            plan::check_tokens(reference, &model, design)?;
        }
        Reader::open(&model, design, text, text.longest(), self.capture, self.job.cancel_flag())
    }

    /// Forgets a model that nothing reads with any more.
    fn forget(&mut self, model: &Arc<Model>) {
        self.models.retain(|(_, known)| !Arc::ptr_eq(known, model));
    }
}

struct Run<'a> {
    plan: &'a QualityPlan,
    text: &'a Text,
    names: Names,
    tallies: Vec<Tally>,
    job: &'a Job,
    done: u64,
    total: u64,
}

impl<'a> Run<'a> {
    /// The reference and the candidates.
    fn designs(&self) -> impl Iterator<Item = &'a Design> + use<'a> {
        std::iter::once(&self.plan.reference).chain(&self.plan.candidates)
    }

    /// One model in memory at a time: what the reference says is kept as a compact cache.
    fn in_turn(&mut self, loader: &mut Loader<'_>, model: Arc<Model>) -> Result<(), EngineError> {
        let at_once = rows_at_once(&model);
        let mut kept = Vec::new();
        let mut reference = loader.reader(&self.plan.reference, self.text, &model)?;
        for passage in self.text.passages() {
            reference.ctx.clear();
            for step in passage.steps(at_once) {
                self.read(&mut reference, &step)?;
                kept.push(score::keep(&reference.ctx.rows(), &step.targets(self.text), step.first_target() as u64)?);
            }
        }
        drop(reference);
        // a candidate of the same file goes on with it
        if self.plan.candidates.iter().all(|candidate| candidate.model != self.plan.reference.model) {
            loader.forget(&model);
        }
        for (index, design) in self.plan.candidates.iter().enumerate() {
            let mut candidate = loader.reader(design, self.text, &model)?;
            let mut entries = kept.iter();
            for passage in self.text.passages() {
                candidate.ctx.clear();
                for step in passage.steps(at_once) {
                    self.read(&mut candidate, &step)?;
                    let Some(entries) = entries.next() else { break };
                    let scores = score::against(entries, &candidate.ctx.rows())?;
                    self.report(&model, index, &step, scores);
                }
            }
            let own = Arc::clone(candidate.ctx.model());
            drop(candidate);
            if self.plan.candidates.iter().skip(index + 1).all(|other| other.model != design.model) && !Arc::ptr_eq(&own, &model) {
                loader.forget(&own);
            }
        }
        Ok(())
    }

    /// One step of one model.
    fn read(&mut self, reader: &mut Reader, step: &plan::Step<'_>) -> Result<(), EngineError> {
        self.job.check()?;
        reader.ctx.decode_from(step.tokens, step.skip)?;
        self.done += step.tokens.len() as u64;
        self.job.progress(Stage::Quality, self.done, self.total);
        Ok(())
    }

    fn report(&mut self, model: &Model, candidate: usize, step: &plan::Step<'_>, scores: Vec<TokenScore>) {
        if let Some(tally) = self.tallies.get_mut(candidate) {
            scores.iter().for_each(|score| tally.add(score));
        }
        if scores.is_empty() {
            return;
        }
        let names = self.names.of(model, &scores);
        let batch = QualityBatch { candidate: u32::try_from(candidate).unwrap_or(0), first: step.first_target() as u64, scores, names };
        self.job.emit(Event::QualityScores { job: self.job.id(), batch });
    }

    /// Whether everything is known as closely as was asked for.
    fn is_tight(&self) -> bool {
        self.plan.tight.is_some_and(|width| !self.tallies.is_empty() && self.tallies.iter().all(|tally| tally.tight_enough(width)))
    }
}

/// How many rows of logits a step may leave in a context's output buffer.
fn rows_at_once(model: &Model) -> usize {
    (ROWS_BYTES / (4 * model.n_vocab().max(1))).max(16)
}
