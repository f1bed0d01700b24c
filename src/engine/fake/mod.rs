//! The scripted engine: the whole contract without a model, and everything that can go wrong with one. Deterministic where its script
//! gives rates; used by tests and for demonstrations.

mod fault;
mod model;
mod probs;
mod quality;
mod script;

use std::path::Path;
use std::time::Instant;

pub use fault::{Harm, TOO_LARGE};
use script::wait;
pub use script::{Fault, Point, Reply, Script, Trigger};

use super::backend::{Backend, Job, Made, Probe};
use crate::protocol::{
    BenchPlan, BenchRow, Design, DeviceInfo, Dropped, EngineError, EngineFacts, ErrorKind, Event, FileType, GenerateRequest, GenerateStats,
    LoadReport, LoadRequest, MemoryUse, Message, Overflow, Prompt, QualityPlan, QuantizeRequest, Rendered, Resident, Role, Sampler,
    SamplingDefaults, Stage, StopReason, TokenBatch, reply_reserve,
};

/// Bytes of text that count as one token.
const BYTES_PER_TOKEN: usize = 4;

/// Computes nothing.
pub struct FakeBackend {
    script: Script,
    harm: Harm,
    /// Oldest use first; the active one is last
    resident: Vec<Resident>,
    /// Rendered prompt and reply that are in the cache
    cached: String,
    replies_given: usize,
}

/// The parts of a prompt that fits.
struct Fitted {
    text: String,
    dropped: Option<Dropped>,
}

impl FakeBackend {
    /// Plays a script. `harm` says how far its faults may go.
    pub fn new(script: Script, harm: Harm) -> Self {
        Self { script, harm, resident: Vec::new(), cached: String::new(), replies_given: 0 }
    }

    /// Plays the faults of [`Point::Start`].
    pub fn start(&self) {
        // There is no job yet that could fail.
        drop(self.maybe(Point::Start, "", None));
    }

    fn maybe(&self, at: Point, subject: &str, job: Option<&Job>) -> Result<(), EngineError> {
        for trigger in self.script.faults.iter().filter(|t| t.at == at && subject.contains(&t.matching)) {
            self.harm.play(&trigger.fault, job)?;
        }
        Ok(())
    }

    fn active(&self) -> Result<&Design, EngineError> {
        self.resident
            .last()
            .filter(|r| r.active)
            .map(|r| &r.design)
            .ok_or_else(|| EngineError::new(ErrorKind::InvalidRequest, "No model is loaded").hint("Load a model first"))
    }

    /// Removes the oldest until the others fit the budget.
    fn make_room(&mut self, budget: u64) {
        for resident in &mut self.resident {
            resident.active = false;
        }
        while self.resident.iter().map(|r| r.memory.total()).sum::<u64>() > budget && !self.resident.is_empty() {
            self.resident.remove(0);
        }
    }

    fn pretend_to_load(&self, path: &str, job: &Job) -> Result<(), EngineError> {
        for step in 0..=50u32 {
            if step == 25 {
                self.maybe(Point::Load, path, Some(job))?;
            }
            job.check()?;
            job.progress(Stage::Load, u64::from(step * 20), 1000);
            if step < 50 {
                wait(self.script.load_seconds / 50.0, || job.is_cancelled());
            }
        }
        Ok(())
    }

    fn n_ctx(&self) -> Result<u32, EngineError> {
        Ok(model::effective(&self.script, self.active()?).n_ctx)
    }

