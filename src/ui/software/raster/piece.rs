//! Meshes cut into what can be drawn at once: rectangles, letters, triangles.

use egui::epaint::{Mesh, Vertex};

use crate::Target;
use crate::colour::{is_additive, lay, multiply, over, over_bright, pack};
use crate::texture::Texture;
use crate::tiles::{Area, Spans, fold, pair};
use crate::triangle::{self, Corner, Triangle};

/// How far, in texels, a texel may lie from the pixel it is drawn on for a plain copy.
const ALIGNED: f32 = 1.0 / 64.0;

/// Something that is drawn at once, within its clip rectangle.
pub(crate) enum Piece {
    /// Pixels of one colour
    Rect { area: Area, colour: u32 },
    /// A part of a texture, a texel a pixel, `at` is the texel of the upper left pixel
    Copy { area: Area, at: [i32; 2], colour: u32 },
    /// Anything else, and the pixels it may touch
    Triangle([Corner; 3], Area),
}

/// Cuts a mesh up, in order. `scale` is pixels per point.
pub(crate) fn pieces(mesh: &Mesh, texture: &Texture, scale: f32, clip: Area, mut each: impl FnMut(Piece)) {
    let mut indices = mesh.indices.as_slice();
    let vertex = |index: u32| mesh.vertices.get(index as usize);
    while let Some((&[a, b, c], rest)) = indices.split_first_chunk::<3>() {
        indices = rest;
        let (Some(va), Some(vb), Some(vc)) = (vertex(a), vertex(b), vertex(c)) else { continue };
        // the order in which egui makes rectangles of any kind: `Mesh::add_rect_with_uv`
        if let Some((&[c2, b2, d], after)) = rest.split_first_chunk::<3>()
            && (c2, b2) == (c, b)
            && let Some(vd) = vertex(d)
            && let Some(piece) = rectangle([va, vb, vc, vd], texture, scale, clip)
        {
            indices = after;
            each(piece);
            continue;
        }
        let corner = |vertex: &Vertex| Corner {
            at: [vertex.pos.x * scale, vertex.pos.y * scale],
            uv: [vertex.uv.x * texture.width as f32, vertex.uv.y * texture.height as f32],
            colour: pack(vertex.color),
        };
        let corners = [corner(va), corner(vb), corner(vc)];
        let area = triangle::bounds(&corners).and(clip);
        if !area.is_empty() {
            each(Piece::Triangle(corners, area));
        }
    }
}

/// The rectangle of these corners (upper left, upper right, lower left, lower right), when it is one of the plain kinds.
fn rectangle([a, b, c, d]: [&Vertex; 4], texture: &Texture, scale: f32, clip: Area) -> Option<Piece> {
    let is_upright = a.pos.y == b.pos.y && a.pos.x == c.pos.x && d.pos.x == b.pos.x && d.pos.y == c.pos.y;
    let is_flat = a.color == b.color && a.color == c.color && a.color == d.color;
    if !is_upright || !is_flat || !(a.pos.x <= d.pos.x && a.pos.y <= d.pos.y) {
        return None;
    }
    let (min, max) = (a.pos * scale, d.pos * scale);
    // the pixels whose centres lie inside
    let side = |at: f32| (at - 0.5).ceil() as i32;
    let whole = Area { left: side(min.x), top: side(min.y), right: side(max.x), bottom: side(max.y) };
    let area = whole.and(clip);
    let colour = pack(a.color);
    let (width, height) = (texture.width as f32, texture.height as f32);
    if a.uv == d.uv && a.uv == b.uv && a.uv == c.uv {
        let texel = texture.at((a.uv.x * width) as i32, (a.uv.y * height) as i32);
        return Some(Piece::Rect { area, colour: multiply(texel, colour) });
    }
    let is_straight = a.uv.y == b.uv.y && a.uv.x == c.uv.x && d.uv.x == b.uv.x && d.uv.y == c.uv.y;
    let (u, v) = ([a.uv.x * width, d.uv.x * width], [a.uv.y * height, d.uv.y * height]);
    let is_as_large = (u[1] - u[0] - (max.x - min.x)).abs() < ALIGNED && (v[1] - v[0] - (max.y - min.y)).abs() < ALIGNED;
    // where the centre of the first pixel lies in the texture
    let first = [u[0] + whole.left as f32 + 0.5 - min.x, v[0] + whole.top as f32 + 0.5 - min.y];
    let is_aligned = first.iter().all(|at| (at.fract() - 0.5).abs() < ALIGNED);
    // far outside a whole number ends before a float does
    let cut = [area.left.saturating_sub(whole.left), area.top.saturating_sub(whole.top)];
    (is_straight && is_as_large && is_aligned).then(|| Piece::Copy {
        area,
        at: [(first[0] as i32).saturating_add(cut[0]), (first[1] as i32).saturating_add(cut[1])],
        colour,
    })
}

impl Piece {
    /// The pixels that it may touch.
    pub(crate) fn bounds(&self) -> Area {
        match self {
            Self::Rect { area, .. } | Self::Copy { area, .. } | Self::Triangle(_, area) => *area,
        }
    }

    /// A number that differs where what is drawn does.
    pub(crate) fn digest(&self, texture: &Texture) -> u64 {
        let Area { left, top, right, bottom } = self.bounds();
        let place = fold(pair(left as u32, top as u32), pair(right as u32, bottom as u32));
        match self {
            Self::Rect { colour, .. } => fold(place, u64::from(*colour)),
            Self::Copy { area, at, colour } => {
                let edition = texture.edition(*at, [area.right - area.left, area.bottom - area.top]);
                fold(fold(place, pair(at[0] as u32, at[1] as u32)), pair(*colour, edition))
            }
            Self::Triangle(corners, _) => fold(place, triangle::digest(corners, texture)),
        }
    }

    /// Draws what of it lies in `spans`.
    pub(crate) fn draw(&self, texture: &Texture, spans: &Spans, target: &mut Target<'_>) {
        match self {
            Self::Rect { area, colour } => spans.within(*area, |part| {
                for y in part.top..part.bottom {
                    lay(*colour, target.row(y, part.left, part.right));
                }
            }),
            Self::Copy { area, at, colour } => spans.within(*area, |part| {
                let from = (at[0] + part.left - area.left) as usize;
                for y in part.top..part.bottom {
                    let start = (at[1] + y - area.top) as usize * texture.width + from;
                    let texels = texture.texels.get(start..).unwrap_or_default();
                    copy(texels, *colour, target.row(y, part.left, part.right));
                }
            }),
            Self::Triangle(corners, area) => {
                if spans.touch(*area)
                    && let Some(triangle) = Triangle::new(*corners, texture)
                {
                    spans.within(*area, |part| triangle.draw(texture, part, target));
                }
            }
        }
    }
}

fn copy(texels: &[u32], colour: u32, row: &mut [u32]) {
    let is_bright = is_additive(colour);
    for (pixel, texel) in row.iter_mut().zip(texels) {
        match (texel, is_bright) {
            (0, _) => {}
            (_, false) => *pixel = over(multiply(*texel, colour), *pixel),
            (_, true) => *pixel = over_bright(multiply(*texel, colour), *pixel),
        }
    }
}
