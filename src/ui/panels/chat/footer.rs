//! What is said under a message, and what can be done with it.

use egui::{Align, Grid, Label, Layout, Rect, Response, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::message::{EDITABLE_BYTES, Editing, Shown};
use super::words;
use crate::app::{Action, AppState, Generating, siblings};
use crate::protocol::{GenerateStats, Role as Speaker};
use crate::store::{MessageId, Provenance};
use crate::ui::theme;
use crate::ui::widgets::{Icon, IconButton, elided, focus_ring, icon_button, muted, secondary_button, wrapped};

/// Side of a button of a message, in points.
const SIDE: f32 = 24.0;

/// Paints what is under a message. True when one of its buttons has the keyboard focus.
pub fn footer(ui: &mut Ui, state: &AppState, shown: &Shown<'_>, editing: &mut Option<Editing>, actions: &mut Vec<Action>) -> bool {
    let is_user = shown.message.role == Speaker::User;
    ui.spacing_mut().item_spacing = vec2(2.0, 4.0);
    if is_user {
        let align = Layout::right_to_left(Align::Center);
        let focused =
            ui.allocate_ui_with_layout(vec2(ui.available_width(), SIDE), align, |ui| buttons(ui, state, shown, editing, actions)).inner;
        return focused;
    }
    if let Some(generating) = state.generating().filter(|_| shown.is_running) {
        running(ui, state, shown, generating);
        ui.add_space(16.0);
        return false;
    }
    said(ui, shown);
    let align = Layout::left_to_right(Align::Center);
    let focused =
        ui.allocate_ui_with_layout(vec2(ui.available_width(), SIDE), align, |ui| buttons(ui, state, shown, editing, actions)).inner;
    ui.add_space(12.0);
    focused
}

/// Under a finished reply: why it ended early, what was left out of its prompt, its measurements.
fn said(ui: &mut Ui, shown: &Shown<'_>) {
    let palette = theme::palette(ui);
    let message = shown.message;
    if let Some((cause, details)) = words::cut_off(message, shown.is_running) {
        ui.add_space(2.0);
        let response = wrapped(ui, cause, theme::small(), palette.limit);
        if !details.is_empty() {
            response.on_hover_text(details.iter().rev().take(12).rev().map(String::as_str).collect::<Vec<_>>().join("\n"));
        }
    }
    let Some(stats) = &message.stats else { return };
    if let Some(dropped) = &stats.dropped {
        let stamp = words::dropped_words(dropped);
        quiet_line(ui, &stamp, palette.event)
            .on_hover_text("The conversation did not fit in the context: these were not part of the prompt");
    }
    figures_line(ui, stats, message.provenance.as_ref());
}

/// What a run measured, in one line, with every figure and its formula under the pointer.
pub fn figures_line(ui: &mut Ui, stats: &GenerateStats, made_by: Option<&Provenance>) {
    let palette = theme::palette(ui);
    let line = words::stats_line(stats, made_by);
    let response = line_of(ui, &line, palette.muted, Sense::focusable_noninteractive());
    focus_ring(ui, &response, 4);
    let formulas = |ui: &mut Ui| {
        ui.set_max_width(520.0);
        Grid::new("figures").num_columns(2).spacing(vec2(16.0, 6.0)).show(ui, |ui| {
            for figure in words::figures(stats, made_by) {
                ui.label(RichText::new(figure.name).font(theme::small()).color(palette.muted));
                ui.vertical(|ui| {
                    ui.spacing_mut().item_spacing.y = 1.0;
                    ui.add(Label::new(RichText::new(&figure.value).font(theme::mono_small()).color(palette.text)).wrap());
                    ui.add(Label::new(RichText::new(figure.formula).font(theme::small()).color(palette.muted)).wrap());
                });
                ui.end_row();
            }
        });
    };
    // the keyboard gets what the pointer gets
    if response.has_focus() {
        egui::Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), response.id, response.rect).show(formulas);
    } else {
        response.on_hover_ui(formulas);
    }
}

/// Under a reply that is being written: how far the prompt is read, what was measured so far, or that it is stopping.
fn running(ui: &mut Ui, state: &AppState, shown: &Shown<'_>, generating: &Generating) {
    let palette = theme::palette(ui);
    if generating.stopping.is_some() {
        quiet_line(ui, "Stopping", palette.event);
        return;
    }
    if let Some((done, total)) = generating.prefill {
        let (amount, fraction) = words::prefill_words(done, total, state.telemetry.prefill_tps);
        let percent = format!("{:.0} %", fraction * 100.0);
        quiet_line(ui, &format!("Reading the prompt · {percent} · {amount}"), palette.muted);
        bar(ui, fraction, &format!("Reading the prompt, {percent}"));
        return;
    }
    if generating.first.is_none() {
        if shown.message.last_part().is_empty() {
            cursor(ui);
        }
        quiet_line(ui, "Waiting for the first token", palette.muted);
        return;
    }
    quiet_line(ui, &words::running_line(generating, shown.message.provenance.as_ref()), palette.muted)
        .on_hover_text("Decode rate so far: (tokens − 1) / (time of the last token − time of the first), on the engine's clock");
}

/// The block that stands where the next word will.
fn cursor(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(8.0, 20.0), Sense::hover());
    ui.painter().rect_filled(rect.shrink2(vec2(0.0, 2.0)), 1.0, theme::palette(ui).accent);
}

