//! From a design to a model and a context, with the reasons when it fails and when it differs from what was asked for.
#![expect(unsafe_code, reason = "loads a model through llama.cpp's C interface")]

use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_2::LlamaBackendDeviceType::Gpu;
use llama_cpp_sys_2 as sys;

use super::BUILD;
use super::context::{Ctx, CtxParams};
use super::logs::Capture;
use super::model::{Loading, Model, Stamp};
use super::{effective, memory};
use crate::engine::backend::Job;
use crate::library::{self, Header};
use crate::protocol::{Design, EngineError, ErrorKind, LogLevel, ModelInfo, Stage};

/// Context of a design that leaves it open, unless the model was trained for less.
pub(super) const DEFAULT_CTX: u32 = 4096;
/// Batches of a design that leaves them open (llama.cpp's defaults).
const DEFAULT_BATCH: u32 = 2048;
const DEFAULT_UBATCH: u32 = 512;

/// Cores this process may use for computing: physical ones, and no more than its affinity and cgroup allow.
pub(super) fn usable_cores() -> u32 {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let physical = sysinfo::System::physical_core_count().unwrap_or(allowed);
    u32::try_from(physical.min(allowed).max(1)).unwrap_or(1)
}

struct Progress<'a> {
    job: &'a Job,
    last: u64,
    /// Nothing is loaded, so it is no progress
    is_dry: bool,
}

unsafe extern "C" fn on_progress(progress: f32, data: *mut c_void) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `data` is the `Progress` of `load_model`, which lives until the load returns and is used by nobody else meanwhile.
        let state = unsafe { &mut *data.cast::<Progress<'_>>() };
        let now = (f64::from(progress.clamp(0.0, 1.0)) * 1000.0) as u64;
        if now != state.last && !state.is_dry {
            state.last = now;
            state.job.progress(Stage::Load, now, 1000);
        }
        !state.job.is_cancelled()
    }))
    .unwrap_or(false)
}

/// Loads the weights, or with `dry` only what is needed to compute sizes.
///
/// # Errors
/// What [`explain`] makes of the captured log; `Cancelled`.
pub(super) fn load_model(design: &Design, dry: bool, capture: &Capture, job: &Job) -> Result<Model, EngineError> {
    job.check()?;
    let path = design.model.as_path();
    // In safe Rust and within budgets, before llama.cpp sees a byte of it.
    let header = library::read_model(path)?;
    let stamp = Stamp::of(path).ok_or_else(|| EngineError::new(ErrorKind::FileMissing, "The model file went away").path(path))?;
    let name = c_path(path)?;
    if !dry {
        check_memory(&header, design)?;
    }
    let mut progress = Progress { job, last: u64::MAX, is_dry: dry };
    // SAFETY: a plain getter of defaults.
    let mut params = unsafe { sys::llama_model_default_params() };
    params.n_gpu_layers = design.gpu_layers;
    params.load_mode = match (design.mmap && !dry, design.mlock && !dry) {
        (true, true) => sys::LLAMA_LOAD_MODE_MMAP_MLOCK,
        (true, false) => sys::LLAMA_LOAD_MODE_MMAP,
        (false, true) => sys::LLAMA_LOAD_MODE_MLOCK,
        (false, false) => sys::LLAMA_LOAD_MODE_NONE,
    };
    params.use_extra_bufts = design.repack;
    params.no_alloc = dry;
    params.progress_callback = Some(on_progress);
    params.progress_callback_user_data = (&raw mut progress).cast::<c_void>();
    let mark = capture.mark();
    // SAFETY: the path is NUL-terminated; the callback and its data outlive the call.
    let raw = NonNull::new(unsafe { sys::llama_model_load_from_file(name.as_ptr(), params) });
    let Some(raw) = raw else {
        job.check()?;
        return Err(explain(&capture.tail(LogLevel::Warn, 12), path));
    };
    // SAFETY: freshly loaded, owned by nobody else.
    let mut model = unsafe { Model::from_raw(raw, header, stamp) };
    let lines = capture.since(mark);
    model.weights = memory::from_lines(&lines, design.mlock).weights;
    model.loading = Loading {
        offloaded: lines.iter().find_map(|(_, line)| line.split_once("offloaded ")?.1.split_once('/').map(|(n, _)| n.trim().to_owned())),
        unlocked: lines.iter().find(|(_, line)| line.contains("failed to mlock")).map(|(_, line)| line.clone()),
        mode: effective::between(&lines, "(load_mode = ", ")"),
    };
    if model.has_encoder() || !model.has_decoder() {
        return Err(EngineError::new(
            ErrorKind::Unsupported,
            format!("Architecture {} reads text but does not write it the way a chat needs", model.info.arch),
        )
        .hint("Choose a text generation model")
        .path(path));
    }
    Ok(model)
}

