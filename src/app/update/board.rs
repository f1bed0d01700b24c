//! Which runs the board shows, and reading those that are only on the disk.

use std::collections::BTreeSet;

use super::{AppState, Effect, Page};
use crate::app::board::{Reading, Seen, is_quality, is_speed, model_key};
use crate::app::{Activity, BoardOf};
use crate::protocol::{Run, RunId, Workload};
use crate::store::RunHead;

/// Most runs that are read whole; of more, the newest.
const MOST: usize = 500;
/// Most quality results that are read beside the runs of one sweep.
const MOST_SCORED: usize = 64;
/// Runs that are read in one go, so that a reply that is streaming meanwhile gets to the disk in between.
const AT_ONCE: usize = 100;

/// A person chose what to look at.
pub(super) fn show(state: &mut AppState, of: BoardOf, effects: &mut Vec<Effect>) {
    state.measure.board.of = of;
    state.measure.board.is_chosen = true;
    state.measure.board.seen = None;
    follow(state, effects);
}

/// The sweep that begins now is what is looked at.
pub(super) fn show_session(state: &mut AppState) {
    state.measure.board.of = BoardOf::Session;
    state.measure.board.is_chosen = false;
    state.measure.board.seen = None;
}

/// Keeps the board at what was measured, kept and deleted, while the page is shown. Cheap when nothing has changed.
pub(super) fn follow(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.page != Page::Measure {
        return;
    }
    let seen = Seen {
        history: state.history.revision,
        session: state.measure.revision,
        is_running: state.measure.is_running(),
        model: state.design().map(|design| design.model.clone()),
        loaded: state.loaded.as_ref().map(|report| report.design.model.clone()),
        families: state.library.families.len(),
        was_scanned: state.library.was_scanned,
    };
    let before = state.measure.board.seen.as_ref();
    if before == Some(&seen) {
        return;
    }
    if before.is_none_or(|before| before.history != seen.history) {
        state.measure.board.offer(&state.history.runs);
    }
    state.measure.board.seen = Some(seen);
    let of = choose(state);
    if of != state.measure.board.of {
        state.measure.board.of = of;
        state.measure.board.is_chosen = false;
    }
    gather(state, effects);
}

/// What was chosen while it is there, else what the page opens on: the sweep of this session, the latest that is kept of the model in
/// force, everything that is kept of it.
fn choose(state: &AppState) -> BoardOf {
    let board = &state.measure.board;
    let is_there = match &board.of {
        BoardOf::Session => true,
        BoardOf::Kept(group) => board.sweeps.iter().any(|sweep| sweep.group == *group),
        BoardOf::Model(model) => board.models.iter().any(|known| model_key(&known.model) == model_key(model)),
    };
    if board.is_chosen && is_there {
        return board.of.clone();
    }
    if state.measure.is_running() || state.measure.result.as_ref().is_some_and(|result| !result.runs.is_empty()) {
        return BoardOf::Session;
    }
    let keys = state.model_keys();
    // without a model, and none on its way, the latest of any
    let is_idle = keys.is_empty() && state.library.was_scanned && matches!(state.activity, Activity::None);
    let is_of = |model: &str| is_idle || keys.contains(&model_key(model));
    let sweep = board.sweeps.iter().find(|sweep| is_of(&sweep.model)).map(|sweep| BoardOf::Kept(sweep.group.clone()));
    let all = || board.models.iter().find(|known| is_of(&known.model)).map(|known| BoardOf::Model(known.model.clone()));
    sweep.or_else(all).unwrap_or_default()
}

/// Takes the runs together that are shown, and asks for those that are not in memory.
fn gather(state: &mut AppState, effects: &mut Vec<Effect>) {
    if state.measure.board.of == BoardOf::Session {
        let runs = session(state);
        let board = &mut state.measure.board;
        (board.runs, board.left_out, board.unread, board.reading) = (runs, 0, 0, None);
        board.runs_of = BoardOf::Session;
        board.whole.clear();
        board.lost.clear();
        board.revision += 1;
        return;
    }
    let (wanted, left_out) = wanted(state);
    let changed = |run: &Run| {
        let head = state.history.head(run.id);
        // a sweep that went on replaced it
        head.is_none_or(|head| (head.started_ms, head.seconds) != (run.started_ms, run.seconds))
    };
    let stale: BTreeSet<RunId> = state.measure.board.whole.iter().filter(|run| changed(run)).map(|run| run.id).collect();
    let board = &mut state.measure.board;
    board.left_out = left_out;
    board.whole.retain(|run| wanted.contains(&run.id) && !stale.contains(&run.id));
    board.lost.retain(|id| wanted.contains(id));
    board.unread = board.lost.len();
    let there: BTreeSet<RunId> = board.whole.iter().map(|run| run.id).collect();
    let missing: Vec<RunId> = wanted.iter().filter(|id| !there.contains(*id) && !board.lost.contains(*id)).copied().collect();
    if board.reading.as_ref().is_some_and(|reading| reading.asked == missing) {
        return;
    }
    board.reading = None;
    // half of what was asked for would name a best that is none
    let is_whole = missing.is_empty() || board.runs_of == board.of;
    let runs = if is_whole { shown(&board.whole, &board.of) } else { Vec::new() };
    let is_same = stale.is_empty() && runs.iter().map(|run| run.id).eq(board.runs.iter().map(|run| run.id));
    if is_whole {
        board.runs_of.clone_from(&board.of);
    }
    if !is_same {
        board.runs = runs;
        board.revision += 1;
    }
    if missing.is_empty() {
        return;
    }
    let seq = state.seq();
    let chunks: Vec<Effect> = missing.chunks(AT_ONCE).map(|ids| Effect::ReadBoard(seq, ids.to_vec())).collect();
    state.measure.board.reading = Some(Reading { seq, asked: missing, come: Vec::new(), left: chunks.len() });
    effects.extend(chunks);
}

