//! The Measure page: which design is best here? The answer and the board it rests on, every design in a table, one in detail, what threads,
//! batches and depth do, and what to measure next.

mod answer;
mod charts;
mod empty;
mod judged;
mod limits;
mod plan;
mod plot;
mod running;
mod scored;
mod selected;
mod source;
mod table;

use egui::{Align, Layout, ScrollArea, Ui, vec2};

use crate::app::{Action, AppState, BoardOf};
use crate::measure::MetricLimit;
use crate::measure::board::Question;
use crate::measure::kept;
use crate::measure::sweep::End;
use crate::protocol::{Design, Metric, Run};
use crate::ui::theme::{self, PAGE_MARGIN};
use crate::ui::widgets::{muted, page_header, primary_button, secondary_button, wrapped};

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
    /// The plan is shown
    plan_is_open: bool,
    judged: Judged,
    limits: limits::LimitsView,
    table: table::TableView,
}

/// Paints the page. `now`: seconds since the application began.
pub fn measure_page(ui: &mut Ui, state: &AppState, view: &mut MeasureView, now: f64, actions: &mut Vec<Action>) {
    let runs = state.measure.board.runs.as_slice();
    view.follow(state, runs);
    ScrollArea::vertical().id_salt("measure").auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(egui::Margin::same(PAGE_MARGIN as i8)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = GAP;
            header(ui, state, runs, view, actions);
            source::source(ui, state, view.judged.shown(), actions);
            sweep(ui, state, view, now, actions);
            if view.judged.shown().is_some_and(|shown| !shown.board.rows.is_empty()) {
                board(ui, state, view, actions);
            } else if !state.measure.is_running() && !view.plan_is_open {
                if state.measure.board.is_reading() || !state.history.is_loaded {
                    muted(ui, "Reading what was measured\u{2026}");
                } else {
                    nothing(ui, state, view, actions);
                }
            }
        });
    });
}

impl MeasureView {
    fn follow(&mut self, state: &AppState, runs: &[Run]) {
        let revision = [state.measure.board.revision, scored::revision(state)];
        let all = || scored::with_quality(state, runs);
        self.judged.follow(all, revision, &self.question, in_use(state));
        if self.y_is_chosen {
            return;
        }
        // quality where it is known, else memory
        let Some(shown) = self.judged.shown() else { return };
        let scored = shown.board.rows.iter().filter(|row| row.value(Metric::Kld).is_some()).count();
        let y = if scored >= 2 { Metric::Kld } else { Metric::PeakMemory };
        if y != self.question.y {
            self.question.y = y;
            self.judged.follow(all, revision, &self.question, in_use(state));
        }
    }
}

/// The design in use as it was asked for, and with its threads named where they were left to the engine.
fn in_use(state: &AppState) -> Vec<Design> {
    let Some(design) = state.design() else { return Vec::new() };
    let threads = state.loaded.as_ref().map_or(0, |report| report.effective.threads);
    let named = (design.threads == 0 && threads > 0).then(|| Design { threads, ..design.clone() });
    std::iter::once(design.clone()).chain(named).collect()
}

fn header(ui: &mut Ui, state: &AppState, runs: &[Run], view: &mut MeasureView, actions: &mut Vec<Action>) {
    let has_runs = !runs.is_empty();
    page_header(ui, "Which design is best here?", "", |ui| {
        if !state.measure.is_running() && !view.plan_is_open && has_runs {
            let button = ui.add(primary_button("Measure more\u{2026}"));
            if button.on_hover_text("Choose rungs, threads, batches, cache types and depths to measure").clicked() {
                view.plan_is_open = true;
                // reckons how many designs it has
                actions.push(Action::SetSweepDraft(Box::new(state.measure.draft.clone())));
            }
        }
        if has_runs {
            export(ui, runs, actions);
        }
    });
}

fn export(ui: &mut Ui, runs: &[Run], actions: &mut Vec<Action>) {
    let button = ui.add(secondary_button("Export"));
    let measured: Vec<Run> = if egui::Popup::is_any_open(ui.ctx()) {
        runs.iter().filter(|run| !run.samples.is_empty() || run.failure.is_some()).cloned().collect()
    } else {
        Vec::new()
    };
    egui::Popup::menu(&button).accessible_name("Export").show(|ui| {
        ui.set_width(220.0);
        if ui.button("Copy as Markdown").on_hover_text("A table that pastes into an issue thread").clicked() {
            actions.push(Action::Copy(kept::markdown(&measured)));
        }
        let mut save = |ui: &mut Ui, words: &str, ending: &str, text: &dyn Fn(&[Run]) -> String| {
            if ui.button(words).clicked() {
                actions.push(Action::SaveText(format!("designs.{ending}"), text(&measured)));
            }
        };
        save(ui, "Save as Markdown\u{2026}", "md", &kept::markdown);
        save(ui, "Save as CSV\u{2026}", "csv", &kept::csv);
        save(ui, "Save as JSON, with every sample\u{2026}", "json", &kept::json);
    });
}

