//! What the machine is doing, sampled at a rate that costs nothing worth measuring (a few small reads per sample).

#[cfg(feature = "llama")]
mod energy;
#[cfg(any(not(target_os = "linux"), test))]
mod portable;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(feature = "llama")]
pub mod surroundings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

#[cfg(not(target_os = "linux"))]
use portable::Machine;
#[cfg(target_os = "linux")]
use procfs::Machine;

use super::outbox::Outbox;
use crate::protocol::{Event, MemorySample, Sample};

/// How often to sample, while the engine works and while it does not. Shared with whoever shows or records the samples.
#[derive(Debug)]
pub struct Pace {
    busy_ms: AtomicU64,
    idle_ms: AtomicU64,
    busy: AtomicBool,
    poke: (Sender<()>, Receiver<()>),
}

impl Default for Pace {
    fn default() -> Self {
        let (busy_ms, idle_ms) = (AtomicU64::new(500), AtomicU64::new(2000));
        Self { busy_ms, idle_ms, busy: AtomicBool::new(false), poke: bounded(1) }
    }
}

impl Pace {
    /// Sets both intervals; under 10 ms counts as 10 ms.
    pub fn set(&self, busy: Duration, idle: Duration) {
        let millis = |interval: Duration| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(10);
        self.busy_ms.store(millis(busy), Ordering::Relaxed);
        self.idle_ms.store(millis(idle), Ordering::Relaxed);
        self.poke();
    }

    /// Takes a sample now.
    pub fn poke(&self) {
        // A poke that has not been noticed yet is as good as two.
        let _already = self.poke.0.try_send(());
    }

    /// Whether the engine works; a change is sampled at once, so that a plot shows when work began.
    pub(super) fn set_busy(&self, busy: bool) {
        if self.busy.swap(busy, Ordering::Relaxed) != busy {
            self.poke();
        }
    }

    fn interval(&self) -> Duration {
        let millis = if self.busy.load(Ordering::Relaxed) { &self.busy_ms } else { &self.idle_ms };
        Duration::from_millis(millis.load(Ordering::Relaxed))
    }
}

/// CPU seconds that this process has used so far, user and system, in steps of 10 ms; `None` where the system does not say.
pub fn own_cpu_seconds() -> Option<f64> {
    let seconds = Machine::new().read(None).window_cpu;
    (seconds > 0.0).then_some(seconds)
}

/// Counters of one moment; rates come from two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reading {
    /// Memory of the engine's process
    engine: Option<MemorySample>,
    /// Memory of this process
    window: MemorySample,
    /// CPU seconds of the engine's process
    engine_cpu: Option<f64>,
    /// CPU seconds of this process
    window_cpu: f64,
    /// Seconds all CPUs together were busy, and seconds that passed on all of them
    machine_cpu: (f64, f64),
    /// See [`Sample::available`]
    available: u64,
    /// See [`Sample::total`]
    total: u64,
    /// See [`Sample::gpu`]
    gpu: Option<(u64, u64)>,
}

