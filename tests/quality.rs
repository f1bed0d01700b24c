//! Quality on the real model, through the real binary: what is the same measures as the same, what is smaller measures as worse, and what
//! cannot be compared says why.
#![cfg(feature = "llama")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use assert_cmd::cargo::cargo_bin;
use inferscope::engine::backend::{Backend as _, Job};
use inferscope::engine::llama::LlamaBackend;
use inferscope::measure::quality::report;
use inferscope::protocol::{
    CacheType, Design, EngineError, ErrorKind, Event, FlashAttention, JobId, Message, QualityBatch, QualityPlan, QualityText, Role,
};
use serde_json::Value;
use support::gguf::{Tiny, tiny_llama};

/// The starter model; its absence is a failure where `INFERSCOPE_REQUIRE_MODEL` is set, and said otherwise.
fn model() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    let path = std::env::var_os("INFERSCOPE_TEST_MODEL").map_or(default, PathBuf::from);
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("INFERSCOPE_REQUIRE_MODEL").is_none(), "the starter model is missing: {}", path.display());
    eprintln!("SKIPPED: no model at {}; scripts/test.sh fetches it", path.display());
    None
}

fn run(dir: &Path, args: &[&str]) -> (i32, Value) {
    let output = Process::new(cargo_bin!("inferscope")).args(args).arg("--json").env("INFERSCOPE_HOME", dir).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let status = output.status.code().expect("no signal");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}")))
}

