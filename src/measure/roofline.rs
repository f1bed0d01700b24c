//! How close decoding comes to what the memory allows.
//!
//! One decoded token of one sequence reads every weight that takes part in it once, and the whole KV cache of its context: a memory-bound
//! step cannot be faster than reading those bytes (Williams, Waterman and Patterson 2009, applied to decoding).

use crate::protocol::CacheType;

/// The facts of a model and machine that bound its decode speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Read bandwidth of the machine, 10^9 bytes per second, with the threads that decode
    pub bandwidth_gb_s: f64,
    /// Bytes of weights read per token. Without the token embedding unless it is also the output matrix (one row of it is read), and of
    /// a mixture of experts only what a token is routed to
    pub weights: u64,
    /// Bytes of KV cache read per token of context
    pub kv_per_token: f64,
}

impl Roofline {
    /// Most tokens per second of one sequence at `context` tokens: `BW / (W + KV(c))`. `None` when nothing bounds it.
    pub fn bound(&self, context: f64) -> Option<f64> {
        let bytes = self.weights as f64 + self.kv_per_token * context.max(0.0);
        (bytes > 0.0 && self.bandwidth_gb_s > 0.0).then(|| self.bandwidth_gb_s * 1e9 / bytes)
    }

    /// What part of the bound a measured speed is: 1 is all the memory can give. Above 1 the weights fit in the processor's cache, or
    /// the bytes are counted wrongly: shown as it is, never clipped.
    pub fn fraction(&self, tokens_per_second: f64, context: f64) -> Option<f64> {
        self.bound(context).map(|bound| tokens_per_second / bound)
    }
}

/// What bounds both kinds of work of a model on a machine, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Of decoding
    pub decode: Option<Roofline>,
    /// Multiplications and additions of matrix products that the machine does, 10^9 per second
    pub gflops: Option<f64>,
    /// Those of a prompt token of the model: see [`ops_per_token`]; 0 when it is not known
    pub ops_per_token: f64,
}

/// Multiplications and additions that a prompt token costs: two for each weight of the matrices it goes through (Kaplan 2020, equation 2.2
/// without attention, which is a few per cent at the depths that are measured). `weights` counts the elements of those matrices: not the
/// embedding, of which one row is looked up, nor the output, which is computed for the last token of a prompt only.
pub fn ops_per_token(weights: f64) -> f64 {
    2.0 * weights
}

/// What part of the machine's arithmetic rate (10^9 operations per second) reading a prompt at `tokens_per_second` uses. Above 1 the
/// kernels of that quantization level are faster than the products that the rate was measured with: shown as it is. `None` when nothing
/// bounds it.
pub fn prefill_fraction(gflops: f64, ops_per_token: f64, tokens_per_second: f64) -> Option<f64> {
    (gflops > 0.0 && ops_per_token > 0.0).then(|| ops_per_token * tokens_per_second / (gflops * 1e9))
}

/// Bytes of KV cache per token of context: `n_layer * (row(type_k) + row(type_v))` with rows of `n_head_kv * n_embd / n_head` elements
/// (`llama-kv-cache.cpp`). Exact where all layers have the same heads and keys are as wide as values, which is the common case; 0 where
/// the header does not say.
pub fn kv_bytes_per_token(n_layer: u32, n_embd: u32, n_head: u32, n_head_kv: u32, type_k: CacheType, type_v: CacheType) -> f64 {
    if n_head == 0 {
        return 0.0;
    }
    let row = f64::from(n_embd) / f64::from(n_head) * f64::from(n_head_kv);
    let bytes = |t: CacheType| {
        let (elements, bytes) = t.block();
        row * bytes as f64 / elements as f64
    };
    f64::from(n_layer) * (bytes(type_k) + bytes(type_v))
}

/// Tokens in the KV cache, on average, while a cell generates: it starts at `depth + prompt` and grows by one per token.
pub fn mean_context(n_depth: u32, n_prompt: u32, n_gen: u32) -> f64 {
    f64::from(n_depth) + f64::from(n_prompt) + f64::from(n_gen) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_falls_with_context() {
        let roof = Roofline { bandwidth_gb_s: 20.0, weights: 100_000_000, kv_per_token: 10_000.0 };
        assert_eq!(roof.bound(0.0), Some(200.0));
        assert_eq!(roof.bound(10_000.0), Some(100.0));
        assert_eq!(roof.fraction(50.0, 0.0), Some(0.25));
    }

    #[test]
    fn nothing_to_read_has_no_bound() {
        assert_eq!(Roofline { bandwidth_gb_s: 20.0, weights: 0, kv_per_token: 0.0 }.bound(5.0), None);
        assert_eq!(Roofline { bandwidth_gb_s: 0.0, weights: 5, kv_per_token: 0.0 }.fraction(1.0, 5.0), None);
    }

    #[test]
    fn kv_of_the_starter_model() {
        // SmolLM2-135M: 30 layers, width 576, 9 heads, 3 KV heads: rows of 192 elements
        assert_eq!(kv_bytes_per_token(30, 576, 9, 3, CacheType::F16, CacheType::F16), 30.0 * 2.0 * 384.0);
        assert_eq!(kv_bytes_per_token(30, 576, 9, 3, CacheType::Q8_0, CacheType::Q8_0), 30.0 * 2.0 * 204.0);
        assert_eq!(kv_bytes_per_token(30, 576, 0, 0, CacheType::F16, CacheType::F16), 0.0);
    }

    #[test]
    fn context_of_a_cell() {
        assert_eq!(mean_context(512, 0, 128), 576.0);
    }
}
