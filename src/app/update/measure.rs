//! Sweeps: one step at a time in an engine of their own, and never while something else needs the processor.

use super::load::begin_load;
use super::{AppState, Effect, Now, board, history, models};
use crate::app::{Activity, Doing, EngineState, Severity, SweepDraft, Unfinished};
use crate::measure::MetricLimit;
use crate::measure::sweep::{Conductor, End, Heard, Order, RungFile, Sweep, SweepPlan};
use crate::protocol::{Design, Event, JobId, RunId};

/// The draft has changed, or what it is made of.
pub(super) fn set_draft(state: &mut AppState, draft: SweepDraft) {
    state.measure.draft = draft;
    check_draft(state);
}

/// How many designs the draft has, and what is wrong with it.
pub(super) fn check_draft(state: &mut AppState) {
    let plan = draft_plan(state);
    state.measure.draft_designs = plan.as_ref().map_or(0, |plan| plan.candidates.len());
    state.measure.draft_qualities = plan.as_ref().map_or(0, SweepPlan::qualities);
    state.measure.draft_problem = plan.err();
}

fn draft_plan(state: &AppState) -> Result<SweepPlan, String> {
    let draft = &state.measure.draft;
    let base = draft.base.as_ref().or_else(|| state.design()).ok_or("Load a model first, or choose the one to measure")?;
    draft.plan(base, &rungs(state, base), state.settings.price_per_hour)
}

/// The rungs of a design's family that are on disk; the design's own file at least.
fn rungs(state: &AppState, base: &Design) -> Vec<RungFile> {
    let family = state.library.families.iter().find(|family| family.rung_of(&base.model).is_some());
    let found: Vec<RungFile> =
        family.map(|family| family.on_disk().map(|(rung, path)| (rung.quant.clone(), path.to_path_buf())).collect()).unwrap_or_default();
    if found.is_empty() { vec![(state.active_quant().unwrap_or("this file").to_owned(), base.model.clone())] } else { found }
}

pub(super) fn start(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if state.measuring.is_some() {
        state.notices.push(Severity::Warn, "A run is being measured again, wait for it or stop it first", Vec::new(), None, now.secs);
        return;
    }
    if state.measure.is_running() {
        state.notices.push(Severity::Warn, "A sweep is running, wait for it or stop it first", Vec::new(), None, now.secs);
        return;
    }
    let plan = match draft_plan(state) {
        Ok(plan) => plan,
        Err(problem) => {
            state.notices.push(Severity::Error, problem.clone(), Vec::new(), None, now.secs);
            state.measure.draft_problem = Some(problem);
            return;
        }
    };
    let mut environment = plan.environment.clone();
    environment.bandwidth_gb_s = state.telemetry.bandwidth_gb_s;
    if let EngineState::Up { facts, .. } = &state.engine {
        environment.engine.clone_from(&facts.name);
        environment.engine_commit.clone_from(&facts.commit);
        environment.engine_build.clone_from(&facts.build);
        environment.cpu_features.clone_from(&facts.cpu_features);
    }
    let ops_gflops = state.settings.bandwidth.as_ref().and_then(|measured| measured.ops_gflops);
    let plan =
        SweepPlan { ops_gflops, name: format!("sweep-{}", now.unix_ms / 1000), seed: now.unix_ms.unsigned_abs(), environment, ..plan };
    free_chat_model(state, effects);
    board::show_session(state);
    state.measure.doing = Doing::Preparing;
    effects.push(Effect::PrepareSweep(Box::new(plan)));
}

/// The chat's model makes room, where that was asked for; it comes back afterwards.
fn free_chat_model(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.measure.draft.free_chat_model
        && matches!(state.activity, Activity::None)
        && let Some(design) = state.loaded.as_ref().map(|report| report.design.clone())
    {
        state.measure.reload = Some(design);
        models::unload(state, None, effects);
    }
}

/// Headers were read: it begins.
pub(super) fn on_prepared(state: &mut AppState, plan: SweepPlan, now: Now, effects: &mut Vec<Effect>) {
    if state.measure.doing != Doing::Preparing {
        return;
    }
    state.measure.doing = Doing::Nothing;
    match Sweep::new(plan) {
        Ok(sweep) => begin(state, sweep, now, effects),
        Err(problem) => {
            state.notices.push(Severity::Error, problem, Vec::new(), None, now.secs);
            finish(state, now, effects);
        }
    }
}

