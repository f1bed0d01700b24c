//! A reply as rows: its Markdown blocks, the long ones cut into parts, so that no row is dear to lay out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::ui::plain_text::Pieces;
use crate::ui::transcript::{Block, BlockIndex, BlockKind, Piece, cuts, pieces};

/// A block up to this length is one row, bytes.
const WHOLE_BYTES: usize = 1_500;
/// As much of a paragraph is read for its styles, bytes: what is read is read again with every word that comes.
const STYLED_BYTES: usize = 64 << 10;
/// Code up to this many lines is one row that scrolls sideways.
const WHOLE_LINES: usize = 60;
/// Items of a long list in one row.
const GROUP: usize = 6;
/// Parsed blocks kept.
const KEPT: usize = 256;

/// What a row shows of its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it
    Whole,
    /// Some of its pieces: from, to
    Group(usize, usize),
    /// A piece of plain text: bytes of the whole text
    Plain(usize, usize),
    /// Some of its text, read as if it were a block of its own: bytes of the whole text
    Slice(usize, usize),
    /// Some of a long paragraph, with its styles: bytes of the whole text, whether it ends there
    Styled(usize, usize, bool),
    /// Some lines of code: bytes of the code, whether they are its first, its last
    Code(usize, usize, bool, bool),
}

/// A row of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which block
    pub block: usize,
    /// What of it
    pub cut: Cut,
    /// Where it begins, bytes of the whole text; a group of items has the start of its list
    pub start: usize,
}

/// Parsed text by its block and where in the whole text it begins.
type Parsed = HashMap<(usize, usize), Rc<Vec<Piece>>>;

/// The rows of one reply, brought up to date at the cost of what was added.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    index: BlockIndex,
    parts: Vec<Part>,
    parsed: RefCell<Parsed>,
    /// Where a row has to end because another run went on with the reply there, bytes of the text, rising
    splits: Vec<usize>,
}

impl Reply {
    /// Takes note of what the text has become, and of where in it one run ended and another went on.
    pub fn update(&mut self, text: &str, splits: impl Iterator<Item = usize> + Clone) {
        if !splits.clone().eq(self.splits.iter().copied()) {
            *self = Self { splits: splits.collect(), ..Self::default() };
        }
        let changed = self.index.update(text);
        if changed >= self.index.blocks().len() && self.parts.last().is_none_or(|part| part.block < changed) {
            return;
        }
        self.parsed.borrow_mut().retain(|(block, _), _| *block < changed);
        let keep = self.parts.partition_point(|part| part.block < changed);
        self.parts.truncate(keep);
        for (block, what) in self.index.blocks().iter().enumerate().skip(changed) {
            let inside: Vec<usize> = self.splits.iter().copied().filter(|at| what.range.start < *at && *at < what.range.end).collect();
            if inside.is_empty() {
                cut(text, block, what, &mut self.parts);
            } else {
                cut_at(text, block, what, &inside, &mut self.parts);
            }
        }
    }

