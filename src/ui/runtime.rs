//! Carries out what `app::update` wants done: engines, the store, the disk, dialogs. Nothing here blocks a frame.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::inbox::{Inbound, Inbox};
use super::lanes::Lanes;
use super::looker::{Known, Looker, remove_leftovers};
use super::pacing::Pacing;
use super::pump::{Speaker, spawn_pump};
use super::runs_files::{self, RunChore};
use super::sweeps::{self, SweepChore};
use crate::app::{Action, Answer, Effect, QualityAction, Severity};
use crate::engine::{Engine, Place};
use crate::library::{self, ScanCache};
use crate::protocol::{Command, EngineError, ErrorKind, Event, JobId, QuantizeRequest};
use crate::store::{Reply, Request, SettingsFile, Store, Writer};

/// Work for the thread that reads the disk.
enum Chore {
    Scan(Vec<PathBuf>),
    Write(PathBuf, String),
    Sweep(SweepChore),
    ReadText(PathBuf),
    Runs(RunChore),
}

/// What the window needs to be told while it is not looking: it paints again when asked through here.
#[derive(Clone)]
pub struct Wake {
    ctx: egui::Context,
    pacing: Arc<Pacing>,
}

impl Wake {
    /// A waker of this window.
    pub fn new(ctx: egui::Context, pacing: Arc<Pacing>) -> Self {
        Self { ctx, pacing }
    }

    /// As soon as possible.
    pub(super) fn now(&self) {
        if !self.pacing.is_held() {
            super::app::repaint_once(&self.ctx);
        }
    }

    /// How often text is worth an event: as often as it is painted.
    fn text_every_ms(&self) -> u32 {
        u32::try_from(self.pacing.interval().as_millis()).unwrap_or(u32::MAX)
    }

    /// With the next frame that is due while something streams.
    pub(super) fn soon(&self) {
        if !self.pacing.is_held() {
            self.ctx.request_repaint_after(self.pacing.interval());
        }
    }
}

/// Everything outside the UI thread.
pub struct Runtime {
    engine: Engine,
    maker: Option<(JobId, Engine)>,
    measurer: Option<Engine>,
    quality: Option<Engine>,
    /// Where engines are started
    place: Place,
    lanes: Lanes,
    writer: Writer,
    inbox: Arc<Inbox>,
    wake: Wake,
    chores: Sender<Chore>,
    looker: Looker,
    models_dir: PathBuf,
    /// A reply was asked for since the last load was
    reply_follows: Arc<AtomicBool>,
}

impl Runtime {
    /// Starts the engine, the store's writer and the worker threads.
    ///
    /// # Errors
    /// When a thread cannot be started. A missing or broken engine is not an error here: it arrives as `Died`.
    pub fn start(place: Place, store: Store, settings: SettingsFile, models_dir: PathBuf, wake: Wake) -> Result<Self, EngineError> {
        let inbox = Arc::new(Inbox::default());
        let data_dir = store.path().parent().map(Path::to_path_buf).unwrap_or_default();
        let writer = {
            let (inbox, wake) = (Arc::clone(&inbox), wake.clone());
            Writer::spawn_with_settings(store, settings, move |reply| {
                if let Some(answer) = answer_of(reply) {
                    inbox.push(Inbound::Answer(answer));
                    wake.now();
                }
            })
            .map_err(|error| EngineError::new(ErrorKind::Engine, format!("A thread could not be started: {error}")))?
        };
        let recorder = writer.recorder();
        let engine = Engine::spawn(place.clone(), Arc::new(|| {}))?;
        let reply_follows = Arc::new(AtomicBool::new(false));
        let speaker = Speaker::Chat { recorder, reply_follows: Arc::clone(&reply_follows) };
        spawn_pump(engine.events().clone(), speaker, Arc::clone(&inbox), wake.clone())?;
        let (chores, work) = bounded(64);
        let known = Known::default();
        let runs = runs_files::RunFiles { data_dir, recorder: writer.recorder() };
        spawn_worker(work, Arc::clone(&inbox), wake.clone(), models_dir.clone(), known.clone(), runs)?;
        let looker = Looker::start(Arc::clone(&inbox), wake.clone(), known)?;
        let lanes = Lanes::new(place.clone(), Arc::clone(&inbox), wake.clone());
        Ok(Self {
            engine,
            maker: None,
            measurer: None,
            quality: None,
            place,
            lanes,
            writer,
            inbox,
            wake,
            chores,
            looker,
            models_dir,
            reply_follows,
        })
    }

