use proptest::prelude::*;

use super::*;
use crate::measure::MetricLimit;
use crate::measure::stats::Draws;
use crate::protocol::{
    BenchRow, BenchTest, Command, Design, EngineError, ErrorKind, Event, JobId, MemoryUse, Metric, QualityText, RunTrust, Surroundings,
    Warmup,
};

fn plan(designs: u32, blocks: u32) -> SweepPlan {
    let candidate = |n: u32| Candidate {
        label: format!("threads {n}"),
        design: Design { threads: n, ..Design::for_model(format!("/m/{}.gguf", n % 2)) },
        facts: Facts { file_size: 1000, ..Facts::default() },
        ..Candidate::default()
    };
    SweepPlan { candidates: (1..=designs).map(candidate).collect(), blocks, ..SweepPlan::default() }
}

/// Cells of a candidate that decodes at `tps`.
fn cells(bench: &crate::protocol::BenchPlan, tps: f64) -> Vec<BenchRow> {
    let cell = |test: &BenchTest| {
        let tokens = f64::from(test.n_prompt + test.n_gen);
        let ns = (tokens / tps * 1e9) as u64;
        BenchRow {
            test: *test,
            samples_ns: vec![ns; bench.repetitions as usize],
            ttft_ns: if test.n_prompt > 0 { vec![ns + 1000; bench.repetitions as usize] } else { Vec::new() },
            gaps_ns: match test.n_gen {
                0 => Vec::new(),
                n => vec![vec![ns / u64::from(n); n as usize]; bench.repetitions as usize],
            },
            surroundings: vec![Surroundings { background: Some(0.01), clock_mhz: Some(3000.0), ..Surroundings::default() }],
            memory: MemoryUse { weights: 100, kv: 10, compute: u64::from(bench.design.threads) },
            ..BenchRow::default()
        }
    };
    bench.tests.iter().map(cell).collect()
}

/// Plays an engine whose speed of each candidate is told by `speed`; the measurements that were asked for, in order.
fn play(sweep: &mut Sweep, most: usize, mut speed: impl FnMut(usize, usize) -> Result<f64, EngineError>) -> Vec<(usize, usize)> {
    let mut asked = Vec::new();
    for _ in 0..most {
        match sweep.next() {
            Step::Done(_) => break,
            Step::Measure { block, candidate, plan } => {
                asked.push((block, candidate));
                sweep.begin();
                let outcome = speed(block, candidate).map_or_else(Outcome::Failed, |tps| Outcome::Measured(cells(&plan, tps)));
                sweep.record(outcome, 1.0, 1_000);
            }
            Step::Quality { candidates, plan } => {
                assert_eq!(candidates.len(), plan.candidates.len());
                let loss =
                    |i: &usize| Some(Loss { kld: 0.01 * (*i as f64 + 1.0), kld_error: None, perplexity: 9.0, same_top: 0.9, tokens: 500 });
                sweep.record(Outcome::Compared(candidates.iter().map(loss).collect()), 3.0, 0);
            }
            Step::CoolDown { seconds, .. } => sweep.record(Outcome::Cooled, seconds, 0),
        }
    }
    asked
}

fn crash() -> EngineError {
    EngineError::new(ErrorKind::Killed, "The engine was ended")
}

#[test]
fn measures_every_design_once_a_block_in_mirrored_order() {
    let mut sweep = Sweep::new(plan(3, 8)).unwrap();
    let asked = play(&mut sweep, 1000, |_, candidate| Ok(100.0 + candidate as f64));
    assert_eq!((asked.len(), sweep.ended()), (24, Some(End::Complete)));
    for pair in asked.chunks(6) {
        let designs: Vec<usize> = pair.iter().map(|(_, candidate)| *candidate).collect();
        assert!(designs[..3].iter().eq(designs[3..].iter().rev()), "{designs:?}");
    }
    assert!(sweep.rows().iter().all(|row| row.samples[&Metric::DecodeTps].len() == 8 && row.blocks == 8));
    assert_eq!(sweep.seconds_left(), Some(0.0));
    assert_eq!(sweep.elapsed(), 24.0);
}

