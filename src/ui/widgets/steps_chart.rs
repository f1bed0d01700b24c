//! A small chart of one figure over the values of one setting: lines with intervals, the best of each marked.

use egui::{Color32, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::text;
use crate::ui::theme::{self, Palette};

/// No more lines than can be told apart.
const MOST_LINES: usize = 4;
const LEFT: f32 = 44.0;
const BELOW: f32 = 18.0;

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChartStep {
    /// What was set
    pub at: u32,
    /// What was measured
    pub value: f64,
    /// Where it lies with confidence
    pub interval: Option<[f64; 2]>,
    /// The best of its line: a disc in a ring
    pub is_best: bool,
    /// Cannot be told from the best: a disc; else a small ring
    pub is_same: bool,
}

/// One line.
pub struct ChartLine<'a> {
    /// Its name
    pub name: &'a str,
    /// By what was set, ascending
    pub steps: Vec<ChartStep>,
}

/// A small chart over the available width.
#[must_use = "call show"]
pub struct StepsChart<'a> {
    name: &'a str,
    lines: &'a [ChartLine<'a>],
    sentence: &'a str,
    tick: &'a dyn Fn(f64) -> String,
    height: f32,
}

impl<'a> StepsChart<'a> {
    /// `name` says what is measured over what (`decode t/s by threads`), `sentence` what follows from it.
    pub fn new(name: &'a str, lines: &'a [ChartLine<'a>], sentence: &'a str, tick: &'a dyn Fn(f64) -> String) -> Self {
        Self { name, lines, sentence, tick, height: 112.0 }
    }

    /// Paints the name, the lines with their legend, and the sentence.
    pub fn show(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        ui.spacing_mut().item_spacing.y = 4.0;
        text::label(ui, self.name, theme::small_strong(), palette.text);
        self.legend(ui, palette);
        let (outer, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Figure, true, format!("{}: {}", self.name, self.sentence)));
        if ui.is_rect_visible(outer) {
            let frame = Rect::from_min_max(outer.min + vec2(LEFT, 6.0), outer.max - vec2(14.0, BELOW));
            self.paint(ui, palette, frame);
        }
        text::wrapped(ui, self.sentence, theme::small(), palette.muted);
        response
    }

    fn shown(&self) -> impl Iterator<Item = (usize, &ChartLine<'a>)> {
        self.lines.iter().take(MOST_LINES).enumerate()
    }

    /// The lines by name, and how many have no place.
    fn legend(&self, ui: &mut Ui, palette: &Palette) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (index, line) in self.shown() {
                let (swatch, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
                dash(ui.painter(), index, &[swatch.left_center(), swatch.right_center()], color(palette, index));
                text::muted(ui, line.name);
                ui.add_space(8.0);
            }
            if self.lines.len() > MOST_LINES {
                text::muted(ui, format!("{} more in the table", self.lines.len() - MOST_LINES));
            }
        });
    }

    fn paint(&self, ui: &Ui, palette: &Palette, frame: Rect) {
        let steps = || self.shown().flat_map(|(_, line)| &line.steps);
        let mut settings: Vec<u32> = steps().map(|step| step.at).collect();
        settings.sort_unstable();
        settings.dedup();
        let top =
            steps().map(|step| step.interval.map_or(step.value, |interval| interval[1])).filter(|v| v.is_finite()).fold(0.0, f64::max)
                * 1.06;
        if settings.is_empty() || top <= 0.0 {
            return;
        }
        // settings stand evenly: they double more often than they step
        let x_of = |at: u32| {
            let place = settings.iter().position(|setting| *setting == at).unwrap_or(0) as f32;
            frame.left() + 10.0 + place / (settings.len() - 1).max(1) as f32 * (frame.width() - 20.0)
        };
        let y_of = |value: f64| frame.bottom() - (value / top).clamp(0.0, 1.0) as f32 * frame.height();
        let (painter, font) = (ui.painter(), theme::small());
        for value in round_values(top) {
            let y = y_of(value).round() - 0.5;
            painter.hline(frame.x_range(), y, Stroke::new(1.0, palette.grid()));
            let words = text::elided(ui, &(self.tick)(value), font.clone(), palette.muted, LEFT - 8.0);
            painter.galley(pos2(frame.left() - 6.0 - words.size().x, y - words.size().y / 2.0), words, palette.muted);
        }
        let every = settings.len().div_ceil((frame.width() / 44.0).max(1.0) as usize).max(1);
        for at in settings.iter().step_by(every) {
            let words = text::elided(ui, &at.to_string(), font.clone(), palette.muted, 60.0);
            painter.galley(pos2(x_of(*at) - words.size().x / 2.0, frame.bottom() + 4.0), words, palette.muted);
        }
        for (index, line) in self.shown() {
            let color = color(palette, index);
            let places: Vec<Pos2> = line.steps.iter().map(|step| pos2(x_of(step.at), y_of(step.value))).collect();
            dash(painter, index, &places, color);
            for (step, at) in line.steps.iter().zip(&places) {
                if let Some([low, high]) = step.interval {
                    painter.line_segment([pos2(at.x, y_of(low)), pos2(at.x, y_of(high))], Stroke::new(1.0, color));
                }
                step_mark(painter, palette, step, *at, color);
            }
        }
    }
}

/// Zero and up to four round values up to `top`.
fn round_values(top: f64) -> Vec<f64> {
    let least = top / 4.0;
    let power = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|step| *step >= least).unwrap_or(10.0 * power);
    (0..=4).map(|i| f64::from(i) * step).filter(|value| *value <= top).collect()
}

fn color(palette: &Palette, index: usize) -> Color32 {
    match index {
        0 => palette.accent,
        n => palette.data.get(n - 1).copied().unwrap_or(palette.muted),
    }
}

/// A line in its own pattern, so that it is known without its colour.
fn dash(painter: &Painter, index: usize, places: &[Pos2], color: Color32) {
    let stroke = Stroke::new(1.5, color);
    match index {
        0 => {
            painter.add(Shape::line(places.to_vec(), stroke));
        }
        n => {
            let (on, off) = match n {
                1 => (7.0, 3.0),
                2 => (2.0, 3.0),
                _ => (10.0, 5.0),
            };
            painter.extend(Shape::dashed_line(places, stroke, on, off));
        }
    }
}

fn step_mark(painter: &Painter, palette: &Palette, step: &ChartStep, at: Pos2, color: Color32) {
    if step.is_best {
        painter.circle_filled(at, 4.0, color);
        painter.circle_stroke(at, 6.5, Stroke::new(1.25, color));
    } else if step.is_same {
        painter.circle_filled(at, 4.0, color);
    } else {
        painter.circle(at, 3.0, palette.panel, Stroke::new(1.5, color));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beside_the_chart_are_round() {
        assert_eq!(round_values(159.0), [0.0, 50.0, 100.0, 150.0]);
        assert_eq!(round_values(809.0), [0.0, 500.0]);
        assert_eq!(round_values(8.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
    }
}
