//! Where a message is written: the field, the context meter, and what a message is sent with.

use egui::{
    Align, Event, Frame, Key, KeyboardShortcut, Layout, Margin, Modifiers, Response, RichText, ScrollArea, Stroke, TextEdit, Ui, vec2,
};

use super::draft::{Draft, FOLD_BYTES};
use super::sampling::{self, SamplingView};
use crate::app::{Action, Activity, AppState};
use crate::measure::format::bytes;
use crate::store::{Chat, ChatMode};
use crate::ui::theme::{self, BODY_LINE_HEIGHT, PANEL_RADIUS};
use crate::ui::widgets::{ContextMeter, Icon, danger_button, ghost_button, icon_button, muted, primary_button};

/// Lines of a message that are seen at once.
const LINES: f32 = 8.0;
/// Said in an empty field.
pub const HINT: &str = "Message. Enter sends, Shift+Enter starts a new line.";

/// What lasts of the composer between frames.
#[derive(Clone, Debug, Default)]
pub struct ComposerView {
    /// What is typed
    pub draft: Draft,
    /// The system prompt, while it is open
    pub system: Option<SystemEdit>,
    /// The sampling popup
    pub sampling: SamplingView,
}

/// The system prompt as it is edited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemEdit {
    chat: Option<crate::store::ChatId>,
    text: String,
}

/// Paints the composer. `focus` is taken back once the field has the keyboard.
pub fn composer(ui: &mut Ui, state: &AppState, chat: &Chat, view: &mut ComposerView, focus: &mut bool, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    view.draft.sync(chat.id, &chat.draft);
    let is_low = super::is_low(ui);
    let (top, bottom) = if is_low { (4, 4) } else { (12, 8) };
    let frame = Frame::new()
        .fill(palette.panel)
        .stroke(Stroke::new(palette.border_width(), palette.hairline))
        .corner_radius(PANEL_RADIUS)
        .inner_margin(Margin { left: 14, right: 10, top, bottom });
    let mut send = false;
    let outer = frame.show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = if is_low { 2.0 } else { 8.0 };
        system(ui, chat, view, actions);
        folded(ui, view, actions);
        let field = field(ui, view, focus, actions);
        let enter = field.has_focus() && is_enter_pressed(ui);
        let buttons = vec2(ui.available_width(), 32.0);
        ui.allocate_ui_with_layout(buttons, Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            send = send_or_stop(ui, state, &view.draft, actions) || enter;
            tools(ui, state, chat, view, actions);
            meter(ui, state);
        });
        field
    });
    if outer.inner.has_focus() {
        let stroke = Stroke::new(palette.border_width(), theme::on_surface(palette.panel, palette.accent, 0.55));
        ui.painter().rect_stroke(outer.response.rect, f32::from(PANEL_RADIUS), stroke, egui::StrokeKind::Inside);
    }
    if send && !view.draft.is_blank() && state.generating().is_none() {
        actions.push(Action::Send);
    }
}

/// Whether Enter was pressed by itself. egui's own matching takes Shift+Enter for Enter too.
pub fn is_enter_pressed(ui: &Ui) -> bool {
    let is_enter = |event: &Event| matches!(event, Event::Key { key: Key::Enter, pressed: true, modifiers, .. } if modifiers.is_none());
    ui.input(|input| input.events.iter().any(is_enter))
}

