//! Asking for replies: send, regenerate, edit, continue, count.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{Action, AppState, Effect, Now, chat, models};
use crate::app::{Activity, ContextMeter, Dialog, Generating, MarkerKind, NoticeAction, PromptView, Severity};
use crate::protocol::{
    Command, EngineError, ErrorKind, Event, GenerateRequest, GenerateStats, JobId, Message, Overflow, Prompt, Rendered, Role, TokenBatch,
};
use crate::store::{ChatId, ChatMessage, ChatMode, MessageId, MessageState, Op, Provenance};

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
    if text.trim().is_empty() || !ready_or_explain(state, false, now) {
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
    reply.state = MessageState::Streaming;
    reply.provenance = provenance;
    let (reply, text) = (reply.clone(), reply.text.clone());
    let leaf = Some(message);
    open.relink(leaf);
    begin(state, chat, reply, text, Some(message), None, now, effects);
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

/// Saves the question and an empty reply; the engine is asked once they are on disk (`on_saved`).
fn begin(
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
    let Some(open) = state.chats.open.as_ref() else { return };
    let system = state.chats.current().map(|chat| chat.system.clone()).unwrap_or_default();
    let messages = open.conversation(&system, last);
    if let Some(chat) = state.chats.get_mut(chat_id) {
        chat.leaf = Some(message);
        chat.updated_ms = now.unix_ms;
        chat.last_design = quant;
        ops.push(Op::PutChat(chat.clone()));
    }
    state.chats.sort();
    ops.extend(asked.map(Op::PutMessage));
    ops.push(Op::PutMessage(reply));
    let seq = chat::save(state, ops, effects);
    let mode = state.chats.get(chat_id).map(|chat| chat.mode).unwrap_or_default();
    state.internal.last_request = Some((message, prompt(mode, messages)));
    if let Some(probe) = state.internal.probing.take() {
        effects.push(Effect::Send(Command::Cancel { job: probe }));
    }
    let job = state.job();
    state.activity = Activity::Generating(Generating::new(job, chat_id, message, text, now.secs, Some(seq)));
}

/// The question is safe: ask the engine.
pub(super) fn on_saved(state: &mut AppState, seq: u64, now: Now, effects: &mut Vec<Effect>) {
    let overflow = state.settings.overflow;
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.waiting_for_save != Some(seq) {
        return;
    }
    generating.waiting_for_save = None;
    let (job, message) = (generating.job, generating.message);
    if generating.stopping.is_some() {
        // the engine has never heard of this reply, so nobody else would end it
        return on_failed(state, job, EngineError::cancelled(), now, effects);
    }
    effects.push(Effect::BeginReply(job, message));
    if let Some(request) = request(state, message, overflow) {
        effects.push(Effect::Send(Command::Generate { job, request }));
    }
}

/// The request for a reply whose conversation was noted when it began.
fn request(state: &AppState, message: MessageId, overflow: Overflow) -> Option<GenerateRequest> {
    let (_, prompt) = state.internal.last_request.as_ref().filter(|(id, _)| *id == message)?;
    Some(GenerateRequest {
        prompt: prompt.clone(),
        sampler: state.settings.sampler.clone(),
        max_tokens: state.settings.max_tokens,
        stop: state.settings.stop.clone(),
        overflow,
        json_schema: None,
        want_token_ids: false,
    })
}

fn prompt(mode: ChatMode, messages: Vec<Message>) -> Prompt {
    match mode {
        ChatMode::Chat => Prompt::Chat { messages },
        // a notebook knows no roles: what was typed and what was made are one text
        ChatMode::Notebook => Prompt::Raw { text: messages.into_iter().filter(|m| m.role != Role::System).map(|m| m.text).collect() },
    }
}

/// The same prompt again, with another answer to "it does not fit".
pub(super) fn resolve_overflow(state: &mut AppState, policy: Overflow, now: Now, effects: &mut Vec<Effect>) {
    let Dialog::Overflow(message, _) = std::mem::take(&mut state.dialog) else { return };
    if policy == Overflow::Stop || !state.can_generate() {
        return;
    }
    let Some(open) = state.chats.open.as_mut() else { return };
    let (chat, Some(reply)) = (open.id, open.messages.get_mut(&message)) else { return };
    reply.state = MessageState::Streaming;
    let text = reply.text.clone();
    let Some(request) = request(state, message, policy) else { return };
    let job = state.job();
    state.activity = Activity::Generating(Generating::new(job, chat, message, text, now.secs, None));
    effects.push(Effect::BeginReply(job, message));
    effects.push(Effect::Send(Command::Generate { job, request }));
}

/// Asks for the exact prompt that the draft would be sent as.
pub(super) fn show_prompt(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(prompt) = would_be_prompt(state).filter(|_| state.can_generate()) else { return };
    let job = state.job();
    state.dialog = Dialog::Prompt(Box::new(PromptView { job, rendered: None }));
    effects.push(Effect::Send(Command::Render { job, prompt }));
}

fn would_be_prompt(state: &AppState) -> Option<Prompt> {
    let (chat, open) = (state.chats.current()?, state.chats.open.as_ref().filter(|open| open.is_loaded)?);
    if chat.mode == ChatMode::Notebook {
        return (!chat.draft.is_empty()).then(|| Prompt::Raw { text: chat.draft.clone() });
    }
    let mut messages = open.conversation(&chat.system, open.branch.last().copied());
    if !chat.draft.trim().is_empty() {
        messages.push(Message { role: Role::User, text: chat.draft.clone() });
    }
    (!messages.is_empty()).then_some(Prompt::Chat { messages })
}

/// Counts the tokens of what would be sent, when that has changed and the engine is free.
pub(super) fn count(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.internal.counting.is_some() || !state.can_generate() {
        return;
    }
    let Some(report) = &state.loaded else { return };
    let mut hasher = DefaultHasher::new();
    report.design.model.hash(&mut hasher);
    report.effective.n_ctx.hash(&mut hasher);
    let n_ctx = report.effective.n_ctx;
    let prompt = would_be_prompt(state);
    match &prompt {
        Some(Prompt::Chat { messages }) => messages.iter().for_each(|message| message.text.hash(&mut hasher)),
        Some(Prompt::Raw { text }) => text.hash(&mut hasher),
        None => {}
    }
    let key = hasher.finish();
    if state.internal.counted == Some(key) {
        return;
    }
    state.internal.counted = Some(key);
    match prompt {
        None => state.meter = ContextMeter { n_ctx, reserve: reserve(state, n_ctx), is_exact: true, ..ContextMeter::default() },
        Some(prompt) => {
            let job = state.job();
            state.internal.counting = Some(job);
            effects.push(Effect::Send(Command::Render { job, prompt }));
        }
    }
}

/// Tokens that are kept for the reply, as the engine keeps them.
fn reserve(state: &AppState, n_ctx: u32) -> u32 {
    match state.settings.max_tokens {
        0 => (n_ctx / 4).min(256),
        tokens => tokens.min(n_ctx),
    }
}

pub(super) fn on_rendered(state: &mut AppState, job: JobId, result: Result<Rendered, EngineError>) {
    if state.internal.counting == Some(job) {
        state.internal.counting = None;
        let (Ok(rendered), Some(report)) = (&result, &state.loaded) else { return };
        let n_ctx = report.effective.n_ctx;
        let has_draft = state.chats.current().is_some_and(|chat| !chat.draft.trim().is_empty());
        let draft = if has_draft { rendered.last_tokens } else { 0 };
        let system = rendered.system_tokens;
        state.meter = ContextMeter {
            n_ctx,
            system,
            history: rendered.n_tokens.saturating_sub(system + draft),
            draft,
            reserve: reserve(state, n_ctx),
            is_exact: true,
        };
    } else if let Dialog::Prompt(view) = &mut state.dialog
        && view.job == job
    {
        view.rendered = Some(result);
    }
}

pub(super) fn on_started(state: &mut AppState, job: JobId, prompt_tokens: u32, cached_tokens: u32, now: Now) {
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.job == job {
        generating.prefill = Some((u64::from(cached_tokens), u64::from(prompt_tokens)));
        state.telemetry.prefilling = Some((u64::from(cached_tokens), u64::from(prompt_tokens), now.secs));
        // the line stays at nought while nothing ran, instead of rising slowly to the new reply's first rate
        state.telemetry.decode.push(now.secs, 0.0);
        state.telemetry.mark(now.secs, MarkerKind::Generate, "reply");
    }
}

pub(super) fn on_prefill(state: &mut AppState, job: JobId, done: u64, total: u64, now: Now) {
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.job != job {
        return;
    }
    if let Some((before, _, since)) = state.telemetry.prefilling
        && now.secs > since
        && done > before
    {
        let rate = (done - before) as f64 / (now.secs - since);
        state.telemetry.prefill.push(now.secs, rate);
        state.telemetry.prefill_tps = Some(rate);
    }
    generating.prefill = Some((done, total));
    state.telemetry.prefilling = Some((done, total, now.secs));
}

pub(super) fn on_tokens(state: &mut AppState, job: JobId, batch: &TokenBatch, now: Now) {
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.job != job {
        return;
    }
    generating.prefill = None;
    generating.text.push_str(&batch.text);
    generating.tokens = batch.total;
    let since = if generating.first.is_none() { batch.first } else { generating.last };
    let tokens = if generating.first.is_none() { batch.n.saturating_sub(1) } else { batch.n };
    generating.first.get_or_insert(batch.first);
    generating.last = batch.last;
    let (chat, message) = (generating.chat, generating.message);
    state.telemetry.prefilling = None;
    // the engine's own clock: how long a frame took does not enter
    if batch.last > since && tokens > 0 {
        let rate = f64::from(tokens) / (batch.last - since);
        state.telemetry.decode.push(now.secs, rate);
        state.telemetry.decode_tps = Some(rate);
    }
    if let Some(open) = state.chats.open.as_mut().filter(|open| open.id == chat)
        && let Some(message) = open.messages.get_mut(&message)
    {
        message.text.push_str(&batch.text);
    }
}

pub(super) fn on_generated(state: &mut AppState, job: JobId, stats: GenerateStats, now: Now, effects: &mut Vec<Effect>) {
    let Some(generating) = take_if(state, job) else { return };
    state.telemetry.prefilling = None;
    if stats.predicted_tokens > 1 {
        state.telemetry.decode_tps = Some(stats.decode_tps);
        state.telemetry.itl_p95_ms = Some(stats.itl_p95_ms);
    }
    if stats.prefill_tps > 0.0 {
        state.telemetry.prefill_tps = Some(stats.prefill_tps);
        state.telemetry.prefill.push(now.secs, stats.prefill_tps);
    }
    if stats.predicted_tokens > 0 {
        state.telemetry.ttft_ms = Some(stats.ttft_ms);
    }
    state.telemetry.decode.push(now.secs, 0.0);
    if generating.stopping.is_some() {
        state.telemetry.mark(now.secs, MarkerKind::Stop, "stopped");
    }
    finish(state, &generating, MessageState::Whole, Some(stats), now, effects);
    if let Some(design) = generating.then_load {
        models::begin_load(state, *design, now, Some(generating.message), effects);
    }
}

/// A reply failed: what had arrived is kept and marked.
pub(super) fn on_failed(state: &mut AppState, job: JobId, error: EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Some(generating) = take_if(state, job) else { return };
    state.telemetry.prefilling = None;
    state.telemetry.decode.push(now.secs, 0.0);
    let message_state = if error.kind == ErrorKind::Cancelled { MessageState::Whole } else { MessageState::Failed(error.clone()) };
    finish(state, &generating, message_state, None, now, effects);
    match error.kind {
        ErrorKind::ContextOverflow => state.dialog = Dialog::Overflow(generating.message, error),
        ErrorKind::Cancelled => {}
        _ => state.notices.push(Severity::Error, error.to_string(), error.details, None, now.secs),
    }
    if let Some(design) = generating.then_load {
        models::begin_load(state, *design, now, Some(generating.message), effects);
    }
}

/// The engine died under the reply: what had arrived is kept and marked; says which reply it was.
pub(super) fn on_died(state: &mut AppState, error: &EngineError, now: Now, effects: &mut Vec<Effect>) -> Option<MessageId> {
    let Activity::Generating(generating) = std::mem::take(&mut state.activity) else { return None };
    state.telemetry.prefilling = None;
    state.telemetry.decode.push(now.secs, 0.0);
    finish(state, &generating, MessageState::Failed(error.clone()), None, now, effects);
    Some(generating.message)
}

fn take_if(state: &mut AppState, job: JobId) -> Option<Generating> {
    match std::mem::take(&mut state.activity) {
        Activity::Generating(generating) if generating.job == job => Some(generating),
        other => {
            state.activity = other;
            None
        }
    }
}

fn finish(
    state: &mut AppState,
    generating: &Generating,
    message_state: MessageState,
    stats: Option<GenerateStats>,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    let quant = state.active_quant().unwrap_or_default().to_owned();
    let mut ops = Vec::new();
    let mut notebook = None;
    if let Some(chat) = state.chats.get_mut(generating.chat) {
        chat.updated_ms = now.unix_ms;
        if !quant.is_empty() {
            chat.last_design = quant;
        }
        if chat.mode == ChatMode::Notebook {
            chat.draft.push_str(&generating.text);
            notebook = Some(Op::SetDraft(chat.id, chat.draft.clone()));
        }
        ops.push(Op::PutChat(chat.clone()));
    }
    if let Some(open) = state.chats.open.as_mut().filter(|open| open.id == generating.chat)
        && let Some(message) = open.messages.get_mut(&generating.message)
    {
        message.text.clone_from(&generating.text);
        message.state = message_state;
        message.stats = stats;
        ops.push(Op::PutMessage(message.clone()));
    } else {
        // another chat is open: the row on disk is completed from what is known here
        ops.push(Op::FinishMessage { id: generating.message, text: generating.text.clone(), state: message_state, stats });
    }
    ops.extend(notebook);
    chat::save(state, ops, effects);
}

fn new_message(state: &mut AppState, chat: ChatId, parent: Option<MessageId>, role: Role, text: String, now: Now) -> MessageId {
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

fn provenance(state: &mut AppState) -> Option<Provenance> {
    let switched = state.pending_switch.take();
    let sampler = &state.settings.sampler;
    state.loaded.as_ref().map(|report| Provenance {
        quant: report.info.quant.clone(),
        model: report.info.name.clone(),
        design: report.design.clone(),
        differences: report.design.differences(sampler),
        switched,
    })
}

/// Whether a reply can be asked for; says why not otherwise. A draft is sent by itself once a load that runs is over.
fn ready_or_explain(state: &mut AppState, is_send: bool, now: Now) -> bool {
    if state.can_generate() {
        return true;
    }
    let is_loading = state.loading().is_some() || state.internal.inspecting.is_some();
    if is_loading && is_send {
        state.internal.send_when_ready = true;
        state.notices.push(Severity::Info, "It will be sent as soon as the model is ready", Vec::new(), None, now.secs);
    } else if state.loaded.is_none() && !is_loading {
        let (label, action) = match &state.crash {
            Some(crash) if crash.retry.is_some() => ("Go on", Action::Recover),
            _ => ("Open a model…", Action::PickModel),
        };
        let offer = NoticeAction { label: label.into(), action: Box::new(action) };
        state.notices.push(Severity::Warn, "No model is loaded", Vec::new(), Some(offer), now.secs);
    }
    false
}

/// What an event of this module's jobs does.
pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    match event {
        Event::Started { job, prompt_tokens, cached_tokens, .. } => on_started(state, job, prompt_tokens, cached_tokens, now),
        Event::Tokens { job, batch } => on_tokens(state, job, &batch, now),
        Event::Generated { job, stats } => on_generated(state, job, *stats, now, effects),
        Event::Rendered { job, rendered } => on_rendered(state, job, Ok(rendered)),
        _ => {}
    }
}
