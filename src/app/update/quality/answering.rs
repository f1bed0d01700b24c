//! Greedy answers of both sides, one prompt after another in the measuring engine: for how many tokens they stay the same.

use super::{AppState, Effect, Now};
use crate::app::quality::{Answering, Phase};
use crate::measure::quality::divergence::{Agreement, PROMPTS};
use crate::protocol::{Command, Design, Event, GenerateRequest, JobId, LoadRequest, Message, Overflow, Prompt, Role, SamplerOverrides};

/// Tokens of each answer.
const TOKENS: u32 = 128;

/// Compares the answers of the candidate on screen with the reference's.
pub(super) fn begin(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if state.quality.is_running() {
        return;
    }
    let job = state.job();
    let shown = state.quality.shown;
    let Some(comparison) = &mut state.quality.comparison else { return };
    let candidate = if shown < comparison.candidates.len() { shown } else { 0 };
    let prompts = if comparison.prompts.is_empty() { PROMPTS.map(str::to_owned).to_vec() } else { comparison.prompts.clone() };
    let design = comparison.reference.clone();
    comparison.job = job;
    comparison.error = None;
    comparison.since = now.secs;
    comparison.phase = Phase::Answering(Answering { prompts, candidate, ..Answering::default() });
    effects.push(load(job, design));
}

pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    let next = state.job();
    let Some(comparison) = &mut state.quality.comparison else { return };
    let ours = comparison.job;
    let Phase::Answering(answering) = &mut comparison.phase else { return };
    match event {
        Event::Loaded { job, .. } if job == ours => {}
        Event::Generated { job, stats } if job == ours => answering.answers.push(stats.tokens),
        _ => return,
    }
    if comparison.stopping {
        return super::end(state, None, now, effects);
    }
    comparison.job = next;
    if let Some(prompt) = answering.prompts.get(answering.answers.len()) {
        effects.push(ask(next, prompt, TOKENS));
    } else if answering.is_candidates_turn {
        let agreement = answering.expected.iter().zip(&answering.answers).map(|(a, b)| Agreement::of(a, b)).collect();
        let candidate_index = answering.candidate;
        if let Some(candidate) = comparison.candidates.get_mut(candidate_index) {
            candidate.agreement = agreement;
        }
        super::export::add_answers(state, candidate_index, effects);
        super::end(state, None, now, effects);
    } else {
        answering.expected = std::mem::take(&mut answering.answers);
        answering.is_candidates_turn = true;
        let design = comparison.candidates.get(answering.candidate).map(|candidate| candidate.design.clone()).unwrap_or_default();
        effects.push(load(next, design));
    }
}

pub(super) fn load(job: JobId, design: Design) -> Effect {
    Effect::Quality(Box::new(Command::Load { job, request: LoadRequest { design, keep_warm_bytes: 0 } }))
}

/// Asks for a greedy answer of at most so many tokens.
pub(super) fn ask(job: JobId, prompt: &str, max_tokens: u32) -> Effect {
    let request = GenerateRequest {
        prompt: Prompt::Chat { messages: vec![Message { role: Role::User, text: prompt.to_owned() }] },
        sampler: SamplerOverrides { temperature: Some(0.0), seed: Some(0), ..SamplerOverrides::default() },
        max_tokens,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: true,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    Effect::Quality(Box::new(Command::Generate { job, request }))
}
