//! Which pixels lie in a triangle.
//!
//! Corners are rounded to 1/256 of a pixel and edges decided in whole numbers, by the top-left rule, so that of two triangles that share an
//! edge exactly one owns each pixel on it (Pineda, "A Parallel Algorithm for Polygon Rasterization", 1988).

use crate::Target;
use crate::shade::Shade;
use crate::texture::Texture;
use crate::tiles::{Area, fold, pair};

/// Parts of a pixel that corners are rounded to.
const PARTS: i64 = 256;
/// Farther out, pixels, a corner is moved to this distance: so that products fit.
const FARTHEST: f32 = 1e6;

/// A corner: where it is in pixels, in texels, and its colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Corner {
    pub(crate) at: [f32; 2],
    pub(crate) uv: [f32; 2],
    pub(crate) colour: u32,
}

/// A side, seen so that the inside lies to the right of it.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: [i64; 2],
    to: [i64; 2],
}

/// A triangle with an inside.
#[derive(Debug)]
pub(crate) struct Triangle {
    edges: [Edge; 3],
    shade: Shade,
}

/// The pixels that lie around these corners; none when one of them is nowhere.
pub(crate) fn bounds(corners: &[Corner; 3]) -> Area {
    let [a, b, c] = corners.each_ref().map(|corner| corner.at);
    let nowhere = Area { left: 0, top: 0, right: 0, bottom: 0 };
    // a sum with something that is no number is none, and so is one of both infinities
    if !(a[0] + b[0] + c[0] + a[1] + b[1] + c[1]).is_finite() {
        return nowhere;
    }
    let (least, most) =
        (|axis: usize| a[axis].min(b[axis]).min(c[axis]).floor() as i32, |axis: usize| a[axis].max(b[axis]).max(c[axis]).ceil() as i32);
    Area { left: least(0), top: least(1), right: most(0), bottom: most(1) }
}

/// A number that differs where the picture of these corners does.
pub(crate) fn digest(corners: &[Corner; 3], texture: &Texture) -> u64 {
    let is_plain = corners[0].uv == corners[1].uv && corners[0].uv == corners[2].uv;
    let ground = if is_plain { texture.at(corners[0].uv[0] as i32, corners[0].uv[1] as i32) } else { texture.latest() };
    corners.iter().fold(u64::from(ground), |digest, Corner { at, uv, colour }| {
        let place = pair(at[0].to_bits(), at[1].to_bits());
        let look = pair(uv[0].to_bits(), uv[1].to_bits().rotate_left(7) ^ colour);
        fold(digest ^ place, look)
    })
}

impl Triangle {
    /// `None` when no pixel can lie in it.
    pub(crate) fn new(mut corners: [Corner; 3], texture: &Texture) -> Option<Self> {
        let fixed = |corner: &Corner| corner.at.map(|value| (value.clamp(-FARTHEST, FARTHEST) * PARTS as f32).round() as i64);
        let mut points = [fixed(&corners[0]), fixed(&corners[1]), fixed(&corners[2])];
        let area = twice_the_area(points);
        if area == 0 {
            return None;
        }
        if area < 0 {
            points.swap(1, 2);
            corners.swap(1, 2);
        }
        let [a, b, c] = points;
        let edges = [Edge { from: a, to: b }, Edge { from: b, to: c }, Edge { from: c, to: a }];
        let shade = Shade::new(&corners, points, area.abs(), texture)?;
        Some(Self { edges, shade })
    }

    /// Draws what of it lies in `area`.
    pub(crate) fn draw(&self, texture: &Texture, area: Area, target: &mut Target<'_>) {
        for y in area.top..area.bottom {
            let (mut left, mut right) = (area.left, area.right);
            for edge in &self.edges {
                edge.narrow(y, &mut left, &mut right);
            }
            if left < right {
                self.shade.fill(texture, [left, y], target.row(y, left, right));
            }
        }
    }
}

fn twice_the_area([a, b, c]: [[i64; 2]; 3]) -> i64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// The first pixel whose centre is not before `at`.
fn first_centre(at: i64) -> i64 {
    -(PARTS / 2 - at).div_euclid(PARTS)
}

/// The last pixel whose centre is not behind `at`.
fn last_centre(at: i64) -> i64 {
    (at - PARTS / 2).div_euclid(PARTS)
}

impl Edge {
    /// Leaves of a row's pixels those on the right side of this edge.
    fn narrow(&self, y: i32, left: &mut i32, right: &mut i32) {
        let (run, rise) = (self.to[0] - self.from[0], self.to[1] - self.from[1]);
        let down = i64::from(y) * PARTS + PARTS / 2 - self.from[1];
        // a centre on the edge itself belongs to the triangle only if the edge is a left or an upper one
        let owns = rise < 0 || (rise == 0 && run > 0);
        // inside where rise * (x - from.x) <= reach
        let reach = run * down - i64::from(!owns);
        let column = |pixel: i64| pixel.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        if rise > 0 {
            let last = self.from[0] + reach.div_euclid(rise);
            *right = (*right).min(column(last_centre(last) + 1));
        } else if rise < 0 {
            let first = self.from[0] - reach.div_euclid(-rise);
            *left = (*left).max(column(first_centre(first)));
        } else if reach < 0 {
            *right = *left;
        }
    }
}
