//! Scores of tokens, summed up as they come: llama-perplexity's figures (`kl_divergence` in `tools/perplexity/perplexity.cpp` of
//! llama.cpp, and for a single model `perplexity`).
//!
//! Below, `E[x]` is the mean of x over the `n` scored tokens, `a` the loss of a token under the candidate, `b` under the reference (nats).
//! Errors are standard errors of means, one sigma, of tokens taken as independent: `sqrt((E[x^2] - E[x]^2) / (n - 1))`
//! (`mean_and_uncertainty`). Tokens that follow each other are not quite independent, so they are a little too small; llama-perplexity's
//! are too.

use serde::{Deserialize, Serialize};

use super::row::TokenScore;
use super::stats::Interval;

/// Below this many tokens llama-perplexity prints no statistics ("we do not wish to do statistics on so few values").
pub const FEW: u64 = 100;

/// Rounding of a mean KL divergence, nats: what is known this closely cannot be known any better.
const FLOOR: f64 = 1e-6;

/// The normal distribution's 97.5 % quantile: standard errors on each side of a 95 % interval.
const SIGMAS_95: f64 = 1.959_963_984_540_054;

/// A figure and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure
    pub value: f64,
    /// One sigma, in the figure's unit. `None` for 10 tokens or fewer, where llama-perplexity prints 0.
    pub error: Option<f64>,
}

impl Estimate {
    /// The 95 % confidence interval `value -+ 1.96 error`, of a normal distribution.
    pub fn interval(&self) -> Option<Interval> {
        let half = SIGMAS_95 * self.error?;
        Some(Interval { low: self.value - half, high: self.value + half, level: 0.95 })
    }

    /// A function of a figure with the slope that it has there: errors grow by the slope.
    fn map(self, value: f64, slope: f64) -> Self {
        Self { value, error: self.error.map(|e| slope.abs() * e) }
    }

    fn exp(self) -> Self {
        self.map(self.value.exp(), self.value.exp())
    }
}

/// A sum and a sum of squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Moments {
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, x: f64) {
        self.sum += x;
        self.squares += x * x;
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// llama-perplexity's `mean_and_uncertainty`.
    fn estimate(&self, n: u64) -> Estimate {
        let count = n as f64;
        let mean = self.sum / count;
        let variance = (self.squares / count - mean * mean).max(0.0);
        Estimate { value: mean, error: (n > 10).then(|| (variance / (count - 1.0)).sqrt()) }
    }
}

/// Perplexity of one model, token by token (`perplexity`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Perplexity {
    tokens: u64,
    nll: Moments,
}

impl Perplexity {
    /// Adds the loss of a token, nats.
    pub fn add(&mut self, nll: f64) {
        self.tokens += 1;
        self.nll.add(nll);
    }

    /// Scored tokens so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Perplexity `exp(E[nll])` with the error `exp(E[nll]) * sqrt((E[nll^2] - E[nll]^2) / (n - 1))`. `None` for no tokens.
    pub fn estimate(&self) -> Option<Estimate> {
        (self.tokens > 0).then(|| self.nll.estimate(self.tokens).exp())
    }
}

/// The figures that cost nothing to have at any time: those of llama-perplexity's line per chunk, and a few more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Scored tokens
    pub tokens: u64,
    /// The candidate's perplexity `exp(E[a])`, error `exp(E[a]) * error of E[a]`
    pub ppl: Estimate,
    /// The reference's: `exp(E[b])`
    pub ppl_ref: Estimate,
    /// `ln(ppl / ppl_ref) = E[a] - E[b]`, error `sqrt(error(a)^2 + error(b)^2 - 2 cov)` with
    /// `cov = (E[ab] - E[a] E[b]) / (n - 1)`: both models find the same tokens hard, so it is far smaller than either's
    pub ln_ratio: Estimate,
    /// Mean KL divergence `E[kld]`, nats
    pub kld: Estimate,
    /// Mean change of the true token's probability `E[dp]`, `dp = p_cand - p_ref`, -1..1 (llama-perplexity prints per cent)
    pub delta_p: Estimate,
    /// Its root mean square `sqrt(E[dp^2])`, error `0.5 / rms * error of E[dp^2]`, 0..1
    pub delta_p_rms: Estimate,
    /// Tokens at which both have the same most probable one: `m / n`, error `sqrt(f (1 - f) / (n - 1))`, 0..1
    pub same_top: Estimate,
}

