//! The telemetry column: one big number, its history with the events that explain it, memory, and CPU. Collapses to one line.

use egui::{Align, Id, Layout, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState, Marker, MarkerKind, Telemetry};
use crate::measure::format::{self, ABSENT};
use crate::ui::parts::telemetry_memory as memory;
use crate::ui::theme;
use crate::ui::widgets::{Icon, Marker as PlotMarker, SeriesPlot, Stat, Tone, elided, ghost_button, icon_button, muted, stat_row};

/// Width of the column with its margins, points.
pub const WIDTH: f32 = 328.0;

const DECODE: &str = "Decode: tokens of the reply per second, (tokens - 1) / (time of the last - time of the first), by the engine's own clock. \
                      While a reply runs, the rate of the latest batch";
const ITL: &str = "Inter-token latency, 95th percentile: 95 of 100 gaps between two tokens of the last reply were shorter than this";
const PREFILL: &str = "Prefill: prompt tokens that were not in the cache, per second of reading them";
const TTFT: &str = "Time to first token of the last reply: from the request's arrival in the engine to the first token sampled";

/// How the column is looked at.
#[derive(Clone, Debug, Default)]
pub struct TelemetryView {
    /// Rises when the zoom is reset: the plot begins anew
    generation: u64,
    zoomed: Option<[f64; 2]>,
}

/// Paints the column into the available width.
pub fn telemetry(ui: &mut Ui, state: &AppState, view: &mut TelemetryView, now: f64, actions: &mut Vec<Action>) {
    ScrollArea::vertical().id_salt("telemetry").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        head(ui, &state.telemetry);
        big_number(ui, state, view, actions);
        ui.add_space(12.0);
        plot(ui, state, view, now);
        prefill_progress(ui, &state.telemetry);
        rates(ui, state, actions);
        ui.add_space(12.0);
        let range = time_range(state, now);
        memory::memory(ui, state, range);
        ui.add_space(12.0);
        cpu(ui, state);
    });
}

/// The time at both edges of the plots, seconds.
fn time_range(state: &AppState, now: f64) -> [f64; 2] {
    let to = state.telemetry.paused_at.unwrap_or(now);
    [to - f64::from(state.settings.telemetry_window_s), to]
}

fn head(ui: &mut Ui, telemetry: &Telemetry) {
    ui.horizontal(|ui| {
        muted(ui, "Decode").on_hover_text(DECODE);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let value = telemetry.itl_p95_ms.map_or_else(|| ABSENT.into(), format::millis);
            let hover = if telemetry.itl_p95_ms.is_some() { ITL.to_owned() } else { format!("{ITL}\nNo reply of two tokens or more yet") };
            muted(ui, format!("ITL p95 {value}")).on_hover_text(hover);
        });
    });
}

fn big_number(ui: &mut Ui, state: &AppState, view: &mut TelemetryView, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let palette = theme::palette(ui);
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            controls(ui, state, view, actions);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let value = telemetry.decode_tps.map_or_else(|| ABSENT.into(), format::tps);
                let number = elided(ui, &value, theme::display(), palette.text, ui.available_width());
                let unit = elided(ui, "tokens/s", theme::body(), palette.muted, f32::INFINITY);
                let (rect, response) = ui.allocate_exact_size(vec2(number.size().x + 6.0 + unit.size().x, 34.0), Sense::hover());
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Decode {value} tokens/s")));
                let (top, left) = (rect.center().y - number.size().y / 2.0, rect.left() + number.size().x + 6.0);
                // both stand on the baseline of the number
                let unit_top = top + number.size().y * 0.80 - unit.size().y * 0.80;
                ui.painter().galley(pos2(rect.left(), top), number, palette.text);
                ui.painter().galley(pos2(left, unit_top), unit, palette.muted);
                let hover = if telemetry.decode_tps.is_some() { DECODE.to_owned() } else { format!("{DECODE}\nNothing was generated yet") };
                response.on_hover_text(hover);
            });
        });
    });
}

