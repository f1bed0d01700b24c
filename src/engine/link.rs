//! The supervisor's end of one engine: a child process with three pipes, or a thread of this process.

use std::io::{BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::death::Ending;
use super::fake::{FakeBackend, Harm, Script};
use super::inbox::{Inbox, Verdict};
use super::logs::{Limiter, Lines, Ring};
use super::place::{ChildOptions, Place};
use super::report::Reporter;
use super::{factory, worker};
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId, LogLevel, wire};

/// What a link tells its supervisor.
#[derive(Debug)]
pub enum Report {
    /// The engine said something
    Said(Event),
    /// The engine, or a library in it, wrote a line
    Line(String),
    /// Nothing more will come
    Ended(Closing),
}

/// How a link ended, as far as the link can tell.
#[derive(Debug)]
pub enum Closing {
    /// The engine's output ended
    Eof,
    /// The engine's output made no sense
    Garbage(EngineError),
    /// The engine said why
    Declared(EngineError),
}

/// Reports of all links, each with the number of the link it is from.
pub type Reports = Sender<(u64, Report)>;

/// One engine.
pub struct Link {
    kind: Kind,
}

enum Kind {
    Child(ChildLink),
    Local(LocalLink),
}

impl Link {
    /// Starts an engine. Must be called from the thread that will end it: on Linux a child dies with the thread that started it.
    ///
    /// # Errors
    /// When the program cannot be started, or the system gives no thread.
    pub fn spawn(place: &Place, number: u64, reports: &Reports) -> Result<Self, EngineError> {
        let kind = match place {
            Place::Child(options) => Kind::Child(ChildLink::spawn(options, number, reports)?),
            Place::Thread => Kind::Local(LocalLink::spawn(None, number, reports)?),
            Place::Fake(script) => Kind::Local(LocalLink::spawn(Some(script.clone()), number, reports)?),
        };
        Ok(Self { kind })
    }

    /// Process id, where it has a process of its own.
    pub fn pid(&self) -> Option<u32> {
        match &self.kind {
            Kind::Child(child) => Some(child.process.id()),
            Kind::Local(_) => None,
        }
    }

    /// Hands a command over; never blocks. An engine that does not read any more is found by its silence or its end. Some commands are
    /// answered on the spot.
    pub fn send(&self, command: Arc<Command>) -> Option<Event> {
        match &self.kind {
            Kind::Child(child) => {
                drop(child.commands.try_send(command));
                None
            }
            Kind::Local(local) => match local.inbox.accept(Command::clone(&command)) {
                Verdict::Taken => None,
                Verdict::Answer(event) => Some(event),
                Verdict::Quit => {
                    local.inbox.close();
                    None
                }
            },
        }
    }

    /// Notes a line the engine sent as a frame, so that it is among the last lines.
    pub fn note(&self, line: &str) {
        match &self.kind {
            Kind::Child(child) => child.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line),
            Kind::Local(local) => local.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line),
        }
    }

    /// Ends the engine now, if it has not ended, and tells how it ended and what its last lines were.
    pub fn bury(self, closing: Option<Closing>) -> (Ending, Vec<String>) {
        match self.kind {
            Kind::Child(child) => child.bury(closing),
            Kind::Local(local) => {
                local.inbox.close();
                let lines = local.lines.lock().unwrap_or_else(PoisonError::into_inner).tail(usize::MAX);
                let ending = match closing {
                    Some(Closing::Declared(error)) => Ending::Declared(error),
                    Some(Closing::Garbage(error)) => Ending::Protocol(error),
                    Some(Closing::Eof) | None => Ending::Exited { code: None, signal: None },
                };
                (ending, lines)
            }
        }
    }

    /// Asks the engine to end, waits a moment, then ends it.
    pub fn quit(self, reports: &Receiver<(u64, Report)>) {
        match self.kind {
            Kind::Child(mut child) => {
                drop(child.commands.try_send(Arc::new(Command::Shutdown)));
                // Once the writer has written that, it lets go of the pipe, and its end is heard too.
                child.commands = bounded(0).0;
                if child.reap(Duration::from_millis(700)).is_none() {
                    drop(child.bury(None));
                }
            }
            Kind::Local(local) => {
                local.inbox.close();
                let patience = crossbeam_channel::after(Duration::from_millis(1500));
                // A worker that has something to say must not wait for ever to say it.
                loop {
                    crossbeam_channel::select! {
                        recv(local.done) -> _ => break,
                        recv(patience) -> _ => break,
                        recv(reports) -> _ => {}
                    }
                }
            }
        }
    }
}

