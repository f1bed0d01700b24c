//! What an engine says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BenchRow, Design, EngineError, JobId, ModelInfo, QualityBatch, QualityLayout, Sample, Sampler, TokenProb};

/// A compute device as ggml lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `CPU`, `CUDA0`
    pub name: String,
    /// What it is called by its maker
    pub description: String,
    /// `cpu`, `gpu`, `igpu`, `accel`
    #[serde(rename = "type")]
    pub kind: String,
    /// Bytes
    pub memory_total: u64,
    /// Bytes. For the CPU: `MemAvailable` and the cgroup's limit, not ggml's figure
    pub memory_free: u64,
}

/// What the engine is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineFacts {
    /// `llama.cpp`, `fake`
    pub name: String,
    /// llama.cpp revision the crate bundles
    pub commit: String,
    /// Build number (`b11434`)
    pub build: String,
    /// CPU features compiled in and in use (`AVX2`, `AVX512`, `AMX_INT8`)
    pub cpu_features: Vec<String>,
    /// `CPU`, `CUDA`
    pub backends: Vec<String>,
    /// Devices
    pub devices: Vec<DeviceInfo>,
}

/// What a job is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading weights; unit: thousandths
    Load,
    /// Reading the prompt; unit: tokens
    Prefill,
    /// Quantizing; unit: tensors
    Quantize,
    /// Measuring; unit: repetitions
    Bench,
    /// Probing bandwidth; unit: passes
    Probe,
    /// Comparing quality; unit: tokens read, by all models together
    Quality,
}

/// A setting that was asked for and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The design's field (`n_ctx`)
    pub name: String,
    /// As asked (`auto` where the choice was left to the engine)
    pub requested: String,
    /// As it is
    pub effective: String,
    /// Why they differ; empty when they do not
    pub reason: String,
}

impl Setting {
    /// Whether something else happened than was asked for. A choice that was left to the engine cannot differ.
    pub fn is_otherwise(&self) -> bool {
        !self.reason.is_empty() && self.requested != self.effective && !matches!(self.requested.as_str(), "auto" | "all")
    }
}

/// What the engine really runs with, read back from it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// Tokens one conversation can use
    pub n_ctx: u32,
    /// Logical batch
    pub n_batch: u32,
    /// Physical batch
    pub n_ubatch: u32,
    /// Decode threads
    pub threads: u32,
    /// Prefill threads
    pub threads_batch: u32,
    /// Every setting, requested beside effective
    pub settings: Vec<Setting>,
}

/// Bytes by purpose, from the engine's own buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Weights, all devices
    pub weights: u64,
    /// Key and value cache
    pub kv: u64,
    /// Scratch for the graph, with the output buffer
    pub compute: u64,
}

impl MemoryUse {
    /// Everything together, bytes.
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.compute
    }
}

/// A model that is in the engine's memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resident {
    /// Its design
    pub design: Design,
    /// What it takes
    pub memory: MemoryUse,
    /// Whether it is the one that answers
    pub active: bool,
}

/// The result of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadReport {
    /// The design as asked for
    pub design: Design,
    /// The model
    pub info: ModelInfo,
    /// What it runs with
    pub effective: Effective,
    /// What it takes
    pub memory: MemoryUse,
    /// From command to ready, seconds
    pub seconds: f64,
    /// It was already in memory
    pub warm: bool,
    /// Everything in memory now
    pub resident: Vec<Resident>,
}

/// Text of a few tokens, merged so that at most 30 of these cross a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenBatch {
    /// Whole characters only; may be empty while one is incomplete
    pub text: String,
    /// Tokens in this batch
    pub n: u32,
    /// Tokens of the reply so far
    pub total: u32,
    /// When the first token of the batch was sampled: seconds since the job began, engine clock
    pub first: f64,
    /// When the last one was
    pub last: f64,
    /// Tokens in the KV cache
    pub kv_used: u32,
    /// What the model gave each token of the batch, if asked for. A token that ends the reply has an entry too, although it is not counted
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probs: Vec<TokenProb>,
}

/// Why a reply ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said so (an end-of-generation token)
    EndOfReply,
    /// A stop text appeared
    StopText(String),
    /// `max_tokens` reached
    MaxTokens,
    /// No room left in the context
    ContextFull,
    /// Stopped by the user
    Cancelled,
}

impl StopReason {
    /// In words, for under a reply.
    pub fn words(&self) -> String {
        match self {
            Self::EndOfReply => "end of reply".into(),
            Self::StopText(text) => format!("stop text {text:?}"),
            Self::MaxTokens => "token limit".into(),
            Self::ContextFull => "context full".into(),
            Self::Cancelled => "stopped".into(),
        }
    }
}

/// What was left out of a prompt to make it fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Messages
    pub messages: u32,
    /// Tokens
    pub tokens: u32,
}

/// The measurements of one reply. Clocks are the engine's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateStats {
    /// Why it ended
    pub stop: StopReason,
    /// Tokens of the prompt, after any dropping
    pub prompt_tokens: u32,
    /// Of these, found in the KV cache and not computed
    pub cached_tokens: u32,
    /// Tokens of the reply
    pub predicted_tokens: u32,
    /// From the command's arrival to the first token sampled, milliseconds
    pub ttft_ms: f64,
    /// Time to process the new prompt tokens, milliseconds
    pub prefill_ms: f64,
    /// New prompt tokens per second: (prompt - cached) / prefill time
    pub prefill_tps: f64,
    /// (tokens - 1) / (time of last token - time of first token); 0 under two tokens
    pub decode_tps: f64,
    /// From the command's arrival to the end, milliseconds
    pub total_ms: f64,
    /// 95th percentile of the gaps between tokens, milliseconds
    pub itl_p95_ms: f64,
    /// The sampler in force, with the seed that was drawn
    pub sampler: Sampler,
    /// What did not fit
    pub dropped: Option<Dropped>,
    /// Token ids, if asked for
    #[serde(default)]
    pub tokens: Vec<i32>,
    /// Tokens in the KV cache at the end
    pub kv_used: u32,
}

