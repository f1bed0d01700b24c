//! `quality`: what designs cost in quality against a reference, on a text, with llama-perplexity's definitions.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::args::{Global, QualityArgs};
use super::error::{CliError, NO};
use super::names;
use super::output::Output;
use super::session::{Session, file_name, unexpected};
use crate::library::{self, text};
use crate::measure::format;
use crate::measure::quality::divergence::{Agreement, PROMPTS};
use crate::measure::quality::report::{self, Subject, TextName};
use crate::measure::quality::tally::{Estimate, Quality, Tally};
use crate::protocol::{
    Command, Design, Event, GenerateRequest, Message, Overflow, Prompt, QualityLayout, QualityPlan, QualityText, Role, Run,
    SamplerOverrides, TokenRecord, TokenScore,
};
use crate::store::Store;

/// One candidate's scores as they come.
#[derive(Default)]
struct Heard {
    tally: Tally,
    scores: Vec<(u64, TokenScore)>,
    names: BTreeMap<u32, String>,
}

/// Runs the command; the exit status.
///
/// # Errors
/// What stopped it; candidates that were measured until then are lost only with `--json`, where one document is owed.
pub fn run(args: &QualityArgs, global: &Global, out: Output) -> Result<u8, CliError> {
    let plans = plans(args, out)?;
    let source = Source::of(args)?;
    let mut session = Session::start(global, out)?;
    let (mut documents, mut runs) = (Vec::new(), Vec::new());
    let began_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    let group = if args.files.len() > 1 { format!("quality-{}", began_ms / 1000) } else { String::new() };
    let ships = PROMPTS.map(str::to_owned);
    let mut is_within = true;
    for (reference, candidates) in plans {
        let began = Instant::now();
        let plan = QualityPlan {
            reference: reference.clone(),
            candidates: candidates.clone(),
            text: match &source.prompts {
                Some(prompts) => {
                    let said = ask(&mut session, &reference, prompts, args.answer_tokens, out)?;
                    QualityText::Chats(prompts.iter().zip(said).map(|(prompt, answer)| talk(prompt, answer.text)).collect())
                }
                None => QualityText::Plain(source.text.clone()),
            },
            n_ctx: args.chunk,
            max_chunks: args.chunks,
            tight: args.tight,
            one_at_a_time: args.one_at_a_time,
        };
        let (layout, heard) = measure(&mut session, plan, out)?;
        // a token is named once, with whichever candidate had it first
        let names: BTreeMap<u32, &str> = heard.iter().flat_map(|heard| &heard.names).map(|(id, name)| (*id, name.as_str())).collect();
        let seconds = began.elapsed().as_secs_f64();
        let asked = source.prompts.as_deref().unwrap_or(&ships);
        let answers = if candidates.is_empty() { None } else { answers(&mut session, &reference, asked, args.diverge, out)? };
        let measured = if candidates.is_empty() { vec![reference.clone()] } else { candidates.clone() };
        for (design, heard) in measured.iter().zip(&heard) {
            let Some(quality) = heard.tally.quality() else { continue };
            let agreement = match &answers {
                Some(expected) => agreement(&mut session, design, asked, expected, args.diverge, out)?,
                None => Vec::new(),
            };
            is_within &= args.limit_kld.is_none_or(|limit| quality.running.kld.value <= limit);
            if !out.json() {
                out.raw(&words(design, (!candidates.is_empty()).then_some(&reference), &quality, &agreement))?;
            }
            let against = (!candidates.is_empty()).then_some(&reference);
            let subject = Subject { design, reference: against, quality: &quality, agreement: &agreement, layout: &layout, seconds };
            documents.push(subject.document());
            if args.keep {
                let text = TextName { name: &source.name, hash: &source.hash };
                let mut run = subject.run(text, &group, began_ms, library::environment(session.facts(), design, None));
                let name = |id: u32| names.get(&id).copied();
                run.tokens = against.and_then(|_| {
                    TokenRecord::of(
                        &layout,
                        source.prompts.as_deref().unwrap_or_default(),
                        name,
                        heard.scores.iter().map(|(at, score)| (*at, score)),
                    )
                    .map(Arc::new)
                });
                runs.push(run);
            }
            if args.tokens
                && let Some(last) = documents.last_mut().and_then(Value::as_object_mut)
            {
                let scores = heard.scores.iter().map(|(at, score)| (*at, score));
                last.insert("scores".into(), report::tokens_json(scores, &layout));
            }
        }
    }
    keep(runs, out);
    if out.json() {
        match documents.as_slice() {
            [only] => out.document(only)?,
            several => out.document(&json!({ "candidates": several }))?,
        }
    }
    Ok(if is_within { 0 } else { NO })
}

/// What is read.
struct Source {
    text: String,
    /// What is asked instead
    prompts: Option<Vec<String>>,
    name: String,
    hash: String,
}

