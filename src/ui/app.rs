//! The window: `logic` takes in what has happened, `ui` paints, and actions go through `app::update`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::drive::Driver;
use super::inbox::Inbound;
use super::pacing::Pacing;
use super::panels::{self, Views};
use super::runtime::{Runtime, Wake};
use super::{hand_over, links, place, shortcuts, theme};
use crate::app::{self, Action, Answer, AppState, Effect, Now, Page, PlotRange, QualityAction, Severity, update};
use crate::protocol::Event;
use crate::store::Theme;

/// Longest time a frame spends on what has happened; the rest waits for the next one.
const DRAIN: Duration = Duration::from_millis(10);
/// Widest texture, pixels. Pictures are not shown, so only glyphs live in textures.
pub(super) const ATLAS_SIDE: usize = 2048;

/// The application.
pub struct App {
    state: AppState,
    views: Views,
    runtime: Option<Runtime>,
    pacing: Arc<Pacing>,
    began: Instant,
    actions: Vec<Action>,
    look: Option<(Theme, f32)>,
    /// Where the picture of the telemetry column goes, once painted, and the times it shows
    plots_png: Option<(PathBuf, PlotRange)>,
    learn: Learn,
    driver: Option<Driver>,
    /// What brings a window back that would not be seen; in points at 100 %
    astray: Vec<egui::ViewportCommand>,
}

/// What the pacing learns from: frames and time since the last sample.
#[derive(Default)]
struct Learn {
    frames: u64,
    at: f64,
}

impl App {
    /// The application over what was remembered; `model` is opened at once.
    pub fn new(
        mut state: AppState,
        runtime: Runtime,
        pacing: Arc<Pacing>,
        model: Option<PathBuf>,
        driver: Option<Driver>,
        began: Instant,
    ) -> Self {
        let secs = began.elapsed().as_secs_f64();
        let now = Now { secs, at: secs, unix_ms: unix_ms() };
        let effects = update::on_start(&mut state, model, now);
        let mut app = Self {
            state,
            views: Views::default(),
            runtime: Some(runtime),
            pacing,
            began,
            actions: Vec::new(),
            look: None,
            plots_png: None,
            learn: Learn::default(),
            driver,
            astray: Vec::new(),
        };
        app.carry_out(effects, None);
        app
    }

    /// With what the settings page says of where things are kept.
    #[must_use]
    pub fn with_places(mut self, places: Vec<(String, PathBuf)>) -> Self {
        self.views.about.paths = places;
        self
    }

    /// With what brings the window back onto a screen, once it is there.
    #[must_use]
    pub fn with_place(mut self, astray: Vec<egui::ViewportCommand>) -> Self {
        self.astray = astray;
        self
    }

    fn come_back(&mut self, ctx: &egui::Context) {
        // commands are in points at the zoom in force, which is set by the first frame
        if self.astray.is_empty() || self.pacing.frames() < 2 {
            return;
        }
        for command in std::mem::take(&mut self.astray) {
            ctx.send_viewport_cmd(match command {
                egui::ViewportCommand::OuterPosition(at) => egui::ViewportCommand::OuterPosition(at / ctx.zoom_factor()),
                egui::ViewportCommand::InnerSize(size) => egui::ViewportCommand::InnerSize(size / ctx.zoom_factor()),
                other => other,
            });
        }
    }

    fn now(&self) -> Now {
        let secs = self.began.elapsed().as_secs_f64();
        Now { secs, at: secs, unix_ms: unix_ms() }
    }

    fn carry_out(&mut self, effects: Vec<Effect>, ctx: Option<&egui::Context>) {
        for effect in effects {
            match (effect, ctx) {
                (Effect::Copy(text), Some(ctx)) => ctx.copy_text(text),
                (Effect::Quit, Some(ctx)) => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
                (effect, _) => {
                    if let (Some(driver), Effect::Send(command)) = (&mut self.driver, &effect) {
                        driver.on_command(command, self.began.elapsed().as_secs_f64());
                    }
                    if let Some(runtime) = &mut self.runtime {
                        runtime.run(effect);
                    }
                }
            }
        }
    }

