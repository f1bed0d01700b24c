//! A grid that was measured: 84 designs of the starter model, five times each, in a sweep that measures everything. A search is answered
//! from it, through the sweep that `inferscope sweep --search` runs.

use inferscope::measure::limit::MetricLimit;
use inferscope::measure::pareto::Bound;
use inferscope::measure::stats::median;
use inferscope::measure::sweep::{Found, Outcome, Row, Step, Sweep, SweepPlan};
use inferscope::protocol::{BenchPlan, BenchRow, BenchTest, MemoryUse, Metric, Surroundings};
use serde::Deserialize;

use super::replay::{self, Draws};

/// What a sweep measured.
#[derive(Deserialize)]
pub struct Recorded {
    /// Seconds of comparing one design with the reference, loads included
    quality_one: f64,
    /// Seconds of comparing all of them in one go
    quality_all: f64,
    plan: SweepPlan,
    rows: Vec<Row>,
}

impl Recorded {
    /// The grid in `tests/data`; the file says how it was made.
    pub fn read() -> Self {
        serde_json::from_str(include_str!("../data/grid.json")).unwrap()
    }

    fn value(&self, candidate: usize, metric: Metric) -> Option<f64> {
        match metric {
            Metric::FileSize => Some(self.plan.candidates[candidate].facts.file_size as f64),
            _ => median(self.rows[candidate].samples.get(&metric)?),
        }
    }

    fn keeps(&self, candidate: usize, limits: &[MetricLimit]) -> bool {
        limits.iter().all(|limit| match (self.value(candidate, limit.metric), limit.bound) {
            (Some(value), Bound::AtMost) => value <= limit.value,
            (Some(value), Bound::AtLeast) => value >= limit.value,
            (None, _) => false,
        })
    }

    /// The design that measuring everything names, with its figure.
    pub fn best(&self, goal: Metric, limits: &[MetricLimit]) -> (usize, f64) {
        let fit = (0..self.rows.len()).filter(|at| self.keeps(*at, limits));
        let mut known: Vec<(usize, f64)> = fit.map(|at| (at, self.value(at, goal).unwrap())).collect();
        known.sort_by(|a, b| a.1.total_cmp(&b.1));
        let best = if goal.higher_is_better() { known.last() } else { known.first() };
        *best.expect("some design keeps to the limits")
    }

    /// Seconds that measuring everything took: what it measured, and each design loaded and warmed up once, which is less than a sweep in
    /// blocks takes. Designs that a known file size rules out are not counted.
    pub fn exhaustive(&self, limits: &[MetricLimit]) -> f64 {
        let sized: Vec<MetricLimit> = limits.iter().filter(|limit| limit.metric == Metric::FileSize).copied().collect();
        let all = (0..self.rows.len()).filter(|at| self.keeps(*at, &sized)).map(|at| &self.rows[at]);
        let speed: f64 = all.map(|row| row.measured_seconds + overhead(row)).sum();
        let judged = limits.iter().any(|limit| limit.metric.is_quality());
        speed + if judged { self.quality_all } else { 0.0 }
    }

    /// Searches to the end; every repetition is one of the five that were measured, each used once before any is used again.
    pub fn search(&self, goal: Metric, limits: &[MetricLimit], seed: u64) -> replay::Outcome {
        let judged = limits.iter().any(|limit| limit.metric.is_quality());
        let quality = self.plan.quality.clone().filter(|_| judged);
        let plan = SweepPlan { search: true, goal, limits: limits.to_vec(), seed, quality, ..self.plan.clone() };
        let mut sweep = Sweep::new(plan).unwrap();
        let mut draws = Draws(seed ^ 0xDECC);
        let mut decks: Vec<Vec<usize>> = vec![Vec::new(); self.rows.len()];
        let mut spent = 0.0;
        loop {
            let (outcome, seconds) = match sweep.next() {
                Step::Done(_) => break,
                Step::CoolDown { seconds, .. } => (Outcome::Cooled, seconds),
                Step::Quality { candidates, .. } => {
                    let losses = candidates.iter().map(|at| self.rows[*at].loss).collect();
                    (Outcome::Compared(losses), self.quality_one * candidates.len() as f64)
                }
                Step::Measure { candidate, plan, .. } => {
                    let (cells, measured) = self.cells(candidate, &plan, &mut decks[candidate], &mut draws);
                    (Outcome::Measured(cells), measured + overhead(&self.rows[candidate]))
                }
            };
            spent += seconds;
            sweep.begin();
            sweep.record(outcome, seconds, 1);
        }
        let Found { best, is_confirmed, tried, .. } = sweep.found().unwrap().clone();
        let (_, most) = self.best(goal, limits);
        let regret = best
            .filter(|at| self.keeps(*at, limits))
            .and_then(|at| self.value(at, goal))
            .map_or(9.0, |value| if goal.higher_is_better() { 1.0 - value / most } else { value / most - 1.0 });
        replay::Outcome { regret, time: spent / self.exhaustive(limits), confirmed: is_confirmed, tried }
    }

    /// Rows of a benchmark as the engine would have given them, and the seconds that it measured.
    fn cells(&self, candidate: usize, plan: &BenchPlan, deck: &mut Vec<usize>, draws: &mut Draws) -> (Vec<BenchRow>, f64) {
        let row = &self.rows[candidate];
        let mut cells: Vec<BenchRow> = plan.tests.iter().map(|test| BenchRow { test: *test, ..BenchRow::default() }).collect();
        let mut measured = 0.0;
        for _ in 0..plan.repetitions {
            if deck.is_empty() {
                *deck = (0..row.blocks).collect();
                draws.shuffle(deck);
            }
            let at = deck.pop().unwrap();
            for cell in &mut cells {
                measured += repetition(row, cell, at);
            }
        }
        let peak = row.samples[&Metric::PeakMemory][0] as u64;
        for cell in &mut cells {
            cell.memory = MemoryUse { weights: peak, ..MemoryUse::default() };
        }
        (cells, measured)
    }
}

/// Seconds of loading and warming up before one visit.
fn overhead(row: &Row) -> f64 {
    (row.seconds - row.measured_seconds) / row.blocks as f64
}

/// Adds the repetition with this number to a cell; its seconds.
fn repetition(row: &Row, cell: &mut BenchRow, at: usize) -> f64 {
    let sample = |metric: Metric| row.samples[&metric][at];
    let ns = |ms: f64| (ms * 1e6) as u64;
    let BenchTest { n_prompt, n_gen, .. } = cell.test;
    let seconds = if n_gen == 0 {
        cell.ttft_ns.push(ns(sample(Metric::TtftMs)));
        f64::from(n_prompt) / sample(Metric::PrefillTps)
    } else {
        cell.gaps_ns.push(vec![ns(sample(Metric::ItlP95Ms)); n_gen as usize]);
        f64::from(n_gen) / sample(Metric::DecodeTps)
    };
    cell.samples_ns.push(ns(seconds * 1e3));
    cell.surroundings.push(Surroundings::default());
    seconds
}
