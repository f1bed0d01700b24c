//! What the scripted engine claims about a model it never opens: everything follows from the file's name and the script.

use std::path::Path;

use super::Script;
use crate::protocol::{Design, Effective, FileType, MemoryUse, ModelInfo, Setting};

const LAYERS: u32 = 30;
const EMBD: u32 = 576;
const HEADS: u32 = 9;
const KV_HEADS: u32 = 3;

/// The quantization level a file name mentions; Q4_K_M where it mentions none.
pub fn file_type(path: &Path) -> Option<&'static FileType> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = stem.rsplit(['-', '.', ' ']).find_map(FileType::by_name);
    named.or_else(|| FileType::by_name("Q4_K_M"))
}

/// The model's facts.
pub fn info(script: &Script, path: &Path) -> ModelInfo {
    let kind = file_type(path);
    let bpw = kind.map_or(4.85, |kind| f64::from(kind.nominal_bpw));
    let on_disk = std::fs::metadata(path).map(|meta| meta.len()).unwrap_or(0);
    ModelInfo {
        path: path.to_path_buf(),
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        arch: "llama".into(),
        quant: kind.map_or_else(String::new, |kind| kind.name.to_owned()),
        size: if on_disk > 0 { on_disk } else { weights(script, bpw) },
        n_params: script.n_params,
        bpw,
        n_layer: LAYERS,
        n_ctx_train: script.n_ctx_train,
        n_embd: EMBD,
        n_head: HEADS,
        n_head_kv: KV_HEADS,
        n_vocab: 49_152,
        has_chat_template: true,
        ..ModelInfo::default()
    }
}

fn weights(script: &Script, bpw: f64) -> u64 {
    (script.n_params as f64 * bpw / 8.0) as u64
}

/// What the model would run with.
pub fn effective(script: &Script, design: &Design) -> Effective {
    let n_ctx = match design.n_ctx {
        0 => script.n_ctx_train.min(4096),
        asked => asked.min(script.n_ctx_train).div_ceil(256) * 256,
    };
    let own = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    let or = |asked: u32, other: u32| if asked == 0 { other } else { asked };
    let threads = or(design.threads, own);
    let threads_batch = or(design.threads_batch, threads);
    let setting = |name: &str, requested: u32, effective: u32, reason: &str| Setting {
        name: name.into(),
        requested: if requested == 0 { "auto".into() } else { requested.to_string() },
        effective: effective.to_string(),
        reason: if requested == effective { String::new() } else { reason.into() },
    };
    let settings = vec![
        setting("n_ctx", design.n_ctx, n_ctx, "The scripted engine takes multiples of 256 up to the trained context"),
        setting("n_batch", design.n_batch, design.n_batch.min(n_ctx), "No larger than the context"),
        setting("threads", design.threads, threads, "All the process may use"),
        setting("threads_batch", design.threads_batch, threads_batch, "As for decode"),
    ];
    Effective { n_ctx, n_batch: design.n_batch.min(n_ctx), n_ubatch: design.n_ubatch.min(n_ctx), threads, threads_batch, settings }
}

/// What the design would take: weights by bits per weight, KV cache by llama.cpp's sizes of its types, scratch by the vocabulary.
pub fn memory(script: &Script, design: &Design) -> MemoryUse {
    if let Some(memory) = script.memory {
        return memory;
    }
    let effective = effective(script, design);
    let row = u64::from(EMBD / HEADS * KV_HEADS) * u64::from(LAYERS) * u64::from(effective.n_ctx);
    let bytes = |(elements, size): (u64, u64)| row / elements * size;
    MemoryUse {
        weights: weights(script, file_type(&design.model).map_or(4.85, |kind| kind.nominal_bpw.into())),
        kv: bytes(design.type_k.block()) + bytes(design.type_v.block()),
        compute: u64::from(effective.n_ubatch) * 49_152 * 4,
    }
}

/// A complete and empty GGUF file (version 3: magic, no tensors, key-value pairs), so that what reads headers can read it.
pub fn gguf(name: &str, file_type: u32) -> Vec<u8> {
    let mut bytes = Vec::from(b"GGUF");
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(3u64.to_le_bytes());
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    for (key, value) in [("general.architecture", "llama"), ("general.name", name)] {
        text(&mut bytes, key);
        bytes.extend(8u32.to_le_bytes());
        text(&mut bytes, value);
    }
    text(&mut bytes, "general.file_type");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(file_type.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}
