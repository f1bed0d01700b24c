//! A segmented control: one of a few, all in view.

use egui::{Color32, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::chrome::focus_ring;
use super::text;
use crate::ui::theme::{self, CONTROL_HEIGHT};

/// Lets `value` be one of `options`. The response is changed when another one was picked.
pub fn segmented<T: PartialEq + Copy>(ui: &mut Ui, name: &str, value: &mut T, options: &[(T, &str)]) -> Response {
    let palette = theme::palette(ui);
    let words: Vec<_> =
        options.iter().map(|(_, label)| text::elided(ui, label, theme::body(), Color32::PLACEHOLDER, f32::INFINITY)).collect();
    let widths: Vec<f32> = words.iter().map(|words| (words.size().x + 24.0).ceil()).collect();
    let size = vec2(widths.iter().sum::<f32>() + 4.0, CONTROL_HEIGHT);
    let (rect, mut response) = ui.allocate_exact_size(size, Sense::hover());
    ui.painter().rect(rect, 8.0, palette.page, Stroke::new(palette.border_width(), palette.hairline), StrokeKind::Inside);
    let mut left = rect.left() + 2.0;
    for (((option, label), words), width) in options.iter().zip(words).zip(widths) {
        let cell = Rect::from_min_size(pos2(left, rect.top() + 2.0), vec2(width, rect.height() - 4.0));
        let picked = ui.interact(cell, response.id.with((name, *label)), Sense::click());
        if picked.clicked() && *value != *option {
            *value = *option;
            response.mark_changed();
        }
        let selected = *value == *option;
        picked.widget_info(|| WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), selected, label));
        if selected {
            let edge = if palette.is_dark() { palette.hairline } else { palette.faint };
            ui.painter().rect(cell, 6.0, palette.hover, Stroke::new(palette.border_width(), edge), StrokeKind::Inside);
        }
        let ink = if selected || picked.hovered() { palette.text } else { palette.muted };
        ui.painter().galley(cell.center() - words.size() / 2.0, words, ink);
        focus_ring(ui, &picked, 6);
        left += width;
    }
    response
}
