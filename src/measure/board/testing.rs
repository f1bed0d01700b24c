//! Runs for tests.

use std::collections::BTreeMap;

use crate::protocol::{Design, Metric, Run, Workload};

/// A trusted run of one cell of a rung, in the group `sweep`. Written down as JSON, so that fields that are added rest.
pub(crate) fn bench(quant: &str, n_prompt: u32, n_gen: u32, samples: &[(Metric, &[f64])]) -> Run {
    let design = Design { threads: 2, ..Design::for_model(format!("/models/m.{quant}.gguf")) };
    let samples: BTreeMap<Metric, &[f64]> = samples.iter().copied().collect();
    let run = serde_json::json!({
        "group": "sweep", "started_ms": 0, "seconds": 1.0, "design": design,
        "workload": {"kind": "bench", "test": {"n_prompt": n_prompt, "n_gen": n_gen, "n_depth": 0}},
        "environment": {"cpu": "A processor", "model": "M", "quant": quant, "model_size": 100_000_000},
        "samples": samples, "trust": "trusted",
    });
    serde_json::from_value(run).unwrap()
}

/// A run that only generates: `tg128`, with a peak of memory.
pub(crate) fn decode(quant: &str, samples: &[f64], megabytes: f64) -> Run {
    bench(quant, 0, 128, &[(Metric::DecodeTps, samples), (Metric::PeakMemory, &[megabytes * 1e6])])
}

/// What a rung was scored with.
pub(crate) fn quality(quant: &str, kld: f64) -> Run {
    let reference = Box::new(Design::for_model("/models/m.F16.gguf"));
    let workload = Workload::Quality { text: "brief.md".into(), text_hash: "1".into(), n_ctx: 512, reference };
    // scored with other threads: the answers are the same
    let design = Design { threads: 0, ..Design::for_model(format!("/models/m.{quant}.gguf")) };
    Run { workload, design, group: "ladder".into(), ..bench(quant, 0, 0, &[(Metric::Kld, &[kld])]) }
}

/// Six samples around a value that scatter by less than a per cent, differently for each `seed`.
pub(crate) fn around(value: f64, seed: usize) -> Vec<f64> {
    const NOISE: [f64; 7] = [0.3, -0.5, 0.1, 0.6, -0.2, -0.4, 0.05];
    (0..6).map(|i| value * (1.0 + NOISE[(i * (seed + 1) + seed) % NOISE.len()] / 100.0)).collect()
}
