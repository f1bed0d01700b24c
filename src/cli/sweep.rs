//! `sweep`: a grid of designs measured fairly, with the front, what breaks a limit, and the best.

pub mod args;
mod drive;
mod output;

use std::path::{Path, PathBuf};

use self::args::SweepArgs;
use super::args::Global;
use super::error::{CliError, NO};
use super::names;
use super::output::Output;
use super::session::Session;
use crate::engine::examine::Examiner;
use crate::library::{self, MachineMemory, ScanCache};
use crate::measure::sweep::{Candidate, End, Grid, RungFile, Sweep, SweepPlan, SweepQuality};
use crate::protocol::{Design, Metric, QualityText, RunId};
use crate::store::sweeps;

/// Bytes of text for each token of it that is read: no tokenizer needs more on average.
const BYTES_PER_TOKEN: usize = 16;

/// Runs the command; the exit status: 1 when it was stopped, or when no design can be chosen.
///
/// # Errors
/// What kept it from being carried out. A design that fails is a row, not an error.
pub fn run(args: &SweepArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    let (mut sweep, kept) = match &args.resume {
        Some(name) => resume(name)?,
        None => (Sweep::new(plan(args, out)?).map_err(CliError::usage)?, None),
    };
    let path = kept.or_else(|| args.save.clone()).or_else(|| default_file(&sweep.plan().name));
    let mut session = Session::start(global, out)?;
    if args.resume.is_none() {
        let (environment, ops_gflops) = drive::environment(&mut session, args)?;
        sweep = Sweep::new(SweepPlan { environment, ops_gflops, ..sweep.plan().clone() }).map_err(CliError::usage)?;
    }
    let sweep = drive::drive(&mut session, sweep, path.as_deref(), out)?;
    let is_over = matches!(sweep.ended(), Some(End::Complete | End::NothingLeft));
    let sweep = drive::keep_runs(sweep, path.as_deref().filter(|_| !is_over), out);
    let mut result = sweep.result();
    if result.runs.iter().all(|run| run.id == RunId::default()) {
        // not kept: told apart by their place
        for (run, id) in result.runs.iter_mut().zip(1..) {
            run.id = RunId(id);
        }
    }
    output::print(&sweep, &result, path.as_deref().filter(|_| !is_over), out)?;
    if let Some(path) = path.filter(|_| is_over && args.save.is_none()) {
        // what is done needs no resuming
        drop(sweeps::remove(&path));
    }
    Ok(if sweep.ended() == Some(End::Cancelled) || result.best.is_none() { NO } else { 0 })
}

fn default_file(name: &str) -> Option<PathBuf> {
    Some(sweeps::file(&names::settings().0?.data, name))
}

/// Takes up a sweep by its file or its name.
fn resume(name: &str) -> Result<(Sweep, Option<PathBuf>), CliError> {
    let direct = PathBuf::from(name);
    let path = if direct.exists() { Some(direct) } else { default_file(name).filter(|path| path.exists()) };
    let Some(path) = path else {
        let known: Vec<String> =
            names::settings().0.map(|dirs| sweeps::list(&dirs.data)).unwrap_or_default().into_iter().map(|kept| kept.name).collect();
        let hint = if known.is_empty() { "No sweep is unfinished".to_owned() } else { format!("Unfinished are {}", known.join(", ")) };
        return Err(CliError::new("file_missing", "There is no such sweep", super::error::USAGE).hint(hint).path(name));
    };
    let failed = |why: String| CliError::new("invalid_sweep", format!("The sweep cannot be read: {why}"), super::error::USAGE).path(&path);
    let text = sweeps::read(&path).map_err(|error| failed(error.to_string()))?;
    let mut sweep: Sweep = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    sweep.resume();
    Ok((sweep, Some(path)))
}

