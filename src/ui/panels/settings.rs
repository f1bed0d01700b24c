//! The Settings page. Everything takes effect at once and is remembered.

use std::path::PathBuf;

use egui::{Align, Layout, ScrollArea, TextEdit, Ui, vec2};

use crate::app::{Action, AppState, EngineState};
use crate::protocol::Overflow;
use crate::store::Theme;
use crate::ui::parts::{folders, keep_warm, sampler_rows};
use crate::ui::shortcuts::stepped;
use crate::ui::theme::{self, PAGE_MARGIN};
use crate::ui::widgets::{
    Icon, card, choice_row, ghost_button, icon_button, label, mono, muted, number_row, page_header, secondary_button, segmented,
    setting_row, title, toggle_row,
};

/// Widest column, points: lines stay short enough to read.
const COLUMN: f32 = 760.0;

/// What the program says about itself; the window knows it, the state does not.
#[derive(Clone, Debug)]
pub struct About {
    /// Version of the program
    pub version: String,
    /// Revision it was built from; may be empty
    pub revision: String,
    /// Where things are kept: what, and where
    pub paths: Vec<(String, PathBuf)>,
}

impl Default for About {
    /// What was built in; the places are the caller's to add.
    fn default() -> Self {
        let revision = env!("INFERSCOPE_GIT_REVISION").chars().take(8).collect();
        Self { version: env!("CARGO_PKG_VERSION").into(), revision, paths: Vec::new() }
    }
}

/// What is typed on the page and not yet taken.
#[derive(Clone, Debug, Default)]
pub struct SettingsView {
    typed_folder: String,
    typed_stop: String,
}

/// Paints the page.
pub fn settings_page(ui: &mut Ui, state: &AppState, about: &About, view: &mut SettingsView, actions: &mut Vec<Action>) {
    ScrollArea::vertical().id_salt("settings").auto_shrink([false, false]).show(ui, |ui| {
        egui::Frame::new().inner_margin(egui::Margin::same(PAGE_MARGIN as i8)).show(ui, |ui| {
            ui.set_max_width(ui.available_width().min(COLUMN));
            page_header(ui, "How should Inferscope behave?", "Every change takes effect at once and is remembered", |_| {});
            ui.spacing_mut().item_spacing.y = 8.0;
            section(ui, "Look", |ui| look(ui, state, actions));
            section(ui, "Models", |ui| models(ui, state, view, actions));
            section(ui, "Replies", |ui| replies(ui, state, view, actions));
            section(ui, "Sampling", |ui| sampler_rows::sampler_rows(ui, state, actions));
            section(ui, "Measuring", |ui| measuring(ui, state, actions));
            section(ui, "Telemetry", |ui| telemetry(ui, state, actions));
            section(ui, "Where things are kept", |ui| places(ui, about, actions));
            section(ui, "About", |ui| facts(ui, state, about, actions));
        });
    });
}

fn section(ui: &mut Ui, name: &str, add: impl FnOnce(&mut Ui)) {
    ui.add_space(8.0);
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        title(ui, name);
        add(ui);
    });
}

fn look(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let mut theme = state.settings.theme;
    let options = [(Theme::System, "System"), (Theme::Dark, "Dark"), (Theme::Light, "Light"), (Theme::HighContrast, "High contrast")];
    setting_row(ui, "Theme", "", |ui| {
        if segmented(ui, "Theme", &mut theme, &options).changed() {
            actions.push(Action::SetTheme(theme));
        }
    });
    let zoom = state.settings.zoom;
    setting_row(ui, "Size of everything", "Ctrl + and Ctrl - do the same, Ctrl 0 resets", |ui| {
        let is_usual = (zoom - 1.0).abs() < 0.001;
        if ui.add_enabled(!is_usual, ghost_button("Reset").height(32.0)).accessible_name("Reset the size").clicked() {
            actions.push(Action::SetZoom(1.0));
        }
        if ui.add_enabled(zoom < 3.99, secondary_button("+")).accessible_name("Larger").clicked() {
            actions.push(Action::SetZoom(stepped(zoom, 1.0)));
        }
        mono(ui, format!("{:.0} %", zoom * 100.0));
        if ui.add_enabled(zoom > 0.51, secondary_button("–")).accessible_name("Smaller").clicked() {
            actions.push(Action::SetZoom(stepped(zoom, -1.0)));
        }
    });
}

fn models(ui: &mut Ui, state: &AppState, view: &mut SettingsView, actions: &mut Vec<Action>) {
    let mut autoload = state.settings.autoload;
    if toggle_row(
        ui,
        "Load the last model at the start",
        "Held back when the last two starts ended while it was being loaded",
        &mut autoload,
    )
    .changed()
    {
        actions.push(Action::SetAutoload(autoload));
    }
    keep_warm::budget(ui, state, actions);
    muted(ui, "Folders with models");
    folders::folders(ui, state, &mut view.typed_folder, actions);
}

fn replies(ui: &mut Ui, state: &AppState, view: &mut SettingsView, actions: &mut Vec<Action>) {
    let mut limit = state.settings.max_tokens;
    if number_row(ui, "Longest reply", "Tokens; 0 goes on until the context is full", &mut limit, 0..=1_000_000, "tokens").changed() {
        actions.push(Action::SetMaxTokens(limit));
    }
    let mut overflow = state.settings.overflow;
    let options =
        [(Overflow::Stop, "Stop and ask"), (Overflow::DropOldest, "Leave out the oldest"), (Overflow::KeepEnds, "Keep first and last")];
    let note = "What to do when a conversation no longer fits; what was left out is stamped on the reply";
    if choice_row(ui, "Context full", note, &mut overflow, &options).changed() || overflow != state.settings.overflow {
        actions.push(Action::SetOverflow(overflow));
    }
    stop_texts(ui, state, view, actions);
}

