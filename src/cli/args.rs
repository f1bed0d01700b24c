//! What can be typed. The names are a contract with scripts; options that describe a design are the same everywhere, with llama.cpp's
//! names where it has one (short names of several letters are handled by [`super::short`]).

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::design::DesignArgs;
use super::runs_args::RunsArgs;
use super::sweep::args::{self as sweep_args, SweepArgs};
use crate::measure::plan;
use crate::protocol::{FileType, Overflow, build};

/// What every command's exit status means.
pub(super) const EXIT: &str = "\
Exit status:
  0  done, and what was asked holds
  1  done, but the answer is no: the file is not valid, the design does not fit, the reply was stopped
  2  the request is wrong, or something it needs is missing or failed; an engine that dies is such an error
With --json, standard output carries one JSON document and nothing else, errors included:
  {\"error\":{\"kind\":\"...\",\"message\":\"...\",\"hint\":\"...\",\"path\":\"...\"}}";

const NAMES: &str = "\
A FILE is a GGUF file, or a model as `inferscope models` prints it: SmolLM2-135M-Instruct:Q4_1. Part of a name is enough where only one
model has it. llama.cpp's short names work too: -ub -tb -ctk -ctv -fa -ngl (and -pg of bench).";

fn version() -> &'static str {
    static LINE: LazyLock<String> = LazyLock::new(build::version_line);
    &LINE
}

fn after_help() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("{NAMES}\n\n{EXIT}"));
    &TEXT
}

/// Choose how to run a language model: a window to try designs and measure them, and the same without a window.
#[derive(Debug, Parser)]
#[command(name = "inferscope", version = version(), after_help = after_help(), max_term_width = 110)]
pub struct Cli {
    /// For every command
    #[command(flatten)]
    pub global: Global,
    /// Model to open in the window: a GGUF file or a name
    pub file: Option<String>,
    /// What to do without a window
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Print one JSON document, errors included
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// Run the engine in this process instead of one of its own
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub in_process: bool,
    /// Show what the engine logs
    #[arg(long, short = 'v', global = true, help_heading = "Everywhere")]
    pub verbose: bool,
    /// Use the scripted engine with this script (JSON)
    #[arg(long, global = true, hide = true, value_name = "SCRIPT")]
    pub fake: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what this machine is, what would work on it, and what to fix
    #[command(after_help = EXIT)]
    Doctor(DoctorArgs),
    /// List the model families and their quantization levels in the known folders
    #[command(after_help = EXIT)]
    Models(ModelsArgs),
    /// Check a GGUF file's header and show what it says; nothing is loaded
    #[command(after_help = EXIT)]
    Inspect(InspectArgs),
    /// Say what memory a design will take, before loading it; status 1 when it does not fit
    #[command(after_help = EXIT)]
    Estimate(EstimateArgs),
    /// Make another quantization level of a model
    #[command(after_help = EXIT)]
    Quantize(QuantizeArgs),
    /// Generate one reply
    #[command(after_help = EXIT)]
    Run(RunArgs),
    /// Measure prompt processing (pp) and generation (tg) as llama-bench does
    #[command(after_help = EXIT)]
    Bench(BenchArgs),
    /// Ask several designs the same, one after another, and say where their answers part; status 1 when one of them failed
    #[command(after_help = EXIT)]
    Compare(CompareArgs),
    /// Measure what designs cost in quality against a reference: perplexity, KL divergence, same top token, greedy divergence
    #[command(after_help = EXIT)]
    Quality(QualityArgs),
    /// Measure a set of designs fairly against each other: the front, what breaks a limit, and the best
    #[command(after_help = sweep_args::help())]
    Sweep(SweepArgs),
    /// List, show, compare, export and import what was measured and kept
    #[command(after_help = EXIT)]
    Runs(RunsArgs),
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Open the real window on this model, drive it through load, generate and switch, and measure it
    #[arg(long, value_name = "FILE")]
    pub window: Option<String>,
    /// Leave out the measurement of memory bandwidth
    #[arg(long)]
    pub no_probe: bool,
}

/// Options of `models`.
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Look in this folder instead of the known ones; can be repeated
    #[arg(long = "dir", value_name = "D")]
    pub dirs: Vec<PathBuf>,
}

/// Options of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// GGUF file or model name
    pub file: String,
    /// List every tensor, too
    #[arg(long)]
    pub list_tensors: bool,
}

