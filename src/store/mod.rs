//! Durable user data

mod types;

pub use types::{Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState, Op, Provenance};
