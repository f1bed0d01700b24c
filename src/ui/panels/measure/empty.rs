//! The page before anything was measured: what would be here, and the one button that starts it.

use egui::Ui;

use crate::ui::widgets::{empty_state, ghost_button, muted};

/// What was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Start what the button says
    Start,
    /// Choose what to measure
    Choose,
    /// Open a model
    Open,
}

/// Paints the page. `offer` is what the button would start, `None` while no model is loaded; `estimate` says how long it takes.
pub(super) fn empty(ui: &mut Ui, offer: Option<&str>, estimate: &str) -> Option<Pressed> {
    let Some(offer) = offer else {
        let sentence = "Measured designs appear here, the best one first. Open a model: its quantization levels are what is measured";
        return empty_state(ui, "Nothing to measure yet", sentence, Some("Open a model\u{2026}")).then_some(Pressed::Open);
    };
    let sentence = "Measured designs appear here: the best under your limits, what it rests on, and what threads, batch and depth do. Every \
                    design is measured several times in a shuffled order, so that a difference you see is a real one";
    let mut pressed = empty_state(ui, "Nothing was measured yet", sentence, Some(offer)).then_some(Pressed::Start);
    ui.vertical_centered(|ui| {
        muted(ui, estimate);
        if ui.add(ghost_button("Choose what to measure").height(32.0)).clicked() {
            pressed = Some(Pressed::Choose);
        }
    });
    pressed
}
