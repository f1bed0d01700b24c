//! What to measure next: rungs by press, values as llama-bench writes lists and ranges.

use egui::{Align, Layout, Margin, TextEdit, Ui, vec2};

use crate::app::{AppState, SweepDraft};
use crate::library::RungState;
use crate::measure::sweep::{Key, Sweep};
use crate::measure::{format, stats};
use crate::protocol::{Design, Metric};
use crate::ui::theme;
use crate::ui::widgets::{Icon, card, focus_ring, icon_button, label, muted, primary_button, segmented, title, toggle, wrapped};

/// Rungs that the first sweep has at most, so that it does not take long.
const FEW: usize = 3;

/// A setting that can be varied: its name, what it means, what it is now.
struct Field {
    key: Key,
    name: &'static str,
    hint: &'static str,
    now: fn(&Design) -> String,
}

const fn field(key: Key, name: &'static str, hint: &'static str, now: fn(&Design) -> String) -> Field {
    Field { key, name, hint, now }
}

const FIELDS: [Field; 10] = [
    field(Key::Threads, "Threads", "CPU threads that decode, as a list or a range: 1,2,4 or 1-8*2", |d| auto(d.threads)),
    field(Key::ThreadsBatch, "Batch threads", "CPU threads that read the prompt", |d| auto(d.threads_batch)),
    field(Key::UbatchSize, "Micro-batch", "Most tokens computed at once: 128-512*2", |d| d.n_ubatch.to_string()),
    field(Key::BatchSize, "Batch", "Most prompt tokens handed over in one call", |d| d.n_batch.to_string()),
    field(Key::CacheTypeK, "Key cache", "f16, q8_0, q4_0 and others, with commas between them", |d| d.type_k.name().into()),
    field(Key::CacheTypeV, "Value cache", "Anything but f32, f16 and bf16 needs flash attention", |d| d.type_v.name().into()),
    field(Key::FlashAttn, "Flash attention", "on, off, auto", |d| format!("{:?}", d.flash_attention).to_lowercase()),
    field(Key::Depth, "Depth", "Tokens in the cache before each measurement: 0,1024,4096", |_| "0".into()),
    field(Key::Repack, "Repack", "Weights in the processor's own layouts: on, off", |d| if d.repack { "on".into() } else { "off".into() }),
    field(Key::Mmap, "Map the file", "on, off", |d| if d.mmap { "on".into() } else { "off".into() }),
];

fn auto(value: u32) -> String {
    if value == 0 { "auto".into() } else { value.to_string() }
}

/// The values of a key as typed.
fn values(draft: &SweepDraft, key: Key) -> &str {
    draft.axes.iter().find(|(of, _)| *of == key).map_or("", |(_, values)| values.as_str())
}

fn set(draft: &mut SweepDraft, key: Key, values: String) {
    match draft.axes.iter_mut().find(|(of, _)| *of == key) {
        Some((_, old)) => *old = values,
        None => draft.axes.push((key, values)),
    }
}

/// The rungs of the family in use that are on disk: quant, bytes.
pub(super) fn on_disk(state: &AppState) -> Vec<(String, u64)> {
    let rungs = state.family().or_else(|| state.library.families.first()).map_or(&[][..], |family| family.rungs.as_slice());
    let here = rungs.iter().filter_map(|rung| match &rung.state {
        RungState::OnDisk { size, .. } => Some((rung.quant.clone(), *size)),
        _ => None,
    });
    here.collect()
}

/// A sweep that is worth starting with nothing said: a few rungs from the largest to the smallest, with half and all of the threads.
pub(super) fn sensible(state: &AppState) -> SweepDraft {
    let mut draft = SweepDraft::default();
    set(&mut draft, Key::Rung, spread(&on_disk(state), FEW).join(","));
    let threads = state.loaded.as_ref().map_or(0, |report| report.effective.threads);
    let threads = match threads {
        0 | 1 => String::new(),
        n => format!("{},{n}", n.div_ceil(2)),
    };
    set(&mut draft, Key::Threads, threads);
    draft
}

/// What the draft comes to, for the button that starts it: `Measure 3 rungs with 1 and 2 threads`.
pub(super) fn offer(draft: &SweepDraft) -> String {
    let rungs = values(draft, Key::Rung).split(',').filter(|rung| !rung.is_empty()).count().max(1);
    let s = if rungs == 1 { "" } else { "s" };
    match values(draft, Key::Threads).split_once(',') {
        Some((half, all)) => format!("Measure {rungs} rung{s} with {half} and {all} threads"),
        None => format!("Measure {rungs} rung{s}"),
    }
}

