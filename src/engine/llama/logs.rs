//! llama.cpp's log: one callback for the process, lines put together again, and a capture scoped to the job that runs.
//!
//! llama.cpp tells the reason of a failed load, the size of every buffer and the progress of a quantization in log lines and nowhere
//! else. It logs on the thread that called it, so a capture belongs to a thread: two backends on two threads do not see each other's lines.
#![expect(unsafe_code, reason = "installs the log callback of llama.cpp")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use llama_cpp_sys_2 as sys;

use crate::protocol::LogLevel;

/// Where finished lines go.
pub(super) type Sink = Arc<dyn Fn(LogLevel, String) + Send + Sync>;

/// Sees every piece of text as it comes, before its line is complete; the level is that of the line.
type Observer<'a> = dyn FnMut(LogLevel, &str) + 'a;

/// No line is longer; the rest is cut. A hostile file can put megabytes into a metadata value that llama.cpp prints.
const MAX_LINE: usize = 4096;
/// A capture keeps at most this many lines, the latest.
const MAX_LINES: usize = 4000;

#[derive(Default)]
struct Scope {
    sink: Option<Sink>,
    /// Its lifetime is erased; [`observed`] takes it out before the borrow ends
    observer: Option<NonNull<Observer<'static>>>,
    captured: VecDeque<(LogLevel, String)>,
    /// Lines ever captured; the last `captured.len()` of them are still there
    count: usize,
    pending: String,
    pending_level: Option<LogLevel>,
}

impl Scope {
    fn text(&mut self, level: Option<LogLevel>, text: &str) -> Vec<(LogLevel, String)> {
        let mut done = Vec::new();
        if let Some(level) = level
            && self.pending_level.is_some_and(|open| open != level)
        {
            self.finish(&mut done);
        }
        let level = *self.pending_level.get_or_insert(level.unwrap_or(LogLevel::Info));
        if let Some(mut observer) = self.observer {
            // SAFETY: alive while it is here, and only this thread, which is inside `observed`, gets here.
            let observer = unsafe { observer.as_mut() };
            observer(level, text);
        }
        let mut rest = text;
        while let Some((line, tail)) = rest.split_once('\n') {
            self.push(line);
            self.finish(&mut done);
            self.pending_level = Some(level);
            rest = tail;
        }
        self.push(rest);
        if self.pending.is_empty() {
            self.pending_level = None;
        }
        done
    }

    fn push(&mut self, text: &str) {
        let room = MAX_LINE.saturating_sub(self.pending.len());
        self.pending.extend(text.chars().take(room));
    }

    fn finish(&mut self, done: &mut Vec<(LogLevel, String)>) {
        let line = std::mem::take(&mut self.pending);
        let level = self.pending_level.take().unwrap_or(LogLevel::Info);
        let line = line.trim_end();
        // a load writes thousands of debug lines (one for every special token); nothing here is read from them
        if line.trim().is_empty() || level == LogLevel::Debug {
            return;
        }
        if self.captured.len() >= MAX_LINES {
            self.captured.pop_front();
        }
        self.captured.push_back((level, line.to_owned()));
        self.count += 1;
        done.push((level, line.to_owned()));
    }
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// A sink that its backend owns.
type WeakSink = Weak<dyn Fn(LogLevel, String) + Send + Sync>;

/// Sinks of the backends that live; lines from threads without a scope go to all of them.
static SINKS: Mutex<Vec<WeakSink>> = Mutex::new(Vec::new());

/// Installs the callback once for the process and adds a sink.
pub(super) fn install(sink: &Sink) {
    static INSTALL: Once = Once::new();
    let mut sinks = SINKS.lock().unwrap_or_else(PoisonError::into_inner);
    sinks.retain(|weak| weak.strong_count() > 0);
    sinks.push(Arc::downgrade(sink));
    drop(sinks);
    // SAFETY: the callback has the signature llama.cpp asks for, needs no user data and lives as long as the program.
    INSTALL.call_once(|| unsafe { sys::llama_log_set(Some(on_log), std::ptr::null_mut()) });
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    if text.is_null() {
        return;
    }
    // A panic must not cross into C++; a lost line is the lesser evil.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: llama.cpp passes a NUL-terminated string that lives for the call.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        dispatch(level_of(level), &text);
    }));
}

/// `None` for CONT: the text continues the line before.
fn level_of(level: sys::ggml_log_level) -> Option<LogLevel> {
    match level {
        sys::GGML_LOG_LEVEL_CONT => None,
        sys::GGML_LOG_LEVEL_DEBUG => Some(LogLevel::Debug),
        sys::GGML_LOG_LEVEL_WARN => Some(LogLevel::Warn),
        sys::GGML_LOG_LEVEL_ERROR => Some(LogLevel::Error),
        _ => Some(LogLevel::Info),
    }
}

