//! Gaussian-process regression on designs (Rasmussen and Williams 2006, chapters 2 and 5), for up to a few hundred observations.
//!
//! The kernel is additive over features, with all their pairs and a part that every design has to itself:
//! `k(x, y) = c + sum a_f k_f + b sum_{f<g} sqrt(a_f a_g) k_f k_g + d [x = y]`. Main effects are most of what a design changes, pairs are
//! what threads do to a rung; what neither explains counts as doubt about every design that was not tried. `k_f` is 1 for equal levels;
//! for different ones it is 0, or, where levels have an order, half of `exp(-distance)`.

use super::space::Kernels;

/// A lower triangular factor, row by row.
pub(super) struct Cholesky {
    rows: Vec<Vec<f64>>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Cholesky {
    /// Factors the symmetric matrix whose lower half `at` gives. `None` when it is not positive definite.
    pub(super) fn new(n: usize, at: impl Fn(usize, usize) -> f64) -> Option<Self> {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
        for i in 0..n {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for (j, above) in rows.iter().enumerate() {
                row.push((at(i, j) - dot(&row, above)) / above.last()?);
            }
            let left = at(i, i) - dot(&row, &row);
            if left.is_nan() || left <= 0.0 {
                return None;
            }
            row.push(left.sqrt());
            rows.push(row);
        }
        Some(Self { rows })
    }

    /// Solves `L y = b` in place.
    fn forward(&self, b: &mut [f64]) {
        for (i, row) in self.rows.iter().enumerate() {
            let (done, rest) = b.split_at_mut(i);
            if let (Some(value), Some(pivot)) = (rest.first_mut(), row.last()) {
                *value = (*value - dot(row, done)) / pivot;
            }
        }
    }

    /// Solves `L' x = y` in place.
    fn backward(&self, y: &mut [f64]) {
        for (i, row) in self.rows.iter().enumerate().rev() {
            let (before, rest) = y.split_at_mut(i);
            if let (Some(value), Some(pivot)) = (rest.first_mut(), row.last()) {
                *value /= pivot;
                for (b, l) in before.iter_mut().zip(row) {
                    *b -= l * *value;
                }
            }
        }
    }

    /// `A^-1 b`.
    pub(super) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        self.forward(&mut x);
        self.backward(&mut x);
        x
    }

    fn log_det(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.last()).map(|pivot| 2.0 * pivot.ln()).sum()
    }

    /// The diagonal of `A^-1`.
    fn inverse_diagonal(&self) -> Vec<f64> {
        let n = self.rows.len();
        let column = |i: usize| {
            let mut unit: Vec<f64> = (0..n).map(|j| f64::from(u8::from(i == j))).collect();
            self.forward(&mut unit);
            dot(&unit, &unit)
        };
        (0..n).map(column).collect()
    }
}

/// What the kernel is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hyper {
    /// Variance by feature, `a`
    pub(super) main: Vec<f64>,
    /// Part of it that pairs have, `b`
    pub(super) pair: f64,
    /// Variance that every design has to itself, `d`
    pub(super) alone: f64,
}

impl Hyper {
    /// What is expected of values with this variance before any of them are looked into.
    pub(super) fn prior(features: usize, variance: f64) -> Self {
        let each = variance / features.max(1) as f64;
        Self { main: vec![each; features], pair: 0.3, alone: (0.01 * variance).max(1e-4) }
    }

    fn get(&self, at: usize) -> f64 {
        let n = self.main.len();
        self.main.get(at).copied().unwrap_or(if at == n { self.pair } else { self.alone })
    }

    fn scaled(&self, at: usize, by: f64) -> Self {
        let mut next = self.clone();
        let n = next.main.len();
        if let Some(value) = next.main.get_mut(at) {
            *value *= by;
        } else if at == n {
            next.pair *= by;
        } else {
            next.alone *= by;
        }
        next
    }
}

/// One observed design: its levels, the mean of its samples, and the variance of that mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observation {
    pub(super) levels: Vec<usize>,
    pub(super) value: f64,
    pub(super) variance: f64,
}

/// A belief about one figure of one design: normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    pub(super) mean: f64,
    pub(super) sd: f64,
}

/// A process conditioned on observations.
pub(super) struct Process<'a> {
    kernels: &'a Kernels,
    hyper: Hyper,
    seen: &'a [Observation],
    centre: f64,
    constant: f64,
    factor: Cholesky,
    weights: Vec<f64>,
    /// How much more the observations differ from what the others say of them than the process expects, as a factor on deviations
    doubt: f64,
}

