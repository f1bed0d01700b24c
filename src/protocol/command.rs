//! What can be asked of an engine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BenchPlan, Design, EngineError, ErrorKind, QualityPlan, SamplerOverrides};

/// Names one asked-for piece of work; every event about it carries the same number. Chosen by whoever asks, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Instructions for the model
    System,
    /// The person
    User,
    /// The model
    Assistant,
}

impl Role {
    /// The word chat templates use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who said it
    pub role: Role,
    /// What was said, exactly
    pub text: String,
}

/// What the model is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Rendered with the model's chat template. When the last message is the assistant's, the reply continues it.
    Chat {
        /// The conversation, oldest first
        messages: Vec<Message>,
    },
    /// Given as it is; BOS is added where the model asks for it. Text never becomes a control token here either.
    Raw {
        /// The text to continue
        text: String,
    },
}

/// What to do when the prompt and the reply's reserve do not fit in the context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Refuse with `ContextOverflow`; nothing is decoded
    #[default]
    Stop,
    /// Leave out the oldest turns (never the system message, never the last message)
    DropOldest,
    /// Keep the first exchange and the latest turns, leave out the middle
    KeepEnds,
}

/// Load a design, or make a warm one active again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadRequest {
    /// What to load
    pub design: Design,
    /// How many bytes of other models may stay loaded (keep-warm); 0 unloads the previous one first
    pub keep_warm_bytes: u64,
}

/// Ask for one reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// What the model is given
    pub prompt: Prompt,
    /// What the user set of the sampler (the rest: model file, then default)
    pub sampler: SamplerOverrides,
    /// Most tokens of the reply; 0 = until the context is full
    pub max_tokens: u32,
    /// Texts that end the reply; they are not part of it
    pub stop: Vec<String>,
    /// What to do when it does not fit
    pub overflow: Overflow,
    /// Constrain the reply to this JSON schema (text of the schema)
    #[serde(default)]
    pub json_schema: Option<String>,
    /// Report every token's id in [`super::GenerateStats::tokens`]
    #[serde(default)]
    pub want_token_ids: bool,
    /// How many alternatives to report with every token in [`super::TokenBatch::probs`], at most [`super::MOST_ALTERNATIVES`]; 0 = no
    /// probabilities at all
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alternatives: u32,
    /// The file that is to answer: refused when another one is loaded. For a request that waits behind a load, which may fail
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_by: Option<PathBuf>,
    /// How often text is wanted, milliseconds: what comes in between is merged. 0 = 30 times a second, which is the most there is; at most
    /// [`Self::SELDOM_MS`]. Whoever shows it less often asks for less, because every event takes time from the cores that compute
    #[serde(default, skip_serializing_if = "is_zero")]
    pub text_every_ms: u32,
}

impl GenerateRequest {
    /// The longest that text is held back, milliseconds: with the age at which the store writes it, a quarter of a second.
    pub const SELDOM_MS: u32 = 100;

    /// How far apart pieces of text are at least.
    pub fn text_every(&self) -> Duration {
        Duration::from_micros(33_334).max(Duration::from_millis(u64::from(self.text_every_ms.min(Self::SELDOM_MS))))
    }

    /// Refuses a request that waited for another model than the one that is loaded.
    ///
    /// # Errors
    /// `InvalidRequest`.
    pub fn check_model(&self, loaded: &Path) -> Result<(), EngineError> {
        match &self.only_by {
            Some(wanted) if wanted != loaded => {
                Err(EngineError::new(ErrorKind::InvalidRequest, "The model that was to answer is not loaded")
                    .hint("Load it and ask again")
                    .path(wanted))
            }
            _ => Ok(()),
        }
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// Tokens of a context of `n_ctx` that are kept free for the reply, so that a prompt that just fits still leaves room for an answer: what
/// the reply may have, but never more than half of the context. The engine keeps them, and the window shows them: one function says how many.
pub fn reply_reserve(max_tokens: u32, n_ctx: u32) -> u32 {
    if max_tokens == 0 { (n_ctx / 4).min(256) } else { max_tokens.min(n_ctx / 2) }
}

/// Make a rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantizeRequest {
    /// The file to start from; never touched
    pub source: PathBuf,
    /// Where the finished rung goes; written under a temporary name beside it and renamed
    pub target: PathBuf,
    /// Canonical file type name (`Q4_K_M`)
    pub file_type: String,
    /// Importance matrix (GGUF), if any
    pub imatrix: Option<PathBuf>,
    /// Layers to leave out: sorted, unique
    pub prune_layers: Vec<u32>,
    /// 0 = all the process may use
    pub threads: u32,
}

/// One cell of a benchmark, llama-bench's meaning: `n_gen == 0` is pp, `n_prompt == 0` is tg, both set is pg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchTest {
    /// Prompt tokens
    pub n_prompt: u32,
    /// Generated tokens
    pub n_gen: u32,
    /// Tokens in the KV cache beforehand
    pub n_depth: u32,
}

