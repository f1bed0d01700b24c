//! The design: a complete, serialisable record of how tokens get made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod file;
mod identity;

pub use file::DesignFormat;
pub use identity::Change;

/// Type of the key or value cache. llama.cpp's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheType {
    /// 32 bits
    F32,
    /// 16 bits: the default
    #[default]
    F16,
    /// brain float
    Bf16,
    /// 8.5 bits
    Q8_0,
    /// 5 bits, with an offset per block
    Q5_1,
    /// 5.5 bits
    Q5_0,
    /// 4 bits, with an offset per block
    Q4_1,
    /// 4.5 bits
    Q4_0,
    /// 4.5 bits, non-linear
    Iq4Nl,
}

impl CacheType {
    /// Every type, widest first.
    pub const ALL: [Self; 9] = [Self::F32, Self::F16, Self::Bf16, Self::Q8_0, Self::Q5_1, Self::Q5_0, Self::Q4_1, Self::Q4_0, Self::Iq4Nl];

    /// llama.cpp's name (`q8_0`).
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q5_1 => "q5_1",
            Self::Q5_0 => "q5_0",
            Self::Q4_1 => "q4_1",
            Self::Q4_0 => "q4_0",
            Self::Iq4Nl => "iq4_nl",
        }
    }

    /// Looks a name up, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name().eq_ignore_ascii_case(name))
    }

    /// Block size in elements and in bytes (`ggml-common.h`).
    pub fn block(self) -> (u64, u64) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q8_0 => (32, 34),
            Self::Q5_1 => (32, 24),
            Self::Q5_0 => (32, 22),
            Self::Q4_1 => (32, 20),
            Self::Q4_0 | Self::Iq4Nl => (32, 18),
        }
    }

    /// Whether llama.cpp needs flash attention to use this type for the *value* cache.
    pub fn is_quantized(self) -> bool {
        self.block().0 > 1
    }
}

/// Whether attention is fused. `Auto` leaves it to llama.cpp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlashAttention {
    /// llama.cpp decides
    #[default]
    Auto,
    /// always
    On,
    /// never
    Off,
}

/// Sampling parameters, with llama.cpp's defaults (`common/common.h`, `struct common_params_sampling`) and in the order its chain
/// applies them: penalties, top-k, top-p, min-p, temperature, then the draw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampler {
    /// 0 or less is greedy
    pub temperature: f32,
    /// 0 keeps the whole vocabulary
    pub top_k: i32,
    /// 1 keeps everything
    pub top_p: f32,
    /// 0 keeps everything
    pub min_p: f32,
    /// 1 is off
    pub repeat_penalty: f32,
    /// 0 is off
    pub presence_penalty: f32,
    /// 0 is off
    pub frequency_penalty: f32,
    /// How many of the last tokens the penalties look at; -1 is the whole context
    pub penalty_last_n: i32,
    /// `u32::MAX` draws a fresh seed per reply; the one drawn is reported
    pub seed: u32,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_last_n: 64,
            seed: u32::MAX,
        }
    }
}

/// Where the value of a sampling parameter came from. A user's value beats the model's, which beats llama.cpp's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueOrigin {
    /// llama.cpp's default
    Default,
    /// `general.sampling.*` of the model file
    Model,
    /// set by the user
    User,
}

/// One sampling parameter by name, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplerValue {
    /// The value in force.
    pub value: f64,
    /// Who set it.
    pub origin: ValueOrigin,
}

/// What the user set by hand, and nothing else: an absent field falls back to the model's recommendation, then to llama.cpp's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SamplerOverrides {
    /// See [`Sampler::temperature`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// See [`Sampler::top_k`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<i32>,
    /// See [`Sampler::top_p`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// See [`Sampler::min_p`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f32>,
    /// See [`Sampler::repeat_penalty`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat_penalty: Option<f32>,
    /// See [`Sampler::presence_penalty`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f32>,
    /// See [`Sampler::frequency_penalty`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f32>,
    /// See [`Sampler::penalty_last_n`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub penalty_last_n: Option<i32>,
    /// See [`Sampler::seed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
}

