use super::super::tally::{Perplexity, Tally};
use super::super::testing::{self, near};
use super::*;
use proptest::prelude::*;

/// p = 1/2, 1/4, 1/8, 1/16, 1/16 and q = 1/4, 1/2, 1/16, 1/16, 1/8, with different constants added to the logits.
fn halves() -> (Vec<f32>, Vec<f32>) {
    let row = |powers: [i32; 5], constant: f32| powers.iter().map(|n| constant - *n as f32 * std::f32::consts::LN_2).collect();
    (row([1, 2, 3, 4, 4], 3.0), row([2, 1, 4, 4, 3], -7.5))
}

#[test]
fn a_position_by_hand() {
    let (p, q) = halves();
    let score = score(&p, &q, 1).unwrap();
    // 1/2 ln 2 - 1/4 ln 2 + 1/8 ln 2 + 0 - 1/16 ln 2
    let ln2 = f64::from(std::f32::consts::LN_2);
    assert!(near(f64::from(score.kld), 5.0 / 16.0 * ln2, 1e-6), "{}", score.kld);
    assert!(near(f64::from(score.nll_ref), 2.0 * ln2, 1e-6));
    assert!(near(f64::from(score.nll_cand), ln2, 1e-6));
    assert!(near(f64::from(score.delta_p), 0.25, 1e-6));
    assert!(!score.same_top);
    assert_eq!((score.rank_ref, score.rank_cand, score.rank_change()), (2, 1, -1));
    let ids = |top: [(u32, f32); TOP]| top.map(|(id, _)| id);
    assert_eq!(ids(score.top_ref), [0, 1, 2, 3, 4], "the lower id first among equals");
    assert_eq!(ids(score.top_cand), [1, 0, 4, 2, 3]);
    assert!(near(f64::from(score.top_cand[0].1), 0.5, 1e-6));
    assert!(near(score.top_ref.iter().map(|(_, p)| f64::from(*p)).sum(), 1.0, 1e-6));
    assert!(near(loss(&p, 1).unwrap().log_sum_exp, 3.0, 1e-6), "the constant is all there is");
}

#[test]
fn bad_rows_are_told_apart() {
    let (p, q) = halves();
    assert_eq!(score(&p, &q[..4], 0), Err(BadRow::Lengths { reference: 5, candidate: 4 }));
    assert_eq!(score(&p[..4], &q[..4], 0), Err(BadRow::Size(4)));
    assert_eq!(loss(&[], 0), Err(BadRow::Size(0)));
    assert_eq!(score(&p, &q, 5), Err(BadRow::Token { token: 5, n_vocab: 5 }));
    for bad in [f32::NAN, -f32::NAN, f32::INFINITY] {
        for at in 0..5 {
            let mut row = q.clone();
            row[at] = bad;
            assert_eq!(score(&p, &row, 2), Err(BadRow::NotANumber), "{bad} at {at}");
            assert_eq!(score(&row, &p, 2), Err(BadRow::NotANumber), "{bad} at {at}");
        }
    }
    assert_eq!(loss(&[f32::NEG_INFINITY; 5], 0), Err(BadRow::NotANumber));
    assert!(BadRow::Lengths { reference: 5, candidate: 4 }.to_string().contains("5 and 4"));
}

#[test]
fn masked_logits() {
    let (mut p, mut q) = halves();
    p[4] = f32::NEG_INFINITY;
    let reference_masks = score(&p, &q, 0).unwrap();
    assert!(near(f64::from(reference_masks.kld), testing::kld(&p, &q), 1e-6), "0 ln 0 is 0");
    q[4] = f32::NEG_INFINITY;
    assert!(near(f64::from(score(&p, &q, 0).unwrap().kld), testing::kld(&p, &q), 1e-6));
    assert_eq!(loss(&p, 4), Err(BadRow::Infinite), "the token that came next is masked");
    p[4] = 0.0;
    assert_eq!(score(&p, &q, 0), Err(BadRow::Infinite), "the candidate rules out what the reference allows");
}

/// llama.cpp b11434's own functions on the same rows, compiled from `tools/perplexity/perplexity.cpp`: token, loss of the reference
/// (`log_softmax` that writes the file), of the candidate (`log_softmax` of `perplexity`), KL divergence and change of probability against
/// the 16-bit reference.
const GOLDEN: [(u32, f64, f64, f64, f64); 4] = [
    (484, 1.99734879, 1.9623258, 0.0360695799, 0.0048365891),
    (888, 1.31760788, 1.37705175, 0.022674012, -0.0154538751),
    (961, 5.47302055, 5.1725712, 0.0305175486, 0.00147173647),
    (871, 6.54977798, 6.82490978, 0.0274382257, -0.000344117288),
];

