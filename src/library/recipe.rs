//! What quantizing would make of a model, foretold from its header: llama.cpp's choice of a type for every tensor
//! (`llama_tensor_get_type_impl`, `tensor_type_fallback` and `tensor_requires_imatrix` of llama-quant.cpp), without an importance matrix.

use super::gguf::types::{
    BF16, F16, F32, IQ1_M, IQ1_S, IQ2_S, IQ2_XS, IQ2_XXS, IQ3_S, IQ3_XXS, IQ4_NL, IQ4_XS, Q2_K, Q3_K, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K,
    Q6_K, Q8_0, TQ1_0, TQ2_0,
};
use super::gguf::{Header, TensorInfo, TensorType};
use crate::protocol::FileType;

type Ty = &'static TensorType;

/// What quantizing would make.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Forecast {
    /// Bytes of the file
    pub bytes: u64,
    /// 8 * tensor bytes / weights
    pub bpw: f64,
    /// Tensors that cannot take their type and get another, because of the length of their rows
    pub fallbacks: u32,
    /// llama.cpp would refuse without an importance matrix
    pub needs_imatrix: bool,
    /// Share of the matrices' weights (0 to 1) that really get the type the level is named after
    pub named_share: f64,
}

/// The type that most tensors of a level get (`llama_ftype_get_default_type`).
pub fn default_type(level: &FileType) -> Option<Ty> {
    Some(match level.name {
        "F32" => &F32,
        "F16" => &F16,
        "BF16" => &BF16,
        "Q8_0" => &Q8_0,
        "Q6_K" => &Q6_K,
        "Q5_1" => &Q5_1,
        "Q5_0" => &Q5_0,
        "Q5_K_M" | "Q5_K_S" => &Q5_K,
        "Q4_1" => &Q4_1,
        "Q4_0" => &Q4_0,
        "Q4_K_M" | "Q4_K_S" => &Q4_K,
        "IQ4_NL" => &IQ4_NL,
        "IQ4_XS" => &IQ4_XS,
        "Q3_K_L" | "Q3_K_M" | "Q3_K_S" => &Q3_K,
        "IQ3_M" | "IQ3_S" | "IQ3_XS" => &IQ3_S,
        "IQ3_XXS" => &IQ3_XXS,
        "Q2_K" | "Q2_K_S" => &Q2_K,
        "IQ2_M" => &IQ2_S,
        "IQ2_S" | "IQ2_XS" => &IQ2_XS,
        "IQ2_XXS" => &IQ2_XXS,
        "IQ1_M" => &IQ1_M,
        "IQ1_S" => &IQ1_S,
        "TQ2_0" => &TQ2_0,
        "TQ1_0" => &TQ1_0,
        _ => return None,
    })
}

/// Foretells the file that quantizing `header`'s model to `level` would make. `None` for a level without a recipe.
pub fn forecast(header: &Header, level: &FileType) -> Option<Forecast> {
    let default = default_type(level)?;
    let mut state = State::new(header, level.name);
    let mut result = Forecast { bytes: header.data_offset, ..Forecast::default() };
    let (mut tensor_bytes, mut elements, mut matrices, mut named) = (0u64, 0u64, 0u64, 0u64);
    for tensor in in_llama_order(header) {
        let ty = if !allows_quantization(tensor) {
            tensor.ty
        } else if default.is_quantized() {
            let wanted = state.choose(tensor, default);
            let given = fit(tensor, wanted);
            result.fallbacks += u32::from(given != wanted);
            result.needs_imatrix |= requires_imatrix(tensor, given, level.name);
            given
        } else {
            default
        };
        let bytes = ty.size_of(tensor.columns(), tensor.rows()).unwrap_or(tensor.bytes);
        result.bytes = result.bytes.saturating_add(bytes.checked_next_multiple_of(32)?);
        tensor_bytes = tensor_bytes.saturating_add(bytes);
        elements = elements.saturating_add(tensor.elements);
        if tensor.n_dims() > 1 {
            matrices = matrices.saturating_add(tensor.elements);
            named = named.saturating_add(if ty == default { tensor.elements } else { 0 });
        }
    }
    result.bpw = 8.0 * tensor_bytes as f64 / elements.max(1) as f64;
    result.named_share = named as f64 / matrices.max(1) as f64;
    Some(result)
}

