//! What the Quality page knows: what is to be compared on which text, the comparison that runs or was last, and its tokens.

mod action;
mod heat;
mod ladder;
mod reopen;
mod text;
mod variant;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use action::{QualityAction, QualityForm};
pub use heat::{HeatBy, LEVELS, level};
pub use ladder::{LadderPoint, Point, knee, missing};
pub(crate) use reopen::is_comparison;
pub use reopen::{KeptComparison, STOPPED};
pub use text::{Content, Text, TextSource};
pub use variant::Variant;

use super::AppState;
use crate::library::{Family, RungState, text as texts};
use crate::measure::quality::divergence::Agreement;
use crate::measure::quality::report::Subject;
use crate::measure::quality::tally::{Quality as Summary, Running, Tally};
use crate::protocol::{Design, EngineError, JobId, QualityBatch, QualityLayout, QualityPlan, QualityText, RunId, TokenScore};

/// What the prompts that ship are called.
pub const PROMPTS_NAME: &str = "the prompts that ship";

/// Most designs of one comparison.
pub const MOST_CANDIDATES: usize = 24;

/// What is to be compared, and on what.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// What is taken for right; `None` = the largest rung on disk
    pub reference: Option<PathBuf>,
    /// Which rungs are compared with it; `None` = the one that answers
    pub rungs: Option<Vec<PathBuf>>,
    /// In which variants, each rung in each
    pub variants: Vec<Variant>,
    /// Where the text comes from
    pub source: TextSource,
    /// A file or a chat as it was read; `None` while it is on its way
    pub content: Option<Result<Text, EngineError>>,
    /// What was pasted, as it was found to be; `None` while there is nothing
    pub pasted: Option<Result<Text, EngineError>>,
    /// Most tokens of each answer to a prompt
    pub answer_tokens: u32,
    /// Tokens of a chunk
    pub n_ctx: u32,
    /// Most chunks; 0 = the whole text
    pub max_chunks: u32,
    /// Ends by itself once half the 95 % interval of every mean KL divergence is at most so many per cent of it; 0 = reads on
    pub tight_percent: u32,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            reference: None,
            rungs: None,
            variants: vec![Variant::Usual],
            source: TextSource::Builtin,
            content: None,
            pasted: None,
            answer_tokens: 128,
            n_ctx: 512,
            max_chunks: 0,
            tight_percent: 0,
        }
    }
}

/// A rung on disk that can be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskRung<'a> {
    /// `Q4_K_M`
    pub quant: &'a str,
    /// Its file
    pub path: &'a Path,
    /// Bytes
    pub size: u64,
}

/// The rungs of a family that are on disk, best first.
pub fn on_disk(family: &Family) -> impl Iterator<Item = DiskRung<'_>> {
    family.rungs.iter().filter_map(|rung| match &rung.state {
        RungState::OnDisk { path, size, .. } => Some(DiskRung { quant: &rung.quant, path, size: *size }),
        _ => None,
    })
}

/// One design and what was found out about it.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// What was measured
    pub design: Design,
    /// `Q4_K_M`, `Q8_0, KV q4_0`
    pub name: String,
    /// Bytes of its file; 0 = not known
    pub size: u64,
    /// The scores, in the order of the text
    pub scores: Vec<TokenScore>,
    /// Place in `scores` of each token of the text; `u32::MAX` for those that were not scored
    places: Vec<u32>,
    tally: Tally,
    /// The means so far
    pub running: Option<Running>,
    /// Everything, once it has ended
    pub summary: Option<Summary>,
    /// Greedy answers against the reference's, once asked for
    pub agreement: Vec<Agreement>,
    /// The number under which its run is being kept
    pub keeping: Option<u64>,
    /// Its run, once it is kept
    pub run: Option<RunId>,
}

impl Candidate {
    /// A candidate of which nothing is known.
    pub fn new(design: Design, name: String, size: u64) -> Self {
        Self { design, name, size, ..Self::default() }
    }

