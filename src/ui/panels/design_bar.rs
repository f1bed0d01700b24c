//! The bar on top: which model, its ladder, what it runs with, and the one button that loads, stops or frees it.

use egui::{Align, Layout, Rect, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, Activity, AppState, Page};
use crate::measure::format;
use crate::protocol::LoadReport;
use crate::ui::parts::design_editor::{self, DesignEditorView};
use crate::ui::parts::ladder::{self, RungView};
use crate::ui::parts::model_menu::{self, ModelMenuView};
use crate::ui::theme::{self, CONTROL_RADIUS};
use crate::ui::widgets::{Icon, RungKey, RungState, danger_button, elided, focus_ring, paint_icon, primary_button, secondary_button};

/// Height of what is in the bar, points; its frame comes on top.
pub const HEIGHT: f32 = 44.0;
/// Between two keys of the ladder, points.
const KEY_GAP: f32 = 4.0;
/// A bar narrower than this has no room for the design's figures, points.
const CRAMPED: f32 = 760.0;
/// Kept for the "More" key, points.
const MORE_WIDTH: f32 = 64.0;

/// What is open and typed in the bar.
#[derive(Clone, Debug, Default)]
pub struct DesignBarView {
    /// Whether the design editor is open; the key for it sets this
    pub editor_open: bool,
    /// The editor's own state
    pub editor: DesignEditorView,
    menu: ModelMenuView,
}

/// Paints the bar over the available width.
pub fn design_bar(ui: &mut Ui, state: &AppState, view: &mut DesignBarView, actions: &mut Vec<Action>) {
    let width = ui.available_width();
    ui.allocate_ui_with_layout(vec2(width, HEIGHT), Layout::left_to_right(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 16.0;
        let model = model_block(ui, state, (width * 0.18).clamp(110.0, 230.0));
        model_menu::show(&model, state, &mut view.menu, actions);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            main_button(ui, state, actions);
            if state.design().is_some() || state.settings.last_design.is_some() {
                let summary = summary(ui, state, width, view.editor_open);
                if summary.clicked() {
                    view.editor_open = !view.editor_open;
                }
                editor(ui, &summary, state, view, actions);
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.spacing_mut().item_spacing.x = KEY_GAP;
                keys(ui, state, actions);
            });
        });
    });
}

/// The model's name over one line of facts; a menu button.
fn model_block(ui: &mut Ui, state: &AppState, max_width: f32) -> Response {
    let palette = theme::palette(ui);
    let (name, facts) = model_words(state);
    let name_galley = elided(ui, &name, theme::body_strong(), palette.text, max_width - 22.0);
    let facts_galley = elided(ui, &facts, theme::small(), palette.muted, max_width);
    let width = (name_galley.size().x + 22.0).max(facts_galley.size().x).ceil();
    let (rect, response) = ui.allocate_exact_size(vec2(width, HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), format!("Model: {name}")));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.expand2(vec2(6.0, 0.0)), CONTROL_RADIUS, palette.raised);
    }
    let top = rect.center().y - (name_galley.size().y + facts_galley.size().y + 2.0) / 2.0;
    let chevron = Rect::from_min_size(pos2(rect.left() + name_galley.size().x + 6.0, top + 1.0), vec2(14.0, 16.0));
    let facts_top = top + name_galley.size().y + 2.0;
    ui.painter().galley(pos2(rect.left(), top), name_galley, palette.text);
    ui.painter().galley(pos2(rect.left(), facts_top), facts_galley, palette.muted);
    paint_icon(ui.painter(), Icon::ChevronDown, chevron, palette.muted);
    focus_ring(ui, &response, CONTROL_RADIUS);
    response.on_hover_text(hover_words(state, &name))
}

fn model_words(state: &AppState) -> (String, String) {
    if let Activity::Loading(loading) = &state.activity {
        let name = state.family().map_or_else(|| ladder::file_name(&loading.design.model), |family| family.name.clone());
        let words =
            if loading.stopping { "stopping".to_owned() } else { format!("loading {}", format::percent(f64::from(loading.fraction))) };
        return (name, words);
    }
    match &state.loaded {
        Some(report) => {
            let info = &report.info;
            let name = state.model_name(info);
            (name, format!("{} · {} layers · {} trained", info.arch, info.n_layer, short_count(info.n_ctx_train)))
        }
        None => ("No model".into(), "nothing is loaded".into()),
    }
}

fn hover_words(state: &AppState, name: &str) -> String {
    match &state.loaded {
        Some(report) => {
            let info = &report.info;
            format!(
                "{name}\n{} weights, {} bits per weight, trained for {} tokens of context\n{}",
                format::params(info.n_params),
                format::bits_per_weight(info.bpw),
                format::count(u64::from(info.n_ctx_train)),
                info.path.display()
            )
        }
        None => "Choose a model".into(),
    }
}

