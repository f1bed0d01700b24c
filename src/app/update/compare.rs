//! The Compare page: one prompt, several designs, in engines of their own.

use super::{AppState, Effect, Now, chat, history};
use crate::app::{Asked, Compare, CompareAction, CompareFormat, DesignFrom, EngineState, Lane, LaneState, Severity};
use crate::library::RungState;
use crate::measure::lanes::{self, LANES, Round};
use crate::protocol::{
    Command, Design, EngineError, EngineFacts, ErrorKind, Event, GenerateRequest, LoadRequest, Message, Overflow, Role, RunId, Stage,
    StopReason,
};
use crate::store::Op;

pub(super) fn on_action(state: &mut AppState, action: CompareAction, now: Now, effects: &mut Vec<Effect>) {
    if state.compare.is_running() && !matches!(action, CompareAction::SetPrompt(_) | CompareAction::Stop) {
        return;
    }
    match action {
        CompareAction::SetPrompt(prompt) => state.compare.prompt = prompt,
        CompareAction::UseChat(on) => state.compare.use_chat = on,
        CompareAction::SetMaxTokens(n) => state.compare.max_tokens = n,
        CompareAction::SetTogether(on) => state.compare.together = on,
        CompareAction::SetBlind(on) => state.compare.blind = on,
        CompareAction::AddLane => add_lane(state),
        CompareAction::RemoveLane(index) => {
            if state.compare.lanes.len() > *LANES.start() && index < state.compare.lanes.len() {
                state.compare.lanes.remove(index);
                state.compare.asked = None;
            }
        }
        CompareAction::SetDesign(index, design) => {
            if let Some(lane) = state.compare.lanes.get_mut(index) {
                *lane = Lane::of(*design);
                state.compare.asked = None;
            }
        }
        CompareAction::TakeDesign(index, from) => take(state, index, from, now),
        CompareAction::Run => run(state, now, effects),
        CompareAction::Stop => stop(state, effects),
        CompareAction::Vote(vote) => {
            if state.compare.can_vote()
                && let Some(asked) = &mut state.compare.asked
            {
                asked.round.vote = Some(vote);
                file(state, effects);
            }
        }
        CompareAction::Export(format) => export(state, format, effects),
    }
}

/// Fills the page when it is first shown: the design that answers in the chat, and the next smaller level.
pub(super) fn on_shown(state: &mut AppState) {
    while state.compare.lanes.len() < *LANES.start() {
        let before = state.compare.lanes.len();
        add_lane(state);
        if state.compare.lanes.len() == before {
            return;
        }
    }
}

/// One more lane: the chat's design first, then the levels of its family that are on disk, from the best down.
fn add_lane(state: &mut AppState) {
    if state.compare.lanes.len() >= *LANES.end() {
        return;
    }
    let base = state.design().or(state.settings.last_design.as_ref()).cloned();
    let family = state.family().or(state.library.families.first());
    let on_disk = family.into_iter().flat_map(|family| &family.rungs).filter_map(|rung| match &rung.state {
        RungState::OnDisk { path, .. } => Some(path.clone()),
        _ => None,
    });
    let has = |model: &std::path::Path| state.compare.lanes.iter().any(|lane| lane.design.model == model);
    let files = base.as_ref().map(|base| base.model.clone()).into_iter().chain(on_disk);
    let next = files.into_iter().find(|path| !has(path)).or_else(|| state.compare.lanes.last().map(|lane| lane.design.model.clone()));
    if let Some(model) = next {
        let design = Design { model, ..base.unwrap_or_default() };
        state.compare.lanes.push(Lane::of(Design { sampler: lanes::greedy(), ..design }));
        state.compare.asked = None;
    }
}

/// A lane takes a whole design. One that was saved elsewhere is for a file of that name here.
fn take(state: &mut AppState, index: usize, from: DesignFrom, now: Now) {
    let design = match from {
        DesignFrom::InUse => history::current(state),
        DesignFrom::Saved(id) => history::saved(state, id).map(|saved| saved.design.clone()),
    };
    let Some(mut design) = design else { return };
    let Some(model) = history::found(state, &design.model) else {
        let file = design.model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        state.notices.push(Severity::Warn, format!("The model of that design is not on this machine: {file}"), Vec::new(), None, now.secs);
        return;
    };
    design.model = model;
    if let Some(lane) = state.compare.lanes.get_mut(index) {
        *lane = Lane::of(design);
        state.compare.asked = None;
    }
}

