//! Where the rows of a tokenised text break. Widths are sums of advances: a row is laid out for real only when it is in view.

use std::collections::HashMap;
use std::ops::Range;

use egui::Ui;

use crate::ui::plain_text;
use crate::ui::theme;

/// Stands for the end of a line, so that a token that is nothing else can be seen.
const LINE_END: char = '¶';

/// What stands in one row of one token, or of several that share a character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    first: u32,
    last: u32,
    bytes: Range<u32>,
    is_word_start: bool,
    /// Line breaks behind it
    breaks: u8,
}

impl Piece {
    /// Its tokens.
    pub(super) fn tokens(&self) -> Range<usize> {
        self.first as usize..self.last as usize + 1
    }

    /// Whether a row may break before it.
    pub(super) fn starts_word(&self) -> bool {
        self.is_word_start
    }

    /// Its text as it is shown. At the start of a row that was broken, the space before a word is left out.
    pub(super) fn write(&self, text: &str, trim: bool, out: &mut String) {
        let raw = text.get(self.bytes.start as usize..self.bytes.end as usize).unwrap_or_default();
        let raw = if trim { raw.strip_prefix(' ').unwrap_or(raw) } else { raw };
        let shown = plain_text::display(raw);
        out.extend(shown.chars().filter(|c| *c != '\n' && *c != '\r').map(|c| if c == '\t' { ' ' } else { c }));
        if self.breaks > 0 {
            out.push(LINE_END);
        }
    }
}

/// Pieces and rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    revision: Option<u64>,
    pieces: Vec<Piece>,
    rows: Vec<Range<usize>>,
    width: Option<f32>,
    widths: Vec<f32>,
    zoom: f32,
}

impl Layout {
    /// Breaks the text anew where it, the width or the resolution changed.
    pub(super) fn prepare(&mut self, ui: &Ui, revision: u64, text: &str, ends: &[u32], width: f32) {
        let zoom = ui.ctx().pixels_per_point();
        let is_new = self.revision != Some(revision);
        if is_new {
            self.pieces = pieces(text, ends);
            self.revision = Some(revision);
        }
        if is_new || self.zoom != zoom {
            self.widths = measure(ui, text, &self.pieces);
            self.zoom = zoom;
            self.width = None;
        }
        if self.width != Some(width) {
            self.rows = rows(&self.pieces, &self.widths, width);
            self.width = Some(width);
        }
    }

    /// All pieces.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The pieces of each row.
    pub(super) fn rows(&self) -> &[Range<usize>] {
        &self.rows
    }

    /// Whether space at the start of the row that begins with this piece was written there, not left by a break.
    pub(super) fn keeps_indent(&self, piece: usize) -> bool {
        piece.checked_sub(1).and_then(|before| self.pieces.get(before)).is_none_or(|before| before.breaks > 0)
    }

    /// The row of a token.
    pub(super) fn row_of(&self, token: usize) -> Option<usize> {
        let piece = self.pieces.partition_point(|piece| (piece.last as usize) < token);
        let row = self.rows.partition_point(|row| row.end <= piece);
        (row < self.rows.len()).then_some(row)
    }
}

/// Joins tokens that share a character, and cuts where lines end inside a token.
fn pieces(text: &str, ends: &[u32]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(ends.len() + ends.len() / 8);
    let (mut start, mut first) = (0_u32, 0_u32);
    for (token, &end) in (0_u32..).zip(ends) {
        if !text.is_char_boundary(end as usize) || (end as usize) > text.len() {
            continue;
        }
        let raw = text.get(start as usize..end as usize).unwrap_or_default();
        let piece = |bytes: Range<u32>, breaks: usize| Piece {
            first,
            last: token,
            is_word_start: text.get(bytes.start as usize..).is_some_and(|rest| rest.starts_with(char::is_whitespace)),
            bytes,
            breaks: u8::try_from(breaks).unwrap_or(u8::MAX),
        };
        match raw.rfind('\n') {
            Some(at) => {
                let cut = start + at as u32 + 1;
                pieces.push(piece(start..cut, raw.matches('\n').count()));
                if cut < end {
                    pieces.push(piece(cut..end, 0));
                }
            }
            None => pieces.push(piece(start..end, 0)),
        }
        (start, first) = (end, token + 1);
    }
    pieces
}

