//! Descriptive statistics, percentiles and bootstrap intervals.
//!
//! Everything works in `f64`, ignores nothing silently, and returns `None` where a figure is not defined (an empty sample, one value for a
//! spread) instead of a zero that could be taken for a measurement.

/// Arithmetic mean. `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation, divisor n - 1, as llama-bench reports it. `None` under two values.
///
/// Computed in two passes around the mean: llama-bench's one-pass form (sum of squares minus squared sum) cancels when the spread is
/// small against the mean, which is the usual case here.
pub fn stdev(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// Percentile `p` in 0..=100 with linear interpolation on rank `p / 100 * (n - 1)`: numpy's default method, and what the serving
/// benchmarks use. `None` for no values or a `p` outside the range.
pub fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    percentile_of_sorted(&sorted, p)
}

/// [`percentile`] of values that are already sorted: several of one sample cost one sort.
pub fn percentile_of_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    if !(0.0..=100.0).contains(&p) {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let rank = p / 100.0 * last as f64;
    let below = rank.floor();
    let low = *sorted.get(below as usize)?;
    let high = *sorted.get((below as usize + 1).min(last))?;
    Some(low + (high - low) * (rank - below))
}

/// The middle value; the mean of the two middle ones of an even number. `None` for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    percentile(values, 50.0)
}

/// Median absolute deviation from the median, unscaled. Multiply by 1.4826 to compare with a standard deviation of normal noise.
/// `None` for no values.
pub fn mad(values: &[f64]) -> Option<f64> {
    let centre = median(values)?;
    let deviations: Vec<f64> = values.iter().map(|v| (v - centre).abs()).collect();
    median(&deviations)
}

/// An interval with the probability it was asked to cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end
    pub low: f64,
    /// Upper end
    pub high: f64,
    /// 0.95 for a 95 % interval
    pub level: f64,
}

impl Interval {
    /// Whether a value lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Draws: SplitMix64 (Steele, Lea and Flood 2014). Seeded, so that the same samples give the same interval and the same seed the same
/// order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draws(pub(super) u64);

impl Draws {
    /// 64 random bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An index below `n`, by Lemire's multiplication; the bias of 2^-64 * n is nothing here.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Fisher and Yates, in Durstenfeld's form.
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i + 1));
        }
    }
}

/// How many resamples an interval is made of: enough for the second digit of a 95 % interval.
const RESAMPLES: usize = 2000;

/// Percentile bootstrap interval of `statistic` (Efron 1979): resample with replacement, take the central `level` of the results.
///
/// Deterministic: the generator is seeded with a constant. `None` under two values, for a level outside 0..1, or when the statistic is
/// not defined for a resample.
pub fn bootstrap(values: &[f64], level: f64, statistic: impl Fn(&[f64]) -> Option<f64>) -> Option<Interval> {
    if values.len() < 2 || !(level > 0.0 && level < 1.0) {
        return None;
    }
    let mut draws = Draws(0x1F5C_0DE5_EED0_0001);
    let mut resample = vec![0.0; values.len()];
    let mut results = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for slot in &mut resample {
            *slot = *values.get(draws.below(values.len()))?;
        }
        results.push(statistic(&resample)?);
    }
    results.sort_by(f64::total_cmp);
    let tail = (1.0 - level) / 2.0 * 100.0;
    Some(Interval { low: percentile_of_sorted(&results, tail)?, high: percentile_of_sorted(&results, 100.0 - tail)?, level })
}

/// Median of the ratios `a[i] / b[i]` of interleaved measurements, with its bootstrap interval.
///
/// Pairing removes what the machine did to both (frequency, heat, neighbours): on a noisy machine only this comparison means anything.
/// `None` when the lengths differ, a denominator is not positive, or there are under two pairs.
pub fn paired_ratio(a: &[f64], b: &[f64], level: f64) -> Option<(f64, Interval)> {
    if a.len() != b.len() || b.iter().any(|v| *v <= 0.0) {
        return None;
    }
    let ratios: Vec<f64> = a.iter().zip(b).map(|(x, y)| x / y).collect();
    Some((median(&ratios)?, bootstrap(&ratios, level, median)?))
}

