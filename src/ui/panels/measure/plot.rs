//! The board as a picture: two figures, the front, the limits.

use egui::{Align, ComboBox, Layout, Ui};

use super::judged::Shown;
use crate::measure::board::{Board, Question};
use crate::measure::format;
use crate::protocol::Metric;
use crate::ui::theme;
use crate::ui::widgets::{Axis, Icon, Scale, Scatter, card, muted, paint_icon};

/// Paints the card; the row that was picked.
pub(super) fn plot(ui: &mut Ui, shown: &Shown, question: &mut Question, selected: Option<usize>, height: f32) -> Option<usize> {
    let mut picked = None;
    card(ui, |ui| {
        axes(ui, &shown.board, question);
        let board = &shown.board;
        let (x, y) = (Side::new(board, board.question.x), Side::new(board, board.question.y));
        let point = selected.and_then(|row| shown.rows.iter().position(|of| *of == row));
        let words = format!("Designs by {} and {}", board.question.x.name(), board.question.y.name());
        let id = egui::Id::unique("measure board");
        let scatter = Scatter::new(id, &words, &shown.points, &shown.front, [x.axis(), y.axis()]).selected(point).height(height);
        let response = scatter.show(ui);
        picked = response.picked.and_then(|point| shown.rows.get(point).copied());
        undrawn(ui, shown);
    });
    picked
}

/// One axis with the words it borrows.
struct Side {
    metric: Metric,
    name: String,
    scale: Scale,
    limit: Option<(f64, String)>,
    tick: Box<dyn Fn(f64) -> String>,
}

impl Side {
    fn new(board: &Board, metric: Metric) -> Self {
        let values = board.rows.iter().filter_map(|row| row.value(metric));
        Self {
            metric,
            name: name(board, metric),
            scale: Scale::fitting(values, metric == Metric::Kld),
            limit: board.limit_on(metric).map(|limit| (limit.value, limit.to_string())),
            tick: Box::new(tick(metric)),
        }
    }

    fn axis(&self) -> Axis<'_> {
        Axis {
            name: &self.name,
            higher_is_better: self.metric.higher_is_better(),
            scale: self.scale,
            limit: self.limit.as_ref().map(|(value, words)| (*value, words.as_str())),
            tick: &self.tick,
        }
    }
}

/// `decode tg128, t/s`.
fn name(board: &Board, metric: Metric) -> String {
    let cell = board.cell_name(metric);
    let cell = if cell.is_empty() { cell } else { format!(" {cell}") };
    match format::metric_unit(metric) {
        "" => format!("{}{cell}", metric.name()),
        unit => format!("{}{cell}, {unit}", metric.name()),
    }
}

fn tick(metric: Metric) -> impl Fn(f64) -> String {
    move |value| match metric {
        Metric::Kld | Metric::Perplexity => {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps if value.fract() == 0.0 => format::count(value.max(0.0) as u64),
        Metric::SameTop => format::percent(value),
        _ => format::metric_number(metric, value),
    }
}

/// Which figures are shown.
fn axes(ui: &mut Ui, board: &Board, question: &mut Question) {
    ui.horizontal(|ui| {
        choice(ui, "Figure up the side", board, &mut question.y);
        muted(ui, "against");
        choice(ui, "Figure along the bottom", board, &mut question.x);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            muted(ui, "Better is up and to the right").on_hover_text(
                "Disc: on the front. Disc in a ring: the best. Diamond: another design is at least as good in both. Cross: breaks a limit or was \
                 not measured. Square: in use. The bars are 95 % intervals of the median. Ctrl+wheel zooms, double click resets",
            );
        });
    });
}

/// A list of the figures; those that no design has say so.
pub(super) fn choice(ui: &mut Ui, label: &str, board: &Board, metric: &mut Metric) {
    let measured = &board.measured;
    let combo = ComboBox::from_id_salt(("figure", label)).width(128.0).selected_text(metric.name());
    let combo =
        combo.icon(|ui, rect, visuals, _open| paint_icon(ui.painter(), Icon::ChevronDown, rect.expand(1.0), visuals.fg_stroke.color));
    let response = combo.show_ui(ui, |ui| {
        for option in Metric::ALL {
            if measured.contains(&option) {
                ui.selectable_value(metric, option, option.name());
            } else {
                let why = if option == Metric::CostPerMillion { "no price in Settings" } else { "not measured" };
                let words = egui::RichText::new(format!("{}, {why}", option.name())).color(theme::palette(ui).muted);
                ui.add_enabled(false, egui::Button::selectable(false, words));
            }
        }
    });
    response.response.accessible_name(label);
}

fn undrawn(ui: &mut Ui, shown: &Shown) {
    let missing = shown.board.rows.len() - shown.rows.len();
    if missing > 0 {
        let question = &shown.board.question;
        let (are, have) = if missing == 1 { ("design is", "it lacks") } else { ("designs are", "they lack") };
        muted(ui, format!("{missing} {are} not drawn: {have} {} or {}", question.x.name(), question.y.name()));
    }
}
