#!/usr/bin/env bash
# Hurts a cluster of real processes while clients read and write through it, and judges what they were told: each node
# in a network namespace of its own, cut off, on and off, heard and not heard, slow, killed, frozen, its disk full, slow
# or failing, its wall clock off; the timestamp server killed, and its clock set back and forth. Ends with a table of
# outages, and with status 0 only if histories are linearizable and replicas alike. Needs root and `ip`, and `cc` for
# disk and clock.
# Not done here: loss and reordering of packets (many machines lack netem), monotonic clocks that are off (nobody can
# set them; the simulator has them drift).
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/chaos.sh [--seconds N] [--seed N] [--faults "KIND …"] [--workdir DIR]
  --seconds N     how long clients are at work (default: 120)
  --seed N        which faults strike whom: the same seed makes the same choices (default: the present time)
  --faults LIST   kinds to choose from (default: all):
                  kill freeze isolate flap mute deaf slow fill slowdisk badsync clock tsokill tsoclock reshape
                  (reshape: regions are split, merged and handed over all the while, whatever strikes)
  --workdir DIR   new or empty (default: a new one under artifacts/chaos)
NOKV_BIN names the binary; without, it is built.
END
}

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SECONDS_OF_WORK=120 SEED=$(date +%s) WORKDIR="" 
FAULTS="kill freeze isolate flap mute deaf slow fill slowdisk badsync clock tsokill tsoclock reshape"
while (($# > 0)); do
  case $1 in
    --seconds | --seed | --workdir | --faults)
      (($# > 1)) || { echo "chaos: $1 needs a value" >&2 && exit 2; }
      case $1 in
        --seconds) SECONDS_OF_WORK=$2 ;; --seed) SEED=$2 ;; --workdir) WORKDIR=$2 ;; --faults) FAULTS=$2 ;;
      esac
      shift 2
      ;;
    -h | --help) usage && exit 0 ;;
    *) echo "chaos: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
  esac
done
WORKDIR=$(realpath -m "${WORKDIR:-$ROOT/artifacts/chaos/$(date +%Y%m%d-%H%M%S)}")
[[ -z $(ls -A "$WORKDIR" 2>/dev/null) ]] || { echo "chaos: $WORKDIR is not empty" >&2 && exit 2; }
((EUID == 0)) || { echo "chaos: network namespaces need root" >&2 && exit 2; }
mkdir -p "$WORKDIR"
CONFIG="$WORKDIR/topology.json" LEDGER="$WORKDIR/ledger" EVENTS="$WORKDIR/events"
# Names of this run's own, so that several can be under way.
NET="nk$((SEED % 10000))" SUBNET="10.$((SEED % 200 + 20)).$((SEED / 200 % 250))"
readonly ROOT WORKDIR CONFIG LEDGER EVENTS NET SUBNET SECONDS_OF_WORK SEED FAULTS
readonly STORES=(1 2 3) FAULT_SECONDS=5 PAUSE_SECONDS=4 DISK_MIB=600 SLOW_SYNC_MS=50 CLOCK_OFF_MS=20000
# shellcheck source=scripts/lib/nodes.sh
source "$ROOT/scripts/lib/nodes.sh"
# shellcheck source=scripts/lib/build.sh
source "$ROOT/scripts/lib/build.sh"

event() { printf '%s %s\n' "$(date +%s%3N)" "$*" | tee -a "$EVENTS"; }

# Every store with an address in a namespace of its own, the timestamp server and the clients outside.
write_topology() {
  python3 - "$ROOT/raft_config.example.json" "$SUBNET" >"$CONFIG" <<'END'
import json, sys
config, subnet = json.load(open(sys.argv[1], encoding="utf-8")), sys.argv[2]
config["tso"].update(listen_addr=f"{subnet}.1:20159", advertise_url=f"http://{subnet}.1:20159")
for store in config["stores"]:
    store["addr"] = store["listen_addr"] = f"{subnet}.{10 + store['store_id']}:20170"
print(json.dumps(config, indent=2))
END
}

make_networks() {
  local store
  ip link add "$NET" type bridge
  ip addr add "$SUBNET.1/24" dev "$NET"
  ip link set "$NET" up
  for store in "${STORES[@]}"; do
    ip netns add "$NET-$store"
    ip link add "$NET-v$store" type veth peer name eth0 netns "$NET-$store"
    ip link set "$NET-v$store" master "$NET" up
    inside "$store" ip addr add "$SUBNET.1$store/24" dev eth0
    inside "$store" ip link set eth0 up
    inside "$store" ip link set lo up
    mkdir -p "$WORKDIR/store-$store"
  done
}

inside() { ip netns exec "$NET-$1" "${@:2}"; }

