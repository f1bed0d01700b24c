//! Scans and ladders.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use inferscope::library::{Family, RungState, Scan, ScanCache, Skipped, lookup, scan, suggest_target};

use crate::support::gguf::{Gguf, Kv, Tiny, Ty};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn scan_one(dir: &Path) -> Scan {
    scan(&[dir.to_path_buf()], &mut ScanCache::new())
}

fn tiny(name: &str, ty: Ty) -> Tiny {
    Tiny { name: name.into(), ty, n_embd: 256, n_ff: 256, ..Tiny::default() }
}

fn state<'a>(family: &'a Family, quant: &str) -> &'a RungState {
    &family.rung(quant).unwrap_or_else(|| panic!("no rung {quant}")).state
}

#[track_caller]
fn why(family: &Family, quant: &str) -> String {
    match state(family, quant) {
        RungState::Unavailable { why } => why.clone(),
        other => panic!("{quant} is {other:?}"),
    }
}

#[test]
fn one_model_two_levels_is_one_family() {
    let dir = folder();
    tiny("Tiny", Ty::F16).write(dir.path().join("Tiny-Test.F16.gguf"));
    fs::create_dir(dir.path().join("more")).unwrap();
    tiny("Tiny", Ty::Q8_0).write(dir.path().join("more/tiny_test-Q8_0.gguf"));
    let found = scan_one(dir.path());
    assert_eq!((found.families.len(), found.n_files()), (1, 2), "{found:#?}");
    assert!(found.skipped.is_empty());
    let family = &found.families[0];
    assert_eq!((family.name.as_str(), family.arch.as_str(), family.n_layer), ("Tiny-Test", "llama", 2));
    assert_eq!(family.on_disk().map(|(rung, _)| rung.quant.as_str()).collect::<Vec<_>>(), ["F16", "Q8_0"]);
    assert_eq!(found.family_of(&dir.path().join("more/tiny_test-Q8_0.gguf")), Some(family));

    let RungState::CanMake { source, source_quant, size_estimate, lossy_source, target, needs_space, seconds_estimate, .. } =
        state(family, "Q4_K_M")
    else {
        panic!("{:?}", state(family, "Q4_K_M"))
    };
    assert_eq!((source.as_path(), source_quant.as_str()), (dir.path().join("Tiny-Test.F16.gguf").as_path(), "F16"));
    assert!(!lossy_source && *size_estimate > 0 && needs_space > size_estimate && *seconds_estimate > 0.0);
    assert_eq!(*target, dir.path().join("Tiny-Test.Q4_K_M.gguf"));

    let sizes: Vec<f64> = ["F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K"]
        .map(|quant| match state(family, quant) {
            RungState::OnDisk { bpw, .. } => *bpw,
            RungState::CanMake { bpw_estimate, .. } => *bpw_estimate,
            RungState::Unavailable { why } => panic!("{quant}: {why}"),
        })
        .into();
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    assert!(why(family, "TQ1_0").contains("ternary"));
    assert!(why(family, "IQ2_XXS").contains("importance matrix"));
    assert!(why(family, "F32").contains("twice"));
    assert!(why(family, "BF16").contains("F16"));
}

#[test]
fn a_lossy_source_is_called_so() {
    let dir = folder();
    tiny("Tiny", Ty::Q8_0).write(dir.path().join("Tiny-Q8_0.gguf"));
    let found = scan_one(dir.path());
    let family = &found.families[0];
    assert!(matches!(state(family, "Q4_K_M"), RungState::CanMake { lossy_source: true, .. }));
    assert!(matches!(state(family, "F16"), RungState::CanMake { lossy_source: true, .. }));
    assert!(family.rung("F16").unwrap().note.contains("No better than Q8_0"));
    assert!(why(family, "F32").contains("no better") && why(family, "BF16").contains("no better"));
}

#[test]
fn rows_that_do_not_divide_are_told_of() {
    let dir = folder();
    Tiny::default().write(dir.path().join("Narrow-F16.gguf"));
    let found = scan_one(dir.path());
    let family = &found.families[0];
    assert!(family.rung("Q4_K_M").unwrap().note.contains("Only 0 % of the weights"), "{:?}", family.rung("Q4_K_M"));
    // on rows of 32 the lattice types fall back to IQ4_NL, which needs no importance matrix
    assert!(matches!(state(family, "IQ2_XXS"), RungState::CanMake { .. }));
}

#[test]
fn a_header_that_lies_about_its_level_is_explained() {
    let mut file = Tiny { ty: Ty::Q8_0, ..Tiny::default() }.gguf();
    file.set("general.file_type", Kv::U32(15));
    let dir = folder();
    file.write(dir.path().join("Narrow-Q4_K_M.gguf"));
    let found = scan_one(dir.path());
    let note = &found.families[0].rung("Q4_K_M").unwrap().note;
    assert!(note.contains("0 % of the weights are Q4_K") && note.contains("100 % Q8_0"), "{note}");
}

