//! How often a frame is worth its price.
//!
//! Without a GPU the window is drawn by the CPU that also runs the model, and the engine's threads spin at barriers, so a stolen
//! millisecond costs twice. The rate therefore follows what a frame was measured to cost this process.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Share of one core that painting may take while a CPU engine runs.
const BUDGET: f64 = 0.015;
/// Fastest and slowest rate while something streams, milliseconds a frame.
const FASTEST_MS: f64 = 33.0;
/// See `FASTEST_MS`.
const SLOWEST_MS: f64 = 1000.0;

/// The rate, shared between the thread that is told of events and the one that paints.
#[derive(Debug)]
pub struct Pacing {
    interval_ms: AtomicU32,
    frames: AtomicU64,
    held: AtomicBool,
}

impl Pacing {
    /// A first guess: software rendering is slow until measured otherwise.
    pub fn new(is_software: bool) -> Self {
        Self { interval_ms: AtomicU32::new(if is_software { 250 } else { 33 }), frames: AtomicU64::new(0), held: AtomicBool::new(false) }
    }

    /// A frame was painted.
    pub fn frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    /// Frames painted so far.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Learns from a stretch of time: this many frames, `seconds` long, at `cpu_percent` of a core.
    pub fn learn(&self, frames: u64, seconds: f64, cpu_percent: f64) {
        if frames == 0 || seconds <= 0.0 {
            return;
        }
        let cost_ms = cpu_percent / 100.0 * seconds * 1000.0 / frames as f64;
        let wanted = (cost_ms / BUDGET).clamp(FASTEST_MS, SLOWEST_MS);
        let before = f64::from(self.interval_ms.load(Ordering::Relaxed));
        // half-way each time: one slow frame does not freeze the window
        self.interval_ms.store(((before + wanted) / 2.0) as u32, Ordering::Relaxed);
    }

    /// Whether frames are held back, whatever happens: while something else is measured.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// See [`Pacing::hold`].
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether a frame costs the engine's cores something that is felt.
    pub fn is_dear(&self) -> bool {
        f64::from(self.interval_ms.load(Ordering::Relaxed)) > 2.0 * FASTEST_MS
    }

    /// Time between frames while something streams.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(u64::from(self.interval_ms.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dear_frames_come_seldom_and_cheap_ones_often() {
        let pacing = Pacing::new(true);
        for _ in 0..10 {
            pacing.learn(5, 1.0, 10.0);
        }
        // 20 ms a frame at 1.5 % of a core: more than the slowest rate
        assert!(pacing.interval() >= Duration::from_millis(950), "{:?}", pacing.interval());
        for _ in 0..10 {
            pacing.learn(30, 1.0, 1.0);
        }
        assert!(pacing.interval() <= Duration::from_millis(40), "{:?}", pacing.interval());
    }

    #[test]
    fn no_frames_teach_nothing() {
        let pacing = Pacing::new(false);
        pacing.learn(0, 1.0, 90.0);
        assert_eq!(pacing.interval(), Duration::from_millis(33));
    }
}
