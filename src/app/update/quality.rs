//! The Quality page: setting a comparison up, running it, and what is done with its result.

mod answering;
mod asking;
mod export;
mod kept;
mod reopen;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AppState, Effect, Now};
use crate::app::quality::{
    Candidate, Comparison, Content, LEVELS, LadderPoint, Phase, QualityAction, Text, TextSource, Variant, level, on_disk,
};
use crate::app::{OpenChat, Page, Severity};
use crate::protocol::{Command, EngineError, ErrorKind, Event, Role, Stage};
use crate::store::{ChatId, ChatMessage};

/// Most prompts of the user whose greedy answers are compared.
const MOST_PROMPTS: usize = 8;
/// Replies whose decode speed is remembered of each file.
const SPEEDS: usize = 32;
/// A reply shorter than this says little about speed, tokens.
const FEW_TOKENS: u32 = 16;

pub(super) use export::on_kept;
pub(super) use kept::{on_list, take_kept};
pub(super) use reopen::on_tokens;

pub(super) fn on_action(state: &mut AppState, action: QualityAction, now: Now, effects: &mut Vec<Effect>) {
    match action {
        QualityAction::Measure => {
            let candidates = state.quality_candidates();
            begin(state, candidates, now, effects);
        }
        QualityAction::MeasureLadder => {
            let candidates = ladder(state);
            begin(state, candidates, now, effects);
        }
        QualityAction::MeasureAnswers => answering::begin(state, now, effects),
        QualityAction::Stop => stop(state, effects),
        QualityAction::Clear if state.quality.is_running() => {}
        QualityAction::Clear => {
            state.quality.comparison = None;
            state.quality.selected = None;
        }
        QualityAction::SavePrompts(name, prompts) => asking::save(state, &name, prompts, now),
        QualityAction::DeletePrompts(name) => asking::delete(state, &name, now),
        QualityAction::Open(runs) => reopen::open(state, runs, None, now, effects),
        QualityAction::OpenOf(run) => reopen::open(state, state.quality_siblings(run), Some(run), now, effects),
        QualityAction::Show(index) => state.quality.shown = index,
        QualityAction::SetHeat(by) => state.quality.heat = by,
        QualityAction::SetFromLevel(level) => state.quality.from_level = level.clamp(1, LEVELS),
        QualityAction::Select(token) => state.quality.selected = token,
        QualityAction::Worst(step) => worst(state, step),
        QualityAction::Export(form) => export::export(state, form, now, effects),
        other => set_up(state, other, effects),
    }
}

fn set_up(state: &mut AppState, action: QualityAction, effects: &mut Vec<Effect>) {
    match action {
        QualityAction::SetReference(path) => {
            let family = |state: &AppState| state.quality_family().map(|family| family.key.clone());
            let before = family(state);
            state.quality.setup.reference = Some(path);
            // rungs of another family are not compared with it
            if family(state) != before {
                state.quality.setup.rungs = None;
            }
        }
        QualityAction::ToggleRung(path) => {
            let mut picked: Vec<PathBuf> = state.quality_rungs().iter().map(|rung| rung.path.to_owned()).collect();
            match picked.iter().position(|known| *known == path) {
                Some(index) => drop(picked.remove(index)),
                None => picked.push(path),
            }
            state.quality.setup.rungs = Some(picked);
        }
        QualityAction::ToggleVariant(variant) => {
            let variants = &mut state.quality.setup.variants;
            match variants.iter().position(|known| *known == variant) {
                Some(index) => drop(variants.remove(index)),
                None => variants.push(variant),
            }
        }
        QualityAction::UseBuiltin => state.quality.setup.source = TextSource::Builtin,
        QualityAction::PickText => effects.push(Effect::PickText),
        QualityAction::UseFile(path) => {
            state.quality.setup.content = None;
            effects.push(Effect::ReadText(path.clone()));
            state.quality.setup.source = TextSource::File(path);
        }
        QualityAction::UsePasted => state.quality.setup.source = TextSource::Pasted,
        QualityAction::SetPasted(text) => {
            state.quality.setup.pasted = Text::pasted(text);
            state.quality.setup.source = TextSource::Pasted;
        }
        QualityAction::UseChat(id) => {
            state.quality.setup.source = TextSource::Chat(id);
            state.quality.setup.content = None;
            effects.push(Effect::ReadChat(id));
        }
        QualityAction::UsePrompts(name) => asking::choose(state, name),
        QualityAction::SetAnswerTokens(tokens) => asking::set_tokens(state, tokens),
        QualityAction::SetChunk(n_ctx) => state.quality.setup.n_ctx = n_ctx.clamp(16, 1 << 20),
        QualityAction::SetMaxChunks(chunks) => state.quality.setup.max_chunks = chunks,
        QualityAction::SetTight(percent) => state.quality.setup.tight_percent = percent.min(100),
        _ => {}
    }
}

