//! The `inferscope` program: a window, a command line, or (hidden) an engine.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use inferscope::cli::{self, Hooks};
use inferscope::engine::{self, ChildOptions, Place};
use inferscope::protocol::EngineError;
use inferscope::ui;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if args.get(1).is_some_and(|first| first == "engine") {
        // Ctrl-C in a terminal reaches the engine, too; only whoever started it decides what it means.
        drop(ctrlc::set_handler(|| {}));
        return engine::host::run(args.into_iter().skip(2));
    }
    let hooks = Hooks { open_window, drive_window };
    // A fault of ours is a failure with a status like any other; its message has been printed by then.
    catch_unwind(AssertUnwindSafe(|| cli::run(args, &hooks))).unwrap_or(ExitCode::from(cli::error::USAGE))
}

fn open_window(model: Option<PathBuf>) -> Result<(), EngineError> {
    ui::open(model, Place::Child(ChildOptions::default()))
}

fn drive_window(model: PathBuf) -> Result<serde_json::Value, EngineError> {
    ui::drive_window(model, Place::Child(ChildOptions::default()))
}
