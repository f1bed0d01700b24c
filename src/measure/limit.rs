//! A limit on a figure, as a person types it (`KLD <= 0.05`, `memory <= 600 MB`, `decode >= 20 t/s`) and as a command line has it
//! (`kld=0.05`).

use std::fmt;

use super::board::words;
use super::pareto::{Axis, Better, Bound, Limit};
use crate::protocol::Metric;

/// What a design must keep to.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct MetricLimit {
    /// The figure
    pub metric: Metric,
    /// On which side of the value it holds; the value itself is allowed
    pub bound: Bound,
    /// In the unit of the metric
    pub value: f64,
}

/// How it is written down: the side only where the figure is worse on it.
#[derive(serde::Serialize, serde::Deserialize)]
struct Written {
    metric: Metric,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bound: Option<Side>,
    value: f64,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    AtMost,
    AtLeast,
}

impl From<Written> for MetricLimit {
    fn from(written: Written) -> Self {
        let bound = match written.bound {
            Some(Side::AtMost) => Bound::AtMost,
            Some(Side::AtLeast) => Bound::AtLeast,
            None => natural(written.metric),
        };
        Self { metric: written.metric, bound, value: written.value }
    }
}

impl From<MetricLimit> for Written {
    fn from(limit: MetricLimit) -> Self {
        let side = if limit.bound == Bound::AtMost { Side::AtMost } else { Side::AtLeast };
        let is_natural = limit.bound == natural(limit.metric);
        Self { metric: limit.metric, bound: (!is_natural).then_some(side), value: limit.value }
    }
}

/// The side of a limit on which a figure is better.
fn natural(metric: Metric) -> Bound {
    if metric.higher_is_better() { Bound::AtLeast } else { Bound::AtMost }
}

/// Place of a figure among [`Metric::ALL`], as points for `pareto` have them.
pub fn index(metric: Metric) -> usize {
    Metric::ALL.iter().position(|other| *other == metric).unwrap_or(Metric::ALL.len())
}

/// A figure as an axis of those points.
pub fn axis(metric: Metric) -> Axis {
    Axis { index: index(metric), better: if metric.higher_is_better() { Better::Higher } else { Better::Lower } }
}

/// What people call the figures.
const NAMES: [(&str, Metric); 32] = [
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
    ("cost", Metric::CostPerMillion),
    ("price", Metric::CostPerMillion),
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
        (Metric::CostPerMillion, "/m" | "/mtok" | "/m tokens" | "") => Some(1.0),
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
            (false, false) => natural(metric),
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

    /// A limit on the side on which the figure is better: at most, or at least where more is better.
    pub fn natural(metric: Metric, value: f64) -> Self {
        Self { metric, bound: natural(metric), value }
    }

    /// Reads `KEY=VALUE`. Keys are the figures' own (`ttft_ms`, `kld`, `decode_tps`; memory and size in bytes), and `memory_gib`,
    /// `memory_mib`, `size_gb`, `size_mb`.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn parse_key(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("Limit {text:?}: write it as KEY=VALUE"))?;
        let key = key.trim();
        let (metric, unit) = match key {
            "memory_gib" => (Metric::PeakMemory, f64::from(1 << 30)),
            "memory_mib" => (Metric::PeakMemory, f64::from(1 << 20)),
            "size_gb" => (Metric::FileSize, 1e9),
            "size_mb" => (Metric::FileSize, 1e6),
            _ => match Metric::by_key(key) {
                Some(metric) => (metric, 1.0),
                None => {
                    let own: Vec<&str> = Metric::ALL.iter().map(|metric| metric.key()).collect();
                    let all = own.join(", ");
                    return Err(format!("Limit {key}: there is no such figure; there are memory_gib, memory_mib, size_gb, size_mb, {all}"));
                }
            },
        };
        match value.trim().parse::<f64>() {
            Ok(value) if value.is_finite() && value >= 0.0 => Ok(Self::natural(metric, value * unit)),
            _ => Err(format!("Limit {key}: {:?} is not a number of 0 or more", value.trim())),
        }
    }

    /// For `pareto`, where points have every figure at its [`index`].
    pub fn on_points(&self) -> Limit {
        Limit { axis: index(self.metric), bound: self.bound, value: self.value }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_units_and_a_side() {
        assert_eq!(MetricLimit::parse_key("ttft_ms=800"), Ok(MetricLimit::natural(Metric::TtftMs, 800.0)));
        assert_eq!(MetricLimit::parse_key("memory_gib=6").unwrap().value, 6.0 * 1024.0 * 1024.0 * 1024.0);
        assert_eq!(MetricLimit::parse_key("size_mb=600").unwrap(), MetricLimit::natural(Metric::FileSize, 6e8));
        assert_eq!(MetricLimit::parse_key("decode_tps = 40").unwrap().bound, Bound::AtLeast);
        assert_eq!(MetricLimit::parse_key("kld=0.05").unwrap().bound, Bound::AtMost);
        for bad in ["ttft_ms", "ttft=1", "kld=", "kld=-1", "kld=nan", "kld=inf", "=1"] {
            let error = MetricLimit::parse_key(bad).unwrap_err();
            assert!(error.contains(bad.split('=').next().unwrap()), "{error}");
        }
    }

    #[test]
    fn only_the_unusual_side_is_written_down() {
        let usual = MetricLimit::natural(Metric::Kld, 0.05);
        assert_eq!(serde_json::to_string(&usual).unwrap(), r#"{"metric":"kld","value":0.05}"#);
        let unusual = MetricLimit { bound: Bound::AtMost, ..MetricLimit::natural(Metric::DecodeTps, 20.0) };
        let json = serde_json::to_string(&unusual).unwrap();
        assert_eq!(json, r#"{"metric":"decode_tps","bound":"at_most","value":20.0}"#);
        for limit in [usual, unusual] {
            assert_eq!(serde_json::from_str::<MetricLimit>(&serde_json::to_string(&limit).unwrap()).unwrap(), limit);
        }
    }
}
