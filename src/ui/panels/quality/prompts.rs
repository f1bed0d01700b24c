//! Sets of prompts: which one is asked, and writing one's own.

use egui::{Frame, Margin, ScrollArea, TextEdit, Ui};

use super::ask;
use crate::app::quality::PROMPTS_NAME;
use crate::app::{Action, AppState, QualityAction};
use crate::library::text;
use crate::measure::quality::divergence::PROMPTS;
use crate::protocol::Role;
use crate::ui::theme;
use crate::ui::widgets::{Icon, choice_row, icon_button, muted, secondary_button, wrapped};

/// Longest name of a set, characters.
const NAME: usize = 60;

/// What is typed.
#[derive(Default)]
pub(super) struct PromptsView {
    /// The set that the fields were filled with
    of: Option<String>,
    name: String,
    text: String,
}

/// Paints the choice, the prompts of the chosen set, and what can be done with them.
pub(super) fn prompts(ui: &mut Ui, state: &AppState, chosen: &str, view: &mut PromptsView, actions: &mut Vec<Action>) {
    let sets = &state.settings.prompt_sets;
    let ships = PROMPTS.map(str::to_owned).to_vec();
    let kept = sets.iter().find(|set| set.name == chosen).map_or(&ships, |set| &set.prompts);
    if view.of.as_deref() != Some(chosen) {
        *view = PromptsView { of: Some(chosen.to_owned()), name: chosen.to_owned(), text: text::prompts_text(kept) };
    }
    // the names by their place: a choice is copied
    let names: Vec<&str> = std::iter::once("").chain(sets.iter().map(|set| set.name.as_str())).collect();
    let options: Vec<(usize, &str)> = names.iter().map(|name| if name.is_empty() { PROMPTS_NAME } else { name }).enumerate().collect();
    let before = names.iter().position(|name| *name == chosen).unwrap_or(0);
    let mut at = before;
    let note = format!("The reference answers {}, and every token it said is compared", counted(kept.len()));
    choice_row(ui, "Set of prompts", &note, &mut at, &options);
    if let Some(name) = names.get(at).filter(|_| at != before) {
        ask(actions, QualityAction::UsePrompts((*name).to_owned()));
    }
    editor(ui, view);
    let parsed = text::prompts(&view.text);
    let is_changed = parsed.as_ref().is_ok_and(|prompts| prompts != kept) || view.name.trim() != chosen;
    ui.horizontal_wrapped(|ui| {
        let hint = egui::RichText::new("Name").color(theme::palette(ui).muted);
        let name = TextEdit::singleline(&mut view.name).char_limit(NAME).hint_text(hint).desired_width(180.0);
        ui.add(name.margin(Margin::symmetric(8, 8))).accessible_name("Name of the prompts");
        let why = match &parsed {
            Err(error) => Some(error.message.clone()),
            Ok(_) if view.name.trim().is_empty() => Some("Give them a name first".into()),
            Ok(_) if !is_changed => Some("They are saved".into()),
            Ok(_) => None,
        };
        let save = ui.add_enabled(why.is_none(), secondary_button("Save")).on_disabled_hover_text(why.unwrap_or_default());
        if save.accessible_name("Save the prompts").clicked()
            && let Ok(prompts) = &parsed
        {
            view.of = Some(view.name.trim().to_owned());
            ask(actions, QualityAction::SavePrompts(view.name.clone(), prompts.clone()));
        }
        let asked = of_open_chat(state);
        let from = ui.add_enabled(!asked.is_empty(), secondary_button("Take the open chat's"));
        if from.on_hover_text("What you asked in it").on_disabled_hover_text("The open chat has no question").clicked() {
            view.text = text::prompts_text(&asked);
        }
        if !chosen.is_empty() && ui.add(icon_button(Icon::Trash, "Delete these prompts")).clicked() {
            ask(actions, QualityAction::DeletePrompts(chosen.to_owned()));
        }
    });
    if let Err(error) = &parsed {
        wrapped(ui, error.to_string(), theme::small(), theme::palette(ui).event);
    } else if is_changed {
        muted(ui, "Save them to have them asked");
    }
}

fn editor(ui: &mut Ui, view: &mut PromptsView) {
    let palette = theme::palette(ui);
    Frame::new().fill(palette.page).corner_radius(theme::CONTROL_RADIUS).inner_margin(Margin::same(4)).show(ui, |ui| {
        ScrollArea::vertical().id_salt("prompts").max_height(150.0).show(ui, |ui| {
            let hint = egui::RichText::new("One prompt, a blank line, the next prompt").color(palette.muted);
            let most = text::MAX_PROMPT * 8;
            let edit = TextEdit::multiline(&mut view.text).char_limit(most).hint_text(hint).desired_width(f32::INFINITY).desired_rows(5);
            ui.add(edit).accessible_name("Prompts");
        });
    });
}

/// What the user said in the chat on screen.
fn of_open_chat(state: &AppState) -> Vec<String> {
    let Some(open) = &state.chats.open else { return Vec::new() };
    let shown = open.branch.iter().filter_map(|id| open.messages.get(id));
    shown
        .filter(|message| message.role == Role::User)
        .map(|message| message.text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect()
}

/// `1 prompt`, `12 prompts`.
fn counted(n: usize) -> String {
    if n == 1 { "1 prompt".into() } else { format!("{n} prompts") }
}
