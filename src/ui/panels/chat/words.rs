//! What is said about a reply, in words: the muted line under it, and what every figure of it means.

use super::token_card::quoted;
use crate::app::Generating;
use crate::measure::format::{ABSENT, chance, count, millis, seconds, tps};
use crate::protocol::{Dropped, GenerateStats, StopReason};
use crate::store::{ChatMessage, Chosen, MessageState, Provenance};

/// The muted line: `109.1 t/s · 84 tokens · TTFT 112 ms · prompt 37 new, 0 reused · end of reply · Q4_1, ctx 8192`.
pub fn stats_line(stats: &GenerateStats, provenance: Option<&Provenance>) -> String {
    let mut parts = Vec::new();
    if stats.decode_tps > 0.0 {
        parts.push(format!("{} t/s", tps(stats.decode_tps)));
    }
    parts.push(tokens(stats.predicted_tokens));
    if stats.predicted_tokens > 0 {
        parts.push(format!("TTFT {}", millis(stats.ttft_ms)));
    }
    let new = stats.prompt_tokens.saturating_sub(stats.cached_tokens);
    parts.push(format!("prompt {} new, {} reused", count(u64::from(new)), count(u64::from(stats.cached_tokens))));
    parts.push(stats.stop.words());
    parts.extend(provenance.and_then(design_words));
    parts.join(" · ")
}

/// The same while the reply runs: only what is known by then.
pub fn running_line(generating: &Generating, provenance: Option<&Provenance>) -> String {
    let mut parts = Vec::new();
    if let Some(first) = generating.first {
        let gaps = generating.tokens.saturating_sub(1);
        if gaps > 0 && generating.last > first {
            parts.push(format!("{} t/s", tps(f64::from(gaps) / (generating.last - first))));
        }
        parts.push(tokens(generating.tokens));
        parts.push(format!("TTFT {}", millis(first * 1e3)));
    }
    parts.extend(provenance.and_then(design_words));
    parts.join(" · ")
}

/// The line under a part whose run did not live to measure itself.
pub fn unmeasured(provenance: Option<&Provenance>) -> String {
    let parts = provenance.and_then(design_words).into_iter().chain(["cut off before it was measured".to_owned()]);
    parts.collect::<Vec<_>>().join(" · ")
}

/// Where a person put a token in the place of another: `Branched here: “ river” (2.3 %) instead of “ sea” · Q4_1 before it`.
pub fn chosen_words(chosen: &Chosen, made_by: Option<&Provenance>) -> String {
    let mut words = format!("Branched here: {} ({})", quoted(&chosen.text), chance(chosen.p));
    if chosen.instead_of.is_empty() {
        words.push_str(" instead of the end");
    } else {
        words.push_str(&format!(" instead of {}", quoted(&chosen.instead_of)));
    }
    if let Some(design) = made_by.and_then(design_words) {
        words.push_str(&format!(" · {design} before it"));
    }
    words
}

