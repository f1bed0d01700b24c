//! The list of chats.

use super::*;
use crate::store::ChatId;

/// A chat of its own with something in it.
fn begun(state: &mut AppState, text: &str) -> ChatId {
    on_action(state, Action::NewChat, now(2.0));
    on_action(state, Action::SetDraft(text.into()), now(2.0));
    state.chats.current().expect("open").id
}

#[test]
fn a_deleted_chat_comes_back() {
    let mut state = ready();
    type_and_send(&mut state, "Why?");
    let id = state.chats.current().expect("open").id;
    let effects = on_action(&mut state, Action::DeleteChat(id), now(3.0));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send(Command::Cancel { .. }))), "its reply is stopped");
    assert!(state.chats.get(id).is_none());
    on_action(&mut state, Action::UndoDelete(id), now(4.0));
    assert!(state.chats.get(id).is_some());
}

#[test]
fn a_changed_question_is_never_lost() {
    let mut state = ready();
    let job = replying(&mut state);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(3.0));
    let question = *state.chats.open.as_ref().and_then(|open| open.branch.first()).expect("a question");
    on_event(&mut state, Event::Unloaded { job: JobId(90), resident: Vec::new() }, now(3.1));
    on_action(&mut state, Action::EditAndRun(question, "Why not?".into()), now(3.2));
    assert_eq!(state.activity, Activity::None);
    let offers: Vec<&Action> = state.notices.iter().filter_map(|notice| notice.action.as_ref()).map(|offer| &*offer.action).collect();
    assert!(offers.contains(&&Action::Copy("Why not?".into())), "{offers:?}");
}

#[test]
fn every_deletion_can_be_undone_for_a_while() {
    let mut state = ready();
    let ids = ["one", "two", "three"].map(|text| begun(&mut state, text));
    for id in ids {
        // all of them are called "New chat"
        on_action(&mut state, Action::DeleteChat(id), now(3.0));
    }
    tick(&mut state, now(22.9));
    let offers: Vec<Action> =
        state.notices.iter().filter_map(|notice| notice.action.as_ref()).map(|offer| (*offer.action).clone()).collect();
    assert_eq!(offers, ids.map(Action::UndoDelete));
    for offer in offers {
        on_action(&mut state, offer, now(23.0));
    }
    assert!(ids.iter().all(|id| state.chats.get(*id).is_some()) && state.chats.deleted.is_empty());
}

#[test]
fn a_notice_that_only_tells_makes_room_for_one_that_undoes() {
    let mut state = ready();
    let ids = ["1", "2", "3", "4", "5"].map(|text| begun(&mut state, text));
    on_action(&mut state, Action::DeleteChat(ids[0]), now(3.0));
    on_answer(&mut state, Answer::Notice(crate::app::Severity::Info, "Saved".into()), now(3.0));
    for id in &ids[1..] {
        on_action(&mut state, Action::DeleteChat(*id), now(3.0));
    }
    assert_eq!(state.notices.iter().filter(|notice| notice.action.is_some()).count(), 5);
}
