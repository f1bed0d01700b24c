//! A measurement of the window's own: a run made again, or the canary after an update.

use crate::protocol::{BenchRow, BenchTest, Design, JobId, RunId};

/// Why something is measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Purpose {
    /// To see whether a run comes out the same
    Repeat(RunId),
    /// To see what an update changed, in words: from what to what
    Canary(String, String),
}

/// A measurement that runs, in an engine of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Measuring {
    /// Its job
    pub job: JobId,
    /// Why
    pub purpose: Purpose,
    /// What is measured
    pub design: Design,
    /// The cells
    pub tests: Vec<BenchTest>,
    /// The work of the one run that they make together, as in a sweep, and what is measured of it; else each cell is a run
    pub joined: Option<(BenchTest, Vec<BenchRow>)>,
    /// Repetitions done, of how many
    pub done: (u64, u64),
    /// Since when, seconds
    pub since: f64,
    /// Stop was pressed
    pub stopping: bool,
}

/// What came of a measurement, until it is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Why it was made
    pub purpose: Option<Purpose>,
    /// Saves that are under way
    pub saving: Vec<u64>,
    /// Runs that are on the disk
    pub kept: Vec<RunId>,
    /// Each with the run it is compared with
    pub pairs: Vec<(RunId, Option<RunId>)>,
    /// Whether the measurement has ended
    pub ended: bool,
}
