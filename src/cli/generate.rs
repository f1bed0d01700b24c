//! `run`: one reply, streamed as text or whole as JSON.

use std::io::{self, Read as _};
use std::path::Path;

use serde_json::json;

use super::args::{Global, RunArgs};
use super::error::{CliError, NO, USAGE};
use super::names;
use super::output::Output;
use super::session::{Session, unexpected};
use crate::measure::format;
use crate::protocol::{
    Alternative, Command, Event, GenerateRequest, GenerateStats, LoadReport, Message, PieceKind, Prompt, Role, StopReason, TokenProb,
};

/// A prompt of this size passes the protocol even when JSON doubles it, and is far beyond any context.
const MAX_PROMPT: u64 = 24 << 20;
/// A schema is a page of text.
const MAX_SCHEMA: u64 = 4 << 20;

/// Runs the command; the exit status.
///
/// # Errors
/// What stopped it.
pub fn run(args: &RunArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    if args.logprobs.is_some() && !out.json() {
        return Err(CliError::usage("--logprobs needs --json: a stream of text has no place for numbers").hint("Add --json"));
    }
    let mut design = args.design.design(out)?;
    design.model = names::model_of(args.file.as_deref(), &design)?;
    let request = GenerateRequest {
        prompt: prompt(args)?,
        sampler: design.sampler.clone(),
        max_tokens: args.n,
        stop: args.stop.clone(),
        overflow: args.overflow.into(),
        json_schema: args.json_schema.as_deref().map(schema).transpose()?,
        want_token_ids: out.json(),
        alternatives: args.logprobs.unwrap_or(0),
        only_by: None,
        text_every_ms: 0,
    };
    let mut session = Session::start(global, out)?;
    let report = session.load(&design)?;
    let mut text = String::new();
    let mut probs = Vec::new();
    let ended = session.run(
        |job| Command::Generate { job, request },
        |event| {
            let Event::Tokens { batch, .. } = event else { return Ok(()) };
            text.push_str(&batch.text);
            probs.extend_from_slice(&batch.probs);
            if out.json() { Ok(()) } else { out.model_text(&batch.text) }
        },
    )?;
    let Event::Generated { stats, .. } = ended else { return Err(unexpected(&ended)) };
    if out.json() {
        let mut document = document(&text, &stats, &report);
        if let Some(document) = document.as_object_mut().filter(|_| args.logprobs.is_some()) {
            document.insert("logprobs".into(), logprobs(&text, &probs));
        }
        out.document(&document)?;
    } else {
        if !text.ends_with('\n') {
            out.raw("\n")?;
        }
        out.note(&summary(&stats));
    }
    Ok(if stats.stop == StopReason::Cancelled { NO } else { 0 })
}

fn prompt(args: &RunArgs) -> Result<Prompt, CliError> {
    let text = if args.prompt == "-" { standard_input()? } else { args.prompt.clone() };
    if text.len() as u64 > MAX_PROMPT {
        return Err(too_long());
    }
    if args.raw {
        return Ok(Prompt::Raw { text });
    }
    let system = args.system.clone().map(|text| Message { role: Role::System, text });
    Ok(Prompt::Chat { messages: system.into_iter().chain([Message { role: Role::User, text }]).collect() })
}

fn too_long() -> CliError {
    CliError::usage(format!("The prompt is longer than {}", format::bytes(MAX_PROMPT)))
        .hint("Give a part of it; no context holds that much")
}

fn standard_input() -> Result<String, CliError> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_PROMPT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::new("input", format!("Standard input could not be read: {error}"), USAGE))?;
    if bytes.len() as u64 > MAX_PROMPT {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() as u64;
        CliError { offset: Some(at), ..CliError::usage("The prompt on standard input is not UTF-8 text") }.hint("Convert it first")
    })
}

fn schema(path: &Path) -> Result<String, CliError> {
    let failed = |what: String| CliError::usage(what).path(path);
    let size = std::fs::metadata(path).map_err(|e| failed(format!("The JSON schema cannot be read: {e}")))?.len();
    if size > MAX_SCHEMA {
        return Err(failed(format!("The JSON schema is larger than {}", format::bytes(MAX_SCHEMA))));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(format!("The JSON schema cannot be read: {e}")))?;
    serde_json::from_str::<serde_json::Value>(&text).map_err(|e| failed(format!("The JSON schema is not JSON: {e}")))?;
    Ok(text)
}

