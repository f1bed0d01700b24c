//! What the linker puts in front of llama.cpp's `llamafile_sgemm` (`ggml/src/ggml-cpu/llamafile/sgemm.cpp`): `--wrap` makes its callers call
//! [`__wrap_llamafile_sgemm`], which reaches it as [`__real_llamafile_sgemm`].
#![expect(unsafe_code, reason = "is called by llama.cpp with its matrices")]

use std::ffi::{c_int, c_void};

use inferscope_tiles::{Kind, Product, TOKENS, is_supported};
use llama_cpp_sys_2 as sys;

/// The start of `ggml_compute_params` (`ggml-cpu-impl.h`): which thread of how many this is.
#[repr(C)]
struct ComputeParams {
    ith: c_int,
    nth: c_int,
}

unsafe extern "C" {
    fn __real_llamafile_sgemm(
        params: *const ComputeParams,
        m: i64,
        n: i64,
        k: i64,
        a: *const c_void,
        lda: i64,
        b: *const c_void,
        ldb: i64,
        c: *mut c_void,
        ldc: i64,
        a_type: c_int,
        b_type: c_int,
        c_type: c_int,
    ) -> bool;
}

/// `c[j * ldc + i] = sum over k of a[i * lda + k] b[j * ldb + k]` for i < m and j < n, each thread its part; `k`, `lda` and `ldb` in blocks.
/// False where nothing was done.
#[unsafe(no_mangle)]
unsafe extern "C" fn __wrap_llamafile_sgemm(
    params: *const ComputeParams,
    m: i64,
    n: i64,
    k: i64,
    a: *const c_void,
    lda: i64,
    b: *const c_void,
    ldb: i64,
    c: *mut c_void,
    ldc: i64,
    a_type: c_int,
    b_type: c_int,
    c_type: c_int,
) -> bool {
    if let Some(kind) = kind_of(a_type, b_type, c_type)
        && super::is_asked()
        && n >= TOKENS as i64
        && is_supported()
        // SAFETY: llama.cpp hands its matrices with their true sizes, the parameters of this thread, and room for all m x n results
        && unsafe { multiply(kind, &*params, [m, n, k, lda, ldb, ldc], a.cast(), b.cast(), c.cast()) }
    {
        #[cfg(test)]
        super::DONE.set(super::DONE.get() + 1);
        return true;
    }
    // SAFETY: what llama.cpp called, with what it was called with
    unsafe { __real_llamafile_sgemm(params, m, n, k, a, lda, b, ldb, c, ldc, a_type, b_type, c_type) }
}

/// The format of the weights in a product that can be taken over.
fn kind_of(a_type: c_int, b_type: c_int, c_type: c_int) -> Option<Kind> {
    let (kind, tokens) = match a_type.cast_unsigned() {
        sys::GGML_TYPE_Q4_0 => (Kind::Q4_0, sys::GGML_TYPE_Q8_0),
        sys::GGML_TYPE_Q4_1 => (Kind::Q4_1, sys::GGML_TYPE_Q8_1),
        sys::GGML_TYPE_Q5_0 => (Kind::Q5_0, sys::GGML_TYPE_Q8_0),
        sys::GGML_TYPE_Q5_1 => (Kind::Q5_1, sys::GGML_TYPE_Q8_1),
        sys::GGML_TYPE_Q8_0 => (Kind::Q8_0, sys::GGML_TYPE_Q8_0),
        sys::GGML_TYPE_IQ4_NL => (Kind::Iq4Nl, sys::GGML_TYPE_Q8_0),
        _ => return None,
    };
    (b_type.cast_unsigned() == tokens && c_type.cast_unsigned() == sys::GGML_TYPE_F32).then_some(kind)
}

/// This thread's rows of the product; false without having done anything where a size is none.
///
/// # Safety
/// [`is_supported`]; `a` and `b` can be read and `c` written as the sizes say, by this thread in its share of the rows of `a`.
unsafe fn multiply(kind: Kind, params: &ComputeParams, sizes: [i64; 6], a: *const u8, b: *const u8, c: *mut f32) -> bool {
    let [Ok(m), Ok(n), Ok(k), Ok(lda), Ok(ldb), Ok(ldc)] = sizes.map(usize::try_from) else { return false };
    let (Ok(ith), Ok(nth)) = (usize::try_from(params.ith), usize::try_from(params.nth)) else { return false };
    if m == 0 || n == 0 || k == 0 || nth == 0 {
        return false;
    }
    let bytes = |rows: usize, stride: usize, size: usize| ((rows - 1) * stride + k) * size;
    let product = Product {
        kind,
        // SAFETY: the caller vouches for m rows of k blocks
        weights: unsafe { std::slice::from_raw_parts(a, bytes(m, lda, kind.bytes())) },
        weights_stride: lda * kind.bytes(),
        // SAFETY: the caller vouches for n rows of k blocks
        tokens: unsafe { std::slice::from_raw_parts(b, bytes(n, ldb, kind.token_bytes())) },
        tokens_stride: ldb * kind.token_bytes(),
        blocks: k,
        n_tokens: n,
    };
    // SAFETY: the caller vouches for the processor and for `c`; threads have different rows
    unsafe { product.write(m * ith / nth..m * (ith + 1) / nth, c, ldc) }
}