/// Options of `estimate`.
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// GGUF file or model name
    #[arg(required_unless_present = "design")]
    pub file: Option<String>,
    /// From the file's header alone: instant, a little less exact
    #[arg(long)]
    pub header_only: bool,
    /// The design
    #[command(flatten)]
    pub design: DesignArgs,
}

fn file_type(text: &str) -> Result<&'static FileType, String> {
    FileType::by_name(text).ok_or_else(|| {
        let usual: Vec<&str> = crate::protocol::FILE_TYPES.iter().filter(|t| t.usual).map(|t| t.name).collect();
        format!("no such file type; usual ones are {}", usual.join(", "))
    })
}

fn layers(text: &str) -> Result<Layers, String> {
    plan::parse_counts(text).map(Layers)
}

fn counts(text: &str) -> Result<Counts, String> {
    plan::parse_counts(text).map(Counts)
}

/// Several numbers of one option, as llama-bench writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts(pub Vec<u32>);

/// Layer numbers of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers(pub Vec<u32>);

/// Options of `quantize`.
#[derive(Debug, Args)]
pub struct QuantizeArgs {
    /// GGUF file or model name to start from; never touched
    pub file: String,
    /// Quantization level to make (`Q4_K_M`)
    #[arg(long, value_name = "TYPE", value_parser = file_type)]
    pub to: &'static FileType,
    /// Where it goes: a file (replaced when it is whole) or a folder; by default beside the source, under a name that is free
    #[arg(long, value_name = "P")]
    pub out: Option<PathBuf>,
    /// Importance matrix (GGUF)
    #[arg(long, value_name = "F")]
    pub imatrix: Option<PathBuf>,
    /// Layers to leave out (`9,10` or `9-12`)
    #[arg(long, value_name = "LAYERS", value_parser = layers)]
    pub prune_layers: Option<Layers>,
    /// Threads; 0 = all that this process may use
    #[arg(short, long, value_name = "N", default_value_t = 0)]
    pub threads: u32,
}

/// Names of [`Overflow`] on the command line.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum OverflowArg {
    /// Refuse
    #[default]
    Stop,
    /// Leave out the oldest turns
    DropOldest,
    /// Leave out the middle
    KeepEnds,
}

impl From<OverflowArg> for Overflow {
    fn from(arg: OverflowArg) -> Self {
        match arg {
            OverflowArg::Stop => Self::Stop,
            OverflowArg::DropOldest => Self::DropOldest,
            OverflowArg::KeepEnds => Self::KeepEnds,
        }
    }
}

fn max_tokens(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(0),
        Ok(n) => u32::try_from(n).map_err(|_error| "the number of tokens must be -1, 0 or more".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// GGUF file or model name
    #[arg(required_unless_present = "design")]
    pub file: Option<String>,
    /// The prompt; `-` reads it from standard input
    #[arg(short, long, value_name = "PROMPT", allow_hyphen_values = true)]
    pub prompt: String,
    /// Most tokens of the reply; 0 or -1 = until the model ends it or the context is full
    #[arg(short = 'n', long = "predict", value_name = "N", default_value = "0", value_parser = max_tokens, allow_negative_numbers = true)]
    pub n: u32,
    /// System message
    #[arg(long, value_name = "S", allow_hyphen_values = true, conflicts_with = "raw")]
    pub system: Option<String>,
    /// Continue the prompt as it is, without the model's chat template
    #[arg(long)]
    pub raw: bool,
    /// Text that ends the reply; can be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub stop: Vec<String>,
    /// What to do when the prompt does not fit
    #[arg(long, value_enum, default_value_t)]
    pub overflow: OverflowArg,
    /// With --json: report each token's probability and the N most probable alternatives (at most 20)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub logprobs: Option<u32>,
    /// Constrain the reply to the JSON schema in this file
    #[arg(long, value_name = "F")]
    pub json_schema: Option<PathBuf>,
    /// The design
    #[command(flatten)]
    pub design: DesignArgs,
}

/// Options of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Two to four: GGUF files, model names, or saved designs (TOML or JSON). The first is what the others are compared with
    #[arg(required = true)]
    pub files: Vec<String>,
    /// The prompt
    #[arg(short, long, value_name = "PROMPT", allow_hyphen_values = true)]
    pub prompt: String,
    /// Most tokens of an answer; 0 or -1 = until the model ends it or the context is full
    #[arg(short = 'n', long = "predict", value_name = "N", default_value = "256", value_parser = max_tokens, allow_negative_numbers = true)]
    pub n: u32,
    /// Print Markdown
    #[arg(long)]
    pub markdown: bool,
    /// The design of all of them; greedy with seed 0 unless a sampler is given
    #[command(flatten)]
    pub design: DesignArgs,
}

