//! How speed follows one setting while all others stay: threads, micro-batch, depth. The best setting is a measurement, not a rule.

use std::collections::BTreeMap;

use super::board::{Board, Row};
use super::verdict::{self, Verdict};
use super::{format, stats::Interval};
use crate::protocol::{Design, Metric};

/// The setting that is varied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Varied {
    /// Threads that decode and read
    Threads,
    /// Tokens computed at once
    Ubatch,
    /// Tokens handed over at once
    Batch,
    /// Tokens in the cache beforehand
    Depth,
}

impl Varied {
    /// Every setting that is looked at.
    pub const ALL: [Self; 4] = [Self::Threads, Self::Ubatch, Self::Batch, Self::Depth];

    /// Its name along the bottom of a chart.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Ubatch => "micro-batch",
            Self::Batch => "batch",
            Self::Depth => "depth",
        }
    }

    /// The value of a row; 0 threads ("auto") cannot be placed.
    fn of(self, row: &Row) -> Option<u32> {
        match self {
            Self::Threads => Some(row.design.threads).filter(|threads| *threads > 0),
            Self::Ubatch => Some(row.design.n_ubatch),
            Self::Batch => Some(row.design.n_batch),
            Self::Depth => Some(row.depth),
        }
    }

    /// All that must be the same for two rows to be on one line.
    fn rest(self, row: &Row) -> String {
        let mut design: Design = row.design.clone();
        design.sampler = crate::protocol::SamplerOverrides::default();
        let mut depth = row.depth;
        match self {
            // batch threads that follow the threads are varied with them
            Self::Threads => {
                if design.threads_batch == design.threads {
                    design.threads_batch = 0;
                }
                design.threads = 0;
            }
            Self::Ubatch => design.n_ubatch = 0,
            Self::Batch => design.n_batch = 0,
            Self::Depth => {
                depth = 0;
                // a deeper cache asks for a longer context
                design.n_ctx = 0;
            }
        }
        format!("{depth} {} {}", row.environment.cpu, serde_json::to_string(&design).unwrap_or_default())
    }
}

/// One measured value of the setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The value of the setting
    pub at: u32,
    /// The row of the board
    pub row: usize,
    /// What was measured there
    pub value: f64,
    /// Its interval
    pub interval: Option<Interval>,
    /// The best of its line, or not to be told from it
    pub standing: StepStanding,
}

/// Where a step stands on its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepStanding {
    /// The best figure
    Best,
    /// Cannot be told from the best, or was not measured beside it
    Same,
    /// Worse
    Worse,
}

/// One line of a chart: a design with only the setting varied.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingLine {
    /// What it is called among the lines
    pub name: String,
    /// By the value of the setting, ascending; two or more
    pub steps: Vec<Step>,
}

/// A small chart.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalingChart {
    /// What is varied
    pub varied: Varied,
    /// What is measured
    pub metric: Metric,
    /// The lines, those with the most steps first
    pub lines: Vec<ScalingLine>,
    /// What it says, as a sentence
    pub sentence: String,
}

/// Every chart that the board has the figures for.
pub fn charts(board: &Board) -> Vec<ScalingChart> {
    let mut charts = Vec::new();
    for varied in Varied::ALL {
        for metric in [Metric::DecodeTps, Metric::PrefillTps] {
            // batches are for reading prompts only
            if metric == Metric::DecodeTps && matches!(varied, Varied::Ubatch | Varied::Batch) {
                continue;
            }
            let lines = lines(board, varied, metric);
            if let Some(first) = lines.first() {
                let sentence = sentence(varied, metric, first);
                charts.push(ScalingChart { varied, metric, lines, sentence });
            }
        }
    }
    charts
}

