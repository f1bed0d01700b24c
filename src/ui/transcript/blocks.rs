//! Top-level blocks of a text that grows at its end.
//!
//! The text is read in windows. Once enough text follows a block it can no longer change, and it is *sealed*: never read again. Where a
//! window ends depends on the text alone, never on the pieces in which it arrived, so reading piece by piece and reading all at once give
//! the same blocks. An append costs one parse of what is not sealed: usually a few kilobytes, never more than the last of [`TIERS`].

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

/// Sizes of windows in bytes, tried in order until one holds a block that can be sealed. A block that fills the largest is cut.
const TIERS: [usize; 5] = [4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10];

/// A window ends behind the first line end in this many bytes after its size, else within the line.
const SLACK: usize = 1 << 10;

/// A block is sealed when this many follow it in its window: text to come can join the last block to the one before (`2` becoming `2. b`
/// continues a list), but reaches no further back.
const UNDECIDED: usize = 2;

/// What a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Plain text
    Paragraph,
    /// Heading of level 1 to 6
    Heading(u8),
    /// A list with all its items
    List,
    /// A block of code
    Code {
        /// First word behind the fence (`rust`); empty without one
        language: String,
        /// The closing fence has not arrived
        open: bool,
        /// The fence that opened it is in an earlier block: this is the rest of code too long for one
        continued: bool,
    },
    /// A table
    Table,
    /// A line across
    Rule,
    /// Quoted blocks
    Quote,
    /// HTML, shown as it is written
    Html,
}

/// A top-level block. Blocks follow each other without a gap: blank lines belong to the block before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Bytes of the text, at character boundaries
    pub range: Range<usize>,
    /// What it is
    pub kind: BlockKind,
}

impl Block {
    /// The block's own text; empty if the text is not the one that was indexed.
    pub fn text<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.range.clone()).unwrap_or_default()
    }

    /// The lines of a code block, without its fences and without the line end before the closing one.
    pub fn code<'a>(&self, text: &'a str) -> &'a str {
        let text = self.text(text);
        let BlockKind::Code { open, continued, .. } = self.kind else { return text };
        let fence = Fence::opening(text.lines().next().unwrap_or_default());
        if fence.is_none() && !continued {
            return text.trim_end_matches(['\n', '\r']);
        }
        let body = if continued { text } else { text.split_once('\n').map_or("", |(_, body)| body) };
        let body = if open { body } else { body.trim_end().rsplit_once('\n').map_or("", |(body, _)| body) };
        body.strip_suffix('\n').unwrap_or(body)
    }
}

/// The blocks of one text.
#[derive(Clone, Debug, Default)]
pub struct BlockIndex {
    blocks: Vec<Block>,
    /// How many of `blocks` are sealed
    sealed: usize,
    /// Where the text that is not sealed begins
    from: usize,
    /// The fence of a code block that was cut at `from`
    inside: Option<Fence>,
    /// Bytes indexed
    len: usize,
    /// The last bytes before `from`, to notice a text that did not only grow
    mark: Vec<u8>,
}

impl BlockIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The blocks, in order, covering all of the text.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Brings the index up to date with a text that grew at its end. A text that is shorter or differs is indexed anew; a change that
    /// keeps the length needs [`BlockIndex::clear`]. Returns the first block that may have changed.
    pub fn update(&mut self, text: &str) -> usize {
        let before = text.as_bytes().get(..self.from).unwrap_or_default();
        if text.len() < self.len || !before.ends_with(&self.mark) {
            self.clear();
        } else if text.len() == self.len {
            return self.blocks.len();
        }
        let changed = self.sealed;
        self.blocks.truncate(self.sealed);
        self.len = text.len();
        while self.seal(text) {}
        let rest = text.get(self.from..).unwrap_or_default();
        self.blocks.extend(read(rest, self.from, self.inside.as_ref()).0);
        changed
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Seals what the next window allows; `false` when there is not enough text for a window.
    fn seal(&mut self, text: &str) -> bool {
        let rest = text.get(self.from..).unwrap_or_default();
        for (tier, size) in TIERS.into_iter().enumerate() {
            if rest.len() < size + SLACK {
                return false;
            }
            let window = rest.get(..window_end(rest, size)).unwrap_or_default();
            let (mut found, inside) = read(window, self.from, self.inside.as_ref());
            if found.len() > UNDECIDED {
                found.truncate(found.len() - UNDECIDED);
                // A block before the last is whole, so no fence is open behind it
                self.inside = None;
            } else if tier + 1 == TIERS.len() {
                self.inside = inside;
            } else {
                continue;
            }
            self.from = found.last().map_or(self.from, |block| block.range.end);
            self.blocks.append(&mut found);
            self.sealed = self.blocks.len();
            let sealed = text.as_bytes().get(..self.from).unwrap_or_default();
            self.mark = sealed.get(sealed.len().saturating_sub(64)..).unwrap_or_default().to_vec();
            return true;
        }
        false
    }
}

