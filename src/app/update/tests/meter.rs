//! How full the context is said to be.

use super::*;
use crate::protocol::{Prompt, Rendered, Role};

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

/// The messages that are to be rendered, as role and text.
fn rendered(effects: &[Effect]) -> Vec<(Role, String)> {
    let messages = effects.iter().find_map(|effect| match effect {
        Effect::Send(Command::Render { prompt: Prompt::Chat { messages }, .. }) => Some(messages),
        _ => None,
    });
    messages.expect("a prompt is rendered").iter().map(|message| (message.role, message.text.clone())).collect()
}

#[test]
fn the_prompt_of_a_reply_is_what_was_sent_for_it() {
    let mut state = ready();
    on_action(&mut state, Action::SetSystem("Be brief".into()), now(1.5));
    let job = replying(&mut state);
    let first = state.generating().expect("a reply runs").message;
    on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(3.0));
    on_action(&mut state, Action::SetSystem("Be long".into()), now(4.0));
    on_action(&mut state, Action::SetDraft("something else".into()), now(4.0));
    let effects = on_action(&mut state, Action::ShowPromptOf(first), now(5.0));
    let sent = rendered(&effects);
    assert_eq!(sent.len(), 2, "neither the reply nor the draft: {sent:?}");
    assert_eq!((sent[0].0, sent[0].1.as_str(), sent[1].0), (Role::System, "Be brief", Role::User));
    let Dialog::Prompt(view) = &state.dialog else { panic!("it is shown") };
    assert_eq!(view.of_reply, Some(Vec::new()), "nothing has to be said about it");

    // of a reply that was gone on with, what it was gone on with is part of the prompt
    state.dialog = Dialog::None;
    if let Some(reply) = state.chats.open.as_mut().and_then(|open| open.messages.get_mut(&first)) {
        reply.text = "Half".into();
        let made_by = reply.provenance.clone();
        reply.begin_part(made_by);
        reply.text.push_str(" done");
        if let Some(made_by) = &mut reply.provenance {
            (made_by.system, made_by.model) = (None, "Another".into());
        }
    }
    let effects = on_action(&mut state, Action::ShowPromptOf(first), now(6.0));
    let sent = rendered(&effects);
    assert_eq!(sent.last().map(|(role, text)| (*role, text.as_str())), Some((Role::Assistant, "Half")));
    assert_eq!(sent[0].1, "Be long", "the chat's own where none was noted");
    let Dialog::Prompt(view) = &state.dialog else { panic!("it is shown") };
    let notes = view.of_reply.as_deref().unwrap_or_default();
    assert!(notes.len() == 2 && notes[1].starts_with("Another made this reply"), "{notes:?}");
}
