//! The window on a machine without a GPU: the processor draws it, and nothing imitates a GPU for it.
//!
//! An imitated GPU (llvmpipe) compiles its shaders with LLVM and draws every pixel of every frame. That costs more memory than the rest of
//! the window, and time that belongs to the model. Here only what changed is drawn ([`inferscope_raster`]). Everything else is as in eframe
//! with its GPU (`eframe/src/native/`): winit's events go through egui-winit, whose [`State`] turns them into egui's input.

mod surface;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use egui::{Context, RawInput, Rect, ViewportBuilder, ViewportCommand, ViewportEvent, ViewportId, ViewportInfo};
use egui_winit::accesskit_winit::{Event as AccessEvent, WindowEvent as AccessWindowEvent};
use egui_winit::winit::application::ApplicationHandler;
use egui_winit::winit::dpi::LogicalSize;
use egui_winit::winit::event::WindowEvent;
use egui_winit::winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, EventLoopProxy};
use egui_winit::winit::platform::run_on_demand::EventLoopExtRunOnDemand as _;
use egui_winit::winit::window::{Window, WindowId};
use egui_winit::{ActionRequested, State};

use self::surface::Surface;
use super::app::{ATLAS_SIDE, App};
use super::place;

/// Least time between two looks at what has happened while the window cannot be seen.
const UNSEEN: Duration = Duration::from_millis(100);
/// How long a frame that was asked for is waited for before the application goes on without it: a compositor asks for none of a window
/// that it does not show.
const OVERDUE: Duration = Duration::from_millis(250);
/// Longest time for which only what is new is put on the screen: not every loss of what it showed is told.
const WHOLE: Duration = Duration::from_secs(1);

/// Why there is no window.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Makes the application, once there is a window: of egui's context and the screens of this machine, points.
type Maker<'a> = Box<dyn FnOnce(&Context, &[Rect]) -> Result<App, Failure> + 'a>;

/// What is sent to the thread of the window.
enum Call {
    /// Paint at this time, unless this pass is long over
    Repaint { when: Instant, pass: u64 },
    /// Of a screen reader
    Access(AccessEvent),
}

impl From<AccessEvent> for Call {
    fn from(event: AccessEvent) -> Self {
        Self::Access(event)
    }
}

/// Opens a window and shows the application that `make` makes until it is closed.
///
/// # Errors
/// When no window can be opened or drawn in, and when `make` fails.
pub(super) fn run<'a>(viewport: ViewportBuilder, make: impl FnOnce(&Context, &[Rect]) -> Result<App, Failure> + 'a) -> Result<(), Failure> {
    let mut event_loop = EventLoop::<Call>::with_user_event().build()?;
    let proxy = event_loop.create_proxy();
    let mut runner = Runner { viewport, make: Some(Box::new(make)), proxy, shown: None, failed: None };
    event_loop.run_app_on_demand(&mut runner)?;
    runner.failed.map_or(Ok(()), Err)
}

struct Runner<'a> {
    viewport: ViewportBuilder,
    make: Option<Maker<'a>>,
    proxy: EventLoopProxy<Call>,
    shown: Option<Shown>,
    failed: Option<Failure>,
}

/// A window with the application in it.
struct Shown {
    window: Arc<Window>,
    surface: Surface,
    ctx: Context,
    input: State,
    app: App,
    info: ViewportInfo,
    /// Input that no pass has seen yet, of the time while the window could not be seen
    unseen: RawInput,
    /// What was asked for besides painting
    wanted: Vec<ActionRequested>,
    /// When to paint next
    next: Option<Instant>,
    /// Since when a frame that was asked for is waited for
    asked: Option<Instant>,
    /// What the last frame took
    cost: Option<Duration>,
    /// When all of the window was put on the screen last; `None` when that may be lost
    whole: Option<Instant>,
    is_first: bool,
    is_closing: bool,
}

impl ApplicationHandler<Call> for Runner<'_> {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        let Some(make) = self.make.take() else { return };
        match Shown::open(event_loop, self.viewport.clone(), &self.proxy, make) {
            Ok(shown) => self.shown = Some(shown),
            Err(error) => self.fail(event_loop, error),
        }
    }

    fn user_event(&mut self, _event_loop: &ActiveEventLoop, call: Call) {
        let Some(shown) = &mut self.shown else { return };
        match call {
            Call::Repaint { when, pass } => {
                let current = shown.ctx.cumulative_pass_nr();
                if current == pass || current == pass + 1 {
                    shown.paint_at(when);
                }
            }
            Call::Access(event) => shown.on_access(event),
        }
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _window: WindowId, event: WindowEvent) {
        let Some(shown) = &mut self.shown else { return };
        let done = match event {
            WindowEvent::RedrawRequested => shown.redraw(event_loop),
            event => {
                shown.on_event(&event);
                Ok(())
            }
        };
        self.settle(event_loop, done);
    }

    fn about_to_wait(&mut self, event_loop: &ActiveEventLoop) {
        let Some(shown) = &mut self.shown else { return };
        let done = shown.ask_when_due(event_loop);
        self.settle(event_loop, done);
        let due = self.shown.as_ref().and_then(Shown::due);
        event_loop.set_control_flow(due.map_or(ControlFlow::Wait, ControlFlow::WaitUntil));
    }

    fn exiting(&mut self, _event_loop: &ActiveEventLoop) {
        self.close();
    }
}

