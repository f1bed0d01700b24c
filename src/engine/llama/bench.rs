//! Speed, measured the way llama-bench measures it (`tools/llama-bench/llama-bench.cpp`): random tokens, a warm-up, the cache cleared
//! before each repetition, no sampling and no text; wall time around decode and synchronize.
//!
//! Designs can be measured in turns, one repetition at a time: models and contexts stay warm between jobs ([`warm`]) as far as the plan
//! and the machine's memory allow, so that a turn costs a short warm-up and no load.

mod runner;
mod warm;

use std::sync::Arc;
use std::time::Instant;

use self::runner::Runner;
use self::warm::Bench;
pub(super) use self::warm::Warm;
use super::context::CtxParams;
use super::logs::{Capture, Sink};
use super::model::Model;
use super::template::timestamp;
use super::{effective, load, memory};
use crate::engine::backend::Job;
use crate::engine::telemetry::surroundings::Stretch;
use crate::protocol::{BenchPlan, BenchRow, BenchTest, Design, EngineError, ErrorKind, Event, Stage, Surroundings, Warmup};

/// Most probes of a warm-up.
const MOST_PROBES: u32 = 8;
/// Two probes in a row within this part of each other are a stable machine.
const STABLE: f64 = 0.03;
/// Tokens of a probe: of a prompt, and generated.
const PROBE: (u32, u32) = (32, 4);
/// Tokens that bring a warm design back into the caches: of a prompt, and generated. Every weight is read once.
const REMIND: (u32, u32) = (4, 1);
/// Tokens that a new context is warmed up with: what is touched for the first time is paid for. The rest of its buffers, which only a
/// larger batch touches, costs the first repetition under 1 %.
const FIRST: (u32, u32) = (128, 2);

/// A cache filled to a depth, kept so that the next repetition restores it instead of computing it again.
struct Depth {
    n: u32,
    state: Vec<u8>,
    tokens: Vec<i32>,
}

/// Measures every cell of a plan on a model of its own.
///
/// # Errors
/// Those of loading and decoding; `InvalidRequest` for a cell without tokens; `Cancelled`.
pub(super) fn bench(plan: &BenchPlan, warm: &mut Warm, sink: &Sink, job: &Job) -> Result<(), EngineError> {
    if plan.repetitions == 0 || plan.tests.iter().any(|t| t.n_prompt == 0 && t.n_gen == 0) {
        return Err(EngineError::new(ErrorKind::InvalidRequest, "A benchmark needs at least one repetition and one token per cell")
            .hint("Set the prompt or the generated tokens of every cell above 0"));
    }
    let capture = Capture::start(sink);
    let result = cells(plan, warm, &capture, job);
    warm.trim(plan.keep_warm_bytes);
    result
}

fn cells(plan: &BenchPlan, warm: &mut Warm, capture: &Capture, job: &Job) -> Result<(), EngineError> {
    let mut began = Instant::now();
    let model = warm.model(&plan.design, capture, job)?;
    let total = plan.tests.len() as u64 * u64::from(plan.repetitions);
    let mut done = 0;
    let mut depths = Vec::new();
    for test in &plan.tests {
        job.progress(Stage::Bench, done, total);
        let want = context_of(plan, *test, &model);
        // taken out: a context that fails in the middle of a cell is not used again
        let mut bench = warm.take(&model, &want, capture)?;
        if bench.depths.is_empty() {
            bench.depths = std::mem::take(&mut depths);
        }
        bench.runner.cancel_with(Some(job.cancel_flag()));
        let row = cell(plan, *test, &mut bench, began, job, &mut || {
            done += 1;
            job.progress(Stage::Bench, done, total);
        })?;
        bench.runner.cancel_with(None);
        if plan.keep_warm_bytes == 0 {
            // the next cell of the same depth takes its cache over
            depths = std::mem::take(&mut bench.depths);
        } else {
            warm.put(bench);
        }
        job.emit(Event::BenchRow { job: job.id(), row: Box::new(row) });
        began = Instant::now();
    }
    Ok(())
}

/// The context of a cell: of exactly its size, as in llama-bench, or the design's own, large enough for every cell.
fn context_of(plan: &BenchPlan, test: BenchTest, model: &Model) -> CtxParams {
    let open = load::ctx_params(&plan.design, &model.info);
    let size = |test: &BenchTest| test.n_prompt.saturating_add(test.n_gen).saturating_add(test.n_depth);
    if plan.own_context {
        let largest = plan.tests.iter().map(size).max().unwrap_or(0);
        return CtxParams { n_ctx: open.n_ctx.max(largest), ..open };
    }
    // llama-bench keeps sliding-window layers small, so this does too
    CtxParams { n_ctx: size(&test), swa_full: false, ..open }
}

