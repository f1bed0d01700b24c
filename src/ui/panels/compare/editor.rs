//! What a lane runs: the level, and unfolded the settings that designs are compared for, each applied at once.

use egui::emath::Numeric;
use egui::{Align, ComboBox, DragValue, Layout, ScrollArea, Ui, vec2};

use super::lane::{LaneView, Shown};
use super::{ask, setup};
use crate::app::{Action, AppState, CompareAction, DesignFrom};
use crate::protocol::{CacheType, Design, FlashAttention};
use crate::ui::theme;
use crate::ui::widgets::{Icon, icon_button, label, muted, paint_icon, segmented, toggle};

const ROW: f32 = 28.0;
const CONTROL: f32 = 96.0;

/// Paints the level, what differs from the first lane, and the settings while they are unfolded.
pub(super) fn design(ui: &mut Ui, state: &AppState, shown: &Shown<'_>, view: &mut LaneView, actions: &mut Vec<Action>) {
    let mut wanted = shown.lane.design.clone();
    let number = shown.index + 1;
    ui.allocate_ui_with_layout(vec2(ui.available_width(), ROW), Layout::right_to_left(Align::Center), |ui| {
        let name = if view.is_open { "Hide the settings of design" } else { "Settings of design" };
        if ui.add(icon_button(Icon::Edit, &format!("{name} {number}")).on(view.is_open)).clicked() {
            view.is_open = !view.is_open;
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| model(ui, state, number, &mut wanted));
    });
    if view.is_open {
        // the figures and the state stay in view below
        let room = (ui.available_height() - 140.0).max(3.0 * ROW);
        let id = ("settings", number);
        ScrollArea::vertical().id_salt(id).max_height(room).auto_shrink([false, true]).show(ui, |ui| {
            ui.spacing_mut().item_spacing = vec2(6.0, 2.0);
            start_from(ui, state, shown.index, actions);
            settings(ui, number, &mut wanted);
        });
    } else {
        let words = differences(shown);
        let line = muted(ui, &words);
        line.on_hover_text(words);
    }
    if wanted != shown.lane.design {
        actions.push(ask(CompareAction::SetDesign(shown.index, Box::new(wanted))));
    }
}

/// What differs from the first lane but the model, which the name says; of the first lane, what is not the default.
fn differences(shown: &Shown<'_>) -> String {
    let own = &shown.lane.design;
    let Some(first) = shown.first_design else {
        let words = own.differences(&own.sampler);
        return if words.is_empty() { "Default settings".into() } else { words };
    };
    let changes = Design { model: own.model.clone(), ..first.clone() }.diff(own);
    let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
    if words.is_empty() { "Settings as the first".into() } else { format!("Unlike the first: {}", words.join(", ")) }
}

fn chevron(ui: &Ui, rect: egui::Rect, visuals: &egui::style::WidgetVisuals, _open: bool) {
    paint_icon(ui.painter(), Icon::ChevronDown, rect.expand(1.0), visuals.fg_stroke.color);
}

fn model(ui: &mut Ui, state: &AppState, number: usize, wanted: &mut Design) {
    // the level first: it is what differs, and the end is cut where the lane is narrow
    let (model, quant) = setup::level(state, wanted);
    let file = || wanted.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let now = if quant.is_empty() { file() } else { format!("{quant} \u{b7} {model}") };
    let width = ui.available_width() - 8.0;
    let files = ComboBox::from_id_salt(("model", number)).width(width).truncate().selected_text(now).icon(chevron).show_ui(ui, |ui| {
        for (path, name) in setup::files(state) {
            ui.selectable_value(&mut wanted.model, path, name);
        }
    });
    files.response.accessible_name(format!("Model of design {number}"));
}

/// A whole design for the lane: the one in use, or one that was saved.
fn start_from(ui: &mut Ui, state: &AppState, index: usize, actions: &mut Vec<Action>) {
    let name = format!("Take a design for design {}", index + 1);
    let width = ui.available_width();
    let combo = ComboBox::from_id_salt(("take", index)).width(width).truncate().selected_text("Take a whole design\u{2026}").icon(chevron);
    let combo = combo.show_ui(ui, |ui| {
        let mut offer = |ui: &mut Ui, words: &str, from: DesignFrom| {
            if ui.selectable_label(false, words).clicked() {
                actions.push(ask(CompareAction::TakeDesign(index, from)));
            }
        };
        if state.design().is_some() {
            offer(ui, "The one in use, with its sampling", DesignFrom::InUse);
        }
        for saved in &state.history.designs {
            offer(ui, &saved.name, DesignFrom::Saved(saved.id));
        }
        if state.history.designs.is_empty() {
            muted(ui, "No design has a name yet");
        }
    });
    combo.response.accessible_name(name).on_hover_text("Its model, settings and sampling take the place of all below");
}

