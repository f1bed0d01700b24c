//! Buttons: primary, secondary, danger, ghost, icon-only, and the entries of the rail.

use egui::{Color32, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, Widget, WidgetInfo, pos2, vec2};

use super::chrome::{focus_ring, row_surface};
use super::glyph::{Icon, paint_icon};
use super::text;
use crate::ui::theme::{self, CONTROL_HEIGHT, CONTROL_RADIUS, Palette};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Primary,
    Secondary,
    Danger,
    Ghost,
}

/// A button with words. Add it with `ui.add` or `ui.add_enabled`.
#[must_use = "add it with ui.add"]
pub struct ActionButton {
    text: String,
    kind: Kind,
    icon: Option<Icon>,
    shortcut: Option<String>,
    fill_width: bool,
    height: f32,
}

/// The one thing to do here: filled with the accent.
pub fn primary_button(text: impl Into<String>) -> ActionButton {
    ActionButton::new(text, Kind::Primary)
}

/// Something else to do here.
pub fn secondary_button(text: impl Into<String>) -> ActionButton {
    ActionButton::new(text, Kind::Secondary)
}

/// Stops or removes something.
pub fn danger_button(text: impl Into<String>) -> ActionButton {
    ActionButton::new(text, Kind::Danger)
}

/// A quiet button: words without a surface until the pointer is there.
pub fn ghost_button(text: impl Into<String>) -> ActionButton {
    ActionButton::new(text, Kind::Ghost)
}

impl ActionButton {
    fn new(text: impl Into<String>, kind: Kind) -> Self {
        let height = if kind == Kind::Ghost { 28.0 } else { CONTROL_HEIGHT };
        Self { text: text.into(), kind, icon: None, shortcut: None, fill_width: false, height }
    }

    /// An icon before the words.
    pub fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    /// The keys that do the same, muted, after the words.
    pub fn shortcut(mut self, keys: impl Into<String>) -> Self {
        self.shortcut = Some(keys.into());
        self
    }

    /// As wide as the room there is.
    pub fn fill_width(mut self) -> Self {
        self.fill_width = true;
        self
    }

    /// Height in points, when it is not the usual one.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Surface, border and ink.
    fn look(&self, p: &Palette, response: &Response) -> (Color32, Color32, Color32) {
        let (hovered, down) = (response.hovered() || response.has_focus(), response.is_pointer_button_down_on());
        match self.kind {
            Kind::Primary => {
                let strength = if down {
                    0.22
                } else if hovered {
                    0.12
                } else {
                    0.0
                };
                let fill = theme::on_surface(p.accent, p.text, strength);
                (fill, fill, p.accent_ink)
            }
            Kind::Secondary => (
                if down {
                    p.hairline
                } else if hovered {
                    p.hover
                } else {
                    p.raised
                },
                if hovered { p.faint } else { p.hairline },
                p.text,
            ),
            Kind::Danger => (
                theme::on_surface(
                    p.limit_tint,
                    p.limit,
                    if down {
                        0.3
                    } else if hovered {
                        0.16
                    } else {
                        0.0
                    },
                ),
                p.limit,
                p.text,
            ),
            Kind::Ghost => {
                (if hovered { p.raised } else { Color32::TRANSPARENT }, Color32::TRANSPARENT, if hovered { p.text } else { p.muted })
            }
        }
    }
}

