//! What is read: the tokens of a text, cut into passages and steps.

use std::ops::Range;

use super::super::model::Model;
use super::super::prompt::Maker;
use super::super::{template, tokens};
use crate::engine::backend::Job;
use crate::library;
use crate::protocol::{Design, EngineError, ErrorKind, QualityLayout, QualityPlan, QualityText};

/// Fewest tokens of a chunk: under it, hardly anything comes before what is scored.
const SHORTEST: usize = 16;

/// Fewest tokens of a decode, where there are so many. llama.cpp computes the attention of fewer in another way, which rounds differently:
/// then how the reading happened to be cut would show in the scores.
pub(super) const FEWEST: usize = 64;

/// The tokens of a text and which of them are scored.
pub(super) struct Text {
    tokens: Vec<i32>,
    passages: Vec<Range<usize>>,
    /// Of each passage: indices of tokens that are predicted and compared, ascending
    targets: Vec<Vec<Range<usize>>>,
    bos: Option<i32>,
    n_ctx: usize,
}

/// What is read from an empty context on.
pub(super) struct Passage<'a> {
    tokens: Vec<i32>,
    start: usize,
    targets: &'a [Range<usize>],
}

/// What is read in one decode.
pub(super) struct Step<'a> {
    /// Tokens to read
    pub(super) tokens: &'a [i32],
    /// How many of them need no logits
    pub(super) skip: usize,
    /// Index in the text of the token after the first that has logits
    first: usize,
}

impl Text {
    /// Tokenizes what the plan says.
    ///
    /// # Errors
    /// `InvalidRequest` for a text that is empty, binary or too short; `Template`; `Cancelled`.
    pub(super) fn of(plan: &QualityPlan, model: &Model, job: &Job) -> Result<Self, EngineError> {
        let go_on = || !job.is_cancelled();
        let bos = tokens::bos_eos(model).0.filter(|_| tokens::wants_bos(model));
        let text = match &plan.text {
            QualityText::Plain(text) => {
                // as llama-perplexity reads a file: without the line break at its end
                let text = text.strip_suffix('\n').unwrap_or(text);
                if text.trim().is_empty() {
                    return Err(
                        EngineError::new(ErrorKind::InvalidRequest, "The text is empty").hint("Choose a text with some pages of words")
                    );
                }
                let tokens = tokens::tokenize(model, &template::plain(text).segments, usize::MAX, &go_on);
                Self::chunks(tokens, bos, plan)
            }
            QualityText::Chat(messages) => {
                let maker = Maker { model, go_on: &go_on };
                Self::whole(vec![maker.assistant_parts(messages)?])
            }
            QualityText::Chats(chats) => {
                let maker = Maker { model, go_on: &go_on };
                Self::whole(chats.iter().map(|messages| maker.assistant_parts(messages)).collect::<Result<_, _>>()?)
            }
        };
        job.check()?;
        text
    }

    fn chunks(tokens: Vec<i32>, bos: Option<i32>, plan: &QualityPlan) -> Result<Self, EngineError> {
        let n_ctx = plan.n_ctx as usize;
        if n_ctx < SHORTEST {
            return Err(EngineError::new(ErrorKind::InvalidRequest, format!("A chunk needs at least {SHORTEST} tokens")));
        }
        let most = if plan.max_chunks == 0 { usize::MAX } else { plan.max_chunks as usize };
        let chunks = (tokens.len() / n_ctx).min(most);
        if chunks == 0 {
            let text = format!("The text has {} tokens, and one chunk alone takes {n_ctx}", tokens.len());
            return Err(EngineError::new(ErrorKind::InvalidRequest, text).hint("Choose a longer text or a smaller chunk"));
        }
        let passages: Vec<Range<usize>> = (0..chunks).map(|chunk| chunk * n_ctx..(chunk + 1) * n_ctx).collect();
        let second_half = |passage: &Range<usize>| std::iter::once(passage.start + n_ctx / 2 + 1..passage.end).collect();
        let targets = passages.iter().map(second_half).collect();
        Ok(Self { tokens, passages, targets, bos, n_ctx })
    }

