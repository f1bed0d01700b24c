//! Loading a design: looked at first, started, queued behind what runs, and what comes of it.

use super::{AppState, Effect, Now, generate, models};
use crate::app::{Activity, Crash, Dialog, EngineState, FitWarning, Inspection, Loading, MarkerKind, Retry};
use crate::protocol::{Command, Design, EngineError, ErrorKind, JobId, LoadReport, LoadRequest};
use crate::store::MessageId;

/// Left to the rest of the machine when the keep-warm budget is chosen by the application, bytes.
const HEADROOM: u64 = 1_000_000_000;

/// Starts a load: looks at the file first (unless it is warm), then loads what fits. A reply that runs is stopped and gone on with.
pub(super) fn begin_load(state: &mut AppState, design: Design, now: Now, then: Option<MessageId>, effects: &mut Vec<Effect>) {
    state.crash = None;
    state.dialog = Dialog::None;
    match &mut state.activity {
        Activity::Generating(generating) => {
            generating.then_load = Some(Box::new(design));
            generating.stopping.get_or_insert(now.secs);
            effects.push(Effect::Send(Command::Cancel { job: generating.job }));
            return;
        }
        Activity::Loading(loading) => {
            loading.stopping = true;
            effects.push(Effect::Send(Command::Cancel { job: loading.job }));
            state.internal.queued_load = Some((design, now.secs, then));
            return;
        }
        Activity::None => {}
    }
    let is_warm = state.resident.iter().any(|resident| !resident.design.needs_reload(&design));
    if is_warm {
        start_load(state, design, now.secs, then, u64::MAX, effects);
    } else {
        let freed = state.resident.iter().map(|resident| resident.memory.total()).sum();
        state.internal.inspecting = Some((design.clone(), now.secs, then));
        effects.push(Effect::Inspect { design: Box::new(design), freed });
    }
}

pub(super) fn on_inspected(
    state: &mut AppState,
    design: Design,
    result: Result<Inspection, EngineError>,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    let Some((_, since, then)) = state.internal.inspecting.take_if(|(waiting, ..)| *waiting == design) else { return };
    match result {
        Err(error) => {
            state.internal.send_when_ready = false;
            state.settings.start_succeeded();
            state.crash = Some(Crash { error, retry: None, is_death: false });
        }
        Ok(inspection) => {
            state.telemetry.predicted = Some(inspection.estimate.memory);
            state.telemetry.bytes_per_token = Some(inspection.bytes_per_token);
            if inspection.estimate.fits {
                let warm = keep_warm(state, &inspection);
                start_load(state, design, since, then, warm, effects);
            } else {
                state.internal.fit_then = Some((now.secs, then));
                state.dialog = Dialog::Fit(Box::new(FitWarning { design, estimate: inspection.estimate, nearest: inspection.nearest }));
            }
        }
    }
}

/// How much of what is loaded may stay beside the new design, bytes.
fn keep_warm(state: &AppState, inspection: &Inspection) -> u64 {
    let estimate = &inspection.estimate;
    let possible = (estimate.available + estimate.freed_by_unload).saturating_sub(estimate.memory.total() + HEADROOM);
    state.settings.keep_warm(estimate.available).min(possible)
}

pub(super) fn load_anyway(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Dialog::Fit(warning) = std::mem::take(&mut state.dialog) {
        let then = state.internal.fit_then.take().and_then(|(_, then)| then);
        start_load(state, warning.design, now.secs, then, 0, effects);
    }
}

pub(super) fn load_nearest(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Dialog::Fit(warning) = std::mem::take(&mut state.dialog)
        && let Some(nearest) = warning.nearest
    {
        let design = nearest.design;
        let then = state.internal.fit_then.take().and_then(|(_, then)| then);
        begin_load(state, design, now, then, effects);
    }
}