    /// Takes in what the engine found.
    pub fn take(&mut self, batch: &QualityBatch, n_tokens: usize) {
        self.places.resize(n_tokens, u32::MAX);
        for (at, score) in (batch.first..).zip(&batch.scores) {
            if self.put(at, *score) {
                self.tally.add(score);
            }
        }
        self.running = self.tally.running();
    }

    /// Puts a score in its place; `false` where the text has no such token.
    fn put(&mut self, at: u64, score: TokenScore) -> bool {
        let Some(place) = usize::try_from(at).ok().and_then(|at| self.places.get_mut(at)) else { return false };
        *place = u32::try_from(self.scores.len()).unwrap_or(u32::MAX);
        self.scores.push(score);
        true
    }

    /// Sums up: nothing more comes.
    pub fn finish(&mut self) {
        self.summary = self.tally.quality();
    }

    /// The score of a token of the text.
    pub fn score(&self, token: usize) -> Option<&TokenScore> {
        self.scores.get(*self.places.get(token)? as usize)
    }

    /// The scored tokens with their scores, in the order of the text.
    pub fn scored(&self) -> impl Iterator<Item = (u64, &TokenScore)> {
        let of = |(token, place): (usize, &u32)| Some((token as u64, self.scores.get(*place as usize)?));
        self.places.iter().enumerate().filter_map(of)
    }
}

/// What a comparison is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Phase {
    /// Both sides read the text
    #[default]
    Reading,
    /// The reference answers prompts, which are read by all then
    Asking(Asking),
    /// Greedy answers are compared
    Answering(Answering),
    /// Nothing any more
    Ended,
}

/// The reference's answers on their way.
#[derive(Clone, Debug, PartialEq)]
pub struct Asking {
    /// What is asked
    pub prompts: Vec<String>,
    /// What was answered, the last of them so far
    pub answers: Vec<String>,
    /// What is read afterwards, but for its text
    pub plan: Box<QualityPlan>,
}

/// Greedy answers on their way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answering {
    /// What is asked
    pub prompts: Vec<String>,
    /// The candidate that is compared
    pub candidate: usize,
    /// Whether its turn has come, after the reference's
    pub is_candidates_turn: bool,
    /// The reference's answers
    pub expected: Vec<Vec<i32>>,
    /// Those of whoever's turn it is
    pub answers: Vec<Vec<i32>>,
}

/// A comparison, running or over.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What the engine does for it now
    pub job: JobId,
    /// What is taken for right
    pub reference: Design,
    /// Its name
    pub reference_name: String,
    /// Key of the family
    pub family: String,
    /// What is compared with it
    pub candidates: Vec<Candidate>,
    /// What the text is called
    pub text_name: String,
    /// Its fingerprint
    pub text_hash: String,
    /// The user's own prompts, where the text is a conversation
    pub prompts: Vec<String>,
    /// What is read, once the engine has said so
    pub layout: Option<Arc<QualityLayout>>,
    /// Texts of tokens
    pub names: HashMap<u32, String>,
    /// Tokens read by all models together, of how many
    pub progress: (u64, u64),
    /// When reading began, seconds, and how much was read by then
    pub reading_since: Option<(f64, u64)>,
    /// When it was asked for, seconds
    pub since: f64,
    /// The same, Unix time, milliseconds
    pub started_ms: i64,
    /// How long it took, seconds
    pub seconds: Option<f64>,
    /// What it does
    pub phase: Phase,
    /// Stop was pressed
    pub stopping: bool,
    /// It was stopped before the end of the text
    pub is_partial: bool,
    /// What went wrong; what was measured before stands
    pub error: Option<EngineError>,
    /// It was read back from runs that are kept
    pub is_kept: bool,
}

impl Comparison {
    /// Whether the engine is at work for it.
    pub fn is_running(&self) -> bool {
        self.phase != Phase::Ended
    }

    /// Whether anything was measured.
    pub fn has_results(&self) -> bool {
        self.candidates.iter().any(|candidate| candidate.running.is_some())
    }

