//! `estimate`: what memory a design will take, before it is loaded.

use serde_json::json;

use super::args::{EstimateArgs, Global};
use super::error::{CliError, NO};
use super::names;
use super::output::{Output, table};
use super::session::{Session, unexpected};
use crate::library::{self, Header, MachineMemory, NearestFit, ScanCache};
use crate::measure::format;
use crate::protocol::{Command, Design, Event, MemoryUse};

/// Runs the command; status 1 when the design does not fit.
///
/// # Errors
/// What stopped it.
pub fn run(args: &EstimateArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    let mut design = args.design.design(out)?;
    design.model = names::model_of(args.file.as_deref(), &design)?;
    let header = library::read_model(&design.model)?;
    let machine = MachineMemory::read();
    let mut estimate = library::estimate(&header, &design, &machine, 0);
    let mut source = "header";
    if !args.header_only {
        match asked(&design, global, out) {
            Ok(memory) => {
                source = "engine";
                estimate.fits = fits(memory.total(), estimate.total, &header, &design, &machine);
                estimate.memory = memory;
                estimate.total = memory.total();
            }
            Err(error) if error.kind == "unsupported" => {}
            Err(error) => return Err(error),
        }
    }
    let nearest = if estimate.fits { Vec::new() } else { nearest(&design, &header, estimate.total, &machine) };
    let value = json!({
        "weights": estimate.memory.weights,
        "kv": estimate.memory.kv,
        "compute": estimate.memory.compute,
        "total": estimate.total,
        "available": estimate.available,
        "memory_total": machine.total,
        "fits": estimate.fits,
        "source": source,
        "nearest": nearest.iter().map(|n| json!({"words": n.words, "model": n.design.model, "n_ctx": n.design.n_ctx, "total": n.estimate.total})).collect::<Vec<_>>(),
        "design": design,
    });
    out.result(&value, || {
        let row = |name: &str, bytes: u64| vec![name.to_owned(), format::bytes(bytes)];
        let rows = [
            row("weights", estimate.memory.weights),
            row("KV cache", estimate.memory.kv),
            row("compute", estimate.memory.compute),
            row("together", estimate.total),
            row("available", estimate.available),
        ];
        let verdict = if estimate.fits { "It fits" } else { "It does not fit" };
        let mut text = format!("{}{verdict}\n", table(&["estimated", source], &[1], &rows));
        for near in &nearest {
            text.push_str(&format!("  {}\n", near.words));
        }
        text
    })?;
    Ok(if estimate.fits { 0 } else { NO })
}

/// llama.cpp's own allocator, which does not allocate for this.
fn asked(design: &Design, global: &Global, out: Output) -> Result<MemoryUse, CliError> {
    let mut session = Session::start(global, out)?;
    match session.run(|job| Command::Estimate { job, design: design.clone() }, |_| Ok(()))? {
        Event::Estimated { memory, .. } => Ok(memory),
        other => Err(unexpected(&other)),
    }
}

/// What would fit instead: a smaller context, or a smaller rung of the same family on disk, as the window offers them. Where the engine
/// wants more than the header foretold, the machine counts as smaller by so much.
fn nearest(design: &Design, header: &Header, total: u64, machine: &MachineMemory) -> Vec<NearestFit> {
    let more = total.saturating_sub(library::estimate(header, design, machine, 0).total);
    let machine = MachineMemory { available: machine.available.saturating_sub(more), ..*machine };
    let mut dirs = names::known_dirs();
    dirs.extend(design.model.parent().map(Into::into));
    let scan = library::scan(&dirs, &mut ScanCache::new());
    library::nearest_fit(scan.family_of(&library::places::spelling(&design.model, &scan)), design, &machine, 0)
}

/// The library's rule, asked about the engine's total: as if the difference to the header's were taken from, or given to, the machine.
fn fits(total: u64, by_header: u64, header: &Header, design: &Design, machine: &MachineMemory) -> bool {
    let taken = total.saturating_sub(by_header);
    let given = by_header.saturating_sub(total);
    if taken > machine.available {
        return false;
    }
    let machine = MachineMemory { available: machine.available - taken, ..*machine };
    library::estimate(header, design, &machine, given).fits
}