/// Some pages of plain English with numbers, names and a list: enough for three chunks of 256.
fn text(dir: &std::path::Path) -> String {
    // prose that does not repeat itself: what was said once already is easy to foretell, for a bad rung too
    let path = dir.join("text.txt");
    std::fs::write(&path, include_str!("../ARCHITECTURE.md")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_rung_costs_nothing_against_itself_and_something_against_a_better_one() {
    let Some(model) = model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (model, text) = (model.to_str().unwrap(), text(dir.path()));
    let q2 = dir.path().join("q2.gguf");
    let (status, made) = run(dir.path(), &["quantize", model, "--to", "Q2_K", "--out", q2.to_str().unwrap()]);
    assert_eq!(status, 0, "{made}");

    let base = ["--reference", model, "--text", &text, "--chunk", "256", "--chunks", "3", "-t", "2"];
    let (status, both) = run(dir.path(), &[&["quality", model, q2.to_str().unwrap(), "--keep", "--tokens"][..], &base].concat());
    assert_eq!(status, 0, "{both}");
    // what is kept is what was said, token by token
    for (id, candidate) in [("1", 0), ("2", 1)] {
        let (status, kept) = run(dir.path(), &["runs", "tokens", id]);
        assert_eq!((status, &kept["scores"]), (0, &both["candidates"][candidate]["scores"]));
        assert_eq!(kept["scores"].as_array().map(Vec::len), Some(3 * 127));
    }
    let (same, worse) = (&both["candidates"][0], &both["candidates"][1]);
    assert_eq!(same["tokens"], 3 * 127);
    assert!(same["kld"]["mean"].as_f64().unwrap() < 1e-6 && same["same_top_percent"].as_f64() == Some(100.0), "{same}");
    assert_eq!(same["ppl"], same["ppl_reference"]);
    let kld = worse["kld"]["mean"].as_f64().unwrap();
    assert!(kld > 0.05 && worse["same_top_percent"].as_f64().unwrap() < 95.0, "{worse}");
    assert!(worse["kld"]["ci95"][0].as_f64().unwrap() < kld && kld < worse["kld"]["ci95"][1].as_f64().unwrap());

    // without both in memory: exact but for the divergence, which is estimated
    let alone = [&["quality", q2.to_str().unwrap(), "--one-at-a-time"][..], &base].concat();
    let (status, alone) = run(dir.path(), &alone);
    assert_eq!((status, alone["side_by_side"].as_bool()), (0, Some(false)), "{alone}");
    let off = alone["kld"]["mean"].as_f64().unwrap() / kld - 1.0;
    assert!(off.abs() < 0.02, "{off}");
    for exact in ["same_top_percent", "tokens"] {
        assert_eq!(alone[exact], worse[exact], "{exact}");
    }

    // a coarser cache of the same file is a candidate like any other
    let cache = [&["quality", model, "-ctk", "q4_0", "-ctv", "q4_0", "-fa", "on", "--limit-kld", "1e-9"][..], &base].concat();
    let (status, cache) = run(dir.path(), &cache);
    assert_eq!(status, 1, "over the limit: {cache}");
    assert!(cache["kld"]["mean"].as_f64().unwrap() > 1e-6, "{cache}");
}

#[test]
fn prompts_are_answered_by_the_reference_and_read_by_all() {
    let Some(model) = model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = model.to_str().unwrap();
    let q2 = dir.path().join("q2.gguf");
    assert_eq!(run(dir.path(), &["quantize", model, "--to", "Q2_K", "--out", q2.to_str().unwrap()]).0, 0);
    let prompts = dir.path().join("prompts.txt");
    std::fs::write(&prompts, "Why is the sky blue?\n\nName three colours.\n\nWhat is a harbour?\n").unwrap();
    let prompts = prompts.to_str().unwrap();
    let base = ["--reference", model, "--prompts", prompts, "--answer-tokens", "48", "--tokens", "-t", "2"];
    let (status, both) = run(dir.path(), &[&["quality", model, q2.to_str().unwrap()][..], &base].concat());
    assert_eq!(status, 0, "{both}");
    let (same, worse) = (&both["candidates"][0], &both["candidates"][1]);
    assert_eq!((same["chunks"].as_u64(), same["same_top_percent"].as_f64()), (Some(3), Some(100.0)), "{same}");
    assert!(same["kld"]["mean"].as_f64().unwrap() < 1e-6);
    let scored = worse["tokens"].as_u64().unwrap();
    assert!((20..=3 * 50).contains(&scored) && worse["kld"]["mean"].as_f64().unwrap() > 0.01, "{worse}");
    // what the reference said greedily is what it finds most probable
    let first = |score: &&Value| score["rank_ref"].as_u64() == Some(1);
    let scores = same["scores"].as_array().unwrap();
    let share = scores.iter().filter(first).count() as f64 / scores.len() as f64;
    assert!(share > 0.9, "{share} of {} tokens", scores.len());

    let refused = |args: &[&str], kind: &str| {
        let (status, document) = run(dir.path(), &[&["quality", model][..], args].concat());
        assert!(status == 2 && document["error"]["kind"] == kind, "{args:?}: {document}");
    };
    refused(&["--reference", model, "--prompts", "none of these"], "file_missing");
    refused(&["--prompts", prompts], "usage");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let Some(model) = model() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (model, text) = (model.to_str().unwrap(), text(dir.path()));
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let tiny = dir.path().join("tiny.gguf");
    tiny_llama(&tiny, &Tiny::default());
    let tiny = tiny.to_str().unwrap();
    let refused = |args: &[&str], word: &str| {
        let (status, document) = run(dir.path(), &[&["quality", model, "--reference"][..], args].concat());
        let message = document["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(status == 2 && message.contains(word), "{args:?}: {document}");
    };
    refused(&[model, "--text", &file("empty", b"\n\n")], "empty");
    refused(&[model, "--text", &file("short", b"Only a few words.")], "one chunk");
    refused(&[model, "--text", &file("binary", b"\0\x01ELF")], "NUL");
    refused(&[model, "--text", &file("latin", b"caf\xe9 ")], "UTF-8");
    refused(&[model, "--text", "/no/such/file"], "cannot be read");
    refused(&[tiny, "--text", &text], "vocabular");
}

#[test]
fn of_a_chat_only_what_the_assistant_said_is_scored_in_one_read() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = dir.path().join("tiny.gguf");
    tiny_llama(&tiny, &Tiny::default());
    let say = |role, text: &str| Message { role, text: text.to_owned() };
    let (first, second) = ("It is wide and old.", "Because the wind moves it.");
    let talk = vec![
        say(Role::User, "Tell me of the ocean."),
        say(Role::Assistant, first),
        say(Role::User, "Then why does it never rest?"),
        say(Role::Assistant, second),
    ];
    let design = Design { threads: 1, ..Design::for_model(&tiny) };
    let plan = QualityPlan {
        reference: design.clone(),
        candidates: vec![design],
        text: QualityText::Chat(talk),
        n_ctx: 512,
        max_chunks: 0,
        tight: None,
        one_at_a_time: false,
    };
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let job = Job::new(JobId(1), Arc::new(AtomicBool::new(false)), move |event| into.lock().unwrap().push(event));
    LlamaBackend::new(|_, _| {}).unwrap().quality(&plan, &job).unwrap();

    let events = heard.lock().unwrap().clone();
    let layout = events.iter().find_map(|event| if let Event::QualityLayout { layout, .. } = event { Some(layout.clone()) } else { None });
    let layout = layout.expect("what is read is said first");
    let mut scored = Vec::new();
    for event in &events {
        if let Event::QualityScores { batch, .. } = event {
            scored.extend((batch.first..).zip(&batch.scores).map(|(at, score)| (at, *score)));
        }
    }
    assert_eq!(scored.len() as u64, layout.scored);
    assert!(scored.windows(2).all(|pair| pair[0].0 < pair[1].0), "each token once, in order");
    let said: String = scored.iter().map(|(at, _)| report::piece(&layout, *at)).collect();
    assert!(said.contains(first) && said.contains(second), "{said:?}");
    for asked in ["ocean", "never rest"] {
        assert!(layout.text.contains(asked) && !said.contains(asked), "{asked} is read and not scored: {said:?}");
    }
    assert!(scored.iter().all(|(_, score)| score.kld < 1e-5 && score.same_top), "a design against itself");
    let reads: Vec<u64> = events.iter().filter_map(|e| if let Event::Progress { done, .. } = e { Some(*done) } else { None }).collect();
    let read = 2 * (layout.n_ctx as u64 - 1);
    assert!(reads.last().is_some_and(|last| *last == read), "one read a model, {read} tokens: {reads:?}");
}

/// Runs a plan in this process; `hear` sees every event as it comes, with the flag that cancels the job.
fn hear(plan: &QualityPlan, hear: impl Fn(&Event, &AtomicBool) + Send + 'static) -> Result<(), EngineError> {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let job = Job::new(JobId(1), cancel, move |event| hear(&event, &flag));
    LlamaBackend::new(|_, _| {}).unwrap().quality(plan, &job)
}

/// The scores of a plan in the order in which they came.
fn batches(plan: &QualityPlan) -> Vec<QualityBatch> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&heard);
    let listen = move |event: &Event, _: &AtomicBool| {
        if let Event::QualityScores { batch, .. } = event {
            into.lock().unwrap().push(batch.clone());
        }
    };
    hear(plan, listen).unwrap();
    let batches = heard.lock().unwrap().clone();
    batches
}

