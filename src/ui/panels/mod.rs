//! The window's composition: design bar above, rail at the left, the page, telemetry at the right, status below.
//!
//! A panel reads [`AppState`] and says what was asked as [`Action`]s; it never changes the state, does no I/O and starts nothing. What only
//! concerns how it looks (what is typed in a filter, what is unfolded) is its own `…View`, kept in [`Views`]. Panels do not know each other.

pub mod chat;
pub mod command_palette;
pub mod compare;
pub mod crash;
pub mod design_bar;
pub mod dialogs;
pub mod library;
pub mod log;
pub mod measure;
pub mod notices;
pub mod quality;
pub mod rail;
pub mod runs;
pub mod settings;
pub mod status_bar;
pub mod telemetry;

use egui::{CentralPanel, Frame, Margin, Panel, Rect, ScrollArea, Ui};

use super::shortcuts::ShortcutTargets;
use super::theme;
use crate::app::{Action, AppState, Now, Page};

/// What the panels remember between frames and `update` never reads.
#[derive(Default)]
pub struct Views {
    /// What the keys ask of the panels
    pub targets: ShortcutTargets,
    /// What the program says about itself
    pub about: settings::About,
    /// Of the chat page
    pub chat: chat::ChatView,
    /// Of the Compare page
    pub compare: compare::CompareView,
    /// Of the dialogs
    pub dialogs: dialogs::DialogsView,
    /// Of the design bar
    pub design_bar: design_bar::DesignBarView,
    /// Of the telemetry column
    pub telemetry: telemetry::TelemetryView,
    /// Of the measure page
    pub measure: measure::MeasureView,
    /// Of the library page
    pub library: library::LibraryView,
    /// Of the quality page
    pub quality: quality::QualityView,
    /// Of the runs page
    pub runs: runs::RunsView,
    /// Of the settings page
    pub settings: settings::SettingsView,
    /// Of the log view
    pub log: log::LogView,
    /// Of the command palette
    pub palette: command_palette::PaletteView,
    /// Of the notices
    pub notices: notices::NoticesView,
}

/// Paints everything; returns where the telemetry is (for a picture of it).
pub fn window(ui: &mut Ui, state: &AppState, views: &mut Views, now: Now, actions: &mut Vec<Action>) -> Rect {
    aim(state, views);
    let palette = theme::palette(ui);
    let frame = |x: i8, y: i8| Frame::new().fill(palette.panel).inner_margin(Margin::symmetric(x, y));
    let width = ui.available_width();
    Panel::top("design_bar").frame(frame(16, 6)).show(ui, |ui| {
        design_bar::design_bar(ui, state, &mut views.design_bar, actions);
    });
    Panel::bottom("status_bar").frame(frame(16, 3)).exact_size(30.0).show(ui, |ui| {
        status_bar::status_bar(ui, state, &mut views.targets, actions);
    });
    let has_room = width >= telemetry::FOLDS_BELOW;
    let folded = !state.settings.telemetry_open || !has_room;
    let strip = folded.then(|| {
        let strip = Panel::bottom("telemetry_strip").frame(frame(16, 2)).exact_size(32.0);
        strip.show(ui, |ui| telemetry::telemetry_strip(ui, state, has_room, actions)).response.rect
    });
    Panel::left("rail").frame(frame(8, 12)).resizable(false).exact_size(rail::rail_width(width)).show(ui, |ui| {
        // a low window scrolls what it has no room for
        ScrollArea::vertical().id_salt("rail").auto_shrink([false, false]).show(ui, |ui| rail::rail(ui, state, actions));
    });
    let column = strip.unwrap_or_else(|| {
        let column = Panel::right("telemetry").frame(frame(16, 12)).resizable(false).exact_size(telemetry::WIDTH);
        column.show(ui, |ui| telemetry::telemetry(ui, state, &mut views.telemetry, now.secs, actions)).response.rect
    });
    // the window is cleared to the page's colour
    CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
        crash::crash(ui, state, actions);
        CentralPanel::default().frame(Frame::NONE).show(ui, |ui| match state.page {
            Page::Chat => chat::chat_page(ui, state, &mut views.chat, now.secs, actions),
            Page::Compare => compare::compare_page(ui, state, &mut views.compare, actions),
            Page::Measure => measure::measure_page(ui, state, &mut views.measure, now.secs, actions),
            Page::Library => library::library_page(ui, state, &mut views.library, now.secs, actions),
            Page::Quality => quality::quality_page(ui, state, &mut views.quality, now.secs, actions),
            Page::Runs => runs::runs_page(ui, state, &mut views.runs, now.secs, actions),
            Page::Settings => settings::settings_page(ui, state, &views.about, &mut views.settings, actions),
        });
    });
    let ctx = ui.ctx();
    dialogs::dialogs(ctx, state, &mut views.dialogs, actions);
    log::log_window(ctx, state, &mut views.log, actions);
    command_palette::command_palette(ctx, state, &mut views.palette, &mut views.targets, actions);
    notices::notices(ctx, state, &mut views.notices, actions);
    aim_exports(views, actions);
    column
}

/// An export that was asked for elsewhere is of what the plots show, too.
fn aim_exports(views: &Views, actions: &mut [Action]) {
    for action in actions {
        if let Action::ExportPlotsCsv(range @ None) | Action::ExportPlotsPng(range @ None) = action {
            *range = views.telemetry.shown();
        }
    }
}

/// Hands what the keys asked for to the panels that do it. What the palette asks for is handed on in the next frame.
fn aim(state: &AppState, views: &mut Views) {
    let targets = &mut views.targets;
    views.design_bar.editor_open |= std::mem::take(&mut targets.design_editor);
    views.log.open |= std::mem::take(&mut targets.log);
    let search = std::mem::take(&mut targets.search);
    targets.overlay = views.design_bar.editor_open || views.log.open || views.chat.has_overlay();
    match state.page {
        Page::Chat => {
            views.chat.focus_search |= search;
            views.chat.focus_composer |= std::mem::take(&mut targets.message);
        }
        Page::Library => views.library.focus_search |= search,
        Page::Runs => views.runs.focus_search |= search,
        Page::Compare | Page::Measure | Page::Quality | Page::Settings => {}
    }
}
