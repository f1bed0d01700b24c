//! Notices: one line that says what happened, with what can be done about it.

use egui::{Align, Frame, Layout, Margin, Stroke, Ui, vec2};

use super::buttons::{ghost_button, icon_button};
use super::glyph::{Icon, paint_icon};
use super::text::{self, Tone};
use crate::ui::theme;

/// How much a notice weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// It was done.
    Info,
    /// It was done, but not as asked.
    Warning,
    /// It was not done.
    Error,
}

impl Level {
    fn icon(self) -> Icon {
        match self {
            Self::Info => Icon::Info,
            Self::Warning | Self::Error => Icon::Warning,
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Info => Tone::Accent,
            Self::Warning => Tone::Event,
            Self::Error => Tone::Limit,
        }
    }
}

/// One notice.
#[must_use = "call show"]
pub struct Notice<'a> {
    level: Level,
    text: &'a str,
    action: Option<&'a str>,
    closable: bool,
}

/// What was pressed on a [`Notice`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticeResponse {
    /// Its action.
    pub acted: bool,
    /// Its close button.
    pub closed: bool,
}

/// Width that the icon takes, points.
const ICON: f32 = 24.0;
/// Rows of text that a button may stand beside.
const MOST_ROWS_BESIDE: f32 = 2.5;

impl<'a> Notice<'a> {
    /// A notice that can be closed.
    pub fn new(level: Level, text: &'a str) -> Self {
        Self { level, text, action: None, closable: true }
    }

    /// With a button that says `action`.
    pub fn action(mut self, action: &'a str) -> Self {
        self.action = Some(action);
        self
    }

    /// Stays until its cause is gone.
    pub fn permanent(mut self) -> Self {
        self.closable = false;
        self
    }

    /// Paints it over the available width.
    pub fn show(self, ui: &mut Ui) -> NoticeResponse {
        let palette = theme::palette(ui);
        let ink = self.level.tone().ink(palette);
        let mut response = NoticeResponse::default();
        Frame::new()
            .fill(palette.raised)
            .stroke(Stroke::new(palette.border_width(), palette.hairline))
            .corner_radius(8)
            .inner_margin(Margin { left: 12, right: 8, top: 6, bottom: 6 })
            .show(ui, |ui| {
                let width = ui.available_width();
                ui.set_min_width(width);
                let close = if self.closable { 36.0 } else { 0.0 };
                let beside = width - ICON - close - self.action.map_or(0.0, |action| 24.0 + 8.0 * action.chars().count() as f32);
                let length = ui.painter().layout_no_wrap(self.text.to_owned(), theme::body(), ink).size().x;
                // beside a long text the button would squeeze it into a column of single words
                let below = self.action.filter(|_| length > beside * MOST_ROWS_BESIDE);
                let beside = if below.is_some() { width - ICON - close } else { beside };
                ui.horizontal(|ui| {
                    let (icon, _) = ui.allocate_exact_size(vec2(16.0, 28.0), egui::Sense::hover());
                    paint_icon(ui.painter(), self.level.icon(), icon, ink);
                    ui.allocate_ui_with_layout(vec2(beside.max(80.0), 28.0), Layout::left_to_right(Align::Center), |ui| {
                        ui.set_min_width(ui.available_width());
                        text::body(ui, self.text);
                    });
                    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                        if self.closable {
                            response.closed = ui.add(icon_button(Icon::Close, "Close notice")).clicked();
                        }
                        if let Some(action) = self.action.filter(|_| below.is_none()) {
                            response.acted = ui.add(ghost_button(action)).clicked();
                        }
                    });
                });
                if let Some(action) = below {
                    ui.allocate_ui_with_layout(vec2(width, 28.0), Layout::right_to_left(Align::Center), |ui| {
                        response.acted = ui.add(ghost_button(action)).clicked();
                    });
                }
            });
        response
    }
}

/// A place in the lower right corner, above everything, for the notices of the moment.
pub fn toast_area<R>(ctx: &egui::Context, add: impl FnOnce(&mut Ui) -> R) -> R {
    egui::Area::new(egui::Id::unique("toasts"))
        .anchor(egui::Align2::RIGHT_BOTTOM, vec2(-16.0, -44.0))
        .order(egui::Order::Foreground)
        .show(ctx, |ui| {
            // as wide as the telemetry column: nothing that is typed or pressed lies under it
            ui.set_width(296.0);
            add(ui)
        })
        .inner
}
