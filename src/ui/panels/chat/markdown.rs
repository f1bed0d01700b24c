//! How a row of a reply is painted.

use egui::{Align2, CornerRadius, Frame, Label, Layout, Margin, OpenUrl, Rect, Sense, Stroke, Ui, UiBuilder, pos2, vec2};

use super::reply::{Cut, Reply};
use crate::ui::plain_text;
use crate::ui::theme::{self, Palette};
use crate::ui::transcript::{Align, Block, BlockKind, Body, Piece, Span, is_web_link};
use crate::ui::widgets::{self, Icon, SpanStyle, code_block, ghost_button, layout_spans, muted, rich_text};

/// Size of running text, points.
const BODY: f32 = 14.0;
/// Indent of a list in a list, points.
const INDENT: f32 = 22.0;
/// Space after a block, points.
const AFTER: f32 = 10.0;

/// Paints a row. `has_cursor` puts the block that stands for the next word behind it.
pub fn row(ui: &mut Ui, reply: &Reply, text: &str, index: usize, has_cursor: bool, salt: u64) {
    let Some((part, block)) = reply.get(index) else { return };
    ui.spacing_mut().item_spacing.y = 4.0;
    let end = match part.cut {
        Cut::Plain(from, to) => Some(plain(ui, text.get(from..to).unwrap_or_default())),
        Cut::Slice(from, to) => paint(ui, &reply.slice(text, part.block, from..to), has_cursor, (salt, index)),
        Cut::Styled(from, to, is_last) => {
            let pieces = reply.slice(text, part.block, from..to);
            match pieces.first().filter(|_| !is_last) {
                // the paragraph goes on in the next row
                Some(piece) => paint_piece(ui, piece, has_cursor, ((salt, index), 0)),
                None => paint(ui, &pieces, has_cursor, (salt, index)),
            }
        }
        Cut::Code(from, to, is_first, is_last) => {
            code_lines(ui, block, text, (from, to), (is_first, is_last));
            None
        }
        Cut::Whole if matches!(block.kind, BlockKind::Code { .. }) => {
            whole_code(ui, block, text, (salt, part.block));
            ui.add_space(AFTER);
            None
        }
        Cut::Whole => paint(ui, &reply.pieces(text, part.block, block), has_cursor, (salt, index)),
        Cut::Group(from, to) => {
            let all = reply.pieces(text, part.block, block);
            paint(ui, all.get(from..to.min(all.len())).unwrap_or_default(), has_cursor, (salt, index))
        }
    };
    if has_cursor {
        let at = end.unwrap_or_else(|| ui.min_rect().left_bottom() - vec2(0.0, AFTER));
        cursor(ui, at);
    }
}

/// The block that stands where the next word will.
fn cursor(ui: &Ui, at: egui::Pos2) {
    let rect = Align2::LEFT_BOTTOM.anchor_size(at + vec2(3.0, -2.0), vec2(8.0, 16.0));
    ui.painter().rect_filled(rect, 1.0, theme::palette(ui).accent);
}

/// Text as it was written. Says where it ends.
fn plain(ui: &mut Ui, text: &str) -> egui::Pos2 {
    let palette = theme::palette(ui);
    let words = plain_text::display(text.strip_suffix('\n').unwrap_or(text));
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(plain_text::body_job(&words, palette.text, ui.available_width())));
    let last = last_corner(&galley);
    let response = ui.add(Label::new(galley).selectable(true));
    response.rect.min + last
}

/// Where the last row of a galley ends, from its upper left corner.
fn last_corner(galley: &egui::Galley) -> egui::Vec2 {
    galley.rows.last().map_or(egui::Vec2::ZERO, |row| row.rect().right_bottom().to_vec2())
}

fn paint(ui: &mut Ui, pieces: &[Piece], has_cursor: bool, salt: (u64, usize)) -> Option<egui::Pos2> {
    let mut end = None;
    for (index, piece) in pieces.iter().enumerate() {
        let is_last = index + 1 == pieces.len();
        end = paint_piece(ui, piece, has_cursor && is_last, (salt, index));
        let is_item = piece.marker.is_some() || piece.indent > 0;
        let goes_on = !is_last && is_item && pieces.get(index + 1).is_some_and(|next| next.indent > 0 || next.marker.is_some());
        ui.add_space(if goes_on { 0.0 } else { AFTER - 4.0 });
    }
    end
}

