use super::*;
use crate::measure::Roofline;
use crate::protocol::{BenchTest, DeviceInfo, Effective, ModelInfo};

fn facts() -> EngineFacts {
    EngineFacts {
        name: "llama.cpp".into(),
        commit: "b11434".into(),
        build: "b11434".into(),
        cpu_features: vec!["AVX2".into()],
        backends: vec!["CPU".into()],
        devices: vec![DeviceInfo { name: "CPU".into(), description: "Some \"fast\" CPU".into(), kind: "cpu".into(), ..Default::default() }],
    }
}

fn row(test: BenchTest, samples_ns: Vec<u64>) -> BenchRow {
    BenchRow {
        test,
        samples_ns,
        info: ModelInfo { n_params: 134_515_008, quant: "Q4_1".into(), ..Default::default() },
        model_type: "llama 256M Q4_1".into(),
        model_size: 96_605_952,
        effective: Effective { n_ctx: 768, n_batch: 2048, n_ubatch: 512, threads: 2, threads_batch: 2, settings: vec![] },
        memory: MemoryUse::default(),
        peak_rss: 200_000_000,
        test_time: "2026-01-01T00:00:00Z".into(),
        ..BenchRow::default()
    }
}

const TG: BenchTest = BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 };

#[test]
fn speeds_are_per_repetition() {
    let report = BenchReport::new(&row(TG, vec![1_000_000_000, 2_000_000_000]), &facts(), &Design::default(), &Bounds::default(), "1");
    assert_eq!(report.samples_ts, [128.0, 64.0]);
    assert_eq!(report.avg_ts, 96.0, "the mean of speeds, not the speed of the mean time");
    assert_eq!(report.avg_ns, 1_500_000_000);
    assert!((report.stddev_ts - 45.254_833_995_939_04).abs() < 1e-9);
    assert_eq!(report.build_number, 11434);
}

#[test]
fn no_repetitions_is_not_a_panic() {
    let report = BenchReport::new(&row(TG, vec![]), &facts(), &Design::default(), &Bounds::default(), "1");
    assert_eq!((report.avg_ts, report.stddev_ts, report.ours.judgement.trust), (0.0, 0.0, RunTrust::TooFew));
    let zero = BenchReport::new(&row(TG, vec![0]), &facts(), &Design::default(), &Bounds::default(), "1");
    assert_eq!(zero.avg_ts, 0.0);
}

#[test]
fn fields_are_llama_benchs_in_its_order() {
    let report = BenchReport::new(&row(TG, vec![1_000_000_000]), &facts(), &Design::default(), &Bounds::default(), "1");
    let value = serde_json::to_value(&report).unwrap();
    let names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).filter(|n| is_csv_field(n)).collect();
    assert_eq!(names.join(","), csv_header());
    assert_eq!(report.csv_values().len(), names.len());
    assert_eq!(value["flash_attn"], -1);
    assert_eq!(value["no_op_offload"], 0);
    assert_eq!(value["ours"]["trust"], "too_few");
    assert!(value["ours"]["roofline_fraction"].is_null());
}

#[test]
fn csv_quotes_as_llama_bench_does() {
    let line = BenchReport::new(&row(TG, vec![1_000_000_000]), &facts(), &Design::default(), &Bounds::default(), "1").csv();
    assert!(line.starts_with("\"b11434\",\"11434\",\"Some \"\"fast\"\" CPU\",\"\",\"CPU\","), "{line}");
    assert!(line.ends_with("\"1000000000\",\"0\",\"128.000000\",\"0.000000\""), "{line}");
}

#[test]
fn the_table_is_llama_benchs() {
    let design = Design::default();
    let table = Markdown::new(&facts(), &design);
    // printed by llama-bench b11434 for this model
    assert_eq!(
        table.header(),
        "| model                          |       size |     params | backend    | threads |            test |                  t/s |\n\
         | ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |\n"
    );
    let report = BenchReport::new(&row(TG, vec![1_000_000_000]), &facts(), &design, &Bounds::default(), "1");
    assert_eq!(
        table.row(&report),
        "| llama 256M Q4_1                |  92.13 MiB |   134.52 M | CPU        |       2 |           tg128 |        128.00 \u{b1} 0.00 |\n"
    );
    assert_eq!(footer(&facts()), "\nbuild: b11434 (11434)\n");
}