impl BenchTest {
    /// Its name as llama-bench writes it: `pp512`, `tg128 @ d1024`, `pp512+tg128`.
    pub fn name(&self) -> String {
        let name = match (self.n_prompt, self.n_gen) {
            (p, 0) if p > 0 => format!("pp{p}"),
            (0, g) if g > 0 => format!("tg{g}"),
            (p, g) => format!("pp{p}+tg{g}"),
        };
        if self.n_depth > 0 { format!("{name} @ d{}", self.n_depth) } else { name }
    }
}

/// Everything an engine can be told. One job runs at a time; `Cancel` and `Shutdown` are heard while one runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Answered by `Progress`*, then `Loaded` or `Failed`
    Load {
        /// names the work
        job: JobId,
        /// what to load
        #[serde(flatten)]
        request: LoadRequest,
    },
    /// Frees a loaded model (`None`: all). Answered by `Unloaded`
    Unload {
        /// names the work
        job: JobId,
        /// which one
        model: Option<PathBuf>,
    },
    /// Answered by `Progress`* (prefill), `Tokens`*, then `Generated` or `Failed`
    Generate {
        /// names the work
        job: JobId,
        /// the request
        #[serde(flatten)]
        request: GenerateRequest,
    },
    /// Reads the prompt into the cache and says nothing, so that a reply to it begins at once. Answered by `Started`, `Progress`* (prefill),
    /// then `Done` or `Failed`; what was read by then stays in the cache
    Prefill {
        /// names the work
        job: JobId,
        /// what a reply would be asked for with
        #[serde(flatten)]
        request: GenerateRequest,
    },
    /// The exact prompt and its token counts, without decoding. Answered by `Rendered` or `Failed`
    Render {
        /// names the work
        job: JobId,
        /// what would be given
        prompt: Prompt,
    },
    /// Answered by `Progress`*, then `Quantized` or `Failed`
    Quantize {
        /// names the work
        job: JobId,
        /// the request
        #[serde(flatten)]
        request: QuantizeRequest,
    },
    /// Answered by `Progress`*, `BenchRow`*, then `Done` or `Failed`
    Bench {
        /// names the work
        job: JobId,
        /// the plan
        #[serde(flatten)]
        plan: BenchPlan,
    },
    /// Answered by `QualityLayout`, `QualityScores`*, then `Done` or `Failed`; what was scored before a failure stands
    Quality {
        /// names the work
        job: JobId,
        /// the plan
        #[serde(flatten)]
        plan: Box<QualityPlan>,
    },
    /// What the design will take, by llama.cpp's own allocator without allocating. Answered by `Estimated` or `Failed`
    Estimate {
        /// names the work
        job: JobId,
        /// the design
        design: Design,
    },
    /// Measures this machine's read bandwidth. Answered by `Probed` or `Failed`
    Probe {
        /// names the work
        job: JobId,
        /// threads that read; 0 = as for decode
        threads: u32,
    },
    /// Ends a job early; it answers with `Generated{stop: cancelled}` or `Failed{cancelled}`
    Cancel {
        /// the job to end
        job: JobId,
    },
    /// Ends the engine
    Shutdown,
}

impl Command {
    /// The job this command starts; `Cancel` and `Shutdown` start none.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Load { job, .. }
            | Self::Unload { job, .. }
            | Self::Generate { job, .. }
            | Self::Prefill { job, .. }
            | Self::Render { job, .. }
            | Self::Quantize { job, .. }
            | Self::Bench { job, .. }
            | Self::Quality { job, .. }
            | Self::Estimate { job, .. }
            | Self::Probe { job, .. } => Some(*job),
            Self::Cancel { .. } | Self::Shutdown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_leaves_room_for_a_prompt() {
        assert_eq!(reply_reserve(0, 4096), 256);
        assert_eq!(reply_reserve(0, 512), 128);
        assert_eq!(reply_reserve(100, 4096), 100);
        assert_eq!(reply_reserve(9000, 4096), 2048);
    }
}