/// The sweep that runs, one that was interrupted, or the plan of the next.
fn sweep(ui: &mut Ui, state: &AppState, view: &mut MeasureView, now: f64, actions: &mut Vec<Action>) {
    let measure = &state.measure;
    if measure.is_running() {
        if running::running(ui, &running::Running::of(measure, now)) {
            actions.push(Action::StopSweep);
        }
        return;
    }
    if view.plan_is_open {
        let output = plan::plan(ui, state, plan::seconds(state), why_not(state));
        if let Some(draft) = output.changed {
            actions.push(Action::SetSweepDraft(Box::new(draft)));
        }
        if output.start {
            actions.push(Action::StartSweep);
        }
        view.plan_is_open &= !output.start && !output.close;
    }
    if state.measure.board.of == BoardOf::Session
        && let Some(words) = state.measure.result.as_ref().and_then(|result| result.unsettled.as_deref())
    {
        let color = theme::palette(ui).event;
        wrapped(ui, words, theme::small(), color);
    }
    interrupted(ui, state, actions);
}

fn interrupted(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let measure = &state.measure;
    if let Some(sweep) = measure.sweep().filter(|_| measure.can_resume()) {
        let why = if sweep.ended() == Some(End::Budget) { "The time was used up" } else { "The sweep was stopped" };
        if running::interrupted(ui, why, Some(sweep.progress()), why_not(state)) == Some(running::Pressed::Resume) {
            actions.push(Action::ResumeSweep(None));
        }
    }
    if let Some(unfinished) = measure.unfinished.first() {
        match running::interrupted(ui, "A sweep of an earlier session was not finished", None, why_not(state)) {
            Some(running::Pressed::Resume) => actions.push(Action::ResumeSweep(Some(unfinished.name.clone()))),
            Some(running::Pressed::Remove) => actions.push(Action::ForgetSweep(unfinished.name.clone())),
            None => {}
        }
    }
}

/// What keeps a sweep from being started now.
fn why_not(state: &AppState) -> Option<&'static str> {
    (state.measure.draft.base.is_none() && state.design().is_none()).then_some("Load a model first: its levels are what is measured")
}

fn nothing(ui: &mut Ui, state: &AppState, view: &mut MeasureView, actions: &mut Vec<Action>) {
    let draft = plan::sensible(state);
    let offer = state.design().is_some().then(|| plan::offer(&draft));
    match empty::empty(ui, offer.as_deref(), &plan::estimate(state, &draft)) {
        Some(empty::Pressed::Start) => {
            actions.push(Action::SetSweepDraft(Box::new(draft)));
            actions.push(Action::StartSweep);
        }
        Some(empty::Pressed::Choose) => {
            actions.push(Action::SetSweepDraft(Box::new(draft)));
            view.plan_is_open = true;
        }
        Some(empty::Pressed::Open) => actions.push(Action::PickModel),
        None => {}
    }
}

fn board(ui: &mut Ui, state: &AppState, view: &mut MeasureView, actions: &mut Vec<Action>) {
    let MeasureView { question, y_is_chosen, selected, judged, limits, table, .. } = view;
    let Some(shown) = judged.shown() else { return };
    let before = question.clone();
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
                    if row.is_some() {
                        picked = picked.or(table::table(ui, shown, table, row));
                        charts::charts(ui, shown);
                    }
                });
                column(ui, SIDE, |ui| {
                    picked = picked.or(side(ui, state, shown, question, actions));
                    detail(ui, state, shown, row, selected, actions);
                });
            });
        });
        // beside a design in detail they have the left column
        if row.is_none() {
            picked = picked.or(table::table(ui, shown, table, row));
            charts::charts(ui, shown);
        }
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
    *y_is_chosen |= question.y != before.y;
    if question.limits != before.limits {
        actions.push(Action::SetLimits(limits_of_sweep(question, state)));
    }
    // as a goal, quality alone would make no sweep: it has one figure a level
    if question.goal != before.goal && is_measured_by_sweeps(question.goal, state) && !question.goal.is_quality() {
        let draft = crate::app::SweepDraft { goal: question.goal, ..state.measure.draft.clone() };
        actions.push(Action::SetSweepDraft(Box::new(draft)));
    }
}

/// The limits that a sweep can keep to by itself: those on figures that it can measure. One on quality has it measure quality loss.
fn limits_of_sweep(question: &Question, state: &AppState) -> Vec<MetricLimit> {
    question.limits.iter().filter(|limit| is_measured_by_sweeps(limit.metric, state)).copied().collect()
}

fn is_measured_by_sweeps(metric: Metric, state: &AppState) -> bool {
    match metric {
        Metric::CostPerMillion => state.settings.price_per_hour.is_some(),
        other => !matches!(other, Metric::BothTps | Metric::EnergyPerToken),
    }
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
