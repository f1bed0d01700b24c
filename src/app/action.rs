//! Everything a person can ask.

use std::path::PathBuf;

use super::{BoardOf, CompareAction, Page, PlotRange, QualityAction, SweepDraft};
use crate::measure::MetricLimit;
use crate::measure::kept::RunFormat;
use crate::protocol::{Alternative, Design, Overflow, RunId, SamplerOverrides};
use crate::store::{ChatId, DesignId, MessageId, Theme, WindowPlace};

/// One thing a person asked, by mouse, by key or by dropping a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Show a page
    Navigate(Page),
    /// Fold or unfold the telemetry column
    ToggleTelemetry,
    /// Freeze or thaw the plots
    PausePlots(bool),
    /// How many seconds the plots show
    SetPlotWindow(f32),
    /// Write what the plots show to a CSV file; `None` = without a zoom
    ExportPlotsCsv(Option<PlotRange>),
    /// Write the telemetry column as it looks to a PNG file; `None` = without a zoom
    ExportPlotsPng(Option<PlotRange>),

    /// Ask for a GGUF with the system's dialog
    PickModel,
    /// Load this file with its remembered design (checked for fit first)
    OpenModel(PathBuf),
    /// A click on a rung of the shown family: switch to it, or offer to make it
    SelectRung(String),
    /// Load although it was said not to fit
    LoadAnyway,
    /// Load what was named as fitting instead
    LoadNearestFit,
    /// Foretell what the design takes that is being edited
    PredictDesign(Box<Design>),
    /// Load the edited design
    ApplyDesign(Box<Design>),
    /// Free the active model, or one that is kept warm
    Unload(Option<PathBuf>),
    /// Set how many bytes of other rungs may stay loaded; `None` leaves it to the application
    SetKeepWarm(Option<u64>),
    /// End what is running (reply, load, making of a rung last)
    Stop,
    /// Read the model folders again
    Rescan,
    /// Measure this machine's memory bandwidth
    ProbeBandwidth,

    /// Change what the next sweep is to be
    SetSweepDraft(Box<SweepDraft>),
    /// Change what a design must keep to, for the sweep that runs, too
    SetLimits(Vec<MetricLimit>),
    /// Measure what the draft says
    StartSweep,
    /// End the sweep; what was measured stands
    StopSweep,
    /// Take up an unfinished sweep of the disk, or the one that was stopped last
    ResumeSweep(Option<String>),
    /// Remove an unfinished sweep
    ForgetSweep(String),
    /// Show other runs on the board
    ShowBoard(BoardOf),

    /// Make the rung that was offered
    ConfirmMake,
    /// Offer to make a rung of a family: family key, rung
    OfferMake(String, String),
    /// Stop making
    CancelMake,
    /// Close whatever dialog is open
    CloseDialog,

    /// Begin an empty chat
    NewChat,
    /// Begin an empty notebook (raw completion)
    NewNotebook,
    /// Show a chat
    OpenChat(ChatId),
    /// Name a chat
    RenameChat(ChatId, String),
    /// Delete a chat; can be undone
    DeleteChat(ChatId),
    /// Bring a deleted chat back
    UndoDelete(ChatId),
    /// Search titles and texts
    SearchChats(String),
    /// Set the system prompt of the open chat
    SetSystem(String),
    /// What is typed and not sent
    SetDraft(String),
    /// Send the draft (in a notebook: continue the text)
    Send,
    /// Another reply to the same question
    Regenerate(MessageId),
    /// Ask a changed question: a new branch
    EditAndRun(MessageId, String),
    /// Go on with a reply that was stopped
    Continue(MessageId),
    /// Show a reply's tokens with their probabilities, or its text again
    ShowProbabilities(MessageId),
    /// Another reply that begins as this one does up to a byte of its text, where this alternative of the token there takes its place
    BranchAt(MessageId, usize, Box<Alternative>),
    /// Show another branch
    ShowBranch(MessageId),
    /// Begin a new chat that holds the conversation up to this message
    BranchToNewChat(MessageId),
    /// Show the exact prompt that the draft would be sent as
    ShowPrompt,
    /// Show the exact prompt that this reply was made from
    ShowPromptOf(MessageId),
    /// What to do with the prompt that did not fit
    ResolveOverflow(Overflow),
    /// What to do from now on when a prompt does not fit
    SetOverflow(Overflow),
    /// Sampling set by hand
    SetSampler(Box<SamplerOverrides>),
    /// Most tokens of a reply
    SetMaxTokens(u32),
    /// What this machine costs an hour; nothing = not known
    SetPrice(Option<f64>),
    /// Texts that end a reply
    SetStopTexts(Vec<String>),
    /// Put a text on the clipboard
    Copy(String),
    /// Ask where, then write a text: the name that is offered, the text
    SaveText(String, String),
    /// Save the open chat as Markdown
    ExportChat,

    /// Something on the Quality page
    Quality(QualityAction),
    /// Look at runs: one in detail, two against each other
    ShowRuns(Vec<RunId>),
    /// Name a run
    NameRun(RunId, String),
    /// File a run under these tags and no others
    TagRun(RunId, Vec<String>),
    /// Delete runs; can be undone
    DeleteRuns(Vec<RunId>),
    /// Bring deleted runs back
    UndoDeleteRuns(Vec<RunId>),
    /// Measure a run again
    RepeatRun(RunId),
    /// End what is being measured; whole cells are kept
    StopMeasuring,
    /// Measure the design used last after an update: from what, to what
    StartCanary(String, String),
    /// Ask where, then write runs
    ExportRuns(Vec<RunId>, RunFormat),
    /// Ask for a file of runs of others
    ImportRuns,
    /// Load the design of a run
    UseRunDesign(RunId),

    /// Save the design in force under a name
    SaveDesign(String),
    /// Load a saved design
    UseDesign(DesignId),
    /// Name a saved design
    RenameDesign(DesignId, String),
    /// Save a saved design once more
    DuplicateDesign(DesignId),
    /// Delete a saved design; can be undone
    DeleteDesign(DesignId),
    /// Bring a deleted design back
    UndoDeleteDesign(DesignId),
    /// Ask where, then write a saved design, or the one in force
    ExportDesign(Option<DesignId>),
    /// Ask for a design file
    ImportDesign,
    /// Something on the Compare page
    Compare(Box<CompareAction>),

    /// Go on after the engine died
    Recover,
    /// Put the crash card away
    DismissCrash,

    /// How it looks
    SetTheme(Theme),
    /// How large it looks
    SetZoom(f32),
    /// Ask for a folder with the system's dialog and add it
    PickFolder,
    /// Add a model folder
    AddFolder(PathBuf),
    /// Forget a model folder
    RemoveFolder(PathBuf),
    /// Whether the last model is loaded at start
    SetAutoload(bool),
    /// Take a notice away
    DismissNotice(u64),
    /// Show or hide the list of shortcuts
    ToggleShortcuts,
    /// Remember where the window is
    WindowMoved(WindowPlace),
    /// End the application
    Quit,
}
