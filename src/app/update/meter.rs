//! What would be sent: the exact prompt, and how much of the context it takes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{AppState, Effect};
use crate::app::{ContextMeter, Dialog, PromptView};
use crate::protocol::{Command, EngineError, JobId, Message, Prompt, Rendered, Role};
use crate::store::ChatMode;

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
