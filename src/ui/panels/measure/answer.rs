//! The answer: the best design under the limits, in the largest type, with what it rests on.

use egui::Ui;

use super::judged::Shown;
use crate::app::{Action, AppState};
use crate::measure::board::{Board, Row};
use crate::measure::format;
use crate::protocol::{Design, Metric, RunTrust};
use crate::ui::theme;
use crate::ui::widgets::{Tone, card, ghost_button, label, muted, pill, primary_button, wrapped};

/// What was asked of the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AnswerOutput {
    /// Take all limits away
    pub(super) forget_limits: bool,
    /// Show this row
    pub(super) picked: Option<usize>,
}

/// Paints the card.
pub(super) fn answer(ui: &mut Ui, state: &AppState, shown: &Shown, actions: &mut Vec<Action>) -> AnswerOutput {
    let mut output = AnswerOutput::default();
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        let board = &shown.board;
        muted(ui, heading(board));
        match board.answer.as_ref().and_then(|answer| Some((answer.best, board.rows.get(answer.best)?))) {
            Some((index, row)) => best(ui, state, board, index, row, actions, &mut output),
            None => none(ui, board, &mut output),
        }
    });
    output
}

fn heading(board: &Board) -> String {
    let goal = board.question.goal.name();
    if board.question.limits.is_empty() {
        format!("Best {}, no limits", lower(goal))
    } else {
        format!("Best {} under your limits", lower(goal))
    }
}

fn best(ui: &mut Ui, state: &AppState, board: &Board, index: usize, row: &Row, actions: &mut Vec<Action>, output: &mut AnswerOutput) {
    let palette = theme::palette(ui);
    let name = label(ui, &row.label.rung, theme::display(), palette.text);
    name.on_hover_text(row.label.text());
    if !row.label.rest.is_empty() {
        wrapped(ui, &row.label.rest, theme::body_strong(), palette.text);
    }
    ui.add_space(2.0);
    for line in figures(row) {
        wrapped(ui, line, theme::body(), palette.muted);
    }
    if let Some(words) = board.against_current() {
        wrapped(ui, words, theme::body(), palette.text);
    }
    if row.trust != RunTrust::Trusted {
        let words = if row.reasons.is_empty() { "Too few repetitions to be sure".to_owned() } else { row.reasons.join(", ") };
        wrapped(ui, format!("Not sure: {words}"), theme::small(), palette.event);
    }
    ui.add_space(4.0);
    if board.current == Some(index) {
        pill(ui, "In use", Tone::Good);
    } else {
        use_button(ui, state, &row.design, actions);
    }
    for words in board.same_as_best().into_iter().take(4) {
        wrapped(ui, words, theme::small(), palette.muted);
    }
    if ui.add(ghost_button("Show it")).on_hover_text("Samples, difference to the design in use, limits of the machine").clicked() {
        output.picked = Some(index);
    }
}

/// The button that makes a design the one in use. The sampler stays: it is the chat's, not the measurement's.
pub(super) fn use_button(ui: &mut Ui, state: &AppState, design: &Design, actions: &mut Vec<Action>) {
    let ready = state.loading().is_none();
    let hint = "Loads the model with these settings, after checking that they fit in memory. The chat and the sampler stay";
    let response = ui.add_enabled(ready, primary_button("Use this design").fill_width()).on_hover_text(hint);
    if response.on_disabled_hover_text("A model is being loaded").clicked() {
        let sampler = state.design().or(state.settings.last_design.as_ref()).map(|design| design.sampler.clone()).unwrap_or_default();
        actions.push(Action::ApplyDesign(Box::new(Design { sampler, ..design.clone() })));
    }
}

/// The figures that matter, a few to a line.
fn figures(row: &Row) -> Vec<String> {
    let short = |metric: Metric| {
        let value = format::metric(metric, row.value(metric)?);
        Some(match metric {
            Metric::DecodeTps => value,
            Metric::PrefillTps => format!("{value} prefill"),
            Metric::SameTop => format!("same top {value}"),
            Metric::Kld => format!("KLD {value}"),
            Metric::PeakMemory => format!("{value} memory"),
            Metric::CostPerMillion => format!("costs {value}"),
            _ => format!("{} {value}", metric.name()),
        })
    };
    let line = |metrics: &[Metric]| {
        let words: Vec<String> = metrics.iter().filter_map(|metric| short(*metric)).collect();
        (!words.is_empty()).then(|| words.join(", "))
    };
    let speed = line(&[Metric::DecodeTps, Metric::PrefillTps]);
    let quality = line(&[Metric::Kld, Metric::SameTop]);
    let size = line(&[Metric::PeakMemory, Metric::TtftMs]);
    let cost = line(&[Metric::CostPerMillion]);
    let at = (row.depth > 0).then(|| format!("with {} tokens in the cache", format::count(u64::from(row.depth))));
    [speed, quality, size, cost, at].into_iter().flatten().collect()
}

fn none(ui: &mut Ui, board: &Board, output: &mut AnswerOutput) {
    let palette = theme::palette(ui);
    label(ui, "None yet", theme::display(), palette.text);
    if let Some(why) = board.why_no_best() {
        wrapped(ui, why, theme::body(), palette.muted);
    }
    if !board.question.limits.is_empty() && ui.add(ghost_button("Take the limits away")).clicked() {
        output.forget_limits = true;
    }
}

fn lower(name: &str) -> String {
    // an abbreviation stays as it is
    if name.chars().nth(1).is_some_and(char::is_uppercase) { name.to_owned() } else { name.to_lowercase().replace("kld", "KLD") }
}
