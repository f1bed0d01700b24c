//! What `update` wants done outside, and what comes back.

use std::path::PathBuf;

use super::{Forecast, PlotRange, Unfinished};
use crate::library::{Estimate, NearestFit, Scan};
use crate::measure::kept::RunFormat;
use crate::measure::sweep::{Sweep, SweepPlan};
use crate::protocol::{Command, Design, EngineError, JobId, ModelInfo, QuantizeRequest, Run, RunId};
use crate::store::{ChatId, ChatMessage, MessageId, Op, RunHead, SavedDesign, Settings};

/// Something the runtime carries out. None of these block: answers come back as [`Answer`]s or engine events.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// To the engine
    Send(Command),
    /// Make a rung in an engine of its own, so that chatting goes on
    Make(JobId, QuantizeRequest),
    /// End that engine and remove what it had written
    StopMaking(JobId),
    /// Read the headers of a sweep's files, and say what fits; answered by `Answer::SweepPrepared`
    PrepareSweep(Box<SweepPlan>),
    /// Give this to the engine that measures, which is started when there is none
    Measure(Box<Command>),
    /// Cancel a job of that engine
    StopMeasuring(JobId),
    /// End that engine
    EndMeasuring,
    /// Write a sweep, so that it can be resumed
    KeepSweep(Box<Sweep>),
    /// Remove a sweep that is done, by its name
    DropSweep(String),
    /// Read a sweep by its name; answered by `Answer::SweepRead`
    ReadSweep(String),
    /// Look for sweeps that are not done; answered by `Answer::SweepsFound`
    FindSweeps,
    /// To the engine that measures quality, which is started when there is none: chatting goes on, and what it measures is its own
    Quality(Box<Command>),
    /// End that engine: nothing more is asked of it
    EndQuality,
    /// Ask for a text file
    PickText,
    /// Read a text file; answered by `Answer::Text`
    ReadText(PathBuf),
    /// To an engine of the Compare page, which is started when there is none: a process of its own for each number
    Lane(usize, Box<Command>),
    /// End those engines: nothing more is asked of them
    EndLanes,
    /// Save, in order; answered by `Answer::Saved`
    Save {
        /// names the save
        seq: u64,
        /// the changes
        ops: Vec<Op>,
    },
    /// Ask where, then write runs
    ExportRuns(Vec<RunId>, RunFormat),
    /// Ask for a file of runs; answered by `Answer::RunsImported`
    PickRuns,
    /// Ask for a design file; answered by `Answer::DesignImported`
    PickDesign,
    /// Keep a run that is new, with what is missing of its environment filled in; answered by `Answer::RunKept`, or `Answer::Unsaved` with the same number
    KeepRun {
        /// names the save
        seq: u64,
        /// the run
        run: Box<Run>,
    },
    /// Read the list of runs; answered by `Answer::Runs`, now and whenever another process adds to it
    ReadRuns,
    /// Read runs with everything; answered by `Answer::RunsRead`
    ReadWholeRuns(Vec<RunId>),
    /// Read runs of quality with what was found of each token; answered by `Answer::TokensRead`
    ReadTokens(Vec<RunId>),
    /// Read runs with everything for the board; answered by `Answer::BoardRead` with the same number
    ReadBoard(u64, Vec<RunId>),
    /// Read the saved designs; answered by `Answer::Designs`, now and after every change
    ReadDesigns,
    /// From now on the text of this job belongs to this message, behind so many bytes of its text, and is saved as it streams
    BeginReply(JobId, MessageId, usize),
    /// Read what is known of a message's tokens behind a piece (0 = everything); answered by `Answer::Probs`
    ReadProbs(MessageId, i64),
    /// Read a chat's messages; answered by `Answer::Messages`
    ReadChat(ChatId),
    /// Search; answered by `Answer::Found`
    Search(String),
    /// Save the settings
    SaveSettings(Box<Settings>),
    /// Read the model folders; answered by `Answer::Scanned`
    Scan(Vec<PathBuf>),
    /// Read a file's header and predict its memory; answered by `Answer::Inspected`
    Inspect {
        /// the design
        design: Box<Design>,
        /// bytes that an unload would free
        freed: u64,
    },
    /// The same for a design that is being edited; only the latest counts. Answered by `Answer::Predicted`
    Predict {
        /// the design
        design: Box<Design>,
        /// bytes that an unload would free
        freed: u64,
    },
    /// Ask for a GGUF
    PickModel,
    /// Ask for a folder
    PickFolder,
    /// Ask where, then write a text file
    SaveText {
        /// offered as the name
        name: String,
        /// the contents
        text: String,
    },
    /// Ask where, then write a picture of the telemetry column as it was when asked: the plots show these times
    SavePlotsPng(PlotRange),
    /// Put on the clipboard
    Copy(String),
    /// End the application
    Quit,
}

