//! What the engine wrote last, kept small whatever it writes: the evidence for an error card.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A line is cut after this many bytes (at a character).
const MAX_LINE: usize = 2048;

/// The last lines, bounded in number and in bytes.
#[derive(Debug)]
pub struct Ring {
    lines: VecDeque<String>,
    bytes: usize,
    max_lines: usize,
    max_bytes: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self::new(200, 64 << 10)
    }
}

impl Ring {
    /// Keeps at most so many lines and so many bytes of text.
    pub fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self { lines: VecDeque::new(), bytes: 0, max_lines, max_bytes }
    }

    /// Adds a line; the oldest make room.
    pub fn push(&mut self, line: impl Into<String>) {
        let mut line = line.into();
        line.truncate(line.floor_char_boundary(MAX_LINE));
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > self.max_lines || self.bytes > self.max_bytes {
            match self.lines.pop_front() {
                Some(old) => self.bytes -= old.len(),
                None => break,
            }
        }
    }

    /// The last `n` lines, oldest first.
    pub fn tail(&self, n: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(n)).cloned().collect()
    }

    /// Bytes of text held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many lines are held.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Cuts a stream of bytes into lines. A line that never ends costs no more memory than a long one.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes and hands every finished line to `line`. Bytes that are not UTF-8 are replaced visibly.
    pub fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let mut piece = pieces.next();
        while let Some(bytes) = piece {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            self.partial.extend(bytes.iter().take(room));
            piece = pieces.next();
            if piece.is_some() {
                self.finish(&mut line);
            }
        }
    }

    /// Hands over what is left when the stream ends.
    pub fn end(&mut self, mut line: impl FnMut(String)) {
        self.finish(&mut line);
    }

    fn finish(&mut self, line: &mut impl FnMut(String)) {
        let text = String::from_utf8_lossy(&self.partial);
        let text = text.trim_end();
        // A progress display rewrites its line with carriage returns: what counts is what it ended as.
        let text = text.rsplit('\r').next().unwrap_or_default();
        if !text.is_empty() {
            line(text.to_owned());
        }
        self.partial.clear();
    }
}

/// Lets a burst through, then so many a second: a flood of log lines must not drown the events that matter.
#[derive(Debug)]
pub struct Limiter {
    burst: f64,
    per_second: f64,
    tokens: f64,
    last: Instant,
    dropped: u64,
}

impl Limiter {
    /// A bucket of `burst`, refilled `per_second`.
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self { burst: burst.into(), per_second: per_second.into(), tokens: burst.into(), last: Instant::now(), dropped: 0 }
    }

    /// Whether the next one may pass. `Some(n)`: yes, and `n` before it were held back.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.last);
        self.last = now;
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.per_second).min(self.burst);
        if self.tokens < 1.0 {
            self.dropped += 1;
            return None;
        }
        self.tokens -= 1.0;
        Some(std::mem::take(&mut self.dropped))
    }

    /// The longest a full bucket takes to refill.
    pub fn refill(&self) -> Duration {
        Duration::from_secs_f64(self.burst / self.per_second.max(f64::MIN_POSITIVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_the_oldest_by_lines_and_by_bytes() {
        let mut ring = Ring::new(3, 100);
        for n in 0..5 {
            ring.push(format!("line {n}"));
        }
        assert_eq!(ring.tail(10), ["line 2", "line 3", "line 4"]);
        assert_eq!(ring.tail(1), ["line 4"]);
        ring.push("x".repeat(90));
        assert_eq!(ring.len(), 2, "bytes are limited too");
        assert!(ring.bytes() <= 100);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut ring = Ring::default();
        ring.push("ä".repeat(5000));
        assert!(ring.bytes() <= MAX_LINE);
        assert!(ring.tail(1)[0].chars().all(|c| c == 'ä'));
    }

    #[test]
    fn lines_survive_any_split_and_garbage() {
        let text = "one\ntwo zwölf\r\n\n  50 %\r 100 %\nlast".as_bytes();
        for size in 1..text.len() {
            let mut lines = Lines::default();
            let mut seen = Vec::new();
            for chunk in text.chunks(size) {
                lines.feed(chunk, |line| seen.push(line));
            }
            lines.end(|line| seen.push(line));
            assert_eq!(seen, ["one", "two zwölf", " 100 %", "last"], "chunks of {size}");
        }
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.feed(b"\xff\xfe ok\n", |line| seen.push(line));
        assert_eq!(seen, ["\u{fffd}\u{fffd} ok"]);
    }

    #[test]
    fn a_line_without_end_stays_small() {
        let mut lines = Lines::default();
        for _ in 0..1000 {
            lines.feed(&[b'x'; 4096], |_| panic!("no line has ended"));
        }
        let mut seen = Vec::new();
        lines.feed(b"\nnext\n", |line| seen.push(line.len()));
        assert_eq!(seen, [MAX_LINE, 4]);
    }

    #[test]
    fn the_limiter_counts_what_it_held_back() {
        let mut limiter = Limiter::new(2, 10);
        let start = limiter.last;
        assert_eq!(limiter.pass(start), Some(0));
        assert_eq!(limiter.pass(start), Some(0));
        assert_eq!(limiter.pass(start), None);
        assert_eq!(limiter.pass(start), None);
        assert_eq!(limiter.pass(start + Duration::from_millis(150)), Some(2));
        assert_eq!(limiter.refill(), Duration::from_millis(200));
    }
}
