//! A notebook: one text that is edited and continued. What is being made stands at its end in another tint.

use egui::text::{LayoutJob, TextFormat, TextWrapping};
use egui::{Align, Color32, Frame, Key, Label, Layout, Margin, Modifiers, RichText, Stroke, TextEdit, Ui, vec2};

use super::composer::meter;
use super::empty;
use super::footer::quiet_line;
use super::sampling::{self, SamplingView};
use super::transcript::{column, column_width};
use super::words;
use crate::app::{Action, AppState, Dialog, OpenChat};
use crate::protocol::{JobId, Role};
use crate::store::{Chat, ChatId};
use crate::ui::plain_text;
use crate::ui::plain_text::Pieces;
use crate::ui::theme::{self, BODY_LINE_HEIGHT, PANEL_RADIUS};
use crate::ui::widgets::{ListSpec, RowId, VirtualList, danger_button, ghost_button, muted, primary_button};

/// The end of a long text that stays editable, bytes.
const EDITED_BYTES: usize = 24_000;
/// A text up to this length is edited whole, bytes.
const WHOLE_BYTES: usize = 48_000;

/// What lasts of a notebook between frames.
#[derive(Clone, Debug)]
pub struct NotebookView {
    chat: Option<ChatId>,
    /// What the application was last seen to hold
    known: String,
    /// The part before what is edited
    head: String,
    pieces: Pieces,
    /// What is edited
    tail: String,
    run: Option<Run>,
    list: VirtualList,
}

/// The text while it is being continued.
#[derive(Clone, Debug)]
struct Run {
    job: JobId,
    text: String,
    /// Where what is made begins, bytes
    from: usize,
    /// How much of the reply is in `text`, bytes
    taken: usize,
    pieces: Pieces,
}

impl Default for NotebookView {
    fn default() -> Self {
        Self {
            chat: None,
            known: String::new(),
            head: String::new(),
            pieces: Pieces::default(),
            tail: String::new(),
            run: None,
            list: VirtualList::new(200.0, true),
        }
    }
}

impl NotebookView {
    fn sync(&mut self, state: &AppState, chat: &Chat) {
        let is_other = self.chat != Some(chat.id);
        if is_other {
            *self = Self { chat: Some(chat.id), ..Self::default() };
        }
        if is_other || self.known != chat.draft {
            self.known.clone_from(&chat.draft);
            if self.head.len() + self.tail.len() != chat.draft.len() || self.whole() != chat.draft {
                self.split(&chat.draft);
            }
        }
        let running = state.generating().filter(|generating| generating.chat == chat.id);
        let Some(generating) = running else {
            self.run = None;
            return;
        };
        if self.run.as_ref().is_none_or(|run| run.job != generating.job) {
            self.list.scroll_to_end();
            let (text, from) = (chat.draft.clone(), chat.draft.len());
            self.run = Some(Run { job: generating.job, text, from, taken: generating.kept, pieces: Pieces::default() });
        }
        if let Some(run) = self.run.as_mut() {
            run.text.push_str(generating.text.get(run.taken..).unwrap_or_default());
            run.taken = generating.text.len();
            run.pieces.update(&run.text);
        }
    }

    fn whole(&self) -> String {
        format!("{}{}", self.head, self.tail)
    }

    /// Cuts a text into what is only read and what can be edited.
    fn split(&mut self, text: &str) {
        let mut at = 0;
        if text.len() > WHOLE_BYTES {
            at = text.len() - EDITED_BYTES;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            let end = text.get(at..).unwrap_or_default();
            at += end.find('\n').map_or(0, |line| line + 1);
        }
        self.head = text.get(..at).unwrap_or_default().to_owned();
        self.tail = text.get(at..).unwrap_or_default().to_owned();
        self.pieces.update(&self.head);
    }
}

