#!/usr/bin/env bash
# Builds NoKV and runs a whole cluster on this machine: the timestamp server and every store of the topology file; or,
# with --nodes, a cluster that runs itself, without a topology file.
# Shows their logs, each line with its node's name, until Ctrl+C; then stops what it started.
# Run it again on the same workdir, also after kill -9 of anything, and it goes on where it was.
set -euo pipefail

# A shell that starts this in the background makes it ignore SIGINT, which bash could then never catch.
if [[ -n $(trap -p INT) && -z ${NOKV_SIGNALS_RESET:-} ]]; then
  NOKV_SIGNALS_RESET=1 exec env --default-signal=INT "${BASH_SOURCE[0]}" "$@"
fi

usage() {
  cat <<'END'
Usage: scripts/run_local_cluster.sh [--config FILE | --nodes N] [--workdir DIR] [--release]
  --config FILE   topology: stores, regions, timestamp server (default: raft_config.example.json)
  --nodes N       no topology file: so many nodes begin a cluster that runs itself, on free ports; more may join it
  --workdir DIR   data, logs and process ids (default: artifacts/cluster in the repository)
  --release       build with full optimisation (default: the tests' profile, which shares their build)
Environment: NOKV_BIN=FILE runs that binary instead of building one.
END
}

read_arguments() {
  while (($# > 0)); do
    case $1 in
      --config | --workdir | --nodes)
        (($# > 1)) || { echo "run_local_cluster: $1 needs a value" >&2 && exit 2; }
        case $1 in --config) CONFIG=$2 ;; --workdir) WORKDIR=$2 ;; --nodes) NODE_COUNT=$2 ;; esac
        shift 2
        ;;
      --release) PROFILE=release && shift ;;
      -h | --help) usage && exit 0 ;;
      *) echo "run_local_cluster: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
    esac
  done
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CONFIG="" NODE_COUNT=0 NODE_FLAGS=() WORKDIR="" PROFILE=dev
read_arguments "$@"
if [[ ! $NODE_COUNT =~ ^[0-9]$ || -n $CONFIG && $NODE_COUNT != 0 ]]; then
  echo "run_local_cluster: --nodes takes 1 to 9, and no --config beside it" >&2 && exit 2
fi
WORKDIR=${WORKDIR:-$ROOT/artifacts/cluster$([[ $NODE_COUNT == 0 ]] || echo "-of-$NODE_COUNT")}
mkdir -p "$WORKDIR"
WORKDIR=$(realpath "$WORKDIR")
if [[ $NODE_COUNT == 0 ]]; then
  CONFIG=${CONFIG:-$ROOT/raft_config.example.json}
  [[ -r $CONFIG ]] || { echo "run_local_cluster: cannot read the topology file $CONFIG" >&2 && exit 2; }
  CONFIG=$(realpath "$CONFIG")
fi
readonly ROOT CONFIG WORKDIR PROFILE NODE_COUNT
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"

declare -a FOLLOWERS=()  # process ids of the log readers

# Shows what a node says and logs from now on, under its name.
follow_log() {
  local logs="$WORKDIR/logs/$1"
  touch "$logs.out" "$logs.log"
  tail --quiet --lines=0 --follow=name --retry --pid=$$ "$logs.out" "$logs.log" 2>/dev/null 9>&- \
    > >(exec 9>&- sed -u "s/^/[$1] /") &
  FOLLOWERS+=("$!")
}

stop_everything() {
  trap '' INT TERM HUP
  ((${#NODE_PID[@]} == 0)) || nodes_say "stopping ${#NODE_PID[@]} nodes"
  nodes_stop_all
  ((${#FOLLOWERS[@]} == 0)) || kill "${FOLLOWERS[@]}" 2>/dev/null || true
}

explain() {
  local name find="${FIND[*]}" stores=("${NODES[@]}")
  [[ -z $CONFIG ]] || stores=("${NODES[@]:1}")
  [[ -n $CONFIG ]] || find="--addr ${NODE_LISTENS[store-1]%% *}"
  cat <<END

The cluster is up. In another terminal:
  $NOKV --help
  $NOKV regions $find
  $NOKV put $find greeting hello
  $NOKV get $find greeting
END
  [[ -n $CONFIG ]] || cat <<END
  $NOKV cluster status $find
  $NOKV serve --workdir DIRECTORY --addr HOST:PORT --join ${NODE_LISTENS[store-1]%% *}
END
  cat <<END
TinyKv clients (gRPC): $(for name in "${stores[@]}"; do printf '%s ' "${NODE_LISTENS[$name]%% *}"; done)
Status pages:$(for name in "${stores[@]}"; do printf ' http://%s/status' "${NODE_LISTENS[$name]##* }"; done)
END
  [[ -z $CONFIG ]] || echo "Timestamps: http://${NODE_LISTENS[tso]}/tso"
  cat <<END
Data, logs and process ids: $WORKDIR
Stop it with Ctrl+C.
END
}

# Says so when a node ends by itself, and how to have it back; ends when none is left.
watch_nodes() {
  local name pid status
  while ((${#NODE_PID[@]} > 0)); do
    for name in "${!NODE_PID[@]}"; do
      pid=${NODE_PID[$name]} status=0
      [[ ! -d /proc/$pid ]] || continue
      wait "$pid" 2>/dev/null || status=$?
      nodes_forget "$name"
      nodes_say "$name (process $pid) ended with status $status. Start it again, from any terminal, with"
      nodes_say "  $(nodes_command "$name" | tr '\n' ' ')"
    done
    sleep 0.3
  done
  nodes_say "no node is left"
  return 1
}

trap 'exit 0' INT TERM HUP
trap stop_everything EXIT
NOKV=$(build_nokv "$PROFILE")
[[ -z $CONFIG ]] || "$NOKV" config check --config "$CONFIG"
nodes_open
for node in "${NODES[@]}"; do
  follow_log "$node"
done
nodes_start_all
explain
watch_nodes
