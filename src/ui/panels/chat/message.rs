//! One message: its blocks, its editor, and the divider before it. What is said under it is in [`super::footer`].

use egui::{Align, CornerRadius, Frame, Key, Label, Layout, Margin, Modifiers, Rect, Shape, Stroke, TextEdit, Ui, UiBuilder, pos2, vec2};

use super::composer::is_enter_pressed;
use super::rows::Body;
use super::{footer, markdown, words};
use crate::app::{Action, AppState, OpenChat};
use crate::store::{ChatMessage, MessageId, Provenance};
use crate::ui::plain_text;
use crate::ui::plain_text::Pieces;
use crate::ui::theme::{self, PANEL_RADIUS};
use crate::ui::widgets::{ghost_button, label, primary_button};

/// Share of the column that a message of the user takes at most.
const BUBBLE_SHARE: f32 = 0.85;
/// Text that can be edited in place, bytes; more of it would freeze the window.
pub const EDITABLE_BYTES: usize = 64_000;

/// The message that is being edited.
#[derive(Clone, Debug, PartialEq)]
pub struct Editing {
    /// Which
    pub message: MessageId,
    /// What it has become
    pub text: String,
    /// Whether its field is to take the keyboard
    pub take_focus: bool,
}

impl Editing {
    /// Begins to edit a message.
    pub fn of(message: &ChatMessage) -> Self {
        Self { message: message.id, text: message.text.clone(), take_focus: true }
    }
}

/// A message as it is shown.
pub struct Shown<'a> {
    /// The chat
    pub open: &'a OpenChat,
    /// The message
    pub message: &'a ChatMessage,
    /// The engine is writing it
    pub is_running: bool,
    /// It is the end of the branch
    pub is_last: bool,
    /// Its buttons are to be seen
    pub is_active: bool,
}

impl<'a> Shown<'a> {
    /// How `message` is shown now.
    pub fn of(state: &AppState, open: &'a OpenChat, message: &'a ChatMessage, is_active: bool) -> Self {
        let is_running = state.generating().is_some_and(|generating| generating.message == message.id);
        Self { open, message, is_running, is_last: open.branch.last() == Some(&message.id), is_active }
    }
}

/// A block of a message's text.
pub fn block(ui: &mut Ui, shown: &Shown<'_>, body: &Body, index: usize) {
    match body {
        Body::Plain(pieces) => bubble(ui, &shown.message.text, pieces, index),
        // painted by its own module
        Body::Tokens(_) => {}
        Body::Reply(reply) => {
            // a run that goes on and has said nothing yet stands below what it goes on with
            let is_begun = shown.message.earlier().is_empty() || !shown.message.last_part().is_empty();
            let has_cursor = shown.is_running && is_begun && index + 1 == reply.len();
            markdown::row(ui, reply, &shown.message.text, index, has_cursor, shown.message.id.0 as u64);
        }
    }
}

/// A piece of what the user said, in a bubble on the right. The pieces of one message join to one bubble.
fn bubble(ui: &mut Ui, text: &str, pieces: &Pieces, index: usize) {
    let palette = theme::palette(ui);
    let (is_first, is_last) = (index == 0, index + 1 == pieces.len());
    let most = (ui.available_width() * BUBBLE_SHARE).floor();
    let words = plain_text::display(pieces.get(text, index));
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(plain_text::body_job(&words, palette.text, most - 28.0)));
    let width = if pieces.len() == 1 { (galley.size().x + 28.0).ceil().min(most) } else { most };
    let (top, bottom) = (if is_first { PANEL_RADIUS } else { 0 }, if is_last { PANEL_RADIUS } else { 0 });
    let frame = Frame::new()
        .fill(palette.raised)
        .corner_radius(CornerRadius { nw: top, ne: top, sw: bottom, se: bottom })
        .inner_margin(Margin { left: 14, right: 14, top: if is_first { 9 } else { 0 }, bottom: if is_last { 9 } else { 0 } });
    let room = ui.available_rect_before_wrap();
    let rect = Rect::from_min_max(pos2(room.right() - width, room.top()), room.right_bottom());
    ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| {
        frame.show(ui, |ui| {
            ui.set_min_width(width - 28.0);
            ui.add(Label::new(galley).selectable(true));
        });
    });
}

