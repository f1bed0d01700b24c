//! Changes as SQL. Every function runs inside a transaction of the caller's.

use rusqlite::{Connection, params};

use super::run_types::RunHead;
use super::types::{Chat, ChatId, ChatMessage, MessageId, MessageState, Op};
use super::{rows, runs};

/// Hidden chats, runs and designs are purged after this long.
const PURGE_AFTER_MS: i64 = 30 * 24 * 3600 * 1000;

/// A hidden chat that seems older than this was hidden under, or is looked at under, a wrong clock; it is left alone.
const CLOCK_IS_WRONG_MS: i64 = 10 * 365 * 24 * 3600 * 1000;

/// Carries one change out; the head of a run that is new. `now_ms` is Unix time in milliseconds.
pub(super) fn op(conn: &Connection, op: &Op, now_ms: i64) -> rusqlite::Result<Option<RunHead>> {
    match op {
        Op::PutRun(run) => runs::put_run(conn, run).map(|head| Some(head).filter(|_| run.id.0 == 0)),
        _ => change(conn, op, now_ms).map(|()| None),
    }
}

fn change(conn: &Connection, op: &Op, now_ms: i64) -> rusqlite::Result<()> {
    match op {
        Op::PutChat(chat) => put_chat(conn, chat),
        Op::SetDraft(chat, draft) => {
            conn.prepare_cached("UPDATE chats SET draft = ?2 WHERE id = ?1")?.execute(params![chat.0, draft]).map(drop)
        }
        Op::DeleteChat(chat) => {
            conn.prepare_cached("UPDATE chats SET deleted_ms = ?2 WHERE id = ?1")?.execute(params![chat.0, now_ms]).map(drop)
        }
        Op::RestoreChat(chat) => conn.prepare_cached("UPDATE chats SET deleted_ms = NULL WHERE id = ?1")?.execute([chat.0]).map(drop),
        Op::PutMessage(message) => put_message(conn, message),
        Op::AppendText(message, text) => append(conn, *message, text),
        Op::FinishMessage { id, text, state, stats } => {
            let stats = stats.as_ref().and_then(|stats| serde_json::to_string(stats).ok());
            conn.prepare_cached("UPDATE messages SET text = ?2, state = ?3, stats = ?4 WHERE id = ?1")?.execute(params![
                id.0,
                text,
                state_json(state),
                stats
            ])?;
            conn.prepare_cached("DELETE FROM tails WHERE message = ?1")?.execute([id.0]).map(drop)
        }
        Op::RemoveMessage(message) => remove_message(conn, *message),
        _ => runs::change(conn, op, now_ms),
    }
}

/// Adds or replaces a chat. It moves to the front of the list when it is new or its time changed.
fn put_chat(conn: &Connection, chat: &Chat) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO chats (id, title, title_is_users, mode, system, draft, leaf, created_ms, updated_ms, last_design, replies, touched)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, (SELECT coalesce(max(touched), 0) + 1 FROM chats))
         ON CONFLICT (id) DO UPDATE SET
             title = excluded.title, title_is_users = excluded.title_is_users, mode = excluded.mode, system = excluded.system,
             draft = excluded.draft, leaf = excluded.leaf, created_ms = excluded.created_ms, updated_ms = excluded.updated_ms,
             last_design = excluded.last_design, replies = excluded.replies,
             touched = iif(excluded.updated_ms <> chats.updated_ms, excluded.touched, chats.touched)",
    )?
    .execute(params![
        chat.id.0,
        chat.title,
        chat.title_is_users,
        rows::mode_word(chat.mode),
        chat.system,
        chat.draft,
        chat.leaf.map(|leaf| leaf.0),
        chat.created_ms,
        chat.updated_ms,
        chat.last_design,
        chat.replies,
    ])
    .map(drop)
}

