//! The only mutator of [`AppState`].

mod answers;
mod board;
mod chat;
mod compare;
mod engine;
mod generate;
mod history;
mod load;
mod making;
mod measure;
mod meter;
mod models;
mod predict;
mod quality;
mod repeat;
mod reply;
mod settings;
#[cfg(test)]
mod tests;
mod tokens;

pub use compare::why_not as compare_why_not;

use super::{Action, Activity, Answer, AppState, Dialog, Effect, Now, Page};
use crate::protocol::{Command, Event};

/// A person asked for something.
pub fn on_action(state: &mut AppState, action: Action, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    match action {
        Action::Navigate(page) => navigate(state, page, now, &mut effects),
        Action::CloseDialog => show_dialog(state, Dialog::None, now, &mut effects),
        Action::ToggleShortcuts => {
            let dialog = if state.dialog == Dialog::Shortcuts { Dialog::None } else { Dialog::Shortcuts };
            show_dialog(state, dialog, now, &mut effects);
        }
        Action::DismissNotice(id) => state.notices.dismiss(id),
        Action::Copy(text) => effects.push(Effect::Copy(text)),
        Action::SaveText(name, text) => effects.push(Effect::SaveText { name, text }),
        Action::Quit => effects.push(Effect::Quit),
        Action::Stop => stop(state, now, &mut effects),
        Action::Recover => load::recover(state, now, &mut effects),
        Action::DismissCrash => state.crash = None,

        Action::PickModel => effects.push(Effect::PickModel),
        Action::OpenModel(path) => models::open(state, path, now, &mut effects),
        Action::SelectRung(quant) => models::select_rung(state, &quant, now, &mut effects),
        Action::LoadAnyway => load::load_anyway(state, now, &mut effects),
        Action::LoadNearestFit => load::load_nearest(state, now, &mut effects),
        Action::PredictDesign(design) => predict::predict(state, *design, &mut effects),
        Action::ApplyDesign(design) => load::begin_load(state, *design, now, None, &mut effects),
        Action::Unload(model) => models::unload(state, model, &mut effects),
        Action::Rescan => models::rescan(state, &mut effects),
        Action::ProbeBandwidth => models::probe(state, &mut effects),
        Action::SetSweepDraft(draft) => measure::set_draft(state, *draft),
        Action::SetLimits(limits) => measure::set_limits(state, limits),
        Action::StartSweep => measure::start(state, now, &mut effects),
        Action::StopSweep => measure::stop(state, now, &mut effects),
        Action::ResumeSweep(name) => measure::resume(state, name, now, &mut effects),
        Action::ForgetSweep(name) => measure::forget(state, &name, &mut effects),
        Action::ShowBoard(of) => board::show(state, of, &mut effects),
        Action::OfferMake(family, quant) => making::offer_make(state, &family, &quant),
        Action::ConfirmMake => making::confirm_make(state, now, &mut effects),
        Action::CancelMake => making::cancel_make(state, &mut effects),

        Action::Quality(action) => quality::on_action(state, action, now, &mut effects),

        Action::NewChat
        | Action::NewNotebook
        | Action::OpenChat(_)
        | Action::RenameChat(..)
        | Action::DeleteChat(_)
        | Action::UndoDelete(_)
        | Action::SearchChats(_)
        | Action::SetSystem(_)
        | Action::SetDraft(_)
        | Action::ShowBranch(_)
        | Action::BranchToNewChat(_)
        | Action::ExportChat => chat::on_action(state, action, now, &mut effects),

        Action::Compare(action) => compare::on_action(state, *action, now, &mut effects),
        Action::Send => generate::send(state, now, &mut effects),
        Action::Regenerate(message) => generate::regenerate(state, message, now, &mut effects),
        Action::EditAndRun(message, text) => generate::edit_and_run(state, message, text, now, &mut effects),
        Action::Continue(message) => generate::continue_reply(state, message, now, &mut effects),
        Action::ShowProbabilities(message) => tokens::show(state, message, now, &mut effects),
        Action::BranchAt(message, at, alternative) => tokens::branch_at(state, message, at, &alternative, now, &mut effects),
        Action::ShowPrompt => meter::show_prompt(state, &mut effects),
        Action::ShowPromptOf(message) => meter::show_prompt_of(state, message, &mut effects),
        Action::ResolveOverflow(policy) => generate::resolve_overflow(state, policy, now, &mut effects),

        Action::RepeatRun(run) => repeat::repeat(state, run, now, &mut effects),
        Action::StopMeasuring => repeat::stop(state, &mut effects),
        Action::StartCanary(from, to) => repeat::canary(state, from, to, now, &mut effects),
        Action::ShowRuns(_)
        | Action::NameRun(..)
        | Action::TagRun(..)
        | Action::DeleteRuns(_)
        | Action::UndoDeleteRuns(_)
        | Action::ExportRuns(..)
        | Action::ImportRuns
        | Action::UseRunDesign(_)
        | Action::SaveDesign(_)
        | Action::UseDesign(_)
        | Action::RenameDesign(..)
        | Action::DuplicateDesign(_)
        | Action::DeleteDesign(_)
        | Action::UndoDeleteDesign(_)
        | Action::ExportDesign(_)
        | Action::ImportDesign => history::on_action(state, action, now, &mut effects),

        Action::ToggleTelemetry
        | Action::PausePlots(_)
        | Action::SetPlotWindow(_)
        | Action::ExportPlotsCsv(_)
        | Action::ExportPlotsPng(_)
        | Action::SetKeepWarm(_)
        | Action::SetOverflow(_)
        | Action::SetSampler(_)
        | Action::SetMaxTokens(_)
        | Action::SetPrice(_)
        | Action::SetStopTexts(_)
        | Action::SetTheme(_)
        | Action::SetZoom(_)
        | Action::PickFolder
        | Action::AddFolder(_)
        | Action::RemoveFolder(_)
        | Action::SetAutoload(_)
        | Action::WindowMoved(_) => settings::on_action(state, action, now, &mut effects),
    }
    effects
}

