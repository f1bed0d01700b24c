//! `compare`: the same prompt answered by several designs, one after another, and where their answers part.

use super::args::{CompareArgs, Global};
use super::design::DesignArgs;
use super::error::{CliError, NO};
use super::names;
use super::output::{Output, table};
use super::session::{Session, file_name, unexpected};
use crate::library;
use crate::measure::format;
use crate::measure::lanes::{self, Answered, LANES, Parting, Round};
use crate::protocol::{
    Command, Design, EngineError, ErrorKind, Event, GenerateRequest, Message, Overflow, Prompt, Role, SamplerOverrides, StopReason,
};

/// Runs the command; the exit status. A design that fails, or whose engine dies, is a lane with its cause, and the others go on.
///
/// # Errors
/// What stopped it before the first design.
pub fn run(args: &CompareArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    if !LANES.contains(&args.files.len()) {
        return Err(CliError::usage(format!("{} designs are given; 2 to 4 can be compared", args.files.len())));
    }
    let designs = args.files.iter().map(|file| lane(file, args, out)).collect::<Result<Vec<_>, _>>()?;
    let prompt = Prompt::Chat { messages: vec![Message { role: Role::User, text: args.prompt.clone() }] };
    let mut session = None;
    let mut answers = Vec::new();
    let mut stopped = false;
    for design in designs {
        let answer = if stopped { unasked(design) } else { answer(&mut session, design, prompt.clone(), args, global, out) };
        stopped |= answer.failure.as_ref().is_some_and(|failure| failure.kind == ErrorKind::Cancelled);
        answers.push(answer);
    }
    let facts: Vec<_> = answers.iter().map(|a| (&a.design, a.model.as_str(), a.quant.as_str())).collect();
    let names = lanes::names(&facts);
    for (answer, name) in answers.iter_mut().zip(names) {
        answer.name = name;
    }
    let round = Round { prompt: args.prompt.clone(), ..Round::default() };
    if args.markdown && !out.json() {
        out.raw(&lanes::to_markdown(&round, &answers))?;
    } else {
        out.result(&lanes::to_json(&round, &answers), || words(&answers))?;
    }
    Ok(if answers.iter().any(|answer| answer.failure.is_some()) { NO } else { 0 })
}

/// The design of a lane: a model with the options of the command line, or a saved design that they change.
fn lane(file: &str, args: &CompareArgs, out: Output) -> Result<Design, CliError> {
    let path = std::path::Path::new(file);
    let is_design = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml") || end.eq_ignore_ascii_case("json"));
    let mut design = if is_design {
        let mut saved: DesignArgs = args.design.clone();
        saved.design = Some(path.to_owned());
        saved.design(out)?
    } else {
        let design = args.design.design(out)?;
        Design { model: names::model_of(Some(file), &design)?, ..design }
    };
    design.model = names::model_of(None, &design)?;
    if design.sampler == SamplerOverrides::default() {
        design.sampler = lanes::greedy();
    }
    // a seed of its own for each would be a difference that is not the design's
    design.sampler.seed.get_or_insert(0);
    Ok(design)
}

fn unasked(design: Design) -> Answered {
    let failure = Some(EngineError::cancelled());
    let nothing = (String::new(), String::new(), String::new());
    let (model, quant, text) = nothing;
    Answered { name: String::new(), design, model, quant, text, tokens: Vec::new(), stats: None, memory: None, load_seconds: None, failure }
}

/// Loads a design and asks it, in the engine that runs or in a new one after a death.
fn answer(session: &mut Option<Session>, design: Design, prompt: Prompt, args: &CompareArgs, global: &Global, out: Output) -> Answered {
    let mut answered = Answered { failure: None, ..unasked(design) };
    if let Err(error) = ask(session, &mut answered, prompt, args, global, out) {
        // an engine that has died, or was left in the middle of something, answers nobody
        *session = None;
        answered.failure = Some(error.into_engine());
    }
    answered
}

fn ask(
    session: &mut Option<Session>,
    answered: &mut Answered,
    prompt: Prompt,
    args: &CompareArgs,
    global: &Global,
    out: Output,
) -> Result<(), CliError> {
    let session = match session {
        Some(session) => session,
        None => session.insert(Session::start(global, out)?),
    };
    let report = session.load(&answered.design)?;
    answered.model = library::model_name(&report.info);
    answered.quant = report.info.quant;
    answered.memory = Some(report.memory);
    answered.load_seconds = Some(report.seconds);
    let request = GenerateRequest {
        prompt,
        sampler: answered.design.sampler.clone(),
        max_tokens: args.n,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: true,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    let name = file_name(&answered.design.model);
    let text = &mut answered.text;
    let ended = session.run(
        |job| Command::Generate { job, request },
        |event| {
            if let Event::Tokens { batch, .. } = event {
                text.push_str(&batch.text);
                out.progress(&format!("{name}: {} tokens", batch.total));
            }
            Ok(())
        },
    );
    out.progress("");
    match ended? {
        Event::Generated { stats, .. } => {
            if stats.stop == StopReason::Cancelled {
                answered.failure = Some(EngineError::cancelled());
            }
            answered.tokens.clone_from(&stats.tokens);
            answered.stats = Some(*stats);
            Ok(())
        }
        other => Err(unexpected(&other)),
    }
}

fn words(answers: &[Answered]) -> String {
    let row = |(index, answer): (usize, &Answered)| {
        let stats = answer.stats.as_ref();
        let cell = |value: Option<String>| value.unwrap_or_else(|| "-".into());
        let parting = answers.first().filter(|_| index > 0).map(|first| Parting::of(first, answer).words());
        vec![
            answer.name.clone(),
            cell(stats.map(|stats| format::tps(stats.decode_tps))),
            cell(stats.map(|stats| format::millis(stats.ttft_ms))),
            cell(stats.map(|stats| stats.predicted_tokens.to_string())),
            cell(answer.memory.map(|memory| format::bytes(memory.total()))),
            answer.failure.as_ref().map_or_else(|| cell(parting), ToString::to_string),
        ]
    };
    let rows: Vec<Vec<String>> = answers.iter().enumerate().map(row).collect();
    let mut text = String::new();
    for answer in answers {
        text.push_str(&format!("--- {}\n{}\n\n", answer.name, answer.text.trim_end()));
    }
    text.push_str(&table(&["design", "decode t/s", "TTFT", "tokens", "memory", "against the first"], &[1, 2, 3, 4], &rows));
    text
}
