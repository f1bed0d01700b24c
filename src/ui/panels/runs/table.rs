//! The list: heads that sort, rows of which only those in view are laid out.

use egui::{Align2, Color32, FontId, Key, Modifiers, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2, vec2};

use super::RunsView;
use super::order::{self, Column, Entry, Wanted};
use crate::app::{Action, AppState};
use crate::measure::format;
use crate::protocol::{Metric, RunId};
use crate::store::RunHead;
use crate::ui::parts::when::{is_today, when};
use crate::ui::theme::{self, Palette};
use crate::ui::widgets::{Icon, elided, focus_ring, paint_icon};

const ROW: f32 = 32.0;
const CHECK: f32 = 32.0;
const PAD: f32 = 8.0;
/// A list narrower than this has narrower columns, points.
const TIGHT: f32 = 520.0;
/// The head of the column where all runs are of one model.
const LEVEL: &str = "Level";

/// One column as it stands: what, its head, its share of the width.
struct Place {
    column: Column,
    head: &'static str,
    hint: &'static str,
    width: f32,
    is_number: bool,
}

/// Paints the list in the height given.
pub(super) fn table(ui: &mut Ui, state: &AppState, view: &mut RunsView, clock: (i64, i64), height: f32, actions: &mut Vec<Action>) {
    // rows stand close; what is below them does not
    ui.scope(|ui| rows(ui, state, view, clock, height, actions));
}

fn rows(ui: &mut Ui, state: &AppState, view: &mut RunsView, clock: (i64, i64), height: f32, actions: &mut Vec<Action>) {
    let width = ui.available_width();
    let one_model = order::one_model(&state.history.runs).is_some();
    let places = places(state, width, one_model, clock);
    ui.spacing_mut().item_spacing.y = 0.0;
    heads(ui, &places, width, &mut view.wanted);
    let count = view.order.entries().len();
    if count == 0 {
        ui.add_space(12.0);
        crate::ui::widgets::muted(ui, "No run holds these words");
        return;
    }
    let mut asked = None;
    let area = ScrollArea::vertical().id_salt("runs").max_height((height - ROW).max(ROW)).auto_shrink([false, false]);
    area.show_rows(ui, ROW, count, |ui, range| {
        for index in range {
            match view.order.entries().get(index) {
                Some(Entry::Head(words, n)) => group_head(ui, words, *n, width),
                Some(Entry::Run(at)) => {
                    if let Some(head) = state.history.runs.get(*at)
                        && let Some(how) = row(ui, state, head, &places, width, clock, actions)
                    {
                        asked = Some((head.id, how));
                    }
                }
                None => {}
            }
        }
    });
    if let Some((id, how)) = asked {
        choose(state, view, id, how, actions);
    }
}

/// The columns that there is room for.
fn places(state: &AppState, width: f32, one_model: bool, clock: (i64, i64)) -> Vec<Place> {
    let has = |metric: Metric| state.history.runs.iter().take(2000).any(|head| head.figure(metric).is_some());
    let number = |metric: Metric, head, hint, width| Place { column: Column::Figure(metric), head, hint, width, is_number: true };
    let decode = "Tokens generated per second, median of the repetitions";
    let prefill = "Prompt tokens read per second, median of the repetitions";
    let mut fixed = vec![number(Metric::DecodeTps, "Decode t/s", decode, 88.0), number(Metric::PrefillTps, "Prefill t/s", prefill, 88.0)];
    if width > 860.0 {
        fixed.push(number(
            Metric::PeakMemory,
            "Memory",
            "Weights, cache and compute together, or the engine's largest resident memory",
            76.0,
        ));
    }
    if has(Metric::Kld) && width > 760.0 {
        fixed.push(number(Metric::Kld, "Mean KLD", "Mean KL divergence from the reference, nats a token", 84.0));
    }
    if has(Metric::TtftMs) && width > 960.0 {
        fixed.push(number(Metric::TtftMs, "TTFT", "Time to first token, median", 84.0));
    }
    let trust = "Whether the run can carry a decision: enough repetitions that agree, on a machine that did little else";
    fixed.push(Place { column: Column::Trust, head: "Trust", hint: trust, width: 72.0, is_number: false });
    if width < TIGHT {
        fixed.iter_mut().for_each(|place| place.width = 76.0);
    }
    let all_today = || state.history.runs.iter().all(|head| is_today(head.started_ms, clock.0, clock.1));
    let when_width = match width {
        ..=700.0 => 0.0,
        _ if all_today() => 64.0,
        _ => 116.0,
    };
    let taken: f32 = fixed.iter().map(|place| place.width).sum::<f32>() + CHECK + when_width;
    let left = (width - taken).max(if width < TIGHT { 120.0 } else { 200.0 });
    let with_design = left > 330.0;
    let text = |column, head, hint, width| Place { column, head, hint, width, is_number: false };
    let mut all = Vec::new();
    if when_width > 0.0 {
        all.push(text(Column::When, "When", "When it began", when_width));
    }
    let mut rest = |column, head, hint, part: f32| all.push(text(column, head, hint, (left * part).floor()));
    // the level alone needs little of what its model's name takes
    let [name, model] = match (with_design, one_model) {
        (true, true) => [0.44, 0.22],
        (true, false) => [0.26, 0.42],
        (false, true) => [0.64, 0.36],
        (false, false) => [0.45, 0.55],
    };
    rest(Column::Name, "Run", "What it is called, else what was measured", name);
    if one_model {
        rest(Column::Model, LEVEL, "Quantization level", model);
    } else {
        rest(Column::Model, "Model", "Quantization level and model", model);
    }
    if with_design {
        rest(Column::Design, "Design", "What differs from the default design", 1.0 - name - model);
    }
    all.extend(fixed);
    all
}

