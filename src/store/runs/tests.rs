use rusqlite::Connection;

use super::*;
use crate::protocol::{BenchTest, Design, EngineError, ErrorKind, Metric, QualityLayout, TOP, TokenRecord, TokenScore, Workload};
use crate::store::migrate::{self, STEPS, Step};
use crate::store::tests::{chat, message};
use crate::store::{ChatId, NoticeKind, StoreErrorKind};

static NEXT: [Step; 5] = [STEPS[0], STEPS[1], STEPS[2], STEPS[3], |tx| tx.execute_batch("ALTER TABLE runs ADD COLUMN joules REAL")];

fn run(n: i64) -> Run {
    let workload = Workload::Bench { test: BenchTest { n_prompt: 0, n_gen: 128, n_depth: 0 } };
    let mut run = Run::new(Design { threads: 4, ..Design::for_model("/m/a-Q4_K_M.gguf") }, workload, 1_700_000_000_000 + n);
    run.samples.insert(Metric::DecodeTps, vec![80.0, 82.0, 81.0]);
    run.title = format!("run {n}");
    run
}

#[test]
fn data_from_before_runs_is_migrated_after_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chats.db");
    let mut conn = Connection::open(&path).unwrap();
    migrate::migrate(&mut conn, &STEPS[..1]).unwrap();
    crate::store::apply::op(&conn, &Op::PutChat(chat(1)), 1).unwrap();
    crate::store::apply::op(&conn, &Op::PutMessage(message(1, 1, None, "old words")), 1).unwrap();
    drop(conn);
    let (mut store, notices) = Store::join(dir.path()).unwrap();
    assert_eq!(notices.iter().map(|notice| notice.kind).collect::<Vec<_>>(), [NoticeKind::Migrated]);
    let copy = Connection::open(notices[0].path.as_ref().unwrap()).unwrap();
    assert_eq!(migrate::version(&copy).unwrap(), 1);
    let id = store.keep_run(run(1)).unwrap();
    drop(store);
    let (mut store, notices) = Store::open(dir.path());
    assert_eq!(notices, []);
    assert_eq!((store.messages(ChatId(1))[0].text.as_str(), store.run(id)), ("old words", Some(Run { id, ..run(1) })));
}

#[test]
fn a_newer_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open_with(dir.path(), &NEXT));
    let before = std::fs::read(dir.path().join("chats.db")).unwrap();
    assert_eq!(Store::join(dir.path()).unwrap_err().kind, StoreErrorKind::Newer);
    assert_eq!(std::fs::read(dir.path().join("chats.db")).unwrap(), before);
}

#[test]
fn an_older_window_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (window, _) = Store::open(dir.path());
    let error = Store::join_with(dir.path(), &NEXT).unwrap_err();
    assert!(error.to_string().contains("older version"), "{error}");
    drop(window);
    Store::join_with(dir.path(), &NEXT).unwrap();
}

#[test]
fn a_full_disk_keeps_runs_waiting_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path());
    let first = store.keep_run(run(1)).unwrap();
    let pages: i64 = store.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    let mut large = run(2);
    large.samples.insert(Metric::TtftMs, vec![1.25; 4000]);
    let error = store.keep_run(large.clone()).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Full);
    store.apply(&[Op::SetRunMeta { id: first, title: "named".into(), tags: vec!["t".into()] }]).unwrap_err();
    store.apply(&[Op::DeleteRun(first), Op::RestoreRun(first)]).unwrap_err();
    // what has no id yet is not shown as kept; what changes meanwhile shows
    assert_eq!(store.runs().iter().map(|head| head.title.as_str()).collect::<Vec<_>>(), ["named"]);
    assert_eq!(store.run(first).unwrap().tags, ["t"]);
    store.conn.query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(())).unwrap();
    store.retry().unwrap();
    let ids: Vec<i64> = store.runs().iter().map(|head| head.id.0).collect();
    assert_eq!(ids, [2, 1]);
    assert_eq!(store.run(RunId(2)).unwrap().samples, large.samples);
}

#[test]
fn what_can_be_read_of_damaged_runs_is_carried_over() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path());
    for n in 1..=300 {
        store.keep_run(run(n)).unwrap();
    }
    let tokens = Some(std::sync::Arc::new(tokens()));
    let compared = store.keep_run(Run { tokens: tokens.clone(), ..run(301) }).unwrap();
    store.apply(&[Op::SetRunMeta { id: RunId(300), title: "named".into(), tags: vec![] }, Op::DeleteRun(RunId(1))]).unwrap();
    store.apply(&[Op::PutDesign(SavedDesign { id: DesignId(0), name: "mine".into(), design: Design::default(), created_ms: 1 })]).unwrap();
    drop(store);
    let path = dir.path().join("chats.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let (mut store, notices) = Store::open(dir.path());
    assert_eq!(notices.iter().map(|notice| notice.kind).collect::<Vec<_>>(), [NoticeKind::Damaged]);
    let runs = store.runs();
    assert!(runs.len() > 200 && notices[0].hint.contains("runs and 1 designs"), "{} {}", runs.len(), notices[0]);
    assert_eq!((runs[1].title.as_str(), runs[1].id), ("named", RunId(300)));
    assert_eq!(store.run_with_tokens(compared).and_then(|run| run.tokens), tokens);
    assert!(!runs.iter().any(|head| head.id == RunId(1)), "what was deleted stays so");
    assert_eq!(store.designs()[0].name, "mine");
}

