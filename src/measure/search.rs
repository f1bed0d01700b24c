//! The best design for a goal under limits, with as little measuring as finds it: ask what to measure next, tell what came of it.
//!
//! **Free facts first**: a design whose file or forecast memory breaks a limit is never measured.
//! **Model-guided**: a Gaussian process over what designs differ in ([`gauss`]) says for each design what its figures may be, with their
//! uncertainty. After an opening that shows every level, the design with the largest expected improvement per second (Jones 1998; Snoek
//! 2012), times the chance that it runs and keeps to the limits (Gardner 2014), is measured next, with one or two repetitions. Loads and
//! repetitions are counted as they come, and foretold in the same way. A figure that hangs on a few features only (quality does not hang
//! on threads) is measured once for all designs that share them, and only for one that would otherwise be the best.
//! **Successive halving** (Jamieson and Talwalkar 2016) over repetitions: when no design that was not tried is likely to be better, those
//! that may be the best get twice the repetitions, the worse half is dropped, and so on.
//! **Paired blocks**: the finalists are measured in the order of `order::schedule` and compared by `verdict::compare`.
//!
//! **It ends** when no untried design has a chance of more than [`Options::doubt`] to be better than the best by [`Options::worth`], and
//! the likeliest of them, as many as twice the square root of all, were tried in vain; or when the next step would not fit the budget, or the
//! search has taken [`Options::share`] of the time that measuring everything would. Chances are the model's, widened by how badly it
//! foretells designs that were measured. The same seed and the same answers give the same questions.
//!
//! **Why not a crate**: a finite set, noise that shrinks with repetitions, seconds that differ between designs, limits known beforehand,
//! and reasons why a design cannot win. egobox-ego (194 packages) optimises a noise-free function of continuous or mixed variables;
//! friedrich (43) regresses without interactions or left-out residuals; smartcore's forests and tpe give no probability that a design is
//! better, which is what ends the search; argmin's solvers want continuous parameters. What is needed of linear algebra is one
//! factorisation of a matrix of at most a few hundred rows.

mod explore;
mod finals;
mod gauss;
mod model;
mod report;
mod space;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::pareto::{Axis, Bound, Limit};
use super::stats::Draws;
use finals::Finals;
use gauss::Fits;
pub use report::{Cause, Report, Standing};
use space::Kernels;
pub use space::{Feature, Scale};

/// A figure that designs are judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// For sentences: `decode`
    pub name: String,
    /// For sentences: `t/s`
    pub unit: String,
    /// The features it hangs on; `None` = on all of them. It is measured once for all designs that are alike in these
    pub depends_on: Option<Vec<usize>>,
}

/// What is known of a figure without measuring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact {
    /// Exactly: the size of a file
    Exact(f64),
    /// Within a factor of `1 - off` to `1 + off`: memory forecast from a header. It only rules out; the figure is measured all the same
    Estimate {
        /// The forecast
        value: f64,
        /// How far it may be off, as a part of it
        off: f64,
    },
}

/// One of the designs to choose from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// Its level of each feature
    pub levels: Vec<usize>,
    /// What is known of it, by figure
    pub facts: BTreeMap<usize, Fact>,
}

/// Something that can be measured in a visit to a design: a llama-bench cell, a quality test.
#[derive(Clone, Debug, PartialEq)]
pub struct Instrument {
    /// The figures that it gives
    pub figures: Vec<usize>,
}

/// What is looked for, and among what.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// What designs differ in
    pub features: Vec<Feature>,
    /// The designs
    pub designs: Vec<Candidate>,
    /// The figures; [`Axis::index`] and [`Limit::axis`] count these. Every one is above zero
    pub figures: Vec<Figure>,
    /// How figures are measured
    pub instruments: Vec<Instrument>,
    /// What is to be as good as can be
    pub goal: Axis,
    /// What must hold
    pub limits: Vec<Limit>,
}

/// How to search.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Decides between equals, and the order of blocks
    pub seed: u64,
    /// Seconds of measuring, loads included; `None` = until it ends by itself
    pub budget: Option<f64>,
    /// An improvement that is worth looking for, as a part of the best: 0.03
    pub worth: f64,
    /// The chance of one that is not: 0.05
    pub doubt: f64,
    /// How many designs are compared at the end: so many where as many may be the best, a few more where time allows
    pub finalists: usize,
    /// Blocks to compare them in, more where time allows; an even number
    pub blocks: usize,
    /// Looks no further than this part of the time that measuring everything would take (the finals come on top): 0.2
    pub share: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 0, budget: None, worth: 0.03, doubt: 0.05, finalists: 3, blocks: 6, share: 0.2 }
    }
}

