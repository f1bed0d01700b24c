//! A comparison from setting it up to its export.

use super::*;
use crate::app::quality::{Comparison, Content, HeatBy, Phase, Point, TextSource, Variant, missing};
use crate::app::{Page, QualityAction, QualityForm};
use crate::library::{Family, Rung, RungState};
use crate::protocol::{
    CacheType, FlashAttention, Metric, QualityBatch, QualityLayout, QualityPlan, QualityText, Run, RunId, Stage, TOP, TokenScore,
};
use crate::store::RunHead;

fn rung(quant: &str, size: u64) -> Rung {
    let state = RungState::OnDisk { path: format!("a-{quant}.gguf").into(), size, bpw: 8.0, alternates: Vec::new() };
    Rung { quant: quant.into(), usual: true, note: String::new(), state }
}

/// A ladder of three on disk, Q4_1 loaded.
pub(super) fn with_ladder() -> AppState {
    let mut state = ready();
    state.library.families = vec![Family {
        key: "a".into(),
        name: "A".into(),
        arch: "llama".into(),
        n_params: 1,
        n_layer: 1,
        n_ctx_train: 4096,
        rungs: vec![rung("F16", 300), rung("Q8_0", 160), rung("Q4_1", 90)],
    }];
    state.page = Page::Quality;
    state
}

pub(super) fn ask(state: &mut AppState, action: QualityAction) -> Vec<Effect> {
    on_action(state, Action::Quality(action), now(5.0))
}

fn plan(effects: &[Effect]) -> QualityPlan {
    let plan = effects.iter().find_map(|effect| match effect {
        Effect::Quality(command) => match &**command {
            Command::Quality { plan, .. } => Some((**plan).clone()),
            _ => None,
        },
        _ => None,
    });
    plan.expect("a comparison is asked for")
}

pub(super) fn comparison(state: &AppState) -> &Comparison {
    state.quality.comparison.as_ref().expect("there is a comparison")
}

fn score(kld: f32) -> TokenScore {
    let top = [(0, 0.5); TOP];
    TokenScore {
        nll_ref: 1.0,
        nll_cand: 1.0 + kld,
        kld,
        delta_p: -kld / 2.0,
        same_top: kld < 0.3,
        rank_ref: 1,
        rank_cand: 1 + (kld * 10.0) as u32,
        top_ref: top,
        top_cand: top,
    }
}

pub(super) fn hear(state: &mut AppState, event: Event, at: f64) -> Vec<Effect> {
    on_quality_event(state, event, now(at))
}

/// The engine reads 40 tokens and scores the second half for the first candidate.
fn score_some(state: &mut AppState) {
    let job = comparison(state).job;
    let layout = QualityLayout {
        text: "word ".repeat(40),
        ends: (1..=40).map(|i| i * 5).collect(),
        n_ctx: 512,
        chunks: 1,
        scored: 20,
        side_by_side: true,
    };
    hear(state, Event::QualityLayout { job, layout: Box::new(layout) }, 6.0);
    hear(state, Event::Progress { job, stage: Stage::Quality, done: 10, total: 110 }, 6.0);
    let scores = (0..20).map(|i| score(i as f32 * 0.05)).collect();
    let batch = QualityBatch { candidate: 0, first: 20, scores, names: vec![(0, "word".into())] };
    hear(state, Event::QualityScores { job, batch }, 7.0);
    hear(state, Event::Progress { job, stage: Stage::Quality, done: 60, total: 110 }, 8.0);
}

#[test]
fn the_rung_that_answers_is_compared_with_the_largest_on_the_text_that_ships() {
    let mut state = with_ladder();
    let effects = ask(&mut state, QualityAction::Measure);
    let plan = plan(&effects);
    assert_eq!(plan.reference.model, PathBuf::from("a-F16.gguf"));
    assert_eq!(plan.candidates.iter().map(|design| design.model.clone()).collect::<Vec<_>>(), [PathBuf::from("a-Q4_1.gguf")]);
    assert!(matches!(&plan.text, QualityText::Plain(text) if text.len() > 10_000));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send(_))), "the chat's engine is left alone");
    assert!(state.can_generate(), "and can answer meanwhile");
    assert!(state.why_no_comparison().is_some(), "one at a time");
}

