//! A live reading over time, with markers that name the cause of every step.
//!
//! egui_plot does the axes, zoom and hover; everything that costs and says nothing is off: no legend, no background, no per-point shapes.
//! Points are thinned to what the columns can show before they reach it.

mod decimate;
mod markers;

use egui::{Color32, Id, Response, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};
use egui_plot::{Line, Plot, PlotPoint, PlotPoints, PlotTransform};

use super::{text, time_axis};
use crate::ui::theme;

pub use decimate::decimate;
pub use markers::Marker;

/// Height of the line of captions under the plot, points.
const CAPTION_HEIGHT: f32 = 16.0;

/// One series over the available width.
#[must_use = "call show"]
pub struct SeriesPlot<'a> {
    id: Id,
    name: &'a str,
    unit: &'a str,
    points: &'a [[f64; 2]],
    markers: &'a [Marker<'a>],
    range: [f64; 2],
    max: Option<f64>,
    max_label: Option<&'a str>,
    height: f32,
    color: Option<Color32>,
    axis: Option<Id>,
    paused: bool,
}

/// What happened in a [`SeriesPlot`].
pub struct SeriesPlotResponse {
    /// The plot.
    pub response: Response,
    /// The times now in view, when the user zoomed or dragged.
    pub zoomed: Option<[f64; 2]>,
}

impl<'a> SeriesPlot<'a> {
    /// `points` are `[seconds, value]` in order of time, a value that is not finite breaks the line; `range` is the time at both edges.
    pub fn new(id: Id, name: &'a str, unit: &'a str, points: &'a [[f64; 2]], range: [f64; 2]) -> Self {
        Self {
            id,
            name,
            unit,
            points,
            markers: &[],
            range,
            max: None,
            max_label: None,
            height: 104.0,
            color: None,
            axis: None,
            paused: false,
        }
    }

    /// Events to mark, in order of time.
    pub fn markers(mut self, markers: &'a [Marker<'a>]) -> Self {
        self.markers = markers;
        self
    }

    /// The value at the top, when it is not a little over the largest one in view.
    pub fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// Words for the top of the scale.
    pub fn max_label(mut self, label: &'a str) -> Self {
        self.max_label = Some(label);
        self
    }

    /// Height of the plot without its captions, in points.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// The colour, the accent if not said.
    pub fn color(mut self, color: Color32) -> Self {
        self.color = Some(color);
        self
    }

    /// Zoom with Ctrl+wheel, drag along time, double click to reset; together with every other plot of this axis (see
    /// [`super::time_axis`]).
    pub fn axis(mut self, axis: Id) -> Self {
        self.axis = Some(axis);
        self
    }

    /// Shown as standing still.
    pub fn paused(mut self, paused: bool) -> Self {
        self.paused = paused;
        self
    }

    /// Paints the plot, its markers and its captions.
    pub fn show(self, ui: &mut Ui) -> SeriesPlotResponse {
        let palette = theme::palette(ui);
        let color = if self.paused { palette.muted } else { self.color.unwrap_or(palette.accent) };
        if !self.markers.is_empty() {
            ui.add_space(markers::HEADROOM);
        }
        let width = ui.available_width();
        let zoomed = self.axis.and_then(|axis| time_axis::zoomed(ui.ctx(), axis));
        let view = zoomed.unwrap_or(self.range);
        let grid = ui.painter().add(Shape::Noop);
        let plot = self.plot(view, width);
        let points: Vec<PlotPoint> = decimate(self.points, view, width as usize).into_iter().map(PlotPoint::from).collect();
        let line = Line::new(self.name, PlotPoints::Owned(points)).color(color).width(1.5).fill(0.0).fill_alpha(0.16).allow_band(false);
        let shown = plot.show(ui, move |plot| plot.line(line));
        let frame = *shown.transform.frame();
        if let Some(axis) = self.axis {
            time_axis::follow_pointer(&shown.response, frame, axis, self.range);
        }
        let last = self.points.last().map_or(f64::NAN, |[_, y]| *y);
        shown.response.widget_info(|| {
            let now = if last.is_finite() { format!("{last:.1} {}", self.unit) } else { "no value yet".to_owned() };
            WidgetInfo::labeled(Role::Image, true, format!("{}, {now}", self.name))
        });
        if ui.is_rect_visible(frame) {
            ui.painter().set(grid, grid_shape(frame, palette.grid()));
            let x_of = |time: f64| shown.transform.position_from_point_x(time);
            markers::paint(ui, self.markers, frame, view, x_of);
            self.hover(ui, &shown.response, &shown.transform);
            self.captions(ui, frame, view, zoomed.is_some());
        } else {
            ui.allocate_space(vec2(width, CAPTION_HEIGHT));
        }
        SeriesPlotResponse { response: shown.response, zoomed }
    }

    fn top(&self, view: [f64; 2]) -> f64 {
        let largest = self.points.iter().filter(|[x, y]| *x >= view[0] && *x <= view[1] && y.is_finite()).map(|[_, y]| *y);
        let top = self.max.unwrap_or_else(|| largest.fold(0.0, f64::max) * 1.12);
        if top > 0.0 { top } else { 1.0 }
    }

    /// The bounds are ours to say: egui_plot's own zoom knows one plot, and this one moves with others.
    fn plot(&self, view: [f64; 2], width: f32) -> Plot<'a> {
        Plot::new(self.id)
            .id(self.id.with("plot"))
            .width(width)
            .height(self.height)
            .show_background(false)
            .show_axes(false)
            .show_grid(false)
            .show_x(false)
            .show_y(false)
            .include_x(view[0])
            .include_x(view[1])
            .include_y(0.0)
            .include_y(self.top(view))
            .set_margin_fraction(vec2(0.0, 0.0))
            .allow_zoom(false)
            .allow_drag(false)
            .allow_boxed_zoom(false)
            .allow_scroll(false)
            .allow_axis_zoom_drag(false)
            .allow_double_click_reset(false)
            .sense(if self.axis.is_some() { Sense::click_and_drag() } else { Sense::hover() })
    }

    /// The value under the pointer: a hairline, a dot, and what was measured when.
    fn hover(&self, ui: &Ui, response: &Response, transform: &PlotTransform) {
        let (Some(pointer), frame) = (response.hover_pos(), *transform.frame()) else {
            return;
        };
        let Some([time, value]) = nearest(self.points, transform.value_from_position(pointer).x) else {
            return;
        };
        let palette = theme::palette(ui);
        let at = transform.position_from_point(&PlotPoint::new(time, value));
        let words = format!("{value:.1} {}, {}", self.unit, ago(self.range[1] - time));
        let words = text::elided(ui, &words, theme::small(), palette.text, frame.width());
        let size = words.size() + vec2(16.0, 8.0);
        let left = if at.x + 8.0 + size.x <= frame.right() { at.x + 8.0 } else { at.x - 8.0 - size.x };
        let chip = egui::Rect::from_min_size(pos2(left.max(frame.left()), frame.bottom() - size.y - 6.0), size);
        let painter = ui.painter();
        painter.vline(at.x.round() + 0.5, frame.y_range(), Stroke::new(1.0, palette.faint));
        painter.circle(at, 3.5, palette.text, Stroke::new(1.5, palette.panel));
        painter.rect(chip, 4.0, palette.raised, Stroke::new(palette.border_width(), palette.faint), egui::StrokeKind::Inside);
        painter.galley(chip.min + vec2(8.0, 4.0), words, palette.text);
    }

    /// The times at both edges, and the top of the scale.
    fn captions(&self, ui: &mut Ui, frame: egui::Rect, in_view: [f64; 2], zoomed: bool) {
        let palette = theme::palette(ui);
        let font = theme::small();
        let (rect, _) = ui.allocate_exact_size(vec2(frame.width(), CAPTION_HEIGHT), Sense::hover());
        let at_edge = |time: f64| edge(time - self.range[1]);
        let right = match (self.paused, zoomed) {
            (true, _) => "paused".to_owned(),
            (false, true) => at_edge(in_view[1]),
            (false, false) => "now".to_owned(),
        };
        let left = text::elided(ui, &at_edge(in_view[0]), font.clone(), palette.muted, frame.width() / 2.0);
        let ink = if self.paused { palette.event } else { palette.muted };
        let right = text::elided(ui, &right, font.clone(), ink, frame.width() / 2.0);
        ui.painter().galley(pos2(rect.left(), rect.top() + 2.0), left, palette.muted);
        ui.painter().galley(pos2(rect.right() - right.size().x, rect.top() + 2.0), right, ink);
        if let Some(label) = self.max_label {
            let label = text::elided(ui, label, font, palette.muted, frame.width() / 2.0);
            ui.painter().galley(pos2(frame.right() - label.size().x, frame.top() - label.size().y - 1.0), label, palette.muted);
        }
    }
}

