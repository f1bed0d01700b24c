//! What the runtime answers.

use super::{
    Answer, AppState, Effect, Now, board, chat, compare, generate, history, load, measure, models, predict, quality, repeat, tokens,
};
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
            repeat::on_saved(state, seq, None, now, effects);
            // the question stays in memory and is tried again: the reply need not wait for the disk
            generate::on_saved(state, seq, now, effects);
        }
        Answer::Text(path, result) => quality::on_text(state, &path, *result),
        Answer::Messages(id, messages) => {
            quality::on_messages(state, id, &messages);
            chat::on_messages(state, id, messages, now, effects);
        }
        Answer::Probs { message, after, last, data } => {
            tokens::on_probs(state, message, tokens::Piece { after, last, data }, now, effects);
        }
        Answer::Found(text, chats) => {
            if state.chats.search == text {
                state.chats.found = Some(chats);
            }
        }
        Answer::RunKept(seq, head) => {
            let id = head.id;
            measure::on_kept(state, seq, id, effects);
            compare::on_kept(state, seq, id, effects);
            quality::on_kept(state, seq, id);
            history::on_kept(state, *head);
            repeat::on_saved(state, seq, Some(id), now, effects);
        }
        Answer::Runs(runs) => {
            state.history.set(runs);
            quality::on_list(state, effects);
            repeat::on_read(state, now, effects);
        }
        Answer::RunsRead(runs) => {
            let runs = quality::take_kept(state, runs);
            history::on_read(state, runs);
            repeat::on_read(state, now, effects);
        }
        Answer::TokensRead(runs) => quality::on_tokens(state, &runs, now),
        Answer::BoardRead(seq, runs) => board::on_read(state, seq, runs, effects),
        Answer::RunsImported(name, result) => history::on_imported(state, &name, result, now, effects),
        Answer::DesignImported(name, result) => history::on_design_read(state, &name, result.map(|design| *design), now, effects),
        Answer::Designs(designs) => state.history.designs = designs,
        Answer::Scanned(scan) => {
            models::on_scanned(state, *scan, now, effects);
            measure::check_draft(state);
        }
        Answer::SweepPrepared(plan) => measure::on_prepared(state, *plan, now, effects),
        Answer::SweepRead(sweep) => measure::on_read(state, *sweep, now, effects),
        Answer::SweepsFound(found) => measure::on_found(state, found),
        Answer::Inspected { design, result } => load::on_inspected(state, *design, *result, now, effects),
        Answer::Predicted { design, result } => predict::on_predicted(state, &design, *result),
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
