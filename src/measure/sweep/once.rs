//! A design of a sweep, measured once more by itself.

use super::cooling::Cooling;
use super::step::Row;
use super::{samples, trust};
use crate::protocol::{BenchRow, BenchTest, Design, Environment, Run, Workload};

/// The cells that a run of a sweep was measured in: the prompt and the generation each by itself, at the same depth.
pub fn cells(test: BenchTest) -> Vec<BenchTest> {
    let both = [BenchTest { n_gen: 0, ..test }, BenchTest { n_prompt: 0, ..test }];
    both.into_iter().filter(|cell| cell.n_prompt + cell.n_gen > 0).collect()
}

/// The run of these cells that ended at `ended_ms`, Unix time, milliseconds, with the figures that a sweep's run has.
pub fn run(design: &Design, test: BenchTest, cells: &[BenchRow], environment: Environment, ended_ms: i64) -> Run {
    let seconds = cells.iter().flat_map(|cell| &cell.samples_ns).sum::<u64>() as f64 / 1e9;
    let mut run = Run::new(design.clone(), Workload::Bench { test }, ended_ms.saturating_sub((seconds * 1e3) as i64));
    let file_size = cells.first().map_or(0, |cell| cell.info.size);
    let row = Row {
        samples: samples::of(cells, file_size),
        surroundings: cells.iter().flat_map(|cell| cell.surroundings.iter().copied()).collect(),
        ..Row::default()
    };
    (run.trust, run.reasons) = trust::judge(&row, &Cooling::default());
    (run.seconds, run.environment, run.samples) = (seconds, environment, row.samples);
    if let Some(effective) = cells.first().and_then(|cell| serde_json::to_value(&cell.effective).ok()) {
        run.extra.insert("effective".into(), effective);
    }
    run
}