/// Every rung of the family on disk but the reference, and the variants that were picked of the reference itself.
fn ladder(state: &AppState) -> Vec<Candidate> {
    let Some(family) = state.quality_family() else { return Vec::new() };
    let reference = state.quality_reference().map(|rung| rung.path);
    let rungs = on_disk(family).filter(|rung| Some(rung.path) != reference);
    rungs.map(|rung| Candidate::new(state.quality_design(rung.path), rung.quant.to_owned(), rung.size)).collect()
}

fn begin(state: &mut AppState, candidates: Vec<Candidate>, now: Now, effects: &mut Vec<Effect>) {
    let refused = |state: &mut AppState, why: String| state.notices.push(Severity::Warn, why, Vec::new(), None, now.secs);
    if candidates.is_empty() || state.quality.is_running() {
        let why = state.why_no_comparison().unwrap_or_else(|| "There is no other rung on disk to compare".into());
        return refused(state, why);
    }
    let (text_name, text) = match state.quality_text() {
        Ok(text) => text,
        Err(why) => return refused(state, why),
    };
    let prompts = match &text.content {
        Content::Plain(_) => Vec::new(),
        Content::Prompts(prompts) => prompts.iter().take(MOST_PROMPTS).cloned().collect(),
        Content::Chat(messages) => {
            let asked = messages.iter().filter(|message| message.role == Role::User).map(|message| message.text.clone());
            asked.take(MOST_PROMPTS).collect()
        }
    };
    let Some(plan) = state.quality_plan(&candidates, &text.content) else { return };
    let job = state.job();
    let reference = plan.reference.clone();
    let (phase, effect) = match &text.content {
        Content::Prompts(prompts) => asking::begin(job, prompts, plan),
        _ => (Phase::Reading, Effect::Quality(Box::new(Command::Quality { job, plan: Box::new(plan) }))),
    };
    let reference_name = state.quality_reference().map(|rung| rung.quant.to_owned()).unwrap_or_default();
    state.quality.selected = None;
    state.quality.shown = 0;
    state.quality.from_level = state.quality.from_level.max(1);
    state.quality.comparison = Some(Box::new(Comparison {
        job,
        reference,
        reference_name,
        family: state.quality_family().map(|family| family.key.clone()).unwrap_or_default(),
        candidates,
        text_name,
        text_hash: text.hash.to_string(),
        prompts,
        phase,
        since: now.secs,
        started_ms: now.unix_ms,
        ..Comparison::default()
    }));
    effects.push(effect);
}

pub(super) fn stop(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(comparison) = state.quality.comparison.as_mut().filter(|comparison| comparison.is_running()) {
        comparison.stopping = true;
        effects.push(Effect::Quality(Box::new(Command::Cancel { job: comparison.job })));
    }
}

/// The engine that measures quality said something.
pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    let Some(comparison) = state.quality.comparison.as_mut().filter(|comparison| comparison.is_running()) else { return };
    let ours = comparison.job;
    match event {
        Event::QualityLayout { job, layout } if job == ours => comparison.layout = Some(Arc::from(layout)),
        Event::Progress { job, stage: Stage::Quality, done, total } if job == ours => {
            comparison.progress = (done, total);
            comparison.reading_since.get_or_insert((now.at, done));
        }
        Event::QualityScores { job, batch } if job == ours => {
            comparison.names.extend(batch.names.iter().cloned());
            let n_tokens = comparison.layout.as_ref().map_or(0, |layout| layout.ends.len());
            if let Some(candidate) = comparison.candidates.get_mut(batch.candidate as usize) {
                candidate.take(&batch, n_tokens);
            }
        }
        Event::Failed { job, error } if job == ours => end(state, Some(error), now, effects),
        Event::Died { error, .. } => end(state, Some(error), now, effects),
        Event::Done { job } if job == ours => end(state, None, now, effects),
        other if matches!(comparison.phase, Phase::Asking(_)) => asking::on_event(state, other, now, effects),
        other => answering::on_event(state, other, now, effects),
    }
}

/// Nothing more comes: what was measured is summed up and stays, however it ended.
fn end(state: &mut AppState, error: Option<EngineError>, now: Now, effects: &mut Vec<Effect>) {
    let Some(comparison) = &mut state.quality.comparison else { return };
    effects.push(Effect::EndQuality);
    let before = std::mem::replace(&mut comparison.phase, Phase::Ended);
    comparison.stopping = false;
    let is_cancelled = error.as_ref().is_some_and(|error| error.kind == ErrorKind::Cancelled);
    comparison.error = error.filter(|_| !is_cancelled);
    if before != Phase::Reading {
        // stopped before anything was read: there is nothing to show
        if matches!(before, Phase::Asking(_)) && comparison.error.is_none() {
            state.quality.comparison = None;
        }
        return;
    }
    comparison.seconds = Some(now.at - comparison.since);
    comparison.is_partial = is_cancelled || comparison.error.is_some();
    comparison.candidates.iter_mut().for_each(Candidate::finish);
    if is_cancelled && !comparison.has_results() {
        state.quality.comparison = None;
        return;
    }
    remember(state);
    export::keep_runs(state, effects);
    if state.page != Page::Quality && state.quality.comparison.as_ref().is_some_and(|comparison| comparison.error.is_none()) {
        state.notices.push(Severity::Info, "The quality comparison is done, see the Quality page", Vec::new(), None, now.secs);
    }
}

