//! The memory a design takes, foretold from the header alone, and the bytes a token costs to read.
//!
//! Weights are the tensors' bytes. The cache is exact for models that only attend (`llama-kv-cache.cpp`). The compute buffer follows the
//! phases of llama.cpp's graph for `n_ubatch` tokens, measured on seven shapes from 0.4 to 8 billion weights, three contexts and two batch
//! sizes, with and without flash attention: within 6 % of what the allocator took. Not counted: copies in another layout that some CPU
//! kernels make of the weights (they replace pages of a mapped file), and work space of a few MiB.

use serde::{Deserialize, Serialize};

use super::family::{Family, RungState};
use super::gguf::{Header, TensorInfo, read_model};
use super::machine::MachineMemory;
use crate::protocol::{CacheType, Design, FlashAttention, MemoryUse};

/// The context a design gets when it leaves the choice to us, tokens.
pub const DEFAULT_CTX: u32 = 4096;
/// llama.cpp rounds a context up to a multiple of this (`llama-context.cpp`, `GGML_PAD(n_ctx, 256)`).
const CTX_STEP: u64 = 256;
/// Smallest context worth offering when memory is short, tokens.
const SMALLEST_CTX: u32 = 512;
/// Bytes left for everything else on the machine before a design is said to fit.
const RESERVE: u64 = 128 << 20;

/// The context of a design with `n_ctx` 0: what the model was trained for, and no more than [`DEFAULT_CTX`].
pub fn default_n_ctx(n_ctx_train: u32) -> u32 {
    if n_ctx_train == 0 { DEFAULT_CTX } else { n_ctx_train.min(DEFAULT_CTX) }
}

/// What a design would take, against what the machine has. Bytes. An estimate until the engine has measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// By purpose
    #[serde(flatten)]
    pub memory: MemoryUse,
    /// Everything together
    pub total: u64,
    /// What the machine could give now
    pub available: u64,
    /// Whether it fits, counting what an unload would free, and leaving 128 MiB to the rest of the machine
    pub fits: bool,
    /// What unloading other models would free
    pub freed_by_unload: u64,
}

/// Foretells what `design` takes of a model. `freed` is what an unload would give back.
pub fn estimate(header: &Header, design: &Design, machine: &MachineMemory, freed: u64) -> Estimate {
    let memory = memory_use(header, design);
    let total = memory.total();
    // however it was reckoned: together they cannot be more than there is
    let freed = freed.min(machine.total.saturating_sub(machine.available));
    let fits = fits(total, machine.available, freed);
    Estimate { memory, total, available: machine.available, fits, freed_by_unload: freed }
}

/// Whether so many bytes can be had, counting what an unload would free, and leaving 128 MiB to the rest of the machine.
pub fn fits(total: u64, available: u64, freed: u64) -> bool {
    total.saturating_add(RESERVE) <= available.saturating_add(freed)
}

/// Bytes by purpose.
pub fn memory_use(header: &Header, design: &Design) -> MemoryUse {
    let n_ctx = padded_ctx(header, design);
    let kv = cache_bytes_per_token(header, design).saturating_mul(n_ctx).saturating_add(state_bytes(header));
    MemoryUse { weights: header.tensor_bytes(), kv, compute: compute_bytes(header, design, n_ctx) }
}

/// Tokens the cache is made for.
fn padded_ctx(header: &Header, design: &Design) -> u64 {
    let asked = if design.n_ctx > 0 { design.n_ctx } else { default_n_ctx(header.info().n_ctx_train) };
    u64::from(asked).next_multiple_of(CTX_STEP)
}

/// Heads of each layer, and the size of one head for keys and for values.
struct Attention {
    kv_heads: Vec<u64>,
    head_k: u64,
    head_v: u64,
    /// Multi-head latent attention keeps one compressed tensor and no values (`llama_hparams::is_mla`)
    latent: bool,
}

impl Attention {
    fn of(header: &Header) -> Self {
        let heads = header.per_layer("attention.head_count").unwrap_or_default();
        let kv_heads = header.per_layer("attention.head_count_kv").unwrap_or_else(|| heads.clone());
        let embd = header.arch_number("embedding_length").unwrap_or(0);
        // llama.cpp divides by the first layer's heads; a hybrid's first layer may have none
        let first = heads.first().copied().filter(|n| *n > 0).or_else(|| heads.iter().copied().max());
        let per_head = embd.checked_div(first.unwrap_or(0)).unwrap_or(0);
        Self {
            kv_heads,
            head_k: header.arch_number("attention.key_length").unwrap_or(per_head),
            head_v: header.arch_number("attention.value_length").unwrap_or(per_head),
            latent: header.arch_number("attention.key_length_mla").is_some_and(|n| n > 0),
        }
    }
}

