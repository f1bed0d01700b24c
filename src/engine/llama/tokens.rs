//! Text to tokens and back, so that what a person typed never turns into a control token.
#![expect(unsafe_code, reason = "calls llama.cpp's tokenizer")]

use std::ffi::{CStr, c_char};

use aho_corasick::{AhoCorasick, Input, MatchKind};
use llama_cpp_sys_2 as sys;

use super::model::Model;

/// Texts longer than this are tokenized in pieces: llama.cpp's regular expressions recurse over their input, and a job must be
/// cancellable between pieces.
const WHOLE: usize = 32 << 10;
/// Size of such a piece, bytes.
const PIECE: usize = 16 << 10;
/// A run of this many bytes without a change between white space and other characters is cut, too: `std::regex`, which llama.cpp uses for
/// many vocabularies, goes one call deeper for every character of a match and would run out of stack.
const RUN: usize = 2 << 10;

/// The texts that would become control tokens if they were parsed as such, and those that look like them.
#[derive(Default)]
pub(super) struct Specials {
    finder: Option<AhoCorasick>,
    texts: Vec<String>,
    /// Of `texts`, those before this number are control tokens and the others markup (see [`is_markup`])
    controls: usize,
    /// Finds markup alone
    markup: Option<AhoCorasick>,
    /// SentencePiece vocabularies put a space before every text they are given
    spaced: bool,
}

impl Specials {
    /// Reads them off a vocabulary: every token marked CONTROL or UNKNOWN, and of those marked USER_DEFINED the ones that look like markup
    /// (llama.cpp marks harmony's `<|start|>`, `<|channel|>` and `<|message|>` so, to have them shown). Other user-defined tokens are
    /// ordinary text with a token of its own: llama.cpp and the original tokenizers form them from any text, and they control nothing.
    pub(super) fn of(model: &Model) -> Self {
        let vocab = model.vocab();
        let template = model.template.as_deref().unwrap_or_default();
        let (mut texts, mut markup) = (Vec::new(), Vec::new());
        for id in 0..i32::try_from(model.n_vocab()).unwrap_or(0) {
            // SAFETY: `id` is in the vocabulary.
            let attr = unsafe { sys::llama_vocab_get_attr(vocab, id) };
            if attr & (sys::LLAMA_TOKEN_ATTR_CONTROL | sys::LLAMA_TOKEN_ATTR_UNKNOWN) != 0 {
                texts.extend(token_text(model, id).filter(|text| !text.is_empty()));
            } else if attr & sys::LLAMA_TOKEN_ATTR_USER_DEFINED != 0 {
                markup.extend(token_text(model, id).filter(|text| is_markup(text, template)));
            }
        }
        // SAFETY: the vocabulary is alive.
        let spaced = unsafe { sys::llama_vocab_type(vocab) } == sys::LLAMA_VOCAB_TYPE_SPM;
        Self::new(texts, markup, spaced)
    }

    /// From lists of control texts and of markup.
    pub(super) fn new(mut texts: Vec<String>, markup: Vec<String>, spaced: bool) -> Self {
        let controls = texts.len();
        let build = |texts: &[String]| AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts).ok();
        let own = build(&markup);
        texts.extend(markup);
        Self { finder: build(&texts), texts, controls, markup: own, spaced }
    }

    /// Whether the text of this number is a control token's; otherwise it is markup.
    pub(super) fn is_control(&self, which: usize) -> bool {
        which < self.controls
    }

    /// Cuts a text that a person typed so that no part of it is markup as a whole. llama.cpp forms user-defined tokens from any text it is
    /// given at once, whatever it is told about special tokens; from two halves it does not.
    pub(super) fn apart<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut parts = Vec::new();
        let (mut begin, mut from) = (0, 0);
        while let Some(start) = self.markup_from(text, from) {
            // right behind its first character; another may begin inside it
            from = start + text.get(start..).and_then(|tail| tail.chars().next()).map_or(1, char::len_utf8);
            parts.extend(text.get(begin..from));
            begin = from;
        }
        parts.extend(text.get(begin..).filter(|rest| !rest.is_empty()));
        parts
    }

    /// Where the next markup begins.
    fn markup_from(&self, text: &str, from: usize) -> Option<usize> {
        match &self.markup {
            Some(finder) => finder.find(Input::new(text).range(from..)).map(|m| m.start()),
            None => {
                let tail = text.get(from..)?;
                self.texts.iter().skip(self.controls).filter_map(|markup| tail.find(markup.as_str())).min().map(|at| from + at)
            }
        }
    }

    /// The stretches of `text` that read like a control token, as byte ranges with the number of the control text.
    pub(super) fn find(&self, text: &str) -> Vec<(std::ops::Range<usize>, usize)> {
        match &self.finder {
            Some(finder) => finder.find_iter(text).map(|m| (m.range(), m.pattern().as_usize())).collect(),
            // An automaton that could not be built (it would be too large): the same search, one control text at a time.
            None => {
                let mut all: Vec<_> = self
                    .texts
                    .iter()
                    .enumerate()
                    .flat_map(|(i, t)| text.match_indices(t.as_str()).map(move |(at, m)| (at..at + m.len(), i)))
                    .collect();
                all.sort_by_key(|(range, _)| (range.start, usize::MAX - range.end));
                let mut end = 0;
                all.retain(|(range, _)| {
                    let free = range.start >= end;
                    if free {
                        end = range.end;
                    }
                    free
                });
                all
            }
        }
    }

    /// The control texts.
    pub(super) fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// Whether a user-defined token looks like something a template steers with: `<|start|>` and its kin anywhere, other words in brackets
