//! The Measure page, driven by accessible name on runs that were made up for it.

#[path = "support/clock.rs"]
mod clock;

#[path = "gui_measure/fixtures.rs"]
mod fixtures;
#[path = "support/stage.rs"]
mod stage;

use std::path::PathBuf;

use clock::Work;
use egui::Key;
use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use fixtures::*;
use inferscope::app::{Action, Answer, AppState, Effect, Now, update};
use inferscope::measure::sweep::SweepResult;
use inferscope::protocol::{Run, RunId};
use inferscope::store::RunHead;
use inferscope::ui::panels::measure::{MeasureView, measure_page};
use inferscope::ui::theme::{self, Theme};
use stage::stage;

/// The page without what runs behind it.
struct Page {
    state: AppState,
    view: MeasureView,
    /// What was asked for
    asked: Vec<Action>,
    /// What that asked of the runtime
    effects: Vec<Effect>,
    /// What is on the disk
    kept: Vec<Run>,
}

const NOW: Now = Now { secs: 100.0, at: 100.0, unix_ms: 1_700_000_000_000 };

impl Page {
    fn ui(&mut self, ui: &mut egui::Ui) {
        let mut actions = Vec::new();
        self.effects.extend(update::tick(&mut self.state, NOW).0);
        measure_page(ui, &self.state, &mut self.view, NOW.secs, &mut actions);
        self.asked.extend(actions.iter().cloned());
        for action in actions {
            self.effects.extend(update::on_action(&mut self.state, action, NOW));
        }
        let (reads, rest) = std::mem::take(&mut self.effects).into_iter().partition(|effect| matches!(effect, Effect::ReadBoard(..)));
        self.effects = rest;
        for effect in reads {
            let Effect::ReadBoard(seq, ids) = effect else { continue };
            let runs = self.kept.iter().filter(|run| ids.contains(&run.id)).cloned().collect();
            self.effects.extend(update::on_answer(&mut self.state, Answer::BoardRead(seq, runs), NOW));
            ui.request_repaint();
        }
    }
}

fn harness(runs: Vec<Run>, size: [f32; 2], look: Theme) -> Harness<'static, Page> {
    harness_of(measured(runs), size, look)
}

fn harness_of(state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Page> {
    harness_over(state, Vec::new(), size, look)
}

/// The page over runs that are on the disk.
fn harness_over(mut state: AppState, kept: Vec<Run>, size: [f32; 2], look: Theme) -> Harness<'static, Page> {
    state.page = inferscope::app::Page::Measure;
    if !state.history.is_loaded {
        update::on_answer(&mut state, Answer::Runs(Vec::new()), NOW);
    }
    let page = Page { state, view: MeasureView::default(), asked: Vec::new(), effects: Vec::new(), kept };
    let mut harness = stage(page, size, look, |ui, page: &mut Page| {
        let fill = theme::palette(ui).page;
        egui::CentralPanel::default().frame(egui::Frame::new().fill(fill)).show(ui, |ui| {
            page.ui(ui);
        });
    });
    harness.run();
    harness
}

fn type_limit(page: &mut Harness<'static, Page>, text: &str) {
    page.get_by_label("Add a limit").click();
    page.run();
    page.get_by_label("Add a limit").type_text(text);
    page.run();
    page.key_press(Key::Enter);
    page.run();
}

#[test]
fn the_answer_is_the_best_under_the_limits_and_one_press_uses_it() {
    let mut page = harness(ladder(), [984.0, 820.0], Theme::Dark);
    page.get_by_label("Best decode, no limits");
    type_limit(&mut page, "KLD <= 0.1");
    page.get_by_label("Best decode under your limits");
    page.get_by_label_contains("1.36x the current Q4_1 in decode");
    page.get_by_label_contains("Q6_K is not distinguishable in decode");
    page.get_by_label("Use this design").click();
    page.run();
    let asked = std::mem::take(&mut page.state_mut().asked);
    let applied = asked.iter().find_map(|action| if let Action::ApplyDesign(applied) = action { Some(&**applied) } else { None });
    assert_eq!(applied, Some(&design("Q8_0", 2)), "{asked:?}");
    page.get_by_label("Remove the limit KLD \u{2264} 0.1").click();
    page.run();
    page.get_by_label("Best decode, no limits");
}

#[test]
fn a_limit_that_cannot_be_read_says_how_to_write_it() {
    let mut page = harness(ladder(), [984.0, 820.0], Theme::Dark);
    type_limit(&mut page, "memory <= 600");
    page.get_by_label_contains("Say the unit");
    // what was typed stays to be corrected
    page.get_by_label("Add a limit").type_text(" MB");
    page.run();
    page.key_press(Key::Enter);
    page.run();
    page.get_by_label("Remove the limit memory \u{2264} 600 MB");
}