/// Finds out without taking memory whether a design could be loaded: a file that is readable and whole, an architecture and a context that
/// llama.cpp accepts, no more memory than there is.
///
/// # Errors
/// As [`load_model`], [`check_memory`] and [`make_ctx`].
pub(super) fn try_out(design: &Design, capture: &Capture, job: &Job) -> Result<(), EngineError> {
    let model = Arc::new(load_model(design, true, capture, job)?);
    check_memory(&model.header, design)?;
    // Recurrent state is always allocated for real, so such a context is left to the load itself.
    if !model.is_recurrent() {
        make_ctx(&model, &ctx_params(design, &model.info), capture)?;
    }
    job.check()
}

/// Refuses what could never fit: the system would grant the allocation and then end the process when it is used. What might fit once other
/// programs give way is left to the caller's judgement, and a mapped file does not count, because it can stay on disk.
///
/// # Errors
/// `OutOfMemory` when cache, scratch and unmapped weights need more than this machine has.
pub(super) fn check_memory(header: &Header, design: &Design) -> Result<(), EngineError> {
    let need = library::estimate::memory_use(header, design);
    let weights = if design.mmap && !design.mlock { 0 } else { need.weights };
    let total = library::MachineMemory::read().total;
    let bytes = need.kv.saturating_add(need.compute).saturating_add(weights);
    // With a GPU the cache may lie elsewhere.
    if total == 0 || has_gpu() || bytes <= total {
        return Ok(());
    }
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    Err(EngineError::new(
        ErrorKind::OutOfMemory,
        format!("This design needs about {} of memory besides the file, and the machine has {}", gib(bytes), gib(total)),
    )
    .hint("Choose a smaller context or quantization level")
    .path(&header.path))
}

/// Whether this build found a GPU.
pub(super) fn has_gpu() -> bool {
    llama_cpp_2::list_llama_ggml_backend_devices().iter().any(|device| device.device_type == Gpu)
}

/// A path as llama.cpp wants it.
///
/// # Errors
/// `InvalidRequest` for a name that holds NUL.
pub(super) fn c_path(path: &Path) -> Result<CString, EngineError> {
    CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_ignored| EngineError::new(ErrorKind::InvalidRequest, "The file name holds a NUL character").path(path))
}

/// What a design asks of the context of a model, with the open values chosen.
pub(super) fn ctx_params(design: &Design, info: &ModelInfo) -> CtxParams {
    let trained = if info.n_ctx_train == 0 { DEFAULT_CTX } else { info.n_ctx_train };
    let threads = if design.threads == 0 { usable_cores() } else { design.threads };
    CtxParams {
        n_ctx: if design.n_ctx == 0 { trained.min(DEFAULT_CTX) } else { design.n_ctx },
        n_batch: if design.n_batch == 0 { DEFAULT_BATCH } else { design.n_batch },
        n_ubatch: if design.n_ubatch == 0 { DEFAULT_UBATCH } else { design.n_ubatch },
        threads,
        threads_batch: if design.threads_batch == 0 { threads } else { design.threads_batch },
        type_k: design.type_k,
        type_v: design.type_v,
        flash_attention: design.flash_attention,
        swa_full: true,
    }
}

/// Most threads that are passed on (`GGML_MAX_N_THREADS`); ggml asserts on more.
const MAX_THREADS: u32 = 512;

/// Makes the context of a design.
///
/// # Errors
/// What [`explain`] makes of the captured log; `InvalidRequest` for values llama.cpp would end the process over.
pub(super) fn make_ctx(model: &Arc<Model>, want: &CtxParams, capture: &Capture) -> Result<Ctx, EngineError> {
    if want.threads > MAX_THREADS || want.threads_batch > MAX_THREADS {
        return Err(EngineError::new(ErrorKind::InvalidRequest, format!("More than {MAX_THREADS} threads are not possible"))
            .hint("Leave the number of threads at 0 to use the physical cores"));
    }
    if i32::try_from(want.n_ctx).is_err() || i32::try_from(want.n_batch).is_err() {
        return Err(EngineError::new(ErrorKind::InvalidRequest, "The context or batch is larger than the engine can count")
            .hint("Choose a context the machine has memory for"));
    }
    Ctx::new(model, want).ok_or_else(|| explain(&capture.tail(LogLevel::Warn, 12), &model.info.path))
}

