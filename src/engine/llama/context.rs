//! One context over llama.cpp's C interface, with the guards llama.cpp leaves out: it asserts, and so ends the process, where a caller
//! hands it a batch that is too large or a token it does not know.
#![expect(unsafe_code, reason = "owns a llama_context and its callbacks")]

use std::cell::Cell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use llama_cpp_sys_2 as sys;

use super::model::Model;
use crate::protocol::{CacheType, EngineError, ErrorKind, FlashAttention};

/// What a context is made with; the subset of `llama_context_params` that a design decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CtxParams {
    pub(super) n_ctx: u32,
    pub(super) n_batch: u32,
    pub(super) n_ubatch: u32,
    pub(super) threads: u32,
    pub(super) threads_batch: u32,
    pub(super) type_k: CacheType,
    pub(super) type_v: CacheType,
    pub(super) flash_attention: FlashAttention,
    /// Whether sliding-window layers keep the whole context: needed to take up a conversation in the middle
    pub(super) swa_full: bool,
}

/// Why a decode did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// No room in the cache
    Full,
    /// The job was cancelled inside the computation
    Aborted,
    /// llama.cpp refused the batch (-1), or a guard of ours did
    Invalid(String),
    /// The computation failed (below -1)
    Fatal(i32),
}

impl From<DecodeError> for EngineError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Full => Self::new(ErrorKind::ContextOverflow, "The context is full: no room was left for the next tokens")
                .hint("Start a new chat or load the model with a larger context"),
            DecodeError::Aborted => Self::cancelled(),
            DecodeError::Invalid(why) => Self::new(ErrorKind::Engine, format!("The engine refused a batch: {why}"))
                .hint("Load the model again; if it happens again, report it with the engine log"),
            DecodeError::Fatal(code) => {
                Self::new(ErrorKind::Engine, format!("The computation failed inside the engine (code {code}), usually for want of memory"))
                    .hint("Load the model again with a smaller context or batch")
            }
        }
    }
}

/// Shared with the abort callback, at a stable address.
#[derive(Default)]
struct Hooks {
    /// The running job's flag; null while none runs. `Ctx::cancel` keeps what it points at alive.
    cancel: AtomicPtr<AtomicBool>,
    /// Graph nodes computed so far: the callback comes once a node
    nodes: AtomicU64,
    /// Told about nodes while a decode runs; only touched by the thread that decodes
    watch: Cell<Option<Watch>>,
}

/// A borrowed closure with its lifetime erased; `decode_watched` puts it in and takes it out around one decode.
type Watch = NonNull<dyn Fn(u64)>;

unsafe extern "C" fn on_abort(data: *mut c_void) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `data` is the `Hooks` of a live context: the context is freed before its hooks.
        let hooks = unsafe { &*data.cast::<Hooks>() };
        let nodes = hooks.nodes.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(watch) = hooks.watch.get() {
            // SAFETY: the closure outlives the decode that runs now, and this callback comes on the thread that decodes.
            let watch = unsafe { watch.as_ref() };
            watch(nodes);
        }
        let cancel = hooks.cancel.load(Ordering::Acquire);
        // SAFETY: null or kept alive by the `Arc` in `Ctx::cancel`, which changes only between decodes.
        !cancel.is_null() && unsafe { &*cancel }.load(Ordering::Relaxed)
    }))
    .unwrap_or(true)
}

/// A context. Not `Sync`; whoever holds it decodes.
pub(super) struct Ctx {
    raw: NonNull<sys::llama_context>,
    hooks: Box<Hooks>,
    cancel: Option<Arc<AtomicBool>>,
    model: Arc<Model>,
    /// What is in the cache of sequence 0, position by position
    tokens: Vec<i32>,
    outputs: Vec<i8>,
    /// Which tokens of the last decode have logits
    with_logits: std::ops::Range<usize>,
    n_vocab: usize,
    n_ctx: u32,
    n_batch: u32,
    n_ubatch: u32,
}

// SAFETY: a context may be used from any one thread at a time; `&mut self` on everything that computes keeps it to one. The raw pointers
// in `Hooks` are only set and read during a decode.
unsafe impl Send for Ctx {}