fn cell(
    plan: &BenchPlan,
    test: BenchTest,
    bench: &mut Bench,
    began: Instant,
    job: &Job,
    tick: &mut dyn FnMut(),
) -> Result<BenchRow, EngineError> {
    let test_time = timestamp();
    // of this cell: the one before may have had a larger context
    memory::forget_peak_rss();
    let warmups = warm_up(plan.warmup, test, bench)?;
    let mut row = BenchRow { test, test_time, warmups, ..BenchRow::default() };
    let mut measured = 0u64;
    for _ in 0..plan.repetitions {
        job.check()?;
        bench.runner.clear();
        if test.n_depth > 0 {
            bench.runner.fill(test.n_depth, &mut bench.depths)?;
        }
        let stretch = Stretch::begin();
        let mut gaps = Vec::with_capacity(test.n_gen as usize);
        let started = Instant::now();
        if test.n_prompt > 0 {
            bench.runner.prompt(test.n_prompt)?;
        }
        if test.n_gen > 0 {
            bench.runner.generate(test.n_gen, |ns| gaps.push(ns))?;
        }
        let ns = nanoseconds(started);
        if test.n_gen == 0 && bench.runner.choose().is_some() {
            row.ttft_ns.push(nanoseconds(started));
        }
        // what a GPU takes is not in the packages' counters
        let seen = stretch.end();
        row.surroundings.push(Surroundings { package_joules: seen.package_joules.filter(|_| !load::has_gpu()), ..seen });
        row.samples_ns.push(ns);
        measured = measured.saturating_add(ns);
        if test.n_gen > 0 {
            row.gaps_ns.push(gaps);
        }
        tick();
    }
    let model = Arc::clone(bench.runner.model());
    row.prepare_ns = nanoseconds(began).saturating_sub(measured);
    row.info = model.info.clone();
    row.model_type = model.desc();
    row.model_size = model.tensor_bytes();
    row.memory = bench.memory;
    row.peak_rss = memory::peak_rss();
    row.effective = bench.runner.effective(|ctx| {
        let asked = Design { n_ctx: if plan.own_context { plan.design.n_ctx } else { ctx.n_ctx() }, ..plan.design.clone() };
        effective::effective(&asked, ctx, &model.loading, &bench.lines)
    });
    Ok(row)
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Runs what the policy says before a cell is measured; how many probes that took.
fn warm_up(policy: Warmup, test: BenchTest, bench: &mut Bench) -> Result<u32, EngineError> {
    let threads = bench.runner.threads();
    let known = bench.warmed.iter().any(|(with, cell)| *with == threads && *cell == test);
    // memory that was never touched is slow the first time, whatever the threads
    let fresh = bench.warmed.iter().all(|(_, cell)| (cell.n_prompt > 0) != (test.n_prompt > 0) || (cell.n_gen > 0) != (test.n_gen > 0));
    bench.runner.clear();
    let probes = match policy {
        Warmup::None => return Ok(0),
        Warmup::Once => {
            whole(&mut bench.runner, test.n_prompt, test.n_gen.min(1))?;
            0
        }
        Warmup::Stable => {
            whole(&mut bench.runner, test.n_prompt, test.n_gen.min(1))?;
            until_stable(&mut bench.runner, test)?
        }
        Warmup::Brief if known => {
            whole(&mut bench.runner, test.n_prompt.min(REMIND.0), test.n_gen.min(REMIND.1))?;
            0
        }
        Warmup::Brief => {
            if fresh {
                whole(&mut bench.runner, test.n_prompt.min(FIRST.0), test.n_gen.min(FIRST.1))?;
                0
            } else {
                until_stable(&mut bench.runner, test)?
            }
        }
    };
    if !known {
        bench.warmed.push((threads, test));
    }
    Ok(probes)
}

fn whole(runner: &mut Runner, n_prompt: u32, n_gen: u32) -> Result<(), EngineError> {
    if n_prompt > 0 {
        runner.prompt(n_prompt)?;
    }
    if n_gen > 0 {
        runner.generate(n_gen, |_| {})?;
    }
    Ok(())
}

/// Short probes of the cell's kind until two in a row agree; a machine that does not settle is measured as it is.
fn until_stable(runner: &mut Runner, test: BenchTest) -> Result<u32, EngineError> {
    let mut before = f64::NAN;
    for probe in 1..=MOST_PROBES {
        runner.clear();
        let started = Instant::now();
        whole(runner, test.n_prompt.min(PROBE.0), test.n_gen.min(PROBE.1))?;
        let seconds = started.elapsed().as_secs_f64();
        if (seconds / before - 1.0).abs() <= STABLE {
            return Ok(probe);
        }
        before = seconds;
    }
    Ok(MOST_PROBES)
}
