//! Meshes drawn by the processor: which pixels they cover, in which colours, and what of a picture is drawn again.

use std::sync::Arc;

use egui::epaint::{ClippedPrimitive, ImageDelta, Mesh, Primitive, Vertex};
use egui::{Color32, ColorImage, Rect, TextureId, TextureOptions, TexturesDelta, pos2, vec2};
use inferscope_raster::{Area, Canvas};

const WIDTH: usize = 200;
const HEIGHT: usize = 120;
const PAGE: Color32 = Color32::from_rgb(16, 17, 20);

fn canvas() -> Canvas {
    let mut pixels: Vec<Color32> = (0..64u8).map(|i| Color32::from_white_alpha(i * 4)).collect();
    pixels[0] = Color32::WHITE;
    let image = ColorImage::new([8, 8], pixels);
    let mut delta = TexturesDelta::default();
    delta.push(TextureId::default(), ImageDelta::full(Arc::new(image), TextureOptions::LINEAR));
    let mut canvas = Canvas::default();
    canvas.set_textures(&delta);
    canvas
}

fn clipped(mesh: Mesh, clip: Rect) -> ClippedPrimitive {
    ClippedPrimitive { clip_rect: clip, primitive: Primitive::Mesh(mesh) }
}

fn everywhere(mesh: Mesh) -> ClippedPrimitive {
    clipped(mesh, Rect::EVERYTHING)
}

fn paint(canvas: &mut Canvas, primitives: &[ClippedPrimitive]) -> Vec<u32> {
    let mut pixels = vec![0; WIDTH * HEIGHT];
    canvas.paint(&mut pixels, [WIDTH, HEIGHT], 0, true, PAGE, 1.0, primitives);
    pixels
}

fn rgb(pixel: u32) -> [u8; 3] {
    let [_, r, g, b] = pixel.to_be_bytes();
    [r, g, b]
}

fn at(pixels: &[u32], x: usize, y: usize) -> [u8; 3] {
    rgb(pixels[y * WIDTH + x])
}

fn solid(colour: Color32) -> [u8; 3] {
    [colour.r(), colour.g(), colour.b()]
}

fn polygon(points: &[[f32; 2]], color: impl Fn(usize) -> Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for (i, [x, y]) in points.iter().enumerate() {
        mesh.vertices.push(Vertex::untextured(pos2(*x, *y), color(i)));
    }
    for i in 1..points.len() as u32 - 1 {
        mesh.indices.extend([0, i, i + 1]);
    }
    mesh
}

#[test]
fn colours_are_blended_as_real_numbers_are() {
    let mut shades = Mesh::default();
    for alpha in 0..=255u8 {
        let at = Rect::from_min_size(pos2(f32::from(alpha), 0.0), vec2(1.0, 1.0));
        shades.add_colored_rect(at, Color32::from_rgba_premultiplied(0, 0, 0, alpha));
    }
    let (shades, mut canvas, mut pixels) = ([everywhere(shades)], canvas(), [0; 256]);
    for value in 0..=255u8 {
        canvas.paint(&mut pixels, [256, 1], 0, true, Color32::from_gray(value), 1.0, &shades);
        for (alpha, pixel) in pixels.iter().enumerate() {
            let exact = (f64::from(value) * (255 - alpha) as f64 / 255.0).round() as u8;
            assert_eq!(pixel.to_be_bytes()[1..], [exact; 3], "{alpha} over {value}");
        }
    }
    let mut light = Mesh::default();
    light.add_colored_rect(Rect::from_min_size(pos2(0.0, 0.0), vec2(1.0, 1.0)), Color32::from_rgba_premultiplied(0x40, 0, 0, 0));
    let page = Color32::from_rgb(0xf0, 0x10, 0x20);
    canvas.paint(&mut pixels, [256, 1], 0, true, page, 1.0, &[everywhere(light)]);
    assert_eq!((rgb(pixels[0]), rgb(pixels[1])), ([0xff, 0x10, 0x20], [0xf0, 0x10, 0x20]), "light is added, up to white");
}

#[test]
fn a_rectangle_covers_the_pixels_whose_centres_lie_in_it() {
    let mut mesh = Mesh::default();
    mesh.add_colored_rect(Rect::from_min_max(pos2(10.4, 20.0), pos2(14.6, 22.0)), Color32::RED);
    let pixels = paint(&mut canvas(), &[everywhere(mesh)]);
    let red: Vec<_> = (0..WIDTH * HEIGHT).filter(|i| rgb(pixels[*i]) == solid(Color32::RED)).map(|i| (i % WIDTH, i / WIDTH)).collect();
    let expected: Vec<_> = [20, 21].into_iter().flat_map(|y| (10..=14).map(move |x| (x, y))).collect();
    assert_eq!(red, expected);
    assert_eq!(at(&pixels, 0, 0), solid(PAGE));
}

