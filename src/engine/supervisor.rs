//! The thread that owns an engine: starts it, passes commands and events, notices its silence and its death, and brings it back.
//!
//! Nothing here blocks on the engine or on the listener: commands go through the link's own thread, events into the outbox.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::Controls;
use super::death::{Ending, explain, remove_partials};
use super::jobs::{Jobs, MAX_JOBS};
use super::link::{Closing, Link, Report, Reports, cancelled, line_event};
use super::logs::Limiter;
use super::outbox::Outbox;
use super::place::{Limits, Place};
use super::telemetry::Pace;
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId, LogLevel, wire};

/// Reports of the link that may wait.
const REPORTS: usize = 1024;

/// Deaths in a row after which an engine is left alone.
const TOO_MANY_DEATHS: usize = 3;

/// See the module.
pub struct Supervisor {
    place: Place,
    limits: Limits,
    controls: Arc<Controls>,
    outbox: Outbox,
    pace: Arc<Pace>,
    reports: Reports,
    heard: Receiver<(u64, Report)>,
    link: Option<Link>,
    /// Number of the link; what earlier ones still say is not listened to
    number: u64,
    state: State,
    jobs: Jobs,
    deaths: VecDeque<Instant>,
    logs: Limiter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not running: ended on request, or too often by itself. The next command starts it
    Off,
    /// Started, has not said hello
    Starting(Instant),
    /// Listening
    Ready,
}

impl Supervisor {
    /// A supervisor that has not started anything yet.
    pub fn new(place: Place, limits: Limits, controls: Arc<Controls>, outbox: Outbox, pace: Arc<Pace>) -> Self {
        let (reports, heard) = bounded(REPORTS);
        let (jobs, deaths, logs) = (Jobs::default(), VecDeque::new(), Limiter::new(500, 100));
        Self { place, limits, controls, outbox, pace, reports, heard, link: None, number: 0, state: State::Off, jobs, deaths, logs }
    }

    /// Works until the other end of `commands` is dropped, then ends the engine.
    pub fn run(mut self, commands: &Receiver<Command>, bell: &Receiver<()>) {
        self.start();
        let heard = self.heard.clone();
        loop {
            crossbeam_channel::select! {
                recv(heard) -> report => if let Ok((number, report)) = report && number == self.number {
                    self.hear(report);
                },
                recv(bell) -> _ => self.obey(commands),
                recv(commands) -> command => match command {
                    Ok(command) => self.accept(command),
                    Err(_) => break,
                },
                default(self.patience()) => {}
            }
            self.watch();
            self.pace.set_busy(!self.jobs.is_empty());
        }
        self.quit();
    }

    fn start(&mut self) {
        self.number += 1;
        match Link::spawn(&self.place, self.number, &self.reports) {
            Ok(link) => {
                self.controls.pid.store(link.pid().unwrap_or(0), Ordering::Relaxed);
                self.link = Some(link);
                self.state = State::Starting(Instant::now());
            }
            Err(error) => self.report_death(explain(Ending::CannotStart(error), &[])),
        }
    }

    /// What was wished for overtakes what was commanded, but finds it in the list.
    fn obey(&mut self, commands: &Receiver<Command>) {
        let wishes = self.controls.take();
        while let Ok(command) = commands.try_recv() {
            self.accept(command);
        }
        for job in wishes.cancels {
            self.cancel(job);
        }
        if wishes.restart {
            self.end_as("The engine was restarted");
            self.deaths.clear();
            self.start();
        } else if wishes.kill {
            self.end_as("The engine was stopped");
        }
    }

    fn accept(&mut self, command: Command) {
        match command {
            Command::Shutdown => return self.end_as("The engine was stopped"),
            Command::Cancel { job } => return self.cancel(job),
            _ => {}
        }
        let Some(id) = command.job() else { return };
        if self.jobs.is_full() {
            let error = EngineError::new(ErrorKind::InvalidRequest, format!("{MAX_JOBS} requests are already waiting for the engine"))
                .hint("Wait for some to finish, or cancel them");
            return self.outbox.push(Event::Failed { job: id, error });
        }
        if !self.jobs.add(id, command, Instant::now()) {
            let line = format!("Job {} was asked for twice; the second was ignored", id.0);
            return self.outbox.push(Event::Log { level: LogLevel::Error, line });
        }
        match self.state {
            State::Off => self.start(),
            State::Starting(_) => {}
            State::Ready => self.send_waiting(),
        }
    }

    fn send_waiting(&mut self) {
        let Some(link) = &self.link else { return };
        let mut answers = Vec::new();
        for job in self.jobs.unsent() {
            job.sent = true;
            answers.extend(link.send(Arc::clone(&job.command)));
        }
        for answer in answers {
            self.pass_on(answer);
        }
    }

    fn cancel(&mut self, id: JobId) {
        let is_first = self.jobs.first().is_some_and(|first| first.id == id);
        let Some(job) = self.jobs.get(id).filter(|job| job.cancelled.is_none()) else { return };
        if !job.sent {
            return self.pass_on(cancelled(id));
        }
        job.cancelled = Some(Instant::now());
        if is_first && job.quantize_target().is_some() && self.has_process() {
            return self.abort_quantize(id);
        }
        let answer = self.link.as_ref().and_then(|link| link.send(Arc::new(Command::Cancel { job: id })));
        if let Some(answer) = answer {
            self.pass_on(answer);
        }
    }

