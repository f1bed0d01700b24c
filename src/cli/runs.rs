//! `runs`: what was measured and kept, here and by the window.

use std::path::Path;

use serde_json::{Value, json};

use super::error::{CliError, NO};
use super::output::{Output, table};
use super::runs_args::{RunsArgs, RunsCommand, RunsFormat};
use crate::measure::quality::report;
use crate::measure::{format, kept, versus};
use crate::protocol::{Metric, Run, RunId, RunTrust};
use crate::store::{Dirs, Op, RunHead, Store, StoreError};

/// An output of llama-bench is a page of text; a large file is something else.
const MAX_FILE: u64 = 64 << 20;

/// Runs the command; the exit status.
///
/// # Errors
/// When the data cannot be opened, a run is not there, or a file cannot be read.
pub fn run(args: &RunsArgs, out: Output) -> Result<u8, CliError> {
    let mut store = open(out)?;
    match args.command.as_ref().unwrap_or(&RunsCommand::List { filter: Vec::new(), limit: 0 }) {
        RunsCommand::List { filter, limit } => list(&mut store, filter, *limit, out),
        RunsCommand::Show { id } => show(&mut store, *id, out),
        RunsCommand::Tokens { id } => tokens(&mut store, *id, out),
        RunsCommand::Compare { first, second } => compare(&mut store, *first, *second, out),
        RunsCommand::Export { ids, filter, output } => export(&mut store, ids, filter, *output, out),
        RunsCommand::Import { files } => import(&mut store, files, out),
        RunsCommand::Delete { ids } => change(&mut store, ids, Op::DeleteRun, "deleted", out),
        RunsCommand::Restore { ids } => change(&mut store, ids, Op::RestoreRun, "restored", out),
    }
}

/// The data of this user, beside a window that may be open.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open(out: Output) -> Result<Store, CliError> {
    let dirs = Dirs::resolve().map_err(|error| of_store(&error))?;
    let (store, notices) = Store::join(&dirs.data).map_err(|error| of_store(&error))?;
    for notice in notices {
        out.note(&format!("note: {notice}"));
    }
    Ok(store)
}

/// Keeps a run, on the disk when this returns.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(run: Run, out: Output) -> Result<RunId, CliError> {
    open(out)?.keep_run(run).map_err(|error| of_store(&error))
}

fn of_store(error: &StoreError) -> CliError {
    let plain = CliError::new("store", error.message.clone(), super::error::USAGE).hint(error.hint.clone());
    match &error.path {
        Some(path) => plain.path(path),
        None => plain,
    }
}

fn heads(store: &mut Store, filter: &[String]) -> Vec<RunHead> {
    let needles: Vec<String> = filter.iter().flat_map(|words| words.split_whitespace()).map(str::to_lowercase).collect();
    let mut all = store.runs();
    all.retain(|head| {
        let text = head.searched();
        needles.iter().all(|needle| text.contains(needle.as_str()))
    });
    all
}

fn list(store: &mut Store, filter: &[String], limit: usize, out: Output) -> Result<u8, CliError> {
    let mut all = heads(store, filter);
    if limit > 0 {
        all.truncate(limit);
    }
    out.result(&json!({ "runs": all }), || {
        if all.is_empty() {
            return "No run is kept. Keep one with: inferscope bench FILE --keep\n".into();
        }
        let rows: Vec<Vec<String>> = all.iter().map(row).collect();
        table(&["id", "when", "run", "model", "design", "figure", "trust"], &[0, 5], &rows)
    })?;
    Ok(0)
}

fn row(head: &RunHead) -> Vec<String> {
    let figure = head.figures.iter().find(|(metric, _)| *metric != Metric::PeakMemory && *metric != Metric::FileSize);
    vec![
        head.id.0.to_string(),
        when(head.started_ms),
        if head.title.is_empty() { head.workload.clone() } else { format!("{} ({})", head.title, head.workload) },
        format!("{} {}", head.model, head.quant).trim().to_owned(),
        if head.design.is_empty() { "default".into() } else { head.design.clone() },
        figure.map_or_else(|| format::ABSENT.into(), |(metric, value)| format::metric(*metric, *value)),
        head.failure.clone().unwrap_or_else(|| trust(head.trust).to_owned()),
    ]
}

