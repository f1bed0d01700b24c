//! The child process: frames in on what was its standard input, frames out on what was its standard output.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use super::fake::{FakeBackend, Harm, Script};
use super::inbox::{Inbox, Verdict};
use super::report::Reporter;
use super::{death, factory, worker};
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId, wire};

/// Exit code after last words: the frame says why.
const DECLARED: u8 = 101;

/// Runs an engine until its standard input ends. `args` are what follows `engine` on the command line: nothing, or `--fake SCRIPT.json`.
pub fn run<I>(args: I) -> ExitCode
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    if io::stdin().is_terminal() {
        drop(writeln!(io::stderr(), "inferscope engine: started by the window, which speaks to it through its standard input"));
        return ExitCode::from(2);
    }
    let prepared = parse(args.into_iter().map(Into::into)).and_then(|script| Ok((script, Channel::open()?)));
    let (script, channel) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            drop(writeln!(io::stderr(), "inferscope engine: {error}"));
            return ExitCode::from(2);
        }
    };
    settle_in();
    let Channel { input, output } = channel;
    let output = Arc::new(Mutex::new(Frames { file: output, gap: None }));
    let frames = Arc::clone(&output);
    let inbox = Arc::new(Inbox::default());
    let ears = Arc::clone(&inbox);
    let reporter = Arc::new(Reporter::new(move |event| {
        if write_frame(&frames, &event).is_err() {
            // Nobody listens any more, so there is nothing left to compute for.
            leave(&ears);
        }
    }));
    let (queue, answers) = (Arc::clone(&inbox), Arc::clone(&reporter));
    let reader = std::thread::Builder::new().name("engine-commands".into()).spawn(move || listen(input, &queue, &answers));
    let result = match reader {
        Ok(_) => compute(script, &output, &inbox, &reporter),
        Err(error) => Err(EngineError::new(ErrorKind::Engine, format!("The system gave no thread for the engine: {error}"))
            .hint("Close other programs and try again")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(write_frame(&output, &Event::Died { jobs: Vec::new(), error }));
            // Not by returning: what the backend left behind may be in no state to be cleaned up.
            std::process::exit(DECLARED.into())
        }
    }
}

fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Script>, EngineError> {
    let Some(option) = args.next() else { return Ok(None) };
    if option != "--fake" {
        return Err(EngineError::new(ErrorKind::InvalidRequest, format!("Unknown option {}", option.display())));
    }
    let path = args.next().map(PathBuf::from).ok_or_else(|| EngineError::new(ErrorKind::InvalidRequest, "--fake needs a script"))?;
    Script::read(&path).map(Some)
}

fn compute(script: Option<Script>, output: &Arc<Mutex<Frames>>, inbox: &Inbox, reporter: &Arc<Reporter>) -> Result<(), EngineError> {
    if let Some(script) = script {
        let version = script.version.unwrap_or(wire::VERSION);
        let raw = Arc::clone(output);
        let write = move |bytes: &[u8]| {
            let mut output = raw.lock().unwrap_or_else(PoisonError::into_inner);
            drop(output.file.write_all(bytes).and_then(|()| output.file.flush()));
        };
        let mut backend = FakeBackend::new(script, Harm::Process(Box::new(write)));
        backend.start();
        return worker::run(&mut backend, version, inbox, reporter);
    }
    let log = Arc::clone(reporter);
    let mut backend = factory::backend(Box::new(move |level, line| log.say(Event::Log { level, line })))?;
    worker::run(&mut *backend, wire::VERSION, inbox, reporter)
}

/// Reads commands until the other side goes away, which is the order to end.
fn listen(input: File, inbox: &Inbox, reporter: &Reporter) {
    let mut input = BufReader::with_capacity(64 << 10, input);
    loop {
        match wire::read::<Command>(&mut input) {
            Ok(Some(command)) => match inbox.accept(command) {
                Verdict::Taken => {}
                Verdict::Answer(event) => reporter.say(event),
                Verdict::Quit => leave(inbox),
            },
            Ok(None) => leave(inbox),
            Err(error) => {
                drop(writeln!(io::stderr(), "inferscope engine: {error}"));
                leave(inbox);
            }
        }
    }
}

