//! Memory as one stacked bar with its legend, real against predicted.

use egui::{Color32, Rect, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::text;
use crate::ui::theme;

const BAR_HEIGHT: f32 = 16.0;
const ROW_HEIGHT: f32 = 20.0;
const GAP: f32 = 2.0;

/// One part of the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment<'a> {
    /// What it is.
    pub label: &'a str,
    /// Its size, in any unit shared by the bar.
    pub value: f64,
    /// Its size in words, right-aligned in the legend.
    pub text: &'a str,
    /// Its colour, usually one of [`theme::Palette::data`].
    pub color: Color32,
}

/// A stacked bar over the available width.
#[must_use = "call show"]
pub struct MemoryBar<'a> {
    segments: &'a [Segment<'a>],
    full: f64,
    predicted: Option<f64>,
    legend: bool,
    name: &'a str,
}

impl<'a> MemoryBar<'a> {
    /// `name` says what is measured, for those who cannot see it.
    pub fn new(name: &'a str, segments: &'a [Segment<'a>]) -> Self {
        Self { segments, full: 0.0, predicted: None, legend: true, name }
    }

    /// What the full width stands for, when it is more than the sum of the parts.
    pub fn out_of(mut self, full: f64) -> Self {
        self.full = full;
        self
    }

    /// A tick where the whole was expected to end.
    pub fn predicted(mut self, predicted: f64) -> Self {
        self.predicted = Some(predicted);
        self
    }

    /// The bar alone.
    pub fn without_legend(mut self) -> Self {
        self.legend = false;
        self
    }

    /// Paints the bar and its legend.
    pub fn show(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let width = ui.available_width();
        let total: f64 = self.segments.iter().map(|part| part.value.max(0.0)).sum();
        let scale = total.max(self.full).max(self.predicted.unwrap_or(0.0));
        let (rect, response) = ui.allocate_exact_size(vec2(width, BAR_HEIGHT + 4.0), Sense::hover());
        response.widget_info(|| {
            let parts: Vec<String> = self.segments.iter().map(|part| format!("{} {}", part.label, part.text)).collect();
            WidgetInfo::labeled(Role::Image, true, format!("{}: {}", self.name, parts.join(", ")))
        });
        let bar = rect.shrink2(vec2(0.0, 2.0));
        ui.painter().rect_filled(bar, 3.0, palette.raised);
        let mut hint = None;
        if scale > 0.0 {
            let mut left = bar.left();
            for part in self.segments {
                let length = (part.value.max(0.0) / scale) as f32 * bar.width();
                let piece = Rect::from_min_max(pos2(left, bar.top()), pos2((left + length - GAP).max(left), bar.bottom()));
                if length > 0.0 {
                    // a part too small for a pixel still shows that it is there
                    let piece = if piece.width() < 1.0 { Rect::from_min_size(piece.min, vec2(1.0, bar.height())) } else { piece };
                    ui.painter().rect_filled(piece, 2.0, part.color);
                }
                if response.hover_pos().is_some_and(|pos| pos.x >= left && pos.x < left + length) {
                    hint = Some(format!("{}: {}", part.label, part.text));
                }
                left += length;
            }
            if let Some(predicted) = self.predicted {
                let x = bar.left() + (predicted / scale) as f32 * bar.width();
                ui.painter().vline(x.min(bar.right() - 1.0), rect.y_range(), Stroke::new(2.0, palette.text));
            }
        }
        if self.legend {
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing.y = 0.0;
                self.segments.iter().for_each(|part| legend_row(ui, part));
            });
        }
        match hint {
            Some(hint) => response.on_hover_text_at_pointer(hint),
            None => response,
        }
    }
}

fn legend_row(ui: &mut Ui, part: &Segment<'_>) {
    let palette = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    if !ui.is_rect_visible(rect) {
        return;
    }
    let value = text::elided(ui, part.text, theme::mono(), palette.text, rect.width());
    let label = text::elided(ui, part.label, theme::small(), palette.muted, rect.width() - value.size().x - 26.0);
    let middle = rect.center().y;
    let painter = ui.painter();
    painter.rect_filled(Rect::from_center_size(pos2(rect.left() + 5.0, middle), vec2(10.0, 10.0)), 3.0, part.color);
    painter.galley(pos2(rect.left() + 16.0, middle - label.size().y / 2.0), label, palette.muted);
    painter.galley(pos2(rect.right() - value.size().x, middle - value.size().y / 2.0), value, palette.text);
}
