//! What the ladder chart shows: quality loss against size and speed, for a whole family on one text.

use std::path::{Path, PathBuf};

use super::{Candidate, Content, Variant, on_disk};
use crate::app::AppState;
use crate::library::{Family, RungState};
use crate::measure::pareto::{self, Axis, Better};
use crate::measure::quality::tally::Estimate;
use crate::measure::stats;
use crate::protocol::{Design, FlashAttention, Metric, Run, RunId, SamplerOverrides, Workload};

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
    /// In which variant
    pub variant: Variant,
    /// Bytes of its file
    pub size: u64,
    /// When it was asked for, Unix time, milliseconds
    pub measured_ms: i64,
    /// The run that it was read from; `None` for what was measured in this session
    pub run: Option<RunId>,
    /// Tokens that were scored
    pub tokens: u64,
    /// Nats
    pub kld: Estimate,
}

impl LadderPoint {
    /// What a run that is kept says; nothing where it compared other designs than the page does.
    pub fn of_run(run: &Run) -> Option<Self> {
        let Workload::Quality { text_hash, n_ctx, reference, .. } = &run.workload else { return None };
        let variant = Variant::of(&run.design)?;
        if Variant::of(reference) != Some(Variant::Usual) {
            return None;
        }
        let document = run.extra.get("quality");
        let error = document.and_then(|document| document.get("kld")?.get("error")?.as_f64());
        let tokens = document.and_then(|document| document.get("tokens")?.as_u64());
        Some(Self {
            text_hash: text_hash.clone(),
            n_ctx: *n_ctx,
            reference: reference.model.clone(),
            model: run.design.model.clone(),
            name: variant.of_rung(&run.environment.quant),
            variant,
            size: run.environment.model_size,
            measured_ms: run.started_ms,
            run: Some(run.id),
            tokens: tokens.unwrap_or(0),
            kld: Estimate { value: run.figure(Metric::Kld)?, error },
        })
    }
}

/// One rung or design of the chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// `Q4_K_M`
    pub name: String,
    /// Bytes, and whether that is an estimate
    pub size: (u64, bool),
    /// Decode speed, tokens per second, where replies or runs were measured
    pub tps: Option<f64>,
    /// Mean KL divergence, nats; 0 for the reference; `None` = not measured on this text
    pub kld: Option<Estimate>,
    /// When that was measured, Unix time in milliseconds, and on how many tokens; `None` while it is being measured
    pub measured: Option<(i64, u64)>,
    /// The reference itself
    pub is_reference: bool,
    /// A file that is there
    pub is_on_disk: bool,
    /// Which candidate of the comparison on screen
    pub candidate: Option<usize>,
}

/// What the points of a chart have in common: the family, what is taken for right, the text and how it is cut.
struct Ground<'a> {
    family: &'a Family,
    reference: &'a Path,
    hash: String,
    /// `None` until the engine says how it cuts the text
    n_ctx: Option<u32>,
    candidates: &'a [Candidate],
}

impl AppState {
    /// The points of the chart: the whole family of the comparison on screen, or of the one that is set up, and every design that was
    /// measured on the same text, in this session or in a run that is kept.
    pub fn quality_ladder(&self) -> Vec<Point> {
        let Some(ground) = self.quality_ground() else { return Vec::new() };
        let known = self.quality_known(&ground);
        let mut points: Vec<Point> = ground
            .family
            .rungs
            .iter()
            .filter_map(|rung| {
                let (size, path) = match &rung.state {
                    RungState::OnDisk { path, size, .. } => ((*size, false), Some(path.as_path())),
                    RungState::CanMake { size_estimate, .. } if rung.usual => ((*size_estimate, true), None),
                    _ => return None,
                };
                Some(self.quality_point(&ground, &known, &rung.quant, size, path, Variant::Usual))
            })
            .collect();
        // designs that differ in more than the rung, as far as they were measured or are being
        for rung in on_disk(ground.family) {
            for variant in Variant::ALL.into_iter().filter(|variant| *variant != Variant::Usual) {
                let point = self.quality_point(&ground, &known, rung.quant, (rung.size, false), Some(rung.path), variant);
                if point.kld.is_some() || point.candidate.is_some() {
                    points.push(point);
                }
            }
        }
        points
    }

