//! Loops over rows of logits, written so that the compiler makes vector instructions of them. It does from opt-level 2 on: a crate of its
//! own, so that the development profile compiles it like a library and the rest of the program quickly.
//!
//! Exponentials are taken in `f32` around the row's maximum and summed in `f64`, as llama-perplexity does (`log_softmax` in
//! `tools/perplexity/perplexity.cpp` of llama.cpp).

use std::cmp::Ordering;

/// Values per step of the loops over exponentials.
pub const LANES: usize = 16;

/// Values per peak; see [`Scan::top`].
pub const BLOCK: usize = 64;

/// e^x in `f32` for x <= 0, within 1.5e-7 of the value; 0 below -87.3, where `f32` ends; not a number for what is not a number.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, then Cephes' polynomial for `e^r` and `n` added to the exponent: no branch and no call, so
/// that loops over it become vector instructions. llama.cpp calls libm's `expf` here, which prevents that.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.3;
    // adding and taking it away again rounds to an integer, which the low bits of the sum hold: 1.5 * 2^23
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few enough bits for n times it to be exact
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = multiply_add(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add(n, -LN2_LOW, multiply_add(n, -LN2_HIGH, clamped));
    let mut tail = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        tail = multiply_add(tail, r, coefficient);
    }
    let power = multiply_add(tail, r * r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if x < LOWEST { 0.0 } else { power * scale }
}

/// `a * b + c`, in one instruction where the target has it: without, `mul_add` would be a call into libm.
#[inline(always)]
pub fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) { a.mul_add(b, c) } else { a * b + c }
}

/// The last values of a row as a full step; the filler has probability 0.
#[inline(always)]
pub fn padded<const N: usize>(rest: &[f32]) -> [f32; N] {
    let mut full = [f32::NEG_INFINITY; N];
    for (slot, value) in full.iter_mut().zip(rest) {
        *slot = *value;
    }
    full
}

/// A number that orders as the logit with these bits does, and the same function back: the largest of whole numbers becomes vector
/// instructions, the largest of floating-point numbers does not.
#[inline(always)]
pub fn ordered(bits: i32) -> i32 {
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// The largest of a block; what is not a number counts as larger than infinity if its sign is plus, else as smaller.
#[inline(always)]
pub fn peak(block: &[f32; BLOCK]) -> f32 {
    let largest = block.iter().fold(i32::MIN, |a, v| a.max(ordered(v.to_bits().cast_signed())));
    f32::from_bits(ordered(largest).cast_unsigned())
}

/// How many of a block are larger than a limit.
#[inline(always)]
pub fn count_above(block: &[f32; BLOCK], limit: f32) -> u32 {
    block.iter().map(|v| u32::from(*v > limit)).sum()
}

/// What a pass of comparisons finds out about a row.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Largest logit; not finite if the row is of no use
    pub max: f32,
    /// Place of the token by logit, from 1; among equals the lower id comes first
    pub rank: u32,
    /// Largest logit of each block of the row
    peaks: Vec<f32>,
}

impl Scan {
    /// Looks through a row for its maximum and for the place of the token `at`. `None` for a token outside the row.
    pub fn of(row: &[f32], at: usize) -> Option<Self> {
        let value = *row.get(at)?;
        let own = at / BLOCK;
        let mut peaks = Vec::with_capacity(row.len() / BLOCK + 1);
        let mut above = 0;
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        for (index, block) in blocks.iter().chain([&padded(rest)]).enumerate() {
            // before the token's own block, an equal logit is above it
            let limit = if index < own { value.next_down() } else { value };
            let peak = peak(block);
            if peak > limit {
                above += count_above(block, limit);
            }
            peaks.push(peak);
        }
        let equals = row.get(own * BLOCK..at)?.iter().filter(|v| **v == value).count();
        let max = peaks.iter().copied().max_by(f32::total_cmp)?;
        Some(Self { max, rank: 1 + above + equals as u32, peaks })
    }

    /// The `k` largest logits of the row with their ids, largest first, the lower id first among equals.
    ///
    /// They are at least as large as the k-th largest of the blocks' peaks, so only some k blocks have to be searched.
    pub fn top(&self, row: &[f32], k: usize) -> Vec<(u32, f32)> {
        let mut peaks = self.peaks.clone();
        let floor = match k.checked_sub(1) {
            None => return Vec::new(),
            Some(last) if last < peaks.len() => *peaks.select_nth_unstable_by(last, |a, b| b.total_cmp(a)).1,
            Some(_) => f32::NEG_INFINITY,
        };
        let mut found = Vec::new();
        for (index, (block, peak)) in row.chunks(BLOCK).zip(&self.peaks).enumerate() {
            if *peak >= floor {
                let ids = (index * BLOCK) as u32..;
                found.extend(ids.zip(block.iter().copied()).filter(|(_, v)| *v >= floor));
            }
        }
        found.sort_unstable_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0)));
        found.truncate(k);
        found
    }
}

/// The smallest logit of a row; that of an empty row is infinite.
pub fn smallest(row: &[f32]) -> f32 {
    let smallest = row.iter().fold(i32::MAX, |a, v| a.min(ordered(v.to_bits().cast_signed())));
    if row.is_empty() { f32::INFINITY } else { f32::from_bits(ordered(smallest).cast_unsigned()) }
}

