//! Whether a candidate's samples can carry a decision, and if not, why.

use super::cooling::Cooling;
use super::step::Row;
use crate::measure::bench::BACKGROUND;
use crate::measure::{bench, stats};
use crate::protocol::{Metric, RunTrust, Surroundings};

/// A range of the clock of more than this part of its middle is worth a word.
const CLOCK: f64 = 0.05;

/// Judges a row. Samples of a pair of designs are compared block by block, so that what touches all designs alike (drift, above all) says
/// less against a comparison than against the figure itself; it is said all the same.
pub(super) fn judge(row: &Row, cooling: &Cooling) -> (RunTrust, Vec<String>) {
    let mut reasons = Vec::new();
    let mut trust = RunTrust::Trusted;
    let mut any = false;
    for metric in [Metric::PrefillTps, Metric::DecodeTps] {
        let Some(samples) = row.samples.get(&metric) else { continue };
        any = true;
        let judgement = bench::judge(samples);
        match judgement.trust {
            RunTrust::Trusted => {}
            RunTrust::Noisy => trust = if trust == RunTrust::TooFew { trust } else { RunTrust::Noisy },
            RunTrust::TooFew => trust = RunTrust::TooFew,
        }
        let name = metric.name();
        for reason in judgement.trust_reasons {
            let sentence = if reason.starts_with("Only") { reason } else { format!("{name}: {}", lower_first(&reason)) };
            if !reasons.contains(&sentence) {
                reasons.push(sentence);
            }
        }
    }
    if !any {
        return (RunTrust::TooFew, vec!["Not measured".into()]);
    }
    surroundings(&row.surroundings, &mut reasons, &mut trust);
    if cooling.taken() > 0 && trust == RunTrust::Noisy {
        let s = if cooling.taken() == 1 { "" } else { "s" };
        reasons.push(format!("The sweep paused {} time{s} to let the machine recover", cooling.taken()));
    }
    (trust, reasons)
}

fn surroundings(all: &[Surroundings], reasons: &mut Vec<String>, trust: &mut RunTrust) {
    let of = |value: fn(&Surroundings) -> Option<f64>| all.iter().filter_map(value).collect::<Vec<f64>>();
    let mut doubt = |reason: String| {
        reasons.push(reason);
        if *trust == RunTrust::Trusted {
            *trust = RunTrust::Noisy;
        }
    };
    if let Some(load) = stats::mean(&of(|s| s.background)).filter(|load| *load > BACKGROUND) {
        doubt(format!("Other programs used {:.0} % of the processors", load * 100.0));
    }
    let clock = of(|s| s.clock_mhz);
    if let (Some(low), Some(middle), Some(high)) = (stats::percentile(&clock, 0.0), stats::median(&clock), stats::percentile(&clock, 100.0))
        && high - low > CLOCK * middle
    {
        doubt(format!("The clock moved between {low:.0} and {high:.0} MHz"));
    }
    let heat = of(|s| s.celsius);
    if let (Some(low), Some(high)) = (stats::percentile(&heat, 0.0), stats::percentile(&heat, 100.0))
        && high >= 85.0
    {
        doubt(format!("The processor went from {low:.0} to {high:.0} degrees, where it may slow down"));
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