#[test]
fn caches_and_flash_attention_are_designs_like_rungs() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::ToggleVariant(Variant::Cache(CacheType::Q4_0)));
    ask(&mut state, QualityAction::ToggleVariant(Variant::NoFlash));
    ask(&mut state, QualityAction::ToggleRung("a-F16.gguf".into()));
    let names: Vec<String> = state.quality_candidates().into_iter().map(|candidate| candidate.name).collect();
    assert_eq!(
        names,
        ["F16, KV q4_0", "F16, flash attention off", "Q4_1", "Q4_1, KV q4_0", "Q4_1, flash attention off"],
        "the reference against itself is left out"
    );
    let candidates = state.quality_candidates();
    assert_eq!((candidates[0].design.type_k, candidates[0].design.flash_attention), (CacheType::Q4_0, FlashAttention::On));
    for path in ["a-F16.gguf", "a-Q4_1.gguf"] {
        ask(&mut state, QualityAction::ToggleRung(path.into()));
    }
    assert!(state.why_no_comparison().is_some_and(|why| why.contains("at least one")));
}

#[test]
fn what_was_measured_stays_when_it_is_stopped_and_when_the_engine_dies() {
    for died in [false, true] {
        let mut state = with_ladder();
        ask(&mut state, QualityAction::Measure);
        score_some(&mut state);
        let running = comparison(&state);
        assert_eq!(running.seconds_left(8.0), Some(2.0), "50 tokens took 2 s, 50 are left");
        assert_eq!(running.candidates[0].running.map(|running| running.tokens), Some(20));
        let job = running.job;
        let effects = if died {
            let error = EngineError::new(ErrorKind::Killed, "The engine was killed");
            hear(&mut state, Event::Died { jobs: vec![job], error }, 9.0)
        } else {
            let effects = on_action(&mut state, Action::Stop, now(8.5));
            assert_eq!(effects, [Effect::Quality(Box::new(Command::Cancel { job }))]);
            assert!(comparison(&state).stopping);
            hear(&mut state, Event::Failed { job, error: EngineError::cancelled() }, 9.0)
        };
        let kept = |run: &Run| run.extra.contains_key("quality") && run.samples.contains_key(&Metric::Kld) && !run.reasons.is_empty();
        assert!(matches!(effects.as_slice(), [Effect::EndQuality, Effect::KeepRun { run, .. }] if kept(run)), "{effects:?}");
        let ended = comparison(&state);
        assert!(!ended.is_running() && ended.is_partial && ended.error.is_some() == died);
        assert!(ended.candidates[0].summary.is_some_and(|summary| summary.running.tokens == 20));
        assert_eq!(ended.seconds, Some(4.0));
        assert_eq!(state.quality.points.len(), 1);
        hear(&mut state, Event::Progress { job, stage: Stage::Quality, done: 110, total: 110 }, 10.0);
        assert_eq!(comparison(&state).progress.0, 60, "nothing is taken in after the end");
    }
}

#[test]
fn a_comparison_that_was_stopped_before_it_measured_anything_leaves_the_set_up() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    let job = comparison(&state).job;
    ask(&mut state, QualityAction::Stop);
    hear(&mut state, Event::Failed { job, error: EngineError::cancelled() }, 6.0);
    assert!(state.quality.comparison.is_none());
}

#[test]
fn what_cannot_be_compared_is_said_and_nothing_is_lost() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    let job = comparison(&state).job;
    let error = EngineError::new(ErrorKind::InvalidRequest, "The vocabularies differ: gpt2 in the reference, llama in the candidate");
    hear(&mut state, Event::Failed { job, error: error.clone() }, 6.0);
    assert_eq!(comparison(&state).error, Some(error));
    assert!(!comparison(&state).has_results());
}

#[test]
fn the_worst_tokens_are_found_in_order_and_the_filter_holds() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    score_some(&mut state);
    ask(&mut state, QualityAction::Worst(1));
    assert_eq!(state.quality.selected, Some(39));
    ask(&mut state, QualityAction::Worst(1));
    ask(&mut state, QualityAction::Worst(1));
    assert_eq!(state.quality.selected, Some(37));
    ask(&mut state, QualityAction::Worst(-1));
    assert_eq!(state.quality.selected, Some(38));
    ask(&mut state, QualityAction::SetHeat(HeatBy::Kld));
    ask(&mut state, QualityAction::SetFromLevel(3));
    // levels 3 and 4 begin at 0.5 nats: tokens 30 to 39
    (0..30).for_each(|_| drop(ask(&mut state, QualityAction::Worst(1))));
    assert_eq!(state.quality.selected, Some(30));
}

