//! A small plot over time, painted directly: one line, several, or areas that stand on each other. The cheapest kind there is.

use egui::epaint::Mesh;
use egui::{Color32, Id, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::series_plot::{ago, decimate, nearest};
use super::time_axis;
use crate::ui::theme;

/// One series of a [`TimePlot`].
#[derive(Clone, Copy, Debug)]
pub struct TimeSeries<'a> {
    /// What it is, for the pointer
    pub label: &'a str,
    /// `[seconds, value]` in order of time; a value that is not finite is a gap
    pub points: &'a [[f64; 2]],
    /// Its colour
    pub color: Color32,
}

/// Series over one time axis.
#[must_use = "call show"]
pub struct TimePlot<'a> {
    name: &'a str,
    series: &'a [TimeSeries<'a>],
    range: [f64; 2],
    words: fn(f64) -> String,
    height: f32,
    is_stacked: bool,
    axis: Option<Id>,
}

impl<'a> TimePlot<'a> {
    /// `range` is the time at the left and the right edge, `words` a value with its unit.
    pub fn new(name: &'a str, series: &'a [TimeSeries<'a>], range: [f64; 2], words: fn(f64) -> String) -> Self {
        Self { name, series, range, words, height: 40.0, is_stacked: false, axis: None }
    }

    /// Areas that stand on each other, the first at the bottom. All series must have the same times, as those of one sampler have.
    pub fn stacked(mut self) -> Self {
        self.is_stacked = true;
        self
    }

    /// Height in points, 40 if not said.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Zooms and moves with every other plot of this axis (see [`time_axis`]).
    pub fn axis(mut self, axis: Id) -> Self {
        self.axis = Some(axis);
        self
    }

    /// Paints it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let sense = if self.axis.is_some() { Sense::click_and_drag() } else { Sense::hover() };
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), sense);
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, self.in_words()));
        if let Some(axis) = self.axis {
            time_axis::follow_pointer(&response, rect, axis, self.range);
        }
        if !ui.is_rect_visible(rect) {
            return response;
        }
        let view = self.axis.and_then(|axis| time_axis::zoomed(ui.ctx(), axis)).unwrap_or(self.range);
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, palette.hairline));
        let layers = self.layers(view, rect.width() as usize);
        let top = layers.iter().flatten().map(|[_, y]| *y).filter(|y| y.is_finite()).fold(0.0, f64::max) * 1.08;
        let scale = Scale { rect, view, top };
        if top > 0.0 && view[1] > view[0] {
            let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
            for (index, layer) in layers.iter().enumerate() {
                let Some(series) = self.series.get(index) else { continue };
                let below = index.checked_sub(1).filter(|_| self.is_stacked).and_then(|below| layers.get(below));
                let fill = theme::on_surface(palette.panel, series.color, if self.is_stacked { 0.6 } else { 0.16 });
                paint(&painter, &scale, layer, below.map(Vec::as_slice), series.color, fill);
            }
        }
        self.hover(ui, &response, &scale);
        response
    }

    /// What is painted of each series; stacked ones have what is under them added.
    fn layers(&self, view: [f64; 2], columns: usize) -> Vec<Vec<[f64; 2]>> {
        if !self.is_stacked {
            return self.series.iter().map(|series| decimate(series.points, view, columns)).collect();
        }
        // the sum of all decides which moments are kept, so that every layer keeps the same ones
        let sums = sums(self.series);
        let Some(top) = sums.last() else { return Vec::new() };
        let kept: Vec<f64> = decimate(top, view, columns).into_iter().map(|[at, _]| at).collect();
        sums.iter().map(|sum| kept.iter().map(|at| [*at, value_at(sum, *at)]).collect()).collect()
    }

    fn in_words(&self) -> String {
        let latest = |series: &TimeSeries<'_>| series.points.last().map(|[_, y]| *y).filter(|y| y.is_finite());
        let parts: Vec<String> =
            self.series.iter().filter_map(|series| Some(format!("{} {}", series.label, (self.words)(latest(series)?)))).collect();
        if parts.is_empty() { format!("{}, no value yet", self.name) } else { format!("{}: {}", self.name, parts.join(", ")) }
    }

    /// What was measured at the moment under the pointer.
    fn hover(&self, ui: &Ui, response: &Response, scale: &Scale) {
        let Some(pointer) = response.hover_pos().filter(|_| !response.dragged()) else { return };
        let time = scale.time_at(pointer.x);
        let closest = self.series.iter().filter_map(|series| nearest(series.points, time));
        let Some([at, _]) = closest.min_by(|a, b| (a[0] - time).abs().total_cmp(&(b[0] - time).abs())) else { return };
        let near = |series: &TimeSeries<'_>| nearest(series.points, at).filter(|[found, _]| *found == at).map(|[_, y]| y);
        let mut lines: Vec<String> =
            self.series.iter().filter_map(|series| Some(format!("{} {}", series.label, (self.words)(near(series)?)))).collect();
        if self.is_stacked {
            // as they lie over each other
            lines.reverse();
            let total: f64 = self.series.iter().filter_map(near).sum();
            lines.insert(0, format!("together {}", (self.words)(total)));
        }
        lines.push(ago(self.range[1] - at));
        let palette = theme::palette(ui);
        let x = scale.x_of(at).round() + 0.5;
        ui.painter().vline(x, scale.rect.y_range(), Stroke::new(1.0, palette.muted));
        chip(ui, response, x, &lines.join("\n"));
    }
}

