//! A damaged database: kept aside byte for byte, replaced, and read row by row for whatever is still there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::files;
use super::migrate::Step;
use super::notice::{Notice, NoticeKind, StoreError};
use super::open;
use super::types::{Chat, ChatId, ChatMessage, MessageId, Op};
use super::{apply, migrate, rows, runs, token_records};
use crate::protocol::Role;

/// Ids above this are not ones this program gave.
const LARGEST_ID: i64 = 1 << 53;

/// Moves a damaged database aside and starts a new one in its place with what could be read.
///
/// # Errors
/// Why the file could not be moved or the new one not be made; whichever file is there then is as it was.
pub(super) fn replace(path: &Path, steps: &[Step], why: &str) -> Result<(Connection, Notice), StoreError> {
    let aside = set_aside(path).map_err(|error| StoreError::io("The chats are damaged and cannot be moved aside", &error, path))?;
    let say = |error: rusqlite::Error| StoreError::sqlite("A new file for chats cannot be made", &error, path);
    let mut conn = open::writable(path).map_err(say)?;
    migrate::migrate(&mut conn, steps).map_err(say)?;
    let (chats, messages) = salvage(&aside, &mut conn).map_err(say)?;
    let (runs, designs) = salvage_runs(&aside, &mut conn).map_err(say)?;
    open::bring_up(&mut conn, steps).map_err(say)?;
    let mut found = Vec::new();
    if (chats, messages) != (0, 0) {
        found.push(format!("{chats} chats with {messages} messages"));
    }
    if runs > 0 {
        found.push(format!("{runs} runs"));
    }
    if designs > 0 {
        found.push(format!("{designs} designs"));
    }
    let carried = if found.is_empty() {
        "Nothing in it could be read, so this is a new start".to_owned()
    } else {
        format!("{} could be read and were carried over", found.join(" and "))
    };
    let notice = Notice::new(
        NoticeKind::Damaged,
        format!("The file with the chats was damaged: {why}"),
        format!("{carried}. The damaged file is kept"),
        aside,
    );
    Ok((conn, notice))
}

/// Renames a database and the two files SQLite keeps beside it, under one new name. The log goes first: the file without its log is
/// merely older, a log beside a new file would be thrown away.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let aside = files::aside_name(path, "corrupt");
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(files::with_suffix(path, suffix), files::with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    if let Some(dir) = path.parent() {
        files::sync_dir(dir)?;
    }
    Ok(aside)
}

/// Copies every row that can be read into a new database. Returns how many chats and messages.
fn salvage(from: &Path, to: &mut Connection) -> rusqlite::Result<(usize, usize)> {
    let Ok(old) = open::read_only(from) else { return Ok((0, 0)) };
    let sane = |id: i64| (1..LARGEST_ID).contains(&id);
    let mut chats: BTreeMap<ChatId, (Chat, bool)> = BTreeMap::new();
    for (chat, hidden) in every_row(&old, "chats", rows::CHAT, rows::chat) {
        if sane(chat.id.0) {
            chats.insert(chat.id, (chat, hidden));
        }
    }
    let mut messages: BTreeMap<MessageId, ChatMessage> = BTreeMap::new();
    for mut message in every_row(&old, "messages", rows::MESSAGE, rows::message) {
        if sane(message.id.0) && sane(message.chat.0) {
            message.text.push_str(&rows::tail(&old, message.id).unwrap_or_default());
            messages.insert(message.id, message);
        }
    }
    reconnect(&mut messages);
    for message in messages.values() {
        chats.entry(message.chat).or_insert_with(|| (stand_in(message), false));
    }
    for (chat, _) in chats.values_mut() {
        let mine = || messages.values().filter(|m| m.chat == chat.id);
        if chat.leaf.is_none_or(|leaf| messages.get(&leaf).is_none_or(|m| m.chat != chat.id)) {
            chat.leaf = mine().next_back().map(|m| m.id);
        }
        chat.replies = u32::try_from(mine().filter(|m| m.role == Role::Assistant).count()).unwrap_or(u32::MAX);
    }
    let (found, now) = ((chats.len(), messages.len()), files::now_ms());
    let mut in_order: Vec<(Chat, bool)> = chats.into_values().collect();
    in_order.sort_by_key(|(chat, _)| (chat.updated_ms, chat.id));
    let tx = to.transaction()?;
    for (chat, hidden) in in_order {
        let id = chat.id;
        apply::op(&tx, &Op::PutChat(chat), now)?;
        if hidden {
            apply::op(&tx, &Op::DeleteChat(id), now)?;
        }
    }
    for message in messages.into_values() {
        let id = message.id;
        apply::op(&tx, &Op::PutMessage(message), now)?;
        // what cannot be read of these, or was not kept yet, is missed by nobody who reads the chat
        if let Ok((_, probs)) = rows::probs(&old, id, 0) {
            apply::op(&tx, &Op::AppendProbs(id, probs), now)?;
        }
    }
    tx.commit()?;
    Ok(found)
}

