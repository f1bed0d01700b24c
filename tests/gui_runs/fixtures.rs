//! Histories made by hand.

use inferscope::app::{Answer, AppState, Now, Page, update};
use inferscope::protocol::{BenchTest, CacheType, Design, EngineError, ErrorKind, Metric, Run, RunId, RunTrust, Workload};
use inferscope::store::RunHead;

pub fn run(id: i64) -> Run {
    let quant = ["Q8_0", "Q4_K_M", "Q4_1", "F16"][id as usize % 4];
    let pp = id % 2 == 0;
    let test = if pp { BenchTest { n_prompt: 512, n_gen: 0, n_depth: 0 } } else { BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 } };
    let mut design = Design::for_model(format!("/models/SmolLM2-135M-Instruct.{quant}.gguf"));
    if id % 3 == 0 {
        design.threads = 4;
        design.type_k = CacheType::Q8_0;
        design.type_v = CacheType::Q8_0;
    }
    let mut run = Run::new(design, Workload::Bench { test }, 1_763_900_000_000 - (2000 - id.min(2000)) * 7_000_000);
    run.id = RunId(id);
    run.environment.model = "SmolLM2 135M Instruct".into();
    run.environment.quant = quant.into();
    run.environment.cpu = "Intel Xeon Processor (SapphireRapids)".into();
    run.environment.cores = 2;
    run.environment.processors = 2;
    run.environment.memory = 16 << 30;
    run.environment.os = "Linux (Debian GNU/Linux 12) 6.1.0".into();
    run.environment.engine = "llama.cpp".into();
    run.environment.engine_build = if id > 8 { "b11434" } else { "b11300" }.into();
    run.environment.app = "0.1.0".into();
    run.environment.model_hash = "0123456789abcdef".into();
    let base = if pp { 600.0 } else { 90.0 } + (id % 7) as f64 * 3.0;
    let metric = if pp { Metric::PrefillTps } else { Metric::DecodeTps };
    run.samples.insert(metric, (0..5).map(|i| base + f64::from(i % 3) * 0.8).collect());
    run.samples.insert(Metric::PeakMemory, vec![281e6]);
    run.seconds = 6.4;
    run.trust = [RunTrust::Trusted, RunTrust::Trusted, RunTrust::Noisy, RunTrust::TooFew][id as usize % 4];
    if run.trust == RunTrust::Noisy {
        run.reasons = vec!["Repetitions scatter by 8 %".into()];
    }
    if id % 5 == 0 {
        run.group = "Sweep of threads".into();
    }
    run
}

pub fn state_of(runs: Vec<Run>) -> AppState {
    let mut state = AppState { page: Page::Runs, ..AppState::default() };
    update::on_answer(
        &mut state,
        Answer::Runs(runs.iter().map(RunHead::of).collect()),
        Now { unix_ms: 1_764_000_000_000, ..Now::default() },
    );
    state.history.whole = runs;
    state
}

pub fn some() -> AppState {
    let mut runs: Vec<Run> = (1..=24).map(run).collect();
    runs[20].title = "After the BIOS update".into();
    runs[20].tags = vec!["laptop".into(), "battery".into()];
    runs[13].failure = Some(EngineError::new(ErrorKind::OutOfMemory, "It does not fit: 3.1 GB are needed, 2.2 GB are free"));
    runs[13].samples.clear();
    runs[6].imported = "llama-bench".into();
    state_of(runs)
}
