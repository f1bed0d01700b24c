//! The cheapest plot: one line and its fill, painted directly, no axes, no interaction.

use egui::epaint::Mesh;
use egui::{Color32, Pos2, Response, Role, Sense, Shape, Stroke, Ui, Widget, WidgetInfo, pos2, vec2};

use super::series_plot::decimate;
use crate::ui::theme;

/// A small line over time.
#[must_use = "add it with ui.add"]
pub struct Sparkline<'a> {
    name: &'a str,
    points: &'a [[f64; 2]],
    range: [f64; 2],
    max: Option<f64>,
    color: Option<Color32>,
    height: f32,
}

impl<'a> Sparkline<'a> {
    /// `points` are `[time, value]` in order of time; `range` is the time at the left and the right edge.
    pub fn new(name: &'a str, points: &'a [[f64; 2]], range: [f64; 2]) -> Self {
        Self { name, points, range, max: None, color: None, height: 40.0 }
    }

    /// The value at the top, when it is not the largest one.
    pub fn max(mut self, max: f64) -> Self {
        self.max = Some(max);
        self
    }

    /// The colour, that of the first data role if not said.
    pub fn color(mut self, color: Color32) -> Self {
        self.color = Some(color);
        self
    }

    /// Height in points, 40 if not said.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }
}

impl Widget for Sparkline<'_> {
    fn ui(self, ui: &mut Ui) -> Response {
        let palette = theme::palette(ui);
        let color = self.color.unwrap_or_else(|| palette.data.first().copied().unwrap_or(palette.accent));
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, self.name));
        if !ui.is_rect_visible(rect) {
            return response;
        }
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, palette.hairline));
        let points = decimate(self.points, self.range, rect.width() as usize);
        let largest = self.max.unwrap_or_else(|| points.iter().map(|[_, y]| *y).filter(|y| y.is_finite()).fold(0.0, f64::max) * 1.08);
        let span = self.range[1] - self.range[0];
        if largest <= 0.0 || span <= 0.0 {
            return response;
        }
        let at = |[x, y]: [f64; 2]| -> Pos2 {
            let x = rect.left() + ((x - self.range[0]) / span) as f32 * rect.width();
            pos2(x, rect.bottom() - (y / largest).clamp(0.0, 1.0) as f32 * (rect.height() - 1.0))
        };
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        for run in points.split(|[_, y]| !y.is_finite()) {
            let line: Vec<Pos2> = run.iter().map(|point| at(*point)).collect();
            painter.add(fill_under(&line, rect.bottom(), theme::on_surface(palette.panel, color, 0.16)));
            if line.len() > 1 {
                painter.add(Shape::line(line, Stroke::new(1.25, color)));
            }
        }
        response
    }
}

/// The area between a line and `bottom`.
fn fill_under(line: &[Pos2], bottom: f32, color: Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for (index, point) in line.iter().enumerate() {
        mesh.colored_vertex(*point, color);
        mesh.colored_vertex(pos2(point.x, bottom), color);
        if index > 0 {
            let first = 2 * (index as u32 - 1);
            mesh.add_triangle(first, first + 1, first + 2);
            mesh.add_triangle(first + 1, first + 2, first + 3);
        }
    }
    mesh
}
