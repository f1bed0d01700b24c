//! A comparison on prompts: the reference answers them, then all read what it said.

use super::quality::{ask, comparison, hear, with_ladder};
use super::*;
use crate::app::QualityAction;
use crate::app::quality::{PROMPTS_NAME, Phase, TextSource};
use crate::protocol::{Prompt, QualityPlan, QualityText};

fn asks(effects: &[Effect]) -> Vec<(String, u32)> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::Quality(command) => match &**command {
            Command::Generate { request, .. } => match &request.prompt {
                Prompt::Chat { messages } => Some((messages.first()?.text.clone(), request.max_tokens)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    asked.collect()
}

fn read(effects: &[Effect]) -> Option<QualityPlan> {
    effects.iter().find_map(|effect| match effect {
        Effect::Quality(command) => match &**command {
            Command::Quality { plan, .. } => Some((**plan).clone()),
            _ => None,
        },
        _ => None,
    })
}

fn with_prompts() -> AppState {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::SavePrompts(" Support ".into(), vec!["How?".into(), "Why?".into()]));
    ask(&mut state, QualityAction::SetAnswerTokens(64));
    state
}

#[test]
fn the_reference_answers_before_all_read_what_it_said() {
    let mut state = with_prompts();
    assert_eq!(state.quality.setup.source, TextSource::Prompts("Support".into()));
    let effects = ask(&mut state, QualityAction::Measure);
    assert!(matches!(effects.as_slice(), [Effect::Quality(command)] if matches!(&**command, Command::Load { .. })), "{effects:?}");
    assert_eq!((comparison(&state).text_name.as_str(), comparison(&state).prompts.len()), ("Support", 2));
    let job = comparison(&state).job;
    let mut effects = hear(&mut state, Event::Loaded { job, report: report("x", "F16") }, 6.0);
    let mut asked = Vec::new();
    for answer in ["So.", "Because "] {
        asked.extend(asks(&effects));
        let job = comparison(&state).job;
        for piece in answer.split_inclusive('e') {
            hear(&mut state, Event::Tokens { job, batch: TokenBatch { text: piece.into(), ..TokenBatch::default() } }, 6.5);
        }
        effects = hear(&mut state, Event::Generated { job, stats: stats(3) }, 7.0);
    }
    assert_eq!(asked, [("How?".into(), 64), ("Why?".into(), 64)]);
    let plan = read(&effects).expect("a comparison");
    let QualityText::Chats(chats) = &plan.text else { panic!("{:?}", plan.text) };
    let said: Vec<Vec<(Role, &str)>> = chats.iter().map(|chat| chat.iter().map(|m| (m.role, m.text.as_str())).collect()).collect();
    let chat = |asked, said| vec![(Role::User, asked), (Role::Assistant, said)];
    assert_eq!(said, [chat("How?", "So."), chat("Why?", "Because ")]);
    assert_eq!(comparison(&state).phase, Phase::Reading);
    assert_eq!(plan.reference.model, PathBuf::from("a-F16.gguf"));
}

#[test]
fn stopped_or_failed_while_it_answers_nothing_is_made_up() {
    let mut state = with_prompts();
    ask(&mut state, QualityAction::Measure);
    let job = comparison(&state).job;
    ask(&mut state, QualityAction::Stop);
    hear(&mut state, Event::Loaded { job, report: report("x", "F16") }, 6.0);
    assert!(state.quality.comparison.is_none(), "back to setting it up");
    ask(&mut state, QualityAction::Measure);
    let job = comparison(&state).job;
    hear(&mut state, Event::Failed { job, error: EngineError::new(ErrorKind::OutOfMemory, "It does not fit") }, 6.0);
    assert!(!comparison(&state).is_running() && comparison(&state).error.is_some());
}

#[test]
fn a_reference_that_says_nothing_is_no_reference() {
    let mut state = with_prompts();
    ask(&mut state, QualityAction::Measure);
    let job = comparison(&state).job;
    hear(&mut state, Event::Loaded { job, report: report("x", "F16") }, 6.0);
    for _ in 0..2 {
        let job = comparison(&state).job;
        hear(&mut state, Event::Generated { job, stats: stats(0) }, 7.0);
    }
    let ended = comparison(&state);
    assert!(!ended.is_running() && ended.error.as_ref().is_some_and(|error| error.message.contains("F16 answered no prompt")));
}

#[test]
fn sets_are_kept_replaced_and_come_back_when_they_were_deleted() {
    let mut state = with_prompts();
    let hash = |state: &AppState| state.quality_text().map(|(name, text)| (name, text.hash.to_string()));
    let first = hash(&state);
    ask(&mut state, QualityAction::SavePrompts("Support".into(), vec!["When?".into()]));
    assert_eq!(state.settings.prompt_sets.len(), 1);
    assert_ne!(hash(&state), first, "other prompts are another text");
    ask(&mut state, QualityAction::SavePrompts("  ".into(), vec!["x".into()]));
    ask(&mut state, QualityAction::DeletePrompts("Support".into()));
    assert_eq!((state.settings.prompt_sets.len(), hash(&state).map(|found| found.0)), (0, Ok(PROMPTS_NAME.to_owned())));
    let undo = state.notices.iter().find_map(|notice| notice.action.clone()).expect("it can be undone");
    on_action(&mut state, *undo.action, now(6.0));
    assert_eq!((state.settings.prompt_sets[0].prompts.clone(), state.why_no_comparison()), (vec!["When?".to_owned()], None));
    // longer answers are another text
    let before = hash(&state);
    ask(&mut state, QualityAction::SetAnswerTokens(256));
    assert_ne!(hash(&state), before);
}