#[test]
fn a_file_and_a_chat_are_read_before_they_are_compared() {
    let mut state = with_ladder();
    let effects = ask(&mut state, QualityAction::UseFile("/tmp/brief.md".into()));
    assert_eq!(effects, [Effect::ReadText("/tmp/brief.md".into())]);
    assert!(state.why_no_comparison().is_some());
    let stale = Answer::Text("/tmp/other".into(), Box::new(Ok("other".into())));
    on_answer(&mut state, stale, now(5.0));
    assert!(state.quality.setup.content.is_none(), "another file's answer is not taken");
    let error = EngineError::new(ErrorKind::InvalidRequest, "The text is empty");
    on_answer(&mut state, Answer::Text("/tmp/brief.md".into(), Box::new(Err(error))), now(5.0));
    assert!(state.why_no_comparison().is_some_and(|why| why.contains("empty")));
    on_answer(&mut state, Answer::Text("/tmp/brief.md".into(), Box::new(Ok("Some words".into()))), now(5.0));
    assert_eq!(state.why_no_comparison(), None);
    assert_eq!(plan(&ask(&mut state, QualityAction::Measure)).text, QualityText::Plain("Some words".into()));
    assert_eq!(comparison(&state).text_name, "brief.md");

    let mut state = with_ladder();
    let job = replying(&mut state);
    on_event(&mut state, Event::Tokens { job, batch: TokenBatch { text: "Because.".into(), ..TokenBatch::default() } }, now(3.0));
    on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(3.0));
    let open = state.chats.open.clone().expect("a chat is open");
    let effects = ask(&mut state, QualityAction::UseChat(open.id));
    assert_eq!(effects, [Effect::ReadChat(open.id)]);
    on_answer(&mut state, Answer::Messages(open.id, open.messages.values().cloned().collect()), now(5.0));
    assert_eq!(state.quality.setup.source, TextSource::Chat(open.id));
    let QualityText::Chat(messages) = plan(&ask(&mut state, QualityAction::Measure)).text else { panic!("a conversation is compared") };
    assert_eq!(messages.iter().map(|message| message.role).collect::<Vec<_>>(), [Role::User, Role::Assistant]);
    assert_eq!(comparison(&state).prompts, ["Why?"]);
    assert_eq!(state.decode_speed("a-Q4_1.gguf".as_ref(), Variant::Usual), Some(100.0), "the reply's speed is known to the ladder");
}

#[test]
fn greedy_answers_are_asked_of_both_sides_in_turn() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    score_some(&mut state);
    let job = comparison(&state).job;
    hear(&mut state, Event::Done { job }, 9.0);
    let mut effects = ask(&mut state, QualityAction::MeasureAnswers);
    let (mut loads, mut asks) = (Vec::new(), 0);
    for _ in 0..20 {
        let Some(Effect::Quality(command)) = effects.pop() else { break };
        effects = match *command {
            Command::Load { job, request } => {
                loads.push(request.design.model.clone());
                hear(&mut state, Event::Loaded { job, report: report("x", "F16") }, 10.0)
            }
            Command::Generate { job, request } => {
                assert!(request.want_token_ids && request.sampler.temperature == Some(0.0));
                asks += 1;
                let differs = loads.len() == 2 && asks % 3 == 0;
                let tokens = if differs { vec![1, 2, 9] } else { vec![1, 2, 3] };
                hear(&mut state, Event::Generated { job, stats: Box::new(GenerateStats { tokens, ..*stats(3) }) }, 10.0)
            }
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(loads, [PathBuf::from("a-F16.gguf"), PathBuf::from("a-Q4_1.gguf")]);
    assert_eq!((asks, comparison(&state).phase.clone()), (6, Phase::Ended));
    let same: Vec<usize> = comparison(&state).candidates[0].agreement.iter().map(|agreement| agreement.same).collect();
    assert_eq!(same, [3, 3, 2]);
}

#[test]
fn the_ladder_knows_what_was_measured_and_what_was_not() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    score_some(&mut state);
    let job = comparison(&state).job;
    hear(&mut state, Event::Done { job }, 9.0);
    let of = |state: &AppState| {
        state.quality_ladder().into_iter().map(|point| (point.name, point.kld.map(|kld| kld.value > 0.0))).collect::<Vec<_>>()
    };
    assert_eq!(of(&state), [("F16".to_owned(), Some(false)), ("Q8_0".to_owned(), None), ("Q4_1".to_owned(), Some(true))]);
    assert_eq!(missing(&state.quality_ladder()), 1);
    let plan = plan(&ask(&mut state, QualityAction::MeasureLadder));
    assert_eq!(plan.candidates.len(), 2);
    assert_eq!(of(&state)[2].1, Some(true), "what was measured on this text stays while more is");
}

