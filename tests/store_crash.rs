//! Death at any moment: this program starts itself again as a helper that writes, and ends it with SIGKILL.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking"
)]

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use inferscope::protocol::{Event, JobId, Role, TokenBatch};
use inferscope::store::{
    Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState, Op, Reply, Request, Settings, SettingsFile, Store, Writer,
};

const DIR: &str = "STORE_CRASH_DIR";
const JOB: &str = "STORE_CRASH_JOB";

fn chat() -> Chat {
    Chat {
        id: ChatId(1),
        title: String::new(),
        title_is_users: false,
        mode: ChatMode::Chat,
        system: String::new(),
        draft: String::new(),
        leaf: None,
        created_ms: 0,
        updated_ms: 0,
        last_design: String::new(),
        replies: 0,
    }
}

fn message(id: i64, text: String, state: MessageState) -> ChatMessage {
    ChatMessage {
        id: MessageId(id),
        chat: ChatId(1),
        parent: (id > 1).then(|| MessageId(id - 1)),
        role: Role::Assistant,
        text,
        state,
        stats: None,
        provenance: None,
        created_ms: 0,
    }
}

fn text_of(id: i64) -> String {
    format!("message {id} {}", "x".repeat(id as usize * 37 % 9000))
}

/// Says a line past the test harness, at once.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n> {line}").and_then(|()| out.flush()).unwrap();
}

/// Not a test of its own: the helper's part, chosen by the environment.
#[test]
fn helper() {
    let (Some(dir), Some(job)) = (env::var_os(DIR), env::var_os(JOB)) else { return };
    let dir = Path::new(&dir);
    match job.to_str().unwrap() {
        "messages" => write_messages(dir),
        "stream" => stream(dir),
        "settings" => write_settings(dir),
        "full" => fill(dir),
        other => panic!("{other}"),
    }
}

fn write_messages(dir: &Path) {
    let (mut store, notices) = Store::open(dir);
    assert_eq!(notices, []);
    let first = store.next_ids().1.0;
    let writer = Writer::spawn(store, |reply| match reply {
        Reply::Saved { seq } => say(&format!("ack {seq}")),
        other => panic!("{other:?}"),
    })
    .unwrap();
    for id in first.. {
        let mut ops = vec![Op::PutMessage(message(id, text_of(id), MessageState::Whole)), Op::SetDraft(ChatId(1), format!("draft {id}"))];
        if id == 1 {
            ops.insert(0, Op::PutChat(chat()));
        }
        writer.send(Request::Apply { seq: id as u64, ops });
        thread::sleep(Duration::from_micros((id as u64 * 7919) % 4000));
    }
}

fn stream(dir: &Path) {
    let (store, _) = Store::open(dir);
    let (out, replies) = crossbeam_channel::bounded(100);
    let writer = Writer::spawn(store, move |reply| out.send(reply).unwrap()).unwrap();
    let reply = message(1, String::new(), MessageState::Streaming);
    writer.send(Request::Apply { seq: 1, ops: vec![Op::PutChat(chat()), Op::PutMessage(reply)] });
    assert_eq!(replies.recv().unwrap(), Reply::Saved { seq: 1 });
    writer.send(Request::BeginReply { job: JobId(1), message: MessageId(1), from: 0 });
    let recorder = writer.recorder();
    let mut lag = Duration::ZERO;
    for n in 0.. {
        let batch = TokenBatch { text: format!("{n} "), ..Default::default() };
        recorder.event(&Event::Tokens { job: JobId(1), batch });
        let before = Instant::now();
        say(&format!("sent {n} {}", lag.as_millis()));
        thread::sleep(Duration::from_millis(10));
        // How much longer than asked this took says how busy the machine is
        lag = lag.max(before.elapsed().saturating_sub(Duration::from_millis(10)));
    }
}

fn write_settings(dir: &Path) {
    let (mut file, mut settings, notices) = SettingsFile::load(dir);
    assert_eq!(notices, []);
    loop {
        settings.max_tokens += 1;
        settings.stop = vec!["stop".repeat(settings.max_tokens as usize % 3000)];
        file.save(&settings).unwrap();
        say(&format!("ack {}", settings.max_tokens));
    }
}

/// Writes until a message is refused for want of room, then waits for room.
fn fill(dir: &Path) {
    let (store, notices) = Store::open(dir);
    assert_eq!(notices, []);
    let (out, replies) = crossbeam_channel::bounded(10_000);
    let writer = Writer::spawn(store, move |reply| out.send(reply).unwrap()).unwrap();
    writer.send(Request::Apply { seq: 0, ops: vec![Op::PutChat(chat())] });
    for id in 1..=60 {
        writer.send(Request::Apply { seq: id as u64, ops: vec![Op::PutMessage(message(id, "words ".repeat(2000), MessageState::Whole))] });
        thread::sleep(Duration::from_millis(2));
    }
    for reply in replies {
        match reply {
            Reply::Saved { seq } => say(&format!("ack {seq}")),
            Reply::Unsaved { seq, .. } => say(&format!("unsaved {seq}")),
            Reply::Health(state) => say(if state.is_some() { "failing" } else { "well" }),
            other => panic!("{other:?}"),
        }
    }
}