/// Up to `most` of the rungs, from the largest to the smallest.
fn spread(rungs: &[(String, u64)], most: usize) -> Vec<String> {
    if rungs.len() <= most {
        return rungs.iter().map(|(quant, _)| quant.clone()).collect();
    }
    let at = |i: usize| rungs.get(i * (rungs.len() - 1) / (most - 1).max(1)).map(|(quant, _)| quant.clone());
    (0..most).filter_map(at).collect()
}

/// Seconds that the draft would take: from what the last sweep took for one measurement, else from the speeds that were last seen. `None`
/// before there is either.
pub(super) fn seconds(state: &AppState) -> Option<f64> {
    reckon(state, &state.measure.draft, state.measure.draft_designs)
}

fn reckon(state: &AppState, draft: &SweepDraft, designs: usize) -> Option<f64> {
    let rows = state.measure.sweep().map_or(&[][..], Sweep::rows);
    let plan = state.measure.sweep().map(Sweep::plan).filter(|plan| (plan.n_prompt, plan.n_gen) == (draft.n_prompt, draft.n_gen));
    let measured: Vec<f64> = rows.iter().filter(|row| row.blocks > 0).map(|row| row.seconds / row.blocks as f64).collect();
    let one = match (plan, stats::mean(&measured)) {
        (Some(_), Some(one)) => one,
        _ => {
            let reading = if draft.n_prompt > 0 { f64::from(draft.n_prompt) / state.telemetry.prefill_tps? } else { 0.0 };
            let writing = if draft.n_gen > 0 { f64::from(draft.n_gen) / state.telemetry.decode_tps? } else { 0.0 };
            // with the warm-up and the load, as far as they are known before
            (reading + writing) * 1.3
        }
    };
    Some(one * designs as f64 * f64::from(draft.blocks)).filter(|seconds| seconds.is_finite())
}

/// Seconds that measuring quality loss adds: each level reads the text, and so does what they are compared with. `None` before a prompt was
/// read or measured.
fn loss_seconds(state: &AppState) -> Option<f64> {
    let rows = state.measure.sweep().map_or(&[][..], Sweep::rows);
    let measured: Vec<f64> = rows.iter().filter_map(|row| row.figure(Metric::PrefillTps)).collect();
    let tps = stats::mean(&measured).or(state.telemetry.prefill_tps).filter(|tps| *tps > 0.0)?;
    let levels = state.measure.draft_qualities + 1;
    Some(levels as f64 * f64::from(SweepDraft::LOSS_TOKENS) / tps)
}

/// How long a draft that is offered takes, in words.
pub(super) fn estimate(state: &AppState, draft: &SweepDraft) -> String {
    let count = |key: Key| values(draft, key).split(',').filter(|value| !value.is_empty()).count().max(1);
    let designs = count(Key::Rung) * count(Key::Threads);
    match reckon(state, draft, designs) {
        Some(seconds) => format!("About {} (estimate), {} repetitions each", format::seconds(seconds), draft.blocks),
        None => format!("{} repetitions each; how long it takes is known once the first is measured", draft.blocks),
    }
}

/// What was asked of the card.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PlanOutput {
    /// The draft as it is now, where it was changed
    pub(super) changed: Option<SweepDraft>,
    /// Start it
    pub(super) start: bool,
    /// Put the card away
    pub(super) close: bool,
}

/// Paints the card. `seconds` is what the draft would take, where that can be reckoned; `why_not` keeps it from being started now.
pub(super) fn plan(ui: &mut Ui, state: &AppState, seconds: Option<f64>, why_not: Option<&str>) -> PlanOutput {
    let mut output = PlanOutput::default();
    let mut draft = state.measure.draft.clone();
    card(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                output.close = ui.add(icon_button(Icon::Close, "Close the plan")).clicked();
                let ways = [(false, "Measure all"), (true, "Search")];
                segmented(ui, "How the best is found", &mut draft.search, &ways).on_hover_text(
                    "Measure all: every design equally often. Search: what cannot be the best any more is left out on the way, which takes a \
                     fraction of the time",
                );
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| title(ui, "What to measure"));
            });
        });
        rungs(ui, state, &mut draft);
        fields(ui, state, &mut draft);
        output.start = footer(ui, state, &draft, seconds, why_not);
    });
    if draft != state.measure.draft {
        output.changed = Some(draft);
    }
    output
}

