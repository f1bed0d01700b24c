//! What lies over the page until it is answered: making a rung, a design that does not fit, the exact prompt, an overflow, the keys.

use std::mem::{Discriminant, discriminant};

use egui::{Align, Context, Frame, Id, Label, Layout, Margin, Modal, Response, ScrollArea, Stroke, Ui, vec2};

use crate::app::{Action, AppState, Dialog, FitWarning, MakeOffer, PromptView};
use crate::measure::format::{bytes, count, seconds};
use crate::protocol::{EngineError, Overflow, Rendered};
use crate::ui::plain_text::{Pieces, display, mono_job};
use crate::ui::shortcuts;
use crate::ui::theme;
use crate::ui::widgets::{
    ActionButton, Icon, ListSpec, RowId, VirtualList, danger_button, ghost_button, hairline, icon_button, label, muted, primary_button,
    secondary_button, section_label, shortcut_label, stat_row, title, wrapped,
};

/// What lasts of a dialog between frames.
#[derive(Clone, Debug)]
pub struct DialogsView {
    shown: Option<Discriminant<Dialog>>,
    /// The way on that the keyboard has at first
    take_focus: bool,
    pieces: Pieces,
    list: VirtualList,
    /// What is chosen for an overflow holds from now on
    remember: bool,
}

impl Default for DialogsView {
    fn default() -> Self {
        Self { shown: None, take_focus: false, pieces: Pieces::default(), list: VirtualList::new(120.0, false), remember: false }
    }
}

/// Paints the dialog that is open, if any.
pub fn dialogs(ctx: &Context, state: &AppState, view: &mut DialogsView, actions: &mut Vec<Action>) {
    if state.dialog == Dialog::None {
        view.shown = None;
        return;
    }
    let kind = discriminant(&state.dialog);
    if view.shown != Some(kind) {
        *view = DialogsView { shown: Some(kind), take_focus: true, ..DialogsView::default() };
    }
    let width: f32 = match state.dialog {
        Dialog::Prompt(_) => 760.0,
        Dialog::Shortcuts => 640.0,
        _ => 480.0,
    };
    let room = ctx.content_rect().size() - vec2(88.0, 88.0);
    let before = actions.len();
    let frame = Frame::popup(&ctx.global_style()).inner_margin(20);
    let modal = Modal::new(Id::unique("dialog")).frame(frame).show(ctx, |ui| {
        ui.set_width(width.min(room.x));
        ui.set_max_height(room.y);
        ui.spacing_mut().item_spacing.y = 8.0;
        // a small window scrolls what does not fit
        ScrollArea::vertical().max_height(room.y).auto_shrink([false, true]).show(ui, |ui| match &state.dialog {
            Dialog::Make(offer) => make(ui, offer, view, actions),
            Dialog::Fit(warning) => fit(ui, warning, view, actions),
            Dialog::Prompt(prompt) => exact_prompt(ui, prompt, room.y, view, actions),
            Dialog::Overflow(_, error) => overflow(ui, error, view, actions),
            Dialog::Shortcuts => keys(ui, room.y, actions),
            Dialog::None => {}
        });
    });
    if actions.len() == before && modal.should_close() {
        actions.push(Action::CloseDialog);
    }
}

/// The title, and the button that closes.
fn head(ui: &mut Ui, words: &str, actions: &mut Vec<Action>) {
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 28.0), Layout::right_to_left(Align::Center), |ui| {
        if ui.add(icon_button(Icon::Close, "Close")).clicked() {
            actions.push(Action::CloseDialog);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| title(ui, words));
    });
}

/// The last line: the ways on, from the right.
fn ways_on(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ui.add_space(8.0);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), add);
}

/// Gives the keyboard to the first way on, once.
fn first(response: Response, view: &mut DialogsView) -> bool {
    if std::mem::take(&mut view.take_focus) {
        response.request_focus();
    }
    response.clicked()
}

fn say(ui: &mut Ui, words: impl Into<String>, color: egui::Color32) {
    wrapped(ui, words, theme::body(), color);
}