/// Pause, zoom reset, and a menu for the rest; laid out from the right.
fn controls(ui: &mut Ui, state: &AppState, view: &mut TelemetryView, actions: &mut Vec<Action>) {
    if ui.add(icon_button(Icon::ChevronRight, "Fold the telemetry")).clicked() {
        actions.push(Action::ToggleTelemetry);
    }
    let menu = ui.add(icon_button(Icon::Dots, "Plot options"));
    egui::Popup::menu(&menu).accessible_name("Plot options").show(|ui| {
        ui.set_width(200.0);
        muted(ui, "The plots show");
        for (seconds, words) in crate::ui::parts::PLOT_WINDOWS {
            let selected = (state.settings.telemetry_window_s - seconds).abs() < 0.5;
            if ui.add(egui::Button::selectable(selected, words)).clicked() {
                actions.push(Action::SetPlotWindow(seconds));
            }
        }
        ui.separator();
        if ui.button("Export as CSV…").clicked() {
            actions.push(Action::ExportPlotsCsv(view.zoomed));
        }
        if ui.button("Export as PNG…").clicked() {
            actions.push(Action::ExportPlotsPng);
        }
    });
    let paused = state.telemetry.paused_at.is_some();
    let (icon, words) = if paused { (Icon::Play, "Go on with the plots") } else { (Icon::Pause, "Pause the plots") };
    if ui.add(icon_button(icon, words).on(paused)).clicked() {
        actions.push(Action::PausePlots(!paused));
    }
    if view.zoomed.is_some() && ui.add(icon_button(Icon::ZoomReset, "Reset the zoom")).clicked() {
        view.generation += 1;
        view.zoomed = None;
    }
}

fn plot(ui: &mut Ui, state: &AppState, view: &mut TelemetryView, now: f64) {
    let telemetry = &state.telemetry;
    let range = time_range(state, now);
    let markers: Vec<PlotMarker<'_>> = telemetry.markers.iter().filter(|marker| marker.at >= range[0]).map(plot_marker).collect();
    let id = Id::unique(("decode plot", view.generation));
    let shown = SeriesPlot::new(id, "Decode", "tokens/s", telemetry.decode.since(range[0]), range)
        .markers(&markers)
        .paused(telemetry.paused_at.is_some())
        .interactive()
        .show(ui);
    view.zoomed = shown.zoomed;
}

fn plot_marker(marker: &Marker) -> PlotMarker<'_> {
    let tone = match marker.kind {
        MarkerKind::Load | MarkerKind::Switch => Tone::Event,
        MarkerKind::Generate => Tone::Neutral,
        MarkerKind::Stop | MarkerKind::Died => Tone::Limit,
    };
    PlotMarker { tone, ..PlotMarker::new(marker.at, &marker.text) }
}

/// How far the prompt is read. Its line is always kept free, so that nothing below moves when a prompt comes.
fn prefill_progress(ui: &mut Ui, telemetry: &Telemetry) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 26.0), Sense::hover());
    let Some(prefilling) = telemetry.prefilling.filter(|prefilling| prefilling.total > 0) else { return };
    let (done, total) = (prefilling.done, prefilling.total);
    let fraction = (done as f64 / total as f64).clamp(0.0, 1.0);
    response
        .widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, format!("Reading the prompt, {}", format::percent(fraction))));
    let words = elided(ui, "Reading the prompt", theme::small(), palette.accent, rect.width() * 0.6);
    let count = format!("{} of {}", format::count(done), format::count(total));
    let count = elided(ui, &count, theme::mono_at(12.0), palette.text, rect.width() * 0.5);
    let bar = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 5.0), pos2(rect.right(), rect.bottom() - 2.0));
    let count_left = rect.right() - count.size().x;
    ui.painter().galley(rect.left_top() + vec2(0.0, 3.0), words, palette.accent);
    ui.painter().galley(pos2(count_left, rect.top() + 3.0), count, palette.text);
    ui.painter().rect_filled(bar, 1.5, palette.hairline);
    ui.painter().rect_filled(bar.with_max_x(bar.left() + bar.width() * fraction as f32), 1.5, palette.accent);
    response.on_hover_text("Prompt tokens that are in the cache, of all of the prompt's; those of an earlier turn need not be read again");
}

