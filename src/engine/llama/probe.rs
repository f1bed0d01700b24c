//! How fast this machine reads memory: the bound on decoding, which reads every weight once per token.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::load;
use crate::engine::backend::Job;
use crate::library::MachineMemory;
use crate::protocol::{EngineError, ErrorKind, Stage};

/// Passes over the buffer; the best counts, as in STREAM.
const PASSES: u64 = 12;
const LEAST: u64 = 256 << 20;
const MOST: u64 = 1 << 30;
/// Independent sums, so that no addition waits for the one before: enough for four vector registers of 64 bytes.
const LANES: usize = 32;

/// Reads a buffer of at least four times the last-level cache (between 256 MiB and 1 GiB) with `threads` threads (0 = as for decode) and
/// returns 10^9 bytes per second of the best pass, with the threads used. Read-only, because decoding is: a copy would understate it.
///
/// # Errors
/// `OutOfMemory` when the buffer cannot be had, `Cancelled`.
pub(super) fn probe(threads: u32, job: &Job) -> Result<(f64, u32), EngineError> {
    let threads = if threads == 0 { load::usable_cores() } else { threads.min(512) };
    let size = (4 * last_level_cache()).clamp(LEAST, MOST);
    if MachineMemory::read().available < size + (128 << 20) {
        return Err(EngineError::new(ErrorKind::OutOfMemory, format!("The measurement needs {} MiB of free memory", size >> 20))
            .hint("Unload models or close other programs"));
    }
    let words = (size / 8 / u64::from(threads)) as usize / LANES * LANES;
    let bytes = (words * 8 * threads as usize) as f64;
    let barrier = Barrier::new(threads as usize + 1);
    let sink = AtomicU64::new(0);
    let cancel = job.cancel_flag();
    let mut best = f64::INFINITY;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Each thread writes its own part first, so that its pages lie near it.
                let part: Vec<u64> = (0..words as u64).collect();
                barrier.wait();
                for _ in 0..PASSES {
                    barrier.wait();
                    sink.fetch_xor(sum(&part), Ordering::Relaxed);
                    barrier.wait();
                }
            });
        }
        barrier.wait();
        for pass in 0..PASSES {
            // A cancelled probe still joins its last barriers, but measures no more: the rest takes well under a second.
            barrier.wait();
            let started = Instant::now();
            barrier.wait();
            best = best.min(started.elapsed().as_secs_f64());
            if !cancel.load(Ordering::Relaxed) {
                job.progress(Stage::Probe, pass + 1, PASSES);
            }
        }
    });
    std::hint::black_box(sink.load(Ordering::Relaxed));
    job.check()?;
    Ok((bytes / best / 1e9, threads))
}

/// A sum that the compiler turns into wide loads and nothing that has to wait.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; LANES];
    for chunk in words.chunks_exact(LANES) {
        for (sum, word) in sums.iter_mut().zip(chunk) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

/// Bytes of the largest cache the first CPU sees; 0 where the system does not say.
fn last_level_cache() -> u64 {
    let folder = Path::new("/sys/devices/system/cpu/cpu0/cache");
    let size = |i: u32| {
        let text = std::fs::read_to_string(folder.join(format!("index{i}/size"))).ok()?;
        parse_size(text.trim())
    };
    (0..8).filter_map(size).max().unwrap_or(0)
}

/// `480K`, `32M` and plain bytes.
fn parse_size(text: &str) -> Option<u64> {
    let unit =
        |suffix: char, factor: u64| text.strip_suffix(suffix).and_then(|n| n.parse::<u64>().ok()).and_then(|n| n.checked_mul(factor));
    unit('K', 1 << 10).or_else(|| unit('M', 1 << 20)).or_else(|| unit('G', 1 << 30)).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_caches_are_read() {
        assert_eq!(parse_size("48K"), Some(48 << 10));
        assert_eq!(parse_size("32M"), Some(32 << 20));
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("x"), None);
    }

    #[test]
    fn every_word_is_read() {
        let words: Vec<u64> = (0..LANES as u64 * 10).collect();
        assert_eq!(sum(&words), words.iter().sum::<u64>());
    }
}
