//! The probabilities of a reply's tokens as bytes: written piece by piece while the reply streams in, read as one table.
//!
//! A record is a head (a LEB128 number) and what it announces: 0 is followed by the byte of the reply's text at which the next token begins
//! (a run starts), n > 0 is a token of n - 1 bytes: its probability, how many alternatives it has, and for each the length of its text times
//! four plus its kind, the text, and its probability. A probability is `round(-2048 ln p)` in 16 bits: within 0.025 % of the value down to
//! e^-32, below which nothing is told apart. That makes some 40 bytes a token with five alternatives. Pieces put together are a piece.

use std::ops::Range;

use crate::protocol::{Alternative, PieceKind, TokenProb};

/// Steps of a natural logarithm.
const STEPS: f64 = 2048.0;

/// Writes "the next token begins at this byte of the reply's text".
pub fn encode_start(at: usize, out: &mut Vec<u8>) {
    out.push(0);
    number(at as u64, out);
}

/// Writes tokens that follow each other.
pub fn encode_tokens(tokens: &[TokenProb], out: &mut Vec<u8>) {
    for token in tokens {
        number(u64::from(token.bytes) + 1, out);
        probability(token.p, out);
        let top = token.top.get(..255).unwrap_or(&token.top);
        out.push(u8::try_from(top.len()).unwrap_or(u8::MAX));
        for alternative in top {
            number((alternative.text.len() as u64) << 2 | u64::from(u8::from(alternative.kind)), out);
            out.extend_from_slice(alternative.text.as_bytes());
            probability(alternative.p, out);
        }
    }
}