fn start_load(state: &mut AppState, design: Design, since: f64, then: Option<MessageId>, warm: u64, effects: &mut Vec<Effect>) {
    if let Some(probe) = state.internal.probing.take() {
        effects.push(Effect::Send(Command::Cancel { job: probe }));
    }
    let same_family = state.family().is_some_and(|family| family.rung_of(&design.model).is_some());
    let from = state.active_quant().filter(|_| same_family).map(str::to_owned);
    let job = state.job();
    let warm = if warm == u64::MAX { state.settings.keep_warm_bytes.unwrap_or(u64::MAX) } else { warm };
    let request = LoadRequest { design: design.clone(), keep_warm_bytes: warm };
    state.activity =
        Activity::Loading(Loading { job, design: Box::new(design), fraction: 0.0, since, from, then_continue: then, stopping: false });
    effects.push(Effect::Send(Command::Load { job, request }));
}

pub(super) fn on_loaded(state: &mut AppState, job: JobId, report: Box<LoadReport>, now: Now, effects: &mut Vec<Effect>) {
    let loading = match std::mem::take(&mut state.activity) {
        Activity::Loading(loading) if loading.job == job => loading,
        other => {
            state.activity = other;
            return;
        }
    };
    let seconds = now.secs - loading.since;
    let quant = report.info.quant.clone();
    match loading.from.filter(|from| *from != quant) {
        Some(from) => {
            state.telemetry.mark(now.secs, MarkerKind::Switch, format!("{from} → {quant} {seconds:.2} s"));
            state.pending_switch = Some((from, seconds));
        }
        None => state.telemetry.mark(now.secs, MarkerKind::Load, format!("{quant} loaded {seconds:.2} s")),
    }
    state.crash = None;
    state.telemetry.memory = Some(report.memory);
    state.resident.clone_from(&report.resident);
    state.settings.remember(&report.design);
    state.settings.start_succeeded();
    if state.library.families.iter().all(|family| family.rung_of(&report.design.model).is_none()) {
        let opened = report.design.model.clone();
        models::rescan_with(state, Some(&opened), effects);
    }
    state.internal.settings_changed = Some(now.secs);
    state.internal.counted = None;
    state.loaded = Some(report);
    if start_queued(state, now, effects) {
        return;
    }
    if let Some(message) = loading.then_continue {
        generate::continue_reply(state, message, now, effects);
    } else if std::mem::take(&mut state.internal.send_when_ready) {
        generate::send(state, now, effects);
    } else if state.telemetry.bandwidth_gb_s.is_none() {
        models::probe(state, effects);
    }
}

pub(super) fn on_load_failed(state: &mut AppState, error: EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Activity::Loading(loading) = std::mem::take(&mut state.activity) else { return };
    state.settings.start_succeeded();
    if start_queued(state, now, effects) {
        return;
    }
    state.internal.send_when_ready = false;
    if error.kind == ErrorKind::Cancelled {
        state.telemetry.mark(now.secs, MarkerKind::Stop, "load stopped");
        return;
    }
    let retry = Some(Retry { design: *loading.design, message: loading.then_continue });
    state.crash = Some(Crash { error, retry, is_death: false });
}

fn start_queued(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) -> bool {
    let Some((design, since, then)) = state.internal.queued_load.take() else { return false };
    begin_load(state, design, Now { secs: since, ..now }, then, effects);
    true
}

/// Goes on after a death or a refused load: loads the same design again and finishes the reply that was cut off.
pub(super) fn recover(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Some(retry) = state.crash.take().and_then(|crash| crash.retry) else { return };
    if !matches!(state.engine, EngineState::Up { .. }) {
        effects.push(Effect::RestartEngine);
    }
    begin_load(state, retry.design, now, retry.message, effects);
}

pub(super) fn on_engine_up(state: &mut AppState, _now: Now, _effects: &mut Vec<Effect>) {
    // a fresh engine holds nothing; what to load again is the user's to say
    if !matches!(state.activity, Activity::Loading(_)) {
        state.loaded = None;
        state.resident.clear();
    }
}
