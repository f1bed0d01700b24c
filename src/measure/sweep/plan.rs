//! What a sweep is to do: the designs, the cells, how often, and what a design must keep to.

use serde::{Deserialize, Serialize};

use crate::measure::MetricLimit;
use crate::protocol::{BenchTest, Design, EngineError, Environment, MemoryUse, Metric, QualityText};

/// Blocks that are measured unless something else is said: `verdict` wants an even number, and at least eight.
pub const BLOCKS: u32 = 8;

/// What a file's header says of a design, read before anything is loaded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Name of the model
    pub model: String,
    /// `Q4_K_M`
    pub quant: String,
    /// Bytes on disk, all shards together
    pub file_size: u64,
    /// Fingerprint of the file, where it is known
    pub model_hash: String,
    /// Memory the design takes; an estimate
    pub memory: MemoryUse,
    /// Bytes of weights that decoding a token reads
    pub weights_read: u64,
    /// Bytes of cache that it reads for each token in the cache
    pub kv_read: u64,
    /// Multiplications and additions of a prompt token, attention aside: see `roofline::ops_per_token`
    pub ops_per_token: f64,
}

/// One point of a sweep: a design, and how full its cache is when it is measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Candidate {
    /// The values of the grid that make it: `Q8_0, threads 4`; empty when nothing is varied
    pub label: String,
    /// The design
    pub design: Design,
    /// Tokens in the KV cache beforehand
    pub depth: u32,
    /// What is known of it before it is measured
    pub facts: Facts,
    /// Why it cannot be measured, when that is known beforehand: no such file, does not fit
    pub refusal: Option<EngineError>,
}

/// What quality loss is measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepQuality {
    /// What is taken for right: the largest rung
    pub reference: Design,
    /// The text
    pub text: QualityText,
    /// What it is called
    pub name: String,
    /// Its fingerprint
    pub hash: String,
    /// Tokens of a chunk
    pub n_ctx: u32,
    /// Most chunks; 0 = all
    pub max_chunks: u32,
}

/// A whole sweep. Two sweeps with the same plan make the same measurements in the same order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SweepPlan {
    /// Names it: the group of its runs, the name of its file
    pub name: String,
    /// What is compared
    pub candidates: Vec<Candidate>,
    /// Prompt tokens of the pp cell; 0 leaves it out, and with it prefill speed and TTFT
    pub n_prompt: u32,
    /// Generated tokens of the tg cell; 0 leaves it out, and with it decode speed and ITL
    pub n_gen: u32,
    /// How often each candidate is measured, once a block
    pub blocks: u32,
    /// Whether to leave out every warm-up
    pub no_warmup: bool,
    /// What is best: the figure that decides
    pub goal: Metric,
    /// What a design must keep to
    pub limits: Vec<MetricLimit>,
    /// Ends early rather than take longer, seconds; what was measured stands
    pub budget_seconds: Option<f64>,
    /// Of the order
    pub seed: u64,
    /// Measures quality loss, too
    pub quality: Option<SweepQuality>,
    /// Looks for the best for the goal, instead of measuring everything equally often
    pub search: bool,
    /// Bytes of models and contexts that the engine may keep between measurements; what does not fit is loaded again
    pub keep_warm_bytes: u64,
    /// What it runs on; the model's part is filled in for each run
    pub environment: Environment,
    /// The machine's rate of multiplications and additions, 10^9 a second, where it was measured
    pub ops_gflops: Option<f64>,
    /// What the machine costs an hour, where that is known: the cost of a token is a figure then
    pub price_per_hour: Option<f64>,
}

impl Default for SweepPlan {
    fn default() -> Self {
        Self {
            name: String::new(),
            candidates: Vec::new(),
            n_prompt: 512,
            n_gen: 128,
            blocks: BLOCKS,
            no_warmup: false,
            goal: Metric::DecodeTps,
            limits: Vec::new(),
            budget_seconds: None,
            seed: 1,
            quality: None,
            search: false,
            keep_warm_bytes: 0,
            environment: Environment::default(),
            ops_gflops: None,
            price_per_hour: None,
        }
    }
}

impl SweepPlan {
    /// The cells of a candidate: the prompt, then the generation.
    pub fn tests(&self, candidate: &Candidate) -> Vec<BenchTest> {
        let n_depth = candidate.depth;
        let pp = BenchTest { n_prompt: self.n_prompt, n_gen: 0, n_depth };
        let tg = BenchTest { n_prompt: 0, n_gen: self.n_gen, n_depth };
        [pp, tg].into_iter().filter(|test| test.n_prompt > 0 || test.n_gen > 0).collect()
    }