fn mean(seen: &[Observation]) -> f64 {
    seen.iter().map(|o| o.value).sum::<f64>() / seen.len().max(1) as f64
}

/// Variance of the observed values, with two more of the variance that was expected: one value says nothing of how others differ.
pub(super) fn variance(kernels: &Kernels, seen: &[Observation]) -> f64 {
    let centre = mean(seen);
    (seen.iter().map(|o| (o.value - centre).powi(2)).sum::<f64>() + 2.0 * kernels.expected) / (seen.len() + 2) as f64
}

impl<'a> Process<'a> {
    /// Conditions on what was seen. `None` for nothing, or where rounding makes the kernel singular.
    pub(super) fn new(kernels: &'a Kernels, hyper: Hyper, seen: &'a [Observation]) -> Option<Self> {
        let centre = (!seen.is_empty()).then(|| mean(seen))?;
        let constant = variance(kernels, seen);
        let entry = |i: usize, j: usize| match (seen.get(i), seen.get(j)) {
            (Some(a), Some(b)) if i == j => constant + kernels.own(&hyper) + a.variance.max(b.variance) + 1e-9,
            (Some(a), Some(b)) => constant + kernels.between(&hyper, &a.levels, &b.levels),
            _ => f64::NAN,
        };
        let factor = Cholesky::new(seen.len(), entry)?;
        let values: Vec<f64> = seen.iter().map(|o| o.value - centre).collect();
        let weights = factor.solve(&values);
        Some(Self { kernels, hyper, seen, centre, constant, factor, weights, doubt: 1.0 })
    }

    /// Logarithm of the marginal likelihood, up to a constant.
    fn evidence(&self) -> f64 {
        let fit: f64 = self.seen.iter().zip(&self.weights).map(|(o, w)| (o.value - self.centre) * w).sum();
        -0.5 * (fit + self.factor.log_det())
    }

    /// What each observation would have been expected to be, given the others only (Rasmussen and Williams, 5.12).
    pub(super) fn left_out(&self) -> Vec<Belief> {
        let inverse = self.factor.inverse_diagonal();
        let of = |((o, w), i): ((&Observation, &f64), &f64)| Belief { mean: o.value - w / i, sd: (1.0 / i).sqrt() };
        self.seen.iter().zip(&self.weights).zip(&inverse).map(of).collect()
    }

    /// Widens what is said of designs that were not tried by how badly tried ones are foretold from each other; three deviations are the
    /// most that one of them adds.
    pub(super) fn doubting(mut self) -> Self {
        let squares = self.left_out().iter().zip(self.seen).map(|(b, o)| ((o.value - b.mean) / b.sd).clamp(-3.0, 3.0).powi(2)).sum::<f64>();
        // eight observations that are as expected, before any
        self.doubt = ((squares + 8.0) / (self.seen.len() as f64 + 8.0)).sqrt().max(1.0);
        self
    }

    fn against(&self, levels: &[usize]) -> Vec<f64> {
        let one = |o: &Observation| {
            self.constant
                + if o.levels == levels { self.kernels.own(&self.hyper) } else { self.kernels.between(&self.hyper, &o.levels, levels) }
        };
        self.seen.iter().map(one).collect()
    }

    /// The expected value of a design.
    pub(super) fn expect(&self, levels: &[usize]) -> f64 {
        self.centre + dot(&self.against(levels), &self.weights)
    }

    /// What is believed of a design; `tried` ones are not widened by [`Process::doubting`].
    pub(super) fn predict(&self, levels: &[usize], tried: bool) -> Belief {
        let mut k = self.against(levels);
        let mean = self.centre + dot(&k, &self.weights);
        self.factor.forward(&mut k);
        let variance = (self.constant + self.kernels.own(&self.hyper) - dot(&k, &k)).max(1e-12);
        Belief { mean, sd: variance.sqrt() * if tried { 1.0 } else { self.doubt } }
    }
}

/// Several kernels, each with how probable the observations make it. One alone, the most probable, would be too sure of itself while
/// there are few observations.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fits {
    kernels: Vec<(Hyper, f64)>,
}

/// How many kernels are kept.
const KEPT: usize = 3;

