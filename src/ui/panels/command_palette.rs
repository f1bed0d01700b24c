//! Everything that can be done, found by typing (Ctrl+K).

use egui::{Key, Modal, Modifiers, Rect, Response, Role, ScrollArea, Sense, TextEdit, Ui, WidgetInfo, pos2, vec2};

use crate::app::{Action, AppState, Page};
use crate::store::Theme;
use crate::ui::parts::ladder;
use crate::ui::shortcuts::{self, Command, SHORTCUTS, ShortcutTargets};
use crate::ui::theme::{self, CONTROL_RADIUS};
use crate::ui::widgets::muted;

const ROW_HEIGHT: f32 = 34.0;
const WIDTH: f32 = 560.0;
/// Rows in view before the list scrolls.
const ROWS: usize = 10;

/// Whether the palette is open, and what is typed.
#[derive(Clone, Debug, Default)]
pub struct PaletteView {
    open: bool,
    query: String,
    selected: usize,
    just_opened: bool,
}

impl PaletteView {
    /// Opens it empty.
    pub fn open(&mut self) {
        *self = Self { open: true, just_opened: true, ..Self::default() };
    }

    /// Whether it is on screen.
    pub fn is_open(&self) -> bool {
        self.open
    }
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq)]
pub enum Does {
    /// Something that also has a key
    Command(Command),
    /// Something else
    Action(Action),
}

/// One line of the palette.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What it does, in words
    pub words: String,
    /// More about it, muted
    pub note: String,
    /// What it does
    pub does: Does,
}

impl Entry {
    fn action(words: impl Into<String>, note: impl Into<String>, action: Action) -> Self {
        Self { words: words.into(), note: note.into(), does: Does::Action(action) }
    }
}

/// Everything that can be done now, the most likely first.
pub fn entries(state: &AppState) -> Vec<Entry> {
    let mut entries = Vec::new();
    if state.is_busy() {
        entries.push(Entry { words: "Stop what runs".into(), note: String::new(), does: Does::Command(Command::Stop) });
    }
    if let Some(family) = state.family() {
        for rung in ladder::rungs(state, family) {
            let action = Action::SelectRung(rung.quant.to_owned());
            match rung.key {
                crate::ui::widgets::RungState::OnDisk => {
                    entries.push(Entry::action(format!("Switch to {}", rung.quant), rung.size_words(), action));
                }
                crate::ui::widgets::RungState::Warm => {
                    entries.push(Entry::action(format!("Switch to {}", rung.quant), "kept in memory", action));
                }
                _ => {}
            }
        }
    }
    for shortcut in SHORTCUTS.iter().filter(|shortcut| !matches!(shortcut.command, Command::Palette | Command::Stop)) {
        entries.push(Entry { words: shortcut.words.into(), note: String::new(), does: Does::Command(shortcut.command) });
    }
    entries.push(Entry { words: "Save this chat as Markdown".into(), note: String::new(), does: Does::Command(Command::ExportChat) });
    if state.loaded.is_some() {
        entries.push(Entry { words: "Unload the model".into(), note: String::new(), does: Does::Command(Command::Unload) });
        entries.push(Entry::action("Measure the memory bandwidth", "", Action::ProbeBandwidth));
    }
    for (theme, name) in
        [(Theme::System, "as the system"), (Theme::Dark, "dark"), (Theme::Light, "light"), (Theme::HighContrast, "high contrast")]
    {
        entries.push(Entry::action(format!("Theme: {name}"), "", Action::SetTheme(theme)));
    }
    entries.push(Entry::action("Export the plots as CSV", "", Action::ExportPlotsCsv(None)));
    entries.push(Entry::action("Export the plots as a picture", "", Action::ExportPlotsPng(None)));
    entries.push(Entry::action("Add a model folder…", "", Action::PickFolder));
    for (family, rung) in
        state.family().into_iter().flat_map(|family| ladder::rungs(state, family).into_iter().map(move |rung| (family, rung)))
    {
        if rung.key == crate::ui::widgets::RungState::CanMake {
            let make = Action::OfferMake(family.key.clone(), rung.quant.to_owned());
            entries.push(Entry::action(format!("Make {}…", rung.quant), rung.size_words(), make));
        }
    }
    for family in &state.library.families {
        if state.family().is_none_or(|shown| shown.key != family.key)
            && let Some(path) = ladder::first_file(state, family)
        {
            entries.push(Entry::action(format!("Open {}", family.name), ladder::file_name(path), Action::OpenModel(path.to_owned())));
        }
    }
    for saved in &state.history.designs {
        let note = saved.design.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        entries.push(Entry::action(format!("Use the design {}", saved.name), note, Action::UseDesign(saved.id)));
    }
    entries.push(Entry::action("Import a design…", "TOML or JSON", Action::ImportDesign));
    if state.design().is_some() {
        entries.push(Entry::action("Export this design…", "TOML", Action::ExportDesign(None)));
    }
    entries.push(Entry::action("Import runs of llama-bench…", "JSON", Action::ImportRuns));
    entries.extend(
        state
            .chats
            .list
            .iter()
            .take(200)
            .filter(|chat| !chat.title.is_empty())
            .map(|chat| Entry::action(format!("Chat: {}", chat.title), chat.last_design.clone(), Action::OpenChat(chat.id))),
    );
    entries
}

