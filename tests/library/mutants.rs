//! Whatever the bytes, the reader answers: no panic, no long wait.

use std::time::{Duration, Instant};

use inferscope::library::gguf::{Header, read_stream};
use proptest::prelude::*;

use crate::support::gguf::{Kv, Tiny};

/// Everything that is done with a header that was accepted.
fn use_it(header: &Header) {
    let design = inferscope::protocol::Design::default();
    let _ = header.check_model();
    let _ = (header.info(), header.kind(), header.warnings(), header.fallback_note(), header.shares());
    let _ = serde_json::to_string(&header.metadata);
    let _ = inferscope::library::estimate::memory_use(header, &design);
    let _ = inferscope::library::bytes_read_per_token(header, u64::MAX, &design);
    for level in inferscope::protocol::FILE_TYPES {
        let _ = inferscope::library::recipe::forecast(header, level);
    }
}

fn survives(bytes: &[u8], len: u64) {
    let begun = Instant::now();
    if let Ok(header) = read_stream(bytes, len) {
        use_it(&header);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
}

fn seed() -> &'static (usize, Vec<u8>) {
    static SEED: std::sync::OnceLock<(usize, Vec<u8>)> = std::sync::OnceLock::new();
    SEED.get_or_init(|| {
        let (layout, bytes) = Tiny { n_layer: 1, n_embd: 32, n_ff: 32, ..Tiny::default() }.gguf().layout_and_bytes();
        (layout.data, bytes)
    })
}

/// Numbers at which things break.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..64u64, Just(u64::MAX), Just(i64::MAX as u64), Just(1 << 31), Just(1 << 32), Just(u64::MAX - 31)]
}

/// Two billion, written over every place of the header in turn: what is promised there must cost nothing.
#[test]
fn each_place_holds_a_large_number() {
    let (header, bytes) = seed();
    for at in 0..*header {
        let mut bytes = bytes.clone();
        bytes[at..at + 4].copy_from_slice(&(1u32 << 31).to_le_bytes());
        survives(&bytes, bytes.len() as u64);
    }
}

#[test]
fn a_promise_of_many_layers_takes_no_memory() {
    for layers in [513, 1 << 31, u32::MAX] {
        let (_, bytes) = Tiny::default().gguf().set("llama.block_count", Kv::U32(layers)).layout_and_bytes();
        let header = read_stream(&bytes[..], bytes.len() as u64).expect("only the number is odd");
        assert_eq!(header.n_layer(), layers);
        assert_eq!(header.per_layer("attention.head_count"), None);
        assert!(header.check_model().expect_err("no model has so many").to_string().contains("block_count"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bits(flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..12)) {
        let (header, bytes) = seed();
        let mut bytes = bytes.clone();
        for (at, bit) in flips {
            bytes[at.index(*header)] ^= 1 << bit;
        }
        survives(&bytes, bytes.len() as u64);
    }

    #[test]
    fn changed_numbers(at in any::<prop::sample::Index>(), value in edge(), wide in any::<bool>()) {
        let (header, bytes) = seed();
        let mut bytes = bytes.clone();
        let at = at.index(*header);
        let value = value.to_le_bytes();
        let width = if wide { 8 } else { 4 };
        bytes[at..at + width].copy_from_slice(&value[..width]);
        survives(&bytes, bytes.len() as u64);
    }

    #[test]
    fn cut_short_and_lengthened(at in any::<prop::sample::Index>(), promised in edge()) {
        let (_, bytes) = seed();
        let cut = &bytes[..at.index(bytes.len())];
        survives(cut, cut.len() as u64);
        // the file shrank after its length was read
        survives(cut, promised);
    }

    #[test]
    fn spliced(from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), n in 1..400usize) {
        let (header, bytes) = seed();
        let (from, to) = (from.index(*header), to.index(*header));
        let piece = bytes[from..(from + n).min(bytes.len())].to_vec();
        let mut bytes = bytes.clone();
        bytes.splice(to..to, piece);
        survives(&bytes, bytes.len() as u64);
    }

    #[test]
    fn noise(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), like_a_gguf in any::<bool>()) {
        if like_a_gguf && bytes.len() > 24 {
            bytes[..8].copy_from_slice(b"GGUF\x03\0\0\0");
            bytes[9..16].fill(0);
            bytes[17..24].fill(0);
        }
        survives(&bytes, bytes.len() as u64);
    }
}
