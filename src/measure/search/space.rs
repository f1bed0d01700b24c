//! What designs differ in, as the surrogate sees it.

use super::gauss::Hyper;

/// How the levels of a feature relate to each other.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Not at all: flash attention, KV types
    Categorical,
    /// By their place on a line, one a level: bits per weight, the logarithm of a batch size
    Ordinal(Vec<f64>),
}

/// Something designs differ in.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// For sentences: `threads`
    pub name: String,
    /// The name of each level: `1`, `2`
    pub levels: Vec<String>,
    /// How they relate
    pub scale: Scale,
}

impl Feature {
    /// One whose levels have nothing to do with each other.
    pub fn categorical(name: impl Into<String>, levels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), levels: levels.into_iter().map(Into::into).collect(), scale: Scale::Categorical }
    }

    /// One of numbers above zero, near each other when their ratio is.
    pub fn counts(name: impl Into<String>, values: &[u32]) -> Self {
        let places = values.iter().map(|v| f64::from(v + 1).ln()).collect();
        Self { name: name.into(), levels: values.iter().map(u32::to_string).collect(), scale: Scale::Ordinal(places) }
    }
}

/// The kernel of each feature, as a table of its levels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kernels {
    tables: Vec<Vec<Vec<f64>>>,
    /// The variance of the figure's logarithm that is expected before any was measured
    pub(super) expected: f64,
}

impl Kernels {
    /// For the features of a problem; those left out of `of` do not matter to the figure.
    pub(super) fn new(features: &[Feature], of: Option<&[usize]>, expected: f64) -> Self {
        let matters = |at: &usize| of.is_none_or(|of| of.contains(at));
        let tables = features.iter().enumerate().filter(|(at, _)| matters(at)).map(|(_, feature)| table(feature)).collect();
        Self { tables, expected }
    }

    pub(super) fn features(&self) -> usize {
        self.tables.len()
    }

    /// Covariance of a design with itself, without the constant.
    pub(super) fn own(&self, hyper: &Hyper) -> f64 {
        let main: f64 = hyper.main.iter().sum();
        let roots: f64 = hyper.main.iter().map(|a| a.sqrt()).sum();
        main + hyper.pair * 0.5 * (roots * roots - main) + hyper.alone
    }

    /// Covariance of two different designs, without the constant.
    pub(super) fn between(&self, hyper: &Hyper, a: &[usize], b: &[usize]) -> f64 {
        let (mut main, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for (((table, variance), a), b) in self.tables.iter().zip(&hyper.main).zip(a).zip(b) {
            let k = table.get(*a).and_then(|row| row.get(*b)).copied().unwrap_or(0.0);
            main += variance * k;
            sum += variance.sqrt() * k;
            squares += variance * k * k;
        }
        main + hyper.pair * 0.5 * (sum * sum - squares)
    }
}

fn table(feature: &Feature) -> Vec<Vec<f64>> {
    let n = feature.levels.len();
    let span = match &feature.scale {
        Scale::Categorical => 0.0,
        Scale::Ordinal(places) => {
            places.iter().copied().fold(f64::NEG_INFINITY, f64::max) - places.iter().copied().fold(f64::INFINITY, f64::min)
        }
    };
    let at = |i: usize, j: usize| match &feature.scale {
        _ if i == j => 1.0,
        Scale::Ordinal(places) if span > 0.0 => {
            let apart = places.get(i).zip(places.get(j)).map_or(span, |(a, b)| (a - b).abs());
            0.5 * (-apart / span).exp()
        }
        _ => 0.0,
    };
    (0..n).map(|i| (0..n).map(|j| at(i, j)).collect()).collect()
}
