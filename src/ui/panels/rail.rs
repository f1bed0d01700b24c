//! The pages, on the left.

use egui::{Painter, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState, Page};
use crate::ui::theme::{self, CONTROL_RADIUS};
use crate::ui::widgets::{Icon, focus_ring, paint_icon, row_surface};

/// Width with words, points.
const WIDE: f32 = 132.0;
/// Width with icons only, points.
const NARROW: f32 = 56.0;
const ITEM_HEIGHT: f32 = 36.0;

/// How wide the rail wants to be in a window of this width: words where there is room, icons alone where there is not.
pub fn rail_width(window_width: f32) -> f32 {
    if window_width < 1100.0 { NARROW } else { WIDE }
}

/// Paints the pages; the one shown is selected.
pub fn rail(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    ui.spacing_mut().item_spacing.y = 4.0;
    for (index, page) in Page::ALL.into_iter().enumerate() {
        if matches!(page, Page::Library | Page::Settings) {
            separator(ui);
        }
        let selected = state.page == page;
        let response = item(ui, page, selected).on_hover_text(format!("{} (Ctrl+{})", about(page), index + 1));
        if response.clicked() && !selected {
            actions.push(Action::Navigate(page));
        }
    }
}

fn about(page: Page) -> &'static str {
    match page {
        Page::Chat => "Talk to the model",
        Page::Compare => "Ask several designs the same and see where they part",
        Page::Measure => "Which design is best here: measure a set of them, and choose",
        Page::Quality => "What a quantization level costs, on your own text",
        Page::Library => "Models and quantization levels on this machine",
        Page::Runs => "What was measured, to find and to compare",
        Page::Settings => "How Inferscope looks and behaves",
    }
}

fn separator(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 17.0), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.center().y, Stroke::new(1.0, theme::palette(ui).hairline));
}

fn item(ui: &mut Ui, page: Page, selected: bool) -> Response {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ITEM_HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Tab, ui.is_enabled(), selected, page.name()));
    if ui.is_rect_visible(rect) {
        row_surface(ui, rect, selected, response.hovered());
        let ink = if selected { palette.text } else { palette.muted };
        let with_words = rect.width() > 80.0;
        let icon_x = if with_words { rect.left() + 10.0 } else { rect.center().x - 8.0 };
        paint_page_icon(ui.painter(), page, Rect::from_min_size(pos2(icon_x, rect.center().y - 8.0), vec2(16.0, 16.0)), ink);
        if with_words {
            let font = if selected { theme::body_strong() } else { theme::body() };
            let words = ui.painter().layout_no_wrap(page.name().to_owned(), font, ink);
            ui.painter().galley(pos2(rect.left() + 36.0, rect.center().y - words.size().y / 2.0), words, ink);
        }
        focus_ring(ui, &response, CONTROL_RADIUS);
    }
    response
}

fn paint_page_icon(painter: &Painter, page: Page, rect: Rect, color: egui::Color32) {
    let stroke = Stroke::new(1.4, color);
    let at = |x: f32, y: f32| pos2(rect.left() + x, rect.top() + y);
    match page {
        Page::Chat => {
            let bubble = Rect::from_min_max(at(1.5, 2.0), at(14.5, 11.5));
            painter.rect_stroke(bubble, 3.0, stroke, StrokeKind::Middle);
            painter.add(Shape::line(vec![at(4.5, 11.5), at(4.5, 14.5), at(8.0, 11.5)], stroke));
        }
        Page::Compare => {
            // two answers side by side, the second of which parts from the first
            for (left, right) in [(1.5, 7.0), (9.0, 14.5)] {
                painter.line_segment([at(left, 3.0), at(right, 3.0)], stroke);
                painter.line_segment([at(left, 7.0), at(right, 7.0)], stroke);
            }
            painter.line_segment([at(1.5, 11.0), at(7.0, 11.0)], stroke);
            painter.rect_filled(Rect::from_min_max(at(9.0, 9.5), at(14.5, 13.0)), 1.5, color);
        }
        Page::Measure => {
            // two axes, and points that rise
            painter.add(Shape::line(vec![at(2.0, 1.5), at(2.0, 14.0), at(14.5, 14.0)], stroke));
            for (x, y) in [(5.5, 10.5), (8.5, 6.0), (12.5, 3.5)] {
                painter.circle_filled(at(x, y), 1.7, color);
            }
        }
        Page::Quality => {
            // a text of which one word stands out
            for (y, from, to) in [(3.5, 1.5, 14.5), (8.0, 1.5, 5.5), (12.5, 1.5, 14.5)] {
                painter.line_segment([at(from, y), at(to, y)], stroke);
            }
            painter.rect_filled(Rect::from_min_max(at(7.5, 6.0), at(14.5, 10.0)), 1.5, color);
        }
        Page::Library => {
            // a ladder: two rails, three rungs
            for x in [4.0, 12.0] {
                painter.line_segment([at(x, 1.5), at(x, 14.5)], stroke);
            }
            for y in [4.0, 8.0, 12.0] {
                painter.line_segment([at(4.0, y), at(12.0, y)], stroke);
            }
        }
        Page::Runs => {
            // samples around a line
            painter.line_segment([at(1.5, 14.5), at(14.5, 14.5)], stroke);
            for (x, y) in [(3.5, 9.5), (6.5, 5.0), (9.5, 7.5), (12.5, 2.5)] {
                painter.circle_filled(at(x, y), 1.6, color);
            }
        }
        Page::Settings => paint_icon(painter, Icon::Settings, rect, color),
    }
}
