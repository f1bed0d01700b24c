//! Running text with emphasis, code, strikes and links: spans in, one laid-out block out.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Color32, CursorIcon, FontId, Label, Rect, Response, Role, Sense, Stroke, Ui, WidgetInfo, pos2};

use crate::ui::theme::{self, BODY_LINE_HEIGHT, Palette};

/// How a span looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanStyle {
    /// Semibold.
    pub bold: bool,
    /// Slanted.
    pub italic: bool,
    /// Mono on a raised surface.
    pub code: bool,
    /// Struck through.
    pub strike: bool,
    /// Can be followed: accent, underlined under the pointer.
    pub link: bool,
}

/// A run of text of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// The words.
    pub text: &'a str,
    /// How they look.
    pub style: SpanStyle,
}

impl<'a> Span<'a> {
    /// Plain words.
    pub fn plain(text: &'a str) -> Self {
        Self { text, style: SpanStyle::default() }
    }

    /// Semibold words.
    pub fn bold(text: &'a str) -> Self {
        Self { text, style: SpanStyle { bold: true, ..SpanStyle::default() } }
    }

    /// Words that can be followed.
    pub fn link(text: &'a str) -> Self {
        Self { text, style: SpanStyle { link: true, ..SpanStyle::default() } }
    }

    /// A piece of code.
    pub fn code(text: &'a str) -> Self {
        Self { text, style: SpanStyle { code: true, ..SpanStyle::default() } }
    }
}

/// What [`rich_text`] painted and what was pressed in it.
pub struct RichTextResponse {
    /// The whole block.
    pub response: Response,
    /// Index of the span of the link that was followed.
    pub followed: Option<usize>,
}

/// The layout of `spans` at `size` points, wrapped at `width` points.
pub fn layout_spans(palette: &Palette, spans: &[Span<'_>], size: f32, width: f32) -> LayoutJob {
    let scale = size / theme::body().size;
    let line_height = Some((BODY_LINE_HEIGHT * scale).round());
    let mut job = LayoutJob { wrap: TextWrapping::wrap_at_width(width), ..LayoutJob::default() };
    for span in spans {
        let style = span.style;
        let (font, ink, background) = match style {
            SpanStyle { code: true, .. } => (theme::text_at(size, true), palette.text, palette.raised),
            SpanStyle { bold: true, .. } => (FontId::new(size, theme::semibold()), palette.text, Color32::TRANSPARENT),
            _ => (theme::text_at(size, false), palette.text, Color32::TRANSPARENT),
        };
        let ink = if style.link { palette.accent } else { ink };
        job.append(
            span.text,
            0.0,
            TextFormat {
                line_height,
                background,
                expand_bg: if style.code { 1.0 } else { 0.0 },
                italics: style.italic,
                strikethrough: if style.strike { Stroke::new(1.0, palette.muted) } else { Stroke::NONE },
                valign: egui::Align::Center,
                ..TextFormat::simple(font, ink)
            },
        );
    }
    job
}

/// Paints `spans` at `size` points over the available width. The text can be selected, links can be followed by pointer and keyboard.
pub fn rich_text(ui: &mut Ui, spans: &[Span<'_>], size: f32) -> RichTextResponse {
    let palette = theme::palette(ui);
    let job = layout_spans(palette, spans, size, ui.available_width());
    let has_links = spans.iter().any(|span| span.style.link);
    let (at, galley, response) = Label::new(job).selectable(true).wrap().layout_in_ui(ui);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), galley.text()));
    let mut followed = None;
    if ui.is_rect_visible(response.rect) {
        let cloned = galley.clone();
        egui::text_selection::LabelSelectionState::label_text_selection(ui, &response, at, cloned, palette.text, Stroke::NONE);
    }
    if has_links {
        let mut start = 0;
        for (index, span) in spans.iter().enumerate() {
            let end = start + span.text.chars().count();
            if span.style.link && link(ui, &response, &link_rects(&galley, start, end, at), span.text, index) {
                followed = Some(index);
            }
            start = end;
        }
    }
    RichTextResponse { response, followed }
}

/// The boxes of the characters `start..end`, one for each row they stand on.
fn link_rects(galley: &egui::Galley, start: usize, end: usize, at: egui::Pos2) -> Vec<Rect> {
    let mut rects = Vec::new();
    let mut first = 0;
    for row in &galley.rows {
        let count = row.glyphs.len();
        let from = start.saturating_sub(first).min(count);
        let to = end.saturating_sub(first).min(count);
        if let (Some(left), Some(right)) = (row.glyphs.get(from), to.checked_sub(1).and_then(|last| row.glyphs.get(last)))
            && from < to
        {
            let (left, right) = (row.pos.x + left.pos.x, row.pos.x + right.max_x());
            let rect = row.rect();
            rects.push(Rect::from_min_max(pos2(left, rect.top()), pos2(right, rect.bottom())).translate(at.to_vec2()));
        }
        first += count + usize::from(row.ends_with_newline);
    }
    rects
}

fn link(ui: &Ui, block: &Response, rects: &[Rect], words: &str, index: usize) -> bool {
    let palette = theme::palette(ui);
    let mut followed = false;
    for (row, rect) in rects.iter().enumerate() {
        // the first row of a link takes the keyboard focus for all of it
        let sense = if row == 0 { Sense::click() } else { Sense::CLICK };
        let response = ui.interact(*rect, block.id.with(("link", index, row)), sense);
        if row == 0 {
            response.widget_info(|| WidgetInfo::labeled(Role::Link, ui.is_enabled(), words));
        }
        if response.hovered() || response.has_focus() {
            ui.painter().hline(rect.x_range(), rect.bottom() - 3.0, Stroke::new(1.0, palette.accent));
        }
        followed |= response.on_hover_cursor(CursorIcon::PointingHand).clicked();
    }
    followed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::DARK;

    #[test]
    fn spans_keep_their_text_and_style() {
        let spans = [Span::bold("One."), Span::plain(" Two "), Span::code("three"), Span::link("four")];
        let job = layout_spans(&DARK, &spans, 14.0, 300.0);
        assert_eq!(job.text, "One. Two threefour");
        assert_eq!(job.sections.len(), 4);
        assert_eq!(job.sections[0].format.font_id.family, theme::semibold());
        assert_eq!(job.sections[2].format.background, DARK.raised);
        assert_eq!(job.sections[3].format.color, DARK.accent);
        assert_eq!(job.wrap.max_width, 300.0);
    }

    #[test]
    fn a_link_that_wraps_has_a_box_on_each_row() {
        let ctx = egui::Context::default();
        theme::install(&ctx);
        let output = ctx.run_ui(egui::RawInput::default(), |ui| {
            let spans = [Span::plain("Before "), Span::link("a link that is long enough to wrap"), Span::plain(" after")];
            let galley = ui.painter().layout_job(layout_spans(&DARK, &spans, 14.0, 120.0));
            let rects = link_rects(&galley, 7, 41, egui::Pos2::ZERO);
            assert!(rects.len() >= 2, "{} rows", galley.rows.len());
            assert!(rects[0].left() > 20.0 && rects[1].left() < 1.0);
            assert!(rects.iter().all(|rect| rect.width() > 0.0));
            assert!(link_rects(&galley, 0, 0, egui::Pos2::ZERO).is_empty());
        });
        output.drop_without_applying_deltas();
    }
}