fn heads(ui: &mut Ui, places: &[Place], width: f32, wanted: &mut Wanted) {
    let palette = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    let mut left = rect.left() + CHECK;
    for place in places {
        let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(place.width, rect.height()));
        let response = ui.interact(cell, ui.scope_id().with(("runs head", place.head)), Sense::click());
        let by_this = wanted.column == place.column;
        let way = match (by_this, wanted.reversed) {
            (false, _) => "",
            (true, false) => ", sorted",
            (true, true) => ", sorted the other way",
        };
        response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Sort by {}{way}", place.head)));
        let ink = if by_this || response.hovered() || response.has_focus() { palette.text } else { palette.muted };
        let words = elided(ui, place.head, theme::small(), ink, place.width - 2.0 * PAD - if by_this { 14.0 } else { 0.0 });
        let x = if place.is_number { cell.right() - PAD - words.size().x } else { cell.left() + PAD };
        let arrow = if place.is_number { x - 12.0 } else { x + words.size().x + 4.0 };
        ui.painter().galley(pos2(x, cell.center().y - words.size().y / 2.0), words, ink);
        if by_this {
            let descends = matches!(place.column, Column::When | Column::Figure(_)) != wanted.reversed;
            let icon = if descends { Icon::ChevronDown } else { Icon::ChevronUp };
            paint_icon(ui.painter(), icon, Rect::from_min_size(pos2(arrow, cell.center().y - 5.0), vec2(10.0, 10.0)), ink);
        }
        focus_ring(ui, &response, 4);
        if response.clicked() {
            wanted.reversed = by_this && !wanted.reversed;
            wanted.column = place.column;
        }
        response.on_hover_text(place.hint);
        left += place.width;
    }
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, palette.hairline));
}

fn group_head(ui: &mut Ui, words: &str, n: usize, width: f32) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{words}, {}", super::counted(n))));
    let title = elided(ui, words, theme::small_strong(), palette.text, width - 120.0);
    let count = elided(ui, &super::counted(n), theme::small(), palette.muted, 100.0);
    let (y, end) = (rect.bottom() - 8.0, rect.left() + PAD + title.size().x + 8.0);
    ui.painter().galley(pos2(rect.left() + PAD, y - title.size().y), title, palette.text);
    ui.painter().galley(pos2(end, y - count.size().y), count, palette.muted);
}

/// How a run was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Alone,
    Toggled,
    Range,
}

fn row(
    ui: &mut Ui,
    state: &AppState,
    head: &RunHead,
    places: &[Place],
    width: f32,
    clock: (i64, i64),
    actions: &mut Vec<Action>,
) -> Option<How> {
    let palette = theme::palette(ui);
    let shown = &state.history.shown;
    let chosen = shown.contains(&head.id);
    let id = ui.scope_id().with(("run", head.id.0));
    let (rect, _) = ui.allocate_exact_size(vec2(width, ROW), Sense::hover());
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Row, true, chosen, spoken(head)));
    let tick_rect = Rect::from_min_size(rect.min, vec2(CHECK, ROW));
    let tick = ui.interact(tick_rect, id.with("tick"), Sense::click());
    let words = if chosen { "Leave out" } else { "Add to the chosen" };
    tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, chosen, format!("{words}: {}", spoken(head))));
    let hovered = response.hovered() || tick.hovered();
    if chosen {
        ui.painter().rect_filled(rect, 4.0, palette.accent_tint);
    } else if hovered {
        ui.painter().rect_filled(rect, 4.0, theme::on_surface(palette.page, palette.raised, 0.6));
    }
    if chosen || hovered || tick.has_focus() || !shown.is_empty() {
        paint_tick(ui, tick_rect, chosen, palette);
    }
    let mut left = rect.left() + CHECK;
    for place in places {
        let cell = Rect::from_min_size(pos2(left, rect.top()), vec2(place.width, rect.height()));
        let (words, font, ink) = cell_words(head, place, clock, palette);
        let ink = if chosen { palette.legible(ink, palette.accent_tint) } else { ink };
        let galley = elided(ui, &words, font, ink, place.width - 2.0 * PAD);
        let align = if place.is_number { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
        let at = align.anchor_size(align.pos_in_rect(&cell.shrink2(vec2(PAD, 0.0))), galley.size());
        ui.painter().galley(at.min, galley, ink);
        left += place.width;
    }
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, theme::on_surface(palette.page, palette.hairline, 0.7)));
    focus_ring(ui, &response.clone().with_new_rect(rect.shrink(3.0)), 3);
    focus_ring(ui, &tick.clone().with_new_rect(tick_rect.shrink(6.0)), 3);
    if response.has_focus() && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Delete)) {
        actions.push(Action::DeleteRuns(if chosen { shown.clone() } else { vec![head.id] }));
    }
    let (clicked, ticked) = (response.clicked(), tick.clicked());
    if hovered {
        response.on_hover_text_at_pointer(hover(head));
    }
    let modifiers = ui.input(|input| input.modifiers);
    match (clicked, ticked) {
        (_, true) => Some(if modifiers.shift { How::Range } else { How::Toggled }),
        (true, _) if modifiers.shift => Some(How::Range),
        (true, _) if modifiers.command => Some(How::Toggled),
        (true, _) => Some(How::Alone),
        _ => None,
    }
}