/// Tokens in thousands of 1024, as context lengths are spoken of: `8k`.
fn short_count(tokens: u32) -> String {
    if tokens >= 1024 && tokens.is_multiple_of(1024) { format!("{}k", tokens / 1024) } else { format::count(u64::from(tokens)) }
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn keys(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let Some(family) = state.family() else {
        lone_key(ui, state);
        return;
    };
    let all = ladder::rungs(state, family);
    let room = ui.available_width() - MORE_WIDTH - KEY_GAP;
    let widths: Vec<f32> = all.iter().map(|rung| key(rung, &rung.detail()).width(ui) + KEY_GAP).collect();
    let shown = fitting(&all, &widths, room);
    for (rung, _) in all.iter().zip(&shown).filter(|(_, shown)| **shown) {
        press(ui, rung, actions);
    }
    let rest: Vec<&RungView<'_>> = all.iter().zip(&shown).filter(|(_, shown)| !**shown).map(|(rung, _)| rung).collect();
    if !rest.is_empty() {
        more(ui, &rest, actions);
    }
}

fn key<'a>(rung: &RungView<'a>, detail: &'a str) -> RungKey<'a> {
    RungKey::new(rung.quant, detail, rung.key)
}

fn press(ui: &mut Ui, rung: &RungView<'_>, actions: &mut Vec<Action>) {
    let (detail, hint) = (rung.detail(), rung.hint());
    let response = ui.add(RungKey::new(rung.quant, &detail, rung.key).hint(&hint));
    if response.clicked() && rung.key != RungState::Active {
        actions.push(Action::SelectRung(rung.quant.to_owned()));
    }
    if matches!(rung.key, RungState::Making(_)) {
        response.context_menu(|ui| {
            if ui.button("Cancel making").clicked() {
                actions.push(Action::CancelMake);
            }
        });
    }
}

/// Which rungs get a key in `room` points. What runs or is warm comes first, then what is on disk, then the usual ones that can be made;
/// the rest goes under "More".
fn fitting(all: &[RungView<'_>], widths: &[f32], room: f32) -> Vec<bool> {
    let rank = |rung: &RungView<'_>| match rung.key {
        RungState::Active | RungState::Loading(_) | RungState::Making(_) => Some(0),
        RungState::Warm => Some(1),
        RungState::OnDisk => Some(if rung.usual { 2 } else { 3 }),
        RungState::CanMake if rung.usual => Some(4),
        RungState::CanMake | RungState::Unavailable => None,
    };
    let mut order: Vec<(usize, usize)> = all.iter().enumerate().filter_map(|(index, rung)| rank(rung).map(|rank| (rank, index))).collect();
    order.sort_unstable();
    let mut shown = vec![false; all.len()];
    let mut left = room;
    for (_, index) in order {
        let width = widths.get(index).copied().unwrap_or(f32::INFINITY);
        if width > left {
            break;
        }
        left -= width;
        if let Some(slot) = shown.get_mut(index) {
            *slot = true;
        }
    }
    shown
}

/// The rungs that have no key of their own.
fn more(ui: &mut Ui, rest: &[&RungView<'_>], actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(MORE_WIDTH, 40.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), format!("More rungs, {}", rest.len())));
    let ink = if response.hovered() || response.has_focus() { palette.text } else { palette.muted };
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, CONTROL_RADIUS, palette.raised);
    }
    let words = elided(ui, "More", theme::small(), ink, MORE_WIDTH);
    ui.painter().galley(pos2(rect.left() + 10.0, rect.center().y - words.size().y / 2.0), words, ink);
    paint_icon(ui.painter(), Icon::ChevronDown, Rect::from_center_size(pos2(rect.right() - 14.0, rect.center().y), vec2(12.0, 12.0)), ink);
    focus_ring(ui, &response, CONTROL_RADIUS);
    egui::Popup::menu(&response).accessible_name("More rungs").show(|ui| {
        ui.set_width(260.0);
        egui::ScrollArea::vertical().max_height((ui.ctx().content_rect().height() - 120.0).max(120.0)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            for rung in rest {
                let detail = match rung.key {
                    RungState::CanMake => format!("make, {}", rung.size_words()),
                    _ => rung.detail(),
                };
                let button = egui::Button::new(egui::RichText::new(rung.quant).font(theme::mono()))
                    .right_text(egui::RichText::new(detail).font(theme::small()).color(palette.muted))
                    .min_size(vec2(ui.available_width(), 30.0));
                let usable = rung.key != RungState::Unavailable;
                let response = ui.add_enabled(usable, button).on_hover_text(rung.hint()).on_disabled_hover_text(rung.hint());
                if response.clicked() {
                    actions.push(Action::SelectRung(rung.quant.to_owned()));
                }
            }
        });
    });
}

