//! Surfaces and what separates them: panels, cards, hairlines, focus rings, page headers and empty pages.

use egui::{
    Align, Color32, Frame, InnerResponse, Layout, Margin, Rect, Response, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, vec2,
};

use super::{buttons::primary_button, text};
use crate::ui::theme::{self, CARD_PADDING, CONTROL_RADIUS, PANEL_RADIUS};

/// A window lower than this has no room to spare, points.
const LOW: f32 = 420.0;

/// Shows keyboard focus around a control: a ring of the accent, two points outside its edge.
pub fn focus_ring(ui: &Ui, response: &Response, radius: u8) {
    if response.has_focus() {
        let palette = theme::palette(ui);
        let stroke = Stroke::new(1.5 * palette.border_width(), palette.accent);
        ui.painter().rect_stroke(response.rect.expand(2.0), f32::from(radius) + 2.0, stroke, StrokeKind::Outside);
    }
}

/// A one point line over the available width, with the space of the grid around it.
pub fn hairline(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 1.0), Sense::hover());
    ui.painter().rect_filled(rect, 0.0, theme::palette(ui).hairline);
}

/// The frame of bars, rails and side panels: panel surface, no border of its own.
pub fn panel_frame(ui: &Ui) -> Frame {
    Frame::new().fill(theme::palette(ui).panel).inner_margin(Margin::same(CARD_PADDING as i8))
}

/// The frame of a card: panel surface, hairline, 10 point corners.
pub fn card_frame(ui: &Ui) -> Frame {
    let palette = theme::palette(ui);
    Frame::new()
        .fill(palette.panel)
        .stroke(Stroke::new(palette.border_width(), palette.hairline))
        .corner_radius(PANEL_RADIUS)
        .inner_margin(Margin::same(CARD_PADDING as i8))
}

/// The frame of something raised above the page: a bubble, a code block.
pub fn raised_frame(ui: &Ui) -> Frame {
    Frame::new().fill(theme::palette(ui).raised).corner_radius(PANEL_RADIUS).inner_margin(Margin::symmetric(14, 10))
}

/// A card over the whole available width.
pub fn card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> InnerResponse<R> {
    card_frame(ui).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        add(ui)
    })
}

/// Rows without space between them, as lists of readings stand.
pub fn tight<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        add(ui)
    })
    .inner
}

/// Paints the surface of a list row: selected, under the pointer, or nothing.
pub fn row_surface(ui: &Ui, rect: Rect, selected: bool, hovered: bool) {
    let palette = theme::palette(ui);
    let fill = match (selected, hovered) {
        (true, _) => palette.raised,
        (false, true) => theme::on_surface(palette.panel, palette.raised, 0.6),
        (false, false) => Color32::TRANSPARENT,
    };
    ui.painter().rect_filled(rect, CONTROL_RADIUS, fill);
    // there the surfaces alone are too close to each other
    if selected && palette.border_width() > 1.0 {
        let stroke = Stroke::new(palette.border_width(), palette.hairline);
        ui.painter().rect_stroke(rect, CONTROL_RADIUS, stroke, StrokeKind::Inside);
    }
}

/// The head of a page: its question, one muted sentence, and actions on the right; below, where the question would not fit beside them.
pub fn page_header<R>(ui: &mut Ui, question: &str, sentence: &str, actions: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = theme::palette(ui);
    // what the actions take is known from the last frame
    let id = ui.scope_id().with("page header");
    let known = ui.data(|data| data.get_temp::<f32>(id));
    let needed = ui.painter().layout_no_wrap(question.to_owned(), theme::page_title(), palette.text).size().x;
    let beside = needed + known.unwrap_or(0.0) + 2.0 * ui.spacing().item_spacing.x <= ui.available_width();
    let explain = |ui: &mut Ui| {
        if !sentence.is_empty() {
            text::wrapped(ui, sentence, theme::small(), palette.muted);
        }
    };
    let (inner, width) = if beside {
        let inner = ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let inner = actions(ui);
                let width = ui.min_rect().width();
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| text::page_title(ui, question));
                (inner, width)
            })
            .inner
        });
        explain(ui);
        inner.inner
    } else {
        text::wrapped(ui, question, theme::page_title(), palette.text);
        explain(ui);
        ui.horizontal(|ui| {
            let inner = actions(ui);
            (inner, ui.min_rect().width())
        })
        .inner
    };
    if known.is_none_or(|known| (known - width).abs() > 0.5) {
        ui.data_mut(|data| data.insert_temp(id, width));
        ui.ctx().request_discard("the actions of the page have another width");
    }
    inner
}

/// Paints a page that divides its height among its parts. Where there are fewer points than `least`, it gets that many and scrolls.
pub fn at_least(ui: &mut Ui, name: &str, least: f32, add: impl FnOnce(&mut Ui)) {
    if ui.available_height() >= least {
        return add(ui);
    }
    ScrollArea::vertical().id_salt(name).auto_shrink([false, false]).show(ui, |ui| {
        let room = Rect::from_min_size(ui.max_rect().min, vec2(ui.available_width(), least));
        ui.scope_builder(UiBuilder::new().max_rect(room), add);
    });
}

/// What an empty page says: what would be here, and the one button that starts it. True when the button was used.
pub fn empty_state(ui: &mut Ui, title: &str, sentence: &str, action: Option<&str>) -> bool {
    let mut used = false;
    let palette = theme::palette(ui);
    ui.vertical_centered(|ui| {
        let is_low = ui.ctx().content_rect().height() < LOW;
        ui.add_space((ui.available_height() * 0.3).clamp(16.0, if is_low { 16.0 } else { 240.0 }));
        text::title(ui, title);
        ui.scope(|ui| {
            ui.set_max_width(ui.available_width().min(440.0));
            let mut job = egui::text::LayoutJob::simple(sentence.to_owned(), theme::body(), palette.muted, ui.available_width());
            job.halign = Align::Center;
            let galley = ui.painter().layout_job(job);
            let (rect, response) = ui.allocate_exact_size(galley.size(), Sense::hover());
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, sentence));
            ui.painter().galley(rect.center_top(), galley, palette.muted);
        });
        if let Some(action) = action {
            ui.add_space(12.0);
            used = ui.add(primary_button(action)).clicked();
        }
    });
    used
}
