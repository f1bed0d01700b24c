//! The same prompt answered by several designs: what they said, where they part, and how that is written down.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::format;
use super::quality::divergence::Agreement;
use crate::protocol::{Design, EngineError, GenerateStats, MemoryUse, Metric, Run, SamplerOverrides, Workload};

/// Fewest and most designs side by side.
pub const LANES: std::ops::RangeInclusive<usize> = 2..=4;

/// The sampling of a comparison: greedy, with a seed that is the same for all, so that what differs is the design's doing.
pub fn greedy() -> SamplerOverrides {
    SamplerOverrides { temperature: Some(0.0), seed: Some(0), ..SamplerOverrides::default() }
}

/// What one design answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What tells it from the others (`Q4_K_M, KV q8_0`)
    pub name: String,
    /// The design
    pub design: Design,
    /// Name of the model
    pub model: String,
    /// Its level
    pub quant: String,
    /// What it said, as far as it came
    pub text: String,
    /// The same in tokens; empty when it did not come to its end
    pub tokens: Vec<i32>,
    /// Its measurements; `None` when it did not come to its end
    pub stats: Option<GenerateStats>,
    /// Weights, cache and compute, bytes; `None` when it was not loaded
    pub memory: Option<MemoryUse>,
    /// From the command to load it to ready, seconds
    pub load_seconds: Option<f64>,
    /// Why it has no answer, or not a whole one
    pub failure: Option<EngineError>,
}

/// Where an answer parts from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parting {
    /// In tokens; `None` where one of them did not come to its end
    pub tokens: Option<Agreement>,
    /// The first byte of the text that differs, at the beginning of a character; `None` for equal texts
    pub byte: Option<usize>,
}

impl Parting {
    /// Compares an answer with the first lane's.
    pub fn of(first: &Answered, other: &Answered) -> Self {
        let is_whole = first.stats.is_some() && other.stats.is_some();
        Self { tokens: is_whole.then(|| Agreement::of(&first.tokens, &other.tokens)), byte: first_difference(&first.text, &other.text) }
    }

    /// In words: `identical for 12 tokens`.
    pub fn words(&self) -> String {
        match self.tokens {
            Some(agreement) => agreement.to_string(),
            None => "not compared: one of them has no whole answer".into(),
        }
    }
}

/// The first byte at which two texts differ, at the beginning of a character; the end of the shorter one where the other goes on; `None` for
/// equal texts.
pub fn first_difference(a: &str, b: &str) -> Option<usize> {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    if same == a.len() && same == b.len() {
        return None;
    }
    Some(a.floor_char_boundary(same).min(b.floor_char_boundary(same)))
}

/// Names that tell designs apart: the level and the settings that not all of them have, with the model's name where that is not the same
/// for all, and a number where even that does not tell them apart. Each is a design, its model's name and its level.
pub fn names(designs: &[(&Design, &str, &str)]) -> Vec<String> {
    let one_model = designs.windows(2).all(|pair| matches!(pair, [a, b] if a.1 == b.1));
    let settings: Vec<String> = designs.iter().map(|(design, ..)| design.differences(&design.sampler)).collect();
    let has = |settings: &str, word: &str| settings.split(", ").any(|other| other == word);
    let name = |((design, model, quant), own): (&(&Design, &str, &str), &String)| {
        let apart = own.split(", ").filter(|word| !settings.iter().all(|other| has(other, word)));
        let differences = apart.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
        let file = || design.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let model = if one_model { "" } else { *model };
        let head = [model, *quant].into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let head = if head.is_empty() { file() } else { head };
        if differences.is_empty() { head } else { format!("{head}, {differences}") }
    };
    let names: Vec<String> = designs.iter().zip(&settings).map(name).collect();
    let numbered = |(index, name): (usize, &String)| {
        let before = names.iter().take(index).filter(|other| *other == name).count();
        if before == 0 { name.clone() } else { format!("{name} ({})", before + 1) }
    };
    names.iter().enumerate().map(numbered).collect()
}

