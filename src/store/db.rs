//! The database: reading it, and changing it so that a change is either on the disk or still waiting in memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::damage;
use super::files::{self, DirLock};
use super::migrate::Step;
use super::notice::{self, Notice, NoticeKind, StoreError, StoreErrorKind};
use super::pending::Pending;
use super::run_types::RunHead;
use super::types::{Chat, ChatId, ChatMessage, MessageId, MessageState, Op};
use super::{apply, rows};

/// Every chat with its messages, every run, every saved design; durable.
///
/// What cannot be written (full disk, read-only folder, a second window) waits in memory and shows in every answer, so a session goes on
/// whatever the disk does; [`Store::apply`] never says `Ok` for a change that is not on the disk.
#[derive(Debug)]
pub struct Store {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    /// Why nothing is ever written in this session
    pub(super) blocked: Option<StoreError>,
    pub(super) pending: Pending,
    pub(super) notices: Vec<Notice>,
    pub(super) steps: &'static [Step],
    /// A file is replaced at most once in a session: damage that comes back is the disk's
    pub(super) healed: bool,
    pub(super) lock: Option<DirLock>,
    /// Beside whoever holds the folder: changes rows and nothing else, see [`Store::join`]
    pub(super) joined: bool,
    /// The new runs that were written since this was looked at, in the order they were asked for; `None` for one that was refused
    pub(super) kept: VecDeque<Option<RunHead>>,
}

impl Store {
    /// Chats that are not hidden, the one changed last first. The order is that of the changes, not of the clock.
    pub fn chats(&mut self) -> Vec<Chat> {
        let mut all = self.read(rows::chats);
        self.pending.over_chats(&mut all);
        all.into_iter().filter(|(_, hidden)| !hidden).map(|(chat, _)| chat).collect()
    }

    /// One chat, hidden or not.
    pub fn chat(&mut self, id: ChatId) -> Option<Chat> {
        let mut found = self.read(|conn| rows::one_chat(conn, id));
        self.pending.over_chats(&mut found);
        found.into_iter().map(|(chat, _)| chat).find(|chat| chat.id == id)
    }

    /// All messages of a chat, every branch, in order of id.
    pub fn messages(&mut self, chat: ChatId) -> Vec<ChatMessage> {
        let mut all = self.read(|conn| rows::messages(conn, chat));
        self.pending.over_messages(chat, &mut all);
        if self.blocked.as_ref().is_some_and(|why| why.kind != StoreErrorKind::AlreadyOpen) {
            // No start has tidied this file, and nobody is streaming into it
            for message in all.iter_mut().filter(|m| m.state == MessageState::Streaming) {
                message.state = MessageState::Interrupted;
            }
        }
        all
    }

    /// One message.
    pub fn message(&mut self, id: MessageId) -> Option<ChatMessage> {
        let found = self.read(|conn| rows::one_message(conn, id));
        let chat = found.as_ref().map(|m| m.chat).or_else(|| {
            self.pending.ops().iter().find_map(|op| match op {
                Op::PutMessage(message) if message.id == id => Some(message.chat),
                _ => None,
            })
        })?;
        let mut list: Vec<ChatMessage> = found.into_iter().collect();
        self.pending.over_messages(chat, &mut list);
        list.into_iter().find(|m| m.id == id)
    }

    /// The next free ids. Never an id that was in use before, even if what it named is gone.
    pub fn next_ids(&mut self) -> (ChatId, MessageId) {
        let (chat, message) = self.read(|conn| apply::next_ids(conn).map(Some)).unwrap_or((ChatId(1), MessageId(1)));
        let (chats, messages) = self.pending.largest_ids();
        (ChatId(chat.0.max(chats.saturating_add(1))), MessageId(message.0.max(messages.saturating_add(1))))
    }

    /// Makes changes, in order, all of them or none. When this returns `Ok`, they are on the disk (fsync done).
    ///
    /// # Errors
    /// Why they are not on the disk. Unless the kind is `Refused`, they wait in memory, show in what is read, and go first when
    /// [`Store::retry`] or the next change is written.
    pub fn apply(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        self.commit(&[ops])?.pop().flatten().map_or(Ok(()), Err)
    }

    /// Makes several batches of changes with one fsync. Each batch is all or nothing; one that is refused (see
    /// [`StoreErrorKind::Refused`]) is reported in its place and does not hold up the others.
    ///
    /// # Errors
    /// As [`Store::apply`], for all batches together.
    pub fn commit(&mut self, batches: &[&[Op]]) -> Result<Vec<Option<StoreError>>, StoreError> {
        if self.blocked.is_some() || !self.pending.is_empty() {
            self.pending.extend(batches.iter().copied().flatten());
            self.retry()?;
            return Ok(vec![None; batches.len()]);
        }
        let written = self.write(batches);
        if written.is_err() {
            self.pending.extend(batches.iter().copied().flatten());
        }
        written
    }

