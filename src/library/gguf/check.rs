//! What a model must be before an engine sees it. Each bound is one that llama.cpp asserts on, or divides by (`load_hparams` of
//! llama-model.cpp): an exception would be an error message, an assertion ends the process.

use super::value::{Value, ValueType};
use super::{Fault, GgufError, Header, Kind};

/// `LLAMA_MAX_LAYERS`
pub(super) const MAX_LAYERS: u64 = 512;
/// `LLAMA_MAX_EXPERTS`
const MAX_EXPERTS: u64 = 1024;
/// Wider than any model by two orders of magnitude; keeps products of two such numbers countable.
const MAX_WIDTH: u64 = 1 << 22;
/// Longest believable context, tokens.
const MAX_CONTEXT: u64 = 1 << 30;

impl Header {
    /// Checks what llama.cpp would assert.
    ///
    /// # Errors
    /// The first value that an engine could not survive.
    pub fn check_model(&self) -> Result<(), GgufError> {
        match self.kind() {
            Kind::Model => {}
            other => return Err(self.refuse(Fault::NotAModel, format!("This is {}", other.words()))),
        }
        self.check_architecture()?;
        self.check_sizes()?;
        self.check_heads()?;
        self.check_experts()?;
        self.check_vocabulary()
    }

    fn check_architecture(&self) -> Result<(), GgufError> {
        let Some(arch) = self.text("general.architecture") else {
            return Err(self.refuse(Fault::MissingKey, "The header does not name an architecture (general.architecture)".into()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if arch.is_empty() || arch.len() > 64 || !arch.chars().all(plain) {
            return Err(self.refuse(Fault::BadArchitecture, "general.architecture is not a plausible name".into()));
        }
        Ok(())
    }

    fn bad(&self, key: &str, is: impl std::fmt::Display, must: &str) -> GgufError {
        self.refuse(Fault::BadArchitecture, format!("Invalid architecture value: {key} is {is}, it must be {must}"))
    }

    /// A number within bounds.
    fn bounded(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, GgufError> {
        let Some(value) = self.arch_value(key) else { return Ok(None) };
        match value.as_u64() {
            Some(n) if (least..=most).contains(&n) => Ok(Some(n)),
            Some(n) => Err(self.bad(key, n, &format!("{least} to {most}"))),
            None => Err(self.bad(key, "not a number", &format!("{least} to {most}"))),
        }
    }

    fn required(&self, key: &str, least: u64, most: u64) -> Result<u64, GgufError> {
        self.bounded(key, least, most)?
            .ok_or_else(|| self.refuse(Fault::MissingKey, format!("The header has no {}.{key}, which the engine needs", self.arch())))
    }

    fn check_sizes(&self) -> Result<(), GgufError> {
        let layers = self.required("block_count", 1, MAX_LAYERS)?;
        self.required("context_length", 1, MAX_CONTEXT)?;
        self.required("embedding_length", 1, MAX_WIDTH)?;
        self.bounded("nextn_predict_layers", 0, layers)?;
        for key in ["attention.key_length", "attention.value_length", "attention.key_length_swa", "attention.value_length_swa"] {
            self.bounded(key, 1, MAX_WIDTH)?;
        }
        for key in ["feed_forward_length", "attention.head_count", "attention.head_count_kv"] {
            self.check_layers(key, layers)?;
        }
        if let Some(kind) = self.arch_value("rope.scaling.type").and_then(Value::as_text)
            && !matches!(kind, "none" | "linear" | "yarn" | "longrope")
        {
            return Err(self.bad("rope.scaling.type", format!("{kind:?}"), "none, linear, yarn or longrope"));
        }
        Ok(())
    }

    /// One number for all layers, or one for each.
    fn check_layers(&self, key: &str, layers: u64) -> Result<(), GgufError> {
        match self.arch_value(key) {
            Some(Value::Array(array)) if array.len != layers => {
                Err(self.bad(key, format!("a list of {}", array.len), &format!("a list of {layers}")))
            }
            Some(Value::Array(_)) if self.per_layer(key).is_none() => Err(self.bad(key, "not a list of numbers", "a list of numbers")),
            Some(Value::Array(_)) if self.per_layer(key).is_some_and(|all| all.iter().any(|n| *n > MAX_WIDTH)) => {
                Err(self.bad(key, "too large in a layer", &format!("0 to {MAX_WIDTH}")))
            }
            Some(Value::Array(_)) | None => Ok(()),
            Some(_) => self.bounded(key, 0, MAX_WIDTH).map(drop),
        }
    }

    fn check_heads(&self) -> Result<(), GgufError> {
        let attends = self.tensors.iter().any(|t| t.name.contains(".attn_q.") || t.name.contains(".attn_qkv."));
        let heads = self.per_layer("attention.head_count").unwrap_or_default();
        if attends && heads.iter().all(|n| *n == 0) {
            return Err(self.bad("attention.head_count", 0, "at least 1"));
        }
        let embd = self.arch_number("embedding_length").unwrap_or(0);
        if let Some(most) = heads.iter().max().filter(|n| **n > embd) {
            return Err(self.bad("attention.head_count", most, &format!("at most the model's width of {embd}")));
        }
        let kv = self.per_layer("attention.head_count_kv").unwrap_or_else(|| heads.clone());
        for (n, n_kv) in heads.iter().zip(&kv).filter(|(n, n_kv)| **n > 0 && **n_kv > 0) {
            if !n.is_multiple_of(*n_kv) {
                return Err(self.bad("attention.head_count_kv", n_kv, &format!("a divisor of the {n} heads")));
            }
        }
        Ok(())
    }

    fn check_experts(&self) -> Result<(), GgufError> {
        let experts = self.bounded("expert_count", 0, MAX_EXPERTS)?.unwrap_or(0);
        // llama.cpp resets both numbers for these before it asserts
        if experts <= 1 && self.arch().starts_with("hunyuan") {
            return Ok(());
        }
        let used = match self.arch_value("expert_used_count") {
            Some(Value::Array(_)) => self.per_layer("expert_used_count").and_then(|all| all.into_iter().max()),
            value => value.and_then(Value::as_u64),
        };
        match used.unwrap_or(0) {
            0 if experts > 0 => return Err(self.bad("expert_used_count", 0, &format!("1 to {experts}"))),
            n if n > experts => return Err(self.bad("expert_used_count", n, &format!("at most {experts}"))),
            _ => {}
        }
        let groups = self.bounded("expert_group_count", 0, experts.saturating_sub(1))?.unwrap_or(0);
        if groups > 1 {
            if !experts.is_multiple_of(groups) {
                return Err(self.bad("expert_group_count", groups, &format!("a divisor of the {experts} experts")));
            }
            self.bounded("expert_group_used_count", 1, groups - 1)?;
        }
        Ok(())
    }

    fn check_vocabulary(&self) -> Result<(), GgufError> {
        let bad = |message: String| Err(self.refuse(Fault::BadVocabulary, message));
        match self.metadata.get("tokenizer.ggml.tokens") {
            None => {}
            Some(Value::Array(array)) if array.item == ValueType::Text && array.len > 0 => {
                let types = self.metadata.get("tokenizer.ggml.token_type").and_then(Value::as_array);
                if let Some(types) = types.filter(|t| t.len < array.len) {
                    return bad(format!("The vocabulary has {} tokens and only {} token types", array.len, types.len));
                }
            }
            Some(_) => return bad("The vocabulary is not a list of texts".into()),
        }
        if self.verdict.duplicates {
            return bad("Two tokens of the vocabulary are the same".into());
        }
        if let Some(id) = self.verdict.bad_byte {
            return bad(format!("Token {id} is marked as a byte and does not name one"));
        }
        Ok(())
    }
}
