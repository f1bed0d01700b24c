//! How it looks. The only room that names egui, egui_plot and rfd.

pub mod app;
pub mod drive;
mod hand_over;
pub mod icon;
pub mod inbox;
mod lanes;
mod links;
mod looker;
pub mod pacing;
mod painter;
pub mod panels;
pub mod parts;
pub mod picture;
mod place;
pub mod plain_text;
mod pump;
mod runs_files;
pub mod runtime;
pub mod shortcuts;
mod software;
mod sweeps;
pub mod theme;
pub mod transcript;
pub mod widgets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use self::painter::Painter;
use crate::app::AppState;
use crate::engine::Place;
use crate::protocol::{EngineError, ErrorKind, build};
use crate::store::{Dirs, SettingsFile, Store};

/// Smallest window in which nothing is clipped, points.
const MIN_SIZE: [f32; 2] = [1024.0, 640.0];

/// Opens the window; returns when it is closed.
///
/// # Errors
/// When no window can be opened: no display, no usable graphics.
pub fn open(model: Option<PathBuf>, place: Place) -> Result<(), EngineError> {
    run(model, place, None)
}

/// Opens the window, drives it through load, generate and switch, and returns what was measured.
///
/// # Errors
/// As [`open`]; and when the model cannot be loaded or the drive does not end in time.
pub fn drive_window(model: PathBuf, place: Place) -> Result<serde_json::Value, EngineError> {
    let (driver, result) = drive::Driver::new(place.clone());
    run(Some(model), place, Some(driver))?;
    result.recv().map_err(|_closed| EngineError::new(ErrorKind::Engine, "The window was closed before the drive had ended"))?
}

fn run(model: Option<PathBuf>, place: Place, driver: Option<drive::Driver>) -> Result<(), EngineError> {
    let began = Instant::now();
    // a drive leaves the user's chats and settings alone
    let scratch = driver.as_ref().map(|_| Scratch::new()).transpose()?;
    let dirs = match &scratch {
        Some(scratch) => Dirs::under(&scratch.0),
        None => Dirs::resolve().map_err(|error| EngineError::new(ErrorKind::Disk, error.to_string()))?,
    };
    let (settings_file, settings, settings_notices) = SettingsFile::load(&dirs.config);
    let models_dir = settings.models_dir(&dirs);
    let painter = Painter::of_this_machine()?;
    let pacing = Arc::new(pacing::Pacing::new(painter == Painter::Cpu));
    let viewport = egui::ViewportBuilder::default()
        .with_app_id("inferscope")
        .with_title("Inferscope")
        .with_min_inner_size(MIN_SIZE)
        .with_icon(icon::icon_data())
        .with_drag_and_drop(true);
    let viewport = place::remembered(viewport, settings.window.as_ref(), MIN_SIZE);
    let is_driven = driver.is_some();
    let mut failed = None;
    let slot = &mut failed;
    let make = move |ctx: &egui::Context, screens: &[egui::Rect]| {
        theme::install(ctx);
        let astray = settings.window.as_ref().map(|place| place::corrections(place, screens)).unwrap_or_default();
        // the zoom is an action like any other, and remembered
        ctx.options_mut(|options| options.zoom_with_keyboard = false);
        let (mut store, notices) = Store::open(&dirs.data);
        let mut state = AppState::new(settings);
        let (chat, message) = store.next_ids();
        (state.chats.next_chat, state.chats.next_message) = (chat.0, message.0);
        state.chats.list = store.chats();
        state.chats.sort();
        state.cpu = cpu_name();
        let bandwidth = state.settings.bandwidth.as_ref().filter(|known| known.is_of(&state.cpu, &build::version_line()));
        state.telemetry.bandwidth_gb_s = bandwidth.map(|known| known.gb_s);
        app::say(&mut state, notices.into_iter().chain(settings_notices).map(|notice| notice.to_string()));
        let wake = app::wake(ctx, &pacing);
        let places = vec![
            ("Chats".to_owned(), dirs.data.clone()),
            ("Models made here".to_owned(), models_dir.clone()),
            ("Settings".to_owned(), dirs.config.clone()),
            ("Cache".to_owned(), dirs.cache.clone()),
        ];
        let runtime =
            runtime::Runtime::start(place, store, settings_file, models_dir, wake).inspect_err(|error| *slot = Some(error.clone()))?;
        Ok(app::App::new(state, runtime, pacing, model, driver, began).with_places(places).with_place(astray))
    };
    let shown = match painter {
        Painter::Cpu => software::run(viewport, make).map_err(|error| error.to_string()),
        Painter::Gpu => show_by_gpu(viewport, make),
    };
    if let Some(error) = failed {
        return Err(error);
    }
    let shown = match shown {
        Err(error) if painter == Painter::Gpu && !is_driven && has_desktop() => again_by_cpu(&error),
        shown => shown,
    };
    shown.map_err(|error| {
        EngineError::new(ErrorKind::Unsupported, format!("No window can be opened: {error}"))
            .hint("Start it in a desktop session (DISPLAY or WAYLAND_DISPLAY set), or use the commands: inferscope --help")
    })
}

