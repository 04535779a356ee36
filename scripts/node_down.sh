#!/usr/bin/env bash
# Measures what a dead node costs: throughput and latency with three nodes, with one of them gone for good, and the time
# in between; then, with two of three down, how long until each operation is answered by an error, and that service
# resumes by itself. Runs on ports and in a directory of its own. Prints the machine's load beside each figure.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/node_down.sh [--seconds N] [--turns N] [--clients N] [--workdir DIR] [--dev]
  --seconds N     length of a turn (default: 8)
  --turns N       turns of each row (default: 3); the median counts
  --clients N     operations under way at any time (default: 32)
  --workdir DIR   new or empty (default: a new one under artifacts/node-down)
  --dev           measure the tests' profile instead of a build with full optimisation
Environment: NOKV_BIN=FILE measures that binary instead of building one.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TURN_SECONDS=8 TURNS=3 CLIENTS=32 WORKDIR="" PROFILE=release
while (($# > 0)); do
  case $1 in
    --seconds | --turns | --clients | --workdir)
      (($# > 1)) || { echo "node_down: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --seconds) TURN_SECONDS=$2 ;; --turns) TURNS=$2 ;; --clients) CLIENTS=$2 ;; --workdir) WORKDIR=$2 ;;
      esac
      shift 2
      ;;
    --dev) PROFILE=dev && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "node_down: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/node-down/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "node_down: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json"
readonly ROOT WORKDIR PROFILE CONFIG TURN_SECONDS TURNS CLIENTS
readonly WORKLOADS=(raw-put txn-put) KEYS=100000
# How long one command of the command line is tried; and what it may take beyond: cleaning up, and a busy machine.
readonly DEADLINE_SECONDS=5 GRACE_SECONDS=3
# Between the beginning of a load and the death of a node; and how long the second one stays away.
readonly BEFORE_SECONDS=4 AWAY_SECONDS=12
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"

say() { printf '\n== %s\n' "$*"; }
now_ms() { date +%s%3N; }
outage() { python3 -B "$NODES_LIB/outage.py" "$@"; }
fail() { FAILED=1 && echo "FAIL $*"; }

# `nokv bench run` of a workload into a file: WORKLOAD FILE FLAGS…
bench() {
  local pids
  pids=$(IFS=, && printf '%s' "${NODE_PID[*]}")
  "$NOKV" bench run --json --target "nokv:$CONFIG" --workload "$1" --clients "$CLIENTS" --keys "$KEYS" \
    --pids "$pids" "${@:3}" >"$2" 9>&-
}

# A line of the table for each workload: LABEL FLAGS…
measure() {
  local workload file
  for workload in "${WORKLOADS[@]}"; do
    file="$WORKDIR/${1// /-}-$workload.json"
    bench "$workload" "$file" --seconds "$TURN_SECONDS" --warmup-seconds 1 --turns "$TURNS" "${@:2}"
    outage row "$file" "$workload, $1"
  done
}

# The node that leads a region, by what the stores say.
leader_of() {
  "$NOKV" regions --config "$CONFIG" --json | python3 -c 'import json, sys
print(next(r["leader_store_id"] for r in json.load(sys.stdin) if r["id"] == int(sys.argv[1])))' "$1"
}

# Starts a load in the background, kills a node under it, runs a command meanwhile, and shows how long nothing
# succeeded: NAME-OF-THE-FIGURES NODE SECONDS COMMAND…
kill_under_load() {
  local node=$2 seconds=$3 file="$WORKDIR/$1.json" pid
  shift 3
  bench raw-put "$file" --seconds "$seconds" --warmup-seconds 0 --turns 1 --no-load &
  pid=$!
  sleep "$BEFORE_SECONDS"
  nodes_kill "$node"
  "$@"
  wait "$pid"
  outage row "$file" "raw-put while $node dies"
  outage gap "$file"
}

# Brings a node back after a while.
away() {
  local began
  began=$(now_ms)
  sleep "$AWAY_SECONDS"
  nodes_start "$1"
  nodes_wait_ready "$1" 60
  echo "  (it was started after $AWAY_SECONDS s and was ready after $(($(now_ms) - began)) ms)"
}

# Must fail with an error of its own, in time. 124 is what `timeout` makes of a hang.
must_be_refused() {
  local status=0 began took said
  began=$(now_ms)
  said=$(timeout $((DEADLINE_SECONDS + GRACE_SECONDS)) "$NOKV" "$1" --config "$CONFIG" \
    --timeout "$DEADLINE_SECONDS" "${@:2}" 2>&1) || status=$?
  took=$(($(now_ms) - began))
  printf '%-24s status %s after %s ms: %s\n' "nokv $*" "$status" "$took" "$(head -n 1 <<<"$said")"
  ((status != 0 && status != 124)) || fail "nokv $* without a quorum: status $status"
}

# Reads as well as writes, in both regions.
refused_without_a_quorum() {
  local key
  for key in a z; do
    must_be_refused put "$key" lost
    must_be_refused get "$key"
    must_be_refused delete "$key"
    must_be_refused put --raw "$key" lost
    must_be_refused get --raw "$key"
  done
  must_be_refused scan a z
  must_be_refused txn put a 1 -- put z 2
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  nodes_stop_all
  ((status == 0)) || FAILED=1
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
  say "$( ((FAILED == 0)) && echo "every check held" || echo FAILED) in $SECONDS s; figures and logs: $WORKDIR"
  exit "$FAILED"
}

FAILED=0
trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
nodes_open
nodes_start_all
say "$("$NOKV" --version) ($NOKV), $CLIENTS clients, the median of $TURNS turns of $TURN_SECONDS s, load before each"
outage head
measure "three nodes"
DEAD="store-$(leader_of 1)"
kill_under_load "one-dies" "$DEAD" 12 true
nodes_wait_leaders 30 >/dev/null
measure "one of three gone" --no-load
say "two of three down: $DEAD, and now the leader of region 1, under load; back after $AWAY_SECONDS s"
SECOND="store-$(leader_of 1)"
kill_under_load "two-down" "$SECOND" $((BEFORE_SECONDS + AWAY_SECONDS + 10)) away "$SECOND"
say "the same without load: an error within $DEADLINE_SECONDS s for everything"
nodes_kill "$SECOND"
refused_without_a_quorum
nodes_start "$SECOND"
BEGAN=$(now_ms)
until "$NOKV" put a back --config "$CONFIG" --timeout 1 && "$NOKV" put z back --config "$CONFIG" --timeout 1; do
  (($(now_ms) - BEGAN < 30000)) || { fail "no service within 30 s" && break; }
done >/dev/null 2>&1
echo "service is back $(($(now_ms) - BEGAN)) ms after one of them was started again, with nobody's help"
measure "one of three gone, again" --no-load
nodes_start "$DEAD"
nodes_wait_ready "$DEAD" 60
python3 "$NODES_LIB/topology.py" replicas "$CONFIG" 120
measure "three nodes, again" --no-load
