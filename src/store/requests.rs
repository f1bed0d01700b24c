//! What can be asked of the writer, and what it says.

use super::notice::{Notice, StoreError};
use super::run_types::{RunHead, SavedDesign};
use super::settings::Settings;
use super::types::{ChatId, ChatMessage, MessageId, Op};
use crate::protocol::{JobId, Run, RunId};

/// What can be asked of the writer.
#[derive(Debug)]
pub enum Request {
    /// Make changes, all or none; answered by `Saved` or `Unsaved` with the same number
    Apply {
        /// chosen by the caller
        seq: u64,
        /// the changes, in order
        ops: Vec<Op>,
    },
    /// Read a chat; answered by `Messages`, with every change asked for before
    Open(ChatId),
    /// Find chats; answered by `Found`, unless a newer search comes first
    Search {
        /// as typed
        text: String,
    },
    /// The reply of a job is the text of a message. Ask before the job is started
    BeginReply {
        /// the job
        job: JobId,
        /// its message, put there beforehand
        message: MessageId,
        /// how much of its text is there already, bytes
        from: usize,
    },
    /// Read what is known of a message's tokens; answered by `Probs`
    ReadProbs {
        /// which message
        message: MessageId,
        /// only what is behind this piece; 0 = everything
        after: i64,
    },
    /// Keep a run that is new; answered by `RunKept` or `Unsaved` with the same number
    KeepRun {
        /// chosen by the caller
        seq: u64,
        /// the run, without an id
        run: Box<Run>,
    },
    /// List the runs; answered by `Runs`, now and whenever another process changes them
    Runs,
    /// Read runs with everything; answered by `RunsRead` with the same number
    ReadRuns {
        /// chosen by the caller
        seq: Option<u64>,
        /// which
        ids: Vec<RunId>,
    },
    /// Read runs of quality with what was found of each token; answered by `TokensRead`
    ReadTokens(Vec<RunId>),
    /// List the saved designs; answered by `Designs`, now and after every change to one
    Designs,
    /// Write the settings, soon
    SaveSettings(Box<Settings>),
}

/// What the writer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The changes are on the disk
    Saved {
        /// which
        seq: u64,
    },
    /// The changes are not on the disk. Unless the error's kind is `Refused`, they are kept and tried again, and `Saved` may follow
    Unsaved {
        /// which
        seq: u64,
        /// why
        error: StoreError,
    },
    /// Something is not saved (`Some`), or everything is again (`None`). Said when it changes; meant for a banner
    Health(Option<StoreError>),
    /// The messages of a chat, every branch, in order of id
    Messages(ChatId, Vec<ChatMessage>),
    /// What is known of a message's tokens
    Probs {
        /// which message
        message: MessageId,
        /// what is behind this piece; 0 = everything
        after: i64,
        /// the number of the last piece, to ask for what follows it
        last: i64,
        /// the pieces; see [`super::TokenTable`]
        data: Vec<u8>,
    },
    /// The chats that contain the text, in the order of the list
    Found {
        /// as typed
        text: String,
        /// the chats
        chats: Vec<ChatId>,
    },
    /// A new run is on the disk
    RunKept {
        /// which
        seq: u64,
        /// as a list shows it, with the id it got
        head: Box<RunHead>,
    },
    /// The heads of all runs, the newest first
    Runs(Vec<RunHead>),
    /// Runs with everything, in the order asked for; one that is gone is left out
    RunsRead {
        /// which reading
        seq: Option<u64>,
        /// the runs
        runs: Vec<Run>,
    },
    /// Runs with everything and what was found of each token, where that was kept, in the order asked for; one that is gone is left out
    TokensRead(Vec<Run>),
    /// The saved designs, by name
    Designs(Vec<SavedDesign>),
    /// Something happened to a file
    Notice(Notice),
}
