//! Every design as a row.

use std::cmp::Ordering;

use egui::Ui;

use super::judged::Shown;
use crate::measure::board::{Board, Row};
use crate::measure::{format, stats};
use crate::protocol::{Metric, RunTrust};
use crate::ui::theme::{self, Palette};
use crate::ui::widgets::{DataTable, TableCell, TableColumn, TableSort, card_frame};

/// How the table is sorted, and the order that follows.
#[derive(Clone, Debug, Default)]
pub(super) struct TableView {
    sort: TableSort,
    /// Rows of the board in the order shown
    order: Vec<usize>,
}

/// A column that is no figure.
const DESIGN: usize = 0;
const DESIGN_WIDTH: f32 = 150.0;
const TRUST_WIDTH: f32 = 76.0;
/// Rows in view before the table scrolls.
const MOST_ROWS: usize = 16;

/// Paints the table; the row that was picked.
pub(super) fn table(ui: &mut Ui, shown: &Shown, view: &mut TableView, selected: Option<usize>) -> Option<usize> {
    let board = &shown.board;
    let metrics = metrics(board, ui.available_width());
    let columns = columns(board, &metrics);
    view.sort_rows(board, &metrics);
    let order = &view.order;
    let place = selected.and_then(|row| order.iter().position(|of| *of == row));
    let palette = theme::palette(ui);
    let mut output = None;
    card_frame(ui).inner_margin(egui::Margin::ZERO).show(ui, |ui| {
        let table = DataTable::new(egui::Id::unique("measure designs"), "Designs", &columns, order.len())
            .selected(place)
            .sort(view.sort)
            .max_rows(MOST_ROWS);
        let of = |row: usize| order.get(row).and_then(|row| Some((*row, board.rows.get(*row)?)));
        let name = |row: usize| of(row).map_or_else(String::new, |(_, row)| row_name(&metrics, row));
        let cell = |row: usize, column: usize| {
            of(row).map_or_else(|| plain(String::new(), palette), |(index, row)| cell(board, &metrics, index, row, column, palette))
        };
        output = Some(table.show(ui, name, cell));
    });
    let output = output.unwrap_or_default();
    if let Some(sort) = output.sorted {
        view.sort = sort;
    }
    output.picked.and_then(|row| view.order.get(row).copied())
}

/// The figures in the order in which they get a column while there is room; the rest is shown with the design in detail.
const FIRST: [Metric; 12] = [
    Metric::DecodeTps,
    Metric::Kld,
    Metric::PeakMemory,
    Metric::PrefillTps,
    Metric::TtftMs,
    Metric::ItlP95Ms,
    Metric::SameTop,
    Metric::FileSize,
    Metric::Perplexity,
    Metric::BothTps,
    Metric::CostPerMillion,
    Metric::EnergyPerToken,
];

/// The figures that have a column in a table of this width, in the order of a table.
fn metrics(board: &Board, width: f32) -> Vec<Metric> {
    let mut room = width - DESIGN_WIDTH - TRUST_WIDTH;
    let mut chosen = Vec::new();
    for metric in FIRST.into_iter().filter(|metric| board.measured.contains(metric)) {
        room -= width_of(metric);
        if room < 0.0 {
            break;
        }
        chosen.push(metric);
    }
    Metric::ALL.into_iter().filter(|metric| chosen.contains(metric)).collect()
}

fn width_of(metric: Metric) -> f32 {
    match metric {
        Metric::DecodeTps => 118.0,
        Metric::PeakMemory => 104.0,
        _ => 86.0,
    }
}

fn columns(board: &Board, metrics: &[Metric]) -> Vec<TableColumn> {
    let mut columns = vec![TableColumn {
        head: "design".into(),
        hint: "The rung, and what differs between the designs".into(),
        width: DESIGN_WIDTH,
        is_number: false,
    }];
    for metric in metrics {
        let cell = board.cell_name(*metric);
        let of = if cell.is_empty() { String::new() } else { format!(", cell {cell}") };
        let spread = if is_spread(*metric) { " \u{b1} its standard deviation" } else { "" };
        columns.push(TableColumn {
            head: head(*metric).into(),
            hint: format!("{}: median of the repetitions{spread}{of}", metric.name()),
            width: width_of(*metric),
            is_number: true,
        });
    }
    columns.push(TableColumn {
        head: "trust".into(),
        hint: "Whether the figures can carry a decision".into(),
        width: TRUST_WIDTH,
        is_number: true,
    });
    columns
}

