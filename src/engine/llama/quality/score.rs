//! Rows of logits to scores, on as many threads as there are cores: no model computes meanwhile.

use std::collections::HashSet;
use std::thread;

use super::super::model::Model;
use super::super::{load, tokens};
use crate::measure::quality::cache::{Entry, Shape};
use crate::measure::quality::row::{BadRow, Reference};
use crate::protocol::{EngineError, ErrorKind, TokenScore};

/// What the reference says about a stretch, ready for any number of candidates.
pub(super) struct Judge<'a> {
    references: Vec<Reference<'a>>,
    rows: &'a [&'a [f32]],
    targets: Vec<u32>,
}

impl<'a> Judge<'a> {
    /// Looks through the reference's rows; `targets` are the tokens that came next.
    ///
    /// # Errors
    /// When the reference's logits are of no use.
    pub(super) fn new(rows: &'a [&'a [f32]], targets: Vec<u32>) -> Result<Self, EngineError> {
        let pairs: Vec<(&[f32], u32)> = rows.iter().copied().zip(targets.iter().copied()).collect();
        let references = spread(&pairs, |(row, token)| Reference::new(row, *token))?;
        Ok(Self { references, rows, targets })
    }

    /// A candidate's scores against it.
    ///
    /// # Errors
    /// When its logits are of no use.
    pub(super) fn scores(&self, rows: &[&[f32]]) -> Result<Vec<TokenScore>, EngineError> {
        let pairs: Vec<(&Reference<'_>, &[f32])> = self.references.iter().zip(rows.iter().copied()).collect();
        spread(&pairs, |(reference, row)| reference.score(row))
    }

    /// The reference against itself: its own losses and candidates.
    ///
    /// # Errors
    /// As [`Judge::scores`].
    pub(super) fn alone(&self) -> Result<Vec<TokenScore>, EngineError> {
        self.scores(self.rows)
    }

    /// What is kept of it for candidates that are read later; `first` is the position of the first target.
    ///
    /// # Errors
    /// As [`Judge::new`].
    pub(super) fn keep(&self, first: u64) -> Result<Vec<Entry>, EngineError> {
        let rows: Vec<(u64, &[f32], u32)> =
            (first..).zip(self.rows.iter().copied().zip(self.targets.iter().copied())).map(|(at, (row, token))| (at, row, token)).collect();
        spread(&rows, |(at, row, token)| Entry::new(row, *token, Shape::default(), *at))
    }
}

/// Scores of a candidate against what was kept of the reference. Its divergences are estimates (see `measure::quality::cache`).
///
/// # Errors
/// When its logits are of no use.
pub(super) fn against(entries: &[Entry], rows: &[&[f32]]) -> Result<Vec<TokenScore>, EngineError> {
    let pairs: Vec<(&Entry, &[f32])> = entries.iter().zip(rows.iter().copied()).collect();
    spread(&pairs, |(entry, row)| entry.score(row).map(|(score, _)| score))
}

/// Works a list off on all cores, in order.
fn spread<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R, BadRow> + Sync) -> Result<Vec<R>, EngineError> {
    let threads = load::usable_cores() as usize;
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let work = &work;
    let parts: Vec<Result<Vec<R>, BadRow>> = thread::scope(|scope| {
        let running: Vec<_> = items.chunks(share).map(|part| scope.spawn(move || part.iter().map(work).collect())).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or(Err(BadRow::NotANumber))).collect()
    });
    let mut all = Vec::with_capacity(items.len());
    for part in parts {
        all.extend(part.map_err(|why| {
            EngineError::new(ErrorKind::Engine, why.to_string()).hint("Try the design in a chat first: its computation may be broken")
        })?);
    }
    Ok(all)
}

/// Which tokens have been named.
#[derive(Default)]
pub(super) struct Names {
    known: HashSet<u32>,
}

impl Names {
    /// The texts of those among the scores' candidates that are new.
    pub(super) fn of(&mut self, model: &Model, scores: &[TokenScore]) -> Vec<(u32, String)> {
        let ids = scores.iter().flat_map(|score| score.top_ref.iter().chain(&score.top_cand)).map(|(id, _)| *id);
        let mut names = Vec::new();
        for id in ids {
            if self.known.insert(id) {
                names.push((id, name(model, id)));
            }
        }
        names
    }
}

/// A token as a person can read it: its text, or its name in the vocabulary where it has none.
fn name(model: &Model, id: u32) -> String {
    let id = i32::try_from(id).unwrap_or(-1);
    let mut bytes = Vec::new();
    if id >= 0 {
        tokens::piece(model, id, &mut bytes);
    }
    if bytes.is_empty() {
        return tokens::token_text(model, id).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
