//! The store through its public face: what is written comes back, what is damaged does no harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use inferscope::protocol::{Design, EngineError, ErrorKind, Event, GenerateStats, JobId, Role, Sampler, StopReason, TokenBatch};
use inferscope::store::{
    Chat, ChatId, ChatMessage, ChatMode, MessageId, MessageState, NoticeKind, Op, Provenance, Reply, Request, SettingsFile, Store,
    StoreErrorKind, Theme, Writer, branch, to_json, to_markdown,
};

fn chat(id: i64) -> Chat {
    Chat {
        id: ChatId(id),
        title: format!("Chat {id}"),
        title_is_users: id % 2 == 0,
        mode: if id % 3 == 0 { ChatMode::Notebook } else { ChatMode::Chat },
        system: "Be brief".into(),
        draft: "half a thou".into(),
        leaf: None,
        created_ms: 1_700_000_000_000 + id,
        updated_ms: 1_700_000_000_000 + id,
        last_design: "Q4_K_M".into(),
        replies: 3,
    }
}

fn message(id: i64, chat: i64, parent: Option<i64>, role: Role, text: &str) -> ChatMessage {
    ChatMessage {
        id: MessageId(id),
        chat: ChatId(chat),
        parent: parent.map(MessageId),
        role,
        text: text.into(),
        state: MessageState::Whole,
        stats: None,
        provenance: None,
        created_ms: 1_700_000_000_000,
    }
}

fn stats() -> GenerateStats {
    GenerateStats {
        stop: StopReason::StopText("\n\n".into()),
        prompt_tokens: 40,
        cached_tokens: 30,
        predicted_tokens: 12,
        ttft_ms: 81.5,
        prefill_ms: 70.25,
        prefill_tps: 142.3,
        decode_tps: 31.25,
        total_ms: 460.0,
        itl_p95_ms: 33.0,
        sampler: Sampler::default(),
        dropped: None,
        tokens: vec![1, 2, 3],
        kv_used: 52,
    }
}

fn full_message(id: i64, chat: i64, parent: Option<i64>, text: &str) -> ChatMessage {
    let provenance = Provenance {
        quant: "Q4_K_M".into(),
        model: "SmolLM2".into(),
        design: Design::for_model("/models/a b.gguf"),
        differences: "ctx 8192".into(),
        switched: Some(("F16".into(), 1.25)),
        system: None,
        earlier: Vec::new(),
    };
    ChatMessage { stats: Some(stats()), provenance: Some(provenance), ..message(id, chat, parent, Role::Assistant, text) }
}

fn open(dir: &Path) -> Store {
    let (store, notices) = Store::open(dir);
    assert_eq!(notices, []);
    store
}

/// A writer whose replies can be waited for.
struct Desk {
    writer: Writer,
    replies: crossbeam_channel::Receiver<Reply>,
}

impl Desk {
    fn new(store: Store) -> Self {
        let (out, replies) = crossbeam_channel::bounded(100_000);
        let writer = Writer::spawn(store, move |reply| out.send(reply).unwrap()).unwrap();
        Self { writer, replies }
    }

    fn next(&self) -> Reply {
        self.replies.recv_timeout(Duration::from_secs(20)).expect("the writer answers")
    }

    fn tokens(&self, job: u64, text: &str) {
        let batch = TokenBatch { text: text.into(), n: 1, ..Default::default() };
        self.writer.recorder().event(&Event::Tokens { job: JobId(job), batch });
    }

    fn messages(&self, chat: i64) -> Vec<ChatMessage> {
        self.writer.send(Request::Open(ChatId(chat)));
        loop {
            if let Reply::Messages(_, messages) = self.next() {
                return messages;
            }
        }
    }
}