fn measuring(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let mut price = state.settings.price_per_hour.unwrap_or(0.0);
    let note = "In whatever money; 0 = not known. Makes cost per million tokens a figure to measure by";
    if number_row(ui, "Price of this machine", note, &mut price, 0.0..=1000.0, "an hour").changed() {
        actions.push(Action::SetPrice(Some(price)));
    }
}

fn stop_texts(ui: &mut Ui, state: &AppState, view: &mut SettingsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let stops = &state.settings.stop;
    setting_row(ui, "Stop texts", "A reply ends before any of these; \\n is a line end", |ui| {
        let ready = !view.typed_stop.is_empty();
        let pressed = ui.add_enabled(ready, secondary_button("Add")).accessible_name("Add the stop text").clicked();
        let hint = egui::RichText::new("a text").color(palette.muted);
        let edit = TextEdit::singleline(&mut view.typed_stop).hint_text(hint).desired_width(140.0).margin(egui::Margin::symmetric(10, 7));
        let edit = ui.add(edit).accessible_name("Stop text");
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if ready && (pressed || entered) {
            let text = unescape(&std::mem::take(&mut view.typed_stop));
            if !stops.contains(&text) {
                let mut texts = stops.clone();
                texts.push(text);
                actions.push(Action::SetStopTexts(texts));
            }
        }
    });
    for text in stops {
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 28.0), Layout::right_to_left(Align::Center), |ui| {
            let words = text.escape_debug().to_string();
            if ui.add(icon_button(Icon::Close, "Remove")).accessible_name(format!("Remove the stop text {words}")).clicked() {
                actions.push(Action::SetStopTexts(stops.iter().filter(|other| *other != text).cloned().collect()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| label(ui, words, theme::mono(), palette.text));
        });
    }
}

/// `\n`, `\t` and `\\` as typed, as what they stand for.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('\\') | None => out.push('\\'),
            Some(other) => out.extend(['\\', other]),
        }
    }
    out
}

fn telemetry(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let mut open = state.settings.telemetry_open;
    if toggle_row(ui, "Telemetry column", "Folded, it is one line", &mut open).changed() {
        actions.push(Action::ToggleTelemetry);
    }
    let current = state.settings.telemetry_window_s;
    let mut window = crate::ui::parts::PLOT_WINDOWS
        .into_iter()
        .map(|(seconds, _)| seconds)
        .find(|seconds| (seconds - current).abs() < 0.5)
        .unwrap_or(current);
    setting_row(ui, "The plots show", "", |ui| {
        if segmented(ui, "The plots show", &mut window, &crate::ui::parts::PLOT_WINDOWS).changed() {
            actions.push(Action::SetPlotWindow(window));
        }
    });
}

fn places(ui: &mut Ui, about: &About, actions: &mut Vec<Action>) {
    muted(ui, "Nothing leaves this machine unless you typed or clicked the address");
    for (what, path) in &about.paths {
        fact(ui, what, &path.display().to_string(), actions);
    }
}

fn facts(ui: &mut Ui, state: &AppState, about: &About, actions: &mut Vec<Action>) {
    let version = if about.revision.is_empty() { about.version.clone() } else { format!("{} ({})", about.version, about.revision) };
    fact(ui, "Inferscope", &version, actions);
    if let EngineState::Up { pid, facts } = &state.engine {
        fact(ui, "Engine", &format!("{} {} ({}), pid {pid}", facts.name, facts.build, facts.commit), actions);
        fact(ui, "Backends", &facts.backends.join(", "), actions);
        fact(ui, "CPU features in use", &facts.cpu_features.join(" "), actions);
        for device in &facts.devices {
            let memory = match device.memory_total {
                0 => String::new(),
                total => format!(", {}", crate::measure::format::bytes(total)),
            };
            fact(ui, &device.name, &format!("{}{memory}", device.description), actions);
        }
    } else {
        muted(ui, "The engine is not running");
    }
    if let Some(bandwidth) = &state.settings.bandwidth {
        let is_ours = bandwidth.is_of(&state.cpu, &crate::protocol::build::version_line());
        let by = if is_ours { "" } else { ", by another build: it is measured anew with the next model" };
        let value = format!("{:.1} GB/s, {} threads{by}", bandwidth.gb_s, bandwidth.threads);
        fact(ui, "Memory bandwidth, measured", &value, actions);
    }
}

/// A name, a value cut where the room ends, and a button that copies it.
fn fact(ui: &mut Ui, name: &str, value: &str, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 28.0), Layout::left_to_right(Align::Center), |ui| {
        ui.scope(|ui| {
            ui.set_width((ui.available_width() * 0.3).min(200.0));
            muted(ui, name);
        });
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.add(icon_button(Icon::Copy, "Copy")).accessible_name(format!("Copy {name}")).clicked() {
                actions.push(Action::Copy(value.to_owned()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                label(ui, value, theme::mono(), palette.text).on_hover_text(value);
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_what_they_name() {
        assert_eq!(unescape(r"\n###\t\\x\q"), "\n###\t\\x\\q");
        assert_eq!(unescape("é\\"), "é\\");
    }
}