/// Ends the process at once, whatever the worker does.
fn leave(inbox: &Inbox) -> ! {
    if let Some(target) = inbox.quantize_target() {
        death::remove_partials(&target, std::process::id());
    }
    if inbox.is_busy() {
        // Exit handlers would tear libraries down under the feet of the threads that compute, which can crash or hang.
        #[cfg(unix)]
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    std::process::exit(0)
}

/// Where frames go.
struct Frames {
    file: File,
    /// A job that an event of was too long to pass, and why: it fails when it ends, because what it said is not whole
    gap: Option<(JobId, EngineError)>,
}

/// Writes an event. One that is too long to pass makes its job fail with a sentence: an engine must not die of an answer.
fn write_frame(output: &Mutex<Frames>, event: &Event) -> io::Result<()> {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    let gap = event.ends().and_then(|job| output.gap.take_if(|(gap, _)| *gap == job));
    let whole = match gap {
        Some((_, error)) => Err(error),
        None => wire::encode(event),
    };
    let frame = match (whole, event.ends()) {
        (Ok(frame), _) => Ok(frame),
        (Err(error), Some(job)) => wire::encode(&Event::Failed { job, error }),
        (Err(error), None) => {
            output.gap = event.job().map(|job| (job, error)).or(output.gap.take());
            return Ok(());
        }
    };
    let frame = frame.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    output.file.write_all(&frame)?;
    output.file.flush()
}

/// Where frames come from and go to: descriptors that nothing else in this process knows.
struct Channel {
    input: File,
    output: File,
}

impl Channel {
    /// Moves the protocol off descriptors 0 and 1: from here on, what a library prints goes to standard error, and what it reads is empty.
    #[cfg(unix)]
    fn open() -> Result<Self, EngineError> {
        use std::os::fd::AsFd as _;
        let take = |fd: std::os::fd::BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).map(File::from).map_err(io::Error::from);
        let open = || -> io::Result<Self> {
            let (input, output) = (take(io::stdin().as_fd())?, take(io::stdout().as_fd())?);
            rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
            rustix::stdio::dup2_stdout(io::stderr())?;
            Ok(Self { input, output })
        };
        open().map_err(|error| EngineError::new(ErrorKind::Engine, format!("The protocol's descriptors could not be moved: {error}")))
    }

    /// Elsewhere the handles are only duplicated: what a library prints would reach the other side as garbage and end this engine.
    #[cfg(windows)]
    fn open() -> Result<Self, EngineError> {
        use std::os::windows::io::AsHandle as _;
        let open = || -> io::Result<Self> {
            let input = File::from(io::stdin().as_handle().try_clone_to_owned()?);
            let output = File::from(io::stdout().as_handle().try_clone_to_owned()?);
            Ok(Self { input, output })
        };
        open().map_err(|error| EngineError::new(ErrorKind::Engine, format!("The protocol's handles could not be kept: {error}")))
    }
}

/// Makes this process one that never outlives or endangers the one that started it. Each step helps but none is needed.
fn settle_in() {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        drop(std::fs::write("/proc/self/comm", "inferscope-eng"));
        // When memory runs out, the system is to take the engine and not the window with the user's work.
        drop(std::fs::write("/proc/self/oom_score_adj", "500"));
    }
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // Dumping gigabytes of weights would delay the news of a crash by many seconds.
        let limit = getrlimit(Resource::Core);
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{LogLevel, Rendered, TokenBatch};

    #[test]
    fn an_answer_that_is_too_long_fails_its_job_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames");
        let output = Mutex::new(Frames { file: File::create(&path).unwrap(), gap: None });
        let long = |n: usize| "x".repeat(wire::MAX_FRAME + n);
        let batch = TokenBatch { text: long(1), ..TokenBatch::default() };
        let rendered = Rendered { text: long(2), ..Rendered::default() };
        for event in [
            Event::Tokens { job: JobId(1), batch },
            Event::Done { job: JobId(2) },
            Event::Done { job: JobId(1) },
            Event::Rendered { job: JobId(3), rendered },
            Event::Log { level: LogLevel::Info, line: long(3) },
            Event::Done { job: JobId(4) },
        ] {
            write_frame(&output, &event).unwrap();
        }
        let mut frames = BufReader::new(File::open(&path).unwrap());
        let said: Vec<Event> = std::iter::from_fn(|| wire::read(&mut frames).unwrap()).collect();
        let failed = |at: usize, job: u64| matches!(&said[at], Event::Failed { job: j, error } if j.0 == job && !error.hint.is_empty());
        assert_eq!(said.len(), 4, "{said:?}");
        assert!(said[0] == Event::Done { job: JobId(2) } && failed(1, 1) && failed(2, 3) && said[3] == Event::Done { job: JobId(4) });
    }

    #[test]
    fn only_known_arguments_pass() {
        let parse = |args: &[&str]| parse(args.iter().map(OsString::from));
        assert_eq!(parse(&[]).unwrap(), None);
        assert!(parse(&["--fake"]).is_err());
        assert!(parse(&["--fake", "/nowhere/script.json"]).is_err());
        assert!(parse(&["--help"]).is_err());
    }
}