fn begin(state: &mut AppState, sweep: Sweep, now: Now, effects: &mut Vec<Effect>) {
    state.measure.unfinished.retain(|other| other.name != sweep.plan().name);
    state.measure.conductor = Some(Conductor::new(sweep));
    board::show_session(state);
    state.measure.refresh();
    go_on(state, now, effects);
}

/// Takes a sweep up: one of the disk by its name, or the one that was stopped last.
pub(super) fn resume(state: &mut AppState, name: Option<String>, now: Now, effects: &mut Vec<Effect>) {
    if state.measure.is_running() {
        return;
    }
    match name {
        Some(name) => effects.push(Effect::ReadSweep(name)),
        None if state.measure.can_resume() => {
            if let Some(conductor) = state.measure.conductor.take() {
                on_read(state, conductor.into_sweep(), now, effects);
            }
        }
        None => {}
    }
}

/// A sweep was read from the disk.
pub(super) fn on_read(state: &mut AppState, mut sweep: Sweep, now: Now, effects: &mut Vec<Effect>) {
    if state.measure.is_running() {
        return;
    }
    sweep.resume();
    free_chat_model(state, effects);
    begin(state, sweep, now, effects);
}

pub(super) fn forget(state: &mut AppState, name: &str, effects: &mut Vec<Effect>) {
    state.measure.unfinished.retain(|other| other.name != name);
    effects.push(Effect::DropSweep(name.to_owned()));
}

pub(super) fn on_found(state: &mut AppState, found: Vec<Unfinished>) {
    let own = state.measure.sweep().map(|sweep| sweep.plan().name.clone());
    state.measure.unfinished = found.into_iter().filter(|other| Some(&other.name) != own.as_ref()).collect();
}

/// Limits say what may be chosen, not what is measured: they hold at once, for what was measured as well.
pub(super) fn set_limits(state: &mut AppState, limits: Vec<MetricLimit>) {
    if let Some(conductor) = &mut state.measure.conductor {
        conductor.set_limits(limits.clone());
        state.measure.refresh();
    }
    state.measure.draft.limits = limits;
    check_draft(state);
}

/// Ends the sweep; what was measured stands, and it can be resumed.
pub(super) fn stop(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    match state.measure.doing {
        Doing::Nothing | Doing::Stopping(_) => {}
        Doing::Preparing => {
            state.measure.doing = Doing::Nothing;
            finish(state, now, effects);
        }
        Doing::Measuring(job) | Doing::GivingWay(job) => {
            state.measure.doing = Doing::Stopping(job);
            effects.push(Effect::StopMeasuring(job));
        }
        Doing::Held(_) | Doing::Resting { .. } => cancelled(state, now, effects),
    }
}

fn cancelled(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Some(conductor) = &mut state.measure.conductor {
        conductor.cancel(now.at);
    }
    finish(state, now, effects);
}

/// What needs the processor more than a measurement, which it would spoil.
fn held_by(state: &AppState) -> Option<&'static str> {
    match state.activity {
        Activity::Generating(_) => {
            Some("A reply is being written, and a speed measured beside it would be wrong: measuring goes on when it has ended")
        }
        Activity::Loading(_) => Some("A model is being loaded: measuring goes on when it is there"),
        Activity::None if state.making.is_some() => Some("A quantization level is being made: measuring goes on when it is there"),
        Activity::None => None,
    }
}

/// The next step, unless something else needs the processor.
fn go_on(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Some(why) = held_by(state) {
        state.measure.doing = Doing::Held(why);
        return;
    }
    let job = state.job();
    let Some(conductor) = &mut state.measure.conductor else { return };
    match conductor.order(job, now.at, now.unix_ms) {
        Order::Finished => {
            finish(state, now, effects);
        }
        Order::Rest { seconds, why } => state.measure.doing = Doing::Resting { until: now.secs + seconds, why },
        Order::Send(command) => {
            // kept before it is begun, so that a design that ends the program is found out
            effects.push(Effect::KeepSweep(Box::new(conductor.sweep().clone())));
            state.measure.doing = Doing::Measuring(job);
            effects.push(Effect::Measure(command));
        }
    }
}

