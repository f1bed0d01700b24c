//! The figures of one measurement.

use std::collections::BTreeMap;

use crate::measure::stats;
use crate::protocol::{BenchRow, Metric};

/// What the cells of one candidate say, one sample a repetition: tokens per second as llama-bench reckons them, TTFT and the 95th percentile of
/// the gaps between tokens in milliseconds, where the packages' energy was read joules a generated token; and once for all: weights, cache and compute buffers together (the largest of the cells), bytes on
/// disk.
///
/// A repetition that took no time says nothing.
pub fn of(cells: &[BenchRow], file_size: u64) -> BTreeMap<Metric, Vec<f64>> {
    let mut figures: BTreeMap<Metric, Vec<f64>> = BTreeMap::new();
    let mut say = |metric: Metric, value: f64| {
        if value.is_finite() && value > 0.0 {
            figures.entry(metric).or_default().push(value);
        }
    };
    let ms = |ns: u64| ns as f64 / 1e6;
    for cell in cells {
        let tokens = f64::from(cell.test.n_prompt) + f64::from(cell.test.n_gen);
        let metric = match (cell.test.n_prompt, cell.test.n_gen) {
            (_, 0) => Metric::PrefillTps,
            (0, _) => Metric::DecodeTps,
            _ => Metric::BothTps,
        };
        cell.samples_ns.iter().for_each(|ns| say(metric, tokens * 1e9 / *ns as f64));
        if metric == Metric::DecodeTps {
            let joules = cell.surroundings.iter().map(|seen| seen.package_joules);
            joules.for_each(|joules| say(Metric::EnergyPerToken, joules.unwrap_or(0.0) / tokens));
        }
        cell.ttft_ns.iter().for_each(|ns| say(Metric::TtftMs, ms(*ns)));
        for gaps in &cell.gaps_ns {
            let gaps: Vec<f64> = gaps.iter().map(|ns| ms(*ns)).collect();
            say(Metric::ItlP95Ms, stats::percentile(&gaps, 95.0).unwrap_or(0.0));
        }
    }
    say(Metric::PeakMemory, cells.iter().map(|cell| cell.memory.total() as f64).fold(0.0, f64::max));
    say(Metric::FileSize, file_size as f64);
    figures
}
