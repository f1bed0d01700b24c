//! Text as it is laid out: what has no shape of its own is shown as a mark, what is stored and sent stays as it is.

use std::borrow::Cow;

use egui::Color32;
use egui::text::{LayoutJob, TextFormat, TextWrapping};

use crate::ui::theme::{self, BODY_LINE_HEIGHT};

/// `text` with its control characters, bidirectional overrides and invisible characters as visible marks.
pub fn display(text: &str) -> Cow<'_, str> {
    crate::ui::transcript::visible(text)
}

/// Running text of one colour, wrapped at `width` points.
pub fn body_job(text: &str, color: Color32, width: f32) -> LayoutJob {
    let format = TextFormat { line_height: Some(BODY_LINE_HEIGHT), ..TextFormat::simple(theme::body(), color) };
    let mut job = LayoutJob::single_section(text.to_owned(), format);
    job.wrap = TextWrapping::wrap_at_width(width);
    job
}

/// Text in mono, wrapped at `width` points.
pub fn mono_job(text: &str, color: Color32, width: f32) -> LayoutJob {
    let format = TextFormat { line_height: Some(18.0), ..TextFormat::simple(theme::mono_small(), color) };
    let mut job = LayoutJob::single_section(text.to_owned(), format);
    job.wrap = TextWrapping::wrap_at_width(width);
    job
}