/// The key of a file that is in no known family: opened from outside the model folders.
fn lone_key(ui: &mut Ui, state: &AppState) {
    if let Some(report) = &state.loaded {
        let size = format::bytes(report.info.size);
        ui.add(
            RungKey::new(&report.info.quant, &size, RungState::Active)
                .hint("Not in a model folder, so its ladder is not known: add its folder in the Library"),
        );
    } else if let Some(loading) = state.loading() {
        ui.add(RungKey::new("…", "loading", RungState::Loading(loading.fraction)));
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// One column of the summary.
struct Column {
    label: &'static str,
    value: String,
    /// It is not as asked
    differs: bool,
}

fn columns(state: &AppState, width: f32) -> Vec<Column> {
    let mut columns = Vec::new();
    if let Some(report) = &state.loaded {
        let effective = &report.effective;
        let differs = |names: &[&str]| effective.settings.iter().any(|s| names.contains(&s.name.as_str()) && s.is_otherwise());
        columns.push(Column { label: "context", value: format::count(u64::from(effective.n_ctx)), differs: differs(&["n_ctx"]) });
        if width >= 1120.0 {
            let threads = format!("{} / {}", effective.threads, effective.threads_batch);
            columns.push(Column { label: "threads", value: threads, differs: differs(&["threads", "threads_batch"]) });
        }
        if width >= 1200.0 {
            columns.push(Column { label: "KV", value: cache_words(report), differs: differs(&["type_k", "type_v"]) });
        }
    }
    if width < CRAMPED {
        // the ladder goes first
        return vec![Column { label: "design", value: "edit".into(), differs: columns.iter().any(|column| column.differs) }];
    }
    if let Some((value, _)) = memory_words(state) {
        columns.push(Column { label: "memory", value, differs: false });
    }
    if columns.is_empty() {
        columns.push(Column { label: "design", value: "edit".into(), differs: false });
    }
    columns
}

fn cache_words(report: &LoadReport) -> String {
    let value = |name: &str| report.effective.settings.iter().find(|setting| setting.name == name).map(|setting| setting.effective.clone());
    let k = value("type_k").unwrap_or_else(|| report.design.type_k.name().into());
    let v = value("type_v").unwrap_or_else(|| report.design.type_v.name().into());
    if k == v { k } else { format!("{k} / {v}") }
}

/// What the models in memory take of what they could have, and how that is reckoned.
fn memory_words(state: &AppState) -> Option<(String, &'static str)> {
    let sample = state.telemetry.sample?;
    if state.resident.is_empty() {
        let predicted = state.predicted().filter(|_| state.loading().is_some())?;
        let words = format!("≈ {} of {}", format::bytes(predicted.total()), format::bytes(sample.available));
        return Some((words, "Memory predicted for the model being loaded (an estimate), of what the system says could be had"));
    }
    let taken: u64 = state.resident.iter().map(|resident| resident.memory.total()).sum();
    let words = format!("{} of {}", format::bytes(taken), format::bytes(sample.available.saturating_add(taken)));
    Some((words, "Memory of the models that are loaded (weights, KV cache, compute), of that plus what the system says could still be had"))
}

/// Context, threads, KV and memory; opens the editor.
fn summary(ui: &mut Ui, state: &AppState, width: f32, open: bool) -> Response {
    let palette = theme::palette(ui);
    let columns = columns(state, width);
    let galleys: Vec<_> = columns
        .iter()
        .map(|column| {
            let ink = if column.differs { palette.event } else { palette.text };
            let label = elided(ui, column.label, theme::small(), palette.muted, f32::INFINITY);
            (label, elided(ui, &column.value, theme::mono(), ink, f32::INFINITY), ink)
        })
        .collect();
    let gap = 14.0;
    let total: f32 = galleys.iter().map(|(label, value, _)| label.size().x.max(value.size().x)).sum::<f32>()
        + gap * galleys.len().saturating_sub(1) as f32;
    let (rect, response) = ui.allocate_exact_size(vec2((total + 16.0).ceil(), HEIGHT), Sense::click());
    let words: Vec<String> = columns.iter().map(|column| format!("{} {}", column.label, column.value)).collect();
    response.widget_info(|| WidgetInfo::selected(Role::Button, ui.is_enabled(), open, format!("Design: {}", words.join(", "))));
    if open || response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, CONTROL_RADIUS, palette.raised);
    }
    let mut left = rect.left() + 8.0;
    for (label, value, ink) in galleys {
        let top = rect.center().y - (label.size().y + value.size().y + 1.0) / 2.0;
        let (width, value_top) = (label.size().x.max(value.size().x), top + label.size().y + 1.0);
        ui.painter().galley(pos2(left, top), label, palette.muted);
        ui.painter().galley(pos2(left, value_top), value, ink);
        left += width + gap;
    }
    focus_ring(ui, &response, CONTROL_RADIUS);
    if open { response } else { response.on_hover_text(summary_hint(state)) }
}

