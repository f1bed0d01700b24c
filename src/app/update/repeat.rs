//! Measuring a run again, and the canary after an update: a benchmark in an engine of its own, so that chatting goes on.

use super::{AppState, Effect, Now, history};
use crate::app::{EngineState, Measuring, NoticeAction, Outcome, Purpose, Severity};
use crate::measure::sweep::once;
use crate::measure::{format, kept, versus};
use crate::protocol::{
    BenchPlan, BenchTest, Command, Design, EngineError, EngineFacts, Environment, ErrorKind, Event, Metric, Run, RunId, RunTrust, Stage,
    Workload, build,
};
use crate::store::RunHead;

/// Seconds that a canary may take, all cells together.
const CANARY_SECONDS: f64 = 60.0;
/// Cells of a canary where no earlier run says which.
const CANARY_CELLS: [BenchTest; 2] = [BenchTest { n_prompt: 128, n_gen: 0, n_depth: 0 }, BenchTest { n_prompt: 0, n_gen: 32, n_depth: 0 }];
/// Fewest and most repetitions of a cell: under five a difference of a few per cent is not seen.
const REPETITIONS: (u32, u32) = (3, 10);

/// What is to be said of two measurements at different times.
const APART: &str = "They were not measured in turns: what the machine did in between counts too";

/// Measures a run again, as it was measured.
pub(super) fn repeat(state: &mut AppState, id: RunId, now: Now, effects: &mut Vec<Effect>) {
    let Some(run) = state.history.run(id) else { return };
    let Workload::Bench { test } = &run.workload else {
        let text = "Only a benchmark can be measured again from here";
        state.notices.push(Severity::Info, text, Vec::new(), None, now.secs);
        return;
    };
    // a sweep's run has its place in each block
    let is_joined = !run.blocks.is_empty();
    let repetitions = metrics(run, test).filter_map(|metric| run.samples.get(&metric)).map(Vec::len).max().unwrap_or(0);
    let (test, mut design) = (*test, run.design.clone());
    if let Some(path) = history::found(state, &design.model) {
        design.model = path;
    }
    let repetitions = u32::try_from(repetitions).unwrap_or(u32::MAX).clamp(REPETITIONS.0, REPETITIONS.1);
    let tests = if is_joined { once::cells(test) } else { vec![test] };
    begin(state, Purpose::Repeat(id), design, tests, is_joined.then_some(test), repetitions, now, effects);
}

/// The speeds that a run's work has: of a sweep's run those of both of its cells.
fn metrics(run: &Run, test: &BenchTest) -> impl Iterator<Item = Metric> + use<> {
    let whole = kept::metric_of(test);
    let all = if run.samples.contains_key(&whole) { vec![whole] } else { vec![Metric::DecodeTps, Metric::PrefillTps] };
    all.into_iter()
}

fn begin(
    state: &mut AppState,
    purpose: Purpose,
    design: Design,
    tests: Vec<BenchTest>,
    joined: Option<BenchTest>,
    repetitions: u32,
    now: Now,
    effects: &mut Vec<Effect>,
) {
    if state.measuring.is_some() || state.measure.is_running() {
        state.notices.push(Severity::Warn, "Something is being measured, wait for it or stop it first", Vec::new(), None, now.secs);
        return;
    }
    let job = state.job();
    let own_context = joined.is_some();
    let plan = BenchPlan { design: design.clone(), tests: tests.clone(), repetitions, own_context, ..BenchPlan::default() };
    let joined = joined.map(|test| (test, Vec::new()));
    let total = u64::from(repetitions) * tests.len() as u64;
    state.internal.outcome = Outcome { purpose: Some(purpose.clone()), ..Outcome::default() };
    state.measuring = Some(Measuring { job, purpose, design, tests, joined, done: (0, total), since: now.secs, stopping: false });
    effects.push(Effect::Measure(Box::new(Command::Bench { job, plan })));
}

/// Ends what is measured; what was measured of whole cells is kept.
pub(super) fn stop(state: &mut AppState, effects: &mut Vec<Effect>) {
    if let Some(measuring) = &mut state.measuring {
        measuring.stopping = true;
        effects.push(Effect::StopMeasuring(measuring.job));
    }
}