/// A stop reason's word, as scripts match it.
fn stop_word(stop: &StopReason) -> &'static str {
    match stop {
        StopReason::EndOfReply => "end_of_reply",
        StopReason::StopText(_) => "stop_text",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextFull => "context_full",
        StopReason::Cancelled => "cancelled",
    }
}

fn document(text: &str, stats: &GenerateStats, report: &LoadReport) -> serde_json::Value {
    let stop_text = if let StopReason::StopText(text) = &stats.stop { Some(text) } else { None };
    let mut document = json!({
        "text": text,
        "tokens": stats.tokens,
        "stop_reason": stop_word(&stats.stop),
        "stop_text": stop_text,
        "prompt_tokens": stats.prompt_tokens,
        "cached_tokens": stats.cached_tokens,
        "predicted_tokens": stats.predicted_tokens,
        "ttft_ms": stats.ttft_ms,
        "prefill_ms": stats.prefill_ms,
        "prefill_tps": stats.prefill_tps,
        "decode_tps": stats.decode_tps,
        "itl_p95_ms": stats.itl_p95_ms,
        "total_ms": stats.total_ms,
        "load_ms": report.seconds * 1e3,
        "dropped": stats.dropped,
        "sampler": stats.sampler,
        "model": report.info,
        "design": report.design,
        "effective": report.effective,
        "memory": {
            "weights": report.memory.weights,
            "kv": report.memory.kv,
            "compute": report.memory.compute,
            "total": report.memory.total(),
        },
    });
    // what did not happen has no time: there is no first token of a reply without tokens, and no gap between fewer than two
    if let Some(fields) = document.as_object_mut() {
        let unmeasured: &[&str] = match stats.predicted_tokens {
            0 => &["ttft_ms", "decode_tps", "itl_p95_ms"],
            1 => &["decode_tps", "itl_p95_ms"],
            _ => &[],
        };
        fields.retain(|name, _| !unmeasured.contains(&name.as_str()));
    }
    document
}

/// A token after the other: its text in the reply, the natural logarithm of its probability before any sampler, and the most probable tokens.
/// A reply that the model ended has one more entry than tokens, for the token that ended it.
fn logprobs(text: &str, probs: &[TokenProb]) -> serde_json::Value {
    // a probability of 0 has no logarithm that JSON can hold
    let ln = |p: f32| (p > 0.0).then(|| f64::from(p).ln());
    let kind = |alternative: &Alternative| match alternative.kind {
        PieceKind::Text => "text",
        PieceKind::End => "end",
        PieceKind::Part => "part",
        PieceKind::Control => "control",
    };
    let mut at = 0;
    let token = |token: &TokenProb| {
        let from = at;
        at = (from + token.bytes as usize).min(text.len());
        let top: Vec<_> = token.top.iter().map(|a| json!({"token": a.text, "kind": kind(a), "logprob": ln(a.p)})).collect();
        json!({"token": text.get(from..at).unwrap_or_default(), "from": from, "to": at, "logprob": ln(token.p), "top": top})
    };
    probs.iter().map(token).collect()
}

/// One line under the reply, as the window has it.
fn summary(stats: &GenerateStats) -> String {
    let new = stats.prompt_tokens.saturating_sub(stats.cached_tokens);
    let mut parts = Vec::new();
    if stats.predicted_tokens > 1 {
        parts.push(format!("{} t/s", format::tps(stats.decode_tps)));
    }
    parts.push(format!("{} tokens", format::count(stats.predicted_tokens.into())));
    if stats.predicted_tokens > 0 {
        parts.push(format!("TTFT {}", format::millis(stats.ttft_ms)));
    }
    parts.push(format!("prompt {} new, {} reused", format::count(new.into()), format::count(stats.cached_tokens.into())));
    parts.push(stats.stop.words());
    let mut line = parts.join(" \u{b7} ");
    if let Some(dropped) = &stats.dropped {
        line.push_str(&format!(" \u{b7} {} messages left out", dropped.messages));
    }
    line
}
