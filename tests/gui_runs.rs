//! The Runs page, driven by accessible name on hand-built histories: what a press asks for, what is said, and how fast ten thousand are.

#[path = "gui_runs/fixtures.rs"]
mod fixtures;
#[path = "support/window.rs"]
mod window;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use fixtures::*;
use inferscope::app::{Action, Answer, AppState, Page, update};
use inferscope::measure::kept::RunFormat;
use inferscope::protocol::{Design, RunId};
use inferscope::store::{DesignId, RunHead, SavedDesign};
use inferscope::ui::theme::Theme;
use window::{NOW, Window};

/// The window, in which what is asked for is done.
fn harness_sized(state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Window> {
    let mut harness = window::harness_sized(state, size, look);
    harness.state_mut().acts = true;
    harness
}

fn harness(state: AppState) -> Harness<'static, Window> {
    let mut harness = window::harness(state);
    harness.state_mut().acts = true;
    harness
}

fn asked(harness: &mut Harness<'static, Window>) -> Vec<Action> {
    harness.run();
    std::mem::take(&mut harness.state_mut().asked)
}

/// A row of the list by words that it holds.
fn row<'a>(harness: &'a Harness<'static, Window>, words: &'a str) -> egui_kittest::Node<'a> {
    harness.get_all_by_label_contains(words).find(|node| node.accesskit_node().role() == egui::Role::Row).expect("a row holds the words")
}

#[test]
fn an_empty_history_says_how_it_fills() {
    let mut harness = harness(state_of(Vec::new()));
    harness.get_by_label("Nothing was measured yet");
    harness.get_by_label("Import from llama-bench…").click();
    assert_eq!(asked(&mut harness), [Action::ImportRuns]);
}

#[test]
fn one_run_is_looked_into_and_two_are_compared() {
    let mut harness = harness(some());
    row(&harness, "After the BIOS update").click();
    let actions = asked(&mut harness);
    assert!(actions.contains(&Action::ShowRuns(vec![RunId(21)])), "{actions:?}");
    harness.get_by_label("Against the run before it");
    harness.get_by_label("Use this design").click();
    assert_eq!(asked(&mut harness), [Action::UseRunDesign(RunId(21))]);
    harness.get_by_label("Repeat").click();
    assert_eq!(asked(&mut harness), [Action::RepeatRun(RunId(21))]);
    assert!(harness.get_all_by_label_contains("Measuring again: tg128").count() > 0);
    harness.get_by_label("Take the tag laptop away").click();
    assert_eq!(asked(&mut harness), [Action::TagRun(RunId(21), vec!["battery".into()])]);
    // a second one beside it
    harness.get_all_by_label_contains("Add to the chosen: Q8_0").next().unwrap().click();
    let actions = asked(&mut harness);
    let Some(Action::ShowRuns(ids)) = actions.first() else { panic!("{actions:?}") };
    assert_eq!((ids.len(), ids[0]), (2, RunId(21)));
    harness.get_by_label("The second against the first");
    harness.get_by_label("Swap").click();
    let actions = asked(&mut harness);
    assert_eq!(actions, [Action::ShowRuns(vec![ids[1], ids[0]])]);
    harness.get_by_label("Choose nothing").click();
    assert_eq!(asked(&mut harness), [Action::ShowRuns(Vec::new())]);
}

#[test]
fn the_list_is_filtered_sorted_and_grouped() {
    let mut harness = harness(some());
    harness.get_by_label("24 runs of SmolLM2 135M Instruct");
    // a second model is told apart by its name
    let mut two = some();
    two.history.runs[0].model = "Another".into();
    let mut second = self::harness(two);
    second.get_by_label("24 runs");
    second.get_by_label("Sort by Model").click();
    second.run();
    harness.get_by_label("Sort by Level");
    harness.get_by_label("Sort by Decode t/s").click();
    harness.run();
    harness.get_by_label("Sort by Decode t/s, sorted");
    harness.get_by_label("Sweep").click();
    harness.run();
    harness.get_by_label_contains("By themselves, 20 runs");
    harness.get_by_label("Title, tag, model, design, work").focus();
    harness.run();
    harness.get_by_label("Title, tag, model, design, work").type_text("laptop");
    harness.run();
    harness.get_by_label_contains("1 of 24 runs");
    harness.get_by_label("Export the 1 run shown").click();
    harness.run();
    harness.get_by_label_contains("Markdown").click();
    let actions = asked(&mut harness);
    assert!(actions.contains(&Action::ExportRuns(vec![RunId(21)], RunFormat::Markdown)), "{actions:?}");
}

