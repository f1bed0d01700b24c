//! Forecasts against what llama.cpp (b11434) itself says: its quantizer's dry run, and the buffers its allocator took.

use inferscope::library::estimate::{cache_bytes_per_token, memory_use};
use inferscope::library::gguf::{Header, read_stream};
use inferscope::library::recipe::forecast;
use inferscope::library::{MachineMemory, ScanCache, bytes_read_per_token, default_n_ctx, estimate, nearest_fit, scan};
use inferscope::protocol::{CacheType, Design, FileType, FlashAttention};

use crate::support::gguf::{Gguf, Kv, Tensor, Tiny, Ty};

/// The shape of a model; its header promises weights that nobody has to write.
struct Shape {
    arch: &'static str,
    layers: u32,
    embd: u64,
    heads: u64,
    kv_heads: u64,
    head: u64,
    ff: u64,
    vocab: u64,
    tied: bool,
    /// Number, and how many are used
    experts: (u64, u64),
}

const LLAMA: Shape = Shape {
    arch: "llama",
    layers: 32,
    embd: 4096,
    heads: 32,
    kv_heads: 8,
    head: 128,
    ff: 14336,
    vocab: 128_256,
    tied: false,
    experts: (0, 0),
};

fn shape(name: &str) -> Shape {
    match name {
        "smol" => Shape { layers: 30, embd: 576, heads: 9, kv_heads: 3, head: 64, ff: 1536, vocab: 49152, tied: true, ..LLAMA },
        "l8b" => LLAMA,
        "mha" => Shape { layers: 8, embd: 1024, heads: 16, kv_heads: 16, head: 64, ff: 4096, vocab: 32000, ..LLAMA },
        "moe" => Shape { arch: "qwen3moe", layers: 12, embd: 2048, kv_heads: 4, ff: 768, vocab: 151_936, experts: (128, 8), ..LLAMA },
        "mix" => Shape { vocab: 32000, experts: (8, 2), ..LLAMA },
        "l70" => Shape { layers: 80, embd: 8192, heads: 64, ff: 28672, ..LLAMA },
        "l1b" => Shape { layers: 16, embd: 2048, head: 64, ff: 8192, tied: true, ..LLAMA },
        "q05b" => {
            Shape { arch: "qwen2", layers: 24, embd: 896, heads: 14, kv_heads: 2, head: 64, ff: 4864, vocab: 151_936, tied: true, ..LLAMA }
        }
        "q3_4b" => Shape { arch: "qwen3", layers: 36, embd: 2560, ff: 9728, vocab: 151_936, tied: true, ..LLAMA },
        "tl" => Shape { layers: 22, embd: 2048, kv_heads: 4, head: 64, ff: 5632, vocab: 32000, ..LLAMA },
        other => panic!("no shape {other}"),
    }
}

impl Shape {
    fn header(&self) -> Header {
        let mut file = Gguf::default();
        let key = |name: &str| format!("{}.{name}", self.arch);
        file.set("general.architecture", Kv::Str(self.arch.into()));
        file.set("general.file_type", Kv::U32(1));
        for (name, value) in [
            ("block_count", u64::from(self.layers)),
            ("context_length", 131_072),
            ("embedding_length", self.embd),
            ("feed_forward_length", self.ff),
            ("attention.head_count", self.heads),
            ("attention.head_count_kv", self.kv_heads),
            ("attention.key_length", self.head),
            ("attention.value_length", self.head),
            ("vocab_size", self.vocab),
            ("expert_count", self.experts.0),
            ("expert_used_count", self.experts.1),
        ] {
            file.set(&key(name), Kv::U32(value as u32));
        }
        let mut at = 0;
        let mut add = |name: String, dims: &[u64], ty: Ty| {
            let bytes = dims.iter().product::<u64>() * if ty == Ty::F16 { 2 } else { 4 };
            file.tensors.push(Tensor { name: name.into(), dims: dims.to_vec(), ty: ty as u32, offset: Some(at), data: Vec::new() });
            at += bytes.next_multiple_of(32);
        };
        let (embd, ff) = (self.embd, self.ff);
        add("token_embd.weight".into(), &[embd, self.vocab], Ty::F16);
        add("output_norm.weight".into(), &[embd], Ty::F32);
        if !self.tied {
            add("output.weight".into(), &[embd, self.vocab], Ty::F16);
        }
        for layer in 0..self.layers {
            let name = |part: &str| format!("blk.{layer}.{part}.weight");
            add(name("attn_norm"), &[embd], Ty::F32);
            add(name("attn_q"), &[embd, self.heads * self.head], Ty::F16);
            add(name("attn_k"), &[embd, self.kv_heads * self.head], Ty::F16);
            add(name("attn_v"), &[embd, self.kv_heads * self.head], Ty::F16);
            add(name("attn_output"), &[self.heads * self.head, embd], Ty::F16);
            add(name("ffn_norm"), &[embd], Ty::F32);
            if self.arch.starts_with("qwen3") {
                add(name("attn_q_norm"), &[self.head], Ty::F32);
                add(name("attn_k_norm"), &[self.head], Ty::F32);
            }
            if self.experts.0 > 0 {
                let n = self.experts.0;
                add(name("ffn_gate_inp"), &[embd, n], Ty::F32);
                add(name("ffn_gate_exps"), &[embd, ff, n], Ty::F16);
                add(name("ffn_up_exps"), &[embd, ff, n], Ty::F16);
                add(name("ffn_down_exps"), &[ff, embd, n], Ty::F16);
            } else {
                add(name("ffn_gate"), &[embd, ff], Ty::F16);
                add(name("ffn_up"), &[embd, ff], Ty::F16);
                add(name("ffn_down"), &[ff, embd], Ty::F16);
            }
        }
        let bytes = file.bytes();
        let header = read_stream(&bytes[..], bytes.len() as u64 + at).unwrap();
        header.check_model().unwrap();
        header
    }
}

