//! What a comparison reads.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use crate::library::text;
use crate::protocol::{EngineError, Message};
use crate::store::ChatId;

/// Where the text comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TextSource {
    /// The one that ships with the program
    #[default]
    Builtin,
    /// A file
    File(PathBuf),
    /// What was pasted
    Pasted,
    /// A conversation: what the assistant said is compared
    Chat(ChatId),
    /// A set of prompts by its name, empty for those that ship: the reference answers them, and what it said is compared
    Prompts(String),
}

/// What a source holds, once it has been read.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A text
    Plain(Arc<str>),
    /// A conversation
    Chat(Arc<[Message]>),
    /// Prompts that are answered first
    Prompts(Arc<[String]>),
}

/// A text that can be read, and its fingerprint. It is made when a text changes: what costs time with its length is done then and not
/// for each frame, and a copy shares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// What it holds
    pub content: Content,
    /// Tells texts apart
    pub hash: Arc<str>,
}

impl Text {
    /// A text that was checked.
    pub fn plain(words: impl Into<Arc<str>>) -> Self {
        let words = words.into();
        Self { hash: text::text_hash(&words).into(), content: Content::Plain(words) }
    }

    /// A conversation.
    pub fn chat(messages: Vec<Message>) -> Self {
        let said: String = messages.iter().map(|message| format!("{}\0{}\0", message.role.as_str(), message.text)).collect();
        Self { hash: text::text_hash(&said).into(), content: Content::Chat(messages.into()) }
    }

    /// Prompts, each answered by at most so many tokens.
    pub fn prompts(prompts: &[String], answer_tokens: u32) -> Self {
        Self { hash: text::prompts_hash(prompts, answer_tokens).into(), content: Content::Prompts(prompts.into()) }
    }

    /// What was pasted, once there is any.
    pub fn pasted(words: String) -> Option<Result<Self, EngineError>> {
        (!words.trim().is_empty()).then(|| text::check_text(words.into_bytes()).map(Self::plain))
    }

    /// The one that ships with the program.
    pub fn builtin() -> Self {
        static BUILTIN: LazyLock<Text> = LazyLock::new(|| Text::plain(text::EVALUATION));
        BUILTIN.clone()
    }
}