/// The sampler's thread; dropping it ends the sampling.
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Samples until dropped. `engine` tells the engine's process id, if it has a process. `None` when the system gives no thread: samples
    /// are a comfort, not a need.
    pub(super) fn spawn(outbox: Outbox, pace: Arc<Pace>, engine: impl Fn() -> Option<u32> + Send + 'static) -> Option<Self> {
        let (stop, stopped) = bounded::<()>(0);
        let body = move || sample(&outbox, &pace, &stopped, engine);
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(body).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn sample(outbox: &Outbox, pace: &Pace, stopped: &Receiver<()>, engine: impl Fn() -> Option<u32>) {
    let mut machine = Machine::new();
    let start = Instant::now();
    let mut earlier: Option<(Instant, Option<u32>, Reading)> = None;
    loop {
        let (now, pid) = (Instant::now(), engine());
        let reading = machine.read(pid);
        // Two readings too close together say nothing about a rate: the counters tick every 10 ms.
        let before = earlier.filter(|(at, ..)| now - *at >= Duration::from_millis(40));
        if before.is_some() || earlier.is_none() {
            let rates = before.map(|(at, before_pid, reading)| (now - at, before_pid == pid, reading));
            outbox.push(Event::Sample { sample: derive((now - start).as_secs_f64(), &reading, rates) });
            earlier = Some((now, pid, reading));
        }
        let next = pace.interval();
        crossbeam_channel::select! {
            recv(stopped) -> _ => return,
            recv(pace.poke.1) -> _ => {}
            default(next) => {}
        }
    }
}

/// A sample from a reading and the one before it (time between them, whether it was of the same engine).
fn derive(at: f64, now: &Reading, before: Option<(Duration, bool, Reading)>) -> Sample {
    let mut sample = Sample {
        at,
        engine: now.engine,
        window: now.window,
        available: now.available,
        total: now.total,
        gpu: now.gpu,
        ..Sample::default()
    };
    if let Some((elapsed, same_engine, before)) = before {
        let percent = |later: f64, earlier: f64| (100.0 * (later - earlier).max(0.0) / elapsed.as_secs_f64().max(1e-3)) as f32;
        sample.window_cpu_percent = Some(percent(now.window_cpu, before.window_cpu));
        if let (Some(later), Some(earlier), true) = (now.engine_cpu, before.engine_cpu, same_engine) {
            sample.engine_cpu_percent = Some(percent(later, earlier));
        }
        let (busy, passed) = (now.machine_cpu.0 - before.machine_cpu.0, now.machine_cpu.1 - before.machine_cpu.1);
        if passed > 0.0 {
            sample.machine_cpu_percent = Some((100.0 * busy / passed).clamp(0.0, 100.0) as f32);
        }
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's process is this one here.
    fn check_machine(reading: &Reading) {
        assert!(reading.total > 64 << 20 && reading.available <= reading.total, "{reading:?}");
        assert!(reading.window.rss > 1 << 20, "{reading:?}");
        assert_eq!(reading.window.rss, reading.window.anonymous + reading.window.file, "{reading:?}");
        // Other tests allocate meanwhile.
        assert!(reading.engine.is_some_and(|engine| engine.rss.abs_diff(reading.window.rss) < 256 << 20), "{reading:?}");
        assert!(reading.engine_cpu.is_some());
    }

    #[test]
    fn both_ways_of_reading_agree_about_this_machine() {
        let own = std::process::id();
        check_machine(&Machine::new().read(Some(own)));
        check_machine(&portable::Machine::new().read(Some(own)));
        assert_eq!(Machine::new().read(None).engine, None);
        assert_eq!(portable::Machine::new().read(None).engine, None);
    }

    #[test]
    fn rates_come_from_differences() {
        let reading =
            |cpu: f64| Reading { window_cpu: cpu, engine_cpu: Some(2.0 * cpu), machine_cpu: (3.0 * cpu, 8.0 * cpu), ..Reading::default() };
        let sample = derive(1.0, &reading(1.5), Some((Duration::from_secs(1), true, reading(1.0))));
        assert_eq!(
            (sample.window_cpu_percent, sample.engine_cpu_percent, sample.machine_cpu_percent),
            (Some(50.0), Some(100.0), Some(37.5))
        );
        let other_engine = derive(1.0, &reading(1.5), Some((Duration::from_secs(1), false, reading(1.0))));
        assert_eq!(other_engine.engine_cpu_percent, None, "a new process has its own counters");
        assert_eq!(derive(0.0, &reading(1.0), None).window_cpu_percent, None, "one reading is no rate");
    }

    #[test]
    fn it_follows_the_pace_and_ends_when_dropped() {
        let (outbox, events) = Outbox::new(Arc::new(|| {})).unwrap();
        let pace = Arc::new(Pace::default());
        pace.set(Duration::from_millis(50), Duration::from_millis(50));
        let sampler = Sampler::spawn(outbox, Arc::clone(&pace), || Some(std::process::id())).unwrap();
        let samples: Vec<Sample> = (0..5)
            .map(|_| match events.recv_timeout(Duration::from_secs(2)).unwrap() {
                Event::Sample { sample } => sample,
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(samples.windows(2).all(|pair| pair[1].at - pair[0].at >= 0.04), "{samples:?}");
        pace.set(Duration::from_secs(60), Duration::from_secs(60));
        let start = Instant::now();
        drop(sampler);
        assert!(start.elapsed() < Duration::from_millis(500), "it does not sleep its interval out");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_sample_costs_next_to_nothing() {
        let mut machine = Machine::new();
        let own = Some(std::process::id());
        let before = machine.read(own).window_cpu;
        for _ in 0..500 {
            machine.read(own);
        }
        let each = (machine.read(own).window_cpu - before) / 500.0;
        // Twice a second: 0.1 % of a core is 0.5 ms each.
        assert!(each < 0.000_5, "{each} s a sample");
    }
}
