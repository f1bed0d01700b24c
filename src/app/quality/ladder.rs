//! What the ladder chart shows: quality loss against size and speed, for a whole family on one text.

use std::path::{Path, PathBuf};

use super::on_disk;
use crate::app::AppState;
use crate::library::RungState;
use crate::measure::pareto::{self, Axis, Better};
use crate::measure::quality::tally::Estimate;
use crate::measure::stats;

/// A mean KL divergence that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderPoint {
    /// Fingerprint of the text
    pub text_hash: String,
    /// Tokens of a chunk
    pub n_ctx: u32,
    /// File that was taken for right
    pub reference: PathBuf,
    /// File that was measured
    pub model: PathBuf,
    /// Name of the design
    pub name: String,
    /// Bytes of its file
    pub size: u64,
    /// Tokens that were scored
    pub tokens: u64,
    /// Nats
    pub kld: Estimate,
}

/// One rung or design of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// `Q4_K_M`
    pub name: String,
    /// Bytes, and whether that is an estimate
    pub size: (u64, bool),
    /// Decode speed, tokens per second, where replies were measured
    pub tps: Option<f64>,
    /// Mean KL divergence, nats; 0 for the reference; `None` = not measured on this text
    pub kld: Option<Estimate>,
    /// The reference itself
    pub is_reference: bool,
    /// A file that is there
    pub is_on_disk: bool,
    /// Which candidate of the comparison on screen
    pub candidate: Option<usize>,
}

impl AppState {
    /// The points of the chart: the whole family of the comparison on screen, and every design measured on the same text.
    pub fn quality_ladder(&self) -> Vec<Point> {
        let Some(comparison) = &self.quality.comparison else { return Vec::new() };
        let Some(family) = self.library.families.iter().find(|family| family.key == comparison.family) else { return Vec::new() };
        // until the engine says what it reads, what was read before of the same text stands
        let n_ctx = comparison.layout.as_ref().map(|layout| layout.n_ctx);
        let known: Vec<&LadderPoint> = (self.quality.points.iter())
            .filter(|point| {
                point.text_hash == comparison.text_hash
                    && n_ctx.is_none_or(|n_ctx| point.n_ctx == n_ctx)
                    && point.reference == comparison.reference.model
            })
            .collect();
        let candidate = |name: &str| comparison.candidates.iter().position(|candidate| candidate.name == name);
        let running = |name: &str| {
            let candidate = comparison.candidates.get(candidate(name)?)?;
            candidate.running.map(|running| running.kld)
        };
        let kld = |name: &str| running(name).or_else(|| known.iter().find(|point| point.name == name).map(|point| point.kld));
        let mut points = Vec::new();
        for rung in &family.rungs {
            let (size, path) = match &rung.state {
                RungState::OnDisk { path, size, .. } => ((*size, false), Some(path.as_path())),
                RungState::CanMake { size_estimate, .. } if rung.usual => ((*size_estimate, true), None),
                _ => continue,
            };
            let is_reference = path == Some(&*comparison.reference.model);
            let zero = Estimate { value: 0.0, error: None };
            points.push(Point {
                name: rung.quant.clone(),
                size,
                tps: path.and_then(|path| self.decode_speed(path)),
                kld: if is_reference { Some(zero) } else { path.and_then(|_| kld(&rung.quant)) },
                is_reference,
                is_on_disk: path.is_some(),
                candidate: candidate(&rung.quant),
            });
        }
        // designs that differ in more than the rung
        let variants = comparison.candidates.iter().enumerate().filter(|(_, candidate)| family.rung(&candidate.name).is_none());
        for (index, candidate) in variants {
            points.push(Point {
                name: candidate.name.clone(),
                size: (candidate.size, false),
                tps: None,
                kld: kld(&candidate.name),
                is_reference: false,
                is_on_disk: true,
                candidate: Some(index),
            });
        }
        points
    }

    /// Median decode speed of the replies that a file gave in this session, tokens per second.
    pub fn decode_speed(&self, path: &Path) -> Option<f64> {
        self.quality.speeds.get(path).and_then(|speeds| stats::median(speeds))
    }

    /// Rungs of the comparison's family on disk that were not measured on its text.
    pub fn quality_missing(&self) -> usize {
        self.quality_ladder().iter().filter(|point| point.is_on_disk && point.kld.is_none()).count()
    }

    /// How many rungs "the whole ladder" would measure.
    pub fn quality_ladder_len(&self) -> usize {
        self.quality_family().map_or(0, |family| on_disk(family).count().saturating_sub(1))
    }
}

/// The knee among measured points: after it, a little less size (or more speed) costs much quality. `x` is what the chart shows,
/// `lower` whether less of it is better; the loss counts as it is drawn, by `drawn`.
pub fn knee(points: &[Point], x: impl Fn(&Point) -> Option<f64>, lower: bool, drawn: impl Fn(f64) -> f64) -> Option<usize> {
    let rows: Vec<[Option<f64>; 2]> =
        points.iter().map(|point| [x(point).filter(|_| point.is_on_disk), point.kld.map(|kld| drawn(kld.value))]).collect();
    let better = if lower { Better::Lower } else { Better::Higher };
    let axes = [Axis { index: 0, better }, Axis { index: 1, better: Better::Lower }];
    let standings = pareto::judge(&rows, &axes, &[]);
    pareto::knee(&rows, axes, &pareto::front_line(&rows, axes, &standings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_quality_falls_off() {
        let point = |name: &str, size: u64, kld: Option<f64>| Point {
            name: name.into(),
            size: (size, false),
            tps: None,
            kld: kld.map(|value| Estimate { value, error: None }),
            is_reference: kld == Some(0.0),
            is_on_disk: true,
            candidate: None,
        };
        let points = [
            point("F16", 257, Some(0.0)),
            point("Q8_0", 136, Some(0.005)),
            point("Q5_K_M", 105, Some(0.03)),
            point("Q4_K_M", 99, Some(0.06)),
            point("Q3_K_M", 84, None),
            point("Q2_K", 82, Some(0.41)),
        ];
        let size = |point: &Point| Some(point.size.0 as f64);
        assert_eq!(knee(&points, size, true, |kld| kld).map(|index| points[index].name.as_str()), Some("Q5_K_M"));
        assert_eq!(knee(&points, |point| point.tps, false, |kld| kld), None, "no speed, no knee");
    }
}