fn make(ui: &mut Ui, offer: &MakeOffer, view: &mut DialogsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    head(ui, &format!("Make {} of {}", offer.quant, offer.family_name), actions);
    say(
        ui,
        format!(
            "{} is read from the file below and written as a new file. The source is never changed, and chatting goes on meanwhile",
            offer.quant
        ),
        palette.muted,
    );
    stat_row(ui, "From", &format!("{}, {}", offer.source_quant, file_name(&offer.source)));
    stat_row(ui, "Size, estimated", &format!("≈ {}", bytes(offer.size_estimate)));
    stat_row(ui, "Time, estimated", &format!("≈ {}", seconds(offer.seconds_estimate)));
    if offer.lossy_source {
        tinted(ui, |ui| {
            let words = format!(
                "{} has itself lost precision. What is made from it is a little worse than the same rung made from F16, and quality measured on it says so",
                offer.source_quant
            );
            wrapped(ui, words, theme::small(), palette.event);
        });
    } else {
        muted(ui, format!("{} has lost nothing: this is as good as this rung gets", offer.source_quant));
    }
    path(ui, "Written to", &offer.target);
    ways_on(ui, |ui| {
        if first(ui.add(primary_button(format!("Make {}", offer.quant))), view) {
            actions.push(Action::ConfirmMake);
        }
        if ui.add(ghost_button("Cancel").height(32.0)).clicked() {
            actions.push(Action::CloseDialog);
        }
    });
}

fn fit(ui: &mut Ui, warning: &FitWarning, view: &mut DialogsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let estimate = &warning.estimate;
    let (need, have) = (estimate.memory.total(), estimate.available + estimate.freed_by_unload);
    head(ui, "This design does not fit", actions);
    let missing = need.saturating_sub(have);
    let by =
        if missing > 0 { format!(": {} are missing", bytes(missing)) } else { ": hardly anything would be left for the system".to_owned() };
    say(ui, format!("It would take about {} of the {} that can be had{by}", bytes(need), bytes(have)), palette.text);
    muted(ui, "What it would take, estimated");
    stat_row(ui, "Weights", &bytes(estimate.memory.weights));
    stat_row(ui, "KV cache", &bytes(estimate.memory.kv));
    stat_row(ui, "Compute", &bytes(estimate.memory.compute));
    hairline(ui);
    stat_row(ui, "Together", &bytes(need));
    muted(ui, "What can be had");
    stat_row(ui, "Available now", &bytes(estimate.available));
    if estimate.freed_by_unload > 0 {
        stat_row(ui, "Freed by unloading what is loaded", &bytes(estimate.freed_by_unload));
    }
    path(ui, "Model", &warning.design.model);
    if let Some(nearest) = &warning.nearest {
        say(ui, format!("What fits: {}", nearest.words), palette.text);
    }
    say(
        ui,
        "Loading it anyway may make this machine very slow, or end in the engine being killed. Chats are safe either way",
        palette.muted,
    );
    ways_on(ui, |ui| {
        if warning.nearest.is_some() && first(ui.add(primary_button("Load that instead")), view) {
            actions.push(Action::LoadNearestFit);
        }
        if ui.add(danger_button("Load anyway")).clicked() {
            actions.push(Action::LoadAnyway);
        }
        let cancel = ui.add(ghost_button("Cancel").height(32.0));
        if first(cancel, view) {
            actions.push(Action::CloseDialog);
        }
    });
}

fn exact_prompt(ui: &mut Ui, prompt: &PromptView, height: f32, view: &mut DialogsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    head(ui, if prompt.of_reply.is_some() { "The exact prompt of this reply" } else { "The exact prompt" }, actions);
    for note in prompt.of_reply.iter().flatten() {
        wrapped(ui, note, theme::small(), palette.event);
    }
    match &prompt.rendered {
        None => say(ui, "The engine is making it", palette.muted),
        Some(Err(error)) => {
            say(ui, error.to_string(), palette.limit);
        }
        Some(Ok(rendered)) => {
            muted(ui, prompt_words(rendered));
            view.pieces.update(&rendered.text);
            let room = (height - 190.0).max(120.0);
            let frame = Frame::new().fill(palette.page).stroke(Stroke::new(palette.border_width(), palette.hairline)).corner_radius(8);
            frame.inner_margin(Margin::symmetric(12, 10)).show(ui, |ui| {
                ui.set_max_height(room);
                let spec = ListSpec { id: ui.scope_id().with("prompt"), count: view.pieces.len(), revision: prompt.job.0, gap: 0.0 };
                let pieces = &view.pieces;
                view.list.show(
                    ui,
                    spec,
                    |index| RowId { key: index as u64, version: 0 },
                    |ui, index| {
                        let words = display(pieces.get(&rendered.text, index));
                        let width = ui.available_width();
                        ui.add(Label::new(mono_job(&words, palette.text, width)).selectable(true));
                    },
                );
            });
            muted(ui, "What you typed is never read as a control token. Invisible characters are shown as marks, and sent as they are");
        }
    }
    ways_on(ui, |ui| {
        if let Some(Ok(rendered)) = &prompt.rendered
            && first(ui.add(secondary_button("Copy prompt").icon(Icon::Copy)), view)
        {
            actions.push(Action::Copy(rendered.text.clone()));
        }
    });
}

