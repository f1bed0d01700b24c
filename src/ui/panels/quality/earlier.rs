//! Comparisons that were kept, to be looked at again.

use egui::{Popup, ScrollArea, Ui};

use super::ask;
use crate::app::quality::KeptComparison;
use crate::app::{Action, AppState, QualityAction};
use crate::ui::parts::when;
use crate::ui::widgets::{Icon, icon_button, menu_row, muted, secondary_button};

const MENU_WIDTH: f32 = 340.0;
const MENU_HEIGHT: f32 = 420.0;
/// How many are offered; older ones are on the Runs page.
const MOST: usize = 30;
/// Names of candidates that are spelled out.
const NAMES: usize = 4;

/// The list, made anew when the runs have changed.
#[derive(Default)]
pub(super) struct EarlierView {
    made: Option<u64>,
    kept: Vec<KeptComparison>,
}

/// Paints the button that offers them, where there are any.
pub(super) fn earlier(ui: &mut Ui, state: &AppState, view: &mut EarlierView, narrow: bool, actions: &mut Vec<Action>) {
    if view.made != Some(state.history.revision) {
        view.made = Some(state.history.revision);
        view.kept = state.quality_kept();
    }
    if view.kept.is_empty() {
        return;
    }
    let words = "Earlier comparisons";
    let button = if narrow {
        ui.add(icon_button(Icon::Clock, words).side(32.0))
    } else {
        ui.add(secondary_button("Earlier").icon(Icon::Clock)).on_hover_text("Comparisons that were kept, with their text, token by token")
    };
    let button = button.accessible_name(words);
    let shown = state.quality.comparison.as_ref().filter(|comparison| comparison.is_kept);
    let shown = shown.and_then(|comparison| comparison.candidates.first()?.run);
    Popup::menu(&button).accessible_name(words).width(MENU_WIDTH).show(|ui| {
        ui.set_width(MENU_WIDTH);
        ui.spacing_mut().item_spacing.y = 2.0;
        let now_ms = when::now_ms();
        ScrollArea::vertical().max_height(MENU_HEIGHT).show(ui, |ui| {
            for kept in view.kept.iter().take(MOST) {
                let is_shown = shown.is_some_and(|run| kept.runs.contains(&run));
                if menu_row(ui, &name(kept), &note(kept, now_ms), is_shown).clicked() {
                    ask(actions, QualityAction::Open(kept.runs.clone()));
                    ui.close();
                }
            }
            if view.kept.len() > MOST {
                muted(ui, format!("{} older ones are on the Runs page", view.kept.len() - MOST));
            }
        });
    });
}

/// `Q8_0, Q4_K_M, Q2_K and 2 more`.
fn name(kept: &KeptComparison) -> String {
    let named: Vec<&str> = kept.names.iter().take(NAMES).map(String::as_str).collect();
    let more = kept.names.len() - named.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", named.join(", "))
}

/// `3 h ago, SmolLM2 on notes.txt, chunks of 512`.
fn note(kept: &KeptComparison, now_ms: i64) -> String {
    format!("{}, {} on {}", when::ago(kept.started_ms, now_ms), kept.model, kept.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_named_by_what_was_compared() {
        let names = ["Q8_0", "Q5_K_M", "Q4_K_M", "Q4_1", "Q2_K"].map(str::to_owned).to_vec();
        let kept = KeptComparison { runs: Vec::new(), names, model: "A".into(), text: "notes.txt, chunks of 512".into(), started_ms: 1 };
        assert_eq!(name(&kept), "Q8_0, Q5_K_M, Q4_K_M, Q4_1 and 1 more");
        assert_eq!(note(&kept, 3 * 3_600_000 + 1), "3 h ago, A on notes.txt, chunks of 512");
    }
}