/// The runs of this session's sweep but those that were deleted since.
fn session(state: &AppState) -> Vec<Run> {
    let runs = state.measure.result.as_ref().map_or(&[][..], |result| result.runs.as_slice());
    let is_deleted = |run: &Run| run.id != RunId::default() && state.history.is_loaded && state.history.head(run.id).is_none();
    runs.iter().filter(|run| !is_deleted(run)).cloned().collect()
}

/// Which runs are shown, and how many more there are.
fn wanted(state: &AppState) -> (BTreeSet<RunId>, usize) {
    let heads = &state.history.runs;
    let ids = |wanted: &dyn Fn(&RunHead) -> bool, most: usize| -> BTreeSet<RunId> {
        heads.iter().filter(|head| wanted(head)).take(most).map(|head| head.id).collect()
    };
    match &state.measure.board.of {
        BoardOf::Session => (BTreeSet::new(), 0),
        BoardOf::Kept(group) => {
            let of_sweep = |head: &RunHead| head.group == *group && is_speed(head);
            let all = heads.iter().filter(|head| of_sweep(head)).count();
            let mut wanted = ids(&of_sweep, MOST);
            let left_out = all - wanted.len();
            // what its levels were scored with is shown beside their speed
            if let Some(sweep) = state.measure.board.kept() {
                let key = model_key(&sweep.model);
                let of_it = |head: &RunHead| is_quality(head) && sweep.rungs.contains(&head.quant) && model_key(&head.model) == key;
                wanted.extend(ids(&of_it, MOST_SCORED));
            }
            (wanted, left_out)
        }
        BoardOf::Model(model) => {
            let key = model_key(model);
            let of_it = |head: &RunHead| (is_speed(head) || is_quality(head)) && model_key(&head.model) == key;
            let all = heads.iter().filter(|head| of_it(head)).count();
            let wanted = ids(&of_it, MOST);
            (wanted.clone(), all - wanted.len())
        }
    }
}

/// Of what was read, what can stand on one board: quality of one text against one reference, and for a sweep only that of its designs.
fn shown(whole: &[Run], of: &BoardOf) -> Vec<Run> {
    let is_scored = |run: &&Run| matches!(run.workload, Workload::Quality { .. });
    let newest = whole.iter().filter(is_scored).max_by_key(|run| run.id);
    let says = |run: &Run| (run.design.model.clone(), run.design.type_k, run.design.type_v);
    let is_of_sweep = |run: &Run| {
        let own = says(run);
        !matches!(of, BoardOf::Kept(_)) || whole.iter().any(|other| !is_scored(&other) && says(other) == own)
    };
    let fits = |run: &&Run| !is_scored(run) || (newest.is_some_and(|newest| newest.workload.is_same(&run.workload)) && is_of_sweep(run));
    let mut runs: Vec<Run> = whole.iter().filter(fits).cloned().collect();
    runs.sort_by_key(|run| run.id);
    runs
}

/// Runs were read.
pub(super) fn on_read(state: &mut AppState, seq: u64, runs: Vec<Run>, effects: &mut Vec<Effect>) {
    let board = &mut state.measure.board;
    let Some(reading) = board.reading.as_mut().filter(|reading| reading.seq == seq) else { return };
    reading.come.extend(runs);
    reading.left = reading.left.saturating_sub(1);
    if reading.left > 0 {
        return;
    }
    let Some(reading) = board.reading.take() else { return };
    let come: BTreeSet<RunId> = reading.come.iter().map(|run| run.id).collect();
    board.lost.extend(reading.asked.into_iter().filter(|id| !come.contains(id)));
    board.whole.extend(reading.come);
    board.seen = None;
    follow(state, effects);
}
