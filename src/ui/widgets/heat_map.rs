//! A text whose tokens are tinted by how far they stray: only the rows in view are laid out.
//!
//! Strength of one hue carries the level, so it reads the same to every kind of colour vision; the two worst levels are underlined as well,
//! thin and thick, and what is a gain is dashed instead of solid.

mod pieces;

use egui::{
    Color32, EventFilter, Galley, Id, Key, Rect, Response, Role, ScrollArea, Sense, Shape, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2,
};
use std::sync::Arc;

use self::pieces::{Layout, Piece};
use crate::ui::theme::{self, Palette};

/// Distance between two rows, points.
pub const ROW_HEIGHT: f32 = 26.0;
/// Levels of tint above none.
pub const LEVELS: u8 = 4;

/// How a token is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tint {
    /// 0 (not tinted) to [`LEVELS`]
    pub level: u8,
    /// Better than what it is compared with, not worse
    pub is_gain: bool,
}

/// What is shown in this frame.
#[derive(Clone, Copy, Debug)]
pub struct HeatSpec<'a> {
    /// Changes whenever the text or its tokens do
    pub revision: u64,
    /// What it is, for those who do not see it
    pub name: &'a str,
    /// The text
    pub text: &'a str,
    /// Where each token ends, bytes. An end inside a character joins the token to the next
    pub ends: &'a [u32],
    /// The token that is picked
    pub selected: Option<usize>,
    /// Brings the picked token into view
    pub reveal: bool,
    /// Height of the view, points
    pub height: f32,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeatOutput {
    /// Tokens under the pointer: one, or those that share a character
    pub hovered: Option<std::ops::Range<usize>>,
    /// Tokens that were clicked
    pub clicked: Option<std::ops::Range<usize>>,
    /// By keys: -1 for the scored token before, 1 for the one after
    pub step: i32,
    /// Rows that were laid out
    pub laid_out: usize,
    /// All rows
    pub rows: usize,
}

/// The lasting part: where rows break. Keep it with the view.
#[derive(Clone, Debug, Default)]
pub struct HeatMap {
    layout: Layout,
}

/// A piece where it was painted.
struct Placed {
    rect: Rect,
    piece: usize,
}

impl HeatMap {
    /// Paints the text. `tint` says how a token is shown, `None` for one that was not scored.
    pub fn show(&mut self, ui: &mut Ui, spec: HeatSpec<'_>, tint: impl Fn(usize) -> Option<Tint>) -> HeatOutput {
        let width = ui.available_width() - 12.0;
        self.layout.prepare(ui, spec.revision, spec.text, spec.ends, width);
        let rows = self.layout.rows().len();
        let mut output = HeatOutput { rows, ..HeatOutput::default() };
        let id = ui.make_persistent_id("heat map");
        let mut area = ScrollArea::vertical().id_salt("heat rows").max_height(spec.height).min_scrolled_height(spec.height);
        area = area.auto_shrink([false, false]).content_margin(egui::Margin::ZERO);
        if let Some(row) = spec.selected.filter(|_| spec.reveal).and_then(|token| self.layout.row_of(token))
            && !in_view(ui, id, row, spec.height)
        {
            area = area.vertical_scroll_offset((row as f32 * ROW_HEIGHT - spec.height / 2.0).max(0.0));
        }
        let shown = area.show_viewport(ui, |ui, viewport| {
            let size = vec2(ui.available_width(), rows as f32 * ROW_HEIGHT);
            let origin = ui.max_rect().min;
            ui.expand_to_include_rect(Rect::from_min_size(origin, size));
            let visible = Rect::from_min_size(origin + vec2(0.0, viewport.top()), vec2(size.x, spec.height));
            let response = ui.interact(visible, id, Sense::click());
            let first = (viewport.top() / ROW_HEIGHT).floor().max(0.0) as usize;
            let last = ((viewport.bottom() / ROW_HEIGHT).ceil() as usize).min(rows);
            output.laid_out = last.saturating_sub(first);
            let placed = self.paint(ui, spec, first..last, origin, &tint);
            self.point(ui, spec, &response, &placed, &mut output);
            if response.has_focus() {
                output.step = keys(ui, id);
            }
            response
        });
        ui.data_mut(|data| data.insert_temp(id, shown.state.clamped_offset().y));
        describe(&shown.inner, spec);
        if shown.inner.has_focus() {
            let palette = theme::palette(ui);
            let stroke = Stroke::new(palette.border_width(), palette.accent);
            ui.painter().rect_stroke(shown.inner_rect.expand(4.0), 6.0, stroke, StrokeKind::Outside);
        }
        output
    }

