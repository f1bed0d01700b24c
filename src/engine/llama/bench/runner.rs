//! The two loops that are timed, as llama-bench has them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::Depth;
use crate::engine::llama::context::{Ctx, CtxParams, DecodeError};
use crate::engine::llama::model::Model;
use crate::engine::llama::tokens;
use crate::protocol::Effective;

/// Filled caches that a context keeps: designs are measured in turns at a few depths.
const MOST_DEPTHS: usize = 4;

/// A context with the tokens to feed it.
pub(super) struct Runner {
    ctx: Ctx,
    random: Random,
    bos: Option<i32>,
    threads: (u32, u32),
    buffer: Vec<i32>,
}

impl Runner {
    pub(super) fn new(ctx: Ctx, want: &CtxParams) -> Self {
        let model = ctx.model();
        let n_vocab = u32::try_from(model.n_vocab()).unwrap_or(1).max(1);
        let bos = tokens::bos_eos(model).0.filter(|_| tokens::wants_bos(model));
        let buffer = Vec::with_capacity(ctx.n_batch() as usize);
        Self { ctx, random: Random { state: 0x9E37_79B9_7F4A_7C15, n_vocab }, bos, threads: (want.threads, want.threads_batch), buffer }
    }

    pub(super) fn model(&self) -> &Arc<Model> {
        self.ctx.model()
    }

    pub(super) fn threads(&self) -> (u32, u32) {
        self.threads
    }

    pub(super) fn set_threads(&mut self, want: &CtxParams) {
        self.threads = (want.threads, want.threads_batch);
        self.ctx.set_threads(want.threads, want.threads_batch);
    }

    /// Ends a running decode once the flag is set; `None` takes it away.
    pub(super) fn cancel_with(&mut self, flag: Option<Arc<AtomicBool>>) {
        self.ctx.cancel_with(flag);
    }

    /// What it runs with.
    pub(super) fn effective(&self, of: impl FnOnce(&Ctx) -> Effective) -> Effective {
        of(&self.ctx)
    }

    /// Empties the cache.
    pub(super) fn clear(&mut self) {
        self.ctx.clear();
    }

    fn token(&mut self, first: bool) -> i32 {
        self.bos.filter(|_| first).unwrap_or_else(|| self.random.token())
    }

    /// `test_prompt`: batches of `n_batch`, one synchronize at the end.
    pub(super) fn prompt(&mut self, n: u32) -> Result<(), DecodeError> {
        self.ctx.set_threads(self.threads.0, self.threads.1);
        let mut done = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        while done < n {
            let part = (n - done).min(self.ctx.n_batch());
            buffer.clear();
            for i in 0..part {
                buffer.push(self.token(done == 0 && i == 0));
            }
            self.ctx.decode(&buffer, true)?;
            done += part;
        }
        self.ctx.synchronize();
        self.buffer = buffer;
        Ok(())
    }

    /// `test_gen`: one decode and one synchronize a token; the next token is random, not sampled. `each` is told how long every one took,
    /// nanoseconds.
    pub(super) fn generate(&mut self, n: u32, mut each: impl FnMut(u64)) -> Result<(), DecodeError> {
        self.ctx.set_threads(self.threads.0, self.threads.1);
        let mut token = self.token(true);
        let mut before = Instant::now();
        for _ in 0..n {
            self.ctx.decode(&[token], true)?;
            self.ctx.synchronize();
            token = self.random.token();
            let now = Instant::now();
            each(u64::try_from((now - before).as_nanos()).unwrap_or(u64::MAX));
            before = now;
        }
        Ok(())
    }

    /// Chooses the first token after a prompt: the most probable one. What a reply does between its prompt and its first token.
    pub(super) fn choose(&mut self) -> Option<usize> {
        let logits = self.ctx.logits()?;
        logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(token, _)| token)
    }

    /// Fills the cache untimed: computed once, restored afterwards.
    pub(super) fn fill(&mut self, n: u32, kept: &mut Vec<Depth>) -> Result<(), DecodeError> {
        if let Some(depth) = kept.iter().find(|depth| depth.n == n)
            && self.ctx.restore(&depth.state, &depth.tokens)
        {
            return Ok(());
        }
        self.ctx.clear();
        self.prompt(n)?;
        kept.retain(|depth| depth.n != n);
        if kept.len() >= MOST_DEPTHS {
            kept.remove(0);
        }
        kept.push(Depth { n, state: self.ctx.save(), tokens: self.ctx.tokens().to_vec() });
        Ok(())
    }
}

/// xorshift64*: which tokens does not matter, only that they differ.
struct Random {
    state: u64,
    n_vocab: u32,
}

impl Random {
    fn token(&mut self) -> i32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let x = (self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % u64::from(self.n_vocab);
        i32::try_from(x).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_are_in_the_vocabulary_and_differ() {
        let mut random = Random { state: 1, n_vocab: 49152 };
        let tokens: Vec<i32> = (0..1000).map(|_| random.token()).collect();
        assert!(tokens.iter().all(|t| (0..49152).contains(t)));
        let distinct: std::collections::HashSet<_> = tokens.iter().collect();
        assert!(distinct.len() > 900);
    }
}
