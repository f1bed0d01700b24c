//! What the board of the Measure page is made of: this session's sweep, an earlier one, or everything that is kept of a model.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::AppState;
use crate::protocol::{Run, RunId};
use crate::store::RunHead;

/// Whose runs the board shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BoardOf {
    /// The sweep of this session: the one that runs, or ran last
    #[default]
    Session,
    /// A sweep that was kept earlier, by the group of its runs
    Kept(String),
    /// Everything that is kept of a model, by its name
    Model(String),
}

/// A sweep that is kept, as it is offered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptSweep {
    /// The group of its runs
    pub group: String,
    /// Name of the model, as its newest run has it
    pub model: String,
    /// The levels that were measured, each once
    pub rungs: Vec<String>,
    /// How many designs have a run
    pub designs: usize,
    /// When the first of them began, Unix time, milliseconds
    pub started_ms: i64,
}

/// A model that something is kept of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptModel {
    /// Its name, as its newest run has it
    pub model: String,
    /// How many speeds were kept of it
    pub runs: usize,
}

/// The runs of the board, and what else it could show.
#[derive(Clone, Debug, Default)]
pub struct BoardRuns {
    /// Whose runs are shown
    pub of: BoardOf,
    /// They, in the order they were measured; those that were deleted are not among them
    pub runs: Vec<Run>,
    /// How many more there are, which are older and were not read
    pub left_out: usize,
    /// How many could not be read
    pub unread: usize,
    /// Sweeps that are kept, the latest first
    pub sweeps: Vec<KeptSweep>,
    /// Models that something is kept of, the latest first
    pub models: Vec<KeptModel>,
    /// Counts changes of `runs`
    pub revision: u64,
    /// It was chosen by hand, and stays until a sweep begins
    pub(super) is_chosen: bool,
    /// What was followed last
    pub(super) seen: Option<Seen>,
    /// What is being read from the disk
    pub(super) reading: Option<Reading>,
    /// Whose runs `runs` are: not those of `of` until they were read
    pub(super) runs_of: BoardOf,
    /// What was read, and may be shown
    pub(super) whole: Vec<Run>,
    /// Runs that were asked for and did not come
    pub(super) lost: BTreeSet<RunId>,
}

/// What the board depends on, to know when it must be made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) history: u64,
    pub(super) session: u64,
    pub(super) is_running: bool,
    pub(super) model: Option<PathBuf>,
    pub(super) loaded: Option<PathBuf>,
    pub(super) families: usize,
    pub(super) was_scanned: bool,
}

/// Runs on their way from the disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Names the reading
    pub(super) seq: u64,
    /// What was asked for
    pub(super) asked: Vec<RunId>,
    /// What has come
    pub(super) come: Vec<Run>,
    /// Answers that are still to come
    pub(super) left: usize,
}

impl BoardRuns {
    /// Whether runs are on their way from the disk.
    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// The sweep that is shown, when it is one that was kept.
    pub fn kept(&self) -> Option<&KeptSweep> {
        let BoardOf::Kept(group) = &self.of else { return None };
        self.sweeps.iter().find(|sweep| sweep.group == *group)
    }

    /// What is kept, of the heads of all runs (newest first).
    pub(super) fn offer(&mut self, heads: &[RunHead]) {
        let (mut sweeps, mut models): (Vec<KeptSweep>, Vec<(String, KeptModel)>) = Default::default();
        let mut place = std::collections::HashMap::new();
        for head in heads.iter().filter(|head| is_speed(head)) {
            let key = model_key(&head.model);
            match models.iter_mut().find(|(known, _)| *known == key) {
                Some((_, model)) => model.runs += 1,
                None => models.push((key, KeptModel { model: head.model.clone(), runs: 1 })),
            }
            if head.group.is_empty() {
                continue;
            }
            let at = *place.entry(head.group.as_str()).or_insert_with(|| {
                sweeps.push(KeptSweep { group: head.group.clone(), model: head.model.clone(), ..KeptSweep::default() });
                sweeps.len() - 1
            });
            let Some(sweep) = sweeps.get_mut(at) else { continue };
            sweep.designs += 1;
            sweep.started_ms = if sweep.started_ms == 0 { head.started_ms } else { sweep.started_ms.min(head.started_ms) };
            if !sweep.rungs.contains(&head.quant) {
                // they come last first
                sweep.rungs.insert(0, head.quant.clone());
            }
        }
        self.sweeps = sweeps;
        self.models = models.into_iter().map(|(_, model)| model).collect();
    }
}

/// Whether it is a speed that was measured, or a failure to: no answer to a prompt, no quality.
pub(super) fn is_speed(head: &RunHead) -> bool {
    !is_quality(head) && !head.workload.starts_with("prompt ")
}

/// Whether it is quality that was measured.
pub(super) fn is_quality(head: &RunHead) -> bool {
    head.workload.starts_with("quality on ")
}

/// A model's name as far as it tells models apart: files are named `SmolLM2-135M-Instruct` and say `SmolLM2 135M Instruct` of themselves.
pub fn model_key(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl AppState {
    /// The names, as [`model_key`] writes them, under which runs of the model in force may be kept.
    pub fn model_keys(&self) -> Vec<String> {
        let family = self.family().map(|family| family.name.as_str());
        let is_in_force = |path: &std::path::Path| self.design().is_some_and(|design| design.model == path);
        let loaded = self.loaded.as_ref().filter(|report| is_in_force(&report.design.model)).map(|report| report.info.name.as_str());
        let keys = family.into_iter().chain(loaded).map(model_key);
        keys.filter(|key| !key.is_empty()).collect()
    }
}
