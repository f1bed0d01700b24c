//! The answer in five figures, each with its formula.

use egui::{Rect, Ui, UiBuilder, vec2};

use super::{ask, words};
use crate::app::quality::{Candidate, Comparison};
use crate::app::{Action, AppState, QualityAction};
use crate::measure::format;
use crate::measure::quality::divergence::Agreements;
use crate::ui::widgets::{Stat, card_frame, secondary_button};

/// Height of a tile, points.
const HEIGHT: f32 = 84.0;
const GAP: f32 = 12.0;
/// Under this width the tiles stand in two rows, points.
const NARROW: f32 = 640.0;

struct Tile {
    label: &'static str,
    value: String,
    note: String,
    hint: String,
}

/// Paints the tiles.
pub(super) fn tiles(ui: &mut Ui, state: &AppState, comparison: &Comparison, actions: &mut Vec<Action>) {
    let Some(candidate) = state.quality.candidate() else { return };
    let tiles = figures(comparison, candidate);
    let width = ui.available_width();
    let columns = if width < NARROW { 3 } else { tiles.len().max(1) };
    let rows = tiles.len().div_ceil(columns);
    let (area, _) = ui.allocate_exact_size(vec2(width, rows as f32 * (HEIGHT + GAP) - GAP), egui::Sense::hover());
    for (index, tile) in tiles.iter().enumerate() {
        // what is left for the last row shares its width
        let row = index / columns;
        let in_row = columns.min(tiles.len() - row * columns);
        let side = (width - GAP * (in_row - 1) as f32) / in_row as f32;
        let at = vec2((index % columns) as f32 * (side + GAP), row as f32 * (HEIGHT + GAP));
        let rect = Rect::from_min_size(area.min + at, vec2(side, HEIGHT));
        let frame = card_frame(ui);
        ui.painter().add(frame.paint(rect.shrink(frame.total_margin().left)));
        // the tiles have their room already: a child that takes none
        let mut child = ui.new_child(UiBuilder::new().id_salt(("tile", index)).max_rect(rect.shrink2(vec2(14.0, 12.0))));
        if tile.value.is_empty() {
            answers(&mut child, comparison, tile, actions);
        } else {
            let room = child.available_width();
            child.add(Stat::new(tile.label, &tile.value, "").note(&tile.note).hint(&tile.hint).width(room));
        }
    }
}

/// The tile of the greedy answers before they were asked for.
fn answers(ui: &mut Ui, comparison: &Comparison, tile: &Tile, actions: &mut Vec<Action>) {
    ui.spacing_mut().item_spacing.y = 2.0;
    crate::ui::widgets::muted(ui, tile.label).on_hover_text(&tile.hint);
    ui.add_space(4.0);
    let can = !comparison.is_running();
    let button = ui.add_enabled(can, secondary_button("Measure").height(28.0));
    let button = button.accessible_name("Compare greedy answers");
    if button.on_hover_text(&tile.hint).on_disabled_hover_text("Once the comparison is over").clicked() {
        ask(actions, QualityAction::MeasureAnswers);
    }
}

fn figures(comparison: &Comparison, candidate: &Candidate) -> Vec<Tile> {
    let Some(running) = &candidate.running else { return Vec::new() };
    let summary = candidate.summary.as_ref();
    let plus_minus = |error: Option<f64>, scale: f64, digits: usize| match error {
        Some(error) => format!("± {:.digits$}", error * scale),
        None => String::new(),
    };
    let ratio = running.ln_ratio.value.exp();
    let reference = format!("{} for {}, {ratio:.3}×", words::perplexity(running.ppl_ref.value), comparison.reference_name);
    let p99 = summary.map_or_else(String::new, |summary| {
        let p = &summary.delta_p_percentiles;
        format!("1 % lose over {}", format::percent(f64::from(-p.p1).max(0.0)))
    });
    let kld = summary.map_or_else(String::new, |summary| {
        let p = &summary.kld_percentiles;
        format!("\nMedian {}, p99 {}, most {}", words::nats(p.median.into()), words::nats(p.p99.into()), words::nats(p.max.into()))
    });
    vec![
        Tile {
            label: "Perplexity",
            value: format!("{} {}", words::perplexity(running.ppl.value), plus_minus(running.ppl.error, 1.0, 2)).trim_end().to_owned(),
            note: reference,
            hint: "exp of the mean loss of the tokens that really come next: exp(−Σ ln p(token) / n). Lower is better.\n\
                   The error is one sigma. It is large because texts differ; the ratio to the reference is known far better, since both \
                   find the same tokens hard"
                .into(),
        },
        Tile {
            label: "Mean KLD",
            value: words::nats(running.kld.value),
            note: words::interval(&running.kld).trim_start_matches("95 % ").to_owned(),
            hint: format!(
                "KL divergence of the candidate's distribution from the reference's, over the whole vocabulary, mean of all scored \
                 tokens, nats: Σ p_ref · (ln p_ref − ln p_cand). 0 = the same. The interval is of 95 %{kld}"
            ),
        },
        Tile {
            label: "Same top token",
            value: format!("{:.1} %", running.same_top.value * 100.0),
            note: plus_minus(running.same_top.error, 100.0, 1),
            hint: "Tokens at which both have the same most probable continuation, of all scored ones. The error is one sigma".into(),
        },
        Tile {
            label: "RMS Δp",
            value: format::percent(running.delta_p_rms.value),
            note: p99,
            hint: format!(
                "Root of the mean square of the change of the true token's probability: √(Σ (p_cand − p_ref)² / n).\nMean change {:+.2} %",
                running.delta_p.value * 100.0
            ),
        },
        divergence(candidate),
    ]
}

fn divergence(candidate: &Candidate) -> Tile {
    let hint =
        "Both answer the same prompts, each token the most probable one (temperature 0). How many tokens stay identical, median over \
                the prompts; of a conversation the user's own prompts are asked"
            .to_owned();
    let tile = Tile { label: "First divergence", value: String::new(), note: String::new(), hint };
    let Some(all) = Agreements::of(&candidate.agreement) else { return tile };
    let note = format!("{} of {} answers identical", all.identical, all.prompts);
    if all.identical == all.prompts {
        return Tile { value: "none".into(), note, ..tile };
    }
    Tile { value: format!("token {:.0}", all.median_same + 1.0), note, ..tile }
}
