//! The transcript: all messages of the shown branch as one list of which only the rows in view are laid out.

use egui::{Align2, Area, Key, Modifiers, Order, Rect, Ui, UiBuilder, pos2, vec2};

use super::footer;
use super::message::{self, Editing, Shown};
use super::rows::{Body, RowKind, Rows};
use super::tokens::{self, TokensView};
use crate::app::{Action, AppState, OpenChat};
use crate::store::{ChatId, MessageId};
use crate::ui::theme;
use crate::ui::widgets::{Icon, ListSpec, VirtualList, secondary_button};

/// Widest column of text, in points: about 95 characters.
pub const COLUMN: f32 = 744.0;
/// Least space left and right of the column, in points.
pub const MARGIN: f32 = 28.0;

/// What lasts of the transcript between frames.
#[derive(Clone, Debug)]
pub struct TranscriptView {
    rows: Rows,
    list: VirtualList,
    chat: Option<ChatId>,
    last: Option<MessageId>,
    /// The message that is edited, with what it has become
    pub editing: Option<Editing>,
    /// Under the pointer, or with the focus in its buttons
    active: Option<MessageId>,
    /// The reply that is shown as tokens
    tokens: TokensView,
    /// How many rows the last frame laid out
    laid_out: usize,
}

impl Default for TranscriptView {
    fn default() -> Self {
        let list = VirtualList::new(40.0, true);
        Self {
            rows: Rows::default(),
            list,
            chat: None,
            last: None,
            editing: None,
            active: None,
            tokens: TokensView::default(),
            laid_out: 0,
        }
    }
}

impl TranscriptView {
    /// How many rows there are, and how many of them the last frame laid out.
    pub fn extent(&self) -> (usize, usize) {
        (self.rows.len(), self.laid_out)
    }

    /// Goes to the latest message and stays there.
    pub fn scroll_to_end(&mut self) {
        self.list.scroll_to_end();
    }

    /// Whether something lies over the page that Esc closes.
    pub fn has_overlay(&self) -> bool {
        self.tokens.has_pinned_card()
    }

    fn sync(&mut self, state: &AppState, open: &OpenChat) {
        if self.chat != Some(open.id) {
            *self = Self { chat: Some(open.id), rows: std::mem::take(&mut self.rows), ..Self::default() };
        }
        let last = open.branch.last().copied();
        if last != self.last {
            // something was asked: what comes is what the user waits for
            if last.is_some() && state.generating().map(|generating| generating.message) == last {
                self.list.scroll_to_end();
            }
            self.last = last;
        }
        if self.editing.as_ref().is_some_and(|editing| !open.branch.contains(&editing.message)) {
            self.editing = None;
        }
        self.rows.sync(open, self.editing.as_ref().map(|editing| editing.message));
    }
}

/// Paints the transcript over all of `ui`.
pub fn transcript(ui: &mut Ui, state: &AppState, open: &OpenChat, view: &mut TranscriptView, actions: &mut Vec<Action>) {
    view.sync(state, open);
    follow_keys(ui, &mut view.list);
    let area = ui.available_rect_before_wrap();
    let TranscriptView { rows, list, editing, active, tokens, .. } = view;
    tokens.begin(open.tokens.as_ref());
    if let Some(row) = tokens.go_to.take().and_then(|byte| rows.row_of(byte)) {
        list.scroll_to(row);
    }
    let spec = ListSpec { id: ui.scope_id().with(("transcript", open.id.0)), count: rows.len(), revision: rows.version(), gap: 0.0 };
    let mut now_active = None;
    let width = column_width(area.width());
    let output = list.show(
        ui,
        spec,
        |index| rows.id(index),
        |ui, index| {
            let (Some(row), true) = (rows.get(index), true) else { return };
            let Some(message) = open.get(row.message) else { return };
            let shown = Shown::of(state, open, message, *active == Some(row.message));
            let is_active = column(ui, width, |ui| {
                if index == 0 {
                    ui.add_space(20.0);
                }
                match (row.kind, rows.body(row.message)) {
                    (RowKind::Switch, _) => {
                        if let Some(made_by) = message.first_run() {
                            message::switch_divider(ui, made_by);
                        }
                    }
                    (RowKind::Part(part), _) => message::part_end(ui, message, part),
                    (RowKind::Edit, _) => message::editor(ui, message, state.why_not_ready(), editing, actions),
                    (RowKind::Legend, _) => tokens::legend(ui, open, message, shown.is_running, actions),
                    (RowKind::Text(row), Some(Body::Tokens(rows))) => tokens::row(ui, open, message, rows.range(row), tokens),
                    (RowKind::Text(block), Some(body)) => message::block(ui, &shown, body, block),
                    (RowKind::Text(_), None) => {}
                    (RowKind::Footer, _) => return footer::footer(ui, state, &shown, editing, actions),
                }
                false
            });
            let rect = Rect::from_x_y_ranges(area.x_range(), ui.min_rect().y_range());
            if is_active || ui.rect_contains_pointer(rect) {
                now_active = Some(row.message);
            }
        },
    );
    view.tokens.end(ui, open, state.why_not_ready(), actions);
    view.laid_out = output.laid_out;
    if view.active != now_active {
        view.active = now_active;
        ui.request_repaint();
    }
    if !output.at_end && output.total_height > f64::from(area.height()) && jump_button(ui, area) {
        view.list.scroll_to_end();
        ui.request_repaint();
    }
}

/// The keys that move through the conversation. Home and End belong to a field while one has the keyboard.
fn follow_keys(ui: &Ui, list: &mut VirtualList) {
    let ctx = ui.ctx();
    if egui::Popup::is_any_open(ctx) || ctx.memory(|memory| memory.top_modal_layer().is_some()) {
        return;
    }
    let pressed = |key: Key| ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    if pressed(Key::PageUp) {
        list.scroll_pages(-1.0);
    }
    if pressed(Key::PageDown) {
        list.scroll_pages(1.0);
    }
    let is_free = !ctx.egui_wants_keyboard_input();
    if is_free && pressed(Key::Home) || ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Home)) {
        list.scroll_to_start();
    }
    if is_free && pressed(Key::End) || ctx.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::End)) {
        list.scroll_to_end();
    }
}

/// Width of the column of text in a room of `width` points.
pub fn column_width(width: f32) -> f32 {
    (width - 2.0 * MARGIN).clamp(120.0, COLUMN)
}

/// The column of text in the middle of `ui`.
pub fn column<R>(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui) -> R) -> R {
    let room = ui.max_rect();
    let left = room.left() + ((room.width() - width) / 2.0).max(0.0).floor();
    let rect = Rect::from_min_max(pos2(left, ui.cursor().top()), pos2(left + width, room.bottom()));
    ui.scope_builder(UiBuilder::new().max_rect(rect), add).inner
}

/// A pill over the lower edge that goes to the latest message. True when it was used.
fn jump_button(ui: &Ui, area: Rect) -> bool {
    let response = Area::new(ui.scope_id().with("jump to latest"))
        .order(Order::Middle)
        .pivot(Align2::CENTER_BOTTOM)
        .fixed_pos(area.center_bottom() - vec2(0.0, 12.0))
        .constrain_to(area)
        .show(ui.ctx(), |ui| {
            let palette = theme::palette(ui);
            egui::Frame::new()
                .fill(palette.page)
                .corner_radius(theme::CONTROL_RADIUS)
                .show(ui, |ui| ui.add(secondary_button("Jump to latest").icon(Icon::ChevronDown).height(30.0)))
                .inner
        });
    response.inner.clicked()
}
