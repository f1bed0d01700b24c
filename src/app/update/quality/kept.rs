//! What runs that are kept say of a ladder: it is read when the page is opened, so that what was measured once need not be again.

use super::{AppState, Effect};
use crate::app::Page;
use crate::app::quality::{LadderPoint, is_comparison};
use crate::protocol::Run;

/// Most runs that are read, the newest.
const MOST: usize = 200;

/// The list of runs is there: those of quality that were not read yet are.
pub(in crate::app::update) fn on_list(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.page != Page::Quality {
        return;
    }
    let asked = &mut state.internal.quality_asked;
    let new = state.history.runs.iter().filter(|head| is_comparison(head) && !asked.contains_key(&head.id));
    let ids: Vec<_> = new.take(MOST).map(|head| head.id).collect();
    asked.extend(ids.iter().map(|id| (*id, true)));
    if !ids.is_empty() {
        effects.push(Effect::ReadWholeRuns(ids));
    }
}

/// Takes what runs of quality say, and gives back those that somebody else asked for.
pub(in crate::app::update) fn take_kept(state: &mut AppState, runs: Vec<Run>) -> Vec<Run> {
    let mut others = Vec::new();
    for run in runs {
        let is_ours = state.internal.quality_asked.get_mut(&run.id).is_some_and(std::mem::take);
        if !is_ours {
            others.push(run);
            continue;
        }
        state.quality.kept.extend(LadderPoint::of_run(&run));
        if state.history.shown.contains(&run.id) {
            others.push(run);
        }
    }
    others
}
