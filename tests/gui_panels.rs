//! The panels, driven by accessible name on hand-built states: what a press asks for, and what is said.

#[path = "gui_panels/compare.rs"]
mod compare;

use std::path::PathBuf;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use inferscope::app::{
    Action, Activity, AppState, Crash, Dialog, EngineState, Forecast, Generating, Inspection, Loading, Making, MarkerKind, MemoryParts,
    Now, Page, PlotRange, Prediction, Prefilling, Retry, Severity,
};
use inferscope::library::{Estimate, Family, NearestFit, Rung, RungState, Skipped};
use inferscope::protocol::{
    Design, DeviceInfo, Effective, EngineError, EngineFacts, ErrorKind, JobId, LoadReport, MemorySample, MemoryUse, ModelInfo,
    QuantizeRequest, Resident, Sample, Setting,
};
use inferscope::store::{ChatId, MessageId, Theme as SavedTheme};
use inferscope::ui::panels::settings::About;
use inferscope::ui::panels::{self, Views};
use inferscope::ui::shortcuts;
use inferscope::ui::theme::{self, Theme};

/// The window's panels without what runs behind them.
struct Window {
    state: AppState,
    views: Views,
    asked: Vec<Action>,
}

impl Window {
    fn ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        let mut actions = Vec::new();
        shortcuts::dispatch(&ctx, &self.state, &mut self.views.targets, &mut actions);
        let now = Now { secs: 100.0, at: 100.0, unix_ms: 1_700_000_000_000 };
        panels::window(ui, &self.state, &mut self.views, now, &mut actions);
        self.asked.extend(actions);
    }
}

fn harness_sized(state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Window> {
    let about = About {
        version: "0.1.0".into(),
        revision: "61bea55".into(),
        paths: vec![
            ("Chats".into(), "/home/ann/.local/share/inferscope/chats.db".into()),
            ("Settings".into(), "/home/ann/.config/inferscope".into()),
        ],
    };
    let window = Window { state, views: Views { about, ..Views::default() }, asked: Vec::new() };
    let setup = move |ctx: &egui::Context| {
        theme::install(ctx);
        theme::apply(ctx, look);
    };
    let builder = Harness::builder().with_size(size).with_max_steps(12).with_context_setup(setup);
    let builder = builder.with_theme(if look == Theme::Light { egui::Theme::Light } else { egui::Theme::Dark });
    let mut harness = builder.build_ui_state(|ui, window: &mut Window| window.ui(ui), window);
    harness.run();
    harness
}

fn harness(state: AppState) -> Harness<'static, Window> {
    harness_sized(state, [1440.0, 900.0], Theme::Dark)
}

