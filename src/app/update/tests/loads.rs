//! Loads and switches, alone and in the middle of a reply.

use std::path::Path;

use super::*;
use crate::app::{NoticeAction, ReplyId};
use crate::library::{Family, Rung, RungState};

fn rung(quant: &str, path: &str) -> Rung {
    let state = RungState::OnDisk { path: path.into(), size: 1, bpw: 4.0, alternates: Vec::new() };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

/// As `ready`, with a ladder of three rungs.
pub(super) fn ready_with_ladder() -> AppState {
    let mut state = ready();
    state.library.families = vec![Family {
        key: "a".into(),
        name: "A".into(),
        arch: "llama".into(),
        n_params: 1,
        n_layer: 1,
        n_ctx_train: 4096,
        rungs: vec![rung("Q8_0", "a-Q8_0.gguf"), rung("Q4_1", "a-Q4_1.gguf"), rung("Q2_K", "a-Q2_K.gguf")],
    }];
    state
}

pub(super) fn select(state: &mut AppState, quant: &str, at: f64) -> Vec<Effect> {
    on_action(state, Action::SelectRung(quant.into()), now(at))
}

/// Ends the load that runs well.
pub(super) fn loaded(state: &mut AppState, quant: &str, at: f64) -> Vec<Effect> {
    let job = state.loading().expect("a load runs").job;
    on_event(state, Event::Loaded { job, report: report(&format!("a-{quant}.gguf"), quant) }, now(at))
}

pub(super) fn load_cancelled(state: &mut AppState, at: f64) -> Vec<Effect> {
    let job = state.loading().expect("a load runs").job;
    on_event(state, Event::Failed { job, error: EngineError::cancelled() }, now(at))
}

/// The text of the notices on screen.
fn said(state: &AppState) -> Vec<&str> {
    state.notices.iter().map(|notice| notice.text.as_str()).collect()
}

/// A reply of one word that was stopped for Q8_0, which is being loaded now.
pub(super) fn switching() -> AppState {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Half", 1);
    let effects = select(&mut state, "Q8_0", 3.0);
    let effects = inspected(&mut state, &effects, true);
    assert!(cancels(&effects, job) && loads(&effects).is_some(), "{effects:?}");
    let effects = on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.5));
    assert_eq!(loads(&effects), None, "the engine was told already");
    assert_eq!(ahead(&effects).only_by.as_deref(), Some(Path::new("a-Q8_0.gguf")), "and hears of the rest of the reply, too");
    state
}

/// The request for the rest of a reply that is among the effects.
fn ahead(effects: &[Effect]) -> &crate::protocol::GenerateRequest {
    let of = |effect| if let &Effect::Send(Command::Generate { ref request, .. }) = effect { Some(request) } else { None };
    effects.iter().find_map(of).expect("it is asked for")
}

/// The job of the rest of the reply, which waits in the engine behind the load.
pub(super) fn ahead_job(state: &AppState) -> JobId {
    state.internal.ahead.expect("it was asked for").job
}

/// Whether the reply is saved as it stood before.
pub(super) fn saves_as(effects: &[Effect], text: &str, as_state: MessageState) -> bool {
    let is_it = |op: &Op| matches!(op, Op::PutMessage(message) if message.text == text && message.state == as_state);
    effects.iter().any(|effect| matches!(effect, Effect::Save { ops, .. } if ops.iter().any(is_it)))
}

#[test]
fn another_rung_in_the_middle_of_a_reply_goes_on_with_it() {
    let mut state = switching();
    let waits = ahead_job(&state);
    let effects = loaded(&mut state, "Q8_0", 4.0);
    assert!(!generates(&effects) && !cancels(&effects, waits), "it was asked for before: {effects:?}");
    let is_streaming = |op: &Op| matches!(op, Op::PutMessage(_));
    assert!(
        !effects.iter().any(|effect| matches!(effect, Effect::Save { ops, .. } if ops.iter().any(is_streaming))),
        "its first words may be on the disk already: {effects:?}"
    );
    assert_eq!((running(&state), state.internal.ahead), (waits, None));
    tokens(&mut state, " done", 1);
    assert_eq!(shown(&state)[1].1, "Half done");
}

