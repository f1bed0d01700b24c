//! What the drive has measured, and its report.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::measure::stats;

/// One switch in the middle of a reply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// From the click to the first token of the other rung as the window has it, milliseconds
    pub ms: f64,
    /// Tokens of the conversation that the other rung had to read
    pub reread: u32,
    /// What it was made of
    pub parts: Parts,
}

/// Where the time of a switch went: milliseconds from the click.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// The engine was told to load
    pub load: Option<f64>,
    /// It had loaded
    pub loaded: Option<f64>,
    /// It was told to go on with the reply
    pub reply: Option<f64>,
    /// It began to read the conversation
    pub started: Option<f64>,
}

impl Parts {
    fn report(flips: &[Flip]) -> Value {
        let middle = |of: fn(&Self) -> Option<f64>| stats::median(&flips.iter().filter_map(|flip| of(&flip.parts)).collect::<Vec<_>>());
        json!({
            "load_asked": middle(|parts| parts.load),
            "loaded": middle(|parts| parts.loaded),
            "reply_asked": middle(|parts| parts.reply),
            "started": middle(|parts| parts.started),
        })
    }
}

/// A stretch of time in which the window painted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Painted {
    /// Frames
    pub frames: u64,
    /// CPU time of this process, seconds; `None` where the system does not say
    pub cpu: Option<f64>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Figures {
    /// From the start of the process to the first frame
    pub first_frame: Option<Duration>,
    /// What each frame cost, milliseconds
    pub frames_ms: Vec<f64>,
    /// Decode with the window open, tokens per second, one a round
    pub windowed: Vec<f64>,
    /// Decode of the same request by an engine without a window, in the same rounds
    pub headless: Vec<f64>,
    /// Painting during the replies
    pub painted: Painted,
    /// Share of one core that the idle window took, percent, and over how many seconds
    pub idle: Option<(f64, f64)>,
    /// Resident memory of the window's process, bytes: as it was last, at rest
    pub rss: u64,
    /// The same once a model is loaded, before it is asked anything
    pub rss_ready: u64,
    /// The same at its largest
    pub rss_peak: u64,
    /// Switches to a rung that was not loaded
    pub switches: Vec<Flip>,
    /// Load and first token of the same file and prompt without a window, milliseconds, one a switch
    pub bare_ms: Vec<f64>,
    /// Switches back to the rung that was kept warm
    pub flips: Vec<Flip>,
    /// The rungs
    pub rungs: [Option<String>; 2],
}

/// The middle of ratios, pair by pair.
fn ratio(over: &[f64], under: &[f64]) -> Option<f64> {
    let pairs: Vec<f64> = over.iter().zip(under).filter(|(_, under)| **under > 0.0).map(|(a, b)| a / b).collect();
    stats::median(&pairs)
}

impl Figures {
    /// As JSON; what could not be measured is null.
    pub fn report(&self, renderer: &str, frames: u64, screenshot: &Path) -> Value {
        let ms = |flips: &[Flip]| flips.iter().map(|flip| flip.ms).collect::<Vec<_>>();
        let reread = |flips: &[Flip]| stats::median(&flips.iter().map(|flip| f64::from(flip.reread)).collect::<Vec<_>>());
        let frame = |p| stats::percentile(&self.frames_ms, p);
        let per_frame = self.painted.cpu.filter(|_| self.painted.frames > 0).map(|cpu| cpu * 1e3 / self.painted.frames as f64);
        json!({
            "renderer": renderer,
            "first_frame_ms": self.first_frame.map(|first| first.as_secs_f64() * 1e3),
            "frame_ms": { "p50": frame(50.0), "p99": frame(99.0), "max": frame(100.0) },
            "frames": frames,
            "cpu_ms_per_frame": per_frame,
            "decode_tps_windowed": stats::median(&self.windowed),
            "decode_tps_headless": stats::median(&self.headless),
            "decode_ratio": ratio(&self.windowed, &self.headless),
            "decode_samples": { "windowed": self.windowed, "headless": self.headless },
            "ui_cpu_percent_idle": self.idle.map(|(percent, _)| percent),
            "idle_seconds": self.idle.map(|(_, seconds)| seconds),
            "ui_rss_ready_bytes": self.rss_ready,
            "ui_rss_bytes": self.rss,
            "ui_rss_peak_bytes": self.rss_peak,
            "switch_ms": stats::median(&ms(&self.switches)),
            "switch_bare_ms": stats::median(&self.bare_ms),
            "switch_ratio": ratio(&ms(&self.switches), &self.bare_ms),
            "switch_reread_tokens": reread(&self.switches),
            "switch_parts_ms": Parts::report(&self.switches),
            "switch_samples": { "windowed": ms(&self.switches), "bare": self.bare_ms },
            "warm_flip_ms": stats::median(&ms(&self.flips)),
            "warm_flip_reread_tokens": reread(&self.flips),
            "warm_flip_parts_ms": Parts::report(&self.flips),
            "warm_flip_samples": ms(&self.flips),
            "switched": self.rungs,
            "screenshot": std::path::absolute(screenshot).unwrap_or_else(|_| screenshot.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_in_pairs_and_what_is_missing_is_null() {
        let flip = |ms, reread| Flip { ms, reread, parts: Parts { loaded: Some(ms / 2.0), ..Parts::default() } };
        let figures = Figures {
            windowed: vec![90.0, 40.0, 95.0],
            headless: vec![100.0, 50.0, 100.0],
            painted: Painted { frames: 4, cpu: Some(0.1) },
            switches: vec![flip(110.0, 80)],
            bare_ms: vec![100.0],
            ..Figures::default()
        };
        let report = figures.report("glow", 9, Path::new("/a.png"));
        let number = |name: &str| report[name].as_f64();
        assert_eq!(number("decode_ratio"), Some(0.9), "a slow moment of the machine hits both legs of its round");
        assert_eq!((number("decode_tps_windowed"), number("decode_tps_headless")), (Some(90.0), Some(100.0)));
        assert_eq!(
            (number("cpu_ms_per_frame"), number("switch_ratio"), number("switch_reread_tokens")),
            (Some(25.0), Some(1.1), Some(80.0))
        );
        assert_eq!((report["switch_parts_ms"]["loaded"].as_f64(), &report["switch_parts_ms"]["started"]), (Some(55.0), &Value::Null));
        for missing in ["warm_flip_ms", "ui_cpu_percent_idle", "first_frame_ms"] {
            assert!(report[missing].is_null(), "{missing}");
        }
    }
}
