//! What a design would take, by llama.cpp's own arithmetic, without allocating it.

use std::sync::Arc;

use super::logs::{Capture, Sink};
use super::{load, memory};
use crate::engine::backend::Job;
use crate::protocol::{Design, EngineError, ErrorKind, MemoryUse};

/// Loads the header only (`no_alloc`), lets llama.cpp plan the context, and reads the planned sizes off its log.
///
/// # Errors
/// `Unsupported` when llama.cpp cannot plan this model (recurrent state is always allocated for real, for one); the file's own errors.
pub(super) fn estimate(design: &Design, sink: &Sink, job: &Job) -> Result<MemoryUse, EngineError> {
    let capture = Capture::start(sink);
    let model = Arc::new(load::load_model(design, true, &capture, job)?);
    let weights = model.tensor_bytes();
    let ctx = load::make_ctx(&model, &load::ctx_params(design, &model.info), &capture)?;
    let used = memory::from_dry_lines(&capture.lines(), weights);
    drop(ctx);
    if used.compute == 0 || used.weights == 0 {
        return Err(EngineError::new(ErrorKind::Unsupported, "The engine did not say what this design would take")
            .hint("Use the estimate from the file's header")
            .path(&design.model));
    }
    Ok(used)
}
