#!/usr/bin/env bash
# Quick checks while working: seconds after the first time, no C++, no model, no display. `scripts/test.sh` is the whole.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cargo fmt --check
cargo clippy --locked --no-default-features --lib --bins --test architecture -- -D warnings
cargo test --locked --no-default-features --lib --test architecture --quiet
