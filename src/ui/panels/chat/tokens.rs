//! A reply as tokens: each tinted and underlined by how probable the model found it, with what could have come instead.

use std::collections::HashMap;
use std::ops::Range;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{EventFilter, Id, Key, Modifiers, Rect, Response, Role, Sense, Stroke, Ui, WidgetInfo, vec2};

use super::token_card;
use crate::app::{Action, OpenChat, Tokens};
use crate::measure::format::chance;
use crate::store::{ChatMessage, MessageId, TokenTable};
use crate::ui::plain_text::{self, Pieces};
use crate::ui::theme::{self, BODY_LINE_HEIGHT, Palette};
use crate::ui::widgets::{focus_ring, ghost_button, muted};

/// Classes of probability: from which on, in words, how strong the tint is, how thick the line under it, in points.
pub const CLASSES: [(f32, &str, f32, f32); 5] = [
    (0.9, "90 % and more", 0.0, 0.0),
    (0.5, "50 to 90 %", 0.10, 1.0),
    (0.2, "20 to 50 %", 0.20, 2.0),
    (0.05, "5 to 20 %", 0.32, 3.0),
    (0.0, "under 5 %", 0.46, 4.0),
];

/// The class of a probability.
pub fn class(p: f32) -> (f32, &'static str, f32, f32) {
    let [.., least] = CLASSES;
    CLASSES.into_iter().find(|(from, ..)| p >= *from).unwrap_or(least)
}

/// Where a line of a message's text is cut into rows: at line ends, and where a run ended.
#[derive(Clone, Debug, Default)]
pub struct TokenRows {
    parts: Vec<(usize, Pieces)>,
    ends: Vec<usize>,
}

impl TokenRows {
    /// Takes note of what the text has become, and of where in it one run ended and another went on.
    pub fn update(&mut self, text: &str, ends: impl Iterator<Item = usize> + Clone) {
        if self.parts.is_empty() || !ends.clone().eq(self.ends.iter().copied()) {
            self.ends = ends.collect();
            let starts = [0].into_iter().chain(self.ends.iter().copied());
            self.parts = starts.map(|start| (text.floor_char_boundary(start), Pieces::default())).collect();
        }
        let ends: Vec<usize> = self.parts.iter().skip(1).map(|(start, _)| *start).chain([text.len()]).collect();
        for ((start, pieces), end) in self.parts.iter_mut().zip(ends) {
            pieces.update(text.get(*start..end).unwrap_or_default());
        }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|(_, pieces)| pieces.len()).sum()
    }

    /// The first row that shows nothing of the text before a byte at which a run ended.
    pub fn row_at(&self, byte: usize) -> usize {
        self.parts.iter().take_while(|(start, _)| *start < byte).map(|(_, pieces)| pieces.len()).sum()
    }

    /// From which byte of the text to which a row goes.
    pub fn range(&self, mut index: usize) -> Range<usize> {
        for (start, pieces) in &self.parts {
            if index < pieces.len() {
                let (from, to) = pieces.range(index);
                return start + from..start + to;
            }
            index -= pieces.len();
        }
        0..0
    }

    /// The row that holds a byte.
    pub fn row_of(&self, byte: usize) -> Option<usize> {
        (0..self.len()).find(|index| self.range(*index).contains(&byte))
    }
}

/// One token, or the tokens that together are one character, or the end of the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its first token
    pub first: usize,
    /// Its last token
    pub last: usize,
    /// Its text, bytes of the reply's text
    pub range: Range<usize>,
    /// It is the token that ended the reply: it has no text
    pub is_end: bool,
}

impl Unit {
    /// Its probability: that of all its tokens together.
    pub fn p(&self, table: &TokenTable) -> f32 {
        (self.first..=self.last).filter_map(|index| table.p(index)).product()
    }

    /// What is read out for it: its text and its probability.
    pub fn name(&self, text: &str, table: &TokenTable) -> String {
        let p = chance(self.p(table));
        if self.is_end { format!("End of reply, {p}") } else { format!("{}, {p}", token_card::quoted(self.text(text))) }
    }