/// Words beside the pointer, in a layer of their own: a small plot has no room for them.
fn chip(ui: &Ui, response: &Response, x: f32, words: &str) {
    let palette = theme::palette(ui);
    let galley = ui.painter().layout_no_wrap(words.to_owned(), theme::small(), palette.text);
    let size = galley.size() + vec2(16.0, 12.0);
    let screen = ui.ctx().content_rect();
    let left = if x + 8.0 + size.x <= response.rect.right() { x + 8.0 } else { x - 8.0 - size.x };
    let top = (response.rect.top() - size.y - 4.0).max(screen.top());
    let rect = Rect::from_min_size(pos2(left.max(screen.left()), top), size);
    let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Tooltip, Id::unique("time plot chip")));
    painter.rect(rect, 4.0, palette.raised, Stroke::new(palette.border_width(), palette.hairline), StrokeKind::Inside);
    painter.galley(rect.min + vec2(8.0, 6.0), galley, palette.text);
}

/// How values become places.
struct Scale {
    rect: Rect,
    view: [f64; 2],
    top: f64,
}

impl Scale {
    fn x_of(&self, time: f64) -> f32 {
        self.rect.left() + ((time - self.view[0]) / (self.view[1] - self.view[0])) as f32 * self.rect.width()
    }

    fn time_at(&self, x: f32) -> f64 {
        self.view[0] + f64::from((x - self.rect.left()) / self.rect.width().max(1.0)) * (self.view[1] - self.view[0])
    }

    fn at(&self, [time, value]: [f64; 2]) -> Pos2 {
        let height = (value / self.top).clamp(0.0, 1.0) as f32 * (self.rect.height() - 1.0);
        pos2(self.x_of(time), self.rect.bottom() - height)
    }
}

/// One series: its area down to `below` (or to the floor), and its line.
fn paint(painter: &Painter, scale: &Scale, layer: &[[f64; 2]], below: Option<&[[f64; 2]]>, color: Color32, fill: Color32) {
    let floor = scale.rect.bottom();
    let mut start = 0;
    while start < layer.len() {
        let run = layer.iter().skip(start).take_while(|[_, y]| y.is_finite()).count();
        let upper: Vec<Pos2> = layer.iter().skip(start).take(run).map(|point| scale.at(*point)).collect();
        let lower: Vec<Pos2> = match below {
            Some(below) => below.iter().skip(start).take(run).map(|point| scale.at(*point)).collect(),
            None => upper.iter().map(|point| pos2(point.x, floor)).collect(),
        };
        painter.add(area(&upper, &lower, fill));
        if upper.len() > 1 {
            painter.add(Shape::line(upper, Stroke::new(1.25, color)));
        }
        start += run + 1;
    }
}

/// The area between two lines over the same times.
fn area(upper: &[Pos2], lower: &[Pos2], color: Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for (index, (top, bottom)) in upper.iter().zip(lower).enumerate() {
        mesh.colored_vertex(*top, color);
        mesh.colored_vertex(*bottom, color);
        if index > 0 {
            let first = 2 * (index as u32 - 1);
            mesh.add_triangle(first, first + 1, first + 2);
            mesh.add_triangle(first + 1, first + 2, first + 3);
        }
    }
    mesh
}

/// Running sums over the series, at the times of the first. What is not known adds nothing; where nothing is known there is a gap.
fn sums(series: &[TimeSeries<'_>]) -> Vec<Vec<[f64; 2]>> {
    let Some(first) = series.first() else { return Vec::new() };
    let mut below: Vec<f64> = vec![f64::NAN; first.points.len()];
    series
        .iter()
        .map(|one| {
            let points = one.points.iter().zip(&mut below).map(|([at, value], below)| {
                if value.is_finite() {
                    *below = if below.is_finite() { *below + value } else { *value };
                }
                [*at, *below]
            });
            points.collect()
        })
        .collect()
}

/// The value of a line at a time, between the points around it.
fn value_at(points: &[[f64; 2]], time: f64) -> f64 {
    let after = points.partition_point(|[at, _]| *at < time);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (_, Some([at, value])) if *at == time => *value,
        (Some([from, low]), Some([to, high])) => low + (high - low) * ((time - from) / (to - from)),
        (Some([_, value]), None) | (None, Some([_, value])) => *value,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series<'a>(label: &'a str, points: &'a [[f64; 2]]) -> TimeSeries<'a> {
        TimeSeries { label, points, color: theme::DARK.accent }
    }

    #[test]
    fn layers_stand_on_each_other() {
        let (a, b) = ([[0.0, 1.0], [1.0, f64::NAN], [2.0, 3.0]], [[0.0, 10.0], [1.0, 20.0], [2.0, f64::NAN]]);
        let sums = sums(&[series("a", &a), series("b", &b)]);
        assert_eq!((sums[0][0], sums[1][0]), ([0.0, 1.0], [0.0, 11.0]));
        assert!(sums[0][1][1].is_nan());
        assert_eq!((sums[1][1][1], sums[1][2][1]), (20.0, 3.0), "what is not known adds nothing");
        assert!(value_at(&a, 0.5).is_nan());
        assert_eq!(value_at(&[[0.0, 1.0], [2.0, 3.0]], 0.5), 1.5);
    }

    #[test]
    fn it_says_what_it_shows() {
        let points = [[0.0, 5.0]];
        let shown = [series("engine", &points)];
        let plot = |series| TimePlot::new("CPU", series, [0.0, 1.0], |value| format!("{value:.0} %")).in_words();
        assert_eq!(plot(&shown), "CPU: engine 5 %");
        assert_eq!(plot(&[]), "CPU, no value yet");
    }
}