/// (`<think>`, `[INST]`) where this model's template uses them. `<table>` of a vocabulary that was fed with HTML is neither.
fn is_markup(text: &str, template: &str) -> bool {
    let framed = |open: &str, close: &str| text.len() > open.len() + close.len() && text.starts_with(open) && text.ends_with(close);
    let bracketed = framed("<", ">") || framed("[", "]");
    framed("<|", "|>") || framed("<\u{ff5c}", "\u{ff5c}>") || (bracketed && !text.contains(char::is_whitespace) && template.contains(text))
}

/// A stretch of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The text
    pub(super) text: String,
    /// Whether control tokens in it are meant (it came from the template) or not (a person typed it)
    pub(super) parse_special: bool,
}

/// The text a token stands for in the vocabulary.
pub(super) fn token_text(model: &Model, id: i32) -> Option<String> {
    raw_text(model, id).map(|text| text.to_string_lossy().into_owned())
}

/// Whether a token stands for the same text in two vocabularies; a token that is in neither does.
pub(super) fn is_same_text(a: &Model, b: &Model, id: i32) -> bool {
    raw_text(a, id) == raw_text(b, id)
}

fn raw_text(model: &Model, id: i32) -> Option<&CStr> {
    if usize::try_from(id).map_or(true, |id| id >= model.n_vocab()) {
        return None;
    }
    // SAFETY: `id` is in the vocabulary; the text lives as long as the model.
    let text = unsafe { sys::llama_vocab_get_text(model.vocab(), id) };
    // SAFETY: not null, NUL-terminated, and alive and unchanged as long as the model is borrowed.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// The beginning-of-sequence and end-of-sequence tokens, where there are any.
pub(super) fn bos_eos(model: &Model) -> (Option<i32>, Option<i32>) {
    let vocab = model.vocab();
    // SAFETY: the vocabulary is alive; -1 stands for none.
    let (bos, eos) = unsafe { (sys::llama_vocab_bos(vocab), sys::llama_vocab_eos(vocab)) };
    ((bos >= 0).then_some(bos), (eos >= 0).then_some(eos))
}

/// Whether the model wants a beginning-of-sequence token.
pub(super) fn wants_bos(model: &Model) -> bool {
    // SAFETY: the vocabulary is alive.
    unsafe { sys::llama_vocab_get_add_bos(model.vocab()) }
}

/// Whether a token ends the reply.
pub(super) fn ends_reply(model: &Model, id: i32) -> bool {
    // SAFETY: the vocabulary is alive and the id came out of it.
    unsafe { sys::llama_vocab_is_eog(model.vocab(), id) }
}

/// Whether a token is invisible in a reply.
pub(super) fn is_control(model: &Model, id: i32) -> bool {
    // SAFETY: as above.
    unsafe { sys::llama_vocab_is_control(model.vocab(), id) }
}

/// Appends the bytes of a token; control tokens have none.
pub(super) fn piece(model: &Model, id: i32, out: &mut Vec<u8>) {
    let mut buf = [0u8; 128];
    // SAFETY: the buffer is writable for the length given; the id is in the vocabulary.
    let n = unsafe { sys::llama_token_to_piece(model.vocab(), id, buf.as_mut_ptr().cast::<c_char>(), 128, 0, false) };
    if let Ok(n) = usize::try_from(n) {
        out.extend(buf.iter().take(n));
        return;
    }
    let need = n.unsigned_abs() as usize;
    let mut buf = vec![0u8; need];
    // SAFETY: as above, with the size that was asked for.
    let n = unsafe { sys::llama_token_to_piece(model.vocab(), id, buf.as_mut_ptr().cast::<c_char>(), n.saturating_neg(), 0, false) };
    out.extend(buf.iter().take(usize::try_from(n).unwrap_or(0)));
}

/// Tokenizes segments one after another, with one beginning-of-sequence token in front where the model wants one. Stops once more than
/// `limit` tokens are there, and when `go_on` says no; then the list is incomplete.
pub(super) fn tokenize(model: &Model, segments: &[Segment], limit: usize, go_on: &dyn Fn() -> bool) -> Vec<i32> {
    let mut out = Vec::new();
    let (bos, _) = bos_eos(model);
    let mut first = true;
    'all: for segment in segments.iter().filter(|segment| !segment.text.is_empty()) {
        for part in parts(model, segment) {
            if out.len() > limit || !go_on() {
                break 'all;
            }
            let mid_text = !first && model.specials.spaced && !out.last().is_some_and(|last| is_control(model, *last));
            append(model, part, segment.parse_special, mid_text, &mut out);
            first = false;
        }
    }
    if let Some(bos) = bos
        && wants_bos(model)
        && out.first() != Some(&bos)
    {
        out.insert(0, bos);
    }
    out
}

