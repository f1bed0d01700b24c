//! Sweeps in the window.

use super::*;
use crate::app::{Doing, SweepDraft, Unfinished};
use crate::measure::MetricLimit;
use crate::measure::sweep::{Key, Sweep, SweepPlan};
use crate::protocol::{BenchPlan, BenchRow, Metric, Run, RunId};
use crate::store::RunHead;

fn draft() -> SweepDraft {
    SweepDraft { axes: vec![(Key::Threads, "1,2".into())], blocks: 2, ..SweepDraft::default() }
}

/// A state in which a sweep of two designs has been started and prepared; the step that was given to the engine.
fn started(state: &mut AppState) -> (JobId, BenchPlan) {
    on_action(state, Action::SetSweepDraft(Box::new(draft())), now(2.0));
    assert_eq!((state.measure.draft_designs, state.measure.draft_problem.clone()), (2, None));
    let effects = on_action(state, Action::StartSweep, now(2.0));
    let Some(Effect::PrepareSweep(plan)) = effects.into_iter().next() else { panic!("headers are read first") };
    assert_eq!(state.measure.doing, Doing::Preparing);
    step(&on_answer(state, Answer::SweepPrepared(plan), now(2.1)))
}

/// The step among effects; it was kept before it was begun.
fn step(effects: &[Effect]) -> (JobId, BenchPlan) {
    let kept = effects.iter().position(|effect| matches!(effect, Effect::KeepSweep(_)));
    let sent = effects.iter().position(|effect| matches!(effect, Effect::Measure(_)));
    assert!(kept.is_some() && kept < sent, "{effects:?}");
    let Some(Effect::Measure(command)) = sent.and_then(|at| effects.get(at)) else { panic!() };
    let Command::Bench { job, plan } = &**command else { panic!("{command:?}") };
    (*job, plan.clone())
}

/// The engine measures the step.
fn answer(state: &mut AppState, (job, plan): &(JobId, BenchPlan), at: f64) -> Vec<Effect> {
    for test in &plan.tests {
        let row = BenchRow { test: *test, samples_ns: vec![1_000_000_000], ..BenchRow::default() };
        on_measurer_event(state, &Event::BenchRow { job: *job, row: Box::new(row) }, now(at));
    }
    on_measurer_event(state, &Event::Done { job: *job }, now(at + 0.5))
}

#[test]
fn a_sweep_runs_to_its_end_and_is_forgotten_on_the_disk() {
    let mut state = ready();
    let mut next = started(&mut state);
    let mut effects = Vec::new();
    for n in 0..4 {
        assert_eq!(state.measure.doing, Doing::Measuring(next.0));
        assert!(state.measure.current().is_some());
        effects = answer(&mut state, &next, 3.0 + f64::from(n));
        if n < 3 {
            next = step(&effects);
        }
    }
    assert!(effects.contains(&Effect::EndMeasuring) && effects.iter().any(|effect| matches!(effect, Effect::DropSweep(_))));
    assert!(!state.measure.is_running() && !state.measure.can_resume());
    let result = state.measure.result.as_ref().unwrap();
    assert_eq!(result.runs.iter().map(|run| run.samples[&Metric::DecodeTps].len()).collect::<Vec<_>>(), [2, 2]);
    assert!(state.measure.revision >= 5);
}

#[test]
fn what_was_measured_is_kept_as_runs_and_replaced_when_the_sweep_goes_on() {
    let mut state = ready();
    let first = started(&mut state);
    let second = step(&answer(&mut state, &first, 3.0));
    on_action(&mut state, Action::StopSweep, now(4.0));
    let effects = on_measurer_event(&mut state, &Event::Failed { job: second.0, error: EngineError::cancelled() }, now(4.1));
    let kept: Vec<(u64, Box<Run>)> = effects
        .iter()
        .filter_map(|effect| if let Effect::KeepRun { seq, run } = effect { Some((*seq, run.clone())) } else { None })
        .collect();
    assert_eq!(kept.len(), 1, "of the other design nothing is known");
    assert_eq!((kept[0].1.id, kept[0].1.blocks.as_slice()), (RunId(0), &[0][..]));
    let head = RunHead { id: RunId(7), ..RunHead::of(&kept[0].1) };
    let effects = on_answer(&mut state, Answer::RunKept(kept[0].0, Box::new(head)), now(4.2));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::KeepSweep(_))), "its number is kept with the sweep");
    assert!(state.measure.result.as_ref().unwrap().runs.iter().any(|run| run.id == RunId(7)));
}