/// The measuring engine said something.
pub(super) fn on_event(state: &mut AppState, event: &Event, now: Now, effects: &mut Vec<Effect>) {
    let Some(conductor) = &mut state.measure.conductor else { return };
    if conductor.hear(event, now.at) != Heard::StepDone {
        return;
    }
    state.measure.refresh();
    if matches!(state.measure.doing, Doing::Stopping(_)) {
        cancelled(state, now, effects);
    } else {
        go_on(state, now, effects);
    }
}

/// Time passes, or something else began or ended.
pub(super) fn tick(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) -> Option<f64> {
    match &state.measure.doing {
        Doing::Measuring(job) => {
            let job: JobId = *job;
            if held_by(state).is_some() {
                state.measure.doing = Doing::GivingWay(job);
                effects.push(Effect::StopMeasuring(job));
            }
        }
        Doing::Held(_) if held_by(state).is_none() => go_on(state, now, effects),
        Doing::Resting { until, .. } if now.secs >= *until => {
            if let Some(conductor) = &mut state.measure.conductor {
                conductor.rested(now.at);
            }
            go_on(state, now, effects);
        }
        _ => {}
    }
    // whatever led to a rest, nothing but the clock ends it: a hidden window gets no other occasion
    if let Doing::Resting { until, .. } = &state.measure.doing { Some(*until) } else { None }
}

/// What was measured becomes runs; a sweep that goes on later replaces them.
fn keep_runs(state: &mut AppState, effects: &mut Vec<Effect>) {
    let worth = state.measure.sweep().map(Sweep::worth_keeping).unwrap_or_default();
    state.measure.keeping.clear();
    for index in worth {
        let run = state.measure.result.as_ref().and_then(|result| result.runs.get(index)).cloned();
        if let Some(run) = run {
            let seq = history::keep(state, run, effects);
            state.measure.keeping.push((seq, index));
        }
    }
}

/// A run is on the disk.
pub(super) fn on_kept(state: &mut AppState, seq: u64, id: RunId, effects: &mut Vec<Effect>) {
    let Some(at) = state.measure.keeping.iter().position(|(other, _)| *other == seq) else { return };
    let (_, index) = state.measure.keeping.swap_remove(at);
    let Some(conductor) = &mut state.measure.conductor else { return };
    conductor.set_kept(index, id);
    if state.measure.keeping.is_empty() {
        if !matches!(conductor.sweep().ended(), Some(End::Complete | End::NothingLeft)) {
            effects.push(Effect::KeepSweep(Box::new(conductor.sweep().clone())));
        }
        state.measure.refresh();
    }
}

/// The sweep is over, or was stopped: the engine goes, the chat's model comes back.
fn finish(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    state.measure.doing = Doing::Nothing;
    state.measure.refresh();
    effects.push(Effect::EndMeasuring);
    keep_runs(state, effects);
    if let Some(sweep) = state.measure.sweep() {
        let kept = match sweep.ended() {
            Some(End::Complete | End::NothingLeft) => Effect::DropSweep(sweep.plan().name.clone()),
            _ => Effect::KeepSweep(Box::new(sweep.clone())),
        };
        effects.push(kept);
        let text = match (sweep.ended(), &state.measure.result) {
            (Some(End::Complete), Some(result)) if result.best.is_some() => {
                result.unsettled.clone().unwrap_or_else(|| "The sweep is done".to_owned())
            }
            (Some(End::Complete), _) => "The sweep is done; no design can be chosen within the limits".to_owned(),
            (Some(End::NothingLeft), _) => "The sweep ended: every design failed".to_owned(),
            (Some(End::Budget), _) => "The sweep ended: its time was used up".to_owned(),
            _ => "The sweep was stopped; what was measured stands, and it can be resumed".to_owned(),
        };
        state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
    }
    if let Some(design) = state.measure.reload.take()
        && state.loaded.is_none()
        && matches!(state.activity, Activity::None)
    {
        begin_load(state, design, now, None, effects);
    }
}
