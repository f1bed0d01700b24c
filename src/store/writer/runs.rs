//! What the writer does for runs and saved designs.

use std::time::{Duration, Instant};

use super::{Batch, Op, Reply, Worker};
use crate::protocol::{Run, RunId};

/// How often the file is looked at for runs that another process kept, once somebody has looked at the list.
const LOOK: Duration = Duration::from_secs(2);

/// Who looks for changes from outside.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// SQLite's count of them when it was last looked at, and when to look again
    next: Option<(i64, Instant)>,
}

impl Watch {
    /// When something is due.
    pub fn due(&self) -> Option<Instant> {
        self.next.map(|(_, at)| at)
    }
}

impl<F: Fn(Reply)> Worker<F> {
    /// Puts a run in line. Its number is answered when it is on the disk, or when it is not.
    pub(super) fn stage_run(&mut self, seq: u64, run: Box<Run>) {
        self.stage_text();
        self.keeping.push_back(seq);
        self.group.push(Batch { seqs: Vec::new(), ops: vec![Op::PutRun(run)], keeping: Some(seq) });
    }

    /// Tells which new runs are on the disk, in the order they were asked for.
    pub(super) fn tell_kept(&mut self) {
        while let Some(head) = self.store.kept.pop_front() {
            let seq = self.keeping.pop_front();
            if let (Some(seq), Some(head)) = (seq, head) {
                (self.on_reply)(Reply::RunKept { seq, head: Box::new(head) });
            }
        }
    }

    /// Answers with the list of runs, and from now on whenever another process changed it.
    pub(super) fn list_runs(&mut self) {
        self.commit();
        self.watch.next = Some((self.store.outside_changes(), Instant::now() + LOOK));
        let runs = self.store.runs();
        (self.on_reply)(Reply::Runs(runs));
    }

    pub(super) fn list_designs(&mut self) {
        self.commit();
        let designs = self.store.designs();
        (self.on_reply)(Reply::Designs(designs));
    }

    pub(super) fn read_runs(&mut self, seq: Option<u64>, ids: &[RunId]) {
        self.commit();
        let runs = ids.iter().filter_map(|id| self.store.run(*id)).collect();
        (self.on_reply)(Reply::RunsRead { seq, runs });
    }

    pub(super) fn read_tokens(&mut self, ids: &[RunId]) {
        self.commit();
        let runs = ids.iter().filter_map(|id| self.store.run_with_tokens(*id)).collect();
        (self.on_reply)(Reply::TokensRead(runs));
    }

    /// Looks whether another process changed the file.
    pub(super) fn look_outside(&mut self) {
        let Some((seen, at)) = self.watch.next else { return };
        if Instant::now() < at {
            return;
        }
        let now = self.store.outside_changes();
        if now == seen {
            self.watch.next = Some((seen, Instant::now() + LOOK));
        } else {
            self.list_runs();
            self.list_designs();
        }
    }
}