#[test]
fn a_result_is_exported_in_every_form() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::Measure);
    assert_eq!(ask(&mut state, QualityAction::Export(QualityForm::Csv)), [], "there is nothing yet");
    score_some(&mut state);
    let job = comparison(&state).job;
    hear(&mut state, Event::Done { job }, 9.0);
    for (form, name, word) in [
        (QualityForm::Csv, "inferscope-quality-the-evaluation-text.csv", "Q4_1"),
        (QualityForm::Json, "inferscope-quality-the-evaluation-text.json", "\"kld\""),
        (QualityForm::Markdown, "inferscope-quality-the-evaluation-text.md", "against F16"),
        (QualityForm::Ladder, "inferscope-quality-the-evaluation-text-ladder.csv", "\"Q4_1\",90,0.475"),
        (QualityForm::Tokens, "inferscope-quality-the-evaluation-text-Q4_1-tokens.csv", "39,"),
    ] {
        match ask(&mut state, QualityAction::Export(form)).as_slice() {
            [Effect::SaveText { name: given, text }] => assert!(given == name && text.contains(word), "{given}: {text}"),
            other => panic!("{form:?}: {other:?}"),
        }
    }
}

#[test]
fn what_was_pasted_is_checked_once_and_shared() {
    let mut state = with_ladder();
    ask(&mut state, QualityAction::UsePasted);
    assert_eq!(state.why_no_comparison().as_deref(), Some("Paste a text first"));
    ask(&mut state, QualityAction::SetPasted("with a NUL \0".into()));
    assert!(state.why_no_comparison().is_some_and(|why| why.contains("NUL")));
    ask(&mut state, QualityAction::SetPasted("Some words. ".repeat(500_000)));
    let words = |state: &AppState| match state.quality_text().expect("a text").1.content {
        Content::Plain(words) => words,
        _ => panic!("a text was pasted"),
    };
    let first = words(&state);
    assert!(std::sync::Arc::ptr_eq(&first, &words(&state)), "a frame neither checks nor copies six megabytes");
    ask(&mut state, QualityAction::SetPasted("Other words".into()));
    assert_eq!(&*words(&state), "Other words");
}

/// Runs as the store gives them back after a restart.
pub(super) fn kept_runs(state: &mut AppState) -> Vec<Run> {
    ask(state, QualityAction::MeasureLadder);
    score_some(state);
    let job = comparison(state).job;
    let effects = hear(state, Event::Done { job }, 9.0);
    let runs = effects.into_iter().filter_map(|effect| if let Effect::KeepRun { run, .. } = effect { Some(*run) } else { None });
    (1..).zip(runs).map(|(id, run)| Run { id: RunId(id), ..run }).collect()
}

fn point(state: &AppState, name: &str) -> Option<Point> {
    state.quality_ladder().into_iter().find(|point| point.name == name)
}