/// What is asked: the typed prompt alone, or the open chat up to its last question.
fn question(state: &AppState) -> Option<Vec<Message>> {
    if !state.compare.use_chat {
        let text = state.compare.prompt.clone();
        return (!text.trim().is_empty()).then(|| vec![Message { role: Role::User, text }]);
    }
    let (chat, open) = (state.chats.current()?, state.chats.open.as_ref()?);
    let last = open.shown().filter(|message| message.role == Role::User).last()?.id;
    Some(open.conversation(&chat.system, Some(last)))
}

/// Why nothing can be asked now, in words.
pub fn why_not(state: &AppState) -> Option<&'static str> {
    if state.compare.lanes.len() < *LANES.start() {
        return Some("There is no model on this machine yet: open one in the design bar");
    }
    if question(state).is_none() {
        return Some(if state.compare.use_chat { "The open chat has no question" } else { "Type a prompt first" });
    }
    if state.generating().is_some() {
        return Some("The chat is being answered: both would be slower");
    }
    let free = state.telemetry.sample.map_or(u64::MAX, |sample| sample.available);
    if state.compare.together && weights(state) > free {
        return Some("Together their weights alone are more than the free memory: run them one after another");
    }
    None
}

/// Bytes of the lanes' files, as far as the library knows them.
fn weights(state: &AppState) -> u64 {
    let size = |lane: &Lane| {
        let rung = state.library.families.iter().find_map(|family| family.rung_of(&lane.design.model))?;
        if let RungState::OnDisk { size, .. } = &rung.state { Some(*size) } else { None }
    };
    state.compare.lanes.iter().filter_map(size).sum()
}

fn run(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let Some(prompt) = question(state).filter(|_| why_not(state).is_none()) else { return };
    let compare = &mut state.compare;
    let round = Round {
        prompt: prompt.last().map(|last| last.text.clone()).unwrap_or_default(),
        history: prompt.len().saturating_sub(1),
        together: compare.together,
        vote: None,
        blind: compare.blind,
    };
    for lane in &mut compare.lanes {
        *lane = Lane { state: LaneState::Waiting, ..Lane::of(lane.design.clone()) };
    }
    let order = shuffled(compare.lanes.len(), now.unix_ms);
    let group = format!("compare-{}", now.unix_ms);
    compare.asked = Some(Asked { round, order, prompt, max_tokens: compare.max_tokens, group, stopping: false, kept: Vec::new() });
    if compare.together {
        for lane in 0..compare.lanes.len() {
            load(state, lane, now, effects);
        }
    } else {
        next(state, now, effects);
    }
}

/// Which engine a lane runs in: all in one after another, or each in its own.
fn engine_of(state: &AppState, lane: usize) -> usize {
    if state.compare.asked.as_ref().is_some_and(|asked| asked.round.together) { lane } else { 0 }
}

/// The next lane that waits; when there is none, the comparison is over.
fn next(state: &mut AppState, now: Now, effects: &mut Vec<Effect>) {
    let stopping = state.compare.asked.as_ref().is_none_or(|asked| asked.stopping);
    if stopping {
        for lane in state.compare.lanes.iter_mut().filter(|lane| lane.state == LaneState::Waiting) {
            lane.state = LaneState::Failed(EngineError::cancelled());
        }
    }
    let one_runs = state.compare.lanes.iter().any(|lane| lane.state.is_running());
    match state.compare.lanes.iter().position(|lane| lane.state == LaneState::Waiting) {
        Some(lane) if !one_runs => load(state, lane, now, effects),
        None if !one_runs => {
            effects.push(Effect::EndLanes);
            keep(state, effects);
        }
        _ => {}
    }
}

