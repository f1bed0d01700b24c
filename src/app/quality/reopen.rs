//! Comparisons that were kept: found among the runs, and put together again from them.

use std::sync::Arc;

use super::{Candidate, Comparison, Phase, Variant};
use crate::app::AppState;
use crate::measure::quality::kept::Kept;
use crate::protocol::{Design, Metric, QualityLayout, Run, RunId, TokenRecord, Workload};
use crate::store::RunHead;

/// What a run says that was stopped before the end of its text.
pub const STOPPED: &str = "Stopped before the end of the text";

/// How the words of a workload begin that compares quality (see [`Workload::words`]).
const WORDS: &str = "quality on ";

/// A comparison that was kept, as a list shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptComparison {
    /// A run for each candidate, in the order in which they were compared
    pub runs: Vec<RunId>,
    /// The candidates, in words: level, and what else of a design a model's answers depend on
    pub names: Vec<String>,
    /// The model
    pub model: String,
    /// Text and chunks, in words
    pub text: String,
    /// When it began, Unix time, milliseconds
    pub started_ms: i64,
}

impl KeptComparison {
    fn of(head: &RunHead) -> Self {
        let says = |part: &&str| ["KV ", "K ", "flash "].iter().any(|word| part.starts_with(word));
        let name = [head.quant.as_str()].into_iter().chain(head.design.split(", ").filter(says)).collect::<Vec<_>>().join(", ");
        Self {
            runs: vec![head.id],
            names: vec![name],
            model: head.model.clone(),
            text: head.workload.strip_prefix(WORDS).unwrap_or(&head.workload).to_owned(),
            started_ms: head.started_ms,
        }
    }
}

/// Whether a run compared the quality of a design with another's, and has something to show of it.
pub(crate) fn is_comparison(head: &RunHead) -> bool {
    head.figure(Metric::Kld).is_some() && head.workload.starts_with(WORDS) && head.failure.is_none()
}

impl AppState {
    /// The comparisons that were kept, the latest first. Goes through all runs: for when they have changed.
    pub fn quality_kept(&self) -> Vec<KeptComparison> {
        let mut found: Vec<(&str, KeptComparison)> = Vec::new();
        for head in self.history.runs.iter().filter(|head| is_comparison(head)) {
            let same = |(group, kept): &&mut (&str, KeptComparison)| {
                !group.is_empty() && *group == head.group && head.workload.strip_prefix(WORDS) == Some(&kept.text)
            };
            match found.iter_mut().rev().take(1).find(same) {
                // the list falls: what was measured before comes after
                Some((_, kept)) => {
                    let one = KeptComparison::of(head);
                    kept.runs.splice(0..0, one.runs);
                    kept.names.splice(0..0, one.names);
                    kept.started_ms = kept.started_ms.min(one.started_ms);
                }
                None => found.push((&head.group, KeptComparison::of(head))),
            }
        }
        found.into_iter().map(|(_, kept)| kept).collect()
    }

    /// The runs of the comparison that a run belongs to, in their order: itself and those that were measured with it.
    pub fn quality_siblings(&self, id: RunId) -> Vec<RunId> {
        let Some(head) = self.history.head(id).filter(|head| is_comparison(head)) else { return Vec::new() };
        if head.group.is_empty() {
            return vec![id];
        }
        let is_same = |other: &&RunHead| other.group == head.group && other.workload == head.workload && is_comparison(other);
        let mut all: Vec<RunId> = self.history.runs.iter().filter(is_same).map(|other| other.id).collect();
        all.reverse();
        all
    }

    /// What a design is called on the page.
    fn quality_name(&self, design: &Design, quant: &str) -> String {
        let rung =
            |design: &Design| self.library.families.iter().find_map(|family| family.rung_of(&design.model)).map(|rung| rung.quant.clone());
        let stem = || design.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let quant = if quant.is_empty() { rung(design).unwrap_or_else(stem) } else { quant.to_owned() };
        match Variant::of(design) {
            Some(variant) => variant.of_rung(&quant),
            None => format!("{quant}, {}", design.differences(&design.sampler)),
        }
    }

    /// A comparison from the runs of its candidates; `None` where none of them is of quality. Runs of another text or reference than the
    /// first's are left out.
    pub(crate) fn quality_from_runs(&self, runs: &[Run]) -> Option<Comparison> {
        let first = runs.first()?;
        let Workload::Quality { text, text_hash, n_ctx, reference } = &first.workload else { return None };
        let read: Vec<(&Run, Kept)> =
            runs.iter().filter(|run| run.workload.is_same(&first.workload)).filter_map(|run| Some((run, Kept::of(run)?))).collect();
        let (_, kept) = read.first()?;
        let record = read.iter().find_map(|(run, _)| run.tokens.as_deref());
        let layout = record.map_or_else(
            || QualityLayout {
                n_ctx: *n_ctx,
                chunks: kept.chunks,
                scored: kept.quality.running.tokens,
                side_by_side: kept.side_by_side,
                ..QualityLayout::default()
            },
            |record| record.layout.clone(),
        );
        let mut comparison = Comparison {
            reference: (**reference).clone(),
            reference_name: self.quality_name(reference, ""),
            family: self
                .library
                .families
                .iter()
                .find(|family| family.rung_of(&reference.model).is_some())
                .map(|f| f.key.clone())
                .unwrap_or_default(),
            text_name: text.clone(),
            text_hash: text_hash.clone(),
            prompts: record.map(|record| record.prompts.clone()).unwrap_or_default(),
            started_ms: first.started_ms,
            seconds: Some(first.seconds),
            phase: Phase::Ended,
            is_partial: read.iter().any(|(run, _)| run.reasons.iter().any(|reason| reason == STOPPED)),
            is_kept: true,
            ..Comparison::default()
        };
        for (run, kept) in read {
            let name = self.quality_name(&run.design, &run.environment.quant);
            let mut candidate = Candidate::new(run.design.clone(), name, run.environment.model_size);
            candidate.run = Some(run.id);
            candidate.agreement = kept.agreement;
            // of another text than the first's nothing can be shown in its place
            if let Some(record) = run.tokens.as_deref().filter(|record| record.layout.ends == layout.ends) {
                candidate.take_kept(record);
                comparison.names.extend(record.names.iter().map(|(id, name)| (*id, name.clone())));
            }
            candidate.running = Some(kept.quality.running);
            candidate.summary = Some(kept.quality);
            comparison.candidates.push(candidate);
        }
        comparison.layout = Some(Arc::new(layout));
        Some(comparison)
    }
}

impl Candidate {
    fn take_kept(&mut self, record: &TokenRecord) {
        self.places.resize(record.layout.ends.len(), u32::MAX);
        for (at, score) in &record.scores {
            self.put(*at, *score);
        }
    }
}