fn paint_tick(ui: &Ui, rect: Rect, on: bool, palette: &Palette) {
    let square = Rect::from_center_size(rect.center(), vec2(14.0, 14.0));
    let (fill, edge) = if on { (palette.accent, palette.accent) } else { (Color32::TRANSPARENT, palette.faint) };
    ui.painter().rect(square, 3.0, fill, Stroke::new(1.0, edge), StrokeKind::Inside);
    if on {
        paint_icon(ui.painter(), Icon::Check, square.shrink(1.5), palette.accent_ink);
    }
}

/// What stands in a cell, and how.
fn cell_words(head: &RunHead, place: &Place, clock: (i64, i64), palette: &Palette) -> (String, FontId, Color32) {
    match place.column {
        Column::When => (when(head.started_ms, clock.0, clock.1), theme::small(), palette.muted),
        Column::Name => (order::name(head).to_owned(), theme::body(), palette.text),
        Column::Model => {
            let words = match (head.quant.is_empty(), place.head) {
                (true, _) => head.model.clone(),
                (false, LEVEL) => head.quant.clone(),
                (false, _) => format!("{}  {}", head.quant, head.model),
            };
            (words, theme::body(), palette.text)
        }
        Column::Design if head.design.is_empty() => ("default".into(), theme::body(), palette.muted),
        Column::Design => (head.design.clone(), theme::body(), palette.text),
        Column::Figure(metric) => match head.figure(metric) {
            Some(value) => (number(metric, value), theme::mono(), palette.text),
            None => (format::ABSENT.into(), theme::mono(), palette.muted),
        },
        Column::Trust => {
            let ink = match head.trust_word() {
                "trusted" => palette.good,
                "failed" => palette.limit,
                "noisy" => palette.event,
                _ => palette.muted,
            };
            (head.trust_word().into(), theme::small(), ink)
        }
    }
}

/// A figure as a column shows it: the unit stands in the head, but for bytes and times.
fn number(metric: Metric, value: f64) -> String {
    match metric {
        Metric::DecodeTps | Metric::PrefillTps | Metric::BothTps => format::tps(value),
        _ => format::metric(metric, value),
    }
}

/// A row for those who cannot see it.
fn spoken(head: &RunHead) -> String {
    let mut words = format!("{} {}, {}", head.quant, head.model, order::name(head)).trim_start().to_owned();
    for (metric, value) in head.figures.iter().take(2) {
        words.push_str(&format!(", {} {}", metric.name(), format::metric(*metric, *value)));
    }
    format!("{words}, {}", head.trust_word())
}

fn hover(head: &RunHead) -> String {
    let mut lines = vec![format!("{} {}, {}", head.quant, head.model, head.workload).trim_start().to_owned()];
    lines.push(if head.design.is_empty() { "Default design".into() } else { head.design.clone() });
    if !head.tags.is_empty() {
        lines.push(format!("Tags: {}", head.tags.join(", ")));
    }
    if !head.group.is_empty() {
        lines.push(format!("Part of {}", head.group));
    }
    if !head.imported.is_empty() {
        lines.push(format!("Not measured here: read from {}", head.imported));
    }
    lines.extend(head.failure.clone());
    lines.join("\n")
}

fn choose(state: &AppState, view: &mut RunsView, id: RunId, how: How, actions: &mut Vec<Action>) {
    let mut shown = state.history.shown.clone();
    match how {
        How::Alone => shown = vec![id],
        How::Toggled if shown.contains(&id) => shown.retain(|other| *other != id),
        How::Toggled => shown.push(id),
        How::Range => {
            let ids: Vec<RunId> = view.order.entries().iter().filter_map(|entry| super::id_of(state, entry)).collect();
            let place = |wanted: RunId| ids.iter().position(|id| *id == wanted);
            let to = place(id).unwrap_or(0);
            let from = view.anchor.and_then(place).unwrap_or(to);
            shown = ids.get(from.min(to)..=from.max(to)).unwrap_or_default().to_vec();
        }
    }
    if how != How::Range {
        view.anchor = Some(id);
    }
    actions.push(Action::ShowRuns(shown));
}
