//! What can be typed after `runs`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// How runs are exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RunsFormat {
    /// Everything, raw samples too
    #[default]
    Json,
    /// One line a run
    Csv,
    /// A table
    Md,
}

/// Options of `runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// What to do; `list` when nothing is said
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
}

/// What `runs` can do.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// List the runs, the newest first
    List {
        /// Words that a run must hold, all of them: in its title, tags, model, design or work
        filter: Vec<String>,
        /// No more than these; 0 = all
        #[arg(short = 'n', long, value_name = "N", default_value_t = 0)]
        limit: usize,
    },
    /// Show a run with its samples, design and environment
    Show {
        /// Its number
        id: i64,
    },
    /// Write what a run of quality found of each token, as CSV (JSON with --json), where that was kept
    Tokens {
        /// Its number
        id: i64,
    },
    /// Compare two runs: ratios with their intervals, and what differs in design and environment
    Compare {
        /// The one to compare with
        first: i64,
        /// The one that is compared
        second: i64,
    },
    /// Write runs for others
    Export {
        /// Their numbers; all of them when none is said
        ids: Vec<i64>,
        /// Only those that hold these words
        #[arg(long, value_name = "WORDS")]
        filter: Vec<String>,
        /// The form
        #[arg(short, long, value_enum, default_value_t)]
        output: RunsFormat,
    },
    /// Read what llama-bench -o json (or jsonl) wrote, or runs that were exported as JSON
    Import {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Hide runs; `restore` brings them back for 30 days
    Delete {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
    /// Bring deleted runs back
    Restore {
        /// Their numbers
        #[arg(required = true)]
        ids: Vec<i64>,
    },
}
