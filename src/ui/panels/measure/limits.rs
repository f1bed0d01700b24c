//! The goal and the limits: chips for those that hold, a field for one more.

use egui::{Align2, Key, Margin, TextEdit, Ui, vec2};

use super::plot;
use crate::measure::MetricLimit;
use crate::measure::board::{Board, Question};
use crate::ui::theme;
use crate::ui::widgets::{Icon, icon_button, label, muted, wrapped};

/// What is typed.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitsView {
    typed: String,
    /// Why it was not taken
    fault: Option<String>,
}

/// Paints the row; changes the question.
pub(super) fn limits(ui: &mut Ui, board: Option<&Board>, question: &mut Question, view: &mut LimitsView) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
        if let Some(board) = board {
            muted(ui, "Best");
            plot::choice(ui, "Goal", board, &mut question.goal);
        }
        muted(ui, "with");
        let mut removed = None;
        for (index, limit) in question.limits.iter().enumerate() {
            if chip(ui, &limit.to_string()) {
                removed = Some(index);
            }
        }
        if let Some(index) = removed {
            question.limits.remove(index);
        }
        field(ui, question, view);
    });
    if let Some(fault) = &view.fault {
        let color = theme::palette(ui).limit;
        wrapped(ui, fault, theme::small(), color);
    }
}

/// A limit that holds; true when it is to go.
fn chip(ui: &mut Ui, words: &str) -> bool {
    let palette = theme::palette(ui);
    let frame = egui::Frame::new().fill(palette.raised).corner_radius(theme::CONTROL_RADIUS).inner_margin(Margin {
        left: 10,
        right: 2,
        top: 0,
        bottom: 0,
    });
    frame
        .show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                label(ui, words, theme::body(), palette.text);
                ui.add(icon_button(Icon::Close, &format!("Remove the limit {words}"))).clicked()
            })
            .inner
        })
        .inner
}

fn field(ui: &mut Ui, question: &mut Question, view: &mut LimitsView) {
    let hint = egui::RichText::new("Limit, such as KLD <= 0.05").color(theme::palette(ui).muted);
    let edit = TextEdit::singleline(&mut view.typed)
        .hint_text(hint)
        .margin(Margin::symmetric(10, 5))
        .align(Align2::LEFT_CENTER)
        .min_size(vec2(0.0, 28.0))
        .desired_width(216.0);
    let response = ui.add(edit).accessible_name("Add a limit");
    let response =
        response.on_hover_text("A figure, <= or >=, a value with its unit: memory <= 600 MB, TTFT <= 800 ms, decode >= 20. Enter adds it");
    if response.changed() {
        view.fault = None;
    }
    if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter)) && !view.typed.trim().is_empty() {
        match MetricLimit::parse(&view.typed) {
            Ok(limit) => {
                // one limit a side of a figure
                question.limits.retain(|other| (other.metric, other.bound) != (limit.metric, limit.bound));
                question.limits.push(limit);
                *view = LimitsView::default();
            }
            Err(fault) => view.fault = Some(fault),
        }
        response.request_focus();
    }
}
