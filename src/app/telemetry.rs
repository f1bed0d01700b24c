//! What the plots show: rates, memory and the events that explain their steps.

use super::{Forecast, MemoryHistory, MemoryParts};
use crate::measure::Roofline;
use crate::protocol::{MemoryUse, Sample};

/// Longest history kept, seconds.
const KEEP_SECONDS: f64 = 1800.0;
/// Most points of one series; older ones go in halves so that a push stays O(1) amortised.
const KEEP_POINTS: usize = 36_000;

/// A time series: `[seconds since the application began, value]`, rising in time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Points {
    points: Vec<[f64; 2]>,
}

impl Points {
    /// Adds a point; one that would go back in time is moved up to the last.
    pub fn push(&mut self, at: f64, value: f64) {
        let at = self.points.last().map_or(at, |last| at.max(last[0]));
        if self.points.len() >= KEEP_POINTS {
            self.points.drain(..KEEP_POINTS / 2);
        }
        self.points.push([at, value]);
    }

    /// The points from `from` on, and the one before it (so that a line enters the plot at its edge).
    pub fn since(&self, from: f64) -> &[[f64; 2]] {
        let start = self.points.partition_point(|point| point[0] < from).saturating_sub(1);
        self.points.get(start..).unwrap_or_default()
    }

    /// All of them.
    pub fn all(&self) -> &[[f64; 2]] {
        &self.points
    }

    /// The latest value.
    pub fn last(&self) -> Option<f64> {
        self.points.last().map(|point| point[1])
    }

    pub(super) fn forget_before(&mut self, time: f64) {
        let keep_from = self.points.partition_point(|point| point[0] < time);
        if keep_from > KEEP_POINTS / 4 {
            self.points.drain(..keep_from);
        }
    }
}

/// What a marker names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerKind {
    /// A model was loaded
    Load,
    /// Another rung took over
    Switch,
    /// A reply began
    Generate,
    /// A reply was stopped, or the engine was
    Stop,
    /// The engine died
    Died,
}

/// Something that happened, on the time axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// Seconds since the application began
    pub at: f64,
    /// What it was
    pub kind: MarkerKind,
    /// In words (`Q4_1 → IQ4_NL 0.21 s`)
    pub text: String,
}

/// The times that the plots show, seconds since the application began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlotRange {
    /// Without a zoom: the latest minutes, or those before the plots were paused
    pub usual: [f64; 2],
    /// What is looked at instead, while zoomed
    pub zoomed: Option<[f64; 2]>,
}

impl PlotRange {
    /// The times at both edges of the plots.
    pub fn shown(&self) -> [f64; 2] {
        self.zoomed.unwrap_or(self.usual)
    }
}

/// How far a prompt is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prefilling {
    /// Tokens that were in the cache before
    pub cached: u64,
    /// Tokens that are in the cache now, of the prompt's
    pub done: u64,
    /// Tokens of the prompt
    pub total: u64,
    /// When it began, seconds
    pub began: f64,
    /// Whether the plot shows it already
    pub is_drawn: bool,
}

impl Prefilling {
    /// New tokens per second since it began. Unknown for the first moment: two events that were told together say nothing about time.
    pub fn rate(&self, at: f64) -> Option<f64> {
        let seconds = at - self.began;
        (seconds >= 0.05 && self.done > self.cached).then(|| (self.done - self.cached) as f64 / seconds)
    }
}

