//! One prompt, several designs.

use super::*;
use crate::app::{CompareAction, LaneState};
use crate::library::{Family, Rung, RungState};
use crate::measure::lanes::Vote;
use crate::protocol::Prompt;

/// A page with a lane for each file, and a prompt.
fn page(files: &[&str]) -> AppState {
    let mut state = ready();
    while state.compare.lanes.len() < files.len() {
        compare(&mut state, CompareAction::AddLane);
    }
    for (index, file) in files.iter().enumerate() {
        compare(&mut state, CompareAction::SetDesign(index, Box::new(Design::for_model(*file))));
    }
    compare(&mut state, CompareAction::SetPrompt("Why?".into()));
    state
}

fn compare(state: &mut AppState, action: CompareAction) -> Vec<Effect> {
    on_action(state, Action::Compare(Box::new(action)), now(5.0))
}

/// What engines were told: (engine, `load` or `generate` or `cancel`, job).
fn told(effects: &[Effect]) -> Vec<(usize, &'static str, JobId)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Lane(engine, command) => Some(match command.as_ref() {
                Command::Load { job, .. } => (*engine, "load", *job),
                Command::Generate { job, .. } => (*engine, "generate", *job),
                Command::Cancel { job } => (*engine, "cancel", *job),
                other => panic!("{other:?}"),
            }),
            _ => None,
        })
        .collect()
}

/// Lets what an engine was told succeed, with an answer of these tokens; what follows.
fn loaded(state: &mut AppState, effects: &[Effect], file: &str, quant: &str) -> Vec<Effect> {
    let [(engine, "load", job)] = told(effects)[..] else { panic!("one is loaded: {effects:?}") };
    on_lane_event(state, engine, Event::Loaded { job, report: report(file, quant) }, now(6.0))
}

fn answered(state: &mut AppState, effects: &[Effect], text: &str, ids: &[i32]) -> Vec<Effect> {
    let [(engine, "generate", job)] = told(effects)[..] else { panic!("one is asked: {effects:?}") };
    let total = ids.len() as u32;
    let batch = TokenBatch { text: text.into(), n: total, total, first: 0.1, last: 0.5, ..TokenBatch::default() };
    on_lane_event(state, engine, Event::Tokens { job, batch }, now(7.0));
    let stats = Box::new(GenerateStats { tokens: ids.to_vec(), ..*stats(total) });
    on_lane_event(state, engine, Event::Generated { job, stats }, now(8.0))
}

#[test]
fn lanes_run_one_after_another_in_one_engine() {
    let mut state = page(&["a.gguf", "b.gguf"]);
    let effects = compare(&mut state, CompareAction::Run);
    assert_eq!(state.compare.lanes[1].state, LaneState::Waiting);
    let effects = loaded(&mut state, &effects, "a.gguf", "Q8_0");
    let request = effects.iter().find_map(|effect| match effect {
        Effect::Lane(0, command) => {
            if let Command::Generate { request, .. } = command.as_ref() {
                Some(request)
            } else {
                None
            }
        }
        _ => None,
    });
    let Prompt::Chat { messages } = &request.expect("it is asked").prompt else { panic!("a chat") };
    assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Why?"]);
    let effects = answered(&mut state, &effects, "One two", &[1, 2]);
    let effects = loaded(&mut state, &effects, "b.gguf", "Q4_1");
    let effects = answered(&mut state, &effects, "One tree", &[1, 7]);
    assert!(effects.contains(&Effect::EndLanes), "{effects:?}");
    assert!(!state.compare.is_running() && state.compare.can_vote());
    let answers = state.compare.answers();
    assert_eq!((answers[0].name.as_str(), answers[1].name.as_str()), ("a Q8_0", "b Q4_1"), "no library says that the two are one model");
    assert_eq!(crate::measure::lanes::Parting::of(&answers[0], &answers[1]).words(), "identical for 1 token");
    // both are kept as runs of one group, and filed under the vote once they are on the disk
    let runs: Vec<(u64, crate::protocol::Run)> = effects
        .iter()
        .filter_map(|effect| if let Effect::KeepRun { seq, run } = effect { Some((*seq, run.as_ref().clone())) } else { None })
        .collect();
    assert_eq!(runs.len(), 2);
    assert!(!runs[0].1.group.is_empty() && runs[0].1.group == runs[1].1.group);
    assert_eq!(runs[1].1.figure(crate::protocol::Metric::DecodeTps), Some(100.0));
    assert_eq!(compare(&mut state, CompareAction::Vote(Vote::Lane(1))), []);
    assert_eq!(state.compare.vote(), Some(Vote::Lane(1)));
    let mut filed = Vec::new();
    for (id, (seq, run)) in (1..).zip(&runs) {
        let head = crate::store::RunHead::of(&crate::protocol::Run { id: crate::protocol::RunId(id), ..run.clone() });
        for effect in on_answer(&mut state, Answer::RunKept(*seq, Box::new(head)), now(9.0)) {
            let Effect::Save { ops, .. } = effect else { continue };
            filed.extend(ops.into_iter().filter_map(|op| if let Op::SetRunMeta { tags, .. } = op { Some(tags) } else { None }));
        }
    }
    assert_eq!(filed, [["not best"], ["best"]]);
}

