//! The ladder on this text: what each rung loses, against its size or its speed, and where the knee is.

use egui::{Align2, Painter, Rect, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2, vec2};

use super::{ask, words};
use crate::app::quality::{Comparison, Point, knee, missing};
use crate::app::{Action, AppState, QualityAction};
use crate::measure::format;
use crate::ui::theme::{self, Palette};
use crate::ui::widgets::{card, is_crossed, label, muted, secondary_button, segmented};

/// Height of the plot, points.
const HEIGHT: f32 = 250.0;
/// Below this the scale of the loss is linear, above it logarithmic: it has a zero, and every rung its room. Nats.
const LINEAR: f64 = 0.002;
const TICKS: [f64; 8] = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0];

/// Where a loss is drawn.
fn drawn(kld: f64) -> f64 {
    (kld.max(0.0) / LINEAR).asinh()
}

/// Paints the card: of the comparison on screen, or, while one is set up, of what was measured on its text before.
pub(super) fn ladder(ui: &mut Ui, state: &AppState, comparison: Option<&Comparison>, by_speed: &mut bool, actions: &mut Vec<Action>) {
    let points = state.quality_ladder();
    let is_known = comparison.is_some() || points.iter().any(|point| point.measured.is_some());
    if points.len() < 2 || !is_known {
        return;
    }
    let x = |point: &Point| if *by_speed { point.tps } else { Some(point.size.0 as f64) };
    let knee = knee(&points, x, !*by_speed, drawn).and_then(|index| points.get(index));
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                let palette = theme::palette(ui);
                let name = if comparison.is_some() { "The ladder on this text" } else { "What is known on this text" };
                label(ui, name, theme::body_strong(), palette.text);
                muted(ui, verdict(&points, knee, *by_speed)).on_hover_text(
                    "The knee is the point farthest beyond the line between the ends of the front, both axes scaled as drawn: after it, \
                     a little less size or more speed costs much quality",
                );
            });
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let missing = missing(&points);
                let hint = format!("{missing} rungs on disk are not measured on this text yet. One job reads them all side by side");
                if missing > 0 && comparison.is_some_and(|comparison| !comparison.is_running()) {
                    let button = ui.add(secondary_button("Measure the whole ladder"));
                    if button.on_hover_text(hint).clicked() {
                        ask(actions, QualityAction::MeasureLadder);
                    }
                }
                segmented(ui, "Against", by_speed, &[(false, "Size"), (true, "Speed")]);
            });
        });
        ui.add_space(4.0);
        let shown = comparison.map(|comparison| state.quality.shown.min(comparison.candidates.len().saturating_sub(1)));
        plot(ui, shown, &points, knee, *by_speed, actions);
    });
}

fn verdict(points: &[Point], knee: Option<&Point>, by_speed: bool) -> String {
    let measured = points.iter().filter(|point| point.kld.is_some() && !point.is_reference).count();
    let what = if by_speed { "speed" } else { "size" };
    if let (true, silent) = (by_speed, points.iter().filter(|point| point.is_on_disk && point.tps.is_none()).count())
        && silent > 0
    {
        return format!("Decode speed of {silent} of these is not measured yet: chat with a rung, or sweep them on the Measure page");
    }
    match knee {
        Some(point) => {
            let kld = point.kld.map_or(0.0, |kld| kld.value);
            format!("Knee: {} at KLD {}. Beyond it, a little {what} costs much quality", point.name, words::nats(kld))
        }
        None if measured < 2 => "Measure more rungs to see where quality falls off".into(),
        None => format!("No knee: quality falls evenly with {what}"),
    }
}

struct Scale {
    frame: Rect,
    x: [f64; 2],
    top: f64,
}

impl Scale {
    fn at(&self, x: f64, kld: f64) -> egui::Pos2 {
        let across = ((x - self.x[0]) / (self.x[1] - self.x[0])) as f32;
        // better is up
        let down = (drawn(kld) / self.top) as f32;
        pos2(self.frame.left() + across * self.frame.width(), self.frame.top() + down.min(1.0) * self.frame.height())
    }

    /// Where a point stands; what is missing stands on the floor of the plot.
    fn of(&self, x: f64, point: &Point) -> egui::Pos2 {
        point.kld.map_or_else(|| pos2(self.at(x, 0.0).x, self.frame.bottom()), |kld| self.at(x, kld.value))
    }
}

