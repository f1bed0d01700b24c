//! A grid of designs: lists and ranges of values for the options that are varied, and every combination of them.

use std::fmt;
use std::path::PathBuf;

use super::plan::Candidate;
use crate::measure::plan::parse_counts;
use crate::protocol::{CacheType, Design, FlashAttention};

/// No grid is larger: a typing slip must not become a sweep of weeks.
pub const MAX_CANDIDATES: usize = 10_000;

/// An option that a grid can vary. The names are the design options' long names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Quantization level of the model's family
    Rung,
    /// Threads for decode
    Threads,
    /// Threads for prefill
    ThreadsBatch,
    /// Logical batch
    BatchSize,
    /// Physical batch
    UbatchSize,
    /// Tokens of context
    CtxSize,
    /// Tokens in the KV cache before a cell is measured
    Depth,
    /// Type of the key cache
    CacheTypeK,
    /// Type of the value cache
    CacheTypeV,
    /// Fused attention
    FlashAttn,
    /// Map the file
    Mmap,
    /// Copy weights into the processor's layouts
    Repack,
    /// Layers on a GPU
    GpuLayers,
}

impl Key {
    /// Every key, in the order in which a person would vary them.
    pub const ALL: [Self; 13] = [
        Self::Rung,
        Self::Threads,
        Self::ThreadsBatch,
        Self::BatchSize,
        Self::UbatchSize,
        Self::CtxSize,
        Self::Depth,
        Self::CacheTypeK,
        Self::CacheTypeV,
        Self::FlashAttn,
        Self::Mmap,
        Self::Repack,
        Self::GpuLayers,
    ];

    /// As it is typed (`threads-batch`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Rung => "rung",
            Self::Threads => "threads",
            Self::ThreadsBatch => "threads-batch",
            Self::BatchSize => "batch-size",
            Self::UbatchSize => "ubatch-size",
            Self::CtxSize => "ctx-size",
            Self::Depth => "depth",
            Self::CacheTypeK => "cache-type-k",
            Self::CacheTypeV => "cache-type-v",
            Self::FlashAttn => "flash-attn",
            Self::Mmap => "mmap",
            Self::Repack => "repack",
            Self::GpuLayers => "gpu-layers",
        }
    }

    /// Looks a name up; `_` counts as `-`, and `n-gpu-layers` and `n-depth` are known, too.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.trim().replace('_', "-");
        let name = match name.as_str() {
            "n-gpu-layers" => "gpu-layers",
            "n-depth" => "depth",
            other => other,
        };
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    fn values(self, text: &str) -> Result<Vec<Value>, String> {
        let each = |read: &dyn Fn(&str) -> Option<Value>, what: &str| {
            let items = text.strip_suffix(',').unwrap_or(text).split(',');
            items.map(|item| read(item.trim()).ok_or_else(|| format!("{:?} is not {what}", item.trim()))).collect()
        };
        match self {
            Self::Rung => each(&|name| (!name.is_empty()).then(|| Value::Rung(name.to_owned())), "a quantization level"),
            Self::Threads | Self::ThreadsBatch | Self::CtxSize | Self::Depth => {
                Ok(parse_counts(text)?.into_iter().map(Value::Count).collect())
            }
            Self::BatchSize | Self::UbatchSize => {
                let counts = parse_counts(text)?;
                if counts.contains(&0) {
                    return Err("a batch needs at least 1 token".into());
                }
                Ok(counts.into_iter().map(Value::Count).collect())
            }
            Self::CacheTypeK | Self::CacheTypeV => {
                let names: Vec<&str> = CacheType::ALL.iter().map(|t| t.name()).collect();
                each(&|name| CacheType::by_name(name).map(Value::Cache), &format!("a cache type; there are {}", names.join(", ")))
            }
            Self::FlashAttn => each(&|name| flash(name).map(Value::Flash), "on, off or auto"),
            Self::Mmap | Self::Repack => each(&|name| switch(name).map(Value::Switch), "on (1) or off (0)"),
            Self::GpuLayers => layers(text),
        }
    }
}

fn flash(name: &str) -> Option<FlashAttention> {
    match name.to_ascii_lowercase().as_str() {
        "on" | "1" => Some(FlashAttention::On),
        "off" | "0" => Some(FlashAttention::Off),
        "auto" | "-1" => Some(FlashAttention::Auto),
        _ => None,
    }
}