#[test]
fn each_rung_is_told_what_it_said_and_how_fast() {
    let mut state = switching();
    loaded(&mut state, "Q8_0", 4.0);
    let job = running(&state);
    tokens(&mut state, " done", 1);
    on_event(&mut state, Event::Generated { job, stats: stats(9) }, now(5.0));
    let last = state.chats.open.as_ref().and_then(|open| open.shown().last().cloned()).expect("a reply");
    let made_by = last.provenance.as_ref().expect("it is known what made it");
    assert_eq!(
        (made_by.quant.as_str(), last.last_part(), last.stats.as_ref().map(|stats| stats.predicted_tokens)),
        ("Q8_0", " done", Some(9))
    );
    let [part] = made_by.earlier.as_slice() else { panic!("{:?}", made_by.earlier) };
    assert_eq!((part.end, part.stats.as_ref().map(|stats| stats.predicted_tokens)), (4, Some(1)));
    assert_eq!(part.made_by.as_ref().map(|made_by| (made_by.quant.as_str(), made_by.earlier.len())), Some(("Q4_1", 0)));
}

#[test]
fn a_switch_in_the_middle_is_measured_from_the_click_and_is_no_stop() {
    let mut state = switching();
    loaded(&mut state, "Q8_0", 4.0);
    let provenance = state.chats.open.as_ref().and_then(|open| open.shown().last()).and_then(|last| last.provenance.clone());
    assert_eq!(provenance.and_then(|made| made.switched), Some(("Q4_1".into(), 1.0)));
    assert!(!state.telemetry.markers.iter().any(|marker| marker.kind == MarkerKind::Stop), "{:?}", state.telemetry.markers);
}

#[test]
fn a_rung_that_cannot_be_loaded_leaves_the_reply_alone() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    let effects = select(&mut state, "Q8_0", 3.0);
    assert!(!cancels(&effects, job), "it is looked at first");
    let effects = inspected(&mut state, &effects, false);
    assert!(!cancels(&effects, job) && matches!(state.dialog, Dialog::Fit(_)));
    assert!(state.generating().is_some_and(|generating| generating.stopping.is_none()));
    // whoever wants it all the same gets it after the reply has ended
    let effects = on_action(&mut state, Action::LoadAnyway, now(4.0));
    let order: Vec<_> = effects.iter().map(|effect| matches!(effect, Effect::Send(Command::Load { .. }))).collect();
    assert!(cancels(&effects, job) && order == [false, true], "{effects:?}");
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(4.1));
    assert!(state.loading().is_some());

    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    select(&mut state, "Q8_0", 3.0);
    let error = EngineError::new(ErrorKind::InvalidFile, "Not a GGUF file");
    let design = Box::new(Design::for_model("a-Q8_0.gguf"));
    let effects = on_answer(&mut state, Answer::Inspected { design, result: Box::new(Err(error)) }, now(3.1));
    assert!(!cancels(&effects, job) && state.crash.is_some() && state.generating().is_some());
}

#[test]
fn a_reply_begun_while_a_file_is_looked_at_is_not_lost() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Whole", 1);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(3.0));
    let reply = *state.chats.open.as_ref().and_then(|open| open.branch.last()).expect("a reply");
    let looked = select(&mut state, "Q8_0", 4.0);
    on_action(&mut state, Action::Regenerate(reply), now(4.0));
    let job = running(&state);
    let effects = inspected(&mut state, &looked, true);
    assert!(cancels(&effects, job) && loads(&effects).is_none() && running(&state) == job, "{effects:?}");
}

#[test]
fn a_message_sent_while_a_file_is_looked_at_waits_for_the_new_model() {
    let mut state = ready_with_ladder();
    let looked = select(&mut state, "Q8_0", 3.0);
    let effects = type_and_send(&mut state, "Why?");
    assert!(effects.is_empty() && state.activity == Activity::None, "{effects:?}");
    inspected(&mut state, &looked, true);
    loaded(&mut state, "Q8_0", 4.0);
    assert!(state.generating().is_some());
    assert_eq!(shown(&state)[0].1, "Why?");
}