/// Where an earlier run ended and another went on: what the first made it with and how fast, and the switch, if it was one.
pub fn part_end(ui: &mut Ui, message: &ChatMessage, part: usize) {
    let palette = theme::palette(ui);
    let Some(ended) = message.earlier().get(part) else { return };
    ui.spacing_mut().item_spacing = vec2(2.0, 4.0);
    if let Some(chosen) = &ended.chosen {
        footer::quiet_line(ui, &words::chosen_words(chosen, ended.made_by.as_ref()), palette.event);
        ui.add_space(6.0);
        return;
    }
    match &ended.stats {
        Some(stats) => footer::figures_line(ui, stats, ended.made_by.as_ref()),
        None => {
            footer::quiet_line(ui, &words::unmeasured(ended.made_by.as_ref()), palette.muted);
        }
    }
    ui.add_space(8.0);
    if let Some(made_by) = message.run_after(part) {
        switch_divider(ui, made_by);
    }
}

/// A dashed line: from here another rung answers.
pub fn switch_divider(ui: &mut Ui, provenance: &Provenance) {
    let palette = theme::palette(ui);
    let Some((from, took)) = &provenance.switched else { return };
    ui.add_space(4.0);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 9.0), egui::Sense::hover());
    let line = [rect.left_center(), rect.right_center()];
    ui.painter().extend(Shape::dashed_line(&line, Stroke::new(1.0, theme::on_surface(palette.page, palette.event, 0.6)), 4.0, 3.0));
    label(ui, words::switch_words(&provenance.quant, *took), theme::small(), palette.event)
        .on_hover_text(format!("{from} answered before. The time is from the click to the model being ready to answer"));
    ui.add_space(10.0);
}

/// The editor in place of a message of the user: sending it begins a new branch beside the old one. While nothing can be sent
/// (`why_not`), what is typed stays here.
pub fn editor(ui: &mut Ui, message: &ChatMessage, why_not: Option<&str>, editing: &mut Option<Editing>, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let Some(edit) = editing.as_mut() else { return };
    let (mut send, mut cancel) = (false, false);
    Frame::new()
        .fill(palette.raised)
        .stroke(Stroke::new(palette.border_width(), palette.accent))
        .corner_radius(PANEL_RADIUS)
        .inner_margin(12)
        .show(ui, |ui| {
            let field = TextEdit::multiline(&mut edit.text)
                .id(ui.scope_id().with(("edit", message.id.0)))
                .frame(Frame::NONE)
                .desired_width(f32::INFINITY)
                .desired_rows(1)
                .return_key(egui::KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
            let field = ui.add(field).accessible_name("Edit message");
            if std::mem::take(&mut edit.take_focus) {
                field.request_focus();
            }
            send = field.has_focus() && is_enter_pressed(ui);
            // Esc takes the focus from the field before anything else sees it
            cancel = (field.has_focus() || field.lost_focus()) && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
            // a row of the list is endlessly high: what is centred needs a height of its own
            ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
                let can_send = why_not.is_none() && !edit.text.trim().is_empty();
                let button = ui.add_enabled(can_send, primary_button("Send as a new branch"));
                send |= button.on_disabled_hover_text(why_not.unwrap_or("There is nothing to send")).clicked();
                cancel |= ui.add(ghost_button("Cancel").height(32.0)).clicked();
            });
        });
    ui.add_space(12.0);
    if send && why_not.is_none() && !edit.text.trim().is_empty() {
        actions.push(Action::EditAndRun(message.id, std::mem::take(&mut edit.text)));
        *editing = None;
    } else if cancel {
        *editing = None;
    }
}
