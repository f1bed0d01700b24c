//! The design editor: every setting as asked for beside what it became, with the reason where they differ.

use egui::{Align, ComboBox, DragValue, Layout, ScrollArea, Ui, vec2};

use super::{keep_warm, saved_designs};
use crate::app::{Action, AppState, EngineState};
use crate::measure::format;
use crate::protocol::{CacheType, Design, FlashAttention, Setting};
use crate::ui::theme::{self, CONTROL_HEIGHT};
use crate::ui::widgets::{
    Icon, elided, ghost_button, hairline, icon_button, label, muted, paint_icon, primary_button, secondary_button, segmented, title,
    toggle, wrapped,
};

/// Width of the editor, points.
pub const WIDTH: f32 = 460.0;
const LABEL_WIDTH: f32 = 150.0;
const EFFECTIVE_WIDTH: f32 = 110.0;
const FIELD_WIDTH: f32 = 120.0;

/// The design as edited.
#[derive(Clone, Debug, Default)]
pub struct DesignEditorView {
    /// What the draft was made from, to notice when another design took over
    base: Option<Design>,
    draft: Design,
    list_was_open: bool,
    /// A name that is typed for the design
    name: String,
}

impl DesignEditorView {
    /// Drops what was edited and not applied.
    pub fn forget(&mut self) {
        self.base = None;
    }

    /// Whether a list of one of the fields was open in the last frame (a press outside then closes that list, not the editor).
    pub(in crate::ui) fn had_list_open(&mut self, ctx: &egui::Context) -> bool {
        std::mem::replace(&mut self.list_was_open, egui::Popup::is_any_open(ctx))
    }

    fn follow(&mut self, design: &Design) {
        if self.base.as_ref() != Some(design) {
            self.base = Some(design.clone());
            self.draft = design.clone();
        }
    }
}

/// Paints the editor; true when it is done with and can be closed.
pub fn design_editor(ui: &mut Ui, state: &AppState, view: &mut DesignEditorView, actions: &mut Vec<Action>) -> bool {
    let Some(design) = state.design().or(state.settings.last_design.as_ref()) else {
        muted(ui, "Load a model first: a design belongs to a model file");
        return false;
    };
    view.follow(design);
    let mut done = false;
    ui.horizontal(|ui| {
        title(ui, "Design");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            done = ui.add(icon_button(Icon::Close, "Close the design editor")).clicked();
        });
    });
    let room = (ui.ctx().content_rect().height() - 300.0).max(64.0);
    ScrollArea::vertical().max_height(room).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        head(ui);
        rows(ui, state, &mut view.draft);
        ui.add_space(8.0);
        hairline(ui);
        ui.add_space(4.0);
        keep_warm::keep_warm(ui, state, actions);
        ui.add_space(8.0);
        hairline(ui);
        ui.add_space(4.0);
        ui.horizontal(|ui| saved_designs::save_field(ui, state, &mut view.name, 240.0, actions));
    });
    ui.add_space(4.0);
    hairline(ui);
    ui.add_space(4.0);
    done | footer(ui, state, view, actions)
}

fn head(ui: &mut Ui) {
    ui.horizontal(|ui| {
        ui.add_sized(vec2(LABEL_WIDTH, 16.0), |ui: &mut Ui| muted(ui, ""));
        muted(ui, "asked for");
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| muted(ui, "in force"));
    });
}

