//! Events on a time axis: a dashed line with the cause written next to it.
//!
//! A label is whole and lies on nothing else, or it is not there: no two labels touch, none leaves the frame, and no line crosses one. When
//! there is no room, the oldest gives way and its line stays.

use egui::{Rect, Shape, Stroke, Ui, pos2};

use super::super::text::{self, Tone};
use crate::ui::theme;

/// Rows of labels: the first above the plot, the others in it.
const LEVELS: usize = 3;
const LINE_HEIGHT: f32 = 16.0;
/// Between a label and its line, points.
const GAP: f32 = 4.0;
/// Between two labels of a row, points.
const APART: f32 = 6.0;

/// Room above the plot for the first row of labels, points.
pub(super) const HEADROOM: f32 = LINE_HEIGHT - 2.0;

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

/// Paints those in view.
pub(super) fn paint(ui: &Ui, markers: &[Marker<'_>], frame: Rect, in_view: [f64; 2], x_of: impl Fn(f64) -> f32) {
    let palette = theme::palette(ui);
    let painter = ui.painter().with_clip_rect(frame.expand2(egui::vec2(0.0, LINE_HEIGHT + 2.0)).intersect(ui.clip_rect()));
    let shown: Vec<_> = markers
        .iter()
        .rev()
        .filter(|marker| marker.time >= in_view[0] && marker.time <= in_view[1])
        .map(|marker| {
            let ink = marker.tone.ink(palette);
            (x_of(marker.time).round() + 0.5, text::elided(ui, marker.label, theme::small(), ink, frame.width()), ink)
        })
        .collect();
    let sizes: Vec<(f32, f32)> = shown.iter().map(|(x, label, _)| (*x, label.size().x)).collect();
    for ((x, label, ink), place) in shown.into_iter().zip(places(&sizes, (frame.left(), frame.right()))) {
        let top = |level: usize| frame.top() - LINE_HEIGHT + 2.0 + level as f32 * LINE_HEIGHT;
        let line_top = place.map_or(frame.top(), |(level, _)| top(level));
        painter.extend(Shape::dashed_line(&[pos2(x, line_top), pos2(x, frame.bottom())], Stroke::new(1.0, ink), 3.0, 3.0));
        if let Some((level, left)) = place {
            painter.galley(pos2(left, top(level)), label, ink);
        }
    }
}

/// A row of labels and where in it one begins.
type Place = (usize, f32);

/// Where the label of each marker goes: markers as (x of the line, width of the label), newest first; the edges of the frame.
fn places(markers: &[(f32, f32)], edges: (f32, f32)) -> Vec<Option<Place>> {
    let mut taken: [Vec<(f32, f32)>; LEVELS] = Default::default();
    // lines that reach above the plot because their label is there
    let mut risen: Vec<f32> = Vec::new();
    let crosses = |span: (f32, f32), x: f32| x > span.0 - 2.0 && x < span.1 + 2.0;
    let mut place = |index: usize, x: f32, width: f32| {
        for (level, row) in taken.iter_mut().enumerate() {
            for left in [x + GAP, x - GAP - width] {
                let span = (left, left + width);
                let is_inside = span.0 >= edges.0 && span.1 <= edges.1;
                let is_apart = row.iter().all(|other| span.1 + APART <= other.0 || other.1 + APART <= span.0);
                let is_clear = match level {
                    // only lines whose own label is up here come this high: theirs must not cross this label, nor this one's any of theirs
                    0 => risen.iter().all(|line| !crosses(span, *line)) && row.iter().all(|other| !crosses(*other, x)),
                    _ => markers.iter().enumerate().all(|(other, (line, _))| other == index || !crosses(span, *line)),
                };
                if is_inside && is_apart && is_clear {
                    row.push(span);
                    if level == 0 {
                        risen.push(x);
                    }
                    return Some((level, left));
                }
            }
        }
        None
    };
    markers.iter().enumerate().map(|(index, (x, width))| place(index, *x, *width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (f32, f32) = (0.0, 300.0);

    #[test]
    fn a_label_stands_right_of_its_line_or_left_of_it_at_the_edge() {
        assert_eq!(places(&[(100.0, 80.0)], FRAME), [Some((0, 104.0))]);
        assert_eq!(places(&[(250.0, 80.0)], FRAME), [Some((0, 166.0))]);
        assert_eq!(places(&[(150.0, 400.0)], FRAME), [None], "too long for the frame");
    }

    #[test]
    fn labels_that_would_meet_take_other_rows_and_the_oldest_gives_way() {
        assert_eq!(places(&[(200.0, 80.0), (190.0, 80.0)], FRAME), [Some((0, 204.0)), Some((0, 106.0))]);
        let crowd: Vec<(f32, f32)> = (0..12).map(|n| (150.0 - n as f32, 120.0)).collect();
        let found = places(&crowd, FRAME);
        assert!(found[0].is_some() && found.iter().any(Option::is_none));
    }

    /// No label leaves the frame, meets another, or is crossed by a line, however the markers lie.
    #[test]
    fn nothing_lies_on_a_label() {
        let mut seed = 12_345_u64;
        let mut random = |below: f32| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f32 / (1_u64 << 24) as f32 * below
        };
        for _ in 0..2_000 {
            let count = 1 + random(9.0) as usize;
            let mut markers: Vec<(f32, f32)> = (0..count).map(|_| (random(300.0), 20.0 + random(140.0))).collect();
            markers.sort_by(|a, b| b.0.total_cmp(&a.0));
            let found = places(&markers, FRAME);
            let labels: Vec<(usize, usize, f32, f32)> = found
                .iter()
                .enumerate()
                .filter_map(|(i, place)| place.map(|(level, left)| (i, level, left, left + markers[i].1)))
                .collect();
            for (index, level, left, right) in &labels {
                assert!(*left >= FRAME.0 && *right <= FRAME.1);
                for (other, other_level, other_left, other_right) in &labels {
                    assert!(index == other || level != other_level || right < other_left || other_right < left, "{markers:?} {found:?}");
                }
                for (other, (x, _)) in markers.iter().enumerate().filter(|(other, _)| other != index) {
                    // a line begins at the row of its own label, or at the plot's edge
                    let from = found[other].map_or(1, |(level, _)| level);
                    assert!(from > *level || x <= left || x >= right, "{markers:?} {found:?}");
                }
            }
        }
    }
}