    /// The first row that shows nothing of the text before a byte.
    pub fn row_at(&self, byte: usize) -> usize {
        self.parts.partition_point(|part| part.start < byte)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// A row and its block.
    pub fn get(&self, index: usize) -> Option<(&Part, &Block)> {
        let part = self.parts.get(index)?;
        Some((part, self.index.blocks().get(part.block)?))
    }

    /// The pieces of a block; parsed once while the block stays as it is.
    pub fn pieces(&self, text: &str, index: usize, block: &Block) -> Rc<Vec<Piece>> {
        self.slice(text, index, block.range.clone())
    }

    /// The pieces of some of a block's text, read as if it stood alone.
    pub fn slice(&self, text: &str, index: usize, bytes: Range<usize>) -> Rc<Vec<Piece>> {
        let mut parsed = self.parsed.borrow_mut();
        if parsed.len() > KEPT {
            parsed.clear();
        }
        let parsed = parsed.entry((index, bytes.start));
        Rc::clone(parsed.or_insert_with(|| Rc::new(pieces(text.get(bytes).unwrap_or_default()))))
    }
}

/// Cuts a block into rows.
fn cut(text: &str, block: usize, what: &Block, parts: &mut Vec<Part>) {
    let start = what.range.start;
    let whole = Part { block, cut: Cut::Whole, start };
    match &what.kind {
        BlockKind::Code { .. } => {
            let code = what.code(text);
            if code.len() <= 4 * WHOLE_BYTES && code.lines().count() <= WHOLE_LINES {
                return parts.push(whole);
            }
            code_rows(text, block, code, &[], parts);
        }
        _ if what.range.len() <= WHOLE_BYTES => parts.push(whole),
        BlockKind::List | BlockKind::Quote => {
            let count = pieces(what.text(text)).len();
            parts.extend((0..count).step_by(GROUP).map(|from| Part { block, cut: Cut::Group(from, (from + GROUP).min(count)), start }));
        }
        BlockKind::Table | BlockKind::Rule | BlockKind::Heading(_) => parts.push(whole),
        BlockKind::Paragraph | BlockKind::Html => {
            if what.range.len() <= 3 * WHOLE_BYTES {
                return parts.push(whole);
            }
            long_rows(text, block, what.range.clone(), parts);
        }
    }
}

/// Cuts a block into rows that end where runs did. What cannot be cut within a line stays whole, and the run ends behind it.
fn cut_at(text: &str, block: usize, what: &Block, splits: &[usize], parts: &mut Vec<Part>) {
    match &what.kind {
        BlockKind::Table | BlockKind::Rule | BlockKind::Heading(_) => cut(text, block, what, parts),
        BlockKind::Code { .. } => code_rows(text, block, what.code(text), splits, parts),
        BlockKind::List | BlockKind::Quote | BlockKind::Paragraph | BlockKind::Html => {
            let bounds: Vec<usize> = [what.range.start].into_iter().chain(splits.iter().copied()).chain([what.range.end]).collect();
            for (from, to) in bounds.iter().copied().zip(bounds.iter().copied().skip(1)) {
                // blank lines between two blocks need no row of their own
                if text.get(from..to).is_none_or(|part| part.trim().is_empty()) {
                    continue;
                }
                if to - from <= 3 * WHOLE_BYTES {
                    parts.push(Part { block, cut: Cut::Slice(from, to), start: from });
                } else {
                    plain_rows(text, block, from..to, parts);
                }
            }
        }
    }
}

/// Rows of a paragraph that fills pages. It keeps its styles as far as it is read for them; what is beyond that is shown as it is written.
fn long_rows(text: &str, block: usize, bytes: Range<usize>, parts: &mut Vec<Part>) {
    let read = text.floor_char_boundary(bytes.end.min(bytes.start + STYLED_BYTES));
    let found = cuts(text.get(bytes.start..read).unwrap_or_default(), WHOLE_BYTES);
    if found.is_empty() {
        return plain_rows(text, block, bytes, parts);
    }
    let mut from = bytes.start;
    for at in found.into_iter().map(|at| bytes.start + at) {
        parts.push(Part { block, cut: Cut::Styled(from, at, false), start: from });
        from = at;
    }
    if read == bytes.end {
        parts.push(Part { block, cut: Cut::Styled(from, bytes.end, true), start: from });
    } else {
        plain_rows(text, block, from..bytes.end, parts);
    }
}

/// Rows of text as it is written.
fn plain_rows(text: &str, block: usize, bytes: Range<usize>, parts: &mut Vec<Part>) {
    let mut lines = Pieces::default();
    let start = bytes.start;
    lines.update(text.get(bytes).unwrap_or_default());
    parts.extend((0..lines.len()).map(|index| {
        let (from, to) = lines.range(index);
        Part { block, cut: Cut::Plain(start + from, start + to), start: start + from }
    }));
}

/// Rows of some lines of code each, ending also at `splits` (bytes of the whole text).
fn code_rows(text: &str, block: usize, code: &str, splits: &[usize], parts: &mut Vec<Part>) {
    // the code is a slice of the text
    let start = code.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let mut lines = Pieces::default();
    lines.update(code);
    let mut bounds: Vec<usize> = (0..lines.len()).map(|index| lines.range(index).0).collect();
    bounds.extend(splits.iter().filter_map(|at| at.checked_sub(start)).filter(|at| *at < code.len() && code.is_char_boundary(*at)));
    bounds.sort_unstable();
    bounds.dedup();
    let ends = bounds.iter().copied().skip(1).chain([code.len()]);
    let last = bounds.len().saturating_sub(1);
    parts.extend(bounds.iter().copied().zip(ends).enumerate().map(|(index, (from, to))| Part {
        block,
        cut: Cut::Code(from, to, index == 0, index == last),
        start: start + from,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let mut reply = Reply::default();
        reply.update(text, std::iter::empty());
        reply
    }

    /// What each row shows, with a bar where a run ended.
    fn rows(text: &str, splits: &[usize]) -> Vec<String> {
        let mut reply = Reply::default();
        reply.update(text, splits.iter().copied());
        let mut rows: Vec<String> = (0..reply.len())
            .map(|index| {
                let (part, block) = reply.get(index).unwrap();
                match part.cut {
                    Cut::Whole | Cut::Group(..) => block.text(text).trim().to_owned(),
                    Cut::Plain(from, to) | Cut::Slice(from, to) | Cut::Styled(from, to, _) => text[from..to].trim().to_owned(),
                    Cut::Code(from, to, ..) => block.code(text)[from..to].trim().to_owned(),
                }
            })
            .collect();
        for split in splits.iter().rev() {
            rows.insert(reply.row_at(*split), "|".into());
        }
        rows
    }

    #[test]
    fn rows_end_where_a_run_did() {
        assert_eq!(rows("Half done", &[4]), ["Half", "|", "done"]);
        assert_eq!(rows("Half", &[4]), ["Half", "|"], "the run that goes on has said nothing yet");
        assert_eq!(rows("One\n\nTwo", &[3]), ["One", "|", "Two"]);
        assert_eq!(rows("- one\n- tw", &[7]), ["- one\n-", "|", "tw"]);
        assert_eq!(rows("```\nlet a;\nlet b;\n```\n\nDone", &[12]), ["let a;\nl", "|", "et b;", "Done"]);
        assert_eq!(rows("| a | b |\n|--|--|\n| 1 | 2 |\n\nx", &[22])[1..], ["|", "x"], "a table stays whole");
        assert_eq!(rows("abc", &[1, 2]), ["a", "|", "b", "|", "c"]);
        let long = "words ".repeat(2_000);
        assert!(rows(&long, &[6_000]).iter().any(|row| row == "|"));
    }

    #[test]
    fn short_blocks_are_one_row_each() {
        let text = "# Head\n\nWords\n\n- a\n- b\n\n```rust\nfn main() {}\n```\n";
        let reply = reply(text);
        assert_eq!(reply.len(), 4);
        assert!((0..4).all(|index| reply.get(index).unwrap().0.cut == Cut::Whole));
    }

    #[test]
    fn long_blocks_are_cut_and_nothing_is_lost() {
        let line = "x".repeat(100_000);
        let list: String = (0..400).map(|n| format!("- item {n}\n")).collect();
        let code: String = (0..1_000).map(|n| format!("let a{n} = {n};\n")).collect();
        let text = format!("{line}\n\n{list}\n```rust\n{code}```\n");
        let reply = reply(&text);
        let mut plain = 0;
        let mut items = 0;
        let mut lines = 0;
        for index in 0..reply.len() {
            let (part, block) = reply.get(index).unwrap();
            match part.cut {
                Cut::Plain(from, to) => plain += to - from,
                Cut::Group(from, to) => items += to - from,
                Cut::Code(from, to, ..) => lines += block.code(&text)[from..to].lines().count(),
                Cut::Whole | Cut::Slice(..) | Cut::Styled(..) => {}
            }
        }
        assert!((100_000..=100_002).contains(&plain));
        assert_eq!((items, lines), (400, 1_000));
    }

    #[test]
    fn a_paragraph_that_fills_pages_keeps_its_styles() {
        let text = "Some *words* that `go on` and on. ".repeat(400);
        let reply = self::reply(&text);
        let mut end = 0;
        for index in 0..reply.len() {
            let (part, _) = reply.get(index).unwrap();
            let Cut::Styled(from, to, is_last) = part.cut else { panic!("{part:?}") };
            assert_eq!((from, is_last), (end, index + 1 == reply.len()));
            end = to;
        }
        assert!(reply.len() > 5 && end == text.len());
        // one that fills a book is read for its styles as far as that costs nothing worth noticing
        let text = text.repeat(40);
        let reply = self::reply(&text);
        let styled = (0..reply.len()).filter(|index| matches!(reply.get(*index).unwrap().0.cut, Cut::Styled(..))).count();
        assert!(styled > 20 && styled < reply.len(), "{styled} of {}", reply.len());
    }

    #[test]
    fn growing_ends_where_cutting_at_once_does() {
        let text = "Some *words* of a reply.\n\n- one\n- two\n\n```py\nx = 1\n```\n\n".repeat(200);
        let mut grown = Reply::default();
        for end in (0..text.len()).step_by(37) {
            grown.update(&text[..end], std::iter::empty());
            for index in grown.len().saturating_sub(3)..grown.len() {
                let (part, block) = grown.get(index).unwrap();
                let _ = grown.pieces(&text[..end], part.block, block);
            }
        }
        grown.update(&text, std::iter::empty());
        assert_eq!(grown.parts, reply(&text).parts);
        let (part, block) = grown.get(grown.len() - 1).unwrap();
        assert_eq!(*grown.pieces(&text, part.block, block), pieces(block.text(&text)));
    }
}