#[test]
fn triangles_of_a_shape_neither_overlap_nor_leave_a_gap() {
    // half transparent: a pixel drawn twice or never would show
    let colour = Color32::from_rgba_premultiplied(100, 50, 25, 128);
    let circle: Vec<[f32; 2]> =
        (0..37).map(|i| (i as f32 / 37.0 * std::f32::consts::TAU).sin_cos()).map(|(s, c)| [60.3 + 50.0 * c, 60.7 + 50.0 * s]).collect();
    for points in
        [circle, vec![[3.0, 3.0], [190.0, 7.5], [180.0, 110.0], [3.0, 90.0]], vec![[10.0, 10.0], [50.0, 10.0], [50.0, 50.0], [10.0, 50.0]]]
    {
        let pixels = paint(&mut canvas(), &[everywhere(polygon(&points, |_| colour))]);
        let inside = {
            let over = |source: u8, below: u8| source + (f32::from(below) * 127.0 / 255.0).round() as u8;
            [over(colour.r(), PAGE.r()), over(colour.g(), PAGE.g()), over(colour.b(), PAGE.b())]
        };
        assert!(pixels.iter().all(|pixel| rgb(*pixel) == solid(PAGE) || rgb(*pixel) == inside));
        let area: f32 =
            (0..points.len()).map(|i| (points[i], points[(i + 1) % points.len()])).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum::<f32>()
                / 2.0;
        let count = pixels.iter().filter(|pixel| rgb(**pixel) == inside).count() as f32;
        assert!((count - area.abs()).abs() < 0.01 * area.abs() + 5.0, "{count} pixels of {area}");
        // the same the other way round
        let backwards: Vec<[f32; 2]> = points.iter().rev().copied().collect();
        assert!(paint(&mut canvas(), &[everywhere(polygon(&backwards, |_| colour))]) == pixels);
    }
}

#[test]
fn colours_run_evenly_and_letters_are_copied() {
    let ends = [Color32::BLACK, Color32::WHITE, Color32::WHITE, Color32::BLACK];
    let pixels = paint(&mut canvas(), &[everywhere(polygon(&[[0.0, 0.0], [200.0, 0.0], [200.0, 60.0], [0.0, 60.0]], |i| ends[i]))]);
    for x in [0, 50, 100, 199] {
        let expected = ((x as f32 + 0.5) / 200.0 * 255.0).round() as i32;
        assert!((i32::from(at(&pixels, x, 30)[0]) - expected).abs() <= 1, "{x}: {:?}", at(&pixels, x, 30));
    }
    let mut letter = Mesh::with_texture(TextureId::default());
    letter.add_rect_with_uv(
        Rect::from_min_size(pos2(20.0, 30.0), vec2(8.0, 8.0)),
        Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0)),
        Color32::GREEN,
    );
    let pixels = paint(&mut canvas(), &[everywhere(letter.clone())]);
    for i in 1..64usize {
        let below = solid(PAGE);
        let cover = i as u32 * 4;
        let mixed = |byte: usize, over: u32| (over + (u32::from(below[byte]) * (255 - cover) + 127) / 255) as i32;
        let seen = at(&pixels, 20 + i % 8, 30 + i / 8);
        assert!((i32::from(seen[1]) - mixed(1, cover)).abs() <= 1 && (i32::from(seen[0]) - mixed(0, 0)).abs() <= 1, "{i}: {seen:?}");
    }
    // half a pixel off, it is filtered: nearly the mean of its neighbours
    let mut shifted = letter;
    shifted.translate(vec2(0.5, 0.0));
    let filtered = paint(&mut canvas(), &[everywhere(shifted)]);
    let (left, right, between) = (at(&pixels, 22, 34)[1], at(&pixels, 23, 34)[1], at(&filtered, 23, 34)[1]);
    assert!((i32::from(left) + i32::from(right) - 2 * i32::from(between)).abs() <= 2, "{left} {between} {right}");
}

#[test]
fn nothing_is_drawn_outside_a_clip_rectangle_or_the_picture() {
    let clip = Rect::from_min_max(pos2(50.0, 40.0), pos2(60.0, 50.0));
    let huge = polygon(&[[-9e9, -500.0], [9e9, -500.0], [100.0, 9e9]], |_| Color32::BLUE);
    let lost = polygon(&[[f32::NAN, 0.0], [10.0, 0.0], [0.0, 10.0]], |_| Color32::BLUE);
    let pixels = paint(&mut canvas(), &[clipped(huge, clip), everywhere(lost), clipped(Mesh::default(), Rect::NOTHING)]);
    for (i, pixel) in pixels.iter().enumerate() {
        let inside = (50..60).contains(&(i % WIDTH)) && (40..50).contains(&(i / WIDTH));
        assert_eq!(rgb(*pixel), solid(if inside { Color32::BLUE } else { PAGE }), "{} {}", i % WIDTH, i / WIDTH);
    }
    assert_eq!(canvas().paint(&mut [], [0, 0], 0, true, PAGE, 1.0, &[]), []);
    assert_eq!(canvas().paint(&mut [0; 10], [200, 120], 0, true, PAGE, 1.0, &[]), [], "too few pixels");
}

