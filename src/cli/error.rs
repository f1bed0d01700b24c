//! One error for everything a command can end with, its exit status, and how it looks as JSON.

use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::library::{Fault, GgufError};
use crate::protocol::{EngineError, ErrorKind};

/// Done, but the answer is no.
pub const NO: u8 = 1;
/// Usage, or the environment is missing something.
pub const USAGE: u8 = 2;

/// Why a command did not do what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct CliError {
    /// A word that scripts match
    pub kind: String,
    /// What happened and why: one sentence without a final stop
    pub message: String,
    /// What to do about it; may be empty
    pub hint: String,
    /// The file concerned
    pub path: Option<PathBuf>,
    /// The byte concerned
    pub offset: Option<u64>,
    /// Last lines of the engine
    pub details: Vec<String>,
    /// Exit status
    pub status: u8,
}

impl CliError {
    /// A wrong or impossible request: status 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message, USAGE)
    }

    /// Any error.
    pub fn new(kind: impl Into<String>, message: impl Into<String>, status: u8) -> Self {
        Self { kind: kind.into(), message: message.into(), hint: String::new(), path: None, offset: None, details: Vec::new(), status }
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

    /// Nobody reads the output any more (`inferscope run ... | head`): a success, silently.
    pub fn gone() -> Self {
        Self::new("broken_pipe", "", 0)
    }

    /// Whether this is [`CliError::gone`].
    pub fn is_gone(&self) -> bool {
        self.status == 0
    }

    /// A failure to write the output; a broken pipe is [`CliError::gone`].
    pub fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::gone(),
            _ => Self::new("output", format!("The output could not be written: {error}"), USAGE),
        }
    }

    /// The same as an engine says it, for what is kept beside results.
    pub fn into_engine(self) -> EngineError {
        let kind = serde_json::from_value(json!(self.kind)).unwrap_or(ErrorKind::Engine);
        let error = EngineError::new(kind, self.message).hint(self.hint).details(self.details);
        match self.path {
            Some(path) => error.path(path),
            None => error,
        }
    }

    /// `{"error":{"kind","message","hint","path"}}`, with `offset` and `details` where there are some.
    pub fn json(&self) -> Value {
        let mut error = Map::new();
        error.insert("kind".into(), json!(self.kind));
        error.insert("message".into(), json!(self.message));
        error.insert("hint".into(), json!(self.hint));
        error.insert("path".into(), json!(self.path.as_ref().map(|p| p.display().to_string())));
        if let Some(offset) = self.offset {
            error.insert("offset".into(), json!(offset));
        }
        if !self.details.is_empty() {
            error.insert("details".into(), json!(self.details));
        }
        json!({ "error": error })
    }

    /// In words, for a terminal: the cause, the way on, the last lines, the path last.
    pub fn text(&self) -> String {
        let mut text = format!("error: {}", self.message);
        if let Some(offset) = self.offset {
            text.push_str(&format!(", at byte {offset}"));
        }
        if let Some(path) = &self.path {
            text.push_str(&format!(": {}", path.display()));
        }
        if !self.hint.is_empty() {
            text.push_str(&format!("\n  {}", self.hint));
        }
        for line in &self.details {
            text.push_str(&format!("\n  | {line}"));
        }
        text
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let status = match error.kind {
            ErrorKind::InvalidFile | ErrorKind::Cancelled => NO,
            _ => USAGE,
        };
        Self {
            kind: error.kind.as_str().to_owned(),
            message: error.message,
            hint: error.hint,
            path: error.path,
            offset: None,
            details: error.details,
            status,
        }
    }
}

impl From<GgufError> for CliError {
    fn from(error: GgufError) -> Self {
        let status = match error.fault {
            Fault::Missing | Fault::Unreadable | Fault::NotAFile => USAGE,
            _ => NO,
        };
        let (kind, offset, hint) = (error.fault.as_str(), error.offset, error.hint());
        let path = Some(error.path).filter(|p| !p.as_os_str().is_empty());
        Self { offset, path, ..Self::new(kind, error.message, status).hint(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_four_fields_always() {
        let error = CliError::usage("No such option").json();
        let fields: Vec<&String> = error["error"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["kind", "message", "hint", "path"]);
        assert!(error["error"]["path"].is_null());
    }

    #[test]
    fn statuses() {
        let of = |kind| CliError::from(EngineError::new(kind, "x")).status;
        assert_eq!(of(ErrorKind::InvalidFile), 1);
        assert_eq!(of(ErrorKind::Cancelled), 1);
        assert_eq!(of(ErrorKind::Killed), 2);
        assert_eq!(of(ErrorKind::OutOfMemory), 2);
        assert_eq!(CliError::from(GgufError::at(Fault::Truncated, 7, "Short")).status, 1);
        assert_eq!(CliError::from(GgufError::whole(Fault::Missing, "None")).status, 2);
    }

    #[test]
    fn a_closed_pipe_is_success() {
        assert!(CliError::output(&io::ErrorKind::BrokenPipe.into()).is_gone());
        assert_eq!(CliError::output(&io::ErrorKind::StorageFull.into()).status, 2);
    }

    #[test]
    fn text_ends_with_the_way_on() {
        let error = CliError { offset: Some(12), ..CliError::usage("Bad").hint("Fix it").path("/m.gguf") };
        assert_eq!(error.text(), "error: Bad, at byte 12: /m.gguf\n  Fix it");
    }
}
