//! Families and their ladders: which files are quantization levels of one model, and which levels could be made of what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use serde::Serialize;

use super::gguf::{Header, shard_name};
use super::names::{plain, says_nothing, split_level};
use super::recipe::{Forecast, forecast};
use super::scan::{Scan, lossy, lossy_list};
use super::{partial, places};
use crate::protocol::{FILE_TYPES, FileType, ModelInfo};

/// One base model and its levels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Family {
    /// Names the family from scan to scan
    pub key: String,
    /// As shown, and as `NAME:LEVEL` on the command line; unique in a scan
    pub name: String,
    /// Architecture
    pub arch: String,
    /// Number of weights
    pub n_params: u64,
    /// Transformer blocks
    pub n_layer: u32,
    /// Context the model was trained for, tokens
    pub n_ctx_train: u32,
    /// Levels, best first
    pub rungs: Vec<Rung>,
}

/// One level of a family.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// `Q4_K_M`
    pub quant: String,
    /// Offered first
    pub usual: bool,
    /// What to know about this level of this model, in words; empty when there is nothing
    pub note: String,
    /// Whether it is there
    #[serde(flatten)]
    pub state: RungState,
}

/// Whether a level is there, or could be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RungState {
    /// A file
    OnDisk {
        /// Where; the first part of a split model
        #[serde(serialize_with = "lossy")]
        path: PathBuf,
        /// Bytes, all parts together
        size: u64,
        /// Bits per weight
        bpw: f64,
        /// Further files of the same level
        #[serde(serialize_with = "lossy_list")]
        alternates: Vec<PathBuf>,
    },
    /// Can be made of a better level
    CanMake {
        /// The file to start from: the best of the family
        #[serde(serialize_with = "lossy")]
        source: PathBuf,
        /// Its level
        source_quant: String,
        /// Bytes of the result, foretold from the shapes of the tensors
        #[serde(rename = "size")]
        size_estimate: u64,
        /// Bits per weight of the result
        #[serde(rename = "bpw")]
        bpw_estimate: f64,
        /// Seconds it would take on this machine, roughly
        seconds_estimate: f64,
        /// The source has itself lost something
        lossy_source: bool,
        /// Where it would go; no such file exists yet
        #[serde(serialize_with = "lossy")]
        target: PathBuf,
        /// Bytes that must be free on the disk
        needs_space: u64,
    },
    /// Neither
    Unavailable {
        /// Why, in words
        why: String,
    },
}

impl RungState {
    /// All files of the level, the one that is taken where nothing speaks for another first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let (path, alternates) = match self {
            Self::OnDisk { path, alternates, .. } => (Some(path), alternates.as_slice()),
            _ => (None, &[][..]),
        };
        path.into_iter().chain(alternates).map(PathBuf::as_path)
    }
}

impl Family {
    /// The rung of that level.
    pub fn rung(&self, quant: &str) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.quant.eq_ignore_ascii_case(quant))
    }

    /// The rung a file is on.
    pub fn rung_of(&self, file: &Path) -> Option<&Rung> {
        self.rungs.iter().find(|rung| rung.state.files().any(|other| other == file))
    }

    /// Levels that are there, best first, with their files.
    pub fn on_disk(&self) -> impl Iterator<Item = (&Rung, &Path)> {
        self.rungs.iter().filter_map(|rung| match &rung.state {
            RungState::OnDisk { path, .. } => Some((rung, path.as_path())),
            _ => None,
        })
    }
}

/// What the ladder needs to know of a file; all that is kept of its header.
#[derive(Debug)]
pub struct FileFacts {
    pub(super) info: ModelInfo,
    /// File name without level, ending and part number, as the family is called
    pub(super) base: String,
    pub(super) note: Option<String>,
    pub(super) shards: Vec<(PathBuf, u64)>,
    n_vocab: u32,
    ternary: bool,
    /// What making each of [`FILE_TYPES`] of it would give
    forecasts: Vec<Option<Forecast>>,
}

