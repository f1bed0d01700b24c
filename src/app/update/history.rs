//! Runs and saved designs: what is kept, and what is looked at.

use super::{AppState, Effect};
use crate::protocol::Run;
use crate::store::RunHead;

/// Keeps a run that is new. It is in the list once it is on the disk; until then the number returned is all there is of it, and
/// `Answer::RunKept` or `Answer::Unsaved` comes with it.
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
