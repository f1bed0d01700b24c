//! The list of chats and the tree of the open one.

use super::{Action, AppState, Effect, Now, meter};
use crate::app::{NoticeAction, OpenChat, Page, Severity};
use crate::store::{Chat, ChatId, ChatMessage, ChatMode, MessageId, Op};

/// Longest title taken from a first message, characters.
const TITLE_CHARS: usize = 48;

pub(super) fn on_action(state: &mut AppState, action: Action, now: Now, effects: &mut Vec<Effect>) {
    match action {
        Action::NewChat => new_chat(state, ChatMode::Chat, now, effects),
        Action::NewNotebook => new_chat(state, ChatMode::Notebook, now, effects),
        Action::OpenChat(id) => open(state, id, now, effects),
        Action::RenameChat(id, title) => {
            if let Some(chat) = state.chats.get_mut(id) {
                chat.title = title.trim().to_owned();
                chat.title_is_users = !chat.title.is_empty();
                let op = Op::PutChat(chat.clone());
                save(state, vec![op], effects);
            }
        }
        Action::DeleteChat(id) => delete(state, id, now, effects),
        Action::UndoDelete(id) => {
            if let Some(at) = state.chats.deleted.iter().position(|chat| chat.id == id) {
                let chat = state.chats.deleted.remove(at);
                state.chats.list.push(chat);
                state.chats.sort();
                save(state, vec![Op::RestoreChat(id)], effects);
                open(state, id, now, effects);
            }
        }
        Action::SearchChats(text) => {
            state.chats.search = text.clone();
            if text.trim().is_empty() {
                state.chats.found = None;
            } else {
                effects.push(Effect::Search(text));
            }
        }
        Action::SetSystem(system) => {
            if let Some(id) = state.chats.open.as_ref().map(|open| open.id)
                && let Some(chat) = state.chats.get_mut(id)
                && chat.system != system
            {
                chat.system = system;
                let op = Op::PutChat(chat.clone());
                meter::forget(state);
                save(state, vec![op], effects);
            }
        }
        Action::SetDraft(text) => set_draft(state, text, now, effects),
        Action::ShowBranch(id) => show_branch(state, id, effects),
        Action::BranchToNewChat(id) => branch_to_new_chat(state, id, now, effects),
        Action::ExportChat => export(state, effects),
        _ => {}
    }
}

/// Saves in order; answered by `Answer::Saved` with the number returned.
pub(super) fn save(state: &mut AppState, ops: Vec<Op>, effects: &mut Vec<Effect>) -> u64 {
    let seq = state.seq();
    effects.push(Effect::Save { seq, ops });
    seq
}

/// Opens the chat of last time; begins one where there is none.
pub(super) fn open_last(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let last = state.settings.last_chat.map(ChatId).filter(|id| state.chats.get(*id).is_some());
    match last.or_else(|| state.chats.list.first().map(|chat| chat.id)) {
        Some(id) => open(state, id, now, effects),
        None => new_chat(state, ChatMode::Chat, now, effects),
    }
    state.page = Page::ALL.into_iter().find(|page| page.name() == state.settings.last_page).unwrap_or_default();
}

fn new_chat(state: &mut AppState, mode: ChatMode, now: Now, effects: &mut Vec<Effect>) {
    save_draft(state, effects);
    state.page = Page::Chat;
    // an empty chat of the same kind is as good as a new one
    let empty = state.chats.list.iter().find(|chat| chat.replies == 0 && chat.leaf.is_none() && chat.draft.is_empty() && chat.mode == mode);
    if let Some(id) = empty.map(|chat| chat.id) {
        open(state, id, now, effects);
        return;
    }
    let system = state.chats.current().map(|chat| chat.system.clone()).unwrap_or_default();
    let chat = Chat {
        id: state.chats.new_chat_id(),
        title: String::new(),
        title_is_users: false,
        mode,
        system,
        draft: String::new(),
        leaf: None,
        created_ms: now.unix_ms,
        updated_ms: now.unix_ms,
        last_design: String::new(),
        replies: 0,
    };
    state.chats.open = Some(OpenChat { is_loaded: true, ..OpenChat::loading(chat.id) });
    remember_open(state, chat.id, now);
    save(state, vec![Op::PutChat(chat.clone())], effects);
    state.chats.list.push(chat);
    state.chats.sort();
}

