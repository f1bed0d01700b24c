//! Two runs side by side: figure by figure, with what can be said of the difference.
//!
//! Repetitions of one group that share blocks were measured in turns and are compared in pairs ([`super::verdict`]). All others were
//! measured one run after the other, minutes or months apart, and are compared as independent samples: Welch's t (1947) on the logarithms,
//! `exp(mean(ln b) - mean(ln a) +- t(df) * sqrt(va / na + vb / nb))` with Welch and Satterthwaite's `df`, of which half of alpha is used as
//! in [`super::verdict`], because repetitions in a row remember each other. Such an interval holds what scatters inside the runs. What the
//! machine became meanwhile (warmer, busier, updated) is not in it and counts as a difference, and every sentence says so.

use std::collections::BTreeMap;

use super::stats::{self, Interval};
use super::verdict::{self, ALPHA, Verdict};
use crate::protocol::{Metric, Run};

/// No verdict with fewer repetitions on either side.
const MIN_REPETITIONS: usize = 3;

/// How two samples were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In pairs of one block, measured in turns
    Paired,
    /// As independent samples
    Unpaired,
    /// Not at all: one side has no such figure, or too few repetitions for an interval
    NotTested,
}

/// One figure of two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct FigureVersus {
    /// Which
    pub metric: Metric,
    /// Median of the first run
    pub a: Option<f64>,
    /// Median of the second run
    pub b: Option<f64>,
    /// The second over the first, centre of the interval where there is one, else ratio of the medians
    pub ratio: Option<f64>,
    /// Interval of that ratio, corrected for the number of figures compared
    pub interval: Option<Interval>,
    /// Whether the second is higher or lower; `None` where that was not tested
    pub verdict: Option<Verdict>,
    /// How it was tested
    pub how: How,
    /// All of that as a sentence
    pub reason: String,
}

impl FigureVersus {
    /// Whether the second is better (`true`) or worse, where they differ.
    pub fn is_better(&self) -> Option<bool> {
        match self.verdict? {
            Verdict::Higher => Some(self.metric.higher_is_better()),
            Verdict::Lower => Some(!self.metric.higher_is_better()),
            Verdict::NotDistinguishable => None,
        }
    }
}

/// The figures that either run has, the second against the first, in the order of [`Metric::ALL`].
pub fn figures(a: &Run, b: &Run) -> Vec<FigureVersus> {
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|m| a.samples.contains_key(m) || b.samples.contains_key(m)).collect();
    let tested = metrics.iter().filter(|metric| enough(a, b, **metric)).count();
    metrics.into_iter().map(|metric| figure(a, b, metric, tested)).collect()
}

fn samples(run: &Run, metric: Metric) -> &[f64] {
    run.samples.get(&metric).map_or(&[], Vec::as_slice)
}

fn enough(a: &Run, b: &Run, metric: Metric) -> bool {
    samples(a, metric).len() >= MIN_REPETITIONS && samples(b, metric).len() >= MIN_REPETITIONS
}

fn figure(a: &Run, b: &Run, metric: Metric, comparisons: usize) -> FigureVersus {
    let (of_a, of_b) = (a.figure(metric), b.figure(metric));
    let plain = of_a.zip(of_b).and_then(|(a, b)| (a > 0.0).then_some(b / a));
    let mut found =
        FigureVersus { metric, a: of_a, b: of_b, ratio: plain, interval: None, verdict: None, how: How::NotTested, reason: String::new() };
    if of_a.is_none() || of_b.is_none() {
        found.reason = "Measured in one of the two runs only".into();
        return found;
    }
    if !a.workload.is_same(&b.workload) {
        found.reason = "Not compared: the two runs were given different work".into();
        return found;
    }
    let (first, second) = pairs(a, b, metric).unwrap_or_default();
    if first.len() >= MIN_REPETITIONS
        && let Some(tested) = verdict::compare(&second, &first, comparisons, ALPHA)
    {
        found.how = How::Paired;
        (found.ratio, found.interval, found.verdict) = (Some(tested.ratio), Some(tested.interval), Some(tested.verdict));
        found.reason = format!("{}; measured in turns", tested.reason);
        return found;
    }
    let (one, two) = (samples(a, metric), samples(b, metric));
    if !enough(a, b, metric) {
        found.reason = if one.len() == 1 && two.len() == 1 {
            "One value each: the difference is as it is, and nothing says how much of it is chance".into()
        } else {
            format!("Not tested: {} and {} repetitions, and under {MIN_REPETITIONS} nothing can be said", one.len(), two.len())
        };
        return found;
    }
    if let Some((ratio, interval)) = welch(one, two, ALPHA / comparisons.max(1) as f64) {
        let verdict = match interval {
            Interval { low, .. } if low > 1.0 => Verdict::Higher,
            Interval { high, .. } if high < 1.0 => Verdict::Lower,
            _ => Verdict::NotDistinguishable,
        };
        found.how = How::Unpaired;
        (found.ratio, found.interval, found.verdict) = (Some(ratio), Some(interval), Some(verdict));
        found.reason = reason(ratio, &interval, verdict, (one.len(), two.len()));
    } else {
        found.reason = "Not tested: a value is zero or negative, and has no ratio".into();
    }
    found
}

