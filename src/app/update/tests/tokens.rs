//! A reply token by token, and branches from its tokens.

use super::*;
use crate::protocol::{Alternative, PieceKind, Prompt, TokenProb};
use crate::store::{MessageId, encode_start, encode_tokens};

fn alternative(text: &str, p: f32) -> Alternative {
    Alternative { text: text.into(), p, kind: PieceKind::Text }
}

fn reply(state: &AppState) -> MessageId {
    *state.chats.open.as_ref().and_then(|open| open.branch.last()).expect("a reply")
}

/// A reply " By the sea" of three tokens that has ended; its tokens are shown.
fn looked_at() -> (AppState, MessageId) {
    let mut state = ready();
    let job = replying(&mut state);
    tokens(&mut state, " By the sea", 3);
    on_event(&mut state, Event::Generated { job, stats: stats(3) }, now(4.0));
    let message = reply(&state);
    let effects = on_action(&mut state, Action::ShowProbabilities(message), now(5.0));
    assert_eq!(effects, [Effect::ReadProbs(message, 0)]);
    let token = |bytes, p| TokenProb { bytes, p, top: vec![alternative(" a", 0.25), alternative(" the", 0.125)] };
    let mut data = Vec::new();
    encode_start(0, &mut data);
    encode_tokens(&[token(3, 1.0), token(4, 0.5), token(4, 0.25)], &mut data);
    on_answer(&mut state, Answer::Probs { message, after: 0, last: 1, data }, now(5.1));
    (state, message)
}

fn generate(effects: &[Effect]) -> &crate::protocol::GenerateRequest {
    let found =
        effects.iter().find_map(|effect| if let Effect::Send(Command::Generate { request, .. }) = effect { Some(request) } else { None });
    found.expect("a reply is asked for")
}

#[test]
fn replies_of_a_chat_are_asked_for_with_alternatives() {
    let mut state = ready();
    let effects = type_and_send(&mut state, "Why?");
    let effects = on_answer(&mut state, Answer::Saved(saved(&effects)), now(2.1));
    assert_eq!(generate(&effects).alternatives, crate::protocol::ALTERNATIVES);
    assert!(matches!(effects[0], Effect::BeginReply(_, _, 0)));
}

#[test]
fn another_token_makes_a_sibling_that_goes_on_from_exactly_there() {
    let (mut state, origin) = looked_at();
    assert_eq!(state.chats.open.as_ref().unwrap().tokens.as_ref().unwrap().table.len(), 3);
    let effects = on_action(&mut state, Action::BranchAt(origin, 3, Box::new(alternative(" a", 0.25))), now(6.0));
    let branch = reply(&state);
    assert_ne!(branch, origin);
    let open = state.chats.open.as_ref().unwrap();
    let (old, new) = (open.get(origin).unwrap(), open.get(branch).unwrap());
    assert_eq!((old.text.as_str(), new.text.as_str(), new.parent), (" By the sea", " By a", old.parent));
    let Prompt::Chat { messages } = &generate(&effects).prompt else { panic!("a chat") };
    assert_eq!(messages.last().map(|last| (last.role, last.text.as_str())), Some((Role::Assistant, " By a")));
    let part = &new.earlier()[0];
    let chosen = part.chosen.as_ref().unwrap();
    assert_eq!((part.end, chosen.text.as_str(), chosen.instead_of.as_str(), chosen.p), (5, " a", " the", 0.25));
    assert_eq!(part.made_by.as_ref().map(|made_by| made_by.quant.as_str()), Some("Q4_1"));
    // the reply is on its way to the disk, with what is known of the tokens it keeps, before anything is added to it
    let order: Vec<&str> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Save { ops, .. }
                if ops.iter().any(|op| matches!(op, Op::CopyProbs { from, to, up_to: 3, .. } if *from == origin && *to == branch)) =>
            {
                assert!(matches!(&ops[0], Op::PutMessage(message) if message.id == branch));
                Some("copy")
            }
            Effect::BeginReply(_, message, 5) if *message == branch => Some("begin"),
            Effect::ReadProbs(message, 0) if *message == branch => Some("read"),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["copy", "begin", "read"]);
    tokens(&mut state, " lake", 1);
    assert_eq!(shown(&state).last().map(|(_, text)| text.as_str()), Some(" By a lake"));
}

#[test]
fn only_text_is_put_into_a_reply_and_only_when_a_reply_can_be_asked_for() {
    let (mut state, origin) = looked_at();
    let end = Alternative { text: "<|im_end|>".into(), p: 0.5, kind: PieceKind::End };
    assert_eq!(on_action(&mut state, Action::BranchAt(origin, 3, Box::new(end)), now(6.0)), []);
    assert_eq!(reply(&state), origin);
    on_action(&mut state, Action::Regenerate(origin), now(6.0));
    let running = reply(&state);
    on_action(&mut state, Action::BranchAt(origin, 3, Box::new(alternative(" a", 0.25))), now(6.0));
    assert_eq!(reply(&state), running, "one reply at a time");
}

#[test]
fn a_branch_from_the_second_run_keeps_the_first() {
    let (mut state, origin) = looked_at();
    on_action(&mut state, Action::Continue(origin), now(6.0));
    tokens(&mut state, " again", 1);
    let job = running(&state);
    on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(7.0));
    on_action(&mut state, Action::BranchAt(origin, 11, Box::new(alternative(" a", 0.25))), now(8.0));
    let open = state.chats.open.as_ref().unwrap();
    let branch = open.get(*open.branch.last().unwrap()).unwrap();
    let parts: Vec<(usize, bool, bool)> =
        branch.earlier().iter().map(|part| (part.end, part.stats.is_some(), part.chosen.is_some())).collect();
    assert_eq!(parts, [(11, true, false), (13, false, true)]);
}

#[test]
fn what_streams_in_is_read_piece_by_piece_and_once_at_a_time() {
    let mut state = ready();
    let job = replying(&mut state);
    let message = reply(&state);
    on_action(&mut state, Action::ShowProbabilities(message), now(2.2));
    let reads = |effects: &[Effect]| effects.iter().filter(|effect| matches!(effect, Effect::ReadProbs(..))).count();
    let say = |state: &mut AppState, at: f64| {
        let batch = TokenBatch { text: "x".into(), n: 1, total: 1, ..TokenBatch::default() };
        on_event(state, Event::Tokens { job, batch }, now(at))
    };
    assert_eq!(reads(&say(&mut state, 2.3)), 0, "the first reading is out");
    on_answer(&mut state, Answer::Probs { message, after: 0, last: 2, data: Vec::new() }, now(2.4));
    assert_eq!(reads(&say(&mut state, 2.5)), 0, "it was read just now");
    let effects = say(&mut state, 2.8);
    assert!(effects.contains(&Effect::ReadProbs(message, 2)), "{effects:?}");
    let effects = on_event(&mut state, Event::Generated { job, stats: stats(1) }, now(2.9));
    assert_eq!(reads(&effects), 0, "one is out");
    let effects = on_answer(&mut state, Answer::Probs { message, after: 2, last: 3, data: Vec::new() }, now(3.0));
    assert_eq!(effects, [Effect::ReadProbs(message, 3)], "the rest follows");
    on_action(&mut state, Action::ShowProbabilities(message), now(3.1));
    assert!(state.chats.open.as_ref().unwrap().tokens.is_none(), "the text is shown again");
}
