//! Changes that could not be written yet: kept in order, kept small, and laid over whatever is read.

use super::run_types::{DesignId, RunHead, SavedDesign};
use super::types::{Chat, ChatId, ChatMessage, MessageId, Op};
use crate::protocol::RunId;

/// How far back a new change looks for one it can be merged with; keeps adding one cheap.
const LOOK_BACK: usize = 64;

/// Changes waiting for the disk, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    ops: Vec<Op>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    pub fn extend<'a>(&mut self, ops: impl IntoIterator<Item = &'a Op>) {
        for op in ops {
            self.push(op);
        }
    }

    /// Adds a change, merged into an earlier one where the result is the same: a disk that stays full must not fill the memory with
    /// every state of a draft or every piece of a reply.
    fn push(&mut self, op: &Op) {
        for earlier in self.ops.iter_mut().rev().take(LOOK_BACK) {
            match (&mut *earlier, op) {
                (Op::AppendText(at, text), Op::AppendText(to, more)) if at == to => return text.push_str(more),
                (Op::AppendProbs(at, data), Op::AppendProbs(to, more)) if at == to => return data.extend_from_slice(more),
                (Op::AppendText(at, _), Op::AppendProbs(to, _)) | (Op::AppendProbs(at, _), Op::AppendText(to, _)) if at == to => {}
                (Op::PutMessage(message), Op::AppendText(to, more)) if message.id == *to => return message.text.push_str(more),
                (Op::PutMessage(message), Op::PutMessage(new)) if message.id == new.id => return *message = new.clone(),
                (Op::SetDraft(chat, draft), Op::SetDraft(of, new)) if chat == of => return draft.clone_from(new),
                (Op::PutChat(chat), Op::SetDraft(of, new)) if chat.id == *of => return chat.draft.clone_from(new),
                (Op::PutChat(chat), Op::PutChat(new)) if chat.id == new.id => {
                    if chat.updated_ms == new.updated_ms {
                        return *chat = new.clone();
                    }
                    // The later one also moves the chat to the front of the list, so it keeps its own place in line
                    break;
                }
                (earlier, new) if !commute(earlier, new) => break,
                _ => {}
            }
        }
        self.ops.push(op.clone());
    }

    /// The chats as they would be if everything were written; `true` = hidden.
    pub fn over_chats(&self, chats: &mut Vec<(Chat, bool)>) {
        for op in &self.ops {
            let at = |chats: &[(Chat, bool)], id: ChatId| chats.iter().position(|(chat, _)| chat.id == id);
            match op {
                Op::PutChat(new) => match at(chats, new.id) {
                    Some(i) => {
                        let (old, hidden) = chats.remove(i);
                        let to = if old.updated_ms == new.updated_ms { i } else { 0 };
                        chats.insert(to, (new.clone(), hidden));
                    }
                    None => chats.insert(0, (new.clone(), false)),
                },
                Op::SetDraft(id, draft) => {
                    if let Some((chat, _)) = at(chats, *id).and_then(|i| chats.get_mut(i)) {
                        chat.draft.clone_from(draft);
                    }
                }
                Op::DeleteChat(id) | Op::RestoreChat(id) => {
                    if let Some((_, hidden)) = at(chats, *id).and_then(|i| chats.get_mut(i)) {
                        *hidden = matches!(op, Op::DeleteChat(_));
                    }
                }
                _ => {}
            }
        }
    }

    /// The runs as they would be if everything were written, but for new ones: they have no id before they are on the disk. `true` = hidden.
    pub fn over_runs(&self, runs: &mut [(RunHead, bool)]) {
        for op in &self.ops {
            let (Op::DeleteRun(id) | Op::RestoreRun(id) | Op::SetRunMeta { id, .. }) = op else { continue };
            let Some((head, hidden)) = runs.iter_mut().find(|(head, _)| head.id == *id) else { continue };
            match op {
                Op::SetRunMeta { title, tags, .. } => {
                    head.title.clone_from(title);
                    head.tags.clone_from(tags);
                }
                other => *hidden = matches!(other, Op::DeleteRun(_)),
            }
        }
    }

    /// A title and tags that wait for the disk.
    pub fn run_meta(&self, run: RunId) -> Option<(&str, &[String])> {
        self.ops.iter().rev().find_map(|op| match op {
            Op::SetRunMeta { id, title, tags } if *id == run => Some((title.as_str(), tags.as_slice())),
            _ => None,
        })
    }

    /// Fields of a record that wait for the disk, the latest of a name last.
    pub fn run_extra(&self, run: RunId) -> impl Iterator<Item = (String, serde_json::Value)> + '_ {
        self.ops.iter().filter_map(move |op| match op {
            Op::SetRunExtra { id, key, value } if *id == run => Some((key.clone(), value.clone())),
            _ => None,
        })
    }

    /// The saved designs as they would be if everything were written; a new one has the id 0. `true` = hidden.
    pub fn over_designs(&self, designs: &mut Vec<(SavedDesign, bool)>) {
        for op in &self.ops {
            let at = |designs: &[(SavedDesign, bool)], id: DesignId| designs.iter().position(|(saved, _)| saved.id == id && id.0 != 0);
            match op {
                Op::PutDesign(new) => match at(designs, new.id).and_then(|i| designs.get_mut(i)) {
                    Some((saved, _)) => *saved = new.clone(),
                    None => designs.push((new.clone(), false)),
                },
                Op::DeleteDesign(id) | Op::RestoreDesign(id) => {
                    if let Some((_, hidden)) = at(designs, *id).and_then(|i| designs.get_mut(i)) {
                        *hidden = matches!(op, Op::DeleteDesign(_));
                    }
                }
                _ => {}
            }
        }
    }

    /// The messages of a chat as they would be if everything were written.
    pub fn over_messages(&self, chat: ChatId, messages: &mut Vec<ChatMessage>) {
        for op in &self.ops {
            match op {
                Op::PutMessage(new) if new.chat == chat => match messages.binary_search_by_key(&new.id, |m| m.id) {
                    Ok(i) => {
                        if let Some(old) = messages.get_mut(i) {
                            *old = new.clone();
                        }
                    }
                    Err(i) => messages.insert(i, new.clone()),
                },
                Op::AppendText(id, text) => {
                    if let Some(message) = messages.iter_mut().find(|m| m.id == *id) {
                        message.text.push_str(text);
                    }
                }
                Op::FinishMessage { id, text, state, stats } => {
                    if let Some(message) = messages.iter_mut().find(|m| m.id == *id) {
                        message.text.clone_from(text);
                        message.state.clone_from(state);
                        message.stats.clone_from(stats);
                    }
                }
                Op::RemoveMessage(id) => remove(messages, *id),
                _ => {}
            }
        }
    }

    /// What waits to be added to what is known of a message's tokens.
    pub fn probs(&self, message: MessageId) -> Vec<u8> {
        let mine = |op: &Op| match op {
            Op::AppendProbs(id, data) if *id == message => data.clone(),
            _ => Vec::new(),
        };
        self.ops.iter().flat_map(mine).collect()
    }

    /// Chats with text in a waiting change that satisfies `is_hit`.
    pub fn hits(&self, mut is_hit: impl FnMut(&str) -> bool) -> Vec<ChatId> {
        self.ops
            .iter()
            .filter_map(|op| match op {
                Op::PutChat(chat) if is_hit(&chat.title) => Some(chat.id),
                Op::PutMessage(message) if is_hit(&message.text) => Some(message.chat),
                _ => None,
            })
            .collect()
    }

    /// The largest chat and message id in any waiting change.
    pub fn largest_ids(&self) -> (i64, i64) {
        self.ops.iter().fold((0, 0), |(chats, messages), op| match op {
            Op::PutChat(chat) => (chats.max(chat.id.0), messages),
            Op::PutMessage(message) => (chats.max(message.chat.0), messages.max(message.id.0)),
            _ => (chats, messages),
        })
    }
}

