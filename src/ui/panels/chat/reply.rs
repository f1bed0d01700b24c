//! A reply as rows: its Markdown blocks, the long ones cut into parts, so that no row is dear to lay out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::ui::plain_text::Pieces;
use crate::ui::transcript::{Block, BlockIndex, BlockKind, Piece, pieces};

/// A block up to this length is one row, bytes.
const WHOLE_BYTES: usize = 1_500;
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
}

type Parsed = HashMap<usize, Rc<Vec<Piece>>>;

/// The rows of one reply, brought up to date at the cost of what was added.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    index: BlockIndex,
    parts: Vec<Part>,
    parsed: RefCell<Parsed>,
}

impl Reply {
    /// Takes note of what the text has become.
    pub fn update(&mut self, text: &str) {
        let changed = self.index.update(text);
        if changed >= self.index.blocks().len() && self.parts.last().is_none_or(|part| part.block < changed) {
            return;
        }
        self.parsed.borrow_mut().retain(|block, _| *block < changed);
        let keep = self.parts.partition_point(|part| part.block < changed);
        self.parts.truncate(keep);
        for (block, what) in self.index.blocks().iter().enumerate().skip(changed) {
            cut(text, block, what, &mut self.parts);
        }
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
        let mut parsed = self.parsed.borrow_mut();
        if parsed.len() > KEPT {
            parsed.clear();
        }
        Rc::clone(parsed.entry(index).or_insert_with(|| Rc::new(pieces(block.text(text)))))
    }
}

/// Cuts a block into rows.
fn cut(text: &str, block: usize, what: &Block, parts: &mut Vec<Part>) {
    let whole = Part { block, cut: Cut::Whole };
    match &what.kind {
        BlockKind::Code { .. } => {
            let code = what.code(text);
            if code.len() <= 4 * WHOLE_BYTES && code.lines().count() <= WHOLE_LINES {
                return parts.push(whole);
            }
            let mut lines = Pieces::default();
            lines.update(code);
            let last = lines.len().saturating_sub(1);
            parts.extend((0..lines.len()).map(|index| {
                let (from, to) = lines.range(index);
                Part { block, cut: Cut::Code(from, to, index == 0, index == last) }
            }));
        }
        _ if what.range.len() <= WHOLE_BYTES => parts.push(whole),
        BlockKind::List | BlockKind::Quote => {
            let count = pieces(what.text(text)).len();
            parts.extend((0..count).step_by(GROUP).map(|from| Part { block, cut: Cut::Group(from, (from + GROUP).min(count)) }));
        }
        BlockKind::Table | BlockKind::Rule | BlockKind::Heading(_) => parts.push(whole),
        BlockKind::Paragraph | BlockKind::Html => {
            // a paragraph of a usual length keeps its styles; one that fills pages is shown as it is written
            if what.range.len() <= 3 * WHOLE_BYTES {
                return parts.push(whole);
            }
            let mut lines = Pieces::default();
            lines.update(what.text(text));
            let start = what.range.start;
            parts.extend((0..lines.len()).map(|index| {
                let (from, to) = lines.range(index);
                Part { block, cut: Cut::Plain(start + from, start + to) }
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        let mut reply = Reply::default();
        reply.update(text);
        reply
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
                Cut::Whole => {}
            }
        }
        assert!((100_000..=100_002).contains(&plain));
        assert_eq!((items, lines), (400, 1_000));
    }

    #[test]
    fn growing_ends_where_cutting_at_once_does() {
        let text = "Some *words* of a reply.\n\n- one\n- two\n\n```py\nx = 1\n```\n\n".repeat(200);
        let mut grown = Reply::default();
        for end in (0..text.len()).step_by(37) {
            grown.update(&text[..end]);
            for index in grown.len().saturating_sub(3)..grown.len() {
                let (part, block) = grown.get(index).unwrap();
                let _ = grown.pieces(&text[..end], part.block, block);
            }
        }
        grown.update(&text);
        assert_eq!(grown.parts, reply(&text).parts);
        let (part, block) = grown.get(grown.len() - 1).unwrap();
        assert_eq!(*grown.pieces(&text, part.block, block), pieces(block.text(&text)));
    }
}
