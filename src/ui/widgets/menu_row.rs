//! A row of a menu: a name, and under it what is to be known of it.

use egui::{Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::chrome::{focus_ring, row_surface};
use super::text::elided;
use crate::ui::theme::{self, CONTROL_RADIUS};

/// Height of a row with a note, points.
pub const MENU_ROW: f32 = 40.0;

/// Paints a row over the available width; an empty `note` leaves a row of one line.
pub fn menu_row(ui: &mut Ui, name: &str, note: &str, selected: bool) -> Response {
    let palette = theme::palette(ui);
    let height = if note.is_empty() { 30.0 } else { MENU_ROW };
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::MenuItem, ui.is_enabled(), selected, name));
    if ui.is_rect_visible(rect) {
        row_surface(ui, rect, selected, response.hovered());
        let name = elided(ui, name, theme::body(), palette.text, rect.width() - 16.0);
        let note = elided(ui, note, theme::small(), palette.muted, rect.width() - 16.0);
        let lines = name.size().y + if note.text().is_empty() { 0.0 } else { note.size().y };
        let top = rect.center().y - lines / 2.0;
        let note_top = top + name.size().y;
        ui.painter().galley(pos2(rect.left() + 8.0, top), name, palette.text);
        ui.painter().galley(pos2(rect.left() + 8.0, note_top), note, palette.muted);
        focus_ring(ui, &response, CONTROL_RADIUS);
    }
    response
}
