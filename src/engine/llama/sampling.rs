//! Choosing the next token: llama.cpp's samplers in llama.cpp's order, fed with no more candidates than can matter.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;

use crate::protocol::{EngineError, ErrorKind, Sampler};

/// Deepest JSON schema that is passed on: llama.cpp's converter recurses over it without a limit of its own.
const MAX_SCHEMA_DEPTH: usize = 48;
/// Longest JSON schema, bytes.
const MAX_SCHEMA: usize = 256 << 10;
/// Above this many candidates the whole vocabulary is handed over at once.
const MAX_PICKED: usize = 4096;

/// The samplers of one reply.
pub(super) struct Chooser {
    chain: LlamaSampler,
    grammar: Option<LlamaSampler>,
    /// Candidates that can matter: top-k and the penalty window; `None` = the whole vocabulary
    pick: Option<usize>,
    /// Temperature 0 and nothing that changes the order: the largest logit
    greedy: bool,
    /// Tokens that penalties look at, latest last
    window: Vec<i32>,
    window_len: usize,
    scratch: Vec<LlamaTokenData>,
}

impl Chooser {
    /// Builds the chain; `n_ctx` is what a penalty window of -1 means, `history` is what is in the context before the reply.
    ///
    /// # Errors
    /// `InvalidRequest` for a schema that cannot become a grammar.
    pub(super) fn new(
        model: &LlamaModel,
        sampler: &Sampler,
        schema: Option<&str>,
        n_ctx: u32,
        history: &[i32],
    ) -> Result<Self, EngineError> {
        let last_n = if sampler.penalty_last_n < 0 { i32::try_from(n_ctx).unwrap_or(i32::MAX) } else { sampler.penalty_last_n };
        let neutral = sampler.repeat_penalty == 1.0 && sampler.presence_penalty == 0.0 && sampler.frequency_penalty == 0.0;
        let penalties = last_n > 0 && !neutral;
        let window_len = if penalties { usize::try_from(last_n).unwrap_or(0) } else { 0 };
        let cold = sampler.temperature <= 0.0;
        let mut parts = Vec::new();
        if penalties {
            parts.push(LlamaSampler::penalties(
                model.n_vocab(),
                last_n,
                sampler.repeat_penalty,
                sampler.frequency_penalty,
                sampler.presence_penalty,
            ));
        }
        if cold {
            parts.push(LlamaSampler::greedy());
        } else {
            parts.push(LlamaSampler::top_k(sampler.top_k));
            parts.push(LlamaSampler::top_p(sampler.top_p, 1));
            parts.push(LlamaSampler::min_p(sampler.min_p, 1));
            parts.push(LlamaSampler::temp(sampler.temperature));
            parts.push(LlamaSampler::dist(sampler.seed));
        }
        // Penalties move only tokens of the window, so the k best after them are among the k + window best before them and the window.
        let k = if cold { 1 } else { usize::try_from(sampler.top_k).unwrap_or(0) };
        let pick = (k > 0 && k.saturating_add(window_len) <= MAX_PICKED).then_some(k + window_len);
        let mut chooser = Self {
            chain: LlamaSampler::chain(parts, true),
            grammar: schema.map(|schema| grammar(model, schema)).transpose()?,
            pick,
            greedy: cold && !penalties,
            window: Vec::new(),
            window_len,
            scratch: Vec::new(),
        };
        for token in history.iter().skip(history.len().saturating_sub(window_len)) {
            chooser.remember(*token);
        }
        Ok(chooser)
    }

    fn remember(&mut self, token: i32) {
        if self.window_len == 0 {
            return;
        }
        // Accepting touches only the penalties; the draw has no memory of tokens.
        let _ = self.chain.try_accept(LlamaToken(token));
        if self.window.len() >= self.window_len {
            self.window.remove(0);
        }
        self.window.push(token);
    }

