//! One run: what was measured, on what, how far it can be trusted, and how it compares with the one before it.

use egui::{Align, Layout, TextEdit, Ui, vec2};

use super::compare;
use crate::app::{Action, AppState, QualityAction};
use crate::measure::format;
use crate::protocol::{Metric, Run, RunId, RunTrust, Workload};
use crate::ui::theme;
use crate::ui::widgets::{
    DotPlot, Icon, Tone, card, icon_button, muted, pill, primary_button, secondary_button, section_label, stat_row, tight, title, wrapped,
};

/// What is typed about the run that is shown.
#[derive(Clone, Debug, Default)]
pub(super) struct DetailView {
    /// The run that is being named, and what is typed
    naming: Option<(RunId, String, bool)>,
    tag: String,
}

/// Paints a run.
pub(super) fn detail(ui: &mut Ui, state: &AppState, run: &Run, view: &mut DetailView, actions: &mut Vec<Action>) {
    card(ui, |ui| {
        head(ui, run, view, actions);
        tags(ui, run, view, actions);
        ui.add_space(8.0);
        if let Some(error) = &run.failure {
            wrapped(ui, error.to_string(), theme::body(), theme::palette(ui).limit);
            ui.add_space(8.0);
        }
        figures(ui, run);
        ui.add_space(4.0);
        buttons(ui, state, run, actions);
    });
    if let Some(before) = state.history.predecessor(run.id).and_then(|id| state.history.run(id)) {
        ui.add_space(12.0);
        card(ui, |ui| {
            title(ui, "Against the run before it");
            muted(ui, compare::label(before));
            ui.add_space(4.0);
            compare::figures(ui, before, run);
        });
    }
    ui.add_space(12.0);
    card(ui, |ui| {
        title(ui, "Design");
        ui.add_space(4.0);
        design(ui, run);
    });
    ui.add_space(12.0);
    card(ui, |ui| {
        title(ui, "Environment");
        ui.add_space(4.0);
        environment(ui, run);
    });
}

fn head(ui: &mut Ui, run: &Run, view: &mut DetailView, actions: &mut Vec<Action>) {
    let naming = view.naming.as_ref().is_some_and(|(id, ..)| *id == run.id);
    ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
        super::close(ui, actions);
        if !naming && ui.add(icon_button(Icon::Edit, "Name this run")).clicked() {
            view.naming = Some((run.id, run.title.clone(), true));
        }
        let (words, tone) = match run.trust {
            _ if run.failure.is_some() => ("failed", Tone::Limit),
            RunTrust::Trusted => ("trusted", Tone::Good),
            RunTrust::Noisy => ("noisy", Tone::Event),
            RunTrust::TooFew => ("too few", Tone::Neutral),
        };
        let reasons = if run.reasons.is_empty() { "Enough repetitions that agree".to_owned() } else { run.reasons.join("\n") };
        pill(ui, words, tone).on_hover_text(reasons);
        if !run.imported.is_empty() {
            pill(ui, &format!("from {}", run.imported), Tone::Accent).on_hover_text("Not measured here");
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| match &mut view.naming {
            Some((id, text, focus)) if *id == run.id => {
                let edit = TextEdit::singleline(text).char_limit(200).hint_text("Name").desired_width(ui.available_width() - 16.0);
                let edit = ui.add(edit.margin(egui::Margin::symmetric(8, 6))).accessible_name("Name of the run");
                if std::mem::take(focus) {
                    edit.request_focus();
                } else if edit.lost_focus() {
                    if !ui.input(|input| input.key_pressed(egui::Key::Escape)) && *text != run.title {
                        actions.push(Action::NameRun(run.id, text.clone()));
                    }
                    view.naming = None;
                }
            }
            _ => {
                title(ui, if run.title.is_empty() { run.workload.words() } else { run.title.clone() });
            }
        });
    });
    let model = format!("{} {}", run.environment.model, run.environment.quant);
    let mut facts = vec![model.trim().to_owned(), run.workload.words()];
    let when = chrono::DateTime::from_timestamp_millis(run.started_ms).map(|time| time.with_timezone(&chrono::Local));
    facts.extend(when.filter(|_| run.started_ms > 0).map(|time| time.format("%-d %B %Y, %H:%M").to_string()));
    if run.seconds > 0.0 {
        facts.push(format!("{} measured", format::seconds(run.seconds)));
    }
    if !run.group.is_empty() {
        facts.push(run.group.clone());
    }
    facts.retain(|fact| !fact.is_empty());
    muted(ui, facts.join("  ·  "));
}

fn tags(ui: &mut Ui, run: &Run, view: &mut DetailView, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
        for tag in &run.tags {
            pill(ui, tag, Tone::Neutral);
            let name = format!("Take the tag {tag} away");
            if ui.add(icon_button(Icon::Close, &name).side(20.0)).clicked() {
                let left = run.tags.iter().filter(|other| *other != tag).cloned().collect();
                actions.push(Action::TagRun(run.id, left));
            }
        }
        let hint = egui::RichText::new("Add a tag").color(theme::palette(ui).muted);
        let edit = TextEdit::singleline(&mut view.tag).char_limit(60).hint_text(hint).desired_width(96.0);
        let edit = ui.add(edit.font(theme::small()).margin(egui::Margin::symmetric(8, 4))).accessible_name("Add a tag");
        if edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter)) && !view.tag.trim().is_empty() {
            let tags = run.tags.iter().cloned().chain([std::mem::take(&mut view.tag)]).collect();
            actions.push(Action::TagRun(run.id, tags));
        }
    });
}

