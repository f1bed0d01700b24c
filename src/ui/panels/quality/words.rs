//! What the page says, as text.

use crate::app::quality::{Candidate, Comparison};
use crate::measure::format;
use crate::measure::quality::tally::Estimate;
use crate::ui::parts::when;

/// A divergence: `0.0004`, `0.0052`, `0.185`, `1.27`.
pub(super) fn nats(value: f64) -> String {
    match value {
        v if !v.is_finite() => format::ABSENT.into(),
        v if v < 0.000_05 => "0".into(),
        v if v < 0.0995 => format!("{v:.4}"),
        v if v < 0.9995 => format!("{v:.3}"),
        v => format!("{v:.2}"),
    }
}

/// A perplexity: four digits.
pub(super) fn perplexity(value: f64) -> String {
    match value {
        v if !v.is_finite() => format::ABSENT.into(),
        v if v < 9.9995 => format!("{v:.3}"),
        v if v < 99.995 => format!("{v:.2}"),
        v if v < 999.95 => format!("{v:.1}"),
        v => format::count(v.round() as u64),
    }
}

/// A probability as tables of them write it: `.412`.
pub(super) fn probability(p: f32) -> String {
    match p {
        p if !p.is_finite() => format::ABSENT.into(),
        p if p >= 0.9995 => "1.00".into(),
        p if p < 0.0005 => "<.001".into(),
        p => format!("{p:.3}").trim_start_matches('0').to_owned(),
    }
}

/// `95 % CI 0.179 to 0.192`.
pub(super) fn interval(estimate: &Estimate) -> String {
    match estimate.interval() {
        Some(interval) => format!("95 % CI {} to {}", nats(interval.low.max(0.0)), nats(interval.high)),
        None => "too few tokens for an interval".into(),
    }
}

/// What was read, how, and how long it took.
pub(super) fn sentence(comparison: &Comparison, candidate: Option<&Candidate>) -> String {
    let tokens = candidate.and_then(|candidate| candidate.running).map_or(0, |running| running.tokens);
    let Some(layout) = &comparison.layout else { return format!("On {}", comparison.text_name) };
    let how = if layout.side_by_side {
        "all models side by side, no logits on disk"
    } else {
        "one model after another, divergences are estimates from a compact cache of the reference"
    };
    let mut words = format!("On {}, {} of {} tokens scored", comparison.text_name, format::count(tokens), format::count(layout.scored));
    if let Some(seconds) = comparison.seconds {
        words.push_str(&format!(" in {}", format::seconds(seconds)));
    }
    words.push_str(&format!(", {how}"));
    if comparison.is_kept {
        let (today, offset_ms) = when::today();
        words.push_str(&format!(". Measured {}", when::when(comparison.started_ms, today, offset_ms)));
    }
    if comparison.is_partial && !comparison.is_running() {
        words.push_str(". Stopped before the end");
    }
    words
}

/// The estimate so far, while it runs.
pub(super) fn running(comparison: &Comparison) -> String {
    let first = comparison.candidates.iter().find_map(|candidate| Some((candidate, candidate.running?)));
    let Some((candidate, running)) = first else { return "Reading the text".into() };
    let error = running.kld.error.map_or_else(String::new, |error| format!(" ± {}", nats(error)));
    format!("{}: mean KLD {}{error} so far", candidate.name, nats(running.kld.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_tell_rungs_apart() {
        assert_eq!([0.00043, 0.0052, 0.185, 1.2699].map(nats), ["0.0004", "0.0052", "0.185", "1.27"]);
        assert_eq!([5.12345, 21.294, 123.45, 1234.5].map(perplexity), ["5.123", "21.29", "123.5", "1,235"]);
        assert_eq!([0.412, 0.0931, 1.0, 0.0001].map(probability), [".412", ".093", "1.00", "<.001"]);
        assert_eq!(interval(&Estimate { value: 0.2, error: Some(0.01) }), "95 % CI 0.180 to 0.220");
    }
}