impl Source {
    fn of(args: &QualityArgs) -> Result<Self, CliError> {
        if let Some(name) = &args.prompts {
            let (name, prompts) = prompts(name)?;
            let hash = text::prompts_hash(&prompts, args.answer_tokens);
            return Ok(Self { text: String::new(), prompts: Some(prompts), name, hash });
        }
        let text = self::text(&args.text)?;
        let name = match args.text.as_str() {
            "-" => "standard input".to_owned(),
            // as the window calls it
            text::BUILTIN => text::BUILTIN_NAME.to_owned(),
            path => file_name(Path::new(path)),
        };
        Ok(Self { hash: library::text_hash(&text), text, prompts: None, name })
    }
}

/// A set of prompts by its name, or a file of them.
fn prompts(name: &str) -> Result<(String, Vec<String>), CliError> {
    if let Some(set) = names::settings().1.prompt_sets.into_iter().find(|set| set.name == name) {
        return Ok((set.name, set.prompts));
    }
    let path = Path::new(name);
    if !path.exists() {
        let known: Vec<String> = names::settings().1.prompt_sets.into_iter().map(|set| set.name).collect();
        let hint = if known.is_empty() {
            "No set is saved; the Quality page saves them".into()
        } else {
            format!("Saved are {}", known.join(", "))
        };
        return Err(CliError::new("file_missing", "There is no such set of prompts and no such file", super::error::USAGE)
            .hint(hint)
            .path(name));
    }
    Ok((file_name(path), text::prompts(&library::read_text(path)?)?))
}

fn talk(prompt: &str, answer: String) -> Vec<Message> {
    vec![Message { role: Role::User, text: prompt.to_owned() }, Message { role: Role::Assistant, text: answer }]
}

/// What is read together: a reference and what is compared with it.
fn plans(args: &QualityArgs, out: Output) -> Result<Vec<(Design, Vec<Design>)>, CliError> {
    let base = args.design.design(out)?;
    let mut designs = Vec::new();
    for file in &args.files {
        designs.push(Design { model: names::model_of(Some(file), &base)?, ..base.clone() });
    }
    if designs.is_empty() {
        designs.push(Design { model: names::model_of(None, &base)?, ..base.clone() });
    }
    let reference = match &args.reference {
        Some(name) => Some(Design {
            threads: base.threads,
            threads_batch: base.threads_batch,
            ..Design::for_model(names::model_of(Some(name), &base)?)
        }),
        None => None,
    };
    // without a reference each file is measured alone
    Ok(match reference {
        Some(reference) => vec![(reference, designs)],
        None => designs.into_iter().map(|design| (design, Vec::new())).collect(),
    })
}

/// Keeps results as runs, beside those of the window. Where that cannot be, it is said, and the output is all there is.
fn keep(runs: Vec<Run>, out: Output) {
    let Some(dirs) = names::settings().0.filter(|_| !runs.is_empty()) else { return };
    let kept = Store::join(&dirs.data).and_then(|(mut store, notices)| {
        notices.iter().for_each(|notice| out.note(&format!("note: {notice}")));
        runs.into_iter().try_for_each(|run| store.keep_run(run).map(drop))
    });
    if let Err(error) = kept {
        out.note(&format!("note: the runs were not kept: {error}"));
    }
}

/// Runs a plan to its end.
fn measure(session: &mut Session, plan: QualityPlan, out: Output) -> Result<(QualityLayout, Vec<Heard>), CliError> {
    let mut layout = QualityLayout::default();
    let mut heard: Vec<Heard> = plan.candidates.iter().map(|_| Heard::default()).collect();
    if heard.is_empty() {
        heard.push(Heard::default());
    }
    let plan = Box::new(plan);
    let ended = session.run(
        |job| Command::Quality { job, plan },
        |event| {
            match event {
                Event::QualityLayout { layout: found, .. } => {
                    layout = (**found).clone();
                    if !layout.side_by_side {
                        out.note("note: the models are read one after another, divergences are estimates (see --help)");
                    }
                }
                Event::Progress { done, total, .. } => {
                    let kld = heard.first().and_then(|first| first.tally.running()).map_or_else(String::new, |running| {
                        format!(", perplexity {:.3}, mean KLD {:.4}", running.ppl.value, running.kld.value)
                    });
                    out.progress(&format!("Comparing: {} %{kld}", done * 100 / (*total).max(1)));
                }
                Event::QualityScores { batch, .. } => {
                    if let Some(heard) = heard.get_mut(batch.candidate as usize) {
                        batch.scores.iter().for_each(|score| heard.tally.add(score));
                        heard.names.extend(batch.names.iter().cloned());
                        heard.scores.extend((batch.first..).zip(batch.scores.iter().copied()));
                    }
                }
                _ => {}
            }
            Ok(())
        },
    );
    out.progress("");
    match ended? {
        Event::Done { .. } => Ok((layout, heard)),
        other => Err(unexpected(&other)),
    }
}

