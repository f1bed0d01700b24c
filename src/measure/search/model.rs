//! What is believed of every design, given what was measured.

use super::super::pareto::{Better, Bound, Limit};
use super::super::stats;
use super::gauss::{self, Belief, Ensemble, Fits, Hyper, Observation, Process};
use super::space::Kernels;
use super::{Ask, Fact, Search, keeps};

/// The levels of the features that matter.
pub(super) fn project(levels: &[usize], of: Option<&[usize]>) -> Vec<usize> {
    let matters = |at: &usize| of.is_none_or(|of| of.contains(at));
    levels.iter().enumerate().filter(|(at, _)| matters(at)).map(|(_, level)| *level).collect()
}

/// Variance that the logarithms of speeds and seconds are expected to have: a factor of 1.6 either way.
pub(super) const SPEEDS: f64 = 0.25;

/// The same of what hangs on a few features only: quality loss differs by powers of ten.
pub(super) const SHARED: f64 = 3.0;

/// Spread of one repetition before any was repeated: 2 %, worth four deviations.
const SPREAD: (f64, f64) = (0.02, 4.0);

/// Seconds that a visit to each design takes, as far as is known; 0 before anything was measured.
pub(super) struct Costs {
    overhead: Vec<f64>,
    /// By instrument and design, a repetition
    seconds: Vec<Vec<f64>>,
}

impl Costs {
    pub(super) fn overhead(&self, design: usize) -> f64 {
        self.overhead.get(design).copied().unwrap_or(0.0)
    }

    pub(super) fn repetition(&self, instruments: &[usize], design: usize) -> f64 {
        instruments.iter().filter_map(|at| self.seconds.get(*at)?.get(design)).sum()
    }

    pub(super) fn of(&self, ask: &Ask) -> f64 {
        self.overhead(ask.design) + ask.repetitions as f64 * self.repetition(&ask.instruments, ask.design)
    }
}

/// Everything that a decision is made of.
pub(super) struct View {
    /// By design, in logarithms, turned so that more is better
    pub(super) goal: Vec<Belief>,
    /// Whether the goal's figure was measured or is known
    pub(super) measured: Vec<bool>,
    /// By limit and design: the chance that it holds
    pub(super) holds: Vec<Vec<f64>>,
    /// By limit and design: whether its figure was measured or is known
    pub(super) looked: Vec<Vec<bool>>,
    /// By design: the chance that it runs at all
    pub(super) runs: Vec<f64>,
    pub(super) costs: Costs,
}

impl View {
    /// The chance that a design runs and keeps to every limit.
    pub(super) fn allowed(&self, design: usize) -> f64 {
        let runs = self.runs.get(design).copied().unwrap_or(0.0);
        self.holds.iter().filter_map(|of| of.get(design)).fold(runs, |chance, holds| chance * holds)
    }

    /// Whether all that counts was measured.
    pub(super) fn resolved(&self, design: usize) -> bool {
        let all = |of: &Vec<bool>| of.get(design) == Some(&true);
        all(&self.measured) && self.looked.iter().all(all)
    }
}

impl Search {
    pub(super) fn levels(&self, design: usize) -> &[usize] {
        self.problem.designs.get(design).map_or(&[], |d| &d.levels)
    }

    fn fact(&self, design: usize, figure: usize) -> Option<f64> {
        match self.problem.designs.get(design)?.facts.get(&figure)? {
            Fact::Exact(value) => Some(*value),
            Fact::Estimate { .. } => None,
        }
    }

    /// Samples of a figure that are the design's, measured on it or on one that is alike.
    pub(super) fn samples_of(&self, design: usize, figure: usize) -> &[f64] {
        let group = self.groups.get(figure).and_then(|of| of.get(design));
        group.and_then(|group| self.samples.get(figure)?.get(*group)).map_or(&[], Vec::as_slice)
    }

    /// The figure of a design as it is judged by: known, or the mean of its samples (the median from three on).
    pub(super) fn value(&self, design: usize, figure: usize) -> Option<f64> {
        self.fact(design, figure).or_else(|| {
            let samples = self.samples_of(design, figure);
            if samples.len() < 3 { stats::mean(samples) } else { stats::median(samples) }
        })
    }

    /// Logarithms are what designs multiply. A figure that is limited from above may be zero, so a twentieth of the limit is added to it.
    fn shift(&self, figure: usize) -> f64 {
        let of = |limit: &Limit| limit.axis == figure && limit.bound == Bound::AtMost && figure != self.problem.goal.index;
        self.problem.limits.iter().filter(|limit| of(limit)).map(|limit| limit.value.abs() / 20.0).fold(0.0, f64::max)
    }

    fn logs(&self, values: &[f64], shift: f64) -> Vec<f64> {
        values.iter().map(|v| (v + shift).max(1e-9).ln()).collect()
    }

