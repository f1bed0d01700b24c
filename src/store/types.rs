//! What is kept: chats as trees of messages. Plain data; ids are given by the application, ever rising.

use serde::{Deserialize, Serialize};

use super::run_types::{DesignId, SavedDesign};
use crate::protocol::{Design, EngineError, GenerateStats, Role, Run, RunId};

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
    /// The system prompt that was sent; `None` where it was not noted (older chats) or is too long to keep with every reply
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What earlier runs made of the same reply, in order; all else here is about the text behind the last of them
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Part>,
}

/// A part of a reply: a run that was stopped, or whose engine died, and that another run went on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Where its text ends and the next part's begins, bytes of the message's text
    pub end: usize,
    /// What made it; without parts of its own
    pub made_by: Option<Provenance>,
    /// Its measurements
    pub stats: Option<GenerateStats>,
    /// Set when it ends in a token that a person put in the place of another, to see where the model goes from there
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

/// A token that a person chose in the place of the one that was sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its text
    pub text: String,
    /// The text it stands in the place of; empty where the reply had ended
    pub instead_of: String,
    /// Its probability under the model, 0..1
    pub p: f32,
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

impl ChatMessage {
    /// The parts of a reply before the one that was made last.
    pub fn earlier(&self) -> &[Part] {
        self.provenance.as_ref().map_or(&[], |made_by| made_by.earlier.as_slice())
    }

    /// What made the beginning of a reply.
    pub fn first_run(&self) -> Option<&Provenance> {
        self.earlier().first().map_or(self.provenance.as_ref(), |part| part.made_by.as_ref())
    }

    /// What made the text behind an earlier part.
    pub fn run_after(&self, part: usize) -> Option<&Provenance> {
        self.earlier().get(part + 1).map_or(self.provenance.as_ref(), |part| part.made_by.as_ref())
    }

    /// The text of the run that was last, or is under way.
    pub fn last_part(&self) -> &str {
        let from = self.earlier().last().map_or(0, |part| part.end);
        self.text.get(self.text.floor_char_boundary(from)..).unwrap_or_default()
    }

    /// Another run goes on where this reply ends: what was said so far keeps what made it and how fast.
    pub fn begin_part(&mut self, mut made_by: Option<Provenance>) {
        let mut before = self.provenance.take();
        let mut earlier = before.as_mut().map(|before| std::mem::take(&mut before.earlier)).unwrap_or_default();
        let stats = self.stats.take();
        // a run that said nothing leaves no part behind
        if self.text.len() > earlier.last().map_or(0, |part| part.end) {
            earlier.push(Part { end: self.text.len(), made_by: before, stats, chosen: None });
        }
        if let Some(made_by) = &mut made_by {
            made_by.earlier = earlier;
        }
        self.provenance = made_by;
        self.state = MessageState::Streaming;
    }
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
    /// Adds what was written about a message's tokens (see [`super::TokenTable`])
    AppendProbs(MessageId, Vec<u8>),
    /// Gives a message the token probabilities of another one
    CopyProbs {
        /// Whose
        from: MessageId,
        /// To which; it has none so far
        to: MessageId,
        /// Only of tokens that begin before this byte of the text
        up_to: usize,
        /// What follows them, written as pieces are
        then: Vec<u8>,
    },
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
    /// Keeps a run, or replaces it; one without an id (0) gets the next, see [`super::Reply::RunKept`]
    PutRun(Box<Run>),
    /// Hides a run (undo: `RestoreRun`); purged as a chat is
    DeleteRun(RunId),
    /// Brings a hidden run back
    RestoreRun(RunId),
    /// Names a run and files it
    SetRunMeta {
        /// Which
        id: RunId,
        /// What the user calls it; empty = by its design and workload
        title: String,
        /// What the user files it under
        tags: Vec<String>,
    },
    /// Changes a field of what only one kind of run has (`Run::extra`); of a field with fields of its own only those that are given
    SetRunExtra {
        /// Which
        id: RunId,
        /// The field
        key: String,
        /// What it says from now on
        value: serde_json::Value,
    },
    /// Saves a design under a name, or replaces it; one without an id (0) gets the next
    PutDesign(SavedDesign),
    /// Hides a saved design (undo: `RestoreDesign`); purged as a chat is
    DeleteDesign(DesignId),
    /// Brings a hidden design back
    RestoreDesign(DesignId),
}
