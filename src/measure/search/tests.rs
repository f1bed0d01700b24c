use super::super::pareto::Better;
use super::gauss::{Cholesky, Fits, Observation, fit, normal_below};
use super::*;
use proptest::prelude::*;

/// Threads (3), rungs (4) and batches (2): `speed` multiplies, `loss` hangs on the rung.
fn problem(limits: Vec<Limit>) -> Problem {
    let features = vec![
        Feature::counts("threads", &[1, 2, 4]),
        Feature::categorical("rung", ["F16", "Q8_0", "Q4_1", "Q2_K"]),
        Feature::counts("batch", &[64, 512]),
    ];
    let mut designs = Vec::new();
    for threads in 0..3 {
        for rung in 0..4 {
            for batch in 0..2 {
                let facts = BTreeMap::from([(2, Fact::Exact(SIZES[rung])), (3, Fact::Estimate { value: 2.0 * SIZES[rung], off: 0.1 })]);
                designs.push(Candidate { levels: vec![threads, rung, batch], facts });
            }
        }
    }
    let figure = |name: &str, depends_on: Option<Vec<usize>>| Figure { name: name.into(), unit: String::new(), depends_on };
    Problem {
        features,
        designs,
        figures: vec![figure("speed", None), figure("loss", Some(vec![1])), figure("size", None), figure("memory", None)],
        instruments: vec![Instrument { figures: vec![0, 3] }, Instrument { figures: vec![1] }],
        goal: Axis { index: 0, better: Better::Higher },
        limits,
    }
}

const SIZES: [f64; 4] = [270.0, 145.0, 98.0, 88.0];
const LOSSES: [f64; 4] = [0.001, 0.002, 0.04, 0.3];

fn speed(levels: &[usize]) -> f64 {
    [10.0, 19.0, 30.0][levels[0]] * [1.0, 1.5, 2.0, 1.9][levels[1]] * [1.0, 1.01][levels[2]]
}

fn at_most(axis: usize, value: f64) -> Limit {
    Limit { axis, bound: Bound::AtMost, value }
}

/// Answers a question, with a little noise that hangs on how much was asked before.
fn answer(search: &Search, ask: &Ask, asked: usize) -> Told {
    let levels = &search.problem().designs[ask.design].levels;
    let mut told = Told { overhead: 0.3, ..Told::default() };
    for at in &ask.instruments {
        told.seconds.push((*at, 0.2 * ask.repetitions as f64));
        if *at == 1 {
            told.samples.push((1, vec![LOSSES[levels[1]]]));
            continue;
        }
        for repetition in 0..ask.repetitions {
            let noise = 1.0 + 0.004 * (((asked * 7 + repetition * 3) % 5) as f64 - 2.0);
            told.samples.push((0, vec![speed(levels) * noise]));
            told.samples.push((3, vec![2.05 * SIZES[levels[1]]]));
        }
    }
    told
}

/// Runs a search to its end; what was asked.
fn run(search: &mut Search, fails: impl Fn(&[usize]) -> bool) -> Vec<Ask> {
    let mut asked: Vec<Ask> = Vec::new();
    while let Step::Measure(ask) = search.ask() {
        assert_eq!(search.ask(), Step::Measure(ask.clone()), "asking twice gives the same answer");
        assert!(asked.len() < 500, "it must end");
        if fails(&search.problem().designs[ask.design].levels) {
            search.fail("it does not fit", 0.1);
        } else {
            search.tell(&answer(search, &ask, asked.len()));
        }
        asked.push(ask);
    }
    asked
}

fn never(_levels: &[usize]) -> bool {
    false
}

#[test]
fn the_best_is_found_compared_and_its_equal_is_named() {
    let mut search = Search::new(problem(Vec::new()), Options::default());
    run(&mut search, never);
    let report = search.report();
    assert_eq!(report.end, Some(End::Settled));
    let best = search.problem().designs[report.best.unwrap()].levels.clone();
    assert_eq!(best[..2], [2, 2], "{report:?}");
    assert!(report.confirmed);
    // the other batch is 1 % apart
    let same: Vec<&[usize]> = report.equals.iter().map(|(d, _)| search.problem().designs[*d].levels.as_slice()).collect();
    assert!(same.iter().any(|levels| levels[..2] == [2, 2]) || report.equals.is_empty(), "{same:?}");
    assert_eq!(report.others.len() + report.equals.len() + 1, search.problem().designs.len());
}

#[test]
fn the_same_seed_asks_the_same() {
    let of = |seed| run(&mut Search::new(problem(Vec::new()), Options { seed, ..Options::default() }), never);
    assert_eq!(of(3), of(3));
    assert_ne!(of(3), of(4));
}