fn open(state: &mut AppState, id: ChatId, now: Now, effects: &mut Vec<Effect>) {
    state.page = Page::Chat;
    if state.chats.open.as_ref().is_some_and(|open| open.id == id) || state.chats.get(id).is_none() {
        return;
    }
    save_draft(state, effects);
    state.chats.open = Some(OpenChat::loading(id));
    super::generate::stop_rereading(state, effects);
    meter::forget(state);
    remember_open(state, id, now);
    effects.push(Effect::ReadChat(id));
}

fn remember_open(state: &mut AppState, id: ChatId, now: Now) {
    state.settings.last_chat = Some(id.0);
    state.internal.settings_changed = Some(now.secs);
}

pub(super) fn on_messages(state: &mut AppState, id: ChatId, messages: Vec<ChatMessage>, now: Now, effects: &mut Vec<Effect>) {
    let leaf = state.chats.get(id).and_then(|chat| chat.leaf);
    let running = state.generating().map(|generating| (generating.message, generating.text.clone()));
    let Some(open) = state.chats.open.as_mut().filter(|open| open.id == id) else { return };
    for message in messages {
        // what was asked for while the disk was being read is newer than what the disk held
        open.messages.entry(message.id).or_insert(message);
    }
    if let Some((message, text)) = running
        && let Some(message) = open.messages.get_mut(&message)
    {
        message.text = text;
    }
    open.is_loaded = true;
    open.relink(leaf);
    if state.can_generate() && state.internal.send_when_ready == Some(id) {
        super::generate::send_waiting(state, now, effects);
    }
    meter::count(state, effects);
}

fn delete(state: &mut AppState, id: ChatId, now: Now, effects: &mut Vec<Effect>) {
    if state.generating().is_some_and(|generating| generating.chat == id) {
        super::stop(state, now, effects);
    }
    let Some(index) = state.chats.list.iter().position(|chat| chat.id == id) else { return };
    let chat = state.chats.list.remove(index);
    let title = if chat.title.is_empty() { "New chat".to_owned() } else { chat.title.clone() };
    state.chats.deleted.push(chat);
    save(state, vec![Op::DeleteChat(id)], effects);
    let undo = NoticeAction { label: "Undo".into(), action: Box::new(Action::UndoDelete(id)) };
    state.notices.push(Severity::Info, format!("Deleted “{title}”"), Vec::new(), Some(undo), now.secs);
    if state.chats.open.as_ref().is_some_and(|open| open.id == id) {
        state.chats.open = None;
        let next = state.chats.list.get(index).or(state.chats.list.last()).map(|chat| chat.id);
        match next {
            Some(next) => open(state, next, now, effects),
            None => new_chat(state, ChatMode::Chat, now, effects),
        }
    }
}

fn set_draft(state: &mut AppState, text: String, now: Now, effects: &mut Vec<Effect>) {
    let Some(id) = state.chats.open.as_ref().map(|open| open.id) else { return };
    if state.internal.draft_unsaved.is_some_and(|other| other != id) {
        save_draft(state, effects);
    }
    if let Some(chat) = state.chats.get_mut(id)
        && chat.draft != text
    {
        chat.draft = text;
        state.internal.draft_unsaved = Some(id);
        // the first key starts the clock, so that steady typing is saved too
        state.internal.draft_changed.get_or_insert(now.secs);
        meter::on_draft(state);
    }
}