/// The usual description of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// How many values
    pub n: usize,
    /// Arithmetic mean
    pub mean: f64,
    /// Sample standard deviation; 0 for one value
    pub stdev: f64,
    /// Smallest
    pub min: f64,
    /// Middle
    pub median: f64,
    /// 90th percentile
    pub p90: f64,
    /// 95th percentile
    pub p95: f64,
    /// 99th percentile
    pub p99: f64,
    /// Largest
    pub max: f64,
}

impl Summary {
    /// Describes a sample. `None` for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |p| percentile_of_sorted(&sorted, p);
        Some(Self {
            n: sorted.len(),
            mean: mean(values)?,
            stdev: stdev(values).unwrap_or(0.0),
            min: at(0.0)?,
            median: at(50.0)?,
            p90: at(90.0)?,
            p95: at(95.0)?,
            p99: at(99.0)?,
            max: at(100.0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn undefined_figures_are_none() {
        assert_eq!(mean(&[]), None);
        assert_eq!(stdev(&[1.0]), None);
        assert_eq!(percentile(&[], 50.0), None);
        assert_eq!(percentile(&[1.0], 101.0), None);
        assert_eq!(bootstrap(&[1.0], 0.95, mean), None);
        assert_eq!(paired_ratio(&[1.0, 2.0], &[1.0], 0.95), None);
        assert_eq!(paired_ratio(&[1.0, 2.0], &[1.0, 0.0], 0.95), None);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn agrees_with_numpy() {
        // numpy 2.1: percentile([15, 20, 35, 40, 50], [5, 30, 40, 95]), std(ddof=1)
        let values = [35.0, 15.0, 50.0, 20.0, 40.0];
        for (p, want) in [(5.0, 16.0), (30.0, 23.0), (40.0, 29.0), (95.0, 48.0)] {
            assert!(near(percentile(&values, p).unwrap(), want), "p{p}");
        }
        assert!(near(stdev(&values).unwrap(), 14.404860290887934));
        assert!(near(mad(&[1.0, 1.0, 2.0, 2.0, 4.0, 6.0, 9.0]).unwrap(), 1.0));
    }

    #[test]
    fn spread_survives_a_large_mean() {
        let values = [1e9, 1e9 + 1.0, 1e9 + 2.0];
        assert!(near(stdev(&values).unwrap(), 1.0));
    }

    #[test]
    fn bootstrap_repeats_itself_and_covers_the_mean() {
        let values = [98.0, 101.0, 99.5, 103.0, 97.0, 100.5, 102.0, 99.0];
        let first = bootstrap(&values, 0.95, mean).unwrap();
        assert_eq!(Some(first), bootstrap(&values, 0.95, mean));
        assert!(first.contains(mean(&values).unwrap()), "{first:?}");
        assert!(first.low > 97.0 && first.high < 103.0, "{first:?}");
        let wide = bootstrap(&values, 0.99, mean).unwrap();
        assert!(wide.low <= first.low && wide.high >= first.high);
    }

    #[test]
    fn paired_ratio_sees_through_drift() {
        // both slow down by half on the way; the ratio stays
        let b: Vec<f64> = (0..20).map(|i| 100.0 - 2.5 * f64::from(i)).collect();
        let a: Vec<f64> = b.iter().map(|v| v * 1.1).collect();
        let (ratio, ci) = paired_ratio(&a, &b, 0.95).unwrap();
        assert!(near(ratio, 1.1));
        assert!(ci.low > 1.09 && ci.high < 1.11);
    }

    proptest! {
        #[test]
        fn percentiles_are_ordered_and_bounded(values in prop::collection::vec(-1e6f64..1e6, 1..60)) {
            let s = Summary::of(&values).unwrap();
            prop_assert!(s.min <= s.median && s.median <= s.p90 && s.p90 <= s.p95 && s.p95 <= s.p99 && s.p99 <= s.max);
            prop_assert!(s.mean >= s.min - 1e-6 && s.mean <= s.max + 1e-6);
            prop_assert!(s.stdev >= 0.0);
        }
    }
}
