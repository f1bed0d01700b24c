//! Progress of long work: what it is, how far, how long still, and a way out.

use egui::{Align, Layout, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::buttons::ghost_button;
use super::text;
use crate::ui::theme;

/// One running job.
#[must_use = "call show"]
pub struct Progress<'a> {
    label: &'a str,
    fraction: Option<f32>,
    left: Option<&'a str>,
    cancel: bool,
}

/// What happened to a [`Progress`].
pub struct ProgressResponse {
    /// Cancel was pressed.
    pub cancelled: bool,
    /// The bar itself.
    pub bar: Response,
}

impl<'a> Progress<'a> {
    /// `fraction` is 0 to 1, or `None` while it is not known.
    pub fn new(label: &'a str, fraction: Option<f32>) -> Self {
        Self { label, fraction, left: None, cancel: false }
    }

    /// The time left, in words.
    pub fn left(mut self, left: &'a str) -> Self {
        self.left = Some(left);
        self
    }

    /// With a Cancel button.
    pub fn cancellable(mut self) -> Self {
        self.cancel = true;
        self
    }

    /// Paints a line of words over a thin bar.
    pub fn show(self, ui: &mut Ui) -> ProgressResponse {
        let palette = theme::palette(ui);
        let mut cancelled = false;
        let percent = self.fraction.map(|fraction| format!("{:.0} %", fraction.clamp(0.0, 1.0) * 100.0));
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 28.0), Layout::right_to_left(Align::Center), |ui| {
            if self.cancel {
                cancelled = ui.add(ghost_button("Cancel")).clicked();
            }
            if let Some(percent) = &percent {
                text::mono(ui, percent);
            }
            if let Some(left) = self.left {
                text::muted(ui, left);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                text::label(ui, self.label, theme::body(), palette.text);
            });
        });
        let (rect, bar) = ui.allocate_exact_size(vec2(ui.available_width(), 4.0), Sense::hover());
        bar.widget_info(|| {
            let value = percent.as_deref().unwrap_or("working");
            WidgetInfo::labeled(Role::ProgressIndicator, true, format!("{}, {value}", self.label))
        });
        ui.painter().rect_filled(rect, 2.0, palette.hairline);
        let (from, to) = self.fraction.map_or((0.36, 0.64), |fraction| (0.0, fraction.clamp(0.0, 1.0)));
        let done =
            Rect::from_min_max(pos2(rect.left() + rect.width() * from, rect.top()), pos2(rect.left() + rect.width() * to, rect.bottom()));
        ui.painter().rect_filled(done, 2.0, palette.accent);
        ProgressResponse { cancelled, bar }
    }
}