#[test]
fn everything_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let nasty = "NUL \0 and \u{202E}bidi, \r\n, \u{1F468}\u{200D}\u{1F469}, 'quotes' % _ \u{10FFFF}";
    let mut failed = full_message(3, 1, Some(1), nasty);
    failed.state = MessageState::Failed(EngineError::new(ErrorKind::OutOfMemory, "No memory").path("/m.gguf").details(vec!["a".into()]));
    let messages = vec![message(1, 1, None, Role::User, nasty), full_message(2, 1, Some(1), ""), failed];
    let put = Chat { leaf: Some(MessageId(2)), ..chat(1) };
    let mut store = open(dir.path());
    let mut ops = vec![Op::PutChat(put.clone())];
    ops.extend(messages.iter().cloned().map(Op::PutMessage));
    store.apply(&ops).unwrap();
    for _ in 0..2 {
        assert_eq!(store.chats(), std::slice::from_ref(&put));
        assert_eq!(store.messages(ChatId(1)), messages);
        assert_eq!(store.next_ids(), (ChatId(2), MessageId(4)));
        drop(store);
        store = open(dir.path());
    }
    drop(store);
    assert!(!dir.path().join("chats.db-wal").exists() || fs::metadata(dir.path().join("chats.db-wal")).unwrap().len() == 0);
}

#[test]
fn appended_text_is_one_text() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.apply(&[Op::PutChat(chat(1)), Op::PutMessage(message(1, 1, None, Role::Assistant, "a"))]).unwrap();
    for piece in ["b", "c\0", "é", "\u{1F600}"] {
        store.apply(&[Op::AppendText(MessageId(1), piece.into())]).unwrap();
    }
    assert_eq!(store.messages(ChatId(1))[0].text, "abc\0é\u{1F600}");
    assert_eq!(store.message(MessageId(1)).unwrap().text, "abc\0é\u{1F600}");
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(store.messages(ChatId(1))[0].text, "abc\0é\u{1F600}");
    store.apply(&[Op::AppendText(MessageId(1), "!".into()), Op::AppendText(MessageId(77), "nobody".into())]).unwrap();
    assert_eq!(store.messages(ChatId(1))[0].text, "abc\0é\u{1F600}!");
}

#[test]
fn removing_takes_descendants_and_moves_the_leaf() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    // A chain far deeper than SQLite's limit for cascades, and a branch beside it
    let mut ops = vec![Op::PutChat(Chat { leaf: Some(MessageId(5000)), ..chat(1) })];
    ops.extend((1..=5000).map(|id| Op::PutMessage(message(id, 1, (id > 1).then_some(id - 1), Role::User, "x"))));
    ops.push(Op::PutMessage(message(5001, 1, Some(10), Role::User, "side")));
    store.apply(&ops).unwrap();
    store.apply(&[Op::RemoveMessage(MessageId(11))]).unwrap();
    let left: Vec<i64> = store.messages(ChatId(1)).iter().map(|m| m.id.0).collect();
    assert_eq!(left, (1..=10).chain([5001]).collect::<Vec<_>>());
    assert_eq!(store.chats()[0].leaf, Some(MessageId(10)));
    assert_eq!(store.next_ids().1, MessageId(5002));
}

#[test]
fn hiding_can_be_undone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.apply(&[Op::PutChat(chat(1)), Op::PutMessage(message(1, 1, None, Role::User, "keep")), Op::DeleteChat(ChatId(1))]).unwrap();
    assert_eq!(store.chats(), []);
    assert_eq!(store.search("keep"), []);
    drop(store);
    let mut store = open(dir.path());
    store.apply(&[Op::RestoreChat(ChatId(1))]).unwrap();
    assert_eq!(store.chats(), [chat(1)]);
    assert_eq!(store.messages(ChatId(1)).len(), 1);
}

#[test]
fn search_finds_in_any_case_and_script() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let titled = |id: i64, title: &str| Op::PutChat(Chat { title: title.into(), ..chat(id) });
    store.apply(&[titled(1, "Über Größe"), titled(2, "Plans"), titled(3, "Third")]).unwrap();
    store.apply(&[Op::PutMessage(message(1, 2, None, Role::User, "МОСКВА 100% a_b"))]).unwrap();
    store.apply(&[Op::PutMessage(message(2, 3, None, Role::User, "nothing"))]).unwrap();
    assert_eq!(store.search("über GRÖSSE"), []);
    assert_eq!(store.search("ÜBER grö"), [ChatId(1)]);
    assert_eq!(store.search("москва"), [ChatId(2)]);
    assert_eq!(store.search("100%"), [ChatId(2)]);
    assert_eq!(store.search("a_B"), [ChatId(2)]);
    assert_eq!(store.search("axb"), []);
    assert_eq!(store.search("  "), [ChatId(3), ChatId(2), ChatId(1)]);
    assert_eq!(store.search("TH"), [ChatId(3)], "a hit in the title and one in a message are one chat");
}

