//! Why an engine ended, in words.

use std::path::Path;

use crate::protocol::{EngineError, ErrorKind};

/// Lines of evidence on an error card.
pub const DETAILS: usize = 20;

/// How an engine ended.
#[derive(Debug)]
pub enum Ending {
    /// Its process is gone
    Exited {
        /// Exit code, where it had one
        code: Option<i32>,
        /// The signal that ended it
        signal: Option<i32>,
    },
    /// It said itself why it cannot go on
    Declared(EngineError),
    /// What it sent was not the protocol
    Protocol(EngineError),
    /// It speaks another version
    Version(u32),
    /// It never said hello
    SilentStart(u64),
    /// It did not stop when asked to; seconds waited
    NotAnswering(u64),
    /// Ended because the user wanted it
    Requested(&'static str),
    /// It could not be started
    CannotStart(EngineError),
    /// It was ended, but the system cannot get rid of it
    Stuck,
}

impl Ending {
    /// Whether starting it again can only end the same way.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Version(_) | Self::CannotStart(_) | Self::Stuck)
    }
}

/// The sentence for an ending, from how it ended and from the last lines (oldest first).
pub fn explain(ending: Ending, lines: &[String]) -> EngineError {
    let error = match ending {
        Ending::Exited { code, signal } => from_lines(signal, lines).unwrap_or_else(|| from_status(code, signal)),
        Ending::Declared(error) | Ending::Protocol(error) | Ending::CannotStart(error) => error,
        Ending::Version(theirs) => EngineError::new(
            ErrorKind::Protocol,
            format!("The engine speaks protocol version {theirs}, this window speaks {}", crate::protocol::wire::VERSION),
        )
        .hint("Install both from the same build"),
        Ending::SilentStart(seconds) => {
            EngineError::new(ErrorKind::NotAnswering, format!("The engine did not say hello within {seconds} s of its start and was ended"))
                .hint("Try again; the log shows how far it came")
        }
        Ending::NotAnswering(seconds) => {
            EngineError::new(ErrorKind::NotAnswering, format!("The engine did not stop within {seconds} s and was ended"))
                .hint("Load the model again to go on")
        }
        Ending::Requested(what) => EngineError::new(ErrorKind::Killed, what).hint("Load the model again to go on"),
        Ending::Stuck => {
            EngineError::new(ErrorKind::NotAnswering, "The engine was ended, but the system cannot remove its process (a driver is stuck)")
                .hint("Restart the computer before using that device again")
        }
    };
    if error.details.is_empty() {
        let evidence = lines.iter().skip(lines.len().saturating_sub(DETAILS)).cloned().collect();
        error.details(evidence)
    } else {
        error
    }
}

/// What the last lines give away. Only lines near the end count: an old warning is not a cause.
fn from_lines(signal: Option<i32>, lines: &[String]) -> Option<EngineError> {
    // A crash by signal other than SIGABRT has its own cause; text before it is context at best.
    if signal.is_some_and(|signal| signal != signals::ABRT) {
        return None;
    }
    let recent = || lines.iter().rev().take(DETAILS);
    if let Some(line) = recent().find(|line| line.contains("GGML_ASSERT") || line.contains("GGML_ABORT")) {
        return Some(
            EngineError::new(ErrorKind::Assertion, format!("llama.cpp stopped on a failed check: {}", without_folders(line)))
                .hint("Other settings or another file of this model may work"),
        );
    }
    if recent().any(|line| is_about_memory(line)) {
        return Some(
            EngineError::new(ErrorKind::OutOfMemory, "The engine ended because an allocation failed: memory ran out")
                .hint("Choose a smaller context, a smaller quantization level, or unload other models"),
        );
    }
    if let Some(line) = recent().find(|line| line.contains("CUDA error") || line.contains("ggml_vulkan:") && line.contains("rror")) {
        return Some(
            EngineError::new(ErrorKind::Crashed, format!("The GPU driver reported a failure: {}", line.trim()))
                .hint("Try again, or load with 0 GPU layers"),
        );
    }
    if let Some((_, library)) = recent().find_map(|line| line.split_once("error while loading shared libraries: ")) {
        let library = library.split(':').next().unwrap_or(library);
        return Some(
            EngineError::new(ErrorKind::Unsupported, format!("A library the engine needs is missing: {library}"))
                .hint("Install it, or a build that does without it (CPU only)"),
        );
    }
    let what = recent().find_map(|line| line.split_once("what():").map(|(_, what)| what.trim().to_owned()));
    what.map(|what| {
        EngineError::new(ErrorKind::Crashed, format!("The engine ended on an error inside llama.cpp: {what}"))
            .hint("Load the model again to go on")
    })
}

fn is_about_memory(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    ["bad_alloc", "failed to allocate", "unable to allocate", "out of memory", "cudamalloc failed", "memory allocation of"]
        .iter()
        .any(|sign| line.contains(sign))
}

