//! Products of quantized weights with many tokens at once, in tiles: a block of weights is unpacked once for eight tokens. llama.cpp does it
//! for each token (`ggml_vec_dot_q4_1_q8_1`, `ggml_vec_dot_q5_1_q8_1` in `ggml/src/ggml-cpu/arch/x86/quants.c`) or for two at a time
//! (`tinyBLAS_Q0_AVX` in `ggml/src/ggml-cpu/llamafile/sgemm.cpp`).
//!
//! Every sum is taken over the same values in the same order and with the same roundings, so results are the same to the last bit. For x86
//! with AVX2, FMA and F16C. A crate of its own for its optimisation level.
#![cfg(target_arch = "x86_64")]

use std::arch::x86_64::*;
use std::ops::Range;

/// Values in a block of weights or of activations (`QK4_0` and the like in `ggml-common.h`).
const BLOCK: usize = 32;
/// Tokens that share what is unpacked.
pub const TOKENS: usize = 8;
/// Rows of weights that stay in the nearest cache while all tokens pass.
const ROWS: usize = 32;

/// A format of weights. A block is a scale of 16 bits, in some a minimum of 16 bits, in some 32 fifth bits, then 32 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Scale; 4 bits a value, less 8
    Q4_0,
    /// Scale and minimum; 4 bits a value
    Q4_1,
    /// Scale; 5 bits a value, less 16
    Q5_0,
    /// Scale and minimum; 5 bits a value
    Q5_1,
    /// Scale; 8 bits a value, signed
    Q8_0,
    /// Scale; 4 bits a value, which choose one of 16
    Iq4Nl,
}

impl Kind {
    const fn has_minimum(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1)
    }

    const fn has_fifth_bits(self) -> bool {
        matches!(self, Self::Q5_0 | Self::Q5_1)
    }

    const fn head(self) -> usize {
        if self.has_minimum() { 4 } else { 2 }
    }

    /// Bytes of a block of weights.
    pub const fn bytes(self) -> usize {
        let fifths = if self.has_fifth_bits() { BLOCK / 8 } else { 0 };
        let values = if matches!(self, Self::Q8_0) { BLOCK } else { BLOCK / 2 };
        self.head() + fifths + values
    }

    /// Bytes of a block of activations: with a minimum `block_q8_1` (a scale and the scaled sum of the values, then 32 values of 8 bits),
    /// else `block_q8_0` (without the sum).
    pub const fn token_bytes(self) -> usize {
        self.head() + BLOCK
    }
}

/// What the values of IQ4_NL stand for (`kvalues_iq4nl` in `ggml-common.h`).
const IQ4_NL: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Whether the program is compiled for a processor that has the instructions: llama.cpp is compiled for the same one, and would round
/// otherwise without them.
pub const fn is_supported() -> bool {
    cfg!(all(target_feature = "avx2", target_feature = "fma", target_feature = "f16c"))
}

/// A product of weights (m rows of k blocks) and activations (n rows of k blocks).
pub struct Product<'a> {
    /// Format of the weights
    pub kind: Kind,
    /// Rows of weights, `weights_stride` bytes apart
    pub weights: &'a [u8],
    /// Bytes from one row of weights to the next
    pub weights_stride: usize,
    /// Rows of activations, `tokens_stride` bytes apart
    pub tokens: &'a [u8],
    /// Bytes from one row of activations to the next
    pub tokens_stride: usize,
    /// k: blocks of a row
    pub blocks: usize,
    /// n: rows of activations
    pub n_tokens: usize,
}

/// One block of eight tokens' activations, side by side.
struct Panel {
    values: [__m256i; TOKENS],
    scales: [f32; TOKENS],
    sums: __m256,
}

