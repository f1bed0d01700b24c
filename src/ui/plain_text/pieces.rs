//! Plain text cut into pieces that are laid out one at a time, so that a message of ten megabytes costs no more than what is in view.

/// Bytes after which a piece ends at the next line end.
const SOFT_BYTES: usize = 1_500;
/// Lines after which a piece ends.
const SOFT_LINES: usize = 24;
/// Bytes after which a piece ends within a line, at a space where there is one.
const HARD_BYTES: usize = 3_000;
/// Bytes before the end of what was seen that tell whether a text only grew.
const TAIL: usize = 64;

/// Where the pieces of one text begin. The text itself is kept by its owner and handed in each time.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    starts: Vec<usize>,
    seen: usize,
    tail: Vec<u8>,
}

impl Pieces {
    /// Takes note of what `text` has become. Costs what was added since the last time; a text that is another one is cut anew.
    pub fn update(&mut self, text: &str) {
        if text.len() == self.seen && self.has_same_tail(text) {
            return;
        }
        if text.len() < self.seen || !self.has_same_tail(text) {
            *self = Self::default();
        }
        if self.starts.is_empty() && !text.is_empty() {
            self.starts.push(0);
        }
        while let Some(next) = self.starts.last().and_then(|start| end_of_piece(text, *start)) {
            self.starts.push(next);
        }
        self.seen = text.len();
        self.tail = text.as_bytes().get(self.seen.saturating_sub(TAIL)..).unwrap_or_default().to_vec();
    }

    /// How many pieces there are; an empty text has none.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks: a text is shown by its count of rows")]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// A piece, without the line end that separates it from the next.
    pub fn get<'t>(&self, text: &'t str, index: usize) -> &'t str {
        let (from, to) = self.range(index);
        let piece = text.get(from..to).unwrap_or_default();
        let is_last = index + 1 >= self.starts.len();
        if is_last { piece } else { piece.strip_suffix('\n').unwrap_or(piece) }
    }

    /// From which byte to which a piece goes.
    pub fn range(&self, index: usize) -> (usize, usize) {
        let from = self.starts.get(index).copied().unwrap_or(self.seen);
        (from, self.starts.get(index + 1).copied().unwrap_or(self.seen))
    }

    fn has_same_tail(&self, text: &str) -> bool {
        text.as_bytes().get(self.seen - self.tail.len()..self.seen) == Some(self.tail.as_slice())
    }
}

/// Where the piece after the one that starts at `start` begins, once that is certain: later text does not move it.
fn end_of_piece(text: &str, start: usize) -> Option<usize> {
    let rest = text.get(start..)?;
    let mut lines = 0;
    let mut space = None;
    for (at, c) in rest.char_indices() {
        if c == '\n' {
            lines += 1;
            if lines >= SOFT_LINES || at >= SOFT_BYTES {
                // an empty piece after the last line end would be a row without text
                return (at + 1 < rest.len()).then_some(start + at + 1);
            }
        }
        if at >= HARD_BYTES {
            return Some(start + space.unwrap_or(at));
        }
        if c.is_whitespace() && at >= HARD_BYTES / 2 {
            space = Some(at + c.len_utf8());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(pieces: &Pieces, text: &str) -> String {
        (0..pieces.len()).filter_map(|i| text.get(pieces.range(i).0..pieces.range(i).1)).collect()
    }

    #[test]
    fn a_line_of_a_million_characters_is_cut() {
        let text = "é".repeat(1_000_000);
        let mut pieces = Pieces::default();
        pieces.update(&text);
        assert!(pieces.len() > 600);
        assert!((0..pieces.len()).all(|i| pieces.get(&text, i).len() <= HARD_BYTES + 4));
        assert_eq!(whole(&pieces, &text), text);
    }

    #[test]
    fn another_text_is_cut_anew() {
        let mut pieces = Pieces::default();
        pieces.update(&"a\n".repeat(500));
        let other = "b\n".repeat(600);
        pieces.update(&other);
        assert_eq!(whole(&pieces, &other), other);
        pieces.update("");
        assert_eq!(pieces.len(), 0);
    }

    proptest! {
        #[test]
        fn growing_ends_where_cutting_at_once_does(parts in prop::collection::vec("(?s).{0,400}", 0..40)) {
            let mut grown = Pieces::default();
            let mut text = String::new();
            for part in &parts {
                text.push_str(part);
                grown.update(&text);
            }
            let mut once = Pieces::default();
            once.update(&text);
            prop_assert_eq!(&grown.starts, &once.starts);
            prop_assert_eq!(whole(&grown, &text), text);
        }
    }
}