/// MiB of all tensors, as `llama-quantize --dry-run` of the same shapes prints them.
const DRY_RUNS: &[(&str, [f64; 6])] = &[
    ("F32", [513.13, 30633.02, 762.07, 30898.21, 178157.02, 269141.03]),
    ("F16", [256.63, 15317.02, 381.07, 15455.21, 89081.02, 134573.03]),
    ("Q8_0", [136.40, 8137.64, 202.47, 8216.30, 47326.64, 71494.28]),
    ("Q6_K", [130.27, 6282.97, 156.34, 6346.25, 36602.09, 55198.94]),
    ("Q5_1", [104.76, 5779.74, 145.14, 5824.20, 33497.30, 50538.48]),
    ("Q5_K_M", [105.21, 5459.93, 137.84, 5513.95, 31689.49, 47628.36]),
    ("Q5_K_S", [103.18, 5332.43, 135.19, 5360.15, 30737.49, 46395.86]),
    ("Q5_0", [98.43, 5332.43, 135.19, 5360.15, 30737.49, 46395.86]),
    ("Q4_1", [92.10, 4885.12, 125.23, 4896.10, 27977.68, 42253.23]),
    ("Q4_K_M", [98.87, 4685.30, 120.44, 4730.60, 27129.87, 40543.11]),
    ("Q4_K_S", [95.61, 4467.80, 116.28, 4456.56, 25505.87, 38470.61]),
    ("Q4_0", [85.77, 4437.80, 115.28, 4432.06, 25217.87, 38110.61]),
    ("IQ4_NL", [86.09, 4481.80, 115.78, 4457.56, 25505.87, 38470.61]),
    ("IQ4_XS", [85.38, 4269.15, 110.93, 4231.91, 24197.96, 36489.30]),
    ("Q3_K_L", [91.31, 4114.27, 106.50, 4067.80, 23049.27, 35412.53]),
    ("Q3_K_M", [87.48, 3825.27, 100.75, 3766.55, 21501.27, 32672.53]),
    ("IQ3_M", [84.33, 3602.02, 96.79, 3485.80, 20437.27, 30450.03]),
    ("Q3_K_S", [82.41, 3487.27, 94.13, 3445.96, 19485.27, 29472.53]),
    ("IQ3_S", [82.41, 3504.27, 94.13, 3447.55, 19485.27, 29472.53]),
    ("IQ3_XS", [82.41, 3348.27, 91.13, 3280.49, 18453.27, 27942.53]),
    ("IQ3_XXS", [82.75, 3229.48, 85.76, 3205.83, 18306.66, 27326.95]),
    ("Q2_K", [82.41, 3024.38, 82.83, 2938.44, 16508.57, 25145.77]),
    ("IQ2_M", [79.92, 2804.23, 78.17, 2661.33, 14776.66, 22994.45]),
    ("IQ2_S", [79.21, 2623.23, 74.79, 2447.95, 13472.66, 21204.45]),
    ("Q2_K_S", [80.44, 2842.88, 78.89, 2739.69, 15288.57, 23330.77]),
    ("IQ2_XS", [78.95, 2477.59, 69.27, 2384.81, 13277.97, 20155.19]),
    ("IQ2_XXS", [78.24, 2280.59, 65.65, 2168.44, 11973.97, 18205.19]),
    ("TQ2_0", [78.06, 2409.80, 76.28, 2260.24, 11801.87, 18220.61]),
    ("IQ1_M", [77.35, 2054.34, 61.43, 1901.72, 10343.97, 15967.69]),
    ("TQ1_0", [76.88, 2097.80, 70.28, 1926.12, 9737.87, 15160.61]),
    ("IQ1_S", [76.82, 1918.59, 58.90, 1741.69, 9365.97, 14625.19]),
];
const DRY_SHAPES: [&str; 6] = ["smol", "l8b", "mha", "moe", "mix", "l70"];

