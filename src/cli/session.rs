//! One engine for one command: starts it, gives it one job at a time, and turns whatever ends the job into a result.

use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, select};

use super::args::Global;
use super::error::CliError;
use super::interrupt::{self, Armed};
use super::names;
use super::output::Output;
use crate::engine::fake::Script;
use crate::engine::{ChildOptions, Engine, Place};
use crate::protocol::{Command, Design, EngineFacts, Event, JobId, LoadReport, LoadRequest, LogLevel, build};

/// A running engine that has said what it is.
pub struct Session {
    engine: Engine,
    facts: EngineFacts,
    last_job: u64,
    out: Output,
    verbose: bool,
}

fn place(global: &Global) -> Result<Place, CliError> {
    let Some(path) = &global.fake else {
        return Ok(if global.in_process { Place::Thread } else { Place::Child(ChildOptions::default()) });
    };
    // read here, too: a child that cannot read it could only die
    let script = Script::read(path)?;
    Ok(if global.in_process { Place::Fake(script) } else { Place::Child(ChildOptions::scripted(ChildOptions::default().program, path)) })
}

impl Session {
    /// Starts the engine and waits until it has said what it is.
    ///
    /// # Errors
    /// When it does not start, or dies before it has spoken.
    pub fn start(global: &Global, out: Output) -> Result<Self, CliError> {
        let engine = Engine::spawn(place(global)?, Arc::new(|| {}))?;
        let mut session = Self { engine, facts: EngineFacts::default(), last_job: 0, out, verbose: global.verbose };
        loop {
            match session.engine.events().recv() {
                Ok(Event::Hello { facts, .. }) => {
                    session.facts = facts;
                    return Ok(session);
                }
                Ok(Event::Died { error, .. }) => return Err(error.into()),
                Ok(event) => session.log(&event),
                Err(_disconnected) => return Err(ended()),
            }
        }
    }

    /// What the engine is made of.
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// Runs one job to its end and returns the event that ended it. Every event of the job is shown to `on` first; when `on` refuses, the
    /// job is cancelled and the refusal is the result. The first Ctrl-C cancels the job.
    ///
    /// # Errors
    /// What failed the job, or killed the engine, in the engine's words.
    pub fn run(
        &mut self,
        command: impl FnOnce(JobId) -> Command,
        mut on: impl FnMut(&Event) -> Result<(), CliError>,
    ) -> Result<Event, CliError> {
        self.last_job += 1;
        let job = JobId(self.last_job);
        let presses: &Receiver<()> = interrupt::presses();
        let armed = Armed::new();
        self.engine.send(command(job))?;
        let mut refusal = None;
        loop {
            let event = select! {
                recv(self.engine.events()) -> event => event.map_err(|_disconnected| ended())?,
                recv(presses) -> _ => {
                    self.engine.send(Command::Cancel { job })?;
                    continue;
                }
            };
            self.log(&event);
            match event {
                Event::Failed { job: of, error } if of == job => return Err(refusal.unwrap_or_else(|| error.into())),
                Event::Died { error, .. } => return Err(refusal.unwrap_or_else(|| error.into())),
                event if event.job() == Some(job) => {
                    if refusal.is_none()
                        && let Err(error) = on(&event)
                    {
                        refusal = Some(error);
                        self.engine.send(Command::Cancel { job })?;
                    }
                    if event.ends() == Some(job) {
                        drop(armed);
                        return refusal.map_or(Ok(event), Err);
                    }
                }
                _ => {}
            }
        }
    }

    /// The number that the next job has when it is given to [`Session::watch`].
    pub fn next_job(&mut self) -> JobId {
        self.last_job += 1;
        JobId(self.last_job)
    }

