#!/usr/bin/env bash
# Shows that any TinyKv client gets every answer of the protocol: a client in Python, which shares no code with ours and
# makes its messages from proto files when it runs, tries each call in each state, in every region of a cluster of three
# nodes; and again each time the leaders have moved. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/wire_conformance.sh [--proto-dir DIR] [--include-dir DIR] [--workdir DIR] [--release] [--quick]
  --proto-dir DIR    the client's proto files, with tinykvpb.proto among them (default: proto/proto; TinyKV's own do)
  --include-dir DIR  what those files import and the folder does not have (gogoproto for TinyKV's)
  --workdir DIR      new or empty (default: a new one under artifacts/wire)
  --release          build with full optimisation (default: the tests' profile)
  --quick            one round, before any leader has moved
Environment: NOKV_BIN=FILE runs that binary instead of building one.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PROTOS=() WORKDIR="" PROFILE=dev QUICK=0
while (($# > 0)); do
  case $1 in
    --proto-dir | --include-dir | --workdir)
      (($# > 1)) || { echo "wire_conformance: $1 needs a value" >&2 && exit 2; }
      if [[ $1 == --workdir ]]; then WORKDIR=$2; else PROTOS+=("$1" "$(realpath "$2")"); fi
      shift 2
      ;;
    --release) PROFILE=release && shift ;;
    --quick) QUICK=1 && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "wire_conformance: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/wire/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "wire_conformance: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" RESULTS="$WORKDIR/results"
readonly ROOT PROTOS WORKDIR PROFILE QUICK CONFIG RESULTS
# How long a store without a quorum may take to say so.
readonly SILENCE_SECONDS=15
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/venv.sh
source "$ROOT/scripts/lib/venv.sh"

say() { printf '\n== %s\n' "$*"; }

client() {
  local task=$1
  shift
  "$PYTHON" -B "$ROOT/scripts/wire/run.py" "$task" --config "$CONFIG" "${PROTOS[@]}" "$@"
}

# A round of all cases. That one failed is remembered; the rounds after it are tried all the same.
try_round() {
  say "$1"
  client cases --round "$1" --keep "$WORKDIR/kept.json" "${@:2}" | tee -a "$RESULTS" || FAILED=1
}

leader_of() { client leader --region "$1"; }

after_kill() {
  local store
  store=$(leader_of "$1")
  nodes_kill "store-$store"
  try_round "right after kill -9 of store $store, which led region $1; it stays down" --down "$store"
  nodes_start "store-$store"
  nodes_wait_ready "store-$store" 60
  try_round "right after store $store is back"
}

after_stop() {
  local store
  store=$(leader_of "$1")
  nodes_end_process "${NODE_PID[store-$store]}"
  nodes_forget "store-$store"
  nodes_start "store-$store"
  nodes_wait_ready "store-$store" 60
  try_round "right after SIGTERM of store $store, which led region $1 and handed it over, and its start"
}

after_death_of_all() {
  local name
  for name in "${NODES[@]:1}"; do
    nodes_kill "$name"
  done
  for name in "${NODES[@]:1}"; do
    nodes_start "$name"
  done
  try_round "right after kill -9 of all stores and their start"
}

# The store that is left led region 1 a moment ago: it has to find out by itself that nobody follows it any more.
without_a_quorum() {
  local leader name killed=()
  leader=$(leader_of 1)
  say "two of three stores down; store $leader, which is left, led region 1"
  for name in "${NODES[@]:1}"; do
    [[ $name == "store-$leader" ]] || { nodes_kill "$name" && killed+=("${name#store-}"); }
  done
  client silence --round "two of three down" --within "$SILENCE_SECONDS" --down "${killed[@]}" |
    tee -a "$RESULTS" || FAILED=1
  nodes_start "store-${killed[0]}"
  try_round "right after one of them is back" --down "${killed[1]}"
}

count() { grep -c -- "^$1 " "$RESULTS" || true; }

finish() {
  local status=$?
  trap '' INT TERM HUP
  nodes_stop_all
  ((status == 0)) || FAILED=1
  say "in all: $(count ok) ok, $(count FAIL) FAIL, $(count --) not tried in $SECONDS s; logs: $WORKDIR"
  ((FAILED == 0)) && rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
  exit "$FAILED"
}

FAILED=0
touch "$RESULTS"
trap 'exit 130' INT TERM HUP
trap finish EXIT
PYTHON=$(venv_python grpcio grpcio-tools grpcio-health-checking grpcio-reflection)
NOKV=$(build_nokv "$PROFILE")
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
nodes_open
nodes_start_all
try_round "a fresh cluster"
if ((QUICK == 0)); then
  after_kill 1
  after_stop 2
  after_death_of_all
  without_a_quorum
fi
