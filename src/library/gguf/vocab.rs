//! The vocabulary, weighed while it passes by: llama.cpp asserts that tokens are unique and that byte tokens can be read.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::value::Watch;

/// Most tokens. The largest known vocabulary has 262,144.
pub const MAX_TOKENS: u64 = 1 << 20;
/// `LLAMA_TOKEN_TYPE_BYTE`
const BYTE: i64 = 6;
/// A vocabulary has 256 byte tokens; a few more are noted, so that a wrong one is noticed, and no flood of them is kept.
const NOTED: usize = 512;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";

/// What is remembered of a vocabulary.
#[derive(Debug, Default)]
pub(super) struct VocabWatch {
    hasher: RandomState,
    hashes: Vec<u64>,
    /// Tokens that can be read as a byte
    readable: HashSet<u64>,
    /// Tokens whose type says that they are a byte
    byte_typed: Vec<u64>,
    /// First merge that has no pair
    bad_merge: Option<u64>,
}

/// What the vocabulary is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Two tokens have the same text
    pub(super) duplicates: bool,
    /// This token is of type byte and cannot be read as one
    pub(super) bad_byte: Option<u64>,
    /// This merge has no pair
    pub(super) bad_merge: Option<u64>,
}

impl Watch for VocabWatch {
    fn text(&mut self, key: &str, index: u64, text: &[u8]) -> Result<(), String> {
        if key == MERGES {
            // llama.cpp splits at the first space after the first byte
            let paired = text.iter().skip(1).position(|b| *b == b' ').is_some_and(|at| at + 2 < text.len());
            if !paired && self.bad_merge.is_none() {
                self.bad_merge = Some(index);
            }
            return Ok(());
        }
        if index >= MAX_TOKENS {
            return Err(format!("The vocabulary has more than {MAX_TOKENS} tokens"));
        }
        if text.is_empty() {
            // llama.cpp names empty tokens after their index, so they do not collide
            self.hashes.push(self.hasher.hash_one(("empty", index)));
        } else {
            self.hashes.push(self.hasher.hash_one(text));
        }
        if is_byte_token(text) && self.readable.len() < NOTED {
            self.readable.insert(index);
        }
        Ok(())
    }

    fn number(&mut self, _key: &str, index: u64, number: i64) {
        if number == BYTE && self.byte_typed.len() < NOTED {
            self.byte_typed.push(index);
        }
    }

    fn wants(&self, key: &str) -> bool {
        matches!(key, TOKENS | TYPES | MERGES)
    }
}

/// `<0xHH>`, as `token_to_byte` of llama-vocab.cpp reads it.
fn is_byte_token(text: &[u8]) -> bool {
    matches!(text, [b'<', b'0', b'x', high, low, b'>'] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

impl VocabWatch {
    pub(super) fn verdict(mut self) -> Verdict {
        self.hashes.sort_unstable();
        Verdict {
            duplicates: self.hashes.windows(2).any(|pair| matches!(pair, [a, b] if a == b)),
            bad_byte: self.byte_typed.iter().copied().find(|id| !self.readable.contains(id)),
            bad_merge: self.bad_merge,
        }
    }
}
