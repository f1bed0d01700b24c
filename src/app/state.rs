//! The state: everything the window shows and nothing it could compute.

use std::collections::BTreeMap;

use super::{
    Ahead, Chats, Compare, History, Known, Loading, MakeOffer, Making, Measure, Measuring, Notices, Outcome, Prediction, Quality, ReplyId,
    Telemetry, WantedLoad,
};
use crate::library::{self, Estimate, Family, NearestFit, Skipped};
use crate::protocol::{
    Design, EngineError, EngineFacts, JobId, LoadReport, MemoryUse, ModelInfo, Overflow, Prompt, Rendered, Resident, RunId,
    SamplingDefaults,
};
use crate::store::{ChatId, MessageId, Settings};

/// When something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Now {
    /// Seconds since the application began; never goes back
    pub secs: f64,
    /// When it happened, in the same seconds: earlier than now where the window has only just looked. Measurements go by this, what is
    /// said to a person by `secs`
    pub at: f64,
    /// Unix time, milliseconds
    pub unix_ms: i64,
}

/// The pages of the rail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Page {
    /// Conversations
    #[default]
    Chat,
    /// Which design is best
    Measure,
    /// What a rung costs in quality
    Quality,
    /// The same prompt to several designs
    Compare,
    /// Families, rungs, folders
    Library,
    /// What was measured
    Runs,
    /// How it behaves
    Settings,
}

impl Page {
    /// Every page, in the rail's order.
    pub const ALL: [Self; 7] = [Self::Chat, Self::Compare, Self::Measure, Self::Quality, Self::Library, Self::Runs, Self::Settings];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Measure => "Measure",
            Self::Quality => "Quality",
            Self::Compare => "Compare",
            Self::Library => "Library",
            Self::Runs => "Runs",
            Self::Settings => "Settings",
        }
    }
}

/// Whether there is an engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum EngineState {
    /// It has not said hello yet
    #[default]
    Starting,
    /// It listens
    Up {
        /// its process
        pid: u32,
        /// what it is made of
        facts: Box<EngineFacts>,
    },
}

/// A reply that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Generating {
    /// Its job
    pub job: JobId,
    /// Its chat
    pub chat: ChatId,
    /// Its message
    pub message: MessageId,
    /// The text so far: what was there before (when continuing), then what arrived
    pub text: String,
    /// How much of it was there before, bytes
    pub kept: usize,
    /// Reading the prompt: tokens done, tokens in all
    pub prefill: Option<(u64, u64)>,
    /// When reading the prompt began, seconds
    pub read_since: Option<f64>,
    /// Tokens of the reply so far
    pub tokens: u32,
    /// When the last merged batch ended, engine clock, seconds
    pub last: f64,
    /// When the first token came, engine clock, seconds
    pub first: Option<f64>,
    /// When it was asked for, seconds
    pub since: f64,
    /// When Stop was pressed, seconds
    pub stopping: Option<f64>,
    /// What to do when it has ended: load this and go on with the reply
    pub then_load: Option<Box<WantedLoad>>,
    /// Waiting for the question to be safe on disk
    pub waiting_for_save: Option<u64>,
}

impl Generating {
    /// A reply that was just asked for, at `since` seconds; `waiting_for_save` names the save that the engine's command waits for.
    pub(super) fn new(job: JobId, chat: ChatId, message: MessageId, text: String, since: f64, waiting_for_save: Option<u64>) -> Self {
        Self {
            job,
            chat,
            message,
            kept: text.len(),
            text,
            prefill: None,
            read_since: None,
            tokens: 0,
            last: 0.0,
            first: None,
            since,
            stopping: None,
            then_load: None,
            waiting_for_save,
        }
    }

    /// What this run has said.
    pub fn said(&self) -> &str {
        self.text.get(self.kept..).unwrap_or_default()
    }

    /// Which reply it is.
    pub fn id(&self) -> ReplyId {
        ReplyId { chat: self.chat, message: self.message }
    }
}

/// What the engine is doing for the user.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Activity {
    /// Nothing
    #[default]
    None,
    /// Loading
    Loading(Loading),
    /// Replying
    Generating(Generating),
}

/// What to do again after a crash.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// The design that was loaded or being loaded
    pub design: Design,
    /// The reply that was cut off
    pub reply: Option<ReplyId>,
}

/// The engine died, or refused to load.
#[derive(Clone, Debug, PartialEq)]
pub struct Crash {
    /// Why, in words
    pub error: EngineError,
    /// What the one button does; `None` offers nothing to retry
    pub retry: Option<Retry>,
    /// Whether it was the engine's death (else: a load that was refused)
    pub is_death: bool,
}

/// A design that does not fit.
#[derive(Clone, Debug, PartialEq)]
pub struct FitWarning {
    /// The design
    pub design: Design,
    /// What it would take
    pub estimate: Estimate,
    /// What would fit
    pub nearest: Option<NearestFit>,
}

