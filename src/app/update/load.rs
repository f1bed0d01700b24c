//! Loading a design: looked at first, queued behind what runs, started, and what comes of it.

use super::{AppState, Effect, Now, generate, meter, models};
use crate::app::{Activity, Crash, Dialog, FitWarning, Forecast, Inspection, Known, Loading, MarkerKind, ReplyId, Retry, WantedLoad};
use crate::library;
use crate::protocol::{Command, Design, EngineError, ErrorKind, JobId, LoadReport, LoadRequest, Resident};

/// Left to the rest of the machine when the keep-warm budget is chosen by the application, bytes.
const HEADROOM: u64 = 1_000_000_000;
/// Designs whose forecast is remembered; more than stay warm at once.
const FORECASTS: usize = 64;
/// For so long a file that was looked at is taken to be what it was, seconds.
const FRESH: f64 = 60.0;

/// Asks for a load. A reply that runs goes on until it is known that the load can start: a bad file or a design that does not fit costs
/// nothing. A load that runs is given up at once.
pub(super) fn begin_load(state: &mut AppState, design: Design, now: Now, then: Option<ReplyId>, effects: &mut Vec<Effect>) {
    state.crash = None;
    if matches!(state.dialog, Dialog::Fit(_)) {
        state.dialog = Dialog::None;
    }
    let internal = &mut state.internal;
    // a second choice takes over the reply that waits for the first
    let earlier = [internal.inspecting.take(), internal.queued_load.take(), internal.unfit.take()];
    let then = then.or_else(|| earlier.into_iter().flatten().find_map(|wanted| wanted.then));
    let mut wanted = WantedLoad { design, since: now.secs, then, keep_warm: None, forecast: None, asked: None, stopped: false };
    if let Activity::Loading(loading) = &mut state.activity {
        wanted.then = wanted.then.or(loading.then_continue);
        if !loading.stopping && *loading.design == wanted.design {
            loading.then_continue = wanted.then;
            return;
        }
        loading.stopping = true;
        effects.push(Effect::Send(Command::Cancel { job: loading.job }));
        state.internal.queued_load = Some(wanted);
        return;
    }
    look(state, wanted, now, effects);
}

/// Has the file looked at before it is loaded, unless it is warm.
fn look(state: &mut AppState, mut wanted: WantedLoad, now: Now, effects: &mut Vec<Effect>) {
    if state.is_warm(&wanted.design) {
        wanted.forecast = known(state, &wanted.design).map(|known| known.forecast);
        return proceed(state, wanted, now, effects);
    }
    let freed = freed_by_unload(state);
    if let Some((forecast, keep_warm)) = fresh(state, &wanted.design, freed, now) {
        (wanted.forecast, wanted.keep_warm) = (Some(forecast), Some(keep_warm));
        return proceed(state, wanted, now, effects);
    }
    effects.push(Effect::Inspect { design: Box::new(wanted.design.clone()), freed });
    state.internal.inspecting = Some(wanted);
}

fn known<'a>(state: &'a AppState, design: &Design) -> Option<&'a Known> {
    state.internal.forecasts.iter().rev().find(|known| !known.design.needs_reload(design))
}

/// What was foretold of a design a moment ago, with how much may stay beside it, when it fits now: nothing has to be looked at, which takes
/// as long as painting a frame. One that does not fit is looked at again, for what does.
fn fresh(state: &AppState, design: &Design, freed: u64, now: Now) -> Option<(Forecast, u64)> {
    let known = known(state, design).filter(|known| now.secs - known.looked < FRESH && known.design.model == design.model)?;
    let sample = state.telemetry.sample?;
    let (total, available) = (known.forecast.memory.total(), sample.available);
    let freed = freed.min(sample.total.saturating_sub(available));
    library::fits(total, available, freed).then(|| (known.forecast, may_stay(state, total, available, freed)))
}

/// Bytes that unloading everything would give back, beyond what the system says could be had: it counts the pages of mapped files among
/// those already, and with them the weights, unless they are locked.
pub(super) fn freed_by_unload(state: &AppState) -> u64 {
    let all = |of: fn(&Resident) -> u64| state.resident.iter().map(of).sum::<u64>();
    let buffers = all(|resident| resident.memory.total());
    match state.telemetry.sample.and_then(|sample| sample.engine) {
        Some(engine) => {
            let locked = all(|resident| if resident.design.mlock && resident.design.mmap { resident.memory.weights } else { 0 });
            buffers.min(engine.anonymous + locked)
        }
        None => all(|resident| {
            let memory = resident.memory;
            memory.kv + memory.compute + if resident.design.mmap && !resident.design.mlock { 0 } else { memory.weights }
        }),
    }
}

