//! The command line as a script sees it: the real binary, its output, its exit status.
//!
//! Most tests use the scripted engine, in a process of its own like the real one; those at the end a real model (`INFERSCOPE_TEST_MODEL`, or
//! the starter model in `models/`), and skip without one unless `INFERSCOPE_REQUIRE_MODEL` is set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};

use assert_cmd::cargo::cargo_bin;
use inferscope::engine::fake::{Fault, Point, Reply, Script};
use inferscope::measure::bench::csv_header;
use inferscope::protocol::{EngineError, ErrorKind};
use serde_json::Value;
use support::gguf::{Kv, Tiny, Ty};

/// A machine of its own: home, settings and current folder are empty.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
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

    /// Runs with `--json`; the exit status and the one document.
    fn json(&self, args: &[&str]) -> (i32, Value) {
        let output = self.run(&[args, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let document = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: not one document ({e}): {text}"));
        (status(output.status), document)
    }

    /// A tiny valid model.
    fn model(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Tiny::default().write(&path);
        path.to_str().unwrap().to_owned()
    }

    fn script(&self, script: &Script) -> String {
        let path = self.path("script.json");
        script.write(&path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// The exit status; a death by signal fails the test.
fn status(status: std::process::ExitStatus) -> i32 {
    status.code().expect("ended by a signal")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[track_caller]
fn has_fields(value: &Value, names: &str) {
    let found = fields(value);
    for name in names.split(' ') {
        assert!(found.contains(&name), "{name} is missing among {found:?}");
    }
}

#[test]
fn every_command_explains_itself() {
    let desk = Desk::new();
    for command in ["doctor", "models", "inspect", "estimate", "quantize", "run", "bench", "compare"] {
        let output = desk.run(&[command, "--help"]);
        assert_eq!(status(output.status), 0, "{command}");
        let help = text(&output.stdout);
        assert!(help.contains("Exit status:") && help.contains("--json"), "{command}: {help}");
    }
    let output = desk.run(&["--help"]);
    let help = text(&output.stdout);
    assert!(help.contains("-ub -tb -ctk -ctv -fa -ngl"), "{help}");
    assert!(!help.contains("--fake") && !help.contains("\n  engine"), "hidden things stay hidden: {help}");
    assert!(text(&desk.run(&["--version"]).stdout).starts_with("inferscope "));
}

#[test]
fn usage_errors_are_json_when_json_is_wanted() {
    let desk = Desk::new();
    let (code, error) = desk.json(&["quantize", "x.gguf", "--to", "Q9_Z"]);
    assert_eq!(code, 2);
    assert_eq!(fields(&error), ["error"]);
    assert_eq!(fields(&error["error"]), ["kind", "message", "hint", "path"]);
    assert_eq!(error["error"]["kind"], "usage");
    assert!(error["error"]["message"].as_str().unwrap().contains("Q4_K_M"), "{error}");
    let plain = desk.run(&["bench", "x.gguf", "--no-such-option"]);
    assert_eq!((status(plain.status), plain.stdout.len()), (2, 0));
    assert!(text(&plain.stderr).contains("--no-such-option"));
}

#[test]
fn inspect_reads_a_good_file() {
    let desk = Desk::new();
    let (code, value) = desk.json(&["inspect", &desk.model("a.gguf")]);
    assert_eq!(code, 0, "{value}");
    has_fields(
        &value,
        "valid arch name quant n_params n_layer n_ctx_train n_embd n_head n_head_kv n_vocab size tensors metadata chat_template",
    );
    assert_eq!(value["valid"], true);
    assert_eq!(value["arch"], "llama");
    assert_eq!((&value["n_layer"], &value["n_embd"], &value["n_head"]), (&2.into(), &64.into(), &2.into()));
    assert_eq!(value["metadata"]["general.architecture"], "llama");
    assert!(value["chat_template"].as_str().unwrap().contains("<|im_start|>"));
    assert!(value["tensors"].as_u64().unwrap() > 10);
    let plain = desk.run(&["inspect", "a.gguf"]);
    assert!(text(&plain.stdout).contains("Tiny Test"));
}

#[test]
fn inspect_names_the_fault_and_the_byte() {
    let desk = Desk::new();
    fs::write(desk.path("text.gguf"), "Not a model at all").unwrap();
    let (code, value) = desk.json(&["inspect", "text.gguf"]);
    assert_eq!(
        (code, &value["valid"], &value["error"]["kind"], &value["error"]["offset"]),
        (1, &false.into(), &"not_gguf".into(), &0.into())
    );
    let whole = fs::read(desk.model("a.gguf")).unwrap();
    fs::write(desk.path("short.gguf"), &whole[..100]).unwrap();
    let (code, value) = desk.json(&["inspect", "short.gguf"]);
    assert_eq!((code, &value["error"]["kind"]), (1, &"truncated".into()));
    assert!(value["error"]["offset"].as_u64().is_some_and(|at| at <= 100), "{value}");
    let mut deep = Tiny::default().gguf();
    deep.set("llama.block_count", Kv::U32(100_000));
    deep.write(desk.path("deep.gguf"));
    assert_eq!(desk.json(&["inspect", "deep.gguf"]).0, 1);
    let (code, value) = desk.json(&["inspect", "missing.gguf"]);
    assert_eq!((code, &value["error"]["kind"]), (2, &"missing".into()));
    assert_eq!(status(desk.run(&["inspect", "text.gguf"]).status), 1);
}

#[test]
fn models_lists_families_and_what_it_passed_over() {
    let desk = Desk::new();
    desk.model("m/Tiny-Test.F16.gguf");
    Tiny { ty: Ty::Q8_0, ..Tiny::default() }.write(desk.path("m/Tiny-Test.Q8_0.gguf"));
    fs::write(desk.path("m/broken.gguf"), "GGUF").unwrap();
    let (code, value) = desk.json(&["models", "--dir", "m", "--dir", "nowhere"]);
    assert_eq!(code, 0);
    has_fields(&value, "families skipped");
    let family = &value["families"][0];
    has_fields(family, "name arch n_params rungs");
    let rungs = family["rungs"].as_array().unwrap();
    for rung in rungs {
        has_fields(rung, "quant path size bpw state source");
        assert!(["on_disk", "can_make", "unavailable"].contains(&rung["state"].as_str().unwrap()));
    }
    assert_eq!(rungs.iter().filter(|r| r["state"] == "on_disk").count(), 2, "{value}");
    assert!(rungs.iter().any(|r| r["state"] == "can_make" && r["source"].is_string()));
    let skipped: Vec<&str> = value["skipped"].as_array().unwrap().iter().map(|s| s["path"].as_str().unwrap()).collect();
    assert!(skipped.iter().any(|p| p.ends_with("broken.gguf")) && skipped.contains(&"nowhere"), "{skipped:?}");
}

#[test]
fn a_name_is_as_good_as_a_path() {
    let desk = Desk::new();
    desk.model("models/Tiny-Test.F16.gguf");
    let (code, value) = desk.json(&["inspect", "tiny-test:f16"]);
    assert_eq!((code, &value["quant"]), (0, &"F16".into()), "{value}");
    assert_eq!(desk.json(&["inspect", "tiny"]).0, 0, "a part of the name is enough");
    let (code, value) = desk.json(&["inspect", "no-such-model"]);
    assert_eq!((code, &value["error"]["kind"]), (2, &"file_missing".into()));
    assert!(value["error"]["hint"].as_str().unwrap().contains("inferscope models"), "{value}");
    let typo = desk.run(&["benhc"]);
    assert_eq!((status(typo.status), typo.stdout.len()), (2, 0), "a misspelt command opens no window");
}

#[test]
fn estimate_says_whether_it_fits() {
    let desk = Desk::new();
    let model = desk.model("a.gguf");
    let (code, small) = desk.json(&["estimate", &model, "-c", "512", "--header-only"]);
    has_fields(&small, "weights kv compute total available fits source");
    assert_eq!((code, &small["fits"], &small["source"]), (0, &true.into(), &"header".into()));
    assert_eq!(small["total"].as_u64(), ["weights", "kv", "compute"].iter().map(|f| small[*f].as_u64()).sum());
    let (_, large) = desk.json(&["estimate", &model, "-c", "1024", "--header-only"]);
    assert_eq!(large["kv"].as_u64().unwrap(), 2 * small["kv"].as_u64().unwrap());
    let (_, narrow) = desk.json(&["estimate", &model, "-c", "1024", "-ctk", "q8_0", "-ctv=q8_0", "-fa", "on", "--header-only"]);
    assert!(narrow["kv"].as_u64() < large["kv"].as_u64());
    let script = desk.script(&Script::instant());
    let (code, huge) = desk.json(&["estimate", &model, "-c", "4000000000", "--fake", &script, "--header-only"]);
    assert_eq!((code, &huge["fits"]), (1, &false.into()), "{huge}");
    let nearest = &huge["nearest"][0];
    assert!(nearest["n_ctx"].as_u64().is_some_and(|n| (512..4_000_000_000).contains(&n)), "{huge}");
    assert!(nearest["words"].as_str().unwrap().contains("instead of 4000000000"), "{huge}");
    assert_eq!(small["nearest"].as_array().map(Vec::len), Some(0), "what fits needs no other");
    let (_, asked) = desk.json(&["estimate", &model, "--fake", &script]);
    assert_eq!(asked["source"], "engine");
}

#[test]
fn run_streams_text_and_sums_up_in_json() {
    let desk = Desk::new();
    let model = desk.model("a.gguf");
    let script = desk.script(&Script::instant().reply("One two three."));
    let output = desk.run(&["run", &model, "-p", "Hi", "--fake", &script]);
    assert_eq!((status(output.status), text(&output.stdout).as_str()), (0, "One two three.\n"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("t/s"), "figures go to standard error");
    for extra in [&[][..], &["--in-process"]] {
        let (code, value) = desk.json(&[&["run", &model, "-p", "Hi", "-n", "8", "--seed", "7", "--fake", &script], extra].concat());
        assert_eq!(code, 0, "{value}");
        has_fields(
            &value,
            "text tokens stop_reason prompt_tokens cached_tokens predicted_tokens ttft_ms prefill_tps decode_tps total_ms effective memory",
        );
        assert_eq!((&value["text"], &value["stop_reason"]), (&"One two three.".into(), &"end_of_reply".into()));
        assert_eq!(value["tokens"].as_array().unwrap().len() as u64, value["predicted_tokens"].as_u64().unwrap());
        has_fields(&value["memory"], "weights kv compute total");
    }
}

#[test]
fn run_gives_each_token_with_its_alternatives() {
    let desk = Desk::new();
    let (model, script) = (desk.model("a.gguf"), desk.script(&Script::instant().reply("One two three.")));
    let (code, value) = desk.json(&["run", &model, "-p", "Hi", "--logprobs", "3", "--fake", &script]);
    assert_eq!(code, 0, "{value}");
    let tokens = value["logprobs"].as_array().unwrap();
    let words: Vec<&str> = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(words, ["One ", "two ", "three."]);
    let p = tokens[1]["logprob"].as_f64().unwrap().exp();
    assert!((p - 0.72).abs() < 1e-6, "{p}");
    assert_eq!((&tokens[1]["from"], &tokens[1]["to"]), (&4.into(), &8.into()));
    let top = tokens[1]["top"].as_array().unwrap();
    assert_eq!((top.len(), &top[0]["token"], &top[0]["kind"]), (3, &"two ".into(), &"text".into()));
    assert!(top.is_sorted_by_key(|a| -(a["logprob"].as_f64().unwrap() * 1e6) as i64));
    let refused = desk.run(&["run", &model, "-p", "Hi", "--logprobs", "3", "--fake", &script]);
    assert_eq!(status(refused.status), 2, "numbers have no place in a stream of text");
}

#[test]
fn compare_asks_each_design_and_says_where_answers_part() {
    let desk = Desk::new();
    let (a, b) = (desk.model("a.gguf"), desk.model("b.gguf"));
    let mut script = Script::instant();
    script.replies = vec![Reply::Text("One two three.".into()), Reply::Text("One two four.".into())];
    let path = desk.script(&script);
    let (code, value) = desk.json(&["compare", &a, &b, "-p", "Count", "-n", "16", "--fake", &path]);
    assert_eq!(code, 0, "{value}");
    let lanes = value["lanes"].as_array().unwrap();
    assert_eq!(lanes.len(), 2);
    assert_eq!((&lanes[0]["text"], &lanes[1]["text"]), (&"One two three.".into(), &"One two four.".into()));
    assert_eq!(lanes[1]["first_difference_byte"], 8);
    assert_eq!((&lanes[0]["design"]["sampler"]["temperature"], &lanes[0]["design"]["sampler"]["seed"]), (&0.0.into(), &0.into()));
    has_fields(&lanes[0], "name design model quant text tokens stats memory load_seconds failure");
    let words = desk.run(&["compare", &a, &b, "-p", "Count", "--fake", &path]);
    assert!(text(&words.stdout).contains("against the first"), "{}", text(&words.stdout));
    assert_eq!(status(desk.run(&["compare", &a, "-p", "x", "--fake", &path]).status), 2, "one is no comparison");
}

#[test]
fn a_design_whose_engine_dies_is_a_lane_with_its_cause() {
    let desk = Desk::new();
    let (a, b, c) = (desk.model("a.gguf"), desk.model("broken.gguf"), desk.model("c.gguf"));
    let script = desk.script(&Script::instant().reply("Yes.").fault(Point::Load, "broken", Fault::Abort("GGML_ASSERT(x) failed".into())));
    let (code, value) = desk.json(&["compare", &a, &b, &c, "-p", "Really?", "--fake", &script]);
    assert_eq!(code, 1, "{value}");
    let lanes = value["lanes"].as_array().unwrap();
    assert_eq!((&lanes[0]["text"], &lanes[2]["text"]), (&"Yes.".into(), &"Yes.".into()), "{value}");
    assert_eq!(lanes[1]["failure"]["kind"], "assertion");
    assert!(lanes[0]["failure"].is_null());
}

#[test]
fn run_reads_the_prompt_from_standard_input() {
    use std::io::Write as _;
    let desk = Desk::new();
    let (model, script) = (desk.model("a.gguf"), desk.script(&Script::instant().reply("Yes.")));
    let fed = |bytes: &[u8]| {
        let mut child = desk
            .process(&["run", &model, "-p", "-", "--raw", "--fake", &script, "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        (status(output.status), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    assert_eq!(fed("Grüße\0\u{1b}[2J".as_bytes()).0, 0, "any text is a prompt");
    let (code, value) = fed(b"ok \xff no");
    assert_eq!((code, &value["error"]["offset"]), (2, &3.into()));
}

#[test]
fn run_refuses_bad_schemas_and_files() {
    let desk = Desk::new();
    let (model, script) = (desk.model("a.gguf"), desk.script(&Script::instant()));
    fs::write(desk.path("schema.json"), "{not json").unwrap();
    let (code, value) = desk.json(&["run", &model, "-p", "x", "--json-schema", "schema.json", "--fake", &script]);
    assert_eq!(code, 2);
    assert!(value["error"]["message"].as_str().unwrap().contains("schema"), "{value}");
    assert!(value["error"]["path"].as_str().unwrap().ends_with("schema.json"));
    let (code, value) = desk.json(&["run", &model, "-p", "x", "--fake", "no-script.json"]);
    assert_eq!((code, &value["error"]["kind"]), (2, &"file_missing".into()));
}

#[test]
fn an_engine_that_dies_is_an_error_with_a_cause() {
    let desk = Desk::new();
    let model = desk.model("a.gguf");
    for (fault, kind) in [
        (Fault::Abort("GGML_ASSERT(n_tokens > 0) failed".into()), "assertion"),
        (Fault::Signal(9), "killed"),
        (Fault::Garbage("this is no frame\n".into()), "protocol"),
        (Fault::Fail(EngineError::new(ErrorKind::OutOfMemory, "There is not enough memory")), "out_of_memory"),
    ] {
        let script = desk.script(&Script::instant().fault(Point::Token(2), "", fault.clone()));
        let (code, value) = desk.json(&["run", &model, "-p", "x", "--fake", &script]);
        assert_eq!((code, &value["error"]["kind"]), (2, &kind.into()), "{fault:?}: {value}");
        assert!(!value["error"]["message"].as_str().unwrap().is_empty());
    }
    let script = desk.script(&Script::instant().fault(Point::Load, "", Fault::Exit(3)));
    let output = desk.run(&["run", &model, "-p", "x", "--fake", &script]);
    assert_eq!((status(output.status), output.stdout.len()), (2, 0));
    assert!(text(&output.stderr).contains("error: "));
}

#[test]
fn a_library_that_prints_does_not_spoil_the_document() {
    let desk = Desk::new();
    let script = desk.script(&Script::instant().fault(Point::Token(1), "", Fault::Print("careless\n".into())));
    assert_eq!(desk.json(&["run", &desk.model("a.gguf"), "-p", "x", "--fake", &script]).0, 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_reply_and_keeps_it() {
    let desk = Desk::new();
    let script = desk.script(&Script { tokens_per_second: 20.0, ..Script::instant().reply("word ".repeat(400)) });
    let child = desk
        .process(&["run", &desk.model("a.gguf"), "-p", "x", "--fake", &script, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(status(output.status), 1);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["stop_reason"], "cancelled");
    assert!(value["text"].as_str().unwrap().starts_with("word word "), "{value}");
}

#[cfg(unix)]
#[test]
fn a_broken_pipe_is_success() {
    let desk = Desk::new();
    let script = desk.script(&Script { tokens_per_second: 200.0, ..Script::instant().reply("word ".repeat(2000)) });
    let model = desk.model("a.gguf");
    let began = std::time::Instant::now();
    for args in [&["run", &model, "-p", "x", "--fake", &script][..], &["inspect", &model], &["models", "--json"]] {
        let mut child = desk.process(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(status(output.status), 0, "{args:?}: {}", text(&output.stderr));
        assert!(!text(&output.stderr).contains("error"), "{args:?}: {}", text(&output.stderr));
    }
    assert!(began.elapsed().as_secs() < 8, "the reply is not generated to its end for nobody");
}

#[test]
fn bench_speaks_llama_bench() {
    let desk = Desk::new();
    let (model, other) = (desk.model("a.gguf"), desk.model("b.gguf"));
    let script = desk.script(&Script::instant());
    let args = ["bench", &model, &other, "-p", "64,128", "-n", "16", "-pg", "32,8", "-r", "3", "-ub", "128", "--fake", &script];
    let (code, value) = desk.json(&args);
    assert_eq!(code, 0, "{value}");
    let rows = value.as_array().unwrap();
    let cells: Vec<(u64, u64)> = rows.iter().map(|r| (r["n_prompt"].as_u64().unwrap(), r["n_gen"].as_u64().unwrap())).collect();
    let one = [(64, 0), (128, 0), (0, 16), (32, 8)];
    assert_eq!(cells, [one, one].concat(), "llama-bench's order, file by file");
    let row = &rows[2];
    let ours: Vec<&str> = fields(row).into_iter().filter(|f| !["samples_ns", "samples_ts", "ours"].contains(f)).collect();
    assert_eq!(ours.join(","), csv_header());
    assert_eq!(row["samples_ns"].as_array().unwrap().len(), 3);
    has_fields(&row["ours"], "peak_rss roofline_fraction trust");
    assert!(row["ours"]["roofline_fraction"].as_f64().is_some_and(|f| f > 0.0), "{row}");
    assert!(rows[0]["ours"]["roofline_fraction"].is_null());
    assert_eq!(desk.run(&[&args[..], &["-o", "json"]].concat()).stdout.first(), Some(&b'['));
}

#[test]
fn bench_prints_tables_lines_and_csv() {
    let desk = Desk::new();
    let (model, script) = (desk.model("a.gguf"), desk.script(&Script::instant()));
    let printed = |format: &str| {
        let output = desk.run(&["bench", &model, "-p", "64", "-n", "16", "-r", "2", "--no-probe", "-o", format, "--fake", &script]);
        assert_eq!(status(output.status), 0, "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let table = printed("md");
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("| model ") && lines[0].contains("|            test |"), "{table}");
    assert!(lines[2].contains(" pp64 |") && lines[3].contains(" tg16 |") && lines[5].starts_with("build: "), "{table}");
    assert_eq!(lines[0].chars().count(), lines[2].chars().count(), "columns line up");
    let jsonl = printed("jsonl");
    assert_eq!(jsonl.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|v| v["avg_ts"].is_number())).count(), 2);
    let csv = printed("csv");
    assert_eq!(csv.lines().count(), 3);
    assert_eq!(csv.lines().next(), Some(csv_header()));
    let (code, value) = desk.json(&["bench", &model, "-p", "0", "-n", "0", "--fake", &script]);
    assert_eq!((code, &value["error"]["kind"]), (2, &"usage".into()));
}

#[test]
fn quantize_makes_a_rung_beside_the_source() {
    let desk = Desk::new();
    let (model, script) = (desk.model("Tiny.F16.gguf"), desk.script(&Script::instant()));
    let (code, value) = desk.json(&["quantize", &model, "--to", "q8_0", "--fake", &script]);
    assert_eq!(code, 0, "{value}");
    has_fields(&value, "path size bpw seconds source_quant lossy_source");
    assert_eq!((&value["source_quant"], &value["lossy_source"]), (&"F16".into(), &false.into()));
    let made = Path::new(value["path"].as_str().unwrap());
    assert_eq!(made, desk.path("Tiny.Q8_0.gguf"));
    assert!(made.is_file());
    let before = fs::read(&model).unwrap();
    let (code, value) = desk.json(&["quantize", &model, "--to", "Q4_0", "--out", &model, "--fake", &script]);
    assert_eq!(code, 2, "{value}");
    assert_eq!(fs::read(&model).unwrap(), before, "the source is never touched");
    for bad in [&["--to", "IQ2_XXS"][..], &["--to", "Q4_0", "--prune-layers", "7"], &["--to", "Q4_0", "--prune-layers", "0,1"]] {
        assert_eq!(desk.json(&[&["quantize", &model, "--fake", &script], bad].concat()).0, 2, "{bad:?}");
    }
    let failing = desk.script(&Script::instant().fault(Point::Quantize, "", Fault::Signal(9)));
    let (code, _) = desk.json(&["quantize", &model, "--to", "Q5_0", "--fake", &failing]);
    assert_eq!(code, 2);
    let left: Vec<_> =
        fs::read_dir(desk.dir.path()).unwrap().flatten().filter(|e| e.file_name().to_string_lossy().contains("Q5_0")).collect();
    assert!(left.is_empty(), "nothing half-made stays: {left:?}");
}

#[test]
fn doctor_knows_the_machine_and_what_to_fix() {
    let desk = Desk::new();
    let script = desk.script(&Script::instant());
    let (code, value) = desk.json(&["doctor", "--fake", &script]);
    assert_eq!(code, 0, "{value}");
    has_fields(&value, "version engine devices cpu memory bandwidth_gb_s dirs models problems");
    has_fields(&value["engine"], "commit build cpu_features backends");
    has_fields(&value["cpu"], "name logical physical");
    has_fields(&value["memory"], "total available");
    assert_eq!(value["bandwidth_gb_s"], 18.5);
    for problem in value["problems"].as_array().unwrap() {
        has_fields(problem, "what fix");
    }
    assert!(value["dirs"]["config"].as_str().unwrap().starts_with(desk.path("home").to_str().unwrap()));
    assert!(!desk.path("home").exists(), "looking makes no folders");
    let broken = desk.script(&Script::instant().fault(Point::Start, "", Fault::Exit(7)));
    let (code, value) = desk.json(&["doctor", "--no-probe", "--fake", &broken]);
    assert_eq!(code, 1, "{value}");
    assert!(value["problems"][0]["blocking"].as_bool().unwrap());
    assert!(value["bandwidth_gb_s"].is_null() && value["bandwidth_source"].is_null());
}

#[test]
fn doctor_uses_the_bandwidth_that_is_kept_and_leaves_damaged_settings_alone() {
    let desk = Desk::new();
    let script = desk.script(&Script::instant());
    let (_, value) = desk.json(&["doctor", "--no-probe", "--fake", &script]);
    let config = PathBuf::from(value["dirs"]["config"].as_str().unwrap());
    let cpu = value["cpu"]["name"].as_str().unwrap();
    fs::create_dir_all(&config).unwrap();
    let settings = config.join("settings.toml");
    fs::write(&settings, format!("[bandwidth]\ngb_s = 12.25\nthreads = 2\ncpu = {cpu:?}\n")).unwrap();
    let (_, value) = desk.json(&["doctor", "--fake", &script]);
    assert_eq!((&value["bandwidth_gb_s"], &value["bandwidth_source"]), (&12.25.into(), &"kept".into()));
    fs::write(&settings, "[bandwidth]\ngb_s = 12.25\ncpu = \"another processor\"\n").unwrap();
    let (_, value) = desk.json(&["doctor", "--fake", &script]);
    assert_eq!((&value["bandwidth_gb_s"], &value["bandwidth_source"]), (&18.5.into(), &"measured".into()));
    // what is damaged is the window's to set aside
    fs::write(&settings, "theme = \"da").unwrap();
    assert_eq!(desk.json(&["doctor", "--fake", &script]).0, 0);
    assert_eq!(fs::read(&settings).unwrap(), b"theme = \"da");
    assert_eq!(fs::read_dir(&config).unwrap().count(), 1, "nothing is put beside it");
}

#[test]
fn what_did_not_happen_has_no_figure() {
    let desk = Desk::new();
    let model = desk.model("a.gguf");
    let run = |reply: &str, n: &str| {
        let script = desk.script(&Script { tokens_per_second: 500.0, ..Script::instant() }.reply(reply));
        desk.json(&["run", &model, "-p", "Hi", "-n", n, "--fake", &script]).1
    };
    let none = run("", "8");
    assert_eq!(none["predicted_tokens"], 0, "{none}");
    let one = run("one two three", "1");
    let two = run("one two three", "2");
    let has = |value: &Value, name: &str| value.get(name).is_some();
    for name in ["ttft_ms", "decode_tps", "itl_p95_ms"] {
        assert!(!has(&none, name) && has(&two, name), "{name}");
        assert_eq!(has(&one, name), name == "ttft_ms");
    }
}

/// The model for tests that need a real one.
fn real_model() -> Option<PathBuf> {
    let in_models = || {
        let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("models")).ok()?;
        let mut models: Vec<PathBuf> = files.flatten().map(|f| f.path()).filter(|p| p.extension().is_some_and(|e| e == "gguf")).collect();
        models.sort_by_key(|p| fs::metadata(p).map_or(u64::MAX, |m| m.len()));
        models.into_iter().next()
    };
    let found =
        if cfg!(feature = "llama") { std::env::var_os("INFERSCOPE_TEST_MODEL").map(PathBuf::from).or_else(in_models) } else { None };
    assert!(found.is_some() || std::env::var_os("INFERSCOPE_REQUIRE_MODEL").is_none(), "a model is required: put one into models/");
    found
}

#[test]
fn a_real_model_answers_the_same_twice() {
    let Some(model) = real_model() else { return };
    let desk = Desk::new();
    let args = ["run", model.to_str().unwrap(), "-p", "The capital of France is", "-n", "12", "--temp", "0", "-c", "512"];
    let (code, first) = desk.json(&args);
    assert_eq!(code, 0, "{first}");
    assert!(!first["text"].as_str().unwrap().is_empty());
    assert!(first["decode_tps"].as_f64().unwrap() > 0.0 && first["memory"]["weights"].as_u64().unwrap() > 1_000_000);
    let (_, again) = desk.json(&[&args[..], &["--in-process"]].concat());
    assert_eq!((&first["text"], &first["tokens"]), (&again["text"], &again["tokens"]), "greedy is greedy, in either place");
}

#[test]
fn a_real_model_is_measured_and_estimated() {
    let Some(model) = real_model() else { return };
    let (desk, model) = (Desk::new(), model.to_str().unwrap().to_owned());
    let (code, rows) = desk.json(&["bench", &model, "-p", "32", "-n", "8", "-r", "2"]);
    assert_eq!(code, 0, "{rows}");
    assert!(rows.as_array().unwrap().iter().all(|r| r["avg_ts"].as_f64().unwrap() > 1.0 && r["model_type"].is_string()), "{rows}");
    let fraction = rows[1]["ours"]["roofline_fraction"].as_f64().unwrap();
    assert!(fraction > 0.02 && fraction < 3.0, "{fraction}");
    let (_, engine) = desk.json(&["estimate", &model, "-c", "1024"]);
    let (_, header) = desk.json(&["estimate", &model, "-c", "1024", "--header-only"]);
    assert_eq!(engine["source"], "engine", "{engine}");
    let (a, b) = (engine["total"].as_f64().unwrap(), header["total"].as_f64().unwrap());
    assert!((a / b - 1.0).abs() < 0.25, "the header foretells {b}, the engine {a}");
}

#[test]
fn a_real_model_is_quantized_to_a_temporary_place() {
    let Some(model) = real_model() else { return };
    let (desk, out) = (Desk::new(), tempfile::tempdir().unwrap());
    let to = |source: &str, level: &str| {
        let (code, value) =
            desk.json(&["quantize", source, "--to", level, "--out", out.path().join(format!("{level}.gguf")).to_str().unwrap()]);
        assert_eq!(code, 0, "{value}");
        assert_eq!(value["lossy_source"], true);
        value["path"].as_str().unwrap().to_owned()
    };
    let eight = to(model.to_str().unwrap(), "Q8_0");
    let (code, header) = desk.json(&["inspect", &eight]);
    assert_eq!((code, &header["quant"]), (0, &"Q8_0".into()));
    let back = to(&eight, "Q4_0");
    let (code, reply) = desk.json(&["run", &back, "-p", "Hello", "-n", "4", "--temp", "0", "-c", "256"]);
    assert_eq!((code, reply["predicted_tokens"].as_u64().is_some_and(|n| n > 0)), (0, true), "{reply}");
}