pub(super) fn on_event(state: &mut AppState, event: &Event, now: Now, effects: &mut Vec<Effect>) {
    let Some(measuring) = &mut state.measuring else { return };
    match event {
        Event::Progress { job, stage: Stage::Bench, done, total } if *job == measuring.job => measuring.done = (*done, *total),
        Event::BenchRow { job, row } if *job == measuring.job => {
            let facts = match &state.engine {
                // the program is the same, so the engine that measures is what the one that chats is
                EngineState::Up { facts, .. } => (**facts).clone(),
                EngineState::Starting => EngineFacts::default(),
            };
            let environment = Environment {
                engine: facts.name,
                engine_commit: facts.commit,
                engine_build: facts.build,
                cpu_features: facts.cpu_features,
                app: build::VERSION.to_owned(),
                bandwidth_gb_s: state.telemetry.bandwidth_gb_s,
                ..Environment::default()
            };
            let mut run = match &mut measuring.joined {
                None => kept::bench_run(&measuring.design, row, environment, now.unix_ms),
                Some((test, cells)) => {
                    cells.push((**row).clone());
                    if cells.len() < measuring.tests.len() {
                        return;
                    }
                    once::run(&measuring.design, *test, cells, environment, now.unix_ms)
                }
            };
            match &measuring.purpose {
                Purpose::Repeat(id) => {
                    run.repeats = Some(*id);
                    run.title = state.history.head(*id).map(|before| before.title.clone()).unwrap_or_default();
                }
                Purpose::Canary(..) => run.tags = vec!["canary".into()],
            }
            if !matches!(state.activity, crate::app::Activity::None) {
                run.reasons.push("A chat was being answered meanwhile".into());
                run.trust = if run.trust == RunTrust::Trusted { RunTrust::Noisy } else { run.trust };
            }
            let seq = history::keep(state, run, effects);
            state.internal.outcome.saving.push(seq);
        }
        Event::Done { job } if *job == measuring.job => end(state, None, now, effects),
        Event::Failed { job, error } if *job == measuring.job => end(state, Some(error.clone()), now, effects),
        Event::Died { error, .. } => end(state, Some(error.clone()), now, effects),
        _ => {}
    }
}

fn end(state: &mut AppState, error: Option<EngineError>, now: Now, effects: &mut Vec<Effect>) {
    state.measuring = None;
    effects.push(Effect::EndMeasuring);
    state.internal.outcome.ended = true;
    match error {
        Some(error) if error.kind == ErrorKind::Cancelled => {
            state.notices.push(Severity::Info, "Measuring was stopped; whole cells were kept", Vec::new(), None, now.secs);
        }
        Some(error) => {
            state.notices.push(Severity::Error, format!("It was not measured: {error}"), error.details.clone(), None, now.secs);
        }
        None => {}
    }
    look(state, now, effects);
}

/// A run of the measurement is on the disk, or is not and waits.
pub(super) fn on_saved(state: &mut AppState, seq: u64, id: Option<RunId>, now: Now, effects: &mut Vec<Effect>) {
    let saving = state.internal.outcome.saving.len();
    state.internal.outcome.saving.retain(|waiting| *waiting != seq);
    if saving > state.internal.outcome.saving.len() {
        state.internal.outcome.kept.extend(id);
        look(state, now, effects);
    }
}

/// Once everything is measured and kept: reads it and what it is compared with.
fn look(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if !state.internal.outcome.ended || !state.internal.outcome.saving.is_empty() || state.internal.outcome.purpose.is_none() {
        return;
    }
    if !state.history.is_loaded {
        // the list says what to compare with
        effects.push(Effect::ReadRuns);
        return;
    }
    if state.internal.outcome.pairs.is_empty() {
        let pairs: Vec<(RunId, Option<RunId>)> = state.internal.outcome.kept.iter().map(|id| (*id, against(state, *id))).collect();
        let ids: Vec<RunId> = pairs.iter().flat_map(|(id, other)| [Some(*id), *other]).flatten().collect();
        state.internal.outcome.pairs = pairs;
        if ids.is_empty() {
            state.internal.outcome = Outcome::default();
        } else {
            effects.push(Effect::ReadWholeRuns(ids));
        }
        return;
    }
    tell(state, now);
}