impl Runner<'_> {
    /// After something that may have failed, or closed the window.
    fn settle(&mut self, event_loop: &ActiveEventLoop, done: Result<(), Failure>) {
        match done {
            Err(error) => self.fail(event_loop, error),
            Ok(()) if self.shown.as_ref().is_some_and(|shown| shown.is_closing) => {
                self.close();
                event_loop.exit();
            }
            Ok(()) => {}
        }
    }

    fn fail(&mut self, event_loop: &ActiveEventLoop, error: Failure) {
        self.close();
        self.failed = Some(error);
        event_loop.exit();
    }

    /// The window goes while the event loop still runs.
    fn close(&mut self) {
        if let Some(mut shown) = self.shown.take() {
            shown.app.close();
        }
    }
}

impl Shown {
    fn open(
        event_loop: &ActiveEventLoop,
        viewport: ViewportBuilder,
        proxy: &EventLoopProxy<Call>,
        make: Maker<'_>,
    ) -> Result<Self, Failure> {
        let ctx = Context::default();
        ctx.set_embed_viewports(false);
        // a pass may be thrown away once, for what was only known at its end
        ctx.options_mut(|options| options.max_passes = std::num::NonZeroUsize::MIN.saturating_add(1));
        ctx.add_font_provider(Arc::new(egui_system_font_provider::SystemFontProvider::new()));
        // seen once there is something to see
        let window = egui_winit::create_window(&ctx, event_loop, &fitted(viewport, event_loop).with_visible(false))?;
        let window = Arc::new(window);
        let surface = Surface::new(&window)?;
        let scale = window.scale_factor() as f32;
        let mut input = State::new(ctx.clone(), ViewportId::ROOT, event_loop, Some(scale), event_loop.system_theme(), Some(ATLAS_SIDE));
        input.init_accesskit(event_loop, &window, proxy.clone());
        let calls = Mutex::new(proxy.clone());
        ctx.set_request_repaint_callback(move |request| {
            let when = Instant::now().checked_add(request.delay);
            if let (Some(when), Ok(calls)) = (when, calls.lock()) {
                // a loop that has ended paints no more
                let _ended = calls.send_event(Call::Repaint { when, pass: request.current_cumulative_pass_nr });
            }
        });
        let mut info = ViewportInfo::default();
        egui_winit::update_viewport_info(&mut info, &ctx, &window, true);
        let app = make(&ctx, &place::screens(&window))?;
        window.request_redraw();
        Ok(Self {
            window,
            surface,
            ctx,
            input,
            app,
            info,
            unseen: RawInput::default(),
            wanted: Vec::new(),
            next: Some(Instant::now()),
            asked: None,
            cost: None,
            whole: None,
            is_first: true,
            is_closing: false,
        })
    }

    fn paint_at(&mut self, when: Instant) {
        let when = if self.is_hidden() { when.max(Instant::now() + UNSEEN) } else { when };
        self.next = Some(self.next.map_or(when, |next| next.min(when)));
    }

    /// When something is to be done next.
    fn due(&self) -> Option<Instant> {
        let overdue = self.asked.map(|asked| asked + OVERDUE);
        self.next.into_iter().chain(overdue).min()
    }