/// Why a measurement is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// To see every level once
    Opening,
    /// It may be better than the best so far
    Promising,
    /// It is not likely to be better, but the likeliest of those that were not tried
    Doubted,
    /// It would be the best, but a limit has not been looked at
    Limits,
    /// What was measured is far from what the other designs say
    Surprising,
    /// It is among the best and gets more repetitions
    Survivor,
    /// It is compared with the other finalists in this block, from 0
    Final {
        /// The block
        block: usize,
    },
}

/// A measurement to make: load the design, warm up, and use each instrument this often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Which design
    pub design: usize,
    /// With which instruments
    pub instruments: Vec<usize>,
    /// How often each
    pub repetitions: usize,
    /// What for
    pub why: Why,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Measure this and [`Search::tell`] (or [`Search::fail`])
    Measure(Ask),
    /// The search has ended
    Done(End),
}

/// Why the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No untried design is likely to be better
    Settled,
    /// The next step would not fit the budget
    Budget,
    /// Its share of what measuring everything takes is used up, and some untried design may still be better
    Share,
    /// No design runs and keeps to the limits, as far as can be told
    Infeasible,
}

/// What came of an [`Ask`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Samples by figure
    pub samples: Vec<(usize, Vec<f64>)>,
    /// Seconds by instrument, for all its repetitions
    pub seconds: Vec<(usize, f64)>,
    /// Seconds of loading and warming up
    pub overhead: f64,
}

/// What has been found out about one design.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tried {
    runs: bool,
    failed: Option<String>,
    looked_again: bool,
    repetitions: usize,
    overhead: Vec<f64>,
    /// Seconds a repetition, by instrument
    seconds: BTreeMap<usize, f64>,
}

/// A search in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    problem: Problem,
    options: Options,
    draws: Draws,
    /// By figure
    kernels: Vec<Kernels>,
    /// By figure and design: which samples are the design's
    groups: Vec<Vec<usize>>,
    /// By figure and group
    samples: Vec<Vec<Vec<f64>>>,
    tried: Vec<Tried>,
    /// Breaks a limit by what is known beforehand
    barred: Vec<Option<usize>>,
    fits: Vec<Option<(usize, Fits)>>,
    queue: VecDeque<Ask>,
    pending: Option<Ask>,
    opened: bool,
    /// Doubted designs that were not better, in a row, and the best they were held against
    checked: (usize, f64),
    finals: Option<Finals>,
    rounds: usize,
    spent: f64,
    ended: Option<End>,
}

/// Whether a value keeps to a limit.
fn keeps(limit: &Limit, value: f64) -> bool {
    match limit.bound {
        Bound::AtMost => value <= limit.value,
        Bound::AtLeast => value >= limit.value,
    }
}

impl Search {
    /// Begins a search. The problem's indices must be in range: what is not is taken for "not there".
    pub fn new(problem: Problem, options: Options) -> Self {
        let n = problem.designs.len();
        let (mut groups, mut samples) = (Vec::new(), Vec::new());
        for figure in &problem.figures {
            let mut keys: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
            let mut of = Vec::with_capacity(n);
            for (at, design) in problem.designs.iter().enumerate() {
                let key = if figure.depends_on.is_some() { model::project(&design.levels, figure.depends_on.as_deref()) } else { vec![at] };
                let next = keys.len();
                of.push(*keys.entry(key).or_insert(next));
            }
            groups.push(of);
            samples.push(vec![Vec::new(); keys.len()]);
        }
        let kernels = problem
            .figures
            .iter()
            .map(|f| {
                let expected = if f.depends_on.is_some() { model::SHARED } else { model::SPEEDS };
                Kernels::new(&problem.features, f.depends_on.as_deref(), expected)
            })
            .collect();
        let barred = problem.designs.iter().map(|design| problem.limits.iter().position(|limit| rules_out(design, limit))).collect();
        let fits = vec![None; problem.figures.len()];
        Self {
            draws: Draws(options.seed),
            tried: vec![Tried::default(); n],
            queue: VecDeque::new(),
            pending: None,
            opened: false,
            checked: (0, f64::NEG_INFINITY),
            finals: None,
            rounds: 0,
            spent: 0.0,
            ended: None,
            problem,
            options,
            kernels,
            groups,
            samples,
            barred,
            fits,
        }
    }

