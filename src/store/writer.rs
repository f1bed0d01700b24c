//! The thread that owns the database. Everything that touches the disk happens here, in the order it was asked for.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::db::Store;
use super::inbox::{self, Ending, Inbox, Item, Recorder};
use super::notice::{Notice, NoticeKind, StoreError, StoreErrorKind};
use super::probs::encode_start;
use super::requests::{Reply, Request};
use super::search::Search;
use super::settings::Settings;
use super::settings_file::SettingsFile;
use super::types::{ChatMode, MessageId, MessageState, Op};
use crate::protocol::JobId;

mod runs;

/// Text that streams in is written when its first character is this old. With the time of one write, less than 200 ms are ever unsaved.
const TEXT_AGE: Duration = Duration::from_millis(140);

/// Settings are written this long after the first of a series of changes.
const SETTINGS_AGE: Duration = Duration::from_millis(500);

/// One slice of a search, so that text streaming in meanwhile is not late.
const SEARCH_SLICE: Duration = Duration::from_millis(20);

/// The first and the longest pause before a failed write is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How long the end of the program waits for the last write.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's thread, and the way to ask it. Dropping it writes everything that waits.
#[derive(Debug)]
pub struct Writer {
    inbox: Inbox,
    done: Receiver<()>,
}

impl Writer {
    /// Starts the thread. `on_reply` is called on it: it should hand the reply on and return.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn spawn(store: Store, on_reply: impl Fn(Reply) + Send + 'static) -> io::Result<Self> {
        Self::start(store, None, on_reply)
    }

    /// As [`Writer::spawn`], and it also writes settings.
    ///
    /// # Errors
    /// As [`Writer::spawn`].
    pub fn spawn_with_settings(store: Store, settings: SettingsFile, on_reply: impl Fn(Reply) + Send + 'static) -> io::Result<Self> {
        Self::start(store, Some(settings), on_reply)
    }

    fn start(store: Store, settings: Option<SettingsFile>, on_reply: impl Fn(Reply) + Send + 'static) -> io::Result<Self> {
        let (inbox, woken) = Inbox::new();
        let (alive, done) = bounded(0);
        let worker = Worker {
            store,
            settings_file: settings,
            inbox: inbox.clone(),
            woken,
            on_reply,
            jobs: HashMap::new(),
            text: Vec::new(),
            probs: Vec::new(),
            starts: HashMap::new(),
            text_since: None,
            group: Vec::new(),
            waiting: Vec::new(),
            keeping: VecDeque::new(),
            watch: runs::Watch::default(),
            failing: false,
            retry_at: None,
            pause: RETRY.0,
            search: None,
            settings: None,
            settings_failed: false,
        };
        thread::Builder::new().name("store".into()).spawn(move || {
            worker.run();
            // Dropped only now, after the store with its lock
            drop(alive);
        })?;
        Ok(Self { inbox, done })
    }

    /// Asks for something; never waits.
    pub fn send(&self, request: Request) {
        self.inbox.push(match request {
            Request::Apply { seq, ops } => Item::Apply { seqs: vec![seq], ops },
            other => Item::Request(other),
        });
    }

    /// The way for engine events to reach the database.
    pub fn recorder(&self) -> Recorder {
        Recorder { inbox: self.inbox.clone() }
    }

    /// Writes everything that waits and ends the thread; gives up on a disk that does not answer for five seconds.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inbox.push(Item::Close);
        // Nothing is ever sent: this ends when the other side is dropped
        if self.done.recv_timeout(CLOSE_TIMEOUT) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            log::error!("the disk does not answer; the last changes may be lost");
        }
    }
}

/// Changes that belong together, and the numbers under which they are acknowledged (none for recorded text).
struct Batch {
    seqs: Vec<u64>,
    ops: Vec<Op>,
    /// The number of a run that is to be kept: answered with its head when it is, so it is not among `seqs`
    keeping: Option<u64>,
}

impl Batch {
    fn new(seqs: Vec<u64>, ops: Vec<Op>) -> Self {
        Self { seqs, ops, keeping: None }
    }

    fn all_seqs(&self) -> impl Iterator<Item = u64> + '_ {
        self.seqs.iter().copied().chain(self.keeping)
    }
}

struct Worker<F> {
    store: Store,
    settings_file: Option<SettingsFile>,
    inbox: Inbox,
    woken: Receiver<()>,
    on_reply: F,
    /// Which message a running job writes
    jobs: HashMap<JobId, MessageId>,
    /// Text not in `group` yet, and since when
    text: Vec<(MessageId, String)>,
    text_since: Option<Instant>,
    /// Token probabilities not in `group` yet
    probs: Vec<(MessageId, Vec<u8>)>,
    /// Where the text of a job begins in its message, until something is known of its first token
    starts: HashMap<JobId, usize>,
    /// What the next commit writes, in order
    group: Vec<Batch>,
    /// Reported as unsaved, to be reported when saved
    waiting: Vec<u64>,
    /// Runs that are not on the disk yet, in order
    keeping: VecDeque<u64>,
    watch: runs::Watch,
    failing: bool,
    retry_at: Option<Instant>,
    pause: Duration,
    search: Option<Search>,
    /// To be written, and when
    settings: Option<(Box<Settings>, Instant)>,
    settings_failed: bool,
}

