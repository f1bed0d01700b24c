//! What the engine says.

use super::{AppState, Effect, Now, load, meter, models, quality, repeat, reply};
use crate::app::{Activity, ContextMeter, Crash, Dialog, EngineState, Generating, MarkerKind, MemoryParts, Retry, Severity};
use crate::protocol::{ErrorKind, Event, JobId, LogLevel, Stage, build};
use crate::store::Bandwidth;

/// Lines of the engine kept for the log view.
const LOG_LINES: usize = 500;

pub(super) fn on_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    match event {
        Event::Hello { pid, facts, .. } => {
            state.engine = EngineState::Up { pid, facts: Box::new(facts) };
            load::on_engine_up(state, now, effects);
            repeat::on_engine_up(state, now, effects);
        }
        Event::Progress { job, stage, done, total } => on_progress(state, job, stage, done, total, now),
        Event::Loaded { job, report } => load::on_loaded(state, job, report, now, effects),
        Event::Unloaded { resident, .. } | Event::Residents { resident, .. } => models::on_unloaded(state, resident),
        Event::Started { .. } | Event::Tokens { .. } | Event::Generated { .. } | Event::Rendered { .. } => {
            if let Event::Generated { stats, .. } = &event {
                quality::learn_speed(state, stats.predicted_tokens, stats.decode_tps);
            }
            reply::on_event(state, event, now, effects);
        }
        Event::Probed { job, bandwidth_gb_s, threads, ops_gflops } => {
            let measured = Bandwidth { gb_s: bandwidth_gb_s, threads, cpu: state.cpu.clone(), ops_gflops, build: build::version_line() };
            models::on_probed(state, job, measured, now);
        }
        Event::Failed { job, error } => on_failed(state, job, error, now, effects),
        Event::Died { error, .. } => on_died(state, error, now, effects),
        Event::Log { level, line } => {
            if level > LogLevel::Debug {
                if state.log.len() >= LOG_LINES {
                    state.log.drain(..LOG_LINES / 4);
                }
                state.log.push(line);
            }
        }
        Event::Sample { sample } => {
            let memory = MemoryParts::of(&state.resident, Some(&sample));
            state.telemetry.take(now.at, sample, &memory);
        }
        Event::Done { job } => reply::on_reread(state, job),
        // of jobs that the window does not start on this engine
        Event::Quantized { .. }
        | Event::BenchRow { .. }
        | Event::QualityLayout { .. }
        | Event::QualityScores { .. }
        | Event::Estimated { .. } => {}
    }
}

fn on_progress(state: &mut AppState, job: JobId, stage: Stage, done: u64, total: u64, now: Now) {
    match stage {
        Stage::Load => {
            if let Activity::Loading(loading) = &mut state.activity
                && loading.job == job
                && total > 0
            {
                loading.fraction = done as f32 / total as f32;
            }
        }
        Stage::Prefill => reply::on_prefill(state, job, done, total, now),
        Stage::Quantize | Stage::Bench | Stage::Probe | Stage::Quality => {}
    }
}

fn on_failed(state: &mut AppState, job: JobId, error: crate::protocol::EngineError, now: Now, effects: &mut Vec<Effect>) {
    if state.loading().is_some_and(|loading| loading.job == job) {
        load::on_load_failed(state, error, now, effects);
    } else if state.internal.unloading == Some(job) {
        models::on_unload_failed(state, &error, now);
    } else if state.internal.probing == Some(job) {
        state.internal.probing = None;
    } else if state.internal.rereading == Some(job) {
        reply::on_reread(state, job);
    } else if state.generating().is_some_and(|generating| generating.job == job) {
        reply::on_failed(state, job, error, now, effects);
    } else {
        meter::on_rendered(state, job, Err(error));
    }
}

/// The engine died: the window stays, what had arrived is kept, and one button goes on.
fn on_died(state: &mut AppState, error: crate::protocol::EngineError, now: Now, effects: &mut Vec<Effect>) {
    let generating = reply::on_died(state, &error, now, effects);
    let loading = match std::mem::take(&mut state.activity) {
        Activity::Loading(loading) => Some(loading),
        _ => None,
    };
    let loaded = state.loaded.take();
    let running = generating.as_ref().map(Generating::id).or(loading.as_ref().and_then(|loading| loading.then_continue));
    // not retried blindly: the user says when. What was asked for last is what is wanted
    let coming = [
        generating.and_then(|generating| generating.then_load).map(|wanted| *wanted),
        state.internal.inspecting.take(),
        state.internal.queued_load.take(),
    ];
    let coming = coming.into_iter().flatten().next();
    // a reply that waits for an answer to "it does not fit" is still to be gone on with
    let unfit = || state.internal.unfit.as_ref().and_then(|wanted| wanted.then);
    let reply = running.or(coming.as_ref().and_then(|wanted| wanted.then)).or_else(unfit);
    let design = coming.map(|wanted| wanted.design);
    let design = design.or(loading.map(|loading| *loading.design)).or(loaded.map(|report| report.design));
    state.resident.clear();
    state.telemetry.memory = None;
    state.telemetry.on_model(None);
    state.internal.counting = None;
    state.internal.counted = None;
    state.meter = ContextMeter::default();
    state.internal.probing = None;
    state.internal.rereading = None;
    state.internal.ahead = None;
    state.telemetry.prefilling = None;
    state.internal.send_when_ready = None;
    // what is waited for in a dialog does not come
    if let Dialog::Prompt(view) = &mut state.dialog
        && view.rendered.is_none()
    {
        view.rendered = Some(Err(error.clone()));
    }
    state.engine = EngineState::Starting;
    state.telemetry.mark(now.at, MarkerKind::Died, "engine ended");
    if error.kind == ErrorKind::Cancelled {
        state.notices.push(Severity::Info, error.to_string(), error.details, None, now.secs);
        return;
    }
    state.crash = Some(Crash { error, retry: design.map(|design| Retry { design, reply }), is_death: true });
}
