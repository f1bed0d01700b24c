//! The colour of each pixel of a triangle.

use crate::colour::{is_additive, lay, multiply, over, over_bright};
use crate::texture::Texture;
use crate::triangle::Corner;

/// How a triangle is filled.
#[derive(Debug)]
pub(crate) enum Shade {
    /// One colour
    Flat(u32),
    /// Colours that run from corner to corner
    Smooth { colour: Plane<4>, is_bright: bool },
    /// The same times a texture
    Textured { colour: Plane<4>, uv: Plane<2>, is_bright: bool },
}

/// Values that change evenly across the picture: `origin` is where they are `start`, pixels.
#[derive(Debug)]
pub(crate) struct Plane<const N: usize> {
    origin: [f32; 2],
    start: [f32; N],
    across: [f32; N],
    down: [f32; N],
}

impl<const N: usize> Plane<N> {
    /// Through the values at three points, in 1/256 of a pixel; `area` is twice that of their triangle.
    fn through(points: [[i64; 2]; 3], area: i64, values: [[f32; N]; 3]) -> Self {
        let pixels = |from: i64, to: i64| (to - from) as f32 / 256.0;
        let [a, b, c] = points;
        let (ab, ac) = ([pixels(a[0], b[0]), pixels(a[1], b[1])], [pixels(a[0], c[0]), pixels(a[1], c[1])]);
        let area = area as f32 / 65_536.0;
        let along = |i: usize| (values[1][i] - values[0][i], values[2][i] - values[0][i]);
        Self {
            origin: [a[0] as f32 / 256.0, a[1] as f32 / 256.0],
            start: values[0],
            across: std::array::from_fn(|i| (along(i).0 * ac[1] - along(i).1 * ab[1]) / area),
            down: std::array::from_fn(|i| (along(i).1 * ab[0] - along(i).0 * ac[0]) / area),
        }
    }

    /// At the centre of a pixel.
    fn at(&self, [x, y]: [i32; 2]) -> [f32; N] {
        let (right, below) = (x as f32 + 0.5 - self.origin[0], y as f32 + 0.5 - self.origin[1]);
        std::array::from_fn(|i| self.start[i] + self.across[i] * right + self.down[i] * below)
    }
}

/// Bytes of a colour, rounded.
#[inline]
fn bytes(values: [f32; 4]) -> u32 {
    // a cast to a byte saturates
    u32::from_be_bytes(values.map(|value| (value + 0.5) as u8))
}

impl Shade {
    /// For a triangle of these corners, which are at `points` (1/256 of a pixel, clockwise); `area` is twice its area. `None` when it is
    /// transparent all over.
    pub(crate) fn new(corners: &[Corner; 3], points: [[i64; 2]; 3], area: i64, texture: &Texture) -> Option<Self> {
        let [a, b, c] = corners;
        let is_plain = a.uv == b.uv && a.uv == c.uv;
        let texel = if is_plain { texture.at(a.uv[0] as i32, a.uv[1] as i32) } else { u32::MAX };
        let colours = [a, b, c].map(|corner| multiply(texel, corner.colour));
        if colours == [0; 3] {
            return None;
        }
        if is_plain && colours[0] == colours[1] && colours[0] == colours[2] {
            return Some(Self::Flat(colours[0]));
        }
        let colour = Plane::through(points, area, colours.map(|colour| colour.to_be_bytes().map(f32::from)));
        let is_bright = colours.into_iter().any(is_additive);
        if is_plain {
            return Some(Self::Smooth { colour, is_bright });
        }
        Some(Self::Textured { colour, uv: Plane::through(points, area, [a.uv, b.uv, c.uv]), is_bright })
    }

    /// Over the pixels of a row, the first of which is at `from`.
    pub(crate) fn fill(&self, texture: &Texture, from: [i32; 2], row: &mut [u32]) {
        match self {
            Self::Flat(colour) => lay(*colour, row),
            Self::Smooth { colour, is_bright } => {
                let (start, step) = (colour.at(from), colour.across);
                blend(row, *is_bright, |i| bytes([0, 1, 2, 3].map(|byte: usize| start[byte] + step[byte] * i)));
            }
            Self::Textured { colour, uv, is_bright } => {
                let (start, step, place, along) = (colour.at(from), colour.across, uv.at(from), uv.across);
                blend(row, *is_bright, |i| {
                    let texel = texture.linear(place[0] + along[0] * i, place[1] + along[1] * i);
                    multiply(texel, bytes([0, 1, 2, 3].map(|byte: usize| start[byte] + step[byte] * i)))
                });
            }
        }
    }
}

#[inline]
fn blend(row: &mut [u32], is_bright: bool, colour: impl Fn(f32) -> u32) {
    if is_bright {
        row.iter_mut().enumerate().for_each(|(i, pixel)| *pixel = over_bright(colour(i as f32), *pixel));
    } else {
        row.iter_mut().enumerate().for_each(|(i, pixel)| *pixel = over(colour(i as f32), *pixel));
    }
}