#[test]
fn a_message_that_waits_is_sent_in_its_own_chat_only() {
    let mut state = ready_with_ladder();
    let looked = select(&mut state, "Q8_0", 3.0);
    type_and_send(&mut state, "Why?");
    let first = state.chats.current().expect("open").id;
    on_action(&mut state, Action::NewChat, now(3.1));
    on_action(&mut state, Action::SetDraft("not this".into()), now(3.2));
    inspected(&mut state, &looked, true);
    loaded(&mut state, "Q8_0", 4.0);
    assert_eq!(state.activity, Activity::None);
    assert_eq!(state.chats.get(first).map(|chat| chat.draft.as_str()), Some("Why?"), "it is still typed there");
    assert!(said(&state).iter().any(|text| text.contains("was not sent")), "{:?}", said(&state));
}

#[test]
fn closing_the_dialog_that_a_message_waits_behind_keeps_it_from_being_sent() {
    for close in [Action::CloseDialog, Action::ToggleShortcuts] {
        let mut state = ready_with_ladder();
        let looked = select(&mut state, "Q8_0", 3.0);
        type_and_send(&mut state, "Why?");
        inspected(&mut state, &looked, false);
        on_action(&mut state, close, now(3.5));
        load(&mut state, "a-Q2_K.gguf", "Q2_K");
        assert_eq!(state.activity, Activity::None, "nobody asked for it any more");
        assert_eq!(state.chats.current().map(|chat| chat.draft.as_str()), Some("Why?"));
    }
}

#[test]
fn a_second_choice_while_loading_goes_on_with_the_reply_too() {
    let mut state = switching();
    let first = state.loading().expect("a load runs").job;
    let effects = select(&mut state, "Q2_K", 3.6);
    assert!(cancels(&effects, first));
    let effects = load_cancelled(&mut state, 3.7);
    inspected(&mut state, &effects, true);
    let effects = loaded(&mut state, "Q2_K", 4.0);
    assert!(generates(&effects), "{effects:?}");
}

#[test]
fn the_same_choice_twice_is_one_load() {
    let mut state = switching();
    let job = state.loading().expect("a load runs").job;
    let effects = on_action(&mut state, Action::OpenModel("a-Q8_0.gguf".into()), now(3.6));
    assert!(effects.is_empty() && state.loading().is_some_and(|loading| loading.job == job && !loading.stopping), "{effects:?}");
    loaded(&mut state, "Q8_0", 4.0);
    assert!(state.generating().is_some());
}

#[test]
fn a_bad_second_choice_goes_on_with_what_is_there() {
    let mut state = switching();
    select(&mut state, "Q2_K", 3.6);
    load_cancelled(&mut state, 3.7);
    let error = EngineError::new(ErrorKind::InvalidFile, "Not a GGUF file");
    let design = Box::new(Design::for_model("a-Q2_K.gguf"));
    on_answer(&mut state, Answer::Inspected { design, result: Box::new(Err(error)) }, now(3.8));
    assert!(state.generating().is_some(), "the model from before is still there");
}

#[test]
fn a_reply_whose_chat_is_not_open_any_more_is_said_to_wait() {
    let mut state = switching();
    let chat = state.chats.current().expect("open").id;
    on_action(&mut state, Action::NewNotebook, now(3.6));
    loaded(&mut state, "Q8_0", 4.0);
    assert_eq!(state.activity, Activity::None);
    let offer = state.notices.iter().find_map(|notice| notice.action.clone());
    assert_eq!(offer, Some(NoticeAction { label: "Open it".into(), action: Box::new(Action::OpenChat(chat)) }));
}

#[test]
fn a_reply_that_had_ended_by_itself_is_not_gone_on_with() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Whole", 1);
    let effects = select(&mut state, "Q8_0", 3.0);
    inspected(&mut state, &effects, true);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(3.1));
    loaded(&mut state, "Q8_0", 4.0);
    assert_eq!(state.activity, Activity::None);
}

