//! What the scripted engine plays: a JSON file, every field of which may be left out.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::{EngineError, ErrorKind, MemoryUse};

/// How a scripted engine behaves. The default answers like a small model on a laptop, with nothing going wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// Protocol version it claims; absent = the right one
    pub version: Option<u32>,
    /// Replies, given in turn; the last one is followed by the first
    pub replies: Vec<Reply>,
    /// Tokens a second; 0 = as fast as possible
    pub tokens_per_second: f64,
    /// Prompt tokens a second; 0 = as fast as possible
    pub prefill_per_second: f64,
    /// Seconds a cold load takes
    pub load_seconds: f64,
    /// Seconds making a rung takes
    pub quantize_seconds: f64,
    /// Read bandwidth it claims, 10^9 bytes per second
    pub bandwidth_gb_s: f64,
    /// Memory it claims; absent = estimated from the name of the file
    pub memory: Option<MemoryUse>,
    /// Number of weights it claims
    pub n_params: u64,
    /// Context its models were trained for, tokens
    pub n_ctx_train: u32,
    /// What goes wrong, and where
    pub faults: Vec<Trigger>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            version: None,
            replies: vec![Reply::Text(DEFAULT_REPLY.into())],
            tokens_per_second: 40.0,
            prefill_per_second: 600.0,
            load_seconds: 0.3,
            quantize_seconds: 1.0,
            bandwidth_gb_s: 18.5,
            memory: None,
            n_params: 134_515_008,
            n_ctx_train: 8192,
            faults: Vec::new(),
        }
    }
}

const DEFAULT_REPLY: &str = "This is the scripted engine. It answers with the same words every time, at the speed its script says, so \
that the window can be shown and tested without a model.\n\n- Nothing is computed\n- **Every** number comes from the script\n\n```rust\n\
fn main() {\n    println!(\"hello\");\n}\n```\n";

impl Script {
    /// As the default, but without any waiting.
    pub fn instant() -> Self {
        Self { tokens_per_second: 0.0, prefill_per_second: 0.0, load_seconds: 0.0, quantize_seconds: 0.0, ..Self::default() }
    }

    /// Replaces the replies by one text.
    #[must_use]
    pub fn reply(mut self, text: impl Into<String>) -> Self {
        self.replies = vec![Reply::Text(text.into())];
        self
    }

    /// Adds something that goes wrong.
    #[must_use]
    pub fn fault(mut self, at: Point, matching: impl Into<String>, fault: Fault) -> Self {
        self.faults.push(Trigger { at, matching: matching.into(), fault });
        self
    }

    /// Reads a script.
    ///
    /// # Errors
    /// `FileMissing` or `InvalidRequest`.
    pub fn read(path: &Path) -> Result<Self, EngineError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| EngineError::new(ErrorKind::FileMissing, format!("The script cannot be read: {error}")).path(path))?;
        serde_json::from_str(&text)
            .map_err(|error| EngineError::new(ErrorKind::InvalidRequest, format!("The script is not right: {error}")).path(path))
    }

    /// Writes the script to a file, for a child to read.
    ///
    /// # Errors
    /// `Disk` when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EngineError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| EngineError::new(ErrorKind::InvalidRequest, format!("The script cannot be written: {error}")))?;
        std::fs::write(path, text)
            .map_err(|error| EngineError::new(ErrorKind::Disk, format!("The script cannot be written: {error}")).path(path))
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reply {
    /// Cut into tokens at spaces
    Text(String),
    /// These tokens
    Tokens(Vec<String>),
    /// One piece, so many times
    Repeat {
        /// the piece; `{n}` in it becomes the token's number
        piece: String,
        /// how often
        count: u32,
    },
}

impl Reply {
    /// Number of tokens.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.split_inclusive(' ').count(),
            Self::Tokens(tokens) => tokens.len(),
            Self::Repeat { count, .. } => *count as usize,
        }
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every token in turn.
    pub fn tokens(&self) -> Box<dyn Iterator<Item = String> + '_> {
        match self {
            Self::Text(text) => Box::new(text.split_inclusive(' ').map(str::to_owned)),
            Self::Tokens(tokens) => Box::new(tokens.iter().cloned()),
            Self::Repeat { piece, count } => Box::new((0..*count).map(|n| piece.replace("{n}", &n.to_string()))),
        }
    }
}

/// Something that goes wrong at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Where
    pub at: Point,
    /// Only when the path or the prompt contains this; empty = always
    #[serde(default)]
    pub matching: String,
    /// What
    pub fault: Fault,
}

/// Where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// Before the engine says hello (only in a process of its own)
    Start,
    /// Half-way through a load
    Load,
    /// When a model is freed
    Unload,
    /// Half-way through the prompt
    Prompt,
    /// Before this token of the reply, counted from 0
    Token(u32),
    /// Half-way through making a rung
    Quantize,
    /// Before the first cell of a benchmark
    Bench,
    /// When a memory estimate is asked for
    Estimate,
}

/// What goes wrong. Those that end the process turn into a panic when the engine runs on a thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The job fails with this error
    Fail(EngineError),
    /// Nothing for so many seconds; cancelling is heard
    Pause(f64),
    /// Nothing, for ever; cancelling is not heard
    Hang,
    /// A Rust panic
    Panic(String),
    /// Writes this to standard error, then aborts, as `GGML_ASSERT` and an uncaught C++ exception do
    Abort(String),
    /// Sends itself this signal, again and again
    Signal(i32),
    /// Ends with this exit code
    Exit(i32),
    /// Writes these bytes where frames go
    Garbage(String),
    /// Writes the beginning of a frame, then ends
    PartialFrame,
    /// Writes a frame of so many bytes, without an end
    Oversized(u64),
    /// Writes so many bytes of lines to standard error, then goes on
    StderrFlood(u64),
    /// Prints to standard output, as a careless library does, then goes on
    Print(String),
}

/// Waits, in steps short enough to be cancelled; `false` when it was.
pub(super) fn wait(seconds: f64, is_cancelled: impl Fn() -> bool) -> bool {
    let end = std::time::Instant::now() + Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX / 4);
    loop {
        if is_cancelled() {
            return false;
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(10)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_survives_its_file_and_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.json");
        let script = Script::instant().reply("a b c").fault(Point::Token(3), "die", Fault::Signal(11)).fault(
            Point::Load,
            "",
            Fault::Fail(EngineError::new(ErrorKind::OutOfMemory, "No")),
        );
        script.write(&path).unwrap();
        assert_eq!(Script::read(&path).unwrap(), script);
        std::fs::write(&path, r#"{"replies": [["a", "b"], {"piece": "{n} ", "count": 3}, "x y"]}"#).unwrap();
        let script = Script::read(&path).unwrap();
        let tokens: Vec<Vec<String>> = script.replies.iter().map(|reply| reply.tokens().collect()).collect();
        assert_eq!(tokens, [vec!["a", "b"], vec!["0 ", "1 ", "2 "], vec!["x ", "y"]]);
        assert!(script.replies.iter().zip(&tokens).all(|(reply, tokens)| reply.len() == tokens.len()));
        std::fs::write(&path, r#"{"tokens_per_minute": 3}"#).unwrap();
        assert_eq!(Script::read(&path).unwrap_err().kind, ErrorKind::InvalidRequest);
        assert_eq!(Script::read(Path::new("/nowhere")).unwrap_err().kind, ErrorKind::FileMissing);
    }
}
