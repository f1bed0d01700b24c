//! The bytes between window and engine: whatever arrives gives a value or an error, and every value comes back as it went.

use std::io::Cursor;

use inferscope::protocol::{
    BenchPlan, BenchRow, BenchTest, CacheType, Command, Design, Dropped, Effective, EngineError, EngineFacts, ErrorKind, Event,
    FlashAttention, GenerateRequest, GenerateStats, JobId, LoadReport, LoadRequest, LogLevel, MemorySample, MemoryUse, Message, ModelInfo,
    Overflow, Prompt, QualityBatch, QualityLayout, QualityPlan, QualityText, QuantizeRequest, Rendered, Resident, Role, Sample, Sampler,
    SamplerOverrides, SamplingDefaults, Setting, Stage, StopReason, Surroundings, TOP, TokenBatch, TokenScore, Warmup, wire,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(values: &[T]) {
    let mut bytes = Vec::new();
    for value in values {
        wire::write(&mut bytes, value).unwrap();
    }
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), values.len(), "a line break inside a frame would cut it");
    let mut input = Cursor::new(bytes);
    for value in values {
        assert_eq!(wire::read::<T>(&mut input).unwrap().as_ref(), Some(value));
    }
    assert!(wire::read::<T>(&mut input).unwrap().is_none());
}

fn design() -> Design {
    let mut design = Design {
        model: "/models/größer 模型.gguf".into(),
        n_ctx: 4096,
        type_k: CacheType::Q8_0,
        type_v: CacheType::Iq4Nl,
        flash_attention: FlashAttention::On,
        gpu_layers: -1,
        sampler: SamplerOverrides { temperature: Some(0.7), seed: Some(u32::MAX), ..SamplerOverrides::default() },
        ..Design::default()
    };
    design.extra.insert("speculation".into(), serde_json::json!({"draft": 4}));
    design
}

fn error() -> EngineError {
    EngineError::new(ErrorKind::Disk, "No room\nleft")
        .hint("Make some")
        .path("/a b")
        .details(vec!["\u{1b}[31mred\u{0}".into(), String::new()])
}

#[test]
fn every_command_comes_back_as_it_went() {
    let job = JobId(u64::MAX);
    let messages = vec![
        Message { role: Role::System, text: String::new() },
        Message { role: Role::User, text: "line\r\nbreak \u{2028} \u{feff} 🧪 \"quoted\" \\ \u{0}".into() },
        Message { role: Role::Assistant, text: "x".repeat(100_000) },
    ];
    let request = GenerateRequest {
        prompt: Prompt::Chat { messages: messages.clone() },
        sampler: SamplerOverrides::default(),
        max_tokens: 0,
        stop: vec!["\n\n".into()],
        overflow: Overflow::KeepEnds,
        json_schema: Some("{}".into()),
        want_token_ids: true,
        alternatives: 0,
        only_by: None,
        text_every_ms: 120,
    };
    let quantize = QuantizeRequest {
        source: "/a".into(),
        target: "/b".into(),
        file_type: "Q4_K_M".into(),
        imatrix: Some("/c".into()),
        prune_layers: vec![1, 5],
        threads: 3,
    };
    let plan = BenchPlan {
        design: design(),
        tests: vec![BenchTest { n_prompt: 512, n_gen: 0, n_depth: 8 }],
        repetitions: 5,
        warmup: Warmup::None,
        own_context: true,
        keep_warm_bytes: 1 << 30,
    };
    let quality = QualityPlan {
        reference: design(),
        candidates: vec![design()],
        text: QualityText::Chat(messages.clone()),
        n_ctx: 512,
        max_chunks: 3,
        tight: Some(0.05),
        one_at_a_time: true,
    };
    round_trip(&[
        Command::Load { job, request: LoadRequest { design: design(), keep_warm_bytes: u64::MAX } },
        Command::Unload { job, model: None },
        Command::Unload { job, model: Some("/a".into()) },
        Command::Generate { job, request: request.clone() },
        Command::Prefill { job, request: request.clone() },
        Command::Generate {
            job,
            request: GenerateRequest {
                prompt: Prompt::Raw { text: "\n".into() },
                overflow: Overflow::DropOldest,
                json_schema: None,
                ..request
            },
        },
        Command::Render { job, prompt: Prompt::Chat { messages } },
        Command::Quantize { job, request: quantize },
        Command::Bench { job, plan },
        Command::Quality { job, plan: Box::new(quality) },
        Command::Estimate { job, design: design() },
        Command::Probe { job, threads: 2 },
        Command::Cancel { job },
        Command::Shutdown,
    ]);
}