    fn fit(&self, request: &GenerateRequest, n_ctx: u32) -> Result<Fitted, EngineError> {
        let room = n_ctx.saturating_sub(reply_reserve(request.max_tokens, n_ctx)).max(1);
        let whole = render(&request.prompt);
        if count(&whole) <= room {
            return Ok(Fitted { text: whole, dropped: None });
        }
        let overflow = || {
            EngineError::new(ErrorKind::ContextOverflow, format!("The prompt has {} tokens, {room} fit", count(&whole)))
                .hint("Choose a larger context, or what to leave out")
        };
        let Prompt::Chat { messages } = &request.prompt else { return Err(overflow()) };
        let mut kept = messages.clone();
        let keep_first = match request.overflow {
            Overflow::Stop => return Err(overflow()),
            Overflow::DropOldest => 0,
            Overflow::KeepEnds => 2,
        };
        let start = usize::from(kept.first().is_some_and(|m| m.role == Role::System)) + keep_first;
        while start + 1 < kept.len() {
            kept.remove(start);
            let text = render_chat(&kept);
            if count(&text) <= room {
                let messages = u32::try_from(messages.len() - kept.len()).unwrap_or(u32::MAX);
                let tokens = count(&whole) - count(&text);
                return Ok(Fitted { text, dropped: Some(Dropped { messages, tokens }) });
            }
        }
        Err(overflow())
    }

    /// A prompt that fits, with its tokens and those of them that are in the cache; work on it begins.
    fn begin(&self, request: &GenerateRequest, job: &Job) -> Result<(Fitted, u32, u32), EngineError> {
        request.check_model(&self.active()?.model)?;
        let fitted = self.fit(request, self.n_ctx()?)?;
        let prompt_tokens = count(&fitted.text);
        // The last token is always computed: its result is what the first new one is drawn from.
        let shared = common_prefix(&self.cached, &fitted.text) / BYTES_PER_TOKEN;
        let cached_tokens = u32::try_from(shared).unwrap_or(u32::MAX).min(prompt_tokens.saturating_sub(1));
        job.emit(Event::Started { job: job.id(), prompt_tokens, cached_tokens, dropped: fitted.dropped });
        Ok((fitted, prompt_tokens, cached_tokens))
    }

    /// Reads the prompt; the milliseconds that took.
    fn read(&self, fitted: &Fitted, cached: u32, began: Instant, job: &Job) -> Result<f64, EngineError> {
        let total = count(&fitted.text);
        let new = total - cached;
        let steps = new.div_ceil(32).max(1);
        for step in 0..steps {
            if step == steps / 2 {
                self.maybe(Point::Prompt, &fitted.text, Some(job))?;
            }
            let rate = self.script.prefill_per_second;
            if rate > 0.0 && !wait(f64::from(new) / f64::from(steps) / rate, || job.is_cancelled()) {
                break;
            }
            job.check()?;
            job.progress(Stage::Prefill, u64::from(cached + new * (step + 1) / steps), u64::from(total));
        }
        let rate = self.script.prefill_per_second;
        Ok(if rate > 0.0 { f64::from(new) / rate * 1e3 } else { began.elapsed().as_secs_f64() * 1e3 })
    }
}

fn count(text: &str) -> u32 {
    u32::try_from(text.len().div_ceil(BYTES_PER_TOKEN)).unwrap_or(u32::MAX)
}

fn render(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Raw { text } => text.clone(),
        Prompt::Chat { messages } => render_chat(messages),
    }
}

fn render_chat(messages: &[Message]) -> String {
    let mut text = String::new();
    let continues = messages.last().is_some_and(|m| m.role == Role::Assistant);
    for (n, message) in messages.iter().enumerate() {
        let end = if continues && n + 1 == messages.len() { "" } else { "<|im_end|>\n" };
        text.push_str(&format!("<|im_start|>{}\n{}{end}", message.role.as_str(), message.text));
    }
    if !continues {
        text.push_str("<|im_start|>assistant\n");
    }
    text
}

/// The id of a token: the same text has the same (FNV-1a, within a vocabulary of 49,152).
fn id_of(piece: &str) -> i32 {
    let hash = piece.bytes().fold(0x811C_9DC5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash % 49_152) as i32
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}

/// What is known of a reply while it is made.
#[derive(Default)]
struct Spoken {
    text: String,
    n: u32,
    first: f64,
    last: f64,
    ids: Vec<i32>,
}

