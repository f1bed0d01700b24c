//! `sweep` as a script sees it, with the scripted engine in a process of its own, and (where it is built in) llama.cpp on tiny models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command as Process, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use inferscope::engine::fake::{Fault, Point, Script};
use inferscope::protocol::{EngineError, ErrorKind};
use serde_json::Value;
use support::gguf::{Tiny, Ty};

/// A machine of its own, with two quantization levels of one model.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(desk.path("m")).unwrap();
        for (name, ty) in [("m/tiny-F16.gguf", Ty::F16), ("m/tiny-Q8_0.gguf", Ty::Q8_0)] {
            Tiny { ty, ..Tiny::default() }.write(desk.path(name));
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn process(&self, args: &[&str]) -> Process {
        let mut process = Process::new(cargo_bin!("inferscope"));
        process.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for name in
            ["HOME", "INFERSCOPE_HOME", "HF_HOME", "HF_HUB_CACHE", "LLAMA_CACHE", "OLLAMA_MODELS", "XDG_CACHE_HOME", "XDG_DATA_HOME"]
        {
            process.env(name, self.path("home"));
        }
        process
    }

    fn run(&self, args: &[&str]) -> Output {
        self.process(args).output().unwrap()
    }

    /// Runs `sweep` with `--json` on the scripted engine.
    fn sweep(&self, script: &Script, args: &[&str]) -> (i32, Value) {
        let path = self.path("script.json");
        script.write(&path).unwrap();
        document(&self.run(&[&["sweep", "--json", "--fake", path.to_str().unwrap()], args].concat()))
    }
}

