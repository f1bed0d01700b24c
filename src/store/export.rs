//! A chat as a document.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

use super::files;
use super::types::{Chat, ChatMessage, ChatMode, MessageId, MessageState, Provenance};
use crate::protocol::{GenerateStats, Role};

/// The messages from the root to `leaf`, oldest first: the conversation as it is shown. Without a leaf, the one that ends in the newest
/// message.
pub fn branch(messages: &[ChatMessage], leaf: Option<MessageId>) -> Vec<&ChatMessage> {
    let by_id: BTreeMap<MessageId, &ChatMessage> = messages.iter().map(|m| (m.id, m)).collect();
    let mut path = Vec::new();
    let mut next = leaf.filter(|leaf| by_id.contains_key(leaf)).or_else(|| by_id.keys().next_back().copied());
    while let Some(message) = next.and_then(|id| by_id.get(&id)) {
        path.push(*message);
        // A parent is always older: a list that says otherwise must not go round in circles
        next = message.parent.filter(|parent| *parent < message.id);
    }
    path.reverse();
    path
}

/// The shown conversation as Markdown. What was said is copied as it is; under each reply stands what made it and how fast.
pub fn to_markdown(chat: &Chat, messages: &[ChatMessage]) -> String {
    let title = if chat.title.trim().is_empty() { "Untitled chat" } else { chat.title.trim() };
    let mut out = format!("# {}\n", title.split_whitespace().collect::<Vec<_>>().join(" "));
    // Writing to a String cannot fail
    let _ = writeln!(out, "\n*{}*", files::date_words(chat.created_ms));
    if !chat.system.is_empty() {
        section(&mut out, "System", &chat.system);
    }
    if chat.mode == ChatMode::Notebook && !chat.draft.is_empty() {
        section(&mut out, "Notebook", &chat.draft);
    }
    for message in branch(messages, chat.leaf) {
        let who = match message.role {
            Role::System => "System",
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        section(&mut out, who, &message.text);
        let about = about(message);
        if !about.is_empty() {
            let _ = writeln!(out, "\n<sub>{about}</sub>");
        }
    }
    out
}

fn section(out: &mut String, heading: &str, text: &str) {
    let _ = writeln!(out, "\n## {heading}\n\n{}", text.trim_end_matches(['\n', '\r']));
}

/// One line about a reply; empty when there is nothing to say. What several runs made is told run by run.
fn about(message: &ChatMessage) -> String {
    let mut runs: Vec<String> = message.earlier().iter().map(|part| made(part.made_by.as_ref(), part.stats.as_ref()).join(", ")).collect();
    let mut parts = made(message.provenance.as_ref(), message.stats.as_ref());
    parts.push(match &message.state {
        MessageState::Whole => String::new(),
        MessageState::Streaming | MessageState::Interrupted => "interrupted".into(),
        MessageState::Failed(error) => format!("ended early: {}", error.message),
    });
    parts.retain(|part| !part.is_empty());
    runs.push(parts.join(", "));
    runs.retain(|run| !run.is_empty());
    runs.join("; then ").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

/// What made a text, and how fast.
fn made(made_by: Option<&Provenance>, stats: Option<&GenerateStats>) -> Vec<String> {
    let mut parts = Vec::new();
    if let Some(made_by) = made_by {
        parts.push(format!("{} {}", made_by.model, made_by.quant).trim().to_owned());
        parts.push(made_by.differences.clone());
    }
    if let Some(stats) = stats {
        parts.push(format!("{:.1} t/s", stats.decode_tps));
        parts.push(format!("{} tokens", stats.predicted_tokens));
        parts.push(format!("first token after {:.0} ms", stats.ttft_ms));
        parts.push(stats.stop.words());
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// The whole chat, every branch with its measurements, as JSON that says what it is.
pub fn to_json(chat: &Chat, messages: &[ChatMessage]) -> String {
    let document = json!({
        "format": "inferscope-chat",
        "version": 1,
        "chat": value(chat),
        "messages": messages.iter().map(value).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

/// Only a path that is not Unicode has no JSON form; the reason stands in its place then.
fn value<T: serde::Serialize>(what: &T) -> serde_json::Value {
    serde_json::to_value(what).unwrap_or_else(|error| json!({ "not_exported": error.to_string() }))
}
