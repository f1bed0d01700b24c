//! Runs and designs as files: reading and writing them off the UI thread.

use std::path::{Path, PathBuf};

use crate::app::{Answer, Severity};
use crate::library;
use crate::measure::kept::{self, RunFormat};
use crate::protocol::{Design, EngineFacts, Environment, Run, RunId};
use crate::store::{Recorder, Store, write_atomic};

/// Largest file of runs that is read, bytes.
const MAX_RUNS: u64 = 64 << 20;
/// Largest design that is read, bytes.
const MAX_DESIGN: u64 = 1 << 20;

/// Work on runs for the thread that reads the disk.
pub(super) enum RunChore {
    /// Fill in what a run does not say of where it ran, and keep it under this number
    Keep(u64, Box<Run>),
    /// Write runs to a file
    Export(Vec<RunId>, RunFormat, PathBuf),
}

/// What that work needs.
pub(super) struct RunFiles {
    /// Where the database lies
    pub data_dir: PathBuf,
    /// The way into the database
    pub recorder: Recorder,
}

impl RunFiles {
    /// Does it; what is to be said about it.
    pub fn carry_out(&self, chore: RunChore) -> Option<Answer> {
        match chore {
            RunChore::Keep(seq, mut run) => {
                fill_in(&mut run);
                self.recorder.keep_run(seq, run);
                None
            }
            RunChore::Export(ids, format, path) => Some(match self.export(&ids, format, &path) {
                Ok(n) => Answer::Notice(Severity::Info, format!("{n} runs saved to {}", path.display())),
                Err(why) => Answer::Notice(Severity::Error, format!("Not saved, {why}: {}", path.display())),
            }),
        }
    }

    fn export(&self, ids: &[RunId], format: RunFormat, path: &Path) -> Result<usize, String> {
        // a connection of its own, so that what streams in is not held up by ten thousand runs
        let (mut store, _) = Store::join(&self.data_dir).map_err(|error| error.message)?;
        let runs: Vec<Run> = ids.iter().filter_map(|id| store.run(*id)).collect();
        write_atomic(path, format.write(&runs).as_bytes()).map_err(|error| error.to_string())?;
        Ok(runs.len())
    }
}

/// What a run measured here does not say of the machine and the model. What it says stands.
fn fill_in(run: &mut Run) {
    if !run.imported.is_empty() {
        return;
    }
    if !run.environment.cpu.is_empty() {
        if run.environment.model_hash.is_empty() {
            run.environment.model_hash = library::fingerprint(&run.design.model).unwrap_or_default();
        }
        return;
    }
    let known = std::mem::take(&mut run.environment);
    let facts = EngineFacts {
        name: known.engine.clone(),
        commit: known.engine_commit.clone(),
        build: known.engine_build.clone(),
        cpu_features: known.cpu_features.clone(),
        ..EngineFacts::default()
    };
    let found = library::environment(&facts, &run.design, None);
    run.environment = Environment { background_load: known.background_load, bandwidth_gb_s: known.bandwidth_gb_s, ..found };
}

/// Reads a file of runs.
pub(super) fn import(path: &Path) -> Answer {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Answer::RunsImported(name, read(path, MAX_RUNS).and_then(|text| kept::from_text(&text)))
}

/// Reads a design.
pub(super) fn import_design(path: &Path) -> Answer {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let parsed = read(path, MAX_DESIGN).and_then(|text| Design::from_text(&text));
    // a design travels with its model: a relative path is meant from where the design lies
    let placed = parsed.map(|mut design| {
        if design.model.is_relative()
            && !design.model.as_os_str().is_empty()
            && let Some(folder) = path.parent()
            && folder.join(&design.model).exists()
        {
            design.model = folder.join(&design.model);
        }
        Box::new(design)
    });
    Answer::DesignImported(name, placed)
}

fn read(path: &Path, most: u64) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > most {
        return Err(format!("it is larger than {}", crate::measure::format::bytes(most)));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
