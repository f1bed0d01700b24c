//! What a design costs in quality: perplexity, KL divergence and the rest with llama-perplexity's definitions, from logits to summary.

pub mod cache;
pub mod divergence;
pub mod kept;
pub mod likelihood;
pub mod report;
pub mod row;
pub mod tally;

use super::stats;
pub use inferscope_kernel as kernel;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod testing;
