//! What makes two designs the same, and how they differ in words.
//!
//! **Hash**: SHA-256 of canonical JSON (keys sorted, no spaces) of the settings that are not the default, the model's file name in the
//! place of its path, and the model's fingerprint where it is known. Where the model lies, the order of fields, fields that are left out and
//! fields that a newer version adds at rest (`null`, `false`, `0`, empty) make no difference; a field must be added so that these mean
//! "as before".

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Design, SamplerOverrides};
use crate::protocol::FileType;

/// Digits of a design's hash: among 10,000 designs two share it once in five million.
const DIGITS: usize = 12;

/// One setting in which two designs differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The setting (`threads`, `KV cache`)
    pub field: String,
    /// What the first design has
    pub from: String,
    /// What the second design has
    pub to: String,
}

impl std::fmt::Display for Change {
    /// `threads 4 to 8`
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} to {}", self.field, self.from, self.to)
    }
}

impl Design {
    /// The design's name among designs: 12 hexadecimal digits. `fingerprint` is that of the model file; empty where it is not known, which
    /// gives another hash than a known one.
    pub fn hash(&self, fingerprint: &str) -> String {
        let mut settings = self.changed_settings();
        settings.remove("model");
        settings.insert("file".into(), Value::String(file_name(&self.model)));
        if !fingerprint.is_empty() {
            settings.insert("fingerprint".into(), Value::String(fingerprint.to_owned()));
        }
        let mut canonical = String::new();
        write_canonical(&Value::Object(settings.into_iter().collect()), &mut canonical);
        let mut hex = String::new();
        for byte in Sha256::digest(canonical.as_bytes()).iter().take(DIGITS / 2) {
            // Writing to a String cannot fail
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    /// What differs from this design in the other, in words: the model (by rung where the names tell it), then settings in the order of
    /// the design, then fields that this version does not know. Empty when they make tokens in the same way.
    pub fn diff(&self, other: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut say = |field: &str, from: String, to: String| {
            if from != to {
                changes.push(Change { field: field.to_owned(), from, to });
            }
        };
        let (from, to) = model_words(&self.model, &other.model);
        say("model", from, to);
        let (a, b) = (self.setting_words(), other.setting_words());
        for ((field, from), (_, to)) in a.into_iter().zip(b) {
            say(field, from, to);
        }
        let resting = Value::Null;
        let mut others: Vec<&String> = self.extra.keys().chain(other.extra.keys()).collect();
        others.sort_unstable();
        others.dedup();
        for name in others {
            let value = |d: &Self| {
                let value = d.extra.get(name).filter(|value| !is_at_rest(value)).unwrap_or(&resting);
                if value.is_null() { "not set".to_owned() } else { value.to_string() }
            };
            say(name, value(self), value(other));
        }
        changes
    }

    /// Every setting but the model, as a name and a value in words. The order is fixed.
    fn setting_words(&self) -> Vec<(&'static str, String)> {
        let count = |n: u32| if n == 0 { "auto".to_owned() } else { n.to_string() };
        let flag = |on: bool| if on { "on" } else { "off" }.to_owned();
        let cache = if self.type_k == self.type_v {
            self.type_k.name().to_owned()
        } else {
            format!("K {} V {}", self.type_k.name(), self.type_v.name())
        };
        let mut words = vec![
            ("context", count(self.n_ctx)),
            ("batch", self.n_batch.to_string()),
            ("ubatch", self.n_ubatch.to_string()),
            ("threads", count(self.threads)),
            ("batch threads", if self.threads_batch == 0 { "as threads".into() } else { self.threads_batch.to_string() }),
            ("KV cache", cache),
            ("flash attention", format!("{:?}", self.flash_attention).to_lowercase()),
            ("GPU layers", if self.gpu_layers < 0 { "all".into() } else { self.gpu_layers.to_string() }),
            ("mmap", flag(self.mmap)),
            ("mlock", flag(self.mlock)),
            ("repack", flag(self.repack)),
        ];
        words.extend(sampler_words(&self.sampler));
        words
    }

    /// The fields whose value is not the default, as JSON; the model's path among them.
    pub(super) fn changed_settings(&self) -> BTreeMap<String, Value> {
        let object = |design: &Self| match serde_json::to_value(design) {
            Ok(Value::Object(fields)) => fields,
            // Only a path that is not Unicode has no JSON, and the path is put in otherwise
            _ => match serde_json::to_value(Self { model: Default::default(), ..design.clone() }) {
                Ok(Value::Object(fields)) => fields,
                _ => serde_json::Map::new(),
            },
        };
        let resting = object(&Self::default());
        let is_changed = |name: &str, value: &Value| resting.get(name).map_or(!is_at_rest(value), |default| default != value);
        object(self).into_iter().filter(|(name, value)| is_changed(name, value)).collect()
    }
}

/// What a file is called, wherever it lies.
fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How two models are told apart in words: by rung, where all else in their names is the same.
fn model_words(a: &Path, b: &Path) -> (String, String) {
    let (a, b) = (file_name(a), file_name(b));
    let split = |name: &str| {
        let stem = name.strip_suffix(".gguf").unwrap_or(name);
        stem.char_indices().filter(|(_, c)| matches!(c, '-' | '.' | '_' | ' ')).find_map(|(at, c)| {
            let level = stem.get(at + c.len_utf8()..)?.to_ascii_uppercase();
            FileType::by_name(&level).map(|level| (stem.get(..at).unwrap_or_default().to_owned(), level.name.to_owned()))
        })
    };
    match (split(&a), split(&b)) {
        (Some((family, from)), Some((same, to))) if family == same && from != to => (from, to),
        _ => (if a.is_empty() { "none".into() } else { a }, if b.is_empty() { "none".into() } else { b }),
    }
}

/// What the user set of the sampler, each by name.
fn sampler_words(sampler: &SamplerOverrides) -> Vec<(&'static str, String)> {
    let float = |value: Option<f32>| value.map_or_else(|| "as the model says".to_owned(), |v| v.to_string());
    let whole = |value: Option<i64>| value.map_or_else(|| "as the model says".to_owned(), |v| v.to_string());
    let seed = match sampler.seed {
        None => "as the model says".to_owned(),
        Some(u32::MAX) => "fresh".to_owned(),
        Some(seed) => seed.to_string(),
    };
    vec![
        ("temperature", float(sampler.temperature)),
        ("top k", whole(sampler.top_k.map(i64::from))),
        ("top p", float(sampler.top_p)),
        ("min p", float(sampler.min_p)),
        ("repeat penalty", float(sampler.repeat_penalty)),
        ("presence penalty", float(sampler.presence_penalty)),
        ("frequency penalty", float(sampler.frequency_penalty)),
        ("penalty last n", whole(sampler.penalty_last_n.map(i64::from))),
        ("seed", seed),
    ]
}

/// Whether a value of a field that this version does not know means "as before".
fn is_at_rest(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_at_rest),
    }
}

/// JSON with sorted keys and without spaces.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().filter(|(_, value)| !value.is_null()).collect();
            out.push('{');
            for (i, (name, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
