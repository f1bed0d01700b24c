//! Runs that were made up for the Measure page.

use std::path::PathBuf;

use inferscope::app::AppState;
use inferscope::library::{Family, Rung, RungState};
use inferscope::measure::sweep::SweepResult;
use inferscope::protocol::{Design, LoadReport, Run};
use serde_json::json;

/// A model is loaded, and these runs were measured.
pub fn measured(runs: Vec<Run>) -> AppState {
    let mut state = AppState::default();
    state.loaded = Some(Box::new(report("Q4_1")));
    state.library.families = vec![family()];
    if !runs.is_empty() {
        state.measure.result =
            Some(SweepResult { runs, standings: Vec::new(), front: Vec::new(), infeasible: Vec::new(), best: None, unsettled: None });
    }
    state
}

pub fn report(quant: &str) -> LoadReport {
    serde_json::from_value(json!({
        "design": design(quant, 2), "info": {"quant": quant, "name": "SmolLM2 135M Instruct"},
        "effective": {"n_ctx": 4096, "n_batch": 2048, "n_ubatch": 512, "threads": 2, "threads_batch": 2, "settings": []},
        "memory": {"weights": 1, "kv": 1, "compute": 1}, "seconds": 1.0, "warm": false, "resident": [],
    }))
    .unwrap()
}

pub fn path(quant: &str) -> PathBuf {
    PathBuf::from(format!("/models/smollm2/SmolLM2-135M-Instruct.{quant}.gguf"))
}

pub fn family() -> Family {
    let rung = |(quant, megabytes): (&str, u64)| Rung {
        quant: quant.into(),
        usual: true,
        note: String::new(),
        state: RungState::OnDisk { path: path(quant), size: megabytes * 1_000_000, bpw: 8.0, alternates: Vec::new() },
    };
    Family {
        key: "smollm2".into(),
        name: "SmolLM2 135M Instruct".into(),
        arch: "llama".into(),
        n_params: 134_515_008,
        n_layer: 30,
        n_ctx_train: 8192,
        rungs: [("F16", 257), ("Q8_0", 136), ("Q5_K_M", 105), ("Q4_1", 92), ("Q2_K", 82)].map(rung).into(),
    }
}

pub fn design(quant: &str, threads: u32) -> Design {
    Design { threads, ..Design::for_model(path(quant)) }
}

/// Eight repetitions that scatter by about half a per cent.
pub fn around(value: f64, seed: usize) -> Vec<f64> {
    const NOISE: [f64; 11] = [0.3, -0.5, 0.1, 0.6, -0.2, -0.4, 0.05, 0.4, -0.3, 0.2, -0.1];
    (0..8).map(|i| value * (1.0 + NOISE[(i * (seed % 5 + 1) + seed) % NOISE.len()] / 100.0)).collect()
}

pub fn run(quant: &str, threads: u32, tps: f64, memory: f64, kld: Option<f64>, seed: usize) -> Run {
    let mut value = json!({
        "group": "sweep", "started_ms": 1_700_000_000_000_i64 + seed as i64, "seconds": 22.1, "design": design(quant, threads),
        "workload": {"kind": "bench", "test": {"n_prompt": 512, "n_gen": 128, "n_depth": 0}},
        "environment": {"cpu": "Xeon", "model": "SmolLM2 135M Instruct", "quant": quant, "model_size": (memory * 0.3) as u64},
        "samples": {
            "decode_tps": around(tps, seed), "prefill_tps": around(tps * 5.1, seed + 1), "ttft_ms": around(100_000.0 / tps, seed + 2),
            "peak_memory": [memory],
        },
        "trust": "trusted",
        "roofline": {"decode": 0.35, "prefill": 0.41, "bandwidth_gb_s": 18.5, "ops_gflops": 240.0},
    });
    if let Some(kld) = kld {
        value["samples"]["kld"] = json!([kld]);
        value["kld_error"] = json!(kld * 0.08);
    }
    serde_json::from_value(value).unwrap()
}

/// The ten rungs of the sketch.
pub fn ladder() -> Vec<Run> {
    let rungs = [
        ("F16", 100.0, 547e6, 0.0),
        ("Q8_0", 149.1, 426e6, 0.005),
        ("Q6_K", 148.9, 420e6, 0.006),
        ("Q5_K_M", 131.3, 395e6, 0.030),
        ("Q4_K_M", 140.4, 389e6, 0.062),
        ("Q4_1", 109.5, 382e6, 0.090),
        ("Q3_K_M", 175.6, 377e6, 0.153),
        ("IQ4_NL", 199.7, 376e6, 0.185),
        ("Q4_0", 187.8, 376e6, 0.210),
        ("Q2_K", 190.9, 372e6, 0.414),
    ];
    let mut runs: Vec<Run> =
        rungs.iter().enumerate().map(|(i, (quant, tps, memory, kld))| run(quant, 2, *tps, *memory, Some(*kld), i)).collect();
    runs[3].trust = inferscope::protocol::RunTrust::Noisy;
    runs[3].reasons = vec!["Repetitions scatter by 7 %".into()];
    runs
}

/// With thread counts, a deep cache, and a design that died.
pub fn sweep() -> Vec<Run> {
    let mut runs = ladder();
    for (quant, tps) in [("Q8_0", 84.0), ("Q6_K", 80.0), ("Q4_1", 61.0)] {
        runs.push(run(quant, 1, tps, 420e6, None, runs.len()));
    }
    runs.push(run("Q8_0", 4, 148.8, 428e6, None, 31));
    let mut failed = run("IQ4_NL", 4, 1.0, 400e6, None, 40);
    failed.samples.clear();
    failed.failure =
        Some(serde_json::from_value(json!({"kind": "out_of_memory", "message": "The context does not fit in memory"})).unwrap());
    runs.push(failed);
    runs
}
