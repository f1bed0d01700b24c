//! Runs and saved designs in memory: the heads of all runs, and the few that are looked at whole.

use crate::protocol::{Run, RunId};
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

    /// Takes the list in.
    pub(super) fn set(&mut self, mut runs: Vec<RunHead>) {
        runs.sort_by_key(|head| std::cmp::Reverse(head.id));
        self.runs = runs;
        self.is_loaded = true;
        self.revision += 1;
    }

    /// Takes in a run that is now on the disk.
    pub(super) fn insert(&mut self, head: RunHead) {
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
}