    /// Variance of one repetition: from the median distance to the middle of a design's samples, so that bursts do not count.
    fn noise(&self, figure: usize, shift: f64) -> f64 {
        let mut off = Vec::new();
        for samples in self.samples.get(figure).into_iter().flatten().filter(|s| s.len() > 1) {
            let logs = self.logs(samples, shift);
            let n = logs.len() as f64;
            let centre = stats::median(&logs).unwrap_or(0.0);
            off.extend(logs.iter().map(|v| (v - centre).abs() * (n / (n - 1.0)).sqrt()));
        }
        let spread = 1.4826 * stats::median(&off).unwrap_or(0.0);
        let n = off.len() as f64;
        (SPREAD.1 * SPREAD.0 * SPREAD.0 + n * spread * spread) / (SPREAD.1 + n)
    }

    fn observations(&self, figure: usize) -> (Vec<Observation>, Vec<usize>) {
        let shift = self.shift(figure);
        let noise = self.noise(figure, shift);
        let (mut seen, mut designs) = (Vec::new(), Vec::new());
        let groups = self.groups.get(figure).map_or(&[][..], Vec::as_slice);
        let mut first: Vec<Option<usize>> = vec![None; self.samples.get(figure).map_or(0, Vec::len)];
        for (design, group) in groups.iter().enumerate() {
            if let Some(slot) = first.get_mut(*group) {
                slot.get_or_insert(design);
            }
        }
        for (samples, design) in self.samples.get(figure).into_iter().flatten().zip(first) {
            let (Some(design), false) = (design, samples.is_empty()) else { continue };
            let logs = self.logs(samples, shift);
            let n = logs.len();
            let value = if n < 3 { stats::mean(&logs) } else { stats::median(&logs) }.unwrap_or(0.0);
            // a median is as good as two thirds of the samples
            let variance = noise / n as f64 * if n < 3 { 1.0 } else { std::f64::consts::FRAC_PI_2 };
            let of = self.problem.figures.get(figure).and_then(|f| f.depends_on.as_deref());
            seen.push(Observation { levels: project(self.levels(design), of), value, variance });
            designs.push(design);
        }
        (seen, designs)
    }

    /// The kernels of a figure, fitted anew when there is a fifth more to fit them to.
    fn fits(&mut self, figure: usize, seen: &[Observation]) -> Option<Fits> {
        if seen.is_empty() {
            return None;
        }
        let kernels = self.kernels.get(figure)?;
        let kept = self.fits.get(figure)?.as_ref();
        let fresh = kept.is_some_and(|(n, _)| seen.len() * 5 < n * 6);
        if !fresh {
            let fits = gauss::fit(kernels, seen, kept.map(|(_, fits)| fits));
            *self.fits.get_mut(figure)? = Some((seen.len(), fits));
        }
        self.fits.get(figure)?.as_ref().map(|(_, fits)| fits.clone())
    }

    /// What is believed of a figure of every design, in shifted logarithms, and whether it was measured or is known.
    fn beliefs(&mut self, figure: usize) -> Vec<(Belief, bool)> {
        let (seen, _) = self.observations(figure);
        let shift = self.shift(figure);
        let fits = self.fits(figure, &seen);
        let process = fits.and_then(|fits| Ensemble::new(self.kernels.get(figure)?, &fits, &seen));
        let of = self.problem.figures.get(figure).and_then(|f| f.depends_on.as_deref());
        let belief = |design: usize| {
            if let Some(value) = self.fact(design, figure) {
                return (Belief { mean: (value + shift).max(1e-9).ln(), sd: 1e-6 }, true);
            }
            let tried = !self.samples_of(design, figure).is_empty();
            // nothing is known: anything goes
            let blank = Belief { mean: 0.0, sd: 1e3 };
            (process.as_ref().map_or(blank, |p| p.predict(&project(self.levels(design), of), tried)), tried)
        };
        (0..self.problem.designs.len()).map(belief).collect()
    }

    /// Designs whose goal's samples are far apart or far from what the others say, with both values; turned so that more is better.
    pub(super) fn surprises(&mut self) -> Vec<(usize, f64, Belief)> {
        let goal = self.problem.goal;
        let noise = self.noise(goal.index, self.shift(goal.index));
        let (seen, designs) = self.observations(goal.index);
        let Some(fits) = self.fits(goal.index, &seen) else { return Vec::new() };
        let Some(process) = self.kernels.get(goal.index).and_then(|kernels| Ensemble::new(kernels, &fits, &seen)) else {
            return Vec::new();
        };
        let turn = if goal.better == Better::Higher { 1.0 } else { -1.0 };
        let of = |((o, design), left): ((&Observation, &usize), &Belief)| {
            let samples = self.samples_of(*design, goal.index);
            let extreme = |pick: fn(f64, f64) -> f64| samples.iter().copied().reduce(pick).unwrap_or(1.0).max(1e-9).ln();
            // four deviations of the difference of two repetitions
            let apart = extreme(f64::max) - extreme(f64::min) > 4.0 * (2.0 * noise).sqrt();
            let odd = apart || (o.value - left.mean).abs() > 2.0 * left.sd;
            odd.then_some((*design, turn * o.value, Belief { mean: turn * left.mean, sd: left.sd }))
        };
        seen.iter().zip(&designs).zip(&process.left_out()).filter_map(of).collect()
    }

