//! The figures of one measurement.

use std::collections::BTreeMap;

use crate::measure::stats;
use crate::protocol::{BenchRow, Metric};

/// What the cells of one candidate in one block say: tokens per second as llama-bench reckons them, TTFT and the 95th percentile of the
/// gaps between tokens in milliseconds, weights, cache and compute buffers together (the largest of the cells), bytes on disk.
///
/// A repetition that took no time says nothing.
pub fn of(cells: &[BenchRow], file_size: u64) -> BTreeMap<Metric, f64> {
    let mut figures = BTreeMap::new();
    let mut say = |metric: Metric, value: Option<f64>| {
        if let Some(value) = value.filter(|value| value.is_finite() && *value > 0.0) {
            figures.insert(metric, value);
        }
    };
    let ms = |ns: f64| ns / 1e6;
    for cell in cells {
        let tokens = f64::from(cell.test.n_prompt) + f64::from(cell.test.n_gen);
        let tps = |ns: &u64| if *ns > 0 { tokens * 1e9 / *ns as f64 } else { 0.0 };
        let speeds: Vec<f64> = cell.samples_ns.iter().map(tps).collect();
        let metric = match (cell.test.n_prompt, cell.test.n_gen) {
            (_, 0) => Metric::PrefillTps,
            (0, _) => Metric::DecodeTps,
            _ => Metric::BothTps,
        };
        say(metric, stats::median(&speeds));
        let ttft: Vec<f64> = cell.ttft_ns.iter().map(|ns| ms(*ns as f64)).collect();
        say(Metric::TtftMs, stats::median(&ttft));
        let gaps: Vec<f64> = cell.gaps_ns.iter().flatten().map(|ns| ms(*ns as f64)).collect();
        say(Metric::ItlP95Ms, stats::percentile(&gaps, 95.0));
    }
    say(Metric::PeakMemory, cells.iter().map(|cell| cell.memory.total() as f64).reduce(f64::max));
    say(Metric::FileSize, Some(file_size as f64));
    figures
}
