//! Benchmarks: what is to be measured, and what was.

use serde::{Deserialize, Serialize};

use super::{BenchTest, Design, Effective, MemoryUse, ModelInfo};

/// What is run before a cell is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// Nothing
    None,
    /// llama-bench's: the whole prompt, one token
    Once,
    /// The same, then short probes until two in a row agree within 3 %, and no more than eight
    #[default]
    Stable,
    /// 128 tokens of a prompt or two generated ones for a context that was just made, as `Stable` without the prompt when the threads are new
    /// to it; for one that is still warm, 4 tokens of a prompt or one generated token
    Brief,
}

/// A benchmark of one design.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BenchPlan {
    /// What is measured
    pub design: Design,
    /// The cells
    pub tests: Vec<BenchTest>,
    /// Repetitions per cell (llama-bench: 5)
    pub repetitions: u32,
    /// What is run before each cell
    pub warmup: Warmup,
    /// All cells share one context as the design asks for it, made larger where a cell needs more; else each cell has one of exactly its
    /// size, as in llama-bench
    pub own_context: bool,
    /// Bytes of models and contexts, this design's aside, that may stay in memory for a later benchmark; 0 frees everything afterwards
    pub keep_warm_bytes: u64,
}

/// What the machine did while a repetition was measured. What it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Surroundings {
    /// Share of all processors that others than this program used, 0..1 (time that a virtual machine was not given counts, too)
    pub background: Option<f64>,
    /// Clock of the processors, mean, MHz
    pub clock_mhz: Option<f64>,
    /// Hottest sensor of the processor, degrees Celsius
    pub celsius: Option<f64>,
    /// Energy that the processor's packages took, joules: of everything that ran on them
    pub package_joules: Option<f64>,
}

/// One measured cell, with what llama-bench reports about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BenchRow {
    /// The cell
    pub test: BenchTest,
    /// Nanoseconds of each repetition
    pub samples_ns: Vec<u64>,
    /// TTFT of each repetition, nanoseconds: from the first decode of the prompt to the greedy choice of the first token from the logits
    /// of its last. Measured for cells that only read a prompt; without tokenizing and queueing, which a benchmark does not have
    #[serde(default)]
    pub ttft_ns: Vec<u64>,
    /// Nanoseconds of every generated token, of each repetition: the gaps between tokens that ITL is made of
    #[serde(default)]
    pub gaps_ns: Vec<Vec<u64>>,
    /// What the machine did in each repetition
    #[serde(default)]
    pub surroundings: Vec<Surroundings>,
    /// Probes that the warm-up took
    #[serde(default)]
    pub warmups: u32,
    /// Nanoseconds that were not measuring: load, context, warm-up, filling the cache
    #[serde(default)]
    pub prepare_ns: u64,
    /// The model
    pub info: ModelInfo,
    /// `llama_model_desc`: `llama 135M Q4_K - Medium`
    pub model_type: String,
    /// `llama_model_size`, bytes
    pub model_size: u64,
    /// What it ran with
    pub effective: Effective,
    /// What it took
    pub memory: MemoryUse,
    /// Largest resident set of the process while the cell was measured, bytes (so far, where the system cannot forget an earlier one)
    pub peak_rss: u64,
    /// UTC, ISO 8601
    pub test_time: String,
}