    /// The next token for a row of logits.
    ///
    /// # Errors
    /// `Engine` when no token can follow (a grammar that is at its end allows only the end of the reply, which is a token).
    pub(super) fn choose(&mut self, logits: &[f32]) -> Result<i32, EngineError> {
        let mut token = if self.greedy { argmax(logits) } else { self.draw(logits, false)? };
        if self.grammar.is_some() {
            // As llama.cpp does it: draw freely first, and only if the grammar forbids that token draw again under its rule.
            if !self.allowed(token) {
                token = self.draw(logits, true)?;
                // Accepting a forbidden token ends the process, so a dead end is found out before.
                if !self.allowed(token) {
                    return Err(EngineError::new(ErrorKind::Engine, "The grammar of the JSON schema allows no further token")
                        .hint("Simplify the JSON schema"));
                }
            }
            if let Some(grammar) = &mut self.grammar {
                grammar.try_accept(LlamaToken(token)).map_err(|error| {
                    EngineError::new(ErrorKind::Engine, format!("The grammar of the schema was left: {error}"))
                        .hint("Simplify the JSON schema")
                })?;
            }
        }
        self.remember(token);
        Ok(token)
    }

    fn allowed(&mut self, token: i32) -> bool {
        let Some(grammar) = &mut self.grammar else { return true };
        let mut one = LlamaTokenDataArray::new(vec![LlamaTokenData::new(LlamaToken(token), 1.0, 0.0)], false);
        grammar.apply(&mut one);
        one.data.first().is_some_and(|data| data.logit() > f32::NEG_INFINITY)
    }

    fn draw(&mut self, logits: &[f32], under_grammar: bool) -> Result<i32, EngineError> {
        let mut data = std::mem::take(&mut self.scratch);
        data.clear();
        match self.pick {
            Some(n) if !under_grammar && n < logits.len() => pick(logits, n, &self.window, &mut data),
            _ => data.extend(logits.iter().zip(0..).map(|(&logit, id)| LlamaTokenData::new(LlamaToken(id), logit, 0.0))),
        }
        let mut array = LlamaTokenDataArray::new(data, false);
        if let Some(grammar) = self.grammar.as_mut().filter(|_| under_grammar) {
            grammar.apply(&mut array);
        }
        self.chain.apply(&mut array);
        let token = array.selected_token();
        self.scratch = array.data;
        token.map(|token| token.0).ok_or_else(|| {
            EngineError::new(ErrorKind::Engine, "No token could be chosen: the model's output is not a number")
                .hint("The model file may be damaged; try another quantization level")
        })
    }
}

/// The first of the largest values, as llama.cpp's greedy sampler has it; 0 for a row of nothing but NaN.
fn argmax(logits: &[f32]) -> i32 {
    // Two passes of plain loops that the compiler turns into vector code; a single pass with an index does not vectorize.
    let mut best = [f32::NEG_INFINITY; 16];
    let mut chunks = logits.chunks_exact(16);
    for chunk in &mut chunks {
        for (best, value) in best.iter_mut().zip(chunk) {
            *best = if *value > *best { *value } else { *best };
        }
    }
    let top = best.iter().chain(chunks.remainder()).copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
    logits.iter().position(|value| *value == top).and_then(|at| i32::try_from(at).ok()).unwrap_or(0)
}

