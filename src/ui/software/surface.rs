//! The pixels of the window.

use std::num::NonZeroU32;
use std::sync::Arc;

use egui::epaint::ClippedPrimitive;
use egui::{Color32, ColorImage, ScreenshotCallback, TexturesDelta};
use egui_winit::winit::window::Window;
use inferscope_raster::{Area, Canvas};

use super::Failure;

/// Where frames are drawn.
pub(super) struct Surface {
    pixels: softbuffer::Surface<Arc<Window>, Arc<Window>>,
    canvas: Canvas,
}

/// A frame that is drawn and not yet seen.
pub(super) struct Drawn<'a> {
    buffer: Option<softbuffer::Buffer<'a, Arc<Window>, Arc<Window>>>,
    areas: Vec<Area>,
}

impl Surface {
    pub(super) fn new(window: &Arc<Window>) -> Result<Self, Failure> {
        let context = softbuffer::Context::new(Arc::clone(window)).map_err(explain)?;
        let pixels = softbuffer::Surface::new(&context, Arc::clone(window)).map_err(explain)?;
        Ok(Self { pixels, canvas: Canvas::default() })
    }

    /// Draws a frame; `is_whole` has all of it shown, not only what is new. Who wants a picture of the frame gets one.
    #[allow(clippy::too_many_arguments, reason = "what a frame consists of")]
    pub(super) fn draw(
        &mut self,
        window: &Window,
        is_whole: bool,
        page: Color32,
        scale: f32,
        primitives: &[ClippedPrimitive],
        textures: &TexturesDelta,
        pictures: Vec<ScreenshotCallback>,
    ) -> Result<Drawn<'_>, Failure> {
        self.canvas.set_textures(textures);
        let size = window.inner_size();
        let (Some(width), Some(height)) = (NonZeroU32::new(size.width), NonZeroU32::new(size.height)) else {
            self.canvas.free_textures(textures);
            return Ok(Drawn { buffer: None, areas: Vec::new() });
        };
        self.pixels.resize(width, height).map_err(explain)?;
        let mut buffer = self.pixels.buffer_mut().map_err(explain)?;
        let age = usize::from(buffer.age());
        let size = [size.width as usize, size.height as usize];
        let is_whole = is_whole || !pictures.is_empty();
        let areas = self.canvas.paint(&mut buffer, size, age, is_whole, page, scale, primitives);
        self.canvas.free_textures(textures);
        if !pictures.is_empty() {
            let picture = Arc::new(ColorImage::new(size, buffer.iter().map(|pixel| colour(*pixel)).collect()));
            pictures.into_iter().for_each(|callback| callback.complete(Arc::clone(&picture)));
        }
        Ok(Drawn { buffer: Some(buffer), areas })
    }
}

impl Drawn<'_> {
    /// Puts what is new of it on the screen.
    pub(super) fn show(self, window: &Window) -> Result<(), Failure> {
        let damage: Vec<softbuffer::Rect> = self.areas.iter().filter_map(rect).collect();
        match self.buffer {
            Some(buffer) if !damage.is_empty() => {
                window.pre_present_notify();
                buffer.present_with_damage(&damage).map_err(explain)
            }
            _ => Ok(()),
        }
    }
}

fn rect(area: &Area) -> Option<softbuffer::Rect> {
    let length = |from: i32, to: i32| NonZeroU32::new(u32::try_from(to - from).ok()?);
    Some(softbuffer::Rect {
        x: u32::try_from(area.left).ok()?,
        y: u32::try_from(area.top).ok()?,
        width: length(area.left, area.right)?,
        height: length(area.top, area.bottom)?,
    })
}

fn colour(pixel: u32) -> Color32 {
    let [_, r, g, b] = pixel.to_be_bytes();
    Color32::from_rgb(r, g, b)
}

fn explain(error: softbuffer::SoftBufferError) -> Failure {
    format!("The window cannot be drawn in: {error}").into()
}
