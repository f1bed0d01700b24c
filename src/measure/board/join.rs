//! From runs to one row per design.
//!
//! A row is a design at one depth on one processor. Speed belongs to the whole design but its sampler. Quality is the same for every
//! design with the same file and cache types, so a rung that was scored once counts for all thread counts. A file is known by its
//! fingerprint, where a run has one: moved, it is the same; another one at its place is not. A figure that depends on how
//! much was read or written (`pp512`, `tg128`) is taken from one cell for all rows, the one that most of them have: figures of different
//! cells are not compared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use super::super::pareto::Standing;
use super::super::stats::{self, Interval};
use super::super::verdict;
use super::{Block, Figure, Label, RooflineShare, Row};
use crate::protocol::{Design, EngineError, Environment, Metric, Run, RunTrust, SamplerOverrides, Workload};

/// What was read and written, without the depth.
type Cell = (u32, u32);

/// The design as far as its speed depends on it.
pub(super) fn speed_key(design: &Design) -> String {
    let stripped = Design { sampler: SamplerOverrides::default(), ..design.clone() };
    serde_json::to_string(&stripped).unwrap_or_default()
}

/// What tells the model files of some runs apart.
struct Files<'a> {
    /// Of runs that have a fingerprint the newest one's, by where the file lay
    at: BTreeMap<&'a Path, (i64, &'a str)>,
}

impl<'a> Files<'a> {
    fn of(runs: &'a [Run]) -> Self {
        let mut at = BTreeMap::new();
        for run in runs.iter().filter(|run| !run.environment.model_hash.is_empty()) {
            let known = (run.started_ms, run.environment.model_hash.as_str());
            let newest = at.entry(run.design.model.as_path()).or_insert(known);
            *newest = known.max(*newest);
        }
        Self { at }
    }

