//! What is known about a model once its header was read or it was loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the file recommends for sampling (`general.sampling.*`). Absent = the file says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplingDefaults {
    /// `general.sampling.temp`
    pub temperature: Option<f32>,
    /// `general.sampling.top_k`
    pub top_k: Option<i32>,
    /// `general.sampling.top_p`
    pub top_p: Option<f32>,
    /// `general.sampling.min_p`
    pub min_p: Option<f32>,
    /// `general.sampling.penalty_repeat`
    pub repeat_penalty: Option<f32>,
    /// `general.sampling.penalty_last_n`
    pub penalty_last_n: Option<i32>,
}

/// A model's own facts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelInfo {
    /// The file
    pub path: PathBuf,
    /// `general.name`, or the file name without its ending
    pub name: String,
    /// `general.architecture`
    pub arch: String,
    /// Canonical file type name (`Q4_K_M`), or what the tensors say where the header is silent
    pub quant: String,
    /// Bytes on disk, all shards together
    pub size: u64,
    /// Number of weights
    pub n_params: u64,
    /// Bits per weight of the actual file: 8 * tensor bytes / n_params
    pub bpw: f64,
    /// Transformer blocks
    pub n_layer: u32,
    /// Context the model was trained for, tokens
    pub n_ctx_train: u32,
    /// Width of the hidden state
    pub n_embd: u32,
    /// Attention heads
    pub n_head: u32,
    /// Key/value heads (the largest, where layers differ)
    pub n_head_kv: u32,
    /// Size of the vocabulary
    pub n_vocab: u32,
    /// Whether the file carries a chat template
    pub has_chat_template: bool,
    /// Recommended sampling
    pub sampling: SamplingDefaults,
}
