//! What a sweep found: a run for each candidate, the front, what breaks a limit and why, and the best with those that cannot be told from it.

use std::collections::BTreeMap;

use serde_json::json;

use super::machine::Sweep;
use super::plan::Candidate;
use super::seek::Found;
use super::step::{End, Row};
use crate::measure::limit::{axis, index};
use crate::measure::pareto::{self, Bound, Standing};
use crate::measure::verdict::{self, Verdict};
use crate::measure::{MetricLimit, Roofline, format, roofline};
use crate::protocol::{BenchTest, Environment, Metric, Run, Workload};

/// A candidate that cannot be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Infeasible {
    /// Which candidate
    pub index: usize,
    /// The limits it breaks, or why it failed, as a sentence
    pub why: String,
}

/// The best candidate for the goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestFound {
    /// Which candidate
    pub index: usize,
    /// What it rests on, as a sentence
    pub why: String,
    /// Those that cannot be told from it, best first
    pub ties: Vec<usize>,
}

/// What a sweep found.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepResult {
    /// One a candidate, in the plan's order; with number 0 until they are kept
    pub runs: Vec<Run>,
    /// Where each stands
    pub standings: Vec<Standing>,
    /// Candidates that nothing beats, in the plan's order
    pub front: Vec<usize>,
    /// Candidates that cannot be chosen
    pub infeasible: Vec<Infeasible>,
    /// The best, when any can be chosen
    pub best: Option<BestFound>,
    /// That a search ended before all was settled, as a sentence
    pub unsettled: Option<String>,
}

impl Sweep {
    /// What is known now. Can be asked at any time; while the sweep runs it says what holds so far.
    pub fn result(&self) -> SweepResult {
        let plan = self.plan();
        let points: Vec<Vec<Option<f64>>> = self.rows().iter().map(point).collect();
        let limits: Vec<pareto::Limit> = plan.limits.iter().map(MetricLimit::on_points).collect();
        let axes: Vec<pareto::Axis> = plan.axes().into_iter().map(axis).collect();
        let standings = pareto::judge(&points, &axes, &limits);
        let front = (0..standings.len()).filter(|i| standings.get(*i) == Some(&Standing::Front)).collect();
        let barred = |(index, standing): (usize, &Standing)| Some(Infeasible { index, why: self.barred(index, standing)? });
        let mut infeasible: Vec<Infeasible> = standings.iter().enumerate().filter_map(barred).collect();
        for other in self.found().iter().flat_map(|found| &found.others).filter(|other| other.is_barred) {
            if infeasible.iter().all(|known| known.index != other.index) {
                infeasible.push(Infeasible { index: other.index, why: other.why.clone() });
            }
        }
        infeasible.sort_by_key(|barred| barred.index);
        SweepResult {
            runs: (0..plan.candidates.len()).filter_map(|index| self.run(index)).collect(),
            infeasible,
            best: self.found().map_or_else(|| self.best(&points, &limits), |found| self.found_best(found)),
            standings,
            front,
            unsettled: self.found().and_then(Found::unsettled),
        }
    }

