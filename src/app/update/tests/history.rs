//! Runs and saved designs: kept, named, deleted and back, measured again, the canary.

use super::*;
use crate::app::Purpose;
use crate::protocol::{BenchRow, BenchTest, EngineError, Metric, Run, RunId, RunTrust, Stage, Workload};
use crate::store::{DesignId, RunHead, SavedDesign};

const TG: BenchTest = BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 };

fn run(id: i64, speed: f64) -> Run {
    let mut run = Run::new(Design::for_model("a-Q4_1.gguf"), Workload::Bench { test: TG }, id);
    run.id = RunId(id);
    run.trust = RunTrust::Trusted;
    run.environment.model = "Tiny".into();
    run.environment.quant = "Q4_1".into();
    run.samples.insert(Metric::DecodeTps, vec![speed, speed * 1.01, speed * 0.99, speed, speed * 1.005]);
    run
}

fn row(speed: f64) -> Box<BenchRow> {
    let ns = |factor: f64| (128.0 / (speed * factor) * 1e9) as u64;
    Box::new(BenchRow {
        test: TG,
        samples_ns: vec![ns(1.0), ns(1.01), ns(0.99), ns(1.0), ns(1.005)],
        info: ModelInfo { name: "Tiny".into(), quant: "Q4_1".into(), ..ModelInfo::default() },
        ..BenchRow::default()
    })
}

/// A state whose history holds these runs.
fn with(runs: &[Run]) -> AppState {
    let mut state = ready();
    on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), now(3.0));
    state
}

fn whole_runs_wanted(effects: &[Effect]) -> Vec<i64> {
    effects
        .iter()
        .find_map(|effect| if let Effect::ReadWholeRuns(ids) = effect { Some(ids.iter().map(|id| id.0).collect()) } else { None })
        .unwrap_or_default()
}

