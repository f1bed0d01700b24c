//! The menu under the model's name: families found, files used before, a dialog, and a field for a path where no dialog can open.

use std::path::{Path, PathBuf};

use egui::{Align, Layout, Popup, PopupCloseBehavior, RectAlign, Response, ScrollArea, TextEdit, Ui};

use super::ladder;
use crate::app::{Action, AppState};
use crate::library::Family;
use crate::ui::theme;
use crate::ui::widgets::{Icon, MENU_ROW, ghost_button, hairline, menu_row, muted, secondary_button};

const WIDTH: f32 = 340.0;
/// Files used before that are listed.
const RECENT: usize = 6;

/// What is typed in the menu.
#[derive(Clone, Debug, Default)]
pub(in crate::ui) struct ModelMenuView {
    path: String,
}

/// Shows the menu under `button` while it is open.
pub(in crate::ui) fn show(button: &Response, state: &AppState, view: &mut ModelMenuView, actions: &mut Vec<Action>) {
    Popup::from_toggle_button_response(button)
        .align(RectAlign::BOTTOM_START)
        .gap(6.0)
        .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
        .accessible_name("Models")
        .frame(egui::Frame::popup(&button.ctx.global_style()).inner_margin(10))
        .show(|ui| {
            ui.set_width(WIDTH);
            ui.spacing_mut().item_spacing.y = 4.0;
            if contents(ui, state, view, actions) {
                ui.close();
            }
        });
}

/// True when something was chosen.
fn contents(ui: &mut Ui, state: &AppState, view: &mut ModelMenuView, actions: &mut Vec<Action>) -> bool {
    let mut open: Option<PathBuf> = None;
    let mut done = false;
    let room = (ui.ctx().content_rect().height() - 320.0).clamp(MENU_ROW * 2.0, MENU_ROW * 6.0);
    if !state.library.families.is_empty() {
        muted(ui, "Found on this machine");
        let families = &state.library.families;
        ScrollArea::vertical().id_salt("families").max_height(room).auto_shrink([false, true]).show_rows(
            ui,
            MENU_ROW,
            families.len(),
            |ui, rows| {
                for family in families.get(rows).unwrap_or_default() {
                    if family_row(ui, state, family).clicked() {
                        open = ladder::first_file(state, family).map(Path::to_owned);
                    }
                }
            },
        );
    }
    let recent = recent(state);
    if !recent.is_empty() {
        muted(ui, "Used before");
        for path in recent {
            let words = menu_row(ui, &ladder::file_name(&path), "", false);
            if words.on_hover_text(path.display().to_string()).clicked() {
                open = Some(path);
            }
        }
    }
    ui.add_space(4.0);
    hairline(ui);
    ui.add_space(4.0);
    ui.horizontal(|ui| {
        if ui.add(secondary_button("Open a file…").icon(Icon::Folder)).clicked() {
            actions.push(Action::PickModel);
            done = true;
        }
        if state.loaded.is_some() {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.add(ghost_button("Unload").height(32.0)).clicked() {
                    actions.push(Action::Unload(None));
                    done = true;
                }
            });
        }
    });
    if let Some(path) = typed_path(ui, &mut view.path) {
        open = Some(path);
    }
    if let Some(path) = open {
        actions.push(Action::OpenModel(path));
        done = true;
    }
    done
}

/// Files with a remembered design that are in no family the library found.
fn recent(state: &AppState) -> Vec<PathBuf> {
    let designs = state.settings.designs.keys().map(PathBuf::from);
    designs.filter(|path| !state.library.families.iter().any(|family| family.rung_of(path).is_some())).take(RECENT).collect()
}

fn family_row(ui: &mut Ui, state: &AppState, family: &Family) -> Response {
    let rungs = ladder::rungs(state, family);
    let on_disk = rungs.iter().filter(|rung| rung.is_on_disk()).count();
    let names: Vec<&str> = rungs.iter().filter(|rung| rung.is_on_disk()).take(4).map(|rung| rung.quant).collect();
    let more = if on_disk > names.len() { format!(" and {} more", on_disk - names.len()) } else { String::new() };
    let selected = state.family().is_some_and(|shown| shown.key == family.key);
    menu_row(ui, &family.name, &format!("{}{more}", names.join(", ")), selected)
}

/// A field for a path; `Some` when Enter or the button was pressed with something in it.
fn typed_path(ui: &mut Ui, path: &mut String) -> Option<PathBuf> {
    let muted = theme::palette(ui).muted;
    ui.horizontal(|ui| {
        let hint = egui::RichText::new("or type a path").color(muted);
        let edit =
            TextEdit::singleline(path).hint_text(hint).desired_width(ui.available_width() - 96.0).margin(egui::Margin::symmetric(10, 7));
        let edit = ui.add(edit).accessible_name("Path of a model file");
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        let ready = !path.trim().is_empty();
        let pressed = ui.add_enabled(ready, secondary_button("Open")).clicked();
        (ready && (entered || pressed)).then(|| PathBuf::from(std::mem::take(path).trim()))
    })
    .inner
}
