# Starting and stopping the processes of a cluster on this machine, for the scripts that source this file.
# Every process is known by its id (kept in $WORKDIR/pids/NAME); none is ever looked up by name.
#
# The caller sets NOKV (the binary), CONFIG (the topology) and WORKDIR (an absolute path), then calls nodes_open. Or it
# leaves CONFIG empty and sets NODE_COUNT: so many nodes begin a cluster that runs itself, NODE_SPARES more have
# addresses and may join it by nodes_start, and NODE_FLAGS (an array) is given to all of them.
# A node's name is tso (with a topology only), store-1, store-2, … ; what it says (standard output) is appended to
# $WORKDIR/logs/NAME.out, what it logs (standard error) to NAME.log.
# shellcheck shell=bash

NODES=()                     # every name, the timestamp server first where there is one
FIND=()                      # the flags by which commands find the cluster
declare -A NODE_LISTENS=()   # name -> host:port for requests and, for a store, host:port of its status pages
declare -A NODE_PID=()       # name -> process id, while this script has it running
declare -A NODE_OUT_START=() # name -> size of NAME.out in bytes before its last start
readonly NODES_LIB="${BASH_SOURCE[0]%/*}"
readonly STOP_SECONDS=20

nodes_say() { printf '%s\n' "$*" >&2; }

# Reads the topology, takes the workdir for this script alone, and ends what an earlier, killed script left running.
nodes_open() {
  local name listens listed
  mkdir -p "$WORKDIR/pids" "$WORKDIR/logs" || return 1
  listed=$(nodes_list) || return 1
  while read -r name listens; do
    NODES+=("$name")
    NODE_LISTENS[$name]=$listens
  done <<<"$listed"
  if [[ -n $CONFIG ]]; then
    FIND=(--config "$CONFIG")
  else
    FIND=(--addr "$(for name in "${NODES[@]:0:NODE_COUNT}"; do printf '%s,' "${NODE_LISTENS[$name]%% *}"; done |
      sed 's/,$//')")
  fi
  exec 9>"$WORKDIR/.lock"
  if ! flock --nonblock 9; then
    nodes_say "$WORKDIR is in use by another script: stop that one, or choose another --workdir"
    return 1
  fi
  nodes_end_orphans
  nodes_check_ports
}

# One line for each node: its name and where it listens. Without a topology the addresses are kept in the workdir, so
# that a cluster is found again where it was.
nodes_list() {
  if [[ -n $CONFIG ]]; then
    python3 "$NODES_LIB/topology.py" nodes "$CONFIG"
    return
  fi
  if [[ ! -s $WORKDIR/addresses ]]; then
    python3 "$NODES_LIB/topology.py" free-addresses "$((NODE_COUNT + ${NODE_SPARES:-0}))" >"$WORKDIR/addresses"
  fi
  cat "$WORKDIR/addresses"
}

# A script that died by kill -9 leaves its nodes behind. They are ended only if they are what the pid file says:
# processes on this very workdir.
nodes_end_orphans() {
  local file pid
  for file in "$WORKDIR"/pids/*; do
    [[ -f $file ]] || continue
    pid=$(<"$file")
    if nodes_is_ours "$pid"; then
      nodes_say "ending ${file##*/} (process $pid), left over from an earlier run"
      nodes_end_process "$pid"
    fi
    rm -f "$file"
  done
}

nodes_is_ours() {
  local argument arguments
  [[ $1 =~ ^[0-9]+$ ]] && nodes_alive "$1" || return 1
  mapfile -d '' -t arguments 2>/dev/null <"/proc/$1/cmdline" || return 1
  for argument in "${arguments[@]}"; do
    [[ $argument == "$WORKDIR/tso" || $argument == "$WORKDIR"/store-* ]] && return 0
  done
  return 1
}

# Whether the process runs; one that has ended but that nobody has waited for (a zombie) does not.
nodes_alive() {
  local state
  state=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) && [[ -n $state && $state != Z* ]]
}

