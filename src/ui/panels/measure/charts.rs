//! Threads, batch and depth as small charts beside each other.

use egui::Ui;

use super::judged::Shown;
use crate::measure::format;
use crate::measure::scaling::{ScalingChart, StepStanding};
use crate::protocol::Metric;
use crate::ui::widgets::{ChartLine, ChartStep, StepsChart, card};

/// Least width of a chart, points.
const LEAST: f32 = 250.0;
const GAP: f32 = 12.0;

/// Paints the charts in as many columns as have room.
pub(super) fn charts(ui: &mut Ui, shown: &Shown) {
    if shown.charts.is_empty() {
        return;
    }
    let width = ui.available_width();
    let fit = ((width + GAP) / (LEAST + GAP)).floor().max(1.0) as usize;
    let columns = fit.min(shown.charts.len()).min(3);
    for row in shown.charts.chunks(columns) {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.x = GAP;
            ui.columns(columns, |columns| {
                for (ui, chart) in columns.iter_mut().zip(row) {
                    // a column would justify words
                    card(ui, |ui| ui.vertical(|ui| one(ui, chart)));
                }
            });
        });
    }
}

fn one(ui: &mut Ui, chart: &ScalingChart) {
    let what = if chart.metric == Metric::DecodeTps { "Decode t/s" } else { "Prefill t/s" };
    let name = format!("{what} by {}", chart.varied.name());
    let lines: Vec<ChartLine<'_>> = chart
        .lines
        .iter()
        .map(|line| ChartLine {
            name: &line.name,
            steps: line
                .steps
                .iter()
                .map(|step| ChartStep {
                    at: step.at,
                    value: step.value,
                    interval: step.interval.filter(|interval| interval.high.is_finite()).map(|interval| [interval.low, interval.high]),
                    is_best: step.standing == StepStanding::Best,
                    is_same: step.standing == StepStanding::Same,
                })
                .collect(),
        })
        .collect();
    StepsChart::new(&name, &lines, &chart.sentence, &|value| format::count(value.max(0.0).round() as u64)).show(ui);
}
