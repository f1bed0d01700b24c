//! Runs that are kept: made of what a benchmark measured, read from llama-bench's own output, written out for others.

use serde_json::Value;

use super::bench::judge;
use crate::protocol::{BenchRow, BenchTest, CacheType, Design, Environment, FlashAttention, Metric, Run, RunId, Workload};

mod export;

pub use export::{csv, json, markdown};

/// More rows than that are no benchmark.
const MAX_ROWS: usize = 100_000;

/// How runs are written for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFormat {
    /// One line a run
    Csv,
    /// Everything
    Json,
    /// A table
    Markdown,
}

impl RunFormat {
    /// The ending of a file of this form, without its dot.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "md",
        }
    }

    /// Writes runs.
    pub fn write(self, runs: &[Run]) -> String {
        match self {
            Self::Csv => csv(runs),
            Self::Json => json(runs),
            Self::Markdown => markdown(runs),
        }
    }
}

/// The figure that a cell measures.
pub fn metric_of(test: &BenchTest) -> Metric {
    match (test.n_prompt, test.n_gen) {
        (_, 0) => Metric::PrefillTps,
        (0, _) => Metric::DecodeTps,
        _ => Metric::BothTps,
    }
}

/// The run of a measured cell that ended at `ended_ms`, Unix time, milliseconds. Speeds are those of llama-bench: `1e9 * tokens / ns` for each
/// repetition. Memory is what this design takes by purpose where the engine tells it, since the process may have held others before.
pub fn bench_run(design: &Design, row: &BenchRow, environment: Environment, ended_ms: i64) -> Run {
    let tokens = f64::from(row.test.n_prompt) + f64::from(row.test.n_gen);
    let speeds: Vec<f64> = row.samples_ns.iter().filter(|ns| **ns > 0).map(|ns| 1e9 * tokens / *ns as f64).collect();
    let seconds = row.samples_ns.iter().sum::<u64>() as f64 / 1e9;
    let mut run = Run::new(design.clone(), Workload::Bench { test: row.test }, ended_ms.saturating_sub((seconds * 1e3) as i64));
    run.seconds = seconds;
    run.environment = environment;
    trust(&mut run, &speeds);
    run.samples.insert(metric_of(&row.test), speeds);
    if metric_of(&row.test) == Metric::DecodeTps {
        let joules: Vec<f64> = row.surroundings.iter().filter_map(|seen| Some(seen.package_joules? / tokens)).collect();
        if !joules.is_empty() {
            run.samples.insert(Metric::EnergyPerToken, joules);
        }
    }
    let memory = if row.memory.total() > 0 { row.memory.total() } else { row.peak_rss };
    for (metric, bytes) in [(Metric::PeakMemory, memory), (Metric::FileSize, row.info.size)] {
        if bytes > 0 {
            run.samples.insert(metric, vec![bytes as f64]);
        }
    }
    if let Ok(effective) = serde_json::to_value(&row.effective) {
        run.extra.insert("effective".into(), effective);
    }
    run
}

/// Judges the samples a run stands on.
fn trust(run: &mut Run, samples: &[f64]) {
    let judged = judge(samples);
    run.trust = judged.trust;
    run.reasons = judged.trust_reasons;
}

/// Reads runs of others: what [`json`] wrote, or llama-bench ([`from_llama_bench`]). They come without ids, and marked as imported.
///
/// # Errors
/// A sentence on what is not as either writes it.
pub fn from_text(text: &str) -> Result<Vec<Run>, String> {
    #[derive(serde::Deserialize)]
    struct Exported {
        format: String,
        runs: Vec<Run>,
    }
    match serde_json::from_str::<Exported>(text.trim_start_matches('\u{feff}')) {
        Ok(exported) if exported.format == "inferscope-runs" => {
            let own = |run: Run| {
                let imported = if run.imported.is_empty() { "Inferscope".to_owned() } else { run.imported.clone() };
                Run { id: RunId(0), repeats: None, imported, ..run }
            };
            Ok(exported.runs.into_iter().map(own).collect())
        }
        _ => from_llama_bench(text),
    }
}

/// Reads what `llama-bench -o json` (or `jsonl`) wrote, as runs of others. Fields that a version of it does not have are left at their
/// defaults.
///
/// # Errors
/// A sentence on what is not as llama-bench writes it, with the row where that shows.
pub fn from_llama_bench(text: &str) -> Result<Vec<Run>, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let rows: Vec<Value> = if text.starts_with('[') {
        serde_json::from_str(text).map_err(|error| format!("This is not JSON: {error}"))?
    } else {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines
            .enumerate()
            .map(|(at, line)| serde_json::from_str(line).map_err(|error| format!("Line {} is not JSON: {error}", at + 1)))
            .collect::<Result<_, _>>()?
    };
    if rows.is_empty() {
        return Err("There is no row in it".into());
    }
    if rows.len() > MAX_ROWS {
        return Err(format!("It has {} rows; a benchmark has fewer than {MAX_ROWS}", rows.len()));
    }
    rows.iter().enumerate().map(|(at, row)| run_of(row).map_err(|why| format!("Row {} is not of llama-bench: {why}", at + 1))).collect()
}

