//! One time axis for several plots: what the pointer does to one of them moves them all.
//!
//! Ctrl and the wheel (or a pinch) zooms around the pointer, a drag moves along time, a double click goes back to the usual range. What is
//! looked at is kept under an [`Id`] in egui's memory; plots that are given the same one move together.

use egui::{Context, Id, Rect, Response};

/// Shortest stretch of time that can be looked at, seconds.
const SHORTEST: f64 = 0.5;

/// The times that are looked at, when they are not the usual ones.
pub fn zoomed(ctx: &Context, axis: Id) -> Option<[f64; 2]> {
    ctx.data(|data| data.get_temp::<Option<[f64; 2]>>(axis)).flatten()
}

/// Looks at other times; `None` goes back to the usual ones.
pub fn look_at(ctx: &Context, axis: Id, view: Option<[f64; 2]>) {
    ctx.data_mut(|data| data.insert_temp(axis, view));
}

/// Does what the pointer asks for over a plot that shows `frame`. `usual` are the times that are shown without a zoom; the later one is the
/// last that anything was measured at.
pub fn follow_pointer(response: &Response, frame: Rect, axis: Id, usual: [f64; 2]) {
    let ctx = &response.ctx;
    let before = zoomed(ctx, axis);
    let view = before.unwrap_or(usual);
    if response.double_clicked() {
        look_at(ctx, axis, None);
        return;
    }
    let seconds_per_point = (view[1] - view[0]) / f64::from(frame.width().max(1.0));
    let mut after = view;
    if let Some(pointer) = response.hover_pos() {
        let factor = f64::from(ctx.input(egui::InputState::zoom_delta));
        if factor > 0.0 && (factor - 1.0).abs() > 1e-6 {
            let at = view[0] + f64::from(pointer.x - frame.left()) * seconds_per_point;
            after = [at - (at - view[0]) / factor, at + (view[1] - at) / factor];
        }
    }
    if response.dragged_by(egui::PointerButton::Primary) {
        let moved = f64::from(response.drag_delta().x) * seconds_per_point;
        after = [after[0] - moved, after[1] - moved];
    }
    if after != view {
        look_at(ctx, axis, sensible(after, usual));
        // a plot that was painted before this one in the frame follows in the next
        ctx.request_repaint();
    }
}

/// A view that shows no time to come and is neither too short nor longer than the usual one; `None` when it is the usual one.
fn sensible(view: [f64; 2], usual: [f64; 2]) -> Option<[f64; 2]> {
    let (from, to) = (view[0], view[1]);
    let most = usual[1] - usual[0];
    let length = (to - from).clamp(SHORTEST.min(most), most);
    let middle = f64::midpoint(from, to);
    let to = (middle + length / 2.0).min(usual[1]);
    let is_usual = most - length < 1e-6 && usual[1] - to < 1e-6;
    (!is_usual).then_some([to - length, to])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_stays_in_the_past_and_within_its_lengths() {
        let usual = [-60.0, 0.0];
        assert_eq!(sensible([-40.0, -20.0], usual), Some([-40.0, -20.0]));
        assert_eq!(sensible([-10.0, 10.0], usual), Some([-20.0, 0.0]), "nothing was measured in the future");
        assert_eq!(sensible([-200.0, 200.0], usual), None, "zoomed out all the way");
        assert_eq!(sensible([-100.0, -40.0], usual), Some([-100.0, -40.0]), "as long as usual, but earlier");
        let [from, to] = sensible([-30.001, -29.999], usual).unwrap();
        assert!((to - from - SHORTEST).abs() < 1e-9);
    }
}
