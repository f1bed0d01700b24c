//! A measured result as others read it: JSON, CSV, Markdown, and the run that is kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::divergence::Agreement;
use super::tally::{Estimate, Quality};
use crate::measure::format;
use crate::protocol::{Design, Environment, Metric, QualityLayout, Run, RunTrust, TokenScore, Workload};

/// One candidate's result with everything that it was measured with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// What was measured
    pub design: &'a Design,
    /// What it was compared with; `None` = measured alone
    pub reference: Option<&'a Design>,
    /// The figures
    pub quality: &'a Quality,
    /// How long greedy answers stayed the same, where that was asked for
    pub agreement: &'a [Agreement],
    /// What was read
    pub layout: &'a QualityLayout,
    /// How long the whole measurement took, all candidates together, seconds
    pub seconds: f64,
}

/// The text that was read.
#[derive(Clone, Copy, Debug)]
pub struct TextName<'a> {
    /// A file's name, a chat's title
    pub name: &'a str,
    /// Its fingerprint
    pub hash: &'a str,
}

impl Subject<'_> {
    /// The whole summary. Fields are those of `quality --json`.
    pub fn document(&self) -> Value {
        let running = &self.quality.running;
        let mut document = json!({
            "model": self.design.model,
            "tokens": running.tokens,
            "ppl": running.ppl.value,
            "ppl_error": running.ppl.error,
            "chunk": self.layout.n_ctx,
            "chunks": self.layout.chunks,
            "design": self.design,
            "seconds": self.seconds,
        });
        if let (Some(reference), Some(fields)) = (self.reference, document.as_object_mut())
            && let Value::Object(more) = self.against(reference)
        {
            fields.extend(more);
        }
        document
    }

    fn against(&self, reference: &Design) -> Value {
        let (quality, running) = (self.quality, &self.quality.running);
        let ci = running.kld.interval().map(|interval| [interval.low, interval.high]);
        let mut kld = serde_json::to_value(quality.kld_percentiles).unwrap_or_default();
        if let Some(kld) = kld.as_object_mut() {
            let median = kld.get("median").cloned().unwrap_or_default();
            for (name, value) in
                [("mean", json!(running.kld.value)), ("error", json!(running.kld.error)), ("ci95", json!(ci)), ("p50", median)]
            {
                kld.insert(name.into(), value);
            }
        }
        let mut delta = serde_json::to_value(quality.delta_p_percentiles).unwrap_or_default();
        if let Some(delta) = delta.as_object_mut() {
            for (name, value) in [
                ("mean", json!(running.delta_p.value)),
                ("error", json!(running.delta_p.error)),
                ("rms", json!(running.delta_p_rms.value)),
                ("rms_error", json!(running.delta_p_rms.error)),
            ] {
                delta.insert(name.into(), value);
            }
        }
        json!({
            "reference": reference.model,
            "ppl_reference": running.ppl_ref.value,
            "ppl_reference_error": running.ppl_ref.error,
            "ppl_ratio": quality.ratio.value,
            "ppl_ratio_error": quality.ratio.error,
            "ln_ppl_ratio": running.ln_ratio.value,
            "ln_ppl_ratio_error": running.ln_ratio.error,
            "ppl_difference": quality.difference.value,
            "ppl_difference_error": quality.difference.error,
            "correlation": quality.correlation,
            "kld": kld,
            "same_top_percent": running.same_top.value * 100.0,
            "same_top_percent_error": running.same_top.error.map(|error| error * 100.0),
            "delta_p": delta,
            "first_divergence": self.agreement.iter().filter_map(Agreement::first_divergence).min(),
            "agreement": self.agreement.iter()
                .map(|a| json!({ "same": a.same, "reference": a.reference, "candidate": a.candidate })).collect::<Vec<_>>(),
            "side_by_side": self.layout.side_by_side,
        })
    }

    /// The run that is kept of it. Its samples are the figures that designs are chosen by, its `extra` has the summary as `quality`.
    pub fn run(&self, text: TextName<'_>, group: &str, started_ms: i64, environment: Environment) -> Run {
        let running = &self.quality.running;
        let mut samples = BTreeMap::from([(Metric::Perplexity, vec![running.ppl.value])]);
        if self.reference.is_some() {
            samples.insert(Metric::Kld, vec![running.kld.value]);
            samples.insert(Metric::SameTop, vec![running.same_top.value]);
        }
        let few = running.tokens < super::tally::FEW;
        let workload = Workload::Quality {
            text: text.name.to_owned(),
            text_hash: text.hash.to_owned(),
            n_ctx: self.layout.n_ctx,
            reference: Box::new(self.reference.unwrap_or(self.design).clone()),
        };
        let too_few = || format!("Only {} tokens were scored, statistics want {}", running.tokens, super::tally::FEW);
        Run {
            group: group.to_owned(),
            seconds: self.seconds,
            environment,
            samples,
            trust: if few { RunTrust::TooFew } else { RunTrust::Trusted },
            reasons: few.then(too_few).into_iter().collect(),
            extra: BTreeMap::from([("quality".to_owned(), self.document())]),
            ..Run::new(self.design.clone(), workload, started_ms)
        }
    }
}

