//! From rows of logits to what one token tells about a candidate against its reference.
//!
//! The definitions are llama-perplexity's (`tools/perplexity/perplexity.cpp` of llama.cpp: `log_softmax`, `process_logits`): exponentials
//! in `f32` around the row's maximum, sums in `f64`. Two things differ, both because no 16-bit file lies between the two models here: the
//! reference keeps its exact logits, and tokens that it gives less than e^-16 are not left out of the KL divergence.

use serde::{Deserialize, Serialize};

use super::kernel::{self, Scan};
pub use crate::protocol::{TOP, TokenScore};

/// Why rows cannot be scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRow {
    /// The two rows are of different vocabularies
    Lengths {
        /// Entries of the reference's row
        reference: usize,
        /// Entries of the candidate's row
        candidate: usize,
    },
    /// Under [`TOP`] entries, or more than 2^32
    Size(usize),
    /// The token that came next is not in the vocabulary
    Token {
        /// Its id
        token: u32,
        /// Entries of the row
        n_vocab: usize,
    },
    /// A logit is not a number or plus infinity, or all are minus infinity
    NotANumber,
    /// A probability is zero where its logarithm is needed, so that a figure would be infinite: masked logits
    Infinite,
}

impl std::fmt::Display for BadRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lengths { reference, candidate } => write!(f, "The vocabularies differ: {reference} and {candidate} entries"),
            Self::Size(n) => write!(f, "A vocabulary of {n} entries cannot be scored"),
            Self::Token { token, n_vocab } => write!(f, "Token {token} is outside the vocabulary of {n_vocab} entries"),
            Self::NotANumber => write!(f, "The model returned logits that are not numbers"),
            Self::Infinite => write!(f, "The model rules out a token altogether, so its loss is infinite"),
        }
    }
}

impl std::error::Error for BadRow {}

/// One side of one scored position.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Loss of the token that came next, nats: `nll = ln(sum_i exp(l_i - max)) - (l_token - max)`
    pub nll: f64,
    /// `ln(sum_i exp(l_i))`, so that `ln p_i = l_i - log_sum_exp`
    pub log_sum_exp: f64,
    /// Place of that token by logit, 1 for the most probable; among equals the lower id comes first
    pub rank: u32,
    /// The most probable tokens as (id, probability 0..1), best first
    pub top: [(u32, f32); TOP],
}

impl TokenScore {
    /// Puts both sides and the divergence together. Fails where the divergence is infinite.
    pub(crate) fn of(reference: &Loss, candidate: &Loss, kld: f64) -> Result<Self, BadRow> {
        if !kld.is_finite() {
            return Err(BadRow::Infinite);
        }
        Ok(Self {
            nll_ref: reference.nll as f32,
            nll_cand: candidate.nll as f32,
            kld: kld.max(0.0) as f32,
            delta_p: ((-candidate.nll).exp() - (-reference.nll).exp()) as f32,
            same_top: reference.top[0].0 == candidate.top[0].0,
            rank_ref: reference.rank,
            rank_cand: candidate.rank,
            top_ref: reference.top,
            top_cand: candidate.top,
        })
    }
}

/// Looks through a row. Fails where nothing can be said about it.
pub(crate) fn scan(row: &[f32], token: u32) -> Result<Scan, BadRow> {
    if row.len() < TOP || u32::try_from(row.len()).is_err() {
        return Err(BadRow::Size(row.len()));
    }
    let scan = Scan::of(row, token as usize).ok_or(BadRow::Token { token, n_vocab: row.len() })?;
    if scan.max.is_finite() { Ok(scan) } else { Err(BadRow::NotANumber) }
}

/// Makes one side of a position from `sum = sum_i exp(l_i - max)`.
pub(crate) fn side(row: &[f32], token: u32, scan: &Scan, sum: f64) -> Result<Loss, BadRow> {
    let value = *row.get(token as usize).ok_or(BadRow::Token { token, n_vocab: row.len() })?;
    if !sum.is_finite() {
        return Err(BadRow::NotANumber);
    }
    if value == f32::NEG_INFINITY {
        return Err(BadRow::Infinite);
    }
    let max = f64::from(scan.max);
    let mut top = [(0, 0.0); TOP];
    for (slot, (id, v)) in top.iter_mut().zip(scan.top(row, TOP)) {
        *slot = (id, (f64::from(kernel::exp(v - scan.max)) / sum) as f32);
    }
    Ok(Loss { nll: sum.ln() - (f64::from(value) - max), log_sum_exp: max + sum.ln(), rank: scan.rank, top })
}

/// The loss of the token that came next under one model, for perplexity without a reference. Two passes over the row.
pub fn loss(row: &[f32], token: u32) -> Result<Loss, BadRow> {
    let scan = scan(row, token)?;
    side(row, token, &scan, kernel::sum_exp(row, scan.max))
}

/// What is known of a reference's row once it has been looked through, without the row: whoever keeps both compares any number of
/// candidates with them, on any thread.
#[derive(Clone, Debug)]
pub struct Known {
    token: u32,
    scan: Scan,
}

impl Known {
    /// Takes the logits after a position and the token that came next in the text.
    pub fn of(row: &[f32], token: u32) -> Result<Self, BadRow> {
        Ok(Self { token, scan: scan(row, token)? })
    }

    /// Scores a candidate's logits after the same position; `row` is the one this was made of. A pass of comparisons over the candidate's
    /// row, then one over both that takes all sums, with `S = sum_i exp(l_i - max)` and
    /// `kld = sum_i e_i ((r_i - max r) - (c_i - max c)) / S_ref - ln S_ref + ln S_cand`.
    pub fn score(&self, row: &[f32], candidate: &[f32]) -> Result<TokenScore, BadRow> {
        if candidate.len() != row.len() {
            return Err(BadRow::Lengths { reference: row.len(), candidate: candidate.len() });
        }
        let scan = scan(candidate, self.token)?;
        let sums = kernel::sums(row, self.scan.max, candidate, scan.max);
        let reference_side = side(row, self.token, &self.scan, sums.reference)?;
        let candidate_side = side(candidate, self.token, &scan, sums.candidate)?;
        TokenScore::of(&reference_side, &candidate_side, sums.cross / sums.reference - sums.reference.ln() + sums.candidate.ln())
    }
}

/// The score of a single candidate; see [`Known::score`].
pub fn score(reference: &[f32], candidate: &[f32], token: u32) -> Result<TokenScore, BadRow> {
    Known::of(reference, token)?.score(reference, candidate)
}

#[cfg(test)]
mod tests;
