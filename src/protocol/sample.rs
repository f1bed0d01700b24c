//! What the machine is doing.

use serde::{Deserialize, Serialize};

/// One process's memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemorySample {
    /// Resident set
    pub rss: u64,
    /// Of it, private and anonymous
    pub anonymous: u64,
    /// Of it, pages of files (mapped weights, the program itself)
    pub file: u64,
}

/// What the machine is doing, sampled by the supervising process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the sampler began
    pub at: f64,
    /// The engine process, if it runs
    pub engine: Option<MemorySample>,
    /// This process
    pub window: MemorySample,
    /// CPU of the engine process: 100 = one core. A rate, so it needs two readings of the same process
    pub engine_cpu_percent: Option<f32>,
    /// CPU of this process: 100 = one core
    pub window_cpu_percent: Option<f32>,
    /// CPU of the whole machine, 100 = all cores busy
    pub machine_cpu_percent: Option<f32>,
    /// Memory that could be had: `MemAvailable`, or less where a cgroup limits it
    pub available: u64,
    /// Memory of the machine, or the cgroup's limit
    pub total: u64,
    /// Used and total memory of the first GPU, where one has it
    pub gpu: Option<(u64, u64)>,
}