fn measure(ui: &Ui, text: &str, pieces: &[Piece]) -> Vec<f32> {
    let font = theme::body();
    let mut known: HashMap<char, f32> = HashMap::new();
    let mut ascii = [f32::NAN; 128];
    let mut words = String::new();
    ui.fonts_mut(|fonts| {
        let mut advance = |c: char| {
            if let Some(width) = ascii.get(c as usize).copied().filter(|width| !width.is_nan()) {
                return width;
            }
            let width = *known.entry(c).or_insert_with(|| fonts.glyph_width(&font, c));
            if let Some(slot) = ascii.get_mut(c as usize) {
                *slot = width;
            }
            width
        };
        let mut width_of = |piece: &Piece| {
            words.clear();
            piece.write(text, false, &mut words);
            words.chars().map(&mut advance).sum()
        };
        pieces.iter().map(&mut width_of).collect()
    })
}

/// Fills rows greedily: before the word that does not fit, or inside one that is longer than a row.
fn rows(pieces: &[Piece], widths: &[f32], width: f32) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let mut start = 0;
    // where the last word began, and how wide everything before it is
    let (mut word, mut before_word) = (0, 0.0);
    let mut used = 0.0;
    for (index, (piece, own)) in pieces.iter().zip(widths).enumerate() {
        if piece.starts_word() {
            (word, before_word) = (index, used);
        }
        if used + own > width && index > start {
            let cut = if word > start { word } else { index };
            rows.push(start..cut);
            used -= if cut == word { before_word } else { used };
            (start, before_word) = (cut, 0.0);
        }
        used += own;
        if piece.breaks > 0 {
            rows.push(start..index + 1);
            rows.extend((1..piece.breaks).map(|_| index + 1..index + 1));
            (start, word, before_word, used) = (index + 1, index + 1, 0.0, 0.0);
        }
    }
    if start < pieces.len() {
        rows.push(start..pieces.len());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, pieces: &[Piece]) -> Vec<String> {
        let write = |piece: &Piece| {
            let mut out = String::new();
            piece.write(text, false, &mut out);
            out
        };
        pieces.iter().map(write).collect()
    }

    #[test]
    fn tokens_that_are_parts_of_a_character_join_their_neighbours() {
        // "é" is two bytes in two tokens, "€" three in three
        let text = "aé€ b";
        let pieces = pieces(text, &[1, 2, 3, 4, 5, 6, 8]);
        assert_eq!(shown(text, &pieces), ["a", "é", "€", " b"]);
        assert_eq!(pieces.iter().map(Piece::tokens).collect::<Vec<_>>(), [0..1, 1..3, 3..6, 6..7]);
    }

    #[test]
    fn lines_end_where_the_text_says_and_keep_their_indent() {
        let text = "if:\n\n    x\n";
        let pieces = pieces(text, &[2, 3, 9, 10, 11]);
        assert_eq!(shown(text, &pieces), ["if", ":", "¶", "    ", "x", "¶"]);
        let widths = vec![10.0; pieces.len()];
        let rows = rows(&pieces, &widths, 1000.0);
        assert_eq!(rows, [0..3, 3..3, 3..6]);
    }

    #[test]
    fn rows_break_before_words_and_inside_those_that_are_too_long() {
        let text = "aa bb ccddee";
        let pieces = pieces(text, &[2, 5, 8, 10, 12]);
        let widths = vec![10.0; 5];
        assert_eq!(rows(&pieces, &widths, 25.0), [0..2, 2..4, 4..5]);
        assert_eq!(rows(&pieces, &widths, 35.0), [0..2, 2..5]);
        assert_eq!(rows(&pieces, &widths, 5.0), [0..1, 1..2, 2..3, 3..4, 4..5]);
        assert!(rows(&[], &[], 5.0).is_empty());
    }

    #[test]
    fn the_row_of_a_token_is_found() {
        let text = "aa bb ccddee";
        let mut layout = Layout { pieces: pieces(text, &[2, 5, 8, 10, 12]), ..Layout::default() };
        layout.rows = rows(&layout.pieces, &[10.0; 5], 25.0);
        assert_eq!([0, 1, 2, 4, 5].map(|token| layout.row_of(token)), [Some(0), Some(0), Some(1), Some(2), None]);
    }
}