/// llama.cpp walks through tensors by layer, then by name; some choices count them.
fn in_llama_order(header: &Header) -> Vec<&TensorInfo> {
    let mut order: Vec<_> = header.tensors.iter().collect();
    order.sort_by_key(|t| (layer_of(&t.name).map_or(-1, i64::from), &t.name));
    order
}

fn layer_of(name: &str) -> Option<u32> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}

/// `tensor_allows_quantization`
fn allows_quantization(tensor: &TensorInfo) -> bool {
    const KEPT: [&str; 31] = [
        "_norm.weight",
        "ffn_gate_inp.weight",
        "ffn_gate_tid2eid.weight",
        "altup",
        "laurel",
        "per_layer_model_proj",
        "ssm_conv1d",
        "shortconv.conv.weight",
        "indexer.k_proj.weight",
        "indexer.q_proj.weight",
        "time_mix_first.weight",
        "time_mix_w0.weight",
        "time_mix_w1.weight",
        "time_mix_w2.weight",
        "time_mix_v0.weight",
        "time_mix_v1.weight",
        "time_mix_v2.weight",
        "time_mix_a0.weight",
        "time_mix_a1.weight",
        "time_mix_a2.weight",
        "time_mix_g1.weight",
        "time_mix_g2.weight",
        "time_mix_decay_w1.weight",
        "time_mix_decay_w2.weight",
        "time_mix_lerp_fused.weight",
        "attn_rel_b.weight",
        ".position_embd",
        ".rel_pos",
        ".patch_embd",
        ".patch_merger",
        "a.rvq.codebook",
    ];
    let name = tensor.name.as_str();
    tensor.n_dims() > 1
        && name.ends_with("weight")
        && !KEPT.iter().any(|part| name.contains(part))
        && !matches!(name, "position_embd.weight" | "token_types.weight")
}

/// `tensor_type_fallback`
fn fit(tensor: &TensorInfo, wanted: Ty) -> Ty {
    let columns = tensor.columns();
    if columns.is_multiple_of(wanted.block) {
        return wanted;
    }
    let narrow: Ty = match wanted.name {
        "IQ1_S" | "IQ1_M" | "IQ2_XXS" | "IQ2_XS" | "IQ2_S" | "IQ3_XXS" | "IQ3_S" | "IQ4_XS" => &IQ4_NL,
        "Q2_K" | "Q3_K" | "TQ1_0" | "TQ2_0" => &Q4_0,
        "Q4_K" => &Q5_0,
        "Q5_K" => &Q5_1,
        "Q6_K" => &Q8_0,
        _ => wanted,
    };
    if columns.is_multiple_of(narrow.block) { narrow } else { &F16 }
}

/// `tensor_requires_imatrix`
fn requires_imatrix(tensor: &TensorInfo, ty: Ty, level: &str) -> bool {
    if matches!(tensor.name.as_str(), "token_embd.weight" | "per_layer_token_embd.weight" | "output.weight") {
        return false;
    }
    match ty.name {
        "IQ3_XXS" | "IQ2_XXS" | "IQ2_XS" | "IQ2_S" | "IQ1_M" | "IQ1_S" => true,
        "Q2_K" => level == "Q2_K_S",
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    TokenEmbedding,
    Q,
    K,
    /// V, or a tensor that holds V with others
    V,
    AttentionOutput,
    FfnUp,
    FfnGate,
    FfnDown,
    Output,
    Other,
}

impl Part {
    /// `tensor_get_category`
    fn of(name: &str) -> Self {
        match name {
            "output.weight" => Self::Output,
            "token_embd.weight" | "per_layer_token_embd.weight" => Self::TokenEmbedding,
            _ if ["attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"].iter().any(|part| name.contains(part)) => Self::V,
            _ if name.contains("attn_k.weight") => Self::K,
            _ if name.contains("attn_q.weight") => Self::Q,
            _ if name.contains("attn_output.weight") => Self::AttentionOutput,
            _ if name.contains("ffn_up") => Self::FfnUp,
            _ if name.contains("ffn_gate") => Self::FfnGate,
            _ if name.contains("ffn_down") => Self::FfnDown,
            _ => Self::Other,
        }
    }
}

/// `quantize_state_impl`: facts of the model and the counters that go up while tensors pass by.
struct State<'a> {
    level: &'a str,
    falcon: bool,
    shares_heads: bool,
    seventy: bool,
    tied: bool,
    experts: u64,
    layers: u32,
    n_v: u32,
    i_v: u32,
    i_down: u32,
    i_gate: u32,
    i_up: u32,
}