fn plan(args: &SweepArgs, out: Output) -> Result<SweepPlan, CliError> {
    let base = args.design.design(out)?;
    let base = Design { model: names::model_of(args.file.as_deref(), &base)?, ..base };
    let grid = Grid::parse(&args.grid).map_err(|error| CliError::usage(error.to_string()))?;
    let rungs = rungs(&base.model);
    let mut candidates = grid.candidates(&base, &rungs).map_err(|error| CliError::usage(error.to_string()))?;
    let machine = MachineMemory::read();
    let mut examiner = Examiner::new(machine);
    for candidate in &mut candidates {
        let cells = candidate.depth.saturating_add(args.n_prompt.max(args.n_gen));
        examiner.examine(candidate, cells);
    }
    let goal = match &args.goal {
        Some(name) => Metric::by_key(name).ok_or_else(|| {
            let keys: Vec<&str> = Metric::ALL.iter().map(|metric| metric.key()).collect();
            CliError::usage(format!("There is no figure named {name}")).hint(format!("There are {}", keys.join(", ")))
        })?,
        None if args.n_gen > 0 => Metric::DecodeTps,
        None => Metric::PrefillTps,
    };
    let wants_quality = args.text.is_some() || args.limit.iter().any(|limit| limit.metric.is_quality());
    let quality = if wants_quality { Some(quality(args, &base, &candidates, &rungs)?) } else { None };
    let keep_warm_bytes = args.keep_warm.map_or(machine.available / 2, |gib| (gib * f64::from(1 << 30)) as u64);
    Ok(SweepPlan {
        name: args.name.clone().unwrap_or_else(drive::name_by_time),
        candidates,
        n_prompt: args.n_prompt,
        n_gen: args.n_gen,
        blocks: args.blocks,
        no_warmup: args.no_warmup,
        goal,
        limits: args.limit.clone(),
        budget_seconds: args.budget,
        seed: args.order_seed.unwrap_or_else(drive::seed_by_time),
        quality,
        search: args.search,
        price_per_hour: args.price.or_else(|| names::settings().1.price_per_hour),
        keep_warm_bytes: keep_warm_bytes.max(1),
        ..SweepPlan::default()
    })
}

/// The levels of a model's family that are on disk.
fn rungs(model: &Path) -> Vec<RungFile> {
    let mut dirs = names::known_dirs();
    let beside = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dirs.iter().any(|dir| dir == beside) {
        dirs.push(beside.to_path_buf());
    }
    let scan = library::scan(&dirs, &mut ScanCache::new());
    let family = scan.family_of(&library::places::spelling(model, &scan));
    family.map(|family| family.on_disk().map(|(rung, path)| (rung.quant.clone(), path.to_path_buf())).collect()).unwrap_or_default()
}

/// What quality loss is measured on: the text, against the largest file among the candidates and their family.
fn quality(args: &SweepArgs, base: &Design, candidates: &[Candidate], rungs: &[RungFile]) -> Result<SweepQuality, CliError> {
    let file = args.text.as_deref().unwrap_or(library::text::BUILTIN);
    let mut text = super::quality::text(file)?;
    if args.chunks > 0 {
        let mut end = (args.chunks as usize * args.chunk as usize).saturating_mul(BYTES_PER_TOKEN).min(text.len());
        while !text.is_char_boundary(end) {
            end += 1;
        }
        text.truncate(end);
    }
    let files = candidates.iter().map(|candidate| &candidate.design.model).chain(rungs.iter().map(|(_, file)| file));
    let size = |file: &&PathBuf| file.metadata().map_or(0, |meta| meta.len());
    let largest = files.max_by_key(size).cloned().unwrap_or_else(|| base.model.clone());
    Ok(SweepQuality {
        reference: Design { threads: base.threads, threads_batch: base.threads_batch, ..Design::for_model(largest) },
        text: QualityText::Plain(text),
        name: Path::new(file).file_name().map_or_else(|| file.to_owned(), |name| name.to_string_lossy().into_owned()),
        hash: String::new(),
        n_ctx: args.chunk,
        max_chunks: args.chunks,
    })
}