/// How `bench` prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BenchFormat {
    /// llama-bench's table
    #[default]
    Md,
    /// An array
    Json,
    /// A row a line, each as soon as it is measured
    Jsonl,
    /// llama-bench's CSV
    Csv,
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// GGUF files or model names
    #[arg(required_unless_present = "design")]
    pub files: Vec<String>,
    /// Prompt tokens (pp); a list or range as llama-bench writes it: 128,512 or 128-512+128 or 1-64*2; 0 leaves it out
    #[arg(short = 'p', long = "n-prompt", value_name = "N", default_value = "512", value_parser = counts)]
    pub n_prompt: Vec<Counts>,
    /// Generated tokens (tg); a list or range; 0 leaves it out
    #[arg(short = 'n', long = "n-gen", value_name = "N", default_value = "128", value_parser = counts)]
    pub n_gen: Vec<Counts>,
    /// Prompt and generation together (llama.cpp: -pg); can be repeated
    #[arg(long = "n-pg", value_name = "P,N", value_parser = plan::parse_pair)]
    pub n_pg: Vec<(u32, u32)>,
    /// Tokens in the KV cache beforehand; a list or range
    #[arg(short = 'd', long = "n-depth", value_name = "N", default_value = "0", value_parser = counts)]
    pub n_depth: Vec<Counts>,
    /// Repetitions
    #[arg(short, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repetitions: u32,
    /// Output format; --json is the same as `-o json`
    #[arg(short, long, value_enum, default_value_t)]
    pub output: BenchFormat,
    /// Leave out the warm-up runs
    #[arg(long)]
    pub no_warmup: bool,
    /// Leave out the measurement of memory bandwidth, and with it the roofline
    #[arg(long)]
    pub no_probe: bool,
    /// Keep every row as a run, where the window and `inferscope runs` find it
    #[arg(long)]
    pub keep: bool,
    /// The design
    #[command(flatten)]
    pub design: DesignArgs,
}

/// A number above 0.
///
/// # Errors
/// A sentence for everything else.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("must be a number above 0".into()),
    }
}

