//! What a frame costs, whatever else the machine does.

use std::time::Instant;

/// The kernel counts a running thread's time by ticks of at most this, milliseconds.
const TICK_MS: f64 = 4.0;

/// A stretch of work of this thread.
pub struct Work {
    began: Instant,
    computed: Option<f64>,
}

impl Work {
    /// It begins.
    pub fn begin() -> Self {
        Self { computed: computed_ms(), began: Instant::now() }
    }

    /// What it cost at most, milliseconds: the time that went by, or, where the thread was kept waiting, the time it was counted as
    /// computing and a tick.
    pub fn cost_ms(&self) -> f64 {
        let wall = self.began.elapsed().as_secs_f64() * 1000.0;
        computed_ms().zip(self.computed).map_or(wall, |(now, before)| wall.min(now - before + TICK_MS))
    }
}

fn computed_ms() -> Option<f64> {
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(on_cpu.split_whitespace().next()?.parse::<f64>().ok()? / 1e6)
}
