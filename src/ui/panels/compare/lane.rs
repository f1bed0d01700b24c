//! One lane: its design, its figures, its answer with the first difference marked.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align, Label, Layout, Stroke, Ui, vec2};

use super::{ask, editor};
use crate::app::{Action, AppState, CompareAction, Lane, LaneState};
use crate::measure::format;
use crate::measure::lanes::{Answered, Parting, Vote};
use crate::protocol::Design;
use crate::ui::plain_text::{self, Pieces};
use crate::ui::theme::{self, BODY_LINE_HEIGHT};
use crate::ui::widgets::{ErrorCard, Icon, ListSpec, Progress, RowId, Stat, VirtualList, card_frame, icon_button, label, muted, wrapped};

/// A lane wider than this has its figures in large type, points.
const ROOMY: f32 = 340.0;

/// What lasts of a lane between frames.
#[derive(Clone, Debug)]
pub struct LaneView {
    pieces: Pieces,
    list: VirtualList,
    revision: u64,
    /// The settings are unfolded
    pub(super) is_open: bool,
}

impl Default for LaneView {
    fn default() -> Self {
        Self { pieces: Pieces::default(), list: VirtualList::new(200.0, false), revision: 0, is_open: false }
    }
}

/// A lane as it is shown.
pub struct Shown<'a> {
    /// Which
    pub index: usize,
    /// What it is called now
    pub name: &'a str,
    /// The lane
    pub lane: &'a Lane,
    /// What it answered
    pub answer: Option<&'a Answered>,
    /// What it is compared with; `None` for the first on screen
    pub first: Option<&'a Answered>,
    /// The design of the first on screen; `None` for itself
    pub first_design: Option<&'a Design>,
    /// Which design it is must not be seen
    pub is_hidden: bool,
    /// There are enough others
    pub can_remove: bool,
    /// What was voted
    pub vote: Option<Vote>,
}

/// Paints a lane over all of `ui`.
pub fn lane(ui: &mut Ui, state: &AppState, shown: &Shown<'_>, view: &mut LaneView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let size = ui.available_size();
    let is_best = shown.vote == Some(Vote::Lane(shown.index));
    let mut frame = card_frame(ui).inner_margin(12);
    if is_best {
        frame = frame.stroke(Stroke::new(2.0 * palette.border_width(), palette.accent));
    }
    let room = size - frame.total_margin().sum();
    frame.show(ui, |ui| {
        ui.set_min_size(room);
        ui.set_max_size(room);
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        head(ui, shown, is_best, actions);
        if !shown.is_hidden {
            ui.add_enabled_ui(!state.compare.is_running(), |ui| editor::design(ui, state, shown, view, actions));
        }
        figures(ui, shown);
        status(ui, shown);
        answer(ui, shown, view);
    });
}

fn head(ui: &mut Ui, shown: &Shown<'_>, is_best: bool, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 28.0), Layout::right_to_left(Align::Center), |ui| {
        if shown.can_remove && ui.add(icon_button(Icon::Close, &format!("Remove {}", shown.name))).clicked() {
            actions.push(ask(CompareAction::RemoveLane(shown.index)));
        }
        if is_best {
            label(ui, "best", theme::small_strong(), palette.accent);
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            label(ui, shown.name, theme::body_strong(), palette.text);
        });
    });
}

/// The figures, as soon as they are measured.
fn figures(ui: &mut Ui, shown: &Shown<'_>) {
    let lane = shown.lane;
    let absent = || format::ABSENT.to_owned();
    let stats = lane.stats.as_deref();
    let rate = stats.map(|stats| stats.decode_tps).filter(|rate| *rate > 0.0).or(lane.rate()).map_or_else(absent, format::tps);
    let ttft = stats.map(|stats| stats.ttft_ms).or(lane.ttft_ms()).map_or_else(absent, format::millis);
    let tokens = if lane.tokens > 0 { lane.tokens.to_string() } else { absent() };
    // what a design takes gives away which it is
    let memory = lane.memory.filter(|_| !shown.is_hidden).map_or_else(absent, |memory| format::bytes(memory.total()));
    let rate = if shown.is_hidden { absent() } else { rate };
    let ttft = if shown.is_hidden { absent() } else { ttft };
    if ui.available_width() < ROOMY {
        let line = format!("{rate} t/s · TTFT {ttft} · {tokens} tokens · {memory}");
        let color = theme::palette(ui).text;
        wrapped(ui, line, theme::small_strong(), color);
        return;
    }
    let width = (ui.available_width() / 4.0 - 6.0).max(56.0).floor();
    ui.horizontal_wrapped(|ui| {
        let decode = "(tokens − 1) / (time of the last token − time of the first), on the engine's clock";
        ui.add(Stat::new("Decode", &rate, "t/s").hint(decode).width(width));
        ui.add(Stat::new("TTFT", &ttft, "").hint("From the request's arrival in the engine to the first token").width(width));
        ui.add(Stat::new("Tokens", &tokens, "").hint("Tokens of the answer so far").width(width));
        ui.add(Stat::new("Memory", &memory, "").hint("Weights, KV cache and compute, from the engine's own buffers").width(width));
    });
}