/// `sum_i exp(l_i - max)`. Not a number if a logit is not.
pub fn sum_exp(row: &[f32], max: f32) -> f64 {
    let mut sum = [0f64; LANES];
    let mut step = |lanes: &[f32; LANES]| {
        for lane in 0..LANES {
            sum[lane] += f64::from(exp(lanes[lane] - max));
        }
    };
    let (steps, rest) = row.as_chunks::<LANES>();
    steps.iter().for_each(&mut step);
    step(&padded(rest));
    sum.iter().sum()
}

/// The sums that a KL divergence is made of, with `r_i` and `c_i` counted from the maximum of their row.
#[derive(Clone, Copy, Debug)]
pub struct Sums {
    /// `sum_i exp(r_i)`
    pub reference: f64,
    /// `sum_i exp(c_i)`
    pub candidate: f64,
    /// `sum_i exp(r_i) * (r_i - c_i)`
    pub cross: f64,
}

/// Takes all three sums in one pass over two rows of equal length.
pub fn sums(reference: &[f32], reference_max: f32, candidate: &[f32], candidate_max: f32) -> Sums {
    let (mut of_reference, mut of_candidate, mut cross) = ([0f64; LANES], [0f64; LANES], [0f64; LANES]);
    let mut step = |r: &[f32; LANES], c: &[f32; LANES]| {
        for lane in 0..LANES {
            let (dr, dc) = (r[lane] - reference_max, c[lane] - candidate_max);
            let (er, ec) = (exp(dr), exp(dc));
            of_reference[lane] += f64::from(er);
            of_candidate[lane] += f64::from(ec);
            // a masked logit of the reference: 0 * infinity has to be 0
            cross[lane] += f64::from(if er == 0.0 { 0.0 } else { er * (dr - dc) });
        }
    };
    let (steps, rest) = reference.as_chunks::<LANES>();
    let (candidate_steps, candidate_rest) = candidate.as_chunks::<LANES>();
    steps.iter().zip(candidate_steps).for_each(|(r, c)| step(r, c));
    step(&padded(rest), &padded(candidate_rest));
    Sums { reference: of_reference.iter().sum(), candidate: of_candidate.iter().sum(), cross: cross.iter().sum() }
}

/// What a head of the largest logits leaves of a row.
#[derive(Clone, Debug)]
pub struct Tail {
    /// `sum exp(l_i - max)` for each block of the row
    masses: Vec<f64>,
    /// `sum exp(l_i - max)`
    pub mass: f64,
    /// `sum exp(l_i - max) * (l_i - max)`
    pub weighted: f64,
}

/// Whether an entry follows `last` in the order of [`Scan::top`].
pub fn follows(id: u32, logit: f32, last: (u32, f32)) -> bool {
    logit < last.1 || logit == last.1 && id > last.0
}

impl Tail {
    /// Sums up a row and takes off the head that [`Scan::top`] found: the very same `f32`, so only `f64` is rounded.
    pub fn of(row: &[f32], max: f32, head: &[(u32, f32)]) -> Self {
        let mut masses = Vec::with_capacity(row.len() / BLOCK + 1);
        let mut weighted = [0f64; LANES];
        let mut add = |block: &[f32; BLOCK]| {
            let mut mass = [0f64; LANES];
            for lanes in block.as_chunks::<LANES>().0 {
                for lane in 0..LANES {
                    let x = lanes[lane] - max;
                    let e = exp(x);
                    mass[lane] += f64::from(e);
                    weighted[lane] += f64::from(if e == 0.0 { 0.0 } else { e * x });
                }
            }
            masses.push(mass.iter().sum::<f64>());
        };
        let (blocks, rest) = row.as_chunks::<BLOCK>();
        blocks.iter().for_each(&mut add);
        add(&padded(rest));
        let mut weighted: f64 = weighted.iter().sum();
        for (id, logit) in head {
            let x = logit - max;
            let e = exp(x);
            if let Some(mass) = masses.get_mut(*id as usize / BLOCK).filter(|_| e > 0.0) {
                *mass = (*mass - f64::from(e)).max(0.0);
                weighted -= f64::from(e * x);
            }
        }
        Self { mass: masses.iter().sum(), masses, weighted }
    }

    /// The entries in which the tail's mass reaches `(offset + j) / n` of it, for `j` in `0..n`: with `offset` drawn evenly from 0..1, a
    /// systematic sample in which each entry is expected `n * exp(l_i - max) / mass` times. Empty for a tail without mass.
    pub fn sample(&self, row: &[f32], max: f32, last: (u32, f32), n: usize, offset: f64) -> Vec<(u32, f32)> {
        let mut found = Vec::with_capacity(n);
        let mut points = (0..n).map(|j| (j as f64 + offset) / n as f64 * self.mass).peekable();
        let mut passed = 0.0;
        for (index, (block, mass)) in row.chunks(BLOCK).zip(&self.masses).enumerate() {
            let end = passed + mass;
            if points.peek().is_some_and(|point| *point < end) {
                let mut reached = passed;
                for (id, logit) in ((index * BLOCK) as u32..).zip(block.iter().copied()).filter(|(id, l)| follows(*id, *l, last)) {
                    reached += f64::from(exp(logit - max));
                    while points.next_if(|point| *point < reached).is_some() {
                        found.push((id, logit));
                    }
                }
            }
            passed = end;
        }
        found
    }
}
