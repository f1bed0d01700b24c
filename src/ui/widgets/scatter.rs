//! Designs by two figures: points with their intervals, the front, limits with the region they forbid, and a selection for mouse and keys.
//!
//! egui_plot keeps the view (zoom with Ctrl+wheel or a box, drag, double click to reset) and its transform; what is drawn is drawn here, because
//! points have shapes that say where they stand and labels that make room for each other. The better end of each axis is right and up.

mod axis;
mod labels;

use egui::{
    Color32, Event, EventFilter, Id, Key, Painter, Pos2, Rect, Response, Role, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use egui_plot::{Plot, PlotTransform};

use super::text;
use crate::ui::theme::{self, Palette};

pub use axis::{Axis, Scale};
pub(in crate::ui) use labels::is_crossed;

/// Room for the words of the ticks at the left, and for ticks and name below, in points.
const LEFT: f32 = 58.0;
const BELOW: f32 = 40.0;
const ABOVE: f32 = 22.0;
/// How near the pointer must be to a point, in points.
const REACH: f32 = 14.0;
/// No more labels than can be read.
const MOST_LABELS: usize = 36;

/// Where a point stands; shape and colour say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The answer: a large disc in a ring
    Best,
    /// On the front: a disc
    Front,
    /// Something is better in both: a diamond
    Dominated,
    /// Breaks a limit or was not measured: a faint cross
    Barred,
}

/// One design.
pub struct ScatterPoint {
    /// Both figures
    pub at: [f64; 2],
    /// Their intervals, where they are known
    pub intervals: [Option<[f64; 2]>; 2],
    /// Its name beside it
    pub label: String,
    /// What is said under the pointer and to those who cannot see it
    pub words: String,
    /// Where it stands
    pub mark: Mark,
    /// Whether it is the design in use: a square around it
    pub is_current: bool,
}

/// Points over the available width.
#[must_use = "call show"]
pub struct Scatter<'a> {
    id: Id,
    name: &'a str,
    points: &'a [ScatterPoint],
    front: &'a [usize],
    axes: [Axis<'a>; 2],
    selected: Option<usize>,
    height: f32,
}

/// What happened in a [`Scatter`].
pub struct ScatterResponse {
    /// The plot
    pub response: Response,
    /// The point that was picked, by mouse or key
    pub picked: Option<usize>,
}

/// Where things are in this frame.
struct View<'a> {
    transform: &'a PlotTransform,
    axes: &'a [Axis<'a>; 2],
    frame: Rect,
}

impl View<'_> {
    fn x(&self, value: f64) -> f32 {
        self.transform.position_from_point_x(self.axes[0].at(value))
    }

    fn y(&self, value: f64) -> f32 {
        self.transform.position_from_point_y(self.axes[1].at(value))
    }

    fn pos(&self, at: [f64; 2]) -> Pos2 {
        pos2(self.x(at[0]), self.y(at[1]))
    }
}