/// A segment in the portions it is tokenized in.
fn parts<'a>(model: &Model, segment: &'a Segment) -> Vec<&'a str> {
    let whole = if segment.parse_special { vec![segment.text.as_str()] } else { model.specials.apart(&segment.text) };
    whole.into_iter().flat_map(pieces).collect()
}

/// Tokens of one plain text.
pub(super) fn count_plain(model: &Model, text: &str, go_on: &dyn Fn() -> bool) -> usize {
    let mut out = Vec::new();
    for part in pieces(text) {
        if !go_on() {
            break;
        }
        append(model, part, false, false, &mut out);
    }
    out.len()
}

/// `mid_text`: the text continues one that was tokenized before, in a vocabulary that would put a space in front of it. A line break is
/// put there instead, whose tokens are known and taken off again.
fn append(model: &Model, text: &str, parse_special: bool, mid_text: bool, out: &mut Vec<i32>) {
    if mid_text {
        let mut lead = Vec::new();
        raw_tokenize(model, "\n", false, &mut lead);
        let mut whole = Vec::new();
        raw_tokenize(model, &format!("\n{text}"), parse_special, &mut whole);
        if let Some(rest) = whole.strip_prefix(lead.as_slice()) {
            out.extend_from_slice(rest);
            return;
        }
    }
    raw_tokenize(model, text, parse_special, out);
}

fn raw_tokenize(model: &Model, text: &str, parse_special: bool, out: &mut Vec<i32>) {
    let Ok(len) = i32::try_from(text.len()) else { return };
    let at = out.len();
    // At most one token a byte, and the space in front.
    let mut room = text.len() / 2 + 16;
    for _ in 0..2 {
        out.resize(at + room, 0);
        let Some(free) = out.get_mut(at..) else { return };
        let free_len = i32::try_from(free.len()).unwrap_or(i32::MAX);
        // SAFETY: text and buffer are valid for the lengths given; the text is UTF-8 and may hold NUL, since its length is explicit.
        let n = unsafe {
            sys::llama_tokenize(model.vocab(), text.as_ptr().cast::<c_char>(), len, free.as_mut_ptr(), free_len, false, parse_special)
        };
        match usize::try_from(n) {
            Ok(n) => return out.truncate(at + n),
            Err(_) => room = n.unsigned_abs() as usize,
        }
    }
    out.truncate(at);
}

