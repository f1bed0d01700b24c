//! A sweep put into an engine's commands, and an engine's events put into outcomes.

use super::machine::Sweep;
use super::step::{Loss, Outcome, Step};
use crate::measure::MetricLimit;
use crate::measure::quality::tally::Tally;
use crate::protocol::{BenchRow, Command, EngineError, ErrorKind, Event, JobId, RunId, Stage};

/// What whoever drives a sweep has to do now.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Give this to the engine, and every event of its job to [`Conductor::hear`]
    Send(Box<Command>),
    /// Wait so many seconds, then say [`Conductor::rested`]
    Rest {
        /// seconds
        seconds: f64,
        /// why, as a sentence
        why: String,
    },
    /// The sweep is over
    Finished,
}

/// What an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that is worth a look
    Nothing,
    /// How far the running step is
    Progress,
    /// The step is over: keep the sweep, then ask for the next [`Order`]
    StepDone,
}

/// The step that runs.
#[derive(Clone, Debug)]
struct Running {
    job: JobId,
    cells: Vec<BenchRow>,
    tallies: Vec<Tally>,
    began: f64,
    began_ms: i64,
    fraction: f64,
}

/// Drives one sweep.
#[derive(Clone, Debug)]
pub struct Conductor {
    sweep: Sweep,
    running: Option<Running>,
}

impl Conductor {
    /// Drives a sweep from where it is.
    pub fn new(sweep: Sweep) -> Self {
        Self { sweep, running: None }
    }

    /// The sweep.
    pub fn sweep(&self) -> &Sweep {
        &self.sweep
    }

    /// The job that runs.
    pub fn job(&self) -> Option<JobId> {
        self.running.as_ref().map(|running| running.job)
    }

    /// How far the running step is, 0..1.
    pub fn fraction(&self) -> f64 {
        self.running.as_ref().map_or(0.0, |running| running.fraction)
    }

    /// What to do now. A step that is to be sent has `job` as its number; `now` is in seconds of any clock, `now_ms` is Unix time.
    pub fn order(&mut self, job: JobId, now: f64, now_ms: i64) -> Order {
        let (command, candidates) = match self.sweep.next() {
            Step::Done(_) => return Order::Finished,
            Step::CoolDown { seconds, why } => {
                self.running =
                    Some(Running { job: JobId(0), cells: Vec::new(), tallies: Vec::new(), began: now, began_ms: now_ms, fraction: 0.0 });
                return Order::Rest { seconds, why };
            }
            Step::Measure { plan, .. } => (Command::Bench { job, plan: *plan }, 0),
            Step::Quality { candidates, plan } => (Command::Quality { job, plan }, candidates.len()),
        };
        self.sweep.begin();
        let tallies = vec![Tally::default(); candidates];
        self.running = Some(Running { job, cells: Vec::new(), tallies, began: now, began_ms: now_ms, fraction: 0.0 });
        Order::Send(Box::new(command))
    }

    /// Changes what a design must keep to: see [`Sweep::set_limits`].
    pub fn set_limits(&mut self, limits: Vec<MetricLimit>) {
        self.sweep.set_limits(limits);
    }

    /// A candidate is kept as a run: see [`Sweep::set_kept`].
    pub fn set_kept(&mut self, candidate: usize, id: RunId) {
        self.sweep.set_kept(candidate, id);
    }

    /// The rest is over.
    pub fn rested(&mut self, now: f64) {
        if let Some(running) = self.running.take() {
            self.sweep.record(Outcome::Cooled, now - running.began, running.began_ms);
        }
    }

    /// Takes an event of the engine; those of other jobs change nothing.
    pub fn hear(&mut self, event: &Event, now: f64) -> Heard {
        let Some(running) = &mut self.running else { return Heard::Nothing };
        let is_death = matches!(event, Event::Died { .. });
        if !is_death && event.job() != Some(running.job) {
            return Heard::Nothing;
        }
        match event {
            Event::Progress { stage, done, total, .. } => {
                // a load ends before what it is for begins
                if *stage != Stage::Load && *total > 0 {
                    running.fraction = *done as f64 / *total as f64;
                }
                return Heard::Progress;
            }
            Event::BenchRow { row, .. } => {
                running.cells.push((**row).clone());
                return Heard::Progress;
            }
            Event::QualityScores { batch, .. } => {
                if let Some(tally) = running.tallies.get_mut(batch.candidate as usize) {
                    batch.scores.iter().for_each(|score| tally.add(score));
                }
                return Heard::Progress;
            }
            _ => {}
        }
        let outcome = match event {
            Event::Died { error, .. } | Event::Failed { error, .. } => Outcome::Failed(error.clone()),
            Event::Done { .. } if running.tallies.is_empty() => Outcome::Measured(std::mem::take(&mut running.cells)),
            Event::Done { .. } => Outcome::Compared(running.tallies.iter().map(loss).collect()),
            _ => return Heard::Nothing,
        };
        self.end(outcome, now);
        Heard::StepDone
    }

    /// The engine could not be given the step.
    pub fn refused(&mut self, error: EngineError, now: f64) {
        self.end(Outcome::Failed(error), now);
    }

    fn end(&mut self, outcome: Outcome, now: f64) {
        if let Some(running) = self.running.take() {
            self.sweep.record(outcome, now - running.began, running.began_ms);
        }
    }

    /// A person ends the sweep. A job that runs is to be cancelled by whoever started it.
    pub fn cancel(&mut self, now: f64) {
        self.end(Outcome::Failed(EngineError::new(ErrorKind::Cancelled, "Cancelled")), now);
        self.sweep.cancel();
    }

    /// The sweep, to be kept.
    pub fn into_sweep(self) -> Sweep {
        self.sweep
    }
}

fn loss(tally: &Tally) -> Option<Loss> {
    let running = tally.running()?;
    Some(Loss {
        kld: running.kld.value,
        kld_error: running.kld.interval().map(|interval| (interval.high - interval.low) / 2.0),
        perplexity: running.ppl.value,
        same_top: running.same_top.value,
        tokens: running.tokens,
    })
}
