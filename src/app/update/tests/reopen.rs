//! A comparison that was kept is shown again, with its tokens.

use super::quality::{ask, comparison, hear, kept_runs, with_ladder};
use super::*;
use crate::app::{Page, QualityAction, QualityForm};
use crate::protocol::{Run, RunId, Workload};
use crate::store::{Op, RunHead};

/// A state after a restart that has read the heads of these runs.
fn restarted(runs: &[Run]) -> AppState {
    let mut state = with_ladder();
    let mut heads: Vec<RunHead> = runs.iter().map(RunHead::of).collect();
    heads.reverse();
    on_answer(&mut state, Answer::Runs(heads), now(5.0));
    state
}

/// Two candidates of one comparison, and one of another text.
fn two_and_one() -> Vec<Run> {
    let first = kept_runs(&mut with_ladder()).pop().expect("a run");
    let mut second = Run { id: RunId(2), ..first.clone() };
    second.environment.quant = "Q4_1".into();
    second.design.model = "a-Q4_1.gguf".into();
    let mut other = Run { id: RunId(3), group: String::new(), ..first.clone() };
    if let Workload::Quality { text, text_hash, .. } = &mut other.workload {
        (*text, *text_hash) = ("notes.txt".into(), "other".into());
    }
    vec![first, second, other]
}

#[test]
fn what_was_compared_together_is_offered_together_the_latest_first() {
    let mut state = restarted(&two_and_one());
    let kept = state.quality_kept();
    let offered: Vec<_> = kept.iter().map(|kept| (kept.runs.clone(), kept.names.join(" "), kept.text.as_str())).collect();
    let (together, alone) = (vec![RunId(1), RunId(2)], vec![RunId(3)]);
    assert_eq!(
        offered,
        [
            (alone.clone(), "Q8_0".to_owned(), "notes.txt, chunks of 512"),
            (together.clone(), "Q8_0 Q4_1".to_owned(), "the evaluation text, chunks of 512"),
        ]
    );
    assert_eq!((state.quality_siblings(RunId(2)), state.quality_siblings(RunId(3))), (together, alone));
    on_action(&mut state, Action::DeleteRuns(vec![RunId(1), RunId(3)]), now(6.0));
    assert_eq!(state.quality_kept().iter().map(|kept| kept.runs.clone()).collect::<Vec<_>>(), [[RunId(2)]]);
}

#[test]
fn a_run_opens_its_comparison_at_its_own_candidate() {
    let runs = two_and_one();
    let mut state = restarted(&runs);
    let effects = ask(&mut state, QualityAction::OpenOf(RunId(2)));
    assert!(effects.contains(&Effect::ReadTokens(vec![RunId(1), RunId(2)])));
    on_answer(&mut state, Answer::TokensRead(runs[..2].to_vec()), now(5.1));
    assert_eq!((comparison(&state).candidates.len(), state.quality.shown), (2, 1));
    // from the list of comparisons, the first
    ask(&mut state, QualityAction::Open(vec![RunId(1), RunId(2)]));
    on_answer(&mut state, Answer::TokensRead(runs[..2].to_vec()), now(5.2));
    assert_eq!(state.quality.shown, 0);
}

#[test]
fn a_kept_comparison_comes_back_with_its_figures_and_its_tokens() {
    let mut before = with_ladder();
    let mut runs = kept_runs(&mut before);
    let measured = comparison(&before);
    let mut state = restarted(&runs);
    state.page = Page::Runs;
    let effects = ask(&mut state, QualityAction::Open(vec![RunId(1)]));
    assert!(effects.contains(&Effect::ReadTokens(vec![RunId(1)])) && state.page == Page::Quality);
    on_answer(&mut state, Answer::TokensRead(runs.clone()), now(5.1));
    let shown = comparison(&state);
    assert!(shown.is_kept && !shown.is_running() && !shown.is_partial && shown.has_results());
    assert_eq!((shown.reference_name.as_str(), shown.text_name.as_str()), ("F16", "the evaluation text"));
    assert_eq!((&shown.layout, &shown.text_hash, shown.seconds), (&measured.layout, &measured.text_hash, measured.seconds));
    let (was, is) = (&measured.candidates[0], &shown.candidates[0]);
    assert_eq!((&is.name, &is.scores, is.running, is.summary), (&was.name, &was.scores, was.running, was.summary));
    assert_eq!((is.score(25), is.score(5)), (was.score(25), None), "each at its place in the text");
    assert_eq!(shown.names.get(&0).map(String::as_str), Some("word"));
    // what can be done with a fresh one can be done with it
    assert!(matches!(ask(&mut state, QualityAction::Export(QualityForm::Tokens)).as_slice(), [Effect::SaveText { .. }]));
    ask(&mut state, QualityAction::Worst(1));
    assert!(state.quality.selected.is_some());
    assert!(!state.quality_ladder().is_empty());

    // an older version kept no tokens: the figures are shown
    runs[0].tokens = None;
    ask(&mut state, QualityAction::Open(vec![RunId(1)]));
    on_answer(&mut state, Answer::TokensRead(runs.clone()), now(5.2));
    let shown = &comparison(&state).candidates[0];
    assert!(shown.scores.is_empty() && shown.summary.is_some());
    assert!(!ask(&mut state, QualityAction::Export(QualityForm::Tokens)).iter().any(|effect| matches!(effect, Effect::SaveText { .. })));

    // what is gone is said, and what is on screen stays
    ask(&mut state, QualityAction::Open(vec![RunId(1)]));
    on_answer(&mut state, Answer::TokensRead(Vec::new()), now(5.3));
    assert!(comparison(&state).has_results() && state.notices.iter().any(|notice| notice.text.contains("cannot be shown")));
}

#[test]
fn greedy_answers_are_added_to_the_run_however_late_they_are_compared() {
    let mut state = with_ladder();
    let runs = kept_runs(&mut state);
    let seq = comparison(&state).candidates[0].keeping.expect("it is being kept");
    on_answer(&mut state, Answer::RunKept(seq, Box::new(RunHead::of(&runs[0]))), now(9.5));
    assert_eq!(comparison(&state).candidates[0].run, Some(RunId(1)));
    let answered = |state: &mut AppState| -> Vec<Op> {
        let mut effects = ask(state, QualityAction::MeasureAnswers);
        let mut ops = Vec::new();
        while !effects.is_empty() {
            let mut next = Vec::new();
            for effect in effects {
                next.extend(match effect {
                    Effect::Save { ops: saved, .. } => {
                        ops.extend(saved);
                        Vec::new()
                    }
                    Effect::Quality(command) => match *command {
                        Command::Load { job, .. } => hear(state, Event::Loaded { job, report: report("x", "F16") }, 10.0),
                        Command::Generate { job, .. } => hear(state, Event::Generated { job, stats: stats(4) }, 10.5),
                        other => panic!("{other:?}"),
                    },
                    _ => Vec::new(),
                });
            }
            effects = next;
        }
        ops
    };
    for _ in 0..2 {
        let ops = answered(&mut state);
        let [Op::SetRunExtra { id: RunId(1), key, value }] = ops.as_slice() else { panic!("{ops:?}") };
        assert_eq!((key.as_str(), value["agreement"].as_array().map(Vec::len)), ("quality", Some(3)));
        assert_eq!(value["tokens"], 20);
        // the same of a comparison that was read back
        state = restarted(&runs);
        ask(&mut state, QualityAction::Open(vec![RunId(1)]));
        on_answer(&mut state, Answer::TokensRead(runs.clone()), now(5.1));
    }
}