    /// Tries again to write what waits.
    ///
    /// # Errors
    /// Why it still waits.
    pub fn retry(&mut self) -> Result<(), StoreError> {
        if let Some(why) = &self.blocked {
            return Err(why.clone());
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.pending);
        // One change a batch: which changes belonged together no longer matters, and one that is refused must not stop the rest
        let batches: Vec<&[Op]> = waiting.ops().chunks(1).collect();
        let written = self.write(&batches);
        match written {
            Ok(results) => {
                for error in results.into_iter().flatten() {
                    self.notices.push(Notice::new(NoticeKind::NotSaving, error.message, error.hint, &self.path));
                }
                Ok(())
            }
            Err(error) => {
                self.pending = waiting;
                Err(error)
            }
        }
    }

    /// Whether changes wait in memory.
    pub fn has_unsaved(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Why nothing is saved in this session, if so.
    pub fn blocked(&self) -> Option<&StoreError> {
        self.blocked.as_ref()
    }

    /// What happened since the last call that the user should hear about.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write(&mut self, batches: &[&[Op]]) -> Result<Vec<Option<StoreError>>, StoreError> {
        let mut kept = Vec::new();
        let mut written = write(&mut self.conn, batches, &mut kept);
        if written.as_ref().is_err_and(is_damage) && self.heal() {
            written = write(&mut self.conn, batches, &mut kept);
        }
        if written.is_ok() {
            self.kept.extend(kept);
        }
        let say = |error: &rusqlite::Error| StoreError::sqlite("Chats cannot be saved", error, &self.path);
        written.map(|results| results.iter().map(|r| r.as_ref().map(say)).collect()).map_err(|error| say(&error))
    }

    /// Reads; damage that shows only now is dealt with as at the start. What cannot be read is empty.
    pub(super) fn read<T: Default>(&mut self, query: impl Fn(&Connection) -> rusqlite::Result<T>) -> T {
        let mut got = query(&self.conn);
        if got.as_ref().is_err_and(is_damage) && self.heal() {
            got = query(&self.conn);
        }
        got.unwrap_or_else(|error| {
            let error = StoreError::sqlite("Chats cannot be read", &error, &self.path);
            log::error!("{error}");
            self.notices.push(Notice::new(NoticeKind::Damaged, error.message, error.hint, &self.path));
            T::default()
        })
    }

    /// Sets the damaged file aside and goes on with a new one and what can be carried over.
    fn heal(&mut self) -> bool {
        if self.healed || self.joined || self.blocked.is_some() {
            return false;
        }
        self.healed = true;
        // The damaged file must be closed before it is moved
        match Connection::open_in_memory() {
            Ok(placeholder) => self.conn = placeholder,
            Err(error) => {
                log::error!("no memory for a database: {error}");
                return false;
            }
        }
        match damage::replace(&self.path, self.steps, "it could no longer be read") {
            Ok((conn, notice)) => {
                self.conn = conn;
                self.notices.push(notice);
                true
            }
            Err(error) => {
                self.notices.push(Notice::new(NoticeKind::NotSaving, error.message.clone(), error.hint.clone(), &self.path));
                self.blocked = Some(error);
                false
            }
        }
    }
}

impl Drop for Store {
    /// Says that the session ended well (see `open::needs_check`) and leaves one file instead of three.
    fn drop(&mut self) {
        if self.blocked.is_some() {
            return;
        }
        if self.has_unsaved()
            && let Err(error) = self.retry()
        {
            log::error!("lost at the end of the session: {error}");
        }
        if self.joined {
            return;
        }
        let closed = self.conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('clean', '1')", []);
        if let Err(error) = closed.and_then(|_| self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))) {
            log::warn!("the database was not closed cleanly: {error}");
        }
        // Held until here so that nobody opens the file before it is closed
        drop(self.lock.take());
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    notice::classify(error) == StoreErrorKind::Damaged
}

/// One transaction for all batches. A batch with a refused change is rolled back alone; any other failure rolls back everything.
fn write(conn: &mut Connection, batches: &[&[Op]], kept: &mut Vec<Option<RunHead>>) -> rusqlite::Result<Vec<Option<rusqlite::Error>>> {
    let now = files::now_ms();
    kept.clear();
    let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        let point = tx.savepoint()?;
        let news = |op: &&Op| matches!(op, Op::PutRun(run) if run.id.0 == 0);
        match batch.iter().map(|op| apply::op(&point, op, now)).collect::<rusqlite::Result<Vec<_>>>() {
            Ok(heads) => {
                point.commit()?;
                kept.extend(heads.into_iter().flatten().map(Some));
                results.push(None);
            }
            Err(error) if notice::classify(&error) == StoreErrorKind::Refused => {
                point.finish()?;
                kept.extend(batch.iter().filter(news).map(|_| None));
                results.push(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    tx.commit()?;
    Ok(results)
}