fn summary_hint(state: &AppState) -> String {
    let mut lines = vec!["Edit the design".to_owned()];
    if let Some((_, how)) = memory_words(state) {
        lines.push(how.into());
    }
    let settings = state.loaded.iter().flat_map(|report| &report.effective.settings);
    lines.extend(
        settings
            .filter(|setting| !setting.reason.is_empty())
            .map(|setting| format!("{}: asked for {}, is {}: {}", setting.name, setting.requested, setting.effective, setting.reason)),
    );
    lines.join("\n")
}

fn editor(ui: &Ui, summary: &Response, state: &AppState, view: &mut DesignBarView, actions: &mut Vec<Action>) {
    if !view.editor_open {
        view.editor.forget();
        return;
    }
    let mut open = true;
    let mut done = false;
    let popup = egui::Popup::from_response(summary)
        .open_bool(&mut open)
        .align(egui::RectAlign::BOTTOM_END)
        .gap(8.0)
        .close_behavior(egui::PopupCloseBehavior::IgnoreClicks)
        .accessible_name("Design editor")
        .frame(egui::Frame::popup(ui.style()).inner_margin(16))
        .show(|ui| {
            ui.set_width(design_editor::WIDTH.min(ui.ctx().content_rect().width() - 64.0));
            done = design_editor::design_editor(ui, state, &mut view.editor, actions);
        });
    // a press elsewhere closes it, unless it was on a list that a field of the editor had opened
    let elsewhere =
        popup.is_some_and(|popup| popup.response.clicked_elsewhere()) && !summary.clicked() && !view.editor.had_list_open(ui.ctx());
    view.editor_open = open && !done && !elsewhere;
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// The one button: open, load, stop or unload, whichever makes sense now.
fn main_button(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    if state.is_busy() {
        let stopping = state.generating().is_some_and(|generating| generating.stopping.is_some())
            || state.loading().is_some_and(|loading| loading.stopping);
        let words = if stopping { "Stopping…" } else { "Stop" };
        let hint = if stopping {
            "The engine was told; if it does not answer in 3 s it is ended and brought back"
        } else {
            "Stop what runs (Esc)"
        };
        if ui.add_enabled(!stopping, danger_button(words).height(36.0)).on_hover_text(hint).on_disabled_hover_text(hint).clicked() {
            actions.push(Action::Stop);
        }
    } else if state.loaded.is_some() {
        if ui.add(secondary_button("Unload").height(36.0)).on_hover_text("Free the memory of the model").clicked() {
            actions.push(Action::Unload(None));
        }
    } else if let Some(design) = &state.settings.last_design {
        let hint = format!("Load again what was loaded last\n{}", design.model.display());
        if ui.add(primary_button("Load").height(36.0)).on_hover_text(hint).clicked() {
            actions.push(Action::OpenModel(design.model.clone()));
        }
    } else {
        // the pages that are empty without a model offer the same in their middle: only one of the two is lit
        let page_offers = state.page == Page::Chat || (state.page == Page::Library && state.library.families.is_empty());
        let words = "Open a model…";
        let button = if page_offers { secondary_button(words) } else { primary_button(words) };
        if ui.add(button.height(36.0)).on_hover_text("Choose a GGUF file (Ctrl+O)").clicked() {
            actions.push(Action::PickModel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library;

    #[test]
    fn what_runs_keeps_its_key_when_room_is_short() {
        let state = library::RungState::Unavailable { why: String::new() };
        let rung =
            |quant: &'static str, key, usual| RungView { quant, state: &state, key, size: None, bpw: None, path: None, usual, note: "" };
        let all = [
            rung("F16", RungState::OnDisk, true),
            rung("Q8_0", RungState::CanMake, true),
            rung("Q5_0", RungState::CanMake, false),
            rung("Q4_1", RungState::OnDisk, false),
            rung("Q2_K", RungState::Active, true),
        ];
        let widths = [60.0; 5];
        assert_eq!(fitting(&all, &widths, 60.0), [false, false, false, false, true]);
        assert_eq!(fitting(&all, &widths, 185.0), [true, false, false, true, true]);
        assert_eq!(fitting(&all, &widths, 1000.0), [true, true, false, true, true]);
    }

    #[test]
    fn contexts_read_as_they_are_spoken_of() {
        assert_eq!(short_count(8192), "8k");
        assert_eq!(short_count(131_072), "128k");
        assert_eq!(short_count(1000), "1,000");
    }
}
