//! A reference's distribution in a few hundred bytes, for candidates that are measured when the reference is no longer in memory.
//!
//! # What is kept and what follows from it
//!
//! Of the reference's `p` a position keeps the head `H` (the k most probable tokens, exact), and of the rest, the tail: its mass
//! `T = sum_tail p_i`, its `N = sum_tail p_i ln p_i`, and a few tokens drawn from it in proportion to `p_i`. A candidate's `q` is known
//! in full when it is compared. With `Q = sum_tail q_i`:
//!
//! ```text
//! kld  = sum_H p_i ln(p_i / q_i) + sum_tail p_i ln(p_i / q_i)                      the second sum is not known
//! low  = sum_H p_i ln(p_i / q_i) + T ln(T / Q)                                     log-sum inequality
//! high = sum_H p_i ln(p_i / q_i) + N - T ln(min_i q_i)                             every q_i replaced by the smallest
//! kld  = low + T * E[r - 1 - ln r],   r = (q_i / Q) / (p_i / T)                    E over the tail by p; E[r] = 1
//! ```
//!
//! **Guaranteed** for every position, up to [`ROUNDING`]: `low <= kld <= high`. The gap of `low` is T times the divergence within the
//! tail. `high` is far off (about 15 T nats for a usual model): it bounds the worst case and is not an estimate.
//!
//! **Not guaranteed, but unbiased** over the draw of the tail's tokens: `estimate`, which takes the mean of `r - 1 - ln r` over them.
//! None of its terms is negative, so it never lies below `low`. The scatter of single positions averages out, and is part of the error of
//! the mean KL divergence, which is computed from the scatter of the estimates. Cutting it off at `high` only matters for hopeless draws.
//!
//! Everything but the KL divergence is exact: loss, change of probability, top token, ranks.

use serde::{Deserialize, Serialize};

use super::kernel::{self, Tail};
use super::row::{self, BadRow, Loss, TOP, TokenScore};

/// Rounding of [`Bounds`], nats: `f32` log probabilities of up to some 20, weighted by probabilities.
pub const ROUNDING: f64 = 4e-6;

/// A tail of less mass is left out: its terms are below [`ROUNDING`].
const NO_TAIL: f64 = 1e-9;

/// What `f64` may lose of a candidate's tail, over its sum: the tail is what the sum leaves when the head is taken off. Added to it, so
/// that the lower bound stays one where the candidate's tail has no mass to speak of.
const CANCELLED: f64 = 1e-12;

/// How much of a distribution is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Most probable tokens, at least [`TOP`]
    pub head: usize,
    /// Tokens drawn from the rest
    pub samples: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { head: 64, samples: 16 }
    }
}

impl Shape {
    /// Bytes that a position takes in memory.
    pub fn bytes(self) -> usize {
        size_of::<Entry>() + (self.head.max(TOP) + self.samples) * size_of::<(u32, f32)>()
    }
}

/// A reference's distribution after one position. Probabilities are natural logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Entries of the vocabulary
    n_vocab: u32,
    /// The token that came next
    token: u32,
    /// The reference's side of the score
    loss: Loss,
    /// The most probable tokens as (id, ln p), best first
    head: Box<[(u32, f32)]>,
    /// Mass of the rest, 0..1
    tail_mass: f64,
    /// `sum p ln p` over the rest
    tail_p_ln_p: f64,
    /// Tokens drawn from the rest, as (id, ln p)
    samples: Box<[(u32, f32)]>,
}

/// What is known about a KL divergence, nats. See the module's text for the formulas.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The true value is not smaller
    pub low: f64,
    /// Unbiased for the true value over the draw of the tail's tokens; between the other two
    pub estimate: f64,
    /// The true value is not larger. Infinite where the candidate has masked logits, unless there is no tail.
    pub high: f64,
}

/// A number from 0 to under 1 for each seed: the finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn offset(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

