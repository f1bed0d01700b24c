//! `bench --keep` and `runs` as a script sees them: the real binary, a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command as Process, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use inferscope::engine::fake::Script;
use inferscope::store::{Reply, Request, Store, Writer};
use serde_json::Value;
use support::gguf::Tiny;

struct Desk {
    dir: tempfile::TempDir,
    model: String,
    script: String,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (model, script) = (path("a.gguf"), path("script.json"));
        Tiny::default().write(std::path::Path::new(&model));
        Script::instant().write(std::path::Path::new(&script)).unwrap();
        Self { dir, model, script }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut process = Process::new(cargo_bin!("inferscope"));
        process.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        process.env("INFERSCOPE_HOME", self.home()).env("HOME", self.home());
        process.output().unwrap()
    }

    fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.run(&[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"));
        (output.status.code().unwrap(), document)
    }

    fn bench(&self, more: &[&str]) -> Output {
        let base = ["bench", &self.model, "-p", "64", "-n", "16", "-r", "3", "--no-probe", "--keep", "--fake", &self.script];
        let output = self.run(&[&base[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

#[test]
fn what_bench_keeps_is_listed_shown_compared_and_exported() {
    let desk = Desk::new();
    let (code, empty) = desk.json(&["runs"]);
    assert_eq!((code, empty["runs"].as_array().map(Vec::len)), (0, Some(0)));
    let output = desk.bench(&[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("kept as runs 1 to 2"), "{}", String::from_utf8_lossy(&output.stderr));
    desk.bench(&["-t", "3"]);
    let (_, all) = desk.json(&["runs", "list"]);
    let heads = all["runs"].as_array().unwrap();
    let column = |name: &str| heads.iter().map(|head| head[name].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>();
    assert_eq!(column("workload"), ["tg16", "pp64", "tg16", "pp64"]);
    assert_eq!(column("design"), ["threads 3", "threads 3", "", ""]);
    assert!(heads[0]["figures"]["decode_tps"].as_f64().is_some_and(|speed| speed > 0.0), "{}", heads[0]);
    let (_, some) = desk.json(&["runs", "list", "THREADS", "pp"]);
    assert_eq!(some["runs"].as_array().map(Vec::len), Some(1));
    let (_, run) = desk.json(&["runs", "show", "3"]);
    assert_eq!((&run["id"], run["samples"]["prefill_tps"].as_array().map(Vec::len)), (&3.into(), Some(3)));
    assert!(run["environment"]["model_hash"].as_str().is_some_and(|hash| hash.len() == 16), "{run}");
    assert_eq!(run["design_hash"].as_str().map(str::len), Some(12));
    let (code, versus) = desk.json(&["runs", "compare", "1", "3"]);
    assert_eq!((code, &versus["design"][0]["field"]), (0, &"threads".into()), "{versus}");
    assert_eq!(versus["figures"][0]["tested"], "unpaired");
    let (code, missing) = desk.json(&["runs", "show", "99"]);
    assert_eq!((code, &missing["error"]["kind"]), (2, &"no_such_run".into()));
    let csv = String::from_utf8(desk.run(&["runs", "export", "-o", "csv"]).stdout).unwrap();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    let markdown = String::from_utf8(desk.run(&["runs", "export", "1", "4", "-o", "md"]).stdout).unwrap();
    assert!(markdown.contains("| pp64 |") && markdown.contains("| threads 3 |"), "{markdown}");
    let (code, gone) = desk.json(&["runs", "delete", "1", "77"]);
    assert_eq!((code, &gone["missing"][0]), (1, &77.into()));
    assert_eq!(desk.json(&["runs"]).1["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(desk.json(&["runs", "restore", "1"]).0, 0);
    assert_eq!(desk.json(&["runs"]).1["runs"].as_array().map(Vec::len), Some(4));
}

#[test]
fn runs_of_others_come_in() {
    let desk = Desk::new();
    let file = desk.dir.path().join("theirs.json");
    let base = ["bench", &desk.model, "-p", "64", "-n", "0", "-r", "3", "--no-probe", "-o", "json", "--fake", &desk.script];
    fs::write(&file, desk.run(&base).stdout).unwrap();
    let (code, value) = desk.json(&["runs", "import", file.to_str().unwrap()]);
    assert_eq!((code, value["imported"].as_array().map(Vec::len)), (0, Some(1)), "{value}");
    let (_, all) = desk.json(&["runs"]);
    assert_eq!(all["runs"][0]["imported"], "Inferscope");
    // what was exported comes back as another's
    let exported = desk.dir.path().join("all.json");
    fs::write(&exported, desk.run(&["runs", "export"]).stdout).unwrap();
    assert_eq!(desk.json(&["runs", "import", exported.to_str().unwrap()]).1["imported"], serde_json::json!([2]));
    fs::write(&file, "[{\"n_prompt\": 1}]").unwrap();
    let (code, wrong) = desk.json(&["runs", "import", file.to_str().unwrap()]);
    assert_eq!((code, &wrong["error"]["kind"]), (2, &"invalid_runs".into()));
    assert!(wrong["error"]["message"].as_str().unwrap().contains("Row 1"), "{wrong}");
}

/// A window holds the data folder; `bench --keep` writes beside it, and the window is told.
#[test]
fn bench_keeps_beside_an_open_window() {
    let desk = Desk::new();
    let (store, _) = Store::open(&desk.home().join("data"));
    let (out, replies) = crossbeam_channel::bounded(100);
    let writer = Writer::spawn(store, move |reply| out.send(reply).unwrap()).unwrap();
    writer.send(Request::Runs);
    let runs = || loop {
        if let Reply::Runs(runs) = replies.recv_timeout(std::time::Duration::from_secs(20)).expect("the window is told") {
            break runs;
        }
    };
    assert_eq!(runs(), []);
    desk.bench(&[]);
    let mut seen = runs();
    while seen.len() < 2 {
        seen = runs();
    }
    assert_eq!(seen.iter().map(|head| head.workload.as_str()).collect::<Vec<_>>(), ["tg16", "pp64"]);
}
