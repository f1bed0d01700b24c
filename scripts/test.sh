#!/usr/bin/env bash
# Runs every test, as continuous integration does. Sets up what is missing first. The tests bring their own display.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

step() {
  local name=$1 began=$SECONDS
  shift
  say "== $name"
  "$@" || die "$name failed" "Type this to run it alone:" "  $*"
  say "== $name: $((SECONDS - began)) s"
}

# What `cargo clippy --lib --bins -- -D warnings` says, but through the build's own choice of targets: another one has other features, and
# would compile llama.cpp a second time. Warnings of an earlier run are told again.
lint() {
  local said
  said=$(RUSTC_WORKSPACE_WRAPPER=clippy-driver cargo test --locked --no-run --test architecture 2>&1) || { say "$said"; return 1; }
  if grep -q '^warning' <<<"$said"; then
    say "$said"
    say "Type this to see the lints alone: cargo clippy --lib --bins"
    return 1
  fi
}

need_rust
need_packages "$build_needs" "$window_needs" "$test_needs"
fetch_model || die "The tests need the starter model" "Put $model_name into models/ by hand, or connect to a network and run this again"

# nothing may skip here for want of a model or of a renderer
export INFERSCOPE_REQUIRE_MODEL=1 INFERSCOPE_REQUIRE_RENDER=1

if cargo fmt --version >/dev/null 2>&1; then step "Format" cargo fmt --check; else say "rustfmt is not installed: format not checked"; fi
# what is compiled once and thrown away need not be kept in pieces for the next edit
[[ -z ${CI:-} ]] || export CARGO_INCREMENTAL=0
# one profile and one choice of targets throughout, so that llama.cpp and the libraries are compiled once
step "Build" cargo build --locked --all-targets
if command -v clippy-driver >/dev/null; then
  step "Lints" lint
  # without llama.cpp the libraries have other features in any case: checking them is enough
  step "Lints without llama.cpp" cargo clippy --locked --lib --bins --no-default-features -- -D warnings
else
  say "clippy is not installed: lints not checked"
fi
# one test at a time: each engine brings as many threads as there are cores, and two of them at once slow each other tenfold
step "Tests" env RUST_TEST_THREADS=1 cargo test --locked
say "All tests passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
