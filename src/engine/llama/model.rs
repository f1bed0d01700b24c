//! A loaded model: the pointer, what the file says about itself, and what identifies the file.
#![expect(unsafe_code, reason = "reads a model through llama.cpp's C interface")]

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::SystemTime;

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;

use super::tokens::Specials;
use crate::library::Header;
use crate::protocol::ModelInfo;

/// What identifies the content behind a path cheaply: a file that was made anew under the same name is another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// `None` when the file cannot be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let canonical = path.canonicalize().ok()?;
        let meta = canonical.metadata().ok()?;
        Some(Self { path: canonical, size: meta.len(), modified: meta.modified().ok() })
    }
}

/// What the load of a model said about settings that may not have taken effect.
#[derive(Clone, Debug, Default)]
pub(super) struct Loading {
    /// Layers on GPUs; `None` when there is none
    pub(super) offloaded: Option<String>,
    /// Why the weights could not be locked in memory
    pub(super) unlocked: Option<String>,
    /// How the file was read, in llama.cpp's words (`mmap`, `none`)
    pub(super) mode: Option<String>,
}

/// A model in memory. Dropped after the contexts that use it, because each holds an `Arc` of it.
pub(super) struct Model {
    inner: LlamaModel,
    /// The file's facts
    pub(super) info: ModelInfo,
    /// The file's header
    pub(super) header: Header,
    /// The file's identity when it was loaded
    pub(super) stamp: Stamp,
    /// Bytes of weights, from the log of the load
    pub(super) weights: u64,
    /// What its load said
    pub(super) loading: Loading,
    /// Control tokens of the vocabulary
    pub(super) specials: Specials,
    /// The chat template of the file
    pub(super) template: Option<String>,
}

impl Model {
    /// Takes ownership of a freshly loaded model with the header of its file.
    ///
    /// # Safety
    /// `raw` must come from `llama_model_load_from_file` and must not be used or freed by anyone else.
    pub(super) unsafe fn from_raw(raw: NonNull<sys::llama_model>, header: Header, stamp: Stamp) -> Self {
        const _: () = assert!(size_of::<LlamaModel>() == size_of::<NonNull<sys::llama_model>>());
        // SAFETY: `LlamaModel` is `repr(transparent)` over a non-null `llama_model` pointer (llama-cpp-2 0.1.160, model.rs and ptr.rs;
        // the version is pinned exactly), and its drop frees the model, which the caller hands over.
        let inner = unsafe { std::mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(raw) };
        let mut model = Self {
            inner,
            info: header.info(),
            header,
            stamp,
            weights: 0,
            loading: Loading::default(),
            specials: Specials::default(),
            template: None,
        };
        model.template = model.chat_template();
        model.specials = Specials::of(&model);
        model
    }

    /// The safe view, for the parts of llama-cpp-2 that take one.
    pub(super) fn safe(&self) -> &LlamaModel {
        &self.inner
    }

    /// The pointer. The one place that crosses llama-cpp-2's private layout on the way out.
    pub(super) fn raw(&self) -> *mut sys::llama_model {
        // SAFETY: see `from_raw`: the value is exactly one non-null pointer.
        unsafe { (&raw const self.inner).cast::<*mut sys::llama_model>().read() }
    }

    /// The vocabulary's pointer; lives as long as the model.
    pub(super) fn vocab(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_get_vocab(self.raw()) }
    }

    /// Tokens in the vocabulary.
    pub(super) fn n_vocab(&self) -> usize {
        // SAFETY: the vocabulary is alive.
        usize::try_from(unsafe { sys::llama_vocab_n_tokens(self.vocab()) }).unwrap_or(0)
    }

    /// `llama_model_desc`: `llama 135M Q4_K - Medium`.
    pub(super) fn desc(&self) -> String {
        let mut buf = [0; 256];
        // SAFETY: the buffer is writable for the length given; llama.cpp terminates what it writes.
        unsafe { sys::llama_model_desc(self.raw(), buf.as_mut_ptr(), buf.len()) };
        // SAFETY: zero-initialised and terminated within its length.
        unsafe { CStr::from_ptr(buf.as_ptr()) }.to_string_lossy().into_owned()
    }

    /// Bytes of all tensors.
    pub(super) fn tensor_bytes(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_size(self.raw()) }
    }

    /// Whether the model can write text at all (an embedding model cannot).
    pub(super) fn has_decoder(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_has_decoder(self.raw()) }
    }

    /// Whether it needs an encoder pass first (T5), which this engine does not do.
    pub(super) fn has_encoder(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_has_encoder(self.raw()) }
    }

    /// Whether it keeps state that is not a KV cache (Mamba, RWKV, and hybrids of them).
    pub(super) fn is_recurrent(&self) -> bool {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_is_recurrent(self.raw()) || sys::llama_model_is_hybrid(self.raw()) }
    }

    fn chat_template(&self) -> Option<String> {
        // SAFETY: a null name asks for the default template; the result is null or lives as long as the model.
        let text = unsafe { sys::llama_model_chat_template(self.raw(), std::ptr::null()) };
        if text.is_null() {
            return None;
        }
        // SAFETY: not null, NUL-terminated, alive.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        (!text.trim().is_empty()).then_some(text)
    }
}
