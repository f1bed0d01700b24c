//! What the designs of the board have besides what their runs say: quality loss that the Quality page has measured, cost at the price of now.

use crate::app::{AppState, LadderPoint};
use crate::measure::cost;
use crate::protocol::{CacheType, Design, Metric, Run, Workload};

/// Changes with what the Quality page has measured, and with the price.
pub(super) fn revision(state: &AppState) -> u64 {
    let points = &state.quality.points;
    let price = state.settings.price_per_hour.unwrap_or(0.0).to_bits();
    points.iter().fold(points.len() as u64, |sum, point| sum.wrapping_mul(31).wrapping_add(point.tokens)) ^ price
}

/// The runs of a sweep at the machine's price of now, and one for each of their designs that was scored on the text that was looked at last,
/// with its reference at zero.
pub(super) fn with_quality(state: &AppState, runs: &[Run]) -> Vec<Run> {
    let mut all = runs.to_vec();
    cost::at_price(&mut all, state.settings.price_per_hour);
    let Some(latest) = state.quality.points.last() else { return all };
    let same_text =
        |point: &&LadderPoint| (&point.text_hash, point.n_ctx, &point.reference) == (&latest.text_hash, latest.n_ctx, &latest.reference);
    for point in state.quality.points.iter().filter(same_text) {
        let kind = cache_type(&point.name);
        let design = Design { type_k: kind, type_v: kind, ..Design::for_model(&point.model) };
        add(&mut all, runs, latest, design, point.kld.value, point.kld.interval().map(|interval| (interval.high - interval.low) / 2.0));
    }
    // a design does not differ from itself
    add(&mut all, runs, latest, Design::for_model(&latest.reference), 0.0, None);
    all
}

fn add(all: &mut Vec<Run>, runs: &[Run], latest: &LadderPoint, design: Design, kld: f64, error: Option<f64>) {
    let says_the_same =
        |run: &Run| (&run.design.model, run.design.type_k, run.design.type_v) == (&design.model, design.type_k, design.type_v);
    // one that was not measured otherwise is for the Quality page
    if !runs.iter().any(says_the_same) {
        return;
    }
    let reference = Box::new(Design::for_model(&latest.reference));
    let workload = Workload::Quality { text: String::new(), text_hash: latest.text_hash.clone(), n_ctx: latest.n_ctx, reference };
    let mut run = Run::new(design, workload, 0);
    run.samples.insert(Metric::Kld, vec![kld]);
    if let Some(error) = error {
        run.extra.insert("kld_error".into(), serde_json::json!(error));
    }
    all.push(run);
}

/// The cache types that a name on the Quality page says: `Q8_0, KV q4_0`.
fn cache_type(name: &str) -> CacheType {
    let said = name.rsplit_once("KV ").map(|(_, kind)| kind.split([',', ' ']).next().unwrap_or_default());
    said.and_then(CacheType::by_name).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_types_are_read_from_names() {
        assert_eq!(cache_type("Q8_0, KV q4_0"), CacheType::Q4_0);
        assert_eq!(cache_type("Q8_0"), CacheType::F16);
        assert_eq!(cache_type("Q8_0, flash attention on"), CacheType::F16);
    }
}
