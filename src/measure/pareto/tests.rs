use super::*;
use proptest::prelude::*;

const SPEED: Axis = Axis { index: 0, better: Better::Higher };
const MEMORY: Axis = Axis { index: 1, better: Better::Lower };
const LOSS: Axis = Axis { index: 2, better: Better::Lower };

fn at_most(axis: usize, value: f64) -> Limit {
    Limit { axis, bound: Bound::AtMost, value }
}

fn at_least(axis: usize, value: f64) -> Limit {
    Limit { axis, bound: Bound::AtLeast, value }
}

fn row(values: [f64; 2]) -> [Option<f64>; 2] {
    values.map(Some)
}

#[test]
fn standings_of_every_kind() {
    let limits = [at_most(1, 600.0), at_least(0, 10.0)];
    let points = [
        [Some(50.0), Some(500.0)],
        [Some(40.0), Some(400.0)],
        [Some(40.0), Some(450.0)],
        [Some(60.0), Some(812.0)],
        [Some(5.0), Some(700.0)],
        [None, Some(700.0)],
        [None, Some(100.0)],
        [Some(f64::NAN), Some(100.0)],
        [Some(50.0), Some(500.0)],
        [Some(40.0), Some(600.0)],
    ];
    let breach = |limit, value| Breach { limit, value };
    let standings = judge(&points, &[SPEED, MEMORY], &limits);
    assert_eq!(standings[0], Standing::Front);
    assert_eq!(standings[1], Standing::Front);
    assert_eq!(standings[2], Standing::Dominated { by: 1 });
    assert_eq!(standings[3], Standing::Infeasible { reasons: vec![breach(limits[0], 812.0)] });
    assert_eq!(standings[4], Standing::Infeasible { reasons: vec![breach(limits[0], 700.0), breach(limits[1], 5.0)] });
    assert_eq!(standings[5], Standing::Infeasible { reasons: vec![breach(limits[0], 700.0)] });
    assert_eq!(standings[6], Standing::Unmeasured { axis: 0 });
    assert_eq!(standings[7], Standing::Unmeasured { axis: 0 });
    assert_eq!(standings[8], Standing::Front, "equal points do not dominate each other");
    assert!(matches!(standings[9], Standing::Dominated { .. }), "the limit itself is allowed");
    assert_eq!(front_line(&points, [SPEED, MEMORY], &standings), [1, 0, 8]);
}

#[test]
fn a_limit_need_not_be_an_axis() {
    let points = [[Some(50.0), Some(500.0), Some(0.2)], [Some(40.0), Some(600.0), Some(0.01)], [Some(30.0), Some(700.0), None]];
    let standings = judge(&points, &[SPEED, MEMORY], &[at_most(2, 0.05)]);
    assert!(matches!(standings[0], Standing::Infeasible { .. }));
    assert_eq!(standings[1..], [Standing::Front, Standing::Unmeasured { axis: 2 }]);
}

#[test]
fn two_zeros_are_one() {
    let points = [row([0.0, 2.0]), row([-0.0, 1.0])];
    assert_eq!(judge(&points, &[SPEED, MEMORY], &[]), [Standing::Dominated { by: 1 }, Standing::Front]);
}

#[test]
fn nothing_and_axes_that_do_not_exist() {
    assert_eq!(judge::<[Option<f64>; 2]>(&[], &[SPEED, MEMORY], &[]), []);
    assert_eq!(judge(&[row([1.0, 1.0])], &[SPEED, LOSS], &[]), [Standing::Unmeasured { axis: 2 }]);
    assert_eq!(knee(&[row([1.0, 1.0])], [SPEED, MEMORY], &[0]), None);
    assert_eq!(knee(&[row([1.0, 1.0])], [SPEED, MEMORY], &[0, 5, 9]), None);
}

#[test]
fn knees() {
    let knee_of = |points: &[[f64; 2]]| {
        let points: Vec<_> = points.iter().copied().map(row).collect();
        let standings = judge(&points, &[SPEED, MEMORY], &[]);
        let line = front_line(&points, [SPEED, MEMORY], &standings);
        assert_eq!(line.len(), points.len());
        knee(&points, [SPEED, MEMORY], &line)
    };
    // fast for little memory: index 2 has most of the speed for a tenth of the memory
    assert_eq!(knee_of(&[[100.0, 1000.0], [10.0, 10.0], [90.0, 100.0], [95.0, 600.0]]), Some(2));
    assert_eq!(knee_of(&[[10.0, 10.0], [100.0, 100.0]]), None);
    assert_eq!(knee_of(&[[10.0, 10.0], [20.0, 20.0], [30.0, 30.0]]), None, "straight");
    assert_eq!(knee_of(&[[10.0, 10.0], [11.0, 90.0], [30.0, 100.0]]), None, "on the worse side of the chord");
    assert_eq!(knee_of(&[[10.0, 10.0], [10.0, 10.0], [10.0, 10.0]]), None, "one place");
}

