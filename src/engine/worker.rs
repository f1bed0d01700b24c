//! The one loop that works commands off, whatever computes and wherever it runs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::backend::{Backend, Job, Probe};
use super::inbox::Inbox;
use super::report::Reporter;
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId};

/// Works commands off until the inbox closes. Every job that was begun is answered by exactly one terminal event.
///
/// # Errors
/// A panic in the backend: its state cannot be trusted any more, so the engine has to end. The job is not answered.
pub fn run(backend: &mut dyn Backend, version: u32, inbox: &Inbox, reporter: &Reporter) -> Result<(), EngineError> {
    let facts = guarded(|| backend.facts())?;
    reporter.say(Event::Hello { version, pid: std::process::id(), facts });
    while let Some((id, command, cancel)) = inbox.next() {
        reporter.begin(id, if let Command::Generate { request, .. } = &command { request.text_every() } else { Duration::ZERO });
        let answer = guarded(|| perform(backend, id, command, &cancel, reporter));
        // First the inbox: a cancellation that arrives after the answer must find no job.
        inbox.finished();
        match answer {
            Ok(answer) => reporter.end(answer),
            Err(error) => {
                reporter.abandon();
                return Err(error);
            }
        }
    }
    Ok(())
}

/// One command, from its start to its answer.
fn perform(backend: &mut dyn Backend, id: JobId, command: Command, cancel: &Arc<AtomicBool>, reporter: &Reporter) -> Event {
    if cancel.load(Ordering::Relaxed) {
        return Event::Failed { job: id, error: EngineError::cancelled() };
    }
    let job = Job::new(id, Arc::clone(cancel), reporter.relay());
    let began = Instant::now();
    let result =
        match command {
            Command::Load { request, .. } => backend.load(&request, &job).map(|report| Event::Loaded { job: id, report: Box::new(report) }),
            Command::Unload { model, .. } => Ok(Event::Unloaded { job: id, resident: backend.unload(model.as_deref()) }),
            Command::Generate { request, .. } => {
                backend.generate(&request, &job).map(|stats| Event::Generated { job: id, stats: Box::new(stats) })
            }
            Command::Prefill { request, .. } => backend.prefill(&request, &job).map(|()| Event::Done { job: id }),
            Command::Render { prompt, .. } => backend.render(&prompt, &job).map(|rendered| Event::Rendered { job: id, rendered }),
            Command::Quantize { request, .. } => backend.quantize(&request, &job).map(|made| Event::Quantized {
                job: id,
                path: made.path,
                size: made.size,
                bpw: made.bpw,
                seconds: began.elapsed().as_secs_f64(),
                fallbacks: made.fallbacks,
            }),
            Command::Bench { plan, .. } => backend.bench(&plan, &job).map(|()| Event::Done { job: id }),
            Command::Quality { plan, .. } => backend.quality(&plan, &job).map(|()| Event::Done { job: id }),
            Command::Estimate { design, .. } => backend.estimate(&design, &job).map(|memory| Event::Estimated { job: id, memory }),
            Command::Probe { threads, .. } => backend
                .probe(threads, &job)
                .map(|Probe { bandwidth_gb_s, threads, ops_gflops }| Event::Probed { job: id, bandwidth_gb_s, threads, ops_gflops }),
            // The inbox keeps these two for itself.
            Command::Cancel { .. } | Command::Shutdown => Ok(Event::Done { job: id }),
        };
    result.unwrap_or_else(|error| Event::Failed { job: id, error })
}

fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        EngineError::new(ErrorKind::Crashed, format!("The engine stopped on an internal error: {}", panic_text(&*payload)))
            .hint("Load the model again to go on")
    })
}

/// What a panic said.
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string).or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".into())
}
