//! The telemetry column: one big number, its history with the events that explain it, prefill, memory, and CPU, over one time axis.
//! Collapses to one line.

use egui::{Align, Id, Layout, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState, Marker, MarkerKind, PlotRange, Telemetry};
use crate::measure::format::{self, ABSENT};
use crate::ui::parts::telemetry_memory::{self as memory, earliest};
use crate::ui::parts::telemetry_rates::{self as rates, DECODE, PREFILL, TTFT};
use crate::ui::theme;
use crate::ui::widgets::{
    Icon, Marker as PlotMarker, SeriesPlot, TimePlot, TimeSeries, Tone, elided, icon_button, muted, stat_row, time_axis,
};

/// Width of the column with its margins, points.
pub const WIDTH: f32 = 328.0;

/// In a window narrower than this the column is one line, whatever was chosen: it would leave the page no room. Points, at the zoom in force.
pub const FOLDS_BELOW: f32 = 1000.0;

const ITL: &str = "Inter-token latency, 95th percentile: 95 of 100 gaps between two tokens of the last reply were shorter than this";

/// How the column is looked at.
#[derive(Clone, Debug, Default)]
pub struct TelemetryView {
    /// Shows these times in this frame whatever else is asked for: a picture is taken
    pub held: Option<PlotRange>,
    /// What the plots show, as of the last frame
    shown: Option<PlotRange>,
}

impl TelemetryView {
    /// What the plots show, for an export; `None` before they were painted.
    pub fn shown(&self) -> Option<PlotRange> {
        self.shown
    }
}

/// The axis that all plots of the column share.
fn axis() -> Id {
    Id::unique("telemetry time axis")
}

/// Paints the column into the available width.
pub fn telemetry(ui: &mut Ui, state: &AppState, view: &mut TelemetryView, now: f64, actions: &mut Vec<Action>) {
    let held = view.held;
    let before = time_axis::zoomed(ui.ctx(), axis());
    if let Some(held) = held {
        time_axis::look_at(ui.ctx(), axis(), held.zoomed);
    }
    let range = held.map_or_else(|| time_range(state, now), |held| held.usual);
    ScrollArea::vertical().id_salt("telemetry").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        head(ui, &state.telemetry);
        big_number(ui, state, range, actions);
        ui.add_space(4.0);
        decode_plot(ui, state, range);
        prefill_progress(ui, &state.telemetry);
        rates::rates(ui, state, actions);
        prefill_plot(ui, &state.telemetry, range);
        ui.add_space(10.0);
        memory::memory(ui, state, range, axis());
        ui.add_space(10.0);
        cpu(ui, state, range);
    });
    view.shown = Some(PlotRange { usual: range, zoomed: time_axis::zoomed(ui.ctx(), axis()) });
    if held.is_some() {
        time_axis::look_at(ui.ctx(), axis(), before);
    }
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
            let hover = if telemetry.itl_p95_ms.is_some() {
                ITL.to_owned()
            } else {
                format!("{ITL}\nNo reply of two tokens or more has ended yet")
            };
            muted(ui, format!("ITL p95 {value}")).on_hover_text(hover);
        });
    });
}

