//! Memory: predicted against real, by purpose, and over time.

use egui::{Align, Layout, Ui};

use crate::app::AppState;
use crate::measure::format::{self, ABSENT};
use crate::protocol::MemoryUse;
use crate::ui::theme;
use crate::ui::widgets::{MemoryBar, Segment, Sparkline, label, muted};

/// A prediction this close is a good one.
const GOOD: f64 = 0.05;

/// Bytes by purpose, as the bar shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    models: MemoryUse,
    warm: u64,
    other: u64,
    window: u64,
}

impl Parts {
    fn of(state: &AppState) -> Self {
        let mut models = MemoryUse::default();
        let mut warm = 0;
        for resident in &state.resident {
            models.weights += resident.memory.weights;
            models.kv += resident.memory.kv;
            models.compute += resident.memory.compute;
            if !resident.active {
                warm += resident.memory.total();
            }
        }
        let sample = state.telemetry.sample;
        let rss = sample.and_then(|sample| sample.engine).map_or(0, |engine| engine.rss);
        let window = sample.map_or(0, |sample| sample.window.rss);
        // pages of the mapped file that were not read yet are not resident: the rest is then unknown, never negative
        Self { models, warm, other: rss.saturating_sub(models.total()), window }
    }
}

/// The difference of what was taken to what was predicted, as a fraction of the prediction. `None` where the two cannot be compared.
fn error(state: &AppState) -> Option<(u64, u64, f64)> {
    let predicted = prediction(state)?;
    let real = state.telemetry.memory?.total();
    (predicted > 0 && real > 0).then(|| (predicted, real, real as f64 / predicted as f64 - 1.0))
}

/// Bytes predicted for the design that is being loaded, else for the one that is.
fn prediction(state: &AppState) -> Option<u64> {
    state.predicted().map(|memory| memory.total())
}

/// Paints the section.
pub(in crate::ui) fn memory(ui: &mut Ui, state: &AppState, range: [f64; 2]) {
    head(ui, state);
    let parts = Parts::of(state);
    let palette = theme::palette(ui);
    let known = |value: u64, is_known: bool| if is_known { format::bytes(value) } else { ABSENT.to_owned() };
    let (loaded, sampled) = (!state.resident.is_empty(), state.telemetry.sample.is_some());
    let engine = state.telemetry.sample.is_some_and(|sample| sample.engine.is_some());
    let [weights, kv, compute, other, window] = palette.data;
    let rows = [
        ("weights", parts.models.weights, known(parts.models.weights, loaded), weights),
        ("KV cache", parts.models.kv, known(parts.models.kv, loaded), kv),
        ("compute", parts.models.compute, known(parts.models.compute, loaded), compute),
        ("engine, other", parts.other, known(parts.other, engine), other),
        ("window", parts.window, known(parts.window, sampled), window),
    ];
    let segments: Vec<Segment<'_>> =
        rows.iter().map(|(label, value, text, color)| Segment { label, value: *value as f64, text, color: *color }).collect();
    MemoryBar::new("Memory", &segments).show(ui).on_hover_text(
        "Weights, KV cache and compute are the engine's own buffers, those of warm models among them\n\
         Engine, other is the resident set of its process less those buffers. Weights that are mapped from the file count as buffers even \
         while the system has not read their pages yet, so this may come out as 0\n\
         Window is the resident set of this process",
    );
    if parts.warm > 0 {
        muted(ui, format!("of these, kept warm {}", format::bytes(parts.warm)))
            .on_hover_text("Models that stay loaded so that flipping back costs no load");
    }
    ui.add_space(4.0);
    let series = &state.telemetry.engine_rss;
    ui.add(Sparkline::new("Memory of the engine over time", series.since(range[0]), range).color(weights))
        .on_hover_text("Resident set of the engine's process over time");
}

/// Predicted on the left, real and the error on the right.
fn head(ui: &mut Ui, state: &AppState) {
    let palette = theme::palette(ui);
    let hover = "Weights, KV cache and compute: predicted from the file's header before the load (an estimate), and what the engine's buffers \
                 really took after it";
    ui.horizontal(|ui| {
        let words = match prediction(state) {
            Some(predicted) => format!("Memory, predicted {}", format::bytes(predicted)),
            None => "Memory".to_owned(),
        };
        muted(ui, words).on_hover_text(hover);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            if state.loading().is_some() {
                muted(ui, "loading");
                return;
            }
            if let Some((_, _, error)) = error(state) {
                let ink = if error.abs() <= GOOD { palette.good } else { palette.event };
                label(ui, format::signed_percent(error), theme::mono_at(12.0), ink).on_hover_text("(real - predicted) / predicted");
            }
            let real = state.telemetry.memory.map_or_else(|| ABSENT.into(), |memory| format::bytes(memory.total()));
            let hover = if state.telemetry.memory.is_some() { hover } else { "No model is loaded" };
            label(ui, real, theme::mono_at(12.0), palette.text).on_hover_text(hover);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Forecast;
    use crate::protocol::{Design, MemorySample, Resident, Sample};

    fn state(rss: u64) -> AppState {
        let memory = MemoryUse { weights: 80, kv: 10, compute: 10 };
        let mut state = AppState::default();
        state.resident.push(Resident { design: Design::default(), memory, active: true });
        state.resident.push(Resident { design: Design::default(), memory, active: false });
        let sample = Sample { engine: Some(MemorySample { rss, ..MemorySample::default() }), ..Sample::default() };
        state.telemetry.sample = Some(sample);
        state.telemetry.memory = Some(memory);
        let predicted = MemoryUse { weights: 80, kv: 10, compute: 0 };
        state.telemetry.forecast = Some(Forecast { memory: predicted, ..Forecast::default() });
        state
    }

    #[test]
    fn what_is_left_over_is_never_negative() {
        assert_eq!(Parts::of(&state(250)).other, 50);
        assert_eq!(Parts::of(&state(120)).other, 0);
        assert_eq!(Parts::of(&state(250)).warm, 100);
    }

    #[test]
    fn a_prediction_is_held_against_the_model_it_was_made_for() {
        let mut state = state(250);
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
}