/// Bytes of `n` numbers of a cache type, in whole blocks.
fn row_bytes(ty: CacheType, n: u64) -> u64 {
    let (block, bytes) = ty.block();
    n.div_ceil(block).saturating_mul(bytes)
}

/// Bytes of cache for each token of context: over all layers, keys and values of the layer's key/value heads (`llama-kv-cache.cpp`).
/// Sliding windows are counted in full, as llama.cpp keeps them by default (`swa_full`).
pub fn cache_bytes_per_token(header: &Header, design: &Design) -> u64 {
    let attention = Attention::of(header);
    attention.kv_heads.iter().fold(0, |sum: u64, heads| {
        let keys = row_bytes(design.type_k, heads.saturating_mul(attention.head_k));
        let values = if attention.latent { 0 } else { row_bytes(design.type_v, heads.saturating_mul(attention.head_v)) };
        sum.saturating_add(keys).saturating_add(values)
    })
}

/// Bytes of the state of layers that do not attend (`n_embd_r` and `n_embd_s` of llama-hparams.cpp, F32, one sequence): layers without
/// key/value heads of a model that has state-space values.
fn state_bytes(header: &Header) -> u64 {
    let number = |key: &str| header.arch_number(key).unwrap_or(0);
    let (inner, state) = (number("ssm.inner_size"), number("ssm.state_size"));
    if inner == 0 {
        return 0;
    }
    let conv = number("ssm.conv_kernel").saturating_sub(1);
    let groups = number("ssm.group_count");
    let convolution = conv.saturating_mul(inner.saturating_add(2u64.saturating_mul(groups).saturating_mul(state)));
    let per_layer = convolution.saturating_add(state.saturating_mul(inner)).saturating_mul(4);
    let layers = match header.per_layer("attention.head_count_kv") {
        Some(heads) => heads.iter().filter(|n| **n == 0).count() as u64,
        None => u64::from(header.n_layer()),
    };
    per_layer.saturating_mul(layers)
}

/// Bytes of the compute buffer: the largest phase of the graph for one physical batch, and the output buffer.
fn compute_bytes(header: &Header, design: &Design, n_ctx: u64) -> u64 {
    let info = header.info();
    let attention = Attention::of(header);
    let most_kv = attention.kv_heads.iter().copied().max().unwrap_or(0);
    let (embd, vocab, heads) = (u64::from(info.n_embd), u64::from(info.n_vocab), u64::from(info.n_head));
    let queries = heads.saturating_mul(attention.head_k);
    let keys = most_kv.saturating_mul(attention.head_k);
    let tokens = u64::from(design.n_ubatch.min(design.n_batch).max(1)).min(n_ctx);
    // on a CPU llama.cpp's own choice is to fuse; then scores never exist as a whole and the mask is F16
    let fused = design.flash_attention != FlashAttention::Off;
    let mask = n_ctx.saturating_mul(if fused { 2 } else { 4 });
    let scores = if fused { 0 } else { heads.saturating_mul(n_ctx).saturating_mul(4) };
    let floats = |n: u64| n.saturating_mul(4);
    // without fusion the last layer's keys and values are still alive when the output is computed
    let alive = if fused { 0 } else { 2u64.saturating_mul(keys) };
    let output = floats(vocab.saturating_add(embd.saturating_mul(6)).saturating_add(alive));
    let attend = floats(3u64.saturating_mul(embd.saturating_add(queries)).saturating_add(2u64.saturating_mul(keys))).saturating_add(scores);
    let feed = floats(embd.saturating_mul(3).saturating_add(3u64.saturating_mul(feed_forward(header))));
    let per_token = output.max(attend).max(feed).saturating_add(mask);
    tokens.saturating_mul(per_token).saturating_add(floats(vocab))
}

/// Width of the feed-forward part that is computed for a token: all experts that are used, side by side.
fn feed_forward(header: &Header) -> u64 {
    let widest = |key: &str| header.per_layer(key).and_then(|all| all.into_iter().max()).unwrap_or(0);
    let used = widest("expert_used_count");
    let expert = header.arch_number("expert_feed_forward_length").unwrap_or_else(|| widest("feed_forward_length"));
    if used > 0 { used.saturating_mul(expert) } else { widest("feed_forward_length") }
}

