//! A result on its way out: files, and runs that are kept.

use serde_json::json;

use super::{AppState, Effect, Now};
use crate::app::Severity;
use crate::app::quality::{Comparison, QualityForm};
use crate::measure::quality::report::{self, Subject};

pub(super) fn export(state: &mut AppState, form: QualityForm, now: Now, effects: &mut Vec<Effect>) {
    let Some(comparison) = &state.quality.comparison else { return };
    let table = table(comparison);
    let stem = format!("inferscope-quality-{}", plain(&comparison.text_name));
    let written = match form {
        _ if table.is_empty() => None,
        QualityForm::Csv => Some((format!("{stem}.csv"), report::csv(&table))),
        QualityForm::Markdown => Some((format!("{stem}.md"), report::markdown(&comparison.reference_name, &comparison.text_name, &table))),
        QualityForm::Json => {
            let candidates: Vec<_> = table.iter().map(|(_, subject)| subject.document()).collect();
            let document = json!({
                "text": comparison.text_name, "text_hash": comparison.text_hash, "partial": comparison.is_partial, "candidates": candidates,
            });
            Some((format!("{stem}.json"), format!("{document:#}\n")))
        }
        QualityForm::Tokens => state.quality.candidate().zip(comparison.layout.as_deref()).map(|(candidate, layout)| {
            (format!("{stem}-{}-tokens.csv", plain(&candidate.name)), report::tokens_csv(candidate.scored(), layout))
        }),
    };
    match written {
        Some((name, text)) => effects.push(Effect::SaveText { name, text }),
        None => state.notices.push(Severity::Warn, "There is no result to write yet", Vec::new(), None, now.secs),
    }
}

/// Each candidate that was measured, by name.
fn table(comparison: &Comparison) -> Vec<(String, Subject<'_>)> {
    comparison.candidates.iter().filter_map(|candidate| Some((candidate.name.clone(), comparison.subject(candidate)?))).collect()
}

/// Keeps a name free of what a file system would not take.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || c == '.' || c == '_' { c } else { '-' }).take(40).collect();
    plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
