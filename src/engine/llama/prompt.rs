//! From a conversation to the tokens that fit.

use super::model::Model;
use super::template::{self, CHATML, Surroundings};
use super::tokens;
use crate::protocol::{Dropped, EngineError, ErrorKind, Message, Overflow, Prompt, Rendered, Role};

/// A prompt ready to be computed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// Its tokens
    pub(super) tokens: Vec<i32>,
    /// What was left out
    pub(super) dropped: Option<Dropped>,
}

/// What a prompt is made with.
pub(super) struct Maker<'a> {
    /// The model whose template and vocabulary are used
    pub(super) model: &'a Model,
    /// Whether to go on
    pub(super) go_on: &'a dyn Fn() -> bool,
}

impl Maker<'_> {
    fn template(&self, messages: &[Message], reply: bool) -> Result<template::Prompt, EngineError> {
        template::render(messages, reply, &self.surroundings())
    }

    fn surroundings(&self) -> Surroundings<'_> {
        let (bos, eos) = tokens::bos_eos(self.model);
        let text = |id: Option<i32>| id.and_then(|id| tokens::token_text(self.model, id)).unwrap_or_default();
        Surroundings {
            source: self.model.template.as_deref().unwrap_or(CHATML),
            bos: text(bos),
            eos: text(eos),
            specials: &self.model.specials,
        }
    }

    fn tokenize(&self, prompt: &template::Prompt) -> Result<Vec<i32>, EngineError> {
        let tokens = tokens::tokenize(self.model, &prompt.segments, usize::MAX, self.go_on);
        if (self.go_on)() { Ok(tokens) } else { Err(EngineError::cancelled()) }
    }

    fn chat(&self, messages: &[Message], reply: bool) -> Result<Vec<i32>, EngineError> {
        self.tokenize(&self.template(messages, reply)?)
    }

    /// The tokens of a prompt that leaves `reserve` of `n_ctx` free, leaving messages out where `overflow` says so.
    ///
    /// # Errors
    /// `ContextOverflow` when it cannot fit, `Template` from rendering, `InvalidRequest` for an empty prompt.
    pub(super) fn fit(&self, prompt: &Prompt, overflow: Overflow, n_ctx: u32, reserve: u32) -> Result<Ready, EngineError> {
        let room = n_ctx.saturating_sub(reserve) as usize;
        let (all, messages) = match prompt {
            Prompt::Raw { text } => (self.tokenize(&template::plain(text))?, None),
            Prompt::Chat { messages } if messages.is_empty() => return Err(empty()),
            Prompt::Chat { messages } => (self.chat(messages, true)?, Some(messages)),
        };
        if all.is_empty() {
            return Err(empty());
        }
        if all.len() <= room {
            return Ok(Ready { tokens: all, dropped: None });
        }
        let too_long = |len: usize| overflowed(len, n_ctx, reserve, overflow, messages.is_some());
        let Some(messages) = messages.filter(|_| overflow != Overflow::Stop) else { return Err(too_long(all.len())) };
        let turns = Turns::of(messages, overflow);
        // The prompt shrinks with every turn left out, so the least number that fits is found by bisection.
        let (mut low, mut high) = (1, turns.droppable());
        let mut best = None;
        while low <= high && high > 0 {
            let n = usize::midpoint(low, high);
            let kept = turns.without(n);
            let tokens = self.chat(&kept, true)?;
            if tokens.len() <= room {
                best = Some((tokens, messages.len() - kept.len()));
                high = n - 1;
            } else {
                low = n + 1;
            }
        }
        let Some((tokens, gone)) = best else {
            let least = self.chat(&turns.without(turns.droppable()), true)?;
            return Err(too_long(least.len()));
        };
        let dropped = Dropped {
            messages: u32::try_from(gone).unwrap_or(u32::MAX),
            tokens: u32::try_from(all.len().saturating_sub(tokens.len())).unwrap_or(u32::MAX),
        };
        Ok(Ready { tokens, dropped: Some(dropped) })
    }

    /// The prompt as text with its token counts.
    ///
    /// # Errors
    /// `Template` from rendering.
    pub(super) fn rendered(&self, prompt: &Prompt) -> Result<Rendered, EngineError> {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match prompt {
            Prompt::Raw { text } => {
                let n = count(self.tokenize(&template::plain(text))?.len());
                Ok(Rendered { text: text.clone(), n_tokens: n, system_tokens: 0, last_tokens: n })
            }
            Prompt::Chat { messages } => {
                let whole = self.template(messages, true)?;
                let tokens = self.tokenize(&whole)?;
                let system = match messages.split_first() {
                    Some((first, _)) if first.role == Role::System => self.up_to(std::slice::from_ref(first), &tokens, &first.text),
                    // what the template says by itself is a system message, too
                    _ => match template::own_system(&self.surroundings()) {
                        Some(text) => self.up_to(&[Message { role: Role::System, text: text.clone() }], &tokens, &text),
                        None => 0,
                    },
                };
                let last = match messages.split_last() {
                    Some((last, before)) => {
                        let head = if before.is_empty() { 0 } else { self.up_to(before, &tokens, "") };
                        // What stands before the last message is not always a prefix (a template may look ahead): then its own length.
                        if head > 0 || before.is_empty() {
                            tokens.len() - head
                        } else {
                            tokens::count_plain(self.model, &last.text, self.go_on)
                        }
                    }
                    None => 0,
                };
                Ok(Rendered { text: whole.text(), n_tokens: count(tokens.len()), system_tokens: count(system), last_tokens: count(last) })
            }
        }
    }

    /// The tokens of a conversation, and which of them the assistant said (with the token that ends each answer).
    ///
    /// # Errors
    /// `Template` from rendering; `InvalidRequest` when the template writes earlier answers otherwise than it asked for them.
    pub(super) fn assistant_parts(&self, messages: &[Message]) -> Result<(Vec<i32>, Vec<std::ops::Range<usize>>), EngineError> {
        let whole = self.chat(messages, false)?;
        let mut parts = Vec::new();
        for (index, message) in messages.iter().enumerate().filter(|(_, message)| message.role == Role::Assistant) {
            let asked = self.chat(messages.get(..index).unwrap_or_default(), true)?;
            let answered = self.chat(messages.get(..=index).unwrap_or_default(), false)?;
            let shared = |part: &[i32]| part.iter().zip(&whole).take_while(|(a, b)| a == b).count();
            let (start, end) = (shared(&asked), shared(&answered));
            if start < asked.len() && !message.text.is_empty() {
                return Err(EngineError::new(ErrorKind::Template, "The chat template writes an answer otherwise than it asks for it")
                    .hint("Compare the designs on a plain text instead"));
            }
            parts.push(start..end);
        }
        Ok((whole, parts))
    }

    /// Tokens that a conversation's beginning shares with the whole; the plain length of `text` where the template cannot render it alone.
    fn up_to(&self, messages: &[Message], whole: &[i32], text: &str) -> usize {
        match self.chat(messages, false) {
            Ok(part) => part.iter().zip(whole).take_while(|(a, b)| a == b).count(),
            Err(_) => tokens::count_plain(self.model, text, self.go_on),
        }
    }
}

