//! Whether two designs differ, from repetitions that were measured side by side.
//!
//! **Method**: `r[i] = ln(a[i] / b[i])` of the two samples of block `i`, the trimmed mean of `r`, and Student's t for it (Yuen 1974): from
//! eight pairs on, `g = n / 6` values are cut off at each end, `s` is the standard deviation of the winsorised `r`, and
//! `h = n - 2 g` are left. The interval is `exp(mean(r cut) +- t(h - 1) * s * sqrt((n - 1) / (h (h - 1))))`. Without a cut this is the
//! paired t test. Blocks must be ordered as `order::schedule` orders them; their number should be even and at least eight.
//!
//! **Level**: half of alpha is kept back. The t test is exact only for independent normal noise; under noise that remembers, AR(1), the
//! two pairs of mirrored blocks are correlated by `rho (1 - rho) / 2`, and an interval that uses all of alpha is wrong more often than
//! it says.
//!
//! **Several comparisons** (Bonferroni): each interval has level `1 - alpha / m`, so that all `m` hold together with probability
//! `1 - alpha`, however they depend on each other; comparisons that share a design and its blocks do. Holm's method finds more but
//! leaves no intervals to draw; Sidak's gains nothing at these sizes.
//!
//! **Chosen by simulation**: two designs in 5, 8, 12 and 20 pairs, ordered by `order::schedule`, alpha 5 %. First the most often that
//! equal designs are called different, in any cell; then how often 5 % is found in 20 pairs under bursts. With all of alpha (1,000 to
//! 2,000 runs per cell): t 6.8 %, 54 %; Wilcoxon and Hodges-Lehmann 5.7 %, 90 %, and never under 6 pairs, more with a correction; sign
//! flips 7.4 %, 58 %, with the same floor; bootstrap-t 10.7 %, 58 %; `stats::paired_ratio` 9.8 %, 99 %. With half of it (20,000 runs):
//! t 3.5 %, 49 %; **trimmed t 3.6 %, 92 %**, in per cent:
//!
//! | noise | equal, called different at 5, 8, 12, 20 pairs | 5 % faster, found at 5, 8, 10, 20 pairs |
//! |---|---|---|
//! | normal 2 % | 2.5, 2.8, 2.9, 2.7 | 65, 88, 98, 100 |
//! | normal 3 % | 2.5, 2.8, 2.9, 2.7 | 33, 55, 74, 98 |
//! | linear drift by -30 % | 0.4, 1.0, 1.6, 2.2 | 18, 65, 92, 100 |
//! | bursts | 1.8, 2.1, 2.2, 2.0 | 47, 68, 74, 92 |
//! | heavy tails (t with 2 df) | 1.6, 2.0, 2.2, 2.3 | 29, 52, 67, 96 |
//! | AR(1), rho 0.5 | 3.0, 3.4, 3.6, 3.6 | 61, 84, 96, 100 |
//! | step by -20 % | 1.2, 2.5, 2.6, 2.6 | 33, 80, 94, 100 |
//!
//! A family of all 45 comparisons of ten designs is wrong anywhere in at most 4.1 % (4,000 runs). `tests::table` prints these rates, those
//! of the chosen method.
//!
//! **Limit**: a disturbance with exactly the period of two blocks, and hardly any other noise, is called different in 5 to 14 % (26 % at
//! three pairs): what repeats itself with the measurements cannot be told from the design.

use super::stats::{self, Interval};

/// How often one of a family of comparisons may call equal designs different.
pub const ALPHA: f64 = 0.05;

/// The part of alpha that is used: see the module.
pub(super) const USED: f64 = 0.5;

/// From how many pairs on outliers are cut off; under it every pair is needed for the spread.
const TRIM_FROM: usize = 8;

/// No verdict under it, as for `bench::Trust`.
const MIN_PAIRS: usize = 3;

/// What can be said of two designs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first has the higher figure
    Higher,
    /// The first has the lower figure
    Lower,
    /// The interval of the ratio holds one
    NotDistinguishable,
}

/// The first design against the second.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Centre of `a / b`: the trimmed geometric mean of the paired ratios
    pub ratio: f64,
    /// Interval of that ratio; its level is corrected for the number of comparisons. 0 to infinity under three pairs
    pub interval: Interval,
    /// How many pairs were compared
    pub pairs: usize,
    /// How many comparisons the interval is corrected for
    pub comparisons: usize,
    /// Higher or lower only when the interval leaves one out
    pub verdict: Verdict,
    /// The verdict as a sentence, with what it rests on
    pub reason: String,
}

/// How many comparisons `designs` designs have among each other. To be passed to [`compare`] as well when only the best is compared with
/// the rest, but the same samples say which is best: picking it looks at every pair.
pub fn all_pairs(designs: usize) -> usize {
    designs * designs.saturating_sub(1) / 2
}