    /// What has happened.
    pub fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    /// The engine's process, if it has one.
    pub fn engine_pid(&self) -> Option<u32> {
        self.engine.pid()
    }

    /// The folder that new rungs go to.
    pub fn models_dir(&self) -> &Path {
        &self.models_dir
    }

    /// Carries an effect out. Those that need the window itself (clipboard, quitting, pictures) are the window's.
    pub fn run(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => self.send(command),
            Effect::Make(job, request) => self.make(job, request),
            Effect::StopMaking(job) => {
                if let Some((_, engine)) = self.maker.as_ref().filter(|(running, _)| *running == job) {
                    self.report(engine.send(Command::Cancel { job }));
                }
            }
            Effect::Measure(command) => self.measure(*command),
            Effect::StopMeasuring(job) => {
                if let Some(engine) = &self.measurer {
                    self.report(engine.send(Command::Cancel { job }));
                }
            }
            Effect::EndMeasuring => {
                if let Some(engine) = self.measurer.take() {
                    sweeps::end(engine);
                }
            }
            // the page waits for this one's answer
            Effect::PrepareSweep(plan) => hand_over(&self.chores, Chore::Sweep(SweepChore::Prepare(plan))),
            Effect::KeepSweep(sweep) => self.chore(Chore::Sweep(SweepChore::Keep(sweep))),
            Effect::DropSweep(name) => self.chore(Chore::Sweep(SweepChore::Drop(name))),
            Effect::ReadSweep(name) => self.chore(Chore::Sweep(SweepChore::Read(name))),
            Effect::FindSweeps => self.chore(Chore::Sweep(SweepChore::Find)),
            Effect::Quality(command) => self.measure_quality(*command),
            Effect::EndQuality => {
                if let Some(engine) = self.quality.take() {
                    end_aside(engine);
                }
            }
            Effect::PickText => self.dialog("text-dialog", |dialog| {
                let dialog = dialog.set_title("Choose a text").add_filter("Text", &["txt", "md", "raw", "csv", "json", "rs", "py", "html"]);
                let file = dialog.add_filter("All files", &["*"]).pick_file()?;
                Some(Inbound::Action(Action::Quality(QualityAction::UseFile(file))))
            }),
            Effect::ReadText(path) => self.chore(Chore::ReadText(path)),
            Effect::Lane(number, command) => self.lanes.send(number, *command),
            Effect::EndLanes => self.lanes.end(),
            Effect::Save { seq, ops } => self.writer.send(Request::Apply { seq, ops }),
            Effect::KeepRun { seq, run } => {
                // what the run does not say of the machine and the model takes a look at the disk
                if self.chores.try_send(Chore::Runs(RunChore::Keep(seq, run.clone()))).is_err() {
                    self.writer.send(Request::KeepRun { seq, run });
                }
            }
            Effect::ExportRuns(ids, format) => {
                let chores = self.chores.clone();
                self.dialog("save-dialog", move |dialog| {
                    let path = dialog.set_file_name(format!("runs.{}", format.ending())).save_file()?;
                    chores.send(Chore::Runs(RunChore::Export(ids, format, path))).ok()?;
                    None
                });
            }
            Effect::PickRuns => self.dialog("runs-dialog", |dialog| {
                let path =
                    dialog.set_title("Import runs").add_filter("JSON", &["json", "jsonl"]).add_filter("All files", &["*"]).pick_file()?;
                Some(Inbound::Answer(runs_files::import(&path)))
            }),
            Effect::PickDesign => self.dialog("design-dialog", |dialog| {
                let path = dialog.set_title("Import a design").add_filter("Designs", &["toml", "json"]).pick_file()?;
                Some(Inbound::Answer(runs_files::import_design(&path)))
            }),
            Effect::ReadRuns => self.writer.send(Request::Runs),
            Effect::ReadWholeRuns(ids) => self.writer.send(Request::ReadRuns { seq: None, ids }),
            Effect::ReadTokens(ids) => self.writer.send(Request::ReadTokens(ids)),
            Effect::ReadBoard(seq, ids) => self.writer.send(Request::ReadRuns { seq: Some(seq), ids }),
            Effect::ReadDesigns => self.writer.send(Request::Designs),
            Effect::BeginReply(job, message, from) => self.writer.send(Request::BeginReply { job, message, from }),
            Effect::ReadProbs(message, after) => self.writer.send(Request::ReadProbs { message, after }),
            Effect::ReadChat(id) => self.writer.send(Request::Open(id)),
            Effect::Search(text) => self.writer.send(Request::Search { text }),
            Effect::SaveSettings(settings) => self.writer.send(Request::SaveSettings(settings)),
            Effect::Scan(folders) => self.chore(Chore::Scan(folders)),
            Effect::Inspect { design, freed } => self.looker.inspect(design, freed),
            Effect::Predict { design, freed } => self.looker.predict((design, freed)),
            Effect::PickModel => self.dialog("model-dialog", |dialog| {
                let file = dialog.set_title("Open a model").add_filter("GGUF", &["gguf"]).add_filter("All files", &["*"]).pick_file()?;
                Some(Inbound::Action(Action::OpenModel(file)))
            }),
            Effect::PickFolder => self.dialog("folder-dialog", |dialog| {
                let folder = dialog.set_title("Add a model folder").pick_folder()?;
                Some(Inbound::Action(Action::AddFolder(folder)))
            }),
            Effect::SaveText { name, text } => {
                let chores = self.chores.clone();
                self.dialog("save-dialog", move |dialog| {
                    let path = dialog.set_file_name(name).save_file()?;
                    chores.send(Chore::Write(path, text)).ok()?;
                    None
                });
            }
            Effect::SavePlotsPng(range) => self.dialog("save-dialog", move |dialog| {
                let path = dialog.set_file_name("inferscope-telemetry.png").add_filter("PNG", &["png"]).save_file()?;
                Some(Inbound::PlotsPng(path, range))
            }),
            // carried out by the window
            Effect::Copy(_) | Effect::Quit => {}
        }
    }

    /// Waits until everything that was to be saved is on disk, for a bounded time.
    pub fn finish(self) {
        self.writer.close();
    }

    fn send(&self, mut command: Command) {
        match &mut command {
            Command::Load { .. } => self.reply_follows.store(false, Ordering::Relaxed),
            Command::Generate { request, .. } => {
                self.reply_follows.store(true, Ordering::Relaxed);
                request.text_every_ms = self.wake.text_every_ms();
            }
            _ => {}
        }
        let job = command.job();
        if let Err(error) = self.engine.send(command) {
            match job {
                Some(job) => self.inbox.push(Inbound::Event(Event::Failed { job, error })),
                None => self.inbox.push(Inbound::Answer(Answer::Notice(Severity::Error, error.to_string()))),
            }
        }
    }

    fn report(&self, result: Result<(), EngineError>) {
        if let Err(error) = result {
            self.inbox.push(Inbound::Answer(Answer::Notice(Severity::Error, error.to_string())));
        }
    }

    /// A rung is made in an engine of its own: chatting goes on, and ending it hurts nobody.
    fn make(&mut self, job: JobId, request: QuantizeRequest) {
        // the folder of our own rungs is made with the first of them; why it cannot be is said when the rung is written
        if request.target.parent() == Some(&*self.models_dir) {
            std::fs::create_dir_all(&self.models_dir).ok();
        }
        let started = Engine::spawn(self.place.clone(), Arc::new(|| {})).and_then(|engine| {
            spawn_pump(engine.events().clone(), Speaker::Maker, Arc::clone(&self.inbox), self.wake.clone())?;
            engine.send(Command::Quantize { job, request })?;
            Ok(engine)
        });
        match started {
            Ok(engine) => self.maker = Some((job, engine)),
            Err(error) => self.inbox.push(Inbound::Maker(Event::Failed { job, error })),
        }
    }

    /// Designs are measured in an engine of their own, which lives as long as the sweep: what it has loaded stays warm.
    fn measure(&mut self, command: Command) {
        let job = command.job();
        if self.measurer.is_none() {
            let started = Engine::spawn(self.place.clone(), Arc::new(|| {})).and_then(|engine| {
                spawn_pump(engine.events().clone(), Speaker::Measurer, Arc::clone(&self.inbox), self.wake.clone())?;
                Ok(engine)
            });
            match started {
                Ok(engine) => self.measurer = Some(engine),
                Err(error) => return self.inbox.push(Inbound::Measurer(sweeps::failed(job, error))),
            }
        }
        if let Some(Err(error)) = self.measurer.as_ref().map(|engine| engine.send(command)) {
            self.inbox.push(Inbound::Measurer(sweeps::failed(job, error)));
        }
    }

    /// Lets the maker's process go once its job has ended.
    pub fn on_maker_event(&mut self, event: &Event) {
        if ends(event, self.maker.as_ref())
            && let Some((_, engine)) = self.maker.take()
        {
            end_aside(engine);
        }
    }

    /// Quality is measured in an engine of its own: the chat's model stays where it is, and nothing of it is in what is measured.
    fn measure_quality(&mut self, command: Command) {
        let job = command.job().unwrap_or_default();
        let sent = self.quality_engine().and_then(|engine| engine.send(command));
        if let Err(error) = sent {
            self.inbox.push(Inbound::Quality(Event::Failed { job, error }));
        }
    }

    /// The engine that measures quality, started when there is none.
    fn quality_engine(&mut self) -> Result<&Engine, EngineError> {
        if self.quality.is_none() {
            let engine = Engine::spawn(self.place.clone(), Arc::new(|| {}))?;
            spawn_pump(engine.events().clone(), Speaker::Quality, Arc::clone(&self.inbox), self.wake.clone())?;
            self.quality = Some(engine);
        }
        self.quality.as_ref().ok_or_else(|| EngineError::new(ErrorKind::Engine, "There is no engine"))
    }

    fn chore(&self, chore: Chore) {
        if self.chores.try_send(chore).is_err() {
            let text = "The disk is busy with earlier requests, try again in a moment";
            self.inbox.push(Inbound::Answer(Answer::Notice(Severity::Warn, text.into())));
        }
    }

    /// The system's dialog on a thread of its own, where the system allows that; macOS wants the main thread.
    fn dialog(&self, name: &str, ask: impl FnOnce(rfd::FileDialog) -> Option<Inbound> + Send + 'static) {
        let (inbox, wake) = (Arc::clone(&self.inbox), self.wake.clone());
        let run = move || {
            if let Some(inbound) = ask(rfd::FileDialog::new()) {
                inbox.push(inbound);
            }
            wake.now();
        };
        if cfg!(target_os = "macos") {
            run();
        } else if let Err(error) = thread::Builder::new().name(name.into()).spawn(run) {
            self.inbox.push(Inbound::Answer(Answer::Notice(Severity::Error, format!("The dialog could not be opened: {error}"))));
        }
    }
}

