#!/usr/bin/env bash
# Shows, on real processes, that regions live: they are split, merged, moved and led elsewhere under a transactional
# load while nodes die by kill -9, and nothing is lost; a store that was away for 200,000 writes and ten splits, and one
# whose directory was deleted, come back to equal bytes while the others serve. Ends with status 0 only if every check
# held. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/region_scenarios.sh [--seconds N] [--seed N] [--workdir DIR] [--writes N] [--only PART] [--release]
  --seconds N     how long regions change under the load (default: 120)
  --seed N        what happens to which region and node: the same seed makes the same choices (default: the time)
  --workdir DIR   new or empty (default: a new one under artifacts/regions)
  --writes N      writes while a store is away (default: 200000)
  --only PART     changes, away or deleted: only that part (default: all)
  --release       build with full optimisation (default: the tests' profile)
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_OF_LOAD=120 SEED=$(date +%s) WORKDIR="" PROFILE=dev WRITES=200000 ONLY=all
while (($# > 0)); do
  case $1 in
    --seconds | --seed | --workdir | --writes | --only)
      (($# > 1)) || { echo "region_scenarios: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --seconds) SECONDS_OF_LOAD=$2 ;; --seed) SEED=$2 ;; --workdir) WORKDIR=$2 ;;
        --writes) WRITES=$2 ;; --only) ONLY=$2 ;;
      esac
      shift 2
      ;;
    --release) PROFILE=release && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "region_scenarios: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/regions/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "region_scenarios: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" STANZAS="$WORKDIR/stanzas" LEDGER="$WORKDIR/ledger" EVENTS="$WORKDIR/events"
KEYS="$WORKDIR/keys" CHANGES="$WORKDIR/changes"
readonly ROOT WORKDIR PROFILE CONFIG STANZAS LEDGER EVENTS KEYS CHANGES SECONDS_OF_LOAD SEED WRITES ONLY
# How long one change of a region is tried under the load.
readonly CHANGE_SECONDS=20
# Writes are transactions: their keys are encoded as the regions' bounds are, so that splits cut them apart. The load
# beside which a store catches up: few enough a second for the machine, many enough for a 99th percentile.
readonly FOREGROUND_RATE=200 FOREGROUND_SECONDS=15 BENCH_KEYS=100000
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/load.sh
source "$ROOT/scripts/lib/load.sh"

part() { [[ $ONLY == all || $ONLY == "$1" ]]; }
outage() { python3 "$NODES_LIB/outage.py" "$@"; }
region() { timeout $((CHANGE_SECONDS + 20)) "$NOKV" region "$@" --config "$CONFIG" --timeout "$CHANGE_SECONDS" 9>&-; }

# Some change of some region, and how it ended. It may fail: nodes die meanwhile, and not every choice makes sense.
change_some_region() {
  local kind=$1 command status
  while read -r command; do
    status=0
    # shellcheck disable=SC2086  # words, not one word
    region $command >>"$WORKDIR/logs/region.out" 2>&1 || status=$?
    printf '%s %s %s: status %s\n' "$(now_ms)" "$kind" "$command" "$status" >>"$CHANGES"
  done < <("$NOKV" regions --config "$CONFIG" --timeout 2 --json 2>/dev/null 9>&- |
    python3 "$NODES_LIB/region_ops.py" "$kind" "$RANDOM" "$KEYS" 2>/dev/null)
}

# Until the file $1 is gone.
change_regions_while() {
  local kinds=(split transfer move split merge)
  RANDOM=$((SEED % 32768 + 1))
  while [[ -e $1 ]]; do
    change_some_region "${kinds[RANDOM % ${#kinds[@]}]}"
    sleep 0.2
  done
}

# How often each kind of change succeeded; each must have.
count_changes() {
  local kind count
  for kind in split transfer move merge; do
    count=$(grep -c "^[0-9]* $kind .*: status 0$" "$CHANGES" || true)
    printf '  %-9s %s times (%s tried)\n' "$kind" "$count" "$(grep -c "^[0-9]* $kind " "$CHANGES" || true)"
    ((count > 0)) || { echo "no $kind succeeded: see $CHANGES and $WORKDIR/logs/region.out" >&2 && return 1; }
  done
}

changes_under_load() {
  local flag="$WORKDIR/changing" changer
  say "regions change under the load while nodes die"
  collect_stanzas
  awk '/^Package: /{p=$2} /^Version: /{if (p != "") print p "/" $2; p=""}' "$STANZAS" | LC_ALL=C sort -u >"$KEYS"
  touch "$flag" "$CHANGES"
  change_regions_while "$flag" 9>&- &
  changer=$!
  load_under_kills
  rm -f "$flag"
  wait "$changer"
  verify "after the load: nothing lost, no gap, equal replicas"
  count_changes
  python3 "$NODES_LIB/ledger.py" "$LEDGER" "$EVENTS"
  python3 "$NODES_LIB/topology.py" live "$CONFIG"
}

bench() { "$NOKV" bench run --json --target "nokv:$CONFIG" --keys "$BENCH_KEYS" --workload "$@" 9>&-; }

foreground() {
  local file="$WORKDIR/${1// /-}.json"
  bench txn-put --no-load --clients 16 --rate "$FOREGROUND_RATE" --warmup-seconds 0 --seconds "$FOREGROUND_SECONDS" \
    --seed "$RANDOM" >"$file"
  outage row "$file" "$1"
}

# Writes until there were as many as asked for, with ten splits in between.
write_and_split() {
  local done=0 splits=0 file="$WORKDIR/writes.json" written region key
  while ((done < $1)); do
    bench txn-put --no-load --clients 64 --warmup-seconds 0 --seconds 5 --seed "$RANDOM" >"$file"
    written=$(python3 -c 'import json, sys
print(int(json.load(open(sys.argv[1]))["targets"][0]["per_second"] * 5))' "$file")
    done=$((done + written))
    while ((splits < $2 && splits * $1 <= done * $2)); do
      key=$(printf '%s%015d' "$([[ $((splits % 2)) == 0 ]] && echo a || echo z)" $((BENCH_KEYS * (splits + 1) / 12)))
      region=$("$NOKV" regions --json --config "$CONFIG" | python3 -c 'import json, sys
key = sys.argv[1]
print(next(r["id"] for r in json.load(sys.stdin)
           if (r["start_key"] == "-" or r["start_key"] <= key)
           and (r["end_key"] == "-" or key < r["end_key"])))' "$key")
      region split "$region" "$key" >/dev/null
      splits=$((splits + 1))
    done
  done
  printf '  %s writes and %s splits meanwhile\n' "$done" "$splits"
}

# A process's resident memory in MiB.
resident() { awk '/^VmRSS:/{print int($2 / 1024)}' "/proc/$1/status" 2>/dev/null; }

# The largest resident memory of each node while the file $1 is there, in MiB.
watch_memory() {
  local name pid rss
  declare -A most=()
  while [[ -e $1 ]]; do
    for name in "${!NODE_PID[@]}"; do
      pid=${NODE_PID[$name]}
      rss=$(resident "$pid") || continue
      ((${rss:-0} <= ${most[$name]:-0})) || most[$name]=$rss
    done
    sleep 0.2
  done
  for name in "${!most[@]}"; do printf '  %s: %s MiB at most\n' "$name" "${most[$name]}"; done | sort
}

memory_now() {
  local name
  for name in "${!NODE_PID[@]}"; do
    [[ $name == tso ]] || printf '  %s: %s MiB\n' "$name" "$(resident "${NODE_PID[$name]}")"
  done | sort
}

# The foreground's 99th percentile while `$1` catches up, beside the one before; then equal bytes. What brings the store
# back is the rest of the command.
catch_up() {
  local name=$1 flag="$WORKDIR/watching" watcher began load
  shift
  echo "memory before:" && memory_now
  nodes_start "$name"
  nodes_wait_ready "$name" 120
  touch "$flag"
  watch_memory "$flag" 9>&- &
  watcher=$!
  began=$(now_ms)
  foreground "while $name catches up" &
  load=$!
  "$@"
  wait "$load"
  python3 "$NODES_LIB/topology.py" replicas "$CONFIG" 300
  printf '  %s holds the same bytes as the others, %s ms after it was ready (measured load included)\n' "$name" \
    "$(($(now_ms) - began))"
  rm -f "$flag"
  echo "memory meanwhile:" && wait "$watcher"
}

a_store_away() {
  say "store-3 is away for $WRITES writes and ten splits"
  outage head
  foreground "with all stores, before"
  nodes_kill store-3
  write_and_split "$WRITES" 10
  catch_up store-3 true
}

a_directory_deleted() {
  say "store-2's directory is deleted while it is down"
  outage head
  foreground "with all stores, once more"
  nodes_kill store-2
  rm -rf "$WORKDIR/store-2"
  write_and_split "$((WRITES / 10))" 0
  catch_up store-2 refill 2
}

refill() { "$NOKV" region refill "$1" --config "$CONFIG" --timeout "$CHANGE_SECONDS" 9>&-; }

finish() {
  local status=$?
  trap '' INT TERM HUP
  rm -f "$WORKDIR/changing" "$WORKDIR/watching"
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
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" 1 >"$CONFIG"
nodes_open
nodes_start_all
if part changes; then changes_under_load; fi
if part away || part deleted; then
  say "keys for what follows"
  bench txn-put --clients 64 --seconds 1 >"$WORKDIR/fill.json"
fi
if part away; then a_store_away; fi
if part deleted; then a_directory_deleted; fi