pub(super) fn on_inspected(
    state: &mut AppState,
    design: Design,
    result: Result<Inspection, EngineError>,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    let Some(mut wanted) = state.internal.inspecting.take_if(|wanted| wanted.design == design) else { return };
    match result {
        Err(error) => {
            state.internal.send_when_ready = None;
            state.settings.start_succeeded();
            state.crash = Some(Crash { error, retry: None, is_death: false });
            resume(state, wanted.then, now, effects);
        }
        Ok(inspection) => {
            let design = Design { model: inspection.model.clone(), ..design };
            wanted.design.model.clone_from(&inspection.model);
            wanted.forecast = Some(inspection.forecast());
            remember(state, &design, inspection.forecast(), now);
            if inspection.estimate.fits {
                let estimate = &inspection.estimate;
                wanted.keep_warm = Some(may_stay(state, estimate.memory.total(), estimate.available, estimate.freed_by_unload));
                proceed(state, wanted, now, effects);
            } else {
                state.dialog = Dialog::Fit(Box::new(FitWarning { design, estimate: inspection.estimate, nearest: inspection.nearest }));
                state.internal.unfit = Some(wanted);
            }
        }
    }
}

/// Keeps what was foretold for a flip back to a warm model, and for the next switch to it, which do not look at its file again.
fn remember(state: &mut AppState, design: &Design, forecast: Forecast, now: Now) {
    let forecasts = &mut state.internal.forecasts;
    forecasts.retain(|known| known.design.needs_reload(design));
    if forecasts.len() >= FORECASTS {
        forecasts.remove(0);
    }
    forecasts.push(Known { design: design.clone(), forecast, looked: now.secs });
}

/// How much of what is loaded may stay beside a new design of `total` bytes.
fn may_stay(state: &AppState, total: u64, available: u64, freed: u64) -> u64 {
    state.settings.keep_warm(available).min((available + freed).saturating_sub(total + HEADROOM))
}

pub(super) fn load_anyway(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Dialog::Fit(warning) = std::mem::take(&mut state.dialog) {
        let (then, forecast) = state.internal.unfit.take().map_or((None, None), |wanted| (wanted.then, wanted.forecast));
        let wanted =
            WantedLoad { design: warning.design, since: now.secs, then, keep_warm: Some(0), forecast, asked: None, stopped: false };
        proceed(state, wanted, now, effects);
    }
}

pub(super) fn load_nearest(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Dialog::Fit(warning) = std::mem::take(&mut state.dialog)
        && let Some(nearest) = warning.nearest
    {
        begin_load(state, nearest.design, now, None, effects);
    }
}

/// The dialog about a design that does not fit was closed: it is not loaded, and what waited for it is not done.
pub(super) fn forget_unfit(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if let Some(wanted) = state.internal.unfit.take() {
        state.internal.send_when_ready = None;
        resume(state, wanted.then, now, effects);
    }
}

/// A load that a reply was stopped for does not come: the reply goes on with the model that is there.
fn resume(state: &mut AppState, then: Option<ReplyId>, now: Now, effects: &mut Vec<Effect>) {
    if let Some(reply) = then
        && state.can_generate()
    {
        generate::go_on(state, reply, now, effects);
    }
}

/// The load will start: at once, or as soon as what runs has been told to end and has ended. The engine hears of the load together with
/// the order to end, and goes from one to the other by itself: no frame of the window lies in between.
pub(super) fn proceed(state: &mut AppState, mut wanted: WantedLoad, now: Now, effects: &mut Vec<Effect>) {
    match &mut state.activity {
        Activity::None => start_load(state, wanted, effects),
        Activity::Generating(generating) => {
            generating.stopping.get_or_insert(now.secs);
            effects.push(Effect::Send(Command::Cancel { job: generating.job }));
            // an earlier choice that the engine knows of is taken back
            let earlier = generating.then_load.take().and_then(|earlier| earlier.asked);
            effects.extend(earlier.map(|job| Effect::Send(Command::Cancel { job })));
            // a reply that the engine has not heard of yet ends here and not there, and would end after the load
            if generating.waiting_for_save.is_none() {
                wanted.asked = Some(ask(state, &wanted, effects));
            }
            if let Activity::Generating(generating) = &mut state.activity {
                generating.then_load = Some(Box::new(wanted));
            }
        }
        Activity::Loading(loading) => {
            wanted.then = wanted.then.or(loading.then_continue);
            loading.stopping = true;
            effects.push(Effect::Send(Command::Cancel { job: loading.job }));
            state.internal.queued_load = Some(wanted);
        }
    }
}

/// Tells the engine to load.
fn ask(state: &mut AppState, wanted: &WantedLoad, effects: &mut Vec<Effect>) -> JobId {
    generate::clear_the_way(state, effects);
    let job = state.job();
    let keep_warm_bytes = wanted.keep_warm.or(state.settings.keep_warm_bytes).unwrap_or(u64::MAX);
    effects.push(Effect::Send(Command::Load { job, request: LoadRequest { design: wanted.design.clone(), keep_warm_bytes } }));
    job
}

