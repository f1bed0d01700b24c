use super::super::{order::schedule, stats::Draws};
use super::*;
use proptest::prelude::*;

/// Draws that the simulations are made of.
impl Draws {
    /// Uniform, inside 0..1.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// What the machine does to the speed on the way, apart from the designs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Noise {
    /// Independent and normal
    Normal(f64),
    /// 30 % slower at the end than at the start, linearly
    Drift,
    /// A tenth of the samples slowed by 30 to 60 %, four at a time on average
    Bursts,
    /// Student's t with two degrees of freedom, which has no variance
    HeavyTails,
    /// AR(1): each sample remembers this part of the one before
    Memory(f64),
    /// 20 % slower from some sample on
    Step,
    /// Two samples fast, two slow, and little else: the period of two mirrored blocks of two designs
    Resonance,
}

use Noise::{Bursts, Drift, HeavyTails, Memory, Normal, Resonance, Step};

const SCENARIOS: [Noise; 6] = [Normal(0.03), Drift, Bursts, HeavyTails, Memory(0.5), Step];

impl Noise {
    /// Logarithms of the factors on `n` samples in a row.
    fn logs(self, n: usize, draws: &mut Draws) -> Vec<f64> {
        let (mut slow, mut memory) = (draws.unit() < 0.1, draws.normal());
        let (step, phase) = ((draws.unit() * n as f64) as usize, (draws.unit() * 4.0) as usize);
        let mut sample = |t: usize| match self {
            Normal(spread) => spread * draws.normal(),
            Drift => (1.0 - 0.3 * t as f64 / n as f64).ln() + 0.02 * draws.normal(),
            Bursts => {
                let burst = if slow { (0.4 + 0.3 * draws.unit()).ln() } else { 0.0 };
                slow = draws.unit() < if slow { 0.75 } else { 0.25 / 9.0 };
                burst + 0.02 * draws.normal()
            }
            HeavyTails => 0.02 * draws.normal() / (-draws.unit().ln()).sqrt(),
            Memory(rho) => {
                memory = rho * memory + (1.0 - rho * rho).sqrt() * draws.normal();
                0.03 * memory
            }
            Step => (if t < step { 0.0 } else { 0.8_f64.ln() }) + 0.02 * draws.normal(),
            Resonance => (if (t + phase) % 4 < 2 { 0.05 } else { 0.0 }) + 0.005 * draws.normal(),
        };
        (0..n).map(&mut sample).collect()
    }

    /// Samples of designs that are equal but for the first, which is `faster` times as fast.
    fn samples(self, designs: usize, pairs: usize, faster: f64, seed: u64) -> Vec<Vec<f64>> {
        let mut draws = Draws(seed);
        let logs = self.logs(designs * pairs, &mut draws);
        let mut samples = vec![Vec::new(); designs];
        for (slot, log) in schedule(designs, pairs, draws.next()).iter().zip(logs) {
            samples[slot.design].push(100.0 * log.exp() * if slot.design == 0 { faster } else { 1.0 });
        }
        samples
    }

    /// In how many of `runs` runs two designs are called different.
    fn different(self, pairs: usize, faster: f64, runs: u64) -> usize {
        let verdict = |seed| {
            let samples = self.samples(2, pairs, faster, seed);
            compare(&samples[0], &samples[1], 1, ALPHA).unwrap().verdict
        };
        (0..runs).filter(|seed| verdict(*seed) != Verdict::NotDistinguishable).count()
    }
}

#[test]
fn two_copies_are_called_different_in_at_most_a_twentieth() {
    for noise in SCENARIOS {
        for pairs in [5, 8, 12, 20] {
            let wrong = noise.different(pairs, 1.0, 400);
            assert!(wrong <= 20, "{noise:?}, {pairs} pairs: {wrong} of 400");
        }
    }
}

#[test]
fn a_real_difference_is_found() {
    let found = Normal(0.02).different(10, 1.05, 400);
    assert!(found >= 320, "{found} of 400");
    let found = Bursts.different(20, 1.05, 400);
    assert!(found >= 320, "bursts: {found} of 400");
}

#[test]
fn a_family_of_comparisons_is_wrong_in_at_most_a_twentieth() {
    for noise in SCENARIOS {
        let wrong = |seed| {
            let samples = noise.samples(5, 10, 1.0, seed);
            let differ = |i: usize, j: usize| compare(&samples[i], &samples[j], all_pairs(5), ALPHA).unwrap().verdict;
            (0..5).any(|i| (0..i).any(|j| differ(i, j) != Verdict::NotDistinguishable))
        };
        let wrong = (0..400).filter(|seed| wrong(*seed)).count();
        assert!(wrong <= 20, "{noise:?}: {wrong} of 400");
    }
}

/// The table of the module's essay: `cargo test --release -- --ignored --nocapture verdict::tests::table`.
#[test]
#[ignore = "prints the table of the essay"]
fn table() {
    const RUNS: u64 = 20_000;
    let rate = |noise: Noise, pairs, faster| 100.0 * noise.different(pairs, faster, RUNS) as f64 / RUNS as f64;
    for noise in SCENARIOS.into_iter().chain([Normal(0.02), Memory(0.3), Memory(0.9), Memory(-0.5), Resonance]) {
        let row = |faster| [3, 5, 8, 10, 12, 20].map(|pairs| format!("{:5.1}", rate(noise, pairs, faster))).join(" ");
        println!("{:12} {} | {}", format!("{noise:?}"), row(1.0), row(1.05));
    }
    for (designs, pairs) in [(3, 6), (4, 8), (10, 5), (10, 8), (10, 12), (10, 20)] {
        for noise in SCENARIOS {
            let wrong = |seed| {
                let s = noise.samples(designs, pairs, 1.0, seed);
                (0..designs).any(|i| {
                    (0..i).any(|j| compare(&s[i], &s[j], all_pairs(designs), ALPHA).unwrap().verdict != Verdict::NotDistinguishable)
                })
            };
            let wrong = (0..4000).filter(|seed| wrong(*seed)).count();
            println!("{designs} designs, {pairs} pairs, {noise:?}: {:.1} %", wrong as f64 / 40.0);
        }
    }
}

