//! What a reply is asked for with: the sampler, its length, what ends it, and what to do when the prompt does not fit.

use egui::{Align, DragValue, Frame, Layout, Popup, PopupCloseBehavior, ScrollArea, TextEdit, Ui, vec2};

use crate::app::{Action, AppState};
use crate::protocol::{Overflow, SamplerOverrides};
use crate::ui::parts::sampler_rows::sampler_rows;
use crate::ui::theme;
use crate::ui::widgets::{hairline, label, muted, secondary_button};

/// What lasts of the popup between frames.
#[derive(Clone, Debug, Default)]
pub struct SamplingView {
    /// The stop texts as they are typed, one a line
    stop: Option<String>,
}

/// The button that opens the popup.
pub fn button(ui: &mut Ui, state: &AppState, view: &mut SamplingView, actions: &mut Vec<Action>) {
    let is_set = state.settings.sampler != SamplerOverrides::default();
    let words = if is_set { "Sampling •" } else { "Sampling" };
    let button = ui.add(secondary_button(words)).on_hover_text("How the next token is chosen, how long a reply may be, what ends it");
    let frame = Frame::popup(ui.style()).inner_margin(14);
    let popup =
        Popup::from_toggle_button_response(&button).close_behavior(PopupCloseBehavior::CloseOnClickOutside).width(428.0).frame(frame);
    let shown = popup.accessible_name("Sampling").show(|ui| {
        let room = (ui.ctx().content_rect().height() - 160.0).max(160.0);
        ui.set_max_height(room);
        ScrollArea::vertical().max_height(room).auto_shrink([false, true]).show(ui, |ui| contents(ui, state, view, actions));
    });
    if shown.is_none() {
        view.stop = None;
    }
}

fn contents(ui: &mut Ui, state: &AppState, view: &mut SamplingView, actions: &mut Vec<Action>) {
    ui.set_width(400.0);
    ui.spacing_mut().item_spacing = vec2(8.0, 2.0);
    sampler_rows(ui, state, actions);
    ui.add_space(6.0);
    hairline(ui);
    ui.add_space(6.0);
    most_tokens(ui, state, actions);
    stop_texts(ui, state, view, actions);
    overflow(ui, state, actions);
}

fn most_tokens(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let mut most = state.settings.max_tokens;
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
        ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
        let drag = DragValue::new(&mut most).range(0..=1_000_000_u32).speed(8.0);
        let drag = drag.custom_formatter(|value, _| if value == 0.0 { "no limit".to_owned() } else { format!("{value:.0}") });
        ui.add_sized(vec2(96.0, 28.0), drag).accessible_name("Most tokens of a reply");
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            label(ui, "Most tokens of a reply", theme::body(), palette.text).on_hover_text("0 goes on until the context is full");
        });
    });
    if most != state.settings.max_tokens {
        actions.push(Action::SetMaxTokens(most));
    }
}

fn stop_texts(ui: &mut Ui, state: &AppState, view: &mut SamplingView, actions: &mut Vec<Action>) {
    ui.add_space(6.0);
    muted(ui, "Stop texts, one a line; \\n is a line end");
    let text = view.stop.get_or_insert_with(|| escape(&state.settings.stop));
    let field = TextEdit::multiline(text).id_salt("stop texts").desired_rows(2).desired_width(f32::INFINITY).hint_text("None");
    if ui.add(field).accessible_name("Stop texts").changed() {
        actions.push(Action::SetStopTexts(unescape(text)));
    }
}

/// Stop texts as lines.
fn escape(texts: &[String]) -> String {
    let line = |text: &String| text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t");
    texts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines as stop texts; empty lines are none.
fn unescape(lines: &str) -> Vec<String> {
    let text = |line: &str| {
        let mut text = String::new();
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match (c, if c == '\\' { chars.next() } else { None }) {
                ('\\', Some('n')) => text.push('\n'),
                ('\\', Some('t')) => text.push('\t'),
                ('\\', Some('\\')) | ('\\', None) => text.push('\\'),
                ('\\', Some(other)) => text.extend(['\\', other]),
                (c, _) => text.push(c),
            }
        }
        text
    };
    lines.lines().filter(|line| !line.is_empty()).map(text).collect()
}

/// What can be done when a prompt does not fit, in words: the name, and what it means.
const OVERFLOW: [(Overflow, &str, &str); 3] = [
    (Overflow::Stop, "Ask", "Nothing is sent; you are asked what to do"),
    (Overflow::DropOldest, "Leave out the oldest", "The oldest turns are left out; the system prompt and the last message never are"),
    (Overflow::KeepEnds, "Keep both ends", "The first exchange and the latest turns are kept, the middle is left out"),
];

fn overflow(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    ui.add_space(8.0);
    muted(ui, "When the conversation does not fit in the context");
    for (policy, name, meaning) in OVERFLOW {
        let is_chosen = state.settings.overflow == policy;
        if ui.radio(is_chosen, name).on_hover_text(meaning).clicked() && !is_chosen {
            actions.push(Action::SetOverflow(policy));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_texts_survive_being_edited() {
        let texts = vec!["\n\nUser:".to_owned(), "</s>".to_owned(), "a\\nb\t".to_owned()];
        assert_eq!(unescape(&escape(&texts)), texts);
        assert_eq!(unescape("\n\nx\\"), ["x\\"]);
        assert_eq!(unescape("\\q"), ["\\q"]);
    }
}