impl Ctx {
    /// Makes a context. The reason of a failure is in the log only; the caller captures it.
    pub(super) fn new(model: &Arc<Model>, want: &CtxParams) -> Option<Self> {
        let hooks = Box::new(Hooks::default());
        // SAFETY: a plain getter of defaults.
        let mut params = unsafe { sys::llama_context_default_params() };
        params.n_ctx = want.n_ctx;
        params.n_batch = want.n_batch;
        params.n_ubatch = want.n_ubatch;
        params.n_seq_max = 1;
        params.n_threads = i32::try_from(want.threads).unwrap_or(1);
        params.n_threads_batch = i32::try_from(want.threads_batch).unwrap_or(1);
        params.type_k = ggml_type(want.type_k);
        params.type_v = ggml_type(want.type_v);
        params.flash_attn_type = match want.flash_attention {
            FlashAttention::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            FlashAttention::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            FlashAttention::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        params.swa_full = want.swa_full;
        params.abort_callback = Some(on_abort);
        params.abort_callback_data = (&raw const *hooks).cast_mut().cast::<c_void>();
        // SAFETY: the model is alive and stays so (the `Arc` below); the hooks have a stable address and outlive the context (`Drop`).
        let raw = NonNull::new(unsafe { sys::llama_init_from_model(model.raw(), params) })?;
        // SAFETY: three plain getters on a live context.
        let (n_ctx, n_batch, n_ubatch) = unsafe {
            let raw = raw.as_ptr();
            (sys::llama_n_ctx_seq(raw), sys::llama_n_batch(raw), sys::llama_n_ubatch(raw))
        };
        Some(Self {
            raw,
            hooks,
            cancel: None,
            n_vocab: model.n_vocab(),
            model: Arc::clone(model),
            tokens: Vec::new(),
            outputs: vec![0; n_batch as usize],
            with_logits: 0..0,
            n_ctx,
            n_batch,
            n_ubatch,
        })
    }

    /// The model it computes with.
    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Tokens one conversation can use.
    pub(super) fn n_ctx(&self) -> u32 {
        self.n_ctx
    }

    /// Most tokens in one decode.
    pub(super) fn n_batch(&self) -> u32 {
        self.n_batch
    }

    /// Most tokens computed at once.
    pub(super) fn n_ubatch(&self) -> u32 {
        self.n_ubatch
    }

    /// Threads for decode and for prefill, as the context has them.
    pub(super) fn threads(&self) -> (u32, u32) {
        // SAFETY: plain getters on a live context.
        let (a, b) = unsafe { (sys::llama_n_threads(self.raw.as_ptr()), sys::llama_n_threads_batch(self.raw.as_ptr())) };
        (u32::try_from(a).unwrap_or(1), u32::try_from(b).unwrap_or(1))
    }

    /// Changes the threads of a live context.
    pub(super) fn set_threads(&mut self, decode: u32, prefill: u32) {
        let count = |n: u32| i32::try_from(n.max(1)).unwrap_or(1);
        // SAFETY: the context is alive and not computing.
        unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), count(decode), count(prefill)) };
    }

    /// What is in the cache.
    pub(super) fn tokens(&self) -> &[i32] {
        &self.tokens
    }

    /// Tokens in the cache.
    pub(super) fn used(&self) -> u32 {
        u32::try_from(self.tokens.len()).unwrap_or(u32::MAX)
    }

    /// Graph nodes computed since the context was made.
    pub(super) fn nodes(&self) -> u64 {
        self.hooks.nodes.load(Ordering::Relaxed)
    }

    /// From here on, `flag` ends a running decode within one graph node (on the CPU); `None` takes it away.
    pub(super) fn cancel_with(&mut self, flag: Option<Arc<AtomicBool>>) {
        let pointer = flag.as_ref().map_or(std::ptr::null_mut(), |flag| Arc::as_ptr(flag).cast_mut());
        self.hooks.cancel.store(pointer, Ordering::Release);
        self.cancel = flag;
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is alive.
        unsafe { sys::llama_get_memory(self.raw.as_ptr()) }
    }

    /// Empties the cache; its bytes stay as they are, as llama-bench does it between repetitions.
    pub(super) fn clear(&mut self) {
        let memory = self.memory();
        if !memory.is_null() {
            // SAFETY: the memory of a live context.
            unsafe { sys::llama_memory_clear(memory, false) };
        }
        self.tokens.clear();
        self.with_logits = 0..0;
    }

    /// Keeps what the cache shares with `prompt` and removes the rest; returns how many tokens of the prompt need no computing. At least
    /// one token is always left to compute, because the logits of the last one are needed.
    pub(super) fn keep_prefix(&mut self, prompt: &[i32]) -> usize {
        let same = self.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let keep = same.min(prompt.len().saturating_sub(1));
        if keep == self.tokens.len() {
            return keep;
        }
        self.truncate(keep);
        self.tokens.len()
    }

    /// Removes everything from position `keep` on. Recurrent models cannot forget a part: theirs is emptied.
    pub(super) fn truncate(&mut self, keep: usize) {
        let memory = self.memory();
        let from = i32::try_from(keep).unwrap_or(i32::MAX);
        // SAFETY: the memory of a live context; sequence 0 always exists; -1 means to the end.
        if keep > 0 && !memory.is_null() && unsafe { sys::llama_memory_seq_rm(memory, 0, from, -1) } {
            self.tokens.truncate(keep);
            self.with_logits = 0..0;
        } else {
            self.clear();
        }
    }

    /// Computes `tokens` after those in the cache. With `logits`, those of the last token can be read afterwards.
    ///
    /// # Errors
    /// See [`DecodeError`]. After an error the cache holds what `tokens()` says.
    pub(super) fn decode(&mut self, tokens: &[i32], logits: bool) -> Result<(), DecodeError> {
        self.decode_from(tokens, tokens.len() - usize::from(logits && !tokens.is_empty()))
    }

    /// The same with the logits of every token from `first` on, to be read as [`Ctx::rows`].
    ///
    /// # Errors
    /// See [`Ctx::decode`].
    pub(super) fn decode_from(&mut self, tokens: &[i32], first: usize) -> Result<(), DecodeError> {
        let n = tokens.len();
        if n == 0 || n > self.n_batch as usize {
            return Err(DecodeError::Invalid(format!("{n} tokens, where 1 to {} are allowed", self.n_batch)));
        }
        if self.tokens.len() + n > self.n_ctx as usize {
            return Err(DecodeError::Full);
        }
        if let Some(bad) = tokens.iter().find(|t| usize::try_from(**t).map_or(true, |t| t >= self.n_vocab)) {
            return Err(DecodeError::Invalid(format!("token {bad} is not in the vocabulary")));
        }
        for (i, output) in self.outputs.iter_mut().enumerate().take(n) {
            *output = i8::from(i >= first);
        }
        let batch = sys::llama_batch {
            n_tokens: i32::try_from(n).unwrap_or(0),
            token: tokens.as_ptr().cast_mut(),
            embd: std::ptr::null_mut(),
            pos: std::ptr::null_mut(),
            n_seq_id: std::ptr::null_mut(),
            seq_id: std::ptr::null_mut(),
            logits: self.outputs.as_mut_ptr(),
        };
        let code = {
            let _computing = super::batched::computing();
            // SAFETY: `token` and `logits` hold at least `n_tokens` values and llama.cpp only reads them; null positions and sequences mean
            // "after what is there, sequence 0" (llama.h); size and ids were checked above.
            unsafe { sys::llama_decode(self.raw.as_ptr(), batch) }
        };
        self.with_logits = 0..0;
        if code == 0 {
            self.tokens.extend_from_slice(tokens);
            self.with_logits = first.min(n)..n;
            return Ok(());
        }
        self.resync(tokens);
        Err(match code {
            1 => DecodeError::Full,
            2 => DecodeError::Aborted,
            -1 => DecodeError::Invalid("its positions or tokens do not fit the cache".into()),
            other => DecodeError::Fatal(other),
        })
    }

    /// The same, telling `watch` the number of graph nodes computed (see [`Ctx::nodes`]) while it runs.
    ///
    /// # Errors
    /// See [`Ctx::decode`].
    pub(super) fn decode_watched(&mut self, tokens: &[i32], logits: bool, watch: &dyn Fn(u64)) -> Result<(), DecodeError> {
        // SAFETY: only the lifetime is erased; the closure is taken out below, before the borrow ends, on every path.
        let erased = unsafe { std::mem::transmute::<NonNull<dyn Fn(u64) + '_>, NonNull<dyn Fn(u64) + 'static>>(NonNull::from(watch)) };
        self.hooks.watch.set(Some(erased));
        let result = self.decode(tokens, logits);
        // CPU graphs are done when decode returns; another backend never calls back.
        self.hooks.watch.set(None);
        result
    }

    /// After a failed decode: earlier parts of the batch may be in the cache. Asks llama.cpp how far it is.
    fn resync(&mut self, tokens: &[i32]) {
        let memory = self.memory();
        // SAFETY: the memory of a live context; -1 means empty.
        let last = if memory.is_null() { -1 } else { unsafe { sys::llama_memory_seq_pos_max(memory, 0) } };
        let have = usize::try_from(last + 1).unwrap_or(0);
        let before = self.tokens.len();
        if have < before {
            self.tokens.truncate(have);
        } else {
            self.tokens.extend(tokens.iter().take(have - before));
        }
    }

    /// Waits until everything asked for is computed.
    pub(super) fn synchronize(&mut self) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_synchronize(self.raw.as_ptr()) };
    }

    /// The logits of the last token of the last decode; `None` unless that decode asked for them.
    pub(super) fn logits(&mut self) -> Option<&[f32]> {
        if self.with_logits.is_empty() {
            return None;
        }
        // SAFETY: the last decode produced output rows; -1 names the last. The call waits for the computation.
        let row = unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), -1) };
        if row.is_null() {
            return None;
        }
        // SAFETY: a row has `n_vocab` floats and stays until the next decode, which needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(row, self.n_vocab) })
    }

    /// The logits of every token of the last decode that asked for them, in order; empty when none did.
    pub(super) fn rows(&mut self) -> Vec<&[f32]> {
        let row = |i: usize| {
            // SAFETY: token `i` of the last decode was asked for. The call waits for the computation.
            let row = unsafe { sys::llama_get_logits_ith(self.raw.as_ptr(), i32::try_from(i).unwrap_or(-1)) };
            // SAFETY: a row has `n_vocab` floats and stays until the next decode, which needs `&mut self`.
            (!row.is_null()).then(|| unsafe { std::slice::from_raw_parts(row, self.n_vocab) })
        };
        self.with_logits.clone().map_while(row).collect()
    }

    /// The state of the cache as bytes, for [`Ctx::restore`].
    pub(super) fn save(&mut self) -> Vec<u8> {
        // SAFETY: the context is alive.
        let size = unsafe { sys::llama_state_seq_get_size(self.raw.as_ptr(), 0) };
        let mut bytes = vec![0; size];
        // SAFETY: the buffer has the size that was asked for.
        let written = unsafe { sys::llama_state_seq_get_data(self.raw.as_ptr(), bytes.as_mut_ptr(), bytes.len(), 0) };
        bytes.truncate(written);
        bytes
    }

    /// Puts a saved state back; `tokens` are those it was made of. False when llama.cpp refuses it.
    pub(super) fn restore(&mut self, state: &[u8], tokens: &[i32]) -> bool {
        self.clear();
        // SAFETY: the buffer is readable for its length; llama.cpp checks the content against its own size.
        let read = unsafe { sys::llama_state_seq_set_data(self.raw.as_ptr(), state.as_ptr(), state.len(), 0) };
        if read == 0 {
            return false;
        }
        self.tokens.extend_from_slice(tokens);
        true
    }
}

impl Drop for Ctx {
    fn drop(&mut self) {
        // SAFETY: owned, freed once, before the hooks and the model it points at.
        unsafe { sys::llama_free(self.raw.as_ptr()) };
    }
}

/// ggml's number of a cache type.
pub(super) fn ggml_type(kind: CacheType) -> sys::ggml_type {
    match kind {
        CacheType::F32 => sys::GGML_TYPE_F32,
        CacheType::F16 => sys::GGML_TYPE_F16,
        CacheType::Bf16 => sys::GGML_TYPE_BF16,
        CacheType::Q8_0 => sys::GGML_TYPE_Q8_0,
        CacheType::Q5_1 => sys::GGML_TYPE_Q5_1,
        CacheType::Q5_0 => sys::GGML_TYPE_Q5_0,
        CacheType::Q4_1 => sys::GGML_TYPE_Q4_1,
        CacheType::Q4_0 => sys::GGML_TYPE_Q4_0,
        CacheType::Iq4Nl => sys::GGML_TYPE_IQ4_NL,
    }
}
