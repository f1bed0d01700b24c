//! What a sweep prints: the JSON of its result, or a table with what follows from it.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::error::CliError;
use crate::cli::output::{Output, table};
use crate::measure::format;
use crate::measure::sweep::{Sweep, SweepResult};
use crate::protocol::{Metric, RunTrust};

/// Columns of figures, each shown when any design has it: figure, heading.
const FIGURES: [(Metric, &str); 9] = [
    (Metric::DecodeTps, "decode t/s"),
    (Metric::PrefillTps, "prefill t/s"),
    (Metric::TtftMs, "TTFT ms"),
    (Metric::ItlP95Ms, "ITL p95 ms"),
    (Metric::PeakMemory, "memory"),
    (Metric::FileSize, "file"),
    (Metric::Kld, "KLD"),
    (Metric::EnergyPerToken, "J/token"),
    (Metric::CostPerMillion, "cost/M"),
];

/// Prints what was found. `unfinished` is the file to resume from.
///
/// # Errors
/// When the output cannot be written.
pub(super) fn print(sweep: &Sweep, result: &SweepResult, unfinished: Option<&Path>, out: Output) -> Result<(), CliError> {
    out.result(&document(sweep, result, unfinished), || words(sweep, result))?;
    if let Some(path) = unfinished {
        out.note(&format!("The sweep is not finished; go on with: inferscope sweep --resume {}", path.display()));
    }
    Ok(())
}

fn id(result: &SweepResult, index: usize) -> Value {
    json!(result.runs.get(index).map(|run| run.id))
}

fn document(sweep: &Sweep, result: &SweepResult, unfinished: Option<&Path>) -> Value {
    let ids = |all: &[usize]| all.iter().map(|index| id(result, *index)).collect::<Vec<_>>();
    let seconds: f64 = sweep.rows().iter().map(|row| row.measured_seconds).sum();
    json!({
        "name": sweep.plan().name,
        "runs": result.runs,
        "front": ids(&result.front),
        "infeasible": result.infeasible.iter().map(|barred| json!({ "id": id(result, barred.index), "why": barred.why })).collect::<Vec<_>>(),
        "best": result.best.as_ref().map(|best| json!({ "id": id(result, best.index), "why": best.why, "same": ids(&best.ties) })),
        "ended": sweep.ended(),
        "unsettled": result.unsettled,
        "seconds": sweep.elapsed(),
        "measured_seconds": seconds,
        "overhead_seconds": sweep.elapsed() - seconds,
        "resume": unfinished.map(|path| path.display().to_string()),
    })
}

fn words(sweep: &Sweep, result: &SweepResult) -> String {
    let has = |metric: &Metric| sweep.rows().iter().any(|row| row.figure(*metric).is_some());
    let figures: Vec<(Metric, &str)> = FIGURES.into_iter().filter(|(metric, _)| has(metric)).collect();
    let mut header = vec!["design"];
    header.extend(figures.iter().map(|(_, heading)| *heading));
    header.extend(["front", "trust"]);
    let right: Vec<usize> = (1..=figures.len()).collect();
    let label = |index: usize| match sweep.plan().candidates.get(index).map(|candidate| candidate.label.as_str()) {
        Some("") | None => "the design".to_owned(),
        Some(label) => label.to_owned(),
    };
    let row = |(index, run): (usize, &crate::protocol::Run)| {
        let mut cells = vec![label(index)];
        let figure = |metric: Metric| sweep.rows().get(index).and_then(|row| row.figure(metric));
        cells.extend(
            figures.iter().map(|(metric, _)| figure(*metric).map_or_else(|| format::ABSENT.into(), |value| number(*metric, value))),
        );
        cells.push(if result.front.contains(&index) { "*".into() } else { String::new() });
        let failed = run.failure.is_some();
        cells.push(if failed { "failed".into() } else { run.trust.word().into() });
        cells
    };
    let rows: Vec<Vec<String>> = result.runs.iter().enumerate().map(row).collect();
    let mut text = table(&header, &right, &rows);
    for barred in &result.infeasible {
        text.push_str(&format!("{}: {}\n", label(barred.index), barred.why));
    }
    match &result.best {
        Some(best) => {
            text.push_str(&format!("\nBest: {}. {}\n", label(best.index), best.why));
            if !best.ties.is_empty() {
                let ties: Vec<String> = best.ties.iter().map(|index| label(*index)).collect();
                text.push_str(&format!("Not distinguishable from it: {}\n", ties.join("; ")));
            }
        }
        None => text.push_str("\nNo design can be chosen\n"),
    }
    if let Some(words) = &result.unsettled {
        text.push_str(&format!("note: {words}\n"));
    }
    for (index, run) in result.runs.iter().enumerate().filter(|(_, run)| run.trust == RunTrust::Noisy) {
        text.push_str(&format!("note: {}: {}\n", label(index), run.reasons.join("; ")));
    }
    text
}

fn number(metric: Metric, value: f64) -> String {
    match metric {
        Metric::PeakMemory | Metric::FileSize => format::bytes(value.max(0.0) as u64),
        Metric::Kld => format!("{value:.4}"),
        Metric::CostPerMillion => format::money(value),
        Metric::EnergyPerToken => format::metric_number(metric, value),
        Metric::TtftMs | Metric::ItlP95Ms => format!("{value:.1}"),
        _ => format::tps(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::sweep::{Candidate, SweepPlan};

    #[test]
    fn a_search_that_ended_early_says_so() {
        let sweep = Sweep::new(SweepPlan { candidates: vec![Candidate::default()], ..SweepPlan::default() }).unwrap();
        let settled = sweep.result();
        assert!(!words(&sweep, &settled).contains("may be better") && document(&sweep, &settled, None)["unsettled"].is_null());
        let unsettled = Some(
            "The search ended because its time was used up. 1 design was measured too little or not at all, and may be better".to_owned(),
        );
        let early = SweepResult { unsettled, ..settled };
        assert!(words(&sweep, &early).contains("note: The search ended because its time was used up"));
        assert!(document(&sweep, &early, None)["unsettled"].as_str().is_some_and(|words| words.contains("may be better")));
    }
}
