//! The transcript as rows: every block of every message is one, so that only those in view are laid out.

use std::collections::HashMap;

use super::reply::Reply;
use super::tokens::TokenRows;
use crate::app::OpenChat;
use crate::protocol::Role;
use crate::store::{ChatId, ChatMessage, MessageId};
use crate::ui::plain_text::Pieces;
use crate::ui::widgets::RowId;

/// What a row shows of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// The line that says that another rung answers from here
    Switch,
    /// What the colours of its tokens mean
    Legend,
    /// A block of its text
    Text(usize),
    /// What is said of the earlier run that ended here, and of the one that goes on
    Part(usize),
    /// The editor in place of its text
    Edit,
    /// What is said about it, and what can be done with it
    Footer,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its message
    pub message: MessageId,
    /// What of it
    pub kind: RowKind,
}

impl Row {
    fn id(self) -> RowId {
        let (kind, index) = match self.kind {
            RowKind::Switch => (0, 0),
            RowKind::Part(index) => (0, 1 + index as u64),
            RowKind::Text(index) => (1, index as u64),
            RowKind::Edit => (2, 0),
            RowKind::Legend => (2, 1),
            RowKind::Footer => (3, 0),
        };
        // 24 bits for the block, two for the kind, the rest for the message
        RowId { key: (self.message.0 as u64) << 26 | kind << 24 | (index & 0xFF_FFFF), version: 0 }
    }
}

/// How a message's text is cut.
#[derive(Clone, Debug)]
pub enum Body {
    /// As it was typed
    Plain(Pieces),
    /// As Markdown
    Reply(Reply),
    /// As tokens
    Tokens(TokenRows),
}

impl Body {
    fn of(message: &ChatMessage, as_tokens: bool) -> Self {
        match message.role {
            Role::Assistant if as_tokens => Self::Tokens(TokenRows::default()),
            Role::Assistant => Self::Reply(Reply::default()),
            Role::User | Role::System => Self::Plain(Pieces::default()),
        }
    }

    fn update(&mut self, message: &ChatMessage) {
        match self {
            Self::Plain(pieces) => pieces.update(&message.text),
            Self::Reply(reply) => reply.update(&message.text, message.earlier().iter().map(|part| part.end)),
            Self::Tokens(rows) => rows.update(&message.text, message.earlier().iter().map(|part| part.end)),
        }
    }

    /// The first block that shows nothing of the text before a byte.
    fn row_at(&self, byte: usize) -> usize {
        match self {
            Self::Plain(pieces) => pieces.len(),
            Self::Reply(reply) => reply.row_at(byte),
            Self::Tokens(rows) => rows.row_at(byte),
        }
    }

    /// How many blocks the text has.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(pieces) => pieces.len(),
            Self::Reply(reply) => reply.len(),
            Self::Tokens(rows) => rows.len(),
        }
    }
}

/// The rows of the open chat; kept between frames and brought up to date at the cost of what has changed.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    chat: Option<ChatId>,
    revision: u64,
    editing: Option<MessageId>,
    as_tokens: Option<MessageId>,
    list: Vec<Row>,
    bodies: HashMap<MessageId, Body>,
    /// Where the rows of the last message begin
    tail: usize,
    version: u64,
}

impl Rows {
    /// Brings the rows up to date with what is shown of `open`.
    pub fn sync(&mut self, open: &OpenChat, editing: Option<MessageId>) {
        if self.chat != Some(open.id) {
            *self = Self { chat: Some(open.id), revision: open.revision.wrapping_sub(1), version: self.version + 1, ..Self::default() };
        }
        let Some(last) = open.branch.last().and_then(|id| open.get(*id)) else {
            self.list.clear();
            return;
        };
        let as_tokens = open.tokens.as_ref().map(|tokens| tokens.message);
        if self.as_tokens != as_tokens {
            for changed in [self.as_tokens, as_tokens].into_iter().flatten() {
                self.bodies.remove(&changed);
            }
            self.as_tokens = as_tokens;
            self.revision = open.revision.wrapping_sub(1);
        }
        if self.revision == open.revision && self.editing == editing {
            // text only grows at the end of the branch
            self.push_tail(last);
            return;
        }
        self.revision = open.revision;
        self.editing = editing;
        self.version += 1;
        self.list.clear();
        for message in open.shown() {
            self.tail = self.list.len();
            self.push(message);
        }
    }

    fn push_tail(&mut self, last: &ChatMessage) {
        let before = self.list.len();
        let footer = self.list.last().copied();
        self.list.truncate(self.tail);
        self.push(last);
        // what stood at the end stands elsewhere now: the list must not take its height for another row's
        if self.list.len() != before || self.list.last().copied() != footer {
            self.version += 1;
        }
    }