impl<F: Fn(Reply)> Worker<F> {
    fn run(mut self) {
        loop {
            let mut closing = false;
            for item in self.inbox.take() {
                closing |= matches!(item, Item::Close);
                self.take(item);
            }
            let now = Instant::now();
            if closing || !self.group.is_empty() || self.text_since.is_some_and(|since| now >= since + TEXT_AGE) {
                self.commit();
            }
            if self.retry_at.is_some_and(|at| now >= at) {
                let result = self.store.retry();
                self.settle(result.map(|()| Vec::new()), &[]);
            }
            if self.settings.as_ref().is_some_and(|(_, at)| closing || now >= *at) {
                self.save_settings(closing);
            }
            self.search_on();
            self.look_outside();
            for notice in self.store.take_notices() {
                (self.on_reply)(Reply::Notice(notice));
            }
            if closing {
                return;
            }
            inbox::wait(&self.woken, self.pause_until_due());
        }
    }

    /// How long nothing is due; `None` = until something is asked.
    fn pause_until_due(&self) -> Option<Duration> {
        if self.search.is_some() {
            return Some(Duration::ZERO);
        }
        let due =
            [self.text_since.map(|since| since + TEXT_AGE), self.retry_at, self.settings.as_ref().map(|(_, at)| *at), self.watch.due()];
        due.into_iter().flatten().min().map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Apply { seqs, mut ops } => {
                self.stage_text();
                self.reconcile(&mut ops);
                let designs = ops.iter().any(|op| matches!(op, Op::PutDesign(_) | Op::DeleteDesign(_) | Op::RestoreDesign(_)));
                self.group.push(Batch::new(seqs, ops));
                if designs {
                    self.list_designs();
                }
            }
            Item::Text { job, text, probs, since } => {
                let Some(message) = self.jobs.get(&job).copied() else { return };
                match self.text.last_mut() {
                    Some((last, all)) if *last == message => all.push_str(&text),
                    _ if text.is_empty() => {}
                    _ => self.text.push((message, text)),
                }
                self.take_probs(job, message, probs);
                self.text_since.get_or_insert(since);
            }
            Item::End { job, how } => {
                self.starts.remove(&job);
                if let Some(message) = self.jobs.remove(&job) {
                    self.finish(message, how);
                }
            }
            Item::Request(Request::Open(chat)) => {
                self.commit();
                let messages = self.store.messages(chat);
                (self.on_reply)(Reply::Messages(chat, messages));
            }
            Item::Request(Request::Search { text }) => {
                self.commit();
                self.search = Some(self.store.search_begin(&text));
            }
            Item::Request(Request::BeginReply { job, message, from }) => {
                self.jobs.insert(job, message);
                self.starts.insert(job, from);
            }
            Item::Request(Request::ReadProbs { message, after }) => {
                self.commit();
                let (after, last, data) = self.store.probs(message, after);
                (self.on_reply)(Reply::Probs { message, after, last, data });
            }
            Item::Request(Request::KeepRun { seq, run }) => self.stage_run(seq, run),
            Item::Request(Request::Runs) => self.list_runs(),
            Item::Request(Request::ReadRuns { seq, ids }) => self.read_runs(seq, &ids),
            Item::Request(Request::ReadTokens(ids)) => self.read_tokens(&ids),
            Item::Request(Request::Designs) => self.list_designs(),
            Item::Request(Request::SaveSettings(settings)) => {
                let due = self.settings.take().map_or_else(|| Instant::now() + SETTINGS_AGE, |(_, at)| at);
                self.settings = Some((settings, due));
            }
            // `Apply` has its own item, and `Close` is seen by the loop
            Item::Request(Request::Apply { .. }) | Item::Close => {}
        }
    }

    fn take_probs(&mut self, job: JobId, message: MessageId, probs: Vec<u8>) {
        if probs.is_empty() {
            return;
        }
        let mut piece = Vec::new();
        if let Some(start) = self.starts.remove(&job) {
            encode_start(start, &mut piece);
        }
        piece.extend(probs);
        match self.probs.last_mut() {
            Some((last, all)) if *last == message => all.extend(piece),
            _ => self.probs.push((message, piece)),
        }
    }

    /// A message that is being recorded belongs to the recorder until it ends: a change to it that still says "streaming" keeps the
    /// recorded text, one that says anything else ends the recording.
    fn reconcile(&mut self, ops: &mut [Op]) {
        for op in ops {
            let Op::PutMessage(message) = op else { continue };
            if !self.jobs.values().any(|recorded| *recorded == message.id) {
                continue;
            }
            if message.state == MessageState::Streaming {
                self.commit();
                if let Some(recorded) = self.store.message(message.id) {
                    message.text = recorded.text;
                }
            } else {
                self.jobs.retain(|_, recorded| *recorded != message.id);
            }
        }
    }

    /// The last text of a reply, with how it ended. A notebook takes it up.
    fn finish(&mut self, message: MessageId, how: Ending) {
        self.commit();
        let Some(mut message) = self.store.message(message) else { return };
        match how {
            Ending::Generated(stats) => {
                message.state = MessageState::Whole;
                message.stats = Some(*stats);
            }
            Ending::Failed(error) => message.state = MessageState::Failed(error),
        }
        let chat = self.store.chat(message.chat).filter(|chat| chat.mode == ChatMode::Notebook);
        // The window says the same once it has looked; it may be hidden, and be ended, before it does
        let taken_up = chat.map(|chat| Op::SetDraft(chat.id, chat.draft + message.last_part()));
        let ops = [Op::PutMessage(message)].into_iter().chain(taken_up).collect();
        self.group.push(Batch::new(Vec::new(), ops));
    }

    /// Puts the text that waits in line with the other changes.
    fn stage_text(&mut self) {
        self.text_since = None;
        if !self.text.is_empty() || !self.probs.is_empty() {
            let text = self.text.drain(..).map(|(message, text)| Op::AppendText(message, text));
            let probs = self.probs.drain(..).map(|(message, data)| Op::AppendProbs(message, data));
            let ops = text.chain(probs).collect();
            self.group.push(Batch::new(Vec::new(), ops));
        }
    }

    /// Writes everything that waits with one fsync, and says so.
    fn commit(&mut self) {
        self.stage_text();
        if self.group.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        let batches: Vec<&[Op]> = group.iter().map(|batch| batch.ops.as_slice()).collect();
        let result = self.store.commit(&batches);
        self.settle(result, &group);
    }

    /// Tells what became of a write.
    fn settle(&mut self, result: Result<Vec<Option<StoreError>>, StoreError>, group: &[Batch]) {
        self.tell_kept();
        let say = &self.on_reply;
        match result {
            Ok(refusals) => {
                for seq in self.waiting.drain(..) {
                    say(Reply::Saved { seq });
                }
                let mut refusals = refusals.into_iter();
                for batch in group {
                    match refusals.next().flatten() {
                        None => batch.seqs.iter().for_each(|seq| say(Reply::Saved { seq: *seq })),
                        Some(error) => batch.all_seqs().for_each(|seq| say(Reply::Unsaved { seq, error: error.clone() })),
                    }
                }
                if std::mem::take(&mut self.failing) {
                    say(Reply::Health(None));
                }
                (self.retry_at, self.pause) = (None, RETRY.0);
            }
            Err(error) => {
                for batch in group {
                    batch.all_seqs().for_each(|seq| say(Reply::Unsaved { seq, error: error.clone() }));
                    self.waiting.extend(&batch.seqs);
                }
                if !std::mem::replace(&mut self.failing, true) {
                    say(Reply::Health(Some(error)));
                }
                if self.store.blocked().is_some() {
                    // It stays so until the next start: nothing to wait for
                    self.waiting.clear();
                    self.retry_at = None;
                } else {
                    self.retry_at = Some(Instant::now() + self.pause);
                    self.pause = (self.pause * 2).min(RETRY.1);
                }
            }
        }
    }

    fn search_on(&mut self) {
        if let Some(mut search) = self.search.take() {
            if self.store.search_step(&mut search, SEARCH_SLICE) {
                let chats = self.store.search_result(&search);
                (self.on_reply)(Reply::Found { text: search.text().to_owned(), chats });
            } else {
                self.search = Some(search);
            }
        }
    }

    fn save_settings(&mut self, closing: bool) {
        let Some((settings, _)) = self.settings.take() else { return };
        if self.store.blocked().is_some_and(|why| why.kind == StoreErrorKind::AlreadyOpen) {
            // The other window's settings are the ones that count
            return;
        }
        let Some(file) = &mut self.settings_file else { return };
        match file.save(&settings) {
            Ok(notices) => {
                self.settings_failed = false;
                for notice in notices {
                    (self.on_reply)(Reply::Notice(notice));
                }
            }
            Err(error) => {
                if !closing && error.is_transient() {
                    self.settings = Some((settings, Instant::now() + RETRY.1));
                }
                if !std::mem::replace(&mut self.settings_failed, true) {
                    let path = error.path.unwrap_or_default();
                    (self.on_reply)(Reply::Notice(Notice::new(NoticeKind::NotSaving, error.message, error.hint, path)));
                }
            }
        }
    }
}