fn settings(ui: &mut Ui, number: usize, design: &mut Design) {
    let name = |what: &str| format!("{what} of design {number}");
    row(ui, "Context", "Tokens of context; auto is what the model was trained for, up to 4,096", |ui| {
        count(ui, &name("Context"), &mut design.n_ctx, 131_072, 64.0);
    });
    row(ui, "Threads", "CPU threads that decode", |ui| count(ui, &name("Threads"), &mut design.threads, 256, 0.1));
    row(ui, "Key cache", "Type of the cached keys", |ui| cache(ui, &name("Key cache"), &mut design.type_k));
    row(ui, "Value cache", "Type of the cached values. Anything but f32, f16 and bf16 needs flash attention", |ui| {
        cache(ui, &name("Value cache"), &mut design.type_v);
    });
    row(ui, "Flash attention", "Fused attention; auto leaves it to llama.cpp", |ui| {
        let options = [(FlashAttention::Auto, "Auto"), (FlashAttention::On, "On"), (FlashAttention::Off, "Off")];
        segmented(ui, &name("Flash attention"), &mut design.flash_attention, &options);
    });
    row(ui, "Repack weights", "Weights in the layouts that the processor's kernels read fastest; they round differently", |ui| {
        toggle(ui, &mut design.repack, &name("Repack weights"));
    });
    let sampler = &mut design.sampler;
    let heat = "Below 1 sharpens, above 1 flattens; 0 always takes the most likely token";
    sampled(ui, number, "Temperature", heat, &mut sampler.temperature, 0.0..=5.0, 0.01);
    sampled(ui, number, "Top-k", "Keeps this many of the most likely tokens; 0 keeps all", &mut sampler.top_k, 0..=10_000, 0.2);
    let top_p = "Keeps the most likely tokens that together reach this probability; 1 keeps all";
    sampled(ui, number, "Top-p", top_p, &mut sampler.top_p, 0.0..=1.0, 0.005);
    let min_p = "Drops tokens less likely than this part of the most likely one; 0 keeps all";
    sampled(ui, number, "Min-p", min_p, &mut sampler.min_p, 0.0..=1.0, 0.005);
    // the largest stands for a fresh one
    sampled(ui, number, "Seed", "The same seed draws the same answer", &mut sampler.seed, 0..=u32::MAX - 1, 1.0);
}

fn row(ui: &mut Ui, name: &str, hint: &str, control: impl FnOnce(&mut Ui)) {
    ui.allocate_ui_with_layout(vec2(ui.available_width(), ROW), Layout::right_to_left(Align::Center), |ui| {
        control(ui);
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let color = theme::palette(ui).text;
            label(ui, name, theme::small(), color).on_hover_text(hint);
        });
    });
}

/// A number of which 0 leaves it to the engine.
fn count(ui: &mut Ui, name: &str, value: &mut u32, most: u32, speed: f64) {
    let drag = DragValue::new(value)
        .range(0..=most)
        .speed(speed)
        .custom_formatter(|number, _| if number == 0.0 { "auto".into() } else { format!("{number:.0}") })
        .custom_parser(|text| if text.trim().eq_ignore_ascii_case("auto") { Some(0.0) } else { text.trim().replace(',', "").parse().ok() });
    drag_value(ui, name, drag);
}

fn drag_value(ui: &mut Ui, name: &str, drag: DragValue<'_>) -> bool {
    ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
    ui.add_sized(vec2(CONTROL, ROW - 2.0), drag).accessible_name(name).changed()
}

fn cache(ui: &mut Ui, name: &str, value: &mut CacheType) {
    let combo = ComboBox::from_id_salt(name).width(CONTROL).selected_text(value.name()).icon(chevron).show_ui(ui, |ui| {
        for kind in CacheType::ALL {
            ui.selectable_value(value, kind, kind.name());
        }
    });
    combo.response.accessible_name(name);
}

/// A part of the sampler, which the model recommends where nothing is set here.
fn sampled<N: Numeric>(
    ui: &mut Ui,
    number: usize,
    what: &str,
    hint: &str,
    value: &mut Option<N>,
    range: std::ops::RangeInclusive<N>,
    speed: f64,
) {
    row(ui, what, hint, |ui| {
        let is_set = value.is_some();
        let mut now = value.unwrap_or(*range.start());
        let drag = DragValue::new(&mut now).range(range).speed(speed).max_decimals(if N::INTEGRAL { 0 } else { 3 });
        let drag = if is_set { drag } else { drag.custom_formatter(|_, _| "model's".into()) };
        if drag_value(ui, &format!("{what} of design {number}"), drag) {
            *value = Some(now);
        }
        let reset = format!("Leave {} of design {number} to the model", what.to_lowercase());
        if is_set && ui.add(icon_button(Icon::Refresh, &reset).side(22.0)).clicked() {
            *value = None;
        }
    });
}
