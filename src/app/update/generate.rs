//! Asking for replies: send, regenerate, edit, continue.

use std::path::PathBuf;

use super::{Action, AppState, Effect, Now, chat, meter, reply};
use crate::app::{Activity, Ahead, Dialog, Generating, NoticeAction, ReplyId, Severity};
use crate::protocol::{ALTERNATIVES, Command, EngineError, GenerateRequest, JobId, Overflow, Prompt, Role};
use crate::store::{Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState, Op, Provenance};

/// Longest system prompt that is kept with every reply it was sent for, bytes.
const KEPT_SYSTEM: usize = 16 << 10;

/// Sends the draft: a question in a chat, the text to go on with in a notebook.
pub(super) fn send(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Some((id, mode, draft)) = state.chats.current().map(|chat| (chat.id, chat.mode, chat.draft.clone())) else { return };
    let Some(open) = state.chats.open.as_ref().filter(|open| open.is_loaded) else { return };
    if draft.trim().is_empty() {
        return;
    }
    let parent = if mode == ChatMode::Notebook { None } else { open.branch.last().copied() };
    if !ready_or_explain(state, true, now) {
        return;
    }
    let question = new_message(state, id, parent, Role::User, draft.clone(), now);
    if mode == ChatMode::Chat
        && let Some(chat) = state.chats.get_mut(id)
    {
        chat.draft.clear();
        state.internal.draft_unsaved = None;
        state.internal.draft_changed = None;
        meter::on_sent(state);
    }
    title(state, id, &draft);
    reply_to(state, id, question, now, effects);
}

/// Another reply to the question that `message` answers (or to `message`, when it is a question).
pub(super) fn regenerate(state: &mut AppState, message: MessageId, now: Now, effects: &mut Vec<Effect>) {
    let Some(open) = state.chats.open.as_ref() else { return };
    let Some(origin) = open.get(message) else { return };
    let question = if origin.role == Role::Assistant { origin.parent } else { Some(message) };
    let (Some(question), chat) = (question, open.id) else { return };
    if ready_or_explain(state, false, now) {
        reply_to(state, chat, question, now, effects);
    }
}

/// Asks a changed question beside the old one.
pub(super) fn edit_and_run(state: &mut AppState, message: MessageId, text: String, now: Now, effects: &mut Vec<Effect>) {
    let Some(open) = state.chats.open.as_ref() else { return };
    let Some((parent, chat)) = open.get(message).map(|old| (old.parent, open.id)) else { return };
    if text.trim().is_empty() {
        return;
    }
    if !ready_or_explain(state, false, now) {
        // whoever asked has let go of the text
        let offer = NoticeAction { label: "Copy it".into(), action: Box::new(Action::Copy(text.clone())) };
        state.notices.push(Severity::Warn, "The changed message was not sent", vec![text], Some(offer), now.secs);
        return;
    }
    let question = new_message(state, chat, parent, Role::User, text, now);
    reply_to(state, chat, question, now, effects);
}

/// Goes on with a reply where it ended.
pub(super) fn continue_reply(state: &mut AppState, message: MessageId, now: Now, effects: &mut Vec<Effect>) {
    if !ready_or_explain(state, false, now) {
        return;
    }
    let provenance = provenance(state);
    let Some(open) = state.chats.open.as_mut() else { return };
    let chat = open.id;
    let Some(reply) = open.messages.get_mut(&message).filter(|message| message.role == Role::Assistant) else { return };
    reply.begin_part(provenance);
    let (reply, text) = (reply.clone(), reply.text.clone());
    let leaf = Some(message);
    open.relink(leaf);
    begin(state, chat, reply, text, Some(message), None, now, effects);
}

/// Goes on with a reply that waited for a load. Where its chat is not on screen any more its text is not at hand: that is said then.
pub(super) fn go_on(state: &mut AppState, reply: ReplyId, now: Now, effects: &mut Vec<Effect>) -> bool {
    if state.chats.open.as_ref().is_some_and(|open| open.id == reply.chat && open.get(reply.message).is_some()) {
        continue_reply(state, reply.message, now, effects);
        return state.generating().is_some();
    }
    if let Some(title) = state.chats.get(reply.chat).map(title_words) {
        let offer = NoticeAction { label: "Open it".into(), action: Box::new(Action::OpenChat(reply.chat)) };
        let text = format!("The reply in “{title}” was not gone on with, because another chat is open");
        state.notices.push(Severity::Warn, text, Vec::new(), Some(offer), now.secs);
    }
    false
}