/// Adds or replaces a message with its whole text. A chat that is not there yet is made, so that no message is refused for the order
/// in which things arrive.
fn put_message(conn: &Connection, message: &ChatMessage) -> rusqlite::Result<()> {
    let bare = Chat {
        id: message.chat,
        title: String::new(),
        title_is_users: false,
        mode: Default::default(),
        system: String::new(),
        draft: String::new(),
        leaf: Some(message.id),
        created_ms: message.created_ms,
        updated_ms: message.created_ms,
        last_design: String::new(),
        replies: 0,
    };
    if !conn.prepare_cached("SELECT 1 FROM chats WHERE id = ?1")?.exists([message.chat.0])? {
        put_chat(conn, &bare)?;
    }
    let provenance = message.provenance.as_ref().and_then(|provenance| {
        serde_json::to_string(provenance).ok().or_else(|| {
            // A path that is not Unicode has no JSON; the rest of the record is worth keeping
            let mut plain = provenance.clone();
            let earlier = plain.earlier.iter_mut().filter_map(|part| part.made_by.as_mut()).map(|made_by| &mut made_by.design);
            for design in earlier.chain([&mut plain.design]) {
                design.model = design.model.to_string_lossy().into_owned().into();
            }
            serde_json::to_string(&plain).ok()
        })
    });
    conn.prepare_cached(
        "INSERT INTO messages (id, chat, parent, role, text, state, stats, provenance, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET
             chat = excluded.chat, parent = excluded.parent, role = excluded.role, text = excluded.text, state = excluded.state,
             stats = excluded.stats, provenance = excluded.provenance, created_ms = excluded.created_ms",
    )?
    .execute(params![
        message.id.0,
        message.chat.0,
        message.parent.map(|parent| parent.0),
        message.role.as_str(),
        message.text,
        state_json(&message.state),
        message.stats.as_ref().and_then(|stats| serde_json::to_string(stats).ok()),
        provenance,
        message.created_ms,
    ])?;
    conn.prepare_cached("DELETE FROM tails WHERE message = ?1")?.execute([message.id.0]).map(drop)
}

fn state_json(state: &MessageState) -> String {
    serde_json::to_string(state).unwrap_or_else(|_| {
        // Only a path that is not Unicode has no JSON
        let mut plain = state.clone();
        if let MessageState::Failed(error) = &mut plain {
            error.path = None;
        }
        serde_json::to_string(&plain).unwrap_or_default()
    })
}

/// Adds to a message's tail. A message that was removed meanwhile stays removed.
fn append(conn: &Connection, message: MessageId, text: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO tails (message, n, text)
         SELECT id, (SELECT coalesce(max(n), 0) + 1 FROM tails WHERE message = ?1), ?2 FROM messages WHERE id = ?1",
    )?
    .execute(params![message.0, text])
    .map(drop)
}

/// Removes a message and its descendants; a chat that showed one of them shows the parent instead.
fn remove_message(conn: &Connection, message: MessageId) -> rusqlite::Result<()> {
    const GONE: &str = "WITH RECURSIVE gone (id) AS (SELECT ?1 UNION SELECT m.id FROM messages m JOIN gone ON m.parent = gone.id)";
    conn.prepare_cached(&format!("{GONE} UPDATE chats SET leaf = (SELECT parent FROM messages WHERE id = ?1) WHERE leaf IN gone"))?
        .execute([message.0])?;
    conn.prepare_cached(&format!("{GONE} DELETE FROM messages WHERE id IN gone"))?.execute([message.0]).map(drop)
}

/// What every start does: replies that were streaming when the last session ended become `Interrupted` and their notebooks take them up, tails are folded
/// in, what was hidden for 30 days goes.
pub(super) fn tidy(conn: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let waiting: Vec<i64> =
        conn.prepare("SELECT DISTINCT message FROM tails")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for id in waiting {
        let tail = rows::tail(conn, MessageId(id))?;
        conn.execute("UPDATE messages SET text = text || ?2 WHERE id = ?1", params![id, tail])?;
        conn.execute("DELETE FROM tails WHERE message = ?1", [id])?;
    }
    take_up(conn)?;
    // The literal, not a parameter: only so is the partial index of streaming messages used
    conn.execute("UPDATE messages SET state = ?1 WHERE state = '\"streaming\"'", [state_json(&MessageState::Interrupted)])?;
    purge(conn, now_ms)
}

/// A notebook is one text: what was being made of it when the last session ended is added to it. What had been made before that run was
/// added when its own run ended.
fn take_up(conn: &Connection) -> rusqlite::Result<()> {
    let cut = rows::streaming_in_notebooks(conn)?;
    for message in cut {
        conn.execute("UPDATE chats SET draft = draft || ?2 WHERE id = ?1", params![message.chat.0, message.last_part()])?;
    }
    Ok(())
}

fn purge(conn: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let (until, after) = (now_ms.saturating_sub(PURGE_AFTER_MS), now_ms.saturating_sub(CLOCK_IS_WRONG_MS));
    conn.execute("DELETE FROM chats WHERE deleted_ms <= ?1 AND deleted_ms > ?2", [until, after])?;
    runs::purge(conn, after, until)
}

/// The next free ids: above every id there is, and above every one there was.
pub(super) fn next_ids(conn: &Connection) -> rusqlite::Result<(ChatId, MessageId)> {
    let next = |table: &str| -> rusqlite::Result<i64> {
        let sql = format!(
            "SELECT max(coalesce((SELECT max(id) FROM {table}), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0))"
        );
        Ok(conn.query_row(&sql, [table], |row| row.get::<_, i64>(0))?.max(0).saturating_add(1))
    };
    Ok((ChatId(next("chats")?), MessageId(next("messages")?)))
}
