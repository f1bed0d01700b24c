//! Drives a sweep with one engine: progress on standard error, the sweep on disk after every step, Ctrl-C keeps what there is.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::args::SweepArgs;
use crate::cli::error::CliError;
use crate::cli::interrupt::{self, Armed};
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::measure::format;
use crate::measure::sweep::{Conductor, Order, Step, Sweep};
use crate::protocol::{Environment, Event, Stage};
use crate::store::{Store, StoreError, sweeps};

/// Runs a sweep to its end, or until Ctrl-C. It is kept at `path` before and after every step.
///
/// # Errors
/// When the engine's supervisor ends. An engine that dies is a row.
pub(super) fn drive(session: &mut Session, sweep: Sweep, path: Option<&Path>, out: Output) -> Result<Sweep, CliError> {
    let clock = Instant::now();
    let now = || clock.elapsed().as_secs_f64();
    let mut conductor = Conductor::new(sweep);
    let mut warned = false;
    let mut keep = |sweep: &Sweep| {
        if let Some(path) = path
            && let Err(error) = write(path, sweep)
            && !std::mem::replace(&mut warned, true)
        {
            out.note(&format!("note: the sweep cannot be kept, so it cannot be resumed: {error}: {}", path.display()));
        }
    };
    loop {
        let order = conductor.order(session.next_job(), now(), unix_ms());
        keep(conductor.sweep());
        match order {
            Order::Finished => break,
            Order::Rest { seconds, why } => {
                out.progress(&format!("{why}: pausing for {seconds:.0} s"));
                if was_interrupted_within(seconds) {
                    conductor.cancel(now());
                    break;
                }
                conductor.rested(now());
            }
            Order::Send(command) => {
                let stopped = session.watch(*command, |event| {
                    conductor.hear(event, now());
                    show(&conductor, event, out);
                })?;
                if stopped {
                    conductor.cancel(now());
                    break;
                }
            }
        }
    }
    out.progress("");
    keep(conductor.sweep());
    Ok(conductor.into_sweep())
}

fn write(path: &Path, sweep: &Sweep) -> Result<(), String> {
    let json = serde_json::to_string(sweep).map_err(|error| error.to_string())?;
    sweeps::keep(path, &json).map_err(|error| error.to_string())
}

/// Waits; whether Ctrl-C came meanwhile.
fn was_interrupted_within(seconds: f64) -> bool {
    let presses = interrupt::presses();
    let _armed = Armed::new();
    presses.recv_timeout(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0))).is_ok()
}

fn show(conductor: &Conductor, event: &Event, out: Output) {
    if !matches!(event, Event::Progress { .. } | Event::BenchRow { .. }) {
        return;
    }
    let sweep = conductor.sweep();
    let left = sweep.seconds_left().map_or_else(String::new, |seconds| format!(", {} left", format::seconds(seconds)));
    let line = match sweep.next() {
        Step::Measure { block, candidate, .. } => {
            let label = sweep.plan().candidates.get(candidate).map_or("", |of| of.label.as_str());
            let label = if label.is_empty() { "the design" } else { label };
            let doing = if matches!(event, Event::Progress { stage: Stage::Load, .. }) { "Loading" } else { "Measuring" };
            let (done, all) = sweep.progress();
            format!("{doing} {label}: block {} of {}, {} of {all}{left}", block + 1, sweep.plan().blocks, done + 1)
        }
        Step::Quality { .. } => format!("Comparing quality: {:.0} %", conductor.fraction() * 100.0),
        Step::CoolDown { .. } | Step::Done(_) => return,
    };
    out.progress(&line);
}

/// What the sweep runs on, with this machine's limits where they can be measured.
///
/// # Errors
/// When a probe fails for another reason than that this engine cannot do it.
pub(super) fn environment(session: &mut Session, args: &SweepArgs) -> Result<(Environment, Option<f64>), CliError> {
    let mut environment = crate::library::machine(session.facts());
    let mut gflops = None;
    if !args.no_probe {
        (environment.bandwidth_gb_s, gflops) = session.known_limits(0)?;
    }
    Ok((environment, gflops))
}

/// Keeps what was measured as runs, beside those of the window. Where that cannot be, it is said, and the output is all there is. The sweep with
/// the numbers of its runs is kept at `path` again.
pub(super) fn keep_runs(mut sweep: Sweep, path: Option<&Path>, out: Output) -> Sweep {
    let Some(dirs) = crate::cli::names::settings().0 else { return sweep };
    let result = sweep.result();
    let kept = (|| {
        let (mut store, notices) = Store::join(&dirs.data)?;
        notices.iter().for_each(|notice| out.note(&format!("note: {notice}")));
        for index in sweep.worth_keeping() {
            if let Some(run) = result.runs.get(index) {
                let id = store.keep_run(run.clone())?;
                sweep.set_kept(index, id);
            }
        }
        Ok::<(), StoreError>(())
    })();
    if let Err(error) = kept {
        out.note(&format!("note: the runs were not kept: {error}"));
    }
    if let Some(path) = path {
        // said already where it cannot be
        drop(write(path, &sweep));
    }
    sweep
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// `sweep-1764110000`: names are told apart by when they began.
pub(super) fn name_by_time() -> String {
    format!("sweep-{}", unix_ms() / 1000)
}

/// Another order each time, kept with the sweep.
pub(super) fn seed_by_time() -> u64 {
    unix_ms().unsigned_abs()
}