/// Bytes of weights and cache that decoding one token reads with `n_kv` tokens in the cache: the roofline is the machine's read bandwidth
/// over this.
///
/// Of the token embedding only a row is read, unless it also serves as the output; of a mixture only the experts that are used.
pub fn bytes_read_per_token(header: &Header, n_kv: u64, design: &Design) -> u64 {
    let experts = header.arch_number("expert_count").unwrap_or(0);
    let used = header.per_layer("expert_used_count").and_then(|all| all.into_iter().max()).unwrap_or(0);
    let tied = header.is_tied();
    let read = |tensor: &TensorInfo| match tensor.name.as_str() {
        "token_embd.weight" if tied => tensor.bytes,
        "token_embd.weight" | "per_layer_token_embd.weight" => tensor.bytes.checked_div(tensor.rows()).unwrap_or(0),
        name if name.contains("_exps.") && experts > 0 => {
            (u128::from(tensor.bytes) * u128::from(used.min(experts)) / u128::from(experts)) as u64
        }
        _ => tensor.bytes,
    };
    let weights = header.tensors.iter().fold(0u64, |sum, tensor| sum.saturating_add(read(tensor)));
    weights.saturating_add(cache_bytes_per_token(header, design).saturating_mul(n_kv)).saturating_add(state_bytes(header))
}

/// A change that makes a design fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NearestFit {
    /// The design that fits
    pub design: Design,
    /// What it would take
    pub estimate: Estimate,
    /// In words: what to change, and what it takes then
    pub words: String,
}

/// The nearest change that makes `design` fit: the largest context for the same file, and the next smaller rung on disk with the same
/// context. Empty when it fits already, or when nothing does.
pub fn nearest_fit(family: Option<&Family>, design: &Design, machine: &MachineMemory, freed: u64) -> Vec<NearestFit> {
    let Ok(header) = read_model(&design.model) else { return Vec::new() };
    if estimate(&header, design, machine, freed).fits {
        return Vec::new();
    }
    let asked = if design.n_ctx > 0 { design.n_ctx } else { default_n_ctx(header.info().n_ctx_train) };
    let mut found = Vec::new();
    if let Some((smaller, taken)) = largest_ctx(&header, design, asked, machine, freed) {
        let words = format!("A context of {} instead of {asked} tokens fits: {}", smaller.n_ctx, size_words(taken.total));
        found.push(NearestFit { design: smaller, estimate: taken, words });
    }
    let rungs = family.into_iter().flat_map(|f| &f.rungs);
    let mut smaller: Vec<_> = rungs
        .filter_map(|rung| match &rung.state {
            RungState::OnDisk { path, size, .. } if *size < header.file_size => Some((*size, &rung.quant, path)),
            _ => None,
        })
        .collect();
    smaller.sort_by_key(|(size, ..)| std::cmp::Reverse(*size));
    for (_, quant, path) in smaller {
        let Ok(other) = read_model(path) else { continue };
        let candidate = Design { model: path.clone(), n_ctx: asked, ..design.clone() };
        let taken = estimate(&other, &candidate, machine, freed);
        if taken.fits {
            let words = format!("{quant} fits with the same context: {}", size_words(taken.total));
            found.push(NearestFit { design: candidate, estimate: taken, words });
            break;
        }
    }
    found
}

/// The largest context below `asked` that fits, in steps of 256 tokens.
fn largest_ctx(header: &Header, design: &Design, asked: u32, machine: &MachineMemory, freed: u64) -> Option<(Design, Estimate)> {
    let at = |n_ctx: u32| {
        let candidate = Design { n_ctx, ..design.clone() };
        let taken = estimate(header, &candidate, machine, freed);
        (candidate, taken)
    };
    // the estimate grows with the context, so halving the interval finds the edge
    let step = CTX_STEP as u32;
    let (mut low, mut high) = (SMALLEST_CTX / step, asked.saturating_sub(1) / step);
    if low > high || !at(low * step).1.fits {
        return None;
    }
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if at(middle * step).1.fits {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Some(at(low * step))
}

/// `412 MiB`, `3.4 GiB`.
pub(super) fn size_words(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1000.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}