fn big_number(ui: &mut Ui, state: &AppState, range: [f64; 2], actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let palette = theme::palette(ui);
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            controls(ui, state, range, actions);
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
fn controls(ui: &mut Ui, state: &AppState, usual: [f64; 2], actions: &mut Vec<Action>) {
    if ui.add(icon_button(Icon::ChevronRight, "Fold the telemetry")).clicked() {
        actions.push(Action::ToggleTelemetry);
    }
    let zoomed = time_axis::zoomed(ui.ctx(), axis());
    let shown = PlotRange { usual, zoomed };
    let menu = ui.add(icon_button(Icon::Dots, "Plot options"));
    egui::Popup::menu(&menu).accessible_name("Plot options").show(|ui| {
        ui.set_width(200.0);
        muted(ui, "The plots show");
        for (seconds, words) in crate::ui::parts::PLOT_WINDOWS {
            let selected = (state.settings.telemetry_window_s - seconds).abs() < 0.5;
            if ui.add(egui::Button::selectable(selected, words)).clicked() {
                time_axis::look_at(ui.ctx(), axis(), None);
                actions.push(Action::SetPlotWindow(seconds));
            }
        }
        ui.separator();
        if ui.button("Export as CSV…").clicked() {
            actions.push(Action::ExportPlotsCsv(Some(shown)));
        }
        if ui.button("Export as PNG…").clicked() {
            actions.push(Action::ExportPlotsPng(Some(shown)));
        }
    });
    let paused = state.telemetry.paused_at.is_some();
    let (icon, words) = if paused { (Icon::Play, "Go on with the plots") } else { (Icon::Pause, "Pause the plots") };
    if ui.add(icon_button(icon, words).on(paused)).clicked() {
        actions.push(Action::PausePlots(!paused));
    }
    if zoomed.is_some() && ui.add(icon_button(Icon::ZoomReset, "Reset the zoom")).clicked() {
        time_axis::look_at(ui.ctx(), axis(), None);
    }
}

fn decode_plot(ui: &mut Ui, state: &AppState, range: [f64; 2]) {
    let telemetry = &state.telemetry;
    let from = earliest(ui, axis(), range).min(range[0]);
    let markers: Vec<PlotMarker<'_>> = telemetry.markers.iter().filter(|marker| marker.at >= from).map(plot_marker).collect();
    SeriesPlot::new(Id::unique("decode plot"), "Decode over time", "tokens/s", telemetry.decode.since(from), range)
        .markers(&markers)
        .height(92.0)
        .paused(telemetry.paused_at.is_some())
        .axis(axis())
        .show(ui);
}

fn prefill_plot(ui: &mut Ui, telemetry: &Telemetry, range: [f64; 2]) {
    let color = theme::palette(ui).accent;
    let from = earliest(ui, axis(), range).min(range[0]);
    let series = [TimeSeries { label: "prefill", points: telemetry.prefill.since(from), color }];
    TimePlot::new("Prefill over time", &series, range, |rate| format!("{} t/s", format::tps(rate))).height(32.0).axis(axis()).show(ui);
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
    let count = elided(ui, &count, theme::mono_small(), palette.text, rect.width() * 0.5);
    let bar = Rect::from_min_max(pos2(rect.left(), rect.bottom() - 5.0), pos2(rect.right(), rect.bottom() - 2.0));
    let count_left = rect.right() - count.size().x;
    ui.painter().galley(rect.left_top() + vec2(0.0, 3.0), words, palette.accent);
    ui.painter().galley(pos2(count_left, rect.top() + 3.0), count, palette.text);
    ui.painter().rect_filled(bar, 1.5, palette.hairline);
    ui.painter().rect_filled(bar.with_max_x(bar.left() + bar.width() * fraction as f32), 1.5, palette.accent);
    response.on_hover_text("Prompt tokens that are in the cache, of all of the prompt's; those of an earlier turn need not be read again");
}

fn cpu(ui: &mut Ui, state: &AppState, range: [f64; 2]) {
    let telemetry = &state.telemetry;
    let palette = theme::palette(ui);
    let sample = telemetry.sample;
    ui.spacing_mut().item_spacing.y = 0.0;
    let percent = |value: Option<f32>| value.map_or_else(|| ABSENT.into(), |value| format!("{value:.0} %"));
    let engine = sample.filter(|sample| sample.engine.is_some()).and_then(|sample| sample.engine_cpu_percent);
    let why = if engine.is_none() { "\nThe engine's process is not running, or was not sampled twice yet" } else { "" };
    let row = keyed_row(ui, "CPU engine", &percent(engine), palette.accent);
    row.on_hover_text(format!("CPU time of the engine's process; 100 % is one core busy{why}"));
    let window = sample.and_then(|sample| sample.window_cpu_percent);
    keyed_row(ui, "CPU window", &percent(window), palette.muted).on_hover_text(
        "CPU time of this window's process; 100 % is one core busy. Without a GPU the window is drawn by the CPU that also runs the model",
    );
    let machine = sample.and_then(|sample| sample.machine_cpu_percent);
    stat_row(ui, "CPU machine", &percent(machine)).on_hover_text("CPU time of everything on this machine; 100 % is all cores busy");
    let from = earliest(ui, axis(), range).min(range[0]);
    let series = [("engine", &telemetry.engine_cpu, palette.accent), ("window", &telemetry.window_cpu, palette.muted)]
        .map(|(label, points, color)| TimeSeries { label, points: points.since(from), color });
    ui.add_space(4.0);
    TimePlot::new("CPU over time", &series, range, |percent| format!("{percent:.0} %")).height(32.0).axis(axis()).show(ui);
    ui.add_space(6.0);
    let (value, hover) = match sample.and_then(|sample| sample.gpu) {
        Some((used, total)) => (
            format!("{} of {}", format::bytes(used), format::bytes(total)),
            "Memory of the first GPU that is in use, by whatever program, as its driver reports it",
        ),
        None => ("not observable".to_owned(), "No GPU of this machine has a driver that says how much of its memory is in use"),
    };
    stat_row(ui, "GPU memory", &value).on_hover_text(hover);
}

/// A row of readings whose line in the plot below has this colour.
fn keyed_row(ui: &mut Ui, name: &str, value: &str, color: egui::Color32) -> egui::Response {
    let row = stat_row(ui, name, value);
    let key = Rect::from_center_size(pos2(row.rect.left() + KEY_AT, row.rect.center().y), vec2(10.0, 3.0));
    ui.painter().rect_filled(key, 1.5, color);
    row
}

/// Where the key of a line stands in its row, behind the name, points.
const KEY_AT: f32 = 84.0;

/// The telemetry as one line: the numbers that matter most, and the button that unfolds it.
pub fn telemetry_strip(ui: &mut Ui, state: &AppState, has_room: bool, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let unfold = ui.add_enabled(has_room, icon_button(Icon::ChevronLeft, "Unfold the telemetry"));
        if unfold.on_disabled_hover_text("The plots unfold when the window is wider, or the zoom smaller").clicked() {
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
            let (label, share) = rates::roofline_line(state);
            pair(ui, label, &share, &rates::roofline_hover(telemetry));
        });
    });
}

fn pair(ui: &mut Ui, label: &str, value: &str, hover: &str) {
    let palette = theme::palette(ui);
    let label_galley = elided(ui, label, theme::small(), palette.muted, f32::INFINITY);
    let value_galley = elided(ui, value, theme::mono_small(), palette.text, f32::INFINITY);
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