#[test]
fn the_engine_is_told_to_keep_what_it_measures_warm_and_to_start_clean() {
    let sweep = Sweep::new(SweepPlan { keep_warm_bytes: 77, ..plan(1, 2) }).unwrap();
    let Step::Measure { plan, .. } = sweep.next() else { panic!("{:?}", sweep.next()) };
    assert_eq!((plan.repetitions, plan.warmup, plan.own_context, plan.keep_warm_bytes), (1, Warmup::Brief, true, 77));
    assert_eq!(plan.tests, [BenchTest { n_prompt: 512, ..BenchTest::default() }, BenchTest { n_gen: 128, ..BenchTest::default() }]);
}

#[test]
fn every_figure_of_a_measurement_is_a_sample() {
    let mut sweep = Sweep::new(plan(1, 2)).unwrap();
    play(&mut sweep, 100, |_, _| Ok(100.0));
    let row = &sweep.rows()[0];
    let near = |metric: Metric, want: f64| (row.figure(metric).unwrap() / want - 1.0).abs() < 1e-3;
    assert!(near(Metric::PrefillTps, 100.0) && near(Metric::DecodeTps, 100.0));
    assert!(near(Metric::TtftMs, 5120.0) && near(Metric::ItlP95Ms, 10.0));
    assert!(near(Metric::PeakMemory, 111.0) && near(Metric::FileSize, 1000.0));
    assert_eq!(row.figure(Metric::Kld), None, "it was not asked for");
}

#[test]
fn a_design_that_fails_is_a_row_and_is_not_tried_again() {
    let mut sweep = Sweep::new(plan(3, 4)).unwrap();
    let asked = play(&mut sweep, 1000, |block, candidate| if candidate == 1 && block == 1 { Err(crash()) } else { Ok(100.0) });
    assert_eq!(asked.iter().filter(|(_, candidate)| *candidate == 1).count(), 2, "once well, once badly");
    assert_eq!(sweep.ended(), Some(End::Complete));
    let result = sweep.result();
    assert_eq!(result.runs[1].failure, Some(crash()));
    assert_eq!(result.runs[1].samples[&Metric::DecodeTps].len(), 1, "what was measured until then stands");
    assert_eq!(result.infeasible, [Infeasible { index: 1, why: "The engine was ended".into() }]);
    assert!(result.best.is_some_and(|best| best.index != 1 && !best.ties.contains(&1)));
    assert_eq!(sweep.rows()[0].blocks, 4);
}

#[test]
fn what_is_refused_beforehand_is_never_measured() {
    let mut plan = plan(2, 4);
    plan.candidates[0].refusal = Some(EngineError::new(ErrorKind::OutOfMemory, "It needs 9 GB and 6 GB are free"));
    let mut sweep = Sweep::new(plan).unwrap();
    let asked = play(&mut sweep, 1000, |_, _| Ok(50.0));
    assert!(asked.iter().all(|(_, candidate)| *candidate == 1));
    assert_eq!(sweep.result().infeasible[0].why, "It needs 9 GB and 6 GB are free");
}

#[test]
fn when_all_fail_the_sweep_says_so() {
    let mut sweep = Sweep::new(plan(2, 4)).unwrap();
    let asked = play(&mut sweep, 1000, |_, _| Err(crash()));
    assert_eq!((asked.len(), sweep.ended()), (2, Some(End::NothingLeft)));
    assert_eq!(sweep.result().best, None);
}

