//! Every page as the processor draws it, beside the picture that a GPU's driver makes of it.

#[path = "../support/render.rs"]
mod render;

use std::sync::{Arc, Mutex};

use egui::{Color32, TexturesDelta};
use egui_kittest::TestRenderer;
use egui_kittest::wgpu::WgpuTestRenderer;
use image::RgbaImage;
use inferscope_raster::Canvas;

use super::super::window::harness_drawn_by;
use super::*;

/// Draws each picture both ways and hands out the GPU's; the other is put where the test finds it.
struct Both {
    gpu: WgpuTestRenderer,
    canvas: Canvas,
    by_cpu: Arc<Mutex<Vec<u32>>>,
}

impl TestRenderer for Both {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        self.canvas.set_textures(delta);
        self.gpu.handle_delta(delta);
    }

    fn render(&mut self, ctx: &egui::Context, output: &egui::FullOutput) -> Result<RgbaImage, String> {
        let picture = self.gpu.render(ctx, output)?;
        let size = [picture.width() as usize, picture.height() as usize];
        let mut pixels = vec![0; size[0] * size[1]];
        let primitives = ctx.tessellate(output.shapes.clone(), output.pixels_per_point);
        self.canvas.paint(&mut pixels, size, 0, true, Color32::BLACK, output.pixels_per_point, &primitives);
        *self.by_cpu.lock().unwrap() = pixels;
        Ok(picture)
    }
}

#[test]
fn the_processor_draws_what_a_gpu_does() {
    if !render::can_render() {
        return;
    }
    for (page, look, scale) in Page::ALL.into_iter().flat_map(|page| [(page, Theme::Dark, 1.0), (page, Theme::Light, 1.25)]) {
        let by_cpu = Arc::default();
        let both = Both { gpu: WgpuTestRenderer::new(), canvas: Canvas::default(), by_cpu: Arc::clone(&by_cpu) };
        let mut harness = harness_drawn_by(both, with_content(page), [1440.0, 900.0], look);
        harness.ctx.set_pixels_per_point(scale);
        harness.run();
        let by_gpu = harness.render().unwrap();
        let by_cpu = by_cpu.lock().unwrap();
        assert_eq!(by_cpu.len(), by_gpu.pixels().len());
        if let Some(folder) = std::env::var_os("PANEL_PICTURES").map(PathBuf::from) {
            let drawn = by_cpu.iter().flat_map(|pixel| [(pixel >> 16) as u8, (pixel >> 8) as u8, *pixel as u8, 255]).collect();
            let name = format!("{}-{look:?}", page.name().to_lowercase());
            RgbaImage::from_raw(by_gpu.width(), by_gpu.height(), drawn).unwrap().save(folder.join(format!("{name}-cpu.png"))).unwrap();
            by_gpu.save(folder.join(format!("{name}-gpu.png"))).unwrap();
        }
        let difference = |gpu: &image::Rgba<u8>, cpu: &u32| {
            let [_, cpu @ ..] = cpu.to_be_bytes();
            gpu.0.into_iter().zip(cpu).map(|(gpu, cpu)| gpu.abs_diff(cpu)).max().unwrap_or(0)
        };
        let differences: Vec<u8> = by_gpu.pixels().zip(by_cpu.iter()).map(|(gpu, cpu)| difference(gpu, cpu)).collect();
        let more_than = |least: u8| differences.iter().filter(|difference| **difference > least).count() as f64 / differences.len() as f64;
        let seen = format!("{}, {look:?}: {:.5} off by more than 2, {:.6} by more than 16", page.name(), more_than(2), more_than(16));
        println!("{seen}");
        // a GPU rounds corners to its own grid, and colours in its own order
        assert!(more_than(2) < 1e-4 && more_than(16) < 1e-5, "{seen}");
        assert!(by_cpu.iter().collect::<BTreeSet<_>>().len() > 100, "{}: an empty picture is like another", page.name());
    }
}
