//! The folders that models are looked for in: part of the Library and of the settings.

use std::path::PathBuf;

use egui::{Align, Layout, TextEdit, Ui, vec2};

use crate::app::{Action, AppState};
use crate::ui::theme;
use crate::ui::widgets::{Icon, icon_button, label, muted, secondary_button};

/// Paints the folders, with a way to add and to forget one.
pub(in crate::ui) fn folders(ui: &mut Ui, state: &AppState, typed: &mut String, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    if state.settings.model_folders.is_empty() {
        muted(ui, "No folder was added yet");
    }
    for folder in &state.settings.model_folders {
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 30.0), Layout::right_to_left(Align::Center), |ui| {
            let words = folder.display().to_string();
            let forget = ui.add(icon_button(Icon::Close, "Forget this folder")).on_hover_text("Nothing in it is deleted");
            if forget.accessible_name(format!("Forget {words}")).clicked() {
                actions.push(Action::RemoveFolder(folder.clone()));
            }
            let copy = ui.add(icon_button(Icon::Copy, "Copy the path"));
            if copy.accessible_name(format!("Copy {words}")).clicked() {
                actions.push(Action::Copy(words.clone()));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                label(ui, &words, theme::mono(), palette.text).on_hover_text(&words);
            });
        });
    }
    ui.horizontal(|ui| {
        if ui.add(secondary_button("Add a folder…").icon(Icon::Folder)).clicked() {
            actions.push(Action::PickFolder);
        }
        let hint = egui::RichText::new("or type a path").color(palette.muted);
        let width = (ui.available_width() - 63.0).clamp(80.0, 640.0);
        let edit = TextEdit::singleline(typed).hint_text(hint).desired_width(width).margin(egui::Margin::symmetric(10, 7));
        let edit = ui.add(edit).accessible_name("Path of a model folder");
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !typed.trim().is_empty();
        if (ui.add_enabled(ready, secondary_button("Add")).clicked() || entered) && ready {
            actions.push(Action::AddFolder(PathBuf::from(std::mem::take(typed).trim())));
        }
    });
}
