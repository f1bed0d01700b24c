//! Many tokens at once against weights that llama.cpp multiplies with one token at a time, or with few. Results are the same to the last bit
//! (`tiles/`), so what is measured is what llama.cpp computes; only the measuring takes less time. Speed is never measured with it.
//!
//! llama.cpp asks a function before every product of matrices whether it takes it over; `wrap.rs` stands in front of that function where
//! the linker can do it (`build.rs`).

#[cfg(inferscope_wraps)]
mod wrap;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

/// How many ask for it at the moment. Whoever computes holds it for reading: the threads of one product each take their share of it in a way
/// of their own, so they all have to go the same way.
static ASKED: RwLock<usize> = RwLock::new(0);
/// Whether anybody asks, for those who compute.
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// While it lives, tokens are multiplied together.
pub(super) struct Batched(());

impl Batched {
    /// From the next decode of each context on. Waits for those that run.
    pub(super) fn start() -> Self {
        change(1);
        Self(())
    }
}

impl Drop for Batched {
    fn drop(&mut self) {
        change(-1);
    }
}

fn change(by: isize) {
    let mut asked = ASKED.write().unwrap_or_else(PoisonError::into_inner);
    *asked = asked.saturating_add_signed(by);
    IS_ASKED.store(*asked > 0, Ordering::Relaxed);
}

/// Held while a graph is computed.
pub(super) fn computing() -> RwLockReadGuard<'static, usize> {
    ASKED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Whether products are to be taken over.
#[cfg(inferscope_wraps)]
fn is_asked() -> bool {
    IS_ASKED.load(Ordering::Relaxed)
}

#[cfg(all(test, inferscope_wraps))]
thread_local! {
    /// Products that were taken over on this thread
    static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(all(test, inferscope_wraps))]
mod tests;
