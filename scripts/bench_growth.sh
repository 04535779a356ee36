#!/usr/bin/env bash
# Measures how three nodes on this machine grow: with the size of values, the number of clients, of regions and of keys,
# and how steady they are for minutes at half of what they can do. Each part begins on empty directories.
set -euo pipefail

# A shell that starts this in the background makes it ignore SIGINT, which bash could then never catch.
if [[ -n $(trap -p INT) && -z ${NOKV_SIGNALS_RESET:-} ]]; then
  NOKV_SIGNALS_RESET=1 exec env --default-signal=INT "${BASH_SOURCE[0]}" "$@"
fi

usage() {
  cat <<'END_OF_USAGE'
Usage: scripts/bench_growth.sh [--only PART] [--seconds N] [--cold-keys N] [--steady-seconds N] [--out DIR]
  --only PART         values, clients, regions, cold or steady: only that part (default: all, one after the other)
  --seconds N         length of each measurement (default: 5)
  --cold-keys N       keys of the part with more data than memory for it (default: 10000000; 2.5 GB on each node)
  --steady-seconds N  length of the steady part (default: 600)
  --out DIR           new or empty (default: a new one under artifacts/growth)
Environment: NOKV_BIN=FILE measures that binary instead of building one.
END_OF_USAGE
}

PARTS=(values clients regions cold steady)
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ONLY="" SECONDS_EACH=5 COLD_KEYS=10000000 STEADY_SECONDS=600 WORKDIR="" BENCH_PID=""
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --only | --seconds | --cold-keys | --steady-seconds | --out)
      (($# > 1)) || { echo "bench_growth: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --only) ONLY=$2 ;; --seconds) SECONDS_EACH=$2 ;; --cold-keys) COLD_KEYS=$2 ;;
        --steady-seconds) STEADY_SECONDS=$2 ;; --out) WORKDIR=$2 ;;
      esac
      shift 2
      ;;
    *) echo "bench_growth: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
[[ -z $ONLY || " ${PARTS[*]} " == *" $ONLY "* ]] || { echo "bench_growth: no part $ONLY; ${PARTS[*]}" >&2 && exit 2; }
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/growth/$(date +%Y%m%d-%H%M%S)}")
[[ -z $(ls -A "$WORKDIR" 2>/dev/null) ]] || { echo "bench_growth: $WORKDIR is not empty" >&2 && exit 2; }
mkdir -p "$WORKDIR/rows" "$WORKDIR/logs"
CONFIG="$WORKDIR/topology.json"
readonly ROOT ONLY SECONDS_EACH COLD_KEYS STEADY_SECONDS WORKDIR CONFIG
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
GROWTH="$NODES_LIB/bench_growth.py"

say() { printf '\n== %s\n' "$*"; }

# Three nodes on empty directories, with $1 regions.
begin() {
  nodes_stop_all
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
  python3 -B "$GROWTH" topology "$WORKDIR/ports.json" "$1" >"$CONFIG"
  nodes_start_all >"$WORKDIR/logs/regions" || { cat "$WORKDIR/logs/regions" >&2 && return 1; }
}

# A measurement named $1, with the arguments of `nokv bench run` that follow; prints its row.
measure() {
  local name=$1 status=0 pids seconds=${MEASURE_SECONDS:-$SECONDS_EACH}
  shift
  pids=$(IFS=, && printf '%s' "${NODE_PID[*]}")
  "$NOKV" bench run --json --target "nokv:$CONFIG" --pids "$pids" --warmup-seconds 1 --seconds "$seconds" \
    --key-bytes 9 "$@" >"$WORKDIR/rows/$name.json" 9>&- &
  BENCH_PID=$!
  wait "$BENCH_PID" || status=$?
  BENCH_PID=""
  ((status != 0)) || python3 -B "$GROWTH" row "$name" "$WORKDIR/rows/$name.json" "${NODE_PID[@]}"
  return "$status"
}

values() {
  local bytes keys clients
  for bytes in 16 256 4096 65536 1048576; do
    keys=$((200000000 / bytes)) clients=64
    ((keys <= 50000)) || keys=50000
    begin 2
    measure "put-$bytes-bytes" --workload raw-put --clients "$clients" --value-bytes "$bytes" --keys "$keys"
    measure "get-$bytes-bytes" --workload raw-get --clients "$clients" --value-bytes "$bytes" --keys "$keys" --no-load
  done
}

clients() {
  local count load=()
  begin 2
  for count in 1 4 16 64 256 1024; do
    measure "put-$count-clients" --workload raw-put --clients "$count" --keys 100000 "${load[@]}"
    load=(--no-load)
    measure "get-$count-clients" --workload raw-get --clients "$count" --keys 100000 --no-load
  done
}

regions() {
  local count
  for count in 1 10 100 1000; do
    begin "$count"
    measure "put-$count-regions" --workload raw-put --clients 256 --keys 100000
    measure "get-$count-regions" --workload raw-get --clients 256 --keys 100000 --no-load
  done
}

# More data than the engine's caches hold, read after a restart.
cold() {
  begin 2
  measure cold-load --workload raw-put --clients 256 --keys "$COLD_KEYS"
  nodes_stop_all
  # Where this is not allowed, the system's own cache stays warm.
  sync
  { echo 1 >/proc/sys/vm/drop_caches; } 2>/dev/null || say "the system's cache cannot be emptied: not root"
  nodes_start_all >"$WORKDIR/logs/regions"
  measure cold-get --workload raw-get --clients 64 --keys "$COLD_KEYS" --no-load
  measure cold-get-at --workload get-at --clients 64 --keys "$COLD_KEYS" --no-load
  measure cold-put --workload raw-put --clients 64 --keys "$COLD_KEYS" --no-load
}

# Half of the peak for minutes: stalls show in the largest latency, which counts from when an operation was due.
steady() {
  local peak
  begin 2
  measure steady-peak --workload raw-put --clients 64 --keys 100000
  peak=$(python3 -B "$GROWTH" rate "$WORKDIR/rows/steady-peak.json")
  MEASURE_SECONDS=$STEADY_SECONDS measure "steady-${STEADY_SECONDS}s" --workload raw-put --clients 64 --keys 100000 \
    --no-load --rate $((peak / 2))
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  [[ -z $BENCH_PID ]] || kill -TERM "$BENCH_PID" 2>/dev/null || true
  nodes_stop_all
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
  ((status == 0)) || nodes_say "bench_growth: not finished (status $status); what there is: $WORKDIR"
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv release)
python3 -B "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$WORKDIR/ports.json"
cp "$WORKDIR/ports.json" "$CONFIG"
nodes_open
for part in "${PARTS[@]}"; do
  [[ -z $ONLY || $ONLY == "$part" ]] || continue
  say "$part"
  python3 -B "$GROWTH" head
  "$part"
done