#[test]
fn headers_name_files_that_were_renamed_and_levels_keep_models_apart() {
    let dir = folder();
    tiny("Original 1B", Ty::F16).write(dir.path().join("first.gguf"));
    tiny("Original 1B", Ty::Q8_0).write(dir.path().join("second.gguf"));
    assert_eq!(scan_one(dir.path()).families.len(), 1, "one header name, two levels");
    // a finetune whose maker left the name of the original in the header
    Tiny { seed: 9, ..tiny("Original 1B", Ty::F16) }.write(dir.path().join("finetune.gguf"));
    let found = scan_one(dir.path());
    assert_eq!(found.families.len(), 2, "{:?}", found.families.iter().map(|f| &f.name).collect::<Vec<_>>());
    let mut deeper = tiny("Original 1B", Ty::F16);
    deeper.n_layer = 3;
    deeper.write(dir.path().join("deeper.gguf"));
    assert_eq!(scan_one(dir.path()).families.len(), 3, "another shape is another model");
}

#[test]
fn copies_are_alternates_and_names_are_unique() {
    let dir = folder();
    for sub in ["a", "b"] {
        fs::create_dir(dir.path().join(sub)).unwrap();
        tiny("Tiny", Ty::F16).write(dir.path().join(sub).join("Tiny-F16.gguf"));
        Tiny { n_layer: 1, ..tiny("Tiny", Ty::F16) }.write(dir.path().join(sub).join("Small-F16.gguf"));
    }
    Tiny { n_layer: 3, ..tiny("Tiny", Ty::F16) }.write(dir.path().join("b/Tiny-f16.GGUF"));
    let found = scan_one(dir.path());
    let names: Vec<_> = found.families.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{names:?}");
    let small = found.families.iter().find(|f| f.name == "Small").unwrap();
    let RungState::OnDisk { alternates, path, .. } = state(small, "F16") else { panic!() };
    assert_eq!((path.clone(), alternates.clone()), (dir.path().join("a/Small-F16.gguf"), vec![dir.path().join("b/Small-F16.gguf")]));
}

#[test]
fn names_are_looked_up() {
    let dir = folder();
    tiny("Tiny", Ty::F16).write(dir.path().join("Tiny-F16.gguf"));
    let found = scan_one(dir.path());
    let file = Some(dir.path().join("Tiny-F16.gguf"));
    assert_eq!(lookup("Tiny:F16", &found), file);
    assert_eq!(lookup("tiny:f16", &found), file);
    assert_eq!(lookup("tiny", &found), file);
    assert_eq!(lookup("Tiny:Q4_K_M", &found), None, "not made yet");
    assert_eq!(lookup("Other:F16", &found), None);
    assert_eq!(lookup("", &found), None);
    tiny("Tiny", Ty::Q8_0).write(dir.path().join("Tiny-Q8_0.gguf"));
    assert_eq!(lookup("tiny", &scan_one(dir.path())), None, "which one is not said");
}

#[test]
fn targets_never_exist() {
    let dir = folder();
    let source = dir.path().join("Tiny.F16.gguf");
    fs::write(&source, b"x").unwrap();
    let own = dir.path().join("own");
    let target = suggest_target(&source, "Tiny", "Q4_0", &own);
    assert_eq!(target, dir.path().join("Tiny.Q4_0.gguf"));
    fs::write(&target, b"x").unwrap();
    assert_eq!(suggest_target(&source, "Tiny", "Q4_0", &own), dir.path().join("Tiny-2.Q4_0.gguf"));
    assert_ne!(suggest_target(&source, "Tiny", "F16", &own), source);
    let odd = suggest_target(&source, "../a/b:c", "Q4_0", &own);
    assert_eq!(odd.parent(), Some(dir.path()), "{odd:?}");
    let foreign = inferscope::library::places::known_dirs().remove(0).join("models--x/snapshots/1/X-F16.gguf");
    assert_eq!(suggest_target(&foreign, "X", "Q4_0", &own), own.join("X-Q4_0.gguf"));
}

fn reason<'a>(found: &'a Scan, name: &str) -> &'a str {
    let skipped = |s: &&Skipped| s.path.to_string_lossy().ends_with(name);
    found.skipped.iter().find(skipped).map_or_else(|| panic!("{name} was not skipped: {:?}", found.skipped), |s| s.why.as_str())
}

#[test]
fn what_is_passed_over_is_said() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("noise.gguf"), b"not a model").unwrap();
    fs::write(at("mmproj-Tiny.gguf"), b"x").unwrap();
    fs::write(at("Part-00002-of-00003.gguf"), b"x").unwrap();
    fs::write(at("readme.txt"), b"x").unwrap();
    fs::write(at("Tiny-Q4_0.gguf.77.partial"), b"x").unwrap();
    fs::create_dir(at(".hidden")).unwrap();
    Tiny::default().write(at(".hidden/Tiny-F16.gguf"));
    let mut adapter = Gguf::default();
    adapter.set("general.type", Kv::Str("adapter".into())).set("general.architecture", Kv::Str("llama".into()));
    adapter.write(at("lora.gguf"));
    let bytes = Tiny::default().gguf().bytes();
    fs::write(at("short.gguf"), &bytes[..bytes.len() - 5000]).unwrap();
    let found = scan(&[dir.path().into(), at("readme.txt"), at("missing")], &mut ScanCache::new());
    assert!(found.families.is_empty());
    assert_eq!(found.skipped.len(), 7, "{:?}", found.skipped);
    assert!(reason(&found, "noise.gguf").contains("not a GGUF"));
    assert!(reason(&found, "mmproj-Tiny.gguf").contains("projector"));
    assert!(reason(&found, "Part-00002-of-00003.gguf").contains("part 1 is missing"));
    assert!(reason(&found, "lora.gguf").contains("adapter"));
    assert!(reason(&found, "short.gguf").contains("incomplete"));
    assert!(reason(&found, "readme.txt").contains("not a folder"));
    assert!(reason(&found, "missing").contains("no such folder"));
}

