#![expect(unsafe_code, reason = "computes a product of two matrices with ggml")]

use std::ptr::null;

use llama_cpp_sys_2 as sys;

use super::{Batched, DONE, computing};

/// Weights: rows, and values of each.
const ROWS: usize = 100;
const VALUES: usize = 192;

/// Numbers in -1..1 that look like weights: few are large.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 * 2.0 - 1.0
    };
    (0..count).map(|_| next() * next() * next()).collect()
}

/// What llama.cpp's CPU backend makes of quantized weights and this many tokens, as bits.
fn product(kind: sys::ggml_type, tokens: usize) -> Vec<u32> {
    let (weights, activations) = (numbers(1, ROWS * VALUES), numbers(2, tokens * VALUES));
    let mut out = vec![0.0f32; ROWS * tokens];
    let _computing = computing();
    // SAFETY: tensors of the sizes that are written and read, in a buffer that outlives the computation; everything is freed once
    unsafe {
        let ctx = sys::ggml_init(sys::ggml_init_params { mem_size: 1 << 20, mem_buffer: std::ptr::null_mut(), no_alloc: true });
        let backend = sys::ggml_backend_dev_init(sys::ggml_backend_dev_by_type(sys::GGML_BACKEND_DEVICE_TYPE_CPU), null());
        let a = sys::ggml_new_tensor_2d(ctx, kind, VALUES as i64, ROWS as i64);
        let b = sys::ggml_new_tensor_2d(ctx, sys::GGML_TYPE_F32, VALUES as i64, tokens as i64);
        let c = sys::ggml_mul_mat(ctx, a, b);
        let graph = sys::ggml_new_graph(ctx);
        sys::ggml_build_forward_expand(graph, c);
        let buffer = sys::ggml_backend_alloc_ctx_tensors(ctx, backend);
        assert!(!buffer.is_null());
        let mut packed = vec![0u8; sys::ggml_row_size(kind, VALUES as i64) * ROWS];
        let size = sys::ggml_quantize_chunk(kind, weights.as_ptr(), packed.as_mut_ptr().cast(), 0, ROWS as i64, VALUES as i64, null());
        assert_eq!(size, packed.len());
        sys::ggml_backend_tensor_set(a, packed.as_ptr().cast(), 0, packed.len());
        sys::ggml_backend_tensor_set(b, activations.as_ptr().cast(), 0, size_of_val(activations.as_slice()));
        assert_eq!(sys::ggml_backend_graph_compute(backend, graph), sys::GGML_STATUS_SUCCESS);
        sys::ggml_backend_tensor_get(c, out.as_mut_ptr().cast(), 0, size_of_val(out.as_slice()));
        sys::ggml_backend_buffer_free(buffer);
        sys::ggml_backend_free(backend);
        sys::ggml_free(ctx);
    }
    out.into_iter().map(f32::to_bits).collect()
}

#[test]
fn many_tokens_at_once_give_the_same_bits_as_one_by_one() {
    let ours =
        [sys::GGML_TYPE_Q4_0, sys::GGML_TYPE_Q4_1, sys::GGML_TYPE_Q5_0, sys::GGML_TYPE_Q5_1, sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_IQ4_NL];
    for kind in ours.into_iter().chain([sys::GGML_TYPE_F16]) {
        for tokens in [1, 7, 8, 13, 64] {
            let before = DONE.get();
            let alone = product(kind, tokens);
            assert_eq!(DONE.get(), before, "taken over, and nobody asked");
            let together = {
                let _batched = Batched::start();
                product(kind, tokens)
            };
            assert_eq!(alone, together, "type {kind}, {tokens} tokens");
            assert!(alone.iter().any(|bits| *bits != 0));
            let expected = ours.contains(&kind) && tokens >= 8 && inferscope_tiles::is_supported();
            assert_eq!(DONE.get() > before, expected, "type {kind}, {tokens} tokens: taken over");
        }
    }
}
