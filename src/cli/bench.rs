//! `bench`: llama-bench's measurement and its output, plus what it does not say.

use super::args::{BenchArgs, BenchFormat, Counts, Global};
use super::error::CliError;
use super::names;
use super::output::Output;
use super::session::{Session, file_name, unexpected};
use crate::engine::examine::prompt_ops;
use crate::library::{self, Header};
use crate::measure::Roofline;
use crate::measure::bench::{BenchReport, Markdown, csv_header, footer};
use crate::measure::kept;
use crate::measure::plan::cells;
use crate::measure::roofline::Bounds;
use crate::protocol::{BenchPlan, Command, Design, Environment, Event, RunTrust, Warmup, build};

/// Runs the command; the exit status.
///
/// # Errors
/// What stopped it.
pub fn run(args: &BenchArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    let format = if out.json() { BenchFormat::Json } else { args.output };
    let base = args.design.design(out)?;
    let designs = designs(args, &base)?;
    let values = |lists: &[Counts]| lists.iter().flat_map(|list| list.0.iter().copied()).collect::<Vec<_>>();
    let tests = cells(&values(&args.n_prompt), &values(&args.n_gen), &args.n_pg, &values(&args.n_depth));
    if tests.is_empty() {
        return Err(CliError::usage("There is nothing to measure: every size is 0").hint("Give -p, -n or -pg a size"));
    }
    let mut session = Session::start(global, out)?;
    let facts = session.facts().clone();
    let (bandwidth, gflops) = if args.no_probe { (None, None) } else { session.known_limits(base.threads)? };
    let table = Markdown::new(&facts, &base);
    match format {
        BenchFormat::Md => out.raw(&table.header())?,
        BenchFormat::Csv => out.raw(&format!("{}\n", csv_header()))?,
        BenchFormat::Json | BenchFormat::Jsonl => {}
    }
    let mut reports = Vec::new();
    let mut kept_ids = Vec::new();
    for (design, header) in designs {
        let bounds = Bounds {
            decode: bandwidth.map(|gb_s| roofline(gb_s, header.as_ref(), &design)),
            gflops,
            ops_per_token: header.as_ref().map_or(0.0, prompt_ops),
        };
        let warmup = if args.no_warmup { Warmup::None } else { Warmup::Stable };
        let plan =
            BenchPlan { design: design.clone(), tests: tests.clone(), repetitions: args.repetitions, warmup, ..BenchPlan::default() };
        let name = file_name(&design.model);
        let environment = args.keep.then(|| library::environment(&facts, &design, None));
        let ended = session.run(
            |job| Command::Bench { job, plan },
            |event| {
                match event {
                    Event::Progress { done, total, .. } => out.progress(&format!("Measuring {name}: {done} of {total} repetitions")),
                    Event::BenchRow { row, .. } => {
                        out.progress("");
                        let report = BenchReport::new(row, &facts, &design, &bounds, build::VERSION);
                        print(&report, format, &table, out)?;
                        reports.push(report);
                        if let Some(environment) = &environment {
                            let environment = Environment { bandwidth_gb_s: bandwidth, ..environment.clone() };
                            let run = kept::bench_run(&design, row, environment, chrono::Utc::now().timestamp_millis());
                            kept_ids.push(super::runs::keep(run, out)?.0);
                        }
                    }
                    _ => {}
                }
                Ok(())
            },
        );
        out.progress("");
        match ended? {
            Event::Done { .. } => {}
            other => return Err(unexpected(&other)),
        }
    }
    if let (Some(first), Some(last)) = (kept_ids.first(), kept_ids.last()) {
        let which = if first == last { format!("run {first}") } else { format!("runs {first} to {last}") };
        out.note(&format!("kept as {which}; `inferscope runs show {first}` shows it"));
    }
    match format {
        BenchFormat::Json => out.document(&reports)?,
        BenchFormat::Md => {
            out.raw(&footer(&facts))?;
            remarks(&reports, out);
        }
        BenchFormat::Jsonl | BenchFormat::Csv => {}
    }
    Ok(0)
}

/// One design a file, with its header where it can be read (the engine says what is wrong with one that cannot).
fn designs(args: &BenchArgs, base: &Design) -> Result<Vec<(Design, Option<Header>)>, CliError> {
    let mut models = Vec::new();
    for file in &args.files {
        models.push(names::model_of(Some(file), base)?);
    }
    if models.is_empty() {
        models.push(names::model_of(None, base)?);
    }
    let with_header = |model| {
        let design = Design { model, ..base.clone() };
        let header = library::read_model(&design.model).ok();
        (design, header)
    };
    Ok(models.into_iter().map(with_header).collect())
}

/// What bounds decoding: bytes of weights read per token, and of cache per token of context. Without a header nothing is known to be read.
fn roofline(bandwidth_gb_s: f64, header: Option<&Header>, design: &Design) -> Roofline {
    let read = |n_kv| header.map_or(0, |h| library::bytes_read_per_token(h, n_kv, design));
    let weights = read(0);
    Roofline { bandwidth_gb_s, weights, kv_per_token: read(1).saturating_sub(weights) as f64 }
}

fn print(report: &BenchReport, format: BenchFormat, table: &Markdown, out: Output) -> Result<(), CliError> {
    match format {
        BenchFormat::Md => out.raw(&table.row(report)),
        BenchFormat::Csv => out.raw(&format!("{}\n", report.csv())),
        BenchFormat::Jsonl => {
            let line = serde_json::to_string(report).map_err(|e| CliError::output(&e.into()))?;
            out.raw(&format!("{line}\n"))
        }
        BenchFormat::Json => Ok(()),
    }
}

/// What llama-bench's table has no column for, as messages.
fn remarks(reports: &[BenchReport], out: Output) {
    use crate::measure::{format, plan};
    for report in reports {
        let test = crate::protocol::BenchTest { n_prompt: report.n_prompt, n_gen: report.n_gen, n_depth: report.n_depth };
        let mut said = Vec::new();
        if let Some(fraction) = report.ours.roofline_fraction {
            let limit = if report.n_prompt == 0 { "the memory bandwidth's limit" } else { "the arithmetic rate's limit" };
            said.push(format!("{} of {limit}", format::percent(fraction)));
        }
        if report.ours.judgement.trust != RunTrust::Trusted {
            said.push(format!("{} ({})", report.ours.judgement.trust.word(), report.ours.judgement.trust_reasons.join("; ")));
        }
        if !said.is_empty() {
            let name = file_name(std::path::Path::new(&report.model_filename));
            out.note(&format!("{name} {}: {}", plan::cell_name(&test), said.join(", ")));
        }
    }
}
