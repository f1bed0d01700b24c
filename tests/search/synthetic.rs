//! Grids that nobody measured: shapes, effects and noise of several kinds.

use std::collections::BTreeMap;

use inferscope::measure::pareto::{Axis, Better};
use inferscope::measure::search::{Candidate, Feature, Figure, Instrument, Problem};

use super::replay::{Draws, Grid, Record};

/// What one repetition is multiplied by.
#[derive(Clone, Copy, Debug)]
pub enum Noise {
    /// Normal, of this spread
    Normal(f64),
    /// Student's t with two degrees of freedom, scaled by this: no variance
    Heavy(f64),
    /// 1 %, and a tenth of the repetitions slowed by 20 to 60 %
    Bursts,
}

impl Noise {
    fn log(self, draws: &mut Draws) -> f64 {
        match self {
            Self::Normal(spread) => spread * draws.normal(),
            Self::Heavy(scale) => scale * draws.normal() / (-draws.unit().ln()).sqrt(),
            Self::Bursts => {
                let slow = if draws.unit() < 0.1 { (0.4 + 0.4 * draws.unit()).ln() } else { 0.0 };
                slow + 0.01 * draws.normal()
            }
        }
    }
}

/// A grid to be made.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub shape: Vec<usize>,
    /// Spread of main effects, pairs and what neither explains, in logarithms
    pub main: f64,
    pub pair: f64,
    pub alone: f64,
    /// Whether the first feature has a best level in the middle, elsewhere for each level of the second, as threads have for rungs
    pub hill: bool,
    pub noise: Noise,
    /// Seconds of loading, and of one repetition at a speed of one
    pub load: f64,
    pub once: f64,
}

const KEPT: usize = 40;

/// Speed (figure 0), delay (1, another instrument) and loss (2, which hangs on the second feature only and is measured apart).
pub fn grid(recipe: &Recipe, seed: u64) -> Grid {
    let mut draws = Draws(seed.wrapping_mul(0x9E37) ^ 0xA11CE);
    let n: usize = recipe.shape.iter().product();
    let name = |at: usize| format!("f{at}");
    let features = recipe.shape.iter().enumerate().map(|(at, levels)| {
        let counts: Vec<u32> = (0..*levels).map(|l| 1 << l).collect();
        if at % 2 == 0 { Feature::counts(name(at), &counts) } else { Feature::categorical(name(at), counts.iter().map(u32::to_string)) }
    });
    let features: Vec<Feature> = features.collect();
    let mut digits = Vec::with_capacity(n);
    for mut at in 0..n {
        let take = |levels: &usize| {
            let digit = at % levels;
            at /= levels;
            digit
        };
        digits.push(recipe.shape.iter().map(take).collect::<Vec<usize>>());
    }
    let speed = surface(recipe, &digits, &mut draws);
    let other = surface(recipe, &digits, &mut draws);
    let seconds: Vec<f64> = recipe.shape.iter().skip(1).take(1).flat_map(|l| 0..*l).map(|l| 0.004 * 2.2_f64.powi(l as i32)).collect();
    let (mut records, mut truth) = (Vec::new(), Vec::new());
    for at in 0..n {
        // delay is half the other figure's business, half the speed's
        let (rate, delay) = (speed[at], (-0.5 * speed[at].ln() - other[at].ln()).exp());
        let loss = digits[at].get(1).map_or(0.01, |l| seconds[*l]);
        let mut record = Record { load: recipe.load * (0.9 + 0.2 * draws.unit()), ..Record::default() };
        for _ in 0..KEPT {
            let (a, b) = (recipe.noise.log(&mut draws).exp(), recipe.noise.log(&mut draws).exp());
            record.samples.entry(0).or_default().push(rate * a);
            record.samples.entry(1).or_default().push(delay / b);
            record.seconds.entry(0).or_default().push(recipe.once / (rate * a));
            record.seconds.entry(1).or_default().push(recipe.once * delay / b);
        }
        record.samples.insert(2, vec![loss]);
        record.seconds.insert(2, vec![8.0 * recipe.once]);
        records.push(record);
        truth.push(BTreeMap::from([(0, rate), (1, delay), (2, loss)]));
    }
    let figure = |name: &str, depends_on| Figure { name: name.into(), unit: String::new(), depends_on };
    let problem = Problem {
        features,
        designs: digits.into_iter().map(|levels| Candidate { levels, facts: BTreeMap::new() }).collect(),
        figures: vec![figure("speed", None), figure("delay", None), figure("loss", Some(vec![1]))],
        instruments: (0..3).map(|at| Instrument { figures: vec![at] }).collect(),
        goal: Axis { index: 0, better: Better::Higher },
        limits: Vec::new(),
    };
    Grid { problem, records, truth, repetitions: 5 }
}

/// Speeds around one: main effects, pairs and noise of their own.
fn surface(recipe: &Recipe, digits: &[Vec<usize>], draws: &mut Draws) -> Vec<f64> {
    let f = recipe.shape.len();
    let most = recipe.shape.iter().copied().max().unwrap_or(1);
    let mut table = |n: usize, spread: f64| (0..n).map(|_| spread * draws.normal()).collect::<Vec<f64>>();
    let main = table(f * most, recipe.main);
    let pair = table(f * f * most * most, recipe.pair);
    let alone = table(digits.len(), recipe.alone);
    let peaks = table(most, 1.0);
    let value = |(at, levels): (usize, &Vec<usize>)| {
        let mut sum = alone[at];
        for (i, a) in levels.iter().enumerate() {
            if i > 0 || !recipe.hill {
                sum += main[i * most + a];
            }
            for (j, b) in levels.iter().enumerate().take(i) {
                sum += pair[((i * f + j) * most + a) * most + b];
            }
        }
        if recipe.hill {
            let top = recipe.shape[0] as f64 / 2.0 + levels.get(1).map_or(0.0, |l| peaks[*l]);
            sum -= 0.06 * (levels[0] as f64 - top).powi(2);
        }
        sum.exp()
    };
    digits.iter().enumerate().map(value).collect()
}
