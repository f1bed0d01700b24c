//! Rows of logits to scores: on the thread that read them while other models compute, on all cores where none does.

use std::collections::HashSet;
use std::thread;

use super::super::model::Model;
use super::super::{load, tokens};
use crate::measure::quality::cache::{Entry, Shape};
use crate::measure::quality::row::{self, BadRow, Known};
use crate::protocol::{EngineError, ErrorKind, TokenScore};

/// What the reference says about a stretch, ready for any number of candidates on any threads. The rows are copies: their context reads on.
pub(super) struct Judge {
    rows: Vec<f32>,
    known: Vec<Known>,
}

impl Judge {
    /// With room for the rows of a stretch, in memory that another one has left.
    pub(super) fn new(n_vocab: usize, rows: usize, mut buffer: Vec<f32>) -> Self {
        buffer.clear();
        buffer.reserve_exact(n_vocab * rows);
        Self { rows: buffer, known: Vec::with_capacity(rows) }
    }

    /// Looks through the next rows of the reference and copies them; `targets` are the tokens that came next.
    ///
    /// # Errors
    /// When the reference's logits are of no use.
    pub(super) fn hear(&mut self, rows: &[&[f32]], targets: &[u32]) -> Result<(), EngineError> {
        for (row, token) in rows.iter().zip(targets) {
            self.known.push(Known::of(row, *token).map_err(of_no_use)?);
            self.rows.extend_from_slice(row);
        }
        Ok(())
    }

    /// A candidate's scores against the rows from `first` on, taken on this thread: the others compute meanwhile.
    ///
    /// # Errors
    /// When its logits are of no use.
    pub(super) fn scores(&self, first: usize, rows: &[&[f32]]) -> Result<Vec<TokenScore>, EngineError> {
        let n_vocab = (self.rows.len() / self.known.len().max(1)).max(1);
        let own = self.known.iter().zip(self.rows.chunks_exact(n_vocab)).skip(first);
        own.zip(rows).map(|((known, row), candidate)| known.score(row, candidate)).collect::<Result<_, _>>().map_err(of_no_use)
    }

    /// The memory of its rows, for the next one.
    pub(super) fn into_buffer(self) -> Vec<f32> {
        self.rows
    }
}

/// The reference against itself: its own losses and candidates.
///
/// # Errors
/// As [`Judge::scores`].
pub(super) fn alone(rows: &[&[f32]], targets: &[u32]) -> Result<Vec<TokenScore>, EngineError> {
    let pairs: Vec<(&[f32], u32)> = rows.iter().copied().zip(targets.iter().copied()).collect();
    spread(&pairs, |(row, token)| row::score(row, row, *token))
}

/// What is kept of the reference for candidates that are read later; `first` is the position of the first target.
///
/// # Errors
/// As [`Judge::new`].
pub(super) fn keep(rows: &[&[f32]], targets: &[u32], first: u64) -> Result<Vec<Entry>, EngineError> {
    let rows: Vec<(u64, &[f32], u32)> =
        (first..).zip(rows.iter().copied().zip(targets.iter().copied())).map(|(at, (row, token))| (at, row, token)).collect();
    spread(&rows, |(at, row, token)| Entry::new(row, *token, Shape::default(), *at))
}

/// Scores of a candidate against what was kept of the reference. Its divergences are estimates (see `measure::quality::cache`).
///
/// # Errors
/// When its logits are of no use.
pub(super) fn against(entries: &[Entry], rows: &[&[f32]]) -> Result<Vec<TokenScore>, EngineError> {
    let pairs: Vec<(&Entry, &[f32])> = entries.iter().zip(rows.iter().copied()).collect();
    spread(&pairs, |(entry, row)| entry.score(row).map(|(score, _)| score))
}

/// Works a list off on all cores, in order: no model computes meanwhile.
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
        all.extend(part.map_err(of_no_use)?);
    }
    Ok(all)
}

fn of_no_use(why: BadRow) -> EngineError {
    EngineError::new(ErrorKind::Engine, why.to_string()).hint("Try the design in a chat first: its computation may be broken")
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