#[test]
fn order_is_that_of_changes_not_of_the_clock() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let at = |id: i64, ms: i64| Op::PutChat(Chat { updated_ms: ms, ..chat(id) });
    // The clock falls back to 1970 and beyond while chats are made
    store.apply(&[at(1, 1_700_000_000_000), at(2, 0), at(3, -5), at(4, 900)]).unwrap();
    let ids = |store: &mut Store| store.chats().iter().map(|c| c.id.0).collect::<Vec<_>>();
    assert_eq!(ids(&mut store), [4, 3, 2, 1]);
    store.apply(&[at(1, 1)]).unwrap();
    assert_eq!(ids(&mut store), [1, 4, 3, 2]);
    store.apply(&[Op::SetDraft(ChatId(2), "typing does not move a chat".into())]).unwrap();
    store.apply(&[Op::PutChat(Chat { title: "nor does a new name".into(), updated_ms: -5, ..chat(3) })]).unwrap();
    assert_eq!(ids(&mut store), [1, 4, 3, 2]);
    let mut late = message(1, 1, None, Role::User, "first");
    late.created_ms = i64::MAX;
    store.apply(&[Op::PutMessage(message(2, 1, Some(1), Role::User, "second")), Op::PutMessage(late)]).unwrap();
    let texts: Vec<String> = store.messages(ChatId(1)).into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["first", "second"]);
}

#[test]
fn ten_thousand_chats_are_listed_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let ops: Vec<Op> = (1..=10_000)
        .flat_map(|id| {
            [Op::PutChat(Chat { leaf: Some(MessageId(id)), ..chat(id) }), Op::PutMessage(message(id, id, None, Role::User, "hello"))]
        })
        .collect();
    store.apply(&ops).unwrap();
    drop(store);
    let begun = Instant::now();
    let mut store = open(dir.path());
    let chats = store.chats();
    let took = begun.elapsed();
    assert_eq!(chats.len(), 10_000);
    assert_eq!(chats[0].leaf, Some(MessageId(10_000)));
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!("opened and listed 10,000 chats in {took:?}");
}

#[test]
fn a_second_window_reads_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = open(dir.path());
    let streaming = ChatMessage { state: MessageState::Streaming, ..message(1, 1, None, Role::Assistant, "so far") };
    first.apply(&[Op::PutChat(chat(1)), Op::PutMessage(streaming.clone())]).unwrap();
    let (mut second, notices) = Store::open(dir.path());
    assert_eq!(notices.iter().map(|n| n.kind).collect::<Vec<_>>(), [NoticeKind::AlreadyOpen]);
    assert!(notices[0].to_string().starts_with("Already open in another window"));
    assert_eq!(second.messages(ChatId(1)), std::slice::from_ref(&streaming), "what the first window streams is not interrupted");
    assert_eq!(second.apply(&[Op::DeleteChat(ChatId(1))]).unwrap_err().kind, StoreErrorKind::AlreadyOpen);
    assert_eq!(second.chats(), []);
    drop(second);
    assert_eq!(first.messages(ChatId(1)), [streaming]);
    drop(first);
    assert_eq!(open(dir.path()).messages(ChatId(1))[0].state, MessageState::Interrupted);
}

#[test]
fn a_folder_that_cannot_be_used_gives_a_session_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "I am not a folder").unwrap();
    let (mut store, notices) = Store::open(&file.join("data"));
    assert_eq!(notices[0].kind, NoticeKind::NotSaving);
    store.apply(&[Op::PutChat(chat(1)), Op::PutMessage(message(1, 1, None, Role::User, "hi"))]).unwrap_err();
    assert_eq!(store.chats().len(), 1);
    assert_eq!(store.messages(ChatId(1))[0].text, "hi");
    assert_eq!(store.search("HI"), [ChatId(1)]);
    assert_eq!(store.next_ids(), (ChatId(2), MessageId(2)));
}

/// A database with some weight, as bytes.
fn sample(dir: &Path) -> Vec<u8> {
    let mut store = open(dir);
    let mut ops: Vec<Op> = (1..=30).map(|id| Op::PutChat(chat(id))).collect();
    ops.extend((1..=300).map(|id| Op::PutMessage(full_message(id, 1 + id % 30, None, &format!("message {id} ").repeat(id as usize % 60)))));
    store.apply(&ops).unwrap();
    drop(store);
    fs::read(dir.join("chats.db")).unwrap()
}

