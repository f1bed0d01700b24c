//! Opening the database whatever state it is in.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::damage;
use super::db::Store;
use super::files;
use super::join;
use super::migrate::{self, STEPS, Step};
use super::notice::{self, Notice, NoticeKind, StoreError, StoreErrorKind};
use super::pending::Pending;
use super::{apply, rows, runs};

/// Name of the database in the data folder.
pub(super) const FILE: &str = "chats.db";

/// A database up to this many bytes is checked at every start (some tens of milliseconds), a larger one when the last session did not
/// end well.
const ALWAYS_CHECK: u64 = 16 << 20;

/// Why a file cannot be used as it is.
enum Trouble {
    /// Set it aside, carry over what can be read
    Damaged(String),
    /// Leave it alone
    Blocked(StoreError),
}

impl Store {
    /// Opens the chats kept in a folder, making the folder and the file where there are none.
    ///
    /// This never fails: a damaged file is moved aside and replaced, a newer, locked or unwritable one is opened for reading, and if even
    /// that is impossible the session runs in memory. The notices say which, and name the file.
    pub fn open(dir: &Path) -> (Self, Vec<Notice>) {
        Self::open_with(dir, STEPS)
    }

    pub(super) fn open_with(dir: &Path, steps: &'static [Step]) -> (Self, Vec<Notice>) {
        let path = dir.join(FILE);
        if let Err(error) = files::create_private_dir(dir) {
            return Self::for_reading(path, steps, StoreError::io("The data folder cannot be made", &error, dir));
        }
        let lock = match join::take_patiently(dir) {
            Ok(lock) => lock,
            Err(error) => return Self::for_reading(path, steps, error),
        };
        let opened = match prepare(&path, steps) {
            Ok(ready) => Ok(ready),
            Err(Trouble::Damaged(why)) => damage::replace(&path, steps, &why).map(|(conn, notice)| (conn, vec![notice])),
            Err(Trouble::Blocked(error)) => Err(error),
        };
        match opened {
            Ok((conn, notices)) => {
                let store = Self {
                    conn,
                    path,
                    blocked: None,
                    pending: Pending::default(),
                    notices: Vec::new(),
                    steps,
                    healed: false,
                    lock: Some(lock),
                    joined: false,
                    kept: VecDeque::new(),
                };
                (store, notices)
            }
            Err(error) => Self::for_reading(path, steps, error),
        }
    }

    /// A session that writes nothing.
    fn for_reading(path: PathBuf, steps: &'static [Step], why: StoreError) -> (Self, Vec<Notice>) {
        let kind = match why.kind {
            StoreErrorKind::AlreadyOpen => NoticeKind::AlreadyOpen,
            StoreErrorKind::Newer => NoticeKind::Newer,
            _ => NoticeKind::NotSaving,
        };
        let mut notices = vec![Notice { kind, message: why.message.clone(), hint: why.hint.clone(), path: why.path.clone() }];
        let conn = match read_only(&path).and_then(|conn| rows::chats(&conn).map(|_| conn)) {
            Ok(conn) => Some(conn),
            Err(error) => {
                if path.exists() {
                    let error = StoreError::sqlite("The chats in this file cannot be shown", &error, &path);
                    notices.push(Notice::new(NoticeKind::NotSaving, error.message, "It is left as it is", &path));
                }
                None
            }
        };
        let conn = conn.unwrap_or_else(|| in_memory(steps));
        let (pending, kept) = (Pending::default(), VecDeque::new());
        let store =
            Self { conn, path, blocked: Some(why), pending, notices: Vec::new(), steps, healed: true, lock: None, joined: false, kept };
        (store, notices)
    }
}

/// An empty database that is nowhere on the disk.
fn in_memory(steps: &[Step]) -> Connection {
    let Ok(mut conn) = Connection::open_in_memory() else {
        // Only ever for want of a few kilobytes of memory, and then Rust's own allocations end the process in the same way
        std::process::abort()
    };
    if let Err(error) = migrate::migrate(&mut conn, steps) {
        log::error!("an empty database could not be laid out: {error}");
    }
    conn
}