fn rows(ui: &mut Ui, state: &AppState, draft: &mut Design) {
    let trained = state.loaded.as_ref().map_or(0, |report| report.info.n_ctx_train);
    let most_ctx = trained.saturating_mul(4).max(131_072);
    let context = "Tokens of context, for the prompt and the reply together. Auto is the smaller of what the model was trained for and 4,096; \
                   beyond what it was trained for answers get worse";
    row(ui, state, "Context", "n_ctx", context, |ui| number(ui, "Context", &mut draft.n_ctx, 0..=most_ctx, 64.0, true));
    row(ui, state, "Threads", "threads", "CPU threads that decode. Auto is the physical cores this process may use", |ui| {
        number(ui, "Threads", &mut draft.threads, 0..=256, 0.1, true);
    });
    row(ui, state, "Batch threads", "threads_batch", "CPU threads that read the prompt. Auto is as many as decode", |ui| {
        number(ui, "Batch threads", &mut draft.threads_batch, 0..=256, 0.1, true);
    });
    row(ui, state, "Batch", "n_batch", "Most prompt tokens handed over in one call (logical batch)", |ui| {
        number(ui, "Batch", &mut draft.n_batch, 1..=65_536, 16.0, false);
    });
    let ubatch = "Most tokens computed at once (physical batch). Larger reads prompts faster and takes more memory for compute";
    row(ui, state, "Micro-batch", "n_ubatch", ubatch, |ui| number(ui, "Micro-batch", &mut draft.n_ubatch, 1..=65_536, 16.0, false));
    row(ui, state, "Key cache", "type_k", "Type of the cached keys. Fewer bits take less memory and bandwidth, and lose a little", |ui| {
        cache_type(ui, "Key cache", &mut draft.type_k);
    });
    let value = "Type of the cached values. Anything but f32, f16 and bf16 needs flash attention";
    row(ui, state, "Value cache", "type_v", value, |ui| cache_type(ui, "Value cache", &mut draft.type_v));
    if draft.type_v.is_quantized() && draft.flash_attention == FlashAttention::Off {
        note(ui, "llama.cpp needs flash attention for this value cache: leave it on auto or turn it on");
    }
    row(ui, state, "Flash attention", "flash_attention", "Fused attention: less memory, often faster. Auto leaves it to llama.cpp", |ui| {
        let options = [(FlashAttention::Auto, "Auto"), (FlashAttention::On, "On"), (FlashAttention::Off, "Off")];
        segmented(ui, "Flash attention", &mut draft.flash_attention, &options);
    });
    if has_gpu(state) {
        row(ui, state, "GPU layers", "gpu_layers", "Layers computed on the device; -1 is all that it takes", |ui| {
            number(ui, "GPU layers", &mut draft.gpu_layers, -1..=999, 0.2, false);
        });
    }
    row(ui, state, "Map the file", "mmap", "Weights are mapped from the file: loads at once, and the system may drop their pages", |ui| {
        toggle(ui, &mut draft.mmap, "Map the file");
    });
    let repack = "Weights are copied into the layouts that the processor's kernels read fastest: more memory where the file is mapped";
    row(ui, state, "Repack weights", "repack", repack, |ui| {
        toggle(ui, &mut draft.repack, "Repack weights");
    });
    row(ui, state, "Lock in memory", "mlock", "Weights are kept from being paged out; the system's limit must allow it", |ui| {
        toggle(ui, &mut draft.mlock, "Lock in memory");
    });
}

/// Whether the engine names a device that is not the CPU.
pub(in crate::ui) fn has_gpu(state: &AppState) -> bool {
    match &state.engine {
        EngineState::Up { facts, .. } => facts.devices.iter().any(|device| matches!(device.kind.as_str(), "gpu" | "igpu")),
        EngineState::Starting => false,
    }
}

/// A setting: its name, its control, what is in force, and under them why the two differ.
fn row<R>(ui: &mut Ui, state: &AppState, label: &str, field: &str, hint: &str, control: impl FnOnce(&mut Ui) -> R) {
    let palette = theme::palette(ui);
    let setting: Option<&Setting> = state.loaded.iter().flat_map(|report| &report.effective.settings).find(|setting| setting.name == field);
    let differs = setting.is_some_and(|setting| !setting.reason.is_empty());
    ui.allocate_ui_with_layout(vec2(ui.available_width(), CONTROL_HEIGHT), Layout::left_to_right(Align::Center), |ui| {
        let words = elided(ui, label, theme::body(), palette.text, LABEL_WIDTH);
        let (rect, response) = ui.allocate_exact_size(vec2(LABEL_WIDTH, CONTROL_HEIGHT), egui::Sense::hover());
        ui.painter().galley(egui::pos2(rect.left(), rect.center().y - words.size().y / 2.0), words, palette.text);
        response.on_hover_text(hint);
        control(ui);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let value = setting.map_or(format::ABSENT, |setting| setting.effective.as_str());
            let ink = if setting.is_some_and(crate::protocol::Setting::is_otherwise) { palette.event } else { palette.muted };
            let galley = elided(ui, value, theme::mono(), ink, EFFECTIVE_WIDTH);
            let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x.max(24.0), CONTROL_HEIGHT), egui::Sense::hover());
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{label} in force: {value}")));
            ui.painter().galley(egui::pos2(rect.right() - galley.size().x, rect.center().y - galley.size().y / 2.0), galley, ink);
            response.on_hover_text(match setting {
                Some(_) => "Read back from the engine after the load",
                None => "Nothing is loaded, so nothing is in force",
            });
        });
    });
    if let Some(setting) = setting.filter(|_| differs) {
        note(ui, &setting.reason);
    }
}

fn note(ui: &mut Ui, words: &str) {
    let color = theme::palette(ui).event;
    ui.horizontal(|ui| {
        ui.add_space(LABEL_WIDTH + ui.spacing().item_spacing.x);
        ui.vertical(|ui| wrapped(ui, words, theme::small(), color));
    });
}

fn number<N: egui::emath::Numeric>(
    ui: &mut Ui,
    name: &str,
    value: &mut N,
    range: std::ops::RangeInclusive<N>,
    speed: f64,
    zero_is_auto: bool,
) {
    let mut drag = DragValue::new(value).range(range).speed(speed);
    if zero_is_auto {
        drag =
            drag.custom_formatter(|number, _| if number == 0.0 { "auto".into() } else { format!("{number:.0}") }).custom_parser(|text| {
                if text.trim().eq_ignore_ascii_case("auto") { Some(0.0) } else { text.trim().replace(',', "").parse().ok() }
            });
    }
    ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
    ui.add_sized(vec2(FIELD_WIDTH, 28.0), drag).accessible_name(name);
}

