//! Chat templates: code from a stranger's file, rendered with limits, and with the user's text kept apart from the template's.
//!
//! A template gets each message with every stretch that reads like a control token replaced by a sentinel: a private-use character
//! that occurs nowhere else. After rendering, the sentinels are put back as text that is tokenized without special parsing.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind as Jinja, context};

use super::tokens::{Segment, Specials};
use crate::protocol::{EngineError, ErrorKind, Message, Role};

/// Steps a template may take; one per instruction and per 64 bytes of text it makes. Real templates need some hundred a message.
const FUEL: u64 = 20_000_000;
/// Most bytes it may write beyond the messages themselves.
const OVERHEAD: usize = 16 << 20;
/// Depth of nested calls and includes.
const RECURSION: usize = 64;
/// Longest template that is parsed at all, bytes.
const MAX_SOURCE: usize = 1 << 20;

/// Used where the file has none (`ChatML`, as llama.cpp does).
pub(super) const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// What a template is given besides the messages.
pub(super) struct Surroundings<'a> {
    /// The template's source
    pub(super) source: &'a str,
    /// Text of the beginning-of-sequence token
    pub(super) bos: String,
    /// Text of the end-of-sequence token
    pub(super) eos: String,
    /// Control texts of the vocabulary
    pub(super) specials: &'a Specials,
}

/// A rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Stretches in order
    pub(super) segments: Vec<Segment>,
}

impl Prompt {
    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        self.segments.iter().map(|segment| segment.text.as_str()).collect()
    }
}

/// The system message that a template says by itself when it is given none; empty where it only says a fixed head. `None` where it says
/// nothing of the kind.
pub(super) fn own_system(around: &Surroundings<'_>) -> Option<String> {
    const SYSTEM: &str = "A system message 5417";
    const USER: &str = "A user message 5417";
    let message = |role, text: &str| Message { role, text: text.to_owned() };
    let head = |messages: &[Message]| {
        let text = render_as_is(messages, false, around).ok()?.text();
        text.split_once(USER).map(|(head, _)| head.to_owned())
    };
    let without = head(&[message(Role::User, USER)])?;
    let with = head(&[message(Role::System, SYSTEM), message(Role::User, USER)])?;
    let shared = |a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| -> usize {
        a.zip(b).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
    };
    // what both begin and end with is not the message: "system\n" … "<|im_end|>\n<|im_start|>user\n"
    let before = shared(&mut without.chars(), &mut with.chars());
    let after = shared(&mut without.chars().rev(), &mut with.chars().rev());
    let own = without.get(before..without.len().saturating_sub(after).max(before)).unwrap_or_default();
    let is_spoken = |text: &str| text.chars().any(char::is_alphanumeric);
    if is_spoken(own) {
        return Some(own.to_owned());
    }
    // a fixed head stands there whatever the system message is
    let alone = render_as_is(&[message(Role::System, "")], false, around).ok()?.text();
    let mut spoken = String::new();
    let mut at = 0;
    for (range, _) in around.specials.find(&alone) {
        spoken.push_str(alone.get(at..range.start).unwrap_or_default());
        at = range.end;
    }
    spoken.push_str(alone.get(at..).unwrap_or_default());
    (without.starts_with(&alone) && is_spoken(&spoken)).then(String::new)
}

/// Splits a text at the stretches that read like control tokens; nothing in it is parsed as one.
pub(super) fn plain(text: &str) -> Prompt {
    Prompt { segments: vec![Segment { text: text.to_owned(), parse_special: false }] }
}

/// Renders a conversation. With `reply`, the prompt is opened for the assistant; when the last message is the assistant's, it ends right
/// behind that message's text instead.
///
/// # Errors
/// `Template` when it does not parse, refuses the conversation or runs into a limit.
pub(super) fn render(messages: &[Message], reply: bool, around: &Surroundings<'_>) -> Result<Prompt, EngineError> {
    match render_as_is(messages, reply, around) {
        // Templates without a system role (Gemma, older Mistral) refuse one; like llama.cpp, put it before the first user message.
        Err(error) if messages.first().is_some_and(|m| m.role == Role::System) => match merged(messages) {
            Some(merged) => render_as_is(&merged, reply, around).map_err(|_ignored| error),
            None => Err(error),
        },
        done => done,
    }
}