    fn push(&mut self, message: &ChatMessage) {
        let id = message.id;
        if message.first_run().is_some_and(|made_by| made_by.switched.is_some()) {
            self.list.push(Row { message: id, kind: RowKind::Switch });
        }
        if self.editing == Some(id) {
            self.list.push(Row { message: id, kind: RowKind::Edit });
            return;
        }
        let as_tokens = self.as_tokens == Some(id);
        if as_tokens {
            self.list.push(Row { message: id, kind: RowKind::Legend });
        }
        let body = self.bodies.entry(id).or_insert_with(|| Body::of(message, as_tokens));
        body.update(message);
        let mut from = 0;
        for (index, part) in message.earlier().iter().enumerate() {
            let to = body.row_at(part.end).max(from);
            self.list.extend((from..to).map(|block| Row { message: id, kind: RowKind::Text(block) }));
            self.list.push(Row { message: id, kind: RowKind::Part(index) });
            from = to;
        }
        self.list.extend((from..body.len()).map(|block| Row { message: id, kind: RowKind::Text(block) }));
        self.list.push(Row { message: id, kind: RowKind::Footer });
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// A row.
    pub fn get(&self, index: usize) -> Option<Row> {
        self.list.get(index).copied()
    }

    /// What names a row in the list.
    pub fn id(&self, index: usize) -> RowId {
        self.get(index).map(Row::id).unwrap_or_default()
    }

    /// The row that holds a byte of the text of the message that is shown as tokens.
    pub fn row_of(&self, byte: usize) -> Option<usize> {
        let message = self.as_tokens?;
        let Some(Body::Tokens(rows)) = self.bodies.get(&message) else { return None };
        let block = rows.row_of(byte)?;
        self.list.iter().position(|row| *row == Row { message, kind: RowKind::Text(block) })
    }

    /// How a message is cut.
    pub fn body(&self, message: MessageId) -> Option<&Body> {
        self.bodies.get(&message)
    }

    /// Changes whenever rows changed anywhere but by growing.
    pub fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MessageState, Provenance};

    fn message(id: i64, role: Role, text: &str) -> ChatMessage {
        ChatMessage {
            id: MessageId(id),
            chat: ChatId(1),
            parent: (id > 1).then_some(MessageId(id - 1)),
            role,
            text: text.to_owned(),
            state: MessageState::Whole,
            stats: None,
            provenance: None,
            created_ms: 0,
        }
    }

    fn open(messages: &[ChatMessage]) -> OpenChat {
        let mut open = OpenChat::loading(ChatId(1));
        open.messages = messages.iter().map(|message| (message.id, message.clone())).collect();
        open.relink(None);
        open
    }

    fn ids(rows: &Rows) -> Vec<u64> {
        (0..rows.len()).map(|index| rows.id(index).key).collect()
    }

    #[test]
    fn a_growing_reply_changes_only_the_end() {
        let mut open = open(&[message(1, Role::User, "Hello"), message(2, Role::Assistant, "One")]);
        let mut rows = Rows::default();
        rows.sync(&open, None);
        let (first, version) = (ids(&rows), rows.version());
        assert_eq!(first.len(), 4);
        open.messages.get_mut(&MessageId(2)).unwrap().text.push_str(" more");
        rows.sync(&open, None);
        assert_eq!((ids(&rows), rows.version()), (first.clone(), version));
        open.messages.get_mut(&MessageId(2)).unwrap().text.push_str(&"\n\nAnother paragraph".repeat(3));
        rows.sync(&open, None);
        assert!(rows.len() > 4 && rows.version() > version);
        assert_eq!(ids(&rows)[..3], first[..3]);
    }

    #[test]
    fn every_row_has_its_own_name_and_an_edited_message_one_row() {
        let long = "line\n".repeat(5_000);
        let open = open(&[message(1, Role::User, &long), message(2, Role::Assistant, &long), message(3, Role::User, "x")]);
        let mut rows = Rows::default();
        rows.sync(&open, None);
        let all = ids(&rows);
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
        rows.sync(&open, Some(MessageId(1)));
        assert_eq!(rows.get(0), Some(Row { message: MessageId(1), kind: RowKind::Edit }));
        assert_eq!(rows.get(1).map(|row| row.message), Some(MessageId(2)));
    }

    #[test]
    fn what_several_runs_made_is_told_apart() {
        let mut reply = message(2, Role::Assistant, "Half");
        let made_by = |quant: &str| Provenance {
            quant: quant.into(),
            model: String::new(),
            design: crate::protocol::Design::default(),
            differences: String::new(),
            switched: None,
            system: None,
            earlier: Vec::new(),
        };
        reply.provenance = Some(made_by("Q4_1"));
        reply.begin_part(Some(made_by("Q8_0")));
        let kinds = |reply: &ChatMessage| {
            let mut rows = Rows::default();
            rows.sync(&open(&[message(1, Role::User, "Why?"), reply.clone()]), None);
            (2..rows.len()).filter_map(|index| rows.get(index)).map(|row| row.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&reply), [RowKind::Text(0), RowKind::Part(0), RowKind::Footer]);
        reply.text.push_str(" done");
        assert_eq!(kinds(&reply), [RowKind::Text(0), RowKind::Part(0), RowKind::Text(1), RowKind::Footer]);
    }

    #[test]
    fn a_branch_without_messages_has_no_rows() {
        let mut rows = Rows::default();
        rows.sync(&open(&[message(1, Role::User, "a")]), None);
        rows.sync(&open(&[]), None);
        assert_eq!(rows.len(), 0);
    }
}