    /// Runs one job to its end, whatever that is: every event of the job and the death of the engine are shown to `on`. The first Ctrl-C
    /// cancels the job. Whether Ctrl-C came.
    ///
    /// # Errors
    /// When the command cannot be given to the engine.
    pub fn watch(&mut self, command: Command, mut on: impl FnMut(&Event)) -> Result<bool, CliError> {
        let Some(job) = command.job() else { return Ok(false) };
        let presses: &Receiver<()> = interrupt::presses();
        let _armed = Armed::new();
        self.engine.send(command)?;
        let mut pressed = false;
        loop {
            let event = select! {
                recv(self.engine.events()) -> event => event.map_err(|_disconnected| ended())?,
                recv(presses) -> _ => {
                    pressed = true;
                    self.engine.send(Command::Cancel { job })?;
                    continue;
                }
            };
            self.log(&event);
            let is_over = matches!(event, Event::Died { .. }) || event.ends() == Some(job);
            if is_over || event.job() == Some(job) {
                on(&event);
            }
            if is_over {
                return Ok(pressed);
            }
        }
    }

    /// Loads a design, with a progress line for whoever watches.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn load(&mut self, design: &Design) -> Result<LoadReport, CliError> {
        let out = self.out;
        let name = file_name(&design.model);
        let request = LoadRequest { design: design.clone(), keep_warm_bytes: 0 };
        let ended = self.run(
            |job| Command::Load { job, request },
            |event| {
                if let Event::Progress { done, total, .. } = event {
                    out.progress(&format!("Loading {name}: {} %", done * 100 / (*total).max(1)));
                }
                Ok(())
            },
        );
        out.progress("");
        match ended? {
            Event::Loaded { report, .. } => Ok(*report),
            other => Err(unexpected(&other)),
        }
    }

    /// Read bandwidth in 10^9 bytes per second with this many threads (0 = as for decode).
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn probe(&mut self, threads: u32) -> Result<f64, CliError> {
        Ok(self.limits(threads)?.0)
    }

    /// What bounds decode and prefill here with this many threads, as [`Session::limits`]: what is kept of this machine, where this build
    /// measured it with as many threads as that, else measured now. Nothing where the engine cannot measure it, which is said.
    ///
    /// # Errors
    /// When a probe fails for another reason than that this engine cannot do it.
    pub fn known_limits(&mut self, threads: u32) -> Result<(Option<f64>, Option<f64>), CliError> {
        let cpu = crate::library::machine(&self.facts).cpu;
        let kept = names::settings().1.bandwidth.filter(|kept| kept.gb_s > 0.0 && kept.is_of(&cpu, &build::version_line()));
        if let Some(kept) = kept.filter(|kept| threads == 0 || threads == kept.threads) {
            return Ok((Some(kept.gb_s), kept.ops_gflops));
        }
        match self.limits(threads) {
            Ok((gb_s, ops)) => Ok((Some(gb_s), ops)),
            Err(error) if error.kind == "unsupported" || error.kind == "out_of_memory" => {
                self.out.note(&format!("note: no roofline: {}", error.message));
                Ok((None, None))
            }
            Err(error) => Err(error),
        }
    }

    /// The same, with the 10^9 multiplications and additions per second of matrix products, where the engine can measure them.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn limits(&mut self, threads: u32) -> Result<(f64, Option<f64>), CliError> {
        let out = self.out;
        let ended = self.run(
            |job| Command::Probe { job, threads },
            |_| {
                out.progress("Measuring what this machine allows");
                Ok(())
            },
        );
        out.progress("");
        match ended? {
            Event::Probed { bandwidth_gb_s, ops_gflops, .. } => Ok((bandwidth_gb_s, ops_gflops)),
            other => Err(unexpected(&other)),
        }
    }

    fn log(&self, event: &Event) {
        if let Event::Log { level, line } = event
            && (self.verbose || *level == LogLevel::Error)
        {
            self.out.note(&format!("engine: {line}"));
        }
    }
}

fn ended() -> CliError {
    CliError::new("engine", "The engine's supervisor ended unexpectedly", super::error::USAGE).hint("Run the command again")
}

/// An event that no engine of this version answers with.
pub fn unexpected(event: &Event) -> CliError {
    let name = serde_json::to_value(event).ok().and_then(|v| v.get("event").and_then(|e| e.as_str().map(str::to_owned)));
    CliError::new("protocol", format!("The engine answered with {}", name.as_deref().unwrap_or("something else")), super::error::USAGE)
}

/// A file's name for messages.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
