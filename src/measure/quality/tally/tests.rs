use super::super::testing::{Draws, near};
use super::*;

/// Scores of given figures: those that a tally looks at.
fn token(nll_ref: f32, nll_cand: f32, kld: f32, delta_p: f32, same_top: bool) -> TokenScore {
    let top = [(0, 0.0); super::super::row::TOP];
    TokenScore { nll_ref, nll_cand, kld, delta_p, same_top, rank_ref: 1, rank_cand: 1, top_ref: top, top_cand: top }
}

fn generated(n: usize) -> Vec<TokenScore> {
    let mut draws = Draws(7);
    let one = |_| {
        let nll_ref = draws.bell() / 2.0;
        let nll_cand = nll_ref + draws.even(30000.0, 262_144.0);
        let q = draws.bell();
        let delta_p = draws.even(33000.0, 262_144.0);
        token(nll_ref, nll_cand, q * q / 64.0, delta_p, !draws.next().is_multiple_of(10))
    };
    (0..n).map(one).collect()
}

fn tally(scores: &[TokenScore]) -> Tally {
    let mut tally = Tally::default();
    scores.iter().for_each(|s| tally.add(s));
    tally
}

fn list(p: &Percentiles) -> [f32; 13] {
    [p.min, p.p0_1, p.p1, p.p5, p.p10, p.p25, p.median, p.p75, p.p90, p.p95, p.p99, p.p99_9, p.max]
}

/// What the statistics of llama.cpp b11434's `kl_divergence` make of the same figures.
struct Golden {
    n: usize,
    figures: [(f64, f64); 9],
    correlation: f64,
    kld: [f32; 13],
    delta_p: [f32; 13],
}

#[expect(clippy::excessive_precision, reason = "nine digits name an f32")]
const GOLDEN: [Golden; 2] = [
    Golden {
        n: 101,
        figures: [
            (50.1176739, 5.66742105),
            (49.2695198, 5.59614661),
            (0.0170680886, 0.00674970228),
            (1.01721458, 0.00686589558),
            (0.848154126, 0.341992672),
            (1.05898741, 0.0519673956),
            (-0.00351095672, 0.00683591833),
            (0.068449286, 0.00318471233),
            (0.891089109, 0.0311527381),
        ],
        correlation: 0.998236223,
        kld: [
            0.186933264,
            0.189241514,
            0.210015833,
            0.301639557,
            0.415843546,
            0.610327721,
            0.967717826,
            1.400226,
            1.76815403,
            2.01658988,
            2.17467523,
            2.28858161,
            2.30123758,
        ],
        delta_p: [
            -0.124698639,
            -0.124451064,
            -0.1222229,
            -0.102794647,
            -0.0908241272,
            -0.0628242493,
            0.000293731689,
            0.0510025024,
            0.0938529968,
            0.105537415,
            0.122123718,
            0.123830035,
            0.124019623,
        ],
    },
    Golden {
        n: 2500,
        figures: [
            (55.3559299, 1.30304466),
            (54.8576615, 1.28870659),
            (0.00904192963, 0.00143314996),
            (1.00908293, 0.00144616716),
            (0.498268374, 0.0802236842),
            (1.08919582, 0.0116320163),
            (-0.0026677536, 0.00143412699),
            (0.0717416251, 0.000645709343),
            (0.896, 0.0061064323),
        ],
        correlation: 0.998144919,
        kld: [
            0.0303569585,
            0.0529594496,
            0.138213143,
            0.273158401,
            0.390090585,
            0.65274781,
            1.01508641,
            1.43815768,
            1.89534235,
            2.13767481,
            2.67188239,
            3.19726849,
            3.38988352,
        ],
        delta_p: [
            -0.125869751,
            -0.125650406,
            -0.123131566,
            -0.11251583,
            -0.100421526,
            -0.0644397736,
            -0.0050907135,
            0.0566797256,
            0.0984485596,
            0.11198464,
            0.121959731,
            0.123909004,
            0.124019623,
        ],
    },
];

#[test]
fn the_figures_are_llama_perplexitys() {
    for golden in GOLDEN {
        let q = tally(&generated(golden.n)).quality().unwrap();
        let r = q.running;
        let ours = [r.ppl, r.ppl_ref, r.ln_ratio, q.ratio, q.difference, r.kld, r.delta_p, r.delta_p_rms, r.same_top];
        for (i, (ours, (value, error))) in ours.iter().zip(golden.figures).enumerate() {
            // llama.cpp squares losses in f32, which shows where the errors of two perplexities cancel
            assert!(near(ours.value, value, 1e-6) && near(ours.error.unwrap(), error, 2e-5), "{i}: {ours:?} for {value} +- {error}");
        }
        assert!(near(q.correlation.unwrap(), golden.correlation, 1e-6));
        assert_eq!(list(&q.kld_percentiles), golden.kld, "to the last bit");
        assert_eq!(list(&q.delta_p_percentiles), golden.delta_p);
    }
}

