//! The Runs page: everything that was measured, to find, to look into and to compare.

mod compare;
mod detail;
mod order;
mod table;

use egui::{Popup, PopupCloseBehavior, ScrollArea, Ui};

use crate::app::{Action, AppState, Purpose};
use crate::measure::{format, kept::RunFormat};
use crate::protocol::RunId;
use crate::ui::parts::when;
use crate::ui::theme::PAGE_MARGIN;
use crate::ui::widgets::{
    Icon, Progress, at_least, card, empty_state, icon_button, page_header, search_field, secondary_button, segmented,
};

use order::{Entry, Group, Order, Wanted};

/// From this width on the details stand beside the list, points.
const BESIDE: f32 = 1180.0;

/// Least height of the page with the list alone, and with what was chosen below it, points.
const LEAST: f32 = 360.0;
const LEAST_WITH_DETAILS: f32 = 660.0;

/// What is typed, chosen and unfolded on the page.
#[derive(Clone, Debug, Default)]
pub struct RunsView {
    /// Put the cursor into the search field in the next frame
    pub focus_search: bool,
    wanted: Wanted,
    order: Order,
    /// Where a range that is chosen with Shift begins
    anchor: Option<RunId>,
    detail: detail::DetailView,
}

/// Paints the page.
pub fn runs_page(ui: &mut Ui, state: &AppState, view: &mut RunsView, now: f64, actions: &mut Vec<Action>) {
    let history = &state.history;
    let (today, offset_ms) = when::today();
    view.order.update(&history.runs, history.revision, &view.wanted, today, offset_ms);
    let least = if history.shown.is_empty() { LEAST } else { LEAST_WITH_DETAILS };
    at_least(ui, "runs page", least, |ui| page(ui, state, view, now, (today, offset_ms), actions));
}

fn page(ui: &mut Ui, state: &AppState, view: &mut RunsView, now: f64, (today, offset_ms): (i64, i64), actions: &mut Vec<Action>) {
    let history = &state.history;
    egui::Frame::new().inner_margin(egui::Margin { bottom: 0, ..egui::Margin::same(PAGE_MARGIN as i8) }).show(ui, |ui| {
        header(ui, state, view, actions);
        ui.add_space(8.0);
        measuring(ui, state, now, actions);
        if history.runs.is_empty() {
            if history.is_loaded {
                nothing(ui, actions);
            }
            return;
        }
        tools(ui, view);
        ui.add_space(4.0);
        let chosen = !history.shown.is_empty();
        let room = ui.available_size();
        if chosen && room.x >= BESIDE {
            ui.horizontal_top(|ui| {
                ui.spacing_mut().item_spacing.x = 16.0;
                let side = (room.x * 0.42).clamp(440.0, 620.0);
                let down = egui::Layout::top_down(egui::Align::Min);
                ui.allocate_ui_with_layout(egui::vec2(room.x - side - 16.0, room.y), down, |ui| {
                    table::table(ui, state, view, (today, offset_ms), room.y, actions);
                });
                ui.allocate_ui_with_layout(egui::vec2(side, room.y), down, |ui| below(ui, state, view, actions));
            });
        } else if chosen {
            let height = (room.y * 0.4).clamp(120.0, 360.0);
            table::table(ui, state, view, (today, offset_ms), height, actions);
            ui.add_space(4.0);
            below(ui, state, view, actions);
        } else {
            table::table(ui, state, view, (today, offset_ms), room.y, actions);
        }
    });
}

fn header(ui: &mut Ui, state: &AppState, view: &RunsView, actions: &mut Vec<Action>) {
    let history = &state.history;
    let all = history.runs.len();
    let sentence = match (all, view.order.shown()) {
        (0, _) => String::new(),
        (all, shown) if all == shown => counted(all),
        (all, shown) => format!("{} of {}", format::count(shown as u64), counted(all)),
    };
    let sentence = match order::one_model(&history.runs) {
        Some(model) => format!("{sentence} of {model}"),
        None => sentence,
    };
    let sentence = match history.shown.len() {
        0 => sentence,
        n => format!("{sentence}, {} chosen", format::count(n as u64)),
    };
    page_header(ui, "What was measured here?", &sentence, |ui| {
        let hint = "Read what llama-bench -o json wrote: measurements of others, beside yours";
        if ui.add(secondary_button("Import…")).on_hover_text(hint).clicked() {
            actions.push(Action::ImportRuns);
        }
        if all > 0 {
            let shown: Vec<RunId> = view.order.entries().iter().filter_map(|entry| id_of(state, entry)).collect();
            export_menu(ui, &format!("Export the {} shown", counted(shown.len())), &shown, actions);
        }
    });
}

