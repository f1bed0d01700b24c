//! What the board found, in words.

use super::super::pareto::{Bound, Standing};
use super::super::verdict::Verdict;
use super::super::{format, plan};
use super::{Board, Row};
use crate::protocol::{BenchTest, Metric, RunTrust};

/// What a figure is called inside a sentence and in a limit.
pub(in crate::measure) fn short_name(metric: Metric) -> &'static str {
    match metric {
        Metric::DecodeTps => "decode",
        Metric::PrefillTps => "prefill",
        Metric::BothTps => "prefill and decode",
        Metric::TtftMs => "TTFT",
        Metric::ItlP95Ms => "ITL p95",
        Metric::PeakMemory => "memory",
        Metric::FileSize => "file size",
        Metric::Kld => "KLD",
        Metric::Perplexity => "perplexity",
        Metric::SameTop => "same top token",
        Metric::EnergyPerToken => "energy",
        Metric::CostPerMillion => "cost",
    }
}

/// A limit's value as it was typed: no digit that was given is rounded away.
pub(in crate::measure) fn exact(metric: Metric, value: f64) -> String {
    let plain = |value: f64| {
        let text = format!("{value:.4}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match metric {
        Metric::PeakMemory | Metric::FileSize if value >= 1e9 => format!("{} GB", plain(value / 1e9)),
        Metric::PeakMemory | Metric::FileSize => format!("{} MB", plain(value / 1e6)),
        Metric::SameTop => format!("{} %", plain(value * 100.0)),
        Metric::Kld | Metric::Perplexity => plain(value),
        Metric::TtftMs | Metric::ItlP95Ms => format!("{} ms", plain(value)),
        _ => format!("{} {}", plain(value), format::metric_unit(metric)),
    }
}

impl Board {
    /// Why a row stands where it does, as a sentence.
    pub fn reason(&self, row: &Row) -> String {
        if let Some(failure) = &row.failure
            && !row.is_candidate()
        {
            return format!("Failed: {}", failure.message);
        }
        match &row.standing {
            Standing::Front => "On the front: nothing else is better in one without being worse in the other".into(),
            Standing::Dominated { by } => {
                let by = self.rows.get(*by).map(|row| row.label.text()).unwrap_or_default();
                format!("Dominated: {by} is at least as good in {} and {}", short_name(self.question.x), short_name(self.question.y))
            }
            Standing::Infeasible { reasons } => {
                let breach = |breach: &super::super::pareto::Breach| {
                    let metric = Metric::ALL.get(breach.limit.axis).copied().unwrap_or(Metric::DecodeTps);
                    let side = if breach.limit.bound == Bound::AtMost { "over" } else { "under" };
                    let (value, limit) = (format::metric(metric, breach.value), exact(metric, breach.limit.value));
                    format!("{} {value} is {side} the limit of {limit}", short_name(metric))
                };
                let all: Vec<String> = reasons.iter().map(breach).collect();
                capitalised(&all.join(", and "))
            }
            Standing::Unmeasured { axis } => {
                let metric = Metric::ALL.get(*axis).copied().unwrap_or(Metric::DecodeTps);
                format!("{} was not measured", capitalised(short_name(metric)))
            }
        }
    }

    /// What a row is, in lines: its name, both figures of the board, why it stands there, and what is to be known of its trust.
    pub fn hover(&self, row: &Row) -> String {
        let mut lines = vec![row.label.text()];
        for metric in [self.question.x, self.question.y] {
            lines.push(self.figure_words(row, metric));
        }
        lines.push(self.reason(row));
        if row.trust != RunTrust::Trusted {
            let why = if row.reasons.is_empty() { String::new() } else { format!(": {}", row.reasons.join(", ").to_lowercase()) };
            lines.push(format!("{}{why}", capitalised(row.trust.word())));
        }
        lines.join("\n")
    }

    /// `Decode 149.1 t/s, 146.0 to 152.2 (95 %)`.
    pub fn figure_words(&self, row: &Row, metric: Metric) -> String {
        let name = metric.name();
        let Some(figure) = row.figures.get(&metric) else { return format!("{name} not measured") };
        let value = format::metric(metric, figure.value);
        match figure.interval {
            Some(interval) if interval.low.is_finite() && interval.high.is_finite() => {
                let (low, high) = (format::metric_number(metric, interval.low), format::metric_number(metric, interval.high));
                format!("{name} {value}, {low} to {high} ({} %)", (interval.level * 100.0).round())
            }
            _ => format!("{name} {value}"),
        }
    }

    /// What its cell is called: `tg128`; empty where a figure has none.
    pub fn cell_name(&self, metric: Metric) -> String {
        let cell = self.cells.get(&metric).filter(|cell| **cell != (0, 0));
        cell.map_or_else(String::new, |(n_prompt, n_gen)| plan::cell_name(&BenchTest { n_prompt: *n_prompt, n_gen: *n_gen, n_depth: 0 }))
    }

    /// How the best compares with the design in use: `1.37x the current Q4_1 in decode`. `None` when there is no best, or it is the
    /// one in use.
    pub fn against_current(&self) -> Option<String> {
        let answer = self.answer.as_ref()?;
        let current = self.rows.get(self.current.filter(|current| *current != answer.best)?)?;
        let name = current.label.text();
        let goal = short_name(self.question.goal);
        match &answer.against_current {
            Some(comparison) if comparison.verdict == Verdict::NotDistinguishable => {
                Some(format!("Not distinguishable from the current {name} in {goal}"))
            }
            Some(comparison) => {
                let (low, high) = (comparison.interval.low, comparison.interval.high);
                Some(format!("{:.2}x the current {name} in {goal}, {low:.2} to {high:.2}", comparison.ratio))
            }
            None => Some(format!("The current {name} was not measured side by side with it")),
        }
    }

    /// What cannot be told from the best, as sentences.
    pub fn same_as_best(&self) -> Vec<String> {
        let Some(answer) = &self.answer else { return Vec::new() };
        let goal = short_name(self.question.goal);
        let name = |row: usize| self.rows.get(row).map(|row| row.label.text()).unwrap_or_default();
        let mut words: Vec<String> = answer
            .same
            .iter()
            .map(|(row, comparison)| {
                let change = |ratio: f64| format::signed_percent(1.0 / ratio - 1.0);
                let (low, high) = (comparison.interval.low, comparison.interval.high);
                if low > 0.0 && high.is_finite() {
                    format!("{} is not distinguishable in {goal} ({} to {})", name(*row), change(high), change(low))
                } else {
                    format!("{} cannot be told apart in {goal}: too few repetitions", name(*row))
                }
            })
            .collect();
        match answer.unpaired.as_slice() {
            [] => {}
            [one] => words.push(format!("{} was not measured side by side with it", name(*one))),
            several => words.push(format!("{} others were not measured side by side with it", several.len())),
        }
        words
    }

    /// Why there is no best, as a sentence; `None` when there is one or nothing was measured.
    pub fn why_no_best(&self) -> Option<String> {
        if self.answer.is_some() || self.rows.is_empty() {
            return None;
        }
        let missing: Vec<Metric> = self.question.limits.iter().map(|limit| limit.metric).chain([self.question.goal]).collect();
        if let Some(metric) = missing.into_iter().find(|metric| !self.measured.contains(metric)) {
            if metric == Metric::CostPerMillion {
                return Some("Cost needs the price of an hour of this machine: set it in Settings".into());
            }
            return Some(format!("{} was not measured for any design", capitalised(short_name(metric))));
        }
        let failed = self.rows.iter().filter(|row| row.failure.is_some()).count();
        if failed == self.rows.len() {
            return Some("Every design failed".into());
        }
        Some("No design keeps to every limit".into())
    }
}

fn capitalised(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
