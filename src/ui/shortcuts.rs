//! The keys: one table that both dispatches and is shown.
//!
//! The palette ([`crate::ui::panels::command_palette`]) runs the same [`Command`]s, so whatever has a key also has a name to search for.

use egui::{Context, Key, KeyboardShortcut, Modifiers, Popup};

use crate::app::{Action, AppState, Dialog, Page, QualityAction};
use crate::protocol::Role;

/// What a key or a line of the palette does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the palette
    Palette,
    /// Show or hide the list of keys
    Shortcuts,
    /// Show a page
    Page(Page),
    /// Begin an empty chat
    NewChat,
    /// Begin an empty notebook
    NewNotebook,
    /// Put the cursor into the message field
    FocusMessage,
    /// Put the cursor into the search field of the page
    FocusSearch,
    /// Show the exact prompt
    ShowPrompt,
    /// Show the tokens of the latest reply with their probabilities, or its text again
    Probabilities,
    /// Save the open chat
    ExportChat,
    /// Ask for a GGUF
    OpenModel,
    /// Free the active model
    Unload,
    /// Open the design editor
    EditDesign,
    /// Switch to the next better rung on disk
    BetterRung,
    /// Switch to the next smaller rung on disk
    SmallerRung,
    /// End what runs
    Stop,
    /// Read the model folders again
    Rescan,
    /// Fold or unfold the telemetry
    Telemetry,
    /// Freeze or thaw the plots
    PausePlots,
    /// On the Quality page, show the worst token, then the next
    NextWorst,
    /// And back
    PreviousWorst,
    /// Show the engine's log
    Log,
    /// Larger
    ZoomIn,
    /// Smaller
    ZoomOut,
    /// As large as the system says
    ZoomReset,
    /// End the application
    Quit,
}

/// A key and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Shortcut {
    /// The keys
    pub keys: KeyboardShortcut,
    /// What they do
    pub command: Command,
    /// In words
    pub words: &'static str,
    /// Where it stands in the list
    pub group: &'static str,
}

const fn ctrl(key: Key, command: Command, group: &'static str, words: &'static str) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::COMMAND, key), command, words, group }
}

const fn ctrl_shift(key: Key, command: Command, group: &'static str, words: &'static str) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), key), command, words, group }
}

const fn shift(key: Key, command: Command, group: &'static str, words: &'static str) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::SHIFT, key), command, words, group }
}

const fn plain(key: Key, command: Command, group: &'static str, words: &'static str) -> Shortcut {
    Shortcut { keys: KeyboardShortcut::new(Modifiers::NONE, key), command, words, group }
}

/// Every key, in the order of the list. Those with more modifiers come before the same key with fewer: egui takes the first that matches.
pub const SHORTCUTS: &[Shortcut] = &[
    ctrl(Key::K, Command::Palette, "General", "Find a command"),
    plain(Key::F1, Command::Shortcuts, "General", "Show the keys"),
    ctrl(Key::Num1, Command::Page(Page::Chat), "General", "Show the Chat page"),
    ctrl(Key::Num2, Command::Page(Page::Compare), "General", "Show the Compare page"),
    ctrl(Key::Num3, Command::Page(Page::Measure), "General", "Show the Measure page"),
    ctrl(Key::Num4, Command::Page(Page::Quality), "General", "Show the Quality page"),
    ctrl(Key::Num5, Command::Page(Page::Library), "General", "Show the Library page"),
    ctrl(Key::Num6, Command::Page(Page::Runs), "General", "Show the Runs page"),
    ctrl(Key::Num7, Command::Page(Page::Settings), "General", "Show the Settings page"),
    ctrl(Key::F, Command::FocusSearch, "General", "Search on this page"),
    ctrl(Key::Plus, Command::ZoomIn, "General", "Larger"),
    ctrl(Key::Minus, Command::ZoomOut, "General", "Smaller"),
    ctrl(Key::Num0, Command::ZoomReset, "General", "Usual size"),
    ctrl(Key::Q, Command::Quit, "General", "Quit"),
    ctrl_shift(Key::N, Command::NewNotebook, "Chat", "New notebook"),
    ctrl(Key::N, Command::NewChat, "Chat", "New chat"),
    ctrl_shift(Key::L, Command::Log, "Engine", "Show the engine's log"),
    ctrl(Key::L, Command::FocusMessage, "Chat", "Write a message"),
    ctrl_shift(Key::A, Command::Probabilities, "Chat", "Show the token probabilities of the latest reply"),
    ctrl_shift(Key::P, Command::ShowPrompt, "Chat", "Show the exact prompt"),
    plain(Key::Escape, Command::Stop, "Engine", "Stop what runs"),
    ctrl(Key::O, Command::OpenModel, "Engine", "Open a model file"),
    ctrl(Key::D, Command::EditDesign, "Engine", "Edit the design"),
    ctrl(Key::OpenBracket, Command::BetterRung, "Engine", "Switch to the next better rung on disk"),
    ctrl(Key::CloseBracket, Command::SmallerRung, "Engine", "Switch to the next smaller rung on disk"),
    plain(Key::F5, Command::Rescan, "Engine", "Read the model folders again"),
    shift(Key::F3, Command::PreviousWorst, "Quality", "Show the next worse token"),
    plain(Key::F3, Command::NextWorst, "Quality", "Show the worst token, then the next"),
    ctrl(Key::T, Command::Telemetry, "Telemetry", "Fold or unfold the telemetry"),
    ctrl(Key::P, Command::PausePlots, "Telemetry", "Freeze or thaw the plots"),
];

