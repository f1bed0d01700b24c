//! Finding text in titles and messages, in slices, so that a large history never holds up what streams in.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::db::Store;
use super::types::ChatId;

/// Rows looked at between two looks at the clock.
const ROWS: i64 = 64;

/// A search under way.
#[derive(Debug)]
pub struct Search {
    /// As typed
    text: String,
    needle: Needle,
    found: HashSet<ChatId>,
    /// Messages up to this id were looked at
    after: i64,
}

/// What is looked for, folded to lower case.
#[derive(Debug)]
struct Needle {
    folded: String,
    ascii: bool,
}

impl Needle {
    fn new(text: &str) -> Self {
        let folded = text.trim().to_lowercase();
        Self { ascii: folded.is_ascii(), folded }
    }

    /// Whether the text contains it, without regard to case.
    fn is_in(&self, text: &str) -> bool {
        if text.is_ascii() {
            // Cheaper than Unicode's rules, and the same result
            self.ascii && text.to_ascii_lowercase().contains(&self.folded)
        } else {
            text.to_lowercase().contains(&self.folded)
        }
    }
}

impl Search {
    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Store {
    /// Chats whose title or any message contains the text, without regard to case, in the order of [`Store::chats`]. An empty text finds
    /// every chat.
    pub fn search(&mut self, text: &str) -> Vec<ChatId> {
        let mut search = self.search_begin(text);
        while !self.search_step(&mut search, Duration::from_secs(1)) {}
        self.search_result(&search)
    }

    /// Begins a search that is carried on in slices.
    pub fn search_begin(&mut self, text: &str) -> Search {
        let needle = Needle::new(text);
        let mut found: HashSet<ChatId> = self.chats().into_iter().filter(|chat| needle.is_in(&chat.title)).map(|chat| chat.id).collect();
        found.extend(self.pending.hits(|text| needle.is_in(text)));
        Search { text: text.to_owned(), needle, found, after: i64::MIN }
    }

    /// Looks on for about the given time; `true` when everything was looked at.
    pub fn search_step(&mut self, search: &mut Search, budget: Duration) -> bool {
        if search.needle.folded.is_empty() {
            return true;
        }
        let end = Instant::now() + budget;
        loop {
            let (found, last) = self.read(|conn| slice(conn, search));
            search.found.extend(found);
            let Some(last) = last else { return true };
            search.after = last;
            if Instant::now() >= end {
                return false;
            }
        }
    }

    /// The chats found so far.
    pub fn search_result(&mut self, search: &Search) -> Vec<ChatId> {
        self.chats().iter().map(|chat| chat.id).filter(|id| search.found.contains(id)).collect()
    }
}

/// Looks at the next rows. Returns the chats found and the last id looked at; `None` at the end.
fn slice(conn: &Connection, search: &Search) -> rusqlite::Result<(Vec<ChatId>, Option<i64>)> {
    let mut statement = conn.prepare_cached("SELECT id, chat, text FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query(rusqlite::params![search.after, ROWS])?;
    let (mut found, mut last) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        last = Some(row.get(0)?);
        let chat = ChatId(row.get(1)?);
        // The text is only fetched where it can matter
        if !search.found.contains(&chat) && row.get_ref(2)?.as_str().is_ok_and(|text| search.needle.is_in(text)) {
            found.push(chat);
        }
    }
    Ok((found, last))
}