impl Product<'_> {
    /// Writes the product of weight row r in `range` with token t to `out[t * out_stride + r]`. Says whether it did: rows that are not there
    /// are not read.
    ///
    /// # Safety
    /// [`is_supported`]; `out` is valid for writes at these places, which nobody else touches meanwhile.
    pub unsafe fn write(&self, range: Range<usize>, out: *mut f32, out_stride: usize) -> bool {
        let ends = |rows: usize, stride: usize, bytes: usize| rows.checked_sub(1).map_or(0, |last| last * stride + self.blocks * bytes);
        if self.blocks == 0
            || ends(range.end, self.weights_stride, self.kind.bytes()) > self.weights.len()
            || ends(self.n_tokens, self.tokens_stride, self.kind.token_bytes()) > self.tokens.len()
        {
            return false;
        }
        // SAFETY: the caller vouches for the processor and for `out`
        unsafe {
            match self.kind {
                Kind::Q4_0 => self.all::<{ Kind::Q4_0 as u8 }>(range, out, out_stride),
                Kind::Q4_1 => self.all::<{ Kind::Q4_1 as u8 }>(range, out, out_stride),
                Kind::Q5_0 => self.all::<{ Kind::Q5_0 as u8 }>(range, out, out_stride),
                Kind::Q5_1 => self.all::<{ Kind::Q5_1 as u8 }>(range, out, out_stride),
                Kind::Q8_0 => self.all::<{ Kind::Q8_0 as u8 }>(range, out, out_stride),
                Kind::Iq4Nl => self.all::<{ Kind::Iq4Nl as u8 }>(range, out, out_stride),
            }
        }
        true
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn all<const KIND: u8>(&self, range: Range<usize>, out: *mut f32, out_stride: usize) {
        let panels = self.panels();
        let bytes = self.blocks * self.kind.bytes();
        for first in range.clone().step_by(ROWS) {
            for (group, panels) in panels.chunks_exact(self.blocks).enumerate() {
                let tokens = TOKENS.min(self.n_tokens - group * TOKENS);
                for row in first..range.end.min(first + ROWS) {
                    let at = row * self.weights_stride;
                    let products = dots::<KIND>(&self.weights[at..at + bytes], panels);
                    for (token, product) in products.iter().enumerate().take(tokens) {
                        // SAFETY: row and token are in their ranges, where the caller vouches for `out`
                        unsafe { *out.add((group * TOKENS + token) * out_stride + row) = *product };
                    }
                }
            }
        }
    }

    /// All activations, eight tokens side by side; tokens that fill up the last eight are 0.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn panels(&self) -> Vec<Panel> {
        let (head, size) = (self.kind.head(), self.kind.token_bytes());
        let mut panels = Vec::with_capacity(self.n_tokens.div_ceil(TOKENS) * self.blocks);
        for first in (0..self.n_tokens).step_by(TOKENS) {
            for block in 0..self.blocks {
                let (mut scales, mut sums) = ([0; TOKENS], [0; TOKENS]);
                let mut values = [_mm256_setzero_si256(); TOKENS];
                for token in 0..TOKENS.min(self.n_tokens - first) {
                    let at = (first + token) * self.tokens_stride + block * size;
                    let bytes = &self.tokens[at..at + size];
                    scales[token] = u16::from_le_bytes([bytes[0], bytes[1]]);
                    if head == 4 {
                        sums[token] = u16::from_le_bytes([bytes[2], bytes[3]]);
                    }
                    values[token] = load(&bytes[head..]);
                }
                panels.push(Panel { values, scales: floats(widened(scales)), sums: widened(sums) });
            }
        }
        panels
    }
}

const fn kind(number: u8) -> Kind {
    const ALL: [Kind; 6] = [Kind::Q4_0, Kind::Q4_1, Kind::Q5_0, Kind::Q5_1, Kind::Q8_0, Kind::Iq4Nl];
    ALL[number as usize]
}

/// The products of one row of weights with eight tokens.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn dots<const KIND: u8>(row: &[u8], panels: &[Panel]) -> [f32; TOKENS] {
    let kind = const { kind(KIND) };
    let mut minima = _mm256_setzero_ps();
    let mut products = [_mm256_setzero_ps(); TOKENS];
    for (block, panel) in row.chunks_exact(kind.bytes()).zip(panels) {
        let scale = if kind.has_minimum() {
            let head = _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from_le_bytes([block[0], block[1], block[2], block[3]])));
            // one rounding, as the compilers of llama.cpp contract it
            minima = _mm256_fmadd_ps(_mm256_broadcastss_ps(_mm_movehdup_ps(head)), panel.sums, minima);
            head
        } else {
            _mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(u16::from_le_bytes([block[0], block[1]]))))
        };
        let scale = _mm256_broadcastss_ps(scale);
        let weights = values::<KIND>(&block[kind.head()..]);
        let sizes = if kind.has_minimum() { weights } else { _mm256_abs_epi8(weights) };
        for token in 0..TOKENS {
            let signed = panel.values[token];
            let signed = if kind.has_minimum() { signed } else { _mm256_sign_epi8(signed, weights) };
            let sum = _mm256_cvtepi32_ps(fours(sizes, signed));
            products[token] = _mm256_fmadd_ps(sum, _mm256_mul_ps(scale, _mm256_set1_ps(panel.scales[token])), products[token]);
        }
    }
    let totals = totals(products);
    floats(if kind.has_minimum() { _mm256_add_ps(totals, minima) } else { totals })
}