#[test]
fn a_tally_by_hand() {
    // a = 1, 3 and b = 1, 2 six times each: E[a] = 2, E[b] = 1.5, E[ab] = 3.5, cov = 0.5 / 11, variances 1 and 0.25
    let scores: Vec<TokenScore> =
        (0..12).map(|i| if i % 2 == 0 { token(1.0, 1.0, 0.0, 0.5, true) } else { token(2.0, 3.0, 1.0, -0.5, i == 1) }).collect();
    let q = tally(&scores).quality().unwrap();
    let (one, quarter) = ((1.0f64 / 11.0).sqrt(), (0.25f64 / 11.0).sqrt());
    assert!(near(q.running.ppl.value, 2f64.exp(), 1e-12) && near(q.running.ppl.error.unwrap(), 2f64.exp() * one, 1e-12));
    assert!(near(q.running.ppl_ref.value, 1.5f64.exp(), 1e-12));
    assert!(near(q.running.ln_ratio.value, 0.5, 1e-12));
    assert!(near(q.running.ln_ratio.error.unwrap(), ((1.0 + 0.25 - 1.0) / 11.0f64).sqrt(), 1e-12));
    assert!(near(q.correlation.unwrap(), 0.5 / 11.0 / (one * quarter), 1e-12), "both rise and fall together: 1");
    assert!(near(q.running.kld.value, 0.5, 1e-12));
    assert_eq!((q.running.delta_p.value, q.running.delta_p_rms.value, q.running.delta_p_rms.error), (0.0, 0.5, Some(0.0)));
    assert!(near(q.running.same_top.value, 7.0 / 12.0, 1e-12));
    assert_eq!(list(&q.kld_percentiles), [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
}

#[test]
fn nothing_is_said_about_nothing() {
    assert_eq!(Tally::default().running(), None);
    assert_eq!(Tally::default().quality(), None);
    assert!(!Tally::default().tight_enough(1e9));
    assert_eq!(Perplexity::default().estimate(), None);
    let few = tally(&generated(10)).quality().unwrap();
    assert_eq!((few.running.kld.error, few.ratio.error, few.correlation, few.running.kld.interval()), (None, None, None, None));
    assert_eq!(tally(&generated(1)).quality().unwrap().running.tokens, 1);
    assert!(tally(&generated(11)).running().unwrap().kld.error.is_some());
}

#[test]
fn a_design_against_itself() {
    let mut scores = generated(300);
    for s in &mut scores {
        *s = token(s.nll_ref, s.nll_ref, 0.0, 0.0, true);
    }
    let tally = tally(&scores);
    let q = tally.quality().unwrap();
    let zero = Estimate { value: 0.0, error: Some(0.0) };
    assert_eq!((q.running.kld, q.running.delta_p, q.running.delta_p_rms), (zero, zero, zero));
    assert_eq!(q.running.same_top, Estimate { value: 1.0, error: Some(0.0) });
    assert!(q.running.ln_ratio.value == 0.0 && q.running.ln_ratio.error.unwrap() < 1e-7, "no root of a negative number");
    assert!(near(q.correlation.unwrap(), 1.0, 1e-9));
    assert!(tally.tight_enough(0.01));
    let constant = super::tests::tally(&[token(1.0, 1.0, 0.0, 0.0, true); 20]);
    assert_eq!(constant.quality().unwrap().correlation, None, "nothing varies");
}

#[test]
fn parts_add_up() {
    let scores = generated(1000);
    let (first, second) = scores.split_at(389);
    let mut merged = tally(first);
    merged.merge(&tally(second));
    let (merged, whole) = (merged.quality().unwrap(), tally(&scores).quality().unwrap());
    assert_eq!(merged.kld_percentiles, whole.kld_percentiles);
    assert_eq!(merged.running.same_top, whole.running.same_top);
    assert!(near(merged.running.kld.value, whole.running.kld.value, 1e-12));
    assert!(near(merged.difference.error.unwrap(), whole.difference.error.unwrap(), 1e-9));
}

#[test]
fn stops_when_the_interval_is_tight() {
    let scores = generated(2500);
    let kld = tally(&scores).running().unwrap().kld;
    let interval = kld.interval().unwrap();
    let half = (interval.high - interval.low) / 2.0 / kld.value;
    assert!(near(half, 1.959964 * 0.0116320163 / 1.08919582, 1e-4) && interval.level == 0.95);
    assert!(tally(&scores).tight_enough(half * 1.001) && !tally(&scores).tight_enough(half * 0.999));
    assert!(!tally(&scores[..99]).tight_enough(1e9), "too few");
    assert!(tally(&scores[..100]).tight_enough(1e9));
}

#[test]
fn survives_json() {
    let quality = tally(&generated(150)).quality().unwrap();
    let text = serde_json::to_string(&quality).unwrap();
    assert_eq!(serde_json::from_str::<Quality>(&text).unwrap(), quality);
    assert!(text.starts_with(r#"{"tokens":150,"ppl":{"value":"#), "{text}");
}
