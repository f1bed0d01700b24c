//! How long the frame that follows a click on a rung may wait for what the engine is about to say.
//!
//! A switch in the middle of a reply ends the reply, asks for the rest of it and reads the last words again. A frame that is painted
//! meanwhile keeps all of that waiting where the CPU paints, and shows nothing but that something happens.

use std::time::Duration;

use crate::app::{Activity, AppState};

/// For the end of the reply: most tokens are decoded within it.
const END: Duration = Duration::from_millis(25);
/// For the first words of a rung that is warm. They and the frame that shows them are seen within the moment that still feels like one with
/// the click.
const FIRST_WORDS: Duration = Duration::from_millis(140);
/// Until then a switch in the middle of a reply is seen, whatever the engine does.
pub(super) const SEEN: Duration = Duration::from_millis(60);

/// How long after the click there is something to wait for; `None` when there is nothing, or it would take longer anyway.
/// `frames_are_dear`: painting takes the cores that the engine reads with.
pub(super) fn longest(state: &AppState, frames_are_dear: bool) -> Option<Duration> {
    let words = if frames_are_dear { FIRST_WORDS } else { END };
    match &state.activity {
        Activity::Generating(reply) if reply.stopping.is_some() => {
            let is_warm = reply.then_load.as_ref().is_some_and(|wanted| state.is_warm(&wanted.design));
            Some(if is_warm { words } else { END })
        }
        Activity::Loading(loading) if state.is_warm(&loading.design) => Some(words),
        Activity::Generating(reply) if reply.tokens == 0 => {
            let Some((done, total)) = reply.prefill else { return Some(words) };
            let rate = state.telemetry.read_tps?;
            (total.saturating_sub(done) as f64 <= rate * words.as_secs_f64()).then_some(words)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{Generating, Loading};
    use crate::protocol::{Design, JobId, MemoryUse, Resident};
    use crate::store::{ChatId, MessageId};

    fn reply(change: impl FnOnce(&mut Generating)) -> Activity {
        let mut reply = Generating {
            job: JobId(1),
            chat: ChatId(1),
            message: MessageId(1),
            text: String::new(),
            kept: 0,
            prefill: None,
            read_since: None,
            tokens: 0,
            last: 0.0,
            first: None,
            since: 0.0,
            stopping: None,
            then_load: None,
            waiting_for_save: None,
        };
        change(&mut reply);
        Activity::Generating(reply)
    }

    fn loading(path: &str) -> Activity {
        Activity::Loading(Loading {
            job: JobId(1),
            design: Box::new(Design::for_model(path)),
            fraction: 0.0,
            since: 0.0,
            from: None,
            then_continue: None,
            stopping: false,
            forecast: None,
        })
    }

    #[test]
    fn the_first_words_of_a_warm_rung_are_waited_for_where_painting_would_delay_them() {
        let mut state = AppState::default();
        state.resident = vec![Resident { design: Design::for_model("warm"), memory: MemoryUse::default(), active: false }];
        let mut asked = |activity, dear| {
            state.activity = activity;
            longest(&state, dear)
        };
        assert_eq!(asked(loading("warm"), true), Some(FIRST_WORDS));
        assert_eq!(asked(loading("cold"), true), None, "a load from disk takes longer than anybody may wait");
        assert_eq!(asked(reply(|reply| reply.stopping = Some(0.0)), true), Some(END));
        assert_eq!(asked(reply(|_| ()), true), Some(FIRST_WORDS));
        assert_eq!(asked(reply(|_| ()), false), Some(END), "a frame that costs the engine nothing is painted");
        assert_eq!(asked(reply(|reply| reply.tokens = 1), true), None, "it speaks");
        assert_eq!(asked(Activity::None, true), None);
    }

    #[test]
    fn what_takes_too_long_to_read_is_not_waited_for() {
        let mut state = AppState::default();
        state.activity = reply(|reply| reply.prefill = Some((100, 120)));
        assert_eq!(longest(&state, true), None, "nobody knows how long that takes");
        state.telemetry.read_tps = Some(250.0);
        assert_eq!(longest(&state, true), Some(FIRST_WORDS));
        state.activity = reply(|reply| reply.prefill = Some((100, 140)));
        assert_eq!(longest(&state, true), None);
    }
}
