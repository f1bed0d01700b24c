//! From an engine's channel to the window: what is recorded, what is worth a frame, and how soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use super::inbox::{Inbound, Inbox};
use super::runtime::{Wake, spawn_named};
use super::sweeps;
use crate::app::visibly_differs;
use crate::protocol::{EngineError, Event, Sample};
use crate::store::Recorder;

/// Takes events off the engine's channel however long no frame is painted: text goes to disk and to the inbox from here.
pub(super) fn spawn_pump(events: Receiver<Event>, speaker: Speaker, inbox: Arc<Inbox>, wake: Wake) -> Result<(), EngineError> {
    let name = match speaker {
        Speaker::Chat { .. } => "engine-events",
        Speaker::Maker => "maker-events",
        Speaker::Measurer => "measurer-events",
        Speaker::Quality => "quality-events",
    };
    let run = move || {
        let mut shown: Option<Sample> = None;
        let mut last_text_job = None;
        for mut event in events {
            if let Speaker::Chat { recorder, .. } = &speaker {
                recorder.event(&event);
            } else if !speaker.is_heard(&event) {
                continue;
            }
            if let Event::Tokens { batch, .. } = &mut event {
                // kept on disk and read from there by whoever looks
                batch.probs = Vec::new();
            }
            let urgency = match &event {
                _ if matches!(speaker, Speaker::Measurer) => {
                    if sweeps::is_worth_a_frame(&event) {
                        Urgency::Now
                    } else {
                        Urgency::None
                    }
                }
                // answers that are read later: nobody sees them
                Event::Tokens { .. } if matches!(speaker, Speaker::Quality) => Urgency::None,
                Event::Tokens { job, .. } => {
                    // the first words of a reply are waited for
                    let is_first = last_text_job.replace(*job) != Some(*job);
                    if is_first { Urgency::Now } else { Urgency::Soon }
                }
                Event::Loaded { .. } if matches!(&speaker, Speaker::Chat { reply_follows, .. } if reply_follows.load(Ordering::Relaxed)) => {
                    Urgency::Soon
                }
                // a reply's first words follow soon: a frame now would only keep the cores from reading the prompt
                Event::Progress { .. } | Event::Started { .. } | Event::QualityScores { .. } => Urgency::Soon,
                Event::Log { .. } => Urgency::None,
                Event::Sample { sample } => {
                    let differs = shown.is_none_or(|shown| visibly_differs(&shown, sample));
                    if differs {
                        shown = Some(*sample);
                    }
                    if differs { Urgency::Soon } else { Urgency::None }
                }
                _ => Urgency::Now,
            };
            inbox.push(match &speaker {
                Speaker::Chat { .. } => Inbound::Event(event),
                Speaker::Maker => Inbound::Maker(event),
                Speaker::Measurer => Inbound::Measurer(event),
                Speaker::Quality => Inbound::Quality(event),
            });
            match urgency {
                Urgency::Now => wake.now(),
                Urgency::Soon => wake.soon(),
                Urgency::None => {}
            }
        }
    };
    spawn_named(name, run)
}

/// Whose events a pump takes.
pub(super) enum Speaker {
    /// The chat's engine; what it says is recorded
    Chat {
        recorder: Recorder,
        /// A reply is asked for already, and begins as soon as the load is over
        reply_follows: Arc<AtomicBool>,
    },
    /// The engine that makes rungs
    Maker,
    /// The engine that measures speed
    Measurer,
    /// The engine that measures quality
    Quality,
}

impl Speaker {
    /// Whether anybody wants to know. What an engine says of itself matters where it answers a chat, text also where it is measured.
    fn is_heard(&self, event: &Event) -> bool {
        match event {
            Event::Sample { .. } | Event::Hello { .. } | Event::Log { .. } => matches!(self, Self::Chat { .. }),
            Event::Tokens { .. } => matches!(self, Self::Chat { .. } | Self::Quality),
            _ => true,
        }
    }
}

enum Urgency {
    Now,
    Soon,
    None,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{JobId, Sample, TokenBatch};

    #[test]
    fn text_is_heard_where_it_is_shown_or_compared() {
        let text = Event::Tokens { job: JobId(1), batch: TokenBatch::default() };
        let sample = Event::Sample { sample: Sample::default() };
        let heard = |event: &Event| [Speaker::Quality, Speaker::Maker, Speaker::Measurer].map(|speaker| speaker.is_heard(event));
        assert_eq!((heard(&text), heard(&sample)), ([true, false, false], [false; 3]));
        assert_eq!(heard(&Event::Done { job: JobId(1) }), [true; 3]);
    }
}
