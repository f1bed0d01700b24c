//! A window of a size and a look, to paint panels into.

use egui_kittest::{Harness, HarnessBuilder, TestRenderer};
use inferscope::ui::theme::{self, Theme};

/// Paints `paint` over a `state` into a window of this size, in points. No frame has run yet.
pub fn stage<S: 'static>(state: S, size: [f32; 2], look: Theme, paint: impl FnMut(&mut egui::Ui, &mut S) + 'static) -> Harness<'static, S> {
    builder(size, look).build_ui_state(paint, state)
}

/// The same with pictures made by `renderer`.
#[allow(dead_code, reason = "each test file uses its own part")]
pub fn stage_drawn_by<S: 'static>(
    renderer: impl TestRenderer + 'static,
    state: S,
    size: [f32; 2],
    look: Theme,
    paint: impl FnMut(&mut egui::Ui, &mut S) + 'static,
) -> Harness<'static, S> {
    builder(size, look).renderer(renderer).build_ui_state(paint, state)
}

fn builder<S>(size: [f32; 2], look: Theme) -> HarnessBuilder<S> {
    let setup = move |ctx: &egui::Context| {
        theme::install(ctx);
        theme::apply(ctx, look);
    };
    let base = if look == Theme::Light { egui::Theme::Light } else { egui::Theme::Dark };
    Harness::builder().with_size(size).with_max_steps(12).with_theme(base).with_context_setup(setup)
}
