# Building the programs that the scripts run, for the scripts that source this file.
# shellcheck shell=bash

# Prints the path of the `nokv` binary, after building it unless NOKV_BIN names one. $1: the cargo profile.
build_nokv() {
  if [[ -n ${NOKV_BIN:-} ]]; then
    realpath "$NOKV_BIN"
    return
  fi
  printf 'building nokv (%s profile; the first time compiles RocksDB: some ten minutes on two cores)\n' "$1" >&2
  build_programs "$1" --bin nokv && build_output "$1" nokv
}

# Prints the path of an example of one of our crates, after building it unless NOKV_BIN names a binary: then the one
# built along with that is meant. $1: profile, $2: example.
build_example() {
  if [[ -n ${NOKV_BIN:-} ]]; then
    realpath "$(dirname "$NOKV_BIN")/examples/$2"
    return
  fi
  build_programs "$1" --example "$2" && build_output "$1" "examples/$2"
}

# In the tests' profile the examples are built along, whatever was asked for, and with all features: then cargo resolves
# the features of every dependency as it does for the tests, and RocksDB, tokio and all others are compiled once for
# both. A release has only what the program itself asks for, and so nothing that is there for tests.
build_programs() {
  local root profile=$1 targets=("${@:2}")
  root=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
  # shellcheck source=scripts/setup.sh
  source "$root/scripts/setup.sh" || return 1
  [[ $profile != dev ]] || targets=(--bins --examples --all-features)
  (cd "$root" && cargo build --locked --workspace "${targets[@]}" --profile "$profile") >&2
}

# Where cargo puts a program. The profile `dev` has a folder of another name.
build_output() {
  local folder=$1
  [[ $folder != dev ]] || folder=debug
  # The environment of the build was set in a subshell.
  printf '%s/%s/%s\n' "${CARGO_TARGET_DIR:-${NOKV_CACHE:-$HOME/.cache/nokv}/target}" "$folder" "$2"
}
