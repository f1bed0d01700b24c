//! Embeds what the program says about itself: git revision where there is one, versions of the llama.cpp crates, target features, profile.
//!
//! Reads files only (no git, no network), so it works from a tarball, in a worktree and with a shallow clone; and it asks to be run again
//! only for the files it read, so that an edit in `src/` does not run it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    watch(&root.join("build.rs"));
    let set = |name: &str, value: &str| println!("cargo::rustc-env=INFERSCOPE_{name}={value}");
    let cargo = |name: &str| env::var(name).unwrap_or_default();

    set("GIT_REVISION", &git_revision(&root).unwrap_or_default());
    set("TARGET", &cargo("TARGET"));
    set("TARGET_FEATURES", &cargo("CARGO_CFG_TARGET_FEATURE"));
    set("PROFILE", &cargo("PROFILE"));
    let lock = root.join("Cargo.lock");
    watch(&lock);
    let lock = fs::read_to_string(lock).unwrap_or_default();
    set("LLAMA_CPP_2", locked_version(&lock, "llama-cpp-2").unwrap_or_default());
    let sys = locked_version(&lock, "llama-cpp-sys-2").unwrap_or_default();
    set("LLAMA_CPP_SYS_2", sys);
    pack_relocations();
    wrap_products();
    println!("cargo::rerun-if-env-changed=LLAMA_BUILD_NUMBER");
    set("LLAMA_BUILD_NUMBER", &llama_build_number(sys).to_string());
}

/// Has the linker write the program's relocations in their short form (`DT_RELR`), where the C library of this machine can read it (glibc
/// 2.36 and newer): the loader goes through all of them, and the 2 MB of the long form stay in the window's resident memory. A linker that
/// does not know the form says so and goes on.
fn pack_relocations() {
    let cargo = |name: &str| env::var(name).unwrap_or_default();
    if cargo("TARGET") != cargo("HOST") || cargo("CARGO_CFG_TARGET_OS") != "linux" || cargo("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let arch = cargo("CARGO_CFG_TARGET_ARCH");
    let known = [format!("/lib/{arch}-linux-gnu/libc.so.6"), "/lib64/libc.so.6".to_owned(), "/usr/lib/libc.so.6".to_owned()];
    let reads_it = |path: &String| fs::read(path).is_ok_and(|bytes| bytes.windows(RELR.len()).any(|part| part == RELR));
    if known.iter().any(reads_it) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Has the linker put a function of ours before one of llama.cpp's (`src/engine/llama/batched.rs`), where its own has no matrix kernels for
/// some formats and the linkers (GNU's, LLVM's, mold) can do it.
fn wrap_products() {
    println!("cargo::rustc-check-cfg=cfg(inferscope_wraps)");
    let cargo = |name: &str| env::var(name).unwrap_or_default();
    let known = cargo("CARGO_CFG_TARGET_OS") == "linux" && cargo("CARGO_CFG_TARGET_ARCH") == "x86_64";
    if known && env::var_os("CARGO_FEATURE_LLAMA").is_some() {
        println!("cargo::rustc-link-arg=-Wl,--wrap=llamafile_sgemm");
        println!("cargo::rustc-cfg=inferscope_wraps");
    }
}

/// The name of the version that a C library with this ability defines.
const RELR: &[u8] = b"GLIBC_ABI_DT_RELR";

/// Build number of the llama.cpp that a version of `llama-cpp-sys-2` bundles: what the environment says (`LLAMA_BUILD_NUMBER`, for a
/// version built from elsewhere), else what was found for that version by comparing its files with llama.cpp's releases. The crate
/// carries no version control data, so nothing else tells. 0: not known, and said to be so.
fn llama_build_number(sys: &str) -> u32 {
    let said = env::var("LLAMA_BUILD_NUMBER").ok().and_then(|number| number.trim().parse().ok());
    said.unwrap_or_else(|| BUNDLED.iter().find(|(version, _)| *version == sys).map_or(0, |(_, number)| *number))
}

/// Versions of `llama-cpp-sys-2` and the release of llama.cpp whose sources are the same, file by file.
const BUNDLED: [(&str, u32); 1] = [("0.1.161", 11434)];

/// Asks cargo to run this again when a file changes. A file that is not there must not be named: cargo would run it every time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}

/// The version of a package in `Cargo.lock`, which lists `name` and `version` on neighbouring lines.
fn locked_version<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| **line != name);
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// The commit that is checked out, as 40 hexadecimal digits; `None` outside a repository.
fn git_revision(root: &Path) -> Option<String> {
    let dot_git = root.join(".git");
    // in a worktree `.git` is a file that names the folder, and branches live in the main repository's
    let git = match fs::read_to_string(&dot_git) {
        Ok(text) => root.join(text.trim().strip_prefix("gitdir: ")?),
        Err(_) if dot_git.is_dir() => dot_git,
        Err(_) => return None,
    };
    let common = fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |text| git.join(text.trim()));
    let head = git.join("HEAD");
    watch(&head);
    // grows with every commit and checkout; HEAD itself does not change when a branch moves
    watch(&git.join("logs").join("HEAD"));
    let head = fs::read_to_string(head).ok()?;
    let revision = match head.trim().strip_prefix("ref: ") {
        None => head.trim().to_owned(),
        Some(name) => {
            let loose = common.join(name);
            let packed = common.join("packed-refs");
            watch(&loose);
            watch(&packed);
            match fs::read_to_string(loose) {
                Ok(text) => text.trim().to_owned(),
                Err(_) => packed_revision(&fs::read_to_string(packed).ok()?, name)?,
            }
        }
    };
    (revision.len() >= 40 && revision.chars().all(|c| c.is_ascii_hexdigit())).then_some(revision)
}

fn packed_revision(packed: &str, name: &str) -> Option<String> {
    packed.lines().find_map(|line| match line.split_once(' ') {
        Some((revision, reference)) if reference == name => Some(revision.to_owned()),
        _ => None,
    })
}
