//! Runs and saved designs: what is kept, looked at, named, deleted, brought in and out.

use std::path::Path;

use super::chat::save;
use super::{Action, AppState, Effect, Now, load};
use crate::app::{NoticeAction, Severity};
use crate::library::RungState;
use crate::protocol::{Design, DesignFormat, Run, RunId};
use crate::store::{DesignId, Op, RunHead, SavedDesign};

/// Runs that are kept whole in memory: those on screen, and a few that were just there.
const WHOLE: usize = 16;

pub(super) fn on_action(state: &mut AppState, action: Action, now: Now, effects: &mut Vec<Effect>) {
    match action {
        Action::ShowRuns(ids) => show(state, ids, effects),
        Action::NameRun(id, title) => set_meta(state, id, Some(title.trim().to_owned()), None, effects),
        Action::TagRun(id, tags) => set_meta(state, id, None, Some(tidy_tags(tags)), effects),
        Action::DeleteRuns(ids) => delete(state, ids, now, effects),
        Action::UndoDeleteRuns(ids) => {
            save(state, ids.into_iter().map(Op::RestoreRun).collect(), effects);
            effects.push(Effect::ReadRuns);
        }
        Action::ExportRuns(ids, format) if !ids.is_empty() => effects.push(Effect::ExportRuns(ids, format)),
        Action::ImportRuns => effects.push(Effect::PickRuns),
        Action::SaveDesign(name) => {
            if let Some(design) = current(state) {
                put_design(state, DesignId(0), &name, design, now, effects);
            }
        }
        Action::UseDesign(id) => {
            if let Some(design) = saved(state, id).map(|saved| saved.design.clone()) {
                apply(state, design, now, effects);
            }
        }
        Action::UseRunDesign(id) => {
            if let Some(design) = state.history.run(id).map(|run| run.design.clone()) {
                apply(state, design, now, effects);
            }
        }
        Action::RenameDesign(id, name) => {
            if let Some(found) = saved(state, id).filter(|_| !name.trim().is_empty()) {
                let op = Op::PutDesign(SavedDesign { name: name.trim().to_owned(), ..found.clone() });
                save(state, vec![op], effects);
            }
        }
        Action::DuplicateDesign(id) => {
            if let Some(found) = saved(state, id).cloned() {
                put_design(state, DesignId(0), &format!("{} (copy)", found.name), found.design, now, effects);
            }
        }
        Action::DeleteDesign(id) => {
            let Some(name) = saved(state, id).map(|saved| saved.name.clone()) else { return };
            save(state, vec![Op::DeleteDesign(id)], effects);
            let undo = NoticeAction { label: "Undo".into(), action: Box::new(Action::UndoDeleteDesign(id)) };
            state.notices.push(Severity::Info, format!("Deleted the design “{name}”"), Vec::new(), Some(undo), now.secs);
        }
        Action::UndoDeleteDesign(id) => {
            save(state, vec![Op::RestoreDesign(id)], effects);
        }
        Action::ExportDesign(id) => export_design(state, id, effects),
        Action::ImportDesign => effects.push(Effect::PickDesign),
        _ => {}
    }
}

/// Keeps a run that is new. It is in the list once it is on the disk; until then the number returned is all there is of it, and
/// `Answer::RunKept` or `Answer::Unsaved` comes with it. What the run does not say of the machine and the model is filled in on the way.
pub(super) fn keep(state: &mut AppState, run: Run, effects: &mut Vec<Effect>) -> u64 {
    let seq = state.seq();
    effects.push(Effect::KeepRun { seq, run: Box::new(run) });
    seq
}

pub(super) fn on_kept(state: &mut AppState, head: RunHead) {
    // before the first look there is no list to add to, and then it is read whole
    if state.history.is_loaded {
        state.history.insert(head);
    }
}

fn show(state: &mut AppState, ids: Vec<RunId>, effects: &mut Vec<Effect>) {
    let mut wanted = ids.clone();
    if let [one] = ids.as_slice() {
        wanted.extend(state.history.predecessor(*one));
    }
    state.history.shown = ids;
    // more than two are only counted
    wanted.truncate(2);
    wanted.retain(|id| state.history.run(*id).is_none());
    if !wanted.is_empty() && state.history.shown.len() <= 2 {
        effects.push(Effect::ReadWholeRuns(wanted));
    }
}

pub(super) fn on_read(state: &mut AppState, runs: Vec<Run>) {
    let whole = &mut state.history.whole;
    whole.retain(|old| runs.iter().all(|new| new.id != old.id));
    whole.extend(runs);
    let shown = &state.history.shown;
    while whole.len() > WHOLE
        && let Some(at) = whole.iter().position(|run| !shown.contains(&run.id))
    {
        whole.remove(at);
    }
}

fn set_meta(state: &mut AppState, id: RunId, title: Option<String>, tags: Option<Vec<String>>, effects: &mut Vec<Effect>) {
    let Some(head) = state.history.runs.iter_mut().find(|head| head.id == id) else { return };
    head.title = title.unwrap_or_else(|| std::mem::take(&mut head.title));
    head.tags = tags.unwrap_or_else(|| std::mem::take(&mut head.tags));
    let op = Op::SetRunMeta { id, title: head.title.clone(), tags: head.tags.clone() };
    if let Some(run) = state.history.whole.iter_mut().find(|run| run.id == id) {
        (run.title, run.tags) = (head.title.clone(), head.tags.clone());
    }
    state.history.revision += 1;
    save(state, vec![op], effects);
}

