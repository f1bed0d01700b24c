//! The contract between whoever wants tokens and whatever makes them.
//!
//! Plain data and its invariants: nothing here does I/O, and nothing here imports another room. The window, the command line, the
//! engine host, the supervisor and every test speak in these types; [`wire`] is the only place that knows how they look as bytes.

mod bench;
pub mod build;
mod command;
mod design;
mod error;
mod event;
mod model;
mod probs;
mod quality;
mod quant;
mod run;
mod sample;
mod sampling;
pub mod wire;

pub use bench::{BenchPlan, BenchRow, Surroundings, Warmup};
pub use command::{
    BenchTest, Command, GenerateRequest, JobId, LoadRequest, Message, Overflow, Prompt, QuantizeRequest, Role, reply_reserve,
};
pub use design::{
    CacheType, Change, Design, DesignFormat, FlashAttention, Sampler, SamplerOverrides, SamplerValue, ValueOrigin, WeightLoading,
};
pub use error::{EngineError, ErrorKind};
pub use event::{
    DeviceInfo, Dropped, Effective, EngineFacts, Event, GenerateStats, LoadReport, LogLevel, MemoryUse, Rendered, Resident, Setting, Stage,
    StopReason, TokenBatch,
};
pub use model::{ModelInfo, SamplingDefaults};
pub use probs::{ALTERNATIVES, Alternative, MOST_ALTERNATIVES, PieceKind, TokenProb};
pub use quality::{QualityBatch, QualityLayout, QualityPlan, QualityText, TOP, TokenRecord, TokenScore};
pub use quant::{FILE_TYPES, FileType};
pub use run::{Environment, Metric, Run, RunId, RunTrust, Workload};
pub use sample::{MemorySample, Sample};
