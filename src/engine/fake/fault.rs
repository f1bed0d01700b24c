//! Things that go wrong on purpose.

use std::io::Write as _;
use std::time::Duration;

use super::script::{Fault, wait};
use crate::engine::backend::Job;
use crate::protocol::{EngineError, wire};

/// Writes bytes where frames go.
pub type RawWriter = Box<dyn Fn(&[u8]) + Send>;

/// How far a fault may go.
pub enum Harm {
    /// The engine has a process of its own: everything is played, and bytes can be written where frames go
    Process(RawWriter),
    /// The engine shares its process: what would end the process becomes a panic
    Thread,
}

impl Harm {
    /// Plays a fault; returns if it is one that lets the engine go on.
    ///
    /// # Errors
    /// The error of [`Fault::Fail`]; `Cancelled` when a pause is.
    pub fn play(&self, fault: &Fault, job: Option<&Job>) -> Result<(), EngineError> {
        match fault {
            Fault::Fail(error) => return Err(error.clone()),
            Fault::Pause(seconds) => {
                wait(*seconds, || job.is_some_and(Job::is_cancelled));
                return job.map_or(Ok(()), Job::check);
            }
            Fault::Hang => hang(),
            // Unwinding without the hook: the supervisor reports it, and a test's output stays clean.
            Fault::Panic(text) => std::panic::resume_unwind(Box::new(text.clone())),
            Fault::StderrFlood(bytes) => flood(*bytes),
            Fault::Print(text) => {
                let mut out = std::io::stdout();
                drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
            }
            fatal => match self {
                Self::Process(raw) => end(fatal, raw),
                Self::Thread => std::panic::resume_unwind(Box::new(format!("scripted end of the process: {fatal:?}"))),
            },
        }
        Ok(())
    }
}

fn end(fault: &Fault, raw: &(dyn Fn(&[u8]) + Send)) {
    match fault {
        Fault::Abort(text) => {
            drop(writeln!(std::io::stderr(), "{text}"));
            std::process::abort()
        }
        Fault::Signal(number) => signal(*number),
        Fault::Exit(code) => std::process::exit(*code),
        Fault::Garbage(bytes) => raw(bytes.as_bytes()),
        Fault::PartialFrame => {
            raw(br#"{"event":"tokens","job":1,"te"#);
            std::process::exit(0)
        }
        Fault::Oversized(bytes) => {
            raw(b"{\"event\":\"log\",\"line\":\"");
            let chunk = [b'x'; 1 << 16];
            for _ in 0..bytes.div_ceil(1 << 16) {
                raw(&chunk);
            }
            hang()
        }
        _ => {}
    }
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn flood(bytes: u64) {
    let line = format!("{}\n", "flood ".repeat(20));
    let chunk = line.repeat(512);
    let mut errors = std::io::stderr().lock();
    for _ in 0..bytes.div_ceil(chunk.len() as u64) {
        if errors.write_all(chunk.as_bytes()).is_err() {
            return;
        }
    }
}

/// Once is not enough: Rust's own handler for stack overflows swallows the first SIGSEGV or SIGBUS that is sent and not caused.
#[cfg(unix)]
fn signal(number: i32) {
    use rustix::process::{Signal, getpid, kill_process};
    let Some(signal) = Signal::from_named_raw(number) else { return };
    for _ in 0..100 {
        let _ = kill_process(getpid(), signal);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(not(unix))]
fn signal(_number: i32) {
    std::process::abort()
}

/// A frame no reader accepts, for [`Fault::Oversized`].
pub const TOO_LARGE: u64 = wire::MAX_FRAME as u64 + 1024;