/// A distribution by its percentiles, interpolated between the values at rank `p * (n - 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it: p99_9 is the 99.9th percentile")]
pub struct Percentiles {
    pub min: f32,
    pub p0_1: f32,
    pub p1: f32,
    pub p5: f32,
    pub p10: f32,
    pub p25: f32,
    pub median: f32,
    pub p75: f32,
    pub p90: f32,
    pub p95: f32,
    pub p99: f32,
    pub p99_9: f32,
    pub max: f32,
}

impl Percentiles {
    /// In `f32` as llama-perplexity does it (its lambda `percentile`): among 10^5 values, `f32` ranks are off by some thousandths, and
    /// the figures are to be the same.
    fn of(values: &[f32]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f32::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let value = |i: usize| sorted.get(i.min(last)).copied();
        let at = |fraction: f32| {
            let rank = fraction * last as f32;
            let below = rank as usize;
            let part = rank - below as f32;
            Some((1.0 - part) * value(below)? + part * value(below + 1)?)
        };
        Some(Self {
            min: value(0)?,
            p0_1: at(0.001)?,
            p1: at(0.01)?,
            p5: at(0.05)?,
            p10: at(0.1)?,
            p25: at(0.25)?,
            median: if last % 2 == 1 { 0.5 * (value(last / 2 + 1)? + value(last / 2)?) } else { value(last / 2)? },
            p75: at(0.75)?,
            p90: at(0.9)?,
            p95: at(0.95)?,
            p99: at(0.99)?,
            p99_9: at(0.999)?,
            max: value(last)?,
        })
    }
}

/// All that llama-perplexity reports about a candidate against a reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Means and their errors
    #[serde(flatten)]
    pub running: Running,
    /// `ppl / ppl_ref = exp(ln_ratio)`, error `ratio * error of ln_ratio`
    pub ratio: Estimate,
    /// `ppl - ppl_ref`, error `sqrt(error(ppl)^2 + error(ppl_ref)^2 - 2 ppl ppl_ref cov)`
    pub difference: Estimate,
    /// Correlation of the losses `cov / (error(a) error(b))`, -1..1. `None` where a loss never varies, or for 10 tokens or fewer.
    pub correlation: Option<f64>,
    /// KL divergence, nats
    pub kld_percentiles: Percentiles,
    /// Change of the true token's probability, -1..1
    pub delta_p_percentiles: Percentiles,
}

/// Scores, summed up. Eight bytes per token are kept for the percentiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    tokens: u64,
    same_top: u64,
    candidate: Moments,
    reference: Moments,
    /// `sum ab`
    product: f64,
    kld: Moments,
    delta_p: Moments,
    /// Of `dp^2`
    delta_p_square: Moments,
    klds: Vec<f32>,
    delta_ps: Vec<f32>,
}

impl Tally {
    /// Adds a token.
    pub fn add(&mut self, score: &TokenScore) {
        let (a, b) = (f64::from(score.nll_cand), f64::from(score.nll_ref));
        let delta_p = f64::from(score.delta_p);
        self.tokens += 1;
        self.same_top += u64::from(score.same_top);
        self.candidate.add(a);
        self.reference.add(b);
        self.product += a * b;
        self.kld.add(f64::from(score.kld));
        self.delta_p.add(delta_p);
        self.delta_p_square.add(delta_p * delta_p);
        self.klds.push(score.kld);
        self.delta_ps.push(score.delta_p);
    }

