//! A block of code in a reply: mono on a raised surface, its language, and a copy button.

use egui::{Align, Frame, Label, Layout, Margin, RichText, ScrollArea, Stroke, Ui, vec2};

use super::buttons::ghost_button;
use super::glyph::Icon;
use super::text;
use crate::ui::theme;

/// Paints `code`. `id_salt` keeps its scrolling apart from others. True when it was copied (the clipboard is already set).
pub fn code_block(ui: &mut Ui, language: &str, code: &str, id_salt: impl std::hash::Hash + std::fmt::Debug) -> bool {
    let palette = theme::palette(ui);
    let mut copied = false;
    Frame::new().fill(palette.panel).stroke(Stroke::new(palette.border_width(), palette.hairline)).corner_radius(8).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        Frame::new()
            .fill(palette.raised)
            .corner_radius(egui::CornerRadius { nw: 7, ne: 7, sw: 0, se: 0 })
            .inner_margin(Margin { left: 12, right: 4, top: 2, bottom: 2 })
            .show(ui, |ui| {
                ui.allocate_ui_with_layout(vec2(ui.available_width(), 26.0), Layout::right_to_left(Align::Center), |ui| {
                    copied = ui.add(ghost_button("Copy").icon(Icon::Copy).height(24.0)).clicked();
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        text::muted(ui, if language.is_empty() { "text" } else { language });
                    });
                });
            });
        Frame::new().inner_margin(Margin { left: 12, right: 12, top: 10, bottom: 12 }).show(ui, |ui| {
            ScrollArea::horizontal().id_salt(("code", id_salt)).auto_shrink([false, true]).show(ui, |ui| {
                let words = RichText::new(code.trim_end_matches('\n')).font(theme::mono()).line_height(Some(19.0)).color(palette.text);
                ui.add(Label::new(words).extend().selectable(true));
            });
        });
    });
    if copied {
        ui.copy_text(code.to_owned());
    }
    copied
}