#[test]
fn best_and_its_equals() {
    let points = [row([50.0, 500.0]), row([49.0, 300.0]), row([30.0, 100.0]), row([80.0, 900.0]), [None, Some(1.0)]];
    let limits = [at_most(1, 600.0)];
    assert_eq!(ranked(&points, SPEED, &limits), [0, 1, 2]);
    let close = |a: usize, b: usize| points[a][0].unwrap() - points[b][0].unwrap() < 5.0;
    assert_eq!(best(&points, SPEED, &limits, close), Some(Best { index: 0, runners_up: vec![1] }));
    assert_eq!(best(&points, MEMORY, &[], |_, _| false), Some(Best { index: 4, runners_up: vec![] }));
    assert_eq!(best(&points, SPEED, &[at_least(0, 1000.0)], |_, _| true), None);
}

#[test]
fn ten_thousand_points_are_quick() {
    // on three axes, all on the front: the worst case
    let points: Vec<_> = (0..10_000).map(f64::from).map(|i| [Some(i), Some(i), Some((i * 7919.0) % 10_000.0)]).collect();
    let start = std::time::Instant::now();
    for axes in [&[SPEED, MEMORY][..], &[SPEED, MEMORY, LOSS]] {
        assert!(judge(&points, axes, &[]).iter().all(|s| *s == Standing::Front));
    }
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}

/// Few different values, so that points are often equal, zero, missing or not a number.
fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        1 => prop::sample::select(vec![Some(f64::NAN), Some(f64::INFINITY), Some(-0.0)]),
        14 => (-3i8..8).prop_map(|v| Some(f64::from(v))),
    ]
}

proptest! {
    #[test]
    fn agrees_with_brute_force(
        points in prop::collection::vec(prop::collection::vec(value(), 4), 0..40),
        ways in prop::collection::vec(any::<bool>(), 2..5),
        limits in prop::collection::vec((0usize..4, any::<bool>(), -3i8..8), 0..3),
    ) {
        let axis = |(index, up): (usize, &bool)| Axis { index, better: if *up { Better::Higher } else { Better::Lower } };
        let axes: Vec<Axis> = ways.iter().enumerate().map(axis).collect();
        let limits: Vec<Limit> = (limits.into_iter())
            .map(|(axis, most, value)| if most { at_most(axis, value.into()) } else { at_least(axis, value.into()) })
            .collect();
        let standings = judge(&points, &axes, &limits);

        let known = |i: usize, axis: usize| points[i][axis].filter(|v| v.is_finite());
        let breaks = |i: usize, l: &Limit| known(i, l.axis).is_some_and(|v| match l.bound {
            Bound::AtMost => v > l.value,
            Bound::AtLeast => v < l.value,
        });
        let broken = |i: usize| limits.iter().filter(|l| breaks(i, l)).count();
        let missing = |i: usize| limits.iter().map(|l| l.axis).chain(axes.iter().map(|a| a.index)).find(|a| known(i, *a).is_none());
        let beats = |i: usize, j: usize, a: &Axis| match a.better {
            Better::Higher => known(i, a.index) > known(j, a.index),
            Better::Lower => known(i, a.index) < known(j, a.index),
        };
        let chosen = |i: usize| broken(i) == 0 && missing(i).is_none();
        let better = |i: usize, j: usize| {
            chosen(i) && chosen(j) && axes.iter().any(|a| beats(i, j, a)) && !axes.iter().any(|a| beats(j, i, a))
        };
        prop_assert_eq!(standings.len(), points.len());
        for (j, standing) in standings.iter().enumerate() {
            match standing {
                Standing::Front => prop_assert!(chosen(j) && !(0..points.len()).any(|i| better(i, j))),
                Standing::Dominated { by } => prop_assert!(better(*by, j) && standings[*by] == Standing::Front),
                Standing::Infeasible { reasons } => prop_assert!(!reasons.is_empty() && reasons.len() == broken(j)),
                Standing::Unmeasured { axis } => prop_assert!(broken(j) == 0 && missing(j) == Some(*axis)),
            }
        }

        let line = front_line(&points, [axes[0], axes[1]], &standings);
        prop_assert_eq!(line.len(), standings.iter().filter(|s| **s == Standing::Front).count());
        prop_assert!(line.is_sorted_by_key(|i| known(*i, 0).map(|v| v as i64)));
        if let Some(knee) = knee(&points, [axes[0], axes[1]], &line) {
            prop_assert!(line.contains(&knee));
        }
        let ranked = ranked(&points, axes[0], &limits);
        prop_assert!(ranked.windows(2).all(|w| !beats(w[1], w[0], &axes[0])));
        prop_assert_eq!(ranked.len(), (0..points.len()).filter(|i| {
            broken(*i) == 0 && known(*i, 0).is_some() && limits.iter().all(|l| known(*i, l.axis).is_some())
        }).count());
    }
}
