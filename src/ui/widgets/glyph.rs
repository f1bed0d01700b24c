//! Icons drawn as strokes on a 16 point grid; no icon font, so nothing can be missing.

use std::f32::consts::TAU;

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, pos2, vec2};

/// The icons of the interface.
#[expect(missing_docs, reason = "the names say what they show")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icon {
    Copy,
    Edit,
    Trash,
    Refresh,
    Play,
    Stop,
    Pause,
    Branch,
    Search,
    Plus,
    Close,
    ChevronDown,
    ChevronUp,
    ChevronRight,
    ChevronLeft,
    Download,
    Export,
    ZoomReset,
    Warning,
    Info,
    Check,
    Folder,
    Settings,
    Dots,
    Send,
    Pin,
    Bars,
    Clock,
}

impl Icon {
    /// Every icon, for the gallery.
    pub const ALL: [Self; 28] = [
        Self::Copy,
        Self::Edit,
        Self::Trash,
        Self::Refresh,
        Self::Play,
        Self::Stop,
        Self::Pause,
        Self::Branch,
        Self::Search,
        Self::Plus,
        Self::Close,
        Self::ChevronDown,
        Self::ChevronUp,
        Self::ChevronRight,
        Self::ChevronLeft,
        Self::Download,
        Self::Export,
        Self::ZoomReset,
        Self::Warning,
        Self::Info,
        Self::Check,
        Self::Folder,
        Self::Settings,
        Self::Dots,
        Self::Send,
        Self::Pin,
        Self::Bars,
        Self::Clock,
    ];
}

type Point = (f32, f32);

