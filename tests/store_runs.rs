//! Runs and saved designs through the store's public face: what is kept comes back, whoever kept it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use inferscope::protocol::{BenchTest, Design, Metric, Run, RunId, RunTrust, Workload};
use inferscope::store::{DesignId, Op, Reply, Request, RunHead, SavedDesign, Store, Writer};

fn run(n: i64) -> Run {
    let workload = Workload::Bench { test: BenchTest { n_prompt: 512, n_gen: 0, n_depth: 0 } };
    let mut run = Run::new(Design { n_batch: 64, ..Design::for_model(format!("/m/a{}-Q8_0.gguf", n % 7)) }, workload, n);
    run.samples.insert(Metric::PrefillTps, (0..5).map(|i| 600.0 + f64::from(i)).collect());
    run.group = "sweep".into();
    run.trust = RunTrust::Trusted;
    run.extra.insert("from_the_future".into(), serde_json::json!({"kept": true}));
    run
}

fn open(dir: &Path) -> Store {
    let (store, notices) = Store::open(dir);
    assert_eq!(notices, []);
    store
}

struct Desk {
    writer: Writer,
    replies: crossbeam_channel::Receiver<Reply>,
}

impl Desk {
    fn new(store: Store) -> Self {
        let (out, replies) = crossbeam_channel::bounded(10_000);
        Self { writer: Writer::spawn(store, move |reply| out.send(reply).unwrap()).unwrap(), replies }
    }

    fn next(&self) -> Reply {
        self.replies.recv_timeout(Duration::from_secs(20)).expect("the writer answers")
    }
}

#[test]
fn a_run_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let id = store.keep_run(run(1)).unwrap();
    store.apply(&[Op::SetRunMeta { id, title: "first".into(), tags: vec!["laptop".into(), "a,b".into()] }]).unwrap();
    drop(store);
    let mut store = open(dir.path());
    let whole = Run { id, title: "first".into(), tags: vec!["laptop".into(), "a,b".into()], ..run(1) };
    assert_eq!(store.run(id), Some(whole.clone()));
    assert_eq!(store.runs(), [RunHead::of(&whole)]);
    store.apply(&[Op::DeleteRun(id)]).unwrap();
    assert_eq!(store.runs(), []);
    store.apply(&[Op::RestoreRun(id)]).unwrap();
    assert_eq!(store.runs().len(), 1);
    // a run that is replaced keeps its place
    store.apply(&[Op::PutRun(Box::new(Run { seconds: 9.0, ..whole }))]).unwrap();
    assert_eq!(store.runs()[0].seconds, 9.0);
    assert_eq!(store.run(RunId(99)), None);
}

#[test]
fn a_design_comes_back_with_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let mut design = Design { threads: 3, ..Design::for_model("/m/a.gguf") };
    design.extra.insert("n_draft".into(), 8.into());
    let saved = |id, name: &str| SavedDesign { id: DesignId(id), name: name.into(), design: design.clone(), created_ms: 5 };
    store.apply(&[Op::PutDesign(saved(0, "b")), Op::PutDesign(saved(0, "a")), Op::PutDesign(saved(0, "C"))]).unwrap();
    let names = |store: &mut Store| store.designs().into_iter().map(|saved| (saved.id.0, saved.name)).collect::<Vec<_>>();
    assert_eq!(names(&mut store), [(2, "a".into()), (1, "b".into()), (3, "C".into())]);
    store.apply(&[Op::DeleteDesign(DesignId(1)), Op::PutDesign(saved(2, "z"))]).unwrap();
    drop(store);
    let mut store = open(dir.path());
    assert_eq!(names(&mut store), [(3, "C".into()), (2, "z".into())]);
    assert_eq!(store.designs()[1], saved(2, "z"));
    store.apply(&[Op::RestoreDesign(DesignId(1))]).unwrap();
    assert_eq!(names(&mut store).len(), 3);
}

