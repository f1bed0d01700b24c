//! The contract of every engine, run over every place it can run in. The real one joins when this build has llama.cpp and there is a
//! model: `INFERSCOPE_TEST_MODEL`, or the smallest GGUF in `models/`.

mod engine_support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine_support::{PATIENCE, Rig, generate, is_alive, load, program, scripted, text, wait_for};
use inferscope::engine::fake::Script;
use inferscope::engine::{ChildOptions, Place};
use inferscope::protocol::{
    BenchPlan, BenchTest, Command, Design, ErrorKind, Event, GenerateRequest, JobId, Message, Prompt, QuantizeRequest, Role,
    SamplerOverrides, Stage, StopReason, Warmup,
};

/// Held by the test that runs llama.cpp in this process.
static THREAD: Mutex<()> = Mutex::new(());

/// A place to run in, and what to load there.
struct Arena {
    name: &'static str,
    place: Place,
    model: PathBuf,
    /// Whether the figures of the script can be expected, and paths that do not exist be loaded
    scripted: bool,
}

fn arenas(script: &Script, folder: &std::path::Path) -> Vec<Arena> {
    let fake = |name, place| Arena { name, place, model: "/models/tiny-Q4_K_M.gguf".into(), scripted: true };
    let mut arenas =
        vec![fake("fake on a thread", Place::Fake(script.clone())), fake("fake in a child", Place::Child(scripted(script, folder)))];
    if let Some(model) = real_model() {
        let real = |name, place| Arena { name, place, model: model.clone(), scripted: false };
        arenas.push(real("llama.cpp in a child", Place::Child(ChildOptions { program: program(), ..ChildOptions::default() })));
        arenas.push(real("llama.cpp on a thread", Place::Thread));
    }
    arenas
}

fn real_model() -> Option<PathBuf> {
    if !cfg!(feature = "llama") {
        return None;
    }
    if let Some(path) = std::env::var_os("INFERSCOPE_TEST_MODEL") {
        return Some(path.into());
    }
    let models = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/models")).ok()?;
    let files = models.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "gguf"));
    files.min_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |meta| meta.len()))
}

/// Runs a test in every arena and says in which it failed.
fn everywhere(script: Script, test: fn(&Arena, &Rig)) {
    let folder = tempfile::tempdir().unwrap();
    for arena in arenas(&script, folder.path()) {
        println!("in: {}", arena.name);
        // one llama.cpp a process: tests that run side by side would share its log and its cores
        let _turn = matches!(arena.place, Place::Thread).then(|| THREAD.lock().unwrap_or_else(PoisonError::into_inner));
        test(&arena, &Rig::new(arena.place.clone()));
    }
}

#[test]
fn hello_comes_first_and_a_load_reports_its_progress() {
    everywhere(Script { load_seconds: 0.3, ..Script::instant() }, |arena, rig| {
        let job = rig.job();
        rig.send(load(job, &arena.model, 0));
        let events = rig.finish(job);
        assert!(matches!(rig.seen.borrow().iter().find(|e| !matches!(e, Event::Log { .. })), Some(Event::Hello { .. })));
        let done: Vec<u64> = events
            .iter()
            .filter_map(|event| if let Event::Progress { stage: Stage::Load, done, .. } = event { Some(*done) } else { None })
            .collect();
        assert!(done.is_sorted() && done.last() == Some(&1000), "{done:?}");
        let Some(Event::Loaded { report, .. }) = events.last() else { panic!("{events:?}") };
        assert_eq!((report.effective.n_ctx, report.warm), (512, false));
        assert!(report.memory.weights > 0 && report.memory.kv > 0 && report.info.n_params > 0);
        assert_eq!(report.resident.len(), 1);
        assert!(report.seconds > 0.0);
    });
}