/// Keys that fields take themselves, for the list only: group, keys, words.
pub const FIELD_KEYS: &[(&str, &str, &str)] = &[
    ("Chat", "Enter", "Send the message"),
    ("Chat", "Shift+Enter", "Begin a new line"),
    ("Chat", "Ctrl+Enter", "Go on with a notebook"),
    ("Quality", "Left, Right", "Show the token before or after, in the text"),
    ("Chat", "PageUp", "Scroll the conversation up, PageDown down"),
    ("Chat", "Home", "Go to its beginning, End to its end"),
    ("Chat", "↑↓", "Walk the list of chats, Enter opens"),
    ("Chat", "F2", "Rename the chat that has the focus"),
    ("Chat", "Delete", "Delete the chat that has the focus"),
    ("Engine", "←→", "Walk the ladder, Enter switches"),
    ("Chat", "1 to 5", "At a token: go on with an alternative"),
    ("Telemetry", "Ctrl+Wheel", "Zoom the plot under the pointer"),
    ("General", "Tab", "Go to the next control"),
];

/// The groups of the list, in order.
pub const GROUPS: [&str; 5] = ["General", "Chat", "Quality", "Engine", "Telemetry"];

/// The keys of a group with their words, as a list shows them.
pub fn list(ctx: &Context, group: &str) -> Vec<(String, &'static str)> {
    let table = SHORTCUTS.iter().filter(|shortcut| shortcut.group == group);
    let fields = FIELD_KEYS.iter().filter(|(of, ..)| *of == group);
    table
        .map(|shortcut| (ctx.format_shortcut(&shortcut.keys), shortcut.words))
        .chain(fields.map(|(_, keys, words)| ((*keys).to_owned(), *words)))
        .collect()
}

/// The keys of a command in words, if it has any (`Ctrl+K`).
pub fn keys_of(ctx: &Context, command: Command) -> Option<String> {
    SHORTCUTS.iter().find(|shortcut| shortcut.command == command).map(|shortcut| ctx.format_shortcut(&shortcut.keys))
}

/// What a key asks of the window rather than of the application. Whoever does it sets it back to false.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShortcutTargets {
    /// Open the palette
    pub palette: bool,
    /// Open the design editor
    pub design_editor: bool,
    /// Open the engine's log
    pub log: bool,
    /// Put the cursor into the message field
    pub message: bool,
    /// Put the cursor into the search field of the page that is shown
    pub search: bool,
    /// Not asked but told: something that Esc closes lies over the page
    pub overlay: bool,
}

/// Does what the keys of this frame ask. Call it once a frame, before the panels.
///
/// egui's own zoom keys must be off (`options.zoom_with_keyboard`), so that the zoom is an action like any other and is remembered.
pub fn dispatch(ctx: &Context, state: &AppState, targets: &mut ShortcutTargets, actions: &mut Vec<Action>) {
    let taken = Popup::is_any_open(ctx) || state.dialog != Dialog::None || ctx.memory(|memory| memory.top_modal_layer().is_some());
    for shortcut in SHORTCUTS {
        // Esc closes what lies on top before it stops anything
        if shortcut.command == Command::Stop && (taken || targets.overlay || !state.is_busy()) {
            continue;
        }
        // under a dialog only what shows or closes things
        if taken
            && !matches!(
                shortcut.command,
                Command::Palette | Command::Shortcuts | Command::ZoomIn | Command::ZoomOut | Command::ZoomReset | Command::Quit
            )
        {
            continue;
        }
        if ctx.input_mut(|input| input.consume_shortcut(&shortcut.keys)) {
            run(shortcut.command, state, targets, actions);
        }
    }
    // the plus of the main block is Shift+= on most layouts, and some send it as Equals
    let equals = KeyboardShortcut::new(Modifiers::COMMAND, Key::Equals);
    if ctx.input_mut(|input| input.consume_shortcut(&equals)) {
        run(Command::ZoomIn, state, targets, actions);
    }
}