fn when(unix_ms: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(unix_ms).filter(|_| unix_ms > 0);
    time.map_or_else(|| format::ABSENT.into(), |time| time.with_timezone(&chrono::Local).format("%Y-%m-%d %H:%M").to_string())
}

fn trust(trust: RunTrust) -> &'static str {
    match trust {
        RunTrust::Trusted => "trusted",
        RunTrust::Noisy => "noisy",
        RunTrust::TooFew => "too few",
    }
}

fn read(store: &mut Store, id: i64) -> Result<Run, CliError> {
    store.run(RunId(id)).ok_or_else(|| {
        CliError::new("no_such_run", format!("There is no run {id}"), super::error::USAGE).hint("`inferscope runs` lists them")
    })
}

fn with_hash(run: &Run) -> Value {
    let mut value = serde_json::to_value(run).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("design_hash".into(), run.design_hash().into());
    }
    value
}

fn show(store: &mut Store, id: i64, out: Output) -> Result<u8, CliError> {
    let run = read(store, id)?;
    out.result(&with_hash(&run), || words(&run))?;
    Ok(0)
}

fn tokens(store: &mut Store, id: i64, out: Output) -> Result<u8, CliError> {
    let run = read(store, id)?;
    let Some(record) = store.run_with_tokens(run.id).and_then(|run| run.tokens) else {
        let error = CliError::new("no_tokens", format!("Run {id} has no tokens kept with it"), NO);
        return Err(error.hint("`inferscope quality --keep` and the Quality page keep them, up to 50,000 scored tokens a candidate"));
    };
    let scores = || record.scores.iter().map(|(at, score)| (*at, score));
    if out.json() {
        out.document(&json!({ "run": id, "text": record.layout.text, "scores": report::tokens_json(scores(), &record.layout) }))?;
    } else {
        out.raw(&report::tokens_csv(scores(), &record.layout))?;
    }
    Ok(0)
}

/// A run in words: figures, then what they were measured with and on.
fn words(run: &Run) -> String {
    let mut text = format!("run {}  {}  {}\n", run.id.0, run.title, run.workload.words()).replace("    ", "  ");
    for (metric, samples) in &run.samples {
        if let Some(value) = run.figure(*metric) {
            text.push_str(&format!("  {:<20} {:>12}", metric.name(), format::metric(*metric, value)));
            if samples.len() > 1 {
                let all: Vec<String> = samples.iter().map(|sample| format!("{sample:.2}")).collect();
                text.push_str(&format!("   median of {}", all.join(" ")));
            }
            text.push('\n');
        }
    }
    text.push_str(&format!("trust: {}\n", trust(run.trust)));
    for reason in &run.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    if let Some(error) = &run.failure {
        text.push_str(&format!("failed: {error}\n"));
    }
    let e = &run.environment;
    let design = run.design.differences(&run.design.sampler);
    text.push_str(&format!("design {}: {}\n", run.design_hash(), if design.is_empty() { "default" } else { &design }));
    text.push_str(&format!("model: {} {}  {}\n", e.model, e.quant, run.design.model.display()));
    let engine = format!("{} {}", e.engine, e.engine_build);
    let known = [e.cpu.as_str(), &e.os, engine.trim()].into_iter().filter(|part| !part.is_empty());
    let machine = known.collect::<Vec<_>>().join(", ");
    text.push_str(&format!("on: {machine}\n"));
    text
}