fn rates(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let yet = "No prompt was read yet";
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let room = ui.available_width() - 16.0;
        let prefill = telemetry.prefill_tps.map_or_else(|| ABSENT.into(), format::tps);
        let hint = hint(PREFILL, telemetry.prefill_tps.is_some(), yet);
        ui.add(Stat::new("Prefill", &prefill, "t/s").hint(&hint).width((room * 0.30).floor()));
        let (value, unit) = milliseconds(telemetry.ttft_ms);
        let hint = self::hint(TTFT, telemetry.ttft_ms.is_some(), yet);
        ui.add(Stat::new("TTFT", &value, unit).hint(&hint).width((room * 0.28).floor()));
        bandwidth(ui, state, (room * 0.42).floor(), actions);
    });
}

fn hint(definition: &str, is_known: bool, why_not: &str) -> String {
    if is_known { definition.to_owned() } else { format!("{definition}\n{why_not}") }
}

/// A latency as a number and its unit: milliseconds up to ten seconds.
fn milliseconds(value: Option<f64>) -> (String, &'static str) {
    match value {
        None => (ABSENT.into(), "ms"),
        Some(ms) if ms < 9.95 => (format!("{ms:.1}"), "ms"),
        Some(ms) if ms < 9999.5 => (format::count(ms.round() as u64), "ms"),
        Some(ms) => (format!("{:.1}", ms / 1000.0), "s"),
    }
}

/// The roofline: how much of what the memory can give is used.
fn bandwidth(ui: &mut Ui, state: &AppState, width: f32, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let hover = roofline_hover(telemetry);
    if telemetry.bandwidth_gb_s.is_none() && state.can_generate() {
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            muted(ui, "Of bandwidth limit").on_hover_text(&hover);
            let button = ui.add(ghost_button("Measure").height(26.0)).on_hover_text(format!("{hover}\nTakes about a second"));
            if button.accessible_name("Measure the memory bandwidth").clicked() {
                actions.push(Action::ProbeBandwidth);
            }
        });
        return;
    }
    let label = if telemetry.is_bandwidth_doubted() { "Measuring anew" } else { "Of bandwidth limit" };
    ui.add(Stat::new(label, &roofline_words(telemetry), "%").hint(&hover).width(width));
}

/// The share in percent. One that cannot be is not given as a number until the bandwidth was measured again.
fn roofline_words(telemetry: &Telemetry) -> String {
    match telemetry.roofline_fraction() {
        None => ABSENT.into(),
        Some(_) if telemetry.is_bandwidth_doubted() => "> 100".into(),
        Some(part) => format!("{:.0}", part * 100.0),
    }
}

fn roofline_hover(telemetry: &Telemetry) -> String {
    let mut lines = vec![
        "How much of this machine's memory bandwidth decoding uses: bytes read per token × tokens per second / bandwidth".to_owned(),
        "Every token reads all weights and the cache once, so 100 % is as fast as this memory allows; more means that part of it is in the \
         processor's cache"
            .to_owned(),
    ];
    lines.push(match telemetry.bytes_per_token() {
        Some(bytes) => format!(
            "Bytes per token: {} with {} tokens in the cache, reckoned from the file's header",
            format::bytes(bytes),
            format::count(telemetry.decode_context as u64)
        ),
        None => "Bytes per token: not known until a model is loaded".into(),
    });
    lines.push(match telemetry.bandwidth_gb_s {
        Some(gb_s) => format!("Bandwidth: {gb_s:.1} GB/s, measured here by reading memory with the decode threads"),
        None => "Bandwidth: not measured yet".into(),
    });
    if telemetry.decode_tps.is_none() {
        lines.push("Nothing was generated yet".into());
    }
    if telemetry.is_bandwidth_doubted() {
        lines.push("Decoding seems faster than that: the bandwidth is measured anew as soon as the engine is free".into());
    } else if telemetry.bandwidth_confirmed {
        lines.push("A reply had seemed faster than the bandwidth allowed, so it was measured anew since".into());
    }
    lines.join("\n")
}

