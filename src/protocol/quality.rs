//! Quality: what one design makes of a text that another one would have continued otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Design, Message};

/// How many of the most probable tokens of each side a [`TokenScore`] names.
pub const TOP: usize = 5;

/// What is read by both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityText {
    /// Cut into chunks of `n_ctx` tokens, the second half of each is scored (llama-perplexity)
    Plain(String),
    /// Rendered with the reference's chat template and read as one; what the assistant said is scored
    Chat(Vec<Message>),
    /// Several of those, each read from an empty context on
    Chats(Vec<Vec<Message>>),
}

/// A comparison of designs with a reference, side by side over one text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QualityPlan {
    /// What is taken for right
    pub reference: Design,
    /// What is compared with it; empty measures the perplexity of the reference alone
    pub candidates: Vec<Design>,
    /// The text
    pub text: QualityText,
    /// Tokens of a chunk (llama-perplexity's `-c`, 512 there)
    pub n_ctx: u32,
    /// Most chunks; 0 = the whole text
    pub max_chunks: u32,
    /// Ends early once every candidate's mean KL divergence is known this closely: half the 95 % interval over the mean
    pub tight: Option<f64>,
    /// The reference is read first and kept as a compact cache, even where both models would fit in memory at once
    pub one_at_a_time: bool,
}

/// The text as the models read it: sent once, before any score.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QualityLayout {
    /// The whole text (of a chat: as the template made it)
    pub text: String,
    /// Where each token of it ends in `text`, bytes. An end inside a character belongs to a token that holds a part of it
    pub ends: Vec<u32>,
    /// Tokens of a chunk
    pub n_ctx: u32,
    /// Chunks that will be read
    pub chunks: u32,
    /// Positions that will be scored, in tokens of the text
    pub scored: u64,
    /// Whether reference and candidates are in memory together, or the reference is kept as a compact cache
    pub side_by_side: bool,
}

/// What one scored position tells about a candidate against the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenScore {
    /// Loss of the token that came next under the reference, nats
    pub nll_ref: f32,
    /// The same under the candidate
    pub nll_cand: f32,
    /// KL divergence, nats: `sum_i p_ref(i) * (ln p_ref(i) - ln p_cand(i))` over the whole vocabulary. Rounding can bring it some 1e-7
    /// below zero where the true value is next to zero; such values are raised to 0.
    pub kld: f32,
    /// Change of the probability of the token that came next: `p_cand(token) - p_ref(token)`, -1..1
    pub delta_p: f32,
    /// Whether both have the same most probable token (the lowest id among equals)
    pub same_top: bool,
    /// Place of the token that came next under the reference, 1 for the most probable
    pub rank_ref: u32,
    /// The same under the candidate
    pub rank_cand: u32,
    /// The reference's most probable tokens as (id, probability 0..1), best first
    pub top_ref: [(u32, f32); TOP],
    /// The candidate's
    pub top_cand: [(u32, f32); TOP],
}

impl TokenScore {
    /// Places that the token that came next lost under the candidate; negative where it moved up.
    pub fn rank_change(&self) -> i64 {
        i64::from(self.rank_cand) - i64::from(self.rank_ref)
    }
}

/// The scores of a stretch of the text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityBatch {
    /// Which of the plan's candidates; of a plan without any, the reference itself, and both sides of each score are the same
    pub candidate: u32,
    /// Index in the text of the first token that is scored; the others follow
    pub first: u64,
    /// One score a token
    pub scores: Vec<TokenScore>,
    /// Texts of the tokens that are named for the first time in this job
    pub names: Vec<(u32, String)>,
}

/// A comparison token by token, as it is kept beside the run of one candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// What was read
    pub layout: QualityLayout,
    /// What the user asks in it, where the text is a conversation
    pub prompts: Vec<String>,
    /// Texts of the tokens that the scores name
    pub names: BTreeMap<u32, String>,
    /// Each score with its index in the text, rising
    pub scores: Vec<(u64, TokenScore)>,
}

impl TokenRecord {
    /// Most scores that are kept of one candidate: some 4 MB, with the text.
    pub const MOST: usize = 50_000;

    /// The record of scores; `None` where there are none, or more than are kept.
    pub fn of<'a, 'n>(
        layout: &QualityLayout,
        prompts: &[String],
        name: impl Fn(u32) -> Option<&'n str>,
        scores: impl Iterator<Item = (u64, &'a TokenScore)>,
    ) -> Option<Self> {
        let scores: Vec<(u64, TokenScore)> = scores.take(Self::MOST + 1).map(|(at, score)| (at, *score)).collect();
        if scores.is_empty() || scores.len() > Self::MOST {
            return None;
        }
        let ids = scores.iter().flat_map(|(_, score)| score.top_ref.iter().chain(&score.top_cand)).map(|(id, _)| *id);
        let names = ids.filter_map(|id| Some((id, name(id)?.to_owned()))).collect();
        Some(Self { layout: layout.clone(), prompts: prompts.to_vec(), names, scores })
    }

    /// Whether every score belongs to a token of the text, in order, and every token to a place in it.
    pub fn is_sound(&self) -> bool {
        let is_rising = self.scores.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        let n_tokens = self.layout.ends.len() as u64;
        let ends = &self.layout.ends;
        is_rising
            && self.scores.last().is_none_or(|(at, _)| *at < n_tokens)
            && ends.is_sorted()
            && ends.last().is_none_or(|end| *end as usize <= self.layout.text.len())
    }
}
