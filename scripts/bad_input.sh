#!/usr/bin/env bash
# Shows that each wrong input gets a clear error: on the command line, in the topology, in a directory, over the wire,
# and from a disk that is full. Prints every command with what it was told. Runs on ports and in a directory of its own.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/bad_input.sh [--workdir DIR] [--release]
  --workdir DIR   new or empty (default: a new one under artifacts/bad-input)
  --release       build with full optimisation (default: the tests' profile)
The full disk is a small file system in memory, which takes root to mount; without, that part is left out and says so.
Environment: NOKV_BIN=FILE runs that binary instead of building one.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
WORKDIR="" PROFILE=dev
while (($# > 0)); do
  case $1 in
    --workdir)
      (($# > 1)) || { echo "bad_input: $1 needs a value" >&2 && exit 2; }
      WORKDIR=$2 && shift 2
      ;;
    --release) PROFILE=release && shift ;;
    -h | --help) usage && exit 0 ;;
    *) echo "bad_input: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/bad-input/$(date +%Y%m%d-%H%M%S)}")
if [[ -n $(ls -A "$WORKDIR" 2>/dev/null) ]]; then
  echo "bad_input: $WORKDIR is not empty" >&2 && exit 2
fi
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" RESULTS="$WORKDIR/results"
readonly ROOT WORKDIR PROFILE CONFIG RESULTS
# Far beyond anything that should happen; a refusal comes at once.
readonly PATIENCE_SECONDS=60
# What a store's disk holds at first, and the size of the values that fill it, in MiB.
readonly DISK_MIB=512 VALUE_MIB=1
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"
# shellcheck source=scripts/lib/venv.sh
source "$ROOT/scripts/lib/venv.sh"

say() { printf '\n== %s\n' "$*"; }

