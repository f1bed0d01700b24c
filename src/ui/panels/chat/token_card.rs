//! The card of a token: what could have come in its place, and the way to see where the model goes from there.

use egui::{Align2, Id, Key, Modifiers, Popup, PopupCloseBehavior, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::tokens::Unit;
use crate::app::{Action, Tokens};
use crate::measure::format::chance;
use crate::protocol::{Alternative, PieceKind};
use crate::store::ChatMessage;
use crate::ui::plain_text;
use crate::ui::theme;
use crate::ui::widgets::{elided, focus_ring, label, muted, row_surface};

/// Width of the card, in points.
const WIDTH: f32 = 276.0;
/// Height of a line of it, in points.
const LINE: f32 = 28.0;

/// The card that is shown.
#[derive(Clone, Debug)]
pub struct Card {
    /// Its token
    pub unit: Unit,
    /// Where that is on screen
    pub anchor: Rect,
    /// It stays when the pointer leaves
    pub is_pinned: bool,
    /// Where the card itself was in the last frame
    rect: Option<Rect>,
}

impl Card {
    /// A card beside a token.
    pub fn new(unit: Unit, anchor: Rect, is_pinned: bool) -> Self {
        Self { unit, anchor, is_pinned, rect: None }
    }

    /// The same card, for a token that is elsewhere on screen now.
    #[must_use]
    pub fn at(self, anchor: Rect) -> Self {
        Self { anchor, ..self }
    }

    /// Whether the pointer is on it, or on the way to it from its token.
    pub fn is_under_pointer(&self, ui: &Ui) -> bool {
        let at = ui.input(|input| input.pointer.hover_pos());
        self.rect.zip(at).is_some_and(|(rect, at)| rect.expand(4.0).contains(at))
    }
}

/// A token's text in quotation marks, with marks for what has no shape.
pub fn quoted(text: &str) -> String {
    format!("“{}”", plain_text::display(text).replace('\n', "¶"))
}

/// What an alternative is called.
fn name(alternative: &Alternative) -> String {
    match alternative.kind {
        PieceKind::Text => quoted(&alternative.text),
        PieceKind::End => "end of the reply".into(),
        PieceKind::Part => format!("part of a character {}", alternative.text),
        PieceKind::Control => format!("control token {}", alternative.text),
    }
}

/// Paints the card, and says what was chosen.
pub fn show(ui: &Ui, card: Option<&mut Card>, tokens: &Tokens, message: &ChatMessage, why_not: Option<&str>, actions: &mut Vec<Action>) {
    let Some(card) = card else { return };
    let Some(token) = tokens.table.token(card.unit.first) else { return };
    let own = card.unit.text(&message.text);
    let is_own = |alternative: &Alternative| {
        if card.unit.is_end { alternative.kind == PieceKind::End } else { alternative.kind == PieceKind::Text && alternative.text == own }
    };
    let popup = Popup::new(Id::unique("token card"), ui.ctx().clone(), card.anchor, ui.layer_id())
        .open(true)
        .close_behavior(PopupCloseBehavior::IgnoreClicks)
        .gap(2.0)
        .width(WIDTH)
        .accessible_name("Alternatives");
    let mut chosen = None;
    let shown = popup.show(|ui| {
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing = vec2(8.0, 0.0);
        head(ui, card, own, tokens);
        for (index, alternative) in token.top.iter().enumerate() {
            if line(ui, index, alternative, is_own(alternative), why_not) {
                chosen = Some(alternative);
            }
        }
        if !token.top.iter().any(is_own) && !token.top.is_empty() {
            let p = chance(token.p);
            muted(ui, format!("The sampled token is not among these: {p}"));
        }
        if token.top.is_empty() {
            muted(ui, "The model gave no probabilities here");
        }
    });
    card.rect = shown.map(|shown| shown.response.rect);
    for (key, alternative) in [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5].into_iter().zip(&token.top) {
        let has_keys =
            card.is_pinned || ui.memory(|memory| memory.focused()) == Some(super::tokens::widget_id(message.id, card.unit.first));
        if has_keys && can_choose(alternative, is_own(alternative)) && ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            chosen = Some(alternative);
        }
    }
    if let Some(alternative) = chosen.filter(|_| why_not.is_none()) {
        actions.push(Action::BranchAt(message.id, tokens.table.range(card.unit.first).start, Box::new(alternative.clone())));
    }
}

