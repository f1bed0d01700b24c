//! What is done to a rung besides its quantization.

use crate::protocol::{CacheType, Design, FlashAttention};

/// A cache type, a kind of attention or a layout of the weights that a rung is compared in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// F16 cache, flash attention as the engine chooses
    #[default]
    Usual,
    /// Keys and values of the cache of this type; the engine needs flash attention for it
    Cache(CacheType),
    /// Without flash attention
    NoFlash,
    /// With flash attention
    Flash,
    /// With the weights as they lie in the file: other kernels, which round elsewhere
    NoRepack,
}

impl Variant {
    /// All that are offered.
    pub const ALL: [Self; 8] = [
        Self::Usual,
        Self::Cache(CacheType::Q8_0),
        Self::Cache(CacheType::Q5_1),
        Self::Cache(CacheType::Q4_1),
        Self::Cache(CacheType::Q4_0),
        Self::Flash,
        Self::NoFlash,
        Self::NoRepack,
    ];

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Self::Usual => "KV f16".into(),
            Self::Cache(kind) => format!("KV {}", kind.name()),
            Self::NoFlash => "flash attention off".into(),
            Self::Flash => "flash attention on".into(),
            Self::NoRepack => "no repack".into(),
        }
    }

    /// What a rung is called in it: `Q8_0`, `Q8_0, KV q4_0`.
    pub fn of_rung(self, quant: &str) -> String {
        if self == Self::Usual { quant.to_owned() } else { format!("{quant}, {}", self.name()) }
    }

    /// Which one a design is, whatever else it sets; `None` for one that is not offered.
    pub fn of(design: &Design) -> Option<Self> {
        let found = match (design.type_k == design.type_v, design.type_k, design.flash_attention, design.repack) {
            (true, CacheType::F16, FlashAttention::Auto, true) => Self::Usual,
            (true, CacheType::F16, FlashAttention::On, true) => Self::Flash,
            (true, CacheType::F16, FlashAttention::Off, true) => Self::NoFlash,
            (true, CacheType::F16, FlashAttention::Auto, false) => Self::NoRepack,
            // left to itself, the engine takes flash attention for these
            (true, kind, FlashAttention::On | FlashAttention::Auto, true) => Self::Cache(kind),
            _ => return None,
        };
        Self::ALL.contains(&found).then_some(found)
    }

    /// A design in this variant.
    pub fn apply(self, design: Design) -> Design {
        match self {
            Self::Usual => design,
            Self::Cache(kind) => Design { type_k: kind, type_v: kind, flash_attention: FlashAttention::On, ..design },
            Self::NoFlash => Design { flash_attention: FlashAttention::Off, ..design },
            Self::Flash => Design { flash_attention: FlashAttention::On, ..design },
            Self::NoRepack => Design { repack: false, ..design },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_recognised_in_its_design() {
        for variant in Variant::ALL {
            assert_eq!(Variant::of(&variant.apply(Design { threads: 3, ..Design::default() })), Some(variant));
        }
        let auto = Design { type_k: CacheType::Q8_0, type_v: CacheType::Q8_0, ..Design::default() };
        assert_eq!(Variant::of(&auto), Some(Variant::Cache(CacheType::Q8_0)));
        assert_eq!(Variant::of(&Design { type_k: CacheType::Q8_0, ..Design::default() }), None);
        let two = Variant::NoRepack.apply(Variant::NoFlash.apply(Design::default()));
        assert_eq!(Variant::of(&two), None, "two things at once are not offered");
        assert_eq!(Variant::Cache(CacheType::Q4_0).of_rung("F16"), "F16, KV q4_0");
    }
}
