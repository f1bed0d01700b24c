//! One error for everything an engine can refuse or fail at.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What went wrong, as a word that a script can match and a person can look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The file is not a GGUF, is cut short, or breaks a rule of the format.
    InvalidFile,
    /// No such file, or it cannot be read.
    FileMissing,
    /// The architecture is unknown to this engine.
    UnsupportedArchitecture,
    /// The model or its context does not fit in memory, or an allocation failed.
    OutOfMemory,
    /// The prompt does not fit in the context and the caller asked to stop rather than drop.
    ContextOverflow,
    /// The chat template is missing, wrong, or ran into its limits.
    Template,
    /// A request that cannot be carried out as it stands (no model loaded, bad parameter).
    InvalidRequest,
    /// The disk is full or the target cannot be written.
    Disk,
    /// llama.cpp stopped on an assertion; the message carries its text.
    Assertion,
    /// The process was ended from outside (SIGKILL: usually the system, out of memory).
    Killed,
    /// The process crashed (SIGSEGV, SIGBUS, SIGILL and the like).
    Crashed,
    /// The engine did not answer in time and was ended.
    NotAnswering,
    /// The two sides do not speak the same protocol, or a frame was garbage.
    Protocol,
    /// Cancelled by the user. Not a failure, but the job has no result.
    Cancelled,
    /// This build or this engine cannot do that.
    Unsupported,
    /// Anything else the engine reported.
    Engine,
}

impl ErrorKind {
    /// The machine-readable word, as it appears in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFile => "invalid_file",
            Self::FileMissing => "file_missing",
            Self::UnsupportedArchitecture => "unsupported_architecture",
            Self::OutOfMemory => "out_of_memory",
            Self::ContextOverflow => "context_overflow",
            Self::Template => "template",
            Self::InvalidRequest => "invalid_request",
            Self::Disk => "disk",
            Self::Assertion => "assertion",
            Self::Killed => "killed",
            Self::Crashed => "crashed",
            Self::NotAnswering => "not_answering",
            Self::Protocol => "protocol",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "unsupported",
            Self::Engine => "engine",
        }
    }
}

/// A failure in words: what happened and why, what to do about it, the evidence, and the path last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct EngineError {
    /// The class of the failure.
    pub kind: ErrorKind,
    /// What happened and why, as one sentence without a final stop.
    pub message: String,
    /// What the user can do, as one sentence; empty when there is nothing to say.
    #[serde(default)]
    pub hint: String,
    /// Evidence: the last lines the engine wrote. May be empty.
    #[serde(default)]
    pub details: Vec<String>,
    /// The file concerned.
    #[serde(default)]
    pub path: Option<PathBuf>,
}

impl EngineError {
    /// An error with a message and nothing else.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: String::new(), details: Vec::new(), path: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Adds the file concerned.
    #[must_use]
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds evidence lines.
    #[must_use]
    pub fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// The cancellation of a job by its user.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "Cancelled")
    }

    fn sentence(&self) -> String {
        let mut text = self.message.clone();
        if !self.hint.is_empty() {
            text.push_str(". ");
            text.push_str(&self.hint);
        }
        if let Some(path) = &self.path {
            text.push_str(": ");
            text.push_str(&path.display().to_string());
        }
        text
    }
}