fn switch(name: &str) -> Option<bool> {
    match name.to_ascii_lowercase().as_str() {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

/// Numbers and ranges, and `all` (or -1) for as many as fit.
fn layers(text: &str) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for item in text.strip_suffix(',').unwrap_or(text).split(',') {
        match item.trim() {
            "all" | "-1" => values.push(Value::Layers(-1)),
            other => {
                for count in parse_counts(other)? {
                    values.push(Value::Layers(i32::try_from(count).map_err(|_large| format!("{count} is too many layers"))?));
                }
            }
        }
    }
    Ok(values)
}

/// One value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of `rung`
    Rung(String),
    /// A number
    Count(u32),
    /// Of `gpu-layers`; -1 is all
    Layers(i32),
    /// Of the cache types
    Cache(CacheType),
    /// Of `flash-attn`
    Flash(FlashAttention),
    /// Of `mmap` and `repack`
    Switch(bool),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rung(name) => f.write_str(name),
            Self::Count(n) => write!(f, "{n}"),
            Self::Layers(-1) => f.write_str("all"),
            Self::Layers(n) => write!(f, "{n}"),
            Self::Cache(kind) => f.write_str(kind.name()),
            Self::Flash(FlashAttention::On) | Self::Switch(true) => f.write_str("on"),
            Self::Flash(FlashAttention::Off) | Self::Switch(false) => f.write_str("off"),
            Self::Flash(FlashAttention::Auto) => f.write_str("auto"),
        }
    }
}

/// What is wrong with a grid, and with which key of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct GridError {
    /// The key as it was typed
    pub key: String,
    /// A sentence that names the key
    pub message: String,
}

impl GridError {
    fn new(key: &str, message: impl fmt::Display) -> Self {
        Self { key: key.to_owned(), message: format!("Grid key {key}: {message}") }
    }
}

/// A rung that is on disk: its name (`Q4_K_M`) and its file.
pub type RungFile = (String, PathBuf);

/// Keys with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grid {
    axes: Vec<(Key, Vec<Value>)>,
}

impl Grid {
    /// Reads `KEY=V1,V2` texts. Numbers are lists and ranges exactly as llama-bench writes them: `512`, `1,2,4`, `1-8`, `128-512+128`,
    /// `1-8*2`. A value that stands twice is measured twice, as llama-bench does it.
    ///
    /// # Errors
    /// For a text without `=`, a key that is unknown or stands twice, and values that the key does not have. Names the key.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Self, GridError> {
        let mut grid = Self::default();
        for text in texts.iter().map(AsRef::as_ref) {
            let (name, values) = text.split_once('=').ok_or_else(|| GridError::new(text, "write it as KEY=V1,V2"))?;
            let key = Key::by_name(name).ok_or_else(|| {
                let names: Vec<&str> = Key::ALL.iter().map(|key| key.name()).collect();
                GridError::new(name, format!("there is no such key; there are {}", names.join(", ")))
            })?;
            grid.set(key, values)?;
        }
        Ok(grid)
    }

    /// Adds a key with its values, as typed behind the `=`.
    ///
    /// # Errors
    /// As [`Grid::parse`].
    pub fn set(&mut self, key: Key, text: &str) -> Result<(), GridError> {
        if self.axes.iter().any(|(known, _)| *known == key) {
            return Err(GridError::new(key.name(), "it is given twice; write all its values in one list"));
        }
        let values = key.values(text.trim()).map_err(|why| GridError::new(key.name(), why))?;
        if values.is_empty() {
            return Err(GridError::new(key.name(), format!("{text:?} is an empty range")));
        }
        self.axes.push((key, values));
        Ok(())
    }

    /// The keys with their values, in the order they were given.
    pub fn axes(&self) -> &[(Key, Vec<Value>)] {
        &self.axes
    }

    /// Every combination applied to `base`, the last key changing fastest. `rungs` are those that `rung=` can name (in any case; `all`
    /// names them all). A grid without keys has one candidate, `base` itself.
    ///
    /// # Errors
    /// For a rung that is not there, and more than [`MAX_CANDIDATES`] combinations. Names the key.
    pub fn candidates(&self, base: &Design, rungs: &[RungFile]) -> Result<Vec<Candidate>, GridError> {
        let mut all = vec![Candidate { design: base.clone(), ..Candidate::default() }];
        for (key, values) in &self.axes {
            let values = if *key == Key::Rung { known_rungs(values, rungs)? } else { values.iter().map(|v| (v.clone(), None)).collect() };
            if all.len().saturating_mul(values.len()) > MAX_CANDIDATES {
                return Err(GridError::new(key.name(), format!("with it the grid has more than {MAX_CANDIDATES} designs")));
            }
            all = all
                .iter()
                .flat_map(|candidate| values.iter().map(move |(value, file)| applied(candidate, *key, value, file.clone())))
                .collect();
        }
        Ok(all)
    }
}

