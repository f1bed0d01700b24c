//! The column of chats: new, search, and all of them by day, however many there are.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use egui::{Key, Layout, Modifiers, PopupCloseBehavior, Rect, Response, Role, Sense, TextEdit, Ui, WidgetInfo, pos2, vec2};

use super::day::{Day, Today};
use crate::app::{Action, AppState};
use crate::measure::format::count;
use crate::store::{Chat, ChatId, ChatMode};
use crate::ui::theme::{self, CONTROL_RADIUS};
use crate::ui::widgets::{
    Icon, ListSpec, RowId, VirtualList, elided, focus_ring, icon_button, muted, row_surface, search_field, secondary_button,
};

/// Height of a chat in the list, in points.
const ROW: f32 = 52.0;

/// What lasts of the column between frames.
#[derive(Clone, Debug)]
pub struct ListView {
    search: String,
    list: VirtualList,
    /// The chat that is being renamed, and what to
    renaming: Option<(ChatId, String, bool)>,
    /// The chat whose row is to take the keyboard
    focus: Option<ChatId>,
}

impl Default for ListView {
    fn default() -> Self {
        Self { search: String::new(), list: VirtualList::new(ROW, false), renaming: None, focus: None }
    }
}

impl ListView {
    /// Begins to rename a chat.
    pub fn rename(&mut self, chat: &Chat) {
        self.renaming = Some((chat.id, chat.title.clone(), true));
    }
}

/// A row of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    Day(Day),
    Chat(ChatId),
}

/// Paints the column. `focus_search` is taken back once the field has the keyboard.
pub fn list(ui: &mut Ui, state: &AppState, view: &mut ListView, focus_search: &mut bool, actions: &mut Vec<Action>) {
    ui.spacing_mut().item_spacing.y = 8.0;
    head(ui, actions);
    if view.search.is_empty() && !state.chats.search.is_empty() {
        view.search.clone_from(&state.chats.search);
    }
    let field = search_field(ui, &mut view.search, "Search chats");
    if std::mem::take(focus_search) {
        field.request_focus();
    }
    if field.changed() {
        actions.push(Action::SearchChats(view.search.clone()));
    }
    let entries = entries(state, &Today::now());
    if entries.is_empty() {
        let words = if view.search.is_empty() { "Chats appear here" } else { "No chat holds these words" };
        muted(ui, words);
        return;
    }
    let mut hasher = DefaultHasher::new();
    entries.hash(&mut hasher);
    let spec = ListSpec { id: ui.scope_id().with("chats"), count: entries.len(), revision: hasher.finish(), gap: 0.0 };
    let ListView { list, renaming, focus, .. } = view;
    let mut step = None;
    let id = |index: usize| match entries.get(index) {
        Some(Entry::Chat(chat)) => RowId { key: chat.0 as u64, version: 1 },
        Some(Entry::Day(day)) => RowId { key: u64::MAX - *day as u64, version: 1 },
        None => RowId::default(),
    };
    list.show(ui, spec, id, |ui, index| match entries.get(index) {
        Some(Entry::Day(day)) => heading(ui, *day),
        Some(Entry::Chat(id)) => {
            if let Some(chat) = state.chats.get(*id) {
                let take_focus = focus.take_if(|wanted| *wanted == chat.id).is_some();
                if let Some(key) = chat_row(ui, state, chat, take_focus, renaming, actions) {
                    step = Some((index, key));
                }
            }
        }
        None => {}
    });
    if let Some((index, key)) = step
        && let Some((index, chat)) = stepped(&entries, index, key)
    {
        list.reveal(index);
        *focus = Some(chat);
        ui.request_repaint();
    }
}

/// The row that a key leads to from the one at `index`.
fn stepped(entries: &[Entry], index: usize, key: Key) -> Option<(usize, ChatId)> {
    let mut chats =
        entries.iter().enumerate().filter_map(|(at, entry)| if let Entry::Chat(chat) = entry { Some((at, *chat)) } else { None });
    match key {
        Key::ArrowDown => chats.find(|(at, _)| *at > index),
        Key::ArrowUp => chats.take_while(|(at, _)| *at < index).last(),
        Key::Home => chats.next(),
        Key::End => chats.next_back(),
        _ => None,
    }
}