#[test]
fn files_that_are_no_database_are_kept_aside() {
    let kinds: [(&str, Vec<u8>); 5] = [
        ("zeros", vec![0; 64_560]),
        ("text", b"dear diary".repeat(1000)),
        ("short", b"SQLite format 3\0".to_vec()),
        ("one byte", vec![7]),
        ("another program's", {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.db");
            rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
            fs::read(path).unwrap()
        }),
    ];
    for (name, bytes) in kinds {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("chats.db"), &bytes).unwrap();
        let (mut store, notices) = Store::open(dir.path());
        assert_eq!(notices.len(), 1, "{name}");
        assert_eq!(notices[0].kind, NoticeKind::Damaged, "{name}");
        let aside = notices[0].path.clone().unwrap();
        assert!(aside.to_string_lossy().contains("chats.db.corrupt-"), "{name}");
        assert_eq!(fs::read(&aside).unwrap(), bytes, "{name}");
        store.apply(&[Op::PutChat(chat(1))]).unwrap();
        drop(store);
        assert_eq!(open(dir.path()).chats(), [chat(1)], "{name}");
    }
}

#[test]
fn most_of_a_damaged_file_is_carried_over() {
    let origin = tempfile::tempdir().unwrap();
    let mut bytes = sample(origin.path());
    // Two pages in the middle are overwritten
    let at = bytes.len() / 2 / 4096 * 4096;
    bytes[at..at + 8192].fill(0);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("chats.db"), &bytes).unwrap();
    let (mut store, notices) = Store::open(dir.path());
    assert_eq!(notices[0].kind, NoticeKind::Damaged, "{notices:?}");
    assert_eq!(store.chats().len(), 30);
    let messages: usize = (1..=30).map(|id| store.messages(ChatId(id)).len()).sum();
    assert!(messages > 270, "{messages} of 300");
    assert!(store.next_ids().1 > MessageId(300));
}

/// A small, fast, seeded generator: the same mutants on every machine.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

/// A folder where writes are cheap, for tests with thousands of them.
fn in_memory_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn a_thousand_mutants_do_no_harm() {
    let origin = in_memory_dir();
    let sound = sample(origin.path());
    let mut random = Lcg(42);
    let (mut aside, mut carried) = (0, 0);
    for n in 0..1000 {
        let mut bytes = sound.clone();
        match n % 5 {
            0 => (0..=random.below(40)).for_each(|_| bytes[random.below(sound.len())] = random.below(256) as u8),
            1 => bytes.truncate(random.below(sound.len())),
            2 => (0..=random.below(8)).for_each(|_| bytes[random.below(4096)] = random.below(256) as u8),
            3 => {
                let from = random.below(sound.len());
                let to = (from + random.below(10_000)).min(sound.len());
                bytes[from..to].fill(0);
            }
            _ => {
                let (from, to) = (random.below(sound.len() / 4096) * 4096, random.below(sound.len() / 4096) * 4096);
                let page = sound[from..from + 4096].to_vec();
                bytes[to..to + 4096].copy_from_slice(&page);
            }
        }
        let dir = tempfile::tempdir_in(origin.path()).unwrap();
        fs::write(dir.path().join("chats.db"), &bytes).unwrap();
        let (mut store, notices) = Store::open(dir.path());
        for notice in &notices {
            match notice.kind {
                NoticeKind::Damaged => {
                    aside += 1;
                    assert_eq!(fs::read(notice.path.as_ref().unwrap()).unwrap(), bytes, "mutant {n}");
                }
                // A mutated version number reads as a newer version, and the file must stay as it is
                NoticeKind::Newer | NoticeKind::NotSaving => {
                    assert_eq!(fs::read(dir.path().join("chats.db")).unwrap(), bytes, "mutant {n}")
                }
                kind => panic!("mutant {n}: {kind:?}"),
            }
        }
        let chats = store.chats();
        for chat in &chats {
            carried += store.messages(chat.id).len();
        }
        let _ = store.search("message 7");
        let (new_chat, new_message) = store.next_ids();
        let saved =
            store.apply(&[Op::PutChat(chat(new_chat.0)), Op::PutMessage(message(new_message.0, new_chat.0, None, Role::User, "new"))]);
        assert_eq!(store.messages(new_chat).len(), 1, "mutant {n}: {saved:?}, {notices:?}");
        drop(store);
        if saved.is_ok() {
            let (mut store, _) = Store::open(dir.path());
            assert!(store.messages(new_chat).iter().any(|m| m.text == "new"), "mutant {n}");
        }
        let _ = fs::remove_dir_all(dir.path());
    }
    println!("{aside} files set aside, {carried} messages read");
    assert!(aside > 300 && carried > 100_000);
}