#[test]
fn quantiles_of_student() {
    // two-sided, from the usual tables and scipy.stats.t.isf(alpha / 2, df)
    let known = [
        (0.05, 1, 12.706_204_736),
        (0.05, 2, 4.302_652_730),
        (0.05, 4, 2.776_445_105),
        (0.05, 9, 2.262_157_163),
        (0.05, 19, 2.093_024_054),
        (0.01, 3, 5.840_909_310),
        (0.01, 10, 3.169_272_673),
        (0.001, 30, 3.645_958_635),
        (0.05, 1000, 1.962_339_081),
    ];
    for (alpha, df, want) in known {
        assert!((t_quantile(alpha, df) / want - 1.0).abs() < 1e-8, "{alpha} {df}: {}", t_quantile(alpha, df));
    }
}

#[test]
fn few_pairs_are_the_t_interval() {
    // by hand: r = ln of 1.02, 1.04, 1.03; t(0.025, 2) = 6.205_346_817
    let c = compare(&[102.0, 104.0, 103.0], &[100.0; 3], 1, 0.05).unwrap();
    let logs = [1.02_f64.ln(), 1.04_f64.ln(), 1.03_f64.ln()];
    let (mean, sd) = (stats::mean(&logs).unwrap(), stats::stdev(&logs).unwrap());
    assert!((c.ratio - mean.exp()).abs() < 1e-12);
    assert!((c.interval.high - (mean + 6.205_346_817 * sd / 3.0_f64.sqrt()).exp()).abs() < 1e-9);
    assert_eq!(c.interval.level, 0.95);
}

#[test]
fn outliers_do_not_hide_a_difference() {
    let mut a = vec![105.0, 105.2, 104.8, 105.1, 104.9, 105.0, 105.1, 104.9, 105.0, 105.2];
    a[3] = 50.0;
    assert_eq!(compare(&a, &[100.0; 10], 1, ALPHA).unwrap().verdict, Verdict::Higher);
}

#[test]
fn sentences() {
    let of = |a: &[f64], b: &[f64], m| compare(a, b, m, ALPHA).unwrap().reason;
    let (a, b) = ([105.0, 105.5, 104.5, 105.2, 104.8], [100.0; 5]);
    assert_eq!(of(&a, &b, 1), "Higher by 5.0 %, between 4.4 % and 5.6 % (95 % interval, 5 pairs)");
    assert_eq!(of(&b, &a, 6), "Lower by 4.8 %, between 3.8 % and 5.7 % (95 % interval, 5 pairs, corrected for 6 comparisons)");
    assert_eq!(
        of(&[100.0, 103.0, 98.0], &[100.0; 3], 1),
        "Not distinguishable: between 8.3 % lower and 9.7 % higher (95 % interval, 3 pairs)"
    );
    assert_eq!(of(&[2.0], &[1.0], 1), "Not distinguishable: only 1 pair, and under 3 nothing can be said");
}

#[test]
fn what_cannot_be_compared() {
    assert_eq!(compare(&[], &[], 1, ALPHA), None);
    assert_eq!(compare(&[1.0, 2.0], &[1.0], 1, ALPHA), None);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(compare(&[1.0, bad], &[1.0, 1.0], 1, ALPHA), None);
        assert_eq!(compare(&[1.0, 1.0], &[bad, 1.0], 1, ALPHA), None);
    }
    for alpha in [0.0, 1.0, f64::NAN] {
        assert_eq!(compare(&[1.0; 3], &[1.0; 3], 1, alpha), None);
    }
    assert_eq!(compare(&[1.0, 2.0], &[1.0, 1.0], 1, ALPHA).unwrap().interval.high, f64::INFINITY);
}

#[test]
fn figures_without_noise_differ_by_any_amount() {
    assert_eq!(compare(&[100.0; 3], &[100.0; 3], 1, ALPHA).unwrap().verdict, Verdict::NotDistinguishable);
    assert_eq!(compare(&[101.0; 3], &[100.0; 3], 9, ALPHA).unwrap().verdict, Verdict::Higher);
    assert_eq!((all_pairs(0), all_pairs(1), all_pairs(2), all_pairs(10)), (0, 0, 1, 45));
}

proptest! {
    #[test]
    fn turned_round_it_says_the_opposite(pairs in prop::collection::vec((1.0f64..2.0, 1.0f64..2.0), 1..30), m in 0usize..20) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let (ab, ba) = (compare(&a, &b, m, ALPHA).unwrap(), compare(&b, &a, m, ALPHA).unwrap());
        prop_assert!((ab.ratio * ba.ratio - 1.0).abs() < 1e-9);
        prop_assert!(ab.interval.low <= ab.ratio && ab.ratio <= ab.interval.high);
        let opposite = match ab.verdict {
            Verdict::Higher => Verdict::Lower,
            Verdict::Lower => Verdict::Higher,
            same @ Verdict::NotDistinguishable => same,
        };
        prop_assert_eq!(ba.verdict, opposite);
    }

    #[test]
    fn more_comparisons_widen(pairs in prop::collection::vec((1.0f64..2.0, 1.0f64..2.0), 3..30)) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let width = |m| {
            let interval = compare(&a, &b, m, ALPHA).unwrap().interval;
            interval.high / interval.low
        };
        prop_assert!(width(1) <= width(2) && width(2) <= width(50));
    }
}
