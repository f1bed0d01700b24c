//! A run: one measured execution, kept for ever. Design, workload, environment, raw samples and what follows from them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{BenchTest, Design, EngineError, TokenRecord};

/// Names a run that is kept; ever rising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// What was fed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Workload {
    /// Synthetic tokens, llama-bench's way. With both sizes set and samples of prefill and decode, the two were measured apart (pp and tg
    /// of these sizes, as a sweep does it); with samples of both together, as llama-bench's pg
    Bench {
        /// the cell
        test: BenchTest,
    },
    /// A text that a reference and the design both read
    Quality {
        /// name of the text (a file's name, a chat's title)
        text: String,
        /// fingerprint of the text
        text_hash: String,
        /// tokens of a chunk
        n_ctx: u32,
        /// what is taken for right
        reference: Box<Design>,
    },
    /// One prompt, answered
    Prompt {
        /// the prompt, exactly
        prompt: String,
        /// what came
        reply: String,
    },
}

impl Workload {
    /// In a word or two: `pp512`, `quality on notes.txt`, `prompt "Why is the sky…"`.
    pub fn words(&self) -> String {
        match self {
            Self::Bench { test } => test.name(),
            Self::Quality { text, n_ctx, .. } => format!("quality on {text}, chunks of {n_ctx}"),
            Self::Prompt { prompt, .. } => {
                let line = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
                let short: String = line.chars().take(32).collect();
                if short.len() < line.len() { format!("prompt \"{short}…\"") } else { format!("prompt \"{short}\"") }
            }
        }
    }

    /// Whether two workloads ask the same of a design, so that what was measured can be compared: the same cell, the same text in the same
    /// chunks against the same reference, the same prompt.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bench { test: a }, Self::Bench { test: b }) => a == b,
            (
                Self::Quality { text_hash: a, n_ctx: a_ctx, reference: a_ref, .. },
                Self::Quality { text_hash: b, n_ctx: b_ctx, reference: b_ref, .. },
            ) => a == b && a_ctx == b_ctx && a_ref.hash("") == b_ref.hash(""),
            (Self::Prompt { prompt: a, .. }, Self::Prompt { prompt: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// What it ran on. An empty text or a zero is "not known".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// The processor's name
    pub cpu: String,
    /// Physical cores
    pub cores: u32,
    /// Logical processors
    pub processors: u32,
    /// Bytes of memory
    pub memory: u64,
    /// Name and version of the operating system
    pub os: String,
    /// The processor's frequency governor (`performance`, `powersave`)
    pub governor: String,
    /// Name of the engine (`llama.cpp`)
    pub engine: String,
    /// Its revision
    pub engine_commit: String,
    /// Its build (`b11434`)
    pub engine_build: String,
    /// CPU features in use
    pub cpu_features: Vec<String>,
    /// Version of this program
    pub app: String,
    /// Name of the model
    pub model: String,
    /// `Q4_K_M`
    pub quant: String,
    /// Bytes on disk, all shards together
    pub model_size: u64,
    /// Fingerprint of the model file
    pub model_hash: String,
    /// Share of all processors that others used while it ran, 0..1, where it was sampled
    pub background_load: Option<f64>,
    /// Memory read bandwidth, 10^9 bytes per second, where it was measured
    pub bandwidth_gb_s: Option<f64>,
}

/// A figure that designs are chosen by. Which way is better: [`Metric::higher_is_better`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Tokens generated per second (tg)
    DecodeTps,
    /// Prompt tokens read per second (pp)
    PrefillTps,
    /// Prompt and generated tokens together per second (pg)
    BothTps,
    /// Time to first token, milliseconds
    TtftMs,
    /// 95th percentile of the gaps between tokens, milliseconds
    ItlP95Ms,
    /// Largest resident memory of the engine, or weights, cache and compute together where that cannot be told apart; bytes
    PeakMemory,
    /// Bytes on disk
    FileSize,
    /// Mean KL divergence from the reference, nats a token
    Kld,
    /// Perplexity
    Perplexity,
    /// Tokens whose most probable continuation is the reference's, 0..1
    SameTop,
    /// Energy of the processor's packages a generated token, joules
    EnergyPerToken,
    /// What a million generated tokens cost, in the money of the machine's price; follows from the price and the decode speed
    #[serde(rename = "cost_per_mtok")]
    CostPerMillion,
}

impl Metric {
    /// Every figure, in the order of a table.
    pub const ALL: [Self; 12] = [
        Self::DecodeTps,
        Self::PrefillTps,
        Self::BothTps,
        Self::TtftMs,
        Self::ItlP95Ms,
        Self::PeakMemory,
        Self::FileSize,
        Self::Kld,
        Self::Perplexity,
        Self::SameTop,
        Self::EnergyPerToken,
        Self::CostPerMillion,
    ];

