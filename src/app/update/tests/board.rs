//! What the board shows: this session's sweep, an earlier one, everything kept of a model.

use super::*;
use crate::app::BoardOf;
use crate::measure::sweep::{Sweep, SweepPlan, SweepResult};
use crate::protocol::{BenchTest, Metric, Run, RunId, Workload};
use crate::store::RunHead;

fn run(id: i64, group: &str, model: &str, quant: &str) -> Run {
    let test = BenchTest { n_prompt: 512, n_gen: 128, n_depth: 0 };
    let mut run = Run::new(Design::for_model(format!("{model}-{quant}.gguf")), Workload::Bench { test }, id * 1000);
    run.id = RunId(id);
    run.group = group.into();
    run.environment.model = model.into();
    run.environment.quant = quant.into();
    run.samples.insert(Metric::DecodeTps, vec![50.0, 51.0]);
    run
}

fn scored(id: i64, quant: &str, hash: &str) -> Run {
    let reference = Box::new(Design::for_model("Tiny-F16.gguf"));
    let workload = Workload::Quality { text: "brief.md".into(), text_hash: hash.into(), n_ctx: 512, reference };
    let mut run = Run { workload, ..run(id, "quality-1", "Tiny", quant) };
    run.samples = [(Metric::Kld, vec![0.01])].into();
    run
}

/// Two sweeps of the model that is loaded, one of another, and an answer to a prompt.
fn kept() -> Vec<Run> {
    let mut prompt = run(9, "compare-1", "Tiny", "Q8_0");
    prompt.workload = Workload::Prompt { prompt: "Why?".into(), reply: "So".into() };
    vec![
        run(1, "sweep-1", "Tiny", "Q8_0"),
        run(2, "sweep-1", "Tiny", "Q4_1"),
        run(3, "sweep-2", "TINY", "Q8_0"),
        run(4, "sweep-2", "Tiny", "Q4_1"),
        run(5, "", "Tiny", "Q2_K"),
        run(6, "sweep-3", "Other", "Q8_0"),
        prompt,
    ]
}

/// The page over these runs, as it is after the start of the program.
fn page(runs: &[Run]) -> (AppState, Vec<Effect>) {
    let mut state = ready();
    let effects = on_action(&mut state, Action::Navigate(Page::Measure), now(2.0));
    assert!(effects.contains(&Effect::ReadRuns), "{effects:?}");
    on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), now(2.1));
    let (effects, _) = tick(&mut state, now(2.1));
    (state, effects)
}

/// Answers what is read; what was asked for.
fn read(state: &mut AppState, effects: &[Effect], runs: &[Run]) -> Vec<i64> {
    let mut asked = Vec::new();
    for effect in effects {
        let Effect::ReadBoard(seq, ids) = effect else { continue };
        asked.extend(ids.iter().map(|id| id.0));
        let found = ids.iter().filter_map(|id| runs.iter().find(|run| run.id == *id)).cloned().collect();
        on_answer(state, Answer::BoardRead(*seq, found), now(2.2));
    }
    asked
}

fn ids(state: &AppState) -> Vec<i64> {
    state.measure.board.runs.iter().map(|run| run.id.0).collect()
}

#[test]
fn after_a_start_the_page_opens_on_the_latest_sweep_of_the_model() {
    let runs = kept();
    let (mut state, effects) = page(&runs);
    assert_eq!(state.measure.board.of, BoardOf::Kept("sweep-2".into()));
    assert!(state.measure.board.is_reading() && ids(&state).is_empty());
    assert_eq!(read(&mut state, &effects, &runs), [3, 4]);
    assert_eq!(ids(&state), [3, 4]);
    assert!(!state.measure.board.is_reading());
    let sweep = state.measure.board.kept().unwrap();
    assert_eq!((sweep.designs, sweep.rungs.join(","), sweep.started_ms), (2, "Q8_0,Q4_1".to_owned(), 3000));
    // a name is written in two ways, and answers to prompts are no measurements
    let models: Vec<(&str, usize)> = state.measure.board.models.iter().map(|known| (known.model.as_str(), known.runs)).collect();
    assert_eq!(models, [("Other", 1), ("Tiny", 5)]);
    assert!(tick(&mut state, now(2.3)).0.is_empty(), "nothing is read twice");
}

