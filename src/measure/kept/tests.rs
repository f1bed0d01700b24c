use super::*;
use crate::measure::roofline::Bounds;
use crate::protocol::{Effective, MemoryUse, ModelInfo, RunTrust};

fn row(n_prompt: u32, n_gen: u32) -> BenchRow {
    BenchRow {
        test: BenchTest { n_prompt, n_gen, n_depth: 0 },
        samples_ns: vec![1_000_000_000, 2_000_000_000, 1_000_000_000],
        info: ModelInfo { size: 98_000_000, quant: "Q4_1".into(), ..Default::default() },
        model_type: "llama 256M Q4_1".into(),
        model_size: 96_605_952,
        effective: Effective { n_ctx: 768, n_batch: 2048, n_ubatch: 512, threads: 2, threads_batch: 2, settings: vec![] },
        memory: MemoryUse { weights: 90, kv: 9, compute: 1 },
        peak_rss: 200,
        test_time: "2026-01-01T00:00:00Z".into(),
        ..BenchRow::default()
    }
}

#[test]
fn a_cell_becomes_a_run() {
    let run = bench_run(&Design::for_model("m.gguf"), &row(0, 128), Environment::default(), 10_000);
    assert_eq!(run.samples[&Metric::DecodeTps], [128.0, 64.0, 128.0]);
    assert_eq!((run.figure(Metric::PeakMemory), run.figure(Metric::FileSize)), (Some(100.0), Some(98e6)));
    assert_eq!((run.started_ms, run.seconds, run.trust), (6_000, 4.0, RunTrust::Noisy));
    assert_eq!(run.extra["effective"]["threads"], 2);
    assert_eq!(metric_of(&row(512, 0).test), Metric::PrefillTps);
    assert_eq!(metric_of(&row(512, 128).test), Metric::BothTps);
}

/// Two rows as llama-bench b4000 and b11434 wrote them (fields that nothing is made of left out).
const THEIRS: &str = r#"[
  {"build_commit": "1a2b3c4", "build_number": 4000, "cpu_info": "AMD Ryzen 7", "gpu_info": "", "backends": "CPU",
   "model_filename": "/models/Llama-3.2-1B-Instruct-Q4_K_M.gguf", "model_type": "llama 1B Q4_K - Medium", "model_size": 799862912,
   "model_n_params": 1235814432, "n_batch": 2048, "n_ubatch": 512, "n_threads": 8, "type_k": "f16", "type_v": "q8_0", "n_gpu_layers": 99,
   "flash_attn": true, "use_mmap": false, "n_prompt": 512, "n_gen": 0, "test_time": "2025-03-01T10:20:30Z",
   "avg_ns": 2000000000, "stddev_ns": 1, "avg_ts": 256.0, "stddev_ts": 1.0, "samples_ns": [2000000000, 2000000000, 2100000000],
   "samples_ts": [256.0, 256.0, 243.8]},
  {"build_commit": "b11434", "build_number": 11434, "model_filename": "x.gguf", "model_type": "qwen2 0.5B Q8_0", "n_threads": 2,
   "flash_attn": -1, "load_mode": "mmap+mlock", "repack": false, "n_prompt": 0, "n_gen": 128, "n_depth": 1024, "n_gpu_layers": 7,
   "test_time": "2026-03-01T10:20:30Z", "avg_ts": 50.0, "samples_ns": [2560000000], "ours": {"inferscope": "0.1.0", "quant": "Q8_0"}}
]"#;