fn compare(store: &mut Store, first: i64, second: i64, out: Output) -> Result<u8, CliError> {
    let (a, b) = (read(store, first)?, read(store, second)?);
    let figures = versus::figures(&a, &b);
    let design = a.design.diff(&b.design);
    let environment = versus::environments(&a, &b);
    let document = json!({
        "first": first,
        "second": second,
        "figures": figures.iter().map(|figure| json!({
            "metric": figure.metric.key(),
            "first": figure.a,
            "second": figure.b,
            "ratio": figure.ratio,
            "low": figure.interval.map(|interval| interval.low),
            "high": figure.interval.map(|interval| interval.high),
            "better": figure.is_better(),
            "tested": match figure.how {
                versus::How::Paired => "in pairs",
                versus::How::Unpaired => "unpaired",
                versus::How::NotTested => "not tested",
            },
            "reason": figure.reason,
        })).collect::<Vec<_>>(),
        "design": design,
        "environment": environment,
    });
    out.result(&document, || {
        let mut text = String::new();
        for figure in &figures {
            let value = |value: Option<f64>| value.map_or_else(|| format::ABSENT.to_owned(), |value| format::metric(figure.metric, value));
            let ratio = figure.ratio.map_or_else(|| format::ABSENT.to_owned(), |ratio| format!("{ratio:.3}"));
            let (name, a, b) = (figure.metric.name(), value(figure.a), value(figure.b));
            text.push_str(&format!("{name:<20} {a:>12} {b:>12}   ratio {ratio}\n  {}\n", figure.reason));
        }
        for change in &design {
            text.push_str(&format!("design: {change}\n"));
        }
        for change in &environment {
            text.push_str(&format!("environment: {change}\n"));
        }
        text
    })?;
    Ok(0)
}

fn export(store: &mut Store, ids: &[i64], filter: &[String], format: RunsFormat, out: Output) -> Result<u8, CliError> {
    let runs = if ids.is_empty() {
        let heads = heads(store, filter);
        heads.iter().filter_map(|head| store.run(head.id)).collect()
    } else {
        ids.iter().map(|id| read(store, *id)).collect::<Result<Vec<Run>, _>>()?
    };
    let text = match format {
        _ if out.json() => kept::json(&runs),
        RunsFormat::Json => kept::json(&runs),
        RunsFormat::Csv => kept::csv(&runs),
        RunsFormat::Md => kept::markdown(&runs),
    };
    out.raw(&text)?;
    Ok(0)
}

fn import(store: &mut Store, files: &[std::path::PathBuf], out: Output) -> Result<u8, CliError> {
    let mut ids = Vec::new();
    for file in files {
        for run in parse(file)? {
            ids.push(store.keep_run(run).map_err(|error| of_store(&error))?.0);
        }
    }
    out.result(&json!({ "imported": ids }), || format!("{} runs imported\n", ids.len()))?;
    Ok(0)
}

fn parse(file: &Path) -> Result<Vec<Run>, CliError> {
    let failed = |kind: &str, what: String| CliError { kind: kind.into(), ..CliError::usage(what) }.path(file);
    let size = std::fs::metadata(file).map_err(|error| failed("file_missing", format!("It cannot be read: {error}")))?.len();
    if size > MAX_FILE {
        return Err(failed("invalid_runs", "This is no output of a benchmark: it is larger than 64 MB".into()));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed("file_missing", format!("It cannot be read: {error}")))?;
    kept::from_text(&text)
        .map_err(|why| failed("invalid_runs", why).hint("Write it with llama-bench -o json, or inferscope runs export -o json"))
}

fn change(store: &mut Store, ids: &[i64], op: fn(RunId) -> Op, done: &str, out: Output) -> Result<u8, CliError> {
    let known: Vec<i64> = ids.iter().copied().filter(|id| store.run(RunId(*id)).is_some()).collect();
    let ops: Vec<Op> = known.iter().map(|id| op(RunId(*id))).collect();
    store.apply(&ops).map_err(|error| of_store(&error))?;
    let missing: Vec<i64> = ids.iter().copied().filter(|id| !known.contains(id)).collect();
    out.result(&json!({ done: known, "missing": missing }), || {
        let mut text = format!("{} runs {done}\n", known.len());
        for id in &missing {
            text.push_str(&format!("there is no run {id}\n"));
        }
        text
    })?;
    Ok(if missing.is_empty() { 0 } else { NO })
}
