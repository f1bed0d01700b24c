//! The text itself, tinted by how far the candidate strays, and what both sides thought of the token that is looked at.

use std::ops::Range;

use egui::{Align, Key, KeyboardShortcut, Layout, Modifiers, Rect, Role, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::{QualityView, ask, words};
use crate::app::quality::{Candidate, Comparison, HeatBy, LEVELS, level};
use crate::app::{Action, AppState, QualityAction};
use crate::measure::quality::report;
use crate::protocol::{QualityLayout, TOP, TokenScore};
use crate::ui::theme::{self, Palette};
use crate::ui::widgets::{
    HeatSpec, Tint, body, card, card_frame, elided, focus_ring, muted, paint_tint, secondary_button, segmented, stat_row,
};

/// Width of the card of a token, points.
const SIDE: f32 = 240.0;
/// Height of both cards, points.
const HEIGHT: f32 = 416.0;
/// Between the two, points.
const GAP: f32 = 12.0;

/// Paints the text and the card beside it.
pub(super) fn tokens(ui: &mut Ui, state: &AppState, comparison: &Comparison, view: &mut QualityView, actions: &mut Vec<Action>) {
    let (Some(candidate), Some(layout)) = (state.quality.candidate(), comparison.layout.as_deref()) else { return };
    if candidate.scores.is_empty() && comparison.is_kept {
        card(ui, |ui| {
            body(ui, "The text is not kept with this result: its tokens were more than are kept, or an older version measured it");
        });
        return;
    }
    let (area, _) = ui.allocate_exact_size(vec2(ui.available_width(), HEIGHT), Sense::hover());
    let (left, right) = area.split_left_right_at_x(area.right() - SIDE - GAP / 2.0);
    let (left, right) = (left.with_max_x(left.right() - GAP / 2.0), right.with_min_x(right.left() + GAP / 2.0));
    let hovered = surface(ui, "tokens", left, |ui| {
        tools(ui, state, actions);
        text(ui, state, comparison, (candidate, layout), view, actions)
    });
    surface(ui, "token", right, |ui| side(ui, state, comparison, (candidate, layout), hovered, actions));
}

/// A card of this size.
fn surface<R>(ui: &mut Ui, name: &str, rect: Rect, add: impl FnOnce(&mut Ui) -> R) -> R {
    let frame = card_frame(ui);
    ui.painter().add(frame.paint(rect.shrink(frame.total_margin().left)));
    // the card has its room already: a child that takes none
    add(&mut ui.new_child(UiBuilder::new().id_salt(name).max_rect(rect.shrink(theme::CARD_PADDING))))
}

/// What the text is coloured by, and the legend, which is a filter too.
fn tools(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let mut by = state.quality.heat;
    let narrow = ui.available_width() < 420.0;
    ui.horizontal(|ui| {
        let options = HeatBy::ALL.map(|by| (by, by.name()));
        if segmented(ui, "Colour by", &mut by, &options).on_hover_text(by.about()).changed() {
            ask(actions, QualityAction::SetHeat(by));
        }
        if !narrow {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = 4.0;
                (1..=LEVELS).rev().for_each(|step| legend(ui, state, by, step, actions));
            });
        }
    });
    if narrow {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            (1..=LEVELS).for_each(|step| legend(ui, state, by, step, actions));
        });
    }
    ui.add_space(4.0);
}

