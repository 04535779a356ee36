#!/usr/bin/env bash
# Shows, on real processes and real data, that nothing acknowledged is lost: loads this machine's Debian package index
# in transactions that span both regions, while it kills nodes with kill -9 and freezes them; then looks at everything
# from outside. Ends with status 0 only if every check held. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/recovery_scenarios.sh [--seconds N] [--seed N] [--workdir DIR] [--release]
  --seconds N     how long the load lasts, during which nodes are killed (default: 120)
  --seed N        which nodes, when: the same seed makes the same choices (default: the present time)
  --workdir DIR   new or empty (default: a new one under artifacts/recovery)
  --release       build with full optimisation (default: the tests' profile)
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_OF_LOAD=120 SEED=$(date +%s) WORKDIR="" PROFILE=dev
while (($# > 0)); do
  case $1 in
    --seconds | --seed | --workdir)
      (($# > 1)) || { echo "recovery_scenarios: $1 needs a value" >&2 && exit 2; }
      case $1 in --seconds) SECONDS_OF_LOAD=$2 ;; --seed) SEED=$2 ;; --workdir) WORKDIR=$2 ;; esac
      shift 2
      ;;
    --release) PROFILE=release && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "recovery_scenarios: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/recovery/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "recovery_scenarios: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" STANZAS="$WORKDIR/stanzas" LEDGER="$WORKDIR/ledger" EVENTS="$WORKDIR/events"
readonly ROOT WORKDIR PROFILE CONFIG STANZAS LEDGER EVENTS SECONDS_OF_LOAD SEED
# How long one command of the command line is tried.
readonly DEADLINE_SECONDS=5
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/load.sh
source "$ROOT/scripts/lib/load.sh"

kill_everything_at_once() {
  local name
  say "kill -9 of every process at once, then start them again"
  {
    for name in "${NODES[@]}"; do
      kill -KILL "${NODE_PID[$name]}"
    done
    for name in "${NODES[@]}"; do
      wait "${NODE_PID[$name]}" || true
      nodes_forget "$name"
    done
  } 2>/dev/null  # bash reports each killed child
  nodes_start_all
}

# Must fail with an error of its own: within its deadline and the second that its clean-up has at most; the rest is for
# a machine that does other things too. 124 is what `timeout` makes of a hang.
must_be_refused() {
  local status=0 began
  began=$(now_ms)
  timeout $((DEADLINE_SECONDS + 3)) "$NOKV" "$@" --config "$CONFIG" --timeout $DEADLINE_SECONDS 2>&1 || status=$?
  printf '  (status %s after %s ms)\n' "$status" "$(($(now_ms) - began))"
  ((status != 0 && status != 124)) || { echo "nokv $1 must be refused without a quorum" >&2 && return 1; }
}

without_a_quorum() {
  say "two of three stores down: an error within the deadline, nothing hangs, service resumes by itself"
  nodes_kill "${NODES[1]}"
  nodes_kill "${NODES[2]}"
  must_be_refused put quorum-probe lost
  must_be_refused get quorum-probe
  nodes_start "${NODES[1]}"
  nodes_start "${NODES[2]}"
  nodes_wait_leaders 30
  "$NOKV" put quorum-probe kept --config "$CONFIG"
  "$NOKV" delete quorum-probe --config "$CONFIG"
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  nodes_stop_all
  if ((status == 0)); then
    rm -rf "$WORKDIR"/store-* "$WORKDIR/tso" "$STANZAS"
    say "every check held in $SECONDS s; ledger and logs: $WORKDIR"
  else
    say "FAILED (seed $SEED); data, ledger and logs: $WORKDIR"
  fi
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
LOADER=$(build_example "$PROFILE" recovery_load)
RANDOM=$((SEED % 32768))
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
collect_stanzas
nodes_open
nodes_start_all
load_under_kills
verify "after the load: acknowledged whole, refused absent, undetermined whole or absent; replicas alike"
python3 "$NODES_LIB/ledger.py" "$LEDGER" "$EVENTS"
kill_everything_at_once
verify "after the death of everything"
without_a_quorum
say "loading what was refused, then the whole index must be there"
loader mend
verify "the whole index"
