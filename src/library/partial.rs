//! Files in the making: a temporary name beside the target, room on the disk, and no leftovers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Ending of every file that is not finished. Scans pass over it.
pub const ENDING: &str = "partial";

/// Name under which `target` is written until it is whole: beside it, with this process's id, ending in `.partial`.
pub fn partial_path(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.{ENDING}", std::process::id()));
    target.with_file_name(name)
}

/// Bytes that could be written to the disk `path` lies on. `path` need not exist yet.
///
/// # Errors
/// When neither the path nor any folder above it can be asked.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let nearest = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(nearest)?;
        // what is kept for the administrator is not ours to count on
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let nearest = nearest.canonicalize()?;
        let disks = sysinfo::Disks::new_with_refreshed_list().map_err(|error| io::Error::other(error.to_string()))?;
        let on = disks.iter().filter(|d| nearest.starts_with(d.mount_point())).max_by_key(|d| d.mount_point().as_os_str().len());
        on.map(sysinfo::Disk::available_space).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no disk holds this folder"))
    }
}

/// Whether two paths name one file, also through links. Two files that cannot be looked at are different.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let id = |path: &Path| fs::metadata(path).ok().map(|m| (m.dev(), m.ino()));
        id(a).is_some_and(|found| id(b) == Some(found))
    }
    #[cfg(not(unix))]
    {
        a.canonicalize().is_ok_and(|found| b.canonicalize().is_ok_and(|other| other == found))
    }
}

/// Removes unfinished files in `folder` whose process is gone. Returns what was removed; files of living processes, and names that are not
/// ours, stay.
pub fn remove_stale(folder: &Path) -> Vec<PathBuf> {
    let mut removed = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return removed };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_file = fs::symlink_metadata(&path).is_ok_and(|m| m.is_file());
        if is_file && writer_of(&path).is_some_and(|pid| !is_alive(pid)) && fs::remove_file(&path).is_ok() {
            removed.push(path);
        }
    }
    removed
}

/// The process that writes a file of [`partial_path`]'s naming.
fn writer_of(path: &Path) -> Option<u32> {
    let rest = path.file_name()?.to_str()?.strip_suffix(&format!(".{ENDING}"))?;
    let (name, pid) = rest.rsplit_once('.')?;
    (!name.is_empty()).then(|| pid.parse().ok())?
}

fn is_alive(pid: u32) -> bool {
    if cfg!(target_os = "linux") {
        return Path::new("/proc").join(pid.to_string()).exists();
    }
    let pid = sysinfo::Pid::from_u32(pid);
    // a system that cannot be asked keeps its files
    let Ok(mut system) = sysinfo::System::new() else { return true };
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), true);
    system.process(pid).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_names_lie_beside_their_target() {
        let name = partial_path(Path::new("/models/A.gguf"));
        assert_eq!(name.parent(), Some(Path::new("/models")));
        assert_eq!(name.extension().unwrap(), ENDING);
        assert_eq!(writer_of(&name), Some(std::process::id()));
    }

    #[test]
    fn only_leftovers_of_dead_processes_go() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, b"x").unwrap();
            path
        };
        // no system gives out this number
        let dead = file("A.gguf.4294967294.partial");
        let kept = [file("A.gguf"), file("mine.partial"), file(".7.partial"), partial_path(&dir.path().join("B.gguf"))];
        fs::write(&kept[3], b"x").unwrap();
        assert_eq!(remove_stale(dir.path()), std::slice::from_ref(&dead));
        assert!(!dead.exists());
        assert!(kept.iter().all(|path| path.exists()));
        assert!(remove_stale(&dir.path().join("none")).is_empty());
    }

    #[test]
    fn free_bytes_asks_the_nearest_folder() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(&dir.path().join("not/yet/there.gguf")).unwrap();
        assert!(free > 0);
    }

    #[test]
    fn same_file_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, b"x").unwrap();
        fs::write(&b, b"x").unwrap();
        assert!(is_same_file(&a, &a));
        assert!(!is_same_file(&a, &b));
        assert!(!is_same_file(&dir.path().join("c"), &dir.path().join("c")));
        #[cfg(unix)]
        {
            let link = dir.path().join("l");
            std::os::unix::fs::symlink(&a, &link).unwrap();
            assert!(is_same_file(&a, &link));
        }
    }
}
