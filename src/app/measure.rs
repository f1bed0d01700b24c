//! Measuring in the window: what the next sweep is to be, the one that runs, and what it has found so far.

use super::BoardRuns;
use crate::library::text::EVALUATION;
use crate::measure::MetricLimit;
use crate::measure::sweep::{BLOCKS, Conductor, Grid, Key, RungFile, Step, Sweep, SweepPlan, SweepQuality, SweepResult};
use crate::protocol::{Design, JobId, Metric, QualityText};

/// Tokens of a chunk of the text that quality loss is measured on, as llama-perplexity has it.
const LOSS_CHUNK: u32 = 512;
/// Most chunks of it: some 2,000 scored tokens tell rungs apart.
const LOSS_CHUNKS: u32 = 8;

/// What the next sweep is to be, as it is edited.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepDraft {
    /// The design that the grid varies; `None` = the one in force
    pub base: Option<Design>,
    /// What is varied: the key and its values as typed. An empty text varies nothing
    pub axes: Vec<(Key, String)>,
    /// Prompt tokens; 0 leaves prefill and TTFT out
    pub n_prompt: u32,
    /// Generated tokens; 0 leaves decode and ITL out
    pub n_gen: u32,
    /// How often each design is measured
    pub blocks: u32,
    /// The figure that decides
    pub goal: Metric,
    /// What a design must keep to
    pub limits: Vec<MetricLimit>,
    /// Ends after so many seconds
    pub budget_seconds: Option<f64>,
    /// Measures quality loss, too: on the text that ships with the program, against the best rung on disk
    pub with_loss: bool,
    /// Looks for the best for the goal under the limits, instead of measuring everything equally often
    pub search: bool,
    /// Frees the chat's model while it is measured, and loads it again afterwards: more memory for what is measured
    pub free_chat_model: bool,
}

impl Default for SweepDraft {
    fn default() -> Self {
        Self {
            base: None,
            axes: vec![(Key::Rung, "all".into()), (Key::Threads, String::new())],
            n_prompt: 512,
            n_gen: 128,
            blocks: BLOCKS,
            goal: Metric::DecodeTps,
            limits: Vec::new(),
            budget_seconds: None,
            with_loss: false,
            search: false,
            free_chat_model: false,
        }
    }
}

impl SweepDraft {
    /// The plan that it makes of a design and the rungs of its family that are on disk; nothing is known of the candidates yet.
    ///
    /// # Errors
    /// A sentence that names the key: see [`Grid`] and [`SweepPlan::fault`].
    pub fn plan(&self, base: &Design, rungs: &[RungFile], price_per_hour: Option<f64>) -> Result<SweepPlan, String> {
        let mut grid = Grid::default();
        for (key, values) in self.axes.iter().filter(|(_, values)| !values.trim().is_empty()) {
            grid.set(*key, values).map_err(|error| error.to_string())?;
        }
        let plan = SweepPlan {
            candidates: grid.candidates(base, rungs).map_err(|error| error.to_string())?,
            n_prompt: self.n_prompt,
            n_gen: self.n_gen,
            blocks: self.blocks,
            goal: self.goal,
            limits: self.limits.clone(),
            budget_seconds: self.budget_seconds,
            quality: self.quality(base, rungs),
            search: self.search,
            price_per_hour,
            ..SweepPlan::default()
        };
        plan.fault().map_or(Ok(plan), Err)
    }
}

impl SweepDraft {
    /// Tokens that quality loss is measured on, of each level and of what it is compared with.
    pub const LOSS_TOKENS: u32 = LOSS_CHUNK * LOSS_CHUNKS;

    /// A limit that quality loss is measured for, whatever else is wanted.
    pub fn limit_on_quality(&self) -> Option<&MetricLimit> {
        self.limits.iter().find(|limit| limit.metric.is_quality())
    }

