//! Files that are whole or not there: atomic replacement, names for what is set aside, the lock that keeps out a second writer.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::notice::{StoreError, StoreErrorKind};

/// Unix time in milliseconds; 0 if the clock is before 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// `20261123-225117` (UTC) for file names.
///
/// Calendar from days by Howard Hinnant's `civil_from_days`.
pub(super) fn stamp(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}{month:02}{day:02}-{:02}{:02}{:02}", second / 3600, second / 60 % 60, second % 60)
}

/// `2026-11-23 22:51 UTC` for people.
pub(super) fn date_words(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second / 60 % 60)
}

fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The path with something put behind its whole name (`chats.db` + `-wal`).
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// A free name `NAME.TAG-TIME` beside the file.
pub(super) fn aside_name(path: &Path, tag: &str) -> PathBuf {
    let base = format!(".{tag}-{}", stamp(now_ms()));
    let mut candidate = with_suffix(path, &base);
    let mut n = 1;
    while candidate.symlink_metadata().is_ok() {
        n += 1;
        candidate = with_suffix(path, &format!("{base}-{n}"));
    }
    candidate
}

/// Makes the entries of a folder durable. A no-op where folders cannot be opened as files.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

/// Makes a folder and its parents, private to the user where the system knows how.
pub(super) fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// Replaces a file so that after a crash at any point either the old or the new content is there, whole.
///
/// Temporary file beside it, fsync, rename, fsync of the folder. A symbolic link is followed, so that linked settings stay linked.
///
/// # Errors
/// What the system reports; the old file is untouched then, and the temporary one is gone.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let dir = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let temp = with_suffix(&target, &format!(".{}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temp)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temp, &target)
    })();
    if let Err(error) = written {
        // Best effort: the write's own error is what matters
        let _ = fs::remove_file(&temp);
        return Err(error);
    }
    sync_dir(dir)
}

/// The right to write to a data folder, held as a kernel lock so that any death of the process frees it.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock without waiting.
    ///
    /// # Errors
    /// `AlreadyOpen` when another process holds it; `ReadOnly`, `Full` or `Io` when the lock file cannot be made or locked.
    pub(super) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StoreError::io("The data folder cannot be written", &error, &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::new(
                StoreErrorKind::AlreadyOpen,
                "Already open in another window",
                "Chats can be read here; write in the other window, or close it and start this one again",
                dir,
            )),
            Err(TryLockError::Error(error)) => Err(StoreError::new(
                StoreErrorKind::ReadOnly,
                format!("The data folder cannot be locked, so nothing is written to it: {error}"),
                "Keep it on a local disk; a network folder may not know locks",
                dir,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_calendar_dates() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(951_782_399_000), "20000228-235959");
        assert_eq!(stamp(1_709_164_800_000), "20240229-000000");
        assert_eq!(stamp(-1), "19691231-235959");
        assert_eq!(date_words(1_709_164_800_000), "2024-02-29 00:00 UTC");
    }

    #[test]
    fn atomic_write_replaces_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn atomic_write_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
    }

    #[test]
    fn names_for_what_is_set_aside_do_not_collide() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.toml");
        let first = aside_name(&path, "corrupt");
        fs::write(&first, "").unwrap();
        assert_ne!(aside_name(&path, "corrupt"), first);
    }

    #[test]
    fn one_lock_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::take(dir.path()).unwrap();
        assert_eq!(DirLock::take(dir.path()).unwrap_err().kind, StoreErrorKind::AlreadyOpen);
        drop(held);
        DirLock::take(dir.path()).unwrap();
    }
}
