#!/usr/bin/env bash
# Shows what garbage collection does, on three local nodes: a key is updated very many times, then the safe point
# rises twice. Reads stay as fast as they were, the disk gets its space back, a long reader at the safe point sees its
# snapshot throughout, and whoever reads below it gets an error. Ports and a directory of its own. Ends with 0 only if
# all held.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/gc_scenario.sh [--updates N] [--bytes N] [--workdir DIR] [--release]
  --updates N     updates of the key (default: 100000)
  --bytes N       bytes of each version's value (default: 1000)
  --workdir DIR   new or empty (default: a new one under artifacts/gc)
  --release       build with full optimisation (default: the tests' profile)
Environment: NOKV_BIN=FILE runs that binary, and the example gc_load built along with it.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
UPDATES=100000 BYTES=1000 WORKDIR="" PROFILE=dev
while (($# > 0)); do
  case $1 in
    --updates | --bytes | --workdir)
      (($# > 1)) || { echo "gc_scenario: $1 needs a value" >&2 && exit 2; }
      case $1 in --updates) UPDATES=$2 ;; --bytes) BYTES=$2 ;; --workdir) WORKDIR=$2 ;; esac
      shift 2
      ;;
    --release) PROFILE=release && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "gc_scenario: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/gc/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "gc_scenario: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" READING="$WORKDIR/reading"
readonly ROOT WORKDIR PROFILE CONFIG READING UPDATES BYTES KEY=counter
# How long the stores may take to collect, and to give the space back.
readonly COLLECT_SECONDS=600
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"

say() { printf '\n== %s\n' "$*"; }
load() { "$LOADER" "$@" --config "$CONFIG" --key "$KEY" 9>&-; }
# What the tables of all stores take; the logs beside them are cut by time and size, and say nothing.
disk_mib() {
  find "$WORKDIR"/store-* -name raft-log -prune -o \( -name '*.sst' -o -name '*.blob' \) -printf '%s\n' |
    awk '{sum += $1} END {printf "%d\n", sum / 1048576}'
}

# One after the other; what a store has in memory is in tables then.
restart_stores() {
  local name
  for name in "${NODES[@]:1}"; do
    nodes_end_process "${NODE_PID[$name]}" && nodes_forget "$name"
    nodes_start "$name"
    nodes_wait_ready "$name" 60
  done
  nodes_wait_leaders 60 >/dev/null
}

# A figure of all stores together.
metric() {
  local name
  for name in "${!NODE_PID[@]}"; do
    [[ $name == tso ]] || curl -sf "http://${NODE_LISTENS[$name]##* }/metrics"
  done | awk -v name="$1" '$1 == name {sum += $2} END {printf "%d\n", sum}'
}

# Waits until the stores' tables hold at most so many MiB.
wait_for_disk() {
  local deadline=$((SECONDS + COLLECT_SECONDS)) now
  until now=$(disk_mib) && ((now <= $1)); do
    if ((SECONDS >= deadline)); then
      echo "the tables still hold $now MiB after $COLLECT_SECONDS s, more than $1" >&2
      return 1
    fi
    sleep 1
  done
  printf 'tables of the three stores: %s MiB; records removed so far: %s\n' "$now" \
    "$(metric nokv_gc_records_removed_total)"
}

read_below() {
  local said
  if said=$("$NOKV" get "$KEY" --at "$1" --config "$CONFIG" --timeout 5 2>&1 9>&-); then
    echo "a read below the safe point was answered: $said" >&2 && return 1
  fi
  printf 'a read below the safe point: %s\n' "$(head -n 1 <<<"$said")"
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  rm -f "$READING"
  nodes_stop_all
  if ((status == 0)); then
    rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
    say "all held, in $SECONDS s; logs: $WORKDIR"
  else
    say "FAILED; data and logs: $WORKDIR"
  fi
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
LOADER=$(build_example "$PROFILE" gc_load)
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
nodes_open
nodes_start_all

say "$UPDATES updates of one key, $BYTES bytes each"
load update --count "$UPDATES" --bytes "$BYTES" | tee "$WORKDIR/versions"
{ read -r _ FIRST_TS && read -r MIDDLE MIDDLE_TS && read -r LAST _; } <"$WORKDIR/versions"
restart_stores
full=$(disk_mib)
printf 'tables of the three stores: %s MiB\n' "$full"
printf 'reads before: ' && load read --count 2000

say "a long reader at the version in the middle; the safe point rises to it"
touch "$READING"
load hold --at "$MIDDLE_TS" --number "$MIDDLE" --while "$READING" &
reader=$!
"$NOKV" gc --safe-point "$MIDDLE_TS" --config "$CONFIG" 9>&-
printf 'reads meanwhile: ' && load read --count 2000
wait_for_disk "$((full * 3 / 4))"
read_below "$FIRST_TS"
rm -f "$READING"
wait "$reader"

say "the reader is done; the safe point rises to the present"
"$NOKV" gc --before 1s --config "$CONFIG" 9>&-
wait_for_disk "$((full / 4))"
printf 'reads after: ' && load read --count 2000 | tee "$WORKDIR/after"
grep -q "^version $LAST:" "$WORKDIR/after"
read_below "$MIDDLE_TS"
python3 "$NODES_LIB/topology.py" replicas "$CONFIG" 60
