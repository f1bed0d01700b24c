//! Benchmark rows as llama-bench writes them: the same fields in the same order, the same table, CSV and JSON Lines
//! (`tools/llama-bench/llama-bench.cpp` of the bundled llama.cpp: `test::get_fields`, `markdown_printer`, `csv_printer`).

use serde::Serialize;

use super::roofline::{self, Bounds};
use super::{plan, stats};
use crate::protocol::{BenchRow, Design, EngineFacts, FlashAttention, MemoryUse, RunTrust};

/// Above this part of the mean, a spread or a drift is worth a word: two designs that differ by less cannot be told apart.
const NOISE: f64 = 0.05;

/// How far repetitions scatter and drift.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The verdict
    pub trust: RunTrust,
    /// Sample standard deviation over mean
    pub spread: f64,
    /// Mean of the later half over mean of the earlier half, minus one (the middle one of an odd number left out)
    pub drift: f64,
    /// Why it is not trusted, as sentences; empty when it is
    pub trust_reasons: Vec<String>,
}

/// Judges repetitions of one cell, in the order they were measured.
pub fn judge(samples: &[f64]) -> Judgement {
    let half = samples.len() / 2;
    let mean = stats::mean(samples).unwrap_or(0.0);
    let spread = if mean > 0.0 { stats::stdev(samples).unwrap_or(0.0) / mean } else { 0.0 };
    let part = |range: std::ops::Range<usize>| samples.get(range).and_then(stats::mean);
    let drift = match (part(0..half), part(samples.len() - half..samples.len())) {
        (Some(early), Some(late)) if early > 0.0 => late / early - 1.0,
        _ => 0.0,
    };
    let mut trust_reasons = Vec::new();
    if samples.len() < 3 {
        trust_reasons.push(format!("Only {} repetitions", samples.len()));
    }
    if spread > NOISE {
        trust_reasons.push(format!("Repetitions scatter by {:.0} %", spread * 100.0));
    }
    if drift.abs() > NOISE {
        let way = if drift < 0.0 { "slower" } else { "faster" };
        trust_reasons.push(format!("The machine became {:.0} % {way} on the way", drift.abs() * 100.0));
    }
    let trust = match samples.len() {
        0..3 => RunTrust::TooFew,
        _ if trust_reasons.is_empty() => RunTrust::Trusted,
        _ => RunTrust::Noisy,
    };
    Judgement { trust, spread, drift, trust_reasons }
}

/// Others using more than this share of all processors are worth a word: llama.cpp's threads wait for the slowest of them.
pub const BACKGROUND: f64 = 0.05;

/// Judges a row: its repetitions, and what else the machine did meanwhile.
fn judge_row(row: &BenchRow, ts: &[f64]) -> (Judgement, Option<f64>) {
    let mut judgement = judge(ts);
    let seen: Vec<f64> = row.surroundings.iter().filter_map(|s| s.background).collect();
    let background = stats::mean(&seen);
    if let Some(load) = background.filter(|load| *load > BACKGROUND) {
        judgement.trust_reasons.push(format!("Other programs used {:.0} % of the processors", load * 100.0));
        if judgement.trust == RunTrust::Trusted {
            judgement.trust = RunTrust::Noisy;
        }
    }
    (judgement, background)
}

/// What llama-bench does not report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ours {
    /// Largest resident set of the engine process while the cell was measured, bytes
    pub peak_rss: u64,
    /// Part of the bound reached: of the bandwidth's ([`roofline::Roofline::fraction`]) for cells that only generate, of the arithmetic rate's
    /// ([`roofline::prefill_fraction`]) for cells that only read a prompt. Where the machine was measured
    pub roofline_fraction: Option<f64>,
    /// The bandwidth that the bound was made of, 10^9 bytes per second
    pub bandwidth_gb_s: Option<f64>,
    /// The arithmetic rate that the bound was made of, 10^9 multiplications and additions per second
    pub ops_gflops: Option<f64>,
    /// Middle TTFT, milliseconds: the prompt and the greedy choice of the first token. For cells that only read a prompt
    pub ttft_ms: Option<f64>,
    /// 95th percentile of the gaps between tokens, milliseconds, over all repetitions. For cells that generate
    pub itl_p95_ms: Option<f64>,
    /// Share of all processors that others used meanwhile, 0..1, where it could be seen
    pub background_load: Option<f64>,
    /// Probes that the warm-up took until the speed was stable
    pub warmup_probes: u32,
    /// How far the figures can be trusted
    #[serde(flatten)]
    pub judgement: Judgement,
    /// Middle repetition, tokens per second
    pub median_ts: f64,
    /// Slowest repetition
    pub min_ts: f64,
    /// Fastest repetition
    pub max_ts: f64,
    /// Bytes by purpose
    pub memory: MemoryUse,
    /// `Q4_K_M`
    pub quant: String,
    /// CPU features in use
    pub cpu_features: Vec<String>,
    /// Version of this program
    pub inferscope: &'static str,
}

