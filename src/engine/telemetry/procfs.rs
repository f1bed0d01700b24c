//! Linux: straight from `/proc`, `/sys/fs/cgroup` and `/sys/class/drm`.

use std::fs;
use std::path::{Path, PathBuf};

use super::Reading;
use crate::protocol::MemorySample;

/// Reads counters of this machine.
pub struct Machine {
    page: u64,
    ticks: f64,
    cgroups: Vec<CgroupMemory>,
    gpu: Option<PathBuf>,
}

/// The files of one level of the memory controller, version 1 or 2.
struct CgroupMemory {
    limit: PathBuf,
    current: PathBuf,
    stat: PathBuf,
    /// What the kernel would give back under pressure, as `memory.stat` names it
    reclaimable: &'static str,
}

impl Machine {
    /// Finds what does not change: page size, clock, the cgroups this process is in, the first GPU that tells its memory.
    pub fn new() -> Self {
        let auxv = fs::read("/proc/self/auxv").unwrap_or_default();
        let page = aux_value(&auxv, 6).unwrap_or(4096);
        let ticks = aux_value(&auxv, 17).unwrap_or(100).max(1) as f64;
        let cgroups = cgroups(&fs::read_to_string("/proc/self/cgroup").unwrap_or_default(), Path::new("/sys/fs/cgroup"));
        Self { page, ticks, cgroups, gpu: first_gpu(Path::new("/sys/class/drm")) }
    }

    /// Everything, now.
    pub fn read(&mut self, engine: Option<u32>) -> Reading {
        let engine = engine.map(|pid| pid.to_string());
        let (total, available) = self.memory_of_machine();
        Reading {
            engine: engine.as_deref().and_then(|pid| self.memory(pid)),
            window: self.memory("self").unwrap_or_default(),
            engine_cpu: engine.as_deref().and_then(|pid| self.cpu(pid)),
            window_cpu: self.cpu("self").unwrap_or_default(),
            machine_cpu: machine_cpu(&fs::read_to_string("/proc/stat").unwrap_or_default(), self.ticks),
            available,
            total,
            gpu: self.gpu.as_deref().and_then(gpu_memory),
        }
    }

    fn memory(&self, process: &str) -> Option<MemorySample> {
        parse_statm(&fs::read_to_string(format!("/proc/{process}/statm")).ok()?, self.page)
    }

    fn cpu(&self, process: &str) -> Option<f64> {
        parse_cpu(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?, self.ticks)
    }

    fn memory_of_machine(&self) -> (u64, u64) {
        let (mut total, mut available) = parse_meminfo(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        for cgroup in &self.cgroups {
            let Some(limit) = number(&cgroup.limit).filter(|limit| *limit < total) else { continue };
            let stat = fs::read_to_string(&cgroup.stat).unwrap_or_default();
            let reclaimable = field(&stat, cgroup.reclaimable).unwrap_or(0);
            let used = number(&cgroup.current).unwrap_or(0).saturating_sub(reclaimable);
            total = limit;
            available = available.min(limit.saturating_sub(used));
        }
        (total, available)
    }
}

/// `size resident shared ...` in pages; `shared` counts the pages of files (`man 5 proc`).
fn parse_statm(text: &str, page: u64) -> Option<MemorySample> {
    let mut fields = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    let (rss, file) = (resident * page, shared.min(resident) * page);
    Some(MemorySample { rss, file, anonymous: rss - file })
}

/// `utime` and `stime` are the 14th and 15th field; the second is a name in brackets that may hold anything.
fn parse_cpu(text: &str, ticks: f64) -> Option<f64> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((user + system) as f64 / ticks)
}

/// Busy and all CPU seconds from the first line: `cpu user nice system idle iowait irq softirq steal guest guest_nice`. Guest time is in
/// user time already.
fn machine_cpu(text: &str, ticks: f64) -> (f64, f64) {
    let line = text.lines().next().unwrap_or_default();
    let values: Vec<u64> = line.split_ascii_whitespace().skip(1).take(8).map_while(|value| value.parse().ok()).collect();
    let all: u64 = values.iter().sum();
    let idle: u64 = values.iter().skip(3).take(2).sum();
    ((all - idle) as f64 / ticks, all as f64 / ticks)
}