/// `412 tokens: system 34, conversation 366, last message 12`.
fn prompt_words(rendered: &Rendered) -> String {
    let (all, system, last) = (rendered.n_tokens, rendered.system_tokens, rendered.last_tokens);
    let between = all.saturating_sub(system).saturating_sub(last);
    let parts = [("system", system), ("conversation", between), ("last message", last)];
    let parts: Vec<String> = parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {}", count(u64::from(*n)))).collect();
    format!("{} tokens: {}", count(u64::from(all)), parts.join(", "))
}

/// What can be done when a prompt does not fit: the name, and what it means.
const WAYS: [(Overflow, &str, &str); 3] = [
    (Overflow::DropOldest, "Leave out the oldest", "The oldest turns are left out; the system prompt and your question never are"),
    (Overflow::KeepEnds, "Keep both ends", "The first exchange and the latest turns are kept, the middle is left out"),
    (Overflow::Stop, "Send nothing", "The question stays in the chat; choose a longer context in the design, or begin a new chat"),
];

fn overflow(ui: &mut Ui, error: &EngineError, view: &mut DialogsView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    head(ui, "The conversation does not fit in the context", actions);
    say(ui, error.to_string(), palette.text);
    let mut chosen = None;
    for (policy, name, meaning) in WAYS {
        let used = ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 14.0;
            let button = if policy == Overflow::DropOldest { primary_button(name) } else { secondary_button(name) };
            let used = wide(ui, button);
            let used = if policy == Overflow::DropOldest { first(used, view) } else { used.clicked() };
            ui.vertical(|ui| wrapped(ui, meaning, theme::small(), palette.muted));
            used
        });
        if used.inner {
            chosen = Some(policy);
        }
    }
    ui.checkbox(&mut view.remember, "Do the same from now on");
    muted(ui, "A reply says what was left out of its prompt");
    if let Some(policy) = chosen {
        if view.remember {
            actions.push(Action::SetOverflow(policy));
        }
        actions.push(Action::ResolveOverflow(policy));
    }
}

fn keys(ui: &mut Ui, height: f32, actions: &mut Vec<Action>) {
    head(ui, "Keys", actions);
    ScrollArea::vertical().max_height((height - 100.0).max(160.0)).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.x = 28.0;
        ui.columns(2, |columns| {
            for (index, group) in shortcuts::GROUPS.iter().enumerate() {
                // General and Telemetry on the left, Chat and Engine on the right: about as many lines on each side
                let Some(ui) = columns.get_mut(usize::from(matches!(index % 4, 1 | 2))) else { continue };
                ui.spacing_mut().item_spacing.y = 2.0;
                section_label(ui, group);
                for (keys, words) in shortcuts::list(ui.ctx(), group) {
                    ui.allocate_ui_with_layout(vec2(ui.available_width(), 26.0), Layout::right_to_left(Align::Center), |ui| {
                        shortcut_label(ui, &keys);
                        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                            let color = theme::palette(ui).text;
                            label(ui, words, theme::body(), color);
                        });
                    });
                }
                ui.add_space(12.0);
            }
        });
    });
}

fn tinted(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    let fill = theme::palette(ui).event_tint;
    Frame::new().fill(fill).corner_radius(6).inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        add(ui);
    });
}

/// A path, whole: it wraps rather than being cut.
fn path(ui: &mut Ui, name: &str, path: &std::path::Path) {
    let palette = theme::palette(ui);
    muted(ui, name);
    let text = display(&path.display().to_string()).into_owned();
    ui.add(Label::new(mono_job(&text, palette.text, ui.available_width())).selectable(true));
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A button of a fixed width, so that what stands beside several of them lines up.
fn wide(ui: &mut Ui, button: ActionButton) -> Response {
    ui.allocate_ui_with_layout(vec2(168.0, 32.0), Layout::left_to_right(Align::Center), |ui| ui.add(button.fill_width())).inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_says_how_its_tokens_are_shared() {
        let rendered = Rendered { text: String::new(), n_tokens: 1412, system_tokens: 34, last_tokens: 12 };
        assert_eq!(prompt_words(&rendered), "1,412 tokens: system 34, conversation 1,366, last message 12");
        let only = Rendered { n_tokens: 5, last_tokens: 5, ..Rendered::default() };
        assert_eq!(prompt_words(&only), "5 tokens: last message 5");
    }
}