fn head(ui: &mut Ui, card: &Card, own: &str, tokens: &Tokens) {
    let palette = theme::palette(ui);
    let p = chance(card.unit.p(&tokens.table));
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 26.0), Sense::hover());
    let words = if card.unit.is_end { "End of the reply".to_owned() } else { quoted(own) };
    let value = elided(ui, &p, theme::body_strong(), palette.text, 90.0);
    let right = rect.right() - 8.0 - value.size().x;
    let words = elided(ui, &words, theme::mono(), palette.text, right - rect.left() - 20.0);
    ui.painter().galley(pos2(rect.left() + 8.0, rect.center().y - words.size().y / 2.0), words, palette.text);
    ui.painter().galley(pos2(right, rect.center().y - value.size().y / 2.0), value, palette.text);
    let count = card.unit.last - card.unit.first + 1;
    if count > 1 {
        label(ui, format!("A character of {count} tokens; alternatives to the first"), theme::small(), palette.muted);
    }
}

fn can_choose(alternative: &Alternative, is_own: bool) -> bool {
    alternative.kind == PieceKind::Text && !is_own
}

/// One alternative; true when it was chosen.
fn line(ui: &mut Ui, index: usize, alternative: &Alternative, is_own: bool, why_not: Option<&str>) -> bool {
    let palette = theme::palette(ui);
    let can_choose = can_choose(alternative, is_own) && why_not.is_none();
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), LINE), if can_choose { Sense::click() } else { Sense::hover() });
    let p = chance(alternative.p);
    let name = name(alternative);
    say(&response, can_choose, is_own, &name, &p);
    row_surface(ui, rect, false, can_choose && response.hovered());
    let ink = if alternative.kind == PieceKind::Text { palette.text } else { palette.muted };
    let mid = rect.center().y;
    ui.painter().text(pos2(rect.left() + 8.0, mid), Align2::LEFT_CENTER, (index + 1).to_string(), theme::small(), palette.muted);
    let words = elided(ui, &name, theme::mono(), ink, rect.width() - 148.0);
    ui.painter().galley(pos2(rect.left() + 24.0, mid - words.size().y / 2.0), words, ink);
    let value = elided(ui, &p, theme::mono_small(), palette.text, 60.0);
    ui.painter().galley(pos2(rect.right() - 8.0 - value.size().x, mid - value.size().y / 2.0), value, palette.text);
    let track = Rect::from_min_size(pos2(rect.right() - 122.0, mid - 3.0), vec2(56.0, 6.0));
    ui.painter().rect_filled(track, 2.0, palette.hairline);
    let filled = Rect::from_min_size(track.min, vec2(track.width() * alternative.p.clamp(0.0, 1.0), track.height()));
    ui.painter().rect_filled(filled, 2.0, if is_own { palette.accent } else { palette.data[0] });
    focus_ring(ui, &response, 4);
    let clicked = response.clicked();
    let hint = if is_own {
        Some("This is what was sampled")
    } else if alternative.kind != PieceKind::Text {
        Some("Only text can be put into a reply")
    } else {
        why_not
    };
    if let Some(hint) = hint {
        response.on_hover_text(hint);
    }
    clicked
}

fn say(response: &Response, can_choose: bool, is_own: bool, name: &str, p: &str) {
    response.widget_info(|| {
        if can_choose {
            WidgetInfo::labeled(Role::Button, true, format!("Go on with {name}, {p}"))
        } else if is_own {
            WidgetInfo::labeled(Role::Label, true, format!("{name}, {p}, sampled"))
        } else {
            WidgetInfo::labeled(Role::Label, true, format!("{name}, {p}"))
        }
    });
}