/// Sends the draft that waited for the model, in the chat it was typed in and in no other.
pub(super) fn send_waiting(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) -> bool {
    let Some(chat) = state.internal.send_when_ready.take() else { return false };
    if let Some(open) = state.chats.open.as_ref().filter(|open| open.id == chat) {
        if open.is_loaded {
            send(state, now, effects);
        } else {
            // its messages are still on their way from the disk
            state.internal.send_when_ready = Some(chat);
        }
        return state.generating().is_some();
    }
    if let Some(title) = state.chats.get(chat).map(title_words) {
        let offer = NoticeAction { label: "Open it".into(), action: Box::new(Action::OpenChat(chat)) };
        let text = format!("What you typed in “{title}” was not sent, because another chat is open; it is still there");
        state.notices.push(Severity::Warn, text, Vec::new(), Some(offer), now.secs);
    }
    false
}

fn title_words(chat: &Chat) -> String {
    if chat.title.is_empty() { "New chat".into() } else { chat.title.clone() }
}

/// A reply to `question`, as a new branch end.
fn reply_to(state: &mut AppState, chat: ChatId, question: MessageId, now: Now, effects: &mut Vec<Effect>) {
    let id = new_message(state, chat, Some(question), Role::Assistant, String::new(), now);
    let provenance = provenance(state);
    let Some(open) = state.chats.open.as_mut() else { return };
    open.relink(Some(id));
    let asked = open.get(question).cloned();
    let Some(reply) = open.messages.get_mut(&id) else { return };
    reply.state = MessageState::Streaming;
    reply.provenance = provenance;
    let reply = reply.clone();
    if let Some(chat) = state.chats.get_mut(chat) {
        chat.replies += 1;
    }
    begin(state, chat, reply, String::new(), Some(question), asked, now, effects);
}

/// Saves the question and an empty reply; the engine is asked once they are on disk (`on_saved`). A reply that is gone on with is
/// asked for at once.
pub(super) fn begin(
    state: &mut AppState,
    chat_id: ChatId,
    reply: ChatMessage,
    text: String,
    last: Option<MessageId>,
    asked: Option<ChatMessage>,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    let message = reply.id;
    let quant = state.active_quant().unwrap_or_default().to_owned();
    let mut ops = Vec::new();
    let Some(prompt) = prompt(state, last) else { return };
    let asked_now = text.is_empty();
    if let Some(chat) = state.chats.get_mut(chat_id) {
        chat.leaf = Some(message);
        chat.updated_ms = now.unix_ms;
        chat.last_design = quant;
        ops.push(Op::PutChat(chat.clone()));
    }
    state.chats.sort();
    ops.extend(asked.map(Op::PutMessage));
    let ahead = state.internal.ahead.take_if(|ahead| ahead.reply == ReplyId { chat: chat_id, message });
    if ahead.is_none() {
        // of a reply that was asked for ahead there may be more on the disk than here
        ops.push(Op::PutMessage(reply));
    }
    let seq = chat::save(state, ops, effects);
    state.internal.last_request = Some((message, prompt));
    clear_the_way(state, effects);
    let job = ahead.map_or_else(|| state.job(), |ahead| ahead.job);
    // what a continued reply answers and what it says so far is on disk, or on its way there ahead of what is to come
    let waits = asked_now.then_some(seq);
    state.activity = Activity::Generating(Generating::new(job, chat_id, message, text, now.secs, waits));
    if waits.is_none() && ahead.is_none() {
        ask(state, job, message, effects);
    }
}

