//! A switch.

use egui::{Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::chrome::focus_ring;
use crate::ui::theme;

/// A switch for `on`, named `name` for those who cannot see what stands next to it.
pub fn toggle(ui: &mut Ui, on: &mut bool, name: &str) -> Response {
    let palette = theme::palette(ui);
    let (rect, mut response) = ui.allocate_exact_size(vec2(36.0, 20.0), Sense::click());
    if response.clicked() {
        *on = !*on;
        response.mark_changed();
    }
    response.widget_info(|| WidgetInfo::selected(Role::Switch, ui.is_enabled(), *on, name));
    if ui.is_rect_visible(rect) {
        let (fill, border, knob) =
            if *on { (palette.accent, palette.accent, palette.accent_ink) } else { (palette.raised, palette.faint, palette.muted) };
        let x = if *on { rect.right() - 10.0 } else { rect.left() + 10.0 };
        ui.painter().rect(rect, 10.0, fill, Stroke::new(palette.border_width(), border), StrokeKind::Inside);
        ui.painter().circle_filled(pos2(x, rect.center().y), 6.0, knob);
        focus_ring(ui, &response, 10);
    }
    response
}
