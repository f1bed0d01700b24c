//! What an engine process can do wrong, and what the other side makes of it: it says why, within a second, and goes on.
#![cfg(target_os = "linux")]

mod engine_support;

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use engine_support::{PATIENCE, Rig, generate, is_alive, load, program, scripted, text, wait_for};
use inferscope::engine::fake::{Fault, Point, Reply, Script, TOO_LARGE};
use inferscope::engine::{ChildOptions, Limits, Place};
use inferscope::protocol::{
    Command, EngineError, ErrorKind, Event, JobId, LogLevel, Prompt, QuantizeRequest, StopReason, TokenBatch, wire,
};
use rustix::process::{Pid, Signal, kill_process};

const SOON: Duration = Duration::from_secs(1);
const MODEL: &str = "/models/tiny-Q4_K_M.gguf";

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// Plays a fault at a point and returns what is said about the death; before that, the tokens so far have arrived, and after it the
/// engine works.
#[track_caller]
fn dies(at: Point, fault: Fault) -> EngineError {
    // so slow that the job behind is there before the engine dies
    let script = Script { tokens_per_second: 500.0, prefill_per_second: 2000.0, ..Script::instant() }
        .reply("one two three four")
        .fault(at, "die", fault);
    let rig = Rig::child(&script);
    let job = if at == Point::Load {
        let job = rig.job();
        rig.send(load(job, "/models/die-Q8_0.gguf", 0));
        job
    } else {
        rig.load(MODEL, 0);
        let job = rig.job();
        rig.send(generate(job, &"please die here ".repeat(30), 0));
        job
    };
    let waiting = rig.job();
    rig.send(Command::Probe { job: waiting, threads: 1 });
    let asked = Instant::now();
    let (jobs, error) = rig.death(PATIENCE);
    assert!(asked.elapsed() < SOON, "{at:?}: known after {:?}", asked.elapsed());
    assert_eq!(jobs, [job, waiting], "{at:?}");
    if let Point::Token(n) = at {
        let said = text(&rig.seen.borrow());
        assert!(said.starts_with(&"one two three four"[..if n == 0 { 0 } else { 4 }]), "{at:?}: {said:?}");
    }
    rig.load(MODEL, 0);
    assert_eq!(rig.say("go on"), "one two three four");
    assert!(!rig.seen.borrow().iter().any(|e| matches!(e.ends(), Some(j) if j == job || j == waiting)), "Died is their only end");
    error
}

#[test]
fn a_signal_at_any_point_is_explained() {
    let points = [Point::Load, Point::Prompt, Point::Token(0), Point::Token(2)];
    let signals = [
        (Signal::KILL, ErrorKind::Killed, "memory ran out"),
        (Signal::SEGV, ErrorKind::Crashed, "invalid memory access"),
        (Signal::BUS, ErrorKind::Crashed, "model file changed"),
        (Signal::ILL, ErrorKind::Crashed, "CPU instructions"),
        (Signal::FPE, ErrorKind::Crashed, "arithmetic"),
    ];
    std::thread::scope(|scope| {
        for point in points {
            scope.spawn(move || {
                for (signal, kind, says) in signals {
                    let error = dies(point, Fault::Signal(signal.as_raw()));
                    assert_eq!(error.kind, kind, "{point:?} {signal:?}: {error}");
                    assert!(error.message.contains(says), "{point:?} {signal:?}: {error}");
                }
            });
        }
    });
}

#[test]
fn an_abort_says_what_was_asserted() {
    let assertion = "/src/ggml/ggml.c:3184: GGML_ASSERT(a->ne[2] == b->ne[0]) failed";
    for point in [Point::Load, Point::Prompt, Point::Token(2)] {
        let error = dies(point, Fault::Abort(format!("llama: loading\n{assertion}")));
        assert_eq!(error.kind, ErrorKind::Assertion);
        assert!(error.message.ends_with("ggml.c:3184: GGML_ASSERT(a->ne[2] == b->ne[0]) failed"), "{error}");
        assert_eq!(error.details, ["llama: loading", assertion], "the last lines are the evidence");
    }
}