/// One part of an icon, in units of the 16 point grid.
enum Part {
    Line(&'static [Point]),
    Closed(&'static [Point]),
    Solid(&'static [Point]),
    Ring(Point, f32),
    Dot(Point, f32),
    /// Centre, radius, from and to in turns, clockwise from the right.
    Arc(Point, f32, f32, f32),
}

use Part::{Arc, Closed, Dot, Line, Ring, Solid};

fn parts(icon: Icon) -> &'static [Part] {
    match icon {
        Icon::Copy => &[
            Closed(&[(5.5, 5.5), (13.5, 5.5), (13.5, 13.5), (5.5, 13.5)]),
            Line(&[(10.5, 5.5), (10.5, 2.5), (2.5, 2.5), (2.5, 10.5), (5.5, 10.5)]),
        ],
        Icon::Edit => &[Closed(&[(3.0, 13.0), (3.5, 10.0), (10.5, 3.0), (13.0, 5.5), (6.0, 12.5)]), Line(&[(9.0, 4.5), (11.5, 7.0)])],
        Icon::Trash => &[
            Line(&[(2.5, 4.5), (13.5, 4.5)]),
            Line(&[(6.0, 4.5), (6.0, 2.5), (10.0, 2.5), (10.0, 4.5)]),
            Line(&[(4.0, 4.5), (4.6, 13.5), (11.4, 13.5), (12.0, 4.5)]),
            Line(&[(6.9, 7.0), (6.9, 11.0)]),
            Line(&[(9.1, 7.0), (9.1, 11.0)]),
        ],
        Icon::Refresh => &[Arc((8.0, 8.0), 5.0, 0.08, 0.93), Line(&[(13.4, 2.9), (13.0, 6.1), (9.8, 5.7)])],
        Icon::Play => &[Solid(&[(5.0, 3.0), (13.0, 8.0), (5.0, 13.0)])],
        Icon::Stop => &[Solid(&[(4.0, 4.0), (12.0, 4.0), (12.0, 12.0), (4.0, 12.0)])],
        Icon::Pause => {
            &[Solid(&[(4.5, 3.5), (6.8, 3.5), (6.8, 12.5), (4.5, 12.5)]), Solid(&[(9.2, 3.5), (11.5, 3.5), (11.5, 12.5), (9.2, 12.5)])]
        }
        Icon::Branch => &[
            Ring((4.5, 3.8), 1.6),
            Ring((4.5, 12.2), 1.6),
            Ring((11.5, 3.8), 1.6),
            Line(&[(4.5, 5.4), (4.5, 10.6)]),
            Line(&[(11.5, 5.4), (11.3, 6.8), (10.3, 7.8), (6.0, 8.6), (4.9, 9.4), (4.5, 10.6)]),
        ],
        Icon::Search => &[Ring((7.0, 7.0), 4.3), Line(&[(10.2, 10.2), (13.6, 13.6)])],
        Icon::Plus => &[Line(&[(8.0, 3.0), (8.0, 13.0)]), Line(&[(3.0, 8.0), (13.0, 8.0)])],
        Icon::Close => &[Line(&[(4.0, 4.0), (12.0, 12.0)]), Line(&[(12.0, 4.0), (4.0, 12.0)])],
        Icon::ChevronDown => &[Line(&[(4.0, 6.2), (8.0, 10.2), (12.0, 6.2)])],
        Icon::ChevronUp => &[Line(&[(4.0, 9.8), (8.0, 5.8), (12.0, 9.8)])],
        Icon::ChevronRight => &[Line(&[(6.2, 4.0), (10.2, 8.0), (6.2, 12.0)])],
        Icon::ChevronLeft => &[Line(&[(9.8, 4.0), (5.8, 8.0), (9.8, 12.0)])],
        Icon::Download => {
            &[Line(&[(8.0, 2.5), (8.0, 10.0)]), Line(&[(4.8, 7.0), (8.0, 10.2), (11.2, 7.0)]), Line(&[(2.5, 13.5), (13.5, 13.5)])]
        }
        Icon::Export => {
            &[Line(&[(8.0, 10.2), (8.0, 2.7)]), Line(&[(4.8, 5.9), (8.0, 2.7), (11.2, 5.9)]), Line(&[(2.5, 13.5), (13.5, 13.5)])]
        }
        Icon::ZoomReset => &[
            Line(&[(6.0, 2.5), (2.5, 2.5), (2.5, 6.0)]),
            Line(&[(10.0, 2.5), (13.5, 2.5), (13.5, 6.0)]),
            Line(&[(6.0, 13.5), (2.5, 13.5), (2.5, 10.0)]),
            Line(&[(10.0, 13.5), (13.5, 13.5), (13.5, 10.0)]),
        ],
        Icon::Warning => &[Closed(&[(8.0, 2.3), (14.2, 13.3), (1.8, 13.3)]), Line(&[(8.0, 6.4), (8.0, 9.6)]), Dot((8.0, 11.4), 0.9)],
        Icon::Info => &[Ring((8.0, 8.0), 5.8), Line(&[(8.0, 7.4), (8.0, 11.0)]), Dot((8.0, 5.2), 0.9)],
        Icon::Check => &[Line(&[(3.0, 8.4), (6.5, 11.8), (13.0, 4.6)])],
        Icon::Folder => &[Closed(&[(2.0, 3.5), (6.3, 3.5), (7.8, 5.2), (14.0, 5.2), (14.0, 12.8), (2.0, 12.8)])],
        Icon::Settings => &[
            Line(&[(2.5, 4.8), (8.2, 4.8)]),
            Line(&[(12.0, 4.8), (13.5, 4.8)]),
            Ring((10.1, 4.8), 1.9),
            Line(&[(2.5, 11.2), (4.0, 11.2)]),
            Line(&[(7.8, 11.2), (13.5, 11.2)]),
            Ring((5.9, 11.2), 1.9),
        ],
        Icon::Dots => &[Dot((3.5, 8.0), 1.2), Dot((8.0, 8.0), 1.2), Dot((12.5, 8.0), 1.2)],
        Icon::Send => &[Line(&[(8.0, 13.0), (8.0, 3.4)]), Line(&[(3.8, 7.4), (8.0, 3.2), (12.2, 7.4)])],
        Icon::Bars => &[
            Line(&[(2.5, 2.5), (2.5, 13.5)]),
            Solid(&[(4.5, 3.0), (13.5, 3.0), (13.5, 5.4), (4.5, 5.4)]),
            Solid(&[(4.5, 6.8), (9.5, 6.8), (9.5, 9.2), (4.5, 9.2)]),
            Solid(&[(4.5, 10.6), (6.8, 10.6), (6.8, 13.0), (4.5, 13.0)]),
        ],
        Icon::Clock => &[Ring((8.0, 8.0), 5.5), Line(&[(8.0, 4.8), (8.0, 8.0), (10.4, 9.4)])],
        Icon::Pin => {
            &[Line(&[(8.0, 10.0), (8.0, 14.0)]), Closed(&[(5.5, 2.5), (10.5, 2.5), (9.8, 7.0), (12.0, 10.0), (4.0, 10.0), (6.2, 7.0)])]
        }
    }
}

/// Paints `icon` centred in `rect`, as large as the shorter side.
pub fn paint_icon(painter: &Painter, icon: Icon, rect: Rect, color: Color32) {
    let side = rect.width().min(rect.height());
    let unit = side / 16.0;
    let origin = rect.center() - vec2(side, side) / 2.0;
    let at = |&(x, y): &Point| -> Pos2 { pos2(origin.x + x * unit, origin.y + y * unit) };
    let stroke = Stroke::new((1.4 * unit).max(1.0), color);
    for part in parts(icon) {
        painter.add(match part {
            Line(points) => Shape::line(points.iter().map(at).collect(), stroke),
            Closed(points) => Shape::closed_line(points.iter().map(at).collect(), stroke),
            Solid(points) => Shape::convex_polygon(points.iter().map(at).collect(), color, Stroke::NONE),
            Ring(center, radius) => Shape::circle_stroke(at(center), radius * unit, stroke),
            Dot(center, radius) => Shape::circle_filled(at(center), radius * unit, color),
            Arc(center, radius, from, to) => {
                let steps = 20_u8;
                let turn = |step: u8| TAU * (from + (to - from) * f32::from(step) / f32::from(steps));
                let points = (0..=steps).map(|step| at(center) + radius * unit * vec2(turn(step).cos(), turn(step).sin()));
                Shape::line(points.collect(), stroke)
            }
        });
    }
}