/// What was asked since the last time this was called.
fn asked(harness: &mut Harness<'static, Window>) -> Vec<Action> {
    harness.run();
    let all = std::mem::take(&mut harness.state_mut().asked);
    // an open editor asks for its prediction until it has one
    all.into_iter().filter(|action| !matches!(action, Action::PredictDesign(_))).collect()
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn path(quant: &str) -> PathBuf {
    PathBuf::from(format!("/models/smollm2/SmolLM2-135M-Instruct.{quant}.gguf"))
}

fn on_disk(quant: &str, megabytes: u64, bpw: f64) -> Rung {
    let state = RungState::OnDisk { path: path(quant), size: megabytes * 1_000_000, bpw, alternates: Vec::new() };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

fn can_make(quant: &str, megabytes: u64, bpw: f64, usual: bool) -> Rung {
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

fn family() -> Family {
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

fn setting(name: &str, requested: &str, effective: &str, reason: &str) -> Setting {
    Setting { name: name.into(), requested: requested.into(), effective: effective.into(), reason: reason.into() }
}

fn report(quant: &str) -> LoadReport {
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
fn busy_state() -> AppState {
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

fn generating() -> Activity {
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

fn making(quant: &str) -> Making {
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

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_rung_on_disk_is_switched_to() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Q8_0, 136 MB, on disk").click();
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q8_0".into())]);
    harness.get_by_label("IQ4_NL, 86 MB, running").click();
    assert_eq!(asked(&mut harness), [], "the rung that answers is not switched to");
}

#[test]
fn rungs_say_what_a_press_would_do() {
    let mut state = busy_state();
    state.making = Some(making("Q3_K_M"));
    let mut harness = harness(state);
    harness.get_by_label("Q4_1, 92 MB, kept warm");
    harness.get_by_label("Q3_K_M, make, being made");
    harness.get_by_label("Q6_K, make, can be made").click();
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q6_K".into())]);
}

#[test]
fn unusual_rungs_are_under_more() {
    let mut harness = harness(busy_state());
    assert!(harness.query_by_label("Q5_0, make, can be made").is_none());
    harness.get_by_label("More rungs, 3").click();
    harness.run();
    harness.get_by_label_contains("Q5_0").click();
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q5_0".into())]);
}

#[test]
fn the_ladder_fits_a_small_window() {
    let harness = harness_sized(busy_state(), [1024.0, 640.0], Theme::Dark);
    let active = harness.get_by_label("IQ4_NL, 86 MB, running").rect();
    let more = harness.get_by_label_contains("More rungs").rect();
    let summary = harness.get_by_label_contains("Design: context").rect();
    assert!(active.right() <= more.left() && more.right() <= summary.left(), "{active:?} {more:?} {summary:?}");
    assert!(harness.get_by_label("Unload").rect().right() <= 1024.0);
}

#[test]
fn what_runs_can_be_stopped() {
    let mut state = busy_state();
    state.activity = generating();
    let mut harness = harness(state);
    harness.get_by_label("Stop").click();
    assert_eq!(asked(&mut harness), [Action::Stop]);
    harness.key_press(egui::Key::Escape);
    assert_eq!(asked(&mut harness), [Action::Stop]);
    if let Activity::Generating(generating) = &mut harness.state_mut().state.activity {
        generating.stopping = Some(99.5);
    }
    harness.run();
    harness.get_by_label("Stopping…");
    harness.state_mut().state.activity = Activity::None;
    harness.key_press(egui::Key::Escape);
    assert_eq!(asked(&mut harness), [], "Esc stops nothing when nothing runs");
    harness.get_by_label("Unload").click();
    assert_eq!(asked(&mut harness), [Action::Unload(None)]);
}

#[test]
fn without_a_model_there_is_one_way_to_begin() {
    let mut harness = harness(AppState::default());
    harness.state_mut().state.page = Page::Settings;
    harness.run();
    harness.get_by_label("Open a model…").click();
    assert_eq!(asked(&mut harness), [Action::PickModel]);
    harness.get_by_label("Model: No model").click();
    harness.run();
    harness.get_by_label("Path of a model file").focus();
    harness.run();
    harness.get_by_label("Path of a model file").type_text("/tmp/a model.gguf");
    harness.run();
    harness.get_by_label("Open").click();
    assert_eq!(asked(&mut harness), [Action::OpenModel("/tmp/a model.gguf".into())]);
}

#[test]
fn a_load_shows_its_progress_in_its_key() {
    let mut state = busy_state();
    let design = Box::new(Design { model: path("Q8_0"), ..Design::default() });
    state.activity = Activity::Loading(Loading {
        job: JobId(3),
        design,
        fraction: 0.42,
        since: 99.0,
        from: None,
        then_continue: None,
        stopping: false,
        forecast: None,
    });
    let harness = harness(state);
    harness.get_by_label("Q8_0, 136 MB, loading");
    harness.get_by_label("Stop");
}

#[test]
fn the_design_is_edited_and_applied() {
    let mut harness = harness(busy_state());
    harness.get_by_label_contains("Design: context 4,096").click();
    harness.run();
    harness.get_by_label("Context in force: 4096");
    harness.get_by_label("16,384 tokens would not fit in memory");
    assert!(harness.query_by_label("GPU layers").is_none(), "no device, no GPU layers");
    harness.get_by_label("Lock in memory").click();
    harness.run();
    harness.get_by_label("Apply and reload").click();
    let actions = asked(&mut harness);
    let expected = Design { mlock: true, ..report("IQ4_NL").design };
    assert_eq!(actions, [Action::ApplyDesign(Box::new(expected))]);
    assert!(!harness.state().views.design_bar.editor_open, "applying closes the editor");
}

#[test]
fn an_edited_design_says_what_it_would_take() {
    let mut harness = harness(busy_state());
    harness.get_by_label_contains("Design: context 4,096").click();
    harness.run();
    let design = report("IQ4_NL").design;
    assert!(harness.state().asked.contains(&Action::PredictDesign(Box::new(design.clone()))), "it is asked for");
    harness.get_by_label("Memory: looking at the file");
    let predicted = |memory: MemoryUse, nearest: Option<NearestFit>| {
        let fits = nearest.is_none();
        let estimate = Estimate { memory, total: memory.total(), available: 1_000_000_000, fits, freed_by_unload: 200_000_000 };
        Inspection { model: design.model.clone(), info: ModelInfo::default(), estimate, nearest, weights_read: 0, kv_read: 0 }
    };
    let say = |harness: &mut Harness<'static, Window>, inspection: Inspection| {
        harness.state_mut().state.prediction =
            Some(Prediction { design: design.clone(), freed: 0, result: Some(Ok(inspection)), is_current: true });
        harness.run();
    };
    say(&mut harness, predicted(MemoryUse { weights: 86_000_000, kv: 90_000_000, compute: 105_000_000 }, None));
    harness.get_by_label("Memory of this design ≈ 281 MB of 1.2 GB: fits");
    let nearest = NearestFit {
        design: Design { n_ctx: 8192, ..design.clone() },
        estimate: Estimate::default(),
        words: "A context of 8192 instead of 16384 tokens fits: 900 MB".into(),
    };
    say(&mut harness, predicted(MemoryUse { weights: 86_000_000, kv: 2_000_000_000, compute: 105_000_000 }, Some(nearest.clone())));
    harness.get_by_label("Memory of this design ≈ 2.2 GB of 1.2 GB: does not fit");
    harness.get_by_label(&nearest.words);
    harness.get_by_label("Use the nearest design that fits").click();
    harness.run();
    harness.get_by_label("Apply and reload").click();
    assert_eq!(asked(&mut harness), [Action::ApplyDesign(Box::new(nearest.design))]);
}

#[test]
fn warm_models_can_be_freed() {
    let mut harness = harness(busy_state());
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::D);
    harness.run();
    harness.get_by_label("SmolLM2 135M Instruct Q4_1");
    harness.get_all_by_label("Unload").last().unwrap().click();
    let actions = asked(&mut harness);
    assert_eq!(actions, [Action::Unload(Some(path("Q4_1")))]);
    harness.get_by_label("Set").click();
    let actions = asked(&mut harness);
    assert!(matches!(actions.as_slice(), [Action::SetKeepWarm(Some(_))]), "{actions:?}");
}

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn telemetry_says_its_numbers() {
    let harness = harness(busy_state());
    for label in ["Decode 196.4 tokens/s", "Prefill 948 t/s", "TTFT 41 ms", "Of bandwidth limit 35 %", "ITL p95 5.6 ms", "CPU engine 196 %"]
    {
        harness.get_by_label(label);
    }
    harness.get_by_label("predicted 275 MB, took 281 MB,");
    harness.get_by_label("+2.2 %");
    harness.get_by_label("Memory: weights 86 MB, KV cache 90 MB, compute 105 MB, kept warm 281 MB, engine, other 78 MB, window 73 MB");
    harness.get_by_label("Memory in all 713 MB");
    harness.get_by_label("GPU memory not observable");
    harness.get_by_label(
        "Memory over time: weights 86 MB, KV cache 90 MB, compute 105 MB, kept warm 281 MB, engine, other 78 MB, window 73 MB",
    );
    harness.get_by_label("CPU over time: engine 196 %, window 6 %");
    harness.get_by_label_contains("Prefill over time");
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let harness = harness(AppState::default());
    for label in [
        "Decode – tokens/s",
        "Prefill – t/s",
        "TTFT – ms",
        "ITL p95 –",
        "CPU engine –",
        "CPU window –",
        "Memory in all –",
        "no model is loaded",
        "Memory: weights –, KV cache –, compute –, kept warm –, engine, other –, window –",
        "Memory over time, no value yet",
    ] {
        harness.get_by_label(label);
    }
}

#[test]
fn plots_are_paused_and_exported() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Pause the plots").click();
    assert_eq!(asked(&mut harness), [Action::PausePlots(true)]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("Export as CSV…").click();
    let shown = PlotRange { usual: [40.0, 100.0], zoomed: None };
    assert_eq!(asked(&mut harness), [Action::ExportPlotsCsv(Some(shown))]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("Export as PNG…").click();
    assert_eq!(asked(&mut harness), [Action::ExportPlotsPng(Some(shown))]);
    harness.get_by_label("Plot options").click();
    harness.run();
    harness.get_by_label("5 min").click();
    assert_eq!(asked(&mut harness), [Action::SetPlotWindow(300.0)]);
}

#[test]
fn every_plot_zooms_with_the_others_and_the_export_is_of_what_is_seen() {
    let mut harness = harness(busy_state());
    let memory = harness.get_by_label_contains("Memory over time").rect();
    harness.hover_at(memory.center());
    harness.step();
    harness.event(egui::Event::Zoom(3.0));
    harness.run_steps(3);
    harness.get_by_label("Reset the zoom");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run();
    harness.get_by_label("Command").type_text("export csv");
    harness.run();
    harness.key_press(egui::Key::Enter);
    let actions = asked(&mut harness);
    let [Action::ExportPlotsCsv(Some(range))] = actions.as_slice() else { panic!("{actions:?}") };
    let [from, to] = range.shown();
    assert!((to - from - 20.0).abs() < 1.0 && from > 50.0 && to < 90.0, "{range:?}");
    harness.run();
    harness.get_by_label("Reset the zoom").click();
    harness.run();
    assert!(harness.query_by_label("Reset the zoom").is_none());
}

#[test]
fn an_unknown_bandwidth_can_be_measured() {
    let mut state = busy_state();
    state.telemetry.bandwidth_gb_s = None;
    let mut harness = harness(state);
    harness.get_by_label("Measure the memory bandwidth").click();
    assert_eq!(asked(&mut harness), [Action::ProbeBandwidth]);
}

#[test]
fn a_speed_that_cannot_be_doubts_the_bandwidth() {
    let mut state = busy_state();
    state.telemetry.bandwidth_gb_s = Some(10.0);
    let mut harness = harness(state);
    harness.get_by_label("> 100 %: in doubt");
    assert!(harness.query_by_label_contains("169").is_none(), "no share above all of it is claimed");
    harness.get_by_label("Measure the memory bandwidth anew").click();
    assert_eq!(asked(&mut harness), [Action::ProbeBandwidth]);
    harness.state_mut().state.activity = generating();
    harness.run();
    harness.get_by_label("Limit in doubt > 100 %");
    // measured anew and still beyond it: the weights come out of the processor's cache
    harness.state_mut().state.telemetry.bandwidth_confirmed = true;
    harness.run();
    harness.get_by_label("Of limit, with cache 169 %");
}

#[test]
fn reading_a_prompt_shows_how_far_it_is() {
    let mut state = busy_state();
    state.activity = generating();
    state.telemetry.prefilling = Some(Prefilling { cached: 0, done: 1024, total: 4096, began: 99.0, is_drawn: true });
    let harness = harness(state);
    harness.get_by_label("Reading the prompt, 25 %");
}

#[test]
fn the_column_folds_by_itself_where_there_is_no_room() {
    let mut narrow = harness_sized(busy_state(), [960.0, 640.0], Theme::Dark);
    narrow.get_by_label("Decode 196.4 t/s");
    narrow.get_by_label("Unfold the telemetry").click();
    assert_eq!(asked(&mut narrow), [], "it cannot be unfolded there");
    narrow.set_size(egui::vec2(1024.0, 640.0));
    narrow.run();
    narrow.get_by_label("Decode 196.4 tokens/s");
    narrow.get_by_label("Fold the telemetry");
}

/// What is cut off by an edge of the window, or lies on something else that can be pressed, at this size and zoom.
fn clipped(state: &AppState, size: [f32; 2], zoom: f32) -> Vec<String> {
    let size = size.map(|side| (side / zoom).floor());
    let harness = harness_sized(state.clone(), size, Theme::Dark);
    let window = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::Vec2::from(size));
    let mut faults = Vec::new();
    let mut bars = Vec::new();
    for node in harness.query_all_by(|node| node.raw_bounds().is_some()) {
        let (rect, known) = (node.rect(), node.accesskit_node());
        let name = known.label().or_else(|| known.value()).unwrap_or_default();
        if name.is_empty() || !rect.is_positive() {
            continue;
        }
        // what scrolls may lie below the edge, but nothing lies beside it
        if rect.left() < -0.5 || rect.right() > window.right() + 0.5 || rect.top() < -0.5 {
            faults.push(format!("{name} at {rect:?} leaves {window:?}"));
        }
        // the pages that scroll go on below what is seen of them
        let is_below = state.page == Page::Chat && rect.top() >= window.bottom() - 30.0;
        let in_bar = rect.bottom() <= 56.0 || is_below;
        if in_bar {
            for (other, there) in &bars {
                if rect.shrink(1.0).intersects(*there) {
                    faults.push(format!("{name} lies on {other}"));
                }
            }
            bars.push((name, rect));
        }
    }
    faults
}

#[test]
fn nothing_is_clipped_from_the_smallest_window_to_4k() {
    for page in [Page::Chat, Page::Library, Page::Settings] {
        let state = on_page(page);
        for size in [[1024.0, 640.0], [1440.0, 900.0], [3840.0, 2160.0]] {
            for zoom in [0.75, 1.0, 1.25, 1.5, 2.0] {
                let faults = clipped(&state, size, zoom);
                assert!(faults.is_empty(), "{} at {size:?}, zoom {zoom}:\n{}", page.name(), faults.join("\n"));
            }
        }
    }
}

#[test]
fn arrows_walk_along_the_ladder() {
    let mut harness = harness(busy_state());
    harness.get_by_label("F16, 257 MB, on disk").focus();
    harness.run();
    harness.key_press(egui::Key::ArrowRight);
    harness.run();
    harness.key_press(egui::Key::Enter);
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q8_0".into())]);
    harness.key_press(egui::Key::ArrowLeft);
    harness.run();
    harness.key_press(egui::Key::Enter);
    assert_eq!(asked(&mut harness), [Action::SelectRung("F16".into())]);
}

#[test]
fn folded_telemetry_is_one_line() {
    let mut state = busy_state();
    state.settings.telemetry_open = false;
    let mut harness = harness(state);
    harness.get_by_label("Decode 196.4 t/s");
    harness.get_by_label("Unfold the telemetry").click();
    assert_eq!(asked(&mut harness), [Action::ToggleTelemetry]);
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn on_page(page: Page) -> AppState {
    let mut state = busy_state();
    state.page = page;
    state
}

#[test]
fn the_rail_goes_to_pages() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Library").click();
    assert_eq!(asked(&mut harness), [Action::Navigate(Page::Library)]);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num7);
    assert_eq!(asked(&mut harness), [Action::Navigate(Page::Settings)]);
}

#[test]
fn the_library_loads_and_makes() {
    let mut harness = harness(on_page(Page::Library));
    harness.get_by_label("Load Q8_0 of SmolLM2 135M Instruct").click();
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q8_0".into())]);
    harness.get_by_label("Make Q6_K of SmolLM2 135M Instruct").click();
    assert_eq!(asked(&mut harness), [Action::OfferMake("smollm2".into(), "Q6_K".into())]);
    harness.get_by_label("Q6_K, can be made from F16, ≈ 120 MB, ≈ 6.56 bits per weight");
    assert!(harness.query_by_label_contains("IQ1_S").is_none());
    harness.get_by_label("Show 3 more").click();
    harness.run();
    harness.get_by_label_contains("IQ1_S, needs an importance matrix");
}

#[test]
fn making_shows_progress_and_can_be_cancelled() {
    let mut state = on_page(Page::Library);
    state.making = Some(making("Q3_K_M"));
    let mut harness = harness(state);
    // 8 s for 40 %
    harness.get_by_label_contains("Q3_K_M, 40 % made, about 12 s left");
    harness.get_by_label("Cancel").click();
    assert_eq!(asked(&mut harness), [Action::CancelMake]);
}

#[test]
fn a_lossy_source_is_said_plainly() {
    let mut state = on_page(Page::Library);
    if let RungState::CanMake { lossy_source, source_quant, .. } = &mut state.library.families[0].rungs[2].state {
        (*lossy_source, *source_quant) = (true, "Q8_0".into());
    }
    let harness = harness(state);
    harness.get_by_label_contains("Q6_K, can be made from Q8_0, which is itself lossy");
}

#[test]
fn folders_are_added_and_forgotten() {
    let mut state = on_page(Page::Library);
    state.library.skipped.push(Skipped { path: "/data/gguf/notes.gguf".into(), why: "It is not a GGUF file".into() });
    let mut harness = harness(state);
    harness.get_by_label("2 folders").click();
    harness.run();
    harness.get_by_label("Forget /data/gguf").click();
    assert_eq!(asked(&mut harness), [Action::RemoveFolder("/data/gguf".into())]);
    harness.get_by_label("Path of a model folder").focus();
    harness.run();
    harness.get_by_label("Path of a model folder").type_text("/mnt/models");
    harness.run();
    harness.get_by_label("Add").click();
    assert_eq!(asked(&mut harness), [Action::AddFolder("/mnt/models".into())]);
    harness.get_by_label("1 file passed over").click();
    harness.run();
    harness.get_by_label("It is not a GGUF file: /data/gguf/notes.gguf");
}

#[test]
fn hundreds_of_families_cost_only_those_in_view() {
    let mut state = on_page(Page::Library);
    for number in 0..600 {
        state.library.families.push(Family { key: format!("f{number}"), name: format!("Family {number:03}"), ..family() });
    }
    let mut harness = harness(state);
    let painted = harness.get_all_by_label_contains("Model Family").count();
    assert!(painted < 20, "{painted} cards were laid out");
    harness.get_by_label("Search models and rungs").focus();
    harness.run();
    harness.get_by_label("Search models and rungs").type_text("family 417 q8");
    harness.run();
    harness.get_by_label("Model Family 417");
    assert!(harness.query_by_label("Model Family 416").is_none());
}

#[test]
fn a_death_is_told_above_every_page() {
    for page in Page::ALL {
        let mut state = on_page(page);
        state.loaded = None;
        let error = EngineError::new(ErrorKind::OutOfMemory, "The system ended the engine, because memory ran out");
        state.crash = Some(Crash { error, retry: Some(Retry { design: report("IQ4_NL").design, reply: None }), is_death: true });
        let mut harness = harness_sized(state, [1024.0, 640.0], Theme::Dark);
        harness.get_by_label_contains("memory ran out");
        harness.get_by_label("Go on: reload IQ4_NL").click();
        assert_eq!(asked(&mut harness), [Action::Recover], "{}", page.name());
    }
}

#[test]
fn an_empty_library_says_how_to_begin() {
    let mut state = AppState::default();
    state.page = Page::Library;
    state.library.was_scanned = true;
    state.settings.last_design = Some(Design::for_model("/gone.gguf"));
    let mut harness = harness(state);
    harness.get_by_label("No models yet");
    harness.get_by_label("Open a model…").click();
    assert_eq!(asked(&mut harness), [Action::PickModel]);
}

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn settings_take_effect_at_once() {
    let mut harness = harness_sized(on_page(Page::Settings), [1440.0, 2400.0], Theme::Dark);
    harness.get_by_label("High contrast").click();
    assert_eq!(asked(&mut harness), [Action::SetTheme(SavedTheme::HighContrast)]);
    harness.get_by_label("Larger").click();
    assert_eq!(asked(&mut harness), [Action::SetZoom(1.1)]);
    harness.get_by_role_and_label(egui::accesskit::Role::Switch, "Load the last model at the start").click();
    assert_eq!(asked(&mut harness), [Action::SetAutoload(false)]);
    harness.get_by_label("Stop text").focus();
    harness.run();
    harness.get_by_label("Stop text").type_text("\\n###");
    harness.run();
    harness.get_by_label("Add the stop text").click();
    assert_eq!(asked(&mut harness), [Action::SetStopTexts(vec!["\n###".into()])]);
    harness.get_by_label("Copy Chats").click();
    assert_eq!(asked(&mut harness), [Action::Copy("/home/ann/.local/share/inferscope/chats.db".into())]);
}

#[test]
fn a_sampler_set_by_hand_can_be_reset() {
    let mut state = on_page(Page::Settings);
    state.settings.sampler.temperature = Some(0.2);
    let mut harness = harness_sized(state, [1440.0, 2400.0], Theme::Dark);
    harness.get_by_label("Reset Temperature").click();
    assert_eq!(asked(&mut harness), [Action::SetSampler(Box::default())]);
}

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn the_palette_finds_and_runs() {
    let mut harness = harness(busy_state());
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run();
    harness.get_by_label("Command").type_text("switch q8");
    harness.run();
    harness.key_press(egui::Key::Enter);
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q8_0".into())]);
    assert!(!harness.state().views.palette.is_open());
}

#[test]
fn the_palette_is_walked_by_keys_and_closed_by_esc() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Ctrl+K commands").click();
    harness.run();
    harness.get_by_label("Command").type_text("theme");
    harness.run();
    harness.key_press(egui::Key::ArrowDown);
    harness.run();
    harness.key_press(egui::Key::Enter);
    assert_eq!(asked(&mut harness), [Action::SetTheme(SavedTheme::Dark)]);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    harness.run();
    harness.key_press(egui::Key::Escape);
    harness.run();
    assert!(!harness.state().views.palette.is_open());
    assert_eq!(asked(&mut harness), []);
}

#[test]
fn brackets_walk_the_ladder() {
    let mut harness = harness(busy_state());
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::OpenBracket);
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q4_K_M".into())]);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::CloseBracket);
    assert_eq!(asked(&mut harness), [Action::SelectRung("Q2_K".into())], "rungs that would have to be made are passed over");
}

#[test]
fn esc_closes_the_editor_before_it_stops_a_reply() {
    let mut state = busy_state();
    state.activity = generating();
    let mut harness = harness(state);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::D);
    harness.run();
    harness.get_by_label("Close the design editor");
    harness.key_press(egui::Key::Escape);
    assert_eq!(asked(&mut harness), []);
    assert!(harness.query_by_label("Close the design editor").is_none());
    harness.key_press(egui::Key::Escape);
    assert_eq!(asked(&mut harness), [Action::Stop]);
}

#[test]
fn keys_wait_while_a_dialog_is_open() {
    let mut state = busy_state();
    state.activity = generating();
    state.dialog = Dialog::Shortcuts;
    let mut harness = harness(state);
    harness.key_press(egui::Key::Escape);
    assert_eq!(asked(&mut harness), [Action::CloseDialog], "Esc belongs to the dialog");
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::N);
    assert_eq!(asked(&mut harness), []);
}