/// The greedy answers of a design, as token ids.
fn answers(
    session: &mut Session,
    design: &Design,
    prompts: &[String],
    tokens: u32,
    out: Output,
) -> Result<Option<Vec<Vec<i32>>>, CliError> {
    if tokens == 0 {
        return Ok(None);
    }
    Ok(Some(ask(session, design, prompts, tokens, out)?.into_iter().map(|answer| answer.ids).collect()))
}

/// A greedy answer.
struct Answer {
    ids: Vec<i32>,
    text: String,
}

/// Has a design answer prompts greedily, each by at most so many tokens.
fn ask(session: &mut Session, design: &Design, prompts: &[String], tokens: u32, out: Output) -> Result<Vec<Answer>, CliError> {
    session.load(design)?;
    let mut answers = Vec::new();
    for prompt in prompts {
        let request = GenerateRequest {
            prompt: Prompt::Chat { messages: vec![Message { role: Role::User, text: prompt.clone() }] },
            sampler: SamplerOverrides { temperature: Some(0.0), seed: Some(0), ..SamplerOverrides::default() },
            max_tokens: tokens,
            stop: Vec::new(),
            overflow: Overflow::Stop,
            json_schema: None,
            want_token_ids: true,
            alternatives: 0,
            only_by: None,
            text_every_ms: 0,
        };
        out.progress(&format!("Greedy answers of {}: {} of {}", file_name(&design.model), answers.len() + 1, prompts.len()));
        let mut text = String::new();
        let ended = session.run(
            |job| Command::Generate { job, request },
            |event| {
                if let Event::Tokens { batch, .. } = event {
                    text.push_str(&batch.text);
                }
                Ok(())
            },
        );
        out.progress("");
        match ended? {
            Event::Generated { stats, .. } => answers.push(Answer { ids: stats.tokens, text }),
            other => return Err(unexpected(&other)),
        }
    }
    Ok(answers)
}

fn agreement(
    session: &mut Session,
    design: &Design,
    prompts: &[String],
    expected: &[Vec<i32>],
    tokens: u32,
    out: Output,
) -> Result<Vec<Agreement>, CliError> {
    let Some(own) = answers(session, design, prompts, tokens, out)? else { return Ok(Vec::new()) };
    Ok(expected.iter().zip(&own).map(|(a, b)| Agreement::of(a, b)).collect())
}

/// A text by its name on the command line: the one that ships, standard input, or a file.
///
/// # Errors
/// When it cannot be read, is too long, or is not text.
pub(super) fn text(name: &str) -> Result<String, CliError> {
    match name {
        text::BUILTIN => Ok(text::EVALUATION.to_owned()),
        "-" => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().lock().take(text::MAX_TEXT + 1).read_to_end(&mut bytes);
            read.map_err(|error| CliError::usage(format!("Standard input cannot be read: {error}")))?;
            Ok(text::check_text(bytes)?)
        }
        name => Ok(library::read_text(Path::new(name))?),
    }
}

fn words(design: &Design, reference: Option<&Design>, quality: &Quality, agreement: &[Agreement]) -> String {
    let running = &quality.running;
    let with = |estimate: &Estimate, digits: usize, scale: f64| {
        let value = format!("{:.digits$}", estimate.value * scale);
        estimate.error.map_or_else(|| value.clone(), |error| format!("{value} \u{b1} {:.digits$}", error * scale))
    };
    let name = file_name(&design.model);
    let Some(reference) = reference else {
        return format!("{name}: perplexity {} over {} tokens\n", with(&running.ppl, 4, 1.0), format::count(running.tokens));
    };
    let differs = design.differences(&SamplerOverrides::default());
    let design = if differs.is_empty() { String::new() } else { format!(" ({differs})") };
    let p = &quality.kld_percentiles;
    let mut lines = vec![
        format!("{name}{design} against {}, {} tokens", file_name(&reference.model), format::count(running.tokens)),
        format!(
            "  perplexity      {}  (reference {}, ratio {})",
            with(&running.ppl, 4, 1.0),
            with(&running.ppl_ref, 4, 1.0),
            with(&quality.ratio, 4, 1.0)
        ),
        format!("  mean KLD        {}  (median {:.5}, p99 {:.4}, max {:.3})", with(&running.kld, 5, 1.0), p.median, p.p99, p.max),
        format!("  same top token  {} %", with(&running.same_top, 2, 100.0)),
        format!("  RMS \u{394}p          {} %", with(&running.delta_p_rms, 3, 100.0)),
    ];
    if !agreement.is_empty() {
        let each: Vec<String> = agreement.iter().map(ToString::to_string).collect();
        lines.push(format!("  greedy answers  {}", each.join("; ")));
    }
    lines.push(String::new());
    lines.join("\n")
}
