//! From the designs that may be the best to the one that is: repetitions for fewer and fewer, then paired blocks.

use std::collections::BTreeMap;

use super::super::pareto::Better;
use super::super::verdict::{self, Comparison};
use super::super::{order, stats};
use super::model::View;
use super::{Ask, End, Search, Step, Why};

/// Repetitions that no survivor is given more of before the blocks.
const MOST: usize = 4;

/// How many survivors get repetitions in the first round.
const FIELD: usize = 12;

/// Most finalists and blocks, where the time that a search may take allows for more than it must compare: figures that repetitions scatter by
/// a tenth need them.
const MOST_FINALISTS: usize = 5;
/// See `MOST_FINALISTS`.
const MOST_BLOCKS: usize = 12;
/// What the finals may take beyond the share of the search, as a part of the time that measuring everything would.
const FINALS_SHARE: f64 = 0.03;

/// The finalists and what each of them measured in each block.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Finals {
    pub(super) designs: Vec<usize>,
    blocks: BTreeMap<(usize, usize), f64>,
}

impl Finals {
    /// Keeps what a design measured in a block: the median of its repetitions.
    pub(super) fn take(&mut self, design: usize, block: usize, values: &[f64]) {
        if let Some(value) = stats::median(values) {
            self.blocks.insert((block, design), value);
        }
    }

    /// Samples of two designs in the blocks that hold both.
    fn pairs(&self, a: usize, b: usize) -> (Vec<f64>, Vec<f64>) {
        let of_a = self.blocks.iter().filter(|((_, design), _)| *design == a);
        of_a.filter_map(|((block, _), value)| Some((*value, *self.blocks.get(&(*block, b))?))).unzip()
    }

    /// The first design against the second; `None` before they met.
    pub(super) fn compare(&self, a: usize, b: usize) -> Option<Comparison> {
        let (a, b) = self.pairs(a, b);
        verdict::compare(&a, &b, verdict::all_pairs(self.designs.len()), verdict::ALPHA)
    }

    /// How many designs a design beats, each by the centre of their ratio.
    pub(super) fn wins(&self, design: usize, better: Better) -> usize {
        let beats = |other: &&usize| {
            self.compare(design, **other).is_some_and(|c| if better == Better::Higher { c.ratio > 1.0 } else { c.ratio < 1.0 })
        };
        self.designs.iter().filter(|other| **other != design).filter(beats).count()
    }
}

impl Search {
    /// Designs that all is known of and that may be the best, the likeliest first.
    pub(super) fn contenders(&self, view: &View) -> Vec<usize> {
        let Some((best, _)) = self.incumbent(view) else { return Vec::new() };
        let Some(top) = view.goal.get(best).copied() else { return Vec::new() };
        let mut out: Vec<(usize, f64)> = Vec::new();
        for (design, belief) in view.goal.iter().enumerate() {
            let apart = (belief.sd.powi(2) + top.sd.powi(2)).sqrt().max(1e-9);
            let chance = super::gauss::normal_below((belief.mean - top.mean) / apart);
            if view.resolved(design) && view.allowed(design) >= 0.5 && (design == best || chance > self.options.doubt) {
                out.push((design, belief.mean));
            }
        }
        out.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        out.into_iter().map(|(design, _)| design).collect()
    }

    /// Whether the goal is measured at all, and not known beforehand.
    fn goal_is_measured(&self) -> bool {
        self.problem.instruments.iter().any(|i| i.figures.contains(&self.problem.goal.index))
    }

    /// Seconds to keep back for four blocks of two designs.
    pub(super) fn reserve(&self, view: &View, best: usize) -> f64 {
        let instruments = self.instruments_for(std::iter::once(self.problem.goal.index));
        8.0 * (view.costs.overhead(best) + view.costs.repetition(&instruments, best))
    }

