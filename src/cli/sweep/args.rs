//! What can be typed after `sweep`.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::Args;

use crate::cli::args::{EXIT, fraction};
use crate::cli::design::DesignArgs;
use crate::measure::{MetricLimit, sweep};

const SWEEP: &str = "\
Keys of --grid: rung, threads, threads-batch, batch-size, ubatch-size, ctx-size, depth, cache-type-k, cache-type-v, flash-attn, mmap,
repack, gpu-layers. Values are lists and ranges as llama-bench writes them: 1,2,4 or 1-8*2 or 128-512+128; rung=all is every level on disk.
Keys of --limit: ttft_ms, itl_p95_ms, memory_gib, memory_mib, size_gb, size_mb, kld, decode_tps, prefill_tps (at least).
Every block measures each design once, in a balanced random order; designs are said to differ only when the interval of their paired ratio
leaves one out. Ctrl-C keeps what was measured, and the sweep can be resumed.";

/// What stands under the options.
pub fn help() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{SWEEP}\n\n{EXIT}"));
    &TEXT
}

fn limit(text: &str) -> Result<MetricLimit, String> {
    MetricLimit::parse_key(text)
}

/// Options of `sweep`.
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// GGUF file or model name
    #[arg(required_unless_present_any = ["design", "resume"])]
    pub file: Option<String>,
    /// Vary an option: KEY=V1,V2; can be repeated, every combination is measured
    #[arg(long, value_name = "KEY=V1,V2")]
    pub grid: Vec<String>,
    /// What a design must keep to: ttft_ms=800,memory_gib=6
    #[arg(long, value_name = "KEY=VALUE", value_parser = limit, value_delimiter = ',')]
    pub limit: Vec<MetricLimit>,
    /// The figure that decides: decode_tps (the default), prefill_tps, ttft_ms, peak_memory, ...
    #[arg(long, value_name = "FIGURE")]
    pub goal: Option<String>,
    /// What this machine costs an hour, in whatever money: designs then have a cost per million generated tokens, which may be the goal or
    /// a limit (cost_per_mtok=0.5). Taken from the settings where it is left out
    #[arg(long, value_name = "PER_HOUR", value_parser = fraction)]
    pub price: Option<f64>,
    /// Take no longer than this, seconds; what was measured stands
    #[arg(long, value_name = "SECONDS", value_parser = fraction)]
    pub budget: Option<f64>,
    /// Look for the best design instead of measuring all of them equally often
    #[arg(long)]
    pub search: bool,
    /// Go on with a sweep that was stopped, by its file or name
    #[arg(long, value_name = "FILE|ID", conflicts_with_all = ["file", "grid", "limit", "goal", "budget", "text", "save", "name"])]
    pub resume: Option<String>,
    /// Keep the sweep in this file instead of the data folder
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// What the sweep is called
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Prompt tokens (pp): prefill speed and TTFT; 0 leaves it out
    #[arg(short = 'p', long = "n-prompt", value_name = "N", default_value_t = 512)]
    pub n_prompt: u32,
    /// Generated tokens (tg): decode speed and ITL; 0 leaves it out
    #[arg(short = 'n', long = "n-gen", value_name = "N", default_value_t = 128)]
    pub n_gen: u32,
    /// Blocks: how often each design is measured; an even number of at least 8 is best
    #[arg(short = 'r', long, value_name = "N", default_value_t = sweep::BLOCKS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub blocks: u32,
    /// Measure quality loss against the largest level on this text (UTF-8; `-` reads it from standard input; `builtin` is the text that ships
    /// with the program, and taken where a limit asks for it and no text is given)
    #[arg(long, value_name = "FILE")]
    pub text: Option<String>,
    /// Tokens of a chunk of the text
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub chunk: u32,
    /// Most chunks of the text; 0 = all
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub chunks: u32,
    /// GiB of models that may stay loaded between measurements; by default half of what is available
    #[arg(long, value_name = "GIB", value_parser = fraction)]
    pub keep_warm: Option<f64>,
    /// Seed of the order; by default another one each time
    #[arg(long, value_name = "N")]
    pub order_seed: Option<u64>,
    /// Leave out the warm-up
    #[arg(long)]
    pub no_warmup: bool,
    /// Leave out the measurement of this machine's limits, and with it the roofline
    #[arg(long)]
    pub no_probe: bool,
    /// The design that the grid varies
    #[command(flatten)]
    pub design: DesignArgs,
}
