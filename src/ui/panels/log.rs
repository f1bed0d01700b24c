//! The engine's log: its last lines, filtered.

use egui::{Align, Align2, Layout, ScrollArea, Ui, vec2};

use crate::app::{Action, AppState};
use crate::measure::format;
use crate::ui::theme;
use crate::ui::widgets::{Icon, ghost_button, icon_button, muted, search_field, title};

/// Whether the log is open, and what it is filtered by.
#[derive(Clone, Debug, Default)]
pub struct LogView {
    /// Whether it is on screen
    pub open: bool,
    filter: String,
}

/// Paints the log window, when it is open.
pub fn log_window(ctx: &egui::Context, state: &AppState, view: &mut LogView, actions: &mut Vec<Action>) {
    if !view.open {
        return;
    }
    let mut open = true;
    let room = ctx.content_rect().size() - vec2(48.0, 96.0);
    egui::Window::new("Engine log")
        .id(egui::Id::unique("engine log"))
        .title_bar(false)
        .default_size(vec2(760.0, 420.0).min(room))
        .max_size(room)
        .pivot(Align2::CENTER_CENTER)
        .default_pos(ctx.content_rect().center())
        .show(ctx, |ui| {
            ui.horizontal(|ui| {
                title(ui, "Engine log");
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    open = !ui.add(icon_button(Icon::Close, "Close the log")).clicked();
                });
            });
            contents(ui, state, view, actions);
        });
    if ctx.input(|input| input.key_pressed(egui::Key::Escape)) && !egui::Popup::is_any_open(ctx) {
        open = false;
    }
    view.open = open;
}

fn contents(ui: &mut Ui, state: &AppState, view: &mut LogView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let wanted = view.filter.to_lowercase();
    let lines: Vec<&String> = state.log.iter().filter(|line| wanted.is_empty() || line.to_lowercase().contains(&wanted)).collect();
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width((ui.available_width() - 220.0).clamp(120.0, 420.0));
            search_field(ui, &mut view.filter, "Filter the log");
        });
        if ui.add_enabled(!lines.is_empty(), ghost_button("Copy lines").icon(Icon::Copy)).clicked() {
            actions.push(Action::Copy(lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")));
        }
        muted(ui, format!("{} of {} lines", format::count(lines.len() as u64), format::count(state.log.len() as u64)));
    });
    ui.add_space(4.0);
    if lines.is_empty() {
        let words = if state.log.is_empty() { "The engine has written nothing yet" } else { "No line holds these words" };
        muted(ui, words);
        return;
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    let area = ScrollArea::both().auto_shrink([false, false]).stick_to_bottom(true);
    area.show_rows(ui, 18.0, lines.len(), |ui, rows| {
        for line in lines.get(rows).unwrap_or_default() {
            let ink = if is_trouble(line) { palette.event } else { palette.muted };
            let words = egui::RichText::new(*line).font(theme::mono_small()).line_height(Some(18.0)).color(ink);
            ui.add(egui::Label::new(words).extend().selectable(true));
        }
    });
}

/// Whether a line of llama.cpp tells of something that went wrong; its own levels do not survive the log.
fn is_trouble(line: &str) -> bool {
    let line = line.to_lowercase();
    ["error", "failed", "warn", "assert"].iter().any(|word| line.contains(word))
}