    /// What to do next. Asking again without telling gives the same answer.
    pub fn ask(&mut self) -> Step {
        if let Some(end) = self.ended {
            return Step::Done(end);
        }
        if self.pending.is_none() {
            match self.next() {
                Step::Measure(ask) => self.pending = Some(ask),
                Step::Done(end) => self.ended = Some(end),
            }
        }
        match (&self.pending, self.ended) {
            (Some(ask), _) => Step::Measure(ask.clone()),
            (None, end) => Step::Done(end.unwrap_or(End::Settled)),
        }
    }

    /// Takes what came of the last [`Search::ask`].
    pub fn tell(&mut self, told: &Told) {
        let Some(ask) = self.pending.take() else { return };
        self.spent += told.overhead + told.seconds.iter().map(|(_, s)| s).sum::<f64>();
        if let Why::Final { block } = ask.why
            && let Some(finals) = &mut self.finals
            && let Some((_, values)) = told.samples.iter().find(|(figure, _)| *figure == self.problem.goal.index)
        {
            finals.take(ask.design, block, values);
        }
        for (figure, values) in &told.samples {
            let Some(group) = self.groups.get(*figure).and_then(|of| of.get(ask.design)).copied() else { continue };
            if let Some(kept) = self.samples.get_mut(*figure).and_then(|of| of.get_mut(group)) {
                kept.extend(values.iter().filter(|v| v.is_finite()));
            }
        }
        let Some(tried) = self.tried.get_mut(ask.design) else { return };
        tried.runs = true;
        tried.overhead.push(told.overhead);
        if ask.instruments.iter().any(|at| gives(&self.problem, *at, self.problem.goal.index)) {
            tried.repetitions += ask.repetitions;
        }
        let repetitions = ask.repetitions.max(1) as f64;
        tried.seconds.extend(told.seconds.iter().map(|(instrument, seconds)| (*instrument, seconds / repetitions)));
    }

    /// The design that was asked for could not be measured, and took this long to find that out.
    pub fn fail(&mut self, cause: impl Into<String>, seconds: f64) {
        let Some(ask) = self.pending.take() else { return };
        self.spent += seconds;
        if let Some(tried) = self.tried.get_mut(ask.design) {
            tried.failed = Some(cause.into());
            tried.overhead.push(seconds);
        }
        if matches!(ask.why, Why::Final { .. }) {
            self.finals = None;
            self.queue.clear();
        }
    }

    /// Seconds that measuring took so far.
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// The measurement that was asked for and not yet answered.
    pub fn pending(&self) -> Option<&Ask> {
        self.pending.as_ref()
    }

    /// Goes on as if this had been the next question: for a search that is led through what was answered before. Where the questions are
    /// those that it would have asked, as they are for the same version of this program, it is then where it was.
    pub fn expect(&mut self, ask: Ask) {
        drop(self.ask());
        self.ended = None;
        self.pending = Some(ask);
    }

    /// What is looked for.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    fn next(&mut self) -> Step {
        if !self.opened {
            self.opened = true;
            self.open();
        }
        if let Some(ask) = self.queue.pop_front() {
            let affordable = !self.over(&ask, 0.0);
            if affordable {
                return Step::Measure(ask);
            }
            self.queue.clear();
        }
        self.decide()
    }

    /// Whether a step would take more than is left of the budget, `reserve` seconds kept back.
    fn over(&self, ask: &Ask, reserve: f64) -> bool {
        let Some(budget) = self.options.budget else { return false };
        self.spent > 0.0 && self.spent + self.costs().of(ask) + reserve > budget
    }
}

/// Whether what is known of a design beforehand breaks a limit.
fn rules_out(design: &Candidate, limit: &Limit) -> bool {
    match design.facts.get(&limit.axis) {
        Some(Fact::Exact(value)) => !keeps(limit, *value),
        Some(Fact::Estimate { value, off }) => !keeps(limit, value * (1.0 - off)) && !keeps(limit, value * (1.0 + off)),
        None => false,
    }
}

/// Whether an instrument gives a figure.
fn gives(problem: &Problem, instrument: usize, figure: usize) -> bool {
    problem.instruments.get(instrument).is_some_and(|i| i.figures.contains(&figure))
}

#[cfg(test)]
mod tests;