/// One row. The names and the order of all fields but the last are llama-bench's.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields are documented by llama-bench, which defines them")]
pub struct BenchReport {
    pub build_commit: String,
    pub build_number: u32,
    pub cpu_info: String,
    pub gpu_info: String,
    pub backends: String,
    pub model_filename: String,
    pub model_type: String,
    pub model_size: u64,
    pub model_n_params: u64,
    pub n_batch: u32,
    pub n_ubatch: u32,
    pub n_threads: u32,
    pub cpu_mask: &'static str,
    pub cpu_strict: bool,
    pub poll: u32,
    pub type_k: &'static str,
    pub type_v: &'static str,
    pub n_gpu_layers: i32,
    pub n_cpu_moe: u32,
    pub split_mode: &'static str,
    pub main_gpu: u32,
    pub no_kv_offload: bool,
    pub flash_attn: i32,
    pub devices: &'static str,
    pub tensor_split: &'static str,
    pub tensor_buft_overrides: &'static str,
    pub load_mode: &'static str,
    pub lazy_mode: &'static str,
    pub embeddings: bool,
    pub no_op_offload: u32,
    pub no_host: bool,
    pub repack: bool,
    pub fit_target: u32,
    pub fit_min_ctx: u32,
    pub n_prompt: u32,
    pub n_gen: u32,
    pub n_depth: u32,
    pub test_time: String,
    pub avg_ns: u64,
    pub stddev_ns: u64,
    pub avg_ts: f64,
    pub stddev_ts: f64,
    pub samples_ns: Vec<u64>,
    pub samples_ts: Vec<f64>,
    pub ours: Ours,
}

fn device_names(facts: &EngineFacts, kinds: &[&str]) -> String {
    let names: Vec<&str> = facts.devices.iter().filter(|d| kinds.contains(&d.kind.as_str())).map(|d| d.description.as_str()).collect();
    names.join(", ")
}