/// What it is doing, or where its answer parts from the first one.
fn status(ui: &mut Ui, shown: &Shown<'_>) {
    let palette = theme::palette(ui);
    match &shown.lane.state {
        LaneState::Idle => {
            muted(ui, "Not asked yet");
        }
        LaneState::Waiting => {
            muted(ui, "Waits for the one before it");
        }
        LaneState::Loading(fraction) => {
            Progress::new("Loading", Some(*fraction)).show(ui);
        }
        LaneState::Reading(done, total) => {
            let fraction = (*total > 0).then(|| *done as f32 / *total as f32);
            Progress::new("Reading the prompt", fraction).show(ui);
        }
        LaneState::Writing => {
            muted(ui, "Answering");
        }
        LaneState::Failed(error) if error.kind == crate::protocol::ErrorKind::Cancelled => {
            wrapped(ui, "Stopped", theme::small(), palette.event);
        }
        LaneState::Failed(error) => {
            ErrorCard::new(&error.message, &error.hint).details(&error.details).show(ui, ("lane", shown.index));
        }
        LaneState::Done => match (shown.first, shown.answer) {
            (Some(first), Some(own)) => {
                let parting = Parting::of(first, own);
                let is_same = parting.tokens.is_some_and(|agreement| agreement.first_divergence().is_none());
                let words = parting.words();
                wrapped(ui, format!("{words}{}", if is_same { "" } else { " with the first" }), theme::small_strong(), palette.event)
                    .on_hover_text("Equal tokens from the start, before the first that differs; the difference is marked in the text");
            }
            _ => {
                muted(ui, "The others are compared with this one");
            }
        },
    }
}

/// The answer; only the pieces in view are laid out.
fn answer(ui: &mut Ui, shown: &Shown<'_>, view: &mut LaneView) {
    let text = &shown.lane.text;
    view.pieces.update(text);
    let mark = shown.first.and_then(|first| Parting::of(first, shown.answer?).byte).filter(|_| shown.lane.state == LaneState::Done);
    let revision = mark.map_or(0, |mark| mark as u64 + 1);
    if view.revision != revision {
        view.revision = revision;
    }
    let spec = ListSpec { id: ui.scope_id().with("answer"), count: view.pieces.len(), revision, gap: 0.0 };
    let LaneView { pieces, list, .. } = view;
    list.show(
        ui,
        spec,
        |index| RowId { key: index as u64, version: if index + 1 == pieces.len() { pieces.range(index).1 as u64 } else { 0 } },
        |ui, index| {
            let (from, _) = pieces.range(index);
            let words = pieces.get(text, index);
            let at = mark.and_then(|mark| mark.checked_sub(from)).filter(|at| *at < words.len().max(1));
            let job = marked(ui, words, at);
            let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
            ui.add(Label::new(galley).selectable(true));
        },
    );
}

/// Text with the word at a byte marked.
fn marked(ui: &Ui, words: &str, at: Option<usize>) -> LayoutJob {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let Some((head, rest)) = at.and_then(|at| words.split_at_checked(at)) else {
        return plain_text::body_job(&plain_text::display(words), palette.text, width);
    };
    let end = rest.char_indices().skip(1).find(|(_, c)| c.is_whitespace()).map_or(rest.len(), |(end, _)| end);
    let (word, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let plain = TextFormat { line_height: Some(BODY_LINE_HEIGHT), ..TextFormat::simple(theme::body(), palette.text) };
    let mark = TextFormat { background: palette.event_tint, underline: Stroke::new(2.0, palette.event), ..plain.clone() };
    let mut job = LayoutJob { wrap: TextWrapping::wrap_at_width(width), ..LayoutJob::default() };
    job.append(&plain_text::display(head), 0.0, plain.clone());
    job.append(&plain_text::display(word), 0.0, mark);
    job.append(&plain_text::display(tail), 0.0, plain);
    job
}