    /// Part that is read, 0..1.
    pub fn fraction(&self) -> Option<f32> {
        let (done, total) = self.progress;
        (total > 0).then(|| done as f32 / total as f32)
    }

    /// Seconds until the text is read, from the pace so far; an estimate.
    pub fn seconds_left(&self, now: f64) -> Option<f64> {
        let (since, before) = self.reading_since?;
        let (done, total) = self.progress;
        let read = done.checked_sub(before).filter(|read| *read > 0)?;
        Some((now - since).max(0.0) / read as f64 * total.saturating_sub(done) as f64)
    }

    /// A result with what it was measured with, for export.
    pub fn subject<'a>(&'a self, candidate: &'a Candidate) -> Option<Subject<'a>> {
        Some(Subject {
            design: &candidate.design,
            reference: Some(&self.reference),
            quality: candidate.summary.as_ref()?,
            agreement: &candidate.agreement,
            layout: self.layout.as_deref()?,
            seconds: self.seconds.unwrap_or(0.0),
        })
    }
}

/// Everything behind the Quality page.
#[derive(Clone, Debug, Default)]
pub struct Quality {
    /// What is to be compared
    pub setup: Setup,
    /// The comparison that runs or was last
    pub comparison: Option<Box<Comparison>>,
    /// Which of its candidates is shown
    pub shown: usize,
    /// What the text is coloured by
    pub heat: HeatBy,
    /// The least level that is coloured, 1..=[`LEVELS`]
    pub from_level: u8,
    /// The token that was picked
    pub selected: Option<usize>,
    /// Everything measured in this session, for the ladder
    pub points: Vec<LadderPoint>,
    /// What runs that are kept say of the same, read when the page is opened
    pub kept: Vec<LadderPoint>,
    /// The runs that are being read to be shown as a comparison
    pub opening: Vec<RunId>,
    /// Whose candidate is to be shown of them
    pub opening_at: Option<RunId>,
    /// Decode speeds of replies by file and name of the variant, tokens per second, latest last
    pub speeds: BTreeMap<(PathBuf, String), Vec<f64>>,
}

impl Quality {
    /// The candidate on screen.
    pub fn candidate(&self) -> Option<&Candidate> {
        let candidates = &self.comparison.as_ref()?.candidates;
        candidates.get(self.shown).or_else(|| candidates.first())
    }

    /// Whether a comparison runs.
    pub fn is_running(&self) -> bool {
        self.comparison.as_ref().is_some_and(|comparison| comparison.is_running())
    }
}

impl AppState {
    /// The family whose rungs are compared: that of the chosen reference, else of the loaded model, else the first with two rungs on disk.
    pub fn quality_family(&self) -> Option<&Family> {
        let families = &self.library.families;
        let of = |path: &Path| families.iter().find(|family| family.rung_of(path).is_some());
        let chosen = self.quality.setup.reference.as_deref().and_then(of);
        chosen.or_else(|| self.family()).or_else(|| {
            let most = families.iter().find(|family| on_disk(family).count() > 1);
            most.or_else(|| families.iter().find(|family| on_disk(family).next().is_some()))
        })
    }

