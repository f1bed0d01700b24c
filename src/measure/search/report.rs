//! What a search found, and why nothing else can win.

use std::collections::BTreeSet;

use super::super::pareto::Better;
use super::super::verdict::Verdict;
use super::model::View;
use super::{End, Search, gauss};

/// Why a design is not the one, or was not measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// What is known of it without measuring breaks this limit
    Barred {
        /// Place of the limit
        limit: usize,
    },
    /// It could not be measured
    Failed {
        /// In the engine's words
        cause: String,
    },
    /// Designs like it fail
    LikelyFails {
        /// The chance that it runs
        runs: f64,
    },
    /// It breaks this limit, or is likely to
    Breaks {
        /// Place of the limit
        limit: usize,
        /// The figure, where it was measured
        value: Option<f64>,
        /// The chance that the limit holds
        chance: f64,
    },
    /// It was measured, and is not as good
    Worse {
        /// The goal's figure
        value: f64,
        /// As a part of the best: 0.8 is a fifth worse
        ratio: f64,
    },
    /// It was not measured, and is not likely to be better
    Unlikely {
        /// The figure that is expected
        expected: f64,
        /// It is better than this with a chance of one in forty
        at_best: f64,
        /// The chance that it is better than the best by what is worth looking for
        chance: f64,
    },
    /// It might be better, but the search ended before it was measured
    Open {
        /// That chance
        chance: f64,
    },
}

/// How one design came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which design
    pub design: usize,
    /// Whether anything was measured on it
    pub tried: bool,
    /// Why it is not the best
    pub cause: Cause,
}

/// What was found so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The best design; `None` when none is known to run and keep to the limits
    pub best: Option<usize>,
    /// The goal's figure of it
    pub value: Option<f64>,
    /// Designs that cannot be told from the best, with what that rests on
    pub equals: Vec<(usize, String)>,
    /// Every other design
    pub others: Vec<Standing>,
    /// Why the search ended; `None` while it goes on
    pub end: Option<End>,
    /// Whether the best was compared with others in paired blocks
    pub confirmed: bool,
    /// Designs that anything was measured on
    pub tried: usize,
    /// Seconds that measuring took
    pub spent: f64,
    /// Seconds that measuring every design would take with five repetitions, as far as can be foretold
    pub exhaustive: f64,
}

/// Repetitions that the exhaustive search is reckoned with.
const EXHAUSTIVE: f64 = 5.0;

impl Search {
    /// The best so far, and why it is not one of the others. Can be asked at any time.
    pub fn report(&mut self) -> Report {
        let view = self.view();
        let contenders = self.contenders(&view);
        let better = self.problem.goal.better;
        let mut best = contenders.first().copied();
        let mut equals = Vec::new();
        if let Some(finals) = self.finals.as_ref().filter(|f| !f.designs.is_empty()) {
            // most wins; a circle is decided by the order they came in with
            let wins = |design: &usize| finals.wins(*design, better);
            let fit = finals.designs.iter().filter(|d| contenders.contains(d) || view.allowed(**d) >= 0.5);
            best = fit.rev().max_by_key(|d| wins(d)).copied().or(best);
        }
        let mut settled: Vec<usize> = best.into_iter().collect();
        if let (Some(best), Some(finals)) = (best, &self.finals) {
            for other in finals.designs.iter().filter(|d| **d != best) {
                let Some(comparison) = finals.compare(*other, best) else { continue };
                if comparison.verdict == Verdict::NotDistinguishable {
                    equals.push((*other, comparison.reason));
                    settled.push(*other);
                }
            }
        }
        for other in contenders.iter().filter(|d| Some(**d) != best) {
            if !self.finals.as_ref().is_some_and(|f| f.designs.contains(other)) {
                equals.push((*other, "Not distinguishable by its few repetitions; it was not among the finalists".into()));
                settled.push(*other);
            }
        }
        let others = (0..view.goal.len()).filter(|at| !settled.contains(at)).map(|at| self.standing(&view, at, best)).collect();
        let confirmed = self.finals.is_some() && self.queue.is_empty() && self.pending.is_none();
        let value = best.and_then(|at| self.value(at, self.problem.goal.index));
        let tried = self.tried.iter().filter(|t| t.runs || t.failed.is_some()).count();
        Report { best, value, equals, others, end: self.ended, confirmed, tried, spent: self.spent, exhaustive: self.exhaustive(&view) }
    }