/// ggml prints `/build/path/ggml.c:123: GGML_ASSERT(x) failed`: the file name says enough.
fn without_folders(line: &str) -> String {
    let Some((place, rest)) = line.trim().split_once(": ") else { return line.trim().to_owned() };
    let name = place.rsplit(['/', '\\']).next().unwrap_or(place);
    format!("{name}: {rest}")
}

fn from_status(code: Option<i32>, signal: Option<i32>) -> EngineError {
    let again = "Load the model again to go on";
    let crashed = |what: &str, hint: &str| EngineError::new(ErrorKind::Crashed, what).hint(hint);
    match (signal, code) {
        (Some(signals::KILL), _) => {
            EngineError::new(ErrorKind::Killed, "The engine was ended by the system, most likely because memory ran out")
                .hint("Choose a smaller context, a smaller quantization level, or unload other models")
        }
        (Some(signals::TERM | signals::INT | signals::HUP | signals::QUIT), _) => {
            EngineError::new(ErrorKind::Killed, "The engine was ended from outside").hint(again)
        }
        (Some(signals::ILL), _) => crashed(
            "The engine uses CPU instructions this processor does not have",
            "Build it on this machine, or install a build for this processor",
        ),
        (Some(signals::BUS), _) => crashed(
            "The engine ended because the model file changed or the disk failed while the file was mapped",
            "Check the file and its disk, then load it again",
        ),
        (Some(signals::SEGV), _) => crashed("The engine crashed (invalid memory access)", again),
        (Some(signals::FPE), _) => crashed("The engine crashed (invalid arithmetic)", again),
        (Some(signals::ABRT), _) => crashed("The engine gave up (abort) without saying why", again),
        (Some(signals::SYS), _) => crashed("The engine was ended for a system call it may not make", again),
        (Some(_), _) => crashed("The engine was ended by a signal", again),
        (None, Some(101)) => crashed("The engine stopped on an internal error", again),
        (None, Some(0)) => EngineError::new(ErrorKind::Crashed, "The engine ended by itself").hint(again),
        (None, Some(code)) => windows_status(code).unwrap_or_else(|| match code {
            1..=255 => crashed(&format!("The engine ended unexpectedly (exit code {code})"), again),
            _ => crashed("The engine ended unexpectedly", again),
        }),
        (None, None) => crashed("The engine ended unexpectedly", again),
    }
}

/// Windows reports a crash as an exit code (`ntstatus.h`); shown raw it would be a number like 18446744072635812000.
fn windows_status(code: i32) -> Option<EngineError> {
    let (what, hint) = match code.cast_unsigned() {
        0xC000_0005 => ("The engine crashed (invalid memory access)", "Load the model again to go on"),
        0xC000_001D => ("The engine uses CPU instructions this processor does not have", "Install a build for this processor"),
        0xC000_0006 => ("The engine ended because the model file could not be read while mapped", "Check the file and its disk"),
        0xC000_0135 | 0xC000_0139 => ("A library the engine needs is missing", "Install the engine again"),
        0xC000_0017 | 0xC000_012D => ("The engine ended because memory ran out", "Choose a smaller context or quantization level"),
        0xC000_0409 => ("The engine gave up (abort) without saying why", "Load the model again to go on"),
        _ => return None,
    };
    Some(EngineError::new(ErrorKind::Crashed, what).hint(hint))
}

/// Signal numbers, the same on Linux and macOS but for two.
#[cfg(unix)]
mod signals {
    use rustix::process::Signal;
    pub const HUP: i32 = Signal::HUP.as_raw();
    pub const INT: i32 = Signal::INT.as_raw();
    pub const QUIT: i32 = Signal::QUIT.as_raw();
    pub const ILL: i32 = Signal::ILL.as_raw();
    pub const ABRT: i32 = Signal::ABORT.as_raw();
    pub const BUS: i32 = Signal::BUS.as_raw();
    pub const FPE: i32 = Signal::FPE.as_raw();
    pub const KILL: i32 = Signal::KILL.as_raw();
    pub const SEGV: i32 = Signal::SEGV.as_raw();
    pub const TERM: i32 = Signal::TERM.as_raw();
    pub const SYS: i32 = Signal::SYS.as_raw();
}

/// Linux numbers; never met where there are no signals.
#[cfg(not(unix))]
mod signals {
    pub const HUP: i32 = 1;
    pub const INT: i32 = 2;
    pub const QUIT: i32 = 3;
    pub const ILL: i32 = 4;
    pub const ABRT: i32 = 6;
    pub const BUS: i32 = 7;
    pub const FPE: i32 = 8;
    pub const KILL: i32 = 9;
    pub const SEGV: i32 = 11;
    pub const TERM: i32 = 15;
    pub const SYS: i32 = 31;
}