#[test]
fn llama_bench_is_read() {
    let runs = from_llama_bench(THEIRS).unwrap();
    let [a, b] = runs.as_slice() else { panic!() };
    assert_eq!((a.imported.as_str(), b.imported.as_str()), ("llama-bench", "Inferscope"));
    assert_eq!((a.workload.words(), b.workload.words()), ("pp512".into(), "tg128 @ d1024".into()));
    assert_eq!(a.samples[&Metric::PrefillTps], [256.0, 256.0, 243.8]);
    assert_eq!(b.samples[&Metric::DecodeTps], [50.0]);
    assert_eq!((a.trust, b.trust), (RunTrust::Trusted, RunTrust::TooFew));
    let d = &a.design;
    assert_eq!((d.threads, d.type_v, d.flash_attention, d.mmap, d.gpu_layers), (8, CacheType::Q8_0, FlashAttention::On, false, -1));
    assert_eq!((b.design.mmap, b.design.mlock, b.design.repack, b.design.gpu_layers), (true, true, false, 7));
    assert!(d.repack, "a row that does not say");
    let e = &a.environment;
    assert_eq!((e.cpu.as_str(), e.engine_build.as_str(), e.quant.as_str(), e.model_size), ("AMD Ryzen 7", "b4000", "Q4_K_M", 799_862_912));
    assert_eq!(a.started_ms, 1_740_824_430_000);
    let lines: String = serde_json::from_str::<Vec<Value>>(THEIRS).unwrap().iter().map(|row| format!("{row}\n")).collect();
    assert_eq!(from_llama_bench(&lines).unwrap(), runs);
}

#[test]
fn our_own_rows_read_back() {
    let report =
        crate::measure::BenchReport::new(&row(512, 0), &Default::default(), &Design::for_model("m-Q4_1.gguf"), &Bounds::default(), "0.1.0");
    let runs = from_llama_bench(&serde_json::to_string(&[&report]).unwrap()).unwrap();
    assert_eq!(runs[0].samples[&Metric::PrefillTps], [512.0, 256.0, 512.0]);
    assert_eq!((runs[0].environment.quant.as_str(), runs[0].design.threads), ("Q4_1", 2));
}

#[test]
fn what_is_not_llama_benchs_is_refused_in_words() {
    for (text, part) in [
        ("", "no row"),
        ("[]", "no row"),
        ("[1]", "Row 1 is not of llama-bench: it has no n_prompt"),
        ("{\"n_prompt\": 1}", "it has no n_gen"),
        ("[{\"n_prompt\": 1, \"n_gen\": 0}]", "neither samples nor a mean"),
        ("| model |", "Line 1 is not JSON"),
        ("[{", "not JSON"),
    ] {
        let error = from_llama_bench(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn exports_say_the_same() {
    let mut runs = from_llama_bench(THEIRS).unwrap();
    runs[0].title = "a, \"b\"\n|c".into();
    runs[1].title = "=cmd".into();
    let csv = csv(&runs);
    assert_eq!(csv.lines().next().unwrap().split(',').count(), 18 + Metric::ALL.len());
    assert!(csv.contains("\"a, \"\"b\"\"\n|c\"") && csv.contains(",'=cmd,"), "{csv}");
    assert!(csv.contains("2025-03-01T10:20:30Z"), "{csv}");
    let markdown = markdown(&runs);
    assert!(
        markdown.contains("a, \"b\" \\|c") && markdown.contains("| pp512 |") && markdown.contains("AMD Ryzen 7, llama.cpp b4000"),
        "{markdown}"
    );
    let pipes = |line: &str| line.replace("\\|", "").matches('|').count();
    let table: Vec<usize> = markdown.lines().take(4).map(pipes).collect();
    assert!(table.iter().all(|n| *n == table[0]), "{markdown}");
    let json: Value = serde_json::from_str(&json(&runs)).unwrap();
    assert_eq!(serde_json::from_value::<Vec<Run>>(json["runs"].clone()).unwrap(), runs);
    runs[0].id = RunId(5);
    let back = from_text(&super::json(&runs)).unwrap();
    assert_eq!((back[0].id, back[0].samples == runs[0].samples, back[1].imported.as_str()), (RunId(0), true, "Inferscope"));
    assert_eq!(from_text(THEIRS).unwrap().len(), 2);
}
