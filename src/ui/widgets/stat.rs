//! Readings: one number with its label and unit, rows of them, badges and key caps.

use egui::{Color32, FontId, Response, Role, Sense, Stroke, StrokeKind, Ui, Widget, WidgetInfo, pos2, vec2};

use super::text::{self, Tone, baseline};
use crate::ui::theme::{self};

/// A label over a number with its unit, and a muted note under it.
#[must_use = "add it with ui.add"]
pub struct Stat<'a> {
    label: &'a str,
    value: &'a str,
    unit: &'a str,
    note: Option<&'a str>,
    hint: Option<&'a str>,
    font: FontId,
    unit_font: FontId,
    width: Option<f32>,
}

impl<'a> Stat<'a> {
    /// A number among several, 18 points.
    pub fn new(label: &'a str, value: &'a str, unit: &'a str) -> Self {
        Self { label, value, unit, note: None, hint: None, font: theme::title(), unit_font: theme::small(), width: None }
    }

    /// The one number of a panel, 28 points.
    pub fn display(mut self) -> Self {
        self.font = theme::display();
        self.unit_font = theme::body();
        self
    }

    /// A muted line under the number.
    pub fn note(mut self, note: &'a str) -> Self {
        self.note = Some(note);
        self
    }

    /// How it is defined, under the pointer.
    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Takes this width, in points, whatever it says: keeps neighbours still while numbers change.
    pub fn width(mut self, width: f32) -> Self {
        self.width = Some(width);
        self
    }
}

impl Widget for Stat<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let room = self.width.unwrap_or_else(|| ui.available_width());
        let label = text::elided(ui, self.label, theme::small(), palette.muted, room);
        let value = text::elided(ui, self.value, self.font, palette.text, room);
        let unit = text::elided(ui, self.unit, self.unit_font, palette.muted, (room - value.size().x - 6.0).max(0.0));
        let note = self.note.map(|note| text::elided(ui, note, theme::small(), palette.muted, room));
        let gap = if self.unit.is_empty() { 0.0 } else { 6.0 };
        let value_top = if self.label.is_empty() { 0.0 } else { label.size().y + 3.0 };
        let unit_top = value_top + baseline(&value) - baseline(&unit);
        let note_top = value_top + value.size().y + 3.0;
        let height = note.as_ref().map_or(value_top + value.size().y, |note| note_top + note.size().y);
        let widest = label.size().x.max(value.size().x + gap + unit.size().x).max(note.as_ref().map_or(0.0, |note| note.size().x));
        let (rect, response) = ui.allocate_exact_size(vec2(self.width.unwrap_or(widest).ceil(), height.ceil()), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{} {} {}", self.label, self.value, self.unit).trim_end()));
        let painter = ui.painter();
        let at = rect.min;
        let unit_left = value.size().x + gap;
        painter.galley(at, label, palette.muted);
        painter.galley(at + vec2(0.0, value_top), value, palette.text);
        painter.galley(at + vec2(unit_left, unit_top), unit, palette.muted);
        if let Some(note) = note {
            painter.galley(at + vec2(0.0, note_top), note, palette.muted);
        }
        match self.hint {
            Some(hint) => response.on_hover_text(hint),
            None => response,
        }
    }
}

/// One line: a muted label on the left, a mono value on the right.
pub fn stat_row(ui: &mut Ui, label: &str, value: &str) -> Response {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{label} {value}")));
    if ui.is_rect_visible(rect) {
        let value = text::elided(ui, value, theme::mono(), palette.text, width);
        let label = text::elided(ui, label, theme::small(), palette.muted, width - value.size().x - 12.0);
        let painter = ui.painter();
        painter.galley(pos2(rect.left(), rect.center().y - label.size().y / 2.0), label, palette.muted);
        painter.galley(pos2(rect.right() - value.size().x, rect.center().y - value.size().y / 2.0), value, palette.text);
    }
    response
}

/// A small badge: words on a tinted, rounded surface.
pub fn pill(ui: &mut Ui, words: &str, tone: Tone) -> Response {
    let palette = theme::palette(ui);
    let ink = if tone == Tone::Neutral { palette.muted } else { tone.ink(palette) };
    let galley = text::elided(ui, words, theme::small(), ink, ui.available_width() - 16.0);
    let (rect, response) = ui.allocate_exact_size(vec2((galley.size().x + 16.0).ceil(), 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    let fill = if tone == Tone::Neutral { palette.raised } else { theme::on_surface(palette.panel, ink, 0.13) };
    ui.painter().rect_filled(rect, 10.0, fill);
    ui.painter().galley(pos2(rect.left() + 8.0, rect.center().y - galley.size().y / 2.0), galley, ink);
    response
}

/// The head of a section: small and muted.
pub fn section_label(ui: &mut Ui, words: &str) -> Response {
    text::muted(ui, words)
}

/// Keys as caps: `Ctrl+Shift+K` becomes three of them.
pub fn shortcut_label(ui: &mut Ui, keys: &str) -> Response {
    let palette = theme::palette(ui);
    let caps: Vec<_> = keys.split('+').map(|key| text::elided(ui, key.trim(), theme::mono_small(), palette.muted, f32::INFINITY)).collect();
    let widths: Vec<f32> = caps.iter().map(|cap| (cap.size().x + 10.0).max(20.0).ceil()).collect();
    let width = widths.iter().sum::<f32>() + 3.0 * caps.len().saturating_sub(1) as f32;
    let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, keys));
    let mut left = rect.left();
    for (cap, width) in caps.into_iter().zip(widths) {
        let key = egui::Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        ui.painter().rect(key, 4.0, palette.raised, Stroke::new(palette.border_width(), palette.hairline), StrokeKind::Inside);
        ui.painter().galley(key.center() - cap.size() / 2.0, cap, Color32::PLACEHOLDER);
        left += width + 3.0;
    }
    response
}
