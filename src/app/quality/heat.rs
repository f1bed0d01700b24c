//! How far a token strays, in levels that mean the same for every rung.

use crate::protocol::TokenScore;

/// Levels of straying above "hardly".
pub const LEVELS: u8 = 4;

/// What the text is coloured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeatBy {
    /// KL divergence of the whole distribution, nats
    #[default]
    Kld,
    /// Change of the probability of the token that came next
    DeltaP,
    /// Places that it lost
    Rank,
}

impl HeatBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kld, Self::DeltaP, Self::Rank];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kld => "KLD",
            Self::DeltaP => "Δp",
            Self::Rank => "Rank",
        }
    }

    /// What it means.
    pub fn about(self) -> &'static str {
        match self {
            Self::Kld => {
                "KL divergence of the candidate's next-token distribution from the reference's, nats: Σ p_ref · (ln p_ref − ln p_cand)"
            }
            Self::DeltaP => "Change of the probability of the token that really comes next: p_cand − p_ref",
            Self::Rank => "Places that the token that really comes next lost in the candidate's order of preference",
        }
    }

    /// Where each level begins, in the unit of the figure (nats, parts of one, places), by size.
    pub fn thresholds(self) -> [f32; LEVELS as usize] {
        match self {
            Self::Kld => [0.05, 0.2, 0.5, 1.0],
            Self::DeltaP => [0.02, 0.05, 0.15, 0.3],
            Self::Rank => [1.0, 3.0, 10.0, 50.0],
        }
    }

    /// The figure of a token; a loss is positive for KLD and rank, negative for the change of probability.
    pub fn value(self, score: &TokenScore) -> f32 {
        match self {
            Self::Kld => score.kld,
            Self::DeltaP => score.delta_p,
            Self::Rank => score.rank_change() as f32,
        }
    }

    /// Whether the candidate does better than the reference here (never by KLD, which has no direction).
    pub fn is_gain(self, score: &TokenScore) -> bool {
        match self {
            Self::Kld => false,
            Self::DeltaP => score.delta_p > 0.0,
            Self::Rank => score.rank_change() < 0,
        }
    }

    /// How bad it is, for finding the worst: losses by their size, gains after all losses.
    pub fn badness(self, score: &TokenScore) -> f32 {
        match self {
            Self::Kld => score.kld,
            Self::DeltaP => -score.delta_p,
            Self::Rank => score.rank_change() as f32,
        }
    }

    /// A threshold as it is written.
    pub fn words(self, threshold: f32) -> String {
        match self {
            Self::Kld => format!("{threshold}"),
            Self::DeltaP => format!("{:.0} %", threshold * 100.0),
            Self::Rank => format!("{threshold:.0}"),
        }
    }
}

/// The level of a token, 0 (hardly) to [`LEVELS`].
pub fn level(by: HeatBy, score: &TokenScore) -> u8 {
    let size = by.value(score).abs();
    by.thresholds().iter().filter(|threshold| size >= **threshold).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::TOP;

    #[test]
    fn levels_follow_the_thresholds_and_gains_are_not_the_worst() {
        let top = [(0, 0.0); TOP];
        let mut score = TokenScore {
            nll_ref: 1.0,
            nll_cand: 1.0,
            kld: 0.3,
            delta_p: 0.4,
            same_top: true,
            rank_ref: 9,
            rank_cand: 2,
            top_ref: top,
            top_cand: top,
        };
        assert_eq!(HeatBy::ALL.map(|by| level(by, &score)), [2, 4, 2]);
        assert_eq!(HeatBy::ALL.map(|by| by.is_gain(&score)), [false, true, true]);
        assert!(HeatBy::DeltaP.badness(&score) < 0.0 && HeatBy::Rank.badness(&score) < 0.0);
        score.kld = 0.0;
        assert_eq!(level(HeatBy::Kld, &score), 0);
    }
}