fn dispatch(level: Option<LogLevel>, text: &str) {
    let scoped = SCOPE.with(|scope| {
        // A sink or observer that itself logs through llama.cpp would find the scope borrowed: such a line is dropped, not a panic.
        let mut scope = scope.try_borrow_mut().ok()?;
        let scope = scope.as_mut()?;
        Some((scope.sink.clone(), scope.text(level, text)))
    });
    match scoped {
        Some((Some(sink), lines)) => lines.into_iter().for_each(|(level, line)| sink(level, line)),
        Some((None, _)) => {}
        None => {
            let line = text.trim_end();
            if line.is_empty() {
                return;
            }
            let sinks: Vec<Sink> = SINKS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
            for sink in sinks {
                sink(level.unwrap_or(LogLevel::Info), line.to_owned());
            }
        }
    }
}

/// While it lives, this thread's lines go to one sink and are kept.
pub(super) struct Capture {
    outer: Option<Scope>,
}

impl Capture {
    /// Starts to capture. Captures nest: the inner one takes the lines.
    pub(super) fn start(sink: &Sink) -> Self {
        Self::with(sink, None)
    }

    fn with(sink: &Sink, observer: Option<NonNull<Observer<'static>>>) -> Self {
        let scope = Scope { sink: Some(Arc::clone(sink)), observer, ..Scope::default() };
        Self { outer: SCOPE.with(|cell| cell.replace(Some(scope))) }
    }

    /// The lines so far, oldest first.
    pub(super) fn lines(&self) -> Vec<(LogLevel, String)> {
        self.since(0)
    }

    /// A place in the log, for [`Capture::since`].
    pub(super) fn mark(&self) -> usize {
        SCOPE.with(|cell| cell.borrow().as_ref().map_or(0, |scope| scope.count))
    }

    /// The lines since a mark, oldest first.
    pub(super) fn since(&self, mark: usize) -> Vec<(LogLevel, String)> {
        SCOPE.with(|cell| {
            let scope = cell.borrow();
            let Some(scope) = scope.as_ref() else { return Vec::new() };
            let gone = scope.count - scope.captured.len();
            scope.captured.iter().skip(mark.saturating_sub(gone)).cloned().collect()
        })
    }

    /// The last lines of at least this weight, oldest first.
    pub(super) fn tail(&self, least: LogLevel, n: usize) -> Vec<String> {
        let mut lines: Vec<String> =
            self.lines().into_iter().rev().filter(|(level, _)| *level >= least).map(|(_, line)| line).take(n).collect();
        lines.reverse();
        lines
    }
}

/// Runs `body` under a capture that shows every piece of text to `observer` at once.
pub(super) fn observed<R>(sink: &Sink, observer: &mut Observer<'_>, body: impl FnOnce(&Capture) -> R) -> R {
    // SAFETY: only the lifetime is erased. The capture below is dropped before this function returns, also on a panic, and with it the
    // scope that holds the pointer; `observer` is borrowed mutably for all that time.
    let erased = unsafe { std::mem::transmute::<NonNull<Observer<'_>>, NonNull<Observer<'static>>>(NonNull::from(observer)) };
    let capture = Capture::with(sink, Some(erased));
    body(&capture)
}

impl Drop for Capture {
    fn drop(&mut self) {
        SCOPE.with(|cell| cell.replace(self.outer.take()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[(Option<LogLevel>, &str)]) -> Vec<(LogLevel, String)> {
        let mut scope = Scope::default();
        parts.iter().flat_map(|(level, text)| scope.text(*level, text)).collect()
    }

    #[test]
    fn pieces_are_joined_until_the_line_ends() {
        let got = lines(&[
            (Some(LogLevel::Info), "[   1/ 272] output.weight - "),
            (Some(LogLevel::Info), "converting to q4_K .. "),
            (None, "size = 1.00 MiB\n"),
            (Some(LogLevel::Error), "a\nb\n"),
        ]);
        assert_eq!(
            got,
            [
                (LogLevel::Info, "[   1/ 272] output.weight - converting to q4_K .. size = 1.00 MiB".to_owned()),
                (LogLevel::Error, "a".to_owned()),
                (LogLevel::Error, "b".to_owned()),
            ]
        );
    }

    #[test]
    fn a_new_level_ends_an_open_line_and_a_leading_continuation_is_harmless() {
        let got = lines(&[(None, "..."), (Some(LogLevel::Error), "failed\n")]);
        assert_eq!(got, [(LogLevel::Info, "...".to_owned()), (LogLevel::Error, "failed".to_owned())]);
    }

    #[test]
    fn a_mark_holds_when_old_lines_are_gone() {
        let sink: Sink = Arc::new(|_, _| {});
        let capture = Capture::start(&sink);
        for i in 0..MAX_LINES - 1 {
            dispatch(Some(LogLevel::Info), &format!("{i}\n"));
            dispatch(Some(LogLevel::Debug), "noise\n");
        }
        let mark = capture.mark();
        for text in ["a\n", "b\n", "c\n"] {
            dispatch(Some(LogLevel::Warn), text);
        }
        let texts: Vec<String> = capture.since(mark).into_iter().map(|(_, line)| line).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(capture.lines().len(), MAX_LINES);
        assert_eq!(capture.tail(LogLevel::Warn, 2), ["b", "c"]);
    }

    #[test]
    fn a_line_has_a_limit() {
        let long = "x".repeat(3 * MAX_LINE);
        let got = lines(&[(Some(LogLevel::Info), &long), (None, "\n")]);
        assert_eq!(got[0].1.len(), MAX_LINE);
    }
}