fn lines(board: &Board, varied: Varied, metric: Metric) -> Vec<ScalingLine> {
    let mut groups: BTreeMap<String, Vec<(u32, usize)>> = BTreeMap::new();
    for (index, row) in board.rows.iter().enumerate() {
        if let (Some(at), Some(_)) = (varied.of(row), row.value(metric)) {
            groups.entry(varied.rest(row)).or_default().push((at, index));
        }
    }
    let mut lines: Vec<ScalingLine> = Vec::new();
    for mut steps in groups.into_values() {
        steps.sort_unstable();
        steps.dedup_by_key(|(at, _)| *at);
        if steps.len() >= 2 {
            lines.push(line(board, metric, &steps));
        }
    }
    lines.sort_by(|a, b| b.steps.len().cmp(&a.steps.len()).then_with(|| top(b).total_cmp(&top(a))));
    name(board, varied, &mut lines);
    lines
}

fn top(line: &ScalingLine) -> f64 {
    line.steps.iter().map(|step| step.value).fold(f64::MIN, f64::max)
}

fn line(board: &Board, metric: Metric, steps: &[(u32, usize)]) -> ScalingLine {
    let figure = |row: usize| board.rows.get(row).and_then(|row| row.figures.get(&metric));
    let value = |row: usize| figure(row).map_or(f64::NAN, |figure| figure.value);
    let best = steps.iter().map(|(_, row)| *row).max_by(|a, b| value(*a).total_cmp(&value(*b)));
    let comparisons = verdict::all_pairs(steps.len());
    let standing = |row: usize| match best {
        Some(best) if best == row => StepStanding::Best,
        Some(best) => match board.compare(best, row, metric, comparisons) {
            Some(comparison) if comparison.verdict == Verdict::Higher => StepStanding::Worse,
            _ => StepStanding::Same,
        },
        None => StepStanding::Same,
    };
    let step = |(at, row): &(u32, usize)| Step {
        at: *at,
        row: *row,
        value: value(*row),
        interval: figure(*row).and_then(|figure| figure.interval),
        standing: standing(*row),
    };
    ScalingLine { name: String::new(), steps: steps.iter().map(step).collect() }
}

/// Names each line by what differs among the lines: the setting that is varied is made equal first.
fn name(board: &Board, varied: Varied, lines: &mut [ScalingLine]) {
    let plain: Vec<(Design, crate::protocol::Environment, u32)> = lines
        .iter()
        .filter_map(|line| {
            let row = board.rows.get(line.steps.first()?.row)?;
            let mut design = row.design.clone();
            match varied {
                Varied::Threads => (design.threads, design.threads_batch) = (0, 0),
                Varied::Ubatch => design.n_ubatch = 0,
                Varied::Batch => design.n_batch = 0,
                Varied::Depth => design.n_ctx = 0,
            }
            Some((design, row.environment.clone(), if varied == Varied::Depth { 0 } else { row.depth }))
        })
        .collect();
    let named: Vec<super::board::Named<'_>> = plain.iter().map(|(design, environment, depth)| (design, environment, *depth)).collect();
    for (line, label) in lines.iter_mut().zip(super::board::labels(&named)) {
        line.name = label.text();
    }
}

/// `Q8_0 decodes fastest at 2 threads: 149.1 t/s; 3 and 4 are not distinguishable`.
fn sentence(varied: Varied, metric: Metric, line: &ScalingLine) -> String {
    let Some(best) = line.steps.iter().find(|step| step.standing == StepStanding::Best) else { return String::new() };
    let does = if metric == Metric::DecodeTps { "decodes" } else { "reads prompts" };
    if varied == Varied::Depth {
        let (Some(first), Some(last)) = (line.steps.first(), line.steps.last()) else { return String::new() };
        let change = format::signed_percent(last.value / first.value - 1.0);
        return format!(
            "{} {does} at {} t/s with depth {}, {change} with depth {}",
            line.name,
            format::tps(first.value),
            first.at,
            last.at
        );
    }
    let at = |value: u32| match (varied, value) {
        (Varied::Threads, 1) => "1 thread".to_owned(),
        (Varied::Threads, n) => format!("{n} threads"),
        (_, n) => format!("{} {n}", varied.name()),
    };
    let same: Vec<String> = line.steps.iter().filter(|step| step.standing == StepStanding::Same).map(|step| step.at.to_string()).collect();
    let same = match same.split_last() {
        None => String::new(),
        Some((only, [])) => format!("; {only} is not distinguishable"),
        Some((last, rest)) => format!("; {} and {last} are not distinguishable", rest.join(", ")),
    };
    format!("{} {does} fastest with {}: {} t/s{same}", line.name, at(best.at), format::tps(best.value))
}