/// Results as a table for a spreadsheet, one line a candidate. Figures in nats and as parts of one.
pub fn csv(results: &[(String, Subject<'_>)]) -> String {
    let mut out = String::from(
        "name,model,reference,tokens,ppl,ppl_error,ppl_reference,ppl_ratio,kld_mean,kld_error,kld_median,kld_p99,kld_max,same_top,\
         same_top_error,delta_p_mean,delta_p_rms,delta_p_p1,delta_p_p99\n",
    );
    let error = |estimate: &Estimate| estimate.error.map_or_else(String::new, |error| error.to_string());
    for (name, subject) in results {
        let (quality, running) = (subject.quality, &subject.quality.running);
        let (kld, delta) = (&quality.kld_percentiles, &quality.delta_p_percentiles);
        let path = |design: &Design| quoted(&design.model.display().to_string());
        let columns = [
            quoted(name),
            path(subject.design),
            subject.reference.map_or_else(String::new, path),
            running.tokens.to_string(),
            running.ppl.value.to_string(),
            error(&running.ppl),
            running.ppl_ref.value.to_string(),
            quality.ratio.value.to_string(),
            running.kld.value.to_string(),
            error(&running.kld),
            kld.median.to_string(),
            kld.p99.to_string(),
            kld.max.to_string(),
            running.same_top.value.to_string(),
            error(&running.same_top),
            running.delta_p.value.to_string(),
            running.delta_p_rms.value.to_string(),
            delta.p1.to_string(),
            delta.p99.to_string(),
        ];
        out.push_str(&columns.join(","));
        out.push('\n');
    }
    out
}

/// Results as a table for a document, with what was read and how.
pub fn markdown(reference: &str, text: &str, results: &[(String, Subject<'_>)]) -> String {
    let with = |estimate: &Estimate, digits: usize, scale: f64| {
        let value = format!("{:.digits$}", estimate.value * scale);
        estimate.error.map_or_else(|| value.clone(), |error| format!("{value} ± {:.digits$}", error * scale))
    };
    let mut out = format!("# What rungs cost against {reference}\n\n");
    if let Some((_, first)) = results.first() {
        let read = format::count(first.quality.running.tokens);
        let chunk = format::count(u64::from(first.layout.n_ctx));
        out.push_str(&format!("Text: {text}, {read} tokens scored, chunks of {chunk}. Errors are one sigma.\n\n"));
    }
    out.push_str("| design | perplexity | ratio | mean KLD | KLD p99 | same top token | RMS Δp |\n|---|---|---|---|---|---|---|\n");
    for (name, subject) in results {
        let (quality, running) = (subject.quality, &subject.quality.running);
        out.push_str(&format!(
            "| {} | {} | {} | {} | {:.4} | {} % | {} % |\n",
            name.replace('|', "\\|"),
            with(&running.ppl, 4, 1.0),
            with(&quality.ratio, 4, 1.0),
            with(&running.kld, 5, 1.0),
            quality.kld_percentiles.p99,
            with(&running.same_top, 2, 100.0),
            with(&running.delta_p_rms, 3, 100.0),
        ));
    }
    out
}

/// The text of a token; empty where it ends inside a character.
pub fn piece(layout: &QualityLayout, at: u64) -> &str {
    let end = |at: u64| usize::try_from(at).ok().and_then(|at| layout.ends.get(at)).map_or(0, |end| *end as usize);
    layout.text.get(at.checked_sub(1).map_or(0, end)..end(at)).unwrap_or_default()
}

/// Every score with the text of its token, as JSON.
pub fn tokens_json<'a>(scores: impl Iterator<Item = (u64, &'a TokenScore)>, layout: &QualityLayout) -> Value {
    let row = |(at, score): (u64, &TokenScore)| {
        json!({
            "token": at, "text": piece(layout, at), "nll_ref": score.nll_ref, "nll_cand": score.nll_cand, "kld": score.kld,
            "delta_p": score.delta_p, "rank_ref": score.rank_ref, "rank_cand": score.rank_cand,
        })
    };
    Value::Array(scores.map(row).collect())
}

/// Every score with the text of its token, as CSV.
pub fn tokens_csv<'a>(scores: impl Iterator<Item = (u64, &'a TokenScore)>, layout: &QualityLayout) -> String {
    let mut out = String::from("token,text,nll_ref,nll_cand,kld,delta_p,same_top,rank_ref,rank_cand\n");
    for (at, s) in scores {
        let text = quoted(piece(layout, at));
        let (same, ranks) = (s.same_top, format!("{},{}", s.rank_ref, s.rank_cand));
        out.push_str(&format!("{at},{text},{},{},{},{},{same},{ranks}\n", s.nll_ref, s.nll_cand, s.kld, s.delta_p));
    }
    out
}

