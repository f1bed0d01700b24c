//! What the engine says about a reply.

use super::{AppState, Effect, Now, chat, generate, load, meter, models, tokens};
use crate::app::{Activity, Dialog, Generating, MarkerKind, Prefilling, Severity};
use crate::protocol::{EngineError, ErrorKind, Event, GenerateStats, JobId, StopReason, TokenBatch};
use crate::store::{ChatMode, MessageState, Op};

/// Fewer tokens than this are read as slowly as they are decoded, and say nothing of how fast a prompt is read.
const TELLING: u32 = 16;

/// What an event of this module's jobs does.
pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    match event {
        Event::Started { job, prompt_tokens, cached_tokens, .. } => on_started(state, job, prompt_tokens, cached_tokens, now),
        Event::Tokens { job, batch } => on_tokens(state, job, &batch, now, effects),
        Event::Generated { job, stats } => on_generated(state, job, *stats, now, effects),
        Event::Rendered { job, rendered } => meter::on_rendered(state, job, Ok(rendered)),
        _ => {}
    }
}

pub(super) fn on_started(state: &mut AppState, job: JobId, prompt_tokens: u32, cached_tokens: u32, now: Now) {
    let (cached, total) = (u64::from(cached_tokens), u64::from(prompt_tokens));
    let prefilling = Some(Prefilling { cached, done: cached, total, began: now.at, is_drawn: false });
    // a prompt that was broken off leaves its stretch of the plot as it is
    state.telemetry.prefill.push(now.at, f64::NAN);
    if state.internal.rereading == Some(job) {
        state.telemetry.prefilling = prefilling;
        return;
    }
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.job == job {
        generating.prefill = Some((cached, total));
        generating.read_since = Some(now.at);
        state.telemetry.prefilling = prefilling;
        // the line stays at nought while nothing ran, instead of rising slowly to the new reply's first rate
        state.telemetry.decode.push(now.at, 0.0);
        state.telemetry.mark(now.at, MarkerKind::Generate, "reply");
    }
}

pub(super) fn on_prefill(state: &mut AppState, job: JobId, done: u64, total: u64, now: Now) {
    match &mut state.activity {
        Activity::Generating(generating) if generating.job == job => generating.prefill = Some((done, total)),
        _ if state.internal.rereading == Some(job) => {}
        _ => return,
    }
    let Some(prefilling) = &mut state.telemetry.prefilling else { return };
    (prefilling.done, prefilling.total) = (done, total);
    if let Some(rate) = prefilling.rate(now.at) {
        let began = prefilling.began;
        if !std::mem::replace(&mut prefilling.is_drawn, true) {
            state.telemetry.prefill.push(began, 0.0);
            state.telemetry.prefill.push(began, rate);
        }
        state.telemetry.prefill.push(now.at, rate);
        state.telemetry.prefill_tps = Some(rate);
    }
}

/// The conversation was read ahead, or could not be: the next reply is asked for all the same and then says why.
pub(super) fn on_reread(state: &mut AppState, job: JobId) {
    if state.internal.rereading.take_if(|rereading| *rereading == job).is_some() {
        state.telemetry.prefilling = None;
    }
}

pub(super) fn on_tokens(state: &mut AppState, job: JobId, batch: &TokenBatch, now: Now, effects: &mut Vec<Effect>) {
    let Activity::Generating(generating) = &mut state.activity else { return };
    if generating.job != job {
        return;
    }
    generating.prefill = None;
    generating.text.push_str(&batch.text);
    generating.tokens = batch.total;
    let since = if generating.first.is_none() { batch.first } else { generating.last };
    let tokens = if generating.first.is_none() { batch.n.saturating_sub(1) } else { batch.n };
    // on the clock that began with the request: known now, long before the engine sums the reply up
    let ttft_ms = 1e3 * *generating.first.get_or_insert(batch.first);
    generating.last = batch.last;
    let (chat, message) = (generating.chat, generating.message);
    state.telemetry.ttft_ms = Some(ttft_ms);
    state.telemetry.prefilling = None;
    // the engine's own clock: how long a frame took does not enter
    if batch.last > since && tokens > 0 {
        let rate = f64::from(tokens) / (batch.last - since);
        state.telemetry.decode.push(now.at, rate);
        state.telemetry.decode_tps = Some(rate);
        state.telemetry.decode_context = f64::from(batch.kv_used);
    }
    if let Some(open) = state.chats.open.as_mut().filter(|open| open.id == chat)
        && let Some(message) = open.messages.get_mut(&message)
    {
        message.text.push_str(&batch.text);
    }
    tokens::on_growth(state, message, now, effects);
}

