//! Raw samples on one line: every value a dot, the interval a band, the median a tick.

use egui::{Response, Role, Sense, Stroke, Ui, Widget, WidgetInfo, pos2, vec2};

use super::text;
use crate::ui::theme;

/// Samples of one figure, in the order they were measured.
#[must_use = "add it with ui.add"]
pub struct DotPlot<'a> {
    name: &'a str,
    samples: &'a [f64],
    middle: f64,
    interval: Option<[f64; 2]>,
    words: &'a dyn Fn(f64) -> String,
}

impl<'a> DotPlot<'a> {
    /// `middle` is the median; `words` says a value with its unit.
    pub fn new(name: &'a str, samples: &'a [f64], middle: f64, words: &'a dyn Fn(f64) -> String) -> Self {
        Self { name, samples, middle, interval: None, words }
    }

    /// Where the middle lies with confidence.
    pub fn interval(mut self, interval: Option<[f64; 2]>) -> Self {
        self.interval = interval;
        self
    }
}

impl Widget for DotPlot<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 40.0), Sense::hover());
        let ends = self.samples.iter().chain(self.interval.iter().flatten()).copied().filter(|value| value.is_finite());
        let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let say = |value: f64| (self.words)(value);
        let summary = match self.samples {
            [] => format!("{}, no samples", self.name),
            [one] => format!("{}, one sample, {}", self.name, say(*one)),
            _ => format!("{}, {} samples from {} to {}, median {}", self.name, self.samples.len(), say(low), say(high), say(self.middle)),
        };
        response.widget_info(|| WidgetInfo::labeled(Role::Figure, true, &summary));
        if !ui.is_rect_visible(rect) || low > high {
            return response.on_hover_text(summary);
        }
        let air = if high > low { (high - low) * 0.06 } else { high.abs() * 0.05 + 1e-9 };
        let (from, to) = (low - air, high + air);
        let x_of = |value: f64| rect.left() + 4.0 + ((value - from) / (to - from)) as f32 * (rect.width() - 8.0);
        let (painter, y) = (ui.painter(), rect.top() + 12.0);
        painter.hline(rect.x_range(), y, Stroke::new(1.0, palette.grid()));
        if let Some([low, high]) = self.interval {
            let band = egui::Rect::from_min_max(pos2(x_of(low), y - 8.0), pos2(x_of(high), y + 8.0));
            painter.rect_filled(band, 2.0, theme::on_surface(palette.panel, palette.accent, 0.16));
        }
        painter.vline(x_of(self.middle), y - 9.0..=y + 9.0, Stroke::new(1.5, palette.accent));
        let data = palette.data.first().copied().unwrap_or(palette.text);
        for value in self.samples.iter().filter(|value| value.is_finite()) {
            painter.circle(pos2(x_of(*value), y), 3.0, data, Stroke::new(1.0, palette.panel));
        }
        let font = theme::small();
        let left = text::elided(ui, &say(low), font.clone(), palette.muted, rect.width() / 2.0);
        let right = text::elided(ui, &say(high), font, palette.muted, rect.width() / 2.0);
        painter.galley(pos2(rect.left(), y + 12.0), left, palette.muted);
        painter.galley(pos2(rect.right() - right.size().x, y + 12.0), right, palette.muted);
        response.on_hover_text(summary)
    }
}
