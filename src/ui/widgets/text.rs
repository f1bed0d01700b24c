//! Type on the surface: labels of each role, and galleys for widgets that paint themselves.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Color32, FontId, Galley, Label, Response, RichText, Ui};

use crate::ui::theme::{self, Palette};

/// What a coloured piece of type or surface means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Neutral,
    /// Running, selected.
    Accent,
    /// An event or a warning.
    Event,
    /// A limit or an error.
    Limit,
    /// Trusted, within the limits.
    Good,
}

impl Tone {
    /// The ink of the tone.
    pub fn ink(self, palette: &Palette) -> Color32 {
        match self {
            Self::Neutral => palette.muted,
            Self::Accent => palette.accent,
            Self::Event => palette.event,
            Self::Limit => palette.limit,
            Self::Good => palette.good,
        }
    }

    /// A surface that carries the tone.
    pub fn surface(self, palette: &Palette) -> Color32 {
        match self {
            Self::Neutral => palette.raised,
            Self::Accent | Self::Good => palette.accent_tint,
            Self::Event => palette.event_tint,
            Self::Limit => palette.limit_tint,
        }
    }
}

/// Text of any font and colour; cut with an ellipsis where the room ends.
pub fn label(ui: &mut Ui, text: impl Into<String>, font: FontId, color: Color32) -> Response {
    ui.add(Label::new(RichText::new(text).font(font).color(color)).truncate())
}

/// 14, running text, wrapped.
pub fn body(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui).text;
    wrapped(ui, text, theme::body(), color)
}

/// 12, muted: labels, second lines.
pub fn muted(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui).muted;
    label(ui, text, theme::small(), color)
}

/// Mono, for names and numbers.
pub fn mono(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui).text;
    label(ui, text, theme::mono(), color)
}

/// 18, semibold: the title of a card.
pub fn title(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui).text;
    label(ui, text, theme::title(), color)
}

/// 22, semibold: the question a page answers.
pub fn page_title(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = theme::palette(ui).text;
    label(ui, text, theme::page_title(), color)
}

/// Text of any font and colour that wraps at the available width.
pub fn wrapped(ui: &mut Ui, text: impl Into<String>, font: FontId, color: Color32) -> Response {
    let line_height = if font.size == theme::body().size { theme::BODY_LINE_HEIGHT } else { (font.size * 1.4).round() };
    let format = TextFormat { line_height: Some(line_height), ..TextFormat::simple(font, color) };
    let mut job = LayoutJob::single_section(text.into(), format);
    job.wrap = TextWrapping::wrap_at_width(ui.available_width());
    ui.add(Label::new(job).wrap())
}

/// A single line no wider than `max_width` points, cut with an ellipsis.
pub fn elided(ui: &Ui, text: &str, font: FontId, color: Color32, max_width: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, color);
    job.wrap = TextWrapping::truncate_at_width(max_width.max(0.0));
    ui.painter().layout_job(job)
}

/// Where the first line of a galley stands, in points from its top; lets two sizes share a baseline.
pub(super) fn baseline(galley: &Galley) -> f32 {
    galley.rows.first().map_or(0.0, |row| row.pos.y + row.glyphs.first().map_or(row.size.y, |glyph| glyph.pos.y))
}
