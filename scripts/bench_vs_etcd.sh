#!/usr/bin/env bash
# Measures three nodes of ours beside three of etcd's, on this machine, with the defaults of both, and writes a report.
# Both acknowledge a write once a quorum has synced it. Each row starts both clusters on empty directories and loads
# them in turns, never at once. What the machine itself can do is measured first, its disk's rate before each row again.
set -euo pipefail

# A shell that starts this in the background makes it ignore SIGINT, which bash could then never catch.
if [[ -n $(trap -p INT) && -z ${NOKV_SIGNALS_RESET:-} ]]; then
  NOKV_SIGNALS_RESET=1 exec env --default-signal=INT "${BASH_SOURCE[0]}" "$@"
fi

# A row: its name; our target's kind and operation; clients; etcd's operation; what is compared (throughput, or p50);
# the least ratio to etcd's that will do and the one aimed at (of latencies, the largest).
readonly ROWS=(
  "raw-put-64         nokv-unary  raw-put   64   raw-put  throughput  2    3"
  "raw-put-256        nokv-unary  raw-put   256  raw-put  throughput  2    3"
  "raw-put-64-stream  nokv        raw-put   64   raw-put  throughput  3.5  6"
  "raw-get-64         nokv-unary  raw-get   64   raw-get  throughput  1.5  1.9"
  "raw-get-64-stream  nokv        raw-get   64   raw-get  throughput  3    6"
  "get-at-64          nokv-unary  get-at    64   raw-get  throughput  1.5  1.9"
  "get-at-64-stream   nokv        get-at    64   raw-get  throughput  3    6"
  "txn-put-64         nokv        txn-put   64   raw-put  throughput  1    2"
  "transfer-64        nokv        transfer  64   raw-put  throughput  0.5  1"
  "raw-put-1          nokv-unary  raw-put   1    raw-put  p50         1    0.6"
)
readonly QUICK_ROWS=raw-put-64,raw-get-64,txn-put-64

usage() {
  cat <<'END_OF_USAGE'
Usage: scripts/bench_vs_etcd.sh [--quick] [--rows NAME,…] [--turns N] [--seconds N] [--keys N] [--etcd leader|all]
                                [--out DIR]
  --quick         a few rows, one turn of 3 s each, 10,000 keys: shows that everything works, not how fast it is
  --rows NAME,…   only these rows
  --turns N       turns of each row (default: 3); the medians count
  --seconds N     length of a turn (default: 10)
  --keys N        number of keys (default: 100000)
  --etcd WHICH    ask etcd's leader only, as fast as it goes, or all members in turn (default: leader)
  --out DIR       new or empty; the report's folder (default: a new one under artifacts/bench)
Environment: NOKV_BIN=FILE measures that binary instead of building one; ETCD_BIN_DIR=DIR has etcd and etcdctl.
END_OF_USAGE
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --rows | --turns | --seconds | --keys | --etcd | --out)
        (($# > 1)) || { echo "bench_vs_etcd: $1 needs a value" >&2 && exit 2; }
        case $1 in
          --rows) ONLY=$2 ;; --turns) TURNS=$2 ;; --seconds) TURN_SECONDS=$2 ;; --keys) KEYS=$2 ;;
          --etcd) ETCD_ASKED=$2 ;; --out) WORKDIR=$2 ;;
        esac
        shift 2
        ;;
      --quick) ONLY=${ONLY:-$QUICK_ROWS} TURNS=1 TURN_SECONDS=3 KEYS=10000 LIMIT_SECONDS=1 && shift ;;
      -h | --help) usage && exit 0 ;;
      *) echo "bench_vs_etcd: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
    esac
  done
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ONLY="" TURNS=3 TURN_SECONDS=10 KEYS=100000 LIMIT_SECONDS=3 ETCD_ASKED=leader WORKDIR="" BENCH_PID=""
read_arguments "$@"
[[ $ETCD_ASKED == leader || $ETCD_ASKED == all ]] || { echo "bench_vs_etcd: --etcd leader or all" >&2 && exit 2; }
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/bench/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "bench_vs_etcd: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR/rows"
CONFIG="$WORKDIR/topology.json"
readonly ROOT ONLY TURNS TURN_SECONDS KEYS LIMIT_SECONDS ETCD_ASKED WORKDIR CONFIG
readonly WARMUP_SECONDS=2 VALUE_BYTES=256
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/etcd.sh
source "$ROOT/scripts/lib/etcd.sh"

