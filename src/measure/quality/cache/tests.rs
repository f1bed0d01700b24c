use super::super::testing::{self, near};
use super::*;
use proptest::prelude::*;

fn entry(row: &[f32], token: u32, head: usize, samples: usize, seed: u64) -> Entry {
    Entry::new(row, token, Shape { head, samples }, seed).unwrap()
}

#[test]
fn bounds_by_hand() {
    // p = 1/2, 1/8, 1/8, 1/8, 1/16, 1/16; the head is the first five; q has the last two the other way round
    let row = |powers: [i32; 6]| powers.map(|n| -n as f32 * std::f32::consts::LN_2);
    let (p, q) = (row([1, 3, 3, 3, 4, 4]), row([1, 3, 3, 4, 3, 4]));
    let (score, bounds) = entry(&p, 0, 5, 4, 0).score(&q).unwrap();
    // 1/8 ln 2 - 1/16 ln 2 in the head; a tail of one entry has no divergence within
    let exact = std::f64::consts::LN_2 / 16.0;
    assert!(near(bounds.low, exact, 1e-5) && near(bounds.estimate, exact, 1e-5) && near(bounds.high, exact, 1e-4), "{bounds:?}");
    assert!(score.same_top && score.rank_change() == 0 && score.delta_p.abs() < 1e-6);
}

#[test]
fn a_head_of_everything_is_exact() {
    let (r, c, token) = testing::rows(5, 300, 2.0);
    let (score, bounds) = entry(&r, token, 300, 8, 0).score(&c).unwrap();
    assert_eq!((bounds.low, bounds.high), (bounds.estimate, bounds.estimate));
    assert!((bounds.estimate - testing::kld(&r, &c)).abs() < ROUNDING);
    let direct = row::score(&r, &c, token).unwrap();
    assert!((direct.kld - score.kld).abs() < 4e-6);
    assert_eq!((direct.rank_ref, direct.top_cand, direct.same_top), (score.rank_ref, score.top_cand, score.same_top));
}

#[test]
fn estimates_are_unbiased() {
    for noise in [0.5, 2.0] {
        let (r, c, token) = testing::rows(11, 2000, noise);
        let exact = testing::kld(&r, &c);
        let n = 4000;
        let of = |seed| entry(&r, token, 16, 4, seed).score(&c).unwrap().1;
        let estimates: Vec<f64> = (0..n).map(|seed| of(seed).estimate).collect();
        let mean = super::super::stats::mean(&estimates).unwrap();
        let error = super::super::stats::stdev(&estimates).unwrap() / (n as f64).sqrt();
        assert!((mean - exact).abs() < 4.0 * error + 1e-6, "{mean} +- {error} for {exact}");
        assert!(of(0).low < 0.9 * exact, "and that is not because there is nothing to estimate: {:?} for {exact}", of(0));
    }
}

/// What a measurement makes of it: the mean over positions, where the lower bound alone would not do.
#[test]
fn a_mean_over_positions_is_within_a_per_cent() {
    let shape = Shape::default();
    let (mut exact, mut low, mut estimate, mut tail) = (0.0, 0.0, 0.0, 0.0);
    for seed in 0..300 {
        let (r, c, token) = testing::rows(seed, 4000, 1.0);
        let entry = Entry::new(&r, token, shape, seed).unwrap();
        let bounds = entry.score(&c).unwrap().1;
        exact += testing::kld(&r, &c);
        low += bounds.low;
        estimate += bounds.estimate;
        tail += entry.tail_mass() / 300.0;
    }
    assert!((estimate / exact - 1.0).abs() < 0.01, "{} with {tail} in the tail", estimate / exact);
    assert!(low / exact < 0.9, "{}", low / exact);
}

#[test]
fn masked_logits() {
    let (mut r, mut c, token) = testing::rows(2, 100, 1.0);
    let masked = (token as usize + 1) % 100;
    r[masked] = f32::NEG_INFINITY;
    let exact = testing::kld(&r, &c);
    for head in [5, 99, 100] {
        let bounds = entry(&r, token, head, 8, 0).score(&c).unwrap().1;
        assert!(bounds.low <= exact + ROUNDING && exact <= bounds.high + ROUNDING, "{bounds:?} {exact}");
    }
    c[masked] = f32::NEG_INFINITY;
    let bounds = entry(&r, token, 5, 8, 0).score(&c).unwrap().1;
    assert_eq!(bounds.high, f64::INFINITY, "a masked logit may stand where the reference has mass");
    assert!(bounds.estimate.is_finite());
    c[entry(&r, token, 5, 8, 0).head[1].0 as usize] = f32::NEG_INFINITY;
    assert!(matches!(entry(&r, token, 5, 8, 0).score(&c), Err(BadRow::Infinite)));
}

