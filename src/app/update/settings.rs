//! Settings, and the plots' controls.

use super::{Action, AppState, Effect, Now};
use crate::app::{EngineState, MemoryPart, PlotRange, Points};

pub(super) fn on_action(state: &mut AppState, action: Action, now: Now, effects: &mut Vec<Effect>) {
    match action {
        Action::ToggleTelemetry => state.settings.telemetry_open = !state.settings.telemetry_open,
        Action::PausePlots(pause) => {
            state.telemetry.paused_at = pause.then_some(now.secs);
            return;
        }
        Action::SetPlotWindow(seconds) => state.settings.telemetry_window_s = seconds.clamp(10.0, 1800.0),
        Action::ExportPlotsCsv(range) => {
            let range = range.unwrap_or_else(|| usual_range(state, now)).shown();
            effects.push(Effect::SaveText { name: "inferscope-telemetry.csv".into(), text: plots_csv(state, range) });
            return;
        }
        Action::ExportPlotsPng(range) => {
            effects.push(Effect::SavePlotsPng(range.unwrap_or_else(|| usual_range(state, now))));
            return;
        }
        Action::SetKeepWarm(bytes) => state.settings.keep_warm_bytes = bytes,
        Action::SetOverflow(policy) => state.settings.overflow = policy,
        Action::SetSampler(sampler) => state.settings.sampler = *sampler,
        Action::SetMaxTokens(tokens) => state.settings.max_tokens = tokens,
        Action::SetPrice(price) => {
            state.settings.price_per_hour = price.filter(|price| price.is_finite() && *price > 0.0);
            super::measure::check_draft(state);
        }
        Action::SetStopTexts(texts) => state.settings.stop = texts.into_iter().filter(|text| !text.is_empty()).collect(),
        Action::SetTheme(theme) => state.settings.theme = theme,
        Action::SetZoom(zoom) => state.settings.zoom = if zoom.is_finite() { zoom.clamp(0.5, 4.0) } else { 1.0 },
        Action::PickFolder => {
            effects.push(Effect::PickFolder);
            return;
        }
        Action::AddFolder(folder) => {
            if !state.settings.model_folders.contains(&folder) {
                state.settings.model_folders.push(folder);
            }
            super::models::rescan(state, effects);
        }
        Action::RemoveFolder(folder) => {
            state.settings.model_folders.retain(|known| *known != folder);
            super::models::rescan(state, effects);
        }
        Action::SetAutoload(on) => state.settings.autoload = on,
        Action::WindowMoved(place) => {
            if state.settings.window.replace(place) == Some(place) {
                return;
            }
        }
        _ => return,
    }
    state.internal.settings_changed = Some(now.secs);
}

/// What the plots show without a zoom.
fn usual_range(state: &AppState, now: Now) -> PlotRange {
    let end = state.telemetry.paused_at.unwrap_or(now.secs);
    PlotRange { usual: [end - f64::from(state.settings.telemetry_window_s), end], zoomed: None }
}

/// What the plots show between two times, one line a point: `seconds,series,value`. Markers come as series `marker:<kind>` with their text.
/// What was not measured has no line.
fn plots_csv(state: &AppState, [from, to]: [f64; 2]) -> String {
    let telemetry = &state.telemetry;
    let mut csv = String::from("seconds,series,value\n");
    let mut series: Vec<(&str, &Points)> = vec![
        ("decode_tokens_per_second", &telemetry.decode),
        ("prefill_tokens_per_second", &telemetry.prefill),
        ("engine_rss_bytes", &telemetry.engine_rss),
    ];
    series.extend(MemoryPart::ALL.map(|part| (part.column(), telemetry.memory_parts.get(part))));
    series.extend([("engine_cpu_percent", &telemetry.engine_cpu), ("window_cpu_percent", &telemetry.window_cpu)]);
    for (name, points) in series {
        for [at, value] in points.all().iter().filter(|[at, value]| *at >= from && *at <= to && value.is_finite()) {
            csv.push_str(&format!("{at:.3},{name},{value}\n"));
        }
    }
    for marker in telemetry.markers.iter().filter(|marker| marker.at >= from && marker.at <= to) {
        let text = marker.text.replace('"', "\"\"");
        csv.push_str(&format!("{:.3},marker:{},\"{text}\"\n", marker.at, format!("{:?}", marker.kind).to_lowercase()));
    }
    if let EngineState::Up { facts, .. } = &state.engine {
        csv.push_str(&format!("{to:.3},engine,\"{} {}\"\n", facts.name, facts.build));
    }
    csv
}