/// Copies every run and saved design that can be read; how many of each. A run is its record: one whose head is lost comes back without
/// what the user called it later.
fn salvage_runs(from: &Path, to: &mut Connection) -> rusqlite::Result<(usize, usize)> {
    let Ok(old) = open::read_only(from) else { return Ok((0, 0)) };
    let metas: BTreeMap<_, _> =
        every_row(&old, "runs", runs::META, runs::meta).into_iter().map(|(id, title, tags, hidden)| (id, (title, tags, hidden))).collect();
    let (now, mut counts) = (files::now_ms(), (0, 0));
    let tx = to.transaction()?;
    for (id, run) in every_row(&old, "run_bodies", "id, body", runs::body) {
        let Some(mut run) = run.filter(|_| (1..LARGEST_ID).contains(&id.0)) else { continue };
        run.id = id;
        let mut gone = false;
        if let Some((title, tags, hidden)) = metas.get(&id) {
            (run.title, run.tags, gone) = (title.clone(), tags.clone(), *hidden);
        }
        apply::op(&tx, &Op::PutRun(Box::new(run)), now)?;
        if gone {
            apply::op(&tx, &Op::DeleteRun(id), now)?;
        }
        counts.0 += 1;
    }
    for (id, data) in every_row(&old, "run_tokens", "id, data", token_records::bytes) {
        if tx.prepare_cached("SELECT 1 FROM runs WHERE id = ?1")?.exists([id.0])? {
            token_records::put_bytes(&tx, id, &data)?;
        }
    }
    for (saved, hidden) in every_row(&old, "designs", runs::DESIGN, runs::saved_design) {
        let Some(saved) = saved.filter(|saved| (1..LARGEST_ID).contains(&saved.id.0)) else { continue };
        let id = saved.id;
        apply::op(&tx, &Op::PutDesign(saved), now)?;
        if hidden {
            apply::op(&tx, &Op::DeleteDesign(id), now)?;
        }
        counts.1 += 1;
    }
    tx.commit()?;
    Ok(counts)
}

/// A message whose parent was lost follows the nearest older one of its chat, so that the conversation stays one piece.
fn reconnect(messages: &mut BTreeMap<MessageId, ChatMessage>) {
    let homes: BTreeMap<MessageId, ChatId> = messages.iter().map(|(id, m)| (*id, m.chat)).collect();
    let mut last: BTreeMap<ChatId, MessageId> = BTreeMap::new();
    for message in messages.values_mut() {
        if message.parent.is_some_and(|parent| homes.get(&parent) != Some(&message.chat)) {
            message.parent = last.get(&message.chat).copied();
        }
        last.insert(message.chat, message.id);
    }
}

/// A chat for messages whose own was lost.
fn stand_in(message: &ChatMessage) -> Chat {
    let words: String = message.text.chars().take(60).collect();
    Chat {
        id: message.chat,
        title: format!("Recovered: {}", words.split_whitespace().collect::<Vec<_>>().join(" ")),
        title_is_users: false,
        mode: Default::default(),
        system: String::new(),
        draft: String::new(),
        leaf: None,
        created_ms: message.created_ms,
        updated_ms: message.created_ms,
        last_design: String::new(),
        replies: 0,
    }
}

/// Reads a table by its key from both sides of every place that cannot be read.
fn every_row<T>(conn: &Connection, table: &str, columns: &str, decode: fn(&Row<'_>) -> T) -> Vec<T> {
    let up = format!("SELECT {columns} FROM {table} WHERE id > ?1 AND id < ?2 ORDER BY id");
    let down = format!("SELECT {columns} FROM {table} WHERE id > ?1 AND id < ?2 ORDER BY id DESC");
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut after = 0;
    loop {
        let (reached, whole) = run(conn, &up, after, LARGEST_ID, &mut seen, &mut found, decode);
        if whole {
            return found;
        }
        // Reading stopped behind `reached`: look for the next id that answers, ever further on
        let hole = reached.unwrap_or(after).max(after);
        let mut step = 1;
        let beyond = loop {
            let probe = format!("SELECT id FROM {table} WHERE id > ?1 ORDER BY id LIMIT 1");
            match conn.query_row(&probe, [hole.saturating_add(step)], |row| row.get::<_, i64>(0)) {
                Ok(id) if id > hole => break Some(id),
                Err(rusqlite::Error::QueryReturnedNoRows) => break Some(LARGEST_ID),
                _ if step > LARGEST_ID => break None,
                _ => step = step.saturating_mul(2),
            }
        };
        // Then back from there towards the hole, for what the last leap went over
        let edge = beyond.unwrap_or(LARGEST_ID);
        run(conn, &down, hole, edge, &mut seen, &mut found, decode);
        if edge >= LARGEST_ID {
            return found;
        }
        after = edge - 1;
    }
}

/// Reads rows until the end or the first error. Returns the last id read, and whether the end was reached.
fn run<T>(
    conn: &Connection,
    sql: &str,
    after: i64,
    before: i64,
    seen: &mut BTreeSet<i64>,
    found: &mut Vec<T>,
    decode: fn(&Row<'_>) -> T,
) -> (Option<i64>, bool) {
    let Ok(mut statement) = conn.prepare(sql) else { return (None, true) };
    let Ok(mut rows) = statement.query([after, before]) else { return (None, true) };
    let mut reached = None;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let id = row.get::<_, i64>(0).unwrap_or(0);
                reached = Some(id);
                if seen.insert(id) {
                    found.push(decode(row));
                }
            }
            Ok(None) => return (reached, true),
            Err(_) => return (reached, false),
        }
    }
}