#[test]
fn other_vocabularies_are_refused() {
    let (r, c, token) = testing::rows(2, 100, 1.0);
    assert_eq!(entry(&r, token, 8, 2, 0).score(&c[..99]), Err(BadRow::Lengths { reference: 100, candidate: 99 }));
    assert_eq!(Entry::new(&r, 100, Shape::default(), 0), Err(BadRow::Token { token: 100, n_vocab: 100 }));
}

#[test]
fn a_candidate_without_a_tail() {
    let (r, _, _) = testing::rows(2, 200, 0.0);
    let order = testing::order(&r);
    let mut c = r.clone();
    for id in &order[10..] {
        c[*id as usize] = -60.0;
    }
    let (exact, bounds) = (testing::kld(&r, &c), entry(&r, order[0], 10, 8, 0).score(&c).unwrap().1);
    assert!(bounds.low <= exact + ROUNDING && exact <= bounds.high + ROUNDING, "{bounds:?} {exact}");
}

#[test]
fn entries_are_small_and_survive_json() {
    let (r, _, token) = testing::rows(2, 1000, 0.0);
    let entry = Entry::new(&r, token, Shape::default(), 9).unwrap();
    assert_eq!((entry.head.len(), entry.samples.len(), entry.token()), (64, 16, token));
    assert_eq!(serde_json::from_str::<Entry>(&serde_json::to_string(&entry).unwrap()).unwrap(), entry);
    assert!(Shape::default().bytes() < 1000, "200 MB hold over 200 000 positions: {}", Shape::default().bytes());
    assert_eq!(entry, Entry::new(&r, token, Shape::default(), 9).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_true_value_lies_between(
        seed in any::<u64>(), n in 6usize..500, head in 5usize..80, samples in 0usize..20, noise in 0f32..20.0
    ) {
        let (r, c, token) = testing::rows(seed, n, noise);
        let exact = testing::kld(&r, &c);
        let (score, bounds) = entry(&r, token, head, samples, seed).score(&c).unwrap();
        prop_assert!(bounds.low <= exact + ROUNDING, "{bounds:?} {exact}");
        prop_assert!(exact <= bounds.high + ROUNDING, "{bounds:?} {exact}");
        prop_assert!(0.0 <= bounds.low && bounds.low <= bounds.estimate && bounds.estimate <= bounds.high);
        let direct = row::score(&r, &c, token).unwrap();
        prop_assert!((direct.nll_ref - score.nll_ref).abs() < 1e-5 && (direct.nll_cand - score.nll_cand).abs() < 1e-5);
        prop_assert!((direct.delta_p - score.delta_p).abs() < 1e-6);
        prop_assert_eq!((direct.same_top, direct.rank_ref, direct.rank_cand), (score.same_top, score.rank_ref, score.rank_cand));
    }

    /// Unrelated rows: as far from a quantised model as it gets.
    #[test]
    fn even_for_unrelated_rows(a in any::<u64>(), b in any::<u64>(), n in 6usize..500, head in 5usize..80) {
        let ((r, _, token), (c, _, _)) = (testing::rows(a, n, 0.0), testing::rows(b, n, 0.0));
        let (exact, bounds) = (testing::kld(&r, &c), entry(&r, token, head, 4, a).score(&c).unwrap().1);
        prop_assert!(bounds.low <= exact + ROUNDING && exact <= bounds.high + ROUNDING, "{bounds:?} {exact}");
    }

    #[test]
    fn a_row_against_itself_is_nothing(seed in any::<u64>(), n in 6usize..500, head in 5usize..80) {
        let (r, _, token) = testing::rows(seed, n, 0.0);
        let bounds = entry(&r, token, head, 8, seed).score(&r).unwrap().1;
        prop_assert!(bounds.low < ROUNDING && bounds.estimate < ROUNDING, "{bounds:?}");
    }
}