    /// Conversations: each is read once, and what the assistant said is scored. One in which it said nothing is left out.
    fn whole(chats: Vec<(Vec<i32>, Vec<Range<usize>>)>) -> Result<Self, EngineError> {
        let mut text = Self { tokens: Vec::new(), passages: Vec::new(), targets: Vec::new(), bos: None, n_ctx: 0 };
        for (tokens, targets) in chats {
            let base = text.tokens.len();
            let said = targets.into_iter().filter(|range| range.start > 0 && !range.is_empty());
            let targets: Vec<Range<usize>> = said.map(|range| base + range.start..base + range.end).collect();
            let Some(end) = targets.last().map(|last| last.end) else { continue };
            text.passages.push(base..end);
            text.targets.push(targets);
            text.tokens.extend(tokens);
        }
        if text.passages.is_empty() {
            return Err(EngineError::new(ErrorKind::InvalidRequest, "The conversation has no answer to compare with")
                .hint("Choose a chat in which the model has answered"));
        }
        text.n_ctx = text.longest();
        Ok(text)
    }

    /// The text as the readers see it.
    pub(super) fn layout(&self, model: &Model) -> QualityLayout {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(self.tokens.len());
        for token in &self.tokens {
            tokens::piece(model, *token, &mut bytes);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|error| {
            // same length: every byte that is not part of a character becomes one that is shown as such
            error.into_bytes().iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
        });
        QualityLayout {
            text,
            ends,
            n_ctx: u32::try_from(self.n_ctx).unwrap_or(u32::MAX),
            chunks: u32::try_from(self.passages.len()).unwrap_or(u32::MAX),
            scored: self.targets.iter().flatten().map(|range| range.len() as u64).sum(),
            side_by_side: true,
        }
    }

    /// Tokens that one model reads.
    pub(super) fn tokens_read(&self) -> u64 {
        self.passages.iter().map(|passage| passage.len() as u64).sum()
    }

    /// Tokens of the longest passage.
    pub(super) fn longest(&self) -> usize {
        self.passages.iter().map(Range::len).max().unwrap_or(0)
    }

    /// The passages in order.
    pub(super) fn passages(&self) -> impl Iterator<Item = Passage<'_>> {
        self.passages.iter().zip(&self.targets).map(|(range, targets)| {
            let mut tokens = self.tokens.get(range.clone()).unwrap_or_default().to_vec();
            if let (Some(bos), Some(first)) = (self.bos, tokens.first_mut()) {
                *first = bos;
            }
            Passage { tokens, start: range.start, targets }
        })
    }

    fn token(&self, at: usize) -> u32 {
        self.tokens.get(at).and_then(|token| u32::try_from(*token).ok()).unwrap_or(0)
    }
}

impl Passage<'_> {
    /// Cuts the passage into steps that leave at most `rows` rows of logits each: only tokens before a target leave one.
    pub(super) fn steps(&self, rows: usize) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let mut from = 0;
        for targets in self.targets {
            // the last token predicts nothing that is scored
            let last = (targets.end - self.start).saturating_sub(1);
            let first = (targets.start - self.start).saturating_sub(1);
            while from < last {
                let skip = first.saturating_sub(from);
                let to = (from + skip + rows).min(last);
                if let Some(tokens) = self.tokens.get(from..to) {
                    steps.push(Step { tokens, skip, first: self.start + from + skip + 1 });
                }
                from = to;
            }
        }
        steps
    }
}