#[test]
fn a_run_that_failed_says_why_and_nothing_is_made_up() {
    let mut harness = harness(some());
    row(&harness, "pp512, failed").click();
    harness.run();
    assert!(harness.get_all_by_label_contains("3.1 GB are needed").count() > 0);
    harness.get_by_label("Nothing was measured before it ended");
}

#[test]
fn saved_designs_are_used_from_the_library() {
    let mut state = AppState { page: Page::Library, ..AppState::default() };
    let design = Design { threads: 4, ..Design::for_model("/m/a.gguf") };
    state.history.designs = vec![SavedDesign { id: DesignId(3), name: "Quick".into(), design, created_ms: 1 }];
    let mut harness = harness(state);
    harness.get_by_label("1 design").click();
    harness.run();
    harness.get_by_label("Use the design Quick").click();
    let actions = asked(&mut harness);
    assert!(actions.contains(&Action::UseDesign(DesignId(3))), "{actions:?}");
}

/// From the list's arrival to the painted page, then a filter and a sort, each as the frame that shows it.
#[test]
fn ten_thousand_runs_are_no_burden() {
    let heads: Vec<RunHead> = (1..=10_000).rev().map(|id| RunHead::of(&run(id))).collect();
    let mut state = AppState { page: Page::Runs, ..AppState::default() };
    update::on_answer(&mut state, Answer::Runs(Vec::new()), NOW);
    let mut harness = harness(state);
    let best = |harness: &mut Harness<'static, Window>, what: &str, change: &mut dyn FnMut(&mut Harness<'static, Window>, usize)| {
        let mut best = Duration::MAX;
        for round in 0..3 {
            change(harness, round);
            let began = Instant::now();
            harness.step();
            best = best.min(began.elapsed());
        }
        println!("{what}: {best:?}");
        assert!(best < Duration::from_millis(100), "{what} takes {best:?}");
    };
    best(&mut harness, "open", &mut |harness, _| {
        update::on_answer(&mut harness.state_mut().state, Answer::Runs(heads.clone()), NOW);
    });
    best(&mut harness, "sort", &mut |harness, round| {
        harness.get_by_label_contains(["Sort by Level", "Sort by Decode t/s", "Sort by Design"][round]).click();
    });
    best(&mut harness, "group", &mut |harness, round| harness.get_by_label(["Day", "Model", "Sweep"][round]).click());
    best(&mut harness, "filter", &mut |harness, round| {
        harness.get_by_label("Title, tag, model, design, work").type_text(["q4", "_k", "_m"][round]);
    });
    best(&mut harness, "another frame", &mut |_, _| {});
}

/// Writes pictures of the page into the folder named by `PANEL_PICTURES`; for eyes, not for comparison.
#[test]
fn pictures() {
    let Some(folder) = std::env::var_os("PANEL_PICTURES").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    let save = |harness: &mut Harness<'static, Window>, name: &str| {
        harness.run();
        harness.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    };
    let shown = |ids: &[i64]| {
        let mut state = some();
        state.history.shown = ids.iter().copied().map(RunId).collect();
        state
    };
    save(&mut harness(some()), "runs");
    save(&mut harness_sized(shown(&[21]), [1440.0, 900.0], Theme::Light), "runs-one-light");
    save(&mut harness(shown(&[21, 9])), "runs-two");
    save(&mut harness_sized(shown(&[9, 21]), [1920.0, 1080.0], Theme::Dark), "runs-two-wide");
    save(&mut harness_sized(shown(&[21]), [1024.0, 640.0], Theme::Dark), "runs-small");
    let mut grouped = harness(shown(&[]));
    grouped.get_by_label("Day").click();
    save(&mut grouped, "runs-by-day");
    save(&mut harness(state_of(Vec::new())), "runs-empty");
}