impl BenchReport {
    /// Makes the row of a measured cell: `t/s = 1e9 * (n_prompt + n_gen) / ns` for each repetition.
    ///
    /// `bounds` is what the machine allows this model, where that was measured.
    pub fn new(row: &BenchRow, facts: &EngineFacts, design: &Design, bounds: &Bounds, version: &'static str) -> Self {
        let tokens = f64::from(row.test.n_prompt) + f64::from(row.test.n_gen);
        let ns: Vec<f64> = row.samples_ns.iter().map(|n| *n as f64).collect();
        let ts: Vec<f64> = ns.iter().map(|n| if *n > 0.0 { 1e9 * tokens / n } else { 0.0 }).collect();
        let avg_ts = stats::mean(&ts).unwrap_or(0.0);
        let at = |p| stats::percentile(&ts, p).unwrap_or(0.0);
        let context = roofline::mean_context(row.test.n_depth, 0, row.test.n_gen);
        let roofline_fraction = match (row.test.n_prompt, row.test.n_gen) {
            (0, _) => bounds.decode.and_then(|roof| roof.fraction(avg_ts, context)),
            (_, 0) => bounds.gflops.and_then(|gflops| roofline::prefill_fraction(gflops, bounds.ops_per_token, avg_ts)),
            _ => None,
        };
        let (judgement, background_load) = judge_row(row, &ts);
        let ms = |values: Vec<u64>, p| stats::percentile(&values.iter().map(|ns| *ns as f64 / 1e6).collect::<Vec<f64>>(), p);
        let backends: Vec<&str> = facts.backends.iter().map(String::as_str).filter(|b| *b != "CPU").collect();
        Self {
            build_commit: facts.commit.clone(),
            build_number: facts.build.trim_start_matches('b').parse().unwrap_or(0),
            cpu_info: device_names(facts, &["cpu", "accel"]),
            gpu_info: device_names(facts, &["gpu", "igpu"]),
            backends: if backends.is_empty() { "CPU".into() } else { backends.join(",") },
            model_filename: design.model.display().to_string(),
            model_type: row.model_type.clone(),
            model_size: row.model_size,
            model_n_params: row.info.n_params,
            // as asked for, as llama-bench has it: the context of a small cell allows less
            n_batch: if design.n_batch == 0 { row.effective.n_batch } else { design.n_batch },
            n_ubatch: if design.n_ubatch == 0 { row.effective.n_ubatch } else { design.n_ubatch },
            n_threads: row.effective.threads,
            cpu_mask: "0x0",
            cpu_strict: false,
            poll: 50,
            type_k: design.type_k.name(),
            type_v: design.type_v.name(),
            n_gpu_layers: design.gpu_layers,
            n_cpu_moe: 0,
            split_mode: "layer",
            main_gpu: 0,
            no_kv_offload: false,
            flash_attn: match design.flash_attention {
                FlashAttention::Auto => -1,
                FlashAttention::Off => 0,
                FlashAttention::On => 1,
            },
            devices: "auto",
            tensor_split: "0.00",
            tensor_buft_overrides: "none",
            load_mode: match (design.mmap, design.mlock) {
                (true, false) => "mmap",
                (true, true) => "mmap+mlock",
                (false, true) => "mlock",
                (false, false) => "none",
            },
            lazy_mode: "auto",
            embeddings: false,
            no_op_offload: 0,
            no_host: false,
            repack: design.repack,
            fit_target: 0,
            fit_min_ctx: 0,
            n_prompt: row.test.n_prompt,
            n_gen: row.test.n_gen,
            n_depth: row.test.n_depth,
            test_time: row.test_time.clone(),
            avg_ns: stats::mean(&ns).unwrap_or(0.0) as u64,
            stddev_ns: stats::stdev(&ns).unwrap_or(0.0) as u64,
            avg_ts,
            stddev_ts: stats::stdev(&ts).unwrap_or(0.0),
            samples_ns: row.samples_ns.clone(),
            ours: Ours {
                peak_rss: row.peak_rss,
                roofline_fraction,
                bandwidth_gb_s: bounds.decode.map(|roof| roof.bandwidth_gb_s),
                ops_gflops: bounds.gflops,
                ttft_ms: ms(row.ttft_ns.clone(), 50.0),
                itl_p95_ms: ms(row.gaps_ns.concat(), 95.0),
                background_load,
                warmup_probes: row.warmups,
                judgement,
                median_ts: at(50.0),
                min_ts: at(0.0),
                max_ts: at(100.0),
                memory: row.memory,
                quant: row.info.quant.clone(),
                cpu_features: facts.cpu_features.clone(),
                inferscope: version,
            },
            samples_ts: ts,
        }
    }

    fn test(&self) -> crate::protocol::BenchTest {
        crate::protocol::BenchTest { n_prompt: self.n_prompt, n_gen: self.n_gen, n_depth: self.n_depth }
    }

    /// The values of llama-bench's CSV, as texts in the order of [`csv_header`].
    fn csv_values(&self) -> Vec<String> {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else { return Vec::new() };
        let text = |(name, value): (&String, &serde_json::Value)| match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Bool(flag) => u8::from(*flag).to_string(),
            number if name.ends_with("_ts") => format!("{:.6}", number.as_f64().unwrap_or(0.0)),
            other => other.to_string(),
        };
        fields.iter().filter(|(name, _)| is_csv_field(name)).map(text).collect()
    }

    /// One line of llama-bench's CSV, without its line end.
    pub fn csv(&self) -> String {
        let quoted: Vec<String> = self.csv_values().iter().map(|v| format!("\"{}\"", v.replace('"', "\"\""))).collect();
        quoted.join(",")
    }
}

fn is_csv_field(name: &str) -> bool {
    !matches!(name, "samples_ns" | "samples_ts" | "ours")
}