/// Those that match what is typed, the best first: every word must occur, at the start of a word counts more.
pub fn matching<'a>(entries: &'a [Entry], query: &str) -> Vec<&'a Entry> {
    let wanted: Vec<String> = query.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let mut scored: Vec<(usize, &Entry)> = entries
        .iter()
        .filter_map(|entry| {
            let text = format!("{} {}", entry.words, entry.note).to_lowercase();
            wanted.iter().map(|word| score(&text, word)).sum::<Option<usize>>().map(|score| (score, entry))
        })
        .collect();
    // stable: entries that match equally well keep their order
    scored.sort_by_key(|(score, _)| *score);
    scored.into_iter().map(|(_, entry)| entry).collect()
}

/// 0 when `word` begins the text, 1 when it begins a word of it, 2 when it is anywhere.
fn score(text: &str, word: &str) -> Option<usize> {
    if text.starts_with(word) {
        Some(0)
    } else if text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part.starts_with(word)) {
        Some(1)
    } else {
        text.contains(word).then_some(2)
    }
}

/// Paints the palette, when it is open. Up and Down choose, Enter runs, Esc closes.
pub fn command_palette(
    ctx: &egui::Context,
    state: &AppState,
    view: &mut PaletteView,
    targets: &mut ShortcutTargets,
    actions: &mut Vec<Action>,
) {
    if std::mem::take(&mut targets.palette) {
        view.open();
    }
    if !view.open {
        return;
    }
    let all = entries(state);
    let width = WIDTH.min(ctx.content_rect().width() - 48.0);
    let id = egui::Id::unique("command palette");
    let area = Modal::default_area(id).anchor(egui::Align2::CENTER_TOP, vec2(0.0, 72.0)).accessible_name("Commands");
    let modal = Modal::new(id).area(area).show(ctx, |ui| {
        ui.set_width(width - 24.0);
        contents(ui, &all, view)
    });
    let chosen = modal.inner.clone();
    if let Some(does) = chosen {
        view.open = false;
        match does {
            Does::Command(command) => shortcuts::run(command, state, targets, actions),
            Does::Action(action) => {
                if matches!(action, Action::OpenChat(_)) {
                    actions.push(Action::Navigate(Page::Chat));
                }
                actions.push(action);
            }
        }
    } else if modal.should_close() {
        view.open = false;
    }
    view.just_opened = false;
}

