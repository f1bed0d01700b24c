//! A result as it was kept, read back: what [`super::report::Subject::document`] wrote.

use serde_json::Value;

use super::divergence::Agreement;
use super::tally::{Estimate, Quality, Running};
use crate::protocol::Run;

/// What a run says of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The figures
    pub quality: Quality,
    /// How long greedy answers stayed the same, where that was asked for
    pub agreement: Vec<Agreement>,
    /// Chunks that were to be read
    pub chunks: u32,
    /// Whether the models were in memory together
    pub side_by_side: bool,
}

impl Kept {
    /// Reads the summary of a run. `None` where it has none, or one without a reference.
    pub fn of(run: &Run) -> Option<Self> {
        let document = run.extra.get("quality")?;
        let quality = quality(document)?;
        let flag = |key: &str| document.get(key).and_then(Value::as_bool);
        Some(Self {
            quality,
            agreement: document.get("agreement").and_then(|all| serde_json::from_value(all.clone()).ok()).unwrap_or_default(),
            chunks: document.get("chunks").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            side_by_side: flag("side_by_side").unwrap_or(true),
        })
    }
}

fn quality(document: &Value) -> Option<Quality> {
    let (kld, delta_p) = (document.get("kld")?, document.get("delta_p")?);
    let per_cent = |estimate: Estimate| Estimate { value: estimate.value / 100.0, error: estimate.error.map(|error| error / 100.0) };
    let running = Running {
        tokens: document.get("tokens")?.as_u64()?,
        ppl: estimate(document, "ppl", "ppl_error")?,
        ppl_ref: estimate(document, "ppl_reference", "ppl_reference_error")?,
        ln_ratio: estimate(document, "ln_ppl_ratio", "ln_ppl_ratio_error")?,
        kld: estimate(kld, "mean", "error")?,
        delta_p: estimate(delta_p, "mean", "error")?,
        delta_p_rms: estimate(delta_p, "rms", "rms_error")?,
        same_top: per_cent(estimate(document, "same_top_percent", "same_top_percent_error")?),
    };
    Some(Quality {
        running,
        ratio: estimate(document, "ppl_ratio", "ppl_ratio_error")?,
        difference: estimate(document, "ppl_difference", "ppl_difference_error")?,
        correlation: document.get("correlation").and_then(Value::as_f64),
        kld_percentiles: serde_json::from_value(kld.clone()).ok()?,
        delta_p_percentiles: serde_json::from_value(delta_p.clone()).ok()?,
    })
}

fn estimate(of: &Value, value: &str, error: &str) -> Option<Estimate> {
    Some(Estimate { value: of.get(value)?.as_f64()?, error: of.get(error).and_then(Value::as_f64) })
}

#[cfg(test)]
mod tests {
    use super::super::report::{Subject, TextName};
    use super::super::tally::Tally;
    use super::*;
    use crate::protocol::{Design, Environment, QualityLayout, TOP, TokenScore};

    #[test]
    fn what_was_written_is_read() {
        let top = [(0, 0.5); TOP];
        let mut tally = Tally::default();
        for i in 0..200u8 {
            let kld = f32::from(i) * 0.01;
            let (nll_ref, nll_cand) = (1.0 + f32::from(i % 7) * 0.2, 1.0 + f32::from(i % 7) * 0.2 + kld);
            let delta_p = (-nll_cand).exp() - (-nll_ref).exp();
            let same_top = i % 3 > 0;
            tally.add(&TokenScore { nll_ref, nll_cand, kld, delta_p, same_top, rank_ref: 1, rank_cand: 2, top_ref: top, top_cand: top });
        }
        let quality = tally.quality().unwrap();
        let layout = QualityLayout { n_ctx: 512, chunks: 4, side_by_side: false, ..QualityLayout::default() };
        let agreement = [Agreement { same: 3, reference: 9, candidate: 8 }];
        let (design, reference) = (Design::for_model("q.gguf"), Design::for_model("r.gguf"));
        let subject = Subject {
            design: &design,
            reference: Some(&reference),
            quality: &quality,
            agreement: &agreement,
            layout: &layout,
            seconds: 2.0,
        };
        let run = |subject: Subject<'_>| subject.run(TextName { name: "a", hash: "b" }, "", 1, Environment::default());
        let kept = Kept::of(&run(subject)).unwrap();
        assert_eq!((kept.agreement.as_slice(), kept.chunks, kept.side_by_side), (agreement.as_slice(), 4, false));
        assert_eq!(
            (kept.quality.kld_percentiles, kept.quality.delta_p_percentiles),
            (quality.kld_percentiles, quality.delta_p_percentiles)
        );
        let (was, is) = (quality.running, kept.quality.running);
        assert_eq!((was.tokens, was.ppl, was.ppl_ref, was.ln_ratio, was.kld), (is.tokens, is.ppl, is.ppl_ref, is.ln_ratio, is.kld));
        assert_eq!((was.delta_p, was.delta_p_rms), (is.delta_p, is.delta_p_rms));
        assert!((was.same_top.value - is.same_top.value).abs() < 1e-12 && is.same_top.error.is_some());
        assert_eq!(
            (quality.ratio, quality.difference, quality.correlation),
            (kept.quality.ratio, kept.quality.difference, kept.quality.correlation)
        );
        assert_eq!(Kept::of(&run(Subject { reference: None, ..subject })), None, "perplexity alone is no comparison");
    }
}
