//! Two runs side by side: figures with what can be said of the difference, then what differs in design and environment.

use egui::{Align, Layout, Rect, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState};
use crate::measure::{format, stats::Interval, versus};
use crate::protocol::Run;
use crate::ui::theme;
use crate::ui::widgets::{Icon, card, elided, ghost_button, hairline, muted, secondary_button, tight, title, wrapped};

/// Paints the two.
pub(super) fn compare(ui: &mut Ui, state: &AppState, a: &Run, b: &Run, actions: &mut Vec<Action>) {
    card(ui, |ui| {
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
            super::close(ui, actions);
            if ui.add(ghost_button("Swap").icon(Icon::Refresh)).on_hover_text("The other one first").clicked() {
                actions.push(Action::ShowRuns(vec![b.id, a.id]));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| title(ui, "The second against the first"));
        });
        for (n, run) in [(1, a), (2, b)] {
            muted(ui, format!("{n}  {}", label(run)));
        }
        ui.add_space(8.0);
        figures(ui, a, b);
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            super::export_menu(ui, "Export the two runs", &[a.id, b.id], actions);
            if ui.add(secondary_button("Use the second's design")).on_hover_text("Load it, with its sampling").clicked() {
                actions.push(Action::UseRunDesign(b.id));
            }
        });
        if state.history.predecessor(b.id) == Some(a.id) && b.repeats == Some(a.id) {
            muted(ui, "The second repeats the first");
        }
    });
    ui.add_space(12.0);
    let changes: Vec<String> = a.design.diff(&b.design).iter().map(ToString::to_string).collect();
    differences(ui, "Design", &changes, "The two designs are the same");
    ui.add_space(12.0);
    differences(ui, "Environment", &versus::environments(a, b), "As far as it is known, the two ran on the same");
}

/// A run in a line: what it is called, its model, its work and when.
pub(super) fn label(run: &Run) -> String {
    let when = chrono::DateTime::from_timestamp_millis(run.started_ms).map(|time| time.with_timezone(&chrono::Local));
    let when = when.filter(|_| run.started_ms > 0).map(|time| time.format("%-d %b %Y %H:%M").to_string()).unwrap_or_default();
    let design = run.design.differences(&run.design.sampler);
    let parts = [run.title.clone(), format!("{} {}", run.environment.quant, run.environment.model), design, run.workload.words(), when];
    let known: Vec<String> = parts.iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect();
    known.join("  ·  ")
}

fn differences(ui: &mut Ui, heading: &str, words: &[String], none: &str) {
    card(ui, |ui| {
        title(ui, heading);
        ui.add_space(4.0);
        if words.is_empty() {
            muted(ui, none);
        }
        for line in words {
            wrapped(ui, line, theme::body(), theme::palette(ui).text);
        }
    });
}

/// The figures that either has: both medians, the ratio with its interval, and the verdict under them.
pub(super) fn figures(ui: &mut Ui, a: &Run, b: &Run) {
    let palette = theme::palette(ui);
    let all = versus::figures(a, b);
    tight(ui, |ui| {
        line(ui, [("", palette.muted), ("first", palette.muted), ("second", palette.muted), ("second / first", palette.muted)], false);
        for figure in &all {
            hairline(ui);
            let value = |value: Option<f64>| value.map_or_else(|| format::ABSENT.to_owned(), |value| format::metric(figure.metric, value));
            let ratio = match (figure.ratio, figure.interval) {
                (Some(ratio), Some(Interval { low, high, .. })) => format!("{ratio:.3}  ({low:.3} to {high:.3})"),
                (Some(ratio), None) => format!("{ratio:.3}"),
                _ => format::ABSENT.into(),
            };
            let ink = match figure.is_better() {
                Some(true) => palette.good,
                Some(false) => palette.limit,
                None => palette.text,
            };
            let (first, second) = (value(figure.a), value(figure.b));
            let cells = [
                (figure.metric.name(), palette.muted),
                (first.as_str(), palette.text),
                (second.as_str(), palette.text),
                (ratio.as_str(), ink),
            ];
            line(ui, cells, true);
            wrapped(ui, &figure.reason, theme::small(), palette.muted);
            ui.add_space(4.0);
        }
    });
    if all.is_empty() {
        muted(ui, "Neither of the two has a figure");
    }
}

/// Four cells in a row, the last three to the right.
fn line(ui: &mut Ui, cells: [(&str, egui::Color32); 4], mono: bool) {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 24.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, cells.map(|(words, _)| words).join(" ").trim()));
    let last = (width * 0.4).clamp(160.0, 230.0);
    let each = (width - last) / 3.0;
    let widths = [each, each, each, last];
    let mut left = rect.left();
    for (index, ((words, ink), width)) in cells.into_iter().zip(widths).enumerate() {
        let font = if mono && index > 0 { theme::mono() } else { theme::small() };
        let galley = elided(ui, words, font, ink, width - 4.0);
        let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        let x = if index == 0 { cell.left() } else { cell.right() - galley.size().x };
        ui.painter().galley(pos2(x, cell.center().y - galley.size().y / 2.0), galley, ink);
        left += width;
    }
}
