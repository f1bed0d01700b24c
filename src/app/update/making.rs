//! Making rungs.

use super::load::begin_load;
use super::models::rescan;
use super::{AppState, Effect, Now};
use crate::app::{Dialog, MakeOffer, Making, Severity};
use crate::library::RungState;
use crate::protocol::{Design, EngineError, ErrorKind, Event, QuantizeRequest, Stage};

pub(super) fn offer_make(state: &mut AppState, family_key: &str, quant: &str) {
    let Some(family) = state.library.families.iter().find(|family| family.key == family_key) else { return };
    let Some(rung) = family.rungs.iter().find(|rung| rung.quant == quant) else { return };
    if let RungState::CanMake { source, source_quant, size_estimate, seconds_estimate, lossy_source, target, .. } = &rung.state {
        state.dialog = Dialog::Make(Box::new(MakeOffer {
            family: family.key.clone(),
            family_name: family.name.clone(),
            quant: rung.quant.clone(),
            source: source.clone(),
            source_quant: source_quant.clone(),
            target: target.clone(),
            size_estimate: *size_estimate,
            seconds_estimate: *seconds_estimate,
            lossy_source: *lossy_source,
        }));
    }
}

pub(super) fn confirm_make(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Dialog::Make(offer) = std::mem::take(&mut state.dialog) else { return };
    if state.making.is_some() {
        state.notices.push(Severity::Warn, "Another rung is being made, wait for it or stop it first", Vec::new(), None, now.secs);
        return;
    }
    // a make from the Library page must not pull a chat to another model
    let then_switch = state.family().is_some_and(|family| family.key == offer.family);
    let request = QuantizeRequest {
        source: offer.source,
        target: offer.target,
        file_type: offer.quant.clone(),
        imatrix: None,
        prune_layers: Vec::new(),
        threads: 0,
    };
    let job = state.job();
    state.making = Some(Making {
        job,
        family: offer.family,
        quant: offer.quant,
        request: request.clone(),
        fraction: 0.0,
        since: now.secs,
        then_switch,
    });
    effects.push(Effect::Make(job, request));
}

pub(super) fn cancel_make(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(making) = &state.making {
        effects.push(Effect::StopMaking(making.job));
    }
}

pub(super) fn on_maker_event(state: &mut AppState, event: Event, now: Now, effects: &mut Vec<Effect>) {
    let Some(making) = &mut state.making else { return };
    match event {
        Event::Progress { job, stage: Stage::Quantize, done, total } if job == making.job && total > 0 => {
            making.fraction = done as f32 / total as f32;
        }
        Event::Quantized { job, path, size, seconds, fallbacks, .. } if job == making.job => {
            let Some(making) = state.making.take() else { return };
            let size = crate::measure::format::bytes(size);
            let mut text = format!("{} made in {seconds:.1} s, {size}", making.quant);
            if fallbacks > 0 {
                text.push_str(&format!("; {fallbacks} tensors do not fit its blocks and got another type"));
            }
            state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
            rescan(state, effects);
            if making.then_switch
                && let Some(current) = state.design().cloned()
            {
                begin_load(state, Design { model: path, ..current }, now, None, effects);
            }
        }
        Event::Failed { job, error } if job == making.job => fail_making(state, &error, now, effects),
        Event::Died { error, .. } => fail_making(state, &error, now, effects),
        _ => {}
    }
}

fn fail_making(state: &mut AppState, error: &EngineError, now: Now, effects: &mut Vec<Effect>) {
    let Some(making) = state.making.take() else { return };
    rescan(state, effects);
    if error.kind == ErrorKind::Cancelled {
        state.notices.push(Severity::Info, format!("Making {} was stopped, nothing was kept", making.quant), Vec::new(), None, now.secs);
    } else {
        let text = format!("{} was not made: {error}", making.quant);
        state.notices.push(Severity::Error, text, error.details.clone(), None, now.secs);
    }
}