    fn paint(
        &self,
        ui: &Ui,
        spec: HeatSpec<'_>,
        rows: std::ops::Range<usize>,
        origin: egui::Pos2,
        tint: &impl Fn(usize) -> Option<Tint>,
    ) -> Vec<Placed> {
        let palette = theme::palette(ui);
        let mut placed = Vec::new();
        for row in rows {
            let Some(range) = self.layout.rows().get(row) else { break };
            let pieces = self.layout.pieces().get(range.clone()).unwrap_or_default();
            let tints: Vec<Option<Tint>> = pieces.iter().map(|piece| piece.tokens().filter_map(tint).max()).collect();
            let (galley, edges) = self.row(ui, spec.text, range.start, pieces, &tints, palette);
            let top = origin.y + row as f32 * ROW_HEIGHT;
            let baseline_top = top + (ROW_HEIGHT - galley.size().y) / 2.0;
            let left = origin.x + 4.0;
            for (index, (piece, edge)) in pieces.iter().zip(&edges).enumerate() {
                let ends_word = pieces.get(index + 1).is_none_or(|next| next.starts_word());
                let grow = |is_edge: bool| if is_edge { 2.0 } else { 0.0 };
                let rect = Rect::from_min_max(
                    pos2(left + edge[0] - grow(piece.starts_word() || index == 0), top + 3.0),
                    pos2(left + edge[1] + grow(ends_word), top + ROW_HEIGHT - 3.0),
                );
                if let Some(tint) = tints.get(index).copied().flatten() {
                    paint_tint(ui.painter(), rect, tint, palette);
                }
                if spec.selected.is_some_and(|token| piece.tokens().contains(&token)) {
                    ui.painter().rect_stroke(rect.expand(1.0), 4.0, Stroke::new(1.5, palette.accent), StrokeKind::Outside);
                }
                placed.push(Placed { rect, piece: range.start + index });
            }
            ui.painter().galley(pos2(left, baseline_top), galley, palette.text);
        }
        placed
    }

    /// The galley of a row, and where each piece begins and ends in it, without the space before it.
    fn row(
        &self,
        ui: &Ui,
        text: &str,
        first: usize,
        pieces: &[Piece],
        tints: &[Option<Tint>],
        palette: &Palette,
    ) -> (Arc<Galley>, Vec<[f32; 2]>) {
        let mut job = egui::text::LayoutJob { wrap: egui::text::TextWrapping::no_max_width(), ..Default::default() };
        let mut chars = 0;
        let mut at = Vec::with_capacity(pieces.len());
        let mut words = String::new();
        // pieces of one colour are one section: fewer to lay out
        let (mut run, mut run_color) = (String::new(), palette.text);
        for (index, (piece, tint)) in pieces.iter().zip(tints).enumerate() {
            words.clear();
            piece.write(text, index == 0 && !self.layout.keeps_indent(first), &mut words);
            let color = if tint.is_some() { palette.text } else { palette.muted };
            if color != run_color {
                job.append(&run, 0.0, egui::TextFormat::simple(theme::body(), run_color));
                run.clear();
                run_color = color;
            }
            run.push_str(&words);
            let space = words.chars().take_while(|c| *c == ' ').count();
            let count = words.chars().count();
            at.push((chars + if space < count { space } else { 0 }, chars + count));
            chars += count;
        }
        job.append(&run, 0.0, egui::TextFormat::simple(theme::body(), run_color));
        let galley = ui.painter().layout_job(job);
        let offset = |column: usize| galley.rows.first().map_or(0.0, |row| row.x_offset(egui::text::CharIndex(column)));
        let edges = at.into_iter().map(|(from, to)| [offset(from), offset(to)]).collect();
        (galley, edges)
    }

    fn point(&self, ui: &Ui, spec: HeatSpec<'_>, response: &Response, placed: &[Placed], output: &mut HeatOutput) {
        let Some(pointer) = response.hover_pos() else { return };
        let reach = |rect: Rect| rect.expand2(vec2(2.0, 3.0));
        let Some(found) = placed.iter().find(|placed| reach(placed.rect).contains(pointer)) else { return };
        let Some(piece) = self.layout.pieces().get(found.piece) else { return };
        let palette = theme::palette(ui);
        if spec.selected.is_none_or(|token| !piece.tokens().contains(&token)) {
            ui.painter().rect_stroke(found.rect.expand(1.0), 4.0, Stroke::new(1.0, palette.muted), StrokeKind::Outside);
        }
        output.hovered = Some(piece.tokens());
        if response.clicked() {
            response.request_focus();
            output.clicked = Some(piece.tokens());
        }
    }
}