fn number(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push((n & 0x7F) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn probability(p: f32, out: &mut Vec<u8>) {
    let steps = (-f64::from(p).ln() * STEPS).round().clamp(0.0, f64::from(u16::MAX));
    out.extend_from_slice(&(steps as u16).to_le_bytes());
}

/// Reads what the functions above wrote; `None` where bytes are missing.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..63).step_by(7) {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            n |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(taken)
    }

    fn probability(&mut self) -> Option<f32> {
        let steps = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        Some((-f64::from(steps) / STEPS).exp() as f32)
    }

    fn alternative(&mut self) -> Option<Alternative> {
        let head = self.number()?;
        let text = String::from_utf8_lossy(self.take(usize::try_from(head >> 2).ok()?)?).into_owned();
        Some(Alternative { text, p: self.probability()?, kind: PieceKind::from((head & 3) as u8) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    start: u32,
    end: u32,
    /// Where its record is
    at: u32,
    /// A run begins with it
    is_first: bool,
}

/// The tokens of a reply, as they were written, with an index: some 55 bytes a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenTable {
    bytes: Vec<u8>,
    tokens: Vec<Entry>,
    /// Where the next token begins, bytes of the reply's text
    next: u32,
    starts: bool,
}

impl TokenTable {
    /// Adds a piece behind what is there. Damaged bytes end what is read of it.
    pub fn push(&mut self, piece: &[u8]) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        let mut reader = Reader { bytes: &self.bytes, at: base };
        let mut good = base;
        while reader.at < reader.bytes.len() {
            let at = reader.at;
            let Some(head) = reader.number() else { break };
            let Ok(offset) = u32::try_from(at) else { break };
            if head == 0 {
                let Some(start) = reader.number().and_then(|start| u32::try_from(start).ok()) else { break };
                // what an earlier run said behind its stop text is not part of the reply
                for token in self.tokens.iter_mut().rev().take_while(|token| token.end > start) {
                    token.end = start;
                    token.start = token.start.min(start);
                }
                (self.next, self.starts) = (start, true);
            } else {
                let skipped = (|| {
                    reader.probability()?;
                    let count = *reader.take(1)?.first()?;
                    (0..count).try_for_each(|_| reader.alternative().map(drop))
                })();
                let end = u32::try_from(head - 1).ok().and_then(|bytes| self.next.checked_add(bytes));
                let (Some(()), Some(end)) = (skipped, end) else { break };
                let is_first = std::mem::take(&mut self.starts);
                self.tokens.push(Entry { start: self.next, end, at: offset, is_first });
                self.next = end;
            }
            good = reader.at;
        }
        self.bytes.truncate(good);
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The bytes of the reply's text that a token added.
    pub fn range(&self, index: usize) -> Range<usize> {
        self.tokens.get(index).map_or(0..0, |token| token.start as usize..token.end as usize)
    }

    /// Whether a run begins with this token.
    pub fn is_first(&self, index: usize) -> bool {
        self.tokens.get(index).is_some_and(|token| token.is_first)
    }

    /// The token that holds a byte of the text, or the first one behind it.
    pub fn at(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| token.end as usize <= byte)
    }

    /// The first token that begins at a byte of the text or behind it.
    pub fn first_from(&self, byte: usize) -> usize {
        self.tokens.partition_point(|token| (token.start as usize) < byte)
    }

    /// Where the text of the token that begins at a byte ends; of a character made of several tokens, where that ends.
    pub fn until(&self, byte: usize) -> usize {
        let mine = self.tokens.iter().skip(self.first_from(byte)).take_while(|token| token.start as usize == byte);
        mine.map(|token| token.end as usize).max().unwrap_or(byte)
    }

    /// A token with its alternatives.
    pub fn token(&self, index: usize) -> Option<TokenProb> {
        let entry = self.tokens.get(index)?;
        let mut reader = Reader { bytes: &self.bytes, at: entry.at as usize };
        reader.number()?;
        let p = reader.probability()?;
        let count = *reader.take(1)?.first()?;
        let top = (0..count).map(|_| reader.alternative()).collect::<Option<_>>()?;
        Some(TokenProb { bytes: entry.end - entry.start, p, top })
    }

    /// A token's probability; the cheap part of [`TokenTable::token`].
    pub fn p(&self, index: usize) -> Option<f32> {
        let mut reader = Reader { bytes: &self.bytes, at: self.tokens.get(index)?.at as usize };
        reader.number()?;
        reader.probability()
    }

    /// What was written about the tokens that begin before a byte of the text.
    pub fn up_to(&self, byte: usize) -> &[u8] {
        let first = self.tokens.get(self.first_from(byte));
        self.bytes.get(..first.map_or(self.bytes.len(), |token| token.at as usize)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(bytes: u32, p: f32, top: &[(&str, f32)]) -> TokenProb {
        let top = top.iter().map(|(text, p)| Alternative { text: (*text).into(), p: *p, kind: PieceKind::Text }).collect();
        TokenProb { bytes, p, top }
    }

    fn bytes(start: usize, tokens: &[TokenProb]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_start(start, &mut out);
        encode_tokens(tokens, &mut out);
        out
    }

    #[test]
    fn runs_stand_where_they_began_and_cut_what_a_stop_text_took() {
        let mut table = TokenTable::default();
        table.push(&bytes(10, &[token(3, 1.0, &[]), token(4, 0.5, &[(" a", 0.5)])]));
        table.push(&bytes(15, &[token(2, 0.25, &[])]));
        assert_eq!((0..3).map(|n| table.range(n)).collect::<Vec<_>>(), [10..13, 13..15, 15..17]);
        assert_eq!((0..3).map(|n| table.is_first(n)).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!([0, 12, 13, 14, 16, 17].map(|byte| table.at(byte)), [0, 0, 1, 1, 2, 3]);
        let mut cut = TokenTable::default();
        cut.push(table.up_to(13));
        assert_eq!((cut.len(), cut.range(0)), (1, 10..13));
    }

    #[test]
    fn a_token_takes_few_bytes() {
        let five = [(" the", 0.5), (" a", 0.2), (" one", 0.1), (" some", 0.05), ("\n", 0.01)];
        assert!(bytes(0, &[token(4, 0.5, &five)]).len() <= 42);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            tokens in prop::collection::vec((0u32..300, 0f32..=1.0, prop::collection::vec(("\\PC{0,12}", 0f32..=1.0, 0u8..4), 0..6)), 0..20),
            pieces in 1usize..5
        ) {
            let tokens: Vec<TokenProb> = tokens
                .into_iter()
                .map(|(bytes, p, top)| TokenProb { bytes, p, top: top.into_iter().map(|(text, p, kind)| Alternative { text, p, kind: kind.into() }).collect() })
                .collect();
            let mut table = TokenTable::default();
            for part in tokens.chunks(pieces) {
                let mut out = Vec::new();
                encode_tokens(part, &mut out);
                table.push(&out);
            }
            prop_assert_eq!(table.len(), tokens.len());
            let near = |a: f32, b: f32| (a - b).abs() <= 3e-4 * b + 1e-13;
            for (index, want) in tokens.iter().enumerate() {
                let got = table.token(index).unwrap();
                prop_assert!(got.bytes == want.bytes && near(got.p, want.p) && Some(got.p) == table.p(index));
                prop_assert_eq!(got.top.len(), want.top.len());
                for (a, b) in got.top.iter().zip(&want.top) {
                    prop_assert!(a.text == b.text && a.kind == b.kind && near(a.p, b.p));
                }
            }
        }

        #[test]
        fn damage_is_survived(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut table = TokenTable::default();
            table.push(&bytes(0, &[token(3, 1.0, &[])]));
            table.push(&noise);
            for index in 0..table.len() {
                prop_assert!(table.token(index).is_some() && table.range(index).start <= table.range(index).end);
            }
        }
    }
}