#[test]
fn limits_that_nothing_keeps_are_taken_away_by_one_press() {
    let mut page = harness(ladder(), [984.0, 820.0], Theme::Dark);
    type_limit(&mut page, "memory <= 10 MB");
    page.get_by_label("No design keeps to every limit");
    page.get_by_label("Take the limits away").click();
    page.run();
    page.get_by_label("Best decode, no limits");
}

#[test]
fn arrows_move_the_selection_between_points_and_it_is_announced() {
    let mut page = harness(ladder(), [984.0, 820.0], Theme::Dark);
    let board = "Designs by Decode and Mean KLD, 10 points";
    page.get_by_label_contains(board).focus();
    page.run();
    page.key_press(Key::ArrowRight);
    page.run();
    // the first key selects the answer
    page.get_by_label_contains("selected IQ4_NL. Decode");
    page.key_press(Key::ArrowLeft);
    page.run();
    page.get_by_label_contains("selected Q2_K. Decode");
    page.key_press(Key::ArrowUp);
    page.run();
    page.get_by_label_contains("selected Q4_0. Decode");
    page.get_by_label("Close the selected design").click();
    page.run();
    page.get_by_label_contains("nothing selected");
}

#[test]
fn a_row_shows_samples_roofline_and_difference() {
    let mut page = harness(sweep(), [984.0, 1400.0], Theme::Dark);
    page.get_by_label_contains("Q8_0, 1 thread, Decode").click();
    page.run();
    page.get_by_label_contains("Decode, 8 samples from");
    page.get_by_label("Of the bandwidth limit 35 %");
    page.get_by_label("Of the arithmetic limit 41 %");
    page.get_by_label_contains("Q4_1 \u{2192} Q8_0");
    page.get_by_label_contains("threads: 2 \u{2192} 1");
}

#[test]
fn a_design_that_failed_is_a_row_with_its_cause() {
    let mut page = harness(sweep(), [984.0, 1400.0], Theme::Dark);
    let row = page.get_by_label_contains("IQ4_NL, 4 threads");
    row.click();
    page.run();
    page.get_by_label("The context does not fit in memory");
    assert!(page.query_by_label_contains("failed: The context does not fit in memory").is_some());
}

#[test]
fn heads_sort_and_small_charts_say_what_is_best() {
    let mut page = harness(sweep(), [984.0, 1600.0], Theme::Dark);
    page.get_by_label("Sort by decode t/s").click();
    page.run();
    page.get_by_label("Sort by decode t/s, sorted, largest first");
    page.get_by_label_contains("Decode t/s by threads: Q8_0 decodes fastest with 2 threads");
    assert!(page.query_all_by_label_contains("4 is not distinguishable").count() > 0);
}

#[test]
fn an_empty_page_starts_a_sensible_sweep_by_one_press() {
    let mut page = harness(Vec::new(), [984.0, 820.0], Theme::Dark);
    page.get_by_label("Nothing was measured yet");
    page.get_by_label("Measure 3 rungs with 1 and 2 threads").click();
    page.run();
    let plan = page.state().effects.iter().find_map(|effect| match effect {
        Effect::PrepareSweep(plan) => Some(plan.clone()),
        _ => None,
    });
    let plan = plan.expect("a sweep is prepared");
    let labels: Vec<&str> = plan.candidates.iter().map(|candidate| candidate.label.as_str()).collect();
    assert_eq!(
        labels,
        ["F16, threads 1", "F16, threads 2", "Q5_K_M, threads 1", "Q5_K_M, threads 2", "Q2_K, threads 1", "Q2_K, threads 2"]
    );
    page.get_by_label("Stop measuring");
}

#[test]
fn without_a_model_the_page_says_so() {
    let mut page = harness_of(AppState::default(), [984.0, 820.0], Theme::Dark);
    page.get_by_label("Nothing to measure yet");
    page.get_by_label("Open a model\u{2026}").click();
    page.run();
    assert_eq!(page.state().asked, [Action::PickModel]);
}