fn cpu(ui: &mut Ui, state: &AppState) {
    let sample = state.telemetry.sample;
    ui.spacing_mut().item_spacing.y = 0.0;
    let percent = |value: Option<f32>| value.map_or_else(|| ABSENT.into(), |value| format!("{value:.0} %"));
    let engine = sample.filter(|sample| sample.engine.is_some()).map(|sample| sample.engine_cpu_percent);
    let why = if engine.is_none() { "\nThe engine's process is not running, or was not sampled yet" } else { "" };
    stat_row(ui, "CPU engine", &percent(engine)).on_hover_text(format!("CPU time of the engine's process; 100 % is one core busy{why}"));
    let window = sample.map(|sample| sample.window_cpu_percent);
    stat_row(ui, "CPU window", &percent(window)).on_hover_text(
        "CPU time of this window's process; 100 % is one core busy. Without a GPU the window is drawn by the CPU that also runs the model",
    );
    let machine = sample.map(|sample| sample.machine_cpu_percent);
    stat_row(ui, "CPU machine", &percent(machine)).on_hover_text("CPU time of everything on this machine; 100 % is all cores busy");
    if let Some((used, total)) = sample.and_then(|sample| sample.gpu) {
        let value = format!("{} of {}", format::bytes(used), format::bytes(total));
        stat_row(ui, "GPU memory", &value)
            .on_hover_text("Memory of the first GPU that is in use, by whatever program, as its driver reports it");
    }
}

/// The telemetry as one line: the numbers that matter most, and the button that unfolds it.
pub fn telemetry_strip(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if ui.add(icon_button(Icon::ChevronLeft, "Unfold the telemetry")).clicked() {
            actions.push(Action::ToggleTelemetry);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 20.0;
            let or_absent = |value: Option<String>| value.unwrap_or_else(|| ABSENT.into());
            pair(ui, "Decode", &or_absent(telemetry.decode_tps.map(|tps| format!("{} t/s", format::tps(tps)))), DECODE);
            pair(ui, "Prefill", &or_absent(telemetry.prefill_tps.map(|tps| format!("{} t/s", format::tps(tps)))), PREFILL);
            pair(ui, "TTFT", &or_absent(telemetry.ttft_ms.map(format::millis)), TTFT);
            let rss = telemetry.sample.and_then(|sample| sample.engine).map(|engine| format::bytes(engine.rss));
            pair(ui, "Engine memory", &or_absent(rss), "Resident set of the engine's process");
            let label = if telemetry.is_bandwidth_doubted() { "Measuring bandwidth anew" } else { "Of bandwidth limit" };
            let part = telemetry.roofline_fraction().map(|_| format!("{} %", roofline_words(telemetry)));
            pair(ui, label, &or_absent(part), &roofline_hover(telemetry));
        });
    });
}

fn pair(ui: &mut Ui, label: &str, value: &str, hover: &str) {
    let palette = theme::palette(ui);
    let label_galley = elided(ui, label, theme::small(), palette.muted, f32::INFINITY);
    let value_galley = elided(ui, value, theme::mono_at(12.0), palette.text, f32::INFINITY);
    let width = label_galley.size().x + 6.0 + value_galley.size().x;
    if width > ui.available_width() {
        return;
    }
    let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{label} {value}")));
    let value_left = rect.left() + label_galley.size().x + 6.0;
    ui.painter().galley(pos2(rect.left(), rect.center().y - label_galley.size().y / 2.0), label_galley, palette.muted);
    ui.painter().galley(pos2(value_left, rect.center().y - value_galley.size().y / 2.0), value_galley, palette.text);
    response.on_hover_text(hover);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_keep_their_unit_apart() {
        assert_eq!(milliseconds(None), (ABSENT.to_owned(), "ms"));
        assert_eq!(milliseconds(Some(5.64)), ("5.6".to_owned(), "ms"));
        assert_eq!(milliseconds(Some(1234.0)), ("1,234".to_owned(), "ms"));
        assert_eq!(milliseconds(Some(61_000.0)), ("61.0".to_owned(), "s"));
    }
}