/// Saves what is typed, if it has changed.
pub(super) fn save_draft(state: &mut AppState, effects: &mut Vec<Effect>) {
    state.internal.draft_changed = None;
    let Some(id) = state.internal.draft_unsaved.take() else { return };
    if let Some(draft) = state.chats.get(id).map(|chat| chat.draft.clone()) {
        save(state, vec![Op::SetDraft(id, draft)], effects);
    }
}

fn show_branch(state: &mut AppState, id: MessageId, effects: &mut Vec<Effect>) {
    let Some(open) = state.chats.open.as_mut() else { return };
    // to the latest end below the message that was chosen
    let mut leaf = id;
    while let Some(child) = open.messages.values().rev().find(|message| message.parent == Some(leaf)) {
        leaf = child.id;
    }
    open.relink(Some(leaf));
    let chat_id = open.id;
    meter::forget(state);
    if let Some(chat) = state.chats.get_mut(chat_id) {
        chat.leaf = Some(leaf);
        let op = Op::PutChat(chat.clone());
        save(state, vec![op], effects);
    }
}

fn branch_to_new_chat(state: &mut AppState, id: MessageId, now: Now, effects: &mut Vec<Effect>) {
    let Some(open) = state.chats.open.as_ref() else { return };
    let path: Vec<ChatMessage> =
        crate::app::branch(&open.messages, Some(id)).iter().filter_map(|id| open.messages.get(id).cloned()).collect();
    let Some(origin) = state.chats.current().cloned() else { return };
    let chat_id = state.chats.new_chat_id();
    let origins: Vec<MessageId> = path.iter().map(|message| message.id).collect();
    let mut parent = None;
    let mut copies = Vec::new();
    for message in path {
        let copy = ChatMessage { id: state.chats.new_message_id(), chat: chat_id, parent, ..message };
        parent = Some(copy.id);
        copies.push(copy);
    }
    let chat = Chat {
        id: chat_id,
        title: format!("{} (branch)", origin.title),
        title_is_users: true,
        draft: String::new(),
        leaf: parent,
        created_ms: now.unix_ms,
        updated_ms: now.unix_ms,
        replies: copies.iter().filter(|message| message.role == crate::protocol::Role::Assistant).count() as u32,
        ..origin
    };
    let mut ops = vec![Op::PutChat(chat.clone())];
    for (copy, from) in copies.iter().zip(origins) {
        ops.push(Op::PutMessage(copy.clone()));
        if copy.role == crate::protocol::Role::Assistant {
            ops.push(Op::CopyProbs { from, to: copy.id, up_to: usize::MAX, then: Vec::new() });
        }
    }
    save(state, ops, effects);
    let mut open = OpenChat { is_loaded: true, ..OpenChat::loading(chat_id) };
    open.messages = copies.into_iter().map(|message| (message.id, message)).collect();
    open.relink(parent);
    state.chats.open = Some(open);
    meter::forget(state);
    state.chats.list.push(chat);
    state.chats.sort();
    remember_open(state, chat_id, now);
}

fn export(state: &AppState, effects: &mut Vec<Effect>) {
    let (Some(chat), Some(open)) = (state.chats.current(), state.chats.open.as_ref()) else { return };
    let shown: Vec<ChatMessage> = open.shown().cloned().collect();
    let text = crate::store::to_markdown(chat, &shown);
    let name: String =
        chat.title.chars().map(|c| if c.is_alphanumeric() || c == ' ' || c == '-' { c } else { '_' }).take(60).collect::<String>();
    let name = if name.trim().is_empty() { "chat".to_owned() } else { name.trim().to_owned() };
    effects.push(Effect::SaveText { name: format!("{name}.md"), text });
}

/// A title from a first message: its first line, cut at a word.
pub(super) fn title_from(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= TITLE_CHARS {
        return line.to_owned();
    }
    let cut: String = line.chars().take(TITLE_CHARS).collect();
    let words = cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head);
    format!("{}…", words.trim_end())
}