fn paint_piece(ui: &mut Ui, piece: &Piece, has_cursor: bool, salt: ((u64, usize), usize)) -> Option<egui::Pos2> {
    let palette = theme::palette(ui);
    let room = ui.available_rect_before_wrap();
    let quotes = 14.0 * piece.quotes.min(8) as f32;
    let left = (room.left() + quotes + INDENT * piece.indent as f32).min(room.right() - 80.0);
    let rect = Rect::from_min_max(pos2(left, room.top()), room.right_bottom());
    let inner = ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| {
        let top = ui.cursor().min;
        if let Some(done) = piece.task {
            task(ui, top, done);
        } else if let Some(marker) = &piece.marker {
            let right = pos2(top.x - 7.0, top.y + theme::BODY_LINE_HEIGHT / 2.0);
            ui.painter().text(right, Align2::RIGHT_CENTER, marker, theme::body(), palette.muted);
        }
        body(ui, &piece.body, has_cursor, salt)
    });
    for quote in 0..piece.quotes.min(8) {
        let x = room.left() + 14.0 * quote as f32;
        let bar = Rect::from_x_y_ranges(x..=x + 3.0, inner.response.rect.y_range());
        ui.painter().rect_filled(bar, 1.5, palette.hairline);
    }
    inner.inner
}

/// The box of a task, where its marker would stand.
fn task(ui: &Ui, at: egui::Pos2, done: bool) {
    let palette = theme::palette(ui);
    let rect = Rect::from_center_size(pos2(at.x - 13.0, at.y + theme::BODY_LINE_HEIGHT / 2.0), vec2(13.0, 13.0));
    ui.painter().rect_stroke(rect, 3.0, Stroke::new(1.0, palette.faint), egui::StrokeKind::Inside);
    if done {
        widgets::paint_icon(ui.painter(), Icon::Check, rect.shrink(1.0), palette.accent);
    }
}

fn body(ui: &mut Ui, body: &Body, has_cursor: bool, salt: ((u64, usize), usize)) -> Option<egui::Pos2> {
    match body {
        Body::Text(spans) => Some(words(ui, spans, BODY, false, has_cursor)),
        Body::Heading(level, spans) => {
            let size = match level {
                1 => 20.0,
                2 => 18.0,
                3 => 16.0,
                _ => BODY,
            };
            ui.add_space(if *level <= 2 { 6.0 } else { 2.0 });
            Some(words(ui, spans, size, true, has_cursor))
        }
        Body::Code { language, text } => {
            if code_block(ui, &plain_text::display(language), &plain_text::display(text), salt) {
                ui.copy_text(text.clone());
            }
            None
        }
        Body::Table { columns, rows } => {
            table(ui, columns, rows);
            None
        }
        Body::Rule => {
            ui.add_space(6.0);
            widgets::hairline(ui);
            None
        }
    }
}

fn style(span: &Span, bold: bool) -> SpanStyle {
    let style = span.style;
    let is_link = span.link.as_deref().is_some_and(is_web_link);
    SpanStyle { bold: style.bold || bold, italic: style.italic, code: style.code, strike: style.strike, link: is_link }
}

fn spans(spans: &[Span], bold: bool) -> Vec<widgets::Span<'_>> {
    spans.iter().map(|span| widgets::Span { text: &span.text, style: style(span, bold) }).collect()
}

/// Running text. A link says where it leads before it is followed. Gives the place behind the last word.
fn words(ui: &mut Ui, text: &[Span], size: f32, bold: bool, has_cursor: bool) -> egui::Pos2 {
    let shown = spans(text, bold);
    let width = ui.available_width();
    let painted = rich_text(ui, &shown, size);
    if let Some(address) = painted.followed.and_then(|index| text.get(index)).and_then(|span| span.link.as_deref()) {
        ui.open_url(OpenUrl::new_tab(address));
    }
    let links: Vec<&str> = text.iter().filter_map(|span| span.link.as_deref()).filter(|link| is_web_link(link)).collect();
    let rect = painted.response.rect;
    if !links.is_empty() {
        painted.response.on_hover_text(links.join("\n"));
    }
    if !has_cursor {
        return rect.right_bottom();
    }
    // the same layout again comes out of egui's cache
    let job = layout_spans(theme::palette(ui), &shown, size, width);
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    rect.min + last_corner(&galley)
}

/// Code short enough for one row; it scrolls sideways.
fn whole_code(ui: &mut Ui, block: &Block, text: &str, salt: (u64, usize)) {
    let BlockKind::Code { language, .. } = &block.kind else { return };
    let code = block.code(text);
    if code_block(ui, &plain_text::display(language), &plain_text::display(code), salt) {
        // what is copied is what was said, not how it is shown
        ui.copy_text(code.to_owned());
    }
}