    /// Asks for the frame whose time has come; without one for long, goes on without.
    fn ask_when_due(&mut self, event_loop: &ActiveEventLoop) -> Result<(), Failure> {
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = None;
            if self.is_hidden() {
                return self.redraw(event_loop);
            }
            self.window.request_redraw();
            self.asked.get_or_insert(now);
        }
        if self.asked.is_some_and(|asked| asked + OVERDUE <= now) {
            self.asked = None;
            self.look();
            self.tick_unseen(event_loop);
        }
        Ok(())
    }

    fn on_event(&mut self, event: &WindowEvent) {
        match event {
            WindowEvent::CloseRequested => {
                self.info.events.push(ViewportEvent::Close);
                self.paint_at(Instant::now());
            }
            // not by us: nothing can be asked of it any more
            WindowEvent::Destroyed => {
                self.is_closing = true;
                return;
            }
            WindowEvent::Occluded(is_occluded) => self.info.occluded = Some(*is_occluded),
            _ => {}
        }
        if matches!(event, WindowEvent::Occluded(_) | WindowEvent::Resized(_) | WindowEvent::Moved(_) | WindowEvent::Focused(_)) {
            self.whole = None;
        }
        if self.input.on_window_event(&self.window, event).repaint {
            self.paint_at(Instant::now());
        }
    }

    fn on_access(&mut self, event: AccessEvent) {
        match event.window_event {
            AccessWindowEvent::InitialTreeRequested => self.ctx.enable_accesskit(),
            AccessWindowEvent::ActionRequested(request) => self.input.on_accesskit_action_request(request),
            AccessWindowEvent::AccessibilityDeactivated => return self.ctx.disable_accesskit(),
        }
        self.paint_at(Instant::now());
    }

    fn is_hidden(&self) -> bool {
        // before its first frame it is meant to be unseen
        !self.is_first && !self.info.visible().unwrap_or(true) && !self.wanted.iter().any(ActionRequested::wants_paint)
    }

    /// Asks the system how the window stands: whether it can be seen, among others.
    fn look(&mut self) {
        egui_winit::update_viewport_info(&mut self.info, &self.ctx, &self.window, false);
    }

    fn take_input(&mut self) -> RawInput {
        let mut input = std::mem::take(&mut self.unseen);
        input.append(self.input.take_egui_input(&self.window));
        input.viewports = std::iter::once((ViewportId::ROOT, self.info.clone())).collect();
        App::prepare(&mut input);
        input
    }

    /// What has happened is taken in; nothing is laid out.
    fn tick_unseen(&mut self, event_loop: &ActiveEventLoop) {
        let input = self.take_input();
        let is_closing = input.viewport().close_requested();
        let output = self.ctx.run_logic(&input, |ctx| self.app.tick(ctx));
        self.unseen = input;
        self.info.events.clear();
        self.input.handle_platform_output_with_event_loop(&self.window, event_loop, output.platform_output);
        let commands = output.viewport_commands.into_iter().filter(|(id, _)| *id == ViewportId::ROOT).flat_map(|(_, commands)| commands);
        self.carry_out(commands.collect(), is_closing);
    }

    fn redraw(&mut self, event_loop: &ActiveEventLoop) -> Result<(), Failure> {
        // a frame that was not asked for is one whose picture was lost: something lay over the window
        if self.asked.take().is_none() {
            self.whole = None;
        }
        self.look();
        if self.is_hidden() {
            self.tick_unseen(event_loop);
            return Ok(());
        }
        let began = Instant::now();
        let input = self.take_input();
        let is_closing = input.viewport().close_requested();
        let cost = self.cost;
        let output = self.ctx.run_ui(input, |ui| {
            self.app.tick(ui.ctx());
            self.app.show(ui, cost);
        });
        self.info.events.clear();
        self.input.handle_platform_output_with_event_loop(&self.window, event_loop, output.platform_output);
        let page = App::page_colour(&self.ctx.global_style().visuals);
        let primitives = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let pictures = self.perform();
        let is_whole = self.whole.is_none_or(|whole| whole.elapsed() > WHOLE);
        if is_whole {
            self.whole = Some(began);
        }
        let drawn =
            self.surface.draw(&self.window, is_whole, page, output.pixels_per_point, &primitives, &output.textures_delta, pictures)?;
        self.cost = Some(began.elapsed());
        drawn.show(&self.window)?;
        if std::mem::take(&mut self.is_first) {
            self.window.set_visible(true);
        }
        let commands = output.viewport_output.into_iter().filter(|(id, _)| *id == ViewportId::ROOT).flat_map(|(_, output)| output.commands);
        self.carry_out(commands.collect(), is_closing);
        Ok(())
    }

    fn carry_out(&mut self, commands: Vec<ViewportCommand>, is_closing: bool) {
        self.is_closing |= is_closing && !commands.contains(&ViewportCommand::CancelClose);
        egui_winit::process_viewport_commands(&self.ctx, &mut self.info, commands, &self.window, &mut self.wanted);
        if !self.wanted.is_empty() || !self.info.events.is_empty() {
            self.paint_at(Instant::now());
        }
    }

    /// Does what was asked for; what is left over are pictures of this frame.
    fn perform(&mut self) -> Vec<egui::ScreenshotCallback> {
        let mut pictures = Vec::new();
        for wanted in std::mem::take(&mut self.wanted) {
            let event = match wanted {
                ActionRequested::Screenshot(callback) => {
                    pictures.push(callback);
                    continue;
                }
                ActionRequested::PaintWhileHidden => continue,
                ActionRequested::Cut => egui::Event::Cut,
                ActionRequested::Copy => egui::Event::Copy,
                ActionRequested::Paste => match self.input.clipboard_text() {
                    Some(text) if !text.is_empty() => egui::Event::Paste(text.replace("\r\n", "\n")),
                    _ => continue,
                },
            };
            self.input.egui_input_mut().events.push(event);
            // this frame's input is taken already
            self.paint_at(Instant::now());
        }
        pictures
    }
}

/// No larger than the largest screen: some window managers lose what is.
fn fitted(viewport: ViewportBuilder, event_loop: &ActiveEventLoop) -> ViewportBuilder {
    let screens = event_loop.available_monitors().map(|monitor| {
        let size: LogicalSize<f32> = monitor.size().to_logical(monitor.scale_factor());
        egui::vec2(size.width, size.height)
    });
    match (screens.reduce(egui::Vec2::max), viewport.inner_size) {
        (Some(largest), Some(size)) if largest.min_elem() > 1.0 => viewport.with_inner_size(size.min(largest)),
        _ => viewport,
    }
}