    /// Repetitions for the survivors, the blocks of the finalists, then the end.
    pub(super) fn finish(&mut self, view: &View, end: End) -> Step {
        if self.finals.is_some() || !self.goal_is_measured() {
            return Step::Done(end);
        }
        let mut field = self.contenders(view);
        if let Some(ask) = self
            .rejected(view)
            .iter()
            .chain(field.iter().take(self.options.finalists))
            .find_map(|design| self.edge(view, *design))
            .filter(|ask| !self.over(ask, 0.0))
        {
            return Step::Measure(ask);
        }
        let instruments = self.instruments_for(std::iter::once(self.problem.goal.index));
        // round r: 2^(r + 1) repetitions for FIELD / 2^r
        while 2 << self.rounds <= MOST {
            let repetitions = 2 << self.rounds;
            field.truncate((FIELD >> self.rounds).max(self.options.finalists));
            let short = |design: &&usize| self.tried.get(**design).is_some_and(|t| t.repetitions < repetitions);
            if field.len() > 1
                && let Some(design) = field.iter().find(short)
            {
                let had = self.tried.get(*design).map_or(0, |t| t.repetitions);
                let ask = Ask { design: *design, instruments, repetitions: repetitions - had, why: Why::Survivor };
                let reserve = self.reserve(view, *design);
                if !self.over(&ask, reserve) {
                    return Step::Measure(ask);
                }
                break;
            }
            self.rounds += 1;
        }
        self.start_finals(view, &field, end)
    }

    /// Designs that would be better than the best if a limit that they seem to break held after all, the best first: one slow repetition
    /// must not cost a design its place.
    fn rejected(&self, view: &View) -> Vec<usize> {
        let Some((best, top)) = self.incumbent(view) else { return Vec::new() };
        let mut out: Vec<(usize, f64)> = view.goal.iter().map(|belief| belief.mean).enumerate().collect();
        out.retain(|(design, mean)| *design != best && *mean > top && view.resolved(*design) && view.allowed(*design) < 0.5);
        out.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        out.into_iter().map(|(design, _)| design).collect()
    }

    /// More repetitions for a limit that a design may or may not keep to.
    fn edge(&self, view: &View, design: usize) -> Option<Ask> {
        let near = self.problem.limits.iter().zip(&view.holds).find(|(limit, holds)| {
            let n = self.samples_of(design, limit.axis).len();
            let shared = self.problem.figures.get(limit.axis).is_some_and(|f| f.depends_on.is_some());
            !shared && (1..2 * MOST).contains(&n) && holds.get(design).is_some_and(|chance| (0.03..0.97).contains(chance))
        });
        let instruments = self.instruments_for(std::iter::once(near?.0.axis));
        (!instruments.is_empty()).then_some(Ask { design, instruments, repetitions: 2, why: Why::Limits })
    }

    fn start_finals(&mut self, view: &View, field: &[usize], end: End) -> Step {
        let least = self.options.finalists.max(2);
        let mut designs = field.to_vec();
        designs.truncate(least.max(MOST_FINALISTS));
        if designs.len() < 2 {
            // nothing else may be the best: nothing to compare
            return Step::Done(end);
        }
        let instruments = self.instruments_for(std::iter::once(self.problem.goal.index));
        let visit = |design: usize| view.costs.overhead(design) + view.costs.repetition(&instruments, design);
        let (mut blocks, left) = (self.options.blocks, self.options.budget.map_or(f64::INFINITY, |b| b - self.spent));
        let cost = |designs: &[usize], blocks: usize| blocks as f64 * designs.iter().map(|d| visit(*d)).sum::<f64>();
        let room = left.min((self.options.share + FINALS_SHARE) * self.exhaustive(view) - self.spent);
        while designs.len() > least && cost(&designs, blocks) > room {
            designs.pop();
        }
        while blocks + 2 <= MOST_BLOCKS && cost(&designs, blocks + 2) <= room {
            blocks += 2;
        }
        while designs.len() > 2 && cost(&designs, blocks) > left {
            designs.pop();
        }
        while blocks > 4 && cost(&designs, blocks) > left {
            blocks -= 2;
        }
        if cost(&designs, blocks) > left {
            return Step::Done(End::Budget);
        }
        let seed = self.draws.next();
        for slot in order::schedule(designs.len(), blocks, seed) {
            let Some(design) = designs.get(slot.design) else { continue };
            let why = Why::Final { block: slot.block };
            self.queue.push_back(Ask { design: *design, instruments: instruments.clone(), repetitions: 1, why });
        }
        self.finals = Some(Finals { designs, ..Finals::default() });
        self.queue.pop_front().map_or(Step::Done(end), Step::Measure)
    }
}