fn merged(messages: &[Message]) -> Option<Vec<Message>> {
    let (system, rest) = messages.split_first()?;
    let (user, rest) = rest.split_first()?;
    (user.role == Role::User).then(|| {
        let mut out = vec![Message { role: Role::User, text: format!("{}\n\n{}", system.text, user.text) }];
        out.extend_from_slice(rest);
        out
    })
}

fn render_as_is(messages: &[Message], reply: bool, around: &Surroundings<'_>) -> Result<Prompt, EngineError> {
    let [mark, end] = sentinels(messages, around.source)?;
    let continued = reply && messages.last().is_some_and(|m| m.role == Role::Assistant);
    let mut size = 0;
    let mut list = Vec::with_capacity(messages.len());
    for (i, message) in messages.iter().enumerate() {
        // what the model said comes back as it was said: its own markup is what it was made of
        let is_models = message.role == Role::Assistant;
        let mut text = guard(&message.text, around.specials, mark, is_models);
        if continued && i + 1 == messages.len() {
            text.push(end);
        }
        size += text.len();
        list.push(context! { role => message.role.as_str(), content => text });
    }
    let values = context! {
        messages => list,
        add_generation_prompt => reply && !continued,
        bos_token => around.bos.as_str(),
        eos_token => around.eos.as_str(),
        tools => Value::from(()),
        documents => Value::from(()),
    };
    let mut text = run(around.source, values, 4 * size + OVERHEAD)?;
    if continued {
        let Some((head, _)) = text.rsplit_once(end) else {
            return Err(fail("The chat template leaves out the reply that should be continued"));
        };
        text = head.to_owned();
    }
    Ok(Prompt { segments: unguard(&text.replace(end, ""), around.specials, mark) })
}

/// Two characters of the private planes that occur neither in the messages nor in the template.
fn sentinels(messages: &[Message], source: &str) -> Result<[char; 2], EngineError> {
    let private = |c: char| ('\u{F0000}'..='\u{FFFFD}').contains(&c);
    let used: std::collections::HashSet<char> =
        messages.iter().flat_map(|m| m.text.chars()).chain(source.chars()).filter(|c| private(*c)).collect();
    let mut free = ('\u{F0000}'..='\u{FFFFD}').filter(|c| !used.contains(c));
    match (free.next(), free.next()) {
        (Some(mark), Some(end)) => Ok([mark, end]),
        _ => Err(fail("The conversation uses every private character there is, so control tokens cannot be told from its text")),
    }
}

fn guard(text: &str, specials: &Specials, mark: char, is_models: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut at = 0;
    for (range, which) in specials.find(text).into_iter().filter(|(_, which)| !is_models || specials.is_control(*which)) {
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push(mark);
        out.push_str(&which.to_string());
        out.push(mark);
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

fn unguard(text: &str, specials: &Specials, mark: char) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    // Parts alternate: template and ordinary text, number of a control text, and so on.
    for (i, part) in text.split(mark).enumerate() {
        let number = (i % 2 == 1).then(|| part.parse::<usize>().ok()).flatten();
        let (text, parse_special) = match number.and_then(|n| specials.texts().get(n)) {
            Some(literal) => (literal.as_str(), false),
            None => (part, true),
        };
        if text.is_empty() {
            continue;
        }
        match segments.last_mut() {
            Some(last) if last.parse_special == parse_special => last.text.push_str(text),
            _ => segments.push(Segment { text: text.to_owned(), parse_special }),
        }
    }
    segments
}

fn run(source: &str, values: Value, limit: usize) -> Result<String, EngineError> {
    if source.len() > MAX_SOURCE {
        return Err(fail(format!("The chat template is {} bytes long, over the limit of {MAX_SOURCE}", source.len())));
    }
    let source = without_generation_tags(source);
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(|e| explain(&e))?;
    env.set_syntax(syntax);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.add_function("raise_exception", |message: String| -> Result<Value, Error> { Err(Error::new(Jinja::EvalBlock, message)) });
    env.add_function("strftime_now", |format: String| strftime(&format, now()));
    env.add_filter("tojson", tojson);
    let template = env.template_from_str(&source).map_err(|e| explain(&e))?;
    let mut out = Limited { bytes: Vec::new(), limit };
    template.render_captured_to(values, &mut out).map_err(|e| explain(&e))?;
    String::from_utf8(out.bytes).map_err(|_ignored| fail("The chat template wrote something that is not text"))
}

/// Takes what is written up to a limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl std::io::Write for Limited {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + buf.len() > self.limit {
            return Err(std::io::Error::other("output limit"));
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Hugging Face marks the assistant's words with `{% generation %}`; for rendering it means nothing. An `if true` in its place keeps the
/// white-space marks (`{%-`) working.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        let Some((tag, tail)) = after.split_once("%}") else {
            rest = after;
            continue;
        };
        let word = tag.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let with = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        match with {
            Some(with) => out.push_str(&tag.replacen(word, with, 1)),
            None => out.push_str(tag),
        }
        out.push_str("%}");
        rest = tail;
    }
    out.push_str(rest);
    out
}

