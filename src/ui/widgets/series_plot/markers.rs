//! Events on a time axis: a dashed line with the cause written next to it.

use egui::{FontId, Rect, Shape, Stroke, Ui, pos2};

use super::super::text::{self, Tone};
use crate::ui::theme;

/// Lines of labels that may stack before one is left out.
const LEVELS: usize = 3;
const LINE_HEIGHT: f32 = 14.0;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker<'a> {
    /// When, on the time axis of the plot.
    pub time: f64,
    /// What, in a few words: `Q4_1 → IQ4_NL 0.21 s`.
    pub label: &'a str,
    /// What it means: an event, or an error.
    pub tone: Tone,
}

impl<'a> Marker<'a> {
    /// An event.
    pub fn new(time: f64, label: &'a str) -> Self {
        Self { time, label, tone: Tone::Event }
    }
}

/// Paints those in view, newest first, so that when labels collide it is the oldest that gives way.
pub(super) fn paint(ui: &Ui, markers: &[Marker<'_>], frame: Rect, in_view: [f64; 2], x_of: impl Fn(f64) -> f32) {
    let palette = theme::palette(ui);
    let painter = ui.painter().with_clip_rect(frame.expand2(egui::vec2(0.0, LINE_HEIGHT + 2.0)).intersect(ui.clip_rect()));
    let mut taken: [Vec<(f32, f32)>; LEVELS] = Default::default();
    let mut lines: Vec<f32> = Vec::new();
    for marker in markers.iter().rev().filter(|marker| marker.time >= in_view[0] && marker.time <= in_view[1]) {
        let ink = marker.tone.ink(palette);
        let x = x_of(marker.time).round() + 0.5;
        let label = text::elided(ui, marker.label, FontId::proportional(11.0), ink, frame.width() * 0.6);
        let left = label_left(x, label.size().x, frame, &lines);
        let level = free_level(&mut taken, (left, left + label.size().x));
        let top = frame.top() - LINE_HEIGHT + 2.0 + level.unwrap_or(0) as f32 * LINE_HEIGHT;
        let line_top = if level.is_some() { top } else { frame.top() };
        painter.extend(Shape::dashed_line(&[pos2(x, line_top), pos2(x, frame.bottom())], Stroke::new(1.0, ink), 3.0, 3.0));
        if level.is_some() {
            painter.galley(pos2(left, top), label, ink);
        }
        lines.push(x);
    }
}

/// Where a label starts: right of its line, or left of it where the frame ends or a later line would cross it.
fn label_left(x: f32, width: f32, frame: Rect, lines: &[f32]) -> f32 {
    let (right, left) = (x + 4.0, x - 4.0 - width);
    let free = |start: f32| {
        start >= frame.left() && start + width <= frame.right() && lines.iter().all(|line| *line < start || *line > start + width)
    };
    if free(right) || (!free(left) && right + width <= frame.right()) { right } else { left.max(frame.left()) }
}

/// The first level where `span` is free, which it then takes.
fn free_level(taken: &mut [Vec<(f32, f32)>; LEVELS], span: (f32, f32)) -> Option<usize> {
    for (level, spans) in taken.iter_mut().enumerate() {
        if spans.iter().all(|other| span.1 + 6.0 < other.0 || other.1 + 6.0 < span.0) {
            spans.push(span);
            return Some(level);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_keeps_clear_of_the_frame_and_of_later_lines() {
        let frame = Rect::from_min_max(pos2(0.0, 0.0), pos2(300.0, 100.0));
        assert_eq!(label_left(100.0, 80.0, frame, &[]), 104.0);
        assert_eq!(label_left(100.0, 80.0, frame, &[150.0]), 16.0);
        assert_eq!(label_left(250.0, 80.0, frame, &[]), 166.0);
        assert_eq!(label_left(50.0, 80.0, frame, &[90.0]), 54.0);
    }

    #[test]
    fn labels_that_collide_stack_and_the_fourth_gives_way() {
        let mut taken: [Vec<(f32, f32)>; LEVELS] = Default::default();
        assert_eq!(free_level(&mut taken, (100.0, 200.0)), Some(0));
        assert_eq!(free_level(&mut taken, (150.0, 250.0)), Some(1));
        assert_eq!(free_level(&mut taken, (160.0, 260.0)), Some(2));
        assert_eq!(free_level(&mut taken, (170.0, 270.0)), None);
        assert_eq!(free_level(&mut taken, (300.0, 400.0)), Some(0));
    }
}
