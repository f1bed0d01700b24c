use super::testing::{around, bench, decode, quality};
use super::*;
use crate::protocol::{BenchTest, ErrorKind, Workload};
use proptest::prelude::*;

fn ladder() -> Vec<Run> {
    let mut runs = vec![
        decode("F16", &[100.0; 6], 547.0),
        decode("Q8_0", &around(149.1, 1), 426.0),
        decode("Q6_K", &around(148.9, 2), 420.0),
        decode("Q4_1", &around(109.5, 3), 382.0),
        decode("IQ4_NL", &around(199.7, 4), 376.0),
    ];
    for (quant, kld) in [("Q8_0", 0.005), ("Q6_K", 0.006), ("Q4_1", 0.09), ("IQ4_NL", 0.185)] {
        runs.push(quality(quant, kld));
    }
    runs
}

fn ask(y: Metric, limits: &[&str]) -> Question {
    Question { y, limits: limits.iter().map(|text| MetricLimit::parse(text).unwrap()).collect(), ..Question::default() }
}

fn current() -> Design {
    Design { threads: 2, ..Design::for_model("/models/m.Q4_1.gguf") }
}

fn named<'a>(board: &'a Board, name: &str) -> &'a Row {
    board.rows.iter().find(|row| row.label.text() == name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn names_the_best_under_the_limits_and_what_cannot_be_told_from_it() {
    let board = Board::new(&ladder(), ask(Metric::Kld, &["KLD <= 0.1"]), &[current()]);
    let answer = board.answer.as_ref().unwrap();
    assert_eq!(board.rows[answer.best].label.text(), "Q8_0");
    assert_eq!(answer.same.iter().map(|(row, _)| board.rows[*row].label.text()).collect::<Vec<_>>(), ["Q6_K"]);
    assert!(answer.unpaired.is_empty());
    let words = board.against_current().unwrap();
    assert!(words.starts_with("1.36x the current Q4_1 in decode, 1.3"), "{words}");
    assert!(board.same_as_best()[0].starts_with("Q6_K is not distinguishable in decode (-"), "{:?}", board.same_as_best());
    assert_eq!(board.reason(named(&board, "IQ4_NL")), "KLD 0.185 is over the limit of 0.1");
    assert_eq!(board.reason(named(&board, "F16")), "KLD was not measured");
    assert_eq!(board.reason(named(&board, "Q4_1")), "Dominated: Q8_0 is at least as good in decode and KLD");
    assert_eq!(named(&board, "Q8_0").standing, Standing::Front);
    assert_eq!(board.cell_name(Metric::DecodeTps), "tg128");
    assert_eq!(board.why_no_best(), None);
}

#[test]
fn says_why_there_is_no_best() {
    let board = |limits: &[&str]| Board::new(&ladder(), ask(Metric::PeakMemory, limits), &[]);
    assert_eq!(board(&["ttft <= 800 ms"]).why_no_best().as_deref(), Some("TTFT was not measured for any design"));
    assert_eq!(board(&["memory <= 10 MB"]).why_no_best().as_deref(), Some("No design keeps to every limit"));
    assert_eq!(Board::new(&[], Question::default(), &[]).why_no_best(), None);
    let sentence = board(&["memory <= 400 MB", "decode >= 120"]).reason(&board(&["memory <= 400 MB", "decode >= 120"]).rows[0]);
    assert_eq!(sentence, "Memory 547 MB is over the limit of 400 MB, and decode 100.0 t/s is under the limit of 120 t/s");
}

#[test]
fn joins_the_runs_of_a_design_and_labels_only_what_differs() {
    let mut prefill = bench("Q8_0", 512, 0, &[(Metric::PrefillTps, &[500.0, 501.0, 502.0])]);
    prefill.design.sampler.temperature = Some(0.1);
    let mut one = decode("Q8_0", &around(80.0, 1), 420.0);
    one.design.threads = 1;
    let runs = [decode("Q8_0", &around(149.0, 0), 426.0), prefill, one];
    let board = Board::new(&runs, Question::default(), &[]);
    let names: Vec<String> = board.rows.iter().map(|row| row.label.text()).collect();
    assert_eq!(names, ["Q8_0, 2 threads", "Q8_0, 1 thread"], "the sampler does not make another design");
    assert_eq!(board.rows[0].runs, [0, 1]);
    assert_eq!(board.rows[0].value(Metric::PrefillTps), Some(501.0));
    assert_eq!(board.rows[0].value(Metric::FileSize), Some(100e6));
    assert_eq!(board.rows[1].value(Metric::PrefillTps), None);
}

#[test]
fn depths_and_machines_are_apart_and_cells_are_not_mixed() {
    let mut deep = decode("Q8_0", &around(120.0, 2), 430.0);
    deep.workload = Workload::Bench { test: BenchTest { n_prompt: 0, n_gen: 128, n_depth: 1024 } };
    let mut other = decode("Q8_0", &around(90.0, 2), 430.0);
    other.environment.cpu = "Another".into();
    // one row has a cell that the others do not: its figure does not stand in for theirs
    let short = bench("Q6_K", 0, 16, &[(Metric::DecodeTps, &[300.0, 301.0, 302.0])]);
    let runs = [decode("Q8_0", &around(149.0, 0), 426.0), deep, other, short];
    let board = Board::new(&runs, Question::default(), &[]);
    let names: Vec<String> = board.rows.iter().map(|row| row.label.text()).collect();
    assert_eq!(names[0], "Q8_0, depth 0, on A processor");
    assert_eq!(names[1], "Q8_0, depth 1024, on A processor");
    assert_eq!(names[2], "Q8_0, depth 0, on Another");
    assert_eq!(board.rows[3].value(Metric::DecodeTps), None);
    assert_eq!(board.cells[&Metric::DecodeTps], (0, 128));
}

#[test]
fn a_file_is_known_by_its_fingerprint() {
    let of = |run: Run, hash: &str, started_ms: i64| {
        let mut run = Run { started_ms, ..run };
        run.environment.model_hash = hash.into();
        run
    };
    let fast = |hash, at| of(decode("Q8_0", &around(149.0, 0), 426.0), hash, at);
    let mut moved = fast("aaaaaaaabbbbbbbb", 2);
    moved.design.model = "/elsewhere/m.Q8_0.gguf".into();
    let old = fast("aaaaaaaabbbbbbbb", 1);
    let scored = of(quality("Q8_0", 0.005), "aaaaaaaabbbbbbbb", 3);
    let board = Board::new(&[old.clone(), moved, scored.clone()], Question::default(), &[]);
    assert_eq!(board.rows.len(), 1, "a file that was moved is the same");
    assert_eq!((board.rows[0].label.text().as_str(), board.rows[0].value(Metric::Kld)), ("Q8_0", Some(0.005)));

    // made anew under its name, and once more by a version that took no fingerprints
    let new = fast("ccccccccdddddddd", 4);
    let board = Board::new(&[old, scored, new, fast("", 5)], Question::default(), &[]);
    let names: Vec<String> = board.rows.iter().map(|row| row.label.text()).collect();
    assert_eq!(names, ["Q8_0, file aaaaaa", "Q8_0, file cccccc"]);
    assert_eq!(board.rows.iter().map(|row| row.value(Metric::Kld)).collect::<Vec<_>>(), [Some(0.005), None]);
    let here = Design { threads: 2, ..Design::for_model("/models/m.Q8_0.gguf") };
    let rows: Vec<Run> = [("aaaaaaaabbbbbbbb", 1), ("ccccccccdddddddd", 4)].map(|(hash, at)| fast(hash, at)).into();
    assert_eq!(Board::new(&rows, Question::default(), &[here]).current, Some(1), "the one that lies there now");
}

#[test]
fn the_newest_measurement_stands_and_pairs_are_of_one_group() {
    let mut again = decode("Q8_0", &around(160.0, 3), 440.0);
    (again.started_ms, again.group) = (10, "later".into());
    let runs = [decode("Q8_0", &around(100.0, 0), 426.0), again, decode("Q6_K", &around(150.0, 1), 420.0)];
    let board = Board::new(&runs, Question::default(), &[]);
    assert!((board.rows[0].value(Metric::DecodeTps).unwrap() - 160.0).abs() < 1.0);
    assert_eq!(board.rows[0].value(Metric::PeakMemory), Some(440e6));
    // side by side they were only in the first group, where the other one was faster
    let comparison = board.compare(0, 1, Metric::DecodeTps, 1).unwrap();
    assert_eq!(comparison.verdict, Verdict::Lower);
    let alone: Vec<Run> = runs.iter().cloned().map(|run| Run { group: String::new(), ..run }).collect();
    let board = Board::new(&alone, Question::default(), &[]);
    assert_eq!(board.answer.as_ref().unwrap().unpaired, [1]);
    assert_eq!(board.same_as_best(), ["Q6_K was not measured side by side with it"]);
}

#[test]
fn a_failure_is_a_row_until_it_is_measured_anew() {
    let mut failed = bench("Q8_0", 0, 128, &[]);
    failed.failure = Some(EngineError::new(ErrorKind::OutOfMemory, "It does not fit"));
    let board = Board::new(std::slice::from_ref(&failed), Question::default(), &[]);
    assert_eq!(board.rows[0].failure.as_ref().unwrap().message, "It does not fit");
    assert_eq!(board.reason(&board.rows[0]), "Failed: It does not fit");
    assert_eq!(board.why_no_best().as_deref(), Some("Decode was not measured for any design"));
    let mut later = decode("Q8_0", &around(100.0, 0), 426.0);
    later.started_ms = 5;
    let board = Board::new(&[failed, later], Question::default(), &[]);
    assert_eq!(board.rows[0].failure, None);
    assert_eq!(board.rows[0].trust, RunTrust::Trusted);
}

#[test]
fn the_least_trusted_of_the_newest_runs_counts() {
    let mut noisy = bench("Q8_0", 512, 0, &[(Metric::PrefillTps, &[500.0, 600.0, 400.0])]);
    (noisy.trust, noisy.reasons) = (RunTrust::Noisy, vec!["Repetitions scatter by 20 %".into()]);
    let board = Board::new(&[decode("Q8_0", &around(100.0, 0), 426.0), noisy], Question::default(), &[]);
    assert_eq!(board.rows[0].trust, RunTrust::Noisy);
    assert!(board.hover(&board.rows[0]).ends_with("Noisy: repetitions scatter by 20 %"), "{}", board.hover(&board.rows[0]));
}

#[test]
fn a_run_of_a_sweep_has_everything_in_one() {
    let mut run =
        bench("Q8_0", 512, 128, &[(Metric::DecodeTps, &around(100.0, 0)), (Metric::PrefillTps, &around(500.0, 1)), (Metric::Kld, &[0.02])]);
    run.extra.insert("kld_error".into(), serde_json::json!(0.005));
    run.extra.insert("roofline".into(), serde_json::json!({"decode": 0.35, "prefill": null, "bandwidth_gb_s": 18.5}));
    // by itself the other only generated: the same cell for decoding
    let board = Board::new(&[run, decode("Q6_K", &around(120.0, 2), 400.0)], Question::default(), &[]);
    assert_eq!((board.cell_name(Metric::DecodeTps).as_str(), board.cell_name(Metric::PrefillTps).as_str()), ("tg128", "pp512"));
    assert!(board.rows.iter().all(|row| row.value(Metric::DecodeTps).is_some()));
    let interval = board.rows[0].figures[&Metric::Kld].interval.unwrap();
    assert!((interval.low - 0.015).abs() < 1e-9 && (interval.high - 0.025).abs() < 1e-9);
    assert_eq!(board.rows[0].roofline, RooflineShare { decode: Some(0.35), bandwidth_gb_s: Some(18.5), ..RooflineShare::default() });
}

#[test]
fn quality_that_was_scored_without_speed_is_a_row_that_says_so() {
    let board = Board::new(&[quality("Q2_K", 0.4)], ask(Metric::Kld, &[]), &[]);
    assert_eq!(board.reason(&board.rows[0]), "Decode was not measured");
    assert_eq!(board.rows[0].value(Metric::Kld), Some(0.4));
}

#[test]
fn limits_are_read_as_people_write_them_and_say_what_is_wrong() {
    for (text, metric, value, shown) in [
        ("KLD <= 0.05", Metric::Kld, 0.05, "KLD \u{2264} 0.05"),
        ("memory<600MB", Metric::PeakMemory, 600e6, "memory \u{2264} 600 MB"),
        ("peak memory \u{2264} 1.5 GiB", Metric::PeakMemory, 1.5 * 1_073_741_824.0, "memory \u{2264} 1.6106 GB"),
        ("memory_gib=6", Metric::PeakMemory, 6.0 * 1_073_741_824.0, "memory \u{2264} 6.4425 GB"),
        ("TTFT < 0.8 s", Metric::TtftMs, 800.0, "TTFT \u{2264} 800 ms"),
        ("ttft_ms=800", Metric::TtftMs, 800.0, "TTFT \u{2264} 800 ms"),
        ("decode >= 20 t/s", Metric::DecodeTps, 20.0, "decode \u{2265} 20 t/s"),
        ("tg=20", Metric::DecodeTps, 20.0, "decode \u{2265} 20 t/s"),
        ("same top >= 95 %", Metric::SameTop, 0.95, "same top token \u{2265} 95 %"),
        ("size <= 1,000 MB", Metric::FileSize, 1e9, "file size \u{2264} 1 GB"),
    ] {
        let limit = MetricLimit::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(limit.metric, metric, "{text}");
        assert!((limit.value - value).abs() < 1e-6 * value, "{text}: {}", limit.value);
        assert_eq!(limit.to_string(), shown);
        assert_eq!(MetricLimit::parse(shown).map(|again| again.metric), Ok(metric));
        let json = serde_json::to_string(&limit).unwrap();
        assert_eq!(serde_json::from_str::<MetricLimit>(&json).unwrap(), limit);
    }
    for (text, why) in [
        ("memory <= 600", "Say the unit"),
        ("beauty <= 3", "is no figure"),
        ("KLD 0.05", "Write it as"),
        ("KLD <= small", "does not begin with a number"),
        ("TTFT <= 3 MB", "is no unit of TTFT"),
        ("KLD <> 3", "is no comparison"),
    ] {
        let error = MetricLimit::parse(text).unwrap_err();
        assert!(error.contains(why), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn reading_a_limit_never_panics(text in "\\PC{0,24}") {
        let _ = MetricLimit::parse(&text);
    }

    #[test]
    fn no_best_is_ever_dominated_or_over_a_limit(speeds in prop::collection::vec(1.0f64..300.0, 1..12), cap in 300.0f64..700.0) {
        let runs: Vec<Run> = speeds.iter().enumerate()
            .map(|(i, speed)| decode(&format!("R{i}"), &around(*speed, i), 300.0 + 37.0 * ((i * 7) % 11) as f64))
            .collect();
        let limit = MetricLimit { metric: Metric::PeakMemory, bound: Bound::AtMost, value: cap * 1e6 };
        let board = Board::new(&runs, Question { limits: vec![limit], ..Question::default() }, &[]);
        match &board.answer {
            Some(answer) => {
                let best = &board.rows[answer.best];
                prop_assert_eq!(&best.standing, &Standing::Front);
                prop_assert!(best.value(Metric::PeakMemory).unwrap() <= cap * 1e6);
            }
            None => prop_assert!(board.rows.iter().all(|row| matches!(row.standing, Standing::Infeasible { .. })), "nothing was chosen"),
        }
    }
}
