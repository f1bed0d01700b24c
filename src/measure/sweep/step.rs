//! What a sweep says and is told, and what it knows of each candidate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::stats;
use crate::protocol::{BenchPlan, BenchRow, Effective, EngineError, Metric, QualityPlan, Surroundings};

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Compare candidates with the reference
    Quality {
        /// which candidate of the sweep each candidate of the plan stands for
        candidates: Vec<usize>,
        /// to be sent as it is
        plan: Box<QualityPlan>,
    },
    /// Measure one candidate once
    Measure {
        /// which block, from 0
        block: usize,
        /// which candidate, from 0
        candidate: usize,
        /// to be sent as it is
        plan: Box<BenchPlan>,
    },
    /// Leave the machine alone
    CoolDown {
        /// for so long
        seconds: f64,
        /// because of this, as a sentence
        why: String,
    },
    /// Nothing more
    Done(End),
}

/// Why a sweep is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Everything was measured
    Complete,
    /// The time was used up
    Budget,
    /// A person ended it
    Cancelled,
    /// No design is left: all failed
    NothingLeft,
}

/// The quality loss of one design.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Mean KL divergence, nats a token
    pub kld: f64,
    /// Half its 95 % interval, where there are enough tokens
    pub kld_error: Option<f64>,
    /// Perplexity
    pub perplexity: f64,
    /// Tokens whose most probable continuation is the reference's, 0..1
    pub same_top: f64,
    /// Tokens scored
    pub tokens: u64,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Of `Measure`: the cells
    Measured(Vec<BenchRow>),
    /// Of `Quality`: one for each candidate of its plan; `None` where nothing was scored
    Compared(Vec<Option<Loss>>),
    /// Of `CoolDown`
    Cooled,
    /// The engine refused, failed or died. Cancellation of the job is no failure: it says nothing about the design
    Failed(EngineError),
}

/// What is known of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// Samples by figure, one a block
    pub samples: BTreeMap<Metric, Vec<f64>>,
    /// What the machine did, one a cell of each block
    pub surroundings: Vec<Surroundings>,
    /// Quality loss, where it was measured
    pub loss: Option<Loss>,
    /// Why quality loss is not known although it was asked for
    pub no_loss: Option<EngineError>,
    /// Why it failed; it is not measured any more then
    pub failure: Option<EngineError>,
    /// When it was first measured, Unix time, milliseconds
    pub started_ms: i64,
    /// Seconds spent on it, preparations included
    pub seconds: f64,
    /// Of these, seconds that were measured
    pub measured_seconds: f64,
    /// How often it was measured
    pub blocks: usize,
    /// What it ran with
    pub effective: Effective,
}

impl Row {
    /// The middle sample of a figure. `None` when it was not measured.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        stats::median(self.samples.get(&metric)?)
    }
}
