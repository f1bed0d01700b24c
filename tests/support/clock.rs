//! What a frame costs, whatever else the machine does.

use std::time::Instant;

/// Time that this thread has computed, milliseconds; wall time since `since` where there is no /proc.
pub fn computed_ms(since: Instant) -> f64 {
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = on_cpu.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| since.elapsed().as_secs_f64() * 1000.0, |nanoseconds| nanoseconds / 1e6)
}