fn rungs(ui: &mut Ui, state: &AppState, draft: &mut SweepDraft) {
    let here = on_disk(state);
    let typed = values(draft, Key::Rung).to_owned();
    let is_all = typed.eq_ignore_ascii_case("all");
    let mut chosen: Vec<String> = if is_all {
        here.iter().map(|(quant, _)| quant.clone()).collect()
    } else {
        typed.split(',').map(str::trim).filter(|quant| !quant.is_empty()).map(str::to_owned).collect()
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        muted(ui, "Rungs on disk");
        let mut pressed = None;
        for (quant, size) in &here {
            let is_chosen = chosen.iter().any(|other| other.eq_ignore_ascii_case(quant));
            if chip(ui, quant, &format::bytes(*size), is_chosen) {
                pressed = Some((quant.clone(), is_chosen));
            }
        }
        if here.is_empty() {
            muted(ui, "none yet: open a model first");
        }
        if let Some((quant, was_chosen)) = pressed {
            chosen.retain(|other| !other.eq_ignore_ascii_case(&quant));
            if !was_chosen {
                chosen.push(quant);
            }
            // in the order of the ladder, whatever was pressed first
            let in_order = here.iter().filter(|(quant, _)| chosen.iter().any(|other| other.eq_ignore_ascii_case(quant)));
            set(draft, Key::Rung, in_order.map(|(quant, _)| quant.as_str()).collect::<Vec<_>>().join(","));
        }
    });
}

/// A rung that is in the plan or not; true when it was pressed.
fn chip(ui: &mut Ui, quant: &str, size: &str, chosen: bool) -> bool {
    let palette = theme::palette(ui);
    let ink = if chosen { palette.text } else { palette.muted };
    let name = crate::ui::widgets::elided(ui, quant, theme::mono(), ink, 160.0);
    let (rect, response) = ui.allocate_exact_size(vec2(name.size().x + 38.0, 28.0), egui::Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::CheckBox, true, chosen, format!("Measure {quant}")));
    let (fill, edge) = if chosen { (palette.accent_tint, palette.accent) } else { (palette.raised, palette.hairline) };
    ui.painter().rect(rect, theme::CONTROL_RADIUS, fill, egui::Stroke::new(palette.border_width(), edge), egui::StrokeKind::Inside);
    let icon = egui::Rect::from_center_size(egui::pos2(rect.left() + 14.0, rect.center().y), vec2(12.0, 12.0));
    crate::ui::widgets::paint_icon(ui.painter(), if chosen { Icon::Check } else { Icon::Plus }, icon, ink);
    ui.painter().galley(egui::pos2(rect.left() + 26.0, rect.center().y - name.size().y / 2.0), name, ink);
    focus_ring(ui, &response, theme::CONTROL_RADIUS);
    response.on_hover_text(size).clicked()
}

/// Width of a field with the space beside it, points.
const FIELD: f32 = 118.0;

fn fields(ui: &mut Ui, state: &AppState, draft: &mut SweepDraft) {
    let base = draft.base.as_ref().or_else(|| state.design()).or(state.settings.last_design.as_ref()).cloned().unwrap_or_default();
    let palette = theme::palette(ui);
    let problem = state.measure.draft_problem.as_deref();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(10.0, 8.0);
        for field in &FIELDS {
            let wrong = problem.is_some_and(|problem| problem.contains(&format!("key {}:", field.key.name())));
            let mut value = values(draft, field.key).to_owned();
            if text(ui, field.name, field.hint, &format!("as now: {}", (field.now)(&base)), &mut value, wrong) {
                set(draft, field.key, value);
            }
        }
        number(ui, "Prompt tokens", "Tokens of the pp cell; 0 leaves prefill and TTFT out", &mut draft.n_prompt, 0..=131_072);
        number(ui, "Generated tokens", "Tokens of the tg cell; 0 leaves decode and ITL out", &mut draft.n_gen, 0..=131_072);
        let hint = "Of every design, one in each shuffled block; eight or more tell small differences apart";
        number(ui, "Repetitions", hint, &mut draft.blocks, 1..=100);
        let mut minutes = draft.budget_seconds.map_or(0, |seconds| (seconds / 60.0).ceil() as u32);
        let before = minutes;
        number(
            ui,
            "Most minutes",
            "The sweep ends by then with what was measured; 0 lets it take as long as it takes",
            &mut minutes,
            0..=600,
        );
        if minutes != before {
            draft.budget_seconds = (minutes > 0).then(|| f64::from(minutes) * 60.0);
        }
    });
    ui.horizontal(|ui| {
        toggle(ui, &mut draft.free_chat_model, "Free the chat's model meanwhile");
        let words = "Free the chat's model meanwhile: more memory for what is measured, and it is loaded again afterwards";
        label(ui, words, theme::small(), palette.muted);
    });
    loss(ui, state, draft);
    if let Some(problem) = problem {
        wrapped(ui, problem, theme::small(), palette.limit);
    }
}

