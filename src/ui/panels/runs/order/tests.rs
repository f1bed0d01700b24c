use std::time::{Duration, Instant};

use super::*;
use crate::protocol::{BenchTest, Design, Run, RunId, Workload};

pub(crate) fn head(id: i64, quant: &str, decode: Option<f64>) -> RunHead {
    let test = BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 };
    let mut run = Run::new(Design::for_model("m.gguf"), Workload::Bench { test }, id * DAY_MS);
    run.id = RunId(id);
    run.environment.model = "SmolLM2".into();
    run.environment.quant = quant.into();
    run.samples.extend(decode.map(|value| (Metric::DecodeTps, vec![value])));
    RunHead::of(&run)
}

fn ids(order: &Order, runs: &[RunHead]) -> Vec<i64> {
    let id = |entry: &Entry| match entry {
        Entry::Run(at) => Some(runs[*at].id.0),
        Entry::Head(..) => None,
    };
    order.entries().iter().filter_map(id).collect()
}

fn ordered(runs: &[RunHead], wanted: &Wanted) -> Order {
    let mut order = Order::default();
    order.update(runs, 1, wanted, 10, 0);
    order
}

#[test]
fn columns_sort_both_ways_and_what_has_no_value_stands_last() {
    let runs = [head(4, "Q8_0", Some(80.0)), head(3, "Q4_1", None), head(2, "F16", Some(120.0)), head(1, "Q2_K", Some(100.0))];
    let by = |column, reversed| ids(&ordered(&runs, &Wanted { column, reversed, ..Wanted::default() }), &runs);
    assert_eq!(by(Column::When, false), [4, 3, 2, 1]);
    assert_eq!(by(Column::When, true), [1, 2, 3, 4]);
    assert_eq!(by(Column::Figure(Metric::DecodeTps), false), [2, 1, 4, 3]);
    assert_eq!(by(Column::Figure(Metric::DecodeTps), true), [4, 1, 2, 3]);
    assert_eq!(by(Column::Model, false), [2, 1, 3, 4]);
    assert_eq!(by(Column::Model, true), [4, 3, 1, 2]);
}

#[test]
fn every_word_of_the_filter_must_be_somewhere() {
    let mut runs = [head(3, "Q8_0", None), head(2, "Q4_1", None), head(1, "Q4_1", None)];
    runs[1].tags = vec!["Laptop".into()];
    runs[2].failure = Some("It does not fit".into());
    let by = |filter: &str| ids(&ordered(&runs, &Wanted { filter: filter.into(), ..Wanted::default() }), &runs);
    assert_eq!(by("q4 laptop"), [2]);
    assert_eq!(by(" TG128 "), [3, 2, 1]);
    assert_eq!(by("failed"), [1]);
    assert_eq!(by("nothing"), [] as [i64; 0]);
}

#[test]
fn groups_come_in_the_order_of_their_first_run() {
    let mut runs = [head(10, "Q8_0", None), head(9, "Q4_1", None), head(3, "Q4_1", None), head(2, "F16", None)];
    runs[1].group = "sweep 7".into();
    runs[3].group = "sweep 7".into();
    let heads = |group| -> Vec<(String, usize)> {
        let order = ordered(&runs, &Wanted { group, ..Wanted::default() });
        order
            .entries()
            .iter()
            .filter_map(|entry| if let Entry::Head(words, n) = entry { Some((words.clone(), *n)) } else { None })
            .collect()
    };
    assert_eq!(heads(Group::Sweep), [("By themselves".into(), 2), ("sweep 7".into(), 2)]);
    assert_eq!(heads(Group::Model), [("SmolLM2".into(), 4)]);
    let days = heads(Group::Day);
    assert_eq!(days[..2], [("Today".into(), 1), ("Yesterday".into(), 1)]);
    assert_eq!(days[3].0, "3 January 1970");
}

#[test]
fn it_is_made_anew_only_for_a_reason() {
    let runs = [head(2, "Q8_0", None), head(1, "Q8_0", None)];
    let mut order = Order::default();
    let wanted = Wanted::default();
    order.update(&runs, 1, &wanted, 10, 0);
    order.update(&runs[..1], 1, &wanted, 10, 0);
    assert_eq!(order.shown(), 2);
    order.update(&runs[..1], 2, &wanted, 10, 0);
    assert_eq!(order.shown(), 1);
}

#[test]
fn ten_thousand_runs_are_sorted_filtered_and_grouped_in_no_time() {
    let runs: Vec<RunHead> =
        (1..=10_000).rev().map(|id| head(id, ["Q8_0", "Q4_K_M", "F16"][id as usize % 3], Some((id * 7919 % 1000) as f64))).collect();
    let mut order = Order::default();
    let mut slowest = Duration::ZERO;
    let (mut revision, mut worst) = (0, String::new());
    for (column, filter, group) in [
        (Column::When, "", Group::None),
        (Column::Figure(Metric::DecodeTps), "", Group::None),
        (Column::Model, "", Group::None),
        (Column::Name, "q4", Group::Day),
        (Column::Trust, "q", Group::Model),
        (Column::Design, "smol tg", Group::Sweep),
    ] {
        revision += 1;
        let wanted = Wanted { filter: filter.into(), column, reversed: revision % 2 == 0, group };
        let took = (0..3)
            .map(|_| {
                order = Order::default();
                let began = Instant::now();
                order.update(&runs, revision, &wanted, 10, 0);
                began.elapsed()
            })
            .min()
            .unwrap();
        if took > slowest {
            (slowest, worst) = (took, format!("{wanted:?}"));
        }
    }
    println!("slowest order of 10,000 runs: {slowest:?} for {worst}");
    assert!(slowest < Duration::from_millis(100), "{slowest:?} for {worst}");
}