/// Turns the lines of a failed load into a sentence.
pub(super) fn explain(lines: &[String], path: &Path) -> EngineError {
    let text = lines.join("\n");
    let low = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| low.contains(word));
    let reason =
        lines.iter().rev().find_map(|line| line.split_once("error loading model: ").or_else(|| line.split_once(": ")).map(|(_, r)| r));
    let reason = reason.unwrap_or("the engine gave no reason").trim();
    let error = if let Some(arch) = quoted_after(&text, "model architecture: '") {
        EngineError::new(
            ErrorKind::UnsupportedArchitecture,
            format!("Architecture {arch} is not supported by this engine (llama.cpp {BUILD})"),
        )
        .hint("Choose another model, or a newer version of this program")
    } else if has(&[
        "unable to allocate",
        "failed to allocate",
        "out of memory",
        "cannot allocate memory",
        "bad_alloc",
        "std::length_error",
    ]) {
        EngineError::new(ErrorKind::OutOfMemory, format!("Not enough memory for this model and context: {reason}"))
            .hint("Choose a smaller quantization level or context, or unload other models")
    } else if has(&["requires flash_attn", "requires flash attention"]) {
        EngineError::new(ErrorKind::InvalidRequest, "A quantized value cache needs flash attention, which this design switches off")
            .hint("Set flash attention to auto or on, or the value cache to f16")
    } else if has(&["cache type"]) {
        EngineError::new(ErrorKind::InvalidRequest, format!("This model cannot use that cache type: {reason}"))
            .hint("Set the key and value cache to f16")
    } else if has(&["failed to open", "permission denied", "no such file"]) {
        EngineError::new(ErrorKind::FileMissing, format!("The model file cannot be read: {reason}"))
            .hint("Check that it is there and readable")
    } else if has(&["failed to initialize the context", "failed to reserve", "failed to create context"]) {
        EngineError::new(ErrorKind::Engine, format!("The context could not be made: {reason}")).hint("Try a smaller context or batch")
    } else {
        EngineError::new(ErrorKind::InvalidFile, format!("The model file cannot be loaded: {reason}"))
            .hint("The file may be damaged or cut short; download or make it again")
    };
    error.details(lines.to_vec()).path(path)
}

fn quoted_after(text: &str, before: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once('\'').map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(lines: &[&str]) -> (ErrorKind, String) {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let error = explain(&lines, Path::new("/m.gguf"));
        assert!(!error.hint.is_empty());
        assert_eq!(error.details, lines);
        (error.kind, error.message)
    }

    #[test]
    fn reasons_are_read_off_the_log() {
        let (k, m) = kind(&["llama_model_load: error loading model: unknown model architecture: 'quux'", "failed to load model"]);
        assert_eq!(k, ErrorKind::UnsupportedArchitecture);
        assert_eq!(m, format!("Architecture quux is not supported by this engine (llama.cpp {BUILD})"));
        let (k, _) = kind(&["llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"]);
        assert_eq!(k, ErrorKind::OutOfMemory);
        let (k, _) = kind(&["llama_init_from_model: quantized V cache requires flash_attn to be enabled"]);
        assert_eq!(k, ErrorKind::InvalidRequest);
        let (k, m) = kind(&["llama_model_load: error loading model: missing tensor 'output_norm.weight'"]);
        assert_eq!(k, ErrorKind::InvalidFile);
        assert!(m.contains("output_norm.weight"), "{m}");
        assert_eq!(kind(&[]).0, ErrorKind::InvalidFile);
    }

    #[test]
    fn open_values_are_chosen() {
        let info = ModelInfo { n_ctx_train: 2048, ..ModelInfo::default() };
        let params = ctx_params(&Design::default(), &info);
        assert_eq!(params.n_ctx, 2048);
        assert!(params.threads >= 1 && params.threads == params.threads_batch);
        let params = ctx_params(&Design { n_ctx: 9000, threads: 3, ..Design::default() }, &info);
        assert_eq!((params.n_ctx, params.threads, params.threads_batch), (9000, 3, 3));
    }
}