#[test]
fn together_each_has_an_engine() {
    let mut state = page(&["a.gguf", "b.gguf", "c.gguf"]);
    compare(&mut state, CompareAction::SetTogether(true));
    let effects = compare(&mut state, CompareAction::Run);
    assert_eq!(
        told(&effects).iter().map(|(engine, what, _)| (*engine, *what)).collect::<Vec<_>>(),
        [(0, "load"), (1, "load"), (2, "load")]
    );
}

#[test]
fn what_does_not_fit_together_is_said_before() {
    let mut state = page(&["a-Q4_1.gguf", "a-Q4_1.gguf"]);
    let file = RungState::OnDisk { path: "a-Q4_1.gguf".into(), size: 50, bpw: 5.0, alternates: Vec::new() };
    state.library.families = vec![Family {
        key: "a".into(),
        name: "A".into(),
        arch: "llama".into(),
        n_params: 1,
        n_layer: 1,
        n_ctx_train: 4096,
        rungs: vec![Rung { quant: "Q4_1".into(), usual: true, note: String::new(), state: file }],
    }];
    compare(&mut state, CompareAction::SetTogether(true));
    assert_eq!(compare_why_not(&state), None, "nothing is known of the memory");
    state.telemetry.sample = Some(crate::protocol::Sample { available: 99, ..Default::default() });
    assert!(compare_why_not(&state).is_some_and(|why| why.contains("free memory")));
    assert_eq!(compare(&mut state, CompareAction::Run), []);
    compare(&mut state, CompareAction::SetTogether(false));
    assert_eq!(compare_why_not(&state), None);
}

#[test]
fn an_engine_that_dies_costs_its_lane_only() {
    let mut state = page(&["a.gguf", "b.gguf", "c.gguf"]);
    let effects = compare(&mut state, CompareAction::Run);
    let effects = loaded(&mut state, &effects, "a.gguf", "Q8_0");
    let effects = answered(&mut state, &effects, "One", &[1]);
    loaded(&mut state, &effects, "b.gguf", "Q4_1");
    let error = EngineError::new(ErrorKind::Killed, "The system ended it");
    let effects = on_lane_event(&mut state, 0, Event::Died { jobs: Vec::new(), error: error.clone() }, now(9.0));
    assert_eq!(state.compare.lanes[1].state, LaneState::Failed(error));
    assert_eq!(state.compare.lanes[0].text, "One", "what was answered stays");
    let effects = loaded(&mut state, &effects, "c.gguf", "Q2_K");
    let effects = answered(&mut state, &effects, "One", &[1]);
    assert!(effects.contains(&Effect::EndLanes) && state.compare.can_vote());
}

#[test]
fn stop_keeps_what_was_answered() {
    let mut state = page(&["a.gguf", "b.gguf"]);
    let effects = compare(&mut state, CompareAction::Run);
    let effects = loaded(&mut state, &effects, "a.gguf", "Q8_0");
    let job = told(&effects)[0].2;
    let effects = compare(&mut state, CompareAction::Stop);
    assert_eq!(told(&effects), [(0, "cancel", job)]);
    let effects = on_lane_event(&mut state, 0, Event::Generated { job, stats: cancelled(1) }, now(9.0));
    assert!(effects.contains(&Effect::EndLanes), "{effects:?}");
    assert!(state.compare.lanes.iter().all(|lane| matches!(&lane.state, LaneState::Failed(error) if error.kind == ErrorKind::Cancelled)));
    assert!(!state.compare.can_vote());
}