#[test]
fn a_run_is_listed_once_it_is_on_the_disk() {
    let mut state = with(&[run(1, 80.0)]);
    let mut effects = Vec::new();
    let seq = super::super::history::keep(&mut state, Run { id: RunId(0), ..run(0, 81.0) }, &mut effects);
    assert!(matches!(effects.as_slice(), [Effect::KeepRun { seq: sent, .. }] if *sent == seq));
    assert_eq!(state.history.runs.len(), 1);
    on_answer(&mut state, Answer::RunKept(seq, Box::new(RunHead::of(&run(2, 81.0)))), now(4.0));
    assert_eq!(state.history.runs.iter().map(|head| head.id.0).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn names_tags_and_deletion_are_saved_and_undone() {
    let mut state = with(&[run(2, 80.0), run(1, 80.0)]);
    let effects = on_action(&mut state, Action::NameRun(RunId(1), " first ".into()), now(4.0));
    let op = Op::SetRunMeta { id: RunId(1), title: "first".into(), tags: vec![] };
    assert!(matches!(effects.as_slice(), [Effect::Save { ops, .. }] if ops[..] == [op.clone()]), "{effects:?}");
    on_action(&mut state, Action::TagRun(RunId(1), vec!["a".into(), " ".into(), "a".into(), "b ".into()]), now(4.0));
    assert_eq!((state.history.runs[1].title.as_str(), state.history.runs[1].tags.join(",")), ("first", "a,b".into()));
    on_action(&mut state, Action::ShowRuns(vec![RunId(1)]), now(4.0));
    let effects = on_action(&mut state, Action::DeleteRuns(vec![RunId(1), RunId(9)]), now(5.0));
    assert!(matches!(effects.as_slice(), [Effect::Save { ops, .. }] if ops[..] == [Op::DeleteRun(RunId(1))]), "{effects:?}");
    assert!(state.history.shown.is_empty() && state.history.runs.len() == 1);
    let undo = state.notices.iter().last().and_then(|notice| notice.action.clone()).unwrap();
    let effects = on_action(&mut state, *undo.action, now(6.0));
    assert!(
        matches!(effects.as_slice(), [Effect::Save { ops, .. }, Effect::ReadRuns] if ops[..] == [Op::RestoreRun(RunId(1))]),
        "{effects:?}"
    );
}

#[test]
fn a_single_run_is_shown_with_the_one_before_it() {
    let mut failed = run(2, 80.0);
    failed.failure = Some(EngineError::new(ErrorKind::Killed, "x"));
    let mut state = with(&[run(3, 80.0), failed, run(1, 80.0)]);
    assert_eq!(whole_runs_wanted(&on_action(&mut state, Action::ShowRuns(vec![RunId(3)]), now(4.0))), [3, 1]);
    on_answer(&mut state, Answer::RunsRead(vec![run(3, 80.0), run(1, 80.0)]), now(4.1));
    assert!(state.history.run(RunId(1)).is_some());
    // what is there is not read again, and of many none is
    assert_eq!(whole_runs_wanted(&on_action(&mut state, Action::ShowRuns(vec![RunId(1), RunId(3)]), now(5.0))), [] as [i64; 0]);
    assert_eq!(whole_runs_wanted(&on_action(&mut state, Action::ShowRuns(vec![RunId(1), RunId(2), RunId(3)]), now(5.0))), [] as [i64; 0]);
}

fn job_of(effects: &[Effect]) -> JobId {
    let job = |effect: &Effect| if let Effect::Measure(command) = effect { command.job() } else { None };
    effects.iter().find_map(job).expect("it is measured")
}

fn is_plan(effects: &[Effect], repetitions: u32) -> bool {
    let is = |effect: &Effect| match effect {
        Effect::Measure(command) => {
            matches!(&**command, Command::Bench { plan, .. } if plan.tests == [TG] && plan.repetitions == repetitions)
        }
        _ => false,
    };
    effects.iter().any(is)
}

fn kept_seq(effects: &[Effect]) -> (u64, Run) {
    effects
        .iter()
        .find_map(|effect| if let Effect::KeepRun { seq, run } = effect { Some((*seq, (**run).clone())) } else { None })
        .expect("it is kept")
}

#[test]
fn a_run_is_measured_again_and_the_difference_is_judged() {
    for (speed, word) in [(80.0, "not distinguishable"), (60.0, "really slower")] {
        let mut state = with(&[run(1, 80.0)]);
        on_answer(&mut state, Answer::RunsRead(vec![run(1, 80.0)]), now(4.0));
        let effects = on_action(&mut state, Action::RepeatRun(RunId(1)), now(5.0));
        let job = job_of(&effects);
        assert!(is_plan(&effects, 5));
        let again = on_action(&mut state, Action::RepeatRun(RunId(1)), now(5.0));
        assert!(again.is_empty(), "one at a time");
        on_measurer_event(&mut state, &Event::Progress { job, stage: Stage::Bench, done: 2, total: 5 }, now(5.5));
        assert_eq!(state.measuring.as_ref().unwrap().done, (2, 5));
        let effects = on_measurer_event(&mut state, &Event::BenchRow { job, row: row(speed) }, now(6.0));
        let (seq, kept) = kept_seq(&effects);
        assert_eq!((kept.repeats, kept.id), (Some(RunId(1)), RunId(0)));
        on_measurer_event(&mut state, &Event::Done { job }, now(6.1));
        assert!(state.measuring.is_none());
        let fresh = Run { id: RunId(2), repeats: Some(RunId(1)), ..run(2, speed) };
        let effects = on_answer(&mut state, Answer::RunKept(seq, Box::new(RunHead::of(&fresh))), now(6.2));
        assert_eq!(whole_runs_wanted(&effects), [2, 1]);
        on_answer(&mut state, Answer::RunsRead(vec![fresh, run(1, 80.0)]), now(6.3));
        let notice = state.notices.iter().last().unwrap();
        assert!(notice.text.contains(word) && notice.text.starts_with("tg128"), "{}", notice.text);
        assert_eq!(state.history.shown, [RunId(1), RunId(2)]);
    }
}

#[test]
fn a_run_of_a_sweep_is_measured_again_in_the_cells_of_the_sweep() {
    let both = |id, decode: f64, prefill: f64| {
        let mut run = run(id, decode);
        run.workload = Workload::Bench { test: BenchTest { n_prompt: 512, n_gen: 128, n_depth: 0 } };
        run.samples.insert(Metric::PrefillTps, vec![prefill; 5]);
        run
    };
    let before = Run { title: "Q8_0".into(), blocks: (0..5).collect(), ..both(1, 80.0, 600.0) };
    let mut state = with(std::slice::from_ref(&before));
    on_answer(&mut state, Answer::RunsRead(vec![before.clone()]), now(4.0));
    let effects = on_action(&mut state, Action::RepeatRun(RunId(1)), now(5.0));
    let job = job_of(&effects);
    let plan = effects.iter().find_map(|effect| match effect {
        Effect::Measure(command) => match &**command {
            Command::Bench { plan, .. } => Some(plan.clone()),
            _ => None,
        },
        _ => None,
    });
    let plan = plan.unwrap();
    let cells: Vec<(u32, u32)> = plan.tests.iter().map(|test| (test.n_prompt, test.n_gen)).collect();
    assert_eq!((cells.as_slice(), plan.own_context, plan.repetitions), ([(512, 0), (0, 128)].as_slice(), true, 5));
    let cell = |test: BenchTest, speed: f64| {
        let tokens = f64::from(test.n_prompt + test.n_gen);
        Box::new(BenchRow { test, samples_ns: vec![(tokens * 1e9 / speed) as u64; 5], ..*row(speed) })
    };
    let effects = on_measurer_event(&mut state, &Event::BenchRow { job, row: cell(plan.tests[0], 300.0) }, now(6.0));
    assert!(effects.is_empty(), "one run comes of both cells");
    let effects = on_measurer_event(&mut state, &Event::BenchRow { job, row: cell(plan.tests[1], 80.0) }, now(7.0));
    let (seq, kept) = kept_seq(&effects);
    assert_eq!((kept.workload.words(), kept.repeats), (before.workload.words(), Some(RunId(1))));
    assert_eq!(kept.title, "Q8_0");
    assert_eq!((kept.figure(Metric::PrefillTps).unwrap().round(), kept.figure(Metric::DecodeTps).unwrap().round()), (300.0, 80.0));
    on_measurer_event(&mut state, &Event::Done { job }, now(7.1));
    let fresh = Run { id: RunId(2), ..kept };
    on_answer(&mut state, Answer::RunKept(seq, Box::new(RunHead::of(&fresh))), now(7.2));
    on_answer(&mut state, Answer::RunsRead(vec![fresh, before]), now(7.3));
    let said = &state.notices.iter().last().unwrap().text;
    assert!(said.contains("decode 80") && said.contains("prefill 300") && said.contains("really slower"), "{said}");
}

#[test]
fn a_measurement_that_dies_or_is_stopped_says_so() {
    let mut state = with(&[run(1, 80.0)]);
    on_answer(&mut state, Answer::RunsRead(vec![run(1, 80.0)]), now(4.0));
    let job = job_of(&on_action(&mut state, Action::RepeatRun(RunId(1)), now(5.0)));
    assert!(state.is_busy());
    let effects = on_action(&mut state, Action::Stop, now(5.1));
    assert_eq!(effects, [Effect::StopMeasuring(job)]);
    on_measurer_event(&mut state, &Event::Failed { job, error: EngineError::new(ErrorKind::Cancelled, "stopped") }, now(5.2));
    assert!(state.measuring.is_none() && state.notices.iter().last().unwrap().text.contains("stopped"));
    let job = job_of(&on_action(&mut state, Action::RepeatRun(RunId(1)), now(6.0)));
    on_measurer_event(&mut state, &Event::Died { error: EngineError::new(ErrorKind::Killed, "It was killed"), jobs: vec![job] }, now(6.2));
    assert!(state.notices.iter().last().unwrap().text.contains("It was killed"));
    assert!(state.crash.is_none(), "the engine that chats is well");
}

#[test]
fn an_update_offers_a_canary_once() {
    let facts = |build: &str| EngineFacts { name: "llama.cpp".into(), build: build.into(), ..EngineFacts::default() };
    let hello = |build: &str| Event::Hello { version: 1, pid: 7, facts: facts(build) };
    let mut state = AppState::new(Settings { last_design: Some(Design::for_model("a-Q4_1.gguf")), autoload: false, ..Settings::default() });
    on_event(&mut state, hello("b1"), now(0.0));
    assert_eq!(state.notices.iter().count(), 0, "the first start has nothing to compare with");
    on_event(&mut state, hello("b1"), now(0.0));
    let effects = on_event(&mut state, hello("b2"), now(1.0));
    assert!(effects.contains(&Effect::ReadRuns));
    let notice = state.notices.iter().last().unwrap().clone();
    assert!(notice.text.contains("b1") && notice.text.contains("b2") && notice.until.is_none(), "{notice:?}");
    on_event(&mut state, hello("b2"), now(2.0));
    assert_eq!(state.notices.iter().count(), 1);

    let old = Run { trust: RunTrust::Trusted, ..run(4, 80.0) };
    let untrusted = Run { trust: RunTrust::Noisy, ..run(5, 10.0) };
    on_answer(&mut state, Answer::Runs(vec![RunHead::of(&untrusted), RunHead::of(&old)]), now(2.5));
    let effects = on_action(&mut state, *notice.action.unwrap().action, now(3.0));
    let job = job_of(&effects);
    assert!(is_plan(&effects, 10), "{effects:?}");
    assert!(matches!(state.measuring.as_ref().unwrap().purpose, Purpose::Canary(..)));
    let (seq, kept) = kept_seq(&on_measurer_event(&mut state, &Event::BenchRow { job, row: row(60.0) }, now(4.0)));
    assert_eq!(kept.tags, ["canary"]);
    let fresh = run(6, 60.0);
    on_answer(&mut state, Answer::RunKept(seq, Box::new(RunHead::of(&fresh))), now(4.1));
    let effects = on_measurer_event(&mut state, &Event::Done { job }, now(4.2));
    assert_eq!(whole_runs_wanted(&effects), [6, 4], "the last trusted run of the same design");
    on_answer(&mut state, Answer::RunsRead(vec![fresh, old]), now(4.3));
    let told = state.notices.iter().last().unwrap();
    let text = &told.text;
    assert!(text.contains("b1") && text.contains("b2") && text.contains("really slower"), "{text}");
    assert!(told.until.is_none(), "it stays until it was read");
    assert!(text.contains("not measured in turns"), "{text}");
}

#[test]
fn a_canary_measures_what_a_sweep_measured_where_nothing_else_did() {
    let facts = |build: &str| EngineFacts { name: "llama.cpp".into(), build: build.into(), ..EngineFacts::default() };
    let mut state = AppState::new(Settings { last_design: Some(run(1, 1.0).design), autoload: false, ..Settings::default() });
    for build in ["b1", "b2"] {
        on_event(&mut state, Event::Hello { version: 1, pid: 7, facts: facts(build) }, now(1.0));
    }
    let mut swept = Run { trust: RunTrust::Trusted, ..run(4, 80.0) };
    swept.workload = Workload::Bench { test: BenchTest { n_prompt: 512, n_gen: 128, n_depth: 0 } };
    swept.samples.insert(Metric::PrefillTps, vec![600.0; 5]);
    on_answer(&mut state, Answer::Runs(vec![RunHead::of(&swept)]), now(2.5));
    let action = state.notices.iter().last().unwrap().action.clone().unwrap().action;
    on_action(&mut state, *action, now(3.0));
    let measuring = state.measuring.as_ref().unwrap();
    let cells: Vec<(u32, u32)> = measuring.tests.iter().map(|test| (test.n_prompt, test.n_gen)).collect();
    assert_eq!(cells, [(512, 0), (0, 128)]);
    assert!(measuring.joined.is_some() && measuring.done.1 == 20, "{:?}", measuring.done);
}

#[test]
fn a_saved_design_is_used_with_its_sampling_wherever_its_model_lies() {
    let mut state = ready();
    let effects = on_action(&mut state, Action::SaveDesign(" fast ".into()), now(3.0));
    assert!(matches!(effects.as_slice(), [Effect::Save { ops, .. }] if matches!(&ops[..], [Op::PutDesign(saved)] if saved.name == "fast")));
    on_action(&mut state, Action::SaveDesign("  ".into()), now(3.0));
    let mut design = Design { threads: 3, ..Design::for_model("a-Q4_1.gguf") };
    design.sampler.temperature = Some(0.5);
    let saved = SavedDesign { id: DesignId(7), name: "fast".into(), design, created_ms: 1 };
    on_answer(&mut state, Answer::Designs(vec![saved]), now(3.1));
    let effects = on_action(&mut state, Action::UseDesign(DesignId(7)), now(4.0));
    assert!(matches!(effects.as_slice(), [Effect::Inspect { design, .. }] if design.threads == 3), "{effects:?}");
    assert_eq!(state.settings.sampler.temperature, Some(0.5));
    let effects = on_action(&mut state, Action::ExportDesign(Some(DesignId(7))), now(5.0));
    assert!(
        matches!(effects.as_slice(), [Effect::SaveText { name, text }] if name == "fast.toml" && text.contains("threads = 3")),
        "{effects:?}"
    );
    on_action(&mut state, Action::DeleteDesign(DesignId(7)), now(6.0));
    let undo = state.notices.iter().last().and_then(|notice| notice.action.clone()).unwrap();
    assert_eq!(*undo.action, Action::UndoDeleteDesign(DesignId(7)));
    let effects = on_answer(&mut state, Answer::DesignImported("x".into(), Ok(Box::new(Design::default()))), now(7.0));
    assert!(matches!(effects.as_slice(), [Effect::Save { .. }]));
    on_answer(&mut state, Answer::DesignImported("x".into(), Err("wrong".into())), now(8.0));
    assert!(state.notices.iter().last().unwrap().text.contains("wrong"));
}

#[test]
fn imported_runs_are_kept_and_a_file_that_is_none_is_named() {
    let mut state = with(&[]);
    let effects = on_answer(&mut state, Answer::RunsImported("a.json".into(), Ok(vec![run(0, 1.0), run(0, 2.0)])), now(4.0));
    assert_eq!(effects.iter().filter(|effect| matches!(effect, Effect::KeepRun { .. })).count(), 2);
    on_answer(&mut state, Answer::RunsImported("b.json".into(), Err("Row 1 is wrong".into())), now(5.0));
    assert!(state.notices.iter().last().unwrap().text.ends_with("Row 1 is wrong: b.json"));
}
