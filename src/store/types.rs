//! What is kept: chats as trees of messages. Plain data; ids are given by the application, ever rising.

use serde::{Deserialize, Serialize};

use crate::protocol::{Design, EngineError, GenerateStats, Role};

/// Names a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChatId(pub i64);

/// Names a message; a child's id is always larger than its parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageId(pub i64);

/// How a conversation is fed to the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatMode {
    /// Turns, through the model's chat template
    #[default]
    Chat,
    /// One text that the model continues (raw completion)
    Notebook,
}

/// A chat without its messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chat {
    /// Its id
    pub id: ChatId,
    /// Shown in the list; empty until the first message names it
    pub title: String,
    /// Whether the user typed the title (else it follows the first message)
    pub title_is_users: bool,
    /// Chat or notebook
    pub mode: ChatMode,
    /// System prompt
    pub system: String,
    /// Text typed and not sent. In a notebook: the text itself
    pub draft: String,
    /// The message at the end of the branch that is shown
    pub leaf: Option<MessageId>,
    /// Unix time, milliseconds
    pub created_ms: i64,
    /// Unix time, milliseconds. A change of it moves the chat to the front of the list, whatever the clock says
    pub updated_ms: i64,
    /// Rung and model of the last reply, for the list (`Q4_K_M`)
    pub last_design: String,
    /// Replies in the chat, all branches
    pub replies: u32,
}

/// Whether a message is complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Whole
    #[default]
    Whole,
    /// Being generated; found at start = the last session ended in the middle of it
    Streaming,
    /// Ended early by a failure; the text is what had arrived
    Failed(EngineError),
    /// The application ended while it was being generated; the text is what had arrived
    Interrupted,
}

/// What was running when a reply was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `Q4_K_M`
    pub quant: String,
    /// Model name
    pub model: String,
    /// The design asked for
    pub design: Design,
    /// In words, what differs from the default design (`ctx 8192, KV q8_0`); empty when nothing does
    pub differences: String,
    /// Set when this reply was the first after a switch: from which rung, and seconds from click to ready
    pub switched: Option<(String, f64)>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// Its id
    pub id: MessageId,
    /// Its chat
    pub chat: ChatId,
    /// The message it answers or follows; siblings are branches
    pub parent: Option<MessageId>,
    /// Who said it
    pub role: Role,
    /// What was said, exactly
    pub text: String,
    /// Whether it is complete
    pub state: MessageState,
    /// Measurements of a reply
    pub stats: Option<GenerateStats>,
    /// What made a reply
    pub provenance: Option<Provenance>,
    /// Unix time, milliseconds
    pub created_ms: i64,
}

/// One change to what is kept. Applied in order, each in its own transaction unless a batch says otherwise.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most changes are messages, and they are moved, not kept in numbers")]
pub enum Op {
    /// Adds a chat, or replaces everything about it but its messages
    PutChat(Chat),
    /// Saves what is typed
    SetDraft(ChatId, String),
    /// Hides a chat (undo: `RestoreChat`); purged when the application starts 30 days later
    DeleteChat(ChatId),
    /// Brings a hidden chat back
    RestoreChat(ChatId),
    /// Adds a message, or replaces it
    PutMessage(ChatMessage),
    /// Adds text to the end of a message that is being streamed
    AppendText(MessageId, String),
    /// Completes a reply whose chat is not open: text, state and measurements; nothing else about it changes
    FinishMessage {
        /// Which
        id: MessageId,
        /// Its whole text
        text: String,
        /// How it ended
        state: MessageState,
        /// Its measurements
        stats: Option<GenerateStats>,
    },
    /// Removes a message and all that follow it
    RemoveMessage(MessageId),
}