#[test]
#[cfg(unix)]
fn i24_a_folder_full_of_traps() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    symlink(dir.path(), at("a/b/up")).unwrap();
    symlink(at("loop.gguf"), at("loop.gguf")).unwrap();
    symlink("/dev/zero", at("zero.gguf")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe.gguf")).status().unwrap().success());
    fs::create_dir(at("folder.gguf")).unwrap();
    Tiny::default().write(at("a/Tiny-F16.gguf"));
    symlink(at("a/Tiny-F16.gguf"), at("again-F16.gguf")).unwrap();
    Tiny::default().write(dir.path().join(OsStr::from_bytes(b"bad\xff.gguf")));
    let begun = Instant::now();
    let found = scan_one(dir.path());
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(found.n_files(), 1, "a link is no copy: {:?}", found.families);
    assert!(reason(&found, "loop.gguf").contains("cannot be looked at"));
    assert!(reason(&found, "zero.gguf").contains("device"));
    assert!(reason(&found, "pipe.gguf").contains("pipe"));
    assert!(reason(&found, "bad\u{fffd}.gguf").contains("not plain text"));
    assert!(serde_json::to_string(&found).is_ok(), "names that are not text must not break JSON");
}

#[test]
fn ollama_blobs_are_found_by_their_manifests() {
    let dir = folder();
    let manifest = dir.path().join("manifests/registry.ollama.ai/library/tiny");
    fs::create_dir_all(&manifest).unwrap();
    fs::create_dir(dir.path().join("blobs")).unwrap();
    let hash = "ab".repeat(32);
    Tiny::default().write(dir.path().join(format!("blobs/sha256-{hash}")));
    let json = format!(r#"{{"layers":[{{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:{hash}"}}]}}"#);
    fs::write(manifest.join("latest"), json).unwrap();
    fs::write(manifest.join("bad"), r#"{"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:../../x"}]}"#)
        .unwrap();
    let found = scan_one(dir.path());
    assert_eq!(found.families.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["tiny-latest"], "{:?}", found.skipped);
}

#[test]
fn a_rescan_reads_only_what_changed() {
    let dir = folder();
    let model = Tiny { n_layer: 1, n_embd: 32, n_ff: 32, ..Tiny::default() };
    let bytes = model.gguf().bytes();
    for n in 0..300 {
        fs::write(dir.path().join(format!("Model{n}-F16.gguf")), &bytes).unwrap();
    }
    let dirs: [PathBuf; 1] = [dir.path().into()];
    let mut cache = ScanCache::new();
    let first = scan(&dirs, &mut cache);
    assert_eq!((first.n_files(), cache.reads()), (300, 300));
    let begun = Instant::now();
    let second = scan(&dirs, &mut cache);
    let took = begun.elapsed();
    assert_eq!((second, cache.reads()), (first, 300));
    assert!(took < Duration::from_secs(1), "a rescan of 300 files took {took:?}");
    fs::write(dir.path().join("Model7-F16.gguf"), &bytes[..100]).unwrap();
    fs::remove_file(dir.path().join("Model8-F16.gguf")).unwrap();
    let third = scan(&dirs, &mut cache);
    assert_eq!((third.n_files(), third.skipped.len(), cache.reads()), (298, 1, 301));
}

#[test]
fn json_is_what_the_command_line_promises() {
    let dir = folder();
    tiny("Tiny", Ty::Q8_0).write(dir.path().join("Tiny-Q8_0.gguf"));
    let json = serde_json::to_value(scan_one(dir.path())).unwrap();
    let family = &json["families"][0];
    assert_eq!((family["name"].as_str(), family["arch"].as_str()), (Some("Tiny"), Some("llama")));
    assert!(family["n_params"].as_u64() > Some(0));
    let rung = |quant: &str| family["rungs"].as_array().unwrap().iter().find(|r| r["quant"] == quant).unwrap().clone();
    let there = rung("Q8_0");
    assert_eq!(there["state"], "on_disk");
    assert!(there["path"].is_string() && there["size"].is_u64() && there["bpw"].is_f64());
    let possible = rung("Q4_K_M");
    assert_eq!(possible["state"], "can_make");
    assert!(possible["source"].is_string() && possible["size"].is_u64());
    assert_eq!(rung("TQ1_0")["state"], "unavailable");
    assert!(json["skipped"].is_array());
}