    /// The fingerprint of a run's file; where it has none, that of the file that lay at the same place last.
    fn fingerprint(&self, run: &'a Run) -> Option<&'a str> {
        let own = Some(run.environment.model_hash.as_str()).filter(|hash| !hash.is_empty());
        own.or_else(|| self.at.get(run.design.model.as_path()).map(|(_, hash)| *hash))
    }

    /// A run's file: its fingerprint, else its place.
    fn file(&self, run: &'a Run) -> Cow<'a, str> {
        self.fingerprint(run).map_or_else(|| run.design.model.to_string_lossy(), Cow::from)
    }

    /// [`speed_key`] with the file in place of its path.
    fn speed_key(&self, run: &'a Run) -> String {
        speed_key(&Design { model: self.file(run).into_owned().into(), ..run.design.clone() })
    }

    /// The design as far as its answers depend on it. Threads and batches change the order of sums, which is far below what is scored.
    fn quality_key(&self, run: &'a Run) -> String {
        let Design { type_k, type_v, repack, .. } = &run.design;
        format!("{} {} {repack} {}", type_k.name(), type_v.name(), self.file(run))
    }
}

/// Whether a figure means the same whatever was read and written.
fn is_of_design(metric: Metric) -> bool {
    matches!(metric, Metric::PeakMemory | Metric::FileSize)
}

/// The part of a cell that a figure depends on: how much was read for the speed of reading, how much was written for that of writing.
fn cell_of(metric: Metric, (n_prompt, n_gen): Cell) -> Cell {
    match metric {
        Metric::PrefillTps | Metric::TtftMs => (n_prompt, 0),
        Metric::DecodeTps | Metric::ItlP95Ms | Metric::EnergyPerToken | Metric::CostPerMillion => (0, n_gen),
        _ => (n_prompt, n_gen),
    }
}

/// A run of a cell, by its place among the runs.
struct Entry {
    run: usize,
    cell: Cell,
}

/// A row before its figures are made.
struct Draft {
    key: u64,
    entries: Vec<Entry>,
}

/// One row per design, and the cell that each figure is taken from.
pub(super) fn rows(runs: &[Run]) -> (Vec<Row>, BTreeMap<Metric, Cell>) {
    let files = Files::of(runs);
    let drafts = drafts(runs, &files);
    let cells = common_cells(runs, &drafts);
    let quality = quality(runs, &files);
    let rows = drafts.iter().filter_map(|draft| row(runs, draft, &cells, &files, &quality)).collect();
    (rows, cells)
}

fn drafts<'a>(runs: &'a [Run], files: &Files<'a>) -> Vec<Draft> {
    let mut place: BTreeMap<(String, u32, &str), usize> = BTreeMap::new();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut have_speed: Vec<String> = Vec::new();
    for (run_index, run) in runs.iter().enumerate() {
        let Workload::Bench { test } = &run.workload else { continue };
        let id = (files.speed_key(run), test.n_depth, run.environment.cpu.as_str());
        have_speed.push(files.quality_key(run));
        let entry = Entry { run: run_index, cell: (test.n_prompt, test.n_gen) };
        let at = *place.entry(id.clone()).or_insert_with(|| {
            drafts.push(Draft { key: hash(&id), entries: Vec::new() });
            drafts.len() - 1
        });
        if let Some(draft) = drafts.get_mut(at) {
            draft.entries.push(entry);
        }
    }
    have_speed.sort_unstable();
    // what was only scored is a design too: it says what is still to be measured
    for (run_index, run) in runs.iter().enumerate() {
        if matches!(run.workload, Workload::Quality { .. }) && have_speed.binary_search(&files.quality_key(run)).is_err() {
            let id = (files.speed_key(run), 0, run.environment.cpu.as_str());
            let at = *place.entry(id.clone()).or_insert_with(|| {
                drafts.push(Draft { key: hash(&id), entries: Vec::new() });
                drafts.len() - 1
            });
            if let Some(draft) = drafts.get_mut(at) {
                draft.entries.push(Entry { run: run_index, cell: (0, 0) });
            }
        }
    }
    for draft in &mut drafts {
        draft.entries.sort_by_key(|entry| runs.get(entry.run).map_or(0, |run| run.started_ms));
    }
    drafts
}

fn hash(id: &(String, u32, &str)) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// The cell that most rows have a figure of; of equally many the one with the most tokens.
fn common_cells(runs: &[Run], drafts: &[Draft]) -> BTreeMap<Metric, Cell> {
    let mut counts: BTreeMap<(Metric, Cell), usize> = BTreeMap::new();
    for draft in drafts {
        let mut seen = Vec::new();
        for entry in &draft.entries {
            let samples = runs.get(entry.run).map(|run| &run.samples);
            for metric in samples.into_iter().flat_map(|samples| samples.keys()) {
                let key = (*metric, cell_of(*metric, entry.cell));
                if !is_of_design(*metric) && !metric.is_quality() && !seen.contains(&key) {
                    seen.push(key);
                }
            }
        }
        for key in seen {
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut best: BTreeMap<Metric, (usize, u64, Cell)> = BTreeMap::new();
    for ((metric, cell), count) in counts {
        let rank = (count, u64::from(cell.0) + u64::from(cell.1), cell);
        let slot = best.entry(metric).or_insert(rank);
        *slot = rank.max(*slot);
    }
    best.into_iter().map(|(metric, (_, _, cell))| (metric, cell)).collect()
}

/// What was scored, by [`Files::quality_key`]: the runs of each, oldest first.
fn quality<'a>(runs: &'a [Run], files: &Files<'a>) -> BTreeMap<String, Vec<usize>> {
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, run) in runs.iter().enumerate() {
        // a sweep that scores its designs keeps what it found with their speed
        if run.samples.keys().any(|metric| metric.is_quality()) {
            found.entry(files.quality_key(run)).or_default().push(index);
        }
    }
    for indices in found.values_mut() {
        indices.sort_by_key(|index| runs.get(*index).map_or(0, |run| run.started_ms));
    }
    found
}

fn row<'a>(
    runs: &'a [Run],
    draft: &Draft,
    cells: &BTreeMap<Metric, Cell>,
    files: &Files<'a>,
    quality: &BTreeMap<String, Vec<usize>>,
) -> Option<Row> {
    let newest = runs.get(draft.entries.last()?.run)?;
    let scored = quality.get(&files.quality_key(newest)).map_or(&[][..], Vec::as_slice);
    let mut figures = BTreeMap::new();
    for metric in Metric::ALL {
        let sources: Vec<&Run> = if metric.is_quality() {
            scored.iter().filter_map(|index| runs.get(*index)).collect()
        } else {
            let wanted = |entry: &&Entry| is_of_design(metric) || cells.get(&metric) == Some(&cell_of(metric, entry.cell));
            draft.entries.iter().filter(wanted).filter_map(|entry| runs.get(entry.run)).collect()
        };
        if let Some(figure) = figure(metric, &sources) {
            figures.insert(metric, figure);
        }
    }
    if newest.environment.model_size > 0 {
        let size = newest.environment.model_size as f64;
        let block = Block { group: String::new(), samples: vec![size], places: Vec::new() };
        figures.entry(Metric::FileSize).or_insert(Figure { value: size, interval: None, blocks: vec![block] });
    }
    let (trust, reasons) = trust(runs, draft);
    let roofline = draft.entries.iter().rev().filter_map(|entry| runs.get(entry.run)).find_map(|run| run.extra.get("roofline"));
    Some(Row {
        key: draft.key,
        design: newest.design.clone(),
        depth: if let Workload::Bench { test } = &newest.workload { test.n_depth } else { 0 },
        environment: Environment { model_hash: files.fingerprint(newest).unwrap_or_default().to_owned(), ..newest.environment.clone() },
        runs: draft.entries.iter().map(|entry| entry.run).collect(),
        figures,
        trust,
        reasons,
        failure: failure(runs, draft),
        roofline: roofline.map(RooflineShare::read).unwrap_or_default(),
        label: Label::default(),
        // until it is judged
        standing: Standing::Unmeasured { axis: 0 },
    })
}