/// What the list shows, in order.
fn entries(state: &AppState, today: &Today) -> Vec<Entry> {
    let found: Option<HashSet<ChatId>> = state.chats.found.as_ref().map(|found| found.iter().copied().collect());
    let mut entries = Vec::with_capacity(state.chats.list.len() + 3);
    let mut last = None;
    for chat in state.chats.list.iter().filter(|chat| found.as_ref().is_none_or(|found| found.contains(&chat.id))) {
        let day = today.day(chat.updated_ms);
        if last != Some(day) {
            entries.push(Entry::Day(day));
            last = Some(day);
        }
        entries.push(Entry::Chat(chat.id));
    }
    entries
}

fn head(ui: &mut Ui, actions: &mut Vec<Action>) {
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 34.0), Layout::right_to_left(egui::Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        let more = ui.add(icon_button(Icon::ChevronDown, "More kinds of chat").side(26.0));
        egui::Popup::menu(&more).show(|ui| {
            if ui.button("New notebook").on_hover_text("One text that the model continues: no roles, no chat template").clicked() {
                actions.push(Action::NewNotebook);
            }
        });
        if ui.add(secondary_button("New chat").fill_width().height(34.0)).on_hover_text("Ctrl+N").clicked() {
            actions.push(Action::NewChat);
        }
    });
}

fn heading(ui: &mut Ui, day: Day) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 30.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, day.name()));
    let galley = elided(ui, day.name(), theme::small(), palette.muted, rect.width());
    ui.painter().galley(pos2(rect.left() + 8.0, rect.bottom() - galley.size().y - 6.0), galley, palette.muted);
}

/// A chat; gives the key that is to lead from it to another one.
fn chat_row(
    ui: &mut Ui,
    state: &AppState,
    chat: &Chat,
    take_focus: bool,
    renaming: &mut Option<(ChatId, String, bool)>,
    actions: &mut Vec<Action>,
) -> Option<Key> {
    if let Some((id, _, _)) = renaming.as_ref()
        && *id == chat.id
    {
        rename_row(ui, chat, renaming, actions);
        return None;
    }
    let response = row(ui, state, chat);
    if take_focus {
        response.request_focus();
    }
    let mut step = None;
    if response.clicked() {
        actions.push(Action::OpenChat(chat.id));
    }
    if response.double_clicked() {
        *renaming = Some((chat.id, chat.title.clone(), true));
    }
    // only here: Delete in a text field must never reach a chat
    if response.has_focus() {
        // the list knows better than geometry which row is the next
        let arrows = egui::EventFilter { vertical_arrows: true, ..egui::EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        ui.input_mut(|input| {
            let mut keys = [Key::ArrowUp, Key::ArrowDown, Key::Home, Key::End].into_iter();
            step = keys.find(|key| input.consume_key(Modifiers::NONE, *key));
            if input.consume_key(Modifiers::NONE, Key::Delete) {
                actions.push(Action::DeleteChat(chat.id));
            }
            if input.consume_key(Modifiers::NONE, Key::F2) {
                *renaming = Some((chat.id, chat.title.clone(), true));
            }
        });
    }
    let menu = egui::Popup::context_menu(&response).close_behavior(PopupCloseBehavior::CloseOnClick);
    menu.show(|ui| {
        if ui.button("Rename").clicked() {
            *renaming = Some((chat.id, chat.title.clone(), true));
        }
        let is_open = state.chats.open.as_ref().is_some_and(|open| open.id == chat.id && open.is_loaded);
        let export = ui.add_enabled(is_open, egui::Button::new("Export as Markdown…"));
        if export.on_disabled_hover_text("Open the chat first").clicked() {
            actions.push(Action::ExportChat);
        }
        if ui.button("Delete").clicked() {
            actions.push(Action::DeleteChat(chat.id));
        }
    });
    step
}

/// Two lines: the title, then the rung and the number of replies.
fn row(ui: &mut Ui, state: &AppState, chat: &Chat) -> Response {
    let palette = theme::palette(ui);
    let selected = state.chats.open.as_ref().is_some_and(|open| open.id == chat.id);
    let is_running = state.generating().is_some_and(|generating| generating.chat == chat.id);
    let (title, second) = lines(chat);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, ui.is_enabled(), selected, format!("{title}, {second}")));
    let surface = rect.shrink2(vec2(0.0, 1.0));
    row_surface(ui, surface, selected, response.hovered());
    let room = surface.width() - 16.0 - if is_running { 14.0 } else { 0.0 };
    let title = elided(ui, &title, theme::body(), palette.text, room);
    let second = elided(ui, &second, theme::small(), palette.muted, room);
    ui.painter().galley(surface.min + vec2(8.0, 7.0), title, palette.text);
    ui.painter().galley(surface.min + vec2(8.0, 28.0), second, palette.muted);
    if is_running {
        ui.painter().circle_filled(pos2(surface.right() - 12.0, surface.center().y), 3.5, palette.accent);
    }
    focus_ring(ui, &response.clone().with_new_rect(surface.shrink(2.0)), CONTROL_RADIUS);
    response
}