/// `Q4_1, ctx 8192`.
fn design_words(provenance: &Provenance) -> Option<String> {
    let words: Vec<&str> = [provenance.quant.as_str(), provenance.differences.as_str()].into_iter().filter(|w| !w.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

fn tokens(n: u32) -> String {
    if n == 1 { "1 token".to_owned() } else { format!("{} tokens", count(u64::from(n))) }
}

/// One figure of the line: its name, its value, and how it is got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is called
    pub name: &'static str,
    /// With its unit
    pub value: String,
    /// The formula in words; see [`GenerateStats`]
    pub formula: &'static str,
}

/// Every figure of a finished reply with its formula, for the hover.
pub fn figures(stats: &GenerateStats, provenance: Option<&Provenance>) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut say = |name, value: String, formula| figures.push(Figure { name, value, formula });
    let new = stats.prompt_tokens.saturating_sub(stats.cached_tokens);
    say("Decode", rate(stats.decode_tps), "(tokens − 1) / (time of the last token − time of the first); not observable under two tokens");
    say("Reply", tokens(stats.predicted_tokens), "Tokens that were sampled");
    let after_first = |value: f64, least: u32| if stats.predicted_tokens >= least { millis(value) } else { ABSENT.to_owned() };
    say("TTFT", after_first(stats.ttft_ms, 1), "Time to first token: from the request's arrival in the engine to the first token sampled");
    say("Prompt, new", tokens(new), "Tokens of the prompt that had to be computed");
    say("Prompt, reused", tokens(stats.cached_tokens), "Tokens of the prompt found in the KV cache and not computed again");
    say("Prefill", rate(stats.prefill_tps), "New prompt tokens / time to process them");
    let prefill = if new > 0 { millis(stats.prefill_ms) } else { ABSENT.to_owned() };
    say("Prefill time", prefill, "Time to process the new prompt tokens");
    say("ITL p95", after_first(stats.itl_p95_ms, 2), "95th percentile of the gaps between two tokens");
    say("Total", millis(stats.total_ms), "From the request's arrival in the engine to the end of the reply");
    say("KV cache", tokens(stats.kv_used), "Tokens in the KV cache at the end");
    say("Ended by", stats.stop.words(), "Why the reply ended");
    let sampler = stats.sampler;
    say(
        "Sampling",
        format!(
            "temperature {}, top-k {}, top-p {}, min-p {}, seed {}",
            sampler.temperature, sampler.top_k, sampler.top_p, sampler.min_p, sampler.seed
        ),
        "The sampler in force, with the seed that was drawn",
    );
    if let Some(provenance) = provenance {
        let differences = if provenance.differences.is_empty() { "all defaults" } else { &provenance.differences };
        say(
            "Design",
            format!("{} {}, {differences}", provenance.model, provenance.quant),
            "The model, its rung, and the settings that differ from the default",
        );
    }
    figures
}

/// A rate; one that was not measured is a dash.
fn rate(value: f64) -> String {
    if value > 0.0 { format!("{} t/s", tps(value)) } else { ABSENT.to_owned() }
}

/// `left out 6 older messages, 1,240 tokens`.
pub fn dropped_words(dropped: &Dropped) -> String {
    let messages =
        if dropped.messages == 1 { "1 older message".to_owned() } else { format!("{} older messages", count(u64::from(dropped.messages))) };
    format!("left out {messages}, {}", tokens(dropped.tokens))
}

/// `Switched to IQ4_NL in 0.21 s`.
pub fn switch_words(quant: &str, took: f64) -> String {
    format!("Switched to {quant} in {}", seconds(took))
}

/// Why a reply is not whole: what happened, and what can be done; `None` when it is whole or still runs.
pub fn cut_off(message: &ChatMessage, is_running: bool) -> Option<(String, &[String])> {
    match &message.state {
        MessageState::Failed(error) => Some((error.to_string(), error.details.as_slice())),
        MessageState::Interrupted => Some(("Cut off: the application ended while this was being written".to_owned(), &[])),
        MessageState::Streaming if !is_running => Some(("Cut off: the last session ended while this was being written".to_owned(), &[])),
        MessageState::Whole | MessageState::Streaming => None,
    }
}

/// Whether a reply could go on where it ended.
pub fn can_continue(message: &ChatMessage) -> bool {
    let ended_early = message.stats.as_ref().is_none_or(|stats| {
        matches!(stats.stop, StopReason::Cancelled | StopReason::MaxTokens | StopReason::ContextFull | StopReason::StopText(_))
    });
    !matches!(message.state, MessageState::Whole) || ended_early
}

