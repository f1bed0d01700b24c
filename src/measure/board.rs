//! The board: which of the designs that were measured is best here, which are worth choosing, and why the others are not.
//!
//! [`Board::new`] joins the runs of each design (`board/join.rs`), judges them by `pareto`, picks the best by `verdict`, and names them by
//! what differs (`board/labels.rs`). What it found is said in words by `board/words.rs`.

mod join;
mod labels;
pub(super) mod words;

use std::collections::BTreeMap;

use super::limit::{MetricLimit, axis};
use super::pareto::{self, Bound, Limit, Standing};
use super::stats::Interval;
use super::verdict::{self, Comparison, Verdict};
use crate::protocol::{Design, EngineError, Environment, Metric, Run, RunTrust};

pub use labels::{Label, Named, labels};

/// Samples of one figure that were measured in one go: the sweep, comparison or run by itself they belong to.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Name of the group; empty for a run by itself, which was measured beside nothing
    pub group: String,
    /// In the order they were measured
    pub samples: Vec<f64>,
    /// In which block of the group each was measured; empty where that is not known
    pub places: Vec<u32>,
}

/// One figure of one design.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Median of the newest samples (of peak memory the largest), in the unit of the metric
    pub value: f64,
    /// Where its middle lies with 95 % confidence; `None` under three samples, and for what is not a sample of anything
    pub interval: Option<Interval>,
    /// All there is, newest first; never empty
    pub blocks: Vec<Block>,
}

impl Figure {
    /// The newest samples, in the order they were measured.
    pub fn samples(&self) -> &[f64] {
        self.blocks.first().map_or(&[], |block| &block.samples)
    }
}

/// What part of the machine's limits a design reaches, as its newest run has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RooflineShare {
    /// Decoding, of what the memory bandwidth allows for the bytes it reads; 1 is all of it
    pub decode: Option<f64>,
    /// Prefill, of what the arithmetic rate allows for its multiplications
    pub prefill: Option<f64>,
    /// The bandwidth that was measured, 10^9 bytes per second
    pub bandwidth_gb_s: Option<f64>,
    /// The arithmetic rate that was measured, 10^9 operations per second
    pub ops_gflops: Option<f64>,
}

impl RooflineShare {
    /// From what a run keeps under `roofline`.
    fn read(value: &serde_json::Value) -> Self {
        let part = |name: &str| value.get(name).and_then(serde_json::Value::as_f64);
        Self { decode: part("decode"), prefill: part("prefill"), bandwidth_gb_s: part("bandwidth_gb_s"), ops_gflops: part("ops_gflops") }
    }
}

/// One design at one depth on one machine, with all that was measured of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Names the row as long as the program runs, whatever else is on the board
    pub key: u64,
    /// The design
    pub design: Design,
    /// Tokens in the cache before each measurement
    pub depth: u32,
    /// What it ran on, as of the newest run
    pub environment: Environment,
    /// The runs it is made of, as indices of what the board was made from, oldest first
    pub runs: Vec<usize>,
    /// What was measured
    pub figures: BTreeMap<Metric, Figure>,
    /// Whether its figures can carry a decision: as the least trusted run among the newest
    pub trust: RunTrust,
    /// Why not, as sentences
    pub reasons: Vec<String>,
    /// The newest measurement failed
    pub failure: Option<EngineError>,
    /// What part of the machine's limits it reaches
    pub roofline: RooflineShare,
    /// What it is called among the others
    pub label: Label,
    /// Where it stands
    pub standing: Standing,
}

impl Row {
    /// The median of a figure.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        self.figures.get(&metric).map(|figure| figure.value)
    }

    /// Whether it keeps to every limit and has every figure that is asked for.
    pub fn is_candidate(&self) -> bool {
        matches!(self.standing, Standing::Front | Standing::Dominated { .. })
    }
}

/// What is asked of the board.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Along the bottom
    pub x: Metric,
    /// Up the side
    pub y: Metric,
    /// By what the best is chosen
    pub goal: Metric,
    /// What a design must keep to
    pub limits: Vec<MetricLimit>,
}

impl Default for Question {
    fn default() -> Self {
        Self { x: Metric::DecodeTps, y: Metric::PeakMemory, goal: Metric::DecodeTps, limits: Vec::new() }
    }
}

/// The best design under the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its row
    pub best: usize,
    /// Those that cannot be told from it by the goal, best first
    pub same: Vec<(usize, Comparison)>,
    /// Candidates that were not measured side by side with it, so that nothing can be said of the difference, best first
    pub unpaired: Vec<usize>,
    /// Against the design in use, where that was measured beside it: best over current
    pub against_current: Option<Comparison>,
}

/// Designs, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// What was asked
    pub question: Question,
    /// The designs, in the order they were first measured
    pub rows: Vec<Row>,
    /// Rows of the front from left to right
    pub front: Vec<usize>,
    /// The best, when any design can be chosen
    pub answer: Option<Answer>,
    /// The row of the design in use
    pub current: Option<usize>,
    /// The figures that any design has, in the order of a table
    pub measured: Vec<Metric>,
    /// Which cell (prompt and generated tokens) a figure is taken from where runs have several
    pub cells: BTreeMap<Metric, (u32, u32)>,
}

