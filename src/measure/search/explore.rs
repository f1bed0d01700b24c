//! Which design to measure next, and when to stop looking for others.

use super::gauss::{self, Hyper, Observation, Process};
use super::model::{SPEEDS, View};
use super::space::{Kernels, Scale};
use super::{Ask, End, Search, Step, Why, gives};

/// A visit that may be worth its time.
struct Promise {
    ask: Ask,
    /// The chance that the design is better than the best by what is worth looking for, runs and keeps to the limits
    chance: f64,
    /// Expected improvement a second
    score: f64,
}

/// Chances of a limit between which it is uncertain enough to be measured with the goal.
const UNCERTAIN: (f64, f64) = (0.03, 0.97);

/// Visits that no share of the whole limits: a grid of a few designs is not worth searching.
const FREE: usize = 24;

/// Repetitions of a first visit, at most.
const FIRST: f64 = 3.0;

impl Search {
    /// The opening: one design after another that the model knows least about, until every level was seen.
    pub(super) fn open(&mut self) {
        let kernels = Kernels::new(&self.problem.features, None, SPEEDS);
        let hyper = Hyper::prior(kernels.features(), 1.0);
        let levels = |feature: &super::Feature| match feature.scale {
            Scale::Categorical => feature.levels.len().saturating_sub(1),
            // between the levels of a line, one can be guessed from the next
            Scale::Ordinal(_) => feature.levels.len().saturating_sub(1).min(4),
        };
        let wanted = 2 + self.problem.features.iter().map(levels).sum::<usize>();
        let mut left: Vec<usize> = (0..self.problem.designs.len()).filter(|at| self.barred.get(*at) == Some(&None)).collect();
        self.draws.shuffle(&mut left);
        let instruments = self.cheap();
        let mut seen: Vec<Observation> = Vec::new();
        while seen.len() < wanted && !left.is_empty() {
            let unknown =
                |design: &usize| Process::new(&kernels, hyper.clone(), &seen).map_or(0.0, |p| p.predict(self.levels(*design), false).sd);
            let sds: Vec<f64> = left.iter().map(unknown).collect();
            let most =
                sds.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (at, sd)| if *sd > best.1 + 1e-9 { (at, *sd) } else { best });
            let design = left.remove(most.0);
            seen.push(Observation { levels: self.levels(design).to_vec(), value: 0.0, variance: 0.01 });
            // two: what repetitions scatter by must be known from the first, and a burst must not lead astray
            self.queue.push_back(Ask { design, instruments: instruments.clone(), repetitions: 2, why: Why::Opening });
        }
    }

    /// Instruments for what must be measured on every design: the goal and the limits that hang on all features.
    fn cheap(&self) -> Vec<usize> {
        let limits =
            self.problem.limits.iter().map(|l| l.axis).filter(|at| self.problem.figures.get(*at).is_some_and(|f| f.depends_on.is_none()));
        self.instruments_for(std::iter::once(self.problem.goal.index).chain(limits))
    }

    /// As few instruments as give these figures.
    pub(super) fn instruments_for(&self, figures: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut out: Vec<usize> = Vec::new();
        for figure in figures {
            if !out.iter().any(|at| gives(&self.problem, *at, figure)) {
                out.extend((0..self.problem.instruments.len()).find(|at| gives(&self.problem, *at, figure)));
            }
        }
        out
    }

    /// The best design that all is known of, with its logarithm, turned so that more is better.
    pub(super) fn incumbent(&self, view: &View) -> Option<(usize, f64)> {
        let fit = (0..view.goal.len()).filter(|at| view.resolved(*at) && view.allowed(*at) >= 0.5);
        let value = fit.filter_map(|at| Some((at, view.goal.get(at)?.mean)));
        value.fold(None, |best, (at, mean)| if best.is_none_or(|(_, top)| mean > top) { Some((at, mean)) } else { best })
    }

    /// The chance that a design is the better one, by what is worth looking for.
    pub(super) fn chance(&self, view: &View, design: usize, best: Option<f64>) -> f64 {
        let better = match (best, view.goal.get(design)) {
            (Some(best), Some(belief)) => belief.above(best + self.options.worth.ln_1p()),
            _ => 1.0,
        };
        better * view.allowed(design)
    }

    /// Everything that could be visited, with what it promises.
    fn promises(&self, view: &View) -> Vec<Promise> {
        let best = self.incumbent(view).map(|(_, mean)| mean);
        // nothing to improve on yet: on the worst. But a design whose goal was never measured has to beat those that only wait for their
        // limits to be looked at, else every slow design is measured before a dear limit is
        let worst = view.goal.iter().map(|b| b.mean).fold(f64::INFINITY, f64::min);
        let least = 0.2 * self.options.doubt;
        let waits = |at: &usize| view.measured.get(*at) == Some(&true) && !view.resolved(*at) && view.allowed(*at) > least;
        let hopeful = (0..view.goal.len()).filter(waits).filter_map(|at| view.goal.get(at)).map(|b| b.mean).reduce(f64::max);
        let open = |at: &usize| self.barred.get(*at) == Some(&None) && self.tried.get(*at).is_some_and(|t| t.failed.is_none());
        let mut out = Vec::new();
        for design in (0..view.goal.len()).filter(open).filter(|at| !view.resolved(*at)) {
            let Some(belief) = view.goal.get(design) else { continue };
            let instruments = self.visit(view, design);
            if instruments.is_empty() {
                continue;
            }
            let (load, once) = (view.costs.overhead(design), view.costs.repetition(&instruments, design));
            // where loading takes most of the time, a second repetition is nearly free (the classical choice between and within)
            let repetitions = if once > 0.0 { (load / once).sqrt().round().clamp(1.0, FIRST) } else { 1.0 };
            // and what is still to be looked at before it could be the best
            let later = view.costs.repetition(&self.left_out(view, design, &instruments), design);
            let seconds = (load + repetitions * once + later).max(1e-6);
            let chance = self.chance(view, design, best);
            let is_measured = view.measured.get(design) == Some(&true);
            let floor = best.or(hopeful.filter(|_| !is_measured)).unwrap_or(worst);
            let score = belief.improvement(floor) * view.allowed(design) / seconds;
            let why = if is_measured { Why::Limits } else { Why::Promising };
            let ask = Ask { design, instruments, repetitions: repetitions as usize, why };
            out.push(Promise { ask, chance, score });
        }
        out
    }

    /// The instruments of the next visit to a design: the goal's with those of cheap limits that are uncertain; then what is missing.
    fn visit(&self, view: &View, design: usize) -> Vec<usize> {
        let measured = view.measured.get(design) == Some(&true);
        let missing = self.problem.limits.iter().enumerate().filter(|(at, limit)| {
            let looked = view.looked.get(*at).and_then(|of| of.get(design)) == Some(&true);
            let holds = view.holds.get(*at).and_then(|of| of.get(design)).copied().unwrap_or(0.5);
            let shared = self.problem.figures.get(limit.axis).is_some_and(|f| f.depends_on.is_some());
            !looked && (measured || !shared && (UNCERTAIN.0..UNCERTAIN.1).contains(&holds))
        });
        let goal = (!measured).then_some(self.problem.goal.index);
        self.instruments_for(goal.into_iter().chain(missing.map(|(_, limit)| limit.axis)))
    }

    /// The instruments for limits of a design that were not looked at and that a visit with `instruments` leaves out.
    fn left_out(&self, view: &View, design: usize, instruments: &[usize]) -> Vec<usize> {
        let missing = |(at, _): &(usize, _)| view.looked.get(*at).and_then(|of| of.get(design)) == Some(&false);
        let limits = self.problem.limits.iter().enumerate().filter(missing).map(|(_, limit)| limit.axis);
        let needed = self.instruments_for(limits);
        needed.into_iter().filter(|at| !instruments.contains(at)).collect()
    }

    /// The next step, once the opening is done.
    pub(super) fn decide(&mut self) -> Step {
        let view = self.view();
        let options = self.promises(&view);
        let incumbent = self.incumbent(&view);
        // while nothing is known to keep to the limits, what is least unlikely to
        let doubt = self.options.doubt * if incumbent.is_none() { 0.2 } else { 1.0 };
        let likely: Vec<&Promise> = options.iter().filter(|o| o.chance > doubt).collect();
        if let Some(ask) = self.again(incumbent.map(|(_, mean)| mean)).filter(|ask| !self.over(ask, 0.0)) {
            return Step::Measure(ask);
        }
        let reserve = incumbent.map_or(0.0, |(at, _)| self.reserve(&view, at));
        let mut top: Option<&Promise> = None;
        for option in &likely {
            if top.is_none_or(|t| option.score > t.score) {
                top = Some(option);
            }
        }
        let everything = self.exhaustive(&view);
        let visits: usize = self.tried.iter().map(|t| t.overhead.len()).sum();
        let spent = self.spent;
        let within = |share: f64| visits < FREE || spent < share * everything;
        if let Some(ask) = top.map(|o| o.ask.clone()) {
            if incumbent.is_some() && !within(self.options.share) {
                return self.finish(&view, End::Share);
            }
            if !self.over(&ask, reserve) {
                self.finals = None;
                return Step::Measure(ask);
            }
            return self.finish(&view, End::Budget);
        }
        let Some((_, best)) = incumbent else { return Step::Done(End::Infeasible) };
        if within(0.75 * self.options.share)
            && let Some(ask) = self.check(&view, options, best).filter(|ask| !self.over(ask, reserve))
        {
            self.finals = None;
            return Step::Measure(ask);
        }
        self.finish(&view, End::Settled)
    }

    /// The likeliest of the unlikely: the model may be surer of itself than it should be. So many of them in a row must fail to be better
    /// before it is believed: twice the square root of the number of designs.
    fn check(&mut self, view: &View, options: Vec<Promise>, best: f64) -> Option<Ask> {
        if best > self.checked.1 + 0.5 * self.options.worth {
            self.checked = (0, best);
        }
        if self.checked.0 as f64 >= 2.0 * (view.goal.len() as f64).sqrt() {
            return None;
        }
        let doubtful = |promise: &Promise| {
            let belief = view.goal.get(promise.ask.design).copied()?;
            let wide = gauss::Belief { sd: 2.0 * belief.sd, ..belief };
            Some(wide.above(best) * view.allowed(promise.ask.design).powf(0.25))
        };
        let mut top: Option<(f64, Ask)> = None;
        for promise in options {
            let Some(chance) = doubtful(&promise) else { continue };
            if chance > self.options.doubt && top.as_ref().is_none_or(|(most, _)| chance > *most) {
                top = Some((chance, Ask { why: Why::Doubted, ..promise.ask }));
            }
        }
        self.checked.0 += 1;
        top.map(|(_, ask)| ask)
    }

    /// A design that was measured once or twice, with samples that are far apart or far from what the others say, and that would be among
    /// the best by either: once more.
    fn again(&mut self, best: Option<f64>) -> Option<Ask> {
        let near = best.map_or(f64::NEG_INFINITY, |best| best - 2.0 * self.options.worth);
        let surprises = self.surprises();
        let odd = |(design, value, left): &(usize, f64, gauss::Belief)| {
            let tried = self.tried.get(*design)?;
            let matters = *value > near || left.mean + left.sd > near;
            (!tried.looked_again && tried.failed.is_none() && tried.repetitions < 3 && matters).then_some(*design)
        };
        let design = surprises.iter().find_map(odd)?;
        if let Some(tried) = self.tried.get_mut(design) {
            tried.looked_again = true;
        }
        let instruments = self.instruments_for(std::iter::once(self.problem.goal.index));
        Some(Ask { design, instruments, repetitions: 2, why: Why::Surprising })
    }
}
