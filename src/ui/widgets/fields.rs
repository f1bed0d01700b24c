//! Rows of a settings page: a label and what it means on the left, the control on the right.

use std::ops::RangeInclusive;

use egui::{Align, ComboBox, DragValue, Frame, Layout, Margin, Response, Stroke, TextEdit, Ui, vec2};

use super::buttons::icon_button;
use super::glyph::{Icon, paint_icon};
use super::{text, toggle};
use crate::ui::theme::{self, CONTROL_HEIGHT, CONTROL_RADIUS};

/// Width of the control of a row, in points.
const CONTROL_WIDTH: f32 = 180.0;

/// A row: `label` and `note` on the left, any control on the right. Returns what the control returns.
pub fn setting_row<R>(ui: &mut Ui, label: &str, note: &str, control: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = theme::palette(ui);
    let height = if note.is_empty() { CONTROL_HEIGHT } else { 44.0 };
    ui.allocate_ui_with_layout(vec2(ui.available_width(), height), Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().interact_size.y = CONTROL_HEIGHT;
        let inner = control(ui);
        ui.add_space(8.0);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let lines = if note.is_empty() { 17.0 } else { 34.0 };
                ui.add_space((height - lines) / 2.0);
                text::label(ui, label, theme::body(), palette.text);
                if !note.is_empty() {
                    text::muted(ui, note);
                }
            });
        });
        inner
    })
    .inner
}

/// A row with a number that can be typed or dragged.
pub fn number_row<N: egui::emath::Numeric>(
    ui: &mut Ui,
    label: &str,
    note: &str,
    value: &mut N,
    range: RangeInclusive<N>,
    unit: &str,
) -> Response {
    setting_row(ui, label, note, |ui| {
        let suffix = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        let span = range.end().to_f64() - range.start().to_f64();
        let speed = if N::INTEGRAL { (span / 400.0).clamp(0.05, 16.0) } else { span / 400.0 };
        let drag = DragValue::new(value).range(range).speed(speed).suffix(suffix).min_size(vec2(96.0, CONTROL_HEIGHT));
        ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
        ui.add(drag).accessible_name(label)
    })
}

/// A row with a choice among a few named values.
pub fn choice_row<T: PartialEq + Copy>(ui: &mut Ui, label: &str, note: &str, value: &mut T, options: &[(T, &str)]) -> Response {
    setting_row(ui, label, note, |ui| {
        let current = options.iter().find(|(option, _)| option == value).map_or("", |(_, name)| name);
        let mut changed = false;
        let mut response = ComboBox::from_id_salt(("choice", label))
            .width(CONTROL_WIDTH)
            .truncate()
            .selected_text(current)
            .icon(|ui, rect, visuals, _open| paint_icon(ui.painter(), Icon::ChevronDown, rect.expand(1.0), visuals.fg_stroke.color))
            .show_ui(ui, |ui| {
                for (option, name) in options {
                    changed |= ui.selectable_value(value, *option, *name).changed();
                }
            })
            .response;
        if changed {
            response.mark_changed();
        }
        response.accessible_name(label)
    })
}

/// A row with a switch.
pub fn toggle_row(ui: &mut Ui, label: &str, note: &str, on: &mut bool) -> Response {
    setting_row(ui, label, note, |ui| toggle::toggle(ui, on, label))
}

/// A row with a line of text.
pub fn text_row(ui: &mut Ui, label: &str, note: &str, value: &mut String, hint: &str) -> Response {
    setting_row(ui, label, note, |ui| {
        let hint = egui::RichText::new(hint).color(theme::palette(ui).muted);
        let edit = TextEdit::singleline(value).hint_text(hint).desired_width(CONTROL_WIDTH * 1.4 - 24.0).margin(Margin::symmetric(12, 7));
        ui.add(edit).accessible_name(label)
    })
}

/// A field that filters: an icon, the words, and a way to clear them. The response is changed when the words are.
pub fn search_field(ui: &mut Ui, query: &mut String, hint: &str) -> Response {
    let palette = theme::palette(ui);
    let frame = Frame::new()
        .fill(palette.page)
        .stroke(Stroke::new(palette.border_width(), palette.hairline))
        .corner_radius(CONTROL_RADIUS)
        .inner_margin(Margin { left: 10, right: 2, top: 1, bottom: 1 });
    let outer = frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let (icon, _) = ui.allocate_exact_size(vec2(16.0, 28.0), egui::Sense::hover());
            paint_icon(ui.painter(), Icon::Search, icon.shrink(1.0), palette.muted);
            let room = ui.available_width() - 32.0;
            let edit = TextEdit::singleline(query)
                .frame(Frame::NONE)
                .hint_text(egui::RichText::new(hint).color(palette.muted))
                .margin(Margin::symmetric(4, 5))
                .align(egui::Align2::LEFT_CENTER)
                .min_size(vec2(0.0, 28.0))
                .desired_width(room);
            let mut response = ui.add(edit).accessible_name(hint);
            if query.is_empty() {
                ui.allocate_exact_size(vec2(28.0, 28.0), egui::Sense::hover());
            } else if ui.add(icon_button(Icon::Close, "Clear search")).clicked() {
                query.clear();
                response.mark_changed();
            }
            response
        })
        .inner
    });
    if outer.inner.has_focus() {
        let stroke = Stroke::new(palette.border_width(), palette.accent);
        ui.painter().rect_stroke(outer.response.rect, CONTROL_RADIUS, stroke, egui::StrokeKind::Inside);
    }
    outer.inner
}