    /// Takes in what has happened, for a bounded time; says whether anything waits still.
    fn drain(&mut self, ctx: &egui::Context) -> bool {
        let started = Instant::now();
        let Some(inbox) = self.runtime.as_ref().map(|runtime| Arc::clone(runtime.inbox())) else { return false };
        while let Some((inbound, at)) = inbox.pop() {
            let now = Now { at: at.saturating_duration_since(self.began).as_secs_f64(), ..self.now() };
            let effects = match inbound {
                Inbound::Event(event) => {
                    self.learn_from(&event, now);
                    if let Some(driver) = &mut self.driver {
                        driver.on_event(&event, now.secs);
                    }
                    update::on_event(&mut self.state, event, now)
                }
                Inbound::Maker(event) => {
                    if let Some(runtime) = &mut self.runtime {
                        runtime.on_maker_event(&event);
                    }
                    update::on_maker_event(&mut self.state, event, now)
                }
                Inbound::Measurer(event) => update::on_measurer_event(&mut self.state, &event, now),
                Inbound::Quality(event) => update::on_quality_event(&mut self.state, event, now),
                Inbound::Lane(engine, event) => update::on_lane_event(&mut self.state, engine, event, now),
                Inbound::Answer(answer) => update::on_answer(&mut self.state, answer, now),
                Inbound::Action(action) => update::on_action(&mut self.state, action, now),
                Inbound::PlotsPng(path, range) => {
                    self.plots_png = Some((path, range));
                    repaint_once(ctx);
                    Vec::new()
                }
            };
            self.carry_out(effects, Some(ctx));
            if started.elapsed() > DRAIN {
                return !inbox.is_empty();
            }
        }
        false
    }

    fn learn_from(&mut self, event: &Event, now: Now) {
        if let Event::Sample { sample } = event {
            let frames = self.pacing.frames() - self.learn.frames;
            if let Some(percent) = sample.window_cpu_percent.filter(|_| self.state.is_busy()) {
                self.pacing.learn(frames, now.secs - self.learn.at, f64::from(percent));
            }
            self.learn = Learn { frames: self.pacing.frames(), at: now.secs };
        }
    }

    fn apply_look(&mut self, ctx: &egui::Context) {
        let wanted = (self.state.settings.theme, self.state.settings.zoom);
        if self.look == Some(wanted) {
            return;
        }
        theme::apply(ctx, wanted.0);
        ctx.set_zoom_factor(wanted.1);
        self.look = Some(wanted);
    }

    fn take_input(&mut self, ctx: &egui::Context) {
        let dropped: Vec<PathBuf> = ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
        if let Some(path) = dropped.into_iter().next() {
            let is_model = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
            // a text dropped on the Quality page is what is to be read there
            let is_text = self.state.page == Page::Quality && !is_model;
            self.actions.push(if is_text { Action::Quality(QualityAction::UseFile(path)) } else { Action::OpenModel(path) });
        }
        let viewport = ctx.input(|input| input.viewport().clone());
        let size = ctx.content_rect().size() * ctx.zoom_factor();
        let corner = viewport.outer_rect.map(|rect| rect.min * ctx.zoom_factor());
        let place = place::now(self.state.settings.window.as_ref(), size, corner, viewport.maximized.unwrap_or(false));
        if size.x > 1.0 && self.state.settings.window != Some(place) {
            self.actions.push(Action::WindowMoved(place));
        }
    }

    /// Does what was asked for; says whether the engine has answered some of it already, so that what was laid out before is out of date.
    fn act(&mut self, ctx: &egui::Context) -> bool {
        let mut any_answered = false;
        for mut action in std::mem::take(&mut self.actions) {
            if let Action::OpenModel(path) | Action::AddFolder(path) = &mut action
                && let Ok(whole) = std::path::absolute(&*path)
            {
                // what is remembered must hold wherever the program is started next
                *path = whole;
            }
            if let Some(driver) = &mut self.driver {
                driver.on_action(&action, self.began.elapsed().as_secs_f64());
            }
            let now = self.now();
            // what the engine answers to a switch in the middle of a reply comes at once, and a frame before it would hold it up
            let is_answered = matches!(action, Action::SelectRung(_)) && self.state.generating().is_some();
            let effects = update::on_action(&mut self.state, action, now);
            self.carry_out(effects, Some(ctx));
            if is_answered {
                self.await_hand_over(ctx);
                ctx.request_repaint_after(hand_over::SEEN);
                any_answered = true;
            } else {
                repaint_once(ctx);
            }
        }
        any_answered
    }

    /// Takes in what the engine says in the moment after a click on a rung, before that is painted.
    fn await_hand_over(&mut self, ctx: &egui::Context) {
        let since = Instant::now();
        while let Some(longest) = hand_over::longest(&self.state, self.pacing.is_dear())
            && since.elapsed() < longest
        {
            if self.runtime.as_ref().is_none_or(|runtime| runtime.inbox().is_empty()) {
                std::thread::sleep(Duration::from_millis(1));
            } else {
                self.drain(ctx);
            }
        }
    }