#[test]
fn cancelling_keeps_what_was_measured_and_can_be_taken_back() {
    let mut sweep = Sweep::new(plan(2, 4)).unwrap();
    play(&mut sweep, 3, |_, _| Ok(50.0));
    sweep.cancel();
    assert_eq!(sweep.next(), Step::Done(End::Cancelled));
    let result = sweep.result();
    assert_eq!(result.runs.iter().map(|run| run.samples[&Metric::DecodeTps].len()).sum::<usize>(), 3);
    sweep.resume();
    let asked = play(&mut sweep, 1000, |_, _| Ok(50.0));
    assert_eq!((asked.len(), sweep.ended()), (5, Some(End::Complete)));
}

#[test]
fn a_cancelled_job_says_nothing_about_its_design() {
    let mut sweep = Sweep::new(plan(2, 4)).unwrap();
    let next = sweep.next();
    sweep.begin();
    sweep.record(Outcome::Failed(EngineError::cancelled()), 1.0, 0);
    assert_eq!(sweep.next(), next);
    assert!(sweep.rows().iter().all(|row| row.failure.is_none()));
}

#[test]
fn a_design_that_ends_the_program_twice_is_given_up() {
    let mut sweep = Sweep::new(plan(2, 2)).unwrap();
    let Step::Measure { candidate, .. } = sweep.next() else { panic!() };
    for time in 0..2 {
        sweep.begin();
        // what is on the disk when the program ends
        let text = serde_json::to_string(&sweep).unwrap();
        sweep = serde_json::from_str(&text).unwrap();
        sweep.resume();
        assert_eq!(sweep.rows()[candidate].failure.is_some(), time == 1);
    }
    let asked = play(&mut sweep, 100, |_, _| Ok(50.0));
    assert!(asked.iter().all(|(_, other)| *other != candidate));
}

#[test]
fn the_budget_ends_it_before_it_is_exceeded() {
    let mut sweep = Sweep::new(SweepPlan { budget_seconds: Some(5.5), ..plan(2, 8) }).unwrap();
    let asked = play(&mut sweep, 1000, |_, _| Ok(50.0));
    assert_eq!((asked.len(), sweep.ended()), (5, Some(End::Budget)));
    assert!(sweep.elapsed() <= 5.5);
    let runs = sweep.result().runs;
    assert!(runs.iter().all(|run| run.trust == RunTrust::TooFew || run.samples[&Metric::DecodeTps].len() >= 3));
}

#[test]
fn limits_bar_and_say_why() {
    let limit = MetricLimit::parse_key("ttft_ms=6000").unwrap();
    let mut sweep = Sweep::new(SweepPlan { limits: vec![limit], ..plan(2, 8) }).unwrap();
    play(&mut sweep, 1000, |_, candidate| Ok(if candidate == 0 { 100.0 } else { 50.0 }));
    let result = sweep.result();
    assert_eq!(result.infeasible.len(), 1);
    assert!(result.infeasible[0].why.contains("TTFT") && result.infeasible[0].why.contains("over the limit"), "{:?}", result.infeasible);
    let best = result.best.unwrap();
    assert_eq!((best.index, best.ties.len()), (0, 0));
    assert!(best.why.contains("only design"), "{}", best.why);
}

#[test]
fn a_price_makes_cost_a_figure_a_limit_and_a_goal() {
    let limit = MetricLimit::parse_key("cost_per_mtok=12").unwrap();
    let priced = SweepPlan { price_per_hour: Some(3.6), goal: Metric::CostPerMillion, limits: vec![limit], ..plan(3, 8) };
    let mut sweep = Sweep::new(priced).unwrap();
    play(&mut sweep, 1000, |_, candidate| Ok([100.0, 125.0, 50.0][candidate]));
    let result = sweep.result();
    let costs: Vec<f64> = result.runs.iter().map(|run| run.figure(Metric::CostPerMillion).unwrap()).collect();
    assert!(costs.iter().zip([10.0, 8.0, 20.0]).all(|(is, want)| (is / want - 1.0).abs() < 1e-6), "{costs:?}");
    assert_eq!(result.infeasible.iter().map(|barred| barred.index).collect::<Vec<_>>(), [2]);
    let best = result.best.unwrap();
    assert!(best.index == 1 && best.why.contains("Lowest cost") && best.why.contains("8.00 /M tokens"), "{best:?}");
    assert_eq!(result.runs[0].extra["price_per_hour"], 3.6);
}

