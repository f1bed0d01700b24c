//! Writing beside an open window: a command keeps its runs in the same file, and the window sees them.

use std::path::Path;
use std::time::Duration;

use super::db::Store;
use super::files::DirLock;
use super::migrate::{self, STEPS, Step};
use super::notice::{Notice, StoreError, StoreErrorKind};
use super::open;
use super::pending::Pending;

/// How long a change waits for another process to finish its own.
const PATIENCE: Duration = Duration::from_secs(10);

impl Store {
    /// Opens the database of a folder whether or not a window holds it, to keep runs and designs: each change is a short transaction of its
    /// own, and SQLite's lock orders it among the window's. The chats are not tidied, and a damaged file is not replaced; that is for whoever
    /// holds the folder. A file that is missing or of an older version is first brought to this version, for which the folder is held for
    /// a moment. Meant to be dropped soon: a window that has to set a damaged file aside does not wait.
    ///
    /// # Errors
    /// A file of a newer version, one that an older window holds open, and whatever keeps the file from being opened.
    pub fn join(dir: &Path) -> Result<(Self, Vec<Notice>), StoreError> {
        Self::join_with(dir, STEPS)
    }

    pub(super) fn join_with(dir: &Path, steps: &'static [Step]) -> Result<(Self, Vec<Notice>), StoreError> {
        let path = dir.join(open::FILE);
        let mut notices = Vec::new();
        if version(&path)? < migrate::target(steps) {
            let (store, said) = Self::open_with(dir, steps);
            if let Some(why) = store.blocked() {
                return Err(if why.kind == StoreErrorKind::AlreadyOpen && path.exists() {
                    let message = "An older version of this program holds the data folder";
                    StoreError::new(StoreErrorKind::AlreadyOpen, message, "Close its window and try again", dir)
                } else {
                    why.clone()
                });
            }
            notices = said;
        }
        let have = version(&path)?;
        if have > migrate::target(steps) {
            let message =
                format!("The data was saved by a newer version (its form is {have}, this version knows {})", migrate::target(steps));
            return Err(StoreError::new(StoreErrorKind::Newer, message, "Use the newer version", &path));
        }
        let say = |error: rusqlite::Error| StoreError::sqlite("The data cannot be opened", &error, &path);
        let conn = open::writable(&path).map_err(say)?;
        conn.busy_timeout(PATIENCE).map_err(say)?;
        let store = Self {
            conn,
            path,
            blocked: None,
            pending: Pending::default(),
            notices: Vec::new(),
            steps,
            healed: true,
            lock: None,
            joined: true,
            kept: Default::default(),
        };
        Ok((store, notices))
    }
}

/// The version of a file; 0 for one that is not there or was never written to.
fn version(path: &Path) -> Result<i32, StoreError> {
    if std::fs::metadata(path).map_or(0, |meta| meta.len()) == 0 {
        return Ok(0);
    }
    open::read_only(path)
        .and_then(|conn| migrate::version(&conn))
        .map_err(|error| StoreError::sqlite("The data cannot be opened", &error, path))
}

/// Takes a folder that a command may be holding for a moment.
///
/// # Errors
/// As [`DirLock::take`], after a third of a second.
pub(super) fn take_patiently(dir: &Path) -> Result<DirLock, StoreError> {
    for _ in 0..6 {
        match DirLock::take(dir) {
            Err(error) if error.kind == StoreErrorKind::AlreadyOpen => std::thread::sleep(Duration::from_millis(50)),
            other => return other,
        }
    }
    DirLock::take(dir)
}