#[test]
fn the_writer_tells_a_run_once_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(open(dir.path()));
    for seq in 1..=3 {
        desk.writer.send(Request::KeepRun { seq, run: Box::new(run(seq as i64)) });
    }
    for seq in 1..=3 {
        let Reply::RunKept { seq: told, head } = desk.next() else { panic!() };
        assert_eq!((told, head.id, head.started_ms), (seq, RunId(seq as i64), seq as i64));
    }
    desk.writer.send(Request::ReadRuns { seq: Some(4), ids: vec![RunId(3), RunId(77), RunId(1)] });
    let Reply::RunsRead { seq: Some(4), runs } = desk.next() else { panic!() };
    assert_eq!(runs.iter().map(|run| run.id.0).collect::<Vec<_>>(), [3, 1]);
    let ops = vec![Op::PutDesign(SavedDesign { id: DesignId(0), name: "n".into(), design: Design::default(), created_ms: 1 })];
    desk.writer.send(Request::Apply { seq: 9, ops });
    let replies = [desk.next(), desk.next()];
    assert!(replies.iter().any(|reply| matches!(reply, Reply::Designs(designs) if designs[0].id == DesignId(1))), "{replies:?}");
    assert!(replies.contains(&Reply::Saved { seq: 9 }), "{replies:?}");
}

/// A window is open and writes; a command keeps runs in the same file at the same time, and the window is told.
#[test]
fn a_command_keeps_runs_beside_an_open_window() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(open(dir.path()));
    desk.writer.send(Request::Runs);
    assert_eq!(desk.next(), Reply::Runs(Vec::new()));
    let path = dir.path().to_owned();
    let command = std::thread::Builder::new().name("command".into()).spawn(move || {
        for n in 0..40 {
            let (mut store, notices) = Store::join(&path).unwrap();
            assert_eq!(notices, []);
            store.keep_run(run(1000 + n)).unwrap();
        }
    });
    for seq in 0..40 {
        desk.writer.send(Request::KeepRun { seq, run: Box::new(run(seq as i64)) });
        std::thread::sleep(Duration::from_millis(2));
    }
    command.unwrap().join().unwrap();
    let (mut kept, mut last) = (0, Vec::new());
    while last.len() < 80 {
        match desk.next() {
            Reply::RunKept { .. } => kept += 1,
            Reply::Runs(runs) => last = runs,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kept, 40);
    let mut ids: Vec<i64> = last.iter().map(|head| head.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 80, "no id twice");
    drop(desk);
    assert_eq!(open(dir.path()).runs().len(), 80);
}

/// Not a test of its own: keeps runs until it is killed, and says each once it is kept.
#[test]
fn keeper() {
    let Some(dir) = std::env::var_os("STORE_RUNS_DIR") else { return };
    for n in 1.. {
        let (mut store, _) = Store::join(Path::new(&dir)).unwrap();
        let id = store.keep_run(run(n)).unwrap();
        println!("\nkept {}", id.0);
    }
}

#[cfg(unix)]
#[test]
fn a_kept_run_survives_the_death_of_its_keeper() {
    use std::io::{BufRead as _, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let mut told = 0;
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keeper", "--nocapture"])
            .env("STORE_RUNS_DIR", dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for id in lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("kept ").and_then(|id| id.parse::<i64>().ok())) {
            told = id;
            if id >= 20 + round * 20 {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let runs = open(dir.path()).runs();
        assert!(runs.len() as i64 >= told && runs.iter().any(|head| head.id == RunId(told)), "{told} of {}", runs.len());
    }
}

/// 100 ms; more where this is compiled without optimisation, as a plain loop tells.
fn limit() -> Duration {
    let took = (0..3).map(|_| {
        let began = Instant::now();
        let sum = (0..2_000_000_u64).fold(0_u64, |sum, i| sum.wrapping_mul(31).wrapping_add(std::hint::black_box(i)));
        std::hint::black_box(sum);
        began.elapsed()
    });
    Duration::from_millis(if took.min().is_some_and(|took| took > Duration::from_millis(20)) { 1000 } else { 100 })
}

#[test]
fn ten_thousand_heads_are_read_in_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    for chunk in 0..10 {
        let ops: Vec<Op> = (0..1000).map(|n| Op::PutRun(Box::new(run(chunk * 1000 + n)))).collect();
        store.apply(&ops).unwrap();
    }
    drop(store);
    let mut store = open(dir.path());
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(store.runs().len(), 10_000);
        best = best.min(began.elapsed());
    }
    println!("10,000 heads in {best:?}");
    assert!(best < limit(), "{best:?}");
}
