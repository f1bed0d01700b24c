//! The Library page: families and their rungs, the folders they come from, and what was passed over.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use crate::app::{Action, AppState};
use crate::library::{Family, RungState};
use crate::measure::format;
use crate::ui::parts::folders;
use crate::ui::parts::library_rows::{self, FamilyCard};
use crate::ui::parts::saved_designs::{self, SavedDesignsView};
use crate::ui::theme::{self, PAGE_MARGIN};
use crate::ui::widgets::{
    Icon, at_least, card, elided, empty_state, ghost_button, icon_button, muted, page_header, primary_button, search_field,
    secondary_button,
};

/// Between two cards, points.
const GAP: f32 = 12.0;
/// Families that are unfolded by themselves when there are no more than these.
const FEW: usize = 4;

/// Least height of the page, points.
const LEAST: f32 = 460.0;

/// What is typed and unfolded on the page.
#[derive(Clone, Debug, Default)]
pub struct LibraryView {
    /// Put the cursor into the search field in the next frame
    pub focus_search: bool,
    search: String,
    unfolded: BTreeMap<String, bool>,
    all_rungs: BTreeSet<String>,
    folders_open: bool,
    designs_open: bool,
    designs: SavedDesignsView,
    skipped_open: bool,
    typed_folder: String,
}

/// Paints the page.
pub fn library_page(ui: &mut Ui, state: &AppState, view: &mut LibraryView, now: f64, actions: &mut Vec<Action>) {
    at_least(ui, "library page", LEAST, |ui| page(ui, state, view, now, actions));
}

fn page(ui: &mut Ui, state: &AppState, view: &mut LibraryView, now: f64, actions: &mut Vec<Action>) {
    egui::Frame::new().inner_margin(egui::Margin { bottom: 0, ..egui::Margin::same(PAGE_MARGIN as i8) }).show(ui, |ui| {
        header(ui, state, actions);
        ui.add_space(12.0);
        tools(ui, state, view);
        if view.folders_open {
            ui.add_space(4.0);
            card(ui, |ui| folders::folders(ui, state, &mut view.typed_folder, actions));
        }
        if view.designs_open {
            ui.add_space(4.0);
            card(ui, |ui| saved_designs::saved_designs(ui, state, &mut view.designs, actions));
        }
        if view.skipped_open {
            ui.add_space(4.0);
            card(ui, |ui| skipped(ui, state, actions));
        }
        ui.add_space(8.0);
        if state.library.families.is_empty() {
            nothing(ui, state, view, actions);
        } else {
            families(ui, state, view, now, actions);
        }
    });
}

fn header(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let library = &state.library;
    let sizes = library.families.iter().flat_map(|family| &family.rungs).filter_map(|rung| match &rung.state {
        RungState::OnDisk { size, .. } => Some(*size),
        _ => None,
    });
    let (count, bytes) = sizes.fold((0_u64, 0_u64), |(count, bytes), size| (count + 1, bytes.saturating_add(size)));
    let sentence = match (library.families.len(), library.is_scanning) {
        (0, true) => "Looking through the folders".to_owned(),
        (0, false) => String::new(),
        (families, scanning) => {
            let counted = format!("{} of {} on disk, {}", counted(count, "rung"), counted(families as u64, "model"), format::bytes(bytes));
            if scanning { format!("{counted}, looking again") } else { counted }
        }
    };
    let narrow = ui.available_width() < 640.0;
    page_header(ui, "Which rungs are on this machine?", &sentence, |ui| {
        if ui.add(secondary_button("Open a file…")).on_hover_text("Load a GGUF file from anywhere (Ctrl+O)").clicked() {
            actions.push(Action::PickModel);
        }
        let words = if library.is_scanning { "Scanning…" } else { "Rescan" };
        let hint = "Read the model folders again (F5)";
        let response = if narrow {
            ui.add_enabled(!library.is_scanning, icon_button(Icon::Refresh, words).side(32.0))
        } else {
            ui.add_enabled(!library.is_scanning, secondary_button(words).icon(Icon::Refresh)).on_hover_text(hint)
        };
        if response.clicked() {
            actions.push(Action::Rescan);
        }
    });
}

/// `1 rung`, `12 rungs`.
fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", format::count(count), if count == 1 { "" } else { "s" })
}

