//! The engine died, or would not load: the cause in words, and one button that goes on. It stands above whatever page is shown.

use egui::{Frame, Margin, Panel, Ui};

use crate::app::{Action, AppState};
use crate::ui::widgets::ErrorCard;

/// Widest card, points: a sentence of it stays readable.
const WIDEST: f32 = 900.0;

/// Paints the card over the upper edge of the page, if there is anything to say.
pub fn crash(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    if state.crash.is_none() {
        return;
    }
    let room = ui.available_width();
    let side = if room < 560.0 { 12 } else { 24 };
    let frame = Frame::new().inner_margin(Margin { left: side, right: side, top: 12, bottom: 12 });
    Panel::top("crash").show_separator_line(false).resizable(false).frame(frame).show(ui, |ui| {
        ui.set_max_width((room - 2.0 * f32::from(side)).min(WIDEST));
        card(ui, state, actions);
    });
}

fn card(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let Some(crash) = &state.crash else { return };
    let title = if crash.is_death { "The engine ended" } else { "The model was not loaded" };
    let sentence = crash.error.to_string();
    let recover = recover_words(state).map(|what| format!("Go on: {}", lower_first(&what)));
    let mut buttons: Vec<&str> = recover.as_deref().into_iter().collect();
    let choices = [(Action::DismissCrash, "Dismiss"), (Action::Copy(crash_report(state)), "Copy report")];
    buttons.extend(choices.iter().map(|(_, name)| *name));
    let card = ErrorCard::new(title, &sentence).details(&crash.error.details).buttons(&buttons);
    let Some(pressed) = card.show(ui, "crash").button else { return };
    match (recover.is_some(), pressed) {
        (true, 0) => actions.push(Action::Recover),
        (has_recover, index) => {
            let index = index - usize::from(has_recover);
            actions.extend(choices.into_iter().nth(index).map(|(action, _)| action));
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// What the one button of the crash card does: `Reload Q4_1 and finish the reply`.
fn recover_words(state: &AppState) -> Option<String> {
    let retry = state.crash.as_ref()?.retry.as_ref()?;
    let rung = state.library.families.iter().find_map(|family| family.rung_of(&retry.design.model));
    let name =
        rung.map_or_else(|| retry.design.model.file_stem().unwrap_or_default().to_string_lossy().into_owned(), |rung| rung.quant.clone());
    let is_death = state.crash.as_ref().is_some_and(|crash| crash.is_death);
    let verb = if is_death { "Reload" } else { "Try to load" };
    Some(match retry.reply {
        Some(_) => format!("{verb} {name} and finish the reply"),
        None if is_death => format!("{verb} {name}"),
        None => format!("{verb} {name} again"),
    })
}

/// The whole report of a crash, for the clipboard.
fn crash_report(state: &AppState) -> String {
    let Some(crash) = &state.crash else { return String::new() };
    let mut text = format!("{}\nkind: {}\n", crash.error, crash.error.kind.as_str());
    if let Some(retry) = &crash.retry {
        text.push_str(&format!("model: {}\n", retry.design.model.display()));
    }
    for line in &crash.error.details {
        text.push_str(line);
        text.push('\n');
    }
    text
}
