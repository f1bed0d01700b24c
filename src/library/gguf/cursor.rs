//! Reading from a file that may lie about itself: nothing is allocated, skipped or believed before it was weighed against the bytes that are
//! really left and against a budget.

use std::io::{self, Read};

use super::error::{Fault, GgufError};

/// Most bytes of metadata and tensor descriptions that are read, whatever the file declares. The largest vocabularies take about 20 MB.
pub const READ_BUDGET: u64 = 256 << 20;
/// Most bytes of keys, names and texts that are kept.
pub const KEEP_BUDGET: u64 = 32 << 20;
/// Longest text value. Chat templates reach some 100 KB.
pub const TEXT_BUDGET: u64 = 16 << 20;

pub(super) struct Cursor<R> {
    input: R,
    at: u64,
    /// Bytes of the file
    len: u64,
    kept: u64,
}

impl<R: Read> Cursor<R> {
    pub(super) fn new(input: R, len: u64) -> Self {
        Self { input, at: 0, len, kept: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes that the file still has.
    pub(super) fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    /// Agrees to read `n` more bytes, or says why not.
    fn admit(&self, n: u64) -> Result<(), GgufError> {
        if n > self.left() {
            let message = format!("The file ends within its header, at byte {}: {n} more bytes were promised", self.len);
            return Err(GgufError::at(Fault::Truncated, self.at, message));
        }
        if self.at.saturating_add(n) > READ_BUDGET {
            let message = format!("The header is larger than {} MiB, which no sane model needs", READ_BUDGET >> 20);
            return Err(GgufError::at(Fault::OverBudget, self.at, message));
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> GgufError {
        // a file that shrinks while it is read is cut short like any other
        let fault = if error.kind() == io::ErrorKind::UnexpectedEof { Fault::Truncated } else { Fault::Unreadable };
        GgufError::at(fault, self.at, format!("The file cannot be read further ({error})"))
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.admit(N as u64)?;
        let mut buffer = [0; N];
        self.input.read_exact(&mut buffer).map_err(|e| self.broken(&e))?;
        self.at += N as u64;
        Ok(buffer)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// Passes over `n` bytes.
    pub(super) fn skip(&mut self, n: u64) -> Result<(), GgufError> {
        self.admit(n)?;
        let passed = io::copy(&mut self.input.by_ref().take(n), &mut io::sink()).map_err(|e| self.broken(&e))?;
        if passed < n {
            return Err(self.broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        self.at += n;
        Ok(())
    }

    /// Reads `n` bytes into `buffer`, replacing what it held. The caller has bounded `n`.
    pub(super) fn fill(&mut self, buffer: &mut Vec<u8>, n: u64) -> Result<(), GgufError> {
        self.admit(n)?;
        buffer.clear();
        let read = self.input.by_ref().take(n).read_to_end(buffer).map_err(|e| self.broken(&e))?;
        if (read as u64) < n {
            return Err(self.broken(&io::ErrorKind::UnexpectedEof.into()));
        }
        self.at += n;
        Ok(())
    }

    /// Reads a string's length and weighs it against `most`.
    pub(super) fn string_length(&mut self, most: u64, what: &str) -> Result<u64, GgufError> {
        let at = self.at;
        let n = self.u64()?;
        if n > most {
            let fault = if n > self.left() { Fault::Truncated } else { Fault::OverBudget };
            return Err(GgufError::at(fault, at, format!("{what} claims to be {n} bytes long, the limit is {most}")));
        }
        self.admit(n)?;
        Ok(n)
    }

    /// Reads a string that will be kept.
    pub(super) fn kept_string(&mut self, most: u64, what: &str) -> Result<Vec<u8>, GgufError> {
        let n = self.string_length(most, what)?;
        self.keep(n)?;
        let mut text = Vec::new();
        self.fill(&mut text, n)?;
        Ok(text)
    }

    /// Counts bytes that stay in memory.
    pub(super) fn keep(&mut self, n: u64) -> Result<(), GgufError> {
        self.kept = self.kept.saturating_add(n);
        if self.kept > KEEP_BUDGET {
            let message = format!("The names and texts of the header exceed {} MiB", KEEP_BUDGET >> 20);
            return Err(GgufError::at(Fault::OverBudget, self.at, message));
        }
        Ok(())
    }
}
