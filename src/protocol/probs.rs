//! What a model thought of each token of a reply.

use serde::{Deserialize, Serialize};

/// Alternatives that the window asks for, a token.
pub const ALTERNATIVES: u32 = 5;

/// Most alternatives an engine gives, a token.
pub const MOST_ALTERNATIVES: u32 = 20;

/// What kind of thing a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", from = "u8")]
pub enum PieceKind {
    /// Text
    #[default]
    Text,
    /// It ends the reply
    End,
    /// Some bytes of a character: no text by itself
    Part,
    /// A control token that neither is text nor ends the reply
    Control,
}

impl From<PieceKind> for u8 {
    fn from(kind: PieceKind) -> Self {
        match kind {
            PieceKind::Text => 0,
            PieceKind::End => 1,
            PieceKind::Part => 2,
            PieceKind::Control => 3,
        }
    }
}

impl From<u8> for PieceKind {
    fn from(number: u8) -> Self {
        match number {
            0 => Self::Text,
            1 => Self::End,
            2 => Self::Part,
            _ => Self::Control,
        }
    }
}

/// A token that could have come. `["text", probability, kind]` on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(String, f32, PieceKind)", into = "(String, f32, PieceKind)")]
pub struct Alternative {
    /// Its text; for a part of a character its bytes (`<E2><82>`), for a control token its name
    pub text: String,
    /// Its probability, 0..1; see [`TokenProb::p`]
    pub p: f32,
    /// What it is
    pub kind: PieceKind,
}

impl From<(String, f32, PieceKind)> for Alternative {
    fn from((text, p, kind): (String, f32, PieceKind)) -> Self {
        Self { text, p, kind }
    }
}

impl From<Alternative> for (String, f32, PieceKind) {
    fn from(alternative: Alternative) -> Self {
        (alternative.text, alternative.p, alternative.kind)
    }
}

/// What the model gave one token that was sampled. `[bytes, probability, alternatives]` on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u32, f32, Vec<Alternative>)", into = "(u32, f32, Vec<Alternative>)")]
pub struct TokenProb {
    /// Bytes of the reply's text that it added. The text ranges of a reply's tokens follow each other from its beginning; what a token held
    /// of a character that was not whole yet counts for the token that completed it, so that this can be 0. Behind a stop text, which is
    /// left out of the reply, ranges can reach past the end of the text
    pub bytes: u32,
    /// Its probability under the model itself, 0..1: `exp(l_token) / sum_i exp(l_i)` over the logits `l` of the whole vocabulary, before
    /// any sampler: temperature, top-k, penalties and grammar do not enter
    pub p: f32,
    /// The most probable tokens, best first; the one that was sampled is among them when it belongs there
    pub top: Vec<Alternative>,
}

impl From<(u32, f32, Vec<Alternative>)> for TokenProb {
    fn from((bytes, p, top): (u32, f32, Vec<Alternative>)) -> Self {
        Self { bytes, p, top }
    }
}

impl From<TokenProb> for (u32, f32, Vec<Alternative>) {
    fn from(token: TokenProb) -> Self {
        (token.bytes, token.p, token.top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_is_compact_and_comes_back() {
        let top = vec![
            Alternative { text: " a".into(), p: 0.5, kind: PieceKind::Text },
            Alternative { text: "<|im_end|>".into(), p: 0.25, kind: PieceKind::End },
        ];
        let token = TokenProb { bytes: 2, p: 0.5, top };
        let line = serde_json::to_string(&token).unwrap();
        assert_eq!(line, r#"[2,0.5,[[" a",0.5,0],["<|im_end|>",0.25,1]]]"#);
        assert_eq!(serde_json::from_str::<TokenProb>(&line).unwrap(), token);
    }
}