/// What the model of a file is called: by the file's name without level, ending and part number; where that says nothing, by its header,
/// else by its folder.
pub fn model_name(info: &ModelInfo) -> String {
    let stem = info.path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = shard_name(&info.path).map_or(stem, |(prefix, ..)| prefix);
    let base = split_level(&stem).0;
    let folder = || info.path.parent().and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned());
    if !says_nothing(base) {
        base.to_owned()
    } else if !says_nothing(&info.name) && info.name != stem {
        info.name.clone()
    } else {
        folder().unwrap_or(stem)
    }
}

impl FileFacts {
    /// `label` names the file where its own name says nothing (Ollama's blobs).
    pub(super) fn new(header: &Header, label: Option<&str>) -> Self {
        let info = header.info();
        let base = label.map_or_else(|| model_name(&info), str::to_owned);
        let words = format!("{} {} {}", info.arch, info.name, base).to_lowercase();
        Self {
            n_vocab: info.n_vocab,
            ternary: ["bitnet", "ternary", "trilm", "1.58"].iter().any(|word| words.contains(word)),
            note: header.fallback_note(),
            shards: header.shards.clone(),
            forecasts: FILE_TYPES.iter().map(|level| forecast(header, level)).collect(),
            base,
            info,
        }
    }

    fn is_lossless(&self) -> bool {
        FileType::by_name(&self.info.quant).is_some_and(FileType::is_lossless)
    }

    /// What files of one model have in common whatever their level.
    fn shape(&self) -> (String, u64, u32, u32, u32) {
        (self.info.arch.clone(), self.info.n_params, self.info.n_layer, self.info.n_embd, self.n_vocab)
    }
}

/// Orders files into families, by name. `models_dir` is where rungs are made when nothing may be written beside their source.
pub(super) fn families(files: &[Arc<FileFacts>], models_dir: &Path) -> Vec<Family> {
    let mut groups: BTreeMap<_, Vec<Arc<FileFacts>>> = BTreeMap::new();
    for file in files {
        groups.entry((file.shape(), plain(&file.base))).or_default().push(Arc::clone(file));
    }
    let mut families: Vec<Family> = merge(groups).iter().map(|files| family(files, models_dir)).collect();
    families.sort_by_cached_key(|f| (f.name.to_lowercase(), f.key.clone()));
    make_unique(&mut families);
    families
}

type Shape = (String, u64, u32, u32, u32);

/// Joins groups whose headers carry one name: files that were renamed. Groups that share a level stay apart: they are different models
/// whose makers left the name of the original in the header.
fn merge(groups: BTreeMap<(Shape, String), Vec<Arc<FileFacts>>>) -> Vec<Vec<Arc<FileFacts>>> {
    let levels = |files: &[Arc<FileFacts>]| -> BTreeSet<String> { files.iter().map(|f| f.info.quant.clone()).collect() };
    let mut merged: Vec<(Shape, String, Vec<Arc<FileFacts>>)> = Vec::new();
    for ((shape, _), files) in groups {
        let name = files.first().map(|f| plain(&f.info.name)).unwrap_or_default();
        let speaks = files.iter().all(|f| plain(&f.info.name) == name) && !says_nothing(&name);
        let own = levels(&files);
        let twin = merged.iter_mut().find(|(s, n, other)| speaks && *s == shape && *n == name && levels(other).is_disjoint(&own));
        match twin {
            Some((.., other)) => other.extend(files),
            None => merged.push((shape, if speaks { name } else { String::new() }, files)),
        }
    }
    merged.into_iter().map(|(.., files)| files).collect()
}

