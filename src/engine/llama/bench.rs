//! Speed, measured the way llama-bench measures it (`tools/llama-bench/llama-bench.cpp`): random tokens, one warm-up, the cache cleared
//! before each repetition, no sampling and no text; wall time around decode and synchronize.

use std::sync::Arc;
use std::time::Instant;

use super::context::{Ctx, CtxParams, DecodeError};
use super::logs::{Capture, Sink};
use super::model::Model;
use super::template::timestamp;
use super::{effective, load, memory, tokens};
use crate::engine::backend::Job;
use crate::protocol::{BenchPlan, BenchRow, BenchTest, Design, EngineError, ErrorKind, Event, MemoryUse, Stage};

/// A cache filled to a depth, kept so that the next repetition restores it instead of computing it again.
struct Depth {
    n: u32,
    state: Vec<u8>,
    tokens: Vec<i32>,
}

/// Measures every cell of a plan on a model of its own, loaded once, with a context per cell of exactly the size it needs.
///
/// # Errors
/// Those of loading and decoding; `InvalidRequest` for a cell without tokens; `Cancelled`.
pub(super) fn bench(plan: &BenchPlan, sink: &Sink, job: &Job) -> Result<(), EngineError> {
    if plan.repetitions == 0 || plan.tests.iter().any(|t| t.n_prompt == 0 && t.n_gen == 0) {
        return Err(EngineError::new(ErrorKind::InvalidRequest, "A benchmark needs at least one repetition and one token per cell")
            .hint("Set the prompt or the generated tokens of every cell above 0"));
    }
    let capture = Capture::start(sink);
    let model = Arc::new(load::load_model(&plan.design, false, &capture, job)?);
    let total = plan.tests.len() as u64 * u64::from(plan.repetitions);
    let mut done = 0;
    let mut depth = None;
    for test in &plan.tests {
        job.progress(Stage::Bench, done, total);
        let row = cell(plan, *test, &model, &capture, &mut depth, job, &mut || {
            done += 1;
            job.progress(Stage::Bench, done, total);
        })?;
        job.emit(Event::BenchRow { job: job.id(), row: Box::new(row) });
    }
    Ok(())
}

fn cell(
    plan: &BenchPlan,
    test: BenchTest,
    model: &Arc<Model>,
    capture: &Capture,
    depth: &mut Option<Depth>,
    job: &Job,
    tick: &mut dyn FnMut(),
) -> Result<BenchRow, EngineError> {
    let open = load::ctx_params(&plan.design, &model.info);
    let n_ctx = test.n_prompt.saturating_add(test.n_gen).saturating_add(test.n_depth);
    // llama-bench keeps sliding-window layers small, so this does too.
    let want = CtxParams { n_ctx, swa_full: false, ..open };
    let mark = capture.mark();
    // of this cell: the one before may have had a larger context
    memory::forget_peak_rss();
    let ctx = load::make_ctx(model, &want, capture)?;
    let lines = capture.since(mark);
    let used = MemoryUse { weights: model.weights, ..memory::from_lines(&lines) };
    let effective = effective::effective(&Design { n_ctx, ..plan.design.clone() }, &ctx, &model.loading, &lines);
    let mut runner = Runner::new(ctx, &want);
    runner.ctx.cancel_with(Some(job.cancel_flag()));
    let test_time = timestamp();
    if !plan.no_warmup {
        if test.n_prompt > 0 {
            runner.prompt(test.n_prompt)?;
        }
        if test.n_gen > 0 {
            runner.generate(1)?;
        }
    }
    let mut samples_ns = Vec::new();
    for _ in 0..plan.repetitions {
        job.check()?;
        runner.ctx.clear();
        if test.n_depth > 0 {
            runner.fill(test.n_depth, depth)?;
        }
        let started = Instant::now();
        if test.n_prompt > 0 {
            runner.prompt(test.n_prompt)?;
        }
        if test.n_gen > 0 {
            runner.generate(test.n_gen)?;
        }
        samples_ns.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        tick();
    }
    Ok(BenchRow {
        test,
        samples_ns,
        info: model.info.clone(),
        model_type: model.desc(),
        model_size: model.tensor_bytes(),
        effective,
        memory: used,
        peak_rss: memory::peak_rss(),
        test_time,
    })
}

struct Runner {
    ctx: Ctx,
    random: Random,
    bos: Option<i32>,
    threads: (u32, u32),
    buffer: Vec<i32>,
}

impl Runner {
    fn new(ctx: Ctx, want: &CtxParams) -> Self {
        let model = ctx.model();
        let n_vocab = u32::try_from(model.n_vocab()).unwrap_or(1).max(1);
        let bos = tokens::bos_eos(model).0.filter(|_| tokens::wants_bos(model));
        let buffer = Vec::with_capacity(ctx.n_batch() as usize);
        Self { ctx, random: Random { state: 0x9E37_79B9_7F4A_7C15, n_vocab }, bos, threads: (want.threads, want.threads_batch), buffer }
    }

    fn token(&mut self, first: bool) -> i32 {
        self.bos.filter(|_| first).unwrap_or_else(|| self.random.token())
    }

    /// `test_prompt`: batches of `n_batch`, one synchronize at the end.
    fn prompt(&mut self, n: u32) -> Result<(), DecodeError> {
        self.ctx.set_threads(self.threads.0, self.threads.1);
        let mut done = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        while done < n {
            let part = (n - done).min(self.ctx.n_batch());
            buffer.clear();
            for i in 0..part {
                buffer.push(self.token(done == 0 && i == 0));
            }
            self.ctx.decode(&buffer, true)?;
            done += part;
        }
        self.ctx.synchronize();
        self.buffer = buffer;
        Ok(())
    }

    /// `test_gen`: one decode and one synchronize a token; the next token is random, not sampled.
    fn generate(&mut self, n: u32) -> Result<(), DecodeError> {
        self.ctx.set_threads(self.threads.0, self.threads.1);
        let mut token = self.token(true);
        for _ in 0..n {
            self.ctx.decode(&[token], true)?;
            self.ctx.synchronize();
            token = self.random.token();
        }
        Ok(())
    }

    /// Fills the cache untimed: computed once, restored afterwards.
    fn fill(&mut self, n: u32, kept: &mut Option<Depth>) -> Result<(), DecodeError> {
        if let Some(depth) = kept.as_ref().filter(|depth| depth.n == n)
            && self.ctx.restore(&depth.state, &depth.tokens)
        {
            return Ok(());
        }
        self.ctx.clear();
        self.prompt(n)?;
        *kept = Some(Depth { n, state: self.ctx.save(), tokens: self.ctx.tokens().to_vec() });
        Ok(())
    }
}

/// xorshift64*: which tokens does not matter, only that they differ.
struct Random {
    state: u64,
    n_vocab: u32,
}

impl Random {
    fn token(&mut self) -> i32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let x = (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % u64::from(self.n_vocab);
        i32::try_from(x).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_are_in_the_vocabulary_and_differ() {
        let mut random = Random { state: 1, n_vocab: 49152 };
        let tokens: Vec<i32> = (0..1000).map(|_| random.token()).collect();
        assert!(tokens.iter().all(|t| (0..49152).contains(t)));
        let distinct: std::collections::HashSet<_> = tokens.iter().collect();
        assert!(distinct.len() > 900);
    }
}
