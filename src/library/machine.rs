//! How much memory could be had on this machine: what the system says is available, and less where a control group limits it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Memory of the machine, or of the control group this process lives in. Bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineMemory {
    /// All there is, or the group's limit
    pub total: u64,
    /// What could be had without swapping: `MemAvailable`, or what the group has left
    pub available: u64,
    /// Whether a control group sets the limit (a container, a service)
    pub limited: bool,
}

impl MachineMemory {
    /// Asks the system. Zeros where it does not say.
    pub fn read() -> Self {
        if cfg!(target_os = "linux") {
            let found = Self::read_from(Path::new("/proc"), Path::new("/sys/fs/cgroup"));
            if found.total > 0 {
                return found;
            }
        }
        let Ok(mut system) = sysinfo::System::new() else { return Self::default() };
        system.refresh_memory();
        let total = system.total_memory();
        // some systems report nothing as available; what is free is the careful reading
        let available = if system.available_memory() > 0 { system.available_memory() } else { system.free_memory() };
        Self { total, available, limited: false }
    }

    /// Reads `meminfo` and `self/cgroup` under `proc`, and the groups' files under `groups` (version 2, or version 1 with a `memory`
    /// folder).
    pub fn read_from(proc: &Path, groups: &Path) -> Self {
        let meminfo = fs::read_to_string(proc.join("meminfo")).unwrap_or_default();
        let total = meminfo_bytes(&meminfo, "MemTotal");
        let available = meminfo_bytes(&meminfo, "MemAvailable");
        let mut memory = Self { total, available: available.min(total), limited: false };
        let membership = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
        for folder in group_folders(&membership, groups) {
            memory.limit(group_limit(&folder));
        }
        memory
    }

    fn limit(&mut self, group: Option<(u64, u64)>) {
        // a group without a limit of its own says a number beyond any memory
        let Some((limit, used)) = group.filter(|(limit, _)| *limit < self.total) else { return };
        let left = limit.saturating_sub(used);
        self.total = limit;
        self.available = self.available.min(left);
        self.limited = true;
    }
}

fn meminfo_bytes(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib.saturating_mul(1024))
}

/// The folders of the group and of the groups around it, outermost last: each may set a limit.
fn group_folders(membership: &str, groups: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let root = match controllers {
            "" => groups.to_path_buf(),
            list if list.split(',').any(|c| c == "memory") => groups.join("memory"),
            _ => continue,
        };
        let inner: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != "..").collect();
        for depth in (0..=inner.len()).rev() {
            folders.push(inner.iter().take(depth).fold(root.clone(), |folder, part| folder.join(part)));
        }
    }
    folders
}

/// Limit and use of one group, bytes. Cached file pages that can be dropped do not count as used.
fn group_limit(folder: &Path) -> Option<(u64, u64)> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let droppable = |key: &str| {
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    if let Some(limit) = number("memory.max") {
        return Some((limit, number("memory.current").unwrap_or(0).saturating_sub(droppable("inactive_file"))));
    }
    let limit = number("memory.limit_in_bytes")?;
    Some((limit, number("memory.usage_in_bytes").unwrap_or(0).saturating_sub(droppable("total_inactive_file"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, MachineMemory) {
        let dir = tempfile::tempdir().unwrap();
        let meminfo = ("proc/meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    800 kB\n");
        for (name, text) in files.iter().chain([&meminfo]) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = MachineMemory::read_from(&dir.path().join("proc"), &dir.path().join("cg"));
        (dir, memory)
    }

    #[test]
    fn without_groups_the_system_speaks() {
        let (_dir, memory) = machine(&[]);
        assert_eq!(memory, MachineMemory { total: 1000 << 10, available: 800 << 10, limited: false });
    }

    #[test]
    fn a_group_around_ours_limits_too() {
        let (_dir, memory) = machine(&[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("cg/outer/inner/memory.max", "max\n"),
            ("cg/outer/memory.max", "512000\n"),
            ("cg/outer/memory.current", "400000\n"),
            ("cg/outer/memory.stat", "anon 1\ninactive_file 100000\n"),
        ]);
        assert_eq!(memory, MachineMemory { total: 512_000, available: 212_000, limited: true });
    }

    #[test]
    fn version_one_is_read_as_well() {
        let (_dir, memory) = machine(&[
            ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/box\n"),
            ("cg/memory/box/memory.limit_in_bytes", "300000\n"),
            ("cg/memory/box/memory.usage_in_bytes", "250000\n"),
            ("cg/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(memory, MachineMemory { total: 300_000, available: 50_000, limited: true });
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = MachineMemory::read();
        assert!(memory.total > 64 << 20 && memory.available > 0 && memory.available <= memory.total, "{memory:?}");
    }
}