#[test]
fn stop_stops_what_was_to_follow_too() {
    let mut state = switching();
    select(&mut state, "Q2_K", 3.6);
    on_action(&mut state, Action::Stop, now(3.7));
    let effects = load_cancelled(&mut state, 3.8);
    assert!(state.is_quiet() && state.activity == Activity::None && effects.is_empty(), "{effects:?}");

    // the load may have come to its end before it heard of it
    let mut state = switching();
    on_action(&mut state, Action::Stop, now(3.7));
    loaded(&mut state, "Q8_0", 3.8);
    assert_eq!(state.activity, Activity::None);
}

#[test]
fn a_plain_load_takes_the_mark_of_an_earlier_switch_away() {
    let mut state = ready_with_ladder();
    let effects = select(&mut state, "Q8_0", 3.0);
    inspected(&mut state, &effects, true);
    loaded(&mut state, "Q8_0", 3.5);
    assert_eq!(state.pending_switch, Some(("Q4_1".into(), 0.5)));
    load(&mut state, "b.gguf", "Q4_1");
    assert_eq!(state.pending_switch, None);
}

#[test]
fn a_death_in_the_middle_of_a_switch_offers_what_was_wanted() {
    let mut state = switching();
    let reply = state.loading().and_then(|loading| loading.then_continue);
    assert!(reply.is_some());
    let error = EngineError::new(ErrorKind::Killed, "The engine was ended by the system");
    on_event(&mut state, Event::Died { jobs: Vec::new(), error }, now(4.0));
    let retry = state.crash.and_then(|crash| crash.retry).expect("it can be tried again");
    assert_eq!((retry.design, retry.reply), (Design::for_model("a-Q8_0.gguf"), reply));
}

/// What is read ahead, if something is.
fn read_ahead(effects: &[Effect]) -> Option<(JobId, &crate::protocol::Prompt)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Send(Command::Prefill { job, request }) => Some((*job, &request.prompt)),
        _ => None,
    })
}

#[test]
fn a_rung_that_takes_over_reads_the_conversation_and_makes_way_for_a_question() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Because", 1);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(3.0));
    let effects = select(&mut state, "Q8_0", 4.0);
    inspected(&mut state, &effects, true);
    let effects = loaded(&mut state, "Q8_0", 4.5);
    let (job, prompt) = read_ahead(&effects).expect("it is read");
    let crate::protocol::Prompt::Chat { messages } = prompt else { panic!("{prompt:?}") };
    assert_eq!(messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["Why?", "Because"]);
    assert!(state.can_generate() && !state.is_quiet());
    on_event(&mut state, Event::Started { job, prompt_tokens: 100, cached_tokens: 0, dropped: None }, now(4.6));
    assert!(state.telemetry.prefilling.is_some());
    let effects = type_and_send(&mut state, "And then?");
    assert!(cancels(&effects, job) && state.telemetry.prefilling.is_none(), "{effects:?}");
    on_event(&mut state, Event::Failed { job, error: EngineError::cancelled() }, now(4.7));
    assert!(state.generating().is_some() && said(&state).is_empty());
}

#[test]
fn nothing_is_read_ahead_where_nothing_was_said() {
    let mut state = ready_with_ladder();
    let effects = select(&mut state, "Q8_0", 4.0);
    inspected(&mut state, &effects, true);
    let effects = loaded(&mut state, "Q8_0", 4.5);
    assert_eq!(read_ahead(&effects), None);
}

#[test]
fn going_on_while_the_engine_is_still_starting_waits_for_it() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Half", 1);
    let error = EngineError::new(ErrorKind::Killed, "The engine was ended by the system");
    on_event(&mut state, Event::Died { jobs: vec![job], error }, now(4.0));
    // the supervisor is bringing it back: the load is all that is asked for
    let effects = on_action(&mut state, Action::Recover, now(4.1));
    assert!(matches!(effects[..], [Effect::Inspect { .. }]), "{effects:?}");
    let effects = inspected(&mut state, &effects, true);
    assert!(matches!(effects[..], [Effect::Send(Command::Load { .. })]), "{effects:?}");
    on_event(&mut state, Event::Hello { version: 1, pid: 8, facts: EngineFacts::default() }, now(4.5));
    loaded(&mut state, "Q4_1", 5.0);
    assert!(state.generating().is_some(), "the reply goes on");
}

