//! Answers a search from measurements that were made before, and judges what it finds.

use std::collections::{BTreeMap, BTreeSet};

use inferscope::measure::pareto::{Axis, Better, Bound, Limit};
use inferscope::measure::search::{Fact, Options, Problem, Search, Step, Told};
use inferscope::measure::stats::{mean, percentile};

/// SplitMix64.
pub struct Draws(pub u64);

impl Draws {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Inside 0..1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// Whether a value keeps to a limit.
fn keeps(limit: &Limit, value: f64) -> bool {
    match limit.bound {
        Bound::AtMost => value <= limit.value,
        Bound::AtLeast => value >= limit.value,
    }
}

/// One design, measured exhaustively.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// By figure
    pub samples: BTreeMap<usize, Vec<f64>>,
    /// Seconds of each repetition, by instrument
    pub seconds: BTreeMap<usize, Vec<f64>>,
    /// Seconds of loading
    pub load: f64,
    /// Seconds of warming up, by instrument
    pub warm: BTreeMap<usize, f64>,
    pub failed: Option<String>,
}

/// A grid of designs with all that was measured on them.
#[derive(Clone, Debug)]
pub struct Grid {
    pub problem: Problem,
    pub records: Vec<Record>,
    /// What a figure of a design is judged by: the exhaustive mean, or the truth that noise was added to
    pub truth: Vec<BTreeMap<usize, f64>>,
    /// Repetitions of the exhaustive search
    pub repetitions: usize,
}

/// One search, judged.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How much worse than the exhaustive best: 0.05 is 5 %; 9 when a limit is broken or nothing is found
    pub regret: f64,
    /// Part of the exhaustive search's time
    pub time: f64,
    pub confirmed: bool,
    pub tried: usize,
}

impl Grid {
    pub fn aim(&self, figure: usize, better: Better, limits: &[Limit]) -> Self {
        let mut next = self.clone();
        next.problem.goal = Axis { index: figure, better };
        next.problem.limits = limits.to_vec();
        next
    }

    pub fn allowed(&self, design: usize) -> bool {
        let holds = |limit: &Limit| self.truth[design].get(&limit.axis).is_some_and(|v| keeps(limit, *v));
        self.records[design].failed.is_none() && self.problem.limits.iter().all(holds)
    }

    /// The best figure of the goal under the limits.
    pub fn best(&self) -> f64 {
        let goal = self.problem.goal;
        let values = (0..self.records.len()).filter(|d| self.allowed(*d)).map(|d| self.truth[d][&goal.index]);
        if goal.better == Better::Higher { values.fold(f64::NEG_INFINITY, f64::max) } else { values.fold(f64::INFINITY, f64::min) }
    }

    /// The instruments that the goal and its limits need; one each.
    fn needed(&self) -> BTreeSet<usize> {
        let figures = std::iter::once(self.problem.goal.index).chain(self.problem.limits.iter().map(|l| l.axis));
        figures.filter_map(|figure| self.problem.instruments.iter().position(|i| i.figures.contains(&figure))).collect()
    }

    /// Whether a limit is broken by what is known of a design without measuring.
    fn ruled_out(&self, design: usize) -> bool {
        let facts = &self.problem.designs[design].facts;
        let breaks = |limit: &Limit| match facts.get(&limit.axis) {
            Some(Fact::Exact(value)) => !keeps(limit, *value),
            Some(Fact::Estimate { value, off }) => !keeps(limit, value * (1.0 - off)) && !keeps(limit, value * (1.0 + off)),
            None => false,
        };
        self.problem.limits.iter().any(breaks)
    }

