//! A sweep as a state machine: which measurement is next, and what came of the last one. No clock, no engine, no disk: the same machine
//! serves the window and the command line, and resumes from its own serialised form after a crash of either.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cooling::Cooling;
use super::plan::{Candidate, SweepPlan, of_the_same_quality, one_of_each_quality};
use super::seek::{Answer, Found, PP, QUALITY, Seeker, TG};
use super::step::{End, Loss, Outcome, Row, Step};
use crate::measure::order::{Slot, schedule};
use crate::measure::{MetricLimit, cost, stats};
use crate::protocol::{BenchPlan, BenchRow, BenchTest, Design, EngineError, ErrorKind, Metric, QualityPlan, RunId, RunTrust, Warmup};

/// How often a measurement may be found unfinished before its design is given up: the program that measured it ended, and may again.
const INTERRUPTIONS: u32 = 2;

/// One measurement of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Visit {
    block: usize,
    candidate: usize,
    repetitions: u32,
    /// Whether the pp and the tg cell are measured
    cells: (bool, bool),
}

/// A sweep and everything it has found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    plan: SweepPlan,
    rows: Vec<Row>,
    /// Measurements in their order. Kept, because a later version may order otherwise
    order: Vec<Visit>,
    /// How many of them are behind us
    at: usize,
    /// Candidates whose quality loss is still to be measured, together
    unjudged: Vec<Vec<usize>>,
    cooling: Cooling,
    seeker: Option<Seeker>,
    /// What came so far of what the search asked for
    answer: Option<Answer>,
    /// How often the step that is next was begun and not ended
    begun: u32,
    /// The numbers under which rows are kept as runs, by candidate
    #[serde(default)]
    kept: BTreeMap<usize, RunId>,
    /// Seconds spent so far
    elapsed: f64,
    ended: Option<End>,
}

impl Sweep {
    /// A sweep that has not begun.
    ///
    /// # Errors
    /// A sentence: see [`SweepPlan::fault`].
    pub fn new(plan: SweepPlan) -> Result<Self, String> {
        if let Some(fault) = plan.fault() {
            return Err(fault);
        }
        let rows: Vec<Row> = plan.candidates.iter().map(|candidate| Row { failure: candidate.refusal.clone(), ..Row::default() }).collect();
        let is_search = plan.search;
        let mut sweep = Self {
            unjudged: Some(one_of_each_quality(&plan))
                .filter(|chosen| plan.quality.is_some() && !is_search && !chosen.is_empty())
                .into_iter()
                .collect(),
            plan,
            rows,
            order: Vec::new(),
            at: 0,
            cooling: Cooling::default(),
            seeker: is_search.then(Seeker::default),
            answer: None,
            begun: 0,
            kept: BTreeMap::new(),
            elapsed: 0.0,
            ended: None,
        };
        if !is_search {
            let all = sweep.alive();
            sweep.add_blocks(&all, sweep.plan.blocks as usize);
        }
        sweep.settle();
        Ok(sweep)
    }

    /// The plan.
    pub fn plan(&self) -> &SweepPlan {
        &self.plan
    }

    /// One row a candidate, in the plan's order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Seconds spent so far, of all sessions together.
    pub fn elapsed(&self) -> f64 {
        self.elapsed
    }

    /// Why it is over; `None` while it is not.
    pub fn ended(&self) -> Option<End> {
        self.ended
    }

    /// How many measurements are behind us, and how many there are (a search may add some, or leave some out).
    pub fn progress(&self) -> (usize, usize) {
        (self.at, self.order.len())
    }

    /// Seconds until the end, reckoned from what was measured so far. `None` before anything was.
    pub fn seconds_left(&self) -> Option<f64> {
        if self.ended.is_some() {
            return Some(0.0);
        }
        if self.seeker.is_some() {
            // how much it will ask for, nobody knows
            return self.plan.budget_seconds.map(|budget| (budget - self.elapsed).max(0.0));
        }
        let cost = |row: &Row| (row.blocks > 0).then(|| row.seconds / row.blocks as f64);
        let known: Vec<f64> = self.rows.iter().filter_map(cost).collect();
        let mean = stats::mean(&known)?;
        let left = self.order.get(self.at..).unwrap_or_default();
        let alive = left.iter().filter_map(|visit| self.rows.get(visit.candidate)).filter(|row| row.failure.is_none());
        let left: f64 = alive.map(|row| cost(row).unwrap_or(mean)).sum();
        Some(self.plan.budget_seconds.map_or(left, |budget| left.min(budget - self.elapsed)).max(0.0))
    }