#[test]
fn only_the_reply_that_was_stopped_for_the_load_goes_on_after_it() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    let message = state.generating().expect("a reply runs").message;
    let chat = state.chats.current().expect("open").id;
    let effects = select(&mut state, "Q8_0", 3.0);
    inspected(&mut state, &effects, true);
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    assert_eq!(state.loading().and_then(|loading| loading.then_continue), Some(ReplyId { chat, message }));
}

#[test]
fn a_failed_load_that_cost_the_model_does_not_show_it_any_more() {
    let mut state = ready();
    let effects = on_action(&mut state, Action::OpenModel("b.gguf".into()), now(2.0));
    inspected(&mut state, &effects, true);
    let job = state.loading().expect("a load runs").job;
    let kept = state.resident.clone();
    assert!(!kept.is_empty() && state.loaded.is_some());
    on_event(&mut state, Event::Residents { job, resident: kept }, now(2.1));
    assert!(state.loaded.is_some(), "what is still there is still shown");
    let other = Resident { design: Design::for_model("c.gguf"), memory: MemoryUse::default(), active: true };
    let mut elsewhere = state.clone();
    on_event(&mut elsewhere, Event::Residents { job, resident: vec![other] }, now(2.2));
    assert!(elsewhere.loaded.is_none(), "another model answers");
    on_event(&mut state, Event::Residents { job, resident: Vec::new() }, now(2.2));
    on_event(&mut state, Event::Failed { job, error: EngineError::new(ErrorKind::OutOfMemory, "No") }, now(2.3));
    assert!(state.loaded.is_none() && state.resident.is_empty());
    assert!(state.crash.as_ref().is_some_and(|crash| crash.retry.is_some()));
}

/// As `ready_with_ladder`, with Q8_0 warm and a reply under way.
fn replying_beside_a_warm_rung() -> (AppState, JobId) {
    let mut state = ready_with_ladder();
    let warm = |path: &str, active| Resident { design: Design::for_model(path), memory: MemoryUse::default(), active };
    state.resident = vec![warm("a-Q8_0.gguf", false), warm("a-Q4_1.gguf", true)];
    let job = replying(&mut state);
    tokens(&mut state, "Half", 1);
    (state, job)
}

/// The job of the load that is asked for.
fn load_job(effects: &[Effect]) -> JobId {
    let load = |effect: &Effect| if let Effect::Send(Command::Load { job, .. }) = effect { Some(*job) } else { None };
    effects.iter().find_map(load).expect("a load is asked for")
}

#[test]
fn a_warm_rung_is_asked_for_with_the_click() {
    let (mut state, job) = replying_beside_a_warm_rung();
    let effects = select(&mut state, "Q8_0", 3.0);
    let load = load_job(&effects);
    assert_eq!(effects[0], Effect::Send(Command::Cancel { job }), "the order to end comes first");
    let effects = on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    assert_eq!(state.loading().map(|loading| loading.job), Some(load));
    assert!(generates(&effects), "the reply is gone on with at once: {effects:?}");
    loaded(&mut state, "Q8_0", 3.2);
    assert!(state.generating().is_some());
}

#[test]
fn stop_takes_back_what_the_engine_was_told() {
    let (mut state, job) = replying_beside_a_warm_rung();
    let load = load_job(&select(&mut state, "Q8_0", 3.0));
    let effects = on_action(&mut state, Action::Stop, now(3.05));
    assert!(cancels(&effects, job) && cancels(&effects, load));
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    assert!(state.loading().is_some_and(|loading| loading.stopping && loading.then_continue.is_none()));
    on_event(&mut state, Event::Failed { job: load, error: EngineError::cancelled() }, now(3.2));
    assert!(state.activity == Activity::None && state.active_quant() == Some("Q4_1") && state.crash.is_none());

    // or it came too late, and the other rung is there: the reply stays stopped
    let (mut state, job) = replying_beside_a_warm_rung();
    select(&mut state, "Q8_0", 3.0);
    on_action(&mut state, Action::Stop, now(3.05));
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    let effects = loaded(&mut state, "Q8_0", 3.2);
    assert!(state.activity == Activity::None && state.active_quant() == Some("Q8_0") && !generates(&effects));
}

