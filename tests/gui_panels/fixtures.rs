//! States made by hand: a window in the middle of its work.

use std::path::PathBuf;

use inferscope::app::{Activity, AppState, EngineState, Forecast, Generating, Making, MarkerKind, MemoryParts, Page};
use inferscope::library::{Family, Rung, RungState};
use inferscope::protocol::{
    Design, DeviceInfo, Effective, EngineFacts, JobId, LoadReport, MemorySample, MemoryUse, ModelInfo, QuantizeRequest, Resident, Sample,
    Setting,
};
use inferscope::store::{ChatId, MessageId};

pub fn path(quant: &str) -> PathBuf {
    PathBuf::from(format!("/models/smollm2/SmolLM2-135M-Instruct.{quant}.gguf"))
}

pub fn on_disk(quant: &str, megabytes: u64, bpw: f64) -> Rung {
    let state = RungState::OnDisk { path: path(quant), size: megabytes * 1_000_000, bpw, alternates: Vec::new() };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

pub fn can_make(quant: &str, megabytes: u64, bpw: f64, usual: bool) -> Rung {
    let state = RungState::CanMake {
        source: path("F16"),
        source_quant: "F16".into(),
        size_estimate: megabytes * 1_000_000,
        bpw_estimate: bpw,
        seconds_estimate: 12.0,
        lossy_source: false,
        target: path(quant),
        needs_space: megabytes * 1_000_000,
    };
    Rung { quant: quant.into(), usual, note: String::new(), state }
}

pub fn family() -> Family {
    let mut rungs = vec![
        on_disk("F16", 257, 16.0),
        on_disk("Q8_0", 136, 8.5),
        can_make("Q6_K", 120, 6.56, true),
        can_make("Q5_1", 111, 6.0, false),
        on_disk("Q5_K_M", 105, 5.69),
        can_make("Q5_0", 104, 5.5, false),
        on_disk("Q4_1", 92, 5.0),
        on_disk("Q4_K_M", 99, 4.85),
        on_disk("IQ4_NL", 86, 4.5),
        can_make("Q3_K_M", 84, 3.9, true),
        on_disk("Q2_K", 82, 2.96),
    ];
    rungs.push(Rung {
        quant: "IQ1_S".into(),
        usual: false,
        note: String::new(),
        state: RungState::Unavailable { why: "needs an importance matrix".into() },
    });
    rungs[9].note = "30 tensors do not fit its blocks and get another type".into();
    Family {
        key: "smollm2".into(),
        name: "SmolLM2 135M Instruct".into(),
        arch: "llama".into(),
        n_params: 134_515_008,
        n_layer: 30,
        n_ctx_train: 8192,
        rungs,
    }
}

pub fn setting(name: &str, requested: &str, effective: &str, reason: &str) -> Setting {
    Setting { name: name.into(), requested: requested.into(), effective: effective.into(), reason: reason.into() }
}

pub fn report(quant: &str) -> LoadReport {
    let design = Design { model: path(quant), n_ctx: 16_384, ..Design::default() };
    let memory = MemoryUse { weights: 86_000_000, kv: 90_000_000, compute: 105_000_000 };
    LoadReport {
        design: design.clone(),
        info: ModelInfo {
            path: path(quant),
            name: "SmolLM2 135M Instruct".into(),
            arch: "llama".into(),
            quant: quant.into(),
            size: 86_000_000,
            n_params: 134_515_008,
            bpw: 4.5,
            n_layer: 30,
            n_ctx_train: 8192,
            ..ModelInfo::default()
        },
        effective: Effective {
            n_ctx: 4096,
            n_batch: 2048,
            n_ubatch: 512,
            threads: 2,
            threads_batch: 2,
            settings: vec![
                setting("n_ctx", "16384", "4096", "16,384 tokens would not fit in memory"),
                setting("threads", "auto", "2", ""),
                setting("threads_batch", "auto", "2", ""),
                setting("n_batch", "2048", "2048", ""),
                setting("n_ubatch", "512", "512", ""),
                setting("type_k", "f16", "f16", ""),
                setting("type_v", "f16", "f16", ""),
                setting("flash_attention", "auto", "on", ""),
                setting("mmap", "on", "on", ""),
                setting("mlock", "off", "off", ""),
            ],
        },
        memory,
        seconds: 0.21,
        warm: false,
        resident: Vec::new(),
    }
}

/// A window as in the picture: IQ4_NL answers, Q4_1 is warm, the plots have history.
pub fn busy_state() -> AppState {
    let mut state = AppState::default();
    state.library.families.push(family());
    state.library.was_scanned = true;
    state.settings.model_folders = vec!["/models/smollm2".into(), "/data/gguf".into()];
    let facts = EngineFacts {
        name: "llama.cpp".into(),
        commit: "3fce3b5b".into(),
        build: "b11434".into(),
        cpu_features: vec!["SSE3".into(), "AVX2".into(), "AVX512".into(), "FMA".into()],
        backends: vec!["CPU".into()],
        devices: vec![DeviceInfo { name: "CPU".into(), description: "Xeon".into(), kind: "cpu".into(), ..DeviceInfo::default() }],
    };
    state.engine = EngineState::Up { pid: 20_611, facts: Box::new(facts) };
    let loaded = report("IQ4_NL");
    let resident =
        |quant: &str, active| Resident { design: Design { model: path(quant), ..Design::default() }, memory: loaded.memory, active };
    state.resident = vec![resident("IQ4_NL", true), resident("Q4_1", false)];
    state.telemetry.memory = Some(loaded.memory);
    let predicted = MemoryUse { weights: 86_000_000, kv: 90_000_000, compute: 99_000_000 };
    state.telemetry.forecast = Some(Forecast { memory: predicted, weights_read: 86_000_000, kv_read: 0 });
    state.loaded = Some(Box::new(loaded));
    let telemetry = &mut state.telemetry;
    for step in 0..400 {
        let at = f64::from(step) * 0.25;
        let wobble = f64::from((step * 37) % 11) - 5.0;
        let (rate, rss) = if step < 270 { (109.0 + wobble * 0.4, 380e6) } else { (196.0 + wobble * 0.5, 640e6) };
        let rate = if (266..272).contains(&step) { 0.0 } else { rate };
        telemetry.decode.push(at, rate);
        telemetry.engine_rss.push(at, rss);
    }
    telemetry.mark(66.5, MarkerKind::Switch, "Q4_1 → IQ4_NL 0.21 s");
    telemetry.decode_tps = Some(196.4);
    telemetry.prefill_tps = Some(948.0);
    telemetry.ttft_ms = Some(41.0);
    telemetry.itl_p95_ms = Some(5.6);
    telemetry.bandwidth_gb_s = Some(48.0);
    telemetry.sample = Some(Sample {
        at: 100.0,
        engine: Some(MemorySample { rss: 640_000_000, anonymous: 300_000_000, file: 340_000_000 }),
        window: MemorySample { rss: 73_000_000, ..MemorySample::default() },
        engine_cpu_percent: Some(196.0),
        window_cpu_percent: Some(6.0),
        machine_cpu_percent: Some(99.0),
        available: 8_500_000_000,
        total: 16_000_000_000,
        gpu: None,
    });
    for step in 0..100 {
        let at = f64::from(step);
        let resident = if step < 66 { &state.resident[1..] } else { &state.resident[..] };
        let parts = MemoryParts::of(resident, state.telemetry.sample.as_ref());
        state.telemetry.memory_parts.push(at, &parts);
        state.telemetry.engine_cpu.push(at, if step < 30 { 2.0 } else { 196.0 });
        state.telemetry.window_cpu.push(at, 6.0);
    }
    state.telemetry.prefill.push(32.0, 0.0);
    state.telemetry.prefill.push(32.0, 948.0);
    state.telemetry.prefill.push(32.6, 948.0);
    state.telemetry.prefill.push(32.6, 0.0);
    state
}

pub fn generating() -> Activity {
    Activity::Generating(Generating {
        job: JobId(7),
        chat: ChatId(1),
        message: MessageId(2),
        text: String::new(),
        kept: 0,
        prefill: None,
        read_since: None,
        tokens: 3,
        last: 0.0,
        first: None,
        since: 99.0,
        stopping: None,
        then_load: None,
        waiting_for_save: None,
    })
}

pub fn making(quant: &str) -> Making {
    let request = QuantizeRequest {
        source: path("F16"),
        target: path(quant),
        file_type: quant.into(),
        imatrix: None,
        prune_layers: Vec::new(),
        threads: 0,
    };
    Making { job: JobId(9), family: "smollm2".into(), quant: quant.into(), request, fraction: 0.4, since: 92.0, then_switch: true }
}

pub fn on_page(page: Page) -> AppState {
    let mut state = busy_state();
    state.page = page;
    state
}