/// Asks for the rest of a reply that was broken off for a load which the engine is about to begin: it goes from the one to the other by
/// itself, while the window paints. Nothing is asked where the reply is not at hand, or is part of a notebook, whose text can be changed
/// meanwhile: those are gone on with once the load is over.
pub(super) fn ask_ahead(state: &mut AppState, reply: ReplyId, model: PathBuf, effects: &mut Vec<Effect>) {
    let Some(message) = at_hand(state, reply).filter(|message| !message.text.is_empty()) else { return };
    if state.chats.current().is_none_or(|chat| chat.mode == ChatMode::Notebook) {
        return;
    }
    let Some(prompt) = prompt(state, Some(reply.message)) else { return };
    // on the disk it streams from now on: its text goes there before the window has heard of the load
    let from = message.text.len();
    chat::save(state, vec![Op::PutMessage(ChatMessage { state: MessageState::Streaming, ..message })], effects);
    let job = state.job();
    let request = GenerateRequest { only_by: Some(model), ..request_for(state, prompt, state.settings.overflow) };
    effects.push(Effect::BeginReply(job, reply.message, from));
    effects.push(Effect::Send(Command::Generate { job, request }));
    state.internal.ahead = Some(Ahead { job, reply });
}

/// Takes back what was asked ahead of a load and not taken up after it.
pub(super) fn take_back_ahead(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(ahead) = state.internal.ahead.take() else { return };
    effects.push(Effect::Send(Command::Cancel { job: ahead.job }));
    if let Some(message) = at_hand(state, ahead.reply) {
        chat::save(state, vec![Op::PutMessage(message)], effects);
    }
}

fn at_hand(state: &AppState, reply: ReplyId) -> Option<ChatMessage> {
    state.chats.open.as_ref().filter(|open| open.id == reply.chat)?.get(reply.message).cloned()
}

/// Ends what the engine does for nobody in particular: something is waited for now.
pub(super) fn clear_the_way(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(job) = state.internal.probing.take() {
        effects.push(Effect::Send(Command::Cancel { job }));
    }
    stop_rereading(state, effects);
}

/// Has the model that took over read the conversation while nobody waits for it, so that its next reply begins as soon as that of the
/// model before would have.
pub(super) fn reread(state: &mut AppState, effects: &mut Vec<Effect>) {
    let last = state.chats.open.as_ref().filter(|open| open.is_loaded).and_then(|open| open.branch.last().copied());
    let Some(prompt) = last.and_then(|last| prompt(state, Some(last))) else { return };
    if matches!(&prompt, Prompt::Raw { text } if text.is_empty()) {
        return;
    }
    // a count is short, and would have to wait until all is read
    meter::count(state, effects);
    let job = state.job();
    state.internal.rereading = Some(job);
    let request = request_for(state, prompt, state.settings.overflow);
    effects.push(Effect::Send(Command::Prefill { job, request }));
}

/// The conversation is not read ahead any further; what was read stays in the cache.
pub(super) fn stop_rereading(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(job) = state.internal.rereading.take() {
        state.telemetry.prefilling = None;
        effects.push(Effect::Send(Command::Cancel { job }));
    }
}

/// The question is safe: ask the engine.
pub(super) fn on_saved(state: &mut AppState, seq: u64, now: Now, effects: &mut Vec<Effect>) {
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.waiting_for_save != Some(seq) {
        return;
    }
    generating.waiting_for_save = None;
    let (job, message) = (generating.job, generating.message);
    if generating.stopping.is_some() {
        // the engine has never heard of this reply, so nobody else would end it
        return reply::on_failed(state, job, EngineError::cancelled(), now, effects);
    }
    ask(state, job, message, effects);
}

fn ask(state: &AppState, job: JobId, message: MessageId, effects: &mut Vec<Effect>) {
    let from = state.generating().map_or(0, |generating| generating.kept);
    effects.push(Effect::BeginReply(job, message, from));
    if let Some(request) = request(state, message, state.settings.overflow) {
        effects.push(Effect::Send(Command::Generate { job, request }));
    }
}

/// The request for a reply whose conversation was noted when it began.
fn request(state: &AppState, message: MessageId, overflow: Overflow) -> Option<GenerateRequest> {
    let (_, prompt) = state.internal.last_request.as_ref().filter(|(id, _)| *id == message)?;
    Some(request_for(state, prompt.clone(), overflow))
}

fn request_for(state: &AppState, prompt: Prompt, overflow: Overflow) -> GenerateRequest {
    GenerateRequest {
        // a notebook is one text that is edited: nothing in it could be said to be a token of a run
        alternatives: if matches!(prompt, Prompt::Chat { .. }) { ALTERNATIVES } else { 0 },
        prompt,
        sampler: state.settings.sampler.clone(),
        max_tokens: state.settings.max_tokens,
        stop: state.settings.stop.clone(),
        overflow,
        json_schema: None,
        want_token_ids: false,
        only_by: None,
        text_every_ms: 0,
    }
}