#[test]
fn every_event_comes_back_as_it_went() {
    let job = JobId(7);
    let memory = MemoryUse { weights: u64::MAX, kv: 1, compute: 2 };
    let info = ModelInfo {
        name: "m".into(),
        bpw: 4.85,
        sampling: SamplingDefaults { top_k: Some(20), ..SamplingDefaults::default() },
        ..ModelInfo::default()
    };
    let setting = Setting { name: "n_ctx".into(), requested: "auto".into(), effective: "4096".into(), reason: String::new() };
    let effective = Effective { n_ctx: 4096, settings: vec![setting], ..Effective::default() };
    let resident = vec![Resident { design: design(), memory, active: true }];
    let report = LoadReport {
        design: design(),
        info: info.clone(),
        effective: effective.clone(),
        memory,
        seconds: 0.1,
        warm: true,
        resident: resident.clone(),
    };
    let stats = |stop| GenerateStats {
        stop,
        prompt_tokens: 1,
        cached_tokens: 2,
        predicted_tokens: 3,
        ttft_ms: 0.1,
        prefill_ms: 1e-9,
        prefill_tps: 1e300,
        decode_tps: 118.3,
        total_ms: 4.0,
        itl_p95_ms: 5.0,
        sampler: Sampler::default(),
        dropped: Some(Dropped { messages: 1, tokens: 2 }),
        tokens: vec![-1, i32::MAX],
        kv_used: 6,
    };
    let score = TokenScore {
        nll_ref: 1.5,
        nll_cand: 0.1,
        kld: 0.25,
        delta_p: -0.5,
        same_top: true,
        rank_ref: 1,
        rank_cand: 49_152,
        top_ref: [(7, 0.125); TOP],
        top_cand: [(u32::MAX, 1.0); TOP],
    };
    let row = BenchRow {
        test: BenchTest { n_prompt: 1, n_gen: 2, n_depth: 3 },
        samples_ns: vec![u64::MAX],
        ttft_ns: vec![1],
        gaps_ns: vec![vec![2, 3], Vec::new()],
        surroundings: vec![Surroundings { background: Some(0.25), clock_mhz: None, celsius: Some(71.5), package_joules: Some(2.5) }],
        warmups: 3,
        prepare_ns: 4,
        info,
        model_type: "llama".into(),
        model_size: 1,
        effective,
        memory,
        peak_rss: 9,
        test_time: "2026-01-01T00:00:00Z".into(),
    };
    let mut events = vec![
        Event::Hello { version: wire::VERSION, pid: 1, facts: EngineFacts::default() },
        Event::Loaded { job, report: Box::new(report) },
        Event::Unloaded { job, resident: resident.clone() },
        Event::Residents { job, resident },
        Event::Started { job, prompt_tokens: 1, cached_tokens: 0, dropped: None },
        Event::Tokens {
            job,
            batch: TokenBatch { text: "\u{fffd}\n".into(), n: 1, total: 2, first: 0.5, last: 0.25, kv_used: 4, probs: Vec::new() },
        },
        Event::Rendered { job, rendered: Rendered { text: "<|im_start|>".into(), n_tokens: 1, system_tokens: 0, last_tokens: 1 } },
        Event::Quantized { job, path: "/a".into(), size: 1, bpw: 4.5, seconds: 0.5, fallbacks: 2 },
        Event::BenchRow { job, row: Box::new(row) },
        Event::QualityLayout { job, layout: Box::new(QualityLayout { text: "a b".into(), ends: vec![1, 3], ..QualityLayout::default() }) },
        Event::QualityScores { job, batch: QualityBatch { candidate: 1, first: 257, scores: vec![score], names: vec![(3, " b".into())] } },
        Event::Estimated { job, memory },
        Event::Probed { job, bandwidth_gb_s: 18.5, threads: 2, ops_gflops: Some(150.25) },
        Event::Done { job },
        Event::Failed { job, error: error() },
        Event::Died { jobs: vec![job, JobId(8)], error: error() },
        Event::Sample {
            sample: Sample { engine: Some(MemorySample { rss: 3, anonymous: 2, file: 1 }), gpu: Some((1, 2)), ..Sample::default() },
        },
    ];
    for stage in [Stage::Load, Stage::Prefill, Stage::Quantize, Stage::Bench, Stage::Probe] {
        events.push(Event::Progress { job, stage, done: 1, total: 2 });
    }
    for level in [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
        events.push(Event::Log { level, line: "ggml: \"x\"\ty".into() });
    }
    for stop in
        [StopReason::EndOfReply, StopReason::StopText("a\nb".into()), StopReason::MaxTokens, StopReason::ContextFull, StopReason::Cancelled]
    {
        events.push(Event::Generated { job, stats: Box::new(stats(stop)) });
    }
    round_trip(&events);
}

