//! Loading, switching and making rungs.

use std::path::{Path, PathBuf};

use super::{Action, AppState, Effect, Now, generate};
use crate::app::{
    Activity, Crash, Dialog, EngineState, FitWarning, Inspection, Loading, MakeOffer, Making, MarkerKind, NoticeAction, Retry, Severity,
};
use crate::library::{RungState, Scan};
use crate::protocol::{Command, Design, EngineError, ErrorKind, Event, JobId, LoadReport, LoadRequest, QuantizeRequest, Resident, Stage};
use crate::store::{Autoload, Bandwidth, MessageId};

/// Left to the rest of the machine when the keep-warm budget is chosen by the application, bytes.
const HEADROOM: u64 = 1_000_000_000;

pub(super) fn rescan(state: &mut AppState, effects: &mut Vec<Effect>) {
    rescan_with(state, None, effects);
}

fn rescan_with(state: &mut AppState, opened: Option<&Path>, effects: &mut Vec<Effect>) {
    state.library.is_scanning = true;
    let mut folders = state.settings.model_folders.clone();
    // what was opened from anywhere brings its siblings along: they are its ladder
    let opened = opened.or_else(|| state.design().or(state.settings.last_design.as_ref()).map(|design| design.model.as_path()));
    folders.extend(opened.and_then(Path::parent).map(Into::into));
    effects.push(Effect::Scan(folders));
}

pub(super) fn on_scanned(state: &mut AppState, scan: Scan, now: Now, effects: &mut Vec<Effect>) {
    state.library.families = scan.families;
    state.library.skipped = scan.skipped;
    state.library.is_scanning = false;
    state.library.was_scanned = true;
    if std::mem::take(&mut state.internal.autoload_first)
        && state.design().is_none()
        && state.internal.inspecting.is_none()
        && let Some(path) = first_on_disk(state)
    {
        open(state, path, now, effects);
    }
}

/// The first file of the first family: what a fresh installation with the starter model has.
fn first_on_disk(state: &AppState) -> Option<PathBuf> {
    state.library.families.iter().flat_map(|family| &family.rungs).find_map(|rung| match &rung.state {
        RungState::OnDisk { path, .. } => Some(path.clone()),
        _ => None,
    })
}

/// Loads what was loaded last, unless the last starts died of it.
pub(super) fn autoload(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    match state.settings.begin_autoload() {
        Autoload::Nothing => state.internal.autoload_first = state.settings.autoload,
        Autoload::Held { model, .. } => {
            let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = format!("{name} was not loaded by itself, because the last starts ended while it was being loaded");
            let offer = NoticeAction { label: "Load it".into(), action: Box::new(Action::OpenModel(model)) };
            state.notices.push(Severity::Warn, text, Vec::new(), Some(offer), now.secs);
            state.settings.start_succeeded();
        }
        Autoload::Load(design) => {
            effects.push(Effect::SaveSettings(Box::new(state.settings.clone())));
            begin_load(state, *design, now, None, effects);
        }
    }
}

/// Opens a file with the design remembered for it, else with the settings of the one that is loaded.
pub(super) fn open(state: &mut AppState, path: PathBuf, now: Now, effects: &mut Vec<Effect>) {
    let design = design_for(state, path);
    begin_load(state, design, now, None, effects);
}

fn design_for(state: &AppState, path: PathBuf) -> Design {
    let remembered = state.settings.designs.get(path.to_string_lossy().as_ref()).cloned();
    let base = remembered.or_else(|| state.design().cloned()).unwrap_or_default();
    Design { model: path, ..base }
}

pub(super) fn select_rung(state: &mut AppState, quant: &str, now: Now, effects: &mut Vec<Effect>) {
    let Some(family) = state.family() else { return };
    let key = family.key.clone();
    let Some(rung) = family.rungs.iter().find(|rung| rung.quant == quant) else { return };
    match &rung.state {
        RungState::OnDisk { path, .. } => {
            let path = path.clone();
            // a switch changes the rung and nothing else, so that what is seen is the rung's doing
            let Some(current) = state.design().cloned() else { return open(state, path, now, effects) };
            if current.model != path || state.loaded.is_none() {
                begin_load(state, Design { model: path, ..current }, now, None, effects);
            }
        }
        RungState::CanMake { .. } => offer_make(state, &key, quant),
        RungState::Unavailable { why } => {
            let text = format!("{quant} cannot be made: {why}");
            state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
        }
    }
}

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
        rescan_with(state, Some(&opened), effects);
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
        probe(state, effects);
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