/// Options of `quality`.
#[derive(Debug, Args)]
pub struct QualityArgs {
    /// Candidates: GGUF files or model names
    #[arg(required_unless_present = "design")]
    pub files: Vec<String>,
    /// What is taken for right, usually F16; without it, the perplexity of each file alone
    #[arg(long, value_name = "REF")]
    pub reference: Option<String>,
    /// The text, UTF-8; `-` reads it from standard input, `builtin` is the evaluation text that ships with the program
    #[arg(long, value_name = "FILE", default_value = crate::library::text::BUILTIN)]
    pub text: String,
    /// Ask prompts instead: a set that was saved in the window, or a file with a blank line (or a line of ---) between prompts. The reference
    /// answers them greedily, and every token of its answers is scored
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["text", "chunk", "chunks"], requires = "reference")]
    pub prompts: Option<String>,
    /// Most tokens of each answer to a prompt
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(16..=65_536))]
    pub answer_tokens: u32,
    /// Tokens of a chunk (llama-perplexity's -c); the second half of each chunk is scored
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub chunk: u32,
    /// Most chunks; 0 = the whole text
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub chunks: u32,
    /// Stop once the mean KL divergence is known this closely: half its 95 % interval over the mean, such as 0.05
    #[arg(long, value_name = "WIDTH", value_parser = fraction)]
    pub tight: Option<f64>,
    /// Exit status 1 when a candidate's mean KL divergence is above this, nats
    #[arg(long, value_name = "KLD", value_parser = fraction)]
    pub limit_kld: Option<f64>,
    /// Tokens of each greedy answer that is compared with the reference's; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub diverge: u32,
    /// Hold one model in memory at a time; divergences are then estimates from the reference's 64 most probable tokens and a sample of the
    /// rest
    #[arg(long)]
    pub one_at_a_time: bool,
    /// With --json: every token's score, too
    #[arg(long)]
    pub tokens: bool,
    /// Keep each result as a run, beside those of the window
    #[arg(long)]
    pub keep: bool,
    /// The design of the candidates (the reference has the default one, with the same threads)
    #[command(flatten)]
    pub design: DesignArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(super::super::short::expand(line.split(' ').map(Into::into)))
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_words_are_a_command_or_a_usage_error(
            words in proptest::collection::vec(
                "(bench|run|quantize|estimate|quality|models|--to|--json|-p|-n|-ub|-pg|-ctk|-fa|-c|--prune-layers|--temp|--seed|--|m|q8_0|Q4_K_M|x=|[0-9,*+-]{1,12}|\\PC{0,6})",
                0..9,
            )
        ) {
            let line = ["inferscope".to_owned()].into_iter().chain(words).map(Into::into);
            drop(Cli::try_parse_from(super::super::short::expand(line)));
        }

        #[test]
        fn any_size_or_level_is_read_or_named(text in "([0-9]{1,11}|[+*,-]|[A-Za-z_]{1,4}|\\PC){0,8}") {
            for list in [counts(&text).map(|list| list.0), layers(&text).map(|list| list.0)] {
                match list {
                    Ok(list) => proptest::prop_assert!(list.len() <= 10_001),
                    Err(why) => proptest::prop_assert!(!why.is_empty()),
                }
            }
            if let Ok(level) = file_type(&text) {
                proptest::prop_assert!(level.name.eq_ignore_ascii_case(&text));
            }
            if let Ok((prompt, generated)) = plan::parse_pair(&text) {
                proptest::prop_assert_eq!(text.split(',').map(|n| n.trim().parse::<u32>().unwrap()).collect::<Vec<_>>(), [prompt, generated]);
            }
        }
    }

    #[test]
    fn is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_is_not_a_command() {
        let cli = parse("inferscope ./models/a.gguf").unwrap();
        assert_eq!(cli.file.as_deref(), Some("./models/a.gguf"));
        assert!(cli.command.is_none());
        assert!(parse("inferscope").unwrap().file.is_none());
        assert!(matches!(parse("inferscope --json models").unwrap().command, Some(Command::Models(_))));
        assert!(parse("inferscope models --json").unwrap().global.json);
    }

    #[test]
    fn bench_reads_what_llama_bench_reads() {
        let line =
            "inferscope bench a b -p 0,128 -p 512 -n 16-64*2 -pg 64,32 -pg=8,4 -d 0,1024 -r 2 -o jsonl -ub 128 -ctk q8_0 -fa on -ngl -1";
        let Some(Command::Bench(args)) = parse(line).unwrap().command else { panic!("not bench") };
        assert_eq!(args.files, ["a", "b"]);
        assert_eq!(args.n_prompt.iter().flat_map(|c| c.0.clone()).collect::<Vec<_>>(), [0, 128, 512]);
        assert_eq!(args.n_gen, [Counts(vec![16, 32, 64])]);
        assert_eq!(args.n_pg, [(64, 32), (8, 4)]);
        assert_eq!((args.repetitions, args.output), (2, BenchFormat::Jsonl));
        let Some(Command::Bench(args)) = parse("inferscope bench a").unwrap().command else { panic!("not bench") };
        assert_eq!((args.n_prompt, args.n_gen), (vec![Counts(vec![512])], vec![Counts(vec![128])]));
    }

    #[test]
    fn prompts_may_look_like_options() {
        let Some(Command::Run(args)) = parse("inferscope run m -p -fa -n -1").unwrap().command else { panic!("not run") };
        assert_eq!((args.prompt.as_str(), args.n), ("-fa", 0));
    }

    #[test]
    fn refuses_what_is_not_meant() {
        for line in [
            "inferscope bench",
            "inferscope run m",
            "inferscope run m -p x --raw --system y",
            "inferscope quantize m",
            "inferscope quantize m --to Q9",
            "inferscope bench m -r 0",
            "inferscope bench m -p 5-",
            "inferscope run m -p x -n -2",
            "inferscope run m -p x --temp nan",
            "inferscope run m -p x -ctk q9",
            "inferscope bench m --mmap --no-mmap",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
