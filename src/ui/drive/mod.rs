//! Drives the real window through load, generate and switch, and measures it: `doctor --window`.
//!
//! It presses what a person would press, through the same actions, and takes its times where a person would see them. Beside each leg the
//! same work is done by an engine without a window ([`bare`]), in turns, so that both see the same machine.

mod bare;
mod figures;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use self::bare::{Bare, Order};
use self::figures::{Figures, Flip, Parts};
use super::pacing::Pacing;
use super::painter::Painter;
use crate::app::{Action, AppState};
use crate::engine::{Place, telemetry};
use crate::library::RungState;
use crate::protocol::{Command, Design, EngineError, ErrorKind, Event, GenerateRequest, SamplerOverrides};

/// Tokens of each reply that is measured.
const REPLY_TOKENS: u32 = 192;
/// Replies with the window, each followed by one without.
const ROUNDS: usize = 5;
/// Switches to another rung and back.
const SWITCHES: usize = 3;
/// After so long, seconds, what was measured twice is measured no more.
const ENOUGH_SECONDS: f64 = 120.0;
/// How long the window is left alone before it is watched, and then watched.
const SETTLE: Duration = Duration::from_secs(3);
/// See `SETTLE`.
const IDLE: Duration = Duration::from_secs(12);
/// Longest drive, seconds.
const LIMIT_SECONDS: f64 = 420.0;
/// Lines of the engine that are told when a drive does not get on.
const LAST_LINES: usize = 4;
/// Tokens of a reply after which the rung is clicked.
const CLICK_AFTER: u32 = 24;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// The model is on its way
    Load,
    /// The question is put
    Ask,
    /// A reply with the window open
    Windowed,
    /// The same without
    Headless,
    /// A reply runs, in whose middle the other rung is clicked
    Switch,
    /// The other rung goes on; it is stopped
    Switched,
    /// Load and first token of the same, without the window
    BareSwitch,
    /// A reply of the other rung runs, in whose middle the first one is clicked
    Flip,
    /// The first rung goes on; it is stopped
    Flipped,
    /// The other rung is unloaded, so that it can be switched to again
    Unloading,
    /// Nothing happens
    Idle,
    /// A picture is taken
    Picture { since: f64 },
    /// All is said
    Done,
}

/// A rung that was clicked and has not spoken yet.
#[derive(Clone, Copy, Debug)]
struct Click {
    at: f64,
    /// Tokens after `loaded` are its own, not the last of the old one's
    parts: Parts,
    reread: u32,
}

impl Click {
    fn ms(&self, at: f64) -> Option<f64> {
        Some((at - self.at) * 1e3)
    }
}

/// What another thread is waited for.
type Slot<T> = Arc<Mutex<Option<T>>>;

/// Presses the buttons.
pub struct Driver {
    step: Step,
    place: Place,
    result: Sender<Result<Value, EngineError>>,
    screenshot: PathBuf,
    figures: Figures,
    bare: Option<Bare>,
    /// What the window asked its engine for last
    loaded: Option<Design>,
    asked: Option<GenerateRequest>,
    /// Decode of the reply that has just ended
    replied: Option<f64>,
    /// Frames and CPU seconds when the reply began
    began: Option<(u64, Option<f64>)>,
    click: Option<Click>,
    flipped: Option<Flip>,
    idle: Slot<Option<(f64, f64)>>,
    pictured: Slot<Result<(), String>>,
}

impl Driver {
    /// A driver for one window, whose engine runs in `place`; its result arrives on the receiver.
    pub fn new(place: Place) -> (Self, Receiver<Result<Value, EngineError>>) {
        let (result, receiver) = channel();
        let screenshot = std::env::var_os("INFERSCOPE_SCREENSHOT").map_or_else(|| PathBuf::from("inferscope-window.png"), PathBuf::from);
        let driver = Self {
            step: Step::Load,
            place,
            result,
            screenshot,
            figures: Figures::default(),
            bare: None,
            loaded: None,
            asked: None,
            replied: None,
            began: None,
            click: None,
            flipped: None,
            idle: Slot::default(),
            pictured: Slot::default(),
        };
        (driver, receiver)
    }

    /// A frame was painted, at this price, so long after the start.
    pub fn on_frame(&mut self, cost: Duration, since_start: Duration) {
        self.figures.first_frame.get_or_insert(since_start);
        self.figures.frames_ms.push(cost.as_secs_f64() * 1e3);
    }

    /// A person's action went through.
    pub fn on_action(&mut self, action: &Action, at: f64) {
        if matches!(action, Action::SelectRung(_)) {
            self.click = Some(Click { at, parts: Parts::default(), reread: 0 });
        }
    }