impl FakeBackend {
    /// Says the reply, token by token; why it ended.
    fn speak(
        &self,
        reply: &Reply,
        request: &GenerateRequest,
        prompt: &str,
        spoken: &mut Spoken,
        began: Instant,
        job: &Job,
    ) -> Result<StopReason, EngineError> {
        let room = self.n_ctx()?.saturating_sub(count(prompt));
        let limit = if request.max_tokens == 0 { u32::MAX } else { request.max_tokens };
        let rate = self.script.tokens_per_second;
        let start = began.elapsed().as_secs_f64();
        for token in reply.tokens() {
            self.maybe(Point::Token(spoken.n), prompt, Some(job))?;
            if job.is_cancelled() {
                return Ok(StopReason::Cancelled);
            }
            if spoken.n >= limit {
                return Ok(StopReason::MaxTokens);
            }
            if spoken.n >= room {
                return Ok(StopReason::ContextFull);
            }
            let due = start + f64::from(spoken.n) / rate;
            if rate > 0.0 && !wait(due - began.elapsed().as_secs_f64(), || job.is_cancelled()) {
                return Ok(StopReason::Cancelled);
            }
            let at = if rate > 0.0 { due } else { began.elapsed().as_secs_f64() };
            let before = spoken.text.len();
            spoken.text.push_str(&token);
            let stop =
                request.stop.iter().filter(|stop| !stop.is_empty()).find_map(|stop| spoken.text.find(stop.as_str()).map(|at| (at, stop)));
            // A stop text that began in an earlier token has been said in part; a real engine would hold that part back, this one stays simple.
            let end = stop.map_or(spoken.text.len(), |(at, _)| at.max(before));
            spoken.text.truncate(end);
            let piece = spoken.text.get(before..).unwrap_or_default().to_owned();
            let probs = probs::of(spoken.n, &piece, request.alternatives);
            spoken.ids.push(id_of(&piece));
            spoken.n += 1;
            spoken.first = if spoken.n == 1 { at } else { spoken.first };
            spoken.last = at;
            let kv_used = count(prompt) + spoken.n;
            job.emit(Event::Tokens {
                job: job.id(),
                batch: TokenBatch { text: piece, n: 1, total: spoken.n, first: at, last: at, kv_used, probs },
            });
            if let Some((_, stop)) = stop {
                return Ok(StopReason::StopText(stop.clone()));
            }
        }
        self.maybe(Point::Token(spoken.n), prompt, Some(job))?;
        Ok(StopReason::EndOfReply)
    }
}

impl Backend for FakeBackend {
    fn facts(&self) -> EngineFacts {
        EngineFacts {
            name: "fake".into(),
            commit: "scripted".into(),
            build: "b0".into(),
            cpu_features: Vec::new(),
            backends: vec!["CPU".into()],
            devices: vec![DeviceInfo { name: "CPU".into(), description: "Scripted".into(), kind: "cpu".into(), ..DeviceInfo::default() }],
        }
    }

    fn load(&mut self, request: &LoadRequest, job: &Job) -> Result<LoadReport, EngineError> {
        let began = Instant::now();
        let design = &request.design;
        let memory = model::memory(&self.script, design);
        let known = self.resident.iter().position(|r| !r.design.needs_reload(design));
        let warm = known.is_some();
        if let Some(at) = known {
            self.resident.remove(at);
        } else {
            let path = design.model.to_string_lossy().into_owned();
            if let Err(error) = self.pretend_to_load(&path, job) {
                job.emit(Event::Residents { job: job.id(), resident: self.resident.clone() });
                return Err(error);
            }
        }
        self.make_room(request.keep_warm_bytes);
        self.cached.clear();
        self.resident.push(Resident { design: design.clone(), memory, active: true });
        Ok(LoadReport {
            design: design.clone(),
            info: model::info(&self.script, &design.model),
            effective: model::effective(&self.script, design),
            memory,
            seconds: began.elapsed().as_secs_f64(),
            warm,
            resident: self.resident.clone(),
        })
    }

