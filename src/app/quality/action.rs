//! What can be asked of the Quality page.

use std::path::PathBuf;

use super::{HeatBy, Variant};
use crate::protocol::RunId;
use crate::store::ChatId;

/// What a person asks of the Quality page.
#[derive(Clone, Debug, PartialEq)]
pub enum QualityAction {
    /// Take this file for right
    SetReference(PathBuf),
    /// Compare a rung, or no longer
    ToggleRung(PathBuf),
    /// Compare in a variant, or no longer
    ToggleVariant(Variant),
    /// Read the text that ships with the program
    UseBuiltin,
    /// Ask for a text file
    PickText,
    /// Read this file
    UseFile(PathBuf),
    /// Read what was pasted
    UsePasted,
    /// What was pasted
    SetPasted(String),
    /// Read this chat
    UseChat(ChatId),
    /// Ask these prompts: a set by its name, empty for those that ship
    UsePrompts(String),
    /// Keep prompts under a name, in place of what is kept under it, and ask them
    SavePrompts(String, Vec<String>),
    /// Forget a set of prompts
    DeletePrompts(String),
    /// Most tokens of each answer to a prompt
    SetAnswerTokens(u32),
    /// Tokens of a chunk
    SetChunk(u32),
    /// Most chunks; 0 = all
    SetMaxChunks(u32),
    /// Stop once every mean is known this well, per cent; 0 = read on
    SetTight(u32),
    /// Compare what was set up
    Measure,
    /// Compare every rung on disk
    MeasureLadder,
    /// Compare greedy answers of the candidate on screen
    MeasureAnswers,
    /// End the comparison; what was measured stays
    Stop,
    /// Put the result away and set another one up
    Clear,
    /// Show a comparison that was kept as these runs
    Open(Vec<RunId>),
    /// Show the comparison that a kept run belongs to, and the candidate whose run it is
    OpenOf(RunId),
    /// Show another candidate
    Show(usize),
    /// Colour the text by another figure
    SetHeat(HeatBy),
    /// Colour only tokens of at least this level
    SetFromLevel(u8),
    /// Look at a token
    Select(Option<usize>),
    /// Look at the next worse (-1) or the next less bad (1) token
    Worst(i32),
    /// Write the result to a file
    Export(QualityForm),
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QualityForm {
    /// A line a candidate
    Csv,
    /// Everything but the tokens
    Json,
    /// A table for a document
    Markdown,
    /// A line a token of the candidate on screen
    Tokens,
    /// A line a point of the ladder chart: what was measured before on the same text, and decode speeds, too
    Ladder,
}