/// Everything the telemetry panel shows.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// Decode, tokens per second
    pub decode: Points,
    /// Prefill, tokens per second
    pub prefill: Points,
    /// Resident set of the engine, bytes
    pub engine_rss: Points,
    /// Memory by purpose
    pub memory_parts: MemoryHistory,
    /// CPU of the engine, 100 = one core
    pub engine_cpu: Points,
    /// CPU of this process, 100 = one core
    pub window_cpu: Points,
    /// What happened
    pub markers: Vec<Marker>,
    /// The latest sample
    pub sample: Option<Sample>,
    /// Decode rate of the reply that runs, or of the last
    pub decode_tps: Option<f64>,
    /// Prefill rate of the last prompt
    pub prefill_tps: Option<f64>,
    /// The same of the last that had more than a few new tokens, whichever model read it: by that the next one's is guessed
    pub read_tps: Option<f64>,
    /// TTFT of the reply that runs, once its first token is there, or of the last, milliseconds
    pub ttft_ms: Option<f64>,
    /// 95th percentile of the gaps between tokens of the last reply, milliseconds
    pub itl_p95_ms: Option<f64>,
    /// How far a prompt is read, while one is
    pub prefilling: Option<Prefilling>,
    /// What was foretold of the model that answers
    pub forecast: Option<Forecast>,
    /// What the loaded models really took, by the engine's own buffers
    pub memory: Option<MemoryUse>,
    /// Measured read bandwidth, 10^9 bytes per second
    pub bandwidth_gb_s: Option<f64>,
    /// The bandwidth was measured anew after a reply had seemed faster than it allows
    pub bandwidth_confirmed: bool,
    /// Tokens in the KV cache while `decode_tps` was measured
    pub decode_context: f64,
    /// Frozen at this time: the plots show what was there then
    pub paused_at: Option<f64>,
}

impl Telemetry {
    /// Notes an event.
    pub fn mark(&mut self, at: f64, kind: MarkerKind, text: impl Into<String>) {
        if self.markers.len() >= 500 {
            self.markers.drain(..250);
        }
        self.markers.push(Marker { at, kind, text: text.into() });
    }

    /// Takes a sample in, with where the memory is at that time; says whether anything a person would see has changed.
    pub fn take(&mut self, at: f64, sample: Sample, memory: &MemoryParts) -> bool {
        let changed = self.sample.is_none_or(|before| visibly_differs(&before, &sample));
        // what was not measured is a gap, not a nought
        self.engine_rss.push(at, sample.engine.map_or(f64::NAN, |engine| engine.rss as f64));
        self.engine_cpu.push(at, sample.engine_cpu_percent.map_or(f64::NAN, f64::from));
        self.window_cpu.push(at, sample.window_cpu_percent.map_or(f64::NAN, f64::from));
        self.memory_parts.push(at, memory);
        // while the plots stand still, what they show is kept
        let keep_from = self.paused_at.map_or(at, |paused| paused.min(at)) - KEEP_SECONDS;
        for series in [&mut self.decode, &mut self.prefill, &mut self.engine_rss, &mut self.engine_cpu, &mut self.window_cpu] {
            series.forget_before(keep_from);
        }
        self.memory_parts.forget_before(keep_from);
        self.sample = Some(sample);
        changed
    }

    /// Another model answers from now on: what was measured of the one before says nothing about it.
    pub fn on_model(&mut self, forecast: Option<Forecast>) {
        self.forecast = forecast;
        (self.decode_tps, self.prefill_tps, self.ttft_ms, self.itl_p95_ms) = (None, None, None, None);
        self.decode_context = 0.0;
        self.bandwidth_confirmed = false;
    }

    /// Bytes that decoding one token read when its rate was measured: the weights, and the cache as full as it was then.
    pub fn bytes_per_token(&self) -> Option<u64> {
        self.forecast.map(|forecast| forecast.weights_read + (forecast.kv_read as f64 * self.decode_context) as u64)
    }

    /// Decode as a fraction of what the memory bandwidth allows: bytes per token * t/s / bandwidth. `None` until all three are known.
    pub fn roofline_fraction(&self) -> Option<f64> {
        let forecast = self.forecast?;
        let roof = Roofline { bandwidth_gb_s: self.bandwidth_gb_s?, weights: forecast.weights_read, kv_per_token: forecast.kv_read as f64 };
        roof.fraction(self.decode_tps?, self.decode_context)
    }