/// Paints the text of a notebook over all of `ui`. `focus` is taken back once the field has the keyboard.
pub fn text(ui: &mut Ui, state: &AppState, chat: &Chat, view: &mut NotebookView, focus: &mut bool, actions: &mut Vec<Action>) {
    view.sync(state, chat);
    let palette = theme::palette(ui);
    let width = column_width(ui.available_width());
    let id = ui.scope_id().with(("notebook", chat.id.0));
    let view_height = ui.available_height();
    let NotebookView { head, pieces, tail, run, list, .. } = view;
    if let Some(run) = run {
        let spec = ListSpec { id, count: run.pieces.len(), revision: 1, gap: 0.0 };
        list.show(ui, spec, piece_id, |ui, index| {
            let (from, to) = run.pieces.range(index);
            let split = run.from.clamp(from, to) - from;
            let job = tinted(run.pieces.get(&run.text, index), split, palette.text, palette.accent, width);
            column(ui, width, |ui| {
                pad(ui, index == 0);
                ui.add(Label::new(job).selectable(true));
            });
        });
        return;
    }
    let count = pieces.len() + 1;
    let spec = ListSpec { id, count, revision: 2 + count as u64, gap: 0.0 };
    let mut changed = false;
    list.show(
        ui,
        spec,
        |index| if index + 1 == count { RowId { key: u64::MAX, version: 0 } } else { piece_id(index) },
        |ui, index| {
            column(ui, width, |ui| {
                pad(ui, index == 0);
                if index + 1 < count {
                    let words = plain_text::display(pieces.get(head, index));
                    ui.add(Label::new(plain_text::body_job(&words, palette.muted, width)).selectable(true));
                    return;
                }
                if head.is_empty() && tail.is_empty() {
                    empty::notebook_words(ui);
                    ui.add_space(8.0);
                } else if !head.is_empty() {
                    muted(ui, "Of a long text, what follows can be edited");
                }
                changed = field(ui, tail, view_height, focus);
            });
        },
    );
    if changed {
        let whole = view.whole();
        actions.push(Action::SetDraft(whole));
    }
}

fn field(ui: &mut Ui, text: &mut String, view_height: f32, focus: &mut bool) -> bool {
    let rows = ((view_height - 120.0) / BODY_LINE_HEIGHT).max(3.0) as usize;
    let edit = TextEdit::multiline(text)
        .id_salt("notebook text")
        .frame(Frame::NONE)
        .margin(Margin::ZERO)
        .hint_text(RichText::new("Once upon a time").color(theme::palette(ui).muted))
        .desired_width(f32::INFINITY)
        .desired_rows(rows.min(40));
    let response = ui.add(edit).accessible_name("Notebook text");
    if std::mem::take(focus) {
        response.request_focus();
    }
    response.changed()
}

/// What is under the text: the measurements of the last run, the context meter and the buttons.
pub fn bar(ui: &mut Ui, state: &AppState, chat: &Chat, open: &OpenChat, sampling: &mut SamplingView, actions: &mut Vec<Action>) {
    let palette = theme::palette(ui);
    let frame = Frame::new()
        .fill(palette.panel)
        .stroke(Stroke::new(palette.border_width(), palette.hairline))
        .corner_radius(PANEL_RADIUS)
        .inner_margin(Margin { left: 14, right: 10, top: 8, bottom: 8 });
    frame.show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 4.0;
        status(ui, state, chat, open);
        let can_send = !chat.draft.trim().is_empty() && state.generating().is_none();
        if can_send && is_ctrl_enter_pressed(ui, state) {
            actions.push(Action::Send);
        }
        ui.allocate_ui_with_layout(vec2(ui.available_width(), 32.0), Layout::right_to_left(Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            if let Some(generating) = state.generating() {
                let is_stopping = generating.stopping.is_some();
                if ui.add_enabled(!is_stopping, danger_button(if is_stopping { "Stopping" } else { "Stop" })).clicked() {
                    actions.push(Action::Stop);
                }
            } else if ui.add_enabled(can_send, primary_button("Continue")).on_hover_text("Ctrl+Enter").clicked() {
                actions.push(Action::Send);
            }
            sampling::button(ui, state, sampling, actions);
            if ui.add_enabled(state.can_generate(), ghost_button("Prompt").height(32.0)).clicked() {
                actions.push(Action::ShowPrompt);
            }
            meter(ui, state);
        });
    });
}

