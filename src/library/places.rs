//! Where model files are usually kept: our own folder, and, to read only, those of other programs.

use std::env;
use std::path::{Path, PathBuf};

use directories::BaseDirs;

use super::family::RungState;
use super::partial::is_same_file;
use super::scan::Scan;

/// Every folder to scan, for the window and the command line alike: our own first (also when it does not exist yet: rungs are made there),
/// those the user chose, then of those that exist `models/` of the current folder and of the project this program was built in, and those of
/// other programs. No folder is named twice.
pub fn search_dirs(models_dir: &Path, chosen: &[PathBuf]) -> Vec<PathBuf> {
    let mut dirs = vec![models_dir.to_path_buf()];
    let found = near_dirs().into_iter().chain(known_dirs()).filter(|dir| dir.is_dir());
    for dir in chosen.iter().cloned().chain(found) {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
}

/// `models/` of where this program was started and of where it lies, whether or not they exist.
fn near_dirs() -> Vec<PathBuf> {
    let (here, program) = (env::current_dir().ok(), env::current_exe().ok());
    let projects = program.iter().flat_map(|program| program.ancestors().skip(1).take(3));
    here.as_deref().into_iter().chain(projects).map(|folder| folder.join("models")).collect()
}

/// The model folders of other programs, whether or not they exist.
pub fn known_dirs() -> Vec<PathBuf> {
    let Some(base) = BaseDirs::new() else { return Vec::new() };
    let (home, data, cache) = (base.home_dir(), base.data_dir(), base.cache_dir());
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let hugging_face = set("HF_HUB_CACHE")
        .or_else(|| set("HF_HOME").map(|dir| dir.join("hub")))
        .unwrap_or_else(|| set("XDG_CACHE_HOME").unwrap_or_else(|| home.join(".cache")).join("huggingface/hub"));
    vec![
        hugging_face,
        home.join(".lmstudio/models"),
        home.join(".cache/lm-studio/models"),
        set("LLAMA_CACHE").unwrap_or_else(|| cache.join("llama.cpp")),
        data.join("Jan/data/llamacpp/models"),
        home.join("jan/models"),
        data.join("nomic.ai/GPT4All"),
        set("OLLAMA_MODELS").unwrap_or_else(|| home.join(".ollama/models")),
        PathBuf::from("/usr/share/ollama/.ollama/models"),
    ]
}

/// Whether a file belongs to another program, so that nothing is written beside it.
pub fn is_foreign(file: &Path) -> bool {
    known_dirs().iter().any(|dir| file.starts_with(dir))
}

/// How the library spells a file: as the last scan does where it found the file under whatever name, else its own name in its folder's real
/// place. A path that leads nowhere stays as it is, so that what is said of it names what was asked for.
pub fn spelling(file: &Path, known: &Scan) -> PathBuf {
    if known.family_of(file).is_some() {
        return file.to_path_buf();
    }
    let on_disk = known.families.iter().flat_map(|family| &family.rungs).filter_map(|rung| match &rung.state {
        RungState::OnDisk { path, alternates, .. } => Some([path].into_iter().chain(alternates)),
        _ => None,
    });
    if let Some(found) = on_disk.flatten().find(|path| is_same_file(path, file)) {
        return found.clone();
    }
    real_folder(file)
}

/// A file's own name (which says its level, and a link's target may not) in the real place of its folder.
fn real_folder(file: &Path) -> PathBuf {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    match (whole.parent().and_then(|folder| folder.canonicalize().ok()), whole.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => file.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_folder_comes_first_and_may_be_missing() {
        let chosen = [PathBuf::from("/nowhere/chosen"), PathBuf::from("/nowhere/models"), PathBuf::from("/nowhere/chosen")];
        let dirs = search_dirs(Path::new("/nowhere/models"), &chosen);
        assert_eq!(dirs[..2], [Path::new("/nowhere/models"), Path::new("/nowhere/chosen")]);
        assert!(dirs[2..].iter().all(|dir| dir.is_dir()));
        assert!(dirs.iter().enumerate().all(|(i, dir)| !dirs[..i].contains(dir)), "each once: {dirs:?}");
    }

    #[test]
    fn the_projects_own_models_are_found_from_its_folder() {
        // cargo runs tests in the package's folder, which has one
        let own = env::current_dir().unwrap().join("models");
        assert_eq!(search_dirs(Path::new("/nowhere"), &[]).contains(&own), own.is_dir());
    }

    #[test]
    fn other_programs_folders_are_foreign() {
        let dir = known_dirs().into_iter().next().unwrap();
        assert!(is_foreign(&dir.join("models--a/snapshots/b/c.gguf")));
        assert!(!is_foreign(Path::new("/nowhere/models/c.gguf")));
    }

    #[cfg(unix)]
    #[test]
    fn one_file_has_one_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("models");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("m-Q4_0.gguf"), b"x").unwrap();
        let linked = dir.path().join("linked");
        std::os::unix::fs::symlink(&real, &linked).unwrap();
        let nothing = Scan::default();
        let expected = real.join("m-Q4_0.gguf");
        for path in [expected.clone(), linked.join("m-Q4_0.gguf"), real.join("../models/./m-Q4_0.gguf")] {
            assert_eq!(spelling(&path, &nothing), expected);
        }
        let gone = dir.path().join("none/m.gguf");
        assert_eq!(spelling(&gone, &nothing), gone);
        // a link to a file keeps the name that says its level
        let named = real.join("other-Q8_0.gguf");
        std::os::unix::fs::symlink(real.join("m-Q4_0.gguf"), &named).unwrap();
        assert_eq!(spelling(&named, &nothing), named);
    }
}