#[test]
fn a_sweep_or_everything_is_chosen_and_only_what_is_missing_is_read() {
    let runs = kept();
    let (mut state, effects) = page(&runs);
    read(&mut state, &effects, &runs);
    let effects = on_action(&mut state, Action::ShowBoard(BoardOf::Model("Tiny".into())), now(3.0));
    assert!(ids(&state).is_empty(), "half of it would name a best that is none");
    assert_eq!(read(&mut state, &effects, &runs), [1, 2, 5]);
    assert_eq!(ids(&state), [1, 2, 3, 4, 5]);
    let effects = on_action(&mut state, Action::ShowBoard(BoardOf::Kept("sweep-1".into())), now(4.0));
    assert!(read(&mut state, &effects, &runs).is_empty());
    assert_eq!(ids(&state), [1, 2]);
    // another model is loaded: what was chosen by hand stays
    load(&mut state, "Other-Q8_0.gguf", "Q8_0");
    tick(&mut state, now(5.0));
    assert_eq!(state.measure.board.of, BoardOf::Kept("sweep-1".into()));
}

#[test]
fn a_deleted_run_leaves_the_board_and_a_deleted_sweep_makes_room_for_the_one_before() {
    let runs = kept();
    let (mut state, effects) = page(&runs);
    read(&mut state, &effects, &runs);
    let revision = state.measure.board.revision;
    on_action(&mut state, Action::DeleteRuns(vec![RunId(4)]), now(3.0));
    tick(&mut state, now(3.0));
    assert_eq!(ids(&state), [3]);
    assert_ne!(state.measure.board.revision, revision);
    on_action(&mut state, Action::DeleteRuns(vec![RunId(3)]), now(4.0));
    let (effects, _) = tick(&mut state, now(4.0));
    assert_eq!(state.measure.board.of, BoardOf::Kept("sweep-1".into()));
    read(&mut state, &effects, &runs);
    assert_eq!(ids(&state), [1, 2]);
}

#[test]
fn a_run_that_was_replaced_is_read_again() {
    let mut runs = kept();
    let (mut state, effects) = page(&runs);
    read(&mut state, &effects, &runs);
    runs[3].seconds = 9.0;
    on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), now(3.0));
    let (effects, _) = tick(&mut state, now(3.0));
    assert_eq!(read(&mut state, &effects, &runs), [4]);
    assert_eq!(state.measure.board.runs[1].seconds, 9.0);
}

#[test]
fn what_cannot_be_read_is_counted_and_not_asked_for_again() {
    let runs = kept();
    let (mut state, effects) = page(&runs);
    assert_eq!(read(&mut state, &effects, &runs[..3]), [3, 4]);
    assert_eq!((ids(&state), state.measure.board.unread), (vec![3], 1));
    assert!(!state.measure.board.is_reading());
    let (effects, _) = tick(&mut state, now(3.0));
    assert!(read(&mut state, &effects, &runs).is_empty());
}

#[test]
fn an_answer_to_an_earlier_choice_is_dropped() {
    let runs = kept();
    let (mut state, early) = page(&runs);
    let late = on_action(&mut state, Action::ShowBoard(BoardOf::Kept("sweep-1".into())), now(3.0));
    read(&mut state, &early, &runs);
    assert!(ids(&state).is_empty() && state.measure.board.is_reading());
    read(&mut state, &late, &runs);
    assert_eq!(ids(&state), [1, 2]);
}

#[test]
fn a_sweep_that_begins_shows_itself() {
    let runs = kept();
    let (mut state, effects) = page(&runs);
    read(&mut state, &effects, &runs);
    on_action(&mut state, Action::ShowBoard(BoardOf::Kept("sweep-1".into())), now(3.0));
    let draft = crate::app::SweepDraft { axes: vec![(crate::measure::sweep::Key::Threads, "1,2".into())], ..Default::default() };
    on_action(&mut state, Action::SetSweepDraft(Box::new(draft)), now(3.0));
    let effects = on_action(&mut state, Action::StartSweep, now(3.0));
    tick(&mut state, now(3.0));
    assert_eq!(state.measure.board.of, BoardOf::Session);
    let Some(Effect::PrepareSweep(plan)) = effects.into_iter().find(|effect| matches!(effect, Effect::PrepareSweep(_))) else { panic!() };
    on_answer(&mut state, Answer::SweepPrepared(plan), now(3.1));
    tick(&mut state, now(3.1));
    assert_eq!(state.measure.board.runs.len(), 2);
}