/// The engine said something.
pub fn on_event(state: &mut AppState, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    engine::on_event(state, event, now, &mut effects);
    effects
}

/// The engine that makes rungs said something.
pub fn on_maker_event(state: &mut AppState, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    making::on_maker_event(state, event, now, &mut effects);
    effects
}

/// The engine that measures said something.
pub fn on_measurer_event(state: &mut AppState, event: &Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.measuring.is_some() {
        repeat::on_event(state, event, now, &mut effects);
    } else {
        measure::on_event(state, event, now, &mut effects);
    }
    effects
}

/// The engine that measures quality said something.
pub fn on_quality_event(state: &mut AppState, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    quality::on_event(state, event, now, &mut effects);
    effects
}

/// An engine of the Compare page said something.
pub fn on_lane_event(state: &mut AppState, engine: usize, event: Event, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    compare::on_event(state, engine, event, now, &mut effects);
    effects
}

/// The runtime answered.
pub fn on_answer(state: &mut AppState, answer: Answer, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    answers::on_answer(state, answer, now, &mut effects);
    effects
}

/// What to do at the start: read the folders, open the chat of last time, load what was asked for or what was loaded last.
pub fn on_start(state: &mut AppState, model: Option<std::path::PathBuf>, now: Now) -> Vec<Effect> {
    let mut effects = Vec::new();
    models::rescan(state, &mut effects);
    effects.push(Effect::ReadDesigns);
    effects.push(Effect::FindSweeps);
    chat::open_last(state, now, &mut effects);
    if shows_runs(state.page) {
        effects.push(Effect::ReadRuns);
    }
    match model {
        Some(path) => models::open(state, path, now, &mut effects),
        None => models::autoload(state, now, &mut effects),
    }
    effects
}