#[test]
fn what_differs_gets_a_column() {
    let design = Design {
        n_ubatch: 128,
        type_k: crate::protocol::CacheType::Q8_0,
        flash_attention: FlashAttention::On,
        mmap: false,
        repack: false,
        ..Design::default()
    };
    let header = Markdown::new(&facts(), &design).header();
    assert!(header.contains("| n_ubatch | type_k |  fa |         lm | repack |"), "{header}");
    let gpu = EngineFacts { backends: vec!["CUDA".into(), "CPU".into()], ..facts() };
    let header = Markdown::new(&gpu, &Design::default()).header();
    assert!(header.contains("| ngl |") && !header.contains("threads"), "{header}");
}

#[test]
fn roofline_only_where_it_means_something() {
    let decode = Some(Roofline { bandwidth_gb_s: 20.0, weights: 100_000_000, kv_per_token: 0.0 });
    let bounds = Bounds { decode, gflops: Some(400.0), ops_per_token: 250e6 };
    let with = |bounds: &Bounds, test| {
        BenchReport::new(&row(test, vec![1_280_000_000]), &facts(), &Design::default(), bounds, "1").ours.roofline_fraction
    };
    let of = |test| with(&bounds, test);
    let prompt = BenchTest { n_prompt: 512, n_gen: 0, n_depth: 0 };
    assert_eq!(of(TG), Some(0.5));
    assert_eq!(of(prompt), Some(0.25), "400 t/s of 1,600");
    assert_eq!(with(&Bounds { gflops: None, ..bounds }, prompt), None);
    assert_eq!(with(&Bounds { ops_per_token: 0.0, ..bounds }, prompt), None);
    assert_eq!(of(BenchTest { n_prompt: 512, n_gen: 128, n_depth: 0 }), None);
}

#[test]
fn judgements() {
    assert_eq!(judge(&[100.0, 101.0, 99.0]).trust, RunTrust::Trusted);
    assert_eq!(judge(&[100.0]).trust, RunTrust::TooFew);
    let falling = judge(&[110.0, 108.0, 100.0, 95.0, 93.0]);
    assert_eq!(falling.trust, RunTrust::Noisy);
    assert!(falling.drift < -0.1 && falling.trust_reasons.iter().any(|r| r.contains("slower")), "{falling:?}");
    let scattered = judge(&[100.0, 130.0, 90.0, 101.0, 120.0, 99.0]);
    assert!(scattered.trust_reasons.iter().any(|r| r.contains("scatter")), "{scattered:?}");
}

#[test]
fn other_programs_are_a_reason_not_to_trust() {
    use crate::protocol::Surroundings;
    let seen = |background| Surroundings { background: Some(background), ..Surroundings::default() };
    let quiet = BenchRow { surroundings: vec![seen(0.01); 3], ..row(TG, vec![1_000_000_000; 3]) };
    let busy = BenchRow { surroundings: vec![seen(0.3); 3], gaps_ns: vec![vec![7_000_000; 128]; 3], ..row(TG, vec![1_000_000_000; 3]) };
    let ours = |row: &BenchRow| BenchReport::new(row, &facts(), &Design::default(), &Bounds::default(), "1").ours;
    assert_eq!(ours(&quiet).judgement.trust, RunTrust::Trusted);
    let busy = ours(&busy);
    assert_eq!((busy.judgement.trust, busy.itl_p95_ms, busy.ttft_ms), (RunTrust::Noisy, Some(7.0), None));
    assert!(busy.judgement.trust_reasons[0].contains("30 %"), "{:?}", busy.judgement);
}
