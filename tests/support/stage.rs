//! A window of a size and a look, to paint panels into.

use egui_kittest::Harness;
use inferscope::ui::theme::{self, Theme};

/// Paints `paint` over a `state` into a window of this size, in points. No frame has run yet.
pub fn stage<S: 'static>(state: S, size: [f32; 2], look: Theme, paint: impl FnMut(&mut egui::Ui, &mut S) + 'static) -> Harness<'static, S> {
    let setup = move |ctx: &egui::Context| {
        theme::install(ctx);
        theme::apply(ctx, look);
    };
    let base = if look == Theme::Light { egui::Theme::Light } else { egui::Theme::Dark };
    Harness::builder().with_size(size).with_max_steps(12).with_theme(base).with_context_setup(setup).build_ui_state(paint, state)
}