fn tidy_tags(tags: Vec<String>) -> Vec<String> {
    let mut tidy: Vec<String> = Vec::new();
    for tag in tags.into_iter().map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()) {
        if !tidy.contains(&tag) {
            tidy.push(tag);
        }
    }
    tidy
}

fn delete(state: &mut AppState, ids: Vec<RunId>, now: Now, effects: &mut Vec<Effect>) {
    let ids: Vec<RunId> = ids.into_iter().filter(|id| state.history.head(*id).is_some()).collect();
    if ids.is_empty() {
        return;
    }
    let gone: std::collections::BTreeSet<RunId> = ids.iter().copied().collect();
    state.history.remove(&gone);
    let words = if let [_] = ids.as_slice() { "Deleted a run".to_owned() } else { format!("Deleted {} runs", ids.len()) };
    save(state, ids.iter().copied().map(Op::DeleteRun).collect(), effects);
    let undo = NoticeAction { label: "Undo".into(), action: Box::new(Action::UndoDeleteRuns(ids)) };
    state.notices.push(Severity::Info, words, Vec::new(), Some(undo), now.secs);
}

pub(super) fn on_imported(state: &mut AppState, name: &str, result: Result<Vec<Run>, String>, now: Now, effects: &mut Vec<Effect>) {
    match result {
        Ok(runs) => {
            let text = format!("{} read from {name}", counted(runs.len()));
            for run in runs {
                keep(state, run, effects);
            }
            state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
        }
        Err(why) => state.notices.push(Severity::Error, format!("Nothing was imported: {why}: {name}"), Vec::new(), None, now.secs),
    }
}

/// `1 run`, `12 runs`.
fn counted(n: usize) -> String {
    if n == 1 { "1 run".into() } else { format!("{n} runs") }
}

// ---------------------------------------------------------------------------------------------------------------------------------------

pub(super) fn saved(state: &AppState, id: DesignId) -> Option<&SavedDesign> {
    state.history.designs.iter().find(|saved| saved.id == id)
}

/// The design in force with the sampling in force.
pub(super) fn current(state: &AppState) -> Option<Design> {
    let design = state.design().or(state.settings.last_design.as_ref())?;
    Some(Design { sampler: state.settings.sampler.clone(), ..design.clone() })
}

fn put_design(state: &mut AppState, id: DesignId, name: &str, design: Design, now: Now, effects: &mut Vec<Effect>) {
    let name = name.trim();
    if !name.is_empty() {
        let saved = SavedDesign { id, name: name.to_owned(), design, created_ms: now.unix_ms };
        save(state, vec![Op::PutDesign(saved)], effects);
    }
}

/// Loads a design that comes from elsewhere: its model is looked for under its name where the library does not know its path, and its
/// sampling is taken over.
fn apply(state: &mut AppState, mut design: Design, now: Now, effects: &mut Vec<Effect>) {
    if let Some(path) = found(state, &design.model) {
        design.model = path;
    }
    state.settings.sampler = std::mem::take(&mut design.sampler);
    state.internal.settings_changed = Some(now.secs);
    load::begin_load(state, design, now, None, effects);
}

/// Where a model lies on this machine: at its path if the library knows that, else wherever the library knows a file of that name. A design
/// without a model is for the one that is loaded.
pub(super) fn found(state: &AppState, model: &Path) -> Option<std::path::PathBuf> {
    if model.as_os_str().is_empty() {
        return state.design().map(|design| design.model.clone());
    }
    let rungs = state.library.families.iter().flat_map(|family| &family.rungs);
    let paths: Vec<&std::path::PathBuf> = rungs
        .filter_map(|rung| match &rung.state {
            RungState::OnDisk { path, .. } => Some(path),
            _ => None,
        })
        .collect();
    let exact = paths.iter().find(|path| path.as_path() == model);
    exact.or_else(|| paths.iter().find(|path| path.file_name() == model.file_name())).map(|path| (*path).clone())
}

fn export_design(state: &AppState, id: Option<DesignId>, effects: &mut Vec<Effect>) {
    let (name, design) = match id {
        Some(id) => match saved(state, id) {
            Some(saved) => (saved.name.clone(), saved.design.clone()),
            None => return,
        },
        None => match current(state) {
            Some(design) => ("design".to_owned(), design),
            None => return,
        },
    };
    let file: String = name.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == ' ' { c } else { '_' }).take(60).collect();
    effects.push(Effect::SaveText { name: format!("{}.toml", file.trim()), text: design.to_text(DesignFormat::Toml) });
}

pub(super) fn on_design_read(state: &mut AppState, name: &str, result: Result<Design, String>, now: Now, effects: &mut Vec<Effect>) {
    match result {
        Ok(design) => {
            put_design(state, DesignId(0), name, design, now, effects);
            state.notices.push(Severity::Info, format!("The design “{name}” was imported"), Vec::new(), None, now.secs);
        }
        Err(why) => state.notices.push(Severity::Error, format!("This is not a design: {why}: {name}"), Vec::new(), None, now.secs),
    }
}