/// Opens a file to be written, in the shape of this version. The file is not changed before it is known to be sound and not newer.
fn prepare(path: &Path, steps: &[Step]) -> Result<(Connection, Vec<Notice>), Trouble> {
    let trouble = |error: rusqlite::Error| trouble(path, &error);
    let size = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Trouble::Blocked(StoreError::io("The chats cannot be read", &error, path))),
    };
    let mut notices = Vec::new();
    let mut have = 0;
    if size > 0 {
        let conn = read_only(path).map_err(trouble)?;
        have = migrate::version(&conn).map_err(trouble)?;
        let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(trouble)?;
        if application != migrate::APPLICATION_ID || have <= 0 {
            return Err(Trouble::Damaged("it is not a database of chats".into()));
        }
        if have > migrate::target(steps) {
            return Err(Trouble::Blocked(StoreError::new(
                StoreErrorKind::Newer,
                format!("The chats were saved by a newer version (their form is {have}, this version knows {})", migrate::target(steps)),
                "They can be read here, and nothing is saved; start the newer version to go on",
                path,
            )));
        }
        if needs_check(&conn, size) {
            check(&conn).map_err(trouble)?.map_or(Ok(()), |fault| Err(Trouble::Damaged(fault)))?;
        }
    }
    let mut conn = writable(path).map_err(trouble)?;
    if have > 0 && have < migrate::target(steps) {
        let copy = migrate::back_up(&conn, path, have).map_err(|error| {
            Trouble::Blocked(StoreError::new(
                StoreErrorKind::Full,
                format!("The chats are of an older version, and no copy could be made before changing them: {error}"),
                "Free some space and start again; until then they can be read, and nothing is saved",
                path,
            ))
        })?;
        notices.push(Notice::new(NoticeKind::Migrated, "The chats were brought to this version", "A copy of the old file is kept", copy));
    }
    bring_up(&mut conn, steps).map_err(trouble)?;
    Ok((conn, notices))
}

/// Migrates, tidies, and notes that a session is under way.
pub(super) fn bring_up(conn: &mut Connection, steps: &[Step]) -> rusqlite::Result<()> {
    migrate::migrate(conn, steps)?;
    let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.prepare(&format!("SELECT {} FROM chats", rows::CHAT))?;
    tx.prepare(&format!("SELECT {} FROM messages", rows::MESSAGE))?;
    runs::try_out(&tx)?;
    apply::tidy(&tx, files::now_ms())?;
    tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('clean', '0')", [])?;
    tx.commit()
}

/// A connection that writes: every commit is on the disk when it returns, and the file's own schema is not trusted.
pub(super) fn writable(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    distrust(&conn)?;
    // Answers with the mode that was reached; where shared memory is missing that is not WAL, and still safe
    let _mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;",
    )?;
    let _limit: i64 = conn.query_row("PRAGMA journal_size_limit = 16777216", [], |row| row.get(0))?;
    Ok(conn)
}

/// A connection that cannot write. Where the folder is read-only and nothing is left in a log, SQLite is told that the file will not
/// change, so that it needs no files of its own beside it.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let conn = Connection::open_with_flags(path, flags)?;
        distrust(&conn)?;
        migrate::version(&conn)?;
        Ok(conn)
    };
    open().or_else(|error: rusqlite::Error| {
        let log_is_empty = fs::metadata(files::with_suffix(path, "-wal")).map_or(true, |meta| meta.len() == 0);
        if notice::classify(&error) == StoreErrorKind::Damaged || !log_is_empty {
            return Err(error);
        }
        let conn = Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?;
        distrust(&conn)?;
        Ok(conn)
    })
}

pub(super) fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(char::from(*byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// The file may come from anywhere: nothing in its schema may run code or corrupt the rest.
fn distrust(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(2))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0;").or_else(|error| match error {
        // Some pragmas answer with their value
        rusqlite::Error::ExecuteReturnedResults => Ok(()),
        error => Err(error),
    })
}

fn needs_check(conn: &Connection, size: u64) -> bool {
    let clean = conn.query_row("SELECT value = '1' FROM meta WHERE key = 'clean'", [], |row| row.get::<_, bool>(0));
    size <= ALWAYS_CHECK || !clean.unwrap_or(false)
}

/// SQLite's whole check, which holds indexes against their tables too: a damaged index hides messages that the quick check finds sound.
/// `None` when the file is sound, else the first complaint.
fn check(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let word: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((word != "ok").then_some(word))
}

fn trouble(path: &Path, error: &rusqlite::Error) -> Trouble {
    match notice::classify(error) {
        // While a file is opened, "refused" means that a table or a column is missing
        StoreErrorKind::Damaged | StoreErrorKind::Refused => Trouble::Damaged(error.to_string()),
        _ => Trouble::Blocked(StoreError::sqlite("The chats cannot be opened", error, path)),
    }
}