#[test]
fn other_ways_to_go_are_told_apart() {
    let bad_alloc = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc";
    assert_eq!(dies(Point::Prompt, Fault::Abort(bad_alloc.into())).kind, ErrorKind::OutOfMemory);
    let error = dies(Point::Token(2), Fault::Panic("index out of bounds".into()));
    assert!(error.kind == ErrorKind::Crashed && error.message.contains("index out of bounds"), "{error}");
    let error = dies(Point::Prompt, Fault::Exit(7));
    assert!(error.kind == ErrorKind::Crashed && error.message.contains("exit code 7"), "{error}");
    assert_eq!(dies(Point::Load, Fault::Garbage("<html>not a frame</html>\n".into())).kind, ErrorKind::Protocol);
    assert_eq!(
        dies(Point::Token(2), Fault::Garbage("{\"event\":\"hello\",\"version\":1,\"pid\":1,\"facts\":{}}\n".into())).kind,
        ErrorKind::Protocol
    );
    assert_eq!(dies(Point::Prompt, Fault::PartialFrame).kind, ErrorKind::Crashed);
    assert_eq!(dies(Point::Prompt, Fault::Oversized(TOO_LARGE)).kind, ErrorKind::Protocol);
}

#[test]
fn what_is_too_long_for_a_frame_fails_and_the_engine_lives() {
    let rig = Rig::child(&Script::instant());
    let pid = rig.hello();
    rig.load(MODEL, 0);
    // too long on the way there, and just short enough there but too long on the way back
    for bytes in [wire::MAX_FRAME, wire::MAX_FRAME - 70] {
        let job = rig.job();
        rig.send(Command::Render { job, prompt: Prompt::Raw { text: "x".repeat(bytes) } });
        let Some(Event::Failed { error, .. }) = rig.finish(job).pop() else { panic!("{bytes} bytes passed") };
        assert!(error.kind == ErrorKind::InvalidRequest && error.message.contains("64 MiB"), "{error:?}");
    }
    // 10 MB of what takes six bytes each still passes
    let job = rig.job();
    rig.send(generate(job, &"\0".repeat(10 << 20), 4));
    assert!(matches!(rig.finish(job).pop(), Some(Event::Failed { error, .. }) if error.kind == ErrorKind::ContextOverflow));
    rig.say("still there?");
    assert_eq!(rig.engine.pid(), Some(pid));
}

#[test]
fn a_failed_load_says_what_is_still_in_memory() {
    let refusal = EngineError::new(ErrorKind::InvalidFile, "Damaged");
    let rig = Rig::child(&Script::instant().fault(Point::Load, "die", Fault::Fail(refusal)));
    rig.load(MODEL, 0);
    let job = rig.job();
    rig.send(load(job, "/models/die.gguf", 0));
    let events = rig.finish(job);
    let residents = events.iter().find_map(|e| if let Event::Residents { resident, .. } = e { Some(resident) } else { None });
    let [one] = &**residents.expect("said") else { panic!("{residents:?}") };
    assert!(one.active && one.design.model == std::path::Path::new(MODEL));
}

#[test]
fn a_failed_job_is_not_a_death() {
    let refusal = EngineError::new(ErrorKind::UnsupportedArchitecture, "Architecture \"x\" is not supported").path("/models/die.gguf");
    let rig = Rig::child(&Script::instant().fault(Point::Load, "die", Fault::Fail(refusal.clone())));
    let pid = rig.hello();
    let job = rig.job();
    rig.send(load(job, "/models/die.gguf", 0));
    assert_eq!(rig.finish(job).last(), Some(&Event::Failed { job, error: refusal }));
    rig.load(MODEL, 0);
    assert_eq!(rig.engine.pid(), Some(pid));
}

#[test]
fn an_idle_engine_that_is_killed_comes_back() {
    let rig = Rig::child(&Script::instant());
    let pid = rig.hello();
    assert_eq!(rig.engine.pid(), Some(pid));
    let asked = Instant::now();
    signal(pid, Signal::KILL);
    let (jobs, error) = rig.death(PATIENCE);
    assert!(asked.elapsed() < SOON);
    assert_eq!((jobs, error.kind), (vec![], ErrorKind::Killed));
    assert_ne!(rig.hello(), pid);
    assert!(!is_alive(pid));
}