fn document(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("not one document ({e}): {text}{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("ended by a signal"), value)
}

fn samples<'a>(run: &'a Value, figure: &str) -> &'a [Value] {
    run["samples"][figure].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn a_grid_is_measured_and_judged() {
    let desk = Desk::new();
    let args = ["m/tiny-F16.gguf", "--grid", "rung=all", "--grid", "threads=1-2", "-r", "4", "-p", "32", "-n", "8"];
    let (status, value) = desk.sweep(&Script::instant(), &[&args[..], &["--price", "2"]].concat());
    assert_eq!(status, 0, "{value}");
    let runs = value["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 4);
    for run in runs {
        let (tps, cost) = (&samples(run, "decode_tps")[0], &samples(run, "cost_per_mtok")[0]);
        assert!((cost.as_f64().unwrap() * tps.as_f64().unwrap() * 3600.0 / 2e6 - 1.0).abs() < 1e-9, "{run}");
    }
    for run in runs {
        for figure in ["decode_tps", "prefill_tps", "ttft_ms", "itl_p95_ms", "peak_memory", "file_size"] {
            assert_eq!(samples(run, figure).len(), 4, "{figure}: {run}");
        }
        assert!(run["environment"]["quant"] == "F16" || run["environment"]["quant"] == "Q8_0");
        assert_eq!(run["group"], value["name"]);
    }
    assert_eq!(value["ended"], "complete");
    assert!(value["best"]["id"].is_i64() && value["best"]["why"].as_str().unwrap().contains("t/s"), "{value}");
    assert_eq!(value["best"]["same"].as_array().unwrap().len(), 3, "the scripted engine is as fast with every design");
    assert!(!value["front"].as_array().unwrap().is_empty() && value["infeasible"].as_array().unwrap().is_empty());
    assert!(value["resume"].is_null() && fs::read_dir(desk.path("home/data/sweeps")).map_or(0, Iterator::count) == 0);
}

#[test]
fn people_get_a_table_with_the_best_and_the_reason() {
    let desk = Desk::new();
    let script = desk.path("script.json");
    Script::instant().write(&script).unwrap();
    let output = desk.run(&["sweep", "m/tiny-F16.gguf", "--grid", "rung=F16,Q8_0", "-r", "2", "--fake", script.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("design") && text.contains("decode t/s") && text.contains("\nBest: "), "{text}");
    assert!(text.contains("Not distinguishable from it"), "{text}");
}

#[test]
fn a_design_that_fails_is_a_row_and_the_sweep_goes_on() {
    let desk = Desk::new();
    let args = ["m/tiny-F16.gguf", "--grid", "rung=all", "-r", "4", "-p", "32", "-n", "8"];
    let refuses = Fault::Fail(EngineError::new(ErrorKind::OutOfMemory, "No room for it"));
    for (fault, word) in [(refuses, "No room for it"), (Fault::Signal(9), "")] {
        let (status, value) = desk.sweep(&Script::instant().fault(Point::Bench, "Q8_0", fault), &args);
        assert_eq!(status, 0, "{value}");
        let runs = value["runs"].as_array().unwrap();
        let failed: Vec<&Value> = runs.iter().filter(|run| !run["failure"].is_null()).collect();
        assert_eq!(failed.len(), 1, "{value}");
        assert!(failed[0]["failure"]["message"].as_str().unwrap().contains(word));
        assert_eq!(value["infeasible"].as_array().unwrap().len(), 1);
        assert!(runs.iter().any(|run| run["failure"].is_null() && samples(run, "decode_tps").len() == 4), "{value}");
    }
}

#[test]
fn limits_that_nothing_keeps_to_are_an_answer_of_no() {
    let desk = Desk::new();
    let args = ["m/tiny-F16.gguf", "-r", "2", "--limit", "decode_tps=1000000,memory_gib=6"];
    let (status, value) = desk.sweep(&Script::instant(), &args);
    assert_eq!((status, value["best"].is_null()), (1, true));
    assert!(value["infeasible"][0]["why"].as_str().unwrap().contains("under the limit"), "{value}");
}

#[test]
fn quality_is_measured_against_the_largest_level() {
    let desk = Desk::new();
    fs::write(desk.path("notes.txt"), "word ".repeat(4000)).unwrap();
    let args = ["m/tiny-F16.gguf", "--grid", "rung=all", "-r", "2", "--text", "notes.txt", "--chunk", "64", "--limit", "kld=100"];
    let (status, value) = desk.sweep(&Script::instant(), &args);
    assert_eq!(status, 0, "{value}");
    assert!(value["runs"].as_array().unwrap().iter().all(|run| samples(run, "kld").len() == 1), "{value}");
}

#[test]
fn what_is_typed_wrong_is_named() {
    let desk = Desk::new();
    for (args, word) in [
        (&["m/tiny-F16.gguf", "--grid", "speed=1"][..], "speed"),
        (&["m/tiny-F16.gguf", "--grid", "rung=Q2_K"], "Q2_K"),
        (&["m/tiny-F16.gguf", "--grid", "threads=4-1"], "threads"),
        (&["m/tiny-F16.gguf", "--limit", "tps=4"], "tps"),
        (&["m/tiny-F16.gguf", "--text", "nowhere.txt"], "text"),
        (&["m/tiny-F16.gguf", "--goal", "beauty"], "beauty"),
        (&["m/tiny-F16.gguf", "-p", "0", "-n", "0"], "nothing"),
        (&["--resume", "sweep-0"], "sweep"),
    ] {
        let (status, value) = desk.sweep(&Script::instant(), args);
        assert_eq!(status, 2, "{value}");
        let said = format!("{} {}", value["error"]["message"], value["error"]["hint"]).to_lowercase();
        assert!(said.contains(&word.to_lowercase()), "{args:?}: {value}");
    }
}

#[test]
fn a_budget_ends_it_and_it_can_be_resumed() {
    let desk = Desk::new();
    let script = Script::instant().fault(Point::Bench, "", Fault::Pause(0.3));
    let args = ["m/tiny-F16.gguf", "-r", "8", "-p", "32", "-n", "8", "--budget", "1", "--save", "half.json"];
    let (status, half) = desk.sweep(&script, &args);
    assert_eq!((status, half["ended"].as_str()), (0, Some("budget")), "{half}");
    let measured = samples(&half["runs"][0], "decode_tps").len();
    assert!((1..8).contains(&measured), "{half}");
    // the budget counts all sessions together
    let mut kept: Value = serde_json::from_slice(&fs::read(desk.path("half.json")).unwrap()).unwrap();
    kept["plan"]["budget_seconds"] = Value::Null;
    fs::write(desk.path("half.json"), kept.to_string()).unwrap();
    let (status, whole) = desk.sweep(&Script::instant(), &["--resume", "half.json"]);
    assert_eq!((status, whole["ended"].as_str()), (0, Some("complete")), "{whole}");
    assert_eq!(samples(&whole["runs"][0], "decode_tps").len(), 8);
    assert_eq!(samples(&whole["runs"][0], "decode_tps")[..measured], samples(&half["runs"][0], "decode_tps")[..]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_measured() {
    let desk = Desk::new();
    let script = desk.path("script.json");
    Script::instant().fault(Point::Bench, "", Fault::Pause(0.4)).write(&script).unwrap();
    let args = ["sweep", "m/tiny-F16.gguf", "-r", "50", "--json", "--name", "mine", "--fake", script.to_str().unwrap()];
    let child = desk.process(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // it is kept before and after every step: once one block is there, it can be stopped
    let file = inferscope::store::sweeps::file(&desk.path("home").join("data"), "mine");
    let has_begun = || {
        let kept = fs::read_to_string(&file).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        kept.is_some_and(|kept| kept["rows"][0]["blocks"].as_u64() >= Some(1))
    };
    let patience = std::time::Instant::now();
    while !has_begun() {
        assert!(patience.elapsed().as_secs() < 60, "no block is kept in {}", file.display());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT).unwrap();
    let (status, value) = document(&child.wait_with_output().unwrap());
    assert_eq!((status, value["ended"].as_str()), (1, Some("cancelled")), "{value}");
    assert!(!samples(&value["runs"][0], "decode_tps").is_empty(), "{value}");
    let (status, resumed) = desk.sweep(&Script::instant(), &["--resume", "mine"]);
    assert_eq!((status, samples(&resumed["runs"][0], "decode_tps").len()), (0, 50), "{resumed}");
}

#[cfg(feature = "llama")]
#[test]
fn llama_cpp_measures_a_grid_without_loading_in_turns() {
    let desk = Desk::new();
    let args = [
        "sweep",
        "m/tiny-F16.gguf",
        "--grid",
        "rung=all",
        "--grid",
        "threads=1,2",
        "-r",
        "4",
        "-p",
        "64",
        "-n",
        "16",
        "--json",
        "--no-probe",
    ];
    let (status, value) = document(&desk.run(&args));
    assert_eq!(status, 0, "{value}");
    for run in value["runs"].as_array().unwrap() {
        for figure in ["decode_tps", "prefill_tps", "ttft_ms", "itl_p95_ms", "peak_memory"] {
            assert!(samples(run, figure).iter().all(|value| value.as_f64().unwrap() > 0.0), "{figure}: {run}");
            assert_eq!(samples(run, figure).len(), 4);
        }
        // TTFT is the prompt and the choice of a token
        let prompt_ms = 64_000.0 / samples(run, "prefill_tps")[0].as_f64().unwrap();
        let ttft = samples(run, "ttft_ms")[0].as_f64().unwrap();
        assert!(ttft >= prompt_ms && ttft < prompt_ms + 50.0, "{ttft} {prompt_ms}");
    }
}