/// What a chat's row says.
fn lines(chat: &Chat) -> (String, String) {
    let untitled = if chat.mode == ChatMode::Notebook { "New notebook" } else { "New chat" };
    let title = if chat.title.trim().is_empty() { untitled } else { chat.title.as_str() };
    let amount = match (chat.mode, chat.replies) {
        (ChatMode::Chat, 0) => "empty".to_owned(),
        (ChatMode::Chat, 1) => "1 reply".to_owned(),
        (ChatMode::Chat, n) => format!("{} replies", count(u64::from(n))),
        (ChatMode::Notebook, _) => "notebook".to_owned(),
    };
    let second = if chat.last_design.is_empty() { amount } else { format!("{}, {amount}", chat.last_design) };
    (crate::ui::plain_text::display(title).into_owned(), second)
}

fn rename_row(ui: &mut Ui, chat: &Chat, renaming: &mut Option<(ChatId, String, bool)>, actions: &mut Vec<Action>) {
    let Some((_, title, take_focus)) = renaming.as_mut() else { return };
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::hover());
    let field = Rect::from_center_size(rect.center(), vec2(rect.width() - 4.0, 32.0));
    let edit =
        TextEdit::singleline(title).id(ui.scope_id().with(("rename", chat.id.0))).char_limit(200).hint_text("Title").margin(vec2(8.0, 7.0));
    let response = ui.place(field, edit).accessible_name("Title of the chat");
    if std::mem::take(take_focus) {
        response.request_focus();
        return;
    }
    if response.lost_focus() || !response.has_focus() {
        let (cancelled, title) = (ui.input(|input| input.key_pressed(Key::Escape)), title.trim().to_owned());
        if !cancelled && !title.is_empty() && title != chat.title {
            actions.push(Action::RenameChat(chat.id, title));
        }
        *renaming = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(id: i64, updated_ms: i64) -> Chat {
        Chat {
            id: ChatId(id),
            title: String::new(),
            title_is_users: false,
            mode: ChatMode::Chat,
            system: String::new(),
            draft: String::new(),
            leaf: None,
            created_ms: 0,
            updated_ms,
            last_design: "Q4_1".into(),
            replies: 3,
        }
    }

    #[test]
    fn chats_are_grouped_by_day_and_filtered_by_what_was_found() {
        let hour = 3_600_000;
        let today = Today::at(100 * 24 * hour + 10 * hour, 0);
        let mut state = AppState::default();
        state.chats.list = vec![chat(3, 100 * 24 * hour + hour), chat(2, 99 * 24 * hour + hour), chat(1, 0)];
        use Entry::{Chat, Day as Of};
        let all = [Of(Day::Today), Chat(ChatId(3)), Of(Day::Yesterday), Chat(ChatId(2)), Of(Day::Earlier), Chat(ChatId(1))];
        assert_eq!(entries(&state, &today), all);
        state.chats.found = Some(vec![ChatId(1)]);
        assert_eq!(entries(&state, &today), [Of(Day::Earlier), Chat(ChatId(1))]);
    }

    #[test]
    fn keys_walk_over_the_days() {
        use Entry::{Chat, Day as Of};
        let all = [Of(Day::Today), Chat(ChatId(3)), Of(Day::Yesterday), Chat(ChatId(2)), Chat(ChatId(1))];
        assert_eq!(stepped(&all, 1, Key::ArrowDown), Some((3, ChatId(2))));
        assert_eq!(stepped(&all, 3, Key::ArrowUp), Some((1, ChatId(3))));
        assert_eq!((stepped(&all, 1, Key::ArrowUp), stepped(&all, 4, Key::ArrowDown)), (None, None));
        assert_eq!((stepped(&all, 3, Key::Home), stepped(&all, 3, Key::End)), (Some((1, ChatId(3))), Some((4, ChatId(1)))));
    }

    #[test]
    fn a_row_says_the_rung_and_the_replies() {
        assert_eq!(lines(&chat(1, 0)), ("New chat".to_owned(), "Q4_1, 3 replies".to_owned()));
        let empty = Chat { replies: 0, last_design: String::new(), ..chat(1, 0) };
        assert_eq!(lines(&empty).1, "empty");
    }
}