/// Compares samples `a[i]` and `b[i]` of the same block, as one of `comparisons` made together that are all right with probability
/// `1 - alpha` ([`ALPHA`]). The unit does not matter, nor which direction is better.
///
/// `None` for no pairs, lengths that differ, samples that are not positive and finite, or an alpha outside 0..1.
pub fn compare(a: &[f64], b: &[f64], comparisons: usize, alpha: f64) -> Option<Comparison> {
    let usable = |v: &f64| *v > 0.0 && v.is_finite();
    if a.len() != b.len() || !a.iter().chain(b).all(usable) || !(alpha > 0.0 && alpha < 1.0) {
        return None;
    }
    let (pairs, comparisons) = (a.len(), comparisons.max(1));
    let alone = alpha / comparisons as f64;
    let mut logs: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.ln() - b.ln()).collect();
    logs.sort_by(f64::total_cmp);
    let (centre, half) = trimmed_mean(&logs, alone * USED)?;
    let interval = Interval { low: (centre - half).exp(), high: (centre + half).exp(), level: 1.0 - alone };
    let verdict = match interval {
        Interval { low, .. } if low > 1.0 => Verdict::Higher,
        Interval { high, .. } if high < 1.0 => Verdict::Lower,
        _ => Verdict::NotDistinguishable,
    };
    let mut comparison = Comparison { ratio: centre.exp(), interval, pairs, comparisons, verdict, reason: String::new() };
    comparison.reason = reason(&comparison, alpha);
    Some(comparison)
}

/// Where the middle of the repetitions of one design lies with 95 % confidence: the trimmed geometric mean with its interval, as
/// [`compare`] has them of ratios. It says how well a figure is known, not whether two designs differ: that is for pairs to say.
///
/// `None` under three values, and for values that are not positive and finite.
pub fn middle(values: &[f64]) -> Option<Interval> {
    if values.len() < MIN_PAIRS || !values.iter().all(|v| *v > 0.0 && v.is_finite()) {
        return None;
    }
    let mut logs: Vec<f64> = values.iter().map(|v| v.ln()).collect();
    logs.sort_by(f64::total_cmp);
    let (centre, half) = trimmed_mean(&logs, ALPHA)?;
    Some(Interval { low: (centre - half).exp(), high: (centre + half).exp(), level: 1.0 - ALPHA })
}

/// Trimmed mean of sorted values and half the width of its interval at level `1 - alpha` (Yuen 1974). `None` for no values.
fn trimmed_mean(sorted: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let n = sorted.len();
    let cut = if n < TRIM_FROM { 0 } else { n / 6 };
    let kept = sorted.get(cut..n - cut)?;
    let (first, last) = (*kept.first()?, *kept.last()?);
    let centre = stats::mean(kept)?;
    if n < MIN_PAIRS {
        return Some((centre, f64::INFINITY));
    }
    let winsorised: Vec<f64> = sorted.iter().map(|v| v.clamp(first, last)).collect();
    let left = kept.len();
    let error = stats::stdev(&winsorised)? * ((n - 1) as f64 / (left * (left - 1)) as f64).sqrt();
    Some((centre, t_quantile(alpha, left - 1) * error))
}

/// The `t` that Student's distribution with `df` degrees of freedom exceeds, in size, with probability `alpha`.
pub(super) fn t_quantile(alpha: f64, df: usize) -> f64 {
    // by halving the angle atan(t / sqrt(df)), which is bounded where t is not
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if t_tails(middle, df) > alpha { low = middle } else { high = middle }
    }
    low.tan() * (df as f64).sqrt()
}

/// `P(|T| > t)` for `angle = atan(t / sqrt(df))`: the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
fn t_tails(angle: f64, df: usize) -> f64 {
    let (sin, cos) = angle.sin_cos();
    let odd = !df.is_multiple_of(2);
    let (mut term, mut sum) = (if odd { cos } else { 1.0 }, 0.0);
    for k in (usize::from(odd)..df.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cos * cos * (k + 1) as f64 / (k + 2) as f64;
    }
    if odd { 1.0 - (angle + sin * sum) / std::f64::consts::FRAC_PI_2 } else { 1.0 - sin * sum }
}

/// `Higher by 5.2 %, between 3.1 % and 7.4 % (95 % interval, 10 pairs, corrected for 6 comparisons)`.
fn reason(c: &Comparison, alpha: f64) -> String {
    if c.pairs < MIN_PAIRS {
        let s = if c.pairs == 1 { "" } else { "s" };
        return format!("Not distinguishable: only {} pair{s}, and under {MIN_PAIRS} nothing can be said", c.pairs);
    }
    let away = |ratio: f64| (ratio - 1.0).abs() * 100.0;
    let side = |ratio: f64| if ratio < 1.0 { "lower" } else { "higher" };
    let Interval { low, high, .. } = c.interval;
    let found = match c.verdict {
        Verdict::Higher => format!("Higher by {:.1} %, between {:.1} % and {:.1} %", away(c.ratio), away(low), away(high)),
        Verdict::Lower => format!("Lower by {:.1} %, between {:.1} % and {:.1} %", away(c.ratio), away(high), away(low)),
        Verdict::NotDistinguishable => {
            format!("Not distinguishable: between {:.1} % {} and {:.1} % {}", away(low), side(low), away(high), side(high))
        }
    };
    let corrected = if c.comparisons > 1 { format!(", corrected for {} comparisons", c.comparisons) } else { String::new() };
    // at most two digits: 95, 99.5
    let level = ((1.0 - alpha) * 1e4).round() / 100.0;
    format!("{found} ({level} % interval, {} pairs{corrected})", c.pairs)
}

#[cfg(test)]
mod tests;
