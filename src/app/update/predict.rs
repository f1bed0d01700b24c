//! What a design that is being edited would take, before anybody loads it.

use super::{AppState, Effect, load};
use crate::app::{Inspection, Prediction};
use crate::protocol::{Design, EngineError};

/// Asks for the prediction, unless it is there or on its way. What was foretold of the design before stays in sight until then.
pub(super) fn predict(state: &mut AppState, design: Design, effects: &mut Vec<Effect>) {
    let freed = load::freed_by_unload(state);
    let before = state.prediction.take();
    if let Some(before) = before.as_ref().filter(|before| before.design == design && before.freed == freed) {
        state.prediction = Some(before.clone());
        return;
    }
    let result = before.filter(|before| before.design.model == design.model).and_then(|before| before.result);
    state.prediction = Some(Prediction { design: design.clone(), freed, result, is_current: false });
    effects.push(Effect::Predict { design: Box::new(design), freed });
}

/// The answer; one for a design that is not edited any more is dropped.
pub(super) fn on_predicted(state: &mut AppState, design: &Design, result: Result<Inspection, EngineError>) {
    if let Some(prediction) = state.prediction.as_mut().filter(|prediction| prediction.design == *design) {
        prediction.result = Some(result);
        prediction.is_current = true;
    }
}