fn more_bits(i: u32, n: u32) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

impl<'a> State<'a> {
    fn new(header: &Header, level: &'a str) -> Self {
        let info = header.info();
        let layers = info.n_layer;
        Self {
            level,
            falcon: info.arch == "falcon",
            shares_heads: info.n_head_kv > 0 && info.n_head / info.n_head_kv >= 4,
            seventy: info.arch == "llama" && layers == 80 && info.n_head != info.n_head_kv,
            tied: header.is_tied(),
            experts: header.arch_number("expert_count").unwrap_or(0),
            layers,
            n_v: header.tensors.iter().filter(|t| Part::of(&t.name) == Part::V).count() as u32,
            i_v: 0,
            i_down: 0,
            i_gate: 0,
            i_up: 0,
        }
    }

    /// `llama_tensor_get_type_impl`
    fn choose(&mut self, tensor: &TensorInfo, default: Ty) -> Ty {
        let lattice = matches!(self.level, "IQ2_XXS" | "IQ2_XS" | "IQ1_S" | "IQ2_S" | "IQ2_M" | "IQ1_M");
        match Part::of(&tensor.name) {
            Part::Output => self.output(tensor, default),
            Part::TokenEmbedding if self.tied => self.output(tensor, default),
            Part::TokenEmbedding => self.embedding(default),
            part if lattice => self.lattice(part, default),
            Part::V => self.value(default),
            Part::K if self.experts == 8 => &Q8_0,
            Part::K | Part::Q => match self.level {
                "IQ3_XS" => &IQ3_XXS,
                "IQ3_XXS" => &IQ2_S,
                _ => default,
            },
            Part::FfnDown => self.down(tensor, default),
            Part::AttentionOutput => self.attention_output(default),
            part @ (Part::FfnGate | Part::FfnUp) => self.gate_or_up(part, tensor, default),
            Part::Other => default,
        }
    }

    fn output(&self, tensor: &TensorInfo, default: Ty) -> Ty {
        if self.falcon || !tensor.columns().is_multiple_of(default.block) {
            return &Q8_0;
        }
        match self.level {
            "IQ2_XXS" | "IQ2_XS" | "IQ3_XXS" | "IQ1_S" | "IQ2_S" | "IQ2_M" | "IQ1_M" => &Q5_K,
            _ if default == &Q8_0 => default,
            _ => &Q6_K,
        }
    }

    fn embedding(&self, default: Ty) -> Ty {
        match self.level {
            "IQ2_XXS" | "IQ2_XS" | "IQ1_S" | "IQ1_M" => &Q2_K,
            "IQ2_S" | "IQ2_M" | "IQ3_XXS" => &IQ3_S,
            "TQ1_0" | "TQ2_0" => &Q4_K,
            _ => default,
        }
    }

    fn lattice(&mut self, part: Part, default: Ty) -> Ty {
        let larger = matches!(self.level, "IQ2_S" | "IQ2_M");
        let step: Ty = if larger { &IQ3_S } else { &Q2_K };
        match part {
            Part::V if self.shares_heads || self.experts >= 4 => &Q4_K,
            Part::V => step,
            Part::K if self.experts == 8 => &Q4_K,
            Part::FfnDown => {
                self.i_down += 1;
                if self.i_down <= self.layers / 8 { step } else { default }
            }
            Part::AttentionOutput if self.experts == 8 => &Q5_K,
            Part::AttentionOutput if larger => &IQ3_S,
            Part::AttentionOutput if matches!(self.level, "IQ1_S" | "IQ1_M") => &IQ2_XXS,
            _ => default,
        }
    }

