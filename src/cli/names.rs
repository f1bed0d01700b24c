//! FILE arguments: a path to a GGUF, or a model's name as `inferscope models` prints it.

use std::path::{Path, PathBuf};

use super::error::{CliError, USAGE};
use crate::library::{self, RungState, Scan, ScanCache};
use crate::protocol::Design;
use crate::store::{Dirs, Settings, SettingsFile};

/// How many names a hint lists.
const SUGGESTED: usize = 4;

/// The user's folders and settings, looked at only: nothing is created or put right, which is the window's to do. Where there is no home
/// folder, the defaults and the current folder serve.
pub fn settings() -> (Option<Dirs>, Settings) {
    let Ok(dirs) = Dirs::resolve() else { return (None, Settings::default()) };
    let settings = SettingsFile::peek(&dirs.config);
    (Some(dirs), settings)
}

/// Where models that are made go when they cannot go beside their source.
pub fn models_dir() -> PathBuf {
    let (dirs, settings) = settings();
    dirs.map_or_else(|| "models".into(), |dirs| settings.models_dir(&dirs))
}

/// Every folder that may hold models: the same that the window looks into.
pub fn known_dirs() -> Vec<PathBuf> {
    library::search_dirs(&models_dir(), &settings().1.model_folders)
}

/// The model a command is about: FILE where one is given, else the design's own. The path of a file that is there is whole, because what
/// is kept of a design must hold wherever the program is started next.
///
/// # Errors
/// As [`resolve`], and when neither is given.
pub fn model_of(file: Option<&str>, design: &Design) -> Result<PathBuf, CliError> {
    match file {
        Some(file) => resolve(file).map(whole),
        None if design.model.as_os_str().is_empty() => {
            Err(CliError::usage("The design names no model").hint("Give a GGUF file or a model's name"))
        }
        None => Ok(whole(design.model.clone())),
    }
}

fn whole(path: PathBuf) -> PathBuf {
    let absolute = path.exists().then(|| std::path::absolute(&path).ok()).flatten();
    absolute.unwrap_or(path)
}

/// The file of a path or a name.
///
/// # Errors
/// When there is no such file, and no model, or more than one, of that name.
pub fn resolve(file: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(file);
    let is_gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
    let is_path = is_gguf || path.is_absolute() || file.starts_with('.') || file.contains(std::path::MAIN_SEPARATOR);
    if path.exists() || is_path {
        // what is wrong with it, if anything, is said by whoever reads it
        return Ok(path.to_path_buf());
    }
    by_name(file, &library::scan(&known_dirs(), &mut ScanCache::new()))
}

/// The file of a name: exactly as printed, else the only one that the text is a part of.
fn by_name(name: &str, scan: &Scan) -> Result<PathBuf, CliError> {
    if let Some(path) = library::lookup(name, scan) {
        return Ok(path);
    }
    let all = rungs(scan);
    let wanted = name.to_lowercase();
    let matching: Vec<&(String, PathBuf)> = all.iter().filter(|(full, _)| full.to_lowercase().contains(&wanted)).collect();
    let list = |names: &mut dyn Iterator<Item = &str>| names.take(SUGGESTED).collect::<Vec<_>>().join(", ");
    match matching.as_slice() {
        [(_, path)] => Ok(path.clone()),
        [] => {
            let hint = if all.is_empty() {
                "No models were found; give the path of a GGUF file".to_owned()
            } else {
                format!("There are {}; `inferscope models` lists them all", list(&mut all.iter().map(|(n, _)| n.as_str())))
            };
            Err(CliError::new("file_missing", format!("There is no file and no model named {name}"), USAGE).hint(hint).path(name))
        }
        several => {
            let names = list(&mut several.iter().map(|(n, _)| n.as_str()));
            Err(CliError::new("ambiguous_name", format!("{} models have {name} in their name", several.len()), USAGE)
                .hint(format!("Say which: {names}"))
                .path(name))
        }
    }
}

/// `Family:LEVEL` of everything on disk.
fn rungs(scan: &Scan) -> Vec<(String, PathBuf)> {
    let mut all = Vec::new();
    for family in &scan.families {
        for rung in &family.rungs {
            if let RungState::OnDisk { path, .. } = &rung.state {
                all.push((format!("{}:{}", family.name, rung.quant), path.clone()));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{Family, Rung};

    fn scan(models: &[(&str, &str)]) -> Scan {
        let family = |(name, quant): &(&str, &str)| Family {
            key: (*name).into(),
            name: (*name).into(),
            arch: "llama".into(),
            n_params: 1,
            n_layer: 1,
            n_ctx_train: 1,
            rungs: vec![Rung {
                quant: (*quant).into(),
                usual: true,
                note: String::new(),
                state: RungState::OnDisk { path: format!("/m/{name}.{quant}.gguf").into(), size: 1, bpw: 1.0, alternates: vec![] },
            }],
        };
        Scan { families: models.iter().map(family).collect(), skipped: vec![] }
    }

    #[test]
    fn what_is_kept_of_a_design_holds_elsewhere_too() {
        let here = model_of(Some("Cargo.toml"), &Design::default()).unwrap();
        assert!(here.is_absolute() && here.ends_with("Cargo.toml"), "{}", here.display());
        assert_eq!(model_of(None, &Design::for_model("Cargo.toml")).unwrap(), here);
        assert_eq!(model_of(Some("./none.gguf"), &Design::default()).unwrap(), Path::new("./none.gguf"), "an error says what was typed");
    }

    #[test]
    fn full_names_and_parts() {
        let scan = scan(&[("SmolLM2-135M", "Q4_1"), ("Llama-3", "Q8_0"), ("Llama-3-Instruct", "Q8_0")]);
        assert_eq!(by_name("smollm2-135m:q4_1", &scan).unwrap(), Path::new("/m/SmolLM2-135M.Q4_1.gguf"));
        assert_eq!(by_name("Llama-3:Q8_0", &scan).unwrap(), Path::new("/m/Llama-3.Q8_0.gguf"), "exact beats part");
        assert_eq!(by_name("smol", &scan).unwrap(), Path::new("/m/SmolLM2-135M.Q4_1.gguf"));
        let two = by_name("q8_0", &scan).unwrap_err();
        assert_eq!((two.kind.as_str(), two.status), ("ambiguous_name", 2));
        assert!(two.hint.contains("Llama-3-Instruct:Q8_0"), "{two:?}");
        let none = by_name("mistral", &scan).unwrap_err();
        assert!(none.hint.contains("SmolLM2-135M:Q4_1"), "{none:?}");
    }

    #[test]
    fn a_path_stays_a_path() {
        for path in ["./nothing", "/nowhere/model", "missing.gguf", "a/b"] {
            assert_eq!(resolve(path).unwrap(), Path::new(path));
        }
    }
}