# One result: ok, FAIL or --, what it is about, and lines that show it.
result() {
  printf '%-4s %s\n' "$1" "$2" | tee -a "$RESULTS"
  shift 2
  (($# == 0)) || printf '%s\n' "$@" | sed 's/^/     /'
}

# A command must end by itself with this status, and its words must be in what it says: NAME STATUS WORDS… -- COMMAND…
must_say() {
  local name=$1 expected=$2 words=() word status=0 said verdict=ok
  shift 2
  while [[ $1 != -- ]]; do
    words+=("$1") && shift
  done
  shift
  said=$(timeout "$PATIENCE_SECONDS" "$@" 2>&1 9>&-) || status=$?
  for word in "${words[@]}"; do
    [[ $said == *"$word"* ]] || { verdict=FAIL && said+=$'\n'"(does not say: $word)"; }
  done
  ((status == expected)) || { verdict=FAIL && said+=$'\n'"(status $status instead of $expected)"; }
  result "$verdict" "$name" "\$ ${*//"$NOKV"/nokv}" "$said"
}

# Whether something holds: NAME COMMAND…
must_hold() {
  local name=$1 said verdict=ok
  shift
  said=$("$@" 2>&1 9>&-) || verdict=FAIL
  result "$verdict" "$name" "${said:0:2000}"
}

command_lines() {
  say "command lines"
  must_say "an unknown flag" 2 "--no-such-flag" -- "$NOKV" serve --no-such-flag
  must_say "an unknown flag of the client" 2 "--jsn" -- "$NOKV" get --config "$CONFIG" --jsn k
  must_say "an unknown command" 2 "frobnicate" -- "$NOKV" frobnicate
  must_say "a missing flag" 2 "--workdir" -- "$NOKV" serve --store-id 1
  must_say "an unknown flag of a script" 2 "--no-such-flag" -- "$ROOT/scripts/run_local_cluster.sh" --no-such-flag
}

topologies() {
  local overlap="$WORKDIR/overlap.json" typo="$WORKDIR/typo.json" torn="$WORKDIR/torn.json"
  say "topologies"
  # Region 2 begins at f, while region 1 goes on to m.
  python3 -c 'import json, sys
config = json.load(open(sys.argv[1]))
config["regions"][1]["start_key"] = "f"
json.dump(config, open(sys.argv[2], "w"), indent=1)' "$CONFIG" "$overlap"
  sed 's/"store_id": 2,/"store_idd": 2,/' "$CONFIG" >"$typo"
  head -c 300 "$CONFIG" >"$torn"
  must_say "a topology with an overlap" 1 "overlaps region 1" "f up to m" -- "$NOKV" config check --config "$overlap"
  must_say "a store with that topology" 1 "overlaps region 1" -- \
    "$NOKV" serve --config "$overlap" --store-id 1 --workdir "$WORKDIR/never"
  must_say "a cluster with that topology" 1 "overlaps region 1" -- \
    "$ROOT/scripts/run_local_cluster.sh" --config "$overlap" --workdir "$WORKDIR/never-cluster"
  must_say "a topology with a field that there is not" 1 "store_idd" -- "$NOKV" config check --config "$typo"
  must_say "a topology that is cut off" 1 "$torn" -- "$NOKV" config check --config "$torn"
  must_say "a topology that is not there" 1 "/no/such/file" -- "$NOKV" config check --config /no/such/file
  must_hold "nothing was begun" test ! -e "$WORKDIR/never"
}

# The directory of store 3, which is stopped meanwhile, and that of store 1, which runs.
directories() {
  local free_port
  say "directories"
  free_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  must_say "a second server on one directory" 1 "in use by another process" -- "$NOKV" serve --config "$CONFIG" \
    --store-id 1 --workdir "$WORKDIR/store-1" --addr "127.0.0.1:$free_port" --status-addr off
  must_say "a second server on one port" 1 "cannot listen on" "in use" -- "$NOKV" serve --config "$CONFIG" \
    --store-id 1 --workdir "$WORKDIR/elsewhere"
  must_say "a second timestamp server on one directory" 1 "in use by another timestamp server" -- \
    "$NOKV" tso --workdir "$WORKDIR/tso" --listen "127.0.0.1:$free_port"
  stop_node store-3
  must_say "the data directory of another store" 1 "belongs to store 3" "--store-id 3" -- \
    "$NOKV" serve --config "$CONFIG" --store-id 2 --workdir "$WORKDIR/store-3" --addr "127.0.0.1:$free_port"
  python3 -c 'import json, sys
config = json.load(open(sys.argv[1]))
config["regions"][0]["end_key"] = config["regions"][1]["start_key"] = "p"
json.dump(config, open(sys.argv[2], "w"), indent=1)' "$CONFIG" "$WORKDIR/other-split.json"
  must_say "a directory that the topology does not fit" 1 "does not fit" "region 1" -- \
    "$NOKV" serve --config "$WORKDIR/other-split.json" --store-id 3 --workdir "$WORKDIR/store-3"
  mkdir "$WORKDIR/theirs" && echo theirs >"$WORKDIR/theirs/file"
  must_say "a directory with somebody else's files" 1 "not empty" -- \
    "$NOKV" serve --config "$CONFIG" --store-id 3 --workdir "$WORKDIR/theirs"
  start_node store-3
  must_hold "store 3 goes on, on its own directory" "$NOKV" regions --config "$CONFIG"
}

start_node() { nodes_start "$1" && nodes_wait_ready "$1" "$PATIENCE_SECONDS"; }

stop_node() { nodes_end_process "${NODE_PID[$1]}" && nodes_forget "$1"; }

timestamp() { curl -fsS "http://${NODE_LISTENS[tso]}/tso" | sed -n 's/.*"timestamp":\([0-9]*\).*/\1/p' | grep .; }

timestamp_record() {
  local before after tso=("$NOKV" tso --workdir "$WORKDIR/tso" --listen "${NODE_LISTENS[tso]}")
  say "the record of the timestamp server"
  before=$(timestamp)
  nodes_kill tso
  truncate --size 20 "$WORKDIR/tso/tso.bound"
  must_say "a truncated record" 1 "is damaged" "20 bytes" "--recover-bound-ms" -- "${tso[@]}"
  must_say "the same again: the first try changed nothing" 1 "20 bytes" -- "${tso[@]}"
  must_say "a time to go on from that is none" 1 "no time to go on from" -- "${tso[@]}" --recover-bound-ms $((10 ** 17))
  tso+=(--recover-bound-ms $(($(date +%s%3N) + 3600000)))
  "${tso[@]}" >>"$WORKDIR/logs/tso.out" 2>>"$WORKDIR/logs/tso.log" 9>&- &
  NODE_PID[tso]=$!
  until after=$(timestamp 2>/dev/null); do
    nodes_alive "${NODE_PID[tso]}" || { after=0 && break; }
  done
  must_hold "after doing what the text says, timestamps go on above the earlier ones ($before < $after)" \
    test "$before" -lt "$after"
  stop_node tso
  start_node tso
  must_hold "and transactions as well" "$NOKV" put --config "$CONFIG" after-recovery yes
}

values() {
  local file="$WORKDIR/64MiB"
  say "values and keys"
  head -c $((64 << 20)) /dev/zero >"$file"
  must_say "a value of 64 MiB" 1 "67108864" -- "$NOKV" put --config "$CONFIG" big --value-file "$file"
  must_say "a raw value of 64 MiB" 1 "67108864" -- "$NOKV" put --raw --config "$CONFIG" big --value-file "$file"
  must_say "nothing of it is there" 1 "" -- "$NOKV" get --config "$CONFIG" big
  must_say "an empty key" 2 "empty" -- "$NOKV" put --config "$CONFIG" "" value
  must_say "a key that is no hex" 2 "hex" -- "$NOKV" put --config "$CONFIG" hex:zz value
  rm "$file"
}

# The id of the region that holds a key.
region_at() {
  "$NOKV" regions --json --config "$CONFIG" 9>&- | python3 -c 'import json, sys
key = sys.argv[1]
print(next(r["id"] for r in json.load(sys.stdin)
           if (r["start_key"] == "-" or r["start_key"] <= key) and (r["end_key"] == "-" or key < r["end_key"])))' "$1"
}

# Regions 1 and 2 meet at m; what is refused leaves them as they are.
region_changes() {
  local where=(--config "$CONFIG" --timeout 30) third
  say "changes of regions"
  must_say "a region that there is not" 1 "no store has a region 999" -- "$NOKV" region show 999 "${where[@]}"
  must_say "a split of a region that there is not" 1 "no store has a region 999" -- \
    "$NOKV" region split 999 g "${where[@]}"
  must_say "a split key outside of the region" 1 "z is not in region 1" -- "$NOKV" region split 1 z "${where[@]}"
  must_say "a split key at the region's end" 1 "m is not in region 1, which holds - up to m" -- \
    "$NOKV" region split 1 m "${where[@]}"
  must_say "a split key at the region's beginning" 1 "begins at m already" -- "$NOKV" region split 2 m "${where[@]}"
  must_say "a split with an id that is taken" 1 "region id 2 is taken" -- \
    "$NOKV" region split 1 g --ids 2,7001,7002,7003 "${where[@]}"
  must_hold "a split that is right" "$NOKV" region split 2 t "${where[@]}"
  third=$(region_at t)
  must_say "a merge of regions that are not neighbours" 1 "are not neighbours" -- \
    "$NOKV" region merge 1 "$third" "${where[@]}"
  must_say "a merge into itself" 1 "not into itself" -- "$NOKV" region merge 1 1 "${where[@]}"
  must_say "a merge into a region that there is not" 1 "no store has a region 999" -- \
    "$NOKV" region merge 1 999 "${where[@]}"
  must_hold "a merge of neighbours" "$NOKV" region merge "$third" 2 "${where[@]}"
  must_say "a peer on a store that there is not" 1 "store 9 is not in the topology" -- \
    "$NOKV" region add-peer 1 9 "${where[@]}"
  must_say "a leader where there is no peer" 1 "has no peer on store 9" -- \
    "$NOKV" region transfer-leader 1 9 "${where[@]}"
  stop_node store-3
  must_say "the removal of one of the two that are up" 1 "would lose its quorum" "--force" -- \
    "$NOKV" region remove-peer 1 2 "${where[@]}"
  must_hold "the same, forced" "$NOKV" region remove-peer 1 2 --force "${where[@]}"
  start_node store-3
  must_hold "with store 3 the region goes on, and gets its peer back" "$NOKV" region add-peer 1 2 "${where[@]}"
  must_hold "and its replicas are alike" python3 "$NODES_LIB/topology.py" replicas "$CONFIG" "$PATIENCE_SECONDS"
}

requests() {
  say "requests over gRPC, sent by an independent client"
  "$PYTHON" -B "$ROOT/scripts/wire/bad_requests.py" "$CONFIG" >"$WORKDIR/requests" || true
  cat "$WORKDIR/requests"
  grep -E '^(ok|FAIL) ' "$WORKDIR/requests" >>"$RESULTS" || result FAIL "no request was tried"
}

# Writes a raw value of 1 MiB under a key of region 1; what is acknowledged is kept in a list.
write_value() {
  "$NOKV" put --raw --config "$CONFIG" "disk-$1" --value-file "$WORKDIR/value" >>"$WORKDIR/writes.log" 2>&1 || return 1
  echo "disk-$1" >>"$WORKDIR/acknowledged"
}

acknowledged_are_there() {
  local key
  while read -r key; do
    "$NOKV" get --raw --bytes --config "$CONFIG" "$key" | cmp - "$WORKDIR/value" || { echo "$key is lost" && return 1; }
  done <"$WORKDIR/acknowledged"
  echo "$(wc -l <"$WORKDIR/acknowledged") values, each as it was written"
}

# Leaves as much room on the disk of node $1 as it has plus $2 MiB.
resize_disk() {
  local used_kib
  used_kib=$(df --output=used "$WORKDIR/$1" | tail -n 1)
  mount -o "remount,size=$((used_kib + $2 * 1024))k" "$WORKDIR/$1"
}

full_disk() {
  local node store writes=0 log
  say "a full disk under one node"
  store=$("$PYTHON" -B "$ROOT/scripts/wire/run.py" leader --config "$CONFIG" --region 1)
  node="store-$store" log="$WORKDIR/logs/store-$store.log"
  head -c $((VALUE_MIB << 20)) /dev/urandom >"$WORKDIR/value"
  touch "$WORKDIR/acknowledged"
  resize_disk "$node" 4
  echo "store $store, which leads region 1, has 4 MiB left"
  while nodes_alive "${NODE_PID[$node]}" && ((writes < 2 * DISK_MIB)); do
    writes=$((writes + 1))
    write_value "$writes" || true
  done
  nodes_alive "${NODE_PID[$node]}" && result FAIL "store $store never noticed that its disk is full" && return
  nodes_forget "$node"
  must_hold "the node stops, and says why" grep "fatal: store $store cannot go on" "$log"
  must_hold "the text names the cause and what to do" grep -E "fatal: .*No space left.*free space" "$log"
  nodes_wait_leaders 30
  for _ in {1..20}; do
    writes=$((writes + 1))
    write_value "$writes" || result FAIL "write $writes with one full node: $(tail -n 1 "$WORKDIR/writes.log")"
  done
  must_hold "the other two go on: what was acknowledged is there" acknowledged_are_there
  must_say "started while the disk is still full, it says so again" 1 "No space left" "free space" -- \
    "$NOKV" serve --config "$CONFIG" --store-id "$store" --workdir "$WORKDIR/$node"
  mount -o "remount,size=$((2 * DISK_MIB))m" "$WORKDIR/$node"
  start_node "$node"
  must_hold "after room was made it resumes: its replicas are like the others'" \
    python3 "$NODES_LIB/topology.py" replicas "$CONFIG" "$PATIENCE_SECONDS"
  must_hold "all that was ever acknowledged is there" acknowledged_are_there
}

# Each store's directory becomes a file system of its own, in memory, whose size can be changed at will.
mount_disks() {
  local name
  for name in "${NODES[@]:1}"; do
    mkdir -p "$WORKDIR/$name"
    mount -t tmpfs -o "size=${DISK_MIB}m" nokv-bad-input "$WORKDIR/$name" || return 1
    MOUNTED+=("$WORKDIR/$name")
  done
}

count() { grep -c -- "^$1 " "$RESULTS" || true; }

finish() {
  local status=$? folder failed
  trap '' INT TERM HUP
  nodes_stop_all
  for folder in "${MOUNTED[@]}"; do
    umount --lazy "$folder"
  done
  failed=$(count FAIL)
  say "in all: $(count ok) ok, $failed FAIL, $(count --) not tried in $SECONDS s; logs: $WORKDIR"
  ((status == 0 && failed == 0)) || exit 1
  rm -rf "$WORKDIR"/store-* "$WORKDIR/tso" "$WORKDIR/value"
}

MOUNTED=()
touch "$RESULTS"
trap 'exit 130' INT TERM HUP
trap finish EXIT
PYTHON=$(venv_python grpcio grpcio-tools grpcio-health-checking grpcio-reflection)
NOKV=$(build_nokv "$PROFILE")
python3 "$NODES_LIB/topology.py" free-ports "$ROOT/raft_config.example.json" >"$CONFIG"
nodes_open
DISKS=1
mount_disks 2>/dev/null || DISKS=0
nodes_start_all
command_lines
topologies
directories
timestamp_record
values
region_changes
requests
if ((DISKS == 1)); then
  full_disk
else
  result -- "a full disk under one node" "not tried: mounting a small file system takes root"
fi