    fn quality_ground(&self) -> Option<Ground<'_>> {
        if let Some(comparison) = &self.quality.comparison {
            let family = self.library.families.iter().find(|family| family.key == comparison.family)?;
            return Some(Ground {
                family,
                reference: &comparison.reference.model,
                hash: comparison.text_hash.clone(),
                n_ctx: comparison.layout.as_ref().map(|layout| layout.n_ctx),
                candidates: &comparison.candidates,
            });
        }
        let (_, text) = self.quality_text().ok()?;
        let reference = self.quality_reference()?.path;
        // answers are read whole, however long they are
        let n_ctx = matches!(text.content, Content::Plain(_)).then_some(self.quality.setup.n_ctx);
        Some(Ground { family: self.quality_family()?, reference, hash: text.hash.to_string(), n_ctx, candidates: &[] })
    }

    /// What was measured on this ground. Of what was measured more than once the longest counts, of equally long ones the latest.
    fn quality_known(&self, ground: &Ground<'_>) -> Vec<&LadderPoint> {
        let is_there = |point: &&LadderPoint| point.run.is_none_or(|run| self.history.head(run).is_some());
        let all = self.quality.points.iter().chain(self.quality.kept.iter().filter(is_there));
        let mut known: Vec<&LadderPoint> = all
            .filter(|point| {
                point.text_hash == ground.hash
                    && ground.n_ctx.is_none_or(|n_ctx| point.n_ctx == n_ctx)
                    && self.is_same_file(&point.reference, ground.reference)
            })
            .collect();
        known.sort_by_key(|point| std::cmp::Reverse((point.tokens, point.measured_ms)));
        known
    }

    fn quality_point(
        &self,
        ground: &Ground<'_>,
        known: &[&LadderPoint],
        quant: &str,
        size: (u64, bool),
        path: Option<&Path>,
        variant: Variant,
    ) -> Point {
        let name = variant.of_rung(quant);
        let is_reference = path == Some(ground.reference) && variant == Variant::Usual;
        let candidate = ground.candidates.iter().position(|candidate| candidate.name == name);
        let running = candidate.and_then(|index| ground.candidates.get(index)?.running);
        let found =
            || known.iter().find(|point| point.variant == variant && path.is_some_and(|path| self.is_same_file(&point.model, path)));
        let (kld, measured) = match running {
            _ if is_reference => (Some(Estimate { value: 0.0, error: None }), None),
            Some(running) => {
                let stands = known.iter().find(|point| point.run.is_none() && point.name == name && point.tokens == running.tokens);
                (Some(running.kld), stands.map(|point| (point.measured_ms, point.tokens)))
            }
            None => found().map_or((None, None), |point| (Some(point.kld), Some((point.measured_ms, point.tokens)))),
        };
        let tps = path.and_then(|path| self.decode_speed(path, variant));
        Point { name, size, tps, kld, measured, is_reference, is_on_disk: path.is_some(), candidate }
    }

    /// Whether a file that was read once is one that is here: the same path, or, where nothing lies at that any more, the same name.
    fn is_same_file(&self, once: &Path, here: &Path) -> bool {
        let is_elsewhere = || self.library.families.iter().all(|family| family.rung_of(once).is_none());
        once == here || (once.file_name() == here.file_name() && is_elsewhere())
    }

    /// Decode speed of a file in a variant, tokens per second: the median of the replies that it gave in this session, else of its last
    /// run with the threads in use, else with the default design, where runs were read.
    pub fn decode_speed(&self, path: &Path, variant: Variant) -> Option<f64> {
        let replies = self.quality.speeds.get(&(path.to_owned(), variant.name()));
        if let Some(tps) = replies.and_then(|speeds| stats::median(speeds)) {
            return Some(tps);
        }
        let family = self.library.families.iter().find(|family| family.rung_of(path).is_some())?;
        let quant = &family.rung_of(path)?.quant;
        let now = self.quality_design(path);
        let effective = self.loaded.as_ref().map_or(0, |report| report.effective.threads);
        let bases =
            [now.clone(), Design { threads: if now.threads == 0 { effective } else { now.threads }, ..now }, Design::for_model(path)];
        let words = bases.into_iter().flat_map(|base| {
            let design = variant.apply(base);
            // for a cache type flash attention is what the engine takes by itself
            let by_itself =
                matches!(variant, Variant::Cache(_)).then(|| Design { flash_attention: FlashAttention::Auto, ..design.clone() });
            [Some(design), by_itself].into_iter().flatten().map(|design| design.differences(&SamplerOverrides::default()))
        });
        self.history.decode_tps(&family.name, quant, words)
    }

    /// How many rungs "the whole ladder" would measure.
    pub fn quality_ladder_len(&self) -> usize {
        self.quality_family().map_or(0, |family| on_disk(family).count().saturating_sub(1))
    }
}

/// Points whose file is there and whose loss on this text is not known.
pub fn missing(points: &[Point]) -> usize {
    points.iter().filter(|point| point.is_on_disk && point.kld.is_none()).count()
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
            measured: None,
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