impl Board {
    /// The board of these runs; `current` is the design in use, in every way it may be written down (with its threads left to the engine,
    /// and named).
    pub fn new(runs: &[Run], question: Question, current: &[Design]) -> Self {
        let (mut rows, cells) = join::rows(runs);
        for (row, label) in labels::of_rows(&rows).into_iter().enumerate() {
            if let Some(row) = rows.get_mut(row) {
                row.label = label;
            }
        }
        let points: Vec<Vec<Option<f64>>> =
            rows.iter().map(|row| Metric::ALL.into_iter().map(|metric| row.value(metric)).collect()).collect();
        let limits: Vec<Limit> = question.limits.iter().map(MetricLimit::on_points).collect();
        let axes = [axis(question.x), axis(question.y)];
        let standings = pareto::judge(&points, &axes, &limits);
        let front = pareto::front_line(&points, axes, &standings);
        for (row, standing) in rows.iter_mut().zip(standings) {
            row.standing = standing;
        }
        let current = current.iter().find_map(|design| {
            let key = join::speed_key(design);
            let here = |row: &&Row| join::speed_key(&row.design) == key;
            // of two files that lay at one place the later is there now
            let latest = |row: &Row| row.runs.iter().filter_map(|run| runs.get(*run)).map(|run| run.started_ms).max();
            let row = rows.iter().filter(here).min_by_key(|row| (row.depth, std::cmp::Reverse(latest(row))))?;
            rows.iter().position(|other| other.key == row.key)
        });
        let has = |metric: &Metric| rows.iter().any(|row: &Row| row.figures.contains_key(metric));
        let measured = Metric::ALL.into_iter().filter(has).collect();
        let mut board = Self { question, rows, front, answer: None, current, measured, cells };
        board.answer = board.find_best(&points, &limits);
        board
    }

    fn find_best(&self, points: &[Vec<Option<f64>>], limits: &[Limit]) -> Option<Answer> {
        let goal = self.question.goal;
        let ranked = pareto::ranked(points, axis(goal), limits);
        let (&best, rest) = ranked.split_first()?;
        let comparisons = verdict::all_pairs(ranked.len());
        let (mut same, mut unpaired) = (Vec::new(), Vec::new());
        for &other in rest {
            match self.compare(best, other, goal, comparisons) {
                Some(comparison) if comparison.verdict == Verdict::NotDistinguishable => same.push((other, comparison)),
                Some(_) => {}
                None => unpaired.push(other),
            }
        }
        let against_current = self.current.filter(|current| *current != best).and_then(|current| {
            // the design in use may break a limit, and is one more to compare with then
            let more = usize::from(!ranked.contains(&current));
            self.compare(best, current, goal, verdict::all_pairs(ranked.len() + more))
        });
        Some(Answer { best, same, unpaired, against_current })
    }

    /// The first row against the second by one figure, as one of `comparisons`; `None` when they were not measured side by side.
    pub fn compare(&self, a: usize, b: usize, metric: Metric, comparisons: usize) -> Option<Comparison> {
        let (a, b) = (self.rows.get(a)?, self.rows.get(b)?);
        let (left, right) = pairs(a.figures.get(&metric)?, b.figures.get(&metric)?)?;
        verdict::compare(&left, &right, comparisons, verdict::ALPHA)
    }

    /// The row with this key.
    pub fn row_of(&self, key: u64) -> Option<usize> {
        self.rows.iter().position(|row| row.key == key)
    }

    /// The limit on a figure, if there is one: the tightest.
    pub fn limit_on(&self, metric: Metric) -> Option<&MetricLimit> {
        let of = self.question.limits.iter().filter(|limit| limit.metric == metric);
        of.min_by(|a, b| if a.bound == Bound::AtMost { a.value.total_cmp(&b.value) } else { b.value.total_cmp(&a.value) })
    }
}

/// Samples of both that were measured in the same blocks of the same group, from the newest group that both have.
fn pairs(a: &Figure, b: &Figure) -> Option<(Vec<f64>, Vec<f64>)> {
    let shared = |block: &&Block| !block.group.is_empty() && b.blocks.iter().any(|other| other.group == block.group);
    let left = a.blocks.iter().find(shared)?;
    let right = b.blocks.iter().find(|block| block.group == left.group)?;
    if left.places.len() != left.samples.len() || right.places.len() != right.samples.len() {
        // without the numbers of the blocks they go by their order
        let pairs = left.samples.len().min(right.samples.len());
        return Some((left.samples.get(..pairs)?.to_vec(), right.samples.get(..pairs)?.to_vec()));
    }
    let of_right: BTreeMap<u32, f64> = right.places.iter().copied().zip(right.samples.iter().copied()).collect();
    let both = left.places.iter().zip(&left.samples).filter_map(|(place, sample)| Some((*sample, *of_right.get(place)?)));
    Some(both.unzip())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