#[test]
fn the_writer_answers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(open(dir.path()));
    desk.writer.send(Request::Apply { seq: 1, ops: vec![Op::PutChat(chat(1))] });
    for seq in 2..200 {
        desk.writer.send(Request::Apply { seq, ops: vec![Op::PutMessage(message(seq as i64, 1, None, Role::User, "x"))] });
    }
    let seqs: Vec<u64> = (1..200)
        .map(|_| match desk.next() {
            Reply::Saved { seq } => seq,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seqs, (1..200).collect::<Vec<_>>());
    assert_eq!(desk.messages(1).len(), 198);
    desk.writer.send(Request::Search { text: "chat 1".into() });
    assert_eq!(desk.next(), Reply::Found { text: "chat 1".into(), chats: vec![ChatId(1)] });
}

#[test]
fn a_change_that_cannot_be_kept_does_not_hold_up_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.apply(&[Op::PutChat(chat(1))]).unwrap();
    // SQLite's own limit of 10^9 bytes a row
    let huge = Op::PutMessage(message(1, 1, None, Role::User, &"x".repeat(1_000_000_001)));
    let small = Op::PutMessage(message(2, 1, None, Role::User, "small"));
    let results = store.commit(&[&[huge], &[small]]).unwrap();
    assert_eq!(results[0].as_ref().unwrap().kind, StoreErrorKind::Refused);
    assert_eq!(results[1], None);
    assert_eq!(store.messages(ChatId(1)).len(), 1);
    assert!(!store.has_unsaved());
}