/// The measured point closest in time.
pub(super) fn nearest(points: &[[f64; 2]], time: f64) -> Option<[f64; 2]> {
    let after = points.partition_point(|[x, _]| *x < time);
    let candidates = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|index| points.get(index));
    candidates.filter(|[_, y]| y.is_finite()).min_by(|a, b| (a[0] - time).abs().total_cmp(&(b[0] - time).abs())).copied()
}

/// Three hairlines and the floor.
fn grid_shape(frame: egui::Rect, color: Color32) -> Shape {
    let stroke = Stroke::new(1.0, color);
    let lines = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0].map(|part: f32| {
        let y = (frame.top() + part * frame.height()).round() + if part == 0.0 { 0.5 } else { -0.5 };
        Shape::hline(frame.x_range(), y, stroke)
    });
    Shape::Vec(lines.into())
}

/// Seconds before now, as the edge of a time axis: `-60 s`.
fn edge(seconds: f64) -> String {
    match seconds {
        seconds if seconds.abs() < 0.5 => "now".to_owned(),
        seconds if seconds.abs() < 180.0 => format!("{seconds:.0} s"),
        seconds => format!("{:.0} min", seconds / 60.0),
    }
}

/// Seconds before now, in words.
pub(super) fn ago(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 0.5 => "now".to_owned(),
        seconds if seconds < 120.0 => format!("{seconds:.0} s ago"),
        seconds => format!("{:.1} min ago", seconds / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_and_ages_read_well() {
        assert_eq!(edge(-60.0), "-60 s");
        assert_eq!(edge(-600.0), "-10 min");
        assert_eq!(edge(0.0), "now");
        assert_eq!(nearest(&[[0.0, 5.0], [1.0, f64::NAN], [2.0, 7.0]], 1.4), Some([2.0, 7.0]));
        assert_eq!(nearest(&[], 1.0), None);
        assert_eq!(ago(12.2), "12 s ago");
        assert_eq!(ago(150.0), "2.5 min ago");
    }
}
