//! Looks at model files off the UI thread: each on a thread of its own, so that a disk that does not answer delays nothing but itself.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::inbox::{Inbound, Inbox};
use super::runtime::{Wake, spawn_named};
use crate::app::{Answer, Inspection};
use crate::library::{self, MachineMemory, Scan, ScanCache, partial};
use crate::protocol::{Design, EngineError};

/// A design to look at, and the bytes that an unload would free.
type Question = (Box<Design>, u64);

/// Answers what a design would take.
pub(super) struct Looker {
    inbox: Arc<Inbox>,
    wake: Wake,
    known: Known,
    /// Holds one question: a newer one takes its place
    latest: (Sender<Question>, Receiver<Question>),
}

/// What the last scan found. Shared with the thread that scans.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Arc<Scan>>>);

impl Known {
    /// Takes note of a scan.
    pub(super) fn set(&self, scan: &Scan) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(scan.clone());
    }

    fn get(&self) -> Arc<Scan> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Looker {
    /// Starts the thread for designs that are being edited.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(inbox: Arc<Inbox>, wake: Wake, known: Known) -> Result<Self, EngineError> {
        let latest = bounded::<Question>(1);
        let (questions, found, answers, waker) = (latest.1.clone(), known.clone(), Arc::clone(&inbox), wake.clone());
        spawn_named("predictor", move || {
            for (design, freed) in questions {
                let result = Box::new(inspect(&design, freed, &found.get()));
                answers.push(Inbound::Answer(Answer::Predicted { design, result }));
                waker.now();
            }
        })?;
        Ok(Self { inbox, wake, known, latest })
    }

    /// Looks at the file of a design that is to be loaded.
    pub(super) fn inspect(&self, design: Box<Design>, freed: u64) {
        let (inbox, wake, known, asked) = (Arc::clone(&self.inbox), self.wake.clone(), self.known.clone(), design.clone());
        let started = spawn_named("inspect", move || {
            let result = Box::new(inspect(&asked, freed, &known.get()));
            inbox.push(Inbound::Answer(Answer::Inspected { design: asked, result }));
            wake.now();
        });
        if let Err(error) = started {
            self.inbox.push(Inbound::Answer(Answer::Inspected { design, result: Box::new(Err(error)) }));
        }
    }

    /// Looks at a design that is being edited. Of several that wait only the last is answered.
    pub(super) fn predict(&self, mut question: Question) {
        while let Err(error) = self.latest.0.try_send(question) {
            question = error.into_inner();
            self.latest.1.try_recv().ok();
        }
    }
}

/// Reads a header and predicts what its design takes.
fn inspect(design: &Design, freed: u64, known: &Scan) -> Result<Inspection, EngineError> {
    let model = library::places::spelling(&design.model, known);
    let design = &Design { model: model.clone(), ..design.clone() };
    let header = library::read_header(&model)?;
    let machine = MachineMemory::read();
    let estimate = library::estimate(&header, design, &machine, freed);
    let nearest = if estimate.fits {
        None
    } else {
        let siblings = siblings(&model, known);
        library::nearest_fit(siblings.family_of(&model), design, &machine, freed).into_iter().next()
    };
    let weights_read = library::bytes_read_per_token(&header, 0, design);
    let kv_read = library::bytes_read_per_token(&header, 1, design).saturating_sub(weights_read);
    Ok(Inspection { model, info: header.info(), estimate, nearest, weights_read, kv_read })
}

/// A scan that knows the ladder of a file: the last one, or one of its folder.
fn siblings(model: &Path, known: &Scan) -> Scan {
    if known.family_of(model).is_some() {
        return known.clone();
    }
    let folder: Vec<PathBuf> = model.parent().map(Into::into).into_iter().collect();
    library::scan(&folder, &mut ScanCache::default())
}

/// Removes what a process that was ended left half-written, in each folder once: our own, and those beside whose models rungs are made.
pub(super) fn remove_leftovers(scan: &Scan, models_dir: &Path, cleaned: &mut HashSet<PathBuf>) {
    let models = scan.families.iter().flat_map(|family| family.on_disk()).map(|(_, path)| path);
    let beside = models.filter(|path| !library::places::is_foreign(path)).filter_map(Path::parent);
    for folder in beside.chain([models_dir]) {
        if cleaned.insert(folder.to_path_buf()) {
            partial::remove_stale(folder);
        }
    }
}
