//! The Quality page by accessible name, and what a frame of it costs.

#[path = "support/clock.rs"]
mod clock;

use std::path::PathBuf;
use std::sync::Arc;

use clock::Work;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use inferscope::app::quality::{Candidate, Comparison, Phase, TextSource, Variant};
use inferscope::app::{Action, AppState, HeatBy, Now, Page, QualityAction, QualityForm};
use inferscope::library::{Family, Rung, RungState, text};
use inferscope::measure::stats;
use inferscope::protocol::{CacheType, Design, EngineError, ErrorKind, QualityBatch, QualityLayout, TOP, TokenScore};
use inferscope::ui::panels::{self, Views};
use inferscope::ui::shortcuts;
use inferscope::ui::theme::{self, Theme};

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
    let window = Window { state, views: Views::default(), asked: Vec::new() };
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

/// What was asked of the page since the last time this was called.
fn asked(harness: &mut Harness<'static, Window>) -> Vec<QualityAction> {
    harness.run();
    let actions = std::mem::take(&mut harness.state_mut().asked);
    actions.into_iter().filter_map(|action| if let Action::Quality(action) = action { Some(action) } else { None }).collect()
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn path(quant: &str) -> PathBuf {
    PathBuf::from(format!("/models/SmolLM2-135M-Instruct.{quant}.gguf"))
}

fn rung(quant: &str, megabytes: u64, is_on_disk: bool) -> Rung {
    let state = if is_on_disk {
        RungState::OnDisk { path: path(quant), size: megabytes * 1_000_000, bpw: 8.0, alternates: Vec::new() }
    } else {
        RungState::CanMake {
            source: path("F16"),
            source_quant: "F16".into(),
            size_estimate: megabytes * 1_000_000,
            bpw_estimate: 6.0,
            seconds_estimate: 9.0,
            lossy_source: false,
            target: path(quant),
            needs_space: 1,
        }
    };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

const RUNGS: [(&str, u64, f32); 7] = [
    ("Q8_0", 136, 0.005),
    ("Q5_K_M", 105, 0.03),
    ("Q4_K_M", 99, 0.062),
    ("Q4_1", 92, 0.09),
    ("IQ4_NL", 86, 0.185),
    ("Q3_K_M", 84, 0.16),
    ("Q2_K", 82, 0.414),
];

fn state() -> AppState {
    let mut rungs = vec![rung("F16", 257, true)];
    rungs.extend(RUNGS.iter().map(|(quant, size, _)| rung(quant, *size, true)));
    rungs.insert(2, rung("Q6_K", 120, false));
    let family = Family {
        key: "smollm2".into(),
        name: "SmolLM2 135M Instruct".into(),
        arch: "llama".into(),
        n_params: 134_515_008,
        n_layer: 30,
        n_ctx_train: 8192,
        rungs,
    };
    let mut state = AppState { page: Page::Quality, ..AppState::default() };
    state.library.families = vec![family];
    state.library.was_scanned = true;
    state
}

/// A score that strays around `mean`, seldom far.
fn score(at: usize, mean: f32) -> TokenScore {
    let draw = ((at * 7919 + 13) % 1000) as f32 / 1000.0;
    let kld = mean * (0.2 + 3.0 * draw.powi(6) * 4.0);
    let far = draw > 0.9;
    let top = |shift: u32, first: f32| std::array::from_fn(|i| ((i as u32 + shift) % 8, first / (i + 1) as f32));
    let _: [(u32, f32); TOP] = top(0, 0.4);
    TokenScore {
        nll_ref: 1.2 + draw,
        nll_cand: 1.2 + draw + kld,
        kld,
        delta_p: if at % 5 == 0 { kld / 4.0 } else { -kld / 3.0 },
        same_top: !far,
        rank_ref: 1 + (at % 4) as u32,
        rank_cand: 1 + (at % 4) as u32 + if far { 6 } else { 0 },
        top_ref: top(0, 0.41),
        top_cand: top(u32::from(far), 0.3),
    }
}

/// Words and the spaces before them as tokens, as a tokenizer would cut English.
fn layout(text: &str, most: usize) -> QualityLayout {
    let mut ends = Vec::new();
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let cut = at > 0 && (c.is_whitespace() && !before.is_whitespace() || !c.is_alphanumeric() && !c.is_whitespace() || c == '\n');
        if cut {
            ends.push(at as u32);
        }
        before = c;
        if ends.len() == most {
            break;
        }
    }
    let text = text[..*ends.last().unwrap() as usize].to_owned();
    let chunks = ends.len() as u32 / 512;
    QualityLayout { text, n_ctx: 512, chunks, scored: u64::from(chunks) * 255, ends, side_by_side: true }
}

fn compared(text: &str, most: usize, rungs: &[(&str, u64, f32)]) -> AppState {
    let mut state = state();
    let layout = layout(text, most);
    let n = layout.ends.len();
    let words = ["continuously", " on", " every", " in", " and", "\n", " models", " the"];
    let mut comparison = Comparison {
        reference: Design::for_model(path("F16")),
        reference_name: "F16".into(),
        family: "smollm2".into(),
        text_name: "brief.md".into(),
        text_hash: "1".into(),
        names: (0..8).zip(words.map(str::to_owned)).collect(),
        phase: Phase::Ended,
        seconds: Some(21.0),
        started_ms: 1,
        ..Comparison::default()
    };
    for (quant, size, kld) in rungs {
        let mut candidate = Candidate::new(Design::for_model(path(quant)), (*quant).into(), size * 1_000_000);
        for chunk in 0..n / 512 {
            let first = chunk * 512 + 257;
            let scores = (first..(chunk + 1) * 512).map(|at| score(at, *kld)).collect();
            candidate.take(&QualityBatch { candidate: 0, first: first as u64, scores, names: Vec::new() }, n);
        }
        candidate.finish();
        comparison.candidates.push(candidate);
    }
    comparison.layout = Some(Arc::new(layout));
    state.quality.comparison = Some(Box::new(comparison));
    state.quality.from_level = 1;
    state
}

// ---------------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_comparison_is_set_up_and_begun() {
    let mut harness = harness(state());
    harness.get_by_label("What does Q2_K cost against F16?");
    harness.get_by_label("Q4_K_M, 99 MB").click();
    assert_eq!(asked(&mut harness), [QualityAction::ToggleRung(path("Q4_K_M"))]);
    harness.get_by_label("Reference Q8_0, 136 MB").click();
    assert_eq!(asked(&mut harness), [QualityAction::SetReference(path("Q8_0"))]);
    harness.get_by_label("KV q4_0").click();
    assert_eq!(asked(&mut harness), [QualityAction::ToggleVariant(Variant::Cache(CacheType::Q4_0))]);
    harness.get_by_label("A file").click();
    assert_eq!(asked(&mut harness), [QualityAction::PickText]);
    harness.get_by_role_and_label(egui::Role::Button, "Compare").click();
    assert_eq!(asked(&mut harness), [QualityAction::Measure]);
    harness.get_by_label("Measure the whole ladder").click();
    assert_eq!(asked(&mut harness), [QualityAction::MeasureLadder]);

    harness.state_mut().state.quality.setup.source = TextSource::File("/tmp/empty.txt".into());
    harness.state_mut().state.quality.setup.content = Some(Err(EngineError::new(ErrorKind::InvalidRequest, "The text is empty")));
    harness.run();
    harness.get_all_by_label_contains("The text is empty").next().expect("why nothing can begin is said");
    harness.get_by_role_and_label(egui::Role::Button, "Compare").click();
    assert_eq!(asked(&mut harness), [], "and nothing does");
}

