//! A load on its way: what is wanted, what runs, and the reply that waits for it.

use super::Inspection;
use crate::protocol::{Design, EngineError, JobId, MemoryUse};
use crate::store::{ChatId, MessageId};

/// Which reply: it is found again although another chat was opened meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyId {
    /// Its chat
    pub chat: ChatId,
    /// Its message
    pub message: MessageId,
}

/// The rest of a reply, asked for before the load that it waits for was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its job
    pub job: JobId,
    /// The reply
    pub reply: ReplyId,
}

/// What was foretold of a design when its file was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Memory, by purpose
    pub memory: MemoryUse,
    /// Bytes of weights that decoding one token reads (see `library::bytes_read_per_token`)
    pub weights_read: u64,
    /// Bytes of cache that it reads for each token in the cache
    pub kv_read: u64,
}

/// What was foretold of a design, and when its file was looked at for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The design
    pub design: Design,
    /// What was foretold
    pub forecast: Forecast,
    /// When, seconds
    pub looked: f64,
}

/// What is foretold of a design while it is edited.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The design
    pub design: Design,
    /// Bytes that an unload was taken to free
    pub freed: u64,
    /// What came of it: until it has, what was foretold of the design before
    pub result: Option<Result<Inspection, EngineError>>,
    /// Whether the result is this design's
    pub is_current: bool,
}

/// A load that was asked for and has not begun: its file is being looked at, or something else has to end first.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedLoad {
    /// What is to be loaded
    pub design: Design,
    /// When it was asked for (a click), seconds
    pub since: f64,
    /// A reply to go on with once it is loaded
    pub then: Option<ReplyId>,
    /// Bytes of other models that may stay loaded; `None` = as the settings say
    pub keep_warm: Option<u64>,
    /// What was foretold of it, once its file was looked at
    pub forecast: Option<Forecast>,
    /// Its job, where the engine was told already and does it as soon as what runs has ended
    pub asked: Option<JobId>,
    /// It was told to stop before it began
    pub stopped: bool,
}

/// A load that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Loading {
    /// Its job
    pub job: JobId,
    /// What is loaded
    pub design: Box<Design>,
    /// 0 to 1
    pub fraction: f32,
    /// When it was asked for (a click), seconds
    pub since: f64,
    /// The rung that was active before, when this is a switch within its family
    pub from: Option<String>,
    /// A reply to go on with once it is loaded
    pub then_continue: Option<ReplyId>,
    /// Whether Stop was pressed
    pub stopping: bool,
    /// What was foretold of it
    pub forecast: Option<Forecast>,
}