impl<'a> Step<'a> {
    /// The decode of the step that begins with token `at`, as (tokens, how many of them need no logits): about `most` tokens, and all
    /// that is left where a next one would have under [`FEWEST`].
    pub(super) fn decode(&self, at: usize, most: usize) -> (&'a [i32], usize) {
        let left = self.tokens.get(at..).unwrap_or_default();
        let n = if left.len() < most.saturating_add(FEWEST) { left.len() } else { most };
        (left.get(..n).unwrap_or_default(), self.skip.saturating_sub(at).min(n))
    }

    /// The tokens that the rows of this step predict.
    pub(super) fn targets(&self, text: &Text) -> Vec<u32> {
        (self.first..self.first + self.tokens.len() - self.skip).map(|at| text.token(at)).collect()
    }

    /// Index in the text of the first of them.
    pub(super) fn first_target(&self) -> usize {
        self.first
    }
}

/// Refuses to compare models that do not share a vocabulary, by their headers, before anything is loaded: their probabilities are of
/// different things.
///
/// # Errors
/// `InvalidRequest` with both vocabularies named; those of reading a header.
pub(super) fn check_vocabularies(plan: &QualityPlan) -> Result<(), EngineError> {
    let ours = vocabulary(&library::read_model(&plan.reference.model)?);
    for candidate in plan.candidates.iter().filter(|candidate| candidate.model != plan.reference.model) {
        let theirs = vocabulary(&library::read_model(&candidate.model)?);
        if ours != theirs {
            return Err(differ(&ours, &theirs, candidate));
        }
    }
    Ok(())
}

/// The same for loaded models, token by token.
///
/// # Errors
/// `InvalidRequest` with the first token that differs.
pub(super) fn check_tokens(reference: &Model, other: &Model, candidate: &Design) -> Result<(), EngineError> {
    let n = i32::try_from(reference.n_vocab()).unwrap_or(0);
    let (ours, theirs) = (|id| tokens::token_text(reference, id), |id| tokens::token_text(other, id));
    match (0..n).find(|id| !tokens::is_same_text(reference, other, *id)) {
        None => Ok(()),
        Some(id) => {
            let said = |text: Option<String>| format!("{:?} as token {id}", text.unwrap_or_default());
            Err(differ(&said(ours(id)), &said(theirs(id)), candidate))
        }
    }
}

/// `gpt2 smollm, 49152 tokens`.
fn vocabulary(header: &library::Header) -> String {
    let text = |key| header.text(key).unwrap_or("unnamed");
    format!("{} {}, {} tokens", text("tokenizer.ggml.model"), text("tokenizer.ggml.pre"), header.n_vocab())
}