/// The window as OpenGL draws it.
fn show_by_gpu(
    viewport: egui::ViewportBuilder,
    make: impl FnOnce(&egui::Context, &[egui::Rect]) -> Result<app::App, software::Failure>,
) -> Result<(), String> {
    let options = eframe::NativeOptions {
        viewport,
        renderer: eframe::Renderer::Glow,
        multisampling: 0,
        depth_buffer: 0,
        stencil_buffer: 0,
        // nothing is drawn as a gradient
        dithering: false,
        ..eframe::NativeOptions::default()
    };
    let create = |cc: &eframe::CreationContext<'_>| {
        let screens = cc.winit_window().map(|window| place::screens(window)).unwrap_or_default();
        Ok(Box::new(make(&cc.egui_ctx, &screens)?) as Box<dyn eframe::App>)
    };
    eframe::run_native("inferscope", options, Box::new(create)).map_err(|error| error.to_string())
}

/// Whether there is anything to open a window on; where that cannot be told, there is.
fn has_desktop() -> bool {
    !cfg!(target_os = "linux") || ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"].iter().any(|name| std::env::var_os(name).is_some())
}

/// The window without OpenGL, after that has failed: in a new process, because one has only one connection to its desktop.
fn again_by_cpu(error: &str) -> Result<(), String> {
    log::warn!("OpenGL cannot be used ({error}): the processor draws the window");
    let again = std::env::current_exe().and_then(|program| {
        let mut command = std::process::Command::new(program);
        command.args(std::env::args_os().skip(1)).env(Painter::VARIABLE, "cpu").status()
    });
    match again {
        Ok(status) if status.success() => Ok(()),
        _ => Err(error.to_owned()),
    }
}

/// A folder that goes away with this value.
struct Scratch(PathBuf);

impl Scratch {
    /// A new folder among the system's temporary ones, for this user alone.
    fn new() -> Result<Self, EngineError> {
        let name = |n: u32| std::env::temp_dir().join(format!("inferscope-drive-{}-{n}", std::process::id()));
        let mut made = std::fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
        // a folder that is there already is somebody else's
        let folder = (0..100).map(name).find_map(|folder| match made.create(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => None,
            done => Some(done.map(|()| folder)),
        });
        let folder = folder.unwrap_or_else(|| Err(std::io::ErrorKind::AlreadyExists.into()));
        folder.map(Self).map_err(|error| {
            EngineError::new(ErrorKind::Disk, format!("No temporary folder could be made: {error}"))
                .hint("Free some space, or set TMPDIR to a folder that can be written to")
                .path(std::env::temp_dir())
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// What the processor is called: measurements of this machine are kept under its name.
fn cpu_name() -> String {
    let wanted = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
    let system = sysinfo::System::new_with_specifics(wanted).ok();
    system.as_ref().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_folder_is_new_and_goes_away() {
        let (one, two) = (Scratch::new().unwrap(), Scratch::new().unwrap());
        assert_ne!(one.0, two.0);
        std::fs::write(one.0.join("chats"), "x").unwrap();
        let path = one.0.clone();
        drop(one);
        assert!(!path.exists() && two.0.is_dir());
    }
}
