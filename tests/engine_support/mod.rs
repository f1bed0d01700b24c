//! An engine with a short leash: every wait has an end, and everything it said is kept.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferscope::engine::fake::Script;
use inferscope::engine::{ChildOptions, Engine, Limits, Place};
use inferscope::protocol::{
    Command, Design, EngineError, Event, GenerateRequest, JobId, LoadReport, LoadRequest, Overflow, Prompt, SamplerOverrides,
};

/// No answer takes longer in these tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub engine: Engine,
    pub seen: RefCell<Vec<Event>>,
    next: Cell<u64>,
    _folder: Option<tempfile::TempDir>,
}

/// The program under test.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_inferscope").into()
}

/// Writes a script and tells how to start a child that plays it.
pub fn scripted(script: &Script, folder: &Path) -> ChildOptions {
    let path = folder.join("script.json");
    script.write(&path).unwrap();
    ChildOptions::scripted(program(), &path)
}

impl Rig {
    pub fn new(place: Place) -> Self {
        Self::with_limits(place, Limits::default())
    }

    pub fn with_limits(place: Place, limits: Limits) -> Self {
        let engine = Engine::spawn_with(place, Arc::new(|| {}), limits).unwrap();
        Self { engine, seen: RefCell::default(), next: Cell::new(1), _folder: None }
    }

    /// A scripted engine in a process of its own.
    pub fn child(script: &Script) -> Self {
        Self::child_with_limits(script, Limits::default())
    }

    pub fn child_with_limits(script: &Script, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Child(scripted(script, folder.path()));
        Self { _folder: Some(folder), ..Self::with_limits(place, limits) }
    }

    pub fn job(&self) -> JobId {
        let id = self.next.get();
        self.next.set(id + 1);
        JobId(id)
    }

    pub fn send(&self, command: Command) {
        self.engine.send(command).unwrap();
    }

    /// The next event that is neither a sample nor a log line; all are kept.
    pub fn next_event(&self, patience: Duration) -> Option<Event> {
        let end = Instant::now() + patience;
        loop {
            let event = self.engine.events().recv_deadline(end).ok()?;
            if matches!(event, Event::Sample { .. }) {
                continue;
            }
            self.seen.borrow_mut().push(event.clone());
            if !matches!(event, Event::Log { .. }) {
                return Some(event);
            }
        }
    }

    /// Waits for an event that `wanted` likes and returns what it makes of it.
    #[track_caller]
    pub fn until<T>(&self, patience: Duration, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let end = Instant::now() + patience;
        while let Some(event) = self.next_event(end.saturating_duration_since(Instant::now())) {
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
        panic!("nothing of the kind within {patience:?}; the last events were {:#?}", self.tail());
    }

    fn tail(&self) -> Vec<Event> {
        self.seen.borrow().iter().rev().take(8).rev().cloned().collect()
    }

    #[track_caller]
    pub fn hello(&self) -> u32 {
        self.until(PATIENCE, |event| if let Event::Hello { pid, .. } = event { Some(*pid) } else { None })
    }

    /// Everything about a job up to its end.
    #[track_caller]
    pub fn finish(&self, job: JobId) -> Vec<Event> {
        let mut about = Vec::new();
        self.until(PATIENCE, |event| {
            if event.job() == Some(job) {
                about.push(event.clone());
            }
            if let Event::Died { jobs, error } = event {
                assert!(!jobs.contains(&job), "the engine died: {error}\n{:#?}", error.details);
            }
            (event.ends() == Some(job)).then_some(())
        });
        about
    }

    /// Waits for the engine's death; the jobs and the cause.
    #[track_caller]
    pub fn death(&self, patience: Duration) -> (Vec<JobId>, EngineError) {
        self.until(patience, |event| if let Event::Died { jobs, error } = event { Some((jobs.clone(), error.clone())) } else { None })
    }

    #[track_caller]
    pub fn load(&self, model: impl Into<PathBuf>, keep_warm_bytes: u64) -> LoadReport {
        let job = self.job();
        self.send(load(job, model, keep_warm_bytes));
        match self.finish(job).pop() {
            Some(Event::Loaded { report, .. }) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// A whole reply.
    #[track_caller]
    pub fn say(&self, prompt: &str) -> String {
        let job = self.job();
        self.send(generate(job, prompt, 0));
        text(&self.finish(job))
    }
}

pub fn load(job: JobId, model: impl Into<PathBuf>, keep_warm_bytes: u64) -> Command {
    Command::Load { job, request: LoadRequest { design: Design { n_ctx: 512, ..Design::for_model(model) }, keep_warm_bytes } }
}

pub fn generate(job: JobId, prompt: &str, max_tokens: u32) -> Command {
    let request = GenerateRequest {
        prompt: Prompt::Raw { text: prompt.into() },
        sampler: SamplerOverrides { temperature: Some(0.0), ..SamplerOverrides::default() },
        max_tokens,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: false,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    Command::Generate { job, request }
}

/// The text of the reply.
pub fn text(events: &[Event]) -> String {
    events.iter().filter_map(|event| if let Event::Tokens { batch, .. } = event { Some(&*batch.text) } else { None }).collect()
}

/// Whether a process exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim().starts_with('Z'))
}

/// Waits for something to become true.
#[track_caller]
pub fn wait_for(what: &str, patience: Duration, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !ready() {
        assert!(Instant::now() < end, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