pub(super) fn unload(state: &mut AppState, model: Option<PathBuf>, effects: &mut Vec<Effect>) {
    if matches!(state.activity, Activity::None) {
        let job = state.job();
        effects.push(Effect::Send(Command::Unload { job, model }));
    }
}

pub(super) fn on_unloaded(state: &mut AppState, resident: Vec<Resident>) {
    state.resident = resident;
    if !state.resident.iter().any(|resident| resident.active) {
        state.loaded = None;
        state.telemetry.memory = None;
        state.internal.counted = None;
    }
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

pub(super) fn probe(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.internal.probing.is_none() && matches!(state.activity, Activity::None) {
        let threads = state.loaded.as_ref().map_or(0, |report| report.effective.threads);
        let job = state.job();
        state.internal.probing = Some(job);
        effects.push(Effect::Send(Command::Probe { job, threads }));
    }
}

pub(super) fn on_probed(state: &mut AppState, job: JobId, gb_s: f64, threads: u32, now: Now) {
    if state.internal.probing == Some(job) {
        state.internal.probing = None;
    }
    state.telemetry.bandwidth_gb_s = Some(gb_s);
    state.settings.bandwidth = Some(Bandwidth { gb_s, threads, cpu: state.cpu.clone() });
    state.internal.settings_changed = Some(now.secs);
}

pub(super) fn offer_make(state: &mut AppState, family_key: &str, quant: &str) {
    let Some(family) = state.library.families.iter().find(|family| family.key == family_key) else { return };
    let Some(rung) = family.rungs.iter().find(|rung| rung.quant == quant) else { return };
    if let RungState::CanMake { source, source_quant, size_estimate, seconds_estimate, lossy_source, target, .. } = &rung.state {
        state.dialog = Dialog::Make(Box::new(MakeOffer {
            family: family.key.clone(),
            family_name: family.name.clone(),
            quant: rung.quant.clone(),
            source: source.clone(),
            source_quant: source_quant.clone(),
            target: target.clone(),
            size_estimate: *size_estimate,
            seconds_estimate: *seconds_estimate,
            lossy_source: *lossy_source,
        }));
    }
}

pub(super) fn confirm_make(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Dialog::Make(offer) = std::mem::take(&mut state.dialog) else { return };
    if state.making.is_some() {
        state.notices.push(Severity::Warn, "Another rung is being made, wait for it or stop it first", Vec::new(), None, now.secs);
        return;
    }
    // a make from the Library page must not pull a chat to another model
    let then_switch = state.family().is_some_and(|family| family.key == offer.family);
    let request = QuantizeRequest {
        source: offer.source,
        target: offer.target,
        file_type: offer.quant.clone(),
        imatrix: None,
        prune_layers: Vec::new(),
        threads: 0,
    };
    let job = state.job();
    state.making = Some(Making {
        job,
        family: offer.family,
        quant: offer.quant,
        request: request.clone(),
        fraction: 0.0,
        since: now.secs,
        then_switch,
    });
    effects.push(Effect::Make(job, request));
}

pub(super) fn cancel_make(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(making) = &state.making {
        effects.push(Effect::StopMaking(making.job));
    }
}

pub(super) fn on_maker_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    let Some(making) = &mut state.making else { return };
    match event {
        Event::Progress { job, stage: Stage::Quantize, done, total } if job == making.job && total > 0 => {
            making.fraction = done as f32 / total as f32;
        }
        Event::Quantized { job, path, size, seconds, fallbacks, .. } if job == making.job => {
            let Some(making) = state.making.take() else { return };
            let size = crate::measure::format::bytes(size);
            let mut text = format!("{} made in {seconds:.1} s, {size}", making.quant);
            if fallbacks > 0 {
                text.push_str(&format!("; {fallbacks} tensors do not fit its blocks and got another type"));
            }
            state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
            rescan(state, effects);
            if making.then_switch
                && let Some(current) = state.design().cloned()
            {
                begin_load(state, Design { model: path, ..current }, now, None, effects);
            }
        }
        Event::Failed { job, error } if job == making.job => fail_making(state, &error, now, effects),
        Event::Died { error, .. } => fail_making(state, &error, now, effects),
        _ => {}
    }
}

fn fail_making(state: &mut AppState, error: &EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Some(making) = state.making.take() else { return };
    rescan(state, effects);
    if error.kind == ErrorKind::Cancelled {
        state.notices.push(Severity::Info, format!("Making {} was stopped, nothing was kept", making.quant), Vec::new(), None, now.secs);
    } else {
        let text = format!("{} was not made: {error}", making.quant);
        state.notices.push(Severity::Error, text, error.details.clone(), None, now.secs);
    }
}
