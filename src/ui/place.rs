//! Where the window stands: where it was last time, as long as that is still on a screen.

use egui::{Pos2, Rect, Vec2, ViewportBuilder, ViewportCommand, pos2, vec2};

use crate::store::WindowPlace;

/// First window, points.
const FIRST_SIZE: [f32; 2] = [1440.0, 900.0];
/// Least of the upper edge of a window that must be on a screen, points: enough to take hold of it.
const GRIP: Vec2 = vec2(120.0, 24.0);

/// A window of the size, place and state it had.
pub(super) fn remembered(builder: ViewportBuilder, place: Option<&WindowPlace>, least: [f32; 2]) -> ViewportBuilder {
    let size = place.map_or(FIRST_SIZE, |place| [place.width, place.height]);
    let builder = builder.with_inner_size([size[0].clamp(least[0], 16_384.0), size[1].clamp(least[1], 16_384.0)]);
    let Some(place) = place else { return builder };
    let builder = match corner(place) {
        Some(corner) => builder.with_position(corner),
        None => builder,
    };
    builder.with_maximized(place.maximized)
}

fn corner(place: &WindowPlace) -> Option<Pos2> {
    Some(pos2(place.x?, place.y?))
}

/// What brings a window back that stands where no screen is any more, or that is larger than the screen it is on. `screens` are in points.
pub(super) fn corrections(place: &WindowPlace, screens: &[Rect]) -> Vec<ViewportCommand> {
    let mut commands = Vec::new();
    if screens.is_empty() || place.maximized {
        return commands;
    }
    let mut size = vec2(place.width, place.height);
    let seen = |screen: &Rect, corner: Pos2| screen.intersect(Rect::from_min_size(corner, vec2(size.x, GRIP.y)));
    let home = corner(place).and_then(|corner| {
        let on = screens.iter().max_by(|a, b| area(seen(a, corner)).total_cmp(&area(seen(b, corner))))?;
        let grip = seen(on, corner);
        // a title bar may lie a little above what the system gives as the inside
        (grip.width() >= GRIP.x && corner.y >= on.top() - GRIP.y).then_some(*on)
    });
    let Some(screen) = home.or_else(|| screens.first().copied()) else { return commands };
    if size.x > screen.width() || size.y > screen.height() {
        size = size.min(screen.size());
        commands.push(ViewportCommand::InnerSize(size));
    }
    if home.is_none() && corner(place).is_some() {
        let middle = screen.center() - size / 2.0;
        commands.push(ViewportCommand::OuterPosition(middle.max(screen.min)));
    }
    commands
}

fn area(rect: Rect) -> f32 {
    if rect.is_positive() { rect.area() } else { 0.0 }
}

/// The screens of this machine, in points of the scale of the first.
pub(super) fn screens(window: &egui_winit::winit::window::Window) -> Vec<Rect> {
    let scale = (window.scale_factor() as f32).max(0.1);
    window
        .available_monitors()
        .map(|monitor| {
            let (at, size) = (monitor.position(), monitor.size());
            Rect::from_min_size(pos2(at.x as f32, at.y as f32), vec2(size.width as f32, size.height as f32)) / scale
        })
        .filter(|screen| screen.is_positive())
        .collect()
}

/// Where the window is now. A maximized one keeps the size and the place that it goes back to.
pub(super) fn now(before: Option<&WindowPlace>, size: Vec2, corner: Option<Pos2>, maximized: bool) -> WindowPlace {
    match before {
        Some(before) if maximized => WindowPlace { maximized, ..*before },
        _ => WindowPlace {
            width: size.x.round(),
            height: size.y.round(),
            x: corner.map(|corner| corner.x.round()),
            y: corner.map(|corner| corner.y.round()),
            maximized,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(x: f32, y: f32) -> WindowPlace {
        WindowPlace { width: 1440.0, height: 900.0, x: Some(x), y: Some(y), maximized: false }
    }

    fn screen(x: f32, width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(x, 0.0), vec2(width, height))
    }

    #[test]
    fn a_window_comes_back_as_it_was() {
        let builder = remembered(ViewportBuilder::default(), Some(&WindowPlace { maximized: true, ..place(200.0, 80.0) }), [1024.0, 640.0]);
        assert_eq!((builder.inner_size, builder.position), (Some(vec2(1440.0, 900.0)), Some(pos2(200.0, 80.0))));
        assert_eq!(builder.maximized, Some(true));
        let first = remembered(ViewportBuilder::default(), None, [1024.0, 640.0]);
        assert_eq!((first.inner_size, first.position), (Some(vec2(1440.0, 900.0)), None));
        let tiny = WindowPlace { width: 10.0, height: 10.0, ..WindowPlace::default() };
        let tiny = remembered(ViewportBuilder::default(), Some(&tiny), [1024.0, 640.0]);
        assert_eq!((tiny.inner_size, tiny.position), (Some(vec2(1024.0, 640.0)), None));
    }

    #[test]
    fn a_window_whose_screen_is_gone_comes_to_one_that_is_there() {
        let two = [screen(0.0, 1920.0, 1080.0), screen(1920.0, 2560.0, 1440.0)];
        assert_eq!(corrections(&place(2000.0, 100.0), &two), []);
        assert_eq!(corrections(&place(2000.0, 100.0), &two[..1]), [ViewportCommand::OuterPosition(pos2(240.0, 90.0))]);
        assert_eq!(
            corrections(&place(100.0, -500.0), &two),
            [ViewportCommand::OuterPosition(pos2(240.0, 90.0))],
            "its upper edge is out of reach"
        );
        assert_eq!(corrections(&place(-1400.0, 100.0), &two[..1]).len(), 1, "40 points of it cannot be grasped");
        assert_eq!(corrections(&place(2000.0, 100.0), &[]), [], "a system that does not say");
        let small = [screen(0.0, 1280.0, 800.0)];
        assert_eq!(corrections(&place(0.0, 0.0), &small), [ViewportCommand::InnerSize(vec2(1280.0, 800.0))]);
        let wayland = WindowPlace { x: None, y: None, ..place(0.0, 0.0) };
        assert_eq!(corrections(&wayland, &two), []);
    }

    #[test]
    fn a_maximized_window_remembers_what_it_goes_back_to() {
        let before = place(200.0, 80.0);
        let maximized = now(Some(&before), vec2(2560.0, 1400.0), Some(pos2(0.0, 0.0)), true);
        assert_eq!(maximized, WindowPlace { maximized: true, ..before });
        let restored = now(Some(&maximized), vec2(1000.4, 700.0), Some(pos2(5.0, 6.0)), false);
        assert_eq!(restored, WindowPlace { width: 1000.0, height: 700.0, x: Some(5.0), y: Some(6.0), maximized: false });
    }
}
