use super::*;
use crate::measure::stats::Draws;
use crate::protocol::{BenchTest, Design, Workload};

fn run(decode: &[f64]) -> Run {
    let workload = Workload::Bench { test: BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 } };
    let mut run = Run::new(Design::for_model("m.gguf"), workload, 0);
    run.samples.insert(Metric::DecodeTps, decode.to_vec());
    run
}

#[test]
fn runs_apart_are_compared_as_such() {
    let found = figures(&run(&[100.0, 101.0, 99.0, 100.5]), &run(&[80.0, 81.0, 79.0]));
    let [decode] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((decode.how, decode.verdict, decode.is_better()), (How::Unpaired, Some(Verdict::Lower), Some(false)));
    assert!((decode.ratio.unwrap() - 0.799).abs() < 0.001, "{decode:?}");
    assert!(decode.reason.starts_with("Lower by 20.1 %") && decode.reason.contains("not measured in turns"), "{}", decode.reason);
    let same = &figures(&run(&[100.0, 103.0, 98.0]), &run(&[101.0, 97.0, 102.0]))[0];
    assert_eq!((same.verdict, same.is_better()), (Some(Verdict::NotDistinguishable), None));
}

#[test]
fn welch_gives_the_textbook_interval() {
    // ln: means 0 and 1, standard errors 0.5 and 0.25 of three and five values; df by hand 3.0
    let values = |centre: f64, spread: f64, n: usize| -> Vec<f64> {
        (0..n).map(|i| (centre + spread * (i as f64 - (n - 1) as f64 / 2.0)).exp()).collect()
    };
    let (ratio, interval) = welch(&values(0.0, 0.866_025_4, 3), &values(1.0, 0.353_553_4, 5), 0.1).unwrap();
    assert!((ratio.ln() - 1.0).abs() < 1e-6);
    // half of alpha is used: t(0.95 two-sided, df 3) = 3.182; standard error sqrt(0.25 + 0.0625)
    let half = interval.high.ln() - 1.0;
    let df = (0.25_f64 + 0.0625).powi(2) / (0.25_f64.powi(2) / 2.0 + 0.0625_f64.powi(2) / 4.0);
    assert!((df.floor() - 3.0).abs() < 0.5 || (df.floor() - 2.0).abs() < 0.5, "{df}");
    let t = [f64::NAN, 12.706, 4.303, 3.182][df.floor() as usize];
    assert!((half - t * 0.3125_f64.sqrt()).abs() < 2e-3, "{half} {df}");
}

/// Two runs of one design under independent noise are called different in at most 5 %, whatever their sizes.
#[test]
fn equal_runs_are_seldom_called_different() {
    let mut draws = Draws(7);
    let mut unit = move || ((draws.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let mut normal = move || (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
    for (n, m) in [(3, 3), (5, 5), (3, 12), (10, 10)] {
        let mut sample = |n: usize, spread: f64| (0..n).map(|_| 100.0 * (spread * normal()).exp()).collect::<Vec<f64>>();
        let wrong = (0..4000)
            .filter(|_| {
                let (a, b) = (run(&sample(n, 0.03)), run(&sample(m, 0.01)));
                figures(&a, &b)[0].is_better().is_some()
            })
            .count();
        assert!(wrong <= 200, "{wrong} of 4000 at {n} and {m}");
    }
}

#[test]
fn runs_of_one_group_are_compared_in_their_blocks() {
    // a drift far larger than the difference: only pairs see through it
    let drift: Vec<f64> = (0..10).map(|i| 100.0 - 5.0 * f64::from(i)).collect();
    let (mut a, mut b) = (run(&drift), run(&drift.iter().map(|v| v * 1.02).collect::<Vec<_>>()));
    assert_eq!(figures(&a, &b)[0].verdict, Some(Verdict::NotDistinguishable));
    for run in [&mut a, &mut b] {
        run.group = "sweep 1".into();
        run.blocks = (0..10).collect();
    }
    let found = &figures(&a, &b)[0];
    assert_eq!((found.how, found.verdict, found.is_better()), (How::Paired, Some(Verdict::Higher), Some(true)));
    assert!((found.ratio.unwrap() - 1.02).abs() < 1e-9);
    // a block that one of them does not have is left out
    b.blocks[0] = 99;
    assert!(figures(&a, &b)[0].reason.contains("9 pairs"));
    b.group = "sweep 2".into();
    assert_eq!(figures(&a, &b)[0].how, How::Unpaired);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let mut a = run(&[1.0, 2.0]);
    a.samples.insert(Metric::PeakMemory, vec![100.0]);
    a.samples.insert(Metric::Kld, vec![0.0, 0.0, 0.0]);
    let mut b = run(&[1.0, 2.0, 3.0]);
    b.samples.insert(Metric::PeakMemory, vec![50.0]);
    b.samples.insert(Metric::Kld, vec![0.1, 0.1, 0.1]);
    b.samples.insert(Metric::TtftMs, vec![9.0]);
    let found = figures(&a, &b);
    let by = |metric| found.iter().find(|figure| figure.metric == metric).unwrap();
    assert!(found.iter().all(|figure| figure.how == How::NotTested && figure.verdict.is_none() && !figure.reason.is_empty()));
    assert_eq!(by(Metric::PeakMemory).ratio, Some(0.5));
    assert_eq!((by(Metric::TtftMs).ratio, by(Metric::Kld).ratio), (None, None));
    b.workload = Workload::Bench { test: BenchTest { n_prompt: 512, n_gen: 0, n_depth: 0 } };
    assert!(figures(&a, &b)[0].reason.contains("different work"));
}

#[test]
fn environments_are_told_apart_in_words() {
    let (mut a, mut b) = (run(&[1.0]), run(&[1.0]));
    assert_eq!(environments(&a, &b), [] as [String; 0]);
    a.environment.engine_build = "b1".into();
    b.environment.engine_build = "b2".into();
    (a.environment.memory, b.environment.memory) = (8 << 30, 16 << 30);
    b.environment.governor = "performance".into();
    assert_eq!(
        environments(&a, &b),
        [
            format!("memory {} to {}", crate::measure::format::bytes(8 << 30), crate::measure::format::bytes(16 << 30)),
            "engine build b1 to b2".into()
        ]
    );
}