fn tokens() -> TokenRecord {
    let layout = QualityLayout { text: "two words".into(), ends: vec![3, 9], n_ctx: 16, chunks: 1, scored: 1, side_by_side: true };
    let top = [(7, 0.5); TOP];
    let (nll_ref, nll_cand) = (1.0, 1.5);
    let score =
        TokenScore { nll_ref, nll_cand, kld: 0.5, delta_p: -0.1, same_top: true, rank_ref: 1, rank_cand: 2, top_ref: top, top_cand: top };
    TokenRecord::of(&layout, &[], |_| Some(" words"), [(1, &score)].into_iter()).unwrap()
}

#[test]
fn tokens_are_kept_beside_their_run_and_go_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path());
    let given = Some(std::sync::Arc::new(tokens()));
    let id = store.keep_run(Run { tokens: given.clone(), ..run(1) }).unwrap();
    let plain = store.keep_run(run(2)).unwrap();
    assert_eq!(store.run(id).unwrap().tokens, None, "reading a run does not go through them");
    assert_eq!(store.run_with_tokens(id).unwrap().tokens, given);
    assert_eq!(store.run_with_tokens(plain).unwrap().tokens, None);
    // a run that is replaced without them keeps them, one whose bytes are damaged is there all the same
    let whole = store.run(id).unwrap();
    store.apply(&[Op::PutRun(Box::new(whole))]).unwrap();
    assert_eq!(store.run_with_tokens(id).unwrap().tokens, given);
    store.conn.execute("UPDATE run_tokens SET data = x'0102' WHERE id = ?1", [id.0]).unwrap();
    assert_eq!(store.run_with_tokens(id).map(|run| (run.id, run.tokens)), Some((id, None)));
    let long_ago = crate::store::files::now_ms() - 31 * 24 * 3600 * 1000;
    crate::store::apply::op(&store.conn, &Op::DeleteRun(id), long_ago).unwrap();
    drop(store);
    let (store, _) = Store::open(dir.path());
    let left: i64 = store.conn.query_row("SELECT count(*) FROM run_tokens", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn a_field_is_added_to_what_a_run_says_already() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path());
    let mut first = run(1);
    first.extra.insert("quality".into(), serde_json::json!({ "ppl": 21.0, "agreement": [] }));
    let id = store.keep_run(first.clone()).unwrap();
    let set = |value: serde_json::Value| Op::SetRunExtra { id, key: "quality".into(), value };
    store.apply(&[set(serde_json::json!({ "agreement": [1] }))]).unwrap();
    first.id = id;
    first.extra.insert("quality".into(), serde_json::json!({ "ppl": 21.0, "agreement": [1] }));
    assert_eq!(store.run(id), Some(first));
    // a run that is gone is nobody's
    store.apply(&[Op::SetRunExtra { id: RunId(99), key: "quality".into(), value: 1.into() }]).unwrap();
}

#[test]
fn what_was_hidden_a_month_ago_goes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(dir.path());
    let (gone, kept) = (store.keep_run(run(1)).unwrap(), store.keep_run(run(2)).unwrap());
    let day = 24 * 3600 * 1000;
    let now = crate::store::files::now_ms();
    crate::store::apply::op(&store.conn, &Op::DeleteRun(gone), now - 31 * day).unwrap();
    crate::store::apply::op(&store.conn, &Op::DeleteRun(kept), now - 29 * day).unwrap();
    drop(store);
    let (mut store, _) = Store::open(dir.path());
    assert_eq!((store.run(gone), store.run(kept).map(|run| run.id)), (None, Some(kept)));
    let bodies: i64 = store.conn.query_row("SELECT count(*) FROM run_bodies", [], |row| row.get(0)).unwrap();
    assert_eq!(bodies, 1);
    // an id is never given twice
    assert_eq!(store.keep_run(run(3)).unwrap(), RunId(3));
}

#[test]
fn a_head_says_what_a_list_needs() {
    let mut failed = run(1);
    failed.environment.model = "SmolLM2".into();
    failed.failure = Some(EngineError::new(ErrorKind::OutOfMemory, "It does not fit"));
    let head = RunHead::of(&failed);
    assert_eq!((head.model.as_str(), head.design.as_str(), head.workload.as_str()), ("SmolLM2", "threads 4", "tg128"));
    assert_eq!((head.figure(Metric::DecodeTps), head.failure.as_deref()), (Some(81.0), Some("It does not fit")));
    assert_eq!(RunHead::of(&run(1)).model, "a-Q4_K_M");
}
