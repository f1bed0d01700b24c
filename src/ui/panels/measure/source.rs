//! What the board shows: the picker, and what is picked in a sentence.

use egui::{ComboBox, Ui};

use super::judged::Shown;
use crate::app::{Action, AppState, BoardOf, BoardRuns, KeptSweep, model_key};
use crate::measure::board::Row;
use crate::measure::format;
use crate::protocol::Run;
use crate::ui::parts::when;
use crate::ui::theme;
use crate::ui::widgets::{Icon, hairline, menu_row, muted, paint_icon, wrapped};

const WIDTH: f32 = 232.0;
const MENU_WIDTH: f32 = 340.0;
const MENU_HEIGHT: f32 = 380.0;
/// Sweeps and models that are offered; older ones are on the Runs page.
const MOST: usize = 30;
/// From this width on the sentence stands beside the picker, points.
const BESIDE: f32 = 620.0;

/// Paints both, where there is something to pick or to say.
pub(super) fn source(ui: &mut Ui, state: &AppState, shown: Option<&Shown>, actions: &mut Vec<Action>) {
    let board = &state.measure.board;
    let has_session = state.measure.result.is_some() || state.measure.is_running();
    if board.models.is_empty() && !has_session {
        return;
    }
    let words = if board.runs.is_empty() { String::new() } else { sentence(board, shown) };
    let color = theme::palette(ui).muted;
    let both = |ui: &mut Ui| {
        picker(ui, state, has_session, actions);
        if !words.is_empty() {
            wrapped(ui, words, theme::small(), color);
        }
    };
    if ui.available_width() < BESIDE {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 6.0;
            both(ui);
        });
    } else {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 12.0;
            both(ui);
        });
    }
}

fn picker(ui: &mut Ui, state: &AppState, has_session: bool, actions: &mut Vec<Action>) {
    let board = &state.measure.board;
    let now = match &board.of {
        BoardOf::Session => "This sweep".to_owned(),
        BoardOf::Kept(group) => board.kept().map_or_else(|| group.clone(), name),
        BoardOf::Model(model) => format!("All kept of {model}"),
    };
    let combo = ComboBox::from_id_salt("board of").width(WIDTH).height(MENU_HEIGHT).truncate().selected_text(&now);
    let combo =
        combo.icon(|ui, rect, visuals, _open| paint_icon(ui.painter(), Icon::ChevronDown, rect.expand(1.0), visuals.fg_stroke.color));
    let response = combo.show_ui(ui, |ui| {
        ui.set_min_width(MENU_WIDTH);
        ui.set_max_width(MENU_WIDTH);
        ui.spacing_mut().item_spacing.y = 2.0;
        if let Some(of) = menu(ui, state, has_session) {
            actions.push(Action::ShowBoard(of));
            ui.close();
        }
    });
    response.response.accessible_name("Runs on the board").on_hover_text(now);
}

/// What was picked.
fn menu(ui: &mut Ui, state: &AppState, has_session: bool) -> Option<BoardOf> {
    let board = &state.measure.board;
    let mut picked = None;
    let mut offer = |ui: &mut Ui, name: &str, note: &str, of: BoardOf| {
        if menu_row(ui, name, note, of == board.of).clicked() {
            picked = Some(of);
        }
    };
    let own = state.measure.sweep().map(|sweep| sweep.plan().name.as_str());
    if has_session {
        let note = if state.measure.is_running() { "It runs" } else { "The last of this session" };
        offer(ui, "This sweep", note, BoardOf::Session);
    }
    let keys = state.model_keys();
    // without a model in force there is none to prefer
    let is_own = |model: &str| keys.is_empty() || keys.contains(&model_key(model));
    let earlier: Vec<&KeptSweep> = board.sweeps.iter().filter(|sweep| is_own(&sweep.model) && Some(sweep.group.as_str()) != own).collect();
    if !earlier.is_empty() {
        head(ui, "Earlier sweeps", has_session);
    }
    let now_ms = when::now_ms();
    for sweep in earlier.iter().take(MOST) {
        offer(ui, &name(sweep), &note(sweep, keys.is_empty(), now_ms), BoardOf::Kept(sweep.group.clone()));
    }
    if earlier.len() > MOST {
        muted(ui, format!("{} older ones are on the Runs page", earlier.len() - MOST));
    }
    let (here, others): (Vec<_>, Vec<_>) = board.models.iter().take(MOST).partition(|known| is_own(&known.model));
    for (words, models) in [("Everything kept", here), ("Other models", others)] {
        if !models.is_empty() {
            head(ui, words, true);
        }
        for known in models {
            offer(ui, &format!("All kept of {}", known.model), &counted(known.runs, "run"), BoardOf::Model(known.model.clone()));
        }
    }
    picked
}