#[test]
fn only_what_changed_is_drawn_and_the_result_is_the_same() {
    let scene = |dot: f32, word: Color32| {
        let mut mesh =
            polygon(&[[5.0, 5.0], [150.3, 9.0], [120.0, 100.0]], |i| [Color32::RED, Color32::from_black_alpha(90), Color32::GOLD][i]);
        mesh.add_colored_rect(Rect::from_min_size(pos2(dot, 70.0), vec2(6.0, 6.0)), word);
        [everywhere(mesh)]
    };
    let (mut canvas, size) = (canvas(), [WIDTH, HEIGHT]);
    let mut pixels = vec![0; WIDTH * HEIGHT];
    let all = canvas.paint(&mut pixels, size, 0, false, PAGE, 1.0, &scene(20.0, Color32::WHITE));
    assert_eq!(all.iter().map(|area| (area.right - area.left) * (area.bottom - area.top)).sum::<i32>(), (WIDTH * HEIGHT) as i32);
    assert_eq!(canvas.paint(&mut pixels, size, 1, false, PAGE, 1.0, &scene(20.0, Color32::WHITE)), [], "nothing is new");
    let drawn = canvas.paint(&mut pixels, size, 1, false, PAGE, 1.0, &scene(93.0, Color32::WHITE));
    assert_eq!(drawn, [Area { left: 0, top: 64, right: 32, bottom: 96 }, Area { left: 64, top: 64, right: 128, bottom: 96 }]);
    assert!(pixels == paint(&mut self::canvas(), &scene(93.0, Color32::WHITE)));
    assert_eq!(canvas.paint(&mut pixels, size, 1, true, PAGE, 1.0, &scene(93.0, Color32::WHITE)).len(), all.len(), "all is asked for");
    assert_eq!(
        canvas.paint(&mut pixels, size, 9, false, PAGE, 1.0, &scene(20.0, Color32::WHITE)),
        drawn,
        "what is new is known in any case"
    );
    assert!(pixels == paint(&mut self::canvas(), &scene(20.0, Color32::WHITE)));
    assert_eq!(
        canvas.paint(&mut pixels, size, 1, false, Color32::WHITE, 1.0, &scene(20.0, Color32::WHITE)).len(),
        all.len(),
        "another page"
    );
    let mut change = |at: [usize; 2]| {
        let mut delta = TexturesDelta::default();
        let patch = Arc::new(ColorImage::filled([1, 1], Color32::WHITE));
        delta.push(TextureId::default(), ImageDelta::partial(at, patch, TextureOptions::LINEAR));
        canvas.set_textures(&delta);
        let mut letter = Mesh::with_texture(TextureId::default());
        let (place, texels) = (Rect::from_min_size(pos2(20.0, 40.0), vec2(4.0, 4.0)), Rect::from_min_max(pos2(0.0, 0.0), pos2(0.5, 0.5)));
        letter.add_rect_with_uv(place, texels, Color32::GREEN);
        let letter = [everywhere(letter)];
        canvas.paint(&mut pixels, size, 1, false, PAGE, 1.0, &letter).len()
    };
    assert_ne!(change([0, 0]), 0, "another picture");
    assert_eq!(change([0, 0]), 0, "the texture is as it was");
    assert_eq!(change([3, 3]), 1, "a texel of the letter changed");
}

#[test]
fn two_buffers_in_turns_show_each_picture() {
    let (mut canvas, size) = (canvas(), [WIDTH, HEIGHT]);
    let mut buffers = [vec![0; WIDTH * HEIGHT], vec![0; WIDTH * HEIGHT]];
    let (mut shown, mut screen) = (0, vec![0; WIDTH * HEIGHT]);
    // there and back, and twice the same
    for (i, at) in [10.0, 90.0, 10.0, 10.0, 150.0, 90.0, 90.0, 10.0].into_iter().enumerate() {
        let mut mesh = polygon(&[[5.0, 5.0], [150.3, 9.0], [120.0, 100.0]], |_| Color32::GOLD);
        mesh.add_colored_rect(Rect::from_min_size(pos2(at, 20.0), vec2(6.0, 6.0)), Color32::RED);
        let scene = [everywhere(mesh)];
        let age = if shown < 2 { 0 } else { 2 };
        let areas = canvas.paint(&mut buffers[shown % 2], size, age, false, PAGE, 1.0, &scene);
        for area in &areas {
            for y in area.top as usize..area.bottom as usize {
                let row = y * WIDTH + area.left as usize..y * WIDTH + area.right as usize;
                screen[row.clone()].copy_from_slice(&buffers[shown % 2][row]);
            }
        }
        shown += usize::from(!areas.is_empty());
        assert!(screen == paint(&mut self::canvas(), &scene), "picture {i}");
    }
    assert_eq!(shown, 6);
}
