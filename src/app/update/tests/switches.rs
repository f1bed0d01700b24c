//! What a switch takes, what it looks at first, and what the engine hears of together with it.

use std::path::Path;

use super::loads::{ahead_job, load_cancelled, loaded, ready_with_ladder, saves_as, select, switching};
use super::*;
use crate::library::RungState;

#[test]
fn of_several_copies_of_a_rung_a_switch_takes_the_one_in_memory_else_the_one_at_hand() {
    let copy = |path: &str, others: &[&str]| RungState::OnDisk {
        path: path.into(),
        size: 1,
        bpw: 4.0,
        alternates: others.iter().map(Into::into).collect(),
    };
    let mut state = ready_with_ladder();
    let family = &mut state.library.families[0];
    family.rungs[0].state = copy("0/a-Q8_0.gguf", &["a-Q8_0.gguf"]);
    family.rungs[1].state = copy("0/a-Q4_1.gguf", &["a-Q4_1.gguf"]);
    assert_eq!(select(&mut state, "Q4_1", 2.5), [], "it is loaded, although another copy comes first");
    let effects = select(&mut state, "Q8_0", 3.0);
    let Some(Effect::Inspect { design, .. }) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(design.model, Path::new("a-Q8_0.gguf"), "in the folder of the file in use");

    let mut state = ready_with_ladder();
    state.library.families[0].rungs[0].state = copy("a-Q8_0.gguf", &["9/a-Q8_0.gguf"]);
    state.resident = vec![Resident { design: Design::for_model("9/a-Q8_0.gguf"), memory: MemoryUse::default(), active: false }];
    let effects = select(&mut state, "Q8_0", 3.0);
    assert_eq!(loads(&effects).map(|design| design.model.as_path()), Some(Path::new("9/a-Q8_0.gguf")), "it is warm");
}

#[test]
fn a_file_looked_at_a_moment_ago_is_not_looked_at_again_while_it_fits() {
    let sample = |available| crate::protocol::Sample { available, total: 8_000_000_000, ..crate::protocol::Sample::default() };
    let looks = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Inspect { .. }));
    for (at, available, again) in [(20.0, 8_000_000_000, false), (20.0, 1_000, true), (90.0, 8_000_000_000, true)] {
        let mut state = ready_with_ladder();
        let effects = select(&mut state, "Q8_0", 3.0);
        assert!(looks(&effects), "it has never been looked at");
        inspected(&mut state, &effects, true);
        loaded(&mut state, "Q8_0", 4.0);
        let effects = select(&mut state, "Q2_K", 5.0);
        inspected(&mut state, &effects, true);
        loaded(&mut state, "Q2_K", 6.0);
        state.telemetry.sample = Some(sample(available));
        let effects = select(&mut state, "Q8_0", at);
        assert_eq!(looks(&effects), again, "after {at} s with {available} bytes to be had: {effects:?}");
        assert_eq!(loads(&effects).is_some(), !again);
    }
}

#[test]
fn the_rest_of_a_reply_is_saved_before_the_engine_hears_of_it_and_taken_back_with_the_load() {
    let mut state = ready_with_ladder();
    let job = replying(&mut state);
    tokens(&mut state, "Half", 1);
    let effects = select(&mut state, "Q8_0", 3.0);
    inspected(&mut state, &effects, true);
    let effects = on_event(&mut state, Event::Generated { job, stats: cancelled(1) }, now(3.5));
    let place = |is: fn(&Effect) -> bool| effects.iter().rposition(is).expect("it is there");
    let (save, begin) = (place(|e| matches!(e, Effect::Save { .. })), place(|e| matches!(e, Effect::BeginReply(_, _, 4))));
    assert!(save < begin && begin < place(|e| matches!(e, Effect::Send(Command::Generate { .. }))), "{effects:?}");
    assert!(saves_as(&effects, "Half", MessageState::Streaming));

    let waits = ahead_job(&state);
    let effects = load_cancelled(&mut state, 4.0);
    assert!(cancels(&effects, waits) && saves_as(&effects, "Half", MessageState::Whole), "{effects:?}");
    assert_eq!(state.internal.ahead, None);

    // Stop takes it back at once, another choice once the load has given way
    let mut state = switching();
    let waits = ahead_job(&state);
    assert!(cancels(&on_action(&mut state, Action::Stop, now(3.6)), waits));
    let mut state = switching();
    let waits = ahead_job(&state);
    select(&mut state, "Q2_K", 3.6);
    let effects = load_cancelled(&mut state, 3.7);
    assert!(cancels(&effects, waits), "{effects:?}");
    let effects = inspected(&mut state, &effects, true);
    assert!(loads(&effects).is_some());
    assert!(generates(&loaded(&mut state, "Q2_K", 4.0)), "asked for in the ordinary way");
}

#[test]
fn one_file_under_two_names_is_one_rung() {
    let mut state = ready_with_ladder();
    let effects = on_action(&mut state, Action::OpenModel("linked/a-Q8_0.gguf".into()), now(3.0));
    let Some(Effect::Inspect { design, .. }) = effects.into_iter().next() else { panic!("it is looked at first") };
    let result = Box::new(Ok(Inspection { model: "a-Q8_0.gguf".into(), ..inspection(&design, true) }));
    on_answer(&mut state, Answer::Inspected { design, result }, now(3.1));
    let loading = state.loading().expect("it is loaded");
    assert_eq!((loading.design.model.as_path(), loading.from.as_deref()), (Path::new("a-Q8_0.gguf"), Some("Q4_1")), "a switch");
}