#[test]
fn what_is_known_beforehand_costs_nothing() {
    let mut search = Search::new(problem(vec![at_most(2, 100.0)]), Options::default());
    let asked = run(&mut search, never);
    assert!(asked.iter().all(|ask| search.problem().designs[ask.design].levels[1] >= 2));
    let barred = search.report().others.iter().filter(|s| s.cause == Cause::Barred { limit: 0 }).count();
    assert_eq!(barred, 12);
    // the forecast of memory rules out what is beyond its error only: 2 * 98 * 0.9 and 2 * 88 * 0.9
    let mut search = Search::new(problem(vec![at_most(3, 170.0)]), Options::default());
    run(&mut search, never);
    let report = search.report();
    assert!(report.others.iter().filter(|s| s.cause == Cause::Barred { limit: 0 }).count() >= 18);
    assert_eq!((report.best, report.end), (None, Some(End::Infeasible)), "Q2_K takes 2.05 * 88");
}

#[test]
fn a_figure_that_designs_share_is_measured_once_and_only_where_it_matters() {
    let mut search = Search::new(problem(vec![at_most(1, 0.1)]), Options::default());
    let asked = run(&mut search, never);
    let mut rungs: Vec<usize> =
        asked.iter().filter(|a| a.instruments.contains(&1)).map(|a| search.problem().designs[a.design].levels[1]).collect();
    let n = rungs.len();
    rungs.sort_unstable();
    rungs.dedup();
    assert_eq!(n, rungs.len(), "{rungs:?}");
    let best = search.report().best.unwrap();
    assert_eq!(search.problem().designs[best].levels[..2], [2, 2]);
}

#[test]
fn a_design_that_fails_is_reported_and_left_alone() {
    let mut search = Search::new(problem(Vec::new()), Options::default());
    let asked = run(&mut search, |levels| levels[1] == 2);
    let report = search.report();
    let failed: Vec<usize> = report.others.iter().filter(|s| matches!(s.cause, Cause::Failed { .. })).map(|s| s.design).collect();
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|d| asked.iter().filter(|a| a.design == *d).count() == 1));
    assert_eq!(search.problem().designs[report.best.unwrap()].levels[..2], [2, 3]);
}

#[test]
fn a_budget_holds() {
    for budget in [2.0, 5.0, 12.0] {
        let mut search = Search::new(problem(Vec::new()), Options { budget: Some(budget), ..Options::default() });
        run(&mut search, never);
        assert!(search.spent() <= budget + 1e-9, "{} of {budget}", search.spent());
        let report = search.report();
        assert!(report.best.is_some() && report.end.is_some());
    }
}

#[test]
fn led_through_its_history_it_is_where_it_was() {
    let mut first = Search::new(problem(vec![at_most(1, 0.1)]), Options::default());
    let mut second = first.clone();
    for asked in 0..12 {
        let Step::Measure(ask) = first.ask() else { break };
        let told = answer(&first, &ask, asked);
        let kept: (Ask, Told) = serde_json::from_str(&serde_json::to_string(&(&ask, &told)).unwrap()).unwrap();
        first.tell(&told);
        second.expect(kept.0);
        second.tell(&kept.1);
    }
    assert_eq!(first.ask(), second.ask());
    assert_eq!(first.report(), second.report());
}

#[test]
fn nothing_to_choose_from() {
    let empty = Problem { designs: Vec::new(), ..problem(Vec::new()) };
    let mut search = Search::new(empty, Options::default());
    assert_eq!(search.ask(), Step::Done(End::Infeasible));
    assert_eq!(search.report().best, None);
}

#[test]
fn additive_effects_are_foretold() {
    let features = problem(Vec::new()).features;
    let kernels = Kernels::new(&features, None, model::SPEEDS);
    let designs = problem(Vec::new()).designs;
    let seen: Vec<Observation> = (designs.iter().step_by(2))
        .map(|d| Observation { levels: d.levels.clone(), value: speed(&d.levels).ln(), variance: 1e-5 })
        .chain([Observation { levels: designs[1].levels.clone(), value: speed(&designs[1].levels).ln(), variance: 1e-5 }])
        .collect();
    let fits: Fits = fit(&kernels, &seen, None);
    let ensemble = gauss::Ensemble::new(&kernels, &fits, &seen).unwrap();
    for design in designs.iter().skip(3).step_by(2) {
        let (belief, truth) = (ensemble.predict(&design.levels, false), speed(&design.levels).ln());
        assert!((belief.mean - truth).abs() < 0.1, "{:?}: {belief:?} {truth}", design.levels);
        assert!((belief.mean - truth).abs() < 3.0 * belief.sd, "{:?}: {belief:?} {truth}", design.levels);
    }
}

#[test]
fn normal_distribution() {
    for (z, below) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (4.0, 0.999_968_329)] {
        assert!((normal_below(z) - below).abs() < 2e-7, "{z}: {}", normal_below(z));
    }
}

proptest! {
    #[test]
    fn a_factor_solves(values in prop::collection::vec(-1.0f64..1.0, 36), b in prop::collection::vec(-5.0f64..5.0, 6)) {
        let dot = |i: usize, j: usize| (0..6).map(|k| values[6 * i + k] * values[6 * j + k]).sum::<f64>() + if i == j { 0.5 } else { 0.0 };
        let x = Cholesky::new(6, dot).unwrap().solve(&b);
        for i in 0..6 {
            let back: f64 = (0..6).map(|j| dot(i.max(j), i.min(j)) * x[j]).sum();
            prop_assert!((back - b[i]).abs() < 1e-8);
        }
    }
}