    pub(super) fn exhaustive(&self, view: &View) -> f64 {
        let needed = self.instruments_for(std::iter::once(self.problem.goal.index).chain(self.problem.limits.iter().map(|l| l.axis)));
        // what hangs on a few features is measured once for all designs that are alike in them
        let (shared, own): (Vec<usize>, Vec<usize>) = needed.into_iter().partition(|at| self.shared_by(*at).is_some());
        let of = |at: usize| view.costs.overhead(at) + EXHAUSTIVE * view.costs.repetition(&own, at);
        let open = (0..view.goal.len()).filter(|at| self.barred.get(*at) == Some(&None));
        let once = |instrument: usize| -> f64 {
            let mut seen = BTreeSet::new();
            let first = |at: &usize| {
                let features = self.shared_by(instrument).unwrap_or_default();
                let levels = self.problem.designs.get(*at).map_or(&[][..], |design| &design.levels);
                seen.insert(features.iter().filter_map(|feature| levels.get(*feature)).collect::<Vec<_>>())
            };
            open.clone().filter(first).map(|at| view.costs.repetition(&[instrument], at)).sum()
        };
        open.clone().map(of).sum::<f64>() + shared.into_iter().map(once).sum::<f64>()
    }

    /// The features that all figures of an instrument hang on, where they do not hang on all features.
    fn shared_by(&self, instrument: usize) -> Option<&[usize]> {
        let figures = &self.problem.instruments.get(instrument)?.figures;
        let mut of = figures.iter().map(|figure| self.problem.figures.get(*figure)?.depends_on.as_deref());
        let first = of.next()??;
        of.all(|other| other == Some(first)).then_some(first)
    }

    fn standing(&self, view: &View, design: usize, best: Option<usize>) -> Standing {
        let state = self.tried.get(design);
        let tried = state.is_some_and(|t| t.runs || t.failed.is_some());
        let chance = self.chance(view, design, best.and_then(|at| view.goal.get(at)).map(|b| b.mean));
        let measured = view.measured.get(design) == Some(&true);
        let cause = if let Some(Some(limit)) = self.barred.get(design) {
            Cause::Barred { limit: *limit }
        } else if let Some(cause) = state.and_then(|t| t.failed.clone()) {
            Cause::Failed { cause }
        } else if let Some(cause) = self.broken(view, design) {
            cause
        } else if !view.resolved(design) && chance > self.options.doubt {
            Cause::Open { chance }
        } else if let (true, Some(value)) = (measured, self.value(design, self.problem.goal.index)) {
            let top = best.and_then(|at| self.value(at, self.problem.goal.index)).unwrap_or(value);
            Cause::Worse { value, ratio: value / top }
        } else if view.runs.get(design).is_some_and(|runs| *runs < 0.5) {
            Cause::LikelyFails { runs: view.runs.get(design).copied().unwrap_or(0.0) }
        } else {
            let turn = if self.problem.goal.better == Better::Higher { 1.0 } else { -1.0 };
            let belief = view.goal.get(design).copied().unwrap_or(gauss::Belief { mean: 0.0, sd: 0.0 });
            let at = |z: f64| (turn * (belief.mean + z * belief.sd)).exp();
            Cause::Unlikely { expected: at(0.0), at_best: at(1.96), chance }
        };
        Standing { design, tried, cause }
    }

    /// The limit that a design breaks, or most likely does.
    fn broken(&self, view: &View, design: usize) -> Option<Cause> {
        let mut worst: Option<(usize, f64)> = None;
        for (limit, of) in view.holds.iter().enumerate() {
            let chance = of.get(design).copied().unwrap_or(1.0);
            if chance < 0.5 && worst.is_none_or(|(_, least)| chance < least) {
                worst = Some((limit, chance));
            }
        }
        let (limit, chance) = worst?;
        let value = self.problem.limits.get(limit).and_then(|l| self.value(design, l.axis));
        Some(Cause::Breaks { limit, value, chance })
    }
}
