//! The Chat page: chats on the left, the conversation in the middle, what is written at the bottom.

mod composer;
mod day;
mod draft;
mod empty;
mod footer;
mod list;
mod markdown;
mod message;
mod notebook;
mod reply;
mod rows;
mod sampling;
mod token_card;
mod tokens;
mod transcript;
mod words;

use egui::{CentralPanel, Frame, Key, Margin, Panel, Ui, vec2};

use crate::app::{Action, AppState, OpenChat};
use crate::store::{Chat, ChatMode};
use crate::ui::theme;
use crate::ui::widgets::{Icon, at_least, icon_button, label};

pub use empty::SUGGESTIONS;

/// Width of the column of chats, in points.
const LIST_WIDTH: f32 = 200.0;
/// In a window lower than this everything stands closer, in points.
const LOW: f32 = 420.0;
/// A window narrower than this shows the column only when asked, in points.
const NARROW: f32 = 1100.0;

/// What lasts of the page between frames, and what the window's keys ask of it.
#[derive(Clone, Debug, Default)]
pub struct ChatView {
    /// Put the cursor into the message field; taken back when done
    pub focus_composer: bool,
    /// Put the cursor into the search field; taken back when done
    pub focus_search: bool,
    /// Rename the open chat; taken back when done
    pub rename_open: bool,
    list: list::ListView,
    transcript: transcript::TranscriptView,
    composer: composer::ComposerView,
    notebook: notebook::NotebookView,
    /// The column of chats is shown although the window is narrow
    list_open: bool,
    bottom_height: f32,
}

impl ChatView {
    /// How many rows the transcript has, and how many of them the last frame laid out.
    pub fn extent(&self) -> (usize, usize) {
        self.transcript.extent()
    }

    /// Whether something lies over the page that Esc closes.
    pub fn has_overlay(&self) -> bool {
        self.transcript.has_overlay()
    }

    /// Goes to the latest message and stays there.
    pub fn scroll_to_end(&mut self) {
        self.transcript.scroll_to_end();
    }
}

fn is_low(ui: &Ui) -> bool {
    ui.ctx().content_rect().height() < LOW
}

/// Paints the page over all of `ui`. `now` is in seconds since the application began.
pub fn chat_page(ui: &mut Ui, state: &AppState, view: &mut ChatView, now: f64, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let is_narrow = ui.ctx().content_rect().width() < NARROW;
    if std::mem::take(&mut view.rename_open)
        && let Some(chat) = state.chats.current()
    {
        view.list.rename(chat);
        view.list_open = true;
    }
    view.list_open |= view.focus_search;
    if !is_narrow || view.list_open {
        let side = Panel::left("chats").exact_size(LIST_WIDTH).resizable(false).show_separator_line(true);
        let margin = Margin { left: 10, right: 10, top: 12, bottom: 0 };
        side.frame(Frame::new().fill(palette.panel).inner_margin(margin)).show(ui, |ui| {
            let before = actions.len();
            list::list(ui, state, &mut view.list, &mut view.focus_search, actions);
            // on a narrow window the column has done its work once a chat was chosen
            let has_chosen =
                actions.iter().skip(before).any(|action| matches!(action, Action::OpenChat(_) | Action::NewChat | Action::NewNotebook));
            view.list_open &= !has_chosen && !ui.input(|input| input.key_pressed(Key::Escape));
        });
    }
    CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
        if is_narrow {
            narrow_head(ui, state, view);
        }
        match (state.chats.current(), &state.chats.open) {
            (Some(chat), Some(open)) => conversation(ui, state, chat, open, view, now, actions),
            _ => blank(ui, state, now, actions),
        }
    });
}

/// A page without a conversation, as high as what is on it.
fn blank(ui: &mut Ui, state: &AppState, now: f64, actions: &mut Vec<Action>) {
    at_least(ui, "no conversation", empty::LEAST, |ui| empty::empty(ui, state, now, actions));
}

/// On a narrow window: what shows the column of chats, and which chat is open.
fn narrow_head(ui: &mut Ui, state: &AppState, view: &mut ChatView) {
    let palette = theme::palette(ui);
    let top = if is_low(ui) { 0 } else { 6 };
    let frame = Frame::new().inner_margin(Margin { left: 8, right: 16, top, bottom: 2 });
    Panel::top("chat head").show_separator_line(false).frame(frame).show(ui, |ui| {
        ui.horizontal(|ui| {
            let (icon, name) = if view.list_open { (Icon::ChevronLeft, "Hide chats") } else { (Icon::ChevronRight, "Show chats") };
            if ui.add(icon_button(icon, name)).clicked() {
                view.list_open = !view.list_open;
            }
            let title = state.chats.current().map_or("", |chat| chat.title.as_str());
            label(ui, if title.is_empty() { "New chat" } else { title }, theme::body_strong(), palette.text);
        });
    });
}

fn conversation(ui: &mut Ui, state: &AppState, chat: &Chat, open: &OpenChat, view: &mut ChatView, now: f64, actions: &mut Vec<Action>) {
    let is_notebook = chat.mode == ChatMode::Notebook;
    let width = transcript::column_width(ui.available_width());
    let (top, bottom) = if is_low(ui) { (2, 4) } else { (8, 14) };
    let margin = Margin { left: 0, right: 0, top, bottom };
    let bottom = Panel::bottom("composer").show_separator_line(false).frame(Frame::new().inner_margin(margin)).show(ui, |ui| {
        transcript::column(ui, width, |ui| {
            ui.spacing_mut().item_spacing.y = 10.0;
            loading_line(ui, state, open, now, actions);
            if is_notebook {
                notebook::bar(ui, state, chat, open, &mut view.composer.sampling, actions);
            } else {
                composer::composer(ui, state, chat, &mut view.composer, &mut view.focus_composer, actions);
            }
        });
    });
    let height = bottom.response.rect.height();
    if (height - view.bottom_height).abs() > 0.5 {
        // the panel learns its height by painting; without this the page would be wrong until something else moves
        view.bottom_height = height;
        ui.request_discard("the composer has another height");
    }
    CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 0.0);
        if !open.is_loaded {
            empty::say(ui, "Reading the chat from disk");
        } else if is_notebook {
            notebook::text(ui, state, chat, &mut view.notebook, &mut view.focus_composer, actions);
        } else if open.branch.is_empty() {
            blank(ui, state, now, actions);
        } else {
            transcript::transcript(ui, state, open, &mut view.transcript, actions);
        }
    });
}

/// How far a load is, where there is a conversation to keep on screen.
fn loading_line(ui: &mut Ui, state: &AppState, open: &OpenChat, now: f64, actions: &mut Vec<Action>) {
    if let Some(loading) = state.loading().filter(|_| !open.branch.is_empty()) {
        empty::load_progress(ui, loading, now, actions);
    }
}