fn contents(ui: &mut Ui, all: &[Entry], view: &mut PaletteView) -> Option<Does> {
    let palette = theme::palette(ui);
    let (mut step, mut run) = (0_isize, false);
    ui.input_mut(|input| {
        step += isize::from(input.consume_key(Modifiers::NONE, Key::ArrowDown));
        step -= isize::from(input.consume_key(Modifiers::NONE, Key::ArrowUp));
        run = input.consume_key(Modifiers::NONE, Key::Enter);
    });
    let hint = egui::RichText::new("Type a command").color(palette.muted);
    let edit = TextEdit::singleline(&mut view.query).hint_text(hint).desired_width(f32::INFINITY).margin(egui::Margin::symmetric(12, 9));
    let edit = ui.add(edit).accessible_name("Command");
    if view.just_opened {
        edit.request_focus();
    }
    if edit.changed() {
        view.selected = 0;
    }
    let found = matching(all, &view.query);
    view.selected = view.selected.saturating_add_signed(step).min(found.len().saturating_sub(1));
    ui.add_space(4.0);
    if found.is_empty() {
        muted(ui, "No command holds these words");
        return None;
    }
    let mut chosen = run.then(|| found.get(view.selected).map(|entry| entry.does.clone())).flatten();
    let height = ROW_HEIGHT * ROWS as f32;
    ui.spacing_mut().item_spacing.y = 0.0;
    let mut area = ScrollArea::vertical().max_height(height.min(ui.ctx().content_rect().height() - 220.0)).auto_shrink([false, true]);
    if step != 0 {
        // keeps the chosen row in the middle of what is in view
        area = area.vertical_scroll_offset((view.selected as f32 - ROWS as f32 / 2.0).max(0.0) * ROW_HEIGHT);
    }
    area.show_rows(ui, ROW_HEIGHT, found.len(), |ui, rows| {
        for index in rows {
            if let Some(entry) = found.get(index)
                && row(ui, entry, index == view.selected).clicked()
            {
                chosen = Some(entry.does.clone());
            }
        }
    });
    chosen
}

fn row(ui: &mut Ui, entry: &Entry, selected: bool) -> Response {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::MenuItem, ui.is_enabled(), selected, &entry.words));
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let fill = match (selected, response.hovered()) {
        (true, _) => palette.accent_tint,
        (false, true) => palette.raised,
        (false, false) => egui::Color32::TRANSPARENT,
    };
    ui.painter().rect_filled(rect, CONTROL_RADIUS, fill);
    let note = match entry.does {
        Does::Command(command) => shortcuts::keys_of(ui.ctx(), command).unwrap_or_default(),
        Does::Action(_) => entry.note.clone(),
    };
    let note = crate::ui::widgets::elided(ui, &note, theme::mono_small(), palette.muted, rect.width() * 0.4);
    let words = crate::ui::widgets::elided(ui, &entry.words, theme::body(), palette.text, rect.width() - note.size().x - 32.0);
    let inner = Rect::from_min_max(rect.min + vec2(10.0, 0.0), rect.max - vec2(10.0, 0.0));
    let middle = rect.center().y;
    let note_at = pos2(inner.right() - note.size().x, middle - note.size().y / 2.0);
    ui.painter().galley(pos2(inner.left(), middle - words.size().y / 2.0), words, palette.text);
    ui.painter().galley(note_at, note, palette.muted);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(words: &str) -> Entry {
        Entry::action(words, "", Action::Stop)
    }

    #[test]
    fn the_start_of_a_word_beats_the_middle() {
        let all = [entry("Unload the model"), entry("Load"), entry("Reload"), entry("Make Q8_0"), entry("Switch to Q8_0")];
        let words = |query: &str| matching(&all, query).into_iter().map(|entry| entry.words.as_str()).collect::<Vec<_>>();
        assert_eq!(words("load"), ["Load", "Unload the model", "Reload"]);
        assert_eq!(words("q8 sw"), ["Switch to Q8_0"]);
        assert_eq!(words("").len(), all.len());
        assert!(words("nothing").is_empty());
    }

    #[test]
    fn everything_with_a_key_has_a_name() {
        let entries = entries(&AppState::default());
        for shortcut in SHORTCUTS.iter().filter(|shortcut| !matches!(shortcut.command, Command::Palette | Command::Stop)) {
            assert!(entries.iter().any(|entry| entry.does == Does::Command(shortcut.command)), "{} is missing", shortcut.words);
        }
    }
}
