//! The real window on a real X server (Xvfb), driven through load, generate and switch, with a picture of it.
#![cfg(all(feature = "llama", target_os = "linux"))]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A display of our own; ends with the test.
struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// `None` where there is no Xvfb; that is a failure where `INFERSCOPE_REQUIRE_RENDER` is set.
    fn start() -> Option<Self> {
        let spawned = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1440x900x24", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut server = match spawned {
            Ok(server) => server,
            Err(error) => {
                assert!(std::env::var_os("INFERSCOPE_REQUIRE_RENDER").is_none(), "Xvfb does not start: {error}");
                eprintln!("SKIPPED: no Xvfb ({error}); scripts/test.sh installs it");
                return None;
            }
        };
        let mut number = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut number).ok()?;
        Some(Self { server, name: format!(":{}", number.trim()) })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

fn model() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/SmolLM2-135M-Instruct.Q4_1.gguf");
    if path.is_file() {
        return Some(path);
    }
    assert!(std::env::var_os("INFERSCOPE_REQUIRE_MODEL").is_none(), "the starter model is missing: {}", path.display());
    eprintln!("SKIPPED: no model at {}", path.display());
    None
}

fn inferscope() -> Command {
    Command::new(env!("CARGO_BIN_EXE_inferscope"))
}

/// What drives the window on that display, with everything it keeps in `home`.
fn driven(display: &Display, home: &Path, file: &Path, picture: &Path) -> Command {
    let mut command = inferscope();
    command.args(["doctor", "--json", "--no-probe", "--window"]).arg(file);
    command.env("DISPLAY", &display.name).env_remove("WAYLAND_DISPLAY");
    command.env("INFERSCOPE_HOME", home).env("INFERSCOPE_SCREENSHOT", picture);
    command
}

#[test]
fn the_window_loads_generates_and_switches() {
    let (Some(model), Some(display)) = (model(), Display::start()) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let models = home.path().join("models");
    std::fs::create_dir_all(&models).expect("a folder");
    let file = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    std::fs::copy(&model, &file).expect("copied");
    // another copy of the same level, which comes first by its path: it is not to be loaded beside the one in use
    let near = home.path().join("a").join("models");
    std::fs::create_dir_all(&near).expect("a folder");
    std::fs::copy(&model, near.join("SmolLM2-135M-Instruct.Q4_1.gguf")).expect("copied");
    let made = inferscope().args(["quantize", "--to", "Q4_0"]).arg(&file).env("INFERSCOPE_HOME", home.path()).output().expect("runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let picture = home.path().join("window.png");
    let output = driven(&display, home.path(), &file, &picture)
        .current_dir(home.path().join("a"))
        .env("INFERSCOPE_RENDERER", "cpu")
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    let window = &json["window"];
    for name in [
        "first_frame_ms",
        "decode_tps_windowed",
        "decode_tps_headless",
        "decode_ratio",
        "cpu_ms_per_frame",
        "switch_ms",
        "switch_bare_ms",
        "switch_ratio",
        "switch_reread_tokens",
        "warm_flip_ms",
        "warm_flip_reread_tokens",
    ] {
        assert!(window[name].as_f64().is_some_and(|figure| figure > 0.0), "{name}: {window}");
    }
    assert!(window["idle_seconds"].as_f64().is_some_and(|seconds| seconds >= 10.0), "{window}");
    assert!(window["ui_cpu_percent_idle"].as_f64().is_some_and(|percent| percent < 50.0), "{window}");
    // a drive has a folder of its own
    assert!(
        !home.path().join("data").join("chats.db").exists() && !home.path().join("config").exists(),
        "the user's folders are left alone"
    );
    assert_eq!(window["switched"][0], "Q4_1");
    assert_eq!(window["renderer"], "cpu");
    // nothing of an imitated GPU is in it
    assert!(window["ui_rss_bytes"].as_f64().is_some_and(|bytes| bytes < 90e6), "{window}");
    let bytes = std::fs::read(&picture).expect("a picture");
    assert!(bytes.len() > 20_000, "the picture shows something: {} bytes", bytes.len());
}

/// The same by OpenGL, as far as a picture with the model loaded.
#[test]
fn opengl_draws_the_window_too() {
    let (Some(model), Some(display)) = (model(), Display::start()) else { return };
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("SmolLM2-135M-Instruct.Q4_1.gguf");
    std::fs::copy(&model, &file).expect("copied");
    let picture = home.path().join("window.png");
    let output =
        driven(&display, home.path(), &file, &picture).current_dir(home.path()).env("INFERSCOPE_RENDERER", "gpu").output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let json: serde_json::Value = serde_json::from_str(&text).expect("one JSON document");
    let window = &json["window"];
    assert!(window["renderer"].as_str().is_some_and(|name| name.starts_with("glow")), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(window["decode_tps_windowed"].as_f64().is_some_and(|figure| figure > 0.0), "{window}");
    assert!(std::fs::read(&picture).expect("a picture").len() > 20_000, "the picture shows something");
}

#[test]
fn without_a_display_there_is_a_sentence_and_no_panic() {
    let home = tempfile::tempdir().expect("a folder");
    let output = inferscope()
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .env("INFERSCOPE_HOME", home.path())
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("No window can be opened"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