    /// What quality loss is measured on, where it is asked for or a limit needs it.
    fn quality(&self, base: &Design, rungs: &[RungFile]) -> Option<SweepQuality> {
        if !self.with_loss && self.limit_on_quality().is_none() {
            return None;
        }
        // rungs come best first
        let best = rungs.first().map_or_else(|| base.model.clone(), |(_, file)| file.clone());
        Some(SweepQuality {
            reference: Design { threads: base.threads, threads_batch: base.threads_batch, ..Design::for_model(best) },
            text: QualityText::Plain(EVALUATION.into()),
            name: "the evaluation text".into(),
            hash: String::new(),
            n_ctx: LOSS_CHUNK,
            max_chunks: LOSS_CHUNKS,
        })
    }
}

/// What the running sweep is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Doing {
    /// No sweep runs
    #[default]
    Nothing,
    /// Headers are read: do the designs fit?
    Preparing,
    /// A step runs
    Measuring(JobId),
    /// The running step was told to end, because something else needs the processor
    GivingWay(JobId),
    /// Nothing is measured until the processor is free: the reason, as a sentence
    Held(&'static str),
    /// The machine is left alone
    Resting {
        /// until then, seconds
        until: f64,
        /// because of this, as a sentence
        why: String,
    },
    /// It was told to end and the running step has not answered yet
    Stopping(JobId),
}

/// An unfinished sweep on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its name
    pub name: String,
    /// When it was last written, Unix time, milliseconds
    pub modified_ms: i64,
}

/// Everything about measuring.
#[derive(Clone, Debug, Default)]
pub struct Measure {
    /// What the next sweep is to be
    pub draft: SweepDraft,
    /// Why it cannot be started as it is; `None` when it can
    pub draft_problem: Option<String>,
    /// How many designs it has
    pub draft_designs: usize,
    /// How many of them have a quality of their own
    pub draft_qualities: usize,
    /// What the running sweep is doing
    pub doing: Doing,
    /// What has been found by the sweep that runs, or ran last
    pub result: Option<SweepResult>,
    /// Counts changes of what has been found
    pub revision: u64,
    /// What the board shows
    pub board: BoardRuns,
    /// Unfinished sweeps, the latest first: to be offered at the start
    pub unfinished: Vec<Unfinished>,
    pub(super) conductor: Option<Conductor>,
    pub(super) reload: Option<Design>,
    /// Runs on their way to the disk: the number of the save, and the candidate
    pub(super) keeping: Vec<(u64, usize)>,
}

impl Measure {
    /// The sweep that runs, or ran last.
    pub fn sweep(&self) -> Option<&Sweep> {
        self.conductor.as_ref().map(Conductor::sweep)
    }

    /// Whether a sweep is under way, whatever holds it.
    pub fn is_running(&self) -> bool {
        self.doing != Doing::Nothing
    }

    /// The candidate that is measured now and the block it is in.
    pub fn current(&self) -> Option<(usize, usize)> {
        match (&self.doing, self.sweep()?.next()) {
            (Doing::Measuring(_) | Doing::GivingWay(_) | Doing::Stopping(_), Step::Measure { block, candidate, .. }) => {
                Some((candidate, block))
            }
            _ => None,
        }
    }

    /// How far the sweep is, 0..1.
    pub fn fraction(&self) -> f32 {
        let Some(conductor) = &self.conductor else { return 0.0 };
        let (done, all) = conductor.sweep().progress();
        if all == 0 { 0.0 } else { ((done as f64 + conductor.fraction()) / all as f64).clamp(0.0, 1.0) as f32 }
    }

    /// Whether the sweep that ran last can be taken up again.
    pub fn can_resume(&self) -> bool {
        use crate::measure::sweep::End;
        !self.is_running() && self.sweep().is_some_and(|sweep| matches!(sweep.ended(), None | Some(End::Cancelled | End::Budget)))
    }

    /// Takes what the sweep has found now.
    pub(super) fn refresh(&mut self) {
        self.result = self.sweep().map(Sweep::result);
        self.revision += 1;
    }
}
