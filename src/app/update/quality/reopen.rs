//! A comparison that was kept is shown again.

use super::{AppState, Effect, Now};
use crate::app::{Page, Severity};
use crate::protocol::{Run, RunId};

/// Asks for the runs of a comparison; the candidate of the run `at` is to be shown.
pub(super) fn open(state: &mut AppState, runs: Vec<RunId>, at: Option<RunId>, now: Now, effects: &mut Vec<Effect>) {
    if state.quality.is_running() {
        return state.notices.push(Severity::Warn, "A comparison is running: stop it first", Vec::new(), None, now.secs);
    }
    if runs.is_empty() {
        return;
    }
    state.quality.opening.clone_from(&runs);
    state.quality.opening_at = at;
    super::super::navigate(state, Page::Quality, now, effects);
    effects.push(Effect::ReadTokens(runs));
}

/// They were read.
pub(in crate::app::update) fn on_tokens(state: &mut AppState, runs: &[Run], now: Now) {
    let wanted = std::mem::take(&mut state.quality.opening);
    let is_asked = runs.iter().all(|run| wanted.contains(&run.id));
    if wanted.is_empty() || !is_asked || state.quality.is_running() {
        return;
    }
    match state.quality_from_runs(runs) {
        Some(comparison) => {
            state.quality.selected = None;
            let at = state.quality.opening_at.take();
            let shown = at.and_then(|at| comparison.candidates.iter().position(|candidate| candidate.run == Some(at)));
            state.quality.shown = shown.unwrap_or(0);
            state.quality.from_level = state.quality.from_level.max(1);
            state.quality.comparison = Some(Box::new(comparison));
        }
        None => {
            let why = "The comparison cannot be shown: its runs are gone, or say nothing of quality";
            state.notices.push(Severity::Warn, why, Vec::new(), None, now.secs);
        }
    }
}