/// Whether Ctrl+Enter was pressed on the page. It is taken from the field, which would begin a new line with it.
fn is_ctrl_enter_pressed(ui: &Ui, state: &AppState) -> bool {
    let is_covered = state.dialog != Dialog::None || ui.memory(|memory| memory.top_modal_layer().is_some());
    !is_covered && ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::Enter))
}

fn status(ui: &mut Ui, state: &AppState, chat: &Chat, open: &OpenChat) {
    let palette = theme::palette(ui);
    let running = state.generating().filter(|generating| generating.chat == chat.id);
    let last = open.branch.iter().rev().filter_map(|id| open.get(*id)).find(|message| message.role == Role::Assistant);
    if let Some(generating) = running {
        let line = match generating.prefill {
            _ if generating.stopping.is_some() => "Stopping".to_owned(),
            Some((done, total)) => format!("Reading the text · {}", words::prefill_words(done, total, state.telemetry.prefill_tps).0),
            None if generating.first.is_none() => "Waiting for the first token".to_owned(),
            None => words::running_line(generating, last.and_then(|message| message.provenance.as_ref())),
        };
        quiet_line(ui, &line, palette.muted);
        return;
    }
    let Some(message) = last.filter(|message| message.stats.is_some() || words::cut_off(message, false).is_some()) else {
        quiet_line(ui, "The model continues the text as it stands: no roles, no template", palette.muted);
        return;
    };
    if let Some((cause, _)) = words::cut_off(message, false) {
        quiet_line(ui, &cause, palette.limit);
    } else if let Some(stats) = &message.stats {
        quiet_line(ui, &words::stats_line(stats, message.provenance.as_ref()), palette.muted);
    }
}

fn piece_id(index: usize) -> RowId {
    RowId { key: index as u64, version: 0 }
}

fn pad(ui: &mut Ui, is_first: bool) {
    if is_first {
        ui.add_space(20.0);
    }
}

/// A text of two tints, the second from byte `split` on.
fn tinted(text: &str, split: usize, first: Color32, second: Color32, width: f32) -> LayoutJob {
    let mut job = LayoutJob { wrap: TextWrapping::wrap_at_width(width), ..LayoutJob::default() };
    let (old, new) = text.split_at_checked(split.min(text.len())).unwrap_or((text, ""));
    for (part, color) in [(old, first), (new, second)] {
        let format = TextFormat { line_height: Some(BODY_LINE_HEIGHT), ..TextFormat::simple(theme::body(), color) };
        job.append(&plain_text::display(part), 0.0, format);
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::DARK;

    #[test]
    fn a_long_text_keeps_its_end_editable_and_loses_nothing() {
        let mut view = NotebookView::default();
        let text = "Zwölf Boxkämpfer jagen Viktor\n".repeat(10_000);
        view.split(&text);
        assert!(view.tail.len() <= EDITED_BYTES && view.tail.starts_with("Zwölf"));
        assert_eq!(view.whole(), text);
        view.split("short");
        assert_eq!((view.head.as_str(), view.tail.as_str()), ("", "short"));
        view.split(&"é".repeat(WHOLE_BYTES));
        assert_eq!(view.whole(), "é".repeat(WHOLE_BYTES));
    }

    #[test]
    fn what_is_made_has_its_own_tint() {
        let job = tinted("old new", 4, DARK.text, DARK.accent, 100.0);
        assert_eq!(job.text, "old new");
        assert_eq!(job.sections.iter().map(|section| section.format.color).collect::<Vec<_>>(), [DARK.text, DARK.accent]);
        // a split inside a character leaves the text whole
        assert_eq!(tinted("é", 1, DARK.text, DARK.accent, 100.0).text, "é");
    }
}
