//! The same prompt to several designs: what the Compare page shows.

use crate::measure::lanes::{Answered, Round, Vote, names};
use crate::protocol::{Design, EngineError, GenerateStats, JobId, MemoryUse, Message, Prompt, RunId};
use crate::store::DesignId;

/// Something a person asks on the Compare page.
#[derive(Clone, Debug, PartialEq)]
pub enum CompareAction {
    /// What is asked of all
    SetPrompt(String),
    /// Ask the last question of the open chat, with what was said before it, instead of what is typed
    UseChat(bool),
    /// Most tokens of an answer; 0 = until it ends
    SetMaxTokens(u32),
    /// One more lane, with the next design that is not there yet
    AddLane,
    /// Take a lane away
    RemoveLane(usize),
    /// What a lane runs
    SetDesign(usize, Box<Design>),
    /// A lane runs a whole design, sampling included
    TakeDesign(usize, DesignFrom),
    /// All at the same time instead of one after another
    SetTogether(bool),
    /// Hide which lane is which design until the vote
    SetBlind(bool),
    /// Ask
    Run,
    /// Stop what runs; what was answered stays
    Stop,
    /// Which answer is the best
    Vote(Vote),
    /// Save what was answered, as Markdown or JSON
    Export(CompareFormat),
}

/// Where a whole design comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DesignFrom {
    /// The one in use, with the sampling in use
    InUse,
    /// One that was saved
    Saved(DesignId),
}

/// How a comparison is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareFormat {
    /// To be read
    Markdown,
    /// To be computed with
    Json,
}

/// What a lane is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LaneState {
    /// Nothing was asked of it
    #[default]
    Idle,
    /// Others come first
    Waiting,
    /// Its model is being loaded, 0 to 1
    Loading(f32),
    /// It reads the prompt: tokens done, tokens in all
    Reading(u64, u64),
    /// It answers
    Writing,
    /// It has answered
    Done,
    /// It has not, or not to the end
    Failed(EngineError),
}

impl LaneState {
    /// Whether an engine works for it.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Loading(_) | Self::Reading(..) | Self::Writing)
    }
}

/// One design with its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// What it runs
    pub design: Design,
    /// What it does
    pub state: LaneState,
    /// What it said so far
    pub text: String,
    /// In so many tokens
    pub tokens: u32,
    /// When its first token came, on its engine's clock, seconds since the request
    pub first: Option<f64>,
    /// When the last one did
    pub last: f64,
    /// The model, once loaded: its name and its level
    pub model: Option<(String, String)>,
    /// What it takes
    pub memory: Option<MemoryUse>,
    /// How long loading took, seconds
    pub load_seconds: Option<f64>,
    /// Its measurements, once it has answered
    pub stats: Option<Box<GenerateStats>>,
    pub(super) job: Option<JobId>,
    pub(super) started_ms: i64,
}

impl Lane {
    /// A lane that has not been asked.
    pub fn of(design: Design) -> Self {
        Self { design, ..Self::default() }
    }

    /// Tokens a second so far: (tokens - 1) / (time of the last token - time of the first); `None` under two tokens.
    pub fn rate(&self) -> Option<f64> {
        let first = self.first?;
        (self.tokens > 1 && self.last > first).then(|| f64::from(self.tokens - 1) / (self.last - first))
    }

    /// Time to first token, milliseconds.
    pub fn ttft_ms(&self) -> Option<f64> {
        self.first.map(|first| first * 1e3)
    }
}

/// What was asked last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// How it went, for the record
    pub round: Round,
    /// In which order the lanes stand on screen: shuffled while names are hidden
    pub order: Vec<usize>,
    pub(super) prompt: Vec<Message>,
    pub(super) max_tokens: u32,
    pub(super) group: String,
    pub(super) stopping: bool,
    /// The runs that the answers became: the number of the save, the lane, and the run once it is on the disk
    pub(super) kept: Vec<(u64, usize, Option<RunId>)>,
}

/// The Compare page.
#[derive(Clone, Debug, PartialEq)]
pub struct Compare {
    /// What is typed
    pub prompt: String,
    /// The open chat is asked on instead
    pub use_chat: bool,
    /// Most tokens of an answer; 0 = until it ends
    pub max_tokens: u32,
    /// At the same time
    pub together: bool,
    /// Names are hidden until the vote
    pub blind: bool,
    /// Two to four
    pub lanes: Vec<Lane>,
    /// The last comparison
    pub asked: Option<Asked>,
}

impl Default for Compare {
    fn default() -> Self {
        Self { prompt: String::new(), use_chat: false, max_tokens: 256, together: false, blind: false, lanes: Vec::new(), asked: None }
    }
}

impl Compare {
    /// Whether a lane is asked or waits.
    pub fn is_running(&self) -> bool {
        self.lanes.iter().any(|lane| lane.state.is_running() || lane.state == LaneState::Waiting)
    }

    /// Whether every lane always takes the most likely token, so that nothing is left to chance.
    pub fn is_greedy(&self) -> bool {
        self.lanes.iter().all(|lane| lane.design.sampler.temperature.is_some_and(|heat| heat <= 0.0))
    }

    /// Whether the lanes' names must not be seen now.
    pub fn is_hidden(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.round.blind && asked.round.vote.is_none())
    }

    /// Whether there is something to vote on: all lanes are done with, and two have said something.
    pub fn can_vote(&self) -> bool {
        let answered = self.lanes.iter().filter(|lane| lane.stats.is_some()).count();
        self.asked.is_some() && !self.is_running() && answered >= 2
    }

    /// The lanes in the order of the screen.
    pub fn order(&self) -> Vec<usize> {
        match &self.asked {
            Some(asked) if self.is_hidden() && asked.order.len() == self.lanes.len() => asked.order.clone(),
            _ => (0..self.lanes.len()).collect(),
        }
    }

    /// The lanes' names: what tells the designs apart.
    pub fn names(&self, level: impl Fn(&Design) -> (String, String)) -> Vec<String> {
        let facts: Vec<(String, String)> =
            self.lanes.iter().map(|lane| lane.model.clone().unwrap_or_else(|| level(&lane.design))).collect();
        let rows: Vec<_> =
            self.lanes.iter().zip(&facts).map(|(lane, (model, quant))| (&lane.design, model.as_str(), quant.as_str())).collect();
        names(&rows)
    }

    /// What was answered, for files, runs and differences.
    pub fn answers(&self) -> Vec<Answered> {
        let names = self.names(|_| Default::default());
        let answer = |(lane, name): (&Lane, String)| {
            let (model, quant) = lane.model.clone().unwrap_or_default();
            Answered {
                name,
                design: lane.design.clone(),
                model,
                quant,
                text: lane.text.clone(),
                tokens: lane.stats.as_ref().map(|stats| stats.tokens.clone()).unwrap_or_default(),
                stats: lane.stats.as_deref().cloned(),
                memory: lane.memory,
                load_seconds: lane.load_seconds,
                failure: if let LaneState::Failed(error) = &lane.state { Some(error.clone()) } else { None },
            }
        };
        self.lanes.iter().zip(names).map(answer).collect()
    }

    pub(super) fn prompt_of(asked: &Asked) -> Prompt {
        Prompt::Chat { messages: asked.prompt.clone() }
    }

    /// Which vote has been given.
    pub fn vote(&self) -> Option<Vote> {
        self.asked.as_ref()?.round.vote
    }
}