    fn unload(&mut self, model: Option<&Path>) -> Vec<Resident> {
        let subject = model.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
        // Freeing cannot fail, only end badly.
        drop(self.maybe(Point::Unload, &subject, None));
        self.resident.retain(|r| model.is_some_and(|path| r.design.model != path));
        self.cached.clear();
        self.resident.clone()
    }

    fn generate(&mut self, request: &GenerateRequest, job: &Job) -> Result<GenerateStats, EngineError> {
        let began = Instant::now();
        let (fitted, prompt_tokens, cached_tokens) = self.begin(request, job)?;
        let prefill_ms = match self.read(&fitted, cached_tokens, began, job) {
            Ok(milliseconds) => milliseconds,
            Err(error) if error.kind == ErrorKind::Cancelled => began.elapsed().as_secs_f64() * 1e3,
            Err(error) => return Err(error),
        };
        let reply = self.script.replies.get(self.replies_given % self.script.replies.len().max(1)).cloned();
        self.replies_given += 1;
        let mut spoken = Spoken::default();
        let reply = reply.unwrap_or_else(|| Reply::Text(String::new()));
        let stop = self.speak(&reply, request, &fitted.text, &mut spoken, began, job)?;
        let kv_used = prompt_tokens + spoken.n;
        self.cached = fitted.text + &spoken.text;
        let span = spoken.last - spoken.first;
        let gaps = f64::from(spoken.n.saturating_sub(1));
        let decode_tps = if gaps > 0.0 && span > 0.0 { gaps / span } else { 0.0 };
        Ok(GenerateStats {
            stop,
            prompt_tokens,
            cached_tokens,
            predicted_tokens: spoken.n,
            ttft_ms: spoken.first * 1e3,
            prefill_ms,
            prefill_tps: if prefill_ms > 0.0 { f64::from(prompt_tokens - cached_tokens) / prefill_ms * 1e3 } else { 0.0 },
            decode_tps,
            total_ms: began.elapsed().as_secs_f64() * 1e3,
            itl_p95_ms: if decode_tps > 0.0 { 1e3 / decode_tps } else { 0.0 },
            sampler: Sampler { seed: request.sampler.seed.unwrap_or(1), ..request.sampler.resolve(&SamplingDefaults::default()) },
            dropped: fitted.dropped,
            tokens: if request.want_token_ids { spoken.ids } else { Vec::new() },
            kv_used,
        })
    }

    fn prefill(&mut self, request: &GenerateRequest, job: &Job) -> Result<(), EngineError> {
        let (fitted, _, cached_tokens) = self.begin(request, job)?;
        self.read(&fitted, cached_tokens, Instant::now(), job)?;
        self.cached = fitted.text;
        Ok(())
    }

    fn render(&mut self, prompt: &Prompt, _job: &Job) -> Result<Rendered, EngineError> {
        self.active()?;
        let text = render(prompt);
        let (system_tokens, last_tokens) = match prompt {
            Prompt::Raw { text } => (0, count(text)),
            Prompt::Chat { messages } => {
                let system = messages.first().filter(|m| m.role == Role::System).map_or(0, |m| count(&m.text));
                (system, messages.last().map_or(0, |m| count(&m.text)))
            }
        };
        Ok(Rendered { n_tokens: count(&text), text, system_tokens, last_tokens })
    }