/// What the model is given: the conversation up to `last`, or the text of the notebook as it stands.
fn prompt(state: &AppState, last: Option<MessageId>) -> Option<Prompt> {
    let (chat, open) = (state.chats.current()?, state.chats.open.as_ref()?);
    Some(match chat.mode {
        ChatMode::Chat => Prompt::Chat { messages: open.conversation(&chat.system, last) },
        // a notebook knows no roles: what was typed and what was made are one text
        ChatMode::Notebook => Prompt::Raw { text: chat.draft.clone() },
    })
}

/// The same prompt again, with another answer to "it does not fit".
pub(super) fn resolve_overflow(state: &mut AppState, policy: Overflow, now: Now, effects: &mut Vec<Effect>) {
    let Dialog::Overflow(message, _) = &state.dialog else { return };
    let message = *message;
    // while it cannot be done the question stays
    if policy != Overflow::Stop && !ready_or_explain(state, false, now) {
        return;
    }
    state.dialog = Dialog::None;
    if policy == Overflow::Stop {
        return;
    }
    let Some(open) = state.chats.open.as_mut() else { return };
    let (chat, Some(reply)) = (open.id, open.messages.get_mut(&message)) else { return };
    reply.state = MessageState::Streaming;
    let text = reply.text.clone();
    let Some(request) = request(state, message, policy) else { return };
    let job = state.job();
    let from = text.len();
    state.activity = Activity::Generating(Generating::new(job, chat, message, text, now.secs, None));
    effects.push(Effect::BeginReply(job, message, from));
    effects.push(Effect::Send(Command::Generate { job, request }));
}

pub(super) fn new_message(state: &mut AppState, chat: ChatId, parent: Option<MessageId>, role: Role, text: String, now: Now) -> MessageId {
    let id = state.chats.new_message_id();
    let message =
        ChatMessage { id, chat, parent, role, text, state: MessageState::Whole, stats: None, provenance: None, created_ms: now.unix_ms };
    if let Some(open) = state.chats.open.as_mut() {
        open.messages.insert(id, message);
    }
    id
}

fn title(state: &mut AppState, id: ChatId, text: &str) {
    if let Some(chat) = state.chats.get_mut(id)
        && chat.title.is_empty()
        && !chat.title_is_users
    {
        chat.title = chat::title_from(text);
    }
}

pub(super) fn provenance(state: &mut AppState) -> Option<Provenance> {
    let switched = state.pending_switch.take();
    let sampler = &state.settings.sampler;
    let chat = state.chats.current().filter(|chat| chat.mode == ChatMode::Chat);
    let system = chat.map(|chat| chat.system.clone()).filter(|system| system.len() <= KEPT_SYSTEM);
    state.loaded.as_ref().map(|report| Provenance {
        quant: report.info.quant.clone(),
        model: report.info.name.clone(),
        design: report.design.clone(),
        differences: report.design.differences(sampler),
        switched,
        system,
        earlier: Vec::new(),
    })
}

/// Whether a reply can be asked for; says why not otherwise. A draft is sent by itself once a load that is on its way is over.
pub(super) fn ready_or_explain(state: &mut AppState, is_send: bool, now: Now) -> bool {
    let is_loading = state.loading().is_some() || state.internal.inspecting.is_some();
    if is_send && is_loading {
        state.internal.send_when_ready = state.chats.open.as_ref().map(|open| open.id);
        state.notices.push(Severity::Info, "It will be sent as soon as the model is ready", Vec::new(), None, now.secs);
        return false;
    }
    let Some(why_not) = state.why_not_ready() else { return true };
    if is_loading || state.loaded.is_some() {
        state.notices.push(Severity::Info, format!("{why_not}: ask again in a moment"), Vec::new(), None, now.secs);
    } else {
        let (label, action) = match &state.crash {
            Some(crash) if crash.retry.is_some() => ("Go on", Action::Recover),
            _ => ("Open a model…", Action::PickModel),
        };
        let offer = NoticeAction { label: label.into(), action: Box::new(action) };
        state.notices.push(Severity::Warn, "No model is loaded", Vec::new(), Some(offer), now.secs);
    }
    false
}