#[test]
fn without_a_model_there_is_one_way_to_begin() {
    let mut harness = harness(AppState { page: Page::Quality, ..AppState::default() });
    harness.get_by_label("No model to compare");
    harness.get_all_by_label("Open a model…").last().unwrap().click();
    harness.run();
    assert_eq!(harness.state().asked, [Action::PickModel]);
}

#[test]
fn the_answer_is_said_in_figures_and_tokens() {
    let mut harness = harness(compared(text::EVALUATION, 4000, &RUNGS));
    harness.get_by_label("What does Q8_0 cost against F16?");
    for label in ["Perplexity", "Mean KLD", "Same top token", "RMS Δp", "First divergence"] {
        harness.get_all_by_label_contains(label).next().expect("every tile is there");
    }
    harness.get_by_label_contains("Text coloured by KLD, 1785 tokens scored");
    harness.get_by_label_contains("Quality loss of the ladder: F16 KLD 0, Q8_0 KLD");
    harness.get_by_label_contains("Q2_K, 0.").click();
    assert_eq!(asked(&mut harness), [QualityAction::Show(6)]);
    harness.get_by_label("Δp").click();
    assert_eq!(asked(&mut harness), [QualityAction::SetHeat(HeatBy::DeltaP)]);
    harness.get_by_label("Colour from KLD 0.5").click();
    assert_eq!(asked(&mut harness), [QualityAction::SetFromLevel(3)]);
    harness.get_by_label("Next worst token").click();
    assert_eq!(asked(&mut harness), [QualityAction::Worst(1)]);
    harness.key_press(egui::Key::F3);
    assert_eq!(asked(&mut harness), [QualityAction::Worst(1)]);
    harness.key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::F3);
    assert_eq!(asked(&mut harness), [QualityAction::Worst(-1)]);
    harness.get_by_label("Compare greedy answers").click();
    assert_eq!(asked(&mut harness), [QualityAction::MeasureAnswers]);
    harness.get_by_label("Export the result").click();
    harness.run();
    harness.get_by_label("Every token as CSV…").click();
    assert_eq!(asked(&mut harness), [QualityAction::Export(QualityForm::Tokens)]);
}

