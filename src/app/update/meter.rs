//! What would be sent: the exact prompt, and how much of the context it takes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{AppState, Effect, generate};
use crate::app::{ContextMeter, Dialog, PromptView};
use crate::protocol::{Command, EngineError, JobId, Message, Prompt, Rendered, Role, reply_reserve};
use crate::store::{ChatMode, MessageId};

/// Bytes of a token of prose, before this model was seen to count.
const BYTES_PER_TOKEN: f64 = 4.0;
/// A draft of so many tokens tells how long this model's are; a shorter one is mostly its template, tokens.
const TELLING: u32 = 32;

/// Asks for the exact prompt that the draft would be sent as.
pub(super) fn show_prompt(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(prompt) = would_be_prompt(state).filter(|_| state.can_generate()) else { return };
    render(state, prompt, None, effects);
}

/// Asks for the exact prompt that a reply was made from, as it was sent for the last of its runs.
pub(super) fn show_prompt_of(state: &mut AppState, message: MessageId, effects: &mut Vec<Effect>) {
    let Some((messages, notes)) = sent_for(state, message).filter(|_| state.can_generate()) else { return };
    render(state, Prompt::Chat { messages }, Some(notes), effects);
}

/// The messages that were sent for a reply, and what to know about them.
fn sent_for(state: &AppState, id: MessageId) -> Option<(Vec<Message>, Vec<String>)> {
    let (chat, open) = (state.chats.current()?, state.chats.open.as_ref().filter(|open| open.is_loaded)?);
    let reply = open.get(id).filter(|message| message.role == Role::Assistant)?;
    let made_by = reply.provenance.as_ref();
    let mut notes = Vec::new();
    let system = made_by.and_then(|made_by| made_by.system.as_deref()).unwrap_or_else(|| {
        if !chat.system.is_empty() {
            notes.push("Which system prompt was sent was not noted with this reply: the chat's own of now is shown".to_owned());
        }
        &chat.system
    });
    let mut messages = open.conversation(system, reply.parent);
    if let Some(before) = reply.earlier().last().and_then(|part| reply.text.get(..part.end)) {
        messages.push(Message { role: Role::Assistant, text: before.to_owned() });
    }
    let loaded = state.loaded.as_ref().map(|report| report.info.name.as_str());
    if let Some(made_by) = made_by.filter(|made_by| loaded.is_some_and(|loaded| loaded != made_by.model)) {
        let (model, loaded) = (&made_by.model, loaded.unwrap_or_default());
        notes.push(format!("{model} made this reply. Its chat template is not at hand, so that of {loaded} is used here"));
    }
    if let Some(dropped) = reply.stats.as_ref().and_then(|stats| stats.dropped) {
        let n = dropped.messages;
        notes.push(format!("It did not fit in the context then, and {n} older messages were left out; they are shown here"));
    }
    (!messages.is_empty()).then_some((messages, notes))
}

fn render(state: &mut AppState, prompt: Prompt, of_reply: Option<Vec<String>>, effects: &mut Vec<Effect>) {
    // whoever asks to see the prompt does not wait until all of it was read
    generate::stop_rereading(state, effects);
    let job = state.job();
    state.dialog = Dialog::Prompt(Box::new(PromptView { job, of_reply, rendered: None }));
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
    let n_ctx = report.effective.n_ctx;
    let reserve = reply_reserve(state.settings.max_tokens, n_ctx);
    let mut hasher = DefaultHasher::new();
    report.design.model.hash(&mut hasher);
    (n_ctx, reserve).hash(&mut hasher);
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
    state.internal.draft_is_newer = false;
    match prompt {
        None => state.meter = ContextMeter { n_ctx, reserve, is_exact: true, ..ContextMeter::default() },
        Some(prompt) => {
            let job = state.job();
            state.internal.counting = Some((job, state.chats.current().is_some_and(|chat| !chat.draft.trim().is_empty())));
            effects.push(Effect::Send(Command::Render { job, prompt }));
        }
    }
}

/// What was counted is not what would be sent any more, or not by the model that would answer.
pub(super) fn forget(state: &mut AppState) {
    state.internal.counted = None;
    state.meter.is_exact = false;
}

/// The draft has changed: until it is counted, its tokens are estimated from its length.
pub(super) fn on_draft(state: &mut AppState) {
    state.internal.draft_is_newer = true;
    state.meter.is_exact = false;
    state.meter.draft = match state.chats.current() {
        Some(chat) if !chat.draft.trim().is_empty() => {
            let bytes_per_token = state.internal.bytes_per_token.unwrap_or(BYTES_PER_TOKEN);
            (chat.draft.len() as f64 / bytes_per_token).ceil() as u32
        }
        _ => 0,
    };
}

/// The draft was sent: it is part of what was said now.
pub(super) fn on_sent(state: &mut AppState) {
    let meter = &mut state.meter;
    meter.history += std::mem::take(&mut meter.draft);
    meter.is_exact = false;
}

pub(super) fn on_rendered(state: &mut AppState, job: JobId, result: Result<Rendered, EngineError>) {
    if let Some((_, has_draft)) = state.internal.counting.take_if(|(counting, _)| *counting == job) {
        let (Ok(rendered), Some(report)) = (&result, &state.loaded) else { return };
        let n_ctx = report.effective.n_ctx;
        let draft = if has_draft { rendered.last_tokens } else { 0 };
        let system = rendered.system_tokens;
        state.meter = ContextMeter {
            n_ctx,
            system,
            history: rendered.n_tokens.saturating_sub(system + draft),
            draft,
            reserve: reply_reserve(state.settings.max_tokens, n_ctx),
            is_exact: true,
        };
        if state.internal.draft_is_newer {
            on_draft(state);
        } else if draft >= TELLING
            && let Some(chat) = state.chats.current()
        {
            state.internal.bytes_per_token = Some(chat.draft.len() as f64 / f64::from(draft));
        }
    } else if let Dialog::Prompt(view) = &mut state.dialog
        && view.job == job
    {
        view.rendered = Some(result);
    }
}