/// Joins the samples of the runs, oldest first, by their group.
fn figure(metric: Metric, sources: &[&Run]) -> Option<Figure> {
    let mut blocks: Vec<Block> = Vec::new();
    for run in sources {
        let Some(samples) = run.samples.get(&metric) else { continue };
        let samples: Vec<f64> = samples.iter().copied().filter(|value| value.is_finite()).collect();
        if samples.is_empty() {
            continue;
        }
        match blocks.last_mut().filter(|block| !run.group.is_empty() && block.group == run.group) {
            Some(block) => {
                block.samples.extend(samples);
                block.places.extend(&run.blocks);
            }
            None => blocks.push(Block { group: run.group.clone(), samples, places: run.blocks.clone() }),
        }
    }
    blocks.reverse();
    let newest = &blocks.first()?.samples;
    let value = if metric == Metric::PeakMemory { newest.iter().copied().fold(f64::MIN, f64::max) } else { stats::median(newest)? };
    let interval = if is_of_design(metric) {
        None
    } else if metric.is_quality() {
        sources.last().and_then(|run| scored_interval(metric, run))
    } else {
        verdict::middle(newest).map(|interval| Interval { low: interval.low.min(value), high: interval.high.max(value), ..interval })
    };
    Some(Figure { value, interval, blocks })
}

/// The interval of the mean KLD that the scoring itself reckoned, from what it kept with the run.
fn scored_interval(metric: Metric, run: &Run) -> Option<Interval> {
    if metric != Metric::Kld {
        return None;
    }
    if let Some(error) = run.extra.get("kld_error").and_then(serde_json::Value::as_f64) {
        let kld = run.samples.get(&metric)?.first()?;
        return Some(Interval { low: (kld - error).max(0.0), high: kld + error, level: 0.95 });
    }
    let find = |value: &serde_json::Value| value.get("kld").and_then(|kld| kld.get("ci95")).cloned();
    let ends = run.extra.values().find_map(find)?;
    let end = |index: usize| ends.get(index).and_then(serde_json::Value::as_f64);
    Some(Interval { low: end(0)?, high: end(1)?, level: 0.95 })
}

/// The runs that a row stands on now: of each cell the newest, with the others of its group.
fn newest_of_cells<'a>(runs: &'a [Run], draft: &Draft) -> Vec<&'a Run> {
    let mut newest: BTreeMap<Cell, &Run> = BTreeMap::new();
    for entry in &draft.entries {
        if let Some(run) = runs.get(entry.run) {
            newest.insert(entry.cell, run);
        }
    }
    let of_group = |entry: &&Entry| {
        let Some((run, last)) = runs.get(entry.run).zip(newest.get(&entry.cell)) else { return false };
        std::ptr::eq(run, *last) || (!run.group.is_empty() && run.group == last.group)
    };
    draft.entries.iter().filter(of_group).filter_map(|entry| runs.get(entry.run)).collect()
}

/// The least trust among the newest runs, and every reason once.
fn trust(runs: &[Run], draft: &Draft) -> (RunTrust, Vec<String>) {
    let rank = |trust: RunTrust| match trust {
        RunTrust::Trusted => 0,
        RunTrust::Noisy => 1,
        RunTrust::TooFew => 2,
    };
    let newest = newest_of_cells(runs, draft);
    let measured: Vec<&Run> = newest.into_iter().filter(|run| run.failure.is_none()).collect();
    let mut reasons: Vec<String> = Vec::new();
    for reason in measured.iter().flat_map(|run| &run.reasons) {
        if !reasons.contains(reason) {
            reasons.push(reason.clone());
        }
    }
    let trust = measured.iter().map(|run| run.trust).max_by_key(|trust| rank(*trust)).unwrap_or_default();
    (trust, reasons)
}

/// The failure of a cell whose newest run failed.
fn failure(runs: &[Run], draft: &Draft) -> Option<EngineError> {
    let mut newest: BTreeMap<Cell, &Run> = BTreeMap::new();
    for entry in &draft.entries {
        if let Some(run) = runs.get(entry.run) {
            newest.insert(entry.cell, run);
        }
    }
    newest
        .into_values()
        .filter_map(|run| run.failure.clone().map(|failure| (run.started_ms, failure)))
        .max_by_key(|(at, _)| *at)
        .map(|(_, f)| f)
}