#[test]
fn notices_offer_and_go() {
    let mut state = busy_state();
    let offer = inferscope::app::NoticeAction { label: "Undo".into(), action: Box::new(Action::UndoDelete(ChatId(1))) };
    state.notices.push(Severity::Info, "The chat was deleted", Vec::new(), Some(offer), 99.0);
    state.notices.push(Severity::Error, "Q6_K was not made", vec!["disk full".into()], None, 99.0);
    let mut harness = harness(state);
    harness.get_by_label("Undo").click();
    assert_eq!(asked(&mut harness), [Action::UndoDelete(ChatId(1)), Action::DismissNotice(1)]);
    harness.get_by_label("Show details").click();
    harness.run();
    harness.get_by_label("disk full");
    harness.get_by_label("Copy details").click();
    assert_eq!(asked(&mut harness), [Action::Copy("Q6_K was not made\ndisk full".into())]);
}

#[test]
fn the_log_is_filtered_and_copied() {
    let mut state = busy_state();
    state.log = (0..500).map(|line| format!("llama: line {line}")).collect();
    state.log.push("ggml: failed to map".into());
    let mut harness = harness(state);
    harness.get_by_label("Log").click();
    harness.run();
    harness.get_by_label("501 of 501 lines");
    harness.get_by_label("Filter the log").focus();
    harness.run();
    harness.get_by_label("Filter the log").type_text("FAILED");
    harness.run();
    harness.get_by_label("1 of 501 lines");
    harness.get_by_label("Copy lines").click();
    assert_eq!(asked(&mut harness), [Action::Copy("ggml: failed to map".into())]);
}

