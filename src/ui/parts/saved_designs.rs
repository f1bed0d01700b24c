//! Designs that have names: saving the one in force, and using, naming, copying and moving those that are saved.

use egui::{Align, Key, Layout, Popup, TextEdit, Ui, vec2};

use crate::app::{Action, AppState};
use crate::store::{DesignId, SavedDesign};
use crate::ui::theme;
use crate::ui::widgets::{Icon, ghost_button, icon_button, label, muted, secondary_button};

/// What is typed.
#[derive(Clone, Debug, Default)]
pub struct SavedDesignsView {
    name: String,
    /// The design that is being named, what is typed, and whether the field wants the keyboard
    naming: Option<(DesignId, String, bool)>,
}

/// Paints the saved designs, each with what can be done with it, and a line that saves the one in force.
pub(in crate::ui) fn saved_designs(ui: &mut Ui, state: &AppState, view: &mut SavedDesignsView, actions: &mut Vec<Action>) {
    if state.history.designs.is_empty() {
        muted(ui, "No design has a name yet");
    }
    for saved in &state.history.designs {
        row(ui, saved, view, actions);
    }
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        save_field(ui, state, &mut view.name, 260.0, actions);
        if ui.add(secondary_button("Import…")).on_hover_text("Read a design from a TOML or JSON file").clicked() {
            actions.push(Action::ImportDesign);
        }
    });
}

/// A field and a button that save the design in force under a name.
pub(in crate::ui) fn save_field(ui: &mut Ui, state: &AppState, name: &mut String, width: f32, actions: &mut Vec<Action>) {
    let there = state.design().is_some() || state.settings.last_design.is_some();
    let hint = egui::RichText::new("Name for the design in force").color(theme::palette(ui).muted);
    let edit = TextEdit::singleline(name).char_limit(80).hint_text(hint).desired_width(width).margin(egui::Margin::symmetric(10, 7));
    let edit = ui.add_enabled(there, edit).accessible_name("Name for the design in force");
    let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
    let ready = there && !name.trim().is_empty();
    let save = ui.add_enabled(ready, secondary_button("Save")).on_hover_text("Saves the design that is loaded, with its sampling");
    if (save.clicked() || entered) && ready {
        actions.push(Action::SaveDesign(std::mem::take(name)));
    }
}

fn row(ui: &mut Ui, saved: &SavedDesign, view: &mut SavedDesignsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::right_to_left(Align::Center), |ui| {
        let more = ui.add(icon_button(Icon::Dots, "More")).accessible_name(format!("More about {}", saved.name));
        Popup::menu(&more).show(|ui| {
            if ui.button("Rename").clicked() {
                view.naming = Some((saved.id, saved.name.clone(), true));
            }
            if ui.button("Duplicate").clicked() {
                actions.push(Action::DuplicateDesign(saved.id));
            }
            if ui.button("Export…").clicked() {
                actions.push(Action::ExportDesign(Some(saved.id)));
            }
            if ui.button("Delete").clicked() {
                actions.push(Action::DeleteDesign(saved.id));
            }
        });
        let use_it = ui.add(ghost_button("Use").height(28.0)).on_hover_text("Load it, with its sampling");
        if use_it.accessible_name(format!("Use the design {}", saved.name)).clicked() {
            actions.push(Action::UseDesign(saved.id));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| match &mut view.naming {
            Some((id, text, focus)) if *id == saved.id => {
                let edit = TextEdit::singleline(text).char_limit(80).hint_text("Name").desired_width(260.0);
                let edit = ui.add(edit.margin(egui::Margin::symmetric(8, 5))).accessible_name("Name of the design");
                if std::mem::take(focus) {
                    edit.request_focus();
                } else if edit.lost_focus() {
                    if !ui.input(|input| input.key_pressed(Key::Escape)) && *text != saved.name {
                        actions.push(Action::RenameDesign(saved.id, text.clone()));
                    }
                    view.naming = None;
                }
            }
            _ => {
                let name = label(ui, &saved.name, theme::body(), palette.text);
                let model = saved.design.model.file_name().unwrap_or_default().to_string_lossy();
                name.on_hover_text(format!("{model}\n{}", saved.design.hash("")));
                let differs = saved.design.differences(&saved.design.sampler);
                let differs = if differs.is_empty() { "default settings".to_owned() } else { differs };
                muted(ui, format!("{model}  ·  {differs}"));
            }
        });
    });
}