/// Gives a chore to the thread that reads the disk, however long that takes: while its queue is full, a thread of the chore's own waits.
fn hand_over<T: Send + 'static>(chores: &Sender<T>, chore: T) {
    if let Err(TrySendError::Full(chore)) = chores.try_send(chore) {
        let chores = chores.clone();
        // without a thread to spare the chore is lost, as everything else is then
        spawn_named("chore", move || drop(chores.send(chore))).ok();
    }
}

/// Whether an event ends the job that an engine was started for.
fn ends(event: &Event, running: Option<&(JobId, Engine)>) -> bool {
    match event {
        Event::Died { .. } => true,
        other => other.ends().is_some_and(|job| running.is_some_and(|(running, _)| *running == job)),
    }
}

fn answer_of(reply: Reply) -> Option<Answer> {
    Some(match reply {
        Reply::Saved { seq } => Answer::Saved(seq),
        Reply::Unsaved { seq, error } => Answer::Unsaved(seq, EngineError::new(ErrorKind::Disk, error.to_string())),
        Reply::Messages(chat, messages) => Answer::Messages(chat, messages),
        Reply::Probs { message, after, last, data } => Answer::Probs { message, after, last, data },
        Reply::Found { text, chats } => Answer::Found(text, chats),
        Reply::RunKept { seq, head } => Answer::RunKept(seq, head),
        Reply::Runs(runs) => Answer::Runs(runs),
        Reply::RunsRead { seq: None, runs } => Answer::RunsRead(runs),
        Reply::RunsRead { seq: Some(seq), runs } => Answer::BoardRead(seq, runs),
        Reply::TokensRead(runs) => Answer::TokensRead(runs),
        Reply::Designs(designs) => Answer::Designs(designs),
        Reply::Notice(notice) => Answer::Notice(Severity::Warn, notice.to_string()),
        Reply::Health(error) => Answer::Health(error.map(|error| EngineError::new(ErrorKind::Disk, error.to_string()))),
    })
}