impl SamplerOverrides {
    /// The sampler in force, given what the model file recommends.
    pub fn resolve(&self, model: &super::SamplingDefaults) -> Sampler {
        let d = Sampler::default();
        Sampler {
            temperature: self.temperature.or(model.temperature).unwrap_or(d.temperature),
            top_k: self.top_k.or(model.top_k).unwrap_or(d.top_k),
            top_p: self.top_p.or(model.top_p).unwrap_or(d.top_p),
            min_p: self.min_p.or(model.min_p).unwrap_or(d.min_p),
            repeat_penalty: self.repeat_penalty.or(model.repeat_penalty).unwrap_or(d.repeat_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(d.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(d.frequency_penalty),
            penalty_last_n: self.penalty_last_n.or(model.penalty_last_n).unwrap_or(d.penalty_last_n),
            seed: self.seed.unwrap_or(d.seed),
        }
    }

    /// Every parameter with its value and its origin, by name, for display.
    pub fn explain(&self, model: &super::SamplingDefaults) -> BTreeMap<&'static str, SamplerValue> {
        let resolved = self.resolve(model);
        let row = |value: f64, user: bool, from_model: bool| SamplerValue {
            value,
            origin: if user {
                ValueOrigin::User
            } else if from_model {
                ValueOrigin::Model
            } else {
                ValueOrigin::Default
            },
        };
        BTreeMap::from([
            ("temperature", row(resolved.temperature.into(), self.temperature.is_some(), model.temperature.is_some())),
            ("top_k", row(resolved.top_k.into(), self.top_k.is_some(), model.top_k.is_some())),
            ("top_p", row(resolved.top_p.into(), self.top_p.is_some(), model.top_p.is_some())),
            ("min_p", row(resolved.min_p.into(), self.min_p.is_some(), model.min_p.is_some())),
            ("repeat_penalty", row(resolved.repeat_penalty.into(), self.repeat_penalty.is_some(), model.repeat_penalty.is_some())),
            ("presence_penalty", row(resolved.presence_penalty.into(), self.presence_penalty.is_some(), false)),
            ("frequency_penalty", row(resolved.frequency_penalty.into(), self.frequency_penalty.is_some(), false)),
            ("penalty_last_n", row(resolved.penalty_last_n.into(), self.penalty_last_n.is_some(), model.penalty_last_n.is_some())),
            ("seed", row(resolved.seed.into(), self.seed.is_some(), false)),
        ])
    }
}

/// How tokens get made: the one thing that everything which runs or measures takes.
///
/// Zero means "let the engine choose" for `n_ctx`, `threads` and `threads_batch`; the choice is reported in
/// [`super::Effective`]. Fields of a newer version survive a round trip in `extra`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Design {
    /// The GGUF file (first shard of a split model).
    pub model: PathBuf,
    /// Tokens of context; 0 = the smaller of what the model was trained for and 4096
    pub n_ctx: u32,
    /// Most tokens submitted in one call (logical batch)
    pub n_batch: u32,
    /// Most tokens computed at once (physical batch)
    pub n_ubatch: u32,
    /// Threads for decode; 0 = physical cores available to this process
    pub threads: u32,
    /// Threads for prefill; 0 = as `threads`
    pub threads_batch: u32,
    /// Type of the key cache
    pub type_k: CacheType,
    /// Type of the value cache
    pub type_v: CacheType,
    /// Fused attention
    pub flash_attention: FlashAttention,
    /// Layers on a GPU; -1 = all that a device takes
    pub gpu_layers: i32,
    /// Map the file instead of reading it
    pub mmap: bool,
    /// Keep the weights from being paged out
    pub mlock: bool,
    /// Copy weights into the layouts that the processor's kernels read fastest (llama.cpp's extra buffer types: `CPU_REPACK`, `AMX`)
    pub repack: bool,
    /// What the user set of the sampler
    pub sampler: SamplerOverrides,
    /// Fields this version does not know
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Default for Design {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            n_ctx: 0,
            n_batch: 2048,
            n_ubatch: 512,
            threads: 0,
            threads_batch: 0,
            type_k: CacheType::F16,
            type_v: CacheType::F16,
            flash_attention: FlashAttention::Auto,
            gpu_layers: -1,
            mmap: true,
            mlock: false,
            repack: true,
            sampler: SamplerOverrides::default(),
            extra: BTreeMap::new(),
        }
    }
}

impl Design {
    /// The default design for a file.
    pub fn for_model(model: impl Into<PathBuf>) -> Self {
        Self { model: model.into(), ..Self::default() }
    }

    /// In words, what differs from the default design, the model file aside: `ctx 8192, KV q8_0, temperature 0.2`. Empty when nothing does.
    pub fn differences(&self, sampler: &SamplerOverrides) -> String {
        let base = Self::default();
        let mut words = Vec::new();
        let mut say = |differs: bool, text: String| {
            if differs {
                words.push(text);
            }
        };
        say(self.n_ctx != base.n_ctx, format!("ctx {}", self.n_ctx));
        say(self.n_batch != base.n_batch, format!("batch {}", self.n_batch));
        say(self.n_ubatch != base.n_ubatch, format!("ubatch {}", self.n_ubatch));
        say(self.threads != base.threads, format!("threads {}", self.threads));
        say(self.threads_batch != base.threads_batch, format!("batch threads {}", self.threads_batch));
        if self.type_k == self.type_v {
            say(self.type_k != base.type_k, format!("KV {}", self.type_k.name()));
        } else {
            say(true, format!("K {} V {}", self.type_k.name(), self.type_v.name()));
        }
        say(self.flash_attention == FlashAttention::On, "flash attention on".into());
        say(self.flash_attention == FlashAttention::Off, "flash attention off".into());
        say(self.gpu_layers != base.gpu_layers, format!("{} GPU layers", self.gpu_layers));
        say(self.mmap != base.mmap, "no mmap".into());
        say(self.mlock != base.mlock, "mlock".into());
        say(self.repack != base.repack, "no repack".into());
        if let Ok(serde_json::Value::Object(set)) = serde_json::to_value(sampler) {
            for (name, value) in set {
                let number = value.as_f64().unwrap_or_default();
                words.push(format!("{} {}", name.replace('_', " "), (number * 1000.0).round() / 1000.0));
            }
        }
        words.join(", ")
    }

    /// Whether the two differ in anything that needs the model or its context to be made anew (everything but the sampler).
    pub fn needs_reload(&self, other: &Self) -> bool {
        let strip = |d: &Self| Self { sampler: SamplerOverrides::default(), ..d.clone() };
        strip(self) != strip(other)
    }

    /// How weights are loaded: two designs of one file that agree in this can share a loaded model.
    pub fn loading(&self) -> WeightLoading {
        let Self { mmap, mlock, repack, gpu_layers, .. } = *self;
        WeightLoading { mmap, mlock, repack, gpu_layers }
    }
}

/// See [`Design::loading`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightLoading {
    mmap: bool,
    mlock: bool,
    repack: bool,
    gpu_layers: i32,
}