/// Does one command.
pub fn run(command: Command, state: &AppState, targets: &mut ShortcutTargets, actions: &mut Vec<Action>) {
    let zoom = state.settings.zoom;
    match command {
        Command::Palette => targets.palette = true,
        Command::EditDesign => targets.design_editor = true,
        Command::Log => targets.log = true,
        Command::FocusMessage => {
            actions.push(Action::Navigate(Page::Chat));
            targets.message = true;
        }
        Command::FocusSearch => targets.search = true,
        Command::Shortcuts => actions.push(Action::ToggleShortcuts),
        Command::Page(page) => actions.push(Action::Navigate(page)),
        Command::NewChat | Command::NewNotebook => {
            actions.push(Action::Navigate(Page::Chat));
            actions.push(if command == Command::NewChat { Action::NewChat } else { Action::NewNotebook });
            targets.message = true;
        }
        Command::ShowPrompt => actions.push(Action::ShowPrompt),
        Command::Probabilities => {
            let open = state.chats.open.as_ref();
            let latest = open.and_then(|open| open.shown().filter(|message| message.role == Role::Assistant).last());
            actions.extend(latest.map(|reply| Action::ShowProbabilities(reply.id)));
        }
        Command::ExportChat => actions.push(Action::ExportChat),
        Command::OpenModel => actions.push(Action::PickModel),
        Command::Unload => actions.push(Action::Unload(None)),
        Command::BetterRung => actions.extend(neighbour(state, true).map(Action::SelectRung)),
        Command::SmallerRung => actions.extend(neighbour(state, false).map(Action::SelectRung)),
        Command::Stop => actions.push(Action::Stop),
        Command::Rescan => actions.push(Action::Rescan),
        Command::Telemetry => actions.push(Action::ToggleTelemetry),
        Command::PausePlots => actions.push(Action::PausePlots(state.telemetry.paused_at.is_none())),
        Command::NextWorst | Command::PreviousWorst => {
            let step = if command == Command::NextWorst { 1 } else { -1 };
            actions.push(Action::Navigate(Page::Quality));
            actions.push(Action::Quality(QualityAction::Worst(step)));
        }
        Command::ZoomIn => actions.push(Action::SetZoom(stepped(zoom, 1.0))),
        Command::ZoomOut => actions.push(Action::SetZoom(stepped(zoom, -1.0))),
        Command::ZoomReset => actions.push(Action::SetZoom(1.0)),
        Command::Quit => actions.push(Action::Quit),
    }
}

/// The zoom one step of a tenth up or down, on the grid of tenths.
pub fn stepped(zoom: f32, steps: f32) -> f32 {
    (((zoom * 10.0).round() + steps) / 10.0).clamp(0.5, 4.0)
}

/// The rung on disk next to the active one (or to the one being loaded), better or smaller.
fn neighbour(state: &AppState, better: bool) -> Option<String> {
    let family = state.family()?;
    let current = &state.design()?.model;
    let on_disk: Vec<(&str, bool)> =
        family.on_disk().map(|(rung, _)| (rung.quant.as_str(), rung.state.files().any(|file| file == current))).collect();
    let at = on_disk.iter().position(|(_, is_current)| *is_current)?;
    let next = if better { at.checked_sub(1)? } else { at + 1 };
    on_disk.get(next).map(|(quant, _)| (*quant).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things_and_every_group_is_listed() {
        for (index, one) in SHORTCUTS.iter().enumerate() {
            assert!(GROUPS.contains(&one.group), "{} is in no group", one.words);
            for other in SHORTCUTS.iter().skip(index + 1) {
                assert!(one.keys != other.keys, "{} and {} share their keys", one.words, other.words);
            }
        }
    }

    #[test]
    fn more_modifiers_come_first() {
        for (index, one) in SHORTCUTS.iter().enumerate() {
            for earlier in SHORTCUTS.iter().take(index).filter(|earlier| earlier.keys.logical_key == one.keys.logical_key) {
                assert!(earlier.keys.modifiers.shift || !one.keys.modifiers.shift, "{} hides {}", earlier.words, one.words);
            }
        }
    }

    #[test]
    fn zoom_stays_on_its_grid() {
        assert_eq!(stepped(1.0, 1.0), 1.1);
        assert_eq!(stepped(1.25, -1.0), 1.2);
        assert_eq!(stepped(0.5, -1.0), 0.5);
        assert_eq!(stepped(4.0, 1.0), 4.0);
    }
}