    /// Adds what another has summed up, as if its tokens had been added here.
    pub fn merge(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.same_top += other.same_top;
        self.candidate.merge(&other.candidate);
        self.reference.merge(&other.reference);
        self.product += other.product;
        self.kld.merge(&other.kld);
        self.delta_p.merge(&other.delta_p);
        self.delta_p_square.merge(&other.delta_p_square);
        self.klds.extend_from_slice(&other.klds);
        self.delta_ps.extend_from_slice(&other.delta_ps);
    }

    /// Scored tokens so far.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// `(E[ab] - E[a] E[b]) / (n - 1)` (`covariance`).
    fn covariance(&self) -> f64 {
        let n = self.tokens as f64;
        (self.product / n - (self.candidate.sum / n) * (self.reference.sum / n)) / (n - 1.0)
    }

    /// Error of a difference of two figures with this covariance. Rounding may make it the root of a number just below zero.
    fn error_of_difference(a: Estimate, b: Estimate, covariance: f64) -> Option<f64> {
        Some((a.error?.powi(2) + b.error?.powi(2) - 2.0 * covariance).max(0.0).sqrt())
    }

    /// The means so far. `None` for no tokens.
    pub fn running(&self) -> Option<Running> {
        if self.tokens == 0 {
            return None;
        }
        let n = self.tokens;
        let (a, b) = (self.candidate.estimate(n), self.reference.estimate(n));
        let square = self.delta_p_square.estimate(n);
        let rms = square.value.sqrt();
        let same_top = self.same_top as f64 / n as f64;
        Some(Running {
            tokens: n,
            ppl: a.exp(),
            ppl_ref: b.exp(),
            ln_ratio: Estimate { value: a.value - b.value, error: Self::error_of_difference(a, b, self.covariance()) },
            kld: self.kld.estimate(n),
            delta_p: self.delta_p.estimate(n),
            delta_p_rms: square.map(rms, if rms > 0.0 { 0.5 / rms } else { 0.0 }),
            same_top: Estimate { value: same_top, error: (n > 10).then(|| (same_top * (1.0 - same_top) / (n as f64 - 1.0)).sqrt()) },
        })
    }

    /// Everything so far; sorts all values. `None` for no tokens. See [`FEW`].
    pub fn quality(&self) -> Option<Quality> {
        let running = self.running()?;
        let (a, b) = (self.candidate.estimate(self.tokens), self.reference.estimate(self.tokens));
        let covariance = self.covariance();
        let (ppl, ppl_ref) = (running.ppl, running.ppl_ref);
        let spread = a.error.zip(b.error).map(|(a, b)| a * b).filter(|s| *s > 0.0);
        Some(Quality {
            running,
            ratio: running.ln_ratio.exp(),
            difference: Estimate {
                value: ppl.value - ppl_ref.value,
                error: Self::error_of_difference(ppl, ppl_ref, ppl.value * ppl_ref.value * covariance),
            },
            correlation: spread.map(|s| covariance / s),
            kld_percentiles: Percentiles::of(&self.klds)?,
            delta_p_percentiles: Percentiles::of(&self.delta_ps)?,
        })
    }

    /// Whether the 95 % interval of the mean KL divergence reaches at most `relative_half_width` of the mean to each side: reason to
    /// stop. Never with under [`FEW`] tokens; also true where it is as narrow as rounding, as for a design against itself.
    ///
    /// Stopping at the first token that fulfils it favours stretches that happen to be calm: ask after each chunk.
    pub fn tight_enough(&self, relative_half_width: f64) -> bool {
        if self.tokens < FEW {
            return false;
        }
        let kld = self.kld.estimate(self.tokens);
        kld.error.is_some_and(|e| SIGMAS_95 * e <= (relative_half_width * kld.value).max(FLOOR))
    }
}

#[cfg(test)]
mod tests;