    /// The file that is taken for right.
    pub fn quality_reference(&self) -> Option<DiskRung<'_>> {
        let family = self.quality_family()?;
        let chosen = self.quality.setup.reference.as_deref();
        on_disk(family).find(|rung| Some(rung.path) == chosen).or_else(|| on_disk(family).max_by_key(|rung| rung.size))
    }

    /// The rungs that are compared with it.
    pub fn quality_rungs(&self) -> Vec<DiskRung<'_>> {
        let Some(family) = self.quality_family() else { return Vec::new() };
        match &self.quality.setup.rungs {
            Some(picked) => on_disk(family).filter(|rung| picked.iter().any(|path| path == rung.path)).collect(),
            None => {
                let current = self.design().map(|design| design.model.as_path());
                let reference = self.quality_reference().map(|rung| rung.path);
                let active = on_disk(family).find(|rung| Some(rung.path) == current && current != reference);
                let other = || on_disk(family).filter(|rung| Some(rung.path) != reference).min_by_key(|rung| rung.size);
                active.or_else(other).into_iter().collect()
            }
        }
    }

    /// The designs that a comparison would measure, with their names.
    pub fn quality_candidates(&self) -> Vec<Candidate> {
        let reference = self.quality_reference().map(|rung| rung.path);
        let variants = &self.quality.setup.variants;
        let mut all = Vec::new();
        for rung in self.quality_rungs() {
            for variant in Variant::ALL.into_iter().filter(|variant| variants.contains(variant)) {
                // the reference against itself says nothing
                if variant == Variant::Usual && Some(rung.path) == reference {
                    continue;
                }
                let design = variant.apply(self.quality_design(rung.path));
                all.push(Candidate::new(design, variant.of_rung(rung.quant), rung.size));
            }
        }
        all
    }

    /// How a file is read: like the loaded one, but for what is to be measured.
    pub fn quality_design(&self, path: &Path) -> Design {
        let base = Design::for_model(path);
        match self.design() {
            Some(d) => Design { threads: d.threads, threads_batch: d.threads_batch, gpu_layers: d.gpu_layers, ..base },
            None => base,
        }
    }

    /// The name of the text and the text; why not, where it is not there.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn quality_text(&self) -> Result<(String, Text), String> {
        let setup = &self.quality.setup;
        let found = |text: &Option<Result<Text, EngineError>>, missing: &str| match text {
            Some(Ok(text)) => Ok(text.clone()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err(missing.to_owned()),
        };
        let read = || found(&setup.content, "The text is being read");
        match &setup.source {
            TextSource::Builtin => Ok((texts::BUILTIN_NAME.into(), Text::builtin())),
            TextSource::Pasted => Ok(("pasted text".into(), found(&setup.pasted, "Paste a text first")?)),
            TextSource::File(path) => {
                let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                Ok((name, read()?))
            }
            TextSource::Prompts(name) => Ok((
                if name.is_empty() { PROMPTS_NAME.to_owned() } else { name.clone() },
                found(&setup.content, "Write some prompts first")?,
            )),
            TextSource::Chat(id) => {
                let name = self.chats.get(*id).map_or("a chat", |chat| chat.title.as_str());
                Ok((if name.is_empty() { "a chat".into() } else { name.to_owned() }, read()?))
            }
        }
    }

    /// Why no comparison can begin now; `None` when one can.
    pub fn why_no_comparison(&self) -> Option<String> {
        if self.quality.is_running() {
            return Some("A comparison is running".into());
        }
        if self.quality_reference().is_none() {
            return Some("No model is on this machine yet".into());
        }
        match self.quality_candidates().len() {
            0 => return Some("Pick at least one rung, or a cache other than f16".into()),
            many if many > MOST_CANDIDATES => return Some(format!("{many} designs at once are too many, pick at most {MOST_CANDIDATES}")),
            _ => {}
        }
        self.quality_text().err()
    }

    /// The plan of a comparison of these candidates.
    pub(super) fn quality_plan(&self, candidates: &[Candidate], content: &Content) -> Option<QualityPlan> {
        let setup = &self.quality.setup;
        Some(QualityPlan {
            reference: self.quality_design(self.quality_reference()?.path),
            candidates: candidates.iter().map(|candidate| candidate.design.clone()).collect(),
            text: match content {
                Content::Plain(text) => QualityText::Plain(text.to_string()),
                Content::Chat(messages) => QualityText::Chat(messages.to_vec()),
                // once they are answered
                Content::Prompts(_) => QualityText::Chats(Vec::new()),
            },
            n_ctx: setup.n_ctx,
            max_chunks: setup.max_chunks,
            tight: (setup.tight_percent > 0).then(|| f64::from(setup.tight_percent) / 100.0),
            one_at_a_time: false,
        })
    }
}