#[test]
fn a_second_choice_takes_the_first_one_back() {
    let (mut state, job) = replying_beside_a_warm_rung();
    let first = load_job(&select(&mut state, "Q8_0", 3.0));
    let effects = select(&mut state, "Q2_K", 3.05);
    let effects = inspected(&mut state, &effects, true);
    assert!(cancels(&effects, first));
    let second = load_job(&effects);
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    on_event(&mut state, Event::Failed { job: first, error: EngineError::cancelled() }, now(3.15));
    assert_eq!(state.loading().map(|loading| loading.job), Some(second));
    loaded(&mut state, "Q2_K", 3.5);
    assert!(state.generating().is_some());
}

#[test]
fn a_reply_the_engine_has_not_heard_of_ends_before_the_load_is_asked_for() {
    let mut state = ready_with_ladder();
    let warm = |path: &str, active| Resident { design: Design::for_model(path), memory: MemoryUse::default(), active };
    state.resident = vec![warm("a-Q8_0.gguf", false), warm("a-Q4_1.gguf", true)];
    let effects = type_and_send(&mut state, "Why?");
    let seq = saved(&effects);
    let effects = select(&mut state, "Q8_0", 3.0);
    assert_eq!(loads(&effects), None);
    let effects = on_answer(&mut state, Answer::Saved(seq), now(3.1));
    assert!(loads(&effects).is_some() && state.loading().is_some());
}

#[test]
fn a_death_is_said_in_the_dialog_that_waits_and_keeps_the_reply_that_goes_on() {
    let (mut state, job) = replying_beside_a_warm_rung();
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    on_action(&mut state, Action::ShowPrompt, now(3.2));
    let Dialog::Prompt(view) = &state.dialog else { panic!("{:?}", state.dialog) };
    let shown_job = view.job;
    let death = || EngineError::new(ErrorKind::Crashed, "The engine hit an assertion");
    on_event(&mut state, Event::Died { jobs: vec![shown_job], error: death() }, now(3.3));
    assert!(matches!(&state.dialog, Dialog::Prompt(view) if view.rendered == Some(Err(death()))));

    // a reply that is gone on with keeps both its parts
    let (mut state, job) = replying_beside_a_warm_rung();
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    let reply = *state.chats.open.as_ref().and_then(|open| open.branch.last()).expect("a reply");
    on_action(&mut state, Action::Continue(reply), now(3.2));
    tokens(&mut state, " more", 1);
    let job = running(&state);
    let effects = on_event(&mut state, Event::Died { jobs: vec![job], error: death() }, now(3.3));
    assert_eq!(shown(&state)[1].1, "Half more");
    let kept = |op: &Op| matches!(op, Op::PutMessage(message) if message.id == reply && message.text == "Half more");
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Save { ops, .. } if ops.iter().any(kept))), "{effects:?}");
    assert_eq!(state.crash.and_then(|crash| crash.retry).and_then(|retry| retry.reply).map(|id| id.message), Some(reply));
}

#[test]
fn a_death_while_it_is_asked_whether_to_load_keeps_the_reply_that_waits() {
    let mut state = switching();
    let reply = state.loading().and_then(|loading| loading.then_continue);
    select(&mut state, "Q2_K", 3.6);
    load_cancelled(&mut state, 3.7);
    let design = Box::new(Design::for_model("a-Q2_K.gguf"));
    let result = Box::new(Ok(inspection(&design, false)));
    on_answer(&mut state, Answer::Inspected { design, result }, now(3.8));
    assert!(matches!(state.dialog, Dialog::Fit(_)) && reply.is_some());
    on_event(&mut state, Event::Died { jobs: Vec::new(), error: EngineError::new(ErrorKind::Killed, "Gone") }, now(4.0));
    assert_eq!(state.crash.and_then(|crash| crash.retry).and_then(|retry| retry.reply), reply);
}