impl<'a> Scatter<'a> {
    /// `axes` are the bottom and the side; `front` are indices of points from left to right.
    pub fn new(id: Id, name: &'a str, points: &'a [ScatterPoint], front: &'a [usize], axes: [Axis<'a>; 2]) -> Self {
        Self { id, name, points, front, axes, selected: None, height: 320.0 }
    }

    /// The point that is picked out.
    pub fn selected(mut self, selected: Option<usize>) -> Self {
        self.selected = selected;
        self
    }

    /// Height in points with all captions, 320 if not said.
    pub fn height(mut self, height: f32) -> Self {
        self.height = height;
        self
    }

    /// Paints it.
    pub fn show(self, ui: &mut Ui) -> ScatterResponse {
        let (outer, _) = ui.allocate_exact_size(vec2(ui.available_width(), self.height), Sense::hover());
        let room = Rect::from_min_max(outer.min + vec2(LEFT, ABOVE), outer.max - vec2(8.0, BELOW));
        let ranges = [0, 1].map(|side| self.range(side));
        let plot = self.plot(room, ranges);
        let under = ui.painter().add(Shape::Noop);
        let mut child = ui.new_child(egui::UiBuilder::new().id_salt(self.id).max_rect(room));
        let shown = plot.show(&mut child, |_plot| {});
        let view = View { transform: &shown.transform, axes: &self.axes, frame: *shown.transform.frame() };
        let response = shown.response;
        let places: Vec<Pos2> = self.points.iter().map(|point| view.pos(point.at)).collect();
        let hovered = response.hover_pos().and_then(|pointer| nearest(&places, view.frame, pointer));
        let mut picked = hovered.filter(|_| response.clicked());
        picked = picked.or_else(|| self.keys(ui, &response));
        self.announce(&response);
        if ui.is_rect_visible(outer) {
            let painter = ui.painter().with_clip_rect(view.frame.expand(1.0).intersect(ui.clip_rect()));
            ui.painter().set(under, self.backdrop(theme::palette(ui), &view));
            self.captions(ui, outer, &view, &places);
            self.paint(ui, &painter, &view, &places, hovered);
            if response.has_focus() {
                let palette = theme::palette(ui);
                ui.painter().rect_stroke(
                    view.frame.expand(3.0),
                    4.0,
                    Stroke::new(1.5 * palette.border_width(), palette.accent),
                    StrokeKind::Outside,
                );
            }
        }
        if let Some(point) = hovered.and_then(|index| self.points.get(index)) {
            ui.set_cursor_icon(egui::CursorIcon::PointingHand);
            response.clone().on_hover_text_at_pointer(&point.words);
        }
        ScatterResponse { response, picked }
    }

    fn range(&self, side: usize) -> [f64; 2] {
        let Some(axis) = self.axes.get(side) else { return [0.0, 1.0] };
        let values = self.points.iter().flat_map(|point| {
            let ends = point.intervals.get(side).copied().flatten().unwrap_or([f64::NAN; 2]);
            [point.at.get(side).copied().unwrap_or(f64::NAN), ends[0], ends[1]]
        });
        axis.range(values)
    }

    fn plot(&self, room: Rect, [x, y]: [[f64; 2]; 2]) -> Plot<'static> {
        Plot::new(self.id)
            .id(self.id.with("plot"))
            .width(room.width())
            .height(room.height())
            .show_background(false)
            .show_axes(false)
            .show_grid(false)
            .show_x(false)
            .show_y(false)
            .include_x(x[0])
            .include_x(x[1])
            .include_y(y[0])
            .include_y(y[1])
            .set_margin_fraction(vec2(0.0, 0.0))
            .allow_scroll(false)
            .allow_axis_zoom_drag(false)
            .sense(Sense::click_and_drag())
    }

    /// The forbidden region, its edge, and hairlines at the ticks.
    fn backdrop(&self, palette: &Palette, view: &View<'_>) -> Shape {
        let frame = view.frame;
        let mut shapes = Vec::new();
        let [x_limit, y_limit] = [0, 1].map(|side| self.axes.get(side).and_then(|axis| axis.limit).map(|(value, _)| value));
        let forbidden = theme::on_surface(palette.panel, palette.limit, if palette.is_dark() { 0.07 } else { 0.06 });
        // the worse side is left of and below the limit
        if let Some(x) = x_limit.map(|value| view.x(value)).filter(|x| *x > frame.left()) {
            let region = Rect::from_min_max(frame.min, pos2(x.min(frame.right()), frame.bottom()));
            shapes.push(Shape::rect_filled(region, 0.0, forbidden));
        }
        if let Some(y) = y_limit.map(|value| view.y(value)).filter(|y| *y < frame.bottom()) {
            let region = Rect::from_min_max(pos2(frame.left(), y.max(frame.top())), frame.max);
            shapes.push(Shape::rect_filled(region, 0.0, forbidden));
        }
        let hairline = Stroke::new(1.0, palette.grid());
        let [x_ticks, y_ticks] = self.ticks(view);
        for x in x_ticks.into_iter().map(|tick| view.x(tick).round() + 0.5) {
            shapes.push(Shape::line_segment([pos2(x, frame.top()), pos2(x, frame.bottom())], hairline));
        }
        for y in y_ticks.into_iter().map(|tick| view.y(tick).round() + 0.5) {
            shapes.push(Shape::line_segment([pos2(frame.left(), y), pos2(frame.right(), y)], hairline));
        }
        let edge = Stroke::new(1.25, palette.limit);
        if let Some(x) = x_limit.map(|value| view.x(value)).filter(|x| frame.x_range().contains(*x)) {
            shapes.extend(Shape::dashed_line(&[pos2(x, frame.top()), pos2(x, frame.bottom())], edge, 5.0, 4.0));
        }
        if let Some(y) = y_limit.map(|value| view.y(value)).filter(|y| frame.y_range().contains(*y)) {
            shapes.extend(Shape::dashed_line(&[pos2(frame.left(), y), pos2(frame.right(), y)], edge, 5.0, 4.0));
        }
        Shape::Vec(shapes)
    }

    fn ticks(&self, view: &View<'_>) -> [Vec<f64>; 2] {
        let bounds = view.transform.bounds();
        let (min, max) = (bounds.min(), bounds.max());
        let [x, y] = &self.axes;
        [x.ticks([min[0], max[0]], view.frame.width(), 84.0), y.ticks([min[1], max[1]], view.frame.height(), 36.0)]
    }

    /// Ticks and names of both axes, and the words of the limits.
    fn captions(&self, ui: &Ui, outer: Rect, view: &View<'_>, places: &[Pos2]) {
        let palette = theme::palette(ui);
        let (frame, font) = (view.frame, theme::small());
        let painter = ui.painter();
        let [x_ticks, y_ticks] = self.ticks(view);
        let words = |text: &str, color: Color32, room: f32| text::elided(ui, text, font.clone(), color, room);
        for tick in x_ticks {
            let galley = words(&(self.axes[0].tick)(tick), palette.muted, 90.0);
            let left = (view.x(tick) - galley.size().x / 2.0).min(outer.right() - galley.size().x);
            painter.galley(pos2(left, frame.bottom() + 5.0), galley, palette.muted);
        }
        for tick in y_ticks {
            let galley = words(&(self.axes[1].tick)(tick), palette.muted, LEFT - 8.0);
            painter.galley(pos2(frame.left() - 8.0 - galley.size().x, view.y(tick) - galley.size().y / 2.0), galley, palette.muted);
        }
        let side = |axis: &Axis<'_>| format!("{} ({} is better)", axis.name, if axis.higher_is_better { "higher" } else { "lower" });
        let bottom = words(&side(&self.axes[0]), palette.muted, frame.width());
        painter.galley(pos2(frame.center().x - bottom.size().x / 2.0, frame.bottom() + 23.0), bottom, palette.muted);
        let top = words(&side(&self.axes[1]), palette.muted, frame.width());
        painter.galley(pos2(outer.left(), outer.top()), top, palette.muted);
        if let Some((value, label)) = self.axes[0].limit {
            let x = view.x(value);
            let galley = words(label, palette.limit, frame.width() / 2.0);
            if frame.x_range().contains(x) {
                let left = if x - galley.size().x - 6.0 > frame.left() { x - galley.size().x - 6.0 } else { x + 6.0 };
                painter.galley(pos2(left, frame.top() + 2.0), galley, palette.limit);
            }
        }
        if let Some((value, label)) = self.axes[1].limit {
            let y = view.y(value);
            let galley = words(label, palette.limit, frame.width() / 2.0);
            if frame.y_range().contains(y) {
                let top = if y - galley.size().y - 2.0 > frame.top() { y - galley.size().y - 2.0 } else { y + 2.0 };
                // at the end of the line where it covers no point
                let ends = [frame.left() + 6.0, frame.right() - 6.0 - galley.size().x];
                let is_free = |left: &f32| {
                    let words = Rect::from_min_size(pos2(*left, top), galley.size()).expand(6.0);
                    !places.iter().any(|place| words.contains(*place))
                };
                let left = ends.into_iter().find(is_free).unwrap_or(frame.left() + 6.0);
                painter.galley(pos2(left, top), galley, palette.limit);
            }
        }
    }

    fn paint(&self, ui: &Ui, painter: &Painter, view: &View<'_>, places: &[Pos2], hovered: Option<usize>) {
        let palette = theme::palette(ui);
        let line: Vec<Pos2> = self.front.iter().filter_map(|index| places.get(*index).copied()).collect();
        if line.len() > 1 {
            painter.add(Shape::line(line.clone(), Stroke::new(1.5, palette.accent)));
        }
        // the worst first, so that the best lies on top
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        order.sort_by_key(|index| self.points.get(*index).map(|point| std::cmp::Reverse(point.mark)));
        for index in &order {
            if let (Some(point), Some(at)) = (self.points.get(*index), places.get(*index).copied()) {
                if !view.frame.expand(12.0).contains(at) {
                    continue;
                }
                intervals(painter, view, point, at, ink(palette, point.mark));
                mark(painter, palette, point, at);
                if self.selected == Some(*index) || hovered == Some(*index) {
                    let color = if self.selected == Some(*index) { palette.text } else { palette.muted };
                    painter.circle_stroke(at, 11.0, Stroke::new(1.5, color));
                }
            }
        }
        self.labels(ui, painter, view.frame, (places, &line), hovered, &order);
    }

    fn labels(&self, ui: &Ui, painter: &Painter, frame: Rect, (places, line): (&[Pos2], &[Pos2]), hovered: Option<usize>, order: &[usize]) {
        let palette = theme::palette(ui);
        let chosen = |index: &usize| self.selected == Some(*index) || hovered == Some(*index);
        let mut wanted: Vec<usize> = order.iter().rev().copied().collect();
        wanted.sort_by_key(|index| !chosen(index));
        wanted.truncate(MOST_LABELS);
        let galleys: Vec<_> = wanted
            .into_iter()
            .filter_map(|index| {
                let point = self.points.get(index)?;
                let is_barred = point.mark == Mark::Barred && !chosen(&index);
                let color = if is_barred { palette.muted } else { palette.text };
                let words = if point.is_current { format!("{}, in use", point.label) } else { point.label.clone() };
                Some((index, text::elided(ui, &words, theme::small(), color, frame.width() * 0.4), color))
            })
            .collect();
        let sizes: Vec<_> = galleys.iter().map(|(index, galley, _)| (*index, galley.size())).collect();
        for placed in labels::place(frame, places, line, &sizes) {
            let Some((_, galley, color)) = galleys.iter().find(|(index, ..)| *index == placed.point) else { continue };
            if placed.leader
                && let Some(at) = places.get(placed.point)
            {
                painter.line_segment([*at, labels::anchor(placed.rect, *at)], Stroke::new(1.0, palette.faint));
            }
            painter.galley(placed.rect.min, std::sync::Arc::clone(galley), *color);
        }
    }

    /// Arrows go to the next point along an axis; Home and End to its ends.
    fn keys(&self, ui: &Ui, response: &Response) -> Option<usize> {
        if !response.has_focus() || self.points.is_empty() {
            return None;
        }
        let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let pressed = ui.input(|input| {
            input.events.iter().find_map(|event| match event {
                Event::Key { key, pressed: true, modifiers, .. } if modifiers.is_none() => Some(*key),
                _ => None,
            })
        })?;
        let (side, forward) = match pressed {
            Key::ArrowRight | Key::End => (0, true),
            Key::ArrowLeft | Key::Home => (0, false),
            Key::ArrowUp => (1, true),
            Key::ArrowDown => (1, false),
            _ => return None,
        };
        let axis = self.axes.get(side)?;
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        let key = |index: usize| self.points.get(index).and_then(|point| point.at.get(side)).map_or(f64::NAN, |value| axis.at(*value));
        order.sort_by(|a, b| key(*a).total_cmp(&key(*b)).then(a.cmp(b)));
        let now = self.selected.and_then(|selected| order.iter().position(|index| *index == selected));
        let next = match (now, pressed) {
            (None, _) => return Some(self.points.iter().position(|point| point.mark == Mark::Best).unwrap_or(*order.first()?)),
            (_, Key::Home) => 0,
            (_, Key::End) => order.len() - 1,
            (Some(now), _) if forward => (now + 1).min(order.len() - 1),
            (Some(now), _) => now.saturating_sub(1),
        };
        order.get(next).copied()
    }

    fn announce(&self, response: &Response) {
        let chosen = self.selected.and_then(|index| self.points.get(index));
        response.widget_info(|| {
            let count = self.points.len();
            let points = if count == 1 { "1 point".to_owned() } else { format!("{count} points") };
            let selected = chosen.map_or_else(
                || "nothing selected, arrow keys select".to_owned(),
                |point| format!("selected {}", point.words.replace('\n', ". ")),
            );
            WidgetInfo::labeled(Role::Figure, true, format!("{}, {points}, {selected}", self.name))
        });
    }
}

