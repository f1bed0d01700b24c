//! A result on its way out: files, and runs that are kept.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{chat, history};
use super::{AppState, Effect, Now};
use crate::app::quality::{Candidate, Comparison, Point, QualityForm, STOPPED};
use crate::app::{EngineState, Severity};
use crate::measure::quality::report::{self, Subject, TextName};
use crate::protocol::{Design, Environment, Run, RunId, TokenRecord, build};
use crate::store::Op;

pub(super) fn export(state: &mut AppState, form: QualityForm, now: Now, effects: &mut Vec<Effect>) {
    let Some(comparison) = &state.quality.comparison else { return };
    let table = table(comparison);
    let stem = format!("inferscope-quality-{}", plain(&comparison.text_name));
    let written = match form {
        _ if table.is_empty() => None,
        QualityForm::Csv => Some((format!("{stem}.csv"), report::csv(&table))),
        QualityForm::Markdown => Some((format!("{stem}.md"), report::markdown(&comparison.reference_name, &comparison.text_name, &table))),
        QualityForm::Ladder => Some((format!("{stem}-ladder.csv"), ladder_csv(&state.quality_ladder(), comparison))),
        QualityForm::Json => {
            let candidates: Vec<_> = table.iter().map(|(_, subject)| subject.document()).collect();
            let document = json!({
                "text": comparison.text_name, "text_hash": comparison.text_hash, "partial": comparison.is_partial, "candidates": candidates,
                "ladder": state.quality_ladder().iter().map(ladder_row).collect::<Vec<_>>(),
            });
            Some((format!("{stem}.json"), format!("{document:#}\n")))
        }
        QualityForm::Tokens => {
            let candidate = state.quality.candidate().filter(|candidate| !candidate.scores.is_empty());
            candidate.zip(comparison.layout.as_deref()).map(|(candidate, layout)| {
                (format!("{stem}-{}-tokens.csv", plain(&candidate.name)), report::tokens_csv(candidate.scored(), layout))
            })
        }
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

/// A point of the ladder as JSON; what is not known is null.
fn ladder_row(point: &Point) -> Value {
    json!({
        "name": point.name, "size": point.size.0, "size_is_estimate": point.size.1, "is_reference": point.is_reference,
        "kld": point.kld.map(|kld| kld.value), "kld_error": point.kld.and_then(|kld| kld.error), "decode_tps": point.tps,
        "tokens": point.measured.map(|(_, tokens)| tokens), "measured": point.measured.map(|(unix_ms, _)| when(unix_ms)),
    })
}

/// The ladder as a table, with what it was measured against and on. What is not known is empty.
fn ladder_csv(points: &[Point], comparison: &Comparison) -> String {
    let mut out = String::from("name,size,kld_mean,kld_error,tokens,decode_tps,measured,reference,text,text_hash,chunk\n");
    let chunk = comparison.layout.as_ref().map_or_else(String::new, |layout| layout.n_ctx.to_string());
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for point in points {
        let columns = [
            report::quoted(&point.name),
            point.size.0.to_string(),
            figure(point.kld.map(|kld| kld.value)),
            figure(point.kld.and_then(|kld| kld.error)),
            point.measured.map_or_else(String::new, |(_, tokens)| tokens.to_string()),
            figure(point.tps),
            point.measured.map_or_else(String::new, |(unix_ms, _)| when(unix_ms)),
            report::quoted(&comparison.reference_name),
            report::quoted(&comparison.text_name),
            report::quoted(&comparison.text_hash),
            chunk.clone(),
        ];
        out.push_str(&columns.join(","));
        out.push('\n');
    }
    out
}

/// A time as files have it; empty where it is not known.
fn when(unix_ms: i64) -> String {
    let known = chrono::DateTime::from_timestamp_millis(unix_ms).filter(|_| unix_ms > 0);
    known.map_or_else(String::new, |time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Keeps a name free of what a file system would not take.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() || c == '.' || c == '_' { c } else { '-' }).take(40).collect();
    plain.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Each result becomes a run: kept, comparable, the quality axis of the board.
pub(super) fn keep_runs(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(comparison) = &state.quality.comparison else { return };
    let text = TextName { name: &comparison.text_name, hash: &comparison.text_hash };
    let group = if comparison.candidates.len() > 1 { format!("quality-{}", comparison.started_ms / 1000) } else { String::new() };
    let run = |(index, candidate): (usize, &Candidate)| {
        let subject = comparison.subject(candidate)?;
        let mut run = subject.run(text, &group, comparison.started_ms, environment(state, subject.design));
        if comparison.is_partial {
            run.reasons.push(STOPPED.into());
        }
        let name = |id: u32| comparison.names.get(&id).map(String::as_str);
        run.tokens = TokenRecord::of(subject.layout, &comparison.prompts, name, candidate.scored()).map(Arc::new);
        Some((index, run))
    };
    let runs: Vec<(usize, Run)> = comparison.candidates.iter().enumerate().filter_map(run).collect();
    for (index, run) in runs {
        let seq = history::keep(state, run, effects);
        if let Some(candidate) = state.quality.comparison.as_mut().and_then(|comparison| comparison.candidates.get_mut(index)) {
            candidate.keeping = Some(seq);
        }
    }
}

/// A run is on the disk: if it is a candidate's, what is measured later is added to it.
pub(in crate::app::update) fn on_kept(state: &mut AppState, seq: u64, id: RunId) {
    let candidates = state.quality.comparison.iter_mut().flat_map(|comparison| &mut comparison.candidates);
    for candidate in candidates.filter(|candidate| candidate.keeping == Some(seq)) {
        (candidate.keeping, candidate.run) = (None, Some(id));
    }
}

/// Greedy answers were compared after the run was kept: they are added to it.
pub(super) fn add_answers(state: &mut AppState, index: usize, effects: &mut Vec<Effect>) {
    let Some(comparison) = &state.quality.comparison else { return };
    let found = comparison.candidates.get(index).and_then(|candidate| Some((candidate.run?, comparison.subject(candidate)?.document())));
    let Some((id, value)) = found else { return };
    if let Some(run) = state.history.whole.iter_mut().find(|run| run.id == id) {
        run.extra.insert("quality".into(), value.clone());
    }
    chat::save(state, vec![Op::SetRunExtra { id, key: "quality".into(), value }], effects);
}

/// What it ran on, as far as the window knows without looking at the disk.
fn environment(state: &AppState, design: &Design) -> Environment {
    let mut environment = Environment {
        cpu: state.cpu.clone(),
        app: build::VERSION.to_owned(),
        bandwidth_gb_s: state.telemetry.bandwidth_gb_s,
        ..Environment::default()
    };
    if let EngineState::Up { facts, .. } = &state.engine {
        environment.engine.clone_from(&facts.name);
        environment.engine_commit.clone_from(&facts.commit);
        environment.engine_build.clone_from(&facts.build);
        environment.cpu_features.clone_from(&facts.cpu_features);
    }
    if let Some(family) = state.library.families.iter().find(|family| family.rung_of(&design.model).is_some()) {
        environment.model.clone_from(&family.name);
        if let Some(rung) = crate::app::quality::on_disk(family).find(|rung| rung.path == design.model) {
            environment.quant = rung.quant.to_owned();
            environment.model_size = rung.size;
        }
    }
    environment
}