/// Some lines of long code: the rows of one block join to one frame; lines wrap.
fn code_lines(ui: &mut Ui, block: &Block, text: &str, bytes: (usize, usize), (is_first, is_last): (bool, bool)) {
    let BlockKind::Code { language, continued, .. } = &block.kind else { return };
    let palette = theme::palette(ui);
    let code = block.code(text);
    let (top, bottom) = (if is_first && !continued { 8 } else { 0 }, if is_last { 8 } else { 0 });
    let corners = CornerRadius { nw: top, ne: top, sw: bottom, se: bottom };
    ui.spacing_mut().item_spacing.y = 0.0;
    Frame::new().fill(palette.panel).corner_radius(corners).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        if is_first {
            let head = Frame::new().fill(palette.raised).corner_radius(CornerRadius { nw: top, ne: top, sw: 0, se: 0 });
            head.inner_margin(Margin { left: 12, right: 4, top: 2, bottom: 2 }).show(ui, |ui| {
                ui.allocate_ui_with_layout(vec2(ui.available_width(), 26.0), Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui.add(ghost_button("Copy").icon(Icon::Copy).height(24.0)).clicked() {
                        ui.copy_text(code.to_owned());
                    }
                    ui.with_layout(Layout::left_to_right(egui::Align::Center), |ui| {
                        muted(ui, if language.is_empty() { "text".to_owned() } else { plain_text::display(language).into_owned() });
                    });
                });
            });
        }
        let margin = Margin { left: 12, right: 12, top: if is_first { 8 } else { 0 }, bottom: if is_last { 10 } else { 0 } };
        Frame::new().inner_margin(margin).show(ui, |ui| {
            let lines = code.get(bytes.0..bytes.1).unwrap_or_default();
            let words = plain_text::display(lines.strip_suffix('\n').unwrap_or(lines));
            let width = ui.available_width();
            ui.add(Label::new(plain_text::mono_job(&words, palette.text, width)).selectable(true));
        });
    });
    if is_last {
        ui.add_space(AFTER);
    }
}

/// A table: columns as wide as they need, or their share of the room.
fn table(ui: &mut Ui, columns: &[Align], rows: &[Vec<Vec<Span>>]) {
    let palette = theme::palette(ui);
    let room = ui.available_width();
    let widths = column_widths(ui, palette, columns.len(), rows, room);
    let total: f32 = widths.iter().sum();
    for (index, row) in rows.iter().enumerate() {
        let is_head = index == 0;
        let top = ui.available_rect_before_wrap().min;
        let mut x = top.x;
        let mut height = 0.0_f32;
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map(Vec::as_slice).unwrap_or_default();
            let rect = Rect::from_min_size(pos2(x + 8.0, top.y + 6.0), vec2((width - 16.0).max(8.0), f32::INFINITY));
            let align = match columns.get(column).copied().unwrap_or_default() {
                Align::Left => egui::Align::Min,
                Align::Center => egui::Align::Center,
                Align::Right => egui::Align::Max,
            };
            let mut child = ui.new_child(UiBuilder::new().id_salt(("cell", index, column)).max_rect(rect).layout(Layout::top_down(align)));
            rich_text(&mut child, &spans(cell, is_head), 13.0);
            height = height.max(child.min_rect().height());
            x += width;
        }
        let (rect, _) = ui.allocate_exact_size(vec2(total, height + 12.0), Sense::hover());
        let line = if is_head { palette.faint } else { palette.hairline };
        ui.painter().hline(rect.x_range(), rect.bottom(), Stroke::new(1.0, line));
        ui.add_space(-ui.spacing().item_spacing.y);
    }
    ui.add_space(ui.spacing().item_spacing.y);
}

/// Rows that are looked at for the widths of the columns.
const MEASURED_ROWS: usize = 40;

fn column_widths(ui: &Ui, palette: &Palette, count: usize, rows: &[Vec<Vec<Span>>], room: f32) -> Vec<f32> {
    let mut widths = vec![40.0_f32; count];
    for (index, row) in rows.iter().take(MEASURED_ROWS).enumerate() {
        for (width, cell) in widths.iter_mut().zip(row) {
            let job = layout_spans(palette, &spans(cell, index == 0), 13.0, f32::INFINITY);
            *width = width.max(ui.fonts_mut(|fonts| fonts.layout_job(job)).size().x + 18.0);
        }
    }
    share(&mut widths, room);
    widths
}

/// Shrinks widths to the room: the narrow ones keep theirs, the others share the rest.
fn share(widths: &mut [f32], room: f32) {
    let total: f32 = widths.iter().sum();
    if total <= room || widths.is_empty() {
        return;
    }
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by(|a, b| widths.get(*a).copied().unwrap_or_default().total_cmp(&widths.get(*b).copied().unwrap_or_default()));
    let mut left = room;
    for (done, index) in order.iter().enumerate() {
        let fair = left / (order.len() - done) as f32;
        if let Some(width) = widths.get_mut(*index) {
            *width = width.min(fair);
            left -= *width;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_columns_share_what_narrow_ones_leave() {
        let mut widths = [50.0, 400.0, 900.0];
        share(&mut widths, 650.0);
        assert_eq!(widths, [50.0, 300.0, 300.0]);
        let mut fits = [50.0, 60.0];
        share(&mut fits, 650.0);
        assert_eq!(fits, [50.0, 60.0]);
    }
}