/// Whether quality loss is measured, why it must be, and what that takes.
fn loss(ui: &mut Ui, state: &AppState, draft: &mut SweepDraft) {
    let palette = theme::palette(ui);
    let needed = draft.limit_on_quality().map(ToString::to_string);
    let more = loss_seconds(state).map_or_else(String::new, |seconds| format!(", about {} more (estimate)", format::seconds(seconds)));
    ui.horizontal(|ui| {
        let mut is_on = draft.with_loss || needed.is_some();
        ui.add_enabled_ui(needed.is_none(), |ui| {
            if toggle(ui, &mut is_on, "Measure quality loss").changed() {
                draft.with_loss = is_on;
            }
        });
        let words = match &needed {
            Some(limit) => format!("Quality loss is measured too, because of the limit {limit}{more}"),
            None if is_on => format!("Measure quality loss, too, on the text that ships with the program{more}"),
            None => "Measure quality loss, too, on the text that ships with the program".to_owned(),
        };
        let color = if needed.is_some() { palette.text } else { palette.muted };
        label(ui, words, theme::small(), color);
    });
}

fn named<R>(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> R) -> R {
    ui.allocate_ui_with_layout(vec2(FIELD, 46.0), Layout::top_down(Align::Min), |ui| {
        ui.set_width(FIELD);
        ui.spacing_mut().item_spacing.y = 2.0;
        muted(ui, name);
        control(ui)
    })
    .inner
}

fn text(ui: &mut Ui, name: &str, hint: &str, now: &str, value: &mut String, wrong: bool) -> bool {
    let palette = theme::palette(ui);
    named(ui, name, |ui| {
        let ink = if wrong { palette.limit } else { palette.text };
        let edit = TextEdit::singleline(value)
            .font(theme::mono())
            .text_color(ink)
            .hint_text(egui::RichText::new(now).color(palette.muted))
            .margin(Margin::symmetric(8, 5))
            .desired_width(FIELD);
        ui.add(edit).accessible_name(name).on_hover_text(hint).changed()
    })
}

fn number(ui: &mut Ui, name: &str, hint: &str, value: &mut u32, range: std::ops::RangeInclusive<u32>) {
    named(ui, name, |ui| {
        ui.style_mut().drag_value_text_style = egui::TextStyle::Monospace;
        let drag = egui::DragValue::new(value).range(range).speed(1.0);
        ui.add_sized(vec2(FIELD, 28.0), drag).accessible_name(name).on_hover_text(hint);
    });
}

fn footer(ui: &mut Ui, state: &AppState, draft: &SweepDraft, seconds: Option<f64>, why_not: Option<&str>) -> bool {
    let mut start = false;
    let palette = theme::palette(ui);
    let problem = state.measure.draft_problem.as_deref();
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let keeps = why_not.or(problem);
            let button = ui.add_enabled(keeps.is_none(), primary_button("Start measuring"));
            start = button.on_disabled_hover_text(keeps.unwrap_or_default()).clicked();
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                // levels are scored besides what is measured in blocks
                let loss = (draft.with_loss || draft.limit_on_quality().is_some()).then(|| loss_seconds(state));
                let seconds = loss.map_or(seconds, |loss| seconds.zip(loss).map(|(seconds, loss)| seconds + loss));
                let words = if problem.is_some() { "Correct the value above".to_owned() } else { words(state, draft, seconds) };
                label(ui, words, theme::body(), palette.text);
            });
        });
    });
    start
}

/// `6 designs, 8 repetitions, about 1 min 20 s (estimate)`.
fn words(state: &AppState, draft: &SweepDraft, seconds: Option<f64>) -> String {
    let designs = state.measure.draft_designs;
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let count = format!("{} design{}", format::count(designs as u64), plural(designs));
    if draft.search {
        let limits = draft.limits.len();
        let under = if limits == 0 { String::new() } else { format!(" under {limits} limit{}", plural(limits)) };
        let most = draft.budget_seconds.map_or_else(String::new, |most| format!(", at most {}", format::seconds(most)));
        return format!("The best {} of {count}{under}{most}", draft.goal.name().to_lowercase());
    }
    let repetitions = format!("{} repetition{}", draft.blocks, plural(draft.blocks as usize));
    let time = match (seconds, draft.budget_seconds) {
        (Some(seconds), Some(most)) => format!("about {} (estimate)", format::seconds(seconds.min(most))),
        (Some(seconds), None) => format!("about {} (estimate)", format::seconds(seconds)),
        (None, Some(most)) => format!("at most {}", format::seconds(most)),
        (None, None) => "how long is known once the first is measured".into(),
    };
    format!("{count}, {repetitions}, {time}")
}