/// What a fresh run is compared with: the run it repeats, or the last trusted one of the same design and work.
fn against(state: &AppState, id: RunId) -> Option<RunId> {
    let head = state.history.head(id)?;
    let is_match = |other: &&RunHead| {
        other.id < id
            && other.trust == RunTrust::Trusted
            && other.failure.is_none()
            && other.imported.is_empty()
            && other.design_hash == head.design_hash
            && other.workload == head.workload
    };
    head.repeats.or_else(|| state.history.runs.iter().find(is_match).map(|other| other.id))
}

/// The list or the runs were read: goes on with what waited for them.
pub(super) fn on_read(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    if state.internal.outcome.ended {
        look(state, now, effects);
    }
}

fn tell(state: &mut AppState, now: Now) {
    let pairs = state.internal.outcome.pairs.clone();
    if pairs.iter().any(|(id, other)| state.history.run(*id).is_none() || other.is_some_and(|id| state.history.run(id).is_none())) {
        return;
    }
    let Some(purpose) = std::mem::take(&mut state.internal.outcome).purpose else { return };
    let sentences: Vec<String> = pairs
        .iter()
        .filter_map(|(id, other)| {
            let run = state.history.run(*id)?;
            Some(sentence(run, other.and_then(|id| state.history.run(id))))
        })
        .collect();
    let show = match pairs.as_slice() {
        [(id, Some(other)), ..] => vec![*other, *id],
        [(id, None), ..] => vec![*id],
        [] => return,
    };
    let text = match &purpose {
        Purpose::Repeat(_) => sentences.join("; "),
        Purpose::Canary(from, to) => format!("Since {from}, now {to}: {}", sentences.join("; ")),
    };
    let has_before = pairs.iter().any(|(_, other)| other.is_some());
    let text = if has_before { format!("{text}. {APART}") } else { text };
    if let Purpose::Repeat(_) = purpose {
        state.history.shown.clone_from(&show);
    }
    let offer = NoticeAction { label: "Show".into(), action: Box::new(crate::app::Action::ShowRuns(show)) };
    match purpose {
        // what an update changed is read when there is time for it
        Purpose::Canary(..) => state.notices.offer(text, offer),
        Purpose::Repeat(_) => state.notices.push(Severity::Info, text, Vec::new(), Some(offer), now.secs),
    }
}

/// `tg128 81.2 t/s, before 80.9 t/s: not distinguishable`.
fn sentence(run: &Run, before: Option<&Run>) -> String {
    let Workload::Bench { test } = &run.workload else { return run.workload.words() };
    let all: Vec<Metric> = metrics(run, test).filter(|metric| run.samples.contains_key(metric)).collect();
    let figure = |metric: &Metric| {
        let name = if all.len() > 1 { format!(" {}", metric.name().to_lowercase()) } else { String::new() };
        figure_sentence(run, before, *metric, &name)
    };
    format!("{}{}", run.workload.words(), all.iter().map(figure).collect::<Vec<_>>().join(";"))
}