    /// Whether decoding seems faster than the memory allows and the bandwidth was not measured again since: it, and not the decoding, is
    /// doubted then.
    pub fn is_bandwidth_doubted(&self) -> bool {
        !self.bandwidth_confirmed && self.roofline_fraction().is_some_and(|fraction| fraction > 1.0)
    }
}

/// Whether `new` is worth a frame where `shown` is on screen: 4 MB, 2 % of a core, 2 % of the machine's memory.
///
/// A rise of the window's own CPU is not: painting it would be the next rise, and the window would never come to rest.
pub fn visibly_differs(shown: &Sample, new: &Sample) -> bool {
    let far = |a: u64, b: u64| a.abs_diff(b) >= 4_000_000;
    let cpu = |percent: Option<f32>| percent.unwrap_or(0.0);
    let engine = match (shown.engine, new.engine) {
        (Some(a), Some(b)) => far(a.rss, b.rss),
        (a, b) => a.is_some() != b.is_some(),
    };
    engine
        || far(shown.window.rss, new.window.rss)
        || shown.engine_cpu_percent.is_some() != new.engine_cpu_percent.is_some()
        || (cpu(shown.engine_cpu_percent) - cpu(new.engine_cpu_percent)).abs() >= 2.0
        || cpu(shown.window_cpu_percent) - cpu(new.window_cpu_percent) >= 2.0
        || shown.available.abs_diff(new.available) > shown.total / 50
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_goes_back() {
        let mut points = Points::default();
        points.push(2.0, 1.0);
        points.push(1.0, 2.0);
        assert_eq!(points.all(), [[2.0, 1.0], [2.0, 2.0]]);
    }

    #[test]
    fn a_window_holds_the_point_before_its_edge() {
        let mut points = Points::default();
        for second in 0..10 {
            points.push(f64::from(second), 0.0);
        }
        assert_eq!(points.since(4.5)[0][0], 4.0);
        assert_eq!(points.since(-1.0).len(), 10);
    }

    #[test]
    fn a_series_is_bounded() {
        let mut points = Points::default();
        for i in 0..100_000 {
            points.push(f64::from(i), 0.0);
        }
        assert!(points.all().len() <= KEEP_POINTS);
    }

    #[test]
    fn painting_does_not_ask_for_painting() {
        let at = |percent| Sample { window_cpu_percent: Some(percent), ..Sample::default() };
        assert!(!visibly_differs(&at(0.0), &at(30.0)));
        assert!(visibly_differs(&at(30.0), &at(0.0)));
    }

    #[test]
    fn a_prefill_rate_is_over_all_of_it() {
        let prefilling = Prefilling { cached: 1000, done: 1500, total: 4000, began: 2.0, is_drawn: false };
        assert_eq!(prefilling.rate(3.0), Some(500.0));
        assert_eq!(prefilling.rate(2.000_1), None, "no five million tokens a second");
        assert_eq!(Prefilling { done: 1000, ..prefilling }.rate(3.0), None);
    }

    #[test]
    fn the_roofline_needs_all_three_figures() {
        let forecast = Forecast { weights_read: 90_000_000, kv_read: 10_000, ..Forecast::default() };
        let mut telemetry = Telemetry { decode_tps: Some(100.0), forecast: Some(forecast), ..Telemetry::default() };
        assert_eq!(telemetry.roofline_fraction(), None);
        telemetry.bandwidth_gb_s = Some(20.0);
        assert_eq!(telemetry.roofline_fraction(), Some(0.45));
        telemetry.decode_context = 1000.0;
        assert_eq!((telemetry.roofline_fraction(), telemetry.bytes_per_token()), (Some(0.5), Some(100_000_000)));
        telemetry.on_model(None);
        assert_eq!((telemetry.roofline_fraction(), telemetry.decode_tps), (None, None));
    }
}