/// The field itself: as high as its text, up to eight lines.
fn field(ui: &mut Ui, view: &mut ComposerView, focus: &mut bool, actions: &mut Vec<Action>) -> Response {
    let palette = theme::palette(ui);
    let id = ui.scope_id().with("message");
    let mut changed = ui.memory(|memory| memory.has_focus(id)) && fold_pastes(ui, &mut view.draft);
    let edit = TextEdit::multiline(&mut view.draft.typed)
        .id(id)
        .frame(Frame::NONE)
        .margin(Margin::ZERO)
        .hint_text(RichText::new(HINT).color(palette.muted))
        .desired_width(f32::INFINITY)
        .desired_rows(1)
        .return_key(KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
    let response = ScrollArea::vertical()
        .id_salt("message")
        .max_height(LINES * BODY_LINE_HEIGHT)
        .min_scrolled_height(BODY_LINE_HEIGHT)
        .auto_shrink([false, true])
        .show(ui, |ui| ui.add(edit).accessible_name("Message"))
        .inner;
    if std::mem::take(focus) {
        response.request_focus();
    }
    changed |= response.changed();
    changed |= view.draft.fold_if_long();
    if changed {
        actions.push(Action::SetDraft(view.draft.whole()));
    }
    response
}

/// Takes pasted text that would freeze the field out of its hands. True when there was any.
fn fold_pastes(ui: &Ui, draft: &mut Draft) -> bool {
    ui.input_mut(|input| {
        let before = input.events.len();
        input.events.retain(|event| match event {
            Event::Paste(text) if text.len() > FOLD_BYTES => {
                draft.fold(text);
                false
            }
            _ => true,
        });
        input.events.len() != before
    })
}

/// Folded text as one line that says how much it is.
fn folded(ui: &mut Ui, view: &mut ComposerView, actions: &mut Vec<Action>) {
    if view.draft.folded.is_empty() {
        return;
    }
    let palette = theme::palette(ui);
    let mut remove = false;
    Frame::new().fill(palette.raised).corner_radius(6).inner_margin(Margin { left: 10, right: 4, top: 2, bottom: 2 }).show(ui, |ui| {
        ui.horizontal(|ui| {
            let words = format!("Pasted text, {}", bytes(view.draft.folded.len() as u64));
            let order = "Sent exactly as it is, after what is typed here";
            muted(ui, words).on_hover_text(order);
            remove = ui.add(icon_button(Icon::Close, "Remove pasted text").side(24.0)).clicked();
        });
    });
    if remove {
        view.draft.folded.clear();
        actions.push(Action::SetDraft(view.draft.whole()));
    }
}

/// The system prompt, when it is open.
fn system(ui: &mut Ui, chat: &Chat, view: &mut ComposerView, actions: &mut Vec<Action>) {
    let Some(edit) = view.system.as_mut() else { return };
    if edit.chat != Some(chat.id) {
        *edit = SystemEdit { chat: Some(chat.id), text: chat.system.clone() };
    }
    let palette = theme::palette(ui);
    muted(ui, "System prompt: what the model is told before the conversation");
    let frame = Frame::new().fill(palette.page).corner_radius(6).inner_margin(Margin::symmetric(10, 8));
    let field = TextEdit::multiline(&mut edit.text)
        .id_salt(("system", chat.id.0))
        .frame(frame)
        .hint_text(RichText::new("You are a helpful assistant").color(palette.muted))
        .desired_width(f32::INFINITY)
        .desired_rows(2);
    let response = ScrollArea::vertical()
        .id_salt("system")
        .max_height(5.0 * BODY_LINE_HEIGHT)
        .auto_shrink([false, true])
        .show(ui, |ui| ui.add(field).accessible_name("System prompt"))
        .inner;
    if response.changed() {
        actions.push(Action::SetSystem(edit.text.clone()));
    }
}

/// Send, or Stop while something runs. True when the message is to be sent.
fn send_or_stop(ui: &mut Ui, state: &AppState, draft: &Draft, actions: &mut Vec<Action>) -> bool {
    if let Some(generating) = state.generating() {
        let is_stopping = generating.stopping.is_some();
        let words = if is_stopping { "Stopping" } else { "Stop" };
        if ui.add_enabled(!is_stopping, danger_button(words)).on_hover_text("Esc").clicked() {
            actions.push(Action::Stop);
        }
        return false;
    }
    let is_loading = matches!(state.activity, Activity::Loading(_));
    let hint = if is_loading { "Sent as soon as the model is ready" } else { "Enter" };
    ui.add_enabled(!draft.is_blank(), primary_button("Send")).on_hover_text(hint).clicked()
}

fn tools(ui: &mut Ui, state: &AppState, chat: &Chat, view: &mut ComposerView, actions: &mut Vec<Action>) {
    sampling::button(ui, state, &mut view.sampling, actions);
    let prompt = ui.add_enabled(state.can_generate(), ghost_button("Prompt").height(32.0));
    if prompt.on_hover_text("The exact text the model would be given now, with its tokens").clicked() {
        actions.push(Action::ShowPrompt);
    }
    if chat.mode == ChatMode::Chat {
        let words = if chat.system.trim().is_empty() { "System" } else { "System •" };
        let button = ui.add(ghost_button(words).height(32.0)).on_hover_text("System prompt");
        if button.clicked() {
            view.system = if view.system.is_some() { None } else { Some(SystemEdit::default()) };
        }
    }
}

/// How full the context is, and would be.
pub fn meter(ui: &mut Ui, state: &AppState) {
    let meter = state.meter;
    if meter.n_ctx == 0 {
        return;
    }
    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
        if !meter.is_exact {
            muted(ui, "≈").on_hover_text("Estimated from the length of the text until the engine has counted it");
        }
        let (n_ctx, reserve) = (meter.n_ctx, meter.reserve);
        ContextMeter { system: meter.system, history: meter.history, draft: meter.draft, reply: reserve, total: n_ctx }.show(ui);
    });
}
