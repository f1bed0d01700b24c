//! Where there is no `/proc`: sysinfo's view, which knows no split into anonymous and file pages.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::Reading;
use crate::protocol::MemorySample;

/// Reads counters of this machine.
pub struct Machine {
    system: Option<System>,
    /// Busy and passed CPU seconds so far; sysinfo only gives the share since the last look
    machine_cpu: (f64, f64),
}

impl Machine {
    /// A first look.
    pub fn new() -> Self {
        Self { system: System::new().ok(), machine_cpu: (0.0, 0.0) }
    }

    /// Everything, now. All zero where sysinfo does not know the system.
    pub fn read(&mut self, engine: Option<u32>) -> Reading {
        let Some(system) = &mut self.system else { return Reading::default() };
        let own = Pid::from_u32(std::process::id());
        let engine = engine.map(Pid::from_u32);
        // sysinfo takes a process that is named twice for a dead one.
        let wanted: Vec<Pid> = engine.into_iter().filter(|pid| *pid != own).chain([own]).collect();
        system.refresh_memory();
        system.refresh_cpu_usage();
        let kind = ProcessRefreshKind::nothing().with_memory().with_cpu();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), true, kind);
        self.machine_cpu.0 += f64::from(system.global_cpu_usage()) / 100.0;
        self.machine_cpu.1 += 1.0;
        let memory = |pid: Pid| {
            let rss = system.process(pid)?.memory();
            Some(MemorySample { rss, anonymous: rss, file: 0 })
        };
        let cpu = |pid: Pid| Some(system.process(pid)?.accumulated_cpu_time() as f64 / 1000.0);
        Reading {
            engine: engine.and_then(memory),
            window: memory(own).unwrap_or_default(),
            engine_cpu: engine.and_then(cpu),
            window_cpu: cpu(own).unwrap_or_default(),
            machine_cpu: self.machine_cpu,
            available: system.available_memory(),
            total: system.total_memory(),
            gpu: None,
        }
    }
}
