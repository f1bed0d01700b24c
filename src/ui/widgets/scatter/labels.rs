//! Labels beside points that cover neither each other nor other points, nor, where that can be, the line through the front. One that finds no place near its point moves away and gets a
//! leader; one that finds none at all is left out: hover and selection say it.

use egui::{Pos2, Rect, Vec2, pos2};

/// Where a label goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    /// Which point
    pub(super) point: usize,
    /// Its text
    pub(super) rect: Rect,
    /// Whether a line to its point is needed
    pub(super) leader: bool,
}

/// Half of the square around a point that a label must not cover.
const CLEAR: f32 = 7.0;
/// How many of the candidates are beside the point.
const BESIDE: usize = 6;
/// From the middle of a point to a label beside it.
const NEAR: f32 = 10.0;
/// The same to a label that moved away.
const FAR: f32 = 26.0;

/// Tries the labels in the order given (`point`, size) and says where each goes.
pub(super) fn place(frame: Rect, points: &[Pos2], line: &[Pos2], wanted: &[(usize, Vec2)]) -> Vec<Placed> {
    let crosses = |rect: &Rect| line.windows(2).any(|ends| matches!(ends, [from, to] if is_crossed(rect, *from, *to)));
    let mut placed: Vec<Placed> = Vec::new();
    for (point, size) in wanted {
        let Some(at) = points.get(*point).copied() else { continue };
        if !frame.contains(at) {
            continue;
        }
        let free = |rect: &Rect| {
            frame.contains_rect(*rect)
                && placed.iter().all(|other| !other.rect.expand(1.0).intersects(*rect))
                && points.iter().enumerate().all(|(other, at)| other == *point || !rect.expand(CLEAR).contains(*at))
        };
        let beside = || candidates(at, *size).enumerate().filter(|(_, rect)| free(rect));
        let clear = beside().take_while(|(nth, _)| *nth < BESIDE).find(|(_, rect)| !crosses(rect));
        let found = clear.or_else(|| beside().next());
        if let Some((nth, rect)) = found {
            placed.push(Placed { point: *point, rect, leader: nth >= BESIDE });
        }
    }
    placed
}

/// Whether a stretch of a line runs through a label.
pub(in crate::ui) fn is_crossed(rect: &Rect, from: Pos2, to: Pos2) -> bool {
    let steps = (from.distance(to) / 4.0).ceil().max(1.0);
    (0..=steps as usize).any(|step| rect.contains(from.lerp(to, step as f32 / steps)))
}

/// The places a label may have, the best first: beside the point, then farther away.
fn candidates(at: Pos2, size: Vec2) -> impl Iterator<Item = Rect> {
    let rect = move |left: f32, top: f32| Rect::from_min_size(pos2(left, top), size);
    [NEAR, FAR].into_iter().flat_map(move |d| {
        [
            rect(at.x + d, at.y + d * 0.2),
            rect(at.x + d, at.y - size.y - d * 0.2),
            rect(at.x + d, at.y - size.y / 2.0),
            rect(at.x - d - size.x, at.y - size.y / 2.0),
            rect(at.x - size.x / 2.0, at.y + d),
            rect(at.x - size.x / 2.0, at.y - d - size.y),
        ]
    })
}

/// The point of a label's edge that a leader goes to.
pub(super) fn anchor(rect: Rect, from: Pos2) -> Pos2 {
    pos2(from.x.clamp(rect.left(), rect.right()), from.y.clamp(rect.top(), rect.bottom()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::vec2;

    #[test]
    fn labels_never_cover_each_other_or_a_point() {
        let frame = Rect::from_min_size(pos2(0.0, 0.0), vec2(500.0, 300.0));
        // a crowd, and two on nearly one spot
        let points: Vec<Pos2> = (0..40)
            .map(|i| pos2(((i * 97) % 480) as f32 + 10.0, ((i * 53) % 280) as f32 + 10.0))
            .chain([pos2(200.0, 150.0), pos2(203.0, 152.0)])
            .collect();
        let wanted: Vec<(usize, Vec2)> = (0..points.len()).map(|i| (i, vec2(48.0, 14.0))).collect();
        let placed = place(frame, &points, &[], &wanted);
        assert!(placed.len() > 12, "only {} of {} were placed", placed.len(), points.len());
        for (i, a) in placed.iter().enumerate() {
            assert!(frame.contains_rect(a.rect));
            assert!(placed.iter().skip(i + 1).all(|b| !a.rect.intersects(b.rect)), "labels overlap");
            assert!(points.iter().enumerate().all(|(at, point)| at == a.point || !a.rect.contains(*point)), "a label covers a point");
        }
    }

    #[test]
    fn the_first_in_the_order_gets_the_place_beside_its_point() {
        let frame = Rect::from_min_size(pos2(0.0, 0.0), vec2(200.0, 200.0));
        let points = [pos2(100.0, 100.0), pos2(104.0, 101.0)];
        let placed = place(frame, &points, &[], &[(1, vec2(40.0, 14.0)), (0, vec2(40.0, 14.0))]);
        assert_eq!(placed[0].point, 1);
        assert!(placed[0].rect.left() > 104.0 && !placed[0].leader);
        assert_eq!(placed.len(), 2);
    }
    #[test]
    fn a_label_keeps_off_the_line_where_there_is_another_place() {
        let frame = Rect::from_min_size(pos2(0.0, 0.0), vec2(400.0, 200.0));
        let line = [pos2(100.0, 100.0), pos2(300.0, 104.0)];
        let placed = place(frame, &line, &line, &[(0, vec2(60.0, 14.0))]);
        assert!(!is_crossed(&placed[0].rect, line[0], line[1]), "{:?}", placed[0].rect);
        // where it fits nowhere else it is still there
        let slit = Rect::from_min_size(pos2(0.0, 92.0), vec2(400.0, 20.0));
        let ends = [pos2(2.0, 100.0), pos2(398.0, 100.0)];
        assert_eq!(place(slit, &ends, &ends, &[(0, vec2(60.0, 14.0))]).len(), 1);
    }
}