/// The exact prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendered {
    /// The text as the template made it
    pub text: String,
    /// All tokens
    pub n_tokens: u32,
    /// Of these, up to and with the system message
    pub system_tokens: u32,
    /// Of these, the last message
    pub last_tokens: u32,
}

/// Weight of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// for the curious
    Debug,
    /// as it should be
    Info,
    /// done, but not as asked
    Warn,
    /// not done
    Error,
}

/// Everything an engine can say. Every job ends with exactly one of `Loaded`, `Unloaded`, `Generated`, `Rendered`, `Quantized`,
/// `Estimated`, `Probed`, `Done` or `Failed` (see [`Event::ends`]); or the engine dies, and `Died` ends them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first thing an engine says
    Hello {
        /// [`super::wire::VERSION`]
        version: u32,
        /// of the engine
        pid: u32,
        /// what it is made of
        facts: EngineFacts,
    },
    /// How far a job is
    Progress {
        /// which
        job: JobId,
        /// doing what
        stage: Stage,
        /// how much, in the stage's unit
        done: u64,
        /// of how much
        total: u64,
    },
    /// A model is ready
    Loaded {
        /// which
        job: JobId,
        /// the result
        report: Box<LoadReport>,
    },
    /// A model is gone
    Unloaded {
        /// which
        job: JobId,
        /// what is still there
        resident: Vec<Resident>,
    },
    /// A load is about to fail: what is in memory now. A load that made room first may have cost models that were there
    Residents {
        /// which
        job: JobId,
        /// what is still there
        resident: Vec<Resident>,
    },
    /// The prompt has been measured and its processing begins
    Started {
        /// which
        job: JobId,
        /// tokens, after any dropping
        prompt_tokens: u32,
        /// of these, found in the KV cache
        cached_tokens: u32,
        /// what did not fit
        dropped: Option<Dropped>,
    },
    /// A piece of a reply
    Tokens {
        /// which
        job: JobId,
        /// the piece
        #[serde(flatten)]
        batch: TokenBatch,
    },
    /// A reply is whole, or was stopped
    Generated {
        /// which
        job: JobId,
        /// its measurements
        stats: Box<GenerateStats>,
    },
    /// The exact prompt
    Rendered {
        /// which
        job: JobId,
        /// the prompt
        #[serde(flatten)]
        rendered: Rendered,
    },
    /// A rung is on disk
    Quantized {
        /// which
        job: JobId,
        /// where
        path: PathBuf,
        /// bytes
        size: u64,
        /// 8 * tensor bytes / weights
        bpw: f64,
        /// it took
        seconds: f64,
        /// Tensors that could not take the asked type and got another
        fallbacks: u32,
    },
    /// A cell was measured
    BenchRow {
        /// which
        job: JobId,
        /// the cell
        row: Box<BenchRow>,
    },
    /// The text of a quality job, as the models read it
    QualityLayout {
        /// which
        job: JobId,
        /// the text and its tokens
        layout: Box<QualityLayout>,
    },
    /// A stretch of the text was scored
    QualityScores {
        /// which
        job: JobId,
        /// the scores
        #[serde(flatten)]
        batch: QualityBatch,
    },
    /// What a design would take
    Estimated {
        /// which
        job: JobId,
        /// bytes by purpose
        memory: MemoryUse,
    },
    /// This machine's read bandwidth
    Probed {
        /// which
        job: JobId,
        /// 10^9 bytes per second, read-only, the given threads
        bandwidth_gb_s: f64,
        /// threads that read
        threads: u32,
        /// 10^9 multiplications and additions per second of matrix products, with the same threads, where that could be measured
        #[serde(default)]
        ops_gflops: Option<f64>,
    },
    /// A job without a result of its own ended well
    Done {
        /// which
        job: JobId,
    },
    /// A job ended without its result
    Failed {
        /// which
        job: JobId,
        /// why
        error: EngineError,
    },
    /// A line the engine or a library wrote
    Log {
        /// weight
        level: LogLevel,
        /// without its line end
        line: String,
    },
    /// The engine process ended unasked; every job is over. Said by the supervisor
    Died {
        /// the jobs that were running or waiting
        jobs: Vec<JobId>,
        /// the cause, with the last lines
        error: EngineError,
    },
    /// What the machine is doing. Said by the supervisor's sampler
    Sample {
        /// the figures
        #[serde(flatten)]
        sample: Sample,
    },
}

impl Event {
    /// The job this event is about, if it is about one.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Progress { job, .. } | Self::Started { job, .. } | Self::Tokens { job, .. } | Self::BenchRow { job, .. } => Some(*job),
            Self::QualityLayout { job, .. } | Self::QualityScores { job, .. } | Self::Residents { job, .. } => Some(*job),
            _ => self.ends(),
        }
    }

    /// The job this event ends, if it ends one.
    pub fn ends(&self) -> Option<JobId> {
        match self {
            Self::Loaded { job, .. }
            | Self::Unloaded { job, .. }
            | Self::Generated { job, .. }
            | Self::Rendered { job, .. }
            | Self::Quantized { job, .. }
            | Self::Estimated { job, .. }
            | Self::Probed { job, .. }
            | Self::Done { job }
            | Self::Failed { job, .. } => Some(*job),
            _ => None,
        }
    }
}
