//! The models on disk and in memory: finding, opening and freeing them.

use std::path::{Path, PathBuf};

use super::load::begin_load;
use super::making::offer_make;
use super::{Action, AppState, Effect, Now, generate};
use crate::app::{Activity, ContextMeter, NoticeAction, Severity};
use crate::library::{RungState, Scan};
use crate::protocol::{Command, Design, EngineError, ErrorKind, JobId, Resident};
use crate::store::{Autoload, Bandwidth};

pub(super) fn rescan(state: &mut AppState, effects: &mut Vec<Effect>) {
    rescan_with(state, None, effects);
}

pub(super) fn rescan_with(state: &mut AppState, opened: Option<&Path>, effects: &mut Vec<Effect>) {
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
        RungState::OnDisk { .. } => {
            let Some(path) = file_of(state, &rung.state) else { return };
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

/// The file of a level that a switch takes: of several copies one that is in memory already, else the one beside the file in use.
fn file_of(state: &AppState, rung: &RungState) -> Option<PathBuf> {
    let files: Vec<&Path> = rung.files().collect();
    let active = state.design().map(|design| design.model.as_path());
    let warm = state.resident.iter().rev().map(|resident| resident.design.model.as_path());
    let in_memory = active.into_iter().chain(warm).find(|file| files.contains(file));
    let folder = active.and_then(Path::parent);
    let beside = || files.iter().copied().find(|file| folder.is_some() && file.parent() == folder);
    in_memory.or_else(beside).or(files.first().copied()).map(Path::to_path_buf)
}

pub(super) fn unload(state: &mut AppState, model: Option<PathBuf>, effects: &mut Vec<Effect>) {
    if matches!(state.activity, Activity::None) {
        generate::stop_rereading(state, effects);
        let job = state.job();
        state.internal.unloading = Some(job);
        effects.push(Effect::Send(Command::Unload { job, model }));
    }
}

/// A model could not be freed: it is still there, and so is its memory.
pub(super) fn on_unload_failed(state: &mut AppState, error: &EngineError, now: Now) {
    state.internal.unloading = None;
    if error.kind != ErrorKind::Cancelled {
        let text = format!("The model is still in memory: {error}");
        state.notices.push(Severity::Error, text, Vec::new(), None, now.secs);
    }
}

/// Frees what was used longest ago until the models that are kept warm keep to a budget that was set by hand. What is being loaded brings
/// its budget along.
pub(super) fn keep_to_budget(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(budget) = state.settings.keep_warm_bytes.filter(|_| state.loading().is_none()) else { return };
    let active = state.loaded.as_ref().map(|report| report.design.model.clone());
    loop {
        // the engine frees all that it holds of a file, so the file that answers is left alone
        let mut warm = state.resident.iter().filter(|resident| !resident.active && Some(&resident.design.model) != active.as_ref());
        let taken: u64 = warm.clone().map(|resident| resident.memory.total()).sum();
        let Some(model) = warm.next().map(|resident| resident.design.model.clone()).filter(|_| taken > budget) else { return };
        state.resident.retain(|resident| resident.design.model != model);
        let job = state.job();
        effects.push(Effect::Send(Command::Unload { job, model: Some(model) }));
    }
}

pub(super) fn on_unloaded(state: &mut AppState, resident: Vec<Resident>) {
    state.resident = resident;
    let answers = |design: &Design| state.resident.iter().any(|resident| resident.active && !resident.design.needs_reload(design));
    if !state.loaded.as_ref().is_some_and(|report| answers(&report.design)) {
        state.loaded = None;
        state.pending_switch = None;
        state.telemetry.memory = None;
        state.telemetry.on_model(None);
        state.internal.counted = None;
        state.meter = ContextMeter::default();
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

pub(super) fn on_probed(state: &mut AppState, job: JobId, measured: Bandwidth, now: Now) {
    if state.internal.probing == Some(job) {
        state.internal.probing = None;
    }
    let mut gb_s = measured.gb_s;
    if state.telemetry.is_bandwidth_doubted() {
        // what was once read in a second can be read in a second: of two measurements the faster one is nearer to the limit
        gb_s = state.telemetry.bandwidth_gb_s.map_or(gb_s, |before| before.max(gb_s));
        state.telemetry.bandwidth_confirmed = true;
    }
    state.telemetry.bandwidth_gb_s = Some(gb_s);
    state.settings.bandwidth = Some(Bandwidth { gb_s, ..measured });
    state.internal.settings_changed = Some(now.secs);
}
