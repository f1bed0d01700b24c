//! Where the memory is, by purpose: what the total, the legend and the plot over time all show.

use super::Points;
use crate::protocol::{Resident, Sample};

/// A purpose, in the order in which the parts lie on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPart {
    /// Weights of the model that answers
    Weights,
    /// Its KV cache
    Kv,
    /// Its compute buffers
    Compute,
    /// Models that stay loaded beside it, everything of them
    Warm,
    /// The rest of the engine's process
    Other,
    /// The window's process
    Window,
}

impl MemoryPart {
    /// Every part, the lowest first.
    pub const ALL: [Self; 6] = [Self::Weights, Self::Kv, Self::Compute, Self::Warm, Self::Other, Self::Window];

    /// Its name in a legend.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Kv => "KV cache",
            Self::Compute => "compute",
            Self::Warm => "kept warm",
            Self::Other => "engine, other",
            Self::Window => "window",
        }
    }

    /// Its name in a table (`weights_bytes`).
    pub fn column(self) -> &'static str {
        match self {
            Self::Weights => "memory_weights_bytes",
            Self::Kv => "memory_kv_bytes",
            Self::Compute => "memory_compute_bytes",
            Self::Warm => "memory_kept_warm_bytes",
            Self::Other => "memory_engine_other_bytes",
            Self::Window => "memory_window_bytes",
        }
    }
}

/// Bytes of each part. `None` where there is nothing to observe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryParts([Option<u64>; 6]);

impl MemoryParts {
    /// The parts of what is loaded: the engine's own buffers, and what `sample` says of the two processes.
    ///
    /// What is left of the engine's resident set is unknown while its buffers come to more: pages of a mapped file that were not read yet
    /// are counted in a buffer and are not resident.
    pub fn of(resident: &[Resident], sample: Option<&Sample>) -> Self {
        let active = resident.iter().find(|resident| resident.active).map(|resident| resident.memory);
        let warm: u64 = resident.iter().filter(|resident| !resident.active).map(|resident| resident.memory.total()).sum();
        let warm = (!resident.is_empty()).then_some(warm);
        let buffers = active.map_or(0, |memory| memory.total()) + warm.unwrap_or(0);
        let rss = sample.and_then(|sample| sample.engine).map(|engine| engine.rss);
        Self([
            active.map(|memory| memory.weights),
            active.map(|memory| memory.kv),
            active.map(|memory| memory.compute),
            warm,
            rss.and_then(|rss| rss.checked_sub(buffers)),
            sample.map(|sample| sample.window.rss),
        ])
    }

    /// Bytes of one part.
    pub fn get(&self, part: MemoryPart) -> Option<u64> {
        self.0.get(part as usize).copied().flatten()
    }

    /// The sum of the parts that are known: what a legend of them adds up to. `None` when none is.
    pub fn total(&self) -> Option<u64> {
        self.0.iter().any(Option::is_some).then(|| self.0.iter().flatten().sum())
    }
}

/// The parts over time. All series have the same times.
#[derive(Clone, Debug, Default)]
pub struct MemoryHistory([Points; 6]);

impl MemoryHistory {
    /// Notes the parts at a time; what is not known leaves a gap.
    pub fn push(&mut self, at: f64, parts: &MemoryParts) {
        for (points, part) in self.0.iter_mut().zip(MemoryPart::ALL) {
            points.push(at, parts.get(part).map_or(f64::NAN, |bytes| bytes as f64));
        }
    }

    /// One part over time.
    pub fn get(&self, part: MemoryPart) -> &Points {
        // the array has a place for every part
        let [weights, kv, compute, warm, other, window] = &self.0;
        match part {
            MemoryPart::Weights => weights,
            MemoryPart::Kv => kv,
            MemoryPart::Compute => compute,
            MemoryPart::Warm => warm,
            MemoryPart::Other => other,
            MemoryPart::Window => window,
        }
    }

    pub(super) fn forget_before(&mut self, time: f64) {
        self.0.iter_mut().for_each(|points| points.forget_before(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Design, MemorySample, MemoryUse};

    fn resident(active: bool) -> Resident {
        Resident { design: Design::default(), memory: MemoryUse { weights: 80, kv: 10, compute: 10 }, active }
    }

    fn sample(rss: u64) -> Sample {
        let memory = |rss| MemorySample { rss, ..MemorySample::default() };
        Sample { engine: Some(memory(rss)), window: memory(7), ..Sample::default() }
    }

    #[test]
    fn the_total_is_what_the_parts_add_up_to() {
        let loaded = [resident(true), resident(false)];
        let parts = MemoryParts::of(&loaded, Some(&sample(250)));
        let bytes: Vec<_> = MemoryPart::ALL.iter().map(|part| parts.get(*part)).collect();
        assert_eq!(bytes, [Some(80), Some(10), Some(10), Some(100), Some(50), Some(7)]);
        assert_eq!(parts.total(), Some(257), "the resident sets of both processes");
    }

    #[test]
    fn what_cannot_be_observed_is_no_nought() {
        let unread = MemoryParts::of(&[resident(true)], Some(&sample(60)));
        assert_eq!((unread.get(MemoryPart::Other), unread.total()), (None, Some(107)), "mapped pages were not read yet");
        let empty = MemoryParts::of(&[], Some(&sample(60)));
        assert_eq!((empty.get(MemoryPart::Weights), empty.get(MemoryPart::Warm), empty.total()), (None, None, Some(67)));
        assert_eq!(MemoryParts::of(&[], None).total(), None);
        let ended = Sample { engine: None, ..sample(0) };
        assert_eq!(MemoryParts::of(&[], Some(&ended)).get(MemoryPart::Other), None);
    }

    #[test]
    fn the_series_have_the_same_times() {
        let mut history = MemoryHistory::default();
        history.push(1.0, &MemoryParts::of(&[], Some(&sample(60))));
        history.push(2.0, &MemoryParts::of(&[resident(true)], Some(&sample(120))));
        let weights = history.get(MemoryPart::Weights).all();
        assert!(weights[0][1].is_nan() && weights[1] == [2.0, 80.0]);
        assert_eq!(history.get(MemoryPart::Other).all(), [[1.0, 60.0], [2.0, 20.0]]);
    }
}