#[test]
fn what_does_not_stop_is_ended_after_three_seconds() {
    let rig = Rig::child(&Script::instant().fault(Point::Token(3), "die", Fault::Hang));
    rig.load(MODEL, 0);
    let job = rig.job();
    rig.send(generate(job, "die", 0));
    rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
    let asked = Instant::now();
    rig.send(Command::Cancel { job });
    let (jobs, error) = rig.death(PATIENCE);
    let took = asked.elapsed();
    assert!((Duration::from_millis(2900)..Duration::from_millis(3900)).contains(&took), "{took:?}");
    assert_eq!((jobs, error.kind), (vec![job], ErrorKind::NotAnswering));
    assert!(error.message.contains("did not stop within 3 s"), "{error}");
    rig.load(MODEL, 0);
    assert!(!rig.say("go on").is_empty());
}

#[test]
fn a_frozen_engine_is_remarked_upon_once_and_can_be_stopped() {
    let limits = Limits { silence: Duration::from_millis(400), cancel: Duration::from_millis(600), ..Limits::default() };
    let rig = Rig::child_with_limits(&Script { tokens_per_second: 20.0, ..Script::instant() }.reply("x ".repeat(1000)), limits);
    let pid = rig.hello();
    rig.load(MODEL, 0);
    let job = rig.job();
    rig.send(generate(job, "hello", 0));
    rig.until(PATIENCE, |event| matches!(event, Event::Tokens { .. }).then_some(()));
    signal(pid, Signal::STOP);
    std::thread::sleep(Duration::from_millis(1500));
    rig.send(Command::Cancel { job });
    let (jobs, error) = rig.death(PATIENCE);
    assert_eq!((jobs, error.kind), (vec![job], ErrorKind::NotAnswering));
    let remarks = rig
        .seen
        .borrow()
        .iter()
        .filter(|e| matches!(e, Event::Log { level: LogLevel::Warn, line } if line.contains("not answering")))
        .count();
    assert_eq!(remarks, 1);
    assert!(!is_alive(pid));
    rig.hello();
}

#[test]
fn an_engine_that_cannot_speak_is_not_started_again_and_again() {
    let limits = Limits { hello: Duration::from_millis(500), ..Limits::default() };
    let rig = Rig::child(&Script { version: Some(wire::VERSION + 1), ..Script::instant() });
    let (_, error) = rig.death(PATIENCE);
    assert!(error.kind == ErrorKind::Protocol && error.message.contains("version 2"), "{error}");
    assert!(rig.next_event(Duration::from_millis(500)).is_none(), "another start would end the same way");

    let rig = Rig::new(Place::Child(ChildOptions { program: "/nowhere/inferscope".into(), ..ChildOptions::default() }));
    let (_, error) = rig.death(PATIENCE);
    assert!(error.to_string().ends_with(": /nowhere/inferscope"), "{error}");
    let job = rig.job();
    rig.send(Command::Probe { job, threads: 1 });
    assert_eq!(rig.death(PATIENCE).0, [job], "asking tries again");

    let rig = Rig::child_with_limits(&Script::instant().fault(Point::Start, "", Fault::Hang), limits);
    let (_, error) = rig.death(PATIENCE);
    assert!(error.kind == ErrorKind::NotAnswering && error.message.contains("hello"), "{error}");

    let rig = Rig::child(&Script::instant().fault(Point::Start, "", Fault::Garbage("Segmentation fault\n".into())));
    assert_eq!(rig.death(PATIENCE).1.kind, ErrorKind::Protocol);
}

#[test]
fn a_crash_loop_ends_and_a_command_tries_again() {
    let rig = Rig::child(&Script::instant().fault(Point::Start, "", Fault::Exit(3)));
    for n in 1..=3 {
        let (_, error) = rig.death(PATIENCE);
        assert_eq!(error.hint.contains("3 times"), n == 3, "{n}: {error}");
    }
    assert!(rig.next_event(Duration::from_millis(500)).is_none(), "it is left alone now");
    let job = rig.job();
    rig.send(Command::Probe { job, threads: 1 });
    assert_eq!(rig.death(PATIENCE).0, [job]);
    assert!(rig.next_event(Duration::from_millis(500)).is_none());
}