    fn has_process(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.pid().is_some())
    }

    /// `llama_model_quantize` cannot be stopped, so its process is; what waited behind it goes to the next engine.
    fn abort_quantize(&mut self, id: JobId) {
        self.bury(None);
        self.pass_on(cancelled(id));
        self.jobs.forget_sent(Instant::now());
        self.start();
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Line(line) => self.log(line_event(line)),
            Report::Ended(closing) => self.mourn(Some(closing), None),
            Report::Said(event) => self.hear_event(event),
        }
    }

    fn hear_event(&mut self, event: Event) {
        match (&event, self.state) {
            (Event::Hello { version, .. }, State::Starting(_)) if *version == wire::VERSION => {
                self.state = State::Ready;
                self.outbox.push(event);
                let now = Instant::now();
                if let Some(first) = self.jobs.first() {
                    first.heard = now;
                }
                self.send_waiting();
            }
            (Event::Hello { version, .. }, State::Starting(_)) => self.mourn(None, Some(Ending::Version(*version))),
            (Event::Log { line, .. }, _) => {
                if let Some(link) = &self.link {
                    link.note(line);
                }
                self.log(event);
            }
            // These are the supervisor's to say.
            (Event::Sample { .. } | Event::Died { .. }, _) => {}
            (Event::Hello { .. }, _) | (_, State::Starting(_) | State::Off) => {
                let error = EngineError::new(ErrorKind::Protocol, "The engine said something out of turn and was ended")
                    .hint("Load the model again to go on");
                self.mourn(None, Some(Ending::Protocol(error)));
            }
            (_, State::Ready) => self.pass_on(event),
        }
    }

    /// An event about a job goes to the listener if the job is under way; what ends a job ends it here.
    fn pass_on(&mut self, event: Event) {
        let now = Instant::now();
        let Some(job) = event.job().and_then(|id| self.jobs.get(id)) else { return };
        job.heard = now;
        job.warned = false;
        let ended = event.ends();
        self.outbox.push(event);
        let Some(id) = ended else { return };
        self.jobs.end(id, now);
        let next = self.jobs.first().filter(|job| job.cancelled.is_some() && job.quantize_target().is_some()).map(|job| job.id);
        if let Some(next) = next.filter(|_| self.has_process()) {
            self.abort_quantize(next);
        }
    }

    fn log(&mut self, event: Event) {
        if let Some(held_back) = self.logs.pass(Instant::now()) {
            if held_back > 0 {
                self.outbox.push(Event::Log { level: LogLevel::Warn, line: format!("{held_back} log lines were left out here") });
            }
            self.outbox.push(event);
        }
    }

    /// Ends what is overdue and remarks on silence.
    fn watch(&mut self) {
        let now = Instant::now();
        if let State::Starting(since) = self.state
            && now >= since + self.limits.hello
        {
            return self.mourn(None, Some(Ending::SilentStart(self.limits.hello.as_secs())));
        }
        if let Some(id) = self.jobs.overdue(now, &self.limits) {
            let quantizes = self.jobs.get(id).is_some_and(|job| job.quantize_target().is_some());
            if quantizes && self.has_process() {
                return self.abort_quantize(id);
            }
            return self.mourn(None, Some(Ending::NotAnswering(self.limits.cancel.as_secs())));
        }
        if self.state == State::Ready
            && let Some((_, silence)) = self.jobs.silent(now, &self.limits)
        {
            let line = format!("The engine is not answering: no sign of progress for {} s", silence.as_secs());
            self.outbox.push(Event::Log { level: LogLevel::Warn, line });
        }
    }

    /// How long nothing needs looking at.
    fn patience(&self) -> Duration {
        let start = match self.state {
            State::Starting(since) => Some(since + self.limits.hello),
            State::Off | State::Ready => None,
        };
        let deadline = start.into_iter().chain(self.jobs.deadline(&self.limits)).min();
        deadline.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()))
    }

    /// Ends the engine, removes what it left half made, and tells how it ended.
    fn bury(&mut self, closing: Option<Closing>) -> Option<(Ending, Vec<String>)> {
        let link = self.link.take()?;
        let pid = link.pid();
        self.number += 1;
        self.state = State::Off;
        let end = link.bury(closing);
        self.controls.pid.store(0, Ordering::Relaxed);
        if let (Some(pid), Some(target)) = (pid, self.jobs.first().and_then(|job| job.quantize_target())) {
            remove_partials(&target, pid);
        }
        Some(end)
    }

    /// The engine ended, or is ended for a cause.
    fn mourn(&mut self, closing: Option<Closing>, cause: Option<Ending>) {
        let Some((ending, lines)) = self.bury(closing) else { return };
        let ending = cause.unwrap_or(ending);
        let now = Instant::now();
        self.deaths.push_back(now);
        while self.deaths.front().is_some_and(|at| now.saturating_duration_since(*at) > self.limits.crash_loop) {
            self.deaths.pop_front();
        }
        let again = !ending.is_final() && self.deaths.len() < TOO_MANY_DEATHS;
        let looping = !ending.is_final() && !again;
        let mut error = explain(ending, &lines);
        if looping {
            error.hint = format!(
                "The engine ended {} times within {} s and stays off until something is asked of it",
                self.deaths.len(),
                self.limits.crash_loop.as_secs()
            );
        }
        self.report_death(error);
        if again {
            self.start();
        }
    }

    fn end_as(&mut self, what: &'static str) {
        if self.bury(None).is_some() {
            self.report_death(explain(Ending::Requested(what), &[]));
        }
    }

    fn report_death(&mut self, error: EngineError) {
        self.state = State::Off;
        let jobs = self.jobs.take().into_iter().map(|job| job.id).collect();
        self.outbox.push(Event::Died { jobs, error });
    }

    fn quit(mut self) {
        let Some(link) = self.link.take() else { return };
        let pid = link.pid();
        link.quit(&self.heard);
        self.controls.pid.store(0, Ordering::Relaxed);
        if let (Some(pid), Some(target)) = (pid, self.jobs.first().and_then(|job| job.quantize_target())) {
            remove_partials(&target, pid);
        }
    }
}
