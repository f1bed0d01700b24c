//! A reply token by token: what is known of its tokens, and another reply from one of them.

use super::{AppState, Effect, Now, chat, generate};
use crate::app::Tokens;
use crate::protocol::{Alternative, PieceKind, Role, TokenProb};
use crate::store::{ChatMessage, Chosen, MessageId, MessageState, Op, Part, encode_start, encode_tokens};

/// A reply that grows is read again this often, seconds.
const EVERY: f64 = 0.3;

/// Shows a reply's tokens, or its text again.
pub(super) fn show(state: &mut AppState, message: MessageId, now: Now, effects: &mut Vec<Effect>) {
    let Some(open) = state.chats.open.as_mut() else { return };
    open.revision += 1;
    if open.tokens.take_if(|tokens| tokens.message == message).is_some() {
        return;
    }
    if open.get(message).is_some_and(|message| message.role == Role::Assistant) {
        open.tokens = Some(Tokens::of(message));
        read(state, now, effects);
    }
}

/// Reads what has been added since the last time; once at a time.
fn read(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Some(tokens) = state.chats.open.as_mut().and_then(|open| open.tokens.as_mut()) else { return };
    tokens.is_behind = tokens.asked.is_some();
    if tokens.asked.is_none() {
        tokens.asked = Some(now.secs);
        effects.push(Effect::ReadProbs(tokens.message, tokens.last));
    }
}

/// A reply grew: what was added to it is read when the last reading is a while ago.
pub(super) fn on_growth(state: &mut AppState, message: MessageId, now: Now, effects: &mut Vec<Effect>) {
    let tokens = state.chats.open.as_ref().and_then(|open| open.tokens.as_ref());
    if tokens.is_some_and(|tokens| tokens.message == message && tokens.asked.is_none() && now.secs - tokens.answered >= EVERY) {
        read(state, now, effects);
    }
}

/// A reply ended: the rest of it is read.
pub(super) fn on_end(state: &mut AppState, message: MessageId, now: Now, effects: &mut Vec<Effect>) {
    if state.chats.open.as_ref().and_then(|open| open.tokens.as_ref()).is_some_and(|tokens| tokens.message == message) {
        read(state, now, effects);
    }
}

/// The disk answered.
pub(super) fn on_probs(state: &mut AppState, message: MessageId, piece: Piece, now: Now, effects: &mut Vec<Effect>) {
    let tokens = state.chats.open.as_mut().and_then(|open| open.tokens.as_mut());
    let Some(tokens) = tokens.filter(|tokens| tokens.message == message) else { return };
    if piece.after == 0 {
        tokens.table = Default::default();
    } else if piece.after != tokens.last {
        // asked for before the reply was looked at anew
        return;
    }
    tokens.table.push(&piece.data);
    (tokens.last, tokens.is_loaded, tokens.asked, tokens.answered) = (piece.last, true, None, now.secs);
    if std::mem::take(&mut tokens.is_behind) {
        read(state, now, effects);
    }
}

/// What was read of a message's tokens.
pub(super) struct Piece {
    /// What is behind this piece; 0 = everything
    pub after: i64,
    /// The last piece
    pub last: i64,
    /// The pieces
    pub data: Vec<u8>,
}

/// Another reply that begins as `origin` does up to a byte, where `alternative` takes the place of the token that was sampled; the model
/// goes on from there.
pub(super) fn branch_at(
    state: &mut AppState,
    origin: MessageId,
    at: usize,
    alternative: &Alternative,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    // only text can be put into a reply
    if alternative.kind != PieceKind::Text || alternative.text.is_empty() || !generate::ready_or_explain(state, false, now) {
        return;
    }
    let Some(open) = state.chats.open.as_ref() else { return };
    let (chat, Some(origin)) = (open.id, open.get(origin).filter(|origin| origin.role == Role::Assistant).cloned()) else { return };
    let Some(mut text) = origin.text.get(..at).map(str::to_owned) else { return };
    let tokens = open.tokens.as_ref().filter(|tokens| tokens.message == origin.id);
    let was = tokens.map(|tokens| (tokens.table.until(at), tokens.table.token(tokens.table.first_from(at))));
    let instead_of = was.as_ref().map_or(0..0, |(end, _)| at..*end);
    text.push_str(&alternative.text);
    let chosen =
        Chosen { text: alternative.text.clone(), instead_of: origin.text.get(instead_of).unwrap_or_default().to_owned(), p: alternative.p };
    let mut then = Vec::new();
    encode_start(at, &mut then);
    let bytes = u32::try_from(alternative.text.len()).unwrap_or(u32::MAX);
    let top = was.and_then(|(_, token)| token).map_or_else(Vec::new, |token| token.top);
    encode_tokens(&[TokenProb { bytes, p: alternative.p, top }], &mut then);

    let id = generate::new_message(state, chat, origin.parent, Role::Assistant, text.clone(), now);
    let provenance = generate::provenance(state)
        .map(|made_by| crate::store::Provenance { earlier: parts_before(&origin, at, text.len(), chosen), ..made_by });
    let Some(open) = state.chats.open.as_mut() else { return };
    open.tokens = Some(Tokens::of(id));
    open.relink(Some(id));
    let Some(reply) = open.messages.get_mut(&id) else { return };
    reply.state = MessageState::Streaming;
    reply.provenance = provenance;
    let reply = reply.clone();
    if let Some(chat) = state.chats.get_mut(chat) {
        chat.replies += 1;
    }
    let copy = Op::CopyProbs { from: origin.id, to: id, up_to: at, then };
    chat::save(state, vec![Op::PutMessage(reply.clone()), copy], effects);
    generate::begin(state, chat, reply, text, Some(id), None, now, effects);
    read(state, now, effects);
}

/// The parts of a reply before a byte, the last of which ends in a token that was chosen.
fn parts_before(origin: &ChatMessage, at: usize, end: usize, chosen: Chosen) -> Vec<Part> {
    let mut parts: Vec<Part> = origin.earlier().iter().take_while(|part| part.end <= at).cloned().collect();
    let run = match parts.len().checked_sub(1) {
        None => origin.first_run(),
        Some(last) => origin.run_after(last),
    };
    let made_by = run.cloned().map(|run| crate::store::Provenance { earlier: Vec::new(), ..run });
    parts.push(Part { end, made_by, stats: None, chosen: Some(chosen) });
    parts
}
