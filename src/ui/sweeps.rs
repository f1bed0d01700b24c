//! Sweeps outside the UI thread: the engine that measures, and the files of sweeps that are not done.

use std::path::PathBuf;
use std::thread;
use std::time::UNIX_EPOCH;

use crate::app::{Answer, Severity, Unfinished};
use crate::engine::Engine;
use crate::engine::examine::Examiner;
use crate::library::{self, MachineMemory};
use crate::measure::sweep::{Sweep, SweepPlan};
use crate::protocol::{EngineError, EngineFacts, Environment, Event, JobId};
use crate::store::{Dirs, sweeps};

/// Work on the disk that sweeps ask for.
pub(super) enum SweepChore {
    Prepare(Box<SweepPlan>),
    Keep(Box<Sweep>),
    Drop(String),
    Read(String),
    Find,
}

/// Does it; what there is to answer.
pub(super) fn work(chore: SweepChore) -> Option<Answer> {
    match chore {
        SweepChore::Prepare(plan) => Some(Answer::SweepPrepared(Box::new(prepared(*plan)))),
        SweepChore::Keep(sweep) => {
            let path = file(&sweep.plan().name)?;
            let kept = serde_json::to_string(&sweep).map_err(|error| error.to_string());
            let kept = kept.and_then(|json| sweeps::keep(&path, &json).map_err(|error| error.to_string()));
            let error = kept.err()?;
            Some(Answer::Notice(Severity::Warn, format!("The sweep cannot be kept, so it cannot be resumed: {error}: {}", path.display())))
        }
        SweepChore::Drop(name) => {
            let path = file(&name)?;
            let error = sweeps::remove(&path).err()?;
            Some(Answer::Notice(Severity::Warn, format!("The sweep's file was not removed: {error}: {}", path.display())))
        }
        SweepChore::Read(name) => {
            let path = file(&name)?;
            let read = sweeps::read(&path).map_err(|error| error.to_string());
            let sweep = read.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
            Some(match sweep {
                Ok(sweep) => Answer::SweepRead(Box::new(sweep)),
                Err(error) => Answer::Notice(Severity::Error, format!("The sweep cannot be read: {error}: {}", path.display())),
            })
        }
        SweepChore::Find => Some(Answer::SweepsFound(found())),
    }
}

fn file(name: &str) -> Option<PathBuf> {
    Some(sweeps::file(&Dirs::resolve().ok()?.data, name))
}

fn found() -> Vec<Unfinished> {
    let all = Dirs::resolve().map(|dirs| sweeps::list(&dirs.data)).unwrap_or_default();
    let modified = |kept: &sweeps::KeptSweep| kept.modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let unix_ms = |kept: &sweeps::KeptSweep| modified(kept).map_or(0, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    all.into_iter().map(|kept| Unfinished { modified_ms: unix_ms(&kept), name: kept.name }).collect()
}

/// What headers say of the candidates, and how much may stay loaded between measurements.
fn prepared(mut plan: SweepPlan) -> SweepPlan {
    let machine = MachineMemory::read();
    let mut examiner = Examiner::new(machine);
    for candidate in &mut plan.candidates {
        let cells = candidate.depth.saturating_add(plan.n_prompt.max(plan.n_gen));
        examiner.examine(candidate, cells);
    }
    plan.keep_warm_bytes = (machine.available / 2).max(1);
    // which engine and how fast the memory is, the window knows; the rest is the machine's
    let known = plan.environment;
    let facts = EngineFacts {
        name: known.engine,
        commit: known.engine_commit,
        build: known.engine_build,
        cpu_features: known.cpu_features,
        ..EngineFacts::default()
    };
    plan.environment = Environment { bandwidth_gb_s: known.bandwidth_gb_s, ..library::machine(&facts) };
    plan
}

/// Whether an event of the engine that measures is worth waking the window for: what is shown changes when a step is over, and every frame
/// in between would take time from what is measured.
pub(super) fn is_worth_a_frame(event: &Event) -> bool {
    event.ends().is_some() || matches!(event, Event::Died { .. })
}

/// Ends an engine away from the UI thread, which must not wait for a process.
pub(super) fn end(engine: Engine) {
    thread::Builder::new().name("measurer-end".into()).spawn(move || drop(engine)).ok();
}

/// What is said of a step that could not be given to an engine.
pub(super) fn failed(job: Option<JobId>, error: EngineError) -> Event {
    match job {
        Some(job) => Event::Failed { job, error },
        None => Event::Died { jobs: Vec::new(), error },
    }
}