/// The `n` largest values and those of `always`, in the order of their ids (the order in which ties are kept).
fn pick(logits: &[f32], n: usize, always: &[i32], out: &mut Vec<LlamaTokenData>) {
    // A bound first: the n-th largest maximum over blocks is no larger than the n-th largest value, so whatever is below it is out.
    const BLOCK: usize = 64;
    let mut tops: Vec<f32> = logits.chunks(BLOCK).map(|block| block.iter().copied().fold(f32::NEG_INFINITY, f32::max)).collect();
    let bound = if tops.len() > n {
        let (_, nth, _) = tops.select_nth_unstable_by(n - 1, |a, b| b.total_cmp(a));
        *nth
    } else {
        f32::NEG_INFINITY
    };
    let mut above: Vec<(f32, i32)> = logits.iter().zip(0..).filter(|(value, _)| **value >= bound).map(|(value, id)| (*value, id)).collect();
    if above.len() > n {
        // Equal values: the lower id first, so that the outcome does not depend on the selection.
        above.select_nth_unstable_by(n - 1, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        above.truncate(n);
    }
    for id in always {
        if let Some(value) = usize::try_from(*id).ok().and_then(|at| logits.get(at)) {
            above.push((*value, *id));
        }
    }
    above.sort_unstable_by_key(|(_, id)| *id);
    above.dedup_by_key(|(_, id)| *id);
    out.extend(above.into_iter().map(|(value, id)| LlamaTokenData::new(LlamaToken(id), value, 0.0)));
}

fn grammar(model: &LlamaModel, schema: &str) -> Result<LlamaSampler, EngineError> {
    let refuse = |why: String| {
        EngineError::new(ErrorKind::InvalidRequest, format!("The JSON schema was rejected: {why}")).hint("Correct or simplify the schema")
    };
    if schema.len() > MAX_SCHEMA {
        return Err(refuse(format!("it is {} bytes long, over the limit of {MAX_SCHEMA}", schema.len())));
    }
    let value: serde_json::Value = serde_json::from_str(schema).map_err(|error| refuse(error.to_string()))?;
    if depth(&value) > MAX_SCHEMA_DEPTH {
        return Err(refuse(format!("it is nested deeper than {MAX_SCHEMA_DEPTH} levels")));
    }
    let text = llama_cpp_2::json_schema_to_grammar(schema)
        .map_err(|_ignored| refuse("llama.cpp cannot turn it into a grammar (an unknown type, a bad pattern or a bad reference)".into()))?;
    LlamaSampler::grammar(model, &text, "root").map_err(|error| refuse(error.to_string()))
}

fn depth(value: &serde_json::Value) -> usize {
    // serde_json has refused more than 128 levels, so the recursion is bounded.
    match value {
        serde_json::Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A fresh seed, for a sampler that asks for one: from the clock and the address-space randomness of this process.
pub(super) fn fresh_seed() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    let seed = (hash ^ (hash >> 32)) as u32;
    // u32::MAX stands for "draw one"; llama.cpp would draw again and the number reported would be wrong.
    if seed == u32::MAX { 0 } else { seed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(data: &[LlamaTokenData]) -> Vec<i32> {
        data.iter().map(|d| d.id().0).collect()
    }

    #[test]
    fn the_first_of_equal_maxima_wins() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, f32::NAN, 2.0]), 1);
        assert_eq!(argmax(&[f32::NAN; 3]), 0);
        let mut row = vec![0.0; 1000];
        row[777] = 5.0;
        row[778] = 5.0;
        assert_eq!(argmax(&row), 777);
    }

    #[test]
    fn always_wanted_tokens_are_there_once() {
        let mut row = vec![0.0; 300];
        row[10] = 9.0;
        row[299] = 8.0;
        let mut out = Vec::new();
        pick(&row, 2, &[5, 10, -1, 4000], &mut out);
        assert_eq!(ids(&out), [5, 10, 299]);
    }

    proptest::proptest! {
        #[test]
        fn picking_finds_the_largest(row in proptest::collection::vec(-50i32..50, 1..2000), n in 1usize..60) {
            let row: Vec<f32> = row.into_iter().map(|x| x as f32 / 4.0).collect();
            let mut out = Vec::new();
            pick(&row, n, &[], &mut out);
            let mut want: Vec<(f32, i32)> = row.iter().copied().zip(0..).collect();
            want.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            want.truncate(n);
            let mut want: Vec<i32> = want.into_iter().map(|(_, id)| id).collect();
            want.sort_unstable();
            proptest::prop_assert_eq!(ids(&out), want);
        }

        #[test]
        fn argmax_is_the_plain_one(row in proptest::collection::vec(-9i32..9, 1..200)) {
            let row: Vec<f32> = row.into_iter().map(|x| x as f32).collect();
            let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            proptest::prop_assert_eq!(argmax(&row) as usize, row.iter().position(|v| *v == best).unwrap());
        }
    }
}
