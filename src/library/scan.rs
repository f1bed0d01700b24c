//! Finding models: walks through model folders, reads headers once, and says what was passed over and why.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::family::{Family, FileFacts, families};
use super::gguf::{Fault, read_model, shard_name};
use super::partial;

/// Folders inside folders, at most. The deepest known layout (Hugging Face's) takes four.
const MAX_DEPTH: usize = 10;
/// Names looked at in one root, at most: someone may point at a whole disk.
const MAX_ENTRIES: usize = 200_000;
/// Largest Ollama manifest that is read, bytes.
const MAX_MANIFEST: u64 = 1 << 20;

/// Something that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why, as one sentence without a final stop
    pub why: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scan {
    /// Models with their ladders, by name
    pub families: Vec<Family>,
    /// What was passed over
    pub skipped: Vec<Skipped>,
}

impl Scan {
    /// The family a file belongs to.
    pub fn family_of(&self, file: &Path) -> Option<&Family> {
        self.families.iter().find(|family| family.rung_of(file).is_some())
    }

    /// Files found, duplicates included.
    pub fn n_files(&self) -> usize {
        let count = |state: &super::RungState| match state {
            super::RungState::OnDisk { alternates, .. } => 1 + alternates.len(),
            _ => 0,
        };
        self.families.iter().flat_map(|f| &f.rungs).map(|rung| count(&rung.state)).sum()
    }
}

/// A path as text; what is not UTF-8 in it is replaced (JSON has no other way).
pub(super) fn lossy<S: Serializer>(path: &Path, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&path.to_string_lossy())
}