    /// The window tells its engine something.
    pub fn on_command(&mut self, command: &Command, at: f64) {
        match command {
            Command::Load { request, .. } => {
                self.loaded = Some(request.design.clone());
                if let Some(click) = &mut self.click {
                    click.parts.load = click.ms(at);
                }
            }
            Command::Generate { request, .. } => {
                self.asked = Some(request.clone());
                if let Some(click) = &mut self.click {
                    click.parts.reply = click.ms(at);
                }
            }
            _ => {}
        }
    }

    /// The engine spoke.
    pub fn on_event(&mut self, event: &Event, at: f64) {
        match event {
            Event::Loaded { .. } => {
                if let Some(click) = &mut self.click {
                    click.parts.loaded = click.ms(at);
                }
            }
            Event::Started { prompt_tokens, cached_tokens, .. } => {
                if let Some(click) = self.click.as_mut().filter(|click| click.parts.loaded.is_some()) {
                    click.reread = prompt_tokens.saturating_sub(*cached_tokens);
                    click.parts.started = click.ms(at);
                }
            }
            Event::Tokens { .. } => {
                if let Some(click) = self.click.take_if(|click| click.parts.loaded.is_some()) {
                    self.flipped = Some(Flip { ms: (at - click.at) * 1e3, reread: click.reread, parts: click.parts });
                }
            }
            Event::Generated { stats, .. } if stats.predicted_tokens > 8 => self.replied = Some(stats.decode_tps),
            Event::Sample { sample } => {
                if self.step == Step::Ask {
                    self.figures.rss_ready = sample.window.rss;
                }
                self.figures.rss = sample.window.rss;
                self.figures.rss_peak = self.figures.rss_peak.max(sample.window.rss);
            }
            _ => {}
        }
    }

    /// What to press now.
    pub fn step(&mut self, state: &AppState, now: f64, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        if self.step == Step::Done {
            return None;
        }
        if let Some(crash) = &state.crash {
            return self.end(pacing, ctx, Err(crash.error.clone()));
        }
        if now > LIMIT_SECONDS {
            let text =
                format!("The window did not get through its drive in {LIMIT_SECONDS} s (stuck at {:?}; {})", self.step, stuck(state));
            return self.end(pacing, ctx, Err(EngineError::new(ErrorKind::NotAnswering, text)));
        }
        // where another thread is waited for, it wakes the window; else the drive looks again, but seldom, so as not to spoil what it
        // measures: each look is a frame
        let again = match self.step {
            Step::Headless | Step::BareSwitch | Step::Idle => None,
            Step::Windowed => Some(2000),
            // the click is to come after the same number of tokens each time
            Step::Switch | Step::Flip if self.click.is_none() => Some(100),
            _ => Some(500),
        };
        if let Some(ms) = again {
            ctx.request_repaint_after(Duration::from_millis(ms));
        }
        let is_idle = state.can_generate() && state.is_quiet();
        match self.step {
            // the folder of a file that was opened by hand is scanned with its load, or after it
            Step::Load if is_idle && state.library.was_scanned && state.family().is_some() => {
                self.step = Step::Ask;
                Some(Action::NewChat)
            }
            Step::Ask if is_idle && self.figures.rss_ready > 0 => self.ask(state, pacing),
            Step::Windowed => self.windowed(state, is_idle, pacing, ctx),
            Step::Headless => self.headless(state, now, pacing, ctx),
            // the reply ended by itself before the click, or between the click and its effect
            Step::Switch | Step::Flip
                if is_idle && self.flipped.is_none() && self.click.as_ref().is_none_or(|click| click.parts.loaded.is_some()) =>
            {
                let text = "The model's replies are too short to switch in their middle";
                self.end(pacing, ctx, Err(EngineError::new(ErrorKind::Unsupported, text).hint("Use another model")))
            }
            Step::Switch | Step::Flip => self.click_in_the_middle(state),
            Step::Switched | Step::Flipped if state.generating().is_some() => {
                state.generating().is_some_and(|reply| reply.stopping.is_none()).then_some(Action::Stop)
            }
            Step::Switched if is_idle => self.bare_switch(pacing, ctx),
            Step::BareSwitch => self.after_bare_switch(state, pacing, ctx),
            Step::Flipped if is_idle => {
                self.step = Step::Unloading;
                other_file(state).map(|file| Action::Unload(Some(file)))
            }
            Step::Unloading if is_idle && state.resident.len() <= 1 => {
                let enough = self.figures.flips.len() >= SWITCHES || now > ENOUGH_SECONDS;
                if enough { self.rest(pacing, ctx) } else { self.begin_switch(state) }
            }
            Step::Idle => self.watch_idle(now, ctx),
            Step::Picture { since } => self.picture(since, now, pacing, ctx),
            _ => None,
        }
    }