fn load(state: &mut AppState, lane: usize, now: Now, effects: &mut Vec<Effect>) {
    let job = state.job();
    let engine = engine_of(state, lane);
    let Some(lane) = state.compare.lanes.get_mut(lane) else { return };
    lane.state = LaneState::Loading(0.0);
    lane.job = Some(job);
    lane.started_ms = now.unix_ms;
    let request = LoadRequest { design: lane.design.clone(), keep_warm_bytes: 0 };
    effects.push(Effect::Lane(engine, Box::new(Command::Load { job, request })));
}

fn stop(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(asked) = &mut state.compare.asked else { return };
    asked.stopping = true;
    for index in 0..state.compare.lanes.len() {
        let engine = engine_of(state, index);
        if let Some(lane) = state.compare.lanes.get(index).filter(|lane| lane.state.is_running())
            && let Some(job) = lane.job
        {
            effects.push(Effect::Lane(engine, Box::new(Command::Cancel { job })));
        }
    }
}

/// An engine of a lane said something.
pub(super) fn on_event(state: &mut AppState, engine: usize, event: Event, now: Now, effects: &mut Vec<Effect>) {
    if let Event::Died { error, .. } = &event {
        return on_died(state, engine, error, now, effects);
    }
    let Some(job) = event.job() else { return };
    let Some(index) = state.compare.lanes.iter().position(|lane| lane.job == Some(job)) else { return };
    match event {
        Event::Loaded { report, .. } => {
            let name = state.model_name(&report.info);
            let Some(lane) = state.compare.lanes.get_mut(index) else { return };
            lane.model = Some((name, report.info.quant.clone()));
            lane.memory = Some(report.memory);
            lane.load_seconds = Some(report.seconds);
            ask(state, index, effects);
        }
        Event::Generated { stats, .. } => {
            let Some(lane) = state.compare.lanes.get_mut(index) else { return };
            lane.job = None;
            let is_whole = stats.stop != StopReason::Cancelled;
            lane.state = if is_whole { LaneState::Done } else { LaneState::Failed(EngineError::cancelled()) };
            lane.tokens = stats.predicted_tokens;
            if is_whole {
                lane.stats = Some(stats);
            }
            next(state, now, effects);
        }
        Event::Failed { error, .. } => fail(state, index, error, now, effects),
        other => {
            if let Some(lane) = state.compare.lanes.get_mut(index) {
                heard(lane, other);
            }
        }
    }
}

fn heard(lane: &mut Lane, event: Event) {
    match event {
        Event::Progress { stage: Stage::Load, done, total, .. } => lane.state = LaneState::Loading(done as f32 / total.max(1) as f32),
        Event::Started { prompt_tokens, cached_tokens, .. } => {
            lane.state = LaneState::Reading(cached_tokens.into(), prompt_tokens.into());
        }
        Event::Progress { stage: Stage::Prefill, done, total, .. } => lane.state = LaneState::Reading(done, total),
        Event::Tokens { batch, .. } => {
            lane.state = LaneState::Writing;
            lane.text.push_str(&batch.text);
            lane.tokens = batch.total;
            lane.first.get_or_insert(batch.first);
            lane.last = batch.last;
        }
        _ => {}
    }
}

