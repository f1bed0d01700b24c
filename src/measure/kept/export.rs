//! Runs as files for others: CSV for a spreadsheet, JSON with everything, a Markdown table for an issue thread.

use crate::measure::format;
use crate::protocol::{Metric, Run};

/// One line a run, medians of every figure, and the count of samples of the first one. Numbers are plain, in the unit of [`Metric`].
pub fn csv(runs: &[Run]) -> String {
    let mut out = String::from(
        "id,started,title,tags,group,model,quant,design,design_hash,workload,trust,failure,imported,cpu,engine,engine_build,app,repetitions",
    );
    for metric in Metric::ALL {
        out.push(',');
        out.push_str(metric.key());
    }
    out.push('\n');
    for run in runs {
        let environment = &run.environment;
        let repetitions = run.samples.values().map(Vec::len).max().unwrap_or(0);
        let fields = [
            run.id.0.to_string(),
            time(run.started_ms),
            run.title.clone(),
            run.tags.join(";"),
            run.group.clone(),
            environment.model.clone(),
            environment.quant.clone(),
            run.design.differences(&run.design.sampler),
            run.design_hash(),
            run.workload.words(),
            run.trust.word().to_owned(),
            run.failure.as_ref().map(|error| error.message.clone()).unwrap_or_default(),
            run.imported.clone(),
            environment.cpu.clone(),
            environment.engine.clone(),
            environment.engine_build.clone(),
            environment.app.clone(),
            repetitions.to_string(),
        ];
        let figures = Metric::ALL.map(|metric| run.figure(metric).map(|value| value.to_string()).unwrap_or_default());
        let quoted: Vec<String> = fields.iter().chain(&figures).map(|field| quote(field)).collect();
        out.push_str(&quoted.join(","));
        out.push('\n');
    }
    out
}

/// A field as RFC 4180 wants it. A text that a spreadsheet would take for a formula gets an apostrophe in front.
fn quote(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '@']) || (field.starts_with('-') && field.parse::<f64>().is_err());
    let field = if is_formula { format!("'{field}") } else { field.to_owned() };
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

/// Everything, raw samples and all, as JSON that says what it is.
pub fn json(runs: &[Run]) -> String {
    let value = |run: &Run| serde_json::to_value(run).unwrap_or_else(|error| serde_json::json!({ "not_exported": error.to_string() }));
    let document = serde_json::json!({ "format": "inferscope-runs", "version": 1, "runs": runs.iter().map(value).collect::<Vec<serde_json::Value>>() });
    format!("{document:#}\n")
}

/// A table with the figures that any of the runs has, and what they ran on under it.
pub fn markdown(runs: &[Run]) -> String {
    let metrics: Vec<Metric> = Metric::ALL.into_iter().filter(|metric| runs.iter().any(|run| run.samples.contains_key(metric))).collect();
    let mut out = String::from("| run | model | design | test |");
    let mut rule = String::from("| ---: | --- | --- | --- |");
    for metric in &metrics {
        out.push_str(&format!(" {} |", metric.name()));
        rule.push_str(" ---: |");
    }
    out.push_str(&format!(" trust |\n{rule} --- |\n"));
    for run in runs {
        let environment = &run.environment;
        let model = format!("{} {}", environment.model, environment.quant);
        let design = match run.design.differences(&run.design.sampler) {
            words if words.is_empty() => "default".to_owned(),
            words => words,
        };
        let title = if run.title.is_empty() { format!("#{}", run.id.0) } else { run.title.clone() };
        out.push_str(&format!("| {} | {} | {} | {} |", cell(&title), cell(model.trim()), cell(&design), cell(&run.workload.words())));
        for metric in &metrics {
            out.push_str(&format!(" {} |", run.figure(*metric).map(|value| format::metric(*metric, value)).unwrap_or_default()));
        }
        let trust = run.failure.as_ref().map_or_else(|| run.trust.word().to_owned(), |error| format!("failed: {}", error.message));
        out.push_str(&format!(" {} |\n", cell(&trust)));
    }
    let mut machines: Vec<String> = runs.iter().map(machine).filter(|words| !words.is_empty()).collect();
    machines.sort_unstable();
    machines.dedup();
    for machine in machines {
        out.push_str(&format!("\n{machine}\n"));
    }
    out
}

fn machine(run: &Run) -> String {
    let e = &run.environment;
    let engine = format!("{} {}", e.engine, e.engine_build);
    [e.cpu.as_str(), e.os.as_str(), engine.trim()].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// `2026-11-25T22:14:02Z`; empty for a time that is not known.
fn time(unix_ms: i64) -> String {
    let known = chrono::DateTime::from_timestamp_millis(unix_ms).filter(|_| unix_ms > 0);
    known.map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).unwrap_or_default()
}
