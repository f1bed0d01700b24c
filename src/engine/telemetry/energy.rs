//! Energy that the processor's packages have taken, where the system tells it: RAPL's counters in Linux's powercap
//! (`Documentation/power/powercap/powercap.rst`), which most systems let only the administrator read.

use std::fs;
use std::path::Path;

/// Where the counters are.
const POWERCAP: &str = "/sys/class/powercap";

/// Counters of all packages at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters(Vec<Counter>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Counter {
    /// The package's folder
    name: String,
    /// Microjoules so far
    energy: u64,
    /// Where it begins anew, microjoules
    range: u64,
}

impl Counters {
    /// Reads them; `None` where there are none, or one cannot be read.
    pub fn read() -> Option<Self> {
        Self::read_at(Path::new(POWERCAP))
    }

    fn read_at(root: &Path) -> Option<Self> {
        let mut all = Vec::new();
        for entry in fs::read_dir(root).ok()?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
            // the same counter may be there a second time, by another way (intel-rapl-mmio), and what is in a package has counters too
            let is_package = name.starts_with("intel-rapl:") && read("name").is_some_and(|name| name.starts_with("package"));
            if is_package {
                let number = |file: &str| read(file)?.trim().parse().ok();
                all.push(Counter { energy: number("energy_uj")?, range: number("max_energy_range_uj")?, name });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        (!all.is_empty()).then_some(Self(all))
    }

    /// Joules that all packages took from the first reading to this one. A counter begins anew at its range; more than once between two
    /// readings would take minutes.
    pub fn joules_since(&self, before: &Self) -> Option<f64> {
        if self.0.len() != before.0.len() {
            return None;
        }
        let mut microjoules = 0u64;
        for (now, before) in self.0.iter().zip(&before.0) {
            let since = match now.energy.checked_sub(before.energy) {
                Some(since) => since,
                None => now.range.checked_sub(before.energy)?.checked_add(now.energy)?,
            };
            microjoules = microjoules.checked_add(since).filter(|_| now.name == before.name)?;
        }
        Some(microjoules as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(root: &Path, folder: &str, name: &str, energy: &str) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in [("name", name), ("energy_uj", energy), ("max_energy_range_uj", "262143328850\n")] {
            fs::write(folder.join(file), text).unwrap();
        }
    }

    #[test]
    fn packages_are_added_up_and_begin_anew_at_their_range() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Counters::read_at(root.path()), None, "no counter");
        package(root.path(), "intel-rapl:0", "package-0\n", "1000000\n");
        package(root.path(), "intel-rapl:1", "package-1\n", "262143328849\n");
        package(root.path(), "intel-rapl:0:0", "core\n", "7\n");
        package(root.path(), "intel-rapl-mmio:0", "package-0\n", "9\n");
        package(root.path(), "dtpm", "dtpm\n", "5\n");
        let before = Counters::read_at(root.path()).unwrap();
        package(root.path(), "intel-rapl:0", "package-0\n", "3500000\n");
        package(root.path(), "intel-rapl:1", "package-1\n", "499999\n");
        let now = Counters::read_at(root.path()).unwrap();
        assert_eq!(now.joules_since(&before), Some(3.0));
        assert_eq!(before.joules_since(&before), Some(0.0));
        // one that is not to be read makes the sum unknown, not smaller
        fs::remove_file(root.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert_eq!(Counters::read_at(root.path()), None);
        package(root.path(), "intel-rapl:1", "package-1\n", "much\n");
        assert_eq!(Counters::read_at(root.path()), None);
    }
}
