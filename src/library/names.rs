//! Names of model files: where the model ends and the quantization level begins.

use crate::protocol::FileType;

/// Takes `SmolLM2-135M-Instruct.Q4_1` apart into the model, the separator and the level. The last two are missing where a name does not say
/// its level.
pub(super) fn split_level(stem: &str) -> (&str, Option<(char, &str)>) {
    for (at, separator) in stem.char_indices().filter(|(_, c)| matches!(c, '-' | '.' | '_' | ' ')) {
        let Some((model, level)) = stem.split_at_checked(at) else { continue };
        let level = level.strip_prefix(separator).unwrap_or(level);
        if is_level(level) && !model.is_empty() {
            return (without_markers(model), Some((separator, level)));
        }
    }
    (stem, None)
}

/// Words between model and level that say how a level was made.
fn without_markers(model: &str) -> &str {
    let mut rest = model;
    while let Some((before, word)) = rest.rsplit_once(['-', '.', '_', ' ']) {
        if before.is_empty() || !["ud", "i1", "imat", "imatrix", "gguf", "ggml"].contains(&word.to_ascii_lowercase().as_str()) {
            break;
        }
        rest = before;
    }
    rest
}

/// Whether a text is the name of a level: one that is known, or one that looks like it (`Q4_K_XL`, `Q4_0_4_4`).
fn is_level(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    if FileType::by_name(&upper).is_some() || matches!(upper.as_str(), "FP16" | "FP32" | "MXFP4" | "MXFP4_MOE" | "NVFP4") {
        return true;
    }
    let rest = upper.strip_prefix("IQ").or_else(|| upper.strip_prefix("TQ")).or_else(|| upper.strip_prefix('Q'));
    let Some((digits, tail)) = rest.and_then(|rest| rest.split_once('_')) else { return false };
    digits.len() == 1
        && digits.bytes().all(|b| b.is_ascii_digit())
        && tail.split('_').all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Letters and digits in lower case: what two spellings of a name have in common.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether a name says nothing about the model: what converters write when they know no better, and hashes.
pub(super) fn says_nothing(name: &str) -> bool {
    let plain = plain(name);
    let hash = plain.strip_prefix("sha256").unwrap_or(&plain);
    matches!(
        plain.as_str(),
        "" | "model" | "models" | "ggmlmodel" | "ggufmodel" | "gguf" | "hf" | "snapshot" | "unknown" | "output" | "checkpoint"
    ) || (hash.len() >= 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_found_in_every_habit_of_naming() {
        for (stem, model, level) in [
            ("SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M-Instruct", Some(('.', "Q4_1"))),
            ("Llama-3.2-1B-Instruct-Q4_K_M", "Llama-3.2-1B-Instruct", Some(('-', "Q4_K_M"))),
            ("qwen2.5-0.5b-instruct-fp16", "qwen2.5-0.5b-instruct", Some(('-', "fp16"))),
            ("Foo-UD-Q4_K_XL", "Foo", Some(('-', "Q4_K_XL"))),
            ("Foo.i1-IQ3_XXS", "Foo", Some(('-', "IQ3_XXS"))),
            ("tiny_q8_0", "tiny", Some(('_', "q8_0"))),
            ("gpt-oss-20b-mxfp4", "gpt-oss-20b", Some(('-', "mxfp4"))),
            ("Qwen3-4B", "Qwen3-4B", None),
            ("Q4_K_M", "Q4_K_M", None),
            ("模型-Q4_0", "模型", Some(('-', "Q4_0"))),
            ("", "", None),
        ] {
            assert_eq!(split_level(stem), (model, level), "{stem}");
        }
    }

    #[test]
    fn empty_names_are_known_as_such() {
        assert!(says_nothing("ggml-model") && says_nothing(".") && says_nothing("sha256-0011223344556677"));
        assert!(!says_nothing("SmolLM2") && !says_nothing("Dead Beef"));
    }
}