fn cache_type(ui: &mut Ui, name: &str, value: &mut CacheType) {
    let before = *value;
    let combo = ComboBox::from_id_salt(("cache type", name))
        .width(FIELD_WIDTH)
        .selected_text(egui::RichText::new(before.name()).font(theme::mono()))
        .icon(|ui, rect, visuals, _open| paint_icon(ui.painter(), Icon::ChevronDown, rect.expand(1.0), visuals.fg_stroke.color));
    let response = combo.show_ui(ui, |ui| {
        for option in CacheType::ALL {
            let (elements, bytes) = option.block();
            let bits = bytes as f64 * 8.0 / elements as f64;
            let words = egui::RichText::new(option.name()).font(theme::mono());
            ui.selectable_value(value, option, words).on_hover_text(format!("{bits} bits per element"));
        }
    });
    response.response.accessible_name(name);
}

/// What the design would take and whether it fits, before anybody loads it; and what fits instead.
fn prediction(ui: &mut Ui, state: &AppState, draft: &mut Design, actions: &mut Vec<Action>) {
    let known = state.prediction.as_ref().filter(|prediction| prediction.design == *draft);
    if known.is_none() {
        actions.push(Action::PredictDesign(Box::new(draft.clone())));
    }
    let palette = theme::palette(ui);
    let shown = known.or(state.prediction.as_ref()).filter(|prediction| prediction.design.model == draft.model);
    let inspection = match shown.and_then(|prediction| prediction.result.as_ref()) {
        None => {
            muted(ui, "Memory: looking at the file");
            return;
        }
        Some(Err(error)) => {
            wrapped(ui, format!("Memory cannot be foretold: {error}"), theme::small(), palette.event);
            return;
        }
        Some(Ok(inspection)) => inspection,
    };
    let estimate = &inspection.estimate;
    let (need, have) = (estimate.memory.total(), estimate.available.saturating_add(estimate.freed_by_unload));
    let (verdict, ink) = if estimate.fits { ("fits", palette.good) } else { ("does not fit", palette.limit) };
    let words = format!("≈ {} of {}: {verdict}", format::bytes(need), format::bytes(have));
    let hover = format!(
        "Predicted from the file's header (an estimate): weights {}, KV cache {}, compute {}\nOf what can be had: {} available, {} freed by \
         unloading what is loaded",
        format::bytes(estimate.memory.weights),
        format::bytes(estimate.memory.kv),
        format::bytes(estimate.memory.compute),
        format::bytes(estimate.available),
        format::bytes(estimate.freed_by_unload)
    );
    ui.horizontal(|ui| {
        muted(ui, "Memory").on_hover_text(&hover);
        let line = label(ui, words.clone(), theme::mono(), ink).on_hover_text(&hover);
        line.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, format!("Memory of this design {words}")));
    });
    if let Some(nearest) = inspection.nearest.as_ref().filter(|_| !estimate.fits) {
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.add(ghost_button("Use that")).accessible_name("Use the nearest design that fits").clicked() {
                    *draft = nearest.design.clone();
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    label(ui, &nearest.words, theme::small(), palette.text).on_hover_text(&nearest.words);
                });
            });
        });
    }
}

fn footer(ui: &mut Ui, state: &AppState, view: &mut DesignEditorView, actions: &mut Vec<Action>) -> bool {
    prediction(ui, state, &mut view.draft, actions);
    let mut done = false;
    let changed = view.base.as_ref().is_some_and(|base| base.needs_reload(&view.draft));
    let nothing_loaded = state.loaded.is_none();
    ui.horizontal(|ui| {
        let defaults = Design { model: view.draft.model.clone(), sampler: view.draft.sampler.clone(), extra: view.draft.extra.clone(), ..Design::default() };
        if ui.add_enabled(view.draft != defaults, secondary_button("Reset")).on_hover_text("Set every setting to its default").clicked() {
            view.draft = defaults;
        }
        if changed && ui.add(ghost_button("Discard changes").height(CONTROL_HEIGHT)).clicked() {
            view.forget();
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let words = if nothing_loaded { "Apply and load" } else { "Apply and reload" };
            let hint = "Loads the model again with these settings, after checking that they fit in memory. The chat stays; a reply that runs is \
                        stopped and gone on with";
            let enabled = (changed || nothing_loaded) && state.loading().is_none();
            if ui.add_enabled(enabled, primary_button(words)).on_hover_text(hint).clicked() {
                actions.push(Action::ApplyDesign(Box::new(view.draft.clone())));
                view.forget();
                done = true;
            }
        });
    });
    done
}