    fn value(&mut self, default: Ty) -> Ty {
        let i = self.i_v;
        self.i_v += 1;
        if self.experts == 8 {
            return &Q8_0;
        }
        let shared = self.shares_heads;
        let ty: Ty = match self.level {
            "Q2_K" => {
                if shared {
                    &Q4_K
                } else {
                    &Q3_K
                }
            }
            "Q2_K_S" | "IQ3_XS" | "IQ3_S" if shared => &Q4_K,
            "IQ3_XXS" => {
                if shared {
                    &Q4_K
                } else {
                    &IQ3_S
                }
            }
            "IQ3_M" => &Q4_K,
            "Q3_K_M" => {
                if i < 2 {
                    &Q5_K
                } else {
                    &Q4_K
                }
            }
            "Q3_K_L" => &Q5_K,
            "IQ4_NL" | "IQ4_XS" if shared => &Q5_K,
            "Q4_K_M" | "Q5_K_M" if more_bits(i, self.n_v) => &Q6_K,
            "Q4_K_S" if i < 4 => &Q5_K,
            _ => default,
        };
        if self.seventy && (ty == &Q3_K || ty == &Q4_K) { &Q5_K } else { ty }
    }

    /// Layer of a feed-forward tensor: counted, or read from the name where experts are sprinkled over the file.
    fn layer(&self, tensor: &TensorInfo, counted: u32) -> u32 {
        if self.experts > 1 { layer_of(&tensor.name).unwrap_or(counted) } else { counted }
    }

    fn down(&mut self, tensor: &TensorInfo, default: Ty) -> Ty {
        let (i, n) = (self.layer(tensor, self.i_down), self.layers);
        self.i_down += 1;
        let first = i < n / 8;
        match self.level {
            "Q2_K" => &Q3_K,
            "Q2_K_S" if first => &Q4_K,
            "IQ3_XXS" => {
                if first {
                    &Q4_K
                } else {
                    &Q3_K
                }
            }
            "Q3_K_M" if i < n / 16 => &Q5_K,
            "Q3_K_M" if !self.falcon || more_bits(i, n) => &Q4_K,
            "IQ3_M" if first || (self.experts == 8 && more_bits(i, n)) => &Q4_K,
            "Q3_K_L" => {
                if self.falcon {
                    &Q4_K
                } else {
                    &Q5_K
                }
            }
            "Q4_K_M" if self.falcon && i < n / 16 => &Q6_K,
            "Q4_K_M" if self.falcon && more_bits(i, n) => &Q5_K,
            "Q4_K_M" | "Q5_K_M" if !(self.falcon && self.level == "Q4_K_M") && more_bits(i, n) => &Q6_K,
            "IQ4_NL" | "IQ4_XS" if first => &Q5_K,
            "Q4_K_S" if !self.falcon && first => &Q5_K,
            _ => default,
        }
    }

    fn attention_output(&self, default: Ty) -> Ty {
        if self.falcon {
            return if self.level == "Q3_K_L" { &Q4_K } else { default };
        }
        if self.experts == 8 {
            let raised = ["Q2_K", "IQ3_XS", "IQ3_XXS", "Q3_K_S", "Q3_K_M", "IQ4_NL", "Q4_K_S", "Q4_K_M", "IQ3_S", "IQ3_M", "IQ4_XS"];
            return if raised.contains(&self.level) { &Q5_K } else { default };
        }
        match self.level {
            "Q2_K" => &Q3_K,
            "IQ3_XXS" => &IQ3_S,
            "Q3_K_M" | "IQ3_M" => &Q4_K,
            "Q3_K_L" => &Q5_K,
            _ => default,
        }
    }

    fn gate_or_up(&mut self, part: Part, tensor: &TensorInfo, default: Ty) -> Ty {
        let counter = if part == Part::FfnGate { self.i_gate } else { self.i_up };
        let (i, n) = (self.layer(tensor, counter), self.layers);
        if part == Part::FfnGate {
            self.i_gate += 1;
        } else {
            self.i_up += 1;
        }
        if self.level == "IQ3_XS" && i >= n / 8 && i < 7 * n / 8 { &IQ3_XXS } else { default }
    }
}