fn plot(ui: &mut Ui, shown: Option<usize>, points: &[Point], knee: Option<&Point>, by_speed: bool, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let summary = points.iter().filter_map(|point| Some(format!("{} KLD {}", point.name, words::nats(point.kld?.value))));
    let summary = format!("Quality loss of the ladder: {}", summary.collect::<Vec<_>>().join(", "));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &summary));
    let value = |point: &Point| if by_speed { point.tps } else { Some(point.size.0 as f64) };
    let xs: Vec<f64> = points.iter().filter_map(value).collect();
    let (Some(low), Some(high)) = (xs.iter().copied().reduce(f64::min), xs.iter().copied().reduce(f64::max)) else {
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, "Decode speed is not measured", theme::body(), palette.muted);
        return;
    };
    let room = ((high - low) * 0.06).max(high * 0.02);
    let worst = points.iter().filter_map(|point| point.kld).map(|kld| kld.value).fold(0.01, f64::max);
    let frame = Rect::from_min_max(rect.min + vec2(52.0, 24.0), rect.max - vec2(16.0, 38.0));
    let scale = Scale { frame, x: [low - room, high + room], top: drawn(worst * 1.25) };
    grid(ui, &scale, by_speed, palette);
    let line = front(ui.painter(), &scale, points, by_speed, palette);
    let dots: Vec<(&Point, egui::Pos2)> = points.iter().filter_map(|point| Some((point, scale.of(value(point)?, point)))).collect();
    let is_knee = |point: &Point| knee.is_some_and(|knee| knee.name == point.name);
    for (point, at) in &dots {
        dot(ui, (&scale, *at), point, (shown, is_knee(point)), actions);
    }
    // what was measured gets its name first
    let mut taken: Vec<Rect> = dots.iter().map(|(_, at)| Rect::from_center_size(*at, vec2(15.0, 15.0))).collect();
    for is_measured in [true, false] {
        for (point, at) in dots.iter().filter(|(point, _)| point.kld.is_some() == is_measured) {
            name(ui, *at, point, is_knee(point), frame, (&line, &mut taken));
        }
    }
}

fn grid(ui: &Ui, scale: &Scale, by_speed: bool, palette: &Palette) {
    let (painter, frame) = (ui.painter(), scale.frame);
    let font = theme::small();
    for tick in TICKS.into_iter().filter(|tick| drawn(*tick) <= scale.top) {
        let y = scale.at(scale.x[0], tick).y.round() + 0.5;
        painter.hline(frame.x_range(), y, Stroke::new(1.0, palette.grid()));
        painter.text(pos2(frame.left() - 8.0, y), Align2::RIGHT_CENTER, format!("{tick}"), font.clone(), palette.muted);
    }
    let span = scale.x[1] - scale.x[0];
    let raw = span / 6.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw).unwrap_or(power);
    let mut tick = (scale.x[0] / step).ceil() * step;
    while tick <= scale.x[1] {
        let x = scale.at(tick, 0.0).x.round() + 0.5;
        painter.vline(x, frame.y_range(), Stroke::new(1.0, palette.grid()));
        let words = if by_speed { format!("{tick:.0}") } else { format::bytes(tick.max(0.0) as u64) };
        painter.text(pos2(x, frame.bottom() + 6.0), Align2::CENTER_TOP, words, font.clone(), palette.muted);
        tick += step;
    }
    let axis = if by_speed { "decode tokens/s, higher is better" } else { "file size, smaller is better" };
    painter.text(pos2(frame.center().x, frame.bottom() + 34.0), Align2::CENTER_BOTTOM, axis, font.clone(), palette.muted);
    let about = "mean KLD, nats: log-like, better is up";
    painter.text(pos2(frame.left() - 52.0, frame.top() - 24.0), Align2::LEFT_TOP, about, font, palette.muted);
}

/// A line through those that nothing else beats in both: smaller (or faster) and better.
fn front(painter: &Painter, scale: &Scale, points: &[Point], by_speed: bool, palette: &Palette) -> Vec<egui::Pos2> {
    let rung = |point: &Point| {
        let x = if by_speed { point.tps? } else { point.size.0 as f64 };
        point.is_on_disk.then_some((x, point.kld?.value))
    };
    let mut all: Vec<(f64, f64)> = points.iter().filter_map(rung).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ahead = |a: f64, b: f64| if by_speed { a > b } else { a < b };
    let beats = |(other, loss): (f64, f64), (x, kld): (f64, f64)| !ahead(x, other) && loss <= kld && (ahead(other, x) || loss < kld);
    let beaten = |point: (f64, f64)| all.iter().any(|other| beats(*other, point));
    let line: Vec<egui::Pos2> = all.iter().filter(|point| !beaten(**point)).map(|(x, kld)| scale.at(*x, *kld)).collect();
    if line.len() > 1 {
        painter.add(Shape::line(line.clone(), Stroke::new(1.5, theme::on_surface(palette.panel, palette.accent, 0.5))));
    }
    line
}