type Resolved = (Value, Option<PathBuf>);

fn known_rungs(values: &[Value], rungs: &[RungFile]) -> Result<Vec<Resolved>, GridError> {
    let mut found = Vec::new();
    for value in values {
        let Value::Rung(name) = value else { continue };
        let named = |rung: &&RungFile| name.eq_ignore_ascii_case("all") || rung.0.eq_ignore_ascii_case(name);
        let before = found.len();
        found.extend(rungs.iter().filter(named).map(|(quant, file)| (Value::Rung(quant.clone()), Some(file.clone()))));
        if found.len() == before {
            let names: Vec<&str> = rungs.iter().map(|(quant, _)| quant.as_str()).collect();
            let there = if names.is_empty() { "no level of this model is".into() } else { format!("{} are", names.join(", ")) };
            return Err(GridError::new(
                "rung",
                format!("{name} is not on disk; {there}. Make it first: inferscope quantize FILE --to {name}"),
            ));
        }
    }
    Ok(found)
}

fn applied(candidate: &Candidate, key: Key, value: &Value, file: Option<PathBuf>) -> Candidate {
    let mut next = candidate.clone();
    let design = &mut next.design;
    match (key, value) {
        (Key::Rung, _) => {
            if let Some(file) = file {
                design.model = file;
            }
        }
        (Key::Threads, Value::Count(n)) => design.threads = *n,
        (Key::ThreadsBatch, Value::Count(n)) => design.threads_batch = *n,
        (Key::BatchSize, Value::Count(n)) => design.n_batch = *n,
        (Key::UbatchSize, Value::Count(n)) => design.n_ubatch = *n,
        (Key::CtxSize, Value::Count(n)) => design.n_ctx = *n,
        (Key::Depth, Value::Count(n)) => next.depth = *n,
        (Key::CacheTypeK, Value::Cache(kind)) => design.type_k = *kind,
        (Key::CacheTypeV, Value::Cache(kind)) => design.type_v = *kind,
        (Key::FlashAttn, Value::Flash(flash)) => design.flash_attention = *flash,
        (Key::Mmap, Value::Switch(mmap)) => design.mmap = *mmap,
        (Key::Repack, Value::Switch(repack)) => design.repack = *repack,
        (Key::GpuLayers, Value::Layers(n)) => design.gpu_layers = *n,
        // `Key::values` gives each key its own kind of value
        _ => {}
    }
    let word = if key == Key::Rung { value.to_string() } else { format!("{} {value}", key.name()) };
    next.label = if next.label.is_empty() { word } else { format!("{}, {word}", next.label) };
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rungs() -> Vec<RungFile> {
        ["Q4_K_M", "Q8_0", "F16"].map(|name| (name.to_owned(), PathBuf::from(format!("/m/{name}.gguf")))).to_vec()
    }

    fn candidates(texts: &[&str]) -> Result<Vec<Candidate>, GridError> {
        Grid::parse(texts)?.candidates(&Design::for_model("/m/base.gguf"), &rungs())
    }

    #[test]
    fn every_combination_the_last_key_fastest() {
        let all = candidates(&["rung=q8_0,Q4_K_M", "threads=1-4*2", "depth=0,512"]).unwrap();
        assert_eq!(all.len(), 12);
        let of = |c: &Candidate| (c.design.model.display().to_string(), c.design.threads, c.depth);
        assert_eq!(of(&all[0]), ("/m/Q8_0.gguf".into(), 1, 0));
        assert_eq!(of(&all[1]), ("/m/Q8_0.gguf".into(), 1, 512));
        assert_eq!(of(&all[11]), ("/m/Q4_K_M.gguf".into(), 4, 512));
        assert_eq!(all[3].label, "Q8_0, threads 2, depth 512");
    }

    #[test]
    fn every_key_changes_its_own_field() {
        let all = candidates(&[
            "rung=F16",
            "threads=3",
            "threads_batch=4",
            "batch-size=256",
            "ubatch-size=64",
            "ctx-size=1024",
            "n-depth=16",
            "cache-type-k=q8_0",
            "cache-type-v=Q4_0",
            "flash-attn=1",
            "mmap=0",
            "repack=off",
            "n-gpu-layers=all",
        ])
        .unwrap();
        let expected = Design {
            threads: 3,
            threads_batch: 4,
            n_batch: 256,
            n_ubatch: 64,
            n_ctx: 1024,
            type_k: CacheType::Q8_0,
            type_v: CacheType::Q4_0,
            flash_attention: FlashAttention::On,
            mmap: false,
            repack: false,
            gpu_layers: -1,
            ..Design::for_model("/m/F16.gguf")
        };
        assert_eq!((all.len(), &all[0].design, all[0].depth), (1, &expected, 16));
    }

    #[test]
    fn all_rungs_and_values_that_stand_twice() {
        assert_eq!(candidates(&["rung=all"]).unwrap().len(), 3);
        assert_eq!(candidates(&["threads=2,2"]).unwrap().len(), 2, "as llama-bench does it");
        assert_eq!(candidates(&[]).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_the_key() {
        for (text, key) in [
            ("speed=1", "speed"),
            ("threads", "threads"),
            ("threads=", "threads"),
            ("threads=two", "threads"),
            ("threads=1-4*1", "threads"),
            ("threads=16+16", "threads"),
            ("threads=4-1", "threads"),
            ("batch-size=0,512", "batch-size"),
            ("cache-type-k=q9", "cache-type-k"),
            ("flash-attn=perhaps", "flash-attn"),
            ("mmap=2", "mmap"),
            ("repack=2", "repack"),
            ("gpu-layers=x", "gpu-layers"),
            ("rung=", "rung"),
            ("rung=Q2_K", "rung"),
            ("ctx-size=1-100000", "ctx-size"),
        ] {
            let error = candidates(&[text]).unwrap_err();
            assert_eq!(error.key, key, "{text}: {error}");
            assert!(error.to_string().contains(key), "{text}: {error}");
        }
        assert_eq!(candidates(&["threads=1", "threads=2"]).unwrap_err().key, "threads");
        assert!(candidates(&["threads=1-200", "ubatch-size=1-200"]).unwrap_err().to_string().contains("10000"));
        assert!(candidates(&["rung=Q2_K"]).unwrap_err().to_string().contains("Q4_K_M, Q8_0, F16"));
    }

    proptest! {
        #[test]
        fn nothing_that_is_typed_breaks_it(key in "[a-z_-]{0,12}", values in "[0-9a-zA-Z,+*=._-]{0,24}") {
            for text in [format!("{key}={values}"), format!("threads={values}"), format!("gpu-layers={values}"), values.clone()] {
                if let Ok(grid) = Grid::parse(&[text]) {
                    if let Ok(all) = grid.candidates(&Design::default(), &rungs()) {
                        prop_assert!(all.len() <= MAX_CANDIDATES);
                    }
                }
            }
        }

        #[test]
        fn the_product_has_every_combination_once(threads in prop::collection::btree_set(1u32..64, 1..5), batches in prop::collection::btree_set(1u32..4096, 1..5)) {
            let list = |values: &std::collections::BTreeSet<u32>| values.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let texts = [format!("threads={}", list(&threads)), format!("ubatch-size={}", list(&batches))];
            let all = candidates(&texts.each_ref().map(String::as_str)).unwrap();
            let mut seen: Vec<(u32, u32)> = all.iter().map(|c| (c.design.threads, c.design.n_ubatch)).collect();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), threads.len() * batches.len());
            prop_assert_eq!(all.len(), seen.len());
        }

        #[test]
        fn a_printed_value_reads_back(n in 0u32..100_000, layers in -1i32..200) {
            prop_assert_eq!(Key::Depth.values(&Value::Count(n).to_string()), Ok(vec![Value::Count(n)]));
            prop_assert_eq!(Key::GpuLayers.values(&Value::Layers(layers).to_string()), Ok(vec![Value::Layers(layers)]));
        }
    }
}