#[test]
fn a_reply_is_recorded_without_the_window() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(open(dir.path()));
    let reply = |id: i64| ChatMessage { state: MessageState::Streaming, ..message(id, 1, None, Role::Assistant, "Again: ") };
    let ops =
        vec![Op::PutChat(chat(1)), Op::PutMessage(reply(1)), Op::PutMessage(reply(2)), Op::PutMessage(reply(3)), Op::PutMessage(reply(4))];
    desk.writer.send(Request::Apply { seq: 1, ops });
    for id in 1..=4 {
        desk.writer.send(Request::BeginReply { job: JobId(id), message: MessageId(id as i64), from: 0 });
    }
    for piece in ["one ", "two ", "three"] {
        for job in 1..=5 {
            desk.tokens(job, piece);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    let recorder = desk.writer.recorder();
    recorder.event(&Event::Generated { job: JobId(1), stats: Box::new(stats()) });
    recorder.event(&Event::Failed { job: JobId(2), error: EngineError::new(ErrorKind::OutOfMemory, "No memory") });
    recorder.event(&Event::Died { jobs: vec![JobId(3)], error: EngineError::new(ErrorKind::Killed, "Killed") });
    desk.tokens(1, " late");
    let got = desk.messages(1);
    assert!(got.iter().all(|m| m.text == "Again: one two three"), "{got:?}");
    assert_eq!((&got[0].state, &got[0].stats), (&MessageState::Whole, &Some(stats())));
    assert!(matches!(&got[1].state, MessageState::Failed(e) if e.kind == ErrorKind::OutOfMemory));
    assert!(matches!(&got[2].state, MessageState::Failed(e) if e.kind == ErrorKind::Killed));
    assert_eq!(got[3].state, MessageState::Streaming);
    // The window changes a message while it streams: its text is behind, and does not count
    desk.writer.send(Request::Apply { seq: 2, ops: vec![Op::PutMessage(ChatMessage { created_ms: 9, ..reply(4) })] });
    desk.tokens(4, ", four");
    let got = desk.messages(1);
    assert_eq!((got[3].text.as_str(), got[3].created_ms), ("Again: one two three, four", 9));
    // The window ends it with a text of its own: that counts, and what comes later does not
    desk.writer.send(Request::Apply { seq: 3, ops: vec![Op::PutMessage(message(4, 1, None, Role::Assistant, "edited"))] });
    desk.tokens(4, ", five");
    assert_eq!(desk.messages(1)[3].text, "edited");
    drop(desk);
    let mut store = open(dir.path());
    assert_eq!(store.messages(ChatId(1))[3].text, "edited");
}

#[test]
fn dropping_the_writer_saves_everything() {
    let dir = tempfile::tempdir().unwrap();
    let config = tempfile::tempdir().unwrap();
    let (file, mut settings, _) = SettingsFile::load(config.path());
    let writer = Writer::spawn_with_settings(open(dir.path()), file, |_| {}).unwrap();
    let reply = ChatMessage { state: MessageState::Streaming, ..message(1, 1, None, Role::Assistant, "") };
    writer.send(Request::Apply { seq: 1, ops: vec![Op::PutChat(chat(1)), Op::PutMessage(reply)] });
    writer.send(Request::BeginReply { job: JobId(1), message: MessageId(1), from: 0 });
    let batch = TokenBatch { text: "last words".into(), ..Default::default() };
    writer.recorder().event(&Event::Tokens { job: JobId(1), batch });
    settings.theme = Theme::HighContrast;
    writer.send(Request::SaveSettings(Box::new(settings.clone())));
    writer.close();
    let mut store = open(dir.path());
    let got = store.messages(ChatId(1));
    assert_eq!((got[0].text.as_str(), &got[0].state), ("last words", &MessageState::Interrupted));
    assert_eq!(SettingsFile::load(config.path()).1, settings);
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_unicode_costs_no_message() {
    use std::os::unix::ffi::OsStringExt as _;
    let odd = std::path::PathBuf::from(std::ffi::OsString::from_vec(b"/m/\xff.gguf".to_vec()));
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut reply = full_message(1, 1, None, "text");
    reply.provenance.as_mut().unwrap().design.model = odd.clone();
    reply.state = MessageState::Failed(EngineError::new(ErrorKind::FileMissing, "gone").path(odd));
    store.apply(&[Op::PutMessage(reply)]).unwrap();
    let got = store.messages(ChatId(1)).remove(0);
    assert_eq!(got.text, "text");
    assert_eq!(got.provenance.unwrap().quant, "Q4_K_M");
    assert!(matches!(got.state, MessageState::Failed(e) if e.message == "gone"));
}

#[test]
fn a_chat_becomes_a_document() {
    let messages = [
        message(1, 1, None, Role::User, "Hello\n"),
        full_message(2, 1, Some(1), "```rust\nfn main() {}\n```"),
        message(3, 1, Some(1), Role::Assistant, "another branch"),
    ];
    let chat = Chat { leaf: Some(MessageId(2)), mode: ChatMode::Chat, title: "A # title\nin two lines".into(), ..chat(1) };
    let text = to_markdown(&chat, &messages);
    assert_eq!(
        text,
        "# A # title in two lines\n\n*2023-11-14 22:13 UTC*\n\n## System\n\nBe brief\n\n## User\n\nHello\n\n## Assistant\n\n```rust\nfn main() {}\n```\n\n\
         <sub>SmolLM2 Q4_K_M, ctx 8192, 31.2 t/s, 12 tokens, first token after 82 ms, stop text \"\\n\\n\"</sub>\n"
    );
    let json: serde_json::Value = serde_json::from_str(&to_json(&chat, &messages)).unwrap();
    assert_eq!(json["format"], "inferscope-chat");
    let back: Vec<ChatMessage> = serde_json::from_value(json["messages"].clone()).unwrap();
    assert_eq!(back, messages);
    let ids = |leaf: Option<i64>| branch(&messages, leaf.map(MessageId)).iter().map(|m| m.id.0).collect::<Vec<_>>();
    assert_eq!(ids(Some(2)), [1, 2]);
    assert_eq!(ids(None), [1, 3]);
    assert_eq!(ids(Some(99)), [1, 3]);
    assert_eq!(to_markdown(&Chat { title: " ".into(), system: String::new(), ..chat }, &[]), "# Untitled chat\n\n*2023-11-14 22:13 UTC*\n");
}