    /// Its text.
    pub fn text<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.range.start.min(text.len())..self.range.end.min(text.len())).unwrap_or_default()
    }
}

/// The unit that begins with a token, and the token after it.
fn unit(table: &TokenTable, first: usize) -> (Unit, usize) {
    let is_empty = |index: usize| table.range(index).is_empty();
    let mut last = first;
    while is_empty(last) && last + 1 < table.len() && !table.is_first(last + 1) {
        last += 1;
    }
    let range = table.range(last);
    (Unit { first, last, is_end: range.is_empty(), range }, last + 1)
}

/// The units with text from a row, and the end of the reply where the row is the last before it.
pub fn units(table: &TokenTable, row: Range<usize>) -> Vec<Unit> {
    let mut next = table.at(row.start);
    while next > 0 && !table.is_first(next) && table.range(next - 1).is_empty() {
        next -= 1;
    }
    let mut units = Vec::new();
    while next < table.len() {
        let (unit, after) = unit(table, next);
        let begins_later = if unit.is_end { unit.range.start > row.end } else { unit.range.start >= row.end };
        if begins_later {
            break;
        }
        units.push(unit);
        next = after;
    }
    units
}

/// What lasts of the view between frames.
#[derive(Clone, Debug, Default)]
pub struct TokensView {
    message: Option<MessageId>,
    /// The first token of the unit that the keyboard is at
    cursor: usize,
    /// The cursor moved: take the focus there
    follow: bool,
    /// Go to the row that holds this byte
    pub go_to: Option<usize>,
    pub(super) card: Option<token_card::Card>,
    painted: Vec<(Unit, Rect)>,
    hovered: Option<(Unit, Rect)>,
    focused: Option<(Unit, Rect)>,
    clicked: Option<(Unit, Rect)>,
}

impl TokensView {
    /// Before the rows are painted.
    pub fn begin(&mut self, tokens: Option<&Tokens>) {
        let message = tokens.map(|tokens| tokens.message);
        if self.message != message {
            *self = Self { message, ..Self::default() };
        }
        let is_seen = self.painted.iter().any(|(unit, _)| unit.first == self.cursor);
        if !is_seen
            && !self.follow
            && let Some((unit, _)) = self.painted.first()
        {
            self.cursor = unit.first;
        }
        self.painted.clear();
        (self.hovered, self.focused, self.clicked) = (None, None, None);
    }