struct ChildLink {
    process: Child,
    commands: Sender<Arc<Command>>,
    lines: Arc<Mutex<Ring>>,
    /// Disconnected once the last line was read
    lines_done: Receiver<()>,
}

impl ChildLink {
    fn spawn(options: &ChildOptions, number: u64, reports: &Reports) -> Result<Self, EngineError> {
        let mut command = std::process::Command::new(&options.program);
        command.args(&options.args).envs(options.envs.iter().map(|(key, value)| (key, value)));
        // ggml would start a debugger on itself for a backtrace, which delays its death by seconds; and setting it later races with threads.
        command.env("GGML_NO_BACKTRACE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            // A group of its own: Ctrl-C in a terminal is for the one who started it, who may want to stop a reply and keep the engine.
            command.arg0("inferscope-engine").process_group(0);
        }
        let mut process = command.spawn().map_err(|error| {
            EngineError::new(ErrorKind::Engine, format!("The engine could not be started: {error}"))
                .hint("Install the application again, or check that its file may be executed")
                .path(&options.program)
        })?;
        let (Some(input), Some(output), Some(errors)) = (process.stdin.take(), process.stdout.take(), process.stderr.take()) else {
            drop(process.kill());
            return Err(EngineError::new(ErrorKind::Engine, "The engine was started without its pipes").path(&options.program));
        };
        let (commands, queue) = bounded::<Arc<Command>>(1024);
        let lines = Arc::new(Mutex::new(Ring::default()));
        let (done, lines_done) = bounded::<()>(0);
        let link = Self { process, commands, lines: Arc::clone(&lines), lines_done };

        let said = reports.clone();
        let wrote = reports.clone();
        let unsent = reports.clone();
        let started = thread("engine-out", move || write_commands(input, &queue, number, &unsent))
            .and_then(|()| thread("engine-in", move || read_events(output, number, &said)))
            .and_then(|()| {
                thread("engine-log", move || {
                    read_lines(errors, &lines, number, &wrote);
                    drop(done);
                })
            });
        match started {
            Ok(()) => Ok(link),
            Err(error) => {
                drop(link.bury(None));
                Err(error)
            }
        }
    }

    /// How the process ended, if it does so in time.
    fn reap(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            if start.elapsed() >= patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn bury(mut self, closing: Option<Closing>) -> (Ending, Vec<String>) {
        // After its output ended, an engine that is dying gets the time for it; any other is ended.
        let by_itself = match closing {
            Some(Closing::Eof) => self.reap(Duration::from_millis(300)),
            _ => None,
        };
        let status = by_itself.or_else(|| {
            drop(self.process.kill());
            self.reap(Duration::from_secs(2))
        });
        let ending = match (closing, by_itself, status) {
            (_, _, None) => {
                let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).tail(usize::MAX);
                // Nothing can be done about it here; a thread keeps it from becoming a zombie if it ends one day.
                drop(thread("engine-reaper", move || drop(self.process.wait())));
                return (Ending::Stuck, lines);
            }
            (Some(Closing::Declared(error)), ..) => Ending::Declared(error),
            (Some(Closing::Garbage(error)), ..) => Ending::Protocol(error),
            (Some(Closing::Eof), None, _) => Ending::Protocol(
                EngineError::new(ErrorKind::Protocol, "The engine closed its channel and was ended").hint("Load the model again to go on"),
            ),
            (_, _, Some(status)) => Ending::Exited { code: status.code(), signal: signal_of(status) },
        };
        // What it wrote last is usually the cause. A grandchild may hold the pipe open: not for ever.
        let _ = self.lines_done.recv_timeout(Duration::from_millis(300));
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner).tail(usize::MAX);
        (ending, lines)
    }
}

#[cfg(unix)]
fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: std::process::ExitStatus) -> Option<i32> {
    None
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
    std::thread::Builder::new().name(name.into()).spawn(body).map(drop).map_err(|error| {
        EngineError::new(ErrorKind::Engine, format!("The system gave no thread for the engine: {error}"))
            .hint("Close other programs and try again")
    })
}

