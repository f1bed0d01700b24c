//! `quantize`: makes a rung in the engine, with progress for whoever watches.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::args::{Global, QuantizeArgs};
use super::error::CliError;
use super::names;
use super::output::Output;
use super::session::{Session, file_name, unexpected};
use crate::library::{self, Header};
use crate::measure::format;
use crate::protocol::{Command, Event, FileType, QuantizeRequest};

/// Width of the bar, in characters.
const BAR: usize = 30;

/// Runs the command; the exit status.
///
/// # Errors
/// What stopped it; no partial file is left.
pub fn run(args: &QuantizeArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    let source = names::resolve(&args.file)?;
    // "beside the source" must mean a folder, also for a bare file name
    let source = std::path::absolute(&source).unwrap_or(source);
    let header = library::read_model(&source)?;
    let source_quant = header.quant();
    let lossy = FileType::by_name(&source_quant).is_none_or(|t| !t.is_lossless());
    let request = request(args, &source, &header)?;
    if lossy {
        out.note(&format!(
            "note: the source is itself lossy ({source_quant}): the result is at best as good; an F16 or BF16 file makes a better one"
        ));
    }
    let target = request.target.clone();
    let mut session = Session::start(global, out)?;
    let began = Instant::now();
    let ended = session.run(
        |job| Command::Quantize { job, request },
        |event| {
            if let Event::Progress { done, total, .. } = event {
                out.progress(&bar(*done, *total, began.elapsed().as_secs_f64(), args.to.name));
            }
            Ok(())
        },
    );
    out.progress("");
    match ended? {
        Event::Quantized { path, size, bpw, seconds, fallbacks, .. } => {
            let value = json!({
                "path": path,
                "size": size,
                "bpw": bpw,
                "seconds": seconds,
                "quant": args.to.name,
                "source": source,
                "source_quant": source_quant,
                "lossy_source": lossy,
                "fallbacks": fallbacks,
            });
            if fallbacks > 0 {
                out.note(&format!("note: {fallbacks} tensors could not take {} and got another type", args.to.name));
            }
            out.result(&value, || {
                format!(
                    "{}: {}, {} bits per weight, made from {} ({source_quant}) in {}\n",
                    target.display(),
                    format::bytes(size),
                    format::bits_per_weight(bpw),
                    file_name(&source),
                    format::seconds(seconds)
                )
            })?;
            Ok(0)
        }
        other => Err(unexpected(&other)),
    }
}

fn request(args: &QuantizeArgs, source: &Path, header: &Header) -> Result<QuantizeRequest, CliError> {
    let imatrix = args.imatrix.clone();
    if args.to.needs_imatrix && imatrix.is_none() {
        return Err(CliError::usage(format!("{} cannot be made without an importance matrix", args.to.name))
            .hint("Give one with --imatrix, or choose a level of three bits or more"));
    }
    if let Some(file) = imatrix.as_deref().filter(|file| !file.is_file()) {
        return Err(CliError::new("file_missing", "The importance matrix is not there", super::error::USAGE).path(file));
    }
    let mut prune_layers = args.prune_layers.as_ref().map(|l| l.0.clone()).unwrap_or_default();
    prune_layers.sort_unstable();
    prune_layers.dedup();
    let n_layer = header.info().n_layer;
    if let Some(beyond) = prune_layers.iter().find(|layer| **layer >= n_layer) {
        return Err(CliError::usage(format!("There is no layer {beyond}: the model has {n_layer}, counted from 0")));
    }
    if !prune_layers.is_empty() && prune_layers.len() as u64 >= u64::from(n_layer) {
        return Err(CliError::usage("Nothing would be left: every layer is to be pruned"));
    }
    let target = target(args, source, !prune_layers.is_empty());
    if library::partial::is_same_file(&target, source) {
        return Err(CliError::usage("The result would replace its source").hint("Choose another name with --out").path(target));
    }
    if let Some(folder) = target.parent().filter(|folder| **folder == names::models_dir() && !folder.is_dir()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            CliError::new("disk", format!("The models folder could not be made: {error}"), super::error::USAGE).path(folder)
        })?;
    }
    if let Some(folder) = target.parent().filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(CliError::new("disk", "The folder for the result does not exist", super::error::USAGE).path(folder));
    }
    Ok(QuantizeRequest {
        source: source.to_path_buf(),
        target,
        file_type: args.to.name.to_owned(),
        imatrix,
        prune_layers,
        threads: args.threads,
    })
}

fn target(args: &QuantizeArgs, source: &Path, pruned: bool) -> PathBuf {
    let base = base_of(&source.file_stem().unwrap_or_default().to_string_lossy()) + if pruned { "-pruned" } else { "" };
    let suggested = || library::suggest_target(source, &base, args.to.name, &names::models_dir());
    match &args.out {
        None => suggested(),
        Some(folder) if folder.is_dir() => folder.join(suggested().file_name().unwrap_or_default()),
        Some(file) => file.clone(),
    }
}

/// A file's stem without the level at its end: `SmolLM2.Q4_1` is `SmolLM2`.
fn base_of(stem: &str) -> String {
    let level = |text: &str| FileType::by_name(text).is_some();
    match stem.rsplit_once(['.', '-']) {
        Some((base, last)) if level(last) && !base.is_empty() => base.to_owned(),
        _ => stem.to_owned(),
    }
}

/// `Q4_K_M [##########          ] 34 %, 41 s left`.
fn bar(done: u64, total: u64, elapsed: f64, name: &str) -> String {
    let fraction = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
    let full = (fraction * BAR as f64) as usize;
    let mut line = format!("{name} [{}{}] {:.0} %", "#".repeat(full), " ".repeat(BAR - full), fraction * 100.0);
    if fraction > 0.0 && elapsed > 1.0 {
        line.push_str(&format!(", {} left", format::seconds(elapsed / fraction - elapsed)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_stays_in_its_frame() {
        assert_eq!(bar(0, 0, 0.0, "Q8_0"), format!("Q8_0 [{}] 0 %", " ".repeat(BAR)));
        assert_eq!(bar(1, 2, 0.5, "Q8_0"), format!("Q8_0 [{}{}] 50 %", "#".repeat(15), " ".repeat(15)));
        assert!(bar(9, 5, 10.0, "Q8_0").contains(&"#".repeat(BAR)));
        assert!(bar(1, 4, 10.0, "Q8_0").ends_with("25 %, 30 s left"));
    }

    #[test]
    fn the_level_leaves_the_name() {
        for (stem, base) in [("a.Q4_1", "a"), ("a-b-q8_0", "a-b"), ("model", "model"), ("x-Instruct", "x-Instruct"), (".Q4_1", ".Q4_1")] {
            assert_eq!(base_of(stem), base);
        }
    }
}