/// Whether the order of the two does not matter. Different chats and different messages do not touch each other, but for a removal,
/// which takes descendants along.
fn commute(a: &Op, b: &Op) -> bool {
    if matches!(a, Op::RemoveMessage(_)) || matches!(b, Op::RemoveMessage(_)) {
        return false;
    }
    match (subject(a), subject(b)) {
        (Subject::Chat(a), Subject::Chat(b)) => a != b,
        (Subject::Message(a), Subject::Message(b)) => a != b,
        (Subject::Run(a), Subject::Run(b)) => a != b,
        (Subject::Design(a), Subject::Design(b)) => a != b,
        _ => true,
    }
}

#[derive(PartialEq)]
enum Subject {
    Chat(ChatId),
    Message(MessageId),
    Run(RunId),
    Design(DesignId),
}

fn subject(op: &Op) -> Subject {
    match op {
        Op::PutChat(chat) => Subject::Chat(chat.id),
        Op::SetDraft(chat, _) | Op::DeleteChat(chat) | Op::RestoreChat(chat) => Subject::Chat(*chat),
        Op::PutMessage(message) => Subject::Message(message.id),
        Op::AppendText(message, _)
        | Op::AppendProbs(message, _)
        | Op::CopyProbs { to: message, .. }
        | Op::RemoveMessage(message)
        | Op::FinishMessage { id: message, .. } => Subject::Message(*message),
        Op::PutRun(run) => Subject::Run(run.id),
        Op::DeleteRun(id) | Op::RestoreRun(id) | Op::SetRunMeta { id, .. } | Op::SetRunExtra { id, .. } => Subject::Run(*id),
        Op::PutDesign(saved) => Subject::Design(saved.id),
        Op::DeleteDesign(id) | Op::RestoreDesign(id) => Subject::Design(*id),
    }
}

/// Removes a message and its descendants. One pass is enough: a child's id is larger than its parent's and the list is in that order.
fn remove(messages: &mut Vec<ChatMessage>, id: MessageId) {
    let mut gone = std::collections::HashSet::from([id]);
    messages.retain(|message| {
        let goes = message.id == id || message.parent.is_some_and(|parent| gone.contains(&parent));
        if goes {
            gone.insert(message.id);
        }
        !goes
    });
}