#[test]
fn the_plan_takes_rungs_by_press_and_values_as_llama_bench_writes_them() {
    let mut page = harness(Vec::new(), [984.0, 900.0], Theme::Dark);
    page.get_by_label("Choose what to measure").click();
    page.run();
    page.get_by_label_contains("6 designs, 8 repetitions");
    page.get_by_label("Measure Q8_0").click();
    page.run();
    page.get_by_label_contains("8 designs, 8 repetitions");
    page.get_by_role_and_label(Role::TextInput, "Key cache").click();
    page.run();
    page.get_by_role_and_label(Role::TextInput, "Key cache").type_text("f16,q9_9");
    page.run();
    page.get_by_label_contains("\"q9_9\" is not a cache type");
    page.get_by_label("Correct the value above");
    for _ in 0..4 {
        page.key_press(Key::Backspace);
    }
    page.run();
    page.get_by_role_and_label(Role::TextInput, "Key cache").type_text("q8_0");
    page.run();
    page.get_by_label_contains("16 designs, 8 repetitions");
}

#[test]
fn a_limit_on_quality_has_the_next_sweep_measure_it_and_the_plan_says_why_and_how_long() {
    let mut page = harness(ladder(), [984.0, 900.0], Theme::Dark);
    page.state_mut().state.telemetry.prefill_tps = Some(512.0);
    page.get_by_label("Measure more\u{2026}").click();
    page.run();
    page.get_by_label("Measure quality loss, too, on the text that ships with the program");
    page.get_by_label("Close the plan").click();
    page.run();
    type_limit(&mut page, "KLD <= 0.05");
    page.get_by_label("Measure more\u{2026}").click();
    page.run();
    // five levels and the reference read 4,096 tokens each, at 512 a second
    page.get_by_label("Quality loss is measured too, because of the limit KLD \u{2264} 0.05, about 48 s more (estimate)");
    page.get_by_label("Start measuring").click();
    page.run();
    let plan = page.state().effects.iter().find_map(|effect| match effect {
        Effect::PrepareSweep(plan) => Some(plan.clone()),
        _ => None,
    });
    let plan = plan.expect("a sweep is prepared");
    assert!(plan.quality.is_some() && plan.limits.len() == 1, "{:?}", plan.limits);
}

#[test]
fn a_search_that_ended_early_says_so_on_the_page() {
    let mut state = AppState { loaded: Some(Box::new(report("Q4_1"))), ..AppState::default() };
    let words = "The search ended because its time was used up. 2 designs were measured too little or not at all, and may be better";
    let (runs, unsettled) = (ladder(), Some(words.to_owned()));
    state.measure.result =
        Some(SweepResult { runs, standings: Vec::new(), front: Vec::new(), infeasible: Vec::new(), best: None, unsettled });
    let page = harness_of(state, [984.0, 820.0], Theme::Dark);
    page.get_by_label(words);
}

#[test]
fn a_sweep_that_runs_says_what_it_does_and_stops() {
    let mut page = harness(Vec::new(), [984.0, 900.0], Theme::Dark);
    page.get_by_label("Measure 3 rungs with 1 and 2 threads").click();
    page.run();
    let plan = page.state().effects.iter().find_map(|effect| match effect {
        Effect::PrepareSweep(plan) => Some(plan.clone()),
        _ => None,
    });
    let state = &mut page.state_mut().state;
    update::on_answer(state, Answer::SweepPrepared(plan.expect("a sweep is prepared")), NOW);
    page.run();
    assert!(page.query_all_by_label_contains("repetition 1 of 8").count() > 0);
    page.get_by_label_contains("0 of 48 measurements");
    page.get_by_label("Stop measuring").click();
    page.run();
    assert_eq!(page.state().asked.last(), Some(&Action::StopSweep));
    assert!(page.query_all_by_label_contains("Stopping").count() > 0);
}

/// The page after a start, over runs that were kept: two sweeps of the model, and a single run of another.
fn kept_page(size: [f32; 2], look: Theme) -> Harness<'static, Page> {
    let mut runs = sweep();
    for (id, run) in (1..).zip(&mut runs) {
        run.id = RunId(id);
        run.group = "sweep-1700000000".into();
    }
    for (id, quant, tps) in [(90, "Q8_0", 150.0), (91, "Q4_1", 110.0)] {
        let own = run(quant, 2, tps, 400e6, None, 50);
        runs.push(Run { id: RunId(id), group: "before the update".into(), started_ms: NOW.unix_ms - 86_400_000, ..own });
    }
    let mut other = run("Q8_0", 2, 30.0, 900e6, None, 51);
    (other.id, other.environment.model) = (RunId(99), "Llama 3.2 1B".into());
    other.group.clear();
    runs.push(other);
    let mut state = AppState { loaded: Some(Box::new(report("Q4_1"))), ..AppState::default() };
    state.library.families = vec![family()];
    update::on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), NOW);
    harness_over(state, runs, size, look)
}