#[test]
fn energy_is_a_figure_where_the_machine_tells_it() {
    let mut sweep = Sweep::new(plan(1, 2)).unwrap();
    while let Step::Measure { plan, .. } = sweep.next() {
        let mut cells = cells(&plan, 100.0);
        for cell in &mut cells {
            cell.surroundings = vec![Surroundings { package_joules: Some(64.0), ..Surroundings::default() }];
        }
        sweep.record(Outcome::Measured(cells), 1.0, 1_000);
    }
    assert_eq!(sweep.rows()[0].samples[&Metric::EnergyPerToken], [0.5, 0.5], "of the 128 that were generated, not of the prompt's");
}

#[test]
fn a_faster_design_is_best_and_an_equal_one_cannot_be_told_from_it() {
    let mut draws = Draws(5);
    let mut sweep = Sweep::new(plan(3, 10)).unwrap();
    play(&mut sweep, 1000, |_, candidate| {
        let noise = 1.0 + 0.01 * (draws.below(1000) as f64 / 500.0 - 1.0);
        Ok(noise * if candidate == 2 { 80.0 } else { 100.0 })
    });
    let result = sweep.result();
    let best = result.best.unwrap();
    assert!(best.index != 2 && best.ties == [1 - best.index], "{best:?}");
    assert!(best.why.contains("not distinguishable from 1 other") && best.why.contains("10 pairs"), "{}", best.why);
    assert!(!result.front.contains(&2) || result.runs[2].samples[&Metric::PeakMemory] < result.runs[0].samples[&Metric::PeakMemory]);
}

#[test]
fn quality_is_measured_once_for_designs_that_differ_in_speed_only() {
    let quality = SweepQuality {
        reference: Design::for_model("/m/ref.gguf"),
        text: QualityText::Plain("text".into()),
        name: "notes".into(),
        hash: String::new(),
        n_ctx: 512,
        max_chunks: 4,
    };
    // threads 1 to 4 of two files
    let mut sweep = Sweep::new(SweepPlan { quality: Some(quality), ..plan(4, 2) }).unwrap();
    let Step::Quality { candidates, plan } = sweep.next() else { panic!("{:?}", sweep.next()) };
    assert_eq!((candidates, plan.candidates.len()), (vec![0, 1], 2));
    play(&mut sweep, 1000, |_, _| Ok(50.0));
    let kld: Vec<Option<f64>> = sweep.rows().iter().map(|row| row.figure(Metric::Kld)).collect();
    assert_eq!(kld, [Some(0.01), Some(0.02), Some(0.01), Some(0.02)]);
    assert!(sweep.plan().axes().contains(&Metric::Kld));
}

#[test]
fn quality_that_fails_together_is_tried_one_by_one() {
    let quality = SweepQuality {
        reference: Design::for_model("/m/ref.gguf"),
        text: QualityText::Plain("text".into()),
        name: "notes".into(),
        hash: String::new(),
        n_ctx: 512,
        max_chunks: 4,
    };
    let mut sweep = Sweep::new(SweepPlan { quality: Some(quality), ..plan(2, 2) }).unwrap();
    for bad in [true, true, false] {
        let Step::Quality { candidates, .. } = sweep.next() else { panic!("{:?}", sweep.next()) };
        let loss = Loss { kld: 0.5, kld_error: None, perplexity: 9.0, same_top: 0.9, tokens: 5 };
        let outcome = if bad { Outcome::Failed(crash()) } else { Outcome::Compared(vec![Some(loss); candidates.len()]) };
        sweep.record(outcome, 1.0, 0);
    }
    assert_eq!((sweep.rows()[0].no_loss.clone(), sweep.rows()[1].figure(Metric::Kld)), (Some(crash()), Some(0.5)));
    assert!(sweep.rows().iter().all(|row| row.failure.is_none()), "it still has a speed");
    assert!(sweep.result().runs[0].reasons.iter().any(|reason| reason.contains("Quality loss")));
}

