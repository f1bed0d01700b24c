//! How full the context is said to be.

use super::*;
use crate::protocol::Rendered;

/// The count that is asked for, if one is.
fn counting(effects: &[Effect]) -> Option<JobId> {
    effects.iter().find_map(|effect| if let Effect::Send(Command::Render { job, .. }) = effect { Some(*job) } else { None })
}

fn counted(state: &mut AppState, job: JobId, tokens: u32) {
    let rendered = Rendered { n_tokens: tokens, last_tokens: tokens, ..Rendered::default() };
    on_event(state, Event::Rendered { job, rendered }, now(3.0));
}

#[test]
fn a_count_is_exact_until_the_draft_changes() {
    let mut state = ready();
    on_action(&mut state, Action::SetDraft("a question of some length".into()), now(2.0));
    assert!(!state.meter.is_exact && state.meter.draft > 0, "an estimate at once: {:?}", state.meter);
    let (effects, _) = tick(&mut state, now(2.4));
    let job = counting(&effects).expect("it is counted");
    // typed on while it is counted
    on_action(&mut state, Action::SetDraft("a question of some length, and more of it".into()), now(2.5));
    counted(&mut state, job, 40);
    assert!(!state.meter.is_exact, "what was counted is not what would be sent: {:?}", state.meter);
    let (effects, _) = tick(&mut state, now(2.9));
    counted(&mut state, counting(&effects).expect("it is counted again"), 50);
    assert_eq!((state.meter.is_exact, state.meter.draft), (true, 50));
    on_action(&mut state, Action::SetDraft(String::new()), now(3.0));
    assert_eq!((state.meter.is_exact, state.meter.draft), (false, 0));
}

#[test]
fn the_reserve_is_the_engines() {
    let mut state = ready();
    tick(&mut state, now(2.0));
    assert_eq!(state.meter.reserve, 1024);
    on_action(&mut state, Action::SetMaxTokens(9000), now(2.1));
    tick(&mut state, now(2.2));
    assert_eq!(state.meter.reserve, 2048, "half of 4096, as the engine has it");
}

#[test]
fn what_is_sent_is_no_draft_any_more() {
    let mut state = ready();
    replying(&mut state);
    assert!(state.meter.draft == 0 && state.meter.history > 0 && !state.meter.is_exact, "{:?}", state.meter);
}