/// Where a window of about `size` bytes ends.
fn window_end(text: &str, size: usize) -> usize {
    let bytes = text.as_bytes();
    let line = bytes.iter().skip(size).take(SLACK).position(|byte| *byte == b'\n');
    let end = line.map_or(size + SLACK, |at| size + at + 1);
    text.floor_char_boundary(end)
}

/// Reads blocks out of a text that begins at a block's start, or inside code. Also gives the fence that is open at its end.
fn read(text: &str, offset: usize, inside: Option<&Fence>) -> (Vec<Block>, Option<Fence>) {
    let mut blocks = Vec::new();
    let mut start = 0;
    if let Some(fence) = inside {
        let closed = fence.end_of_code(text);
        start = closed.unwrap_or(text.len());
        if start > 0 {
            let kind = BlockKind::Code { language: fence.language.clone(), open: closed.is_none(), continued: true };
            blocks.push(Block { range: offset..offset + start, kind });
        }
        if closed.is_none() {
            return (blocks, inside.cloned());
        }
    }
    let rest = text.get(start..).unwrap_or_default();
    let (found, open) = parse(rest);
    let ends: Vec<usize> = found.iter().skip(1).map(|(at, _)| *at).chain([rest.len()]).collect();
    if found.is_empty() {
        // Blank lines, or definitions of links: nothing to show, but part of the text
        match blocks.last_mut() {
            Some(block) => block.range.end = offset + text.len(),
            None if !text.is_empty() => blocks.push(Block { range: offset..offset + text.len(), kind: BlockKind::Paragraph }),
            None => {}
        }
    }
    let base = offset + start;
    for (i, ((at, kind), end)) in found.into_iter().zip(ends).enumerate() {
        let at = match blocks.last_mut() {
            // Blank lines behind the end of cut code
            Some(before) if i == 0 => {
                before.range.end = base + at;
                at
            }
            None => 0,
            _ => at,
        };
        blocks.push(Block { range: base + at..base + end, kind });
    }
    (blocks, open)
}

/// The Markdown that is understood, everywhere in this module's siblings too.
pub(super) fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Where top-level blocks begin, and what they are; and the fence open at the end.
fn parse(text: &str) -> (Vec<(usize, BlockKind)>, Option<Fence>) {
    let mut found: Vec<(usize, BlockKind)> = Vec::new();
    let mut open = None;
    let mut depth = 0usize;
    for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
        match event {
            Event::Start(tag) => {
                if depth == 0 {
                    let at = line_start(text, range.start, found.last().map_or(0, |(at, _)| *at));
                    open = None;
                    let kind = kind(&tag, text.get(range).unwrap_or_default(), &mut open);
                    found.push((at, kind));
                }
                depth += 1;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Rule if depth == 0 => {
                open = None;
                found.push((line_start(text, range.start, found.last().map_or(0, |(at, _)| *at)), BlockKind::Rule));
            }
            _ => {}
        }
    }
    // Two blocks on one line would leave one of them empty
    found.dedup_by_key(|(at, _)| *at);
    (found, open)
}

fn kind(tag: &Tag<'_>, text: &str, open: &mut Option<Fence>) -> BlockKind {
    match tag {
        Tag::Heading { level, .. } => BlockKind::Heading(*level as u8),
        Tag::BlockQuote(_) => BlockKind::Quote,
        Tag::List(_) => BlockKind::List,
        Tag::Table(_) => BlockKind::Table,
        Tag::HtmlBlock => BlockKind::Html,
        Tag::CodeBlock(CodeBlockKind::Indented) => BlockKind::Code { language: String::new(), open: false, continued: false },
        Tag::CodeBlock(CodeBlockKind::Fenced(info)) => {
            let language = info.split([' ', '\t', ',', '{']).next().unwrap_or_default().to_owned();
            let fence = Fence::opening(text.lines().next().unwrap_or_default());
            *open = fence.map(|fence| Fence { language: language.clone(), ..fence }).filter(|fence| {
                let body = text.split_once('\n').map_or("", |(_, body)| body);
                fence.end_of_code(body).is_none()
            });
            BlockKind::Code { language, open: open.is_some(), continued: false }
        }
        _ => BlockKind::Paragraph,
    }
}