#[test]
fn a_machine_that_becomes_slow_is_left_alone_for_a_while() {
    let mut sweep = Sweep::new(plan(2, 20)).unwrap();
    let mut rests = 0;
    for made in 0.. {
        match sweep.next() {
            Step::Done(_) => break,
            Step::Measure { plan, .. } => {
                let tps = if (10..14).contains(&made) { 70.0 } else { 100.0 };
                sweep.record(Outcome::Measured(cells(&plan, tps)), 1.0, 0);
            }
            Step::CoolDown { why, .. } => {
                rests += 1;
                assert!(why.contains("slower"), "{why}");
                sweep.record(Outcome::Cooled, 5.0, 0);
            }
            step @ Step::Quality { .. } => panic!("{step:?}"),
        }
    }
    assert_eq!((rests, sweep.ended()), (1, Some(End::Complete)));
}

#[test]
fn a_machine_that_stays_slow_does_not_hold_the_sweep_up_for_ever() {
    let mut sweep = Sweep::new(plan(2, 20)).unwrap();
    let mut made = 0;
    let asked = play(&mut sweep, 1000, |_, _| {
        made += 1;
        Ok(if made > 10 { 60.0 } else { 100.0 })
    });
    assert_eq!((asked.len(), sweep.ended()), (40, Some(End::Complete)));
    let (trust, reasons) = sweep.trust(0);
    assert_eq!(trust, RunTrust::Noisy);
    assert!(reasons.iter().any(|reason| reason.contains("paused")), "{reasons:?}");
}

#[test]
fn what_the_machine_did_is_a_reason() {
    let mut sweep = Sweep::new(plan(1, 8)).unwrap();
    for block in 0.. {
        let Step::Measure { plan, .. } = sweep.next() else { break };
        let mut rows = cells(&plan, 100.0);
        for row in &mut rows {
            let clock_mhz = Some(if block % 2 == 0 { 3000.0 } else { 2850.0 });
            row.surroundings = vec![Surroundings { background: Some(0.2), clock_mhz, celsius: Some(88.0), ..Surroundings::default() }];
        }
        sweep.record(Outcome::Measured(rows), 1.0, 0);
    }
    let (trust, reasons) = sweep.trust(0);
    assert_eq!(trust, RunTrust::Noisy);
    for word in ["20 % of the processors", "between 2850 and 3000 MHz", "88 degrees"] {
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{word}: {reasons:?}");
    }
}

#[test]
fn a_conductor_turns_events_into_outcomes() {
    let mut conductor = Conductor::new(Sweep::new(plan(2, 2)).unwrap());
    let mut job = 0;
    let mut died = false;
    loop {
        job += 1;
        let Order::Send(command) = conductor.order(JobId(job), f64::from(u32::try_from(job).unwrap()), 5) else { break };
        let Command::Bench { job: of, plan } = *command else { panic!() };
        assert_eq!((of, conductor.job()), (JobId(job), Some(JobId(job))));
        assert_eq!(conductor.hear(&Event::Done { job: JobId(999) }, 0.0), Heard::Nothing, "of another job");
        if !died {
            died = true;
            assert_eq!(conductor.hear(&Event::Died { jobs: vec![of], error: crash() }, 0.0), Heard::StepDone);
            continue;
        }
        for row in cells(&plan, 10.0) {
            assert_eq!(conductor.hear(&Event::BenchRow { job: of, row: Box::new(row) }, 0.0), Heard::Progress);
        }
        assert_eq!(conductor.hear(&Event::Done { job: of }, f64::from(u32::try_from(job).unwrap()) + 0.5), Heard::StepDone);
    }
    let sweep = conductor.into_sweep();
    assert_eq!(sweep.ended(), Some(End::Complete));
    let mut blocks: Vec<usize> = sweep.rows().iter().map(|row| row.blocks).collect();
    blocks.sort_unstable();
    assert_eq!(blocks, [0, 2], "one died, the other was measured");
    assert_eq!(sweep.elapsed(), 1.0);
}

