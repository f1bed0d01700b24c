//! `doctor`: what this machine is, what would work on it, and what to fix.

use std::path::Path;

use serde_json::{Value, json};
use sysinfo::{CpuRefreshKind, RefreshKind, System};

use super::Hooks;
use super::args::{DoctorArgs, Global};
use super::error::{CliError, NO};
use super::names;
use super::output::{Output, table};
use super::session::Session;
use crate::library::{self, MachineMemory, ScanCache};
use crate::measure::format;
use crate::protocol::{EngineFacts, build};

/// Under this, even a small model is a tight fit, bytes.
const LOW_MEMORY: u64 = 1 << 30;
/// Under this, no rung worth having can be made, bytes.
const LOW_DISK: u64 = 1 << 30;

/// Something to fix, or to know.
struct Problem {
    what: String,
    fix: String,
    /// Nothing works until it is fixed
    blocking: bool,
}

/// Runs the command; status 1 when something keeps everything from working.
///
/// # Errors
/// When the window could not be driven, or the output not be written. What is wrong with the machine is a result.
pub fn run(args: &DoctorArgs, global: &Global, hooks: &Hooks, out: Output) -> Result<u8, CliError> {
    let mut problems = Vec::new();
    let (dirs, settings) = names::settings();
    let cpu = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing())).ok();
    let cpu_name = cpu.as_ref().and_then(|c| c.cpus().first()).map(|c| c.brand().trim().to_owned()).unwrap_or_default();
    let logical = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let physical = System::physical_core_count().unwrap_or(logical);
    let memory = MachineMemory::read();
    // what the window measured on this processor and keeps is as good as a new figure, and takes no time
    let kept = settings.bandwidth.filter(|kept| kept.cpu == cpu_name && kept.gb_s > 0.0).map(|kept| kept.gb_s);
    let (facts, bandwidth) = engine(args, kept, global, out, &mut problems);
    let source = bandwidth.map(|_| if kept.is_some() { "kept" } else { "measured" });
    let models_dir = names::models_dir();
    let scan = library::scan(&names::known_dirs(), &mut ScanCache::new());
    let models = scan.n_files();
    find_problems(&facts, &memory, models, &models_dir, &mut problems);
    match &dirs {
        None => problems.push(problem("There is no home folder to keep chats and settings in", "Set INFERSCOPE_HOME to a folder")),
        Some(dirs) => {
            for folder in [&dirs.data, &dirs.config, &dirs.cache] {
                problems.extend(unwritable(folder));
            }
        }
    }
    let window = args.window.as_deref().map(|file| driven(file, hooks)).transpose()?;
    let blocked = problems.iter().any(|p| p.blocking);
    let mut value = json!({
        "version": build::VERSION,
        "revision": build::git_revision(),
        "build": {"profile": build::PROFILE, "target": build::TARGET, "target_features": build::TARGET_FEATURES.split(',').collect::<Vec<_>>()},
        "engine": {
            "name": facts.name,
            "commit": facts.commit,
            "build": facts.build,
            "cpu_features": facts.cpu_features,
            "backends": facts.backends,
            "crates": {"llama-cpp-2": build::LLAMA_CPP_2, "llama-cpp-sys-2": build::LLAMA_CPP_SYS_2},
        },
        "devices": facts.devices,
        "cpu": {"name": cpu_name, "logical": logical, "physical": physical},
        "memory": {"total": memory.total, "available": memory.available, "limited": memory.limited},
        "bandwidth_gb_s": bandwidth,
        "bandwidth_source": source,
        "dirs": {
            "data": dirs.as_ref().map(|d| &d.data),
            "config": dirs.as_ref().map(|d| &d.config),
            "cache": dirs.as_ref().map(|d| &d.cache),
            "models": models_dir,
        },
        "models": models,
        "problems": problems.iter().map(|p| json!({"what": p.what, "fix": p.fix, "blocking": p.blocking})).collect::<Vec<_>>(),
    });
    if let (Some(window), Some(fields)) = (window, value.as_object_mut()) {
        fields.insert("window".into(), window);
    }
    out.result(&value, || words(&value, &facts, &problems))?;
    Ok(if blocked { NO } else { 0 })
}

fn problem(what: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem { what: what.into(), fix: fix.into(), blocking: false }
}

/// What the engine says of itself, and the bandwidth: the kept figure, else the one it measures.
fn engine(args: &DoctorArgs, kept: Option<f64>, global: &Global, out: Output, problems: &mut Vec<Problem>) -> (EngineFacts, Option<f64>) {
    let mut session = match Session::start(global, out) {
        Ok(session) => session,
        Err(error) => {
            let fix = if error.hint.is_empty() { "Run `inferscope doctor --verbose` to see what it says".to_owned() } else { error.hint };
            problems.push(Problem { what: format!("The engine does not start: {}", error.message), fix, blocking: true });
            return (EngineFacts::default(), kept);
        }
    };
    let facts = session.facts().clone();
    if args.no_probe || kept.is_some() {
        return (facts, kept);
    }
    match session.probe(0) {
        Ok(gb_s) => (facts, Some(gb_s)),
        Err(error) => {
            problems.push(problem(
                format!("The memory bandwidth could not be measured: {}", error.message),
                "Nothing; speeds are shown without the machine's limit",
            ));
            (facts, None)
        }
    }
}