#[test]
fn positions_as_llama_perplexity_scores_them() {
    for (seed, (token, nll_ref, nll_cand, kld, delta_p)) in (1000..).zip(GOLDEN) {
        let (r, c, drawn) = testing::rows(seed, 1000, 1.0);
        assert_eq!(drawn, token);
        let score = score(&r, &c, token).unwrap();
        assert!(near(f64::from(score.nll_ref), nll_ref, 1e-6) && near(f64::from(score.nll_cand), nll_cand, 1e-6), "{score:?}");
        // its reference is rounded to steps of 2.4e-4
        assert!((f64::from(score.kld) - kld).abs() < 2e-4, "{} {kld}", score.kld);
        assert!((f64::from(score.delta_p) - delta_p).abs() < 1.5e-4, "{} {delta_p}", score.delta_p);
    }
}

#[test]
fn figures_of_400_positions_as_llama_perplexity_has_them() {
    let (mut tally, mut reference, mut candidate) = (Tally::default(), Perplexity::default(), Perplexity::default());
    for seed in 1000..1400 {
        let (r, c, token) = testing::rows(seed, 1000, 1.0);
        tally.add(&score(&r, &c, token).unwrap());
        reference.add(loss(&r, token).unwrap().nll);
        candidate.add(loss(&c, token).unwrap().nll);
    }
    // perplexity()
    let (reference, candidate) = (reference.estimate().unwrap(), candidate.estimate().unwrap());
    assert!(near(reference.value, 59.0254306, 1e-7) && near(candidate.value, 60.8395116, 1e-7), "{reference:?} {candidate:?}");
    assert!(near(candidate.error.unwrap(), 4.95034903, 1e-6));
    // kl_divergence()
    let quality = tally.quality().unwrap();
    let figures = [
        ("ppl", quality.running.ppl, 60.839514, 4.95034933),
        ("ppl_ref", quality.running.ppl_ref, 59.0251361, 4.66279786),
        ("ln_ratio", quality.running.ln_ratio, 0.0302760911, 0.0150579073),
        ("kld", quality.running.kld, 0.0359228231, 0.000591450502),
        ("delta_p", quality.running.delta_p, 0.00100542671, 0.00104328911),
        ("rms", quality.running.delta_p_rms, 0.0208639234, 0.00167144956),
        ("same_top", quality.running.same_top, 0.8425, 0.0182363864),
    ];
    for (name, ours, value, error) in figures {
        assert!(near(ours.value, value, 1e-3) && near(ours.error.unwrap(), error, 1e-2), "{name}: {ours:?} for {value} +- {error}");
    }
    assert!(near(quality.correlation.unwrap(), 0.982799515, 1e-4));
}

#[test]
fn survives_json() {
    let (r, c, token) = testing::rows(1, 100, 1.0);
    let score = score(&r, &c, token).unwrap();
    assert_eq!(serde_json::from_str::<TokenScore>(&serde_json::to_string(&score).unwrap()).unwrap(), score);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_f64(seed in any::<u64>(), n in 5usize..600, noise in 0f32..8.0) {
        let (r, c, token) = testing::rows(seed, n, noise);
        let score = score(&r, &c, token).unwrap();
        let (p, q) = (testing::log_softmax(&r), testing::log_softmax(&c));
        let (ln_p, ln_q) = (p[token as usize], q[token as usize]);
        prop_assert!((f64::from(score.kld) - testing::kld(&r, &c)).abs() < 2e-6, "{} {}", score.kld, testing::kld(&r, &c));
        prop_assert!(score.kld >= 0.0);
        prop_assert!(near(f64::from(score.nll_ref), -ln_p, 1e-5) && near(f64::from(score.nll_cand), -ln_q, 1e-5));
        prop_assert!((f64::from(score.delta_p) - (ln_q.exp() - ln_p.exp())).abs() < 1e-6);
        let (ref_order, cand_order) = (testing::order(&r), testing::order(&c));
        prop_assert_eq!(score.same_top, ref_order[0] == cand_order[0]);
        prop_assert_eq!(cand_order[score.rank_cand as usize - 1], token);
        for (at, (id, probability)) in score.top_ref.iter().enumerate() {
            prop_assert_eq!(*id, ref_order[at]);
            prop_assert!((f64::from(*probability) - p[*id as usize].exp()).abs() < 1e-6);
        }
    }

    #[test]
    fn a_row_against_itself_is_nothing(seed in any::<u64>(), n in 5usize..600) {
        let (r, _, token) = testing::rows(seed, n, 0.0);
        let score = score(&r, &r, token).unwrap();
        prop_assert_eq!((score.kld, score.delta_p, score.same_top, score.rank_change()), (0.0, 0.0, true, 0));
    }

    #[test]
    fn constants_do_not_matter(seed in any::<u64>(), n in 5usize..300, constant in -50f32..50.0) {
        let (r, c, token) = testing::rows(seed, n, 1.0);
        let moved: Vec<f32> = c.iter().map(|v| v + constant).collect();
        let (a, b) = (score(&r, &c, token).unwrap(), score(&r, &moved, token).unwrap());
        prop_assert!((a.kld - b.kld).abs() < 1e-5 && (a.nll_cand - b.nll_cand).abs() < 1e-5, "{a:?} {b:?}");
        let scaled = Known::of(&r, token).unwrap().score(&r, &moved).unwrap();
        prop_assert_eq!(scaled, b, "a reference used again gives the same");
    }
}