/// A field of CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe in front.
pub fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::tally::Tally;
    use super::*;
    use crate::protocol::TOP;

    fn score(nll: f32, kld: f32) -> TokenScore {
        let top = [(0, 0.0); TOP];
        TokenScore {
            nll_ref: nll,
            nll_cand: nll + kld,
            kld,
            delta_p: -kld,
            same_top: kld < 0.1,
            rank_ref: 1,
            rank_cand: 2,
            top_ref: top,
            top_cand: top,
        }
    }

    fn layout() -> QualityLayout {
        QualityLayout { text: "a \"b\"=é".into(), ends: vec![1, 5, 6, 7, 8], n_ctx: 16, chunks: 1, scored: 4, side_by_side: true }
    }

    #[test]
    fn a_result_is_written_in_every_form() {
        let mut tally = Tally::default();
        (0..40).for_each(|i| tally.add(&score(1.0 + 0.1 * (i % 3) as f32, 0.01 * i as f32)));
        let (quality, layout) = (tally.quality().unwrap(), layout());
        let (design, reference) = (Design::for_model("q.gguf"), Design::for_model("r.gguf"));
        let agreement = [Agreement { same: 5, reference: 9, candidate: 9 }];
        let subject = Subject {
            design: &design,
            reference: Some(&reference),
            quality: &quality,
            agreement: &agreement,
            layout: &layout,
            seconds: 2.0,
        };
        let document = subject.document();
        assert_eq!((document["first_divergence"].as_u64(), document["reference"].as_str()), (Some(5), Some("r.gguf")));
        assert_eq!(document["kld"]["p50"], document["kld"]["median"]);
        let alone = Subject { reference: None, ..subject }.document();
        assert!(alone.get("kld").is_none() && alone["ppl"].is_number());

        let table = [("Q2|x".to_owned(), subject)];
        let lines: Vec<String> = csv(&table).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        let page = markdown("F16", "notes", &table);
        assert!(page.contains("| Q2\\|x |") && page.contains("Text: notes, 40 tokens scored"), "{page}");

        let run = subject.run(TextName { name: "notes", hash: "7" }, "ladder", 9, Environment::default());
        assert_eq!(run.samples[&Metric::Kld], [quality.running.kld.value]);
        assert!(run.trust == RunTrust::TooFew && !run.reasons.is_empty());
        assert_eq!(run.extra["quality"], document);
        assert_eq!(serde_json::from_value::<Run>(serde_json::to_value(&run).unwrap()).unwrap(), run);
    }

    #[test]
    fn tokens_keep_their_text_and_no_formula_comes_alive() {
        let layout = layout();
        let pieces: Vec<&str> = (0..5).map(|at| piece(&layout, at)).collect();
        assert_eq!(pieces, ["a", " \"b\"", "=", "", ""]);
        let scores = [score(1.0, 0.5), score(2.0, 0.0)];
        let text = tokens_csv((1..).zip(&scores), &layout);
        assert!(text.contains("1,\" \"\"b\"\"\",1,1.5,0.5,-0.5,false,1,2") && text.contains("2,\"'=\","), "{text}");
        assert_eq!(tokens_json((1..).zip(&scores), &layout).as_array().map(Vec::len), Some(2));
    }
}