    /// After them: the card, and what was asked.
    pub fn end(&mut self, ui: &Ui, open: &OpenChat, why_not: Option<&str>, actions: &mut Vec<Action>) {
        let Some(tokens) = &open.tokens else { return };
        let Some(message) = open.get(tokens.message) else { return };
        self.keys(ui, tokens, message);
        token_card::show(ui, self.card.as_mut(), tokens, message, why_not, actions);
        let over_card = self.card.as_ref().is_some_and(|card| card.is_under_pointer(ui));
        let is_pinned = self.card.as_ref().is_some_and(|card| card.is_pinned);
        if is_pinned && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape)) {
            self.card = None;
        } else if let Some((unit, rect)) = self.clicked.take() {
            self.card = Some(token_card::Card::new(unit, rect, true));
        } else if is_pinned {
            // it stays until it is clicked away, and goes where its token goes
            let at = self.card.as_ref().and_then(|card| self.painted.iter().find(|(unit, _)| *unit == card.unit));
            match (at, &mut self.card) {
                (Some((_, rect)), Some(card)) => card.anchor = *rect,
                _ => self.card = None,
            }
            if ui.input(|input| input.pointer.any_pressed()) && !over_card {
                self.card = None;
            }
        } else if !over_card {
            let wanted = self.hovered.take().or(self.focused.take());
            let is_same = wanted.as_ref().map(|(unit, _)| unit) == self.card.as_ref().map(|card| &card.unit);
            self.card = match (wanted, self.card.take()) {
                (Some((_, rect)), Some(card)) if is_same => Some(card.at(rect)),
                (wanted, _) => wanted.map(|(unit, rect)| token_card::Card::new(unit, rect, false)),
            };
            if !is_same {
                ui.request_repaint();
            }
        }
    }

    /// Whether a card lies over the page that Esc closes.
    pub fn has_pinned_card(&self) -> bool {
        self.card.as_ref().is_some_and(|card| card.is_pinned)
    }

    /// The arrows go from token to token while one has the focus.
    fn keys(&mut self, ui: &Ui, tokens: &Tokens, message: &ChatMessage) {
        let Some((unit, rect)) = self.focused.clone() else { return };
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        let row = |up: bool| {
            let beyond = |other: &Rect| if up { other.bottom() <= rect.top() + 1.0 } else { other.top() >= rect.bottom() - 1.0 };
            let far = |other: &Rect| {
                let lines = (other.top() - rect.top()).abs() / BODY_LINE_HEIGHT;
                (lines.round(), (other.center().x - rect.center().x).abs())
            };
            let near = self.painted.iter().filter(|(_, other)| beyond(other)).min_by(|(_, a), (_, b)| {
                let (a, b) = (far(a), far(b));
                a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
            });
            near.map(|(unit, _)| unit.first)
        };
        let next = if pressed(Key::ArrowRight) {
            Some(unit.last + 1).filter(|next| *next < tokens.table.len())
        } else if pressed(Key::ArrowLeft) {
            unit.first.checked_sub(1).map(|last| units(&tokens.table, tokens.table.range(last)).first().map_or(last, |unit| unit.first))
        } else if pressed(Key::ArrowDown) {
            row(false)
        } else if pressed(Key::ArrowUp) {
            row(true)
        } else {
            None
        };
        if let Some(next) = next {
            self.cursor = next;
            self.follow = true;
            if !self.painted.iter().any(|(unit, _)| unit.first == next) {
                self.go_to = Some(tokens.table.range(next).start.min(message.text.len().saturating_sub(1)));
            }
            ui.request_repaint();
        }
    }
}

/// What names a token's widget: the same in whichever row it stands.
pub fn widget_id(message: MessageId, token: usize) -> Id {
    Id::unique(("token", message.0, token))
}

/// What stands above a reply whose tokens are shown: what the colours mean, or why there are none.
pub fn legend(ui: &mut Ui, open: &OpenChat, message: &ChatMessage, is_running: bool, actions: &mut Vec<Action>) {
    let Some(tokens) = &open.tokens else { return };
    let palette = theme::palette(ui);
    ui.spacing_mut().item_spacing = vec2(12.0, 4.0);
    let words = match (tokens.is_loaded, tokens.table.is_empty()) {
        (false, _) => "Reading the token probabilities from disk",
        (true, true) if is_running => "No token of this reply is on disk yet",
        (true, true) => "Nothing is known of this reply's tokens: it was made before probabilities were kept, or elsewhere",
        (true, false) => "Probability of each token under the model itself, before sampling",
    };
    ui.horizontal_wrapped(|ui| {
        muted(ui, words).on_hover_text(
            "exp(logit of the token) / sum of exp(logit) over the whole vocabulary. Temperature, top-k and the other samplers do not enter. \
             A character that is made of several tokens has the product of theirs",
        );
        if ui.add(ghost_button("Show as text").height(24.0)).clicked() {
            actions.push(Action::ShowProbabilities(message.id));
        }
    });
    if !tokens.table.is_empty() {
        ui.horizontal_wrapped(|ui| {
            for (_, words, tint, line) in CLASSES {
                let galley = crate::ui::widgets::elided(ui, words, theme::small(), palette.text, 200.0);
                let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 12.0, 22.0), Sense::hover());
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
                tinted(ui, rect, tint, line);
                ui.painter().galley(rect.center() - galley.size() / 2.0, galley, palette.text);
            }
        });
    }
    ui.add_space(10.0);
}

