//! What is typed and not sent, as it is edited: short text in the field, long pasted text folded into one line.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::store::ChatId;

/// Text longer than this is folded, bytes: the field lays out all it holds on every key.
pub const FOLD_BYTES: usize = 16_000;

/// The draft of one chat.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    chat: Option<ChatId>,
    /// What is in the field
    pub typed: String,
    /// Folded text; sent after what is typed
    pub folded: String,
    seen: Option<u64>,
}

impl Draft {
    /// Takes over what the application holds where that has changed by itself: another chat, a draft that was sent.
    pub fn sync(&mut self, chat: ChatId, draft: &str) {
        let print = fingerprint(draft);
        let is_other = self.chat != Some(chat);
        if !is_other && self.seen == Some(print) {
            return;
        }
        self.chat = Some(chat);
        self.seen = Some(print);
        if is_other || fingerprint(&self.whole()) != print {
            self.typed.clear();
            self.folded.clear();
            if draft.len() > FOLD_BYTES { &mut self.folded } else { &mut self.typed }.push_str(draft);
        }
    }

    /// The draft exactly as it is sent: what was typed, an empty line, then what was folded.
    pub fn whole(&self) -> String {
        match (self.typed.is_empty(), self.folded.is_empty()) {
            (_, true) => self.typed.clone(),
            (true, false) => self.folded.clone(),
            (false, false) => format!("{}\n\n{}", self.typed, self.folded),
        }
    }

    /// Takes pasted text that is too long for the field.
    pub fn fold(&mut self, text: &str) {
        self.folded.push_str(text);
    }

    /// Folds what is typed when it has become too long for the field. True when it was.
    pub fn fold_if_long(&mut self) -> bool {
        if self.typed.len() <= FOLD_BYTES {
            return false;
        }
        self.folded = self.whole();
        self.typed.clear();
        true
    }

    /// Whether there is anything to send.
    pub fn is_blank(&self) -> bool {
        self.typed.trim().is_empty() && self.folded.trim().is_empty()
    }
}

/// Tells texts apart without reading the whole of a long one on every frame.
fn fingerprint(text: &str) -> u64 {
    const WINDOW: usize = 4096;
    let bytes = text.as_bytes();
    let mut hasher = DefaultHasher::new();
    bytes.len().hash(&mut hasher);
    if bytes.len() <= 16 * WINDOW {
        bytes.hash(&mut hasher);
    } else {
        for part in 0..16 {
            let from = (bytes.len() - WINDOW) / 15 * part;
            bytes.get(from..from + WINDOW).hash(&mut hasher);
        }
        bytes.get(bytes.len() - WINDOW..).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_follows_the_chat_and_what_was_sent() {
        let mut draft = Draft::default();
        draft.sync(ChatId(1), "Hello");
        assert_eq!(draft.typed, "Hello");
        // typed, and the application has not heard of it yet
        draft.typed.push('!');
        draft.sync(ChatId(1), "Hello");
        assert_eq!(draft.typed, "Hello!");
        draft.sync(ChatId(1), "Hello!");
        assert_eq!(draft.typed, "Hello!");
        // sent
        draft.sync(ChatId(1), "");
        assert!(draft.is_blank());
        draft.sync(ChatId(2), "Other");
        assert_eq!(draft.typed, "Other");
    }

    #[test]
    fn long_text_is_folded_and_sent_exactly() {
        let long = "long text\u{0}\u{1b}[0m ".repeat(100_000);
        let mut draft = Draft::default();
        draft.sync(ChatId(1), "Sum up");
        draft.fold(&long);
        assert_eq!(draft.whole(), format!("Sum up\n\n{long}"));
        let whole = draft.whole();
        draft.sync(ChatId(1), &whole);
        assert_eq!((draft.typed.as_str(), draft.folded.len()), ("Sum up", long.len()));
        let mut later = Draft::default();
        later.sync(ChatId(1), &whole);
        assert!(later.typed.is_empty() && later.whole() == whole);
        later.typed = "x".repeat(FOLD_BYTES + 1);
        assert!(later.fold_if_long() && later.typed.is_empty());
    }
}
