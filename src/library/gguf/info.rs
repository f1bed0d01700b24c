//! A header in the words of the rest of the program.

use std::collections::BTreeMap;

use super::check::MAX_LAYERS;
use super::types::TensorType;
use super::value::Value;
use super::{GgufError, Header};
use crate::protocol::{FileType, ModelInfo, SamplerOverrides, SamplingDefaults};

/// What is read of `general.sampling.*`.
const SAMPLING_KEYS: [&str; 6] = ["temp", "top_k", "top_p", "min_p", "penalty_repeat", "penalty_last_n"];

/// What a GGUF file is for (`general.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model that makes tokens (or embeddings)
    Model,
    /// A projector that lets a model see or hear (`mmproj`)
    Projector,
    /// A LoRA adapter
    Adapter,
    /// An importance matrix
    Imatrix,
    /// A vocabulary without weights
    Vocabulary,
}

impl Kind {
    /// In words, with its article.
    pub fn words(self) -> &'static str {
        match self {
            Self::Model => "a model",
            Self::Projector => "a projector for pictures or sound, which works only beside its model",
            Self::Adapter => "an adapter, which works only on top of its model",
            Self::Imatrix => "an importance matrix, which only helps to quantize",
            Self::Vocabulary => "a vocabulary without weights",
        }
    }
}

impl Header {
    /// What the file is for.
    pub fn kind(&self) -> Kind {
        match self.text("general.type") {
            Some("adapter") => Kind::Adapter,
            Some("mmproj" | "projector") => Kind::Projector,
            Some("imatrix") => Kind::Imatrix,
            Some("vocab") => Kind::Vocabulary,
            _ if self.text("general.architecture") == Some("clip") => Kind::Projector,
            _ if self.tensors.is_empty() => Kind::Vocabulary,
            _ => Kind::Model,
        }
    }

    /// `general.architecture`, or nothing.
    pub fn arch(&self) -> &str {
        self.text("general.architecture").unwrap_or("")
    }

