//! Chats in memory: the list, and the one that is open with its tree of messages.

use std::collections::BTreeMap;

use crate::protocol::{Message, Role};
use crate::store::{Chat, ChatId, ChatMessage, MessageId, TokenTable};

/// The chats of the user.
#[derive(Clone, Debug, Default)]
pub struct Chats {
    /// All that are not deleted, latest first
    pub list: Vec<Chat>,
    /// The one on screen
    pub open: Option<OpenChat>,
    /// What is typed in the search field
    pub search: String,
    /// Which chats hold it; `None` while nothing is searched
    pub found: Option<Vec<ChatId>>,
    /// Deleted in this session, for undo
    pub deleted: Vec<Chat>,
    /// The next ids to give
    pub next_chat: i64,
    /// See `next_chat`
    pub next_message: i64,
}

impl Chats {
    /// A chat by id.
    pub fn get(&self, id: ChatId) -> Option<&Chat> {
        self.list.iter().find(|chat| chat.id == id)
    }

    /// A chat by id, to change.
    pub fn get_mut(&mut self, id: ChatId) -> Option<&mut Chat> {
        self.list.iter_mut().find(|chat| chat.id == id)
    }

    /// A chat by id, to change; one that was deleted is kept up to date too, since it may come back.
    pub fn known_mut(&mut self, id: ChatId) -> Option<&mut Chat> {
        self.list.iter_mut().chain(&mut self.deleted).find(|chat| chat.id == id)
    }

    /// The open chat's own row.
    pub fn current(&self) -> Option<&Chat> {
        self.get(self.open.as_ref()?.id)
    }

    /// Those that the list shows: what was found, or all.
    pub fn shown(&self) -> impl Iterator<Item = &Chat> {
        self.list.iter().filter(|chat| self.found.as_ref().is_none_or(|found| found.contains(&chat.id)))
    }

    /// Latest first, as the list shows them.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|chat| std::cmp::Reverse((chat.updated_ms, chat.id)));
    }

    /// Gives an id to a new chat.
    pub fn new_chat_id(&mut self) -> ChatId {
        self.next_chat += 1;
        ChatId(self.next_chat - 1)
    }

    /// Gives an id to a new message.
    pub fn new_message_id(&mut self) -> MessageId {
        self.next_message += 1;
        MessageId(self.next_message - 1)
    }
}

/// The chat on screen.
#[derive(Clone, Debug)]
pub struct OpenChat {
    /// Which
    pub id: ChatId,
    /// Whether its messages have arrived from the disk
    pub is_loaded: bool,
    /// All its messages, every branch
    pub messages: BTreeMap<MessageId, ChatMessage>,
    /// The shown branch, first message first; kept by [`OpenChat::relink`]
    pub branch: Vec<MessageId>,
    /// Rises whenever a message's text is replaced rather than appended to (layout caches key on it)
    pub revision: u64,
    /// The reply whose tokens are looked at
    pub tokens: Option<Tokens>,
}

/// A reply's tokens with their probabilities, read from the disk when they are looked at.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Of which reply
    pub message: MessageId,
    /// What was read so far
    pub table: TokenTable,
    /// Whether everything that was on disk when it was asked for is there
    pub is_loaded: bool,
    /// The number of the last piece that was read
    pub(super) last: i64,
    /// When it was asked for last, seconds, while it was not answered
    pub(super) asked: Option<f64>,
    /// When it was answered last, seconds
    pub(super) answered: f64,
    /// There is more than what is asked for
    pub(super) is_behind: bool,
}

impl Tokens {
    /// Those of a message, still to be read.
    pub(super) fn of(message: MessageId) -> Self {
        Self { message, table: TokenTable::default(), is_loaded: false, last: 0, asked: None, answered: 0.0, is_behind: false }
    }
}

impl OpenChat {
    /// A chat whose messages are still on their way.
    pub fn loading(id: ChatId) -> Self {
        Self { id, is_loaded: false, messages: BTreeMap::new(), branch: Vec::new(), revision: 0, tokens: None }
    }

    /// A message by id.
    pub fn get(&self, id: MessageId) -> Option<&ChatMessage> {
        self.messages.get(&id)
    }

    /// The messages shown, first first.
    pub fn shown(&self) -> impl Iterator<Item = &ChatMessage> {
        self.branch.iter().filter_map(|id| self.messages.get(id))
    }

    /// Shows the branch that ends in `leaf` (or the latest one).
    pub fn relink(&mut self, leaf: Option<MessageId>) {
        let leaf = leaf.filter(|id| self.messages.contains_key(id)).or_else(|| self.messages.keys().next_back().copied());
        self.branch = branch(&self.messages, leaf);
        self.revision += 1;
    }

    /// The conversation up to and with `last`, for a prompt. Empty replies are left out: they say nothing.
    pub fn conversation(&self, system: &str, last: Option<MessageId>) -> Vec<Message> {
        let mut messages = Vec::new();
        if !system.trim().is_empty() {
            messages.push(Message { role: Role::System, text: system.to_owned() });
        }
        for id in branch(&self.messages, last) {
            if let Some(message) = self.messages.get(&id)
                && !(message.role == Role::Assistant && message.text.is_empty())
            {
                messages.push(Message { role: message.role, text: message.text.clone() });
            }
        }
        messages
    }
}

/// The path from the root to `leaf`.
pub fn branch(messages: &BTreeMap<MessageId, ChatMessage>, leaf: Option<MessageId>) -> Vec<MessageId> {
    let mut path = Vec::new();
    let mut next = leaf;
    while let Some(id) = next {
        let Some(message) = messages.get(&id) else { break };
        path.push(id);
        // a child's id is always larger than its parent's: a damaged tree cannot make this go round
        next = message.parent.filter(|parent| *parent < id);
    }
    path.reverse();
    path
}

/// The alternatives to a message (itself among them), oldest first.
pub fn siblings(messages: &BTreeMap<MessageId, ChatMessage>, id: MessageId) -> Vec<MessageId> {
    let Some(message) = messages.get(&id) else { return Vec::new() };
    messages.values().filter(|other| other.parent == message.parent && other.role == message.role).map(|other| other.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MessageState;

    fn message(id: i64, parent: Option<i64>, role: Role) -> (MessageId, ChatMessage) {
        let message = ChatMessage {
            id: MessageId(id),
            chat: ChatId(1),
            parent: parent.map(MessageId),
            role,
            text: format!("m{id}"),
            state: MessageState::Whole,
            stats: None,
            provenance: None,
            created_ms: 0,
        };
        (MessageId(id), message)
    }

    #[test]
    fn a_branch_is_the_path_to_its_leaf() {
        let tree = BTreeMap::from([
            message(1, None, Role::User),
            message(2, Some(1), Role::Assistant),
            message(3, Some(1), Role::Assistant),
            message(4, Some(3), Role::User),
        ]);
        assert_eq!(branch(&tree, Some(MessageId(4))), [MessageId(1), MessageId(3), MessageId(4)]);
        assert_eq!(siblings(&tree, MessageId(2)), [MessageId(2), MessageId(3)]);
    }

    #[test]
    fn a_damaged_tree_ends() {
        let tree = BTreeMap::from([message(1, Some(2), Role::User), message(2, Some(1), Role::Assistant)]);
        assert_eq!(branch(&tree, Some(MessageId(2))), [MessageId(1), MessageId(2)]);
    }
}
