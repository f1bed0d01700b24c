use super::*;
use crate::protocol::{CacheType, FlashAttention};

fn read(json: &str) -> Design {
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_hash_is_of_what_makes_the_tokens() {
    let base = read(r#"{"model": "/a/m-Q4_K_M.gguf", "threads": 4, "type_k": "q8_0", "sampler": {"temperature": 0.2}}"#);
    let hash = base.hash("");
    assert_eq!(hash.len(), DIGITS);
    // the order of fields, defaults that are written out, the folder, and what a newer version leaves at rest
    for same in [
        r#"{"sampler": {"temperature": 0.2}, "type_k": "q8_0", "threads": 4, "model": "/a/m-Q4_K_M.gguf"}"#,
        r#"{"model": "/elsewhere/m-Q4_K_M.gguf", "threads": 4, "type_k": "q8_0", "sampler": {"temperature": 0.2, "top_k": null}, "n_batch": 2048}"#,
        r#"{"model": "m-Q4_K_M.gguf", "threads": 4, "type_k": "q8_0", "sampler": {"temperature": 0.2}, "draft_model": null, "n_draft": 0, "mtp": false,
            "devices": [], "speculation": {"kind": "", "n": 0}}"#,
    ] {
        assert_eq!(read(same).hash(""), hash, "{same}");
    }
    for other in [
        r#"{"model": "/a/m-Q4_K_S.gguf", "threads": 4, "type_k": "q8_0", "sampler": {"temperature": 0.2}}"#,
        r#"{"model": "/a/m-Q4_K_M.gguf", "threads": 5, "type_k": "q8_0", "sampler": {"temperature": 0.2}}"#,
        r#"{"model": "/a/m-Q4_K_M.gguf", "threads": 4, "type_v": "q8_0", "sampler": {"temperature": 0.2}}"#,
        r#"{"model": "/a/m-Q4_K_M.gguf", "threads": 4, "type_k": "q8_0"}"#,
        r#"{"model": "/a/m-Q4_K_M.gguf", "threads": 4, "type_k": "q8_0", "sampler": {"temperature": 0.2}, "n_draft": 8}"#,
    ] {
        assert_ne!(read(other).hash(""), hash, "{other}");
    }
    assert_ne!(base.hash("f00d"), hash);
}

#[test]
fn the_hash_is_the_same_for_ever() {
    // A kept run is found by it: a change here forgets every predecessor
    assert_eq!(Design::for_model("/x/m.gguf").hash(""), "c7eb1799276f");
}

#[test]
fn a_hash_survives_toml_and_json() {
    let mut design = Design::for_model("/models/m.gguf");
    design.sampler.temperature = Some(0.7);
    design.sampler.seed = Some(u32::MAX);
    design.extra.insert("n_draft".into(), serde_json::json!({"kind": "ngram", "n": 3}));
    let json = read(&serde_json::to_string(&design).unwrap());
    let toml: Design = toml::from_str(&toml::to_string(&design).unwrap()).unwrap();
    assert_eq!((json.hash(""), toml.hash("")), (design.hash(""), design.hash("")));
}

#[test]
fn a_diff_says_only_what_differs() {
    let a = Design { threads: 4, flash_attention: FlashAttention::On, ..Design::for_model("/a/SmolLM2-Q4_K_M.gguf") };
    let mut b = Design { threads: 0, type_v: CacheType::Q8_0, ..Design::for_model("/b/SmolLM2-F16.gguf") };
    b.sampler.temperature = Some(0.2);
    b.extra.insert("n_draft".into(), 8.into());
    b.extra.insert("idle".into(), 0.into());
    let words: Vec<String> = a.diff(&b).iter().map(ToString::to_string).collect();
    assert_eq!(
        words,
        [
            "model Q4_K_M to F16",
            "threads 4 to auto",
            "KV cache f16 to K f16 V q8_0",
            "flash attention on to auto",
            "temperature as the model says to 0.2",
            "n_draft not set to 8"
        ]
    );
    assert_eq!(a.diff(&a), []);
    assert_eq!(a.diff(&Design { model: "/elsewhere/SmolLM2-Q4_K_M.gguf".into(), ..a.clone() }), []);
    assert_eq!(
        a.diff(&Design { model: "/a/Qwen-Q8_0.gguf".into(), ..a.clone() })[0].to_string(),
        "model SmolLM2-Q4_K_M.gguf to Qwen-Q8_0.gguf"
    );
}