#[test]
fn a_reply_arrives_in_order_and_its_totals_agree() {
    everywhere(Script { tokens_per_second: 200.0, ..Script::instant() }.reply("one two three four five ".repeat(10)), |arena, rig| {
        rig.load(&arena.model, 0);
        let job = rig.job();
        rig.send(generate(job, "Count:", 40));
        let events = rig.finish(job);
        assert!(events.iter().any(|event| matches!(event, Event::Started { prompt_tokens, .. } if *prompt_tokens > 0)));
        let (mut total, mut last) = (0, 0.0);
        for event in &events {
            if let Event::Tokens { batch, .. } = event {
                total += batch.n;
                assert_eq!(batch.total, total, "no token is skipped or said twice");
                assert!(batch.first >= last && batch.last >= batch.first, "{batch:?}");
                last = batch.last;
            }
        }
        let Some(Event::Generated { stats, .. }) = events.last() else { panic!("{:?}", events.last()) };
        assert_eq!(stats.predicted_tokens, total);
        assert!(stats.ttft_ms >= 0.0 && stats.total_ms >= stats.ttft_ms && stats.decode_tps > 0.0, "{stats:?}");
        if arena.scripted {
            assert_eq!(stats.stop, StopReason::MaxTokens);
            assert_eq!(text(&events), "one two three four five ".repeat(8));
            assert!((stats.decode_tps - 200.0).abs() < 1e-6, "the script's rate, exactly");
        }
        let batches = events.iter().filter(|event| matches!(event, Event::Tokens { .. })).count() as f64;
        assert!(batches <= 2.0 + 31.0 * stats.total_ms / 1e3, "{batches} pieces of text in {} ms", stats.total_ms);
    });
}

#[test]
fn a_running_reply_stops_within_a_second_and_keeps_its_text() {
    everywhere(Script { tokens_per_second: 50.0, ..Script::instant() }.reply("word ".repeat(4000)), |arena, rig| {
        rig.load(&arena.model, 0);
        let job = rig.job();
        rig.send(generate(job, "A long story:", 0));
        rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
        let asked = Instant::now();
        rig.send(Command::Cancel { job });
        let events = rig.finish(job);
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        let Some(Event::Generated { stats, .. }) = events.last() else { panic!("{:?}", events.last()) };
        assert_eq!(stats.stop, StopReason::Cancelled);
    });
}

