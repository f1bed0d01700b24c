//! Drives the real window through load, generate and switch, and measures it: `doctor --window`.
//!
//! It presses what a person would press, through the same actions, and takes its times where a person would see them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::pacing::{Pacing, is_software_rendered};
use crate::app::{Action, AppState};
use crate::library::RungState;
use crate::measure::stats;
use crate::protocol::{EngineError, ErrorKind, Event, Sample};

/// Tokens of each reply that is measured.
const REPLY_TOKENS: u32 = 192;
/// How long the idle window is watched, seconds.
const IDLE_SECONDS: f64 = 10.0;
/// Longest drive, seconds.
const LIMIT_SECONDS: f64 = 300.0;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Load,
    Ask,
    Reply,
    Switch,
    SwitchedReply,
    FlipBack,
    WarmReply,
    Idle { since: f64, frames: u64 },
    Picture { since: f64 },
    Done,
}

/// Presses the buttons.
pub struct Driver {
    step: Step,
    result: Sender<Result<Value, EngineError>>,
    screenshot: PathBuf,
    frames_ms: Vec<f64>,
    first_frame: Option<Duration>,
    decode_tps: Vec<f64>,
    cpu_idle: Vec<f64>,
    window_rss: u64,
    clicked: Option<f64>,
    /// The new rung is there: tokens from now on are its own, not the last of the old one's
    is_loaded: bool,
    switch_ms: Option<f64>,
    warm_ms: Option<f64>,
    from: Option<String>,
    to: Option<String>,
    pictured: Arc<std::sync::Mutex<Option<Result<(), String>>>>,
}

impl Driver {
    /// A driver for one window; its result arrives on the receiver.
    pub fn new(_model: PathBuf) -> (Self, Receiver<Result<Value, EngineError>>) {
        let (result, receiver) = channel();
        let screenshot = std::env::var_os("INFERSCOPE_SCREENSHOT").map_or_else(|| PathBuf::from("inferscope-window.png"), PathBuf::from);
        let driver = Self {
            step: Step::Load,
            result,
            screenshot,
            frames_ms: Vec::new(),
            first_frame: None,
            decode_tps: Vec::new(),
            cpu_idle: Vec::new(),
            window_rss: 0,
            clicked: None,
            is_loaded: false,
            switch_ms: None,
            warm_ms: None,
            from: None,
            to: None,
            pictured: Arc::default(),
        };
        (driver, receiver)
    }

    /// A frame was painted, at this price, so long after the start.
    pub fn on_frame(&mut self, cost: Duration, since_start: Duration) {
        self.first_frame.get_or_insert(since_start);
        self.frames_ms.push(cost.as_secs_f64() * 1000.0);
    }

    /// A person's action went through.
    pub fn on_action(&mut self, action: &Action, at: f64) {
        if matches!(action, Action::SelectRung(_)) {
            self.clicked = Some(at);
            self.is_loaded = false;
        }
    }

    /// The engine spoke.
    pub fn on_event(&mut self, event: &Event, at: f64) {
        match event {
            Event::Loaded { .. } => self.is_loaded = true,
            Event::Tokens { .. } if self.is_loaded => {
                if let Some(clicked) = self.clicked.take() {
                    let ms = (at - clicked) * 1000.0;
                    match self.step {
                        Step::SwitchedReply => self.switch_ms = Some(ms),
                        Step::WarmReply => self.warm_ms = Some(ms),
                        _ => {}
                    }
                }
            }
            Event::Generated { stats, .. } if stats.predicted_tokens > 8 && matches!(self.step, Step::Reply) => {
                self.decode_tps.push(stats.decode_tps);
            }
            Event::Sample { sample } => self.on_sample(sample),
            _ => {}
        }
    }

    fn on_sample(&mut self, sample: &Sample) {
        self.window_rss = self.window_rss.max(sample.window.rss);
        if matches!(self.step, Step::Idle { .. }) {
            self.cpu_idle.push(f64::from(sample.window_cpu_percent));
        }
    }