fn differ(ours: &str, theirs: &str, candidate: &Design) -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, format!("The vocabularies differ: {ours} in the reference, {theirs} in the candidate"))
        .hint("Compare quantization levels of one model, or models that share a tokenizer")
        .path(&candidate.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(n_ctx: u32, max_chunks: u32) -> QualityPlan {
        QualityPlan {
            reference: Design::default(),
            candidates: Vec::new(),
            text: QualityText::Plain(String::new()),
            n_ctx,
            max_chunks,
            tight: None,
            one_at_a_time: false,
        }
    }

    #[test]
    fn the_second_half_of_each_chunk_is_scored() {
        let text = Text::chunks((0..1300).collect(), Some(7), &plan(512, 0)).unwrap();
        assert_eq!(text.passages.len(), 2);
        assert_eq!(text.targets.concat(), [257..512, 769..1024]);
        let passage = text.passages().nth(1).unwrap();
        assert_eq!((passage.tokens[0], passage.tokens[1]), (7, 513));
        let steps = passage.steps(1000);
        assert_eq!((steps.len(), steps[0].tokens.len(), steps[0].skip, steps[0].first_target()), (1, 511, 256, 769));
        assert_eq!(steps[0].targets(&text), (769..1024).collect::<Vec<u32>>());
        assert_eq!(Text::chunks((0..1300).collect(), None, &plan(512, 1)).unwrap().passages.len(), 1);
    }

    #[test]
    fn steps_leave_no_more_rows_than_allowed_and_miss_none() {
        let text = Text::chunks((0..64).collect(), None, &plan(64, 0)).unwrap();
        let passage = text.passages().next().unwrap();
        let steps = passage.steps(10);
        assert!(steps.iter().all(|step| step.tokens.len() - step.skip <= 10));
        assert_eq!(steps.iter().flat_map(|step| step.targets(&text)).collect::<Vec<_>>(), (33..64).collect::<Vec<_>>());
        assert_eq!(steps.iter().map(|step| step.tokens.len()).sum::<usize>(), 63);
    }

    #[test]
    fn however_a_step_is_cut_it_is_read_once_and_never_in_crumbs() {
        let text = Text::chunks((0..1024).collect(), None, &plan(1024, 0)).unwrap();
        let passage = text.passages().next().unwrap();
        let steps = passage.steps(10_000);
        let step = &steps[0];
        for most in [64, 128, 256, 300, 5000] {
            let (mut read, mut silent, mut sizes) = (Vec::new(), 0, Vec::new());
            while read.len() < step.tokens.len() {
                let (tokens, without) = step.decode(read.len(), most);
                assert!(without == tokens.len() || silent + without == 512, "logits of the second half only");
                read.extend_from_slice(tokens);
                silent += without;
                sizes.push(tokens.len());
            }
            assert_eq!((read.as_slice(), silent), (step.tokens, 512), "{most}");
            assert!(sizes.iter().all(|n| *n >= FEWEST && *n < most + FEWEST), "{sizes:?}");
        }
    }

    #[test]
    fn of_a_conversation_only_what_the_assistant_said_is_scored_in_one_read() {
        let text = Text::whole(vec![((0..60).collect(), vec![0..0, 10..20, 20..22, 40..50])]).unwrap();
        let passages: Vec<_> = text.passages().collect();
        assert_eq!((passages.len(), text.tokens_read()), (1, 50));
        for rows in [1, 4, 100] {
            let steps = passages[0].steps(rows);
            assert!(steps.iter().all(|step| (1..=rows).contains(&(step.tokens.len() - step.skip))));
            let targets: Vec<u32> = steps.iter().flat_map(|step| step.targets(&text)).collect();
            assert_eq!(targets, (10..22).chain(40..50).collect::<Vec<u32>>());
            let read: Vec<i32> = steps.iter().flat_map(|step| step.tokens.iter().copied()).collect();
            assert_eq!(read, (0..49).collect::<Vec<i32>>(), "each token is read once, in order");
        }
        assert!(Text::whole(vec![((0..60).collect(), vec![0..5])]).is_err(), "nothing comes before the first token");
    }

    #[test]
    fn conversations_are_read_one_by_one_and_scored_at_their_place_in_the_text() {
        let chats = vec![((0..30).collect(), vec![10..20]), ((50..60).collect(), Vec::new()), ((100..140).collect(), vec![5..9, 30..40])];
        let text = Text::whole(chats).unwrap();
        assert_eq!((text.passages.clone(), text.targets.clone()), (vec![0..20, 30..70], vec![vec![10..20], vec![35..39, 60..70]]));
        assert_eq!((text.n_ctx, text.tokens_read()), (40, 60), "the one without an answer is left out");
        let passages: Vec<_> = text.passages().collect();
        let steps = passages[1].steps(100);
        let targets: Vec<u32> = steps.iter().flat_map(|step| step.targets(&text)).collect();
        assert_eq!(targets, (105..109).chain(130..140).collect::<Vec<u32>>());
        assert_eq!(steps[0].first_target(), 35, "in tokens of the whole text");
    }

    #[test]
    fn too_short_a_text_says_how_short() {
        let error = Text::chunks((0..500).collect(), None, &plan(512, 0)).err().unwrap();
        assert!(error.message.contains("500") && error.message.contains("512"), "{error}");
        assert!(Text::chunks((0..500).collect(), None, &plan(8, 0)).is_err());
    }
}