/// One level of the legend. A press colours the text from this level on.
fn legend(ui: &mut Ui, state: &AppState, by: HeatBy, step: u8, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let threshold = by.thresholds().get(usize::from(step) - 1).copied().unwrap_or_default();
    let text = format!("≥ {}", by.words(threshold));
    let is_on = step >= state.quality.from_level.max(1);
    let ink = if is_on { palette.text } else { palette.muted };
    let galley = elided(ui, &text, theme::small(), ink, 80.0);
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 16.0, 26.0), Sense::click());
    let name = format!("Colour from {} {}", by.name(), by.words(threshold));
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, ui.is_enabled(), step == state.quality.from_level, &name));
    if is_on {
        paint_tint(ui.painter(), rect.shrink2(vec2(0.0, 2.0)), Tint { level: step, is_gain: false }, palette);
    }
    ui.painter().galley(rect.center() - galley.size() / 2.0, galley, ink);
    focus_ring(ui, &response, 4);
    let about = format!(
        "{}\nA press colours only tokens from here on{}",
        by.about(),
        if by == HeatBy::Kld { "" } else { "; gains are blue and dashed" }
    );
    if response.on_hover_text(about).clicked() {
        ask(actions, QualityAction::SetFromLevel(step));
    }
}

fn text(
    ui: &mut Ui,
    state: &AppState,
    comparison: &Comparison,
    (candidate, layout): (&Candidate, &QualityLayout),
    view: &mut QualityView,
    actions: &mut Vec<Action>,
) -> Option<Range<usize>> {
    let quality = &state.quality;
    let (by, least) = (quality.heat, quality.from_level.max(1));
    let tint = |token: usize| {
        let score = candidate.score(token)?;
        let level = level(by, score);
        Some(Tint { level: if level >= least { level } else { 0 }, is_gain: by.is_gain(score) })
    };
    let name = format!("Text coloured by {}, {} tokens scored", by.name(), candidate.scores.len());
    let spec = HeatSpec {
        revision: comparison.started_ms.unsigned_abs().wrapping_mul(31).wrapping_add(layout.ends.len() as u64),
        name: &name,
        text: &layout.text,
        ends: &layout.ends,
        selected: quality.selected,
        reveal: view.revealed != quality.selected,
        height: ui.available_height(),
    };
    let output = view.heat.show(ui, spec, tint);
    view.revealed = quality.selected;
    if let Some(range) = output.clicked {
        let token = worst_of(candidate, range, by);
        ask(actions, QualityAction::Select(token.filter(|token| quality.selected != Some(*token))));
    }
    if output.step != 0 {
        ask(actions, QualityAction::Select(neighbour(candidate, quality.selected, output.step)));
    }
    output.hovered
}

/// Of tokens that share a character, the one that strays most; none where none was scored.
fn worst_of(candidate: &Candidate, range: Range<usize>, by: HeatBy) -> Option<usize> {
    let badness = |token: &usize| candidate.score(*token).map_or(f32::MIN, |score| by.value(score).abs());
    range.filter(|token| candidate.score(*token).is_some()).max_by(|a, b| badness(a).total_cmp(&badness(b)))
}

/// The scored token before or after.
fn neighbour(candidate: &Candidate, from: Option<usize>, step: i32) -> Option<usize> {
    let mut scored = candidate.scored().map(|(token, _)| token as usize);
    match from {
        None => scored.next(),
        Some(from) if step > 0 => scored.find(|token| *token > from).or(Some(from)),
        Some(from) => scored.take_while(|token| *token < from).last().or(Some(from)),
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// The token under the pointer, else the one that was picked.
fn side(
    ui: &mut Ui,
    state: &AppState,
    comparison: &Comparison,
    (candidate, layout): (&Candidate, &QualityLayout),
    hovered: Option<Range<usize>>,
    actions: &mut Vec<Action>,
) {
    let quality = &state.quality;
    let looked_at = hovered.clone().map(|range| worst_of(candidate, range.clone(), quality.heat).unwrap_or(range.start));
    let token = looked_at.or(quality.selected);
    ui.spacing_mut().item_spacing.y = 0.0;
    match token.map(|token| (token, candidate.score(token))) {
        None => {
            muted(ui, "No token picked");
            ui.add_space(4.0);
            body(ui, "Point at a token to see what both models would have said there, or go through the worst ones");
        }
        Some((token, None)) => {
            heading(ui, layout, token);
            ui.add_space(4.0);
            body(ui, "Read, but not scored: the first half of a chunk only gives context");
        }
        Some((token, Some(score))) => {
            heading(ui, layout, token);
            ui.add_space(4.0);
            let truth = report::piece(layout, token as u64);
            let name = |id: u32| comparison.names.get(&id).map_or("", String::as_str);
            table(ui, &comparison.reference_name, truth, (score.nll_ref, score.rank_ref), &score.top_ref, name);
            ui.add_space(4.0);
            table(ui, &candidate.name, truth, (score.nll_cand, score.rank_cand), &score.top_cand, name);
            ui.add_space(4.0);
            figures(ui, score);
        }
    }
    ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        for (words, key, step) in [("Previous", Modifiers::SHIFT, -1), ("Next worst token", Modifiers::NONE, 1)] {
            let keys = ui.ctx().format_shortcut(&KeyboardShortcut::new(key, Key::F3));
            if ui.add(secondary_button(words).shortcut(keys).fill_width()).clicked() {
                ask(actions, QualityAction::Worst(step));
            }
        }
    });
}

