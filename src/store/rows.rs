//! Rows to values, forgiving: a value that cannot be understood becomes its default, a text is never given up.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;

use super::types::{Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState};
use crate::protocol::Role;

/// Columns for [`chat`], in its order.
pub(super) const CHAT: &str =
    "id, title, title_is_users, mode, system, draft, leaf, created_ms, updated_ms, last_design, replies, deleted_ms";

/// Columns for [`message`], in its order.
pub(super) const MESSAGE: &str = "id, chat, parent, role, text, state, stats, provenance, created_ms";

pub(super) fn text(row: &Row<'_>, column: usize) -> String {
    match row.get_ref(column) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Ok(ValueRef::Integer(n)) => n.to_string(),
        Ok(ValueRef::Real(x)) => x.to_string(),
        Ok(ValueRef::Null) | Err(_) => String::new(),
    }
}

pub(super) fn number(row: &Row<'_>, column: usize) -> Option<i64> {
    row.get_ref(column).ok()?.as_i64().ok()
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Option<T> {
    serde_json::from_slice(row.get_ref(column).ok()?.as_bytes().ok()?).ok()
}

/// A chat, and whether it is hidden.
pub(super) fn chat(row: &Row<'_>) -> (Chat, bool) {
    let chat = Chat {
        id: ChatId(number(row, 0).unwrap_or(0)),
        title: text(row, 1),
        title_is_users: number(row, 2).unwrap_or(0) != 0,
        mode: if text(row, 3) == mode_word(ChatMode::Notebook) { ChatMode::Notebook } else { ChatMode::Chat },
        system: text(row, 4),
        draft: text(row, 5),
        leaf: number(row, 6).map(MessageId),
        created_ms: number(row, 7).unwrap_or(0),
        updated_ms: number(row, 8).unwrap_or(0),
        last_design: text(row, 9),
        replies: number(row, 10).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
    };
    (chat, number(row, 11).is_some())
}

/// A message, without the text that is still in its tail. A parent that is not older than its child is dropped: nothing may go round in
/// circles, whatever the file says.
pub(super) fn message(row: &Row<'_>) -> ChatMessage {
    let id = number(row, 0).unwrap_or(0);
    ChatMessage {
        id: MessageId(id),
        chat: ChatId(number(row, 1).unwrap_or(0)),
        parent: number(row, 2).filter(|parent| *parent < id).map(MessageId),
        role: role(&text(row, 3)),
        text: text(row, 4),
        state: json(row, 5).unwrap_or(MessageState::Whole),
        stats: json(row, 6),
        provenance: json(row, 7),
        created_ms: number(row, 8).unwrap_or(0),
    }
}

fn role(word: &str) -> Role {
    [Role::System, Role::Assistant].into_iter().find(|role| role.as_str() == word).unwrap_or(Role::User)
}

/// How a mode is written.
pub(super) fn mode_word(mode: ChatMode) -> &'static str {
    match mode {
        ChatMode::Chat => "chat",
        ChatMode::Notebook => "notebook",
    }
}

/// Every chat, hidden or not, the one touched last first.
pub(super) fn chats(conn: &Connection) -> rusqlite::Result<Vec<(Chat, bool)>> {
    // A leaf is only believed if the message is there and belongs to the chat
    let sql = format!(
        "SELECT {} FROM chats ORDER BY touched DESC, id DESC",
        CHAT.replace("leaf", "(SELECT m.id FROM messages m WHERE m.id = chats.leaf AND m.chat = chats.id)")
    );
    conn.prepare_cached(&sql)?.query_map([], |row| Ok(chat(row)))?.collect()
}

/// Every message of a chat in order of id, tails included.
pub(super) fn messages(conn: &Connection, id: ChatId) -> rusqlite::Result<Vec<ChatMessage>> {
    let sql = format!("SELECT {MESSAGE} FROM messages WHERE chat = ?1 ORDER BY id");
    let mut found: Vec<ChatMessage> = conn.prepare_cached(&sql)?.query_map([id.0], |row| Ok(message(row)))?.collect::<Result<_, _>>()?;
    let mut tails = conn.prepare_cached(
        "SELECT t.message, t.text FROM messages m JOIN tails t ON t.message = m.id WHERE m.chat = ?1 ORDER BY t.message, t.n",
    )?;
    let mut rows = tails.query([id.0])?;
    while let Some(row) = rows.next()? {
        let owner = MessageId(number(row, 0).unwrap_or(0));
        if let Ok(at) = found.binary_search_by_key(&owner, |m| m.id)
            && let Some(message) = found.get_mut(at)
        {
            message.text.push_str(&text(row, 1));
        }
    }
    Ok(found)
}

/// One message, tail included.
pub(super) fn one_message(conn: &Connection, id: MessageId) -> rusqlite::Result<Option<ChatMessage>> {
    let sql = format!("SELECT {MESSAGE} FROM messages WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([id.0])?;
    let Some(mut found) = rows.next()?.map(message) else { return Ok(None) };
    found.text.push_str(&tail(conn, id)?);
    Ok(Some(found))
}

/// The messages that are being streamed in notebooks.
pub(super) fn streaming_in_notebooks(conn: &Connection) -> rusqlite::Result<Vec<ChatMessage>> {
    let sql = format!(
        "SELECT {MESSAGE} FROM messages WHERE state = '\"streaming\"' AND chat IN (SELECT id FROM chats WHERE mode = ?1) ORDER BY id"
    );
    conn.prepare_cached(&sql)?.query_map([mode_word(ChatMode::Notebook)], |row| Ok(message(row)))?.collect()
}

/// One chat, and whether it is hidden; as a list because there may be none.
pub(super) fn one_chat(conn: &Connection, id: ChatId) -> rusqlite::Result<Vec<(Chat, bool)>> {
    let sql = format!("SELECT {CHAT} FROM chats WHERE id = ?1");
    conn.prepare_cached(&sql)?.query_map([id.0], |row| Ok(chat(row)))?.collect()
}

/// The text of a message that is not folded in yet.
pub(super) fn tail(conn: &Connection, id: MessageId) -> rusqlite::Result<String> {
    let mut statement = conn.prepare_cached("SELECT text FROM tails WHERE message = ?1 ORDER BY n")?;
    let mut rows = statement.query([id.0])?;
    let mut all = String::new();
    while let Some(row) = rows.next()? {
        all.push_str(&text(row, 0));
    }
    Ok(all)
}
