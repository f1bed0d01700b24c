//! What a person does and what the engine answers, played through the state without a window.

use std::path::PathBuf;

mod board;
mod chats;
mod compare;
mod history;
mod loads;
mod meter;
mod notebook;
mod prompts;
mod quality;
mod reopen;
mod sweeps;
mod switches;
mod telemetry;
mod tokens;

use super::*;
use crate::app::{Activity, EngineState, Inspection, MarkerKind};
use crate::library::Estimate;
use crate::protocol::{Design, Overflow};
use crate::protocol::{
    Effective, EngineError, EngineFacts, ErrorKind, GenerateStats, JobId, LoadReport, MemoryUse, ModelInfo, Resident, Role, Sampler,
    StopReason, TokenBatch,
};
use crate::store::{MessageState, Op, Settings};

fn now(secs: f64) -> Now {
    Now { secs, at: secs, unix_ms: (secs * 1000.0) as i64 }
}

fn report(path: &str, quant: &str) -> Box<LoadReport> {
    let design = Design::for_model(path);
    Box::new(LoadReport {
        info: ModelInfo { path: path.into(), name: "Tiny".into(), quant: quant.into(), ..ModelInfo::default() },
        effective: Effective { n_ctx: 4096, threads: 2, ..Effective::default() },
        memory: MemoryUse { weights: 100, kv: 10, compute: 1 },
        seconds: 0.1,
        warm: false,
        resident: vec![Resident { design: design.clone(), memory: MemoryUse::default(), active: true }],
        design,
    })
}

fn stats(predicted: u32) -> Box<GenerateStats> {
    Box::new(GenerateStats {
        stop: StopReason::EndOfReply,
        prompt_tokens: 10,
        cached_tokens: 0,
        predicted_tokens: predicted,
        ttft_ms: 5.0,
        prefill_ms: 4.0,
        prefill_tps: 2500.0,
        decode_tps: 100.0,
        total_ms: 50.0,
        itl_p95_ms: 11.0,
        sampler: Sampler::default(),
        dropped: None,
        tokens: Vec::new(),
        kv_used: 10 + predicted,
    })
}

/// A state with an engine, an open chat, and a model that answers.
fn ready() -> AppState {
    let mut state = AppState::new(Settings { autoload: false, ..Settings::default() });
    state.chats.next_chat = 1;
    state.chats.next_message = 1;
    on_start(&mut state, None, now(0.0));
    on_event(&mut state, Event::Hello { version: 1, pid: 7, facts: EngineFacts::default() }, now(0.0));
    load(&mut state, "a-Q4_1.gguf", "Q4_1");
    state.telemetry.bandwidth_gb_s = Some(10.0);
    state.internal.probing = None;
    state
}

/// Opens a file and lets every step of the load succeed.
fn load(state: &mut AppState, path: &str, quant: &str) -> Vec<Effect> {
    state.telemetry.bandwidth_gb_s = Some(10.0);
    let effects = on_action(state, Action::OpenModel(PathBuf::from(path)), now(1.0));
    finish_load(state, effects, path, quant)
}

fn finish_load(state: &mut AppState, effects: Vec<Effect>, path: &str, quant: &str) -> Vec<Effect> {
    let effects = match effects.into_iter().find(|effect| matches!(effect, Effect::Inspect { .. })) {
        Some(Effect::Inspect { design, .. }) => {
            let result = Box::new(Ok(inspection(&design, true)));
            on_answer(state, Answer::Inspected { design, result }, now(1.0))
        }
        _ => Vec::new(),
    };
    let job = state.loading().map(|loading| loading.job).unwrap_or_default();
    assert!(effects.is_empty() || effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Load { .. }))));
    on_event(state, Event::Loaded { job, report: report(path, quant) }, now(1.2))
}

fn inspection(design: &Design, fits: bool) -> Inspection {
    Inspection {
        model: design.model.clone(),
        info: ModelInfo::default(),
        estimate: Estimate { memory: MemoryUse::default(), total: 0, available: 1 << 33, freed_by_unload: 0, fits, ..Estimate::default() },
        nearest: None,
        weights_read: 90_000_000,
        kv_read: 10_000,
    }
}

fn type_and_send(state: &mut AppState, text: &str) -> Vec<Effect> {
    on_action(state, Action::SetDraft(text.into()), now(2.0));
    on_action(state, Action::Send, now(2.0))
}

fn saved(effects: &[Effect]) -> u64 {
    effects.iter().find_map(|effect| if let Effect::Save { seq, .. } = effect { Some(*seq) } else { None }).expect("something is saved")
}

fn running(state: &AppState) -> JobId {
    state.generating().expect("a reply runs").job
}

/// Asks something and lets the question be saved.
fn replying(state: &mut AppState) -> JobId {
    let effects = type_and_send(state, "Why?");
    on_answer(state, Answer::Saved(saved(&effects)), now(2.1));
    running(state)
}

fn cancelled(predicted: u32) -> Box<GenerateStats> {
    Box::new(GenerateStats { stop: StopReason::Cancelled, ..*stats(predicted) })
}

