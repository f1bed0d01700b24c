//! How the contract looks as bytes: one JSON object per line, UTF-8, `\n` at the end, never longer than [`MAX_FRAME`].

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{EngineError, ErrorKind};

/// Both sides must say the same number; the engine says it first, in `Hello`.
pub const VERSION: u32 = 1;

/// No frame is longer, in bytes. A 10 MB paste, escaped as JSON, still passes.
pub const MAX_FRAME: usize = 64 << 20;

const CUT_SHORT: &str = "The engine's channel ended in the middle of a frame";

/// Whether an error of [`read`] means that the other side went away while it was writing.
pub fn is_cut_short(error: &EngineError) -> bool {
    error.kind == ErrorKind::Protocol && error.message == CUT_SHORT
}

/// One frame as bytes, with its line end.
///
/// # Errors
/// `InvalidRequest` for a frame over [`MAX_FRAME`], or one that cannot be written as text (a path that is not UTF-8).
pub fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, EngineError> {
    let mut line = serde_json::to_vec(frame).map_err(|error| {
        EngineError::new(ErrorKind::InvalidRequest, format!("This cannot be passed between the window and the engine: {error}"))
            .hint("Give the file and its folder a name of ordinary characters")
    })?;
    if line.len() >= MAX_FRAME {
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        return Err(EngineError::new(
            ErrorKind::InvalidRequest,
            format!("This takes {} MiB, more than the {} MiB that pass between the window and the engine", mib(line.len()), mib(MAX_FRAME)),
        )
        .hint("Shorten the text; it is far longer than any context"));
    }
    line.push(b'\n');
    Ok(line)
}

/// Writes one frame and flushes it.
///
/// # Errors
/// What the writer reports, and `InvalidData` for what [`encode`] refuses.
pub fn write<T: Serialize>(out: &mut impl Write, frame: &T) -> io::Result<()> {
    let line = encode(frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    out.write_all(&line)?;
    out.flush()
}

/// Reads one frame; `None` at the end of the stream.
///
/// # Errors
/// `Protocol` for a frame that is too long, cut short, not JSON, or not one of ours. After an error the stream is not in step and must be
/// closed.
pub fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> Result<Option<T>, EngineError> {
    let garbage = |what: String| EngineError::new(ErrorKind::Protocol, what);
    let mut line = Vec::new();
    let read = io::Read::take(&mut *input, MAX_FRAME as u64)
        .read_until(b'\n', &mut line)
        .map_err(|error| garbage(format!("The engine's channel broke: {error}")))?;
    if read == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() {
        return Err(garbage(if read >= MAX_FRAME { "A frame is longer than the protocol allows".into() } else { CUT_SHORT.into() }));
    }
    serde_json::from_slice(&line).map(Some).map_err(|error| {
        let head: String = String::from_utf8_lossy(line.get(..80).unwrap_or(&line)).into_owned();
        garbage(format!("The engine sent something that is not a frame ({error})")).details(vec![head])
    })
}
