//! The shape of the database and how older shapes become this one.
//!
//! `PRAGMA user_version` counts the steps that were applied. A step is never changed once it was released; a new shape is a new step.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::files;

/// Brings a database from one version to the next.
pub(super) type Step = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Every step there ever was, oldest first.
pub(super) const STEPS: &[Step] = &[chats_and_messages, runs_and_designs, token_probabilities, run_tokens];

/// Says in the file's header that this is an Inferscope database ("ISCP").
pub(super) const APPLICATION_ID: i32 = 0x4953_4350;

/// `tails` holds text that streams in, so that a long reply is not rewritten whole several times a second; it is folded into
/// `messages.text` when the reply ends. `chats.touched` is a rising count that orders the list whatever the clock does. Parents are not
/// a foreign key: cascades are limited to 1,000 levels, and a conversation is one long chain. Long columns come last: a row's columns
/// are read in order, through all the pages it fills.
fn chats_and_messages(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE chats (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             touched INTEGER NOT NULL,
             deleted_ms INTEGER,
             created_ms INTEGER NOT NULL,
             updated_ms INTEGER NOT NULL,
             leaf INTEGER,
             replies INTEGER NOT NULL,
             title_is_users INTEGER NOT NULL,
             mode TEXT NOT NULL,
             title TEXT NOT NULL,
             last_design TEXT NOT NULL,
             system TEXT NOT NULL,
             draft TEXT NOT NULL
         ) STRICT;
         CREATE INDEX chats_touched ON chats (touched);
         CREATE TABLE messages (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             chat INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
             parent INTEGER,
             created_ms INTEGER NOT NULL,
             role TEXT NOT NULL,
             state TEXT NOT NULL,
             stats TEXT,
             provenance TEXT,
             text TEXT NOT NULL
         ) STRICT;
         CREATE INDEX messages_chat ON messages (chat);
         CREATE INDEX messages_parent ON messages (parent);
         CREATE INDEX messages_streaming ON messages (id) WHERE state = '\"streaming\"';
         CREATE TABLE tails (
             message INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
             n INTEGER NOT NULL,
             text TEXT NOT NULL,
             PRIMARY KEY (message, n)
         ) STRICT, WITHOUT ROWID;",
    )
}

/// `runs` is what lists are made of and stays small; the whole record, with every sample, is in `run_bodies`, so that reading ten thousand
/// heads does not go through their pages. What the user changes (title, tags, hidden) counts in `runs`, whatever the record says.
/// Words are kept as they were when the run was: a later version may word things differently, and the record has it all.
fn runs_and_designs(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE runs (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             started_ms INTEGER NOT NULL,
             seconds REAL NOT NULL,
             deleted_ms INTEGER,
             repeats INTEGER,
             trust TEXT NOT NULL,
             design_hash TEXT NOT NULL,
             title TEXT NOT NULL,
             tags TEXT NOT NULL,
             grp TEXT NOT NULL,
             model TEXT NOT NULL,
             quant TEXT NOT NULL,
             design TEXT NOT NULL,
             workload TEXT NOT NULL,
             figures TEXT NOT NULL,
             failure TEXT,
             imported TEXT NOT NULL
         ) STRICT;
         CREATE TABLE run_bodies (
             id INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
             body TEXT NOT NULL
         ) STRICT;
         CREATE TABLE designs (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             created_ms INTEGER NOT NULL,
             deleted_ms INTEGER,
             name TEXT NOT NULL,
             body TEXT NOT NULL
         ) STRICT;",
    )
}

/// What the model gave the tokens of a reply, in pieces as they streamed in (`probs.rs`). A table of its own: it is larger than the text,
/// and only read when somebody looks at a reply token by token.
fn token_probabilities(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE token_probs (
             message INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
             n INTEGER NOT NULL,
             data BLOB NOT NULL,
             PRIMARY KEY (message, n)
         ) STRICT, WITHOUT ROWID;",
    )
}

/// What a comparison of quality found of each token (`token_records.rs`). A table of its own, so that reading a run does not go through it.
fn run_tokens(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "CREATE TABLE run_tokens (
             id INTEGER PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
             data BLOB NOT NULL
         ) STRICT;",
    )
}

/// The version a list of steps leads to.
pub(super) fn target(steps: &[Step]) -> i32 {
    i32::try_from(steps.len()).unwrap_or(i32::MAX)
}

/// The version a database says it has.
pub(super) fn version(conn: &Connection) -> rusqlite::Result<i32> {
    conn.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Applies the steps that are missing, each in its own transaction, so that a crash leaves a database of a version in between.
pub(super) fn migrate(conn: &mut Connection, steps: &[Step]) -> rusqlite::Result<()> {
    let have = version(conn)?;
    for (done, step) in (1i32..).zip(steps).filter(|(done, _)| *done > have) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step(&tx)?;
        tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('schema', ?1)", [done.to_string()])?;
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", done)?;
        tx.commit()?;
    }
    Ok(())
}

/// Writes a whole, compact, durable copy of the database beside it before its shape is changed.
pub(super) fn back_up(conn: &Connection, path: &Path, version: i32) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let copy = files::aside_name(path, &format!("before-v{}", version.saturating_add(1)));
    let name = copy.to_str().ok_or("the folder's name is not Unicode")?;
    conn.execute("VACUUM INTO ?1", [name])?;
    File::open(&copy)?.sync_all()?;
    if let Some(dir) = copy.parent() {
        files::sync_dir(dir)?;
    }
    Ok(copy)
}