    /// The chance that each design runs: a process over what ran (1) and what did not (0), 1 far from any.
    fn running(&self) -> Vec<f64> {
        let chance = |tried: &super::Tried, guess: f64| match (tried.runs, &tried.failed) {
            (_, Some(_)) => 0.0,
            (true, None) => 1.0,
            (false, None) => guess.clamp(0.02, 1.0),
        };
        if self.tried.iter().all(|t| t.failed.is_none()) {
            return vec![1.0; self.tried.len()];
        }
        let kernels = Kernels::new(&self.problem.features, None, SPEEDS);
        let mut seen = Vec::new();
        for (design, tried) in self.tried.iter().enumerate().filter(|(_, t)| t.runs || t.failed.is_some()) {
            let value = if tried.failed.is_some() { 0.0 } else { 1.0 };
            seen.push(Observation { levels: self.levels(design).to_vec(), value, variance: 0.01 });
        }
        // what fails is mostly two levels that do not go together
        let hyper = Hyper { pair: 2.0, ..Hyper::prior(kernels.features(), 0.25) };
        let process = Process::new(&kernels, hyper, &seen);
        let guess = |design| process.as_ref().map_or(1.0, |p| p.expect(self.levels(design)));
        self.tried.iter().enumerate().map(|(design, tried)| chance(tried, guess(design))).collect()
    }

    /// Seconds that each design takes: as measured, or as its neighbours'.
    pub(super) fn costs(&self) -> Costs {
        let kernels = Kernels::new(&self.problem.features, None, SPEEDS);
        let spread = |known: Vec<Option<f64>>| {
            let of = |(design, seconds): (usize, &Option<f64>)| {
                let value = (*seconds)?.max(1e-6).ln();
                Some(Observation { levels: self.levels(design).to_vec(), value, variance: 0.01 })
            };
            let seen: Vec<Observation> = known.iter().enumerate().filter_map(of).collect();
            let hyper = Hyper::prior(kernels.features(), gauss::variance(&kernels, &seen));
            let process = Process::new(&kernels, hyper, &seen);
            let guess = |(design, known): (usize, &Option<f64>)| match (known, &process) {
                (Some(seconds), _) => *seconds,
                (None, Some(process)) => process.expect(self.levels(design)).exp(),
                (None, None) => 0.0,
            };
            known.iter().enumerate().map(guess).collect::<Vec<f64>>()
        };
        let overhead = spread(self.tried.iter().map(|t| stats::median(&t.overhead).filter(|_| t.failed.is_none())).collect());
        let instruments = 0..self.problem.instruments.len();
        let seconds = instruments.map(|at| spread(self.tried.iter().map(|t| t.seconds.get(&at).copied()).collect())).collect();
        Costs { overhead, seconds }
    }

    /// Everything that is believed now.
    pub(super) fn view(&mut self) -> View {
        let turn = if self.problem.goal.better == Better::Higher { 1.0 } else { -1.0 };
        let beliefs = self.beliefs(self.problem.goal.index);
        let goal = beliefs.iter().map(|(b, _)| Belief { mean: turn * b.mean, sd: b.sd }).collect();
        let measured = beliefs.iter().map(|(_, tried)| *tried).collect();
        let (mut holds, mut looked) = (Vec::new(), Vec::new());
        for limit in self.problem.limits.clone() {
            let shift = self.shift(limit.axis);
            let edge = (limit.value + shift).max(1e-9).ln();
            let beliefs = self.beliefs(limit.axis);
            let chance = |(design, (belief, _)): (usize, &(Belief, bool))| match self.fact(design, limit.axis) {
                Some(value) => f64::from(u8::from(keeps(&limit, value))),
                None if limit.bound == Bound::AtMost => 1.0 - belief.above(edge),
                None => belief.above(edge),
            };
            holds.push(beliefs.iter().enumerate().map(chance).collect());
            looked.push(beliefs.iter().map(|(_, tried)| *tried).collect());
        }
        View { goal, measured, holds, looked, runs: self.running(), costs: self.costs() }
    }
}
