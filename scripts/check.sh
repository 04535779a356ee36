#!/usr/bin/env bash
# The one gate: everything that must hold before a change lands, the quick failures first. It rewrites no source file
# (scripts/fix.sh does) and ends with the number of tests that ran. Needs what scripts/setup.sh provides.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
source scripts/setup.sh

readonly SCOPE=(--workspace --all-features --locked)
current_step="" test_log=$(mktemp)

# Runs a step under a heading. A failing command anywhere in it ends the gate (set -e), through finish.
step() {
  local began=$SECONDS
  current_step=$1
  printf '\n== %s\n' "$1"
  shift
  "$@"
  printf -- '-- %s: %s s\n' "$current_step" "$((SECONDS - began))"
}

# The last words, also after a failure: what failed, and how many tests ran (by the runner's own summaries).
finish() {
  local status=$?
  printf '\n'
  if ((status == 0)); then
    printf 'check: everything passed in %s s\n' "$SECONDS"
  else
    printf 'check: FAILED at: %s\n' "$current_step"
  fi
  awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
    /^ *Summary \[/ { for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1); if ($i ~ /^failed/) failed += $(i - 1)
      if ($i ~ /^timed/) failed += $(i - 1); if ($i ~ /^skipped/) ignored += $(i - 1) } }
    END { printf "tests: %d passed, %d failed, %d ignored\n", passed, failed, ignored }' "$test_log"
  rm -f "$test_log"
}
trap finish EXIT

shell_scripts() {
  local scripts script
  mapfile -t scripts < <(find scripts .ci -type f \( -name '*.sh' -o -path '.ci/*' \))
  for script in "${scripts[@]}"; do
    bash -n "$script"
  done
  if command -v shellcheck >/dev/null; then
    shellcheck --external-sources "${scripts[@]}"
  else
    echo "shellcheck is not installed: only the syntax was checked"
  fi
}

tests_of_the_tools() { python3 -B -m unittest discover --start-directory scripts/tests --pattern '*_test.py'; }

documentation() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet "${SCOPE[@]}"; }

# cargo-nextest (a process for each test, all crates at once; no doc tests) where it is installed, else cargo test:
# the same tests either way.
tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    cargo test --doc --quiet "${SCOPE[@]}" 2>&1 | tee -a "$test_log"
    cargo nextest run --no-fail-fast --hide-progress-bar --status-level slow --color never "${SCOPE[@]}" 2>&1 |
      tee -a "$test_log"
  else
    cargo test --no-fail-fast "${SCOPE[@]}" 2>&1 | tee -a "$test_log"
  fi
}

# The binary that the tests' step has built; a failing seed prints the command that replays it.
simulated_seeds() { "${CARGO_TARGET_DIR:-target}/debug/nokv-sim" --seeds 0..360 --jobs 2; }

step "tidy rules" scripts/tidy.py
step "tests of the tools" tests_of_the_tools
step "shell scripts" shell_scripts
step "format" cargo fmt --all --check
step "who uses whom" scripts/crate_table.py
step "clippy" cargo clippy --quiet --all-targets "${SCOPE[@]}" -- -D warnings
step "documentation" documentation
step "tests" tests
step "simulated seeds" simulated_seeds