/// The exact prompt, on screen.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptView {
    /// Asked for by this job; replaced when it answers
    pub job: JobId,
    /// What to know when it is that of a reply rather than of the draft; `None` for the draft's
    pub of_reply: Option<Vec<String>>,
    /// The prompt, once there
    pub rendered: Option<Result<Rendered, EngineError>>,
}

/// What lies over the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Dialog {
    /// Nothing
    #[default]
    None,
    /// Make a rung?
    Make(Box<MakeOffer>),
    /// It does not fit
    Fit(Box<FitWarning>),
    /// The exact prompt
    Prompt(Box<PromptView>),
    /// The prompt does not fit in the context: the reply's message and the error
    Overflow(MessageId, EngineError),
    /// The keys
    Shortcuts,
}

/// How full the context is and would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextMeter {
    /// Tokens of context
    pub n_ctx: u32,
    /// Of the system message
    pub system: u32,
    /// Of what was said
    pub history: u32,
    /// Of the draft
    pub draft: u32,
    /// Kept for the reply
    pub reserve: u32,
    /// Whether the engine counted it (else: an estimate from the text's length)
    pub is_exact: bool,
}

impl ContextMeter {
    /// Tokens that are free; negative when it does not fit.
    pub fn room(&self) -> i64 {
        i64::from(self.n_ctx) - i64::from(self.system) - i64::from(self.history) - i64::from(self.draft) - i64::from(self.reserve)
    }
}

/// The models on disk.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Families with their ladders
    pub families: Vec<Family>,
    /// What was passed over, and why
    pub skipped: Vec<Skipped>,
    /// A scan runs
    pub is_scanning: bool,
    /// Scanned at least once
    pub was_scanned: bool,
}

/// The single source of truth.
#[derive(Clone, Debug, Default)]
pub struct AppState {
    /// What is shown
    pub page: Page,
    /// Whether there is an engine
    pub engine: EngineState,
    /// What it does
    pub activity: Activity,
    /// The model that answers
    pub loaded: Option<Box<LoadReport>>,
    /// Everything in the engine's memory, the active one among them
    pub resident: Vec<Resident>,
    /// The last lines the engine wrote, for the log view
    pub log: Vec<String>,
    /// The engine died, or a load was refused
    pub crash: Option<Crash>,
    /// What is foretold of the design that is being edited
    pub prediction: Option<Prediction>,
    /// A rung that is being made
    pub making: Option<Making>,
    /// A run that is being measured again, or the canary
    pub measuring: Option<Measuring>,
    /// What lies over the page
    pub dialog: Dialog,
    /// The models on disk
    pub library: Library,
    /// Conversations
    pub chats: Chats,
    /// What was measured, and saved designs
    pub history: History,
    /// Sweeps
    pub measure: Measure,
    /// How full the context is
    pub meter: ContextMeter,
    /// The same prompt to several designs
    pub compare: Compare,
    /// The plots
    pub telemetry: Telemetry,
    /// What designs cost in quality
    pub quality: Quality,
    /// What is remembered
    pub settings: Settings,
    /// Messages to the user
    pub notices: Notices,
    /// Whether the last thing that should have been saved was
    pub unsaved: Option<EngineError>,
    /// The last switch: to which reply it is to be stamped (from rung, seconds)
    pub pending_switch: Option<(String, f64)>,
    /// The processor's name: measurements are kept for it
    pub cpu: String,
    /// What `update` keeps for itself; opaque to everybody else
    pub internal: Internal,
}

/// What `update` keeps for itself. Nothing outside can read or set its fields.
#[derive(Clone, Debug, Default)]
pub struct Internal {
    pub(super) next_job: u64,
    pub(super) next_seq: u64,
    /// The load whose file is being looked at
    pub(super) inspecting: Option<WantedLoad>,
    /// The count that is out: its job, and whether there was a draft to count
    pub(super) counting: Option<(JobId, bool)>,
    /// The draft has changed since the count that is out, or was answered last, was asked for
    pub(super) draft_is_newer: bool,
    /// How long the tokens of the last draft were, bytes
    pub(super) bytes_per_token: Option<f64>,
    /// What was counted last, to know when to count again
    pub(super) counted: Option<u64>,
    /// When the draft changed last, seconds
    pub(super) draft_changed: Option<f64>,
    /// Draft not yet saved
    pub(super) draft_unsaved: Option<ChatId>,
    /// Models that a person asked to be freed
    pub(super) unloading: Option<JobId>,
    /// The bandwidth probe that is out
    pub(super) probing: Option<JobId>,
    /// The conversation that is read ahead for the model that has just taken over
    pub(super) rereading: Option<JobId>,
    /// The rest of a reply, which the engine was asked for together with the load that it waits for
    pub(super) ahead: Option<Ahead>,
    /// Whether settings have changed and when
    pub(super) settings_changed: Option<f64>,
    /// Runs of quality that were asked for, for the ladder, and whether they are still being read
    pub(super) quality_asked: BTreeMap<RunId, bool>,
    /// What the last request was, for asking again with another overflow policy
    pub(super) last_request: Option<(MessageId, Prompt)>,
    /// A load that waits for the running one to end
    pub(super) queued_load: Option<WantedLoad>,
    /// What was foretold of each design that was looked at, latest last
    pub(super) forecasts: Vec<Known>,
    /// The load that does not fit, while the dialog asks what to do about it
    pub(super) unfit: Option<WantedLoad>,
    /// Load the first file that the first scan finds
    pub(super) autoload_first: bool,
    /// What came of the last measurement, until it is told
    pub(super) outcome: Outcome,
    /// The chat whose draft is sent once the model is ready
    pub(super) send_when_ready: Option<ChatId>,
}

