//! What this program is made of, fixed when it was compiled (see `build.rs` at the top of the project).

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// llama.cpp's release tag, which names its commit: that of the llama.cpp that `llama-cpp-sys-2` bundles, found out when this program was
/// built (`build.rs`). The crate ships it without git, so llama.cpp itself reports 0. `b0` where it is not known.
pub const LLAMA_BUILD: &str = concat!("b", env!("INFERSCOPE_LLAMA_BUILD_NUMBER"));

/// Version of the safe bindings, from `Cargo.lock`.
pub const LLAMA_CPP_2: &str = env!("INFERSCOPE_LLAMA_CPP_2");

/// Version of the raw bindings, which carry llama.cpp's sources.
pub const LLAMA_CPP_SYS_2: &str = env!("INFERSCOPE_LLAMA_CPP_SYS_2");

/// Target triple.
pub const TARGET: &str = env!("INFERSCOPE_TARGET");

/// CPU features that the compiler was allowed to use, separated by commas. llama.cpp is compiled with the same.
pub const TARGET_FEATURES: &str = env!("INFERSCOPE_TARGET_FEATURES");

/// `debug` or `release`. llama.cpp and the libraries are compiled with full optimisation in both.
pub const PROFILE: &str = env!("INFERSCOPE_PROFILE");

/// The commit this was built from, 40 hexadecimal digits; `None` when built from a tarball.
pub fn git_revision() -> Option<&'static str> {
    let revision = env!("INFERSCOPE_GIT_REVISION");
    (!revision.is_empty()).then_some(revision)
}

/// The first twelve digits of the revision, for display.
pub fn short_revision() -> Option<&'static str> {
    git_revision().and_then(|r| r.get(..12))
}

/// Whether llama.cpp is compiled in.
pub const HAS_LLAMA: bool = cfg!(feature = "llama");

/// One line: `0.1.0 (1a2b3c4d5e6f, llama.cpp b11434, debug)`.
pub fn version_line() -> String {
    let revision = short_revision().map(|r| format!("{r}, ")).unwrap_or_default();
    let engine = if HAS_LLAMA { format!("llama.cpp {LLAMA_BUILD}") } else { "no llama.cpp".to_owned() };
    format!("{VERSION} ({revision}{engine}, {PROFILE})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_itself() {
        // a newer crate needs its number found out, or every report would name the wrong llama.cpp
        assert!(LLAMA_BUILD.trim_start_matches('b').parse::<u32>().is_ok_and(|number| number > 0), "{LLAMA_BUILD}: see build.rs");
        assert!(!TARGET.is_empty() && !PROFILE.is_empty());
        // the crates are pinned, so the lock file must have been read
        assert!(LLAMA_CPP_2.starts_with("0.1.") && LLAMA_CPP_SYS_2.starts_with("0.1."), "{LLAMA_CPP_2} {LLAMA_CPP_SYS_2}");
        assert!(git_revision().is_none_or(|r| r.len() >= 40));
        assert!(version_line().starts_with(VERSION));
    }
}