#[test]
fn a_reply_makes_a_measurement_give_way_and_it_is_made_again() {
    let mut state = ready();
    let first = started(&mut state);
    on_action(&mut state, Action::SetDraft("Why?".into()), now(3.0));
    on_action(&mut state, Action::Send, now(3.0));
    assert!(state.generating().is_some());
    let (effects, _) = tick(&mut state, now(3.0));
    assert!(effects.contains(&Effect::StopMeasuring(first.0)), "{effects:?}");
    assert_eq!(state.measure.doing, Doing::GivingWay(first.0));
    let effects = on_measurer_event(&mut state, &Event::Failed { job: first.0, error: EngineError::cancelled() }, now(3.1));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Measure(_))), "not beside a reply");
    let Doing::Held(why) = state.measure.doing else { panic!("{:?}", state.measure.doing) };
    assert!(why.contains("reply"));
    state.activity = Activity::None;
    let (effects, _) = tick(&mut state, now(9.0));
    let again = step(&effects);
    assert_eq!(again.1, first.1, "the same design in the same block");
    assert!(state.measure.result.as_ref().unwrap().runs.iter().all(|run| run.failure.is_none()));
}

#[test]
fn a_sweep_that_is_started_beside_a_reply_waits_for_it() {
    let mut state = ready();
    on_action(&mut state, Action::SetSweepDraft(Box::new(draft())), now(2.0));
    on_action(&mut state, Action::SetDraft("Why?".into()), now(3.0));
    on_action(&mut state, Action::Send, now(3.0));
    let effects = on_action(&mut state, Action::StartSweep, now(3.0));
    let Some(Effect::PrepareSweep(plan)) = effects.into_iter().next() else { panic!() };
    let effects = on_answer(&mut state, Answer::SweepPrepared(plan), now(3.1));
    assert!(effects.is_empty() && matches!(state.measure.doing, Doing::Held(_)));
}

#[test]
fn stopping_keeps_what_was_measured_and_it_can_be_resumed() {
    let mut state = ready();
    let first = started(&mut state);
    let second = step(&answer(&mut state, &first, 3.0));
    let effects = on_action(&mut state, Action::StopSweep, now(4.0));
    assert_eq!(effects, [Effect::StopMeasuring(second.0)]);
    let effects = on_measurer_event(&mut state, &Event::Failed { job: second.0, error: EngineError::cancelled() }, now(4.1));
    assert!(effects.contains(&Effect::EndMeasuring) && effects.iter().any(|effect| matches!(effect, Effect::KeepSweep(_))));
    assert!(!state.measure.is_running() && state.measure.can_resume());
    assert_eq!(state.measure.result.as_ref().unwrap().runs.iter().filter(|run| !run.samples.is_empty()).count(), 1);
    let effects = on_action(&mut state, Action::ResumeSweep(None), now(5.0));
    assert_eq!(step(&effects).1, second.1, "it goes on where it was");
}

#[test]
fn an_engine_that_dies_is_a_row_and_the_sweep_goes_on() {
    let mut state = ready();
    let first = started(&mut state);
    let error = EngineError::new(ErrorKind::Killed, "The system ended it");
    let effects = on_measurer_event(&mut state, &Event::Died { jobs: vec![first.0], error: error.clone() }, now(3.0));
    let second = step(&effects);
    assert_ne!(second.1.design, first.1.design);
    assert_eq!(state.measure.result.as_ref().unwrap().runs.iter().filter_map(|run| run.failure.clone()).collect::<Vec<_>>(), [error]);
    assert!(state.crash.is_none(), "the chat's engine lives");
}

#[test]
fn a_sweep_of_the_disk_is_offered_and_taken_up() {
    let mut state = ready();
    let unfinished = Unfinished { name: "sweep-1".into(), modified_ms: 5 };
    on_answer(&mut state, Answer::SweepsFound(vec![unfinished.clone()]), now(0.1));
    assert_eq!(state.measure.unfinished, [unfinished]);
    assert_eq!(on_action(&mut state, Action::ResumeSweep(Some("sweep-1".into())), now(1.0)), [Effect::ReadSweep("sweep-1".into())]);
    let plan = draft().plan(&Design::for_model("a-Q4_1.gguf"), &[], None).unwrap();
    let sweep = Sweep::new(SweepPlan { name: "sweep-1".into(), ..plan }).unwrap();
    step(&on_answer(&mut state, Answer::SweepRead(Box::new(sweep)), now(1.1)));
    assert!(state.measure.unfinished.is_empty());
}

#[test]
fn limits_hold_at_once_for_what_was_measured() {
    let mut state = ready();
    let first = started(&mut state);
    answer(&mut state, &first, 3.0);
    assert!(state.measure.result.as_ref().unwrap().infeasible.is_empty());
    on_action(&mut state, Action::SetLimits(vec![MetricLimit::natural(Metric::DecodeTps, 1e6)]), now(4.0));
    assert_eq!(state.measure.result.as_ref().unwrap().infeasible.len(), 1);
    assert_eq!(state.measure.draft.limits.len(), 1);
}

