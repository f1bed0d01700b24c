//! Draws egui's meshes with the processor, for machines that would have to imitate a GPU.
//!
//! The picture is that of egui's own painters: a pixel belongs to a triangle when its centre does, colours are premultiplied, multiplied with
//! the texture's and blended as they are, in gamma space (`egui_glow/src/shader/fragment.glsl`), textures are filtered linearly.
//!
//! Only what changed is drawn. The picture is cut into tiles, and what lies in a tile is reduced to a number; a tile whose number is that of
//! the picture which the pixels still hold is left alone ([`Canvas::paint`]).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod colour;
mod piece;
mod shade;
mod texture;
mod tiles;
mod triangle;

use std::collections::HashMap;

use egui::epaint::{ClippedPrimitive, Primitive};
use egui::{Color32, TextureId, TexturesDelta};

pub use self::tiles::Area;

use self::colour::pack;
use self::piece::{Piece, pieces};
use self::texture::Texture;
use self::tiles::Tiles;

/// How many pictures back the pixels handed in may be.
const HISTORY: usize = 3;

/// Pixels in rows from the top, `0xAARRGGBB`; what is drawn is opaque, the alpha byte of what lies under it counts for nothing.
struct Target<'a> {
    pixels: &'a mut [u32],
    width: usize,
}

impl Target<'_> {
    /// A stretch of one row; empty where there is none.
    fn row(&mut self, y: i32, from: i32, to: i32) -> &mut [u32] {
        let start = y as usize * self.width;
        self.pixels.get_mut(start + from as usize..start + to as usize).unwrap_or_default()
    }
}

/// What is needed to draw the next picture: textures, and what the last pictures held.
#[derive(Default)]
pub struct Canvas {
    textures: HashMap<TextureId, Texture>,
    /// Counts the changes of textures, so that nothing drawn with an old one passes for drawn
    edition: u32,
    /// The newest first
    pictures: Vec<Tiles>,
}

impl Canvas {
    /// Takes new and changed textures over; call before the picture that uses them is painted.
    pub fn set_textures(&mut self, delta: &TexturesDelta) {
        for (id, changes) in &delta.set {
            for change in changes {
                self.edition = self.edition.wrapping_add(1);
                match change.pos {
                    None => drop(self.textures.insert(*id, Texture::new(&change.image, self.edition))),
                    Some(at) => {
                        if let Some(texture) = self.textures.get_mut(id) {
                            texture.patch(at, &change.image, self.edition);
                        }
                    }
                }
            }
        }
    }

    /// Drops textures that are used no more; call after the picture that used them last is painted.
    pub fn free_textures(&mut self, delta: &TexturesDelta) {
        for id in &delta.free {
            self.textures.remove(id);
        }
    }

    /// Draws a picture of `size` pixels (width, height) over `page`, and says which areas of it differ from the last one: all of them when
    /// `is_whole`. These are to be shown. Without any nothing is drawn, and `pixels` must not be shown instead of the last picture's.
    ///
    /// `age` says what `pixels` (`width * height` of them, rows from the top) hold: the picture shown so many pictures ago, 0 for none.
    /// `primitives` are in points, `scale` is pixels per point.
    #[allow(clippy::too_many_arguments, reason = "what a picture consists of")]
    pub fn paint(
        &mut self,
        pixels: &mut [u32],
        size: [usize; 2],
        age: usize,
        is_whole: bool,
        page: Color32,
        scale: f32,
        primitives: &[ClippedPrimitive],
    ) -> Vec<Area> {
        let [width, height] = size;
        if width == 0 || height == 0 || pixels.len() < width * height {
            return Vec::new();
        }
        let mut tiles = Tiles::new(size, u64::from(pack(page)));
        self.visit(primitives, scale, size, |piece, texture| tiles.add(piece.bounds(), piece.digest(texture)));
        let before = self.pictures.first().filter(|_| !is_whole);
        let news: Vec<Area> = tiles.changed_since(before).areas().collect();
        if news.is_empty() {
            return news;
        }
        // which may be more than what is new: with two buffers in turns, these pixels are those of the picture before the last
        let spans = tiles.changed_since(age.checked_sub(1).and_then(|at| self.pictures.get(at)));
        let mut target = Target { pixels, width };
        for area in spans.areas() {
            for y in area.top..area.bottom {
                target.row(y, area.left, area.right).fill(pack(page));
            }
        }
        if !spans.is_empty() {
            self.visit(primitives, scale, size, |piece, texture| piece.draw(texture, &spans, &mut target));
        }
        self.pictures.insert(0, tiles);
        self.pictures.truncate(HISTORY);
        news
    }

    fn visit(&self, primitives: &[ClippedPrimitive], scale: f32, size: [usize; 2], mut look: impl FnMut(Piece, &Texture)) {
        for ClippedPrimitive { clip_rect, primitive } in primitives {
            // what would be drawn by a program of its own needs a GPU; nothing here asks for it
            let Primitive::Mesh(mesh) = primitive else { continue };
            let Some(texture) = self.textures.get(&mesh.texture_id) else { continue };
            let clip = Area::clip(*clip_rect * scale, size);
            if !clip.is_empty() {
                pieces(mesh, texture, scale, clip, |piece| look(piece, texture));
            }
        }
    }
}