/// The start of the line that `at` is on, as long as only blanks lie between, and no earlier than `least`.
fn line_start(text: &str, at: usize, least: usize) -> usize {
    let before = text.get(least..at).unwrap_or_default();
    least + before.trim_end_matches([' ', '\t']).len()
}

/// The fence of a code block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fence {
    mark: char,
    length: usize,
    language: String,
}

impl Fence {
    /// Reads an opening fence (CommonMark 0.31, section 4.5).
    fn opening(line: &str) -> Option<Self> {
        let text = line.trim_start_matches(' ');
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let length = text.chars().take_while(|c| *c == mark).count();
        (length >= 3).then(|| Self { mark, length, language: String::new() })
    }

    /// Where the line behind the closing fence begins, if there is a closing fence.
    fn end_of_code(&self, body: &str) -> Option<usize> {
        let mut at = 0;
        for line in body.split_inclusive('\n') {
            at += line.len();
            let text = line.trim_start_matches(' ');
            let run = text.chars().take_while(|c| *c == self.mark).count();
            let rest = text.get(run..).unwrap_or_default();
            if line.len() - text.len() <= 3 && run >= self.length && rest.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "a slice off a character boundary is what these tests would find")]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn kinds(text: &str) -> Vec<(BlockKind, &str)> {
        let mut index = BlockIndex::new();
        index.update(text);
        index.blocks().iter().map(|b| (b.kind.clone(), b.text(text))).collect()
    }

    fn code(language: &str, open: bool) -> BlockKind {
        BlockKind::Code { language: language.into(), open, continued: false }
    }

    #[test]
    fn every_kind_of_block() {
        let text = "# Title\n\nSome *text*\nmore\n\n- a\n- b\n\n  c\n\n```rust,ignore\nfn main() {}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n---\n\n> quote\n\n<div>\n</div>\n\n    indented\n";
        let found = kinds(text);
        assert_eq!(
            found.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>(),
            [
                BlockKind::Heading(1),
                BlockKind::Paragraph,
                BlockKind::List,
                code("rust", false),
                BlockKind::Table,
                BlockKind::Rule,
                BlockKind::Quote,
                BlockKind::Html,
                code("", false)
            ]
        );
        assert_eq!(found[2].1, "- a\n- b\n\n  c\n\n");
        assert_eq!(found[8].1, "    indented\n");
    }

    #[test]
    fn code_is_open_until_its_fence_arrives() {
        let open = |text: &str| kinds(text).pop().unwrap().0;
        assert_eq!(open("```py\nx = 1\n"), code("py", true));
        assert_eq!(open("```py\nx = 1\n``"), code("py", true));
        assert_eq!(open("```py\nx = 1\n```"), code("py", false));
        assert_eq!(open("```py\nx = 1\n```x"), code("py", true));
        assert_eq!(open("````\n```\n"), code("", true));
        assert_eq!(open("~~~\n```\n~~~~\n"), code("", false));
        assert_eq!(open("```"), code("", true));
    }

    #[test]
    fn code_without_its_fences() {
        let body = |text: &str| {
            let mut index = BlockIndex::new();
            index.update(text);
            index.blocks()[0].code(text).to_owned()
        };
        assert_eq!(body("```py\nx = 1\n\ny\n```\n\n"), "x = 1\n\ny");
        assert_eq!(body("```py\nx = 1\n``"), "x = 1\n``");
        assert_eq!(body("```py\n```"), "");
        assert_eq!(body("```"), "");
    }

