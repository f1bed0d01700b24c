//! What a frame painted: each piece of text with its colour and the colour under it.

use egui::epaint::{ClippedShape, Shape, TextShape};
use egui::{Color32, Pos2, Rect};
use egui_kittest::Harness;

use super::Window;

/// A piece of text of one colour.
pub struct Text {
    pub words: String,
    pub ink: Color32,
    /// What is under its first letter
    pub surface: Color32,
}

/// Every piece of text that the last frame painted over a window of colour `page`, but those of controls that cannot be used now.
pub fn texts(harness: &Harness<'static, Window>, page: Color32) -> Vec<Text> {
    let disabled: Vec<Rect> = harness.ctx.viewport(|viewport| {
        let widgets = viewport.prev_pass.widgets.layers().flat_map(|(_, widgets)| widgets);
        widgets.filter(|widget| !widget.enabled && widget.rect.is_positive()).map(|widget| widget.rect).collect()
    });
    let mut painter = Painter { page, filled: Vec::new(), texts: Vec::new() };
    for ClippedShape { clip_rect, shape, .. } in &harness.output().shapes {
        painter.take(*clip_rect, shape, &disabled);
    }
    painter.texts
}

struct Painter {
    page: Color32,
    /// What was filled so far, in the order it was painted
    filled: Vec<(Rect, Color32)>,
    texts: Vec<Text>,
}

impl Painter {
    fn take(&mut self, clip: Rect, shape: &Shape, disabled: &[Rect]) {
        match shape {
            Shape::Vec(shapes) => shapes.iter().for_each(|shape| self.take(clip, shape, disabled)),
            Shape::Rect(rect) if rect.fill != Color32::TRANSPARENT => self.filled.push((rect.rect.intersect(clip), rect.fill)),
            Shape::Circle(circle) => {
                let inside = Rect::from_center_size(circle.center, egui::Vec2::splat(circle.radius * 1.4));
                self.filled.push((inside.intersect(clip), circle.fill));
            }
            Shape::Text(text) => self.read(clip, text, disabled),
            _ => {}
        }
    }

    fn under(&self, at: Pos2) -> Color32 {
        self.filled.iter().filter(|(rect, _)| rect.contains(at)).fold(self.page, |below, (_, fill)| below.blend(*fill))
    }

    fn read(&mut self, clip: Rect, text: &TextShape, disabled: &[Rect]) {
        let galley = &text.galley;
        for (section, first) in galley.job.sections.iter().zip(first_letters(text)) {
            let Some(at) = first else { continue };
            let ink = match text.override_text_color {
                Some(color) => color,
                None if section.format.color == Color32::PLACEHOLDER => text.fallback_color,
                None => section.format.color,
            };
            let ink = ink.gamma_multiply(text.opacity_factor);
            if ink.a() == 0 || !clip.contains(at) || disabled.iter().any(|rect| rect.contains(at)) {
                continue;
            }
            let surface = self.under(at).blend(section.format.background);
            self.texts.push(Text { words: galley.text().chars().take(60).collect(), ink: surface.blend(ink), surface });
        }
    }
}

/// Where the first letter of each section stands; none where a section has no letter that is painted.
fn first_letters(text: &TextShape) -> Vec<Option<Pos2>> {
    let sections = &text.galley.job.sections;
    let mut found = vec![None; sections.len()];
    let mut byte = 0;
    for row in &text.galley.rows {
        for glyph in &row.glyphs {
            let at = text.pos + row.pos.to_vec2() + glyph.logical_rect().center().to_vec2();
            let section = sections.iter().position(|section| section.byte_range.start.0 <= byte && byte < section.byte_range.end.0);
            if let Some(first) = section.and_then(|index| found.get_mut(index)).filter(|_| !glyph.chr.is_whitespace()) {
                first.get_or_insert(at);
            }
            byte += glyph.chr.len_utf8();
        }
        byte += usize::from(row.ends_with_newline);
    }
    found
}
