//! Makes the backend of this build.

use super::backend::Backend;
use crate::protocol::{EngineError, LogLevel};

/// Takes the lines a backend and its libraries write.
pub type LogSink = Box<dyn Fn(LogLevel, String) + Send + Sync>;

/// The engine that computes for real, where this build has one.
///
/// # Errors
/// `Unsupported` in a build without llama.cpp; what llama.cpp reports when it does not start.
#[cfg(feature = "llama")]
pub fn backend(log: LogSink) -> Result<Box<dyn Backend>, EngineError> {
    Ok(Box::new(super::llama::LlamaBackend::new(log)?))
}

/// See above; this build has none.
///
/// # Errors
/// Always.
#[cfg(not(feature = "llama"))]
pub fn backend(log: LogSink) -> Result<Box<dyn Backend>, EngineError> {
    drop(log);
    Err(EngineError::new(crate::protocol::ErrorKind::Unsupported, "This build has no llama.cpp").hint("Build it with the default features"))
}