    /// Its name in files and on the command line (`ttft_ms`).
    pub fn key(self) -> &'static str {
        match self {
            Self::DecodeTps => "decode_tps",
            Self::PrefillTps => "prefill_tps",
            Self::BothTps => "both_tps",
            Self::TtftMs => "ttft_ms",
            Self::ItlP95Ms => "itl_p95_ms",
            Self::PeakMemory => "peak_memory",
            Self::FileSize => "file_size",
            Self::Kld => "kld",
            Self::Perplexity => "perplexity",
            Self::SameTop => "same_top",
            Self::EnergyPerToken => "energy_per_token",
            Self::CostPerMillion => "cost_per_mtok",
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::DecodeTps => "Decode",
            Self::PrefillTps => "Prefill",
            Self::BothTps => "Prefill and decode",
            Self::TtftMs => "TTFT",
            Self::ItlP95Ms => "ITL p95",
            Self::PeakMemory => "Peak memory",
            Self::FileSize => "File size",
            Self::Kld => "Mean KLD",
            Self::Perplexity => "Perplexity",
            Self::SameTop => "Same top token",
            Self::EnergyPerToken => "Energy",
            Self::CostPerMillion => "Cost",
        }
    }

    /// Looks a key up.
    pub fn by_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.key() == key)
    }

    /// Whether it is one of what a model says, which neither threads nor batches change, and no speed.
    pub fn is_quality(self) -> bool {
        matches!(self, Self::Kld | Self::Perplexity | Self::SameTop)
    }

    /// Whether more of it is better.
    pub fn higher_is_better(self) -> bool {
        matches!(self, Self::DecodeTps | Self::PrefillTps | Self::BothTps | Self::SameTop)
    }
}

/// Whether a run can carry a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunTrust {
    /// Enough repetitions that agree, on a machine that did little else
    Trusted,
    /// Repetitions scatter or drift, or something else was running
    Noisy,
    /// Too few repetitions: nothing can be said
    #[default]
    TooFew,
}

impl RunTrust {
    /// As a word, for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Noisy => "noisy",
            Self::TooFew => "too few",
        }
    }
}

