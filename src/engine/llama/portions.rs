//! In which portions a prompt is read where the processor computes attention.
//!
//! llama.cpp's fused attention for processors works in tiles of 64 tokens on a batch of at least so many, and token by token on a smaller one
//! (`ggml_compute_forward_flash_attn_ext_f16` of `ggml-cpu/ops.cpp`, `GGML_FA_TILE_Q`). With 1,900 tokens before them, 63 tokens take 1.4 s
//! and 64 take 0.2 s (SmolLM2-135M, two cores). So nothing is read in smaller batches where a larger one takes less time, even if that means
//! that the last tokens of the cache are read once more.

use crate::protocol::{CacheType, Design, Effective, ModelInfo};

/// Tokens of a tile.
const TILE: usize = 64;
/// Operations a second against each other, as they were measured on two cores with AVX-512: attention token by token 6 GFLOPS, in tiles 50,
/// products with the weights 80 (Q4_1) to 400 (Q8_0 with AMX).
const ROWS: f64 = 6.0;
const TILES: f64 = 50.0;
const WEIGHTS: f64 = 80.0;

/// What reading costs a model in a context; by default nothing is known, and portions are what is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Portions(Option<Costs>);

/// Floating-point operations.
#[derive(Clone, Copy, Debug)]
struct Costs {
    /// Of a token, with the weights: two a parameter
    weights: f64,
    /// Of a token with each token before it: products with the key and the value, two operations an element, in every layer
    attention: f64,
}

impl Portions {
    /// For a context as it became; `is_cpu` when nothing is computed elsewhere.
    pub(super) fn of(info: &ModelInfo, design: &Design, effective: &Effective, is_cpu: bool) -> Self {
        let is_fused = effective.settings.iter().any(|setting| setting.name == "flash_attention" && setting.effective == "on");
        let in_tiles = design.type_k == design.type_v && matches!(design.type_k, CacheType::F16 | CacheType::F32);
        let costs = Costs { weights: 2.0 * info.n_params as f64, attention: 4.0 * f64::from(info.n_embd) * f64::from(info.n_layer) };
        Self((is_cpu && is_fused && in_tiles).then_some(costs))
    }

    /// How many of `cached` tokens are better read again, when `fresh` ones come after them.
    pub(super) fn again(&self, cached: usize, fresh: usize) -> usize {
        let (Some(costs), 1..TILE) = (self.0, fresh) else { return 0 };
        let again = TILE - fresh;
        if again > cached {
            return 0;
        }
        let attention = costs.attention * cached as f64;
        let rows = fresh as f64 * attention / ROWS;
        let tiles = TILE as f64 * attention / TILES + again as f64 * costs.weights / WEIGHTS;
        if tiles < rows { again } else { 0 }
    }

    /// How many of `left` tokens to read next, when it shall be `wanted` of them, a number of whole physical batches of `ubatch` tokens: so
    /// many that what is left for the last one fills a tile.
    pub(super) fn next(&self, left: usize, wanted: usize, ubatch: usize) -> usize {
        let last = left % ubatch.max(1);
        let is_short = self.0.is_some() && ubatch >= 2 * TILE && left > ubatch && (1..TILE).contains(&last);
        wanted.min(if is_short { left - TILE } else { left })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Setting;

    fn known(flash: &str, design: &Design, is_cpu: bool) -> Portions {
        let info = ModelInfo { n_params: 134_515_008, n_embd: 576, n_layer: 30, ..ModelInfo::default() };
        let setting = Setting { name: "flash_attention".into(), requested: "auto".into(), effective: flash.into(), reason: String::new() };
        Portions::of(&info, design, &Effective { settings: vec![setting], ..Effective::default() }, is_cpu)
    }

    #[test]
    fn tokens_are_read_again_where_it_saves_time() {
        let portions = known("on", &Design::default(), true);
        assert_eq!(portions.again(1950, 40), 24, "0.9 s against 0.2 s");
        assert_eq!([1, 64, 500].map(|fresh| portions.again(1950, fresh)), [0, 0, 0], "one token is quick, and 64 fill a tile");
        assert_eq!([0, 20, 60].map(|cached| portions.again(cached, 40)), [0, 0, 0], "there is little to attend to");
        let large = Portions(Some(Costs { weights: 16e9, attention: 4.0 * 4096.0 * 32.0 }));
        assert_eq!((large.again(500, 20), large.again(3000, 60)), (0, 4), "weights are most of a large model's work");
    }

    #[test]
    fn only_where_attention_works_in_tiles() {
        let design = Design::default();
        let coarse = Design { type_k: CacheType::Q8_0, type_v: CacheType::Q8_0, ..design.clone() };
        for portions in [known("off", &design, true), known("on", &coarse, true), known("on", &design, false), Portions::default()] {
            assert_eq!((portions.again(1950, 40), portions.next(520, 512, 512)), (0, 512));
        }
    }

    proptest! {
        #[test]
        fn every_token_is_read_in_the_same_portions_at_any_speed(left in 1usize..5000, speeds in prop::collection::vec(1usize..5, 1..20)) {
            let portions = known("on", &Design::default(), true);
            // llama.cpp cuts each of them into physical batches
            let cuts = |speeds: &[usize]| {
                let (mut at, mut cuts) = (0, Vec::new());
                for speed in speeds.iter().cycle() {
                    if at == left {
                        break;
                    }
                    let n = portions.next(left - at, speed * 512, 512);
                    assert!(n > 0, "{left} {at}");
                    cuts.extend((0..n).step_by(512).map(|from| (at + from, (n - from).min(512))));
                    at += n;
                }
                cuts
            };
            let plain = cuts(&[1]);
            prop_assert!(left < TILE || plain.iter().all(|(_, n)| *n >= TILE), "{plain:?}");
            prop_assert_eq!(&plain, &cuts(&speeds));
        }
    }
}
