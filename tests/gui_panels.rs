//! The panels, driven by accessible name on hand-built states: what a press asks for, and what is said.

#[path = "gui_panels/compare.rs"]
mod compare;
#[path = "gui_panels/every_page.rs"]
mod every_page;
#[path = "gui_panels/fixtures.rs"]
mod fixtures;
#[path = "gui_panels/library.rs"]
mod library;
#[path = "gui_panels/telemetry.rs"]
mod telemetry;
#[path = "support/window.rs"]
mod window;

use std::path::PathBuf;

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use fixtures::*;
use inferscope::app::{
    Action, Activity, AppState, Crash, Dialog, Inspection, Loading, Page, PlotRange, Prediction, Prefilling, Retry, Severity,
};
use inferscope::library::{Estimate, Family, NearestFit, RungState, Skipped};
use inferscope::protocol::{Design, EngineError, ErrorKind, JobId, LoadReport, MemoryUse, ModelInfo};
use inferscope::store::{ChatId, Theme as SavedTheme};
use inferscope::ui::theme::Theme;
use window::{NOW, Window, harness, harness_sized};

/// What was asked since the last time this was called.
fn asked(harness: &mut Harness<'static, Window>) -> Vec<Action> {
    harness.run();
    let all = std::mem::take(&mut harness.state_mut().asked);
    // an open editor asks for its prediction until it has one
    all.into_iter().filter(|action| !matches!(action, Action::PredictDesign(_))).collect()
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

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn the_rail_goes_to_pages() {
    let mut harness = harness(busy_state());
    harness.get_by_label("Library").click();
    assert_eq!(asked(&mut harness), [Action::Navigate(Page::Library)]);
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Num7);
    assert_eq!(asked(&mut harness), [Action::Navigate(Page::Settings)]);
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
