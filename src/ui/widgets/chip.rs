//! A chip: one of several things that can be picked, with a second line about it.

use egui::{Color32, Response, Role, Sense, Stroke, StrokeKind, Ui, Widget, WidgetInfo, pos2, vec2};

use super::chrome::focus_ring;
use super::text;
use crate::ui::theme::{self, CONTROL_RADIUS};

const HEIGHT: f32 = 40.0;
const HEIGHT_OF_ONE_LINE: f32 = 28.0;
const PADDING: f32 = 10.0;

/// One chip. Its accessible name is "Q4_K_M, 99 MB".
#[must_use = "add it with ui.add"]
pub struct Chip<'a> {
    name: &'a str,
    detail: &'a str,
    selected: bool,
    role: Role,
    of: &'a str,
}

impl<'a> Chip<'a> {
    /// Any number of them can be picked.
    pub fn new(name: &'a str, selected: bool) -> Self {
        Self { name, detail: "", selected, role: Role::CheckBox, of: "" }
    }

    /// One of them is.
    pub fn one_of(name: &'a str, selected: bool) -> Self {
        Self { role: Role::RadioButton, ..Self::new(name, selected) }
    }

    /// What it is picked as, where the same things can be picked as something else: said before its name.
    pub fn picked_as(mut self, of: &'a str) -> Self {
        self.of = of;
        self
    }

    /// A small second line.
    pub fn detail(mut self, detail: &'a str) -> Self {
        self.detail = detail;
        self
    }
}

impl Widget for Chip<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let name = text::elided(ui, self.name, theme::mono(), Color32::PLACEHOLDER, f32::INFINITY);
        let detail = text::elided(ui, self.detail, theme::mono_small(), Color32::PLACEHOLDER, f32::INFINITY);
        let height = if self.detail.is_empty() { HEIGHT_OF_ONE_LINE } else { HEIGHT };
        let width = name.size().x.max(detail.size().x) + 2.0 * PADDING;
        let (rect, response) = ui.allocate_exact_size(vec2(width.ceil(), height), Sense::click());
        let words = if self.detail.is_empty() { self.name.to_owned() } else { format!("{}, {}", self.name, self.detail) };
        let words = format!("{} {words}", self.of);
        response.widget_info(|| WidgetInfo::selected(self.role, ui.is_enabled(), self.selected, words.trim_start()));
        if ui.is_rect_visible(rect) {
            let hovered = ui.is_enabled() && (response.hovered() || response.has_focus());
            let (fill, border) = match (self.selected, hovered) {
                (true, _) => (palette.accent_tint, palette.accent),
                (false, true) => (palette.hover, palette.faint),
                (false, false) => (palette.raised, palette.hairline),
            };
            let painter = ui.painter();
            painter.rect(rect, CONTROL_RADIUS, fill, Stroke::new(palette.border_width(), border), StrokeKind::Inside);
            let gap = if self.detail.is_empty() { 0.0 } else { 1.0 };
            let top = rect.center().y - (name.size().y + detail.size().y * f32::from(u8::from(!self.detail.is_empty())) + gap) / 2.0;
            let centred = |width: f32| rect.center().x - width / 2.0;
            let ink = if self.selected || hovered { palette.text } else { palette.muted };
            let (name_width, name_height) = (name.size().x, name.size().y);
            painter.galley(pos2(centred(name_width), top), name, ink);
            if !self.detail.is_empty() {
                let ink = if self.selected { theme::on_surface(palette.accent_tint, palette.text, 0.8) } else { palette.muted };
                painter.galley(pos2(centred(detail.size().x), top + name_height + gap), detail, ink);
            }
            focus_ring(ui, &response, CONTROL_RADIUS);
        }
        response
    }
}