fn empty() -> EngineError {
    EngineError::new(ErrorKind::InvalidRequest, "There is nothing to send: the prompt is empty").hint("Type a message first")
}

fn overflowed(len: usize, n_ctx: u32, reserve: u32, overflow: Overflow, chat: bool) -> EngineError {
    let what = match overflow {
        Overflow::Stop => format!("The prompt has {len} tokens"),
        Overflow::DropOldest | Overflow::KeepEnds => format!("What may not be left out of the prompt already has {len} tokens"),
    };
    let hint = match (chat, overflow) {
        (true, Overflow::Stop) => "Shorten the conversation, let the oldest messages be left out, or load with a larger context",
        (true, Overflow::KeepEnds) => "Leave out the oldest messages instead, shorten the last message, or load with a larger context",
        _ => "Shorten it or load with a larger context",
    };
    let room = n_ctx.saturating_sub(reserve);
    EngineError::new(
        ErrorKind::ContextOverflow,
        format!("{what}, but the context of {n_ctx} has room for {room} besides the {reserve} reserved for the reply"),
    )
    .hint(hint)
}

/// A conversation cut into turns, each a user message with what follows it.
struct Turns<'a> {
    /// System message and anything else before the first user message: always kept
    head: &'a [Message],
    /// The turns, oldest first; the last is always kept
    turns: Vec<&'a [Message]>,
    /// Turns at the beginning that are kept
    first: usize,
}

