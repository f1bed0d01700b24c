//! Pictures of the window as PNG files.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Writes what was painted.
///
/// # Errors
/// When the file cannot be written.
pub fn write_png(image: &egui::ColorImage, path: &Path) -> io::Result<()> {
    let [width, height] = image.size;
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(image.as_raw()).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)
}