fn bar(ui: &mut Ui, fraction: f32, name: &str) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width().min(360.0), 4.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, name));
    ui.painter().rect_filled(rect, 2.0, palette.hairline);
    let done = Rect::from_min_size(rect.min, vec2(rect.width() * fraction, rect.height()));
    ui.painter().rect_filled(done, 2.0, palette.accent);
}

/// One small line, cut where the room ends; the whole of it is its accessible name.
pub fn quiet_line(ui: &mut Ui, words: &str, color: egui::Color32) -> Response {
    line_of(ui, words, color, Sense::hover())
}

fn line_of(ui: &mut Ui, words: &str, color: egui::Color32, sense: Sense) -> Response {
    let galley = elided(ui, words, theme::small(), color, ui.available_width());
    let (rect, response) = ui.allocate_exact_size(vec2(galley.size().x, 18.0), sense);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, ui.is_enabled(), words));
    ui.painter().galley(rect.left_center() - vec2(0.0, galley.size().y / 2.0), galley, color);
    response
}

/// The buttons of a message: always there for the keyboard, seen under the pointer, with the focus, and at the end of the branch.
fn buttons(ui: &mut Ui, state: &AppState, shown: &Shown<'_>, editing: &mut Option<Editing>, actions: &mut Vec<Action>) -> bool {
    let message = shown.message;
    let branches = siblings(&shown.open.messages, message.id);
    let is_user = message.role == Speaker::User;
    let is_idle = state.generating().is_none();
    let why_not = state.why_not_ready();
    let while_running = why_not.filter(|_| !is_idle);
    let mut focused = false;
    if !shown.is_active && !(shown.is_last && is_idle) {
        // a branch is worth knowing of before the pointer comes near
        ui.set_opacity(if branches.len() > 1 { 0.6 } else { 0.0 });
    }
    let mut press = |ui: &mut Ui, why_not: Option<&str>, button: IconButton<'_>| {
        let response = ui.add_enabled(why_not.is_none(), button.side(SIDE));
        focused |= response.has_focus();
        response.on_disabled_hover_text(why_not.unwrap_or_default()).clicked()
    };
    if shown.is_last && words::cut_off(message, shown.is_running).is_some() {
        let button = ui.add_enabled(why_not.is_none(), secondary_button("Continue").height(SIDE));
        if button.on_disabled_hover_text(why_not.unwrap_or_default()).clicked() {
            actions.push(Action::Continue(message.id));
        }
        ui.add_space(6.0);
    }
    if press(ui, None, icon_button(Icon::Copy, "Copy message")) {
        actions.push(Action::Copy(message.text.clone()));
    }
    if is_user {
        let fits = message.text.len() <= EDITABLE_BYTES;
        let name = if fits { "Edit message" } else { "Too long to edit here: copy it instead" };
        if press(ui, while_running.or((!fits).then_some(name)), icon_button(Icon::Edit, name)) {
            *editing = Some(Editing::of(message));
        }
    } else {
        if press(ui, why_not, icon_button(Icon::Refresh, "Regenerate")) {
            actions.push(Action::Regenerate(message.id));
        }
        let is_whole = words::cut_off(message, shown.is_running).is_none();
        let can_continue = shown.is_last && is_whole && words::can_continue(message);
        if can_continue && press(ui, why_not, icon_button(Icon::Play, "Continue reply")) {
            actions.push(Action::Continue(message.id));
        }
        let is_shown = shown.open.tokens.as_ref().is_some_and(|tokens| tokens.message == message.id);
        let name = if is_shown { "Show as text" } else { "Token probabilities" };
        if press(ui, None, icon_button(Icon::Bars, name).on(is_shown)) {
            actions.push(Action::ShowProbabilities(message.id));
        }
        if press(ui, why_not, icon_button(Icon::Info, "Show exact prompt")) {
            actions.push(Action::ShowPromptOf(message.id));
        }
        if press(ui, None, icon_button(Icon::Branch, "Branch to a new chat")) {
            actions.push(Action::BranchToNewChat(message.id));
        }
    }
    if branches.len() > 1 {
        navigator(ui, message.id, &branches, is_user, while_running, &mut press, actions);
    }
    focused
}

/// `‹ 2/3 ›`
fn navigator(
    ui: &mut Ui,
    message: MessageId,
    branches: &[MessageId],
    is_reversed: bool,
    why_not: Option<&str>,
    press: &mut impl FnMut(&mut Ui, Option<&str>, IconButton<'_>) -> bool,
    actions: &mut Vec<Action>,
) {
    let Some(at) = branches.iter().position(|id| *id == message) else { return };
    let before = at.checked_sub(1).and_then(|index| branches.get(index)).copied();
    let after = branches.get(at + 1).copied();
    let mut go = |ui: &mut Ui, to: Option<MessageId>, icon: Icon, name: &str| {
        let why_not = why_not.or(to.is_none().then_some("There is no further branch on this side"));
        if press(ui, why_not, icon_button(icon, name))
            && let Some(to) = to
        {
            actions.push(Action::ShowBranch(to));
        }
    };
    let place = format!("{}/{}", at + 1, branches.len());
    // a line that runs from the right is laid out from the right
    if is_reversed {
        go(ui, after, Icon::ChevronRight, "Next branch");
        muted(ui, place);
        go(ui, before, Icon::ChevronLeft, "Previous branch");
    } else {
        go(ui, before, Icon::ChevronLeft, "Previous branch");
        muted(ui, place);
        go(ui, after, Icon::ChevronRight, "Next branch");
    }
}
