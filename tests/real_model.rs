//! The main job on the starter model, end to end, through the real engine process: load, chat, switch rungs, survive a kill.
#![cfg(feature = "llama")]

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inferscope::engine::{ChildOptions, Engine, Place};
use inferscope::protocol::{
    Command, Design, ErrorKind, Event, GenerateRequest, GenerateStats, JobId, LoadReport, LoadRequest, Message, Overflow, Prompt,
    QuantizeRequest, Role, SamplerOverrides, StopReason,
};

const QUESTION: &str = "Name three colours and say one sentence about each.";

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

struct Session {
    engine: Engine,
    next: u64,
}

impl Session {
    fn start() -> Self {
        let options = ChildOptions { program: env!("CARGO_BIN_EXE_inferscope").into(), ..ChildOptions::default() };
        let engine = Engine::spawn(Place::Child(options), Arc::new(|| {})).expect("the engine starts");
        Self { engine, next: 0 }
    }

    fn job(&mut self) -> JobId {
        self.next += 1;
        JobId(self.next)
    }

    fn send(&self, command: Command) {
        self.engine.send(command).expect("the engine listens");
    }

    /// Every event until one that `ends` says is the last, which comes last.
    fn until(&self, mut ends: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let limit = Instant::now() + Duration::from_secs(120);
        let mut events = Vec::new();
        while Instant::now() < limit {
            if let Ok(event) = self.engine.events().recv_timeout(Duration::from_millis(200)) {
                let last = ends(&event);
                events.push(event);
                if last {
                    return events;
                }
            }
        }
        panic!("the engine did not get there in time: {:?}", events.last());
    }

    fn load(&mut self, path: &Path, keep_warm_bytes: u64) -> LoadReport {
        let job = self.job();
        let design = Design { n_ctx: 2048, threads: 2, ..Design::for_model(path) };
        self.send(Command::Load { job, request: LoadRequest { design, keep_warm_bytes } });
        match self.until(|event| event.ends() == Some(job) || matches!(event, Event::Died { .. })).pop() {
            Some(Event::Loaded { report, .. }) => *report,
            other => panic!("not loaded: {other:?}"),
        }
    }

    fn ask(&mut self, messages: Vec<Message>, n: u32) -> (String, GenerateStats) {
        let job = self.job();
        self.send(generate(job, messages, n));
        let mut events = self.until(|event| event.ends() == Some(job) || matches!(event, Event::Died { .. }));
        let Some(Event::Generated { stats, .. }) = events.pop() else { panic!("no reply") };
        let text = events.iter().filter_map(|event| if let Event::Tokens { batch, .. } = event { Some(batch.text.as_str()) } else { None });
        (text.collect(), *stats)
    }
}

fn generate(job: JobId, messages: Vec<Message>, max_tokens: u32) -> Command {
    let request = GenerateRequest {
        prompt: Prompt::Chat { messages },
        sampler: SamplerOverrides { temperature: Some(0.0), ..SamplerOverrides::default() },
        max_tokens,
        stop: Vec::new(),
        overflow: Overflow::Stop,
        json_schema: None,
        want_token_ids: false,
        alternatives: 0,
        only_by: None,
        text_every_ms: 0,
    };
    Command::Generate { job, request }
}

fn user(text: &str) -> Message {
    Message { role: Role::User, text: text.into() }
}

/// The same question through the command line.
fn run(model: &Path, n: u32) -> String {
    let output = Process::new(env!("CARGO_BIN_EXE_inferscope"))
        .args(["run", "--json", "--temp", "0", "-c", "2048", "-t", "2", "-n", &n.to_string(), "-p", QUESTION])
        .arg(model)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    json["text"].as_str().expect("a text").to_owned()
}

#[test]
fn three_rungs_say_in_a_conversation_what_they_say_alone() {
    let Some(source) = model() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut session = Session::start();
    let mut rungs = vec![source.clone()];
    for quant in ["Q8_0", "Q4_K_M"] {
        let job = session.job();
        let target = folder.path().join(format!("SmolLM2-135M-Instruct.{quant}.gguf"));
        session.send(Command::Quantize {
            job,
            request: QuantizeRequest {
                source: source.clone(),
                target: target.clone(),
                file_type: quant.into(),
                imatrix: None,
                prune_layers: Vec::new(),
                threads: 2,
            },
        });
        match session.until(|event| event.ends() == Some(job)).pop() {
            Some(Event::Quantized { path, size, .. }) => {
                assert_eq!(path, target);
                assert_eq!(size, target.metadata().expect("it is there").len());
            }
            other => panic!("not made: {other:?}"),
        }
        rungs.push(target);
    }
    for rung in &rungs {
        let report = session.load(rung, u64::MAX);
        assert!(!report.warm);
        assert!(report.memory.weights > 0 && report.memory.kv > 0, "{:?}", report.memory);
        let (text, stats) = session.ask(vec![user(QUESTION)], 32);
        assert!(!text.trim().is_empty());
        assert!(stats.decode_tps > 0.0 && stats.ttft_ms > 0.0);
        assert_eq!(text, run(rung, 32), "{}", rung.display());
    }
    // back to the first: still in memory, and it says the same again
    let report = session.load(&source, u64::MAX);
    assert!(report.warm, "the rung was kept warm");
    let (again, _) = session.ask(vec![user(QUESTION)], 32);
    assert_eq!(again, run(&source, 32));
}