/// llama-bench's CSV header, without its line end.
pub fn csv_header() -> &'static str {
    "build_commit,build_number,cpu_info,gpu_info,backends,model_filename,model_type,model_size,model_n_params,n_batch,n_ubatch,\
     n_threads,cpu_mask,cpu_strict,poll,type_k,type_v,n_gpu_layers,n_cpu_moe,split_mode,main_gpu,no_kv_offload,flash_attn,devices,\
     tensor_split,tensor_buft_overrides,load_mode,lazy_mode,embeddings,no_op_offload,no_host,repack,fit_target,fit_min_ctx,n_prompt,\
     n_gen,n_depth,test_time,avg_ns,stddev_ns,avg_ts,stddev_ts"
}

/// llama-bench's Markdown table: which columns it has depends on what differs from the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markdown {
    columns: Vec<Column>,
}

/// A column: llama-bench's field, its heading, its width, and whether it is set to the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    field: &'static str,
    heading: &'static str,
    width: usize,
    left: bool,
}

const fn column(field: &'static str, heading: &'static str, width: usize, left: bool) -> Column {
    Column { field, heading, width, left }
}

impl Markdown {
    /// The table for runs of this design on these backends (`markdown_printer::print_header`).
    pub fn new(facts: &EngineFacts, design: &Design) -> Self {
        let default = Design::default();
        let on_cpu = !facts.backends.iter().any(|b| b != "CPU" && b != "BLAS" && b != "ZenDNN");
        let mut columns = vec![
            column("model", "model", 30, true),
            column("size", "size", 10, false),
            column("params", "params", 10, false),
            column("backends", "backend", 10, true),
        ];
        let mut add = |wanted: bool, c: Column| {
            if wanted {
                columns.push(c);
            }
        };
        add(!on_cpu, column("n_gpu_layers", "ngl", 3, false));
        add(on_cpu || design.threads != 0, column("n_threads", "threads", 7, false));
        add(design.n_batch != default.n_batch, column("n_batch", "n_batch", 7, false));
        add(design.n_ubatch != default.n_ubatch, column("n_ubatch", "n_ubatch", 8, false));
        add(design.type_k != default.type_k, column("type_k", "type_k", 6, false));
        add(design.type_v != default.type_v, column("type_v", "type_v", 6, false));
        add(design.flash_attention != default.flash_attention, column("flash_attn", "fa", 3, false));
        add(design.mmap != default.mmap || design.mlock != default.mlock, column("load_mode", "lm", 10, false));
        add(design.repack != default.repack, column("repack", "repack", 6, false));
        add(true, column("test", "test", 15, false));
        add(true, column("t/s", "t/s", 20, false));
        Self { columns }
    }

    /// The two lines above the rows, with their line ends.
    pub fn header(&self) -> String {
        let names = self.line(|c| c.heading.to_owned());
        let rules: Vec<String> =
            self.columns.iter().map(|c| format!(" {}{} |", "-".repeat(c.width - 1), if c.left { '-' } else { ':' })).collect();
        format!("{names}|{}\n", rules.concat())
    }

    /// One row, with its line end.
    pub fn row(&self, report: &BenchReport) -> String {
        let size = report.model_size as f64;
        let fields = serde_json::to_value(report).unwrap_or_default();
        self.line(|c| match c.field {
            "model" => report.model_type.clone(),
            "size" if report.model_size < 1 << 30 => format!("{:.2} MiB", size / f64::from(1 << 20)),
            "size" => format!("{:.2} GiB", size / f64::from(1 << 30)),
            "params" if report.model_n_params < 1_000_000_000 => format!("{:.2} M", report.model_n_params as f64 / 1e6),
            "params" => format!("{:.2} B", report.model_n_params as f64 / 1e9),
            "test" => plan::cell_name(&report.test()),
            "t/s" => format!("{:.2} \u{b1} {:.2}", report.avg_ts, report.stddev_ts),
            field => match fields.get(field) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            },
        })
    }

    fn line(&self, value: impl Fn(&Column) -> String) -> String {
        let mut line = String::from("|");
        for c in &self.columns {
            let (text, width) = (value(c), c.width);
            line.push_str(&if c.left { format!(" {text:<width$} |") } else { format!(" {text:>width$} |") });
        }
        line.push('\n');
        line
    }
}

/// The line under the table, with the empty line before it and its line end.
pub fn footer(facts: &EngineFacts) -> String {
    format!("\nbuild: {} ({})\n", facts.commit, facts.build.trim_start_matches('b'))
}

#[cfg(test)]
mod tests;