/// Keeps the means for the ladder chart; a longer measurement of the same thing replaces a shorter one.
fn remember(state: &mut AppState) {
    let Some(comparison) = &state.quality.comparison else { return };
    let Some(layout) = &comparison.layout else { return };
    for candidate in &comparison.candidates {
        let (Some(running), Some(variant)) = (candidate.running, Variant::of(&candidate.design)) else { continue };
        let point = LadderPoint {
            text_hash: comparison.text_hash.clone(),
            n_ctx: layout.n_ctx,
            reference: comparison.reference.model.clone(),
            model: candidate.design.model.clone(),
            name: candidate.name.clone(),
            variant,
            size: candidate.size,
            measured_ms: comparison.started_ms,
            run: None,
            tokens: running.tokens,
            kld: running.kld,
        };
        let points = &mut state.quality.points;
        let same = |known: &LadderPoint| {
            (&known.text_hash, known.n_ctx, &known.reference, &known.name) == (&point.text_hash, point.n_ctx, &point.reference, &point.name)
        };
        match points.iter().position(same) {
            Some(index) => {
                if let Some(known) = points.get_mut(index).filter(|known| known.tokens <= point.tokens) {
                    *known = point;
                }
            }
            None => points.push(point),
        }
    }
}

/// A text file was read.
pub(super) fn on_text(state: &mut AppState, path: &Path, result: Result<String, EngineError>) {
    let setup = &mut state.quality.setup;
    if matches!(&setup.source, TextSource::File(wanted) if wanted == path) {
        setup.content = Some(result.map(Text::plain));
    }
}

/// A chat was read: if it is the one to be compared, its shown branch is.
pub(super) fn on_messages(state: &mut AppState, id: ChatId, messages: &[ChatMessage]) {
    if state.quality.setup.source != TextSource::Chat(id) || state.quality.setup.content.is_some() {
        return;
    }
    let mut chat = OpenChat::loading(id);
    chat.messages = messages.iter().map(|message| (message.id, message.clone())).collect();
    let known = state.chats.get(id);
    chat.relink(known.and_then(|chat| chat.leaf));
    let conversation = chat.conversation(known.map_or("", |chat| chat.system.as_str()), chat.branch.last().copied());
    state.quality.setup.content = Some(if conversation.iter().any(|message| message.role == Role::Assistant) {
        Ok(Text::chat(conversation))
    } else {
        let error = EngineError::new(ErrorKind::InvalidRequest, "The conversation has no answer to compare with");
        Err(error.hint("Choose a chat in which the model has answered"))
    });
}

/// A reply of a file was measured.
pub(super) fn learn_speed(state: &mut AppState, tokens: u32, tps: f64) {
    let Some(design) = state.loaded.as_ref().map(|report| &report.design).filter(|_| tokens >= FEW_TOKENS && tps > 0.0) else { return };
    let Some(variant) = Variant::of(design) else { return };
    let speeds = state.quality.speeds.entry((design.model.clone(), variant.name())).or_default();
    speeds.push(tps);
    if speeds.len() > SPEEDS {
        speeds.remove(0);
    }
}

/// Goes through the tokens from the worst on, among those that are coloured.
fn worst(state: &mut AppState, step: i32) {
    let quality = &state.quality;
    let Some(candidate) = quality.candidate() else { return };
    let (by, least) = (quality.heat, quality.from_level.max(1));
    let from = |least: u8| -> Vec<(f32, usize)> {
        let scored = candidate.scored().filter(|(_, score)| level(by, score) >= least);
        scored.map(|(token, score)| (by.badness(score), token as usize)).collect()
    };
    let mut order = from(least);
    // where nothing is bad enough to be coloured, the worst is still worth a look
    if order.is_empty() {
        order = from(0);
    }
    if order.is_empty() {
        return;
    }
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let here = quality.selected.and_then(|token| order.iter().position(|(_, other)| *other == token));
    let last = order.len() - 1;
    let next = match here {
        None => 0,
        Some(at) if step > 0 => (at + 1).min(last),
        Some(at) => at.saturating_sub(1),
    };
    state.quality.selected = order.get(next).map(|(_, token)| *token);
}