fn head(ui: &mut Ui, words: &str, is_below: bool) {
    ui.add_space(2.0);
    if is_below {
        hairline(ui);
        ui.add_space(2.0);
    }
    muted(ui, words);
}

/// `Sweep of 25 Nov 22:14`; a sweep that was given a name has that.
fn name(sweep: &KeptSweep) -> String {
    let is_numbered = sweep.group.strip_prefix("sweep-").is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()));
    if !is_numbered {
        return sweep.group.clone();
    }
    let (today, offset_ms) = when::today();
    let is_today = sweep.started_ms.saturating_add(offset_ms).div_euclid(when::DAY_MS) >= today;
    format!("Sweep of {}{}", if is_today { "today " } else { "" }, when::when(sweep.started_ms, today, offset_ms))
}

/// `3 h ago: 6 designs, F16, Q5_K_M, Q2_K and 2 more`.
fn note(sweep: &KeptSweep, with_model: bool, now_ms: i64) -> String {
    let named: Vec<&str> = sweep.rungs.iter().take(3).map(String::as_str).collect();
    let more = sweep.rungs.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let model = if with_model { format!(" of {}", sweep.model) } else { String::new() };
    let ago = when::ago(sweep.started_ms, now_ms);
    format!("{ago}: {}{model}, {}{more}", counted(sweep.designs, "design"), named.join(", "))
}

/// `1 run`, `1,200 runs`.
fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", format::count(n as u64), if n == 1 { "" } else { "s" })
}

/// `10 designs measured in 3 min 41 s, 8 repetitions each, the order shuffled in blocks`.
fn sentence(board: &BoardRuns, shown: Option<&Shown>) -> String {
    let runs = &board.runs;
    let is_measured = |row: &&Row| row.runs.iter().filter_map(|run| runs.get(*run)).any(|run| !run.samples.is_empty());
    let designs = counted(shown.map_or(0, |shown| shown.board.rows.iter().filter(is_measured).count()), "design");
    let mut words = if matches!(board.of, BoardOf::Model(_)) {
        let since = runs.iter().map(|run| run.started_ms).filter(|ms| *ms > 0).min();
        let (today, offset_ms) = when::today();
        let since = since.map_or_else(String::new, |ms| format!(" since {}", when::when(ms, today, offset_ms)));
        let runs = counted(runs.len(), "run");
        format!("{designs} in {runs}{since}: the newest figures of each, and only what was measured side by side is compared")
    } else {
        let seconds: f64 = runs.iter().map(|run| run.seconds).sum();
        format!("{designs} measured in {}{}", format::seconds(seconds), how(runs))
    };
    if board.left_out > 0 {
        words.push_str(&format!(". {} older are left out", counted(board.left_out, "run")));
    }
    if board.unread > 0 {
        words.push_str(&format!(". {} could not be read", counted(board.unread, "run")));
    }
    words
}

/// How often each was measured, and in which order.
fn how(runs: &[Run]) -> String {
    let measured: Vec<&Run> = runs.iter().filter(|run| run.failure.is_none() && !run.samples.is_empty()).collect();
    let repetitions = |run: &&Run| run.samples.values().map(Vec::len).max().unwrap_or(0);
    let most = measured.iter().map(repetitions).max().unwrap_or(0);
    let times = match most {
        0 => return String::new(),
        1 => "once".to_owned(),
        n if measured.iter().all(|run| repetitions(run) == n) => format!("{n} repetitions each"),
        n => format!("up to {n} repetitions each"),
    };
    let is_shuffled = most > 1 && measured.len() > 1 && measured.iter().all(|run| !run.blocks.is_empty());
    format!(", {times}{}", if is_shuffled { ", the order shuffled in blocks" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_named_by_its_day_or_by_its_user() {
        let sweep = KeptSweep {
            group: "sweep-1700000000".into(),
            rungs: ["F16", "Q8_0", "Q4_1", "Q2_K"].map(str::to_owned).into(),
            designs: 8,
            started_ms: 1_700_000_000_000,
            ..KeptSweep::default()
        };
        assert!(name(&sweep).starts_with("Sweep of ") && name(&sweep).ends_with("2023"), "{}", name(&sweep));
        assert!(name(&KeptSweep { started_ms: when::now_ms(), ..sweep.clone() }).starts_with("Sweep of today "));
        assert_eq!(name(&KeptSweep { group: "before the update".into(), ..sweep.clone() }), "before the update");
        let later = sweep.started_ms + 3 * 3_600_000;
        assert_eq!(note(&sweep, false, later), "3 h ago: 8 designs, F16, Q8_0, Q4_1 and 1 more");
    }
}
