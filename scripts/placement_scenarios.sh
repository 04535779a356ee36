#!/usr/bin/env bash
# Shows, on real processes, that a cluster runs itself: three nodes begin one without a topology file; under a
# transactional load it splits into dozens of regions, takes in a fourth and a fifth node, loses the leader of its
# placement again and again, lets one store leave and replaces another that is killed for good; and nothing is lost.
# Ends with status 0 only if every check held. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/placement_scenarios.sh [--seconds N] [--regions N] [--kills N] [--workdir DIR] [--only PART] [--release]
  --seconds N     how long the load runs beside all that (default: 300)
  --regions N     regions to wait for before nodes join (default: 24)
  --kills N       how often the leader of placement is killed (default: 5)
  --workdir DIR   new or empty (default: a new one under artifacts/placement)
  --only PART     life or refusals: only that part (default: all)
  --release       build with full optimisation (default: the tests' profile)
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_OF_LOAD=300 REGIONS=24 KILLS=5 WORKDIR="" PROFILE=dev ONLY=all SEED=1
while (($# > 0)); do
  case $1 in
    --seconds | --regions | --kills | --workdir | --only)
      (($# > 1)) || { echo "placement_scenarios: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --seconds) SECONDS_OF_LOAD=$2 ;; --regions) REGIONS=$2 ;; --kills) KILLS=$2 ;;
        --workdir) WORKDIR=$2 ;; --only) ONLY=$2 ;;
      esac
      shift 2
      ;;
    --release) PROFILE=release && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "placement_scenarios: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/placement/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "placement_scenarios: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="" STANZAS="$WORKDIR/stanzas" LEDGER="$WORKDIR/ledger" EVENTS="$WORKDIR/events"
NODE_COUNT=3 NODE_SPARES=2
# Small regions, short pauses, and however full this machine's disk is: an hour's life in minutes.
NODE_FLAGS=(--region-max-mib 2 --region-min-mib 0 --move-pause 5 --store-down-after 20 --min-free-percent 0
  --block-cache-mib 32 --write-buffer-mib 8)
# How long a change of the cluster may take.
readonly CHANGE_SECONDS=240 STORES=$((NODE_COUNT + NODE_SPARES))
readonly ROOT WORKDIR PROFILE CONFIG STANZAS LEDGER EVENTS SECONDS_OF_LOAD SEED ONLY REGIONS KILLS
readonly NODE_COUNT NODE_SPARES NODE_FLAGS
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/load.sh
source "$ROOT/scripts/lib/load.sh"

part() { [[ $ONLY == all || $ONLY == "$1" ]]; }
# Something is always wrong in a cluster that is being broken: the exit code is not looked at.
status() { "$NOKV" cluster status "${FIND[@]}" --json --timeout 10 2>>"$WORKDIR/logs/status.log" 9>&- || true; }
table() { python3 "$NODES_LIB/cluster_table.py" "$@"; }
row() { status | table row "$STORES" "$((SECONDS - BEGAN)) s" 2>/dev/null || true; }

# Waits until the cluster is as `table is …` says, showing it every few seconds.
until_is() {
  local deadline=$((SECONDS + CHANGE_SECONDS)) shown=$SECONDS
  until status | table is "$@" 2>/dev/null; do
    if ((SECONDS >= deadline)); then
      say "after $CHANGE_SECONDS s the cluster still is not: $*"
      "$NOKV" cluster status "${FIND[@]}" || true
      return 1
    fi
    if ((SECONDS >= shown + 5)); then
      shown=$SECONDS
      row
    fi
    sleep 1
  done
  row
}

start() {
  event "starting $1"
  nodes_start "$1"
  nodes_wait_ready "$1" 60
}

# Kills whoever leads placement, and starts it again.
kill_placement_leader() {
  local leader
  leader=store-$(status | table leader)
  event "kill -9 $leader, which leads placement"
  nodes_kill "$leader"
  sleep 3
  start "$leader"
}

clock_under_kills() {
  local watcher number
  say "placement's leader is killed $KILLS times, while four clients draw timestamps"
  "$WATCHER" "${FIND[@]}" --seconds $((KILLS * 12)) --clients 4 9>&- &
  watcher=$!
  for ((number = 0; number < KILLS; number++)); do
    sleep 3
    kill_placement_leader
  done
  wait "$watcher"
}

life() {
  local load
  collect_stanzas
  say "three nodes, no topology file; the load begins ($SECONDS_OF_LOAD s)"
  loader load --seconds "$SECONDS_OF_LOAD" 9>&- &
  load=$!
  table head "$STORES"
  until_is regions "$REGIONS"
  say "a fourth and a fifth node join, one command each"
  start store-4
  start store-5
  until_is spread 25
  clock_under_kills
  say "store 4 is to leave"
  event "store remove 4"
  "$NOKV" store remove 4 --wait --timeout 60 "${FIND[@]}" 9>&-
  row
  nodes_end_process "${NODE_PID[store-4]}" && nodes_forget store-4
  say "store 3 is killed for good"
  event "kill -9 store-3 for good"
  nodes_kill store-3
  until_is empty 3
  until_is whole
  "$NOKV" operator list --ended 12 "${FIND[@]}"
  wait "$load"
  say "the load has ended: is everything there, and alike?"
  nodes_wait_leaders 30 >/dev/null
  loader verify
  status | table topology >"$WORKDIR/live.json"
  python3 "$NODES_LIB/topology.py" replicas "$WORKDIR/live.json" 120 | tail -n 3
  python3 "$NODES_LIB/ledger.py" "$LEDGER" "$EVENTS"
  "$NOKV" cluster status "${FIND[@]}" || true
}

# Must fail, with these words: WORDS COMMAND…
refused() {
  local wanted=$1 code=0 said
  shift
  said=$(timeout 60 "$NOKV" "$@" 2>&1 9>&-) || code=$?
  printf '  status %s: %s\n' "$code" "$(grep -m 1 '^error' <<<"$said")"
  [[ $code != 0 && $code != 124 && $said == *"$wanted"* ]] || {
    echo "not refused as it should be: $said" >&2
    return 1
  }
}

refusals() {
  local join other="$WORKDIR/another" free
  say "who does not belong is refused, and nothing changes"
  join="${FIND[1]%%,*}"
  free=$(python3 "$NODES_LIB/topology.py" free-addresses 1 | cut -d ' ' -f 2)
  serve() { refused "$1" serve --workdir "$2" --addr "$3" --status-addr off "${@:4}"; }
  serve "another directory" "$other" "$free" --join "$join" --store-id 2
  serve "cannot listen" "$other" "${NODE_LISTENS[store-1]%% *}" --join "$join"
  serve "nothing was changed" "$other" "$free" --join 127.0.0.1:1
  refused "add a store first" store remove 1 "${FIND[@]}"
  refused "there is no store" store remove 99 "${FIND[@]}"
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  nodes_stop_all
  if ((status == 0)); then
    rm -rf "$WORKDIR"/store-* "$WORKDIR/another" "$STANZAS"
    say "every check held in $SECONDS s; ledger and logs: $WORKDIR"
  else
    say "FAILED; data, ledger and logs: $WORKDIR"
  fi
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
LOADER=$(build_example "$PROFILE" recovery_load)
WATCHER=$(build_example "$PROFILE" clock_watch)
nodes_open
BEGAN=$SECONDS
nodes_start_all
if part refusals; then refusals; fi
if part life; then life; fi