fn dot(ui: &mut Ui, (scale, at): (&Scale, egui::Pos2), point: &Point, (shown, is_knee): (Option<usize>, bool), actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let is_shown = point.candidate.is_some() && point.candidate == shown;
    let response = ui.interact(Rect::from_center_size(at, vec2(18.0, 18.0)), ui.scope_id().with(("rung", &point.name)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, about(point)));
    let painter = ui.painter();
    let color = if is_shown || is_knee { palette.accent } else { palette.data[0] };
    match point.kld {
        Some(kld) => {
            if let Some(interval) = kld.interval() {
                let (high, low) = (scale.at(scale.x[0], interval.low), scale.at(scale.x[0], interval.high));
                painter.vline(at.x, high.y..=low.y, Stroke::new(1.5, color));
            }
            if is_knee {
                painter.circle_stroke(at, 8.5, Stroke::new(1.5, palette.accent));
            }
            painter.circle_filled(at, if is_shown { 5.5 } else { 4.5 }, color);
        }
        None => {
            // hollow: there, or dashed to be made, but not measured
            let stroke = Stroke::new(1.5, if point.is_on_disk { palette.muted } else { palette.faint });
            painter.circle(at, 4.0, palette.panel, stroke);
            if !point.is_on_disk {
                painter.line_segment([at - vec2(2.5, -2.5), at + vec2(2.5, -2.5)], stroke);
            }
        }
    }
    if response.has_focus() {
        painter.circle_stroke(at, 10.0, Stroke::new(1.5, palette.accent));
    }
    let clicked = response.clicked();
    response.on_hover_text(about(point));
    if let Some(candidate) = point.candidate.filter(|_| clicked) {
        ask(actions, QualityAction::Show(candidate));
    }
}

/// Writes a name where nothing else is written yet, beside the line where that can be.
fn name(ui: &Ui, at: egui::Pos2, point: &Point, is_knee: bool, frame: Rect, (line, taken): (&[egui::Pos2], &mut Vec<Rect>)) {
    let palette = theme::palette(ui);
    let ink = if point.kld.is_none() { palette.muted } else { palette.text };
    let words = if is_knee { format!("{} knee", point.name) } else { point.name.clone() };
    let galley = ui.painter().layout_no_wrap(words, theme::mono_small(), ink);
    let size = galley.size();
    let beside = if is_knee { 14.0 } else { 10.0 };
    let places = [
        vec2(beside, -size.y / 2.0),
        vec2(-beside - size.x, -size.y / 2.0),
        vec2(-size.x / 2.0, -10.0 - size.y),
        vec2(8.0, -8.0 - size.y),
        vec2(-8.0 - size.x, -8.0 - size.y),
        vec2(-size.x / 2.0, 10.0),
        vec2(8.0, 8.0),
    ];
    let bounds = frame.expand2(vec2(12.0, 2.0));
    let free: Vec<Rect> = places
        .into_iter()
        .map(|by| Rect::from_min_size(at + by, size))
        .filter(|rect| bounds.contains_rect(*rect) && taken.iter().all(|other| !other.intersects(*rect)))
        .collect();
    let is_clear = |rect: &&Rect| !line.windows(2).any(|ends| matches!(ends, [from, to] if is_crossed(rect, *from, *to)));
    let free = free.iter().find(is_clear).or_else(|| free.first()).copied();
    // where everything around is taken, the name is on hover
    if let Some(rect) = free {
        ui.painter().galley(rect.min, galley, ink);
        taken.push(rect.expand(1.0));
    }
}

fn about(point: &Point) -> String {
    let (size, is_estimate) = point.size;
    let mut lines = vec![format!("{}, {}{}", point.name, if is_estimate { "≈ " } else { "" }, format::bytes(size))];
    lines.push(match (point.kld, point.is_reference) {
        (_, true) => "The reference".into(),
        (Some(kld), _) => format!("Mean KLD {}, {}", words::nats(kld.value), words::interval(&kld)),
        (None, _) if point.is_on_disk => "Not measured on this text".into(),
        (None, _) => "Not on disk: it can be made in the bar above".into(),
    });
    if let Some((unix_ms, tokens)) = point.measured {
        let when = chrono::DateTime::from_timestamp_millis(unix_ms).map(|time| time.with_timezone(&chrono::Local));
        let when = when.filter(|_| unix_ms > 0).map_or_else(String::new, |time| time.format(" on %-d %B %Y at %H:%M").to_string());
        lines.push(format!("Measured{when}, {} tokens", format::count(tokens)));
    }
    lines.push(match point.tps {
        Some(tps) => format!("Decode {} tokens/s, of its replies in this session or of its last run", format::tps(tps)),
        None => "Decode speed not measured".into(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_a_zero_and_grows_like_a_logarithm() {
        assert_eq!(drawn(0.0), 0.0);
        assert_eq!(drawn(-1e-9), 0.0);
        let decade = |from: f64| drawn(from * 10.0) - drawn(from);
        assert!((decade(0.1) - decade(1.0)).abs() < 0.001, "{} {}", decade(0.1), decade(1.0));
    }
}