/// The median of each block that both runs have, in the order of the blocks; `None` where they were not measured in turns.
fn pairs(a: &Run, b: &Run, metric: Metric) -> Option<(Vec<f64>, Vec<f64>)> {
    if a.group.is_empty() || a.group != b.group {
        return None;
    }
    let by_block = |run: &Run| {
        let values = samples(run, metric);
        let mut blocks: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        (values.len() == run.blocks.len()).then(|| {
            run.blocks.iter().zip(values).for_each(|(block, value)| blocks.entry(*block).or_default().push(*value));
            blocks
        })
    };
    let (a, b) = (by_block(a)?, by_block(b)?);
    Some(a.iter().filter_map(|(block, values)| Some((stats::median(values)?, stats::median(b.get(block)?)?))).unzip())
}

/// Ratio `b / a` of the geometric means and its interval at level `1 - alpha`; `None` under two values on a side or for values without a
/// logarithm.
fn welch(a: &[f64], b: &[f64], alpha: f64) -> Option<(f64, Interval)> {
    if !a.iter().chain(b).all(|value| *value > 0.0 && value.is_finite()) {
        return None;
    }
    let logs = |values: &[f64]| values.iter().map(|value| value.ln()).collect::<Vec<f64>>();
    let part = |logs: &[f64]| Some((stats::mean(logs)?, stats::stdev(logs)?.powi(2) / logs.len() as f64, (logs.len() - 1) as f64));
    let ((mean_a, error_a, df_a), (mean_b, error_b, df_b)) = (part(&logs(a))?, part(&logs(b))?);
    let error = error_a + error_b;
    let df = if error > 0.0 { error.powi(2) / (error_a.powi(2) / df_a + error_b.powi(2) / df_b) } else { df_a + df_b };
    let half = verdict::t_quantile(alpha * verdict::USED, (df.floor() as usize).max(1)) * error.sqrt();
    let centre = mean_b - mean_a;
    Some((centre.exp(), Interval { low: (centre - half).exp(), high: (centre + half).exp(), level: 1.0 - alpha }))
}

fn reason(ratio: f64, interval: &Interval, verdict: Verdict, n: (usize, usize)) -> String {
    let away = |ratio: f64| (ratio - 1.0).abs() * 100.0;
    let side = |ratio: f64| if ratio < 1.0 { "lower" } else { "higher" };
    let Interval { low, high, .. } = *interval;
    let found = match verdict {
        Verdict::Higher => format!("Higher by {:.1} %, between {:.1} % and {:.1} %", away(ratio), away(low), away(high)),
        Verdict::Lower => format!("Lower by {:.1} %, between {:.1} % and {:.1} %", away(ratio), away(high), away(low)),
        Verdict::NotDistinguishable => {
            format!("Not distinguishable: between {:.1} % {} and {:.1} % {}", away(low), side(low), away(high), side(high))
        }
    };
    format!("{found} ({} and {} repetitions, not measured in turns: what the machine did in between counts too)", n.0, n.1)
}

/// In words, how two environments differ, in the order of the record: `engine build b1 to b2`. What one of the two does not know is left
/// out.
pub fn environments(a: &Run, b: &Run) -> Vec<String> {
    let (a, b) = (&a.environment, &b.environment);
    let number = |n: u64| if n == 0 { String::new() } else { n.to_string() };
    let memory = |n: u64| if n == 0 { String::new() } else { super::format::bytes(n) };
    let load = |share: Option<f64>| share.map(|share| format!("{:.0} %", share * 100.0)).unwrap_or_default();
    let rows = [
        ("CPU", a.cpu.clone(), b.cpu.clone()),
        ("cores", number(a.cores.into()), number(b.cores.into())),
        ("processors", number(a.processors.into()), number(b.processors.into())),
        ("memory", memory(a.memory), memory(b.memory)),
        ("system", a.os.clone(), b.os.clone()),
        ("governor", a.governor.clone(), b.governor.clone()),
        ("engine", a.engine.clone(), b.engine.clone()),
        ("engine build", a.engine_build.clone(), b.engine_build.clone()),
        ("engine commit", a.engine_commit.clone(), b.engine_commit.clone()),
        ("CPU features", a.cpu_features.join(" "), b.cpu_features.join(" ")),
        ("program version", a.app.clone(), b.app.clone()),
        ("model", a.model.clone(), b.model.clone()),
        ("rung", a.quant.clone(), b.quant.clone()),
        ("model size", memory(a.model_size), memory(b.model_size)),
        ("model fingerprint", a.model_hash.clone(), b.model_hash.clone()),
        ("background load", load(a.background_load), load(b.background_load)),
    ];
    let differs = |(_, from, to): &(&str, String, String)| from != to && !from.is_empty() && !to.is_empty();
    rows.into_iter().filter(differs).map(|(name, from, to)| format!("{name} {from} to {to}")).collect()
}

#[cfg(test)]
mod tests;