fn heading(ui: &mut Ui, layout: &QualityLayout, token: usize) {
    let word = report::piece(layout, token as u64);
    let word = if word.is_empty() { "part of a character".to_owned() } else { format!("“{}”", shown(word)) };
    muted(ui, format!("token {token}: {word}"));
}

/// A token as it can be read: without the space before it, line ends and the like as marks.
fn shown(word: &str) -> String {
    let trimmed = word.strip_prefix(' ').filter(|rest| !rest.is_empty()).unwrap_or(word);
    let marked = trimmed.replace('\n', "¶").replace(' ', "·");
    crate::ui::plain_text::display(&marked).into_owned()
}

/// One side: its most probable tokens, and the token that came next with its place where it is not among them.
fn table<'a>(ui: &mut Ui, side: &str, truth: &str, (nll, rank): (f32, u32), top: &[(u32, f32); TOP], name: impl Fn(u32) -> &'a str) {
    let palette = theme::palette(ui);
    row(ui, side, "p", (true, palette.text, palette.muted), palette);
    let many = if rank as usize > 3 { 3 } else { 4 };
    for (index, (id, p)) in top.iter().take(many).enumerate() {
        let is_truth = index + 1 == rank as usize;
        let words = shown(name(*id));
        let ink = if is_truth { palette.accent } else { palette.text };
        row(ui, &words, &words::probability(*p), (false, ink, ink), palette);
    }
    if rank as usize > many {
        let words = format!("{} (place {rank})", shown(truth));
        row(ui, &words, &words::probability((-nll).exp()), (false, palette.accent, palette.accent), palette);
    }
}

fn row(ui: &mut Ui, left: &str, right: &str, (strong, ink, value_ink): (bool, egui::Color32, egui::Color32), palette: &Palette) {
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{left} {right}")));
    let font = if strong { theme::body_strong() } else { theme::body() };
    let value = elided(ui, right, theme::mono(), value_ink, 60.0);
    let words = elided(ui, left, font, ink, width - value.size().x - 8.0);
    let (size, value_size) = (words.size(), value.size());
    ui.painter().galley(pos2(rect.left(), rect.center().y - size.y / 2.0), words, palette.text);
    ui.painter().galley(pos2(rect.right() - value_size.x, rect.center().y - value_size.y / 2.0), value, palette.text);
}

fn figures(ui: &mut Ui, score: &TokenScore) {
    stat_row(ui, "KLD", &words::nats(score.kld.into())).on_hover_text(HeatBy::Kld.about());
    let delta = format!("{:+.1} %", score.delta_p * 100.0);
    stat_row(ui, "Δp of the true token", &delta).on_hover_text(HeatBy::DeltaP.about());
    let (before, after) = (score.rank_ref, score.rank_cand);
    let places = if before == after { before.to_string() } else { format!("{before} → {after}") };
    stat_row(ui, "Its place", &places).on_hover_text(HeatBy::Rank.about());
}
