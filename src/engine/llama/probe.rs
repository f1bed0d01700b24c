//! How fast this machine reads memory: the bound on decoding, which reads every weight once per token.
#![cfg_attr(all(target_arch = "x86_64", target_feature = "avx2"), expect(unsafe_code, reason = "wide loads"))]

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::load;
use crate::engine::backend::Job;
use crate::library::MachineMemory;
use crate::protocol::{EngineError, ErrorKind, Stage};

/// Fewest and most passes over the buffer; the best counts, as in STREAM.
const PASSES: std::ops::RangeInclusive<u64> = 12..=60;
/// The measurement ends when this many passes in a row were no better: other programs get in the way of some, rarely of as many.
const PATIENCE: u64 = 10;
const LEAST: u64 = 256 << 20;
const MOST: u64 = 1 << 30;
/// Words that one round of the loop reads into sums that do not wait for each other; a part of the buffer is a multiple of it.
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
    let (sink, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let cancel = job.cancel_flag();
    let mut best = f64::INFINITY;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Each thread writes its own part first, so that its pages lie near it.
                let part: Vec<u64> = (0..words as u64).collect();
                loop {
                    barrier.wait();
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    sink.fetch_xor(sum(&part), Ordering::Relaxed);
                    barrier.wait();
                }
            });
        }
        let mut last_gain = 0;
        for pass in 1..=*PASSES.end() {
            barrier.wait();
            let started = Instant::now();
            barrier.wait();
            let seconds = started.elapsed().as_secs_f64();
            if seconds < best * 0.995 {
                last_gain = pass;
            }
            best = best.min(seconds);
            job.progress(Stage::Probe, pass, *PASSES.end());
            if cancel.load(Ordering::Relaxed) || (pass >= *PASSES.start() && pass - last_gain >= PATIENCE) {
                break;
            }
        }
        job.progress(Stage::Probe, *PASSES.end(), *PASSES.end());
        over.store(true, Ordering::Relaxed);
        barrier.wait();
    });
    std::hint::black_box(sink.load(Ordering::Relaxed));
    job.check()?;
    Ok((bytes / best / 1e9, threads))
}

/// A sum whose loads are wide and wait for nothing. Written out for AVX2, because the development profile does not vectorize loops of this
/// crate and a scalar loop reads a third slower than memory gives.
#[cfg(all(target_arch = "x86_64", target_feature = "avx2"))]
fn sum(words: &[u64]) -> u64 {
    use std::arch::x86_64::{__m256i, _mm256_add_epi64, _mm256_loadu_si256, _mm256_setzero_si256, _mm256_storeu_si256};
    // SAFETY: the target feature is enabled for the whole build (see the `cfg`). Every load reads 4 of the 16 words of its chunk, and the
    // store writes 4 words into an array of 4; the unaligned forms are used.
    unsafe {
        let mut sums = (_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256());
        for chunk in words.chunks_exact(16) {
            let at = chunk.as_ptr().cast::<__m256i>();
            sums.0 = _mm256_add_epi64(sums.0, _mm256_loadu_si256(at));
            sums.1 = _mm256_add_epi64(sums.1, _mm256_loadu_si256(at.add(1)));
            sums.2 = _mm256_add_epi64(sums.2, _mm256_loadu_si256(at.add(2)));
            sums.3 = _mm256_add_epi64(sums.3, _mm256_loadu_si256(at.add(3)));
        }
        let all = _mm256_add_epi64(_mm256_add_epi64(sums.0, sums.1), _mm256_add_epi64(sums.2, sums.3));
        let mut lanes = [0u64; 4];
        _mm256_storeu_si256(lanes.as_mut_ptr().cast::<__m256i>(), all);
        lanes.iter().fold(0, |a, b| a.wrapping_add(*b))
    }
}

/// A sum that the compiler can turn into wide loads that wait for nothing.
#[cfg(not(all(target_arch = "x86_64", target_feature = "avx2")))]
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
