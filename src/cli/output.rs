//! The one place that writes: data on standard output, messages on standard error.
//!
//! With `--json` standard output carries exactly one document and nothing else.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::error::CliError;

/// Where a command's results and messages go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    /// Standard output is a terminal
    to_person: bool,
    /// Standard error is a terminal
    person_watches: bool,
}

impl Output {
    /// For this process.
    pub fn new(json: bool) -> Self {
        Self { json, to_person: io::stdout().is_terminal(), person_watches: io::stderr().is_terminal() }
    }

    /// Whether the result is to be one JSON document.
    pub fn json(self) -> bool {
        self.json
    }

    /// Whether somebody can see a progress bar.
    pub fn person_watches(self) -> bool {
        self.person_watches
    }

    /// Writes the one JSON document.
    ///
    /// # Errors
    /// When standard output cannot be written; a closed pipe is [`CliError::gone`].
    pub fn document(self, value: &impl Serialize) -> Result<(), CliError> {
        let mut text = serde_json::to_string_pretty(value).map_err(|e| CliError::output(&e.into()))?;
        text.push('\n');
        self.raw(&text)
    }

    /// Writes the JSON of `value` with `--json`, else `text`.
    ///
    /// # Errors
    /// As [`Output::document`].
    pub fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if self.json { self.document(value) } else { self.raw(&text()) }
    }

    /// Writes text as it is, and at once.
    ///
    /// # Errors
    /// As [`Output::document`].
    pub fn raw(self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| CliError::output(&e))
    }

    /// Writes text that a model made. On a terminal its control characters are shown as such and not obeyed.
    ///
    /// # Errors
    /// As [`Output::document`].
    pub fn model_text(self, text: &str) -> Result<(), CliError> {
        if self.to_person { self.raw(&harmless(text)) } else { self.raw(text) }
    }

    /// A message for whoever watches. Nobody watching is no failure.
    pub fn note(self, text: &str) {
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// Replaces the last progress line. Only for a terminal.
    pub fn progress(self, line: &str) {
        if self.person_watches {
            let mut err = io::stderr().lock();
            drop(write!(err, "\r\x1b[2K{line}").and_then(|()| err.flush()));
        }
    }

    /// Reports an error: as the document with `--json`, else in words on standard error.
    pub fn error(self, error: &CliError) {
        if error.is_gone() {
            return;
        }
        if self.json {
            // where even this cannot be written, the status still tells
            drop(self.document(&error.json()));
        } else {
            self.note(&error.text());
        }
    }
}

/// The text with control characters (ESC, the C1 block, lone carriage returns) made visible, so that it cannot steer a terminal.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A plain table: columns as wide as their widest cell, `right` columns set to the right, two spaces between, no trailing spaces.
pub fn table(header: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|i| rows.iter().chain([&head]).filter_map(|row| row.get(i)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = *width;
            line.push_str(&if right.contains(&i) { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") });
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\r\u{9b}c\n\td\u{7f}"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c\n\td\u{fffd}");
        assert_eq!(harmless("héllo 世界 🙂"), "héllo 世界 🙂");
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["Q4_K_M".into(), "99 MB".into()], vec!["Q8_0".into(), "1.4 GB".into()]];
        assert_eq!(table(&["rung", "size"], &[1], &rows), "rung      size\nQ4_K_M   99 MB\nQ8_0    1.4 GB\n");
    }
}