    /// A text value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).and_then(Value::as_text)
    }

    /// A number of the architecture: `llama.block_count` for `block_count` in a llama.
    pub fn arch_number(&self, key: &str) -> Option<u64> {
        self.arch_value(key).and_then(Value::as_u64)
    }

    pub(super) fn arch_value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(&format!("{}.{key}", self.arch()))
    }

    /// A number of the architecture that may differ from layer to layer; as many as there are layers. `None` when absent or not numbers, and
    /// for more layers than llama.cpp has room for: the header's word alone must not cost memory.
    pub fn per_layer(&self, key: &str) -> Option<Vec<u64>> {
        let layers = Some(self.n_layer()).filter(|n| u64::from(*n) <= MAX_LAYERS)? as usize;
        match self.arch_value(key)? {
            Value::Array(array) => {
                let numbers: Vec<u64> = array.items.iter().filter_map(Value::as_u64).collect();
                (numbers.len() == layers && array.is_whole()).then_some(numbers)
            }
            value => value.as_u64().map(|n| vec![n; layers]),
        }
    }

    /// Transformer blocks.
    pub fn n_layer(&self) -> u32 {
        small(self.arch_number("block_count"))
    }

    /// Number of weights, all parts together.
    pub fn n_params(&self) -> u64 {
        self.tensors.iter().fold(0u64, |sum, t| sum.saturating_add(t.elements))
    }

    /// Bytes of all tensors, without padding.
    pub fn tensor_bytes(&self) -> u64 {
        self.tensors.iter().fold(0u64, |sum, t| sum.saturating_add(t.bytes))
    }

    /// Size of the vocabulary: its list, else what the header or the embedding says.
    pub fn n_vocab(&self) -> u32 {
        let listed = self.metadata.get("tokenizer.ggml.tokens").and_then(Value::as_array).map(|a| a.len);
        let rows = || self.tensors.iter().find(|t| t.name == "token_embd.weight").map(super::TensorInfo::rows);
        small(listed.or_else(|| self.arch_number("vocab_size")).or_else(rows))
    }

    /// The model's chat template (Jinja), if it carries one. Untrusted code.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template").filter(|t| !t.trim().is_empty())
    }

    /// Whether the output shares its weights with the token embedding.
    pub fn is_tied(&self) -> bool {
        !self.tensors.iter().any(|t| t.name == "output.weight")
    }

    /// The file in the words of the contract.
    pub fn info(&self) -> ModelInfo {
        let n_params = self.n_params();
        let heads = self.largest("attention.head_count");
        let stem = || self.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        ModelInfo {
            path: self.path.clone(),
            name: self.text("general.name").filter(|n| !n.trim().is_empty()).map_or_else(stem, str::to_owned),
            arch: self.arch().to_owned(),
            quant: self.quant(),
            size: self.file_size,
            n_params,
            bpw: if n_params == 0 { 0.0 } else { 8.0 * self.tensor_bytes() as f64 / n_params as f64 },
            n_layer: self.n_layer(),
            n_ctx_train: small(self.arch_number("context_length")),
            n_embd: small(self.arch_number("embedding_length")),
            n_head: heads.unwrap_or(0),
            n_head_kv: self.largest("attention.head_count_kv").or(heads).unwrap_or(0),
            n_vocab: self.n_vocab(),
            has_chat_template: self.chat_template().is_some(),
            sampling: self.sampling(),
        }
    }

    fn largest(&self, key: &str) -> Option<u32> {
        self.per_layer(key).map(|all| small(all.into_iter().max()))
    }

    fn sampling(&self) -> SamplingDefaults {
        let value = |key: &str| self.metadata.get(&format!("general.sampling.{key}"));
        let float = |key: &str| value(key).and_then(Value::as_f64).map(|x| x as f32).filter(|x| x.is_finite());
        let int = |key: &str| value(key).and_then(Value::as_f64).filter(|x| x.is_finite()).map(|x| x as i32);
        SamplingDefaults {
            temperature: float("temp"),
            top_k: int("top_k"),
            top_p: float("top_p"),
            min_p: float("min_p"),
            repeat_penalty: float("penalty_repeat"),
            penalty_last_n: int("penalty_last_n"),
        }
    }

    /// The file type the header names, if it names one that is known. The highest bits say that it was guessed (`LLAMA_FTYPE_GUESSED`).
    pub fn file_type(&self) -> Option<&'static FileType> {
        let id = self.metadata.get("general.file_type").and_then(Value::as_u64)?;
        u32::try_from(id & !1024).ok().and_then(FileType::by_id)
    }

    /// Canonical name of the quantization level: the header's, or what most weights have.
    pub fn quant(&self) -> String {
        match self.file_type() {
            Some(ty) => ty.name.to_owned(),
            None => self.shares().first().map_or_else(|| "unknown".into(), |(ty, _)| ty.name.to_owned()),
        }
    }

    /// Which share of the weights (0 to 1) has which type, largest first. Norms and biases are left out: they are never quantized.
    pub fn shares(&self) -> Vec<(&'static TensorType, f64)> {
        let mut by_type: BTreeMap<u32, (&'static TensorType, u64)> = BTreeMap::new();
        let matrices = || self.tensors.iter().filter(|t| t.n_dims() > 1);
        for tensor in matrices() {
            let entry = by_type.entry(tensor.ty.id).or_insert((tensor.ty, 0));
            entry.1 = entry.1.saturating_add(tensor.elements);
        }
        let total: u64 = by_type.values().fold(0, |sum, (_, n)| sum.saturating_add(*n));
        let mut shares: Vec<_> = by_type.into_values().map(|(ty, n)| (ty, n as f64 / total.max(1) as f64)).collect();
        shares.sort_by(|a, b| b.1.total_cmp(&a.1));
        shares
    }

    /// Where a level is not what its name promises, in words: K-quants and lattice types need rows of 256, and llama.cpp stores other rows
    /// in blocks of 32 instead (`tensor_type_fallback` of llama-quant.cpp).
    pub fn fallback_note(&self) -> Option<String> {
        let file_type = self.file_type()?;
        let named = crate::library::recipe::default_type(file_type)?;
        if named.block < 256 {
            return None;
        }
        let odd = self.tensors.iter().filter(|t| t.n_dims() > 1 && !t.columns().is_multiple_of(256));
        let (mut stood_in, mut width) = (0u64, 0);
        for tensor in odd.filter(|t| t.ty.is_quantized()) {
            stood_in = stood_in.saturating_add(tensor.elements);
            width = tensor.columns();
        }
        if (stood_in as f64) < 0.1 * self.n_params() as f64 {
            return None;
        }
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        let shares = self.shares();
        let really = shares.iter().find(|(ty, _)| ty.id == named.id).map_or(0.0, |(_, share)| *share);
        let others: Vec<String> = shares
            .iter()
            .filter(|(ty, _)| ty.id != named.id)
            .take(3)
            .map(|(ty, share)| format!("{} {}", percent(*share), ty.name))
            .collect();
        Some(format!(
            "{} in name: {} of the weights are {}, the rest {}, because rows of {width} weights do not divide into blocks of 256",
            file_type.name,
            percent(really),
            named.name,
            others.join(", ")
        ))
    }

    /// What is odd and does no harm, in words.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let vocab = u64::from(self.n_vocab());
        for key in ["bos", "eos", "eot", "unknown", "padding"] {
            let key = format!("tokenizer.ggml.{key}_token_id");
            if let Some(id) = self.metadata.get(&key).and_then(Value::as_u64).filter(|id| *id >= vocab) {
                found.push(format!("{key} is {id}, outside the vocabulary of {vocab} tokens; the engine ignores it"));
            }
        }
        if let Some(nth) = self.verdict.bad_merge {
            found.push(format!("Merge {nth} of the tokenizer is not a pair; the engine ignores it"));
        }
        found.extend(self.sampling_warnings());
        found
    }

    /// What the file recommends for sampling and will not get.
    fn sampling_warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (key, value) in self.metadata.iter() {
            let Some(name) = key.strip_prefix("general.sampling.") else { continue };
            if !SAMPLING_KEYS.contains(&name) {
                found.push(format!("{key} is not applied: this program does not know it"));
            } else if value.as_f64().is_none_or(|x| !x.is_finite()) {
                found.push(format!("{key} is not applied: its value is not a number"));
            }
        }
        let (_, changed) = SamplerOverrides::default().resolve(&self.sampling()).bounded(u32::MAX);
        let words = |s: crate::protocol::Setting| {
            format!("general.sampling: {} is {} instead of {}, because {}", s.name, s.effective, s.requested, s.reason)
        };
        found.extend(changed.into_iter().map(words));
        found
    }

    pub(super) fn refuse(&self, fault: super::Fault, message: String) -> GgufError {
        GgufError::whole(fault, message).in_file(&self.path)
    }
}

fn small(n: Option<u64>) -> u32 {
    n.map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
