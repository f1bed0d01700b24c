//! Numbers as people read them: one way for the window, the command line and reports.
//!
//! Sizes are decimal (1 MB = 10^6 bytes), as disks and the pictures of the window use them. A number that is not finite is a dash: it was not
//! measured.

use std::time::Duration;

use crate::protocol::Metric;

/// Shown for what was not measured.
pub const ABSENT: &str = "\u{2013}";

/// Bytes: `0 B`, `812 B`, `2.4 kB`, `86 MB`, `9.1 GB`, `1.2 TB`. Kilobytes, gigabytes and terabytes under 100 have one decimal; megabytes
/// under 10 do.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = n as f64;
    let mut unit = 0;
    // 999.5 and more would be printed as 1000
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("TB");
    let decimals = match name {
        "B" => 0,
        "MB" => usize::from(value < 9.95),
        _ => usize::from(value < 99.95),
    };
    format!("{value:.decimals$} {name}")
}

/// What [`bytes`] says of a size, as bytes again: parts that are shown add up to a total only when the total is that of what is shown.
pub fn bytes_as_shown(n: u64) -> u64 {
    let text = bytes(n);
    let Some((value, unit)) = text.split_once(' ') else { return n };
    let scale = match unit {
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => 1.0,
    };
    value.parse::<f64>().map_or(n, |value| (value * scale).round() as u64)
}

/// Tokens per second without the unit: `118.3`, `948`. One decimal under 500, none from there; two under 10.
pub fn tps(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.into();
    }
    match value {
        v if v < 9.995 => format!("{v:.2}"),
        v if v < 499.95 => format!("{v:.1}"),
        v => count(v.round() as u64),
    }
}

/// A whole number with thousands set apart: `4,096`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Weights of a model: `135 M`, `8.03 B`.
pub fn params(n: u64) -> String {
    let value = n as f64;
    match n {
        0..1_000_000 => count(n),
        1_000_000..100_000_000 => format!("{:.1} M", value / 1e6),
        100_000_000..999_500_000 => format!("{:.0} M", value / 1e6),
        _ => format!("{:.2} B", value / 1e9),
    }
}

/// A span of time given in seconds: `0.4 ms`, `41 ms`, `0.21 s`, `8.4 s`, `47 s`, `3 min 41 s`, `2 h 5 min`.
pub fn seconds(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return ABSENT.into();
    }
    let whole = value.round() as u64;
    match value {
        v if v < 0.0095 => format!("{:.1} ms", v * 1e3),
        v if v < 0.0995 => format!("{:.0} ms", v * 1e3),
        v if v < 0.995 => format!("{v:.2} s"),
        v if v < 9.95 => format!("{v:.1} s"),
        _ if whole < 60 => format!("{whole} s"),
        _ if whole < 3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// [`seconds`] of milliseconds, kept in milliseconds up to ten seconds, as latencies are compared: `0.4 ms`, `112 ms`, `1,240 ms`.
pub fn millis(value: f64) -> String {
    if !value.is_finite() || value < 0.0 {
        return ABSENT.into();
    }
    match value {
        v if v < 9.95 => format!("{v:.1} ms"),
        v if v < 9999.5 => format!("{} ms", count(v.round() as u64)),
        v => seconds(v / 1e3),
    }
}

/// [`seconds`] of a [`Duration`].
pub fn duration(value: Duration) -> String {
    seconds(value.as_secs_f64())
}

/// A part of one as a percentage: `71 %`, `2.1 %`. One decimal under ten.
pub fn percent(fraction: f64) -> String {
    if !fraction.is_finite() {
        return ABSENT.into();
    }
    let value = fraction * 100.0;
    let decimals = usize::from(value.abs() < 9.95 && value != 0.0);
    format!("{value:.decimals$} %")
}

/// A token's probability: [`percent`], but never `0.0 %` for what is possible.
pub fn chance(p: f32) -> String {
    if p > 0.0 && p < 0.0005 { "< 0.1 %".into() } else { percent(p.into()) }
}

/// [`percent`] of a difference, with its sign: `+1.7 %`, `-12 %`.
pub fn signed_percent(fraction: f64) -> String {
    let text = percent(fraction);
    if fraction > 0.0 { format!("+{text}") } else { text }
}

/// Bits per weight: `4.85`.
pub fn bits_per_weight(value: f64) -> String {
    if value.is_finite() && value > 0.0 { format!("{value:.2}") } else { ABSENT.into() }
}

/// An amount of money, which money not being said: `0.0042`, `0.42`, `4.20`, `1,234`.
pub fn money(value: f64) -> String {
    match value {
        v if !v.is_finite() => ABSENT.into(),
        v if v >= 999.5 => count(v.round() as u64),
        v if v.abs() < 0.0995 => format!("{v:.4}"),
        v => format!("{v:.2}"),
    }
}

/// A figure with its unit: `149.1 t/s`, `103 ms`, `426 MB`, `0.005`, `95.6 %`.
pub fn metric(metric: Metric, value: f64) -> String {
    let number = metric_number(metric, value);
    match metric_unit(metric) {
        "" => number,
        _ if number == ABSENT => number,
        unit => format!("{number} {unit}"),
    }
}

/// A figure without its unit, for a column that says it above; bytes and times keep theirs, which depends on the size.
pub fn metric_number(metric: Metric, value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.into();
    }
    match metric {
        Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps => tps(value),
        Metric::TtftMs | Metric::ItlP95Ms => millis(value),
        Metric::PeakMemory | Metric::FileSize => bytes(value.max(0.0) as u64),
        Metric::Kld if value.abs() < 0.0995 => format!("{value:.4}"),
        Metric::Kld => format!("{value:.3}"),
        Metric::Perplexity => format!("{value:.2}"),
        Metric::SameTop => format!("{:.1} %", value * 100.0),
        Metric::EnergyPerToken => format!("{value:.3}"),
        Metric::CostPerMillion => money(value),
    }
}