    /// The number under which a candidate is kept as a run.
    pub fn kept(&self, candidate: usize) -> Option<RunId> {
        self.kept.get(&candidate).copied()
    }

    /// A candidate is kept as a run now: what is measured of it later replaces that run.
    pub fn set_kept(&mut self, candidate: usize, id: RunId) {
        self.kept.insert(candidate, id);
    }

    /// Candidates of which there is something to keep: samples, or the reason why there are none.
    pub fn worth_keeping(&self) -> Vec<usize> {
        let worth = |row: &Row| row.blocks > 0 || row.failure.is_some();
        self.rows.iter().enumerate().filter(|(_, row)| worth(row)).map(|(index, _)| index).collect()
    }

    /// Candidates that can still be measured.
    pub fn alive(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|i| self.rows.get(*i).is_some_and(|row| row.failure.is_none())).collect()
    }

    /// Adds blocks of some candidates behind everything that is planned: each once a block, in an order of their own.
    fn add_blocks(&mut self, candidates: &[usize], blocks: usize) {
        let first = self.order.iter().map(|visit| visit.block + 1).max().unwrap_or(0);
        let seed = self.plan.seed.wrapping_add(first as u64);
        let slots = schedule(candidates.len(), blocks, seed);
        let visit = |slot: &Slot| {
            Some(Visit { block: first + slot.block, candidate: *candidates.get(slot.design)?, repetitions: 1, cells: (true, true) })
        };
        self.order.extend(slots.iter().filter_map(visit));
    }

    /// What to do next. Asking twice gives the same answer; only [`Sweep::record`] goes on.
    pub fn next(&self) -> Step {
        if let Some(end) = self.ended {
            return Step::Done(end);
        }
        if let Some(together) = self.unjudged.first() {
            return self.quality_step(together);
        }
        if let Some((seconds, why)) = self.cooling.wanted() {
            return Step::CoolDown { seconds, why };
        }
        match self.order.get(self.at) {
            Some(visit) => self.measure_step(*visit),
            None => Step::Done(End::Complete),
        }
    }

    fn quality_step(&self, together: &[usize]) -> Step {
        let Some(quality) = &self.plan.quality else { return Step::Done(End::Complete) };
        // neither threads nor batches change what a model says, but how long it takes: those of the reference are as good as any
        let Design { threads, threads_batch, n_batch, n_ubatch, .. } = quality.reference;
        let as_fast = |candidate: &Candidate| Design { threads, threads_batch, n_batch, n_ubatch, ..candidate.design.clone() };
        let designs = together.iter().filter_map(|i| self.plan.candidates.get(*i)).map(as_fast);
        let plan = QualityPlan {
            reference: quality.reference.clone(),
            candidates: designs.collect(),
            text: quality.text.clone(),
            n_ctx: quality.n_ctx,
            max_chunks: quality.max_chunks,
            tight: None,
            one_at_a_time: false,
        };
        Step::Quality { candidates: together.to_vec(), plan: Box::new(plan) }
    }

    fn measure_step(&self, visit: Visit) -> Step {
        let Visit { block, candidate, repetitions, cells: (pp, tg) } = visit;
        let Some(of) = self.plan.candidates.get(candidate) else { return Step::Done(End::Complete) };
        let wanted = |test: &BenchTest| if test.n_gen == 0 { pp } else { tg };
        let plan = BenchPlan {
            design: of.design.clone(),
            tests: self.plan.tests(of).into_iter().filter(wanted).collect(),
            repetitions,
            warmup: if self.plan.no_warmup { Warmup::None } else { Warmup::Brief },
            own_context: true,
            keep_warm_bytes: self.plan.keep_warm_bytes,
        };
        Step::Measure { block, candidate, plan: Box::new(plan) }
    }

    /// The step that is next has been given to the engine. Called so that a design that ends the program again and again is found out when
    /// the sweep is resumed: keep the sweep afterwards.
    pub fn begin(&mut self) {
        self.begun += 1;
    }

    /// Takes a sweep up that was kept while it ran. A measurement that was begun twice and never ended is given up: its design ended the
    /// program that measured it.
    pub fn resume(&mut self) {
        if self.ended == Some(End::Cancelled) || self.ended == Some(End::Budget) {
            self.ended = None;
        }
        if self.begun >= INTERRUPTIONS {
            let error = EngineError::new(ErrorKind::Crashed, "The program ended twice while this design was measured")
                .hint("Measure it by itself to see why");
            self.record(Outcome::Failed(error), 0.0, 0);
        }
        self.settle();
    }

    /// Changes what a design must keep to. It says what may be chosen, not what is measured, and so holds for what was measured already. A
    /// limit on a figure that is not measured here is left out: no design could ever be seen to keep to it.
    pub fn set_limits(&mut self, limits: Vec<MetricLimit>) {
        self.plan.limits = limits.into_iter().filter(|limit| self.plan.measures(limit.metric)).collect();
    }

    /// A person ends it. What was measured stands.
    pub fn cancel(&mut self) {
        self.begun = 0;
        self.ended.get_or_insert(End::Cancelled);
    }

    /// What came of the step that [`Sweep::next`] said, how many seconds it took, and when it began (Unix time, milliseconds).
    ///
    /// A failure of kind `Cancelled` changes nothing but the time that is used up: the step is still the next one.
    pub fn record(&mut self, outcome: Outcome, seconds: f64, began_ms: i64) {
        if self.ended.is_some() {
            return;
        }
        self.elapsed += seconds.max(0.0);
        let step = self.next();
        self.begun = 0;
        match (step, outcome) {
            (_, Outcome::Failed(error)) if error.kind == ErrorKind::Cancelled => {}
            (Step::Measure { candidate, .. }, Outcome::Measured(cells)) => self.measured(candidate, &cells, seconds, began_ms),
            (Step::Measure { candidate, .. }, Outcome::Failed(error)) => self.failed(candidate, error, seconds, began_ms),
            (Step::Quality { candidates, .. }, Outcome::Compared(losses)) => self.compared(&candidates, &losses, seconds),
            (Step::Quality { candidates, .. }, Outcome::Failed(error)) => self.not_compared(&candidates, &error),
            (Step::CoolDown { .. }, _) => self.cooling.done(),
            // an answer to a question that was not asked
            _ => {}
        }
        self.settle();
    }

    fn measured(&mut self, candidate: usize, cells: &[BenchRow], seconds: f64, began_ms: i64) {
        let file_size = self.plan.candidates.get(candidate).map_or(0, |of| of.facts.file_size);
        let price = self.plan.price_per_hour;
        let figures = |cells: &[BenchRow]| {
            let mut figures = super::samples::of(cells, file_size);
            cost::price(&mut figures, price);
            figures
        };
        let Some(row) = self.rows.get_mut(candidate) else { return };
        let before = row.figure(Metric::DecodeTps).or_else(|| row.figure(Metric::PrefillTps));
        for (metric, values) in figures(cells) {
            row.samples.entry(metric).or_default().extend(values);
        }
        row.surroundings.extend(cells.iter().flat_map(|cell| cell.surroundings.iter().copied()));
        let measured = |cell: &BenchRow| cell.samples_ns.iter().map(|ns| *ns as f64 / 1e9).sum::<f64>();
        let all: f64 = cells.iter().map(measured).sum();
        row.measured_seconds += all;
        if let Some(answer) = &mut self.answer {
            for cell in cells {
                let instrument = if cell.test.n_gen == 0 { PP } else { TG };
                answer.add(&figures(std::slice::from_ref(cell)), instrument, measured(cell));
            }
            answer.add_overhead((seconds - all).max(0.0));
        }
        if row.started_ms == 0 {
            row.started_ms = began_ms;
        }
        row.seconds += seconds;
        row.blocks += 1;
        if let Some(cell) = cells.last() {
            row.effective = cell.effective.clone();
        }
        let latest = |metric: Metric| row.samples.get(&metric).and_then(|all| all.last()).copied();
        let now = latest(Metric::DecodeTps).or_else(|| latest(Metric::PrefillTps));
        self.cooling.saw(before, now, cells);
        self.at += 1;
    }

    fn failed(&mut self, candidate: usize, error: EngineError, seconds: f64, began_ms: i64) {
        if let Some(answer) = &mut self.answer {
            answer.fail(error.to_string());
            answer.add_overhead(seconds);
        }
        let Some(row) = self.rows.get_mut(candidate) else { return };
        row.failure = Some(error);
        row.seconds += seconds;
        if row.started_ms == 0 {
            row.started_ms = began_ms;
        }
        self.at += 1;
    }

    fn compared(&mut self, candidates: &[usize], losses: &[Option<Loss>], seconds: f64) {
        for (judged, loss) in candidates.iter().zip(losses) {
            for same in of_the_same_quality(&self.plan, *judged) {
                let Some(row) = self.rows.get_mut(same) else { continue };
                match loss {
                    Some(loss) => {
                        row.loss = Some(*loss);
                        row.samples.insert(Metric::Kld, vec![loss.kld]);
                        row.samples.insert(Metric::Perplexity, vec![loss.perplexity]);
                        row.samples.insert(Metric::SameTop, vec![loss.same_top]);
                    }
                    None => row.no_loss = Some(EngineError::new(ErrorKind::Engine, "Nothing of the text was scored")),
                }
            }
        }
        if let (Some(answer), Some(row)) = (&mut self.answer, candidates.first().and_then(|of| self.rows.get(*of))) {
            let known = [Metric::Kld, Metric::Perplexity, Metric::SameTop].into_iter();
            let figures = known.filter_map(|metric| Some((metric, row.samples.get(&metric)?.clone()))).collect();
            answer.add(&figures, QUALITY, seconds);
        }
        self.unjudged.remove(0);
    }

    /// Together they failed: each alone, so that one that cannot be read does not hide the others.
    fn not_compared(&mut self, candidates: &[usize], error: &EngineError) {
        self.unjudged.remove(0);
        if let Some(answer) = &mut self.answer {
            answer.fail(error.to_string());
            // without its loss, its speed is of no use
            self.order.truncate(self.at);
        }
        if candidates.len() > 1 {
            self.unjudged = candidates.iter().map(|candidate| vec![*candidate]).collect();
            return;
        }
        for same in candidates.iter().flat_map(|judged| of_the_same_quality(&self.plan, *judged)) {
            if let Some(row) = self.rows.get_mut(same) {
                row.no_loss = Some(error.clone());
            }
        }
    }

    /// Passes over what need not be measured, and ends the sweep when nothing is left or the time is used up.
    fn settle(&mut self) {
        if self.ended.is_some() || !self.unjudged.is_empty() {
            return;
        }
        let is_over = |visit: &Visit| self.rows.get(visit.candidate).is_none_or(|row| row.failure.is_some());
        self.at += self.order.iter().skip(self.at).take_while(|visit| is_over(visit)).count();
        if self.alive().is_empty() {
            self.ended = Some(End::NothingLeft);
            return;
        }
        if self.at >= self.order.len() && !self.seek() {
            let is_late = self.found().is_some_and(|found| found.is_out_of_time);
            self.ended = Some(if is_late { End::Budget } else { End::Complete });
        }
        if self.ended.is_none() && self.seeker.is_none() && self.is_out_of_time() {
            self.ended = Some(End::Budget);
        }
    }

    /// Tells the search what came of its last wish and takes the next one; false when there is no search, or it has ended.
    fn seek(&mut self) -> bool {
        let Some(mut seeker) = self.seeker.take() else { return false };
        if let Some(answer) = self.answer.take() {
            seeker.tell(&self.plan, answer);
        }
        let wish = seeker.ask(&self.plan);
        self.seeker = Some(seeker);
        let Some(wish) = wish else { return false };
        self.answer = Some(Answer::default());
        let asks = |instrument: usize| wish.instruments.contains(&instrument);
        if asks(QUALITY) && self.plan.quality.is_some() {
            self.unjudged.push(vec![wish.candidate]);
        }
        if asks(PP) || asks(TG) {
            let visit =
                Visit { block: self.order.len(), candidate: wish.candidate, repetitions: wish.repetitions, cells: (asks(PP), asks(TG)) };
            self.order.push(visit);
        }
        true
    }

    /// What the search found, once it has ended.
    pub fn found(&self) -> Option<&Found> {
        self.seeker.as_ref()?.found.as_ref()
    }

    /// Whether the next measurement would end after the budget. One that was never made is taken to cost what the others did.
    fn is_out_of_time(&self) -> bool {
        let Some(budget) = self.plan.budget_seconds else { return false };
        let cost = |row: &Row| (row.blocks > 0).then(|| row.seconds / row.blocks as f64);
        let next = self.order.get(self.at).and_then(|visit| self.rows.get(visit.candidate)).and_then(cost);
        let known: Vec<f64> = self.rows.iter().filter_map(cost).collect();
        self.elapsed + next.or_else(|| stats::mean(&known)).unwrap_or(0.0) > budget
    }

    /// How far a candidate can be trusted, with the reasons why not.
    pub fn trust(&self, candidate: usize) -> (RunTrust, Vec<String>) {
        let Some(row) = self.rows.get(candidate) else { return (RunTrust::TooFew, Vec::new()) };
        super::trust::judge(row, &self.cooling)
    }
}