fn head(metric: Metric) -> &'static str {
    match metric {
        Metric::DecodeTps => "decode t/s",
        Metric::PrefillTps => "prefill t/s",
        Metric::BothTps => "both t/s",
        Metric::TtftMs => "TTFT",
        Metric::ItlP95Ms => "ITL p95",
        Metric::PeakMemory => "peak memory",
        Metric::FileSize => "file size",
        Metric::Kld => "mean KLD",
        Metric::Perplexity => "perplexity",
        Metric::SameTop => "same top",
        Metric::EnergyPerToken => "J/token",
        Metric::CostPerMillion => "cost/M",
    }
}

/// Whether the spread stands beside the figure.
fn is_spread(metric: Metric) -> bool {
    matches!(metric, Metric::DecodeTps)
}

impl TableView {
    fn sort_rows(&mut self, board: &Board, metrics: &[Metric]) {
        let mut order: Vec<usize> = (0..board.rows.len()).collect();
        if let Some(column) = self.sort.column {
            let row = |index: usize| board.rows.get(index);
            order.sort_by(|a, b| {
                let (Some(a), Some(b)) = (row(*a), row(*b)) else { return Ordering::Equal };
                let ordering = match metrics.get(column.wrapping_sub(1)) {
                    Some(metric) => return by_figure(a.value(*metric), b.value(*metric), self.sort.descending),
                    None if column == DESIGN => a.label.text().cmp(&b.label.text()),
                    None => rank(a).cmp(&rank(b)),
                };
                if self.sort.descending { ordering.reverse() } else { ordering }
            });
        }
        self.order = order;
    }
}

/// What was not measured stands last, whichever way.
fn by_figure(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn rank(row: &Row) -> u8 {
    match (&row.failure, row.trust) {
        (Some(_), _) => 3,
        (None, RunTrust::Trusted) => 0,
        (None, RunTrust::Noisy) => 1,
        (None, RunTrust::TooFew) => 2,
    }
}

fn row_name(metrics: &[Metric], row: &Row) -> String {
    let figures: Vec<String> =
        metrics.iter().filter_map(|metric| Some(format!("{} {}", metric.name(), format::metric(*metric, row.value(*metric)?)))).collect();
    let end = row.failure.as_ref().map_or_else(|| row.trust.word().to_owned(), |failure| format!("failed: {}", failure.message));
    [vec![row.label.text()], figures, vec![end]].concat().join(", ")
}

fn plain(text: String, palette: &Palette) -> TableCell {
    TableCell { text, font: theme::mono(), color: palette.text, hint: String::new() }
}

fn cell(board: &Board, metrics: &[Metric], index: usize, row: &Row, column: usize, palette: &Palette) -> TableCell {
    // what cannot be chosen steps back; the cross of its point and the reason say why
    let color = if row.is_candidate() { palette.text } else { palette.muted };
    if column == DESIGN {
        let text = if board.current == Some(index) { format!("{}, in use", row.label.text()) } else { row.label.text() };
        return TableCell { color, hint: board.reason(row), ..plain(text, palette) };
    }
    match metrics.get(column - 1) {
        Some(metric) => {
            let Some(figure) = row.figures.get(metric) else {
                return TableCell {
                    color: palette.muted,
                    hint: format!("{} was not measured", metric.name()),
                    ..plain(format::ABSENT.into(), palette)
                };
            };
            let mut text = format::metric_number(*metric, figure.value);
            if is_spread(*metric)
                && let Some(stdev) = stats::stdev(figure.samples())
            {
                text = format!("{text} \u{b1} {}", if figure.value < 500.0 { format!("{stdev:.1}") } else { format!("{stdev:.0}") });
            }
            TableCell { color, hint: board.figure_words(row, *metric), ..plain(text, palette) }
        }
        None => trust(row, palette),
    }
}

fn trust(row: &Row, palette: &Palette) -> TableCell {
    let (text, color, hint) = match (&row.failure, row.trust) {
        (Some(failure), _) => ("failed", palette.limit, failure.to_string()),
        (None, RunTrust::Trusted) => ("trusted", palette.good, "Repetitions agree, and the machine did little else".to_owned()),
        (None, RunTrust::Noisy) => ("noisy", palette.event, row.reasons.join(". ")),
        (None, RunTrust::TooFew) => ("too few", palette.muted, row.reasons.join(". ")),
    };
    TableCell { text: text.into(), font: theme::small(), color, hint }
}