#[test]
fn blind_hides_names_until_the_vote() {
    let mut state = page(&["a.gguf", "b.gguf"]);
    compare(&mut state, CompareAction::SetBlind(true));
    let effects = compare(&mut state, CompareAction::Run);
    assert!(state.compare.is_hidden());
    let mut order = state.compare.order();
    order.sort_unstable();
    assert_eq!(order, [0, 1], "every lane is there once");
    let effects = loaded(&mut state, &effects, "a.gguf", "Q8_0");
    let effects = answered(&mut state, &effects, "One", &[1]);
    let effects = loaded(&mut state, &effects, "b.gguf", "Q4_1");
    answered(&mut state, &effects, "Two", &[2]);
    compare(&mut state, CompareAction::Vote(Vote::Tie));
    assert!(!state.compare.is_hidden());
}

#[test]
fn the_open_chat_is_asked_with_its_history() {
    let mut state = page(&["a.gguf", "b.gguf"]);
    let job = replying(&mut state);
    tokens(&mut state, " Because", 1);
    compare(&mut state, CompareAction::UseChat(true));
    assert_eq!(compare(&mut state, CompareAction::Run), [], "not while the chat is answered");
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(4.0));
    let effects = compare(&mut state, CompareAction::Run);
    assert_eq!(told(&effects).len(), 1);
    assert_eq!(state.compare.asked.as_ref().map(|asked| asked.round.prompt.as_str()), Some("Why?"));
}

#[test]
fn a_lane_takes_a_whole_design_that_was_saved_or_is_in_use() {
    use crate::app::DesignFrom;
    use crate::protocol::{CacheType, SamplerOverrides};
    use crate::store::{DesignId, SavedDesign};
    let mut state = page(&["a.gguf", "b.gguf"]);
    let file = |path: &str| RungState::OnDisk { path: path.into(), size: 50, bpw: 5.0, alternates: Vec::new() };
    let rung = |path: &str| Rung { quant: path.into(), usual: true, note: String::new(), state: file(path) };
    state.library.families = vec![Family {
        key: "a".into(),
        name: "A".into(),
        arch: "llama".into(),
        n_params: 1,
        n_layer: 1,
        n_ctx_train: 4096,
        rungs: vec![rung("/here/b.gguf"), rung("a-Q4_1.gguf")],
    }];
    let sampler = SamplerOverrides { temperature: Some(0.7), ..SamplerOverrides::default() };
    let design = Design { threads: 3, type_k: CacheType::Q8_0, sampler, ..Design::for_model("/there/b.gguf") };
    let saved = |id, design| SavedDesign { id: DesignId(id), name: format!("design {id}"), design, created_ms: 0 };
    state.history.designs = vec![saved(1, design.clone()), saved(2, Design::for_model("/there/gone.gguf"))];
    assert!(state.compare.lanes[1].design.sampler == SamplerOverrides::default() && !state.compare.is_greedy());
    compare(&mut state, CompareAction::TakeDesign(1, DesignFrom::Saved(DesignId(1))));
    assert_eq!(state.compare.lanes[1].design, Design { model: "/here/b.gguf".into(), ..design.clone() });
    // one whose model is not here changes nothing and says so
    compare(&mut state, CompareAction::TakeDesign(1, DesignFrom::Saved(DesignId(2))));
    assert_eq!(state.compare.lanes[1].design.threads, 3);
    assert!(state.notices.iter().last().is_some_and(|notice| notice.text.ends_with("gone.gguf")));
    state.settings.sampler.top_k = Some(7);
    compare(&mut state, CompareAction::TakeDesign(0, DesignFrom::InUse));
    let first = &state.compare.lanes[0].design;
    assert_eq!((first.model.to_str(), first.sampler.top_k), (Some("a-Q4_1.gguf"), Some(7)));
    let names: Vec<String> = state.compare.answers().into_iter().map(|answer| answer.name).collect();
    assert!(names[1].contains("threads 3"), "{names:?}");
}