#[test]
fn the_second_turn_reuses_the_first() {
    let Some(source) = model() else { return };
    let mut session = Session::start();
    session.load(&source, 0);
    let (reply, first) = session.ask(vec![user(QUESTION)], 24);
    let follow_up = vec![user(QUESTION), Message { role: Role::Assistant, text: reply }, user("And a fourth?")];
    let (_, second) = session.ask(follow_up, 8);
    assert!(second.cached_tokens >= first.prompt_tokens, "{} of {} reused", second.cached_tokens, second.prompt_tokens);
    assert!(second.cached_tokens < second.prompt_tokens);
}

#[test]
fn stop_is_effective_within_a_second() {
    let Some(source) = model() else { return };
    let mut session = Session::start();
    session.load(&source, 0);
    let job = session.job();
    session.send(generate(job, vec![user("Write a very long story.")], 1500));
    session.until(|event| matches!(event, Event::Tokens { .. }));
    let stopped = Instant::now();
    session.send(Command::Cancel { job });
    let Some(Event::Generated { stats, .. }) = session.until(|event| event.ends() == Some(job)).pop() else { panic!("no reply") };
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    assert_eq!(stats.stop, StopReason::Cancelled);
}

#[cfg(unix)]
#[test]
fn a_kill_in_the_middle_of_a_reply_is_survived() {
    let Some(source) = model() else { return };
    let mut session = Session::start();
    session.load(&source, 0);
    let job = session.job();
    session.send(generate(job, vec![user("Write a very long story.")], 1500));
    session.until(|event| matches!(event, Event::Tokens { .. }));
    let pid = session.engine.pid().expect("a process");
    assert!(Process::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs").success());
    let killed = Instant::now();
    let Some(Event::Died { jobs, error }) = session.until(|event| matches!(event, Event::Died { .. })).pop() else { panic!("no word") };
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    assert_eq!((jobs, error.kind), (vec![job], ErrorKind::Killed));
    session.until(|event| matches!(event, Event::Hello { .. }));
    session.load(&source, 0);
    let (text, _) = session.ask(vec![user(QUESTION)], 8);
    assert!(!text.is_empty());
}

#[test]
fn user_text_never_becomes_a_control_token() {
    let Some(source) = model() else { return };
    let mut session = Session::start();
    session.load(&source, 0);
    let mut count = |text: &str| {
        let job = session.job();
        session.send(Command::Render { job, prompt: Prompt::Chat { messages: vec![user(text)] } });
        match session.until(|event| event.ends() == Some(job)).pop() {
            Some(Event::Rendered { rendered, .. }) => rendered.n_tokens,
            other => panic!("not rendered: {other:?}"),
        }
    };
    // as a control token it would be one token; as text it is several
    assert!(count("a <|im_end|> b") >= count("a b") + 4);
    assert!(count("a\0b") > 0);
}

/// A disk that is full is played by a limit on the size of files: the write fails in the middle, as it does on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_while_a_rung_is_made_leaves_nothing_behind() {
    let Some(source) = model() else { return };
    let before = std::fs::metadata(&source).expect("a model");
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("made.gguf");
    let program = env!("CARGO_BIN_EXE_inferscope");
    // in blocks of 512 bytes; without the trap the system would end the engine at the limit, which no full disk does
    let limited = ["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$0\" engine", program].map(Into::into);
    let options = ChildOptions { program: "/bin/sh".into(), args: limited.into(), ..ChildOptions::default() };
    let engine = Engine::spawn(Place::Child(options), Arc::new(|| {})).expect("the engine starts");
    let mut session = Session { engine, next: 0 };
    let job = session.job();
    let request = QuantizeRequest {
        source: source.clone(),
        target: target.clone(),
        file_type: "Q8_0".into(),
        imatrix: None,
        prune_layers: Vec::new(),
        threads: 2,
    };
    session.send(Command::Quantize { job, request });
    let ended = session.until(|event| event.ends() == Some(job) || matches!(event, Event::Died { .. })).pop();
    let Some(Event::Failed { error, .. }) = ended else { panic!("{ended:?}") };
    assert_eq!(error.kind, ErrorKind::Disk, "{error:?}");
    assert!(error.message.contains("full") && error.hint.contains("space"), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing half-made stays");
    let after = std::fs::metadata(&source).expect("a model");
    assert_eq!((after.len(), after.modified().ok()), (before.len(), before.modified().ok()), "the source is untouched");
    // and the engine goes on
    session.load(&source, 0);
}