/// How full reading the prompt is: done, in words with the time left where a rate is known, 0 to 1.
pub fn prefill_words(done: u64, total: u64, rate: Option<f64>) -> (String, f32) {
    let fraction = if total == 0 { 0.0 } else { (done as f64 / total as f64).clamp(0.0, 1.0) as f32 };
    let mut words = format!("{} of {} tokens", count(done.min(total)), count(total));
    if let Some(rate) = rate.filter(|rate| *rate > 0.0)
        && total > done
    {
        words.push_str(&format!(", about {} left", seconds((total - done) as f64 / rate)));
    }
    (words, fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Design, EngineError, ErrorKind, Role, Sampler};
    use crate::store::{ChatId, MessageId};

    fn stats() -> GenerateStats {
        GenerateStats {
            stop: StopReason::EndOfReply,
            prompt_tokens: 37,
            cached_tokens: 0,
            predicted_tokens: 84,
            ttft_ms: 112.0,
            prefill_ms: 100.0,
            prefill_tps: 370.0,
            decode_tps: 109.1,
            total_ms: 900.0,
            itl_p95_ms: 10.0,
            sampler: Sampler::default(),
            dropped: None,
            tokens: Vec::new(),
            kv_used: 121,
        }
    }

    fn provenance() -> Provenance {
        Provenance {
            quant: "Q4_1".into(),
            model: "Smol".into(),
            design: Design::default(),
            differences: "ctx 8192".into(),
            switched: None,
            system: None,
            earlier: Vec::new(),
        }
    }

    #[test]
    fn the_line_under_a_reply() {
        let line = stats_line(&stats(), Some(&provenance()));
        assert_eq!(line, "109.1 t/s · 84 tokens · TTFT 112 ms · prompt 37 new, 0 reused · end of reply · Q4_1, ctx 8192");
        let nothing = GenerateStats { predicted_tokens: 0, decode_tps: 0.0, stop: StopReason::Cancelled, ..stats() };
        assert_eq!(stats_line(&nothing, None), "0 tokens · prompt 37 new, 0 reused · stopped");
        assert!(figures(&stats(), None).iter().all(|figure| !figure.formula.is_empty()));
        let unmeasured = GenerateStats { prompt_tokens: 37, cached_tokens: 37, prefill_tps: 0.0, ..nothing };
        for name in ["Decode", "TTFT", "Prefill", "Prefill time", "ITL p95"] {
            let found = figures(&unmeasured, None).into_iter().find(|figure| figure.name == name).map(|figure| figure.value);
            assert_eq!(found.as_deref(), Some(ABSENT), "{name}");
        }
    }

    #[test]
    fn what_was_left_out_and_how_far_the_prompt_is() {
        assert_eq!(dropped_words(&Dropped { messages: 6, tokens: 1240 }), "left out 6 older messages, 1,240 tokens");
        assert_eq!(dropped_words(&Dropped { messages: 1, tokens: 1 }), "left out 1 older message, 1 token");
        assert_eq!(prefill_words(500, 2000, Some(500.0)), ("500 of 2,000 tokens, about 3.0 s left".to_owned(), 0.25));
        assert_eq!(prefill_words(0, 0, None), ("0 of 0 tokens".to_owned(), 0.0));
    }

    #[test]
    fn a_cut_off_reply_says_why_and_can_go_on() {
        let error = EngineError::new(ErrorKind::OutOfMemory, "The engine ran out of memory").hint("Take a smaller rung");
        let mut message = ChatMessage {
            id: MessageId(2),
            chat: ChatId(1),
            parent: None,
            role: Role::Assistant,
            text: "Half".into(),
            state: MessageState::Failed(error),
            stats: None,
            provenance: None,
            created_ms: 0,
        };
        assert_eq!(cut_off(&message, false).map(|cut| cut.0).as_deref(), Some("The engine ran out of memory. Take a smaller rung"));
        assert!(can_continue(&message));
        message.state = MessageState::Streaming;
        assert!(cut_off(&message, true).is_none() && cut_off(&message, false).is_some());
        message.state = MessageState::Whole;
        message.stats = Some(stats());
        assert!(!can_continue(&message));
    }
}