    fn ask(&mut self, state: &AppState, pacing: &Pacing) -> Option<Action> {
        // the same draw in every round and on both legs
        let sampler = SamplerOverrides { seed: Some(1), ..SamplerOverrides::default() };
        if state.settings.sampler != sampler {
            return Some(Action::SetSampler(Box::new(sampler)));
        }
        if state.settings.max_tokens != REPLY_TOKENS {
            return Some(Action::SetMaxTokens(REPLY_TOKENS));
        }
        if state.chats.current().is_some_and(|chat| chat.draft.is_empty()) {
            return Some(Action::SetDraft("Write a long story about a lighthouse keeper and the sea.".into()));
        }
        self.figures.rungs = [state.active_quant().map(str::to_owned), other_rung(state)];
        self.begin_reply(pacing);
        Some(Action::Send)
    }

    fn begin_reply(&mut self, pacing: &Pacing) {
        self.step = Step::Windowed;
        self.replied = None;
        self.began = Some((pacing.frames(), telemetry::own_cpu_seconds()));
    }

    /// The reply has ended: the engine without a window gives the same one.
    fn windowed(&mut self, state: &AppState, is_idle: bool, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        let tps = self.replied.filter(|_| is_idle)?;
        self.figures.windowed.push(tps);
        if let Some((frames, cpu)) = self.began.take() {
            let painted = &mut self.figures.painted;
            painted.frames += pacing.frames().saturating_sub(frames);
            let spent = telemetry::own_cpu_seconds().zip(cpu).map(|(now, then)| now - then);
            painted.cpu = spent.map(|spent| spent + painted.cpu.unwrap_or(0.0));
        }
        let (design, request) = (state.design()?.clone(), self.asked.clone()?);
        self.step = Step::Headless;
        self.order(Order::Decode(Box::new(design), Box::new(request)), pacing, ctx)
    }

    fn headless(&mut self, state: &AppState, now: f64, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        match self.bare.as_ref()?.answer()? {
            Ok(tps) => self.figures.headless.push(tps),
            Err(error) => return self.end(pacing, ctx, Err(error)),
        }
        let rounds = self.figures.headless.len();
        if rounds < ROUNDS && (rounds < 2 || now < ENOUGH_SECONDS) {
            self.begin_reply(pacing);
            return Some(Action::Regenerate(last_message(state)?));
        }
        if self.figures.rungs.iter().any(Option::is_none) { self.rest(pacing, ctx) } else { self.begin_switch(state) }
    }

    fn begin_switch(&mut self, state: &AppState) -> Option<Action> {
        self.step = Step::Switch;
        (self.click, self.flipped) = (None, None);
        Some(Action::Regenerate(last_message(state)?))
    }

    /// Clicks the rung that is not active once some of the reply is there, and goes on once the first token of it was seen.
    fn click_in_the_middle(&mut self, state: &AppState) -> Option<Action> {
        let is_switch = self.step == Step::Switch;
        if let Some(flip) = self.flipped.take() {
            let (list, next) =
                if is_switch { (&mut self.figures.switches, Step::Switched) } else { (&mut self.figures.flips, Step::Flipped) };
            list.push(flip);
            self.step = next;
            return None;
        }
        let is_enough = state.generating().is_some_and(|reply| reply.tokens > CLICK_AFTER && reply.stopping.is_none());
        let [from, to] = &self.figures.rungs;
        let rung = if is_switch { to } else { from };
        rung.clone().filter(|_| is_enough && self.click.is_none()).map(Action::SelectRung)
    }

    fn bare_switch(&mut self, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        let (design, request) = (self.loaded.clone()?, self.asked.clone()?);
        self.step = Step::BareSwitch;
        self.order(Order::Switch(Box::new(design), Box::new(request)), pacing, ctx)
    }

    fn after_bare_switch(&mut self, state: &AppState, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        match self.bare.as_ref()?.answer()? {
            Ok(ms) => self.figures.bare_ms.push(ms),
            Err(error) => return self.end(pacing, ctx, Err(error)),
        }
        self.step = Step::Flip;
        (self.click, self.flipped) = (None, None);
        Some(Action::Regenerate(last_message(state)?))
    }

