//! The engine died, or would not load: the cause in words, and one button that goes on.

use egui::Ui;

use super::words;
use crate::app::{Action, AppState};
use crate::ui::widgets::ErrorCard;

/// Paints the card, if there is anything to say.
pub fn crash(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let Some(crash) = &state.crash else { return };
    let title = if crash.is_death { "The engine ended" } else { "The model was not loaded" };
    let sentence = crash.error.to_string();
    let recover = words::recover_words(state).map(|what| format!("Go on: {}", lower_first(&what)));
    let mut buttons: Vec<&str> = recover.as_deref().into_iter().collect();
    let choices = [(Action::DismissCrash, "Dismiss"), (Action::Copy(words::crash_report(state)), "Copy report")];
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