#[test]
fn a_load_can_be_cancelled() {
    everywhere(Script { load_seconds: 30.0, ..Script::instant() }, |arena, rig| {
        if !arena.scripted {
            return;
        }
        let job = rig.job();
        rig.send(load(job, &arena.model, 0));
        rig.until(PATIENCE, |event| matches!(event, Event::Progress { .. }).then_some(()));
        let asked = Instant::now();
        rig.send(Command::Cancel { job });
        let events = rig.finish(job);
        assert!(matches!(events.last(), Some(Event::Failed { error, .. }) if error.kind == ErrorKind::Cancelled), "{events:?}");
        assert!(asked.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_waiting_job_is_cancelled_at_once_and_never_runs() {
    everywhere(Script { tokens_per_second: 50.0, ..Script::instant() }.reply("word ".repeat(4000)), |arena, rig| {
        rig.load(&arena.model, 0);
        let (first, second) = (rig.job(), rig.job());
        rig.send(generate(first, "A long story:", 0));
        rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
        rig.send(generate(second, "Another:", 0));
        rig.send(Command::Cancel { job: second });
        let events = rig.finish(second);
        assert!(matches!(&*events, [Event::Failed { error, .. }] if error.kind == ErrorKind::Cancelled), "{events:?}");
        rig.send(Command::Cancel { job: first });
        rig.finish(first);
    });
}

#[test]
fn every_job_ends_exactly_once() {
    everywhere(Script { tokens_per_second: 2000.0, ..Script::instant() }.reply("word ".repeat(40)), |arena, rig| {
        rig.load(&arena.model, 0);
        let mut jobs = Vec::new();
        for n in 0..60u64 {
            let job = rig.job();
            jobs.push(job);
            rig.send(match n % 4 {
                0 => Command::Render { job, prompt: Prompt::Raw { text: "x".into() } },
                1 => generate(job, "Count:", 20),
                2 => Command::Estimate { job, design: Design::for_model(&arena.model) },
                _ => load(job, &arena.model, 0),
            });
            if n % 3 == 0 {
                rig.send(Command::Cancel { job: JobId(1 + n * 7 % (n + 1)) });
                rig.send(Command::Cancel { job });
            }
            if n % 10 == 0 {
                // The queue is short on purpose; a user is no faster.
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        let mut ends: BTreeMap<JobId, u32> = BTreeMap::new();
        while ends.len() < jobs.len() {
            let event = rig.next_event(PATIENCE).unwrap_or_else(|| panic!("only {} of {} ended", ends.len(), jobs.len()));
            if let Some(job) = event.ends() {
                *ends.entry(job).or_default() += 1;
            }
        }
        while let Some(event) = rig.next_event(Duration::from_millis(200)) {
            assert_eq!(event.ends(), None, "an end after the end");
        }
        assert!(ends.values().all(|n| *n == 1), "{ends:?}");
    });
}

#[test]
fn unloading_frees_and_what_needs_a_model_then_fails_in_words() {
    everywhere(Script::instant(), |arena, rig| {
        rig.load(&arena.model, 0);
        let job = rig.job();
        rig.send(Command::Unload { job, model: None });
        assert!(matches!(rig.finish(job).last(), Some(Event::Unloaded { resident, .. }) if resident.is_empty()));
        let job = rig.job();
        rig.send(generate(job, "x", 3));
        let events = rig.finish(job);
        let Some(Event::Failed { error, .. }) = events.last() else { panic!("{events:?}") };
        assert_eq!(error.kind, ErrorKind::InvalidRequest, "{error}");
        rig.load(&arena.model, 0);
        assert!(!rig.say("Hello").is_empty() || !arena.scripted);
    });
}

#[test]
fn a_warm_rung_comes_back_without_a_load() {
    everywhere(Script { load_seconds: 0.4, ..Script::instant() }, |arena, rig| {
        let other = if arena.scripted { PathBuf::from("/models/tiny-Q8_0.gguf") } else { return };
        assert!(!rig.load(&arena.model, u64::MAX).warm);
        let report = rig.load(&other, u64::MAX);
        assert_eq!((report.warm, report.resident.len(), report.info.quant.as_str()), (false, 2, "Q8_0"));
        let asked = Instant::now();
        let report = rig.load(&arena.model, u64::MAX);
        assert!(report.warm && asked.elapsed() < Duration::from_millis(150), "{:?}", asked.elapsed());
        assert_eq!(report.resident.iter().filter(|r| r.active).count(), 1);
        assert_eq!(report.resident.last().map(|r| &r.design.model), Some(&arena.model));
        let report = rig.load(&other, 0);
        assert_eq!((report.warm, report.resident.len()), (true, 1), "a budget of 0 keeps nothing else");
    });
}

#[test]
fn the_second_turn_finds_the_first_in_the_cache() {
    everywhere(Script::instant().reply("The answer. "), |arena, rig| {
        if !arena.scripted {
            return;
        }
        rig.load(&arena.model, 0);
        let message = |role, text: &str| Message { role, text: text.into() };
        let mut messages = vec![message(Role::System, "Be brief."), message(Role::User, &"What? ".repeat(50))];
        let mut cached = Vec::new();
        for _ in 0..2 {
            let job = rig.job();
            let Command::Generate { mut request, .. } = generate(job, "", 0) else { unreachable!() };
            request.prompt = Prompt::Chat { messages: messages.clone() };
            rig.send(Command::Generate { job, request });
            let events = rig.finish(job);
            let Some(Event::Generated { stats, .. }) = events.last() else { panic!("{events:?}") };
            cached.push((stats.cached_tokens, stats.prompt_tokens));
            messages.extend([message(Role::Assistant, &text(&events)), message(Role::User, "And?")]);
        }
        assert_eq!(cached[0].0, 0);
        assert!(cached[1].0 >= cached[0].1, "{cached:?}");
    });
}

#[test]
fn the_other_jobs_have_their_answers() {
    everywhere(Script { quantize_seconds: 0.2, ..Script::instant() }, |arena, rig| {
        let job = rig.job();
        rig.send(Command::Estimate { job, design: Design::for_model(&arena.model) });
        assert!(matches!(rig.finish(job).last(), Some(Event::Estimated { memory, .. }) if memory.weights > 0));
        let job = rig.job();
        rig.send(Command::Probe { job, threads: 1 });
        assert!(matches!(rig.finish(job).last(), Some(Event::Probed { bandwidth_gb_s, threads: 1, .. }) if *bandwidth_gb_s > 0.1));

        let tests = vec![BenchTest { n_prompt: 16, n_gen: 0, n_depth: 0 }, BenchTest { n_prompt: 0, n_gen: 4, n_depth: 0 }];
        let plan = BenchPlan {
            design: Design::for_model(&arena.model),
            tests: tests.clone(),
            repetitions: 2,
            warmup: Warmup::None,
            ..BenchPlan::default()
        };
        let job = rig.job();
        rig.send(Command::Bench { job, plan });
        let events = rig.finish(job);
        let rows: Vec<_> = events.iter().filter_map(|e| if let Event::BenchRow { row, .. } = e { Some(row) } else { None }).collect();
        assert_eq!(rows.iter().map(|row| row.test).collect::<Vec<_>>(), tests);
        assert!(rows.iter().all(|row| row.samples_ns.len() == 2 && row.samples_ns.iter().all(|ns| *ns > 0)));
        assert!(matches!(events.last(), Some(Event::Done { .. })));

        if !arena.scripted {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("tiny-Q2_K.gguf");
        let request = QuantizeRequest {
            source: arena.model.clone(),
            target: target.clone(),
            file_type: "Q2_K".into(),
            imatrix: None,
            prune_layers: Vec::new(),
            threads: 0,
        };
        let job = rig.job();
        rig.send(Command::Quantize { job, request });
        let events = rig.finish(job);
        assert!(events.iter().any(|event| matches!(event, Event::Progress { stage: Stage::Quantize, .. })));
        let Some(Event::Quantized { path, size, .. }) = events.last() else { panic!("{events:?}") };
        assert_eq!((path, *size), (&target, std::fs::metadata(&target).unwrap().len()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the finished file is there");
    });
}

#[test]
fn restart_and_kill_name_the_jobs_and_the_engine_works_again() {
    everywhere(Script { tokens_per_second: 20.0, ..Script::instant() }, |arena, rig| {
        rig.load(&arena.model, 0);
        let job = rig.job();
        rig.send(generate(job, "x", 0));
        rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
        rig.engine.restart();
        let (jobs, error) = rig.death(PATIENCE);
        assert_eq!((jobs, error.kind), (vec![job], ErrorKind::Killed));
        rig.hello();
        rig.engine.kill();
        let (jobs, _) = rig.death(PATIENCE);
        assert_eq!((jobs, rig.engine.pid()), (vec![], None));
        assert!(rig.next_event(Duration::from_millis(300)).is_none(), "it stays off until it is needed");
        assert!(!rig.load(&arena.model, 0).warm, "a new engine has nothing loaded");
    });
}

#[test]
fn dropping_ends_a_busy_engine_soon() {
    let folder = tempfile::tempdir().unwrap();
    for arena in arenas(&Script { tokens_per_second: 20.0, ..Script::instant() }, folder.path()) {
        let rig = Rig::new(arena.place.clone());
        rig.load(&arena.model, 0);
        rig.send(generate(rig.job(), "x", 0));
        rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
        let pid = rig.engine.pid();
        let start = Instant::now();
        drop(rig);
        assert!(start.elapsed() < Duration::from_secs(2), "{}: {:?}", arena.name, start.elapsed());
        if let Some(pid) = pid {
            wait_for("the process is gone", Duration::from_secs(1), || !is_alive(pid));
        }
    }
}

#[test]
fn the_machine_is_sampled() {
    everywhere(Script::instant(), |_, rig| {
        rig.engine.pace().set(Duration::from_millis(50), Duration::from_millis(50));
        let end = Instant::now() + PATIENCE;
        let mut samples = Vec::new();
        while samples.len() < 5 {
            if let Event::Sample { sample } = rig.engine.events().recv_deadline(end).unwrap() {
                assert!(sample.window.rss > 0 && sample.available > 0 && sample.available <= sample.total, "{sample:?}");
                samples.push(sample.engine.is_some());
            }
        }
        let has_process = matches!(rig.engine.pid(), Some(pid) if pid != std::process::id());
        assert_eq!(samples.last(), Some(&has_process));
    });
}

#[test]
fn a_sampler_that_is_not_a_number_is_refused_before_it_is_lost_on_the_way() {
    everywhere(Script::instant(), |arena, rig| {
        rig.load(&arena.model, 0);
        let job = rig.job();
        let Command::Generate { request, .. } = generate(job, "Hi", 4) else { unreachable!() };
        let sampler = SamplerOverrides { temperature: Some(f32::NAN), ..SamplerOverrides::default() };
        let error = rig.engine.send(Command::Generate { job, request: GenerateRequest { sampler, ..request } }).unwrap_err();
        assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("temperature"), "{error:?}");
        assert!(!rig.say("still there?").is_empty() || arena.scripted);
    });
}
