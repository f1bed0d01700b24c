#!/usr/bin/env bash
# Opens the window on the starter model. Sets up what is missing first; run again, it only builds what changed and opens.
#   scripts/run.sh            the starter model
#   scripts/run.sh FILE       another GGUF
#   scripts/run.sh COMMAND    any command of the program, such as `doctor` or `bench models/*.gguf`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

need_rust
need_packages "$build_needs" "$window_needs"
if (($# == 0)); then
  if fetch_model; then set -- "$model"; else say "warning: the window opens without a model; open a GGUF file from there"; fi
fi
say "Building (the first time takes ten to fifteen minutes on two cores)"
cargo build --locked || die "The build failed; the first error above says why" "When a system library is named there: rm -rf target, and run this again"
exec cargo run --quiet --locked -- "$@"
