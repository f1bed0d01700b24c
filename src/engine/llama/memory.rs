//! What a model takes, from the buffer sizes that llama.cpp logs.

use crate::protocol::{LogLevel, MemoryUse};

/// Adds up every buffer line of a load: model buffers of all kinds (CPU, CPU_Mapped, CPU_REPACK, AMX, GPUs), key/value and recurrent
/// state, compute and output buffers.
///
/// Weights that a CPU kernel wants in another layout are copied (CPU_REPACK, AMX), and their pages of a mapped file are not looked at
/// again: the system takes them back when it needs the room. So they count once, unless the file is `locked` in memory.
///
/// llama.cpp prints MiB with two decimals, so the sums are exact to 5 KiB a buffer.
pub(super) fn from_lines(lines: &[(LogLevel, String)], locked: bool) -> MemoryUse {
    let mut memory = MemoryUse::default();
    let (mut mapped, mut copied) = (0u64, 0u64);
    for (_, line) in lines {
        if let Some(bytes) = after(line, "model buffer size = ") {
            match line {
                line if line.contains("CPU_Mapped") => mapped += bytes,
                line if line.contains("CPU_REPACK") || line.contains(" AMX ") => copied += bytes,
                _ => memory.weights += bytes,
            }
        } else if let Some(bytes) =
            after(line, "KV buffer size = ").or_else(|| after(line, "RS buffer size = ")).or_else(|| after(line, "state buffer size = "))
        {
            memory.kv += bytes;
        } else if let Some(bytes) = after(line, "compute buffer size = ").or_else(|| after(line, "output buffer size = ")) {
            memory.compute += bytes;
        }
    }
    memory.weights += copied + if locked { mapped } else { mapped.saturating_sub(copied) };
    memory
}

/// The same for a model that was loaded without allocating: its model and cache buffers are dummies of size 0, so the cache comes from
/// the summary line of the cache (`size = 12.00 MiB ( 512 cells, ...`), and the weights from `llama_model_size`.
pub(super) fn from_dry_lines(lines: &[(LogLevel, String)], weights: u64) -> MemoryUse {
    let logged = from_lines(lines, false);
    let summary: u64 = lines.iter().filter(|(_, line)| line.contains(" cells,")).filter_map(|(_, line)| after(line, ": size = ")).sum();
    MemoryUse { weights: logged.weights.max(weights), kv: logged.kv.max(summary), compute: logged.compute }
}

/// The bytes of `... <label>  12.34 MiB ...`.
fn after(line: &str, label: &str) -> Option<u64> {
    let (_, rest) = line.split_once(label)?;
    let mut words = rest.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = match words.next()? {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some((number * unit) as u64)
}

/// Has the system forget the largest resident set so far, so that [`peak_rss`] is about what comes (Linux: `clear_refs` of proc(5)). Where
/// it cannot, the peak stays that of the whole process.
pub(super) fn forget_peak_rss() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The largest resident set of this process since [`forget_peak_rss`], bytes; 0 where the system does not say.
pub(super) fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|rest| {
        let kib: u64 = rest.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    });
    peak.or_else(|| {
        let pid = sysinfo::get_current_pid().ok()?;
        let mut system = sysinfo::System::new().ok()?;
        system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[pid]), false);
        Some(system.process(pid)?.memory())
    })
    .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(LogLevel, String)> {
        text.lines().map(|line| (LogLevel::Info, line.to_owned())).collect()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_peak_can_be_forgotten() {
        let before = peak_rss();
        let block = vec![1u8; 256 << 20];
        assert!(std::hint::black_box(&block).len() > 1);
        let high = peak_rss();
        assert!(high >= before + (200 << 20) || high >= 256 << 20, "{before} {high}");
        drop(block);
        forget_peak_rss();
        assert!(peak_rss() + (128 << 20) < high, "{} of {high}", peak_rss());
    }

    #[test]
    fn every_buffer_counts_and_nothing_else() {
        let loaded = lines(
            "load_tensors:   CPU_Mapped model buffer size =    97.59 MiB\n\
             load_tensors:   CPU_REPACK model buffer size =    52.00 MiB\n\
             llama_context:        CPU  output buffer size =     0.19 MiB\n\
             llama_kv_cache:        CPU KV buffer size =    90.00 MiB\n\
             llama_kv_cache: size =   90.00 MiB (  4096 cells,  30 layers,  1/1 seqs), K (f16):   45.00 MiB, V (f16):   45.00 MiB\n\
             llama_memory_recurrent:        CPU RS buffer size =     1.00 MiB\n\
             sched_reserve:        CPU compute buffer size =    98.25 MiB\n\
             ~llama_context:        CPU compute buffer size is 98.2500 MiB, matches expectation of 98.2500 MiB",
        );
        let memory = from_lines(&loaded, false);
        let mib = |x: f64| (x * 1024.0 * 1024.0) as u64;
        assert_eq!(memory.weights, mib(97.59), "the copies' pages of the file are the system's to take back");
        assert_eq!(from_lines(&loaded, true).weights, mib(97.59) + mib(52.0), "unless they are locked");
        let unmapped = lines("load_tensors: CPU model buffer size = 45.00 MiB\nload_tensors: CPU_REPACK model buffer size = 52.00 MiB");
        assert_eq!(from_lines(&unmapped, false).weights, mib(97.0), "without a mapping nothing is there twice");
        assert_eq!(memory.kv, mib(91.0));
        assert_eq!(memory.compute, mib(0.19) + mib(98.25));
    }

    #[test]
    fn a_dry_load_takes_the_cache_from_its_summary() {
        let memory = from_dry_lines(
            &lines(
                "load_tensors:          CPU model buffer size =     0.00 MiB\n\
                 llama_kv_cache:        CPU KV buffer size =     0.00 MiB\n\
                 llama_kv_cache: size =   90.00 MiB (  4096 cells,  30 layers,  1/1 seqs), K (f16):   45.00 MiB, V (f16):   45.00 MiB",
            ),
            12345,
        );
        assert_eq!(memory, MemoryUse { weights: 12345, kv: 90 << 20, compute: 0 });
    }

    #[test]
    fn damaged_lines_are_ignored() {
        for line in ["model buffer size = ", "model buffer size = x MiB", "model buffer size = 1e999 MiB", "model buffer size = -1 MiB"] {
            assert_eq!(from_lines(&lines(line), false), MemoryUse::default(), "{line}");
        }
    }
}
