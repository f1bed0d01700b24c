//! The Measure page: which design is best here? The answer and the board it rests on, every design in a table, one in detail, and what
//! threads, batches and depth do.

mod answer;
mod charts;
mod judged;
mod limits;
mod plot;
mod selected;
mod table;

use egui::{Align, Layout, ScrollArea, Ui, vec2};

use crate::app::{Action, AppState};
use crate::measure::board::{Question, Row};
use crate::measure::format;
use crate::protocol::{Metric, Run};
use crate::ui::theme::PAGE_MARGIN;
use crate::ui::widgets::page_header;

use judged::{Judged, Shown};

/// Width of the answer and of the design in detail, points.
const SIDE: f32 = 264.0;
/// From this width on the answer stands beside the board, points.
const TWO_COLUMNS: f32 = 760.0;
const GAP: f32 = 12.0;

/// What is asked, typed, sorted and selected on the page.
#[derive(Default)]
pub struct MeasureView {
    question: Question,
    /// The side figure was chosen by hand and is left alone
    y_is_chosen: bool,
    /// The design in detail, by its key
    selected: Option<u64>,
    judged: Judged,
    limits: limits::LimitsView,
    table: table::TableView,
}

/// What the page shows: runs, and a number that changes with them.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The runs
    pub runs: &'a [Run],
    /// Counts their changes
    pub revision: u64,
}

/// Paints the page.
pub fn measure_page(ui: &mut Ui, state: &AppState, measured: Measured<'_>, view: &mut MeasureView, actions: &mut Vec<Action>) {
    view.follow(state, measured);
    ScrollArea::vertical().id_salt("measure").auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(egui::Margin::same(PAGE_MARGIN as i8)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = GAP;
            page_header(ui, "Which design is best here?", &sentence(measured.runs, view.judged.shown()), |_ui| {});
            board(ui, state, view, actions);
        });
    });
}

impl MeasureView {
    fn follow(&mut self, state: &AppState, measured: Measured<'_>) {
        self.judged.follow(measured.runs, measured.revision, &self.question, state.design());
        if self.y_is_chosen {
            return;
        }
        // quality where it is known, else memory
        let Some(shown) = self.judged.shown() else { return };
        let scored = shown.board.rows.iter().filter(|row| row.value(Metric::Kld).is_some()).count();
        let y = if scored >= 2 { Metric::Kld } else { Metric::PeakMemory };
        if y != self.question.y {
            self.question.y = y;
            self.judged.follow(measured.runs, measured.revision, &self.question, state.design());
        }
    }
}

/// `10 designs measured in 3 min 41 s, 5 repetitions`.
fn sentence(runs: &[Run], shown: Option<&Shown>) -> String {
    let is_measured = |row: &&Row| row.runs.iter().filter_map(|run| runs.get(*run)).any(|run| !run.samples.is_empty());
    let designs = shown.map_or(0, |shown| shown.board.rows.iter().filter(is_measured).count());
    let s = if designs == 1 { "" } else { "s" };
    let seconds: f64 = runs.iter().map(|run| run.seconds).sum();
    let repetitions = runs.iter().filter(|run| run.failure.is_none()).flat_map(|run| run.samples.values()).map(Vec::len).max().unwrap_or(0);
    let times = if repetitions == 1 { "once".to_owned() } else { format!("{repetitions} repetitions") };
    format!("{designs} design{s} measured in {}, {times}, the order shuffled in blocks", format::seconds(seconds))
}

fn board(ui: &mut Ui, state: &AppState, view: &mut MeasureView, actions: &mut Vec<Action>) {
    let MeasureView { question, y_is_chosen, selected, judged, limits, table } = view;
    let Some(shown) = judged.shown() else { return };
    let before = question.y;
    limits::limits(ui, Some(&shown.board), question, limits);
    let width = ui.available_width();
    let row = selected.and_then(|key| shown.board.row_of(key));
    let height = (ui.clip_rect().height() * 0.4).clamp(250.0, 350.0).round();
    let mut picked = None;
    if width >= TWO_COLUMNS {
        let left = width - SIDE - GAP;
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.x = GAP;
            ui.horizontal_top(|ui| {
                column(ui, left, |ui| {
                    picked = picked.or(plot::plot(ui, shown, question, row, height));
                    picked = picked.or(table::table(ui, shown, table, row));
                    charts::charts(ui, shown);
                });
                column(ui, SIDE, |ui| {
                    picked = picked.or(side(ui, state, shown, question, actions));
                    detail(ui, state, shown, row, selected, actions);
                });
            });
        });
    } else {
        picked = picked.or(side(ui, state, shown, question, actions));
        picked = picked.or(plot::plot(ui, shown, question, row, height));
        detail(ui, state, shown, row, selected, actions);
        picked = picked.or(table::table(ui, shown, table, row));
        charts::charts(ui, shown);
    }
    if let Some(row) = picked.and_then(|row| shown.board.rows.get(row)) {
        *selected = Some(row.key);
    }
    *y_is_chosen |= question.y != before;
}

fn column(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
        ui.set_width(width);
        ui.spacing_mut().item_spacing = vec2(8.0, GAP);
        add(ui);
    });
}

fn side(ui: &mut Ui, state: &AppState, shown: &Shown, question: &mut Question, actions: &mut Vec<Action>) -> Option<usize> {
    let output = answer::answer(ui, state, shown, actions);
    if output.forget_limits {
        question.limits.clear();
    }
    output.picked
}

fn detail(ui: &mut Ui, state: &AppState, shown: &Shown, row: Option<usize>, selected: &mut Option<u64>, actions: &mut Vec<Action>) {
    if let Some(row) = row
        && selected::selected(ui, state, &shown.board, row, actions)
    {
        *selected = None;
    }
}
