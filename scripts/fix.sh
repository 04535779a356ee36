#!/usr/bin/env bash
# The one script that rewrites sources: formats them and applies what clippy can mend by itself.
# What remains is shown by scripts/check.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
source scripts/setup.sh

cargo clippy --fix --allow-dirty --allow-staged --workspace --all-targets --all-features
cargo fmt --all