/// Cuts a long text where tokenizers cut anyway: after a line break before something that is not white space, else before a space that
/// follows a letter, else at any character.
fn pieces(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    if text.len() <= WHOLE {
        return runs(text);
    }
    while rest.len() > PIECE {
        let cut = cut_at(rest);
        let Some((head, tail)) = rest.split_at_checked(cut).filter(|(head, _)| !head.is_empty()) else { break };
        out.extend(runs(head));
        rest = tail;
    }
    out.extend(runs(rest));
    out
}

/// Cuts runs that are too long.
fn runs(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut begin, mut run, mut was_white) = (0, 0, None);
    for (at, c) in text.char_indices() {
        let white = c.is_whitespace();
        if was_white != Some(white) {
            (run, was_white) = (at, Some(white));
        } else if at - run >= RUN {
            out.extend(text.get(begin..at));
            (begin, run) = (at, at);
        }
    }
    out.extend(text.get(begin..).filter(|rest| !rest.is_empty()));
    out
}

fn cut_at(text: &str) -> usize {
    let bytes = text.as_bytes();
    let white = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    let window = (PIECE / 2..=PIECE).rev();
    window
        .clone()
        .find(|&at| bytes.get(at - 1) == Some(&b'\n') && !white(at))
        .or_else(|| window.clone().find(|&at| bytes.get(at) == Some(&b' ') && !white(at - 1) && !white(at + 1)))
        .or_else(|| window.clone().find(|&at| text.is_char_boundary(at)))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_lines_and_nothing_is_lost() {
        let line = "the quick brown fox jumps over the lazy dog\n";
        let text = line.repeat(5000);
        let parts = pieces(&text);
        assert!(parts.len() > 10);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| part.ends_with('\n') && part.len() <= PIECE));
    }

    #[test]
    fn a_text_without_spaces_is_cut_between_characters() {
        let text = "é".repeat(100_000);
        let parts = pieces(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.iter().all(|part| part.len() <= PIECE));
    }

    #[test]
    fn runs_without_an_end_are_cut() {
        let text = format!("a word {} and {} end", "x".repeat(5000), "\n".repeat(3000));
        let parts = pieces(&text);
        assert_eq!(parts.concat(), text);
        assert_eq!(parts.len(), 4);
        assert_eq!(pieces(&"word ".repeat(4000)).len(), 1);
    }

    #[test]
    fn short_texts_stay_whole() {
        assert_eq!(pieces("a\nb"), ["a\nb"]);
    }

    #[test]
    fn the_longest_control_text_wins() {
        let specials = Specials::new(vec!["<|im".into(), "<|im_end|>".into()], Vec::new(), false);
        let found: Vec<_> = specials.find("a<|im_end|>b<|im c").into_iter().collect();
        assert_eq!(found, [(1..11, 1), (12..16, 0)]);
    }

    #[test]
    fn markup_is_told_from_words_of_a_language() {
        let template = "{{ '<think>' }}[INST]";
        for text in ["<|start|>", "<|channel|>", "<\u{ff5c}Assistant\u{ff5c}>", "<think>", "[INST]"] {
            assert!(is_markup(text, template), "{text}");
        }
        for text in ["<table>", "<tool_call>", "[TOOL]", "<|", "||>", "\n\n", "<b c>", ""] {
            assert!(!is_markup(text, template), "{text}");
        }
    }

    #[test]
    fn typed_markup_is_cut_and_nothing_is_lost() {
        let markup = vec!["<|start|>".into(), "<think>".into(), "|start|>system".into()];
        let specials = Specials::new(vec!["<s>".into()], markup, false);
        let text = "a<|start|>system<s>\u{e9}<think><think";
        let parts = specials.apart(text);
        assert_eq!(parts.concat(), text);
        let (_, markup) = specials.texts.split_at(specials.controls);
        assert!(parts.iter().all(|part| markup.iter().all(|m| !part.contains(m.as_str()))), "{parts:?}");
        assert_eq!(specials.apart("plain <s>"), ["plain <s>"]);
    }

    proptest::proptest! {
        #[test]
        fn no_typed_text_holds_markup(text in "[<|a>]{0,40}") {
            let specials = Specials::new(Vec::new(), vec!["<|a|>".into(), "|a|>".into(), "<a>".into(), "a|".into()], false);
            let parts = specials.apart(&text);
            proptest::prop_assert_eq!(parts.concat(), text.as_str());
            proptest::prop_assert!(parts.iter().all(|part| specials.find(part).is_empty()), "{:?}", parts);
        }
    }
}
