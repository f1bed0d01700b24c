//! The Quality page by accessible name, and what a frame of it costs.

#[path = "support/clock.rs"]
mod clock;
#[path = "gui_quality/fixtures.rs"]
mod fixtures;
#[path = "support/window.rs"]
mod window;

use std::path::PathBuf;

use clock::Work;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use fixtures::*;
use inferscope::app::quality::{Phase, TextSource, Variant};
use inferscope::app::{Action, AppState, HeatBy, LadderPoint, Page, QualityAction, QualityForm};
use inferscope::library::text;
use inferscope::measure::quality::tally::Estimate;
use inferscope::measure::stats;
use inferscope::protocol::{CacheType, Design, EngineError, ErrorKind, Metric, Run, RunId, Workload};
use inferscope::store::RunHead;
use inferscope::ui::theme::Theme;
use window::{Window, harness, harness_sized};

/// What was asked of the page since the last time this was called.
fn asked(harness: &mut Harness<'static, Window>) -> Vec<QualityAction> {
    harness.run();
    let actions = std::mem::take(&mut harness.state_mut().asked);
    actions.into_iter().filter_map(|action| if let Action::Quality(action) = action { Some(action) } else { None }).collect()
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
fn prompts_are_chosen_written_and_kept() {
    let mut harness = harness_sized(state(), [1200.0, 1000.0], Theme::Dark);
    harness.state_mut().acts = true;
    harness.get_by_role_and_label(egui::Role::RadioButton, "Prompts").click();
    harness.run();
    harness.get_by_label_contains("The reference answers 3 prompts");
    assert!(harness.query_by_label("Chunk").is_none(), "answers are read whole");
    harness.get_all_by_label("Longest answer").next().expect("it can be chosen");
    let editor = harness.get_by_role_and_label(egui::Role::MultilineTextInput, "Prompts");
    editor.focus();
    harness.run();
    harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    harness.event(egui::Event::Text("How much?".into()));
    harness.run();
    harness.get_by_label("Save them to have them asked");
    harness.get_by_label("Name of the prompts").focus();
    harness.run();
    harness.event(egui::Event::Text("Prices".into()));
    harness.run();
    harness.get_by_label("Save the prompts").click();
    assert!(asked(&mut harness).contains(&QualityAction::SavePrompts("Prices".into(), vec!["How much?".into()])));
    harness.get_by_label_contains("The reference answers 1 prompt,");
    harness.get_by_label("Delete these prompts").click();
    assert!(asked(&mut harness).contains(&QualityAction::DeletePrompts("Prices".into())));
    harness.get_by_label_contains("The reference answers 3 prompts");
}

#[test]
fn a_long_paste_is_named_instead_of_shown() {
    let mut harness = harness(state());
    harness.state_mut().acts = true;
    harness.get_by_label("Pasted text").click();
    harness.run();
    harness.get_by_role_and_label(egui::Role::MultilineTextInput, "Pasted text").focus();
    harness.run();
    let text = "Some words of a long report. ".repeat(200_000);
    harness.event(egui::Event::Paste(text.clone()));
    let work = Work::begin();
    harness.run();
    assert!(work.cost_ms() < 2000.0, "{} ms", work.cost_ms());
    assert!(asked(&mut harness).contains(&QualityAction::SetPasted(text)));
    harness.get_by_label("Pasted text, 5.8 MB");
    harness.get_by_label("Remove the pasted text").click();
    assert_eq!(asked(&mut harness), [QualityAction::SetPasted(String::new())]);
    harness.get_by_role_and_label(egui::Role::MultilineTextInput, "Pasted text");
}

/// Some rungs and a variant were measured on the text that ships, in an earlier session; most have a speed.
fn known() -> AppState {
    let kept = |quant: &str, kld: f64| LadderPoint {
        text_hash: text::text_hash(text::EVALUATION),
        n_ctx: 512,
        reference: path("F16"),
        model: path(quant),
        name: quant.into(),
        variant: Variant::Usual,
        size: 1,
        measured_ms: 1_763_900_000_000,
        run: None,
        tokens: 2550,
        kld: Estimate { value: kld, error: Some(kld / 20.0) },
    };
    let cache = Variant::Cache(CacheType::Q4_0);
    let mut state = state();
    state.quality.kept = vec![kept("Q8_0", 0.005), kept("Q4_1", 0.09), LadderPoint { variant: cache, ..kept("Q8_0", 0.02) }];
    for (quant, variant, tps) in
        [("F16", Variant::Usual, 60.0), ("Q8_0", Variant::Usual, 92.0), ("Q4_1", Variant::Usual, 109.0), ("Q8_0", cache, 97.0)]
    {
        state.quality.speeds.insert((path(quant), variant.name()), vec![tps]);
    }
    state
}

#[test]
fn what_was_measured_before_is_shown_while_a_comparison_is_set_up() {
    assert!(harness(state()).query_by_label("What is known on this text").is_none(), "nothing is known yet");
    let mut harness = harness_sized(known(), [1440.0, 1400.0], Theme::Dark);
    harness.get_by_label("What is known on this text");
    harness.get_by_label_contains("Q8_0, 136 MB\nMean KLD 0.0050, 95 % CI 0.0045 to 0.0055\nMeasured on 2");
    harness.get_by_label_contains("Q2_K, 82 MB\nNot measured on this text");
    harness.get_by_label("Speed").click();
    harness.run();
    harness.get_by_label_contains("Q8_0, KV q4_0, 136 MB\nMean KLD 0.0200");
    assert!(harness.query_by_label_contains("Q2_K, 82 MB\n").is_none(), "what has no speed has no place there");
}

#[test]
fn what_was_compared_before_can_be_looked_at_again() {
    let mut harness = harness(state());
    assert!(harness.query_by_label("Earlier comparisons").is_none(), "nothing was compared yet");
    let head = |id: i64, quant: &str| {
        let reference = Box::new(Design::for_model(path("F16")));
        let workload = Workload::Quality { text: "notes.txt".into(), text_hash: "h".into(), n_ctx: 512, reference };
        let mut run = Run::new(Design::for_model(path(quant)), workload, 1_763_900_000_000);
        (run.id, run.group) = (RunId(id), "quality-1".into());
        (run.environment.model, run.environment.quant) = ("SmolLM2".into(), quant.into());
        run.samples.insert(Metric::Kld, vec![0.1]);
        RunHead::of(&run)
    };
    harness.state_mut().state.history.runs = vec![head(2, "Q2_K"), head(1, "Q8_0")];
    harness.state_mut().state.history.revision += 1;
    harness.run();
    harness.get_by_label("Earlier comparisons").click();
    harness.run();
    harness.get_by_label("Q8_0, Q2_K").click();
    assert_eq!(asked(&mut harness), [QualityAction::Open(vec![RunId(1), RunId(2)])]);

    // one that was kept without its tokens says so, and has its figures
    let mut kept = compared(text::EVALUATION, 1200, &RUNGS[..1]);
    let comparison = kept.quality.comparison.as_mut().unwrap();
    comparison.is_kept = true;
    comparison.candidates[0].scores.clear();
    let harness = harness_sized(kept, [1100.0, 900.0], Theme::Dark);
    harness.get_by_label_contains("The text is not kept with this result");
    harness.get_all_by_label_contains("Mean KLD").next().expect("its figures are there");
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
    // the same walk five times, up and down in turns: of 400 frames, the 99th percentile would be the luck of the slowest four
    for frame in 0..2000 {
        if frame % 400 < 300 {
            let down = if (frame / 400) % 2 == 0 { -97.0 } else { 97.0 };
            harness.event(egui::Event::MouseWheel {
                unit: egui::MouseWheelUnit::Point,
                delta: egui::vec2(0.0, down),
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
            for (page, state) in [("setup", state()), ("known", known()), ("result", state_with_token.clone())] {
                let mut harness = harness_sized(state, size, look);
                harness.run();
                harness.render().unwrap().save(folder.join(format!("quality-{page}-{name}-{theme}.png"))).unwrap();
            }
        }
    }
}