/// Two families of one name are told apart by the folder of their files, and if need be by a number.
fn make_unique(families: &mut [Family]) {
    let mut taken = BTreeSet::new();
    for family in families.iter_mut() {
        let folder = family.on_disk().next().and_then(|(_, path)| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
        let with_folder = folder.map(|folder| format!("{} ({folder})", family.name));
        let numbered = (2..).map(|n| format!("{} ({n})", family.name));
        let mut candidates = [family.name.clone()].into_iter().chain(with_folder).chain(numbered);
        if let Some(free) = candidates.find(|name| !taken.contains(&name.to_lowercase())) {
            drop(candidates);
            taken.insert(free.to_lowercase());
            family.name = free;
        }
    }
}

fn family(files: &[Arc<FileFacts>], models_dir: &Path) -> Family {
    let mut files: Vec<&FileFacts> = files.iter().map(Arc::as_ref).collect();
    // the best first; among equals the one whose path sorts first, so that scans agree with each other
    files.sort_by(|a, b| b.info.bpw.total_cmp(&a.info.bpw).then_with(|| a.info.path.cmp(&b.info.path)));
    let mut rungs: Vec<(f64, Rung)> = FILE_TYPES
        .iter()
        .enumerate()
        .map(|(at, level)| {
            let rung = on_disk(level.name, level.usual, &files).unwrap_or_else(|| makeable(at, level, &files, models_dir));
            (f64::from(level.nominal_bpw), rung)
        })
        .collect();
    let unknown: BTreeSet<&str> = files.iter().map(|f| f.info.quant.as_str()).filter(|q| FileType::by_name(q).is_none()).collect();
    for quant in unknown {
        if let Some(rung) = on_disk(quant, true, &files) {
            let bpw = if let RungState::OnDisk { bpw, .. } = rung.state { bpw } else { 0.0 };
            rungs.push((bpw, rung));
        }
    }
    rungs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = files.first();
    let info = best.map(|f| f.info.clone()).unwrap_or_default();
    let base = best.map(|f| f.base.clone()).unwrap_or_default();
    Family {
        key: format!("{}/{}/{}/{}/{}", info.arch, info.n_params, info.n_layer, info.n_embd, plain(&base)),
        name: base,
        arch: info.arch,
        n_params: info.n_params,
        n_layer: info.n_layer,
        n_ctx_train: info.n_ctx_train,
        rungs: rungs.into_iter().map(|(_, rung)| rung).collect(),
    }
}

/// The rung of the files that have this level.
fn on_disk(quant: &str, usual: bool, files: &[&FileFacts]) -> Option<Rung> {
    let mut same = files.iter().filter(|f| f.info.quant == quant);
    let first = same.next()?;
    Some(Rung {
        quant: quant.to_owned(),
        usual,
        note: first.note.clone().unwrap_or_default(),
        state: RungState::OnDisk {
            path: first.info.path.clone(),
            size: first.info.size,
            bpw: first.info.bpw,
            alternates: same.map(|f| f.info.path.clone()).collect(),
        },
    })
}

/// The rung of a level that is not there.
fn makeable(at: usize, level: &'static FileType, files: &[&FileFacts], models_dir: &Path) -> Rung {
    let rung = |note: String, state| Rung { quant: level.name.to_owned(), usual: level.usual, note, state };
    let source = files.first();
    let forecast = source.and_then(|f| *f.forecasts.get(at)?);
    let (Some(source), Some(made)) = (source, forecast) else {
        return rung(String::new(), RungState::Unavailable { why: "There is no recipe for this level".into() });
    };
    if let Some(why) = obstacle(level, source, &made) {
        return rung(String::new(), RungState::Unavailable { why });
    }
    let lossy_source = !source.is_lossless();
    let mut notes = Vec::new();
    if lossy_source && made.bpw >= source.info.bpw {
        notes.push(format!("No better than {}, of which it is made: what that has lost stays lost", source.info.quant));
    } else if lossy_source {
        notes.push(format!("Made of {}, which has itself lost something; from F16 it would be a little better", source.info.quant));
    }
    if made.named_share < 0.5 && made.fallbacks > 0 {
        let percent = 100.0 * made.named_share;
        notes.push(format!("Only {percent:.0} % of the weights can take this type; the rows of the others do not divide into its blocks"));
    }
    let state = RungState::CanMake {
        source: source.info.path.clone(),
        source_quant: source.info.quant.clone(),
        size_estimate: made.bytes,
        bpw_estimate: made.bpw,
        seconds_estimate: seconds(level, source.info.n_params, made.bytes),
        lossy_source,
        target: suggest_target(&source.info.path, &source.base, level.name, models_dir),
        needs_space: made.bytes.saturating_add(made.bytes / 100).saturating_add(1 << 20),
    };
    rung(notes.join(". "), state)
}

/// Why a level cannot sensibly be made, if it cannot.
fn obstacle(level: &FileType, source: &FileFacts, made: &Forecast) -> Option<String> {
    let from = source.info.quant.as_str();
    if level.name.starts_with("TQ") && !source.ternary {
        return Some("Only models trained with ternary weights survive this level".into());
    }
    if made.needs_imatrix {
        return Some("llama.cpp makes this level only with an importance matrix".into());
    }
    match (level.name, from) {
        ("F32" | "BF16", _) if !source.is_lossless() => Some(format!("Made of {from} it would be larger and no better")),
        ("F32", _) => Some(format!("Made of {from} it would be twice the size and no better")),
        ("BF16", "F16") => Some("F16 keeps more of every weight at the same size".into()),
        _ => None,
    }
}

/// Seconds to make a level: weights over the rate at which a core turns them into it, and the time to write the file.
///
/// Rates in 10^6 weights per second and thread, measured on a two-core server with llama.cpp b11434.
fn seconds(level: &FileType, n_params: u64, bytes: u64) -> f64 {
    let rate = match level.name {
        "F32" | "F16" | "BF16" => 250.0,
        "Q8_0" | "Q4_0" | "Q5_0" | "Q4_1" | "Q5_1" => 120.0,
        "IQ4_NL" | "IQ4_XS" => 6.0,
        name if name.starts_with("IQ") => 5.0,
        _ => 60.0,
    };
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    n_params as f64 / (rate * 1e6 * threads) + bytes as f64 / 500e6
}

/// Where a level made of `source` goes: beside it, or into `models_dir` when the source belongs to another program or its folder cannot be
/// written to. `base` names the model. The name is that of no existing file.
pub fn suggest_target(source: &Path, base: &str, quant: &str, models_dir: &Path) -> PathBuf {
    let stem = source.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let separator = split_level(&stem).1.map_or('-', |(separator, _)| separator);
    // a name from a header may hold what a file name must not
    let safe: String = base.chars().map(|c| if c.is_control() || matches!(c, '/' | '\\' | ':') { '-' } else { c }).collect();
    let safe = safe.trim_start_matches('.');
    let beside = source.parent().filter(|folder| !places::is_foreign(source) && is_writable(folder));
    let folder = beside.unwrap_or(models_dir);
    let name = |n: u32| {
        let copy = if n > 1 { format!("-{n}") } else { String::new() };
        folder.join(format!("{safe}{copy}{separator}{quant}.gguf"))
    };
    let taken = |path: &Path| std::fs::symlink_metadata(path).is_ok() || partial::is_same_file(path, source);
    (1..10_000).map(name).find(|path| !taken(path)).unwrap_or_else(|| name(10_000))
}

fn is_writable(folder: &Path) -> bool {
    #[cfg(unix)]
    return rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    #[cfg(not(unix))]
    return std::fs::metadata(folder).is_ok_and(|m| !m.permissions().readonly());
}

/// The file of `FAMILY:LEVEL`, in any case; of `FAMILY` alone where only one level is on disk.
pub fn lookup(name: &str, scan: &Scan) -> Option<PathBuf> {
    let named = |text: &str| scan.families.iter().find(|f| f.name.eq_ignore_ascii_case(text));
    if let Some((family, quant)) = name.rsplit_once(':')
        && let Some(rung) = named(family).and_then(|f| f.rung(quant))
    {
        return match &rung.state {
            RungState::OnDisk { path, .. } => Some(path.clone()),
            _ => None,
        };
    }
    let mut on_disk = named(name)?.on_disk();
    let (_, only) = on_disk.next()?;
    on_disk.next().is_none().then(|| only.to_path_buf())
}