fn ask(state: &mut AppState, index: usize, effects: &mut Vec<Effect>) {
    let job = state.job();
    let engine = engine_of(state, index);
    let Some(asked) = &state.compare.asked else { return };
    let (prompt, max_tokens) = (Compare::prompt_of(asked), asked.max_tokens);
    let Some(lane) = state.compare.lanes.get_mut(index) else { return };
    lane.job = Some(job);
    lane.state = LaneState::Reading(0, 0);
    let request = GenerateRequest {
        prompt,
        sampler: lane.design.sampler.clone(),
        max_tokens,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: true,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    effects.push(Effect::Lane(engine, Box::new(Command::Generate { job, request })));
}

fn fail(state: &mut AppState, index: usize, error: EngineError, now: Now, effects: &mut Vec<Effect>) {
    if let Some(lane) = state.compare.lanes.get_mut(index) {
        lane.job = None;
        lane.state = LaneState::Failed(error);
    }
    next(state, now, effects);
}

/// The lane that the engine worked for has failed; the others' answers stay, and those that wait go on in a new process.
fn on_died(state: &mut AppState, engine: usize, error: &EngineError, now: Now, effects: &mut Vec<Effect>) {
    let hit: Vec<usize> = (0..state.compare.lanes.len())
        .filter(|index| engine_of(state, *index) == engine && state.compare.lanes.get(*index).is_some_and(|lane| lane.state.is_running()))
        .collect();
    for index in hit {
        fail(state, index, error.clone(), now, effects);
    }
}

/// Keeps what was answered, and what failed, as runs of one group.
fn keep(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some((group, together, prompt)) =
        state.compare.asked.as_ref().map(|asked| (asked.group.clone(), asked.round.together, asked.round.prompt.clone()))
    else {
        return;
    };
    let facts = match &state.engine {
        EngineState::Up { facts, .. } => EngineFacts::clone(facts),
        EngineState::Starting => EngineFacts::default(),
    };
    let mut kept = Vec::new();
    for (lane, answer) in state.compare.answers().into_iter().enumerate() {
        // what was stopped before it had its answer was not measured
        if answer.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Cancelled) {
            continue;
        }
        let started_ms = state.compare.lanes.get(lane).map_or(0, |lane| lane.started_ms);
        let mut run = lanes::run(answer, &prompt, started_ms);
        run.group.clone_from(&group);
        if together {
            run.reasons.push("Other designs ran at the same time and slowed it".into());
        }
        let environment = &mut run.environment;
        environment.cpu.clone_from(&state.cpu);
        environment.engine.clone_from(&facts.name);
        environment.engine_commit.clone_from(&facts.commit);
        environment.engine_build.clone_from(&facts.build);
        environment.cpu_features.clone_from(&facts.cpu_features);
        environment.app = crate::protocol::build::VERSION.to_owned();
        kept.push((history::keep(state, run, effects), lane, None));
    }
    if let Some(asked) = &mut state.compare.asked {
        asked.kept = kept;
    }
}

/// A run is on the disk.
pub(super) fn on_kept(state: &mut AppState, seq: u64, run: RunId, effects: &mut Vec<Effect>) {
    let Some(asked) = &mut state.compare.asked else { return };
    if let Some((_, _, id)) = asked.kept.iter_mut().find(|(of, ..)| *of == seq) {
        *id = Some(run);
        file(state, effects);
    }
}

/// Files the runs under what was voted, once both are known.
fn file(state: &mut AppState, effects: &mut Vec<Effect>) {
    let Some(asked) = &state.compare.asked else { return };
    let Some(vote) = asked.round.vote.filter(|_| asked.kept.iter().all(|(.., id)| id.is_some())) else { return };
    let blind = asked.round.blind.then(|| "blind".to_owned());
    let meta = |(_, lane, id): &(u64, usize, Option<RunId>)| {
        let tags = [vote.of(*lane).to_owned()].into_iter().chain(blind.clone()).collect();
        id.map(|id| Op::SetRunMeta { id, title: String::new(), tags })
    };
    let ops: Vec<Op> = asked.kept.iter().filter_map(meta).collect();
    if !ops.is_empty() {
        chat::save(state, ops, effects);
    }
}

fn export(state: &mut AppState, format: CompareFormat, effects: &mut Vec<Effect>) {
    let Some(asked) = &state.compare.asked else { return };
    let answers = state.compare.answers();
    let (end, text) = match format {
        CompareFormat::Markdown => ("md", lanes::to_markdown(&asked.round, &answers)),
        CompareFormat::Json => ("json", serde_json::to_string_pretty(&lanes::to_json(&asked.round, &answers)).unwrap_or_default()),
    };
    effects.push(Effect::SaveText { name: format!("comparison.{end}"), text });
}

/// An order that nobody can guess from the lanes: a shuffle (Fisher and Yates) of numbers from the clock.
fn shuffled(n: usize, seed: i64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    // splitmix64
    let mut at = seed as u64;
    let mut draw = || {
        at = at.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (at ^ (at >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    for last in (1..n).rev() {
        order.swap(last, (draw() % (last as u64 + 1)) as usize);
    }
    order
}
