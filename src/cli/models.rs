//! `models`: families and their ladders. Read-only.

use serde_json::{Value, json};

use super::args::ModelsArgs;
use super::error::CliError;
use super::names;
use super::output::{Output, table};
use crate::library::{self, Family, Rung, RungState, Scan, ScanCache};
use crate::measure::format;

/// Runs the command; the exit status.
///
/// # Errors
/// When the output cannot be written. Folders and files that cannot be read are results.
pub fn run(args: &ModelsArgs, out: Output) -> Result<u8, CliError> {
    let dirs = if args.dirs.is_empty() { names::known_dirs() } else { args.dirs.clone() };
    let mut scan = library::scan(&dirs, &mut ScanCache::new());
    // a folder of ours that was never needed may be missing; one that was asked for may not
    for dir in args.dirs.iter().filter(|dir| !dir.is_dir()) {
        if !scan.skipped.iter().any(|s| s.path == *dir) {
            let why = if dir.exists() { "This is not a folder" } else { "There is no such folder" };
            scan.skipped.push(library::Skipped { path: dir.clone(), why: why.into() });
        }
    }
    let families: Vec<Value> = scan.families.iter().map(family).collect();
    out.result(&json!({"families": families, "skipped": scan.skipped, "dirs": dirs}), || words(&scan, &dirs))?;
    Ok(0)
}

fn family(family: &Family) -> Value {
    json!({
        "name": family.name,
        "arch": family.arch,
        "n_params": family.n_params,
        "n_layer": family.n_layer,
        "n_ctx_train": family.n_ctx_train,
        "rungs": family.rungs.iter().map(rung).collect::<Vec<_>>(),
    })
}

/// Every rung has the same fields, whatever its state; what does not apply is null.
fn rung(rung: &Rung) -> Value {
    let mut value = json!({
        "quant": rung.quant, "path": null, "size": null, "bpw": null, "state": null, "source": null, "usual": rung.usual, "note": rung.note,
    });
    let more = match &rung.state {
        RungState::OnDisk { path, size, bpw, alternates } => {
            json!({"path": path, "size": size, "bpw": bpw, "state": "on_disk", "alternates": alternates})
        }
        RungState::CanMake { source, source_quant, size_estimate, bpw_estimate, seconds_estimate, lossy_source, target, .. } => json!({
            "size": size_estimate, "bpw": bpw_estimate, "state": "can_make", "source": source, "source_quant": source_quant,
            "seconds_estimate": seconds_estimate, "lossy_source": lossy_source, "target": target,
        }),
        RungState::Unavailable { why } => json!({"state": "unavailable", "why": why}),
    };
    if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
        fields.extend(more);
    }
    value
}

fn words(scan: &Scan, dirs: &[std::path::PathBuf]) -> String {
    let mut text = String::new();
    for family in &scan.families {
        text.push_str(&format!(
            "{}  {}, {}, {} layers, trained for {} tokens\n",
            family.name,
            family.arch,
            format::params(family.n_params),
            family.n_layer,
            format::count(family.n_ctx_train.into())
        ));
        let mut rows = Vec::new();
        let mut makeable = Vec::new();
        for rung in &family.rungs {
            match &rung.state {
                RungState::OnDisk { path, size, bpw, .. } => rows.push(vec![
                    format!("  {}:{}", family.name, rung.quant),
                    format::bytes(*size),
                    format::bits_per_weight(*bpw),
                    path.display().to_string(),
                ]),
                RungState::CanMake { .. } => makeable.push(rung.quant.as_str()),
                RungState::Unavailable { .. } => {}
            }
        }
        text.push_str(&table(&["  on disk", "size", "bits", "file"], &[1, 2], &rows));
        if !makeable.is_empty() {
            text.push_str(&format!("  can be made: {}\n", makeable.join(" ")));
        }
        text.push('\n');
    }
    if scan.families.is_empty() {
        text.push_str("No models were found in:\n");
        for dir in dirs {
            text.push_str(&format!("  {}\n", dir.display()));
        }
        text.push_str("Put a GGUF file there, or name its folder with --dir\n");
    }
    for skipped in &scan.skipped {
        text.push_str(&format!("passed over: {}: {}\n", skipped.why, skipped.path.display()));
    }
    text
}
