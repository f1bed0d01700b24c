//! The default sampler: every parameter with the value in force, who set it, and a way back.

use egui::emath::Numeric;
use egui::{Align, DragValue, Layout, Ui, vec2};

use crate::app::{Action, AppState};
use crate::protocol::{Sampler, SamplerOverrides, SamplingDefaults};
use crate::ui::theme;
use crate::ui::widgets::{Icon, Tone, icon_button, label, muted, pill};

/// One parameter, and how to set it.
struct Row<'a, N> {
    name: &'a str,
    hint: &'a str,
    user: &'a mut Option<N>,
    model: Option<N>,
    default: N,
    range: std::ops::RangeInclusive<N>,
    speed: f64,
}

/// Paints the parameters; a change by hand beats the model's recommendation, which beats llama.cpp's default.
pub(in crate::ui) fn sampler_rows(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let mut user = state.settings.sampler.clone();
    let model = state.sampling_defaults();
    muted(ui, "In the order llama.cpp applies them. A value set here beats the model's own, which beats llama.cpp's default");
    rows(ui, &mut user, &model);
    if user != state.settings.sampler {
        actions.push(Action::SetSampler(Box::new(user)));
    }
}

#[expect(clippy::too_many_lines, reason = "one parameter after the other: a table, read as one")]
fn rows(ui: &mut Ui, user: &mut SamplerOverrides, model: &SamplingDefaults) {
    let d = Sampler::default();
    let none = None;
    row(
        ui,
        Row {
            name: "Repeat penalty",
            hint: "Above 1 makes tokens that occurred less likely; 1 is off",
            user: &mut user.repeat_penalty,
            model: model.repeat_penalty,
            default: d.repeat_penalty,
            range: 0.0..=4.0,
            speed: 0.01,
        },
    );
    row(
        ui,
        Row {
            name: "Presence penalty",
            hint: "Taken from every token that occurred at all; 0 is off",
            user: &mut user.presence_penalty,
            model: none,
            default: d.presence_penalty,
            range: -2.0..=2.0,
            speed: 0.01,
        },
    );
    row(
        ui,
        Row {
            name: "Frequency penalty",
            hint: "Taken from a token each time it occurred; 0 is off",
            user: &mut user.frequency_penalty,
            model: none,
            default: d.frequency_penalty,
            range: -2.0..=2.0,
            speed: 0.01,
        },
    );
    row(
        ui,
        Row {
            name: "Penalties look back",
            hint: "Tokens; -1 is the whole context",
            user: &mut user.penalty_last_n,
            model: model.penalty_last_n,
            default: d.penalty_last_n,
            range: -1..=65_536,
            speed: 0.5,
        },
    );
    row(
        ui,
        Row {
            name: "Top-k",
            hint: "Keeps this many of the most likely tokens; 0 keeps all",
            user: &mut user.top_k,
            model: model.top_k,
            default: d.top_k,
            range: 0..=10_000,
            speed: 0.2,
        },
    );
    row(
        ui,
        Row {
            name: "Top-p",
            hint: "Keeps the most likely tokens that together reach this probability; 1 keeps all",
            user: &mut user.top_p,
            model: model.top_p,
            default: d.top_p,
            range: 0.0..=1.0,
            speed: 0.005,
        },
    );
    row(
        ui,
        Row {
            name: "Min-p",
            hint: "Drops tokens less likely than this part of the most likely one; 0 keeps all",
            user: &mut user.min_p,
            model: model.min_p,
            default: d.min_p,
            range: 0.0..=1.0,
            speed: 0.005,
        },
    );
    row(
        ui,
        Row {
            name: "Temperature",
            hint: "Below 1 sharpens, above 1 flattens; 0 always takes the most likely token",
            user: &mut user.temperature,
            model: model.temperature,
            default: d.temperature,
            range: 0.0..=5.0,
            speed: 0.01,
        },
    );
    row(
        ui,
        Row {
            name: "Seed",
            hint: "The same seed draws the same reply; random draws a fresh one each time, which the reply reports",
            user: &mut user.seed,
            model: None,
            default: d.seed,
            range: 0..=u32::MAX,
            speed: 1.0,
        },
    );
}

fn row<N: Numeric>(ui: &mut Ui, row: Row<'_, N>) {
    let palette = theme::palette(ui);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
        let is_users = row.user.is_some();
        if is_users {
            if ui.add(icon_button(Icon::Refresh, "Back to the default")).accessible_name(format!("Reset {}", row.name)).clicked() {
                *row.user = None;
            }
        } else {
            ui.add_space(28.0 + ui.spacing().item_spacing.x);
        }
        let mut value = row.user.or(row.model).unwrap_or(row.default);
        let drag = DragValue::new(&mut value).range(row.range).speed(row.speed);
        let drag = if N::INTEGRAL { drag.fixed_decimals(0) } else { drag.max_decimals(3) };
        let is_seed = row.name == "Seed";
        let drag = if is_seed {
            let random = f64::from(u32::MAX);
            drag.custom_formatter(move |number, _| if number >= random { "random".into() } else { format!("{number:.0}") })
                .custom_parser(move |text| if text.trim().eq_ignore_ascii_case("random") { Some(random) } else { text.trim().parse().ok() })
        } else {
            drag
        };
        ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
        if ui.add_sized(vec2(96.0, 28.0), drag).accessible_name(row.name).changed() {
            *row.user = Some(value);
        }
        match (is_users, row.model.is_some()) {
            (true, _) => pill(ui, "set by you", Tone::Accent),
            (false, true) => pill(ui, "from the model", Tone::Neutral),
            (false, false) => pill(ui, "default", Tone::Neutral),
        };
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            label(ui, row.name, theme::body(), palette.text).on_hover_text(row.hint);
        });
    });
}
