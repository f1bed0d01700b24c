//! From token bytes to the text of a reply: whole characters only, and nothing of a stop text.

/// What a reply's text did with the latest bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Goes on
    More,
    /// A stop text appeared; what came before it has been released
    Stopped(String),
}

/// Collects bytes, releases text.
pub(super) struct Reply {
    stops: Vec<String>,
    bytes: Vec<u8>,
    held: String,
    ready: String,
    released: usize,
}

impl Reply {
    /// A reply that ends at any of `stops` (empty ones do not count).
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, bytes: Vec::new(), held: String::new(), ready: String::new(), released: 0 }
    }

    /// Takes the bytes of a token.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Outcome {
        self.bytes.extend_from_slice(bytes);
        take_text(&mut self.bytes, &mut self.held);
        let first = self
            .stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)))
            .min_by_key(|(at, stop)| (*at, stop.len()));
        if let Some((at, stop)) = first {
            let stop = stop.clone();
            self.held.truncate(at);
            self.bytes.clear();
            self.ready.push_str(&std::mem::take(&mut self.held));
            return Outcome::Stopped(stop);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let tail = self.held.split_off(self.held.len() - keep);
        self.ready.push_str(&std::mem::replace(&mut self.held, tail));
        Outcome::More
    }

    /// What may be shown now.
    pub(super) fn take(&mut self) -> String {
        self.released += self.ready.len();
        std::mem::take(&mut self.ready)
    }

    /// How long the text is so far, what is held back included, bytes.
    pub(super) fn len(&self) -> usize {
        self.released + self.ready.len() + self.held.len()
    }

    /// The reply is over: what was held back because a stop text might have begun is text after all. Bytes of an unfinished character are
    /// none.
    pub(super) fn finish(&mut self) {
        self.ready.push_str(&std::mem::take(&mut self.held));
        self.bytes.clear();
    }
}

/// Moves all whole characters from `bytes` to `text`; bytes that can never become one turn into U+FFFD.
fn take_text(bytes: &mut Vec<u8>, text: &mut String) {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(all) => {
                text.push_str(all);
                bytes.clear();
                return;
            }
            Err(error) => {
                let good = error.valid_up_to();
                text.push_str(&String::from_utf8_lossy(bytes.get(..good).unwrap_or_default()));
                let Some(bad) = error.error_len() else {
                    bytes.drain(..good);
                    return;
                };
                text.push('\u{FFFD}');
                bytes.drain(..good + bad);
            }
        }
    }
}

/// Length of the longest end of `text` that is a beginning of `stop`, bytes.
fn overlap(text: &str, stop: &str) -> usize {
    let most = stop.len().min(text.len());
    (1..=most)
        .rev()
        .filter(|&n| stop.is_char_boundary(n) && text.is_char_boundary(text.len() - n))
        .find(|&n| text.as_bytes().ends_with(stop.as_bytes().get(..n).unwrap_or_default()))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stay_whole() {
        let mut reply = Reply::new(&[]);
        let bytes = "a€".as_bytes();
        let mut seen = Vec::new();
        for byte in bytes {
            reply.push(&[*byte]);
            seen.push(reply.take());
        }
        assert_eq!(seen, ["a", "", "", "€"]);
        assert_eq!(reply.len(), 4);
    }

    #[test]
    fn impossible_bytes_become_a_mark_and_unfinished_ones_nothing() {
        let mut reply = Reply::new(&[]);
        reply.push(b"a\xffb\xe2\x82");
        assert_eq!(reply.take(), "a\u{FFFD}b");
        reply.finish();
        assert_eq!(reply.take(), "");
    }

    #[test]
    fn a_stop_text_is_found_across_tokens_and_left_out() {
        let mut reply = Reply::new(&["</s>".into(), "END".into(), String::new()]);
        assert_eq!(reply.push(b"one EN"), Outcome::More);
        assert_eq!(reply.take(), "one ");
        assert_eq!(reply.push(b"GINE E"), Outcome::More);
        assert_eq!(reply.take(), "ENGINE ");
        assert_eq!(reply.push(b"ND more"), Outcome::Stopped("END".into()));
        assert_eq!(reply.take(), "");
    }

    #[test]
    fn held_text_is_released_at_the_end() {
        let mut reply = Reply::new(&["STOP".into()]);
        reply.push(b"we STO");
        assert_eq!((reply.len(), reply.take().as_str()), (6, "we "));
        reply.finish();
        assert_eq!(reply.take(), "STO");
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_lost_however_it_is_cut(text in "\\PC{0,40}", cuts in proptest::collection::vec(1usize..5, 0..60)) {
            let mut reply = Reply::new(&["never\u{1}".into()]);
            let mut bytes = text.as_bytes();
            let mut got = String::new();
            for n in cuts {
                let (head, tail) = bytes.split_at(n.min(bytes.len()));
                reply.push(head);
                got.push_str(&reply.take());
                bytes = tail;
            }
            reply.push(bytes);
            reply.finish();
            got.push_str(&reply.take());
            proptest::prop_assert_eq!(got, text);
        }

        #[test]
        fn the_first_stop_wins_however_it_is_cut(head in "[ab]{0,20}", tail in "[abc]{0,10}", n in 1usize..4) {
            let text = format!("{head}ac{tail}");
            let mut reply = Reply::new(&["ac".into()]);
            let mut got = String::new();
            let mut stopped = false;
            for part in text.as_bytes().chunks(n) {
                let outcome = reply.push(part);
                got.push_str(&reply.take());
                if outcome != Outcome::More { stopped = true; break; }
            }
            proptest::prop_assert!(stopped);
            proptest::prop_assert_eq!(got.as_str(), text.split("ac").next().unwrap_or_default());
        }
    }
}