    /// Seconds to measure all designs that no fact rules out with the instruments that the goal and its limits need, each loaded once;
    /// what is shared between designs is measured once. This is less than a real exhaustive search takes, which measures in blocks.
    pub fn exhaustive(&self) -> f64 {
        let mut total = 0.0;
        let mut shared = BTreeSet::new();
        for (design, record) in self.records.iter().enumerate().filter(|(d, _)| !self.ruled_out(*d)) {
            total += record.load;
            for at in self.needed() {
                let of = self.problem.instruments[at].figures[0];
                let key = self.problem.figures[of].depends_on.as_ref().map(|features| {
                    let levels = &self.problem.designs[design].levels;
                    features.iter().map(|f| levels[*f]).collect::<Vec<_>>()
                });
                let repetitions = if key.is_some() { 1 } else { self.repetitions };
                if key.is_none_or(|key| shared.insert((at, key))) && record.failed.is_none() {
                    total += record.warm.get(&at).copied().unwrap_or(0.0);
                    total += mean(&record.seconds[&at]).unwrap() * repetitions as f64;
                }
            }
        }
        total
    }

    /// Runs a search to its end, each repetition drawn without replacement while there are any.
    pub fn run(&self, options: Options) -> (Search, Outcome) {
        let mut draws = Draws(options.seed ^ 0x5EED);
        let mut search = Search::new(self.problem.clone(), options);
        let mut decks: Vec<Vec<usize>> = vec![Vec::new(); self.records.len()];
        let mut spent = 0.0;
        while let Step::Measure(ask) = search.ask() {
            let record = &self.records[ask.design];
            if let Some(cause) = &record.failed {
                spent += record.load;
                search.fail(cause.clone(), record.load);
                continue;
            }
            let warm: f64 = ask.instruments.iter().filter_map(|at| record.warm.get(at)).sum();
            let mut told = Told { overhead: record.load + warm, ..Told::default() };
            spent += told.overhead;
            for at in &ask.instruments {
                told.seconds.push((*at, 0.0));
            }
            for _ in 0..ask.repetitions {
                let deck = &mut decks[ask.design];
                if deck.is_empty() {
                    *deck = (0..record.samples.values().map(Vec::len).max().unwrap_or(1)).collect();
                    draws.shuffle(deck);
                }
                let card = deck.pop().unwrap();
                for (at, seconds) in &mut told.seconds {
                    let of = &record.seconds[at];
                    *seconds += of[card % of.len()];
                    spent += of[card % of.len()];
                    for figure in &self.problem.instruments[*at].figures {
                        let samples = &record.samples[figure];
                        told.samples.push((*figure, vec![samples[card % samples.len()]]));
                    }
                }
            }
            search.tell(&told);
        }
        assert!((search.spent() - spent).abs() < 1e-6 * spent.max(1.0));
        let report = search.report();
        let goal = self.problem.goal;
        let regret = report.best.filter(|d| self.allowed(*d)).map_or(9.0, |d| {
            let (value, best) = (self.truth[d][&goal.index], self.best());
            if goal.better == Better::Higher { 1.0 - value / best } else { value / best - 1.0 }
        });
        let outcome = Outcome { regret, time: spent / self.exhaustive(), confirmed: report.confirmed, tried: report.tried };
        (search, outcome)
    }
}

/// How many of the outcomes are within 5 % in a quarter of the time, with the distribution printed.
pub fn judge(name: &str, outcomes: &[Outcome]) -> f64 {
    let good = outcomes.iter().filter(|o| o.regret <= 0.05 && o.time <= 0.25).count();
    let of = |values: Vec<f64>| [50.0, 90.0, 95.0, 100.0].map(|p| format!("{:6.1}", 100.0 * percentile(&values, p).unwrap())).join(" ");
    let regret = of(outcomes.iter().map(|o| o.regret).collect());
    let time = of(outcomes.iter().map(|o| o.time).collect());
    let tried = mean(&outcomes.iter().map(|o| o.tried as f64).collect::<Vec<_>>()).unwrap();
    let confirmed = outcomes.iter().filter(|o| o.confirmed).count();
    let part = good as f64 / outcomes.len() as f64;
    println!(
        "{name:40} ok {:5.1} % | regret % p50 p90 p95 max {regret} | time % {time} | tried {tried:5.1}, confirmed {confirmed} of {}",
        100.0 * part,
        outcomes.len()
    );
    part
}
