//! The search against exhaustive measuring: on a grid that was measured on a real model, and on made-up ones of other shapes and noise.
//! What is asked of it: within 5 % of the exhaustive best, in at most a quarter of the exhaustive time, in at least 95 % of the seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // helpers of tests, outside of test functions

#[path = "search/recorded.rs"]
mod recorded;
#[path = "search/replay.rs"]
mod replay;
#[path = "search/synthetic.rs"]
mod synthetic;

use inferscope::measure::pareto::{Better, Bound, Limit};
use inferscope::measure::search::Options;
use recorded::{DECODE, KLD, MEMORY, PREFILL, SIZE, TTFT};
use replay::{Outcome, judge};
use synthetic::{Noise, Recipe, grid};

const SEEDS: u64 = 100;

fn at_most(axis: usize, value: f64) -> Limit {
    Limit { axis, bound: Bound::AtMost, value }
}

/// On both cores.
fn runs(of: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| (0..SEEDS / 2).map(&of).collect::<Vec<_>>());
        let mut mine: Vec<Outcome> = (SEEDS / 2..SEEDS).map(&of).collect();
        mine.extend(other.join().unwrap());
        mine
    })
}

fn base() -> Recipe {
    Recipe { shape: vec![6, 5, 4, 2], main: 0.2, pair: 0.05, alone: 0.01, hill: true, noise: Noise::Normal(0.02), load: 0.5, once: 0.5 }
}

/// Another grid for every seed, without limits and with limits on the delay (a third of the designs keep to it) and the loss.
fn holds(name: &str, recipe: &Recipe) {
    let free = runs(|seed| grid(recipe, seed).run(Options { seed, ..Options::default() }).1);
    let limited = runs(|seed| {
        let grid = grid(recipe, seed);
        let mut delays: Vec<f64> = grid.truth.iter().map(|t| t[&1]).collect();
        delays.sort_by(f64::total_cmp);
        let limits = [at_most(1, delays[delays.len() / 3]), at_most(2, 0.03)];
        grid.aim(0, Better::Higher, &limits).run(Options { seed, ..Options::default() }).1
    });
    let parts = [judge(name, &free), judge(&format!("{name}, limits"), &limited)];
    assert!(parts.iter().all(|part| *part >= 0.95), "{name}: {parts:?}");
}

#[test]
fn threads_with_a_best_in_the_middle_for_each_rung() {
    holds("threads by rungs, 240", &base());
}

#[test]
fn interactions() {
    holds("interactions, 144", &Recipe { shape: vec![4, 4, 3, 3], hill: false, pair: 0.1, ..base() });
}

#[test]
fn heavy_tails() {
    holds("heavy tails, 180", &Recipe { shape: vec![5, 3, 4, 3], noise: Noise::Heavy(0.02), hill: false, ..base() });
}

#[test]
fn bursts() {
    holds("bursts, 160", &Recipe { shape: vec![5, 4, 2, 2, 2], noise: Noise::Bursts, ..base() });
}

/// A goal on the recorded grid, from every seed.
fn recorded_holds(name: &str, figure: usize, better: Better, limits: &[Limit]) {
    let grid = recorded::grid().aim(figure, better, limits);
    assert!(grid.best().is_finite(), "{name}: the limits leave nothing");
    let part = judge(name, &runs(|seed| grid.run(Options { seed, ..Options::default() }).1));
    assert!(part >= 0.95, "{name}: {part}");
}

#[test]
fn recorded_decode() {
    recorded_holds("recorded: decode", DECODE, Better::Higher, &[]);
}

#[test]
fn recorded_decode_under_limits() {
    let limits = [at_most(TTFT, 800.0), at_most(KLD, 0.05), at_most(MEMORY, 150e6)];
    recorded_holds("recorded: decode, TTFT, KLD, memory", DECODE, Better::Higher, &limits);
}

#[test]
fn recorded_prefill_under_a_size() {
    recorded_holds("recorded: prefill, size", PREFILL, Better::Higher, &[at_most(SIZE, 120e6)]);
}

#[test]
fn recorded_ttft_under_a_decode_speed() {
    let limit = Limit { axis: DECODE, bound: Bound::AtLeast, value: 40.0 };
    recorded_holds("recorded: TTFT, decode", TTFT, Better::Lower, &[limit]);
}
