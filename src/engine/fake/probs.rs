//! Probabilities by rule: what a token gets depends on its number in the reply only, so that a test knows it beforehand.

use crate::protocol::{Alternative, PieceKind, TokenProb};

/// Words that could have come instead.
const WORDS: [&str; 6] = [" river", " stone", " lamp", " quiet", " seven", " north"];

/// The probability of token `n` of a reply: 0.96, 0.72, 0.34, 0.08 and from the beginning again.
fn probability(n: u32) -> f32 {
    match n % 4 {
        0 => 0.96,
        1 => 0.72,
        2 => 0.34,
        _ => 0.08,
    }
}

/// What a scripted model gave token `n`, which reads `piece`: the token itself and words in turn, each half as probable as the one before.
/// Empty unless alternatives were asked for.
pub(super) fn of(n: u32, piece: &str, alternatives: u32) -> Vec<TokenProb> {
    if alternatives == 0 {
        return Vec::new();
    }
    let p = probability(n);
    let mut top = vec![Alternative { text: piece.to_owned(), p, kind: PieceKind::Text }];
    let mut rest = 1.0 - p;
    for word in WORDS.iter().cycle().skip(n as usize % WORDS.len()).take(WORDS.len()) {
        rest /= 2.0;
        top.push(Alternative { text: (*word).to_owned(), p: rest, kind: PieceKind::Text });
    }
    top.sort_by(|a, b| b.p.total_cmp(&a.p));
    top.truncate(alternatives as usize);
    vec![TokenProb { bytes: u32::try_from(piece.len()).unwrap_or(u32::MAX), p, top }]
}