/// A run as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name in the store; 0 until it is kept
    #[serde(default)]
    pub id: RunId,
    /// What the user calls it; empty = named by its design and workload
    #[serde(default)]
    pub title: String,
    /// What the user files it under
    #[serde(default)]
    pub tags: Vec<String>,
    /// The sweep, comparison or ladder it belongs to, by a name of its own; empty for a run by itself
    #[serde(default)]
    pub group: String,
    /// When it began, Unix time, milliseconds
    pub started_ms: i64,
    /// How long it took, seconds
    #[serde(default)]
    pub seconds: f64,
    /// What was measured
    pub design: Design,
    /// What was fed in
    pub workload: Workload,
    /// What it ran on
    #[serde(default)]
    pub environment: Environment,
    /// Raw samples by figure, in the order they were measured; a figure that is not a sample of anything has one value. The summary of a
    /// figure is the median of its samples
    #[serde(default)]
    pub samples: BTreeMap<Metric, Vec<f64>>,
    /// In which block of its group each repetition was measured, in the order of the samples: repetitions of two runs of one group and block
    /// were measured side by side and are compared in pairs. Empty where it was measured by itself
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<u32>,
    /// The run that this one repeats
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<RunId>,
    /// What it was read from when it was not measured here (`llama-bench`); empty for a run of this machine's
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub imported: String,
    /// Whether it can carry a decision
    #[serde(default)]
    pub trust: RunTrust,
    /// Why not, as sentences
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Set when it failed: a design that does not fit, an engine that died. What was measured until then stands
    #[serde(default)]
    pub failure: Option<EngineError>,
    /// What was found of each token, of a run of quality: set on the way to the store, which keeps it apart from the run, and where it was
    /// asked for on the way back
    #[serde(skip)]
    pub tokens: Option<Arc<TokenRecord>>,
    /// What a newer version keeps with it, and what only one kind of run has (quality: its whole summary)
    #[serde(flatten)]
    pub extra: BTreeMap<String, serde_json::Value>,
}

impl Run {
    /// A run of which nothing was measured yet.
    pub fn new(design: Design, workload: Workload, started_ms: i64) -> Self {
        Self {
            id: RunId::default(),
            title: String::new(),
            tags: Vec::new(),
            group: String::new(),
            started_ms,
            seconds: 0.0,
            design,
            workload,
            environment: Environment::default(),
            samples: BTreeMap::new(),
            blocks: Vec::new(),
            repeats: None,
            imported: String::new(),
            trust: RunTrust::default(),
            reasons: Vec::new(),
            failure: None,
            tokens: None,
            extra: BTreeMap::new(),
        }
    }

    /// The summary of a figure: the median of its samples, the mean of the middle two for an even number. Values that are no numbers are
    /// left out; `None` when nothing is left.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        let mut sorted: Vec<f64> = self.samples.get(&metric)?.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        if sorted.len().is_multiple_of(2) {
            let lower = middle.checked_sub(1).and_then(|i| sorted.get(i))?;
            Some(f64::midpoint(*lower, upper))
        } else {
            Some(upper)
        }
    }

    /// The hash of its design, with the fingerprint of the model that ran.
    pub fn design_hash(&self) -> String {
        self.design.hash(&self.environment.model_hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_and_is_the_one_that_is_written() {
        for metric in Metric::ALL {
            assert_eq!(Metric::by_key(metric.key()), Some(metric));
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.key());
        }
    }

    #[test]
    fn a_run_comes_back_as_it_was_and_keeps_what_it_does_not_know() {
        let workload = Workload::Bench { test: BenchTest { n_prompt: 512, n_gen: 0, n_depth: 0 } };
        let run = Run {
            id: RunId(7),
            tags: vec!["laptop".into()],
            group: "sweep".into(),
            seconds: 2.5,
            samples: BTreeMap::from([(Metric::PrefillTps, vec![100.0, 101.5])]),
            blocks: vec![0, 1],
            repeats: Some(RunId(3)),
            imported: "llama-bench".into(),
            trust: RunTrust::Trusted,
            extra: BTreeMap::from([("newer".into(), serde_json::json!({"a": 1}))]),
            ..Run::new(Design::for_model("m.gguf"), workload, 1)
        };
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
        assert_eq!(run.figure(Metric::PrefillTps), Some(100.75));
        assert_eq!(run.figure(Metric::Kld), None);
    }

    #[test]
    fn a_run_of_an_older_version_is_read() {
        let old = r#"{"started_ms": 5, "design": {"model": "m.gguf"}, "workload": {"kind": "prompt", "prompt": "a", "reply": "b"}}"#;
        let run: Run = serde_json::from_str(old).unwrap();
        assert_eq!(run, Run::new(Design::for_model("m.gguf"), Workload::Prompt { prompt: "a".into(), reply: "b".into() }, 5));
    }
}