fn tools(ui: &mut Ui, state: &AppState, view: &mut LibraryView) {
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width((ui.available_width() - 300.0).clamp(140.0, 360.0));
            let field = search_field(ui, &mut view.search, "Search models and rungs");
            if std::mem::take(&mut view.focus_search) {
                field.request_focus();
            }
        });
        let chevron = |open: bool| if open { Icon::ChevronDown } else { Icon::ChevronRight };
        let words = counted(state.settings.model_folders.len() as u64, "folder");
        if ui.add(ghost_button(words).icon(chevron(view.folders_open)).height(32.0)).on_hover_text("Where models are looked for").clicked()
        {
            view.folders_open = !view.folders_open;
        }
        let words = match state.history.designs.len() {
            0 => "Designs".to_owned(),
            n => counted(n as u64, "design"),
        };
        let designs = ui.add(ghost_button(words).icon(chevron(view.designs_open)).height(32.0));
        if designs.on_hover_text("Designs that have a name: save, use, export").clicked() {
            view.designs_open = !view.designs_open;
        }
        let skipped = state.library.skipped.len();
        if skipped > 0 {
            let words = format!("{} passed over", counted(skipped as u64, "file"));
            if ui
                .add(ghost_button(words).icon(chevron(view.skipped_open)).height(32.0))
                .on_hover_text("Files that are not models, and why")
                .clicked()
            {
                view.skipped_open = !view.skipped_open;
            }
        } else {
            view.skipped_open = false;
        }
    });
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn skipped(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let skipped = &state.library.skipped;
    let height = (skipped.len() as f32 * 40.0).min(200.0);
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().id_salt("skipped").max_height(height).auto_shrink([false, true]).show_rows(
        ui,
        40.0,
        skipped.len(),
        |ui, rows| {
            for file in skipped.get(rows).unwrap_or_default() {
                let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 40.0), egui::Sense::hover());
                let path = file.path.display().to_string();
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{}: {path}", file.why)));
                let why = elided(ui, &file.why, theme::small(), palette.text, rect.width() - 40.0);
                let words = elided(ui, &path, theme::mono_small(), palette.muted, rect.width() - 40.0);
                ui.painter().galley(rect.min + vec2(0.0, 3.0), why, palette.text);
                ui.painter().galley(rect.min + vec2(0.0, 20.0), words, palette.muted);
                let at = Rect::from_center_size(pos2(rect.right() - 18.0, rect.center().y), vec2(28.0, 28.0));
                if ui.place(at, icon_button(Icon::Copy, "Copy the path")).accessible_name(format!("Copy {path}")).clicked() {
                    actions.push(Action::Copy(path.clone()));
                }
                response.on_hover_text(path);
            }
        },
    );
}

fn nothing(ui: &mut Ui, state: &AppState, view: &mut LibraryView, actions: &mut Vec<Action>) {
    if state.library.is_scanning || !state.library.was_scanned {
        muted(ui, "Looking for models…");
        return;
    }
    let sentence = "GGUF files in your model folders appear here with their ladders of quantization levels. Open a file, drop one on the \
                    window, or add a folder";
    if empty_state(ui, "No models yet", sentence, Some("Open a model…")) {
        actions.push(Action::PickModel);
    }
    ui.vertical_centered(|ui| {
        if ui.add(ghost_button("Add a folder…").icon(Icon::Folder).height(32.0)).clicked() {
            view.folders_open = true;
            actions.push(Action::PickFolder);
        }
    });
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn matches(family: &Family, words: &[String]) -> bool {
    let mut text = format!("{} {}", family.name, family.arch).to_lowercase();
    for rung in family.rungs.iter().filter(|rung| !matches!(rung.state, RungState::Unavailable { .. })) {
        text.push(' ');
        text.push_str(&rung.quant.to_lowercase());
    }
    words.iter().all(|word| text.contains(word))
}

/// The families, of which only those in view are laid out: the height of a card follows from what it holds.
fn families(ui: &mut Ui, state: &AppState, view: &mut LibraryView, now: f64, actions: &mut Vec<Action>) {
    let words: Vec<String> = view.search.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let found: Vec<&Family> = state.library.families.iter().filter(|family| matches(family, &words)).collect();
    if found.is_empty() {
        muted(ui, "No model or rung has these words");
        if ui.add(primary_button("Clear the search")).clicked() {
            view.search.clear();
        }
        return;
    }
    let few = found.len() <= FEW;
    let shown = state.family().map(|family| family.key.as_str());
    let cards: Vec<FamilyCard<'_>> = found
        .into_iter()
        .map(|family| {
            let by_itself = few || shown == Some(family.key.as_str());
            let is_open = view.unfolded.get(&family.key).copied().unwrap_or(by_itself);
            FamilyCard::new(state, family, is_open, view.all_rungs.contains(&family.key))
        })
        .collect();
    let total: f32 = cards.iter().map(|card| card.height() + GAP).sum::<f32>() + PAGE_MARGIN - GAP;
    ScrollArea::vertical().id_salt("families").auto_shrink([false, false]).show_viewport(ui, |ui, viewport| {
        let width = ui.available_width();
        ui.set_height(total);
        let origin = ui.max_rect().min;
        let mut top = 0.0;
        for card in &cards {
            let height = card.height();
            if top + height >= viewport.top() && top <= viewport.bottom() {
                let rect = Rect::from_min_size(origin + vec2(0.0, top), vec2(width, height));
                let builder = UiBuilder::new().id_salt(("family", card.key())).max_rect(rect);
                let response = ui.scope_builder(builder, |ui| library_rows::family(ui, state, card, now, actions)).inner;
                if response.folded {
                    view.unfolded.insert(card.key().to_owned(), !card.is_open());
                }
                if response.all {
                    let key = card.key().to_owned();
                    if !view.all_rungs.remove(&key) {
                        view.all_rungs.insert(key);
                    }
                }
            }
            top += height + GAP;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_counted_in_words() {
        assert_eq!(counted(1, "rung"), "1 rung");
        assert_eq!(counted(1200, "file"), "1,200 files");
        assert_eq!(counted(0, "folder"), "0 folders");
    }
}