/// `MemTotal` and `MemAvailable`, bytes.
fn parse_meminfo(text: &str) -> (u64, u64) {
    let bytes = |name| field(text, name).unwrap_or(0) * 1024;
    (bytes("MemTotal:"), bytes("MemAvailable:"))
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A value of the auxiliary vector (`man 3 getauxval`): pairs of native words.
fn aux_value(auxv: &[u8], wanted: u64) -> Option<u64> {
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| usize::from_ne_bytes(bytes) as u64);
    auxv.chunks_exact(2 * WORD).find_map(|pair| {
        let (name, value) = pair.split_at(WORD);
        if word(name) == Some(wanted) { word(value) } else { None }
    })
}

/// Every level whose limit applies, from `/proc/self/cgroup` (`0::/a/b` is version 2, `9:memory:/a/b` is version 1).
fn cgroups(text: &str, root: &Path) -> Vec<CgroupMemory> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let version_2 = controllers.is_empty();
        if !version_2 && !controllers.split(',').any(|controller| controller == "memory") {
            continue;
        }
        let base = if version_2 { root.to_path_buf() } else { root.join("memory") };
        // Inside a container the path may be the host's, which is not there: the namespace's root is.
        for level in Path::new(path.trim_start_matches('/')).ancestors() {
            let folder = base.join(level);
            let (limit, current, reclaimable) = if version_2 {
                ("memory.max", "memory.current", "inactive_file ")
            } else {
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
            };
            if folder.join(limit).exists() {
                let (limit, current, stat) = (folder.join(limit), folder.join(current), folder.join("memory.stat"));
                found.push(CgroupMemory { limit, current, stat, reclaimable });
            }
        }
    }
    found
}

/// The first card whose driver tells its memory here (amdgpu does).
fn first_gpu(root: &Path) -> Option<PathBuf> {
    let mut cards: Vec<PathBuf> = fs::read_dir(root).ok()?.flatten().map(|entry| entry.path().join("device")).collect();
    cards.sort();
    cards.into_iter().find(|device| device.join("mem_info_vram_total").exists())
}

fn gpu_memory(device: &Path) -> Option<(u64, u64)> {
    Some((number(&device.join("mem_info_vram_used"))?, number(&device.join("mem_info_vram_total"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read_right() {
        let memory = parse_statm("5000 1000 300 10 0 2000 0\n", 4096).unwrap();
        assert_eq!(memory, MemorySample { rss: 4_096_000, file: 1_228_800, anonymous: 2_867_200 });
        assert_eq!(parse_statm("", 4096), None);
        let stat = "77 (a) b) (c) S 1 77 77 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(parse_cpu(stat, 100.0), Some(3.0));
        assert_eq!(parse_cpu("77 (x", 100.0), None);
        assert_eq!(machine_cpu("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1 2", 100.0), (2.0, 10.0));
        assert_eq!(machine_cpu("", 100.0), (0.0, 0.0));
        assert_eq!(parse_meminfo("MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n"), (2 << 20, 1 << 20));
    }

    #[test]
    fn the_tightest_cgroup_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        for (folder, limit) in [(root.path().join("a"), "67108864\n"), (inner, "max\n")] {
            fs::write(folder.join("memory.max"), limit).unwrap();
            fs::write(folder.join("memory.current"), "33554432\n").unwrap();
            fs::write(folder.join("memory.stat"), "anon 1\ninactive_file 1048576\n").unwrap();
        }
        let cgroups = cgroups("0::/a/b\n", root.path());
        assert_eq!(cgroups.len(), 2);
        let machine = Machine { page: 4096, ticks: 100.0, cgroups, gpu: None };
        let (total, available) = machine.memory_of_machine();
        assert_eq!(total, 64 << 20);
        assert_eq!(available, (64 << 20) - (32 << 20) + (1 << 20));
    }

    #[test]
    fn constants_of_this_machine_are_plausible() {
        let machine = Machine::new();
        assert!(machine.page.is_power_of_two() && machine.page >= 4096);
        assert!(machine.ticks >= 50.0);
    }
}
