//! The Runs page, driven by accessible name on hand-built histories: what a press asks for, what is said, and how fast ten thousand are.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use inferscope::app::{Action, Answer, AppState, Now, Page, update};
use inferscope::measure::kept::RunFormat;
use inferscope::protocol::{BenchTest, CacheType, Design, EngineError, ErrorKind, Metric, Run, RunId, RunTrust, Workload};
use inferscope::store::{DesignId, RunHead, SavedDesign};
use inferscope::ui::panels::{self, Views};
use inferscope::ui::shortcuts;
use inferscope::ui::theme::{self, Theme};

struct Window {
    state: AppState,
    views: Views,
    asked: Vec<Action>,
    /// Whether what is asked is done, too
    acts: bool,
}

const NOW: Now = Now { secs: 100.0, at: 100.0, unix_ms: 1_764_000_000_000 };

impl Window {
    fn ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        let mut actions = Vec::new();
        shortcuts::dispatch(&ctx, &self.state, &mut self.views.targets, &mut actions);
        panels::window(ui, &self.state, &mut self.views, NOW, &mut actions);
        if self.acts {
            for action in actions.clone() {
                update::on_action(&mut self.state, action, NOW);
            }
        }
        self.asked.extend(actions);
    }
}

fn harness_sized(state: AppState, size: [f32; 2], look: Theme) -> Harness<'static, Window> {
    let window = Window { state, views: Views::default(), asked: Vec::new(), acts: true };
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

fn asked(harness: &mut Harness<'static, Window>) -> Vec<Action> {
    harness.run();
    std::mem::take(&mut harness.state_mut().asked)
}

/// A row of the list by words that it holds.
fn row<'a>(harness: &'a Harness<'static, Window>, words: &'a str) -> egui_kittest::Node<'a> {
    harness.get_all_by_label_contains(words).find(|node| node.accesskit_node().role() == egui::Role::Row).expect("a row holds the words")
}

fn run(id: i64) -> Run {
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

fn state_of(runs: Vec<Run>) -> AppState {
    let mut state = AppState { page: Page::Runs, ..AppState::default() };
    update::on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), NOW);
    state.history.whole = runs;
    state
}

fn some() -> AppState {
    let mut runs: Vec<Run> = (1..=24).map(run).collect();
    runs[20].title = "After the BIOS update".into();
    runs[20].tags = vec!["laptop".into(), "battery".into()];
    runs[13].failure = Some(EngineError::new(ErrorKind::OutOfMemory, "It does not fit: 3.1 GB are needed, 2.2 GB are free"));
    runs[13].samples.clear();
    runs[6].imported = "llama-bench".into();
    state_of(runs)
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
    harness.get_by_label("24 runs");
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
        harness.get_by_label_contains(["Sort by Model", "Sort by Decode t/s", "Sort by Design"][round]).click();
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
