//! The Quality page: what a rung costs against a better one, on the user's own text, token by token.

mod earlier;
mod ladder;
mod prompts;
mod setup;
mod tiles;
mod tokens;
mod words;

use egui::{Frame, Margin, ScrollArea, Ui};

use crate::app::quality::{Comparison, Phase};
use crate::app::{Action, AppState, QualityAction, QualityForm};
use crate::measure::format;
use crate::ui::theme::PAGE_MARGIN;
use crate::ui::widgets::{
    Chip, ErrorCard, HeatMap, Icon, Progress, card, danger_button, empty_state, icon_button, page_header, secondary_button,
};

/// What the page remembers between frames.
#[derive(Default)]
pub struct QualityView {
    setup: setup::SetupView,
    earlier: earlier::EarlierView,
    heat: HeatMap,
    /// The token that was brought into view
    revealed: Option<usize>,
    by_speed: bool,
}

/// Paints the page.
pub fn quality_page(ui: &mut Ui, state: &AppState, view: &mut QualityView, now: f64, actions: &mut Vec<Action>) {
    ScrollArea::vertical().id_salt("quality page").auto_shrink([false, false]).show(ui, |ui| {
        Frame::new().inner_margin(Margin::same(PAGE_MARGIN as i8)).show(ui, |ui| match &state.quality.comparison {
            None if state.quality_reference().is_none() => nothing(ui, state, actions),
            None => {
                setup::setup(ui, state, view, actions);
                ui.add_space(4.0);
                ladder::ladder(ui, state, None, &mut view.by_speed, actions);
            }
            Some(comparison) => result(ui, state, comparison, view, now, actions),
        });
    });
}

fn ask(actions: &mut Vec<Action>, action: QualityAction) {
    actions.push(Action::Quality(action));
}

/// There is nothing to compare yet.
fn nothing(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    page_header(ui, "What does a smaller rung cost?", "", |_| {});
    if state.library.is_scanning {
        crate::ui::widgets::muted(ui, "Looking for models…");
        return;
    }
    let sentence =
        "Two quantization levels of a model read the same text, and every token shows how far the smaller one strays. Open a model first";
    if empty_state(ui, "No model to compare", sentence, Some("Open a model…")) {
        actions.push(Action::PickModel);
    }
}

fn result(ui: &mut Ui, state: &AppState, comparison: &Comparison, view: &mut QualityView, now: f64, actions: &mut Vec<Action>) {
    header(ui, state, comparison, view, actions);
    ui.add_space(4.0);
    if comparison.is_running() {
        progress(ui, comparison, now);
    }
    if let Some(error) = &comparison.error {
        let kept = if comparison.has_results() { "What was measured before is kept below. " } else { "" };
        let sentence = format!("{kept}{error}");
        ui.add_space(4.0);
        let shown = ErrorCard::new("The comparison did not get to its end", &sentence)
            .details(&error.details)
            .buttons(&["Try again", "Set it up anew"])
            .show(ui, "quality");
        match shown.button {
            Some(0) => ask(actions, QualityAction::Measure),
            Some(_) => ask(actions, QualityAction::Clear),
            None => {}
        }
    }
    if !comparison.has_results() {
        return;
    }
    if comparison.candidates.len() > 1 {
        ui.add_space(4.0);
        candidates(ui, state, comparison, actions);
    }
    ui.add_space(8.0);
    tiles::tiles(ui, state, comparison, actions);
    ui.add_space(6.0);
    tokens::tokens(ui, state, comparison, view, actions);
    ui.add_space(6.0);
    ladder::ladder(ui, state, Some(comparison), &mut view.by_speed, actions);
}

fn header(ui: &mut Ui, state: &AppState, comparison: &Comparison, view: &mut QualityView, actions: &mut Vec<Action>) {
    let name = state.quality.candidate().map_or("it", |candidate| candidate.name.as_str());
    let narrow = ui.available_width() < 640.0;
    let question = format!("What does {name} cost against {}?", comparison.reference_name);
    page_header(ui, &question, &words::sentence(comparison, state.quality.candidate()), |ui| {
        if comparison.is_running() {
            let words = if comparison.stopping { "Stopping…" } else { "Stop" };
            let stop = ui.add_enabled(!comparison.stopping, danger_button(words));
            if stop.on_hover_text("End the comparison, what is measured stays (Esc)").clicked() {
                ask(actions, QualityAction::Stop);
            }
            return;
        }
        let words = "Compare something else";
        let again = if narrow { ui.add(icon_button(Icon::Plus, words).side(32.0)) } else { ui.add(secondary_button(words)) };
        if again.clicked() {
            ask(actions, QualityAction::Clear);
        }
        earlier::earlier(ui, state, &mut view.earlier, narrow, actions);
        export(ui, comparison, actions);
    });
}

fn export(ui: &mut Ui, comparison: &Comparison, actions: &mut Vec<Action>) {
    let can = comparison.candidates.iter().any(|candidate| candidate.summary.is_some());
    let menu = ui.add_enabled(can, icon_button(Icon::Export, "Export the result").side(32.0));
    egui::Popup::menu(&menu).accessible_name("Export the result").show(|ui| {
        ui.set_width(240.0);
        for (form, words) in [
            (QualityForm::Csv, "Summary as CSV…"),
            (QualityForm::Json, "Summary as JSON…"),
            (QualityForm::Markdown, "Summary as Markdown…"),
            (QualityForm::Ladder, "The ladder as CSV…"),
            (QualityForm::Tokens, "Every token as CSV…"),
        ] {
            if ui.button(words).clicked() {
                ask(actions, QualityAction::Export(form));
            }
        }
    });
}

fn progress(ui: &mut Ui, comparison: &Comparison, now: f64) {
    let (label, fraction, left) = match &comparison.phase {
        Phase::Asking(asking) => {
            let (done, all) = (asking.answers.len().saturating_sub(1), asking.prompts.len());
            let label = format!("{} answers the prompts, {done} of {all}", comparison.reference_name);
            (label, Some(done as f32 / all.max(1) as f32), None)
        }
        Phase::Answering(answering) => {
            let all = 2 * answering.prompts.len();
            let done = answering.answers.len() + if answering.is_candidates_turn { answering.prompts.len() } else { 0 };
            (format!("Comparing greedy answers, {done} of {all}"), Some(done as f32 / all.max(1) as f32), None)
        }
        _ if comparison.reading_since.is_none() => ("Loading the models".to_owned(), None, None),
        _ => {
            let left = comparison.seconds_left(now).map(|left| format!("about {} left", format::seconds(left)));
            (words::running(comparison), comparison.fraction(), left)
        }
    };
    card(ui, |ui| {
        let mut progress = Progress::new(&label, fraction);
        if let Some(left) = &left {
            progress = progress.left(left);
        }
        progress.show(ui);
    });
}

/// Which candidate is looked at.
fn candidates(ui: &mut Ui, state: &AppState, comparison: &Comparison, actions: &mut Vec<Action>) {
    let shown = state.quality.shown.min(comparison.candidates.len() - 1);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(6.0, 6.0);
        for (index, candidate) in comparison.candidates.iter().enumerate() {
            let detail = candidate.running.map_or_else(|| format::ABSENT.to_owned(), |running| words::nats(running.kld.value));
            let chip = Chip::one_of(&candidate.name, index == shown).detail(&detail);
            if ui.add(chip).on_hover_text("Show this one. Under the name: mean KLD, nats").clicked() {
                ask(actions, QualityAction::Show(index));
            }
        }
    });
}
