//! The command line: the window's twin without a window. Same rooms, same designs, same numbers.
//!
//! ```text
//! argv ─ short (llama.cpp's names) ─ args (clap) ─ command ─ session (one engine) ─ output (stdout: data, stderr: messages)
//! ```
//! Every command returns its exit status or a [`CliError`]; nothing here ends the process but [`interrupt`], on a second Ctrl-C.

pub mod args;
mod bench;
mod compare;
pub mod design;
mod doctor;
pub mod error;
mod estimate;
mod generate;
mod inspect;
mod interrupt;
mod models;
pub mod names;
pub mod output;
mod quality;
mod quantize;
mod runs;
mod runs_args;
pub mod session;
pub mod short;
mod sweep;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind as ClapKind;

use crate::protocol::EngineError;
use args::{Cli, Command};
use error::{CliError, USAGE};
use output::Output;

/// What needs the window, which this room must not know.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Opens the window, with a model to load, and returns when it is closed
    pub open_window: fn(Option<PathBuf>) -> Result<(), EngineError>,
    /// Opens the window on a model, drives it through load, generate and switch, and returns what it measured
    pub drive_window: fn(PathBuf) -> Result<serde_json::Value, EngineError>,
}

/// Does what the arguments (the program's name first) ask for.
pub fn run(args: impl IntoIterator<Item = OsString>, hooks: &Hooks) -> ExitCode {
    let args = short::expand(args);
    let wants_json = wants_json(&args);
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return refused(&error, Output::new(wants_json)),
    };
    let out = Output::new(cli.global.json || bench_json(&cli));
    let ended = dispatch(cli, hooks, out);
    ExitCode::from(match ended {
        Ok(status) => status,
        Err(error) => {
            out.error(&error);
            error.status
        }
    })
}

fn dispatch(cli: Cli, hooks: &Hooks, out: Output) -> Result<u8, CliError> {
    let global = &cli.global;
    let Some(command) = cli.command else { return open(cli.file.as_deref(), hooks) };
    if let Some(file) = cli.file {
        return Err(CliError::usage(format!("{file} stands before the command")).hint("Put files after the command"));
    }
    match command {
        Command::Doctor(args) => doctor::run(&args, global, hooks, out),
        Command::Models(args) => models::run(&args, out),
        Command::Inspect(args) => inspect::run(&args, out).or_else(|error| {
            if !out.json() || error.is_gone() {
                return Err(error);
            }
            out.document(&inspect::invalid(&error))?;
            Ok(error.status)
        }),
        Command::Estimate(args) => estimate::run(&args, global, out),
        Command::Quantize(args) => quantize::run(&args, global, out),
        Command::Run(args) => generate::run(&args, global, out),
        Command::Bench(args) => bench::run(&args, global, out),
        Command::Compare(args) => compare::run(&args, global, out),
        Command::Quality(args) => quality::run(&args, global, out),
        Command::Sweep(args) => sweep::run(&args, global, out),
        Command::Runs(args) => runs::run(&args, out),
    }
}

fn open(file: Option<&str>, hooks: &Hooks) -> Result<u8, CliError> {
    let model = file.map(names::resolve).transpose()?;
    if let Some(missing) = model.as_ref().filter(|path| !path.exists()) {
        return Err(CliError::new("file_missing", "There is no such file", USAGE)
            .hint("Check the name; `inferscope --help` lists the commands")
            .path(missing));
    }
    (hooks.open_window)(model)?;
    Ok(0)
}

/// `bench -o json` means `--json`.
fn bench_json(cli: &Cli) -> bool {
    matches!(&cli.command, Some(Command::Bench(args)) if args.output == args::BenchFormat::Json)
}

/// Whether JSON is wanted, known before the arguments are: errors in them are reported as JSON, too.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

/// Help and version are answers; everything else is a usage error.
fn refused(error: &clap::Error, out: Output) -> ExitCode {
    match error.kind() {
        ClapKind::DisplayHelp | ClapKind::DisplayVersion => {
            // clap colours it where a terminal reads it
            drop(error.print());
            ExitCode::SUCCESS
        }
        _ if out.json() => {
            let text = error.render().to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let first = lines.next().unwrap_or("The command is not understood");
            let message = first.strip_prefix("error: ").unwrap_or(first);
            let hint = lines.filter(|line| !line.starts_with("Usage:")).collect::<Vec<_>>().join(" ");
            out.error(&CliError::usage(message).hint(hint));
            ExitCode::from(USAGE)
        }
        _ => {
            drop(error.print());
            ExitCode::from(USAGE)
        }
    }
}