#[test]
fn a_token_that_was_picked_is_brought_into_view_and_told_about() {
    let mut state = compared(text::EVALUATION, 4000, &RUNGS[6..]);
    state.quality.selected = Some(3500);
    let mut harness = harness(state);
    harness.get_by_label_contains("token 3500: “");
    harness.get_by_label("F16 p");
    harness.get_by_label("Q2_K p");
    harness.get_by_label_contains(", token 3500 “").focus();
    harness.run();
    harness.key_press(egui::Key::ArrowLeft);
    assert_eq!(asked(&mut harness), [QualityAction::Select(Some(3499))]);
    harness.key_press(egui::Key::ArrowRight);
    assert_eq!(asked(&mut harness), [QualityAction::Select(Some(3501))]);
}

#[test]
fn a_running_comparison_can_be_stopped_and_a_failed_one_says_why() {
    let mut state = compared(text::EVALUATION, 2000, &RUNGS[..2]);
    if let Some(comparison) = &mut state.quality.comparison {
        comparison.phase = Phase::Reading;
        comparison.progress = (50, 100);
        comparison.reading_since = Some((90.0, 0));
    }
    let mut harness = harness(state);
    harness.get_by_label("about 10 s left");
    harness.get_all_by_label("Stop").last().unwrap().click();
    let stop = |actions: &[QualityAction]| actions == [QualityAction::Stop];
    assert!(stop(&asked(&mut harness)) || harness.state().asked == [Action::Stop]);
    if let Some(comparison) = &mut harness.state_mut().state.quality.comparison {
        comparison.phase = Phase::Ended;
        comparison.error = Some(EngineError::new(ErrorKind::Killed, "The engine was killed"));
    }
    harness.run();
    harness.get_by_label_contains("What was measured before is kept below");
    harness.get_by_label("Set it up anew").click();
    assert_eq!(asked(&mut harness), [QualityAction::Clear]);
}

#[test]
fn nothing_is_cut_off_in_a_small_window() {
    for state in [state(), compared(text::EVALUATION, 2000, &RUNGS)] {
        let harness = harness_sized(state, [1024.0, 640.0], Theme::Dark);
        let window = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(1024.0, 640.0));
        for node in harness.root().children_recursive() {
            if node.accesskit_node().role() == egui::accesskit::Role::Button {
                let right = node.rect().right();
                assert!(right <= window.right() + 0.5, "{:?} ends at {right}", node.accesskit_node().label());
            }
        }
    }
}

/// 20,000 tokens, a frame for every step of a scroll through them, then for leaps from token to token.
#[test]
#[expect(clippy::print_stdout, reason = "the figure itself")]
fn a_frame_over_twenty_thousand_tokens_is_cheap() {
    let text = text::EVALUATION.repeat(8);
    let mut harness = harness(compared(&text, 20_480, &RUNGS));
    let tokens = harness.state().state.quality.comparison.as_ref().unwrap().layout.as_ref().unwrap().ends.len();
    assert_eq!(tokens, 20_480);
    let over = harness.get_by_label_contains("Text coloured by KLD").rect().center();
    harness.hover_at(over);
    harness.step();
    let mut frames = Vec::new();
    for frame in 0..400 {
        if frame < 300 {
            harness.event(egui::Event::MouseWheel {
                unit: egui::MouseWheelUnit::Point,
                delta: egui::vec2(0.0, -97.0),
                phase: egui::TouchPhase::Move,
                modifiers: egui::Modifiers::NONE,
                source: egui::MouseWheelSource::Wheel,
            });
        } else {
            harness.state_mut().state.quality.selected = Some((frame * 7919) % tokens);
        }
        let work = Work::begin();
        harness.step();
        let shapes = harness.output().shapes.clone();
        let meshes = harness.ctx.tessellate(shapes, 1.0);
        assert!(!meshes.is_empty());
        frames.push(work.cost_ms());
    }
    let at = |percent| stats::percentile(&frames, percent).unwrap();
    println!("heat map of 20,480 tokens, ms a frame: p50 {:.2}, p99 {:.2}, max {:.2}", at(50.0), at(99.0), at(100.0));
    assert!(at(99.0) <= 8.0, "p99 {:.2} ms", at(99.0));
}

#[test]
fn pictures_of_the_page() {
    let Some(folder) = std::env::var_os("INFERSCOPE_PICTURES").map(PathBuf::from) else { return };
    let mut state_with_token = compared(text::EVALUATION, 4000, &RUNGS);
    state_with_token.quality.shown = 4;
    state_with_token.quality.selected = Some(300);
    for (name, size) in [("wide", [1440.0, 900.0]), ("small", [1024.0, 640.0]), ("tall", [1440.0, 1300.0])] {
        for (look, theme) in [(Theme::Dark, "dark"), (Theme::Light, "light")] {
            for (page, state) in [("setup", state()), ("result", state_with_token.clone())] {
                let mut harness = harness_sized(state, size, look);
                harness.run();
                harness.render().unwrap().save(folder.join(format!("quality-{page}-{name}-{theme}.png"))).unwrap();
            }
        }
    }
}