proptest! {
    #[test]
    fn it_resumes_anywhere_as_if_nothing_had_happened(designs in 1u32..5, blocks in 1u32..6, cuts in prop::collection::vec(0usize..30, 0..4), seed: u64) {
        let speed = |block: usize, candidate: usize| if (block, candidate) == (1, 1) { Err(crash()) } else { Ok(100.0 + (block + 7 * candidate) as f64) };
        let plan = SweepPlan { seed, ..plan(designs, blocks) };
        let mut whole = Sweep::new(plan.clone()).unwrap();
        let asked = play(&mut whole, 1000, speed);
        let mut cut = Sweep::new(plan).unwrap();
        let mut parts = Vec::new();
        for at in cuts {
            parts.extend(play(&mut cut, at, speed));
            if cut.ended().is_none() {
                cut.begin();
            }
            cut = serde_json::from_str(&serde_json::to_string(&cut).unwrap()).unwrap();
            cut.resume();
            // found unfinished once is no reason to give it up
            if cut.ended().is_none() {
                cut.record(Outcome::Failed(EngineError::cancelled()), 0.0, 0);
            }
        }
        parts.extend(play(&mut cut, 1000, speed));
        prop_assert_eq!(parts, asked);
        prop_assert_eq!(cut.result(), whole.result());
    }

    #[test]
    fn it_always_ends(designs in 1u32..5, blocks in 1u32..6, seed: u64, budget in prop::option::of(0.0f64..20.0)) {
        let mut draws = Draws(seed);
        let mut sweep = Sweep::new(SweepPlan { budget_seconds: budget, ..plan(designs, blocks) }).unwrap();
        let asked = play(&mut sweep, 1000, |_, _| if draws.below(8) == 0 { Err(crash()) } else { Ok(draws.below(100) as f64 + 1.0) });
        prop_assert!(sweep.ended().is_some());
        prop_assert!(asked.len() <= (designs * blocks) as usize);
        prop_assert_eq!(sweep.result().runs.len(), designs as usize);
    }
}

/// A search over four files and eight numbers of threads; 32 designs.
fn seeking(seed: u64) -> Sweep {
    let mut all = Vec::new();
    for file in 0..4u32 {
        for threads in 1..=8 {
            let design = Design { threads, ..Design::for_model(format!("/m/{file}.gguf")) };
            let facts = Facts { file_size: 1000 * u64::from(file + 1), ..Facts::default() };
            all.push(Candidate { label: format!("{file}, {threads}"), design, facts, ..Candidate::default() });
        }
    }
    let limits = vec![MetricLimit::natural(Metric::FileSize, 3500.0)];
    Sweep::new(SweepPlan { candidates: all, search: true, seed, limits, ..SweepPlan::default() }).unwrap()
}

/// The true speed of its designs: best at five threads, smaller files are faster.
fn truth(candidate: usize) -> f64 {
    let (file, threads) = (candidate / 8, candidate % 8 + 1);
    (100.0 - 15.0 * file as f64) * (1.0 - 0.06 * (threads as f64 - 5.0).abs())
}

