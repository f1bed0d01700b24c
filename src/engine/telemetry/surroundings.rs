//! What else the machine did while something was measured: other programs' share of the processors, the clock, the temperature.

use std::fs;
use std::path::{Path, PathBuf};

use super::energy;
use crate::protocol::Surroundings;

/// Fewest ticks of all processors together that a share is reckoned from: the counters step by one, so 40 are known to some per cent.
const FEWEST_TICKS: u64 = 40;

/// A stretch of time that is looked at. Linux only: elsewhere it says nothing.
pub struct Stretch {
    before: Option<Counters>,
    energy: Option<energy::Counters>,
}

/// Ticks since the machine started.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counters {
    busy: u64,
    all: u64,
    /// Of this process and of the one that started it, where that is this program, too
    own: u64,
}

impl Stretch {
    /// Begins now.
    pub fn begin() -> Self {
        Self { before: Counters::read(), energy: energy::Counters::read() }
    }

    /// What was seen since. Takes a fraction of a millisecond: not for the inside of what is measured.
    pub fn end(&self) -> Surroundings {
        // first: it goes on counting while the rest is read
        let package_joules = self.energy.as_ref().and_then(|before| energy::Counters::read()?.joules_since(before));
        let background = self.before.zip(Counters::read()).and_then(|(before, now)| share(before, now));
        Surroundings { background, clock_mhz: clock_mhz(), celsius: celsius(), package_joules }
    }
}

/// The share of all processors that was not ours. Ticks of the machine are counted where a tick finds the processor, those of a process
/// exactly, so that the difference can come out a little below zero.
fn share(before: Counters, now: Counters) -> Option<f64> {
    let since = |now: u64, before: u64| now.saturating_sub(before);
    let (all, busy, own) = (since(now.all, before.all), since(now.busy, before.busy), since(now.own, before.own));
    (all >= FEWEST_TICKS).then(|| busy.saturating_sub(own) as f64 / all as f64)
}

impl Counters {
    fn read() -> Option<Self> {
        let (busy, all) = machine(&fs::read_to_string("/proc/stat").ok()?)?;
        let own = process("self")? + parent().and_then(|pid| process(&pid)).unwrap_or(0);
        Some(Self { busy, all, own })
    }
}

/// Busy and all ticks: `cpu user nice system idle iowait irq softirq steal ...`. Time that a hypervisor gave to others (steal) is busy.
fn machine(stat: &str) -> Option<(u64, u64)> {
    let values: Vec<u64> = stat.lines().next()?.split_ascii_whitespace().skip(1).take(8).map_while(|value| value.parse().ok()).collect();
    let all: u64 = values.iter().sum();
    let idle: u64 = values.get(3)? + values.get(4)?;
    Some((all - idle, all))
}

/// Ticks of a process, its ended children left out.
fn process(pid: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

/// The process that started this one, when it runs the same program.
fn parent() -> Option<String> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let pid = rest.split_ascii_whitespace().nth(1)?.to_owned();
    let program = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
    (program(&pid)? == program("self")?).then_some(pid)
}

/// The processors' mean clock: what the governor says, else what `/proc/cpuinfo` does (a constant on most virtual machines).
fn clock_mhz() -> Option<f64> {
    let governed = (0..1024)
        .map(|cpu| PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")))
        .map_while(|path| number(&path))
        .map(|khz| khz / 1e3);
    mean(governed).or_else(|| {
        let info = fs::read_to_string("/proc/cpuinfo").ok()?;
        let lines = info.lines().filter(|line| line.starts_with("cpu MHz"));
        mean(lines.filter_map(|line| line.split_once(':')?.1.trim().parse::<f64>().ok()))
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// The hottest sensor of the processor.
fn celsius() -> Option<f64> {
    let chips = fs::read_dir("/sys/class/hwmon").ok()?.flatten().map(|entry| entry.path());
    let of_cpu = chips.filter(|chip| {
        let name = fs::read_to_string(chip.join("name")).unwrap_or_default();
        matches!(name.trim(), "coretemp" | "k10temp" | "zenpower" | "cpu_thermal" | "cpu-thermal" | "soc_thermal")
    });
    let sensors = of_cpu.flat_map(|chip| (1..=64).map_while(move |n| number(&chip.join(format!("temp{n}_input")))));
    sensors.map(|millidegrees| millidegrees / 1e3).filter(|degrees| (1.0..150.0).contains(degrees)).reduce(f64::max)
}

fn number(path: &Path) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_background() {
        let before = Counters { busy: 100, all: 1000, own: 50 };
        assert_eq!(share(before, Counters { busy: 150, all: 1100, own: 75 }), Some(0.25));
        assert_eq!(share(before, Counters { busy: 150, all: 1100, own: 110 }), Some(0.0), "never under zero");
        assert_eq!(share(before, Counters { busy: 110, all: 1020, own: 50 }), None, "too short to say");
        assert_eq!(machine("cpu  10 1 5 80 4 1 1 2 9 9\ncpu0 1\n"), Some((20, 104)));
        assert_eq!(machine("cpu 1 2"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_is_read() {
        let stretch = Stretch::begin();
        let began = std::time::Instant::now();
        while began.elapsed().as_millis() < 300 {
            std::hint::spin_loop();
        }
        let seen = stretch.end();
        assert!(seen.background.is_none_or(|share| (0.0..=1.0).contains(&share)), "{seen:?}");
        assert!(seen.clock_mhz.is_none_or(|mhz| mhz > 10.0), "{seen:?}");
        assert!(seen.package_joules.is_none_or(|joules| (0.0..1e4).contains(&joules)), "{seen:?}");
    }
}