/// The 32 values of a block, whose bytes begin after its head: not negative in formats with a minimum.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn values<const KIND: u8>(block: &[u8]) -> __m256i {
    match const { kind(KIND) } {
        Kind::Q8_0 => load(block),
        Kind::Q4_0 => _mm256_sub_epi8(nibbles(block), _mm256_set1_epi8(8)),
        Kind::Q4_1 => nibbles(block),
        Kind::Q5_0 => {
            let (bits, block) = block.split_at(BLOCK / 8);
            _mm256_or_si256(nibbles(block), _mm256_andnot_si256(spread(bits), _mm256_set1_epi8(-16)))
        }
        Kind::Q5_1 => {
            let (bits, block) = block.split_at(BLOCK / 8);
            _mm256_or_si256(nibbles(block), _mm256_and_si256(spread(bits), _mm256_set1_epi8(16)))
        }
        Kind::Iq4Nl => {
            // SAFETY: 16 bytes are there, and no alignment is asked for
            let table = unsafe { _mm_loadu_si128(IQ4_NL.as_ptr().cast()) };
            _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(block))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load(bytes: &[u8]) -> __m256i {
    assert!(bytes.len() >= BLOCK);
    // SAFETY: 32 bytes are there, and no alignment is asked for
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// The low halves of 16 bytes, then the high ones.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn nibbles(bytes: &[u8]) -> __m256i {
    assert!(bytes.len() >= BLOCK / 2);
    // SAFETY: 16 bytes are there, and no alignment is asked for
    let packed = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
    _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16::<4>(packed), packed), _mm256_set1_epi8(15))
}

/// 32 bytes of ones or zeros, one for each bit.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn spread(bits: &[u8]) -> __m256i {
    let bits = i32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
    let source = _mm256_set_epi64x(0x0303_0303_0303_0303, 0x0202_0202_0202_0202, 0x0101_0101_0101_0101, 0);
    let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(bits), source);
    // all bits but one are set, so that all are when that one is
    let but_one = _mm256_set1_epi64x(0x7fbf_dfef_f7fb_fdfe);
    _mm256_cmpeq_epi8(_mm256_or_si256(bytes, but_one), _mm256_set1_epi64x(-1))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn widened(halves: [u16; TOKENS]) -> __m256 {
    // SAFETY: eight halves are 16 bytes, and no alignment is asked for
    _mm256_cvtph_ps(unsafe { _mm_loadu_si128(halves.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats(x: __m256) -> [f32; TOKENS] {
    let mut floats = [0.0; TOKENS];
    // SAFETY: eight numbers are 32 bytes, and no alignment is asked for
    unsafe { _mm256_storeu_ps(floats.as_mut_ptr(), x) };
    floats
}

/// Sums of four products each of bytes up to 128 and signed bytes: whole numbers that fit, so it is the same in one step or in two.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fours(sizes: __m256i, signed: __m256i) -> __m256i {
    #[cfg(all(target_feature = "avx512vnni", target_feature = "avx512vl"))]
    {
        // SAFETY: the program is compiled for a processor that has it
        unsafe { _mm256_dpbusd_epi32(_mm256_setzero_si256(), sizes, signed) }
    }
    #[cfg(not(all(target_feature = "avx512vnni", target_feature = "avx512vl")))]
    {
        _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, signed), _mm256_set1_epi16(1))
    }
}

/// The sums of eight numbers each. Both halves of a vector are added, of what comes of it the even and the odd places, then these two: the
/// order of `hsum_float_8` and `hsum`.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn totals(x: [__m256; TOKENS]) -> __m256 {
    // the halves of token t, and of t + 4 beside it
    let halves = |t: usize| _mm256_add_ps(_mm256_permute2f128_ps::<0x31>(x[t], x[t + 4]), _mm256_permute2f128_ps::<0x20>(x[t], x[t + 4]));
    let pairs = |a: __m256, b: __m256| _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    let (first, second) = (pairs(halves(0), halves(1)), pairs(halves(2), halves(3)));
    _mm256_add_ps(_mm256_shuffle_ps::<0x44>(first, second), _mm256_shuffle_ps::<0xee>(first, second))
}
