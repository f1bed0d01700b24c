//! Where two continuations of the same prompt part, token by token: what greedy decoding makes of a difference in quality.

use serde::{Deserialize, Serialize};

use super::stats;

/// Asked of both sides when their greedy answers are compared and the user has no prompts.
pub const PROMPTS: [&str; 3] = [
    "What makes a language model slow to answer? Explain it to a manager.",
    "Write a function in Python that merges overlapping intervals, and explain it.",
    "Summarise the plot of a story in which a lighthouse keeper finds a message in a bottle.",
];

/// How far two token sequences agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Equal tokens from the start, before the first that differs or is missing on one side
    pub same: usize,
    /// Tokens of the reference
    pub reference: usize,
    /// Tokens of the candidate
    pub candidate: usize,
}

impl Agreement {
    /// Compares two sequences from their start.
    pub fn of<T: PartialEq>(reference: &[T], candidate: &[T]) -> Self {
        let same = reference.iter().zip(candidate).take_while(|(a, b)| a == b).count();
        Self { same, reference: reference.len(), candidate: candidate.len() }
    }

    /// Index of the first token that differs. A sequence that ends where the other goes on differs there. `None` for equal sequences.
    pub fn first_divergence(&self) -> Option<usize> {
        (self.same < self.longer()).then_some(self.same)
    }

    /// Equal tokens from the start over tokens of the longer one, 0..1; 1 for two empty ones.
    pub fn fraction(&self) -> f64 {
        if self.longer() == 0 { 1.0 } else { self.same as f64 / self.longer() as f64 }
    }

    fn longer(&self) -> usize {
        self.reference.max(self.candidate)
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.same == 1 { "token" } else { "tokens" };
        match self.first_divergence() {
            None => write!(f, "identical ({} {word})", self.same),
            Some(0) => write!(f, "different from the first token"),
            Some(_) => write!(f, "identical for {} {word}", self.same),
        }
    }
}

/// Agreement over several prompts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreements {
    /// Prompts compared
    pub prompts: usize,
    /// Prompts whose continuations are equal to the last token
    pub identical: usize,
    /// `identical / prompts`, 0..1
    pub identical_fraction: f64,
    /// Equal tokens from the start over tokens of the longer continuation, summed over the prompts before dividing: `sum same / sum
    /// longer`, 0..1
    pub token_fraction: f64,
    /// Middle of the prompts' equal tokens from the start. Where continuations are cut at a limit, that limit holds it down.
    pub median_same: f64,
    /// Equal tokens from the start of the prompt that parts first
    pub least_same: usize,
}

impl Agreements {
    /// Sums up prompts. `None` for none.
    pub fn of(prompts: &[Agreement]) -> Option<Self> {
        let same: Vec<f64> = prompts.iter().map(|a| a.same as f64).collect();
        let longer: usize = prompts.iter().map(Agreement::longer).sum();
        let identical = prompts.iter().filter(|a| a.first_divergence().is_none()).count();
        Some(Self {
            prompts: prompts.len(),
            identical,
            median_same: stats::median(&same)?,
            least_same: prompts.iter().map(|a| a.same).min()?,
            identical_fraction: identical as f64 / prompts.len() as f64,
            token_fraction: if longer == 0 { 1.0 } else { same.iter().sum::<f64>() / longer as f64 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_where_tokens_differ_or_end() {
        let of = |a: &[i32], b: &[i32]| Agreement::of(a, b);
        assert_eq!(of(&[1, 2, 3], &[1, 2, 3]).first_divergence(), None);
        assert_eq!(of(&[1, 2, 3], &[1, 5, 3]).first_divergence(), Some(1), "what is equal again afterwards does not count");
        assert_eq!(of(&[1, 2, 3], &[1, 2]).first_divergence(), Some(2));
        assert_eq!(of(&[1], &[1, 2]).first_divergence(), Some(1));
        assert_eq!(of(&[], &[7]).first_divergence(), Some(0));
        assert_eq!(of(&[], &[]).first_divergence(), None);
        assert_eq!(of(&[], &[]).fraction(), 1.0);
        assert_eq!(of(&[1, 2, 3, 4], &[1, 5]).fraction(), 0.25);
    }

    #[test]
    fn says_so() {
        let said = |a: &[i32], b: &[i32]| Agreement::of(a, b).to_string();
        assert_eq!(said(&[1, 2], &[1, 2]), "identical (2 tokens)");
        assert_eq!(said(&[1, 2, 3], &[1, 2, 4]), "identical for 2 tokens");
        assert_eq!(said(&[1, 2], &[1, 3]), "identical for 1 token");
        assert_eq!(said(&[1], &[2]), "different from the first token");
    }

    #[test]
    fn prompts_are_summed_up() {
        assert_eq!(Agreements::of(&[]), None);
        let prompts = [Agreement::of(&[1, 2, 3, 4], &[1, 2, 3, 4]), Agreement::of(&[1, 2, 3, 4], &[1, 9]), Agreement::of(&[1, 2], &[3, 2])];
        let all = Agreements::of(&prompts).unwrap();
        assert_eq!((all.prompts, all.identical, all.least_same), (3, 1, 0));
        assert_eq!(all.identical_fraction, 1.0 / 3.0);
        assert_eq!(all.token_fraction, 5.0 / 10.0);
        assert_eq!(all.median_same, 1.0);
    }

    #[test]
    fn empty_answers_agree() {
        let all = Agreements::of(&[Agreement::of::<i32>(&[], &[])]).unwrap();
        assert_eq!((all.identical, all.token_fraction), (1, 1.0));
    }
}
