//! What a message is made of, worked out apart from how it is painted: no egui here, so all of it is unit-tested.
//!
//! - [`BlockIndex`] cuts a growing reply into top-level Markdown blocks, at a cost that depends on what was added and not on what is
//!   there. The window lays out only the blocks that are in view.
//! - [`pieces`] turns one block into lines of styled text, code, tables and rules, nesting flattened to an indent.
//! - [`visible`] shows characters that would hide or reorder text; [`fold`] cuts lines too long to lay out. Both are for display only: what
//!   is copied is the message's own text.

mod blocks;
mod inline;
mod text;

pub use blocks::{Block, BlockIndex, BlockKind};
pub use inline::{Align, Body, Piece, Row, Span, Style, cuts, is_web_link, pieces};
pub use text::{FOLD_AT, fold, visible};