say() { printf '\n== %s\n' "$*"; }

# `nokv bench …` into a file, in the background of this script, so that a signal is acted on at once.
bench() {
  local out=$1 status=0
  shift
  "$NOKV" bench "$@" >"$out" 9>&- &
  BENCH_PID=$!
  wait "$BENCH_PID" || status=$?
  BENCH_PID=""
  return "$status"
}

wanted() { [[ -z $ONLY || ",$ONLY," == *",$1,"* ]]; }

# Refuses names of rows that there are not: a typo must not look like a fast run.
check_rows() {
  local name row known=" "
  for row in "${ROWS[@]}"; do
    known+="${row%% *} "
  done
  for name in ${ONLY//,/ }; do
    [[ $known == *" $name "* ]] || { echo "bench_vs_etcd: no row $name; there are:$known" >&2 && exit 2; }
  done
}

measure_limits() {
  say "what this machine can do"
  bench "$WORKDIR/limits-64.json" limits --json --dir "$WORKDIR" --seconds "$LIMIT_SECONDS" --clients 64 \
    --value-bytes "$VALUE_BYTES"
  bench "$WORKDIR/limits-256.json" limits --json --dir "$WORKDIR" --seconds "$LIMIT_SECONDS" --clients 256 \
    --value-bytes "$VALUE_BYTES" --only unary,stream
}

# Both clusters, on empty directories.
start_clusters() {
  nodes_start_all >"$WORKDIR/logs/regions" || { cat "$WORKDIR/logs/regions" >&2 && return 1; }
  etcd_start
}

stop_clusters() {
  etcd_stop
  nodes_stop_all
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
}

measure_row() {
  local name kind operation clients etcd_operation etcd ours_pids etcd_pids
  read -r name kind operation clients etcd_operation _ <<<"$1"
  wanted "$name" || return 0
  say "$name"
  bench "$WORKDIR/rows/$name.disk.json" limits --json --dir "$WORKDIR" --only disk --seconds 1 \
    --value-bytes "$VALUE_BYTES"
  start_clusters
  etcd=$ETCD_LEADER
  [[ $ETCD_ASKED == leader ]] || etcd=$ETCD_ENDPOINTS
  ours_pids=$(IFS=, && printf '%s' "${NODE_PID[*]}")
  etcd_pids=$(IFS=, && printf '%s' "${ETCD_PIDS[*]}")
  bench "$WORKDIR/rows/$name.json" run --json --html "$WORKDIR/rows/$name.html" \
    --target "$kind:$CONFIG" --workload "$operation" --pids "$ours_pids" \
    --vs "etcd:$etcd" --vs-workload "$etcd_operation" --vs-pids "$etcd_pids" \
    --clients "$clients" --turns "$TURNS" --seconds "$TURN_SECONDS" --warmup-seconds "$WARMUP_SECONDS" \
    --keys "$KEYS" --value-bytes "$VALUE_BYTES"
  stop_clusters
  printf '%s\n' "$1" >>"$WORKDIR/rows.txt"
  python3 -B "$NODES_LIB/bench_report.py" row "$WORKDIR" "$name"
}

report() {
  say "report"
  python3 -B "$NODES_LIB/bench_report.py" report "$WORKDIR" "etcd $ETCD_VERSION ($ETCD_ASKED)" \
    "$("$NOKV" --version)" "$KEYS keys, $VALUE_BYTES-byte values, $TURNS turns of $TURN_SECONDS s"
}

# Stops everything; the rows that were measured before a failure or a Ctrl+C are reported all the same.
finish() {
  local status=$?
  trap '' INT TERM HUP
  [[ -z $BENCH_PID ]] || kill -TERM "$BENCH_PID" 2>/dev/null || true
  stop_clusters
  rm -rf "$WORKDIR"/.tmp*  # what an interrupted measurement of the disk leaves
  [[ ! -s $WORKDIR/rows.txt ]] || report
  ((status == 0)) || nodes_say "bench_vs_etcd: not finished (status $status); what there is: $WORKDIR"
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
check_rows
NOKV=$(build_nokv release)
etcd_fetch
python3 -B "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
nodes_open
measure_limits
for row in "${ROWS[@]}"; do
  measure_row "$row"
done