/// The unit that [`metric_number`] leaves out; empty where there is none or the number has it.
pub fn metric_unit(metric: Metric) -> &'static str {
    match metric {
        Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps => "t/s",
        Metric::EnergyPerToken => "J/token",
        Metric::CostPerMillion => "/M tokens",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_that_are_shown_add_up() {
        let parts = [86_400_000, 90_400_000, 105_400_000];
        let total: u64 = parts.iter().map(|part| bytes_as_shown(*part)).sum();
        assert_eq!(parts.map(bytes), ["86 MB", "90 MB", "105 MB"]);
        assert_eq!(bytes(total), "281 MB", "not 282 MB");
        assert_eq!((bytes_as_shown(0), bytes_as_shown(2_449), bytes_as_shown(9_140_000_000)), (0, 2_400, 9_100_000_000));
    }

    #[test]
    fn sizes() {
        for (n, want) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (8_640_000, "8.6 MB"),
            (98_362_432, "98 MB"),
            (999_600_000, "1.0 GB"),
            (9_104_000_000, "9.1 GB"),
            (412_000_000, "412 MB"),
            (2_000_000_000_000, "2.0 TB"),
        ] {
            assert_eq!(bytes(n), want);
        }
    }

    #[test]
    fn speeds_and_counts() {
        assert_eq!(tps(196.44), "196.4");
        assert_eq!(tps(3.456), "3.46");
        assert_eq!(tps(948.2), "948");
        assert_eq!(tps(12_345.6), "12,346");
        assert_eq!(tps(f64::NAN), ABSENT);
        assert_eq!(count(4096), "4,096");
        assert_eq!(count(12), "12");
        assert_eq!(params(134_515_008), "135 M");
        assert_eq!(params(8_030_261_248), "8.03 B");
        assert_eq!(params(999_900_000), "1.00 B");
    }

    #[test]
    fn times() {
        for (s, want) in [
            (0.0004, "0.4 ms"),
            (0.041, "41 ms"),
            (0.21, "0.21 s"),
            (0.999, "1.0 s"),
            (8.44, "8.4 s"),
            (47.2, "47 s"),
            (59.7, "1 min 0 s"),
            (221.0, "3 min 41 s"),
            (7500.0, "2 h 5 min"),
            (-1.0, ABSENT),
        ] {
            assert_eq!(seconds(s), want);
        }
        assert_eq!(millis(112.4), "112 ms");
        assert_eq!(millis(1240.0), "1,240 ms");
        assert_eq!(millis(61_000.0), "1 min 1 s");
        assert_eq!(duration(Duration::from_millis(210)), "0.21 s");
    }

    #[test]
    fn figures_have_their_units() {
        for (metric_, value, want) in [
            (Metric::DecodeTps, 149.13, "149.1 t/s"),
            (Metric::PrefillTps, 948.2, "948 t/s"),
            (Metric::TtftMs, 103.2, "103 ms"),
            (Metric::PeakMemory, 426e6, "426 MB"),
            (Metric::Kld, 0.00512, "0.0051"),
            (Metric::Kld, 0.1849, "0.185"),
            (Metric::SameTop, 0.956, "95.6 %"),
            (Metric::EnergyPerToken, 0.25, "0.250 J/token"),
            (Metric::CostPerMillion, 2.7778, "2.78 /M tokens"),
            (Metric::CostPerMillion, 0.0421, "0.0421 /M tokens"),
            (Metric::CostPerMillion, 1234.4, "1,234 /M tokens"),
            (Metric::DecodeTps, f64::NAN, ABSENT),
        ] {
            assert_eq!(metric(metric_, value), want);
        }
    }

    #[test]
    fn parts() {
        assert_eq!(percent(0.71), "71 %");
        assert_eq!(percent(0.021), "2.1 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(signed_percent(0.017), "+1.7 %");
        assert_eq!(signed_percent(-0.12), "-12 %");
        assert_eq!(bits_per_weight(0.0), ABSENT);
    }

    proptest! {
        #[test]
        fn sizes_are_short_and_never_lie_by_much(n in any::<u64>()) {
            let text = bytes(n);
            let (number, unit) = text.split_once(' ').unwrap();
            let scale = match unit { "B" => 1.0, "kB" => 1e3, "MB" => 1e6, "GB" => 1e9, _ => 1e12 };
            let back = number.parse::<f64>().unwrap() * scale;
            prop_assert!((back - n as f64).abs() <= (n as f64 * 0.06).max(1.0), "{n} as {text}");
        }

        #[test]
        fn nothing_panics(v in any::<f64>()) {
            for text in [tps(v), seconds(v), millis(v), percent(v), signed_percent(v), bits_per_weight(v)] {
                prop_assert!(!text.is_empty());
            }
        }
    }
}
