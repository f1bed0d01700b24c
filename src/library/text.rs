//! Texts that quality is measured on: the one that ships with the program, and files of the user.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::protocol::{EngineError, ErrorKind};

/// The evaluation text that ships with the program: prose, dialogue, minutes, code, tables, verse. Public domain (CC0 1.0), written for it.
pub const EVALUATION: &str = include_str!("../../assets/evaluation.txt");
/// What it is called, here and as `--text` on the command line.
pub const BUILTIN: &str = "builtin";
/// What it is called.
pub const BUILTIN_NAME: &str = "the evaluation text";
/// Longest text, bytes: hours of reading for any model.
pub const MAX_TEXT: u64 = 24 << 20;

/// Reads a text file.
///
/// # Errors
/// `Disk` when it cannot be read, `InvalidRequest` when it is too long, empty, binary or not UTF-8; the path last.
pub fn read_text(path: &Path) -> Result<String, EngineError> {
    let failed = |error: std::io::Error| EngineError::new(ErrorKind::Disk, format!("The text cannot be read: {error}")).path(path);
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(failed)?;
    check_text(bytes).map_err(|error| error.path(path))
}

/// Takes bytes for a text.
///
/// # Errors
/// `InvalidRequest` when they are too many, none, or no text.
pub fn check_text(bytes: Vec<u8>) -> Result<String, EngineError> {
    let refused = |what: String, hint: &str| Err(EngineError::new(ErrorKind::InvalidRequest, what).hint(hint));
    if bytes.len() as u64 > MAX_TEXT {
        return refused(format!("The text is longer than {} MB", MAX_TEXT >> 20), "Give a part of it");
    }
    if bytes.contains(&0) {
        return refused("This is not a text: it holds NUL bytes".into(), "Give a file of plain text, UTF-8");
    }
    match String::from_utf8(bytes) {
        Ok(text) if text.trim().is_empty() => refused("The text is empty".into(), "Choose a text with some pages of words"),
        Ok(text) => Ok(text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            refused(format!("The text is not UTF-8: byte {at} is not part of a character"), "Convert it first")
        }
    }
}

/// Longest prompt of a set, bytes.
pub const MAX_PROMPT: usize = 32 << 10;
/// Most prompts of a set.
pub const MAX_PROMPTS: usize = 200;

/// The prompts in a text: what lies between lines of `---`, else between blank lines.
///
/// # Errors
/// `InvalidRequest` where there is none, one is too long, or there are too many.
pub fn prompts(text: &str) -> Result<Vec<String>, EngineError> {
    let is_rule = |line: &&str| line.trim_end() == "---";
    let ruled = text.lines().any(|line| is_rule(&line));
    let ends = |line: &&str| if ruled { is_rule(line) } else { line.trim().is_empty() };
    let lines: Vec<&str> = text.lines().collect();
    let parts = lines.split(|line| ends(line)).map(|part| part.join("\n").trim().to_owned());
    let prompts: Vec<String> = parts.filter(|prompt| !prompt.is_empty()).collect();
    let refused = |what: String, hint: &str| Err(EngineError::new(ErrorKind::InvalidRequest, what).hint(hint));
    match prompts.iter().map(String::len).max() {
        None => refused("There is no prompt".into(), "Write some, with a blank line between them"),
        Some(longest) if longest > MAX_PROMPT => {
            refused(format!("A prompt is longer than {} kB", MAX_PROMPT >> 10), "Put a blank line between prompts")
        }
        Some(_) if prompts.len() > MAX_PROMPTS => refused(
            format!("{} prompts are more than {MAX_PROMPTS}", prompts.len()),
            "Put a line of --- between prompts of several paragraphs",
        ),
        Some(_) => Ok(prompts),
    }
}

/// Prompts as a text that [`prompts`] reads.
pub fn prompts_text(prompts: &[String]) -> String {
    let has_gaps = prompts.iter().any(|prompt| prompt.lines().any(|line| line.trim().is_empty() || line.trim_end() == "---"));
    if has_gaps { prompts.join("\n---\n") + "\n---\n" } else { prompts.join("\n\n") }
}

/// Names prompts and the length of their answers by what is asked, as [`text_hash`] names a text.
pub fn prompts_hash(prompts: &[String], answer_tokens: u32) -> String {
    text_hash(&format!("{answer_tokens}\0{}", prompts.join("\0")))
}

/// Names a text by its content: FNV-1a of its bytes, 64 bits, hexadecimal. Tells texts apart; no protection against malice.
pub fn text_hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_that_ships_is_long_enough_and_says_whose_it_is() {
        assert!(EVALUATION.len() > 16_000 && EVALUATION.contains("public domain"));
        assert!(check_text(EVALUATION.into()).is_ok());
        assert_eq!(text_hash(""), "cbf29ce484222325");
        assert_ne!(text_hash("a"), text_hash("b"));
    }

    #[test]
    fn prompts_lie_between_blank_lines_or_rules() {
        let of = |text: &str| prompts(text).unwrap();
        assert_eq!(of("Why?\r\n\n \nHow is it\nmade?\n"), ["Why?", "How is it\nmade?"]);
        assert_eq!(of("A story:\n\nOnce.\n---\nAnd?\n---\n"), ["A story:\n\nOnce.", "And?"]);
        for text in ["Why?\n\nHow?", "A\n\nB\n---\nC", "A\n\nB\n---"] {
            assert_eq!(of(&prompts_text(&of(text))), of(text));
        }
        for (text, word) in [(" \n\n---\n".to_owned(), "no prompt"), ("x".repeat(MAX_PROMPT + 1), "32 kB"), ("a\n\n".repeat(201), "201")] {
            let error = prompts(&text).unwrap_err();
            assert!(error.message.contains(word) && !error.hint.is_empty(), "{error}");
        }
    }

    #[test]
    fn what_is_no_text_says_why() {
        let refused = |bytes: &[u8], word: &str| {
            let error = check_text(bytes.to_vec()).unwrap_err();
            assert!(error.message.contains(word) && !error.hint.is_empty(), "{error}");
        };
        refused(b"", "empty");
        refused(b" \n\n", "empty");
        refused(b"\x7fELF\0\0", "NUL");
        refused(b"caf\xe9 noir", "byte 3");
        let dir = tempfile::tempdir().unwrap();
        let error = read_text(&dir.path().join("none.txt")).unwrap_err();
        assert!(error.kind == ErrorKind::Disk && error.to_string().contains("none.txt"), "{error}");
    }
}