/// Whether a row was in view in the last frame.
fn in_view(ui: &Ui, id: Id, row: usize, height: f32) -> bool {
    let Some(offset) = ui.data(|data| data.get_temp::<f32>(id)) else { return false };
    let top = row as f32 * ROW_HEIGHT;
    top >= offset && top + ROW_HEIGHT <= offset + height
}

/// What the arrow keys ask for. They stay here while the text has the focus.
fn keys(ui: &Ui, id: Id) -> i32 {
    ui.memory_mut(|memory| {
        memory.set_focus_lock_filter(id, EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() });
    });
    ui.input_mut(|input| {
        let mut pressed = |key: Key| input.count_and_consume_key(egui::Modifiers::NONE, key) as i32;
        pressed(Key::ArrowRight) - pressed(Key::ArrowLeft)
    })
}

fn describe(response: &Response, spec: HeatSpec<'_>) {
    response.widget_info(|| {
        let picked = spec.selected.map_or_else(String::new, |token| {
            let end = |token: usize| spec.ends.get(token).map_or(0, |end| *end as usize);
            let word = spec.text.get(token.checked_sub(1).map_or(0, end)..end(token)).unwrap_or_default().trim();
            format!(", token {token} “{word}”")
        });
        WidgetInfo::labeled(Role::Image, true, format!("{}{picked}", spec.name))
    });
}

/// The surface of a level.
pub fn tint_color(palette: &Palette, tint: Tint) -> Color32 {
    let hue = if tint.is_gain { palette.data[0] } else { palette.limit };
    let strengths: [f32; LEVELS as usize + 1] = match (palette.is_dark(), palette.border_width() > 1.0) {
        (true, true) => [0.0, 0.12, 0.22, 0.32, 0.42],
        (true, false) => [0.0, 0.14, 0.3, 0.46, 0.62],
        (false, _) => [0.0, 0.1, 0.22, 0.36, 0.5],
    };
    theme::on_surface(palette.panel, hue, strengths.get(usize::from(tint.level)).copied().unwrap_or(0.0))
}

/// Paints the surface of a level with its underline.
pub fn paint_tint(painter: &egui::Painter, rect: Rect, tint: Tint, palette: &Palette) {
    if tint.level == 0 {
        return;
    }
    painter.rect_filled(rect, 3.0, tint_color(palette, tint));
    let hue = if tint.is_gain { palette.data[0] } else { palette.limit };
    let thickness = match tint.level {
        0..=2 => return,
        3 => 1.0,
        _ => 2.5,
    };
    let y = rect.bottom() - thickness / 2.0;
    let stroke = Stroke::new(thickness, hue);
    if tint.is_gain {
        let line = [pos2(rect.left() + 1.0, y), pos2(rect.right() - 1.0, y)];
        painter.extend(Shape::dashed_line(&line, stroke, 3.0, 2.0));
    } else {
        painter.hline(rect.left() + 1.0..=rect.right() - 1.0, y, stroke);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::{DARK, HIGH_CONTRAST, LIGHT, contrast};

    #[test]
    fn type_stays_readable_on_every_level_and_levels_differ_in_lightness() {
        for (palette, least) in [(&DARK, 4.5), (&LIGHT, 4.5), (&HIGH_CONTRAST, 7.0)] {
            for is_gain in [false, true] {
                let mut before = 1.0;
                for level in 0..=LEVELS {
                    let surface = tint_color(palette, Tint { level, is_gain });
                    let ratio = contrast(palette.text, surface);
                    assert!(ratio >= least, "level {level}, gain {is_gain}: {ratio:.2} on {surface:?}");
                    // what differs in lightness differs for every kind of colour vision
                    let apart = contrast(surface, palette.panel);
                    assert!(apart >= before, "level {level} is no stronger than the one before");
                    assert!(
                        level == 0 || apart > before * 1.05,
                        "level {level} cannot be told from the one before: {apart:.2} {before:.2}"
                    );
                    before = apart;
                }
            }
        }
    }
}
