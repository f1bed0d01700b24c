//! The rates beside decode: prefill, TTFT, and how much of the machine's memory bandwidth decoding uses.

use egui::Ui;

use crate::app::{Action, AppState, Telemetry};
use crate::measure::format::{self, ABSENT};
use crate::ui::widgets::{Stat, ghost_button, muted};

/// What decode is.
pub(in crate::ui) const DECODE: &str = "Decode: tokens of the reply per second, (tokens - 1) / (time of the last - time of the first), by the engine's own clock. \
                      While a reply runs, the rate of the latest batch";
/// What prefill is.
pub(in crate::ui) const PREFILL: &str = "Prefill: prompt tokens that were not in the cache, per second of reading them";
/// What TTFT is.
pub(in crate::ui) const TTFT: &str = "Time to first token of the reply that runs, or of the last: from the request's arrival in the engine to the first token sampled. \
     Where another rung goes on with a reply, of that rung's part";

/// Paints them side by side.
pub(in crate::ui) fn rates(ui: &mut Ui, state: &AppState, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let yet = why_not_yet(state);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let room = ui.available_width() - 16.0;
        let prefill = telemetry.prefill_tps.map_or_else(|| ABSENT.into(), format::tps);
        let hint = hint(PREFILL, telemetry.prefill_tps.is_some(), yet);
        ui.add(Stat::new("Prefill", &prefill, "t/s").hint(&hint).width((room * 0.30).floor()));
        let (value, unit) = milliseconds(telemetry.ttft_ms);
        let hint = self::hint(TTFT, telemetry.ttft_ms.is_some(), yet);
        ui.add(Stat::new("TTFT", &value, unit).hint(&hint).width((room * 0.28).floor()));
        bandwidth(ui, state, (room * 0.42).floor(), actions);
    });
}

/// Why there is no figure of a prompt.
fn why_not_yet(state: &AppState) -> &'static str {
    match state.generating() {
        Some(generating) if generating.first.is_some() => "Told by the engine when the reply has ended",
        Some(_) => "The first token has not come yet",
        None => "No prompt was read yet",
    }
}

fn hint(definition: &str, is_known: bool, why_not: &str) -> String {
    if is_known { definition.to_owned() } else { format!("{definition}\n{why_not}") }
}

/// A latency as a number and its unit: milliseconds up to ten seconds.
fn milliseconds(value: Option<f64>) -> (String, &'static str) {
    match value {
        None => (ABSENT.into(), "ms"),
        Some(ms) if ms < 9.95 => (format!("{ms:.1}"), "ms"),
        Some(ms) if ms < 9999.5 => (format::count(ms.round() as u64), "ms"),
        Some(ms) => (format!("{:.1}", ms / 1000.0), "s"),
    }
}

/// The roofline: how much of what the memory can give is used.
fn bandwidth(ui: &mut Ui, state: &AppState, width: f32, actions: &mut Vec<Action>) {
    let telemetry = &state.telemetry;
    let hover = roofline_hover(telemetry);
    let (label, is_asked_for) = roofline_label(state);
    if !is_asked_for {
        ui.add(Stat::new(label, &roofline_words(telemetry), "%").hint(&hover).width(width));
        return;
    }
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        muted(ui, label).on_hover_text(&hover);
        let (words, name) = match telemetry.bandwidth_gb_s {
            None => ("Measure", "Measure the memory bandwidth"),
            Some(_) => ("Measure anew", "Measure the memory bandwidth anew"),
        };
        let button = ui.add(ghost_button(words).height(26.0)).on_hover_text(format!("{hover}\nTakes about a second"));
        if button.accessible_name(name).clicked() {
            actions.push(Action::ProbeBandwidth);
        }
    });
}

/// What stands over the share, and whether measuring the bandwidth is offered in its place.
fn roofline_label(state: &AppState) -> (&'static str, bool) {
    let telemetry = &state.telemetry;
    if state.is_probing() {
        return ("Measuring anew", false);
    }
    if telemetry.is_bandwidth_doubted() {
        return (if state.can_generate() { "> 100 %: in doubt" } else { "Limit in doubt" }, state.can_generate());
    }
    if telemetry.bandwidth_gb_s.is_none() && state.can_generate() {
        return ("Of bandwidth limit", true);
    }
    // the bandwidth was confirmed: what goes beyond it never went through the memory
    let is_beyond = telemetry.roofline_fraction().is_some_and(|fraction| fraction > 1.0);
    (if is_beyond { "Of limit, with cache" } else { "Of bandwidth limit" }, false)
}

/// The share and what it is of, for one line.
pub(in crate::ui) fn roofline_line(state: &AppState) -> (&'static str, String) {
    let share = state.telemetry.roofline_fraction().map(|_| format!("{} %", roofline_words(&state.telemetry)));
    let label = match roofline_label(state).0 {
        "> 100 %: in doubt" => "Bandwidth limit, in doubt",
        label => label,
    };
    (label, share.unwrap_or_else(|| ABSENT.into()))
}

/// The share in percent. One that cannot be is not given as a number until the bandwidth was measured again.
fn roofline_words(telemetry: &Telemetry) -> String {
    match telemetry.roofline_fraction() {
        None => ABSENT.into(),
        Some(_) if telemetry.is_bandwidth_doubted() => "> 100".into(),
        Some(part) => format!("{:.0}", part * 100.0),
    }
}

/// How the share is reckoned, and from what.
pub(in crate::ui) fn roofline_hover(telemetry: &Telemetry) -> String {
    let mut lines = vec![
        "How much of this machine's memory bandwidth decoding uses: bytes read per token × tokens per second / bandwidth".to_owned(),
        "Every token reads all weights and the cache once, so 100 % is as fast as this memory allows; more means that part of it is in the \
         processor's cache"
            .to_owned(),
    ];
    lines.push(match telemetry.bytes_per_token() {
        Some(bytes) => format!(
            "Bytes per token: {} with {} tokens in the cache, reckoned from the file's header",
            format::bytes(bytes),
            format::count(telemetry.decode_context as u64)
        ),
        None => "Bytes per token: not known until a model is loaded".into(),
    });
    lines.push(match telemetry.bandwidth_gb_s {
        Some(gb_s) => format!("Bandwidth: {gb_s:.1} GB/s, measured here by reading memory with the decode threads"),
        None => "Bandwidth: not measured yet".into(),
    });
    if telemetry.decode_tps.is_none() {
        lines.push("Nothing was generated yet".into());
    }
    if telemetry.is_bandwidth_doubted() {
        lines.push("Decoding seems faster than that, so the bandwidth is doubted: it is measured anew when a reply has ended, or at the press of the button".into());
    } else if telemetry.bandwidth_confirmed {
        lines.push("A reply had seemed faster than the bandwidth allowed, so it was measured anew since".into());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_keep_their_unit_apart() {
        assert_eq!(milliseconds(None), (ABSENT.to_owned(), "ms"));
        assert_eq!(milliseconds(Some(5.64)), ("5.6".to_owned(), "ms"));
        assert_eq!(milliseconds(Some(1234.0)), ("1,234".to_owned(), "ms"));
        assert_eq!(milliseconds(Some(61_000.0)), ("61.0".to_owned(), "s"));
    }
}
