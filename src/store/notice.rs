//! What the store has to tell a person: a failure to save, or something that happened to a file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What kept something from being saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// No room on the disk
    Full,
    /// The folder or the file may not be written
    ReadOnly,
    /// Another process holds the data folder
    AlreadyOpen,
    /// The file was made by a newer version
    Newer,
    /// The file is damaged
    Damaged,
    /// Another program holds a lock on the file
    Busy,
    /// The system refused or failed a read or a write
    Io,
    /// This one change cannot be kept (for example a text over SQLite's size limit); trying again will not help
    Refused,
}

/// Why something is not saved: what happened and why, what to do, the path last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(.message, .hint, .path.as_deref()))]
pub struct StoreError {
    /// The class of the failure
    pub kind: StoreErrorKind,
    /// What happened and why, without a final stop
    pub message: String,
    /// What the user can do, or what happens next
    pub hint: String,
    /// The file concerned
    pub path: Option<PathBuf>,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, message: impl Into<String>, hint: impl Into<String>, path: &Path) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), path: Some(path.to_path_buf()) }
    }

    /// A failed system call on a file.
    pub(super) fn io(doing: &str, error: &io::Error, path: &Path) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => StoreErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
            _ => StoreErrorKind::Io,
        };
        Self::new(kind, format!("{doing}: {error}"), kind.way_on(), path)
    }

    /// A failure inside SQLite, in words.
    pub(super) fn sqlite(doing: &str, error: &rusqlite::Error, path: &Path) -> Self {
        let kind = classify(error);
        let why = match kind {
            StoreErrorKind::Full => "the disk is full".to_owned(),
            StoreErrorKind::ReadOnly => "the file or its folder is read-only".to_owned(),
            StoreErrorKind::Busy => "another program holds the file".to_owned(),
            StoreErrorKind::Damaged => format!("the file is damaged ({error})"),
            _ => error.to_string(),
        };
        Self::new(kind, format!("{doing}: {why}"), kind.way_on(), path)
    }

    /// Whether trying the same again later can succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Full | StoreErrorKind::Busy | StoreErrorKind::Io | StoreErrorKind::ReadOnly)
    }
}

impl StoreErrorKind {
    /// One sentence on what to do.
    fn way_on(self) -> &'static str {
        match self {
            Self::Full => "Free some space; what is not saved stays in memory and is tried again",
            Self::ReadOnly => "Make the folder writable; until then nothing new is saved",
            Self::AlreadyOpen => "Use the other window, or close it and start this one again",
            Self::Newer => "Start the newer version; this one shows the data and changes nothing",
            Self::Damaged => "The file is kept aside and what can be read is carried over",
            Self::Busy | Self::Io => "What is not saved stays in memory and is tried again",
            Self::Refused => "Shorten the text, or copy it somewhere else",
        }
    }
}

/// Sorts SQLite's result codes by what can be done about them.
pub(super) fn classify(error: &rusqlite::Error) -> StoreErrorKind {
    let Some(code) = error.sqlite_error_code() else { return StoreErrorKind::Refused };
    match code {
        ErrorCode::DiskFull => StoreErrorKind::Full,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen => StoreErrorKind::ReadOnly,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => StoreErrorKind::Busy,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreErrorKind::Damaged,
        ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted => StoreErrorKind::Io,
        _ => StoreErrorKind::Refused,
    }
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoticeKind {
    /// A damaged file was moved aside and replaced
    Damaged,
    /// The file was made by a newer version and is only read
    Newer,
    /// Nothing can be saved in this session
    NotSaving,
    /// Another window holds the data
    AlreadyOpen,
    /// The data was brought to this version; a copy of the old is kept
    Migrated,
    /// Another program changed the file; both versions are kept
    ChangedOutside,
    /// Some values of a file were not understood and are replaced by defaults
    NotUnderstood,
}

/// Something to tell the user once, in a banner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened
    pub kind: NoticeKind,
    /// What happened and why, without a final stop
    pub message: String,
    /// What it means for the user, or what to do; may be empty
    pub hint: String,
    /// The file concerned (for a damaged one: where it is kept now)
    pub path: Option<PathBuf>,
}

impl Notice {
    pub(super) fn new(kind: NoticeKind, message: impl Into<String>, hint: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { kind, message: message.into(), hint: hint.into(), path: Some(path.into()) }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&sentence(&self.message, &self.hint, self.path.as_deref()))
    }
}

fn sentence(message: &str, hint: &str, path: Option<&Path>) -> String {
    let mut text = message.to_owned();
    if !hint.is_empty() {
        text.push_str(". ");
        text.push_str(hint);
    }
    if let Some(path) = path {
        text.push_str(": ");
        text.push_str(&path.display().to_string());
    }
    text
}