    /// Why a candidate cannot be chosen; `None` when it can, or when it was not measured yet.
    fn barred(&self, index: usize, standing: &Standing) -> Option<String> {
        if let Some(failure) = self.rows().get(index).and_then(|row| row.failure.as_ref()) {
            return Some(failure.to_string());
        }
        let Standing::Infeasible { reasons } = standing else { return None };
        let words = |breach: &pareto::Breach| {
            let metric = Metric::ALL.get(breach.limit.axis).copied()?;
            let side = if breach.limit.bound == Bound::AtLeast { "under" } else { "over" };
            Some(format!(
                "{} {} is {side} the limit of {}",
                metric.name(),
                format::metric(metric, breach.value),
                format::metric(metric, breach.limit.value)
            ))
        };
        let all: Vec<String> = reasons.iter().filter_map(words).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn best(&self, points: &[Vec<Option<f64>>], limits: &[pareto::Limit]) -> Option<BestFound> {
        let goal = self.plan().goal;
        let choices = pareto::ranked(points, axis(goal), limits).len();
        let samples = |index: usize| self.rows().get(index).and_then(|row| row.samples.get(&goal)).map_or(&[][..], Vec::as_slice);
        let mut pairs = 0;
        let mut same = |a: usize, b: usize| {
            let (a, b) = (samples(a), samples(b));
            // a sweep that was stopped has measured some once more than others
            let blocks = a.len().min(b.len());
            let (a, b) = (a.get(..blocks).unwrap_or_default(), b.get(..blocks).unwrap_or_default());
            pairs = blocks;
            verdict::compare(a, b, verdict::all_pairs(choices), verdict::ALPHA).is_none_or(|c| c.verdict == Verdict::NotDistinguishable)
        };
        let best = pareto::best(points, axis(goal), limits, &mut same)?;
        let value = format::metric(goal, points.get(best.index)?.get(index(goal)).copied().flatten()?);
        let most = if goal.higher_is_better() { "Highest" } else { "Lowest" };
        let among = if choices == 1 {
            "the only design that can be chosen".to_owned()
        } else {
            let s = if best.runners_up.len() == 1 { "" } else { "s" };
            let told = match best.runners_up.len() {
                0 => format!("different from all {} others", choices - 1),
                n if n == choices - 1 => format!("not distinguishable from the {n} other{s}"),
                n => format!("not distinguishable from {n} other{s}, different from the rest"),
            };
            format!("{told} ({pairs} pairs, corrected for {} comparisons)", verdict::all_pairs(choices))
        };
        let within = if limits.is_empty() { "" } else { " within the limits" };
        let why = format!("{most} {}{within}: {value}, {among}", lower(goal.name()));
        Some(BestFound { index: best.index, why, ties: best.runners_up })
    }

    /// The best of a search, with what finding it took.
    fn found_best(&self, found: &Found) -> Option<BestFound> {
        let (index, goal) = (found.best?, self.plan().goal);
        let value = format::metric(goal, self.rows().get(index)?.figure(goal)?);
        let most = if goal.higher_is_better() { "Highest" } else { "Lowest" };
        let within = if self.plan().limits.is_empty() { "" } else { " within the limits" };
        let (tried, all) = (found.tried, self.plan().candidates.len());
        let compared = if found.is_confirmed { "compared with the next best in paired blocks" } else { "not compared in paired blocks" };
        let (spent, whole) = (format::seconds(found.spent), format::seconds(found.exhaustive));
        let why = format!(
            "{most} {}{within}: {value}, {compared}; {tried} of {all} designs were measured in {spent}, all of them would take about {whole} \
             (estimate)",
            lower(goal.name()),
        );
        Some(BestFound { index, why, ties: found.ties.iter().map(|(tie, _)| *tie).collect() })
    }

    /// A candidate as a run, as far as it was measured.
    fn run(&self, index: usize) -> Option<Run> {
        let (plan, candidate, row) = (self.plan(), self.plan().candidates.get(index)?, self.rows().get(index)?);
        let (trust, mut reasons) = self.trust(index);
        if row.blocks == 0 && row.failure.is_none() {
            let because = match self.ended() {
                None => "Not measured yet",
                Some(End::Budget) => "Not measured: the time was used up",
                Some(_) => "Not measured: the sweep was ended before",
            };
            let searched = self.found().and_then(|found| found.others.iter().find(|other| other.index == index));
            reasons = vec![searched.map_or_else(|| because.into(), |other| other.why.clone())];
        }
        if let Some(error) = &row.no_loss {
            reasons.push(format!("Quality loss was not measured: {error}"));
        }
        let background: Vec<f64> = row.surroundings.iter().filter_map(|s| s.background).collect();
        let facts = &candidate.facts;
        let test = BenchTest { n_prompt: plan.n_prompt, n_gen: plan.n_gen, n_depth: candidate.depth };
        Some(Run {
            id: self.kept(index).unwrap_or_default(),
            title: candidate.label.clone(),
            group: plan.name.clone(),
            seconds: row.seconds,
            environment: Environment {
                model: facts.model.clone(),
                quant: facts.quant.clone(),
                model_size: facts.file_size,
                model_hash: facts.model_hash.clone(),
                background_load: crate::measure::stats::mean(&background),
                ..plan.environment.clone()
            },
            samples: row.samples.clone(),
            // every block holds each design once; a search compares otherwise, and says so itself
            blocks: if plan.search { Vec::new() } else { (0..u32::try_from(row.blocks).unwrap_or(u32::MAX)).collect() },
            trust,
            reasons,
            failure: row.failure.clone(),
            extra: self.extra(candidate, row),
            ..Run::new(candidate.design.clone(), Workload::Bench { test }, row.started_ms)
        })
    }

    /// What only a run of a sweep has: which part of the machine's limits it reached, what it was measured with, how sure the quality loss is.
    fn extra(&self, candidate: &Candidate, row: &Row) -> BTreeMap<String, serde_json::Value> {
        let mut extra = BTreeMap::new();
        let roof = self.roofline(candidate, row);
        if roof != RooflineShare::default() {
            extra.insert(
                "roofline".into(),
                json!({
                    "decode": roof.decode, "prefill": roof.prefill,
                    "bandwidth_gb_s": self.plan().environment.bandwidth_gb_s, "ops_gflops": self.plan().ops_gflops,
                }),
            );
        }
        if let Some(loss) = row.loss {
            extra.insert("kld_error".into(), json!(loss.kld_error));
            extra.insert("kld_tokens".into(), json!(loss.tokens));
        }
        if let Some(price) = self.plan().price_per_hour {
            extra.insert("price_per_hour".into(), json!(price));
        }
        if row.blocks > 0 {
            extra.insert("overhead_seconds".into(), json!(row.seconds - row.measured_seconds));
        }
        extra
    }

    /// What part of the machine's limits a candidate reached: decoding of what the bandwidth allows for the bytes it reads, prefill of what
    /// the arithmetic rate allows for its multiplications. Each is `None` until both are known.
    fn roofline(&self, candidate: &Candidate, row: &Row) -> RooflineShare {
        let (plan, facts) = (self.plan(), &candidate.facts);
        let context = roofline::mean_context(candidate.depth, 0, plan.n_gen);
        let decode = plan.environment.bandwidth_gb_s.zip(row.figure(Metric::DecodeTps)).and_then(|(bandwidth_gb_s, tps)| {
            Roofline { bandwidth_gb_s, weights: facts.weights_read, kv_per_token: facts.kv_read as f64 }.fraction(tps, context)
        });
        let prefill = plan
            .ops_gflops
            .zip(row.figure(Metric::PrefillTps))
            .and_then(|(gflops, tps)| roofline::prefill_fraction(gflops, facts.ops_per_token, tps));
        RooflineShare { decode, prefill }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct RooflineShare {
    decode: Option<f64>,
    prefill: Option<f64>,
}

/// The figures of a row by their place in [`Metric::ALL`]; nothing of one that failed, which can neither be chosen nor beat another.
fn point(row: &Row) -> Vec<Option<f64>> {
    Metric::ALL.iter().map(|metric| row.figure(*metric).filter(|_| row.failure.is_none())).collect()
}

/// `Decode` inside a sentence; abbreviations stay as they are.
fn lower(name: &str) -> String {
    let is_abbreviation = name.chars().nth(1).is_some_and(char::is_uppercase);
    let mut chars = name.chars();
    match chars.next() {
        Some(first) if !is_abbreviation => first.to_lowercase().chain(chars).collect(),
        _ => name.to_owned(),
    }
}
