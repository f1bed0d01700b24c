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