impl AppState {
    /// A state with what was remembered.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The design in force, or the one that would be.
    pub fn design(&self) -> Option<&Design> {
        match &self.activity {
            Activity::Loading(loading) => Some(&loading.design),
            _ => self.loaded.as_ref().map(|report| &report.design),
        }
    }

    /// The family of the file that is loaded or being loaded.
    pub fn family(&self) -> Option<&Family> {
        let path = &self.design()?.model;
        self.library.families.iter().find(|family| family.rung_of(path).is_some())
    }

    /// What a model is called: as the library calls its family.
    pub fn model_name(&self, info: &ModelInfo) -> String {
        let family = self.library.families.iter().find(|family| family.rung_of(&info.path).is_some());
        family.map_or_else(|| library::model_name(info), |family| family.name.clone())
    }

    /// The rung that answers (`Q4_K_M`).
    pub fn active_quant(&self) -> Option<&str> {
        self.loaded.as_ref().map(|report| report.info.quant.as_str())
    }

    /// The reply that runs.
    pub fn generating(&self) -> Option<&Generating> {
        match &self.activity {
            Activity::Generating(generating) => Some(generating),
            _ => None,
        }
    }

    /// The load that runs.
    pub fn loading(&self) -> Option<&Loading> {
        match &self.activity {
            Activity::Loading(loading) => Some(loading),
            _ => None,
        }
    }

    /// Whether the engine holds a design, so that a switch to it loads nothing.
    pub fn is_warm(&self, design: &Design) -> bool {
        self.resident.iter().any(|resident| !resident.design.needs_reload(design))
    }

    /// Whether a reply can be asked for now.
    pub fn can_generate(&self) -> bool {
        self.why_not_ready().is_none()
    }

    /// Why no reply can be asked for now, in words; `None` when one can.
    pub fn why_not_ready(&self) -> Option<&'static str> {
        match (&self.activity, &self.engine) {
            (Activity::Generating(_), _) => Some("A reply is being written"),
            (Activity::Loading(_), _) => Some("A model is being loaded"),
            (Activity::None, _) if self.loaded.is_none() => Some("No model is loaded"),
            (Activity::None, EngineState::Starting) => Some("The engine is starting"),
            (Activity::None, EngineState::Up { .. }) => None,
        }
    }

    /// Whether anything runs that needs frames to show its progress.
    pub fn is_busy(&self) -> bool {
        let measures = self.measure.is_running() || self.measuring.is_some() || self.quality.is_running();
        measures || self.compare.is_running() || !matches!(self.activity, Activity::None) || self.making.is_some()
    }

    /// Memory that was foretold for the model that is being loaded, else for the one that is.
    pub fn predicted(&self) -> Option<MemoryUse> {
        let forecast = match &self.activity {
            Activity::Loading(loading) => loading.forecast,
            _ => self.telemetry.forecast.filter(|_| self.loaded.is_some()),
        };
        forecast.map(|forecast| forecast.memory)
    }

    /// What the loaded model recommends for sampling.
    pub fn sampling_defaults(&self) -> SamplingDefaults {
        self.loaded.as_ref().map(|report| report.info.sampling).unwrap_or_default()
    }

    /// What is to be done when a prompt does not fit.
    pub fn overflow(&self) -> Overflow {
        self.settings.overflow
    }

    /// Whether the memory bandwidth is being measured.
    pub fn is_probing(&self) -> bool {
        self.internal.probing.is_some()
    }

    /// Whether nothing is under way behind the scenes either: no file being looked at, nothing being counted, probed or
    /// read ahead.
    pub fn is_quiet(&self) -> bool {
        let internal = &self.internal;
        let jobs = [internal.probing, internal.rereading, internal.counting.map(|(job, _)| job)];
        internal.inspecting.is_none() && internal.queued_load.is_none() && jobs.iter().all(Option::is_none)
    }

    pub(super) fn job(&mut self) -> JobId {
        self.internal.next_job += 1;
        JobId(self.internal.next_job)
    }

    pub(super) fn seq(&mut self) -> u64 {
        self.internal.next_seq += 1;
        self.internal.next_seq
    }
}