/// Time passes: debounced saves and counts. Cheap; called once a frame. Says how many seconds until it wants to be called again.
pub fn tick(state: &mut AppState, now: Now) -> (Vec<Effect>, Option<f64>) {
    let mut effects = Vec::new();
    let mut next: Option<f64> = None;
    let mut want = |at: f64| next = Some(next.map_or(at - now.secs, |soonest: f64| soonest.min(at - now.secs)));
    if state.page == Page::Compare {
        // the page may be that of last time, shown before the library was read
        compare::on_shown(state);
    }
    if let Some(at) = state.notices.tick(now.secs) {
        want(at);
    }
    if let Some(changed) = state.internal.draft_changed {
        if now.secs - changed >= 0.3 {
            state.internal.draft_changed = None;
            chat::save_draft(state, &mut effects);
        } else {
            want(changed + 0.3);
        }
    }
    if let Some(changed) = state.internal.settings_changed {
        if now.secs - changed >= 0.5 {
            state.internal.settings_changed = None;
            models::keep_to_budget(state, &mut effects);
            effects.push(Effect::SaveSettings(Box::new(state.settings.clone())));
        } else {
            want(changed + 0.5);
        }
    }
    if let Some(at) = measure::tick(state, now, &mut effects) {
        want(at);
    }
    board::follow(state, &mut effects);
    if state.internal.draft_changed.is_none() {
        meter::count(state, &mut effects);
    }
    (effects, next)
}

/// Everything that must be safe before the application ends.
pub fn on_exit(state: &mut AppState) -> Vec<Effect> {
    let mut effects = Vec::new();
    chat::save_draft(state, &mut effects);
    state.settings.start_succeeded();
    effects.push(Effect::SaveSettings(Box::new(state.settings.clone())));
    effects
}

/// Whether a page shows what runs say.
fn shows_runs(page: Page) -> bool {
    matches!(page, Page::Runs | Page::Quality | Page::Measure)
}

fn navigate(state: &mut AppState, page: Page, now: Now, effects: &mut Vec<Effect>) {
    // other processes add to the list
    if shows_runs(page) && (page != Page::Measure || !state.history.is_loaded) {
        effects.push(Effect::ReadRuns);
    }
    state.page = page;
    if page == Page::Compare {
        compare::on_shown(state);
    }
    state.settings.last_page = page.name().to_owned();
    state.internal.settings_changed = Some(now.secs);
}

/// Shows another dialog, or none: what the one before it asked is answered with no.
fn show_dialog(state: &mut AppState, dialog: Dialog, now: Now, effects: &mut Vec<Effect>) {
    state.dialog = dialog;
    load::forget_unfit(state, now, effects);
}

/// One Stop for everything: the reply first, then the load, then what is measured again, then the rung that is being made, then the comparison.
fn stop(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    state.internal.send_when_ready = None;
    let was_coming = state.internal.inspecting.take().or(state.internal.queued_load.take()).is_some();
    match &mut state.activity {
        Activity::Generating(generating) => {
            generating.stopping.get_or_insert(now.secs);
            effects.push(Effect::Send(Command::Cancel { job: generating.job }));
            // what the engine knows of already is waited for: it may have begun
            generating.then_load = generating.then_load.take().filter(|wanted| wanted.asked.is_some());
            if let Some(wanted) = &mut generating.then_load {
                wanted.stopped = true;
                effects.extend(wanted.asked.map(|job| Effect::Send(Command::Cancel { job })));
            }
        }
        Activity::Loading(loading) => {
            loading.stopping = true;
            loading.then_continue = None;
            effects.push(Effect::Send(Command::Cancel { job: loading.job }));
            generate::take_back_ahead(state, effects);
        }
        Activity::None if was_coming => {}
        Activity::None if state.measuring.is_some() => repeat::stop(state, effects),
        Activity::None if state.making.is_some() => making::cancel_make(state, effects),
        Activity::None => quality::stop(state, effects),
    }
}
