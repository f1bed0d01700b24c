//! The Compare page: one prompt, two to four designs, their answers side by side.

mod editor;
mod lane;
mod setup;

use egui::{Align, Frame, Layout, Margin, Ui, vec2};

use crate::app::{Action, AppState, CompareAction, CompareFormat, compare_why_not};
use crate::measure::lanes::{LANES, Vote};
use crate::ui::theme::{self, PAGE_MARGIN};
use crate::ui::widgets::{
    Icon, at_least, empty_state, ghost_button, icon_button, muted, page_header, primary_button, secondary_button, wrapped,
};

/// Between two lanes, points.
const GAP: f32 = 12.0;
/// A page narrower than this says less in words, points.
const NARROW: f32 = 700.0;

/// Least height of the page without designs, and with some, points.
const EMPTY: f32 = 360.0;
const LEAST: f32 = 680.0;

/// What lasts of the page between frames.
#[derive(Clone, Debug, Default)]
pub struct CompareView {
    lanes: Vec<lane::LaneView>,
}

/// Paints the page.
pub fn compare_page(ui: &mut Ui, state: &AppState, view: &mut CompareView, actions: &mut Vec<Action>) {
    at_least(ui, "compare page", if state.compare.lanes.is_empty() { EMPTY } else { LEAST }, |ui| page(ui, state, view, actions));
}

fn page(ui: &mut Ui, state: &AppState, view: &mut CompareView, actions: &mut Vec<Action>) {
    Frame::new().inner_margin(Margin::same(PAGE_MARGIN as i8)).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(8.0, 8.0);
        header(ui, state, actions);
        if state.compare.lanes.is_empty() {
            let sentence = "A comparison asks two to four designs the same and shows where their answers part. Open a model to begin";
            if empty_state(ui, "No model yet", sentence, Some("Open a model…")) {
                actions.push(Action::PickModel);
            }
            return;
        }
        setup::setup(ui, state, actions);
        ui.add_space(4.0);
        lanes(ui, state, view, actions);
    });
}

fn ask(action: CompareAction) -> Action {
    Action::Compare(Box::new(action))
}

fn header(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let compare = &state.compare;
    let how = if compare.together {
        "All run at the same time, each in a process of its own: they slow each other down, so their speeds are not those of one alone. "
    } else {
        "They run one after another in a process of its own. "
    };
    let chance = if compare.is_greedy() {
        "All are greedy: what differs is the design's doing"
    } else {
        "Not all are greedy: what differs may also be chance"
    };
    let sentence = format!("{how}{chance}");
    let is_narrow = ui.available_width() < NARROW;
    page_header(ui, "Which design answers better?", &sentence, |ui| {
        if compare.is_running() {
            if ui.add(secondary_button("Stop").icon(Icon::Stop)).clicked() {
                actions.push(ask(CompareAction::Stop));
            }
        } else {
            let why_not = compare_why_not(state);
            let button = ui.add_enabled(why_not.is_none(), primary_button("Run").icon(Icon::Play));
            if button.on_disabled_hover_text(why_not.unwrap_or_default()).clicked() {
                actions.push(ask(CompareAction::Run));
            }
            if compare.asked.is_some() && !compare.is_hidden() {
                for (name, hint, format) in [
                    ("JSON", "Save the comparison as JSON", CompareFormat::Json),
                    ("Markdown", "Save the comparison as Markdown", CompareFormat::Markdown),
                ] {
                    let pressed = if is_narrow {
                        ui.add(icon_button(Icon::Export, hint)).clicked()
                    } else {
                        ui.add(ghost_button(name).icon(Icon::Export)).on_hover_text(hint).clicked()
                    };
                    if pressed {
                        actions.push(ask(CompareAction::Export(format)));
                    }
                }
            }
        }
    });
}

fn lanes(ui: &mut Ui, state: &AppState, view: &mut CompareView, actions: &mut Vec<Action>) {
    let compare = &state.compare;
    let names = compare.names(|design| setup::level(state, design));
    let answers = compare.answers();
    let order = compare.order();
    view.lanes.resize_with(compare.lanes.len(), Default::default);
    let room = ui.available_rect_before_wrap();
    let vote_height = if compare.can_vote() || compare.vote().is_some() { 44.0 } else { 0.0 };
    let width = ((room.width() - GAP * (order.len() as f32 - 1.0)) / order.len().max(1) as f32).floor();
    for (place, index) in order.iter().copied().enumerate() {
        let left = room.left() + place as f32 * (width + GAP);
        let rect = egui::Rect::from_min_size(egui::pos2(left, room.top()), vec2(width, (room.height() - vote_height).max(160.0)));
        let name = if compare.is_hidden() { letter(place) } else { names.get(index).cloned().unwrap_or_default() };
        let Some((lane, view)) = compare.lanes.get(index).zip(view.lanes.get_mut(index)) else { continue };
        let first = order.first().copied().filter(|first| *first != index);
        let shown = lane::Shown {
            index,
            name: &name,
            lane,
            answer: answers.get(index),
            first: first.and_then(|first| answers.get(first)),
            first_design: first.and_then(|first| compare.lanes.get(first)).map(|lane| &lane.design),
            is_hidden: compare.is_hidden(),
            can_remove: compare.lanes.len() > *LANES.start() && !compare.is_running(),
            vote: compare.vote(),
        };
        ui.scope_builder(egui::UiBuilder::new().max_rect(rect).id_salt(("lane", index)), |ui| {
            lane::lane(ui, state, &shown, view, actions);
        });
    }
    ui.allocate_rect(
        egui::Rect::from_min_size(room.min, vec2(room.width(), (room.height() - vote_height).max(160.0))),
        egui::Sense::hover(),
    );
    if vote_height > 0.0 {
        vote(ui, state, &order, &names, actions);
    }
}

/// `A`, `B`, for lanes whose names are hidden.
fn letter(place: usize) -> String {
    ["Answer A", "Answer B", "Answer C", "Answer D"].get(place).copied().unwrap_or("Answer").to_owned()
}

fn vote(ui: &mut Ui, state: &AppState, order: &[usize], names: &[String], actions: &mut Vec<Action>) {
    let compare = &state.compare;
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 36.0), Layout::left_to_right(Align::Center), |ui| {
        if let Some(vote) = compare.vote() {
            let words = match vote {
                Vote::Tie => "You found none better than the others".to_owned(),
                Vote::Lane(index) => format!("You found {} best", names.get(index).map_or("one", String::as_str)),
            };
            let color = theme::palette(ui).text;
            wrapped(ui, words, theme::body_strong(), color);
            return;
        }
        muted(ui, if compare.is_hidden() { "Which is best? The names come with your vote" } else { "Which is best?" });
        for (place, index) in order.iter().copied().enumerate() {
            let name = if compare.is_hidden() { letter(place) } else { names.get(index).cloned().unwrap_or_default() };
            let has_answer = compare.lanes.get(index).is_some_and(|lane| lane.stats.is_some());
            if ui.add_enabled(has_answer, secondary_button(format!("Best: {name}"))).clicked() {
                actions.push(ask(CompareAction::Vote(Vote::Lane(index))));
            }
        }
        if ui.add(ghost_button("No difference")).clicked() {
            actions.push(ask(CompareAction::Vote(Vote::Tie)));
        }
    });
}
