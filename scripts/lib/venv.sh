# A Python environment for tools that need packages from PyPI, for the scripts that source this file.
# shellcheck shell=bash

# Prints the path of a python that has these packages; the first time it makes the environment and fetches them.
venv_python() {
  local venv="${NOKV_CACHE:-$HOME/.cache/nokv}/venv"
  if [[ ! -x $venv/bin/python ]]; then
    printf 'making a Python environment in %s\n' "$venv" >&2
    if ! python3 -m venv "$venv" >&2; then
      echo "python3 cannot make one (Debian: apt-get install python3-venv)" >&2
      return 1
    fi
  fi
  # Names what is missing, if anything; says nothing and asks nobody otherwise.
  if ! "$venv/bin/python" -c '
import importlib.metadata, sys
for name in sys.argv[1:]: importlib.metadata.version(name)' "$@" 2>/dev/null; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" >&2 || return 1
  fi
  printf '%s\n' "$venv/bin/python"
}
