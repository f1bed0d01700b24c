//! Images that meshes are drawn with: egui's letters for the most part.

use egui::ImageData;

use crate::colour::pack;

/// Side of a part of a texture that changes as one, texels.
const BLOCK: usize = 32;

/// An image, packed as pixels are.
pub(crate) struct Texture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) texels: Vec<u32>,
    /// When each block changed last, rows of blocks from the top
    editions: Vec<u32>,
    latest: u32,
}

impl Texture {
    /// A whole image; `edition` is a number that no earlier change of any image had.
    pub(crate) fn new(image: &ImageData, edition: u32) -> Self {
        let ImageData::Color(image) = image;
        let [width, height] = image.size;
        Self {
            width,
            height,
            texels: image.pixels.iter().map(|colour| pack(*colour)).collect(),
            editions: vec![edition; width.div_ceil(BLOCK) * height.div_ceil(BLOCK)],
            latest: edition,
        }
    }

    /// Replaces a part; what would lie outside is left out.
    pub(crate) fn patch(&mut self, [left, top]: [usize; 2], image: &ImageData, edition: u32) {
        let ImageData::Color(image) = image;
        let width = image.size[0].min(self.width.saturating_sub(left));
        let columns = self.width.div_ceil(BLOCK);
        for (y, row) in image.pixels.chunks_exact(image.size[0].max(1)).enumerate() {
            let start = (top + y) * self.width + left;
            let Some(to) = self.texels.get_mut(start..start + width) else { continue };
            for (x, (texel, colour)) in to.iter_mut().zip(row).enumerate() {
                let new = pack(*colour);
                if *texel != new {
                    *texel = new;
                    self.latest = edition;
                    if let Some(block) = self.editions.get_mut((top + y) / BLOCK * columns + (left + x) / BLOCK) {
                        *block = edition;
                    }
                }
            }
        }
    }

    /// When any of it changed last.
    pub(crate) fn latest(&self) -> u32 {
        self.latest
    }

    /// When any block that a part lies in changed last.
    pub(crate) fn edition(&self, [left, top]: [i32; 2], [width, height]: [i32; 2]) -> u32 {
        let columns = self.width.div_ceil(BLOCK);
        let blocks = |from: i32, length: i32| from.max(0) as usize / BLOCK..=(from + length - 1).max(0) as usize / BLOCK;
        let block = |row: usize, column: usize| self.editions.get(row * columns + column).copied().unwrap_or_default();
        let rows = blocks(top, height);
        rows.flat_map(|row| blocks(left, width).map(move |column| (row, column)))
            .map(|(row, column)| block(row, column))
            .max()
            .unwrap_or_default()
    }

    /// The nearest texel; at the edge the last one goes on.
    pub(crate) fn at(&self, x: i32, y: i32) -> u32 {
        let clamp = |at: i32, size: usize| (at.max(0) as usize).min(size.saturating_sub(1));
        self.texels.get(clamp(y, self.height) * self.width + clamp(x, self.width)).copied().unwrap_or_default()
    }

    /// Linear between the four texels around `(x, y)`, in texels, whose centres lie at halves (`GL_LINEAR`).
    pub(crate) fn linear(&self, x: f32, y: f32) -> u32 {
        let (x, y) = (x - 0.5, y - 0.5);
        let (left, top) = (x.floor(), y.floor());
        let (across, down) = (x - left, y - top);
        let (left, top) = (left as i32, top as i32);
        let near = [self.at(left, top), self.at(left + 1, top), self.at(left, top + 1), self.at(left + 1, top + 1)].map(u32::to_be_bytes);
        if near[0] == near[1] && near[0] == near[2] && near[0] == near[3] {
            return u32::from_be_bytes(near[0]);
        }
        let mix = |a: u8, b: u8, part: f32| f32::from(a) + (f32::from(b) - f32::from(a)) * part;
        u32::from_be_bytes([0, 1, 2, 3].map(|i: usize| {
            let (upper, lower) = (mix(near[0][i], near[1][i], across), mix(near[2][i], near[3][i], across));
            (upper + (lower - upper) * down + 0.5) as u8
        }))
    }
}