/// An answer as a run. One answer is one sample of everything: enough to look at, not to decide by.
pub fn run(answer: Answered, prompt: &str, started_ms: i64) -> Run {
    let workload = Workload::Prompt { prompt: prompt.to_owned(), reply: answer.text };
    let mut run = Run::new(answer.design, workload, started_ms);
    run.environment.model = answer.model;
    run.environment.quant = answer.quant;
    run.reasons.push("One answer, not repeated".into());
    run.failure = answer.failure;
    if let Some(memory) = answer.memory {
        run.samples.insert(Metric::PeakMemory, vec![memory.total() as f64]);
    }
    if let Some(stats) = answer.stats {
        run.seconds = stats.total_ms / 1e3;
        for (metric, value) in [
            (Metric::DecodeTps, stats.decode_tps),
            (Metric::PrefillTps, stats.prefill_tps),
            (Metric::TtftMs, stats.ttft_ms),
            (Metric::ItlP95Ms, stats.itl_p95_ms),
        ] {
            // 0 stands for "not measured": under two tokens there is no rate
            if value > 0.0 {
                run.samples.insert(metric, vec![value]);
            }
        }
    }
    run
}

/// How a comparison went, besides the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// What they were asked: the last message of a chat, or the prompt itself
    pub prompt: String,
    /// Messages of the conversation before it
    pub history: usize,
    /// Whether all ran at the same time, which slows each of them
    pub together: bool,
    /// The lane that was found best
    pub vote: Option<Vote>,
    /// The vote was given before the names were shown
    pub blind: bool,
}

/// Which answer is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// That of this lane, from 0
    Lane(usize),
    /// None is better than the others
    Tie,
}

impl Vote {
    /// What it says of a lane.
    pub fn of(self, lane: usize) -> &'static str {
        match self {
            Self::Tie => "tie",
            Self::Lane(best) if best == lane => "best",
            Self::Lane(_) => "not best",
        }
    }
}

/// The comparison as one document.
pub fn to_json(round: &Round, answers: &[Answered]) -> Value {
    let first = answers.first();
    let lane = |(index, answer): (usize, &Answered)| {
        let parting = first.filter(|_| index > 0).map(|first| Parting::of(first, answer));
        let agreement = parting.and_then(|parting| parting.tokens);
        let mut lane = serde_json::to_value(answer).unwrap_or_default();
        if let Some(lane) = lane.as_object_mut() {
            lane.insert("identical_tokens".into(), json!(agreement.map(|agreement| agreement.same)));
            lane.insert("is_identical".into(), json!(agreement.map(|agreement| agreement.first_divergence().is_none())));
            lane.insert("first_difference_byte".into(), json!(parting.and_then(|parting| parting.byte)));
            lane.insert("vote".into(), json!(round.vote.map(|vote| vote.of(index))));
        }
        lane
    };
    json!({
        "prompt": round.prompt,
        "history_messages": round.history,
        "together": round.together,
        "blind": round.blind,
        "reference": first.map(|first| &first.name),
        "lanes": answers.iter().enumerate().map(lane).collect::<Vec<_>>(),
    })
}

/// The comparison as a table and the answers, for an issue or a note.
pub fn to_markdown(round: &Round, answers: &[Answered]) -> String {
    let how = if round.together { "all at the same time, which slows each of them" } else { "one after another" };
    let mut text = format!("# Comparison\n\n{}\n\nThe designs ran {how}.\n\n", quote(&round.prompt));
    text.push_str("| design | decode t/s | TTFT | tokens | memory | against the first | vote |\n|:--|--:|--:|--:|--:|:--|:--|\n");
    for (index, answer) in answers.iter().enumerate() {
        let stats = answer.stats.as_ref();
        let cell = |value: Option<String>| value.unwrap_or_else(|| "—".into());
        let parting = match answers.first() {
            Some(first) if index > 0 => Parting::of(first, answer).words(),
            _ => "—".into(),
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            answer.name.replace('|', "\\|"),
            cell(stats.map(|stats| format::tps(stats.decode_tps))),
            cell(stats.map(|stats| format::millis(stats.ttft_ms))),
            cell(stats.map(|stats| stats.predicted_tokens.to_string())),
            cell(answer.memory.map(|memory| format::bytes(memory.total()))),
            parting,
            cell(round.vote.map(|vote| vote.of(index).to_owned())),
        ));
    }
    for answer in answers {
        text.push_str(&format!("\n## {}\n\n", answer.name));
        if let Some(failure) = &answer.failure {
            text.push_str(&format!("{failure}\n\n"));
        }
        text.push_str(&quote(&answer.text));
        text.push('\n');
    }
    text
}