/// ` 81.2 t/s, was 80.9 t/s: not distinguishable`, with the figure's name before it.
fn figure_sentence(run: &Run, before: Option<&Run>, metric: Metric, name: &str) -> String {
    let now = run.figure(metric).map(format::tps).unwrap_or_default();
    let head = format!("{name} {now} t/s");
    let Some(before) = before else { return format!("{head}, nothing to compare it with") };
    let found = versus::figures(before, run).into_iter().find(|figure| figure.metric == metric);
    let was = before.figure(metric).map(format::tps).unwrap_or_default();
    let verdict = found.map_or_else(String::new, |figure| match (figure.ratio, figure.is_better()) {
        (Some(ratio), Some(true)) => format!("really faster, {}", format::signed_percent(ratio - 1.0)),
        (Some(ratio), Some(false)) => format!("really slower, {}", format::signed_percent(ratio - 1.0)),
        _ if figure.verdict.is_some() => "not distinguishable".into(),
        _ => figure.reason,
    });
    format!("{head}, was {was} t/s: {verdict}")
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// `0.1.0 with llama.cpp b11434`: what an update changes.
fn version(facts: &EngineFacts) -> String {
    format!("{} with {} {}", build::VERSION, facts.name, facts.build)
}

/// The engine said what it is: when that differs from last time, a canary is offered once.
pub(super) fn on_engine_up(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let EngineState::Up { facts, .. } = &state.engine else { return };
    let to = version(facts);
    if state.settings.last_version == to {
        return;
    }
    let from = std::mem::replace(&mut state.settings.last_version, to.clone());
    state.internal.settings_changed = Some(now.secs);
    if from.is_empty() || state.settings.last_design.is_none() {
        return;
    }
    // the runs say which cells to measure and what to compare them with
    effects.push(Effect::ReadRuns);
    let action = crate::app::Action::StartCanary(from.clone(), to.clone());
    let offer = NoticeAction { label: "Measure for a minute".into(), action: Box::new(action) };
    state.notices.offer(format!("Inferscope was {from} and is now {to}. Is the design you use still as fast?"), offer);
}

/// Measures the design used last for about a minute: the cells of its latest trusted runs, else short ones.
pub(super) fn canary(state: &mut AppState, from: String, to: String, now: Now, effects: &mut Vec<Effect>) {
    let Some(design) = state.design().or(state.settings.last_design.as_ref()).cloned() else { return };
    let (tests, joined, seconds) = cells(state, &design);
    let each = seconds.map_or(REPETITIONS.0, |seconds| (CANARY_SECONDS / seconds.max(0.01)) as u32);
    begin(state, Purpose::Canary(from, to), design, tests, joined, each.clamp(REPETITIONS.0, REPETITIONS.1), now, effects);
}

/// The cells to measure; the work of the one run that they make, as the sweep made it which they are compared with; and the seconds of one
/// repetition of all of them where earlier runs say it.
fn cells(state: &AppState, design: &Design) -> (Vec<BenchTest>, Option<BenchTest>, Option<f64>) {
    let words = design.differences(&design.sampler);
    let name = design.model.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let same = |head: &&RunHead| {
        head.trust == RunTrust::Trusted
            && head.imported.is_empty()
            && head.design == words
            && !head.quant.is_empty()
            && name.contains(&head.quant.to_lowercase())
    };
    let latest = |prefix: &str| {
        let is_cell = |head: &&RunHead| head.workload.strip_prefix(prefix).is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        state.history.runs.iter().filter(same).find(is_cell)
    };
    let size = |head: &RunHead| head.workload.get(2..).and_then(|n| n.parse::<u32>().ok()).filter(|n| *n > 0);
    let (pp, tg) = (latest("pp"), latest("tg"));
    let mut tests = Vec::new();
    let mut seconds = 0.0;
    for (head, is_prompt) in [(pp, true), (tg, false)] {
        let Some((n, head)) = head.and_then(|head| Some((size(head)?, head))) else { continue };
        let test = BenchTest { n_prompt: if is_prompt { n } else { 0 }, n_gen: if is_prompt { 0 } else { n }, n_depth: 0 };
        seconds += head.figure(kept::metric_of(&test)).map_or(1.0, |speed| f64::from(n) / speed.max(0.001));
        tests.push(test);
    }
    if !tests.is_empty() {
        return (tests, None, Some(seconds));
    }
    let of_sweep = state.history.runs.iter().filter(same).find_map(|head| Some((sweep_test(head)?, head)));
    let Some((test, head)) = of_sweep else { return (CANARY_CELLS.to_vec(), None, None) };
    let part = |metric, n: u32| head.figure(metric).map_or(0.0, |speed| f64::from(n) / speed.max(0.001));
    let seconds = part(Metric::PrefillTps, test.n_prompt) + part(Metric::DecodeTps, test.n_gen);
    (once::cells(test), Some(test), Some(seconds))
}

/// The work of a sweep's run that measured both speeds at an empty cache (`pp512+tg128`).
fn sweep_test(head: &RunHead) -> Option<BenchTest> {
    let (n_prompt, n_gen) = head.workload.strip_prefix("pp")?.split_once("+tg")?;
    let has_both = [Metric::PrefillTps, Metric::DecodeTps].into_iter().all(|metric| head.figure(metric).is_some());
    has_both.then_some(BenchTest { n_prompt: n_prompt.parse().ok()?, n_gen: n_gen.parse().ok()?, n_depth: 0 })
}