/// Ends an engine's process, which can take a moment: not on this thread.
fn end_aside(engine: Engine) {
    thread::Builder::new().name("engine-end".into()).spawn(move || drop(engine)).ok();
}

fn spawn_worker(
    work: Receiver<Chore>,
    inbox: Arc<Inbox>,
    wake: Wake,
    models_dir: PathBuf,
    known: Known,
    runs: runs_files::RunFiles,
) -> Result<(), EngineError> {
    spawn_named("disk-reader", move || {
        let mut cache = ScanCache::default();
        let mut cleaned = HashSet::new();
        for chore in work {
            let answer = match chore {
                Chore::Sweep(chore) => match sweeps::work(chore) {
                    Some(answer) => answer,
                    None => continue,
                },
                Chore::Scan(folders) => {
                    let dirs = library::search_dirs(&models_dir, &folders);
                    let scan = library::scan(&dirs, &mut cache);
                    known.set(&scan);
                    remove_leftovers(&scan, &models_dir, &mut cleaned);
                    Answer::Scanned(Box::new(scan))
                }
                Chore::ReadText(path) => {
                    let result = Box::new(library::read_text(&path));
                    Answer::Text(path, result)
                }
                Chore::Runs(chore) => match runs.carry_out(chore) {
                    Some(answer) => answer,
                    None => continue,
                },
                Chore::Write(path, text) => match std::fs::write(&path, text) {
                    Ok(()) => Answer::Notice(Severity::Info, format!("Saved to {}", path.display())),
                    Err(error) => Answer::Notice(Severity::Error, format!("Not saved, {error}: {}", path.display())),
                },
            };
            inbox.push(Inbound::Answer(answer));
            wake.now();
        }
    })
}

/// A thread with a name.
///
/// # Errors
/// When the system gives none.
pub(super) fn spawn_named(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(|_| ())
        .map_err(|error| EngineError::new(ErrorKind::Engine, format!("A thread could not be started: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chore_waits_while_the_queue_is_full() {
        let (chores, work) = bounded(1);
        for chore in 1..=3 {
            hand_over(&chores, chore);
        }
        let done: std::collections::BTreeSet<i32> =
            (0..3).map(|_| work.recv_timeout(std::time::Duration::from_secs(20)).unwrap()).collect();
        assert_eq!(done, [1, 2, 3].into(), "none is lost");
    }
}