#[test]
fn a_stream_that_breaks_gives_one_error() {
    let mut cut = Cursor::new(b"{\"event\":\"done\",\"job\":1}\n{\"event\":\"do".to_vec());
    assert_eq!(wire::read::<Event>(&mut cut).unwrap(), Some(Event::Done { job: JobId(1) }));
    let error = wire::read::<Event>(&mut cut).unwrap_err();
    assert!(error.kind == ErrorKind::Protocol && wire::is_cut_short(&error));
    for garbage in ["\n", "hello\n", "{}\n", "{\"event\":\"nonsense\"}\n", "{\"event\":\"done\",\"job\":-1}\n", "[[[[[[\n", "\u{0}\n"] {
        let error = wire::read::<Event>(&mut Cursor::new(garbage)).unwrap_err();
        assert!(error.kind == ErrorKind::Protocol && !wire::is_cut_short(&error), "{garbage:?}");
    }
    let deep = format!("{}\n", "[".repeat(200_000));
    assert_eq!(wire::read::<Event>(&mut Cursor::new(deep)).unwrap_err().kind, ErrorKind::Protocol);
}

#[test]
fn a_frame_without_end_stops_at_the_limit() {
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'x');
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let mut input = std::io::BufReader::new(Endless(0));
    let error = wire::read::<Event>(&mut input).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(input.get_ref().0 <= wire::MAX_FRAME as u64 + (1 << 16), "{} bytes were read", input.get_ref().0);
}

#[test]
fn what_is_too_long_is_not_written() {
    let mut out = Vec::new();
    let event = Event::Log { level: LogLevel::Info, line: "x".repeat(wire::MAX_FRAME) };
    assert!(wire::write(&mut out, &event).is_err());
    assert!(out.is_empty(), "half a frame would be worse than none");
    let error = wire::encode(&event).unwrap_err();
    assert!(error.message.contains("64 MiB") && !error.hint.is_empty(), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut input = Cursor::new(bytes);
        while let Ok(Some(_)) = wire::read::<Event>(&mut input) {}
        input.set_position(0);
        while let Ok(Some(_)) = wire::read::<Command>(&mut input) {}
    }

    #[test]
    fn damaged_frames_are_survived(text in ".{0,60}", at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        let batch = TokenBatch { text, n: 1, total: 1, first: 0.1, last: 0.1, kv_used: 1, probs: Vec::new() };
        wire::write(&mut bytes, &Event::Tokens { job: JobId(1), batch }).unwrap();
        wire::write(&mut bytes, &Event::Failed { job: JobId(1), error: error() }).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len()) + 1);
        let mut input = Cursor::new(bytes);
        for _ in 0..4 {
            if !matches!(wire::read::<Event>(&mut input), Ok(Some(_))) {
                break;
            }
        }
    }

    #[test]
    fn any_text_comes_back(text in any::<String>(), n in any::<u32>(), first in 0.0..1e9f64) {
        round_trip(&[Event::Tokens { job: JobId(n.into()), batch: TokenBatch { text: text.clone(), n, total: n, first, last: first, kv_used: n, probs: Vec::new() } }]);
        round_trip(&[Command::Render { job: JobId(1), prompt: Prompt::Raw { text } }]);
    }
}