/// The point next to the pointer.
fn nearest(places: &[Pos2], frame: Rect, pointer: Pos2) -> Option<usize> {
    let near = places.iter().enumerate().filter(|(_, at)| frame.expand(4.0).contains(**at));
    let by_distance = near.map(|(index, at)| (index, at.distance_sq(pointer)));
    by_distance.filter(|(_, distance)| *distance <= REACH * REACH).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
}

fn ink(palette: &Palette, mark: Mark) -> Color32 {
    match mark {
        Mark::Best | Mark::Front => palette.accent,
        Mark::Dominated => palette.data.first().copied().unwrap_or(palette.text),
        Mark::Barred => palette.muted,
    }
}

fn intervals(painter: &Painter, view: &View<'_>, point: &ScatterPoint, at: Pos2, color: Color32) {
    let stroke = Stroke::new(1.0, color);
    if let Some([low, high]) = point.intervals[0] {
        let (a, b) = (view.x(low), view.x(high));
        painter.line_segment([pos2(a, at.y), pos2(b, at.y)], stroke);
        for x in [a, b] {
            painter.line_segment([pos2(x, at.y - 3.0), pos2(x, at.y + 3.0)], stroke);
        }
    }
    if let Some([low, high]) = point.intervals[1] {
        let (a, b) = (view.y(low), view.y(high));
        painter.line_segment([pos2(at.x, a), pos2(at.x, b)], stroke);
        for y in [a, b] {
            painter.line_segment([pos2(at.x - 3.0, y), pos2(at.x + 3.0, y)], stroke);
        }
    }
}

fn mark(painter: &Painter, palette: &Palette, point: &ScatterPoint, at: Pos2) {
    let color = ink(palette, point.mark);
    match point.mark {
        Mark::Best => {
            painter.circle_filled(at, 6.0, color);
            painter.circle_stroke(at, 8.5, Stroke::new(1.5, color));
        }
        Mark::Front => {
            painter.circle_filled(at, 4.5, color);
        }
        Mark::Dominated => {
            let r = 5.0;
            let corners = vec![pos2(at.x, at.y - r), pos2(at.x + r, at.y), pos2(at.x, at.y + r), pos2(at.x - r, at.y)];
            painter.add(Shape::convex_polygon(corners, color, Stroke::NONE));
        }
        Mark::Barred => {
            let stroke = Stroke::new(1.5, color);
            painter.line_segment([at - vec2(3.5, 3.5), at + vec2(3.5, 3.5)], stroke);
            painter.line_segment([at + vec2(-3.5, 3.5), at + vec2(3.5, -3.5)], stroke);
        }
    }
    if point.is_current {
        painter.rect_stroke(Rect::from_center_size(at, vec2(18.0, 18.0)), 2.0, Stroke::new(1.25, palette.text), StrokeKind::Middle);
    }
}