# In place of the library's: stores run inside of their namespaces.
nodes_command() {
  [[ ! -e $WORKDIR/hurt.so ]] || printf '%s\n' env "LD_PRELOAD=$WORKDIR/hurt.so" "NOKV_HURT=$WORKDIR/$1.hurt"
  if [[ $1 == tso ]]; then
    printf '%s\n' "$NOKV" tso --config "$CONFIG" --workdir "$WORKDIR/tso"
  else
    printf '%s\n' ip netns exec "$NET-${1#store-}" "$NOKV" serve --store-id "${1#store-}" --config "$CONFIG" \
      --workdir "$WORKDIR/$1" --block-cache-mib 32 --write-buffer-mib 8
  fi
}

clean_up() {
  local store
  [[ -z ${CHANGES_PID:-} ]] || kill "$CHANGES_PID" 2>/dev/null || true
  [[ -z ${WORK_PID:-} ]] || kill "$WORK_PID" 2>/dev/null || true
  nodes_stop_all || true
  for store in "${STORES[@]}"; do
    ip netns del "$NET-$store" 2>/dev/null || true
    umount "$WORKDIR/store-$store.full" 2>/dev/null || true
  done
  ip link del "$NET" 2>/dev/null || true
}

# Splits, merges and hands regions over until it is killed. What is refused, or fails for what strikes, is not tried
# again.
change_regions() {
  local kinds=(split merge transfer) turn=$SEED words
  printf '%s\n' {b,c,x}{0..5} f p >"$WORKDIR/keys"
  while sleep 1; do
    turn=$((turn + 1))
    words=$("$NOKV" regions --json --config "$CONFIG" --timeout 2 2>/dev/null |
      python3 "$ROOT/scripts/lib/region_ops.py" "${kinds[turn % 3]}" "$turn" "$WORKDIR/keys" 2>/dev/null) || continue
    # shellcheck disable=SC2086
    [[ -z $words ]] || timeout 15 "$NOKV" region $words --config "$CONFIG" --timeout 5 >>"$WORKDIR/changes" 2>&1 || true
  done
}

# Drops what store $1 sends to store $2, from now on (`add`) or no more (`del`).
drop() { inside "$1" ip route "$3" blackhole "$SUBNET.1$2/32"; }

others() {
  local store
  for store in "${STORES[@]}"; do [[ $store == "$1" ]] || echo "$store"; done
}

# One fault of kind $1 on store $2, and its end.
strike() {
  local store=$2 other
  event "$1 store-$store"
  case $1 in
    kill) nodes_kill "store-$store" && sleep 2 && nodes_start "store-$store" ;;
    freeze)
      kill -STOP "${NODE_PID[store-$store]}"
      sleep "$FAULT_SECONDS"
      kill -CONT "${NODE_PID[store-$store]}"
      ;;
    isolate) ip link set "$NET-v$store" down && sleep "$FAULT_SECONDS" && ip link set "$NET-v$store" up ;;
    flap) flap "$store" ;;
    mute)
      for other in $(others "$store"); do drop "$store" "$other" add; done
      sleep "$FAULT_SECONDS"
      for other in $(others "$store"); do drop "$store" "$other" del; done
      ;;
    deaf)
      for other in $(others "$store"); do drop "$other" "$store" add; done
      sleep "$FAULT_SECONDS"
      for other in $(others "$store"); do drop "$other" "$store" del; done
      ;;
    slow)
      inside "$store" tc qdisc add dev eth0 root tbf rate 100kbit burst 2kb latency 400ms
      sleep "$FAULT_SECONDS"
      inside "$store" tc qdisc del dev eth0 root
      ;;
    fill) fill_disk "$store" ;;
    slowdisk) hurt "store-$store" "$SLOW_SYNC_MS" 0 0 && sleep "$FAULT_SECONDS" && hurt "store-$store" 0 0 0 ;;
    badsync) fail_sync "$store" ;;
    clock) set_clock "store-$store" ;;
    tsokill) nodes_kill tso && sleep 1 && nodes_start tso && nodes_wait_ready tso 30 ;;
    tsoclock) set_clock tso ;;
    *) echo "chaos: no such fault: $1" >&2 && return 2 ;;
  esac
}

# The link is down more often than up, for moments: what is on its way is lost.
flap() {
  local times=$((FAULT_SECONDS * 4))
  while ((times-- > 0)); do
    ip link set "$NET-v$1" down && sleep 0.15 && ip link set "$NET-v$1" up && sleep 0.1
  done
}

# How the machine treats node $1 from now on: milliseconds that syncs take longer, syncs that fail, milliseconds by
# which its wall clock is off.
hurt() {
  python3 -c 'import struct, sys; open(sys.argv[1], "r+b").write(struct.pack("<3q", *map(int, sys.argv[2:])))' \
    "$WORKDIR/$1.hurt" "$2" "$3" "$4"
}

