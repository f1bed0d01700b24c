//! One design: its figures with their intervals, its raw samples, what differs from the design in use, and how near it is to what the machine
//! allows.

use egui::{Align, Layout, Ui};

use super::answer::use_button;
use crate::app::{Action, AppState};
use crate::measure::board::{Board, Row};
use crate::measure::{format, stats};
use crate::protocol::{Design, Metric, RunTrust};
use crate::ui::theme;
use crate::ui::widgets::{DotPlot, Icon, Tone, card, elided, icon_button, muted, pill, section_label, stat_row, tight, title, wrapped};

/// Paints the card; true when it is to be closed.
pub(super) fn selected(ui: &mut Ui, state: &AppState, board: &Board, index: usize, actions: &mut Vec<Action>) -> bool {
    let Some(row) = board.rows.get(index) else { return true };
    let mut close = false;
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                close = ui.add(icon_button(Icon::Close, "Close the selected design")).clicked();
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| title(ui, &row.label.rung));
            });
        });
        if !row.label.rest.is_empty() {
            let color = theme::palette(ui).text;
            wrapped(ui, &row.label.rest, theme::body(), color);
        }
        standing(ui, board, row);
        figures(ui, board, row);
        samples(ui, board, row);
        roofline(ui, row);
        difference(ui, state, board, index, row);
        if board.current != Some(index) {
            ui.add_space(4.0);
            use_button(ui, state, &row.design, actions);
        }
    });
    close
}

fn standing(ui: &mut Ui, board: &Board, row: &Row) {
    let palette = theme::palette(ui);
    if let Some(failure) = &row.failure {
        wrapped(ui, failure.to_string(), theme::small(), palette.limit);
        if !row.is_candidate() {
            return;
        }
    }
    let barred = !row.is_candidate();
    wrapped(ui, board.reason(row), theme::small(), if barred { palette.limit } else { palette.muted });
    if row.trust != RunTrust::Trusted && !row.figures.is_empty() {
        let tone = if row.trust == RunTrust::Noisy { Tone::Event } else { Tone::Neutral };
        pill(ui, row.trust.word(), tone);
        for reason in &row.reasons {
            wrapped(ui, reason, theme::small(), palette.muted);
        }
    }
}

fn figures(ui: &mut Ui, board: &Board, row: &Row) {
    ui.add_space(2.0);
    tight(ui, |ui| {
        for metric in Metric::ALL {
            let Some(figure) = row.figures.get(&metric) else { continue };
            let value = match figure.interval {
                Some(interval) if interval.high.is_finite() && interval.high > interval.low => {
                    let half = (interval.high - interval.low) / 2.0;
                    format!("{} \u{b1} {}", format::metric(metric, figure.value), half_words(metric, half))
                }
                _ => format::metric(metric, figure.value),
            };
            let cell = board.cell_name(metric);
            let name = if cell.is_empty() { metric.name().to_owned() } else { format!("{} {cell}", metric.name()) };
            stat_row(ui, &name, &value).on_hover_text(board.figure_words(row, metric));
        }
    });
}

/// Half an interval, as short as it may be.
fn half_words(metric: Metric, half: f64) -> String {
    match metric {
        Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps => format!("{half:.1}"),
        Metric::TtftMs | Metric::ItlP95Ms if half < 9.95 => format!("{half:.1}"),
        Metric::TtftMs | Metric::ItlP95Ms => format!("{half:.0}"),
        _ => format::metric_number(metric, half),
    }
}

/// Every repetition of the goal, and of the other figure of the board.
fn samples(ui: &mut Ui, board: &Board, row: &Row) {
    let mut shown = vec![board.question.goal, board.question.x, board.question.y];
    shown.dedup();
    let mut done: Vec<Metric> = Vec::new();
    for metric in shown {
        let Some(figure) = row.figures.get(&metric).filter(|figure| figure.samples().len() > 1 && !done.contains(&metric)) else {
            continue;
        };
        done.push(metric);
        ui.add_space(4.0);
        let cv = stats::stdev(figure.samples()).zip(stats::mean(figure.samples())).map(|(stdev, mean)| stdev / mean);
        let spread = cv.map_or_else(String::new, |cv| format!(", scatter {}", format::percent(cv)));
        section_label(ui, &format!("{} samples{spread}", metric.name()));
        let interval = figure.interval.filter(|interval| interval.high.is_finite()).map(|interval| [interval.low, interval.high]);
        let say = |value: f64| format::metric(metric, value);
        ui.add(DotPlot::new(metric.name(), figure.samples(), figure.value, &say).interval(interval));
    }
}

fn roofline(ui: &mut Ui, row: &Row) {
    let roof = row.roofline;
    if roof.decode.is_none() && roof.prefill.is_none() {
        return;
    }
    ui.add_space(4.0);
    tight(ui, |ui| {
        if let Some(part) = roof.decode {
            let bandwidth = roof.bandwidth_gb_s.map_or_else(String::new, |gb_s| format!(" of {gb_s:.1} GB/s"));
            stat_row(ui, "Of the bandwidth limit", &format::percent(part)).on_hover_text(format!(
                "Decode speed as a part of what reading the weights and the cache once a token allows with the memory bandwidth{bandwidth} measured here"
            ));
        }
        if let Some(part) = roof.prefill {
            let rate = roof.ops_gflops.map_or_else(String::new, |gflops| format!(" of {gflops:.0} GFLOP/s"));
            stat_row(ui, "Of the arithmetic limit", &format::percent(part)).on_hover_text(format!(
                "Prefill speed as a part of what two operations a weight allow with the arithmetic rate{rate} measured here. Above 100 %: the \
                 kernels of this level compute with smaller numbers than the rate was measured with"
            ));
        }
    });
}

/// What differs from the design in use, in words.
fn difference(ui: &mut Ui, state: &AppState, board: &Board, index: usize, row: &Row) {
    let Some(current) = state.design() else { return };
    ui.add_space(4.0);
    if board.current == Some(index) {
        pill(ui, "In use", Tone::Good);
        return;
    }
    section_label(ui, "Against the design in use");
    let palette = theme::palette(ui);
    let changes = current.diff(&Design { sampler: current.sampler.clone(), ..row.design.clone() });
    if changes.is_empty() {
        muted(ui, "The same settings");
    }
    for change in changes {
        let width = ui.available_width();
        let words = format!("{}: {} \u{2192} {}", change.field, change.from, change.to);
        let galley = elided(ui, &words, theme::small(), palette.text, width);
        let (rect, response) = ui.allocate_exact_size(egui::vec2(width, 18.0), egui::Sense::hover());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &words));
        ui.painter().galley(egui::pos2(rect.left(), rect.center().y - galley.size().y / 2.0), galley, palette.text);
        response.on_hover_text(&words);
    }
    if let Some(comparison) = board.current.and_then(|current| board.compare(index, current, board.question.goal, 1)) {
        wrapped(ui, format!("{}: {}", board.question.goal.name(), comparison.reason), theme::small(), palette.muted);
    }
}
