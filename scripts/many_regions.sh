#!/usr/bin/env bash
# Measures what many idle regions cost on three local nodes: CPU and memory while nobody asks for anything, the time
# until all have leaders after a start and after a kill -9 of one node. Ports and a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/many_regions.sh [--regions N] [--hibernate-after S] [--idle S] [--workdir DIR] [--dev]
  --regions N           regions, each with a replica on all three stores (default: 10000)
  --hibernate-after S   seconds after which an untouched region sleeps; 0 = never (default: 10)
  --idle S              seconds over which idle CPU is measured (default: 20)
  --workdir DIR         new or empty (default: a new one under artifacts/many-regions)
  --dev                 measure the tests' profile instead of a build with full optimisation
Environment: NOKV_BIN=FILE measures that binary instead of building one.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REGIONS=10000 HIBERNATE=10 IDLE=20 WORKDIR="" PROFILE=release
while (($# > 0)); do
  case $1 in
    --regions | --hibernate-after | --idle | --workdir)
      (($# > 1)) || { echo "many_regions: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --regions) REGIONS=$2 ;; --hibernate-after) HIBERNATE=$2 ;; --idle) IDLE=$2 ;; --workdir) WORKDIR=$2 ;;
      esac
      shift 2
      ;;
    --dev) PROFILE=dev && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "many_regions: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/many-regions/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "many_regions: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json"
# The longest that a step may take before the script gives up.
readonly ROOT WORKDIR PROFILE CONFIG REGIONS HIBERNATE IDLE READY_SECONDS=120 LEADERS_SECONDS=180
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"

now_ms() { date +%s%3N; }
look() { python3 -B "$NODES_LIB/many_regions.py" "$@"; }

# As in nodes.sh, with the flag that is measured.
nodes_command() {
  local words=(tso)
  [[ $1 == tso ]] || words=(serve --store-id "${1#store-}" --hibernate-after "$HIBERNATE")
  printf '%s\n' "$NOKV" "${words[@]}" --config "$CONFIG" --workdir "$WORKDIR/$1"
}

stores() { printf '%s\n' "${!NODE_PID[@]}" | grep '^store-' | sort; }

# Where the running stores' status pages are, and their processes.
status_addresses() { for name in $(stores); do printf '%s\n' "${NODE_LISTENS[$name]##* }"; done; }
processes() { for name in $(stores); do printf '%s\n' "${NODE_PID[$name]}"; done; }

# Starts all stores at once, and prints how long until they are ready and until every region has a leader.
start_stores() {
  local name began
  began=$(now_ms)
  for name in "${NODES[@]}"; do [[ $name == tso ]] || nodes_start "$name"; done
  for name in "${NODES[@]}"; do [[ $name == tso ]] || nodes_wait_ready "$name" "$READY_SECONDS"; done
  printf '%s: ready after %s ms, all %s regions have leaders after ' "$1" "$(($(now_ms) - began))" "$REGIONS"
  wait_leaders "$began"
}

wait_leaders() {
  local addresses took
  mapfile -t addresses < <(status_addresses)
  took=$(look wait "$REGIONS" "$LEADERS_SECONDS" "$1" "${addresses[@]}")
  printf '%s ms\n' "$took"
}

measure_idle() {
  local pids addresses
  mapfile -t pids < <(processes)
  mapfile -t addresses < <(status_addresses)
  look idle "$IDLE" "$1" "${pids[@]}" -- "${addresses[@]}"
}

stop_stores() {
  local name
  for name in $(stores); do kill -TERM "${NODE_PID[$name]}" 2>/dev/null || true; done
  for name in $(stores); do nodes_await_end "${NODE_PID[$name]}" && nodes_forget "$name"; done
}

finish() {
  local status=$?
  trap '' INT TERM HUP
  nodes_stop_all
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso"
  printf '\n%s in %s s; logs: %s\n' "$( ((status == 0)) && echo "done" || echo FAILED)" "$SECONDS" "$WORKDIR"
  exit "$status"
}

trap 'exit 130' INT TERM HUP
trap finish EXIT
NOKV=$(build_nokv "$PROFILE")
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$WORKDIR/base.json"
look topology "$WORKDIR/base.json" "$REGIONS" >"$CONFIG"
nodes_open
nodes_start tso
nodes_wait_ready tso 30
printf '%s (%s), %s regions, hibernation after %s s (0 = never)\n\n' "$("$NOKV" --version)" \
  "${NOKV_BIN:-$PROFILE profile}" "$REGIONS" "$HIBERNATE"
start_stores "first start"
printf '\n| state | CPU of each store, %% of a core | memory of each, MiB | replicas asleep | load |\n'
printf '| --- | --- | --- | --- | --- |\n'
measure_idle "right after that"
# Sleep comes after the quiet time, and a little more where not all replicas agree at once.
sleep "$((HIBERNATE + 5))"
measure_idle "idle"
printf '\n'
stop_stores
start_stores "restart of all"
sleep "$((HIBERNATE + 5))"
began=$(now_ms)
nodes_kill store-1
printf 'kill -9 of one: all %s regions have leaders on the other two after ' "$REGIONS"
wait_leaders "$began"
began=$(now_ms)
nodes_start store-1
nodes_wait_ready store-1 "$READY_SECONDS"
printf 'its restart: ready after %s ms\n' "$(($(now_ms) - began))"