    /// The figures that the front is made of: the speeds that are measured, memory, and quality loss when it is measured.
    pub fn axes(&self) -> Vec<Metric> {
        let mut axes = vec![self.goal];
        let mut add = |wanted: bool, metric: Metric| {
            if wanted && !axes.contains(&metric) {
                axes.push(metric);
            }
        };
        add(self.n_gen > 0, Metric::DecodeTps);
        add(self.n_prompt > 0, Metric::PrefillTps);
        add(true, Metric::PeakMemory);
        add(self.quality.is_some(), Metric::Kld);
        axes
    }

    /// Whether a figure will be known once the sweep is done.
    pub fn measures(&self, metric: Metric) -> bool {
        match metric {
            Metric::DecodeTps | Metric::ItlP95Ms => self.n_gen > 0,
            Metric::PrefillTps | Metric::TtftMs => self.n_prompt > 0,
            Metric::PeakMemory | Metric::FileSize => true,
            Metric::Kld | Metric::Perplexity | Metric::SameTop => self.quality.is_some(),
            Metric::CostPerMillion => self.n_gen > 0 && self.price_per_hour.is_some(),
            Metric::BothTps | Metric::EnergyPerToken => false,
        }
    }

    /// How many of the candidates have a quality loss of their own: those that differ in more than threads and batches.
    pub fn qualities(&self) -> usize {
        one_of_each_quality(self).len()
    }

    /// What keeps the plan from being carried out, as a sentence.
    pub fn fault(&self) -> Option<String> {
        if self.candidates.is_empty() {
            return Some("There is no design to measure".into());
        }
        if self.n_prompt == 0 && self.n_gen == 0 {
            return Some("There is nothing to measure: both sizes are 0".into());
        }
        if self.blocks == 0 {
            return Some("A sweep needs at least one block".into());
        }
        let is_wanted = self.goal == Metric::CostPerMillion || self.limits.iter().any(|limit| limit.metric == Metric::CostPerMillion);
        if is_wanted && self.price_per_hour.is_none() {
            return Some("The cost of a token needs the price of an hour of this machine".into());
        }
        if !self.measures(self.goal) {
            return Some(format!("{} is the goal, but this sweep does not measure it", self.goal.name()));
        }
        let unmeasured = self.limits.iter().find(|limit| !self.measures(limit.metric))?;
        Some(format!("A limit is set on {}, but this sweep does not measure it", unmeasured.metric.name()))
    }
}

/// What quality depends on: neither threads nor batches change what a model says by more than rounding.
fn quality_key(plan: &SweepPlan, candidate: usize) -> Option<impl PartialEq + use<>> {
    let design = &plan.candidates.get(candidate)?.design;
    Some((design.model.clone(), design.type_k, design.type_v, design.flash_attention, design.repack))
}

/// Candidates that say the same as this one.
pub(super) fn of_the_same_quality(plan: &SweepPlan, candidate: usize) -> Vec<usize> {
    let key = quality_key(plan, candidate);
    (0..plan.candidates.len()).filter(|other| quality_key(plan, *other) == key).collect()
}

/// The first candidate of each quality that is not refused.
pub(super) fn one_of_each_quality(plan: &SweepPlan) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    for (i, candidate) in plan.candidates.iter().enumerate() {
        if candidate.refusal.is_none() && chosen.iter().all(|other| quality_key(plan, *other) != quality_key(plan, i)) {
            chosen.push(i);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_answer_says_so() {
        let plan = SweepPlan { candidates: vec![Candidate::default()], ..SweepPlan::default() };
        assert_eq!(plan.fault(), None);
        let faulty = [
            SweepPlan { candidates: Vec::new(), ..plan.clone() },
            SweepPlan { n_prompt: 0, n_gen: 0, ..plan.clone() },
            SweepPlan { blocks: 0, ..plan.clone() },
            SweepPlan { goal: Metric::Kld, ..plan.clone() },
            SweepPlan { n_gen: 0, ..plan.clone() },
            SweepPlan { limits: vec![MetricLimit::natural(Metric::TtftMs, 1.0)], n_prompt: 0, ..plan.clone() },
            SweepPlan { goal: Metric::CostPerMillion, ..plan.clone() },
            SweepPlan { goal: Metric::CostPerMillion, price_per_hour: Some(1.0), n_gen: 0, ..plan.clone() },
            SweepPlan { limits: vec![MetricLimit::natural(Metric::CostPerMillion, 1.0)], ..plan.clone() },
        ];
        for plan in faulty {
            assert!(plan.fault().is_some(), "{plan:?}");
        }
        let priced = SweepPlan { goal: Metric::CostPerMillion, price_per_hour: Some(1.0), ..plan.clone() };
        assert_eq!(priced.fault(), None);
        assert_eq!(plan.tests(&Candidate { depth: 7, ..Candidate::default() }).len(), 2);
        assert_eq!(plan.axes(), [Metric::DecodeTps, Metric::PrefillTps, Metric::PeakMemory]);
    }
}