/// Every figure with its raw samples.
fn figures(ui: &mut Ui, run: &Run) {
    if run.samples.is_empty() {
        muted(ui, "Nothing was measured before it ended");
        return;
    }
    let known = Metric::ALL.into_iter().filter_map(|metric| Some((metric, run.samples.get(&metric)?, run.figure(metric)?)));
    // what was the same each time, the size of a file for one, needs no picture
    let (many, single): (Vec<_>, Vec<_>) = known.partition(|(_, samples, _)| samples.iter().any(|sample| Some(sample) != samples.first()));
    for (metric, samples, middle) in many {
        let words = |value: f64| format::metric(metric, value);
        ui.horizontal(|ui| {
            section_label(ui, metric.name());
            ui.add(egui::Label::new(egui::RichText::new(words(middle)).font(theme::title()).color(theme::palette(ui).text)));
            muted(ui, format!("median of {}", samples.len()));
        });
        ui.add(DotPlot::new(metric.name(), samples, middle, &words));
        ui.add_space(4.0);
    }
    tight(ui, |ui| {
        for (metric, _, value) in single {
            stat_row(ui, metric.name(), &format::metric(metric, value));
        }
    });
    for reason in &run.reasons {
        wrapped(ui, reason, theme::small(), theme::palette(ui).event);
    }
}

fn buttons(ui: &mut Ui, state: &AppState, run: &Run, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        let can = matches!(run.workload, Workload::Bench { .. }) && state.measuring.is_none();
        let why =
            if state.measuring.is_some() { "Something is being measured" } else { "Only a benchmark can be measured again from here" };
        let hint = "Measures the same design and work once more, in an engine of its own, and says whether the difference is real";
        let repeat = ui.add_enabled(can, primary_button("Repeat").icon(Icon::Refresh)).on_hover_text(hint).on_disabled_hover_text(why);
        if repeat.clicked() {
            actions.push(Action::RepeatRun(run.id));
        }
        if ui.add(secondary_button("Use this design")).on_hover_text("Load it, with its sampling").clicked() {
            actions.push(Action::UseRunDesign(run.id));
        }
        if !state.quality_siblings(run.id).is_empty() {
            let hint = "On the Quality page, with its text, token by token, and what was compared with it";
            if ui.add(secondary_button("Show the comparison")).on_hover_text(hint).clicked() {
                actions.push(Action::Quality(QualityAction::OpenOf(run.id)));
            }
        }
        super::export_menu(ui, "Export this run", &[run.id], actions);
        if ui.add(secondary_button("Delete").icon(Icon::Trash)).clicked() {
            actions.push(Action::DeleteRuns(vec![run.id]));
        }
    });
}

fn design(ui: &mut Ui, run: &Run) {
    let path = run.design.model.display().to_string();
    tight(ui, |ui| {
        stat_row(ui, "Model", &run.design.model.file_name().unwrap_or_default().to_string_lossy()).on_hover_text(path);
        stat_row(ui, "Hash", &run.design_hash()).on_hover_text("The same for the same settings and the same model file, wherever it lies");
        let base = crate::protocol::Design { model: run.design.model.clone(), ..Default::default() };
        let changes = base.diff(&run.design);
        if changes.is_empty() {
            stat_row(ui, "Settings", "all at their defaults");
        }
        for change in changes {
            stat_row(ui, &change.field, &change.to).on_hover_text(format!("The default is {}", change.from));
        }
    });
}

fn environment(ui: &mut Ui, run: &Run) {
    let e = &run.environment;
    let count = |n: u32| if n == 0 { String::new() } else { n.to_string() };
    let bytes = |n: u64| if n == 0 { String::new() } else { format::bytes(n) };
    let rows = [
        ("CPU", e.cpu.clone()),
        ("Cores, processors", if e.cores == 0 { String::new() } else { format!("{}, {}", e.cores, count(e.processors)) }),
        ("Memory", bytes(e.memory)),
        ("System", e.os.clone()),
        ("Governor", e.governor.clone()),
        ("Engine", format!("{} {}", e.engine, e.engine_build).trim().to_owned()),
        ("Engine commit", e.engine_commit.clone()),
        ("Inferscope", e.app.clone()),
        ("Model file", bytes(e.model_size)),
        ("Fingerprint", e.model_hash.clone()),
        ("Background load", e.background_load.map(format::percent).unwrap_or_default()),
        ("Memory bandwidth", e.bandwidth_gb_s.map(|gb_s| format!("{gb_s:.1} GB/s")).unwrap_or_default()),
    ];
    tight(ui, |ui| {
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            stat_row(ui, name, value).on_hover_text(value);
        }
    });
    if rows.iter().all(|(_, value)| value.is_empty()) {
        muted(ui, "Nothing is known of what it ran on");
    }
}