#[test]
fn a_search_finds_the_best_without_measuring_all_and_says_why_not_the_others() {
    let mut sweep = seeking(3);
    let mut draws = Draws(9);
    play(&mut sweep, 10_000, |_, candidate| Ok(truth(candidate) * (1.0 + 0.01 * (draws.below(1000) as f64 / 500.0 - 1.0))));
    assert_eq!(sweep.ended(), Some(End::Complete));
    let result = sweep.result();
    let best = result.best.unwrap();
    assert!(truth(best.index) > 0.95 * truth(4), "{best:?}");
    assert!(sweep.rows().iter().filter(|row| row.blocks > 0).count() < 24, "fewer than all that may be chosen");
    assert!(sweep.rows()[24..].iter().all(|row| row.blocks == 0), "what is known to break a limit is not measured");
    assert!(result.infeasible.iter().any(|barred| barred.index == 24), "{:?}", result.infeasible);
    let unmeasured = result.runs.iter().zip(sweep.rows()).find(|(_, row)| row.blocks == 0).unwrap().0;
    assert!(unmeasured.reasons[0].starts_with("Not measured: "), "{:?}", unmeasured.reasons);
}

#[test]
fn a_search_resumes_and_asks_what_it_would_have_asked() {
    let mut whole = seeking(4);
    let asked = play(&mut whole, 10_000, |_, candidate| Ok(truth(candidate)));
    let mut cut = seeking(4);
    let mut parts = play(&mut cut, 7, |_, candidate| Ok(truth(candidate)));
    cut = serde_json::from_str(&serde_json::to_string(&cut).unwrap()).unwrap();
    cut.resume();
    parts.extend(play(&mut cut, 10_000, |_, candidate| Ok(truth(candidate))));
    assert_eq!(parts, asked);
    assert_eq!(cut.result(), whole.result());
}

/// Speeds that follow from nothing, and loads that take long: the search ends with designs that it knows nothing of.
#[test]
fn a_search_that_used_its_share_up_says_that_others_may_be_better() {
    let mut all = Vec::new();
    for file in 0..6u32 {
        for threads in 1..=20 {
            let design = Design { threads, ..Design::for_model(format!("/m/{file}.gguf")) };
            let facts = Facts { file_size: 1000 * u64::from(file + 1), ..Facts::default() };
            all.push(Candidate { label: format!("{file}, {threads}"), design, facts, ..Candidate::default() });
        }
    }
    let mut sweep = Sweep::new(SweepPlan { candidates: all, search: true, seed: 5, ..SweepPlan::default() }).unwrap();
    while let Step::Measure { candidate, plan, .. } = sweep.next() {
        sweep.record(Outcome::Measured(cells(&plan, 50.0 + (candidate * 7919 % 101) as f64)), 200.0, 1_000);
        while let Step::CoolDown { seconds, .. } = sweep.next() {
            sweep.record(Outcome::Cooled, seconds, 0);
        }
    }
    assert_eq!(sweep.ended(), Some(End::Complete));
    let found = sweep.found().unwrap();
    assert!(found.is_share_used && !found.is_out_of_time, "{} tried", found.tried);
    let open = found.others.iter().filter(|other| other.is_open).count();
    let words = sweep.result().unsettled.unwrap();
    assert!(open > 1 && words.contains(&format!("{open} designs")) && words.contains("may be better"), "{words}");
    // a sweep that was kept before this was noted is still read
    let mut json = serde_json::to_value(&sweep).unwrap();
    json["seeker"]["found"].as_object_mut().unwrap().remove("is_share_used");
    assert_eq!(serde_json::from_value::<Sweep>(json).unwrap().result().unsettled, None);
    // one that settled it has nothing to add
    let mut settled = seeking(3);
    play(&mut settled, 10_000, |_, candidate| Ok(truth(candidate)));
    assert_eq!(settled.result().unsettled, None);
}

#[test]
fn a_limit_on_what_is_not_measured_bars_nothing() {
    let mut sweep = Sweep::new(plan(2, 2)).unwrap();
    play(&mut sweep, 1000, |_, candidate| Ok(100.0 + candidate as f64));
    sweep.set_limits(vec![MetricLimit::natural(Metric::Kld, 0.05), MetricLimit::natural(Metric::DecodeTps, 1.0)]);
    assert_eq!(sweep.plan().limits, [MetricLimit::natural(Metric::DecodeTps, 1.0)]);
    assert!(sweep.result().best.is_some());
}