/// Writes commands until the supervisor lets go or the engine's end of the pipe is gone. What cannot be written fails by itself.
fn write_commands(mut input: impl Write, queue: &Receiver<Arc<Command>>, number: u64, reports: &Reports) {
    for command in queue {
        let written = match (wire::encode(&*command), command.job()) {
            (Ok(frame), _) => input.write_all(&frame).and_then(|()| input.flush()).is_ok(),
            (Err(error), Some(job)) => reports.send((number, Report::Said(Event::Failed { job, error }))).is_ok(),
            (Err(_), None) => true,
        };
        if !written {
            return;
        }
    }
}

fn read_events(output: impl Read, number: u64, reports: &Reports) {
    let mut output = BufReader::with_capacity(64 << 10, output);
    loop {
        let report = match wire::read::<Event>(&mut output) {
            Ok(Some(Event::Died { error, .. })) => Report::Ended(Closing::Declared(error)),
            Ok(Some(event)) => Report::Said(event),
            Ok(None) => Report::Ended(Closing::Eof),
            // A frame cut short is what a process leaves that died while writing: how it died says more.
            Err(error) if wire::is_cut_short(&error) => Report::Ended(Closing::Eof),
            Err(error) => Report::Ended(Closing::Garbage(error)),
        };
        let over = matches!(report, Report::Ended(_));
        if reports.send((number, report)).is_err() || over {
            return;
        }
    }
}

/// Keeps the last lines; passes them on at a rate that cannot drown anything.
fn read_lines(mut errors: impl Read, ring: &Mutex<Ring>, number: u64, reports: &Reports) {
    let mut limiter = Limiter::new(200, 50);
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 << 10];
    let keep = |line: String, limiter: &mut Limiter| {
        ring.lock().unwrap_or_else(PoisonError::into_inner).push(line.as_str());
        if let Some(held_back) = limiter.pass(Instant::now()) {
            if held_back > 0 {
                drop(reports.try_send((number, Report::Line(format!("{held_back} lines were left out here")))));
            }
            drop(reports.try_send((number, Report::Line(line))));
        }
    };
    loop {
        match errors.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => lines.feed(buffer.get(..read).unwrap_or_default(), |line| keep(line, &mut limiter)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.end(|line| keep(line, &mut limiter));
}

struct LocalLink {
    inbox: Arc<Inbox>,
    lines: Arc<Mutex<Ring>>,
    /// Disconnected once the worker has ended
    done: Receiver<()>,
}

impl LocalLink {
    fn spawn(script: Option<Script>, number: u64, reports: &Reports) -> Result<Self, EngineError> {
        let inbox = Arc::new(Inbox::default());
        let out = reports.clone();
        let reporter = Arc::new(Reporter::new(move |event| drop(out.send((number, Report::Said(event))))));
        let (alive, done) = bounded::<()>(0);
        let link = Self { inbox: Arc::clone(&inbox), lines: Arc::new(Mutex::new(Ring::default())), done };
        let end = reports.clone();
        thread("engine-worker", move || {
            let closing = match work_here(script, &inbox, &reporter) {
                Ok(()) => Closing::Eof,
                Err(error) => Closing::Declared(error),
            };
            drop(end.send((number, Report::Ended(closing))));
            drop(alive);
        })?;
        Ok(link)
    }
}

fn work_here(script: Option<Script>, inbox: &Inbox, reporter: &Arc<Reporter>) -> Result<(), EngineError> {
    let Some(script) = script else {
        let log = Arc::clone(reporter);
        let mut backend = factory::backend(Box::new(move |level, line| log.say(Event::Log { level, line })))?;
        return worker::run(&mut *backend, wire::VERSION, inbox, reporter);
    };
    let version = script.version.unwrap_or(wire::VERSION);
    let mut backend = FakeBackend::new(script, Harm::Thread);
    worker::run(&mut backend, version, inbox, reporter)
}

/// A log event, for lines that came outside the protocol.
pub fn line_event(line: String) -> Event {
    let level = if line.contains("rror") || line.contains("GGML_ASSERT") { LogLevel::Error } else { LogLevel::Info };
    Event::Log { level, line }
}

/// A cancelled job's answer.
pub fn cancelled(job: JobId) -> Event {
    Event::Failed { job, error: EngineError::cancelled() }
}

impl Drop for ChildLink {
    fn drop(&mut self) {
        // Whatever happens to the supervisor, no engine outlives it. Ending one that has ended is harmless: it was reaped or is a zombie.
        drop(self.process.kill());
    }
}
