//! The Compare page by accessible name.

use inferscope::app::{CompareAction, DesignFrom, Effect, Page, update};
use inferscope::measure::lanes::Vote;
use inferscope::protocol::{CacheType, Command, EngineError, ErrorKind, Event, GenerateStats, Sampler, StopReason, TokenBatch};
use inferscope::store::{DesignId, SavedDesign};

use super::*;

fn compare(state: &mut AppState, action: CompareAction) -> Vec<Effect> {
    update::on_action(state, Action::Compare(Box::new(action)), NOW)
}

/// The page with lanes of a family's best levels.
pub fn page() -> AppState {
    let mut state = AppState { activity: Activity::None, ..busy_state() };
    update::on_action(&mut state, Action::Navigate(Page::Compare), NOW);
    assert_eq!(state.compare.lanes.len(), 2, "the page begins with two designs");
    for (index, quant) in ["F16", "Q8_0"].into_iter().enumerate() {
        compare(&mut state, CompareAction::SetDesign(index, Box::new(Design::for_model(path(quant)))));
    }
    compare(&mut state, CompareAction::SetPrompt("Why is the sky blue?".into()));
    state
}

type Said<'a> = Result<(&'a str, &'a [i32]), EngineError>;

fn said<'a>(text: &'a str, ids: &'a [i32]) -> Said<'a> {
    Ok((text, ids))
}

/// Plays what engines would say until nothing more is asked: an answer for each lane, or its death.
fn played(mut state: AppState, answers: &[Said<'_>]) -> AppState {
    let mut effects = compare(&mut state, CompareAction::Run);
    let mut answers = answers.iter();
    while let Some((engine, command)) = effects.iter().find_map(|effect| match effect {
        Effect::Lane(engine, command) => Some((*engine, command.clone())),
        _ => None,
    }) {
        effects = match *command {
            Command::Load { job, request } => {
                let quant = if request.design.model == path("F16") { "F16" } else { "Q8_0" };
                let report = Box::new(LoadReport { design: request.design, ..report(quant) });
                update::on_lane_event(&mut state, engine, Event::Loaded { job, report }, NOW)
            }
            Command::Generate { job, .. } => match answers.next().expect("an answer for each") {
                Ok((text, ids)) => {
                    let total = ids.len() as u32;
                    let batch = TokenBatch { text: (*text).into(), n: total, total, first: 0.08, last: 0.9, ..TokenBatch::default() };
                    update::on_lane_event(&mut state, engine, Event::Tokens { job, batch }, NOW);
                    let stats = GenerateStats {
                        stop: StopReason::EndOfReply,
                        prompt_tokens: 9,
                        cached_tokens: 0,
                        predicted_tokens: total,
                        ttft_ms: 80.0,
                        prefill_ms: 70.0,
                        prefill_tps: 128.0,
                        decode_tps: 61.0,
                        total_ms: 900.0,
                        itl_p95_ms: 17.0,
                        sampler: Sampler::default(),
                        dropped: None,
                        tokens: ids.to_vec(),
                        kv_used: 20,
                    };
                    update::on_lane_event(&mut state, engine, Event::Generated { job, stats: Box::new(stats) }, NOW)
                }
                Err(error) => update::on_lane_event(&mut state, engine, Event::Died { jobs: vec![job], error: error.clone() }, NOW),
            },
            other => panic!("{other:?}"),
        };
    }
    state
}

pub fn two() -> AppState {
    let first = "The sky is blue because air scatters short waves of light more than long ones.";
    let second = "The sky is blue because of the way sunlight meets the atmosphere, which spreads blue light the most.";
    played(page(), &[said(first, &[1, 2, 3, 4, 5, 6]), said(second, &[1, 2, 3, 4, 9, 9])])
}

#[test]
fn a_prompt_is_typed_and_asked() {
    let mut window = harness(page());
    window.get_by_label("One after another");
    window.get_by_label_contains("Not all are greedy");
    window.get_by_label("Run").click();
    assert!(asked(&mut window).contains(&Action::Compare(Box::new(CompareAction::Run))));
    window.get_by_label("Add a design").click();
    assert!(asked(&mut window).contains(&Action::Compare(Box::new(CompareAction::AddLane))));
    window.get_by_label("Prompt").focus();
    window.run();
    window.get_by_label("Prompt").type_text("!");
    window.run();
    assert!(matches!(&asked(&mut window)[..], [Action::Compare(action)] if matches!(action.as_ref(), CompareAction::SetPrompt(_))));
}

/// The page with lanes that differ in several settings, the second one unfolded.
fn unfolded(look: Theme) -> Harness<'static, Window> {
    let mut state = page();
    let greedy = inferscope::measure::lanes::greedy();
    let first = Design { sampler: greedy.clone(), ..Design::for_model(path("F16")) };
    let second =
        Design { threads: 2, type_k: CacheType::Q8_0, type_v: CacheType::Q8_0, sampler: greedy, ..Design::for_model(path("Q8_0")) };
    for (index, design) in [first, second].into_iter().enumerate() {
        compare(&mut state, CompareAction::SetDesign(index, Box::new(design)));
    }
    let saved =
        |id, name: &str| SavedDesign { id: DesignId(id), name: name.into(), design: Design::for_model(path("Q8_0")), created_ms: 0 };
    state.history.designs = vec![saved(1, "laptop"), saved(2, "demo")];
    let mut window = harness_sized(state, [1440.0, 900.0], look);
    window.get_by_label("temperature 0, seed 0");
    window.get_by_label("Unlike the first: threads auto to 2, KV cache f16 to q8_0");
    window.get_by_label("Settings of design 2").click();
    window.run();
    window
}

