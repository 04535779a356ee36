# Building the programs that the scripts run, for the scripts that source this file.
# shellcheck shell=bash

# Prints the path of the `nokv` binary, after building it unless NOKV_BIN names one. $1: the cargo profile.
# The whole workspace's features are selected, as the tests do: one build of RocksDB serves both.
build_nokv() {
  local root
  if [[ -n ${NOKV_BIN:-} ]]; then
    realpath "$NOKV_BIN"
    return
  fi
  root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
  # shellcheck source=scripts/setup.sh
  source "$root/scripts/setup.sh" || return 1
  printf 'building nokv (%s profile; the first time compiles RocksDB: some ten minutes on two cores)\n' "$1" >&2
  (cd "$root" && cargo build --locked --workspace --all-features --bin nokv --profile "$1") >&2 || return 1
  build_output "$1" nokv
}

# Where cargo puts a program. The profile `dev` has a folder of another name.
build_output() { printf '%s/%s/%s\n' "$CARGO_TARGET_DIR" "${1/#dev/debug}" "$2"; }

# Prints the path of an example of one of our crates, after building it. $1: profile, $2: crate, $3: example.
build_example() {
  local root
  root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
  # shellcheck source=scripts/setup.sh
  source "$root/scripts/setup.sh" || return 1
  (cd "$root" && cargo build --locked -p "$2" --example "$3" --profile "$1") >&2 || return 1
  build_output "$1" "examples/$3"
}
