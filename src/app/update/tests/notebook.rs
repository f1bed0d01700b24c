//! A notebook: one text that is gone on with.

use super::*;

/// A notebook in which " there" is being made of "Once".
fn continuing() -> (AppState, JobId) {
    let mut state = ready();
    on_action(&mut state, Action::NewNotebook, now(2.0));
    on_action(&mut state, Action::SetDraft("Once".into()), now(2.0));
    let effects = on_action(&mut state, Action::Send, now(2.0));
    let effects = on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    assert_eq!(prompt(&effects), "Once");
    tokens(&mut state, " there", 1);
    let job = running(&state);
    (state, job)
}

fn prompt(effects: &[Effect]) -> &str {
    let prompt = effects.iter().find_map(|effect| match effect {
        Effect::Send(Command::Generate { request, .. }) => Some(&request.prompt),
        _ => None,
    });
    let Some(crate::protocol::Prompt::Raw { text }) = prompt else { panic!("{effects:?}") };
    text
}

fn draft(state: &AppState) -> &str {
    state.chats.current().map_or("", |chat| chat.draft.as_str())
}

#[test]
fn what_is_made_is_added_once_however_often_it_is_gone_on_with() {
    let (mut state, job) = continuing();
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.0));
    assert_eq!(draft(&state), "Once there");
    let reply = *state.chats.open.as_ref().and_then(|open| open.branch.last()).expect("a reply");
    for (word, whole) in [(" was", "Once there was"), (" a", "Once there was a")] {
        let before = draft(&state).to_owned();
        let effects = on_action(&mut state, Action::Continue(reply), now(4.0));
        assert_eq!(prompt(&effects), before);
        tokens(&mut state, word, 1);
        let job = running(&state);
        on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(5.0));
        assert_eq!(draft(&state), whole);
    }
}

#[test]
fn a_switch_in_the_middle_adds_each_part_once() {
    let (mut state, job) = continuing();
    let effects = on_action(&mut state, Action::OpenModel("a-Q8_0.gguf".into()), now(3.0));
    inspected(&mut state, &effects, true);
    on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.1));
    // what stands there is what is gone on with, even if it was changed meanwhile
    on_action(&mut state, Action::SetDraft("Once upon a time".into()), now(3.2));
    let loading = state.loading().expect("a load runs").job;
    let effects = on_event(&mut state, Event::Loaded { job: loading, report: report("a-Q8_0.gguf", "Q8_0") }, now(3.5));
    assert_eq!(prompt(&effects), "Once upon a time");
    tokens(&mut state, " there was", 1);
    let job = running(&state);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(4.0));
    assert_eq!(draft(&state), "Once upon a time there was");
}

#[test]
fn going_on_after_a_crash_adds_the_rest_once() {
    let (mut state, job) = continuing();
    let error = EngineError::new(ErrorKind::Killed, "The engine was ended by the system");
    on_event(&mut state, Event::Died { jobs: vec![job], error }, now(3.0));
    assert_eq!(draft(&state), "Once there");
    on_event(&mut state, Event::Hello { version: 1, pid: 8, facts: EngineFacts::default() }, now(3.5));
    let effects = on_action(&mut state, Action::Recover, now(4.0));
    finish_load(&mut state, effects, "a-Q4_1.gguf", "Q4_1");
    tokens(&mut state, " was", 1);
    let job = running(&state);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(5.0));
    assert_eq!(draft(&state), "Once there was");
}
