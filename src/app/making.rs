//! A rung that is being made, and the offer to make one.

use std::path::PathBuf;

use crate::protocol::{JobId, QuantizeRequest};

/// A rung that is being made.
#[derive(Clone, Debug, PartialEq)]
pub struct Making {
    /// Its job
    pub job: JobId,
    /// Family key
    pub family: String,
    /// Rung
    pub quant: String,
    /// What was asked for
    pub request: QuantizeRequest,
    /// 0 to 1
    pub fraction: f32,
    /// Since when, seconds
    pub since: f64,
    /// Whether to switch to it when it is there
    pub then_switch: bool,
}

/// A rung that can be made, and what that takes.
#[derive(Clone, Debug, PartialEq)]
pub struct MakeOffer {
    /// Family key
    pub family: String,
    /// Family name
    pub family_name: String,
    /// Rung
    pub quant: String,
    /// From which file
    pub source: PathBuf,
    /// The rung of that file
    pub source_quant: String,
    /// Where it goes
    pub target: PathBuf,
    /// Bytes, estimated
    pub size_estimate: u64,
    /// Seconds, estimated
    pub seconds_estimate: f64,
    /// Whether the source has itself lost something
    pub lossy_source: bool,
}
