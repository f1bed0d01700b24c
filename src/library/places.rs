//! Where model files are usually kept: our own folder, and, to read only, those of other programs.

use std::env;
use std::path::{Path, PathBuf};

use directories::BaseDirs;

/// Folders to scan: our own first (also when it does not exist yet: rungs are made there), then those of other programs that exist. Ours is
/// the only one that is ever written to.
pub fn default_dirs(models_dir: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![models_dir.to_path_buf()];
    for dir in known_dirs() {
        if dir.is_dir() && !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    dirs
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_folder_comes_first_and_may_be_missing() {
        let dirs = default_dirs(Path::new("/nowhere/models"));
        assert_eq!(dirs[0], Path::new("/nowhere/models"));
        assert!(dirs[1..].iter().all(|dir| dir.is_dir()));
    }

    #[test]
    fn other_programs_folders_are_foreign() {
        let dir = known_dirs().into_iter().next().unwrap();
        assert!(is_foreign(&dir.join("models--a/snapshots/b/c.gguf")));
        assert!(!is_foreign(Path::new("/nowhere/models/c.gguf")));
    }
}