/// What a header says and what the design would take.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// The file as the library spells it: one file is one rung however it was named
    pub model: PathBuf,
    /// The model
    pub info: ModelInfo,
    /// Memory, predicted
    pub estimate: Estimate,
    /// What would fit instead; set only when the design does not fit
    pub nearest: Option<NearestFit>,
    /// Bytes of weights that decoding one token reads
    pub weights_read: u64,
    /// Bytes of cache that it reads for each token in the cache
    pub kv_read: u64,
}

impl Inspection {
    /// What is worth remembering of it.
    pub fn forecast(&self) -> Forecast {
        Forecast { memory: self.estimate.memory, weights_read: self.weights_read, kv_read: self.kv_read }
    }
}

/// What comes back from the runtime.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A save is on disk
    Saved(u64),
    /// A save failed
    Unsaved(u64, EngineError),
    /// A chat's messages
    Messages(ChatId, Vec<ChatMessage>),
    /// What is known of a message's tokens
    Probs {
        /// which message
        message: MessageId,
        /// what is behind this piece; 0 = everything
        after: i64,
        /// the last piece
        last: i64,
        /// the pieces
        data: Vec<u8>,
    },
    /// What was searched and found
    Found(String, Vec<ChatId>),
    /// A new run is on the disk: the number of its save, and how a list shows it
    RunKept(u64, Box<RunHead>),
    /// All runs, the newest first
    Runs(Vec<RunHead>),
    /// Runs with everything
    RunsRead(Vec<Run>),
    /// Runs of quality with what was found of each token, where that was kept
    TokensRead(Vec<Run>),
    /// Runs with everything that the board asked for under this number
    BoardRead(u64, Vec<Run>),
    /// A file of runs was read: its name, and the runs or why there are none
    RunsImported(String, Result<Vec<Run>, String>),
    /// A design file was read: its name without the ending, and the design or why it is none
    DesignImported(String, Result<Box<Design>, String>),
    /// The saved designs, by name
    Designs(Vec<SavedDesign>),
    /// The model folders
    Scanned(Box<Scan>),
    /// A header and a prediction
    Inspected {
        /// the design asked about
        design: Box<Design>,
        /// what came of it
        result: Box<Result<Inspection, EngineError>>,
    },
    /// A sweep whose files were looked at
    SweepPrepared(Box<SweepPlan>),
    /// A sweep of the disk
    SweepRead(Box<Sweep>),
    /// Sweeps that are not done, the latest first
    SweepsFound(Vec<Unfinished>),
    /// What a design that is being edited would take
    Predicted {
        /// the design asked about
        design: Box<Design>,
        /// what came of it
        result: Box<Result<Inspection, EngineError>>,
    },
    /// Whether what is changed gets to the disk: an error once it does not, nothing once it does again
    Health(Option<EngineError>),
    /// A text file
    Text(PathBuf, Box<Result<String, EngineError>>),
    /// Something that only has to be said
    Notice(super::Severity, String),
}
