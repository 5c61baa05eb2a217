# The scripts under lua/ as Redis gets them, and whether they are sound. Sourced after say.sh and tools.sh.
# shellcheck shell=bash

# Puts the scripts together under $1 as crates/shared/src/script.rs does: the keys of the head as locals, then the fragments
# it uses, then the script. A fragment may bring a function that this script does not call, and a local with the name of a key
# that it does not use; both are no fault.
assemble_scripts() {
  local source
  rm -rf "$1"
  for source in lua/*/*.lua; do
    case $source in lua/lib/*) continue ;; esac
    mkdir -p "$1/$(dirname "${source#lua/}")"
    awk '
      function words(line) { sub(/^-- [a-z]+: */, "", line); return line }
      !keys && /^-- keys: / { keys = words($0) }
      !uses && /^-- uses: / { uses = words($0) }
      { text = text $0 "\n" }
      END {
        print "-- luacheck: push ignore 211 431"
        print "local call, byte, sub, match, format, unpack = redis.call, string.byte, string.sub, string.match, string.format, unpack"
        count = split(keys, key, " ")
        for (i = 1; i <= count; i++) print "local " key[i] " = KEYS[" i "]"
        count = split(uses, fragment, " ")
        for (i = 1; i <= count; i++) {
          file = "lua/lib/" fragment[i] ".lua"
          print "-- " file
          while ((getline line < file) > 0) print line
        }
        print "-- luacheck: pop"
        print "-- " FILENAME
        printf "%s", text
      }' "$source" >"$1/${source#lua/}"
  done
}

# Syntax and style of every assembled script; the lines named are those of the assembled text.
check_lua() {
  local into=.work/lua scripts
  ensure_lua_tools
  assemble_scripts "$into"
  scripts=$(find "$into" -name '*.lua' | sort)
  [ -n "$scripts" ] || die "no scripts under lua/"
  if have_luac; then
    local script
    for script in $scripts; do luac5.1 -p "$script" || die "$script is no Lua"; done
  fi
  if have luacheck; then
    local colour=--no-color
    [ ! -t 1 ] || colour=
    # shellcheck disable=SC2086
    luacheck --quiet $colour --config .luacheckrc $scripts || die "the Lua scripts have faults; the lines are those under $into"
  fi
}
