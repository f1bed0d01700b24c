//! A sweep that runs or was interrupted: what it does now, how far it is, how long still, and the way out.

use egui::{Align, Layout, Ui};

use crate::app::{BoardOf, Doing, Measure};
use crate::measure::format;
use crate::measure::sweep::Sweep;
use crate::ui::theme;
use crate::ui::widgets::{Progress, card, danger_button, label, muted, primary_button, secondary_button};

/// What a sweep is doing, for the card.
pub(super) struct Running {
    /// `Q8_0, threads 2, repetition 3 of 8`
    now: String,
    /// 0 to 1
    fraction: f32,
    /// Measurements behind it, and in all
    done: (usize, usize),
    /// Seconds left, reckoned from what was measured
    left: Option<f64>,
    /// Stop was pressed
    stopping: bool,
    /// The board shows it
    is_shown: bool,
}

impl Running {
    /// Of the sweep that runs; `now` in seconds since the application began.
    pub(super) fn of(measure: &Measure, now: f64) -> Self {
        let sweep = measure.sweep();
        let words = match &measure.doing {
            Doing::Nothing => String::new(),
            Doing::Preparing => "Reading the headers of the files".into(),
            Doing::Held(why) => (*why).to_owned(),
            Doing::GivingWay(_) => "Waiting: something else needs the processor".into(),
            Doing::Stopping(_) => "Stopping".into(),
            Doing::Resting { until, why } => format!("{why}, {} to go", format::seconds((until - now).max(0.0))),
            Doing::Measuring(_) => match (measure.current(), sweep) {
                (Some((candidate, block)), Some(sweep)) => {
                    let plan = sweep.plan();
                    let name = plan.candidates.get(candidate).map_or("", |candidate| candidate.label.as_str());
                    let name = if name.is_empty() { "the design" } else { name };
                    format!("Measuring {name}, repetition {} of {}", block + 1, plan.blocks.max(block as u32 + 1))
                }
                _ => "Comparing the quality of the levels".into(),
            },
        };
        Self {
            now: words,
            fraction: measure.fraction(),
            done: sweep.map_or((0, 0), Sweep::progress),
            left: sweep.and_then(Sweep::seconds_left),
            stopping: matches!(measure.doing, Doing::Stopping(_)),
            is_shown: measure.board.of == BoardOf::Session,
        }
    }
}

/// Paints the card; true when it is to be stopped.
pub(super) fn running(ui: &mut Ui, running: &Running) -> bool {
    let mut stop = false;
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let hint = "What was measured stands, and the sweep can be resumed";
                stop = ui.add_enabled(!running.stopping, danger_button("Stop measuring")).on_hover_text(hint).clicked();
                ui.add_space(8.0);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.vertical(|ui| {
                        let left = match (running.stopping, running.left) {
                            (true, _) => String::new(),
                            (false, Some(seconds)) => format!("about {} left (estimate)", format::seconds(seconds)),
                            (false, None) => "time left is known once the first is measured".to_owned(),
                        };
                        Progress::new(&running.now, Some(running.fraction)).left(&left).show(ui);
                    });
                });
            });
        });
        let (done, total) = running.done;
        if total > 0 {
            let below = if running.is_shown { ". What is shown below is what is known so far" } else { "" };
            muted(ui, format!("{done} of {total} measurements{below}"));
        }
    });
    stop
}

/// What was pressed on the card of an interrupted sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Go on with it
    Resume,
    /// Take it off the disk
    Remove,
}

/// Paints the card of a sweep that ended before everything was measured: one of this session with how far it came, or one of the disk.
pub(super) fn interrupted(ui: &mut Ui, why: &str, done: Option<(usize, usize)>, why_not: Option<&str>) -> Option<Pressed> {
    let mut pressed = None;
    card(ui, |ui| {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let name = if done.is_some() { "Resume" } else { "Resume it" };
                let resume = ui.add_enabled(why_not.is_none(), primary_button(name));
                if resume.on_disabled_hover_text(why_not.unwrap_or_default()).clicked() {
                    pressed = Some(Pressed::Resume);
                }
                if done.is_none() && ui.add(secondary_button("Remove it")).clicked() {
                    pressed = Some(Pressed::Remove);
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let color = theme::palette(ui).text;
                    let words =
                        done.map_or_else(|| why.to_owned(), |(done, total)| format!("{why}: {done} of {total} measurements are done"));
                    label(ui, words, theme::body(), color);
                });
            });
        });
    });
    pressed
}
