//! Where an engine runs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fake::Script;

/// Called after events were queued, from any thread: the window asks for a repaint in it. Must not block.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Where an engine runs. All places keep the same contract.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a process of its own: whatever happens to it, this process lives. The default
    Child(ChildOptions),
    /// llama.cpp on a thread of this process: no pipe between, but an abort in llama.cpp ends everything
    Thread,
    /// The scripted engine on a thread of this process: for tests and demonstrations
    Fake(Script),
}

impl Default for Place {
    fn default() -> Self {
        Self::Child(ChildOptions::default())
    }
}

/// How to start the engine's process.
#[derive(Clone, Debug)]
pub struct ChildOptions {
    /// The program; by default this one
    pub program: PathBuf,
    /// Its arguments; by default the hidden `engine` subcommand
    pub args: Vec<OsString>,
    /// Environment variables set on top of this process's
    pub envs: Vec<(OsString, OsString)>,
}

impl Default for ChildOptions {
    fn default() -> Self {
        Self { program: own_program(), args: vec!["engine".into()], envs: Vec::new() }
    }
}

impl ChildOptions {
    /// A child that plays the script in a JSON file (see [`Script`]).
    pub fn scripted(program: impl Into<PathBuf>, script: &Path) -> Self {
        Self { program: program.into(), args: vec!["engine".into(), "--fake".into(), script.into()], envs: Vec::new() }
    }
}

/// This program. On Linux by its open file: an update or a rebuild may have replaced the one that the name leads to, and the two sides
/// have to speak the same protocol.
fn own_program() -> PathBuf {
    let by_file = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && by_file.exists() {
        return by_file.into();
    }
    std::env::current_exe().unwrap_or_else(|_| "inferscope".into())
}

/// How long the supervisor waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From start to `Hello`
    pub hello: Duration,
    /// From `Cancel` to the end of the job; then the engine is ended
    pub cancel: Duration,
    /// Silence during a job before it is remarked upon
    pub silence: Duration,
    /// After three deaths within this time the engine is not started again until something is asked of it
    pub crash_loop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            cancel: Duration::from_secs(3),
            silence: Duration::from_secs(10),
            crash_loop: Duration::from_secs(30),
        }
    }
}