impl Widget for ActionButton {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let padding = if self.kind == Kind::Ghost { 8.0 } else { 14.0 };
        let icon_width = if self.icon.is_some() { 22.0 } else { 0.0 };
        let font = if self.kind == Kind::Ghost { theme::small() } else { theme::body() };
        let keys = self.shortcut.as_ref().map(|keys| text::elided(ui, keys, theme::mono_small(), Color32::PLACEHOLDER, f32::INFINITY));
        let keys_width = keys.as_ref().map_or(0.0, |galley| galley.size().x + 12.0);
        let room = ui.available_width() - 2.0 * padding - icon_width - keys_width;
        let words = text::elided(ui, &self.text, font, Color32::PLACEHOLDER, room.max(24.0));
        let content = icon_width + words.size().x + keys_width;
        let width = if self.fill_width { ui.available_width() } else { content + 2.0 * padding };
        let (rect, response) = ui.allocate_exact_size(vec2(width.ceil(), self.height), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &self.text));
        if ui.is_rect_visible(rect) {
            let (fill, border, ink) = self.look(palette, &response);
            let painter = ui.painter();
            painter.rect(rect, CONTROL_RADIUS, fill, Stroke::new(palette.border_width(), border), StrokeKind::Inside);
            let mut x = rect.center().x - content / 2.0;
            if let Some(icon) = self.icon {
                paint_icon(painter, icon, Rect::from_center_size(pos2(x + 8.0, rect.center().y), vec2(16.0, 16.0)), ink);
                x += icon_width;
            }
            let words_width = words.size().x;
            painter.galley(pos2(x, rect.center().y - words.size().y / 2.0), words, ink);
            if let Some(keys) = keys {
                let color = theme::on_surface(fill, ink, 0.65);
                painter.galley(pos2(x + words_width + 12.0, rect.center().y - keys.size().y / 2.0), keys, color);
            }
            focus_ring(ui, &response, CONTROL_RADIUS);
        }
        response
    }
}

/// A square button with an icon only; `name` is its accessible name and its tooltip.
#[must_use = "add it with ui.add"]
pub struct IconButton<'a> {
    icon: Icon,
    name: &'a str,
    side: f32,
    on: bool,
    tone: Option<Color32>,
}

/// A square, quiet button with an icon; `name` is its accessible name and its tooltip.
pub fn icon_button(icon: Icon, name: &str) -> IconButton<'_> {
    IconButton { icon, name, side: 28.0, on: false, tone: None }
}

impl IconButton<'_> {
    /// Side in points, 28 if not said.
    pub fn side(mut self, side: f32) -> Self {
        self.side = side;
        self
    }

    /// Shown as switched on.
    pub fn on(mut self, on: bool) -> Self {
        self.on = on;
        self
    }

    /// Ink of the icon, muted if not said.
    pub fn ink(mut self, color: Color32) -> Self {
        self.tone = Some(color);
        self
    }
}

impl Widget for IconButton<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(self.side, self.side), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.name));
        if ui.is_rect_visible(rect) {
            let hovered = response.hovered() || response.has_focus();
            let fill = match (self.on, hovered) {
                (true, _) => palette.accent_tint,
                (false, true) => palette.raised,
                (false, false) => Color32::TRANSPARENT,
            };
            ui.painter().rect_filled(rect, CONTROL_RADIUS, fill);
            let ink = self.tone.unwrap_or(if self.on {
                palette.accent
            } else if hovered {
                palette.text
            } else {
                palette.muted
            });
            paint_icon(ui.painter(), self.icon, rect.shrink((self.side - 16.0).max(0.0) / 2.0), ink);
            focus_ring(ui, &response, CONTROL_RADIUS);
        }
        response.on_hover_text(self.name)
    }
}

/// An entry of the rail or of a list of pages.
pub fn nav_item(ui: &mut Ui, name: &str, selected: bool) -> Response {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), CONTROL_HEIGHT + 2.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Tab, ui.is_enabled(), selected, name));
    if ui.is_rect_visible(rect) {
        row_surface(ui, rect, selected, response.hovered());
        let (font, ink) = if selected { (theme::body_strong(), palette.text) } else { (theme::body(), palette.muted) };
        let words = text::elided(ui, name, font, ink, rect.width() - 20.0);
        ui.painter().galley(pos2(rect.left() + 10.0, rect.center().y - words.size().y / 2.0), words, ink);
        focus_ring(ui, &response, CONTROL_RADIUS);
    }
    response
}