/// Several candidates of one and of another file, on so many threads.
fn several(reference: &Path, other: &Path, threads: u32) -> QualityPlan {
    let design = |path: &Path| Design { threads, flash_attention: FlashAttention::On, ..Design::for_model(path) };
    let coarse = |kind| Design { type_k: kind, type_v: kind, ..design(reference) };
    QualityPlan {
        reference: design(reference),
        candidates: vec![design(other), design(reference), coarse(CacheType::Q4_0), coarse(CacheType::Q8_0)],
        text: QualityText::Plain(include_str!("../ARCHITECTURE.md").to_owned()),
        n_ctx: 512,
        max_chunks: 5,
        tight: None,
        one_at_a_time: false,
    }
}

#[test]
fn models_that_read_at_the_same_time_score_as_one_after_another() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a.gguf"), dir.path().join("b.gguf"));
    tiny_llama(&a, &Tiny::default());
    tiny_llama(&b, &Tiny { seed: 77, ..Tiny::default() });
    for (tight, chunks) in [(None, 5), (Some(0.5), 1)] {
        // with one thread there is nothing to divide
        let in_turn = batches(&QualityPlan { tight, ..several(&a, &b, 1) });
        assert_eq!(in_turn.iter().map(|batch| batch.scores.len()).sum::<usize>(), chunks * 4 * 255, "{tight:?}");
        for threads in [2, 3, 8] {
            let at_once = batches(&QualityPlan { tight, ..several(&a, &b, threads) });
            let place = |batch: &QualityBatch| (batch.first, batch.candidate, batch.scores.len());
            assert!(in_turn.iter().map(place).eq(at_once.iter().map(place)), "{threads} threads: in the order of text and candidates");
            assert!(in_turn.iter().map(|batch| &batch.names).eq(at_once.iter().map(|batch| &batch.names)), "each token is named once");
            for (one, other) in in_turn.iter().zip(&at_once) {
                for (x, y) in one.scores.iter().zip(&other.scores) {
                    let off = [x.nll_ref - y.nll_ref, x.nll_cand - y.nll_cand, x.kld - y.kld, x.delta_p - y.delta_p];
                    assert!(off.iter().all(|off| off.abs() < 1e-4), "{threads} threads, candidate {}: {x:?}, {y:?}", one.candidate);
                }
            }
            let itself = at_once.iter().filter(|batch| batch.candidate == 1).flat_map(|batch| &batch.scores);
            assert!(itself.clone().all(|score| score.kld < 1e-6 && score.same_top), "{threads} threads: a design against itself");
        }
    }
}

#[test]
fn of_several_contexts_the_one_that_cannot_be_made_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let tiny = dir.path().join("tiny.gguf");
    tiny_llama(&tiny, &Tiny::default());
    for threads in [1, 4] {
        let mut plan = several(&tiny, &tiny, threads);
        plan.candidates[2].flash_attention = FlashAttention::Off;
        let error = hear(&plan, |_, _| {}).unwrap_err();
        assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("flash attention"), "{error}");
    }
}

#[test]
fn a_cancelled_comparison_ends_within_a_second() {
    let Some(model) = model() else { return };
    for threads in [1, 2] {
        let cancelled = Arc::new(Mutex::new(None));
        let when = Arc::clone(&cancelled);
        let ended = hear(&several(&model, &model, threads), move |event, flag| {
            // the others are in the middle of theirs
            if matches!(event, Event::QualityScores { .. }) && !flag.swap(true, Ordering::Relaxed) {
                *when.lock().unwrap() = Some(Instant::now());
            }
        });
        let took = cancelled.lock().unwrap().expect("something was scored").elapsed();
        assert_eq!(ended.unwrap_err().kind, ErrorKind::Cancelled);
        assert!(took < Duration::from_secs(1), "{threads} threads: {took:?}");
    }
}