#[test]
fn making_a_rung_is_cancelled_at_once_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("m-Q2_K.gguf");
    let request = QuantizeRequest {
        source: MODEL.into(),
        target: target.clone(),
        file_type: "Q2_K".into(),
        imatrix: None,
        prune_layers: Vec::new(),
        threads: 0,
    };
    let rig = Rig::child(&Script { quantize_seconds: 60.0, ..Script::instant() }.fault(Point::Quantize, "", Fault::Hang));
    let pid = rig.hello();
    let (job, next) = (rig.job(), rig.job());
    rig.send(Command::Quantize { job, request: request.clone() });
    rig.send(load(next, MODEL, 0));
    rig.until(PATIENCE, |event| matches!(event, Event::Progress { .. }).then_some(()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "the partial file is there");
    let asked = Instant::now();
    rig.send(Command::Cancel { job });
    assert!(matches!(rig.finish(job).last(), Some(Event::Failed { error, .. }) if error.kind == ErrorKind::Cancelled));
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(matches!(rig.finish(next).last(), Some(Event::Loaded { .. })), "what waited goes to the next engine");
    assert_ne!(rig.engine.pid(), Some(pid));
    assert!(!rig.seen.borrow().iter().any(|e| matches!(e, Event::Died { .. })), "nothing died as far as the user is concerned");

    let job = rig.job();
    rig.send(Command::Quantize { job, request });
    rig.until(PATIENCE, |event| matches!(event, Event::Progress { .. }).then_some(()));
    signal(rig.engine.pid().unwrap(), Signal::KILL);
    rig.death(PATIENCE);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a crash leaves nothing either");
}

#[test]
fn a_flood_of_log_lines_hurts_nobody() {
    let flood = 1 << 30;
    let rig = Rig::child(&Script::instant().reply("one two").fault(Point::Prompt, "flood", Fault::StderrFlood(flood)));
    rig.load(MODEL, 0);
    let before = resident();
    let asked = Instant::now();
    assert_eq!(rig.say("flood"), "one two");
    println!("1 GiB of log lines took {:?}", asked.elapsed());
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    let lines = rig.seen.borrow().iter().filter(|e| matches!(e, Event::Log { .. })).count();
    assert!(lines > 0 && lines < 5000, "{lines} lines got through");
}

#[test]
fn printing_does_not_corrupt_frames() {
    let script = Script::instant().reply("one two three").fault(Point::Load, "", Fault::Print("llama_model_load: loading\n".into())).fault(
        Point::Token(1),
        "",
        Fault::Print("{\"event\":\"done\",\"job\":2}\nno line end".into()),
    );
    let rig = Rig::child(&script);
    rig.load(MODEL, 0);
    assert_eq!(rig.say("hello"), "one two three");
    let logged = rig.seen.borrow().iter().any(|e| matches!(e, Event::Log { line, .. } if line.contains("llama_model_load: loading")));
    assert!(logged, "what was printed is a log line");
}

#[test]
fn nobody_reading_for_long_loses_nothing() {
    let count = 100_000;
    let rig = Rig::child(&Script { n_ctx_train: 1 << 20, ..Script::instant() });
    let flood: String = {
        let mut bytes = Vec::new();
        for n in 1..=50_000u32 {
            let batch =
                TokenBatch { text: format!("{n} "), n: 1, total: n, first: n.into(), last: n.into(), kv_used: n, probs: Vec::new() };
            wire::write(&mut bytes, &Event::Tokens { job: JobId(2), batch }).unwrap();
        }
        String::from_utf8(bytes).unwrap()
    };
    drop(rig);
    let script = Script { n_ctx_train: 1 << 20, replies: vec![Reply::Repeat { piece: "{n} ".into(), count }], ..Script::instant() };
    let rig = Rig::child(&script.fault(Point::Prompt, "frames", Fault::Garbage(flood)));
    let job = rig.job();
    let Command::Load { request, .. } = load(job, MODEL, 0) else { unreachable!() };
    let design = inferscope::protocol::Design { n_ctx: 1 << 20, ..request.design.clone() };
    rig.send(Command::Load { job, request: inferscope::protocol::LoadRequest { design, ..request } });
    rig.finish(job);
    let before = resident();
    let job = rig.job();
    rig.send(generate(job, "frames", 0));
    // Long enough for everything to have been said; nobody drains.
    std::thread::sleep(Duration::from_secs(4));
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes wait");
    let events = rig.finish(job);
    assert!(events.len() < 1500, "{} events", events.len());
    let expected: String = (1..=50_000).map(|n| format!("{n} ")).chain((0..count).map(|n| format!("{n} "))).collect();
    assert!(text(&events) == expected, "every character arrives, in order");
    let Some(Event::Generated { stats, .. }) = events.last() else { panic!("{:?}", events.last()) };
    assert_eq!((stats.predicted_tokens, &stats.stop), (count, &StopReason::EndOfReply));
}

