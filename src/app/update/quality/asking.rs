//! Prompts: the reference answers each, greedily, and then all read what it said.

use super::answering::{ask, load};
use super::{AppState, Effect, Now};
use crate::app::quality::{Asking, Phase, Text, TextSource};
use crate::app::{NoticeAction, Severity};
use crate::measure::quality::divergence::PROMPTS;
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId, Message, QualityPlan, QualityText, Role};
use crate::store::PromptSet;

/// Fewest and most tokens of an answer that can be asked for.
const ANSWER: (u32, u32) = (16, 2048);

/// The first thing that is done: the reference is loaded.
pub(super) fn begin(job: JobId, prompts: &[String], plan: QualityPlan) -> (Phase, Effect) {
    let effect = load(job, plan.reference.clone());
    (Phase::Asking(Asking { prompts: prompts.to_vec(), answers: Vec::new(), plan: Box::new(plan) }), effect)
}

pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    let (next, tokens) = (state.job(), state.quality.setup.answer_tokens);
    let Some(comparison) = &mut state.quality.comparison else { return };
    let ours = comparison.job;
    let Phase::Asking(asking) = &mut comparison.phase else { return };
    match event {
        Event::Tokens { job, batch } if job == ours => {
            if let Some(answer) = asking.answers.last_mut() {
                answer.push_str(&batch.text);
            }
            return;
        }
        Event::Loaded { job, .. } | Event::Generated { job, .. } if job == ours => {}
        _ => return,
    }
    if comparison.stopping {
        return super::end(state, None, now, effects);
    }
    comparison.job = next;
    if let Some(prompt) = asking.prompts.get(asking.answers.len()) {
        effects.push(ask(next, prompt, tokens));
        asking.answers.push(String::new());
        return;
    }
    let say = |role, text: &str| Message { role, text: text.to_owned() };
    let both = asking.prompts.iter().zip(&asking.answers).filter(|(_, answer)| !answer.trim().is_empty());
    let chats: Vec<Vec<Message>> = both.map(|(prompt, answer)| vec![say(Role::User, prompt), say(Role::Assistant, answer)]).collect();
    if chats.is_empty() {
        let words = format!("{} answered no prompt with any text", comparison.reference_name);
        let error = EngineError::new(ErrorKind::InvalidRequest, words).hint("Ask other prompts, or take another reference");
        return super::end(state, Some(error), now, effects);
    }
    let plan = QualityPlan { text: QualityText::Chats(chats), ..(*asking.plan).clone() };
    comparison.phase = Phase::Reading;
    effects.push(Effect::Quality(Box::new(Command::Quality { job: next, plan: Box::new(plan) })));
}

/// Chooses a set of prompts.
pub(super) fn choose(state: &mut AppState, name: String) {
    state.quality.setup.source = TextSource::Prompts(name);
    refresh(state);
}

/// Sets how long the answers may get.
pub(super) fn set_tokens(state: &mut AppState, tokens: u32) {
    state.quality.setup.answer_tokens = tokens.clamp(ANSWER.0, ANSWER.1);
    refresh(state);
}

/// The prompts of the set that is chosen, as a text.
fn refresh(state: &mut AppState) {
    let setup = &mut state.quality.setup;
    let TextSource::Prompts(name) = &setup.source else { return };
    let kept = || state.settings.prompt_sets.iter().find(|set| set.name == *name).map(|set| set.prompts.clone());
    let prompts = if name.is_empty() { Some(PROMPTS.map(str::to_owned).to_vec()) } else { kept() };
    setup.content = prompts.map(|prompts| Ok(Text::prompts(&prompts, setup.answer_tokens)));
}

/// Keeps prompts, and chooses them.
pub(super) fn save(state: &mut AppState, name: &str, prompts: Vec<String>, now: Now) {
    let name = name.trim();
    if name.is_empty() || prompts.is_empty() {
        return;
    }
    let set = PromptSet { name: name.to_owned(), prompts };
    let sets = &mut state.settings.prompt_sets;
    match sets.iter_mut().find(|known| known.name == name) {
        Some(known) => *known = set,
        None => sets.push(set),
    }
    state.internal.settings_changed = Some(now.secs);
    choose(state, name.to_owned());
}

/// Forgets prompts; they come back on request.
pub(super) fn delete(state: &mut AppState, name: &str, now: Now) {
    let sets = &mut state.settings.prompt_sets;
    let Some(at) = sets.iter().position(|set| set.name == name) else { return };
    let PromptSet { name, prompts } = sets.remove(at);
    state.internal.settings_changed = Some(now.secs);
    if state.quality.setup.source == TextSource::Prompts(name.clone()) {
        choose(state, String::new());
    }
    let text = format!("Deleted the prompts “{name}”");
    let undo = crate::app::Action::Quality(crate::app::QualityAction::SavePrompts(name, prompts));
    let undo = NoticeAction { label: "Undo".into(), action: Box::new(undo) };
    state.notices.push(Severity::Info, text, Vec::new(), Some(undo), now.secs);
}
