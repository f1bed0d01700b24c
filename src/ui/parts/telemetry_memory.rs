//! Memory: the total by purpose, the prediction against what was taken, and the parts over time.

use egui::{Align, Id, Layout, Ui};

use crate::app::{AppState, MemoryPart, MemoryParts};
use crate::measure::format::{self, ABSENT};
use crate::ui::theme::{self, Palette};
use crate::ui::widgets::{MemoryBar, Segment, TimePlot, TimeSeries, label, muted};

/// A prediction this close is a good one.
const GOOD: f64 = 0.05;

const PREDICTION: &str = "Weights, KV cache and compute of the model that answers: predicted from the file's header before the load (an estimate), \
                          and what the engine's buffers really took after it. The difference is (took - predicted) / predicted";
const PARTS: &str = "Weights, KV cache and compute are the engine's own buffers for the model that answers\n\
                     Kept warm is everything of models that stay loaded so that flipping back costs no load\n\
                     Engine, other is the resident set of its process less those buffers. Weights that are mapped from the file count as \
                     buffers even while the system has not read their pages: while the buffers come to more, it is not observable\n\
                     Window is the resident set of this process";

/// The difference of what was taken to what was predicted, as a fraction of the prediction. `None` where the two cannot be compared.
fn error(state: &AppState) -> Option<(u64, u64, f64)> {
    let predicted = state.predicted().map(|memory| memory.total())?;
    let real = state.telemetry.memory?.total();
    (state.loading().is_none() && predicted > 0 && real > 0).then(|| (predicted, real, real as f64 / predicted as f64 - 1.0))
}

fn color(palette: &Palette, part: MemoryPart) -> egui::Color32 {
    let [weights, kv, compute, other, window] = palette.data;
    match part {
        MemoryPart::Weights => weights,
        MemoryPart::Kv => kv,
        MemoryPart::Compute => compute,
        // a paler one of the colour that marks the keys of warm rungs
        MemoryPart::Warm => theme::on_surface(palette.panel, weights, 0.5),
        MemoryPart::Other => other,
        MemoryPart::Window => window,
    }
}

/// Paints the section. `axis` is that of all plots, `range` the times they usually show.
pub(in crate::ui) fn memory(ui: &mut Ui, state: &AppState, range: [f64; 2], axis: Id) {
    let palette = theme::palette(ui);
    let parts = MemoryParts::of(&state.resident, state.telemetry.sample.as_ref());
    head(ui, &parts);
    predicted(ui, state);
    let rows = MemoryPart::ALL.map(|part| {
        let bytes = parts.get(part);
        (part, bytes.unwrap_or(0), bytes.map_or_else(|| ABSENT.to_owned(), format::bytes))
    });
    let segments: Vec<Segment<'_>> = rows
        .iter()
        .map(|(part, value, text)| Segment { label: part.name(), value: *value as f64, text, color: color(palette, *part) })
        .collect();
    MemoryBar::new("Memory", &segments).show(ui).on_hover_text(PARTS);
    ui.add_space(4.0);
    let history = &state.telemetry.memory_parts;
    let series = MemoryPart::ALL.map(|part| {
        let points = history.get(part).since(range[0].min(earliest(ui, axis, range)));
        TimeSeries { label: part.name(), points, color: color(palette, part) }
    });
    TimePlot::new("Memory over time", &series, range, |bytes| format::bytes(bytes as u64)).stacked().height(48.0).axis(axis).show(ui);
}

/// The earliest time that a plot of this axis shows now.
pub(in crate::ui) fn earliest(ui: &Ui, axis: Id, range: [f64; 2]) -> f64 {
    crate::ui::widgets::time_axis::zoomed(ui.ctx(), axis).map_or(range[0], |zoomed| zoomed[0])
}

/// The sum of the legend.
fn head(ui: &mut Ui, parts: &MemoryParts) {
    let palette = theme::palette(ui);
    let shown = MemoryPart::ALL.iter().filter_map(|part| parts.get(*part)).map(format::bytes_as_shown).sum();
    ui.horizontal(|ui| {
        muted(ui, "Memory").on_hover_text(PARTS);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let total = if parts.total().is_some() { format::bytes(shown) } else { ABSENT.to_owned() };
            let words =
                label(ui, total.clone(), theme::mono(), palette.text).on_hover_text("The sum of the parts below, of both processes");
            words.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("Memory in all {total}")));
        });
    });
}

/// What was predicted of the model, what it took, and how far off that was.
fn predicted(ui: &mut Ui, state: &AppState) {
    let palette = theme::palette(ui);
    let Some(bytes) = state.predicted().map(|memory| memory.total()) else {
        let words = if state.loaded.is_some() { "no prediction was made" } else { "no model is loaded" };
        muted(ui, words).on_hover_text(PREDICTION);
        return;
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let Some((predicted, took, error)) = error(state) else {
            let then = if state.loading().is_some() { ", loading" } else { "" };
            muted(ui, format!("predicted {}{then}", format::bytes(bytes))).on_hover_text(PREDICTION);
            return;
        };
        let words = format!("predicted {}, took {},", format::bytes(predicted), format::bytes(took));
        muted(ui, words).on_hover_text(PREDICTION);
        let ink = if error.abs() <= GOOD { palette.good } else { palette.event };
        label(ui, format::signed_percent(error), theme::mono_small(), ink).on_hover_text(PREDICTION);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Forecast;
    use crate::protocol::{Design, MemoryUse, Resident};

    #[test]
    fn a_prediction_is_held_against_the_model_it_was_made_for() {
        let memory = MemoryUse { weights: 80, kv: 10, compute: 10 };
        let mut state = AppState::default();
        state.resident.push(Resident { design: Design::default(), memory, active: true });
        state.telemetry.memory = Some(memory);
        let predicted = MemoryUse { weights: 80, kv: 10, compute: 0 };
        state.telemetry.forecast = Some(Forecast { memory: predicted, ..Forecast::default() });
        assert_eq!(error(&state), None, "nothing is loaded");
        let report = crate::protocol::LoadReport {
            design: Design::default(),
            info: crate::protocol::ModelInfo::default(),
            effective: crate::protocol::Effective::default(),
            memory: MemoryUse::default(),
            seconds: 0.0,
            warm: false,
            resident: Vec::new(),
        };
        state.loaded = Some(Box::new(report));
        let (predicted, real, part) = error(&state).unwrap();
        assert_eq!((predicted, real), (90, 100));
        assert!((part - 1.0 / 9.0).abs() < 1e-9);
    }

    #[test]
    fn every_part_can_be_told_from_the_panel() {
        for palette in [&theme::DARK, &theme::LIGHT, &theme::HIGH_CONTRAST] {
            for part in MemoryPart::ALL {
                assert!(theme::contrast(color(palette, part), palette.panel) >= 1.8, "{part:?} is lost on the panel");
            }
        }
    }
}
