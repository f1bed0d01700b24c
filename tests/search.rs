//! The search against exhaustive measuring, on made-up grids whose noise has no variance or comes in bursts. Good is: within 5 % of the
//! exhaustive best, in at most a quarter of the exhaustive time. Of a hundred seeds, 97 and 99 are good without limits, 96 with two. And on
//! a grid that was measured on a real model (`tests/data/grid.json`), with and without limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // helpers of tests, outside of test functions

#[path = "search/recorded.rs"]
mod recorded;
#[path = "search/replay.rs"]
mod replay;
#[path = "search/synthetic.rs"]
mod synthetic;

use inferscope::measure::limit::MetricLimit;
use inferscope::measure::pareto::{Better, Bound, Limit};
use inferscope::measure::search::Options;
use inferscope::protocol::Metric;
use recorded::Recorded;
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
fn heavy_tails() {
    holds("heavy tails, 180", &Recipe { shape: vec![5, 3, 4, 3], noise: Noise::Heavy(0.02), hill: false, ..base() });
}

#[test]
fn bursts() {
    holds("bursts, 160", &Recipe { shape: vec![5, 4, 2, 2, 2], noise: Noise::Bursts, ..base() });
}

/// "Best decode speed under a memory, TTFT under a time, KLD under a bound" and the like, each with another order of the samples for every
/// seed.
#[test]
fn a_grid_that_was_measured() {
    let grid = Recorded::read();
    let limit = |text: &str| MetricLimit::parse_key(text).unwrap();
    let questions: [(&str, Metric, &[&str]); 6] = [
        ("recorded, decode", Metric::DecodeTps, &[]),
        ("recorded, prefill", Metric::PrefillTps, &[]),
        ("recorded, TTFT", Metric::TtftMs, &[]),
        ("recorded, decode, memory and TTFT", Metric::DecodeTps, &["memory_mib=240", "ttft_ms=300"]),
        ("recorded, decode, KLD", Metric::DecodeTps, &["kld=0.05"]),
        ("recorded, decode, memory, TTFT and KLD", Metric::DecodeTps, &["memory_mib=280", "ttft_ms=400", "kld=0.05"]),
    ];
    let mut parts = Vec::new();
    for (name, goal, limits) in questions {
        let limits: Vec<MetricLimit> = limits.iter().map(|text| limit(text)).collect();
        let outcomes = runs(|seed| grid.search(goal, &limits, seed));
        parts.push((name, judge(name, &outcomes)));
    }
    assert!(parts.iter().all(|(_, part)| *part >= 0.95), "{parts:?}");
}