/// A row of the reply's text as tokens. `bytes` is what the row shows of it.
pub fn row(ui: &mut Ui, open: &OpenChat, message: &ChatMessage, bytes: Range<usize>, view: &mut TokensView) {
    let Some(tokens) = &open.tokens else { return };
    let palette = theme::palette(ui);
    let units = units(&tokens.table, bytes.clone());
    let (job, owners) = lay_out(&message.text, bytes, &units, palette, ui.available_width());
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let (rect, whole) = ui.allocate_exact_size(vec2(ui.available_width(), galley.size().y), Sense::empty());
    if units.is_empty() {
        // what no token is known of is read out as a whole
        whole.widget_info(|| WidgetInfo::labeled(Role::Label, true, galley.text()));
    }
    let stretches = stretches(&galley, &owners);
    let mut places: HashMap<usize, Rect> = HashMap::new();
    for (owner, stretch) in stretches {
        let stretch = stretch.translate(rect.min.to_vec2());
        if let Some(unit) = units.get(owner) {
            let (_, _, tint, line) = class(unit.p(&tokens.table));
            tinted(ui, stretch.shrink2(vec2(0.0, 1.0)), tint, line);
        }
        let place = places.entry(owner).or_insert(stretch);
        if stretch.width() > place.width() {
            *place = stretch;
        }
    }
    ui.painter().galley(rect.min, galley, palette.text);
    for (index, unit) in units.into_iter().enumerate() {
        let Some(place) = places.get(&index).copied() else { continue };
        let is_cursor = unit.first == view.cursor;
        let sense = if is_cursor { Sense::click() } else { Sense::CLICK };
        let response = ui.interact(place, widget_id(message.id, unit.first), sense);
        answer(ui, response, unit, place, message, tokens, view);
    }
    ui.add_space(3.0);
}

/// The surface of a token or of its class in the legend: a tint, and a line whose thickness says the same.
fn tinted(ui: &Ui, rect: Rect, tint: f32, line: f32) {
    let palette = theme::palette(ui);
    if tint > 0.0 {
        ui.painter().rect_filled(rect, 2.0, theme::on_surface(palette.page, palette.event, tint));
        ui.painter().rect_filled(rect.with_min_y(rect.bottom() - line), 0.0, palette.event);
    }
}

fn answer(ui: &Ui, response: Response, unit: Unit, place: Rect, message: &ChatMessage, tokens: &Tokens, view: &mut TokensView) {
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, unit.name(&message.text, &tokens.table)));
    let is_cursor = unit.first == view.cursor;
    if is_cursor && std::mem::take(&mut view.follow) {
        response.request_focus();
        response.scroll_to_me(None);
    }
    if response.has_focus() {
        let arrows = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        focus_ring(ui, &response, 3);
        view.focused = Some((unit.clone(), place));
    }
    if response.clicked() {
        view.cursor = unit.first;
        view.clicked = Some((unit.clone(), place));
    }
    if response.hovered() {
        ui.painter().rect_stroke(place, 3.0, Stroke::new(1.0, theme::palette(ui).text), egui::StrokeKind::Outside);
        view.hovered = Some((unit.clone(), place));
    }
    view.painted.push((unit, place));
}

/// The text of a row, and which unit each character of it belongs to.
fn lay_out(text: &str, bytes: Range<usize>, units: &[Unit], palette: &Palette, width: f32) -> (LayoutJob, Vec<Option<usize>>) {
    let mut job = LayoutJob { wrap: TextWrapping::wrap_at_width(width), ..LayoutJob::default() };
    let mut owners = Vec::new();
    let plain = TextFormat { line_height: Some(BODY_LINE_HEIGHT + 4.0), ..TextFormat::simple(theme::body(), palette.text) };
    let mut add = |words: &str, format: TextFormat, owner: Option<usize>| {
        owners.extend(words.chars().map(|_| owner));
        job.append(words, 0.0, format);
    };
    let shown = |range: Range<usize>| {
        let words = text.get(range.start.max(bytes.start)..range.end.min(bytes.end)).unwrap_or_default();
        let is_last = range.end >= bytes.end;
        let words = plain_text::display(words).replace('\n', "¶\n");
        // the row ends by itself
        if is_last && words.ends_with('\n') { words.trim_end_matches('\n').to_owned() } else { words }
    };
    let mut at = bytes.start;
    for (index, unit) in units.iter().enumerate() {
        if unit.range.start > at {
            add(&shown(at..unit.range.start), plain.clone(), None);
        }
        if unit.is_end {
            add(" ■ end", TextFormat { color: palette.muted, ..plain.clone() }, Some(index));
        } else {
            add(&shown(unit.range.clone()), plain.clone(), Some(index));
        }
        at = at.max(unit.range.end);
    }
    if at < bytes.end {
        add(&shown(at..bytes.end), plain, None);
    }
    (job, owners)
}

