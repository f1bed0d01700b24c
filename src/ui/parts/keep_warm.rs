//! Models that stay loaded beside the one that answers: how much memory they may take, and which they are.

use egui::{Align, Layout, Slider, SliderClamping, Ui, vec2};

use super::ladder;
use crate::app::{Action, AppState};
use crate::measure::format;
use crate::protocol::Resident;
use crate::ui::theme;
use crate::ui::widgets::{Tone, ghost_button, label, mono, muted, pill, segmented};

/// Bytes of a megabyte, as sizes are shown.
const MB: f64 = 1e6;

/// Paints the control and the list of what is in memory.
pub(in crate::ui) fn keep_warm(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    budget(ui, state, actions);
    for resident in &state.resident {
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 30.0), Layout::right_to_left(Align::Center), |ui| {
            let name = name_of(state, resident);
            if ui.add_enabled(!state.is_busy(), ghost_button("Unload")).on_hover_text(format!("Free the memory of {name}")).clicked() {
                actions.push(Action::Unload(Some(resident.design.model.clone())));
            }
            let memory = &resident.memory;
            mono(ui, format::bytes(memory.total())).on_hover_text(format!(
                "Weights {}, KV cache {}, compute {}, from the engine's own buffers",
                format::bytes(memory.weights),
                format::bytes(memory.kv),
                format::bytes(memory.compute)
            ));
            if resident.active {
                pill(ui, "answers", Tone::Accent);
            } else {
                pill(ui, "warm", Tone::Neutral);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                label(ui, name, theme::body(), palette.text).on_hover_text(resident.design.model.display().to_string());
            });
        });
    }
    if state.resident.is_empty() {
        muted(ui, "Nothing is in memory");
    }
}

/// The budget: chosen by the application, or set in megabytes.
pub(in crate::ui) fn budget(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let hint = "Rungs that were used before stay loaded within this budget, so that flipping back to one costs no load. Auto takes up to half of \
                the memory that could be had and leaves the rest of the machine a gigabyte";
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::right_to_left(Align::Center), |ui| {
        let mut chosen = state.settings.keep_warm_bytes;
        let mut is_auto = chosen.is_none();
        if segmented(ui, "Keep warm", &mut is_auto, &[(true, "Auto"), (false, "Set")]).changed() {
            chosen = if is_auto { None } else { Some(default_budget(state)) };
            actions.push(Action::SetKeepWarm(chosen));
        }
        if let Some(bytes) = chosen {
            let most = state.telemetry.sample.map_or(64e9, |sample| sample.total as f64) / MB;
            let mut megabytes = bytes as f64 / MB;
            ui.spacing_mut().slider_width = 110.0;
            // no steps and no clamping: what was set elsewhere must not change by being shown
            let slider = Slider::new(&mut megabytes, 0.0..=most).suffix(" MB").fixed_decimals(0).clamping(SliderClamping::Never);
            if ui.add(slider).accessible_name("Keep-warm budget").changed() {
                actions.push(Action::SetKeepWarm(Some((megabytes.max(0.0) * MB) as u64)));
            }
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            label(ui, "Keep warm", theme::body(), palette.text).on_hover_text(hint);
        });
    });
}

/// A quarter of what could be had: a start that does no harm.
fn default_budget(state: &AppState) -> u64 {
    state.telemetry.sample.map_or(1_000_000_000, |sample| sample.available / 4)
}

fn name_of(state: &AppState, resident: &Resident) -> String {
    let path = &resident.design.model;
    let known = state.library.families.iter().find(|family| family.rung_of(path).is_some()).and_then(|family| {
        let rung = ladder::rungs(state, family).into_iter().find(|rung| rung.path == Some(path.as_path()))?;
        Some(format!("{} {}", family.name, rung.quant))
    });
    known.unwrap_or_else(|| ladder::file_name(path))
}