#[test]
fn sizes_are_those_of_the_quantizer() {
    let mut wrong = Vec::new();
    for (column, name) in DRY_SHAPES.into_iter().enumerate() {
        let header = shape(name).header();
        for (level, mib) in DRY_RUNS {
            let made = forecast(&header, FileType::by_name(level).unwrap()).unwrap();
            let ours = made.bpw * header.n_params() as f64 / 8.0 / f64::from(1 << 20);
            if (ours - mib[column]).abs() > 0.006 {
                wrong.push(format!("{name} {level}: {ours:.2} instead of {}", mib[column]));
            }
            assert!(made.bytes as f64 >= ours && made.bytes as f64 - ours * f64::from(1 << 20) < 2e6, "padding and header only");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn importance_matrices_are_asked_for_where_the_quantizer_does() {
    let needing = |name: &str| {
        let header = shape(name).header();
        let levels = DRY_RUNS.iter().map(|(level, _)| *level);
        levels.filter(|level| forecast(&header, FileType::by_name(level).unwrap()).unwrap().needs_imatrix).collect::<Vec<_>>()
    };
    assert_eq!(needing("smol"), ["IQ2_M", "IQ2_S", "Q2_K_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"]);
    assert_eq!(needing("l8b"), ["IQ3_XS", "IQ3_XXS", "IQ2_M", "IQ2_S", "Q2_K_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"]);
    let smol = shape("smol").header();
    let made = forecast(&smol, FileType::by_name("Q4_K_M").unwrap()).unwrap();
    // 180 of 211 matrices have rows of 576, and the embedding is given Q8_0 outright
    assert_eq!(made.fallbacks, 180);
    assert!(made.named_share < 0.2, "{}", made.named_share);
}

/// Shape, n_ctx, n_ubatch, fused attention, MiB of cache, MiB of the compute buffer: as llama.cpp reported on a CPU.
const BUFFERS: &[(&str, u32, u32, bool, f64, f64)] = &[
    ("l1b", 512, 128, true, 16.00, 67.75),
    ("l1b", 512, 128, false, 16.00, 68.38),
    ("l1b", 512, 512, true, 16.00, 271.02),
    ("l1b", 512, 512, false, 16.00, 273.52),
    ("l1b", 4096, 128, false, 128.00, 72.50),
    ("l1b", 4096, 512, false, 128.00, 290.02),
    ("l1b", 16384, 128, true, 512.00, 72.63),
    ("l1b", 16384, 128, false, 512.00, 270.50),
    ("l1b", 16384, 512, true, 512.00, 290.52),
    ("l1b", 16384, 512, false, 512.00, 1082.02),
    ("l8b", 512, 128, true, 64.00, 72.75),
    ("l8b", 512, 128, false, 64.00, 73.88),
    ("l8b", 512, 512, true, 64.00, 291.02),
    ("l8b", 512, 512, false, 64.00, 295.52),
    ("l8b", 4096, 128, false, 512.00, 79.00),
    ("l8b", 4096, 512, false, 512.00, 316.02),
    ("l8b", 16384, 128, true, 2048.00, 78.63),
    ("l8b", 16384, 128, false, 2048.00, 277.00),
    ("l8b", 16384, 512, true, 2048.00, 314.52),
    ("l8b", 16384, 512, false, 2048.00, 1108.02),
    ("q05b", 512, 128, true, 6.00, 76.50),
    ("q05b", 512, 128, false, 6.00, 76.75),
    ("q05b", 512, 512, true, 6.00, 306.02),
    ("q05b", 512, 512, false, 6.00, 307.02),
    ("q05b", 4096, 128, false, 48.00, 78.94),
    ("q05b", 4096, 512, false, 48.00, 315.77),
    ("q05b", 16384, 128, true, 192.00, 80.82),
    ("q05b", 16384, 128, false, 192.00, 122.75),
    ("q05b", 16384, 512, true, 192.00, 323.27),
    ("q05b", 16384, 512, false, 192.00, 491.02),
    ("q3_4b", 512, 128, true, 72.00, 80.57),
    ("q3_4b", 512, 128, false, 72.00, 81.69),
    ("q3_4b", 512, 512, true, 72.00, 322.27),
    ("q3_4b", 512, 512, false, 72.00, 326.77),
    ("q3_4b", 4096, 128, false, 576.00, 84.69),
    ("q3_4b", 4096, 512, false, 576.00, 338.77),
    ("q3_4b", 16384, 128, true, 2304.00, 85.69),
    ("q3_4b", 16384, 128, false, 2304.00, 275.25),
    ("q3_4b", 16384, 512, true, 2304.00, 342.77),
    ("q3_4b", 16384, 512, false, 2304.00, 1101.02),
    ("tl", 512, 128, true, 11.00, 20.75),
    ("tl", 512, 128, false, 11.00, 21.13),
    ("tl", 512, 512, true, 11.00, 83.02),
    ("tl", 512, 512, false, 11.00, 84.52),
    ("tl", 4096, 128, false, 88.00, 72.25),
    ("tl", 4096, 512, false, 88.00, 289.02),
    ("tl", 16384, 128, true, 352.00, 25.63),
    ("tl", 16384, 128, false, 352.00, 270.25),
    ("tl", 16384, 512, true, 352.00, 102.52),
    ("tl", 16384, 512, false, 352.00, 1081.02),
    ("mha", 512, 128, true, 16.00, 18.25),
    ("mha", 512, 128, false, 16.00, 19.88),
    ("mha", 512, 512, true, 16.00, 73.02),
    ("mha", 512, 512, false, 16.00, 79.52),
    ("mha", 4096, 128, false, 128.00, 38.00),
    ("mha", 4096, 512, false, 128.00, 152.02),
    ("mha", 16384, 128, true, 512.00, 22.13),
    ("mha", 16384, 128, false, 512.00, 140.00),
    ("mha", 16384, 512, true, 512.00, 88.52),
    ("mha", 16384, 512, false, 512.00, 560.02),
    ("moe", 512, 128, true, 12.00, 79.32),
    ("moe", 512, 128, false, 12.00, 79.94),
    ("moe", 512, 512, true, 12.00, 317.27),
    ("moe", 512, 512, false, 12.00, 319.77),
    ("moe", 4096, 128, false, 96.00, 81.69),
    ("moe", 4096, 512, false, 96.00, 326.77),
    ("moe", 16384, 128, true, 384.00, 84.19),
    ("moe", 16384, 128, false, 384.00, 273.50),
    ("moe", 16384, 512, true, 384.00, 336.77),
    ("moe", 16384, 512, false, 384.00, 1094.02),
];

#[test]
fn memory_is_what_the_allocator_took() {
    for (name, n_ctx, n_ubatch, fused, kv, compute) in BUFFERS {
        let flash_attention = if *fused { FlashAttention::Auto } else { FlashAttention::Off };
        let design = Design { n_ctx: *n_ctx, n_ubatch: *n_ubatch, flash_attention, ..Design::default() };
        let memory = memory_use(&shape(name).header(), &design);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        assert!((mib(memory.kv) - kv).abs() < 0.01, "{name} {n_ctx}: cache {} instead of {kv}", mib(memory.kv));
        let ratio = mib(memory.compute) / compute;
        assert!((0.97..1.06).contains(&ratio), "{name} {n_ctx} {n_ubatch} {fused}: compute {} instead of {compute}", mib(memory.compute));
    }
}

#[test]
fn cache_bytes_are_exact() {
    let smol = shape("smol").header();
    let with = |type_k, type_v| Design { type_k, type_v, n_ctx: 4096, ..Design::default() };
    // 30 layers, 3 heads of 64: 192 numbers for keys, 192 for values
    assert_eq!(cache_bytes_per_token(&smol, &with(CacheType::F16, CacheType::F16)), 30 * 2 * 192 * 2);
    assert_eq!(cache_bytes_per_token(&smol, &with(CacheType::Q8_0, CacheType::F32)), 30 * (192 / 32 * 34 + 192 * 4));
    assert_eq!(memory_use(&smol, &with(CacheType::F16, CacheType::F16)).kv, 4096 * 23040);
    // rounded up to 256 tokens
    assert_eq!(memory_use(&smol, &Design { n_ctx: 257, ..Design::default() }).kv, 512 * 23040);
    // 0 is the smaller of what it was trained for and 4096
    assert_eq!(memory_use(&smol, &Design::default()).kv, 4096 * 23040);
    assert_eq!((default_n_ctx(0), default_n_ctx(2048), default_n_ctx(131_072)), (4096, 2048, 4096));
    let mut file = Tiny::default().gguf();
    file.set("llama.attention.head_count_kv", Kv::ArrU32(vec![1, 2])).set("llama.attention.key_length", Kv::U32(64));
    file.set("llama.attention.value_length", Kv::U32(32));
    let bytes = file.bytes();
    let header = read_stream(&bytes[..], bytes.len() as u64).unwrap();
    assert_eq!(cache_bytes_per_token(&header, &Design::default()), 2 * (64 + 32) + 2 * (2 * 64 + 2 * 32));
}

#[test]
fn a_token_reads_what_it_needs() {
    let design = Design::default();
    let embedding = |header: &Header| header.tensors[0].bytes;
    // the tied embedding is the output, so all of it is read
    let tied = shape("smol").header();
    assert_eq!(bytes_read_per_token(&tied, 0, &design), tied.tensor_bytes());
    assert_eq!(bytes_read_per_token(&tied, 100, &design), tied.tensor_bytes() + 100 * 23040);
    // an embedding of its own gives one row
    let dense = shape("l8b").header();
    assert_eq!(bytes_read_per_token(&dense, 0, &design), dense.tensor_bytes() - embedding(&dense) + 4096 * 2);
    // of 8 experts two are read
    let mix = shape("mix").header();
    let experts: u64 = mix.tensors.iter().filter(|t| t.name.contains("_exps")).map(|t| t.bytes).sum();
    assert_eq!(bytes_read_per_token(&mix, 0, &design), mix.tensor_bytes() - embedding(&mix) + 4096 * 2 - experts / 8 * 6);
}

#[test]
fn what_does_not_fit_is_given_a_way_to() {
    let dir = tempfile::tempdir().unwrap();
    let model = |ty, n_ctx_train| Tiny { n_embd: 512, n_layer: 8, n_head_kv: 16, n_ff: 2048, n_ctx_train, ty, ..Tiny::default() };
    model(Ty::F16, 65536).write(dir.path().join("Tiny-F16.gguf"));
    model(Ty::Q8_0, 65536).write(dir.path().join("Tiny-Q8_0.gguf"));
    let found = scan(&[dir.path().into()], &mut ScanCache::new());
    let design = Design { n_ctx: 32768, ..Design::for_model(dir.path().join("Tiny-F16.gguf")) };
    let header = inferscope::library::read_model(&design.model).unwrap();
    let machine = |available| MachineMemory { total: 64 << 30, available, limited: false };
    let roomy = estimate(&header, &design, &machine(8 << 30), 0);
    assert!(roomy.fits && roomy.total == roomy.memory.weights + roomy.memory.kv + roomy.memory.compute);
    assert!(nearest_fit(found.families.first(), &design, &machine(8 << 30), 0).is_empty());
    let unloading = estimate(&header, &design, &machine(60 << 30), 100 << 30);
    assert_eq!(unloading.freed_by_unload, 4 << 30, "no more can be had than there is");

    // a little less than it needs: the smaller rung gives it, and so does a shorter context
    let tight = machine(roomy.total + (128 << 20) - (1 << 20));
    assert!(!estimate(&header, &design, &tight, 0).fits);
    assert!(estimate(&header, &design, &tight, 1 << 20).fits, "what an unload frees counts");
    let ways = nearest_fit(found.families.first(), &design, &tight, 0);
    assert_eq!(ways.len(), 2, "{ways:#?}");
    assert!(ways.iter().all(|way| way.estimate.fits));
    assert!(ways[0].words.starts_with("A context of ") && ways[0].design.n_ctx < 32768);
    let longer = Design { n_ctx: ways[0].design.n_ctx + 256, ..design.clone() };
    assert!(!estimate(&header, &longer, &tight, 0).fits, "it is the largest");
    assert!(ways[1].words.starts_with("Q8_0 fits") && ways[1].design.model.ends_with("Tiny-Q8_0.gguf"));
    assert!(nearest_fit(found.families.first(), &design, &machine(1 << 20), 0).is_empty(), "nothing fits");
}