fn start_load(state: &mut AppState, wanted: WantedLoad, effects: &mut Vec<Effect>) {
    let job = wanted.asked.unwrap_or_else(|| ask(state, &wanted, effects));
    let WantedLoad { design, since, then, forecast, stopped: stopping, .. } = wanted;
    let same_family = state.family().is_some_and(|family| family.rung_of(&design.model).is_some());
    let from = state.active_quant().filter(|_| same_family).map(str::to_owned);
    let design = Box::new(design);
    let loading = Loading { job, design, fraction: 0.0, since, from, then_continue: then, stopping, forecast };
    state.activity = Activity::Loading(loading);
}

pub(super) fn on_loaded(state: &mut AppState, job: JobId, report: Box<LoadReport>, now: Now, effects: &mut Vec<Effect>) {
    let loading = match std::mem::take(&mut state.activity) {
        Activity::Loading(loading) if loading.job == job => loading,
        other => {
            state.activity = other;
            return;
        }
    };
    let seconds = now.at - loading.since;
    let quant = report.info.quant.clone();
    // a load that is no switch takes the mark of an earlier one away: the reply to come is not the first after that
    state.pending_switch = loading.from.filter(|from| *from != quant).map(|from| (from, seconds));
    match &state.pending_switch {
        Some((from, _)) => state.telemetry.mark(now.at, MarkerKind::Switch, format!("{from} → {quant} {seconds:.2} s")),
        None => state.telemetry.mark(now.at, MarkerKind::Load, format!("{quant} loaded {seconds:.2} s")),
    }
    state.crash = None;
    if state.loaded.as_ref().is_none_or(|before| before.design.needs_reload(&report.design)) {
        state.telemetry.on_model(loading.forecast);
    }
    state.telemetry.memory = Some(report.memory);
    state.resident.clone_from(&report.resident);
    state.settings.remember(&report.design);
    state.settings.start_succeeded();
    if state.library.families.iter().all(|family| family.rung_of(&report.design.model).is_none()) {
        let opened = report.design.model.clone();
        models::rescan_with(state, Some(&opened), effects);
    }
    state.internal.settings_changed = Some(now.secs);
    meter::forget(state);
    state.loaded = Some(report);
    if hand_on(state, loading.then_continue, now, effects) {
        return;
    }
    let goes_on = loading.then_continue.is_some_and(|reply| generate::go_on(state, reply, now, effects));
    generate::take_back_ahead(state, effects);
    if goes_on || generate::send_waiting(state, now, effects) {
        return;
    }
    // it was measured with the threads that decoded then
    let threads = state.loaded.as_ref().map_or(0, |report| report.effective.threads);
    if state.settings.bandwidth.as_ref().is_some_and(|known| known.threads != threads) {
        state.telemetry.bandwidth_gb_s = None;
    }
    if state.telemetry.bandwidth_gb_s.is_none() {
        models::probe(state, effects);
    }
    if state.pending_switch.is_some() {
        generate::reread(state, effects);
    }
}

pub(super) fn on_load_failed(state: &mut AppState, error: EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Activity::Loading(loading) = std::mem::take(&mut state.activity) else { return };
    generate::take_back_ahead(state, effects);
    state.settings.start_succeeded();
    if hand_on(state, loading.then_continue, now, effects) {
        return;
    }
    state.internal.send_when_ready = None;
    if error.kind == ErrorKind::Cancelled {
        state.telemetry.mark(now.at, MarkerKind::Stop, "load stopped");
        return;
    }
    let retry = Some(Retry { design: *loading.design, reply: loading.then_continue });
    state.crash = Some(Crash { error, retry, is_death: false });
}

/// After a load: whether another one follows, which then takes over the reply that waits.
fn hand_on(state: &mut AppState, then: Option<ReplyId>, now: Now, effects: &mut Vec<Effect>) -> bool {
    if let Some(inspecting) = &mut state.internal.inspecting {
        inspecting.then = inspecting.then.or(then);
        generate::take_back_ahead(state, effects);
        return true;
    }
    let Some(wanted) = state.internal.queued_load.take() else { return false };
    generate::take_back_ahead(state, effects);
    look(state, wanted, now, effects);
    true
}

/// Goes on after a death or a refused load: loads the same design again and finishes the reply that was cut off.
///
/// The engine is not restarted for it: the supervisor does that by itself, or with the first command once it has given up, and a restart
/// asked for from here would end the engine that is just starting, and with it the load.
pub(super) fn recover(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Some(retry) = state.crash.take().and_then(|crash| crash.retry) else { return };
    begin_load(state, retry.design, now, retry.reply, effects);
}

pub(super) fn on_engine_up(state: &mut AppState, _now: Now, _effects: &mut Vec<Effect>) {
    // a fresh engine holds nothing; what to load again is the user's to say
    if !matches!(state.activity, Activity::Loading(_)) {
        state.loaded = None;
        state.resident.clear();
    }
}
