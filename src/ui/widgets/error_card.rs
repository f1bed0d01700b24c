//! An error where it was asked for: what happened, why, what to do, and the engine's own words folded under it.

use egui::{Frame, Margin, ScrollArea, Sense, Stroke, Ui, vec2};

use super::buttons::{ghost_button, primary_button, secondary_button};
use super::glyph::{Icon, paint_icon};
use super::text;
use crate::ui::theme::{self, PANEL_RADIUS};

/// One error.
#[must_use = "call show"]
pub struct ErrorCard<'a> {
    title: &'a str,
    sentence: &'a str,
    details: &'a [String],
    buttons: &'a [&'a str],
}

/// What was pressed on an [`ErrorCard`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErrorCardResponse {
    /// Index of the button, in the order they were given.
    pub button: Option<usize>,
}

impl<'a> ErrorCard<'a> {
    /// `title` says what happened, `sentence` why and what to do.
    pub fn new(title: &'a str, sentence: &'a str) -> Self {
        Self { title, sentence, details: &[], buttons: &[] }
    }

    /// The last lines of the engine, folded until asked for.
    pub fn details(mut self, lines: &'a [String]) -> Self {
        self.details = lines;
        self
    }

    /// The ways on, the best first.
    pub fn buttons(mut self, buttons: &'a [&'a str]) -> Self {
        self.buttons = buttons;
        self
    }

    /// Paints it. `id_salt` keeps the folding of this card apart from others.
    pub fn show(self, ui: &mut Ui, id_salt: impl std::hash::Hash + std::fmt::Debug) -> ErrorCardResponse {
        let palette = theme::palette(ui);
        let open_id = ui.make_persistent_id(("error card", &id_salt));
        let mut response = ErrorCardResponse::default();
        Frame::new()
            .fill(theme::on_surface(palette.panel, palette.limit_tint, 0.45))
            .stroke(Stroke::new(palette.border_width(), theme::on_surface(palette.panel, palette.limit, 0.55)))
            .corner_radius(PANEL_RADIUS)
            .inner_margin(Margin::same(16))
            .show(ui, |ui| {
                ui.set_min_width(ui.available_width());
                ui.horizontal(|ui| {
                    let (icon, _) = ui.allocate_exact_size(vec2(18.0, 20.0), Sense::hover());
                    paint_icon(ui.painter(), Icon::Warning, icon, palette.limit);
                    text::label(ui, self.title, theme::body_strong(), palette.text);
                });
                text::body(ui, self.sentence);
                let mut open = ui.data(|data| data.get_temp::<bool>(open_id)).unwrap_or(false);
                ui.add_space(2.0);
                ui.horizontal(|ui| {
                    for (index, words) in self.buttons.iter().enumerate() {
                        let button = if index == 0 { primary_button(*words) } else { secondary_button(*words) };
                        if ui.add(button).clicked() {
                            response.button = Some(index);
                        }
                    }
                    if !self.details.is_empty() {
                        let (icon, words) = if open { (Icon::ChevronDown, "Hide details") } else { (Icon::ChevronRight, "Show details") };
                        if ui.add(ghost_button(words).icon(icon).height(32.0)).clicked() {
                            open = !open;
                            ui.data_mut(|data| data.insert_temp(open_id, open));
                        }
                        if open && ui.add(ghost_button("Copy details").icon(Icon::Copy).height(32.0)).clicked() {
                            ui.copy_text(format!("{}\n{}\n{}", self.title, self.sentence, self.details.join("\n")));
                        }
                    }
                });
                if open && !self.details.is_empty() {
                    details(ui, self.details, &id_salt);
                }
            });
        response
    }
}

fn details(ui: &mut Ui, lines: &[String], id_salt: &(impl std::hash::Hash + std::fmt::Debug)) {
    let palette = theme::palette(ui);
    Frame::new().fill(palette.page).corner_radius(6).inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
        ScrollArea::both().id_salt(("error details", id_salt)).max_height(160.0).auto_shrink([false, true]).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for line in lines {
                let text = egui::RichText::new(line).font(theme::mono_small()).color(palette.muted);
                ui.add(egui::Label::new(text).extend().selectable(true));
            }
        });
    });
}