    fn quantize(&mut self, request: &QuantizeRequest, job: &Job) -> Result<Made, EngineError> {
        const TENSORS: u32 = 20;
        let began = Instant::now();
        let kind = FileType::by_name(&request.file_type).ok_or_else(|| {
            EngineError::new(ErrorKind::InvalidRequest, format!("There is no file type {}", request.file_type))
                .hint("Choose one of the list")
        })?;
        let disk = |error: std::io::Error| {
            EngineError::new(ErrorKind::Disk, format!("The file cannot be written: {error}"))
                .hint("Check the folder and its free space")
                .path(&request.target)
        };
        let mut partial = request.target.clone().into_os_string();
        partial.push(format!(".{}.partial", std::process::id()));
        let name = request.target.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let result = (|| {
            std::fs::write(&partial, model::gguf(&name, kind.id)).map_err(disk)?;
            for tensor in 0..TENSORS {
                if tensor == TENSORS / 2 {
                    self.maybe(Point::Quantize, &request.source.to_string_lossy(), Some(job))?;
                }
                job.progress(Stage::Quantize, tensor.into(), TENSORS.into());
                wait(self.script.quantize_seconds / f64::from(TENSORS), || job.is_cancelled());
                job.check()?;
            }
            std::fs::rename(&partial, &request.target).map_err(disk)
        })();
        if let Err(error) = result {
            drop(std::fs::remove_file(&partial));
            return Err(error);
        }
        job.progress(Stage::Quantize, TENSORS.into(), TENSORS.into());
        let size = std::fs::metadata(&request.target).map(|meta| meta.len()).map_err(disk)?;
        log::debug!("scripted rung made in {:?}", began.elapsed());
        Ok(Made { path: request.target.clone(), size, bpw: kind.nominal_bpw.into(), fallbacks: 0 })
    }

    fn bench(&mut self, plan: &BenchPlan, job: &Job) -> Result<(), EngineError> {
        self.maybe(Point::Bench, &plan.design.model.to_string_lossy(), Some(job))?;
        let info = model::info(&self.script, &plan.design.model);
        let rate = |asked: f64, otherwise: f64| if asked > 0.0 { asked } else { otherwise };
        let (prefill, decode) = (rate(self.script.prefill_per_second, 600.0), rate(self.script.tokens_per_second, 40.0));
        let total = plan.tests.len() as u64 * u64::from(plan.repetitions);
        for (n, test) in (0u64..).zip(&plan.tests) {
            let seconds = f64::from(test.n_prompt) / prefill + f64::from(test.n_gen) / decode;
            let (mut samples_ns, mut ttft_ns, mut gaps_ns) = (Vec::new(), Vec::new(), Vec::new());
            for repetition in 0..plan.repetitions {
                job.check()?;
                // A spread of 1 %, the same in every run.
                let spread = 1.0 + 0.005 * (f64::from(repetition) * 2.4).sin();
                let ns = (seconds * spread * 1e9) as u64;
                samples_ns.push(ns);
                match test.n_gen {
                    0 => ttft_ns.push(ns),
                    n => gaps_ns.push(vec![(spread / decode * 1e9) as u64; n as usize]),
                }
                job.progress(Stage::Bench, n * u64::from(plan.repetitions) + u64::from(repetition) + 1, total);
            }
            let row = BenchRow {
                test: *test,
                samples_ns,
                ttft_ns,
                gaps_ns,
                model_type: format!("llama {} M {}", self.script.n_params / 1_000_000, info.quant),
                model_size: info.size,
                info: info.clone(),
                effective: model::effective(&self.script, &plan.design),
                memory: model::memory(&self.script, &plan.design),
                peak_rss: model::memory(&self.script, &plan.design).total(),
                test_time: "2026-01-01T00:00:00Z".into(),
                ..BenchRow::default()
            };
            job.emit(Event::BenchRow { job: job.id(), row: Box::new(row) });
        }
        Ok(())
    }

    fn quality(&mut self, plan: &QualityPlan, job: &Job) -> Result<(), EngineError> {
        self.maybe(Point::Bench, &plan.reference.model.to_string_lossy(), Some(job))?;
        quality::quality(&self.script, plan, job)
    }

    fn estimate(&mut self, design: &Design, job: &Job) -> Result<MemoryUse, EngineError> {
        self.maybe(Point::Estimate, &design.model.to_string_lossy(), Some(job))?;
        Ok(model::memory(&self.script, design))
    }

    fn probe(&mut self, threads: u32, job: &Job) -> Result<Probe, EngineError> {
        for pass in 0..=4 {
            job.check()?;
            job.progress(Stage::Probe, pass, 4);
        }
        Ok(Probe { bandwidth_gb_s: self.script.bandwidth_gb_s, threads: if threads == 0 { 2 } else { threads }, ops_gflops: None })
    }
}

#[cfg(test)]
mod tests;