/// Climbs from `start` to the most probable kernel, one hyperparameter at a time, and keeps what it passes. Their priors are log-normal
/// around what [`Hyper::prior`] says, wide for features (a factor of six) and narrower for pairs and the rest (three), which few
/// observations show.
pub(super) fn fit(kernels: &Kernels, seen: &[Observation], start: Option<&Fits>) -> Fits {
    let features = kernels.features();
    let prior = Hyper::prior(features, variance(kernels, seen));
    let score = |hyper: &Hyper| {
        let strayed = |at: usize| {
            let width: f64 = if at < features { 1.8 } else { 1.1 };
            ((hyper.get(at) / prior.get(at)).ln() / width).powi(2)
        };
        let penalty: f64 = (0..features + 2).map(strayed).sum();
        Process::new(kernels, hyper.clone(), seen).map_or(f64::NEG_INFINITY, |p| p.evidence() - 0.5 * penalty)
    };
    let mut best = start.and_then(|fits| fits.kernels.first()).map_or(&prior, |(hyper, _)| hyper).clone();
    let mut top = score(&best);
    let mut passed = vec![(best.clone(), top)];
    for step in [6.0, 3.0, 1.6] {
        for at in 0..features + 2 {
            for by in [step, 1.0 / step] {
                let next = best.scaled(at, by);
                let reached = score(&next);
                passed.push((next.clone(), reached));
                if reached > top {
                    (best, top) = (next, reached);
                    break;
                }
            }
        }
    }
    passed.sort_by(|a, b| b.1.total_cmp(&a.1));
    passed.truncate(KEPT);
    let weights: Vec<f64> = passed.iter().map(|(_, reached)| (reached - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    Fits { kernels: passed.into_iter().zip(weights).map(|((hyper, _), weight)| (hyper, weight / sum)).collect() }
}

/// What several kernels believe together.
pub(super) struct Ensemble<'a> {
    processes: Vec<(Process<'a>, f64)>,
}

impl<'a> Ensemble<'a> {
    /// Conditions each kernel on what was seen. `None` for nothing.
    pub(super) fn new(kernels: &'a Kernels, fits: &Fits, seen: &'a [Observation]) -> Option<Self> {
        let one = |(hyper, weight): &(Hyper, f64)| Some((Process::new(kernels, hyper.clone(), seen)?.doubting(), *weight));
        let processes: Vec<(Process<'a>, f64)> = fits.kernels.iter().filter_map(one).collect();
        (!processes.is_empty()).then_some(Self { processes })
    }

    /// The mixture of what the kernels believe, as one normal belief of the same mean and variance.
    pub(super) fn predict(&self, levels: &[usize], tried: bool) -> Belief {
        mix(self.processes.iter().map(|(process, weight)| (process.predict(levels, tried), *weight)))
    }

    /// What each observation would have been expected to be, given the others only.
    pub(super) fn left_out(&self) -> Vec<Belief> {
        let each: Vec<(Vec<Belief>, f64)> = self.processes.iter().map(|(process, weight)| (process.left_out(), *weight)).collect();
        let n = each.first().map_or(0, |(beliefs, _)| beliefs.len());
        (0..n).map(|at| mix(each.iter().filter_map(|(beliefs, weight)| Some((*beliefs.get(at)?, *weight))))).collect()
    }
}

fn mix(beliefs: impl Iterator<Item = (Belief, f64)>) -> Belief {
    let (mut sum, mut mean, mut square) = (0.0, 0.0, 0.0);
    for (belief, weight) in beliefs {
        sum += weight;
        mean += weight * belief.mean;
        square += weight * (belief.sd.powi(2) + belief.mean.powi(2));
    }
    mean /= sum;
    Belief { mean, sd: (square / sum - mean * mean).max(1e-12).sqrt() }
}

/// `P(Z <= z)` of the standard normal distribution (Abramowitz and Stegun 26.2.17, to 7.5e-8).
pub(super) fn normal_below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530].iter().fold(0.0, |sum, c| (sum + c) * t);
    let above = (density(z) * series).clamp(0.0, 1.0);
    if z < 0.0 { above } else { 1.0 - above }
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt()
}

impl Belief {
    /// The probability of more than `value`.
    pub(super) fn above(self, value: f64) -> f64 {
        normal_below((self.mean - value) / self.sd.max(1e-12))
    }

    /// The expected improvement over `value` (Jones, Schonlau and Welch 1998).
    pub(super) fn improvement(self, value: f64) -> f64 {
        let z = (self.mean - value) / self.sd.max(1e-12);
        (self.sd * (z * normal_below(z) + density(z))).max(0.0)
    }
}