/// Lets the file that is looked at be as said.
fn inspected(state: &mut AppState, effects: &[Effect], fits: bool) -> Vec<Effect> {
    let looked = effects.iter().find_map(|effect| if let Effect::Inspect { design, .. } = effect { Some(design.clone()) } else { None });
    let design = looked.expect("a file is looked at");
    let result = Box::new(Ok(inspection(&design, fits)));
    on_answer(state, Answer::Inspected { design, result }, now(3.0))
}

fn loads(effects: &[Effect]) -> Option<&Design> {
    effects.iter().find_map(|effect| if let Effect::Send(Command::Load { request, .. }) = effect { Some(&request.design) } else { None })
}

fn cancels(effects: &[Effect], job: JobId) -> bool {
    effects.contains(&Effect::Send(Command::Cancel { job }))
}

fn generates(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Generate { .. })))
}

fn tokens(state: &mut AppState, text: &str, total: u32) {
    let job = running(state);
    let batch = TokenBatch {
        text: text.into(),
        n: 1,
        total,
        first: f64::from(total),
        last: f64::from(total) + 0.01,
        kv_used: 0,
        probs: Vec::new(),
    };
    on_event(state, Event::Tokens { job, batch }, now(3.0));
}

fn shown(state: &AppState) -> Vec<(Role, String)> {
    state.chats.open.iter().flat_map(|open| open.shown()).map(|message| (message.role, message.text.clone())).collect()
}

#[test]
fn a_question_is_on_disk_before_the_engine_hears_it() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Generate { .. }))), "not before it is saved");
    let seq = saved(&effects);
    let effects = on_answer(&mut state, Answer::Saved(seq), now(2.1));
    assert!(matches!(effects[..], [Effect::BeginReply(..), Effect::Send(Command::Generate { .. })]), "{effects:?}");
    assert_eq!(state.chats.current().map(|chat| (chat.title.as_str(), chat.draft.as_str())), Some(("Why?", "")));
}

#[test]
fn a_failing_disk_is_said_and_the_reply_still_comes() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    let error = EngineError::new(ErrorKind::Disk, "The disk is full");
    let effects = on_answer(&mut state, Answer::Unsaved(saved(&effects), error), now(2.1));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Generate { .. }))));
    assert!(state.unsaved.is_some() && state.notices.iter().count() == 1);
}

#[test]
fn a_reply_streams_and_is_finished() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    tokens(&mut state, "Be", 1);
    tokens(&mut state, "cause", 2);
    let job = running(&state);
    let effects = on_event(&mut state, Event::Generated { job, stats: stats(2) }, now(4.0));
    assert_eq!(shown(&state), [(Role::User, "Why?".into()), (Role::Assistant, "Because".into())]);
    let Some(Effect::Save { ops, .. }) = effects.first() else { panic!("{effects:?}") };
    assert!(ops.iter().any(|op| matches!(op, Op::PutMessage(m) if m.text == "Because" && m.stats.is_some())), "{ops:?}");
    assert_eq!(state.activity, Activity::None);
}

#[test]
fn events_of_an_older_reply_are_ignored() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    let batch = TokenBatch { text: "old".into(), n: 1, total: 1, ..TokenBatch::default() };
    on_event(&mut state, Event::Tokens { job: JobId(0), batch }, now(3.0));
    assert_eq!(shown(&state)[1].1, "");
}

#[test]
fn the_engines_death_keeps_what_had_arrived_and_offers_one_button() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    tokens(&mut state, "Half", 1);
    let error = EngineError::new(ErrorKind::Killed, "The engine was ended by the system");
    let jobs = vec![running(&state)];
    let effects = on_event(&mut state, Event::Died { jobs, error }, now(4.0));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Save { .. })), "the partial reply is saved");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send(_))), "not retried blindly");
    let last = state.chats.open.as_ref().and_then(|open| open.shown().last().cloned()).expect("the reply stays");
    assert_eq!(last.text, "Half");
    assert!(matches!(last.state, MessageState::Failed(_)));
    assert!(state.crash.is_some() && state.loaded.is_none());

    // the one button loads again and goes on with the reply
    on_event(&mut state, Event::Hello { version: 1, pid: 8, facts: EngineFacts::default() }, now(4.5));
    let effects = on_action(&mut state, Action::Recover, now(5.0));
    let effects = finish_load(&mut state, effects, "a-Q4_1.gguf", "Q4_1");
    let Some(Effect::Send(Command::Generate { request, .. })) = effects.last() else { panic!("{effects:?}") };
    let crate::protocol::Prompt::Chat { messages } = &request.prompt else { panic!("a chat goes on as a chat") };
    assert_eq!(messages.last().map(|message| (message.role, message.text.as_str())), Some((Role::Assistant, "Half")));
}

