//! The supervisor's list of what was asked for and has not ended yet, in the order the engine works it off.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::place::Limits;
use crate::protocol::{Command, JobId};

/// Jobs that may be under way or waiting.
pub const MAX_JOBS: usize = 256;

/// One job.
#[derive(Debug)]
pub struct Job {
    /// Its number
    pub id: JobId,
    /// What was asked
    pub command: Arc<Command>,
    /// Whether the engine was told
    pub sent: bool,
    /// When its cancellation was passed on
    pub cancelled: Option<Instant>,
    /// When the engine last said something about it, or it became the first
    pub heard: Instant,
    /// Its silence was remarked upon
    pub warned: bool,
}

impl Job {
    /// The file a quantization writes, if this is one.
    pub fn quantize_target(&self) -> Option<PathBuf> {
        match &*self.command {
            Command::Quantize { request, .. } => Some(request.target.clone()),
            _ => None,
        }
    }
}

/// All of them; the first is the one that runs.
#[derive(Debug, Default)]
pub struct Jobs {
    list: VecDeque<Job>,
}

impl Jobs {
    /// Adds a job at the end. `false`: there is one of that number already.
    pub fn add(&mut self, id: JobId, command: Command, now: Instant) -> bool {
        if self.get(id).is_some() {
            return false;
        }
        self.list.push_back(Job { id, command: Arc::new(command), sent: false, cancelled: None, heard: now, warned: false });
        true
    }

    /// Whether no more fit.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_JOBS
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The one that runs.
    pub fn first(&mut self) -> Option<&mut Job> {
        self.list.front_mut()
    }

    /// By number.
    pub fn get(&mut self, id: JobId) -> Option<&mut Job> {
        self.list.iter_mut().find(|job| job.id == id)
    }

    /// Removes a job that ended; the next one is first from now on.
    pub fn end(&mut self, id: JobId, now: Instant) -> Option<Job> {
        let at = self.list.iter().position(|job| job.id == id)?;
        let job = self.list.remove(at);
        if at == 0
            && let Some(first) = self.list.front_mut()
        {
            first.heard = now;
        }
        job
    }

    /// Removes all.
    pub fn take(&mut self) -> Vec<Job> {
        self.list.drain(..).collect()
    }

    /// Those the engine has not been told about.
    pub fn unsent(&mut self) -> impl Iterator<Item = &mut Job> {
        self.list.iter_mut().filter(|job| !job.sent)
    }

    /// A new engine has not been told about any.
    pub fn forget_sent(&mut self, now: Instant) {
        for job in &mut self.list {
            job.sent = false;
            job.heard = now;
            job.warned = false;
        }
    }

    /// A job that should have stopped by now.
    pub fn overdue(&self, now: Instant, limits: &Limits) -> Option<JobId> {
        self.list.iter().find(|job| job.cancelled.is_some_and(|at| now >= at + limits.cancel)).map(|job| job.id)
    }

    /// When to look again.
    pub fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let stop = self.list.iter().filter_map(|job| job.cancelled).min().map(|at| at + limits.cancel);
        let silence = self.list.front().filter(|job| !job.warned).map(|job| job.heard + limits.silence);
        stop.into_iter().chain(silence).min()
    }

    /// How long the running job has been silent, once, when that is too long.
    pub fn silent(&mut self, now: Instant, limits: &Limits) -> Option<(JobId, Duration)> {
        let first = self.list.front_mut().filter(|job| !job.warned && now >= job.heard + limits.silence)?;
        first.warned = true;
        Some((first.id, now - first.heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(now: Instant, ids: &[u64]) -> Jobs {
        let mut jobs = Jobs::default();
        for id in ids {
            assert!(jobs.add(JobId(*id), Command::Probe { job: JobId(*id), threads: 0 }, now));
        }
        jobs
    }

    #[test]
    fn a_number_is_used_once() {
        let now = Instant::now();
        let mut jobs = jobs(now, &[1, 2]);
        assert!(!jobs.add(JobId(2), Command::Probe { job: JobId(2), threads: 0 }, now));
        assert!(jobs.end(JobId(2), now).is_some());
        assert!(jobs.end(JobId(2), now).is_none(), "a job ends once");
    }

    #[test]
    fn only_the_first_can_be_silent_and_only_once() {
        let (now, limits) = (Instant::now(), Limits::default());
        let mut jobs = jobs(now, &[1, 2]);
        assert_eq!(jobs.deadline(&limits), Some(now + limits.silence));
        let later = now + limits.silence;
        assert_eq!(jobs.silent(later, &limits), Some((JobId(1), limits.silence)));
        assert_eq!(jobs.silent(later, &limits), None);
        assert_eq!(jobs.deadline(&limits), None);
        jobs.end(JobId(1), later);
        assert_eq!(jobs.silent(later, &limits), None, "the second has only just begun");
        assert_eq!(jobs.deadline(&limits), Some(later + limits.silence));
    }

    #[test]
    fn a_cancelled_job_is_overdue_after_the_limit() {
        let (now, limits) = (Instant::now(), Limits::default());
        let mut jobs = jobs(now, &[1]);
        jobs.get(JobId(1)).unwrap().cancelled = Some(now);
        assert_eq!(jobs.overdue(now + limits.cancel / 2, &limits), None);
        assert_eq!(jobs.overdue(now + limits.cancel, &limits), Some(JobId(1)));
        assert_eq!(jobs.deadline(&limits), Some(now + limits.cancel));
    }
}
