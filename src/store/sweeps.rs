//! Sweeps that are not done: one JSON file each, replaced as a whole after every measurement, so that they resume after any death.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files;

/// Most bytes of a file that is read as a sweep.
const MAX_FILE: u64 = 256 << 20;

/// A sweep on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSweep {
    /// Its name, which is that of its file
    pub name: String,
    /// Where it is
    pub path: PathBuf,
    /// When it was last written
    pub modified: Option<SystemTime>,
}

/// The folder of sweeps in a data folder.
pub fn folder(data: &Path) -> PathBuf {
    data.join("sweeps")
}

/// Where a sweep of this name is kept. Characters that a file name cannot have everywhere become `-`.
pub fn file(data: &Path, name: &str) -> PathBuf {
    let safe = |c: char| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.trim_start_matches('.').chars().map(safe).take(120).collect();
    folder(data).join(format!("{name}.json"))
}

/// Writes a sweep, so that after a crash at any point the old or the new one is there, whole.
///
/// # Errors
/// What the system reports; the old file is untouched then.
pub fn keep(path: &Path, json: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        files::create_private_dir(folder)?;
    }
    files::write_atomic(path, json.as_bytes())
}

/// Reads a sweep.
///
/// # Errors
/// What the system reports, and `InvalidData` for a file that is too large to be one.
pub fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too large to be a sweep"));
    }
    fs::read_to_string(path)
}

/// Removes a sweep that is done. One that is not there is as good as removed.
///
/// # Errors
/// What the system reports.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The sweeps that are kept, the one written last first. A folder that cannot be read has none.
pub fn list(data: &Path) -> Vec<KeptSweep> {
    let Ok(entries) = fs::read_dir(folder(data)) else { return Vec::new() };
    let kept = |entry: fs::DirEntry| {
        let path = entry.path();
        let name = path.file_stem()?.to_str()?.to_owned();
        (path.extension()? == "json").then(|| KeptSweep {
            name,
            modified: entry.metadata().ok().and_then(|meta| meta.modified().ok()),
            path,
        })
    };
    let mut all: Vec<KeptSweep> = entries.flatten().filter_map(kept).collect();
    all.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.name.cmp(&b.name)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_can_be_removed() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(list(data.path()), []);
        let path = file(data.path(), "sweep 2026/11: a");
        assert_eq!(path.file_name().unwrap(), "sweep-2026-11--a.json");
        keep(&path, "{}").unwrap();
        keep(&path, "{\"a\":1}").unwrap();
        assert_eq!(read(&path).unwrap(), "{\"a\":1}");
        let all = list(data.path());
        assert_eq!((all.len(), all[0].name.as_str()), (1, "sweep-2026-11--a"));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert_eq!(list(data.path()), []);
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let data = Path::new("/data");
        for name in ["../../etc/passwd", "/etc/passwd", "..", "a/../../b"] {
            assert_eq!(file(data, name).parent().unwrap(), folder(data), "{name}");
        }
    }
}
