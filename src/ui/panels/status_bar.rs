//! The line at the bottom: the engine, what it was built from, how full its cache is, and what is not safe yet.

use egui::{Align, Layout, Response, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState, EngineState};
use crate::measure::format;
use crate::protocol::EngineFacts;
use crate::ui::parts::ladder;
use crate::ui::shortcuts::ShortcutTargets;
use crate::ui::theme;
use crate::ui::widgets::{elided, ghost_button, muted};

/// CPU features worth naming, the most telling first, with the word for the bar.
const FEATURES: [(&str, &str); 7] = [
    ("AMX_INT8", "AMX"),
    ("AVX512_BF16", "AVX-512"),
    ("AVX512", "AVX-512"),
    ("AVX2", "AVX2"),
    ("AVX", "AVX"),
    ("SVE", "SVE"),
    ("NEON", "NEON"),
];

/// The best instruction set the engine uses, in a word (`AMX`, `AVX-512`, `AVX2`); `None` when it names none that is known.
pub fn best_cpu_feature(facts: &EngineFacts) -> Option<&'static str> {
    FEATURES.into_iter().find(|(flag, _)| facts.cpu_features.iter().any(|known| known.eq_ignore_ascii_case(flag))).map(|(_, word)| word)
}

/// Paints the bar. Opening the palette and the log are asked for through `targets`.
pub fn status_bar(ui: &mut Ui, state: &AppState, targets: &mut ShortcutTargets, actions: &mut Vec<Action>) {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if ui.add(ghost_button("Ctrl+K commands").height(22.0)).on_hover_text("Everything that can be done, by name").clicked() {
            targets.palette = true;
        }
        if ui.add(ghost_button("Log").height(22.0)).on_hover_text("What the engine wrote").clicked() {
            targets.log = true;
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 20.0;
            // what needs somebody comes before what is good to know
            unsaved(ui, state);
            engine(ui, state);
            making(ui, state, actions);
            cache(ui, state);
        });
    });
}

fn engine(ui: &mut Ui, state: &AppState) {
    let palette = theme::palette(ui);
    match &state.engine {
        EngineState::Up { pid, facts } => {
            let hover = format!(
                "The engine is a process of its own, so that nothing it does can take the window down\n{} {}, {}",
                facts.name, facts.build, facts.commit
            );
            dot(ui, palette.good, &format!("Engine running, pid {pid}")).on_hover_text(hover);
            let build = match best_cpu_feature(facts) {
                Some(feature) => format!("{} {}, {feature}", facts.name, facts.build),
                None => format!("{} {}", facts.name, facts.build),
            };
            said(ui, &build, &format!("CPU features in use: {}", facts.cpu_features.join(", ")));
        }
        EngineState::Starting if state.crash.as_ref().is_some_and(|crash| crash.is_death) => {
            dot(ui, palette.limit, "Engine ended").on_hover_text("The card on the page says why and goes on");
        }
        EngineState::Starting => {
            dot(ui, palette.event, "Engine starting");
        }
    }
}

/// A coloured dot and words.
fn dot(ui: &mut Ui, color: egui::Color32, words: &str) -> Response {
    let palette = theme::palette(ui);
    let galley = elided(ui, words, theme::small(), palette.muted, (ui.available_width() - 14.0).max(0.0));
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x + 14.0, 20.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, words));
    ui.painter().circle_filled(pos2(rect.left() + 4.0, rect.center().y), 4.0, color);
    ui.painter().galley(pos2(rect.left() + 14.0, rect.center().y - galley.size().y / 2.0), galley, palette.muted);
    response
}

fn cache(ui: &mut Ui, state: &AppState) {
    let Some(report) = &state.loaded else { return };
    let n_ctx = format::count(u64::from(report.effective.n_ctx));
    // what another model, or this one before it was loaded, said of its cache is not so any more
    let has_replied = state.telemetry.ttft_ms.is_some();
    let last = state.chats.open.as_ref().filter(|_| has_replied);
    let last = last.and_then(|open| open.shown().filter_map(|message| message.stats.as_ref()).last());
    let words = match last {
        Some(stats) => {
            let used = format::count(u64::from(stats.kv_used));
            format!("KV {used} / {n_ctx} tokens, {} reused", format::count(u64::from(stats.cached_tokens)))
        }
        None => format!("KV {n_ctx} tokens"),
    };
    let hover = "Tokens in the key/value cache after the last reply, of those it can hold; reused are the prompt tokens of that reply that \
                 were still in the cache and were not computed again";
    said(ui, &words, hover);
}

/// Muted words, where there is room for all of them.
fn said(ui: &mut Ui, words: &str, hover: &str) {
    let width = ui.painter().layout_no_wrap(words.to_owned(), theme::small(), theme::palette(ui).muted).size().x;
    if width <= ui.available_width() {
        muted(ui, words).on_hover_text(hover);
    }
}

fn making(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let Some(making) = &state.making else { return };
    let words = format!("Making {}, {}", making.quant, format::percent(f64::from(making.fraction)));
    said(ui, &words, &format!("From {}", ladder::file_name(&making.request.source)));
    if ui.available_width() > 110.0 && ui.add(ghost_button("Cancel making").height(22.0)).clicked() {
        actions.push(Action::CancelMake);
    }
}

fn unsaved(ui: &mut Ui, state: &AppState) {
    if let Some(error) = &state.unsaved {
        let color = theme::palette(ui).event;
        dot(ui, color, "Not saved").on_hover_text(format!("{error}\nIt is kept in memory and tried again"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_feature_is_named() {
        let facts =
            |features: &[&str]| EngineFacts { cpu_features: features.iter().map(|f| (*f).into()).collect(), ..EngineFacts::default() };
        assert_eq!(best_cpu_feature(&facts(&["SSE3", "AVX2", "AVX512"])), Some("AVX-512"));
        assert_eq!(best_cpu_feature(&facts(&["AVX2", "AMX_INT8"])), Some("AMX"));
        assert_eq!(best_cpu_feature(&facts(&["LLAMAFILE"])), None);
    }
}