impl<'a> Turns<'a> {
    fn of(messages: &'a [Message], overflow: Overflow) -> Self {
        let starts: Vec<usize> = messages.iter().enumerate().filter(|(_, m)| m.role == Role::User).map(|(i, _)| i).collect();
        let Some(&start) = starts.first() else { return Self { head: messages, turns: Vec::new(), first: 0 } };
        let (head, _) = messages.split_at(start);
        let ends = starts.iter().skip(1).copied().chain([messages.len()]);
        let turns: Vec<_> = starts.iter().zip(ends).filter_map(|(&from, to)| messages.get(from..to)).collect();
        let first = usize::from(overflow == Overflow::KeepEnds && turns.len() > 1);
        Self { head, turns, first }
    }

    /// How many turns may be left out.
    fn droppable(&self) -> usize {
        self.turns.len().saturating_sub(1 + self.first)
    }

    /// The conversation without the oldest `n` turns that may go.
    fn without(&self, n: usize) -> Vec<Message> {
        let gone = self.first..self.first + n;
        let kept = self.turns.iter().enumerate().filter(|(i, _)| !gone.contains(i)).flat_map(|(_, turn)| turn.iter());
        self.head.iter().chain(kept).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk(roles: &str) -> Vec<Message> {
        let role = |c| match c {
            's' => Role::System,
            'u' => Role::User,
            _ => Role::Assistant,
        };
        roles.chars().enumerate().map(|(i, c)| Message { role: role(c), text: i.to_string() }).collect()
    }

    fn kept(roles: &str, overflow: Overflow, n: usize) -> String {
        let messages = talk(roles);
        Turns::of(&messages, overflow).without(n).into_iter().map(|m| m.text).collect()
    }

    #[test]
    fn the_oldest_turns_go_and_the_system_message_and_the_last_turn_stay() {
        assert_eq!(kept("suauau", Overflow::DropOldest, 1), "0345");
        assert_eq!(kept("suauau", Overflow::DropOldest, 2), "05");
        assert_eq!(Turns::of(&talk("suauau"), Overflow::DropOldest).droppable(), 2);
        assert_eq!(Turns::of(&talk("u"), Overflow::DropOldest).droppable(), 0);
        assert_eq!(Turns::of(&talk("sa"), Overflow::DropOldest).droppable(), 0);
    }

    #[test]
    fn both_ends_are_kept() {
        assert_eq!(kept("suauauau", Overflow::KeepEnds, 1), "01256 7".replace(' ', ""));
        assert_eq!(Turns::of(&talk("suauauau"), Overflow::KeepEnds).droppable(), 2);
        assert_eq!(Turns::of(&talk("su"), Overflow::KeepEnds).droppable(), 0);
    }

    #[test]
    fn an_overflow_names_all_three_numbers() {
        let error = overflowed(5000, 4096, 256, Overflow::Stop, true);
        for number in ["5000", "4096", "256"] {
            assert!(error.message.contains(number), "{}", error.message);
        }
        assert!(!error.hint.is_empty());
    }
}
