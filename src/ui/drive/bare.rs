//! The same work without the window: an engine of its own that the drive asks in turns, so that both legs see the same machine.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::engine::{Engine, Place};
use crate::protocol::{Command, Design, EngineError, ErrorKind, Event, GenerateRequest, JobId, LoadRequest};

/// What the engine without a window is to do.
pub enum Order {
    /// Answer with a model that is loaded: decode, tokens per second
    Decode(Box<Design>, Box<GenerateRequest>),
    /// Load a model and answer: milliseconds from the order to the first token
    Switch(Box<Design>, Box<GenerateRequest>),
}

type Slot = Arc<Mutex<Option<Result<f64, EngineError>>>>;

/// An engine without a window, on a thread of its own. Dropping it ends both.
pub struct Bare {
    orders: Sender<Order>,
    answer: Slot,
}

impl Bare {
    /// Starts it; `wake` is called when an answer is there.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(place: Place, wake: impl Fn() + Send + 'static) -> Result<Self, EngineError> {
        let (orders, queue) = channel::<Order>();
        let answer = Slot::default();
        let slot = Arc::clone(&answer);
        let work = move || {
            let mut leg: Option<Leg> = None;
            for order in queue {
                let done = match &mut leg {
                    Some(leg) => leg.carry_out(order),
                    None => Engine::spawn(place.clone(), Arc::new(|| {}))
                        .and_then(|engine| leg.insert(Leg { engine, job: 0, loaded: None }).carry_out(order)),
                };
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
                wake();
            }
        };
        std::thread::Builder::new()
            .name("bare-engine".into())
            .spawn(work)
            .map_err(|error| EngineError::new(ErrorKind::Engine, format!("A thread could not be started: {error}")))?;
        Ok(Self { orders, answer })
    }

    /// Gives an order; its answer is taken with [`Bare::answer`].
    pub fn order(&self, order: Order) {
        self.orders.send(order).ok();
    }

    /// The answer, once it is there.
    pub fn answer(&self) -> Option<Result<f64, EngineError>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

struct Leg {
    engine: Engine,
    job: u64,
    loaded: Option<Design>,
}

impl Leg {
    fn carry_out(&mut self, order: Order) -> Result<f64, EngineError> {
        match order {
            Order::Decode(design, request) => {
                if self.loaded.as_ref() != Some(&*design) {
                    self.load(*design)?;
                }
                match self.run(|job| Command::Generate { job, request: *request }, |_| {})? {
                    Event::Generated { stats, .. } => Ok(stats.decode_tps),
                    _ => Err(odd()),
                }
            }
            Order::Switch(design, request) => {
                self.loaded = None;
                self.run(|job| Command::Unload { job, model: None }, |_| {})?;
                let began = Instant::now();
                self.load(*design)?;
                let mut first = None;
                let request = GenerateRequest { max_tokens: 4, ..*request };
                let watch = |event: &Event| {
                    if matches!(event, Event::Tokens { .. }) {
                        first.get_or_insert_with(|| began.elapsed());
                    }
                };
                self.run(|job| Command::Generate { job, request }, watch)?;
                first.map(|first| first.as_secs_f64() * 1e3).ok_or_else(odd)
            }
        }
    }

    fn load(&mut self, design: Design) -> Result<(), EngineError> {
        let request = LoadRequest { design: design.clone(), keep_warm_bytes: 0 };
        self.run(|job| Command::Load { job, request }, |_| {})?;
        self.loaded = Some(design);
        Ok(())
    }

    fn run(&mut self, command: impl FnOnce(JobId) -> Command, mut on: impl FnMut(&Event)) -> Result<Event, EngineError> {
        self.job += 1;
        let job = JobId(self.job);
        self.engine.send(command(job))?;
        loop {
            match self.engine.events().recv().map_err(|_closed| odd())? {
                Event::Failed { job: of, error } if of == job => return Err(error),
                Event::Died { error, .. } => return Err(error),
                event if event.job() == Some(job) => {
                    on(&event);
                    if event.ends() == Some(job) {
                        return Ok(event);
                    }
                }
                _ => {}
            }
        }
    }
}

fn odd() -> EngineError {
    EngineError::new(ErrorKind::Protocol, "The engine without a window did not answer as expected")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::fake::Script;
    use crate::protocol::{Overflow, Prompt, SamplerOverrides};

    fn answer(bare: &Bare) -> Result<f64, EngineError> {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(answer) = bare.answer() {
                return answer;
            }
            assert!(Instant::now() < end, "no answer");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn both_legs_measure_what_the_script_plays() {
        let script = Script { tokens_per_second: 400.0, load_seconds: 0.2, ..Script::instant() }.reply("word ".repeat(40));
        let bare = Bare::start(Place::Fake(script), || {}).unwrap();
        let design = Box::new(Design::for_model("/m/a-Q8_0.gguf"));
        let request = Box::new(GenerateRequest {
            prompt: Prompt::Raw { text: "Count".into() },
            sampler: SamplerOverrides::default(),
            max_tokens: 20,
            stop: Vec::new(),
            overflow: Overflow::Stop,
            json_schema: None,
            want_token_ids: false,
            alternatives: 0,
            only_by: None,
            text_every_ms: 0,
        });
        bare.order(Order::Decode(design.clone(), request.clone()));
        assert!((answer(&bare).unwrap() - 400.0).abs() < 1.0);
        bare.order(Order::Switch(design, request));
        let ms = answer(&bare).unwrap();
        assert!((200.0..2000.0).contains(&ms), "{ms} ms: the load is part of it");
    }
}