    /// What to press now.
    pub fn step(&mut self, state: &AppState, now: f64, pacing: &Pacing, ctx: &egui::Context) -> Option<Action> {
        if matches!(self.step, Step::Done) {
            return None;
        }
        // the drive looks again even when nothing has happened, but seldom, so as not to spoil what it measures
        ctx.request_repaint_after(Duration::from_millis(if matches!(self.step, Step::Idle { .. }) { 11_000 } else { 500 }));
        if let Some(crash) = &state.crash {
            return self.end(ctx, Err(crash.error.clone()));
        }
        if now > LIMIT_SECONDS {
            let text = format!("The window did not get through its drive in {LIMIT_SECONDS} s (stuck at {:?})", self.step);
            return self.end(ctx, Err(EngineError::new(ErrorKind::NotAnswering, text)));
        }
        let is_idle = state.can_generate() && state.is_quiet();
        match self.step.clone() {
            Step::Load if is_idle && state.library.was_scanned => {
                self.step = Step::Ask;
                Some(Action::NewChat)
            }
            Step::Ask if is_idle => {
                self.from = state.active_quant().map(str::to_owned);
                if state.settings.max_tokens != REPLY_TOKENS {
                    return Some(Action::SetMaxTokens(REPLY_TOKENS));
                }
                if state.chats.current().is_some_and(|chat| chat.draft.is_empty()) {
                    return Some(Action::SetDraft("Write a long story about a lighthouse keeper and the sea.".into()));
                }
                self.step = Step::Reply;
                Some(Action::Send)
            }
            Step::Reply if is_idle && !self.decode_tps.is_empty() => {
                if self.decode_tps.len() < 3 {
                    let last = state.chats.open.as_ref()?.branch.last().copied()?;
                    return Some(Action::Regenerate(last));
                }
                self.step = Step::Switch;
                None
            }
            Step::Switch if is_idle => {
                let Some(rung) = other_rung(state) else {
                    self.step = Step::Idle { since: now, frames: pacing.frames() };
                    return None;
                };
                self.to = Some(rung.clone());
                let last = state.chats.open.as_ref()?.branch.last().copied()?;
                self.step = Step::SwitchedReply;
                self.clicked = None;
                Some(Action::Regenerate(last)).inspect(|_| self.to = Some(rung))
            }
            // the click comes in the middle of the reply: the new rung goes on with it
            Step::SwitchedReply => self.click_once(state, self.to.clone(), Step::FlipBack, self.switch_ms),
            Step::FlipBack if is_idle => {
                let last = state.chats.open.as_ref()?.branch.last().copied()?;
                self.step = Step::WarmReply;
                self.clicked = None;
                Some(Action::Regenerate(last))
            }
            Step::WarmReply => {
                let next = Step::Idle { since: now + 2.0, frames: pacing.frames() };
                self.click_once(state, self.from.clone(), next, self.warm_ms)
            }
            Step::Idle { since, .. } if state.generating().is_some() => {
                self.step = Step::Idle { since: now.max(since), frames: pacing.frames() };
                Some(Action::Stop)
            }
            Step::Idle { since, .. } if now - since > IDLE_SECONDS => {
                self.step = Step::Picture { since: now };
                self.shoot(ctx);
                None
            }
            Step::Picture { since } => {
                let taken = self.pictured.lock().ok().and_then(|taken| taken.clone());
                match taken {
                    Some(Ok(())) => self.end(ctx, Ok(self.report(pacing))),
                    Some(Err(error)) => self.end(ctx, Err(EngineError::new(ErrorKind::Disk, error))),
                    None if now - since > 5.0 => {
                        self.end(ctx, Err(EngineError::new(ErrorKind::Unsupported, "The window gave no picture of itself")))
                    }
                    None => None,
                }
            }
            _ => None,
        }
    }

    /// Clicks a rung once some of the reply is there, and goes on once the first token of the new rung was seen.
    fn click_once(&mut self, state: &AppState, rung: Option<String>, next: Step, measured: Option<f64>) -> Option<Action> {
        if measured.is_some() {
            if state.generating().is_some_and(|generating| generating.tokens > 32) || state.can_generate() {
                self.step = next;
            }
            return None;
        }
        let enough = state.generating().is_some_and(|generating| generating.tokens > 24 && generating.stopping.is_none());
        (enough && self.clicked.is_none()).then_some(())?;
        rung.map(Action::SelectRung)
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

    fn end(&mut self, ctx: &egui::Context, result: Result<Value, EngineError>) -> Option<Action> {
        self.step = Step::Done;
        self.result.send(result).ok();
        ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        None
    }

    fn report(&self, pacing: &Pacing) -> Value {
        let percentile = |p: f64| stats::percentile(&self.frames_ms, p);
        json!({
            "renderer": if is_software_rendered() { "glow, software" } else { "glow" },
            "first_frame_ms": self.first_frame.map(|first| first.as_secs_f64() * 1000.0),
            "frame_ms": { "p50": percentile(50.0), "p99": percentile(99.0), "max": percentile(100.0) },
            "frames": pacing.frames(),
            "decode_tps_windowed": stats::median(&self.decode_tps),
            "ui_cpu_percent_idle": stats::median(&self.cpu_idle),
            "ui_rss_bytes": self.window_rss,
            "switch_ms": self.switch_ms,
            "warm_flip_ms": self.warm_ms,
            "switched": [self.from, self.to],
            "screenshot": absolute(&self.screenshot),
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Another rung of the same family that is on disk.
fn other_rung(state: &AppState) -> Option<String> {
    let active = state.active_quant()?;
    let family = state.family()?;
    family.rungs.iter().find(|rung| rung.quant != active && matches!(rung.state, RungState::OnDisk { .. })).map(|rung| rung.quant.clone())
}