#[test]
fn a_run_of_this_session_that_is_deleted_leaves_the_board_too() {
    let runs = kept();
    let (mut state, _) = page(&runs);
    let plan = SweepPlan { candidates: vec![Default::default()], ..SweepPlan::default() };
    let own =
        SweepResult { runs: vec![run(3, "sweep-2", "Tiny", "Q8_0"), run(0, "", "Tiny", "Q4_1")], ..Sweep::new(plan).unwrap().result() };
    state.measure.result = Some(own);
    state.measure.revision += 1;
    tick(&mut state, now(3.0));
    assert_eq!((&state.measure.board.of, ids(&state)), (&BoardOf::Session, vec![3, 0]));
    on_action(&mut state, Action::DeleteRuns(vec![RunId(3)]), now(3.0));
    tick(&mut state, now(3.0));
    assert_eq!(ids(&state), [0], "one that is not kept yet stays");
}

#[test]
fn quality_is_shown_beside_speed_where_one_text_and_one_reference_gave_it() {
    let mut runs = kept();
    runs.extend([scored(10, "Q8_0", "old"), scored(11, "Q8_0", "new"), scored(12, "Q4_1", "new"), scored(13, "Q6_K", "new")]);
    let (mut state, effects) = page(&runs);
    // no level of the sweep has been scored as Q6_K
    let mut asked = read(&mut state, &effects, &runs);
    asked.sort_unstable();
    assert_eq!(asked, [3, 4, 10, 11, 12]);
    // run 3 is of a file that is called otherwise
    assert_eq!(ids(&state), [3, 4, 12]);
    let effects = on_action(&mut state, Action::ShowBoard(BoardOf::Model("Tiny".into())), now(3.0));
    read(&mut state, &effects, &runs);
    assert_eq!(ids(&state), [1, 2, 3, 4, 5, 11, 12, 13]);
}

/// Ten thousand kept runs: the newest are read, in pieces, and the rest is counted.
#[test]
fn of_ten_thousand_the_newest_are_read_in_pieces() {
    let runs: Vec<Run> = (1..=10_000).map(|id| run(id, &format!("sweep-{}", id / 20), "Tiny", ["Q8_0", "Q4_1"][id as usize % 2])).collect();
    let (mut state, effects) = page(&runs);
    read(&mut state, &effects, &runs);
    let began = std::time::Instant::now();
    let effects = on_action(&mut state, Action::ShowBoard(BoardOf::Model("Tiny".into())), now(3.0));
    let chosen = began.elapsed();
    let pieces: Vec<usize> =
        effects.iter().filter_map(|e| if let Effect::ReadBoard(_, ids) = e { Some(ids.len()) } else { None }).collect();
    assert!(pieces.len() >= 5 && pieces.iter().all(|piece| *piece <= 100), "{pieces:?}");
    let asked = read(&mut state, &effects, &runs);
    assert_eq!((state.measure.board.runs.len(), state.measure.board.left_out), (500, 9_500));
    assert!(asked.iter().all(|id| *id > 9_500));
    println!("10,000 runs: chosen in {chosen:?}");
}

#[test]
fn without_sweeps_everything_that_is_kept_is_shown_and_without_a_model_the_latest() {
    let runs = [run(5, "", "Tiny", "Q2_K"), run(6, "sweep-3", "Other", "Q8_0")];
    let (state, _) = page(&runs);
    assert_eq!(state.measure.board.of, BoardOf::Model("Tiny".into()));
    let mut state = AppState { page: Page::Measure, ..AppState::default() };
    on_answer(&mut state, Answer::Runs(runs.iter().map(RunHead::of).collect()), now(2.1));
    tick(&mut state, now(2.1));
    assert_eq!(state.measure.board.of, BoardOf::Session, "a model may be on its way");
    state.library.was_scanned = true;
    tick(&mut state, now(2.2));
    assert_eq!(state.measure.board.of, BoardOf::Kept("sweep-3".into()));
}