impl Entry {
    /// Keeps the reference's logits after a position, and the token that came next in the text.
    ///
    /// `seed` decides which tokens are drawn from the tail: the position's index in the text, so that positions are independent and a
    /// repetition gives the same entry.
    pub fn new(row: &[f32], token: u32, shape: Shape, seed: u64) -> Result<Self, BadRow> {
        let scan = row::scan(row, token)?;
        let top = scan.top(row, shape.head.max(TOP));
        let last = top.last().copied().ok_or(BadRow::Size(row.len()))?;
        let tail = Tail::of(row, scan.max, &top);
        let sum = tail.mass + top.iter().map(|(_, logit)| f64::from(kernel::exp(logit - scan.max))).sum::<f64>();
        let loss = row::side(row, token, &scan, sum)?;
        let ln_p = |(id, logit): (u32, f32)| (id, (f64::from(logit) - loss.log_sum_exp) as f32);
        Ok(Self {
            n_vocab: row.len() as u32,
            token,
            // masked logits have no logarithm: with probability 0 they may as well be in the tail
            head: top.into_iter().filter(|(_, logit)| *logit > f32::NEG_INFINITY).map(ln_p).collect(),
            tail_mass: tail.mass / sum,
            tail_p_ln_p: (tail.weighted - tail.mass * sum.ln()) / sum,
            samples: tail.sample(row, scan.max, last, shape.samples, offset(seed)).into_iter().map(ln_p).collect(),
            loss,
        })
    }

    /// The token that came next.
    pub fn token(&self) -> u32 {
        self.token
    }

    /// The reference's side of the score.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// Probability that is not in the head, 0..1.
    pub fn tail_mass(&self) -> f64 {
        self.tail_mass
    }

    /// Scores a candidate's logits after the same position. The score's KL divergence is the estimate.
    pub fn score(&self, candidate: &[f32]) -> Result<(TokenScore, Bounds), BadRow> {
        if candidate.len() != self.n_vocab as usize {
            return Err(BadRow::Lengths { reference: self.n_vocab as usize, candidate: candidate.len() });
        }
        let scan = row::scan(candidate, self.token)?;
        let sum = kernel::sum_exp(candidate, scan.max);
        let loss = row::side(candidate, self.token, &scan, sum)?;
        let bounds = self.bounds(candidate, scan.max, sum)?;
        Ok((TokenScore::of(&self.loss, &loss, bounds.estimate)?, bounds))
    }

    fn bounds(&self, candidate: &[f32], max: f32, sum: f64) -> Result<Bounds, BadRow> {
        let outside = |id: u32| BadRow::Token { token: id, n_vocab: candidate.len() };
        let logit = |id: u32| candidate.get(id as usize).copied().ok_or(outside(id));
        let log_sum_exp = f64::from(max) + sum.ln();
        let (mut head, mut left) = (0.0, sum);
        for (id, ln_p) in &self.head {
            let (ln_p, logit) = (f64::from(*ln_p), logit(*id)?);
            // the very numbers that `sum` is made of: what is left is exact but for the rounding of f64
            left -= f64::from(kernel::exp(logit - max));
            head += ln_p.exp() * (ln_p - f64::from(logit) + log_sum_exp);
        }
        if !head.is_finite() {
            return Err(BadRow::Infinite);
        }
        if self.tail_mass < NO_TAIL {
            let exact = head.max(0.0);
            return Ok(Bounds { low: exact, estimate: exact, high: exact });
        }
        let ln_t = self.tail_mass.ln();
        let ln_q = ((left.max(0.0) + CANCELLED * sum) / sum).ln();
        let low = head + self.tail_mass * (ln_t - ln_q);
        let high = head + self.tail_p_ln_p - self.tail_mass * (f64::from(kernel::smallest(candidate)) - log_sum_exp);
        let mut within = 0.0;
        for (id, ln_p) in &self.samples {
            let ln_r = (f64::from(logit(*id)?) - log_sum_exp - ln_q) - (f64::from(*ln_p) - ln_t);
            within += ln_r.exp() - 1.0 - ln_r;
        }
        let estimate = low + self.tail_mass * within / self.samples.len().max(1) as f64;
        let low = low.max(0.0);
        let high = high.max(low);
        Ok(Bounds { low, estimate: estimate.clamp(low, high), high })
    }
}

#[cfg(test)]
mod tests;
