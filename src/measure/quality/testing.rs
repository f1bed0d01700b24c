//! What the tests of this module share: generated rows, and the definitions written down once more without any thought of speed.

/// SplitMix64, so that llama.cpp's own functions could be run on the same numbers (see the golden figures in the tests).
pub(crate) struct Draws(pub u64);

impl Draws {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Four 16-bit numbers added up, as 0..16 in steps of 2^-14.
    pub fn bell(&mut self) -> f32 {
        let u = self.next();
        ((u & 65535) + ((u >> 16) & 65535) + ((u >> 32) & 65535) + (u >> 48)) as f32 / 16384.0
    }

    /// A 16-bit number less `centre`, over `scale`.
    pub fn even(&mut self, centre: f32, scale: f32) -> f32 {
        ((self.next() & 65535) as f32 - centre) / scale
    }
}

/// A reference's row, a candidate's row that strays by up to `noise / 2` per logit, and the token that came next.
pub(crate) fn rows(seed: u64, n: usize, noise: f32) -> (Vec<f32>, Vec<f32>, u32) {
    let mut draws = Draws(seed);
    let reference: Vec<f32> = (0..n).map(|_| 2.0 * draws.bell()).collect();
    let candidate = reference.iter().map(|v| v + draws.even(32768.0, 65536.0) * noise).collect();
    let mut token = draws.next() as usize % n;
    for _ in 0..63 {
        let other = draws.next() as usize % n;
        if reference[other] > reference[token] {
            token = other;
        }
    }
    (reference, candidate, token as u32)
}

/// `ln p` of a whole row in `f64`.
pub(crate) fn log_softmax(row: &[f32]) -> Vec<f64> {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|v| f64::from(v - max).exp()).sum();
    row.iter().map(|v| f64::from(*v) - f64::from(max) - sum.ln()).collect()
}

/// KL divergence in `f64` as the textbook has it.
pub(crate) fn kld(reference: &[f32], candidate: &[f32]) -> f64 {
    let terms = log_softmax(reference).into_iter().zip(log_softmax(candidate));
    terms.filter(|(p, _)| *p > f64::NEG_INFINITY).map(|(p, q)| p.exp() * (p - q)).sum()
}

/// Ids in the order of their logits, best first, the lower id first among equals.
pub(crate) fn order(row: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..row.len() as u32).collect();
    ids.sort_by(|a, b| row[*b as usize].partial_cmp(&row[*a as usize]).unwrap());
    ids
}

pub(crate) fn near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1e-3)
}
