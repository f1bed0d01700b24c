//! What would be sent: the exact prompt, and how much of the context it takes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{AppState, Effect, generate};
use crate::app::{ContextMeter, Dialog, PromptView};
use crate::protocol::{Command, EngineError, JobId, Message, Prompt, Rendered, Role, reply_reserve};
use crate::store::ChatMode;

/// Bytes of a token of prose, before this model was seen to count.
const BYTES_PER_TOKEN: f64 = 4.0;
/// A draft of so many tokens tells how long this model's are; a shorter one is mostly its template, tokens.
const TELLING: u32 = 32;

/// Asks for the exact prompt that the draft would be sent as.
pub(super) fn show_prompt(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(prompt) = would_be_prompt(state).filter(|_| state.can_generate()) else { return };
    // whoever asks to see the prompt does not wait until all of it was read
    generate::stop_rereading(state, effects);
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