fn fail(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Template, message)
        .hint("Use the notebook, which sends text as it is, or a model file with another template")
}

fn explain(error: &Error) -> EngineError {
    let detail = error.detail().unwrap_or_default();
    let line = error.line().map(|n| format!(" (line {n})")).unwrap_or_default();
    let sentence = match error.kind() {
        Jinja::EvalBlock => format!("The chat template refused the conversation: {detail}"),
        Jinja::OutOfFuel => "The chat template was stopped: it ran into its limit of steps".into(),
        Jinja::WriteFailure => "The chat template was stopped: it wrote more than any prompt can be".into(),
        Jinja::SyntaxError => format!("The chat template of this file is not valid{line}: {detail}"),
        kind => format!("The chat template of this file failed{line}: {kind}{}{detail}", if detail.is_empty() { "" } else { ", " }),
    };
    fail(sentence)
}

/// `json.dumps` as Python writes it, which is what templates were tested with: minijinja's own, without its escapes for HTML.
fn tojson(value: &Value, indent: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let safe = minijinja::filters::tojson(value, indent, kwargs)?.to_string();
    let mut out = String::with_capacity(safe.len());
    let mut rest = safe.as_str();
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let html = [("u003c", '<'), ("u003e", '>'), ("u0026", '&'), ("u0027", '\'')];
        match html.iter().find_map(|(code, c)| after.strip_prefix(code).map(|tail| (*c, tail))) {
            Some((c, tail)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                // Another escape: the character after the backslash belongs to it.
                let mut chars = after.chars();
                out.push('\\');
                out.extend(chars.next());
                rest = chars.as_str();
            }
        }
    }
    out.push_str(rest);
    Ok(Value::from_safe_string(out))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs())
}

/// Year, month 1-12, day 1-31 of a number of days since 1970-01-01 (Howard Hinnant's `civil_from_days`).
pub(super) fn civil(days: u64) -> (u64, usize, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month as usize, day)
}

/// The directives that templates use, in UTC.
fn strftime(format: &str, secs: u64) -> String {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let (days, time) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);
    let month_name = MONTHS.get(month - 1).copied().unwrap_or_default();
    let day_name = DAYS.get((days % 7) as usize).copied().unwrap_or_default();
    let short = |name: &str| name.chars().take(3).collect::<String>();
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('Y') => out.push_str(&year.to_string()),
            Some('y') => out.push_str(&format!("{:02}", year % 100)),
            Some('m') => out.push_str(&format!("{month:02}")),
            Some('d') => out.push_str(&format!("{day:02}")),
            Some('e') => out.push_str(&format!("{day:2}")),
            Some('B') => out.push_str(month_name),
            Some('b' | 'h') => out.push_str(&short(month_name)),
            Some('A') => out.push_str(day_name),
            Some('a') => out.push_str(&short(day_name)),
            Some('H') => out.push_str(&format!("{:02}", time / 3600)),
            Some('M') => out.push_str(&format!("{:02}", time / 60 % 60)),
            Some('S') => out.push_str(&format!("{:02}", time % 60)),
            Some('F') => out.push_str(&format!("{year}-{month:02}-{day:02}")),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}

/// UTC, ISO 8601, to the second.
pub(super) fn timestamp() -> String {
    strftime("%Y-%m-%dT%H:%M:%SZ", now())
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