    /// Has the engine without a window do something, while the window keeps still.
    fn order(&mut self, order: Order, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        pacing.hold(true);
        if self.bare.is_none() {
            let (held, again) = (Arc::clone(pacing), ctx.clone());
            let wake = move || {
                held.hold(false);
                again.request_repaint();
            };
            match Bare::start(self.place.clone(), wake) {
                Ok(bare) => self.bare = Some(bare),
                Err(error) => return self.end(pacing, ctx, Err(error)),
            }
        }
        if let Some(bare) = &self.bare {
            bare.order(order);
        }
        None
    }

    /// Leaves the window alone: another thread reads this process's CPU time before and after.
    fn rest(&mut self, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        self.step = Step::Idle;
        self.bare = None;
        let (slot, again) = (Arc::clone(&self.idle), ctx.clone());
        let watch = move || {
            std::thread::sleep(SETTLE);
            let (before, began) = (telemetry::own_cpu_seconds(), std::time::Instant::now());
            std::thread::sleep(IDLE);
            let seconds = began.elapsed().as_secs_f64();
            let spent = telemetry::own_cpu_seconds().zip(before).map(|(after, before)| (after - before) * 100.0 / seconds);
            if let Ok(mut slot) = slot.lock() {
                *slot = Some(spent.map(|percent| (percent, seconds)));
            }
            again.request_repaint();
        };
        match std::thread::Builder::new().name("idle-watch".into()).spawn(watch) {
            Ok(_) => None,
            Err(error) => {
                let text = format!("A thread could not be started: {error}");
                self.end(pacing, ctx, Err(EngineError::new(ErrorKind::Engine, text)))
            }
        }
    }

    fn watch_idle(&mut self, now: f64, ctx: &egui::Context) -> Option<Action> {
        let watched = self.idle.lock().ok().and_then(|mut slot| slot.take())?;
        self.figures.idle = watched;
        self.step = Step::Picture { since: now };
        self.shoot(ctx);
        None
    }

    fn picture(&mut self, since: f64, now: f64, pacing: &Arc<Pacing>, ctx: &egui::Context) -> Option<Action> {
        match self.pictured.lock().ok().and_then(|mut slot| slot.take()) {
            Some(Ok(())) => {
                let renderer = Painter::of_this_machine().map_or("unknown", Painter::name);
                let report = self.figures.report(renderer, pacing.frames(), &self.screenshot);
                self.end(pacing, ctx, Ok(report))
            }
            Some(Err(error)) => self.end(pacing, ctx, Err(EngineError::new(ErrorKind::Disk, error))),
            None if now - since > 5.0 => {
                self.end(pacing, ctx, Err(EngineError::new(ErrorKind::Unsupported, "The window gave no picture of itself")))
            }
            None => None,
        }
    }

    fn shoot(&self, ctx: &egui::Context) {
        let (slot, path, again) = (Arc::clone(&self.pictured), self.screenshot.clone(), ctx.clone());
        ctx.request_screenshot(move |image| {
            let written = super::picture::write_png(&image, &path).map_err(|error| format!("{error}: {}", path.display()));
            if let Ok(mut slot) = slot.lock() {
                *slot = Some(written);
            }
            again.request_repaint();
        });
    }

    fn end(&mut self, pacing: &Pacing, ctx: &egui::Context, result: Result<Value, EngineError>) -> Option<Action> {
        self.step = Step::Done;
        pacing.hold(false);
        self.result.send(result).ok();
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        None
    }
}

fn last_message(state: &AppState) -> Option<crate::store::MessageId> {
    state.chats.open.as_ref()?.branch.last().copied()
}

/// Another rung of the same family that is on disk.
fn other_rung(state: &AppState) -> Option<String> {
    let active = state.active_quant()?;
    let family = state.family()?;
    family.rungs.iter().find(|rung| rung.quant != active && matches!(rung.state, RungState::OnDisk { .. })).map(|rung| rung.quant.clone())
}

/// What a drive that does not get on waits for, for whoever has to find out why.
fn stuck(state: &AppState) -> String {
    let resident = state.resident.iter().map(|resident| {
        let word = if resident.active { "active" } else { "warm" };
        format!("{} is {word}", resident.design.model.display())
    });
    let ready = state.why_not_ready().unwrap_or("ready for a reply").to_owned();
    let quiet = if state.is_quiet() { "nothing runs in the background" } else { "something runs in the background" };
    let lines = state.log.iter().rev().take(LAST_LINES).rev().map(|line| format!("the engine wrote: {line}"));
    [ready, quiet.to_owned()].into_iter().chain(resident).chain(lines).collect::<Vec<_>>().join(", ")
}

/// The file that is kept warm beside the active one.
fn other_file(state: &AppState) -> Option<PathBuf> {
    state.resident.iter().find(|resident| !resident.active).map(|resident| resident.design.model.clone())
}