#[test]
fn what_was_measured_before_a_restart_is_there_when_the_page_is_opened() {
    let runs = kept_runs(&mut with_ladder());
    assert_eq!(runs.len(), 1, "the first candidate was scored");
    let mut state = with_ladder();
    let effects = on_action(&mut state, Action::Navigate(Page::Quality), now(5.0));
    assert!(effects.contains(&Effect::ReadRuns));
    let heads = || runs.iter().map(RunHead::of).collect::<Vec<_>>();
    let effects = on_answer(&mut state, Answer::Runs(heads()), now(5.0));
    assert_eq!(effects, [Effect::ReadWholeRuns(vec![RunId(1)])]);
    assert_eq!(on_answer(&mut state, Answer::Runs(heads()), now(5.0)), [], "once");
    assert_eq!(point(&state, "Q8_0").and_then(|point| point.kld), None, "the frame did not wait for it");
    on_answer(&mut state, Answer::RunsRead(runs.clone()), now(5.0));
    let found = point(&state, "Q8_0").expect("a rung");
    assert_eq!((found.kld.map(|kld| kld.value > 0.4), found.measured), (Some(true), Some((5000, 20))));
    assert_eq!(missing(&state.quality_ladder()), 1, "Q4_1 is still missing");
    assert!(state.history.whole.is_empty(), "nobody looks at the run itself");
    // of another text, another chunk, another reference, nothing is known
    ask(&mut state, QualityAction::SetChunk(256));
    assert_eq!(point(&state, "Q8_0").and_then(|point| point.kld), None);
    ask(&mut state, QualityAction::SetChunk(512));
    ask(&mut state, QualityAction::SetPasted("Other words".into()));
    assert_eq!(point(&state, "Q8_0").and_then(|point| point.kld), None);
    ask(&mut state, QualityAction::UseBuiltin);
    ask(&mut state, QualityAction::SetReference("a-Q4_1.gguf".into()));
    assert_eq!(point(&state, "Q8_0").and_then(|point| point.kld), None);
    ask(&mut state, QualityAction::SetReference("a-F16.gguf".into()));
    assert!(point(&state, "Q8_0").is_some_and(|point| point.kld.is_some()));
    // what is deleted is not known any more
    on_action(&mut state, Action::DeleteRuns(vec![RunId(1)]), now(6.0));
    assert_eq!(point(&state, "Q8_0").and_then(|point| point.kld), None);
}

#[test]
fn variants_have_the_speed_of_their_own_runs() {
    let cache = Variant::Cache(CacheType::Q4_0);
    let mut state = with_ladder();
    let speed = |id: i64, design: Design, tps: f64, depth: u32| {
        let test = crate::protocol::BenchTest { n_prompt: 0, n_gen: 128, n_depth: depth };
        let mut run = Run::new(design, crate::protocol::Workload::Bench { test }, id);
        run.id = RunId(id);
        (run.environment.model, run.environment.quant) = ("A".into(), "Q4_1".into());
        run.samples.insert(Metric::DecodeTps, vec![tps]);
        RunHead::of(&run)
    };
    let design = Design::for_model("a-Q4_1.gguf");
    let threads = |n: u32| Design { n_ctx: 1024, threads: n, ..design.clone() };
    let q4 = |base: Design| Design { type_k: CacheType::Q4_0, type_v: CacheType::Q4_0, ..base };
    let list = vec![
        speed(1, threads(2), 50.0, 0),
        speed(2, threads(1), 30.0, 0),
        // the engine took flash attention by itself
        speed(3, q4(threads(2)), 40.0, 0),
        speed(4, Design { flash_attention: FlashAttention::Off, ..threads(2) }, 45.0, 0),
        speed(5, threads(2), 20.0, 4096),
    ];
    on_answer(&mut state, Answer::Runs(list), now(5.0));
    let of = |state: &AppState, variant| state.decode_speed("a-Q4_1.gguf".as_ref(), variant);
    assert_eq!(
        [Variant::Usual, cache, Variant::NoFlash, Variant::Flash].map(|variant| of(&state, variant)),
        [Some(50.0), Some(40.0), Some(45.0), None]
    );
    // a newer run of the same design, and the ladder shows it
    let newer = speed(6, q4(threads(2)), 41.0, 0);
    on_answer(&mut state, Answer::RunKept(0, Box::new(newer)), now(5.0));
    ask(&mut state, QualityAction::ToggleVariant(cache));
    ask(&mut state, QualityAction::Measure);
    assert_eq!(point(&state, "Q4_1, KV q4_0").and_then(|point| point.tps), Some(41.0));
    // replies of this session come first, each to its own variant
    state.loaded.as_mut().expect("a model").design = cache.apply(design);
    let job = replying(&mut state);
    on_event(&mut state, Event::Generated { job, stats: stats(20) }, now(3.0));
    assert_eq!([Variant::Usual, cache].map(|variant| of(&state, variant)), [Some(50.0), Some(100.0)]);
    on_action(&mut state, Action::DeleteRuns(vec![RunId(1)]), now(6.0));
    assert_eq!(of(&state, Variant::Usual), None);
}