set_clock() {
  local sign=$((RANDOM % 2 * 2 - 1))
  hurt "$1" 0 0 $((sign * CLOCK_OFF_MS))
  sleep "$FAULT_SECONDS"
  hurt "$1" 0 0 0
}

# One sync fails: the node must stop by itself, and say why; then it is started again.
fail_sync() {
  local name="store-$1" pid=${NODE_PID[store-$1]} deadline=$((SECONDS + 3 * FAULT_SECONDS))
  hurt "$name" 0 1 0
  while nodes_alive "$pid" && ((SECONDS < deadline)); do sleep 0.1; done
  hurt "$name" 0 0 0
  if nodes_alive "$pid"; then
    echo "chaos: $name goes on though a sync failed" | tee -a "$WORKDIR/wrong" >&2
    return 0
  fi
  wait "$pid" 2>/dev/null || true
  nodes_forget "$name"
  nodes_start "$name"
}

# What comes between the nodes and the machine, if such faults are wished for.
make_hurt() {
  local name
  [[ $FAULTS == *slowdisk* || $FAULTS == *badsync* || $FAULTS == *clock* ]] || return 0
  cc -shared -fPIC -O1 -o "$WORKDIR/hurt.so" "$ROOT/scripts/lib/hurt.c" -ldl
  for name in tso "${STORES[@]/#/store-}"; do head -c 24 /dev/zero >"$WORKDIR/$name.hurt"; done
}

# Fills the disk until the node notices and stops, as it must, or time is over; then makes room and starts it again.
fill_disk() {
  local name="store-$1" pid=${NODE_PID[store-$1]} deadline=$((SECONDS + 3 * FAULT_SECONDS))
  while nodes_alive "$pid" && ((SECONDS < deadline)); do
    dd if=/dev/zero of="$WORKDIR/$name.full/ballast" bs=64K oflag=append conv=notrunc 2>/dev/null || true
    sleep 1
  done
  ! nodes_alive "$pid" || echo "$name goes on: what it wrote had its room before the disk was full"
  rm -f "$WORKDIR/$name.full/ballast"
  nodes_alive "$pid" || { wait "$pid" 2>/dev/null || true; nodes_forget "$name"; nodes_start "$name"; }
}

main() {
  local kinds kind store end
  read -r -a kinds <<<"${FAULTS//reshape/}"
  NOKV=$(build_nokv dev)
  trap clean_up EXIT
  write_topology
  make_networks
  make_small_disks
  make_hurt
  nodes_open
  nodes_start_all
  RANDOM=$((SEED % 32768))
  python3 "$ROOT/scripts/lib/chaos.py" work "$NOKV" "$CONFIG" "$LEDGER" "$SECONDS_OF_WORK" 4 &
  WORK_PID=$!
  if [[ $FAULTS == *reshape* ]]; then
    change_regions 9>&- &
    CHANGES_PID=$!
  fi
  event "none"
  end=$((SECONDS + SECONDS_OF_WORK - 2 * FAULT_SECONDS))
  sleep "$PAUSE_SECONDS"
  while ((SECONDS < end)); do
    kind=${kinds[RANDOM % ${#kinds[@]}]}
    store=${STORES[RANDOM % ${#STORES[@]}]}
    strike "$kind" "$store"
    event "after-$kind"
    sleep "$PAUSE_SECONDS"
  done
  wait "$WORK_PID"
  WORK_PID=""
  event "end"
  [[ -z ${CHANGES_PID:-} ]] || { kill "$CHANGES_PID" 2>/dev/null || true; wait "$CHANGES_PID" 2>/dev/null || true; }
  nodes_wait_leaders 60
  python3 "$ROOT/scripts/lib/topology.py" replicas "$CONFIG" 60
  python3 "$ROOT/scripts/lib/chaos.py" judge "$LEDGER" "$EVENTS"
  [[ ! -s $WORKDIR/wrong ]]
}

# Disks that can be filled: a store's directory and its ballast share one of a few hundred MiB.
make_small_disks() {
  local store
  [[ " $FAULTS " == *" fill "* ]] || return 0
  for store in "${STORES[@]}"; do
    mkdir -p "$WORKDIR/store-$store.full"
    mount -t tmpfs -o "size=${DISK_MIB}m" nokv-chaos "$WORKDIR/store-$store.full"
    mkdir -p "$WORKDIR/store-$store.full/data"
    rmdir "$WORKDIR/store-$store"
    ln -s "$WORKDIR/store-$store.full/data" "$WORKDIR/store-$store"
  done
}

main