fn set(actions: &[Action]) -> Option<(usize, Design)> {
    actions.iter().rev().find_map(|action| match action {
        Action::Compare(action) => match action.as_ref() {
            CompareAction::SetDesign(index, design) => Some((*index, (**design).clone())),
            _ => None,
        },
        _ => None,
    })
}

#[test]
fn a_lane_has_a_design_of_its_own_that_is_edited_in_place() {
    let mut window = unfolded(Theme::Dark);
    window.get_by_label_contains("All are greedy");
    window.get_by_label("Key cache of design 2").click();
    window.run();
    window.get_by_label("q4_0").click();
    let (index, design) = set(&asked(&mut window)).expect("a design is set");
    assert_eq!((index, design.type_k, design.type_v, design.threads), (1, CacheType::Q4_0, CacheType::Q8_0, 2));
    window.get_by_label("Leave temperature of design 2 to the model").click();
    let (_, design) = set(&asked(&mut window)).expect("a design is set");
    assert_eq!((design.sampler.temperature, design.sampler.seed), (None, Some(0)));
    window.get_by_label("Threads of design 2").click();
    window.run();
    window.get_by_label("Threads of design 2").type_text("3");
    window.run();
    window.key_press(egui::Key::Enter);
    let (_, design) = set(&asked(&mut window)).expect("a design is set");
    assert_eq!(design.threads, 3);
    window.get_by_label("Repack weights of design 2").click();
    let (_, design) = set(&asked(&mut window)).expect("a design is set");
    assert!(!design.repack);
    window.get_by_label("Take a design for design 2").click();
    window.run();
    window.get_by_label("laptop").click();
    let taken = Action::Compare(Box::new(CompareAction::TakeDesign(1, DesignFrom::Saved(DesignId(1)))));
    assert!(asked(&mut window).contains(&taken));
    window.get_by_label("Hide the settings of design 2").click();
    window.run();
    window.get_by_label_contains("Unlike the first");
}

#[test]
fn answers_stand_side_by_side_with_where_they_part_and_are_voted_on() {
    let mut window = harness(two());
    window.get_by_label("identical for 4 tokens with the first");
    window.get_by_label("Best: Q8_0").click();
    assert_eq!(asked(&mut window), [Action::Compare(Box::new(CompareAction::Vote(Vote::Lane(1))))]);
    window.get_by_label("Markdown").click();
    assert!(matches!(&asked(&mut window)[..], [Action::Compare(action)] if matches!(action.as_ref(), CompareAction::Export(_))));
}

#[test]
fn blind_names_come_with_the_vote() {
    let mut state = page();
    compare(&mut state, CompareAction::SetBlind(true));
    let mut state = played(state, &[said("One", &[1]), said("Two", &[2])]);
    {
        let window = harness(state.clone());
        window.get_by_label("Best: Answer A");
        assert!(window.query_by_label("Best: Q8_0").is_none() && window.query_by_label("Markdown").is_none());
    }
    compare(&mut state, CompareAction::Vote(Vote::Lane(0)));
    let window = harness(state);
    window.get_by_label("You found F16 best");
}

#[test]
fn a_death_is_told_in_its_lane_and_the_other_answer_stays() {
    let error = EngineError::new(ErrorKind::Killed, "The system ended the engine").hint("Another level may fit");
    let window = harness(played(page(), &[said("An answer", &[1]), Err(error)]));
    assert!(window.query_all_by_label_contains("The system ended the engine").next().is_some());
    assert!(window.query_all_by_label_contains("An answer").next().is_some());
}

#[test]
fn pictures_of_the_page() {
    let Some(folder) = std::env::var_os("INFERSCOPE_PICTURES").map(PathBuf::from) else { return };
    for (name, state, size) in
        [("compare_two", two(), [1440.0, 900.0]), ("compare_small", two(), [1024.0, 640.0]), ("compare_empty", page(), [1440.0, 900.0])]
    {
        let mut window = harness_sized(state, size, Theme::Dark);
        window.render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
    for (name, look) in [("lanes_dark", Theme::Dark), ("lanes_light", Theme::Light), ("lanes_contrast", Theme::HighContrast)] {
        unfolded(look).render().unwrap().save(folder.join(format!("{name}.png"))).unwrap();
    }
}