/// A button with the three forms that runs can be written in.
fn export_menu(ui: &mut Ui, name: &str, ids: &[RunId], actions: &mut Vec<Action>) {
    let button = ui.add_enabled(!ids.is_empty(), secondary_button("Export").icon(Icon::Export)).on_hover_text(name);
    let button = button.accessible_name(name.to_owned());
    Popup::menu(&button).close_behavior(PopupCloseBehavior::CloseOnClick).show(|ui| {
        for (format, words) in [
            (RunFormat::Csv, "CSV: one line a run, for a spreadsheet"),
            (RunFormat::Markdown, "Markdown: a table for an issue thread"),
            (RunFormat::Json, "JSON: everything, raw samples too"),
        ] {
            if ui.button(words).clicked() {
                actions.push(Action::ExportRuns(ids.to_vec(), format));
            }
        }
    });
}

fn id_of(state: &AppState, entry: &Entry) -> Option<RunId> {
    match entry {
        Entry::Run(at) => state.history.runs.get(*at).map(|head| head.id),
        Entry::Head(..) => None,
    }
}

/// `1 run`, `12 runs`.
fn counted(n: usize) -> String {
    format!("{} run{}", format::count(n as u64), if n == 1 { "" } else { "s" })
}

/// What is being measured from here.
fn measuring(ui: &mut Ui, state: &AppState, now: f64, actions: &mut Vec<Action>) {
    let Some(measuring) = &state.measuring else { return };
    let (done, total) = measuring.done;
    let what = match &measuring.purpose {
        Purpose::Repeat(_) => "Measuring again",
        Purpose::Canary(..) => "Measuring after the update",
    };
    let cells: Vec<String> = measuring.tests.iter().map(crate::protocol::BenchTest::name).collect();
    let label = format!("{what}: {}, repetition {} of {total}", cells.join(" and "), (done + 1).min(total));
    let left = (done > 0).then(|| {
        let each = (now - measuring.since) / done as f64;
        format!("about {} left", format::seconds(each * total.saturating_sub(done) as f64))
    });
    let fraction = (total > 0).then(|| done as f32 / total as f32);
    card(ui, |ui| {
        let mut progress = Progress::new(&label, fraction);
        if let Some(left) = &left {
            progress = progress.left(left);
        }
        if measuring.stopping {
            progress.show(ui);
        } else if progress.cancellable().show(ui).cancelled {
            actions.push(Action::StopMeasuring);
        }
    });
    ui.add_space(8.0);
}

fn nothing(ui: &mut Ui, actions: &mut Vec<Action>) {
    let words = "Everything that is measured here is kept: benchmarks, sweeps, comparisons of quality. On the command line: \
                 inferscope bench FILE --keep";
    if empty_state(ui, "Nothing was measured yet", words, Some("Import from llama-bench…")) {
        actions.push(Action::ImportRuns);
    }
}

fn tools(ui: &mut Ui, view: &mut RunsView) {
    ui.horizontal(|ui| {
        ui.scope(|ui| {
            ui.set_max_width((ui.available_width() - 340.0).clamp(160.0, 380.0));
            let field = search_field(ui, &mut view.wanted.filter, "Title, tag, model, design, work");
            if std::mem::take(&mut view.focus_search) {
                field.request_focus();
            }
        });
        let groups = [(Group::None, "List"), (Group::Sweep, "Sweep"), (Group::Model, "Model"), (Group::Day, "Day")];
        segmented(ui, "Grouped by", &mut view.wanted.group, &groups);
    });
}

/// What is chosen: one run in detail, two against each other, or a count.
fn below(ui: &mut Ui, state: &AppState, view: &mut RunsView, actions: &mut Vec<Action>) {
    ScrollArea::vertical().id_salt("chosen").auto_shrink([false, false]).show(ui, |ui| {
        chosen(ui, state, view, actions);
        ui.add_space(PAGE_MARGIN);
    });
}

fn chosen(ui: &mut Ui, state: &AppState, view: &mut RunsView, actions: &mut Vec<Action>) {
    let history = &state.history;
    match history.shown.as_slice() {
        [one] => {
            if let Some(run) = history.run(*one) {
                detail::detail(ui, state, run, &mut view.detail, actions);
            }
        }
        [a, b] => {
            if let (Some(a), Some(b)) = (history.run(*a), history.run(*b)) {
                compare::compare(ui, state, a, b, actions);
            }
        }
        many => {
            card(ui, |ui| {
                crate::ui::widgets::title(ui, format!("{} chosen", counted(many.len())));
                crate::ui::widgets::muted(ui, "Choose two to compare them");
                ui.add_space(8.0);
                ui.horizontal(|ui| {
                    export_menu(ui, &format!("Export {}", counted(many.len())), many, actions);
                    if ui.add(secondary_button("Delete").icon(Icon::Trash)).clicked() {
                        actions.push(Action::DeleteRuns(many.to_vec()));
                    }
                    close(ui, actions);
                });
            });
        }
    }
}

/// Chooses nothing.
fn close(ui: &mut Ui, actions: &mut Vec<Action>) {
    if ui.add(icon_button(Icon::Close, "Choose nothing")).clicked() {
        actions.push(Action::ShowRuns(Vec::new()));
    }
}
