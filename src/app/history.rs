//! Runs and saved designs in memory: the heads of all runs, and the few that are looked at whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::{Metric, Run, RunId};
use crate::store::{RunHead, SavedDesign};

/// What was measured, and the designs that have names.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every run that is on the disk and not deleted, the newest first. Empty until the first look, see `is_loaded`
    pub runs: Vec<RunHead>,
    /// Whether `runs` was read
    pub is_loaded: bool,
    /// Counts changes of `runs`, so that what is made of it (order, filter) is made again only then
    pub revision: u64,
    /// The runs that are looked at, in the order they were chosen
    pub shown: Vec<RunId>,
    /// Those of them that were read, and the predecessor of a single one
    pub whole: Vec<Run>,
    /// Saved designs, by name
    pub designs: Vec<SavedDesign>,
    speeds: Speeds,
}

/// The latest decode speed of each design: by model and quantization level, then by the design in words.
#[derive(Clone, Debug, Default)]
struct Speeds(BTreeMap<(String, String), BTreeMap<String, f64>>);

impl Speeds {
    /// Of a whole list, the newest first.
    fn of(runs: &[RunHead]) -> Self {
        let mut all = Self::default();
        runs.iter().rev().for_each(|head| all.learn(head));
        all
    }

    /// Takes in a run that is newer than those before it.
    fn learn(&mut self, head: &RunHead) {
        // what another machine or a deep cache made of it is not this design's speed here
        let is_plain = head.failure.is_none() && head.imported.is_empty() && !head.workload.contains("@ d");
        if let Some(speed) = head.figure(Metric::DecodeTps).filter(|_| is_plain) {
            let of_level = self.0.entry((plain(&head.model), head.quant.clone())).or_default();
            of_level.insert(speed_words(&head.design), speed);
        }
    }
}

/// A name without what its writers put differently.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Of a design in words what its speed depends on: the room that a context offers is not among it.
fn speed_words(design: &str) -> String {
    design.split(", ").filter(|words| !words.starts_with("ctx ")).collect::<Vec<_>>().join(", ")
}

impl History {
    /// The head of a run.
    pub fn head(&self, id: RunId) -> Option<&RunHead> {
        // ids fall along the list
        self.runs.binary_search_by(|head| id.cmp(&head.id)).ok().and_then(|at| self.runs.get(at))
    }

    /// A run that was read whole.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.whole.iter().find(|run| run.id == id)
    }

    /// The run that a run is shown against: the one it repeats, else the latest earlier one of the same design and work that did not fail.
    pub fn predecessor(&self, id: RunId) -> Option<RunId> {
        let head = self.head(id)?;
        let is_earlier = |other: &&RunHead| {
            other.id < id && other.failure.is_none() && other.design_hash == head.design_hash && other.workload == head.workload
        };
        let repeated = head.repeats.filter(|repeated| self.head(*repeated).is_some());
        repeated.or_else(|| self.runs.iter().find(is_earlier).map(|other| other.id))
    }

    /// The decode speed of a model's level with the first of these designs (in words, see `Design::differences`) that was measured,
    /// tokens per second, by its latest run.
    pub fn decode_tps(&self, model: &str, quant: &str, designs: impl IntoIterator<Item = String>) -> Option<f64> {
        let of_level = self.speeds.0.get(&(plain(model), quant.to_owned()))?;
        designs.into_iter().find_map(|design| of_level.get(&speed_words(&design)).copied())
    }

    /// Takes the list in.
    pub(super) fn set(&mut self, mut runs: Vec<RunHead>) {
        runs.sort_by_key(|head| std::cmp::Reverse(head.id));
        self.speeds = Speeds::of(&runs);
        self.runs = runs;
        self.is_loaded = true;
        self.revision += 1;
    }

    /// Takes in a run that is now on the disk.
    pub(super) fn insert(&mut self, head: RunHead) {
        self.speeds.learn(&head);
        match self.runs.binary_search_by(|other| head.id.cmp(&other.id)) {
            Ok(at) => {
                if let Some(old) = self.runs.get_mut(at) {
                    *old = head;
                }
            }
            Err(at) => self.runs.insert(at, head),
        }
        self.revision += 1;
    }

    /// These were deleted.
    pub(super) fn remove(&mut self, gone: &BTreeSet<RunId>) {
        self.runs.retain(|head| !gone.contains(&head.id));
        self.shown.retain(|id| !gone.contains(id));
        self.speeds = Speeds::of(&self.runs);
        self.revision += 1;
    }
}