/// A helper under way, and what it said so far with the time it was heard.
struct Helper {
    child: Child,
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Helper {
    fn start(job: &str, dir: &Path) -> Self {
        Self::run(Command::new(env::current_exe().unwrap()), job, dir)
    }

    fn run(mut command: Command, job: &str, dir: &Path) -> Self {
        command.args(["--exact", "helper", "--nocapture", "--test-threads", "1"]).env(DIR, dir).env(JOB, job);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let heard: Arc<Mutex<Vec<(Instant, String)>>> = Arc::default();
        let (out, into) = (child.stdout.take().unwrap(), Arc::clone(&heard));
        let reader = thread::Builder::new().spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix("> ") {
                    into.lock().unwrap().push((Instant::now(), said.to_owned()));
                }
            }
        });
        Self { child, heard, reader: Some(reader.unwrap()) }
    }

    fn wait_for(&self, what: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !self.heard.lock().unwrap().iter().any(|(_, said)| what(said)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the helper says nothing");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGKILL. Returns when, and everything it said.
    fn kill(mut self) -> (Instant, Vec<(Instant, String)>) {
        let at = Instant::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let heard = self.heard.lock().unwrap().clone();
        (at, heard)
    }
}

fn numbers(heard: &[(Instant, String)], word: &str) -> Vec<i64> {
    heard.iter().filter_map(|(_, said)| said.strip_prefix(word)?.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn no_acknowledged_message_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for round in 0..25u64 {
        let helper = Helper::start("messages", dir.path());
        helper.wait_for(|said| said.starts_with("ack"));
        thread::sleep(Duration::from_millis(round * 31 % 97));
        let (_, heard) = helper.kill();
        all.extend(numbers(&heard, "ack "));
        let (mut store, notices) = Store::open(dir.path());
        assert_eq!(notices, [], "round {round}");
        let kept: Vec<ChatMessage> = store.messages(ChatId(1));
        for id in &all {
            let message = kept.get(*id as usize - 1).unwrap_or_else(|| panic!("round {round}: message {id} of {} is lost", kept.len()));
            assert_eq!((message.id.0, message.text.clone()), (*id, text_of(*id)));
        }
        let draft = store.chats()[0].draft.clone();
        assert_eq!(draft, format!("draft {}", kept.len()), "a message and the draft beside it are one change");
    }
    println!("{} acknowledged messages, 25 kills, none lost", all.len());
}

#[test]
fn at_most_250_ms_of_streamed_text_are_lost() {
    let mut worst = Duration::ZERO;
    for round in 0..15u64 {
        let dir = tempfile::tempdir().unwrap();
        let helper = Helper::start("stream", dir.path());
        helper.wait_for(|said| said.starts_with("sent"));
        thread::sleep(Duration::from_millis(150 + round * 53 % 600));
        let (killed, heard) = helper.kill();
        let (mut store, _) = Store::open(dir.path());
        let kept = store.messages(ChatId(1)).remove(0);
        assert_eq!(kept.state, MessageState::Interrupted);
        let pieces: Vec<i64> = kept.text.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(pieces, (0..pieces.len() as i64).collect::<Vec<_>>(), "no piece is missing or twice");
        let lag: u64 = heard.iter().filter_map(|(_, said)| said.split_whitespace().nth(2)?.parse().ok()).max().unwrap_or(0);
        let oldest_lost = heard.iter().find(|(_, said)| {
            let n = said.strip_prefix("sent ").and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<i64>().ok());
            n.is_some_and(|n| n >= pieces.len() as i64)
        });
        let age = oldest_lost.map_or(Duration::ZERO, |(at, _)| killed.saturating_duration_since(*at));
        assert!(age <= Duration::from_millis(250 + lag), "round {round}: {age:?} of text lost (the machine was {lag} ms late)");
        worst = worst.max(age);
    }
    println!("15 kills, at most {worst:?} of text lost");
}

#[test]
fn settings_are_whole_after_any_death() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..15u64 {
        let helper = Helper::start("settings", dir.path());
        helper.wait_for(|said| said.starts_with("ack"));
        thread::sleep(Duration::from_millis(round * 17 % 41));
        let (_, heard) = helper.kill();
        let last = *numbers(&heard, "ack ").last().unwrap();
        let (_, settings, notices) = SettingsFile::load(dir.path());
        assert_eq!(notices, []);
        assert!(i64::from(settings.max_tokens) >= last, "round {round}");
        assert_eq!(settings, Settings { stop: settings.stop.clone(), max_tokens: settings.max_tokens, ..Default::default() });
    }
}

/// The system refuses to let files grow, then lets them: what was unsaved is saved without anyone asking, and after a kill in between
/// everything acknowledged is there.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_is_survived() {
    let limited = |dir: &Path| {
        let mut command = Command::new("sh");
        // A limit on file size stands in for a full disk; with the signal ignored, writes fail as they do there
        command.args(["-c", "trap '' XFSZ; ulimit -S -f 400; exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
        Helper::run(command, "full", dir)
    };
    for lift in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let helper = limited(dir.path());
        helper.wait_for(|said| said == "failing");
        if lift {
            let pid = helper.child.id().to_string();
            let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
            assert!(lifted.success());
            helper.wait_for(|said| said == "well");
            helper.wait_for(|said| said == "ack 60");
        } else {
            helper.wait_for(|said| said == "unsaved 60");
        }
        let (_, heard) = helper.kill();
        let acked = numbers(&heard, "ack ");
        let (mut store, notices) = Store::open(dir.path());
        assert_eq!(notices, []);
        let kept = store.messages(ChatId(1));
        for id in acked.iter().filter(|id| **id > 0) {
            assert!(kept.iter().any(|m| m.id.0 == *id), "lift {lift}: {id} is lost");
        }
        assert_eq!(kept.len() == 60, lift);
        assert_eq!(heard.iter().filter(|(_, said)| said == "failing").count(), 1, "one banner");
        assert!(!numbers(&heard, "unsaved ").is_empty());
    }
}