pub(super) fn lossy_list<S: Serializer>(paths: &[PathBuf], out: S) -> Result<S::Ok, S::Error> {
    out.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

/// What was read of a file, valid while its length and time stay the same.
#[derive(Debug)]
struct Known {
    len: u64,
    modified: Option<SystemTime>,
    outcome: Result<Arc<FileFacts>, String>,
}

/// Headers of earlier scans, so that a rescan only looks at names and times.
#[derive(Debug, Default)]
pub struct ScanCache {
    known: HashMap<PathBuf, Known>,
    reads: u64,
}

impl ScanCache {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Headers read since it was made.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    fn facts(&mut self, path: &Path, label: Option<&str>) -> Result<Arc<FileFacts>, String> {
        let found = fs::metadata(path).ok();
        let (len, modified) = found.map_or((0, None), |m| (m.len(), m.modified().ok()));
        if let Some(known) = self.known.get(path).filter(|k| k.len == len && k.modified == modified && k.is_whole()) {
            return known.outcome.clone();
        }
        self.reads += 1;
        let outcome = match read_model(path) {
            Ok(header) => Ok(Arc::new(FileFacts::new(&header, label))),
            // what is outside the file may come right without the file changing
            Err(error) if matches!(error.fault, Fault::BadSplit | Fault::Unreadable | Fault::Missing) => return Err(error.message),
            Err(error) => Err(error.message),
        };
        self.known.insert(path.into(), Known { len, modified, outcome: outcome.clone() });
        outcome
    }
}

impl Known {
    /// Whether the other parts of a split model are as they were.
    fn is_whole(&self) -> bool {
        let Ok(facts) = &self.outcome else { return true };
        facts.shards.iter().all(|(path, len)| fs::metadata(path).is_ok_and(|m| m.len() == *len))
    }
}

/// Finds the models in `dirs` and orders them into families. The first folder is our own: rungs whose source may not have a neighbour go
/// there. Folders are never written to, links are followed and loops noticed, hidden names and unfinished files passed over.
pub fn scan(dirs: &[PathBuf], cache: &mut ScanCache) -> Scan {
    let mut walk = Walk::default();
    for dir in dirs {
        walk.root(dir);
    }
    let mut facts = Vec::new();
    let mut seen_paths = HashSet::new();
    for (path, label) in walk.found {
        match cache.facts(&path, label.as_deref()) {
            Ok(found) => facts.push(found),
            Err(why) => walk.skipped.push(Skipped { path: path.clone(), why }),
        }
        seen_paths.insert(path);
    }
    cache.known.retain(|path, _| seen_paths.contains(path));
    let own = dirs.first().cloned().unwrap_or_default();
    Scan { families: families(&facts, &own), skipped: walk.skipped }
}

#[derive(Default)]
struct Walk {
    /// Model files, and a name where the file's own says nothing
    found: Vec<(PathBuf, Option<String>)>,
    skipped: Vec<Skipped>,
    /// Folders and files already met, by what they are and not by what they are called
    met: HashSet<Identity>,
}

#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

fn identity(path: &Path, metadata: &fs::Metadata) -> Identity {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let _ = path;
        (metadata.dev(), metadata.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
    }
}

impl Walk {
    fn skip(&mut self, path: &Path, why: impl Into<String>) {
        self.skipped.push(Skipped { path: path.into(), why: why.into() });
    }

    fn root(&mut self, dir: &Path) {
        match fs::metadata(dir) {
            // one folder is one place however it was named, so that one file is one rung
            Ok(metadata) if metadata.is_dir() => self.folders(&dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf())),
            Ok(_) => self.skip(dir, "This is not a folder"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.skip(dir, "There is no such folder"),
            Err(error) => self.skip(dir, format!("The folder cannot be read ({error})")),
        }
    }

    fn folders(&mut self, root: &Path) {
        let mut waiting = vec![(root.to_path_buf(), 0)];
        let mut entries = 0;
        while let Some((dir, depth)) = waiting.pop() {
            let Ok(metadata) = fs::metadata(&dir) else { continue };
            if !self.met.insert(identity(&dir, &metadata)) {
                continue;
            }
            if dir.join("manifests").is_dir() && dir.join("blobs").is_dir() {
                self.ollama(&dir);
                continue;
            }
            let mut names: Vec<PathBuf> = match fs::read_dir(&dir) {
                Ok(list) => list.flatten().map(|entry| entry.path()).take(MAX_ENTRIES - entries + 1).collect(),
                Err(error) => {
                    self.skip(&dir, format!("The folder cannot be read ({error})"));
                    continue;
                }
            };
            entries += names.len();
            if entries > MAX_ENTRIES {
                self.skip(root, format!("The folder holds more than {MAX_ENTRIES} names; the rest was not looked at"));
                return;
            }
            // the system's order differs from run to run; ours must not
            names.sort();
            for path in names {
                if let Some(inner) = self.entry(&path) {
                    if depth >= MAX_DEPTH {
                        self.skip(&inner, format!("More than {MAX_DEPTH} folders deep"));
                    } else {
                        waiting.push((inner, depth + 1));
                    }
                }
            }
        }
    }

    /// Looks at one name; a folder is given back to be walked through.
    fn entry(&mut self, path: &Path) -> Option<PathBuf> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        if name.starts_with('.') {
            return None;
        }
        let is_gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => return Some(path.to_path_buf()),
            Ok(metadata) if is_gguf => self.file(path, &name, &metadata),
            Err(error) if is_gguf => self.skip(path, format!("The file cannot be looked at ({error})")),
            _ => {}
        }
        None
    }

    fn file(&mut self, path: &Path, name: &str, metadata: &fs::Metadata) {
        if !metadata.is_file() {
            return self.skip(path, "This is a pipe or a device, not a model file");
        }
        if path.to_str().is_none() {
            return self.skip(path, "The name is not plain text, so the engine cannot be told of it: rename the file");
        }
        if let Some((prefix, nth, total)) = shard_name(path).filter(|(_, nth, _)| *nth != 1) {
            let first = path.with_file_name(format!("{prefix}-00001-of-{total:05}.gguf"));
            if !first.exists() {
                self.skip(path, format!("This is part {nth} of {total} of a split model, and part 1 is missing"));
            }
            return;
        }
        if name.to_lowercase().starts_with("mmproj") {
            return self.skip(path, "This is a projector for pictures or sound, which works only beside its model");
        }
        if self.met.insert(identity(path, metadata)) {
            self.found.push((path.to_path_buf(), None));
        }
    }

    /// Ollama keeps a manifest per model and tag, which names the blob that is the GGUF.
    fn ollama(&mut self, dir: &Path) {
        let mut waiting = vec![(dir.join("manifests"), 0)];
        while let Some((folder, depth)) = waiting.pop() {
            let mut names: Vec<PathBuf> = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            names.sort();
            for path in names {
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if metadata.is_dir() && depth < MAX_DEPTH && self.met.insert(identity(&path, &metadata)) {
                    waiting.push((path, depth + 1));
                } else if metadata.is_file()
                    && metadata.len() <= MAX_MANIFEST
                    && let Some(blob) = model_blob(&path, &dir.join("blobs"))
                    && let Ok(found) = fs::metadata(&blob)
                    && found.is_file()
                    && self.met.insert(identity(&blob, &found))
                {
                    let part =
                        |path: Option<&Path>| path.and_then(Path::file_name).map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                    let (tag, model) = (part(Some(&path)), part(path.parent()));
                    self.found.push((blob, Some(format!("{model}-{tag}"))));
                }
            }
        }
    }
}

/// The blob that an Ollama manifest calls the model.
fn model_blob(manifest: &Path, blobs: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(manifest).ok()?;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    let layers = json.get("layers")?.as_array()?;
    let model =
        layers.iter().find(|layer| layer.get("mediaType").and_then(|m| m.as_str()) == Some("application/vnd.ollama.image.model"))?;
    let hash = model.get("digest")?.as_str()?.strip_prefix("sha256:")?;
    // a digest is letters and digits; anything else might lead out of the folder
    hash.bytes().all(|b| b.is_ascii_hexdigit()).then(|| blobs.join(format!("sha256-{hash}")))
}

/// Whether a name is that of an unfinished file.
pub fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(partial::ENDING))
}
