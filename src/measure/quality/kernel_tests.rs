use super::kernel::*;
use super::testing::{self, near};
use proptest::prelude::*;

#[test]
fn exponentials_are_as_good_as_libms() {
    let mut worst = 0f64;
    for i in 0..=873_000u32 {
        let x = -(i as f32) * 1e-4;
        worst = worst.max((f64::from(exp(x)) / f64::from(x).exp() - 1.0).abs());
    }
    assert!(worst < 1.5e-7, "{worst:e}");
    assert_eq!(exp(0.0), 1.0);
    assert_eq!((exp(-88.0), exp(f32::NEG_INFINITY)), (0.0, 0.0));
    assert!(exp(f32::NAN).is_nan());
}

#[test]
fn whole_numbers_order_as_logits_do() {
    let ascending = [f32::NEG_INFINITY, -3.5, -1e-40, -0.0, 0.0, 1e-40, 2.0, f32::INFINITY];
    let keys: Vec<i32> = ascending.iter().map(|v| ordered(v.to_bits().cast_signed())).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    assert!(ascending.iter().zip(&keys).all(|(v, k)| ordered(*k) == v.to_bits().cast_signed()));
}

#[test]
fn rows_without_a_maximum_show() {
    let max = |row: &[f32]| Scan::of(row, 0).unwrap().max;
    assert!(max(&[0.0, f32::NAN, 3.0]).is_nan());
    assert_eq!(max(&[f32::NEG_INFINITY; 3]), f32::NEG_INFINITY);
    assert_eq!(max(&[0.0, f32::INFINITY]), f32::INFINITY);
    assert!(sum_exp(&[0.0, -f32::NAN, -3.0], 0.0).is_nan());
    assert!(Scan::of(&[], 0).is_none() && Scan::of(&[1.0], 1).is_none());
    assert_eq!(smallest(&[]), f32::INFINITY);
}

#[test]
fn samples_of_the_tail_come_in_proportion() {
    let (row, _, token) = testing::rows(3, 500, 0.0);
    let scan = Scan::of(&row, token as usize).unwrap();
    let head = scan.top(&row, 8);
    let tail = Tail::of(&row, scan.max, &head);
    let (n, draws) = (4, 2000);
    let mut found = vec![0f64; row.len()];
    for j in 0..draws {
        let sample = tail.sample(&row, scan.max, head[7], n, f64::from(j) / f64::from(draws));
        assert_eq!(sample.len(), n);
        for (id, logit) in sample {
            assert_eq!(row[id as usize], logit);
            found[id as usize] += 1.0 / f64::from(draws);
        }
    }
    for (id, often) in found.iter().enumerate() {
        let in_head = head.iter().any(|(h, _)| *h as usize == id);
        let expected = if in_head { 0.0 } else { n as f64 * f64::from(exp(row[id] - scan.max)) / tail.mass };
        assert!((often - expected).abs() <= 1.5 * n as f64 / f64::from(draws), "{id}: {often} for {expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Few distinct values, so that there are ties; lengths around full blocks.
    #[test]
    fn comparisons_agree_with_sorting(
        values in prop::collection::vec(-4i8..4, 1..300), k in 0usize..80, at in any::<prop::sample::Index>()
    ) {
        let row: Vec<f32> = values.iter().map(|v| f32::from(*v) / 2.0).collect();
        let token = at.index(row.len());
        let order = testing::order(&row);
        let scan = Scan::of(&row, token).unwrap();
        prop_assert_eq!(scan.rank as usize, 1 + order.iter().position(|id| *id as usize == token).unwrap());
        prop_assert_eq!(scan.max, row[order[0] as usize]);
        prop_assert_eq!(smallest(&row), row[*order.last().unwrap() as usize]);
        let top: Vec<u32> = scan.top(&row, k).iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(&top[..], &order[..k.min(row.len())]);
    }

    #[test]
    fn sums_agree_with_f64(seed in any::<u64>(), n in 5usize..400, k in 1usize..20) {
        let (r, c, token) = testing::rows(seed, n, 4.0);
        let scan = Scan::of(&r, token as usize).unwrap();
        let candidate_max = c.iter().copied().fold(f32::MIN, f32::max);
        let e = |v: f32, max: f32| f64::from(v - max).exp();
        let sum: f64 = r.iter().map(|v| e(*v, scan.max)).sum();
        prop_assert!(near(sum_exp(&r, scan.max), sum, 1e-6));
        let all = sums(&r, scan.max, &c, candidate_max);
        prop_assert_eq!(all.reference, sum_exp(&r, scan.max));
        prop_assert_eq!(all.candidate, sum_exp(&c, candidate_max));
        let terms = r.iter().zip(&c).map(|(r, c)| e(*r, scan.max) * f64::from((r - scan.max) - (c - candidate_max)));
        let (cross, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
        prop_assert!((all.cross - cross).abs() <= 1e-6 * size, "{} {cross}", all.cross);

        let head = scan.top(&r, k.min(n));
        let tail = Tail::of(&r, scan.max, &head);
        let rest: Vec<f32> = testing::order(&r).iter().skip(k).map(|id| r[*id as usize]).collect();
        prop_assert!(near(tail.mass, rest.iter().map(|v| e(*v, scan.max)).sum(), 1e-6));
        prop_assert!(near(tail.weighted, rest.iter().map(|v| e(*v, scan.max) * f64::from(v - scan.max)).sum(), 1e-5));
    }
}