    #[test]
    fn long_code_goes_on_in_the_next_block() {
        let lines = "let a = 1;\n".repeat(20_000);
        let text = format!("Before\n\n```rust\n{lines}```\n\nAfter\n");
        let mut index = BlockIndex::new();
        index.update(&text);
        let found = index.blocks();
        assert_eq!(found[0].kind, BlockKind::Paragraph);
        assert_eq!(found.last().unwrap().text(&text), "After\n");
        let inner = &found[1..found.len() - 1];
        assert!(inner.len() >= 3);
        assert!(inner.iter().all(|b| matches!(&b.kind, BlockKind::Code { language, .. } if language == "rust")));
        assert!(inner[1..].iter().all(|b| matches!(b.kind, BlockKind::Code { continued: true, .. })));
        let all: Vec<&str> = inner.iter().map(|b| b.code(&text)).collect();
        assert_eq!(format!("{}\n", all.join("\n")), lines);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let text = "ü".repeat(1_000_000);
        let mut index = BlockIndex::new();
        index.update(&text);
        assert!(index.blocks().iter().all(|b| b.range.len() <= (64 << 10) + SLACK));
        covers(&index, &text).unwrap();
    }

    #[test]
    fn a_text_that_did_not_only_grow_is_read_anew() {
        let mut index = BlockIndex::new();
        index.update(&"# one\n\ntext\n\n".repeat(1000));
        let changed = "two words\n\n".repeat(2000);
        assert_eq!(index.update(&changed), 0);
        assert_eq!(index.blocks().len(), 2000);
        index.update("short");
        assert_eq!(index.blocks().len(), 1);
        assert_eq!(index.update("short"), 1);
    }

    /// 100,000 tokens arrive one by one; a cost that grows with what is there would take minutes.
    #[test]
    fn a_long_reply_costs_what_is_new() {
        let sentence =
            "Some words of a reply with `code` and **weight**, in a paragraph.\n\n- item one\n- item two\n\n```rust\nfn f() {}\n```\n\n";
        let whole = sentence.repeat(500_000 / sentence.len());
        let mut index = BlockIndex::new();
        let mut worst = std::time::Duration::ZERO;
        let begun = Instant::now();
        for end in (0..whole.len()).step_by(50) {
            let one = Instant::now();
            index.update(&whole[..end]);
            worst = worst.max(one.elapsed());
        }
        let took = begun.elapsed();
        println!("10,000 appends to 500 kB: {took:?}, the slowest {worst:?}");
        assert!(took.as_secs() < 20, "{took:?}");
    }

    #[test]
    fn deep_nesting_takes_no_time() {
        for unit in ["> ", "- ", "[", "*", "`", "<a ", "1. ", "|", "\\", "![", "_a "] {
            let text = unit.repeat(60_000 / unit.len());
            let begun = Instant::now();
            BlockIndex::new().update(&text);
            println!("{unit:?}: {:?}", begun.elapsed());
            assert!(begun.elapsed().as_secs() < 5, "{unit:?}: {:?}", begun.elapsed());
        }
    }

    fn covers(index: &BlockIndex, text: &str) -> Result<(), TestCaseError> {
        let mut at = 0;
        for block in index.blocks() {
            prop_assert_eq!(block.range.start, at);
            prop_assert!(block.range.end > at);
            prop_assert!(text.is_char_boundary(block.range.end));
            at = block.range.end;
        }
        prop_assert_eq!(at, text.len());
        Ok(())
    }

    fn markdown() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            Just("\n".to_owned()),
            Just("```rust\n".to_owned()),
            Just("```\n".to_owned()),
            Just("    ".to_owned()),
            Just("- ".to_owned()),
            Just("2. ".to_owned()),
            Just("> ".to_owned()),
            Just("---\n".to_owned()),
            Just("===\n".to_owned()),
            Just("| a | b |\n|---|---|\n".to_owned()),
            Just("[a]: /b \"c\n".to_owned()),
            Just("<!-- x\n".to_owned()),
            "[a-zß ]{0,30}\n",
            "\\PC{0,12}",
            any::<char>().prop_map(String::from),
            "[a-z ]{4000}\n",
        ];
        prop::collection::vec(line, 0..60).prop_map(|lines| lines.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

        #[test]
        fn pieces_give_the_same_blocks_as_the_whole(text in markdown(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
            let mut whole = BlockIndex::new();
            whole.update(&text);
            covers(&whole, &text)?;
            let mut ends: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
            ends.sort_unstable();
            let mut grown = BlockIndex::new();
            for end in ends {
                grown.update(&text[..end]);
                covers(&grown, &text[..end])?;
            }
            grown.update(&text);
            prop_assert_eq!(grown.blocks(), whole.blocks());
            for block in whole.blocks() {
                let _ = block.code(&text);
                let _ = crate::ui::transcript::pieces(block.text(&text));
            }
        }
    }
}