#[test]
fn the_status_bar_tells_of_the_engine() {
    let mut state = busy_state();
    state.unsaved = Some(EngineError::new(ErrorKind::Disk, "The disk is full"));
    let harness = harness(state);
    harness.get_by_label("Engine running, pid 20611");
    harness.get_by_label("llama.cpp b11434, AVX-512");
    harness.get_by_label("KV 4,096 tokens");
    harness.get_by_label("Not saved");
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// Writes pictures of every panel into the folder named by `PANEL_PICTURES`; for eyes, not for comparison.
#[test]
fn pictures() {
    let Some(folder) = std::env::var_os("PANEL_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let save = |harness: &mut Harness<'static, Window>, name: &str| {
        harness.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    };
    let mut chat = busy_state();
    chat.activity = generating();
    chat.telemetry.prefilling = Some(Prefilling { cached: 0, done: 1024, total: 4096, began: 99.0, is_drawn: true });
    chat.notices.push(
        Severity::Warn,
        "Q6_K made in 4.2 s, 120 MB; 30 tensors do not fit its blocks and got another type",
        Vec::new(),
        None,
        99.0,
    );
    save(&mut harness(chat.clone()), "chat");
    save(&mut harness_sized(chat, [1024.0, 640.0], Theme::Light), "chat-small-light");
    save(&mut harness(AppState::default()), "empty");
    let mut library = on_page(Page::Library);
    library.making = Some(making("Q3_K_M"));
    for number in 0..3 {
        library.library.families.push(Family { key: format!("f{number}"), name: format!("Qwen3 {number}B Instruct"), ..family() });
    }
    library.library.skipped.push(Skipped { path: "/data/gguf/notes.gguf".into(), why: "It is not a GGUF file".into() });
    save(&mut harness(library.clone()), "library");
    save(&mut harness_sized(library, [1024.0, 640.0], Theme::HighContrast), "library-small-contrast");
    save(&mut harness_sized(on_page(Page::Settings), [1440.0, 1900.0], Theme::Dark), "settings");
    let mut editor = harness(busy_state());
    editor.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::D);
    editor.run();
    save(&mut editor, "editor");
    let mut small = harness_sized(busy_state(), [1024.0, 640.0], Theme::Dark);
    small.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::D);
    small.run();
    save(&mut small, "editor-small");
    let mut menu = harness(busy_state());
    menu.get_by_label("Model: SmolLM2 135M Instruct").click();
    menu.run();
    save(&mut menu, "menu");
    let mut more = harness(busy_state());
    more.get_by_label("More rungs, 3").click();
    more.run();
    save(&mut more, "more");
    let mut palette = harness(busy_state());
    palette.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    palette.run();
    save(&mut palette, "palette");
    let mut folded = busy_state();
    folded.settings.telemetry_open = false;
    folded.log = (0..60).map(|line| format!("llama_model_loader: - tensor {line}: blk.0.attn_k.weight q4_K")).collect();
    let mut log = harness(folded);
    log.get_by_label("Log").click();
    log.run();
    save(&mut log, "log");
}
