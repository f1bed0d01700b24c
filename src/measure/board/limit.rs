//! A limit as a person types it: `KLD <= 0.05`, `memory <= 600 MB`, `TTFT < 800 ms`, `decode >= 20 t/s`.

use std::fmt;

use super::super::pareto::{Bound, Limit};
use super::{place, words};
use crate::protocol::Metric;

/// What a design must keep to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MetricLimit {
    /// The figure
    pub metric: Metric,
    /// On which side of the value it holds; the value itself is allowed
    #[serde(with = "bound")]
    pub bound: Bound,
    /// In the unit of the metric
    pub value: f64,
}

mod bound {
    use super::Bound;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(bound: &Bound, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(if *bound == Bound::AtMost { "at_most" } else { "at_least" })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bound, D::Error> {
        match String::deserialize(from)?.as_str() {
            "at_most" => Ok(Bound::AtMost),
            "at_least" => Ok(Bound::AtLeast),
            other => Err(serde::de::Error::unknown_variant(other, &["at_most", "at_least"])),
        }
    }
}

/// What people call the figures.
const NAMES: [(&str, Metric); 30] = [
    ("decode", Metric::DecodeTps),
    ("decode t/s", Metric::DecodeTps),
    ("tg", Metric::DecodeTps),
    ("speed", Metric::DecodeTps),
    ("prefill", Metric::PrefillTps),
    ("prefill t/s", Metric::PrefillTps),
    ("pp", Metric::PrefillTps),
    ("pg", Metric::BothTps),
    ("prefill and decode", Metric::BothTps),
    ("ttft", Metric::TtftMs),
    ("first token", Metric::TtftMs),
    ("itl", Metric::ItlP95Ms),
    ("itl p95", Metric::ItlP95Ms),
    ("memory", Metric::PeakMemory),
    ("peak memory", Metric::PeakMemory),
    ("ram", Metric::PeakMemory),
    ("peak", Metric::PeakMemory),
    ("size", Metric::FileSize),
    ("file size", Metric::FileSize),
    ("file", Metric::FileSize),
    ("kld", Metric::Kld),
    ("mean kld", Metric::Kld),
    ("loss", Metric::Kld),
    ("ppl", Metric::Perplexity),
    ("perplexity", Metric::Perplexity),
    ("same top", Metric::SameTop),
    ("same top token", Metric::SameTop),
    ("top", Metric::SameTop),
    ("energy", Metric::EnergyPerToken),
    ("joules", Metric::EnergyPerToken),
];

/// Units that are understood, by what they multiply to the unit of the metric.
fn factor(metric: Metric, unit: &str) -> Option<f64> {
    let bytes = matches!(metric, Metric::PeakMemory | Metric::FileSize);
    match (metric, unit.to_lowercase().as_str()) {
        (_, "b" | "bytes") if bytes => Some(1.0),
        (_, "kb") if bytes => Some(1e3),
        (_, "mb") if bytes => Some(1e6),
        (_, "gb") if bytes => Some(1e9),
        (_, "kib") if bytes => Some(1024.0),
        (_, "mib") if bytes => Some(1_048_576.0),
        (_, "gib") if bytes => Some(1_073_741_824.0),
        (Metric::TtftMs | Metric::ItlP95Ms, "ms" | "") => Some(1.0),
        (Metric::TtftMs | Metric::ItlP95Ms, "s") => Some(1e3),
        (Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps, "t/s" | "tokens/s" | "tok/s" | "") => Some(1.0),
        (Metric::SameTop, "%") => Some(0.01),
        (Metric::Kld, "nats" | "") | (Metric::Perplexity | Metric::SameTop, "") | (Metric::EnergyPerToken, "j" | "j/token" | "") => {
            Some(1.0)
        }
        _ => None,
    }
}

fn named(name: &str) -> Option<(Metric, Option<String>)> {
    let name = name.trim().to_lowercase();
    let by = |name: &str| Metric::by_key(name).or_else(|| NAMES.iter().find(|(known, _)| *known == name).map(|(_, metric)| *metric));
    if let Some(metric) = by(&name) {
        return Some((metric, None));
    }
    // memory_gib, ttft_s
    let (name, unit) = name.rsplit_once('_')?;
    Some((by(name)?, Some(unit.to_owned())))
}

impl MetricLimit {
    /// Reads a limit. `<` and `<=` mean the same, as do `>` and `>=`; `=` is the side on which the figure is better.
    ///
    /// # Errors
    /// A sentence that says what cannot be read and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>', '=', '\u{2264}', '\u{2265}']).ok_or("Write it as KLD <= 0.05, memory <= 600 MB or decode >= 20")?;
        let (name, rest) = text.split_at(at);
        let (metric, unit_of_name) = named(name).ok_or_else(|| {
            format!("{:?} is no figure. Known are decode, prefill, TTFT, ITL, memory, size, KLD, perplexity and same top", name.trim())
        })?;
        let value = rest.trim_start_matches(['<', '>', '=', '\u{2264}', '\u{2265}']);
        let sign = rest.strip_suffix(value).unwrap_or_default();
        let bound = match (sign.contains(['<', '\u{2264}']), sign.contains(['>', '\u{2265}'])) {
            (true, false) => Bound::AtMost,
            (false, true) => Bound::AtLeast,
            (false, false) if metric.higher_is_better() => Bound::AtLeast,
            (false, false) => Bound::AtMost,
            (true, true) => return Err(format!("{sign:?} is no comparison")),
        };
        let value = value.trim();
        let digits = value.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '_'))).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        let number: f64 = number.replace([',', '_'], "").parse().map_err(|_error| format!("{value:?} does not begin with a number"))?;
        let unit = if unit.trim().is_empty() { unit_of_name.as_deref().unwrap_or_default() } else { unit.trim() };
        match factor(metric, unit) {
            Some(factor) => Ok(Self { metric, bound, value: number * factor }),
            None if unit.is_empty() => Err(format!("Say the unit: {value} MB or {value} GB")),
            None => Err(format!("{unit:?} is no unit of {}", words::short_name(metric))),
        }
    }

    /// Its share of a plan of the front.
    pub(super) fn on_board(&self) -> Limit {
        Limit { axis: place(self.metric), bound: self.bound, value: self.value }
    }

    /// Whether it holds on the side on which the figure is better.
    pub fn is_natural(&self) -> bool {
        (self.bound == Bound::AtLeast) == self.metric.higher_is_better()
    }

    /// Whether a figure keeps to it.
    pub fn holds(&self, value: f64) -> bool {
        if self.bound == Bound::AtMost { value <= self.value } else { value >= self.value }
    }
}

impl fmt::Display for MetricLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.bound == Bound::AtMost { '\u{2264}' } else { '\u{2265}' };
        write!(f, "{} {sign} {}", words::short_name(self.metric), words::exact(self.metric, self.value))
    }
}
