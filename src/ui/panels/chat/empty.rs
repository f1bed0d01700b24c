//! What the page says while there is nothing to read: no model, a model on its way, or a chat that has not begun.

use egui::{Align, Label, Layout, Response, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::{Action, Activity, AppState, EngineState, Loading};
use crate::library::RungState;
use crate::measure::format::{bytes, seconds};
use crate::ui::theme::{self, PANEL_RADIUS};
use crate::ui::widgets::{Progress, elided, empty_state, focus_ring, label, muted, row_surface, wrapped};

/// Least height of the page, in points.
pub const LEAST: f32 = 300.0;
/// Files offered on a page without a model.
const OFFERED: usize = 4;

/// A question that shows something about a design: what it is called, what it shows, the question.
pub const SUGGESTIONS: [(&str, &str, &str); 3] = [
    (
        "What makes inference slow?",
        "A short answer: watch the time to the first token",
        "In three short points: what makes running a language model slow, and what would you try first?",
    ),
    (
        "Tell a long story",
        "Several hundred tokens: watch the rate settle, then switch the rung midway",
        "Tell the story of a lighthouse keeper who repairs an old calculating machine. Take your time: about 500 words.",
    ),
    (
        "Write and explain code",
        "Exact work: compare what a smaller rung gets wrong",
        "Write a Python function that merges overlapping intervals, with three test cases, then explain how it works step by step.",
    ),
];

/// Paints the page for a chat without messages.
pub fn empty(ui: &mut Ui, state: &AppState, now: f64, actions: &mut Vec<Action>) {
    match (&state.activity, &state.loaded) {
        (Activity::Loading(loading), _) => loading_page(ui, loading, now, actions),
        (_, None) if state.crash.is_some() => {}
        (_, None) => no_model(ui, state, actions),
        (_, Some(report)) => suggestions(ui, &state.model_name(&report.info), actions),
    }
}

fn loading_page(ui: &mut Ui, loading: &Loading, now: f64, actions: &mut Vec<Action>) {
    centred(ui, 420.0, |ui| {
        load_progress(ui, loading, now, actions);
        ui.add_space(6.0);
        muted(ui, "What you send now is answered as soon as it is ready");
    });
}

/// How far a load is, how long it still takes, and its Cancel button. `now`: seconds since the application began.
pub fn load_progress(ui: &mut Ui, loading: &Loading, now: f64, actions: &mut Vec<Action>) {
    let name = loading.design.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let words = if loading.stopping { "Stopping".to_owned() } else { format!("Loading {name}") };
    let left = time_left(now - loading.since, f64::from(loading.fraction));
    let mut progress = Progress::new(&words, Some(loading.fraction));
    if !loading.stopping {
        progress = progress.cancellable();
        if let Some(left) = &left {
            progress = progress.left(left);
        }
    }
    if progress.show(ui).cancelled {
        actions.push(Action::Stop);
    }
}

/// How long the rest takes if it goes on as so far; nothing while that would be a guess.
fn time_left(took: f64, fraction: f64) -> Option<String> {
    (took >= 0.5 && (0.05..1.0).contains(&fraction)).then(|| format!("about {} left", seconds(took / fraction * (1.0 - fraction))))
}

fn no_model(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let sentence = match state.engine {
        EngineState::Starting => {
            "The engine is starting. Open a GGUF file, or drop one onto this window: it is loaded as soon as the engine is there"
        }
        EngineState::Up { .. } => {
            "A conversation with a model on this machine appears here. Open a GGUF file, or drop one onto this window"
        }
    };
    if empty_state(ui, "Which model would you like to run?", sentence, Some("Open a model…")) {
        actions.push(Action::PickModel);
    }
    let files = state.library.families.iter().flat_map(|family| {
        family.rungs.iter().filter_map(move |rung| match &rung.state {
            RungState::OnDisk { path, size, .. } => Some((&family.name, &rung.quant, path, *size)),
            _ => None,
        })
    });
    let files: Vec<_> = files.take(OFFERED).collect();
    if files.is_empty() {
        return;
    }
    ui.add_space(20.0);
    column(ui, 420.0, |ui| {
        ui.spacing_mut().item_spacing.y = 6.0;
        muted(ui, "On this machine");
        for (family, quant, path, size) in files {
            if offer(ui, &format!("{family} {quant}"), &bytes(size)).clicked() {
                actions.push(Action::OpenModel(path.clone()));
            }
        }
    });
}

fn suggestions(ui: &mut Ui, model: &str, actions: &mut Vec<Action>) {
    let height = 60.0 + SUGGESTIONS.len() as f32 * 70.0;
    ui.add_space(((ui.available_height() - height) * 0.42).max(12.0));
    column(ui, 520.0, |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        let color = theme::palette(ui).text;
        wrapped(ui, format!("What would you like to ask {model}?"), theme::title(), color);
        ui.add_space(6.0);
        for (name, shows, question) in SUGGESTIONS {
            if offer(ui, name, shows).on_hover_text(question).clicked() {
                actions.push(Action::SetDraft(question.to_owned()));
                actions.push(Action::Send);
            }
        }
    });
}

/// A large button of two lines.
fn offer(ui: &mut Ui, name: &str, note: &str) -> Response {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 58.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), name));
    let stroke = egui::Stroke::new(palette.border_width(), if response.hovered() { palette.faint } else { palette.hairline });
    ui.painter().rect(rect, f32::from(PANEL_RADIUS), palette.panel, stroke, egui::StrokeKind::Inside);
    row_surface(ui, rect.shrink(1.0), false, response.hovered());
    let name = elided(ui, name, theme::body(), palette.text, rect.width() - 28.0);
    let note = elided(ui, note, theme::small(), palette.muted, rect.width() - 28.0);
    ui.painter().galley(rect.min + vec2(14.0, 10.0), name, palette.text);
    ui.painter().galley(rect.min + vec2(14.0, 31.0), note, palette.muted);
    focus_ring(ui, &response, PANEL_RADIUS);
    response
}

/// Says one thing in the middle of the page.
pub fn say(ui: &mut Ui, words: &str) {
    centred(ui, 420.0, |ui| {
        let color = theme::palette(ui).muted;
        ui.with_layout(Layout::top_down(Align::Center), |ui| {
            ui.add(Label::new(RichText::new(words).font(theme::body()).color(color)).wrap())
        });
    });
}

/// What a notebook is, when it is empty.
pub fn notebook_words(ui: &mut Ui) {
    let palette = theme::palette(ui);
    label(ui, "Notebook", theme::body_strong(), palette.text);
    wrapped(
        ui,
        "The model continues this text exactly as it stands: no roles, no chat template, no system prompt",
        theme::small(),
        palette.muted,
    );
}

fn centred(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    ui.add_space((ui.available_height() * 0.4 - 20.0).max(12.0));
    column(ui, width, add);
}

fn column(ui: &mut Ui, width: f32, add: impl FnOnce(&mut Ui)) {
    let width = width.min(ui.available_width() - 32.0).max(80.0);
    super::transcript::column(ui, width, add);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_said_once_it_can_be_known() {
        assert_eq!(time_left(0.1, 0.5), None);
        assert_eq!(time_left(10.0, 0.01), None);
        assert_eq!(time_left(2.0, 0.25).as_deref(), Some("about 6.0 s left"));
        assert_eq!(time_left(2.0, 1.0), None);
    }
}