/// Removes what an engine with this process id left of a file it was making: `<target>.*partial*` with the id in its name.
pub fn remove_partials(target: &Path, pid: u32) {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name().and_then(|name| name.to_str())) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let pid = pid.to_string();
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(rest) = file.to_str().and_then(|file| file.strip_prefix(name)).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if rest.contains("partial") && rest.split(|c: char| !c.is_ascii_digit()).any(|number| number == pid) {
            // It may be gone already; a file that cannot be removed is seen in the folder, and is not listed as a model.
            drop(std::fs::remove_file(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: Option<i32>, signal: Option<i32>, lines: &[&str], kind: ErrorKind, says: &str) {
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let error = explain(Ending::Exited { code, signal }, &lines);
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.message.contains(says), "{:?} does not say {says:?}", error.message);
        assert!(!error.message.ends_with('.') && !error.hint.is_empty());
        assert_eq!(error.details, lines.iter().rev().take(DETAILS).rev().cloned().collect::<Vec<_>>());
    }

    #[test]
    fn every_end_has_its_words() {
        use ErrorKind::{Assertion, Crashed, Killed, OutOfMemory};
        let assertion = "/build/x/ggml/src/ggml.c:4567: GGML_ASSERT(ne[0] == 3) failed";
        check(None, Some(6), &["loading", assertion], Assertion, "ggml.c:4567: GGML_ASSERT(ne[0] == 3) failed");
        check(Some(3), None, &[assertion], Assertion, "GGML_ASSERT");
        check(
            None,
            Some(6),
            &["terminate called after throwing an instance of 'std::bad_alloc'", "  what():  std::bad_alloc"],
            OutOfMemory,
            "memory ran out",
        );
        check(
            None,
            Some(6),
            &["ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 123"],
            OutOfMemory,
            "allocation",
        );
        check(Some(1), None, &["memory allocation of 99999999999 bytes failed"], OutOfMemory, "memory ran out");
        check(
            None,
            Some(6),
            &["terminate called after throwing an instance of 'std::out_of_range'", "  what():  map::at"],
            Crashed,
            "map::at",
        );
        check(None, Some(6), &["CUDA error: unspecified launch failure"], Crashed, "unspecified launch failure");
        let missing = "inferscope: error while loading shared libraries: libcuda.so.1: cannot open shared object file";
        check(Some(127), None, &[missing], ErrorKind::Unsupported, "missing: libcuda.so.1");
        check(None, Some(9), &[], Killed, "ended by the system, most likely because memory ran out");
        check(None, Some(15), &[], Killed, "from outside");
        check(None, Some(4), &[], Crashed, "uses CPU instructions this processor does not have");
        check(None, Some(7), &[], Crashed, "model file changed or the disk failed");
        check(None, Some(11), &["ggml: failed to allocate scratch, retrying"], Crashed, "invalid memory access");
        check(None, Some(6), &[], Crashed, "without saying why");
        check(Some(3), None, &[], Crashed, "exit code 3");
        check(Some(101), None, &[], Crashed, "internal error");
        check(Some(-1_073_741_819), None, &[], Crashed, "invalid memory access");
        check(Some(-1_000_000_000), None, &[], Crashed, "ended unexpectedly");
    }

    #[test]
    fn an_old_warning_is_not_the_cause() {
        let mut lines = vec!["failed to allocate something small, going on".to_owned()];
        lines.extend((0..50).map(|n| format!("line {n}")));
        let error = explain(Ending::Exited { code: None, signal: Some(6) }, &lines);
        assert_eq!(error.kind, ErrorKind::Crashed);
        assert_eq!(error.details.len(), DETAILS);
    }

    #[test]
    fn no_raw_numbers_reach_the_user() {
        for code in [i32::MIN, -1, 256, 100_000, i32::MAX] {
            let error = explain(Ending::Exited { code: Some(code), signal: None }, &[]);
            assert!(!error.to_string().contains(&code.to_string()), "{error}");
        }
    }

    #[test]
    fn only_the_dead_engines_own_partial_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("m-Q4_K_M.gguf");
        let gone = ["m-Q4_K_M.gguf.123.partial", "m-Q4_K_M.gguf.partial-123", "m-Q4_K_M.gguf.partial.123.tmp"];
        let stay =
            ["m-Q4_K_M.gguf", "m-Q4_K_M.gguf.1234.partial", "m-Q4_K_M.gguf.123", "other.gguf.123.partial", "m-Q4_K_M.gguf2.123.partial"];
        for name in gone.iter().chain(&stay) {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_partials(&target, 123);
        for name in gone {
            assert!(!folder.path().join(name).exists(), "{name}");
        }
        for name in stay {
            assert!(folder.path().join(name).exists(), "{name}");
        }
    }
}