#[test]
fn a_crowd_of_commands_is_refused_in_words_and_cancel_gets_through() {
    let rig = Rig::child(&Script { tokens_per_second: 20.0, ..Script::instant() }.reply("x ".repeat(10_000)));
    rig.load(MODEL, 0);
    let job = rig.job();
    rig.send(generate(job, "hello", 0));
    let mut refused = Vec::new();
    let mut sent = Vec::new();
    for _ in 0..2000 {
        let id = rig.job();
        match rig.engine.send(Command::Probe { job: id, threads: 1 }) {
            Ok(()) => sent.push(id),
            Err(error) => refused.push(error),
        }
    }
    assert!(refused.iter().all(|error| error.kind == ErrorKind::InvalidRequest && error.message.contains("waiting")), "{refused:?}");
    let asked = Instant::now();
    rig.send(Command::Cancel { job });
    let mut open: std::collections::BTreeSet<JobId> = sent.into_iter().chain([job]).collect();
    while !open.is_empty() {
        let event = rig.next_event(PATIENCE).unwrap_or_else(|| panic!("{} jobs are open", open.len()));
        if let Some(id) = event.ends() {
            assert!(open.remove(&id), "{id:?} ended twice");
            if id == job {
                assert!(asked.elapsed() < SOON);
            }
        }
    }
}

/// Not a test of its own: the process that is killed in the next one. Does nothing when it runs with the others.
#[test]
fn parent_that_will_be_killed() {
    let Some(script) = std::env::var_os("INFERSCOPE_TEST_PARENT") else { return };
    let rig = Rig::new(Place::Child(ChildOptions::scripted(program(), &PathBuf::from(script))));
    let pid = rig.hello();
    rig.load(MODEL, 0);
    rig.send(generate(rig.job(), "hello", 0));
    println!("\nchild {pid}");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn no_engine_outlives_its_parent() {
    for (frozen, fault) in [(false, None), (true, None), (false, Some(Fault::Hang))] {
        let folder = tempfile::tempdir().unwrap();
        let mut script = Script { tokens_per_second: 20.0, ..Script::instant() }.reply("x ".repeat(10_000));
        if let Some(fault) = fault {
            script = script.fault(Point::Token(1), "", fault);
        }
        scripted(&script, folder.path());
        let mut parent = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "parent_that_will_be_killed", "--nocapture"])
            .env("INFERSCOPE_TEST_PARENT", folder.path().join("script.json"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let pid = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("child ")?.parse::<u32>().ok()).unwrap();
        assert!(is_alive(pid));
        if frozen {
            signal(pid, Signal::STOP);
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        wait_for("the engine is gone", Duration::from_secs(5), || !is_alive(pid));
    }
}

#[test]
fn many_deaths_leave_nothing_behind() {
    let limits = Limits { crash_loop: Duration::ZERO, ..Limits::default() };
    let rig = Rig::child_with_limits(&Script::instant(), limits);
    rig.hello();
    let count = || (std::fs::read_dir("/proc/self/fd").unwrap().count(), std::fs::read_dir("/proc/self/task").unwrap().count());
    let before = count();
    for _ in 0..100 {
        let pid = rig.engine.pid().unwrap();
        signal(pid, Signal::KILL);
        rig.death(PATIENCE);
        rig.hello();
        assert!(!is_alive(pid));
    }
    // Other tests run in this process at the same time: what counts is that it does not grow with the number of deaths.
    let after = count();
    assert!(after.0 < before.0 + 80 && after.1 < before.1 + 80, "{before:?} -> {after:?} files and threads");
}

/// Bytes this process has in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