#[test]
fn a_design_that_does_not_fit_is_said_before_it_is_loaded() {
    let mut state = ready();
    let effects = on_action(&mut state, Action::OpenModel("big.gguf".into()), now(3.0));
    let Some(Effect::Inspect { design, .. }) = effects.into_iter().next() else { panic!("it is looked at first") };
    let result = Box::new(Ok(inspection(&design, false)));
    let effects = on_answer(&mut state, Answer::Inspected { design, result }, now(3.1));
    assert!(effects.is_empty() && matches!(state.dialog, Dialog::Fit(_)));
    let effects = on_action(&mut state, Action::LoadAnyway, now(4.0));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Load { .. }))));
}

#[test]
fn a_bad_file_leaves_the_loaded_model_alone() {
    let mut state = ready();
    let effects = on_action(&mut state, Action::OpenModel("bad.gguf".into()), now(3.0));
    let Some(Effect::Inspect { design, .. }) = effects.into_iter().next() else { panic!("it is looked at first") };
    let error = EngineError::new(ErrorKind::InvalidFile, "Not a GGUF file");
    on_answer(&mut state, Answer::Inspected { design, result: Box::new(Err(error)) }, now(3.1));
    assert!(state.crash.as_ref().is_some_and(|crash| !crash.is_death));
    assert!(state.can_generate(), "the model before it still answers");
}

#[test]
fn what_does_not_fit_in_the_context_is_asked_about() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    let job = running(&state);
    let error = EngineError::new(ErrorKind::ContextOverflow, "5000 tokens do not fit in 4096");
    on_event(&mut state, Event::Failed { job, error }, now(2.2));
    assert!(matches!(state.dialog, Dialog::Overflow(..)));
    let effects = on_action(&mut state, Action::ResolveOverflow(Overflow::DropOldest), now(3.0));
    let Some(Effect::Send(Command::Generate { request, .. })) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(request.overflow, Overflow::DropOldest);
}

#[test]
fn regenerate_branches_and_the_old_reply_stays() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    tokens(&mut state, "One", 1);
    let job = running(&state);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(3.0));
    let reply = *state.chats.open.as_ref().and_then(|open| open.branch.last()).expect("a reply");
    on_action(&mut state, Action::Regenerate(reply), now(4.0));
    let open = state.chats.open.as_ref().expect("open");
    assert_eq!(open.messages.len(), 3);
    let newest = *open.branch.last().expect("a reply");
    assert_eq!(crate::app::siblings(&open.messages, newest), [reply, newest]);
}

#[test]
fn a_switch_is_marked_with_its_time() {
    let mut state = ready();
    load(&mut state, "b.gguf", "Q8_0");
    assert!(state.telemetry.markers.iter().any(|marker| marker.kind == MarkerKind::Load));
}

#[test]
fn the_draft_is_saved_while_typing_goes_on() {
    let mut state = ready();
    on_action(&mut state, Action::SetDraft("a".into()), now(2.0));
    on_action(&mut state, Action::SetDraft("ab".into()), now(2.2));
    let (effects, next) = tick(&mut state, now(2.25));
    let saves_draft = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Save { .. }));
    assert!(!saves_draft(&effects) && next.is_some());
    let (effects, _) = tick(&mut state, now(2.31));
    assert!(effects.iter().any(|e| matches!(e, Effect::Save { ops, .. } if matches!(&ops[..], [Op::SetDraft(_, text)] if text == "ab"))));
}

#[test]
fn a_hello_after_a_death_finds_no_model() {
    let mut state = ready();
    on_event(&mut state, Event::Hello { version: 1, pid: 9, facts: EngineFacts::default() }, now(3.0));
    assert!(state.loaded.is_none());
    assert!(matches!(state.engine, EngineState::Up { pid: 9, .. }));
}

#[test]
fn two_crashes_at_start_stop_the_autoload() {
    let settings =
        Settings { starts_without_success: 2, last_design: Some(Design::for_model("x.gguf")), autoload: true, ..Settings::default() };
    let mut state = AppState::new(settings);
    let effects = on_start(&mut state, None, now(0.0));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Inspect { .. })));
    assert_eq!(state.notices.iter().count(), 1);
}

#[test]
fn stop_before_the_question_is_on_disk_is_not_lost() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_action(&mut state, Action::Stop, now(2.0));
    let effects = on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Generate { .. }))), "{effects:?}");
    assert_eq!(state.activity, Activity::None);
}

#[test]
fn another_chat_opened_meanwhile_does_not_change_what_is_asked() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    let seq = saved(&effects);
    on_action(&mut state, Action::NewNotebook, now(2.05));
    let effects = on_answer(&mut state, Answer::Saved(seq), now(2.1));
    let Some(Effect::Send(Command::Generate { request, .. })) = effects.last() else { panic!("{effects:?}") };
    assert!(matches!(request.prompt, crate::protocol::Prompt::Chat { .. }), "{:?}", request.prompt);
}

#[test]
fn the_decode_line_stays_down_while_nothing_runs() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    on_answer(&mut state, Answer::Saved(saved(&effects)), now(30.0));
    let job = running(&state);
    on_event(&mut state, Event::Started { job, prompt_tokens: 5, cached_tokens: 0, dropped: None }, now(30.0));
    assert_eq!(state.telemetry.decode.all().last(), Some(&[30.0, 0.0]));
}