/// Where the units are: for each line that one is on, its number and its stretch of that line.
fn stretches(galley: &egui::Galley, owners: &[Option<usize>]) -> Vec<(usize, Rect)> {
    let mut stretches: Vec<(usize, Rect)> = Vec::new();
    let mut owners = owners.iter();
    for row in &galley.rows {
        let on_line = stretches.len();
        for glyph in &row.glyphs {
            let Some(owner) = owners.next() else { return stretches };
            let left = row.pos.x + glyph.pos.x;
            let rect = Rect::from_x_y_ranges(left..=left + glyph.advance_width, row.pos.y..=row.pos.y + row.size.y);
            match (owner, stretches.get_mut(on_line..).and_then(|line| line.last_mut())) {
                (Some(owner), Some((last, stretch))) if last == owner => *stretch = stretch.union(rect),
                (Some(owner), _) => stretches.push((*owner, rect)),
                (None, _) => {}
            }
        }
        if row.ends_with_newline {
            owners.next();
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::TokenProb;
    use crate::store::{encode_start, encode_tokens};

    fn table(runs: &[(usize, &[u32])]) -> TokenTable {
        let mut bytes = Vec::new();
        for (start, tokens) in runs {
            encode_start(*start, &mut bytes);
            let tokens: Vec<TokenProb> = tokens.iter().map(|bytes| TokenProb { bytes: *bytes, p: 0.5, top: Vec::new() }).collect();
            encode_tokens(&tokens, &mut bytes);
        }
        let mut table = TokenTable::default();
        table.push(&bytes);
        table
    }

    fn of(table: &TokenTable, row: Range<usize>) -> Vec<(usize, usize, Range<usize>, bool)> {
        units(table, row).into_iter().map(|unit| (unit.first, unit.last, unit.range, unit.is_end)).collect()
    }

    #[test]
    fn tokens_of_one_character_are_one_unit_and_the_end_is_its_own() {
        // "ab", a character of three bytes in three tokens, "c", the end; then another run "d"
        let table = table(&[(0, &[2, 0, 0, 3, 1, 0]), (6, &[1])]);
        assert_eq!(of(&table, 0..6), [(0, 0, 0..2, false), (1, 3, 2..5, false), (4, 4, 5..6, false), (5, 5, 6..6, true)]);
        assert_eq!(of(&table, 2..5), [(1, 3, 2..5, false)]);
        assert_eq!(of(&table, 6..7), [(6, 6, 6..7, false)]);
        assert_eq!(units(&table, 2..5)[0].p(&table), table.p(1).unwrap().powi(3));
    }

    #[test]
    fn a_token_over_a_row_end_is_in_both_rows() {
        let table = table(&[(0, &[3, 4])]);
        assert_eq!(of(&table, 0..5), [(0, 0, 0..3, false), (1, 1, 3..7, false)]);
        assert_eq!(of(&table, 5..7), [(1, 1, 3..7, false)]);
    }

    #[test]
    fn rows_end_where_runs_do() {
        let mut rows = TokenRows::default();
        rows.update("one two", [3].into_iter());
        assert_eq!((rows.len(), rows.row_at(3), rows.range(0), rows.range(1)), (2, 1, 0..3, 3..7));
        rows.update("one two\nthree", [3].into_iter());
        assert_eq!((rows.range(rows.len() - 1).end, rows.row_of(4)), (13, Some(1)));
    }

    #[test]
    fn classes_cover_all_probabilities() {
        assert_eq!(
            [1.0, 0.9, 0.89, 0.2, 0.05, 0.0].map(|p| class(p).1),
            [CLASSES[0].1, CLASSES[0].1, CLASSES[1].1, CLASSES[2].1, CLASSES[3].1, CLASSES[4].1]
        );
    }
}