fn find_problems(facts: &EngineFacts, memory: &MachineMemory, models: usize, models_dir: &Path, problems: &mut Vec<Problem>) {
    let has = |feature: &str| facts.cpu_features.iter().any(|f| f.eq_ignore_ascii_case(feature));
    if cfg!(target_arch = "x86_64") && facts.name == "llama.cpp" && !has("AVX2") {
        problems.push(problem(
            "llama.cpp was compiled without AVX2: generation may be ten times slower than this processor allows",
            "Build again on this machine, with the project's own .cargo/config.toml and without SOURCE_DATE_EPOCH set",
        ));
    }
    if memory.available > 0 && memory.available < LOW_MEMORY {
        problems.push(problem(
            format!("Only {} of memory is available", format::bytes(memory.available)),
            "Close other programs; choose a small model and a short context",
        ));
    }
    if models == 0 {
        problems.push(problem(
            "No model was found",
            format!("Put a GGUF file into {}, or run scripts/run.sh, which fetches the starter model", models_dir.display()),
        ));
    }
    if let Ok(free) = library::partial::free_bytes(models_dir)
        && free < LOW_DISK
    {
        problems.push(problem(
            format!("Only {} are free where models are kept", format::bytes(free)),
            "Free some space, or choose another folder for models in the settings",
        ));
    }
    problems.extend(unwritable(models_dir));
    if facts.devices.iter().any(|d| d.kind == "gpu") && facts.backends.iter().all(|b| b == "CPU") {
        problems.push(problem("There is a GPU, and this build cannot use it", "Build with --features cuda, vulkan or metal"));
    }
}

/// Whether a folder, or the nearest one above it that exists, cannot be written to.
fn unwritable(folder: &Path) -> Option<Problem> {
    let nearest = folder.ancestors().find(|p| p.exists())?;
    let why = match std::fs::metadata(nearest) {
        Ok(found) if !found.is_dir() => "is not a folder".to_owned(),
        // the only question whose answer is sure: can something be made there?
        Ok(_) => match tempfile_in(nearest) {
            Ok(()) => return None,
            Err(error) => format!("cannot be written to ({error})"),
        },
        Err(error) => format!("cannot be read ({error})"),
    };
    Some(problem(format!("The folder {} {why}", nearest.display()), "Change its permissions, or set INFERSCOPE_HOME to another folder"))
}

fn tempfile_in(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".inferscope-{}.partial", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)
}

fn driven(file: &str, hooks: &Hooks) -> Result<Value, CliError> {
    Ok((hooks.drive_window)(names::resolve(file)?)?)
}

fn words(value: &Value, facts: &EngineFacts, problems: &[Problem]) -> String {
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row("inferscope", build::version_line());
    let engine = match facts.build.as_str() {
        "" => "does not start".to_owned(),
        number => format!("{} {number}", facts.name),
    };
    row("engine", engine);
    row("CPU features", facts.cpu_features.join(" "));
    row("backends", facts.backends.join(" "));
    for device in &facts.devices {
        row("device", format!("{} ({}), {}, {} free", device.description, device.name, device.kind, format::bytes(device.memory_free)));
    }
    row("processor", format!("{}, {} cores, {} threads", text("/cpu/name"), number("/cpu/physical"), number("/cpu/logical")));
    row("memory", format!("{} of {} available", format::bytes(number("/memory/available")), format::bytes(number("/memory/total"))));
    let bandwidth = value["bandwidth_gb_s"].as_f64();
    let when = if text("/bandwidth_source") == "kept" { ", measured by the window and kept" } else { "" };
    row("bandwidth", bandwidth.map_or_else(|| "not measured".into(), |gb_s| format!("{gb_s:.1} GB/s, reading{when}")));
    row("models", format!("{} on disk; ours are in {}", number("/models"), text("/dirs/models")));
    row("chats", text("/dirs/data"));
    row("settings", text("/dirs/config"));
    if let Some(window) = value.get("window").and_then(Value::as_object) {
        for (name, measured) in window {
            row(&format!("window {name}"), measured.as_str().map_or_else(|| measured.to_string(), str::to_owned));
        }
    }
    // the table's first row serves as its heading
    let mut out = match rows.split_first() {
        Some((first, rest)) => table(&first.iter().map(String::as_str).collect::<Vec<_>>(), &[], rest),
        None => String::new(),
    };
    if problems.is_empty() {
        out.push_str("\nNothing to fix\n");
    }
    for p in problems {
        out.push_str(&format!("\n{}\n  {}\n", p.what, p.fix));
    }
    out
}