#[test]
fn a_draft_says_what_is_wrong_with_it() {
    let mut state = ready();
    for (axes, word) in [(vec![(Key::Threads, "two".into())], "threads"), (vec![(Key::Rung, "Q2_K".into())], "rung")] {
        on_action(&mut state, Action::SetSweepDraft(Box::new(SweepDraft { axes, ..draft() })), now(2.0));
        assert!(state.measure.draft_problem.as_ref().is_some_and(|problem| problem.contains(word)), "{:?}", state.measure.draft_problem);
        let effects = on_action(&mut state, Action::StartSweep, now(2.0));
        assert!(effects.is_empty() && !state.measure.is_running());
    }
}

#[test]
fn the_chats_model_makes_room_where_that_is_wanted_and_comes_back() {
    let mut state = ready();
    on_action(&mut state, Action::SetSweepDraft(Box::new(SweepDraft { free_chat_model: true, ..draft() })), now(2.0));
    let effects = on_action(&mut state, Action::StartSweep, now(2.0));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Unload { model: None, .. }))), "{effects:?}");
    on_event(&mut state, Event::Unloaded { job: JobId(0), resident: Vec::new() }, now(2.1));
    assert!(state.loaded.is_none());
    let effects = on_action(&mut state, Action::StopSweep, now(3.0));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Inspect { .. })), "it is loaded again: {effects:?}");
}

#[test]
fn a_limit_on_quality_has_it_measured_on_the_text_that_ships() {
    let rungs = [("F16".to_owned(), PathBuf::from("a-F16.gguf")), ("Q4_1".to_owned(), PathBuf::from("a-Q4_1.gguf"))];
    let base = Design::for_model("a-Q4_1.gguf");
    assert!(draft().plan(&base, &rungs, None).unwrap().quality.is_none());
    let limits = vec![MetricLimit::natural(Metric::Kld, 0.05)];
    for draft in [SweepDraft { with_loss: true, ..draft() }, SweepDraft { limits, ..draft() }] {
        let quality = draft.plan(&base, &rungs, None).unwrap().quality.unwrap();
        assert_eq!(quality.reference.model, PathBuf::from("a-F16.gguf"));
    }
}

#[test]
fn a_limit_on_quality_steers_the_next_sweep_and_not_one_that_does_not_measure_it() {
    let mut state = ready();
    let first = started(&mut state);
    answer(&mut state, &first, 3.0);
    on_action(&mut state, Action::SetLimits(vec![MetricLimit::natural(Metric::Kld, 0.05)]), now(4.0));
    assert!(state.measure.result.as_ref().unwrap().infeasible.is_empty());
    assert!(state.measure.sweep().unwrap().plan().limits.is_empty());
    assert_eq!((state.measure.draft_problem.clone(), state.measure.draft_qualities), (None, 1), "two thread counts say the same");
    on_action(&mut state, Action::StopSweep, now(5.0));
    let job = match state.measure.doing {
        Doing::Stopping(job) => job,
        _ => panic!("{:?}", state.measure.doing),
    };
    on_measurer_event(&mut state, &Event::Failed { job, error: EngineError::cancelled() }, now(5.1));
    let effects = on_action(&mut state, Action::StartSweep, now(6.0));
    let Some(Effect::PrepareSweep(plan)) = effects.into_iter().find(|effect| matches!(effect, Effect::PrepareSweep(_))) else { panic!() };
    assert!(plan.quality.is_some() && plan.limits == [MetricLimit::natural(Metric::Kld, 0.05)]);
}

/// Nothing but the clock ends a rest: a window that is hidden is woken by nothing else.
#[test]
fn a_rest_that_follows_a_reply_says_when_it_ends() {
    let mut state = ready();
    let (job, plan) = started(&mut state);
    on_action(&mut state, Action::SetDraft("Why?".into()), now(3.0));
    on_action(&mut state, Action::Send, now(3.0));
    for test in &plan.tests {
        let surroundings = vec![crate::protocol::Surroundings { celsius: Some(95.0), ..Default::default() }];
        let row = BenchRow { test: *test, samples_ns: vec![1_000_000_000], surroundings, ..BenchRow::default() };
        on_measurer_event(&mut state, &Event::BenchRow { job, row: Box::new(row) }, now(3.5));
    }
    on_measurer_event(&mut state, &Event::Done { job }, now(4.0));
    assert!(matches!(state.measure.doing, Doing::Held(_)), "{:?}", state.measure.doing);
    state.activity = Activity::None;
    state.internal.settings_changed = None;
    let (_, next) = tick(&mut state, now(9.0));
    let Doing::Resting { until, .. } = state.measure.doing else { panic!("{:?}", state.measure.doing) };
    assert!(next.is_some_and(|seconds| seconds <= until - 9.0), "{next:?}");
    let (effects, _) = tick(&mut state, now(until));
    step(&effects);
}
