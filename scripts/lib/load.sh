# A transactional load that keeps a ledger, nodes that die under it, and the look from outside afterwards; for the
# scripts that source this file, after nodes.sh.
#
# The caller sets NOKV and LOADER (the binaries), CONFIG, STANZAS, LEDGER, EVENTS (files) and SECONDS_OF_LOAD, SEED.
# shellcheck shell=bash disable=SC2154

# Longer than any election: a frozen leader must have been replaced before it wakes.
readonly FREEZE_SECONDS=5

say() { printf '\n== %s\n' "$*"; }
now_ms() { date +%s%3N; }
event() { printf '%s %s\n' "$(now_ms)" "$*" | tee -a "$EVENTS"; }
loader() { "$LOADER" "$@" "${FIND[@]}" --stanzas "$STANZAS" --ledger "$LEDGER"; }

# The package index of this machine, or what is installed on it where there is no index.
collect_stanzas() {
  apt-cache dumpavail >"$STANZAS" 2>/dev/null || true
  [[ -s $STANZAS ]] || cp /var/lib/dpkg/status "$STANZAS"
  printf '%s stanzas, %s bytes\n' "$(grep -c '^Package:' "$STANZAS")" "$(stat --format=%s "$STANZAS")"
}

kill_and_restart() {
  local name=$1
  event "kill -9 $name"
  nodes_kill "$name"
  # There is but one timestamp server: how long it stays away is not the cluster's doing.
  [[ $name == tso ]] || sleep "$((1 + RANDOM % 3))"
  nodes_start "$name"
  nodes_wait_ready "$name" 60
  event "started $name"
}

freeze() {
  local name=$1
  event "SIGSTOP $name for $FREEZE_SECONDS s"
  kill -STOP "${NODE_PID[$name]}"
  sleep "$FREEZE_SECONDS"
  kill -CONT "${NODE_PID[$name]}"
  event "SIGCONT $name"
}

# One node at a time, so that a quorum is always there, for as long as the loader (process $1) runs.
disturb_while() {
  local round=0 name
  while sleep "$((2 + RANDOM % 3))" && nodes_alive "$1"; do
    round=$((round + 1))
    # In this shell, not in $( ): a subshell would not advance the random numbers.
    name=${NODES[1 + RANDOM % (${#NODES[@]} - 1)]}
    case $((round % 6)) in
      3) freeze "$name" ;;
      0) kill_and_restart tso ;;
      *) kill_and_restart "$name" ;;
    esac
  done
}

load_under_kills() {
  local loader_pid
  say "loading for about $SECONDS_OF_LOAD s while nodes die (seed $SEED)"
  loader load --seconds "$SECONDS_OF_LOAD" 9>&- &
  loader_pid=$!
  disturb_while "$loader_pid"
  wait "$loader_pid"
}

verify() {
  say "$1"
  nodes_wait_leaders 30
  loader verify
  python3 "$NODES_LIB/topology.py" replicas "$CONFIG" 60
}
