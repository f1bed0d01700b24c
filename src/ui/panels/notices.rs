//! Messages of the moment, bottom right.

use std::collections::BTreeSet;

use egui::{Frame, Margin, ScrollArea, Ui};

use crate::app::{Action, AppState, Severity};
use crate::ui::theme;
use crate::ui::widgets::{Icon, Level, Notice, ghost_button, toast_area};

/// Whose evidence is unfolded.
#[derive(Clone, Debug, Default)]
pub struct NoticesView {
    unfolded: BTreeSet<u64>,
}

/// Paints the notices over the page, oldest first, with what each offers.
pub fn notices(ctx: &egui::Context, state: &AppState, view: &mut NoticesView, actions: &mut Vec<Action>) {
    view.unfolded.retain(|id| state.notices.iter().any(|notice| notice.id == *id));
    if state.notices.iter().next().is_none() {
        return;
    }
    toast_area(ctx, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        for notice in state.notices.iter() {
            let level = match notice.severity {
                Severity::Info => Level::Info,
                Severity::Warn => Level::Warning,
                Severity::Error => Level::Error,
            };
            let mut card = Notice::new(level, &notice.text);
            if let Some(offer) = &notice.action {
                card = card.action(&offer.label);
            }
            let response = ui.push_id(("notice", notice.id), |ui| card.show(ui)).inner;
            if response.acted
                && let Some(offer) = &notice.action
            {
                actions.push((*offer.action).clone());
                actions.push(Action::DismissNotice(notice.id));
            }
            if response.closed {
                actions.push(Action::DismissNotice(notice.id));
            }
            if !notice.details.is_empty() {
                details(ui, notice.id, &notice.text, &notice.details, view, actions);
            }
        }
    });
}

fn details(ui: &mut Ui, id: u64, text: &str, lines: &[String], view: &mut NoticesView, actions: &mut Vec<Action>) {
    let open = view.unfolded.contains(&id);
    ui.horizontal(|ui| {
        let (icon, words) = if open { (Icon::ChevronDown, "Hide details") } else { (Icon::ChevronRight, "Show details") };
        if ui.add(ghost_button(words).icon(icon)).clicked() {
            if open {
                view.unfolded.remove(&id);
            } else {
                view.unfolded.insert(id);
            }
        }
        if open && ui.add(ghost_button("Copy details").icon(Icon::Copy)).clicked() {
            actions.push(Action::Copy(format!("{text}\n{}", lines.join("\n"))));
        }
    });
    if open {
        let palette = theme::palette(ui);
        Frame::new().fill(palette.page).corner_radius(6).inner_margin(Margin::symmetric(12, 8)).show(ui, |ui| {
            ScrollArea::both().id_salt(("notice details", id)).max_height(140.0).auto_shrink([false, true]).show(ui, |ui| {
                for line in lines {
                    let words = egui::RichText::new(line).font(theme::mono_small()).color(palette.muted);
                    ui.add(egui::Label::new(words).extend().selectable(true));
                }
            });
        });
    }
}