#[cfg(test)]
mod tests {
    use super::super::board::Question;
    use super::super::board::testing::{around, bench, decode};
    use super::*;
    use crate::protocol::{BenchTest, Run, Workload};

    fn threads(quant: &str, threads: u32, speed: f64, seed: usize) -> Run {
        let mut run = decode(quant, &around(speed, seed), 400.0);
        run.design.threads = threads;
        run
    }

    #[test]
    fn threads_have_a_line_for_each_rung_with_the_best_marked() {
        let runs = [
            threads("Q8_0", 1, 80.0, 0),
            threads("Q8_0", 4, 149.2, 2),
            threads("Q8_0", 2, 149.0, 1),
            threads("Q6_K", 1, 70.0, 3),
            threads("Q6_K", 2, 120.0, 4),
            // no second value: no line
            threads("Q4_0", 2, 190.0, 5),
        ];
        let board = Board::new(&runs, Question::default(), &[]);
        let charts = charts(&board);
        assert_eq!(charts.len(), 1);
        let chart = &charts[0];
        assert_eq!((chart.varied, chart.metric), (Varied::Threads, Metric::DecodeTps));
        let names: Vec<&str> = chart.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["Q8_0", "Q6_K"]);
        let first: Vec<(u32, StepStanding)> = chart.lines[0].steps.iter().map(|step| (step.at, step.standing)).collect();
        assert_eq!(first, [(1, StepStanding::Worse), (2, StepStanding::Same), (4, StepStanding::Best)]);
        assert!(chart.sentence.starts_with("Q8_0 decodes fastest with 4 threads: 149."), "{}", chart.sentence);
        assert!(chart.sentence.ends_with("; 2 is not distinguishable"), "{}", chart.sentence);
    }

    #[test]
    fn depth_says_what_is_lost() {
        let at = |n_depth: u32, speed: f64| {
            let mut run = decode("Q8_0", &around(speed, 0), 400.0);
            run.workload = Workload::Bench { test: BenchTest { n_prompt: 0, n_gen: 128, n_depth } };
            run.design.n_ctx = 256 + n_depth;
            run
        };
        let board = Board::new(&[at(0, 150.0), at(4096, 75.0)], Question::default(), &[]);
        let charts = charts(&board);
        assert_eq!(charts.len(), 1);
        assert!(charts[0].sentence.ends_with("-50 % with depth 4096"), "{}", charts[0].sentence);
    }

    #[test]
    fn micro_batches_are_looked_at_for_prefill_only() {
        let at = |n_ubatch: u32, speed: f64| {
            let mut run = bench("Q8_0", 512, 0, &[(Metric::PrefillTps, &around(speed, 1))]);
            run.design.n_ubatch = n_ubatch;
            run.samples.insert(Metric::DecodeTps, vec![100.0, 101.0, 102.0]);
            run
        };
        let board = Board::new(&[at(128, 400.0), at(512, 600.0)], Question::default(), &[]);
        let charts = charts(&board);
        assert_eq!(charts.iter().map(|chart| (chart.varied, chart.metric)).collect::<Vec<_>>(), [(Varied::Ubatch, Metric::PrefillTps)]);
        assert!(charts[0].sentence.contains("fastest with micro-batch 512"), "{}", charts[0].sentence);
    }
}
