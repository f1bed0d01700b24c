//! What is asked, and how.

use egui::{Align, DragValue, Layout, TextEdit, Ui, vec2};

use super::{NARROW, ask};
use crate::app::{Action, AppState, CompareAction};
use crate::library::RungState;
use crate::measure::lanes::LANES;
use crate::protocol::{Design, Role};
use crate::ui::theme::{self, CONTROL_HEIGHT};
use crate::ui::widgets::{Icon, icon_button, muted, secondary_button, segmented, toggle};

/// A design's model and level, as far as the library knows its file.
pub fn level(state: &AppState, design: &Design) -> (String, String) {
    let found = state.library.families.iter().find_map(|family| Some((family, family.rung_of(&design.model)?)));
    found.map(|(family, rung)| (family.name.clone(), rung.quant.clone())).unwrap_or_default()
}

/// Every level on disk: its file, and what it is called.
pub fn files(state: &AppState) -> Vec<(std::path::PathBuf, String)> {
    let rungs = state.library.families.iter().flat_map(|family| family.rungs.iter().map(move |rung| (family, rung)));
    rungs
        .filter_map(|(family, rung)| match &rung.state {
            RungState::OnDisk { path, .. } => Some((path.clone(), format!("{} {}", family.name, rung.quant))),
            _ => None,
        })
        .collect()
}

/// Paints the prompt and the choices.
pub fn setup(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let compare = &state.compare;
    let hint_ink = theme::palette(ui).muted;
    if compare.use_chat {
        let asked = state.chats.open.as_ref().and_then(|open| open.shown().filter(|message| message.role == Role::User).last());
        let words = asked.map_or("The open chat has no question yet", |message| message.text.as_str());
        let line: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 24.0), Layout::left_to_right(Align::Center), |ui| {
            muted(ui, "From the open chat, with what was said before it:");
            let color = theme::palette(ui).text;
            crate::ui::widgets::label(ui, line, theme::body(), color);
        });
    } else {
        let mut prompt = compare.prompt.clone();
        let field = TextEdit::multiline(&mut prompt)
            .hint_text(egui::RichText::new("What do you want to ask all of them?").color(hint_ink))
            .desired_rows(if ui.ctx().content_rect().height() < 760.0 { 1 } else { 2 })
            .desired_width(f32::INFINITY)
            .margin(egui::Margin::symmetric(12, 8));
        let mut changed = false;
        egui::ScrollArea::vertical().id_salt("compare prompt").max_height(84.0).show(ui, |ui| {
            changed = ui.add(field).accessible_name("Prompt").changed();
        });
        if changed {
            actions.push(ask(CompareAction::SetPrompt(prompt)));
        }
    }
    ui.add_enabled_ui(!compare.is_running(), |ui| choices(ui, state, actions));
}

fn choices(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let compare = &state.compare;
    let is_narrow = ui.available_width() < NARROW;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(if is_narrow { 6.0 } else { 12.0 }, 6.0);
        let mut use_chat = compare.use_chat;
        if segmented(ui, "Prompt from", &mut use_chat, &[(false, "Typed"), (true, "Open chat")]).changed() {
            actions.push(ask(CompareAction::UseChat(use_chat)));
        }
        let mut together = compare.together;
        if segmented(ui, "Order", &mut together, &[(false, "One after another"), (true, "Together")]).changed() {
            actions.push(ask(CompareAction::SetTogether(together)));
        }
        let mut most = compare.max_tokens;
        let drag = DragValue::new(&mut most)
            .range(0..=8192)
            .speed(2.0)
            .custom_formatter(|n, _| if n == 0.0 { "until it ends".into() } else { format!("{n:.0} tokens") })
            .custom_parser(|text| text.split_whitespace().next()?.parse().ok());
        if ui.add_sized(vec2(96.0, CONTROL_HEIGHT), drag).accessible_name("Most tokens of an answer").changed() {
            actions.push(ask(CompareAction::SetMaxTokens(most)));
        }
        let mut blind = compare.blind;
        ui.allocate_ui_with_layout(vec2(78.0, CONTROL_HEIGHT), Layout::left_to_right(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            let hint = "Shuffles the answers and hides which design gave which until you voted";
            if toggle(ui, &mut blind, "Blind").on_hover_text(hint).changed() {
                actions.push(ask(CompareAction::SetBlind(blind)));
            }
            muted(ui, "Blind");
        });
        if compare.lanes.len() < *LANES.end() {
            let pressed = if is_narrow {
                ui.add(icon_button(Icon::Plus, "Add a design")).clicked()
            } else {
                ui.add(secondary_button("Add a design").icon(Icon::Plus)).clicked()
            };
            if pressed {
                actions.push(ask(CompareAction::AddLane));
            }
        }
    });
}