# Refuses a port that somebody listens on, before anything is started.
nodes_check_ports() {
  local name address host port taken=0
  for name in "${NODES[@]}"; do
    for address in ${NODE_LISTENS[$name]}; do
      host=${address%:*} port=${address##*:}
      [[ $host != 0.0.0.0 && -n $host ]] || host=127.0.0.1
      if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
        nodes_say "port $port on $host, which $name needs, is in use: stop what listens there (ss -ltnp sport = :$port)"
        taken=1
      fi
    done
  done
  ((taken == 0)) || nodes_say "or give other ports in a topology file of your own: --config FILE"
  return "$taken"
}

# The command that runs a node, one word a line.
nodes_command() {
  local words=(tso) id=${1#store-}
  [[ $1 == tso ]] || words=(serve --store-id "$id")
  [[ -z $CONFIG ]] || words+=(--config "$CONFIG")
  [[ -n $CONFIG ]] || words+=(--addr "${NODE_LISTENS[$1]%% *}" "${NODE_FLAGS[@]}")
  if [[ -z $CONFIG ]] && ((id > NODE_COUNT)); then
    words+=(--join "${FIND[1]%%,*}")
  elif [[ -z $CONFIG ]] && ((NODE_COUNT > 1)); then
    words+=(--initial-cluster "$(nodes_initial_cluster)")
  fi
  printf '%s\n' "$NOKV" "${words[@]}" --workdir "$WORKDIR/$1"
}

nodes_initial_cluster() {
  local id list=""
  for ((id = 1; id <= NODE_COUNT; id++)); do
    list+="$id=${NODE_LISTENS[store-$id]%% *},"
  done
  printf '%s' "${list%,}"
}

# Starts a node in a session of its own, so that a Ctrl+C in the terminal reaches only the script, which then stops
# the nodes in order. The node writes to a file, so that nothing it does can depend on who reads along.
nodes_start() {
  local name=$1 logs="$WORKDIR/logs/$1" command
  mapfile -t command < <(nodes_command "$name")
  touch "$logs.out"
  NODE_OUT_START[$name]=$(stat --format=%s "$logs.out")
  setsid "${command[@]}" >>"$logs.out" 2>>"$logs.log" 9>&- &
  NODE_PID[$name]=$!
  printf '%s\n' "$!" >"$WORKDIR/pids/$name"
}

# Waits for the node's own `ready:` line.
nodes_wait_ready() {
  local name=$1 seconds=$2 deadline=$((SECONDS + $2))
  until grep -q '^ready:' <(tail --bytes="+$((NODE_OUT_START[$name] + 1))" "$WORKDIR/logs/$name.out"); do
    if ! nodes_alive "${NODE_PID[$name]}"; then
      nodes_say "$name ended while starting; its last words ($WORKDIR/logs/$name.log):"
      tail -n 15 "$WORKDIR/logs/$name.log" >&2
      return 1
    fi
    if ((SECONDS >= deadline)); then
      nodes_say "$name is not ready after $seconds s: see $WORKDIR/logs/$name.log"
      return 1
    fi
    sleep 0.05
  done
}

# Starts every node and waits until all of them are ready and every region has a leader, which it prints.
nodes_start_all() {
  local name begin=("${NODES[@]}")
  [[ -n $CONFIG ]] || begin=("${NODES[@]:0:NODE_COUNT}")
  for name in "${begin[@]}"; do
    nodes_start "$name"
    [[ $name != tso ]] || nodes_wait_ready tso 30 || return 1
  done
  for name in "${begin[@]}"; do
    nodes_wait_ready "$name" 120 || return 1
  done
  nodes_wait_leaders 60
}

# Waits until every region answers a read; prints who leads what, or after so many seconds who does not.
nodes_wait_leaders() {
  local deadline=$((SECONDS + $1)) regions
  until regions=$("$NOKV" regions "${FIND[@]}" --timeout 2 2>&1); do
    if ((SECONDS >= deadline)); then
      nodes_say "after $1 s there still is a region without a leader:"
      nodes_say "$regions"
      return 1
    fi
    sleep 0.1
  done
  printf '%s\n' "$regions"
}

# Sends a node a signal that ends it at once, as kill -9 does, and waits until it is gone.
nodes_kill() {
  local pid=${NODE_PID[$1]}
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  nodes_forget "$1"
}

nodes_forget() {
  unset "NODE_PID[$1]"
  rm -f "$WORKDIR/pids/$1"
}

# Asks a process to stop and waits; past the limit it is killed.
nodes_end_process() {
  kill -CONT "$1" 2>/dev/null || true
  kill -TERM "$1" 2>/dev/null || return 0
  nodes_await_end "$1"
}

# Waits for a process that was asked to stop. It is not asked twice: that would cut its stopping short.
nodes_await_end() {
  local pid=$1 deadline=$((SECONDS + STOP_SECONDS))
  while nodes_alive "$pid"; do
    if ((SECONDS >= deadline)); then
      nodes_say "process $pid did not stop within $STOP_SECONDS s: killing it"
      kill -KILL "$pid" 2>/dev/null || true
      return 0
    fi
    sleep 0.05
  done
}

# Stops what this script started: the stores together, the timestamp server after them.
nodes_stop_all() {
  local name
  for name in "${!NODE_PID[@]}"; do
    kill -CONT "${NODE_PID[$name]}" 2>/dev/null || true
    [[ $name == tso ]] || kill -TERM "${NODE_PID[$name]}" 2>/dev/null || true
  done
  for name in "${!NODE_PID[@]}"; do
    [[ $name == tso ]] || { nodes_await_end "${NODE_PID[$name]}" && nodes_forget "$name"; }
  done
  [[ -z ${NODE_PID[tso]:-} ]] || { nodes_end_process "${NODE_PID[tso]}" && nodes_forget tso; }
}
