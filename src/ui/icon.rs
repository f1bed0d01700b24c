//! The application's icon: a ladder of rungs whose lit rung is a trace on a scope.
//!
//! One list of shapes on a 256 unit square gives both the pixels (window, `assets/icon.png`) and `assets/icon.svg`.

use std::fmt::Write as _;

use egui::{Color32, IconData};

use super::theme::DARK;

/// Side of the square that the shapes are laid out on.
const CANVAS: f32 = 256.0;
/// Side of `assets/icon.png`, in pixels.
pub const ICON_SIZE: u32 = 256;
/// Side of the window's own, which stays in memory: the largest that docks and task switchers show.
const WINDOW_SIZE: u32 = 128;

enum Shape {
    /// A filled rounded box: left, top, width, height, radius.
    Block([f32; 5], Color32),
    /// Round-capped line through the points, with its width.
    Trace(&'static [[f32; 2]], f32, Color32),
}

const TRACE: &[[f32; 2]] = &[[30.0, 128.0], [92.0, 128.0], [108.0, 92.0], [134.0, 168.0], [150.0, 128.0], [226.0, 128.0]];
const LEFT_RAIL: &[[f32; 2]] = &[[76.0, 44.0], [76.0, 212.0]];
const RIGHT_RAIL: &[[f32; 2]] = &[[180.0, 44.0], [180.0, 212.0]];
const RUNGS: [&[[f32; 2]]; 4] =
    [&[[76.0, 60.0], [180.0, 60.0]], &[[76.0, 90.0], [180.0, 90.0]], &[[76.0, 166.0], [180.0, 166.0]], &[[76.0, 196.0], [180.0, 196.0]]];

fn shapes() -> Vec<Shape> {
    let mut shapes = vec![
        Shape::Block([8.0, 8.0, 240.0, 240.0, 56.0], DARK.hairline),
        Shape::Block([12.0, 12.0, 232.0, 232.0, 52.0], DARK.panel),
        Shape::Trace(LEFT_RAIL, 12.0, DARK.data[4]),
        Shape::Trace(RIGHT_RAIL, 12.0, DARK.data[4]),
    ];
    shapes.extend(RUNGS.into_iter().map(|rung| Shape::Trace(rung, 10.0, DARK.data[4])));
    // a dark edge keeps the trace apart from the rails it crosses
    shapes.push(Shape::Trace(TRACE, 30.0, DARK.panel));
    shapes.push(Shape::Trace(TRACE, 14.0, DARK.accent));
    shapes
}

impl Shape {
    /// Signed distance from `point` to the edge, in canvas units, negative inside.
    fn distance(&self, point: [f32; 2]) -> f32 {
        match self {
            Self::Block([left, top, width, height, radius], _) => {
                let x = (point[0] - left - width / 2.0).abs() - width / 2.0 + radius;
                let y = (point[1] - top - height / 2.0).abs() - height / 2.0 + radius;
                x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - radius
            }
            Self::Trace(points, width, _) => {
                let nearest = points.array_windows::<2>().map(|[a, b]| segment_distance(point, *a, *b)).fold(f32::INFINITY, f32::min);
                nearest - width / 2.0
            }
        }
    }

    fn color(&self) -> Color32 {
        match self {
            Self::Block(_, color) | Self::Trace(_, _, color) => *color,
        }
    }
}

fn segment_distance(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
    let along = ((p[0] - a[0]) * dx + (p[1] - a[1]) * dy) / (dx * dx + dy * dy).max(f32::EPSILON);
    let along = along.clamp(0.0, 1.0);
    (p[0] - a[0] - along * dx).hypot(p[1] - a[1] - along * dy)
}

/// The icon as `size` x `size` pixels of straight (not premultiplied) RGBA.
pub fn render(size: u32) -> Vec<u8> {
    let shapes = shapes();
    let unit = CANVAS / size.max(1) as f32;
    let mut pixels = Vec::with_capacity((size * size * 4) as usize);
    for y in 0..size {
        for x in 0..size {
            let point = [(x as f32 + 0.5) * unit, (y as f32 + 0.5) * unit];
            let (mut color, mut alpha) = ([0.0_f32; 3], 0.0_f32);
            for shape in &shapes {
                let cover = (0.5 - shape.distance(point) / unit).clamp(0.0, 1.0);
                if cover > 0.0 {
                    let top = shape.color();
                    let out = cover + alpha * (1.0 - cover);
                    for (channel, top) in color.iter_mut().zip([top.r(), top.g(), top.b()]) {
                        *channel = (f32::from(top) * cover + *channel * alpha * (1.0 - cover)) / out;
                    }
                    alpha = out;
                }
            }
            pixels.extend(color.map(|channel| channel.round() as u8));
            pixels.push((alpha * 255.0).round() as u8);
        }
    }
    pixels
}

/// The icon for the window and the task bar.
pub fn icon_data() -> IconData {
    IconData { rgba: render(WINDOW_SIZE), width: WINDOW_SIZE, height: WINDOW_SIZE }
}

/// The icon as an SVG document, from the same shapes.
pub fn svg() -> String {
    let mut out = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {CANVAS} {CANVAS}\">\n");
    for shape in shapes() {
        let color = shape.color();
        let hex = format!("#{:02X}{:02X}{:02X}", color.r(), color.g(), color.b());
        // writing to a string cannot fail
        let _infallible = match shape {
            Shape::Block([x, y, w, h, r], _) => {
                writeln!(out, "  <rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{r}\" fill=\"{hex}\"/>")
            }
            Shape::Trace(points, width, _) => {
                let points: Vec<String> = points.iter().map(|[x, y]| format!("{x},{y}")).collect();
                writeln!(
                    out,
                    "  <polyline points=\"{}\" fill=\"none\" stroke=\"{hex}\" stroke-width=\"{width}\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>",
                    points.join(" ")
                )
            }
        };
    }
    out.push_str("</svg>\n");
    out
}

/// The icon as the bytes of a PNG file of [`ICON_SIZE`].
///
/// # Errors
/// What the encoder reports; writing to memory gives it no reason to.
pub fn png() -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, ICON_SIZE, ICON_SIZE);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&render(ICON_SIZE))?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_are_clear_and_the_trace_is_lit() {
        let pixels = render(64);
        let at = |x: usize, y: usize| -> [u8; 4] { pixels[(y * 64 + x) * 4..][..4].try_into().unwrap() };
        assert_eq!(at(0, 0)[3], 0);
        assert_eq!(at(63, 63)[3], 0);
        assert_eq!(at(12, 32), [DARK.accent.r(), DARK.accent.g(), DARK.accent.b(), 255]);
        assert_eq!(at(32, 52), [DARK.panel.r(), DARK.panel.g(), DARK.panel.b(), 255]);
    }
}