fn run_of(row: &Value) -> Result<Run, String> {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |name: &str| row.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let need = |name: &str| count(name).ok_or_else(|| format!("it has no {name}"));
    let test = BenchTest { n_prompt: need("n_prompt")?, n_gen: need("n_gen")?, n_depth: count("n_depth").unwrap_or(0) };
    let numbers = |name: &str| -> Vec<f64> {
        row.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_f64).filter(|v| *v > 0.0).collect()
    };
    let tokens = f64::from(test.n_prompt) + f64::from(test.n_gen);
    let mut speeds = numbers("samples_ts");
    if speeds.is_empty() {
        speeds = numbers("samples_ns").iter().map(|ns| 1e9 * tokens / ns).collect();
    }
    let mut only_mean = false;
    if speeds.is_empty() {
        let mean = row.get("avg_ts").and_then(Value::as_f64).filter(|v| *v > 0.0).ok_or("it has neither samples nor a mean")?;
        (speeds, only_mean) = (vec![mean], true);
    }
    let started = chrono::DateTime::parse_from_rfc3339(&text("test_time")).map_or(0, |time| time.timestamp_millis());
    let mut run = Run::new(design_of(row), Workload::Bench { test }, started);
    run.imported = if row.get("ours").is_some() { "Inferscope" } else { "llama-bench" }.into();
    run.environment = environment_of(row);
    run.seconds = tokens * speeds.iter().map(|speed| 1.0 / speed).sum::<f64>();
    trust(&mut run, &speeds);
    if only_mean {
        run.reasons = vec!["Only the mean was in the file".into()];
    }
    run.samples.insert(metric_of(&test), speeds);
    Ok(run)
}

fn design_of(row: &Value) -> Design {
    let base = Design::default();
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let count = |name: &str, default: u32| row.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(default);
    let cache = |name: &str| CacheType::by_name(text(name)).unwrap_or_default();
    let mut design = Design {
        model: text("model_filename").into(),
        n_batch: count("n_batch", base.n_batch),
        n_ubatch: count("n_ubatch", base.n_ubatch),
        threads: count("n_threads", 0),
        type_k: cache("type_k"),
        type_v: cache("type_v"),
        // a boolean until 2026, then 1, 0 and -1 for auto
        flash_attention: match row.get("flash_attn") {
            Some(Value::Bool(true)) => FlashAttention::On,
            Some(Value::Bool(false)) => FlashAttention::Off,
            Some(number) => match number.as_i64() {
                Some(1) => FlashAttention::On,
                Some(0) => FlashAttention::Off,
                _ => FlashAttention::Auto,
            },
            None => FlashAttention::Auto,
        },
        ..base
    };
    if let Some(layers) = row.get("n_gpu_layers").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok()) {
        // 99 and the like are llama-bench's way to say all
        design.gpu_layers = if layers >= 99 { -1 } else { layers };
    }
    design.repack = row.get("repack").and_then(Value::as_bool).unwrap_or(design.repack);
    match row.get("use_mmap").and_then(Value::as_bool) {
        Some(mmap) => design.mmap = mmap,
        None if !text("load_mode").is_empty() => {
            design.mmap = text("load_mode").contains("mmap");
            design.mlock = text("load_mode").contains("mlock");
        }
        None => {}
    }
    design
}

fn environment_of(row: &Value) -> Environment {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ours = row.get("ours");
    let of_ours = |name: &str| ours.and_then(|ours| ours.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
    let build = match row.get("build_number") {
        Some(Value::Number(number)) => format!("b{number}"),
        _ => String::new(),
    };
    let model_type = text("model_type");
    let quant = if of_ours("quant").is_empty() { quant_of(&text("model_filename"), &model_type) } else { of_ours("quant") };
    Environment {
        cpu: text("cpu_info"),
        engine: "llama.cpp".into(),
        engine_commit: text("build_commit"),
        engine_build: build,
        app: of_ours("inferscope"),
        // the third word is the level, which has a column of its own
        model: model_type.split_whitespace().take(2).collect::<Vec<_>>().join(" "),
        quant,
        model_size: row.get("model_size").and_then(Value::as_u64).unwrap_or(0),
        ..Environment::default()
    }
}

/// The level that a file's name or llama.cpp's description says (`llama 256M Q4_K - Medium`).
fn quant_of(file: &str, model_type: &str) -> String {
    let known = |word: &str| crate::protocol::FileType::by_name(word).map(|level| level.name.to_owned());
    let stem = file.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".gguf");
    let of_name = stem.char_indices().filter(|(_, c)| matches!(c, '-' | '.')).find_map(|(at, _)| known(stem.get(at + 1..)?));
    let described = model_type.replace(" - Medium", "_M").replace(" - Small", "_S").replace(" - Large", "_L");
    of_name.or_else(|| described.split_whitespace().rev().find_map(known)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