    /// Takes a picture of the telemetry column, when one was asked for.
    fn picture(&mut self, ctx: &egui::Context, column: egui::Rect) {
        let Some((path, _)) = self.plots_png.take() else { return };
        let Some(runtime) = &self.runtime else { return };
        let (inbox, scale, again) = (Arc::clone(runtime.inbox()), ctx.pixels_per_point(), ctx.clone());
        ctx.request_screenshot(move |image| {
            let answer = match super::picture::write_png(&image.region(&column, Some(scale)), &path) {
                Ok(()) => Answer::Notice(Severity::Info, format!("Saved to {}", path.display())),
                Err(error) => Answer::Notice(Severity::Error, format!("Not saved, {error}: {}", path.display())),
            };
            inbox.push(Inbound::Answer(answer));
            again.request_repaint();
        });
    }
}

impl App {
    /// Takes in what has happened.
    pub(super) fn tick(&mut self, ctx: &egui::Context) {
        self.apply_look(ctx);
        if self.drain(ctx) {
            repaint_once(ctx);
        }
        let now = self.now();
        let (effects, next) = update::tick(&mut self.state, now);
        self.carry_out(effects, Some(ctx));
        if let Some(seconds) = next {
            ctx.request_repaint_after(Duration::from_secs_f64(seconds.clamp(0.0, 60.0)));
        }
        if let Some(mut driver) = self.driver.take() {
            if let Some(action) = driver.step(&self.state, now.secs, &self.pacing, ctx) {
                self.actions.push(action);
            }
            self.driver = Some(driver);
            self.act(ctx);
        }
    }

    /// Lays out a frame; `cost` is what the last one took.
    pub(super) fn show(&mut self, ui: &mut egui::Ui, cost: Option<Duration>) {
        let started = Instant::now();
        let ctx = ui.ctx().clone();
        self.take_input(&ctx);
        shortcuts::dispatch(&ctx, &self.state, &mut self.views.targets, &mut self.actions);
        let now = self.now();
        // the dialog took its time: the picture shows what was seen when it was asked for
        self.views.telemetry.held = self.plots_png.as_ref().map(|(_, range)| *range);
        let column = panels::window(ui, &self.state, &mut self.views, now, &mut self.actions);
        self.picture(&ctx, column);
        if let Some(runtime) = &self.runtime {
            links::follow(&ctx, runtime.inbox());
        }
        if self.act(&ctx) {
            ctx.request_discard("another rung was clicked, and has spoken");
        }
        self.come_back(&ctx);
        self.pacing.frame();
        if let Some(driver) = &mut self.driver {
            driver.on_frame(cost.unwrap_or_else(|| started.elapsed()), self.began.elapsed());
        }
    }

    /// The page's colour: what is cleared to it need not be painted over.
    pub(super) fn page_colour(visuals: &egui::Visuals) -> egui::Color32 {
        theme::Palette::of(visuals).page
    }

    /// Keeps the font atlas small: it is as wide as a texture may be, and a wide one costs memory and cache on a software renderer.
    pub(super) fn prepare(raw_input: &mut egui::RawInput) {
        if let Some(side) = &mut raw_input.max_texture_side {
            *side = (*side).min(ATLAS_SIDE);
        }
    }

    /// The window is closed.
    pub(super) fn close(&mut self) {
        let effects = update::on_exit(&mut self.state);
        self.carry_out(effects, None);
        if let Some(runtime) = self.runtime.take() {
            runtime.finish();
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.tick(ctx);
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.show(ui, frame.info().cpu_usage.map(Duration::from_secs_f32));
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        Self::page_colour(visuals).to_normalized_gamma_f32()
    }

    fn raw_input_hook(&mut self, _ctx: &egui::Context, raw_input: &mut egui::RawInput) {
        Self::prepare(raw_input);
    }

    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.close();
    }
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as i64)
}

/// What the store has to say at start, as notices.
pub(super) fn say(state: &mut AppState, notices: impl IntoIterator<Item = String>) {
    for text in notices {
        state.notices.push(app::Severity::Warn, text, Vec::new(), None, 0.0);
    }
}

/// One more frame, as soon as possible. egui's own `request_repaint` asks for two, which a software renderer feels.
pub(super) fn repaint_once(ctx: &egui::Context) {
    ctx.request_repaint_after(Duration::from_millis(1));
}

pub(super) fn wake(ctx: &egui::Context, pacing: &Arc<Pacing>) -> Wake {
    Wake::new(ctx.clone(), Arc::clone(pacing))
}
