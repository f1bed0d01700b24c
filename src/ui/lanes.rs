//! The engines of the Compare page: processes of their own, so that the chat's model stays where it is and nothing of it is in what is
//! measured.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use super::inbox::{Inbound, Inbox};
use super::runtime::Wake;
use crate::engine::{Engine, Place};
use crate::protocol::{Command, EngineError, ErrorKind, Event};

/// One engine for each number that was asked something, started when it first is.
pub(super) struct Lanes {
    engines: HashMap<usize, Engine>,
    place: Place,
    inbox: Arc<Inbox>,
    wake: Wake,
}

impl Lanes {
    /// No engine yet. `place` is where they are started.
    pub(super) fn new(place: Place, inbox: Arc<Inbox>, wake: Wake) -> Self {
        Self { engines: HashMap::new(), place, inbox, wake }
    }

    /// Tells an engine something; what goes wrong is the failure of that job.
    pub(super) fn send(&mut self, number: usize, command: Command) {
        let job = command.job();
        let sent = self.engine(number).and_then(|engine| engine.send(command));
        if let (Err(error), Some(job)) = (sent, job) {
            self.inbox.push(Inbound::Lane(number, Event::Failed { job, error }));
            self.wake.now();
        }
    }

    /// Lets all of them go, which can take a moment: not on this thread.
    pub(super) fn end(&mut self) {
        let engines: Vec<Engine> = self.engines.drain().map(|(_, engine)| engine).collect();
        if !engines.is_empty() {
            thread::Builder::new().name("lanes-end".into()).spawn(move || drop(engines)).ok();
        }
    }

    fn engine(&mut self, number: usize) -> Result<&Engine, EngineError> {
        if !self.engines.contains_key(&number) {
            let engine = Engine::spawn(self.place.clone(), Arc::new(|| {}))?;
            let (events, inbox, wake) = (engine.events().clone(), Arc::clone(&self.inbox), self.wake.clone());
            let pump = move || {
                for event in events {
                    let soon = matches!(event, Event::Tokens { .. } | Event::Progress { .. });
                    if matches!(event, Event::Sample { .. } | Event::Hello { .. } | Event::Log { .. }) {
                        continue;
                    }
                    inbox.push(Inbound::Lane(number, event));
                    if soon { wake.soon() } else { wake.now() }
                }
            };
            thread::Builder::new()
                .name("lane-events".into())
                .spawn(pump)
                .map_err(|error| EngineError::new(ErrorKind::Engine, format!("A thread could not be started: {error}")))?;
            self.engines.insert(number, engine);
        }
        self.engines.get(&number).ok_or_else(|| EngineError::new(ErrorKind::Engine, "There is no engine"))
    }
}
