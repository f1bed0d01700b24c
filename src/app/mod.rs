//! What the application is: one state, what can be asked of it, and how it answers.
//!
//! No egui, no threads, no I/O: [`update`] takes the state and something that happened (an [`Action`] of a person, an event of an engine,
//! an answer of the store) and returns [`Effect`]s for the runtime to carry out. That is what makes every behaviour here testable with
//! plain `#[test]`s, and what keeps a frame from ever waiting.

mod action;
mod board;
mod chats;
mod compare;
mod effect;
mod history;
mod load;
mod making;
mod measure;
mod memory;
mod notices;
pub mod quality;
mod repeat;
mod state;
mod telemetry;
pub mod update;

pub use action::Action;
pub use board::{BoardOf, BoardRuns, KeptModel, KeptSweep, model_key};
pub use chats::{Chats, OpenChat, Tokens, branch, siblings};
pub use compare::{Asked, Compare, CompareAction, CompareFormat, DesignFrom, Lane, LaneState};
pub use effect::{Answer, Effect, Inspection};
pub use history::History;
pub use load::{Ahead, Forecast, Known, Loading, Prediction, ReplyId, WantedLoad};
pub use making::{MakeOffer, Making};
pub use measure::{Doing, Measure, SweepDraft, Unfinished};
pub use memory::{MemoryHistory, MemoryPart, MemoryParts};
pub use notices::{Notice, NoticeAction, Notices, Severity};
pub use quality::{HeatBy, LadderPoint, Quality, QualityAction, QualityForm};
pub use repeat::{Measuring, Outcome, Purpose};
pub use state::{
    Activity, AppState, ContextMeter, Crash, Dialog, EngineState, FitWarning, Generating, Internal, Library, Now, Page, PromptView, Retry,
};
pub use telemetry::{Marker, MarkerKind, PlotRange, Points, Prefilling, Telemetry, visibly_differs};
pub use update::compare_why_not;