pub(super) fn on_generated(state: &mut AppState, job: JobId, stats: GenerateStats, now: Now, effects: &mut Vec<Effect>) {
    let Some(generating) = take_if(state, job) else { return };
    state.telemetry.prefilling = None;
    if stats.predicted_tokens > 1 {
        state.telemetry.decode_tps = Some(stats.decode_tps);
        // on average over the reply, as the rate is
        state.telemetry.decode_context = f64::from(stats.kv_used) - f64::from(stats.predicted_tokens) / 2.0;
        state.telemetry.itl_p95_ms = Some(stats.itl_p95_ms);
    }
    if stats.prefill_tps > 0.0 {
        state.telemetry.prefill_tps = Some(stats.prefill_tps);
        if stats.prompt_tokens.saturating_sub(stats.cached_tokens) >= TELLING {
            state.telemetry.read_tps = Some(stats.prefill_tps);
        }
        draw_prefill(state, &generating, &stats);
    }
    if stats.predicted_tokens > 0 {
        state.telemetry.ttft_ms = Some(stats.ttft_ms);
    }
    state.telemetry.decode.push(now.at, 0.0);
    if generating.stopping.is_some() && generating.then_load.is_none() {
        state.telemetry.mark(now.at, MarkerKind::Stop, "stopped");
    }
    let was_cut = stats.stop == StopReason::Cancelled;
    finish(state, &generating, MessageState::Whole, Some(stats), now, effects);
    if !load_after(state, generating, was_cut, now, effects)
        && !generate::send_waiting(state, now, effects)
        && state.telemetry.is_bandwidth_doubted()
    {
        models::probe(state, effects);
    }
}

/// Ends the stretch of the plot in which the prompt was read: at the rate that the engine measured, for the time that it took.
fn draw_prefill(state: &mut AppState, generating: &Generating, stats: &GenerateStats) {
    let Some(began) = generating.read_since else { return };
    let prefill = &mut state.telemetry.prefill;
    let is_begun = prefill.last().is_some_and(f64::is_finite);
    if !is_begun {
        prefill.push(began, 0.0);
        prefill.push(began, stats.prefill_tps);
    }
    let end = began + stats.prefill_ms / 1e3;
    prefill.push(end, stats.prefill_tps);
    prefill.push(end, 0.0);
    prefill.push(end, f64::NAN);
}

/// Starts the load that the reply was to make way for. A reply that had ended by itself when it was told to is not gone on with.
fn load_after(state: &mut AppState, generating: Generating, was_cut: bool, now: Now, effects: &mut Vec<Effect>) -> bool {
    let id = generating.id();
    let Some(mut wanted) = generating.then_load else { return false };
    wanted.then = if was_cut { Some(id) } else { wanted.then.filter(|then| *then != id) };
    if wanted.stopped {
        wanted.then = None;
    }
    let follows = wanted.asked.and(wanted.then).map(|reply| (reply, wanted.design.model.clone()));
    load::proceed(state, *wanted, now, effects);
    if let Some((reply, model)) = follows.filter(|(reply, _)| state.loading().is_some_and(|loading| loading.then_continue == Some(*reply)))
    {
        generate::ask_ahead(state, reply, model, effects);
    }
    true
}

/// A reply failed: what had arrived is kept and marked.
pub(super) fn on_failed(state: &mut AppState, job: JobId, error: EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Some(generating) = take_if(state, job) else { return };
    state.telemetry.prefilling = None;
    state.telemetry.decode.push(now.at, 0.0);
    let message_state = if error.kind == ErrorKind::Cancelled { MessageState::Whole } else { MessageState::Failed(error.clone()) };
    finish(state, &generating, message_state, None, now, effects);
    let was_cut = error.kind == ErrorKind::Cancelled;
    match error.kind {
        ErrorKind::ContextOverflow => state.dialog = Dialog::Overflow(generating.message, error),
        ErrorKind::Cancelled => {}
        _ => state.notices.push(Severity::Error, error.to_string(), error.details, None, now.secs),
    }
    if !load_after(state, generating, was_cut, now, effects) {
        state.internal.send_when_ready = None;
    }
}

/// The engine died under the reply: what had arrived is kept and marked; gives the reply it was.
pub(super) fn on_died(state: &mut AppState, error: &EngineError, now: Now, effects: &mut Vec<Effect>) -> Option<Generating> {
    let generating = match std::mem::take(&mut state.activity) {
        Activity::Generating(generating) => generating,
        other => {
            state.activity = other;
            return None;
        }
    };
    state.telemetry.prefilling = None;
    state.telemetry.decode.push(now.at, 0.0);
    finish(state, &generating, MessageState::Failed(error.clone()), None, now, effects);
    Some(generating)
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
    if let Some(chat) = state.chats.known_mut(generating.chat) {
        chat.updated_ms = now.unix_ms;
        if !quant.is_empty() {
            chat.last_design = quant;
        }
        if chat.mode == ChatMode::Notebook {
            chat.draft.push_str(generating.said());
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
    tokens::on_end(state, generating.message, now, effects);
}