#[test]
fn after_a_start_an_earlier_sweep_is_on_the_board_and_another_is_picked() {
    let mut page = kept_page([984.0, 1400.0], Theme::Dark);
    // ids rise: the one that was named is the latest
    page.get_by_label_contains("2 designs measured in");
    page.get_by_label("Best decode, no limits");
    page.get_by_label("Runs on the board").click();
    page.run();
    page.get_by_label("before the update");
    page.get_by_label("All kept of Llama 3.2 1B");
    page.get_by_label_contains("Sweep of ").click();
    page.run();
    page.run();
    page.get_by_label_contains("14 designs measured in");
    page.get_by_label_contains("8 repetitions each");
    // the answer, the table and the detail are of what is shown
    type_limit(&mut page, "KLD <= 0.1");
    page.get_by_label_contains("Q6_K, 2 threads is not distinguishable in decode");
    page.get_by_label_contains("Q8_0, 1 thread, Decode").click();
    page.run();
    page.get_by_label_contains("Decode, 8 samples from");
}

#[test]
fn everything_kept_of_a_model_says_what_it_is_and_a_deleted_run_leaves_it() {
    let mut page = kept_page([984.0, 820.0], Theme::Dark);
    page.get_by_label("Runs on the board").click();
    page.run();
    page.get_by_label("All kept of SmolLM2 135M Instruct").click();
    page.run();
    page.run();
    page.get_by_label_contains("14 designs in 17 runs since");
    let gone: Vec<RunId> = (2..=15).map(RunId).collect();
    let effects = update::on_action(&mut page.state_mut().state, Action::DeleteRuns(gone), NOW);
    page.state_mut().effects.extend(effects);
    page.run();
    page.get_by_label_contains("3 designs in 3 runs since");
}

/// 500 designs: what is drawn is made once, and a frame paints what is in view.
#[test]
fn five_hundred_designs_keep_the_frame_budget() {
    let quants = ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_1", "Q3_K_M", "IQ4_NL", "Q4_0", "Q2_K"];
    let runs: Vec<Run> = (0..500)
        .map(|i| {
            let (threads, quant) = (i / 10 + 1, quants[i % 10]);
            run(quant, threads as u32, 60.0 + ((i * 37) % 140) as f64, 370e6 + ((i * 53) % 180) as f64 * 1e6, None, i)
        })
        .collect();
    let mut page = harness(runs, [1112.0, 820.0], Theme::Dark);
    let mut times = Vec::new();
    // of 150 frames, the 99th percentile would be the luck of the slowest two
    for frame in 0..1510 {
        if frame % 20 == 0 {
            page.hover_at(egui::pos2(300.0 + (frame % 160) as f32, 260.0));
        }
        let work = Work::begin();
        page.step();
        times.push(work.cost_ms());
    }
    times.drain(..10);
    times.sort_by(f64::total_cmp);
    let (median, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("500 designs: frame median {median:.2} ms, p99 {p99:.2} ms");
    assert!(p99 < 8.0, "median {median:.2} ms, p99 {p99:.2} ms");
}

/// Pictures to look at, where a folder is given.
#[test]
fn pictures_of_the_page() {
    let Some(folder) = std::env::var_os("INFERSCOPE_PICTURES").map(PathBuf::from) else { return };
    for (name, look) in [("kept_dark", Theme::Dark), ("kept_light", Theme::Light), ("kept_contrast", Theme::HighContrast)] {
        let mut page = kept_page([984.0, 820.0], look);
        page.get_by_label("Runs on the board").click();
        page.run();
        page.get_by_label("All kept of SmolLM2 135M Instruct").click();
        page.run();
        page.get_by_label("Runs on the board").click();
        page.run();
        page.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
    for (name, look) in [("plan_dark", Theme::Dark), ("plan_light", Theme::Light), ("plan_contrast", Theme::HighContrast)] {
        let mut page = harness(ladder(), [984.0, 820.0], look);
        page.state_mut().state.telemetry.prefill_tps = Some(512.0);
        type_limit(&mut page, "KLD <= 0.05");
        page.get_by_label("Measure more\u{2026}").click();
        page.run();
        page.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
    for (name, size, look) in [
        ("measure_dark", [984.0, 1500.0], Theme::Dark),
        ("measure_light", [984.0, 820.0], Theme::Light),
        ("measure_contrast", [984.0, 820.0], Theme::HighContrast),
        ("measure_small", [640.0, 1900.0], Theme::Dark),
    ] {
        let mut page = harness(if name == "measure_light" { ladder() } else { sweep() }, size, look);
        type_limit(&mut page, "KLD <= 0.1");
        if size[1] > 900.0 {
            page.get_by_label_contains("Q8_0, 2 threads, Decode").click();
            page.run();
        }
        page.run_ok();
        page.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
}
