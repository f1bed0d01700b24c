//! One reply: prompt, prefill in chunks, then token after token.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::context::{Ctx, DecodeError};
use super::portions::Portions;
use super::probs;
use super::prompt::{Maker, Ready};
use super::sampling::{self, Chooser};
use super::text::{Outcome, Reply};
use super::tokens;
use crate::engine::backend::Job;
use crate::protocol::{
    EngineError, Event, GenerateRequest, GenerateStats, LogLevel, Sampler, Setting, Stage, StopReason, TokenBatch, TokenProb, reply_reserve,
};

/// Token events are at least this far apart: at most 30 a second.
const EMIT_EVERY: Duration = Duration::from_millis(34);
/// A chunk of the prompt takes about this long, so that progress shows and a cancel is heard even where a computation cannot be aborted.
const CHUNK_SECONDS: f64 = 0.4;
/// Progress within a chunk is told at most this often.
const TICK: Duration = Duration::from_millis(100);

/// What a context remembers between replies about its own speed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Prompt tokens per second, the latest measured; 0 before the first
    pub(super) prefill_tps: f64,
    /// Graph nodes of one physical batch; 0 before the first
    pub(super) nodes: u64,
    /// In which portions prompts are read
    pub(super) portions: Portions,
}

/// Answers a request.
///
/// # Errors
/// See [`crate::engine::backend::Backend::generate`]. Cancelling after the prompt is known gives stats, before that `Cancelled`.
pub(super) fn generate(ctx: &mut Ctx, pace: &mut Pace, request: &GenerateRequest, job: &Job) -> Result<GenerateStats, EngineError> {
    ctx.cancel_with(Some(job.cancel_flag()));
    let done = Run::start(ctx, pace, request, job).and_then(Run::finish);
    ctx.cancel_with(None);
    done
}

/// Reads the prompt of a request into the cache, where the request itself will find it.
///
/// # Errors
/// See [`crate::engine::backend::Backend::prefill`].
pub(super) fn prefill(ctx: &mut Ctx, pace: &mut Pace, request: &GenerateRequest, job: &Job) -> Result<(), EngineError> {
    ctx.cancel_with(Some(job.cancel_flag()));
    let done = Run::start(ctx, pace, request, job).and_then(|mut run| run.prefill().map_err(EngineError::from));
    ctx.cancel_with(None);
    done
}

struct Run<'a> {
    ctx: &'a mut Ctx,
    pace: &'a mut Pace,
    request: &'a GenerateRequest,
    job: &'a Job,
    began: Instant,
    ready: Ready,
    cached: usize,
    sampler: Sampler,
    chooser: Chooser,
    reply: Reply,
    times: Vec<f64>,
    ids: Vec<i32>,
    batch: TokenBatch,
    emitted: Option<Instant>,
}

impl<'a> Run<'a> {
    fn start(ctx: &'a mut Ctx, pace: &'a mut Pace, request: &'a GenerateRequest, job: &'a Job) -> Result<Self, EngineError> {
        let began = Instant::now();
        let model = std::sync::Arc::clone(ctx.model());
        let n_ctx = ctx.n_ctx();
        let go_on = || !job.is_cancelled();
        let maker = Maker { model: &model, go_on: &go_on };
        let ready = maker.fit(&request.prompt, request.overflow, n_ctx, reply_reserve(request.max_tokens, n_ctx))?;
        let (mut sampler, changed) = request.sampler.resolve(&model.info.sampling).bounded(n_ctx);
        for Setting { name, requested, effective, reason } in changed {
            let line = format!("Sampler: {name} is {effective} instead of {requested}, because {reason}");
            job.emit(Event::Log { level: LogLevel::Warn, line });
        }
        if sampler.seed == u32::MAX {
            sampler.seed = sampling::fresh_seed();
        }
        let chooser = Chooser::new(model.safe(), &sampler, request.json_schema.as_deref(), n_ctx, &ready.tokens)?;
        let mut cached = ctx.keep_prefix(&ready.tokens);
        let again = pace.portions.again(cached, ready.tokens.len() - cached);
        if again > 0 {
            ctx.truncate(cached - again);
            cached = ctx.tokens().len();
        }
        job.emit(Event::Started {
            job: job.id(),
            prompt_tokens: count(ready.tokens.len()),
            cached_tokens: count(cached),
            dropped: ready.dropped,
        });
        Ok(Self {
            reply: Reply::new(&request.stop),
            ctx,
            pace,
            request,
            job,
            began,
            ready,
            cached,
            sampler,
            chooser,
            times: Vec::new(),
            ids: Vec::new(),
            batch: TokenBatch::default(),
            emitted: None,
        })
    }

