//! What the runtime answers.

use super::{Answer, AppState, Effect, Now, chat, compare, generate, history, load, models, tokens};
use crate::app::Severity;

pub(super) fn on_answer(state: &mut AppState, answer: Answer, now: Now, effects: &mut Vec<Effect>) {
    match answer {
        Answer::Saved(seq) => {
            state.unsaved = None;
            generate::on_saved(state, seq, now, effects);
        }
        Answer::Unsaved(seq, error) => {
            if state.unsaved.is_none() {
                state.notices.push(Severity::Error, error.to_string(), error.details.clone(), None, now.secs);
            }
            state.unsaved = Some(error);
            // the question stays in memory and is tried again: the reply need not wait for the disk
            generate::on_saved(state, seq, now, effects);
        }
        Answer::Messages(id, messages) => chat::on_messages(state, id, messages, now, effects),
        Answer::Probs { message, after, last, data } => {
            tokens::on_probs(state, message, tokens::Piece { after, last, data }, now, effects);
        }
        Answer::Found(text, chats) => {
            if state.chats.search == text {
                state.chats.found = Some(chats);
            }
        }
        Answer::RunKept(seq, head) => {
            compare::on_kept(state, seq, head.id, effects);
            history::on_kept(state, *head);
        }
        Answer::Runs(runs) => state.history.set(runs),
        Answer::RunsRead(runs) => state.history.whole = runs,
        Answer::Designs(designs) => state.history.designs = designs,
        Answer::Scanned(scan) => models::on_scanned(state, *scan, now, effects),
        Answer::Inspected { design, result } => load::on_inspected(state, *design, *result, now, effects),
        Answer::Health(error) => {
            if let Some(error) = &error
                && state.unsaved.is_none()
            {
                state.notices.push(Severity::Error, error.to_string(), error.details.clone(), None, now.secs);
            }
            state.unsaved = error;
        }
        Answer::Notice(severity, text) => state.notices.push(severity, text, Vec::new(), None, now.secs),
    }
}
