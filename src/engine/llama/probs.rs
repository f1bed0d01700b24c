//! The model's own probabilities of a token, for whoever looks at a reply token by token.

use super::model::Model;
use super::tokens;
use crate::measure::quality::likelihood::Likelihood;
use crate::protocol::{Alternative, MOST_ALTERNATIVES, PieceKind, TokenProb};

/// What the model gave `token`, with `alternatives` of the most probable tokens. How many bytes of text the token has is filled in by the
/// caller. A row of logits without a softmax gives probability 0 and no alternatives.
pub(super) fn of(model: &Model, logits: &[f32], token: i32, alternatives: u32) -> TokenProb {
    let wanted = alternatives.min(MOST_ALTERNATIVES) as usize;
    let Some(found) = u32::try_from(token).ok().and_then(|token| Likelihood::of(logits, token, wanted)) else {
        return TokenProb::default();
    };
    let top = found.top.into_iter().map(|(id, p)| alternative(model, id, p)).collect();
    TokenProb { bytes: 0, p: found.p, top }
}

fn alternative(model: &Model, id: u32, p: f32) -> Alternative {
    let id = i32::try_from(id).unwrap_or(-1);
    let name = || tokens::token_text(model, id).unwrap_or_default();
    if tokens::ends_reply(model, id) {
        return Alternative { text: name(), p, kind: PieceKind::End };
    }
    let mut bytes = Vec::new();
    tokens::piece(model, id, &mut bytes);
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Alternative { text: name(), p, kind: PieceKind::Control },
        Ok(text) => Alternative { text, p, kind: PieceKind::Text },
        Err(part) => {
            let text = part.as_bytes().iter().map(|byte| format!("<{byte:02X}>")).collect();
            Alternative { text, p, kind: PieceKind::Part }
        }
    }
}