    fn finish(mut self) -> Result<GenerateStats, EngineError> {
        let prefill = Instant::now();
        let read = self.prefill();
        let prefill_seconds = prefill.elapsed().as_secs_f64();
        let stop = match read {
            Ok(()) => self.decode()?,
            Err(DecodeError::Aborted) => StopReason::Cancelled,
            Err(other) => return Err(other.into()),
        };
        // After a stop text nothing is held any more; otherwise what is held back is text after all.
        self.reply.finish();
        self.batch.text.push_str(&self.reply.take());
        self.flush();
        Ok(self.stats(stop, prefill_seconds))
    }

    /// Computes the prompt in chunks. Chunks are whole physical batches but for the last two, whatever the speed: the same prompt is always
    /// computed in the same portions, so that the same seed gives the same text.
    fn prefill(&mut self) -> Result<(), DecodeError> {
        let total = self.ready.tokens.len();
        let ubatch = self.ctx.n_ubatch().max(1) as usize;
        let mut at = self.cached;
        let progress = |done: usize| self.job.progress(Stage::Prefill, done as u64, total as u64);
        progress(at);
        while at < total {
            if self.job.is_cancelled() {
                return Err(DecodeError::Aborted);
            }
            let wanted = (self.pace.prefill_tps * CHUNK_SECONDS) as usize / ubatch * ubatch;
            let n = self.pace.portions.next(total - at, wanted.clamp(ubatch, (self.ctx.n_batch() as usize).max(ubatch)), ubatch);
            let Some(chunk) = self.ready.tokens.get(at..at + n) else { break };
            let (nodes, started) = (self.ctx.nodes(), Instant::now());
            let per_ubatch = self.pace.nodes;
            let last_tick = Cell::new(started);
            let watch = |now: u64| {
                if per_ubatch == 0 || last_tick.get().elapsed() < TICK {
                    return;
                }
                last_tick.set(Instant::now());
                let part = (now - nodes) as f64 / per_ubatch as f64 * ubatch as f64;
                progress(at + (part as usize).min(n.saturating_sub(1)));
            };
            self.ctx.decode_watched(chunk, at + n == total, &watch)?;
            let seconds = started.elapsed().as_secs_f64();
            if n >= 32 && seconds > 0.0 {
                self.pace.prefill_tps = n as f64 / seconds;
            }
            self.pace.nodes = (self.ctx.nodes() - nodes) / n.div_ceil(ubatch).max(1) as u64;
            at += n;
            progress(at);
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<StopReason, EngineError> {
        let model = std::sync::Arc::clone(self.ctx.model());
        let mut bytes = Vec::new();
        loop {
            if self.job.is_cancelled() {
                return Ok(StopReason::Cancelled);
            }
            let Some(logits) = self.ctx.logits() else {
                return Err(DecodeError::Invalid("it produced no output".into()).into());
            };
            let token = self.chooser.choose(logits)?;
            let wanted = self.request.alternatives;
            let prob = (wanted > 0).then(|| probs::of(&model, logits, token, wanted));
            if tokens::ends_reply(&model, token) {
                self.batch.probs.extend(prob);
                return Ok(StopReason::EndOfReply);
            }
            bytes.clear();
            tokens::piece(&model, token, &mut bytes);
            let outcome = self.note(token, &bytes, prob);
            if let Outcome::Stopped(text) = outcome {
                return Ok(StopReason::StopText(text));
            }
            if self.request.max_tokens > 0 && count(self.times.len()) >= self.request.max_tokens {
                return Ok(StopReason::MaxTokens);
            }
            if self.ctx.used() >= self.ctx.n_ctx() {
                return Ok(StopReason::ContextFull);
            }
            match self.ctx.decode(&[token], true) {
                Ok(()) => {}
                Err(DecodeError::Full) => return Ok(StopReason::ContextFull),
                Err(DecodeError::Aborted) => return Ok(StopReason::Cancelled),
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Takes a token that was just chosen, and passes text on when it is time.
    fn note(&mut self, token: i32, bytes: &[u8], prob: Option<TokenProb>) -> Outcome {
        let now = self.began.elapsed().as_secs_f64();
        self.times.push(now);
        if self.request.want_token_ids {
            self.ids.push(token);
        }
        let before = self.reply.len();
        let outcome = self.reply.push(bytes);
        if let Some(prob) = prob {
            // a stop text takes off what earlier tokens said: then this one added nothing
            self.batch.probs.push(TokenProb { bytes: count(self.reply.len().saturating_sub(before)), ..prob });
        }
        self.batch.text.push_str(&self.reply.take());
        if self.batch.n == 0 {
            self.batch.first = now;
        }
        self.batch.n += 1;
        self.batch.last = now;
        if self.emitted.is_none_or(|at| at.elapsed() >= EMIT_EVERY) {
            self.flush();
        }
        outcome
    }

    fn flush(&mut self) {
        if self.batch.n == 0 && self.batch.text.is_empty() && self.batch.probs.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.batch);
        if batch.n == 0 {
            // Text that was held back, released without a token of its own.
            let last = self.times.last().copied().unwrap_or_default();
            (batch.first, batch.last) = (last, last);
        }
        batch.total = count(self.times.len());
        batch.kv_used = self.ctx.used();
        self.emitted = Some(Instant::now());
        self.job.emit(Event::Tokens { job: self.job.id(), batch });
    }

    fn stats(self, stop: StopReason, prefill_seconds: f64) -> GenerateStats {
        let gaps: Vec<f64> = self.times.windows(2).map(|w| (w.last().unwrap_or(&0.0) - w.first().unwrap_or(&0.0)) * 1e3).collect();
        let span = self.times.last().unwrap_or(&0.0) - self.times.first().unwrap_or(&0.0);
        let computed = (self.ctx.used() as usize).min(self.ready.tokens.len()).saturating_sub(self.cached);
        let rate = |n: usize, seconds: f64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        GenerateStats {
            stop,
            prompt_tokens: count(self.ready.tokens.len()),
            cached_tokens: count(self.cached),
            predicted_tokens: count(self.times.len()),
            ttft_ms: self.times.first().copied().unwrap_or(0.0) * 1e3,
            prefill_ms: prefill_seconds * 1e3,
            prefill_tps: rate(computed, prefill_seconds),
            decode_tps: rate(gaps.len(), span),
            total_ms: self.began.elapsed().as_secs_f64() * 1e3,
            itl_p95_ms: percentile(gaps, 0.95),
            sampler: self.sampler,
            dropped: self.ready.dropped,
            tokens: self.ids,
            kv_used: self.ctx.used(),
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Linear interpolation between the sorted values, as numpy does it; 0 for none.
fn percentile(mut values: Vec<f64>, p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = p * values.len().saturating_sub(1) as f64;
    let value = |i: usize| values.get(i).or(values.last()).copied().unwrap_or(0.0);
    let (low, part) = (at.floor() as usize, at.fract());
    value(low) + (value(low + 1) - value(low)) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_interpolate() {
        assert_eq!(percentile(vec![], 0.95), 0.0);
        assert_eq!(percentile(vec![7.0], 0.95), 7.0);
        assert_eq!(percentile(vec![3.0, 1.0, 2.0], 0.5), 2.0);
        assert!((percentile((1..=21).map(f64::from).collect(), 0.95) - 20.0).abs() < 1e-9);
    }
}
