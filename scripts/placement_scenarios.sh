#!/usr/bin/env bash
# Shows, on real processes, that a cluster runs itself: three nodes begin one without a topology file; under a
# transactional load it splits into dozens of regions, takes in a fourth and a fifth node, lets one store leave and
# replaces another that is killed for good; it loses the leader of its placement again and again; it spreads a range
# that takes all writes, and one that takes all reads; and nothing is lost. Each part has a cluster of its own.
# Ends with status 0 only if every check held. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/placement_scenarios.sh [--seconds N] [--regions N] [--kills N] [--workdir DIR] [--only PART] [--release]
  --seconds N     how long the load runs beside the life of a cluster (default: 240)
  --regions N     regions to wait for before nodes join (default: 24)
  --kills N       how often the leader of placement is killed (default: 6)
  --workdir DIR   new or empty (default: a new one under artifacts/placement)
  --only PART     refusals, life, leader or hot (hot-reads and hot-writes, or one of them): only that part
                  (default: all, one after the other)
  --release       build with full optimisation (default: the tests' profile)
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_OF_LOAD=240 REGIONS=24 KILLS=6 WORKDIR="" PROFILE=dev ONLY=all SEED=1
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
# Short pauses, and however full this machine's disk is: an hour's life in minutes. Regions are small, but for the part
# in which they are to be split for their load alone.
NODE_FLAGS=(--region-min-mib 0 --move-pause 5 --store-down-after 20 --min-free-percent 0 --block-cache-mib 32
  --write-buffer-mib 8)
if [[ $ONLY == hot-* ]]; then
  NODE_FLAGS+=(--region-max-mib 256 --hot-flow-kib 64)
else
  NODE_FLAGS+=(--region-max-mib 2)
fi
# How long a change of the cluster may take.
readonly CHANGE_SECONDS=240 STORES=$((NODE_COUNT + NODE_SPARES))
# What each node may use of a core while a range is hot: with all nodes on one machine, load that is spread is faster
# only if no node could have taken the share of the others, and the clients are not what is short of processors.
readonly NODE_PERCENT=15 CPU_GROUP=/sys/fs/cgroup/cpu/nokv-placement-$$
readonly ROOT WORKDIR PROFILE CONFIG STANZAS LEDGER EVENTS SEED ONLY REGIONS KILLS
readonly NODE_COUNT NODE_SPARES NODE_FLAGS
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/load.sh
source "$ROOT/scripts/lib/load.sh"

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

begin_load() {
  collect_stanzas
  say "$1; the load begins ($SECONDS_OF_LOAD s)"
  loader load --seconds "$SECONDS_OF_LOAD" 9>&- &
  LOAD=$!
  table head "$STORES"
}

# Waits for the end of the load; nothing that was acknowledged may be missing, and replicas must be alike.
judge() {
  wait "$LOAD"
  say "the load has ended: is everything there, and alike?"
  nodes_wait_leaders 30 >/dev/null
  loader verify
  status | table topology >"$WORKDIR/live.json"
  python3 "$NODES_LIB/topology.py" replicas "$WORKDIR/live.json" 120 | tail -n 3
  python3 "$NODES_LIB/ledger.py" "$LEDGER" "$EVENTS"
  "$NOKV" cluster status "${FIND[@]}" || true
}

leader() {
  local watcher number
  SECONDS_OF_LOAD=$((KILLS * 10))
  begin_load "placement's leader is killed $KILLS times, while four clients draw timestamps"
  "$WATCHER" "${FIND[@]}" --seconds "$SECONDS_OF_LOAD" --clients 4 9>&- &
  watcher=$!
  for ((number = 0; number < KILLS; number++)); do
    sleep 2
    kill_placement_leader
    row
  done
  wait "$watcher"
  judge
}

life() {
  begin_load "three nodes, no topology file"
  until_is regions "$REGIONS"
  say "a fourth and a fifth node join, one command each"
  start store-4
  start store-5
  until_is spread 25
  until_is led 50
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
  until_is hosted 3
  "$NOKV" operator list --ended 12 "${FIND[@]}"
  judge
}

# Holds a node to its share of a core.
hold_down() {
  local name
  for name in "$@"; do
    mkdir -p "$CPU_GROUP-$name"
    echo 100000 >"$CPU_GROUP-$name/cpu.cfs_period_us"
    echo $((NODE_PERCENT * 1000)) >"$CPU_GROUP-$name/cpu.cfs_quota_us"
    echo "${NODE_PID[$name]}" >"$CPU_GROUP-$name/cgroup.procs"
  done
}

hot_bench() {
  local pids
  pids=$(IFS=, && printf '%s' "${NODE_PID[*]}")
  "$NOKV" bench run --json --target "$HOT_VIA:${FIND[1]}" --pids "$pids" --clients 64 --keys 20000 \
    "${HOT_LOAD[@]}" "$@" 9>&-
}

# A step of the hot range's load; shows what came of it, beside the cluster afterwards. RATE is what was done a second.
hot_step() {
  local file="$WORKDIR/hot.json"
  hot_bench --no-load --warmup-seconds 1 --seconds 6 --seed "$RANDOM" >"$file"
  python3 "$NODES_LIB/outage.py" row "$file" "$1"
  RATE=$(python3 "$NODES_LIB/outage.py" rate "$file")
  row
}

# The better of two such steps, for comparing.
hot_rate() {
  local first
  hot_step "$1"
  first=$RATE
  hot_step "$1"
  ((RATE >= first)) || RATE=$first
}

# Until all stores that there are have about as much of it: `table is …`.
hot_steps() {
  local what=$1 deadline=$((SECONDS + CHANGE_SECONDS))
  shift
  until status | table is "$@" 2>/dev/null; do
    ((SECONDS < deadline)) || { echo "the load was not spread" >&2 && return 1; }
    hot_step "$what"
  done
}

# Spreads a load over three stores, then over five. HOT_LOAD says which, HOT_VIA how it comes, the arguments when it is
# spread.
hot() {
  local alone three five
  if ! mkdir -p "$CPU_GROUP-store-1" 2>/dev/null; then
    echo "nodes cannot be held to a share of the processor here (no cpu cgroup): figures say little"
  else
    say "each node may use $NODE_PERCENT % of a core"
    hold_down store-1 store-2 store-3
  fi
  hot_bench --warmup-seconds 0 --seconds 1 >"$WORKDIR/hot.json"
  # A region counts as hot after three busy heartbeats: until those of the loading are forgotten, nothing is moved, and
  # nothing is while one region is measured.
  sleep 20
  table head "$STORES"
  python3 "$NODES_LIB/outage.py" head
  hot_step "one region has all the load"
  alone=$RATE
  hot_steps "it is split and spread over three" "$@"
  until_is whole
  hot_rate "spread over three"
  three=$RATE
  say "two nodes join"
  start store-4
  start store-5
  [[ ! -d $CPU_GROUP-store-1 ]] || hold_down store-4 store-5
  hot_steps "it is spread over five" "$@"
  until_is whole
  hot_rate "spread over five"
  five=$RATE
  "$NOKV" operator list --ended 60 "${FIND[@]}" | grep -E "REGION|hot" || true
  printf '\n%s: %s a second in one region, %s spread over three stores, %s over five\n' \
    "${HOT_LOAD[*]}" "$alone" "$three" "$five"
  HOT_GAIN=$((five * 100 / alone))
}

# Followers spend nearly what leaders do: on one machine, spreading writes makes nothing faster.
hot_writes() {
  HOT_VIA=nokv HOT_LOAD=(--workload txn-put)
  hot shared 40
}

# Nine of ten gets are for a hundredth of the keys. Only leaders serve them: five can do more than one. Each is a call
# of its own, so that it costs its node the same however many others come with it: on streams many to one node cost
# less.
hot_reads() {
  HOT_VIA=nokv-unary HOT_LOAD=(--workload raw-get --distribution hot-spot)
  hot shared 60
  ((HOT_GAIN >= 150)) || [[ ! -d $CPU_GROUP-store-1 ]] || {
    echo "five stores read $HOT_GAIN % of what one did" >&2
    return 1
  }
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
  rmdir "$CPU_GROUP"-store-* 2>/dev/null || true
  if ((status == 0)); then
    rm -rf "$WORKDIR"/store-* "$WORKDIR/another" "$STANZAS"
    say "every check held in $SECONDS s; ledger and logs: $WORKDIR"
  else
    say "FAILED; data, ledger and logs: $WORKDIR"
  fi
}

# Every part has a cluster of its own.
run_parts() {
  local part flags=(--seconds "$SECONDS_OF_LOAD" --regions "$REGIONS" --kills "$KILLS")
  [[ $PROFILE != release ]] || flags+=(--release)
  for part in "$@"; do
    "${BASH_SOURCE[0]}" --only "$part" --workdir "$WORKDIR/$part" "${flags[@]}"
  done
}

case $ONLY in
  all) run_parts refusals life leader hot-writes hot-reads && exit 0 ;;
  hot) run_parts hot-writes hot-reads && exit 0 ;;
  refusals | life | leader | hot-writes | hot-reads) ;;
  *) echo "placement_scenarios: there is no part $ONLY" >&2 && exit 2 ;;
esac
trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
LOADER=$(build_example "$PROFILE" recovery_load)
WATCHER=$(build_example "$PROFILE" clock_watch)
nodes_open
BEGAN=$SECONDS
nodes_start_all
"${ONLY//-/_}"
