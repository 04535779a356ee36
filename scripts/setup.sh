#!/usr/bin/env bash
# Makes a machine ready to build NoKV. Run it on its own, or source it as the other scripts do: then it also
# exports the environment that they share (one target folder, one compiler cache), so that RocksDB is compiled once.
# Installs what is missing where it may (apt as root or through sudo); otherwise names what to install and fails.
# NOKV_NO_INSTALL=1 makes it only look.

nokv_say() { printf 'setup: %s\n' "$*" >&2; }

# The repository's root, whatever the caller's directory is.
nokv_root() { (cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd); }

# bindgen loads libclang at build time; these are the places where distributions put it.
nokv_has_libclang() {
  [[ -n ${LIBCLANG_PATH:-} ]] && return 0
  local found
  for found in /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*-linux-gnu/libclang*.so* /usr/lib64/libclang.so* \
    /usr/lib/libclang.so* /usr/local/lib/libclang.so*; do
    [[ $found == */libclang[.-]*so* && -e $found ]] && return 0
  done
  return 1
}

# Whether the linker that rustc will call can hand over to mold (gcc knows the flag since 12.1).
nokv_links_with_mold() {
  local out
  command -v mold >/dev/null || return 1
  out=$(mktemp) || return 1
  if printf 'int main(void) { return 0; }\n' | cc -x c - -fuse-ld=mold -o "$out" 2>/dev/null; then
    rm -f "$out"
    return 0
  fi
  rm -f "$out"
  return 1
}

# Prints the Debian packages that are missing, one per line.
nokv_missing_packages() {
  command -v cc >/dev/null && command -v c++ >/dev/null || echo build-essential
  nokv_has_libclang || echo libclang-dev
  command -v mold >/dev/null || echo mold
  command -v python3 >/dev/null || echo python3
  command -v curl >/dev/null || printf '%s\n' curl ca-certificates
  command -v ccache >/dev/null || echo ccache
}

# Installs the packages given, or fails without a word when this user on this machine cannot.
nokv_apt_install() {
  local as_root=()
  [[ ${NOKV_NO_INSTALL:-} != 1 ]] && command -v apt-get >/dev/null || return 1
  if [[ $(id -u) != 0 ]]; then
    sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  nokv_say "installing $* (apt)"
  "${as_root[@]}" apt-get update -qq >&2 || nokv_say "apt-get update failed; trying with the lists that are here"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

nokv_install_packages() {
  local missing required=()
  mapfile -t missing < <(nokv_missing_packages)
  ((${#missing[@]} == 0)) && return 0
  nokv_apt_install "${missing[@]}" && return 0
  # The build does without ccache (slower) and without mold (see nokv_choose_linker); everything else it needs.
  local package
  for package in "${missing[@]}"; do
    [[ $package == ccache || $package == mold ]] || required+=("$package")
  done
  if ((${#required[@]} > 0)); then
    nokv_say "missing: ${required[*]}. On Debian or Ubuntu, run as root:"
    nokv_say "  apt-get update && apt-get install -y ${missing[*]}"
    nokv_say "elsewhere: a C and C++ compiler, libclang's shared library, mold, python3, curl and (optional) ccache."
    return 1
  fi
  nokv_say "optional, for faster builds: apt-get install -y ${missing[*]}"
}

# Rust by rustup, which reads rust-toolchain.toml and fetches the pinned toolchain; distributions' own is too old.
nokv_install_rust() {
  if ! command -v cargo >/dev/null && [[ -x ${CARGO_HOME:-$HOME/.cargo}/bin/cargo ]]; then
    export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  fi
  if ! command -v cargo >/dev/null; then
    local advice="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal"
    if [[ ${NOKV_NO_INSTALL:-} == 1 ]] || ! command -v curl >/dev/null; then
      nokv_say "missing: cargo and rustc. Install them with"
      nokv_say "  $advice"
      return 1
    fi
    nokv_say "installing Rust with rustup into ${CARGO_HOME:-$HOME/.cargo}"
    sh -c "$advice --default-toolchain none --no-modify-path" >&2 || return 1
    export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  fi
  nokv_check_toolchain
}

# The pinned toolchain must answer: rustup installs it here if need be; any other cargo must be new enough.
nokv_check_toolchain() {
  local root pinned have
  root=$(nokv_root)
  pinned=$(sed -n 's/^channel = "\(.*\)"$/\1/p' "$root/rust-toolchain.toml")
  have=$(cd "$root" && rustc --version 2>/dev/null | cut -d' ' -f2)
  if [[ -z $have ]] && command -v rustup >/dev/null && [[ ${NOKV_NO_INSTALL:-} != 1 ]]; then
    nokv_say "installing the Rust toolchain $pinned (rustup)"
    rustup toolchain install "$pinned" --profile minimal --component rustfmt --component clippy >&2 || return 1
    have=$(cd "$root" && rustc --version | cut -d' ' -f2)
  fi
  if [[ -z $have || $(printf '%s\n' "$pinned" "$have" | sort -V | head -n 1) != "$pinned" ]]; then
    nokv_say "Rust $pinned or newer is needed, found ${have:-none}: rustup toolchain install $pinned"
    return 1
  fi
}

# .cargo/config.toml links with mold. Where that cannot be, RUSTFLAGS (which overrides it) names the usual linker.
nokv_choose_linker() {
  [[ -n ${RUSTFLAGS+set} ]] && return 0
  if ! nokv_links_with_mold; then
    nokv_say "no mold, or a compiler that cannot use it (gcc before 12.1): linking with the system's linker"
    export RUSTFLAGS="-C link-arg=-fuse-ld=bfd"
  fi
}

nokv_export_environment() {
  export NOKV_CACHE="${NOKV_CACHE:-$HOME/.cache/nokv}"
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$NOKV_CACHE/target}"
  mkdir -p "$NOKV_CACHE" "$CARGO_TARGET_DIR" || return 1
  # A second profile or a changed flag compiles RocksDB anew; through ccache that takes seconds.
  if command -v ccache >/dev/null; then
    export CC="${CC:-ccache cc}" CXX="${CXX:-ccache c++}"
    export CCACHE_DIR="${CCACHE_DIR:-$NOKV_CACHE/ccache}" CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-4G}"
  fi
}

nokv_setup() {
  nokv_install_packages && nokv_install_rust && nokv_choose_linker && nokv_export_environment
}

nokv_setup || exit 1
[[ ${BASH_SOURCE[0]} != "$0" ]] || nokv_say "ready: $(rustc --version), target folder $CARGO_TARGET_DIR"