fn quote(text: &str) -> String {
    if text.is_empty() { "> (nothing)".into() } else { text.lines().map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{CacheType, ErrorKind, Sampler, StopReason};

    fn answered(name: &str, text: &str, tokens: &[i32]) -> Answered {
        let stats = GenerateStats {
            stop: StopReason::EndOfReply,
            prompt_tokens: 3,
            cached_tokens: 0,
            predicted_tokens: tokens.len() as u32,
            ttft_ms: 10.0,
            prefill_ms: 8.0,
            prefill_tps: 300.0,
            decode_tps: 50.0,
            total_ms: 100.0,
            itl_p95_ms: 21.0,
            sampler: Sampler::default(),
            dropped: None,
            tokens: tokens.to_vec(),
            kv_used: 5,
        };
        Answered {
            name: name.into(),
            design: Design::for_model(format!("{name}.gguf")),
            model: "Tiny".into(),
            quant: name.into(),
            text: text.into(),
            tokens: tokens.to_vec(),
            stats: Some(stats),
            memory: Some(MemoryUse { weights: 1 << 20, kv: 0, compute: 0 }),
            load_seconds: Some(0.5),
            failure: None,
        }
    }

    #[test]
    fn texts_part_at_a_character() {
        assert_eq!(first_difference("abc", "abc"), None);
        assert_eq!(first_difference("abc", "abd"), Some(2));
        assert_eq!(first_difference("ab", "abc"), Some(2));
        // é and è share their first byte
        assert_eq!(first_difference("xé", "xè"), Some(1));
    }

    #[test]
    fn names_say_only_what_tells_designs_apart() {
        let plain = Design::for_model("/m/a.gguf");
        let narrow = Design { type_k: CacheType::Q8_0, type_v: CacheType::Q8_0, ..plain.clone() };
        assert_eq!(names(&[(&plain, "Tiny", "Q8_0"), (&plain, "Tiny", "Q4_1")]), ["Q8_0", "Q4_1"]);
        assert_eq!(names(&[(&plain, "Tiny", "Q8_0"), (&narrow, "Tiny", "Q8_0")]), ["Q8_0", "Q8_0, KV q8_0"]);
        assert_eq!(names(&[(&plain, "Tiny", "Q8_0"), (&plain, "Big", "Q8_0")]), ["Tiny Q8_0", "Big Q8_0"]);
        let (cold, warm) = (Design { sampler: greedy(), n_ctx: 8192, ..plain.clone() }, Design { n_ctx: 8192, ..plain.clone() });
        assert_eq!(names(&[(&cold, "Tiny", "Q8_0"), (&warm, "Tiny", "Q8_0")]), ["Q8_0, temperature 0, seed 0", "Q8_0"]);
        assert_eq!(names(&[(&plain, "", ""), (&plain, "", "")]), ["a.gguf", "a.gguf (2)"]);
    }

    #[test]
    fn a_comparison_is_written_down_with_what_failed_in_it() {
        let mut broken = answered("Q2_K", "On", &[]);
        broken.stats = None;
        broken.failure = Some(EngineError::new(ErrorKind::OutOfMemory, "Memory ran out"));
        let answers = [answered("Q8_0", "One two", &[1, 2]), answered("Q4_1", "One tree", &[1, 7]), broken];
        let round = Round { prompt: "Count".into(), vote: Some(Vote::Lane(1)), ..Round::default() };
        let text = to_markdown(&round, &answers);
        for part in ["> Count", "one after another", "| Q4_1 | 50.0 |", "identical for 1 token | best |", "Memory ran out", "not compared"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let value = to_json(&round, &answers);
        assert_eq!((&value["lanes"][1]["identical_tokens"], &value["lanes"][1]["first_difference_byte"]), (&json!(1), &json!(5)));
        assert_eq!((&value["lanes"][0]["vote"], &value["lanes"][2]["identical_tokens"]), (&json!("not best"), &Value::Null));
    }
}
