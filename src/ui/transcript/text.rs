//! Text as it may be shown.

use std::borrow::Cow;
use std::ops::Range;

/// No line is laid out with more characters than this.
pub const FOLD_AT: usize = 4000;

/// How far back from a fold a blank is looked for.
const BLANK_WITHIN: usize = 80;

/// Replaces characters that would hide, reorder or overstrike text by a visible name in angle marks (`‹ESC›`, `‹U+202E›`). Line ends and
/// tabs stay, and so do joiners where writing needs them: within emoji, and between letters of scripts that are joined.
pub fn visible(text: &str) -> Cow<'_, str> {
    // Everything suspicious is either a control character or not ASCII
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte) || matches!(byte, b'\n' | b'\t')) || !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text.chars().peekable();
    let mut before = None;
    while let Some(c) = rest.next() {
        if !is_hidden(c) || may_join(before, c, rest.peek().copied()) {
            // The carriage return of a line end says nothing that the line feed does not
            if c != '\r' {
                out.push(c);
            }
            before = Some(c);
            continue;
        }
        if c == '\r' && rest.peek() == Some(&'\n') {
            continue;
        }
        // A run of invisible characters is one mark: a thousand of them must not fill the page
        let mut run = 1u32;
        while !c.is_control() && rest.peek().is_some_and(|next| is_hidden(*next) && !next.is_control()) {
            rest.next();
            run += 1;
        }
        out.push('‹');
        out.push_str(&name(c));
        if run > 1 {
            out.push_str(&format!(" and {} more hidden", run - 1));
        }
        out.push('›');
        before = None;
    }
    Cow::Owned(out)
}

/// Whether a character has no shape of its own, or changes the order of others.
fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        // Soft hyphen, Arabic letter mark, Mongolian vowel separator
        '\u{AD}' | '\u{61C}' | '\u{180E}' => true,
        // Zero-width characters, direction marks, line and paragraph separators, embeddings and overrides
        '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' => true,
        // Word joiner, invisible operators, isolates, deprecated format characters
        '\u{2060}'..='\u{206F}' => true,
        // Hangul fillers, byte order mark, interlinear annotation
        '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' => true,
        // Tags, and variation selectors beyond those that emoji use
        '\u{E0000}'..='\u{E0FFF}' => true,
        _ => false,
    }
}

/// Whether a (non-)joiner stands where it is needed.
fn may_join(before: Option<char>, c: char, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    match c {
        '\u{200D}' if is_emoji_part(before) && is_emoji_part(after) => true,
        // Arabic to Khmer, where joiners decide between letter forms
        '\u{200C}' | '\u{200D}' => joins(before) && joins(after),
        _ => false,
    }
}

fn joins(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{109F}' | '\u{1780}'..='\u{18AF}' | '\u{A840}'..='\u{AAFF}' | '\u{10A00}'..='\u{11FFF}')
}

fn is_emoji_part(c: char) -> bool {
    matches!(c, '\u{1F000}'..='\u{1FAFF}' | '\u{2190}'..='\u{2BFF}' | '\u{FE0F}' | '\u{20E3}')
}

fn name(c: char) -> String {
    let word = match c {
        '\0' => "NUL",
        '\u{7}' => "BEL",
        '\u{8}' => "BS",
        '\r' => "CR",
        '\u{1B}' => "ESC",
        '\u{7F}' => "DEL",
        '\u{200B}' => "zero-width space",
        '\u{FEFF}' => "BOM",
        _ => return format!("U+{:04X}", u32::from(c)),
    };
    word.to_owned()
}

/// Cuts text into lines that can be laid out: at line ends (which belong to no line), and every [`FOLD_AT`] characters, at a blank if one
/// is near. The ranges are in bytes, at character boundaries.
pub fn fold(text: &str) -> Vec<Range<usize>> {
    let mut folded = Vec::new();
    let mut at = 0;
    for line in text.split('\n') {
        let end = at + line.strip_suffix('\r').unwrap_or(line).len();
        let mut from = at;
        while let Some(cut) = cut(text.get(from..end).unwrap_or_default()) {
            folded.push(from..from + cut);
            from += cut;
        }
        folded.push(from..end);
        at += line.len() + 1;
    }
    folded
}

/// Where a line is to be cut; `None` if it is short enough.
fn cut(line: &str) -> Option<usize> {
    if line.len() <= FOLD_AT {
        return None;
    }
    let (hard, _) = line.char_indices().nth(FOLD_AT)?;
    let head = line.get(..hard)?;
    let near = head.char_indices().rev().take(BLANK_WITHIN).find(|(_, c)| *c == ' ').map(|(at, _)| at + 1);
    Some(near.unwrap_or(hard))
}

#[cfg(test)]
#[expect(clippy::string_slice, reason = "a slice off a character boundary is what these tests would find")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_not_copied() {
        for text in ["", "plain\n\ttext", "größer, 大, שלום, العربية", "\u{1F468}\u{1F3FD} ok", "a\u{301}"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn what_hides_is_named() {
        let cases = [
            ("a\u{1B}[31mred", "a‹ESC›[31mred"),
            ("x\0y", "x‹NUL›y"),
            ("a\u{202E}txt.exe", "a‹U+202E›txt.exe"),
            ("a\u{2066}b\u{2069}", "a‹U+2066›b‹U+2069›"),
            ("over\rwritten\r\nnext", "over‹CR›written\nnext"),
            ("c1 \u{9B}", "c1 ‹U+009B›"),
            ("zero\u{200B}width", "zero‹zero-width space›width"),
            ("\u{E0041}\u{E0042}\u{E0043}!", "‹U+E0041 and 2 more hidden›!"),
        ];
        for (raw, shown) in cases {
            assert_eq!(visible(raw), shown);
        }
    }

    #[test]
    fn joiners_stay_where_they_are_needed() {
        for text in ["\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F466}", "\u{2764}\u{FE0F}\u{200D}\u{1F525}", "می\u{200C}خواهم", "क्\u{200D}ष"]
        {
            assert_eq!(visible(text), text);
        }
        assert_eq!(visible("pay\u{200D}pal"), "pay‹U+200D›pal");
    }

    #[test]
    fn a_million_characters_fold() {
        let text = "ü".repeat(1_000_000);
        assert_eq!(fold(&text).len(), 250);
        let words = "word ".repeat(2000);
        assert!(fold(&words).iter().all(|r| words[r.clone()].is_empty() || words[r.clone()].ends_with(' ')));
        assert_eq!(fold("a\r\n\nb"), [0..1, 3..3, 4..5]);
    }

    proptest! {
        #[test]
        fn folding_keeps_every_character(text in "(\\PC{0,40}|[ab ]{3990,8100}|\n|\r\n){0,6}") {
            let folded = fold(&text);
            let shown: String = folded.iter().map(|r| &text[r.clone()]).collect();
            prop_assert_eq!(shown, text.replace("\r\n", "\n").replace('\n', ""));
            prop_assert!(folded.iter().all(|r| text[r.clone()].chars().count() <= FOLD_AT));
        }

        #[test]
        fn nothing_hidden_is_left(text in any::<String>()) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')));
            let left = shown.contains(['\u{202E}', '\u{2066}', '\u{200B}']);
            prop_assert!(!left);
        }
    }
}
